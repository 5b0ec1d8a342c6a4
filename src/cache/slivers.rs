//! The two tiers of slivers: memory above disk.

use super::disk::DiskTier;
use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
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
    /// Bytes of the cache's filesystem that are left free for others.
    pub disk_min_free: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { dir: None, disk_bytes: 10 << 30, memory_bytes: 128 << 20, disk_min_free: 1 << 30 }
    }
}

/// What the cache did since it was opened, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CacheStats {
    /// Lookups answered from memory.
    pub memory_hits: u64,
    /// Lookups answered from disk.
    pub disk_hits: u64,
    /// Lookups that found nothing.
    pub misses: u64,
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
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) memory_hits: AtomicU64,
    pub(super) disk_hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) corrupt: AtomicU64,
    pub(super) disk_errors: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

struct Memory {
    slivers: LruCache<SliverKey, Sliver>,
    bytes: u64,
}

/// Slivers in memory above slivers on disk. Cheap to share; every method may be called from any thread, those that
/// touch the disk say so.
pub struct SliverCache {
    memory: Mutex<Memory>,
    memory_limit: u64,
    disk: Option<DiskTier>,
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
            memory: Mutex::new(Memory { slivers: LruCache::unbounded(), bytes: 0 }),
            memory_limit: config.memory_bytes,
            disk,
            counters,
        }
    }

    /// The sliver, if memory holds it. Never touches the disk.
    pub fn in_memory(&self, key: SliverKey) -> Option<Sliver> {
        let found = self.memory.lock().slivers.get(&key).cloned();
        if found.is_some() {
            count(&self.counters.memory_hits);
        }
        found
    }

    /// Bytes `range` of the sliver, if the disk holds them whole; checks the checksums of the blocks it reads.
    /// Blocking: call it from a thread that may wait for the disk.
    pub fn on_disk(&self, key: SliverKey, range: Range<usize>) -> Option<Sliver> {
        let found = self.disk.as_ref().and_then(|disk| disk.read(key, range));
        count(if found.is_some() { &self.counters.disk_hits } else { &self.counters.misses });
        found
    }

    /// Whether either tier seems to hold the sliver; cheap, for deciding whether to fetch ahead.
    pub fn holds(&self, key: SliverKey) -> bool {
        self.memory.lock().slivers.contains(&key) || self.disk.as_ref().is_some_and(|disk| disk.holds(key))
    }

    /// Whether a disk tier exists.
    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Puts a whole sliver into memory; older ones make room.
    pub fn keep_in_memory(&self, key: SliverKey, sliver: Sliver) {
        let size = sliver.bytes.len() as u64;
        if size > self.memory_limit {
            return;
        }
        let mut memory = self.memory.lock();
        if let Some(old) = memory.slivers.put(key, sliver) {
            memory.bytes -= old.bytes.len() as u64;
        }
        memory.bytes += size;
        while memory.bytes > self.memory_limit {
            let Some((_, old)) = memory.slivers.pop_lru() else { break };
            memory.bytes -= old.bytes.len() as u64;
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
        {
            let mut memory = self.memory.lock();
            if let Some(old) = memory.slivers.pop(&key) {
                memory.bytes -= old.bytes.len() as u64;
            }
        }
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
    }

    /// Forgets everything in both tiers. Blocking.
    pub fn clear(&self) {
        {
            let mut memory = self.memory.lock();
            memory.slivers.clear();
            memory.bytes = 0;
        }
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
            evictions: read(&self.counters.evictions),
            corrupt: read(&self.counters.corrupt),
            disk_errors: read(&self.counters.disk_errors),
            memory_bytes: self.memory.lock().bytes,
            disk_bytes: self.disk.as_ref().map_or(0, DiskTier::bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u16) -> SliverKey {
        SliverKey { blob: [7; 32], row: n }
    }

    fn sliver(n: u8, len: usize) -> Sliver {
        Sliver {
            bytes: (0..len).map(|i| n.wrapping_add(i as u8)).collect::<Vec<_>>().into(),
            verified: n.is_multiple_of(2),
        }
    }

    fn config(dir: &std::path::Path) -> CacheConfig {
        CacheConfig { dir: Some(dir.to_owned()), disk_bytes: 1 << 20, memory_bytes: 300_000, disk_min_free: 0 }
    }

    #[test]
    fn memory_is_bounded_and_drops_the_least_recently_used() {
        let cache = SliverCache::open(&CacheConfig { dir: None, memory_bytes: 3000, ..CacheConfig::default() });
        for n in 0..3 {
            cache.keep_in_memory(key(n), sliver(n as u8, 1000));
        }
        assert!(cache.in_memory(key(0)).is_some());
        cache.keep_in_memory(key(3), sliver(3, 1000));
        assert!(cache.in_memory(key(0)).is_some(), "used last but one");
        assert!(cache.in_memory(key(1)).is_none(), "least recently used");
        cache.keep_in_memory(key(9), sliver(9, 3001));
        assert!(cache.in_memory(key(9)).is_none(), "larger than the tier");
        assert_eq!(cache.stats().memory_bytes, 3000);
    }

    #[test]
    fn disk_survives_reopening_and_serves_ranges() {
        let dir = tempfile::tempdir().unwrap();
        let whole = sliver(4, 200_001);
        SliverCache::open(&config(dir.path())).keep_on_disk(key(1), &whole);
        let cache = SliverCache::open(&config(dir.path()));
        for range in [0..200_001, 0..1, 65_535..65_537, 131_072..200_001, 200_000..200_001, 70_000..70_000] {
            let got = cache.on_disk(key(1), range.clone()).unwrap();
            assert_eq!(got.bytes, whole.bytes.slice(range));
            assert!(got.verified);
        }
        assert!(cache.on_disk(key(1), 0..200_002).is_none(), "past the end");
        assert!(cache.on_disk(key(2), 0..1).is_none());
        assert!(
            cache.stats().disk_bytes > 200_001 || cache.stats().disk_bytes == 0,
            "index is built in the background"
        );
    }

    #[test]
    fn a_flipped_bit_anywhere_is_detected_and_the_file_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let whole = sliver(6, 70_000);
        let file_len = {
            let cache = SliverCache::open(&config(dir.path()));
            cache.keep_on_disk(key(1), &whole);
            let file = only_file(dir.path());
            std::fs::metadata(file).unwrap().len()
        };
        for position in (0..file_len).step_by(997).chain([0, 9, file_len - 1]) {
            let cache = SliverCache::open(&config(dir.path()));
            cache.keep_on_disk(key(1), &whole);
            let file = only_file(dir.path());
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[position as usize] ^= 0x10;
            std::fs::write(&file, bytes).unwrap();
            assert!(cache.on_disk(key(1), 0..70_000).is_none(), "flip at {position} went unnoticed");
            assert!(!file.exists(), "the wrong file is dropped");
            assert_eq!(cache.stats().corrupt, 1);
        }
    }

    #[test]
    fn disk_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let cache = SliverCache::open(&config(dir.path()));
        for n in 0..40 {
            cache.keep_on_disk(key(n), &sliver(1, 100_000));
        }
        let on_disk: u64 = files(dir.path()).iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
        assert!(on_disk <= 1 << 20, "{on_disk}");
        assert!(cache.on_disk(key(39), 0..10).is_some());
        assert!(cache.on_disk(key(0), 0..10).is_none());
        cache.clear();
        assert!(files(dir.path()).is_empty());
    }

    fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
        }
        found
    }

    fn only_file(dir: &std::path::Path) -> std::path::PathBuf {
        let found = files(dir);
        assert_eq!(found.len(), 1);
        found[0].clone()
    }
}
