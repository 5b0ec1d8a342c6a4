//! Files in quilts: a patch is a few whole columns of the blob's matrix.
//!
//! Mechanism: a systematic column is one secondary sliver on one node, so a small file out of a large quilt costs its own
//! columns. If a column fails or is late, the blob is read whole at the same time and the columns are cut out of it. Every
//! column is verified against the blob id, wherever it comes from.

use super::{Reader, committees, holders};
use crate::chain::Committee;
use crate::error::{ClientError, ClientResult};
use crate::node::NodeError;
use bytes::Bytes;
use futures::future::{Either, select};
use futures::stream::{self, StreamExt, TryStreamExt};
use redstuff::quilt::{PatchContent, QuiltIndex, QuiltPatchId, index_columns, read_patch};
use redstuff::{Axis, BlobId, Consistency, Secondary, Sliver, SliverIndex, VerifiedMetadata};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

type Column = Sliver<'static, Secondary>;

impl Reader {
    /// Which files a quilt holds, and where.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if the blob is no quilt; otherwise as [`Reader::read_blob`].
    pub async fn quilt_index(&self, id: &BlobId) -> ClientResult<QuiltIndex> {
        let no_quilt = |error| ClientError::Invalid(format!("blob {id} is no quilt: {error}"));
        let metadata = self.metadata(id, None).await?;
        let mut columns = self.columns(&metadata, 0..1).await?;
        let first = columns.first().ok_or_else(|| ClientError::bad(format!("blob {id}"), "it has no columns"))?;
        let need = index_columns(metadata.params(), first).map_err(no_quilt)?;
        columns.extend(self.columns(&metadata, 1..need).await?);
        QuiltIndex::read(metadata.params(), &columns).map_err(no_quilt)
    }

    /// One file of a quilt. Needs no index: the id says which columns.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if there is no file in these columns; otherwise as [`Reader::read_blob`].
    pub async fn read_patch(&self, patch: &QuiltPatchId) -> ClientResult<PatchContent> {
        let Range { start, end } = patch.columns;
        let metadata = self.metadata(&patch.quilt_id, None).await?;
        let columns = metadata.params().columns();
        if end > columns {
            return Err(ClientError::Invalid(format!(
                "quilt {} has {columns} columns; the patch id {patch} names {start}..{end}",
                patch.quilt_id
            )));
        }
        let slivers = self.columns(&metadata, start..end).await?;
        read_patch(start..end, &slivers).map_err(|error| {
            ClientError::Invalid(format!("columns {start}..{end} of blob {} hold no file: {error}", patch.quilt_id))
        })
    }

    /// Verified columns, in order.
    async fn columns(&self, metadata: &Arc<VerifiedMetadata>, wanted: Range<u16>) -> ClientResult<Vec<Column>> {
        let parallel = (self.config.in_flight_bytes / metadata.sliver_length(Axis::Secondary).max(1)).clamp(2, 64);
        let rounds = u32::try_from(wanted.len().div_ceil(parallel)).unwrap_or(u32::MAX);
        let direct = pin!(self.direct_columns(metadata, wanted.clone(), parallel));
        let late = pin!(tokio::time::sleep(self.nodes.health().hedge_after().saturating_mul(rounds)));
        let direct = match select(direct, late).await {
            Either::Left((Ok(columns), _)) => return Ok(columns),
            Either::Left((Err(error), _)) => {
                tracing::debug!(blob = %metadata.blob_id(), %error, "a column's own node failed, reading the whole quilt");
                return self.cut_columns(metadata, wanted).await;
            }
            Either::Right(((), direct)) => direct,
        };
        let cut = pin!(self.cut_columns(metadata, wanted));
        match select(direct, cut).await {
            Either::Left((Ok(columns), _)) | Either::Right((Ok(columns), _)) => Ok(columns),
            Either::Left((Err(_), cut)) => cut.await,
            Either::Right((Err(error), direct)) => direct.await.map_err(|_| error),
        }
    }

    async fn direct_columns(
        &self,
        metadata: &Arc<VerifiedMetadata>,
        wanted: Range<u16>,
        parallel: usize,
    ) -> ClientResult<Vec<Column>> {
        let state = self.chain.state().await?;
        let committees = &committees(&state, None);
        stream::iter(wanted)
            .map(|column| async move {
                let found = self.direct_column(committees, metadata, SliverIndex::new(column)).await;
                found.map_err(|error| ClientError::unreachable(format!("column {column}"), error))
            })
            .buffered(parallel)
            .try_collect()
            .await
    }

    /// Asks the nodes that hold the column, one after the other.
    async fn direct_column(
        &self,
        committees: &[Arc<Committee>],
        metadata: &Arc<VerifiedMetadata>,
        target: SliverIndex<Secondary>,
    ) -> Result<Column, NodeError> {
        let length = metadata.sliver_length(Axis::Secondary);
        let pair = target.pair(metadata.params());
        let mut last = NodeError::Unreachable("nobody holds the shard".to_owned());
        for node in holders(committees, target, metadata.blob_id()) {
            match self.nodes.sliver(node, metadata.blob_id(), pair, Axis::Secondary, length, None).await {
                Ok(raw) if raw.index == target.get() => {
                    match self.verified::<Secondary>(node, raw, metadata.clone()).await {
                        Ok(data) => return Ok(Sliver::new(target, metadata.symbol_size(), Vec::from(data))),
                        Err(error) => last = error,
                    }
                }
                Ok(_) => {
                    self.nodes.lied(node, "another sliver than was asked for");
                    last = NodeError::False("another sliver than was asked for".to_owned());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn cut_columns(&self, metadata: &Arc<VerifiedMetadata>, wanted: Range<u16>) -> ClientResult<Vec<Column>> {
        let blob = self.read_blob(metadata.blob_id(), Consistency::Skip).await?;
        let metadata = metadata.clone();
        tokio::task::spawn_blocking(move || wanted.map(|column| cut(&metadata, &blob, column)).collect())
            .await
            .map_err(|error| ClientError::unreachable("cutting columns", error))?
    }
}

/// One column of the matrix that a blob fills row by row.
fn cut(metadata: &VerifiedMetadata, blob: &Bytes, column: u16) -> ClientResult<Column> {
    let params = metadata.params();
    let symbol = usize::from(metadata.symbol_size().get());
    let mut data = vec![0; metadata.sliver_length(Axis::Secondary)];
    for (row, target) in data.chunks_mut(symbol).enumerate() {
        let start = (row * usize::from(params.columns()) + usize::from(column)) * symbol;
        let found = blob.get(start..blob.len().min(start + symbol)).unwrap_or_default();
        target[..found.len()].copy_from_slice(found);
    }
    let sliver = Sliver::new(SliverIndex::new(column), metadata.symbol_size(), data);
    // The slivers that gave the blob were verified: if it has another column, the commitments contradict each other.
    sliver.verify(metadata).map_err(|_| ClientError::Inconsistent { blob: metadata.blob_id().to_string() })?;
    Ok(sliver)
}
