//! The operations of the vfs.

use super::types::*;
use crate::error::{FsError, FsResult};
use crate::ids::{Ino, Lsn};
use crate::journal::{Journal, Recovery};
use crate::seam::Clock;
use crate::tree::Tree;
use crate::tree::record::{ChunkAddr, SpoolRef};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Bounds of a [`Vfs`].
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Dirty file content in memory, bytes; beyond it a write waits for `write_back`.
    pub dirty_bytes: u64,
    /// Dirty content older than this is written to the journal by [`Vfs::tick`].
    pub dirty_age: Duration,
    /// Plaintext chunks kept for reading, bytes.
    pub cache_bytes: u64,
    /// Every change is refused with `EROFS`.
    pub read_only: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { dirty_bytes: 64 << 20, dirty_age: Duration::from_secs(5), cache_bytes: 128 << 20, read_only: false }
    }
}

/// Counters for status, monitoring and the decision to commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of file content that are only in memory.
    pub dirty_bytes: u64,
    /// Bytes of file content in the journal that no commit holds yet.
    pub pending_bytes: u64,
    /// Number of the last change; grows with every batch and every write.
    pub changes: u64,
    /// Bytes in the plaintext cache.
    pub cache_bytes: u64,
}

/// A cut of the journalled order, frozen in the tree for one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The commit holds every batch up to here.
    pub lsn: Lsn,
    /// [`Counts::changes`] at the cut: a clean drive has no later ones.
    pub changes: u64,
}

/// A chunk of the frozen layer that lies in the spool and has to be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolPlace {
    /// The file.
    pub ino: Ino,
    /// Index of the chunk in the file (64 KiB units).
    pub index: u64,
    /// Plaintext bytes that matter: up to the end of the file, at most one chunk.
    pub len: u32,
    /// The spool's part.
    pub at: SpoolRef,
    /// As in [`crate::tree::record::Place::Spool`].
    pub ranges: Vec<(u32, u32)>,
    /// As in [`crate::tree::record::Place::Spool`].
    pub base: Option<ChunkAddr>,
}

/// A mounted drive's files.
pub struct Vfs {
    _layers: Arc<Tree>,
}

fn pending<T>() -> Outcome<T> {
    Outcome::Done(Err(FsError::posix(libc::ENOSYS)))
}

impl Vfs {
    /// Replays `recovery` over `tree`. Batches up to `frozen` (the cut of a commit whose outcome is still open, from the
    /// journal's pending record) end in the frozen layer, later ones on top.
    pub fn start(
        config: Config,
        tree: Arc<Tree>,
        journal: Arc<Journal>,
        recovery: Recovery,
        frozen: Option<Lsn>,
        clock: Arc<dyn Clock>,
    ) -> FsResult<Self> {
        let _ = (config, journal, recovery, frozen, clock);
        Ok(Self { _layers: tree })
    }

    /// Finds `name` in `dir` and counts one lookup. `.` and `..` are understood.
    pub fn lookup(&self, dir: Ino, name: &[u8]) -> Outcome<Attr> {
        let _ = (dir, name);
        pending()
    }

    /// Drops `count` lookups of `ino`; an inode without names, lookups and handles is removed.
    pub fn forget(&self, ino: Ino, count: u64) {
        let _ = (ino, count);
    }

    /// The attributes of `ino`, dirty data counted.
    pub fn getattr(&self, ino: Ino) -> Outcome<Attr> {
        let _ = ino;
        pending()
    }

    /// Changes attributes and length.
    pub fn setattr(&self, caller: &Caller, ino: Ino, set: &SetAttr) -> Outcome<Attr> {
        let _ = (caller, ino, set);
        pending()
    }

    /// The target of a symbolic link.
    pub fn readlink(&self, ino: Ino) -> Outcome<Vec<u8>> {
        let _ = ino;
        pending()
    }

    /// Makes a file, FIFO, socket or device node; counts one lookup.
    pub fn mknod(&self, caller: &Caller, dir: Ino, name: &[u8], mode: u32, rdev: u32) -> Outcome<Attr> {
        let _ = (caller, dir, name, mode, rdev);
        pending()
    }

    /// Makes a directory; counts one lookup.
    pub fn mkdir(&self, caller: &Caller, dir: Ino, name: &[u8], mode: u32) -> Outcome<Attr> {
        let _ = (caller, dir, name, mode);
        pending()
    }

    /// Makes a symbolic link to `target`; counts one lookup.
    pub fn symlink(&self, caller: &Caller, dir: Ino, name: &[u8], target: &[u8]) -> Outcome<Attr> {
        let _ = (caller, dir, name, target);
        pending()
    }

    /// Makes one more name for `ino`; counts one lookup.
    pub fn link(&self, ino: Ino, dir: Ino, name: &[u8]) -> Outcome<Attr> {
        let _ = (ino, dir, name);
        pending()
    }

    /// Removes a name that is not a directory's.
    pub fn unlink(&self, dir: Ino, name: &[u8]) -> Outcome<()> {
        let _ = (dir, name);
        pending()
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, dir: Ino, name: &[u8]) -> Outcome<()> {
        let _ = (dir, name);
        pending()
    }

    /// Moves a name, over an existing one or not, or swaps two.
    pub fn rename(&self, dir: Ino, name: &[u8], new_dir: Ino, new_name: &[u8], mode: RenameMode) -> Outcome<()> {
        let _ = (dir, name, new_dir, new_name, mode);
        pending()
    }

    /// Makes a regular file and opens it; counts one lookup. `flags` as in `open(2)`.
    pub fn create(&self, caller: &Caller, dir: Ino, name: &[u8], mode: u32, flags: i32) -> Outcome<(Attr, Opened)> {
        let _ = (caller, dir, name, mode, flags);
        pending()
    }

    /// Opens a file; `flags` as in `open(2)` (`O_TRUNC` arrives as a `setattr` of its own).
    pub fn open(&self, ino: Ino, flags: i32) -> Outcome<Opened> {
        let _ = (ino, flags);
        pending()
    }

    /// Reads up to `size` bytes at `offset`; shorter only at the end of the file.
    pub fn read(&self, ino: Ino, offset: u64, size: u32) -> Outcome<Vec<u8>> {
        let _ = (ino, offset, size);
        pending()
    }

    /// Writes `data` at `offset` into dirty memory.
    pub fn write(&self, ino: Ino, offset: u64, data: &[u8], flags: WriteFlags) -> Outcome<u32> {
        let _ = (ino, offset, data, flags);
        pending()
    }

    /// Called for each `close(2)`: reports an earlier failure to keep what was written.
    pub fn flush(&self, ino: Ino) -> Outcome<()> {
        let _ = ino;
        pending()
    }

    /// Makes everything that was done to `ino` so far durable on the local disk. `barrier` is kept by the caller between retries.
    pub fn fsync(&self, ino: Ino, barrier: &mut Barrier) -> Outcome<()> {
        let _ = (ino, barrier);
        pending()
    }

    /// Makes every change of the directory so far durable on the local disk.
    pub fn fsyncdir(&self, ino: Ino, barrier: &mut Barrier) -> Outcome<()> {
        let _ = (ino, barrier);
        pending()
    }

    /// Closes a file.
    pub fn release(&self, handle: Handle) {
        let _ = handle;
    }

    /// Opens a directory.
    pub fn opendir(&self, ino: Ino) -> Outcome<Handle> {
        let _ = ino;
        pending()
    }

    /// Lists `dir` after `cookie` (0: from the start). `take` returns whether the entry fitted; the first that does not ends it.
    pub fn readdir(&self, dir: Ino, cookie: u64, take: &mut dyn FnMut(&DirEntry) -> bool) -> Outcome<()> {
        let _ = (dir, cookie, take);
        pending()
    }

    /// As `readdir`, with attributes; each entry that fitted counts one lookup, except `.` and `..`.
    pub fn readdirplus(&self, dir: Ino, cookie: u64, take: &mut dyn FnMut(&DirEntry, &Attr) -> bool) -> Outcome<()> {
        let _ = (dir, cookie, take);
        pending()
    }

    /// Closes a directory.
    pub fn releasedir(&self, handle: Handle) {
        let _ = handle;
    }

    /// Capacity and free space of the pool.
    pub fn statfs(&self) -> Outcome<StatFs> {
        pending()
    }

    /// Sets an extended attribute; `system.posix_acl_*` change the mode too.
    pub fn setxattr(&self, caller: &Caller, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Outcome<()> {
        let _ = (caller, ino, name, value, mode);
        pending()
    }

    /// The value of an extended attribute.
    pub fn getxattr(&self, ino: Ino, name: &[u8]) -> Outcome<Vec<u8>> {
        let _ = (ino, name);
        pending()
    }

    /// The names of the extended attributes, each ended by NUL; `trusted.` ones only for root.
    pub fn listxattr(&self, caller: &Caller, ino: Ino) -> Outcome<Vec<u8>> {
        let _ = (caller, ino);
        pending()
    }

    /// Removes an extended attribute.
    pub fn removexattr(&self, caller: &Caller, ino: Ino, name: &[u8]) -> Outcome<()> {
        let _ = (caller, ino, name);
        pending()
    }

    /// Allocates, punches or zeroes a range.
    pub fn fallocate(&self, caller: &Caller, ino: Ino, offset: u64, len: u64, what: Fallocate) -> Outcome<()> {
        let _ = (caller, ino, offset, len, what);
        pending()
    }

    /// The next data or hole at or after `offset`; `ENXIO` at or beyond the end.
    pub fn lseek(&self, ino: Ino, offset: u64, what: Seek) -> Outcome<u64> {
        let _ = (ino, offset, what);
        pending()
    }

    /// Copies up to `len` bytes between files; returns how many.
    pub fn copy_file_range(&self, from: Ino, from_offset: u64, to: Ino, to_offset: u64, len: u64) -> Outcome<u64> {
        let _ = (from, from_offset, to, to_offset, len);
        pending()
    }

    // For the threads that meet needs.

    /// Keeps the plaintext of a fetched chunk for reading.
    pub fn insert_chunk(&self, addr: ChunkAddr, plain: Bytes) {
        let _ = (addr, plain);
    }

    /// Makes the journal durable up to `lsn`; blocks on the disk, shares one sync with every caller.
    pub fn sync_journal(&self, lsn: Lsn) -> FsResult<()> {
        let _ = lsn;
        Ok(())
    }

    /// Moves dirty memory of `scope` into the journal (not durable yet); blocks on the disk.
    pub fn write_back(&self, scope: Scope) -> Outcome<()> {
        let _ = scope;
        pending()
    }

    /// Called about once a second from a thread that may block: writes back what is old, sends the journal's buffer to the
    /// disk, and removes inodes without names in bounded steps.
    pub fn tick(&self) -> Outcome<()> {
        pending()
    }

    // For sync.

    /// Writes back everything written before the call and freezes the tree's top layer. Blocks on the disk (no sync).
    pub fn cut(&self) -> Outcome<Cut> {
        pending()
    }

    /// The next chunks of the frozen layer that lie in the spool, in order of inode and offset, after `after`; at most
    /// `limit`.
    pub fn frozen_places(&self, after: Option<(Ino, u64)>, limit: usize) -> Outcome<Vec<SpoolPlace>> {
        let _ = (after, limit);
        pending()
    }

    /// The plaintext of a spool chunk: the spool's ranges over its base, cut or zero-filled to `place.len`.
    pub fn read_chunk(&self, place: &SpoolPlace) -> Outcome<Bytes> {
        let _ = place;
        pending()
    }

    /// After the commit of `cut` is final and the tree has made the frozen layer part of its base: points what the top
    /// layer still shares with it to the packs, and lets the journal drop what the commit holds.
    pub fn finish_cut(&self, cut: Cut, remap: &HashMap<SpoolRef, ChunkAddr>) -> FsResult<()> {
        let _ = (cut, remap);
        Ok(())
    }

    /// Counters of now.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// Waits until [`Counts::changes`] is above `seen`.
    pub async fn touched(&self, seen: u64) {
        let _ = seen;
    }

    /// Waits until the journal or the pool has room again.
    pub async fn space_freed(&self) {}

    /// What the pool can hold and what commits hold of it, bytes of file content; from sync.
    pub fn set_space(&self, capacity: u64, used: u64) {
        let _ = (capacity, used);
    }

    /// Refuses (or allows again) every change with `EROFS`: the lease was lost, or the mount is read-only.
    pub fn set_read_only(&self, read_only: bool) {
        let _ = read_only;
    }

    /// Inodes with a handle that can write: what `sync` and `umount` must pull out of the kernel first, and for which
    /// `lseek` must wait for the kernel's dirty pages.
    pub fn open_for_write(&self) -> Vec<Ino> {
        Vec::new()
    }

    /// Whether `ino` has a handle that can write.
    pub fn has_writer(&self, ino: Ino) -> bool {
        let _ = ino;
        false
    }
}
