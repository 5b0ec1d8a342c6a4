//! AVX2: eight lanes as two vectors, and butterflies whose multiplication is eight table look-ups by shuffles.

#![allow(
    clippy::needless_range_loop,
    reason = "an iterator's adaptor that is not inlined would be compiled without the instructions"
)]

use super::Avx2;
use crate::layout::copy_short;
use crate::simd::blake;
use crate::simd::engine::Butterflies;
use crate::simd::lanes::{Arithmetic, Lanes};
use core::arch::x86_64::*;

impl Avx2 {
    /// The even and the odd ones of eight lanes.
    #[inline(always)]
    fn split(self, v: [__m256i; 2]) -> (__m256i, __m256i) {
        // SAFETY: `self` proves AVX2.
        unsafe {
            (
                _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_unpacklo_epi64(v[0], v[1])),
                _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_unpackhi_epi64(v[0], v[1])),
            )
        }
    }
}

impl Lanes for Avx2 {
    type V = [__m256i; 2];
    const ZERO_WORDS: bool = true;

    #[inline(always)]
    fn set(self, value: u64) -> Self::V {
        [Half(self).splat(value); 2]
    }

    #[inline(always)]
    fn load(self, from: &[u64; 8]) -> Self::V {
        let from: *const __m256i = from.as_ptr().cast();
        // SAFETY: `self` proves AVX2; eight words are two unaligned vectors.
        unsafe { [_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))] }
    }

    #[inline(always)]
    fn store(self, value: Self::V, to: &mut [u64; 8]) {
        let to: *mut __m256i = to.as_mut_ptr().cast();
        // SAFETY: `self` proves AVX2; eight words are two unaligned vectors.
        unsafe {
            _mm256_storeu_si256(to, value[0]);
            _mm256_storeu_si256(to.add(1), value[1]);
        }
    }

    #[inline(always)]
    fn or(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
    }

    #[inline(always)]
    fn shl8(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_slli_epi64::<8>(a[0]), _mm256_slli_epi64::<8>(a[1])] }
    }

    #[inline(always)]
    fn shr56(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_srli_epi64::<56>(a[0]), _mm256_srli_epi64::<56>(a[1])] }
    }

    #[inline(always)]
    fn even_odd(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        let ((even0, odd0), (even1, odd1)) = (self.split(a), self.split(b));
        ([even0, even1], [odd0, odd1])
    }

    #[inline(always)]
    fn compress<const W: usize>(self, h: [Self::V; 8], m: &[Self::V; 16], total: u64, last: bool) -> [Self::V; 8] {
        #[target_feature(enable = "avx2")]
        #[inline(never)]
        fn half<const W: usize>(token: Avx2, h: &mut [__m256i; 8], m: &[__m256i; 16], total: u64, last: bool) {
            *h = blake::compress_in::<Half, W>(Half(token), *h, m, total, last);
        }
        let mut out = h;
        for side in 0..2 {
            let (mut state, mut message) = ([self.zero(); 8], [self.zero(); 16]);
            for i in 0..8 {
                state[i] = h[i][side];
            }
            for i in 0..W {
                message[i] = m[i][side];
            }
            // SAFETY: `self` proves AVX2.
            unsafe { half::<W>(self, &mut state, &message, total, last) };
            for i in 0..8 {
                out[i][side] = state[i];
            }
        }
        out
    }

    #[inline(always)]
    fn message(self, data: &[&[u8]; 8], block: usize, words: usize) -> [Self::V; 16] {
        let mut message = [[self.zero(); 2]; 16];
        let length = data[0].len();
        for lane in data {
            // A shorter lane would break the proofs below.
            assert!(lane.len() == length);
        }
        let total = length + 1;
        for quad in 0..words.div_ceil(4) {
            // Byte of the message with which these four words begin.
            let start = 128 * block + 32 * quad;
            if start >= total {
                break;
            }
            for side in 0..2 {
                let mut rows = [self.zero(); 4];
                for i in 0..4 {
                    rows[i] = self.message_bytes(data[4 * side + i], start, total);
                }
                let columns = self.transpose(rows);
                for i in 0..4 {
                    message[4 * quad + i][side] = columns[i];
                }
            }
        }
        message
    }
}

impl Avx2 {
    #[inline(always)]
    fn zero(self) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_setzero_si256() }
    }

    /// Bytes `start..start + 32` of the message `0x00 || data`, which has `total` bytes, with zeros after its end. `start` is below
    /// `total` and a multiple of 32.
    #[inline(always)]
    fn message_bytes(self, data: &[u8], start: usize, total: usize) -> __m256i {
        if total <= 32 {
            return self.short_message(data);
        }
        // From here on the data has at least 32 bytes.
        if start == 0 {
            // SAFETY: `self` proves AVX2; the first 32 bytes exist. They are moved up by one byte.
            return unsafe {
                let first = _mm256_loadu_si256(data[..32].as_ptr().cast());
                _mm256_alignr_epi8::<15>(first, _mm256_permute2x128_si256::<0x08>(first, first))
            };
        }
        if start + 32 <= total {
            // SAFETY: `self` proves AVX2; the slice has 32 bytes.
            return unsafe { _mm256_loadu_si256(data[start - 1..start + 31].as_ptr().cast()) };
        }
        // The end: the last 32 bytes, of which those before `start` are left out below and as many zeros taken in above.
        let mut last = [0u8; 64];
        last[..32].copy_from_slice(&data[data.len() - 32..]);
        let from = 32 - (total - start);
        // SAFETY: `self` proves AVX2; the slice has 32 bytes.
        unsafe { _mm256_loadu_si256(last[from..from + 32].as_ptr().cast()) }
    }

    /// A message of at most 32 bytes.
    #[inline(always)]
    fn short_message(self, data: &[u8]) -> __m256i {
        let mut message = [0u8; 32];
        copy_short(&mut message[1..1 + data.len()], data);
        // SAFETY: `self` proves AVX2; a vector has 32 bytes.
        unsafe { _mm256_loadu_si256(message.as_ptr().cast()) }
    }

    /// Rows of four words to columns.
    #[inline(always)]
    fn transpose(self, rows: [__m256i; 4]) -> [__m256i; 4] {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let (even, odd) = (_mm256_unpacklo_epi64(rows[0], rows[1]), _mm256_unpackhi_epi64(rows[0], rows[1]));
            let (even2, odd2) = (_mm256_unpacklo_epi64(rows[2], rows[3]), _mm256_unpackhi_epi64(rows[2], rows[3]));
            [
                _mm256_permute2x128_si256::<0x20>(even, even2),
                _mm256_permute2x128_si256::<0x20>(odd, odd2),
                _mm256_permute2x128_si256::<0x31>(even, even2),
                _mm256_permute2x128_si256::<0x31>(odd, odd2),
            ]
        }
    }
}

/// Four of the eight lanes: what one run of the compression function takes.
#[derive(Clone, Copy)]
struct Half(Avx2);

impl Arithmetic for Half {
    type V = __m256i;
    const UNROLL: bool = true;

    #[inline(always)]
    fn splat(self, value: u64) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_set1_epi64x(value.cast_signed()) }
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_add_epi64(a, b) }
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_xor_si256(a, b) }
    }

    /// By whole bytes with shuffles, by 63 bits with a shift and an addition.
    #[inline(always)]
    fn ror<const BITS: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe {
            match BITS {
                32 => _mm256_shuffle_epi32::<0b10_11_00_01>(a),
                24 => {
                    let bytes = _mm_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10);
                    _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(bytes))
                }
                16 => {
                    let bytes = _mm_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9);
                    _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(bytes))
                }
                _ => _mm256_or_si256(_mm256_srli_epi64::<63>(a), _mm256_add_epi64(a, a)),
            }
        }
    }
}

/// Multiplication by one constant of GF(2^16) on elements split into low and high bytes: for each of an element's four half bytes, the
/// lowest first, the low and the high bytes of its 16 products, as `PSHUFB` takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub(in crate::simd) struct Nibbles(pub(in crate::simd) [[u8; 16]; 8]);

/// The operations on chunks, compiled where the features are enabled.
impl Avx2 {
    /// A table in both halves of a vector.
    #[inline(always)]
    fn table(self, bytes: &[u8; 16]) -> __m256i {
        // SAFETY: `self` proves AVX2; the load is of 16 bytes.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    /// `x + y * factor`, low and high bytes each in a vector.
    #[inline(always)]
    fn multiply_add(self, x: [__m256i; 2], y: [__m256i; 2], factor: &Nibbles) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let low = _mm256_set1_epi8(0x0f);
            let halves = [
                _mm256_and_si256(y[0], low),
                _mm256_and_si256(_mm256_srli_epi64::<4>(y[0]), low),
                _mm256_and_si256(y[1], low),
                _mm256_and_si256(_mm256_srli_epi64::<4>(y[1]), low),
            ];
            let mut sum = x;
            for i in 0..4 {
                let products = [&factor.0[2 * i], &factor.0[2 * i + 1]];
                sum[0] = _mm256_xor_si256(sum[0], _mm256_shuffle_epi8(self.table(products[0]), halves[i]));
                sum[1] = _mm256_xor_si256(sum[1], _mm256_shuffle_epi8(self.table(products[1]), halves[i]));
            }
            sum
        }
    }

    #[inline(always)]
    fn add(self, x: [__m256i; 2], y: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_xor_si256(x[0], y[0]), _mm256_xor_si256(x[1], y[1])] }
    }

    /// One layer of butterflies over `2 * half` values: `x += y * factor; y += x`, or the inverse. Factor 0 of a `PLAIN` transform is
    /// zero, and then nothing is multiplied.
    #[inline(always)]
    fn layer<const RADIX: usize, const INVERSE: bool, const PLAIN: bool>(
        self,
        v: &mut [[__m256i; 2]; RADIX],
        half: usize,
        factors: &[&Nibbles],
    ) {
        for group in 0..RADIX / (2 * half) {
            for i in 0..half {
                let (x, y) = (group * 2 * half + i, group * 2 * half + half + i);
                if INVERSE {
                    v[y] = self.add(v[y], v[x]);
                }
                if !(PLAIN && group == 0) {
                    v[x] = self.multiply_add(v[x], v[y], factors[group]);
                }
                if !INVERSE {
                    v[y] = self.add(v[y], v[x]);
                }
            }
        }
    }

    /// `log2(RADIX)` layers of butterflies over `RADIX` (2 or 4) runs of chunks that follow each other in `data`.
    /// `factors` has that of the widest layer first, then those of the next.
    #[inline(always)]
    fn butterflies_in<const RADIX: usize, const INVERSE: bool, const PLAIN: bool>(
        self,
        data: &mut [[u8; 64]],
        factors: &[&Nibbles; 7],
    ) {
        let run = data.len() / RADIX;
        let base: *mut __m256i = data.as_mut_ptr().cast();
        for i in 0..run {
            let mut v = [[self.zero(); 2]; RADIX];
            for k in 0..RADIX {
                // SAFETY: `self` proves AVX2; k < RADIX and i < run, so k * run + i < RADIX * run <= data.len() chunks of two
                // unaligned vectors each, and `data` is borrowed mutably.
                v[k] = unsafe {
                    let from = base.add(2 * (k * run + i));
                    [_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))]
                };
            }
            if INVERSE {
                if RADIX == 4 {
                    self.layer::<RADIX, INVERSE, PLAIN>(&mut v, 1, &factors[1..]);
                }
                self.layer::<RADIX, INVERSE, PLAIN>(&mut v, RADIX / 2, factors);
            } else {
                self.layer::<RADIX, INVERSE, PLAIN>(&mut v, RADIX / 2, factors);
                if RADIX == 4 {
                    self.layer::<RADIX, INVERSE, PLAIN>(&mut v, 1, &factors[1..]);
                }
            }
            for k in 0..RADIX {
                // SAFETY: as for the loads.
                unsafe {
                    let to = base.add(2 * (k * run + i));
                    _mm256_storeu_si256(to, v[k][0]);
                    _mm256_storeu_si256(to.add(1), v[k][1]);
                }
            }
        }
    }

    /// `to += from`, as much as the shorter slice has.
    pub(in crate::simd) fn add_chunks(self, to: &mut [[u8; 64]], from: &[[u8; 64]]) {
        #[target_feature(enable = "avx2")]
        fn inner(to: &mut [[u8; 64]], from: &[[u8; 64]]) {
            for (to, from) in to.iter_mut().zip(from) {
                for i in 0..2 {
                    // SAFETY: the token proves AVX2; half a chunk is one unaligned vector.
                    unsafe {
                        let (to, from) = (to[32 * i..].as_mut_ptr().cast(), from[32 * i..].as_ptr().cast());
                        _mm256_storeu_si256(to, _mm256_xor_si256(_mm256_loadu_si256(to), _mm256_loadu_si256(from)));
                    }
                }
            }
        }
        // SAFETY: `self` proves AVX2.
        unsafe { inner(to, from) }
    }

    /// Multiplies all of `data` by a constant.
    pub(in crate::simd) fn multiply(self, data: &mut [[u8; 64]], factor: &Nibbles) {
        #[target_feature(enable = "avx2")]
        fn inner(token: Avx2, data: &mut [[u8; 64]], factor: &Nibbles) {
            for chunk in data {
                let at: *mut __m256i = chunk.as_mut_ptr().cast();
                // SAFETY: the token proves AVX2; a chunk is two unaligned vectors.
                unsafe {
                    let value = [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))];
                    let product = token.multiply_add([token.zero(); 2], value, factor);
                    _mm256_storeu_si256(at, product[0]);
                    _mm256_storeu_si256(at.add(1), product[1]);
                }
            }
        }
        // SAFETY: `self` proves AVX2.
        unsafe { inner(self, data, factor) }
    }
}

impl Butterflies for Avx2 {
    type Factor = Nibbles;
    /// Eight runs would be 16 vectors, all registers there are.
    const RADIX: usize = 4;

    fn butterflies(self, radix: usize, inverse: bool, plain: bool, data: &mut [[u8; 64]], factors: &[&Nibbles; 7]) {
        #[target_feature(enable = "avx2")]
        fn inner<const RADIX: usize, const INVERSE: bool, const PLAIN: bool>(
            token: Avx2,
            data: &mut [[u8; 64]],
            factors: &[&Nibbles; 7],
        ) {
            token.butterflies_in::<RADIX, INVERSE, PLAIN>(data, factors);
        }
        // SAFETY: `self` proves AVX2.
        unsafe {
            match (radix, inverse, plain) {
                (2, false, false) => inner::<2, false, false>(self, data, factors),
                (2, false, true) => inner::<2, false, true>(self, data, factors),
                (2, true, false) => inner::<2, true, false>(self, data, factors),
                (2, true, true) => inner::<2, true, true>(self, data, factors),
                (_, false, false) => inner::<4, false, false>(self, data, factors),
                (_, false, true) => inner::<4, false, true>(self, data, factors),
                (_, true, false) => inner::<4, true, false>(self, data, factors),
                (_, true, true) => inner::<4, true, true>(self, data, factors),
            }
        }
    }
}
