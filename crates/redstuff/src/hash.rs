//! The hashes of Red Stuff one at a time: BLAKE2b with a 32-byte digest, no key, with one byte of domain separation.
//! (Bulk hashing is in [`crate::simd::blake`].)

use std::sync::LazyLock;

/// `BLAKE2b-256` of the concatenation of `parts`.
pub(crate) fn blake2b256(parts: &[&[u8]]) -> [u8; 32] {
    static PARAMS: LazyLock<blake2b_simd::Params> = LazyLock::new(|| {
        let mut params = blake2b_simd::Params::new();
        params.hash_length(32);
        params
    });
    let mut state = PARAMS.to_state();
    for part in parts {
        state.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(state.finalize().as_bytes());
    digest
}

/// The hash of a leaf of a Merkle tree: `H(0x00 || data)`.
pub(crate) fn leaf(data: &[u8]) -> [u8; 32] {
    blake2b256(&[&[0], data])
}

/// The hash of an inner node: `H(0x01 || left || right)`.
pub(crate) fn inner(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    blake2b256(&[&[1], left, right])
}
