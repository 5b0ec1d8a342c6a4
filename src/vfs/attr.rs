//! Attributes and extended attributes.

use super::acl::{self, Acl};
use super::content::without_setid;
use super::state::{Ctx, Edit, Vfs, is, wrong_record};
use super::types::*;
use crate::ids::Ino;
use crate::journal::Urgency;
use crate::tree::Fetch;
use crate::tree::record::{Inode, Key, Record, Time};
use std::ops::ControlFlow;

impl Vfs {
    /// The attributes of `ino`, dirty data counted.
    pub fn getattr(&self, ino: Ino) -> Outcome<Attr> {
        self.run(|ctx| Ok(ctx.attr(ino, &ctx.inode(ino)?)))
    }

    /// Changes attributes and length.
    pub fn setattr(&self, caller: &Caller, ino: Ino, set: &SetAttr) -> Outcome<Attr> {
        self.run(|ctx| {
            ctx.writable()?;
            ctx.setattr(caller, ino, set)?;
            Ok(ctx.attr(ino, &ctx.inode(ino)?))
        })
    }

    /// Sets an extended attribute; `system.posix_acl_*` change the mode too.
    pub fn setxattr(&self, caller: &Caller, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Outcome<()> {
        self.run(|ctx| {
            ctx.writable()?;
            check_xattr_name(name)?;
            if value.len() > XATTR_MAX {
                return posix(libc::E2BIG);
            }
            if name == acl::ACCESS || name == acl::DEFAULT {
                return ctx.set_acl(caller, ino, name, value);
            }
            let key = Key::xattr(ino, name);
            let exists = ctx.get(&key)?.is_some();
            match (mode, exists) {
                (XattrMode::Create, true) => return posix(libc::EEXIST),
                (XattrMode::Replace, false) => return posix(libc::ENODATA),
                _ => {}
            }
            ctx.need_space(value.len() as u64)?;
            if !exists {
                // A list that listxattr(2) cannot return would hide every attribute from programs that copy files.
                let listed: usize = ctx.xattr_names(ino)?.iter().map(|name| name.len() + 1).sum();
                if listed + name.len() + 1 > XATTR_LIST_MAX {
                    return posix(libc::ENOSPC);
                }
            }
            let mut edit = Edit::default();
            let now = ctx.now();
            edit.inode(ctx, ino)?.ctime = now;
            edit.put(key, Record::Xattr(value.to_vec()));
            ctx.commit(edit.batch(), Urgency::Normal)?;
            ctx.touch_ctime(ino);
            Ok(())
        })
    }

    /// The value of an extended attribute.
    pub fn getxattr(&self, ino: Ino, name: &[u8]) -> Outcome<Vec<u8>> {
        self.run(|ctx| {
            check_xattr_name(name)?;
            match ctx.get(&Key::xattr(ino, name))? {
                Some(Record::Xattr(value)) => Ok(value),
                None => posix(libc::ENODATA),
                Some(_) => Err(wrong_record("an extended attribute")),
            }
        })
    }

    /// The names of the extended attributes, each ended by NUL; `trusted.` ones only for root.
    pub fn listxattr(&self, caller: &Caller, ino: Ino) -> Outcome<Vec<u8>> {
        self.run(|ctx| {
            ctx.inode(ino)?;
            let mut list = Vec::new();
            for name in ctx.xattr_names(ino)? {
                if caller.uid == 0 || !name.starts_with(b"trusted.") {
                    list.extend_from_slice(&name);
                    list.push(0);
                }
            }
            Ok(list)
        })
    }

    /// Removes an extended attribute.
    pub fn removexattr(&self, caller: &Caller, ino: Ino, name: &[u8]) -> Outcome<()> {
        self.run(|ctx| {
            ctx.writable()?;
            check_xattr_name(name)?;
            if name == acl::ACCESS || name == acl::DEFAULT {
                return ctx.set_acl(caller, ino, name, &[]);
            }
            let key = Key::xattr(ino, name);
            if ctx.get(&key)?.is_none() {
                return posix(libc::ENODATA);
            }
            let mut edit = Edit::default();
            let now = ctx.now();
            edit.inode(ctx, ino)?.ctime = now;
            edit.remove(key);
            ctx.commit(edit.batch(), Urgency::Reserve)?;
            ctx.touch_ctime(ino);
            Ok(())
        })
    }
}

fn check_xattr_name(name: &[u8]) -> Step<()> {
    let known = [&b"user."[..], b"trusted.", b"security."].iter().any(|space| name.starts_with(space));
    if name.is_empty() || name.len() > NAME_MAX {
        posix(libc::ERANGE)
    } else if known || name == acl::ACCESS || name == acl::DEFAULT {
        Ok(())
    } else {
        posix(libc::EOPNOTSUPP)
    }
}

/// A time given by the caller, with nanoseconds in range.
fn time_of(set: SetTime, now: Time) -> Time {
    match set {
        SetTime::Now => now,
        SetTime::At(time) => Time { secs: time.secs, nanos: time.nanos.min(999_999_999) },
    }
}

impl Ctx<'_> {
    fn setattr(&mut self, caller: &Caller, ino: Ino, set: &SetAttr) -> Step<()> {
        let now = self.now();
        let before = self.inode(ino)?;
        let chowns = set.uid.is_some() || set.gid.is_some() || *set == SetAttr::default();
        let change = |inode: &mut Inode| {
            if chowns && set.mode.is_none() {
                inode.mode = without_setid(inode.mode);
            }
            if let Some(mode) = set.mode {
                inode.mode = inode.mode & libc::S_IFMT | mode & 0o7777;
            }
            inode.uid = set.uid.unwrap_or(inode.uid);
            inode.gid = set.gid.unwrap_or(inode.gid);
            if let Some(time) = set.atime {
                inode.atime = time_of(time, now);
            }
            if let Some(time) = set.mtime {
                inode.mtime = time_of(time, now);
            }
            inode.ctime = set.ctime.unwrap_or(now);
        };
        // What only adds to the change goes into a batch of its own before the length, which may take several.
        let mut edit = Edit::default();
        if let Some(mode) = set.mode {
            self.chmod_acl(&mut edit, ino, mode)?;
        }
        let capability = Key::xattr(ino, b"security.capability");
        if (chowns || (set.size.is_some() && caller.uid != 0)) && self.get(&capability)?.is_some() {
            edit.remove(capability);
        }
        match set.size {
            Some(size) => {
                let extra = edit.batch();
                if !extra.is_empty() {
                    self.commit(extra, Urgency::Reserve)?;
                }
                self.truncate(caller, ino, size, change)
            }
            None => {
                let mut inode = before;
                change(&mut inode);
                edit.set_inode(ino, inode);
                // Only owners, modes and times: refusing them on a full disk would help nobody.
                self.commit(edit.batch(), Urgency::Reserve)?;
                if let Some(dirty) = self.st.dirty.get_mut(&ino) {
                    dirty.ctime = None;
                    if set.mtime.is_some() {
                        dirty.mtime = None;
                    }
                }
                Ok(())
            }
        }
    }

    /// chmod changes the ACL's entries with the mode.
    fn chmod_acl(&self, edit: &mut Edit, ino: Ino, mode: u32) -> Step<()> {
        let key = Key::xattr(ino, acl::ACCESS);
        if let Some(Record::Xattr(value)) = self.get(&key)? {
            let mut acl = Acl::parse(&value).ok_or_else(|| wrong_record("an ACL"))?;
            acl.set_mode(mode);
            edit.put(key, Record::Xattr(acl.encode()));
        }
        Ok(())
    }

    fn set_acl(&mut self, caller: &Caller, ino: Ino, name: &[u8], value: &[u8]) -> Step<()> {
        let inode = self.inode(ino)?;
        let is_dir = is(inode.mode, libc::S_IFDIR);
        if is(inode.mode, libc::S_IFLNK) {
            return posix(libc::EOPNOTSUPP);
        }
        let key = Key::xattr(ino, name);
        let removes = Acl::is_empty_value(value);
        let mut edit = Edit::default();
        let now = self.now();
        edit.inode(self, ino)?.ctime = now;
        if removes {
            if self.get(&key)?.is_none() {
                return Ok(());
            }
            edit.remove(key);
        } else {
            let Some(acl) = Acl::parse(value) else { return posix(libc::EINVAL) };
            if name == acl::DEFAULT {
                if !is_dir {
                    return posix(libc::EACCES);
                }
                edit.put(key, Record::Xattr(acl.encode()));
            } else {
                let inode = edit.inode(self, ino)?;
                inode.mode = inode.mode & !0o777 | acl.mode();
                if caller.uid != 0 && caller.gid != inode.gid && !is_dir {
                    inode.mode &= !libc::S_ISGID;
                }
                if acl.is_mode() {
                    edit.remove(key);
                } else {
                    edit.put(key, Record::Xattr(acl.encode()));
                }
            }
        }
        let urgency = if removes { Urgency::Reserve } else { Urgency::Normal };
        self.commit(edit.batch(), urgency)?;
        self.touch_ctime(ino);
        Ok(())
    }

    /// Names of all extended attributes.
    pub(super) fn xattr_names(&self, ino: Ino) -> Step<Vec<Box<[u8]>>> {
        let mut names = Vec::new();
        let scanned = self.vfs.tree.scan(&Key::xattr(ino, b""), &Key::dirent(ino, 0), &mut |key, _| {
            names.push(key.name.clone());
            ControlFlow::Continue(())
        })?;
        match scanned {
            Fetch::Ready(()) => Ok(names),
            Fetch::Missing(addr) => Err(Stop::node(addr)),
        }
    }
}
