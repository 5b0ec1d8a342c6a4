//! The local network as its users see it: real sockets, the real client, the real chain.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

mod epochs;
mod faults;
mod healing;
mod lifetime;
mod rest;
mod support;
mod tls;
