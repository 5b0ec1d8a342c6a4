//! Meets the needs of vfs operations: loads tree nodes and chunks, waits for the disk and for space.
//!
//! A unit whose tag fails is read once more from slivers whose hashes were checked: if it opens then, a node (or the
//! cache) had wrong bytes and has been replaced; if it still fails, the record is damaged at its source and the read fails.

use super::ahead::{OnItsWay, unit};
use crate::cache::PackReader;
use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::pack::{PackRef, PackSource, UnitKind, open_unit};
use crate::tree::record::ChunkAddr;
use crate::tree::{Fetch, NodeAddr, Tree};
use crate::vfs::{Needs, Outcome, Vfs};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::try_join_all;
use std::sync::Arc;
use std::time::Duration;

/// How long a write waits for a full journal while the pipeline gets nowhere, before it fails (docs/errors.md). A slow network may take
/// an hour for what is in the journal: as long as slivers arrive, the write waits.
const SPACE_PATIENCE: Duration = Duration::from_secs(30);

/// Units that a thread which answers the kernel opens itself: with more, several threads are done sooner.
const AT_ONCE: usize = 4;

/// Loads what operations wait for. Cheap to clone.
#[derive(Clone)]
pub struct Loader {
    pub(super) vfs: Arc<Vfs>,
    pub(super) tree: Arc<Tree>,
    pub(super) reader: PackReader,
    pub(super) keys: Arc<KeyRing>,
    pub(super) on_its_way: Arc<OnItsWay>,
}

impl Loader {
    /// A loader for one mounted drive.
    pub fn new(vfs: Arc<Vfs>, tree: Arc<Tree>, reader: PackReader, keys: Arc<KeyRing>) -> Self {
        Self { vfs, tree, reader, keys, on_its_way: Arc::new(OnItsWay::new()) }
    }

    /// Returns when everything in `needs` was met once; the operation is then called again (it may need more).
    ///
    /// Errors: [`Kind::Unreachable`] when the network does not answer, [`Kind::Corrupt`] when a unit is damaged at its
    /// source, [`Kind::DiskFull`] when no space came back and the pipeline got nowhere.
    pub async fn load(&self, needs: Needs) -> FsResult<()> {
        if let Some(scope) = needs.write_back {
            let vfs = Arc::clone(&self.vfs);
            loop {
                let (vfs, scope) = (Arc::clone(&vfs), scope);
                match blocking(move || vfs.write_back(scope)).await? {
                    Outcome::Done(done) => break done?,
                    Outcome::Wait(more) => Box::pin(self.load(more)).await?,
                }
            }
        }
        if let Some(lsn) = needs.durable {
            let vfs = Arc::clone(&self.vfs);
            blocking(move || vfs.sync_journal(lsn)).await??;
        }
        if let Some(seen) = needs.space {
            self.space_freed(seen).await?;
        }
        try_join_all(needs.nodes.iter().map(|addr| self.node(*addr))).await?;
        self.chunks_into_vfs(needs.chunks).await
    }

    /// Waits for room in the journal for as long as the pipeline gets on.
    async fn space_freed(&self, seen: u64) -> FsResult<()> {
        loop {
            let before = self.vfs.times_got_on();
            match tokio::time::timeout(SPACE_PATIENCE, self.vfs.space_freed(seen)).await {
                Ok(()) if self.vfs.times_freed() > seen => return Ok(()),
                Ok(()) => {
                    return Err(FsError::new(
                        Kind::DiskFull,
                        "the journal is full and the mount goes away: this change has no room any more",
                    ));
                }
                Err(_) if self.vfs.times_got_on() > before => {}
                Err(_) => {
                    return Err(FsError::new(
                        Kind::DiskFull,
                        "the journal is full and for 30 s nothing of it reached the network; see `walrusfs status` for what holds \
                         commits up",
                    ));
                }
            }
        }
    }

    /// Meets `needs` on the calling thread with what this machine has in memory, its own or the kernel's, if that is little work.
    /// Otherwise `false`, and [`Loader::load`] does it. Never waits: the thread answers the kernel, and two hand-overs to
    /// others take longer than opening a unit.
    pub fn at_once(&self, needs: &Needs) -> bool {
        let Needs { nodes, chunks, durable, write_back, space } = needs;
        if durable.is_some() || write_back.is_some() || space.is_some() || nodes.len() + chunks.len() > AT_ONCE {
            return false;
        }
        nodes.iter().all(|addr| self.node_at_once(*addr)) && chunks.iter().all(|addr| self.chunk_at_once(*addr))
    }

    fn node_at_once(&self, addr: NodeAddr) -> bool {
        // It is always ready: its source is.
        let loaded = self.tree.load(addr, &self.reader.without_waiting(), &self.keys).now_or_never();
        matches!(loaded, Some(Ok(())))
    }

    fn chunk_at_once(&self, addr: ChunkAddr) -> bool {
        if self.on_its_way.holds(addr) {
            return false;
        }
        let Ok(Fetch::Ready(Some(entry))) = self.tree.pack(addr.pack) else { return false };
        let pack = entry.as_ref();
        let Ok(cipher) = self.keys.pack_cipher(pack.key_epoch, &pack.salt) else { return false };
        let Some(sealed) = self.reader.at_hand(&pack, addr.offset, addr.stored) else { return false };
        // One whose tag fails is read again by who may wait, and finds out who is to blame.
        let Ok(plain) = open_unit(&cipher, UnitKind::Chunk, unit(addr), sealed.into()) else { return false };
        self.vfs.insert_chunk(addr, plain.into());
        true
    }

    /// Runs a vfs or tree operation to its end, loading what it waits for.
    pub async fn finish<T>(&self, mut operation: impl FnMut() -> Outcome<T>) -> FsResult<T> {
        loop {
            match operation() {
                Outcome::Done(done) => return done,
                Outcome::Wait(needs) => self.load(needs).await?,
            }
        }
    }

    /// Loads a tree node.
    pub async fn node(&self, addr: NodeAddr) -> FsResult<()> {
        match self.tree.load(addr, &self.reader, &self.keys).await {
            Err(error) if error.kind() == Kind::Corrupt => {
                tracing::warn!(pack = %addr.pack, offset = addr.offset, "a tree node did not open; reading it from verified slivers");
                self.tree.load(addr, &self.reader.verified(), &self.keys).await
            }
            done => done,
        }
    }

    /// The plaintext of a chunk.
    pub async fn chunk(&self, addr: ChunkAddr) -> FsResult<Bytes> {
        let pack = self.pack_ref(addr.pack).await?;
        let cipher = self.keys.pack_cipher(pack.key_epoch, &pack.salt)?;
        let sealed = PackSource::read(&self.reader, &pack, addr.offset, addr.stored).await?;
        match open_unit(&cipher, UnitKind::Chunk, unit(addr), sealed.into()) {
            Ok(plain) => Ok(plain.into()),
            Err(_) => self.chunk_verified(&pack, addr).await,
        }
    }

    /// The plaintext of a chunk that did not open, from verified slivers.
    pub(super) async fn chunk_verified(&self, pack: &PackRef, addr: ChunkAddr) -> FsResult<Bytes> {
        tracing::warn!(pack = %addr.pack, offset = addr.offset, "a chunk did not open; reading it from verified slivers");
        let cipher = self.keys.pack_cipher(pack.key_epoch, &pack.salt)?;
        self.reader.doubt(pack, addr.offset, addr.stored);
        let sealed = self.reader.verified().read(pack, addr.offset, addr.stored).await?;
        open_unit(&cipher, UnitKind::Chunk, unit(addr), sealed.into()).map(Bytes::from).map_err(|error| {
            FsError::new(
                Kind::Corrupt,
                format!("pack {}: a chunk is damaged at its source (its slivers are the certified ones)", addr.pack),
            )
            .caused_by(error)
        })
    }
}

/// How far packing and encoding stand back (nice(2)): they take every processor for as long as there is something to pack,
/// and programs that wait for an answer of the mount must not wait for that.
const STAND_BACK: libc::c_int = 10;

/// Runs `work` on a thread of its own, which every other thread of the machine comes before; so do the threads it starts.
pub(super) async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> FsResult<T> {
    let stopped = |error: Box<dyn std::error::Error + Send + Sync>| {
        FsError::new(Kind::Internal, "a background thread stopped").caused_by(error)
    };
    let (done, result) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("walrusfs-pack".into());
    let started = thread.spawn(move || {
        // SAFETY: setpriority takes numbers only; 0 is the calling thread on Linux. It cannot fail for a higher number.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, STAND_BACK) };
        // Nobody is left to be told when the mount ends.
        let _ = done.send(work());
    });
    started.map_err(|error| stopped(error.into()))?;
    result.await.map_err(|error| stopped(error.into()))
}

/// Runs `work` on a thread that may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> FsResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| FsError::new(Kind::Internal, "a worker thread stopped").caused_by(error))
}
