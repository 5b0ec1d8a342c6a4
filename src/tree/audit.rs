//! A look at every unit of the committed tree, and what checking a drive needs beyond ordinary reads: reading on past what
//! cannot be read, putting the pack table right, and writing the whole tree anew.

use super::cursor::Top;
use super::node::Node;
use super::record::{Batch, Key, Space};
use super::{Base, Fetch, NodeAddr, Remains, Tree, read_node};
use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::PackNo;
use crate::pack::PackSource;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What [`Tree::audit`] found.
#[derive(Debug, Default)]
pub struct Audit {
    /// Sealed bytes that units of the tree take, by pack: nodes, blocks of runs and the root.
    pub stored: BTreeMap<PackNo, u64>,
    /// Number of units.
    pub units: u64,
    /// Units that cannot be read, and with them everything below.
    pub lost: Vec<LostUnit>,
    /// What the tree was gathered from, when its root is lost ([`Tree::open_damaged`]).
    pub gathered: Option<Arc<Remains>>,
}

/// A unit of the tree that cannot be read.
#[derive(Debug)]
pub struct LostUnit {
    /// Where it lies.
    pub addr: NodeAddr,
    /// Its level, 0 for a leaf.
    pub level: u8,
    /// The first key that it may hold.
    pub from: Key,
    /// The first key after it; `None` for the last unit.
    pub to: Option<Key>,
    /// Why.
    pub error: FsError,
}

impl Tree {
    /// Reads every unit of the committed trees and runs. One that cannot be read is reported, and reads as empty from then
    /// on: the rest can still be looked at. The next commit on such a tree writes all of it anew.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] when the network does not answer: that is no damage.
    pub async fn audit(&self, source: &dyn PackSource, keys: &KeyRing) -> FsResult<Audit> {
        // What an earlier look could not read is looked at, and reported, again.
        self.nodes.forget_lost();
        let base = self.state.read().base.clone();
        let gathered = self.remains();
        let units = gathered.as_ref().map_or(0, |remains| remains.nodes);
        let mut audit = Audit { gathered, units, ..Audit::default() };
        if let (Some(root), Some(at)) = (&base.root, &base.root_ref) {
            *audit.stored.entry(root.pack).or_default() += u64::from(at.length);
            audit.units += 1;
        }
        for (top, from, to) in tops(&base) {
            let mut pending = vec![(top, from, to)];
            while let Some((top, from, to)) = pending.pop() {
                *audit.stored.entry(top.addr.pack).or_default() += u64::from(top.addr.stored);
                audit.units += 1;
                match self.read_checked(top, source, keys).await {
                    Ok(node) => {
                        let Node::Index { level, children } = &*node else { continue };
                        for (nth, (first, addr)) in children.iter().enumerate() {
                            let first = if nth == 0 { from.clone() } else { first.clone() };
                            let end = children.get(nth + 1).map(|(key, _)| key.clone()).or_else(|| to.clone());
                            pending.push((Top { addr: *addr, level: level - 1 }, first, end));
                        }
                    }
                    Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                    Err(error) => {
                        self.nodes.lose(&top.addr, top.level);
                        audit.lost.push(LostUnit { addr: top.addr, level: top.level, from, to, error });
                    }
                }
            }
        }
        Ok(audit)
    }

    async fn read_checked(&self, top: Top, source: &dyn PackSource, keys: &KeyRing) -> FsResult<Arc<Node>> {
        let node = match self.nodes.get(&top.addr) {
            Some(node) => node,
            None => {
                self.load(top.addr, source, keys).await?;
                match (self.nodes.get(&top.addr), self.pack(top.addr.pack)?) {
                    (Some(node), _) => node,
                    // A small cache may have dropped it again.
                    (None, Fetch::Ready(Some(entry))) => {
                        Arc::new(read_node(top.addr, &entry.as_ref(), source, keys).await?)
                    }
                    (None, _) => return Err(FsError::new(Kind::Corrupt, "tree: a pack cannot be looked up twice")),
                }
            }
        };
        if node.level() != top.level {
            return Err(FsError::new(
                Kind::Corrupt,
                format!("tree: a node of level {} stands where level {} belongs", node.level(), top.level),
            ));
        }
        Ok(node)
    }

    /// Forgets which units could not be read: something that they need was found.
    pub fn look_again(&self) {
        self.nodes.forget_lost();
    }

    /// Whether parts of the tree cannot be read: the root, or units that [`Tree::audit`] found. The next commit writes
    /// everything that is left anew.
    pub fn has_lost_units(&self) -> bool {
        self.nodes.has_lost() || self.remains().is_some()
    }

    /// Replaces records of the pack table by what a recount found; they show in reads of the table at once and become
    /// durable with the next commit, or are forgotten with the tree. An error for keys outside the table.
    pub fn correct(&self, corrections: Batch) -> FsResult<()> {
        if corrections.iter().any(|(key, _)| key.space != Space::Table) {
            return Err(FsError::new(Kind::Internal, "tree: only the pack table can be corrected"));
        }
        let mut state = self.state.write();
        let mut base = Base::clone(&state.base);
        let mut log = Arc::unwrap_or_clone(std::mem::take(&mut base.log));
        for (key, record) in corrections {
            log.insert(key.clone(), record.clone());
            state.corrections.insert(key, record);
        }
        base.log = Arc::new(log);
        state.base = Arc::new(base);
        Ok(())
    }

    /// Whether [`Tree::correct`] left something for the next commit, or the tree has to be written anew.
    pub fn needs_mending(&self) -> bool {
        let corrected = !self.state.read().corrections.is_empty();
        corrected || self.has_lost_units()
    }
}

/// The tops of everything that the base reaches, with the keys below them; the pack table first, because everything else is
/// found through it.
fn tops(base: &Base) -> Vec<(Top, Key, Option<Key>)> {
    let trees = [Space::Table, Space::Files].into_iter().filter_map(|space| {
        let to = (space == Space::Table).then(|| Key::first_of(Space::Files));
        Some((base.tree(space)?.node.top(false), Key::first_of(space), to))
    });
    let runs = base.runs.iter().map(|run| {
        let mut end = run.last.clone();
        end.name = [&end.name[..], &[0]].concat().into();
        (run.top, run.first.clone(), Some(end))
    });
    trees.chain(runs).collect()
}
