//! `storage_resource`, `metadata`, `blob` and `shared_blob`.

use sui_sdk_types::hash::Hasher;
use sui_sdk_types::{Owner, TypeTag};
use walrus_client::wire::abort::{blob as code, encoding, storage_resource as resource};
use walrus_client::wire::chain::{
    Blob, BlobCertified, BlobDeleted, BlobRegistered, Coin, ENCODING_RS2, Metadata, ObjectId, SharedBlob, Storage,
    U256, encoded_size,
};
use walrus_client::wire::message::{Persistence, StorageConfirmation};

use super::Native;
use super::framework::add;
use crate::chain::execute::{Call, Failure, Outcome, Session, ensure};
use crate::chain::packages::Pkg;

const BLOB: &str = "blob";
const RESOURCE: &str = "storage_resource";

pub(super) fn native(module: &str, name: &str) -> Option<Native> {
    Some(match (module, name) {
        ("storage_resource", "start_epoch") => |call| storage(call, |s| s.start_epoch),
        ("storage_resource", "end_epoch") => |call| storage(call, |s| s.end_epoch),
        ("storage_resource", "size") => |call| storage(call, |s| s.storage_size),
        ("storage_resource", "split_by_epoch") => split_by_epoch,
        ("storage_resource", "split_by_size") => split_by_size,
        ("storage_resource", "fuse_periods") => |call| fuse(call, fuse_periods),
        ("storage_resource", "fuse_amount") => |call| fuse(call, fuse_amount),
        ("storage_resource", "fuse") => |call| {
            fuse(call, |a, b| if a.start_epoch == b.start_epoch { fuse_amount(a, b) } else { fuse_periods(a, b) })
        },
        ("storage_resource", "destroy") => |call| {
            let storage: Storage = call.arg(0)?;
            call.session.delete_id(storage.id);
            Ok(())
        },
        ("metadata", "new") => |call| call.ret(&Metadata::default()),
        ("metadata", "insert_or_update") => |call| {
            let mut metadata: Metadata = call.arg(0)?;
            metadata.metadata.insert(call.arg(1)?, call.arg(2)?);
            call.set(0, &metadata)
        },
        ("metadata", "remove") => |call| {
            let mut metadata: Metadata = call.arg(0)?;
            let key: String = call.arg(1)?;
            let value = remove_pair(&mut metadata, &key)?;
            call.set(0, &metadata)?;
            call.ret(&key)?;
            call.ret(&value)
        },
        ("metadata", "remove_if_exists") => |call| {
            let mut metadata: Metadata = call.arg(0)?;
            let value = metadata.metadata.remove(&call.arg::<String>(1)?);
            call.set(0, &metadata)?;
            call.ret(&value)
        },
        ("blob", _) => return blob_native(name),
        ("shared_blob", "new") => |call| share(call, false),
        ("shared_blob", "new_funded") => |call| share(call, true),
        ("shared_blob", "fund") => |call| {
            let mut shared: SharedBlob = call.arg(0)?;
            let coin: Coin = call.arg(1)?;
            shared.funds = add(shared.funds, coin.balance)?;
            call.session.delete_id(coin.id);
            call.set(0, &shared)
        },
        ("shared_blob", "extend") => super::system::extend_shared,
        _ => return None,
    })
}

fn blob_native(name: &str) -> Option<Native> {
    Some(match name {
        "object_id" => |call| field(call, |b| b.id),
        "registered_epoch" => |call| field(call, |b| b.registered_epoch),
        "blob_id" => |call| field(call, |b| b.blob_id),
        "size" => |call| field(call, |b| b.size),
        "encoding_type" => |call| field(call, |b| b.encoding_type),
        "certified_epoch" => |call| field(call, |b| b.certified_epoch),
        "end_epoch" => |call| field(call, |b| b.storage.end_epoch),
        "is_deletable" => |call| field(call, |b| b.deletable),
        "derive_blob_id" => |call| {
            let id = derive_blob_id(call.arg(0)?, call.arg(1)?, call.arg(2)?);
            call.ret(&id)
        },
        "burn" => |call| {
            let blob: Blob = call.arg(0)?;
            remove_metadata(call.session, blob.id)?;
            call.session.delete_id(blob.id);
            call.session.delete_id(blob.storage.id);
            Ok(())
        },
        "add_metadata" => |call| attributes(call, Op::Add),
        "add_or_replace_metadata" => |call| attributes(call, Op::Replace),
        "take_metadata" => |call| attributes(call, Op::Take),
        "insert_or_update_metadata_pair" => |call| attributes(call, Op::Insert),
        "remove_metadata_pair" => |call| attributes(call, Op::Remove),
        "remove_metadata_pair_if_exists" => |call| attributes(call, Op::RemoveIfExists),
        _ => return None,
    })
}

fn field<T: serde::Serialize>(call: &mut Call<'_, '_>, get: impl Fn(&Blob) -> T) -> Outcome<()> {
    let blob: Blob = call.arg(0)?;
    call.ret(&get(&blob))
}

fn storage<T: serde::Serialize>(call: &mut Call<'_, '_>, get: impl Fn(&Storage) -> T) -> Outcome<()> {
    let storage: Storage = call.arg(0)?;
    call.ret(&get(&storage))
}

fn split_by_epoch(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut storage: Storage = call.arg(0)?;
    let at: u32 = call.arg(1)?;
    ensure(at > storage.start_epoch && at < storage.end_epoch, RESOURCE, resource::INVALID_EPOCH)?;
    let upper = Storage { id: call.session.new_id(), start_epoch: at, ..storage };
    storage.end_epoch = at;
    call.set(0, &storage)?;
    call.ret(&upper)
}

fn split_by_size(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut storage: Storage = call.arg(0)?;
    let size: u64 = call.arg(1)?;
    let rest = storage.storage_size.checked_sub(size);
    ensure(rest.is_some(), RESOURCE, resource::INCOMPATIBLE_AMOUNT)?;
    let part = Storage { id: call.session.new_id(), storage_size: rest.unwrap_or_default(), ..storage };
    storage.storage_size = size;
    call.set(0, &storage)?;
    call.ret(&part)
}

fn fuse(call: &mut Call<'_, '_>, rule: impl Fn(&mut Storage, &Storage) -> Outcome<()>) -> Outcome<()> {
    let mut storage: Storage = call.arg(0)?;
    let other: Storage = call.arg(1)?;
    rule(&mut storage, &other)?;
    call.session.delete_id(other.id);
    call.set(0, &storage)
}

/// Joins two adjacent intervals of equal size.
pub(super) fn fuse_periods(storage: &mut Storage, other: &Storage) -> Outcome<()> {
    ensure(storage.storage_size == other.storage_size, RESOURCE, resource::INCOMPATIBLE_AMOUNT)?;
    if storage.end_epoch == other.start_epoch {
        storage.end_epoch = other.end_epoch;
    } else {
        ensure(storage.start_epoch == other.end_epoch, RESOURCE, resource::INCOMPATIBLE_EPOCHS)?;
        storage.start_epoch = other.start_epoch;
    }
    Ok(())
}

fn fuse_amount(storage: &mut Storage, other: &Storage) -> Outcome<()> {
    let same = storage.start_epoch == other.start_epoch && storage.end_epoch == other.end_epoch;
    ensure(same, RESOURCE, resource::INCOMPATIBLE_EPOCHS)?;
    storage.storage_size = add(storage.storage_size, other.storage_size)?;
    Ok(())
}

/// blake2b-256 over BCS(encoding type, size, root hash).
pub(super) fn derive_blob_id(root_hash: U256, encoding_type: u8, size: u64) -> U256 {
    let mut hasher = Hasher::new();
    hasher.update([encoding_type]);
    hasher.update(size.to_le_bytes());
    hasher.update(root_hash.0);
    U256(hasher.finalize().into_inner())
}

/// `encoding::encoded_blob_length`.
pub(super) fn encoded_length(size: u64, encoding_type: u8, n_shards: u16) -> Outcome<u64> {
    ensure(encoding_type == ENCODING_RS2, "encoding", encoding::INVALID_ENCODING_TYPE)?;
    encoded_size(size, n_shards).ok_or(Failure::Arithmetic)
}

/// What `system::register_blob` is given.
pub(super) struct Registration {
    pub(super) blob_id: U256,
    pub(super) root_hash: U256,
    pub(super) size: u64,
    pub(super) encoding_type: u8,
    pub(super) deletable: bool,
}

/// `blob::new`: a registered blob on its storage.
pub(super) fn register(
    session: &mut Session<'_>,
    storage: Storage,
    new: &Registration,
    epoch: u32,
    n_shards: u16,
) -> Outcome<Blob> {
    let id = session.new_id();
    let inside = epoch >= storage.start_epoch && epoch < storage.end_epoch;
    ensure(inside, BLOB, code::RESOURCE_BOUNDS)?;
    let encoded = encoded_length(new.size, new.encoding_type, n_shards)?;
    ensure(encoded <= storage.storage_size, BLOB, code::RESOURCE_SIZE)?;
    let derived = derive_blob_id(new.root_hash, new.encoding_type, new.size);
    ensure(derived == new.blob_id, BLOB, code::INVALID_BLOB_ID)?;
    session.walrus_event(
        "BlobRegistered",
        &BlobRegistered {
            epoch,
            blob_id: new.blob_id,
            size: new.size,
            encoding_type: new.encoding_type,
            end_epoch: storage.end_epoch,
            deletable: new.deletable,
            object_id: id,
        },
    )?;
    Ok(Blob {
        id,
        registered_epoch: epoch,
        blob_id: new.blob_id,
        size: new.size,
        encoding_type: new.encoding_type,
        certified_epoch: None,
        storage,
        deletable: new.deletable,
    })
}

/// `blob::certify_with_certified_msg`.
pub(super) fn certify(
    session: &mut Session<'_>,
    blob: &mut Blob,
    epoch: u32,
    confirmed: &StorageConfirmation,
) -> Outcome<()> {
    ensure(blob.blob_id == confirmed.blob_id, BLOB, code::INVALID_BLOB_ID)?;
    ensure(blob.certified_epoch.is_none(), BLOB, code::ALREADY_CERTIFIED)?;
    ensure(epoch < blob.storage.end_epoch, BLOB, code::RESOURCE_BOUNDS)?;
    match confirmed.persistence {
        Persistence::Permanent => ensure(!blob.deletable, BLOB, code::INVALID_BLOB_PERSISTENCE_TYPE)?,
        Persistence::Deletable(object) => {
            ensure(blob.deletable, BLOB, code::INVALID_BLOB_PERSISTENCE_TYPE)?;
            ensure(object == blob.id, BLOB, code::INVALID_BLOB_OBJECT)?;
        }
    }
    blob.certified_epoch = Some(epoch);
    emit_certified(session, blob, false)
}

/// The event of a certification or of an extension.
pub(super) fn emit_certified(session: &mut Session<'_>, blob: &Blob, is_extension: bool) -> Outcome<()> {
    session.walrus_event(
        "BlobCertified",
        &BlobCertified {
            epoch: blob.certified_epoch.unwrap_or_default(),
            blob_id: blob.blob_id,
            end_epoch: blob.storage.end_epoch,
            deletable: blob.deletable,
            object_id: blob.id,
            is_extension,
        },
    )
}

/// Certified, and not expired: what may be extended.
pub(super) fn check_extendable(blob: &Blob, epoch: u32) -> Outcome<()> {
    ensure(blob.certified_epoch.is_some(), BLOB, code::NOT_CERTIFIED)?;
    ensure(epoch < blob.storage.end_epoch, BLOB, code::RESOURCE_BOUNDS)
}

/// `blob::extend_with_resource`.
pub(super) fn extend_with(session: &mut Session<'_>, blob: &mut Blob, extension: &Storage, epoch: u32) -> Outcome<()> {
    check_extendable(blob, epoch)?;
    ensure(extension.end_epoch > blob.storage.end_epoch, BLOB, code::RESOURCE_BOUNDS)?;
    fuse_periods(&mut blob.storage, extension)?;
    session.delete_id(extension.id);
    emit_certified(session, blob, true)
}

/// `blob::delete`: the storage comes back.
pub(super) fn delete(session: &mut Session<'_>, blob: Blob, epoch: u32) -> Outcome<Storage> {
    remove_metadata(session, blob.id)?;
    ensure(blob.deletable, BLOB, code::BLOB_NOT_DELETABLE)?;
    ensure(blob.storage.end_epoch > epoch, BLOB, code::RESOURCE_BOUNDS)?;
    session.delete_id(blob.id);
    session.walrus_event(
        "BlobDeleted",
        &BlobDeleted {
            epoch,
            blob_id: blob.blob_id,
            end_epoch: blob.storage.end_epoch,
            object_id: blob.id,
            was_certified: blob.certified_epoch.is_some(),
        },
    )?;
    Ok(blob.storage)
}

fn share(call: &mut Call<'_, '_>, funded: bool) -> Outcome<()> {
    let blob: Blob = call.arg(0)?;
    let mut funds = 0;
    if funded {
        let coin: Coin = call.arg(1)?;
        call.session.delete_id(coin.id);
        funds = coin.balance;
    }
    let shared = SharedBlob { id: call.session.new_id(), blob, funds };
    let tag = call.session.walrus("shared_blob", "SharedBlob");
    let contents = crate::chain::execute::to_bytes(&shared)?;
    call.session.place(Owner::Shared(0), tag, contents)?;
    Ok(())
}

/// What is done to the attributes of a blob or pooled blob.
#[derive(Clone, Copy)]
pub(super) enum Op {
    Add,
    Replace,
    Take,
    Insert,
    Remove,
    RemoveIfExists,
}

/// Abort codes of the module whose attributes they are.
#[derive(Clone, Copy)]
pub(super) struct AttributeCodes {
    pub(super) module: &'static str,
    pub(super) duplicate: u64,
    pub(super) missing: u64,
}

const BLOB_CODES: AttributeCodes =
    AttributeCodes { module: BLOB, duplicate: code::DUPLICATE_METADATA, missing: code::MISSING_METADATA };

fn attributes(call: &mut Call<'_, '_>, op: Op) -> Outcome<()> {
    let blob: Blob = call.arg(0)?;
    change_attributes(call, blob.id, op, 1, BLOB_CODES)
}

fn name() -> (TypeTag, &'static [u8]) {
    (TypeTag::Vector(Box::new(TypeTag::U8)), b"\x08metadata")
}

/// Removes the attributes if there are any.
pub(super) fn remove_metadata(session: &mut Session<'_>, object: ObjectId) -> Outcome<()> {
    let (name, key) = name();
    session.remove_field(object, &name, key)?;
    Ok(())
}

fn remove_pair(metadata: &mut Metadata, key: &String) -> Outcome<String> {
    // `vec_map::EKeyDoesNotExist`
    metadata.metadata.remove(key).ok_or(Failure::Abort { pkg: Pkg::Sui, module: "vec_map", code: 1 })
}

/// Does `op` to the attributes of `object`; its own arguments begin at index `from`.
pub(super) fn change_attributes(
    call: &mut Call<'_, '_>,
    object: ObjectId,
    op: Op,
    from: usize,
    codes: AttributeCodes,
) -> Outcome<()> {
    let (name, key) = name();
    let value_type: TypeTag = call.session.walrus("metadata", "Metadata").into();
    let old: Option<Metadata> = call.session.field(object, &name, key)?;
    let missing = || crate::chain::execute::abort(codes.module, codes.missing);
    let new = match op {
        Op::Add => {
            ensure(old.is_none(), codes.module, codes.duplicate)?;
            Some(call.arg(from)?)
        }
        Op::Replace => {
            call.ret(&old)?;
            Some(call.arg(from)?)
        }
        Op::Take => {
            call.ret(&old.ok_or_else(missing)?)?;
            None
        }
        Op::Insert => {
            let mut metadata = old.unwrap_or_default();
            metadata.metadata.insert(call.arg(from)?, call.arg(from + 1)?);
            Some(metadata)
        }
        Op::Remove => {
            let mut metadata = old.ok_or_else(missing)?;
            let pair_key: String = call.arg(from)?;
            let value = remove_pair(&mut metadata, &pair_key)?;
            call.ret(&pair_key)?;
            call.ret(&value)?;
            Some(metadata)
        }
        Op::RemoveIfExists => {
            let mut old = old;
            let pair_key: String = call.arg(from)?;
            let value = old.as_mut().and_then(|metadata| metadata.metadata.remove(&pair_key));
            call.ret(&value)?;
            match old {
                Some(metadata) => Some(metadata),
                None => return Ok(()),
            }
        }
    };
    match new {
        Some(metadata) => call.session.set_field(object, &name, key, value_type, &metadata),
        None => call.session.remove_field(object, &name, key).map(|_| ()),
    }
}
