//! One sealed unit: compression where it pays, then sealing; and back, bounded.

use crate::crypto::{PackCipher, TAG};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::CHUNK;
use std::cell::RefCell;
use std::io;

/// What a unit is. The discriminants are the format's and part of the associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum UnitKind {
    /// A chunk of a file, at most [`CHUNK`] bytes.
    Chunk = 1,
    /// A node of one of the trees.
    Node = 2,
    /// A node of a delta run.
    Run = 3,
    /// A root; never compressed.
    Root = 4,
    /// The index of a pack.
    Index = 5,
    /// The trailer of a pack.
    Trailer = 6,
}

impl UnitKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        use UnitKind::*;
        [Chunk, Node, Run, Root, Index, Trailer].into_iter().find(|kind| *kind as u8 == number)
    }

    /// The longest plaintext of a unit of this kind, bytes. A node holds one record more than its target size at worst,
    /// and a record (an attribute of 64 KiB) can be longer than the target.
    pub fn max_plain(self) -> u32 {
        match self {
            UnitKind::Chunk => CHUNK as u32,
            UnitKind::Node | UnitKind::Run | UnitKind::Root => 4 * CHUNK as u32,
            UnitKind::Index => 1 << 30,
            UnitKind::Trailer => 32,
        }
    }
}

/// Where a unit lies within its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitAddr {
    /// Offset of the ciphertext in the pack, bytes.
    pub offset: u64,
    /// Sealed length, bytes: ciphertext and tag.
    pub stored: u32,
    /// Plaintext length, bytes; `stored == plain + 16` means not compressed.
    pub plain: u32,
}

/// Unseals (and decompresses) a unit that was read from `addr` of the pack of `cipher`.
///
/// [`Kind::Corrupt`] when the bytes are not what was sealed there, or `addr` cannot be the address of such a unit.
pub fn open_unit(cipher: &PackCipher, kind: UnitKind, addr: UnitAddr, sealed: Vec<u8>) -> FsResult<Vec<u8>> {
    let body = unseal_unit(cipher, kind, addr, sealed)?;
    if body.len() == addr.plain as usize {
        return Ok(body);
    }
    let out = decompress(&body, addr.plain as usize)
        .map_err(|error| wrong(kind, addr, "does not decompress within its length").caused_by(error))?;
    if out.len() != addr.plain as usize {
        return Err(wrong(kind, addr, "decompresses to another length"));
    }
    Ok(out)
}

thread_local! {
    /// Making a decompressor costs as much as decompressing a node of the tree with it; it holds about 100 KiB.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// At most `most` bytes.
fn decompress(body: &[u8], most: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(kept) => kept,
            none => none.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(body, most)
    })
}

/// Unseals a unit and leaves it compressed if it is: for moving it to another pack with
/// [`super::PackWriter::push_stored`]. Errors as [`open_unit`].
pub fn unseal_unit(cipher: &PackCipher, kind: UnitKind, addr: UnitAddr, mut sealed: Vec<u8>) -> FsResult<Vec<u8>> {
    let UnitAddr { offset, stored, plain } = addr;
    if plain > kind.max_plain() {
        return Err(wrong(kind, addr, "claims more plaintext than such a unit can have"));
    }
    if u64::from(stored) > u64::from(plain) + TAG as u64 || sealed.len() != stored as usize {
        return Err(wrong(kind, addr, "has an impossible length"));
    }
    if !cipher.open_in_place(kind as u8, offset, plain, &mut sealed) {
        return Err(wrong(kind, addr, "does not authenticate: it was damaged or replaced"));
    }
    Ok(sealed)
}

fn wrong(kind: UnitKind, addr: UnitAddr, why: &str) -> FsError {
    FsError::new(Kind::Corrupt, format!("{kind:?} unit at {} ({} B sealed): {why}", addr.offset, addr.stored))
}
