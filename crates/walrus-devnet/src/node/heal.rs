//! Healing: a node fetches from its peers what it should hold of certified blobs and does not.
//!
//! It lacks something after it was down while a blob was certified, after its disk was wiped or damaged, and when an epoch gives
//! it new shards. Three ways, cheapest first:
//!
//! 1. a shard that just moved here: its former owner still serves the sliver;
//! 2. most of the node's slivers are missing: enough primary slivers of the peers give the blob's own bytes, and every missing
//!    sliver is computed from them;
//! 3. a sliver or two are missing, or the blob is too large for 2: recovery symbols with proofs, a little more than the sliver.
//!
//! Everything is verified against metadata that hashes to the blob id, so no peer is trusted.
//!
//! Blobs to look at are marked by empty files until they are done; a restart goes on with them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use redstuff::{
    Axis, BlobId, Consistency, GeneralRecoverySymbol, Metadata, PairIndex, Primary, Recovered, RecoverySymbol,
    Secondary, Sliver, SliverAxis, SliverIndex, VerifiedMetadata, decode, recover_sliver,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::peers::Peers;
use super::placement::Placement;
use super::service::StorageNode;
use super::store::BlobFile;
use super::symbols::Wanted;
use crate::chain::CommitteeMember;

/// Larger blobs are rebuilt from symbols, sliver by sliver: decoding holds the blob in memory twice.
const MAX_DECODED: u64 = 256 << 20;
/// Up to so many missing slivers are rebuilt from symbols.
const FEW: usize = 2;
/// Slivers fetched at once.
const FETCHES: usize = 4;
/// Shards are reported as taken over after this time even if some blob cannot be completed.
const SYNC_PATIENCE: Duration = Duration::from_secs(60);

/// When to look at a blob.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    due: Instant,
    failures: u32,
}

/// Blobs that an earlier process had still to look at.
pub(super) fn read_markers(dir: &Path) -> io::Result<BTreeMap<BlobId, Attempt>> {
    let dir = dir.join("heal");
    fs::create_dir_all(&dir)?;
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        if let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.insert(id, Attempt { due: Instant::now(), failures: 0 });
        }
    }
    Ok(found)
}

/// Why a blob could not be completed now.
#[derive(Debug, thiserror::Error)]
enum HealError {
    #[error("no peer has valid metadata")]
    NoMetadata,
    #[error("the peers have too few valid slivers or symbols for {axis} sliver {index}")]
    NotEnough { axis: Axis, index: u16 },
    #[error("the blob is inconsistently encoded")]
    Inconsistent,
    #[error("{0}: {1}")]
    Local(&'static str, String),
}

impl From<io::Error> for HealError {
    fn from(error: io::Error) -> Self {
        Self::Local("disk", error.to_string())
    }
}

impl From<ApiError> for HealError {
    fn from(error: ApiError) -> Self {
        Self::Local(error.reason(), format!("{error:?}"))
    }
}

impl StorageNode {
    /// Looks whether a certified blob is complete here; if not, heals it after `delay`.
    pub(super) async fn check(&self, id: BlobId, delay: Duration) -> Result<(), ApiError> {
        let placement = self.placement();
        if !placement.is_member() || !self.certified(&id, placement.epoch)? {
            return Ok(());
        }
        let file = self.inner.store.blob(&id);
        let complete = move || {
            let assigned = Self::assigned(&placement, &id);
            Ok::<_, io::Error>(file.has_metadata()? && file.missing(assigned)?.is_empty())
        };
        if !self.inner.limits.disk(complete).await?? {
            self.mark(id, delay)?;
        }
        Ok(())
    }

    /// A request asked for something that should be here and is not.
    pub(super) fn suspect(&self, id: &BlobId) {
        if matches!(self.certified(id, self.placement().epoch), Ok(true))
            && let Err(error) = self.mark(*id, Duration::ZERO)
        {
            tracing::warn!(%id, %error, "cannot note that a blob is incomplete");
        }
    }

    fn certified(&self, id: &BlobId, epoch: u32) -> Result<bool, ApiError> {
        Ok(self.invalid_event(id).is_none() && self.live(id, epoch)?.iter().any(|held| held.certified_epoch.is_some()))
    }

    fn mark(&self, id: BlobId, delay: Duration) -> io::Result<()> {
        if let Entry::Vacant(entry) = self.inner.to_heal.lock().entry(id) {
            let dir = self.inner.dir.join("heal");
            File::create(dir.join(id.to_string()))?;
            File::open(&dir)?.sync_all()?;
            entry.insert(Attempt { due: Instant::now() + delay, failures: 0 });
            self.inner.heal_wake.notify_one();
        }
        Ok(())
    }

    /// Remembers that the chain waits for this node to take over its shards of `epoch`.
    pub(super) fn owe_sync(&self, epoch: u32) {
        *self.inner.sync_owed.lock() = Some((epoch, Instant::now() + SYNC_PATIENCE));
    }

    /// Heals until `stop`.
    pub(crate) async fn heal(&self, stop: CancellationToken) {
        let peers = Peers::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.heal_next(&peers) => {}
            }
        }
    }

    /// Waits for the next blob that is due and heals it.
    async fn heal_next(&self, peers: &Peers) {
        self.report_sync().await;
        let next =
            self.inner.to_heal.lock().iter().min_by_key(|(_, attempt)| attempt.due).map(|(id, next)| (*id, *next));
        let Some((id, attempt)) = next else {
            return self.inner.heal_wake.notified().await;
        };
        if attempt.due > Instant::now() {
            let _ = tokio::time::timeout_at(attempt.due, self.inner.heal_wake.notified()).await;
            return;
        }
        match self.heal_blob(&id, peers).await {
            Ok(slivers) => {
                self.inner.to_heal.lock().remove(&id);
                let _ = fs::remove_file(self.inner.dir.join("heal").join(id.to_string()));
                if slivers > 0 {
                    self.inner.healed.fetch_add(slivers as u64, Ordering::Relaxed);
                    tracing::info!(%id, slivers, "healed");
                }
            }
            Err(error) => {
                tracing::warn!(%id, %error, "cannot complete a blob from the peers yet");
                if let Some(attempt) = self.inner.to_heal.lock().get_mut(&id) {
                    attempt.failures += 1;
                    attempt.due = Instant::now() + Duration::from_secs(1 << attempt.failures.min(6));
                }
            }
        }
    }

    /// Tells the chain that this node serves its shards, once every blob was tried.
    async fn report_sync(&self) {
        let Some((epoch, deadline)) = *self.inner.sync_owed.lock() else { return };
        let tried = self.inner.to_heal.lock().values().all(|attempt| attempt.failures > 0);
        if !tried && Instant::now() < deadline {
            return;
        }
        let placement = self.placement();
        if let Some(node_id) = placement.node_id
            && placement.epoch == epoch
            && let Err(error) = self.inner.chain.epoch_sync_done(node_id, epoch).await
        {
            // Reported before this process started, or the epoch is over.
            tracing::debug!(%error, epoch, "the chain did not take the report");
        }
        let mut owed = self.inner.sync_owed.lock();
        if owed.is_some_and(|(owed, _)| owed == epoch) {
            *owed = None;
        }
    }

    /// Completes one blob; how many slivers were missing.
    async fn heal_blob(&self, id: &BlobId, peers: &Peers) -> Result<usize, HealError> {
        let placement = self.placement();
        if !self.certified(id, placement.epoch)? {
            return Ok(0);
        }
        let file = self.inner.store.blob(id);
        let metadata = match self.stored_metadata(&file, id)? {
            Some(metadata) => metadata,
            None => self.fetch_metadata(id, &placement, peers, &file).await?,
        };
        let job = Job { node: self, id, placement: &placement, metadata: &metadata, file: &file, peers };
        let missing = job.missing().await?;
        let before = missing.len();
        if before > 0 {
            job.take_over(&missing).await?;
        }
        let missing = job.missing().await?;
        if missing.len() > FEW && metadata.unencoded_length() <= MAX_DECODED {
            // The symbols decide when this does not succeed, be it for want of slivers or because the blob is inconsistent.
            if let Err(error) = job.rebuild(&missing).await {
                tracing::debug!(%id, %error, "not rebuilt from the whole blob");
            }
        }
        for (axis, pair) in job.missing().await? {
            let recovered = match axis {
                Axis::Primary => job.recover::<Primary>(pair).await,
                Axis::Secondary => job.recover::<Secondary>(pair).await,
            };
            match recovered {
                // Symbols of more shards are needed than slivers to decode; the second may be had without the first.
                Err(HealError::NotEnough { .. }) if metadata.unencoded_length() <= MAX_DECODED => {
                    job.rebuild(&job.missing().await?).await?;
                    break;
                }
                recovered => recovered?,
            }
        }
        let synced = file.clone();
        self.inner.limits.disk(move || synced.sync()).await??;
        Ok(before)
    }

    async fn fetch_metadata(
        &self,
        id: &BlobId,
        placement: &Placement,
        peers: &Peers,
        file: &Arc<BlobFile>,
    ) -> Result<Arc<VerifiedMetadata>, HealError> {
        for peer in self.others(placement, id) {
            let Some(answer) = peers.metadata(peer, id, placement.params.n_shards()).await else { continue };
            let Ok((_, metadata)) = Metadata::from_bcs_with_id(&answer) else { continue };
            let Ok(verified) = metadata.verify(id, &placement.params) else { continue };
            let (file, bcs) = (file.clone(), verified.to_bcs());
            self.inner.limits.disk(move || file.put_metadata(&bcs)).await??;
            let verified = Arc::new(verified);
            self.inner.limits.cache_metadata(verified.clone());
            return Ok(verified);
        }
        Err(HealError::NoMetadata)
    }

    /// The other members, those of the epoch before included while shards move. Where to begin depends on node and blob, so
    /// that not all ask the same one.
    fn others<'a>(&self, placement: &'a Placement, id: &BlobId) -> Vec<&'a CommitteeMember> {
        let mut others: Vec<&CommitteeMember> = placement.members.iter().collect();
        if placement.syncing {
            let known = |id| placement.members.iter().any(|member| member.node_id == id);
            others.extend(placement.previous.iter().filter(|member| !known(member.node_id)));
        }
        others.retain(|member| Some(member.node_id) != placement.node_id);
        if !others.is_empty() {
            let me = placement.node_id.map_or(0, |id| usize::from(id.as_bytes()[31]));
            let start = (usize::from(id.0[0]) + me) % others.len();
            others.rotate_left(start);
        }
        others
    }
}

/// The healing of one blob.
struct Job<'a> {
    node: &'a StorageNode,
    id: &'a BlobId,
    placement: &'a Arc<Placement>,
    metadata: &'a Arc<VerifiedMetadata>,
    file: &'a Arc<BlobFile>,
    peers: &'a Peers,
}

impl Job<'_> {
    async fn missing(&self) -> Result<Vec<(Axis, PairIndex)>, HealError> {
        let (file, assigned) = (self.file.clone(), StorageNode::assigned(self.placement, self.id));
        Ok(self.node.inner.limits.disk(move || file.missing(assigned)).await??)
    }

    /// Asks the former owners of shards that moved here.
    async fn take_over(&self, missing: &[(Axis, PairIndex)]) -> Result<(), HealError> {
        if !self.placement.syncing {
            return Ok(());
        }
        for (axis, pair) in missing {
            let shard = pair.shard(self.id, &self.placement.params);
            let owner = self.placement.previous.iter().find(|member| member.shards.contains(&shard.get()));
            let Some(owner) = owner.filter(|owner| Some(owner.node_id) != self.placement.node_id) else { continue };
            match axis {
                Axis::Primary => {
                    if let Some(sliver) = self.fetch::<Primary>(owner, *pair).await? {
                        self.store(sliver).await?;
                    }
                }
                Axis::Secondary => {
                    if let Some(sliver) = self.fetch::<Secondary>(owner, *pair).await? {
                        self.store(sliver).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A verified sliver from one peer.
    async fn fetch<A: SliverAxis>(
        &self,
        peer: &CommitteeMember,
        pair: PairIndex,
    ) -> Result<Option<Sliver<'static, A>>, HealError> {
        let length = self.metadata.sliver_length(A::AXIS);
        let Some(answer) = self.peers.sliver(peer, self.id, pair, A::AXIS, length).await else { return Ok(None) };
        let (metadata, wanted) = (self.metadata.clone(), pair.sliver::<A>(&self.placement.params));
        let verify = move || {
            let sliver = Sliver::<A>::from_bcs(&answer).ok().filter(|sliver| sliver.index() == wanted)?;
            sliver.verify(&metadata).is_ok().then(|| sliver.into_owned())
        };
        Ok(self.node.inner.limits.compute(verify).await?)
    }

    async fn store<A: SliverAxis>(&self, sliver: Sliver<'static, A>) -> Result<(), HealError> {
        let (file, pair) = (self.file.clone(), sliver.index().pair(&self.placement.params));
        self.node.inner.limits.disk(move || file.put_sliver(A::AXIS, pair, &sliver.to_bcs())).await??;
        Ok(())
    }

    /// Decodes the blob from the peers' primary slivers and computes everything that is missing.
    async fn rebuild(&self, missing: &[(Axis, PairIndex)]) -> Result<(), HealError> {
        let _turn = self.node.inner.limits.rebuild.acquire().await.map_err(io::Error::other)?;
        let slivers = self.gather().await?;
        let (file, metadata, missing) = (self.file.clone(), self.metadata.clone(), missing.to_vec());
        let work = move || {
            let blob = decode(&metadata, &slivers, Consistency::Skip).map_err(|_| HealError::Inconsistent)?;
            drop(slivers);
            for (pair, bcs, axis) in derive(blob, &metadata, &missing)? {
                file.put_sliver(axis, pair, &bcs)?;
            }
            Ok(())
        };
        self.node.inner.limits.compute(work).await?
    }

    /// Enough verified primary slivers, the systematic ones first.
    async fn gather(&self) -> Result<Vec<Sliver<'static, Primary>>, HealError> {
        let params = &self.placement.params;
        let need = usize::from(params.rows());
        let mut slivers = Vec::with_capacity(need);
        let fetches = params.slivers::<Primary>().map(|index| async move {
            let pair = index.pair(params);
            let shard = pair.shard(self.id, params);
            if self.placement.writable(shard) {
                let file = self.file.clone();
                let own = self.node.inner.limits.disk(move || file.sliver(Axis::Primary, pair)).await.ok()?.ok()??;
                return Sliver::<Primary>::from_bcs(&own).ok().map(Sliver::into_owned);
            }
            let owner = self.placement.members.iter().find(|member| member.shards.contains(&shard.get()))?;
            self.fetch(owner, pair).await.ok()?
        });
        let mut fetched = futures::stream::iter(fetches).buffered(FETCHES);
        while slivers.len() < need
            && let Some(sliver) = fetched.next().await
        {
            slivers.extend(sliver);
        }
        if slivers.len() < need {
            return Err(HealError::NotEnough { axis: Axis::Primary, index: 0 });
        }
        Ok(slivers)
    }

    /// The symbols of an answer that are proven to be of `target`, by their source.
    async fn proven<A: SliverAxis>(
        &self,
        target: SliverIndex<A>,
        answer: Bytes,
    ) -> Result<Vec<(u16, RecoverySymbol<A>)>, HealError>
    where
        GeneralRecoverySymbol: IntoRecovery<A>,
    {
        let metadata = self.metadata.clone();
        let verified = move || -> Vec<(u16, RecoverySymbol<A>)> {
            let symbols = GeneralRecoverySymbol::vec_from_bcs(&answer).unwrap_or_default();
            let of_target = symbols.into_iter().filter_map(|symbol| symbol.recovery_of(target));
            let proven = of_target.filter(|symbol| symbol.verify(target, &metadata).is_ok());
            proven.map(|symbol| (symbol.symbol().source().get(), symbol)).collect()
        };
        Ok(self.node.inner.limits.compute(verified).await?)
    }

    /// Rebuilds one sliver from recovery symbols.
    async fn recover<A: SliverAxis>(&self, pair: PairIndex) -> Result<(), HealError>
    where
        GeneralRecoverySymbol: IntoRecovery<A>,
    {
        let target = pair.sliver::<A>(&self.placement.params);
        let need = usize::from(self.placement.params.symbols_per_sliver(A::AXIS));
        let mut symbols: BTreeMap<u16, RecoverySymbol<A>> = BTreeMap::new();
        let size = usize::from(self.metadata.symbol_size().get());
        // This node's own slivers have symbols of the missing one too.
        let wanted = Wanted::Target(A::AXIS, target.get());
        if let Ok(own) = self.node.recovery_symbols(*self.id, wanted, None).await {
            symbols.extend(self.proven(target, own.into()).await?);
        }
        for peer in self.node.others(self.placement, self.id) {
            if symbols.len() >= need {
                break;
            }
            let answer = self.peers.recovery_symbols(peer, self.id, A::AXIS, target.get(), size).await;
            if let Some(answer) = answer {
                symbols.extend(self.proven(target, answer).await?);
            }
        }
        let too_few = || HealError::NotEnough { axis: A::AXIS, index: target.get() };
        if symbols.len() < need {
            return Err(too_few());
        }
        let metadata = self.metadata.clone();
        let work = move || recover_sliver(target, symbols.into_values().collect(), &metadata);
        match self.node.inner.limits.compute(work).await? {
            Ok(Recovered::Sliver(sliver)) => self.store(sliver).await,
            Ok(Recovered::Inconsistent(_)) => Err(HealError::Inconsistent),
            Err(_) => Err(too_few()),
        }
    }
}

/// A symbol as one of sliver `target`, if it is one.
trait IntoRecovery<A: SliverAxis> {
    fn recovery_of(self, target: SliverIndex<A>) -> Option<RecoverySymbol<A>>;
}

impl IntoRecovery<Primary> for GeneralRecoverySymbol {
    fn recovery_of(self, wanted: SliverIndex<Primary>) -> Option<RecoverySymbol<Primary>> {
        match self {
            Self::Primary { target, symbol } if target == wanted => Some(symbol),
            _ => None,
        }
    }
}

impl IntoRecovery<Secondary> for GeneralRecoverySymbol {
    fn recovery_of(self, wanted: SliverIndex<Secondary>) -> Option<RecoverySymbol<Secondary>> {
        match self {
            Self::Secondary { target, symbol } if target == wanted => Some(symbol),
            _ => None,
        }
    }
}

/// The BCS of the wanted slivers of a blob, each verified. Rows and columns are expanded one at a time: memory is the blob and
/// the result.
fn derive(
    mut blob: Vec<u8>,
    metadata: &VerifiedMetadata,
    wanted: &[(Axis, PairIndex)],
) -> Result<Vec<(PairIndex, Vec<u8>, Axis)>, HealError> {
    let params = *metadata.params();
    let size = metadata.symbol_size();
    let (rows, columns, step) = (usize::from(params.rows()), usize::from(params.columns()), usize::from(size.get()));
    blob.resize(rows * columns * step, 0);
    let indices = |axis: Axis| {
        let of_axis = wanted.iter().filter(move |(wanted, _)| *wanted == axis);
        of_axis.map(|(_, pair)| *pair)
    };
    let mut primaries: Vec<(SliverIndex<Primary>, Vec<u8>)> =
        indices(Axis::Primary).map(|pair| (pair.sliver(&params), Vec::with_capacity(columns * step))).collect();
    let mut secondaries: Vec<(SliverIndex<Secondary>, Vec<u8>)> =
        indices(Axis::Secondary).map(|pair| (pair.sliver(&params), Vec::with_capacity(rows * step))).collect();
    let inconsistent = |_| HealError::Inconsistent;
    // Secondary slivers take one symbol of every row, primary slivers one of every column.
    let expand_rows = secondaries.iter().any(|(index, _)| index.as_usize() >= columns);
    for (index, row) in params.slivers::<Primary>().zip(blob.chunks_exact(columns * step)) {
        let expanded =
            if expand_rows { Some(Sliver::new(index, size, row).expand(&params).map_err(inconsistent)?) } else { None };
        for (target, data) in &mut secondaries {
            match row.get(target.as_usize() * step..(target.as_usize() + 1) * step) {
                Some(symbol) => data.extend_from_slice(symbol),
                None => {
                    let Some(expanded) = &expanded else { continue };
                    data.extend_from_slice(expanded.recovery_symbol(*target).map_err(inconsistent)?.symbol().data());
                }
            }
        }
    }
    for (target, data) in primaries.iter_mut().filter(|(index, _)| index.as_usize() < rows) {
        data.extend_from_slice(&blob[target.as_usize() * columns * step..][..columns * step]);
    }
    if primaries.iter().any(|(index, _)| index.as_usize() >= rows) {
        let mut column = vec![0; rows * step];
        for index in params.slivers::<Secondary>().take(columns) {
            for (row, symbol) in column.chunks_exact_mut(step).enumerate() {
                symbol.copy_from_slice(&blob[(row * columns + index.as_usize()) * step..][..step]);
            }
            let expanded = Sliver::new(index, size, column.as_slice()).expand(&params).map_err(inconsistent)?;
            for (target, data) in primaries.iter_mut().filter(|(target, _)| target.as_usize() >= rows) {
                data.extend_from_slice(expanded.recovery_symbol(*target).map_err(inconsistent)?.symbol().data());
            }
        }
    }
    drop(blob);
    let mut slivers = finish(primaries, metadata)?;
    slivers.extend(finish(secondaries, metadata)?);
    Ok(slivers)
}

fn finish<A: SliverAxis>(
    slivers: Vec<(SliverIndex<A>, Vec<u8>)>,
    metadata: &VerifiedMetadata,
) -> Result<Vec<(PairIndex, Vec<u8>, Axis)>, HealError> {
    let finished = slivers.into_iter().map(|(index, data)| {
        let sliver = Sliver::new(index, metadata.symbol_size(), data);
        sliver.verify(metadata).map_err(|_| HealError::Inconsistent)?;
        Ok((index.pair(metadata.params()), sliver.to_bcs(), A::AXIS))
    });
    finished.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use redstuff::{Params, encode};

    #[test]
    fn every_sliver_is_derived_as_the_encoder_makes_it() {
        for (n, length) in [(10, 1000), (13, 7), (7, 0)] {
            let params = Params::new(n).unwrap();
            let blob: Vec<u8> = (0..length).map(|i: u32| (i * 7) as u8).collect();
            let encoded = encode(&params, &blob).unwrap();
            let wanted: Vec<(Axis, PairIndex)> =
                params.pairs().flat_map(|pair| [(Axis::Primary, pair), (Axis::Secondary, pair)]).collect();
            let derived = derive(blob.clone(), encoded.metadata(), &wanted).unwrap();
            assert_eq!(derived.len(), wanted.len());
            for (pair, bcs, axis) in derived {
                let (primary, secondary) = encoded.pair(pair).unwrap();
                let expected = if axis == Axis::Primary { primary.to_bcs() } else { secondary.to_bcs() };
                assert_eq!(bcs, expected, "{axis} of pair {pair} at n = {n}");
            }
        }
    }
}
