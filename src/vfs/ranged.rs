//! Parts of a chunk over something below: the form of dirty memory, and of what the spool holds.

use crate::ids::CHUNK;
use crate::tree::record::ChunkAddr;
use bytes::Bytes;
use std::borrow::Cow;

/// Byte ranges of a chunk that are known, with their bytes. What lies outside the ranges comes from below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranged {
    /// Sorted, disjoint, not touching, none empty, all within one chunk.
    ranges: Vec<(u32, u32)>,
    /// Indexed by position in the chunk; at least as long as the last range's end.
    bytes: Vec<u8>,
}

/// The ranges that a spool place holds (empty: the whole chunk), their bytes, and the base that is still needed.
pub(super) type ToStore<'a> = (Vec<(u32, u32)>, Cow<'a, [u8]>, Option<ChunkAddr>);

/// Adds `start..end` to a sorted set of disjoint ranges, joining what touches.
fn add(ranges: &mut Vec<(u32, u32)>, start: u32, end: u32) {
    if start >= end {
        return;
    }
    let first = ranges.partition_point(|range| range.1 < start);
    let after = ranges.partition_point(|range| range.0 <= end);
    let joined = ranges[first..after].iter().fold((start, end), |all, range| (all.0.min(range.0), all.1.max(range.1)));
    ranges.splice(first..after, [joined]);
}

impl Ranged {
    /// All of `bytes`, from the chunk's start.
    pub(super) fn whole(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(CHUNK);
        let mut ranges = Vec::new();
        add(&mut ranges, 0, bytes.len() as u32);
        Self { ranges, bytes }
    }

    /// The ranges of a spool place, whose bytes stand back to back in `data`; `None` when they do not fit together.
    pub(super) fn from_spool(ranges: &[(u32, u32)], data: &[u8]) -> Option<Self> {
        if ranges.is_empty() {
            return (data.len() <= CHUNK).then(|| Self::whole(data.to_vec()));
        }
        let mut out = Self::default();
        let mut rest = data;
        for &(start, end) in ranges {
            let (part, after) = rest.split_at_checked(end.checked_sub(start)? as usize)?;
            (end as usize <= CHUNK && out.end() <= start).then_some(())?;
            out.write(start, part);
            rest = after;
        }
        rest.is_empty().then_some(out)
    }

    /// The bytes up to the end of the last range.
    pub(super) fn into_start(mut self) -> Bytes {
        self.bytes.truncate(self.end() as usize);
        self.bytes.into()
    }

    /// The known ranges.
    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// Memory used, bytes, bookkeeping included: many tiny writes must not escape the budget.
    pub(super) fn weight(&self) -> u64 {
        self.bytes.len() as u64 + 256
    }

    /// End of the last range; 0 when there is none.
    pub(super) fn end(&self) -> u32 {
        self.ranges.last().map_or(0, |range| range.1)
    }

    /// Writes `data` at `start`. The caller keeps within the chunk.
    pub(super) fn write(&mut self, start: u32, data: &[u8]) {
        let (from, to) = (start as usize, start as usize + data.len());
        if self.bytes.len() < from {
            self.bytes.resize(from, 0);
        }
        let (over, beyond) = data.split_at(data.len().min(self.bytes.len() - from));
        self.bytes[from..from + over.len()].copy_from_slice(over);
        self.bytes.extend_from_slice(beyond);
        add(&mut self.ranges, start, to as u32);
    }

    /// Writes zeros over `start..end`.
    pub(super) fn zero(&mut self, start: u32, end: u32) {
        if start < end {
            self.write(start, &vec![0; (end - start) as usize]);
        }
    }

    /// Forgets everything at and after `end`.
    pub(super) fn clip(&mut self, end: u32) {
        self.ranges.retain_mut(|range| {
            range.1 = range.1.min(end);
            range.0 < range.1
        });
        self.bytes.truncate(end as usize);
    }

    /// Writes everything known of `upper` over this.
    pub(super) fn overlay(&mut self, upper: &Ranged) {
        for &(start, end) in &upper.ranges {
            self.write(start, &upper.bytes[start as usize..end as usize]);
        }
    }

    /// Whether all of `start..end` is known.
    pub(super) fn covers(&self, start: u32, end: u32) -> bool {
        start >= end || self.ranges.iter().any(|range| range.0 <= start && end <= range.1)
    }

    /// Copies what is known of the chunk from `start` on into `out`.
    pub(super) fn copy_to(&self, start: u32, out: &mut [u8]) {
        let end = start.saturating_add(out.len() as u32);
        for &(from, to) in &self.ranges {
            let (from, to) = (from.max(start), to.min(end));
            if from < to {
                out[(from - start) as usize..(to - start) as usize]
                    .copy_from_slice(&self.bytes[from as usize..to as usize]);
            }
        }
    }

    /// What has to be stored when this lies over `base`: the ranges (empty: the whole chunk), their bytes back to back,
    /// and the base that is still needed.
    ///
    /// Over a base something must be known: no ranges would stand for a whole chunk of zeros.
    pub(super) fn to_store(&self, base: Option<ChunkAddr>) -> ToStore<'_> {
        match base {
            Some(base) if !self.covers(0, base.plain) => {
                debug_assert!(!self.ranges.is_empty(), "no ranges would be a whole chunk, of zeros");
                let parts = self.ranges.iter().map(|&(start, end)| &self.bytes[start as usize..end as usize]);
                (self.ranges.clone(), Cow::Owned(parts.collect::<Vec<_>>().concat()), Some(base))
            }
            _ if self.covers(0, self.end()) => (Vec::new(), Cow::Borrowed(&self.bytes[..self.end() as usize]), None),
            _ => {
                let mut data = vec![0; self.end() as usize];
                self.copy_to(0, &mut data);
                (Vec::new(), Cow::Owned(data), None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PackNo, Sequence};
    use proptest::prelude::*;

    proptest! {
        /// Against a chunk of optional bytes.
        #[test]
        fn it_knows_what_was_written(
            steps in proptest::collection::vec((0u32..60, 0u32..20, any::<u8>(), 0u8..4), 1..30),
            plain in 0u32..70,
        ) {
            let mut model = [None; 100];
            let mut ranged = Ranged::default();
            for (start, len, byte, what) in steps {
                let end = start + len;
                match what {
                    0 => {
                        ranged.clip(start);
                        model[start as usize..].fill(None);
                    }
                    1 => {
                        ranged.zero(start, end);
                        model[start as usize..end as usize].fill(Some(0));
                    }
                    _ => {
                        ranged.write(start, &vec![byte; len as usize]);
                        model[start as usize..end as usize].fill(Some(byte));
                    }
                }
            }
            let mut out = [9; 100];
            ranged.copy_to(0, &mut out);
            for (at, byte) in model.iter().enumerate() {
                prop_assert_eq!(out[at], byte.unwrap_or(9));
            }
            for pair in ranged.ranges().windows(2) {
                prop_assert!(pair[0].1 < pair[1].0);
            }
            let base = ChunkAddr { pack: PackNo(1), offset: 0, stored: plain, plain, birth: Sequence(1) };
            prop_assume!(plain == 0 || !ranged.ranges().is_empty());
            let (ranges, data, below) = ranged.to_store(Some(base));
            let again = Ranged::from_spool(&ranges, &data).unwrap();
            let under = |at: usize| if at < plain as usize { 8 } else { 0 };
            let mut stored: [u8; 100] = std::array::from_fn(|at| if below.is_some() { under(at) } else { 0 });
            again.copy_to(0, &mut stored);
            for (at, byte) in model.iter().enumerate() {
                prop_assert_eq!(stored[at], byte.unwrap_or(under(at)), "at {}", at);
            }
        }

        #[test]
        fn hostile_places_are_refused_without_panic(
            ranges in proptest::collection::vec((any::<u32>(), any::<u32>()), 0..4),
            data in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            if let Some(ranged) = Ranged::from_spool(&ranges, &data) {
                prop_assert!(ranged.end() as usize <= CHUNK);
            }
        }
    }
}
