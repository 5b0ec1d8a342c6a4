//! Lookups, handles, and the end of inodes without names.
//!
//! An inode whose last name went is an orphan: a record says so from the same batch on, and it is removed, in bounded
//! batches, when no lookup and no handle refers to it, or after the next start.

use super::state::{Ctx, Edit, OpenHandle, Vfs, is};
use super::types::*;
use crate::error::{FsError, Kind};
use crate::ids::Ino;
use crate::journal::Urgency;
use crate::tree::Fetch;
use crate::tree::record::{Key, KeyKind, Space};
use std::ops::ControlFlow;

/// Batches that one call spends on removing one inode's content.
const BATCHES_PER_CALL: usize = 4;
/// Bytes of room in the journal below which new handles write through: the largest request of the kernel.
const DIRECT_BELOW: u64 = 1 << 20;

impl Vfs {
    /// Drops `count` lookups of `ino`; an inode without names, lookups and handles is removed.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.with(|ctx| {
            if let Some(node) = ctx.st.nodes.get_mut(&ino) {
                node.lookups = node.lookups.saturating_sub(count);
            }
            ctx.reap_if_unused(ino);
        });
    }

    /// Opens a file; `flags` as in `open(2)` (`O_TRUNC` arrives as a `setattr` of its own).
    pub fn open(&self, ino: Ino, flags: i32) -> Outcome<Opened> {
        self.run(|ctx| {
            let inode = ctx.inode(ino)?;
            if is(inode.mode, libc::S_IFDIR) && flags & libc::O_ACCMODE != libc::O_RDONLY {
                return posix(libc::EISDIR);
            }
            if flags & libc::O_ACCMODE != libc::O_RDONLY {
                ctx.writable()?;
            }
            Ok(ctx.open_handle(ino, flags))
        })
    }

    /// Opens a directory.
    pub fn opendir(&self, ino: Ino) -> Outcome<Handle> {
        self.run(|ctx| {
            ctx.dir(ino)?;
            Ok(ctx.open_handle(ino, libc::O_RDONLY).handle)
        })
    }

    /// Closes a file. Whether anything was asked for ahead of its reader ([`Vfs::ahead`]), which nobody will want now.
    pub fn release(&self, handle: Handle) -> bool {
        let unread = self.streams.lock().close(handle);
        self.with(|ctx| {
            let Some(open) = ctx.st.handles.remove(&handle) else { return };
            if let Some(node) = ctx.st.nodes.get_mut(&open.ino) {
                node.handles = node.handles.saturating_sub(1);
                node.writers = node.writers.saturating_sub(u32::from(open.writes));
            }
            ctx.reap_if_unused(open.ino);
        });
        unread
    }

    /// Closes a directory.
    pub fn releasedir(&self, handle: Handle) {
        let _ = self.release(handle);
    }

    /// Inodes with a handle that can write: what `sync` and `umount` must pull out of the kernel first, and for which
    /// `lseek` must wait for the kernel's dirty pages.
    pub fn open_for_write(&self) -> Vec<Ino> {
        let state = self.state.lock();
        state.nodes.iter().filter(|(_, node)| node.writers > 0).map(|(ino, _)| *ino).collect()
    }

    /// Whether `ino` has a handle that can write.
    pub fn has_writer(&self, ino: Ino) -> bool {
        self.state.lock().nodes.get(&ino).is_some_and(|node| node.writers > 0)
    }

    /// Runs what never waits under the lock.
    fn with(&self, step: impl FnOnce(&mut Ctx<'_>)) {
        step(&mut Ctx { vfs: self, st: &mut self.state.lock(), spool: &Default::default() });
    }

    /// The kernel has let go of the mount: drops every lookup and handle, of which it says nothing any more, and removes some of
    /// the inodes that nothing names. Whether there are more: then call it again.
    pub fn let_go(&self) -> Outcome<bool> {
        self.with(|ctx| {
            ctx.st.nodes.clear();
            ctx.st.handles.clear();
            ctx.vfs.streams.lock().clear();
            // Whatever was used until now is looked for again, with what earlier runs left.
            ctx.st.orphans_listed = false;
        });
        match self.reap() {
            Outcome::Done(Ok(())) => Outcome::Done(Ok(!self.state.lock().reap.is_empty())),
            Outcome::Done(Err(error)) => Outcome::Done(Err(error)),
            Outcome::Wait(needs) => Outcome::Wait(needs),
        }
    }

    /// Removes inodes that nothing names or uses any more, some at a time.
    pub(super) fn reap(&self) -> Outcome<()> {
        if self.read_only.load(std::sync::atomic::Ordering::Acquire) {
            return Outcome::Done(Ok(()));
        }
        let listed = self.run(|ctx| ctx.list_orphans());
        if !matches!(listed, Outcome::Done(Ok(()))) {
            return listed;
        }
        let waiting: Vec<Ino> = self.state.lock().reap.iter().copied().take(64).collect();
        for ino in waiting {
            let outcome = self.run(|ctx| ctx.reap_step(ino));
            if !matches!(outcome, Outcome::Done(Ok(()))) {
                return outcome;
            }
        }
        Outcome::Done(Ok(()))
    }
}

impl Ctx<'_> {
    /// A new handle of `ino`.
    pub(super) fn open_handle(&mut self, ino: Ino, flags: i32) -> Opened {
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        self.st.last_handle = self.st.last_handle.saturating_add(1);
        let handle = Handle(self.st.last_handle);
        self.st.handles.insert(handle, OpenHandle { ino, writes });
        self.vfs.streams.lock().open(handle);
        let node = self.st.nodes.entry(ino).or_default();
        node.handles = node.handles.saturating_add(1);
        node.writers = node.writers.saturating_add(u32::from(writes));
        let room = self.vfs.journal.room();
        let direct_io = writes && room < self.st.dirty_bytes.saturating_add(DIRECT_BELOW);
        Opened { handle, direct_io, keep_cache: true }
    }

    fn is_used(&self, ino: Ino) -> bool {
        self.st.nodes.get(&ino).is_some_and(|node| node.lookups > 0 || node.handles > 0)
    }

    /// Removes `ino` when it has no name and nothing refers to it; leaves it to [`Vfs::tick`] when that must wait.
    pub(super) fn reap_if_unused(&mut self, ino: Ino) {
        if self.is_used(ino) {
            return;
        }
        self.st.nodes.remove(&ino);
        if self.reap_step(ino).is_err() {
            self.st.reap.insert(ino);
        }
    }

    fn reap_step(&mut self, ino: Ino) -> Step<()> {
        let inode = self.find_inode(ino)?;
        if self.is_used(ino) || inode.as_ref().is_none_or(|inode| inode.nlink > 0) {
            self.st.reap.remove(&ino);
            return Ok(());
        }
        self.writable()?;
        self.cut_dirty(ino, 0..u64::MAX, |file| {
            file.size = None;
            file.mtime = None;
            file.ctime = None;
        });
        self.st.failed.remove(&ino);
        for _ in 0..BATCHES_PER_CALL {
            let mut edit = Edit::default();
            let more = self.cut_extents(&mut edit, ino, 0..u64::MAX)?;
            if !more {
                let mut counters = self.counters()?;
                counters.inodes = counters.inodes.saturating_sub(1);
                if inode.as_ref().is_some_and(|inode| is(inode.mode, libc::S_IFREG)) {
                    counters.bytes = counters.bytes.saturating_sub(inode.map_or(0, |inode| inode.size));
                }
                for name in self.xattr_names(ino)? {
                    edit.remove(Key::xattr(ino, &name));
                }
                edit.remove(Key::orphan(ino));
                let mut batch = edit.batch();
                batch.retain(|(key, _)| key.kind != KeyKind::Inode);
                batch.push((Key::inode(ino), None));
                batch.push((Key::counters(Space::Files), Some(crate::tree::record::Record::Counters(counters))));
                self.commit(batch, Urgency::Reserve)?;
                self.st.reap.remove(&ino);
                return Ok(());
            }
            self.commit(edit.batch(), Urgency::Reserve)?;
        }
        self.st.reap.insert(ino);
        Ok(())
    }

    /// Puts the orphans of earlier runs on the list, once.
    fn list_orphans(&mut self) -> Step<()> {
        if self.st.orphans_listed || self.writable().is_err() {
            return Ok(());
        }
        let mut found = Vec::new();
        let (from, to) = (Key::orphan(Ino(0)), Key::orphan(Ino(u64::MAX)));
        let scanned = self.vfs.tree.scan(&from, &to, &mut |key, _| {
            found.push(Ino(key.num));
            ControlFlow::Continue(())
        })?;
        if let Fetch::Missing(addr) = scanned {
            return Err(Stop::node(addr));
        }
        self.st.orphans_listed = true;
        let unused = found.into_iter().filter(|ino| !self.is_used(*ino)).collect::<Vec<_>>();
        self.st.reap.extend(unused);
        Ok(())
    }

    /// The failure that an earlier write-back left for `ino`, once.
    pub(super) fn take_failure(&mut self, ino: Ino) -> Step<()> {
        match self.st.failed.remove(&ino) {
            None => Ok(()),
            Some(errno) if errno == libc::ENOSPC => {
                Err(FsError::new(Kind::DiskFull, "written data does not fit into the journal").into())
            }
            Some(errno) => posix(errno),
        }
    }
}
