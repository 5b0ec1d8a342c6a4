//! The directory tree: everything a drive knows, as one sorted map seen through layers (design.md 4, 6;
//! docs/architecture.md "Data model").
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

mod layer;
pub mod record;

pub use layer::{Layer, spool_places};

use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{PackNo, Sequence};
use crate::pack::PackSource;
use parking_lot::RwLock;
use record::{Batch, Counters, Key, KeyKind, Record, Space};
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
}

#[derive(Debug, Default)]
struct State {
    top: Layer,
    frozen: Option<Arc<Layer>>,
    sequence: Sequence,
    /// The next pack number to hand out; never below the committed counter.
    next_pack: u64,
}

impl Tree {
    /// The tree of a wholly new drive: no root, no log, sequence 0. The node cache is bounded by `cache_bytes`.
    pub fn new(_cache_bytes: usize) -> Self {
        Self { state: RwLock::new(State { next_pack: 1, ..State::default() }) }
    }

    /// The record of `key` as all layers together show it.
    ///
    /// Counters that were never written read as their start: next inode 2 (the root directory is 1), next pack 1.
    pub fn get(&self, key: &Key) -> FsResult<Fetch<Option<Record>>> {
        let state = self.state.read();
        let layers = [Some(&state.top), state.frozen.as_deref()];
        let found = layers.into_iter().flatten().find_map(|layer| layer.get(key));
        Ok(Fetch::Ready(found.cloned().flatten().or_else(|| initial(key))))
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
        let layers: Vec<&Layer> = std::iter::once(&state.top).chain(state.frozen.as_deref()).collect();
        layer::merged(&layers, from, to, |key, record| match record {
            Some(record) => visit(key, record),
            None => ControlFlow::Continue(()),
        });
        Ok(Fetch::Ready(()))
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

    /// The sequence of the commit that the base shows; 0 for a wholly new drive.
    pub fn sequence(&self) -> Sequence {
        self.state.read().sequence
    }

    /// A pack number for a new pack, handed out once. Numbers of packs that never get committed are skipped.
    pub fn allocate_pack(&self) -> FsResult<PackNo> {
        let mut state = self.state.write();
        let number = PackNo(state.next_pack);
        state.next_pack = number.next().ok_or_else(|| FsError::new(Kind::Internal, "pack numbers are used up"))?.0;
        Ok(number)
    }

    /// Loads the unit at `addr` into the node cache. Holds no lock while it waits for `source`.
    pub async fn load(&self, addr: NodeAddr, _source: &dyn PackSource, _keys: &KeyRing) -> FsResult<()> {
        Err(FsError::new(Kind::Corrupt, format!("tree: no such node {addr:?}")))
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
