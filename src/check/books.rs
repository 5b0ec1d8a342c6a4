//! The pack table against what lives in packs: chunks that files refer to, and units of the tree.

use super::deep::{Piece, pieces};
use super::fault::{Fault, Finding, Report};
use crate::ids::{CHUNK, Ino, PackNo};
use crate::tree::record::{Batch, Key, KeyKind, PackEntry, Record};
use std::collections::{BTreeMap, BTreeSet};

/// One reference of a file to a chunk.
#[derive(Clone, Copy, Debug)]
struct Reference {
    offset: u64,
    stored: u32,
}

/// Everything that is known about packs; 16 bytes per chunk that a file refers to.
pub(crate) struct Books {
    packs: BTreeMap<PackNo, PackEntry>,
    dead: BTreeSet<PackNo>,
    shared: BTreeMap<(PackNo, u64), u32>,
    references: BTreeMap<PackNo, Vec<Reference>>,
    /// Sealed bytes of the tree's own units, by pack.
    units: BTreeMap<PackNo, u64>,
    /// Chunks of files in packs that the table does not know.
    unknown: BTreeMap<(Ino, PackNo), u64>,
    /// Chunks of files in packs that are lost: how many, and where in the file the first begins.
    lost: BTreeMap<Ino, (u64, u64)>,
    chunks: u64,
    /// What the table should hold where it holds something else; known after [`Books::judge`].
    corrections: BTreeMap<Key, Option<Record>>,
}

impl Books {
    /// Books of a drive whose tree takes `units` sealed bytes by pack.
    pub(super) fn new(units: BTreeMap<PackNo, u64>) -> Self {
        Self {
            packs: BTreeMap::new(),
            dead: BTreeSet::new(),
            shared: BTreeMap::new(),
            references: BTreeMap::new(),
            units,
            unknown: BTreeMap::new(),
            lost: BTreeMap::new(),
            chunks: 0,
            corrections: BTreeMap::new(),
        }
    }

    /// Takes in one record of the table.
    pub(super) fn enter(&mut self, key: &Key, record: &Record) {
        let pack = PackNo(key.num);
        match (key.kind, record) {
            (KeyKind::Pack, Record::Pack(entry)) => drop(self.packs.insert(pack, entry.clone())),
            (KeyKind::Dead, _) => drop(self.dead.insert(pack)),
            (KeyKind::Shared, Record::Shared(count)) => {
                if let Ok(offset) = <[u8; 8]>::try_from(&*key.name) {
                    self.shared.insert((pack, u64::from_be_bytes(offset)), *count);
                }
            }
            _ => {}
        }
    }

    /// Takes in the chunks of one record of the files' tree.
    pub(super) fn refer(&mut self, key: &Key, record: &Record) {
        for Piece { ino, index, at } in pieces(key, record) {
            self.chunks += 1;
            let Some(entry) = self.packs.get(&at.pack) else {
                *self.unknown.entry((ino, at.pack)).or_default() += 1;
                continue;
            };
            if entry.is_lost() {
                let first = index.saturating_mul(CHUNK as u64);
                let known = self.lost.entry(ino).or_insert((0, first));
                *known = (known.0 + 1, known.1.min(first));
            }
            let reference = Reference { offset: at.offset, stored: at.stored };
            self.references.entry(at.pack).or_default().push(reference);
        }
    }

    /// Packs with a blob.
    pub(super) fn named_blobs(&self) -> impl Iterator<Item = (PackNo, &PackEntry)> {
        self.packs.iter().filter(|(_, entry)| !entry.is_lost()).map(|(number, entry)| (*number, entry))
    }

    /// Whether the table has an entry for a pack.
    pub(super) fn knows(&self, pack: PackNo) -> bool {
        self.packs.contains_key(&pack)
    }

    /// The highest number of a pack that anything names.
    pub(super) fn highest(&self) -> PackNo {
        let unknown = self.unknown.keys().map(|(_, pack)| *pack);
        self.packs.keys().chain(self.units.keys()).copied().chain(unknown).max().unwrap_or(PackNo(0))
    }

    /// Packs that files refer to and the table does not know.
    pub(super) fn unknown_packs(&self) -> BTreeSet<PackNo> {
        self.unknown.keys().map(|(_, pack)| *pack).collect()
    }

    /// Records of the table as they should be, where they are not.
    pub(super) fn corrections(&self) -> Batch {
        self.corrections.iter().map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// Compares what was entered.
    pub(super) fn judge(&mut self, report: &mut Report) {
        report.chunks = self.chunks;
        let mut found = Vec::new();
        for ((ino, pack), chunks) in &self.unknown {
            found.push(Fault::UnknownPack { ino: ino.0, pack: pack.0, chunks: *chunks });
        }
        for (ino, (chunks, first)) in &self.lost {
            let why = "the pack that held them is lost".to_owned();
            found.push(Fault::LostContent { ino: ino.0, chunks: *chunks, first: *first, why });
        }
        let mut shares: BTreeMap<(PackNo, u64), u32> = BTreeMap::new();
        let mut marks = Vec::new();
        for (number, entry) in &self.packs {
            let mut references = self.references.remove(number).unwrap_or_default();
            references.sort_unstable_by_key(|reference| reference.offset);
            let mut live = self.units.get(number).copied().unwrap_or_default();
            for same in references.chunk_by(|a, b| a.offset == b.offset) {
                live = live.saturating_add(same.first().map_or(0, |first| u64::from(first.stored)));
                if let Some(count) = u32::try_from(same.len()).ok().filter(|count| *count >= 2) {
                    shares.insert((*number, same[0].offset), count);
                }
            }
            if entry.live != live {
                found.push(Fault::WrongLive { pack: number.0, has: entry.live, should: live });
                let dead_since_ms = if live == 0 { entry.dead_since_ms } else { None };
                let right = PackEntry { live, dead_since_ms, ..entry.clone() };
                self.corrections.insert(Key::pack(*number), Some(Record::Pack(right)));
            }
            let marked = self.dead.contains(number);
            // A root's own pack, and others among the bootstrap entries, may be dead without a mark.
            if marked && live > 0 || live == 0 && !marked && entry.dead_since_ms.is_none() {
                found.push(Fault::WrongDeadMark { pack: number.0 });
                marks.push((*number, live));
            }
        }
        for (number, live) in marks {
            self.mark(number, live);
        }
        for number in self.dead.difference(&self.packs.keys().copied().collect()) {
            found.push(Fault::WrongDeadMark { pack: number.0 });
            self.corrections.insert(Key::dead(*number), None);
        }
        let places: BTreeSet<(PackNo, u64)> = self.shared.keys().chain(shares.keys()).copied().collect();
        for place in places {
            let (has, should) = (self.shared.get(&place), shares.get(&place));
            if has == should {
                continue;
            }
            let (pack, offset) = place;
            let (has, counted) = (has.copied().unwrap_or(1), should.copied().unwrap_or(1));
            found.push(Fault::WrongShare { pack: pack.0, offset, has, should: counted });
            self.corrections.insert(Key::shared(pack, offset), should.map(|count| Record::Shared(*count)));
        }
        report.findings.extend(found.into_iter().map(Finding::new));
    }

    /// Corrects the mark of a pack, and the time since when it has no live bytes.
    fn mark(&mut self, number: PackNo, live: u64) {
        self.corrections.insert(Key::dead(number), (live == 0).then_some(Record::Dead));
        let Some(entry) = self.packs.get(&number) else { return };
        let dead_since_ms = if live == 0 { entry.dead_since_ms.or(Some(0)) } else { None };
        let right = PackEntry { live, dead_since_ms, ..entry.clone() };
        self.corrections.insert(Key::pack(number), Some(Record::Pack(right)));
    }

    /// The table without a pack whose blob is gone.
    pub(super) fn strike(&mut self, number: PackNo) {
        self.corrections.insert(Key::pack(number), None);
        self.corrections.insert(Key::dead(number), None);
    }

    /// Corrects the size of a pack.
    pub(super) fn resize(&mut self, number: PackNo, size: u64) {
        let known = match self.corrections.get(&Key::pack(number)) {
            Some(Some(Record::Pack(entry))) => Some(entry.clone()),
            _ => self.packs.get(&number).cloned(),
        };
        if let Some(entry) = known {
            self.corrections.insert(Key::pack(number), Some(Record::Pack(PackEntry { size, ..entry })));
        }
    }
}
