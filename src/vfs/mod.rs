//! POSIX semantics over inodes: the part that pjdfstest judges. Knows no kernel and no network.
//!
//! # Mechanism
//!
//! Every operation reads records through the layers of the tree and yields one [`Batch`](crate::tree::record::Batch),
//! appended to the journal and applied to the top layer under one short lock. What it cannot read at once (a tree node, a
//! chunk) or must not wait for under the lock (disk, space) it names in [`Needs`]; the caller meets the needs on a thread
//! that may wait and calls the operation again with the same arguments. An operation that returns `Wait` has changed nothing.
//!
//! File content is written into dirty chunks in memory, over whatever lies below: a write never needs the old bytes.
//! [`Vfs::write_back`] moves dirty chunks into data frames of the journal and names them in a batch.
//!
//! # Promises
//!
//! `docs/semantics.md`, sentence by sentence. Inode numbers are never reused. The lock is never held across a disk sync or
//! the network.
//!
//! # Assumptions
//!
//! The kernel checks permissions (`default_permissions`), and every name and number it passes may still be wrong.

mod acl;
mod ahead;
mod attr;
mod chunk_cache;
mod commit;
mod content;
mod copy;
mod dirty;
mod extents;
mod lifetime;
mod listing;
mod names;
mod placement;
mod ranged;
mod rename;
mod resize;
mod slots;
mod state;
#[cfg(test)]
mod tests;
mod types;
mod walk;
mod write_back;

pub use ahead::Ahead;
pub use commit::{Cut, SpoolPlace};
pub use placement::{BLOBS, Placement, Reached};
pub use slots::Slots;
pub use state::{Config, Counts, Vfs};
pub use types::{
    Attr, BLOCK_SIZE, Barrier, Caller, DirEntry, Fallocate, Handle, MAX_FILE, NAME_MAX, Needs, Opened, Outcome,
    RenameMode, SYMLINK_MAX, Scope, Seek, SetAttr, SetTime, StatFs, WriteFlags, XATTR_LIST_MAX, XATTR_MAX, XattrMode,
};
pub use walk::Packed;
