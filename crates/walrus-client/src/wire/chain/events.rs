//! Events of the module `events`. The type of an event names the package that *defined* it, see
//! [`DEFINED_IN_ORIGINAL`].

#![expect(missing_docs, reason = "field names are the Move structs' own; units stand at the type")]

use super::framework::{ObjectId, U256};
use serde::{Deserialize, Serialize};

/// Events that exist since the first version of the package: their type carries the original package id. All others
/// carry the id of the version that added them (look it up in the type origins of the package to call).
pub const DEFINED_IN_ORIGINAL: &[&str] = &[
    "BlobRegistered",
    "BlobCertified",
    "BlobDeleted",
    "InvalidBlobID",
    "EpochChangeStart",
    "EpochChangeDone",
    "ShardsReceived",
    "ShardRecoveryStart",
    "EpochParametersSelected",
    "ContractUpgraded",
    "RegisterDenyListUpdate",
    "DenyListUpdate",
    "DenyListBlobDeleted",
    "ContractUpgradeProposed",
    "ContractUpgradeQuorumReached",
    "ProtocolVersionUpdated",
];

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name { $(pub $field: $type),* })*
    };
}

events! {
    /// A blob object was registered; `size` is the unencoded length.
    BlobRegistered { epoch: u32, blob_id: U256, size: u64, encoding_type: u8, end_epoch: u32, deletable: bool, object_id: ObjectId }
    /// A blob was certified or extended.
    BlobCertified { epoch: u32, blob_id: U256, end_epoch: u32, deletable: bool, object_id: ObjectId, is_extension: bool }
    /// A deletable blob was deleted.
    BlobDeleted { epoch: u32, blob_id: U256, end_epoch: u32, object_id: ObjectId, was_certified: bool }
    /// A blob id was proved to be inconsistently encoded (`InvalidBlobID` on chain).
    InvalidBlobId { epoch: u32, blob_id: U256 }
    /// A new epoch began; shards start to move.
    EpochChangeStart { epoch: u32 }
    /// Nodes with quorum weight have their shards.
    EpochChangeDone { epoch: u32 }
    /// A node has received its shards.
    ShardsReceived { epoch: u32, shards: Vec<u16> }
    /// Never emitted today.
    ShardRecoveryStart { epoch: u32, shards: Vec<u16> }
    /// The committee of the next epoch is chosen.
    EpochParametersSelected { next_epoch: u32 }
    /// The contracts were migrated to a new package.
    ContractUpgraded { epoch: u32, package_id: ObjectId, version: u64 }
    /// A node announced a deny list.
    RegisterDenyListUpdate { epoch: u32, root: U256, sequence_number: u64, node_id: ObjectId }
    /// A node's deny list was certified.
    DenyListUpdate { epoch: u32, root: U256, sequence_number: u64, node_id: ObjectId }
    /// A deny-listed blob was deleted.
    DenyListBlobDeleted { epoch: u32, blob_id: U256 }
    /// An upgrade was proposed.
    ContractUpgradeProposed { epoch: u32, package_digest: Vec<u8> }
    /// An upgrade has a quorum.
    ContractUpgradeQuorumReached { epoch: u32, package_digest: Vec<u8> }
    /// The protocol version will change at `start_epoch`.
    ProtocolVersionUpdated { epoch: u32, start_epoch: u32, protocol_version: u64 }
    /// Prices in FROST per MiB of encoded size (storage: per epoch).
    PricesUpdated { epoch: u32, storage_price: u64, write_price: u64 }
    /// A storage pool was created.
    StoragePoolCreated { epoch: u32, storage_pool_id: ObjectId, reserved_encoded_capacity_bytes: u64, start_epoch: u32, end_epoch: u32 }
    /// A pooled blob was registered.
    PooledBlobRegistered { epoch: u32, blob_id: U256, unencoded_size: u64, encoding_type: u8, deletable: bool, object_id: ObjectId, storage_pool_id: ObjectId }
    /// A pooled blob was certified.
    PooledBlobCertified { epoch: u32, blob_id: U256, deletable: bool, object_id: ObjectId, storage_pool_id: ObjectId }
    /// A pooled blob was deleted.
    PooledBlobDeleted { epoch: u32, blob_id: U256, object_id: ObjectId, was_certified: bool, storage_pool_id: ObjectId }
    /// A storage pool lasts longer now.
    StoragePoolExtended { epoch: u32, storage_pool_id: ObjectId, new_end_epoch: u32 }
}
