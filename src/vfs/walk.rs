//! Content as it lies on the network, for those who bring it here before anybody opens it.

use super::content::{Below, CHUNK_U64};
use super::state::{Ctx, Vfs};
use super::types::*;
use crate::ids::Ino;
use crate::tree::record::{ChunkAddr, GROUP};

/// Chunks of a file that lie in packs, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The chunks.
    pub chunks: Vec<ChunkAddr>,
    /// Where to go on ([`Vfs::packed`]); `None` at the end of the file.
    pub next: Option<u64>,
}

impl Vfs {
    /// The chunks of `ino` that lie in packs, from extent group `from` on, of a few groups at a time. What lies only on this
    /// machine (dirty, or in the journal) is not among them.
    pub fn packed(&self, ino: Ino, from: u64) -> Outcome<Packed> {
        self.run(|ctx| {
            let inode = ctx.file(ino)?;
            let end = ctx.size(ino, &inode).div_ceil(CHUNK_U64);
            let mut packed = Packed::default();
            let mut group = from;
            while packed.chunks.len() < 2 * GROUP as usize {
                let Some(found) = ctx.next_group(ino, group)?.filter(|group| group * GROUP < end) else {
                    return Ok(packed);
                };
                ctx.packed_group(ino, &inode, found, end, &mut packed.chunks)?;
                group = found + 1;
            }
            packed.next = Some(group);
            Ok(packed)
        })
    }
}

impl Ctx<'_> {
    fn packed_group(
        &self,
        ino: Ino,
        inode: &crate::tree::record::Inode,
        group: u64,
        end: u64,
        chunks: &mut Vec<ChunkAddr>,
    ) -> Step<()> {
        let extents = self.group(ino, group)?;
        for index in group * GROUP..((group + 1) * GROUP).min(end) {
            if let Below::Pack(addr) | Below::Spool { base: Some(addr), .. } = Self::below(inode, &extents, index) {
                chunks.push(addr);
            }
        }
        Ok(())
    }
}
