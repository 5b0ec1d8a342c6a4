//! What does not depend on the number of files, and what grows only with its logarithm.

use super::*;
use crate::pack::PackRef;
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// Counts reads of a source.
struct Counted<'a>(&'a MemorySource, Mutex<(u64, u64)>);

impl PackSource for Counted<'_> {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        let mut count = self.1.lock();
        *count = (count.0 + 1, count.1 + u64::from(len));
        self.0.read(pack, offset, len)
    }
}

const FILES: u64 = 20_000;

fn dirent(slot: u64) -> (Key, Option<Record>) {
    let name = format!("some-file-name-{slot:06}").into_bytes();
    (Key::dirent(Ino(1), slot << 4), Some(Record::Dirent(Dirent { name, ino: Ino(slot), kind: 8 })))
}

fn inode(ino: u64, mode: u32) -> (Key, Option<Record>) {
    (Key::inode(Ino(ino)), Some(Record::Inode(Inode { mode, nlink: 1, size: ino, ..Inode::default() })))
}

fn counters(next: u64) -> (Key, Option<Record>) {
    (Key::counters(Space::Files), Some(Record::Counters(Counters { next, inodes: next, bytes: 0 })))
}

fn commit(world: &mut World) {
    assert!(world.freeze());
    world.commit(true);
}

fn large() -> World {
    let mut world = World::new(21, Shape::default(), 0);
    world.apply((2..FILES).flat_map(|ino| [inode(ino, 0o644), dirent(ino)]).chain([counters(FILES)]).collect());
    commit(&mut world);
    world
}

#[test]
fn chmod_of_everything_writes_one_run_and_no_leaf() {
    let mut world = large();
    let trees = |world: &World| [Space::Table, Space::Files].map(|space| world.base().tree(space));
    let before = trees(&world);
    assert!(before[1].is_some());
    let written = world.units_written;
    for mode in [0o600, 0o640, 0o755] {
        world.apply((2..FILES).map(|ino| inode(ino, mode)).collect());
        commit(&mut world);
        let base = world.base();
        assert_eq!(base.runs.len(), 1, "runs of one length merge");
        assert_eq!(trees(&world), before, "no leaf was written");
        assert!(world.units_written < written, "{} units, the tree has {written}", world.units_written);
    }
    // A handful of changes then costs a log entry, not even a run.
    world.apply((2..40).map(|ino| inode(ino, 0o444)).collect());
    let roots = world.kinds[1];
    commit(&mut world);
    assert_eq!(world.kinds[1], roots);
    world.recount();
    let modes: std::collections::BTreeSet<(bool, u32)> = (2..FILES)
        .map(|ino| match world.get(&Key::inode(Ino(ino))) {
            Some(Record::Inode(inode)) => (ino < 40, inode.mode),
            other => panic!("inode {ino}: {other:?}"),
        })
        .collect();
    assert_eq!(modes, [(true, 0o444), (false, 0o755)].into());
}

#[test]
fn opening_reads_the_root_and_a_lookup_reads_one_path() {
    let world = large();
    let source = Counted(&world.source, Mutex::default());
    let drive = DriveState { sequence: Sequence(world.sequence), root: world.root, log: &world.log };
    let tree = block_on(Tree::open(drive, &source, &world.keys, 0)).unwrap();
    let opened = *source.1.lock();
    assert!(opened.0 <= 3 && opened.1 < 64 * 1024, "opening read {opened:?}");
    let key = Key::inode(Ino(12_345));
    while let Fetch::Missing(addr) = tree.get(&key).unwrap() {
        block_on(tree.load(addr, &source, &world.keys)).unwrap();
    }
    let levels = u64::from(world.base().tree(Space::Files).unwrap().node.level) + 1;
    assert_eq!(source.1.lock().0 - opened.0, levels);
    assert!(tree.cached_bytes() < 1 << 20, "{} bytes cached", tree.cached_bytes());
}

#[test]
fn the_node_cache_keeps_its_bound() {
    let world = large();
    let drive = DriveState { sequence: Sequence(world.sequence), root: world.root, log: &world.log };
    let tree = block_on(Tree::open(drive, &world.source, &world.keys, 0)).unwrap();
    for ino in (2..FILES).step_by(50) {
        while let Fetch::Missing(addr) = tree.get(&Key::inode(Ino(ino))).unwrap() {
            block_on(tree.load(addr, &world.source, &world.keys)).unwrap();
        }
        assert!(tree.cached_bytes() <= 4 << 20);
    }
}

#[test]
fn depth_grows_with_the_logarithm_and_shrinks_again() {
    let mut world = World::new(22, tiny(), 0);
    let mut order: Vec<u64> = (2..3000).collect();
    // A fixed shuffle: neighbours arrive in different commits.
    order.sort_by_key(|ino| ino.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for batch in order.chunks(150) {
        world.apply(batch.iter().map(|ino| inode(*ino, 1)).chain([counters(3000)]).collect());
        commit(&mut world);
    }
    // 3000 records of about 110 bytes in nodes of at least 100 bytes: a fan-out of 2 would still bound it by 12.
    let level = world.base().tree(Space::Files).unwrap().node.level;
    assert!((2..=6).contains(&level), "level {level}");
    assert_eq!(world.scan(&Key::inode(Ino(2)), &Key::inode(Ino(3000))).len(), 2998);
    world.recount();
    for batch in order.chunks(500) {
        world.apply(batch.iter().map(|ino| (Key::inode(Ino(*ino)), None)).collect());
        commit(&mut world);
    }
    for round in 0..3 {
        world.apply((0..40).map(|slot| dirent(slot + round)).collect());
        commit(&mut world);
    }
    world.recount();
    let level = world.base().tree(Space::Files).map_or(0, |tree| tree.node.level);
    assert!(level <= 3, "level {level} after everything was removed");
}

#[test]
fn a_reader_follows_and_never_goes_back() {
    let mut world = World::new(23, tiny(), 0);
    let mut states = Vec::new();
    for round in 0..6u64 {
        world.apply((2..20).map(|ino| inode(ino + round * 10, round as u32)).collect());
        commit(&mut world);
        states.push((Sequence(world.sequence), world.root, world.log.clone()));
    }
    let drive = |(sequence, root, log): &'static (Sequence, Option<RootRef>, Vec<Vec<u8>>)| DriveState {
        sequence: *sequence,
        root: *root,
        log,
    };
    let states: &'static Vec<_> = Box::leak(Box::new(states));
    let reader = block_on(Tree::open(drive(&states[4]), &world.source, &world.keys, 0)).unwrap();
    block_on(reader.follow(drive(&states[5]), &world.source, &world.keys)).unwrap();
    assert_eq!(reader.sequence(), states[5].0);
    let error = block_on(reader.follow(drive(&states[4]), &world.source, &world.keys)).unwrap_err();
    assert!(matches!(error.kind(), Kind::Stale | Kind::Corrupt), "{error}");
    reader.apply(vec![inode(2, 9)]);
    assert!(block_on(reader.follow(drive(&states[5]), &world.source, &world.keys)).is_err());
}

#[test]
fn few_small_packs_stay() {
    let mut world = World::new(24, Shape::default(), 0);
    let mut most = 0;
    for round in 0..60u64 {
        world.write(2 + round, 0, 0, round as u8, false);
        commit(&mut world);
        let packs = world.scan(&Key::pack(PackNo(0)), &Key::pack(PackNo(u64::MAX)));
        let live = packs.iter().filter(|(_, record)| matches!(record, Record::Pack(entry) if entry.live > 0));
        most = most.max(live.count());
    }
    world.check();
    assert!((2..=9).contains(&most), "{most} packs with live bytes, each small");
}

#[test]
fn a_commit_can_run_on_any_thread() {
    fn sendable<T: Send>(_: &T) {}
    let world = World::new(25, tiny(), 0);
    let mut writer = world.writer();
    world.tree.freeze().unwrap();
    let input = CommitInput {
        sequence: Sequence(1),
        now_ms: 0,
        gc_delay_ms: 0,
        moved: Moved::new(),
        packs: Vec::new(),
        open: None,
        small_pack: 0,
        sparse: Vec::new(),
    };
    let draft = world.tree.draft(input, &world.source, &world.keys);
    sendable(&draft);
    let draft = block_on(draft).unwrap();
    sendable(&world.tree.commit_root(draft, &mut writer, &world.source, &world.keys));
}
