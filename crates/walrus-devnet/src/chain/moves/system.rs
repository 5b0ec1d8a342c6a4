//! The module `system` over `system_state_inner`: storage, blobs, certificates, deny lists.

use walrus_client::wire::abort::{self, messages, system as system_code, system_state_inner as code};
use walrus_client::wire::chain::{
    Blob, Coin, DenyListBlobDeleted, DenyListUpdate, EventBlob, EventBlobAttestation, FutureAccounting, InvalidBlobId,
    ObjectId, ProtocolVersionUpdated, RegisterDenyListUpdate, SharedBlob, Storage, StorageNodeCap, System,
    SystemStateInnerV1, U256, VecMap, extended_field_id, units,
};
use walrus_client::wire::message::{
    MESSAGE_APP, MESSAGE_VERSION, MessageType, Persistence, RawMessage, StorageConfirmation, Threshold,
};

use super::Native;
use super::blob::{self, Registration, encoded_length};
use super::framework::{add, pay};
use crate::chain::execute::{Call, Failure, Outcome, Session, broken, ensure};
use sui_sdk_types::TypeTag;

/// The compiled version of the Walrus package, and the key of the inner states.
pub(crate) const VERSION: u64 = 3;

const INNER: &str = "system_state_inner";

pub(super) fn native(name: &str) -> Option<Native> {
    Some(match name {
        "epoch" => |call| read(call, |inner| inner.committee.epoch),
        "n_shards" => |call| read(call, |inner| inner.committee.n_shards),
        "total_capacity_size" => |call| read(call, |inner| inner.total_capacity_size),
        "used_capacity_size" => |call| read(call, |inner| inner.used_capacity_size),
        "reserve_space" => reserve_space,
        "reserve_space_for_epochs" => reserve_space_for_epochs,
        "register_blob" => register_blob,
        "certify_blob" => certify_blob,
        "delete_blob" => delete_blob,
        "extend_blob" => extend_blob,
        "extend_blob_with_resource" => extend_blob_with_resource,
        "invalidate_blob_id" => invalidate_blob_id,
        "certify_event_blob" => certify_event_blob,
        "add_subsidy" => add_subsidy,
        "register_deny_list_update" => register_deny_list_update,
        "update_deny_list" => update_deny_list,
        "delete_deny_listed_blob" => delete_deny_listed_blob,
        "update_protocol_version" => update_protocol_version,
        _ => return None,
    })
}

/// The type of the inner state.
pub(crate) fn inner_type(session: &Session<'_>) -> TypeTag {
    session.walrus("system_state_inner", "SystemStateInnerV1").into()
}

/// `system::inner`: the inner state of the System object in argument `index`.
pub(super) fn inner(call: &mut Call<'_, '_>, index: usize) -> Outcome<SystemStateInnerV1> {
    let system: System = call.arg(index)?;
    ensure(system.version == VERSION, "system", system_code::WRONG_VERSION)?;
    call.session.field(system.id, &TypeTag::U64, &VERSION.to_le_bytes())?.ok_or_else(broken)
}

/// Writes the inner state back.
pub(super) fn save(call: &mut Call<'_, '_>, index: usize, inner: &SystemStateInnerV1) -> Outcome<()> {
    let system: System = call.arg(index)?;
    let value_type = inner_type(call.session);
    call.session.set_field(system.id, &TypeTag::U64, &VERSION.to_le_bytes(), value_type, inner)
}

fn read<T: serde::Serialize>(call: &mut Call<'_, '_>, get: impl Fn(&SystemStateInnerV1) -> T) -> Outcome<()> {
    let inner = inner(call, 0)?;
    call.ret(&get(&inner))
}

/// The accounting of the epoch `offset` epochs from now.
pub(super) fn slot(inner: &mut SystemStateInnerV1, offset: u32) -> Outcome<&mut FutureAccounting> {
    let ring = &mut inner.future_accounting;
    ensure(offset < ring.length, "storage_accounting", abort::storage_accounting::TOO_FAR_IN_FUTURE)?;
    let index = (u64::from(ring.current_index) + u64::from(offset)) % u64::from(ring.length.max(1));
    usize::try_from(index).ok().and_then(|index| ring.ring_buffer.get_mut(index)).ok_or_else(broken)
}

fn minus(a: u32, b: u32) -> Outcome<u32> {
    a.checked_sub(b).ok_or(Failure::Arithmetic)
}

fn plus(a: u32, b: u32) -> Outcome<u32> {
    a.checked_add(b).ok_or(Failure::Arithmetic)
}

/// Pays `size` encoded bytes for each epoch of the interval out of `balance`.
pub(super) fn pay_storage(
    inner: &mut SystemStateInnerV1,
    size: u64,
    from: u32,
    to: u32,
    mut balance: u64,
) -> Outcome<u64> {
    let due = inner.storage_price_per_unit_size.checked_mul(units(size)).ok_or(Failure::Arithmetic)?;
    for offset in from..to {
        balance = pay(balance, due)?;
        let slot = slot(inner, offset)?;
        slot.rewards_to_distribute = add(slot.rewards_to_distribute, due)?;
    }
    Ok(balance)
}

/// Counts `size` encoded bytes as used in each epoch of the interval.
pub(super) fn account(
    inner: &mut SystemStateInnerV1,
    size: u64,
    from: u32,
    to: u32,
    check_capacity: bool,
) -> Outcome<()> {
    for offset in from..to {
        let slot = slot(inner, offset)?;
        slot.used_capacity = add(slot.used_capacity, size)?;
        let used = slot.used_capacity;
        if offset == 0 {
            inner.used_capacity_size = used;
        }
        ensure(!check_capacity || used <= inner.total_capacity_size, INNER, code::STORAGE_EXCEEDED)?;
    }
    Ok(())
}

/// Charges the fee of writing `encoded` bytes.
pub(super) fn pay_write(inner: &mut SystemStateInnerV1, encoded: u64, balance: u64) -> Outcome<u64> {
    let price = inner.write_price_per_unit_size.checked_mul(units(encoded)).ok_or(Failure::Arithmetic)?;
    let rest = pay(balance, price)?;
    let slot = slot(inner, 0)?;
    slot.rewards_to_distribute = add(slot.rewards_to_distribute, price)?;
    Ok(rest)
}

/// A new storage resource, counted against the capacity but not paid.
fn storage_unpaid(
    session: &mut Session<'_>,
    inner: &mut SystemStateInnerV1,
    size: u64,
    from: u32,
    to: u32,
    check_capacity: bool,
) -> Outcome<Storage> {
    ensure(to > from && to <= inner.future_accounting.length, INNER, code::INVALID_EPOCHS_AHEAD)?;
    ensure(size > 0, INNER, code::INVALID_RESOURCE_SIZE)?;
    account(inner, size, from, to, check_capacity)?;
    let now = inner.committee.epoch;
    Ok(Storage { id: session.new_id(), start_epoch: plus(now, from)?, end_epoch: plus(now, to)?, storage_size: size })
}

/// `reserve_space` for `epochs` epochs from now, paid by `coin`.
pub(super) fn reserve(
    session: &mut Session<'_>,
    inner: &mut SystemStateInnerV1,
    size: u64,
    epochs: u32,
    coin: &mut Coin,
) -> Outcome<Storage> {
    let allowed = epochs > 0 && epochs <= inner.future_accounting.length;
    ensure(allowed, INNER, code::INVALID_EPOCHS_AHEAD)?;
    coin.balance = pay_storage(inner, size, 0, epochs, coin.balance)?;
    storage_unpaid(session, inner, size, 0, epochs, true)
}

fn reserve_space(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call, 0)?;
    let mut coin: Coin = call.arg(3)?;
    let (size, epochs) = (call.arg(1)?, call.arg(2)?);
    let storage = reserve(call.session, &mut inner, size, epochs, &mut coin)?;
    save(call, 0, &inner)?;
    call.set(3, &coin)?;
    call.ret(&storage)
}

fn reserve_space_for_epochs(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call, 0)?;
    let size: u64 = call.arg(1)?;
    let (start, end): (u32, u32) = (call.arg(2)?, call.arg(3)?);
    let mut coin: Coin = call.arg(4)?;
    let now = inner.committee.epoch;
    let start = start.max(now);
    ensure(end > start, INNER, code::INVALID_EPOCHS_AHEAD)?;
    let (from, to) = (minus(start, now)?, minus(end, now)?);
    ensure(to <= inner.future_accounting.length, INNER, code::INVALID_EPOCHS_AHEAD)?;
    coin.balance = pay_storage(&mut inner, size, from, to, coin.balance)?;
    let storage = storage_unpaid(call.session, &mut inner, size, from, to, true)?;
    save(call, 0, &inner)?;
    call.set(4, &coin)?;
    call.ret(&storage)
}

fn register_blob(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call, 0)?;
    let storage: Storage = call.arg(1)?;
    let new = Registration {
        blob_id: call.arg(2)?,
        root_hash: call.arg(3)?,
        size: call.arg(4)?,
        encoding_type: call.arg(5)?,
        deletable: call.arg(6)?,
    };
    let mut coin: Coin = call.arg(7)?;
    let (epoch, n_shards) = (inner.committee.epoch, inner.committee.n_shards);
    let blob = blob::register(call.session, storage, &new, epoch, n_shards)?;
    let encoded = encoded_length(new.size, new.encoding_type, n_shards)?;
    coin.balance = pay_write(&mut inner, encoded, coin.balance)?;
    save(call, 0, &inner)?;
    call.set(7, &coin)?;
    call.ret(&blob)
}

/// Checks a certificate in the order of the contract: bitmap, weight, signature, header, type. Returns the message's epoch and body.
fn verified(
    inner: &SystemStateInnerV1,
    certificate: (&[u8], &[u8], &[u8]),
    threshold: Threshold,
    kind: MessageType,
) -> Outcome<(u32, Vec<u8>)> {
    let (signature, bitmap, message) = certificate;
    inner.committee.verify_certificate(signature, bitmap, message, threshold).map_err(|error| {
        let (module, code) = error.abort();
        crate::chain::execute::abort(module, code)
    })?;
    let raw = RawMessage::parse(message).ok_or(Failure::Arithmetic)?;
    ensure(raw.version == MESSAGE_VERSION, "messages", messages::INCORRECT_INTENT_VERSION)?;
    ensure(raw.app == MESSAGE_APP, "messages", messages::INCORRECT_APP_ID)?;
    ensure(raw.epoch == inner.committee.epoch, "messages", messages::INCORRECT_EPOCH)?;
    ensure(raw.message_type == kind as u8, "messages", messages::INVALID_MSG_TYPE)?;
    Ok((raw.epoch, raw.body.to_vec()))
}

/// The three arguments of a certificate: signature, bitmap, message, from index `from`.
fn certificate(call: &Call<'_, '_>, from: usize) -> Outcome<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    Ok((call.arg(from)?, call.arg(from + 1)?, call.arg(from + 2)?))
}

/// A verified statement of a quorum that it stores a blob; the arguments begin at index `from`.
pub(super) fn confirmation(
    call: &Call<'_, '_>,
    inner: &SystemStateInnerV1,
    from: usize,
) -> Outcome<StorageConfirmation> {
    let (signature, bitmap, message) = certificate(call, from)?;
    let parts = (signature.as_slice(), bitmap.as_slice(), message.as_slice());
    let (epoch, body) = verified(inner, parts, Threshold::Quorum, MessageType::BlobCertificate)?;
    // Short bodies are an error of the decoder, an unknown tag an abort of the contract.
    if body.get(32).is_some_and(|tag| *tag > 1) {
        return Err(crate::chain::execute::abort("messages", messages::INVALID_BLOB_PERSISTENCE_TYPE));
    }
    StorageConfirmation::parse_body(epoch, &body).ok_or(Failure::Arithmetic)
}

fn certify_blob(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call, 0)?;
    let mut blob: Blob = call.arg(1)?;
    let confirmed = confirmation(call, &inner, 2)?;
    blob::certify(call.session, &mut blob, inner.committee.epoch, &confirmed)?;
    call.set(1, &blob)
}

fn delete_blob(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call, 0)?;
    let blob: Blob = call.arg(1)?;
    let storage = blob::delete(call.session, blob, inner.committee.epoch)?;
    call.ret(&storage)
}

/// Extends a blob's storage, paid from `balance`; what is left of it.
fn extend(
    session: &mut Session<'_>,
    inner: &mut SystemStateInnerV1,
    blob: &mut Blob,
    epochs: u32,
    balance: u64,
) -> Outcome<u64> {
    let now = inner.committee.epoch;
    blob::check_extendable(blob, now)?;
    let from = minus(blob.storage.end_epoch, now)?;
    let to = plus(from, epochs)?;
    let allowed = epochs > 0 && to <= inner.future_accounting.length;
    ensure(allowed, INNER, code::INVALID_EPOCHS_AHEAD)?;
    let rest = pay_storage(inner, blob.storage.storage_size, from, to, balance)?;
    account(inner, blob.storage.storage_size, from, to, true)?;
    blob.storage.end_epoch = plus(blob.storage.end_epoch, epochs)?;
    blob::emit_certified(session, blob, true)?;
    Ok(rest)
}

fn extend_blob(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call, 0)?;
    let mut blob: Blob = call.arg(1)?;
    let epochs: u32 = call.arg(2)?;
    let mut coin: Coin = call.arg(3)?;
    coin.balance = extend(call.session, &mut inner, &mut blob, epochs, coin.balance)?;
    save(call, 0, &inner)?;
    call.set(1, &blob)?;
    call.set(3, &coin)
}

/// `shared_blob::extend`: as `extend_blob`, paid from the shared blob's funds.
pub(super) fn extend_shared(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut shared: SharedBlob = call.arg(0)?;
    let mut inner = inner(call, 1)?;
    let epochs: u32 = call.arg(2)?;
    shared.funds = extend(call.session, &mut inner, &mut shared.blob, epochs, shared.funds)?;
    save(call, 1, &inner)?;
    call.set(0, &shared)
}

fn extend_blob_with_resource(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call, 0)?;
    let mut blob: Blob = call.arg(1)?;
    let extension: Storage = call.arg(2)?;
    blob::extend_with(call.session, &mut blob, &extension, inner.committee.epoch)?;
    call.set(1, &blob)
}

fn invalidate_blob_id(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call, 0)?;
    let (signature, bitmap, message) = certificate(call, 1)?;
    let parts = (signature.as_slice(), bitmap.as_slice(), message.as_slice());
    let (epoch, body) = verified(&inner, parts, Threshold::OneCorrect, MessageType::InvalidBlobId)?;
    let blob_id = body.first_chunk::<32>().copied().map(U256).ok_or(Failure::Arithmetic)?;
    call.session.walrus_event("InvalidBlobID", &InvalidBlobId { epoch, blob_id })?;
    call.ret(&blob_id)
}

fn add_subsidy(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call, 0)?;
    let coin: Coin = call.arg(1)?;
    let epochs: u32 = call.arg(2)?;
    let allowed = epochs > 0 && epochs <= inner.future_accounting.length;
    ensure(allowed, INNER, code::INVALID_EPOCHS_AHEAD)?;
    call.session.delete_id(coin.id);
    let (each, rest) = (coin.balance / u64::from(epochs), coin.balance % u64::from(epochs));
    for offset in 0..epochs {
        let slot = slot(&mut inner, offset)?;
        let part = if offset == 0 { add(each, rest)? } else { each };
        slot.rewards_to_distribute = add(slot.rewards_to_distribute, part)?;
    }
    save(call, 0, &inner)
}

fn check_member(inner: &SystemStateInnerV1, node: &ObjectId) -> Outcome<u16> {
    let member = inner.committee.members.iter().find(|member| member.node_id == *node);
    ensure(member.is_some(), INNER, code::NOT_COMMITTEE_MEMBER)?;
    Ok(member.map_or(0, |member| member.weight))
}

fn certify_event_blob(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call, 0)?;
    let mut cap: StorageNodeCap = call.arg(1)?;
    let new = Registration {
        blob_id: call.arg(2)?,
        root_hash: call.arg(3)?,
        size: call.arg(4)?,
        encoding_type: call.arg(5)?,
        deletable: false,
    };
    let checkpoint: u64 = call.arg(6)?;
    let epoch: u32 = call.arg(7)?;
    let now = inner.committee.epoch;
    let weight = check_member(&inner, &cap.node_id)?;
    ensure(epoch == now, INNER, code::INVALID_ID_EPOCH)?;
    let latest = inner
        .event_blob_certification_state
        .latest_certified_blob
        .as_ref()
        .map(|blob| blob.ending_checkpoint_sequence_number);
    if let Some(last) = &cap.last_event_blob_attestation {
        let older = last.epoch < now;
        ensure(older || checkpoint > last.checkpoint_sequence_num, INNER, code::REPEATED_ATTESTATION)?;
        let settled = latest.is_some_and(|latest| last.checkpoint_sequence_num <= latest);
        ensure(older || settled, INNER, code::INCORRECT_ATTESTATION)?;
    }
    cap.last_event_blob_attestation = Some(EventBlobAttestation { checkpoint_sequence_num: checkpoint, epoch });
    call.set(1, &cap)?;
    if latest.is_some_and(|latest| latest >= checkpoint) {
        return Ok(());
    }
    let event_blob = EventBlob { blob_id: new.blob_id, ending_checkpoint_sequence_number: checkpoint };
    let weights = &mut inner.event_blob_certification_state.aggregate_weight_per_blob;
    if weights.get(&event_blob).is_none() {
        weights.insert(event_blob.clone(), 0);
    }
    let total = weights.get_mut(&event_blob).ok_or_else(broken)?;
    *total = total.checked_add(weight).ok_or(Failure::Arithmetic)?;
    if Threshold::Quorum.reached(u32::from(*total), inner.committee.n_shards) {
        let (n_shards, length) = (inner.committee.n_shards, inner.future_accounting.length);
        let encoded = encoded_length(new.size, new.encoding_type, n_shards)?;
        let storage = storage_unpaid(call.session, &mut inner, encoded, 0, length, false)?;
        let mut blob = blob::register(call.session, storage, &new, now, n_shards)?;
        let confirmed = StorageConfirmation::new(now, new.blob_id, Persistence::Permanent);
        blob::certify(call.session, &mut blob, now, &confirmed)?;
        call.session.delete_id(blob.id);
        call.session.delete_id(blob.storage.id);
        inner.event_blob_certification_state.latest_certified_blob = Some(event_blob);
        inner.event_blob_certification_state.aggregate_weight_per_blob = VecMap::default();
    }
    save(call, 0, &inner)
}

fn register_deny_list_update(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call, 0)?;
    let cap: StorageNodeCap = call.arg(1)?;
    let root: U256 = call.arg(2)?;
    let sequence_number: u64 = call.arg(3)?;
    check_member(&inner, &cap.node_id)?;
    ensure(sequence_number > cap.deny_list_sequence, INNER, code::INCORRECT_DENY_LIST_SEQUENCE)?;
    let event = RegisterDenyListUpdate { epoch: inner.committee.epoch, root, sequence_number, node_id: cap.node_id };
    call.session.walrus_event("RegisterDenyListUpdate", &event)
}

fn update_deny_list(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call, 0)?;
    let mut cap: StorageNodeCap = call.arg(1)?;
    check_member(&inner, &cap.node_id)?;
    let (signature, bitmap, message) = certificate(call, 2)?;
    let parts = (signature.as_slice(), bitmap.as_slice(), message.as_slice());
    let (epoch, body) = verified(&inner, parts, Threshold::Quorum, MessageType::DenyListUpdate)?;
    let (node_id, sequence_number, size, root): (ObjectId, u64, u64, U256) = prefix(&body, 80)?;
    ensure(node_id == cap.node_id, INNER, code::INCORRECT_DENY_LIST_NODE)?;
    ensure(cap.deny_list_sequence < sequence_number, INNER, code::INCORRECT_DENY_LIST_SEQUENCE)?;
    cap.deny_list_root = root;
    cap.deny_list_sequence = sequence_number;
    cap.deny_list_size = size;
    let mut sizes = deny_list_sizes(call.session, &inner)?;
    match sizes.get_mut(&node_id) {
        Some(old) => *old = size,
        None => {
            sizes.insert(node_id, size);
        }
    }
    set_extended(call.session, inner.deny_list_sizes.id, vec_map_type(call.session), &sizes)?;
    call.set(1, &cap)?;
    let event = DenyListUpdate { epoch, root, sequence_number, node_id };
    call.session.walrus_event("DenyListUpdate", &event)
}

fn vec_map_type(session: &Session<'_>) -> TypeTag {
    use crate::chain::packages::Pkg;
    let id = session.tag(Pkg::Sui, "object", "ID", Vec::new()).into();
    session.tag(Pkg::Sui, "vec_map", "VecMap", vec![id, TypeTag::U64]).into()
}

/// The deny list sizes by node.
pub(super) fn deny_list_sizes(session: &mut Session<'_>, inner: &SystemStateInnerV1) -> Outcome<VecMap<ObjectId, u64>> {
    extended(session, inner.deny_list_sizes.id)
}

/// Reads the value of an `ExtendedField`.
pub(super) fn extended<T: serde::de::DeserializeOwned>(session: &mut Session<'_>, field: ObjectId) -> Outcome<T> {
    let key: TypeTag = session.walrus("extended_field", "Key").into();
    debug_assert_eq!(extended_field_id(&field, session.packages.ids.walrus), field.derive_dynamic_child_id(&key, &[0]));
    session.field(field, &key, &[0])?.ok_or_else(broken)
}

/// Writes the value of an `ExtendedField`.
pub(super) fn set_extended<T: serde::Serialize>(
    session: &mut Session<'_>,
    field: ObjectId,
    value_type: TypeTag,
    value: &T,
) -> Outcome<()> {
    let key: TypeTag = session.walrus("extended_field", "Key").into();
    session.set_field(field, &key, &[0], value_type, value)
}

/// Decodes the first `length` bytes; bytes behind them are ignored, as the contract does.
fn prefix<T: serde::de::DeserializeOwned>(body: &[u8], length: usize) -> Outcome<T> {
    let bytes = body.get(..length).ok_or(Failure::Arithmetic)?;
    bcs::from_bytes(bytes).map_err(|_| Failure::Arithmetic)
}

fn delete_deny_listed_blob(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call, 0)?;
    let (signature, bitmap, message) = certificate(call, 1)?;
    let parts = (signature.as_slice(), bitmap.as_slice(), message.as_slice());
    let (epoch, body) = verified(&inner, parts, Threshold::OneCorrect, MessageType::DenyListBlobDeleted)?;
    let blob_id: U256 = prefix(&body, 32)?;
    call.session.walrus_event("DenyListBlobDeleted", &DenyListBlobDeleted { epoch, blob_id })
}

fn update_protocol_version(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call, 0)?;
    let cap: StorageNodeCap = call.arg(1)?;
    check_member(&inner, &cap.node_id)?;
    let (signature, bitmap, message) = certificate(call, 2)?;
    let parts = (signature.as_slice(), bitmap.as_slice(), message.as_slice());
    let (epoch, body) = verified(&inner, parts, Threshold::Quorum, MessageType::ProtocolVersion)?;
    let (start_epoch, protocol_version): (u32, u64) = prefix(&body, 12)?;
    ensure(start_epoch >= inner.committee.epoch, INNER, code::INVALID_START_EPOCH)?;
    let event = ProtocolVersionUpdated { epoch, start_epoch, protocol_version };
    call.session.walrus_event("ProtocolVersionUpdated", &event)
}
