//! The disk tier: one file per sliver ([`super::sliver_file`]), which of them stay ([`super::hot`]), and a thread that keeps
//! order.
//!
//! A file is written under a temporary name and renamed: no fsync, because losing it costs a fetch, and a torn one fails
//! its checksums. The folder belongs to one process, by a lock on it; another one that opens the same drive reads what is
//! there and writes nothing. When the filesystem runs short of what should stay free for others, slivers are removed until
//! it does not: at the next write, and every few seconds by the keeper.

use super::hot::HotMap;
use super::order::{self, Row};
use super::sliver_file::{self, Patience, SliverFile};
use super::slivers::{Counters, Sliver, SliverKey, add, count};
use bytes::Bytes;
use lru::LruCache;
use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fs::{self, DirEntry, File};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Files kept open: a small part of the 1,024 descriptors that a process usually may have.
const OPEN_FILES: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// How often the keeper looks at the filesystem.
const LOOK: Duration = Duration::from_secs(10);

/// How often the order is saved while it changes.
const SAVE: Duration = Duration::from_secs(60);

pub(super) struct DiskTier {
    shared: Arc<Shared>,
    keeper: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Shared {
    dir: PathBuf,
    limit: u64,
    min_free: u64,
    /// What is kept, with each sliver's length.
    index: Mutex<HotMap<usize>>,
    /// Bytes of files that are being written, which are in the index when they are done. Changed under its lock.
    writing: AtomicU64,
    open: Mutex<LruCache<SliverKey, Arc<SliverFile>>>,
    counters: Arc<Counters>,
    temporary: AtomicU64,
    /// The files of earlier lives are in the index.
    scanned: AtomicBool,
    changed: AtomicBool,
    /// Held by the process that the folder belongs to.
    owner: Option<Flock<File>>,
}

impl DiskTier {
    pub(super) fn open(dir: &Path, limit: u64, min_free: u64, counters: Arc<Counters>) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let owner = match Flock::lock(File::open(dir)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Some(lock),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                tracing::info!(dir = %dir.display(), "another process keeps this cache; it is only read");
                None
            }
            Err((_, errno)) => return Err(errno.into()),
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            limit,
            min_free,
            index: Mutex::new(HotMap::new(limit)),
            writing: AtomicU64::new(0),
            open: Mutex::new(LruCache::new(OPEN_FILES)),
            counters,
            temporary: AtomicU64::new(0),
            scanned: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            owner,
        });
        let (stop, stopped) = channel();
        let kept = Arc::clone(&shared);
        // A lookup opens the file, whatever the index says, so mounting does not wait for the scan.
        let thread = std::thread::Builder::new().name("cache-keeper".into()).spawn(move || kept.keep(&stopped))?;
        Ok(Self { shared, keeper: Some((stop, thread)) })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.shared.index.lock().bytes()
    }

    pub(super) fn pinned_bytes(&self) -> u64 {
        self.shared.index.lock().pinned_bytes()
    }

    pub(super) fn limit(&self) -> u64 {
        if self.shared.owner.is_some() { self.shared.limit } else { 0 }
    }

    /// Whether the sliver is there for certain.
    pub(super) fn holds(&self, key: SliverKey) -> bool {
        self.shared.index.lock().contains(&key)
    }

    /// Whether the sliver may be there: until the scan has ended, or while another process keeps the folder, nobody knows.
    pub(super) fn may_hold(&self, key: SliverKey) -> bool {
        self.shared.owner.is_none() || !self.shared.scanned.load(Ordering::Acquire) || self.holds(key)
    }

    pub(super) fn pin(&self, keys: HashSet<SliverKey>) {
        self.shared.index.lock().pin(keys);
    }

    pub(super) fn read(&self, key: SliverKey, range: Range<usize>, trusting: bool) -> Option<Sliver> {
        self.shared.read(key, range, trusting)
    }

    /// Bytes `range` of the sliver where the kernel has them in its memory: never waits for the disk. No checksums.
    pub(super) fn read_at_hand(&self, key: SliverKey, range: Range<usize>) -> Option<Bytes> {
        let shared = &self.shared;
        // Whatever is wrong is found by who may wait.
        let file = shared.file(key, Patience::None).ok()?;
        let bytes = file.read(range.clone(), true, Patience::None).ok()??;
        shared.used(key, &range);
        Some(bytes)
    }

    /// Forgets what was found right in the sliver's file.
    pub(super) fn doubt(&self, key: SliverKey) {
        self.shared.open.lock().pop(&key);
    }

    pub(super) fn write(&self, key: SliverKey, sliver: &Sliver) {
        if let Err(error) = self.shared.write(key, sliver) {
            count(&self.shared.counters.disk_errors);
            tracing::debug!(%error, "a sliver was not cached on disk");
        }
    }

    pub(super) fn remove(&self, key: SliverKey) {
        self.shared.remove(key);
    }

    pub(super) fn clear(&self) {
        let shared = &self.shared;
        shared.open.lock().clear();
        shared.index.lock().clear();
        if shared.owner.is_some() {
            sliver_files(&shared.dir, |entry, _| drop(fs::remove_file(entry.path())));
        }
    }

    /// What the keeper does every few seconds.
    #[cfg(test)]
    pub(super) fn look(&self) {
        self.shared.look();
    }

    #[cfg(test)]
    pub(super) fn is_scanned(&self) -> bool {
        self.shared.scanned.load(Ordering::Acquire)
    }
}

impl Drop for DiskTier {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.keeper.take() {
            drop(stop);
            // A keeper that panicked has nothing left to do.
            let _ = thread.join();
        }
        self.shared.save();
    }
}

impl Shared {
    fn path(&self, key: SliverKey) -> PathBuf {
        self.dir.join(format!("{:02x}", key.blob[0])).join(sliver_file::name(key))
    }

    fn file(&self, key: SliverKey, patience: Patience) -> io::Result<Arc<SliverFile>> {
        if let Some(file) = self.open.lock().get(&key) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(SliverFile::open(&self.path(key), key, patience)?);
        self.open.lock().put(key, Arc::clone(&file));
        Ok(file)
    }

    fn read(&self, key: SliverKey, range: Range<usize>, trusting: bool) -> Option<Sliver> {
        let read = self.file(key, Patience::Any).and_then(|file| {
            let bytes = file.read(range.clone(), trusting, Patience::Any)?;
            Ok(bytes.map(|bytes| Sliver { bytes, verified: file.verified() }))
        });
        match read {
            Ok(found) => {
                if found.is_some() {
                    self.used(key, &range);
                }
                found
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.index.lock().remove(&key);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                count(&self.counters.corrupt);
                tracing::warn!(file = %self.path(key).display(), "a cached sliver is damaged; it will be fetched again");
                self.remove(key);
                None
            }
            Err(_) => {
                self.open.lock().pop(&key);
                count(&self.counters.disk_errors);
                None
            }
        }
    }

    /// Bytes `range` of the sliver were read.
    fn used(&self, key: SliverKey, range: &Range<usize>) {
        add(&self.counters.disk_read, range.len() as u64);
        self.index.lock().read(&key, range, |len| *len);
        self.changed.store(true, Ordering::Relaxed);
    }

    fn write(&self, key: SliverKey, sliver: &Sliver) -> io::Result<()> {
        let Some(size) = sliver_file::size_of(sliver.bytes.len()).filter(|size| *size <= self.limit) else {
            return Ok(());
        };
        if self.owner.is_none() || !self.reserve(size) {
            return Ok(());
        }
        let written = self.write_file(key, sliver, size);
        let mut index = self.index.lock();
        self.writing.fetch_sub(size, Ordering::Relaxed);
        if written? {
            index.insert(key, sliver.bytes.len(), size);
            self.changed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes the file, in place of one that is there; `false` when the filesystem has no room for it.
    fn write_file(&self, key: SliverKey, sliver: &Sliver, size: u64) -> io::Result<bool> {
        if !self.leave_free(size)? {
            return Ok(false);
        }
        let path = self.path(key);
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        match self.put(&path, key, sliver) {
            // The reserve was smaller than what others took since.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && self.drop_bytes(size) >= size => {
                self.put(&path, key, sliver)?;
            }
            done => done?,
        }
        self.open.lock().pop(&key);
        Ok(true)
    }

    fn put(&self, path: &Path, key: SliverKey, sliver: &Sliver) -> io::Result<()> {
        let unique = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(format!("tmp-{}-{unique}", std::process::id()));
        let written = sliver_file::write(&temporary, key, sliver).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // What is half written must not stay; if even that fails the next start's scan removes it.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Makes `size` more bytes fit below the limit and takes them; `false` when pinned slivers leave no room.
    fn reserve(&self, size: u64) -> bool {
        loop {
            {
                let index = self.index.lock();
                let taken = index.bytes().saturating_add(self.writing.load(Ordering::Relaxed));
                if taken.saturating_add(size) <= self.limit {
                    self.writing.fetch_add(size, Ordering::Relaxed);
                    return true;
                }
            }
            if self.evict().is_none() {
                return false;
            }
        }
    }

    /// Removes slivers until the filesystem keeps its reserve after `size` more bytes; `false` when there are not enough.
    fn leave_free(&self, size: u64) -> io::Result<bool> {
        let stat = nix::sys::statvfs::statvfs(&self.dir)?;
        let free = stat.blocks_available().saturating_mul(stat.fragment_size());
        let all = stat.blocks().saturating_mul(stat.fragment_size());
        // On a small filesystem a reserve for a large one would leave no cache at all.
        let reserve = self.min_free.min(all / 10);
        let short = reserve.saturating_add(size).saturating_sub(free);
        // Not asked again: some filesystems give space back later, and would be asked until the cache is empty.
        Ok(short == 0 || self.drop_bytes(short) >= short)
    }

    /// Removes slivers of `wanted` bytes at least, if there are so many; how many bytes were removed.
    fn drop_bytes(&self, wanted: u64) -> u64 {
        let mut dropped = 0_u64;
        while dropped < wanted {
            let Some(size) = self.evict() else { break };
            dropped = dropped.saturating_add(size);
        }
        dropped
    }

    /// Removes the sliver that is worth least; the bytes of its file.
    fn evict(&self) -> Option<u64> {
        let (key, len) = self.index.lock().evict()?;
        count(&self.counters.evictions);
        self.changed.store(true, Ordering::Relaxed);
        self.open.lock().pop(&key);
        // One that is gone already is what was wanted.
        let _ = fs::remove_file(self.path(key));
        Some(sliver_file::size_of(len).unwrap_or(0))
    }

    fn remove(&self, key: SliverKey) {
        self.open.lock().pop(&key);
        self.index.lock().remove(&key);
        self.changed.store(true, Ordering::Relaxed);
        let _ = fs::remove_file(self.path(key));
    }

    /// The keeper's life.
    fn keep(&self, stopped: &Receiver<()>) {
        self.scan();
        let mut saved = Instant::now();
        while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            self.look();
            if saved.elapsed() >= SAVE {
                saved = Instant::now();
                self.save();
            }
        }
    }

    fn look(&self) {
        // A file that was deleted from outside takes space for as long as it is open.
        self.open.lock().clear();
        if self.owner.is_some()
            && let Err(error) = self.leave_free(0)
        {
            tracing::debug!(%error, "the cache's filesystem cannot be asked for its free space");
        }
    }

    fn save(&self) {
        if self.owner.is_none() || !self.scanned.load(Ordering::Acquire) || !self.changed.swap(false, Ordering::AcqRel)
        {
            return;
        }
        let rows: Vec<Row> = {
            let index = self.index.lock();
            let row = |(key, _, size, queue, uses): (&SliverKey, _, _, _, _)| Row { key: *key, queue, uses, size };
            index.order().map(row).collect()
        };
        if let Err(error) = order::save(&self.dir, &rows) {
            tracing::debug!(%error, "the order of the cache was not saved");
        }
    }

    /// Fills the index with what an earlier life left, in its order, and removes temporary files of dead processes. What
    /// came after the order was saved stands behind the rest, oldest first.
    fn scan(&self) {
        if self.owner.is_some() {
            for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
                let own = format!("tmp-{}-", std::process::id());
                let name = entry.file_name();
                if name.to_str().is_some_and(|name| name.starts_with("tmp-") && !name.starts_with(&own)) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        let rows = order::load(&self.dir);
        let known: HashSet<SliverKey> = rows.iter().map(|row| row.key).collect();
        let (mut here, mut newer) = (HashSet::new(), Vec::new());
        sliver_files(&self.dir, |entry, key| {
            if known.contains(&key) {
                here.insert(key);
            } else if let Ok(metadata) = entry.metadata() {
                newer.push((metadata.modified().ok(), key, metadata.len()));
            }
        });
        newer.sort_by_key(|(modified, _, _)| *modified);
        let newer = newer.into_iter().map(|(_, key, size)| Row { key, queue: super::hot::Queue::Young, uses: 0, size });
        for row in rows.into_iter().filter(|row| here.contains(&row.key)).chain(newer) {
            self.index.lock().restore(row.key, sliver_file::about_len(row.size), row.size, row.queue, row.uses);
        }
        self.scanned.store(true, Ordering::Release);
        if self.owner.is_some() {
            // The limit may be lower than it was.
            self.reserve(0);
        }
    }
}

/// Calls `found` with every sliver file below `dir`; in no order.
fn sliver_files(dir: &Path, mut found: impl FnMut(&DirEntry, SliverKey)) {
    for folder in fs::read_dir(dir).into_iter().flatten().flatten() {
        for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            if let Some(key) = file.file_name().to_str().and_then(sliver_file::parse_name) {
                found(&file, key);
            }
        }
    }
}
