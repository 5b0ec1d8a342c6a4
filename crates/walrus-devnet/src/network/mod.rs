//! The network as one thing: a chain, its storage nodes and a faucet under one directory.
//!
//! Mechanism: [`Devnet::start`] takes the directory's lock, opens (or makes) chain and nodes, binds their ports and serves.
//! Ports are chosen free at first start and kept in `network.json`; when one is taken at restart a new one is chosen and,
//! for a node, its address on the chain is updated.
//!
//! Promises: everything but faults and counters survives `kill -9`. Assumes: a local filesystem with working `flock`.

mod options;
mod status;

use std::path::Path;

use sui_sdk_types::Address;

use crate::chain::{Chain, ChainError};
use crate::fault::Fault;

pub use options::Options;
pub use status::{NetworkStatus, NodeStatus};

/// A running local network. Dropping it stops everything; [`Devnet::shutdown`] also waits for it.
pub struct Devnet {
    chain: Chain,
}

/// Why the network cannot start or do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// Another process runs the network of this directory.
    #[error("{0} is in use by another walrusfs process; `walrusfs devnet down` ends it")]
    Locked(std::path::PathBuf),
    /// The options contradict themselves or what was stored at first start.
    #[error("{0}")]
    Options(String),
    /// A file or a socket failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, on which path or address.
        what: String,
        /// What happened.
        source: std::io::Error,
    },
    /// A file of the network has contents that this program did not write.
    #[error(
        "{what}: {reason}; restore the file, or remove the devnet directory to start a new network (its data is lost)"
    )]
    Damaged {
        /// Which file.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The chain refused or failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// There is no node with this index.
    #[error("there is no node {index}: the nodes are 0 to {}", nodes.saturating_sub(1))]
    NoSuchNode {
        /// The index asked for.
        index: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// The running network did not answer, or answered with an error.
    #[error("{0}")]
    Control(String),
}

impl DevnetError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl Devnet {
    /// Starts the network of `dir` (made if missing) and returns when chain and nodes answer. `options` shape a new network;
    /// of an existing one they change nothing.
    ///
    /// # Errors
    /// [`DevnetError::Locked`] when another process runs it; options, files, ports and the chain as their variants say.
    pub async fn start(dir: impl AsRef<Path>, options: Options) -> Result<Self, DevnetError> {
        options.validate()?;
        Err(DevnetError::Control(format!("{}: the local network cannot start yet", dir.as_ref().display())))
    }

    /// Addresses, ids, epoch and the state of every node.
    pub fn status(&self) -> Result<NetworkStatus, DevnetError> {
        Err(DevnetError::Chain(ChainError::Store("not built yet".into())))
    }

    /// The chain, for reading in-process.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Makes node `index` misbehave, or behave again. [`Fault::Honest`] also starts a stopped node.
    pub async fn set_fault(&self, index: usize, fault: Fault) -> Result<(), DevnetError> {
        let _ = fault;
        Err(DevnetError::NoSuchNode { index, nodes: 0 })
    }

    /// Starts node `index` if it is stopped; other faults stay.
    pub async fn start_node(&self, index: usize) -> Result<(), DevnetError> {
        Err(DevnetError::NoSuchNode { index, nodes: 0 })
    }

    /// Removes everything that node `index` stores except its keys, as if its disk had been replaced. The node is stopped
    /// meanwhile, and started again if it was running.
    pub async fn wipe_node(&self, index: usize) -> Result<(), DevnetError> {
        Err(DevnetError::NoSuchNode { index, nodes: 0 })
    }

    /// Ends the epoch now and waits until nodes of quorum weight serve the new one. Returns the new epoch.
    pub async fn advance_epoch(&self) -> Result<u32, DevnetError> {
        Err(DevnetError::Chain(ChainError::Store("not built yet".into())))
    }

    /// The id on chain of node `index`, if it is in the committee.
    pub fn node_id(&self, index: usize) -> Option<Address> {
        let _ = index;
        None
    }

    /// Stops serving, waits until the files are closed and the lock is free.
    pub async fn shutdown(self) {}
}
