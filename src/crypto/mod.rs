//! Keys and sealing: who may read a drive is decided here and nowhere else (docs/security.md).
//!
//! Two constructions only:
//! - units of a pack: ChaCha20-Poly1305 under a key of that pack alone ([`PackCipher`]); the nonce is the byte offset of
//!   the ciphertext in the pack, so a nonce repeats only if two packs share a salt; salts are 32 random bytes, drawn
//!   anew for every attempt to build a pack;
//! - everything else ([`KeyRing::seal`]): XChaCha20-Poly1305 with 24 fresh random bytes of nonce for every sealing.
//!
//! Every key is derived by BLAKE3 `derive_key` with a fixed context from the master key of a key epoch and the drive's
//! uid, so no two purposes, drives or epochs share a key. `docs/format.md` has every layout to the byte.
//!
//! Assumes that [`crate::seam::Random`] is unpredictable outside tests. Must never print, log or copy a key: keys are
//! zeroized when dropped and have no `Debug`.

mod aead;
mod keyring;
mod keys;
mod seal;
pub mod slots;
mod unit;

pub use aead::TAG;
pub use keyring::KeyRing;
pub use keys::MasterKey;
pub use seal::{Domain, SEAL_OVERHEAD, SealObserver};
pub use unit::PackCipher;
