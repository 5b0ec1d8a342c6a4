//! From a session's changes to written objects, gas and effects (V2).
//!
//! Gas: computation in buckets of units times the price; storage 7600 MIST per byte of metered size, remembered in each object as its
//! rebate; of the rebates of changed and removed objects 99 % come back.

use std::collections::{BTreeMap, BTreeSet};

use sui_sdk_types::{
    Address, BalanceChange, ChangedObject, Digest, ExecutionError, ExecutionStatus, GasCostSummary, IdOperation,
    MoveStruct, Object, ObjectData, ObjectIn, ObjectOut, Owner, StructTag, Transaction, TransactionEffectsV2,
    TransactionEvents, TypeTag, UnchangedConsensusKind, UnchangedConsensusObject,
};

use super::admit::Admitted;
use super::session::{Changes, Live, Slot};
use super::{Context, Executed, Refused};
use walrus_client::wire::chain::Coin;

/// The smallest computation bucket, units.
pub(crate) const MIN_UNITS: u64 = 1000;
const STORAGE_PRICE: u64 = 7600;
const MAX_OBJECT_BYTES: usize = 256_000;
/// Owner, previous transaction and rebate as the meter counts them.
const METADATA_BYTES: usize = 80;

/// Units of computation for a number of commands.
fn units(commands: usize) -> u64 {
    match commands {
        0..=16 => MIN_UNITS,
        17..=64 => 5000,
        65..=256 => 10_000,
        _ => 50_000,
    }
}

/// The size that storage is charged for, bytes.
fn metered_size(tag: &StructTag, contents: &[u8]) -> usize {
    let tag_size = match tag.is_coin() {
        Some(_) if *tag == StructTag::gas_coin() => 1,
        Some(inner) => bcs::serialized_size(inner).unwrap_or_default() + 1,
        None => bcs::serialized_size(tag).unwrap_or_default() + 1,
    };
    METADATA_BYTES + tag_size + 9 + contents.len()
}

fn storage_cost(tag: &StructTag, contents: &[u8]) -> u64 {
    u64::try_from(metered_size(tag, contents)).unwrap_or(u64::MAX).saturating_mul(STORAGE_PRICE)
}

/// A change of one object that the effects report.
struct Change<'s> {
    before: Option<&'s Object>,
    after: Option<(Owner, &'s Live)>,
}

fn changed<'s>(slot: &'s Slot, mutable: bool, lamport: u64) -> Option<Change<'s>> {
    let before = slot.before.as_ref();
    let was_shared = before.is_some_and(|object| matches!(object.owner(), Owner::Shared(_)));
    let after = slot.now.as_ref().map(|live| match live.owner {
        Owner::Shared(_) if !was_shared => (Owner::Shared(lamport), live),
        owner => (owner, live),
    });
    let same = match (before, &after) {
        (None, None) => return None,
        (Some(object), Some((owner, live))) => {
            object.owner() == owner
                && object.as_struct().is_some_and(|data| data.contents() == live.contents.as_slice())
        }
        _ => false,
    };
    (mutable || !same).then_some(Change { before, after })
}

/// Settles a transaction. The inner error is an execution error that must be settled again as a failure.
pub(crate) fn settle(
    context: &Context<'_>,
    transaction: &Transaction,
    admitted: &Admitted,
    mut changes: Changes,
    status: ExecutionStatus,
    commands: usize,
) -> Result<Result<Executed, ExecutionError>, Refused> {
    let digest = transaction.digest();
    let lamport = admitted.objects().map(Object::version).max().unwrap_or(0).saturating_add(1);
    let mutable: BTreeSet<Address> = admitted.mutable().map(Object::object_id).collect();
    let success = status == ExecutionStatus::Success;
    let gas_id = admitted.gas.first().map(Object::object_id);
    if !success {
        for rest in admitted.gas.iter().skip(1) {
            changes.slots.entry(rest.object_id()).and_modify(|slot| slot.now = None);
            changes.deleted.insert(rest.object_id());
        }
    }

    let mut storage = 0u64;
    let mut rebates = 0u64;
    for (id, slot) in &changes.slots {
        let Some(change) = changed(slot, mutable.contains(id), lamport) else { continue };
        if let Some((_, live)) = change.after {
            if live.contents.len() > MAX_OBJECT_BYTES {
                return Ok(Err(ExecutionError::ObjectTooBig {
                    object_size: live.contents.len() as u64,
                    max_object_size: MAX_OBJECT_BYTES as u64,
                }));
            }
            storage = storage.saturating_add(storage_cost(&live.tag, &live.contents));
        }
        rebates = rebates.saturating_add(change.before.map_or(0, Object::storage_rebate));
    }
    let gas_used = match gas_id {
        None => GasCostSummary::default(),
        Some(gas_id) => {
            let gas = &transaction.gas_payment;
            let mut used = GasCostSummary {
                computation_cost: gas.price.saturating_mul(units(commands)),
                storage_cost: storage,
                storage_rebate: rebates - rebates.div_ceil(100),
                non_refundable_storage_fee: rebates.div_ceil(100),
            };
            let due = |used: &GasCostSummary| {
                i128::from(used.computation_cost) + i128::from(used.storage_cost) - i128::from(used.storage_rebate)
            };
            if due(&used) > i128::from(gas.budget) {
                if success {
                    return Ok(Err(ExecutionError::InsufficientGas));
                }
                // A failure keeps the sizes of its inputs: the budget pays what it can.
                used.computation_cost = gas.budget;
                used.storage_cost = used.storage_rebate;
            }
            let balance = if success {
                // What the commands left of the coins beyond the budget, and the budget itself.
                coin_balance(changes.slots.get(&gas_id))
                    .checked_add(gas.budget)
                    .ok_or_else(|| Refused::Invalid("gas coin overflows".into()))?
            } else {
                admitted.gas_total
            };
            let after = u64::try_from(i128::from(balance) - due(&used))
                .map_err(|_| Refused::Invalid("gas coin overflows".into()))?;
            if let Some(live) = changes.slots.get_mut(&gas_id).and_then(|slot| slot.now.as_mut()) {
                let coin = Coin { id: gas_id, balance: after };
                live.contents = bcs::to_bytes(&coin).map_err(|error| Refused::Invalid(error.to_string()))?;
            }
            used
        }
    };

    let mut written = Vec::new();
    let mut removed = Vec::new();
    let mut changed_objects = Vec::new();
    let mut object_types = Vec::new();
    let mut balances = BTreeMap::new();
    for (id, slot) in &changes.slots {
        let Some(change) = changed(slot, mutable.contains(id), lamport) else { continue };
        let created = changes.created.contains(id);
        let deleted = changes.deleted.contains(id);
        let input_state = change.before.map_or(ObjectIn::NotExist, |object| ObjectIn::Exist {
            version: object.version(),
            digest: object.digest(),
            owner: *object.owner(),
        });
        let output_state = match change.after {
            Some((owner, live)) => {
                let rebate = match gas_id {
                    Some(_) => storage_cost(&live.tag, &live.contents),
                    None => change.before.map_or(0, Object::storage_rebate),
                };
                let object = build(context, live, owner, lamport, digest, rebate)?;
                let output = ObjectOut::ObjectWrite { digest: object.digest(), owner };
                note_type(&mut object_types, id, &live.tag);
                written.push(object);
                output
            }
            None => {
                removed.push(*id);
                if let Some(data) = change.before.and_then(Object::as_struct) {
                    note_type(&mut object_types, id, data.object_type());
                }
                ObjectOut::NotExist
            }
        };
        note_balance(&mut balances, &change);
        changed_objects.push(ChangedObject {
            object_id: *id,
            input_state,
            output_state,
            id_operation: match (created, deleted) {
                (true, _) => IdOperation::Created,
                (false, true) => IdOperation::Deleted,
                (false, false) => IdOperation::None,
            },
        });
    }
    note_wrapped(&changes, &mut changed_objects);
    changed_objects.sort_by_key(|change| change.object_id);

    let events = if success { changes.events } else { Vec::new() };
    let events_digest = (!events.is_empty()).then(|| TransactionEvents(events.clone()).digest());
    let dependencies: BTreeSet<Digest> = admitted.objects().map(Object::previous_transaction).collect();
    let gas_object_index = gas_id
        .and_then(|id| changed_objects.iter().position(|change| change.object_id == id))
        .and_then(|index| u32::try_from(index).ok());
    let effects = TransactionEffectsV2 {
        status,
        epoch: context.epoch,
        gas_used,
        transaction_digest: digest,
        gas_object_index,
        events_digest,
        dependencies: dependencies.into_iter().collect(),
        lamport_version: lamport,
        changed_objects,
        unchanged_consensus_objects: unchanged(admitted),
        auxiliary_data_digest: None,
    };
    let balance_changes = balances
        .into_iter()
        .filter(|(_, amount)| *amount != 0)
        .map(|((address, coin_type), amount)| BalanceChange { address, coin_type, amount })
        .collect();
    Ok(Ok(Executed { digest, effects, events, written, removed, balance_changes, object_types, outputs: Vec::new() }))
}

fn coin_balance(slot: Option<&Slot>) -> u64 {
    slot.and_then(|slot| slot.now.as_ref())
        .and_then(|live| bcs::from_bytes::<Coin>(&live.contents).ok())
        .map_or(0, |coin| coin.balance)
}

fn build(
    context: &Context<'_>,
    live: &Live,
    owner: Owner,
    lamport: u64,
    digest: Digest,
    rebate: u64,
) -> Result<Object, Refused> {
    let public = context.packages.struct_abilities(&live.tag).unwrap_or_default().store;
    let data = MoveStruct::new(live.tag.clone(), public, lamport, live.contents.clone())
        .ok_or_else(|| Refused::Invalid("object shorter than its id".into()))?;
    Ok(Object::new(ObjectData::Struct(data), owner, digest, rebate))
}

fn note_type(types: &mut Vec<(Address, String)>, id: &Address, tag: &StructTag) {
    types.push((*id, tag.to_string()));
}

/// Adds a coin's change to the balances of its owners.
fn note_balance(balances: &mut BTreeMap<(Address, TypeTag), i128>, change: &Change<'_>) {
    let mut add = |owner: &Owner, tag: &StructTag, contents: &[u8], sign: i128| {
        if let (Owner::Address(address), Some(coin_type), Ok(coin)) =
            (owner, tag.is_coin(), bcs::from_bytes::<Coin>(contents))
        {
            *balances.entry((*address, coin_type.clone())).or_default() += sign * i128::from(coin.balance);
        }
    };
    if let Some((object, data)) = change.before.and_then(|object| Some((object, object.as_struct()?))) {
        add(object.owner(), data.object_type(), data.contents(), -1);
    }
    if let Some((owner, live)) = change.after {
        add(&owner, &live.tag, &live.contents, 1);
    }
}

/// Ids that were made and wrapped, or unwrapped and deleted, in this transaction: no object before or after, still reported.
fn note_wrapped(changes: &Changes, changed_objects: &mut Vec<ChangedObject>) {
    let known: BTreeSet<Address> = changed_objects.iter().map(|change| change.object_id).collect();
    let created = changes.created.iter().map(|id| (id, IdOperation::Created));
    let deleted = changes.deleted.iter().map(|id| (id, IdOperation::Deleted));
    for (id, id_operation) in created.chain(deleted) {
        if !known.contains(id) {
            changed_objects.push(ChangedObject {
                object_id: *id,
                input_state: ObjectIn::NotExist,
                output_state: ObjectOut::NotExist,
                id_operation,
            });
        }
    }
}

fn unchanged(admitted: &Admitted) -> Vec<UnchangedConsensusObject> {
    let mut unchanged: Vec<_> = admitted
        .read_only_shared()
        .map(|object| UnchangedConsensusObject {
            object_id: object.object_id(),
            kind: UnchangedConsensusKind::ReadOnlyRoot { version: object.version(), digest: object.digest() },
        })
        .collect();
    unchanged.sort_by_key(|object| object.object_id);
    unchanged
}
