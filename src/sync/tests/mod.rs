//! The pipeline against machines that die and networks that fail, on a disk that loses power: what was acknowledged is
//! there afterwards, and what the chain shows is always a whole state that the machine went through.

mod ahead;
mod figures;
mod room;
pub(crate) mod sim;

use super::{Config, Engine, Parts, Problem, Reopened, Standing, reopen};
use crate::cache::{CacheConfig, PackReader, SliverCache};
use crate::crypto::{KeyRing, MasterKey};
use crate::error::{FsResult, Kind};
use crate::ids::{DriveUid, Ino, KeyEpoch};
use crate::journal::Limits;
use crate::journal::tests::power_cut::{Dice, PowerCut};
use crate::seam::{BlockDir, Clock, ManualClock, SeededRandom};
use crate::tree::{DriveState, Ground, Tree};
use crate::vfs::{self, Barrier, Caller, Outcome, RenameMode, Vfs, WriteFlags};
use parking_lot::Mutex;
use sim::{Archive, DriveObject, Fate, Fates, Outside, Point, Sealed, Sim, next_epoch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::runtime::Runtime;

pub(crate) const ROOT: Ino = Ino::ROOT;
pub(crate) const SUPER: Caller = Caller { uid: 0, gid: 0, pid: 1, umask: 0 };

/// What outlives every machine.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) outside: Arc<Mutex<Outside>>,
    pub(crate) keys: Arc<KeyRing>,
    sealed: Arc<Sealed>,
    /// How machines open the drive.
    pub(crate) opener: Opener,
    /// Of the machines' pipelines; they have a `gc_delay` of their own.
    pub(crate) config: Config,
    /// Of the journal.
    pub(crate) limits: Limits,
}

/// Opens the tree of a drive.
pub(crate) type Opener = Arc<dyn Fn(&World, &DriveObject, &PackReader, &Runtime) -> FsResult<Tree> + Send + Sync>;

impl World {
    pub(crate) fn new() -> Self {
        let sealed = Arc::new(Sealed::default());
        // One source of randomness for all lives: a seed used twice would repeat salts that a real machine never repeats.
        let keys = KeyRing::new(
            DriveUid([5; 32]),
            KeyEpoch(0),
            MasterKey::from_bytes(&[5; 32]),
            Arc::new(SeededRandom::new(5)),
        );
        let mut outside = Outside::default();
        outside.capacity = 1 << 30;
        outside.shards = 10;
        let opener: Opener = Arc::new(|world, drive, reader, rt| {
            let seen = DriveState { sequence: drive.sequence, root: drive.root, log: &drive.log };
            rt.block_on(Tree::open(seen, reader, &world.keys, 1 << 20))
        });
        let keys = Arc::new(keys.observed_by(sealed.clone()));
        let limits = Limits { segment: 1 << 16, ..Limits::default() };
        let config = Config { pack_target: 100_000, ..Config::default() };
        Self { outside: Arc::new(Mutex::new(outside)), keys, sealed, opener, config, limits }
    }

    /// Everything of a machine on `disk` that sees the Drive as `drive`, and the blobs that an earlier life left.
    fn parts(&self, disk: &PowerCut, drive: &DriveObject, network: Sim, rt: &Runtime) -> (Parts, Vec<[u8; 32]>) {
        let old = drive.sequence < self.outside.lock().drive.sequence;
        let source = Archive { outside: Arc::clone(&self.outside), deleted: old };
        let slivers = SliverCache::open(&CacheConfig { memory_bytes: 1 << 20, ..CacheConfig::default() });
        self.parts_with(disk, drive, network, rt, PackReader::new(Arc::new(source), slivers))
    }

    /// As [`World::parts`], reading packs through `reader`.
    fn parts_with(
        &self,
        disk: &PowerCut,
        drive: &DriveObject,
        network: Sim,
        rt: &Runtime,
        reader: PackReader,
    ) -> (Parts, Vec<[u8; 32]>) {
        let tree = Arc::new((self.opener)(self, drive, &reader, rt).unwrap());
        let Reopened::Ready(standing) =
            reopen(disks(disk), &self.keys, self.limits, tree.ground().unwrap(), drive.tag).unwrap()
        else {
            panic!("the journal has lost its base");
        };
        let Standing { journal, recovery, orphans } = *standing;
        assert!(recovery.lost.damaged.is_empty(), "{:?}", recovery.lost);
        let journal = Arc::new(journal);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at_ms(1_700_000_000_000));
        let (config, uid) = (vfs::Config::default(), self.keys.uid());
        let vfs = Vfs::start(config, uid, tree.clone(), journal.clone(), recovery, None, clock.clone()).unwrap();
        let (vfs, keys, network) = (Arc::new(vfs), Arc::clone(&self.keys), Arc::new(network));
        (Parts { vfs, tree, journal, keys, reader, network, clock }, orphans)
    }

    /// Starts a machine on `disk`.
    pub(crate) fn boot(&self, disk: PowerCut, fates: Fates) -> Machine {
        self.boot_with(disk, fates, Duration::ZERO)
    }

    /// Starts a machine that keeps packs for `gc_delay` after their last reference.
    pub(crate) fn boot_with(&self, disk: PowerCut, fates: Fates, gc_delay: Duration) -> Machine {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let drive = self.outside.lock().drive.clone();
        let (parts, orphans) = self.parts(&disk, &drive, Sim::new(&self.outside, fates), &rt);
        let config = Config { gc_delay, ..self.config };
        let engine = {
            let _on = rt.enter();
            Arc::new(Engine::start(parts.clone(), config, None, orphans))
        };
        Machine { rt: Some(rt), disk, parts, engine }
    }

    /// What anybody else sees of `drive`: the number in `target`, once its content was found whole.
    fn look(&self, drive: &DriveObject) -> Option<u64> {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let network = Sim::new(&self.outside, no_fault());
        let (parts, _) = self.parts(&PowerCut::default(), drive, network, &rt);
        let engine = Engine::reader(parts.clone(), Config::default(), None);
        rt.block_on(target(&engine, &parts.vfs))
    }
}

fn disks(disk: &PowerCut) -> impl Fn() -> FsResult<Box<dyn BlockDir>> {
    let disk = disk.clone();
    move || Ok(Box::new(disk.clone()))
}

pub(crate) fn no_fault() -> Fates {
    Box::new(|_, _| Fate::Go)
}

/// One life of a mount process.
pub(crate) struct Machine {
    rt: Option<Runtime>,
    pub(crate) disk: PowerCut,
    pub(crate) parts: Parts,
    pub(crate) engine: Arc<Engine>,
}

impl Machine {
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.rt.as_ref().unwrap().block_on(work)
    }

    fn target(&self) -> Option<u64> {
        self.run(target(&self.engine, &self.parts.vfs))
    }

    pub(crate) fn sync(&self) {
        self.run(self.engine.sync()).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A dead machine's tasks wait for ever.
        self.rt.take().unwrap().shutdown_background();
    }
}

/// The content that belongs to `number`: inline, one chunk, several, and several packs.
fn content(number: u64) -> Vec<u8> {
    let len = [10, 3000, 70_000, 260_000][number as usize % 4];
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut out);
    out[..8].copy_from_slice(&number.to_le_bytes());
    out
}

pub(crate) async fn call<T>(engine: &Engine, operation: impl FnMut() -> Outcome<T>) -> FsResult<T> {
    engine.loader().finish(operation).await
}

/// Writes the content of `number` beside `target`, makes it durable, renames it over and makes that durable.
async fn replace(engine: &Engine, vfs: &Vfs, number: u64) -> FsResult<()> {
    let name = format!("temp-{number}");
    match call(engine, || vfs.unlink(ROOT, name.as_bytes())).await {
        // An earlier life may have died before its rename.
        Err(error) if error.kind() != Kind::Posix(libc::ENOENT) => return Err(error),
        _ => {}
    }
    let made = call(engine, || vfs.mknod(&SUPER, ROOT, name.as_bytes(), libc::S_IFREG | 0o644, 0)).await?;
    let ino = made.ino;
    for (nth, part) in content(number).chunks(50_000).enumerate() {
        call(engine, || vfs.write(ino, nth as u64 * 50_000, part, WriteFlags::default())).await?;
    }
    let mut barrier = Barrier::default();
    call(engine, || vfs.fsync(ino, &mut barrier)).await?;
    call(engine, || vfs.rename(ROOT, name.as_bytes(), ROOT, b"target", RenameMode::Replace)).await?;
    vfs.forget(ino, 1);
    let mut barrier = Barrier::default();
    call(engine, || vfs.fsyncdir(ROOT, &mut barrier)).await
}

/// The number whose content `target` has; panics when it is not whole. `None` when there is no `target`.
async fn target(engine: &Engine, vfs: &Vfs) -> Option<u64> {
    let found = match call(engine, || vfs.lookup(ROOT, b"target")).await {
        Ok(found) => found,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Posix(libc::ENOENT), "{error}");
            return None;
        }
    };
    let bytes = call(engine, || vfs.read(found.ino, 0, 1 << 20)).await.unwrap();
    vfs.forget(found.ino, 1);
    assert!(bytes.len() >= 8, "target has {} bytes: it was never that short", bytes.len());
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == content(number), "target is not whole: {} bytes that begin as number {number}", bytes.len());
    Some(number)
}

/// Replaces `target` with numbers from `first` on, asking for commits on the way without waiting; counts what was
/// acknowledged.
async fn work(engine: Arc<Engine>, vfs: Arc<Vfs>, first: u64, count: u64, acknowledged: Arc<AtomicU64>) {
    for number in first..first + count {
        replace(&engine, &vfs, number).await.unwrap();
        acknowledged.store(number, SeqCst);
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { engine.sync().await });
        // The commit runs beside the next replacements, a different distance each time.
        for _ in 0..number % 7 {
            tokio::task::yield_now().await;
        }
        if number % 4 == 3 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    engine.sync().await.unwrap();
}

/// How a machine ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Killed,
    PowerCut(u64),
}

/// Lets a machine die at point `at`; `None` when it got to the end of its work before. The disk that is left, what was
/// acknowledged, and where it died.
fn die_at(world: &World, disk: PowerCut, at: u64, end: End, first: u64) -> (PowerCut, u64, Option<Point>) {
    let left: Arc<Mutex<Option<(PowerCut, u64, Point)>>> = Arc::default();
    let dead = Arc::new(tokio::sync::Notify::new());
    let acknowledged = Arc::new(AtomicU64::new(first.saturating_sub(1)));
    let fates: Fates = {
        let (left, dead, disk, acknowledged) = (left.clone(), dead.clone(), disk.clone(), acknowledged.clone());
        Box::new(move |number, point| {
            let mut left = left.lock();
            if left.is_none() && number >= at {
                let image = match end {
                    End::Killed => disk.kill(),
                    End::PowerCut(seed) => disk.crash(&mut Dice::new(seed)),
                };
                *left = Some((image, acknowledged.load(SeqCst), point));
                dead.notify_one();
            }
            if left.is_some() { Fate::Die } else { Fate::Go }
        })
    };
    let machine = world.boot(disk.clone(), fates);
    let work = work(machine.engine.clone(), machine.parts.vfs.clone(), first, 8, acknowledged.clone());
    machine.run(async {
        tokio::select! {
            () = work => {}
            () = dead.notified() => {}
        }
    });
    let died = left.lock().take();
    match died {
        Some((image, acknowledged, point)) => (image, acknowledged, Some(point)),
        None => (machine.disk.kill(), acknowledged.load(SeqCst), None),
    }
}

/// Every state that the Drive ever had shows a whole `target`, never an older one than the state before.
fn assert_history(world: &World, from: usize) -> usize {
    let history = world.outside.lock().history.clone();
    let mut before = from.checked_sub(1).and_then(|at| world.look(&history[at]));
    for drive in &history[from..] {
        let seen = world.look(drive);
        assert!(seen >= before, "sequence {} shows {seen:?} after {before:?}", drive.sequence);
        before = seen;
    }
    let sequences: Vec<u64> = history.iter().map(|drive| drive.sequence.0).collect();
    assert_eq!(sequences, (1..=history.len() as u64).collect::<Vec<_>>(), "sequence numbers go up by one");
    history.len()
}

#[test]
fn a_machine_that_dies_at_any_step_loses_nothing_acknowledged() {
    let mut points = std::collections::BTreeMap::<Point, u64>::new();
    let (mut lives, mut nonces) = (0, 0);
    for end in [End::Killed, End::PowerCut(1), End::PowerCut(2)] {
        for at in 1.. {
            let world = World::new();
            let (disk, acknowledged, point) = die_at(&world, PowerCut::default(), at, end, 1);
            let Some(point) = point else { break };
            *points.entry(point).or_default() += 1;
            lives += 1;
            // The chain alone: an earlier state, whole.
            let drive = world.outside.lock().drive.clone();
            assert!(world.look(&drive) <= Some(8));
            // The machine again: nothing acknowledged is missing.
            let machine = world.boot(disk, no_fault());
            let found = machine.target().unwrap_or(0);
            assert!(
                (acknowledged..=8).contains(&found),
                "{end:?} at {point:?} ({at}): {acknowledged} was acknowledged, {found} found"
            );
            machine.sync();
            drop(machine);
            // Anybody else: the same; and nothing that was never finished takes capacity.
            let outside = world.outside.lock().drive.clone();
            assert_eq!(world.look(&outside).unwrap_or(0), found, "{end:?} at {point:?} ({at}) after certification");
            assert_eq!(world.outside.lock().unfinished(), 0, "{end:?} at {point:?} ({at}): capacity leaks");
            assert!(world.outside.lock().times_certified.values().all(|times| *times == 1));
            assert_history(&world, 0);
            let (sealed, twice) = world.sealed.counts();
            assert!(sealed > 0 && twice == 0, "{twice} of {sealed} nonces were used for two plaintexts");
            nonces += sealed;
        }
    }
    println!("{lives} lives ended at {points:?}; {nonces} nonces were used once");
    for point in [Point::Encode, Point::Register, Point::Upload, Point::Confirmed, Point::Commit, Point::Committed] {
        assert!(points.get(&point).is_some_and(|times| *times >= 3), "{point:?} was not reached: {points:?}");
    }
}

#[test]
fn machines_that_die_again_and_again_get_there() {
    for seed in 0..12 {
        let world = World::new();
        let mut dice = Dice::new(seed);
        let mut disk = PowerCut::default();
        let mut next = 1;
        let mut checked = 0;
        for life in 0..10 {
            let end = if dice.roll(2) == 0 { End::Killed } else { End::PowerCut(dice.roll(1000)) };
            let (left, acknowledged, _) = die_at(&world, disk, 1 + dice.roll(30), end, next);
            let machine = world.boot(left, no_fault());
            let found = machine.target().unwrap_or(0);
            assert!(found >= acknowledged, "seed {seed}, life {life}: {acknowledged} acknowledged, {found} found");
            next = found + 1;
            // Sometimes the next life begins before anything was mended.
            if dice.roll(2) == 0 {
                machine.sync();
            }
            disk = machine.disk.kill();
            drop(machine);
            checked = assert_history(&world, checked);
        }
        let machine = world.boot(disk, no_fault());
        machine.sync();
        assert_eq!(world.outside.lock().unfinished(), 0, "seed {seed}");
        assert_eq!(world.sealed.counts().1, 0, "seed {seed}: a nonce was used for two plaintexts");
    }
}

#[test]
fn a_network_that_fails_now_and_then_costs_time_only() {
    for seed in 0..10 {
        let world = World::new();
        let mut dice = Dice::new(seed);
        let outside = Arc::clone(&world.outside);
        let fates: Fates = Box::new(move |_, point| {
            // The epoch may end at any step, between confirmations and their commit too.
            if point == Point::Commit && dice.roll(3) == 0 {
                next_epoch(&outside);
            }
            if dice.roll(4) == 0 { Fate::Fail } else { Fate::Go }
        });
        let machine = world.boot(PowerCut::default(), fates);
        let acknowledged = Arc::new(AtomicU64::new(0));
        let work = work(machine.engine.clone(), machine.parts.vfs.clone(), 1, 12, acknowledged.clone());
        machine.run(work);
        assert_eq!(machine.target(), Some(12));
        machine.run(async { tokio::time::sleep(Duration::from_secs(3600)).await });
        assert_eq!(machine.engine.status().problem, None, "seed {seed}");
        drop(machine);
        let drive = world.outside.lock().drive.clone();
        assert_eq!(world.look(&drive), Some(12), "seed {seed}");
        assert_eq!(world.outside.lock().unfinished(), 0, "seed {seed}");
        assert_history(&world, 0);
    }
}

/// A file of `bytes` in the root directory.
async fn put(engine: &Engine, vfs: &Vfs, name: &str, bytes: &[u8]) {
    let made = call(engine, || vfs.mknod(&SUPER, ROOT, name.as_bytes(), libc::S_IFREG | 0o644, 0)).await.unwrap();
    for (nth, part) in bytes.chunks(50_000).enumerate() {
        call(engine, || vfs.write(made.ino, nth as u64 * 50_000, part, WriteFlags::default())).await.unwrap();
    }
    vfs.forget(made.ino, 1);
}

async fn read_file(engine: &Engine, vfs: &Vfs, name: &str) -> Vec<u8> {
    let found = call(engine, || vfs.lookup(ROOT, name.as_bytes())).await.unwrap();
    let bytes = call(engine, || vfs.read(found.ino, 0, 1 << 20)).await.unwrap();
    vfs.forget(found.ino, 1);
    bytes
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

#[test]
fn reads_that_fail_during_a_commit_cost_time_only() {
    const FILES: u64 = 30;
    let edited = |n: u64| {
        let mut bytes = noise(n, 90_000);
        bytes[70_000..70_010].copy_from_slice(b"0123456789");
        bytes
    };
    let mut at = 1;
    loop {
        let world = World::new();
        let machine = world.boot(PowerCut::default(), no_fault());
        machine.run(async {
            for n in 0..FILES {
                put(&machine.engine, &machine.parts.vfs, &format!("f{n}"), &noise(n, 90_000)).await;
            }
        });
        machine.sync();
        drop(machine);
        // A machine with nothing in its caches changes parts of chunks, which have to be read for that, and the tree.
        let machine = world.boot(PowerCut::default(), no_fault());
        let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
        machine.run(async {
            for n in 0..FILES {
                let found = call(engine, || vfs.lookup(ROOT, format!("f{n}").as_bytes())).await.unwrap();
                call(engine, || vfs.write(found.ino, 70_000, b"0123456789", WriteFlags::default())).await.unwrap();
                vfs.forget(found.ino, 1);
            }
        });
        machine.parts.tree.clear_cache();
        let before = world.outside.lock().reads;
        world.outside.lock().unanswered = before + at..before + at + 3;
        machine.sync();
        let reads = world.outside.lock().reads - before;
        world.outside.lock().unanswered = 0..0;
        assert_eq!(machine.engine.status().problem, None);
        machine.run(put(engine, vfs, "more", b"work goes on"));
        machine.sync();
        drop(machine);
        let machine = world.boot(PowerCut::default(), no_fault());
        for n in (0..FILES).step_by(7) {
            let found = machine.run(read_file(&machine.engine, &machine.parts.vfs, &format!("f{n}")));
            assert!(found == edited(n), "f{n}, reads from {at} on failed");
        }
        assert_eq!(world.outside.lock().unfinished(), 0);
        if reads < at {
            break;
        }
        at += 1;
    }
    assert!(at > 20, "a commit of {at} reads proves little");
}

#[test]
fn sparse_packs_are_compacted_when_space_is_short() {
    const FILES: u64 = 60;
    let world = World::new();
    let machine = world.boot(PowerCut::default(), no_fault());
    let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
    machine.run(async {
        for n in 0..FILES {
            put(engine, vfs, &format!("f{n}"), &noise(n, 30_000)).await;
        }
    });
    machine.sync();
    let used = world.outside.lock().used();
    let full = machine.parts.network.encoded_len(100_000).unwrap();
    world.outside.lock().capacity = used + 3 * full;
    // Two of three go: hardly any pack is wholly dead.
    machine.run(async {
        for n in (0..FILES).filter(|n| n % 3 != 0) {
            call(engine, || vfs.unlink(ROOT, format!("f{n}").as_bytes())).await.unwrap();
        }
    });
    machine.sync();
    machine.run(async { tokio::time::sleep(Duration::from_secs(600)).await });
    let (after, commits) = {
        let outside = world.outside.lock();
        (outside.used(), outside.history.len())
    };
    // A quarter of the pool is free again: then there is no hurry any more.
    let total = used + 3 * full;
    assert!(after <= total / 4 * 3 && after < used / 10 * 7, "{after} of {total} encoded bytes, {used} before");
    assert!(commits < 40, "{commits} commits");
    // It comes to rest.
    machine.run(async { tokio::time::sleep(Duration::from_secs(3600)).await });
    assert_eq!(world.outside.lock().history.len(), commits);
    assert_eq!(machine.engine.status().problem, None);
    drop(machine);
    let machine = world.boot(PowerCut::default(), no_fault());
    for n in (0..FILES).step_by(3) {
        let found = machine.run(read_file(&machine.engine, &machine.parts.vfs, &format!("f{n}")));
        assert!(found == noise(n, 30_000), "f{n}");
    }
    assert_eq!(world.sealed.counts().1, 0, "a nonce was used for two plaintexts");
}

#[test]
fn a_full_pool_is_said_and_goes_on_by_itself() {
    let world = World::new();
    let machine = world.boot(PowerCut::default(), no_fault());
    machine.run(replace(&machine.engine, &machine.parts.vfs, 1)).unwrap();
    machine.sync();
    let used = machine.parts.network.capacity().used;
    world.outside.lock().capacity = used;
    machine.run(replace(&machine.engine, &machine.parts.vfs, 3)).unwrap();
    let error = machine.run(machine.engine.sync()).unwrap_err();
    assert_eq!(error.kind(), Kind::PoolFull, "{error}");
    let problem = machine.engine.status().problem.expect("status names what is in the way");
    assert!(!problem.transient && problem.message.contains("pool"), "{problem:?}");
    // Reads go on, from memory and from packs.
    assert_eq!(machine.target(), Some(3));
    world.outside.lock().capacity = 1 << 30;
    machine.run(async { tokio::time::sleep(Duration::from_secs(60)).await });
    machine.sync();
    assert_eq!(machine.engine.status().problem, None);
    drop(machine);
    let drive = world.outside.lock().drive.clone();
    assert_eq!(world.look(&drive), Some(3));
}

#[test]
fn a_disk_that_fills_at_any_point_of_a_commit_costs_time_only() {
    use Point::{Commit, Committed, Confirmed, Encode, Register, Upload};
    for point in [Encode, Register, Upload, Confirmed, Commit, Committed] {
        let world = World::new();
        let disk = PowerCut::default();
        let (here, fills) = (disk.clone(), Arc::new(AtomicBool::new(false)));
        let once = Arc::clone(&fills);
        let fates: Fates = Box::new(move |_, at| {
            // Others fill the disk once.
            if at == point && once.swap(false, SeqCst) {
                here.fail(true, false);
            }
            Fate::Go
        });
        let machine = world.boot(disk.clone(), fates);
        machine.run(replace(&machine.engine, &machine.parts.vfs, 1)).unwrap();
        fills.store(true, SeqCst);
        // Something to commit. A commit that simulated time has begun already may fill the disk under it: then that is refused.
        let again = machine.run(replace(&machine.engine, &machine.parts.vfs, 1));
        assert!(again.as_ref().err().is_none_or(|error| error.kind() == Kind::DiskFull), "{again:?}");
        let engine = Arc::clone(&machine.engine);
        // Sealing and encoding take real time, while the simulated one runs on.
        let waited = |until: fn(&Option<Problem>) -> bool| {
            let there = (0..20_000).any(|_| {
                machine.run(async { tokio::time::sleep(Duration::from_secs(1)).await });
                std::thread::sleep(Duration::from_millis(1));
                until(&machine.engine.status().problem)
            });
            assert!(there, "full at {point:?}: {:?}", machine.engine.status().problem);
        };
        machine.run(async { drop(tokio::spawn(async move { engine.sync().await })) });
        waited(Option::is_some);
        let problem = machine.engine.status().problem.unwrap();
        assert!(problem.message.contains("journal"), "full at {point:?}: {problem:?}");
        assert_eq!(machine.target(), Some(1), "reads go on, full at {point:?}");
        let bytes = machine.parts.journal.usage().bytes;
        machine.run(async { tokio::time::sleep(Duration::from_secs(600)).await });
        let grown = machine.parts.journal.usage().bytes - bytes;
        assert!(grown < 4096, "trying again must not fill the buffer: {grown} bytes, full at {point:?}");
        disk.fail(false, false);
        waited(Option::is_none);
        machine.run(replace(&machine.engine, &machine.parts.vfs, 2)).unwrap();
        machine.sync();
        assert_eq!(machine.engine.status().problem, None, "full at {point:?}");
        drop(machine);
        let drive = world.outside.lock().drive.clone();
        assert_eq!(world.look(&drive), Some(2), "full at {point:?}");
    }
}

#[test]
fn the_journal_does_not_grow_with_the_number_of_mounts() {
    let world = World::new();
    let mut disk = PowerCut::default();
    for life in 0..40 {
        let machine = world.boot(disk.clone(), no_fault());
        let vfs = machine.parts.vfs.clone();
        if life == 0 {
            machine.run(put(&machine.engine, &vfs, "file", &noise(1, 300_000)));
            machine.sync();
        }
        assert_eq!(machine.run(read_file(&machine.engine, &vfs, "file")), noise(1, 300_000), "life {life}");
        let usage = machine.parts.journal.usage();
        assert!(usage.segments <= 18 && usage.bytes < 1 << 16, "life {life}: {usage:?}");
        drop(machine);
        disk = disk.crash(&mut Dice::new(life));
    }
}

#[test]
fn a_lost_lease_stops_writing_and_keeps_the_journal() {
    let world = World::new();
    let machine = world.boot(PowerCut::default(), no_fault());
    machine.run(replace(&machine.engine, &machine.parts.vfs, 1)).unwrap();
    machine.sync();
    machine.run(replace(&machine.engine, &machine.parts.vfs, 2)).unwrap();
    world.outside.lock().commit_elsewhere();
    let error = machine.run(machine.engine.sync()).unwrap_err();
    assert_eq!(error.kind(), Kind::LeaseLost, "{error}");
    let refused = machine.run(replace(&machine.engine, &machine.parts.vfs, 3)).unwrap_err();
    assert_eq!(refused.errno(), libc::EROFS, "{refused}");
    assert_eq!(machine.target(), Some(2), "reads go on");
    let disk = machine.disk.kill();
    drop(machine);
    let drive = world.outside.lock().drive.clone();
    let reopened =
        reopen(disks(&disk), &world.keys, Limits::default(), Ground::empty(drive.sequence), drive.tag).unwrap();
    assert!(
        matches!(reopened, Reopened::Conflict { changes } if changes > 0),
        "the changes are kept, and not replayed"
    );
}
