//! The Drive object as it stands on the chain, decoded from hostile bytes.
//!
//! Mechanism: BCS in the field order of the Move struct (`contracts/walrusfs/sources/drive.move`), every byte of the
//! object consumed, every length that the contract bounds checked again. A decoded object is well formed, not trusted:
//! [`super::seal`] decides whether the holder of the key made it.

use crate::error::{FsError, FsResult, Kind};
use crate::ids::{DriveUid, KeyEpoch, Sequence};
use crate::pack::RootRef;
use serde::{Deserialize, Serialize};

/// Bytes of a lease holder's id.
pub const HOLDER_BYTES: usize = 16;
/// Most bytes that one commit appends to the log, sealed, over all its entries.
pub const MAX_APPEND: usize = 15 * 1024;
/// Most bytes in the whole log, sealed.
pub const MAX_LOG: usize = 16 * 1024;
/// Most key slots.
pub const MAX_SLOTS: usize = 16;
/// Most bytes of a key slot's body.
pub const MAX_SLOT: usize = 512;
/// Most bytes of the keyring.
pub const MAX_KEYRING: usize = 8 * 1024;
/// Most bytes of a sealed label.
pub const MAX_LABEL: usize = 512;
/// Most bytes of a seal.
pub const MAX_SEAL: usize = 1024;

/// A random id that holds the lease for one machine; kept in its state folder.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder(pub [u8; HOLDER_BYTES]);

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Holder({})", hex::encode(&self.0[..4]))
    }
}

/// The right to write, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who has it.
    pub holder: Holder,
    /// When it ends, milliseconds since the Unix epoch by the chain's clock.
    pub expires_at_ms: u64,
}

/// A key slot as it stands on the Drive; [`crate::crypto::slots`] opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySlot {
    /// How it opens ([`crate::crypto::slots::SlotKind`]).
    pub kind: u8,
    /// Names it for as long as it exists.
    pub index: u32,
    /// The key epoch whose master key it wraps.
    pub key_epoch: KeyEpoch,
    /// Parameters and wrapped key.
    pub body: Vec<u8>,
}

/// The Drive's fields; `id` is the object's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveObject {
    /// Object id.
    pub id: [u8; 32],
    /// Version of everything stored under the Drive.
    pub format: u16,
    /// The drive's own name.
    pub uid: DriveUid,
    /// +1 with every sealed state.
    pub sequence: Sequence,
    /// The tree's checkpoint.
    pub root: Option<RootRef>,
    /// Sealed entries since the checkpoint.
    pub log: Vec<Vec<u8>>,
    /// The sealed summary of all that.
    pub seal: Vec<u8>,
    /// Ways to open the drive, ascending in index.
    pub keys: Vec<KeySlot>,
    /// Older master keys, each under the next.
    pub keyring: Vec<u8>,
    /// Who writes.
    pub writer: Option<Lease>,
    /// Sealed label.
    pub label: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct WireRoot {
    blob_id: [u8; 32],
    offset: u64,
    length: u32,
    salt: Vec<u8>,
    key_epoch: KeyEpoch,
}

#[derive(Serialize, Deserialize)]
struct WireLease {
    holder: Vec<u8>,
    expires_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct WireDrive {
    id: [u8; 32],
    format: u16,
    uid: Vec<u8>,
    sequence: u64,
    root: Option<WireRoot>,
    log: Vec<Vec<u8>>,
    seal: Vec<u8>,
    keys: Vec<KeySlot>,
    keyring: Vec<u8>,
    writer: Option<WireLease>,
    label: Vec<u8>,
}

impl DriveObject {
    /// Decodes the contents of the Move object. [`Kind::Corrupt`] when they are no Drive that the contract allows.
    pub fn decode(contents: &[u8]) -> FsResult<Self> {
        let wire: WireDrive = bcs::from_bytes(contents)
            .map_err(|error| FsError::new(Kind::Corrupt, format!("the object is no Drive: {error}")))?;
        Self::check(wire).ok_or_else(|| {
            FsError::new(Kind::Corrupt, "the Drive object has fields of sizes that its contract does not allow")
        })
    }

    fn check(wire: WireDrive) -> Option<Self> {
        let log: usize = wire.log.iter().map(Vec::len).sum();
        let slots_fit = wire.keys.iter().all(|slot| (1..=MAX_SLOT).contains(&slot.body.len()));
        let slots_ascend = wire.keys.is_sorted_by(|a, b| a.index < b.index);
        let within = (1..=MAX_SLOTS).contains(&wire.keys.len())
            && slots_fit
            && slots_ascend
            && log <= MAX_LOG
            && wire.log.iter().all(|entry| !entry.is_empty())
            && (1..=MAX_SEAL).contains(&wire.seal.len())
            && wire.keyring.len() <= MAX_KEYRING
            && wire.label.len() <= MAX_LABEL;
        if !within {
            return None;
        }
        let root = match wire.root {
            None => None,
            Some(root) => Some(RootRef {
                blob_id: root.blob_id,
                offset: root.offset,
                length: root.length,
                salt: root.salt.try_into().ok()?,
                key_epoch: root.key_epoch,
            }),
        };
        let writer = match wire.writer {
            None => None,
            Some(lease) => {
                Some(Lease { holder: Holder(lease.holder.try_into().ok()?), expires_at_ms: lease.expires_at_ms })
            }
        };
        Some(Self {
            id: wire.id,
            format: wire.format,
            uid: DriveUid(wire.uid.try_into().ok()?),
            sequence: Sequence(wire.sequence),
            root,
            log: wire.log,
            seal: wire.seal,
            keys: wire.keys,
            keyring: wire.keyring,
            writer,
            label: wire.label,
        })
    }

    /// Bytes of the log, sealed: what counts against [`MAX_LOG`].
    pub fn log_bytes(&self) -> usize {
        self.log.iter().map(Vec::len).sum()
    }

    /// The index that the next key slot gets.
    pub fn next_slot(&self) -> FsResult<u32> {
        let last = self.keys.last().map_or(0, |slot| slot.index);
        last.checked_add(1).ok_or_else(|| FsError::new(Kind::Internal, "the indices of key slots are used up"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::drive) fn drive() -> DriveObject {
        DriveObject {
            id: [9; 32],
            format: 1,
            uid: DriveUid([1; 32]),
            sequence: Sequence(3),
            root: Some(RootRef { blob_id: [2; 32], offset: 4, length: 5, salt: [6; 32], key_epoch: KeyEpoch(0) }),
            log: vec![vec![1; 256], vec![2; 1024]],
            seal: vec![3],
            keys: vec![KeySlot { kind: 0, index: 0, key_epoch: KeyEpoch(0), body: vec![4; 137] }],
            keyring: vec![],
            writer: Some(Lease { holder: Holder([7; 16]), expires_at_ms: 8 }),
            label: vec![5; 108],
        }
    }

    pub(in crate::drive) fn encode(drive: &DriveObject) -> Vec<u8> {
        bcs::to_bytes(&WireDrive {
            id: drive.id,
            format: drive.format,
            uid: drive.uid.0.to_vec(),
            sequence: drive.sequence.0,
            root: drive.root.map(|root| WireRoot {
                blob_id: root.blob_id,
                offset: root.offset,
                length: root.length,
                salt: root.salt.to_vec(),
                key_epoch: root.key_epoch,
            }),
            log: drive.log.clone(),
            seal: drive.seal.clone(),
            keys: drive.keys.clone(),
            keyring: drive.keyring.clone(),
            writer: drive
                .writer
                .map(|lease| WireLease { holder: lease.holder.0.to_vec(), expires_at_ms: lease.expires_at_ms }),
            label: drive.label.clone(),
        })
        .unwrap()
    }

    #[test]
    fn what_the_contract_allows_decodes_and_nothing_else() {
        let good = drive();
        assert_eq!(DriveObject::decode(&encode(&good)).unwrap(), good);
        type Change = fn(&mut DriveObject);
        let bad: [(&str, Change); 10] = [
            ("no slot", |d| d.keys.clear()),
            ("too many slots", |d| {
                d.keys =
                    (0..17).map(|index| KeySlot { kind: 0, index, key_epoch: KeyEpoch(0), body: vec![1] }).collect();
            }),
            ("an empty slot", |d| d.keys[0].body.clear()),
            ("a long slot", |d| d.keys[0].body = vec![0; 513]),
            ("slots out of order", |d| d.keys.push(d.keys[0].clone())),
            ("a long log", |d| d.log = vec![vec![0; 8193]; 2]),
            ("an empty entry", |d| d.log.push(vec![])),
            ("no seal", |d| d.seal.clear()),
            ("a long keyring", |d| d.keyring = vec![0; 8193]),
            ("a long label", |d| d.label = vec![0; 513]),
        ];
        for (what, change) in bad {
            let mut drive = drive();
            change(&mut drive);
            assert_eq!(DriveObject::decode(&encode(&drive)).unwrap_err().kind(), Kind::Corrupt, "{what}");
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic() {
        let bytes = encode(&drive());
        for len in 0..bytes.len() {
            assert!(DriveObject::decode(&bytes[..len]).is_err());
        }
        assert!(DriveObject::decode(&[&bytes[..], &[0]].concat()).is_err());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] = 0xff;
            let _ = DriveObject::decode(&damaged);
        }
    }
}
