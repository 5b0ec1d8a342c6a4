//! A local Walrus network: storage nodes and a Sui-compatible chain that speak the real protocols.

pub mod chain;

pub mod drive_rules;

#[allow(dead_code, reason = "the layers that use it land next")]
pub mod fault;
pub mod launch;
#[allow(dead_code, reason = "the process that uses it lands next")]
pub mod network;
pub mod node;

pub use fault::{Fault, FaultCounts};
pub use network::{Devnet, DevnetError, NetworkStatus, NodeStatus, Options};
