//! Reads ranges of packs: memory, then disk, then the network, one fetch for many readers.
//!
//! A fetch runs in a task of its own and belongs to those who wait for it: when the last of them goes away (a seek has
//! made it stale, a request is over its time) it is broken off, and its requests with it. Who reads ahead of whom is
//! not decided here; a reader only says what its fetches are for ([`Purpose`]), so that they are counted apart.

use super::slivers::{CacheStats, Sliver, SliverCache, SliverKey};
use crate::error::{FsError, FsResult, Kind};
use crate::pack::{PackRef, PackSource};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared, try_join_all};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

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

    /// Bytes that arrive in a few seconds, where that is known to be few.
    fn link_carries(&self) -> Option<u64> {
        None
    }
}

/// What stands between a reader and wrong bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The reader checks an AEAD tag: a sliver need not be verified.
    Tag,
    /// Nothing but the sliver's hash: only verified slivers are used, others are fetched again.
    Hash,
}

/// What a fetch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody waits for it.
    Demand,
    /// Somebody will want it, if all goes as expected.
    Ahead,
}

/// What the reader did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReaderStats {
    /// The cache's figures.
    pub cache: CacheStats,
    /// Slivers fetched from the network because a reader waited for them.
    pub fetched: u64,
    /// Slivers fetched before anybody asked for them.
    pub fetched_ahead: u64,
    /// Bytes fetched from the network.
    pub fetched_bytes: u64,
    /// Fetches that failed.
    pub failed: u64,
    /// Fetches broken off because nobody waited any more.
    pub cancelled: u64,
}

/// Bytes of slivers that may wait to be written to the cache's disk; what comes while there are more is not kept there.
const WAITING_WRITES: u64 = 64 << 20;

/// A sliver, and whether its hash is to be verified.
type Wanted = (SliverKey, bool);

type Fetch = BoxFuture<'static, Result<Sliver, Arc<FsError>>>;

/// Reads sealed bytes of packs through the sliver cache. Cheap to clone.
#[derive(Clone)]
pub struct PackReader(Arc<Inner>);

struct Inner {
    source: Arc<dyn SliverSource>,
    cache: SliverCache,
    /// Fetches under way, for as long as somebody waits for them, each with a number of its own.
    fetching: Mutex<HashMap<Wanted, (u64, WeakShared<Fetch>)>>,
    counters: ReaderCounters,
    writes: Writes,
}

#[derive(Default)]
struct ReaderCounters {
    fetches: AtomicU64,
    fetched: AtomicU64,
    ahead: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
}

/// Slivers on their way to the cache's disk.
#[derive(Default)]
struct Writes {
    bytes: AtomicU64,
    done: Notify,
}

/// A fetch's entry in the list; goes with the fetch, however that ends.
struct Listed {
    inner: Arc<Inner>,
    key: Wanted,
    number: u64,
    ended: bool,
}

impl Listed {
    /// The fetch came to its end.
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut fetching = self.inner.fetching.lock();
        if fetching.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            fetching.remove(&self.key);
        }
        if !self.ended {
            self.inner.counters.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A part of a row: which, and which of its bytes.
type Part = (SliverKey, Range<usize>);

impl PackReader {
    /// A reader over `source` that keeps slivers in `cache`.
    pub fn new(source: Arc<dyn SliverSource>, cache: SliverCache) -> Self {
        Self(Arc::new(Inner {
            source,
            cache,
            fetching: Mutex::new(HashMap::new()),
            counters: ReaderCounters::default(),
            writes: Writes::default(),
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
        self.read_for(blob, size, range, check, Purpose::Demand).await
    }

    async fn read_for(
        &self,
        blob: [u8; 32],
        size: u64,
        range: Range<u64>,
        check: Check,
        purpose: Purpose,
    ) -> FsResult<Bytes> {
        let len = range.end.saturating_sub(range.start);
        let parts = self.parts(blob, size, range)?;
        let mut pieces = try_join_all(parts.into_iter().map(|part| self.part(part, size, check, purpose))).await?;
        if pieces.len() == 1 {
            return Ok(pieces.swap_remove(0));
        }
        Ok(joined(&pieces, len))
    }

    /// The sealed bytes of a unit, if they are on this machine, for whoever checks its tag; the disk's checksums are not. When
    /// the tag fails, the next [`PackReader::read`] compares them and replaces what the disk damaged. Blocking: it may read the disk.
    pub fn local(&self, pack: &PackRef, offset: u64, len: u32) -> Option<Bytes> {
        self.here(pack, offset, len, |cache, key, range| Some(cache.on_disk_unchecked(key, range)?.bytes))
    }

    /// As [`PackReader::local`], if this machine has the bytes in memory: its own or the kernel's. Never waits for anything, so
    /// `None` says nothing about the disk.
    pub fn at_hand(&self, pack: &PackRef, offset: u64, len: u32) -> Option<Bytes> {
        self.here(pack, offset, len, SliverCache::at_hand)
    }

    /// The sealed bytes of a unit out of memory and what `below` has of the rest.
    fn here(
        &self,
        pack: &PackRef,
        offset: u64,
        len: u32,
        below: impl Fn(&SliverCache, SliverKey, Range<usize>) -> Option<Bytes>,
    ) -> Option<Bytes> {
        let parts = self.parts(pack.blob_id, pack.size?, offset..offset.saturating_add(u64::from(len))).ok()?;
        let cache = &self.0.cache;
        let mut pieces = Vec::with_capacity(parts.len());
        for (key, range) in parts {
            pieces.push(match cache.in_memory(key, &range) {
                Some(sliver) => cut(&sliver, range, key).ok()?,
                None => below(cache, key, range)?,
            });
        }
        if pieces.len() == 1 { pieces.pop() } else { Some(joined(&pieces, u64::from(len))) }
    }

    /// Whether [`PackReader::local`] is worth trying. Never touches the disk.
    pub fn may_be_local(&self, pack: &PackRef, offset: u64, len: u32) -> bool {
        let Some(size) = pack.size else { return false };
        let parts = self.parts(pack.blob_id, size, offset..offset.saturating_add(u64::from(len)));
        parts.is_ok_and(|parts| parts.iter().all(|(key, _)| self.0.cache.may_hold(*key)))
    }

    /// As [`PackSource::read`], for whom nobody waits yet. Dropping the future breaks off what nobody else waits for.
    ///
    /// # Errors
    /// As [`PackReader::read`].
    pub async fn read_ahead(&self, pack: &PackRef, offset: u64, len: u32) -> FsResult<Bytes> {
        self.read_pack(pack, offset, len, Check::Tag, Purpose::Ahead).await
    }

    /// Fetches the slivers under `range` of a pack that are not on this machine.
    ///
    /// # Errors
    /// As [`PackReader::read`]; slivers that came before the error stay.
    pub async fn warm(&self, pack: &PackRef, range: Range<u64>) -> FsResult<()> {
        let Some(size) = pack.size else { return Ok(()) };
        let parts = self.parts(pack.blob_id, size, range.start..range.end.min(size))?;
        let missing = parts.into_iter().filter(|(key, _)| !self.0.cache.may_hold(*key));
        let fetches = missing.map(|(key, _)| self.fetching(key, size, false, Purpose::Ahead));
        try_join_all(fetches).await.map_err(fetch_failed)?;
        Ok(())
    }

    /// The slivers under `range` of a pack.
    ///
    /// # Errors
    /// When the range lies outside.
    pub fn slivers(&self, pack: &PackRef, range: Range<u64>) -> FsResult<Vec<SliverKey>> {
        let Some(size) = pack.size else { return Ok(Vec::new()) };
        Ok(self.parts(pack.blob_id, size, range)?.into_iter().map(|(key, _)| key).collect())
    }

    /// Bytes of a sliver of the pack, where its length is known.
    pub fn row_len(&self, pack: &PackRef) -> Option<u64> {
        self.0.source.row_len(pack.size?).ok()
    }

    /// Returns when what was fetched so far is on disk, or was refused there.
    pub async fn settle(&self) {
        loop {
            let done = self.0.writes.done.notified();
            if self.0.writes.bytes.load(Ordering::Acquire) == 0 {
                return;
            }
            done.await;
        }
    }

    /// Puts those of `keys` on disk that are only in memory.
    ///
    /// # Errors
    /// None of the disk: what it refuses is refused.
    pub async fn persist(&self, keys: Vec<SliverKey>) -> FsResult<()> {
        if keys.iter().all(|key| self.0.cache.is_kept(*key)) {
            return Ok(());
        }
        self.settle().await;
        let inner = Arc::clone(&self.0);
        blocking(move || {
            for key in keys.into_iter().filter(|key| !inner.cache.is_kept(*key)) {
                if let Some(sliver) = inner.cache.whole(key) {
                    inner.cache.keep_on_disk(key, &sliver);
                }
            }
        })
        .await
    }

    /// A tag failed on these bytes of a pack: what the disk says about them is compared with its checksums anew, even if it was
    /// compared before. Cheap; never touches the disk.
    pub fn doubt(&self, pack: &PackRef, offset: u64, len: u32) {
        let parts = self.parts(pack.blob_id, pack.size.unwrap_or(0), offset..offset.saturating_add(u64::from(len)));
        parts.into_iter().flatten().for_each(|(key, _)| self.0.cache.doubt(key));
    }

    /// Puts a pack that this machine made into the cache: its rows are its own bytes.
    pub async fn keep_pack(&self, blob: [u8; 32], pack: Bytes) -> FsResult<()> {
        let row_len = usize::try_from(self.0.source.row_len(pack.len() as u64)?).unwrap_or(usize::MAX);
        let inner = Arc::clone(&self.0);
        blocking(move || {
            inner.cache.keep_size(blob, pack.len() as u64);
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

    /// The same reader for one who checks a tag and cannot wait: what is not at hand is [`Kind::Unreachable`], at once.
    pub fn without_waiting(&self) -> AtHand<'_> {
        AtHand(self)
    }

    /// The same reader for one who checks no tag, or whose tag has failed: only verified slivers are used.
    pub fn verified(&self) -> VerifiedReader {
        VerifiedReader(self.clone())
    }

    async fn read_pack(
        &self,
        pack: &PackRef,
        offset: u64,
        len: u32,
        check: Check,
        purpose: Purpose,
    ) -> FsResult<Bytes> {
        let size = match pack.size {
            Some(size) => size,
            None => self.size_of(pack.blob_id).await?,
        };
        self.read_for(pack.blob_id, size, offset..offset.saturating_add(u64::from(len)), check, purpose).await
    }

    /// The length of a blob: it never changes, so what was remembered is right.
    async fn size_of(&self, blob: [u8; 32]) -> FsResult<u64> {
        if let Some(size) = self.0.cache.size_of(blob) {
            return Ok(size);
        }
        let size = self.0.source.size(blob).await?;
        let inner = Arc::clone(&self.0);
        blocking(move || inner.cache.keep_size(blob, size)).await?;
        Ok(size)
    }

    /// Bytes that arrive from the network in a few seconds, where that is known to be few.
    pub fn link_carries(&self) -> Option<u64> {
        self.0.source.link_carries()
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
            cancelled: read(&counters.cancelled),
        }
    }

    /// The parts of rows that `range` of a blob of `size` bytes consists of.
    fn parts(&self, blob: [u8; 32], size: u64, range: Range<u64>) -> FsResult<Vec<Part>> {
        if range.start > range.end || range.end > size {
            return Err(FsError::new(
                Kind::Corrupt,
                format!("bytes {}..{} lie outside a pack of {size} bytes", range.start, range.end),
            ));
        }
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let row_len = self.0.source.row_len(size)?;
        let rows = range.start / row_len..(range.end - 1) / row_len + 1;
        let part = |row: u64| {
            let start = row * row_len;
            let within = range.start.max(start) - start..range.end.min(start + row_len) - start;
            let no_row = |_| FsError::new(Kind::Corrupt, format!("a pack of {size} bytes has no row {row}"));
            let key = SliverKey { blob, row: u16::try_from(row).map_err(no_row)? };
            Ok((key, within.start as usize..within.end as usize))
        };
        rows.map(part).collect()
    }

    async fn part(&self, (key, range): Part, size: u64, check: Check, purpose: Purpose) -> FsResult<Bytes> {
        let cache = &self.0.cache;
        let good = |sliver: &Sliver| sliver.verified || check == Check::Tag;
        if let Some(sliver) = cache.in_memory(key, &range).filter(good) {
            return cut(&sliver, range, key);
        }
        if cache.may_hold(key) {
            let (inner, wanted) = (Arc::clone(&self.0), range.clone());
            let found = blocking(move || inner.cache.on_disk(key, wanted)).await?;
            if let Some(sliver) = found.filter(good) {
                return Ok(sliver.bytes);
            }
        }
        cache.missed();
        let sliver = self.fetching(key, size, check == Check::Hash, purpose).await.map_err(fetch_failed)?;
        cut(&sliver, range, key)
    }

    /// The one fetch of a sliver that all its readers share.
    fn fetching(&self, key: SliverKey, size: u64, verify: bool, purpose: Purpose) -> Shared<Fetch> {
        let mut fetching = self.0.fetching.lock();
        if let Some(running) = fetching.get(&(key, verify)).and_then(|(_, running)| running.upgrade()) {
            return running;
        }
        let counters = &self.0.counters;
        let counter = if purpose == Purpose::Demand { &counters.fetched } else { &counters.ahead };
        counter.fetch_add(1, Ordering::Relaxed);
        let number = counters.fetches.fetch_add(1, Ordering::Relaxed);
        let listed = Listed { inner: Arc::clone(&self.0), key: (key, verify), number, ended: false };
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let inner = &listed.inner;
            let fetched = inner.source.fetch(key.blob, size, key.row, verify).await;
            match &fetched {
                Ok(sliver) => inner.arrived(key, sliver),
                Err(_) => drop(inner.counters.failed.fetch_add(1, Ordering::Relaxed)),
            }
            listed.end();
            fetched.map_err(Arc::new)
        }));
        let stopped = |error| Err(Arc::new(FsError::new(Kind::Internal, "a fetch stopped").caused_by(error)));
        let shared = async move { task.await.unwrap_or_else(stopped) }.boxed().shared();
        // Nothing has polled it yet, so it is not over.
        if let Some(weak) = shared.downgrade() {
            fetching.insert((key, verify), (number, weak));
        }
        shared
    }
}

impl Inner {
    /// Puts what the network gave into both tiers.
    fn arrived(self: &Arc<Self>, key: SliverKey, sliver: &Sliver) {
        let len = sliver.bytes.len() as u64;
        self.counters.bytes.fetch_add(len, Ordering::Relaxed);
        self.cache.keep_in_memory(key, sliver.clone());
        let waiting = self.writes.bytes.fetch_add(len, Ordering::AcqRel);
        if !self.cache.has_disk() || (waiting > 0 && waiting.saturating_add(len) > WAITING_WRITES) {
            return self.written(len);
        }
        let (inner, sliver) = (Arc::clone(self), sliver.clone());
        tokio::task::spawn_blocking(move || {
            inner.cache.keep_on_disk(key, &sliver);
            inner.written(len);
        });
    }

    fn written(&self, len: u64) {
        if self.writes.bytes.fetch_sub(len, Ordering::AcqRel) == len {
            self.writes.done.notify_waiters();
        }
    }
}

/// See [`PackReader::without_waiting`].
pub struct AtHand<'a>(&'a PackReader);

/// See [`PackReader::verified`].
#[derive(Clone)]
pub struct VerifiedReader(PackReader);

impl PackSource for PackReader {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        self.read_pack(pack, offset, len, Check::Tag, Purpose::Demand).boxed()
    }
}

impl PackSource for AtHand<'_> {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        let not_here = || FsError::new(Kind::Unreachable, "not in this machine's memory");
        std::future::ready(self.0.at_hand(pack, offset, len).ok_or_else(not_here)).boxed()
    }
}

impl PackSource for VerifiedReader {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        self.0.read_pack(pack, offset, len, Check::Hash, Purpose::Demand).boxed()
    }
}

fn fetch_failed(error: Arc<FsError>) -> FsError {
    FsError::new(error.kind(), format!("reading a sliver of the network failed: {error}")).caused_by(error)
}

fn joined(pieces: &[Bytes], len: u64) -> Bytes {
    let mut whole = BytesMut::with_capacity(usize::try_from(len).unwrap_or(0));
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
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
#[path = "tests/reader.rs"]
mod tests;
