//! The client on a network in memory: faulty nodes, a faulty chain, crashes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking; what tests share is public among them"
)]

mod executor;
mod faults;
mod limits;
mod quilts;
mod remember;
mod state;
mod support;
