//! Decoding: from enough slivers of one axis back to the blob.

use crate::code::Code;
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
    let (rows, columns) = (usize::from(params.rows()), usize::from(params.columns()));
    let code = Code::along(params, A::AXIS.orthogonal());
    let mut matrix = vec![0; rows * columns * size];
    for k in 0..usize::from(params.symbols_per_sliver(A::AXIS)) {
        let symbols = slivers.iter().map(|sliver| (sliver.index().as_usize(), &sliver.data()[k * size..][..size]));
        let originals = code.recover(symbols, size);
        for (i, symbol) in originals.chunks_exact(size).enumerate() {
            let (r, c) = match A::AXIS {
                Axis::Primary => (i, k),
                Axis::Secondary => (k, i),
            };
            matrix[(r * columns + c) * size..][..size].copy_from_slice(symbol);
        }
    }
    matrix
}
