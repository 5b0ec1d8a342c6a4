//! A tree gathered from packs: for a drive whose root, or whose way to the pack table, is lost.
//!
//! Why it exists: everything is found from the root, which lies in one pack. When that pack is lost, nearly all nodes and
//! all content are still there, but nothing says where.
//!
//! Mechanism: the index of a pack tells what its units are, and a commit that writes nodes writes all of them into one
//! pack, its root with them. So all nodes are read, and ordered by the sequence of the commits that wrote them. Every tree
//! that a commit left has one highest node in that commit's pack; walking down from it gives each node the exact range of
//! keys that it answers for. Then, for each key, newest first: the Drive's log; delta runs written after leaves were last
//! merged; leaves, where one hides everything older in its whole range, so that what was removed stays removed. Ranges that
//! no readable leaf answers for are gaps.
//!
//! The result stands in memory as one layer: about as much as all nodes of the pool take. It is for mending
//! ([`crate::check`]); the first commit writes it as a tree.

use super::base::{Base, LOG_TOTAL, Root, VERSION, open_log_entry};
use super::node::Node;
use super::record::{Counters, Key, KeyKind, PackEntry, Place, Record, Space};
use super::{DriveState, Layer, NodeAddr, Tree};
use crate::crypto::{KeyRing, PackCipher};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{KeyEpoch, PackNo, Sequence};
use crate::pack::{IndexEntry, PackRef, PackSource, UnitKind, open_unit, read_header, read_index};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a gathered tree was made from, and what it lacks.
#[derive(Debug, Default)]
pub struct Remains {
    /// Why the drive does not open.
    pub why: String,
    /// Nodes that were read.
    pub nodes: u64,
    /// The newest commit all of whose nodes were read: up to here everything outside the gaps is known.
    pub known_to: Sequence,
    /// Ranges of keys of the files that no node answers for; `None`: to the end.
    pub gaps: Vec<(Key, Option<Key>)>,
}

/// A pack with nodes in it.
struct Gathered {
    pack: PackRef,
    root: Option<Root>,
    /// By offset; `true` for a delta run's.
    nodes: Vec<(u64, bool, Node)>,
    /// Whether all its nodes could be read.
    whole: bool,
}

impl Tree {
    /// Opens a drive for mending, however much of its tree is lost. `blobs`: id and length of every blob of the drive's pool.
    /// When the drive opens, this is [`Tree::open`]; when only nodes are lost, they read as empty ([`Tree::audit`]); when the
    /// root is lost, the tree is gathered from the packs.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] when the network does not answer: that is no damage.
    pub async fn open_damaged(
        drive: DriveState<'_>,
        blobs: &[([u8; 32], u64)],
        source: &dyn PackSource,
        keys: &KeyRing,
        cache_bytes: usize,
    ) -> FsResult<Self> {
        match Self::open(drive, source, keys, cache_bytes).await {
            Err(error) if error.kind() == Kind::Corrupt => {}
            known => return known,
        }
        match Base::open(drive.sequence, drive.root, drive.log, source, keys).await {
            Ok(base) => {
                let tree = Self::on(base, 1, cache_bytes);
                tree.audit(source, keys).await?;
                if let super::Fetch::Ready(Some(Record::Counters(counters))) = tree.get(&Key::counters(Space::Table))? {
                    tree.reserve_pack(PackNo(counters.next.saturating_sub(1)));
                }
                tree.skip_own_pack();
                Ok(tree)
            }
            Err(error) if error.kind() == Kind::Corrupt => {
                Self::gather(drive, blobs, error.to_string(), source, keys, cache_bytes).await
            }
            Err(error) => Err(error),
        }
    }

    /// What the tree was gathered from, when its root is lost.
    pub fn remains(&self) -> Option<Arc<Remains>> {
        self.state.read().remains.clone()
    }

    async fn gather(
        drive: DriveState<'_>,
        blobs: &[([u8; 32], u64)],
        why: String,
        source: &dyn PackSource,
        keys: &KeyRing,
        cache_bytes: usize,
    ) -> FsResult<Self> {
        let (mut packs, mut complete) = (Vec::new(), true);
        for (blob_id, size) in blobs {
            match gather_pack(*blob_id, *size, source, keys).await {
                Ok(pack) => packs.extend(pack),
                Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                Err(error) => {
                    complete = false;
                    tracing::warn!(blob = %hex::encode(blob_id), %error, "a blob of the pool is no pack");
                }
            }
        }
        complete &= drive.root.is_some_and(|root| packs.iter().any(|pack| pack.pack.blob_id == root.blob_id));
        let named = named_packs(&packs, blobs);
        let mut gathering = Gathering::new(drive.sequence, packs, &named);
        gathering.runs();
        gathering.leaves(complete);
        let nodes = gathering.packs.iter().map(|(_, pack)| pack.nodes.len() as u64).sum();
        let remains = Remains { why, nodes, known_to: gathering.known_to(), gaps: gathering.gaps() };
        let mut layer = gathering.layer;
        for sealed in drive.log {
            match open_log_entry(keys, sealed) {
                Ok((_, changes)) => layer.extend(changes),
                Err(error) => tracing::error!(%error, "an entry of the drive's log is lost"),
            }
        }
        layer.retain(|_, record| record.is_some());
        let next = settle_table(&mut layer, &named);
        let base = Base {
            sequence: drive.sequence,
            root_ref: drive.root,
            log: Arc::new(layer),
            log_entries: drive.log.len() as u64,
            log_bytes: LOG_TOTAL,
            ..Base::default()
        };
        let tree = Self::on(base, next, cache_bytes);
        tree.state.write().remains = Some(Arc::new(remains));
        Ok(tree)
    }
}

/// Reads everything of a pack but content; `None` when it has content only.
async fn gather_pack(
    blob_id: [u8; 32],
    size: u64,
    source: &dyn PackSource,
    keys: &KeyRing,
) -> FsResult<Option<Gathered>> {
    let unopened = PackRef { blob_id, size: Some(size), salt: [0; 32], key_epoch: KeyEpoch(0) };
    let (key_epoch, salt) = read_header(source, &unopened).await?;
    let pack = PackRef { salt, key_epoch, ..unopened };
    let cipher = keys.pack_cipher(key_epoch, &salt)?;
    let mut found = Gathered { pack, root: None, nodes: Vec::new(), whole: true };
    let mut any = false;
    for unit in read_index(source, &pack, keys).await? {
        if !matches!(unit.kind, UnitKind::Node | UnitKind::Run | UnitKind::Root) {
            continue;
        }
        any = true;
        match gather_unit(&mut found, &unit, &cipher, source).await {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::Unreachable => return Err(error),
            Err(error) => {
                found.whole &= unit.kind == UnitKind::Root;
                tracing::warn!(blob = %hex::encode(blob_id), offset = unit.addr.offset, %error, "a unit is lost");
            }
        }
    }
    Ok(any.then_some(found))
}

async fn gather_unit(
    found: &mut Gathered,
    unit: &IndexEntry,
    cipher: &PackCipher,
    source: &dyn PackSource,
) -> FsResult<()> {
    if unit.addr.plain > unit.kind.max_plain() {
        return Err(FsError::new(Kind::Corrupt, "a pack's index names a unit of impossible length"));
    }
    let sealed = source.read(&found.pack, unit.addr.offset, unit.addr.stored).await?;
    let plain = open_unit(cipher, unit.kind, unit.addr, sealed.into())?;
    if unit.kind == UnitKind::Root {
        let root: Root = bcs::from_bytes(&plain)
            .map_err(|error| FsError::new(Kind::Corrupt, "root: does not parse").caused_by(error))?;
        if root.version != VERSION {
            return Err(FsError::new(Kind::Corrupt, format!("root: format {} is not known", root.version)));
        }
        found.root = Some(root);
    } else {
        let run = unit.kind == UnitKind::Run;
        found.nodes.push((unit.addr.offset, run, Node::decode(&plain, run)?));
    }
    Ok(())
}

/// Every pack that the pool holds and something read names: number and entry by blob.
fn named_packs(packs: &[Gathered], blobs: &[([u8; 32], u64)]) -> HashMap<[u8; 32], (PackNo, PackEntry)> {
    let mut named = HashMap::new();
    let mut name = |number: PackNo, entry: &PackEntry| {
        named.entry(entry.blob_id).or_insert_with(|| (number, entry.clone()));
    };
    for pack in packs {
        if let Some(root) = &pack.root {
            name(root.pack, &own_entry(root, &pack.pack));
            root.bootstrap.iter().for_each(|(number, entry)| name(*number, entry));
        }
        let leaves = pack.nodes.iter().filter_map(|(_, _, node)| match node {
            Node::Leaf(entries) => Some(entries),
            Node::Index { .. } => None,
        });
        for (key, record) in leaves.flatten() {
            if let Some(Record::Pack(entry)) = record {
                name(PackNo(key.num), entry);
            }
        }
    }
    blobs.iter().filter_map(|(blob, _)| Some((*blob, named.remove(blob)?))).collect()
}

fn own_entry(root: &Root, pack: &PackRef) -> PackEntry {
    PackEntry {
        blob_id: pack.blob_id,
        size: root.size,
        salt: pack.salt,
        key_epoch: pack.key_epoch,
        live: root.live,
        birth: root.sequence,
        dead_since_ms: None,
        forwards: Vec::new(),
    }
}

/// Keeps of the table what the pool holds, adds what was named elsewhere, and finds a number that no pack has. What live
/// bytes and references the entries state is for a recount to put right.
fn settle_table(layer: &mut Layer, named: &HashMap<[u8; 32], (PackNo, PackEntry)>) -> u64 {
    let entries: BTreeMap<PackNo, &PackEntry> = named.values().map(|(number, entry)| (*number, entry)).collect();
    layer.retain(|key, _| {
        !matches!(key.kind, KeyKind::Pack | KeyKind::Dead | KeyKind::Shared) || entries.contains_key(&PackNo(key.num))
    });
    let mut highest = 0;
    for (number, entry) in entries {
        highest = highest.max(number.0);
        layer.insert(Key::pack(number), Some(Record::Pack(entry.clone())));
    }
    for record in layer.values().flatten() {
        let Record::Extents(extents) = record else { continue };
        for extent in extents {
            if let Place::Pack { pack, .. } = extent.place {
                highest = highest.max(pack.0);
            }
        }
    }
    let key = Key::counters(Space::Table);
    let next = match layer.get(&key) {
        Some(Some(Record::Counters(counters))) => counters.next.max(highest.saturating_add(1)),
        _ => highest.saturating_add(1),
    };
    layer.insert(key, Some(Record::Counters(Counters { next, inodes: 0, bytes: 0 })));
    next
}

/// The range of keys `from <= key < to`; `None`: to the end.
type Bounds = (Key, Option<Key>);

/// Packs with nodes, newest first, on the way to one layer.
struct Gathering {
    /// With the sequence of the commit that wrote each; the Drive's for one that does not say.
    packs: Vec<(Sequence, Gathered)>,
    /// What each node of a tree answers for, by blob and offset.
    bounds: HashMap<([u8; 32], u64), Bounds>,
    /// Ranges that leaves have answered for: from the key to the value.
    covered: BTreeMap<Key, Option<Key>>,
    layer: Layer,
}

impl Gathering {
    fn new(newest: Sequence, packs: Vec<Gathered>, named: &HashMap<[u8; 32], (PackNo, PackEntry)>) -> Self {
        let birth = |pack: &Gathered| {
            let said = pack.root.as_ref().map(|root| root.sequence);
            said.or_else(|| Some(named.get(&pack.pack.blob_id)?.1.birth)).map_or(newest, |birth| birth.min(newest))
        };
        let mut packs: Vec<(Sequence, Gathered)> = packs.into_iter().map(|pack| (birth(&pack), pack)).collect();
        packs.sort_by_key(|(birth, _)| std::cmp::Reverse(*birth));
        let blobs: HashMap<PackNo, [u8; 32]> = named.iter().map(|(blob, (number, _))| (*number, *blob)).collect();
        let bounds = bounds(&packs, &blobs);
        Self { packs, bounds, covered: BTreeMap::new(), layer: Layer::new() }
    }

    /// Takes in the delta runs above the leaves. A commit either writes a run, and touches leaves only to move content, or
    /// merges all runs into leaves: runs that are older than the last such merge have nothing more to say.
    fn runs(&mut self) {
        let has = |pack: &Gathered, wanted: bool| pack.nodes.iter().any(|(_, run, _)| *run == wanted);
        let merged = self.packs.iter().filter(|(_, pack)| has(pack, false) && !has(pack, true));
        let merged = merged.map(|(birth, _)| *birth).max();
        for (_, pack) in self.packs.iter().filter(|(birth, _)| merged.is_none_or(|merged| *birth > merged)) {
            for (_, _, node) in pack.nodes.iter().filter(|(_, run, _)| *run) {
                let Node::Leaf(entries) = node else { continue };
                for (key, record) in entries {
                    self.layer.entry(key.clone()).or_insert_with(|| record.clone());
                }
            }
        }
    }

    /// Takes in leaves, newest first. `complete`: no pack is lost, so a drive without leaves never had any.
    fn leaves(&mut self, complete: bool) {
        let is_leaf = |(_, run, node): &(u64, bool, Node)| !run && node.level() == 0;
        if complete && self.packs.iter().all(|(_, pack)| pack.whole && !pack.nodes.iter().any(is_leaf)) {
            cover(&mut self.covered, Key::first_of(Space::Files), None);
        }
        for (_, pack) in &self.packs {
            for (offset, run, node) in &pack.nodes {
                let Node::Leaf(entries) = node else { continue };
                let (Some((first, _)), Some((last, _)), false) = (entries.first(), entries.last(), *run) else {
                    continue;
                };
                for (key, record) in entries.iter().filter(|(key, _)| !is_covered(&self.covered, key)) {
                    self.layer.entry(key.clone()).or_insert_with(|| record.clone());
                }
                let (from, to) = match self.bounds.get(&(pack.pack.blob_id, *offset)) {
                    Some((from, to)) => (from.clone(), to.clone()),
                    None => (first.clone(), Some(after(last))),
                };
                cover(&mut self.covered, from, to);
            }
            if pack.root.as_ref().is_some_and(|root| root.files.is_none()) {
                // At that commit there were runs only: nothing is older than they are.
                cover(&mut self.covered, Key::first_of(Space::Files), None);
            }
        }
    }

    fn known_to(&self) -> Sequence {
        self.packs.iter().find(|(_, pack)| pack.whole).map_or(Sequence(0), |(birth, _)| *birth)
    }

    /// The keys of the files that no leaf answered for.
    fn gaps(&self) -> Vec<Bounds> {
        let mut gaps = Vec::new();
        let mut free = Some(Key::first_of(Space::Files));
        for (from, to) in &self.covered {
            let Some(at) = &free else { break };
            if from > at {
                gaps.push((at.clone(), Some(from.clone())));
            }
            free = to.clone().map(|to| to.max(at.clone()));
        }
        gaps.extend(free.map(|at| (at, None)));
        gaps
    }
}

/// What each node of a tree answers for. Newer trees have the last word about a node that they share with older ones.
fn bounds(packs: &[(Sequence, Gathered)], blobs: &HashMap<PackNo, [u8; 32]>) -> HashMap<([u8; 32], u64), Bounds> {
    let mut nodes = HashMap::new();
    for (_, pack) in packs {
        for (offset, _, node) in pack.nodes.iter().filter(|(_, run, _)| !run) {
            nodes.insert((pack.pack.blob_id, *offset), node);
        }
    }
    let mut bounds = HashMap::new();
    for (_, pack) in packs.iter().rev() {
        for space in [Space::Table, Space::Files] {
            let to = (space == Space::Table).then(|| Key::first_of(Space::Files));
            let Some((offset, level)) = top(pack, space) else { continue };
            let mut pending = vec![((pack.pack.blob_id, offset), level, (Key::first_of(space), to))];
            while let Some((place, level, (from, to))) = pending.pop() {
                let fits = |node: &&&Node| {
                    let first = node.first_key();
                    node.level() == level
                        && first.is_some_and(|key| *key >= from && to.as_ref().is_none_or(|to| key < to))
                };
                let Some(node) = nodes.get(&place).filter(fits) else { continue };
                if let Node::Index { children, .. } = node {
                    for (nth, (first, addr)) in children.iter().enumerate() {
                        let first = if nth == 0 { from.clone() } else { first.clone() };
                        let end = children.get(nth + 1).map(|(key, _)| key.clone()).or_else(|| to.clone());
                        let NodeAddr { pack, offset, .. } = *addr;
                        // A pack that nothing names is the one that the lost root completed: this one.
                        let blob = blobs.get(&pack).copied().unwrap_or(place.0);
                        pending.push(((blob, offset), level - 1, (first, end)));
                    }
                }
                bounds.insert(place, (from, to));
            }
        }
    }
    bounds
}

/// Place and level of the one highest node of a space that the pack holds: the top of the tree as that commit left it. Not
/// known when a node of the pack is lost, because that may have been the top.
fn top(pack: &Gathered, space: Space) -> Option<(u64, u8)> {
    let own = pack.nodes.iter().filter(|(_, run, node)| !run && node.first_key().is_some_and(|key| key.space == space));
    let levels: Vec<(u64, u8)> = own.map(|(offset, _, node)| (*offset, node.level())).collect();
    let highest = levels.iter().map(|(_, level)| *level).max()?;
    let mut tops = levels.into_iter().filter(|(_, level)| *level == highest);
    let only = tops.next().filter(|_| tops.next().is_none())?;
    let said = pack.root.as_ref().and_then(|root| if space == Space::Table { root.table } else { root.files });
    let agrees = said.is_none_or(|tree| (tree.node.offset, tree.node.level) == only);
    (pack.whole && agrees).then_some(only)
}

fn after(key: &Key) -> Key {
    let mut after = key.clone();
    after.name = [&after.name[..], &[0]].concat().into();
    after
}

fn is_covered(covered: &BTreeMap<Key, Option<Key>>, key: &Key) -> bool {
    let below = covered.range::<Key, _>(..=key).next_back();
    below.is_some_and(|(_, to)| to.as_ref().is_none_or(|to| key < to))
}

/// Adds a range; ranges in the map stay disjoint.
fn cover(covered: &mut BTreeMap<Key, Option<Key>>, mut from: Key, mut to: Option<Key>) {
    if to.as_ref().is_some_and(|to| *to <= from) {
        return;
    }
    if let Some((start, end)) = covered.range::<Key, _>(..=&from).next_back() {
        match end {
            None => return,
            Some(end) if *end >= from => from = start.clone(),
            Some(_) => {}
        }
    }
    let reached = |start: &Key, to: &Option<Key>| to.as_ref().is_none_or(|to| start <= to);
    while let Some((start, end)) = covered.range::<Key, _>(&from..).next() {
        if !reached(start, &to) {
            break;
        }
        let (start, end) = (start.clone(), end.clone());
        covered.remove(&start);
        to = match (to, end) {
            (Some(to), Some(end)) => Some(to.max(end)),
            _ => None,
        };
    }
    covered.insert(from, to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ino;

    fn key(n: u64) -> Key {
        Key::inode(Ino(n))
    }

    #[test]
    fn covered_ranges_are_the_union() {
        // Every set of three ranges below 8, by brute force.
        let ranges: Vec<(u64, Option<u64>)> =
            (0..8).flat_map(|from| (0..8).map(Some).chain([None]).map(move |to| (from, to))).collect();
        for a in &ranges {
            for b in &ranges {
                for c in ranges.iter().step_by(5) {
                    let mut covered = BTreeMap::new();
                    for (from, to) in [a, b, c] {
                        cover(&mut covered, key(*from), to.map(key));
                    }
                    for n in 0..9 {
                        let inside = [a, b, c].iter().any(|(from, to)| *from <= n && to.is_none_or(|to| n < to));
                        assert_eq!(is_covered(&covered, &key(n)), inside, "{a:?} {b:?} {c:?}: {n}");
                    }
                    let ends: Vec<&Key> = covered.values().flatten().collect();
                    assert!(ends.is_sorted() && covered.len() <= 3);
                }
            }
        }
    }
}
