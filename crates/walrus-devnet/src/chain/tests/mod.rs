//! The chain, driven as its users drive it: signed transactions, refusals, aborts, restarts.

mod access;
mod calls;
mod governance;
mod grpc;
mod lifecycle;
mod operators;
mod rules;
mod stakers;
mod support;
mod vectors;
