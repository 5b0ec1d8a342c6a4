//! Reading: byte ranges from systematic primary slivers, recovery of single slivers, whole blobs, metadata, status.
//!
//! Mechanism: a range lies in a few systematic primary slivers, each on one node: one request when all is well. If the
//! node fails, or is slower than twice the 90th percentile, the same row is rebuilt from the others at the same time:
//! from recovery symbols with proofs, or, if too few of those can be had, from any primary slivers. Whatever entered a
//! rebuild was verified. When so many rows of a range are missing that their symbols would be more than what the blob lacks to
//! be decoded, the blob is decoded once. With [`Check::Trust`] a row that came straight from its node was not: the caller must have
//! another way to tell (a tag), and asks again with [`Check::Verify`] when it fails. Rebuilds are few at a time ([`hedges`]).
//!
//! Promises: any f shards dead, black-holed, slow or lying cost time only. No verified byte is ever wrong. Dropping a
//! future cancels its requests.

mod blob;
mod hedges;
mod metadata;
mod quilt;
mod recover;
mod rows;

use crate::chain::{Chain, Committee, Node, WalrusState};
use crate::error::{ClientError, ClientResult};
use crate::node::{NodeClient, NodeError, RawSliver};
use bytes::Bytes;
use futures::future::{Either, select};
use hedges::Hedges;
use metadata::MetadataCache;
use redstuff::{Axis, BlobId, Params, Primary, SliverAxis, SliverIndex, VerifiedMetadata};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

pub use redstuff::Consistency;

/// A blob to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobRef {
    /// Its id.
    pub id: BlobId,
    /// Its unencoded length in bytes, as known from a trusted record.
    pub size: u64,
    /// The Walrus epoch of its certification, if known: during an epoch change it tells which nodes have it.
    pub certified_epoch: Option<u32>,
}

impl BlobRef {
    /// A blob of which nothing but id and length is known.
    pub fn new(id: BlobId, size: u64) -> Self {
        Self { id, size, certified_epoch: None }
    }
}

/// What stands between the caller and wrong bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// The caller checks the bytes itself.
    Trust,
    /// The sliver's hash is checked.
    Verify,
}

/// A systematic primary sliver, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowBytes {
    /// Its bytes, with the zero padding of the last row.
    pub bytes: Bytes,
    /// Whether its hash was checked against the blob id.
    pub verified: bool,
}

/// Bounds of reads.
#[derive(Clone, Debug)]
pub struct ReadConfig {
    /// Blobs whose metadata is kept (about 66 KB each at 1000 shards).
    pub cached_metadata: usize,
    /// Bytes of slivers in memory for one read of many rows.
    pub in_flight_bytes: usize,
    /// Before an error is returned for want of slivers, the committee is read again if older than this.
    pub stale_committee: Duration,
}

impl Default for ReadConfig {
    fn default() -> Self {
        Self { cached_metadata: 256, in_flight_bytes: 32 << 20, stale_committee: Duration::from_secs(1) }
    }
}

/// Reads blobs; clones share caches.
#[derive(Clone)]
pub struct Reader {
    nodes: Arc<NodeClient>,
    chain: Chain,
    config: Arc<ReadConfig>,
    metadata: Arc<MetadataCache>,
    hedges: Arc<Hedges>,
}

impl Reader {
    /// A reader over these nodes and this chain.
    pub fn new(nodes: Arc<NodeClient>, chain: Chain, config: ReadConfig) -> Self {
        let metadata = Arc::new(MetadataCache::new(config.cached_metadata));
        Self { nodes, chain, config: Arc::new(config), metadata, hedges: Arc::default() }
    }

    /// Row `row` of a blob: its systematic primary sliver.
    ///
    /// # Errors
    /// [`ClientError::Slivers`] when too many shards are gone, [`ClientError::NotFound`], [`ClientError::Inconsistent`].
    pub async fn systematic_sliver(&self, blob: BlobRef, row: u16, check: Check) -> ClientResult<RowBytes> {
        let state = self.chain.state().await?;
        match self.row(&state, &blob, row, check).await {
            Err(
                error @ (ClientError::Slivers { .. } | ClientError::NotFound { .. } | ClientError::Unreachable { .. }),
            ) => match self.newer(&state).await {
                Some(state) => self.row(&state, &blob, row, check).await,
                None => Err(error),
            },
            result => result,
        }
    }

    /// The state, if a fresh reading of it is another than `old` in what concerns reads.
    async fn newer(&self, old: &WalrusState) -> Option<Arc<WalrusState>> {
        if old.age() < self.config.stale_committee {
            return None;
        }
        let fresh = self.chain.refresh().await.ok()?;
        let changed = fresh.epoch() != old.epoch()
            || fresh.previous.is_some() != old.previous.is_some()
            || fresh.committee.nodes().iter().map(|n| &n.address).ne(old.committee.nodes().iter().map(|n| &n.address));
        changed.then_some(fresh)
    }

    async fn row(&self, state: &WalrusState, blob: &BlobRef, row: u16, check: Check) -> ClientResult<RowBytes> {
        let params = state.committee.params();
        if row >= params.rows() {
            return Err(ClientError::Invalid(format!("row {row} of a blob: there are {}", params.rows())));
        }
        let target = SliverIndex::<Primary>::new(row);
        let committees = committees(state, blob.certified_epoch);
        let holders = holders(&committees, target, &blob.id);
        let healthy = holders.iter().any(|node| !self.nodes.health().is_avoided(&node.id));
        if !healthy {
            return match self.rebuild(&committees, blob, target).await {
                Ok(row) => Ok(row),
                // Avoided nodes are better than none, but nothing they say is taken on trust.
                Err(error) => {
                    let asked = Notify::new();
                    self.direct(params, &holders, blob, target, Check::Verify, &asked).await.map_err(|_| error)
                }
            };
        }
        let length = params.sliver_length(Axis::Primary, blob.size).unwrap_or_default();
        let asked = Notify::new();
        let direct = pin!(self.direct(params, &holders, blob, target, check, &asked));
        let late = pin!(self.late(&asked, length));
        let direct = match select(direct, late).await {
            Either::Left((Ok(found), _)) => return Ok(found),
            Either::Left((Err(error), _)) => {
                tracing::debug!(blob = %blob.id, row, %error, "the sliver's own node failed, rebuilding it");
                return self.rebuild(&committees, blob, target).await;
            }
            Either::Right(((), direct)) => direct,
        };
        let place = pin!(self.hedges.place());
        let (direct, hedge) = match select(direct, place).await {
            Either::Left((Ok(found), _)) => return Ok(found),
            Either::Left((Err(_), _)) => return self.rebuild(&committees, blob, target).await,
            Either::Right((hedge, direct)) => (direct, hedge),
        };
        let rebuild = pin!(self.rebuild(&committees, blob, target));
        match select(direct, rebuild).await {
            Either::Left((Ok(found), _)) => {
                if let Some(hedge) = hedge {
                    hedge.lost();
                }
                Ok(found)
            }
            Either::Right((Ok(found), _)) => {
                holders.iter().for_each(|node| self.nodes.health().was_late(&node.id));
                if let Some(hedge) = hedge {
                    hedge.won();
                }
                Ok(found)
            }
            Either::Left((Err(_), rebuild)) => rebuild.await,
            Either::Right((Err(error), direct)) => direct.await.map_err(|_| error),
        }
    }

    /// Returns when an answer of `length` bytes is late, counted from when the first node was `asked`.
    async fn late(&self, asked: &Notify, length: usize) {
        asked.notified().await;
        self.nodes.late(length).await;
    }

    /// Asks the nodes that hold the sliver, one after the other.
    async fn direct(
        &self,
        params: &Params,
        holders: &[&Node],
        blob: &BlobRef,
        target: SliverIndex<Primary>,
        check: Check,
        asked: &Notify,
    ) -> Result<RowBytes, NodeError> {
        let length = params
            .sliver_length(Axis::Primary, blob.size)
            .map_err(|error| NodeError::False(format!("a blob of {} bytes: {error}", blob.size)))?;
        let mut last = NodeError::Unreachable("nobody holds the shard".to_owned());
        for node in holders {
            match self.nodes.sliver(node, &blob.id, target.pair(params), Axis::Primary, length, Some(asked)).await {
                Ok(raw) => match self.accept(node, blob, target, length, raw, check).await {
                    Ok(row) => return Ok(row),
                    Err(error) => last = error,
                },
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn accept(
        &self,
        node: &Node,
        blob: &BlobRef,
        target: SliverIndex<Primary>,
        length: usize,
        raw: RawSliver,
        check: Check,
    ) -> Result<RowBytes, NodeError> {
        if raw.index != target.get() || raw.data.len() != length {
            self.nodes.lied(node, "a sliver of another shape");
            return Err(NodeError::False("a sliver of another shape".to_owned()));
        }
        if check == Check::Trust {
            return Ok(RowBytes { bytes: raw.data, verified: false });
        }
        let metadata =
            self.metadata(&blob.id, blob.certified_epoch).await.map_err(|e| NodeError::Unreachable(e.to_string()))?;
        let data = self.verified::<Primary>(node, raw, metadata).await?;
        Ok(RowBytes { bytes: data, verified: true })
    }

    /// Checks a sliver's hash on a thread for computing.
    async fn verified<A: SliverAxis>(
        &self,
        node: &Node,
        raw: RawSliver,
        metadata: Arc<VerifiedMetadata>,
    ) -> Result<Bytes, NodeError> {
        let checked =
            tokio::task::spawn_blocking(move || raw.as_sliver::<A>().verify(&metadata).map(|()| raw.data.clone()))
                .await
                .map_err(|error| NodeError::Unreachable(format!("verification ended: {error}")))?;
        checked.map_err(|error| {
            self.nodes.lied(node, "a sliver with another hash");
            NodeError::False(error.to_string())
        })
    }
}

/// Committees that may have the blob, likeliest first.
fn committees(state: &WalrusState, certified_epoch: Option<u32>) -> Vec<Arc<Committee>> {
    let first = state.read_committee(certified_epoch).clone();
    let mut all = vec![first];
    for other in state.previous.iter().chain([&state.committee]) {
        if all.iter().all(|known| known.epoch != other.epoch) {
            all.push(other.clone());
        }
    }
    all
}

/// The nodes that may hold a sliver, without repetition.
fn holders<'a, A: SliverAxis>(
    committees: &'a [Arc<Committee>],
    target: SliverIndex<A>,
    blob: &BlobId,
) -> Vec<&'a Node> {
    let mut found: Vec<&Node> = Vec::new();
    for committee in committees {
        if let Some(node) = committee.holder(target.pair(committee.params()), blob)
            && found.iter().all(|known| known.id != node.id)
        {
            found.push(node);
        }
    }
    found
}
