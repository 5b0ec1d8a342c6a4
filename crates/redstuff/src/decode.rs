//! Decoding: from enough slivers of one axis back to the blob.

use crate::buffer::Buffer;
use crate::code::Code;
use crate::layout::Layout;
use crate::simd::{Backend, Shards};
use crate::{Axis, Encoder, Error, Params, Primary, Sliver, SliverAxis, VerifiedMetadata};

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

/// Decodes the blob that `metadata` describes from verified slivers of one axis.
///
/// Slivers of wrong shape and repeated ones are skipped, surplus ones ignored; which axis is decoded is the slivers' type.
/// The slivers must have been [verified](Sliver::verify) (or come from a place that is trusted): a wrong sliver gives wrong bytes,
/// which only [`Consistency::Default`] (from secondaries) and [`Consistency::Strict`] notice.
///
/// # Errors
/// [`Error::NotEnough`] with fewer than [`Params::slivers_to_decode`] distinct usable slivers; [`Error::Inconsistent`] if the
/// consistency check fails.
pub fn decode<A: SliverAxis>(
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
    let mut matrix = decode_matrix(params, &chosen, usize::from(metadata.symbol_size().get()));
    let length = usize::try_from(metadata.unencoded_length())
        .map_err(|_| Error::InvalidArgument("the blob does not fit into this machine's memory"))?;
    match consistency {
        Consistency::Skip => {}
        Consistency::Default => {
            matrix[length..].fill(0);
            let given = |index: usize| A::AXIS == Axis::Primary && chosen.iter().any(|s| s.index().as_usize() == index);
            check_systematic(metadata, &matrix, given)?;
        }
        Consistency::Strict => {
            if Encoder::new(params).metadata(&matrix[..length])?.blob_id() != metadata.blob_id() {
                let detail = "its content encodes to another blob id";
                return Err(Error::Inconsistent { blob_id: *metadata.blob_id(), detail });
            }
        }
    }
    matrix.truncate(length);
    Ok(matrix)
}

/// Compares every systematic primary sliver that was not `given` with its committed hash.
fn check_systematic(metadata: &VerifiedMetadata, matrix: &[u8], given: impl Fn(usize) -> bool) -> Result<(), Error> {
    let rows = matrix.chunks_exact(metadata.sliver_length(Axis::Primary));
    for (index, row) in metadata.params().slivers::<Primary>().zip(rows) {
        if !given(index.as_usize()) && Sliver::new(index, metadata.symbol_size(), row).verify(metadata).is_err() {
            let detail = "a systematic primary sliver rebuilt from its content does not match the metadata";
            return Err(Error::Inconsistent { blob_id: *metadata.blob_id(), detail });
        }
    }
    Ok(())
}

/// The padded message matrix, row by row, from exactly enough distinct slivers.
fn decode_matrix<A: SliverAxis>(params: &Params, slivers: &[&Sliver<'_, A>], size: usize) -> Vec<u8> {
    let engine = &Backend::detected().engine;
    let code = Code::along(params, A::AXIS.orthogonal());
    let decoder = code.decoder(engine, slivers.iter().map(|sliver| sliver.index().as_usize()));
    let lines = usize::from(params.symbols_per_sliver(A::AXIS));
    let place = Place { axis: A::AXIS, row_bytes: usize::from(params.columns()) * size, size };
    let mut matrix = vec![0; lines * code.originals() * size];
    for sliver in slivers.iter().filter(|sliver| sliver.index().as_usize() < code.originals()) {
        place.put_sliver(&mut matrix, sliver.index().as_usize(), sliver.data());
    }
    if decoder.missing().len() == 0 {
        return matrix;
    }
    let (width, piece) = decoder.widths(size, lines);
    let mut work = Buffer::zeroed(decoder.shards() * Layout::new(piece, width).chunks() * 64);
    for at in (0..lines).step_by(width) {
        let width = width.min(lines - at);
        for from in (0..size).step_by(piece) {
            let bytes = from..size.min(from + piece);
            let layout = Layout::new(bytes.len(), width);
            let chunks = layout.chunks();
            let mut shards = Shards { data: &mut work.chunks_mut()[..decoder.shards() * chunks], chunks };
            for sliver in slivers {
                let shard = &mut shards.data[decoder.position(sliver.index().as_usize()) * chunks..][..chunks];
                for (i, symbol) in sliver.data()[at * size..].chunks_exact(size).take(width).enumerate() {
                    layout.put(shard, i, &symbol[bytes.clone()]);
                }
            }
            decoder.decode(engine, &mut shards);
            for (line, position) in decoder.missing() {
                let shard = &shards.data[position * chunks..][..chunks];
                for i in 0..width {
                    let start = place.symbol(line, at + i);
                    layout.get(shard, i, &mut matrix[start..start + size][bytes.clone()]);
                }
            }
        }
    }
    matrix
}

/// Where symbols of slivers lie in the matrix.
struct Place {
    axis: Axis,
    row_bytes: usize,
    size: usize,
}

impl Place {
    /// Start of symbol `i` of systematic sliver `sliver`.
    fn symbol(&self, sliver: usize, i: usize) -> usize {
        match self.axis {
            Axis::Primary => sliver * self.row_bytes + i * self.size,
            Axis::Secondary => i * self.row_bytes + sliver * self.size,
        }
    }

    fn put_sliver(&self, matrix: &mut [u8], sliver: usize, data: &[u8]) {
        match self.axis {
            Axis::Primary => matrix[sliver * self.row_bytes..][..self.row_bytes].copy_from_slice(data),
            Axis::Secondary => {
                for (i, symbol) in data.chunks_exact(self.size).enumerate() {
                    matrix[self.symbol(sliver, i)..][..self.size].copy_from_slice(symbol);
                }
            }
        }
    }
}
