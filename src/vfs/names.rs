//! Names: looking up, making, linking and removing them.

use super::acl::{self, Acl};
use super::state::{Ctx, Edit, Vfs, is, wrong_record};
use super::types::*;
use crate::ids::Ino;
use crate::journal::Urgency;
use crate::tree::record::{Body, Counters, Dirent, Inode, Key, Record, Space};

/// Refuses what cannot be a name.
pub(super) fn check_name(name: &[u8]) -> Step<()> {
    if name.is_empty() {
        posix(libc::ENOENT)
    } else if name.len() > NAME_MAX {
        posix(libc::ENAMETOOLONG)
    } else if name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        posix(libc::EINVAL)
    } else {
        Ok(())
    }
}

fn is_dots(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

/// The `DT_*` number of a mode's type.
pub(super) fn kind_of(mode: u32) -> u8 {
    ((mode & libc::S_IFMT) >> 12) as u8
}

/// What a new node is besides its name.
struct NewNode<'a> {
    mode: u32,
    rdev: u32,
    target: Option<&'a [u8]>,
}

impl Vfs {
    /// Finds `name` in `dir` and counts one lookup. `.` and `..` are understood.
    pub fn lookup(&self, dir: Ino, name: &[u8]) -> Outcome<Attr> {
        self.run(|ctx| {
            let parent = ctx.dir(dir)?;
            check_name(name)?;
            let ino = match name {
                b"." => dir,
                b".." => parent.parent,
                _ => ctx.existing(dir, name)?.1.ino,
            };
            let inode = ctx.find_inode(ino)?.ok_or_else(|| wrong_record("the inode of a name"))?;
            ctx.count_lookup(ino);
            Ok(ctx.attr(ino, &inode))
        })
    }

    /// Makes a file, FIFO, socket or device node; counts one lookup.
    pub fn mknod(&self, caller: &Caller, dir: Ino, name: &[u8], mode: u32, rdev: u32) -> Outcome<Attr> {
        self.run(|ctx| {
            let mode = if mode & libc::S_IFMT == 0 { mode | libc::S_IFREG } else { mode };
            let rdev = match mode & libc::S_IFMT {
                libc::S_IFCHR | libc::S_IFBLK => rdev,
                libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK => 0,
                _ => return posix(libc::EINVAL),
            };
            ctx.make(caller, dir, name, &NewNode { mode, rdev, target: None })
        })
    }

    /// Makes a directory; counts one lookup.
    pub fn mkdir(&self, caller: &Caller, dir: Ino, name: &[u8], mode: u32) -> Outcome<Attr> {
        self.run(|ctx| {
            let mode = mode & 0o7777 | libc::S_IFDIR;
            ctx.make(caller, dir, name, &NewNode { mode, rdev: 0, target: None })
        })
    }

    /// Makes a symbolic link to `target`; counts one lookup.
    pub fn symlink(&self, caller: &Caller, dir: Ino, name: &[u8], target: &[u8]) -> Outcome<Attr> {
        self.run(|ctx| {
            if target.is_empty() {
                return posix(libc::ENOENT);
            }
            if target.len() > SYMLINK_MAX {
                return posix(libc::ENAMETOOLONG);
            }
            ctx.make(caller, dir, name, &NewNode { mode: libc::S_IFLNK | 0o777, rdev: 0, target: Some(target) })
        })
    }

    /// Makes a regular file and opens it; counts one lookup. `flags` as in `open(2)`.
    pub fn create(&self, caller: &Caller, dir: Ino, name: &[u8], mode: u32, flags: i32) -> Outcome<(Attr, Opened)> {
        self.run(|ctx| {
            let mode = mode & 0o7777 | libc::S_IFREG;
            let attr = ctx.make(caller, dir, name, &NewNode { mode, rdev: 0, target: None })?;
            Ok((attr, ctx.open_handle(attr.ino, flags)))
        })
    }

    /// The target of a symbolic link.
    pub fn readlink(&self, ino: Ino) -> Outcome<Vec<u8>> {
        self.run(|ctx| match ctx.inode(ino)? {
            Inode { mode, body: Body::Inline(target), .. } if is(mode, libc::S_IFLNK) => Ok(target),
            _ => posix(libc::EINVAL),
        })
    }

    /// Makes one more name for `ino`; counts one lookup.
    pub fn link(&self, ino: Ino, dir: Ino, name: &[u8]) -> Outcome<Attr> {
        self.run(|ctx| {
            ctx.writable()?;
            let slot = ctx.free_name(dir, name)?;
            let mut edit = Edit::default();
            let now = ctx.now();
            let inode = edit.inode(ctx, ino)?;
            if is(inode.mode, libc::S_IFDIR) {
                return posix(libc::EPERM);
            }
            if inode.nlink == 0 {
                return posix(libc::ENOENT);
            }
            let Some(nlink) = inode.nlink.checked_add(1) else { return posix(libc::EMLINK) };
            inode.nlink = nlink;
            inode.ctime = now;
            let entry = Dirent { name: name.to_vec(), ino, kind: kind_of(inode.mode) };
            edit.put(Key::dirent(dir, slot), Record::Dirent(entry));
            grow(edit.inode(ctx, dir)?, 1, now);
            ctx.commit(edit.batch(), Urgency::Normal)?;
            ctx.count_lookup(ino);
            ctx.touch_ctime(ino);
            Ok(ctx.attr(ino, &ctx.inode(ino)?))
        })
    }

    /// Removes a name that is not a directory's.
    pub fn unlink(&self, dir: Ino, name: &[u8]) -> Outcome<()> {
        self.run(|ctx| ctx.remove_name(dir, name, false))
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, dir: Ino, name: &[u8]) -> Outcome<()> {
        self.run(|ctx| ctx.remove_name(dir, name, true))
    }
}

/// A directory has one entry more or less.
pub(super) fn grow(dir: &mut Inode, entries: i64, now: crate::tree::record::Time) {
    dir.size = dir.size.saturating_add_signed(entries);
    dir.mtime = now;
    dir.ctime = now;
}

impl Ctx<'_> {
    /// The slot for a new entry `name` in `dir`; `EEXIST` when there is one.
    pub(super) fn free_name(&self, dir: Ino, name: &[u8]) -> Step<u64> {
        check_name(name)?;
        let parent = self.dir(dir)?;
        if is_dots(name) {
            return posix(libc::EEXIST);
        }
        if parent.nlink == 0 {
            return posix(libc::ENOENT);
        }
        match self.entry(dir, name)? {
            Ok(_) => posix(libc::EEXIST),
            Err(slot) => Ok(slot),
        }
    }

    pub(super) fn counters(&self) -> Step<Counters> {
        match self.get(&Key::counters(Space::Files))? {
            Some(Record::Counters(counters)) => Ok(counters),
            None => Ok(Counters { next: Ino::ROOT.0 + 1, inodes: 0, bytes: 0 }),
            Some(_) => Err(wrong_record("the counters")),
        }
    }

    fn make(&mut self, caller: &Caller, dir: Ino, name: &[u8], new: &NewNode<'_>) -> Step<Attr> {
        self.writable()?;
        let slot = self.free_name(dir, name)?;
        self.need_space(1)?;
        let now = self.now();
        let mut edit = Edit::default();
        let mut counters = self.counters()?;
        let ino = Ino(counters.next.max(Ino::ROOT.0 + 1));
        counters.next = ino.next().map_or(u64::MAX, |next| next.0);
        counters.inodes = counters.inodes.saturating_add(1);

        let parent = edit.inode(self, dir)?;
        let mut inode = Inode {
            mode: new.mode,
            nlink: 1,
            uid: caller.uid,
            gid: caller.gid,
            rdev: new.rdev,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            ..Inode::default()
        };
        let is_dir = is(new.mode, libc::S_IFDIR);
        if parent.mode & libc::S_ISGID != 0 {
            inode.gid = parent.gid;
            if is_dir {
                inode.mode |= libc::S_ISGID;
            }
        }
        if is_dir {
            inode.nlink = 2;
            inode.parent = dir;
            parent.nlink = parent.nlink.saturating_add(1);
        }
        if let Some(target) = new.target {
            inode.size = target.len() as u64;
            inode.body = Body::Inline(target.to_vec());
        } else {
            self.inherit_acl(&mut edit, caller, dir, ino, &mut inode)?;
        }
        grow(edit.inode(self, dir)?, 1, now);
        let entry = Dirent { name: name.to_vec(), ino, kind: kind_of(inode.mode) };
        edit.put(Key::counters(Space::Files), Record::Counters(counters));
        edit.put(Key::dirent(dir, slot), Record::Dirent(entry));
        let attr = Attr::of(ino, &inode);
        edit.set_inode(ino, inode);
        self.commit(edit.batch(), Urgency::Normal)?;
        self.count_lookup(ino);
        Ok(attr)
    }

    /// Gives a new node the permissions that its directory's default ACL or the caller's umask leave it.
    fn inherit_acl(&self, edit: &mut Edit, caller: &Caller, dir: Ino, ino: Ino, inode: &mut Inode) -> Step<()> {
        let Some(Record::Xattr(value)) = self.get(&Key::xattr(dir, acl::DEFAULT))? else {
            inode.mode &= !(caller.umask & 0o777);
            return Ok(());
        };
        let default = Acl::parse(&value).ok_or_else(|| wrong_record("a default ACL"))?;
        let own = default.inherit(inode.mode);
        inode.mode = inode.mode & !0o777 | own.mode();
        if !own.is_mode() {
            edit.put(Key::xattr(ino, acl::ACCESS), Record::Xattr(own.encode()));
        }
        if is(inode.mode, libc::S_IFDIR) {
            edit.put(Key::xattr(ino, acl::DEFAULT), Record::Xattr(value));
        }
        Ok(())
    }

    fn remove_name(&mut self, dir: Ino, name: &[u8], directory: bool) -> Step<()> {
        self.writable()?;
        check_name(name)?;
        self.dir(dir)?;
        match (name, directory) {
            (b".", true) => return posix(libc::EINVAL),
            (b"..", true) => return posix(libc::ENOTEMPTY),
            (b"." | b"..", false) => return posix(libc::EISDIR),
            _ => {}
        }
        let (slot, entry) = self.existing(dir, name)?;
        let now = self.now();
        let mut edit = Edit::default();
        let inode = edit.inode(self, entry.ino)?;
        match (is(inode.mode, libc::S_IFDIR), directory) {
            (true, false) => return posix(libc::EISDIR),
            (false, true) => return posix(libc::ENOTDIR),
            (true, true) if inode.size > 0 => return posix(libc::ENOTEMPTY),
            _ => {}
        }
        self.drop_link(&mut edit, entry.ino)?;
        edit.remove(Key::dirent(dir, slot));
        let parent = edit.inode(self, dir)?;
        grow(parent, -1, now);
        if directory {
            parent.nlink = parent.nlink.saturating_sub(1);
        }
        self.commit(edit.batch(), Urgency::Reserve)?;
        self.touch_ctime(entry.ino);
        self.reap_if_unused(entry.ino);
        Ok(())
    }

    /// Takes one name from `ino` (all of a directory's); without any left it becomes an orphan.
    pub(super) fn drop_link(&self, edit: &mut Edit, ino: Ino) -> Step<()> {
        let now = self.now();
        let inode = edit.inode(self, ino)?;
        inode.nlink = if is(inode.mode, libc::S_IFDIR) { 0 } else { inode.nlink.saturating_sub(1) };
        inode.ctime = now;
        if inode.nlink == 0 {
            edit.put(Key::orphan(ino), Record::Orphan);
        }
        Ok(())
    }
}
