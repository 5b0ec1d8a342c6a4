//! The one-dimensional Reed-Solomon codes of rows and columns, on wide shards.
//!
//! Rate rule, evaluation points and the meaning of the transforms are those of `reed-solomon-simd`, and the tests compare with its
//! own encoder and decoder. What is different: many symbols per call ([`Layout`]), work memory that is reused, and an erasure locator
//! that is computed once for a set of symbols, over only as many points as the code has (the crate's takes all 65536).

use crate::buffer::{Buffer, Pool};
use crate::layout::Layout;
use crate::simd::{Constant, GfEngine, Shards, Span};
use crate::{Axis, Params};
use reed_solomon_simd::engine::{GF_MODULUS, GfElement, tables};
use std::ops::Range;

/// Bytes of work memory of an encoding or decoding. A transform works on half of it at a time; halving it gained nothing on a CPU with a
/// second-level cache of 512 KiB.
const WORK_BYTES: usize = 640 << 10;

/// A code with `k` original symbols out of `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    k: usize,
    n: usize,
    /// The high-rate construction transforms chunks of originals, the low-rate one chunks of recovery symbols.
    high: bool,
    /// Shards of a chunk, a power of two.
    chunk: usize,
}

impl Code {
    /// The code along slivers of `axis`: rows have `S` originals, columns `P`.
    pub(crate) fn along(params: &Params, axis: Axis) -> Self {
        let (k, n) = (usize::from(params.symbols_per_sliver(axis)), usize::from(params.n_shards()));
        let (k2, r2) = (k.next_power_of_two(), (n - k).next_power_of_two());
        let high = k2 > r2 || (k2 == r2 && k <= n - k);
        Self { k, n, high, chunk: if high { r2 } else { k2 } }
    }

    pub(crate) fn originals(&self) -> usize {
        self.k
    }

    pub(crate) fn recoveries(&self) -> usize {
        self.n - self.k
    }

    /// Shards of work memory for [`encode`](Self::encode).
    pub(crate) fn encode_shards(&self) -> usize {
        if self.high { self.k.next_multiple_of(self.chunk) } else { self.recoveries().next_multiple_of(self.chunk) }
    }

    /// Shards of work memory for decoding.
    fn decode_shards(&self) -> usize {
        let last = if self.high { self.k } else { self.recoveries() };
        (self.chunk + last).next_power_of_two()
    }

    /// How many symbols of `size` bytes to take side by side with `shards` shards of work memory, if there are `count`; and into pieces of
    /// how many bytes to cut a symbol that alone is too long.
    fn widths(shards: usize, size: usize, count: usize) -> (usize, usize) {
        let chunks = (WORK_BYTES / shards / 64).max(1);
        let batches = count.max(1).div_ceil(Layout::fitting(size, chunks).max(1));
        // As equal as they can be.
        let width = count.max(1).div_ceil(batches);
        (width, if Layout::new(size, 1).chunks() <= chunks { size } else { chunks * 64 })
    }

    /// [`Self::widths`] for encoding.
    pub(crate) fn encode_widths(&self, size: usize, count: usize) -> (usize, usize) {
        Self::widths(self.encode_shards(), size, count)
    }

    /// Encodes in place: originals in shards `0..k`, afterwards recovery symbol `j` in shard `j`.
    pub(crate) fn encode(&self, engine: &GfEngine, shards: &mut Shards<'_>) {
        self.encode_some(engine, shards, &(0..self.recoveries()));
    }

    /// [`encode`](Self::encode), of which only the recovery symbols `wanted` are valid afterwards.
    pub(crate) fn encode_some(&self, engine: &GfEngine, shards: &mut Shards<'_>, wanted: &Range<usize>) {
        let (chunk, chunks) = (self.chunk, shards.chunks);
        shards.data[self.k * chunks..self.k.next_multiple_of(chunk) * chunks].fill([0; 64]);
        if self.high {
            for at in (0..self.k).step_by(chunk) {
                let used = 0..(self.k - at).min(chunk);
                engine.inverse(shards, Span { at, size: chunk, used, point: at + chunk });
                if at > 0 {
                    let (first, rest) = shards.data.split_at_mut(at * chunks);
                    engine.add(&mut first[..chunk * chunks], &rest[..chunk * chunks]);
                }
            }
            engine.forward(shards, Span { at: 0, size: chunk, used: wanted.clone(), point: 0 });
        } else {
            engine.inverse(shards, Span { at: 0, size: chunk, used: 0..self.k, point: 0 });
            let parts =
                || (0..self.recoveries()).step_by(chunk).filter(|at| wanted.start < at + chunk && *at < wanted.end);
            for at in parts().filter(|at| *at > 0) {
                shards.data.copy_within(..chunk * chunks, at * chunks);
            }
            for at in parts() {
                let used = wanted.start.saturating_sub(at)..(wanted.end - at).min(chunk);
                engine.forward(shards, Span { at, size: chunk, used, point: at + chunk });
            }
        }
    }

    /// All `n` symbols of a sliver from its `k`.
    pub(crate) fn expand(&self, engine: &GfEngine, originals: &[u8], size: usize) -> Buffer {
        let mut symbols = Pool::small().take(self.n * size);
        let (known, unknown) = symbols.split_at_mut(self.k * size);
        known.copy_from_slice(originals);
        let (_, piece) = self.encode_widths(size, 1);
        let mut work = Pool::small().take(self.encode_shards() * Layout::new(piece, 1).chunks() * 64);
        for from in (0..size).step_by(piece) {
            let bytes = from..size.min(from + piece);
            let layout = Layout::new(bytes.len(), 1);
            let chunks = layout.chunks();
            let mut shards = Shards { data: &mut work.chunks_mut()[..self.encode_shards() * chunks], chunks };
            for (shard, symbol) in shards.data.chunks_exact_mut(chunks).zip(originals.chunks_exact(size)) {
                layout.put(shard, 0, &symbol[bytes.clone()]);
            }
            self.encode(engine, &mut shards);
            for (shard, symbol) in shards.data.chunks_exact(chunks).zip(unknown.chunks_exact_mut(size)) {
                layout.get(shard, 0, &mut symbol[bytes.clone()]);
            }
        }
        symbols
    }

    /// Prepares to decode from exactly the symbols `given`: `k` distinct indices below `n`.
    pub(crate) fn decoder(&self, engine: &GfEngine, given: impl IntoIterator<Item = usize>) -> Decoder {
        let size = self.decode_shards();
        // Position in the transform of every symbol that the code has; the positions of none are known zeros, except that after
        // the last recovery symbol of the low-rate construction the polynomial goes on and is not known.
        let position = |symbol: usize| match (self.high, symbol < self.k) {
            (true, true) => self.chunk + symbol,
            (true, false) => symbol - self.k,
            (false, true) => symbol,
            (false, false) => self.chunk + symbol - self.k,
        };
        let mut erased = vec![0u32; size];
        for symbol in 0..self.n {
            erased[position(symbol)] = 1;
        }
        if self.high {
            erased[self.recoveries()..self.chunk].fill(1);
        } else {
            erased[self.chunk + self.recoveries()..].fill(1);
        }
        let mut known = vec![None; self.n];
        let given: Vec<usize> = given.into_iter().collect();
        for symbol in &given {
            erased[position(*symbol)] = 0;
        }
        let logs = locator(erased);
        for symbol in &given {
            known[*symbol] = Some(engine.constant(logs[position(*symbol)]));
        }
        let missing: Vec<Missing> = (0..self.k)
            .filter(|symbol| known[*symbol].is_none())
            .map(|symbol| {
                let at = position(symbol);
                Missing { symbol, at, factor: engine.constant(GF_MODULUS - logs[at]) }
            })
            .collect();
        let positions: Vec<usize> = (0..self.n).map(position).collect();
        let input_end = given.iter().map(|symbol| positions[*symbol] + 1).max().unwrap_or(0);
        let output = missing.first().map_or(0, |first| first.at)..missing.last().map_or(0, |last| last.at + 1);
        Decoder { code: *self, size, positions, known, missing, input_end, output }
    }
}

/// Decoding from one fixed set of symbols.
#[derive(Clone)]
pub(crate) struct Decoder {
    code: Code,
    /// Shards of the transform.
    size: usize,
    /// Position of every symbol in the transform.
    positions: Vec<usize>,
    /// The factor of every symbol that is given.
    known: Vec<Option<Constant>>,
    missing: Vec<Missing>,
    input_end: usize,
    /// Positions of the first to the last missing original.
    output: Range<usize>,
}

/// An original symbol that has to be computed.
#[derive(Clone)]
struct Missing {
    symbol: usize,
    at: usize,
    factor: Constant,
}

impl Decoder {
    /// Shards of work memory.
    pub(crate) fn shards(&self) -> usize {
        self.size
    }

    /// [`Code::widths`] for this decoder.
    pub(crate) fn widths(&self, size: usize, count: usize) -> (usize, usize) {
        Code::widths(self.size, size, count)
    }

    /// The originals that are not given, with the shard in which [`decode`](Self::decode) leaves them.
    pub(crate) fn missing(&self) -> impl ExactSizeIterator<Item = (usize, usize)> {
        self.missing.iter().map(|missing| (missing.symbol, missing.at))
    }

    /// The shard that symbol `symbol` has to be put into.
    pub(crate) fn position(&self, symbol: usize) -> usize {
        self.positions[symbol]
    }

    /// Computes the missing originals in place. The given symbols lie in their [`position`](Self::position); all else is overwritten.
    pub(crate) fn decode(&self, engine: &GfEngine, shards: &mut Shards<'_>) {
        if self.missing.is_empty() {
            return;
        }
        let chunks = shards.chunks;
        let mut empty = vec![true; self.size];
        for (symbol, factor) in self.known.iter().enumerate() {
            if let Some(factor) = factor {
                let at = self.positions[symbol];
                empty[at] = false;
                engine.multiply(&mut shards.data[at * chunks..][..chunks], factor);
            }
        }
        for (shard, empty) in shards.data.chunks_exact_mut(chunks).zip(empty) {
            if empty {
                shard.fill([0; 64]);
            }
        }
        self.derive(engine, shards);
        engine.forward(shards, Span { at: 0, size: self.low(), used: self.output.clone(), point: 0 });
        for missing in &self.missing {
            engine.multiply(&mut shards.data[missing.at * chunks..][..chunks], &missing.factor);
        }
    }

    /// The smallest power of two of shards, from the first on, in which all that is wanted lies.
    fn low(&self) -> usize {
        self.output.end.next_power_of_two()
    }

    /// Values at all points to the first coefficients of the formal derivative of their polynomial, as many as [`low`](Self::low) says.
    ///
    /// The values at the first `2^k` points depend on as many coefficients only, and these of the derivative on coefficients that are
    /// as many from every power of two on. In this basis the transform of twice as many shards leaves the first half as it is and adds
    /// it to the second, so the halves are transformed apart and the rest of the widest layers is never computed. Not even that sum: it
    /// would add the first half's own polynomial, whose value where a symbol is missing is what stood there, zero.
    fn derive(&self, engine: &GfEngine, shards: &mut Shards<'_>) {
        let (low, chunks) = (self.low(), shards.chunks);
        engine.inverse(shards, Span { at: 0, size: low, used: 0..self.input_end.min(low), point: 0 });
        let blocks = || std::iter::successors(Some(low), |at| Some(2 * at)).take_while(|at| *at < self.size);
        for at in blocks().filter(|at| *at < self.input_end) {
            engine.inverse(shards, Span { at, size: at, used: 0..(self.input_end - at).min(at), point: at });
        }
        let (first, rest) = shards.data.split_at_mut(low * chunks);
        for i in 1..low {
            let width = 1 << i.trailing_zeros();
            let (to, from) = first[(i - width) * chunks..(i + width) * chunks].split_at_mut(width * chunks);
            engine.add(to, from);
        }
        for at in blocks().filter(|at| *at < self.input_end) {
            engine.add(first, &rest[(at - low) * chunks..][..low * chunks]);
        }
    }

    /// The `k` originals of one sliver from exactly the given symbols.
    pub(crate) fn recover<'a>(
        &self,
        engine: &GfEngine,
        symbols: impl Iterator<Item = (usize, &'a [u8])> + Clone,
        size: usize,
    ) -> Vec<u8> {
        let mut originals = vec![0; self.code.k * size];
        for (index, symbol) in symbols.clone().filter(|(index, _)| *index < self.code.k) {
            originals[index * size..][..size].copy_from_slice(symbol);
        }
        let (_, piece) = self.widths(size, 1);
        let mut work = Pool::small().take(self.size * Layout::new(piece, 1).chunks() * 64);
        for from in (0..size).step_by(piece) {
            let bytes = from..size.min(from + piece);
            let layout = Layout::new(bytes.len(), 1);
            let chunks = layout.chunks();
            let mut shards = Shards { data: &mut work.chunks_mut()[..self.size * chunks], chunks };
            for (index, symbol) in symbols.clone() {
                layout.put(&mut shards.data[self.positions[index] * chunks..][..chunks], 0, &symbol[bytes.clone()]);
            }
            self.decode(engine, &mut shards);
            for (symbol, at) in self.missing() {
                let shard = &shards.data[at * chunks..][..chunks];
                layout.get(shard, 0, &mut originals[symbol * size..][..size][bytes.clone()]);
            }
        }
        originals
    }
}

/// Logarithms of the erasure locator polynomial at every point: `prod (x - e)` over the erased points `e` other than `x`.
///
/// A sum over all pairs of points of `log(x ^ e)` is a convolution over exclusive or, done by Walsh-Hadamard transforms modulo 65535.
/// The points of a transform of `2^k` shards are closed under exclusive or, so `2^k` of them suffice: what points beyond would
/// contribute is one common factor, which cancels.
fn locator(erased: Vec<u32>) -> Vec<GfElement> {
    let size = erased.len();
    let mut logs: Vec<u32> = tables::get_exp_log().log[..size].iter().map(|log| u32::from(*log)).collect();
    logs[0] = 0;
    walsh_hadamard(&mut logs);
    let mut locator = erased;
    walsh_hadamard(&mut locator);
    // Two transforms multiply by the size; 2^16 is 1 modulo 65535, so 2^(16 - k) is the inverse of 2^k.
    let scale = 1u32 << ((16 - size.trailing_zeros()) % 16);
    for (value, log) in locator.iter_mut().zip(&logs) {
        *value = *value * *log % u32::from(GF_MODULUS) * scale % u32::from(GF_MODULUS);
    }
    walsh_hadamard(&mut locator);
    locator.into_iter().map(|log| GfElement::try_from(log).unwrap_or(GF_MODULUS)).collect()
}

/// In place, modulo 65535; values stay below it.
fn walsh_hadamard(values: &mut [u32]) {
    const MODULUS: u32 = GF_MODULUS as u32;
    let mut half = 1;
    while half < values.len() {
        for group in values.chunks_exact_mut(2 * half) {
            let (low, high) = group.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                let (sum, difference) = (*a + *b, *a + MODULUS - *b);
                *a = if sum >= MODULUS { sum - MODULUS } else { sum };
                *b = if difference >= MODULUS { difference - MODULUS } else { difference };
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Simd;
    use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn cases() -> impl Iterator<Item = (Code, usize, GfEngine)> {
        let levels = [Simd::Portable, Simd::Avx2, Simd::Avx512].into_iter().filter(|level| level.available());
        levels.flat_map(|level| {
            // Every shape, but not all of them with the slowest engine.
            let shards = (4..40)
                .chain([63, 64, 65, 97, 100, 129])
                .filter(move |n| level > Simd::Portable || n % 3 == 1)
                .chain([385, 1000]);
            shards.flat_map(move |n| {
                let params = Params::new(n).unwrap();
                // The largest size is taken in pieces.
                let sizes: &[usize] = match n {
                    13 => &[2, 64, 90_000],
                    ..40 => &[2, 62, 66, 190],
                    _ => &[76],
                };
                [Axis::Primary, Axis::Secondary].into_iter().flat_map(move |axis| {
                    sizes.iter().map(move |size| (Code::along(&params, axis), *size, GfEngine::new(level)))
                })
            })
        })
    }

    #[test]
    fn encoding_equals_the_crate() {
        for (code, size, engine) in cases() {
            let originals = bytes(code.k * size);
            let mut encoder = ReedSolomonEncoder::new(code.k, code.n - code.k, size).unwrap();
            for symbol in originals.chunks_exact(size) {
                encoder.add_original_shard(symbol).unwrap();
            }
            let result = encoder.encode().unwrap();
            let expected: Vec<u8> =
                originals.iter().copied().chain(result.recovery_iter().flatten().copied()).collect();
            assert!(code.expand(&engine, &originals, size)[..] == expected, "{code:?}, {size}");
        }
    }

    #[test]
    fn decoding_equals_the_crate() {
        for (code, size, engine) in cases() {
            let originals = bytes(code.k * size);
            let symbols = code.expand(&engine, &originals, size);
            // Different mixes of originals and recovery symbols, and only the first original missing.
            let mixed = [1usize, 7].map(|stride| {
                let mut indices: Vec<usize> = (0..code.n).collect();
                indices.sort_by_key(|i| (i * stride * 7919 + stride) % 1009);
                indices
            });
            for mut indices in mixed.into_iter().chain([(1..code.n).collect()]) {
                indices.truncate(code.k);
                let given = || indices.iter().map(|i| (*i, &symbols[i * size..][..size]));
                let decoder = code.decoder(&engine, indices.iter().copied());
                assert!(decoder.recover(&engine, given(), size) == originals, "{code:?}, {size}");
                let mut reference = ReedSolomonDecoder::new(code.k, code.n - code.k, size).unwrap();
                for (index, symbol) in given() {
                    if index < code.k {
                        reference.add_original_shard(index, symbol).unwrap();
                    } else {
                        reference.add_recovery_shard(index - code.k, symbol).unwrap();
                    }
                }
                for (index, symbol) in reference.decode().unwrap().restored_original_iter() {
                    assert_eq!(symbol, &originals[index * size..][..size]);
                }
            }
        }
    }
}
