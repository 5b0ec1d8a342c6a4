//! The one-dimensional Reed-Solomon codes of rows and columns.

use crate::{Axis, Params};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

/// A code with `k` original symbols out of `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    k: usize,
    n: usize,
}

const FITS: &str = "Params admits only shard counts that the code supports, and symbol sizes are even and positive";

impl Code {
    /// The code along slivers of `axis`: rows have `S` originals, columns `P`.
    pub(crate) fn along(params: &Params, axis: Axis) -> Self {
        Self { k: params.symbols_per_sliver(axis).into(), n: params.n_shards().into() }
    }

    /// All `n` symbols from the first `k`.
    #[expect(clippy::expect_used, reason = "proof in the message")]
    pub(crate) fn expand(&self, originals: &[u8], symbol_size: usize) -> Vec<u8> {
        let mut encoder = ReedSolomonEncoder::new(self.k, self.n - self.k, symbol_size).expect(FITS);
        for symbol in originals.chunks_exact(symbol_size) {
            encoder.add_original_shard(symbol).expect(FITS);
        }
        let recovery = encoder.encode().expect(FITS);
        let mut symbols = Vec::with_capacity(self.n * symbol_size);
        symbols.extend_from_slice(originals);
        for symbol in recovery.recovery_iter() {
            symbols.extend_from_slice(symbol);
        }
        symbols
    }

    /// The `k` originals from `k` distinct symbols, given as index and bytes.
    #[expect(clippy::expect_used, reason = "proof in the message")]
    pub(crate) fn recover<'a>(
        &self,
        symbols: impl IntoIterator<Item = (usize, &'a [u8])>,
        symbol_size: usize,
    ) -> Vec<u8> {
        let mut decoder = ReedSolomonDecoder::new(self.k, self.n - self.k, symbol_size).expect(FITS);
        let mut originals = vec![0; self.k * symbol_size];
        for (index, symbol) in symbols {
            if index < self.k {
                originals[index * symbol_size..][..symbol_size].copy_from_slice(symbol);
                decoder.add_original_shard(index, symbol).expect(FITS);
            } else {
                decoder.add_recovery_shard(index - self.k, symbol).expect(FITS);
            }
        }
        let restored = decoder.decode().expect(FITS);
        for (index, symbol) in restored.restored_original_iter() {
            originals[index * symbol_size..][..symbol_size].copy_from_slice(symbol);
        }
        originals
    }
}
