//! The client on the local network, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod chain;
mod epochs;
mod local;
mod matrix;
mod network;
mod rpc;
mod server;
