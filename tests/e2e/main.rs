//! End-to-end tests: the built program, real mounts, real processes, a real local network per test.
//!
//! Every test has its own home (or several: two homes are two machines) and its own network on free ports, so that tests
//! run side by side and twice at once. What a test started it ends, by pid, also when it panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed assumption fails the test")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

mod config;
mod consent;
mod contract;
mod damage;
mod data;
mod documents;
mod ending;
mod fsck;
#[allow(dead_code, reason = "shared by all the modules")]
mod harness;
mod helpers;
mod hot;
mod keys;
mod logs;
mod networks;
mod obstacles;
#[allow(dead_code, reason = "shared by all the modules")]
mod real_tree;
mod sdk;
mod setup;
mod torture;
mod two_writers;
mod watching;
