//! AVX-512 with GFNI: eight lanes in one vector, and butterflies whose multiplication is two affine instructions.

use super::Avx512;
use crate::simd::engine::Butterflies;
use crate::simd::{
    blake,
    lanes::{Arithmetic, Lanes},
};
use core::arch::x86_64::*;

impl Arithmetic for Avx512 {
    type V = __m512i;
    const UNROLL: bool = true;

    #[inline(always)]
    fn splat(self, value: u64) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_set1_epi64(value.cast_signed()) }
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_add_epi64(a, b) }
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_xor_si512(a, b) }
    }

    #[inline(always)]
    fn ror<const BITS: i32>(self, a: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_ror_epi64::<BITS>(a) }
    }
}

impl Lanes for Avx512 {
    type V = __m512i;
    const ZERO_WORDS: bool = true;

    #[inline(always)]
    fn set(self, value: u64) -> __m512i {
        self.splat(value)
    }

    #[inline(always)]
    fn compress<const W: usize>(self, h: [__m512i; 8], m: &[__m512i; 16], total: u64, last: bool) -> [__m512i; 8] {
        blake::compress_in::<Self, W>(self, h, m, total, last)
    }

    #[inline(always)]
    fn load(self, from: &[u64; 8]) -> __m512i {
        // SAFETY: `self` proves AVX-512; eight words are one unaligned vector.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, value: __m512i, to: &mut [u64; 8]) {
        // SAFETY: `self` proves AVX-512; eight words are one unaligned vector.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn shl8(self, a: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_slli_epi64::<8>(a) }
    }

    #[inline(always)]
    fn shr56(self, a: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_srli_epi64::<56>(a) }
    }

    #[inline(always)]
    fn even_odd(self, a: __m512i, b: __m512i) -> (__m512i, __m512i) {
        // SAFETY: `self` proves AVX-512.
        unsafe {
            let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
            let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
            (_mm512_permutex2var_epi64(a, even, b), _mm512_permutex2var_epi64(a, odd, b))
        }
    }

    #[inline(always)]
    fn message(self, data: &[&[u8]; 8], block: usize, words: usize) -> [__m512i; 16] {
        let length = data[0].len();
        debug_assert!(block * 128 <= length);
        // Message byte i is data byte i - 1. Bits select the bytes of this block that exist, without the prefix byte.
        let have = (length + 1 - block * 128).min(128);
        let select = u128::MAX >> (128 - have) & if block == 0 { !1 } else { u128::MAX };
        let mut pointers = [core::ptr::null::<i8>(); 8];
        for (pointer, lane) in pointers.iter_mut().zip(data) {
            // A shorter lane would break the proofs below.
            assert!(lane.len() == length);
            *pointer = lane.as_ptr().wrapping_add(block * 128).wrapping_sub(1).cast();
        }
        let zero = self.splat(0);
        if words == 1 {
            let mask = (select & 0xff) as __mmask16;
            // SAFETY: `self` proves AVX-512 BW and VL. A masked load touches only selected bytes, and those lie in the lane: byte
            // b of the load is data byte block * 128 + b - 1, selected only if 0 < block * 128 + b <= length.
            let first = unsafe {
                let pairs = [
                    _mm_unpacklo_epi64(
                        _mm_maskz_loadu_epi8(mask, pointers[0]),
                        _mm_maskz_loadu_epi8(mask, pointers[1]),
                    ),
                    _mm_unpacklo_epi64(
                        _mm_maskz_loadu_epi8(mask, pointers[2]),
                        _mm_maskz_loadu_epi8(mask, pointers[3]),
                    ),
                    _mm_unpacklo_epi64(
                        _mm_maskz_loadu_epi8(mask, pointers[4]),
                        _mm_maskz_loadu_epi8(mask, pointers[5]),
                    ),
                    _mm_unpacklo_epi64(
                        _mm_maskz_loadu_epi8(mask, pointers[6]),
                        _mm_maskz_loadu_epi8(mask, pointers[7]),
                    ),
                ];
                let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(pairs[0]), pairs[1]);
                let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(pairs[2]), pairs[3]);
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
            };
            let mut message = [zero; 16];
            message[0] = first;
            return message;
        }
        let (low, high) = (select as u64, (select >> 64) as u64);
        let (mut rows, mut message) = ([zero; 8], [zero; 16]);
        for (row, lane) in rows.iter_mut().zip(pointers) {
            // SAFETY: as above.
            *row = unsafe { _mm512_maskz_loadu_epi8(low, lane) };
        }
        let columns = self.transpose(rows);
        message[..8].copy_from_slice(&columns);
        if have > 64 {
            for (row, lane) in rows.iter_mut().zip(pointers) {
                // SAFETY: as above; byte b of this load is data byte block * 128 + 64 + b - 1, selected by bit 64 + b.
                *row = unsafe { _mm512_maskz_loadu_epi8(high, lane.wrapping_add(64)) };
            }
            let columns = self.transpose(rows);
            message[8..].copy_from_slice(&columns);
        }
        message
    }
}

impl Avx512 {
    /// Rows of eight words to columns.
    #[inline(always)]
    fn transpose(self, r: [__m512i; 8]) -> [__m512i; 8] {
        // SAFETY: `self` proves AVX-512.
        unsafe {
            // Pairs of rows: words 0, 2, 4, 6 in `even`, 1, 3, 5, 7 in `odd`.
            let even = [
                _mm512_unpacklo_epi64(r[0], r[1]),
                _mm512_unpacklo_epi64(r[2], r[3]),
                _mm512_unpacklo_epi64(r[4], r[5]),
                _mm512_unpacklo_epi64(r[6], r[7]),
            ];
            let odd = [
                _mm512_unpackhi_epi64(r[0], r[1]),
                _mm512_unpackhi_epi64(r[2], r[3]),
                _mm512_unpackhi_epi64(r[4], r[5]),
                _mm512_unpackhi_epi64(r[6], r[7]),
            ];
            let (even, odd) = (self.gather(even), self.gather(odd));
            [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
        }
    }

    /// Four vectors of four pairs each to their first, second, third and fourth pairs.
    #[inline(always)]
    fn gather(self, t: [__m512i; 4]) -> [__m512i; 4] {
        // SAFETY: `self` proves AVX-512.
        unsafe {
            let (a, b) = (_mm512_shuffle_i64x2::<0x88>(t[0], t[1]), _mm512_shuffle_i64x2::<0xdd>(t[0], t[1]));
            let (c, d) = (_mm512_shuffle_i64x2::<0x88>(t[2], t[3]), _mm512_shuffle_i64x2::<0xdd>(t[2], t[3]));
            [
                _mm512_shuffle_i64x2::<0x88>(a, c),
                _mm512_shuffle_i64x2::<0x88>(b, d),
                _mm512_shuffle_i64x2::<0xdd>(a, c),
                _mm512_shuffle_i64x2::<0xdd>(b, d),
            ]
        }
    }
}

/// Multiplication by one constant of GF(2^16) on elements split into low and high bytes: four 8x8 bit matrices, from low to
/// low, low to high, high to low and high to high bytes, as `GF2P8AFFINEQB` takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(32))]
pub(crate) struct Matrix(pub(in crate::simd) [u64; 4]);

/// A [`Matrix`] spread for chunks of 32 low and 32 high bytes.
#[derive(Clone, Copy)]
struct Factor {
    /// Low to low in the low half, high to high in the high half.
    straight: __m512i,
    /// High to low in the low half, low to high in the high half, for swapped input.
    crossed: __m512i,
}

/// The operations on chunks, compiled where the features are enabled.
impl Avx512 {
    #[inline(always)]
    fn factor(self, matrix: &Matrix) -> Factor {
        // SAFETY: `self` proves AVX-512; a matrix is 32 bytes, one unaligned vector.
        unsafe {
            let four = _mm512_castsi256_si512(_mm256_loadu_si256(matrix.0.as_ptr().cast()));
            Factor {
                straight: _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 0, 0, 3, 3, 3, 3), four),
                crossed: _mm512_permutexvar_epi64(_mm512_setr_epi64(2, 2, 2, 2, 1, 1, 1, 1), four),
            }
        }
    }

    /// `x + y * factor`.
    #[inline(always)]
    fn multiply_add(self, x: __m512i, y: __m512i, factor: Factor) -> __m512i {
        // SAFETY: `self` proves AVX-512 and GFNI.
        unsafe {
            let swapped = _mm512_shuffle_i64x2::<0b01_00_11_10>(y, y);
            let straight = _mm512_gf2p8affine_epi64_epi8::<0>(y, factor.straight);
            let crossed = _mm512_gf2p8affine_epi64_epi8::<0>(swapped, factor.crossed);
            // Exclusive or of all three.
            _mm512_ternarylogic_epi64::<0x96>(x, straight, crossed)
        }
    }

    /// One layer of butterflies over `2 * half` values: `x += y * factor; y += x`, or the inverse. Factor 0 of a `PLAIN` transform is
    /// zero, and then nothing is multiplied.
    #[inline(always)]
    fn layer<const RADIX: usize, const INVERSE: bool, const PLAIN: bool>(
        self,
        v: &mut [__m512i; RADIX],
        half: usize,
        factors: &[Factor],
    ) {
        for (group, factor) in factors.iter().enumerate().take(RADIX / (2 * half)) {
            for i in 0..half {
                let (x, y) = (group * 2 * half + i, group * 2 * half + half + i);
                if INVERSE {
                    v[y] = self.xor(v[y], v[x]);
                }
                if !(PLAIN && group == 0) {
                    v[x] = self.multiply_add(v[x], v[y], *factor);
                }
                if !INVERSE {
                    v[y] = self.xor(v[y], v[x]);
                }
            }
        }
    }

    /// `log2(RADIX)` layers of butterflies over `RADIX` runs of chunks that follow each other in `data`.
    /// `factors` has those of the widest layer first, then of the next, up to seven in all.
    #[inline(always)]
    fn butterflies_in<const RADIX: usize, const INVERSE: bool, const PLAIN: bool>(
        self,
        data: &mut [[u8; 64]],
        matrices: &[&Matrix; 7],
    ) {
        let run = data.len() / RADIX;
        let mut factors = [self.factor(matrices[0]); 7];
        for i in 1..RADIX - 1 {
            factors[i] = self.factor(matrices[i]);
        }
        let base: *mut __m512i = data.as_mut_ptr().cast();
        for i in 0..run {
            let mut v = [self.splat(0); RADIX];
            for (k, value) in v.iter_mut().enumerate() {
                // SAFETY: `self` proves AVX-512; k < RADIX and i < run, so k * run + i < RADIX * run <= data.len() chunks of one
                // unaligned vector each, and `data` is borrowed mutably.
                *value = unsafe { _mm512_loadu_si512(base.add(k * run + i).cast()) };
            }
            if INVERSE {
                let mut half = 1;
                while half < RADIX {
                    let first = RADIX / (2 * half) - 1;
                    self.layer::<RADIX, INVERSE, PLAIN>(&mut v, half, &factors[first..]);
                    half *= 2;
                }
            } else {
                let mut half = RADIX / 2;
                while half > 0 {
                    let first = RADIX / (2 * half) - 1;
                    self.layer::<RADIX, INVERSE, PLAIN>(&mut v, half, &factors[first..]);
                    half /= 2;
                }
            }
            for (k, value) in v.iter().enumerate() {
                // SAFETY: as for the loads.
                unsafe { _mm512_storeu_si512(base.add(k * run + i).cast(), *value) };
            }
        }
    }

    /// `to += from`, as much as the shorter slice has.
    pub(in crate::simd) fn add_chunks(self, to: &mut [[u8; 64]], from: &[[u8; 64]]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,gfni")]
        fn inner(to: &mut [[u8; 64]], from: &[[u8; 64]]) {
            for (to, from) in to.iter_mut().zip(from) {
                // SAFETY: the token proves AVX-512; a chunk is one unaligned vector.
                unsafe {
                    let sum = _mm512_xor_si512(
                        _mm512_loadu_si512(to.as_ptr().cast()),
                        _mm512_loadu_si512(from.as_ptr().cast()),
                    );
                    _mm512_storeu_si512(to.as_mut_ptr().cast(), sum);
                }
            }
        }
        // SAFETY: `self` proves that the CPU has the features.
        unsafe { inner(to, from) }
    }

    /// Multiplies all of `data` by a constant.
    pub(in crate::simd) fn multiply(self, data: &mut [[u8; 64]], matrix: &Matrix) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,gfni")]
        fn inner(token: Avx512, data: &mut [[u8; 64]], matrix: &Matrix) {
            let factor = token.factor(matrix);
            for chunk in data {
                // SAFETY: the token proves AVX-512; a chunk is one unaligned vector.
                let value = unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) };
                let product = token.multiply_add(token.splat(0), value, factor);
                // SAFETY: as above.
                unsafe { _mm512_storeu_si512(chunk.as_mut_ptr().cast(), product) };
            }
        }
        // SAFETY: `self` proves that the CPU has the features.
        unsafe { inner(self, data, matrix) }
    }
}

impl Butterflies for Avx512 {
    type Factor = Matrix;
    const RADIX: usize = 8;

    fn butterflies(self, radix: usize, inverse: bool, plain: bool, data: &mut [[u8; 64]], matrices: &[&Matrix; 7]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,gfni")]
        fn inner<const RADIX: usize, const INVERSE: bool, const PLAIN: bool>(
            token: Avx512,
            data: &mut [[u8; 64]],
            matrices: &[&Matrix; 7],
        ) {
            token.butterflies_in::<RADIX, INVERSE, PLAIN>(data, matrices);
        }
        // SAFETY: `self` proves that the CPU has the features.
        unsafe {
            match (radix, inverse, plain) {
                (2, false, false) => inner::<2, false, false>(self, data, matrices),
                (2, false, true) => inner::<2, false, true>(self, data, matrices),
                (2, true, false) => inner::<2, true, false>(self, data, matrices),
                (2, true, true) => inner::<2, true, true>(self, data, matrices),
                (4, false, false) => inner::<4, false, false>(self, data, matrices),
                (4, false, true) => inner::<4, false, true>(self, data, matrices),
                (4, true, false) => inner::<4, true, false>(self, data, matrices),
                (4, true, true) => inner::<4, true, true>(self, data, matrices),
                (_, false, false) => inner::<8, false, false>(self, data, matrices),
                (_, false, true) => inner::<8, false, true>(self, data, matrices),
                (_, true, false) => inner::<8, true, false>(self, data, matrices),
                (_, true, true) => inner::<8, true, true>(self, data, matrices),
            }
        }
    }
}
