//! Appended bytes that the disk does not have yet.
//!
//! Pieces stand in order; only the last one grows. The first one may be on its way to the disk: it stays readable until
//! [`Buffer::written`], so a reader finds every byte either here or in the file.

use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes for one place of one segment.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) bytes: Arc<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(super) struct Buffer {
    pieces: VecDeque<Piece>,
    /// The first piece is being written: it must not grow.
    leaving: bool,
    /// Where `tail` was made, for callers that fail in between.
    unused: Vec<u8>,
    /// The memory of a piece that is on the disk, for the next: fresh pages cost as much as filling them.
    spare: Option<Vec<u8>>,
}

/// The largest piece whose memory is kept, bytes: twice what a piece is handed to the disk at.
const SPARE_MAX: usize = 2 << 20;

impl Buffer {
    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }

    /// Where the bytes at `offset` of `segment`, the end of everything appended so far, are to be appended.
    pub(super) fn tail(&mut self, segment: u64, offset: u64) -> &mut Vec<u8> {
        let grows = match self.pieces.back() {
            Some(_) if self.leaving && self.pieces.len() == 1 => false,
            Some(last) => last.segment == segment,
            None => false,
        };
        if !grows {
            let bytes = Arc::new(self.spare.take().unwrap_or_default());
            self.pieces.push_back(Piece { segment, offset, bytes });
        }
        // A reader's copy of the handle is dropped under the same lock, so this never copies.
        self.pieces.back_mut().map_or(&mut self.unused, |piece| Arc::make_mut(&mut piece.bytes))
    }

    /// The first piece, to be written now; `None` when there is nothing.
    pub(super) fn outgoing(&mut self) -> Option<Piece> {
        while self.pieces.front().is_some_and(|piece| piece.bytes.is_empty()) {
            self.pieces.pop_front();
        }
        let first = self.pieces.front()?.clone();
        self.leaving = true;
        Some(first)
    }

    /// The piece that `outgoing` returned is on the disk.
    pub(super) fn written(&mut self, piece: Piece) {
        self.pieces.pop_front();
        self.leaving = false;
        self.spare = Arc::into_inner(piece.bytes).filter(|bytes| bytes.capacity() <= SPARE_MAX).map(|mut bytes| {
            bytes.clear();
            bytes
        });
    }

    /// A copy of `len` bytes at `offset` of `segment`, when they are all here.
    pub(super) fn copy(&self, segment: u64, offset: u64, len: usize) -> Option<Vec<u8>> {
        self.pieces.iter().filter(|piece| piece.segment == segment).find_map(|piece| {
            let start = usize::try_from(offset.checked_sub(piece.offset)?).ok()?;
            Some(piece.bytes.get(start..start.checked_add(len)?)?.to_vec())
        })
    }
}
