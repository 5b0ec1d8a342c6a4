//! Where a file's content is, for those who ask: in memory, in the journal, or certified on the network, and in which blobs.

use super::state::Vfs;
use super::types::{Outcome, Stop};
use crate::ids::{Ino, PackNo};
use crate::tree::Fetch;
use crate::tree::record::{Extent, Key, Place, Record};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// What became of the newest change of a file's content or attributes. Its names are the directory's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// In memory, or open for writing: what `fsync` is for.
    Memory,
    /// Durable on this machine, in no commit yet.
    Journal,
    /// Certified on the network.
    Network,
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// How far its newest change has come.
    pub reached: Reached,
    /// The blobs that hold its certified chunks, in the order of their packs, at most [`BLOBS`]. None for content that lies in the
    /// tree itself.
    pub blobs: Vec<[u8; 32]>,
}

/// Blobs of one file that are named: as many as fit into an extended attribute in text.
pub const BLOBS: usize = 1000;

impl Vfs {
    /// Where `ino` is.
    pub fn placement(&self, ino: Ino) -> Outcome<Placement> {
        self.run(|ctx| {
            ctx.inode(ino)?;
            // Who has a file open for writing may have pages in the kernel that nobody has seen; closing writes them.
            let open = ctx.st.nodes.get(&ino).is_some_and(|node| node.writers > 0);
            let reached = match (open || ctx.st.dirty.contains_key(&ino), self.tree.is_committed(ino)) {
                (true, _) => Reached::Memory,
                (false, false) => Reached::Journal,
                (false, true) => Reached::Network,
            };
            let (from, to) = (Key::extents(ino, 0), Key::extents(ino, u64::MAX));
            let mut packs = BTreeSet::new();
            let scanned = self.tree.scan(&from, &to, &mut |_, record| {
                if let Record::Extents(extents) = record {
                    packs.extend(extents.iter().filter_map(pack_of));
                }
                if packs.len() < BLOBS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            if let Fetch::Missing(addr) = scanned {
                return Err(Stop::node(addr));
            }
            let mut blobs = Vec::with_capacity(packs.len());
            for pack in packs.into_iter().take(BLOBS) {
                match self.tree.pack(pack)? {
                    Fetch::Ready(Some(entry)) => blobs.push(entry.blob_id),
                    // The pack of a commit that is on its way has no entry yet.
                    Fetch::Ready(None) => {}
                    Fetch::Missing(addr) => return Err(Stop::node(addr)),
                }
            }
            Ok(Placement { reached, blobs })
        })
    }
}

fn pack_of(extent: &Extent) -> Option<PackNo> {
    match extent.place {
        Place::Pack { pack, .. } => Some(pack),
        Place::Spool { .. } => None,
    }
}
