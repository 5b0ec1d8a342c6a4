//! Storage pools: `storage_pool` and the pool calls of `system`.

use sui_sdk_types::{Address, TypeTag};
use walrus_client::wire::abort::{storage_pool as code, system as system_code, system_state_inner as inner_code};
use walrus_client::wire::chain::{
    Coin, PooledBlob, PooledBlobCertified, PooledBlobDeleted, PooledBlobRegistered, Storage, StoragePool,
    StoragePoolCreated, StoragePoolExtended, StoragePoolInnerV1, Table, U256,
};
use walrus_client::wire::message::Persistence;

use super::Native;
use super::blob::{AttributeCodes, Op, change_attributes, derive_blob_id, encoded_length, remove_metadata};
use super::framework::add;
use super::system::{account, confirmation, inner, pay_storage, pay_write, reserve, save};
use crate::chain::execute::{Call, Failure, Outcome, Session, broken, ensure, from_bytes, to_bytes};
use crate::chain::packages::Pkg;

const POOL: &str = "storage_pool";
const SYSTEM: &str = "system_state_inner";
const POOL_VERSION: u64 = 1;

pub(super) fn system_native(name: &str) -> Option<Native> {
    Some(match name {
        "create_storage_pool" => create,
        "create_storage_pool_with_storage" => create_with_storage,
        "register_pooled_blob" => register,
        "certify_pooled_blob" => certify,
        "delete_pooled_blob" => delete,
        "burn_expired_pooled_blob" => burn_expired,
        "extend_storage_pool" => extend,
        "increase_storage_pool_capacity" => increase,
        "increase_storage_pool_capacity_with_storage" => increase_with_storage,
        "decrease_storage_pool_capacity_by_size" => decrease_by_size,
        "decrease_storage_pool_unused_capacity_by_percent" => decrease_by_percent,
        _ => return None,
    })
}

pub(super) fn native(name: &str) -> Option<Native> {
    Some(match name {
        "start_epoch" => |call| read(call, |pool| pool.storage.start_epoch),
        "end_epoch" => |call| read(call, |pool| pool.storage.end_epoch),
        "reserved_encoded_capacity_bytes" => |call| read(call, |pool| pool.storage.storage_size),
        "used_encoded_bytes" => |call| read(call, |pool| pool.used_encoded_bytes),
        "available_encoded_bytes" => |call| read(call, available),
        "blob_count" => |call| read(call, |pool| pool.blob_count),
        "contains_blob" => |call| {
            let (_, inner) = pool(call, 0)?;
            let found = find(call, &inner, call.arg(1)?)?.is_some();
            call.ret(&found)
        },
        "blob_object_id" => |call| {
            let (_, inner) = pool(call, 0)?;
            let blob = borrow(call, &inner, call.arg(1)?)?;
            call.ret(&blob.id)
        },
        "object_id" => |call| {
            let pool: StoragePool = call.arg(0)?;
            call.ret(&pool.id)
        },
        "destroy" => destroy,
        "add_blob_metadata" => |call| attributes(call, Op::Add),
        "add_or_replace_blob_metadata" => |call| attributes(call, Op::Replace),
        "take_blob_metadata" => |call| attributes(call, Op::Take),
        "insert_or_update_blob_metadata_pair" => |call| attributes(call, Op::Insert),
        "remove_blob_metadata_pair" => |call| attributes(call, Op::Remove),
        "remove_blob_metadata_pair_if_exists" => |call| attributes(call, Op::RemoveIfExists),
        _ => return None,
    })
}

fn pool(call: &mut Call<'_, '_>, index: usize) -> Outcome<(Address, StoragePoolInnerV1)> {
    let pool: StoragePool = call.arg(index)?;
    ensure(pool.version == POOL_VERSION, POOL, code::WRONG_VERSION)?;
    let inner = call.session.field(pool.id, &TypeTag::U64, &POOL_VERSION.to_le_bytes())?.ok_or_else(broken)?;
    Ok((pool.id, inner))
}

fn save_pool(session: &mut Session<'_>, id: Address, inner: &StoragePoolInnerV1) -> Outcome<()> {
    let value_type = session.walrus(POOL, "StoragePoolInnerV1").into();
    session.set_field(id, &TypeTag::U64, &POOL_VERSION.to_le_bytes(), value_type, inner)
}

fn available(pool: &StoragePoolInnerV1) -> u64 {
    pool.storage.storage_size.saturating_sub(pool.used_encoded_bytes)
}

fn read<T: serde::Serialize>(call: &mut Call<'_, '_>, get: impl Fn(&StoragePoolInnerV1) -> T) -> Outcome<()> {
    let (_, inner) = pool(call, 0)?;
    call.ret(&get(&inner))
}

/// The framework's abort for a table entry: 0 = exists already, 1 = does not exist.
fn table(code: u64) -> Failure {
    Failure::Abort { pkg: Pkg::Sui, module: "dynamic_field", code }
}

fn find(call: &mut Call<'_, '_>, inner: &StoragePoolInnerV1, blob_id: U256) -> Outcome<Option<PooledBlob>> {
    match call.session.object_field(inner.blobs.id, &TypeTag::U256, &blob_id.0)? {
        Some(live) => from_bytes(&live.contents).map(Some),
        None => Ok(None),
    }
}

fn borrow(call: &mut Call<'_, '_>, inner: &StoragePoolInnerV1, blob_id: U256) -> Outcome<PooledBlob> {
    find(call, inner, blob_id)?.ok_or_else(|| table(1))
}

/// `storage_pool::create` with the event.
fn new_pool(call: &mut Call<'_, '_>, storage: Storage, epoch: u32) -> Outcome<StoragePool> {
    ensure(storage.storage_size > 0, SYSTEM, inner_code::INVALID_RESOURCE_SIZE)?;
    let runs = storage.start_epoch <= epoch && storage.end_epoch > epoch;
    ensure(runs, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let pool = StoragePool { id: call.session.new_id(), version: POOL_VERSION };
    let inner = StoragePoolInnerV1 {
        storage,
        used_encoded_bytes: 0,
        blob_count: 0,
        blobs: Table { id: call.session.new_id(), size: 0 },
    };
    save_pool(call.session, pool.id, &inner)?;
    call.session.walrus_event(
        "StoragePoolCreated",
        &StoragePoolCreated {
            epoch,
            storage_pool_id: pool.id,
            reserved_encoded_capacity_bytes: storage.storage_size,
            start_epoch: storage.start_epoch,
            end_epoch: storage.end_epoch,
        },
    )?;
    Ok(pool)
}

fn create(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut system = inner(call, 0)?;
    let (size, epochs) = (call.arg(1)?, call.arg(2)?);
    let mut coin: Coin = call.arg(3)?;
    let storage = reserve(call.session, &mut system, size, epochs, &mut coin)?;
    let pool = new_pool(call, storage, system.committee.epoch)?;
    save(call, 0, &system)?;
    call.set(3, &coin)?;
    call.ret(&pool)
}

fn create_with_storage(call: &mut Call<'_, '_>) -> Outcome<()> {
    let system = inner(call, 0)?;
    let storage: Storage = call.arg(1)?;
    let pool = new_pool(call, storage, system.committee.epoch)?;
    call.ret(&pool)
}

fn register(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut system = inner(call, 0)?;
    let (pool_id, mut pool) = pool(call, 1)?;
    let (blob_id, root_hash): (U256, U256) = (call.arg(2)?, call.arg(3)?);
    let unencoded_size: u64 = call.arg(4)?;
    let encoding_type: u8 = call.arg(5)?;
    let deletable: bool = call.arg(6)?;
    let mut coin: Coin = call.arg(7)?;
    let epoch = system.committee.epoch;
    let runs = epoch >= pool.storage.start_epoch && epoch < pool.storage.end_epoch;
    ensure(runs, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let derived = derive_blob_id(root_hash, encoding_type, unencoded_size);
    ensure(derived == blob_id, POOL, code::INVALID_BLOB_ID)?;
    let blob = PooledBlob {
        id: call.session.new_id(),
        registered_epoch: epoch,
        blob_id,
        unencoded_size,
        encoding_type,
        certified_epoch: None,
        storage_pool_id: pool_id,
        deletable,
    };
    call.session.walrus_event(
        "PooledBlobRegistered",
        &PooledBlobRegistered {
            epoch,
            blob_id,
            unencoded_size,
            encoding_type,
            deletable,
            object_id: blob.id,
            storage_pool_id: pool_id,
        },
    )?;
    let encoded = encoded_length(unencoded_size, encoding_type, system.committee.n_shards)?;
    pool.blob_count = add(pool.blob_count, 1)?;
    pool.used_encoded_bytes = add(pool.used_encoded_bytes, encoded)?;
    let fits = pool.used_encoded_bytes <= pool.storage.storage_size;
    ensure(fits, POOL, code::INSUFFICIENT_CAPACITY)?;
    if find(call, &pool, blob_id)?.is_some() {
        return Err(table(0));
    }
    pool.blobs.size = add(pool.blobs.size, 1)?;
    let tag = call.session.walrus(POOL, "PooledBlob");
    let contents = to_bytes(&blob)?;
    call.session.add_object_field(pool.blobs.id, &TypeTag::U256, &blob_id.0, tag, contents)?;
    save_pool(call.session, pool_id, &pool)?;
    coin.balance = pay_write(&mut system, encoded, coin.balance)?;
    save(call, 0, &system)?;
    call.set(7, &coin)
}

fn certify(call: &mut Call<'_, '_>) -> Outcome<()> {
    let system = inner(call, 0)?;
    let confirmed = confirmation(call, &system, 3)?;
    let (pool_id, pool) = pool(call, 1)?;
    let mut blob = borrow(call, &pool, call.arg(2)?)?;
    let epoch = system.committee.epoch;
    ensure(blob.blob_id == confirmed.blob_id, POOL, code::INVALID_BLOB_ID)?;
    ensure(epoch < pool.storage.end_epoch, POOL, code::RESOURCE_BOUNDS)?;
    ensure(blob.certified_epoch.is_none(), POOL, code::ALREADY_CERTIFIED)?;
    blob.certified_epoch = Some(epoch);
    match confirmed.persistence {
        Persistence::Permanent => ensure(!blob.deletable, POOL, code::INVALID_BLOB_PERSISTENCE_TYPE)?,
        Persistence::Deletable(object) => {
            ensure(blob.deletable, POOL, code::INVALID_BLOB_PERSISTENCE_TYPE)?;
            ensure(object == blob.id, POOL, code::INVALID_BLOB_OBJECT)?;
        }
    }
    call.session.rewrite(blob.id, &blob)?;
    call.session.walrus_event(
        "PooledBlobCertified",
        &PooledBlobCertified {
            epoch,
            blob_id: blob.blob_id,
            deletable: blob.deletable,
            object_id: blob.id,
            storage_pool_id: pool_id,
        },
    )
}

/// Takes a blob out of the table and frees its capacity.
fn remove(call: &mut Call<'_, '_>, n_shards: u16) -> Outcome<PooledBlob> {
    let (pool_id, mut pool) = pool(call, 1)?;
    let blob_id: U256 = call.arg(2)?;
    let blob = borrow(call, &pool, blob_id)?;
    let encoded = encoded_length(blob.unencoded_size, blob.encoding_type, n_shards)?;
    ensure(pool.used_encoded_bytes >= encoded, POOL, code::INVALID_BLOB_SIZE)?;
    ensure(pool.blob_count >= 1, POOL, code::INVALID_BLOB_COUNT)?;
    pool.used_encoded_bytes -= encoded;
    pool.blob_count -= 1;
    pool.blobs.size = pool.blobs.size.checked_sub(1).ok_or_else(broken)?;
    call.session.remove_object_field(pool.blobs.id, &TypeTag::U256, &blob_id.0)?;
    save_pool(call.session, pool_id, &pool)?;
    remove_metadata(call.session, blob.id)?;
    Ok(blob)
}

fn delete(call: &mut Call<'_, '_>) -> Outcome<()> {
    let system = inner(call, 0)?;
    let (_, current) = pool(call, 1)?;
    let epoch = system.committee.epoch;
    ensure(current.storage.end_epoch > epoch, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let blob = remove(call, system.committee.n_shards)?;
    ensure(blob.deletable, POOL, code::BLOB_NOT_DELETABLE)?;
    call.session.delete_id(blob.id);
    call.session.walrus_event(
        "PooledBlobDeleted",
        &PooledBlobDeleted {
            epoch,
            blob_id: blob.blob_id,
            object_id: blob.id,
            was_certified: blob.certified_epoch.is_some(),
            storage_pool_id: blob.storage_pool_id,
        },
    )
}

fn burn_expired(call: &mut Call<'_, '_>) -> Outcome<()> {
    let system = inner(call, 0)?;
    let (_, current) = pool(call, 1)?;
    let expired = current.storage.end_epoch <= system.committee.epoch;
    ensure(expired, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let blob = remove(call, system.committee.n_shards)?;
    call.session.delete_id(blob.id);
    Ok(())
}

fn extend(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut system = inner(call, 0)?;
    let (pool_id, mut pool) = pool(call, 1)?;
    let epochs: u32 = call.arg(2)?;
    let mut coin: Coin = call.arg(3)?;
    let epoch = system.committee.epoch;
    ensure(epochs > 0, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    ensure(pool.storage.end_epoch > epoch, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let from = pool.storage.end_epoch - epoch;
    let to = from.checked_add(epochs).ok_or(Failure::Arithmetic)?;
    ensure(to <= system.future_accounting.length, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let size = pool.storage.storage_size;
    coin.balance = pay_storage(&mut system, size, from, to, coin.balance)?;
    account(&mut system, size, from, to, true)?;
    pool.storage.end_epoch = pool.storage.end_epoch.checked_add(epochs).ok_or(Failure::Arithmetic)?;
    save_pool(call.session, pool_id, &pool)?;
    save(call, 0, &system)?;
    call.set(3, &coin)?;
    let new_end_epoch = pool.storage.end_epoch;
    let event = StoragePoolExtended { epoch, storage_pool_id: pool_id, new_end_epoch };
    call.session.walrus_event("StoragePoolExtended", &event)
}

fn increase(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut system = inner(call, 0)?;
    let (pool_id, mut pool) = pool(call, 1)?;
    let bytes: u64 = call.arg(2)?;
    let mut coin: Coin = call.arg(3)?;
    ensure(bytes > 0, SYSTEM, inner_code::INVALID_RESOURCE_SIZE)?;
    let epoch = system.committee.epoch;
    ensure(pool.storage.end_epoch > epoch, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let remaining = pool.storage.end_epoch - epoch;
    coin.balance = pay_storage(&mut system, bytes, 0, remaining, coin.balance)?;
    account(&mut system, bytes, 0, remaining, true)?;
    pool.storage.storage_size = add(pool.storage.storage_size, bytes)?;
    save_pool(call.session, pool_id, &pool)?;
    save(call, 0, &system)?;
    call.set(3, &coin)
}

fn increase_with_storage(call: &mut Call<'_, '_>) -> Outcome<()> {
    let system = inner(call, 0)?;
    let (pool_id, mut pool) = pool(call, 1)?;
    let storage: Storage = call.arg(2)?;
    let epoch = system.committee.epoch;
    ensure(pool.storage.end_epoch > epoch, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    ensure(storage.start_epoch <= epoch, POOL, code::RESOURCE_BOUNDS)?;
    ensure(storage.end_epoch == pool.storage.end_epoch, POOL, code::INCOMPATIBLE_END_EPOCH)?;
    pool.storage.storage_size = add(pool.storage.storage_size, storage.storage_size)?;
    call.session.delete_id(storage.id);
    save_pool(call.session, pool_id, &pool)
}

/// Cuts `size` unused bytes off the pool as a storage resource for the same epochs.
fn cut(call: &mut Call<'_, '_>, pool_id: Address, mut pool: StoragePoolInnerV1, size: u64) -> Outcome<()> {
    ensure(size > 0, "system", system_code::ZERO_EXTRACT_SIZE)?;
    ensure(size <= available(&pool), POOL, code::INSUFFICIENT_CAPACITY)?;
    pool.storage.storage_size -= size;
    let storage = Storage { id: call.session.new_id(), storage_size: size, ..pool.storage };
    save_pool(call.session, pool_id, &pool)?;
    call.ret(&storage)
}

fn decrease_by_size(call: &mut Call<'_, '_>) -> Outcome<()> {
    let system = inner(call, 0)?;
    let (pool_id, pool) = pool(call, 1)?;
    let runs = pool.storage.end_epoch > system.committee.epoch;
    ensure(runs, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let size: u64 = call.arg(2)?;
    cut(call, pool_id, pool, size)
}

fn decrease_by_percent(call: &mut Call<'_, '_>) -> Outcome<()> {
    let system = inner(call, 0)?;
    let (pool_id, pool) = pool(call, 1)?;
    let runs = pool.storage.end_epoch > system.committee.epoch;
    ensure(runs, SYSTEM, inner_code::INVALID_EPOCHS_AHEAD)?;
    let percent: u8 = call.arg(2)?;
    ensure(percent <= 100, POOL, code::INVALID_PERCENT)?;
    let size = u128::from(available(&pool)) * u128::from(percent) / 100;
    cut(call, pool_id, pool, u64::try_from(size).map_err(|_| Failure::Arithmetic)?)
}

fn destroy(call: &mut Call<'_, '_>) -> Outcome<()> {
    let (pool_id, inner) = pool(call, 0)?;
    ensure(inner.blob_count == 0, POOL, code::POOL_NOT_EMPTY)?;
    call.session.remove_field(pool_id, &TypeTag::U64, &POOL_VERSION.to_le_bytes())?;
    call.session.delete_id(inner.blobs.id);
    call.session.delete_id(pool_id);
    call.ret(&inner.storage)
}

const CODES: AttributeCodes =
    AttributeCodes { module: POOL, duplicate: code::DUPLICATE_METADATA, missing: code::MISSING_METADATA };

fn attributes(call: &mut Call<'_, '_>, op: Op) -> Outcome<()> {
    let (_, inner) = pool(call, 0)?;
    let blob = borrow(call, &inner, call.arg(1)?)?;
    change_attributes(call, blob.id, op, 2, CODES)
}
