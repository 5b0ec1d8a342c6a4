//! File content: reading through dirty memory, spool and packs; writing into dirty memory.

use super::chunk_cache::ChunkKey;
use super::extents;
use super::ranged::Ranged;
use super::state::{Ctx, State, Vfs, wrong_record};
use super::types::*;
use crate::ids::{CHUNK, Ino};
use crate::journal::Urgency;
use crate::tree::record::{Body, ChunkAddr, Extent, GROUP, Inode, Key, Place, Record, SpoolRef};
use bytes::Bytes;
use std::sync::Arc;

/// Bytes of a chunk, as an offset.
pub(super) const CHUNK_U64: u64 = CHUNK as u64;

/// What lies below the dirty part of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Below {
    Hole,
    Inline(Vec<u8>),
    Pack(ChunkAddr),
    Spool { at: SpoolRef, ranges: Vec<(u32, u32)>, base: Option<ChunkAddr> },
}

/// A part of what is read: copied when nobody waits for the lock.
enum Piece {
    Zeros(usize),
    Bytes(Bytes),
}

impl Piece {
    fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Piece::Zeros(len) => out.resize(out.len() + len, 0),
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// What a read lacks.
#[derive(Default)]
struct Lacks {
    chunks: Vec<ChunkAddr>,
    spool: Vec<SpoolRef>,
}

impl Vfs {
    /// Reads up to `size` bytes at `offset`; shorter only at the end of the file.
    pub fn read(&self, ino: Ino, offset: u64, size: u32) -> Outcome<Vec<u8>> {
        let mut out = Vec::new();
        match self.read_to(ino, offset, size, &mut out) {
            Outcome::Done(done) => Outcome::Done(done.map(|()| out)),
            Outcome::Wait(needs) => Outcome::Wait(needs),
        }
    }

    /// As [`Vfs::read`], into `out`, whose memory is used again: a mebibyte of fresh pages costs more than copying it. The
    /// bytes are copied after the lock was let go, so that several workers copy at once.
    pub fn read_to(&self, ino: Ino, offset: u64, size: u32, out: &mut Vec<u8>) -> Outcome<()> {
        let pieces = self.run(|ctx| {
            let inode = ctx.file(ino)?;
            ctx.pieces(ino, &inode, offset, u64::from(size))
        });
        out.clear();
        match pieces {
            Outcome::Done(Ok(pieces)) => {
                pieces.iter().for_each(|piece| piece.append_to(out));
                Outcome::Done(Ok(()))
            }
            Outcome::Done(Err(error)) => Outcome::Done(Err(error)),
            Outcome::Wait(needs) => Outcome::Wait(needs),
        }
    }

    /// Writes `data` at `offset` into dirty memory.
    pub fn write(&self, ino: Ino, offset: u64, data: &[u8], flags: WriteFlags) -> Outcome<u32> {
        self.run(|ctx| {
            ctx.writable()?;
            let inode = ctx.file(ino)?;
            let room = MAX_FILE.saturating_sub(offset).min(u64::from(u32::MAX));
            if room == 0 && !data.is_empty() {
                return posix(libc::EFBIG);
            }
            let data = &data[..data.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
            ctx.admit(data.len() as u64)?;
            if flags.kill_suidgid {
                ctx.kill_privileges(ino)?;
            }
            ctx.write(ino, &inode, offset, data);
            ctx.st.written_bytes = ctx.st.written_bytes.saturating_add(data.len() as u64);
            if !flags.cached {
                ctx.touch_content(ino);
            }
            Ok(data.len() as u32)
        })
    }

    /// The next data or hole at or after `offset`; `ENXIO` at or beyond the end.
    pub fn lseek(&self, ino: Ino, offset: u64, what: Seek) -> Outcome<u64> {
        self.run(|ctx| {
            let inode = ctx.file(ino)?;
            let size = ctx.size(ino, &inode);
            if offset >= size {
                return posix(libc::ENXIO);
            }
            let found = ctx.seek(ino, &inode, offset / CHUNK_U64, size.div_ceil(CHUNK_U64), what)?;
            match (found, what) {
                (Some(chunk), _) => Ok(chunk.saturating_mul(CHUNK_U64).clamp(offset, size)),
                (None, Seek::Hole) => Ok(size),
                (None, Seek::Data) => posix(libc::ENXIO),
            }
        })
    }
}

impl Ctx<'_> {
    /// Length of a file, dirty data counted.
    pub(super) fn size(&self, ino: Ino, inode: &Inode) -> u64 {
        self.st.dirty.get(&ino).map_or(inode.size, |dirty| dirty.size(inode))
    }

    /// The extents of a group.
    pub(super) fn group(&self, ino: Ino, group: u64) -> Step<Vec<Extent>> {
        match self.get(&Key::extents(ino, group))? {
            Some(Record::Extents(extents)) => Ok(extents),
            None => Ok(Vec::new()),
            Some(_) => Err(wrong_record("extents")),
        }
    }

    /// What the tree has for chunk `index`, given its group's extents.
    pub(super) fn below(inode: &Inode, extents: &[Extent], index: u64) -> Below {
        if let (0, Body::Inline(data)) = (index, &inode.body) {
            return Below::Inline(data.clone());
        }
        let nth = (index % GROUP) as u8;
        match extents::place_of(extents, nth) {
            None => Below::Hole,
            Some(Place::Spool { at, ranges, base }) => Below::Spool { at, ranges, base },
            Some(place) => match (Extent { first: nth, count: 1, place }).chunk(nth) {
                Some(addr) => Below::Pack(addr),
                None => Below::Hole,
            },
        }
    }

    /// The plaintext of a data frame.
    fn spooled(&self, at: SpoolRef) -> Result<Bytes, SpoolRef> {
        match self.spool.get(&at) {
            Some(plain) => Ok(plain.clone()),
            None => self.vfs.chunks.lock().get(&ChunkKey::Spool(at)).ok_or(at),
        }
    }

    /// The known part of what lies below, and the pack's chunk under that.
    pub(super) fn known_below(&self, below: Below) -> Step<(Ranged, Option<ChunkAddr>)> {
        match below {
            Below::Hole => Ok((Ranged::default(), None)),
            Below::Inline(data) => Ok((Ranged::whole(data), None)),
            Below::Pack(addr) => Ok((Ranged::default(), Some(addr))),
            Below::Spool { at, ranges, base } => {
                let data = self.spooled(at).map_err(|at| Stop::Spool(vec![at]))?;
                let known = Ranged::from_spool(&ranges, &data).ok_or_else(|| wrong_record("the ranges of a chunk"))?;
                Ok((known, base))
            }
        }
    }

    /// Reads the bytes `offset..offset + len` that lie within the file.
    pub(super) fn read(&self, ino: Ino, inode: &Inode, offset: u64, len: u64) -> Step<Vec<u8>> {
        let mut out = Vec::new();
        self.pieces(ino, inode, offset, len)?.iter().for_each(|piece| piece.append_to(&mut out));
        Ok(out)
    }

    /// The bytes `offset..offset + len` that lie within the file, in pieces, in order.
    fn pieces(&self, ino: Ino, inode: &Inode, offset: u64, len: u64) -> Step<Vec<Piece>> {
        let end = offset.saturating_add(len).min(self.size(ino, inode));
        let dirty = self.st.dirty.get(&ino);
        let mut lacks = Lacks::default();
        let mut pieces = Vec::new();
        let mut group = None;
        let mut at = offset;
        while at < end {
            let (index, start) = (at / CHUNK_U64, (at % CHUNK_U64) as u32);
            let part = (CHUNK_U64 - u64::from(start)).min(end - at) as u32;
            at += u64::from(part);
            let above = dirty.and_then(|dirty| dirty.chunks.get(&index));
            let covered = above.is_some_and(|above| above.data.covers(start, start + part));
            let mut below = Below::Hole;
            if !covered {
                if group.as_ref().is_none_or(|(number, _)| *number != index / GROUP) {
                    group = Some((index / GROUP, self.group(ino, index / GROUP)?));
                }
                let extents = group.as_ref().map_or(&[][..], |(_, extents)| extents);
                below = Self::below(inode, extents, index);
            }
            match (above, below) {
                (None, Below::Hole) => pieces.push(Piece::Zeros(part as usize)),
                (None, Below::Pack(addr)) => self.piece_of_pack(addr, start, part, &mut pieces, &mut lacks),
                (above, below) => {
                    let mut mixed = vec![0; part as usize];
                    self.read_below(below, start, &mut mixed, &mut lacks)?;
                    if let Some(above) = above {
                        above.data.copy_to(start, &mut mixed);
                    }
                    pieces.push(Piece::Bytes(mixed.into()));
                }
            }
        }
        if !lacks.spool.is_empty() {
            return Err(Stop::Spool(lacks.spool));
        }
        if !lacks.chunks.is_empty() {
            return Err(Stop::wait(Needs { chunks: lacks.chunks, ..Needs::default() }));
        }
        Ok(pieces)
    }

    /// The bytes from `start` on of a chunk in a pack, `part` of them, zeros where it is shorter.
    fn piece_of_pack(&self, addr: ChunkAddr, start: u32, part: u32, pieces: &mut Vec<Piece>, lacks: &mut Lacks) {
        let mut there = 0;
        if start < addr.plain {
            match self.vfs.chunks.lock().get(&ChunkKey::Pack(addr)) {
                Some(plain) => {
                    let end = plain.len().min((start + part) as usize);
                    there = end.saturating_sub(start as usize);
                    pieces.push(Piece::Bytes(plain.slice(end - there..end)));
                }
                None => return lacks.chunks.push(addr),
            }
        }
        pieces.push(Piece::Zeros(part as usize - there));
    }

    fn read_below(&self, below: Below, start: u32, out: &mut [u8], lacks: &mut Lacks) -> Step<()> {
        let copy = |plain: &[u8], out: &mut [u8]| {
            let part = plain.get(start as usize..).unwrap_or(&[]);
            let len = part.len().min(out.len());
            out[..len].copy_from_slice(&part[..len]);
        };
        let from_pack = |addr: ChunkAddr, out: &mut [u8], lacks: &mut Lacks| {
            if start < addr.plain {
                match self.vfs.chunks.lock().get(&ChunkKey::Pack(addr)) {
                    Some(plain) => copy(&plain, out),
                    None => lacks.chunks.push(addr),
                }
            }
        };
        match below {
            Below::Hole => {}
            Below::Inline(data) => copy(&data, out),
            Below::Pack(addr) => from_pack(addr, out, lacks),
            Below::Spool { at, ranges, base } => match self.spooled(at) {
                Err(at) => lacks.spool.push(at),
                Ok(data) if ranges.is_empty() => copy(&data, out),
                Ok(data) => {
                    let known =
                        Ranged::from_spool(&ranges, &data).ok_or_else(|| wrong_record("the ranges of a chunk"))?;
                    if let Some(base) = base
                        && !known.covers(start, start + out.len() as u32)
                    {
                        from_pack(base, out, lacks);
                    }
                    known.copy_to(start, out);
                }
            },
        }
        Ok(())
    }

    /// Whether `more` bytes may become dirty: the pool must be able to hold them, the journal too, and memory now.
    pub(super) fn admit(&self, more: u64) -> Step<()> {
        self.need_space(more)?;
        let dirty = self.st.dirty_bytes;
        if self.vfs.journal.room() < dirty.saturating_add(more) {
            return Err(self.vfs.no_room());
        }
        let budget = self.vfs.config.dirty_bytes;
        if dirty.saturating_add(more) > budget / 2 {
            self.vfs.pressure.notify_one();
        }
        if dirty > 0 && dirty.saturating_add(more) > budget {
            return Err(Stop::wait(Needs { write_back: Some(Scope::All), ..Needs::default() }));
        }
        Ok(())
    }

    /// Puts `data` into dirty memory.
    pub(super) fn write(&mut self, ino: Ino, inode: &Inode, offset: u64, data: &[u8]) {
        let end = offset.saturating_add(data.len() as u64);
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let (index, start) = (at / CHUNK_U64, (at % CHUNK_U64) as u32);
            let part = (CHUNK - start as usize).min(data.len() - done);
            self.write_chunk(ino, inode, index, |ranged| ranged.write(start, &data[done..done + part]));
            done += part;
        }
        if end > self.size(ino, inode) && !data.is_empty() {
            self.dirty_file(ino).size = Some(end);
        }
    }

    /// Changes the dirty part of chunk `index`.
    pub(super) fn write_chunk(&mut self, ino: Ino, inode: &Inode, index: u64, change: impl FnOnce(&mut Ranged)) {
        let is_new = !self.st.dirty.get(&ino).is_some_and(|dirty| dirty.chunks.contains_key(&index));
        let placed = is_new && inode.chunks > 0 && self.may_be_placed(ino, index);
        self.st.writes = self.st.writes.saturating_add(1);
        let number = self.st.writes;
        let chunk = self.dirty_file(ino).chunks.entry(index).or_default();
        if is_new {
            chunk.oldest = number;
            chunk.placed = placed;
        }
        chunk.newest = number;
        let before = if is_new { 0 } else { chunk.data.weight() };
        change(Arc::make_mut(&mut chunk.data));
        let after = chunk.data.weight();
        self.st.dirty_bytes = self.st.dirty_bytes.saturating_add(after).saturating_sub(before);
        self.vfs.note_change();
    }

    /// Whether the tree has a place for the chunk, or cannot say at once.
    fn may_be_placed(&self, ino: Ino, index: u64) -> bool {
        match self.group(ino, index / GROUP) {
            Ok(extents) => extents::mask(&extents) >> (index % GROUP) & 1 == 1,
            Err(_) => true,
        }
    }

    /// The dirty part of `ino`, made when there is none.
    pub(super) fn dirty_file(&mut self, ino: Ino) -> &mut super::dirty::DirtyFile {
        let State { dirty, writes, shapes, .. } = &mut *self.st;
        dirty.entry(ino).or_insert_with(|| {
            *shapes = shapes.wrapping_add(1);
            let (oldest, since, shape) = (*writes, self.vfs.clock.now(), *shapes);
            super::dirty::DirtyFile { oldest, since, shape, ..Default::default() }
        })
    }

    /// A shape that no dirty part has had.
    pub(super) fn new_shape(&mut self) -> u64 {
        self.st.shapes = self.st.shapes.wrapping_add(1);
        self.st.shapes
    }

    /// A change of content sets mtime and ctime.
    pub(super) fn touch_content(&mut self, ino: Ino) {
        let now = self.now();
        let dirty = self.dirty_file(ino);
        dirty.mtime = Some(now);
        dirty.ctime = Some(now);
        self.vfs.note_change();
    }

    /// The tree's ctime is newer than that of any write so far.
    pub(super) fn touch_ctime(&mut self, ino: Ino) {
        if let Some(dirty) = self.st.dirty.get_mut(&ino) {
            dirty.ctime = None;
        }
    }

    /// Clears set-id bits and file capabilities after a change of content by somebody who may not keep them.
    pub(super) fn kill_privileges(&mut self, ino: Ino) -> Step<()> {
        let mut inode = self.inode(ino)?;
        let mut batch = Vec::new();
        let mode = without_setid(inode.mode);
        let capability = Key::xattr(ino, b"security.capability");
        if self.get(&capability)?.is_some() {
            batch.push((capability, None));
        }
        if mode != inode.mode {
            inode.mode = mode;
            inode.ctime = self.now();
            batch.push((Key::inode(ino), Some(Record::Inode(inode))));
        }
        if batch.is_empty() { Ok(()) } else { self.commit(batch, Urgency::Reserve) }
    }

    /// The first chunk in `from..end` that has content, or has none.
    fn seek(&self, ino: Ino, inode: &Inode, from: u64, end: u64, what: Seek) -> Step<Option<u64>> {
        let mut at = from;
        while at < end {
            let group = at / GROUP;
            let present = self.present(ino, inode, group)?;
            let wanted = match what {
                Seek::Data => present,
                Seek::Hole => !present,
            } & (u64::MAX << (at % GROUP));
            if wanted != 0 {
                let found = group * GROUP + u64::from(wanted.trailing_zeros());
                return Ok((found < end).then_some(found));
            }
            at = match what {
                Seek::Hole => (group + 1) * GROUP,
                Seek::Data => match self.next_group(ino, group + 1)? {
                    Some(next) => next * GROUP,
                    None => return Ok(None),
                },
            };
        }
        Ok(None)
    }

    /// One bit for each chunk of the group that has content, dirty or not.
    fn present(&self, ino: Ino, inode: &Inode, group: u64) -> Step<u64> {
        let mut mask = extents::mask(&self.group(ino, group)?);
        if group == 0 && matches!(inode.body, Body::Inline(_)) {
            mask |= 1;
        }
        if let Some(dirty) = self.st.dirty.get(&ino) {
            for (index, _) in dirty.chunks.range(group * GROUP..(group + 1) * GROUP) {
                mask |= 1 << (index % GROUP);
            }
        }
        Ok(mask)
    }

    /// The first group from `from` on that has any content.
    pub(super) fn next_group(&self, ino: Ino, from: u64) -> Step<Option<u64>> {
        let mut found = None;
        let (start, end) = (Key::extents(ino, from), Key::extents(ino, u64::MAX));
        let scanned = self.vfs.tree.scan(&start, &end, &mut |key, _| {
            found = Some(key.num);
            std::ops::ControlFlow::Break(())
        })?;
        if let (crate::tree::Fetch::Missing(addr), None) = (scanned, found) {
            return Err(Stop::node(addr));
        }
        let dirty = self.st.dirty.get(&ino).and_then(|dirty| dirty.chunks.range(from * GROUP..).next());
        Ok([found, dirty.map(|(index, _)| index / GROUP)].into_iter().flatten().min())
    }
}

/// A mode after its file was changed by somebody without the right to keep set-id bits; directories keep theirs.
pub(super) fn without_setid(mode: u32) -> u32 {
    if super::state::is(mode, libc::S_IFDIR) {
        return mode;
    }
    let group_executes = mode & libc::S_IXGRP != 0;
    mode & !libc::S_ISUID & if group_executes { !libc::S_ISGID } else { u32::MAX }
}
