//! The journal's parsers on bytes of an attacker's choice: for `fuzz/targets` only.

use super::frame::{FrameKind, Frames, Remap, decode_batch, encode_batch, segment_header};
use super::recover::Scan;
use crate::crypto::{KeyRing, MasterKey};
use crate::ids::{DriveUid, KeyEpoch};
use crate::seam::SeededRandom;
use std::sync::Arc;

fn frames() -> Frames {
    let master = MasterKey::from_bytes(&[1; 32]);
    Frames::new(Arc::new(KeyRing::new(DriveUid([1; 32]), KeyEpoch(0), master, Arc::new(SeededRandom::new(1)))))
}

/// `bytes` as a segment file, and as the payloads of frames.
///
/// # Panics
/// When a payload that was read is not written back as it was.
pub fn parse(bytes: &[u8]) {
    let mut scan = Scan::default();
    if scan.segment(&frames(), 1, bytes).is_ok() {
        let _ = scan.resume();
    }
    if let Ok(batch) = decode_batch(bytes) {
        assert_eq!(encode_batch(&batch).ok().as_deref(), Some(bytes));
    }
    let _ = bcs::from_bytes::<Remap>(bytes);
}

/// A segment of frames that are sealed as the drive's own, of kinds, positions and payloads that `script` says, damaged at one
/// place: what comes back was written.
///
/// # Panics
/// When a batch comes back that was not written under its number.
pub fn recover(script: &[u8]) {
    const KINDS: [FrameKind; 5] =
        [FrameKind::Batch, FrameKind::Data, FrameKind::Remap, FrameKind::Pending, FrameKind::Mark];
    let frames = frames();
    let mut segment = segment_header(1, 1).to_vec();
    let mut written = Vec::new();
    let [flip_at, flip_bit, rest @ ..] = script else { return };
    let mut rest = rest;
    while let [kind, lsn, durable, len, payload @ ..] = rest {
        let (payload, more) = payload.split_at(usize::from(*len).min(payload.len()));
        rest = more;
        let kind = KINDS[usize::from(*kind) % KINDS.len()];
        let at = segment.len() as u64;
        if frames.encode(&mut segment, 1, at, (kind, u64::from(*lsn), u64::from(*durable)), payload).is_err() {
            return;
        }
        if kind == FrameKind::Batch {
            written.push((u64::from(*lsn), payload));
        }
    }
    let at = usize::from(*flip_at) * segment.len() / 256;
    segment[at] ^= flip_bit;
    let mut scan = Scan::default();
    let Ok(resume) = scan.segment(&frames, 1, &segment).and_then(|()| scan.resume()) else { return };
    for (lsn, batch) in resume.recovery.batches {
        // Remaps change where chunks lie, not how many changes there are.
        let same = |bytes: &[u8]| decode_batch(bytes).is_ok_and(|written| written.len() == batch.len());
        assert!(written.iter().any(|(number, bytes)| *number == lsn.0 && same(bytes)));
    }
}
