//! Many rows of one blob: from their nodes, and what is missing in the cheapest way.

use super::recover::decode;
use super::{BlobRef, Check, Reader, committees, holders};
use crate::chain::{Committee, WalrusState};
use crate::error::{ClientError, ClientResult};
use bytes::Bytes;
use futures::future::{Either, select};
use futures::stream::{self, StreamExt, TryStreamExt};
use redstuff::{Axis, Consistency, Primary, SliverIndex, VerifiedMetadata};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Notify;

/// Symbols that rebuild a sliver are two to three times its size with their proofs, and each costs its node an encoding.
const SYMBOLS_PER_SLIVER: usize = 3;
/// A larger blob is not held in memory for the sake of a range.
const MAX_DECODED: u64 = 256 << 20;

impl Reader {
    /// These rows of a blob, verified.
    ///
    /// # Errors
    /// As [`Reader::systematic_sliver`].
    pub(super) async fn rows(
        &self,
        blob: BlobRef,
        metadata: &Arc<VerifiedMetadata>,
        rows: Vec<u16>,
    ) -> ClientResult<HashMap<u16, Bytes>> {
        let state = self.chain.state().await?;
        let all = committees(&state, None);
        let parallel = self.parallel_rows(metadata);
        let asked = stream::iter(rows).map(|row| {
            let all = &all;
            async move { (row, self.in_time(all, &blob, SliverIndex::new(row)).await) }
        });
        let answers: Vec<(u16, Option<Bytes>)> = asked.buffer_unordered(parallel).collect().await;
        let mut found = HashMap::with_capacity(answers.len());
        let mut missing = Vec::new();
        for (row, answer) in answers {
            match answer {
                Some(bytes) => {
                    found.insert(row, bytes);
                }
                None => missing.push(row),
            }
        }
        let lacking = usize::from(metadata.params().rows()).saturating_sub(found.len());
        if missing.len() * SYMBOLS_PER_SLIVER > lacking
            && blob.size <= MAX_DECODED
            && self.decode_rows(&state, metadata, &mut found, &missing).await
        {
            return Ok(found);
        }
        let rebuilt: Vec<(u16, Bytes)> = stream::iter(missing)
            .map(|row| async move {
                let found = self.systematic_sliver(blob, row, Check::Verify).await?;
                Ok::<_, ClientError>((row, found.bytes))
            })
            .buffer_unordered(parallel)
            .try_collect()
            .await?;
        found.extend(rebuilt);
        Ok(found)
    }

    /// The row from its node, if the node is well and answers in time.
    async fn in_time(&self, all: &[Arc<Committee>], blob: &BlobRef, row: SliverIndex<Primary>) -> Option<Bytes> {
        let holders = holders(all, row, &blob.id);
        let health = self.nodes.health();
        if holders.iter().all(|node| health.is_avoided(&node.id)) {
            return None;
        }
        let params = all.first()?.params();
        let length = params.sliver_length(Axis::Primary, blob.size).ok()?;
        let asked = Notify::new();
        let direct = pin!(self.direct(params, &holders, blob, row, Check::Verify, &asked));
        let late = pin!(self.late(&asked, length));
        match select(direct, late).await {
            Either::Left((answer, _)) => answer.ok().map(|found| found.bytes),
            Either::Right(_) => {
                holders.iter().for_each(|node| health.was_late(&node.id));
                None
            }
        }
    }

    /// Decodes the blob from what was found and as much more as is needed, and adds the missing rows. Whether it could be.
    async fn decode_rows(
        &self,
        state: &WalrusState,
        metadata: &Arc<VerifiedMetadata>,
        found: &mut HashMap<u16, Bytes>,
        missing: &[u16],
    ) -> bool {
        let _place = self.hedges.decodings.acquire().await;
        for committee in committees(state, None) {
            let known = found.iter().map(|(row, bytes)| (*row, bytes.clone())).collect();
            let slivers = match self.collect_primaries(&committee, metadata, None, known).await {
                Ok(slivers) => slivers,
                Err(error) => {
                    tracing::debug!(blob = %metadata.blob_id(), %error, "the blob cannot be decoded for a range");
                    continue;
                }
            };
            let metadata = metadata.clone();
            let missing = missing.to_vec();
            let decoded = tokio::task::spawn_blocking(move || cut(&metadata, &slivers, &missing)).await;
            if let Ok(Ok(rows)) = decoded {
                found.extend(rows);
                return true;
            }
        }
        false
    }
}

/// Rows of the blob that verified slivers decode to, each verified.
fn cut(metadata: &VerifiedMetadata, slivers: &[(u16, Bytes)], rows: &[u16]) -> ClientResult<Vec<(u16, Bytes)>> {
    let blob = Bytes::from(decode(metadata, slivers, Consistency::Skip)?);
    let length = metadata.sliver_length(Axis::Primary);
    let cut = rows.iter().map(|row| {
        let start = (usize::from(*row) * length).min(blob.len());
        let end = (start + length).min(blob.len());
        let mut bytes = blob.slice(start..end);
        if bytes.len() < length {
            let mut padded = bytes.to_vec();
            padded.resize(length, 0);
            bytes = Bytes::from(padded);
        }
        let sliver = redstuff::Sliver::<Primary>::new(SliverIndex::new(*row), metadata.symbol_size(), bytes.as_ref());
        sliver.verify(metadata).map_err(|_| ClientError::Inconsistent { blob: metadata.blob_id().to_string() })?;
        Ok((*row, bytes))
    });
    cut.collect()
}
