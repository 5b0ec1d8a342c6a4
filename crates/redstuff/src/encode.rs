//! Encoding: from a blob to its id, its metadata and all slivers.

use crate::code::Code;
use crate::merkle::MerkleTree;
use crate::metadata::{Metadata, PairHashes, VerifiedMetadata};
use crate::{Axis, BlobId, Error, PairIndex, Params, Primary, Secondary, Sliver, SliverAxis, SliverIndex, hash};
use std::io::Read;

/// Encodes blobs for one committee.
///
/// The blob may be anything that derefs to bytes (`&[u8]`, `Vec<u8>`, `Arc<[u8]>`, `bytes::Bytes`); the result keeps it, because
/// the first slivers are its own bytes.
#[derive(Clone, Debug)]
pub struct Encoder {
    params: Params,
    threads: usize,
}

impl Encoder {
    /// An encoder that uses as many threads as the machine has cores.
    pub fn new(params: &Params) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { params: *params, threads }
    }

    /// Sets the number of threads that one call may use, at least 1.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The committee's parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Encodes `blob` completely: id, metadata and every sliver.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`].
    pub fn encode<B: AsRef<[u8]>>(&self, blob: B) -> Result<Encoded<B>, Error> {
        let (metadata, primaries, secondaries) = encode_straight(&self.params, blob.as_ref())?;
        Ok(Encoded { blob, metadata, primaries, secondaries })
    }

    /// Computes only the metadata (and so the blob id) of `blob`.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`].
    pub fn metadata(&self, blob: &[u8]) -> Result<VerifiedMetadata, Error> {
        encode_straight(&self.params, blob).map(|(metadata, _, _)| metadata)
    }

    /// Computes only the metadata (and so the blob id) of the `length` bytes that `reader` gives.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`] before anything is read; [`Error::Io`] if the reader fails or ends too early.
    pub fn metadata_from_reader(&self, length: u64, reader: &mut dyn Read) -> Result<VerifiedMetadata, Error> {
        self.params.symbol_size(length)?;
        let mut blob = vec![0; usize::try_from(length).map_err(|_| self.params.too_large(length))?];
        reader.read_exact(&mut blob)?;
        self.metadata(&blob)
    }
}

/// Encodes `blob` completely with the defaults of [`Encoder::new`].
///
/// # Errors
/// [`Error::BlobTooLarge`].
pub fn encode<B: AsRef<[u8]>>(params: &Params, blob: B) -> Result<Encoded<B>, Error> {
    Encoder::new(params).encode(blob)
}

/// Computes only the id of `blob`.
///
/// # Errors
/// [`Error::BlobTooLarge`].
pub fn blob_id(params: &Params, blob: &[u8]) -> Result<BlobId, Error> {
    Encoder::new(params).metadata(blob).map(|metadata| *metadata.blob_id())
}

/// A blob with its metadata and all slivers. `B` is the blob as it was given.
#[derive(Debug)]
pub struct Encoded<B> {
    blob: B,
    metadata: VerifiedMetadata,
    primaries: Vec<u8>,
    secondaries: Vec<u8>,
}

impl<B: AsRef<[u8]>> Encoded<B> {
    /// The committee's parameters.
    pub fn params(&self) -> &Params {
        self.metadata.params()
    }

    /// The blob's id.
    pub fn blob_id(&self) -> &BlobId {
        self.metadata.blob_id()
    }

    /// The blob's metadata.
    pub fn metadata(&self) -> &VerifiedMetadata {
        &self.metadata
    }

    /// The blob.
    pub fn blob(&self) -> &B {
        &self.blob
    }

    /// Gives the blob back and drops the slivers.
    pub fn into_blob(self) -> B {
        self.blob
    }

    /// The sliver `index` of axis `A`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn sliver<A: SliverAxis>(&self, index: SliverIndex<A>) -> Result<Sliver<'_, A>, Error> {
        let length = self.metadata.sliver_length(A::AXIS);
        let all = match A::AXIS {
            Axis::Primary => &self.primaries,
            Axis::Secondary => &self.secondaries,
        };
        let data = all
            .get(index.as_usize() * length..(index.as_usize() + 1) * length)
            .ok_or(Error::InvalidArgument("a sliver index is not below the number of shards"))?;
        Ok(Sliver::new(index, self.metadata.symbol_size(), data))
    }

    /// Primary sliver `index`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn primary(&self, index: SliverIndex<Primary>) -> Result<Sliver<'_, Primary>, Error> {
        self.sliver(index)
    }

    /// Secondary sliver `index`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn secondary(&self, index: SliverIndex<Secondary>) -> Result<Sliver<'_, Secondary>, Error> {
        self.sliver(index)
    }

    /// Both slivers of a pair.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn pair(&self, index: PairIndex) -> Result<(Sliver<'_, Primary>, Sliver<'_, Secondary>), Error> {
        let params = self.params();
        Ok((self.sliver(index.sliver(params))?, self.sliver(index.sliver(params))?))
    }
}

/// Metadata, all primary slivers and all secondary slivers, one symbol at a time.
fn encode_straight(params: &Params, blob: &[u8]) -> Result<(VerifiedMetadata, Vec<u8>, Vec<u8>), Error> {
    let length = u64::try_from(blob.len()).unwrap_or(u64::MAX);
    let symbol_size = params.symbol_size(length)?;
    let (n, rows, columns) =
        (usize::from(params.n_shards()), usize::from(params.rows()), usize::from(params.columns()));
    let size = usize::from(symbol_size.get());
    // The whole expanded matrix, row by row.
    let mut matrix = vec![0; n * n * size];
    let row_code = Code::along(params, Axis::Primary);
    let mut row = vec![0; columns * size];
    for r in 0..rows {
        let source = blob.get(r * columns * size..).unwrap_or_default();
        let source = &source[..source.len().min(row.len())];
        row[..source.len()].copy_from_slice(source);
        row[source.len()..].fill(0);
        matrix[r * n * size..][..n * size].copy_from_slice(&row_code.expand(&row, size));
    }
    let column_code = Code::along(params, Axis::Secondary);
    let mut secondaries = vec![0; n * rows * size];
    for (c, secondary) in secondaries.chunks_exact_mut(rows * size).enumerate() {
        for (r, symbol) in secondary.chunks_exact_mut(size).enumerate() {
            symbol.copy_from_slice(&matrix[(r * n + c) * size..][..size]);
        }
        for (r, symbol) in column_code.expand(secondary, size).chunks_exact(size).enumerate().skip(rows) {
            matrix[(r * n + c) * size..][..size].copy_from_slice(symbol);
        }
    }
    let leaves: Vec<[u8; 32]> = matrix.chunks_exact(size).map(hash::leaf).collect();
    let hashes = (0..n)
        .map(|i| PairHashes {
            primary: MerkleTree::from_leaf_hashes(leaves[i * n..][..n].to_vec()).root(),
            secondary: MerkleTree::from_leaf_hashes((0..n).map(|r| leaves[r * n + (n - 1 - i)]).collect()).root(),
        })
        .collect();
    let metadata = VerifiedMetadata::computed(Metadata::new(length, hashes), params, symbol_size);
    let mut primaries = Vec::with_capacity(n * columns * size);
    for row in matrix.chunks_exact(n * size) {
        primaries.extend_from_slice(&row[..columns * size]);
    }
    Ok((metadata, primaries, secondaries))
}
