//! The bytes of a segment: its header and its frames (`docs/format.md`, journal).
//!
//! ```text
//! segment   magic "walrsjnl" | version u16 | 0 u16 | 0 u32 | segment u64 | first lsn u64 | check 16 bytes      = 48 bytes
//! frame     magic "WJFR" | kind u8 | 0 x3 | sealed length u32 | 0 u32 | lsn u64 | durable u64 | check 8 bytes  = 40 bytes
//!           sealed payload, then zeros up to a multiple of 8
//! ```
//!
//! Integers are little endian; a check is the beginning of the BLAKE3 hash of what stands before it. The check only tells
//! a torn header from a whole one; what is authenticated is the sealing, whose associated data is the drive's uid, the
//! segment, the frame's offset in it and the frame header. `durable` is the position up to which the journal was known to
//! be on the disk when the frame was made: it tells recovery whether a missing frame had been promised to anyone.

use crate::crypto::{Domain, KeyRing, SEAL_OVERHEAD};
use crate::error::{FsError, FsResult, Kind};
use crate::tree::record::{Batch, ChunkAddr, Key, KeyKind, Record, Space, SpoolRef};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes before the first frame of a segment.
pub(super) const SEGMENT_HEADER: usize = 48;
/// Bytes before the sealed payload of a frame.
pub(super) const FRAME_HEADER: usize = 40;
/// Largest sealed payload, bytes. Batches and remaps are cut well below it by those who make them.
pub(super) const MAX_SEALED: usize = 16 << 20;
/// Version of the format, in each segment's header.
const VERSION: u16 = 1;
const SEGMENT_MAGIC: &[u8; 8] = b"walrsjnl";
const FRAME_MAGIC: &[u8; 4] = b"WJFR";
/// Frames start at multiples of this.
pub(super) const ALIGN: usize = 8;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FrameKind {
    Batch = 1,
    Data = 2,
    Remap = 3,
    Pending = 4,
    /// Nothing but the header's `durable`.
    Mark = 5,
}

impl FrameKind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Batch,
            2 => Self::Data,
            3 => Self::Remap,
            4 => Self::Pending,
            5 => Self::Mark,
            _ => return None,
        })
    }
}

/// The clear part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    pub(super) sealed: u32,
    pub(super) lsn: u64,
    pub(super) durable: u64,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

impl FrameHeader {
    pub(super) fn encode(&self) -> [u8; FRAME_HEADER] {
        let mut out = [0; FRAME_HEADER];
        out[..4].copy_from_slice(FRAME_MAGIC);
        out[4] = self.kind as u8;
        out[8..12].copy_from_slice(&self.sealed.to_le_bytes());
        out[16..24].copy_from_slice(&self.lsn.to_le_bytes());
        out[24..32].copy_from_slice(&self.durable.to_le_bytes());
        let check = blake3::hash(&out[..32]);
        out[32..].copy_from_slice(&check.as_bytes()[..8]);
        out
    }

    /// The header at the start of `bytes`, when it is whole.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..FRAME_HEADER)?;
        if &head[..4] != FRAME_MAGIC || head[32..] != blake3::hash(&head[..32]).as_bytes()[..8] {
            return None;
        }
        let sealed = u32_at(head, 8)?;
        (sealed as usize <= MAX_SEALED).then_some(())?;
        Some(Self { kind: FrameKind::of(head[4])?, sealed, lsn: u64_at(head, 16)?, durable: u64_at(head, 24)? })
    }

    /// Bytes of the whole frame, alignment included.
    pub(super) fn total(&self) -> usize {
        (FRAME_HEADER + self.sealed as usize).next_multiple_of(ALIGN)
    }
}

/// The header of `segment`, whose first frame has `first_lsn`.
pub(super) fn segment_header(segment: u64, first_lsn: u64) -> [u8; SEGMENT_HEADER] {
    let mut out = [0; SEGMENT_HEADER];
    out[..8].copy_from_slice(SEGMENT_MAGIC);
    out[8..10].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&segment.to_le_bytes());
    out[24..32].copy_from_slice(&first_lsn.to_le_bytes());
    let check = blake3::hash(&out[..32]);
    out[32..].copy_from_slice(&check.as_bytes()[..16]);
    out
}

/// What the start of a segment file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SegmentHead {
    /// A header of this version and of this segment.
    Good,
    /// Not a whole header.
    Damaged,
    /// A whole header of another version: the file must not be touched.
    Version(u16),
}

/// Reads the header of the file of `segment`.
pub(super) fn parse_segment_header(segment: u64, bytes: &[u8]) -> SegmentHead {
    let Some(head) = bytes.get(..SEGMENT_HEADER) else { return SegmentHead::Damaged };
    if &head[..8] != SEGMENT_MAGIC || head[32..] != blake3::hash(&head[..32]).as_bytes()[..16] {
        return SegmentHead::Damaged;
    }
    match u16::from_le_bytes([head[8], head[9]]) {
        VERSION if u64_at(head, 16) == Some(segment) => SegmentHead::Good,
        VERSION => SegmentHead::Damaged,
        other => SegmentHead::Version(other),
    }
}

/// Seals and opens frames of one drive.
pub(super) struct Frames {
    keys: Arc<KeyRing>,
}

impl Frames {
    pub(super) fn new(keys: Arc<KeyRing>) -> Self {
        Self { keys }
    }

    /// Bytes of the frame of a payload of `len` bytes.
    pub(super) fn total(&self, len: usize) -> usize {
        FRAME_HEADER.saturating_add(len).saturating_add(SEAL_OVERHEAD).next_multiple_of(ALIGN)
    }

    fn aad(&self, segment: u64, offset: u64, header: &[u8; FRAME_HEADER]) -> [u8; 80] {
        let mut aad = [0; 80];
        aad[..32].copy_from_slice(&self.keys.uid().0);
        aad[32..40].copy_from_slice(&segment.to_le_bytes());
        aad[40..48].copy_from_slice(&offset.to_le_bytes());
        aad[48..].copy_from_slice(&header[..32]);
        aad
    }

    /// Appends the frame of `payload` at `offset` of `segment` to `out`; nothing is appended on failure.
    pub(super) fn encode(
        &self,
        out: &mut Vec<u8>,
        segment: u64,
        offset: u64,
        (kind, lsn, durable): (FrameKind, u64, u64),
        payload: &[u8],
    ) -> FsResult<()> {
        let sealed_len = payload.len().saturating_add(SEAL_OVERHEAD);
        let sealed = u32::try_from(sealed_len).ok().filter(|_| sealed_len <= MAX_SEALED).ok_or_else(|| {
            FsError::new(Kind::Internal, format!("journal: a frame of {} bytes is above the bound", payload.len()))
        })?;
        let header = FrameHeader { kind, sealed, lsn, durable }.encode();
        let start = out.len();
        out.extend_from_slice(&header);
        let sealing = self.keys.seal_to(Domain::Journal, &self.aad(segment, offset, &header), payload, out);
        let sealing = match sealing {
            Ok(()) if out.len() != start + FRAME_HEADER + sealed_len => {
                Err(FsError::new(Kind::Internal, "journal: the sealing has no fixed length"))
            }
            other => other,
        };
        if sealing.is_err() {
            out.truncate(start);
            return sealing;
        }
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        Ok(())
    }

    /// The frame at the start of `bytes`, which stand at `offset` of `segment`: header and payload.
    pub(super) fn decode(&self, segment: u64, offset: u64, bytes: &[u8]) -> FsResult<(FrameHeader, Vec<u8>)> {
        let damaged = || {
            FsError::new(Kind::Corrupt, format!("journal segment {segment:x}: the frame at byte {offset} is damaged"))
        };
        let header = FrameHeader::parse(bytes).ok_or_else(damaged)?;
        let head: &[u8; FRAME_HEADER] = bytes.first_chunk().ok_or_else(damaged)?;
        let sealed = bytes.get(FRAME_HEADER..FRAME_HEADER + header.sealed as usize).ok_or_else(damaged)?;
        let payload = self.keys.open(Domain::Journal, &self.aad(segment, offset, head), sealed)?;
        Ok((header, payload))
    }
}

type WireRecord<'a> = (u8, u64, u8, u64, &'a [u8], Option<&'a Record>);
type OwnedRecord = (u8, u64, u8, u64, Vec<u8>, Option<Record>);

/// The payload of a batch frame.
pub(super) fn encode_batch(batch: &Batch) -> FsResult<Vec<u8>> {
    let wire: Vec<WireRecord<'_>> = batch
        .iter()
        .map(|(key, record)| {
            (key.space as u8, key.owner.0, key.kind as u8, key.num, key.name.as_ref(), record.as_ref())
        })
        .collect();
    bcs::to_bytes(&wire).map_err(|error| FsError::new(Kind::Internal, "journal: encoding a batch").caused_by(error))
}

fn space_of(byte: u8) -> Option<Space> {
    match byte {
        0 => Some(Space::Table),
        1 => Some(Space::Files),
        _ => None,
    }
}

fn kind_of(byte: u8) -> Option<KeyKind> {
    use KeyKind::{Counters, Dirent, Extents, Inode, Orphan, Pack, Shared, Xattr};
    [Counters, Pack, Shared, Orphan, Inode, Xattr, Dirent, Extents].into_iter().find(|kind| *kind as u8 == byte)
}

/// Reads the payload of a batch frame.
pub(super) fn decode_batch(bytes: &[u8]) -> FsResult<Batch> {
    let bad = || FsError::new(Kind::Corrupt, "journal: a batch frame holds something else");
    let wire: Vec<OwnedRecord> = bcs::from_bytes(bytes).map_err(|error| bad().caused_by(error))?;
    wire.into_iter()
        .map(|(space, owner, kind, num, name, record)| {
            let key = Key {
                space: space_of(space).ok_or_else(bad)?,
                owner: crate::ids::Ino(owner),
                kind: kind_of(kind).ok_or_else(bad)?,
                num,
                name: name.into(),
            };
            Ok((key, record))
        })
        .collect()
}

/// The payload of a remap frame: part of the answer to where the chunks of a commit lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remap {
    /// Everything up to here is committed; zero in all parts but the last.
    pub(super) cut: u64,
    pub(super) moves: Vec<(SpoolRef, ChunkAddr)>,
}

/// Chunks in one remap frame.
pub(super) const REMAP_PART: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ino;
    use crate::journal::tests::test_keys;
    use crate::tree::record::Dirent;
    use proptest::prelude::*;

    #[test]
    fn batches_survive_the_round_trip() {
        let batch: Batch = vec![
            (Key::inode(Ino(7)), Some(Record::Inode(Default::default()))),
            (Key::dirent(Ino(1), 160), Some(Record::Dirent(Dirent { name: b"a\xff".to_vec(), ino: Ino(7), kind: 8 }))),
            (Key::xattr(Ino(7), b"user.x"), None),
            (Key::counters(Space::Files), Some(Record::Counters(Default::default()))),
        ];
        assert_eq!(decode_batch(&encode_batch(&batch).unwrap()).unwrap(), batch);
        assert_eq!(decode_batch(&[1, 9]).unwrap_err().kind(), Kind::Corrupt);
    }

    #[test]
    fn a_frame_opens_only_where_it_was_written() {
        let frames = Frames::new(test_keys(1));
        let mut out = Vec::new();
        frames.encode(&mut out, 3, 48, (FrameKind::Data, 9, 4), b"payload").unwrap();
        assert_eq!(out.len(), frames.total(7));
        let (header, payload) = frames.decode(3, 48, &out).unwrap();
        assert_eq!((header.lsn, header.durable, payload.as_slice()), (9, 4, &b"payload"[..]));
        for (segment, offset) in [(4, 48), (3, 56)] {
            assert!(frames.decode(segment, offset, &out).is_err());
        }
        let other = Frames::new(test_keys(2));
        assert!(other.decode(3, 48, &out).is_err());
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut head = segment_header(1, 1);
        assert_eq!(parse_segment_header(1, &head), SegmentHead::Good);
        assert_eq!(parse_segment_header(2, &head), SegmentHead::Damaged);
        head[8] = 2;
        assert_eq!(parse_segment_header(1, &head), SegmentHead::Damaged);
        let check = blake3::hash(&head[..32]);
        head[32..].copy_from_slice(&check.as_bytes()[..16]);
        assert_eq!(parse_segment_header(1, &head), SegmentHead::Version(2));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let frames = Frames::new(test_keys(1));
            let _ = (frames.decode(1, 48, &bytes).is_err(), decode_batch(&bytes), parse_segment_header(1, &bytes));
        }

        #[test]
        fn any_flipped_bit_is_noticed(bit in 0usize..47 * 8) {
            let frames = Frames::new(test_keys(1));
            let mut out = Vec::new();
            frames.encode(&mut out, 1, 48, (FrameKind::Data, 1, 0), b"payload").unwrap();
            out[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(frames.decode(1, 48, &out).is_err());
        }
    }
}
