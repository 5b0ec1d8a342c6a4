//! Sealing of units in a pack: ChaCha20-Poly1305 under a key of the pack alone.
//!
//! Nonce: four zero bytes, then the offset of the ciphertext in the pack as u64 LE. Associated data: uid 32 | format u16
//! LE (1) | key epoch u32 LE | kind u8 | plaintext length u32 LE.

use super::aead::{Aead, NONCE, TAG};
use super::keys::{SubKey, context, derive};
use super::seal::{FORMAT, SealObserver, observe};
use crate::ids::{DriveUid, KeyEpoch};
use std::sync::Arc;

/// Seals and opens the units of one pack. The key is zeroized on drop.
#[derive(Clone)]
pub struct PackCipher {
    uid: DriveUid,
    epoch: KeyEpoch,
    key: SubKey,
    observer: Option<Arc<dyn SealObserver>>,
}

impl PackCipher {
    pub(super) fn new(
        uid: DriveUid,
        epoch: KeyEpoch,
        data_key: &SubKey,
        salt: &[u8; 32],
        observer: Option<Arc<dyn SealObserver>>,
    ) -> Self {
        Self { uid, epoch, key: derive(context::PACK, &[data_key, salt]), observer }
    }

    fn associated(&self, kind: u8, plain_len: u32) -> [u8; 43] {
        let mut out = [0; 43];
        out[..32].copy_from_slice(&self.uid.0);
        out[32..34].copy_from_slice(&FORMAT.to_le_bytes());
        out[34..38].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[38] = kind;
        out[39..].copy_from_slice(&plain_len.to_le_bytes());
        out
    }

    fn nonce(offset: u64) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        nonce[4..].copy_from_slice(&offset.to_le_bytes());
        nonce
    }

    /// Encrypts `unit` in place and returns the tag. `offset` is where the ciphertext will start in the pack: it must be
    /// sealed once only per cipher. `plain_len` is the length before compression. `None` only above 256 GiB.
    #[must_use]
    pub fn seal_in_place(&self, kind: u8, offset: u64, plain_len: u32, unit: &mut [u8]) -> Option<[u8; TAG]> {
        let nonce = Self::nonce(offset);
        let tag = Aead::new(&self.key, nonce)?.seal(&self.associated(kind, plain_len), unit)?;
        if self.observer.is_some() {
            observe(self.observer.as_deref(), &self.key, &nonce, &[unit, &tag[..]].concat());
        }
        Some(tag)
    }

    /// Decrypts `sealed` (ciphertext and tag) in place, leaving the plaintext; `false` when it is not what was sealed at
    /// this offset of this pack with this kind and length.
    #[must_use]
    pub fn open_in_place(&self, kind: u8, offset: u64, plain_len: u32, sealed: &mut Vec<u8>) -> bool {
        let Some((unit, tag)) = sealed.split_last_chunk_mut::<TAG>() else { return false };
        let (tag, len) = (*tag, unit.len());
        let cipher = Aead::new(&self.key, Self::nonce(offset));
        let opened = cipher.is_some_and(|cipher| cipher.open(&self.associated(kind, plain_len), unit, tag));
        sealed.truncate(len);
        opened
    }
}

impl std::fmt::Debug for PackCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackCipher").field("uid", &self.uid).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
