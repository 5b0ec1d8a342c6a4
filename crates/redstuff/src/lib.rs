//! Red Stuff (RS2): the two-dimensional Reed-Solomon erasure code of the Walrus storage network.
//!
//! A blob is laid out as a matrix of symbols; every row and every column is expanded with a Reed-Solomon code, so that any
//! third of the shards may be lost or lie, a lost sliver is rebuilt from little more than its own size, and the blob id
//! commits to every symbol through Merkle trees.
//!
//! No I/O beyond readers handed in, no async, no global state.
//!
//! | to | use |
//! |---|---|
//! | learn sizes and indices | [`Params`], [`PairIndex`], [`ShardIndex`], [`SliverIndex`] |
//! | store a blob | [`encode()`] or an [`Encoder`] |
//! | know a blob's id | [`blob_id()`], [`Encoder::metadata`], [`Encoder::metadata_from_reader`] |
//! | check what a node sent | [`Metadata::verify`], [`Sliver::verify`], [`RecoverySymbol::verify`] |
//! | read a byte range | [`Params::row_spans`] |
//! | decode a blob | [`decode()`] or a [`Decoder`] |
//! | rebuild one sliver | [`Sliver::expand`], [`recover_sliver`] |
//! | prove a blob wrong | [`InconsistencyProof`] |
//! | store many small blobs as one | [`quilt`] |
//!
//! ```
//! use redstuff::{Consistency, Params, decode, encode};
//!
//! let params = Params::new(10)?;
//! let blob = b"every third shard may be lost".to_vec();
//! let encoded = encode(&params, &blob)?;
//!
//! // The last four primary slivers contain none of the blob's bytes, and decode it all the same.
//! let slivers = params.slivers().rev().take(4).map(|i| encoded.primary(i)).collect::<Result<Vec<_>, _>>()?;
//! for sliver in &slivers {
//!     sliver.verify(encoded.metadata())?;
//! }
//! assert_eq!(decode(encoded.metadata(), &slivers, Consistency::Strict)?, blob);
//! # Ok::<(), redstuff::Error>(())
//! ```

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod axis;
mod blob_id;
mod buffer;
mod code;
mod decode;
mod encode;
mod error;
mod hash;
mod layout;
mod merkle;
mod metadata;
mod params;
mod pipeline;
pub mod quilt;
mod range;
mod simd;
mod sliver;
mod symbol;
mod wire;

pub use axis::{Axis, PairIndex, ParseAxisError, Primary, Secondary, ShardIndex, SliverAxis, SliverIndex};
pub use blob_id::{BlobId, ENCODING_TYPE_RS2};
pub use decode::{Consistency, Decoder, decode};
pub use encode::{BlobBuffer, Encoded, Encoder, Prepared, Stream, Window, blob_id, encode};
pub use error::{Error, Rejection};
pub use merkle::{MerkleProof, MerkleTree, Node};
pub use metadata::{Metadata, PairHashes, VerifiedMetadata};
pub use params::Params;
pub use range::RowSpan;
pub use simd::Simd;
pub use sliver::{ExpandedSliver, Sliver, verify_sliver};
pub use symbol::{
    DecodingSymbol, GeneralRecoverySymbol, InconsistencyProof, Recovered, RecoverySymbol, SymbolId, recover_sliver,
};
