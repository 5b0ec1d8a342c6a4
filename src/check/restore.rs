//! Names and inodes: from what was found to the records that put it right.

use super::fault::Fault;
use super::names::Names;
use super::scan::{each, get};
use super::{Examined, Subject};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{CHUNK, Ino};
use crate::tree::record::{Batch, Counters, DIRENT_PROBE, Dirent, Extent, GROUP, Inode, Key, Place, Record, Space};
use crate::vfs::Slots;
use std::collections::{BTreeMap, BTreeSet};

const DIR: u8 = (libc::S_IFDIR >> 12) as u8;

/// The directory for what has lost its name.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// One entry of a directory.
#[derive(Clone, Debug)]
struct Entry {
    dir: Ino,
    slot: u64,
    entry: Dirent,
}

/// Makes the records that put names and inodes right. Structure first; numbers are corrected only when the structure is
/// whole, because they follow from it.
pub(super) struct Restorer<'a> {
    subject: Subject<'a>,
    slots: Slots,
    names: &'a Names,
    faults: Vec<Fault>,
    edits: BTreeMap<Key, Option<Record>>,
    /// Entries that some fault is about, by the inode that they name.
    entries: BTreeMap<Ino, Vec<Entry>>,
    next: u64,
    home: Option<Ino>,
    done: BTreeMap<&'static str, u64>,
}

impl<'a> Restorer<'a> {
    pub(super) async fn new(subject: Subject<'a>, examined: &'a Examined) -> FsResult<Self> {
        let faults: Vec<Fault> = examined.report.findings.iter().map(|finding| finding.fault.clone()).collect();
        let about: BTreeSet<Ino> = faults.iter().filter_map(Fault::inode).collect();
        let mut entries: BTreeMap<Ino, Vec<Entry>> = BTreeMap::new();
        let mut highest = Ino::ROOT.0;
        if !about.is_empty() {
            each(subject, &Key::first_of(Space::Files), None, |key, record| {
                highest = highest.max(key.owner.0);
                if let Record::Dirent(entry) = record {
                    highest = highest.max(entry.ino.0);
                    if about.contains(&entry.ino) {
                        let found = Entry { dir: key.owner, slot: key.num, entry: entry.clone() };
                        entries.entry(entry.ino).or_default().push(found);
                    }
                }
            })
            .await?;
        }
        let next = match get(subject, &Key::counters(Space::Files)).await? {
            Some(Record::Counters(counters)) => counters.next.max(highest.saturating_add(1)),
            _ => highest.saturating_add(1),
        };
        Ok(Self {
            subject,
            slots: Slots::new(&subject.uid),
            names: &examined.names,
            faults,
            edits: BTreeMap::new(),
            entries,
            next,
            home: None,
            done: BTreeMap::new(),
        })
    }

    /// The records, and what they do.
    pub(super) fn finish(self) -> (Batch, Vec<String>) {
        let done = self.done.into_iter().map(|(what, count)| format!("{what}: {count}")).collect();
        (self.edits.into_iter().collect(), done)
    }

    pub(super) async fn run(&mut self) -> FsResult<()> {
        for fault in self.faults.clone() {
            self.structure(&fault).await?;
        }
        if self.edits.is_empty() {
            for fault in self.faults.clone() {
                self.number(&fault).await?;
            }
        }
        Ok(())
    }

    fn did(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    async fn get(&self, key: &Key) -> FsResult<Option<Record>> {
        match self.edits.get(key) {
            Some(edit) => Ok(edit.clone()),
            None => get(self.subject, key).await,
        }
    }

    async fn inode(&self, ino: Ino) -> FsResult<Option<Inode>> {
        Ok(match self.get(&Key::inode(ino)).await? {
            Some(Record::Inode(inode)) => Some(inode),
            _ => None,
        })
    }

    fn put(&mut self, key: Key, record: Record) {
        self.edits.insert(key, Some(record));
    }

    fn remove(&mut self, key: Key) {
        self.edits.insert(key, None);
    }

    fn named(&self, ino: u64) -> Vec<Entry> {
        self.entries.get(&Ino(ino)).cloned().unwrap_or_default()
    }

    async fn structure(&mut self, fault: &Fault) -> FsResult<()> {
        match *fault {
            Fault::NoRoot => {
                self.put(Key::inode(Ino::ROOT), Record::Inode(directory(Ino::ROOT, 0o755)));
                self.did("root directories made");
            }
            Fault::StrayRecords { ino, .. } => self.revive(Ino(ino)).await?,
            Fault::DanglingNames { ino, .. } => {
                let revived = self.names.inodes.get(&Ino(ino)).is_some_and(|seen| seen.records > 0);
                for found in self.named(ino).iter().filter(|_| !revived) {
                    self.remove(Key::dirent(found.dir, found.slot));
                    self.did("names removed whose inodes are lost");
                }
            }
            Fault::NoName { ino } => {
                self.take_in(Ino(ino)).await?;
            }
            Fault::Unreachable { ino } => {
                for found in self.named(ino) {
                    self.remove(Key::dirent(found.dir, found.slot));
                }
                self.take_in(Ino(ino)).await?;
            }
            Fault::SecondName { ino } => {
                for found in self.named(ino).iter().skip(1) {
                    self.remove(Key::dirent(found.dir, found.slot));
                    self.did("second names of directories removed");
                }
            }
            Fault::WrongType { ino } => {
                let Some(inode) = self.inode(Ino(ino)).await? else { return Ok(()) };
                let kind = ((inode.mode & libc::S_IFMT) >> 12) as u8;
                for found in self.named(ino) {
                    let entry = Dirent { kind, ..found.entry };
                    self.put(Key::dirent(found.dir, found.slot), Record::Dirent(entry));
                    self.did("types of names corrected");
                }
            }
            Fault::WrongSlot { ino, slot } => self.move_entry(Ino(ino), slot, false).await?,
            Fault::DuplicateName { ino, slot } => self.move_entry(Ino(ino), slot, true).await?,
            Fault::WrongOrphan { ino } => {
                self.remove(Key::orphan(Ino(ino)));
                self.did("marks of unlinked inodes removed");
            }
            _ => {}
        }
        Ok(())
    }

    async fn number(&mut self, fault: &Fault) -> FsResult<()> {
        if let Fault::WrongCounter { counter, should, .. } = fault {
            let counters = match self.get(&Key::counters(Space::Files)).await? {
                Some(Record::Counters(counters)) => counters,
                _ => Counters { next: self.next, ..Counters::default() },
            };
            let counters = match *counter {
                "next" => Counters { next: *should, ..counters },
                "inodes" => Counters { inodes: *should, ..counters },
                _ => Counters { bytes: *should, ..counters },
            };
            self.put(Key::counters(Space::Files), Record::Counters(counters));
            self.did("counters corrected");
            return Ok(());
        }
        let Some(ino) = fault.inode() else { return Ok(()) };
        let Some(mut inode) = self.inode(ino).await? else { return Ok(()) };
        match *fault {
            Fault::WrongLinks { should, .. } => inode.nlink = should,
            Fault::WrongParent { should, .. } => inode.parent = Ino(should),
            Fault::WrongEntries { should, .. } => inode.size = should,
            Fault::WrongChunks { should, .. } => inode.chunks = should,
            _ => return Ok(()),
        }
        self.put(Key::inode(ino), Record::Inode(inode));
        self.did("numbers of inodes corrected");
        Ok(())
    }

    /// Makes an inode for records that have lost theirs: what it was follows from them and from the names that are left.
    async fn revive(&mut self, ino: Ino) -> FsResult<()> {
        let (mut entries, mut end, mut chunks) = (0, 0, 0);
        let last = super::scan::after_inode(ino);
        each(self.subject, &Key::inode(ino), last.as_ref(), |key, record| match record {
            Record::Dirent(_) => entries += 1,
            Record::Extents(extents) => {
                chunks += extents.iter().map(|extent| u64::from(extent.count)).sum::<u64>();
                end = extents.iter().map(|extent| end_of(key.num, extent)).fold(end, u64::max);
            }
            _ => {}
        })
        .await?;
        let named = self.named(ino.0);
        let is_dir = entries > 0 || named.first().is_some_and(|found| found.entry.kind == DIR);
        let mut inode = if is_dir { directory(Ino::DRIVE, 0o700) } else { Inode::default() };
        if is_dir {
            inode.size = entries;
        } else {
            inode = Inode { mode: libc::S_IFREG | 0o600, size: end, chunks, ..inode };
        }
        inode.nlink = inode.nlink.max(u32::try_from(named.len()).unwrap_or(u32::MAX));
        inode.parent = named.first().filter(|_| is_dir).map_or(Ino::DRIVE, |found| found.dir);
        self.put(Key::inode(ino), Record::Inode(inode));
        self.did("inodes made for content that had lost them");
        if named.is_empty() {
            self.take_in(ino).await?;
        }
        Ok(())
    }

    /// Gives an inode a name in `lost+found`.
    async fn take_in(&mut self, ino: Ino) -> FsResult<()> {
        let home = match self.home {
            Some(home) => home,
            None => self.lost_and_found().await?,
        };
        let Some(mut inode) = self.inode(ino).await? else { return Ok(()) };
        let is_dir = inode.mode & libc::S_IFMT == libc::S_IFDIR;
        inode.nlink = if is_dir { inode.nlink.max(2) } else { 1 };
        if is_dir {
            inode.parent = home;
        }
        let kind = ((inode.mode & libc::S_IFMT) >> 12) as u8;
        self.put(Key::inode(ino), Record::Inode(inode));
        self.remove(Key::orphan(ino));
        self.enter(home, Dirent { name: format!("#{ino}").into_bytes(), ino, kind }).await?;
        self.did("inodes put into lost+found");
        Ok(())
    }

    async fn lost_and_found(&mut self) -> FsResult<Ino> {
        let first = self.slots.first(LOST_AND_FOUND);
        for slot in first..first + DIRENT_PROBE {
            if let Some(Record::Dirent(entry)) = self.get(&Key::dirent(Ino::ROOT, slot)).await?
                && entry.name == LOST_AND_FOUND
                && entry.kind == DIR
            {
                self.home = Some(entry.ino);
                return Ok(entry.ino);
            }
        }
        let ino = Ino(self.next);
        self.next = self.next.saturating_add(1);
        let counters = match self.get(&Key::counters(Space::Files)).await? {
            Some(Record::Counters(counters)) => counters,
            _ => Counters::default(),
        };
        self.put(Key::counters(Space::Files), Record::Counters(Counters { next: self.next, ..counters }));
        self.put(Key::inode(ino), Record::Inode(directory(Ino::ROOT, 0o700)));
        self.enter(Ino::ROOT, Dirent { name: LOST_AND_FOUND.to_vec(), ino, kind: DIR }).await?;
        self.home = Some(ino);
        Ok(ino)
    }

    /// Puts an entry into the slot where a lookup finds it, under another name when its own is taken.
    async fn enter(&mut self, dir: Ino, mut entry: Dirent) -> FsResult<()> {
        let wanted = entry.name.clone();
        for attempt in 0u32.. {
            if attempt > 0 {
                let suffix = format!(".#{}-{attempt}", entry.ino).into_bytes();
                let room = crate::vfs::NAME_MAX.saturating_sub(suffix.len()).min(wanted.len());
                entry.name = [&wanted[..room], &suffix[..]].concat();
            }
            let first = self.slots.first(&entry.name);
            let (mut free, mut taken) = (None, false);
            for slot in first..first + DIRENT_PROBE {
                match self.get(&Key::dirent(dir, slot)).await? {
                    Some(Record::Dirent(other)) => taken |= other.name == entry.name,
                    _ => free = free.or(Some(slot)),
                }
            }
            if let (Some(slot), false) = (free, taken) {
                self.put(Key::dirent(dir, slot), Record::Dirent(entry));
                return Ok(());
            }
            if attempt > 100 {
                break;
            }
        }
        Err(FsError::new(Kind::Internal, format!("no name could be found in directory {dir} for inode {}", entry.ino)))
    }

    /// Moves an entry to where a lookup finds it.
    async fn move_entry(&mut self, dir: Ino, slot: u64, rename: bool) -> FsResult<()> {
        let key = Key::dirent(dir, slot);
        let Some(Record::Dirent(entry)) = self.get(&key).await? else { return Ok(()) };
        // In the place of a repeated name the first one stays, so that the name is found to be taken.
        self.remove(key);
        self.enter(dir, entry).await?;
        self.did(if rename { "repeated names changed" } else { "names put where they are found" });
        Ok(())
    }
}

/// Where an extent ends in its file, bytes.
fn end_of(group: u64, extent: &Extent) -> u64 {
    let before = extent.first.saturating_add(extent.count).saturating_sub(1);
    let start = group.saturating_mul(GROUP).saturating_add(u64::from(before)).saturating_mul(CHUNK as u64);
    let last = match extent.place {
        Place::Pack { last, .. } => last,
        Place::Spool { at, .. } => at.len,
    };
    start.saturating_add(u64::from(last))
}

fn directory(parent: Ino, mode: u32) -> Inode {
    Inode { mode: libc::S_IFDIR | mode, nlink: 2, parent, ..Inode::default() }
}
