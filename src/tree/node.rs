//! Nodes of trees and runs, decoded, and the cache that holds them.
//!
//! A leaf is a sorted list of changes; in a tree none of them is a removal, in a run any may be. An index node is a sorted
//! list of children with their first keys. Packs never change, so a cached node never goes stale.

use super::NodeAddr;
use super::codec::{Fields, put_change};
use super::record::{Key, Record};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::PackNo;
use crate::pack::UnitKind;
use lru::LruCache;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Levels above the leaves that a tree may have: 32^12 leaves at the smallest sensible fan-out.
pub(super) const MAX_LEVEL: u8 = 12;

/// The least that a cache may hold: a few of the largest nodes, so that whoever loads one finds it.
const CACHE_MIN: usize = 4 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    Leaf(Vec<(Key, Option<Record>)>),
    Index { level: u8, children: Vec<(Key, NodeAddr)> },
}

impl NodeAddr {
    pub(super) fn unit_kind(&self) -> UnitKind {
        if self.run { UnitKind::Run } else { UnitKind::Node }
    }
}

impl Node {
    pub(super) fn level(&self) -> u8 {
        match self {
            Node::Leaf(_) => 0,
            Node::Index { level, .. } => *level,
        }
    }

    pub(super) fn first_key(&self) -> Option<&Key> {
        match self {
            Node::Leaf(entries) => entries.first().map(|(key, _)| key),
            Node::Index { children, .. } => children.first().map(|(key, _)| key),
        }
    }

    /// The child under which `key` belongs; `None` in a leaf.
    pub(super) fn child_towards(&self, key: &Key) -> Option<NodeAddr> {
        let Node::Index { children, .. } = self else { return None };
        let at = children.partition_point(|(first, _)| first <= key).saturating_sub(1);
        children.get(at).map(|(_, addr)| *addr)
    }

    /// Decodes a node of a run (`run`) or of a tree, and checks its order.
    pub(super) fn decode(bytes: &[u8], run: bool) -> FsResult<Self> {
        let bad = |why: &'static str| FsError::new(Kind::Corrupt, why);
        let mut fields = Fields(bytes);
        let [level] = fields.array()?;
        if level > MAX_LEVEL {
            return Err(bad("tree: a node claims to be too high"));
        }
        let count = fields.u32()?;
        // No entry is shorter than 24 bytes, so the count cannot promise more than the bytes hold.
        if count == 0 || count as usize > bytes.len() / 24 {
            return Err(bad("tree: a node claims an impossible number of entries"));
        }
        let node = if level == 0 {
            let entries = (0..count).map(|_| fields.change()).collect::<FsResult<Vec<_>>>()?;
            if !run && entries.iter().any(|(_, record)| record.is_none()) {
                return Err(bad("tree: a leaf holds a removal"));
            }
            Node::Leaf(entries)
        } else {
            let child =
                |fields: &mut Fields<'_>| -> FsResult<(Key, NodeAddr)> { Ok((fields.key()?, take_addr(fields, run)?)) };
            let children = (0..count).map(|_| child(&mut fields)).collect::<FsResult<Vec<_>>>()?;
            Node::Index { level, children }
        };
        let sorted = match &node {
            Node::Leaf(entries) => entries.is_sorted_by(|a, b| a.0 < b.0),
            Node::Index { children, .. } => children.is_sorted_by(|a, b| a.0 < b.0),
        };
        if !sorted || !fields.0.is_empty() {
            return Err(bad("tree: a node is not sorted or too long"));
        }
        Ok(node)
    }

    pub(super) fn encode_leaf(entries: &[(Key, Option<Record>)], out: &mut Vec<u8>) -> FsResult<()> {
        out.push(0);
        out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        entries.iter().try_for_each(|(key, record)| put_change(out, key, record.as_ref()))
    }

    pub(super) fn encode_index(level: u8, children: &[(Key, NodeAddr)], out: &mut Vec<u8>) {
        out.push(level);
        out.extend_from_slice(&(children.len() as u32).to_le_bytes());
        for (key, addr) in children {
            out.extend_from_slice(&(key.encoded_len() as u16).to_le_bytes());
            key.encode(out);
            put_addr(out, addr);
        }
    }
}

/// Length of an encoded address, bytes.
pub(super) const ADDR: usize = 24;

fn put_addr(out: &mut Vec<u8>, addr: &NodeAddr) {
    out.extend_from_slice(&addr.pack.0.to_le_bytes());
    out.extend_from_slice(&addr.offset.to_le_bytes());
    out.extend_from_slice(&addr.stored.to_le_bytes());
    out.extend_from_slice(&addr.plain.to_le_bytes());
}

fn take_addr(fields: &mut Fields<'_>, run: bool) -> FsResult<NodeAddr> {
    let (pack, offset) = (PackNo(fields.u64()?), fields.u64()?);
    Ok(NodeAddr { pack, offset, stored: fields.u32()?, plain: fields.u32()?, run })
}

/// Decoded nodes, least recently used out first, bounded by an estimate of their bytes in memory.
pub(super) struct NodeCache {
    limit: usize,
    nodes: Mutex<Nodes>,
}

struct Nodes {
    by_place: LruCache<(PackNo, u64), (Arc<Node>, usize)>,
    bytes: usize,
    /// Nodes that cannot be read and are to read as empty.
    lost: HashMap<(PackNo, u64), Arc<Node>>,
}

impl NodeCache {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            limit: bytes.max(CACHE_MIN),
            nodes: Mutex::new(Nodes { by_place: LruCache::unbounded(), bytes: 0, lost: HashMap::new() }),
        }
    }

    pub(super) fn get(&self, addr: &NodeAddr) -> Option<Arc<Node>> {
        let mut nodes = self.nodes.lock();
        let place = (addr.pack, addr.offset);
        if let Some(lost) = nodes.lost.get(&place) {
            return Some(lost.clone());
        }
        nodes.by_place.get(&place).map(|(node, _)| node.clone())
    }

    /// From now on the node at `addr` reads as an empty one of `level`.
    pub(super) fn lose(&self, addr: &NodeAddr, level: u8) {
        let empty = if level == 0 { Node::Leaf(Vec::new()) } else { Node::Index { level, children: Vec::new() } };
        self.nodes.lock().lost.insert((addr.pack, addr.offset), Arc::new(empty));
    }

    /// Whether there are nodes that read as empty because they cannot be read.
    pub(super) fn has_lost(&self) -> bool {
        !self.nodes.lock().lost.is_empty()
    }

    /// The lost nodes are no longer part of the tree.
    pub(super) fn forget_lost(&self) {
        self.nodes.lock().lost.clear();
    }

    pub(super) fn insert(&self, addr: &NodeAddr, node: Arc<Node>) {
        let entries = match &*node {
            Node::Leaf(entries) => entries.len() * size_of::<(Key, Option<Record>)>(),
            Node::Index { children, .. } => children.len() * size_of::<(Key, NodeAddr)>(),
        };
        let cost = entries + addr.plain as usize + 256;
        let mut nodes = self.nodes.lock();
        nodes.bytes += cost;
        if let Some((_, old)) = nodes.by_place.put((addr.pack, addr.offset), (node, cost)) {
            nodes.bytes -= old;
        }
        while nodes.bytes > self.limit {
            let Some((_, (_, freed))) = nodes.by_place.pop_lru() else { break };
            nodes.bytes -= freed;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.nodes.lock().bytes
    }

    pub(super) fn clear(&self) {
        let mut nodes = self.nodes.lock();
        nodes.by_place.clear();
        nodes.bytes = 0;
    }
}

impl std::fmt::Debug for NodeCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeCache").field("limit", &self.limit).field("bytes", &self.bytes()).finish()
    }
}
