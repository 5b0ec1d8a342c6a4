//! The client side of the Drive against a real local chain, over real gRPC: creating, opening, leasing, committing,
//! storage, keys, and everything that a server or a competing machine can do to it.
//!
//! There are no storage nodes here: the test holds the committee's BLS keys and signs the confirmations itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed assumption fails the test")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

mod change;
mod keys;
mod servers;
mod storage;
mod world;
