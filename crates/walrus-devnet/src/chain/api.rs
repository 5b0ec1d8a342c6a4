//! The chain as the rest of the local network sees it: open, serve, read, advance.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use sui_sdk_types::{Address, Digest, Event, StructTag};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::genesis::GenesisConfig;

/// A running chain. Cheap to clone; the executor ends when the last clone is dropped.
#[derive(Clone)]
pub struct Chain {
    inner: Arc<Inner>,
}

struct Inner {}

/// What can go wrong with the chain itself (not with a transaction).
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The store cannot be opened, read or written: disk full, permissions, another process, damage.
    #[error("chain store: {0}")]
    Store(String),
    /// The genesis configuration contradicts itself.
    #[error("genesis: {0}")]
    Genesis(String),
    /// An in-process call on the chain was refused by its rules.
    #[error("chain call {call}: {reason}")]
    Refused {
        /// The Move function.
        call: &'static str,
        /// Abort location and code, or the input that was wrong.
        reason: String,
    },
    /// The listener or the server failed.
    #[error("chain server: {0}")]
    Serve(#[from] std::io::Error),
}

/// The ids that a network file, `devnet status` and a client's configuration need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkIds {
    /// Digest of the genesis checkpoint: the chain id.
    pub chain_id: Digest,
    /// The shared `system::System` object.
    pub system_object: Address,
    /// The shared `staking::Staking` object.
    pub staking_object: Address,
    /// The Walrus package (original and called are the same here; clients must not rely on it).
    pub walrus_package: Address,
    /// The package of the WAL coin.
    pub wal_package: Address,
    /// `0x..::wal::WAL`.
    pub wal_type: StructTag,
    /// The package of the exchange.
    pub exchange_package: Address,
    /// The shared `wal_exchange::Exchange<..>` object.
    pub exchange_object: Address,
    /// The Drive package `walrusfs`.
    pub drive_package: Address,
}

/// Where the epoch machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochPhase {
    /// Nodes are still taking over shards; the number is the weight that reported done.
    Sync {
        /// Shards of the nodes that reported.
        weight: u16,
    },
    /// The epoch runs since this time (milliseconds since the Unix epoch).
    Done {
        /// When a quorum had reported.
        since_ms: u64,
    },
    /// As `Done`, and the next epoch's committee is chosen.
    NextSelected {
        /// When a quorum had reported.
        since_ms: u64,
    },
}

/// One member of a committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitteeMember {
    /// Node id, which is also the id of its staking pool object.
    pub node_id: Address,
    /// The id of its `StorageNodeCap` object.
    pub cap_id: Address,
    /// Its name.
    pub name: String,
    /// `host:port`.
    pub network_address: String,
    /// BLS12-381 public key, G1 compressed.
    pub bls_public_key: [u8; 48],
    /// TLS key, compressed P-256.
    pub network_public_key: [u8; 33],
    /// The shards it serves in this epoch.
    pub shards: Vec<u16>,
}

/// The committee and the state of the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitteeView {
    /// The Walrus epoch.
    pub epoch: u32,
    /// Shards of the network.
    pub n_shards: u16,
    /// State of the epoch machine.
    pub phase: EpochPhase,
    /// Members in the order of the signers bitmap (by node id).
    pub members: Vec<CommitteeMember>,
    /// The committee before this one; reads go there during `EpochPhase::Sync`.
    pub previous: Vec<CommitteeMember>,
}

/// An event of the chain's log.
#[derive(Clone, Debug)]
pub struct ChainEvent {
    /// Position in the log, from 1, without gaps.
    pub sequence: u64,
    /// The checkpoint that holds its transaction.
    pub checkpoint: u64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The transaction that emitted it.
    pub transaction: Digest,
    /// Its index in the transaction's events.
    pub index: u64,
    /// Type and BCS contents; `walrus_client::wire` has the layouts.
    pub event: Event,
}

/// What holds a registration of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationHolder {
    /// A `blob::Blob` object with storage of its own.
    Blob,
    /// A pooled blob; its end epoch is the pool's.
    Pool(Address),
}

/// One registration of a blob id that is not deleted. It may have expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRegistration {
    /// The `Blob` or `PooledBlob` object.
    pub object_id: Address,
    /// What it belongs to.
    pub holder: RegistrationHolder,
    /// Unencoded size in bytes.
    pub unencoded_size: u64,
    /// The encoding; 1 is RS2.
    pub encoding_type: u8,
    /// Whether its certificate must name the object.
    pub deletable: bool,
    /// Epoch of registration.
    pub registered_epoch: u32,
    /// Epoch of the first certification.
    pub certified_epoch: Option<u32>,
    /// First epoch in which it is no longer stored.
    pub end_epoch: u32,
    /// Log position of the event that brought it into its present state.
    pub event: u64,
    /// That event's transaction.
    pub event_transaction: Digest,
    /// That event's index in the transaction.
    pub event_index: u64,
}

/// A storage pool, as far as nodes care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// Encoded bytes reserved.
    pub capacity: u64,
    /// Encoded bytes in use.
    pub used: u64,
    /// First epoch that is included.
    pub start_epoch: u32,
    /// First epoch that is not included.
    pub end_epoch: u32,
    /// Blobs in the pool.
    pub blob_count: u64,
}

impl Chain {
    /// Opens the chain in `dir` (made if missing); an empty store is filled from `genesis`, otherwise `genesis` is ignored.
    ///
    /// # Errors
    /// A store that cannot be opened, or a genesis configuration that contradicts itself.
    pub fn open(dir: &Path, genesis: &GenesisConfig) -> Result<Self, ChainError> {
        let _ = genesis;
        Err(ChainError::Store(format!("{}: not built yet", dir.display())))
    }

    /// Whether `dir` holds a chain already.
    pub fn exists(dir: &Path) -> bool {
        dir.join("chain.redb").is_file()
    }

    /// Serves gRPC (native and gRPC-web, HTTP/1.1 and h2 in clear text) and the faucet (`POST /v2/gas`, and
    /// `POST /v2/wal` for WAL) on one port until `shutdown` resolves. Also lets epochs advance by the clock.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ChainError> {
        drop(listener);
        shutdown.await;
        Err(self.missing())
    }

    /// The ids of this network.
    pub fn ids(&self) -> Result<NetworkIds, ChainError> {
        Err(self.missing())
    }

    /// The current Walrus epoch.
    pub fn epoch(&self) -> Result<u32, ChainError> {
        Err(self.missing())
    }

    /// The committee and the phase of the epoch.
    pub fn committee(&self) -> Result<CommitteeView, ChainError> {
        Err(self.missing())
    }

    /// Position of the newest event, 0 when there is none; changes wake the receiver. Resume with
    /// [`Chain::events_after`].
    pub fn watch_events(&self) -> Result<watch::Receiver<u64>, ChainError> {
        Err(self.missing())
    }

    /// At most `limit` events after position `after`, in order.
    pub fn events_after(&self, after: u64, limit: usize) -> Result<Vec<ChainEvent>, ChainError> {
        let _ = (after, limit);
        Err(self.missing())
    }

    /// Every registration of a blob id that was not deleted or burned, expired ones included.
    pub fn registrations(&self, blob_id: &[u8; 32]) -> Result<Vec<BlobRegistration>, ChainError> {
        let _ = blob_id;
        Err(self.missing())
    }

    /// A storage pool by the id of its object.
    pub fn pool(&self, pool: Address) -> Result<Option<PoolView>, ChainError> {
        let _ = pool;
        Err(self.missing())
    }

    /// Records a node's new `host:port` (`staking::set_network_address`).
    pub async fn set_node_address(&self, node_id: Address, address: &str) -> Result<(), ChainError> {
        let _ = (node_id, address);
        Err(self.missing())
    }

    /// Ends the epoch now, whatever the clock says: `voting_end` if it was not called, then `initiate_epoch_change`.
    /// Returns the new epoch, which is in [`EpochPhase::Sync`] until nodes of quorum weight reported.
    pub async fn begin_epoch(&self) -> Result<u32, ChainError> {
        Err(self.missing())
    }

    /// A node reports that it holds its shards of `epoch` (`staking::epoch_sync_done`).
    pub async fn epoch_sync_done(&self, node_id: Address, epoch: u32) -> Result<(), ChainError> {
        let _ = (node_id, epoch);
        Err(self.missing())
    }

    /// [`Chain::begin_epoch`], then reports sync for every member that did not report: for committees that do not change.
    pub async fn advance_epoch(&self) -> Result<u32, ChainError> {
        Err(self.missing())
    }

    fn missing(&self) -> ChainError {
        let Inner {} = *self.inner;
        ChainError::Store("not built yet".into())
    }
}
