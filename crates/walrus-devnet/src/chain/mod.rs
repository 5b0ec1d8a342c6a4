//! The chain of the local network: a Sui-compatible chain with the Walrus contracts and the Drive package built in.
//!
//! Why: the client has one code path, so the local network must speak what real full nodes speak: `sui.rpc.v2` over native
//! gRPC and gRPC-web, with the objects, calls, abort codes and events of the deployed Walrus contracts.
//!
//! Mechanism: one executor thread owns all writes. It takes signed transactions from a queue, checks and executes them against
//! one write transaction of the store, commits it durably, and only then answers (several queued transactions share one
//! commit). Every executed transaction is a checkpoint of its own. Readers (the gRPC services, the storage nodes) use
//! read transactions and never wait for the executor.
//!
//! Promises: an answer means that the effects are on disk and visible to every reader; the same signed bytes executed twice give
//! the same stored answer; a transaction that fails changes gas and versions only.
//!
//! Assumes: one process per directory (the caller holds the devnet lock). Never: executes Move bytecode, keeps old object versions,
//! or signs checkpoints (there are no validators to trust or distrust here).

mod api;
pub mod genesis;

pub use api::{
    BlobRegistration, Chain, ChainError, ChainEvent, CommitteeMember, CommitteeView, EpochPhase, NetworkIds, PoolView,
    RegistrationHolder,
};
pub use genesis::{GenesisConfig, GenesisNode};

mod execute;
mod executor;
mod faucet;
mod founding;
mod grpc;
mod moves;
mod packages;
mod store;

#[cfg(test)]
mod tests;
