//! copy_file_range: whole chunks are shared by reference, the rest is copied through memory.
//!
//! A chunk is shared when nothing about it can differ later: it lies in a pack, or whole in one frame of the spool. A
//! partly overwritten chunk is copied: its base moves with the commit of the file it belongs to. What is dirty in memory is
//! written back first, once: the barrier fixes what counts, so that a writer that never stops cannot hold up a copy.

use super::content::CHUNK_U64;
use super::extents;
use super::state::{Ctx, Edit, Vfs};
use super::types::*;
use crate::ids::Ino;
use crate::journal::Urgency;
use crate::tree::coalesce;
use crate::tree::record::{Body, GROUP, Inode, Place};

/// Bytes that one call copies through memory at most; the kernel asks again for the rest.
const COPY_MAX: u64 = 4 << 20;
/// Chunks that one call shares at most: 2 GiB, what one request asks for.
const SHARE_MAX: u64 = (2 << 30) / CHUNK_U64;
/// A copy shorter than this does not wait until dirty memory is written back: copying it is faster than waiting.
const WORTH_WAITING: u64 = 1 << 20;

impl Vfs {
    /// Copies up to `len` bytes from one file and offset to another; returns how many. `barrier` is kept by the caller
    /// between retries.
    pub fn copy_file_range(
        &self,
        (from, from_offset): (Ino, u64),
        (to, to_offset): (Ino, u64),
        len: u64,
        barrier: &mut Barrier,
    ) -> Outcome<u64> {
        self.run(|ctx| {
            ctx.writable()?;
            let (source, target) = (ctx.file(from)?, ctx.file(to)?);
            let len = len.min(ctx.size(from, &source).saturating_sub(from_offset));
            let apart = from_offset.saturating_add(len) <= to_offset || to_offset.saturating_add(len) <= from_offset;
            if from == to && len > 0 && !apart {
                return posix(libc::EINVAL);
            }
            if to_offset.saturating_add(len) > MAX_FILE {
                return posix(libc::EFBIG);
            }
            let shared = ctx.share((from, from_offset), (to, to_offset), len, barrier)?;
            if shared > 0 {
                return Ok(shared);
            }
            // Up to a chunk's edge, so that what follows can be shared if it lies alike in both files.
            let skew = from_offset % CHUNK_U64;
            let alike = skew == to_offset % CHUNK_U64;
            let len = len.min(if alike { COPY_MAX - skew } else { COPY_MAX });
            ctx.admit(len)?;
            let data = ctx.read(from, &source, from_offset, len)?;
            ctx.write(to, &target, to_offset, &data);
            ctx.touch_content(to);
            Ok(data.len() as u64)
        })
    }
}

impl Ctx<'_> {
    /// Shares as many chunks as it can from the start of the range; returns their bytes, 0 when the first cannot be.
    fn share(
        &mut self,
        (from, from_offset): (Ino, u64),
        (to, to_offset): (Ino, u64),
        len: u64,
        barrier: &mut Barrier,
    ) -> Step<u64> {
        let size = self.size(to, &self.inode(to)?);
        // The last, shorter chunk of the source is one too, where nothing of the target lies behind it.
        let ends = from_offset.saturating_add(len) == self.size(from, &self.inode(from)?);
        let tail = ends && to_offset.saturating_add(len) >= size;
        let chunks = if tail { len.div_ceil(CHUNK_U64) } else { len / CHUNK_U64 };
        if from_offset % CHUNK_U64 != 0 || to_offset % CHUNK_U64 != 0 || len < CHUNK_U64 {
            return Ok(0);
        }
        let upto = *barrier.upto.get_or_insert(self.st.writes);
        for ino in [from, to] {
            let Some(dirty) = self.st.dirty.get(&ino) else { continue };
            if dirty.chunks.is_empty() && dirty.size.is_none() {
                continue;
            }
            if len < WORTH_WAITING || dirty.oldest > upto {
                return Ok(0);
            }
            return Err(Stop::wait(Needs { write_back: Some(Scope::File(ino)), ..Needs::default() }));
        }
        let (source, target) = (self.inode(from)?, self.inode(to)?);
        let (first, to_first) = (from_offset / CHUNK_U64, to_offset / CHUNK_U64);
        let inline = |inode: &Inode| matches!(inode.body, Body::Inline(_));
        if inline(&source) || (inline(&target) && to_first > 0) {
            return Ok(0);
        }
        let places = self.sharable(from, first, chunks.min(SHARE_MAX))?;
        if places.is_empty() {
            return Ok(0);
        }
        let shared = len.min((places.len() as u64).saturating_mul(CHUNK_U64));
        self.need_space(1)?;
        self.put_shared(to, to_first, places, to_offset.saturating_add(shared))?;
        Ok(shared)
    }

    /// The places of up to `count` chunks from `first` on, `None` for holes; ends before the first that cannot be shared.
    fn sharable(&self, ino: Ino, first: u64, count: u64) -> Step<Vec<Option<Place>>> {
        let mut places = Vec::new();
        let mut group = None;
        for index in first..first.saturating_add(count) {
            if group.as_ref().is_none_or(|(number, _)| *number != index / GROUP) {
                group = Some((index / GROUP, self.group(ino, index / GROUP)?));
            }
            let extents = group.as_ref().map_or(&[][..], |(_, extents)| extents);
            let place = extents::place_of(extents, (index % GROUP) as u8);
            if matches!(&place, Some(Place::Spool { ranges, base, .. }) if base.is_some() || !ranges.is_empty()) {
                break;
            }
            places.push(place);
        }
        Ok(places)
    }

    /// Puts chunks that lie elsewhere already in place of what `ino` has from chunk `first` on; it is at least `end` long
    /// then.
    fn put_shared(&mut self, ino: Ino, first: u64, places: Vec<Option<Place>>, end: u64) -> Step<()> {
        let last = first.saturating_add(places.len() as u64);
        let mut edit = Edit::default();
        // SHARE_MAX is half of what one batch removes, so nothing is left for another.
        self.cut_extents(&mut edit, ino, first..last)?;
        let now = self.now();
        let mut there = 0;
        let mut group = None;
        for (index, place) in (first..).zip(places) {
            let Some(place) = place else { continue };
            there += 1;
            if group.as_ref().is_none_or(|(number, _)| *number != index / GROUP) {
                if let Some((done, extents)) = group.take() {
                    edit.set_group(ino, done, coalesce(extents));
                }
                group = Some((index / GROUP, edit.group(self, ino, index / GROUP)?));
            }
            if let Some((_, extents)) = group.as_mut() {
                extents::put(extents, (index % GROUP) as u8, place);
            }
        }
        if let Some((done, extents)) = group {
            edit.set_group(ino, done, coalesce(extents));
        }
        let inode = edit.inode(self, ino)?;
        let before = inode.size;
        inode.chunks = inode.chunks.saturating_add(there);
        inode.size = before.max(end);
        inode.mtime = now;
        inode.ctime = now;
        if first == 0 {
            inode.body = Body::None;
        }
        self.count_bytes(&mut edit, before, before.max(end))?;
        self.commit(edit.batch(), Urgency::Normal)?;
        let shape = self.new_shape();
        self.cut_dirty(ino, first..last, |file| {
            file.mtime = None;
            file.ctime = None;
            file.shape = shape;
        });
        Ok(())
    }
}
