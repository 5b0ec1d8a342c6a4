//! Reading a journal back: which frames count, what was torn, what is damaged.
//!
//! Every valid frame carries how far the journal was known to be durable when it was made; `promised` is the highest such
//! mark. A frame that is missing at or below it had been promised to somebody: that is damage, it is reported, and what
//! follows is kept. The first frame missing above it ends the journal: it and everything after it was never acknowledged
//! (the disk may have written any part of it), so all of that is cut off and counted as torn.

use super::frame::{ALIGN, FrameHeader, FrameKind, Frames, Remap, SEGMENT_HEADER, SegmentHead, decode_batch};
use super::{Damage, Recovery};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::Lsn;
use crate::tree::record::{Batch, ChunkAddr, Extent, Place, Record, SpoolRef};
use std::collections::{BTreeMap, HashMap};

/// A frame that was read back.
struct Found {
    segment: u64,
    offset: u64,
    end: u64,
    header: FrameHeader,
    /// Empty for data frames: they are read again when somebody asks.
    payload: Vec<u8>,
}

/// What the segment files of a journal hold.
#[derive(Default)]
pub(super) struct Scan {
    frames: Vec<Found>,
    /// Length of each segment file.
    lengths: BTreeMap<u64, u64>,
}

/// The state that a journal goes on from.
pub(super) struct Resume {
    pub(super) recovery: Recovery,
    /// Segments to keep: length to cut to, and position of the last frame.
    pub(super) keep: BTreeMap<u64, (u64, u64)>,
    /// Segments that hold nothing but torn frames.
    pub(super) drop: Vec<u64>,
    /// Position of the last frame that counts or had been promised.
    pub(super) last: u64,
    /// Where the pending record lies.
    pub(super) pending_in: Option<u64>,
}

impl Scan {
    /// Reads the file of `segment`, whose bytes are `bytes`. Segments are given in order.
    pub(super) fn segment(&mut self, frames: &Frames, segment: u64, bytes: &[u8]) -> FsResult<()> {
        if let SegmentHead::Version(version) = super::frame::parse_segment_header(segment, bytes) {
            return Err(FsError::new(
                Kind::Internal,
                format!(
                    "journal segment {segment:x} has format version {version}, this program knows version 1: \
                     mount with the program that wrote it, unmount, then upgrade"
                ),
            ));
        }
        self.lengths.insert(segment, bytes.len() as u64);
        let mut at = SEGMENT_HEADER;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            // A frame that does not open is stepped over in small steps: its length may be what is wrong.
            match FrameHeader::parse(rest).map(|_| frames.decode(segment, at as u64, rest)) {
                Some(Ok((header, payload))) => {
                    let end = (at + header.total()).min(bytes.len());
                    let payload = if header.kind == FrameKind::Data { Vec::new() } else { payload };
                    self.frames.push(Found { segment, offset: at as u64, end: end as u64, header, payload });
                    at = end;
                }
                _ => at += ALIGN,
            }
        }
        Ok(())
    }

    /// Decides what counts.
    pub(super) fn resume(self) -> FsResult<Resume> {
        let promised = self.frames.iter().map(|frame| frame.header.durable).max().unwrap_or(0);
        let mut remap = HashMap::new();
        let mut cut = 0;
        for frame in self.frames.iter().filter(|frame| frame.header.kind == FrameKind::Remap) {
            // A remap is written only after its commit is final: it is true wherever it is found.
            let part: Remap = bcs::from_bytes(&frame.payload)
                .map_err(|error| FsError::new(Kind::Corrupt, "journal: a remap frame").caused_by(error))?;
            cut = cut.max(part.cut);
            remap.extend(part.moves);
        }

        let mut recovery = Recovery { cut: Lsn(cut), ..Recovery::default() };
        let mut keep: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let mut pending_in = None;
        let mut last: u64 = 0;
        let mut place = (self.lengths.keys().next().copied().unwrap_or(0), SEGMENT_HEADER as u64);
        let mut torn = false;
        for frame in &self.frames {
            let lsn = frame.header.lsn;
            let expected = last.max(cut).saturating_add(1);
            if lsn > expected {
                if lsn.saturating_sub(1) > promised {
                    torn = true;
                    break;
                }
                let bytes = if place.0 == frame.segment { frame.offset.saturating_sub(place.1) } else { 0 };
                recovery.lost.damaged.push(Damage { segment: place.0, offset: place.1, bytes, lsns: expected..lsn });
            }
            if lsn <= last {
                continue;
            }
            last = lsn;
            place = (frame.segment, frame.end);
            let kept = keep.entry(frame.segment).or_insert((0, 0));
            *kept = (frame.end, kept.1.max(lsn));
            match frame.header.kind {
                FrameKind::Batch if lsn > cut => {
                    let mut batch = decode_batch(&frame.payload)?;
                    apply_remap(&mut batch, &remap);
                    recovery.batches.push((Lsn(lsn), batch));
                }
                FrameKind::Pending => {
                    recovery.pending = (!frame.payload.is_empty()).then(|| frame.payload.clone());
                    pending_in = recovery.pending.is_some().then_some(frame.segment);
                }
                _ => {}
            }
        }
        let next = last.max(cut).saturating_add(1);
        if promised >= next {
            let length = self.lengths.get(&place.0).copied().unwrap_or(place.1);
            recovery.lost.damaged.push(Damage {
                segment: place.0,
                offset: place.1,
                bytes: length.saturating_sub(place.1),
                lsns: next..promised.saturating_add(1),
            });
            last = promised;
        }
        let mut drop = Vec::new();
        for (&segment, &length) in &self.lengths {
            let empty = length <= SEGMENT_HEADER as u64;
            match keep.get_mut(&segment) {
                None if empty || (segment > place.0 && promised < next) => drop.push(segment),
                // Only the end of the journal is cut; damage elsewhere stays as it is for a closer look.
                None => {
                    keep.insert(segment, (length, 0));
                }
                Some(kept) if segment != place.0 || (promised >= next && !torn) => kept.0 = length,
                Some(_) => {}
            }
            let kept = keep.get(&segment).map_or(0, |kept| kept.0);
            if !empty {
                recovery.lost.torn_bytes += length.saturating_sub(kept);
            }
        }
        Ok(Resume { recovery, keep, drop, last: last.max(cut), pending_in })
    }
}

/// The place of a chunk in a pack, as an extent's place.
fn packed(addr: &ChunkAddr) -> Place {
    let as_it_is = addr.stored == addr.plain.saturating_add(16);
    Place::Pack {
        pack: addr.pack,
        offset: addr.offset,
        lens: if as_it_is { Vec::new() } else { vec![addr.stored] },
        last: addr.plain,
        birth: addr.birth,
    }
}

/// Points the extents in `extents` that lie in a committed part of the spool to their packs; whether any did.
pub fn remap_extents(extents: &mut [Extent], remap: &HashMap<SpoolRef, ChunkAddr>) -> bool {
    let mut changed = false;
    for extent in extents {
        if let Place::Spool { at, .. } = &extent.place
            && let Some(addr) = remap.get(at)
        {
            extent.place = packed(addr);
            changed = true;
        }
    }
    changed
}

fn apply_remap(batch: &mut Batch, remap: &HashMap<SpoolRef, ChunkAddr>) {
    for (_, record) in batch {
        if let Some(Record::Extents(extents)) = record {
            remap_extents(extents, remap);
        }
    }
}
