//! The words of the vfs: who asks, what an inode looks like from outside, what an operation waits for.

use crate::error::{FsError, FsResult};
use crate::ids::{CHUNK, Ino, Lsn};
use crate::tree::NodeAddr;
use crate::tree::record::{Body, ChunkAddr, Inode, SpoolRef, Time};

/// Largest file, bytes: what an `off_t` can say, which is the kernel's own bound for a FUSE file. A smaller one would be
/// found out too late: with the writeback cache a `write(2)` beyond it succeeds and is lost when the page is written.
pub const MAX_FILE: u64 = i64::MAX as u64;

/// Longest name of a directory entry, bytes.
pub const NAME_MAX: usize = 255;

/// Longest target of a symbolic link, bytes.
pub const SYMLINK_MAX: usize = 4095;

/// Longest value of an extended attribute, bytes (Linux `XATTR_SIZE_MAX`).
pub const XATTR_MAX: usize = 64 * 1024;

/// All names of an inode's extended attributes together, each with its NUL, bytes (Linux `XATTR_LIST_MAX`): what
/// `listxattr(2)` can return.
pub const XATTR_LIST_MAX: usize = 64 * 1024;

/// Block size reported to programs: one chunk is the unit that is fetched and sealed, but partial writes are cheap.
pub const BLOCK_SIZE: u32 = 4096;

/// Who asks: the credentials of the calling process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Effective (filesystem) user id.
    pub uid: u32,
    /// Effective (filesystem) group id.
    pub gid: u32,
    /// Process id, for logs only.
    pub pid: u32,
    /// File mode creation mask; applied here, and only where the parent has no default ACL (`DONT_MASK`).
    pub umask: u32,
}

/// An inode as `stat` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attr {
    /// Inode number.
    pub ino: Ino,
    /// Length in bytes, dirty data counted.
    pub size: u64,
    /// 512-byte blocks, dirty data counted; holes are not.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Creation.
    pub btime: Time,
    /// Type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Number of names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node, else 0.
    pub rdev: u32,
}

impl Attr {
    /// The attributes of `ino` as the tree has them, without dirty data.
    pub(crate) fn of(ino: Ino, inode: &Inode) -> Self {
        let blocks = match &inode.body {
            Body::Inline(data) if inode.mode & libc::S_IFMT == libc::S_IFREG => (data.len() as u64).div_ceil(512),
            _ => Self::blocks_of(inode.chunks, inode.size),
        };
        Self {
            ino,
            size: inode.size,
            blocks,
            atime: inode.atime,
            mtime: inode.mtime,
            ctime: inode.ctime,
            btime: inode.btime,
            mode: inode.mode,
            nlink: inode.nlink,
            uid: inode.uid,
            gid: inode.gid,
            rdev: inode.rdev,
        }
    }

    /// 512-byte blocks of `chunks` chunks with content in a file of `size` bytes.
    pub(crate) fn blocks_of(chunks: u64, size: u64) -> u64 {
        chunks.saturating_mul(CHUNK as u64 / 512).min(size.div_ceil(u64::from(BLOCK_SIZE)).saturating_mul(8))
    }
}

/// A new time of an inode: a given one, or the clock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The clock's time when the operation happens.
    Now,
    /// This time.
    At(Time),
}

/// What `setattr` changes; `None` leaves as it is. Nothing set at all is `chown(-1, -1)`, the only caller that sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits (type bits are ignored).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of content.
    pub mtime: Option<SetTime>,
    /// Last change of the inode, sent by the kernel's writeback cache; the clock's time otherwise.
    pub ctime: Option<Time>,
}

/// An open file or directory. Never reused while the daemon lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);

/// The answer to `open` and `create`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The handle for read, write, flush, fsync and release.
    pub handle: Handle,
    /// The kernel should not cache writes of this handle (`FOPEN_DIRECT_IO`): only the reserve of the local disk is left,
    /// so `write(2)` itself must be able to fail.
    pub direct_io: bool,
    /// Cached pages of earlier opens are still right (`FOPEN_KEEP_CACHE`).
    pub keep_cache: bool,
}

/// How `write` was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteFlags {
    /// The kernel's writeback cache sends it: mtime belongs to the kernel (`FUSE_WRITE_CACHE`).
    pub cached: bool,
    /// Set-user-id and set-group-id bits must go (`FUSE_WRITE_KILL_SUIDGID`).
    pub kill_suidgid: bool,
}

/// An entry of a directory stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Inode number.
    pub ino: Ino,
    /// Cookie to go on *after* this entry; never changes while the entry lives.
    pub cookie: u64,
    /// The `DT_*` number of the type.
    pub kind: u8,
    /// The name, `.` and `..` included.
    pub name: Vec<u8>,
}

/// What `rename` may do beyond plain replacement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenameMode {
    /// Replaces an existing target.
    #[default]
    Replace,
    /// `RENAME_NOREPLACE`: an existing target is `EEXIST`.
    NoReplace,
    /// `RENAME_EXCHANGE`: both must exist and swap names.
    Exchange,
}

/// Whether `setxattr` creates, replaces or does either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XattrMode {
    /// Creates or replaces.
    #[default]
    Set,
    /// `XATTR_CREATE`: an existing attribute is `EEXIST`.
    Create,
    /// `XATTR_REPLACE`: a missing attribute is `ENODATA`.
    Replace,
}

/// What `fallocate` does with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallocate {
    /// Extends the file to the end of the range unless `keep_size`; content does not change. Space is checked against
    /// the pool, not reserved chunk by chunk.
    Allocate {
        /// `FALLOC_FL_KEEP_SIZE`.
        keep_size: bool,
    },
    /// `FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE`: the range becomes a hole.
    Punch,
    /// `FALLOC_FL_ZERO_RANGE`: the range reads as zeros.
    Zero {
        /// `FALLOC_FL_KEEP_SIZE`.
        keep_size: bool,
    },
}

impl Fallocate {
    /// The operation of the mode bits of `fallocate(2)`; `None` for combinations that are not supported (`EOPNOTSUPP`).
    pub fn from_mode(mode: i32) -> Option<Self> {
        let keep_size = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
        match mode & !libc::FALLOC_FL_KEEP_SIZE {
            0 => Some(Fallocate::Allocate { keep_size }),
            libc::FALLOC_FL_PUNCH_HOLE if keep_size => Some(Fallocate::Punch),
            libc::FALLOC_FL_ZERO_RANGE => Some(Fallocate::Zero { keep_size }),
            _ => None,
        }
    }
}

/// What `lseek` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// `SEEK_DATA`.
    Data,
    /// `SEEK_HOLE`.
    Hole,
}

/// The answer to `statfs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatFs {
    /// Bytes that files can hold in all.
    pub capacity: u64,
    /// Bytes still free.
    pub free: u64,
    /// Inodes in use.
    pub inodes: u64,
}

/// How far an `fsync` has come; kept by the caller between the retries of one request.
///
/// It fixes on the first call what the request covers, so that a writer that never stops cannot keep it from ending.
#[derive(Clone, Copy, Debug, Default)]
pub struct Barrier {
    /// Writes numbered up to here must reach the journal.
    pub(crate) upto: Option<u64>,
    /// Then the journal must be durable up to here.
    pub(crate) lsn: Option<Lsn>,
}

/// What must happen before an operation can be called again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tree nodes to load (`tree::Tree::load` and `install`).
    pub nodes: Vec<NodeAddr>,
    /// Chunks to fetch; their plaintext goes to `Vfs::insert_chunk`.
    pub chunks: Vec<ChunkAddr>,
    /// The journal must be durable up to here: `Vfs::sync_journal` on a thread that may block.
    pub durable: Option<Lsn>,
    /// Dirty memory must reach the journal: `Vfs::write_back` with this scope on a thread that may block.
    pub write_back: Option<Scope>,
    /// The journal is full until a commit frees segments: wait for `Vfs::space_freed` with this number, as long as the pipeline
    /// gets on, then answer `ENOSPC` (docs/errors.md).
    pub space: Option<u64>,
}

/// Which dirty data [`Needs::write_back`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One inode's.
    File(Ino),
    /// Everyone's.
    All,
}

/// The outcome of an operation: finished, or to be called again when its needs are met.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Finished.
    Done(FsResult<T>),
    /// Nothing has changed; load these and call again.
    Wait(Needs),
}

/// Why an operation stops before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Fail(FsError),
    Wait(Box<Needs>),
    /// These data frames of the journal must be read, without the lock; then the step is taken again.
    Spool(Vec<SpoolRef>),
}

/// The result of the steps of an operation.
pub(crate) type Step<T> = Result<T, Stop>;

impl From<FsError> for Stop {
    fn from(error: FsError) -> Self {
        Stop::Fail(error)
    }
}

impl Stop {
    pub(crate) fn node(addr: NodeAddr) -> Self {
        Stop::wait(Needs { nodes: vec![addr], ..Needs::default() })
    }

    pub(crate) fn wait(needs: Needs) -> Self {
        Stop::Wait(Box::new(needs))
    }
}

/// The failure `errno` of a POSIX rule, as a stop.
pub(crate) fn posix<T>(errno: i32) -> Step<T> {
    Err(Stop::Fail(FsError::posix(errno)))
}
