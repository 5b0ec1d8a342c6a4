//! Blob metadata: the hash of every sliver, from which the blob id follows.
//!
//! What a node or a user hands over is a [`Metadata`]; only [`Metadata::verify`] makes a [`VerifiedMetadata`] of it, and
//! everything that relies on the hashes asks for the latter.

use crate::merkle::{self, Node};
use crate::simd::Backend;
use crate::wire::{Reader, put_uleb};
use crate::{Axis, BlobId, ENCODING_TYPE_RS2, Error, Params, Rejection, SliverAxis, SliverIndex};
use std::num::NonZeroU16;
use std::ops::Deref;

const WHAT: &str = "blob metadata";

/// The hashes of the two slivers of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairHashes {
    /// Root of the tree over the whole expanded row.
    pub primary: Node,
    /// Root of the tree over the whole expanded column.
    pub secondary: Node,
}

/// Metadata as it travels: well-formed, not yet compared with anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    unencoded_length: u64,
    hashes: Vec<PairHashes>,
}

impl Metadata {
    /// Metadata of a blob of `unencoded_length` bytes with these hashes, pair 0 first.
    pub fn new(unencoded_length: u64, hashes: Vec<PairHashes>) -> Self {
        Self { unencoded_length, hashes }
    }

    /// Bytes of the blob.
    pub fn unencoded_length(&self) -> u64 {
        self.unencoded_length
    }

    /// The hashes by *pair* index.
    pub fn hashes(&self) -> &[PairHashes] {
        &self.hashes
    }

    /// The root of the tree over the 64-byte concatenated hashes of all pairs.
    pub fn root_hash(&self) -> Node {
        let leaves: Vec<[u8; 64]> = self
            .hashes
            .iter()
            .map(|pair| {
                let mut leaf = [0; 64];
                leaf[..32].copy_from_slice(pair.primary.as_bytes());
                leaf[32..].copy_from_slice(pair.secondary.as_bytes());
                leaf
            })
            .collect();
        merkle::root(Backend::detected().simd, leaves.len(), |i| &leaves[i])
    }

    /// The id that this metadata belongs to.
    pub fn blob_id(&self) -> BlobId {
        BlobId::compute(self.unencoded_length, &self.root_hash())
    }

    /// Checks that this is the metadata of blob `id` in a committee with `params`.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the number of hashes, the length or the id is wrong: the sender is faulty.
    pub fn verify(self, id: &BlobId, params: &Params) -> Result<VerifiedMetadata, Error> {
        let need = usize::from(params.n_shards());
        if self.hashes.len() != need {
            return Err(Rejection::HashCount { have: self.hashes.len(), need }.into());
        }
        let symbol_size = params
            .symbol_size(self.unencoded_length)
            .map_err(|_| Rejection::UnencodedLength { length: self.unencoded_length, max: params.max_blob_size() })?;
        let computed = self.blob_id();
        if computed != *id {
            return Err(Rejection::BlobIdMismatch { expected: *id, computed }.into());
        }
        Ok(VerifiedMetadata { metadata: self, blob_id: computed, params: *params, symbol_size })
    }

    /// Parses the BCS of `BlobMetadata`, the form that nodes are sent.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_bcs(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        let metadata = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(metadata)
    }

    /// Parses the BCS of `BlobMetadataWithId`, the form that nodes answer with. The id is what the sender *says*.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_bcs_with_id(bytes: &[u8]) -> Result<(BlobId, Self), Error> {
        let mut reader = Reader::new(WHAT, bytes);
        let id = BlobId(reader.array()?);
        let metadata = Self::read(&mut reader)?;
        reader.finish()?;
        Ok((id, metadata))
    }

    /// The BCS of `BlobMetadata` (66012 bytes for 1000 shards).
    pub fn to_bcs(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + 66 * self.hashes.len());
        self.write(&mut out);
        out
    }

    /// The BCS of `BlobMetadataWithId`: 32 bytes more.
    pub fn to_bcs_with_id(&self, id: &BlobId) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + 66 * self.hashes.len());
        out.extend_from_slice(id.as_bytes());
        self.write(&mut out);
        out
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        if reader.uleb()? != 0 {
            return Err(reader.malformed("unknown metadata version"));
        }
        if reader.u8()? != ENCODING_TYPE_RS2 {
            return Err(reader.malformed("unsupported encoding type"));
        }
        let unencoded_length = reader.u64()?;
        let count = reader.count(2)?;
        if count > usize::from(u16::MAX) {
            return Err(reader.malformed("more sliver pairs than shards can be numbered"));
        }
        let mut hashes = Vec::with_capacity(count);
        for _ in 0..count {
            hashes.push(PairHashes { primary: Node::read(reader)?, secondary: Node::read(reader)? });
        }
        Ok(Self { unencoded_length, hashes })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.push(ENCODING_TYPE_RS2);
        out.extend_from_slice(&self.unencoded_length.to_le_bytes());
        put_uleb(out, self.hashes.len());
        for pair in &self.hashes {
            pair.primary.write(out);
            pair.secondary.write(out);
        }
    }
}

/// Metadata that hashes to its blob id and fits the committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedMetadata {
    metadata: Metadata,
    blob_id: BlobId,
    params: Params,
    symbol_size: NonZeroU16,
}

impl VerifiedMetadata {
    /// Metadata just computed by this crate: true by construction.
    pub(crate) fn computed(metadata: Metadata, params: &Params, symbol_size: NonZeroU16) -> Self {
        let blob_id = metadata.blob_id();
        Self { metadata, blob_id, params: *params, symbol_size }
    }

    /// The blob's id.
    pub fn blob_id(&self) -> &BlobId {
        &self.blob_id
    }

    /// The committee's parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Bytes of one symbol.
    pub fn symbol_size(&self) -> NonZeroU16 {
        self.symbol_size
    }

    /// Bytes of one sliver of `axis`.
    pub fn sliver_length(&self, axis: Axis) -> usize {
        usize::from(self.params.symbols_per_sliver(axis)) * usize::from(self.symbol_size.get())
    }

    /// The committed hash of a sliver; `None` if the index is not below `n`.
    pub fn sliver_hash<A: SliverAxis>(&self, index: SliverIndex<A>) -> Option<&Node> {
        let pair = self.metadata.hashes.get(index.pair(&self.params).as_usize())?;
        Some(match A::AXIS {
            Axis::Primary => &pair.primary,
            Axis::Secondary => &pair.secondary,
        })
    }

    /// The BCS of `BlobMetadataWithId`, the answer of a node.
    pub fn to_bcs_with_id(&self) -> Vec<u8> {
        self.metadata.to_bcs_with_id(&self.blob_id)
    }

    /// The plain metadata.
    pub fn into_inner(self) -> Metadata {
        self.metadata
    }
}

impl Deref for VerifiedMetadata {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        &self.metadata
    }
}
