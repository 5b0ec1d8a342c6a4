//! Directory streams. A cookie is the slot of the entry that it follows, so it means the same whatever else changes.

use super::names::kind_of;
use super::state::{Ctx, Vfs, wrong_record};
use super::types::*;
use crate::ids::Ino;
use crate::tree::Fetch;
use crate::tree::record::{Key, Record};
use std::ops::ControlFlow;

/// Cookies of `.` and `..`; slots begin above them.
const DOT: u64 = 1;
const DOT_DOT: u64 = 2;
/// One more than the largest slot.
const END: u64 = 1 << 63;
/// Entries read under one hold of the lock.
const BATCH: usize = 256;

impl Vfs {
    /// Lists `dir` after `cookie` (0: from the start). `take` returns whether the entry fitted; the first that does not
    /// ends it.
    pub fn readdir(&self, dir: Ino, cookie: u64, take: &mut dyn FnMut(&DirEntry) -> bool) -> Outcome<()> {
        self.list(dir, cookie, |_, entry| Ok(take(entry)))
    }

    /// As `readdir`, with attributes; each entry that fitted counts one lookup, except `.` and `..`.
    pub fn readdirplus(&self, dir: Ino, cookie: u64, take: &mut dyn FnMut(&DirEntry, &Attr) -> bool) -> Outcome<()> {
        self.list(dir, cookie, |ctx, entry| {
            let inode = ctx.find_inode(entry.ino)?.ok_or_else(|| wrong_record("the inode of a name"))?;
            let attr = ctx.attr(entry.ino, &inode);
            let fits = take(entry, &attr);
            if fits && entry.cookie > DOT_DOT {
                ctx.count_lookup(entry.ino);
            }
            Ok(fits)
        })
    }

    fn list(&self, dir: Ino, cookie: u64, mut take: impl FnMut(&mut Ctx<'_>, &DirEntry) -> Step<bool>) -> Outcome<()> {
        let mut cookie = cookie;
        let mut taken = false;
        loop {
            let outcome = self.run(|ctx| {
                let entries = ctx.entries(dir, cookie);
                let entries = match entries {
                    // What was taken already is an answer; the kernel asks again from there.
                    Err(Stop::Wait(_)) if taken => return Ok(false),
                    other => other?,
                };
                let full = entries.len() >= BATCH;
                for entry in &entries {
                    match take(ctx, entry) {
                        Ok(true) => {}
                        Ok(false) => return Ok(false),
                        Err(Stop::Wait(_)) if taken => return Ok(false),
                        Err(stop) => return Err(stop),
                    }
                    taken = true;
                    cookie = entry.cookie;
                }
                Ok(full)
            });
            match outcome {
                Outcome::Done(Ok(true)) => {}
                Outcome::Done(Ok(false)) => return Outcome::Done(Ok(())),
                Outcome::Done(Err(error)) => return Outcome::Done(Err(error)),
                Outcome::Wait(needs) => return Outcome::Wait(needs),
            }
        }
    }
}

impl Ctx<'_> {
    /// The next entries after `cookie`, about [`BATCH`] of them; fewer only at the end.
    fn entries(&self, dir: Ino, cookie: u64) -> Step<Vec<DirEntry>> {
        let inode = self.dir(dir)?;
        let mut entries = Vec::new();
        let kind = kind_of(inode.mode);
        if cookie < DOT {
            entries.push(DirEntry { ino: dir, cookie: DOT, kind, name: b".".to_vec() });
        }
        if cookie < DOT_DOT {
            entries.push(DirEntry { ino: inode.parent, cookie: DOT_DOT, kind, name: b"..".to_vec() });
        }
        if cookie >= END {
            return Ok(entries);
        }
        let from = Key::dirent(dir, cookie.max(DOT_DOT) + 1);
        let mut found = 0;
        let scanned = self.vfs.tree.scan(&from, &Key::dirent(dir, END), &mut |key, record| {
            if let Record::Dirent(entry) = record {
                entries.push(DirEntry { ino: entry.ino, cookie: key.num, kind: entry.kind, name: entry.name.clone() });
                found += 1;
            }
            if found < BATCH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        match scanned {
            Fetch::Missing(addr) if found < BATCH => Err(Stop::node(addr)),
            _ => Ok(entries),
        }
    }
}
