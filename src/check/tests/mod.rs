//! A drive on a simulated network, broken on purpose: every kind of fault is found, named as what it is, and mended as far
//! as it can be, with all content that is left.

mod books;
mod names;
mod rescue;
mod tree;

use super::mend::{Mended, Writer, mend};
use super::storage::{Availability, Certain, Held, Storage};
use super::{Depth, Fault, Report, Subject, check};
use crate::error::FsResult;
use crate::ids::Ino;
use crate::journal::tests::power_cut::PowerCut;
use crate::sync::tests::sim::Outside;
use crate::sync::tests::{Machine, ROOT, SUPER, World, call, no_fault};
use crate::tree::record::{Batch, Key, KeyKind, Record, Space};
use crate::tree::{DriveState, Tree};
use crate::vfs::{Barrier, WriteFlags, XattrMode};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use redstuff::Params;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The pool and the nodes of the simulation.
struct SimStorage(Arc<Mutex<Outside>>);

const SHARDS: u32 = 10;
const ROWS: u32 = 4;

impl Storage for SimStorage {
    fn held(&self) -> BoxFuture<'_, FsResult<Vec<Held>>> {
        let outside = self.0.lock();
        let size = |id| outside.archive.get(id).map_or(0, |bytes| bytes.len() as u64);
        let pool = outside.pool.iter();
        let held = pool.map(|(id, blob)| Held { blob_id: *id, size: size(id), certified: blob.certified }).collect();
        async move { Ok(held) }.boxed()
    }

    fn accounts<'a>(&'a self, held: &'a [Held]) -> BoxFuture<'a, FsResult<(u64, u64)>> {
        let sum = held.iter().map(|held| Params::new(10).unwrap().encoded_length(held.size).unwrap()).sum();
        let said = self.0.lock().used();
        async move { Ok((sum, said)) }.boxed()
    }

    fn availability(&self, blob: [u8; 32]) -> BoxFuture<'_, FsResult<Availability>> {
        let there = self.0.lock().archive.contains_key(&blob);
        let missing = if there { 0 } else { SHARDS };
        let slivers = u64::from(SHARDS - missing) * 2;
        async move { Ok(Availability { slivers, missing, silent: 0, shards: SHARDS, needed: ROWS }) }.boxed()
    }

    fn delete<'a>(&'a self, blobs: &'a [[u8; 32]]) -> BoxFuture<'a, FsResult<()>> {
        let mut outside = self.0.lock();
        for blob in blobs {
            outside.pool.remove(blob);
        }
        async { Ok(()) }.boxed()
    }
}

/// A drive to break, and what is in it.
struct Patient {
    world: World,
    machine: Option<Machine>,
    files: BTreeMap<String, Vec<u8>>,
}

/// Packs outlive the test.
const KEPT: Duration = Duration::from_secs(1 << 40);

impl Patient {
    /// A drive with files of all sizes in several directories, hard and symbolic links, attributes and shared chunks.
    /// `many` small files make a tree with leaves.
    fn new(many: usize) -> Self {
        let world = World::new();
        let mut patient = Self {
            machine: Some(world.boot_with(PowerCut::default(), no_fault(), KEPT)),
            world,
            files: BTreeMap::new(),
        };
        let dir = patient.mkdir(ROOT, "dir");
        let deep = patient.mkdir(dir, "deep");
        for (nth, size) in [0usize, 10, 3_000, 70_000, 200_000].into_iter().enumerate() {
            // Equal sizes, different bytes: a pack must not be taken for another.
            for (parent, path, seed) in [(ROOT, "", 0), (dir, "dir/", 1000), (deep, "dir/deep/", 2000)] {
                patient.file(parent, path, &format!("f{nth}"), &noise(nth as u64 + seed, size));
            }
        }
        for nth in 0..many {
            patient.file(dir, "dir/", &format!("small-{nth}"), &noise(nth as u64, 150));
        }
        let machine = patient.machine();
        let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
        machine.run(async {
            let big = call(engine, || vfs.lookup(ROOT, b"f4")).await.unwrap().ino;
            call(engine, || vfs.link(big, dir, b"hard")).await.unwrap();
            call(engine, || vfs.symlink(&SUPER, dir, b"soft", b"../f4")).await.unwrap();
            call(engine, || vfs.setxattr(&SUPER, big, b"user.k", b"v", XattrMode::Set)).await.unwrap();
        });
        patient.files.insert("dir/hard".into(), noise(4, 200_000));
        patient.machine().sync();
        // A copy of committed chunks shares them.
        let machine = patient.machine();
        let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
        machine.run(async {
            let from = call(engine, || vfs.lookup(ROOT, b"f4")).await.unwrap().ino;
            let to = call(engine, || vfs.mknod(&SUPER, ROOT, b"copy", libc::S_IFREG | 0o600, 0)).await.unwrap().ino;
            let mut barrier = Barrier::default();
            let copied = call(engine, || vfs.copy_file_range((from, 0), (to, 0), 200_000, &mut barrier)).await.unwrap();
            assert_eq!(copied, 200_000);
        });
        patient.files.insert("copy".into(), noise(4, 200_000));
        patient.machine().sync();
        patient.again();
        patient
    }

    /// Another machine that opens damaged drives.
    fn again_damaged(&mut self) {
        self.open_damaged();
        self.again();
    }

    /// From now on machines open damaged drives, as `walrusfs fsck` does.
    fn open_damaged(&mut self) {
        self.world.config.on_demand = true;
        self.world.opener = Arc::new(|world, drive, reader, rt| {
            let storage = SimStorage(Arc::clone(&world.outside));
            let source = Certain::new(reader.clone(), &storage);
            let seen = DriveState { sequence: drive.sequence, root: drive.root, log: &drive.log };
            rt.block_on(async {
                let blobs: Vec<([u8; 32], u64)> =
                    storage.held().await?.into_iter().map(|held| (held.blob_id, held.size)).collect();
                Tree::open_damaged(seen, &blobs, &source, &world.keys, 1 << 20).await
            })
        });
    }

    fn machine(&self) -> &Machine {
        self.machine.as_ref().unwrap()
    }

    /// Another machine with nothing but the keys.
    fn again(&mut self) {
        self.machine = None;
        self.machine = Some(self.world.boot_with(PowerCut::default(), no_fault(), KEPT));
    }

    fn mkdir(&mut self, parent: Ino, name: &str) -> Ino {
        let machine = self.machine();
        machine
            .run(call(&machine.engine, || machine.parts.vfs.mkdir(&SUPER, parent, name.as_bytes(), 0o755)))
            .unwrap()
            .ino
    }

    fn file(&mut self, parent: Ino, path: &str, name: &str, content: &[u8]) {
        let machine = self.machine();
        let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
        machine.run(async {
            let made =
                call(engine, || vfs.mknod(&SUPER, parent, name.as_bytes(), libc::S_IFREG | 0o644, 0)).await.unwrap();
            for (nth, part) in content.chunks(100_000).enumerate() {
                call(engine, || vfs.write(made.ino, nth as u64 * 100_000, part, WriteFlags::default())).await.unwrap();
            }
            vfs.forget(made.ino, 1);
        });
        self.files.insert(format!("{path}{name}"), content.to_vec());
    }

    /// The inode of a path; `None` when a name is missing.
    fn ino(&self, path: &str) -> Option<Ino> {
        let machine = self.machine();
        let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
        machine.run(async {
            let mut at = ROOT;
            for name in path.split('/').filter(|name| !name.is_empty()) {
                at = call(engine, || vfs.lookup(at, name.as_bytes())).await.ok()?.ino;
                vfs.forget(at, 1);
            }
            Some(at)
        })
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let ino = self.ino(path)?;
        let machine = self.machine();
        let read = machine.run(call(&machine.engine, || machine.parts.vfs.read(ino, 0, 1 << 20)));
        read.inspect_err(|error| eprintln!("{path}: {error}")).ok()
    }

    /// Paths whose content is not what was written, or that are gone.
    fn damaged(&self) -> Vec<String> {
        let whole = |path: &str, content: &Vec<u8>| self.read(path).as_ref() == Some(content);
        self.files.iter().filter(|(path, content)| !whole(path, content)).map(|(path, _)| path.clone()).collect()
    }

    fn record(&self, key: &Key) -> Option<Record> {
        let all = self.keys(key.space).into_iter();
        all.filter(|(found, _)| found == key).map(|(_, record)| record).next()
    }

    /// The keys of a space.
    fn keys(&self, space: Space) -> Vec<(Key, Record)> {
        let to = (space == Space::Table).then(|| Key::first_of(Space::Files));
        self.with(|subject| {
            async move {
                let mut found = Vec::new();
                super::scan::each(subject, &Key::first_of(space), to.as_ref(), |key, record| {
                    found.push((key.clone(), record.clone()));
                })
                .await
                .unwrap();
                found
            }
            .boxed_local()
        })
    }

    /// The key of the entry that names `path`.
    fn entry(&self, dir: Ino, name: &str) -> (Key, crate::tree::record::Dirent) {
        let mut all =
            self.keys(Space::Files).into_iter().filter(|(key, _)| key.kind == KeyKind::Dirent && key.owner == dir);
        all.find_map(|(key, record)| match record {
            Record::Dirent(entry) if entry.name == name.as_bytes() => Some((key, entry)),
            _ => None,
        })
        .unwrap()
    }

    /// Writes wrong records, as a bug would.
    fn break_names(&self, records: Batch) {
        self.machine().parts.vfs.mend(records).unwrap();
        self.machine().sync();
    }

    /// Writes wrong records of the pack table.
    fn break_books(&self, records: Batch) {
        self.machine().parts.tree.correct(records).unwrap();
        self.machine().parts.vfs.mend(Batch::new()).unwrap();
        self.machine().sync();
    }

    fn with<'s, T>(&'s self, work: impl for<'a> FnOnce(Subject<'a>) -> futures::future::LocalBoxFuture<'a, T>) -> T {
        let machine = self.machine();
        let storage = SimStorage(Arc::clone(&self.world.outside));
        let source = Certain::new(machine.parts.reader.clone(), &storage);
        let (tree, keys, uid) = (&machine.parts.tree, &machine.parts.keys, self.world.keys.uid());
        machine.run(work(Subject { tree, source: &source, keys, storage: &storage, uid }))
    }

    fn check(&self, deep: bool) -> Report {
        self.with(|subject| async move { check(subject, Depth { deep }, &|_, _, _| {}).await.unwrap() }.boxed_local())
    }

    fn faults(&self, deep: bool) -> Vec<Fault> {
        self.check(deep).findings.into_iter().map(|finding| finding.fault).collect()
    }

    fn mend(&self, deep: bool) -> Mended {
        let machine = self.machine();
        let storage = SimStorage(Arc::clone(&self.world.outside));
        let source = Certain::new(machine.parts.reader.clone(), &storage);
        let (tree, keys, uid) = (&machine.parts.tree, &machine.parts.keys, self.world.keys.uid());
        let subject = Subject { tree, source: &source, keys, storage: &storage, uid };
        let writer = Writer { vfs: &machine.parts.vfs, engine: &machine.engine };
        machine.run(mend(subject, writer, Depth { deep }, &|_, _, _| {})).unwrap()
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

#[test]
fn a_whole_drive_is_clean() {
    let patient = Patient::new(10);
    let report = patient.check(true);
    assert!(report.is_clean(), "{:#?}", report.findings);
    // Root, two directories, 15 files, 10 small ones, the copy and the symbolic link; the hard link is no inode.
    assert_eq!(report.inodes, 1 + 2 + 15 + 10 + 1 + 1);
    // Two chunks for 70,000 bytes, four for 200,000; three of each, and the copy.
    assert_eq!(
        report.chunks,
        3 + 3 * 2 + 3 * 4 + 4,
        "3,000 bytes are one chunk: they are too long to lie in the inode"
    );
    assert!(report.bytes_read > 3 * 273_000 && report.slivers == report.packs * 20, "{report:?}");
    assert!(report.packs > 3 && report.units > 0);
    let mended = patient.mend(true);
    // How long it took is rounded, and another time each time.
    let after = Report { seconds: mended.before.seconds, ..mended.after.clone() };
    assert!(mended.done.is_empty() && mended.before == after, "{mended:?}");
    assert_eq!(patient.damaged(), Vec::<String>::new());
}
