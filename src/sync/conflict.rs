//! When two machines have changed one drive: keeping both sets of changes.
//!
//! The chain takes commits of one machine only, so the changes of the other wait in its journal, on a state that is no longer
//! the newest. That state is known (the journal's pending record says what it stands on), so the machine's own view can be
//! opened again beside the newest one. What it changed is then copied over: new things under their names, and what exists
//! on both sides and differs under a name that says so. Nothing is removed or overwritten on either side.

use super::loader::Loader;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::Ino;
use crate::tree::record::{Batch, Key, KeyKind, Record, Space};
use crate::tree::{Fetch, Tree};
use crate::vfs::{Attr, Caller, NAME_MAX, SetAttr, SetTime, Vfs, WriteFlags, XattrMode};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

/// One view of the drive.
#[derive(Clone)]
pub struct Side {
    /// Its files.
    pub vfs: Arc<Vfs>,
    /// Its tree.
    pub tree: Arc<Tree>,
    /// Meets the needs of both.
    pub loader: Loader,
}

/// What became of one changed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Kept {
    /// Both sides have the same.
    Same {
        /// Where.
        path: String,
    },
    /// Only this machine had it.
    Added {
        /// Where it is.
        path: String,
    },
    /// Both have something there.
    Copied {
        /// Where the newest state has its own.
        path: String,
        /// Where this machine's is now.
        copy: String,
    },
    /// It could not be read on this machine's side.
    Lost {
        /// Where it was.
        path: String,
        /// Why.
        why: String,
    },
}

/// Bytes that are copied at a time.
const PIECE: u32 = 1 << 20;

/// Whoever calls this acts as root.
const ROOT: Caller = Caller { uid: 0, gid: 0, pid: 0, umask: 0 };

/// Copies what `batches` (the journal's changes) touched from `ours` to `theirs`. `mark` goes into the names of copies.
/// Doing it again after a crash adds nothing twice.
///
/// # Errors
/// When `theirs` cannot be written; what cannot be read in `ours` is [`Kept::Lost`].
pub async fn keep_both(ours: &Side, theirs: &Side, batches: &[Batch], mark: &str) -> FsResult<Vec<Kept>> {
    let mut touched = BTreeSet::new();
    for (key, record) in batches.iter().flatten() {
        match (key.kind, record) {
            (KeyKind::Dirent, Some(Record::Dirent(entry))) => drop(touched.insert(entry.ino)),
            (KeyKind::Inode | KeyKind::Xattr | KeyKind::Extents, _) => drop(touched.insert(key.owner)),
            _ => {}
        }
    }
    let names = Names::of(ours, &touched).await?;
    let mut copier = Copier { ours, theirs, mark, made: HashMap::new() };
    let mut kept = Vec::new();
    for (path, ino) in names.paths() {
        kept.extend(copier.keep(&path, ino).await?);
    }
    Ok(kept)
}

/// Names of one side: of all directories, and of what is asked for.
struct Names {
    dirs: HashMap<Ino, (Ino, Vec<u8>)>,
    wanted: Vec<(Ino, Vec<u8>, Ino)>,
}

impl Names {
    async fn of(side: &Side, wanted: &BTreeSet<Ino>) -> FsResult<Self> {
        const DIR: u8 = (libc::S_IFDIR >> 12) as u8;
        let mut found = Self { dirs: HashMap::new(), wanted: Vec::new() };
        let mut from = Key::first_of(Space::Files);
        let to = Key { owner: Ino(u64::MAX), num: u64::MAX, ..Key::first_of(Space::Files) };
        let mut seen = None;
        loop {
            let scanned = side.tree.scan(&from, &to, &mut |key, record| {
                if seen.as_ref() == Some(key) {
                    return ControlFlow::Continue(());
                }
                seen = Some(key.clone());
                if let Record::Dirent(entry) = record {
                    if entry.kind == DIR {
                        found.dirs.insert(entry.ino, (key.owner, entry.name.clone()));
                    }
                    if wanted.contains(&entry.ino) {
                        found.wanted.push((key.owner, entry.name.clone(), entry.ino));
                    }
                }
                ControlFlow::Continue(())
            })?;
            let Fetch::Missing(addr) = scanned else { return Ok(found) };
            side.loader.node(addr).await?;
            if let Some(seen) = &seen {
                from.clone_from(seen);
            }
        }
    }

    /// The paths of what was asked for, parents first; a path is the names on the way from the root.
    fn paths(&self) -> BTreeMap<Vec<Vec<u8>>, Ino> {
        let mut paths = BTreeMap::new();
        for (dir, name, ino) in &self.wanted {
            let mut path = vec![name.clone()];
            let mut at = *dir;
            while at != Ino::ROOT {
                // A directory that cannot be reached was removed on this side, with what is in it.
                let Some((parent, name)) = self.dirs.get(&at).filter(|_| path.len() < 4096) else { break };
                path.push(name.clone());
                at = *parent;
            }
            if at == Ino::ROOT {
                path.reverse();
                paths.insert(path, *ino);
            }
        }
        paths
    }
}

fn shown(path: &[Vec<u8>]) -> String {
    path.iter().map(|name| format!("/{}", String::from_utf8_lossy(name))).collect()
}

/// `report.txt` becomes `report.MARK.txt`; cut so that it stays a name.
fn marked(name: &[u8], mark: &str) -> Vec<u8> {
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0 && name.len() - dot <= 16);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let room = NAME_MAX.saturating_sub(extension.len() + mark.len() + 1);
    [&stem[..stem.len().min(room)], b".", mark.as_bytes(), extension].concat()
}

struct Copier<'a> {
    ours: &'a Side,
    theirs: &'a Side,
    mark: &'a str,
    /// Copies of inodes with several names.
    made: HashMap<Ino, Ino>,
}

impl Copier<'_> {
    async fn keep(&mut self, path: &[Vec<u8>], ino: Ino) -> FsResult<Option<Kept>> {
        let Some((name, dirs)) = path.split_last() else { return Ok(None) };
        let ours = match self.attr(self.ours, ino).await {
            Ok(attr) => attr,
            Err(error) => return Ok(Some(Kept::Lost { path: shown(path), why: error.to_string() })),
        };
        let mut dir = Ino::ROOT;
        for name in dirs {
            dir = self.directory(dir, name).await?;
        }
        if ours.mode & libc::S_IFMT == libc::S_IFDIR {
            let before = self.lookup(dir, name).await?;
            let made = self.directory(dir, name).await?;
            if before.is_none() {
                self.dress(ino, made, &ours).await?;
                return Ok(Some(Kept::Added { path: shown(path) }));
            }
            return Ok(None);
        }
        let Some(existing) = self.lookup(dir, name).await? else {
            return Ok(Some(match self.copy(ino, &ours, dir, name).await? {
                Ok(()) => Kept::Added { path: shown(path) },
                Err(why) => Kept::Lost { path: shown(path), why },
            }));
        };
        match self.same(ino, &ours, &existing).await {
            Ok(true) => return Ok(Some(Kept::Same { path: shown(path) })),
            Ok(false) => {}
            Err(error) => return Ok(Some(Kept::Lost { path: shown(path), why: error.to_string() })),
        }
        let other = marked(name, self.mark);
        let mut copy = dirs.to_vec();
        copy.push(other.clone());
        if let Some(found) = self.lookup(dir, &other).await? {
            if self.same(ino, &ours, &found).await? {
                return Ok(Some(Kept::Copied { path: shown(path), copy: shown(&copy) }));
            }
            // An earlier attempt ended in the middle of this copy.
            self.theirs.loader.finish(|| self.theirs.vfs.unlink(dir, &other)).await?;
        }
        Ok(Some(match self.copy(ino, &ours, dir, &other).await? {
            Ok(()) => Kept::Copied { path: shown(path), copy: shown(&copy) },
            Err(why) => Kept::Lost { path: shown(path), why },
        }))
    }

    async fn attr(&self, side: &Side, ino: Ino) -> FsResult<Attr> {
        side.loader.finish(|| side.vfs.getattr(ino)).await
    }

    async fn lookup(&self, dir: Ino, name: &[u8]) -> FsResult<Option<Attr>> {
        let found = self.theirs.loader.finish(|| self.theirs.vfs.lookup(dir, name)).await;
        match found {
            Ok(attr) => {
                self.theirs.vfs.forget(attr.ino, 1);
                Ok(Some(attr))
            }
            Err(error) if error.kind() == Kind::Posix(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory `name` in `dir` of the newest state, made when there is none; under another name when something else
    /// has it.
    async fn directory(&self, dir: Ino, name: &[u8]) -> FsResult<Ino> {
        let mut name = name.to_vec();
        loop {
            match self.lookup(dir, &name).await? {
                Some(found) if found.mode & libc::S_IFMT == libc::S_IFDIR => return Ok(found.ino),
                Some(_) => {
                    let other = marked(&name, self.mark);
                    if other == name {
                        return Err(FsError::new(Kind::Posix(libc::EEXIST), "a folder for copies cannot be named"));
                    }
                    name = other;
                }
                None => {
                    let made = self.theirs.loader.finish(|| self.theirs.vfs.mkdir(&ROOT, dir, &name, 0o755)).await?;
                    self.theirs.vfs.forget(made.ino, 1);
                    return Ok(made.ino);
                }
            }
        }
    }

    /// Whether both are the same to a reader: type, length, content or target.
    async fn same(&self, ino: Ino, ours: &Attr, theirs: &Attr) -> FsResult<bool> {
        if (ours.mode ^ theirs.mode) & libc::S_IFMT != 0 || ours.size != theirs.size || ours.rdev != theirs.rdev {
            return Ok(false);
        }
        match ours.mode & libc::S_IFMT {
            libc::S_IFREG => {
                let mut at = 0;
                while at < ours.size {
                    let (one, other) = (read(self.ours, ino, at).await?, read(self.theirs, theirs.ino, at).await?);
                    if one != other || one.is_empty() {
                        return Ok(false);
                    }
                    at += one.len() as u64;
                }
                Ok(true)
            }
            libc::S_IFLNK => {
                let one = self.ours.loader.finish(|| self.ours.vfs.readlink(ino)).await?;
                Ok(one == self.theirs.loader.finish(|| self.theirs.vfs.readlink(theirs.ino)).await?)
            }
            _ => Ok(true),
        }
    }

    /// Copies an inode to a new name; the inner error says why it cannot be read.
    async fn copy(&mut self, ino: Ino, ours: &Attr, dir: Ino, name: &[u8]) -> FsResult<Result<(), String>> {
        let (vfs, loader) = (&self.theirs.vfs, &self.theirs.loader);
        if let Some(made) = self.made.get(&ino).copied() {
            loader.finish(|| vfs.link(made, dir, name)).await?;
            vfs.forget(made, 1);
            return Ok(Ok(()));
        }
        let made = match ours.mode & libc::S_IFMT {
            libc::S_IFLNK => {
                let target = self.ours.loader.finish(|| self.ours.vfs.readlink(ino)).await;
                let target = match target {
                    Ok(target) => target,
                    Err(error) => return Ok(Err(error.to_string())),
                };
                loader.finish(|| vfs.symlink(&ROOT, dir, name, &target)).await?
            }
            _ => loader.finish(|| vfs.mknod(&ROOT, dir, name, ours.mode, ours.rdev)).await?,
        };
        vfs.forget(made.ino, 1);
        if ours.mode & libc::S_IFMT == libc::S_IFREG {
            let mut at = 0;
            while at < ours.size {
                let piece = match read(self.ours, ino, at).await {
                    Ok(piece) if !piece.is_empty() => piece,
                    Ok(_) => break,
                    Err(error) => {
                        loader.finish(|| vfs.unlink(dir, name)).await?;
                        return Ok(Err(error.to_string()));
                    }
                };
                loader.finish(|| vfs.write(made.ino, at, &piece, WriteFlags::default())).await?;
                at += piece.len() as u64;
            }
        }
        self.dress(ino, made.ino, ours).await?;
        self.made.insert(ino, made.ino);
        Ok(Ok(()))
    }

    /// Gives a copy the owner, mode, attributes and times of the original.
    async fn dress(&self, ino: Ino, made: Ino, ours: &Attr) -> FsResult<()> {
        let (vfs, loader) = (&self.theirs.vfs, &self.theirs.loader);
        let list = self.ours.loader.finish(|| self.ours.vfs.listxattr(&ROOT, ino)).await?;
        for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let value = self.ours.loader.finish(|| self.ours.vfs.getxattr(ino, name)).await?;
            loader.finish(|| vfs.setxattr(&ROOT, made, name, &value, XattrMode::Set)).await?;
        }
        let owner = SetAttr { uid: Some(ours.uid), gid: Some(ours.gid), ..SetAttr::default() };
        loader.finish(|| vfs.setattr(&ROOT, made, &owner)).await?;
        let link = ours.mode & libc::S_IFMT == libc::S_IFLNK;
        let rest = SetAttr {
            mode: (!link).then_some(ours.mode & 0o7777),
            atime: Some(SetTime::At(ours.atime)),
            mtime: Some(SetTime::At(ours.mtime)),
            ..SetAttr::default()
        };
        loader.finish(|| vfs.setattr(&ROOT, made, &rest)).await.map(drop)
    }
}

async fn read(side: &Side, ino: Ino, at: u64) -> FsResult<Vec<u8>> {
    side.loader.finish(|| side.vfs.read(ino, at, PIECE)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_copies_keep_their_extension() {
        let name = |name: &str| String::from_utf8(marked(name.as_bytes(), "conflict-1")).unwrap();
        assert_eq!(name("report.txt"), "report.conflict-1.txt");
        assert_eq!(name("Makefile"), "Makefile.conflict-1");
        assert_eq!(name(".profile"), ".profile.conflict-1");
        assert_eq!(name("a.very-long-so-called-extension"), "a.very-long-so-called-extension.conflict-1");
        assert_eq!(marked(&[b'x'; 255], "conflict-1").len(), 255);
    }
}
