//! Newtypes for every number that means something.
//!
//! A bare `u64` says nothing about what it counts; these do, and only carry the arithmetic that makes sense.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The id after this one; `None` when the space is used up.
            pub fn next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// An inode number: stable across mounts and machines, never reused.
    Ino(u64)
}
id! {
    /// A pack's number, from a counter in the tree, never reused.
    PackNo(u64)
}
id! {
    /// The Drive's sequence: +1 on every commit.
    Sequence(u64)
}
id! {
    /// Which master key sealed something; rotation starts the next one.
    KeyEpoch(u32)
}
id! {
    /// Position in the journalled order: every frame appended to the journal gets the next one.
    Lsn(u64)
}

impl Ino {
    /// The root directory.
    pub const ROOT: Ino = Ino(1);
    /// Not an inode: the owner of records that belong to the drive as a whole.
    pub const DRIVE: Ino = Ino(0);
}

/// The 32 random bytes that name a drive in every key derivation and associated data (docs/format.md).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DriveUid(pub [u8; 32]);

impl fmt::Debug for DriveUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriveUid({})", hex::encode(&self.0[..4]))
    }
}

impl fmt::Display for DriveUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Bytes of file content in one chunk: the unit of compression, sealing, caching and sharing.
pub const CHUNK: usize = 64 * 1024;
