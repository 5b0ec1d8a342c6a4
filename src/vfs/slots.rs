//! Where the entry of a name lies in its directory.

use crate::ids::DriveUid;
use crate::tree::record::DIRENT_PROBE;

/// The slots of a drive's directories (docs/format.md "Directory slots"). The hash is keyed by the drive's uid, so names that collide on
/// one drive do not on another. The key is no secret, the uid stands on the chain: what keeps names apart is the work of finding
/// seventeen in one run of slots, some 2^58 hashes for each drive.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_format_document() {
        let slots = Slots::new(&DriveUid([0x11; 32]));
        assert_eq!(slots.first(b"a"), 0x54fd_a133_dbba_b2e0);
        assert_eq!(slots.first(b"hello.txt"), 0x66b8_3534_054e_44e0);
        let page = include_str!("../../docs/format.md");
        for (name, slot) in [("a", "54fda133dbbab2e0"), ("hello.txt", "66b83534054e44e0")] {
            assert!(page.contains(&format!("    {name:<10}{slot}\n")), "{name}");
        }
    }
}
