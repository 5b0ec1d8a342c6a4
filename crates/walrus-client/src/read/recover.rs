//! Rebuilding one row without its node: from recovery symbols, or from other primary slivers.

use super::{BlobRef, Reader, RowBytes};
use crate::chain::{Committee, Node};
use crate::error::{ClientError, ClientResult};
use crate::node::NodeError;
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use redstuff::{
    Axis, Consistency, GeneralRecoverySymbol, Primary, Recovered, RecoverySymbol, Sliver, SliverIndex,
    VerifiedMetadata, recover_sliver,
};
use std::collections::HashMap;
use std::sync::Arc;

impl Reader {
    /// The row, from anything but its own node. What comes back is verified.
    pub(super) async fn rebuild(
        &self,
        committees: &[Arc<Committee>],
        blob: &BlobRef,
        target: SliverIndex<Primary>,
    ) -> ClientResult<RowBytes> {
        let metadata = self.metadata(&blob.id, blob.certified_epoch).await?;
        if metadata.unencoded_length() != blob.size {
            return Err(ClientError::Invalid(format!(
                "blob {} has {} bytes, not {}",
                blob.id,
                metadata.unencoded_length(),
                blob.size
            )));
        }
        let mut last = ClientError::unreachable(format!("blob {}", blob.id), "there are no nodes");
        let _place = self.hedges.rebuilds.acquire().await;
        for committee in committees {
            match self.recover_row(committee, &metadata, target).await {
                Ok(bytes) => return Ok(RowBytes { bytes, verified: true }),
                Err(error @ ClientError::Inconsistent { .. }) => return Err(error),
                Err(error) => last = error,
            }
            tracing::debug!(blob = %blob.id, row = target.get(), error = %last, "recovery failed, decoding");
            match self.decode_row(committee, &metadata, target).await {
                Ok(bytes) => return Ok(RowBytes { bytes, verified: true }),
                Err(error @ ClientError::Inconsistent { .. }) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks every node for its symbols of the row; enough distinct proven ones give the sliver.
    async fn recover_row(
        &self,
        committee: &Committee,
        metadata: &Arc<VerifiedMetadata>,
        target: SliverIndex<Primary>,
    ) -> ClientResult<Bytes> {
        let params = committee.params();
        let need = usize::from(params.symbols_per_sliver(Axis::Primary));
        let mut under_way: FuturesUnordered<_> = self
            .by_health(committee)
            .into_iter()
            .map(|node| async move { (node, self.proven_symbols(node, metadata, target).await) })
            .collect();
        let mut symbols: HashMap<u16, RecoverySymbol<Primary>> = HashMap::new();
        let mut outstanding = usize::from(params.n_shards());
        let mut failures = Vec::new();
        while symbols.len() < need {
            if symbols.len() + outstanding < need {
                break;
            }
            let Some((node, result)) = under_way.next().await else { break };
            outstanding = outstanding.saturating_sub(node.shards.len());
            match result {
                Ok(found) => {
                    symbols.extend(found.into_iter().map(|symbol| (symbol.symbol().source().get(), symbol)));
                }
                Err(error) => failures.push(format!("{}: {error}", node.name)),
            }
        }
        drop(under_way);
        if symbols.len() < need {
            return Err(too_few(metadata, symbols.len(), need, failures));
        }
        let metadata = metadata.clone();
        let recovered = tokio::task::spawn_blocking(move || {
            let id = *metadata.blob_id();
            recover_sliver(target, symbols.into_values().collect(), &metadata).map(|found| (id, found))
        })
        .await
        .map_err(|error| ClientError::unreachable("recovery of a sliver", error))?;
        match recovered {
            Ok((_, Recovered::Sliver(sliver))) => Ok(Bytes::from(sliver.into_data().into_owned())),
            Ok((id, Recovered::Inconsistent(_))) => Err(ClientError::Inconsistent { blob: id.to_string() }),
            Err(error) => Err(ClientError::bad("recovery of a sliver", error)),
        }
    }

    /// One node's symbols for a row, those with a proof that holds.
    async fn proven_symbols(
        &self,
        node: &Node,
        metadata: &Arc<VerifiedMetadata>,
        target: SliverIndex<Primary>,
    ) -> Result<Vec<RecoverySymbol<Primary>>, NodeError> {
        let size = usize::from(metadata.symbol_size().get());
        let found = self.nodes.recovery_symbols(node, metadata.blob_id(), target, size).await?;
        let metadata = metadata.clone();
        let (good, all) = tokio::task::spawn_blocking(move || {
            let all = found.len();
            let proven = found.into_iter().filter_map(|symbol| match symbol {
                GeneralRecoverySymbol::Primary { target: named, symbol } if named == target => {
                    symbol.verify(target, &metadata).is_ok().then_some(symbol)
                }
                _ => None,
            });
            (proven.collect::<Vec<_>>(), all)
        })
        .await
        .map_err(|error| NodeError::Unreachable(format!("verification ended: {error}")))?;
        if good.len() < all {
            self.nodes.lied(node, "a recovery symbol without a valid proof");
        }
        Ok(good)
    }

    /// Decodes the blob from other primary slivers and cuts the row out.
    async fn decode_row(
        &self,
        committee: &Committee,
        metadata: &Arc<VerifiedMetadata>,
        target: SliverIndex<Primary>,
    ) -> ClientResult<Bytes> {
        let _place = self.hedges.decodings.acquire().await;
        let slivers = self.collect_primaries(committee, metadata, Some(target), Vec::new()).await?;
        let metadata = metadata.clone();
        tokio::task::spawn_blocking(move || {
            let blob = decode(&metadata, &slivers, Consistency::Skip)?;
            let length = metadata.sliver_length(Axis::Primary);
            let start = (target.as_usize() * length).min(blob.len());
            let end = (start + length).min(blob.len());
            let mut row = blob[start..end].to_vec();
            row.resize(length, 0);
            let sliver = Sliver::new(target, metadata.symbol_size(), row);
            // All slivers were verified: if what they decode to is not the committed row, the commitments are wrong.
            sliver.verify(&metadata).map_err(|_| ClientError::Inconsistent { blob: metadata.blob_id().to_string() })?;
            Ok(Bytes::from(sliver.into_data().into_owned()))
        })
        .await
        .map_err(|error| ClientError::unreachable("decoding", error))?
    }
}

/// Decodes verified slivers.
pub(super) fn decode(
    metadata: &VerifiedMetadata,
    slivers: &[(u16, Bytes)],
    consistency: Consistency,
) -> ClientResult<Vec<u8>> {
    let slivers: Vec<Sliver<'_, Primary>> = slivers
        .iter()
        .map(|(index, data)| Sliver::new(SliverIndex::new(*index), metadata.symbol_size(), data.as_ref()))
        .collect();
    redstuff::decode(metadata, &slivers, consistency).map_err(|error| match error {
        redstuff::Error::Inconsistent { blob_id, .. } => ClientError::Inconsistent { blob: blob_id.to_string() },
        other => ClientError::bad(format!("blob {}", metadata.blob_id()), other),
    })
}

/// The error for want of slivers or symbols, with the first failures.
pub(super) fn too_few(
    metadata: &VerifiedMetadata,
    found: usize,
    needed: usize,
    mut failures: Vec<String>,
) -> ClientError {
    failures.truncate(6);
    let n_shards = metadata.params().n_shards();
    ClientError::Slivers {
        blob: metadata.blob_id().to_string(),
        found,
        needed,
        missing: usize::from(n_shards).saturating_sub(found),
        n_shards,
        detail: failures.join("; "),
    }
}
