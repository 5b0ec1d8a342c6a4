//! Keys and records of the directory tree: one sorted key space for everything a drive knows
//! (docs/format.md "Keys and records of the tree").
//!
//! The byte order of an encoded key is the order of [`Key`]; encoded forms are in `docs/format.md`.
//! Two spaces have a B+tree each, so that snapshots can keep one without the other: [`Space::Table`] (the pack table,
//! global, outside every snapshot) and [`Space::Files`] (everything that a path can reach).
//!
//! `serde_bytes` changes no encoded byte; without it every byte of a name or a value would be decoded on its own.

use crate::ids::{CHUNK, Ino, KeyEpoch, PackNo, Sequence};
use serde::{Deserialize, Serialize};

/// Which of the two trees of a drive a key lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// The pack table and other facts about storage; never part of a snapshot.
    Table = 0,
    /// Inodes, names, extents and attributes.
    Files = 1,
}

/// What a key names within its owner. The discriminants are the format's and sort an inode's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// Counters of the drive ([`Record::Counters`]); owner [`Ino::DRIVE`], one in each space.
    Counters = 0x01,
    /// A pack ([`Record::Pack`]); `num` is the pack's number.
    Pack = 0x10,
    /// Marks a pack without live bytes ([`Record::Dead`]); `num` is the pack's number. Keeps the search for packs to
    /// delete as short as their list.
    Dead = 0x14,
    /// A chunk shared by several extents ([`Record::Shared`]); `num` is the pack's number, `name` the offset as u64 BE.
    Shared = 0x18,
    /// An inode without names that waits to be reaped ([`Record::Orphan`]); `num` is its number.
    Orphan = 0x20,
    /// The inode itself ([`Record::Inode`]).
    Inode = 0x30,
    /// An extended attribute ([`Record::Xattr`]); `name` is its name.
    Xattr = 0x40,
    /// A directory entry ([`Record::Dirent`]); `num` is its slot, which is also its readdir cookie.
    Dirent = 0x50,
    /// A group of [`GROUP`] chunks of a file ([`Record::Extents`]); `num` is the group's index.
    Extents = 0x60,
}

/// The place of a record in the sorted key space. Field order is sort order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The tree it lives in.
    pub space: Space,
    /// The inode it belongs to; [`Ino::DRIVE`] for what belongs to the drive.
    pub owner: Ino,
    /// What it names.
    pub kind: KeyKind,
    /// A number within the kind, zero where there is none.
    pub num: u64,
    /// A name within the kind, empty where there is none.
    pub name: Box<[u8]>,
}

/// Chunks in one extent group: 4 MiB of file.
pub const GROUP: u64 = 64;

/// Slots in which a directory entry whose hash is `h` may lie: `h..h + DIRENT_PROBE` (the hash's low bits are zero).
pub const DIRENT_PROBE: u64 = 16;

impl Key {
    const fn files(owner: Ino, kind: KeyKind, num: u64, name: Box<[u8]>) -> Self {
        Self { space: Space::Files, owner, kind, num, name }
    }

    /// The counters of `space`.
    pub fn counters(space: Space) -> Self {
        Self { space, owner: Ino::DRIVE, kind: KeyKind::Counters, num: 0, name: Box::default() }
    }

    /// The pack table's entry of `pack`.
    pub fn pack(pack: PackNo) -> Self {
        Self { space: Space::Table, owner: Ino::DRIVE, kind: KeyKind::Pack, num: pack.0, name: Box::default() }
    }

    /// The mark of a pack without live bytes.
    pub fn dead(pack: PackNo) -> Self {
        Self { space: Space::Table, owner: Ino::DRIVE, kind: KeyKind::Dead, num: pack.0, name: Box::default() }
    }

    /// The reference count of the chunk at `offset` of `pack`.
    pub fn shared(pack: PackNo, offset: u64) -> Self {
        Self {
            space: Space::Table,
            owner: Ino::DRIVE,
            kind: KeyKind::Shared,
            num: pack.0,
            name: offset.to_be_bytes().into(),
        }
    }

    /// The mark of an inode without names.
    pub fn orphan(ino: Ino) -> Self {
        Self::files(Ino::DRIVE, KeyKind::Orphan, ino.0, Box::default())
    }

    /// The inode `ino`.
    pub fn inode(ino: Ino) -> Self {
        Self::files(ino, KeyKind::Inode, 0, Box::default())
    }

    /// The extended attribute `name` of `ino`.
    pub fn xattr(ino: Ino, name: &[u8]) -> Self {
        Self::files(ino, KeyKind::Xattr, 0, name.into())
    }

    /// The directory entry in `slot` of directory `dir`.
    pub fn dirent(dir: Ino, slot: u64) -> Self {
        Self::files(dir, KeyKind::Dirent, slot, Box::default())
    }

    /// The extent group `group` (chunks `group * GROUP ..`) of file `ino`.
    pub fn extents(ino: Ino, group: u64) -> Self {
        Self::files(ino, KeyKind::Extents, group, Box::default())
    }
}

/// A point in time as POSIX has it: seconds since the Unix epoch (negative before it) and nanoseconds below 10^9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds, negative before 1970.
    pub secs: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanos: u32,
}

/// What an inode carries inside itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Nothing: content, if any, lies in extents.
    #[default]
    None,
    /// The whole content of a file of at most [`INLINE_MAX`] bytes, or the target of a symbolic link.
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// Largest file content kept inside the inode, bytes.
pub const INLINE_MAX: usize = 2048;

/// An inode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    /// File type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Number of names; for a directory 2 + its subdirectories.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node, else 0.
    pub rdev: u32,
    /// Length in bytes; for a symbolic link the target's, for a directory the number of entries.
    pub size: u64,
    /// Chunks that have a place, dirty memory not counted: `st_blocks` without a scan of the extents.
    pub chunks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Creation.
    pub btime: Time,
    /// Parent directory of a directory; [`Ino::DRIVE`] for everything else.
    pub parent: Ino,
    /// Content kept in the inode.
    pub body: Body,
}

/// An entry of a directory. Its key's slot is its readdir cookie and never changes while the entry lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dirent {
    /// The name: 1 to 255 bytes, no `/`, no NUL.
    #[serde(with = "serde_bytes")]
    pub name: Vec<u8>,
    /// The inode that it names.
    pub ino: Ino,
    /// The `S_IFMT` bits of that inode's mode, shifted right by 12 (the `DT_*` number).
    pub kind: u8,
}

/// Where a run of consecutive chunks of a file lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In a pack, back to back.
    Pack {
        /// The pack.
        pack: PackNo,
        /// Offset of the first chunk's ciphertext in the pack, bytes.
        offset: u64,
        /// Sealed length of each chunk; empty when none was compressible (plaintext length + 16 each).
        lens: Vec<u32>,
        /// Plaintext length of the last chunk of the run; all before it hold [`CHUNK`] bytes.
        last: u32,
        /// The commit in which the chunks were born.
        birth: Sequence,
    },
    /// In this machine's spool (one chunk); never leaves this machine. One `at` always comes with the same `ranges` and
    /// `base`: a commit maps the frame to one sealed chunk.
    Spool {
        /// Where in the journal's data frames.
        at: SpoolRef,
        /// Dirty byte ranges `start..end` within the chunk, sorted and disjoint, whose bytes lie in the spool, back to
        /// back; empty when the spool holds the whole chunk (shorter than [`CHUNK`] means zeros to its end).
        ranges: Vec<(u32, u32)>,
        /// What lies below the dirty ranges; `None` means zeros.
        base: Option<ChunkAddr>,
    },
}

/// A run of consecutive chunks within an extent group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Index of the first chunk within the group, below [`GROUP`].
    pub first: u8,
    /// Number of chunks, at least 1; 1 for [`Place::Spool`].
    pub count: u8,
    /// Where they lie.
    pub place: Place,
}

/// One data frame of the journal: the plaintext of (part of) a dirty chunk, sealed on the local disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpoolRef {
    /// Journal segment.
    pub segment: u64,
    /// Offset of the frame in the segment, bytes.
    pub offset: u64,
    /// Plaintext length in bytes, at most [`CHUNK`].
    pub len: u32,
}

/// One sealed unit in a pack: all that is needed to fetch and unseal it (with the pack's entry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkAddr {
    /// The pack.
    pub pack: PackNo,
    /// Offset of the ciphertext in the pack, bytes; also its nonce.
    pub offset: u64,
    /// Sealed length, bytes (ciphertext and tag).
    pub stored: u32,
    /// Plaintext length, bytes. `stored == plain + 16` means stored as it is, anything else zstd.
    pub plain: u32,
    /// The commit in which it was born.
    pub birth: Sequence,
}

impl Extent {
    /// The address of chunk `index` (within the group), when it lies in this extent and in a pack.
    pub fn chunk(&self, index: u8) -> Option<ChunkAddr> {
        let Place::Pack { pack, offset, ref lens, last, birth } = self.place else { return None };
        let nth = usize::from(index.checked_sub(self.first)?);
        if nth >= usize::from(self.count) {
            return None;
        }
        let plain_of = |i: usize| if i + 1 == usize::from(self.count) { last } else { CHUNK as u32 };
        let stored_of = |i: usize| lens.get(i).copied().unwrap_or_else(|| plain_of(i).saturating_add(16));
        let before: u64 = (0..nth).map(|i| u64::from(stored_of(i))).sum();
        Some(ChunkAddr {
            pack,
            offset: offset.checked_add(before)?,
            stored: stored_of(nth),
            plain: plain_of(nth),
            birth,
        })
    }
}

/// An entry of the pack table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackEntry {
    /// The blob that holds the pack.
    pub blob_id: [u8; 32],
    /// The blob's length, bytes (padding included).
    pub size: u64,
    /// The pack's salt.
    pub salt: [u8; 32],
    /// The key epoch it is sealed under.
    pub key_epoch: KeyEpoch,
    /// Sealed bytes still referenced (file chunks, tree nodes, runs).
    pub live: u64,
    /// The commit that brought it.
    pub birth: Sequence,
    /// When `live` reached zero, milliseconds since the Unix epoch (by the committer's clock).
    pub dead_since_ms: Option<u64>,
    /// Where compaction moved the pack's chunks, old offset to new address; empty today, reserved by the format.
    pub forwards: Vec<(u64, ChunkAddr)>,
}

impl PackEntry {
    /// Stands for a pack that something refers to and nobody knows: reading it fails, dropping the references works.
    pub fn lost() -> Self {
        Self {
            blob_id: [0; 32],
            size: 0,
            salt: [0; 32],
            key_epoch: KeyEpoch(0),
            live: 0,
            birth: Sequence(0),
            dead_since_ms: None,
            forwards: Vec::new(),
        }
    }

    /// Whether this is [`PackEntry::lost`]: there is no blob.
    pub fn is_lost(&self) -> bool {
        self.blob_id == [0; 32]
    }
}

/// Counters of the drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// In [`Space::Files`]: the next inode number. In [`Space::Table`]: the next pack number.
    pub next: u64,
    /// In [`Space::Files`]: the number of inodes.
    pub inodes: u64,
    /// In [`Space::Files`]: bytes of file content, logical.
    pub bytes: u64,
}

/// A record of the tree. The enum's order is the format's (BCS variant index).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Counters of a space.
    Counters(Counters),
    /// A pack.
    Pack(PackEntry),
    /// Number of references to a shared chunk, at least 2.
    Shared(u32),
    /// An inode that waits to be reaped.
    Orphan,
    /// An inode.
    Inode(Inode),
    /// The value of an extended attribute.
    Xattr(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A directory entry.
    Dirent(Dirent),
    /// The chunks of a group, sorted by `first`, disjoint; a missing chunk is a hole.
    Extents(Vec<Extent>),
    /// A pack without live bytes.
    Dead,
}

/// Changes that happen together or not at all: each key's new record, or `None` to remove it.
pub type Batch = Vec<(Key, Option<Record>)>;
