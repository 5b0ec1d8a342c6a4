//! What the vfs holds in memory, and how an operation runs over it.

use super::ahead::Streams;
use super::chunk_cache::{ChunkCache, ChunkKey};
use super::dirty::DirtyFile;
use super::slots::Slots;
use super::types::*;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{DriveUid, Ino, Lsn};
use crate::journal::{Journal, Recovery, Urgency};
use crate::seam::Clock;
use crate::tree::record::{Batch, Dirent, Inode, Key, KeyKind, Record, SpoolRef, Time};
use crate::tree::{Fetch, Layer, Tree};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Bounds and fixed facts of a [`Vfs`].
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Dirty file content in memory, bytes; beyond it a write waits for `write_back`.
    pub dirty_bytes: u64,
    /// Dirty content older than this is written to the journal by [`Vfs::tick`].
    pub dirty_age: Duration,
    /// Plaintext chunks kept for reading, bytes.
    pub cache_bytes: u64,
    /// Content that may be on its way, or here unread, before anybody has asked for it, bytes; less than half of
    /// `cache_bytes`, or it would be dropped before it is read.
    pub ahead_bytes: u64,
    /// Every change is refused with `EROFS`.
    pub read_only: bool,
    /// User and group of the root directory while nobody has changed it.
    pub root_owner: (u32, u32),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dirty_bytes: 64 << 20,
            dirty_age: Duration::from_secs(5),
            cache_bytes: 128 << 20,
            ahead_bytes: 32 << 20,
            read_only: false,
            root_owner: (0, 0),
        }
    }
}

/// Counters for status, monitoring and the decision to commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of file content that are only in memory.
    pub dirty_bytes: u64,
    /// Bytes of file content in the journal that no commit holds yet.
    pub pending_bytes: u64,
    /// Bytes that programs have written since the mount.
    pub written_bytes: u64,
    /// Whether a change waits for room in the journal.
    pub short_of_room: bool,
    /// Number of the last change; grows with every batch and every write.
    pub changes: u64,
    /// Bytes in the plaintext cache.
    pub cache_bytes: u64,
}

/// A mounted drive's files.
pub struct Vfs {
    pub(super) tree: Arc<Tree>,
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: Config,
    pub(super) slots: Slots,
    pub(super) state: Mutex<State>,
    pub(super) chunks: Mutex<ChunkCache>,
    pub(super) streams: Mutex<Streams>,
    /// One write-back at a time.
    pub(super) writing_back: Mutex<()>,
    pub(super) read_only: AtomicBool,
    pub(super) turning: AtomicBool,
    pub(super) changes: AtomicU64,
    pub(super) touched: Notify,
    pub(super) space: Notify,
    /// How often the journal got room.
    pub(super) freed: AtomicU64,
    /// Whether an operation has had to wait for room since.
    pub(super) short: AtomicBool,
    /// Whether nobody shall wait for room any more.
    pub(super) hurried: AtomicBool,
    /// How often the pipeline got on with what frees the journal.
    pub(super) moved: AtomicU64,
    pub(super) pressure: Notify,
    root_time: Time,
}

/// Who refers to an inode besides its names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Node {
    pub(super) lookups: u64,
    pub(super) handles: u32,
    pub(super) writers: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OpenHandle {
    pub(super) ino: Ino,
    pub(super) writes: bool,
}

/// Everything that the short lock guards.
#[derive(Default)]
pub(super) struct State {
    pub(super) nodes: HashMap<Ino, Node>,
    pub(super) handles: HashMap<Handle, OpenHandle>,
    pub(super) last_handle: u64,
    pub(super) dirty: BTreeMap<Ino, DirtyFile>,
    pub(super) dirty_bytes: u64,
    /// Bytes that programs have written.
    pub(super) written_bytes: u64,
    /// Number of the last write into dirty memory.
    pub(super) writes: u64,
    /// The last [`DirtyFile::shape`] that was given.
    pub(super) shapes: u64,
    /// Bytes in the journal's data frames that no commit holds.
    pub(super) pending_bytes: u64,
    /// Extent groups in the top layer: what `finish_cut` has to look at.
    pub(super) top_groups: BTreeSet<(Ino, u64)>,
    /// The cut being committed.
    pub(super) frozen: Option<Arc<Layer>>,
    /// Inodes without names that nothing refers to any more.
    pub(super) reap: BTreeSet<Ino>,
    pub(super) orphans_listed: bool,
    /// Pool capacity and use, bytes; `None` until sync knows.
    pub(super) pool: Option<(u64, u64)>,
    /// Files whose dirty data could not be kept, for the next flush or fsync to report.
    pub(super) failed: HashMap<Ino, i32>,
}

/// An operation at work: the state, locked, and what was read for it from the spool.
pub(super) struct Ctx<'a> {
    pub(super) vfs: &'a Vfs,
    pub(super) st: &'a mut State,
    pub(super) spool: &'a HashMap<SpoolRef, Bytes>,
}

pub(super) const fn is(mode: u32, kind: u32) -> bool {
    mode & libc::S_IFMT == kind
}

impl Vfs {
    /// Replays `recovery` over `tree`. Batches up to `frozen` (the cut of a commit whose outcome is still open, from the
    /// journal's pending record) end in the frozen layer, later ones on top.
    ///
    /// # Errors
    /// When the tree refuses the cut.
    pub fn start(
        config: Config,
        uid: DriveUid,
        tree: Arc<Tree>,
        journal: Arc<Journal>,
        recovery: Recovery,
        frozen: Option<Lsn>,
        clock: Arc<dyn Clock>,
    ) -> FsResult<Self> {
        let root_time = time_of(clock.now());
        let mut state = State::default();
        let mut frozen = frozen;
        for (lsn, batch) in recovery.batches {
            if frozen.is_some_and(|cut| lsn > cut) {
                frozen = None;
                state.frozen = Some(tree.freeze()?);
                state.top_groups.clear();
            }
            note_groups(&mut state.top_groups, &batch);
            tree.apply(batch);
        }
        if frozen.is_some() {
            state.frozen = Some(tree.freeze()?);
            state.top_groups.clear();
        }
        state.pending_bytes = journal.usage().spooled;
        Ok(Self {
            tree,
            journal,
            clock,
            config,
            slots: Slots::new(&uid),
            state: Mutex::new(state),
            chunks: Mutex::new(ChunkCache::new(config.cache_bytes)),
            streams: Mutex::new(Streams::new(config.ahead_bytes)),
            writing_back: Mutex::default(),
            read_only: AtomicBool::new(config.read_only),
            turning: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            touched: Notify::new(),
            space: Notify::new(),
            freed: AtomicU64::new(0),
            short: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            pressure: Notify::new(),
            root_time,
        })
    }

    /// Runs `step` under the lock; reads what it wants from the spool without the lock and runs it again.
    pub(super) fn run<T>(&self, mut step: impl FnMut(&mut Ctx<'_>) -> Step<T>) -> Outcome<T> {
        let mut spool = HashMap::new();
        loop {
            let result = step(&mut Ctx { vfs: self, st: &mut self.state.lock(), spool: &spool });
            match result {
                Ok(value) => return Outcome::Done(Ok(value)),
                Err(Stop::Fail(error)) => return Outcome::Done(Err(error)),
                Err(Stop::Wait(needs)) => return Outcome::Wait(*needs),
                Err(Stop::Spool(wanted)) => {
                    for at in wanted {
                        match self.read_spool(at) {
                            Ok(plain) => drop(spool.insert(at, plain)),
                            // Committed meanwhile: the next round finds the chunk in its pack.
                            Err(error) if error.kind() == Kind::Stale => {}
                            Err(error) => return Outcome::Done(Err(error)),
                        }
                    }
                }
            }
        }
    }

    /// The plaintext of a data frame, from the cache or the journal.
    pub(super) fn read_spool(&self, at: SpoolRef) -> FsResult<Bytes> {
        let key = ChunkKey::Spool(at);
        if let Some(plain) = self.chunks.lock().get(&key) {
            return Ok(plain);
        }
        let plain = Bytes::from(self.journal.read(at)?);
        self.chunks.lock().insert(key, plain.clone());
        Ok(plain)
    }

    /// Something changed: wakes whoever waits in [`Vfs::touched`].
    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.touched.notify_waiters();
    }

    pub(super) fn now(&self) -> Time {
        time_of(self.clock.now())
    }
}

fn time_of(since_epoch: Duration) -> Time {
    Time { secs: i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX), nanos: since_epoch.subsec_nanos() }
}

/// Remembers which extent groups a batch puts into the top layer.
fn note_groups(groups: &mut BTreeSet<(Ino, u64)>, batch: &Batch) {
    for (key, record) in batch {
        if key.kind == KeyKind::Extents {
            match record {
                Some(_) => groups.insert((key.owner, key.num)),
                None => groups.remove(&(key.owner, key.num)),
            };
        }
    }
}

impl Ctx<'_> {
    pub(super) fn now(&self) -> Time {
        self.vfs.now()
    }

    /// Refuses changes on a read-only mount.
    pub(super) fn writable(&self) -> Step<()> {
        if self.vfs.read_only.load(Ordering::Acquire) {
            return Err(FsError::new(Kind::ReadOnly, "the drive is mounted read-only").into());
        }
        Ok(())
    }

    pub(super) fn get(&self, key: &Key) -> Step<Option<Record>> {
        match self.vfs.tree.get(key)? {
            Fetch::Ready(record) => Ok(record),
            Fetch::Missing(addr) => Err(Stop::node(addr)),
        }
    }

    /// The inode `ino` as the tree has it, if it exists.
    pub(super) fn find_inode(&self, ino: Ino) -> Step<Option<Inode>> {
        match self.get(&Key::inode(ino))? {
            Some(Record::Inode(inode)) => Ok(Some(inode)),
            None if ino == Ino::ROOT => Ok(Some(self.fresh_root())),
            None => Ok(None),
            Some(_) => Err(wrong_record("an inode")),
        }
    }

    /// The inode `ino` as the tree has it.
    pub(super) fn inode(&self, ino: Ino) -> Step<Inode> {
        match self.find_inode(ino)? {
            Some(inode) => Ok(inode),
            None => posix(libc::ESTALE),
        }
    }

    /// The root of a drive in which nothing has been made yet.
    fn fresh_root(&self) -> Inode {
        let (uid, gid) = self.vfs.config.root_owner;
        let time = self.vfs.root_time;
        Inode {
            mode: libc::S_IFDIR | 0o755,
            nlink: 2,
            uid,
            gid,
            atime: time,
            mtime: time,
            ctime: time,
            btime: time,
            parent: Ino::ROOT,
            ..Inode::default()
        }
    }

    /// A directory's inode.
    pub(super) fn dir(&self, ino: Ino) -> Step<Inode> {
        let inode = self.inode(ino)?;
        if is(inode.mode, libc::S_IFDIR) { Ok(inode) } else { posix(libc::ENOTDIR) }
    }

    /// A regular file's inode; another type is `EISDIR` or `EINVAL`.
    pub(super) fn file(&self, ino: Ino) -> Step<Inode> {
        let inode = self.inode(ino)?;
        match inode.mode & libc::S_IFMT {
            libc::S_IFREG => Ok(inode),
            libc::S_IFDIR => posix(libc::EISDIR),
            _ => posix(libc::EINVAL),
        }
    }

    /// Appends `batch` to the journal and applies it to the tree: both or neither.
    pub(super) fn commit(&mut self, batch: Batch, urgency: Urgency) -> Step<()> {
        self.move_down(batch, urgency)?;
        self.vfs.note_change();
        Ok(())
    }

    /// As `commit`, for a batch that only brings down what was counted as a change when it was written to memory.
    pub(super) fn move_down(&mut self, batch: Batch, urgency: Urgency) -> Step<()> {
        match self.vfs.journal.append(&batch, urgency) {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::DiskFull && urgency == Urgency::Normal => {
                return Err(self.vfs.no_room());
            }
            Err(error) => return Err(error.into()),
        }
        note_groups(&mut self.st.top_groups, &batch);
        self.vfs.tree.apply(batch);
        Ok(())
    }

    /// Refuses what would take `more` bytes that the pool does not have.
    pub(super) fn need_space(&self, more: u64) -> Step<()> {
        let Some((capacity, used)) = self.st.pool else { return Ok(()) };
        let taken = used.saturating_add(self.st.pending_bytes).saturating_add(self.st.dirty_bytes);
        if taken.saturating_add(more) > capacity {
            return Err(FsError::new(
                Kind::PoolFull,
                "the drive's storage is used up: remove files, or enlarge it with `walrusfs drive resize`",
            )
            .into());
        }
        Ok(())
    }

    /// Attributes with what is dirty.
    pub(super) fn attr(&self, ino: Ino, inode: &Inode) -> Attr {
        let mut attr = Attr::of(ino, inode);
        if let Some(dirty) = self.st.dirty.get(&ino) {
            dirty.show(inode, &mut attr);
        }
        attr
    }

    /// Counts one lookup.
    pub(super) fn count_lookup(&mut self, ino: Ino) {
        let node = self.st.nodes.entry(ino).or_default();
        node.lookups = node.lookups.saturating_add(1);
    }

    /// The entry `name` of `dir` with its slot, or the slot where it can be put.
    pub(super) fn entry(&self, dir: Ino, name: &[u8]) -> Step<Result<(u64, Dirent), u64>> {
        let first = self.vfs.slots.first(name);
        let (from, to) = (Key::dirent(dir, first), Key::dirent(dir, first + crate::tree::record::DIRENT_PROBE));
        let mut found = None;
        let mut free = first;
        let scanned = self.vfs.tree.scan(&from, &to, &mut |key, record| {
            if let Record::Dirent(entry) = record
                && entry.name == name
            {
                found = Some((key.num, entry.clone()));
                return std::ops::ControlFlow::Break(());
            }
            if key.num == free {
                free += 1;
            }
            std::ops::ControlFlow::Continue(())
        })?;
        match (scanned, found) {
            (_, Some(found)) => Ok(Ok(found)),
            (Fetch::Missing(addr), None) => Err(Stop::node(addr)),
            (Fetch::Ready(()), None) if free < to.num => Ok(Err(free)),
            (Fetch::Ready(()), None) => {
                Err(FsError::new(Kind::Internal, "sixteen names of a directory collide").into())
            }
        }
    }

    /// The entry `name` of `dir`, which must exist.
    pub(super) fn existing(&self, dir: Ino, name: &[u8]) -> Step<(u64, Dirent)> {
        match self.entry(dir, name)? {
            Ok(found) => Ok(found),
            Err(_) => posix(libc::ENOENT),
        }
    }
}

pub(super) fn wrong_record(expected: &str) -> Stop {
    FsError::new(Kind::Corrupt, format!("the tree holds something else where {expected} belongs")).into()
}

/// The inodes that an operation changes, and the batch that comes of it.
#[derive(Default)]
pub(super) struct Edit {
    inodes: BTreeMap<Ino, Inode>,
    batch: Batch,
}

impl Edit {
    /// The inode to change; read once.
    pub(super) fn inode(&mut self, ctx: &Ctx<'_>, ino: Ino) -> Step<&mut Inode> {
        match self.inodes.entry(ino) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => Ok(entry.insert(ctx.inode(ino)?)),
        }
    }

    pub(super) fn set_inode(&mut self, ino: Ino, inode: Inode) {
        self.inodes.insert(ino, inode);
    }

    pub(super) fn put(&mut self, key: Key, record: Record) {
        self.batch.push((key, Some(record)));
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.batch.push((key, None));
    }

    /// What this edit does to `key` so far.
    pub(super) fn staged(&self, key: &Key) -> Option<&Option<Record>> {
        self.batch.iter().rev().find(|(staged, _)| staged == key).map(|(_, record)| record)
    }

    pub(super) fn batch(self) -> Batch {
        let mut batch = self.batch;
        batch.extend(self.inodes.into_iter().map(|(ino, inode)| (Key::inode(ino), Some(Record::Inode(inode)))));
        batch
    }
}
