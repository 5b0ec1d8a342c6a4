//! Byte ranges: which systematic primary slivers, and which bytes of them, hold a range of the blob.
//!
//! The first [`rows`](Params::rows) primary slivers are the blob cut into equal pieces, so reading a range is arithmetic: no
//! decoding is involved.

use crate::{Axis, Error, Params, Primary, SliverIndex};
use std::ops::Range;

/// A piece of a blob that lies in one systematic primary sliver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowSpan {
    /// The sliver.
    pub sliver: SliverIndex<Primary>,
    /// Bytes of the sliver's data.
    pub in_sliver: Range<usize>,
    /// The same bytes as positions in the blob.
    pub in_blob: Range<u64>,
}

impl Params {
    /// The pieces, in order, of bytes `range` of a blob of `length` bytes. An empty range has no pieces.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the range is reversed or ends after the blob; [`Error::BlobTooLarge`].
    pub fn row_spans(
        &self,
        length: u64,
        range: Range<u64>,
    ) -> Result<impl ExactSizeIterator<Item = RowSpan> + DoubleEndedIterator + use<>, Error> {
        if range.start > range.end || range.end > length {
            return Err(Error::InvalidArgument("a byte range is reversed or ends after the blob"));
        }
        let row = self.sliver_length(Axis::Primary, length)?;
        let row_bytes = row as u64;
        let rows = if range.is_empty() { 0..0 } else { row_of(range.start, row)..row_of(range.end - 1, row) + 1 };
        Ok(rows.map(move |index| {
            let row_start = u64::from(index) * row_bytes;
            let start = range.start.max(row_start);
            let end = range.end.min(row_start + row_bytes);
            RowSpan {
                sliver: SliverIndex::new(index),
                in_sliver: within(start - row_start)..within(end - row_start),
                in_blob: start..end,
            }
        }))
    }
}

/// The row of byte `position`; the position has been checked to lie in the blob.
fn row_of(position: u64, row: usize) -> u16 {
    u16::try_from(position / row as u64).unwrap_or(u16::MAX)
}

/// A position within a sliver: at most a sliver's length, which is a `usize`.
fn within(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
