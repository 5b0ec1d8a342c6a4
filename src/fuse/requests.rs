//! Every request of the kernel, translated. One method a request, no policy in any of them.

use super::answer::{About, Service, finish};
use super::convert::{
    caller, entry_type, file_attr, ino, no_file, rename_mode, set_time, time as from_system_time, xattr_mode,
};
use super::virtual_xattr::Virtual;
use crate::error::{FsError, Kind};
use crate::ids::Ino;
use crate::vfs::{Ahead, Attr, Barrier, Fallocate, Handle, NAME_MAX, Outcome, Seek, SetAttr, StatFs, Vfs, WriteFlags};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow,
};
use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Largest request, bytes: what the kernel's 256 pages carry.
const MAX_WRITE: u32 = 1 << 20;

/// Largest request where large ones are left out, bytes: what kernels carried before.
const SMALL_WRITE: u32 = 128 << 10;

/// Background requests (readahead, writeback) that may wait at once. Far more than the kernel's default of 12: cold reads
/// that wait for a dead node must not keep the writeback of dirty pages from starting.
const MAX_BACKGROUND: u16 = 512;

/// Inodes that `df -i` shows as free: there is no limit but the 64-bit number.
const FREE_INODES: u64 = 1 << 40;

/// Numbers are never reused, so one generation serves for all.
const GENERATION: Generation = Generation(0);

/// The extended attribute of the root directory that names the daemon's control socket. It is answered here and listed
/// nowhere: programs find the daemon of a mount by it, whatever `$WALRUSFS_HOME` they run with.
pub const CONTROL_XATTR: &str = "user.walrusfs.control";

/// The file system as fuser calls it.
pub(crate) struct Requests {
    pub(crate) service: Arc<Service>,
    /// The session refuses everybody but owner and root. What the kernel remembers it shows to everybody, so it must not
    /// remember the root directory: then no path goes in without asking.
    pub(crate) guarded: bool,
}

/// How long the kernel may trust names and attributes.
#[derive(Clone)]
struct Trust {
    cached: Duration,
    guarded: bool,
    /// The files of another writer, which change as a whole from one moment to the next.
    following: Option<Arc<Vfs>>,
}

impl Trust {
    /// As of now: to be asked when the answer is there.
    fn of(&self, attr: &FileAttr) -> Duration {
        let turning = self.following.as_ref().is_some_and(|vfs| vfs.is_turning());
        if turning || self.guarded && attr.ino == INodeNo::ROOT { Duration::ZERO } else { self.cached }
    }
}

thread_local! {
    /// What this worker's reads are answered from: at most one request's worth.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn about(operation: &'static str, number: INodeNo) -> About {
    About { operation, ino: ino(number) }
}

fn damaged(ino: Ino) -> FsError {
    FsError::new(Kind::Corrupt, format!("the record of inode {ino} holds no file type"))
}

/// An outcome whose attributes fuser can send.
fn shown(outcome: Outcome<Attr>) -> Outcome<FileAttr> {
    match outcome {
        Outcome::Wait(needs) => Outcome::Wait(needs),
        Outcome::Done(result) => {
            Outcome::Done(result.and_then(|attr| file_attr(&attr).ok_or_else(|| damaged(attr.ino))))
        }
    }
}

fn fopen_flags(opened: &crate::vfs::Opened, keep_cache: bool) -> FopenFlags {
    let mut flags = FopenFlags::empty();
    flags.set(FopenFlags::FOPEN_DIRECT_IO, opened.direct_io);
    flags.set(FopenFlags::FOPEN_KEEP_CACHE, opened.keep_cache && keep_cache);
    flags
}

impl Requests {
    fn trust(&self) -> Trust {
        let limits = &self.service.limits;
        let cached = if limits.features.remember { limits.cached } else { Duration::ZERO };
        let following = limits.read_only.then(|| Arc::clone(&self.service.vfs));
        Trust { cached, guarded: self.guarded, following }
    }

    fn entry(
        &self,
        about: About,
        reply: ReplyEntry,
        mut operation: impl FnMut(&Vfs) -> Outcome<Attr> + Send + 'static,
    ) {
        let trust = self.trust();
        self.service.answer(
            about,
            reply,
            move |vfs, _| shown(operation(vfs)),
            move |reply, attr| reply.entry(&trust.of(&attr), &attr, GENERATION),
        );
    }

    fn empty(&self, about: About, reply: ReplyEmpty, mut operation: impl FnMut(&Vfs) -> Outcome<()> + Send + 'static) {
        self.service.answer(about, reply, move |vfs, _| operation(vfs), |reply, ()| reply.ok());
    }

    /// Runs what has no reply and cannot fail, without letting a panic out.
    fn quietly(&self, about: About, operation: impl FnOnce(&Vfs)) {
        let mut operation = Some(operation);
        let outcome: Outcome<()> = self.service.attempt(about, &mut (), &mut |vfs: &Vfs, _: &mut ()| {
            if let Some(operation) = operation.take() {
                operation(vfs);
            }
            Outcome::Done(Ok(()))
        });
        if let Outcome::Done(Err(error)) = outcome {
            tracing::error!(operation = about.operation, ino = about.ino.0, %error, "a request failed");
        }
    }

    /// Starts what `operation` finds worth reading ahead.
    fn read_ahead(&self, about: About, operation: impl FnOnce(&Vfs) -> Option<Ahead>) {
        let loader = &self.service.loader;
        self.quietly(about, |vfs| {
            if let Some(ahead) = operation(vfs) {
                loader.read_ahead(ahead);
            }
        });
    }

    fn sync(
        &self,
        about: About,
        reply: ReplyEmpty,
        mut operation: impl FnMut(&Vfs, &mut Barrier) -> Outcome<()> + Send + 'static,
    ) {
        let mut barrier = Barrier::default();
        let certify = self.service.limits.certify_fsync;
        let service = Arc::clone(&self.service);
        self.service.answer(
            about,
            reply,
            move |vfs, _| operation(vfs, &mut barrier),
            move |reply: ReplyEmpty, ()| {
                if !certify {
                    return reply.ok();
                }
                let runtime = service.runtime.clone();
                runtime.spawn(async move {
                    let limit = service.limits.timeout;
                    let result = match tokio::time::timeout(limit, service.loader.certify()).await {
                        Ok(result) => result,
                        Err(_) => Err(FsError::new(
                            Kind::Unreachable,
                            format!("the network did not certify within {} s", limit.as_secs()),
                        )),
                    };
                    finish(about, reply, result, |reply, ()| reply.ok());
                });
            },
        );
    }
}

/// Sends an attribute's value, or its length when the caller only asked for that.
fn send_xattr(reply: ReplyXattr, value: &[u8], size: u32) {
    match u32::try_from(value.len()) {
        Ok(length) if size == 0 => reply.size(length),
        Ok(length) if length <= size => reply.data(value),
        Ok(_) => reply.error(Errno::ERANGE),
        Err(_) => reply.error(Errno::E2BIG),
    }
}

/// Directory streams: entries go into the reply's buffer one by one, and a buffer cannot be emptied again. So an
/// operation that waits after the first entry is finished as it is, and the kernel asks for the rest.
fn as_far_as_it_came(outcome: Outcome<()>, taken: bool) -> Outcome<()> {
    match outcome {
        Outcome::Wait(_) if taken => Outcome::Done(Ok(())),
        other => other,
    }
}

impl Filesystem for Requests {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let (limits, features) = (&self.service.limits, self.service.limits.features);
        let mut wanted = InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            | InitFlags::FUSE_POSIX_ACL
            | InitFlags::FUSE_DONT_MASK
            | InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP;
        if limits.read_only {
            // Another machine may change files under a reader: a changed mtime drops the pages.
            wanted |= InitFlags::FUSE_AUTO_INVAL_DATA;
        }
        wanted.set(InitFlags::FUSE_WRITEBACK_CACHE, features.writeback && !limits.read_only);
        wanted.set(InitFlags::FUSE_PARALLEL_DIROPS, features.parallel);
        // Always, not as READDIRPLUS_AUTO guesses: programs read all names before they ask for the first file's attributes, so
        // the kernel would ask for them with the first part only, and later for each file alone (docs/performance.md).
        wanted.set(InitFlags::FUSE_DO_READDIRPLUS, features.readdirplus);
        let offered = config.capabilities();
        let missing = wanted - offered;
        if !missing.is_empty() {
            tracing::info!(?missing, "the kernel lacks features that would make this mount better");
        }
        // Only what the kernel offered is asked for, so this cannot fail.
        let _ = config.add_capabilities(wanted & offered);
        let _ = config.set_max_write(if features.large { MAX_WRITE } else { SMALL_WRITE });
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (dir, name) = (ino(parent), name.as_bytes().to_vec());
        let trust = self.trust();
        self.service.answer(
            about("lookup", parent),
            reply,
            move |vfs, _| match shown(vfs.lookup(dir, &name)) {
                // A name that does not exist is worth remembering too; the kernel forgets it when it makes one.
                Outcome::Done(Err(error)) if error.errno() == libc::ENOENT => Outcome::Done(Ok(no_file())),
                other => other,
            },
            move |reply, attr| reply.entry(&trust.of(&attr), &attr, GENERATION),
        );
    }

    /// The kernel forgets in batches; fuser calls this for each inode of one, because it does not export the batch's type.
    fn forget(&self, _: &Request, number: INodeNo, count: u64) {
        self.quietly(about("forget", number), |vfs| vfs.forget(ino(number), count));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let trust = self.trust();
        self.service.answer(
            about("getattr", number),
            reply,
            move |vfs, _| shown(vfs.getattr(ino(number))),
            move |reply, attr| reply.attr(&trust.of(&attr), &attr),
        );
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = SetAttr {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
            ctime: ctime.map(from_system_time),
        };
        let (caller, trust) = (caller(request, 0), self.trust());
        self.service.answer(
            about("setattr", number),
            reply,
            move |vfs, _| shown(vfs.setattr(&caller, ino(number), &set)),
            move |reply, attr| reply.attr(&trust.of(&attr), &attr),
        );
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        self.service.answer(
            about("readlink", number),
            reply,
            move |vfs, _| vfs.readlink(ino(number)),
            |reply, target| reply.data(&target),
        );
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let (caller, name) = (caller(request, umask), name.as_bytes().to_vec());
        self.entry(about("mknod", parent), reply, move |vfs| vfs.mknod(&caller, ino(parent), &name, mode, rdev));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let (caller, name) = (caller(request, umask), name.as_bytes().to_vec());
        self.entry(about("mkdir", parent), reply, move |vfs| vfs.mkdir(&caller, ino(parent), &name, mode));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.as_bytes().to_vec();
        self.empty(about("unlink", parent), reply, move |vfs| vfs.unlink(ino(parent), &name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.as_bytes().to_vec();
        self.empty(about("rmdir", parent), reply, move |vfs| vfs.rmdir(ino(parent), &name));
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let (caller, name) = (caller(request, 0), name.as_bytes().to_vec());
        let target = target.as_os_str().as_bytes().to_vec();
        self.entry(about("symlink", parent), reply, move |vfs| vfs.symlink(&caller, ino(parent), &name, &target));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let Some(mode) = rename_mode(flags) else { return reply.error(Errno::EINVAL) };
        let (name, new_name) = (name.as_bytes().to_vec(), new_name.as_bytes().to_vec());
        self.empty(about("rename", parent), reply, move |vfs| {
            vfs.rename(ino(parent), &name, ino(new_parent), &new_name, mode)
        });
    }

    fn link(&self, _: &Request, number: INodeNo, new_parent: INodeNo, new_name: &OsStr, reply: ReplyEntry) {
        let name = new_name.as_bytes().to_vec();
        self.entry(about("link", number), reply, move |vfs| vfs.link(ino(number), ino(new_parent), &name));
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let keep_cache = self.service.limits.features.keep_cache;
        self.service.answer(
            about("open", number),
            reply,
            move |vfs, _| vfs.open(ino(number), flags.0),
            move |reply, opened| reply.opened(FileHandle(opened.handle.0), fopen_flags(&opened, keep_cache)),
        );
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (caller, name) = (caller(request, umask), name.as_bytes().to_vec());
        let (trust, keep_cache) = (self.trust(), self.service.limits.features.keep_cache);
        self.service.answer(
            about("create", parent),
            reply,
            move |vfs, _| vfs.create(&caller, ino(parent), &name, mode, flags),
            move |reply: ReplyCreate, (attr, opened)| match file_attr(&attr) {
                Some(attr) => {
                    let (handle, flags) = (FileHandle(opened.handle.0), fopen_flags(&opened, keep_cache));
                    reply.created(&trust.of(&attr), &attr, GENERATION, handle, flags);
                }
                None => reply.error(Errno::EIO),
            },
        );
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        mut reply: ReplyData,
    ) {
        let about = about("read", number);
        let mut data = BUFFER.take();
        match self.service.attempt_at_once(about, &mut reply, &mut |vfs: &Vfs, _: &mut ReplyData| {
            vfs.read_to(ino(number), offset, size, &mut data)
        }) {
            Outcome::Done(result) => finish(about, reply, result, |reply, ()| reply.data(&data)),
            Outcome::Wait(needs) => {
                let done = |reply: ReplyData, data: Vec<u8>| reply.data(&data);
                self.service.later(about, needs, reply, move |vfs, _| vfs.read(ino(number), offset, size), done);
            }
        }
        BUFFER.set(data);
        // After the answer, or after it has been asked for: the first byte waits for no window.
        self.read_ahead(about, |vfs| vfs.ahead(Handle(handle.0), ino(number), offset, size));
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        flags: fuser::WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        mut reply: ReplyWrite,
    ) {
        let about = about("write", number);
        let flags = WriteFlags {
            cached: flags.contains(fuser::WriteFlags::FUSE_WRITE_CACHE),
            kill_suidgid: flags.contains(fuser::WriteFlags::FUSE_WRITE_KILL_SUIDGID),
        };
        let done = |reply: ReplyWrite, written| reply.written(written);
        // The data is copied only when the request has to wait: the buffer belongs to the worker.
        match self.service.attempt(about, &mut reply, &mut |vfs: &Vfs, _: &mut ReplyWrite| {
            vfs.write(ino(number), offset, data, flags)
        }) {
            Outcome::Done(result) => finish(about, reply, result, done),
            Outcome::Wait(needs) => {
                let data = data.to_vec();
                self.service.later(
                    about,
                    needs,
                    reply,
                    move |vfs, _| vfs.write(ino(number), offset, &data, flags),
                    done,
                );
            }
        }
    }

    fn flush(&self, _: &Request, number: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        if self.service.limits.features.no_flush {
            // The kernel takes it as the answer for all files, and for good.
            return reply.error(Errno::ENOSYS);
        }
        self.empty(about("flush", number), reply, move |vfs| vfs.flush(ino(number)));
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let stream = Handle(handle.0);
        self.read_ahead(about("release", number), |vfs| {
            let unread = vfs.release(stream);
            unread.then(|| Ahead { stream, stale: true, ..Ahead::default() })
        });
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(about("fsync", number), reply, move |vfs, barrier| vfs.fsync(ino(number), barrier));
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(about("fsyncdir", number), reply, move |vfs, barrier| vfs.fsyncdir(ino(number), barrier));
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let flags = match self.service.limits.read_only {
            // Another machine may change the directory.
            true => FopenFlags::empty(),
            false => FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE,
        };
        self.service.answer(
            about("opendir", number),
            reply,
            move |vfs, _| vfs.opendir(ino(number)),
            move |reply, handle| reply.opened(FileHandle(handle.0), flags),
        );
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectory) {
        self.service.answer(
            about("readdir", number),
            reply,
            move |vfs, reply: &mut ReplyDirectory| {
                let mut taken = false;
                let outcome = vfs.readdir(ino(number), offset, &mut |entry| {
                    let Some(kind) = entry_type(entry.kind) else { return true };
                    let fits = !reply.add(INodeNo(entry.ino.0), entry.cookie, kind, OsStr::from_bytes(&entry.name));
                    taken |= fits;
                    fits
                });
                as_far_as_it_came(outcome, taken)
            },
            |reply, ()| reply.ok(),
        );
    }

    fn readdirplus(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectoryPlus) {
        let trust = self.trust();
        self.service.answer(
            about("readdirplus", number),
            reply,
            move |vfs, reply: &mut ReplyDirectoryPlus| {
                let mut taken = false;
                let outcome = vfs.readdirplus(ino(number), offset, &mut |entry, attr| {
                    // A damaged record must not hide the rest of the directory; a lookup of the name says EIO.
                    let Some(attr) = file_attr(attr) else { return true };
                    let name = OsStr::from_bytes(&entry.name);
                    let fits = !reply.add(attr.ino, entry.cookie, name, &trust.of(&attr), &attr, GENERATION);
                    taken |= fits;
                    fits
                });
                as_far_as_it_came(outcome, taken)
            },
            |reply, ()| reply.ok(),
        );
    }

    fn releasedir(&self, _: &Request, number: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.quietly(about("releasedir", number), |vfs| vfs.releasedir(Handle(handle.0)));
        reply.ok();
    }

    fn statfs(&self, _: &Request, number: INodeNo, reply: ReplyStatfs) {
        self.service.answer(
            about("statfs", number),
            reply,
            |vfs, _| vfs.statfs(),
            |reply: ReplyStatfs, StatFs { capacity, free, inodes }| {
                let unit = u64::from(crate::vfs::BLOCK_SIZE);
                let free = free / unit;
                let files = inodes.saturating_add(FREE_INODES);
                // Never above 255.
                let name_max = NAME_MAX as u32;
                let block = crate::vfs::BLOCK_SIZE;
                reply.statfs(capacity / unit, free, free, files, FREE_INODES, block, name_max, block);
            },
        );
    }

    fn setxattr(
        &self,
        request: &Request,
        number: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let Some(mode) = xattr_mode(flags) else { return reply.error(Errno::EINVAL) };
        let (caller, name, value) = (caller(request, 0), name.as_bytes().to_vec(), value.to_vec());
        self.empty(about("setxattr", number), reply, move |vfs| {
            vfs.setxattr(&caller, ino(number), &name, &value, mode)
        });
    }

    fn getxattr(&self, _: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if ino(number) == Ino::ROOT && name == CONTROL_XATTR {
            return send_xattr(reply, self.service.limits.control.as_os_str().as_bytes(), size);
        }
        if let Some(what) = Virtual::named(name) {
            let ends = self.service.loader.ends_at_ms();
            return self.service.answer(
                about("getxattr", number),
                reply,
                move |vfs, _| what.value(vfs, ino(number), ends),
                move |reply, value| send_xattr(reply, &value, size),
            );
        }
        let name = name.as_bytes().to_vec();
        self.service.answer(
            about("getxattr", number),
            reply,
            move |vfs, _| vfs.getxattr(ino(number), &name),
            move |reply, value| send_xattr(reply, &value, size),
        );
    }

    fn listxattr(&self, request: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        let caller = caller(request, 0);
        self.service.answer(
            about("listxattr", number),
            reply,
            move |vfs, _| vfs.listxattr(&caller, ino(number)),
            move |reply, names| send_xattr(reply, &names, size),
        );
    }

    fn removexattr(&self, request: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (caller, name) = (caller(request, 0), name.as_bytes().to_vec());
        self.empty(about("removexattr", number), reply, move |vfs| vfs.removexattr(&caller, ino(number), &name));
    }

    fn fallocate(
        &self,
        request: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let Some(what) = Fallocate::from_mode(mode) else { return reply.error(Errno::EOPNOTSUPP) };
        let caller = caller(request, 0);
        self.empty(about("fallocate", number), reply, move |vfs| {
            vfs.fallocate(&caller, ino(number), offset, length, what)
        });
    }

    fn lseek(&self, _: &Request, number: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let what = match whence {
            libc::SEEK_DATA => Seek::Data,
            libc::SEEK_HOLE => Seek::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let Ok(offset) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
        let operation = move |vfs: &Vfs, _: &mut ReplyLseek| vfs.lseek(ino(number), offset, what);
        let done = |reply: ReplyLseek, found| match i64::try_from(found) {
            Ok(found) => reply.offset(found),
            Err(_) => reply.error(Errno::EOVERFLOW),
        };
        let about = about("lseek", number);
        if self.service.vfs.has_writer(ino(number)) {
            self.service.answer_after_dirty_pages(about, reply, operation, done);
        } else {
            self.service.answer(about, reply, operation, done);
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        from: INodeNo,
        _: FileHandle,
        from_offset: u64,
        to: INodeNo,
        _: FileHandle,
        to_offset: u64,
        length: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // The answer is a 32-bit count; the kernel asks for the rest.
        let length = length.min(1 << 31);
        let mut barrier = Barrier::default();
        self.service.answer(
            about("copy_file_range", from),
            reply,
            move |vfs, _| vfs.copy_file_range((ino(from), from_offset), (ino(to), to_offset), length, &mut barrier),
            |reply, copied| reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
        );
    }
}

/// What a test of the whole layer would need a kernel for is tested with one (`session`); here only what no kernel shows.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_waits_after_an_entry_is_sent_as_it_is() {
        let wait = || Outcome::Wait(crate::vfs::Needs::default());
        assert!(matches!(as_far_as_it_came(wait(), true), Outcome::Done(Ok(()))));
        assert!(matches!(as_far_as_it_came(wait(), false), Outcome::Wait(_)));
    }

    #[test]
    fn a_record_without_a_type_is_an_error_not_a_file() {
        let result = match shown(Outcome::Done(Ok(Attr::default()))) {
            Outcome::Done(result) => result,
            Outcome::Wait(_) => panic!("nothing to wait for"),
        };
        assert_eq!(result.unwrap_err().kind(), Kind::Corrupt);
    }
}
