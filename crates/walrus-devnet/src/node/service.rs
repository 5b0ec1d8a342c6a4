//! The rules of a storage node: what it accepts, what it serves, what it signs.
//!
//! Every method here is one endpoint of the REST API without its HTTP. The order of checks is that of the real nodes, because
//! clients see which error comes first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use redstuff::{
    Axis, BlobId, Error as CodeError, InconsistencyProof, Metadata, PairIndex, Primary, Secondary, ShardIndex, Sliver,
    SliverAxis, VerifiedMetadata,
};
use sui_sdk_types::Address;
use tokio::sync::Notify;
use walrus_client::wire::message::{Persistence, StorageConfirmation, invalid_blob_id_message};
use walrus_client::wire::node::{
    BlobStatus, ConfirmationBody, DeletableCounts, EventId, EventProgress, OwnedShardStatus, ServiceHealthInfo,
    ShardDetail, ShardHealth, ShardStatus, ShardSummary, SignedMessage, StoredOnNodeStatus,
};

use super::chain_view::ChainView;
use super::error::ApiError;
use super::keys::NodeKeys;
use super::limits::Limits;
use super::placement::Placement;
use super::store::{BlobFile, Store, replace_file};
use crate::chain::BlobRegistration;
use crate::network::DevnetError;

/// How a PUT ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It was new.
    New,
    /// It was there already.
    Already,
}

/// One storage node. Cheap to clone.
#[derive(Clone)]
pub struct StorageNode {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) keys: NodeKeys,
    bls_public: [u8; 48],
    pub(super) dir: std::path::PathBuf,
    pub(super) store: Store,
    pub(super) chain: Arc<dyn ChainView>,
    pub(super) limits: Arc<Limits>,
    placement: RwLock<Arc<Placement>>,
    /// Blob ids that the chain declared inconsistent, with the event that did.
    invalid: Mutex<BTreeMap<String, EventId>>,
    /// Position of the last event that was handled.
    pub(super) cursor: AtomicU64,
    pub(super) pending_events: AtomicU64,
    pub(super) checkpoint: AtomicU64,
    started: Instant,
    pub(super) healed: AtomicU64,
    /// Blobs that may lack something, and when to look.
    pub(super) to_heal: Mutex<BTreeMap<BlobId, super::heal::Attempt>>,
    pub(super) heal_wake: Notify,
    /// The epoch whose shards the chain waits for, and until when blobs may delay the report.
    pub(super) sync_owed: Mutex<Option<(u32, tokio::time::Instant)>>,
}

impl StorageNode {
    /// Opens the node in `dir` (made if missing), with its keys, store and cursor.
    ///
    /// # Errors
    /// Files that cannot be read or written or are damaged; a chain that cannot be read.
    pub fn open(dir: &Path, chain: Arc<dyn ChainView>, limits: Arc<Limits>) -> Result<Self, DevnetError> {
        let keys = NodeKeys::open(dir)?;
        let io = |what: &Path| DevnetError::io(what.display().to_string());
        let blobs = dir.join("blobs");
        let store = Store::open(&blobs).map_err(io(&blobs))?;
        let invalid = match std::fs::read(dir.join("invalid.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| DevnetError::Damaged {
                what: dir.join("invalid.json").display().to_string(),
                reason: error.to_string(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(io(&dir.join("invalid.json"))(error)),
        };
        let bls_public = keys.bls().public_key().to_compressed().0;
        let placement = Placement::of(&bls_public, chain.committee()?)?;
        let cursor = super::follow::read_cursor(dir);
        let to_heal = super::heal::read_markers(dir).map_err(io(dir))?;
        Ok(Self {
            inner: Arc::new(Inner {
                keys,
                bls_public,
                dir: dir.to_owned(),
                store,
                chain,
                limits,
                placement: RwLock::new(Arc::new(placement)),
                invalid: Mutex::new(invalid),
                cursor: AtomicU64::new(cursor),
                pending_events: AtomicU64::new(0),
                checkpoint: AtomicU64::new(0),
                started: Instant::now(),
                healed: AtomicU64::new(0),
                to_heal: Mutex::new(to_heal),
                heal_wake: Notify::new(),
                sync_owed: Mutex::new(None),
            }),
        })
    }

    /// Slivers rebuilt or fetched from peers since the node was opened.
    pub fn slivers_healed(&self) -> u64 {
        self.inner.healed.load(Ordering::Relaxed)
    }

    /// Stored payloads that were found damaged since the node was opened.
    pub fn payloads_damaged(&self) -> u64 {
        self.inner.store.damaged()
    }

    /// Position of the last chain event that the node has handled.
    pub fn cursor(&self) -> u64 {
        self.inner.cursor.load(Ordering::Acquire)
    }

    /// How many blobs it stores something of.
    ///
    /// # Errors
    /// The store's directory cannot be read.
    pub fn blob_count(&self) -> std::io::Result<u64> {
        Ok(self.inner.store.ids()?.len() as u64)
    }

    /// Flips bytes of every stored sliver on disk, as a failing medium would; how many slivers.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub fn damage(&self) -> std::io::Result<u64> {
        let mut slivers = 0;
        for id in self.inner.store.ids()? {
            slivers += self.inner.store.blob(&id).damage()?;
        }
        Ok(slivers)
    }

    pub(super) fn placement(&self) -> Arc<Placement> {
        self.inner.placement.read().clone()
    }

    /// Reads the committee again.
    pub(super) fn refresh_placement(&self) -> Result<Arc<Placement>, ApiError> {
        let placement = Arc::new(Placement::of(&self.inner.bls_public, self.inner.chain.committee()?)?);
        *self.inner.placement.write() = placement.clone();
        Ok(placement)
    }

    /// The placement of the chain's present epoch, even if its event has not been handled yet.
    fn current_placement(&self) -> Result<Arc<Placement>, ApiError> {
        let placement = self.placement();
        if self.inner.chain.epoch()? == placement.epoch { Ok(placement) } else { self.refresh_placement() }
    }

    /// Registrations of a blob that hold in the node's epoch.
    pub(super) fn live(&self, id: &BlobId, epoch: u32) -> Result<Vec<BlobRegistration>, ApiError> {
        let mut registrations = self.inner.chain.registrations(id.as_bytes())?;
        registrations.retain(|registration| registration.end_epoch > epoch);
        Ok(registrations)
    }

    fn registered(&self, id: &BlobId, epoch: u32) -> Result<bool, ApiError> {
        Ok(self.invalid_event(id).is_none() && !self.live(id, epoch)?.is_empty())
    }

    pub(super) fn invalid_event(&self, id: &BlobId) -> Option<EventId> {
        self.inner.invalid.lock().get(&id.to_string()).cloned()
    }

    /// Remembers durably that the chain declared a blob id invalid.
    pub(super) fn set_invalid(&self, id: &BlobId, event: EventId) -> std::io::Result<()> {
        let mut invalid = self.inner.invalid.lock();
        invalid.insert(id.to_string(), event);
        let json = serde_json::to_vec(&*invalid).map_err(std::io::Error::other)?;
        replace_file(&self.inner.dir.join("invalid.json"), &json)
    }

    /// The verified metadata that the node stores for a blob.
    pub(super) fn stored_metadata(
        &self,
        file: &BlobFile,
        id: &BlobId,
    ) -> Result<Option<Arc<VerifiedMetadata>>, ApiError> {
        if !file.has_metadata()? {
            return Ok(None);
        }
        if let Some(metadata) = self.inner.limits.cached_metadata(id) {
            return Ok(Some(metadata));
        }
        let Some(bcs) = file.metadata()? else { return Ok(None) };
        let metadata = Metadata::from_bcs(&bcs).and_then(|metadata| metadata.verify(id, &self.placement().params));
        let metadata = Arc::new(metadata.map_err(ApiError::internal)?);
        self.inner.limits.cache_metadata(metadata.clone());
        Ok(Some(metadata))
    }

    /// GET metadata: BCS with id.
    pub(crate) async fn get_metadata(&self, id: BlobId) -> Result<Vec<u8>, ApiError> {
        if !self.registered(&id, self.placement().epoch)? {
            return Err(ApiError::metadata_not_found());
        }
        let file = self.inner.store.blob(&id);
        let stored = self.inner.limits.disk(move || file.metadata()).await??;
        let bcs = stored.ok_or_else(ApiError::metadata_not_found)?;
        let mut answer = Vec::with_capacity(32 + bcs.len());
        answer.extend_from_slice(id.as_bytes());
        answer.extend_from_slice(&bcs);
        Ok(answer)
    }

    /// PUT metadata.
    pub(crate) async fn put_metadata(&self, id: BlobId, body: Bytes, pending: bool) -> Result<Stored, ApiError> {
        let metadata = Metadata::from_bcs(&body).map_err(|_| ApiError::undecodable())?;
        if let Some(event) = self.invalid_event(&id) {
            return Err(ApiError::invalid_blob(&format!("{} #{}", event.tx_digest, event.event_seq)));
        }
        let node = self.clone();
        let work = move || {
            let file = node.inner.store.blob(&id);
            if file.has_metadata()? {
                return Ok(Stored::Already);
            }
            let placement = node.current_placement()?;
            let verified =
                metadata.verify(&id, &placement.params).map_err(|error| ApiError::invalid_metadata(&error))?;
            if !node.registered(&id, placement.epoch)? {
                // Real nodes ship with the cache of pending uploads disabled; so does this one.
                return Err(if pending { ApiError::cache_saturated() } else { ApiError::not_registered() });
            }
            let new = file.put_metadata(&body)?;
            node.inner.limits.cache_metadata(Arc::new(verified));
            Ok(if new { Stored::New } else { Stored::Already })
        };
        self.inner.limits.compute(work).await?
    }

    /// GET metadata/status.
    pub(crate) async fn metadata_status(&self, id: BlobId) -> Result<StoredOnNodeStatus, ApiError> {
        let file = self.inner.store.blob(&id);
        let stored = self.inner.limits.disk(move || file.has_metadata()).await??;
        Ok(if stored { StoredOnNodeStatus::Stored } else { StoredOnNodeStatus::Nonexistent })
    }

    fn check_pair(&self, placement: &Placement, pair: PairIndex) -> Result<(), ApiError> {
        let n = placement.params.n_shards();
        if pair.get() < n {
            Ok(())
        } else {
            Err(ApiError::index_out_of_range("the sliver pair index is out of range: ", pair.get(), n))
        }
    }

    fn check_shard(&self, placement: &Placement, shard: ShardIndex, readable: bool) -> Result<(), ApiError> {
        if placement.writable(shard) || (readable && placement.readable(shard)) {
            Ok(())
        } else {
            Err(ApiError::shard_not_assigned(shard.get(), placement.epoch))
        }
    }

    /// GET sliver: BCS of `SliverData`.
    pub(crate) async fn get_sliver(&self, id: BlobId, pair: PairIndex, axis: Axis) -> Result<Vec<u8>, ApiError> {
        let placement = self.placement();
        self.check_pair(&placement, pair)?;
        if !self.registered(&id, placement.epoch)? {
            return Err(ApiError::sliver_not_found());
        }
        self.check_shard(&placement, pair.shard(&id, &placement.params), true)?;
        let file = self.inner.store.blob(&id);
        let sliver = self.inner.limits.disk(move || file.sliver(axis, pair)).await??;
        if sliver.is_none() {
            self.suspect(&id);
        }
        sliver.ok_or_else(ApiError::sliver_not_found)
    }

    /// PUT sliver.
    pub(crate) async fn put_sliver(
        &self,
        id: BlobId,
        pair: PairIndex,
        axis: Axis,
        body: Bytes,
        pending: bool,
    ) -> Result<Stored, ApiError> {
        match axis {
            Axis::Primary => self.put_sliver_of::<Primary>(id, pair, body, pending).await,
            Axis::Secondary => self.put_sliver_of::<Secondary>(id, pair, body, pending).await,
        }
    }

    async fn put_sliver_of<A: SliverAxis>(
        &self,
        id: BlobId,
        pair: PairIndex,
        body: Bytes,
        pending: bool,
    ) -> Result<Stored, ApiError> {
        let node = self.clone();
        let work = move || {
            let sliver = Sliver::<A>::from_bcs(&body).map_err(|_| ApiError::undecodable())?;
            let placement = node.placement();
            node.check_pair(&placement, pair)?;
            if sliver.index() != pair.sliver::<A>(&placement.params) {
                return Err(ApiError::sliver_index_mismatch(sliver.index().get(), pair.get()));
            }
            let file = node.inner.store.blob(&id);
            let Some(metadata) = node.stored_metadata(&file, &id)? else {
                let registered = pending || node.registered(&id, node.current_placement()?.epoch)?;
                return Err(if registered { ApiError::metadata_required() } else { ApiError::not_registered() });
            };
            let shard = pair.shard(&id, &placement.params);
            if !placement.writable(shard) {
                // The epoch may have changed a moment ago.
                node.check_shard(&*node.current_placement()?, shard, false)?;
            }
            if file.has_sliver(A::AXIS, pair)? {
                return Ok(Stored::Already);
            }
            sliver.verify(&metadata).map_err(|error| ApiError::invalid_sliver(&error))?;
            let new = file.put_sliver(A::AXIS, pair, &body).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => ApiError::not_registered(),
                _ => error.into(),
            })?;
            Ok(if new { Stored::New } else { Stored::Already })
        };
        self.inner.limits.compute(work).await?
    }

    /// GET sliver status.
    pub(crate) async fn sliver_status(
        &self,
        id: BlobId,
        pair: PairIndex,
        axis: Axis,
    ) -> Result<StoredOnNodeStatus, ApiError> {
        let placement = self.placement();
        self.check_pair(&placement, pair)?;
        self.check_shard(&placement, pair.shard(&id, &placement.params), true)?;
        let file = self.inner.store.blob(&id);
        let stored = self.inner.limits.disk(move || file.has_sliver(axis, pair)).await??;
        Ok(if stored { StoredOnNodeStatus::Stored } else { StoredOnNodeStatus::Nonexistent })
    }

    /// The slivers that this node must hold of a blob.
    pub(super) fn assigned(placement: &Placement, id: &BlobId) -> Vec<(Axis, PairIndex)> {
        let pairs = placement.shards.iter().map(|shard| shard.pair(id, &placement.params));
        pairs.flat_map(|pair| [(Axis::Primary, pair), (Axis::Secondary, pair)]).collect()
    }

    /// GET confirmation: for a permanent registration, or for the deletable object `object`.
    pub(crate) async fn confirm(&self, id: BlobId, object: Option<Address>) -> Result<ConfirmationBody, ApiError> {
        let node = self.clone();
        let work = move || {
            let placement = node.current_placement()?;
            if node.invalid_event(&id).is_some() {
                return Err(ApiError::not_registered());
            }
            let live = node.live(&id, placement.epoch)?;
            if live.is_empty() {
                return Err(ApiError::not_registered());
            }
            let file = node.inner.store.blob(&id);
            if !file.has_metadata()? || !file.missing(Self::assigned(&placement, &id))?.is_empty() {
                return Err(ApiError::missing_slivers());
            }
            if let Some(object) = object
                && !live.iter().any(|registration| registration.object_id == object)
            {
                return Err(ApiError::not_registered());
            }
            // A confirmation outlives this process and this machine's power.
            file.sync()?;
            let persistence = object.map_or(Persistence::Permanent, Persistence::Deletable);
            let message = StorageConfirmation::new(placement.epoch, id.0, persistence).to_bytes();
            Ok(ConfirmationBody::Signed(SignedMessage::new(&message, &node.inner.keys.bls().sign(&message))))
        };
        self.inner.limits.disk(work).await?
    }

    /// POST inconsistencyProof: a signed statement that the blob id is invalid, if the proof is one.
    pub(crate) async fn attest_invalid(&self, id: BlobId, axis: Axis, body: Bytes) -> Result<SignedMessage, ApiError> {
        let node = self.clone();
        let work = move || {
            let placement = node.current_placement()?;
            if !node.registered(&id, placement.epoch)? {
                return Err(ApiError::metadata_required());
            }
            let file = node.inner.store.blob(&id);
            let metadata = node.stored_metadata(&file, &id)?.ok_or_else(ApiError::metadata_required)?;
            match axis {
                Axis::Primary => check_proof::<Primary>(&body, &metadata)?,
                Axis::Secondary => check_proof::<Secondary>(&body, &metadata)?,
            }
            let message = invalid_blob_id_message(placement.epoch, id.0);
            Ok(SignedMessage::new(&message, &node.inner.keys.bls().sign(&message)))
        };
        self.inner.limits.compute(work).await?
    }

    /// GET status: what the chain's events say about a blob.
    pub(crate) fn blob_status(&self, id: &BlobId) -> Result<BlobStatus, ApiError> {
        if let Some(event) = self.invalid_event(id) {
            return Ok(BlobStatus::Invalid { event });
        }
        let live = self.live(id, self.placement().epoch)?;
        let count = |certified: bool| {
            let deletable = live.iter().filter(|r| r.deletable && (!certified || r.certified_epoch.is_some()));
            u32::try_from(deletable.count()).unwrap_or(u32::MAX)
        };
        let deletable_counts =
            DeletableCounts { count_deletable_total: count(false), count_deletable_certified: count(true) };
        let initial_certified_epoch = live.iter().filter_map(|registration| registration.certified_epoch).min();
        let permanent = live.iter().filter(|registration| !registration.deletable);
        // Certified before merely registered, then the longest.
        let best =
            permanent.max_by_key(|registration| (registration.certified_epoch.is_some(), registration.end_epoch));
        Ok(match best {
            Some(registration) => BlobStatus::Permanent {
                end_epoch: registration.end_epoch,
                is_certified: registration.certified_epoch.is_some(),
                status_event: EventId {
                    tx_digest: registration.event_transaction.to_base58(),
                    event_seq: registration.event_index.to_string(),
                },
                deletable_counts,
                initial_certified_epoch,
            },
            None if deletable_counts.count_deletable_total > 0 => {
                BlobStatus::Deletable { initial_certified_epoch, deletable_counts }
            }
            None => BlobStatus::Nonexistent,
        })
    }

    /// GET health.
    pub(crate) fn health(&self, detailed: bool) -> ServiceHealthInfo {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let placement = self.placement();
        let healing = !self.inner.to_heal.lock().is_empty();
        let moving = placement.syncing && placement.gained();
        let status = if moving { ShardStatus::InTransfer } else { ShardStatus::Ready };
        let owned = u32::try_from(placement.shards.len()).unwrap_or(u32::MAX);
        let read_only: Vec<ShardIndex> =
            placement.earlier.iter().copied().filter(|s| placement.readable(*s) && !placement.writable(*s)).collect();
        let handled = self.cursor();
        let latest = self.inner.checkpoint.load(Ordering::Relaxed);
        let of = |shard: &ShardIndex, status| ShardHealth { shard: shard.get(), status };
        ServiceHealthInfo {
            uptime: self.inner.started.elapsed(),
            epoch: placement.epoch,
            public_key: STANDARD.encode(self.inner.bls_public),
            node_status: match (placement.is_member(), healing) {
                (false, _) => "Standby".to_owned(),
                (true, false) => "Active".to_owned(),
                (true, true) => format!("RecoveryInProgress ({})", placement.epoch),
            },
            event_progress: EventProgress {
                persisted: handled,
                pending: self.inner.pending_events.load(Ordering::Relaxed),
                highest_finished_event_index: handled.checked_sub(1),
            },
            shard_summary: ShardSummary {
                owned,
                owned_shard_status: OwnedShardStatus {
                    ready: if moving { 0 } else { owned },
                    in_transfer: if moving { owned } else { 0 },
                    ..OwnedShardStatus::default()
                },
                read_only: u32::try_from(read_only.len()).unwrap_or(u32::MAX),
            },
            shard_detail: detailed.then(|| ShardDetail {
                owned: placement.shards.iter().map(|shard| of(shard, status)).collect(),
                other: read_only.iter().map(|shard| of(shard, ShardStatus::ReadOnly)).collect(),
            }),
            latest_checkpoint_sequence_number: (latest > 0).then_some(latest),
        }
    }
}

fn check_proof<A: SliverAxis>(body: &[u8], metadata: &VerifiedMetadata) -> Result<(), ApiError> {
    let proof = InconsistencyProof::<A>::from_bcs(body).map_err(|_| ApiError::undecodable())?;
    proof.verify(metadata).map_err(|error: CodeError| ApiError::invalid_proof(error))
}

impl StorageNode {
    /// Bytes of the longest sliver that a registration of the blob allows; what an answer is budgeted with.
    pub(super) fn largest_registered_sliver(&self, id: &BlobId, axis: Axis) -> usize {
        let params = self.placement().params;
        let registrations = self.inner.chain.registrations(id.as_bytes()).unwrap_or_default();
        let lengths = registrations.iter().filter_map(|held| params.sliver_length(axis, held.unencoded_size).ok());
        lengths.max().unwrap_or_default()
    }
}
