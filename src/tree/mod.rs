//! The directory tree: everything a drive knows, as one sorted map seen through layers (docs/architecture.md
//! "Data model").
//!
//! ```text
//! top        changes since the last cut           in memory, every batch also in the journal
//! frozen     the cut that is being committed      in memory, immutable; at most one
//! log        the Drive object's log entries       in memory, on chain
//! bootstrap  pack entries inside the root         in memory; only Space::Table
//! runs       at most 8 sorted delta runs          in packs, loaded block by block
//! leaves     B+tree leaves, one tree per space    in packs, loaded node by node
//! ```
//!
//! Reading looks through the layers, newest first; the first that has the key (a record or a removal) decides. Writing
//! only ever touches `top`. [`Tree::freeze`] cuts; [`Tree::draft`] and what follows it (`commit`) turn the cut into a
//! log entry, a delta run or a checkpoint; [`Tree::finish_commit`] makes it the new base; [`Tree::unfreeze`] undoes a
//! cut whose commit failed.
//!
//! Promises: every operation is atomic and sees whole batches; `get`, `scan` and `apply` never do I/O and never block
//! longer than another such call; opening a drive reads one unit, and memory depends on the uncommitted changes and on
//! the node cache's bound, not on the number of files. Nothing that was read from a pack or from the chain can make it
//! panic.
//!
//! Assumes that only the writer that holds the drive's lease commits, and that a pack once named by a root stays
//! readable until a later commit dropped it at least `gc_delay` ago.
//!
//! Must never: put a [`record::Place::Spool`] into anything that leaves the machine; write [`record::Space::Table`]
//! keys from outside (the pack table, reference counts and pack numbers are computed here, from the difference between
//! old and new extents).

mod absorb;
mod audit;
mod base;
mod codec;
mod commit;
mod cursor;
mod extents;
#[cfg(fuzzing)]
pub mod fuzz;
mod ground;
mod layer;
mod ledger;
mod node;
pub mod record;
mod rescue;
mod rewrite;
#[cfg(test)]
mod tests;

pub use absorb::Occupancy;
pub use audit::{Audit, LostUnit};
pub use commit::{Commit, CommitInput, Draft, NewPack};
pub use extents::{Moved, chunks, coalesce};
pub use ground::Ground;
pub use layer::{Layer, spool_places};
pub use rescue::Remains;

use base::Base;
use cursor::Merge;
use node::{Node, NodeCache};
use rewrite::Shape;

use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{Ino, PackNo, Sequence};
use crate::pack::{PackRef, PackSource, RootRef, UnitAddr, open_unit};
use parking_lot::RwLock;
use record::{Batch, Counters, Key, KeyKind, PackEntry, Record, Space};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The answer of a read that never waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch<T> {
    /// The answer.
    Ready(T),
    /// This unit must be loaded first ([`Tree::load`]); then the same call is made again.
    Missing(NodeAddr),
}

/// Where a node of a tree or of a run lies. Packs are immutable, so an address names the same bytes for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddr {
    /// The pack.
    pub pack: PackNo,
    /// Offset of the sealed unit in the pack, bytes.
    pub offset: u64,
    /// Sealed length, bytes.
    pub stored: u32,
    /// Plaintext length, bytes.
    pub plain: u32,
    /// Whether it belongs to a delta run (else to a tree).
    pub run: bool,
}

/// The layered key space of one drive. All methods take `&self`; it is shared as `Arc<Tree>`.
#[derive(Debug)]
pub struct Tree {
    state: RwLock<State>,
    nodes: NodeCache,
    shape: Shape,
}

#[derive(Debug)]
struct State {
    top: Layer,
    frozen: Option<Arc<Layer>>,
    base: Arc<Base>,
    /// The next pack number to hand out; never below the committed counter.
    next_pack: u64,
    /// Records of the pack table that a recount found to be wrong; they stand in the base already and have to be written.
    corrections: Layer,
    /// What the tree was gathered from, until a commit has written it.
    remains: Option<Arc<Remains>>,
}

/// The Drive object's part of the tree, as read (and its seal checked) by the caller.
#[derive(Clone, Copy, Debug)]
pub struct DriveState<'a> {
    /// The Drive's sequence.
    pub sequence: Sequence,
    /// The checkpoint it names, if any.
    pub root: Option<RootRef>,
    /// Its sealed log entries, oldest first.
    pub log: &'a [Vec<u8>],
}

impl Tree {
    /// The tree of a wholly new drive: no root, no log, sequence 0. The node cache is bounded by `cache_bytes`.
    pub fn new(cache_bytes: usize) -> Self {
        Self::on(Base::default(), 1, cache_bytes)
    }

    fn on(base: Base, next_pack: u64, cache_bytes: usize) -> Self {
        let state = State {
            top: Layer::new(),
            frozen: None,
            base: Arc::new(base),
            next_pack,
            corrections: Layer::new(),
            remains: None,
        };
        Self { state: RwLock::new(state), nodes: NodeCache::new(cache_bytes), shape: Shape::default() }
    }

    /// Opens a drive from what its object holds: reads the root and little else. [`Kind::Corrupt`] when root or log are
    /// not what was written.
    pub async fn open(
        drive: DriveState<'_>,
        source: &dyn PackSource,
        keys: &KeyRing,
        cache_bytes: usize,
    ) -> FsResult<Self> {
        let base = Base::open(drive.sequence, drive.root, drive.log, source, keys).await?;
        let tree = Self::on(base, 1, cache_bytes);
        let counters = loop {
            match tree.get(&Key::counters(Space::Table))? {
                Fetch::Ready(counters) => break counters,
                Fetch::Missing(addr) => tree.load(addr, source, keys).await?,
            }
        };
        if let Some(Record::Counters(Counters { next, .. })) = counters {
            tree.state.write().next_pack = next;
        }
        tree.skip_own_pack();
        Ok(tree)
    }

    /// A root's own pack is numbered before the counter that it carries.
    fn skip_own_pack(&self) {
        let mut state = self.state.write();
        let own = state.base.root.as_ref().map_or(0, |root| root.pack.0);
        state.next_pack = state.next_pack.max(own.saturating_add(1));
    }

    /// Follows the drive to a newer state, as a reader does. Cached nodes stay; an error when there are changes of our
    /// own, or when the state is older than the one shown (a reader never goes back).
    pub async fn follow(&self, drive: DriveState<'_>, source: &dyn PackSource, keys: &KeyRing) -> FsResult<()> {
        let newer = Self::open(drive, source, keys, 0).await?;
        let mut newer = newer.state.into_inner();
        let mut state = self.state.write();
        if drive.sequence < state.base.sequence {
            return Err(FsError::new(
                Kind::Stale,
                format!("the drive was seen at sequence {}, now it shows {}", state.base.sequence, drive.sequence),
            ));
        }
        if !state.top.is_empty() || state.frozen.is_some() {
            return Err(FsError::new(Kind::Internal, "tree: cannot follow another writer with changes of its own"));
        }
        state.base = std::mem::take(&mut newer.base);
        state.next_pack = state.next_pack.max(newer.next_pack);
        Ok(())
    }

    /// The record of `key` as all layers together show it.
    ///
    /// Counters that were never written read as their start: next inode 2 (the root directory is 1), next pack 1.
    pub fn get(&self, key: &Key) -> FsResult<Fetch<Option<Record>>> {
        let state = self.state.read();
        let layers = [Some(&state.top), state.frozen.as_deref()];
        if let Some(found) = layers.into_iter().flatten().find_map(|layer| layer.get(key)) {
            return Ok(Fetch::Ready(found.clone()));
        }
        Ok(match state.base.get(&self.nodes, key)? {
            Fetch::Ready(found) => Fetch::Ready(found.or_else(|| initial(key))),
            Fetch::Missing(addr) => Fetch::Missing(addr),
        })
    }

    /// Calls `visit` for every record with `from <= key < to`, in order, until it breaks.
    ///
    /// [`Fetch::Missing`] can come after some records were visited: load the node, then scan again from the key after
    /// the last one visited (or from the start, forgetting what was seen). `visit` must not call into the tree.
    pub fn scan(
        &self,
        from: &Key,
        to: &Key,
        visit: &mut dyn FnMut(&Key, &Record) -> ControlFlow<()>,
    ) -> FsResult<Fetch<()>> {
        let state = self.state.read();
        let mut merge = Merge::new();
        merge.layer(&state.top, from, Some(to));
        if let Some(frozen) = &state.frozen {
            merge.layer(frozen, from, Some(to));
        }
        state.base.merge_into(&mut merge, from, Some(to));
        loop {
            let seen = merge.step(&self.nodes, |key, record| match record {
                Some(record) => visit(key, record),
                None => ControlFlow::Continue(()),
            })?;
            match seen {
                Fetch::Ready(Some(ControlFlow::Continue(()))) => {}
                Fetch::Ready(_) => return Ok(Fetch::Ready(())),
                Fetch::Missing(addr) => return Ok(Fetch::Missing(addr)),
            }
        }
    }

    /// The entry of the pack table for `number`: what a read of one of its chunks needs.
    pub fn pack(&self, number: PackNo) -> FsResult<Fetch<Option<PackEntry>>> {
        let base = self.state.read().base.clone();
        Ok(match base.get(&self.nodes, &Key::pack(number))? {
            Fetch::Ready(Some(Record::Pack(entry))) => Fetch::Ready(Some(entry)),
            Fetch::Ready(_) => Fetch::Ready(None),
            Fetch::Missing(addr) => Fetch::Missing(addr),
        })
    }

    /// Applies `batch` to the top layer: all of it at once.
    pub fn apply(&self, batch: Batch) {
        let mut state = self.state.write();
        for (key, record) in batch {
            state.top.insert(key, record);
        }
    }

    /// Cuts: everything applied so far becomes the frozen layer, which is returned; new changes go to a new top.
    /// An error when a cut is already being committed. An empty top freezes to an empty layer.
    pub fn freeze(&self) -> FsResult<Arc<Layer>> {
        let mut state = self.state.write();
        if state.frozen.is_some() {
            return Err(FsError::new(Kind::Internal, "tree: a cut is already being committed; finish or unfreeze it"));
        }
        let frozen = Arc::new(std::mem::take(&mut state.top));
        state.frozen = Some(frozen.clone());
        Ok(frozen)
    }

    /// The cut that is being committed, if there is one.
    pub fn frozen(&self) -> Option<Arc<Layer>> {
        self.state.read().frozen.clone()
    }

    /// Undoes [`Tree::freeze`] after a commit that certainly did not happen: the cut merges back under the top layer.
    pub fn unfreeze(&self) {
        let mut state = self.state.write();
        if let Some(frozen) = state.frozen.take() {
            let mut merged = Arc::unwrap_or_clone(frozen);
            merged.append(&mut state.top);
            state.top = merged;
        }
    }

    /// Whether there are changes that no commit contains yet.
    pub fn is_dirty(&self) -> bool {
        let state = self.state.read();
        !state.top.is_empty() || state.frozen.as_ref().is_some_and(|frozen| !frozen.is_empty())
    }

    /// Whether no change of `ino` waits for a commit: its attributes, content and extended attributes, and, of a directory, its
    /// entries.
    pub fn is_committed(&self, ino: Ino) -> bool {
        let state = self.state.read();
        let from = Key::inode(ino);
        let touched = |layer: &Layer| {
            layer.range(from.clone()..).next().is_some_and(|(key, _)| (key.space, key.owner) == (from.space, ino))
        };
        !touched(&state.top) && !state.frozen.as_deref().is_some_and(touched)
    }

    /// The sequence of the commit that the base shows; 0 for a wholly new drive.
    pub fn sequence(&self) -> Sequence {
        self.state.read().base.sequence
    }

    /// A pack number for a new pack, handed out once. Numbers of packs that never get committed are skipped.
    pub fn allocate_pack(&self) -> FsResult<PackNo> {
        let mut state = self.state.write();
        let number = PackNo(state.next_pack);
        state.next_pack = number.next().ok_or_else(|| FsError::new(Kind::Internal, "pack numbers are used up"))?.0;
        Ok(number)
    }

    /// Makes sure that no number up to and including `number` is handed out any more: for packs of a commit in flight
    /// that a restart found in the journal.
    pub fn reserve_pack(&self, number: PackNo) {
        let mut state = self.state.write();
        state.next_pack = state.next_pack.max(number.0.saturating_add(1));
    }

    /// Bytes that cached nodes take in memory, estimated.
    pub fn cached_bytes(&self) -> usize {
        self.nodes.bytes()
    }

    /// Forgets all cached nodes.
    pub fn clear_cache(&self) {
        self.nodes.clear();
    }

    /// Loads the unit at `addr` into the node cache. Holds no lock while it waits for `source`.
    pub async fn load(&self, addr: NodeAddr, source: &dyn PackSource, keys: &KeyRing) -> FsResult<()> {
        let mut wanted = vec![addr];
        // Finding a node's pack may need nodes of the pack table; their packs are in the root, or the drive is damaged.
        while let Some(addr) = wanted.last().copied() {
            if self.nodes.get(&addr).is_some() {
                wanted.pop();
                continue;
            }
            match self.pack(addr.pack)? {
                Fetch::Ready(Some(entry)) => {
                    self.nodes.insert(&addr, Arc::new(read_node(addr, &entry.as_ref(), source, keys).await?));
                    wanted.pop();
                }
                Fetch::Ready(None) => {
                    return Err(FsError::new(
                        Kind::Stale,
                        format!("tree: pack {} is not in the pack table any more", addr.pack),
                    ));
                }
                Fetch::Missing(needed) if wanted.len() < 64 && !wanted.contains(&needed) => wanted.push(needed),
                Fetch::Missing(needed) => {
                    return Err(FsError::new(
                        Kind::Corrupt,
                        format!("tree: the pack table needs itself to be read (node {needed:?})"),
                    ));
                }
            }
        }
        Ok(())
    }
}

async fn read_node(addr: NodeAddr, pack: &PackRef, source: &dyn PackSource, keys: &KeyRing) -> FsResult<Node> {
    let cipher = keys.pack_cipher(pack.key_epoch, &pack.salt)?;
    let kind = addr.unit_kind();
    if addr.plain > kind.max_plain() || u64::from(addr.stored) > u64::from(addr.plain) + 16 {
        return Err(FsError::new(Kind::Corrupt, format!("tree: impossible address {addr:?}")));
    }
    let sealed = source.read(pack, addr.offset, addr.stored).await?;
    let unit = UnitAddr { offset: addr.offset, stored: addr.stored, plain: addr.plain };
    Node::decode(&open_unit(&cipher, kind, unit, sealed.into())?, addr.run)
}

impl PackEntry {
    /// How the pack is read.
    pub fn as_ref(&self) -> PackRef {
        PackRef { blob_id: self.blob_id, size: Some(self.size), salt: self.salt, key_epoch: self.key_epoch }
    }
}

/// What a counter reads as before it was first written.
fn initial(key: &Key) -> Option<Record> {
    let next = match key.space {
        Space::Table => 1,
        Space::Files => 2,
    };
    (key.kind == KeyKind::Counters).then_some(Record::Counters(Counters { next, inodes: 0, bytes: 0 }))
}
