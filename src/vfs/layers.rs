//! What the vfs asks of the tree: look up, scan in key order, apply a batch.

use crate::error::FsResult;
use crate::ids::{PackNo, Sequence};
use crate::tree::record::{Batch, Key, Record};

/// Where a tree node lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddr {
    /// The pack.
    pub pack: PackNo,
    /// Offset of the ciphertext in the pack, bytes.
    pub offset: u64,
    /// Sealed length, bytes.
    pub stored: u32,
    /// Plaintext length, bytes.
    pub plain: u32,
    /// The commit in which it was born.
    pub birth: Sequence,
}

/// The answer of a lookup: there, or a node must be loaded first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch<T> {
    /// The answer.
    Ready(T),
    /// Load this node and ask again.
    Missing(NodeAddr),
}

/// The layered key space (docs/architecture.md), as far as the vfs uses it.
pub trait Layers: Send {
    /// The record of `key`, newest layer first.
    fn get(&self, key: &Key) -> FsResult<Fetch<Option<Record>>>;
    /// Visits the records of `from..to` in key order until `visit` returns `false`.
    fn scan(&self, from: &Key, to: &Key, visit: &mut dyn FnMut(&Key, &Record) -> bool) -> FsResult<Fetch<()>>;
    /// Applies `batch` to the top layer.
    fn apply(&mut self, batch: &Batch);
    /// Moves the top layer below as the frozen cut; an error while another cut is frozen.
    fn freeze(&mut self) -> FsResult<()>;
}
