//! The Drive's seal and label: how the holder of the key knows that a Drive is what the last writer made.
//!
//! The chain lets only the owner change a Drive, but the client learns of it from servers that it does not trust. The
//! seal is a summary of every field that matters, sealed under the commit key: a server can neither invent a Drive nor
//! mix the fields of two of its states, nor leave out a log entry or a key slot. It can serve an older state as a whole,
//! which [`super::keep`] notices on every machine that has seen a newer one.
//!
//! The lease is not covered (it changes between commits); a lie about it can only delay a writer, because the chain
//! itself judges every commit.

use super::object::DriveObject;
use crate::crypto::{Domain, KeyRing};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{KeyEpoch, Sequence};
use crate::pack::RootRef;
use serde::{Deserialize, Serialize};

const VERSION: u16 = 1;

/// The version of everything that this program stores under a Drive.
pub const FORMAT: u16 = 1;

/// A name that a commit carries in its seal, chosen by whoever makes it, so that a writer that crashed can tell its own
/// commit from another's.
pub type CommitTag = [u8; 16];

/// What the seal says beside the fields that it is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealFacts {
    /// When the commit was made, milliseconds since the Unix epoch by the committer's clock.
    pub committed_at_ms: u64,
    /// BLAKE3 of the seal before it; zeros in the seal of sequence 0.
    pub previous: [u8; 32],
    /// The commit's name.
    pub tag: CommitTag,
}

/// The sealed summary (BCS). Its field order is the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Summary {
    version: u16,
    format: u16,
    uid: [u8; 32],
    sequence: Sequence,
    root: Option<RootRef>,
    log: [u8; 32],
    keys: [u8; 32],
    keyring: [u8; 32],
    label: [u8; 32],
    key_epoch: KeyEpoch,
    previous: [u8; 32],
    committed_at_ms: u64,
    tag: CommitTag,
}

/// BLAKE3 of a seal, as the next one names it.
pub fn hash(seal: &[u8]) -> [u8; 32] {
    *blake3::hash(seal).as_bytes()
}

fn summary(drive: &DriveObject, key_epoch: KeyEpoch, facts: SealFacts) -> FsResult<Summary> {
    let hash_of = |what: Result<Vec<u8>, bcs::Error>| {
        what.map(|bytes| *blake3::hash(&bytes).as_bytes())
            .map_err(|error| FsError::new(Kind::Internal, format!("the Drive cannot be summed up: {error}")))
    };
    Ok(Summary {
        version: VERSION,
        format: drive.format,
        uid: drive.uid.0,
        sequence: drive.sequence,
        root: drive.root,
        log: hash_of(bcs::to_bytes(&drive.log))?,
        keys: hash_of(bcs::to_bytes(&drive.keys))?,
        keyring: *blake3::hash(&drive.keyring).as_bytes(),
        label: *blake3::hash(&drive.label).as_bytes(),
        key_epoch,
        previous: facts.previous,
        committed_at_ms: facts.committed_at_ms,
        tag: facts.tag,
    })
}

/// The seal of `drive` (whose own `seal` is ignored), under the current key epoch of `keys`.
pub fn make(drive: &DriveObject, keys: &KeyRing, facts: SealFacts) -> FsResult<Vec<u8>> {
    let summary = summary(drive, keys.current(), facts)?;
    let bytes = bcs::to_bytes(&summary)
        .map_err(|error| FsError::new(Kind::Internal, format!("the seal cannot be encoded: {error}")))?;
    keys.seal(Domain::Seal, &drive.sequence.0.to_le_bytes(), &bytes)
}

/// Checks the seal of `drive` against every field. [`Kind::Corrupt`] when it does not open or does not match: what the
/// server gave is not what the last writer made.
pub fn verify(drive: &DriveObject, keys: &KeyRing) -> FsResult<SealFacts> {
    if drive.uid != keys.uid() {
        return Err(FsError::new(Kind::Corrupt, "the Drive is not the one that these keys belong to"));
    }
    if drive.format != FORMAT {
        return Err(FsError::new(
            Kind::Internal,
            format!("the drive has format {}, this program knows {FORMAT}: use a newer walrusfs", drive.format),
        ));
    }
    let refused = |what: &str| {
        FsError::new(
            Kind::Corrupt,
            format!(
                "the Drive's seal of sequence {} {what}: the server answers with something that no writer of this drive \
                 made; ask another server",
                drive.sequence
            ),
        )
    };
    let bytes = keys.open(Domain::Seal, &drive.sequence.0.to_le_bytes(), &drive.seal).map_err(|error| {
        if error.kind() == Kind::WrongKey { error } else { refused("does not open").caused_by(error) }
    })?;
    let sealed: Summary = bcs::from_bytes(&bytes).map_err(|_| refused("has not the form of one"))?;
    let facts = SealFacts { committed_at_ms: sealed.committed_at_ms, previous: sealed.previous, tag: sealed.tag };
    if summary(drive, keys.current(), facts)? != sealed {
        return Err(refused("does not match its fields"));
    }
    Ok(facts)
}

/// Longest label, bytes.
pub const MAX_LABEL_TEXT: usize = 255;

/// Seals a label, padded to a multiple of 64 bytes. A label is 1 to 255 bytes of text without control characters.
pub fn seal_label(keys: &KeyRing, label: &str) -> FsResult<Vec<u8>> {
    if label.is_empty() || label.len() > MAX_LABEL_TEXT || label.chars().any(char::is_control) {
        return Err(FsError::new(
            Kind::Posix(libc::EINVAL),
            format!("a label has 1 to {MAX_LABEL_TEXT} bytes and no control characters"),
        ));
    }
    let mut plain = vec![u8::try_from(label.len()).unwrap_or(u8::MAX)];
    plain.extend_from_slice(label.as_bytes());
    plain.resize(plain.len().next_multiple_of(64), 0);
    keys.seal(Domain::Label, &[], &plain)
}

/// Opens a sealed label.
pub fn open_label(keys: &KeyRing, sealed: &[u8]) -> FsResult<String> {
    let corrupt = || FsError::new(Kind::Corrupt, "the drive's label has not the form of one");
    let plain = keys.open(Domain::Label, &[], sealed)?;
    let (&length, rest) = plain.split_first().ok_or_else(corrupt)?;
    let text = rest.get(..usize::from(length)).ok_or_else(corrupt)?;
    String::from_utf8(text.to_vec()).map_err(|_| corrupt())
}

#[cfg(test)]
mod tests {
    use super::super::object::tests::drive;
    use super::super::object::{Holder, KeySlot, Lease};
    use super::*;
    use crate::crypto::MasterKey;
    use crate::ids::DriveUid;
    use crate::seam::SeededRandom;
    use std::sync::Arc;

    const FACTS: SealFacts = SealFacts { committed_at_ms: 77, previous: [8; 32], tag: [9; 16] };

    fn keys(uid: u8, seed: u64) -> KeyRing {
        let random = Arc::new(SeededRandom::new(seed));
        KeyRing::new(DriveUid([uid; 32]), KeyEpoch(0), MasterKey::generate(&*random), random)
    }

    fn sealed(keys: &KeyRing) -> DriveObject {
        let mut drive = drive();
        drive.seal = make(&drive, keys, FACTS).unwrap();
        assert!(drive.seal.len() <= super::super::object::MAX_SEAL);
        drive
    }

    #[test]
    fn a_mismatch_in_any_field_is_refused() {
        let keys = keys(1, 1);
        let good = sealed(&keys);
        assert_eq!(verify(&good, &keys).unwrap(), FACTS);
        type Change = fn(&mut DriveObject);
        let changes: [(&str, Change); 18] = [
            ("format", |d| d.format += 1),
            ("uid", |d| d.uid.0[0] ^= 1),
            ("sequence", |d| d.sequence.0 += 1),
            ("older sequence", |d| d.sequence.0 -= 1),
            ("no root", |d| d.root = None),
            ("root blob", |d| d.root.as_mut().unwrap().blob_id[31] ^= 1),
            ("root offset", |d| d.root.as_mut().unwrap().offset += 1),
            ("root length", |d| d.root.as_mut().unwrap().length += 1),
            ("root salt", |d| d.root.as_mut().unwrap().salt[0] ^= 1),
            ("root epoch", |d| d.root.as_mut().unwrap().key_epoch.0 += 1),
            ("entry missing", |d| drop(d.log.pop())),
            ("entry changed", |d| d.log[0][10] ^= 1),
            ("entries swapped", |d| d.log.swap(0, 1)),
            ("entry twice", |d| d.log.push(d.log[0].clone())),
            ("slot added", |d| d.keys.push(KeySlot { index: 1, ..d.keys[0].clone() })),
            ("slot changed", |d| d.keys[0].body[0] ^= 1),
            ("keyring", |d| d.keyring.push(0)),
            ("label", |d| d.label[0] ^= 1),
        ];
        for (what, change) in changes {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(verify(&bad, &keys).is_err(), "{what}");
        }
    }

    #[test]
    fn the_lease_and_the_object_id_are_not_covered() {
        let keys = keys(1, 1);
        let mut drive = sealed(&keys);
        drive.writer = Some(Lease { holder: Holder([1; 16]), expires_at_ms: 1 });
        drive.id = [0; 32];
        assert!(verify(&drive, &keys).is_ok());
    }

    #[test]
    fn no_bit_of_the_seal_can_be_changed_and_no_other_key_makes_one() {
        let (mine, other) = (keys(1, 1), keys(1, 2));
        let good = sealed(&mine);
        for bit in 0..good.seal.len() * 8 {
            let mut bad = good.clone();
            bad.seal[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bad, &mine).is_err(), "bit {bit}");
        }
        assert_eq!(verify(&good, &other).unwrap_err().kind(), Kind::Corrupt);
        assert_eq!(verify(&sealed(&other), &mine).unwrap_err().kind(), Kind::Corrupt);
    }

    #[test]
    fn labels_are_padded_and_come_back() {
        let keys = keys(1, 1);
        for label in ["a", "media", &"x".repeat(63), &"é".repeat(127)] {
            let sealed = seal_label(&keys, label).unwrap();
            assert_eq!((sealed.len() - crate::crypto::SEAL_OVERHEAD) % 64, 0);
            assert!(sealed.len() <= super::super::object::MAX_LABEL);
            assert_eq!(open_label(&keys, &sealed).unwrap(), label);
        }
        assert_eq!(seal_label(&keys, "a").unwrap().len(), seal_label(&keys, &"b".repeat(63)).unwrap().len());
        for bad in ["", "a\nb", &"x".repeat(256)] {
            assert!(seal_label(&keys, bad).is_err());
        }
    }
}
