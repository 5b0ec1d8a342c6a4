//! Reads ranges of packs: memory, then disk, then the network, one fetch for many readers, and a look ahead.

use super::slivers::{CacheStats, Sliver, SliverCache, SliverKey};
use crate::error::{FsError, FsResult, Kind};
use crate::pack::{PackRef, PackSource};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, try_join_all};
use lru::LruCache;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where slivers come from when no cache has them: the network.
pub trait SliverSource: Send + Sync + 'static {
    /// Bytes of a systematic primary sliver of a blob of `size` bytes (number of secondary source symbols times the
    /// symbol size).
    fn row_len(&self, size: u64) -> FsResult<u64>;

    /// The length of a blob in bytes, from its verified metadata (opening a drive, only the root's place is known).
    fn size(&self, blob: [u8; 32]) -> BoxFuture<'static, FsResult<u64>>;

    /// Fetches row `row` of `blob`; checks its hash against the blob's metadata when `verify` is set, or whenever it had
    /// to be recovered or decoded. Ends within the network's own time limits.
    fn fetch(&self, blob: [u8; 32], size: u64, row: u16, verify: bool) -> BoxFuture<'static, FsResult<Sliver>>;
}

/// What stands between a reader and wrong bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The reader checks an AEAD tag: a sliver need not be verified.
    Tag,
    /// Nothing but the sliver's hash: only verified slivers are used, others are fetched again.
    Hash,
}

/// What the reader did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReaderStats {
    /// The cache's figures.
    pub cache: CacheStats,
    /// Slivers fetched from the network because a reader waited for them.
    pub fetched: u64,
    /// Slivers fetched ahead of a sequential reader.
    pub fetched_ahead: u64,
    /// Bytes fetched from the network.
    pub fetched_bytes: u64,
    /// Fetches that failed.
    pub failed: u64,
}

/// Bytes fetched ahead of a sequential reader at most.
const AHEAD_BYTES: u64 = 16 << 20;

/// Blobs whose reading pattern is remembered.
const PATTERNS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

type Fetching = Shared<BoxFuture<'static, Result<Sliver, Arc<FsError>>>>;

/// Reads sealed bytes of packs through the sliver cache. Cheap to clone.
#[derive(Clone)]
pub struct PackReader(Arc<Inner>);

struct Inner {
    source: Arc<dyn SliverSource>,
    cache: SliverCache,
    fetching: Mutex<HashMap<(SliverKey, bool), Fetching>>,
    patterns: Mutex<LruCache<[u8; 32], Pattern>>,
    counters: ReaderCounters,
}

#[derive(Default)]
struct ReaderCounters {
    fetched: AtomicU64,
    ahead: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
}

/// How far a blob was read in order.
#[derive(Clone, Copy)]
struct Pattern {
    row: u16,
    run: u16,
}

impl PackReader {
    /// A reader over `source` that keeps slivers in `cache`.
    pub fn new(source: Arc<dyn SliverSource>, cache: SliverCache) -> Self {
        Self(Arc::new(Inner {
            source,
            cache,
            fetching: Mutex::new(HashMap::new()),
            patterns: Mutex::new(LruCache::new(PATTERNS)),
            counters: ReaderCounters::default(),
        }))
    }

    /// The cache below the reader.
    pub fn cache(&self) -> &SliverCache {
        &self.0.cache
    }

    /// Bytes `range` of the blob `blob`, which has `size` bytes.
    ///
    /// Errors: `EIO`-class when the range lies outside the blob ([`Kind::Corrupt`]: whoever named it was wrong) or when
    /// neither cache nor network can give it ([`Kind::Unreachable`]).
    pub async fn read(&self, blob: [u8; 32], size: u64, range: Range<u64>, check: Check) -> FsResult<Bytes> {
        if range.start > range.end || range.end > size {
            return Err(FsError::new(
                Kind::Corrupt,
                format!("bytes {}..{} lie outside a pack of {size} bytes", range.start, range.end),
            ));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let row_len = self.0.source.row_len(size)?;
        let rows = range.start / row_len..(range.end - 1) / row_len + 1;
        let pieces = rows.clone().map(|row| {
            let start = row * row_len;
            let within = range.start.max(start) - start..range.end.min(start + row_len) - start;
            self.row(blob, size, row, within, check)
        });
        let mut pieces = try_join_all(pieces).await?;
        self.look_ahead(blob, size, row_len, rows.end - 1);
        if pieces.len() == 1 {
            return Ok(pieces.swap_remove(0));
        }
        let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
        for piece in &pieces {
            whole.extend_from_slice(piece);
        }
        Ok(whole.freeze())
    }

    /// Forgets the slivers under `range`: a tag failed on them. The next read with [`Check::Hash`] brings good ones.
    pub async fn forget(&self, blob: [u8; 32], size: u64, range: Range<u64>) -> FsResult<()> {
        let row_len = self.0.source.row_len(size)?;
        let keys: Vec<_> = (range.start / row_len..range.end.div_ceil(row_len))
            .filter_map(|row| Some(SliverKey { blob, row: u16::try_from(row).ok()? }))
            .collect();
        let inner = Arc::clone(&self.0);
        blocking(move || keys.into_iter().for_each(|key| inner.cache.forget(key))).await
    }

    /// Puts a pack that this machine made into the cache: its rows are its own bytes.
    pub async fn keep_pack(&self, blob: [u8; 32], pack: Bytes) -> FsResult<()> {
        let row_len = usize::try_from(self.0.source.row_len(pack.len() as u64)?).unwrap_or(usize::MAX);
        let inner = Arc::clone(&self.0);
        blocking(move || {
            for (row, start) in (0..pack.len()).step_by(row_len).enumerate() {
                let Ok(row) = u16::try_from(row) else { break };
                let piece = pack.slice(start..pack.len().min(start.saturating_add(row_len)));
                // A slice would keep the whole pack alive for as long as one row is hot.
                let mut bytes = BytesMut::with_capacity(row_len);
                bytes.extend_from_slice(&piece);
                bytes.resize(row_len, 0);
                let sliver = Sliver { bytes: bytes.freeze(), verified: true };
                let key = SliverKey { blob, row };
                inner.cache.keep_on_disk(key, &sliver);
                inner.cache.keep_in_memory(key, sliver);
            }
        })
        .await
    }

    /// The same reader for one who checks no tag, or whose tag has failed: only verified slivers are used.
    pub fn verified(&self) -> VerifiedReader {
        VerifiedReader(self.clone())
    }

    async fn read_pack(&self, pack: &PackRef, offset: u64, len: u32, check: Check) -> FsResult<Bytes> {
        let size = match pack.size {
            Some(size) => size,
            None => self.0.source.size(pack.blob_id).await?,
        };
        self.read(pack.blob_id, size, offset..offset.saturating_add(u64::from(len)), check).await
    }

    /// Figures since the reader was made.
    pub fn stats(&self) -> ReaderStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0.counters;
        ReaderStats {
            cache: self.0.cache.stats(),
            fetched: read(&counters.fetched),
            fetched_ahead: read(&counters.ahead),
            fetched_bytes: read(&counters.bytes),
            failed: read(&counters.failed),
        }
    }

    async fn row(&self, blob: [u8; 32], size: u64, row: u64, within: Range<u64>, check: Check) -> FsResult<Bytes> {
        let Ok(row) = u16::try_from(row) else {
            return Err(FsError::new(Kind::Corrupt, format!("a pack of {size} bytes has no row {row}")));
        };
        let key = SliverKey { blob, row };
        let range = within.start as usize..within.end as usize;
        let good = |sliver: &Sliver| sliver.verified || check == Check::Tag;
        if let Some(sliver) = self.0.cache.in_memory(key).filter(good) {
            return cut(&sliver, range, key);
        }
        if self.0.cache.has_disk() {
            let (inner, wanted) = (Arc::clone(&self.0), range.clone());
            let found = blocking(move || inner.cache.on_disk(key, wanted)).await?;
            if let Some(sliver) = found.filter(good) {
                return Ok(sliver.bytes);
            }
        }
        let fetching = self.fetching(key, size, check == Check::Hash, &self.0.counters.fetched);
        let sliver = fetching.await.map_err(|error| {
            FsError::new(error.kind(), format!("reading a sliver of the network failed: {error}")).caused_by(error)
        })?;
        cut(&sliver, range, key)
    }

    /// The one fetch of a sliver that all its readers share. It runs on its own, so that a reader that goes away
    /// neither stops it for the others nor wastes what has arrived.
    fn fetching(&self, key: SliverKey, size: u64, verify: bool, counter: &AtomicU64) -> Fetching {
        let mut fetching = self.0.fetching.lock();
        if let Some(running) = fetching.get(&(key, verify)) {
            return running.clone();
        }
        counter.fetch_add(1, Ordering::Relaxed);
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let fetched = inner.source.fetch(key.blob, size, key.row, verify).await;
            match &fetched {
                Ok(sliver) => {
                    inner.counters.bytes.fetch_add(sliver.bytes.len() as u64, Ordering::Relaxed);
                    inner.cache.keep_in_memory(key, sliver.clone());
                    let (disk, sliver) = (Arc::clone(&inner), sliver.clone());
                    tokio::task::spawn_blocking(move || disk.cache.keep_on_disk(key, &sliver));
                }
                Err(_) => {
                    inner.counters.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            inner.fetching.lock().remove(&(key, verify));
            fetched.map_err(Arc::new)
        });
        let shared = async move {
            match task.await {
                Ok(fetched) => fetched,
                Err(error) => Err(Arc::new(FsError::new(Kind::Internal, "a fetch stopped").caused_by(error))),
            }
        }
        .boxed()
        .shared();
        fetching.insert((key, verify), shared.clone());
        shared
    }

    /// Fetches the rows after `row` when the blob is being read in order.
    fn look_ahead(&self, blob: [u8; 32], size: u64, row_len: u64, row: u64) {
        let Ok(row) = u16::try_from(row) else { return };
        let run = {
            let mut patterns = self.0.patterns.lock();
            let pattern = patterns.get_or_insert_mut(blob, || Pattern { row, run: 0 });
            if row == pattern.row {
                return;
            }
            pattern.run = if pattern.row.checked_add(1) == Some(row) { pattern.run.saturating_add(1) } else { 0 };
            pattern.row = row;
            pattern.run
        };
        let window = u64::from(run).saturating_mul(2).min((AHEAD_BYTES / row_len.max(1)).max(1));
        let last_row = size.saturating_sub(1) / row_len.max(1);
        for next in (u64::from(row) + 1..=last_row).take(if run == 0 { 0 } else { window as usize }) {
            let Ok(next) = u16::try_from(next) else { break };
            let key = SliverKey { blob, row: next };
            if self.0.cache.holds(key) {
                continue;
            }
            // The task inside goes on by itself; nobody waits for this handle.
            drop(self.fetching(key, size, false, &self.0.counters.ahead));
        }
    }
}

/// See [`PackReader::verified`].
#[derive(Clone)]
pub struct VerifiedReader(PackReader);

impl PackSource for PackReader {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        self.read_pack(pack, offset, len, Check::Tag).boxed()
    }
}

impl PackSource for VerifiedReader {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        self.0.read_pack(pack, offset, len, Check::Hash).boxed()
    }
}

fn cut(sliver: &Sliver, range: Range<usize>, key: SliverKey) -> FsResult<Bytes> {
    if range.end > sliver.bytes.len() {
        return Err(FsError::new(
            Kind::Corrupt,
            format!("sliver {} of blob {} is too short", key.row, hex::encode(key.blob)),
        ));
    }
    Ok(sliver.bytes.slice(range))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> FsResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| FsError::new(Kind::Internal, "a disk worker stopped").caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::super::slivers::CacheConfig;
    use super::*;
    use std::time::Duration;

    const ROW: u64 = 1000;

    /// A network of one blob whose byte `i` is `i as u8`; counts fetches, and can serve wrong bytes to those who do not
    /// verify.
    #[derive(Default)]
    struct Net {
        fetches: AtomicU64,
        lies: bool,
        down: bool,
    }

    impl SliverSource for Arc<Net> {
        fn row_len(&self, _: u64) -> FsResult<u64> {
            Ok(ROW)
        }

        fn size(&self, _: [u8; 32]) -> BoxFuture<'static, FsResult<u64>> {
            async { Ok(10_000) }.boxed()
        }

        fn fetch(&self, _: [u8; 32], _: u64, row: u16, verify: bool) -> BoxFuture<'static, FsResult<Sliver>> {
            let net = Arc::clone(self);
            async move {
                net.fetches.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                if net.down {
                    return Err(FsError::new(Kind::Unreachable, "nobody answers"));
                }
                let wrong = u64::from(net.lies && !verify);
                let bytes: Vec<u8> = (0..ROW).map(|i| (u64::from(row) * ROW + i + wrong) as u8).collect();
                Ok(Sliver { bytes: bytes.into(), verified: verify })
            }
            .boxed()
        }
    }

    fn reader(net: Net) -> (PackReader, Arc<Net>) {
        let net = Arc::new(net);
        let cache = SliverCache::open(&CacheConfig { dir: None, ..CacheConfig::default() });
        (PackReader::new(Arc::new(Arc::clone(&net)), cache), net)
    }

    fn expected(range: Range<u64>) -> Vec<u8> {
        range.map(|i| i as u8).collect()
    }

    #[tokio::test]
    async fn ranges_across_rows_are_the_blobs_bytes() {
        let (reader, _) = reader(Net::default());
        for range in [0..1, 0..1000, 999..1001, 1500..4500, 9_999..10_000, 5..5] {
            let got = reader.read([1; 32], 10_000, range.clone(), Check::Tag).await.unwrap();
            assert_eq!(got, expected(range));
        }
        let outside = reader.read([1; 32], 10_000, 9_999..10_001, Check::Tag).await.unwrap_err();
        assert_eq!(outside.kind(), Kind::Corrupt);
    }

    #[tokio::test]
    async fn many_readers_of_one_sliver_share_one_fetch() {
        let (reader, net) = reader(Net::default());
        let reads = (0..64).map(|i| reader.read([1; 32], 10_000, i * 10..i * 10 + 10, Check::Tag));
        try_join_all(reads).await.unwrap();
        assert_eq!(net.fetches.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_unverified_sliver_never_serves_a_reader_without_a_tag() {
        let (reader, _) = reader(Net { lies: true, ..Net::default() });
        let wrong = reader.read([1; 32], 10_000, 0..10, Check::Tag).await.unwrap();
        assert_ne!(wrong, expected(0..10), "the tag is the reader's to check");
        let right = reader.read([1; 32], 10_000, 0..10, Check::Hash).await.unwrap();
        assert_eq!(right, expected(0..10));
        let cached = reader.read([1; 32], 10_000, 0..10, Check::Tag).await.unwrap();
        assert_eq!(cached, expected(0..10), "the verified one took the other's place");
    }

    #[tokio::test]
    async fn a_sequential_reader_finds_the_next_rows_fetched() {
        let (reader, net) = reader(Net::default());
        for row in 0..5 {
            reader.read([1; 32], 100_000, row * ROW..row * ROW + 10, Check::Tag).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(reader.stats().fetched_ahead >= 3, "{:?}", reader.stats());
        let waited_for = reader.stats().fetched;
        reader.read([1; 32], 100_000, 5 * ROW..5 * ROW + 10, Check::Tag).await.unwrap();
        assert_eq!(reader.stats().fetched, waited_for, "row 5 was there already");
        assert!(net.fetches.load(Ordering::SeqCst) <= 20, "the window is bounded");
    }

    #[tokio::test]
    async fn a_fetch_that_failed_is_tried_again_by_the_next_reader() {
        let (reader, net) = reader(Net { down: true, ..Net::default() });
        for attempt in 1..=2 {
            let error = reader.read([1; 32], 10_000, 0..10, Check::Tag).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unreachable);
            assert_eq!(net.fetches.load(Ordering::SeqCst), attempt);
        }
    }

    #[tokio::test]
    async fn a_pack_made_here_is_read_without_the_network() {
        let (reader, net) = reader(Net::default());
        let pack: Bytes = expected(0..2500).into();
        reader.keep_pack([3; 32], pack.clone()).await.unwrap();
        assert_eq!(reader.read([3; 32], 2500, 0..2500, Check::Hash).await.unwrap(), pack);
        assert_eq!(net.fetches.load(Ordering::SeqCst), 0);
    }
}
