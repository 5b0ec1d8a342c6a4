//! The two tiers of slivers: memory above disk.

use super::disk::DiskTier;
use super::hot::HotMap;
use super::sizes::Sizes;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names one systematic primary sliver: row `row` of the blob `blob`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliverKey {
    /// The blob id's 32 bytes.
    pub blob: [u8; 32],
    /// Index of the primary sliver, below the number of primary source symbols.
    pub row: u16,
}

/// A sliver's bytes and whether its hash was checked against the blob's metadata.
#[derive(Clone, Debug)]
pub struct Sliver {
    /// The sliver: as many bytes as a primary sliver of the blob has.
    pub bytes: Bytes,
    /// Checked against the metadata. One that was not serves only readers that check a tag.
    pub verified: bool,
}

/// Bounds and place of the cache.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Folder of the disk tier; `None` keeps slivers in memory only.
    pub dir: Option<PathBuf>,
    /// Most bytes on disk.
    pub disk_bytes: u64,
    /// Most bytes in memory.
    pub memory_bytes: u64,
    /// Bytes of the cache's filesystem that are left free for others, but at most a tenth of it.
    pub disk_min_free: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { dir: None, disk_bytes: 10 << 30, memory_bytes: 128 << 20, disk_min_free: 1 << 30 }
    }
}

/// What the cache did since it was opened, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CacheStats {
    /// Lookups answered from memory.
    pub memory_hits: u64,
    /// Lookups answered from disk.
    pub disk_hits: u64,
    /// Lookups that found nothing.
    pub misses: u64,
    /// Bytes of answers from memory.
    pub memory_read_bytes: u64,
    /// Bytes of answers from disk.
    pub disk_read_bytes: u64,
    /// Slivers dropped to make room, both tiers.
    pub evictions: u64,
    /// Files whose checksum or header was wrong; dropped and fetched again.
    pub corrupt: u64,
    /// Disk operations that failed and were bypassed.
    pub disk_errors: u64,
    /// Bytes in memory now.
    pub memory_bytes: u64,
    /// Bytes on disk now.
    pub disk_bytes: u64,
    /// Bytes on disk that are pinned.
    pub pinned_bytes: u64,
}

impl CacheStats {
    /// Lookups that either tier answered.
    pub fn hits(&self) -> u64 {
        self.memory_hits.saturating_add(self.disk_hits)
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) memory_hits: AtomicU64,
    pub(super) disk_hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) memory_read: AtomicU64,
    pub(super) disk_read: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) corrupt: AtomicU64,
    pub(super) disk_errors: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Slivers in memory above slivers on disk. Cheap to share; every method may be called from any thread, those that
/// touch the disk say so.
pub struct SliverCache {
    memory: Mutex<HotMap<Sliver>>,
    memory_limit: u64,
    disk: Option<DiskTier>,
    sizes: Option<Sizes>,
    counters: Arc<Counters>,
}

impl SliverCache {
    /// Opens the cache. Nothing is read from disk here; a folder that cannot be made means no disk tier, and a log line.
    pub fn open(config: &CacheConfig) -> Self {
        let counters = Arc::new(Counters::default());
        let disk = config.dir.as_deref().and_then(|dir| {
            DiskTier::open(dir, config.disk_bytes, config.disk_min_free, Arc::clone(&counters))
                .inspect_err(|error| {
                    tracing::warn!(dir = %dir.display(), %error, "cache folder cannot be used; going on without it");
                })
                .ok()
        });
        Self {
            memory: Mutex::new(HotMap::new(config.memory_bytes)),
            memory_limit: config.memory_bytes,
            sizes: config.dir.as_deref().filter(|_| disk.is_some()).map(Sizes::open),
            disk,
            counters,
        }
    }

    /// The sliver, if memory holds it; `range` is the part that will be used. Never touches the disk.
    pub fn in_memory(&self, key: SliverKey, range: &Range<usize>) -> Option<Sliver> {
        let found = self.memory.lock().read(&key, range, |sliver| sliver.bytes.len()).cloned();
        if found.is_some() {
            count(&self.counters.memory_hits);
            add(&self.counters.memory_read, range.len() as u64);
        }
        found
    }

    /// Bytes `range` of the sliver, if the disk holds them whole; checks the checksums of the blocks it reads.
    /// Blocking: call it from a thread that may wait for the disk.
    pub fn on_disk(&self, key: SliverKey, range: Range<usize>) -> Option<Sliver> {
        self.read_disk(key, range, false)
    }

    /// As [`SliverCache::on_disk`], for a reader that checks a tag: no checksums. When the tag fails it must say so
    /// ([`SliverCache::doubt`]): then [`SliverCache::on_disk`] tells whether the disk is to blame, and drops what it damaged.
    pub fn on_disk_unchecked(&self, key: SliverKey, range: Range<usize>) -> Option<Sliver> {
        self.read_disk(key, range, true)
    }

    /// As [`SliverCache::on_disk_unchecked`], where the kernel has the bytes in its memory; `None` says nothing about the disk.
    /// Never waits.
    pub fn at_hand(&self, key: SliverKey, range: Range<usize>) -> Option<Bytes> {
        let found = self.disk.as_ref()?.read_at_hand(key, range);
        if found.is_some() {
            count(&self.counters.disk_hits);
        }
        found
    }

    /// Somebody found wrong bytes in the sliver: the disk's checksums are compared again at the next reading.
    pub fn doubt(&self, key: SliverKey) {
        if let Some(disk) = &self.disk {
            disk.doubt(key);
        }
    }

    fn read_disk(&self, key: SliverKey, range: Range<usize>, trusting: bool) -> Option<Sliver> {
        let found = self.disk.as_ref().and_then(|disk| disk.read(key, range, trusting));
        if found.is_some() {
            count(&self.counters.disk_hits);
        }
        found
    }

    /// The sliver, if memory holds it, without counting that as a use.
    pub(super) fn whole(&self, key: SliverKey) -> Option<Sliver> {
        self.memory.lock().read(&key, &(0..0), |sliver| sliver.bytes.len()).cloned()
    }

    /// The length of a blob, if it was remembered.
    pub(super) fn size_of(&self, blob: [u8; 32]) -> Option<u64> {
        self.sizes.as_ref()?.get(blob)
    }

    /// Remembers the length of a blob. Blocking.
    pub(super) fn keep_size(&self, blob: [u8; 32], size: u64) {
        if let Some(sizes) = &self.sizes {
            sizes.put(blob, size);
        }
    }

    /// A reader found it nowhere here.
    pub(super) fn missed(&self) {
        count(&self.counters.misses);
    }

    /// Whether either tier holds the sliver.
    pub fn holds(&self, key: SliverKey) -> bool {
        self.memory.lock().contains(&key) || self.is_kept(key)
    }

    /// Whether either tier may hold the sliver: what an earlier life left on disk is known some time after the start.
    pub fn may_hold(&self, key: SliverKey) -> bool {
        self.memory.lock().contains(&key) || self.disk.as_ref().is_some_and(|disk| disk.may_hold(key))
    }

    /// Whether the disk holds the sliver.
    pub fn is_kept(&self, key: SliverKey) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.holds(key))
    }

    /// Whether a disk tier exists.
    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Bytes that the disk tier may hold at most; 0 when there is none, or another process keeps it.
    pub fn disk_limit(&self) -> u64 {
        self.disk.as_ref().map_or(0, DiskTier::limit)
    }

    /// Pins exactly these slivers on disk: those that are there, and those that come, stay until they are pinned no more.
    pub fn pin(&self, keys: HashSet<SliverKey>) {
        if let Some(disk) = &self.disk {
            disk.pin(keys);
        }
    }

    /// Puts a whole sliver into memory; what is worth less makes room.
    pub fn keep_in_memory(&self, key: SliverKey, sliver: Sliver) {
        let size = sliver.bytes.len() as u64;
        if size > self.memory_limit {
            return;
        }
        let mut memory = self.memory.lock();
        memory.insert(key, sliver, size);
        while memory.bytes() > self.memory_limit && memory.evict().is_some() {
            count(&self.counters.evictions);
        }
    }

    /// Puts a whole sliver on disk. Blocking. Failure is counted and forgotten.
    pub fn keep_on_disk(&self, key: SliverKey, sliver: &Sliver) {
        if let Some(disk) = &self.disk {
            disk.write(key, sliver);
        }
    }

    /// Forgets a sliver in both tiers: a reader found it wrong, or its blob is gone. Blocking.
    pub fn forget(&self, key: SliverKey) {
        self.memory.lock().remove(&key);
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
    }

    /// Forgets everything in both tiers. Blocking.
    pub fn clear(&self) {
        self.memory.lock().clear();
        if let Some(disk) = &self.disk {
            disk.clear();
        }
    }

    /// Figures since the cache was opened.
    pub fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            memory_hits: read(&self.counters.memory_hits),
            disk_hits: read(&self.counters.disk_hits),
            misses: read(&self.counters.misses),
            memory_read_bytes: read(&self.counters.memory_read),
            disk_read_bytes: read(&self.counters.disk_read),
            evictions: read(&self.counters.evictions),
            corrupt: read(&self.counters.corrupt),
            disk_errors: read(&self.counters.disk_errors),
            memory_bytes: self.memory.lock().bytes(),
            disk_bytes: self.disk.as_ref().map_or(0, DiskTier::bytes),
            pinned_bytes: self.disk.as_ref().map_or(0, DiskTier::pinned_bytes),
        }
    }
}

#[cfg(test)]
#[path = "tests/slivers.rs"]
mod tests;
