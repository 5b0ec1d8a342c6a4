//! What has been written to a file and is in memory only.

use super::ranged::Ranged;
use super::types::Attr;
use crate::tree::record::{INLINE_MAX, Inode, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The dirty part of one chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct DirtyChunk {
    /// Shared with a write-back at work; a write then copies it first.
    pub(super) data: Arc<Ranged>,
    /// Number of the oldest write in it.
    pub(super) oldest: u64,
    /// Number of the newest write in it.
    pub(super) newest: u64,
    /// Whether the chunk has a place in the tree already, or may have (for `st_blocks`).
    pub(super) placed: bool,
}

/// The dirty part of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct DirtyFile {
    pub(super) chunks: BTreeMap<u64, DirtyChunk>,
    /// The length, when writes have moved it beyond the tree's.
    pub(super) size: Option<u64>,
    /// Time of the newest write, unless something later has set the inode's.
    pub(super) mtime: Option<Time>,
    pub(super) ctime: Option<Time>,
    /// Number of the oldest write that is not in the journal.
    pub(super) oldest: u64,
    /// When it became dirty, by the injected clock.
    pub(super) since: Duration,
    /// Another one when content is cut off or punched, and in every dirty part that is made anew: a write-back at work must not
    /// bring back what went meanwhile, even with all of the dirty part.
    pub(super) shape: u64,
}

impl DirtyFile {
    /// Length of the file.
    pub(super) fn size(&self, inode: &Inode) -> u64 {
        self.size.unwrap_or(inode.size)
    }

    /// Shows in `attr` (of the tree's `inode`) what is dirty.
    pub(super) fn show(&self, inode: &Inode, attr: &mut Attr) {
        attr.size = self.size(inode);
        attr.mtime = self.mtime.unwrap_or(inode.mtime);
        attr.ctime = self.ctime.unwrap_or(inode.ctime);
        attr.blocks = if inode.chunks == 0 && attr.size <= INLINE_MAX as u64 {
            attr.size.div_ceil(512)
        } else {
            let new = self.chunks.values().filter(|chunk| !chunk.placed).count() as u64;
            Attr::blocks_of(inode.chunks.saturating_add(new), attr.size)
        };
    }

    /// Memory used, bytes.
    pub(super) fn weight(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.data.weight()).sum()
    }

    /// Whether nothing is left to write back.
    pub(super) fn is_clean(&self) -> bool {
        self.chunks.is_empty() && self.size.is_none() && self.mtime.is_none() && self.ctime.is_none()
    }
}
