//! What the pipeline asks of the network, as a seam: the real one stands over the Drive and the Walrus client, tests put
//! one in memory that fails where they want it to.

use crate::drive::CommitTag;
use crate::error::FsResult;
use crate::ids::Sequence;
use crate::pack::RootRef;
use bytes::Bytes;
use futures::future::BoxFuture;
use redstuff::Encoded;
use std::sync::Arc;
use sui_sdk_types::Address;
use walrus_client::wire::message::Certificate;

/// A pack that the network holds: registered, uploaded, confirmed by a quorum, but not certified yet.
#[derive(Clone, Debug)]
pub struct StoredBlob {
    /// The blob's id.
    pub blob_id: [u8; 32],
    /// Its length, bytes.
    pub size: u64,
    /// The object that its registration made.
    pub object_id: Address,
    /// The confirmations.
    pub certificate: Certificate,
}

/// One commit of the Drive.
#[derive(Clone, Debug, Default)]
pub struct CommitRequest {
    /// The sequence that the commit makes.
    pub sequence: Sequence,
    /// The commit's name, by which it is recognised after a lost answer or a crash.
    pub tag: CommitTag,
    /// Blobs to certify: everything that the new tree names and no earlier commit certified.
    pub certify: Vec<StoredBlob>,
    /// Blobs to delete: nothing names them any more.
    pub delete: Vec<[u8; 32]>,
    /// The new root, if it moves.
    pub root: Option<RootRef>,
    /// Log entries that the new root contains, counted from the oldest.
    pub log_drop: u64,
    /// A new log entry, sealed.
    pub log_append: Option<Bytes>,
}

/// Capacity of the pool in encoded bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Bought.
    pub total: u64,
    /// Taken by registered blobs.
    pub used: u64,
}

/// Called from any thread when an upload gets on.
pub type Moved = Arc<dyn Fn() + Send + Sync>;

/// The network under a drive that is mounted for writing.
pub trait Network: Send + Sync + 'static {
    /// What a blob of `size` bytes takes of the pool, bytes.
    fn encoded_len(&self, size: u64) -> FsResult<u64>;

    /// The largest blob, bytes.
    fn max_blob(&self) -> u64;

    /// Every pack's size is a multiple of this many bytes (rows times columns times two).
    fn padding(&self) -> u64;

    /// Takes the lease, or finds that this machine holds it. [`crate::error::Kind::LeaseLost`] when another does.
    fn take_lease(&self) -> BoxFuture<'_, FsResult<()>>;

    /// Gives the lease back; the drive is clean.
    fn give_lease(&self) -> BoxFuture<'_, FsResult<()>>;

    /// Encodes a blob: its id is known from here on. Uses the processor, not the network.
    fn encode(&self, blob: Bytes) -> BoxFuture<'_, FsResult<Arc<Encoded<Bytes>>>>;

    /// Registers and uploads a blob and collects confirmations of a quorum. Idempotent: the same blob may be stored
    /// again after a failure. `moved` is called whenever the network took something that it did not have.
    fn store(&self, blob: Arc<Encoded<Bytes>>, moved: Moved) -> BoxFuture<'_, FsResult<StoredBlob>>;

    /// Gives back the capacity of those of `blobs` that were registered and never certified.
    fn sweep<'a>(&'a self, blobs: &'a [[u8; 32]]) -> BoxFuture<'a, FsResult<()>>;

    /// Collects confirmations anew, uploading again what nodes miss: the epoch moved before the commit.
    fn store_again<'a>(&'a self, blob: &'a StoredBlob, moved: Moved) -> BoxFuture<'a, FsResult<StoredBlob>>;

    /// Commits: all of it or nothing. A lost answer is settled inside; an error means that it did not happen, except
    /// [`crate::error::Kind::Unreachable`]: then the same request is made again.
    fn commit<'a>(&'a self, request: &'a CommitRequest) -> BoxFuture<'a, FsResult<Committed>>;

    /// Capacity as last seen.
    fn capacity(&self) -> Capacity;
}

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is final.
    Done,
    /// Nothing happened: the confirmations are of an earlier epoch and have to be collected anew.
    EpochMoved,
}
