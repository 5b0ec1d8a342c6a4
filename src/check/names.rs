//! Inodes and names: every record of the files' tree is entered once, in the order of its key, then all is compared.

use super::Subject;
use super::fault::{Fault, Finding, Report};
use super::scan::{after_inode, each};
use crate::error::FsResult;
use crate::ids::Ino;
use crate::tree::record::{Counters, DIRENT_PROBE, Dirent, Inode, Key, KeyKind, Record};
use crate::vfs::Slots;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What was seen of one inode; about 80 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// What its record says; `None` when there is no record.
    pub(super) inode: Option<Brief>,
    /// Names.
    pub(super) names: u32,
    /// The first directory that names it.
    pub(super) dir: Ino,
    /// Entries of a directory.
    pub(super) entries: u64,
    /// Subdirectories among them.
    pub(super) subdirs: u32,
    /// Chunks with a place.
    pub(super) chunks: u64,
    /// Records besides the inode.
    pub(super) records: u64,
    /// Whether it is marked as unlinked.
    pub(super) orphan: bool,
    /// The type that its names say; 0 when it has none, `u8::MAX` when they disagree.
    pub(super) named_type: u8,
}

/// The checked part of an inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief {
    pub(super) mode: u32,
    pub(super) nlink: u32,
    pub(super) size: u64,
    pub(super) chunks: u64,
    pub(super) parent: Ino,
}

impl Brief {
    fn of(inode: &Inode) -> Self {
        let Inode { mode, nlink, size, chunks, parent, .. } = *inode;
        Self { mode, nlink, size, chunks, parent }
    }

    pub(super) fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// The `DT_*` number of its type.
    pub(super) fn kind(&self) -> u8 {
        ((self.mode & libc::S_IFMT) >> 12) as u8
    }
}

const DIR: u8 = (libc::S_IFDIR >> 12) as u8;

/// Everything that the files' tree holds, in brief.
pub(crate) struct Names {
    slots: Slots,
    pub(super) inodes: HashMap<Ino, Seen>,
    counters: Option<Counters>,
    bytes: u64,
    /// Entries that a lookup does not find: directory and slot.
    misplaced: Vec<(Ino, u64)>,
    /// Entries that repeat a name, and the slots of the directory that is being entered.
    repeated: Vec<(Ino, u64)>,
    recent: Vec<(u64, Box<[u8]>)>,
    recent_dir: Ino,
    /// Directories that are not reached from the root; known after [`Names::judge`].
    pub(super) cut_off: Vec<Ino>,
}

impl Names {
    pub(super) fn new(slots: Slots) -> Self {
        Self {
            slots,
            inodes: HashMap::new(),
            counters: None,
            bytes: 0,
            misplaced: Vec::new(),
            repeated: Vec::new(),
            recent: Vec::new(),
            recent_dir: Ino::DRIVE,
            cut_off: Vec::new(),
        }
    }

    /// Takes in one record; records come in the order of their keys.
    pub(super) fn enter(&mut self, key: &Key, record: &Record) {
        match record {
            Record::Counters(counters) => self.counters = Some(*counters),
            Record::Orphan => self.inodes.entry(Ino(key.num)).or_default().orphan = true,
            Record::Inode(inode) => {
                let brief = Brief::of(inode);
                if brief.is_file() {
                    self.bytes = self.bytes.saturating_add(brief.size);
                }
                self.inodes.entry(key.owner).or_default().inode = Some(brief);
            }
            Record::Dirent(entry) => self.enter_name(key, entry),
            Record::Extents(extents) => {
                let seen = self.inodes.entry(key.owner).or_default();
                seen.records += 1;
                seen.chunks += extents.iter().map(|extent| u64::from(extent.count)).sum::<u64>();
            }
            _ => self.inodes.entry(key.owner).or_default().records += 1,
        }
    }

    fn enter_name(&mut self, key: &Key, entry: &Dirent) {
        let (dir, slot) = (key.owner, key.num);
        let first = self.slots.first(&entry.name);
        // A lookup scans the whole probe range, holes and all.
        if !(first..first + DIRENT_PROBE).contains(&slot) {
            self.misplaced.push((dir, slot));
        }
        if self.recent_dir != dir {
            (self.recent_dir, self.recent) = (dir, Vec::new());
        }
        // The same name lies in the same sixteen slots.
        self.recent.retain(|(recent, _)| slot - recent < DIRENT_PROBE);
        if self.recent.iter().any(|(_, name)| **name == entry.name[..]) {
            self.repeated.push((dir, slot));
        }
        self.recent.push((slot, entry.name.clone().into()));
        let seen = self.inodes.entry(dir).or_default();
        seen.records += 1;
        seen.entries += 1;
        seen.subdirs += u32::from(entry.kind == DIR);
        let named = self.inodes.entry(entry.ino).or_default();
        if named.names == 0 {
            (named.dir, named.named_type) = (dir, entry.kind);
        } else if named.named_type != entry.kind {
            named.named_type = u8::MAX;
        }
        named.names = named.names.saturating_add(1);
    }

    /// Compares what was entered.
    pub(super) fn judge(&mut self, report: &mut Report) {
        let mut found = Vec::new();
        for (ino, slot) in &self.misplaced {
            found.push(Fault::WrongSlot { ino: ino.0, slot: *slot });
        }
        for (ino, slot) in &self.repeated {
            found.push(Fault::DuplicateName { ino: ino.0, slot: *slot });
        }
        let empty = self.inodes.is_empty() && self.counters.is_none();
        if !empty && self.inodes.get(&Ino::ROOT).is_none_or(|root| root.inode.is_none()) {
            found.push(Fault::NoRoot);
        }
        let mut inodes = 0;
        let mut highest = Ino::ROOT;
        let mut all: Vec<(&Ino, &Seen)> = self.inodes.iter().collect();
        all.sort_by_key(|(ino, _)| **ino);
        for (ino, seen) in all {
            highest = highest.max(*ino);
            inodes += u64::from(seen.inode.is_some() && *ino != Ino::ROOT);
            judge_inode(*ino, seen, &mut found);
        }
        self.cut_off = self.unreached();
        found.extend(self.cut_off.iter().map(|ino| Fault::Unreachable { ino: ino.0 }));
        let counters = self.counters.unwrap_or(Counters { next: Ino::ROOT.0 + 1, inodes: 0, bytes: 0 });
        if counters.next <= highest.0 && !empty {
            let should = highest.0.saturating_add(1);
            found.push(Fault::WrongCounter { counter: "next", has: counters.next, should });
        }
        for (counter, has, should) in [("inodes", counters.inodes, inodes), ("bytes", counters.bytes, self.bytes)] {
            if has != should {
                found.push(Fault::WrongCounter { counter, has, should });
            }
        }
        report.inodes = inodes + u64::from(!empty);
        report.findings.extend(found.into_iter().map(Finding::new));
    }

    /// Directories that no path from the root leads to, although something names them: a circle.
    fn unreached(&self) -> Vec<Ino> {
        let mut reached = HashSet::from([Ino::ROOT]);
        let mut cut_off = HashSet::new();
        for (start, seen) in &self.inodes {
            if !seen.inode.is_some_and(|inode| inode.is_dir()) || seen.names == 0 {
                continue;
            }
            let mut way = Vec::new();
            let mut at = *start;
            let lost = loop {
                if reached.contains(&at) {
                    break false;
                }
                let next = self.inodes.get(&at).filter(|seen| seen.names > 0);
                // What leads to an inode without a name is that inode's own fault.
                let Some(next) = next else { break false };
                if cut_off.contains(&at) || way.contains(&at) {
                    break true;
                }
                way.push(at);
                at = next.dir;
            };
            if lost { cut_off.extend(way) } else { reached.extend(way) }
        }
        // One directory of each circle is enough to mend it; the others hang below it.
        let mut found: Vec<Ino> = cut_off.iter().copied().filter(|ino| self.closes_circle(*ino)).collect();
        found.sort_unstable();
        found
    }

    /// Whether `ino` is the smallest directory of a circle.
    fn closes_circle(&self, ino: Ino) -> bool {
        let mut at = ino;
        for _ in 0..self.inodes.len() {
            let Some(seen) = self.inodes.get(&at) else { return false };
            at = seen.dir;
            if at == ino {
                return true;
            }
            if at < ino {
                return false;
            }
        }
        false
    }

    /// A path of each of `wanted`, as far as one can be found.
    pub(super) async fn paths(&self, subject: Subject<'_>, wanted: &BTreeSet<Ino>) -> FsResult<BTreeMap<Ino, String>> {
        let mut known: HashMap<Ino, Option<Vec<u8>>> = HashMap::from([(Ino::ROOT, Some(Vec::new()))]);
        let mut paths = BTreeMap::new();
        for ino in wanted {
            let mut way = Vec::new();
            let mut at = *ino;
            while !known.contains_key(&at) && !way.contains(&at) {
                let Some(seen) = self.inodes.get(&at).filter(|seen| seen.names > 0) else { break };
                way.push(at);
                at = seen.dir;
            }
            for at in way.into_iter().rev() {
                let dir = self.inodes.get(&at).map_or(Ino::DRIVE, |seen| seen.dir);
                let name = self.name_in(subject, dir, at).await?;
                let path =
                    known.get(&dir).cloned().flatten().zip(name).map(|(path, name)| [&path[..], b"/", &name].concat());
                known.insert(at, path);
            }
            if let Some(Some(path)) = known.get(ino) {
                let path = if path.is_empty() { "/".into() } else { String::from_utf8_lossy(path).into_owned() };
                paths.insert(*ino, path);
            }
        }
        Ok(paths)
    }

    async fn name_in(&self, subject: Subject<'_>, dir: Ino, ino: Ino) -> FsResult<Option<Vec<u8>>> {
        let mut name = None;
        each(subject, &Key::dirent(dir, 0), after_inode(dir).as_ref(), |key, record| {
            if let (KeyKind::Dirent, Record::Dirent(entry)) = (key.kind, record)
                && entry.ino == ino
                && name.is_none()
            {
                name = Some(entry.name.clone());
            }
        })
        .await?;
        Ok(name)
    }
}

/// What is wrong with one inode.
fn judge_inode(ino: Ino, seen: &Seen, found: &mut Vec<Fault>) {
    let number = ino.0;
    let Some(inode) = seen.inode else {
        if seen.names > 0 {
            found.push(Fault::DanglingNames { ino: number, names: seen.names });
        }
        if seen.records > 0 {
            found.push(Fault::StrayRecords { ino: number, records: seen.records, chunks: seen.chunks });
        }
        if seen.orphan {
            found.push(Fault::WrongOrphan { ino: number });
        }
        return;
    };
    if seen.names > 0 && seen.named_type != inode.kind() {
        found.push(Fault::WrongType { ino: number });
    }
    if seen.names > 0 && seen.orphan {
        found.push(Fault::WrongOrphan { ino: number });
    }
    if seen.names == 0 && !seen.orphan && ino != Ino::ROOT {
        found.push(Fault::NoName { ino: number });
    }
    let links = match (inode.is_dir(), seen.names) {
        (true, 0) if ino != Ino::ROOT => 0,
        (true, _) => seen.subdirs.saturating_add(2),
        (false, names) => names,
    };
    // An inode without a name gets one, and then the right number.
    let nameless = seen.names == 0 && !seen.orphan && ino != Ino::ROOT;
    if inode.nlink != links && !nameless {
        found.push(Fault::WrongLinks { ino: number, has: inode.nlink, should: links });
    }
    if inode.is_dir() {
        if ino != Ino::ROOT && seen.names > 1 {
            found.push(Fault::SecondName { ino: number });
        }
        let parent = if ino == Ino::ROOT { Ino::ROOT } else { seen.dir };
        if (seen.names > 0 || ino == Ino::ROOT) && inode.parent != parent {
            found.push(Fault::WrongParent { ino: number, has: inode.parent.0, should: parent.0 });
        }
        if inode.size != seen.entries {
            found.push(Fault::WrongEntries { ino: number, has: inode.size, should: seen.entries });
        }
    }
    if inode.chunks != seen.chunks {
        found.push(Fault::WrongChunks { ino: number, has: inode.chunks, should: seen.chunks });
    }
}
