//! Whole blobs and byte ranges.

use super::recover::{decode, too_few};
use super::{BlobRef, Check, Consistency, Reader, committees};
use crate::chain::{Committee, WalrusState};
use crate::error::{ClientError, ClientResult};
use crate::node::NodeError;
use bytes::Bytes;
use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};
use redstuff::{Axis, BlobId, Encoder, Primary, SliverIndex, VerifiedMetadata};
use std::ops::Range;
use std::sync::Arc;

/// Ranges of more rows are read as one, so that many missing rows need not be rebuilt one by one.
const FEW_ROWS: usize = 4;

impl Reader {
    /// Bytes `range` of a blob, every sliver verified. Costs the rows that the range touches.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for a range beyond the blob; otherwise as [`Reader::systematic_sliver`].
    pub async fn read_range(&self, id: &BlobId, range: Range<u64>) -> ClientResult<Bytes> {
        let metadata = self.metadata(id, None).await?;
        let size = metadata.unencoded_length();
        let spans: Vec<_> = metadata
            .params()
            .row_spans(size, range.clone())
            .map_err(|_| {
                let Range { start, end } = range;
                ClientError::Invalid(format!("bytes {start}..{end} do not lie in blob {id} of {size} bytes"))
            })?
            .collect();
        let parallel = self.parallel_rows(&metadata);
        let blob = BlobRef::new(*id, size);
        if spans.len() > FEW_ROWS {
            let rows = spans.iter().map(|span| span.sliver.get()).collect();
            let found = self.rows(blob, &metadata, rows).await?;
            let mut parts = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or_default());
            for span in spans {
                let row = found.get(&span.sliver.get()).and_then(|row| row.get(span.in_sliver));
                parts.extend_from_slice(
                    row.ok_or_else(|| ClientError::bad(format!("blob {id}"), "a sliver is too short"))?,
                );
            }
            return Ok(Bytes::from(parts));
        }
        let parts: Vec<Bytes> = stream::iter(spans)
            .map(|span| async move {
                let row = self.systematic_sliver(blob, span.sliver.get(), Check::Verify).await?;
                let what = || ClientError::bad(format!("blob {id}"), "a sliver is too short");
                row.bytes.get(span.in_sliver.clone()).ok_or_else(what)?;
                Ok::<_, ClientError>(row.bytes.slice(span.in_sliver))
            })
            .buffered(parallel)
            .try_collect()
            .await?;
        Ok(match parts.len() {
            1 => parts.into_iter().next().unwrap_or_default(),
            _ => Bytes::from(parts.concat()),
        })
    }

    /// A whole blob.
    ///
    /// # Errors
    /// [`ClientError::Inconsistent`] if the consistency check fails; otherwise as [`Reader::systematic_sliver`].
    pub async fn read_blob(&self, id: &BlobId, consistency: Consistency) -> ClientResult<Bytes> {
        let metadata = self.metadata(id, None).await?;
        let state = self.chain.state().await?;
        let slivers = match self.collect_from_any(&state, &metadata).await {
            Ok(slivers) => slivers,
            Err(error) => match self.newer(&state).await {
                Some(state) => self.collect_from_any(&state, &metadata).await?,
                None => return Err(error),
            },
        };
        tokio::task::spawn_blocking(move || assemble(&metadata, slivers, consistency))
            .await
            .map_err(|error| ClientError::unreachable("decoding", error))?
    }

    /// Enough slivers from one of the committees that may have them.
    async fn collect_from_any(
        &self,
        state: &WalrusState,
        metadata: &Arc<VerifiedMetadata>,
    ) -> ClientResult<Vec<(u16, Bytes)>> {
        let mut result = Err(ClientError::NotFound { what: format!("blob {}", metadata.blob_id()) });
        for committee in committees(state, None) {
            result = self.collect_primaries(&committee, metadata, None, Vec::new()).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    pub(super) fn parallel_rows(&self, metadata: &VerifiedMetadata) -> usize {
        (self.config.in_flight_bytes / metadata.sliver_length(Axis::Primary).max(1)).clamp(2, 64)
    }

    /// Enough verified primary slivers to decode, those of `known` and then systematic ones first; without `except`.
    pub(super) async fn collect_primaries(
        &self,
        committee: &Committee,
        metadata: &Arc<VerifiedMetadata>,
        except: Option<SliverIndex<Primary>>,
        known: Vec<(u16, Bytes)>,
    ) -> ClientResult<Vec<(u16, Bytes)>> {
        let params = committee.params();
        let need = usize::from(params.slivers_to_decode(Axis::Primary));
        let health = self.nodes.health();
        let mut candidates: Vec<SliverIndex<Primary>> =
            params.slivers::<Primary>().filter(|index| Some(*index) != except).collect();
        candidates.retain(|index| known.iter().all(|(known, _)| *known != index.get()));
        // Cached: whom to avoid may change meanwhile.
        candidates.sort_by_cached_key(|index| {
            let holder = committee.holder(index.pair(params), metadata.blob_id());
            (holder.is_none_or(|node| health.is_avoided(&node.id)), index.get())
        });
        let mut candidates = candidates.into_iter();
        let mut under_way = FuturesUnordered::new();
        let mut found = known;
        let mut failures = Vec::new();
        // Beyond what is still needed, only as many requests run as there are ones that are late.
        let parallel = self.parallel_rows(metadata);
        let (mut late, hedge) = (0, health.hedge_after_bytes(metadata.sliver_length(Axis::Primary)));
        while found.len() < need {
            while under_way.len() < parallel.min(need - found.len()) + late
                && let Some(index) = candidates.next()
            {
                under_way.push(async move { (index, self.verified_primary(committee, metadata, index).await) });
            }
            match tokio::time::timeout(hedge, under_way.next()).await {
                Ok(Some((index, Ok(data)))) => found.push((index.get(), data)),
                Ok(Some((index, Err(error)))) => {
                    late = late.saturating_sub(1);
                    failures.push(format!("sliver {}: {error}", index.get()));
                }
                Ok(None) => return Err(too_few(metadata, found.len(), need, failures)),
                Err(_) => late = (late + under_way.len()).min(usize::from(params.n_shards())),
            }
        }
        Ok(found)
    }

    async fn verified_primary(
        &self,
        committee: &Committee,
        metadata: &Arc<VerifiedMetadata>,
        index: SliverIndex<Primary>,
    ) -> Result<Bytes, NodeError> {
        let blob = metadata.blob_id();
        let pair = index.pair(committee.params());
        let node =
            committee.holder(pair, blob).ok_or_else(|| NodeError::Unreachable("nobody holds the shard".to_owned()))?;
        let length = metadata.sliver_length(Axis::Primary);
        let raw = self.nodes.sliver(node, blob, pair, Axis::Primary, length, None).await?;
        if raw.index != index.get() {
            self.nodes.lied(node, "another sliver than was asked for");
            return Err(NodeError::False("another sliver than was asked for".to_owned()));
        }
        self.verified::<Primary>(node, raw, metadata.clone()).await
    }
}

/// The blob from verified primary slivers: put side by side if all are systematic, decoded otherwise.
fn assemble(
    metadata: &VerifiedMetadata,
    mut slivers: Vec<(u16, Bytes)>,
    consistency: Consistency,
) -> ClientResult<Bytes> {
    let id = metadata.blob_id();
    slivers.sort_by_key(|(index, _)| *index);
    let systematic = slivers.iter().enumerate().all(|(row, (index, _))| row == usize::from(*index));
    if !systematic {
        return decode(metadata, &slivers, consistency).map(Bytes::from);
    }
    let length = usize::try_from(metadata.unencoded_length())
        .map_err(|_| ClientError::Invalid(format!("blob {id} does not fit into memory")))?;
    let mut blob = Vec::with_capacity(length);
    for (_, data) in slivers {
        let rest = length - blob.len();
        blob.extend_from_slice(data.get(..rest).unwrap_or(&data));
    }
    if consistency == Consistency::Strict {
        let encoded = Encoder::new(metadata.params())
            .metadata(&blob)
            .map_err(|error| ClientError::bad(format!("blob {id}"), error))?;
        if encoded.blob_id() != id {
            return Err(ClientError::Inconsistent { blob: id.to_string() });
        }
    }
    Ok(Bytes::from(blob))
}
