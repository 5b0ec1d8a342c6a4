//! Metadata (verified against the blob id, cached) and status (agreed by enough weight).

use super::{Reader, committees};
use crate::chain::{Committee, Node};
use crate::error::{ClientError, ClientResult};
use crate::wire::node::BlobStatus;
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use redstuff::{BlobId, VerifiedMetadata};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Requests for one blob's metadata that run at once when all is well.
const PARALLEL: usize = 2;

type Cell = Arc<OnceCell<Arc<VerifiedMetadata>>>;

/// Recently used metadata; many readers of one blob share one fetch.
pub(super) struct MetadataCache {
    limit: usize,
    cells: Mutex<Cells>,
}

#[derive(Default)]
struct Cells {
    by_blob: HashMap<BlobId, (u64, Cell)>,
    /// Counts uses: the entry with the lowest number goes first.
    clock: u64,
}

impl MetadataCache {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), cells: Mutex::default() }
    }

    fn cell(&self, blob: &BlobId) -> Cell {
        let Cells { by_blob, clock } = &mut *self.cells.lock();
        *clock += 1;
        if !by_blob.contains_key(blob) && by_blob.len() >= self.limit {
            let oldest = by_blob.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                by_blob.remove(&oldest);
            }
        }
        let (used, cell) = by_blob.entry(*blob).or_default();
        *used = *clock;
        cell.clone()
    }
}

impl Reader {
    /// The metadata of a blob, verified against its id.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when nodes with more than 2f shards say so; [`ClientError::Unreachable`].
    pub async fn metadata(&self, blob: &BlobId, certified_epoch: Option<u32>) -> ClientResult<Arc<VerifiedMetadata>> {
        let cell = self.metadata.cell(blob);
        cell.get_or_try_init(|| self.fetch_metadata(blob, certified_epoch)).await.cloned()
    }

    /// Puts metadata into the cache that was verified elsewhere (just written).
    pub fn remember_metadata(&self, metadata: Arc<VerifiedMetadata>) {
        let cell = self.metadata.cell(metadata.blob_id());
        // If somebody was faster, the same metadata is there already: the id commits to it.
        let _ = cell.set(metadata);
    }

    async fn fetch_metadata(&self, blob: &BlobId, certified_epoch: Option<u32>) -> ClientResult<Arc<VerifiedMetadata>> {
        let state = self.chain.state().await?;
        let mut result = Err(ClientError::unreachable(format!("metadata of blob {blob}"), "there are no nodes"));
        for committee in committees(&state, certified_epoch) {
            result = self.metadata_from(&committee, blob).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    async fn metadata_from(&self, committee: &Committee, blob: &BlobId) -> ClientResult<Arc<VerifiedMetadata>> {
        let mut order = self.by_health(committee).into_iter();
        let mut under_way = FuturesUnordered::new();
        let mut absent = 0u32;
        let mut last = String::new();
        let hedge = self.nodes.health().hedge_after();
        let mut parallel = PARALLEL;
        loop {
            while under_way.len() < parallel
                && let Some(node) = order.next()
            {
                under_way.push(async move { (node, self.nodes.metadata(node, blob, committee.params()).await) });
            }
            let next = tokio::time::timeout(hedge, under_way.next()).await;
            let (node, result) = match next {
                Ok(Some(finished)) => finished,
                Ok(None) => break,
                Err(_) => {
                    // Slow nodes are not waited for alone.
                    parallel += PARALLEL;
                    continue;
                }
            };
            match result {
                Ok(metadata) => return Ok(Arc::new(metadata)),
                Err(error) => {
                    if error.is_not_found() || error.is_blocked() {
                        absent += node.weight();
                    }
                    last = format!("{}: {error}", node.name);
                }
            }
            if absent > 2 * u32::from(committee.params().max_faulty()) {
                return Err(ClientError::NotFound { what: format!("blob {blob}") });
            }
        }
        Err(ClientError::unreachable(format!("metadata of blob {blob}"), last))
    }

    /// All nodes, healthy ones first, otherwise in random order.
    pub(super) fn by_health<'a>(&self, committee: &'a Committee) -> Vec<&'a Node> {
        let mut nodes: Vec<&Node> = committee.nodes().iter().filter(|node| !node.shards.is_empty()).collect();
        shuffle(&mut nodes);
        nodes.sort_by_cached_key(|node| self.nodes.health().is_avoided(&node.id));
        nodes
    }

    /// What the network knows about a blob: a status that nodes with more than f shards agree on.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when too few nodes answer or they disagree.
    pub async fn status(&self, blob: &BlobId) -> ClientResult<BlobStatus> {
        let state = self.chain.state().await?;
        let committee = &state.committee;
        let asked = committee.nodes().iter().map(|node| async move { (node, self.nodes.status(node, blob).await) });
        let mut under_way: FuturesUnordered<_> = asked.collect();
        let mut answers: Vec<(BlobStatus, u32)> = Vec::new();
        let (mut weight, mut last) = (0u32, String::new());
        while let Some((node, result)) = under_way.next().await {
            match result {
                Ok(status) => {
                    weight += node.weight();
                    match answers.iter_mut().find(|(known, _)| agree(known, &status)) {
                        Some((_, support)) => *support += node.weight(),
                        None => answers.push((status, node.weight())),
                    }
                }
                Err(error) => last = format!("{}: {error}", node.name),
            }
            if weight >= committee.quorum()
                && let Some(status) = settled(&answers, committee)
            {
                return Ok(status);
            }
        }
        let reason = if last.is_empty() { "the nodes disagree".to_owned() } else { last };
        Err(ClientError::unreachable(format!("status of blob {blob}"), reason))
    }
}

/// The highest status with more than f shards behind it; "nonexistent" needs more than 2f.
fn settled(answers: &[(BlobStatus, u32)], committee: &Committee) -> Option<BlobStatus> {
    let f = u32::from(committee.params().max_faulty());
    let mut sorted: Vec<&(BlobStatus, u32)> = answers.iter().collect();
    sorted.sort_by_key(|(status, _)| std::cmp::Reverse(rank(status)));
    let found = sorted.into_iter().find(|(status, support)| match status {
        BlobStatus::Nonexistent => *support > 2 * f,
        _ => *support > f,
    });
    found.map(|(status, _)| status.clone())
}

/// The order of statuses; counts of deletable objects do not matter for it.
fn rank(status: &BlobStatus) -> (u8, bool, u32) {
    match status {
        BlobStatus::Nonexistent => (0, false, 0),
        BlobStatus::Deletable { initial_certified_epoch, .. } => (1, initial_certified_epoch.is_some(), 0),
        BlobStatus::Permanent { is_certified, end_epoch, .. } => (2, *is_certified, *end_epoch),
        BlobStatus::Invalid { .. } => (3, false, 0),
    }
}

fn agree(a: &BlobStatus, b: &BlobStatus) -> bool {
    rank(a) == rank(b) && a.initial_certified_epoch() == b.initial_certified_epoch()
}

/// Puts a list in random order.
pub(super) fn shuffle<T>(items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let mut random = [0u8; 8];
        if getrandom::fill(&mut random).is_err() {
            // Order is a matter of load, not of correctness.
            return;
        }
        let bound = last as u64 + 1;
        items.swap(last, usize::try_from(u64::from_le_bytes(random) % bound).unwrap_or(last));
    }
}
