//! The master key and what is derived from it.

use crate::ids::DriveUid;
use crate::seam::Random;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The 32 random bytes from which every key of one key epoch of a drive is derived. Zeroized on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

/// A derived key, zeroized on drop.
pub(super) type SubKey = Zeroizing<[u8; 32]>;

/// Fixed contexts of BLAKE3 `derive_key`. They are part of the format: changing one makes every drive unreadable.
pub(super) mod context {
    pub(crate) const DATA: &str = "walrusfs 2026-11 v1 data key";
    pub(crate) const PACK: &str = "walrusfs 2026-11 v1 pack key";
    pub(crate) const LOG: &str = "walrusfs 2026-11 v1 log entry key";
    pub(crate) const SEAL: &str = "walrusfs 2026-11 v1 commit seal key";
    pub(crate) const LABEL: &str = "walrusfs 2026-11 v1 label key";
    pub(crate) const JOURNAL: &str = "walrusfs 2026-11 v1 local journal key";
    pub(crate) const CACHE: &str = "walrusfs 2026-11 v1 local cache key";
    pub(crate) const KEYRING: &str = "walrusfs 2026-11 v1 keyring key";
    pub(crate) const COMMITMENT: &str = "walrusfs 2026-11 v1 master key commitment";
}

impl MasterKey {
    /// A new random key.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes);
        Self(*bytes)
    }

    /// The key with these bytes, as unwrapped from a key slot.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The bytes of the key, for wrapping them in a key slot. They must not be copied anywhere else.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A public value that only this key of this drive has: a slot stores it and checks it after unwrapping.
    pub fn commitment(&self, uid: &DriveUid) -> [u8; 32] {
        *derive(context::COMMITMENT, &[&self.0, &uid.0])
    }

    /// The sub-key for `context`, bound to the drive.
    pub(super) fn subkey(&self, context: &str, uid: &DriveUid) -> SubKey {
        derive(context, &[&self.0, &uid.0])
    }
}

/// BLAKE3 `derive_key` over the parts, back to back. Every caller passes parts of fixed length, so the concatenation is
/// unambiguous.
pub(super) fn derive(context: &str, parts: &[&[u8; 32]]) -> SubKey {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(*part);
    }
    let mut hash = hasher.finalize();
    let key = Zeroizing::new(*hash.as_bytes());
    hash.zeroize();
    hasher.zeroize();
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::SeededRandom;

    #[test]
    fn every_purpose_and_every_drive_has_its_own_key() {
        let master = MasterKey::generate(&SeededRandom::new(1));
        let (one, two) = (DriveUid([1; 32]), DriveUid([2; 32]));
        let contexts = [
            context::DATA,
            context::PACK,
            context::LOG,
            context::SEAL,
            context::LABEL,
            context::JOURNAL,
            context::CACHE,
            context::KEYRING,
            context::COMMITMENT,
        ];
        let keys: std::collections::BTreeSet<[u8; 32]> = contexts
            .iter()
            .flat_map(|context| [*master.subkey(context, &one), *master.subkey(context, &two)])
            .collect();
        assert_eq!(keys.len(), 2 * contexts.len());
    }

    #[test]
    fn golden_derivation() {
        let master = MasterKey::from_bytes(&[7; 32]);
        let key = master.subkey(context::LOG, &DriveUid([9; 32]));
        let mut input = [7; 64];
        input[32..].fill(9);
        assert_eq!(*key, blake3::derive_key("walrusfs 2026-11 v1 log entry key", &input));
    }
}
