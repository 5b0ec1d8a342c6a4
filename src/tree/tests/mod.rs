//! The tree against a model: random changes, cuts, commits, aborts and reopenings on packs in memory, compared with a
//! plain map and with a full recount of what lives where.

use super::base::Base;
use super::cursor::{Merge, Top};
use super::extents::chunks;
use super::node::Node;
use super::record::{
    Body, ChunkAddr, Counters, Dirent, Extent, GROUP, Inode, Key, PackEntry, Place, Record, Space, SpoolRef,
};
use super::rewrite::{Reading, Shape};
use super::*;
use crate::crypto::MasterKey;
use crate::ids::{DriveUid, Ino, KeyEpoch};
use crate::pack::{MemorySource, Origin, PackWriter, UnitKind};
use crate::seam::SeededRandom;
use futures::executor::block_on;
use std::collections::{BTreeMap, HashMap};

mod damage;
mod golden;
mod model;
mod scale;

const PADDING: u64 = 512;
const SMALL_PACK: u64 = 8192;

fn tiny() -> Shape {
    Shape { target: 400, split: 600, small: 100, runs_floor: 3000, bootstrap_max: 3, log_total: 2048 }
}

/// A drive with everything around the tree that the real one has: chain, network, journal, spool.
struct World {
    keys: KeyRing,
    source: MemorySource,
    tree: Tree,
    shape: Shape,
    cache: usize,
    sequence: u64,
    now_ms: u64,
    gc_delay_ms: u64,
    root: Option<RootRef>,
    log: Vec<Vec<u8>>,
    /// Content of every spool frame.
    spool: HashMap<SpoolRef, Vec<u8>>,
    /// Batches since the last cut, and those of the cut in flight.
    journal: Vec<Batch>,
    cut_journal: Vec<Batch>,
    remap: Moved,
    /// What a reader must see: everything but extents, and the content of every chunk.
    records: BTreeMap<Key, Record>,
    content: BTreeMap<(u64, u64, u8), Vec<u8>>,
    units_written: u64,
    kinds: [u64; 3],
}

impl World {
    fn new(seed: u64, shape: Shape, gc_delay_ms: u64) -> Self {
        let random = Arc::new(SeededRandom::new(seed));
        let master = MasterKey::generate(&*random);
        let mut tree = Tree::new(0);
        tree.shape = shape;
        Self {
            keys: KeyRing::new(DriveUid([3; 32]), KeyEpoch(0), master, random),
            source: MemorySource::default(),
            tree,
            shape,
            cache: 0,
            sequence: 0,
            now_ms: 1000,
            gc_delay_ms,
            root: None,
            log: Vec::new(),
            spool: HashMap::new(),
            journal: Vec::new(),
            cut_journal: Vec::new(),
            remap: Moved::new(),
            records: BTreeMap::new(),
            content: BTreeMap::new(),
            units_written: 0,
            kinds: [0; 3],
        }
    }

    fn get(&self, key: &Key) -> Option<Record> {
        loop {
            match self.tree.get(key).unwrap() {
                Fetch::Ready(found) => return found,
                Fetch::Missing(addr) => block_on(self.tree.load(addr, &self.source, &self.keys)).unwrap(),
            }
        }
    }

    fn apply(&mut self, batch: Batch) {
        for (key, record) in &batch {
            match record {
                Some(Record::Extents(_)) => {}
                Some(record) => drop(self.records.insert(key.clone(), record.clone())),
                None => drop(self.records.remove(key)),
            }
        }
        self.journal.push(batch.clone());
        self.tree.apply(batch);
    }

    fn extents(&self, ino: u64, group: u64) -> Vec<Extent> {
        match self.get(&Key::extents(Ino(ino), group)) {
            Some(Record::Extents(extents)) => extents,
            _ => Vec::new(),
        }
    }

    fn put_inode(&mut self, ino: u64, mode: u32, inline: usize) {
        let body = if inline == 0 { Body::None } else { Body::Inline(vec![mode as u8; inline]) };
        let inode = Inode { mode, size: inline as u64, body, ..Inode::default() };
        let next = match self.get(&Key::counters(Space::Files)) {
            Some(Record::Counters(counters)) => counters.next.max(ino + 1),
            _ => unreachable!("counters always read"),
        };
        let counters = Record::Counters(Counters { next, inodes: 0, bytes: 0 });
        self.apply(vec![
            (Key::counters(Space::Files), Some(counters)),
            (Key::inode(Ino(ino)), Some(Record::Inode(inode))),
        ]);
    }

    /// Writes a chunk (or the first four bytes of it), as the vfs would: a data frame, then the record.
    fn write(&mut self, ino: u64, group: u64, index: u8, seed: u8, partly: bool) {
        if self.get(&Key::inode(Ino(ino))).is_none() {
            self.put_inode(ino, 1, 0);
        }
        let at = SpoolRef { segment: 1, offset: self.spool.len() as u64, len: 100 };
        let mut extents: Vec<Extent> = Vec::new();
        let mut base = None;
        for extent in self.extents(ino, group) {
            for nth in extent.first..extent.first + extent.count {
                if nth == index {
                    base = extent.chunk(nth);
                    if let Place::Spool { base: below, .. } = &extent.place {
                        base = *below;
                    }
                    continue;
                }
                let place = match extent.chunk(nth) {
                    Some(c) => Place::Pack {
                        pack: c.pack,
                        offset: c.offset,
                        lens: vec![c.stored],
                        last: c.plain,
                        birth: c.birth,
                    },
                    None => extent.place.clone(),
                };
                extents.push(Extent { first: nth, count: 1, place });
            }
        }
        let old = self.content.get(&(ino, group, index)).cloned();
        let (content, ranges, base) = match (partly, base, old) {
            (true, Some(base), Some(mut old)) => {
                old[..4].fill(seed);
                (old, vec![(0, 4)], Some(base))
            }
            _ => ((0..40u8).map(|byte| byte.wrapping_mul(seed) ^ ino as u8).collect::<Vec<_>>(), Vec::new(), None),
        };
        self.spool.insert(at, content.clone());
        extents.push(Extent { first: index, count: 1, place: Place::Spool { at, ranges, base } });
        extents.sort_by_key(|extent| extent.first);
        self.content.insert((ino, group, index), content);
        self.apply(vec![(Key::extents(Ino(ino), group), Some(Record::Extents(coalesce(extents))))]);
    }

    fn drop_content(&mut self, ino: u64, group: u64) {
        self.content.retain(|(i, g, _), _| (*i, *g) != (ino, group));
    }

    fn remove(&mut self, ino: u64) {
        let mut batch = vec![(Key::inode(Ino(ino)), None)];
        for group in 0..2 {
            batch.push((Key::extents(Ino(ino), group), None));
            self.drop_content(ino, group);
        }
        self.apply(batch);
    }

    fn clone_group(&mut self, from: u64, to: u64, group: u64) {
        let extents = self.extents(from, group);
        if from == to || extents.is_empty() || self.get(&Key::inode(Ino(to))).is_none() {
            return;
        }
        self.drop_content(to, group);
        let copied: Vec<_> = self
            .content
            .iter()
            .filter(|((i, g, _), _)| (*i, *g) == (from, group))
            .map(|((_, g, n), c)| ((to, *g, *n), c.clone()))
            .collect();
        self.content.extend(copied);
        self.apply(vec![(Key::extents(Ino(to), group), Some(Record::Extents(extents)))]);
    }

    fn freeze(&mut self) -> bool {
        let froze = self.tree.freeze().is_ok();
        if froze {
            self.cut_journal = std::mem::take(&mut self.journal);
        }
        froze
    }

    fn abort(&mut self) {
        if self.tree.frozen().is_some() {
            self.tree.unfreeze();
            let later = std::mem::replace(&mut self.journal, std::mem::take(&mut self.cut_journal));
            self.journal.extend(later);
        }
    }

    fn read_chunk(&self, chunk: ChunkAddr) -> Vec<u8> {
        let entry = loop {
            match self.tree.pack(chunk.pack).unwrap() {
                Fetch::Ready(entry) => break entry.expect("the pack of a chunk is in the table"),
                Fetch::Missing(addr) => block_on(self.tree.load(addr, &self.source, &self.keys)).unwrap(),
            }
        };
        let pack = entry.as_ref();
        let cipher = self.keys.pack_cipher(pack.key_epoch, &pack.salt).unwrap();
        let sealed = block_on(self.source.read(&pack, chunk.offset, chunk.stored)).unwrap();
        let addr = UnitAddr { offset: chunk.offset, stored: chunk.stored, plain: chunk.plain };
        open_unit(&cipher, UnitKind::Chunk, addr, sealed.into()).unwrap()
    }

    fn seal(&self, writer: PackWriter) -> NewPack {
        let sealed = writer.finish().unwrap();
        let blob = self.source.insert(sealed.bytes.clone());
        NewPack { number: sealed.number, pack: sealed.as_ref(blob) }
    }

    fn writer(&self) -> PackWriter {
        PackWriter::new(&self.keys, self.tree.allocate_pack().unwrap(), PADDING).unwrap()
    }

    /// Commits the cut, all steps of the pipeline.
    fn commit(&mut self, finish: bool) {
        let Some(cut) = self.tree.frozen() else { return };
        let sequence = Sequence(self.sequence + 1);
        let (mut moved, mut packs, mut open) = (Moved::new(), Vec::new(), None::<PackWriter>);
        for (key, index, place) in spool_places(&cut) {
            let Place::Spool { at, base, .. } = place else { continue };
            if moved.contains_key(at) {
                continue;
            }
            if let Some(base) = base {
                // Packing a partly overwritten chunk reads its base: it must still be there.
                self.read_chunk(*base);
            }
            if open.as_ref().is_some_and(|writer| writer.units() >= 5) {
                packs.extend(open.take().map(|writer| self.seal(writer)));
            }
            let writer = open.get_or_insert_with(|| self.writer());
            let origin =
                Origin { ino: key.owner, file_offset: (key.num * GROUP + u64::from(index)) << 16, operation: 0 };
            let unit = writer.push(UnitKind::Chunk, &self.spool[at], origin).unwrap();
            let UnitAddr { offset, stored, plain } = unit;
            moved.insert(*at, ChunkAddr { pack: writer.number(), offset, stored, plain, birth: sequence });
        }
        let input = CommitInput {
            sequence,
            now_ms: self.now_ms,
            gc_delay_ms: self.gc_delay_ms,
            moved: moved.clone(),
            packs,
            open: open.as_ref().map(PackWriter::number),
            small_pack: SMALL_PACK,
            sparse: Vec::new(),
        };
        let draft = block_on(self.tree.draft(input, &self.source, &self.keys)).unwrap();
        let (commit, root) = if draft.needs_pack() {
            let mut writer = open.unwrap_or_else(|| self.writer());
            let before = writer.units();
            let commit = block_on(self.tree.commit_root(draft, &mut writer, &self.source, &self.keys)).unwrap();
            self.units_written = writer.units() - before;
            let new = self.seal(writer);
            let root = commit.root_ref(&new.pack);
            (commit, root)
        } else {
            let open = open.map(|writer| self.seal(writer));
            (self.tree.commit_log(draft, open, &self.keys).unwrap(), None)
        };
        if !finish {
            return;
        }
        self.sequence = sequence.0;
        self.log.drain(..commit.log_drop as usize);
        self.log.extend(commit.log_append.clone());
        let total: usize = self.log.iter().map(Vec::len).sum();
        assert!(total <= 16 * 1024 && self.log.iter().all(|entry| entry.len() <= 15 * 1024));
        self.kinds[if commit.root.is_none() { 0 } else { 1 }] += 1;
        self.root = root.or(self.root);
        for (_, entry) in &commit.delete {
            assert!(self.source.remove(&entry.blob_id).is_some(), "a deleted pack was there");
        }
        self.tree.finish_commit(commit, root).unwrap();
        if self.base().root.as_ref().is_some_and(|root| root.files.is_some()) {
            self.kinds[2] += 1;
        }
        self.cut_journal.clear();
        self.remap.extend(moved);
    }

    fn base(&self) -> Arc<Base> {
        self.tree.state.read().base.clone()
    }

    /// A crash: everything but chain, network, journal and spool is gone.
    fn reopen(&mut self) {
        self.abort();
        let drive = DriveState { sequence: Sequence(self.sequence), root: self.root, log: &self.log };
        self.tree = block_on(Tree::open(drive, &self.source, &self.keys, self.cache)).unwrap();
        self.tree.shape = self.shape;
        for batch in self.journal.clone() {
            let mut layer: Layer = batch.into_iter().collect();
            let cut = layer.clone();
            super::extents::substitute(&mut layer, &cut, &self.remap);
            self.tree.apply(layer.into_iter().collect());
        }
    }

    fn scan(&self, from: &Key, to: &Key) -> Vec<(Key, Record)> {
        let mut seen: Vec<(Key, Record)> = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let start = after.clone().unwrap_or_else(|| from.clone());
            let skip = after.clone();
            let scanned = self.tree.scan(&start, to, &mut |key, record| {
                if Some(key) != skip.as_ref() {
                    seen.push((key.clone(), record.clone()));
                }
                ControlFlow::Continue(())
            });
            match scanned.unwrap() {
                Fetch::Ready(()) => return seen,
                Fetch::Missing(addr) => {
                    after = seen.last().map(|(key, _)| key.clone()).or(after);
                    block_on(self.tree.load(addr, &self.source, &self.keys)).unwrap();
                }
            }
        }
    }

    /// Compares everything that can be seen with the model.
    fn check(&self) {
        let all = self.scan(&Key::first_of(Space::Files), &Key::extents(Ino(u64::MAX), u64::MAX));
        let (mut records, mut content) = (BTreeMap::new(), BTreeMap::new());
        for (key, record) in all {
            assert_eq!(self.get(&key).as_ref(), Some(&record), "get and scan agree on {key:?}");
            let Record::Extents(extents) = &record else {
                records.insert(key, record);
                continue;
            };
            for extent in extents {
                for index in extent.first..extent.first + extent.count {
                    let bytes = match &extent.place {
                        Place::Spool { at, .. } => self.spool[at].clone(),
                        Place::Pack { .. } => self.read_chunk(extent.chunk(index).unwrap()),
                    };
                    content.insert((key.owner.0, key.num, index), bytes);
                }
            }
        }
        assert_eq!(records, self.records);
        assert_eq!(content, self.content);
        self.recount();
    }

    fn all_units(&self, top: Top, found: &mut Vec<NodeAddr>) {
        let reading = Reading { tree: &self.tree, source: &self.source, keys: &self.keys };
        let node = block_on(reading.node(top)).unwrap();
        found.push(top.addr);
        if let Node::Index { level, children } = &*node {
            for (_, addr) in children {
                self.all_units(Top { addr: *addr, level: level - 1 }, found);
            }
        }
    }

    /// Live bytes, reference counts and marks, counted from nothing, must equal the books.
    fn recount(&self) {
        let base = self.base();
        let reading = Reading { tree: &self.tree, source: &self.source, keys: &self.keys };
        let mut units = Vec::new();
        for tree in [Space::Table, Space::Files].into_iter().filter_map(|space| base.tree(space)) {
            self.all_units(tree.node.top(false), &mut units);
        }
        for run in base.runs.iter() {
            self.all_units(run.top, &mut units);
        }
        let mut live: BTreeMap<PackNo, u64> = BTreeMap::new();
        for addr in units {
            *live.entry(addr.pack).or_default() += u64::from(addr.stored);
        }
        if let (Some(root), Some(at)) = (&base.root, base.root_ref) {
            *live.entry(root.pack).or_default() += u64::from(at.length);
        }
        let mut references: BTreeMap<(PackNo, u64), (u32, u32)> = BTreeMap::new();
        let (mut entries, mut dead, mut shared) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let mut merge = Merge::new();
        base.merge_into(&mut merge, &Key::first_of(Space::Table), None);
        while let Some((key, record)) = block_on(reading.step(&mut merge)).unwrap() {
            match record {
                Some(Record::Pack(entry)) => drop(entries.insert(PackNo(key.num), entry)),
                Some(Record::Dead) => dead.push(PackNo(key.num)),
                Some(Record::Shared(count)) => drop(shared.insert(key, count)),
                Some(record @ Record::Extents(_)) => {
                    for chunk in chunks(&record) {
                        references.entry((chunk.pack, chunk.offset)).or_insert((chunk.stored, 0)).1 += 1;
                    }
                }
                _ => {}
            }
        }
        for ((pack, offset), (stored, count)) in &references {
            *live.entry(*pack).or_default() += u64::from(*stored);
            let booked = shared.remove(&Key::shared(*pack, *offset)).unwrap_or(1);
            assert_eq!(booked, *count, "references to {offset} of pack {pack}");
        }
        assert!(shared.is_empty(), "no reference counts of chunks that are gone: {shared:?}");
        for (number, entry) in &entries {
            let PackEntry { live: booked, dead_since_ms, blob_id, size, .. } = entry;
            assert_eq!(*booked, live.remove(number).unwrap_or(0), "live bytes of pack {number}");
            assert_eq!(dead_since_ms.is_some(), *booked == 0, "pack {number}");
            let known = dead.contains(number) || base.bootstrap.contains_key(&Key::pack(*number));
            assert!(*booked > 0 || known, "dead pack {number} can be found");
            let bytes = self.source.bytes(blob_id).expect("a pack in the table exists");
            assert_eq!(*size, bytes.len() as u64, "size of pack {number}");
        }
        assert!(live.is_empty(), "live bytes in packs that are not in the table: {live:?}");
        for number in dead {
            assert_eq!(entries[&number].live, 0, "the mark of pack {number}");
        }
    }
}
