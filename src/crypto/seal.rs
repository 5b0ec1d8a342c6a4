//! Sealing of everything that does not lie in a pack: XChaCha20-Poly1305, fresh random nonce, key epoch in clear.
//!
//! ```text
//! key epoch u32 LE | nonce 24 | ciphertext | tag 16
//! ```
//! Associated data: format u16 LE (1) | domain u8 | uid 32 | key epoch u32 LE | the caller's.

use super::aead::{Aead, LONG_NONCE as NONCE, TAG};
use super::keys::{SubKey, context};
use crate::ids::{DriveUid, KeyEpoch};

/// Version of both sealing constructions; part of every associated data.
pub(super) const FORMAT: u16 = 1;

/// Bytes that sealing adds: key epoch, nonce, tag.
pub const SEAL_OVERHEAD: usize = 4 + NONCE + TAG;

/// What is sealed: each domain has its own key, so that nothing sealed as one can be opened as another. The
/// discriminants are the format's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Domain {
    /// An entry of the Drive's log.
    Log = 1,
    /// The Drive's commit seal.
    Seal = 2,
    /// The Drive's label.
    Label = 3,
    /// Journal and spool on the local disk.
    Journal = 4,
    /// Caches on the local disk.
    Cache = 5,
    /// An older master key in the Drive's keyring.
    Keyring = 6,
}

impl Domain {
    /// Number of domains.
    pub(super) const COUNT: usize = 6;

    /// Its place among all, from 0.
    pub(super) fn index(self) -> usize {
        self as usize - 1
    }

    pub(super) fn context(self) -> &'static str {
        match self {
            Domain::Log => context::LOG,
            Domain::Seal => context::SEAL,
            Domain::Label => context::LABEL,
            Domain::Journal => context::JOURNAL,
            Domain::Cache => context::CACHE,
            Domain::Keyring => context::KEYRING,
        }
    }
}

/// Watches every sealing, so that a test can assert that no (key, nonce) pair is ever used for two plaintexts.
pub trait SealObserver: Send + Sync {
    /// Something was sealed. `key` is a BLAKE3 hash of the key, `ciphertext` one of ciphertext and tag.
    fn sealed(&self, key: [u8; 32], nonce: &[u8], ciphertext: [u8; 32]);
}

pub(super) fn observe(observer: Option<&dyn SealObserver>, key: &SubKey, nonce: &[u8], ciphertext: &[u8]) {
    if let Some(observer) = observer {
        let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
        observer.sealed(hash(&key[..]), nonce, hash(ciphertext));
    }
}

fn associated(domain: Domain, uid: &DriveUid, epoch: KeyEpoch, aad: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(39 + aad.len());
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.push(domain as u8);
    out.extend_from_slice(&uid.0);
    out.extend_from_slice(&epoch.0.to_le_bytes());
    out.extend_from_slice(aad);
    out
}

/// Who seals: everything that key and associated data depend on, except the caller's.
pub(super) struct Sealing<'a> {
    pub(super) domain: Domain,
    pub(super) uid: &'a DriveUid,
    pub(super) epoch: KeyEpoch,
    pub(super) key: &'a SubKey,
    pub(super) observer: Option<&'a dyn SealObserver>,
}

impl Sealing<'_> {
    /// Appends the sealed bytes to `out`: the plaintext is copied once, and encrypted where it lies. `None` leaves `out` as
    /// it was.
    pub(super) fn seal_to(&self, nonce: [u8; NONCE], aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let aad = associated(self.domain, self.uid, self.epoch, aad);
        let start = out.len();
        out.reserve(plaintext.len() + SEAL_OVERHEAD);
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        out.extend_from_slice(&nonce);
        let text = out.len();
        out.extend_from_slice(plaintext);
        let sealed = Aead::long(self.key, &nonce).and_then(|cipher| cipher.seal(&aad, &mut out[text..]));
        let Some(tag) = sealed else {
            out[text..].fill(0);
            out.truncate(start);
            return None;
        };
        out.extend_from_slice(&tag);
        observe(self.observer, self.key, &nonce, &out[text..]);
        Some(())
    }

    pub(super) fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE] = sealed.get(4..4 + NONCE)?.try_into().ok()?;
        let aad = associated(self.domain, self.uid, self.epoch, aad);
        let (text, tag) = sealed.get(4 + NONCE..)?.split_last_chunk::<TAG>()?;
        let mut text = text.to_vec();
        Aead::long(self.key, &nonce)?.open(&aad, &mut text, *tag).then_some(text)
    }
}

/// The key epoch in clear at the start of sealed bytes.
pub(super) fn epoch_of(sealed: &[u8]) -> Option<KeyEpoch> {
    Some(KeyEpoch(u32::from_le_bytes(sealed.get(..4)?.try_into().ok()?)))
}
