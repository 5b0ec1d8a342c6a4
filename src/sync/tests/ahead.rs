//! Reading ahead, over a network that answers when the test lets it.

use super::*;
use crate::cache::{Sliver, SliverSource};
use crate::ids::Ino;
use crate::sync::Loader;
use crate::sync::ahead::Claim;
use crate::vfs::{Ahead, Handle, Needs};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::HashSet;

const REQUEST: u32 = 128 << 10;
const CHUNK: usize = 64 << 10;

/// The network behind a gate: blobs that are held are answered when they are let go.
struct Gate {
    network: Archive,
    held: Mutex<HashSet<[u8; 32]>>,
    all: Mutex<bool>,
    started: AtomicU64,
    ended: AtomicU64,
}

impl Gate {
    fn holds(&self, blob: &[u8; 32]) -> bool {
        *self.all.lock() || self.held.lock().contains(blob)
    }

    fn counts(&self) -> (u64, u64) {
        (self.started.load(SeqCst), self.ended.load(SeqCst))
    }
}

impl SliverSource for Arc<Gate> {
    fn row_len(&self, size: u64) -> FsResult<u64> {
        self.network.row_len(size)
    }

    fn size(&self, blob: [u8; 32]) -> BoxFuture<'static, FsResult<u64>> {
        self.network.size(blob)
    }

    fn fetch(&self, blob: [u8; 32], size: u64, row: u16, verify: bool) -> BoxFuture<'static, FsResult<Sliver>> {
        let gate = Arc::clone(self);
        async move {
            gate.started.fetch_add(1, SeqCst);
            while gate.holds(&blob) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            gate.ended.fetch_add(1, SeqCst);
            gate.network.fetch(blob, size, row, verify).await
        }
        .boxed()
    }
}

/// A machine that reads one file of another one's.
pub(super) struct Reading {
    pub(super) rt: Runtime,
    pub(super) parts: Parts,
    pub(super) loader: Loader,
    gate: Arc<Gate>,
    ino: Ino,
    content: Vec<u8>,
    world: World,
}

impl Reading {
    pub(super) fn new(len: usize) -> Self {
        let world = World::new();
        let mut content = vec![0; len];
        blake3::Hasher::new().update(b"a film").finalize_xof().fill(&mut content);
        let writer = world.boot(PowerCut::default(), no_fault());
        let vfs = writer.parts.vfs.clone();
        writer.run(async {
            let made =
                call(&writer.engine, || vfs.mknod(&SUPER, ROOT, b"film", libc::S_IFREG | 0o644, 0)).await.unwrap();
            for (nth, part) in content.chunks(1 << 20).enumerate() {
                let at = (nth as u64) << 20;
                call(&writer.engine, || vfs.write(made.ino, at, part, WriteFlags::default())).await.unwrap();
            }
        });
        writer.sync();
        drop(writer);
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let drive = world.outside.lock().drive.clone();
        let gate = Arc::new(Gate {
            network: Archive { outside: Arc::clone(&world.outside), deleted: false },
            held: Mutex::default(),
            all: Mutex::new(false),
            started: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        });
        let slivers = SliverCache::open(&CacheConfig { memory_bytes: 64 << 20, ..CacheConfig::default() });
        let reader = PackReader::new(Arc::new(Arc::clone(&gate)), slivers);
        let network = Sim::new(&world.outside, no_fault());
        let (parts, _) = world.parts_with(&PowerCut::default(), &drive, network, &rt, reader);
        let (vfs, tree) = (Arc::clone(&parts.vfs), Arc::clone(&parts.tree));
        let loader = Loader::new(vfs, tree, parts.reader.clone(), Arc::clone(&parts.keys));
        let ino = rt.block_on(loader.finish(|| parts.vfs.lookup(ROOT, b"film"))).unwrap().ino;
        Self { rt, parts, loader, gate, ino, content, world }
    }

    /// A mount that knows nothing, above the slivers that this machine has.
    fn again(&self) -> Loader {
        let world = &self.world;
        let drive = world.outside.lock().drive.clone();
        let (network, reader) = (Sim::new(&world.outside, no_fault()), self.parts.reader.clone());
        let (parts, _) = world.parts_with(&PowerCut::default(), &drive, network, &self.rt, reader);
        Loader::new(parts.vfs, parts.tree, parts.reader, parts.keys)
    }

    fn open(&self) -> Handle {
        self.rt.block_on(self.loader.finish(|| self.parts.vfs.open(self.ino, libc::O_RDONLY))).unwrap().handle
    }

    /// Reads as the kernel's requests do, and starts what that calls for.
    fn read(&self, handle: Handle, offset: u64) -> Option<Ahead> {
        self.rt.block_on(async {
            let vfs = &self.parts.vfs;
            let read = self.loader.finish(|| vfs.read(self.ino, offset, REQUEST)).await.unwrap();
            assert!(read == self.content[offset as usize..][..read.len()], "bytes at {offset}");
            let ahead = vfs.ahead(handle, self.ino, offset, REQUEST);
            if let Some(ahead) = ahead.clone() {
                self.loader.read_ahead(ahead, &tokio::runtime::Handle::current());
            }
            ahead
        })
    }

    /// The next window of a stream that reads on from request `from`, without reading.
    fn window(&self, handle: Handle, from: u64) -> Ahead {
        let step = u64::from(REQUEST);
        (from..from + 8).find_map(|n| self.parts.vfs.ahead(handle, self.ino, n * step, REQUEST)).expect("a window")
    }

    /// Gives the background time.
    fn pause(&self) {
        self.rt.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
    }

    fn is_loaded(&self, offset: u64) -> bool {
        matches!(self.parts.vfs.read(self.ino, offset, CHUNK as u32), Outcome::Done(Ok(_)))
    }
}

#[test]
fn a_reader_in_order_finds_everything_loaded() {
    let reading = Reading::new(3 << 20);
    let handle = reading.open();
    assert!(reading.read(handle, 0).is_none(), "one read is no order");
    for at in (u64::from(REQUEST)..3 << 20).step_by(REQUEST as usize) {
        let waits = !reading.is_loaded(at);
        assert!(!waits || at < 384 << 10, "the reader had to wait at {at}");
        reading.read(handle, at);
        reading.pause();
    }
    let stats = reading.parts.reader.stats();
    assert!(stats.fetched_ahead > 4 * stats.fetched, "{stats:?}");
    assert_eq!(stats.cancelled, 0);
    assert!(reading.parts.vfs.release(handle), "whoever closes gives up what was asked for");
    assert!(!reading.parts.vfs.release(reading.open()));
}

#[test]
fn a_seek_breaks_off_what_only_it_waited_for() {
    let reading = Reading::new(3 << 20);
    let (one, other) = (reading.open(), reading.open());
    for at in 0..4 {
        reading.read(one, at * u64::from(REQUEST));
        reading.pause();
    }
    *reading.gate.all.lock() = true;
    let (before, ended) = reading.gate.counts();
    assert_eq!(before, ended);
    let ahead = reading.window(one, 4);
    let (last, runtime) = (*ahead.chunks.last().unwrap(), reading.rt.handle().clone());
    reading.loader.read_ahead(ahead, &runtime);
    reading.pause();
    let asked = reading.gate.counts().0 - before;
    assert!(asked > 4, "{asked} fetches are on their way");
    // Another stream wants the last of these chunks too.
    let same = Ahead { stream: other, chunks: vec![last], ..Ahead::default() };
    let wanted = reading.loader.clone();
    let wanted = reading.rt.spawn(async move { wanted.chunk(last).await });
    reading.loader.read_ahead(same, &runtime);
    reading.pause();
    assert_eq!(reading.gate.counts().0 - before, asked, "one fetch for all who want it");
    // The jump itself: its own bytes come although nothing else does.
    let stale = reading.parts.vfs.ahead(one, reading.ino, 6 << 20, REQUEST).expect("a jump");
    assert!(stale.stale && stale.chunks.is_empty());
    reading.loader.read_ahead(stale, &runtime);
    reading.pause();
    let cancelled = reading.parts.reader.stats().cancelled;
    assert!(
        cancelled >= asked - 4 && cancelled < asked,
        "{cancelled} of {asked} were broken off, not what others want"
    );
    *reading.gate.all.lock() = false;
    reading.rt.block_on(wanted).unwrap().unwrap();
    let (started, ended) = reading.gate.counts();
    assert_eq!(started - ended, cancelled, "nothing that was broken off goes on");
    // What was given up is loaded when it is asked for after all.
    for at in 8..16 {
        reading.read(other, at * u64::from(REQUEST));
    }
}

#[test]
fn who_waits_for_a_chunk_waits_for_nothing_else_of_the_window() {
    let reading = Reading::new(3 << 20);
    let handle = reading.open();
    for at in 0..6 {
        reading.read(handle, at * u64::from(REQUEST));
        reading.pause();
    }
    *reading.gate.all.lock() = true;
    let ahead = reading.window(handle, 6);
    assert!(ahead.chunks.len() > 3);
    let first = ahead.chunks[0];
    let started = reading.gate.counts().0;
    reading.loader.read_ahead(ahead.clone(), reading.rt.handle());
    reading.pause();
    let asked = reading.gate.counts().0 - started;
    // Everything but the first chunk's pack stays held.
    let blob = |addr| reading.rt.block_on(reading.loader.pack_ref(addr)).unwrap().blob_id;
    let others: HashSet<_> =
        ahead.chunks.iter().map(|addr| blob(addr.pack)).filter(|id| *id != blob(first.pack)).collect();
    assert!(!others.is_empty());
    *reading.gate.held.lock() = others;
    *reading.gate.all.lock() = false;
    let demanded = reading.rt.block_on(async {
        let needs = Needs { chunks: vec![first], ..Needs::default() };
        tokio::time::timeout(Duration::from_secs(5), reading.loader.load(needs)).await
    });
    demanded.expect("it waits for others").unwrap();
    assert_eq!(reading.gate.counts().0 - started, asked, "the demand shares the fetch of the window");
}

#[test]
fn what_is_at_hand_is_read_by_the_thread_that_asks_and_nothing_else_is() {
    let reading = Reading::new(1 << 20);
    let lacks = || match reading.parts.vfs.read(reading.ino, 0, REQUEST) {
        Outcome::Wait(needs) => needs,
        Outcome::Done(_) => panic!("nothing was loaded"),
    };
    let before = reading.gate.counts();
    // The first read lacks nodes of the tree; loading them is not what this is about.
    while lacks().chunks.is_empty() {
        reading.rt.block_on(reading.loader.load(lacks())).unwrap();
    }
    let fetched = reading.gate.counts();
    assert!(!reading.loader.at_once(&lacks()), "no sliver of it is here");
    assert_eq!(reading.gate.counts(), fetched, "it asks nobody");
    assert!(fetched >= before);
    for at in (0..1 << 20).step_by(REQUEST as usize) {
        reading.read(Handle::default(), at);
    }
    let all = reading.gate.counts();

    let again = reading.again();
    let read = |offset: u64| loop {
        match again.vfs.read(reading.ino, offset, REQUEST) {
            Outcome::Done(read) => break read.unwrap(),
            Outcome::Wait(needs) => assert!(again.at_once(&needs), "{needs:?}"),
        }
    };
    assert!(read(0) == reading.content[..REQUEST as usize], "outside of any runtime: nothing is handed over");
    assert_eq!(reading.gate.counts(), all);

    // What takes longer, or has to wait, is for others.
    let Outcome::Wait(much) = again.vfs.read(reading.ino, 0, 1 << 20) else { panic!("most of it was not loaded") };
    assert!(much.chunks.len() > 4 && !again.at_once(&much));
    let one = Needs { chunks: much.chunks[..1].to_vec(), ..Needs::default() };
    assert!(again.at_once(&one));
    for waits in [
        Needs { space: Some(0), ..one.clone() },
        Needs { durable: Some(Default::default()), ..one.clone() },
        Needs { write_back: Some(crate::vfs::Scope::All), ..one.clone() },
    ] {
        assert!(!again.at_once(&waits), "{waits:?}");
    }
    // What somebody else is opening already is waited for.
    let two = Needs { chunks: much.chunks[1..2].to_vec(), ..Needs::default() };
    let claim = Claim::new(&again.on_its_way, two.chunks.clone());
    assert!(!again.at_once(&two));
    drop(claim);
    assert!(again.at_once(&two));
}
