//! rename: one batch, whatever it replaces or swaps.

use super::names::{check_name, grow, kind_of};
use super::state::{Ctx, Edit, Vfs, is};
use super::types::*;
use crate::ids::Ino;
use crate::journal::Urgency;
use crate::tree::record::{Dirent, Inode, Key, Record};

/// Directories between a directory and the root, at most: beyond it the tree has a cycle.
const MAX_DEPTH: usize = 1 << 16;

impl Vfs {
    /// Moves a name, over an existing one or not, or swaps two.
    pub fn rename(&self, dir: Ino, name: &[u8], new_dir: Ino, new_name: &[u8], mode: RenameMode) -> Outcome<()> {
        self.run(|ctx| ctx.rename((dir, name), (new_dir, new_name), mode))
    }
}

impl Ctx<'_> {
    fn rename(&mut self, (dir, name): (Ino, &[u8]), (new_dir, new_name): (Ino, &[u8]), mode: RenameMode) -> Step<()> {
        self.writable()?;
        for name in [name, new_name] {
            check_name(name)?;
            if matches!(name, b"." | b"..") {
                return posix(libc::EINVAL);
            }
        }
        self.dir(dir)?;
        if self.dir(new_dir)?.nlink == 0 {
            return posix(libc::ENOENT);
        }
        let (slot, source) = self.existing(dir, name)?;
        let target = self.entry(new_dir, new_name)?;
        let moved = self.inode(source.ino)?;
        if is(moved.mode, libc::S_IFDIR) {
            self.not_below(source.ino, new_dir)?;
        }
        match (mode, target) {
            (RenameMode::NoReplace, Ok(_)) => posix(libc::EEXIST),
            (RenameMode::Exchange, Err(_)) => posix(libc::ENOENT),
            (_, Ok((_, target))) if target.ino == source.ino => Ok(()),
            (RenameMode::Exchange, Ok((new_slot, target))) => {
                self.exchange((dir, slot, source), (new_dir, new_slot, target))
            }
            (_, target) => {
                let (new_slot, replaced) = match target {
                    Ok((slot, entry)) => (slot, Some(entry)),
                    Err(free) => (free, None),
                };
                self.move_over((dir, slot, source), (new_dir, new_slot, new_name), replaced, &moved)
            }
        }
    }

    fn move_over(
        &mut self,
        (dir, slot, source): (Ino, u64, Dirent),
        (new_dir, new_slot, new_name): (Ino, u64, &[u8]),
        replaced: Option<Dirent>,
        moved: &Inode,
    ) -> Step<()> {
        let now = self.now();
        let moves_dir = is(moved.mode, libc::S_IFDIR);
        let mut edit = Edit::default();
        let mut replaced_dir = false;
        if let Some(entry) = &replaced {
            let inode = edit.inode(self, entry.ino)?;
            replaced_dir = is(inode.mode, libc::S_IFDIR);
            match (moves_dir, replaced_dir) {
                (true, false) => return posix(libc::ENOTDIR),
                (false, true) => return posix(libc::EISDIR),
                (true, true) if inode.size > 0 => return posix(libc::ENOTEMPTY),
                _ => {}
            }
            self.drop_link(&mut edit, entry.ino)?;
        }
        let inode = edit.inode(self, source.ino)?;
        inode.ctime = now;
        if moves_dir {
            inode.parent = new_dir;
        }
        let old_parent = edit.inode(self, dir)?;
        grow(old_parent, -1, now);
        if moves_dir {
            old_parent.nlink = old_parent.nlink.saturating_sub(1);
        }
        let new_parent = edit.inode(self, new_dir)?;
        grow(new_parent, i64::from(replaced.is_none()), now);
        if moves_dir && !replaced_dir {
            new_parent.nlink = new_parent.nlink.saturating_add(1);
        }
        edit.remove(Key::dirent(dir, slot));
        let entry = Dirent { name: new_name.to_vec(), ..source };
        edit.put(Key::dirent(new_dir, new_slot), Record::Dirent(entry));
        self.commit(edit.batch(), Urgency::Reserve)?;
        self.touch_ctime(source.ino);
        if let Some(entry) = replaced {
            self.touch_ctime(entry.ino);
            self.reap_if_unused(entry.ino);
        }
        Ok(())
    }

    fn exchange(&mut self, (dir, slot, a): (Ino, u64, Dirent), (new_dir, new_slot, b): (Ino, u64, Dirent)) -> Step<()> {
        let now = self.now();
        let mut edit = Edit::default();
        let mut subdirs = 0i32;
        for (ino, parent, change) in [(a.ino, new_dir, 1), (b.ino, dir, -1)] {
            let inode = edit.inode(self, ino)?;
            inode.ctime = now;
            if is(inode.mode, libc::S_IFDIR) {
                inode.parent = parent;
                subdirs += change;
            }
        }
        if is(edit.inode(self, b.ino)?.mode, libc::S_IFDIR) {
            self.not_below(b.ino, dir)?;
        }
        let kinds = (kind_of(edit.inode(self, a.ino)?.mode), kind_of(edit.inode(self, b.ino)?.mode));
        for (ino, change) in [(dir, -subdirs), (new_dir, subdirs)] {
            let parent = edit.inode(self, ino)?;
            grow(parent, 0, now);
            parent.nlink = parent.nlink.saturating_add_signed(change);
        }
        edit.put(Key::dirent(dir, slot), Record::Dirent(Dirent { name: a.name, ino: b.ino, kind: kinds.1 }));
        edit.put(Key::dirent(new_dir, new_slot), Record::Dirent(Dirent { name: b.name, ino: a.ino, kind: kinds.0 }));
        self.commit(edit.batch(), Urgency::Reserve)?;
        self.touch_ctime(a.ino);
        self.touch_ctime(b.ino);
        Ok(())
    }

    /// `EINVAL` when `dir` is `moved` or lies below it.
    fn not_below(&self, moved: Ino, dir: Ino) -> Step<()> {
        let mut at = dir;
        for _ in 0..MAX_DEPTH {
            if at == moved {
                return posix(libc::EINVAL);
            }
            if at == Ino::ROOT {
                return Ok(());
            }
            at = self.dir(at)?.parent;
        }
        Err(super::state::wrong_record("a path to the root"))
    }
}
