//! Wide layout: many symbols side by side in one Reed-Solomon shard.
//!
//! The transforms work on 64-byte chunks, element by element, so it does not matter whose elements a chunk holds. A call for one symbol
//! of 6 bytes wastes nine tenths of its chunk; `width` symbols together fill theirs. The crate's element layout has to be kept: a
//! symbol's complete chunks are copied as they are, its tail of `t` bytes goes as two halves of `t / 2` into the low and the high 32
//! bytes of a chunk that it shares with other tails.

/// How `width` symbols of one size lie in a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    size: usize,
    width: usize,
    /// Bytes of a symbol in complete chunks.
    whole: usize,
    /// Half of a symbol's bytes in the shared chunk.
    half: usize,
    /// Tails in one shared chunk.
    per_chunk: usize,
}

impl Layout {
    /// `width` symbols of `size` bytes (even, positive).
    pub(crate) fn new(size: usize, width: usize) -> Self {
        let half = size % 64 / 2;
        Self { size, width, whole: size / 64 * 64, half, per_chunk: 32usize.checked_div(half).unwrap_or(1) }
    }

    /// How many symbols of `size` bytes fit into `chunks` chunks.
    pub(crate) fn fitting(size: usize, chunks: usize) -> usize {
        let one = Self::new(size, 1);
        match one.whole / 64 {
            0 => chunks * one.per_chunk,
            whole => (0..=chunks / whole).rev().find(|width| Self::new(size, *width).chunks() <= chunks).unwrap_or(0),
        }
    }

    /// Chunks of a shard.
    pub(crate) fn chunks(&self) -> usize {
        let tails = if self.half == 0 { 0 } else { self.width.div_ceil(self.per_chunk) };
        self.width * self.whole / 64 + tails
    }

    /// Where the tail of symbol `i` begins; its second half lies 32 bytes on.
    fn tail(&self, i: usize) -> usize {
        self.width * self.whole + i / self.per_chunk * 64 + i % self.per_chunk * self.half
    }

    /// Puts symbol `i` into its place.
    #[inline(always)]
    pub(crate) fn put(&self, shard: &mut [[u8; 64]], i: usize, symbol: &[u8]) {
        let shard = shard.as_flattened_mut();
        let (whole, tail) = symbol.split_at(self.whole);
        copy_whole(&mut shard[i * self.whole..][..self.whole], whole);
        if self.half > 0 {
            let (low, high) = tail.split_at(self.half);
            let at = self.tail(i);
            copy_short(&mut shard[at..at + self.half], low);
            copy_short(&mut shard[at + 32..at + 32 + self.half], high);
        }
    }

    /// Gets symbol `i`.
    #[inline(always)]
    pub(crate) fn get(&self, shard: &[[u8; 64]], i: usize, symbol: &mut [u8]) {
        let shard = shard.as_flattened();
        let (whole, tail) = symbol.split_at_mut(self.whole);
        copy_whole(whole, &shard[i * self.whole..][..self.whole]);
        if self.half > 0 {
            let (low, high) = tail.split_at_mut(self.half);
            let at = self.tail(i);
            copy_short(low, &shard[at..at + self.half]);
            copy_short(high, &shard[at + 32..at + 32 + self.half]);
        }
    }

    /// Gets consecutive symbols, from the first on.
    pub(crate) fn get_run(&self, shard: &[[u8; 64]], symbols: &mut [u8]) {
        for (i, symbol) in symbols.chunks_exact_mut(self.size).enumerate() {
            self.get(shard, i, symbol);
        }
    }
}

/// Copies complete chunks: a few of them without a call.
#[inline(always)]
fn copy_whole(to: &mut [u8], from: &[u8]) {
    if to.len() <= 512 {
        for (to, from) in to.as_chunks_mut::<64>().0.iter_mut().zip(from.as_chunks::<64>().0) {
            *to = *from;
        }
    } else {
        to.copy_from_slice(from);
    }
}

/// Copies up to 32 bytes without the call that `copy_from_slice` would make of it.
#[inline(always)]
pub(crate) fn copy_short(to: &mut [u8], from: &[u8]) {
    let length = to.len().min(from.len());
    let (to, from) = (&mut to[..length], &from[..length]);
    if length >= 16 {
        // Two overlapping pieces cover any length from 16 to 32.
        copy_ends::<16>(to, from);
    } else if length >= 8 {
        copy_ends::<8>(to, from);
    } else if length >= 4 {
        copy_ends::<4>(to, from);
    } else {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
}

/// The first and the last `N` bytes, which together are all of them.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        let (first, last) = (*first, *last);
        if let Some(to) = to.first_chunk_mut::<N>() {
            *to = first;
        }
        if let Some(to) = to.last_chunk_mut::<N>() {
            *to = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_come_back() {
        for size in (2..200).step_by(2).chain([302, 1206]) {
            for width in [1, 2, 3, 8, 33] {
                let layout = Layout::new(size, width);
                let symbols: Vec<u8> = (0..size * width).map(|i| (i * 7 + i / 251) as u8).collect();
                let mut shard = vec![[0u8; 64]; layout.chunks()];
                for (i, symbol) in symbols.chunks_exact(size).enumerate() {
                    layout.put(&mut shard, i, symbol);
                }
                let mut back = vec![0; symbols.len()];
                layout.get_run(&shard, &mut back);
                assert_eq!(back, symbols, "{width} symbols of {size}");
            }
        }
    }

    #[test]
    fn as_many_as_fit() {
        for size in (2..300).step_by(2) {
            for chunks in [1, 2, 5, 10, 77] {
                let width = Layout::fitting(size, chunks);
                assert!(width == 0 || Layout::new(size, width).chunks() <= chunks, "{width} of {size} in {chunks}");
                assert!(Layout::new(size, width + 1).chunks() > chunks, "{width} + 1 of {size} in {chunks}");
            }
        }
    }

    #[test]
    fn one_symbol_lies_as_the_code_defines_it() {
        let mut shard = [[0u8; 64]; 2];
        let symbol: Vec<u8> = (1..=70).collect();
        Layout::new(70, 1).put(&mut shard, 0, &symbol);
        assert_eq!(shard[0][..], symbol[..64]);
        assert_eq!((&shard[1][..3], &shard[1][32..35]), (&symbol[64..67], &symbol[67..]));
    }
}
