//! Sealing of units in a pack: ChaCha20-Poly1305 under a key of the pack alone.
//!
//! Nonce: four zero bytes, then the offset of the ciphertext in the pack as u64 LE. Associated data: uid 32 | format u16
//! LE (1) | key epoch u32 LE | kind u8 | plaintext length u32 LE.

use super::keys::{SubKey, context, derive};
use super::seal::{FORMAT, SealObserver, observe};
use crate::ids::{DriveUid, KeyEpoch};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use std::sync::Arc;

/// Bytes of authentication tag behind every ciphertext.
pub const TAG: usize = 16;

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

    fn nonce(offset: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&offset.to_le_bytes());
        nonce.into()
    }

    /// Encrypts `unit` in place and returns the tag. `offset` is where the ciphertext will start in the pack: it must be
    /// sealed once only per cipher. `plain_len` is the length before compression. `None` only above 256 GiB.
    #[must_use]
    pub fn seal_in_place(&self, kind: u8, offset: u64, plain_len: u32, unit: &mut [u8]) -> Option<[u8; TAG]> {
        let nonce = Self::nonce(offset);
        let cipher = ChaCha20Poly1305::new((&*self.key).into());
        let tag = cipher.encrypt_inout_detached(&nonce, &self.associated(kind, plain_len), (&mut *unit).into()).ok()?;
        if self.observer.is_some() {
            observe(self.observer.as_deref(), &self.key, &nonce, &[unit, &tag[..]].concat());
        }
        Some(tag.into())
    }

    /// Decrypts `sealed` (ciphertext and tag) in place, leaving the plaintext; `false` when it is not what was sealed at
    /// this offset of this pack with this kind and length.
    #[must_use]
    pub fn open_in_place(&self, kind: u8, offset: u64, plain_len: u32, sealed: &mut Vec<u8>) -> bool {
        let Some((unit, tag)) = sealed.split_last_chunk_mut::<TAG>() else { return false };
        let tag = Tag::from(*tag);
        let len = unit.len();
        let cipher = ChaCha20Poly1305::new((&*self.key).into());
        let aad = self.associated(kind, plain_len);
        let opened = cipher.decrypt_inout_detached(&Self::nonce(offset), &aad, unit.into(), &tag).is_ok();
        sealed.truncate(len);
        opened
    }
}

impl std::fmt::Debug for PackCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackCipher").field("uid", &self.uid).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
