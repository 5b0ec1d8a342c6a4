//! A client of the Walrus storage network: storage nodes over HTTP, Sui over gRPC.
//!
//! Why it exists: no Rust crate on the registry talks to Walrus storage nodes or to its contracts; a filesystem whose
//! disk is Walrus needs one that survives dead, slow and lying nodes and an untrusted RPC server.
//!
//! The rooms, lower never importing higher:
//!
//! - [`wire`]: exact byte layouts of everything that crosses a boundary. No I/O.
//! - [`error`], [`retry`]: one error type, bounds for retries.
//! - [`network`], [`wallet`], [`phrase`], [`foreign`]: which network, which key, the key as words, and both from the files of Sui's and Walrus's own command
//!   lines.
//! - [`chain`]: reading Sui and the Walrus objects on it.
//! - [`tx`]: building transactions offline.
//! - [`executor`]: signing and sending them, surviving lost answers and crashes.
//! - [`node`]: single requests to storage nodes.
//! - [`store`], [`read`]: uploads and reads that survive faulty nodes.
//! - [`client`]: all of it tied together.

pub mod chain;
pub mod client;
pub mod error;
pub mod executor;
mod faucet;
pub mod foreign;
pub mod network;
pub mod node;
pub mod phrase;
pub mod read;
pub mod retry;
pub mod store;
pub mod tx;
pub mod wallet;
pub mod wire;

pub use error::{ClientError, ClientResult, MoveAbort};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
