//! The storage under a drive, as a check asks for it.

use crate::cache::PackReader;
use crate::drive::{DriveClient, chain_error};
use crate::error::{FsError, FsResult, Kind};
use crate::pack::{PackRef, PackSource};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use redstuff::{Axis, BlobId, PairIndex};
use std::sync::Arc;
use walrus_client::chain::WalrusState;
use walrus_client::client::WalrusClient;
use walrus_client::wire::node::StoredOnNodeStatus;

/// A blob that the pool holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub blob_id: [u8; 32],
    /// Its unencoded length, bytes.
    pub size: u64,
    /// Whether it was certified.
    pub certified: bool,
}

/// What the nodes say of a blob's slivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// Slivers that are there.
    pub slivers: u64,
    /// Shards whose node says that it lacks one or both.
    pub missing: u32,
    /// Shards whose node did not answer.
    pub silent: u32,
    /// Shards in all.
    pub shards: u32,
    /// Shards that it takes to read a blob.
    pub needed: u32,
}

impl Availability {
    /// Whether it reads by what answered.
    pub fn reads(&self) -> bool {
        self.shards.saturating_sub(self.missing).saturating_sub(self.silent) >= self.needed
    }

    /// Whether it can never be read again: the silent nodes cannot make good what the others lack.
    pub fn is_gone(&self) -> bool {
        self.shards.saturating_sub(self.missing) < self.needed
    }
}

/// The pool of a drive and the nodes that hold its blobs.
pub trait Storage: Send + Sync {
    /// Every blob that the pool holds.
    fn held(&self) -> BoxFuture<'_, FsResult<Vec<Held>>>;

    /// Encoded bytes that `held` take, and what the pool says is taken.
    fn accounts<'a>(&'a self, held: &'a [Held]) -> BoxFuture<'a, FsResult<(u64, u64)>>;

    /// Asks every node for the slivers that it must have.
    fn availability(&self, blob: [u8; 32]) -> BoxFuture<'_, FsResult<Availability>>;

    /// Deletes blobs that no pack of the committed tree is.
    fn delete<'a>(&'a self, blobs: &'a [[u8; 32]]) -> BoxFuture<'a, FsResult<()>>;
}

/// The real storage.
pub struct WalrusStorage {
    client: Arc<WalrusClient>,
    drive: Arc<DriveClient>,
}

/// Requests at once in all.
const ASKING: usize = 64;

impl WalrusStorage {
    /// The storage of `drive`.
    pub fn new(client: Arc<WalrusClient>, drive: Arc<DriveClient>) -> Self {
        Self { client, drive }
    }

    async fn walrus(&self) -> FsResult<Arc<WalrusState>> {
        self.client.state().await.map_err(|error| chain_error("the network cannot be read", error))
    }
}

impl Storage for WalrusStorage {
    fn held(&self) -> BoxFuture<'_, FsResult<Vec<Held>>> {
        async {
            let blobs = self.drive.all_pooled().await?;
            Ok(blobs
                .into_iter()
                .map(|blob| Held { blob_id: blob.blob_id, size: blob.size, certified: blob.certified })
                .collect())
        }
        .boxed()
    }

    fn accounts<'a>(&'a self, held: &'a [Held]) -> BoxFuture<'a, FsResult<(u64, u64)>> {
        async move {
            let walrus = self.walrus().await?;
            let mut sum = 0u64;
            for blob in held {
                let encoded = walrus.encoded_size(blob.size);
                let encoded = encoded.map_err(|error| chain_error("a blob's encoded size", error))?;
                sum = sum.saturating_add(encoded);
            }
            Ok((sum, self.drive.refresh().await?.pool.used))
        }
        .boxed()
    }

    fn availability(&self, blob: [u8; 32]) -> BoxFuture<'_, FsResult<Availability>> {
        async move {
            let walrus = self.walrus().await?;
            let committee = walrus.read_committee(None);
            let blob = BlobId(blob);
            let mut asked = Vec::new();
            for (nth, node) in committee.nodes().iter().enumerate() {
                asked.extend(committee.pairs_of(node, &blob).map(|pair| (nth, pair)));
            }
            let params = committee.params();
            let mut sum = Availability {
                shards: u32::from(params.n_shards()),
                needed: u32::from(params.rows()),
                ..Availability::default()
            };
            let ask = |(nth, pair): (usize, PairIndex)| {
                let (committee, nodes) = (Arc::clone(committee), Arc::clone(self.client.nodes()));
                async move {
                    let node = committee.nodes().get(nth)?;
                    let (primary, secondary) = futures::join!(
                        nodes.sliver_status(node, &blob, pair, Axis::Primary),
                        nodes.sliver_status(node, &blob, pair, Axis::Secondary),
                    );
                    Some([primary, secondary])
                }
                .boxed()
            };
            let mut answers = stream::iter(asked.into_iter().map(ask)).buffer_unordered(ASKING);
            while let Some(both) = answers.next().await {
                let Some(both) = both else { continue };
                let there = both.iter().filter(|answer| matches!(answer, Ok(StoredOnNodeStatus::Stored))).count();
                let silent = both.iter().any(|answer| answer.as_ref().is_err_and(|error| !error.is_not_found()));
                sum.slivers += there as u64;
                match (there, silent) {
                    (2, _) => {}
                    (_, true) => sum.silent += 1,
                    _ => sum.missing += 1,
                }
            }
            Ok(sum)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, blobs: &'a [[u8; 32]]) -> BoxFuture<'a, FsResult<()>> {
        async move { self.drive.delete_unnamed(blobs).await.map(drop) }.boxed()
    }
}

/// Reads packs from verified slivers, and tells what is gone for good from what does not answer: a blob that cannot be read
/// although the nodes answer is [`Kind::Corrupt`].
pub struct Certain<'a> {
    reader: PackReader,
    storage: &'a dyn Storage,
}

impl<'a> Certain<'a> {
    /// Reads through `reader` and asks `storage` when that fails.
    pub fn new(reader: PackReader, storage: &'a dyn Storage) -> Self {
        Self { reader, storage }
    }
}

impl PackSource for Certain<'_> {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        async move {
            let verified = self.reader.verified();
            let error = match verified.read(pack, offset, len).await {
                Err(error) if error.kind() == Kind::Unreachable => error,
                known => return known,
            };
            if pack.blob_id != [0; 32] && !self.storage.availability(pack.blob_id).await?.is_gone() {
                return Err(error);
            }
            let blob = hex::encode(pack.blob_id);
            Err(FsError::new(Kind::Corrupt, format!("the nodes no longer hold blob {blob}")).caused_by(error))
        }
        .boxed()
    }
}
