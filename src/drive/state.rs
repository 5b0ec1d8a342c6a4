//! The newest verified state of a drive and of its storage pool.

use super::failure::chain_error;
use super::object::{DriveObject, Holder, Lease};
use super::seal::SealFacts;
use super::session::Session;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{DriveUid, Sequence};
use crate::pack::RootRef;
use sui_sdk_types::Address;
use walrus_client::ClientError;
use walrus_client::chain::WalrusState;
use walrus_client::tx::type_tag;
use walrus_client::wire::chain::{
    EmptyStruct, EpochState, Field, ObjectId, StoragePool, StoragePoolInnerV1, dynamic_object_field_id,
    versioned_field_id,
};

/// The drive's storage pool. Capacity counts encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// The pool object.
    pub id: Address,
    /// Encoded bytes that were bought.
    pub capacity: u64,
    /// Encoded bytes that registered blobs take.
    pub used: u64,
    /// Registered blobs.
    pub blobs: u64,
    /// First Walrus epoch that is paid.
    pub start_epoch: u32,
    /// First Walrus epoch that is not paid.
    pub end_epoch: u32,
    /// The pool's table of blobs.
    pub(super) table: ObjectId,
}

impl PoolState {
    /// Encoded bytes that can still be registered.
    pub fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }

    /// About when the pool ends, milliseconds since the Unix epoch, by what the chain says of its epochs; `now_ms` stands in
    /// for the start of the epoch while the network is changing epochs.
    pub fn ends_at_ms(&self, walrus: &WalrusState, now_ms: u64) -> u64 {
        let started = match walrus.epoch_state {
            EpochState::EpochChangeDone(at) | EpochState::NextParamsSelected(at) => at,
            EpochState::EpochChangeSync(_) => now_ms,
        };
        let left = u64::from(self.end_epoch.saturating_sub(walrus.epoch()));
        started.saturating_add(left.saturating_mul(walrus.epoch_duration_ms))
    }
}

/// A drive as its newest verified commit left it. Immutable; a new one replaces it.
#[derive(Clone, Debug)]
pub struct DriveState {
    /// The object as it stands on the chain.
    pub object: DriveObject,
    /// What the seal says: time, predecessor and name of the commit.
    pub facts: SealFacts,
    /// The label.
    pub label: String,
    /// The storage pool.
    pub pool: PoolState,
}

impl DriveState {
    /// The drive's own name.
    pub fn uid(&self) -> DriveUid {
        self.object.uid
    }

    /// The sequence.
    pub fn sequence(&self) -> Sequence {
        self.object.sequence
    }

    /// The checkpoint of the tree, once there is one.
    pub fn root(&self) -> Option<RootRef> {
        self.object.root
    }

    /// Who writes.
    pub fn lease(&self) -> Option<Lease> {
        self.object.writer
    }

    /// Whether `holder` has the lease (ended or not: while nobody took it over it is still its own).
    pub fn is_writer(&self, holder: &Holder) -> bool {
        self.object.writer.is_some_and(|lease| lease.holder == *holder)
    }
}

impl Session {
    /// The field object under `drive` that names its pool.
    fn pool_field(&self, drive: &Address) -> FsResult<ObjectId> {
        let name = type_tag(self.package, "drive", "PoolKey").map_err(|error| chain_error("PoolKey", error))?;
        Ok(dynamic_object_field_id(drive, &name, &[0]))
    }

    /// Reads the pool of `drive`.
    pub(super) async fn read_pool(&self, drive: &Address) -> FsResult<PoolState> {
        let field = self.pool_field(drive)?;
        let read = async {
            let id = self.chain().dynamic_field::<EmptyStruct, ObjectId>(&field).await?.value;
            let object = self.chain().object(&id).await?;
            if !object.is_type("storage_pool", "StoragePool") {
                return Err(ClientError::Invalid(format!("object {id} is no storage pool")));
            }
            let version = object.decode::<StoragePool>()?.version;
            let inner: Field<u64, StoragePoolInnerV1> =
                self.chain().dynamic_field(&versioned_field_id(&id, version)).await?;
            Ok((id, inner.value))
        };
        let (id, inner) = read.await.map_err(|error| match error {
            ClientError::NotFound { what } => FsError::new(
                Kind::Unreachable,
                format!("the drive's storage pool cannot be read: {what} does not exist (yet) on this server"),
            ),
            error => chain_error("cannot read the drive's storage pool", error),
        })?;
        Ok(PoolState {
            id,
            capacity: inner.storage.storage_size,
            used: inner.used_encoded_bytes,
            blobs: inner.blob_count,
            start_epoch: inner.storage.start_epoch,
            end_epoch: inner.storage.end_epoch,
            table: inner.blobs.id,
        })
    }
}
