//! BLAKE2b-256 of Merkle leaves and inner nodes, eight at a time in lanes.
//!
//! Digests stay in lanes ([`Octet`]) from the leaves to the roots: the parents of two columns of nodes need no shuffling at
//! all, the parents within one column one shuffle per word. Additions of message words that are known to be zero are left out
//! (7 of 16 words of an inner node, 15 of 16 of a leaf of up to 7 bytes) where the rounds are unrolled.
//!
//! The generic bodies here are compiled once per level, inside functions that enable its instructions. They have no closures and no iterator
//! adaptors over vectors: what the compiler does not inline there would be compiled without those instructions.

use super::Simd;
use super::lanes::{Arithmetic, Lanes, Portable};

const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// Digest of 32 bytes, no key, fan-out 1, depth 1.
const PARAMETERS: u64 = 0x0101_0020;

const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// The state words of the eight mixing functions of a round.
const QUARTERS: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

/// Bytes of an inner node's message: prefix and two digests.
const NODE_BYTES: u64 = 65;
/// Words of it that are not zero.
const NODE_WORDS: usize = 9;

/// Eight digests, word by word: `words[w][lane]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Octet {
    words: [[u64; 8]; 4],
}

impl Octet {
    /// Eight empty nodes.
    pub(crate) const EMPTY: Self = Self { words: [[0; 8]; 4] };

    /// Eight digests in lanes.
    pub(crate) fn from_digests(digests: [&[u8; 32]; 8]) -> Self {
        let mut octet = Self::EMPTY;
        for (lane, digest) in digests.into_iter().enumerate() {
            for (word, bytes) in octet.words.iter_mut().zip(digest.as_chunks::<8>().0) {
                word[lane] = u64::from_le_bytes(*bytes);
            }
        }
        octet
    }

    /// The digest of a lane below 8.
    pub(crate) fn digest(&self, lane: usize) -> [u8; 32] {
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut::<8>().0.iter_mut().zip(&self.words) {
            *bytes = word[lane].to_le_bytes();
        }
        digest
    }

    /// Makes the lanes from `first` on empty.
    fn clear_from(&mut self, first: usize) {
        for word in &mut self.words {
            word[first.min(8)..].fill(0);
        }
    }
}

/// One mixing function with message words `X` and `Y`, of which those at or above `W` are zero.
macro_rules! mix {
    ($l:ident, $v:ident, $m:ident, $w:ident, $round:literal, $i:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        $v[$a] = $l.add($v[$a], $v[$b]);
        if SIGMA[$round][2 * $i] < $w {
            $v[$a] = $l.add($v[$a], $m[SIGMA[$round][2 * $i]]);
        }
        $v[$d] = $l.ror::<32>($l.xor($v[$d], $v[$a]));
        $v[$c] = $l.add($v[$c], $v[$d]);
        $v[$b] = $l.ror::<24>($l.xor($v[$b], $v[$c]));
        $v[$a] = $l.add($v[$a], $v[$b]);
        if SIGMA[$round][2 * $i + 1] < $w {
            $v[$a] = $l.add($v[$a], $m[SIGMA[$round][2 * $i + 1]]);
        }
        $v[$d] = $l.ror::<16>($l.xor($v[$d], $v[$a]));
        $v[$c] = $l.add($v[$c], $v[$d]);
        $v[$b] = $l.ror::<63>($l.xor($v[$b], $v[$c]));
    };
}

macro_rules! round {
    ($l:ident, $v:ident, $m:ident, $w:ident, $($round:literal)*) => {$(
        mix!($l, $v, $m, $w, $round, 0, 0, 4, 8, 12);
        mix!($l, $v, $m, $w, $round, 1, 1, 5, 9, 13);
        mix!($l, $v, $m, $w, $round, 2, 2, 6, 10, 14);
        mix!($l, $v, $m, $w, $round, 3, 3, 7, 11, 15);
        mix!($l, $v, $m, $w, $round, 4, 0, 5, 10, 15);
        mix!($l, $v, $m, $w, $round, 5, 1, 6, 11, 12);
        mix!($l, $v, $m, $w, $round, 6, 2, 7, 8, 13);
        mix!($l, $v, $m, $w, $round, 7, 3, 4, 9, 14);
    )*};
}

#[inline(always)]
fn initial<L: Lanes>(l: L) -> [L::V; 8] {
    [
        l.set(IV[0] ^ PARAMETERS),
        l.set(IV[1]),
        l.set(IV[2]),
        l.set(IV[3]),
        l.set(IV[4]),
        l.set(IV[5]),
        l.set(IV[6]),
        l.set(IV[7]),
    ]
}

/// The compression function; message words at or above `W` are zero, `total` bytes have been taken in with this block.
#[inline(always)]
pub(super) fn compress_in<L: Arithmetic, const W: usize>(
    l: L,
    h: [L::V; 8],
    m: &[L::V; 16],
    total: u64,
    last: bool,
) -> [L::V; 8] {
    let mut v = [
        h[0],
        h[1],
        h[2],
        h[3],
        h[4],
        h[5],
        h[6],
        h[7],
        l.splat(IV[0]),
        l.splat(IV[1]),
        l.splat(IV[2]),
        l.splat(IV[3]),
        l.splat(IV[4] ^ total),
        l.splat(IV[5]),
        l.splat(if last { !IV[6] } else { IV[6] }),
        l.splat(IV[7]),
    ];
    if L::UNROLL {
        round!(l, v, m, W, 0 1 2 3 4 5 6 7 8 9 0 1);
    } else {
        for round in 0..12 {
            let sigma = &SIGMA[round % 10];
            for (i, [a, b, c, d]) in QUARTERS.into_iter().enumerate() {
                v[a] = l.add(l.add(v[a], v[b]), m[sigma[2 * i]]);
                v[d] = l.ror::<32>(l.xor(v[d], v[a]));
                v[c] = l.add(v[c], v[d]);
                v[b] = l.ror::<24>(l.xor(v[b], v[c]));
                v[a] = l.add(l.add(v[a], v[b]), m[sigma[2 * i + 1]]);
                v[d] = l.ror::<16>(l.xor(v[d], v[a]));
                v[c] = l.add(v[c], v[d]);
                v[b] = l.ror::<63>(l.xor(v[b], v[c]));
            }
        }
    }
    let mut out = h;
    for i in 0..8 {
        out[i] = l.xor(h[i], l.xor(v[i], v[i + 8]));
    }
    out
}

#[inline(always)]
fn load<L: Lanes>(l: L, from: &Octet) -> [L::V; 4] {
    let [a, b, c, d] = &from.words;
    [l.load(a), l.load(b), l.load(c), l.load(d)]
}

#[inline(always)]
fn store<L: Lanes>(l: L, h: &[L::V; 8], to: &mut Octet) {
    let [a, b, c, d] = &mut to.words;
    l.store(h[0], a);
    l.store(h[1], b);
    l.store(h[2], c);
    l.store(h[3], d);
}

/// `H(0x00 || data[lane])` for eight messages of one length.
#[inline(always)]
pub(super) fn leaves_in<L: Lanes>(l: L, data: &[&[u8]; 8], out: &mut Octet) {
    let total = data[0].len() + 1;
    let mut h = initial(l);
    if L::ZERO_WORDS && total <= 8 {
        let m = l.message(data, 0, 1);
        h = l.compress::<1>(h, &m, total as u64, true);
    } else {
        let last = (total - 1) / 128;
        for block in 0..=last {
            let m = l.message(data, block, 16);
            h = l.compress::<16>(h, &m, total.min(128 * (block + 1)) as u64, block == last);
        }
    }
    store(l, &h, out);
}

/// `H(0x01 || left || right)` in every lane.
#[inline(always)]
fn node_in<L: Lanes>(l: L, left: &[L::V; 4], right: &[L::V; 4]) -> [L::V; 8] {
    // The prefix byte moves everything by 8 bits.
    let words = [left[0], left[1], left[2], left[3], right[0], right[1], right[2], right[3]];
    let zero = l.set(0);
    let mut m = [zero; 16];
    m[0] = l.or(l.shl8(words[0]), l.set(1));
    for i in 1..8 {
        m[i] = l.or(l.shl8(words[i]), l.shr56(words[i - 1]));
    }
    m[8] = l.shr56(words[7]);
    l.compress::<NODE_WORDS>(initial(l), &m, NODE_BYTES, true)
}

#[inline(always)]
pub(super) fn parents_in<L: Lanes>(l: L, left: &[Octet], right: &[Octet], out: &mut [Octet]) {
    for ((left, right), out) in left.iter().zip(right).zip(out) {
        let h = node_in(l, &load(l, left), &load(l, right));
        store(l, &h, out);
    }
}

/// From the `count` nodes of a level to the level above, in place; lanes past the end count as empty.
#[inline(always)]
pub(super) fn halve_in<L: Lanes>(l: L, nodes: &mut [Octet], count: usize) {
    let octets = count.div_ceil(8);
    nodes[octets - 1].clear_from(count - 8 * (octets - 1));
    for i in 0..count.div_ceil(2).div_ceil(8) {
        let first = load(l, &nodes[2 * i]);
        let second = if 2 * i + 1 < octets { load(l, &nodes[2 * i + 1]) } else { [l.set(0); 4] };
        let (mut left, mut right) = (first, second);
        for w in 0..4 {
            (left[w], right[w]) = l.even_odd(first[w], second[w]);
        }
        let h = node_in(l, &left, &right);
        store(l, &h, &mut nodes[i]);
    }
}

/// The leaf hashes `H(0x00 || data[lane])` of eight messages of one length.
pub(crate) fn leaves(simd: Simd, data: &[&[u8]; 8], out: &mut Octet) {
    debug_assert!(data.iter().all(|lane| lane.len() == data[0].len()));
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => {
            if let Some(token) = super::x86::Avx512::detect() {
                return token.leaves(data, out);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => {
            if let Some(token) = super::x86::Avx2::detect() {
                return token.leaves(data, out);
            }
        }
        _ => {}
    }
    leaves_in(Portable, data, out);
}

/// The parents `H(0x01 || left || right)` of nodes that lie in the same lanes; as many as the shortest slice has.
pub(crate) fn parents(simd: Simd, left: &[Octet], right: &[Octet], out: &mut [Octet]) {
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => {
            if let Some(token) = super::x86::Avx512::detect() {
                return token.parents(left, right, out);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => {
            if let Some(token) = super::x86::Avx2::detect() {
                return token.parents(left, right, out);
            }
        }
        _ => {}
    }
    parents_in(Portable, left, right, out);
}

/// From the first `count` lanes of `nodes`, at least one, to the `count / 2` (rounded up) nodes of the level above, in place.
pub(crate) fn halve(simd: Simd, nodes: &mut [Octet], count: usize) {
    assert!((1..=nodes.len() * 8).contains(&count), "a level of a Merkle tree has at least one node");
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => {
            if let Some(token) = super::x86::Avx512::detect() {
                return token.halve(nodes, count);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => {
            if let Some(token) = super::x86::Avx2::detect() {
                return token.halve(nodes, count);
            }
        }
        _ => {}
    }
    halve_in(Portable, nodes, count);
}

/// The root of the tree over the first `count` lanes of `nodes`, at least one; `nodes` is used up.
pub(crate) fn root(simd: Simd, nodes: &mut [Octet], mut count: usize) -> [u8; 32] {
    while count > 1 {
        halve(simd, nodes, count);
        count = count.div_ceil(2);
    }
    nodes.first().map_or([0; 32], |octet| octet.digest(0))
}

/// The leaf hashes of `count` messages of one length; lanes past the end repeat the last message.
pub(crate) fn leaf_level<'a>(simd: Simd, count: usize, message: impl Fn(usize) -> &'a [u8]) -> Vec<Octet> {
    let mut octets = vec![Octet::EMPTY; count.div_ceil(8)];
    for (i, octet) in octets.iter_mut().enumerate() {
        let lanes: [&[u8]; 8] = std::array::from_fn(|lane| message((8 * i + lane).min(count - 1)));
        leaves(simd, &lanes, octet);
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;

    fn levels() -> impl Iterator<Item = Simd> {
        [Simd::Portable, Simd::Avx2, Simd::Avx512].into_iter().filter(|level| level.available())
    }

    fn bytes(seed: usize, length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 + seed * 17 + (i >> 8) * 7 + 1) as u8).collect()
    }

    #[test]
    fn leaves_equal_the_plain_hash() {
        let lengths = (0..300).chain([383, 384, 511, 512, 1206, 4096, 65_534]);
        for length in lengths {
            let data: Vec<Vec<u8>> = (0..8).map(|lane| bytes(lane, length)).collect();
            let lanes: [&[u8]; 8] = std::array::from_fn(|lane| data[lane].as_slice());
            for simd in levels() {
                let mut octet = Octet::EMPTY;
                leaves(simd, &lanes, &mut octet);
                for (lane, data) in data.iter().enumerate() {
                    assert_eq!(octet.digest(lane), hash::leaf(data), "{simd:?}, {length} bytes, lane {lane}");
                }
            }
        }
    }

    #[test]
    fn parents_equal_the_plain_hash() {
        let octets: Vec<Octet> = (0..6u64)
            .map(|seed| Octet {
                words: std::array::from_fn(|w| {
                    std::array::from_fn(|i| {
                        (seed * 99 + w as u64 * 8 + i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    })
                }),
            })
            .collect();
        for simd in levels() {
            let mut out = vec![Octet::EMPTY; 3];
            parents(simd, &octets[..3], &octets[3..], &mut out);
            for i in 0..3 {
                for lane in 0..8 {
                    let expected = hash::inner(&octets[i].digest(lane), &octets[i + 3].digest(lane));
                    assert_eq!(out[i].digest(lane), expected, "{simd:?}");
                }
            }
        }
    }

    #[test]
    fn roots_equal_the_plain_tree() {
        for count in (1..70).chain([100, 127, 128, 129, 333, 1000]) {
            let data: Vec<Vec<u8>> = (0..count).map(|i| bytes(i, 6)).collect();
            let expected = crate::MerkleTree::new(data.iter().map(Vec::as_slice)).root();
            for simd in levels() {
                // Lanes past the end hold rubbish, which must not matter.
                let mut nodes = vec![Octet { words: [[0x55; 8]; 4] }; count.div_ceil(8)];
                for (octet, data) in nodes.iter_mut().zip(data.chunks(8)) {
                    let lanes: [&[u8]; 8] = std::array::from_fn(|lane| data[lane.min(data.len() - 1)].as_slice());
                    leaves(simd, &lanes, octet);
                }
                assert_eq!(crate::Node::Digest(root(simd, &mut nodes, count)), expected, "{simd:?}, {count} leaves");
            }
        }
    }
}
