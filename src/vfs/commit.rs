//! What `sync` needs of the vfs: cuts, the spool chunks of a cut, the way back from a commit, counters and wake-ups.

use super::chunk_cache::ChunkKey;
use super::extents;
use super::ranged::Ranged;
use super::state::{Counts, Ctx, Vfs, wrong_record};
use super::types::*;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{CHUNK, Ino, Lsn};
use crate::journal::{Urgency, remap_extents};
use crate::tree::record::{Batch, ChunkAddr, GROUP, Key, Place, Record, SpoolRef};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// Extent groups that one batch of `finish_cut` rewrites at most.
const GROUPS_PER_BATCH: usize = 256;

/// A cut of the journalled order, frozen in the tree for one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The commit holds every batch up to here.
    pub lsn: Lsn,
    /// The cut holds every change up to this number of [`Counts::changes`]; it may hold some later ones.
    pub changes: u64,
}

/// A chunk of the frozen layer that lies in the spool and has to be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolPlace {
    /// The file.
    pub ino: Ino,
    /// Index of the chunk in the file (64 KiB units).
    pub index: u64,
    /// Plaintext bytes that matter, at most one chunk; zeros follow.
    pub len: u32,
    /// The spool's part.
    pub at: SpoolRef,
    /// As in [`Place::Spool`].
    pub ranges: Vec<(u32, u32)>,
    /// As in [`Place::Spool`].
    pub base: Option<ChunkAddr>,
}

impl Vfs {
    /// Applies records as they are, all of them at once: for mending a drive that nobody else uses. An empty batch only
    /// counts as a change, so that the next commit happens.
    ///
    /// # Errors
    /// When the journal cannot take them.
    pub fn mend(&self, records: Batch) -> FsResult<()> {
        let mended = self.run(|ctx| {
            if records.is_empty() {
                ctx.vfs.note_change();
                return Ok(());
            }
            ctx.commit(records.clone(), Urgency::Reserve)
        });
        match mended {
            Outcome::Done(result) => result,
            Outcome::Wait(_) => Err(FsError::new(Kind::Internal, "a mending batch had to wait")),
        }
    }

    /// Keeps the plaintext of a fetched chunk for reading.
    pub fn insert_chunk(&self, addr: ChunkAddr, plain: Bytes) {
        self.chunks.lock().insert(ChunkKey::Pack(addr), plain);
    }

    /// Writes back everything written before the call and freezes the tree's top layer. Blocks on the disk (no sync).
    /// Files without names are left in memory: no commit needs them.
    ///
    /// # Errors
    /// When another cut is being committed.
    pub fn cut(&self) -> Outcome<Cut> {
        let (dirty, upto, changes) = {
            let state = self.state.lock();
            let changes = self.changes.load(Ordering::Acquire);
            (state.dirty.keys().copied().collect::<Vec<_>>(), state.writes, changes)
        };
        let mut named = Vec::with_capacity(dirty.len());
        for ino in dirty {
            match self.run(|ctx| Ok(ctx.find_inode(ino)?.is_some_and(|inode| inode.nlink > 0))) {
                Outcome::Done(Ok(true)) => named.push(ino),
                Outcome::Done(Ok(false)) => {}
                Outcome::Done(Err(error)) => return Outcome::Done(Err(error)),
                Outcome::Wait(needs) => return Outcome::Wait(needs),
            }
        }
        match self.write_back_files(&named, upto) {
            Outcome::Done(Ok(())) => {}
            Outcome::Done(Err(error)) => return Outcome::Done(Err(error)),
            Outcome::Wait(needs) => return Outcome::Wait(needs),
        }
        self.run(|ctx| {
            ctx.st.frozen = Some(ctx.vfs.tree.freeze()?);
            ctx.st.top_groups.clear();
            Ok(Cut { lsn: ctx.vfs.journal.tail(), changes })
        })
    }

    /// The next chunks of the frozen layer that lie in the spool, in order of inode and offset, after `after`; at most
    /// `limit`. Fewer than `limit` means that there are no more.
    pub fn frozen_places(&self, after: Option<(Ino, u64)>, limit: usize) -> Outcome<Vec<SpoolPlace>> {
        let Some(frozen) = self.tree.frozen() else { return Outcome::Done(Ok(Vec::new())) };
        let from = after.map_or(Key::inode(Ino(0)), |(ino, index)| Key::extents(ino, index / GROUP));
        let mut places = Vec::new();
        for (key, record) in frozen.range(from..) {
            let Some(Record::Extents(extents)) = record else { continue };
            for extent in extents {
                let Place::Spool { at, ranges, base } = &extent.place else { continue };
                let index = key.num.saturating_mul(GROUP).saturating_add(u64::from(extent.first));
                if after.is_some_and(|after| (key.owner, index) <= after) {
                    continue;
                }
                if places.len() == limit {
                    return Outcome::Done(Ok(places));
                }
                let known = ranges.last().map_or(at.len, |range| range.1);
                let len = known.max(base.map_or(0, |base| base.plain)).min(CHUNK as u32);
                places.push(SpoolPlace { ino: key.owner, index, len, at: *at, ranges: ranges.clone(), base: *base });
            }
        }
        Outcome::Done(Ok(places))
    }

    /// The plaintext of a spool chunk, `place.len` bytes: the spool's ranges over its base.
    pub fn read_chunk(&self, place: &SpoolPlace) -> Outcome<Bytes> {
        let read = || -> Step<Bytes> {
            let data = self.read_spool(place.at)?;
            if place.ranges.is_empty() && data.len() == place.len as usize {
                return Ok(data);
            }
            let known =
                Ranged::from_spool(&place.ranges, &data).ok_or_else(|| wrong_record("the ranges of a chunk"))?;
            let mut out = vec![0; place.len as usize];
            if let Some(base) = place.base
                && !known.covers(0, base.plain)
            {
                let Some(plain) = self.chunks.lock().get(&ChunkKey::Pack(base)) else {
                    return Err(Stop::wait(Needs { chunks: vec![base], ..Needs::default() }));
                };
                let len = plain.len().min(out.len());
                out[..len].copy_from_slice(&plain[..len]);
            }
            known.copy_to(0, &mut out);
            Ok(out.into())
        };
        match read() {
            Ok(plain) => Outcome::Done(Ok(plain)),
            Err(Stop::Fail(error)) => Outcome::Done(Err(error)),
            Err(Stop::Wait(needs)) => Outcome::Wait(*needs),
            Err(Stop::Spool(_)) => {
                Outcome::Done(Err(FsError::new(Kind::Internal, "reading the spool waited for the spool")))
            }
        }
    }

    /// Whether the spool's part of a chunk is lost: the disk damaged the journal. Nothing brings it back.
    pub fn is_lost(&self, place: &SpoolPlace) -> bool {
        self.read_spool(place.at).is_err_and(|error| error.kind() == Kind::Corrupt)
    }

    /// To be called when the commit of `cut` is final and `Tree::finish_commit` has made it the base. `remap` says where
    /// each spool chunk of the cut lies now: what later changes still share with it points to the packs from now on, and
    /// the journal drops what the commit holds. Blocks on the disk.
    ///
    /// # Errors
    /// When the journal takes nothing more; the call can be made again.
    pub fn finish_cut(&self, cut: Cut, remap: &HashMap<SpoolRef, ChunkAddr>) -> FsResult<()> {
        match self.run(|ctx| ctx.finish_cut(remap)) {
            Outcome::Done(done) => done?,
            Outcome::Wait(_) => {
                return Err(FsError::new(Kind::Internal, "a record of the top layer is not in memory"));
            }
        }
        self.journal.trim(cut.lsn, remap)?;
        let spooled = self.journal.usage().spooled;
        let mut state = self.state.lock();
        state.pending_bytes = spooled;
        state.frozen = None;
        drop(state);
        self.room_came();
        Ok(())
    }

    /// Undoes a cut whose commit certainly did not and will not happen: its changes go back under the newer ones.
    pub fn abort_cut(&self) {
        self.state.lock().frozen = None;
        self.tree.unfreeze();
    }

    /// Counters of now.
    pub fn counts(&self) -> Counts {
        let cache_bytes = self.chunks.lock().bytes();
        let state = self.state.lock();
        Counts {
            dirty_bytes: state.dirty_bytes,
            pending_bytes: state.pending_bytes,
            written_bytes: state.written_bytes,
            short_of_room: self.short.load(Ordering::Acquire),
            changes: self.changes.load(Ordering::Acquire),
            cache_bytes,
        }
    }

    /// Waits until [`Counts::changes`] is above `seen`.
    pub async fn touched(&self, seen: u64) {
        loop {
            let woken = self.touched.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if self.changes.load(Ordering::Acquire) > seen {
                return;
            }
            woken.await;
        }
    }

    /// Waits until dirty memory is half full: written back from then on, it need not become full, and no write has to wait
    /// for all of it at once.
    pub async fn pressed(&self) {
        self.pressure.notified().await;
    }

    /// Waits until the journal got room after [`Needs::space`] was named, or nobody shall wait any more ([`Vfs::hurry`]).
    pub async fn space_freed(&self, seen: u64) {
        loop {
            let woken = self.space.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if self.times_freed() > seen || self.is_hurried() {
                return;
            }
            woken.await;
        }
    }

    /// Says whether a change that finds no room in the journal fails at once instead of waiting: the mount is going away, and its time is
    /// over.
    pub fn hurry(&self, hurried: bool) {
        self.hurried.store(hurried, Ordering::Release);
        self.space.notify_waiters();
    }

    /// Whether nobody shall wait for room.
    pub fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Acquire)
    }

    /// The pipeline got on: what will free the journal is on its way.
    pub fn gets_on(&self) {
        self.moved.fetch_add(1, Ordering::Release);
    }

    /// How often the pipeline got on so far.
    pub fn times_got_on(&self) -> u64 {
        self.moved.load(Ordering::Acquire)
    }

    /// How often the journal got room so far.
    pub fn times_freed(&self) -> u64 {
        self.freed.load(Ordering::Acquire)
    }

    /// The journal got room.
    pub(crate) fn room_came(&self) {
        // In this order: who finds none in between waits for the next time, and says so.
        self.short.store(false, Ordering::Release);
        self.freed.fetch_add(1, Ordering::AcqRel);
        self.space.notify_waiters();
    }

    /// The journal takes nothing more now.
    pub(super) fn no_room(&self) -> Stop {
        self.short.store(true, Ordering::Release);
        Stop::wait(Needs { space: Some(self.times_freed()), ..Needs::default() })
    }

    /// A frame that the journal has no room for waits for a commit.
    pub(super) fn full_waits(&self, error: FsError) -> Stop {
        match error.kind() {
            Kind::DiskFull => self.no_room(),
            _ => error.into(),
        }
    }

    /// What the pool can hold and what commits hold of it, bytes of file content; from sync.
    pub fn set_space(&self, capacity: u64, used: u64) {
        self.state.lock().pool = Some((capacity, used));
    }

    /// Says whether another commit is about to be shown: then nobody may remember names and attributes.
    pub fn set_turning(&self, turning: bool) {
        self.turning.store(turning, Ordering::Release);
    }

    /// Whether another commit is about to be shown.
    pub fn is_turning(&self) -> bool {
        self.turning.load(Ordering::Acquire)
    }

    /// Refuses (or allows again) every change with `EROFS`: the lease was lost, or the mount is read-only.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Release);
    }

    /// Capacity and free space of the pool; data that is not committed yet counts as used.
    pub fn statfs(&self) -> Outcome<StatFs> {
        self.run(|ctx| {
            // A root's getattr and statfs never wait for the network: without counters at hand the number is 0.
            let inodes = ctx.counters().map_or(0, |counters| counters.inodes.saturating_add(1));
            let (capacity, used) = ctx.st.pool.unwrap_or((UNKNOWN_CAPACITY, 0));
            let taken = used.saturating_add(ctx.st.pending_bytes).saturating_add(ctx.st.dirty_bytes);
            Ok(StatFs { capacity, free: capacity.saturating_sub(taken), inodes })
        })
    }
}

/// Capacity shown before sync has read the pool, bytes: programs must not think that the disk is full.
const UNKNOWN_CAPACITY: u64 = 1 << 40;

impl Ctx<'_> {
    fn finish_cut(&mut self, remap: &HashMap<SpoolRef, ChunkAddr>) -> Step<()> {
        let mut batch = Batch::new();
        let groups: Vec<(Ino, u64)> = self.st.top_groups.iter().copied().collect();
        let frozen = self.st.frozen.clone();
        for (ino, group) in groups {
            let mut extents = self.group(ino, group)?;
            let mut changed = remap_extents(&mut extents, remap);
            let below = frozen.as_ref().and_then(|frozen| frozen.get(&Key::extents(ino, group)));
            if let Some(Some(Record::Extents(below))) = below {
                // The commit no longer holds the base of a chunk that it packed anew: what lies over it lies over the new
                // chunk from now on, which has the same bytes where it matters.
                for extent in &mut extents {
                    if let Place::Spool { base: Some(base), .. } = &mut extent.place
                        && let Some(Place::Spool { at, base: Some(old), .. }) = extents::place_of(below, extent.first)
                        && let Some(addr) = remap.get(&at)
                        && *base == old
                    {
                        *base = *addr;
                        changed = true;
                    }
                }
            }
            if changed {
                batch.push((Key::extents(ino, group), Some(Record::Extents(extents))));
            }
            if batch.len() == GROUPS_PER_BATCH {
                self.commit(std::mem::take(&mut batch), Urgency::Reserve)?;
            }
        }
        if !batch.is_empty() {
            self.commit(batch, Urgency::Reserve)?;
        }
        let mut cache = self.vfs.chunks.lock();
        for (at, addr) in remap {
            if at.len == addr.plain {
                cache.moved(ChunkKey::Spool(*at), ChunkKey::Pack(*addr));
            }
        }
        Ok(())
    }
}
