//! Where the entry of a name lies in its directory.

use crate::ids::DriveUid;
use crate::tree::record::DIRENT_PROBE;

/// The slots of a drive's directories: a keyed hash, so that nobody without the drive can make names collide.
#[derive(Clone, Debug)]
pub struct Slots([u8; 32]);

impl Slots {
    /// The slots of the drive `uid`.
    pub fn new(uid: &DriveUid) -> Self {
        Self(blake3::derive_key("walrusfs 2026 directory slots v1", &uid.0))
    }

    /// The slot at which the probe for `name` begins: below 2^63, so that it is a valid `off_t`, and above the cookies of
    /// `.` and `..`. The entry lies in one of the [`DIRENT_PROBE`] slots from there on.
    pub fn first(&self, name: &[u8]) -> u64 {
        let hash = blake3::keyed_hash(&self.0, name);
        let (head, _) = hash.as_bytes().split_at(8);
        let number = head.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
        (number & (u64::MAX >> 1) & !(DIRENT_PROBE - 1)).max(DIRENT_PROBE)
    }
}
