//! The books of a commit: live bytes of every pack it changes, and references to every chunk it shares or drops.
//!
//! A chunk lives while at least one extent of the committed tree refers to it; `Shared` counts references from two on. A
//! node, run block or root lives while the committed root reaches it. A pack's `live` is the sum of the sealed lengths of
//! what lives in it; all of it follows from the difference between the records before and after.

use super::extents::chunks;
use super::layer::Layer;
use super::record::{ChunkAddr, Key, KeyKind, PackEntry, Record, Space};
use super::rewrite::Reading;
use super::{Base, Fetch, NodeAddr};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::PackNo;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// A change of the number of references to one chunk.
#[derive(Clone, Copy, Debug)]
struct References {
    stored: u32,
    change: i64,
}

/// Pack entries as the commit changes them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Entries read or made so far; only those in `changed` differ from the base.
    packs: BTreeMap<PackNo, PackEntry>,
    changed: BTreeSet<PackNo>,
    removed: BTreeSet<PackNo>,
    revived: BTreeSet<PackNo>,
    /// Parts of the tree are lost, so accounts may be too: what is missing in them is no error.
    lenient: bool,
}

impl Base {
    /// The committed record of `key`, loading what that needs.
    pub(super) async fn fetch(&self, reading: &Reading<'_>, key: &Key) -> FsResult<Option<Record>> {
        loop {
            match self.get(&reading.tree.nodes, key)? {
                Fetch::Ready(found) => return Ok(found),
                Fetch::Missing(addr) => reading.tree.load(addr, reading.source, reading.keys).await?,
            }
        }
    }
}

impl Ledger {
    /// A ledger for a tree of which parts may be lost.
    pub(super) fn new(lenient: bool) -> Self {
        Self { lenient, ..Self::default() }
    }

    /// Enters a pack that is new with this commit, nothing in it live yet.
    pub(super) fn open_account(&mut self, number: PackNo, entry: PackEntry) -> FsResult<()> {
        if self.packs.insert(number, entry).is_some() {
            return Err(FsError::new(Kind::Internal, format!("pack {number} is entered twice")));
        }
        self.changed.insert(number);
        Ok(())
    }

    /// The entry of a pack as it stands now.
    pub(super) async fn entry(
        &mut self,
        number: PackNo,
        base: &Base,
        reading: &Reading<'_>,
    ) -> FsResult<&mut PackEntry> {
        match self.packs.entry(number) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => match base.fetch(reading, &Key::pack(number)).await? {
                Some(Record::Pack(entry)) => Ok(unknown.insert(entry)),
                _ if self.lenient => Ok(unknown.insert(PackEntry::lost())),
                _ => Err(FsError::new(
                    Kind::Corrupt,
                    format!("the tree refers to pack {number}, which is not in the pack table"),
                )),
            },
        }
    }

    /// Takes the entry into the commit even if nothing changes in it.
    pub(super) async fn touch(&mut self, number: PackNo, base: &Base, reading: &Reading<'_>) -> FsResult<()> {
        self.entry(number, base, reading).await?;
        self.changed.insert(number);
        Ok(())
    }

    async fn add(&mut self, number: PackNo, stored: i64, base: &Base, reading: &Reading<'_>) -> FsResult<()> {
        let lenient = self.lenient;
        let entry = self.entry(number, base, reading).await?;
        let live = entry.live.checked_add_signed(stored).or(lenient.then_some(0));
        entry.live = live.ok_or_else(|| {
            FsError::new(
                Kind::Corrupt,
                format!("pack {number} would have fewer than no live bytes; its accounts are wrong"),
            )
        })?;
        self.changed.insert(number);
        Ok(())
    }

    /// Frees a node, run block or root.
    pub(super) async fn free(&mut self, addr: NodeAddr, base: &Base, reading: &Reading<'_>) -> FsResult<()> {
        self.add(addr.pack, -i64::from(addr.stored), base, reading).await
    }

    /// Accounts for `files` (places in packs only) replacing what the base has, and returns the reference counts that
    /// change. Chunks of packs in `fresh` have no references before this commit.
    pub(super) async fn refer(
        &mut self,
        files: &Layer,
        fresh: &BTreeSet<PackNo>,
        base: &Base,
        reading: &Reading<'_>,
    ) -> FsResult<Layer> {
        let mut changes: BTreeMap<(PackNo, u64), References> = BTreeMap::new();
        let mut count = |record: &Record, by: i64| {
            for chunk in chunks(record) {
                let at = changes.entry((chunk.pack, chunk.offset));
                at.or_insert(References { stored: chunk.stored, change: 0 }).change += by;
            }
        };
        let first_new_inode = match base.fetch(reading, &Key::counters(Space::Files)).await? {
            Some(Record::Counters(counters)) => counters.next,
            _ => u64::MAX,
        };
        for (key, new) in files {
            if key.kind != KeyKind::Extents {
                continue;
            }
            if let Some(new) = new {
                count(new, 1);
            }
            if key.owner.0 < first_new_inode
                && let Some(old) = base.fetch(reading, key).await?
            {
                count(&old, -1);
            }
        }
        let mut shared = Layer::new();
        for ((pack, offset), References { stored, change }) in changes.into_iter().filter(|(_, refs)| refs.change != 0)
        {
            let key = Key::shared(pack, offset);
            // In a dead pack nothing has references: a commit absorbed it, and changes made meanwhile still name it.
            let dead = match base.fetch(reading, &Key::pack(pack)).await? {
                Some(Record::Pack(entry)) => entry.live == 0,
                _ => false,
            };
            let before = if dead || fresh.contains(&pack) {
                0
            } else {
                match base.fetch(reading, &key).await? {
                    Some(Record::Shared(count)) => i64::from(count),
                    _ => 1,
                }
            };
            let after = if self.lenient { (before + change).max(0) } else { before + change };
            let count = u32::try_from(after).map_err(|_| {
                FsError::new(Kind::Corrupt, format!("chunk {offset} of pack {pack} would have {after} references"))
            })?;
            match (before, after) {
                (0, _) => self.add(pack, i64::from(stored), base, reading).await?,
                (_, 0) => self.add(pack, -i64::from(stored), base, reading).await?,
                _ => {}
            }
            if count >= 2 {
                shared.insert(key, Some(Record::Shared(count)));
            } else if before >= 2 {
                shared.insert(key, None);
            }
        }
        Ok(shared)
    }

    /// Accounts for a chunk that moves, with its one reference.
    pub(super) async fn relocate(
        &mut self,
        old: &ChunkAddr,
        new: &ChunkAddr,
        base: &Base,
        reading: &Reading<'_>,
    ) -> FsResult<()> {
        self.add(old.pack, -i64::from(old.stored), base, reading).await?;
        self.add(new.pack, i64::from(new.stored), base, reading).await
    }

    /// Takes a pack out of the table.
    pub(super) fn remove(&mut self, number: PackNo) {
        self.packs.remove(&number);
        self.changed.remove(&number);
        self.removed.insert(number);
    }

    /// Stamps packs that just died, and takes the stamp from those that live again.
    pub(super) fn stamp(&mut self, now_ms: u64) {
        for number in &self.changed {
            let Some(entry) = self.packs.get_mut(number) else { continue };
            if entry.live == 0 {
                entry.dead_since_ms.get_or_insert(now_ms);
                self.revived.remove(number);
            } else if entry.dead_since_ms.take().is_some() {
                self.revived.insert(*number);
            }
        }
    }

    /// The changed entries and marks, as records of the pack table. `except`: the pack whose entry the root implies.
    pub(super) fn records(&self, except: Option<PackNo>) -> Layer {
        let changed = self.changed.iter().filter(|number| Some(**number) != except);
        let entries = changed.filter_map(|number| Some((number, self.packs.get(number)?)));
        let mut out = Layer::new();
        for (number, entry) in entries {
            if entry.live == 0 {
                out.insert(Key::dead(*number), Some(Record::Dead));
            } else if self.revived.contains(number) {
                out.insert(Key::dead(*number), None);
            }
            out.insert(Key::pack(*number), Some(Record::Pack(entry.clone())));
        }
        for number in &self.removed {
            out.insert(Key::pack(*number), None);
            out.insert(Key::dead(*number), None);
        }
        out
    }

    /// Packs whose entries changed so far.
    pub(super) fn changed(&self) -> impl Iterator<Item = (PackNo, &PackEntry)> {
        self.changed.iter().filter_map(|number| Some((*number, self.packs.get(number)?)))
    }
}
