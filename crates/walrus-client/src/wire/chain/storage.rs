//! What users own: storage reservations, blobs, storage pools and pooled blobs.

#![expect(missing_docs, reason = "field names are the Move structs' own; units stand at the type")]

use super::framework::{ObjectId, Table, U256, VecMap};
use serde::{Deserialize, Serialize};

/// The only encoding type that the contracts accept (`RS2`).
pub const ENCODING_RS2: u8 = 1;

/// `storage_resource::Storage`: `storage_size` encoded bytes in the epochs `start_epoch..end_epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    pub id: ObjectId,
    pub start_epoch: u32,
    pub end_epoch: u32,
    pub storage_size: u64,
}

/// `blob::Blob`; `size` is the unencoded length in bytes. Attributes are the dynamic field `metadata`
/// (name type `vector<u8>`) of type [`Metadata`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub id: ObjectId,
    pub registered_epoch: u32,
    pub blob_id: U256,
    pub size: u64,
    pub encoding_type: u8,
    /// The epoch of the first certification; extensions never change it.
    pub certified_epoch: Option<u32>,
    pub storage: Storage,
    pub deletable: bool,
}

/// `shared_blob::SharedBlob`, shared; `funds` in FROST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedBlob {
    pub id: ObjectId,
    pub blob: Blob,
    pub funds: u64,
}

/// `metadata::Metadata`: the attributes of a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub metadata: VecMap<String, String>,
}

/// The name (of type `vector<u8>`) of the dynamic field that holds a blob's attributes.
pub const ATTRIBUTES_FIELD: &[u8] = b"metadata";

/// The id of the field that holds the attributes of the `Blob` or `PooledBlob` with this id.
pub fn attributes_field_id(blob: &ObjectId) -> ObjectId {
    let name_type = sui_sdk_types::TypeTag::Vector(Box::new(sui_sdk_types::TypeTag::U8));
    let mut name = vec![8];
    name.extend_from_slice(ATTRIBUTES_FIELD);
    super::framework::dynamic_field_id(blob, &name_type, &name)
}

/// `storage_pool::StoragePool`: the inner state is the dynamic field `version` (1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoragePool {
    pub id: ObjectId,
    pub version: u64,
}

/// `storage_pool::StoragePoolInnerV1`; `blobs` is `ObjectTable<u256, PooledBlob>`: the key is the blob id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoragePoolInnerV1 {
    pub storage: Storage,
    pub used_encoded_bytes: u64,
    pub blob_count: u64,
    pub blobs: Table,
}

/// `storage_pool::PooledBlob`, a child object of the pool's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PooledBlob {
    pub id: ObjectId,
    pub registered_epoch: u32,
    pub blob_id: U256,
    pub unencoded_size: u64,
    pub encoding_type: u8,
    pub certified_epoch: Option<u32>,
    pub storage_pool_id: ObjectId,
    pub deletable: bool,
}

/// The id of the `Field` object that names the `PooledBlob` of `blob_id` in the table `blobs` of a pool.
pub fn pooled_blob_field_id(blobs_table: &ObjectId, blob_id: &U256) -> ObjectId {
    super::framework::dynamic_object_field_id(blobs_table, &sui_sdk_types::TypeTag::U256, &blob_id.0)
}

/// Bytes of encoded storage in one unit of the price list.
pub const BYTES_PER_UNIT: u64 = 1 << 20;

/// The number of priced units of `encoded` bytes: `ceil(encoded / 1 MiB)`.
pub fn units(encoded: u64) -> u64 {
    encoded.div_ceil(BYTES_PER_UNIT)
}

/// The encoded size in bytes that the contract counts for a blob of `size` bytes on `n_shards` shards
/// (`redstuff.move`). `None` where the contract's own arithmetic would abort (the symbol size passes 65535, or fewer
/// than one shard).
pub fn encoded_size(size: u64, n_shards: u16) -> Option<u64> {
    let n = u64::from(n_shards);
    let f = n.checked_sub(1)? / 3;
    let (primary, secondary) = (n - 2 * f, n - f);
    let symbol = size.max(1).div_ceil(primary * secondary);
    let symbol = symbol.checked_add(symbol % 2)?;
    if symbol > u64::from(u16::MAX) {
        return None;
    }
    Some(n * ((primary + secondary) * symbol + 64 * n + 32))
}
