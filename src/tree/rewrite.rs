//! Writing nodes: bulk building from a sorted stream, and copy-on-write of an existing tree, which is the same stream
//! with whole subtrees in it that are kept as they are.
//!
//! The builder fills one pending node per level, left to right. A kept subtree may only follow when everything pending
//! below its level is flushed; a pending node that would be too small for that takes the neighbour's entries in first, so
//! that nodes neither wither nor, since a node may grow half above its target, cause a cascade through the whole tree.

use super::base::LOG_TOTAL;
use super::codec::put_change;
use super::cursor::{Merge, Top, node_at};
use super::node::{ADDR, MAX_LEVEL, Node, NodeCache};
use super::record::{Key, Record};
use super::{Fetch, NodeAddr, Tree};
use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::pack::{Origin, PackSource, PackWriter};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Sizes that decide how nodes are cut and when runs become leaves. Readers do not depend on them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Plaintext that a node is filled to, bytes.
    pub(super) target: usize,
    /// Plaintext at which a node is split: the first `target` bytes are written, the rest goes on. Index nodes never
    /// exceed it plus one entry, which keeps them under 64 KiB.
    pub(super) split: usize,
    /// A pending node below this takes in its right neighbour before it is written.
    pub(super) small: usize,
    /// Below this the runs are left alone whatever the size of the trees, plaintext bytes.
    pub(super) runs_floor: u64,
    /// Bootstrap entries above which a checkpoint writes the whole pack table anew, so that it lies in few packs again.
    pub(super) bootstrap_max: usize,
    /// Sealed bytes that the log is filled to; at most what the Drive can hold.
    pub(super) log_total: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            target: 32 << 10,
            split: 48 << 10,
            small: 8 << 10,
            runs_floor: 256 << 10,
            bootstrap_max: 256,
            log_total: LOG_TOTAL,
        }
    }
}

/// A node being filled.
enum Pending {
    Leaf(Vec<(Key, Option<Record>)>),
    Index(Vec<(Key, NodeAddr)>),
}

struct Level {
    pending: Pending,
    /// Encoded length of every pending entry, and their sum.
    lens: Vec<usize>,
    bytes: usize,
}

impl Level {
    fn new(level: usize) -> Self {
        let pending = if level == 0 { Pending::Leaf(Vec::new()) } else { Pending::Index(Vec::new()) };
        Self { pending, lens: Vec::new(), bytes: 0 }
    }

    /// Takes the first entries off, up to `target` bytes but at least one.
    fn take(&mut self, target: usize) -> Pending {
        let mut count = 0;
        let mut bytes = 0;
        for len in &self.lens {
            if count > 0 && bytes + len > target {
                break;
            }
            count += 1;
            bytes += len;
        }
        self.lens.drain(..count);
        self.bytes -= bytes;
        match &mut self.pending {
            Pending::Leaf(entries) => Pending::Leaf(entries.drain(..count).collect()),
            Pending::Index(children) => Pending::Index(children.drain(..count).collect()),
        }
    }
}

/// Where new nodes go and what becomes of them.
pub(super) struct Output<'a> {
    pub(super) writer: &'a mut PackWriter,
    pub(super) nodes: &'a NodeCache,
    pub(super) shape: Shape,
    /// Sealed bytes of the nodes written.
    pub(super) stored: u64,
}

/// What a build made.
pub(super) struct Built {
    /// The new root node; `None` when there are no entries.
    pub(super) top: Option<Top>,
    /// Plaintext bytes of the leaves written.
    pub(super) leaf_bytes: u64,
    /// First and last key, when every entry was written anew.
    pub(super) bounds: Option<(Key, Key)>,
    /// Subtrees kept as they are.
    pub(super) kept: Vec<Top>,
}

struct Builder<'a, 'b> {
    out: &'a mut Output<'b>,
    run: bool,
    levels: Vec<Level>,
    leaf_bytes: u64,
    bounds: Option<(Key, Key)>,
    kept: Vec<Top>,
}

impl<'a, 'b> Builder<'a, 'b> {
    fn new(out: &'a mut Output<'b>, run: bool) -> Self {
        Self { out, run, levels: vec![Level::new(0)], leaf_bytes: 0, bounds: None, kept: Vec::new() }
    }

    fn entry(&mut self, key: Key, record: Option<Record>) -> FsResult<()> {
        match &mut self.bounds {
            Some((_, last)) => last.clone_from(&key),
            None => self.bounds = Some((key.clone(), key.clone())),
        }
        let mut encoded = Vec::new();
        put_change(&mut encoded, &key, record.as_ref())?;
        let level = &mut self.levels[0];
        if let Pending::Leaf(entries) = &mut level.pending {
            entries.push((key, record));
        }
        level.lens.push(encoded.len());
        level.bytes += encoded.len();
        while self.levels[0].bytes > self.out.shape.split {
            self.write(0, false)?;
        }
        Ok(())
    }

    fn child(&mut self, level: usize, first: Key, addr: NodeAddr) -> FsResult<()> {
        if level > usize::from(MAX_LEVEL) {
            return Err(FsError::new(Kind::Internal, "tree: too many levels"));
        }
        while self.levels.len() <= level {
            self.levels.push(Level::new(self.levels.len()));
        }
        let at = &mut self.levels[level];
        let len = 2 + first.encoded_len() + ADDR;
        if let Pending::Index(children) = &mut at.pending {
            children.push((first, addr));
        }
        at.lens.push(len);
        at.bytes += len;
        while self.levels[level].bytes > self.out.shape.split {
            self.write(level, false)?;
        }
        Ok(())
    }

    /// Whether something pending at or below `level` is too small to be written before a kept subtree of `level`.
    fn wants_more(&self, level: usize) -> bool {
        self.levels.iter().take(level + 1).any(|level| (1..self.out.shape.small).contains(&level.bytes))
    }

    /// Keeps a whole subtree; everything before it was handed in.
    fn keep(&mut self, top: Top, first: Key) -> FsResult<()> {
        let level = usize::from(top.level);
        for below in 0..=level {
            // Writing one level may add the next.
            while self.levels.get(below).is_some_and(|level| level.bytes > 0) {
                self.write(below, true)?;
            }
        }
        self.kept.push(top);
        self.child(level + 1, first, top.addr)
    }

    /// Writes a node out of what is pending at `level`.
    fn write(&mut self, level: usize, all: bool) -> FsResult<()> {
        let Shape { target, split, .. } = self.out.shape;
        let mut plain = Vec::with_capacity(split);
        let (node, first) = match self.levels[level].take(if all { split } else { target }) {
            Pending::Leaf(entries) => {
                Node::encode_leaf(&entries, &mut plain)?;
                self.leaf_bytes += plain.len() as u64;
                let first = entries.first().map(|(key, _)| key.clone());
                (Node::Leaf(entries), first)
            }
            Pending::Index(children) => {
                Node::encode_index(level as u8, &children, &mut plain);
                let first = children.first().map(|(key, _)| key.clone());
                (Node::Index { level: level as u8, children }, first)
            }
        };
        let first = first.ok_or_else(|| FsError::new(Kind::Internal, "tree: an empty node was to be written"))?;
        let mut addr = NodeAddr { pack: self.out.writer.number(), offset: 0, stored: 0, plain: 0, run: self.run };
        let origin = Origin { ino: first.owner, file_offset: level as u64, operation: 0 };
        let unit = self.out.writer.push(addr.unit_kind(), &plain, origin)?;
        (addr.offset, addr.stored, addr.plain) = (unit.offset, unit.stored, unit.plain);
        self.out.stored += u64::from(unit.stored);
        self.out.nodes.insert(&addr, Arc::new(node));
        self.child(level + 1, first, addr)
    }

    fn finish(mut self) -> FsResult<Built> {
        let mut level = 0;
        let top = loop {
            let highest = level + 1 == self.levels.len();
            if highest && level > 0 {
                if let Pending::Index(children) = &self.levels[level].pending
                    && let [(_, addr)] = children.as_slice()
                {
                    break Some(Top { addr: *addr, level: level as u8 - 1 });
                }
            } else if highest && self.levels[0].bytes == 0 {
                break None;
            }
            while self.levels[level].bytes > 0 {
                self.write(level, true)?;
            }
            level += 1;
        };
        Ok(Built { top, leaf_bytes: self.leaf_bytes, bounds: self.bounds, kept: self.kept })
    }
}

/// One step of what happens to a tree.
enum Change {
    Put(Record),
    Remove,
    /// Nothing changes, but the nodes that hold the key are written anew.
    Touch,
}

/// A sorted stream of changes, loading what it needs.
struct Changes<'a> {
    merge: Merge<'a>,
    touches: std::iter::Peekable<std::vec::IntoIter<Key>>,
    next: Option<(Key, Option<Record>)>,
    ended: bool,
}

/// What reads nodes for a commit.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) tree: &'a Tree,
    pub(super) source: &'a dyn PackSource,
    pub(super) keys: &'a KeyRing,
}

impl Reading<'_> {
    pub(super) async fn node(&self, top: Top) -> FsResult<Arc<Node>> {
        loop {
            if let Some(node) = node_at(&self.tree.nodes, &top.addr, top.level)? {
                return Ok(node);
            }
            self.tree.load(top.addr, self.source, self.keys).await?;
        }
    }

    /// The next change of a merge.
    pub(super) async fn step(&self, merge: &mut Merge<'_>) -> FsResult<Option<(Key, Option<Record>)>> {
        loop {
            match merge.step(&self.tree.nodes, |key, record| (key.clone(), record.cloned()))? {
                Fetch::Ready(change) => return Ok(change),
                Fetch::Missing(addr) => self.tree.load(addr, self.source, self.keys).await?,
            }
        }
    }
}

impl Changes<'_> {
    async fn fill(&mut self, reading: &Reading<'_>) -> FsResult<()> {
        if self.next.is_none() && !self.ended {
            self.next = reading.step(&mut self.merge).await?;
            self.ended = self.next.is_none();
        }
        Ok(())
    }

    /// The key of the next change, once filled.
    fn key(&mut self) -> Option<&Key> {
        match (&self.next, self.touches.peek()) {
            (Some((key, _)), Some(touch)) => Some(key.min(touch)),
            (Some((key, _)), None) => Some(key),
            (None, touch) => touch,
        }
    }

    fn take(&mut self) -> Option<(Key, Change)> {
        let key = self.key()?.clone();
        while self.touches.next_if(|touch| *touch == key).is_some() {}
        let change = match self.next.take_if(|(next, _)| *next == key) {
            Some((_, Some(record))) => Change::Put(record),
            Some((_, None)) => Change::Remove,
            None => Change::Touch,
        };
        Some((key, change))
    }
}

/// Builds a run from everything that `merge` yields; removals are kept.
pub(super) async fn build_run(reading: Reading<'_>, out: &mut Output<'_>, mut merge: Merge<'_>) -> FsResult<Built> {
    let mut builder = Builder::new(out, true);
    while let Some((key, record)) = reading.step(&mut merge).await? {
        builder.entry(key, record)?;
    }
    builder.finish()
}

/// Copy-on-write of one tree.
pub(super) struct Rewrite<'a, 'b> {
    reading: Reading<'a>,
    changes: Changes<'a>,
    builder: Builder<'a, 'b>,
    /// Write every node anew.
    whole: bool,
    freed: Vec<NodeAddr>,
    freed_leaf_bytes: u64,
}

/// What a rewrite made and what it no longer needs.
pub(super) struct Rewritten {
    pub(super) built: Built,
    pub(super) freed: Vec<NodeAddr>,
    /// Plaintext bytes of the leaves among them.
    pub(super) freed_leaf_bytes: u64,
}

impl<'a, 'b> Rewrite<'a, 'b> {
    /// Prepares to apply what `merge` yields, and to write anew the nodes that hold `touches` (or all, when `whole`).
    pub(super) fn new(
        reading: Reading<'a>,
        out: &'a mut Output<'b>,
        merge: Merge<'a>,
        mut touches: Vec<Key>,
        whole: bool,
    ) -> Self {
        touches.sort();
        let changes = Changes { merge, touches: touches.into_iter().peekable(), next: None, ended: false };
        let builder = Builder::new(out, false);
        Self { reading, changes, builder, whole, freed: Vec::new(), freed_leaf_bytes: 0 }
    }

    /// Rewrites the tree under `top` (or makes one).
    pub(super) async fn run(mut self, top: Option<Top>) -> FsResult<Rewritten> {
        self.changes.fill(&self.reading).await?;
        match top {
            Some(top) if self.changes.key().is_none() && !self.whole => {
                self.builder.kept.push(top);
                let kept = std::mem::take(&mut self.builder.kept);
                let built = Built { top: Some(top), leaf_bytes: 0, bounds: None, kept };
                return Ok(Rewritten { built, freed: self.freed, freed_leaf_bytes: 0 });
            }
            Some(top) => self.walk(top, None).await?,
            None => self.put_before(None).await?,
        }
        let built = self.builder.finish()?;
        Ok(Rewritten { built, freed: self.freed, freed_leaf_bytes: self.freed_leaf_bytes })
    }

    /// Puts every change below `upper` that no old entry precedes.
    async fn put_before(&mut self, upper: Option<&Key>) -> FsResult<()> {
        loop {
            self.changes.fill(&self.reading).await?;
            if self.changes.key().is_none_or(|key| upper.is_some_and(|upper| key >= upper)) {
                return Ok(());
            }
            if let Some((key, Change::Put(record))) = self.changes.take() {
                self.builder.entry(key, Some(record))?;
            }
        }
    }

    fn walk<'s>(&'s mut self, top: Top, upper: Option<&'s Key>) -> BoxFuture<'s, FsResult<()>> {
        Box::pin(async move {
            let node = self.reading.node(top).await?;
            self.freed.push(top.addr);
            match &*node {
                Node::Leaf(entries) => {
                    self.freed_leaf_bytes += u64::from(top.addr.plain);
                    self.leaf(entries).await?;
                    self.put_before(upper).await
                }
                // One that could not be read: what is new below it goes into new leaves.
                Node::Index { children, .. } if children.is_empty() => self.put_before(upper).await,
                Node::Index { level, children } => {
                    for (nth, (first, addr)) in children.iter().enumerate() {
                        let end = children.get(nth + 1).map(|(key, _)| key).or(upper);
                        let child = Top { addr: *addr, level: level - 1 };
                        self.changes.fill(&self.reading).await?;
                        let touched =
                            self.changes.key().is_some_and(|key| end.is_none_or(|end| key < end)) || self.whole;
                        if touched || self.builder.wants_more(usize::from(child.level)) {
                            self.walk(child, end).await?;
                        } else {
                            self.builder.keep(child, first.clone())?;
                        }
                    }
                    Ok(())
                }
            }
        })
    }

    async fn leaf(&mut self, entries: &[(Key, Option<Record>)]) -> FsResult<()> {
        for (key, record) in entries {
            self.put_before(Some(key)).await?;
            let changed = if self.changes.key() == Some(key) { self.changes.take() } else { None };
            match changed {
                Some((_, Change::Put(record))) => self.builder.entry(key.clone(), Some(record))?,
                Some((_, Change::Remove)) => {}
                Some((_, Change::Touch)) | None => self.builder.entry(key.clone(), record.clone())?,
            }
        }
        Ok(())
    }
}

/// Every node of a tree or run that can be seen without reading its leaves.
pub(super) async fn all_nodes(reading: Reading<'_>, top: Top) -> FsResult<Vec<NodeAddr>> {
    let mut found = Vec::new();
    let mut pending = vec![top];
    while let Some(top) = pending.pop() {
        found.push(top.addr);
        if top.level > 0
            && let Node::Index { level, children } = &*reading.node(top).await?
        {
            pending.extend(children.iter().map(|(_, addr)| Top { addr: *addr, level: level - 1 }));
        }
    }
    Ok(found)
}
