//! Walking sorted things in step: memory layers, runs and trees, the newest of every key deciding.

use super::layer::{Layer, LayerRange, range};
use super::node::{Node, NodeCache};
use super::record::{Key, Record};
use super::{Fetch, NodeAddr};
use crate::error::{FsError, FsResult, Kind};
use std::sync::Arc;

/// The root node of a tree or a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) addr: NodeAddr,
    pub(super) level: u8,
}

/// The node at `addr`, which must be of `level`; `None` when it has to be loaded first.
pub(super) fn node_at(nodes: &NodeCache, addr: &NodeAddr, level: u8) -> FsResult<Option<Arc<Node>>> {
    match nodes.get(addr) {
        Some(node) if node.level() == level => Ok(Some(node)),
        Some(_) => Err(FsError::new(Kind::Corrupt, format!("tree: the node at {addr:?} is not of level {level}"))),
        None => Ok(None),
    }
}

/// The child under which `key` belongs.
fn child_of(children: &[(Key, NodeAddr)], key: &Key) -> usize {
    children.partition_point(|(first, _)| first <= key).saturating_sub(1)
}

/// Looks `key` up in one tree or run: `None` when it is not there, `Some(None)` when it is removed there.
pub(super) fn lookup(nodes: &NodeCache, top: Top, key: &Key) -> FsResult<Fetch<Option<Option<Record>>>> {
    let Top { mut addr, mut level } = top;
    loop {
        let Some(node) = node_at(nodes, &addr, level)? else { return Ok(Fetch::Missing(addr)) };
        match &*node {
            Node::Leaf(entries) => {
                let found = entries.binary_search_by(|(at, _)| at.cmp(key)).ok();
                return Ok(Fetch::Ready(found.map(|at| entries[at].1.clone())));
            }
            Node::Index { children, .. } => {
                // Only a node that could not be read has no children.
                let Some((_, child)) = children.get(child_of(children, key)) else { return Ok(Fetch::Ready(None)) };
                addr = *child;
                level -= 1;
            }
        }
    }
}

/// A position in a tree or run.
#[derive(Debug)]
pub(super) struct Cursor {
    top: Option<Top>,
    from: Key,
    to: Option<Key>,
    stack: Vec<(Arc<Node>, usize)>,
}

impl Cursor {
    pub(super) fn new(top: Top, from: Key, to: Option<Key>) -> Self {
        Self { top: Some(top), from, to, stack: Vec::new() }
    }

    fn enter(&mut self, node: Arc<Node>) {
        let at = match &*node {
            Node::Leaf(entries) => entries.partition_point(|(key, _)| *key < self.from),
            Node::Index { children, .. } => child_of(children, &self.from),
        };
        self.stack.push((node, at));
    }

    /// Moves to the next entry, if it is not on one; says which node is missing for that.
    fn settle(&mut self, nodes: &NodeCache) -> FsResult<Option<NodeAddr>> {
        if let Some(top) = self.top {
            let Some(node) = node_at(nodes, &top.addr, top.level)? else { return Ok(Some(top.addr)) };
            self.top = None;
            self.enter(node);
        }
        while let Some((node, at)) = self.stack.last() {
            match &**node {
                Node::Leaf(entries) if *at < entries.len() => return Ok(None),
                Node::Index { level, children } if *at < children.len() => {
                    let (first, addr) = &children[*at];
                    if self.to.as_ref().is_some_and(|to| first >= to) {
                        self.stack.clear();
                        return Ok(None);
                    }
                    let Some(child) = node_at(nodes, addr, level - 1)? else { return Ok(Some(*addr)) };
                    self.enter(child);
                }
                _ => {
                    self.stack.pop();
                    self.advance();
                }
            }
        }
        Ok(None)
    }

    /// The entry under a settled cursor.
    fn peek(&self) -> Option<(&Key, Option<&Record>)> {
        let (node, at) = self.stack.last()?;
        let Node::Leaf(entries) = &**node else { return None };
        let (key, record) = entries.get(*at)?;
        if self.to.as_ref().is_some_and(|to| key >= to) {
            return None;
        }
        Some((key, record.as_ref()))
    }

    fn advance(&mut self) {
        if let Some((_, at)) = self.stack.last_mut() {
            *at += 1;
        }
    }
}

enum Source<'a> {
    Memory(std::iter::Peekable<LayerRange<'a>>),
    Nodes(Box<Cursor>),
}

/// Several sources over one range of keys, newest first, merged: every key once, as its newest source has it.
pub(super) struct Merge<'a> {
    sources: Vec<Source<'a>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new() -> Self {
        Self { sources: Vec::new() }
    }

    /// Adds a layer below those added before.
    pub(super) fn layer(&mut self, layer: &'a Layer, from: &Key, to: Option<&Key>) {
        self.sources.push(Source::Memory(range(layer, from, to).peekable()));
    }

    /// Adds a tree or run below what was added before.
    pub(super) fn nodes(&mut self, top: Top, from: &Key, to: Option<&Key>) {
        self.sources.push(Source::Nodes(Box::new(Cursor::new(top, from.clone(), to.cloned()))));
    }

    /// Hands the next key to `visit` and moves on; `Ready(None)` at the end. When a node is missing nothing has moved.
    pub(super) fn step<R>(
        &mut self,
        nodes: &NodeCache,
        visit: impl FnOnce(&Key, Option<&Record>) -> R,
    ) -> FsResult<Fetch<Option<R>>> {
        for source in &mut self.sources {
            if let Source::Nodes(cursor) = source
                && let Some(missing) = cursor.settle(nodes)?
            {
                return Ok(Fetch::Missing(missing));
            }
        }
        let mut least: Option<(&Key, Option<&Record>)> = None;
        let mut holders = 0u64;
        for (nth, source) in self.sources.iter_mut().enumerate() {
            let here = match source {
                Source::Memory(range) => range.peek().map(|(key, record)| (*key, record.as_ref())),
                Source::Nodes(cursor) => cursor.peek(),
            };
            let Some(here) = here else { continue };
            match least.map(|(key, _)| here.0.cmp(key)) {
                None | Some(std::cmp::Ordering::Less) => (least, holders) = (Some(here), 1 << nth),
                Some(std::cmp::Ordering::Equal) => holders |= 1 << nth,
                Some(std::cmp::Ordering::Greater) => {}
            }
        }
        let Some((key, record)) = least else { return Ok(Fetch::Ready(None)) };
        let answer = visit(key, record);
        for (nth, source) in self.sources.iter_mut().enumerate().filter(|(nth, _)| holders >> nth & 1 == 1) {
            debug_assert!(nth < 64);
            match source {
                Source::Memory(range) => drop(range.next()),
                Source::Nodes(cursor) => cursor.advance(),
            }
        }
        Ok(Fetch::Ready(Some(answer)))
    }
}
