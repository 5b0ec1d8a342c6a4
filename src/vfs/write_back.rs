//! Dirty memory to the journal, and the journal to the disk.
//!
//! A write-back takes a snapshot of some dirty chunks under the lock, merges them with what the spool already holds and
//! appends the data frames without the lock, then names the frames in one batch under the lock again. A chunk that was
//! written meanwhile stays dirty over its new place; a file that was cut or punched meanwhile is done again.

use super::content::Below;
use super::extents;
use super::ranged::Ranged;
use super::state::{Ctx, Edit, Vfs};
use super::types::*;
use crate::error::FsResult;
use crate::ids::{Ino, Lsn};
use crate::journal::Urgency;
use crate::tree::record::{Body, ChunkAddr, GROUP, INLINE_MAX, Inode, Key, Place, Record, Space, SpoolRef};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// Dirty chunks that one batch names at most.
const CHUNKS_PER_BATCH: usize = 1024;
/// Dirty bytes that one batch names at most, about.
const BYTES_PER_BATCH: u64 = 4 << 20;

/// A dirty chunk on its way to the journal.
struct Leaving {
    index: u64,
    data: Arc<Ranged>,
    newest: u64,
    below: Below,
    known: Ranged,
    base: Option<ChunkAddr>,
}

/// A chunk whose frame is appended.
struct Stored {
    index: u64,
    newest: u64,
    below: Below,
    end: u64,
    at: SpoolRef,
    ranges: Vec<(u32, u32)>,
    base: Option<ChunkAddr>,
    /// The chunk's plaintext, when the frame holds all of it.
    whole: Option<Whole>,
}

/// The plaintext of a chunk that was stored whole.
enum Whole {
    /// What is dirty, which becomes what is cached without being copied.
    Dirty(Arc<Ranged>),
    Merged(Bytes),
}

impl Whole {
    /// The bytes, unless the chunk was written to meanwhile.
    fn bytes(self) -> Option<Bytes> {
        match self {
            Self::Dirty(data) => Arc::into_inner(data).map(Ranged::into_start),
            Self::Merged(bytes) => Some(bytes),
        }
    }
}

enum Plan {
    /// Nothing (more) to do.
    Clean,
    /// Something was written back at once; ask again.
    Again,
    Chunks {
        shape: u64,
        chunks: Vec<Leaving>,
    },
}

impl Vfs {
    /// Moves dirty memory of `scope` into the journal (not durable yet); blocks on the disk. What is written during the
    /// call may stay dirty.
    pub fn write_back(&self, scope: Scope) -> Outcome<()> {
        let (inos, upto) = {
            let state = self.state.lock();
            match scope {
                Scope::File(ino) => (vec![ino], state.writes),
                Scope::All => (state.dirty.keys().copied().collect(), state.writes),
            }
        };
        self.write_back_files(&inos, upto)
    }

    pub(super) fn write_back_files(&self, inos: &[Ino], upto: u64) -> Outcome<()> {
        let _one = self.writing_back.lock();
        for &ino in inos {
            loop {
                match self.write_back_step(ino, upto) {
                    Outcome::Done(Ok(true)) => break,
                    Outcome::Done(Ok(false)) => {}
                    Outcome::Done(Err(error)) => {
                        self.state.lock().failed.insert(ino, error.errno());
                        return Outcome::Done(Err(error));
                    }
                    Outcome::Wait(needs) => return Outcome::Wait(needs),
                }
            }
        }
        Outcome::Done(Ok(()))
    }

    /// Writes back up to a batch of `ino`'s dirty chunks; whether none up to write `upto` is left.
    fn write_back_step(&self, ino: Ino, upto: u64) -> Outcome<bool> {
        self.write_back_around(ino, upto, || {})
    }

    /// As `write_back_step`; `meanwhile` runs where others work while the frames are appended.
    pub(super) fn write_back_around(&self, ino: Ino, upto: u64, meanwhile: impl FnOnce()) -> Outcome<bool> {
        let (shape, chunks) = match self.run(|ctx| ctx.plan(ino, upto)) {
            Outcome::Done(Ok(Plan::Clean)) => return Outcome::Done(Ok(true)),
            Outcome::Done(Ok(Plan::Again)) => return Outcome::Done(Ok(false)),
            Outcome::Done(Ok(Plan::Chunks { shape, chunks })) => (shape, chunks),
            Outcome::Done(Err(error)) => return Outcome::Done(Err(error)),
            Outcome::Wait(needs) => return Outcome::Wait(needs),
        };
        let mut stored = Vec::with_capacity(chunks.len());
        let mut failure = None;
        for chunk in chunks {
            match self.store(chunk) {
                Ok(chunk) => stored.push(chunk),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        meanwhile();
        let outcome = match failure {
            Some(error) => Outcome::Done(Err(error)),
            None => self.run(|ctx| ctx.name(ino, shape, &stored)),
        };
        match &outcome {
            Outcome::Done(Ok(true)) => {
                let mut cache = self.chunks.lock();
                for chunk in stored {
                    if let Some(whole) = chunk.whole.and_then(Whole::bytes) {
                        cache.insert(super::chunk_cache::ChunkKey::Spool(chunk.at), whole);
                    }
                }
                return Outcome::Done(Ok(false));
            }
            _ => stored.iter().for_each(|chunk| self.journal.abandon(chunk.at)),
        }
        outcome
    }

    /// Appends the data frame of a chunk.
    fn store(&self, chunk: Leaving) -> FsResult<Stored> {
        let Leaving { index, data, newest, below, mut known, base } = chunk;
        // A chunk that lies over nothing, as all of a new file do, is stored from where it is.
        let is_new = known.ranges().is_empty();
        if !is_new {
            known.overlay(&data);
        }
        let all = if is_new { &*data } else { &known };
        let end = index.saturating_mul(super::content::CHUNK_U64).saturating_add(u64::from(all.end()));
        let (ranges, bytes, base) = all.to_store(base);
        let at = self.journal.append_data(&bytes, Urgency::Reserve)?;
        let whole = ranges.is_empty().then(|| match bytes {
            Cow::Borrowed(_) if is_new => Whole::Dirty(Arc::clone(&data)),
            bytes => Whole::Merged(bytes.into_owned().into()),
        });
        Ok(Stored { index, newest, below, end, at, ranges, base, whole })
    }

    /// Reports an earlier failure to keep what was written, as `fsync` does; for a kernel that asks at each `close(2)`.
    pub fn flush(&self, ino: Ino) -> Outcome<()> {
        self.run(|ctx| ctx.take_failure(ino))
    }

    /// Makes everything that was done to `ino` so far durable on the local disk. `barrier` is kept by the caller between
    /// retries.
    pub fn fsync(&self, ino: Ino, barrier: &mut Barrier) -> Outcome<()> {
        self.run(|ctx| {
            ctx.take_failure(ino)?;
            let upto = *barrier.upto.get_or_insert(ctx.st.writes);
            let lsn = match barrier.lsn {
                Some(lsn) => lsn,
                None => {
                    if ctx.st.dirty.get(&ino).is_some_and(|file| file.oldest <= upto) {
                        let scope = Some(Scope::File(ino));
                        return Err(Stop::wait(Needs { write_back: scope, ..Needs::default() }));
                    }
                    *barrier.lsn.insert(ctx.vfs.journal.tail())
                }
            };
            ctx.durable(lsn)
        })
    }

    /// Makes every change of the directory so far durable on the local disk.
    pub fn fsyncdir(&self, ino: Ino, barrier: &mut Barrier) -> Outcome<()> {
        self.run(|ctx| {
            ctx.dir(ino)?;
            let lsn = *barrier.lsn.get_or_insert_with(|| ctx.vfs.journal.tail());
            ctx.durable(lsn)
        })
    }

    /// Makes the journal durable up to `lsn`; blocks on the disk, shares one sync with every caller.
    pub fn sync_journal(&self, lsn: Lsn) -> FsResult<()> {
        self.journal.sync(lsn)
    }

    /// Called about once a second from a thread that may block: writes back what is old, hands the journal's buffer to the
    /// disk, and removes inodes without names in bounded steps.
    pub fn tick(&self) -> Outcome<()> {
        let now = self.clock.now();
        let (old, upto) = {
            let state = self.state.lock();
            let is_old = |since| now.saturating_sub(since) >= self.config.dirty_age;
            let old = state.dirty.iter().filter(|(_, file)| is_old(file.since)).map(|(ino, _)| *ino);
            (old.collect::<Vec<_>>(), state.writes)
        };
        self.journal.look_at_disk();
        if self.journal.disk_got_room() {
            self.room_came();
        }
        let written = self.write_back_files(&old, upto);
        if let Err(error) = self.journal.flush() {
            return Outcome::Done(Err(error));
        }
        match written {
            Outcome::Done(Ok(())) => self.reap(),
            other => other,
        }
    }
}

impl Ctx<'_> {
    fn durable(&self, lsn: Lsn) -> Step<()> {
        if self.vfs.journal.is_durable(lsn) {
            return Ok(());
        }
        Err(Stop::wait(Needs { durable: Some(lsn), ..Needs::default() }))
    }

    /// What to write back next of `ino`.
    fn plan(&mut self, ino: Ino, upto: u64) -> Step<Plan> {
        if self.st.dirty.get(&ino).is_none_or(|file| file.oldest > upto) {
            return Ok(Plan::Clean);
        }
        let inode = self.inode(ino)?;
        let size = self.size(ino, &inode);
        if inode.chunks == 0 && size <= INLINE_MAX as u64 {
            self.name_inline(ino, inode, size)?;
            return Ok(Plan::Again);
        }
        let leaves_inline = matches!(inode.body, Body::Inline(_));
        let Some(file) = self.st.dirty.get(&ino) else { return Ok(Plan::Clean) };
        if leaves_inline && !file.chunks.contains_key(&0) {
            self.write_chunk(ino, &inode, 0, |_| {});
            return Ok(Plan::Again);
        }
        let mut budget = BYTES_PER_BATCH;
        let wanted: Vec<_> = file
            .chunks
            .iter()
            .filter(|(index, chunk)| chunk.oldest <= upto || (leaves_inline && **index == 0))
            .take(CHUNKS_PER_BATCH)
            .take_while(|(_, chunk)| {
                let fits = budget > 0;
                budget = budget.saturating_sub(chunk.data.weight());
                fits
            })
            .map(|(index, chunk)| (*index, chunk.data.clone(), chunk.newest))
            .collect();
        let shape = file.shape;
        let mut chunks = Vec::with_capacity(wanted.len());
        let mut emptied = Vec::new();
        let mut lacks = Vec::new();
        let mut group = None;
        for (index, data, newest) in wanted {
            if data.ranges().is_empty() && !(leaves_inline && index == 0) {
                emptied.push(index);
                continue;
            }
            if group.as_ref().is_none_or(|(open, _)| *open != index / GROUP) {
                group = Some((index / GROUP, self.group(ino, index / GROUP)?));
            }
            let extents = group.as_ref().map_or(&[][..], |(_, extents)| extents);
            let below = Self::below(&inode, extents, index);
            match self.known_below(below.clone()) {
                Ok((known, base)) => chunks.push(Leaving { index, data, newest, below, known, base }),
                Err(Stop::Spool(wanted)) => lacks.extend(wanted),
                Err(stop) => return Err(stop),
            }
        }
        if !lacks.is_empty() {
            return Err(Stop::Spool(lacks));
        }
        for &index in &emptied {
            self.cut_dirty(ino, index..index + 1, |_| {});
        }
        if chunks.is_empty() && !emptied.is_empty() {
            return Ok(Plan::Again);
        }
        Ok(Plan::Chunks { shape, chunks })
    }

    /// Writes back a file that fits into its inode.
    fn name_inline(&mut self, ino: Ino, mut inode: Inode, size: u64) -> Step<()> {
        let content = self.read(ino, &inode, 0, size)?;
        let mut edit = Edit::default();
        self.count_bytes(&mut edit, inode.size, size)?;
        inode.size = size;
        inode.body = if content.is_empty() { Body::None } else { Body::Inline(content) };
        if let Some(file) = self.st.dirty.get(&ino) {
            inode.mtime = file.mtime.unwrap_or(inode.mtime);
            inode.ctime = file.ctime.unwrap_or(inode.ctime);
        }
        edit.set_inode(ino, inode);
        self.move_down(edit.batch(), Urgency::Reserve)?;
        self.cut_dirty(ino, 0..u64::MAX, |file| {
            file.size = None;
            file.mtime = None;
            file.ctime = None;
        });
        Ok(())
    }

    /// Enters a change of length into the books.
    pub(super) fn count_bytes(&self, edit: &mut Edit, before: u64, after: u64) -> Step<()> {
        if before != after {
            let mut counters = self.counters()?;
            counters.bytes = counters.bytes.saturating_sub(before).saturating_add(after);
            edit.put(Key::counters(Space::Files), Record::Counters(counters));
        }
        Ok(())
    }

    /// Names the stored chunks in one batch; `false` when the file has changed in a way that makes them wrong.
    fn name(&mut self, ino: Ino, shape: u64, stored: &[Stored]) -> Step<bool> {
        let before = self.inode(ino)?;
        let Some(file) = self.st.dirty.get(&ino).filter(|file| file.shape == shape) else { return Ok(false) };
        let is_newest = |chunk: &Stored| file.chunks.get(&chunk.index).is_some_and(|now| now.newest == chunk.newest);
        let all = stored.len() == file.chunks.len() && stored.iter().all(is_newest);
        let (size, mtime, ctime) = (file.size(&before), file.mtime, file.ctime);
        let mut inode = before.clone();
        let mut edit = Edit::default();
        let mut group = None;
        for chunk in stored {
            let number = chunk.index / GROUP;
            if group.as_ref().is_none_or(|(open, _)| *open != number) {
                if let Some((done, extents)) = group.take() {
                    edit.set_group(ino, done, extents);
                }
                group = Some((number, self.group(ino, number)?));
            }
            let Some((_, extents)) = group.as_mut() else { continue };
            if Self::below(&before, extents, chunk.index) != chunk.below {
                return Ok(false);
            }
            let nth = (chunk.index % GROUP) as u8;
            if extents::mask(extents) >> nth & 1 == 0 {
                inode.chunks = inode.chunks.saturating_add(1);
            }
            let place = Place::Spool { at: chunk.at, ranges: chunk.ranges.clone(), base: chunk.base };
            extents::put(extents, nth, place);
        }
        if let Some((done, extents)) = group {
            edit.set_group(ino, done, extents);
        }
        if stored.first().is_some_and(|chunk| chunk.index == 0) {
            inode.body = Body::None;
        }
        // Until the last chunk is named, the length only covers what is: a crash must not show zeros for written bytes.
        let end = stored.iter().map(|chunk| chunk.end).max().unwrap_or(0);
        inode.size = if all { size } else { before.size.max(end.min(size)) };
        inode.mtime = mtime.unwrap_or(inode.mtime);
        inode.ctime = ctime.unwrap_or(inode.ctime);
        self.count_bytes(&mut edit, before.size, inode.size)?;
        edit.set_inode(ino, inode);
        self.move_down(edit.batch(), Urgency::Reserve)?;

        let spooled: u64 = stored.iter().map(|chunk| u64::from(chunk.at.len)).sum();
        self.st.pending_bytes = self.st.pending_bytes.saturating_add(spooled);
        self.forget_written(ino, stored, all);
        Ok(true)
    }

    /// Takes what the batch holds out of dirty memory.
    fn forget_written(&mut self, ino: Ino, stored: &[Stored], all: bool) {
        let Some(file) = self.st.dirty.get_mut(&ino) else { return };
        let mut gone = 0;
        for chunk in stored {
            match file.chunks.get_mut(&chunk.index) {
                Some(now) if now.newest == chunk.newest => {
                    gone += now.data.weight();
                    file.chunks.remove(&chunk.index);
                }
                Some(now) => {
                    now.oldest = chunk.newest.saturating_add(1);
                    now.placed = true;
                }
                None => {}
            }
        }
        if all {
            file.size = None;
            file.mtime = None;
            file.ctime = None;
        }
        file.oldest = file.chunks.values().map(|chunk| chunk.oldest).min().unwrap_or(self.st.writes);
        if file.is_clean() {
            self.st.dirty.remove(&ino);
        }
        self.st.dirty_bytes = self.st.dirty_bytes.saturating_sub(gone);
    }
}
