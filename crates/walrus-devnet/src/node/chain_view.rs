//! What a node needs of the chain, as a seam: the real chain in the process, a scripted one in tests of single nodes.

use futures::future::BoxFuture;
use sui_sdk_types::Address;
use tokio::sync::watch;

use crate::chain::{BlobRegistration, Chain, ChainError, ChainEvent, CommitteeView};

/// The chain as storage nodes read it. Calls are short reads of a local store and may be made from async code.
pub trait ChainView: Send + Sync + 'static {
    /// The Walrus epoch.
    fn epoch(&self) -> Result<u32, ChainError>;
    /// The committee and the phase of the epoch.
    fn committee(&self) -> Result<CommitteeView, ChainError>;
    /// Every registration of a blob that was not deleted, expired ones included.
    fn registrations(&self, blob_id: &[u8; 32]) -> Result<Vec<BlobRegistration>, ChainError>;
    /// Position of the newest event.
    fn watch_events(&self) -> Result<watch::Receiver<u64>, ChainError>;
    /// At most `limit` events after position `after`.
    fn events_after(&self, after: u64, limit: usize) -> Result<Vec<ChainEvent>, ChainError>;
    /// Reports that a node serves its shards of `epoch`.
    fn epoch_sync_done(&self, node_id: Address, epoch: u32) -> BoxFuture<'_, Result<(), ChainError>>;
}

impl ChainView for Chain {
    fn epoch(&self) -> Result<u32, ChainError> {
        Chain::epoch(self)
    }

    fn committee(&self) -> Result<CommitteeView, ChainError> {
        Chain::committee(self)
    }

    fn registrations(&self, blob_id: &[u8; 32]) -> Result<Vec<BlobRegistration>, ChainError> {
        Chain::registrations(self, blob_id)
    }

    fn watch_events(&self) -> Result<watch::Receiver<u64>, ChainError> {
        Chain::watch_events(self)
    }

    fn events_after(&self, after: u64, limit: usize) -> Result<Vec<ChainEvent>, ChainError> {
        Chain::events_after(self, after, limit)
    }

    fn epoch_sync_done(&self, node_id: Address, epoch: u32) -> BoxFuture<'_, Result<(), ChainError>> {
        Box::pin(Chain::epoch_sync_done(self, node_id, epoch))
    }
}
