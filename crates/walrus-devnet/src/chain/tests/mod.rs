//! The chain, driven as its users drive it: signed transactions, refusals, aborts, restarts.

mod calls;
mod grpc;
mod lifecycle;
mod support;
mod vectors;
