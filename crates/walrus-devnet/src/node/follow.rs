//! Reacting to the chain's events behind a durable cursor.
//!
//! Events say *when* to look; what holds is read from the chain at that moment. So handling an event twice, or late, does the
//! same as handling it once, and the cursor needs no `fsync`: after a power loss some events are simply handled again.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use redstuff::{BlobId, PairIndex};
use sui_sdk_types::Event;
use tokio_util::sync::CancellationToken;
use walrus_client::wire::chain::U256;
use walrus_client::wire::node::EventId;

use super::error::ApiError;
use super::service::StorageNode;
use super::store::replace_file;
use crate::chain::ChainEvent;

/// Events handled between two writes of the cursor.
const BATCH: usize = 256;
/// How long after a certification its uploader may still be sending slivers to the last nodes.
const UPLOAD_TAIL: Duration = Duration::from_secs(4);
const RETRY: Duration = Duration::from_secs(1);

/// The position behind which all events were handled; 0 for a new or wiped node.
pub(super) fn read_cursor(dir: &Path) -> u64 {
    let text = std::fs::read_to_string(dir.join("cursor")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// What an event means to a storage node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Certified(BlobId),
    Deleted(BlobId),
    Invalid(BlobId),
    EpochStart,
    EpochDone,
    Nothing,
}

impl Meaning {
    fn of(event: &Event) -> Self {
        if event.type_.module().as_str() != "events" {
            return Self::Nothing;
        }
        // Every event about a blob begins with its epoch and its id; what follows is not needed.
        let blob = || {
            let id = event.contents.get(4..36)?;
            bcs::from_bytes::<U256>(id).ok().map(|id| BlobId(id.0))
        };
        let meaning = match event.type_.name().as_str() {
            "BlobCertified" | "PooledBlobCertified" => blob().map(Self::Certified),
            "BlobDeleted" | "PooledBlobDeleted" => blob().map(Self::Deleted),
            "InvalidBlobID" => blob().map(Self::Invalid),
            "EpochChangeStart" => Some(Self::EpochStart),
            "EpochChangeDone" => Some(Self::EpochDone),
            _ => None,
        };
        meaning.unwrap_or(Self::Nothing)
    }
}

impl StorageNode {
    /// Follows the chain until `stop`.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = self.follow_while_well() => done,
            };
            let Err(error) = done;
            tracing::warn!(?error, "following the chain failed; trying again");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn follow_while_well(&self) -> Result<std::convert::Infallible, ApiError> {
        let mut newest = self.inner.chain.watch_events()?;
        // What happened without an event (a burned blob) or before this process.
        self.refresh_placement()?;
        self.collect_all().await?;
        self.drop_moved_shards().await?;
        self.begin_epoch().await?;
        loop {
            newest.borrow_and_update();
            let cursor = self.cursor();
            let batch = self.inner.chain.events_after(cursor, BATCH)?;
            self.inner.pending_events.store(batch.len() as u64, Ordering::Relaxed);
            let Some(last) = batch.last() else {
                newest.changed().await.map_err(ApiError::internal)?;
                continue;
            };
            let (position, checkpoint) = (last.sequence, last.checkpoint);
            for event in &batch {
                self.handle(event).await?;
            }
            self.inner.checkpoint.store(checkpoint, Ordering::Relaxed);
            self.inner.pending_events.store(0, Ordering::Relaxed);
            self.write_cursor(position)?;
        }
    }

    fn write_cursor(&self, position: u64) -> Result<(), ApiError> {
        let path = self.inner.dir.join("cursor");
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, position.to_string())?;
        std::fs::rename(&temporary, &path)?;
        self.inner.cursor.store(position, Ordering::Release);
        Ok(())
    }

    async fn handle(&self, event: &ChainEvent) -> Result<(), ApiError> {
        match Meaning::of(&event.event) {
            Meaning::Certified(id) => self.check(id, self.upload_tail(event.timestamp_ms)).await,
            Meaning::Deleted(id) => self.collect(id).await,
            Meaning::Invalid(id) => {
                let event = EventId { tx_digest: event.transaction.to_base58(), event_seq: event.index.to_string() };
                self.set_invalid(&id, event)?;
                self.collect(id).await
            }
            Meaning::EpochStart => {
                self.refresh_placement()?;
                self.collect_all().await?;
                self.begin_epoch().await
            }
            Meaning::EpochDone => {
                self.refresh_placement()?;
                self.drop_moved_shards().await
            }
            Meaning::Nothing => Ok(()),
        }
    }

    /// How much of the uploader's time is left at a blob certified at `certified_ms`.
    fn upload_tail(&self, certified_ms: u64) -> Duration {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_millis(certified_ms));
        UPLOAD_TAIL.saturating_sub(age)
    }

    /// Forgets a blob that has no registration left.
    async fn collect(&self, id: BlobId) -> Result<(), ApiError> {
        let node = self.clone();
        let work = move || {
            let epoch = node.placement().epoch;
            let unwanted = || Ok::<_, ApiError>(node.invalid_event(&id).is_some() || node.live(&id, epoch)?.is_empty());
            // Asked again under the blob's lock: a registration and upload in between must win.
            if unwanted()? && node.inner.store.blob(&id).remove_if(unwanted)? {
                tracing::debug!(%id, "a blob ended");
            }
            Ok(())
        };
        self.inner.limits.disk(work).await?
    }

    async fn collect_all(&self) -> Result<(), ApiError> {
        for id in self.inner.store.ids()? {
            self.collect(id).await?;
        }
        Ok(())
    }

    /// Gives back the space of shards that other nodes have taken over, in this epoch or while this node was down.
    async fn drop_moved_shards(&self) -> Result<(), ApiError> {
        let placement = self.placement();
        for id in self.inner.store.ids()? {
            let (file, placement) = (self.inner.store.blob(&id), placement.clone());
            let keep = move |pair: PairIndex| placement.readable(pair.shard(&id, &placement.params));
            self.inner.limits.disk(move || file.retain(keep)).await??;
        }
        Ok(())
    }

    /// Fetches what came to this node with the epoch, and while shards move reports when it is there.
    async fn begin_epoch(&self) -> Result<(), ApiError> {
        let placement = self.placement();
        if !placement.is_member() {
            return Ok(());
        }
        let looked = self.read_looked();
        if looked != Some(placement.epoch) {
            // A node that missed an epoch may have got shards in it that it is thought to have had.
            if placement.gained() || looked != placement.epoch.checked_sub(1) {
                self.check_all().await?;
            }
            replace_file(&self.looked_path(), placement.epoch.to_string().as_bytes())?;
        }
        // After all blobs are marked: the report waits for the marked ones.
        if placement.syncing {
            self.owe_sync(placement.epoch);
        }
        self.inner.heal_wake.notify_one();
        Ok(())
    }

    /// Looks at every blob that was ever certified.
    async fn check_all(&self) -> Result<(), ApiError> {
        let mut after = 0;
        loop {
            let batch = self.inner.chain.events_after(after, BATCH)?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.sequence;
            for event in &batch {
                if let Meaning::Certified(id) = Meaning::of(&event.event) {
                    self.check(id, Duration::ZERO).await?;
                }
            }
        }
    }

    fn looked_path(&self) -> PathBuf {
        self.inner.dir.join("epoch")
    }

    /// The last epoch for which this node looked whether it has everything.
    fn read_looked(&self) -> Option<u32> {
        std::fs::read_to_string(self.looked_path()).ok()?.trim().parse().ok()
    }
}
