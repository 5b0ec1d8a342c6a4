//! Brings what the vfs finds worth reading ahead, and chunks for those who wait, with one load for both.
//!
//! Mechanism: what lies ahead is loaded in pieces, each the chunks of one sliver, because they arrive together. A piece is
//! read from the cache or the network, opened on a thread for computing (as many at once as there are processors: the
//! threads that answer the kernel compete with no more), and put into the vfs, where the reader finds it. Who asks for a
//! chunk that is on its way waits for that piece. A stream that turns elsewhere cancels its pieces: what nobody else waits
//! for is broken off, down to the request to the node.

use super::loader::{Loader, blocking};
use crate::error::{FsError, FsResult, Kind};
use crate::pack::{PackRef, PackSource, UnitAddr, UnitKind, open_unit};
use crate::tree::Fetch;
use crate::tree::record::ChunkAddr;
use crate::vfs::{Ahead, Handle};
use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Chunks of one piece at most: 1 MiB.
const PIECE: usize = 16;

/// Chunks that are opened on one thread before another one helps.
const SPLIT: usize = 4;

/// What is on its way.
#[derive(Debug)]
pub(super) struct OnItsWay {
    /// Each stream's word to stop.
    streams: Mutex<HashMap<Handle, CancellationToken>>,
    /// Chunks that a piece is loading; its end is the end of the channel.
    chunks: Mutex<HashMap<ChunkAddr, watch::Receiver<()>>>,
    /// Threads that may open units ahead of anybody's asking.
    processors: Semaphore,
}

impl OnItsWay {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { streams: Mutex::default(), chunks: Mutex::default(), processors: Semaphore::new(processors) }
    }

    /// Whether the chunk is on its way.
    pub(super) fn holds(&self, addr: ChunkAddr) -> bool {
        self.chunks.lock().contains_key(&addr)
    }

    /// Chunks of `chunks` that are on their way, by what they wait for, and the others.
    fn sort(&self, chunks: Vec<ChunkAddr>) -> (Vec<watch::Receiver<()>>, Vec<ChunkAddr>) {
        let loading = self.chunks.lock();
        let (mut waits, mut missing) = (Vec::new(), Vec::new());
        for addr in chunks {
            match loading.get(&addr) {
                Some(end) => waits.push(end.clone()),
                None => missing.push(addr),
            }
        }
        (waits, missing)
    }
}

/// The chunks of a piece, listed as being on their way until this is dropped, however the piece ends.
pub(super) struct Claim<'a> {
    list: &'a OnItsWay,
    chunks: Vec<ChunkAddr>,
    _end: watch::Sender<()>,
}

impl<'a> Claim<'a> {
    /// Claims those of `chunks` that nobody has.
    pub(super) fn new(list: &'a OnItsWay, mut chunks: Vec<ChunkAddr>) -> Self {
        let (end, ended) = watch::channel(());
        let mut loading = list.chunks.lock();
        chunks.retain(|addr| !loading.contains_key(addr));
        loading.extend(chunks.iter().map(|addr| (*addr, ended.clone())));
        Self { list, chunks, _end: end }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut loading = self.list.chunks.lock();
        self.chunks.iter().for_each(|addr| drop(loading.remove(addr)));
    }
}

impl Loader {
    /// Starts what `ahead` says on `runtime` and returns at once.
    pub fn read_ahead(&self, ahead: Ahead, runtime: &tokio::runtime::Handle) {
        self.vfs.read_ahead_within(self.reader.link_carries());
        let mut streams = self.on_its_way.streams.lock();
        if ahead.stale
            && let Some(token) = streams.remove(&ahead.stream)
        {
            token.cancel();
        }
        if ahead.nodes.is_empty() && ahead.chunks.is_empty() && ahead.pack.is_none() {
            return;
        }
        // What belongs to no stream is small, and nobody turns away from it.
        let token = match ahead.stream == Handle::default() {
            true => CancellationToken::new(),
            false => streams.entry(ahead.stream).or_default().clone(),
        };
        drop(streams);
        let loader = self.clone();
        runtime.spawn(async move { token.run_until_cancelled(loader.bring(ahead)).await });
    }

    /// Loads everything that `ahead` names. A failure is the reader's to see, if it comes that far.
    async fn bring(&self, ahead: Ahead) {
        let nodes = try_join_all(ahead.nodes.iter().map(|addr| self.node(*addr)));
        let chunks = async {
            let pieces = self.pieces(ahead.chunks).await?;
            join_all(pieces.into_iter().map(|(pack, piece)| self.piece(pack, piece))).await;
            Ok::<_, FsError>(())
        };
        let pack = async {
            let Some((number, range)) = ahead.pack else { return Ok(()) };
            let pack = self.pack_ref(number).await?;
            let end = range.end.min(pack.size.unwrap_or(0));
            self.reader.warm(&pack, range.start.min(end)..end).await
        };
        let (nodes, chunks, pack) = futures::join!(nodes, chunks, pack);
        for error in [nodes.err(), chunks.err(), pack.err()].into_iter().flatten() {
            tracing::debug!(error = &error as &dyn std::error::Error, "reading ahead failed");
        }
    }

    /// Chunks with their packs, those of one sliver together. A chunk that lies in two slivers is a piece of its own: others
    /// need not wait for the second one.
    async fn pieces(&self, chunks: Vec<ChunkAddr>) -> FsResult<Vec<(PackRef, Vec<ChunkAddr>)>> {
        let mut packs = HashMap::new();
        let mut pieces: Vec<(PackRef, Vec<ChunkAddr>)> = Vec::new();
        let mut open_row = None;
        for addr in chunks {
            let pack = match packs.get(&addr.pack) {
                Some(pack) => *pack,
                None => *packs.entry(addr.pack).or_insert(self.pack_ref(addr.pack).await?),
            };
            let row_len = self.reader.row_len(&pack).unwrap_or(u64::MAX).max(1);
            let end = addr.offset.saturating_add(u64::from(addr.stored)).saturating_sub(1);
            let (first, last) = (addr.offset / row_len, end / row_len);
            let row = (first == last).then_some((addr.pack, first));
            match pieces.last_mut() {
                Some((_, piece)) if row.is_some() && row == open_row && piece.len() < PIECE => piece.push(addr),
                _ => pieces.push((pack, vec![addr])),
            }
            open_row = row;
        }
        Ok(pieces)
    }

    async fn piece(&self, pack: PackRef, chunks: Vec<ChunkAddr>) {
        let claim = Claim::new(&self.on_its_way, chunks);
        if claim.chunks.is_empty() {
            return;
        }
        let loaded = async {
            let missing = if self.may_be_here(&pack, &claim.chunks) {
                // Never closed.
                let _processor = self.on_its_way.processors.acquire().await;
                self.open_local(pack, claim.chunks.clone()).await?
            } else {
                claim.chunks.clone()
            };
            let reads = missing.iter().map(|addr| self.reader.read_ahead(&pack, addr.offset, addr.stored));
            let sealed = try_join_all(reads).await?;
            let _processor = self.on_its_way.processors.acquire().await;
            self.open_sealed(pack, missing, sealed).await
        };
        // One that does not open is read again, verified, by whoever asks for it.
        if let Err(error) = loaded.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a piece ahead did not come");
        }
    }

    /// Brings chunks that somebody waits for into the vfs.
    pub(super) async fn chunks_into_vfs(&self, chunks: Vec<ChunkAddr>) -> FsResult<()> {
        let (waits, missing) = self.on_its_way.sort(chunks);
        let mut by_pack: Vec<(PackRef, Vec<ChunkAddr>)> = Vec::new();
        for addr in missing {
            let pack = self.pack_ref(addr.pack).await?;
            match by_pack.last_mut().filter(|(last, _)| *last == pack) {
                Some((_, chunks)) => chunks.push(addr),
                None => by_pack.push((pack, vec![addr])),
            }
        }
        let loads = try_join_all(by_pack.into_iter().map(|(pack, chunks)| self.load_chunks(pack, chunks)));
        let ends = join_all(waits.into_iter().map(|mut end| async move {
            // The sender says nothing: the channel closes when the piece has ended.
            let _ = end.changed().await;
        }));
        let (loaded, _) = futures::join!(loads, ends);
        loaded.map(drop)
    }

    async fn load_chunks(&self, pack: PackRef, mut chunks: Vec<ChunkAddr>) -> FsResult<()> {
        if self.may_be_here(&pack, &chunks) {
            // With more than a few, two threads are done sooner than one.
            let half = if chunks.len() > SPLIT { chunks.split_off(chunks.len() / 2) } else { Vec::new() };
            let (first, second) = futures::join!(self.open_local(pack, chunks), self.open_local(pack, half));
            chunks = first?;
            chunks.extend(second?);
        }
        try_join_all(chunks.into_iter().map(|addr| async move {
            let sealed = PackSource::read(&self.reader, &pack, addr.offset, addr.stored).await?;
            let left = self.open_sealed(pack, vec![addr], vec![sealed]).await;
            match left {
                Err(error) if error.kind() == Kind::Corrupt => self.again(pack, addr).await,
                done => done,
            }
        }))
        .await
        .map(drop)
    }

    fn may_be_here(&self, pack: &PackRef, chunks: &[ChunkAddr]) -> bool {
        chunks.iter().any(|addr| self.reader.may_be_local(pack, addr.offset, addr.stored))
    }

    /// Opens those of `chunks` that lie on this machine, on a thread that may wait for the disk; the others.
    async fn open_local(&self, pack: PackRef, chunks: Vec<ChunkAddr>) -> FsResult<Vec<ChunkAddr>> {
        if chunks.is_empty() {
            return Ok(chunks);
        }
        let loader = self.clone();
        blocking(move || {
            let cipher = loader.keys.pack_cipher(pack.key_epoch, &pack.salt)?;
            let mut missing = Vec::new();
            for addr in chunks {
                let sealed = loader.reader.local(&pack, addr.offset, addr.stored);
                match sealed.map(|sealed| open_unit(&cipher, UnitKind::Chunk, unit(addr), sealed.into())) {
                    Some(Ok(plain)) => loader.vfs.insert_chunk(addr, plain.into()),
                    None => missing.push(addr),
                    // Not right: whoever fetches it finds out who is to blame.
                    Some(Err(_)) => {
                        loader.reader.doubt(&pack, addr.offset, addr.stored);
                        missing.push(addr);
                    }
                }
            }
            Ok(missing)
        })
        .await?
    }

    /// Opens chunks that have arrived, on a thread for computing.
    async fn open_sealed(&self, pack: PackRef, chunks: Vec<ChunkAddr>, sealed: Vec<Bytes>) -> FsResult<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        let loader = self.clone();
        blocking(move || {
            let cipher = loader.keys.pack_cipher(pack.key_epoch, &pack.salt)?;
            for (addr, sealed) in chunks.into_iter().zip(sealed) {
                let plain = open_unit(&cipher, UnitKind::Chunk, unit(addr), sealed.into())?;
                loader.vfs.insert_chunk(addr, plain.into());
            }
            Ok(())
        })
        .await?
    }

    /// Reads a chunk that did not open once more, from verified slivers.
    async fn again(&self, pack: PackRef, addr: ChunkAddr) -> FsResult<()> {
        let plain = self.chunk_verified(&pack, addr).await?;
        self.vfs.insert_chunk(addr, plain);
        Ok(())
    }

    /// What is needed to read the pack `number`.
    pub(super) async fn pack_ref(&self, number: crate::ids::PackNo) -> FsResult<PackRef> {
        let entry = loop {
            match self.tree.pack(number)? {
                Fetch::Ready(entry) => break entry,
                Fetch::Missing(node) => self.node(node).await?,
            }
        };
        entry
            .map(|entry| entry.as_ref())
            .ok_or_else(|| FsError::new(Kind::Stale, format!("pack {number} is gone: later commits deleted it")))
    }
}

pub(super) fn unit(addr: ChunkAddr) -> UnitAddr {
    UnitAddr { offset: addr.offset, stored: addr.stored, plain: addr.plain }
}
