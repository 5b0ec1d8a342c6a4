//! A machine with a drive: everything that the vfs stands on, and the steps of the sync pipeline by hand.

use crate::error::FsResult;
use crate::ids::{Ino, KeyEpoch, Lsn, Sequence};
use crate::journal::tests::power_cut::{Dice, PowerCut};
use crate::journal::tests::test_keys;
use crate::journal::{Journal, Limits, Recovery};
use crate::pack::{MemorySource, Origin, PackSource, PackWriter, RootRef, UnitAddr, UnitKind, open_unit};
use crate::seam::ManualClock;
use crate::tree::record::ChunkAddr;
use crate::tree::{CommitInput, DriveState, Fetch, Moved, NewPack, Tree};
use crate::vfs::*;
use futures::executor::block_on;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const ROOT: Ino = Ino::ROOT;
pub(super) const USER: Caller = Caller { uid: 1000, gid: 1000, pid: 1, umask: 0o022 };
pub(super) const SUPER: Caller = Caller { uid: 0, gid: 0, pid: 1, umask: 0 };

pub(super) struct World {
    pub(super) disk: PowerCut,
    pub(super) keys: Arc<crate::crypto::KeyRing>,
    pub(super) source: MemorySource,
    pub(super) tree: Arc<Tree>,
    pub(super) vfs: Vfs,
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) config: Config,
    pub(super) limits: Limits,
    sequence: u64,
    root: Option<RootRef>,
    log: Vec<Vec<u8>>,
    /// Chunks that had to be fetched from a pack.
    pub(super) fetched: AtomicU64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Config::default(), Limits { segment: 1 << 20, ..Limits::default() })
    }

    pub(super) fn with(config: Config, limits: Limits) -> Self {
        let disk = PowerCut::default();
        let clock = Arc::new(ManualClock::at_ms(1_700_000_000_000));
        let tree = Arc::new(Tree::new(1 << 20));
        let (vfs, journal, _) = start(&disk, &tree, &clock, config, limits, None);
        Self {
            disk,
            keys: test_keys(1),
            source: MemorySource::default(),
            tree,
            vfs,
            journal,
            clock,
            config,
            limits,
            sequence: 0,
            root: None,
            log: Vec::new(),
            fetched: AtomicU64::new(0),
        }
    }

    /// Calls the operation until it is done, meeting its needs as the fuse layer does.
    pub(super) fn call<T>(&self, mut operation: impl FnMut(&Vfs) -> Outcome<T>) -> FsResult<T> {
        for _ in 0..1000 {
            match operation(&self.vfs) {
                Outcome::Done(result) => return result,
                Outcome::Wait(needs) => self.meet(needs)?,
            }
        }
        panic!("an operation waits for ever");
    }

    pub(super) fn ok<T>(&self, operation: impl FnMut(&Vfs) -> Outcome<T>) -> T {
        self.call(operation).unwrap()
    }

    pub(super) fn errno<T: std::fmt::Debug>(&self, operation: impl FnMut(&Vfs) -> Outcome<T>) -> i32 {
        self.call(operation).unwrap_err().errno()
    }

    fn meet(&self, needs: Needs) -> FsResult<()> {
        assert_ne!(needs, Needs::default(), "waits for nothing");
        assert!(needs.space.is_none(), "waits for space: the test must handle it");
        if let Some(scope) = needs.write_back {
            self.call(|vfs| vfs.write_back(scope))?;
        }
        if let Some(lsn) = needs.durable {
            self.vfs.sync_journal(lsn)?;
        }
        for addr in needs.nodes {
            block_on(self.tree.load(addr, &self.source, &self.keys))?;
        }
        for addr in needs.chunks {
            self.fetched.fetch_add(1, Ordering::Relaxed);
            self.vfs.insert_chunk(addr, self.chunk(addr).into());
        }
        Ok(())
    }

    pub(super) fn chunk(&self, addr: ChunkAddr) -> Vec<u8> {
        let entry = loop {
            match self.tree.pack(addr.pack).unwrap() {
                Fetch::Ready(entry) => break entry.expect("the pack of a chunk is in the table"),
                Fetch::Missing(node) => block_on(self.tree.load(node, &self.source, &self.keys)).unwrap(),
            }
        };
        let pack = entry.as_ref();
        let cipher = self.keys.pack_cipher(pack.key_epoch, &pack.salt).unwrap();
        let sealed = block_on(self.source.read(&pack, addr.offset, addr.stored)).unwrap();
        let unit = UnitAddr { offset: addr.offset, stored: addr.stored, plain: addr.plain };
        open_unit(&cipher, UnitKind::Chunk, unit, sealed.into()).unwrap()
    }

    /// The first half of a commit: the cut.
    pub(super) fn cut(&self) -> Cut {
        self.ok(Vfs::cut)
    }

    /// The second half: packs, tree, "chain", and the way back.
    pub(super) fn commit(&mut self, cut: Cut) {
        self.commit_to_chain(cut, true);
    }

    /// As `commit`; without `finish` the machine dies after the chain took the commit, before it noticed.
    pub(super) fn commit_to_chain(&mut self, cut: Cut, finish: bool) -> Moved {
        let sequence = Sequence(self.sequence + 1);
        let mut writer = None;
        let mut moved = Moved::new();
        let mut after = None;
        loop {
            let places = self.ok(|vfs| vfs.frozen_places(after, 3));
            for place in &places {
                let plain = self.ok(|vfs| vfs.read_chunk(place));
                assert_eq!(plain.len(), place.len as usize);
                let writer = writer.get_or_insert_with(|| self.writer());
                let origin = Origin { ino: place.ino, file_offset: place.index << 16, operation: cut.lsn.0 };
                let unit = writer.push(UnitKind::Chunk, &plain, origin).unwrap();
                let UnitAddr { offset, stored, plain } = unit;
                let addr = ChunkAddr { pack: writer.number(), offset, stored, plain, birth: sequence };
                moved.insert(place.at, addr);
            }
            after = places.last().map(|place| (place.ino, place.index));
            if places.len() < 3 {
                break;
            }
        }
        let input = CommitInput {
            sequence,
            now_ms: 1000,
            gc_delay_ms: 0,
            moved: moved.clone(),
            packs: Vec::new(),
            open: writer.as_ref().map(PackWriter::number),
            small_pack: 4096,
            sparse: Vec::new(),
        };
        let draft = block_on(self.tree.draft(input, &self.source, &self.keys)).unwrap();
        let (commit, root) = if draft.needs_pack() {
            let mut writer = writer.unwrap_or_else(|| self.writer());
            let commit = block_on(self.tree.commit_root(draft, &mut writer, &self.source, &self.keys)).unwrap();
            let new = self.seal(writer);
            let root = commit.root_ref(&new.pack);
            (commit, root)
        } else {
            let open = writer.map(|writer| self.seal(writer));
            (self.tree.commit_log(draft, open, &self.keys).unwrap(), None)
        };
        self.sequence = sequence.0;
        self.log.drain(..commit.log_drop as usize);
        self.log.extend(commit.log_append.clone());
        self.root = root.or(self.root);
        for (_, entry) in &commit.delete {
            self.source.remove(&entry.blob_id).expect("a deleted pack was there");
        }
        if finish {
            self.tree.finish_commit(commit, root).unwrap();
            self.vfs.finish_cut(cut, &moved).unwrap();
        }
        moved
    }

    fn writer(&self) -> PackWriter {
        PackWriter::new(&self.keys, self.tree.allocate_pack().unwrap(), 512).unwrap()
    }

    fn seal(&self, writer: PackWriter) -> NewPack {
        let sealed = writer.finish().unwrap();
        assert_eq!(self.keys.current(), KeyEpoch(0));
        let blob = self.source.insert(sealed.bytes.clone());
        NewPack { number: sealed.number, pack: sealed.as_ref(blob) }
    }

    /// The machine loses power; another start recovers. Everything in memory is gone.
    pub(super) fn power_cut(&mut self, seed: u64) {
        self.disk = self.disk.crash(&mut Dice::new(seed));
        self.start_again(None);
    }

    /// The process is killed; what it had handed to the disk is there.
    pub(super) fn kill(&mut self) {
        self.disk = self.disk.kill();
        self.start_again(None);
    }

    /// Starts over from what the disk and the chain have; `trim` is what a commit in flight turned out to have done.
    pub(super) fn start_again(&mut self, trim: Option<(Lsn, Moved)>) {
        let drive = DriveState { sequence: Sequence(self.sequence), root: self.root, log: &self.log };
        self.tree = Arc::new(block_on(Tree::open(drive, &self.source, &self.keys, 1 << 20)).unwrap());
        let (vfs, journal, _) = start(&self.disk, &self.tree, &self.clock, self.config, self.limits, trim);
        // The dead process must not write its buffers when it is dropped.
        std::mem::forget(std::mem::replace(&mut self.vfs, vfs));
        std::mem::forget(std::mem::replace(&mut self.journal, journal));
    }

    /// Another machine: only what the chain and the network have.
    pub(super) fn elsewhere(&mut self) {
        self.disk = PowerCut::default();
        self.start_again(None);
    }

    // Shorthands.

    pub(super) fn tick_ms(&self, ms: u64) {
        self.clock.advance_ms(ms);
    }

    pub(super) fn lookup(&self, dir: Ino, name: &str) -> Ino {
        self.ok(|vfs| vfs.lookup(dir, name.as_bytes())).ino
    }

    pub(super) fn has(&self, dir: Ino, name: &str) -> bool {
        self.call(|vfs| vfs.lookup(dir, name.as_bytes())).is_ok()
    }

    pub(super) fn mkdir(&self, dir: Ino, name: &str) -> Ino {
        self.ok(|vfs| vfs.mkdir(&SUPER, dir, name.as_bytes(), 0o755)).ino
    }

    pub(super) fn file(&self, dir: Ino, name: &str) -> Ino {
        self.ok(|vfs| vfs.mknod(&SUPER, dir, name.as_bytes(), libc::S_IFREG | 0o644, 0)).ino
    }

    pub(super) fn write(&self, ino: Ino, offset: u64, data: &[u8]) {
        let written = self.ok(|vfs| vfs.write(ino, offset, data, WriteFlags::default()));
        assert_eq!(written as usize, data.len());
    }

    pub(super) fn read(&self, ino: Ino, offset: u64, size: u32) -> Vec<u8> {
        self.ok(|vfs| vfs.read(ino, offset, size))
    }

    pub(super) fn attr(&self, ino: Ino) -> Attr {
        self.ok(|vfs| vfs.getattr(ino))
    }

    pub(super) fn truncate(&self, ino: Ino, size: u64) {
        self.set(ino, SetAttr { size: Some(size), ..SetAttr::default() });
    }

    pub(super) fn set(&self, ino: Ino, set: SetAttr) -> Attr {
        self.ok(|vfs| vfs.setattr(&SUPER, ino, &set))
    }

    pub(super) fn fsync(&self, ino: Ino) {
        let mut barrier = Barrier::default();
        self.ok(|vfs| vfs.fsync(ino, &mut barrier));
    }

    pub(super) fn write_back(&self) {
        self.ok(|vfs| vfs.write_back(Scope::All));
    }

    /// Names with cookies after `cookie`, at most `limit`.
    pub(super) fn list(&self, dir: Ino, cookie: u64, limit: usize) -> Vec<(String, u64)> {
        let mut names = Vec::new();
        self.ok(|vfs| {
            vfs.readdir(dir, cookie, &mut |entry| {
                if names.len() < limit {
                    names.push((String::from_utf8_lossy(&entry.name).into_owned(), entry.cookie));
                    return true;
                }
                false
            })
        });
        names
    }

    /// All names but `.` and `..`, sorted.
    pub(super) fn names(&self, dir: Ino) -> Vec<String> {
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            let part = self.list(dir, cookie, 7);
            let Some(last) = part.last() else { break };
            cookie = last.1;
            names.extend(part.into_iter().map(|(name, _)| name).filter(|name| name != "." && name != ".."));
        }
        names.sort();
        names
    }
}

fn start(
    disk: &PowerCut,
    tree: &Arc<Tree>,
    clock: &Arc<ManualClock>,
    config: Config,
    limits: Limits,
    trim: Option<(Lsn, Moved)>,
) -> (Vfs, Arc<Journal>, Recovery) {
    let keys = test_keys(1);
    let open = || Journal::open(Box::new(disk.clone()), keys.clone(), limits).unwrap();
    let (mut journal, mut recovery) = open();
    assert!(recovery.lost.damaged.is_empty(), "{:?}", recovery.lost);
    if let Some((cut, moved)) = trim {
        journal.trim(cut, &moved).unwrap();
        drop(journal);
        (journal, recovery) = open();
    }
    let journal = Arc::new(journal);
    let recovery_for = Recovery { batches: std::mem::take(&mut recovery.batches), ..Recovery::default() };
    let vfs = Vfs::start(config, keys.uid(), tree.clone(), journal.clone(), recovery_for, None, clock.clone()).unwrap();
    (vfs, journal, recovery)
}
