//! Turns the spool chunks of a cut into sealed packs, in order of inode and offset: neighbours in a file, and files made
//! together, lie together.

use super::engine::Shared;
use super::loader::{Loader, in_background};
use crate::crypto::{KeyRing, TAG};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{CHUNK, Ino, PackNo, Sequence};
use crate::pack::{Origin, PackWriter, SealedPack, UnitKind};
use crate::tree::record::{ChunkAddr, SpoolRef};
use crate::tree::{Moved, Tree};
use crate::vfs::{Needs, Outcome, SpoolPlace, Vfs};
use std::collections::HashSet;
use std::sync::Arc;

/// Chunks read and sealed per trip to a worker thread: 4 MiB of plaintext.
const BATCH: usize = 64;

/// Walks the cut's spool places and fills packs.
pub(super) struct Packer {
    shared: Arc<Shared>,
    vfs: Arc<Vfs>,
    tree: Arc<Tree>,
    keys: Arc<KeyRing>,
    loader: Loader,
    /// Size at which a pack is finished, bytes.
    target: u64,
    /// Every pack's size is a multiple of this.
    padding: u64,
    /// The commit that the chunks are born in.
    birth: Sequence,
    /// The last change that the cut holds.
    operation: u64,
    after: Option<(Ino, u64)>,
    waiting: Vec<SpoolPlace>,
    exhausted: bool,
    /// Where every chunk of the cut lies now.
    pub(super) moved: Moved,
    /// Stands for chunks that the local disk lost, once there are any.
    pub(super) lost: Option<LostChunks>,
}

/// A pack that does not exist: chunks that the local disk lost lie there, so that reading them fails and everything else
/// goes on. Its number is the pack table's ([`PackEntry::lost`](crate::tree::record::PackEntry::lost)).
#[derive(Clone, Copy, Debug)]
pub(super) struct LostChunks {
    pub(super) number: PackNo,
    /// Where the next would lie.
    next: u64,
}

/// What the packer has for its caller.
pub(super) enum Packed {
    /// A pack that reached its target.
    Full(SealedPack),
    /// The last one, not full: its writer can still take the tree's nodes.
    Rest(PackWriter),
    /// Nothing (more) to pack.
    Nothing,
}

/// What a trip to the worker thread brings back.
struct Trip {
    writer: PackWriter,
    left: Vec<SpoolPlace>,
    done: Vec<(SpoolRef, ChunkAddr)>,
    /// Chunks that the local disk lost.
    lost: Vec<SpoolPlace>,
    needs: Option<Needs>,
}

impl Packer {
    pub(super) fn new(shared: &Arc<Shared>, birth: Sequence, operation: u64) -> Self {
        let parts = &shared.parts;
        Self {
            shared: Arc::clone(shared),
            vfs: Arc::clone(&parts.vfs),
            tree: Arc::clone(&parts.tree),
            keys: Arc::clone(&parts.keys),
            loader: shared.loader.clone(),
            target: shared.pack_target(),
            padding: parts.network.padding(),
            birth,
            operation,
            after: None,
            waiting: Vec::new(),
            exhausted: false,
            moved: Moved::new(),
            lost: None,
        }
    }

    /// The next pack. Chunks of a pack that is thrown away stay in `moved`; the caller then drops the whole packer.
    pub(super) async fn next(&mut self) -> FsResult<Packed> {
        let mut writer = None;
        loop {
            while self.waiting.is_empty() && !self.exhausted {
                self.fetch_places().await?;
            }
            if self.waiting.is_empty() {
                return Ok(writer.map_or(Packed::Nothing, Packed::Rest));
            }
            let current = match writer.take() {
                Some(writer) => writer,
                None => PackWriter::new(&self.keys, self.tree.allocate_pack()?, self.padding)?,
            };
            let trip = self.seal(current).await?;
            self.moved.extend(trip.done);
            for place in &trip.lost {
                self.lose(place)?;
            }
            self.waiting = trip.left;
            if let Some(needs) = trip.needs {
                self.load(needs).await?;
            } else if !self.waiting.is_empty() {
                return Ok(Packed::Full(in_background(move || trip.writer.finish()).await??));
            }
            writer = Some(trip.writer);
        }
    }

    /// Gives a chunk whose journal frame is damaged a place where reading it fails.
    fn lose(&mut self, place: &SpoolPlace) -> FsResult<()> {
        let first = u64::from(CHUNK as u32);
        let mut lost = match self.lost {
            Some(lost) => lost,
            None => LostChunks { number: self.tree.allocate_pack()?, next: first },
        };
        let SpoolPlace { ino, index, len, at, .. } = place;
        let from = index.saturating_mul(CHUNK as u64);
        tracing::error!(
            inode = ino.0,
            from,
            bytes = len,
            "the local disk damaged the journal: these bytes of a file are lost, reading them fails"
        );
        let (plain, birth) = (*len, self.birth);
        let stored = plain.saturating_add(TAG as u32);
        self.moved.insert(*at, ChunkAddr { pack: lost.number, offset: lost.next, stored, plain, birth });
        lost.next = lost.next.saturating_add(u64::from(stored));
        self.lost = Some(lost);
        Ok(())
    }

    /// Loads what the first waiting place stands on, however long the network takes. Where that is damaged at its source, the
    /// chunk is lost with it.
    async fn load(&mut self, needs: Needs) -> FsResult<()> {
        let loader = &self.loader;
        let load = || {
            let needs = needs.clone();
            async move {
                match loader.load(needs).await {
                    Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::Stale) => Ok(Err(error)),
                    done => done.map(Ok),
                }
            }
        };
        let loaded = self.shared.insist("reading what a change stands on", load).await?;
        self.vfs.gets_on();
        if let Err(error) = loaded {
            tracing::error!(%error, "a part of a chunk was written whose other part is lost");
            if !self.waiting.is_empty() {
                let place = self.waiting.remove(0);
                self.lose(&place)?;
            }
        }
        Ok(())
    }

    async fn fetch_places(&mut self) -> FsResult<()> {
        let places = self.loader.finish(|| self.vfs.frozen_places(self.after, BATCH)).await?;
        self.exhausted = places.len() < BATCH;
        self.after = places.last().map(|place| (place.ino, place.index)).or(self.after);
        // Extents may share a chunk of the spool; it is packed once.
        let mut seen = HashSet::new();
        self.waiting = places;
        self.waiting.retain(|place| !self.moved.contains_key(&place.at) && seen.insert(place.at));
        Ok(())
    }

    /// Seals the waiting places into `writer` on a worker thread, until they or the room are used up or a base chunk
    /// has to be fetched first.
    async fn seal(&mut self, mut writer: PackWriter) -> FsResult<Trip> {
        let (vfs, waiting) = (Arc::clone(&self.vfs), std::mem::take(&mut self.waiting));
        let (target, birth, operation) = (self.target, self.birth, self.operation);
        in_background(move || {
            let mut done = Vec::with_capacity(waiting.len());
            let mut lost = Vec::new();
            let mut waiting = waiting.into_iter().peekable();
            let mut needs = None;
            while let Some(place) = waiting.peek() {
                if !writer.is_empty() && writer.size_with(CHUNK as u64 + 16)? > target {
                    break;
                }
                let plain = match vfs.read_chunk(place) {
                    Outcome::Done(Err(error)) if error.kind() == Kind::Corrupt && vfs.is_lost(place) => {
                        lost.extend(waiting.next());
                        continue;
                    }
                    Outcome::Done(plain) => plain?,
                    Outcome::Wait(more) => {
                        needs = Some(more);
                        break;
                    }
                };
                let file_offset = place.index.checked_mul(CHUNK as u64).ok_or_else(|| {
                    FsError::new(Kind::Internal, format!("inode {} has a chunk beyond the largest file", place.ino))
                })?;
                let origin = Origin { ino: place.ino, file_offset, operation };
                let unit = writer.push(UnitKind::Chunk, &plain, origin)?;
                let pack = writer.number();
                let addr = ChunkAddr { pack, offset: unit.offset, stored: unit.stored, plain: unit.plain, birth };
                done.push((place.at, addr));
                waiting.next();
            }
            Ok(Trip { writer, left: waiting.collect(), done, lost, needs })
        })
        .await?
    }
}
