//! What follows from the number of shards alone: fault bound, matrix shape, symbol sizes, charged sizes.

use crate::{Axis, Error, PairIndex, SliverAxis, SliverIndex};
use std::num::NonZeroU16;

/// The parameters of the code for a committee of `n` shards.
///
/// With `f = (n - 1) / 3`, a blob is a matrix of [`rows`](Self::rows) = `n - 2f` by [`columns`](Self::columns) = `n - f`
/// symbols, expanded to `n` by `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Params {
    n_shards: u16,
}

impl Params {
    /// The smallest usable committee: with fewer shards there is no recovery shard.
    pub const MIN_SHARDS: u16 = 4;
    /// The largest committee that the field GF(2^16) certainly has evaluation points for on both axes.
    pub const MAX_SHARDS: u16 = 16_384;
    /// The largest symbol in bytes: the largest even `u16`.
    pub const MAX_SYMBOL_SIZE: u16 = 65_534;

    /// The parameters for `n_shards` shards (1000 on mainnet and testnet).
    ///
    /// # Errors
    /// [`Error::UnsupportedShards`] below 4 or above 16384 shards.
    pub fn new(n_shards: u16) -> Result<Self, Error> {
        if (Self::MIN_SHARDS..=Self::MAX_SHARDS).contains(&n_shards) {
            Ok(Self { n_shards })
        } else {
            Err(Error::UnsupportedShards { n_shards })
        }
    }

    /// `n`: shards, sliver pairs, slivers of each axis.
    pub const fn n_shards(&self) -> u16 {
        self.n_shards
    }

    /// `f`: how many shards may fail.
    pub const fn max_faulty(&self) -> u16 {
        (self.n_shards - 1) / 3
    }

    /// `P = n - 2f`: rows of the matrix, symbols of a secondary sliver, primary slivers that decode a blob.
    pub const fn rows(&self) -> u16 {
        self.n_shards - 2 * self.max_faulty()
    }

    /// `S = n - f`: columns of the matrix, symbols of a primary sliver, secondary slivers that decode a blob.
    pub const fn columns(&self) -> u16 {
        self.n_shards - self.max_faulty()
    }

    /// Symbols of one sliver of `axis`; also how many recovery symbols rebuild such a sliver.
    pub const fn symbols_per_sliver(&self, axis: Axis) -> u16 {
        match axis {
            Axis::Primary => self.columns(),
            Axis::Secondary => self.rows(),
        }
    }

    /// How many distinct slivers of `axis` decode a blob; also the number of systematic ones (they hold raw blob bytes
    /// and have the lowest indices).
    pub const fn slivers_to_decode(&self, axis: Axis) -> u16 {
        self.symbols_per_sliver(axis.orthogonal())
    }

    /// Bytes of the largest blob: `P * S * 65534`.
    pub fn max_blob_size(&self) -> u64 {
        self.source_symbols() * u64::from(Self::MAX_SYMBOL_SIZE)
    }

    /// `P * S`: symbols of the unexpanded matrix.
    pub(crate) fn source_symbols(&self) -> u64 {
        u64::from(self.rows()) * u64::from(self.columns())
    }

    /// Bytes of one symbol of a blob of `length` bytes: `length / (P * S)` rounded up to the next even number, at least 2.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`] above [`max_blob_size`](Self::max_blob_size).
    pub fn symbol_size(&self, length: u64) -> Result<NonZeroU16, Error> {
        let exact = length.max(1).div_ceil(self.source_symbols());
        exact
            .checked_next_multiple_of(2)
            .and_then(|even| u16::try_from(even).ok())
            .and_then(NonZeroU16::new)
            .ok_or_else(|| self.too_large(length))
    }

    pub(crate) fn too_large(&self, length: u64) -> Error {
        Error::BlobTooLarge { length, max: self.max_blob_size(), n_shards: self.n_shards }
    }

    /// Bytes of a sliver of `axis` of a blob of `length` bytes.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`].
    pub fn sliver_length(&self, axis: Axis, length: u64) -> Result<usize, Error> {
        let symbol_size = usize::from(self.symbol_size(length)?.get());
        Ok(usize::from(self.symbols_per_sliver(axis)) * symbol_size)
    }

    /// Bytes of metadata that each shard is charged for: `64 n + 32` (tags and length prefixes are not counted).
    pub fn metadata_length(&self) -> u64 {
        64 * u64::from(self.n_shards) + 32
    }

    /// The encoded size that storage is bought for: `n * ((P + S) * symbol_size + 64 n + 32)` bytes.
    /// (The chain charges it in units of 1 MiB, rounded up.)
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`].
    pub fn encoded_length(&self, length: u64) -> Result<u64, Error> {
        let symbol_size = u64::from(self.symbol_size(length)?.get());
        let pair = (u64::from(self.rows()) + u64::from(self.columns())) * symbol_size;
        Ok(u64::from(self.n_shards) * (pair + self.metadata_length()))
    }

    /// All pair indices, in order.
    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = PairIndex> + ExactSizeIterator + use<> {
        (0..self.n_shards).map(PairIndex::new)
    }

    /// All sliver indices of axis `A`, in order.
    pub fn slivers<A: SliverAxis>(
        &self,
    ) -> impl DoubleEndedIterator<Item = SliverIndex<A>> + ExactSizeIterator + use<A> {
        (0..self.n_shards).map(SliverIndex::new)
    }
}
