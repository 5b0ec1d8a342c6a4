//! The additive Fourier transforms over GF(2^16) that the Reed-Solomon codes are made of, in place on shards of 64-byte chunks.
//!
//! With AVX-512 and GFNI they are our own: three layers at a time, one multiplication in two affine instructions. Otherwise the
//! engines of `reed-solomon-simd` do the work through its `Engine` trait. Field, evaluation points and tables are that crate's
//! in every case, which is what makes the results the same.

use super::Simd;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx512, Matrix};
#[cfg(target_arch = "x86_64")]
use reed_solomon_simd::engine::tables;
use reed_solomon_simd::engine::{Engine, GF_MODULUS, GfElement, NoSimd, ShardsRefMut, utils};
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// First shard.
    pub(crate) at: usize,
    /// Number of shards, a power of two.
    pub(crate) size: usize,
    /// How many of them matter: of an inverse transform the input, of a transform the output is only these first ones.
    pub(crate) truncated: usize,
    /// Evaluation point of the first shard.
    pub(crate) point: usize,
}

/// An engine for the transforms. Cheap to make; tables are built once per process.
#[derive(Clone)]
pub(crate) enum GfEngine {
    #[cfg(target_arch = "x86_64")]
    Gfni(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(reed_solomon_simd::engine::Avx2),
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
            let avx2 = is_x86_feature_detected!("avx2");
            if simd >= Simd::Avx2 && avx2 {
                return Self::Avx2(reed_solomon_simd::engine::Avx2::new());
            }
            if !avx2 && is_x86_feature_detected!("ssse3") {
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
            Self::Gfni(token) => gfni_transform(*token, true, shards, span),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(engine) => foreign_inverse(engine, shards, span),
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
            Self::Gfni(token) => gfni_transform(*token, false, shards, span),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(engine) => foreign_forward(engine, shards, span),
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
        }
    }

    /// Multiplies every element by a constant that this engine made.
    pub(crate) fn multiply(&self, data: &mut [[u8; 64]], by: &Constant) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni(token) => token.multiply(data, &by.matrix),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(engine) => engine.mul(data, by.log),
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
}

fn foreign_inverse(engine: &impl Engine, shards: &mut Shards<'_>, span: Span) {
    engine.ifft(&mut shards.foreign(), span.at, span.size, span.truncated, span.point);
}

fn foreign_forward(engine: &impl Engine, shards: &mut Shards<'_>, span: Span) {
    engine.fft(&mut shards.foreign(), span.at, span.size, span.truncated, span.point);
}

/// The matrix of the constant whose logarithm is `log`; 65535 is the logarithm of zero here, as in the table of twiddle factors.
#[cfg(target_arch = "x86_64")]
fn matrix(log: GfElement) -> Matrix {
    if log == GF_MODULUS {
        return Matrix::default();
    }
    let tables = tables::get_exp_log();
    let mut bits = [[[0u8; 8]; 2]; 2];
    for from in 0..16usize {
        let product = tables::mul(1 << from, log, &tables.exp, &tables.log);
        for to in 0..16usize {
            if product >> to & 1 == 1 {
                // The instruction takes the row of output bit i in byte 7 - i.
                bits[from / 8][to / 8][7 - to % 8] |= 1 << (from % 8);
            }
        }
    }
    Matrix([bits[0][0], bits[0][1], bits[1][0], bits[1][1]].map(u64::from_le_bytes))
}

/// The matrices of the first twiddle factors: enough for all transforms of committees of up to 1024 shards (128 KiB), which leaves
/// the table for every committee (2 MiB) unbuilt on all networks there are.
#[cfg(target_arch = "x86_64")]
static FEW: LazyLock<Vec<Matrix>> =
    LazyLock::new(|| tables::get_skew()[..4095].iter().map(|log| matrix(*log)).collect());
#[cfg(target_arch = "x86_64")]
static ALL: LazyLock<Vec<Matrix>> = LazyLock::new(|| tables::get_skew().iter().map(|log| matrix(*log)).collect());

#[cfg(target_arch = "x86_64")]
fn gfni_transform(token: Avx512, inverse: bool, shards: &mut Shards<'_>, span: Span) {
    let table: &[Matrix] = if span.point + span.size <= 4095 { &FEW } else { &ALL };
    let chunks = shards.chunks;
    let data = &mut shards.data[span.at * chunks..(span.at + span.size) * chunks];
    // Layers in threes; what does not divide by three is done where the runs are longest.
    let layers = span.size.trailing_zeros();
    let first = match layers % 3 {
        0 => None,
        rest => Some(1usize << rest),
    };
    let pass = |data: &mut [[u8; 64]], radix: usize, group: usize| {
        let distance = group / radix;
        for (r, data) in (0..span.truncated).step_by(group).zip(data.chunks_exact_mut(group * chunks)) {
            // The layer of distance d in the group that starts at g has the factor at index g + d - 1.
            let mut matrices = [Matrix::default(); 7];
            let mut next = 0;
            let mut width = group;
            while width > distance {
                let half = width / 2;
                for g in (0..group).step_by(width) {
                    matrices[next] = table[span.point + r + g + half - 1];
                    next += 1;
                }
                width = half;
            }
            token.butterflies(radix, inverse, span.point + r == 0, data, &matrices);
        }
    };
    if inverse {
        let mut group = 8;
        while group <= span.size {
            pass(data, 8, group);
            group *= 8;
        }
        if let Some(radix) = first {
            pass(data, radix, span.size);
        }
    } else {
        let mut group = span.size;
        if let Some(radix) = first {
            pass(data, radix, group);
            group /= radix;
        }
        while group >= 8 {
            pass(data, 8, group);
            group /= 8;
        }
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
                for truncated in [1, size / 3 + 1, size] {
                    let span = Span { at, size, truncated, point };
                    let mut start = shards(2 * size, chunks);
                    let mut results = engines().into_iter().map(|(level, engine)| {
                        let mut forward = start.clone();
                        engine.forward(&mut Shards { data: &mut forward, chunks }, span);
                        let mut inverse = start.clone();
                        inverse[(at + truncated) * chunks..(at + size) * chunks].fill([0; 64]);
                        engine.inverse(&mut Shards { data: &mut inverse, chunks }, span);
                        (level, forward[at * chunks..(at + truncated) * chunks].to_vec(), inverse)
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
