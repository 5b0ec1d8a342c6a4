//! Eight 64-bit lanes as an abstraction over vector instructions, and its portable form.

use super::blake::compress_in;

/// The operations of the compression function on a vector of 64-bit lanes. A value of the implementing type is a token that the CPU
/// has the instructions.
pub(super) trait Arithmetic: Copy {
    /// Some lanes: eight, or with AVX2 four, because the state of 16 vectors then just fits into the registers.
    type V: Copy;
    /// Whether the rounds are unrolled, which pays where the state fits into the registers; elsewhere it costs minutes of
    /// compilation and gains nothing.
    const UNROLL: bool;

    fn splat(self, value: u64) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn xor(self, a: Self::V, b: Self::V) -> Self::V;
    /// Rotation to the right by 32, 24, 16 or 63 bits.
    fn ror<const BITS: i32>(self, a: Self::V) -> Self::V;
}

/// Operations on eight 64-bit lanes. A value of the implementing type is a token that the CPU has the instructions.
pub(super) trait Lanes: Copy {
    /// Eight lanes.
    type V: Copy;
    /// Whether additions of message words that are known to be zero are left out.
    const ZERO_WORDS: bool;

    /// The same value in all lanes.
    fn set(self, value: u64) -> Self::V;
    fn load(self, from: &[u64; 8]) -> Self::V;
    fn store(self, value: Self::V, to: &mut [u64; 8]);
    fn or(self, a: Self::V, b: Self::V) -> Self::V;
    /// Shift to the left by 8 bits.
    fn shl8(self, a: Self::V) -> Self::V;
    /// Logical shift to the right by 56 bits.
    fn shr56(self, a: Self::V) -> Self::V;
    /// The even and the odd lanes of the 16 lanes of `a` and `b`.
    fn even_odd(self, a: Self::V, b: Self::V) -> (Self::V, Self::V);
    /// The compression function in all lanes, see [`compress_in`](super::blake::compress_in).
    fn compress<const W: usize>(self, h: [Self::V; 8], m: &[Self::V; 16], total: u64, last: bool) -> [Self::V; 8];

    /// Words `0..words` of block `block` of the messages `0x00 || data[lane]`, zero after their ends; words above are zero.
    /// All lanes have the same length, and the block begins within the message.
    #[inline(always)]
    fn message(self, data: &[&[u8]; 8], block: usize, words: usize) -> [Self::V; 16] {
        let mut transposed = [[0u64; 8]; 16];
        for (lane, data) in data.iter().enumerate() {
            let mut bytes = [0u8; 128];
            // Message byte i is data byte i - 1; byte 0 is the prefix, already zero.
            let (skip, from) = if block == 0 { (1, 0) } else { (0, block * 128 - 1) };
            let rest = data.get(from..).unwrap_or_default();
            let length = rest.len().min(128 - skip);
            bytes[skip..skip + length].copy_from_slice(&rest[..length]);
            for (word, bytes) in transposed[..words].iter_mut().zip(bytes.as_chunks::<8>().0) {
                word[lane] = u64::from_le_bytes(*bytes);
            }
        }
        let mut message = [self.set(0); 16];
        for (word, transposed) in message.iter_mut().zip(&transposed).take(words) {
            *word = self.load(transposed);
        }
        message
    }
}

/// Plain Rust; the compiler uses what vectors the target's baseline has.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Arithmetic for Portable {
    type V = [u64; 8];
    const UNROLL: bool = false;

    #[inline(always)]
    fn splat(self, value: u64) -> [u64; 8] {
        [value; 8]
    }

    #[inline(always)]
    fn add(self, a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn xor(self, a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        std::array::from_fn(|i| a[i] ^ b[i])
    }

    #[inline(always)]
    fn ror<const BITS: i32>(self, a: [u64; 8]) -> [u64; 8] {
        a.map(|lane| lane.rotate_right(BITS.unsigned_abs()))
    }
}

impl Lanes for Portable {
    type V = [u64; 8];
    const ZERO_WORDS: bool = false;

    #[inline(always)]
    fn set(self, value: u64) -> [u64; 8] {
        [value; 8]
    }

    #[inline(always)]
    fn load(self, from: &[u64; 8]) -> [u64; 8] {
        *from
    }

    #[inline(always)]
    fn store(self, value: [u64; 8], to: &mut [u64; 8]) {
        *to = value;
    }

    #[inline(always)]
    fn or(self, a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        std::array::from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn shl8(self, a: [u64; 8]) -> [u64; 8] {
        a.map(|lane| lane << 8)
    }

    #[inline(always)]
    fn shr56(self, a: [u64; 8]) -> [u64; 8] {
        a.map(|lane| lane >> 56)
    }

    #[inline(always)]
    fn even_odd(self, a: [u64; 8], b: [u64; 8]) -> ([u64; 8], [u64; 8]) {
        let both = |i: usize| if i < 8 { a[i] } else { b[i - 8] };
        (std::array::from_fn(|i| both(2 * i)), std::array::from_fn(|i| both(2 * i + 1)))
    }

    #[inline(always)]
    fn compress<const W: usize>(self, h: [[u64; 8]; 8], m: &[[u64; 8]; 16], total: u64, last: bool) -> [[u64; 8]; 8] {
        compress_in::<Self, W>(self, h, m, total, last)
    }
}
