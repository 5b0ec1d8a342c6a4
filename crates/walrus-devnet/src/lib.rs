//! A local Walrus network: storage nodes and a Sui-compatible chain that speak the real protocols.

pub mod chain;

pub mod drive_rules;
