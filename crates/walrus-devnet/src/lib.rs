//! A local Walrus network: storage nodes and a Sui-compatible chain that speak the real protocols.

pub mod chain;

pub mod drive_rules;

pub mod control;
pub mod fault;
pub mod launch;
pub mod network;
pub mod node;

pub use fault::{Fault, FaultCounts, Lie};
pub use network::{Devnet, DevnetError, NetworkStatus, NodeStatus, Options};
