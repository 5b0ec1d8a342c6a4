//! The additive Fourier transforms over GF(2^16) that the Reed-Solomon codes are made of, in place on shards of 64-byte chunks.
//!
//! On x86-64 they are our own: with AVX-512 and GFNI three layers at a time and a multiplication in two affine instructions, with
//! AVX2 two layers at a time and a multiplication in eight shuffles. A transform goes depth first, so that the larger part of its layers
//! works on what lies in the first-level cache. Elsewhere the engines of `reed-solomon-simd` do the work through its `Engine` trait. Field,
//! evaluation points and tables are that crate's in every case, which is what makes the results the same.

use super::Simd;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512, Matrix, Nibbles};
#[cfg(target_arch = "x86_64")]
use reed_solomon_simd::engine::tables;
use reed_solomon_simd::engine::{Engine, GF_MODULUS, GfElement, NoSimd, ShardsRefMut, utils};
use std::ops::Range;
#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

/// Shards in a row: `shards` runs of `chunks` chunks of 64 bytes.
pub(crate) struct Shards<'a> {
    pub(crate) data: &'a mut [[u8; 64]],
    /// Chunks of one shard.
    pub(crate) chunks: usize,
}

impl Shards<'_> {
    fn foreign(&mut self) -> ShardsRefMut<'_> {
        ShardsRefMut::new(self.data.len() / self.chunks, self.chunks, self.data)
    }
}

/// Which part of the shards a transform works on.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// First shard.
    pub(crate) at: usize,
    /// Number of shards, a power of two.
    pub(crate) size: usize,
    /// Which of them matter. Input of an inverse transform from its end on is zero; output of a transform outside of it may be
    /// anything.
    pub(crate) used: Range<usize>,
    /// Evaluation point of the first shard.
    pub(crate) point: usize,
}

/// An engine for the transforms. Cheap to make; tables are built once per process.
#[derive(Clone)]
pub(crate) enum GfEngine {
    #[cfg(target_arch = "x86_64")]
    Gfni(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Ssse3(reed_solomon_simd::engine::Ssse3),
    #[cfg(target_arch = "aarch64")]
    Neon(reed_solomon_simd::engine::Neon),
    Portable(NoSimd),
}

impl GfEngine {
    /// The engine of a level.
    pub(crate) fn new(simd: Simd) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let (Simd::Avx512, Some(token)) = (simd, Avx512::detect()) {
                return Self::Gfni(token);
            }
            let avx2 = Avx2::detect();
            if let (Simd::Avx2 | Simd::Avx512, Some(token)) = (simd, avx2) {
                return Self::Avx2(token);
            }
            if avx2.is_none() && is_x86_feature_detected!("ssse3") {
                return Self::Ssse3(reed_solomon_simd::engine::Ssse3::new());
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Self::Neon(reed_solomon_simd::engine::Neon::new());
        }
        let _ = simd;
        Self::Portable(NoSimd::new())
    }

    /// Values at `span.size` points to the coefficients of their polynomial.
    pub(crate) fn inverse(&self, shards: &mut Shards<'_>, span: Span) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni(token) => transform(*token, matrices(&span), true, shards, span),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => transform(*token, nibbles(&span), true, shards, span),
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3(engine) => foreign_inverse(engine, shards, span),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(engine) => foreign_inverse(engine, shards, span),
            Self::Portable(engine) => foreign_inverse(engine, shards, span),
        }
    }

    /// Coefficients to values at `span.size` points.
    pub(crate) fn forward(&self, shards: &mut Shards<'_>, span: Span) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni(token) => transform(*token, matrices(&span), false, shards, span),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => transform(*token, nibbles(&span), false, shards, span),
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3(engine) => foreign_forward(engine, shards, span),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(engine) => foreign_forward(engine, shards, span),
            Self::Portable(engine) => foreign_forward(engine, shards, span),
        }
    }

    /// The constant whose logarithm is `log` modulo 65535, ready for [`multiply`](Self::multiply).
    pub(crate) fn constant(&self, log: GfElement) -> Constant {
        let log = log % GF_MODULUS;
        Constant {
            log,
            #[cfg(target_arch = "x86_64")]
            matrix: if matches!(self, Self::Gfni(_)) { matrix(log) } else { Matrix::default() },
            #[cfg(target_arch = "x86_64")]
            nibbles: if matches!(self, Self::Avx2(_)) { nibble_products(log) } else { Nibbles::default() },
        }
    }

    /// Multiplies every element by a constant that this engine made.
    pub(crate) fn multiply(&self, data: &mut [[u8; 64]], by: &Constant) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni(token) => token.multiply(data, &by.matrix),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => token.multiply(data, &by.nibbles),
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3(engine) => engine.mul(data, by.log),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(engine) => engine.mul(data, by.log),
            Self::Portable(engine) => engine.mul(data, by.log),
        }
    }

    /// Adds (exclusive or) `from` to `to`; as much as the shorter one has.
    pub(crate) fn add(&self, to: &mut [[u8; 64]], from: &[[u8; 64]]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni(token) => token.add_chunks(to, from),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => token.add_chunks(to, from),
            _ => {
                let length = to.len().min(from.len());
                utils::xor(&mut to[..length], &from[..length]);
            }
        }
    }
}

/// A constant of the field as an engine multiplies by it.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    log: GfElement,
    #[cfg(target_arch = "x86_64")]
    matrix: Matrix,
    #[cfg(target_arch = "x86_64")]
    nibbles: Nibbles,
}

fn foreign_inverse(engine: &impl Engine, shards: &mut Shards<'_>, span: Span) {
    engine.ifft(&mut shards.foreign(), span.at, span.size, span.used.end, span.point);
}

fn foreign_forward(engine: &impl Engine, shards: &mut Shards<'_>, span: Span) {
    engine.fft(&mut shards.foreign(), span.at, span.size, span.used.end, span.point);
}

/// The products of a constant, given by its logarithm, with every power of the basis; 65535 is the logarithm of zero here, as in the
/// table of twiddle factors.
#[cfg(target_arch = "x86_64")]
fn products(log: GfElement) -> [GfElement; 16] {
    if log == GF_MODULUS {
        return [0; 16];
    }
    let tables = tables::get_exp_log();
    std::array::from_fn(|bit| tables::mul(1 << bit, log, &tables.exp, &tables.log))
}

#[cfg(target_arch = "x86_64")]
fn matrix(log: GfElement) -> Matrix {
    let mut bits = [[[0u8; 8]; 2]; 2];
    for (from, product) in products(log).into_iter().enumerate() {
        for to in 0..16usize {
            if product >> to & 1 == 1 {
                // The instruction takes the row of output bit i in byte 7 - i.
                bits[from / 8][to / 8][7 - to % 8] |= 1 << (from % 8);
            }
        }
    }
    Matrix([bits[0][0], bits[0][1], bits[1][0], bits[1][1]].map(u64::from_le_bytes))
}

#[cfg(target_arch = "x86_64")]
fn nibble_products(log: GfElement) -> Nibbles {
    let mut nibbles = Nibbles::default();
    for (tables, basis) in nibbles.0.as_chunks_mut::<2>().0.iter_mut().zip(products(log).as_chunks::<4>().0) {
        let mut sums = [0u16; 16];
        for value in 1..16usize {
            sums[value] = sums[value & (value - 1)] ^ basis[value.trailing_zeros() as usize];
            [tables[0][value], tables[1][value]] = sums[value].to_le_bytes();
        }
    }
    nibbles
}

/// How many twiddle factors all transforms of committees of up to 1024 shards need. Tables of as many (128 KiB of matrices, 512 KiB of
/// half-byte products) leave those for every committee (2 and 8 MiB) unbuilt on all networks there are.
#[cfg(target_arch = "x86_64")]
const FEW: usize = 4095;

/// The twiddle factors of a transform as matrices.
#[cfg(target_arch = "x86_64")]
fn matrices(span: &Span) -> &'static [Matrix] {
    static SOME: LazyLock<Vec<Matrix>> =
        LazyLock::new(|| tables::get_skew()[..FEW].iter().map(|log| matrix(*log)).collect());
    static ALL: LazyLock<Vec<Matrix>> = LazyLock::new(|| tables::get_skew().iter().map(|log| matrix(*log)).collect());
    if span.point + span.size <= FEW { &SOME } else { &ALL }
}

/// The twiddle factors of a transform as products of half bytes.
#[cfg(target_arch = "x86_64")]
fn nibbles(span: &Span) -> &'static [Nibbles] {
    static SOME: LazyLock<Vec<Nibbles>> =
        LazyLock::new(|| tables::get_skew()[..FEW].iter().map(|log| nibble_products(*log)).collect());
    static ALL: LazyLock<Vec<Nibbles>> =
        LazyLock::new(|| tables::get_skew().iter().map(|log| nibble_products(*log)).collect());
    if span.point + span.size <= FEW { &SOME } else { &ALL }
}

/// The inner loops of the transforms with the instructions of a level.
#[cfg(target_arch = "x86_64")]
pub(super) trait Butterflies: Copy {
    /// A constant of the field as the level multiplies by it.
    type Factor: 'static;
    /// How many runs of shards are taken at once: 4 or 8. Their logarithm is the number of layers done in one pass over memory.
    const RADIX: usize;

    /// The layers of butterflies over `radix` (at most [`RADIX`](Self::RADIX)) runs that follow each other in `data`. `factors` has that of the widest layer first, then
    /// those of the next, `radix - 1` in all. `plain`: the first factor of every layer is zero.
    fn butterflies(self, radix: usize, inverse: bool, plain: bool, data: &mut [[u8; 64]], factors: &[&Self::Factor; 7]);
}

#[cfg(target_arch = "x86_64")]
fn transform<B: Butterflies>(token: B, table: &[B::Factor], inverse: bool, shards: &mut Shards<'_>, span: Span) {
    let chunks = shards.chunks;
    let data = &mut shards.data[span.at * chunks..(span.at + span.size) * chunks];
    Transform { token, table, chunks }.run(inverse, data, span.size, span.point, span.used);
}

/// A transform under way.
#[cfg(target_arch = "x86_64")]
struct Transform<'a, B: Butterflies> {
    token: B,
    table: &'a [B::Factor],
    /// Chunks of one shard.
    chunks: usize,
}

#[cfg(target_arch = "x86_64")]
impl<B: Butterflies> Transform<'_, B> {
    /// Depth first over `size` shards, of which those in `used` matter (see [`Span`]).
    fn run(&self, inverse: bool, data: &mut [[u8; 64]], size: usize, point: usize, used: Range<usize>) {
        if size < 2 {
            return;
        }
        // What does not divide by the radix is done where the runs are longest.
        let radix = match size.trailing_zeros() % B::RADIX.trailing_zeros() {
            0 => B::RADIX,
            rest => 1 << rest,
        };
        if !inverse {
            self.pass(inverse, data, radix, size, point);
        }
        let part = size / radix;
        for (i, data) in data.chunks_exact_mut(part * self.chunks).enumerate() {
            let start = i * part;
            let used = used.start.saturating_sub(start)..used.end.saturating_sub(start).min(part);
            if used.start < used.end {
                self.run(inverse, data, part, point + start, used);
            }
        }
        if inverse {
            self.pass(inverse, data, radix, size, point);
        }
    }

    /// The widest layers.
    fn pass(&self, inverse: bool, data: &mut [[u8; 64]], radix: usize, size: usize, point: usize) {
        // The layer of distance d in the group that starts at point p has the factor at index p + d - 1.
        let mut factors = [&self.table[point]; 7];
        let (mut next, mut width) = (0, size);
        while width > size / radix {
            let half = width / 2;
            for group in (0..size).step_by(width) {
                factors[next] = &self.table[point + group + half - 1];
                next += 1;
            }
            width = half;
        }
        self.token.butterflies(radix, inverse, point == 0, data, &factors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines() -> Vec<(Simd, GfEngine)> {
        let levels = [Simd::Portable, Simd::Avx2, Simd::Avx512].into_iter().filter(|level| level.available());
        levels.map(|level| (level, GfEngine::new(level))).collect()
    }

    fn shards(count: usize, chunks: usize) -> Vec<[u8; 64]> {
        let mut state = 7u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..count * chunks).map(|_| std::array::from_fn(|_| byte())).collect()
    }

    #[test]
    fn engines_agree() {
        for layers in 0..=11 {
            let size = 1usize << layers;
            for (point, at, chunks) in [(0, 0, 1), (size, 0, 3), (2 * size, size, 2), (0, size, 1), (size * 4, 0, 1)] {
                for used in [0..1, 0..size / 3 + 1, 0..size, size / 2..size / 2 + 1, size / 5..size.div_ceil(2)] {
                    let span = Span { at, size, used, point };
                    let mut start = shards(2 * size, chunks);
                    let mut results = engines().into_iter().map(|(level, engine)| {
                        let mut forward = start.clone();
                        engine.forward(&mut Shards { data: &mut forward, chunks }, span.clone());
                        let mut inverse = start.clone();
                        inverse[(at + span.used.end) * chunks..(at + size) * chunks].fill([0; 64]);
                        engine.inverse(
                            &mut Shards { data: &mut inverse, chunks },
                            Span { used: 0..span.used.end, ..span.clone() },
                        );
                        (
                            level,
                            forward[(at + span.used.start) * chunks..(at + span.used.end) * chunks].to_vec(),
                            inverse,
                        )
                    });
                    let (_, forward, inverse) = results.next().unwrap();
                    for (level, f, i) in results {
                        assert!(f == forward, "{level:?} forward {span:?} of {chunks} chunks");
                        assert!(i == inverse, "{level:?} inverse {span:?} of {chunks} chunks");
                    }
                    start.clear();
                }
            }
        }
    }

    #[test]
    fn products_agree() {
        let start = shards(1, 5);
        for log in [0u16, 1, 77, 30_000, 65_534] {
            let mut results = engines().into_iter().map(|(level, engine)| {
                let mut data = start.clone();
                engine.multiply(&mut data, &engine.constant(log));
                (level, data)
            });
            let (_, expected) = results.next().unwrap();
            for (level, product) in results {
                assert!(product == expected, "{level:?} log {log}");
            }
        }
    }
}
