//! Length and holes: truncate, punch, zero.
//!
//! Invariant: no stored byte lies beyond a file's length, so growing a file never shows old content. A truncate writes the
//! zeros that cover the rest of its last chunk into the same batch as the new length.

use super::content::{CHUNK_U64, without_setid};
use super::extents;
use super::state::{Ctx, Edit, Vfs, wrong_record};
use super::types::*;
use crate::ids::{CHUNK, Ino};
use crate::journal::Urgency;
use crate::tree::Fetch;
use crate::tree::record::{Body, Extent, GROUP, INLINE_MAX, Inode, Key, Place, Record, Space, SpoolRef};
use std::ops::{ControlFlow, Range};

/// Extent groups (4 MiB of file each) that one batch removes at most.
const GROUPS_PER_BATCH: usize = 1024;

impl Vfs {
    /// Allocates, punches or zeroes a range.
    pub fn fallocate(&self, caller: &Caller, ino: Ino, offset: u64, len: u64, what: Fallocate) -> Outcome<()> {
        self.run(|ctx| {
            ctx.writable()?;
            let inode = ctx.file(ino)?;
            if len == 0 {
                return posix(libc::EINVAL);
            }
            let Some(end) = offset.checked_add(len).filter(|end| *end <= MAX_FILE) else { return posix(libc::EFBIG) };
            let size = ctx.size(ino, &inode);
            let grows = match what {
                Fallocate::Allocate { keep_size } | Fallocate::Zero { keep_size } => !keep_size && end > size,
                Fallocate::Punch => false,
            };
            match what {
                Fallocate::Allocate { .. } => ctx.need_space(len)?,
                Fallocate::Punch | Fallocate::Zero { .. } => ctx.zero_range(ino, offset..end.min(size))?,
            }
            if grows {
                ctx.need_space(1)?;
                ctx.resize(ino, end, |_| {})?;
            }
            if caller.uid != 0 {
                ctx.kill_privileges(ino)?;
            }
            ctx.touch_content(ino);
            Ok(())
        })
    }
}

impl Ctx<'_> {
    /// Sets the length of a file together with what `change` does to its inode, in one batch (plus earlier ones that only
    /// make holes beyond the new end, when there is much to remove).
    pub(super) fn resize(&mut self, ino: Ino, size: u64, change: impl Fn(&mut Inode)) -> Step<()> {
        let last = size.div_ceil(CHUNK_U64);
        loop {
            let mut edit = Edit::default();
            let before = self.inode(ino)?;
            let mut frames = Vec::new();
            let more = self.cut_extents(&mut edit, ino, last..u64::MAX)?;
            if more {
                self.commit(edit.batch(), Urgency::Reserve)?;
                continue;
            }
            let result = self.finish_resize(edit, ino, &before, size, &change, &mut frames);
            if result.is_err() {
                frames.into_iter().for_each(|at| self.vfs.journal.abandon(at));
            }
            result?;
            let shape = self.new_shape();
            self.cut_dirty(ino, last..u64::MAX, |file| {
                file.size = None;
                file.mtime = None;
                file.ctime = None;
                file.shape = shape;
            });
            let tail = (size % CHUNK_U64) as u32;
            let clipped = tail > 0 && self.st.dirty.get(&ino).is_some_and(|file| file.chunks.contains_key(&(last - 1)));
            if clipped {
                let inode = self.inode(ino)?;
                self.write_chunk(ino, &inode, last - 1, |ranged| ranged.clip(tail));
            }
            return Ok(());
        }
    }

    fn finish_resize(
        &mut self,
        mut edit: Edit,
        ino: Ino,
        before: &Inode,
        size: u64,
        change: &impl Fn(&mut Inode),
        frames: &mut Vec<SpoolRef>,
    ) -> Step<()> {
        let tail = (size % CHUNK_U64) as u32;
        if tail > 0 && before.chunks > 0 && size < before.size {
            self.cut_tail(&mut edit, ino, before, size / CHUNK_U64, tail, frames)?;
        }
        let now = self.now();
        let mut counters = self.counters()?;
        counters.bytes = counters.bytes.saturating_sub(before.size).saturating_add(size);
        let inode = edit.inode(self, ino)?;
        if let Body::Inline(data) = &mut inode.body {
            if size <= INLINE_MAX as u64 {
                data.resize(size as usize, 0);
                if data.is_empty() {
                    inode.body = Body::None;
                }
            } else {
                let data = std::mem::take(data);
                inode.body = Body::None;
                inode.chunks = 1;
                let appended = self.vfs.journal.append_data_buffered(&data, Urgency::Normal);
                let (at, _) = appended.map_err(|error| self.vfs.full_waits(error))?;
                frames.push(at);
                let extent = Extent { first: 0, count: 1, place: Place::Spool { at, ranges: Vec::new(), base: None } };
                edit.put(Key::extents(ino, 0), Record::Extents(vec![extent]));
            }
        }
        let inode = edit.inode(self, ino)?;
        inode.size = size;
        inode.mtime = now;
        inode.ctime = now;
        change(inode);
        edit.put(Key::counters(Space::Files), Record::Counters(counters));
        let urgency = if size < before.size { Urgency::Reserve } else { Urgency::Normal };
        self.commit(edit.batch(), urgency)?;
        let spooled: u64 = frames.iter().map(|at| u64::from(at.len)).sum();
        self.st.pending_bytes = self.st.pending_bytes.saturating_add(spooled);
        Ok(())
    }

    /// Makes everything from `tail` on in chunk `index` zeros, in the tree.
    fn cut_tail(
        &mut self,
        edit: &mut Edit,
        ino: Ino,
        inode: &Inode,
        index: u64,
        tail: u32,
        frames: &mut Vec<SpoolRef>,
    ) -> Step<()> {
        let mut extents = edit.group(self, ino, index / GROUP)?;
        let (mut known, base) = self.known_below(Self::below(inode, &extents, index))?;
        let end = known.end().max(base.map_or(0, |base| base.plain));
        if end <= tail {
            return Ok(());
        }
        known.clip(tail);
        if base.is_some() {
            // Also over what was known beyond the base: a commit on its way may put it into the chunk that becomes the base.
            known.zero(tail, end.min(CHUNK as u32));
        }
        let (ranges, data, base) = known.to_store(base);
        let (at, _) = self.vfs.journal.append_data_buffered(&data, Urgency::Reserve)?;
        frames.push(at);
        extents::put(&mut extents, (index % GROUP) as u8, Place::Spool { at, ranges, base });
        edit.put(Key::extents(ino, index / GROUP), Record::Extents(extents));
        Ok(())
    }

    /// Takes the chunks in `chunks` out of the tree, up to a batch's worth; whether there are more.
    pub(super) fn cut_extents(&self, edit: &mut Edit, ino: Ino, chunks: Range<u64>) -> Step<bool> {
        if chunks.is_empty() || self.inode(ino)?.chunks == 0 {
            return Ok(false);
        }
        let (first, last) = (chunks.start / GROUP, (chunks.end - 1) / GROUP);
        let mut found = Vec::new();
        let mut more = false;
        let to = Key::extents(ino, last.saturating_add(1));
        let scanned = self.vfs.tree.scan(&Key::extents(ino, first), &to, &mut |key, record| {
            if found.len() == GROUPS_PER_BATCH {
                more = true;
                return ControlFlow::Break(());
            }
            if let Record::Extents(extents) = record {
                found.push((key.num, extents.clone()));
            }
            ControlFlow::Continue(())
        })?;
        if let Fetch::Missing(addr) = scanned {
            return Err(Stop::node(addr));
        }
        for (group, mut extents) in found {
            let start = group.saturating_mul(GROUP);
            let nth = |chunk: u64| chunk.saturating_sub(start).min(GROUP) as u8;
            let before = extents::mask(&extents).count_ones();
            extents::remove(&mut extents, nth(chunks.start), nth(chunks.end));
            let gone = before - extents::mask(&extents).count_ones();
            if gone > 0 {
                let inode = edit.inode(self, ino)?;
                inode.chunks = inode.chunks.saturating_sub(u64::from(gone));
                edit.set_group(ino, group, extents);
            }
        }
        Ok(more)
    }

    /// Forgets the dirty chunks in `chunks`.
    pub(super) fn cut_dirty(
        &mut self,
        ino: Ino,
        chunks: Range<u64>,
        change: impl FnOnce(&mut super::dirty::DirtyFile),
    ) {
        let Some(file) = self.st.dirty.get_mut(&ino) else { return };
        let before = file.weight();
        file.chunks.retain(|index, _| !chunks.contains(index));
        change(file);
        let after = file.weight();
        self.st.dirty_bytes = self.st.dirty_bytes.saturating_add(after).saturating_sub(before);
        if file.is_clean() {
            self.st.dirty.remove(&ino);
        }
    }

    /// Makes `range`, which lies within the file, read as zeros: whole chunks become holes.
    fn zero_range(&mut self, ino: Ino, range: Range<u64>) -> Step<()> {
        if range.is_empty() {
            return Ok(());
        }
        let size = self.size(ino, &self.inode(ino)?);
        let first = range.start.div_ceil(CHUNK_U64);
        let last = if range.end >= size { size.div_ceil(CHUNK_U64) } else { range.end / CHUNK_U64 };
        self.admit(2 * CHUNK_U64)?;
        // What was done before a wait is done again, to the same end: zeros stay zeros.
        let edges = self.edges(range, first, last);
        loop {
            let mut edit = Edit::default();
            let more = self.cut_extents(&mut edit, ino, first..last)?;
            let mut inode = self.inode(ino)?;
            if first == 0 && last > 0 && matches!(inode.body, Body::Inline(_)) {
                inode = edit.inode(self, ino)?.clone();
                inode.body = Body::None;
                edit.set_inode(ino, inode);
            }
            let batch = edit.batch();
            if !batch.is_empty() {
                self.commit(batch, Urgency::Reserve)?;
            }
            if !more {
                break;
            }
        }
        let shape = self.new_shape();
        self.cut_dirty(ino, first..last, |file| file.shape = shape);
        let inode = self.inode(ino)?;
        if let Some(file) = self.st.dirty.get_mut(&ino) {
            for (_, chunk) in file.chunks.range_mut(first..last.max(first)) {
                chunk.placed = false;
            }
        }
        for (index, start, end) in edges {
            if self.has_content(ino, &inode, index)? {
                self.write_chunk(ino, &inode, index, |ranged| ranged.zero(start, end));
            }
        }
        Ok(())
    }

    /// The parts of `range` in chunks that it does not cover whole: chunk, start and end within it.
    fn edges(&self, range: Range<u64>, first: u64, last: u64) -> Vec<(u64, u32, u32)> {
        let within = |offset: u64, chunk: u64| offset.saturating_sub(chunk * CHUNK_U64).min(CHUNK_U64) as u32;
        let (head, tail) = (range.start / CHUNK_U64, (range.end - 1) / CHUNK_U64);
        let mut chunks = vec![head, tail];
        chunks.dedup();
        chunks.retain(|chunk| !(first..last).contains(chunk));
        chunks.into_iter().map(|chunk| (chunk, within(range.start, chunk), within(range.end, chunk))).collect()
    }

    /// Whether anything, dirty or not, lies in the chunk.
    fn has_content(&self, ino: Ino, inode: &Inode, index: u64) -> Step<bool> {
        let dirty = self.st.dirty.get(&ino).is_some_and(|file| file.chunks.contains_key(&index));
        let inline = index == 0 && matches!(inode.body, Body::Inline(_));
        Ok(dirty || inline || extents::mask(&self.group(ino, index / GROUP)?) >> (index % GROUP) & 1 == 1)
    }

    /// The length part of setattr.
    pub(super) fn truncate(&mut self, caller: &Caller, ino: Ino, size: u64, change: impl Fn(&mut Inode)) -> Step<()> {
        self.file(ino)?;
        if size > MAX_FILE {
            return posix(libc::EFBIG);
        }
        let keeps = caller.uid == 0;
        self.resize(ino, size, |inode| {
            if !keeps {
                inode.mode = without_setid(inode.mode);
            }
            change(inode);
        })
    }
}

impl Edit {
    /// The extents of a group, with what this edit already does to them.
    pub(super) fn group(&self, ctx: &Ctx<'_>, ino: Ino, group: u64) -> Step<Vec<Extent>> {
        match self.staged(&Key::extents(ino, group)) {
            Some(Some(Record::Extents(extents))) => Ok(extents.clone()),
            Some(Some(_)) => Err(wrong_record("extents")),
            Some(None) => Ok(Vec::new()),
            None => ctx.group(ino, group),
        }
    }

    /// Puts a group's extents, or removes the record of an empty one.
    pub(super) fn set_group(&mut self, ino: Ino, group: u64, extents: Vec<Extent>) {
        let key = Key::extents(ino, group);
        if extents.is_empty() { self.remove(key) } else { self.put(key, Record::Extents(extents)) }
    }
}
