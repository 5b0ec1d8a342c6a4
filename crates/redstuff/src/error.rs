//! Errors, grouped by what a caller can do about them.

use crate::{Axis, BlobId};
use std::io;

/// Why an operation of this crate failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The committee's shard count has no Red Stuff code. Nothing can be done with this network.
    #[error("no Red Stuff code for {n_shards} shards: 4 to 16384 are supported")]
    UnsupportedShards {
        /// The shard count asked for.
        n_shards: u16,
    },

    /// The blob is longer than this committee can store. Split it.
    #[error("a blob of {length} bytes is too large: at most {max} bytes with {n_shards} shards")]
    BlobTooLarge {
        /// Bytes of the blob.
        length: u64,
        /// Bytes of the largest blob.
        max: u64,
        /// The shard count.
        n_shards: u16,
    },

    /// Bytes from elsewhere do not parse. Whoever sent them is faulty: ask somebody else.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was being parsed.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// Well-formed bytes are not what the blob id or the metadata commits to. Whoever sent them is faulty: ask somebody else.
    #[error(transparent)]
    Rejected(#[from] Rejection),

    /// Too few distinct usable slivers or symbols were given. Fetch more.
    #[error("{have} usable {what} of {axis} axis, {need} are needed")]
    NotEnough {
        /// `slivers` or `recovery symbols`.
        what: &'static str,
        /// Axis of the slivers, or of the sliver being recovered.
        axis: Axis,
        /// Distinct usable ones that were given.
        have: usize,
        /// How many it takes.
        need: usize,
    },

    /// The blob's own commitments contradict each other: it was encoded wrongly by its writer, and no sliver set gives
    /// content that everybody agrees on. Treat the blob as invalid; retrying is of no use.
    #[error("blob {blob_id} is inconsistently encoded: {detail}")]
    Inconsistent {
        /// The blob.
        blob_id: BlobId,
        /// Which check failed.
        detail: &'static str,
    },

    /// A claimed inconsistency proof proves nothing: what it recovers matches the metadata.
    #[error("the sliver recovered from the inconsistency proof matches the metadata: the blob is not inconsistent")]
    NotInconsistent,

    /// The arguments of a call do not fit each other (a range past the end, an index at or above `n`). A bug of the caller.
    #[error("invalid argument: {0}")]
    InvalidArgument(&'static str),

    /// Blobs cannot be laid out as one quilt.
    #[error(transparent)]
    Quilt(#[from] crate::quilt::QuiltError),

    /// The source of the blob's bytes, or the spill file, failed.
    #[error("reading or spilling blob data: {0}")]
    Io(#[from] io::Error),
}

/// How well-formed data differs from what was committed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Metadata with another number of sliver pairs than the committee has shards.
    #[error("the metadata has {have} sliver pair hashes, {need} are needed")]
    HashCount {
        /// Number of pairs in the metadata.
        have: usize,
        /// Number of shards.
        need: usize,
    },
    /// Metadata that claims a length above the largest blob.
    #[error("the metadata's unencoded length {length} is above the maximum of {max} bytes")]
    UnencodedLength {
        /// The claimed length in bytes.
        length: u64,
        /// Bytes of the largest blob.
        max: u64,
    },
    /// Metadata that belongs to another blob id.
    #[error("the blob id computed from the metadata is {computed}, not {expected}")]
    BlobIdMismatch {
        /// The id asked for.
        expected: BlobId,
        /// The id of what was received.
        computed: BlobId,
    },
    /// A sliver, symbol or target index at or above the number of shards.
    #[error("the {axis} sliver index {index} is too large for {n_shards} shards")]
    IndexTooLarge {
        /// Axis of the index.
        axis: Axis,
        /// The index.
        index: u16,
        /// The shard count.
        n_shards: u16,
    },
    /// A sliver with a wrong number of bytes.
    #[error("the {axis} sliver has {have} bytes, the metadata implies {need}")]
    SliverLength {
        /// Axis of the sliver.
        axis: Axis,
        /// Its length.
        have: usize,
        /// The committed length.
        need: usize,
    },
    /// A sliver or symbol with a wrong symbol size.
    #[error("the symbol size is {have}, the metadata implies {need}")]
    SymbolSize {
        /// The size that was received, in bytes.
        have: usize,
        /// The size that the metadata implies, in bytes.
        need: usize,
    },
    /// A sliver whose hash is not the committed one.
    #[error("the recomputed Merkle root of {axis} sliver {index} does not match the metadata")]
    RootMismatch {
        /// Axis of the sliver.
        axis: Axis,
        /// Its index.
        index: u16,
    },
    /// A recovery symbol for another sliver than the one being recovered.
    #[error("the recovery symbol is not one of {axis} sliver {index}")]
    WrongTarget {
        /// Axis of the wanted sliver.
        axis: Axis,
        /// Its index.
        index: u16,
    },
    /// A recovery symbol whose Merkle proof does not lead to the committed root.
    #[error("the Merkle proof of the symbol from {source_axis} sliver {index} is invalid")]
    ProofInvalid {
        /// Axis of the sliver that the symbol was taken from.
        source_axis: Axis,
        /// Its index.
        index: u16,
    },
    /// An inconsistency proof with a wrong number of symbols.
    #[error("the inconsistency proof has {have} recovery symbols, exactly {need} are needed")]
    SymbolCount {
        /// Number of symbols in the proof.
        have: usize,
        /// Number needed.
        need: usize,
    },
}
