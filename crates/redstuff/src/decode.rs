//! Decoding: from enough slivers of one axis back to the blob.

use crate::buffer::{Buffer, zeroed_vec};
use crate::code::{self, Code};
use crate::layout::Layout;
use crate::pipeline::for_each;
use crate::simd::{Backend, Shards, Simd};
use crate::{Axis, Encoder, Error, Params, Primary, Sliver, SliverAxis, VerifiedMetadata};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much of the encoding's consistency is checked after decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// Nothing: for callers that authenticate the content themselves.
    Skip,
    /// Every systematic primary sliver that was not among the given ones is rebuilt and compared with its committed hash: the
    /// returned bytes are what the primary commitments say.
    #[default]
    Default,
    /// The blob is encoded anew and its id compared: whoever decodes from whatever slivers gets the same bytes.
    Strict,
}

/// Decodes the blob that `metadata` describes with the defaults of [`Decoder::new`]: see [`Decoder::decode`].
///
/// # Errors
/// As [`Decoder::decode`].
pub fn decode<A: SliverAxis>(
    metadata: &VerifiedMetadata,
    slivers: &[Sliver<'_, A>],
    consistency: Consistency,
) -> Result<Vec<u8>, Error> {
    Decoder::new().decode(metadata, slivers, consistency)
}

/// Decodes blobs: on how many threads, with which instructions.
#[derive(Clone, Debug)]
pub struct Decoder {
    threads: usize,
    backend: Backend,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that uses as many threads as the machine has cores and the CPU's best instructions.
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { threads, backend: Backend::detected().clone() }
    }

    /// Sets the number of threads that one call may use, at least 1. (Small blobs use one all the same.)
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Uses the instructions of `simd`, or of the best level below it that the CPU has, for decoding and for the check of
    /// [`Consistency::Strict`]. For tests and measurements: the results are the same.
    #[must_use]
    pub fn simd(mut self, simd: Simd) -> Self {
        self.backend = Backend::new(simd);
        self
    }

    /// Decodes the blob that `metadata` describes from verified slivers of one axis.
    ///
    /// Slivers of wrong shape and repeated ones are skipped, surplus ones ignored; which axis is decoded is the slivers' type.
    /// The slivers must have been [verified](Sliver::verify) (or come from a place that is trusted): a wrong sliver gives wrong bytes,
    /// which only [`Consistency::Default`] (from secondaries) and [`Consistency::Strict`] notice.
    ///
    /// Holds the padded blob and, per thread, about 1 MiB; the check of [`Consistency::Strict`] what [`Encoder::metadata`] holds.
    ///
    /// # Errors
    /// [`Error::NotEnough`] with fewer than [`Params::slivers_to_decode`] distinct usable slivers; [`Error::Inconsistent`] if the
    /// consistency check fails.
    pub fn decode<A: SliverAxis>(
        &self,
        metadata: &VerifiedMetadata,
        slivers: &[Sliver<'_, A>],
        consistency: Consistency,
    ) -> Result<Vec<u8>, Error> {
        let params = metadata.params();
        let need = usize::from(params.slivers_to_decode(A::AXIS));
        let mut taken = vec![false; params.n_shards().into()];
        let chosen: Vec<&Sliver<'_, A>> = slivers
            .iter()
            .filter(|sliver| sliver.check_shape(metadata).is_ok())
            .filter(|sliver| !std::mem::replace(&mut taken[sliver.index().as_usize()], true))
            .take(need)
            .collect();
        if chosen.len() < need {
            return Err(Error::NotEnough { what: "slivers", axis: A::AXIS, have: chosen.len(), need });
        }
        let length = usize::try_from(metadata.unencoded_length())
            .map_err(|_| Error::InvalidArgument("the blob does not fit into this machine's memory"))?;
        let mut matrix = self.matrix(params, &chosen, usize::from(metadata.symbol_size().get()));
        match consistency {
            Consistency::Skip => {}
            Consistency::Default => {
                matrix[length..].fill(0);
                let given =
                    |index: usize| A::AXIS == Axis::Primary && chosen.iter().any(|s| s.index().as_usize() == index);
                self.check_systematic(metadata, &matrix, given)?;
            }
            Consistency::Strict => {
                let encoder = Encoder::new(params).threads(self.threads).simd(self.backend.simd).retain(0);
                if encoder.metadata(&matrix[..length])?.blob_id() != metadata.blob_id() {
                    let detail = "its content encodes to another blob id";
                    return Err(Error::Inconsistent { blob_id: *metadata.blob_id(), detail });
                }
            }
        }
        matrix.truncate(length);
        Ok(matrix)
    }

    /// Compares every systematic primary sliver that was not `given` with its committed hash.
    fn check_systematic(
        &self,
        metadata: &VerifiedMetadata,
        matrix: &[u8],
        given: impl Fn(usize) -> bool,
    ) -> Result<(), Error> {
        let rows = matrix.chunks_exact(metadata.sliver_length(Axis::Primary));
        let mut rows: Vec<_> =
            metadata.params().slivers::<Primary>().zip(rows).filter(|(index, _)| !given(index.as_usize())).collect();
        let wrong = AtomicBool::new(false);
        for_each(
            // A verification takes some tens of microseconds, as starting a thread does.
            self.threads.min(rows.len() / 8).max(1),
            &mut rows,
            || (),
            |(), (index, row)| {
                if !wrong.load(Ordering::Relaxed)
                    && Sliver::new(*index, metadata.symbol_size(), &**row).verify(metadata).is_err()
                {
                    wrong.store(true, Ordering::Relaxed);
                }
            },
        );
        if wrong.into_inner() {
            let detail = "a systematic primary sliver rebuilt from its content does not match the metadata";
            return Err(Error::Inconsistent { blob_id: *metadata.blob_id(), detail });
        }
        Ok(())
    }

    /// The padded message matrix, row by row, from exactly enough distinct slivers.
    fn matrix<A: SliverAxis>(&self, params: &Params, slivers: &[&Sliver<'_, A>], size: usize) -> Vec<u8> {
        let engine = &self.backend.engine;
        let code = Code::along(params, A::AXIS.orthogonal());
        let decoder = code.decoder(engine, slivers.iter().map(|sliver| sliver.index().as_usize()));
        let lines = usize::from(params.symbols_per_sliver(A::AXIS));
        let row_bytes = usize::from(params.columns()) * size;
        let mut matrix = zeroed_vec(lines * code.originals() * size);
        for sliver in slivers.iter().filter(|sliver| sliver.index().as_usize() < code.originals()) {
            put_sliver(&mut matrix, row_bytes, sliver);
        }
        if decoder.missing().len() == 0 {
            return matrix;
        }
        // Less than that is done before another thread has started.
        let threads = if matrix.len() < 512 << 10 { 1 } else { self.threads };
        let (width, piece) = decoder.widths(size, lines.div_ceil(threads));
        let mut batches: Vec<Batch<'_>> = (0..lines)
            .step_by(width)
            .map(|at| Batch {
                lines: at..(at + width).min(lines),
                to: Vec::new(),
                strides: Strides::of::<A>(row_bytes, size),
            })
            .collect();
        match A::AXIS {
            Axis::Primary => {
                let mut rows: Vec<Option<&mut [u8]>> = matrix.chunks_exact_mut(row_bytes).map(Some).collect();
                for row in decoder.missing().filter_map(|(row, _)| rows[row].take()) {
                    for (batch, to) in batches.iter_mut().zip(row.chunks_mut(width * size)) {
                        batch.to.push(to);
                    }
                }
            }
            Axis::Secondary => {
                for (batch, to) in batches.iter_mut().zip(matrix.chunks_mut(width * row_bytes)) {
                    batch.to.push(to);
                }
            }
        }
        for_each(
            threads,
            &mut batches,
            || Buffer::zeroed(decoder.shards() * Layout::new(piece, width).chunks() * 64),
            |work, batch| batch.decode(&self.backend, &decoder, work, slivers, size, piece),
        );
        matrix
    }
}

/// Copies a systematic sliver to its place.
fn put_sliver<A: SliverAxis>(matrix: &mut [u8], row_bytes: usize, sliver: &Sliver<'_, A>) {
    let index = sliver.index().as_usize();
    match A::AXIS {
        Axis::Primary => matrix[index * row_bytes..][..row_bytes].copy_from_slice(sliver.data()),
        Axis::Secondary => {
            let size = usize::from(sliver.symbol_size().get());
            for (row, symbol) in matrix.chunks_exact_mut(row_bytes).zip(sliver.data().chunks_exact(size)) {
                row[index * size..][..size].copy_from_slice(symbol);
            }
        }
    }
}

/// Neighbouring symbols of all slivers, which are decoded together: columns of primary slivers, rows of secondary ones.
struct Batch<'a> {
    lines: Range<usize>,
    /// Where the missing symbols belong: per missing row its part, or all of the rows.
    to: Vec<&'a mut [u8]>,
    strides: Strides,
}

/// Where a symbol lies in [`Batch::to`].
enum Strides {
    /// The `m`th missing sliver is slice `m`; symbols follow each other.
    Rows {
        /// Bytes of a symbol.
        size: usize,
    },
    /// There is one slice; a line is a row of it, a sliver a column.
    Columns {
        /// Bytes of a row.
        row_bytes: usize,
        /// Bytes of a symbol.
        size: usize,
    },
}

impl Strides {
    fn of<A: SliverAxis>(row_bytes: usize, size: usize) -> Self {
        match A::AXIS {
            Axis::Primary => Self::Rows { size },
            Axis::Secondary => Self::Columns { row_bytes, size },
        }
    }
}

impl Batch<'_> {
    /// Symbol `i` of the batch of original sliver `sliver`, which is the `m`th missing one.
    fn symbol(&mut self, sliver: usize, m: usize, i: usize) -> &mut [u8] {
        match self.strides {
            Strides::Rows { size } => &mut self.to[m][i * size..][..size],
            Strides::Columns { row_bytes, size } => &mut self.to[0][i * row_bytes + sliver * size..][..size],
        }
    }

    fn decode<A: SliverAxis>(
        &mut self,
        backend: &Backend,
        decoder: &code::Decoder,
        work: &mut Buffer,
        slivers: &[&Sliver<'_, A>],
        size: usize,
        piece: usize,
    ) {
        for from in (0..size).step_by(piece) {
            let bytes = from..size.min(from + piece);
            let layout = Layout::new(bytes.len(), self.lines.len());
            let chunks = layout.chunks();
            let mut shards = Shards { data: &mut work.chunks_mut()[..decoder.shards() * chunks], chunks };
            for sliver in slivers {
                let shard = &mut shards.data[decoder.position(sliver.index().as_usize()) * chunks..][..chunks];
                let symbols = sliver.data()[self.lines.start * size..].chunks_exact(size);
                for (i, symbol) in symbols.take(self.lines.len()).enumerate() {
                    layout.put(shard, i, &symbol[bytes.clone()]);
                }
            }
            decoder.decode(&backend.engine, &mut shards);
            for (m, (sliver, position)) in decoder.missing().enumerate() {
                let shard = &shards.data[position * chunks..][..chunks];
                for i in 0..self.lines.len() {
                    layout.get(shard, i, &mut self.symbol(sliver, m, i)[bytes.clone()]);
                }
            }
        }
    }
}
