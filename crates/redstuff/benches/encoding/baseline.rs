//! The straightforward way, as a baseline: one Reed-Solomon call per row and column of small symbols, one single-lane BLAKE2b call per
//! leaf and node, fresh memory each time. It is what the reference encoder does, and costs what it costs (the benchmark prints both).

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use redstuff::Params;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

type Hash = [u8; 32];

/// One hash with a prefix byte.
pub(crate) fn hash(prefix: u8, parts: [&[u8]; 2]) -> Hash {
    let mut hasher = Blake2b::<U32>::new();
    hasher.update([prefix]);
    hasher.update(parts[0]);
    hasher.update(parts[1]);
    hasher.finalize().into()
}

fn root(mut level: Vec<Hash>) -> Hash {
    while level.len() > 1 {
        if level.len() % 2 == 1 {
            level.push([0; 32]);
        }
        level = level.chunks_exact(2).map(|pair| hash(1, [&pair[0], &pair[1]])).collect();
    }
    level[0]
}

fn shape(params: &Params, length: usize) -> (usize, usize, usize, usize) {
    let size = usize::from(params.symbol_size(length as u64).unwrap().get());
    (params.n_shards().into(), params.rows().into(), params.columns().into(), size)
}

fn expand(originals: &[u8], n: usize, size: usize) -> Vec<u8> {
    let k = originals.len() / size;
    let mut encoder = ReedSolomonEncoder::new(k, n - k, size).unwrap();
    for symbol in originals.chunks_exact(size) {
        encoder.add_original_shard(symbol).unwrap();
    }
    let recovery = encoder.encode().unwrap();
    let mut symbols = Vec::with_capacity(n * size);
    symbols.extend_from_slice(originals);
    for symbol in recovery.recovery_iter() {
        symbols.extend_from_slice(symbol);
    }
    symbols
}

/// The root hash of all pairs, all primary and all secondary slivers.
pub(crate) fn encode(params: &Params, blob: &[u8]) -> (Hash, Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (n, rows, columns, size) = shape(params, blob.len());
    let mut primaries = vec![vec![0; columns * size]; n];
    for (primary, bytes) in primaries.iter_mut().zip(blob.chunks(columns * size)) {
        primary[..bytes.len()].copy_from_slice(bytes);
    }
    let mut secondaries: Vec<Vec<u8>> = vec![Vec::with_capacity(rows * size); n];
    for primary in &primaries[..rows] {
        for (secondary, symbol) in secondaries.iter_mut().zip(expand(primary, n, size).chunks_exact(size)) {
            secondary.extend_from_slice(symbol);
        }
    }
    let mut leaves: Vec<Vec<Hash>> = vec![Vec::with_capacity(n); n];
    for (column, secondary) in secondaries.iter().enumerate() {
        for (row, symbol) in expand(secondary, n, size).chunks_exact(size).enumerate() {
            leaves[row].push(hash(0, [symbol, &[]]));
            if row >= rows && column < columns {
                primaries[row][column * size..][..size].copy_from_slice(symbol);
            }
        }
    }
    let pairs = (0..n).map(|pair| {
        let secondary = root(leaves.iter().map(|row| row[n - 1 - pair]).collect());
        hash(0, [&root(leaves[pair].clone()), &secondary])
    });
    let root = root(pairs.collect());
    (root, primaries, secondaries)
}

/// The hash of a primary sliver: what verification recomputes.
pub(crate) fn sliver_hash(params: &Params, data: &[u8], size: usize) -> Hash {
    let symbols = expand(data, params.n_shards().into(), size);
    root(symbols.chunks_exact(size).map(|symbol| hash(0, [symbol, &[]])).collect())
}

fn restore(n: usize, k: usize, symbols: &[(usize, &[u8])], size: usize) -> Vec<u8> {
    let mut decoder = ReedSolomonDecoder::new(k, n - k, size).unwrap();
    let mut originals = vec![0; k * size];
    for (index, symbol) in symbols {
        if *index < k {
            decoder.add_original_shard(*index, symbol).unwrap();
            originals[index * size..][..size].copy_from_slice(symbol);
        } else {
            decoder.add_recovery_shard(index - k, symbol).unwrap();
        }
    }
    for (index, symbol) in decoder.decode().unwrap().restored_original_iter() {
        originals[index * size..][..size].copy_from_slice(symbol);
    }
    originals
}

/// The blob from exactly enough primary slivers, without a check.
pub(crate) fn decode(params: &Params, slivers: &[(usize, &[u8])], length: usize) -> Vec<u8> {
    let (n, rows, columns, size) = shape(params, length);
    let mut blob = vec![0; rows * columns * size];
    for column in 0..columns {
        let symbols: Vec<_> = slivers.iter().map(|(i, data)| (*i, &data[column * size..][..size])).collect();
        for (row, symbol) in restore(n, rows, &symbols, size).chunks_exact(size).enumerate() {
            blob[(row * columns + column) * size..][..size].copy_from_slice(symbol);
        }
    }
    blob.truncate(length);
    blob
}

/// One primary sliver from symbols of secondary slivers, with the check of its hash.
pub(crate) fn recover(params: &Params, symbols: &[(usize, &[u8])], size: usize) -> (Vec<u8>, Hash) {
    let sliver = restore(params.n_shards().into(), params.columns().into(), symbols, size);
    let hash = sliver_hash(params, &sliver, size);
    (sliver, hash)
}
