//! Entries of the Drive's log: sealed, and padded so that their size says little.
//!
//! ```text
//! plaintext:  payload length u32 LE | sequence u64 LE | payload | zeros
//! sealed:     key epoch 4 | nonce 24 | ciphertext | tag 16
//! ```
//! The sealed length is one of [`SIZES`]. Entries are not compressed: what an attacker can store beside a secret must not
//! show in a length. The seal binds the order of the whole log; the sequence inside an entry is that of the commit
//! that appended it.

use super::object::MAX_APPEND;
use crate::crypto::{Domain, KeyRing, SEAL_OVERHEAD};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::Sequence;

/// The sealed lengths that an entry can have, bytes.
pub const SIZES: [usize; 4] = [256, 1024, 4096, MAX_APPEND];

const HEAD: usize = 4 + 8;

/// The longest payload of an entry, bytes.
pub const MAX_PAYLOAD: usize = MAX_APPEND - SEAL_OVERHEAD - HEAD;

/// The sealed length of an entry with `payload` bytes; `None` when it is longer than [`MAX_PAYLOAD`].
pub fn sealed_size(payload: usize) -> Option<usize> {
    SIZES.into_iter().find(|size| payload <= size - SEAL_OVERHEAD - HEAD)
}

/// An entry of the log, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The commit that appended it.
    pub sequence: Sequence,
    /// What the tree stored.
    pub payload: Vec<u8>,
}

/// Seals an entry that the commit `sequence` appends.
pub fn seal(keys: &KeyRing, sequence: Sequence, payload: &[u8]) -> FsResult<Vec<u8>> {
    let too_long =
        || FsError::new(Kind::Internal, format!("{} bytes do not fit into a log entry ({MAX_PAYLOAD})", payload.len()));
    let size = sealed_size(payload.len()).ok_or_else(too_long)?;
    let length = u32::try_from(payload.len()).map_err(|_| too_long())?;
    let mut plain = Vec::with_capacity(size - SEAL_OVERHEAD);
    plain.extend_from_slice(&length.to_le_bytes());
    plain.extend_from_slice(&sequence.0.to_le_bytes());
    plain.extend_from_slice(payload);
    plain.resize(size - SEAL_OVERHEAD, 0);
    keys.seal(Domain::Log, &[], &plain)
}

/// Opens the log of a Drive at `sequence`. [`Kind::Corrupt`] when an entry is not what was sealed, or its sequence is not in
/// order.
pub fn open_log(keys: &KeyRing, sequence: Sequence, log: &[Vec<u8>]) -> FsResult<Vec<LogEntry>> {
    let mut opened: Vec<LogEntry> = Vec::with_capacity(log.len());
    for (number, sealed) in log.iter().enumerate() {
        let corrupt = || FsError::new(Kind::Corrupt, format!("entry {number} of the drive's log is damaged"));
        let entry = open(keys, sealed)?.ok_or_else(corrupt)?;
        let in_order = opened.last().is_none_or(|last| last.sequence <= entry.sequence) && entry.sequence <= sequence;
        if !in_order {
            return Err(corrupt());
        }
        opened.push(entry);
    }
    Ok(opened)
}

fn open(keys: &KeyRing, sealed: &[u8]) -> FsResult<Option<LogEntry>> {
    let plain = keys.open(Domain::Log, &[], sealed)?;
    Ok(parse(&plain))
}

fn parse(plain: &[u8]) -> Option<LogEntry> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some(LogEntry { sequence: Sequence(u64::from_le_bytes(*sequence)), payload: payload.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::MasterKey;
    use crate::ids::{DriveUid, KeyEpoch};
    use crate::seam::SeededRandom;
    use std::sync::Arc;

    fn keys() -> KeyRing {
        let random = Arc::new(SeededRandom::new(1));
        KeyRing::new(DriveUid([1; 32]), KeyEpoch(0), MasterKey::generate(&*random), random)
    }

    #[test]
    fn sizes_are_the_four_and_payloads_come_back() {
        let keys = keys();
        let lengths = [0, 1, 200, 201, 968, 969, 4040, 4041, MAX_PAYLOAD];
        let expected = [256, 256, 256, 1024, 1024, 4096, 4096, 15360, 15360];
        for (length, expected) in lengths.into_iter().zip(expected) {
            let payload = vec![7; length];
            let sealed = seal(&keys, Sequence(5), &payload).unwrap();
            assert_eq!((sealed.len(), sealed_size(length)), (expected, Some(expected)), "{length}");
            let opened = open_log(&keys, Sequence(5), &[sealed]).unwrap();
            assert_eq!(opened, [LogEntry { sequence: Sequence(5), payload }]);
        }
        assert_eq!(sealed_size(MAX_PAYLOAD + 1), None);
        assert!(seal(&keys, Sequence(5), &vec![0; MAX_PAYLOAD + 1]).is_err());
    }

    #[test]
    fn entries_out_of_order_or_from_the_future_are_refused() {
        let keys = keys();
        let entry = |n| seal(&keys, Sequence(n), b"x").unwrap();
        let opens = |sequence, log: &[Vec<u8>]| open_log(&keys, Sequence(sequence), log).is_ok();
        assert!(opens(3, &[entry(1), entry(1), entry(3)]));
        assert!(!opens(3, &[entry(2), entry(1)]));
        assert!(!opens(3, &[entry(4)]));
        let mut damaged = entry(1);
        damaged[100] ^= 1;
        assert!(!opens(3, &[damaged]));
    }

    #[test]
    fn a_length_beyond_the_entry_is_refused() {
        assert_eq!(parse(&[0xff; 64]), None);
        assert_eq!(parse(&[0; 11]), None);
        assert_eq!(parse(&[0; 12]).unwrap().payload, b"");
    }
}
