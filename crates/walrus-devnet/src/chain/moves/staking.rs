//! `staking` and `staked_wal`: stake, nodes' settings, votes. The epoch machine is in [`super::epochs`].

use sui_sdk_types::{Address, TypeTag};
use walrus_client::wire::abort::{staked_wal as staked_code, staking as outer, staking_inner as inner_code};
use walrus_client::wire::abort::{staking_pool as code, storage_node};
use walrus_client::wire::bls::{BlsPublicKey, BlsSignature};
use walrus_client::wire::chain::{
    ActiveSet, Authorized, Coin, Element, ExtendedField, NodeMetadata, ObjectId, PendingValues, PoolExchangeRate,
    PoolState, PricesUpdated, StakedWal, StakedWalState, Staking, StakingInnerV1, StakingPool, StorageNodeCap,
    StorageNodeInfo, Table, U256, VotingParams,
};
use walrus_client::wire::message::proof_of_possession_message;

use super::Native;
use super::committee::{agreed, update_active};
use super::framework::add;
use super::system::{self, VERSION, extended, set_extended};
use crate::chain::execute::{Call, Failure, Outcome, Session, abort, broken, ensure, from_bytes, to_bytes};
use crate::chain::packages::Pkg;

pub(super) const INNER: &str = "staking_inner";
const POOL: &str = "staking_pool";
const STAKED: &str = "staked_wal";
/// The least stake, FROST.
const MIN_STAKE: u64 = 1_000_000_000;

pub(super) fn native(module: &str, name: &str) -> Option<Native> {
    Some(match (module, name) {
        ("auth", "authenticate_sender") => |call| {
            let sender = Authorized::Address(call.session.sender);
            call.ret(&sender)
        },
        ("auth", "authenticate_with_object") => |call| {
            let id = crate::chain::execute::id_of(call.bytes(0)?).ok_or_else(broken)?;
            call.ret(&Authorized::ObjectId(id))
        },
        ("auth", "authorized_address") => |call| {
            let address: Address = call.arg(0)?;
            call.ret(&Authorized::Address(address))
        },
        ("auth", "authorized_object") => |call| {
            let id: Address = call.arg(0)?;
            call.ret(&Authorized::ObjectId(id))
        },
        ("node_metadata", "new") => |call| {
            let metadata = NodeMetadata {
                image_url: call.arg(0)?,
                project_url: call.arg(1)?,
                description: call.arg(2)?,
                ..NodeMetadata::default()
            };
            call.ret(&metadata)
        },
        ("node_metadata", "default") => |call| call.ret(&NodeMetadata::default()),
        ("staked_wal", "node_id") => |call| {
            let staked: StakedWal = call.arg(0)?;
            call.ret(&staked.node_id)
        },
        ("staked_wal", "value") => |call| {
            let staked: StakedWal = call.arg(0)?;
            call.ret(&staked.principal)
        },
        ("staked_wal", "activation_epoch") => |call| {
            let staked: StakedWal = call.arg(0)?;
            call.ret(&staked.activation_epoch)
        },
        ("staked_wal", "join") => join,
        ("staked_wal", "split") => split,
        ("staking", _) => return staking_native(name).or_else(|| super::epochs::native(name)),
        _ => return None,
    })
}

fn staking_native(name: &str) -> Option<Native> {
    Some(match name {
        "epoch" => |call| {
            let inner = inner(call)?;
            call.ret(&inner.epoch)
        },
        "stake_with_pool" => stake,
        "request_withdraw_stake" => request_withdraw,
        "withdraw_stake" => withdraw,
        "calculate_rewards" => calculate_rewards,
        "register_candidate" => register_candidate,
        "set_next_commission" => |call| {
            let (inner, rate): (_, u16) = (inner(call)?, call.arg(2)?);
            ensure(rate <= 10_000, POOL, code::INCORRECT_COMMISSION_RATE)?;
            let from = inner.epoch.checked_add(2).ok_or(Failure::Arithmetic)?;
            change(call, |pool| {
                pool.pending_commission_rate.values.insert(from, u64::from(rate));
                Ok(())
            })
        },
        "collect_commission" => collect_commission,
        "set_commission_receiver" => |call| authority(call, true),
        "set_governance_authorized" => |call| authority(call, false),
        "set_storage_price_vote" => |call| {
            let vote = call.arg(2)?;
            change(call, |pool| {
                pool.voting_params.storage_price = vote;
                Ok(())
            })
        },
        "set_write_price_vote" => |call| {
            let vote = call.arg(2)?;
            change(call, |pool| {
                pool.voting_params.write_price = vote;
                Ok(())
            })
        },
        "set_node_capacity_vote" => |call| {
            let vote = call.arg(2)?;
            change(call, |pool| {
                pool.voting_params.node_capacity = vote;
                Ok(())
            })
        },
        "set_name" => |call| {
            let name: String = call.arg(2)?;
            change(call, |pool| {
                ensure(name.len() <= 100, POOL, code::INVALID_NAME_LENGTH)?;
                pool.node_info.name = name;
                Ok(())
            })
        },
        "set_network_address" => |call| {
            let address: String = call.arg(2)?;
            change(call, |pool| {
                ensure(address.len() <= 259, POOL, code::INVALID_NETWORK_ADDRESS_LENGTH)?;
                pool.node_info.network_address = address;
                Ok(())
            })
        },
        "set_network_public_key" => |call| {
            let key = network_key(call.arg(2)?)?;
            change(call, |pool| {
                pool.node_info.network_public_key = key;
                Ok(())
            })
        },
        "set_next_public_key" => |call| {
            let epoch = inner(call)?.epoch;
            let key = proven_key(call, epoch, 2, 3)?;
            change(call, |pool| {
                pool.node_info.next_epoch_public_key = Some(key.to_uncompressed());
                Ok(())
            })
        },
        "set_node_metadata" => |call| {
            let metadata: NodeMetadata = call.arg(2)?;
            let (inner, cap): (_, StorageNodeCap) = (inner(call)?, call.arg(1)?);
            let pool = pool(call.session, &inner, cap.node_id)?;
            let value_type = call.session.walrus("node_metadata", "NodeMetadata").into();
            set_extended(call.session, pool.node_info.metadata.id, value_type, &metadata)
        },
        "try_join_active_set" => |call| {
            let (inner, cap): (_, StorageNodeCap) = (inner(call)?, call.arg(1)?);
            let pool = pool(call.session, &inner, cap.node_id)?;
            activate(call.session, &inner, &pool)
        },
        "update_prices" => |call| {
            let inner = inner(call)?;
            update_prices(call, &inner)
        },
        _ => return None,
    })
}

/// The inner state of the Staking object in argument 0.
pub(super) fn inner(call: &mut Call<'_, '_>) -> Outcome<StakingInnerV1> {
    inner_at(call, 0)
}

/// The inner state of the Staking object in argument `index`.
pub(super) fn inner_at(call: &mut Call<'_, '_>, index: usize) -> Outcome<StakingInnerV1> {
    let staking: Staking = call.arg(index)?;
    ensure(staking.version == VERSION, "staking", outer::WRONG_VERSION)?;
    call.session.field(staking.id, &TypeTag::U64, &VERSION.to_le_bytes())?.ok_or_else(broken)
}

/// Writes the inner state back.
pub(super) fn save(call: &mut Call<'_, '_>, inner: &StakingInnerV1) -> Outcome<()> {
    let staking: Staking = call.arg(0)?;
    let value_type: TypeTag = call.session.walrus(INNER, "StakingInnerV1").into();
    call.session.set_field(staking.id, &TypeTag::U64, &VERSION.to_le_bytes(), value_type, inner)
}

pub(super) fn id_type(session: &Session<'_>) -> TypeTag {
    session.tag(Pkg::Sui, "object", "ID", Vec::new()).into()
}

/// A node's pool.
pub(super) fn pool(session: &mut Session<'_>, inner: &StakingInnerV1, node: ObjectId) -> Outcome<StakingPool> {
    let name = id_type(session);
    match session.object_field(inner.pools.id, &name, node.as_bytes())? {
        Some(live) => from_bytes(&live.contents),
        None => Err(abort(INNER, inner_code::POOL_NOT_FOUND)),
    }
}

/// Changes the pool of the capability in argument 1.
fn change(call: &mut Call<'_, '_>, rule: impl FnOnce(&mut StakingPool) -> Outcome<()>) -> Outcome<()> {
    let inner = inner(call)?;
    let cap: StorageNodeCap = call.arg(1)?;
    let mut pool = pool(call.session, &inner, cap.node_id)?;
    rule(&mut pool)?;
    call.session.rewrite(pool.id, &pool)
}

fn network_key(bytes: Vec<u8>) -> Outcome<Element<33>> {
    let key: Option<[u8; 33]> = bytes.try_into().ok();
    key.map(Element).ok_or_else(|| abort("storage_node", storage_node::INVALID_NETWORK_PUBLIC_KEY))
}

/// A BLS key with proof that the sender's node owns it.
fn proven_key(call: &Call<'_, '_>, epoch: u32, key: usize, proof: usize) -> Outcome<BlsPublicKey> {
    let (key, proof): (Vec<u8>, Vec<u8>) = (call.arg(key)?, call.arg(proof)?);
    let refused = || abort(POOL, code::INVALID_PROOF_OF_POSSESSION);
    let key = BlsPublicKey::from_compressed(&key).map_err(|_| refused())?;
    let proof = BlsSignature::from_bytes(&proof).map_err(|_| refused())?;
    let message = proof_of_possession_message(epoch, &call.session.sender, &key);
    key.verify(&message, &proof).map_err(|_| refused())?;
    Ok(key)
}

/// Adds to the value of an epoch.
fn add_pending(pending: &mut PendingValues, epoch: u32, amount: u64) -> Outcome<()> {
    match pending.values.get_mut(&epoch) {
        Some(value) => *value = add(*value, amount)?,
        None => {
            pending.values.insert(epoch, amount);
        }
    }
    Ok(())
}

/// The sum up to an epoch.
fn pending_at(pending: &PendingValues, epoch: u32) -> Outcome<u64> {
    let due = pending.values.contents.iter().filter(|(at, _)| *at <= epoch);
    due.map(|(_, value)| *value).try_fold(0u64, add)
}

/// Takes everything up to an epoch out.
fn flush(pending: &mut PendingValues, epoch: u32) -> Outcome<u64> {
    let sum = pending_at(pending, epoch)?;
    pending.values.contents.retain(|(at, _)| *at > epoch);
    Ok(sum)
}

fn new_rate(wal: u64, shares: u64) -> PoolExchangeRate {
    if wal == 0 || shares == 0 {
        PoolExchangeRate::Flat
    } else {
        PoolExchangeRate::Variable { wal_amount: u128::from(wal), share_amount: u128::from(shares) }
    }
}

fn to_shares(rate: PoolExchangeRate, wal: u64) -> Outcome<u64> {
    match rate {
        PoolExchangeRate::Flat => Ok(wal),
        PoolExchangeRate::Variable { wal_amount, share_amount } => scale(wal, share_amount, wal_amount),
    }
}

fn to_wal(rate: PoolExchangeRate, shares: u64) -> Outcome<u64> {
    match rate {
        PoolExchangeRate::Flat => Ok(shares),
        PoolExchangeRate::Variable { wal_amount, share_amount } => scale(shares, wal_amount, share_amount),
    }
}

fn scale(amount: u64, times: u128, by: u128) -> Outcome<u64> {
    let product = u128::from(amount).checked_mul(times).and_then(|product| product.checked_div(by));
    product.and_then(|value| u64::try_from(value).ok()).ok_or(Failure::Arithmetic)
}

/// The newest exchange rate at or before an epoch, not before the pool's activation.
fn rate_at(session: &mut Session<'_>, pool: &StakingPool, epoch: u32) -> Outcome<PoolExchangeRate> {
    let mut at = epoch.min(pool.latest_epoch);
    while at >= pool.activation_epoch {
        let found = session.field(pool.exchange_rates.id, &TypeTag::U32, &at.to_le_bytes())?;
        if let Some(rate) = found {
            return Ok(rate);
        }
        match at.checked_sub(1) {
            Some(before) => at = before,
            None => break,
        }
    }
    Ok(PoolExchangeRate::Flat)
}

/// Shares of early withdrawals that fall due up to an epoch.
fn early_shares(session: &mut Session<'_>, pool: &StakingPool, epoch: u32) -> Outcome<u64> {
    let due = pool.pre_active_withdrawals.values.contents.clone();
    let mut shares = 0;
    for (at, principal) in due.into_iter().filter(|(at, _)| *at <= epoch) {
        let rate = rate_at(session, pool, at.saturating_sub(1))?;
        shares = add(shares, to_shares(rate, principal)?)?;
    }
    Ok(shares)
}

/// What the pool will hold in an epoch, pending stake and withdrawals counted.
fn balance_at(session: &mut Session<'_>, pool: &StakingPool, epoch: u32) -> Outcome<u64> {
    let rate = new_rate(pool.wal_balance, pool.num_shares);
    let shares = add(pending_at(&pool.pending_shares_withdraw, epoch)?, early_shares(session, pool, epoch)?)?;
    let balance = add(pool.wal_balance, pending_at(&pool.pending_stake, epoch)?)?;
    balance.checked_sub(to_wal(rate, shares)?).ok_or(Failure::Arithmetic)
}

/// The first epoch whose committee is still open.
fn open_epoch(inner: &StakingInnerV1) -> Outcome<u32> {
    let ahead = if inner.next_committee.is_some() { 2 } else { 1 };
    inner.epoch.checked_add(ahead).ok_or(Failure::Arithmetic)
}

pub(super) fn active_set(session: &mut Session<'_>, inner: &StakingInnerV1) -> Outcome<ActiveSet> {
    extended(session, inner.active_set.id)
}

/// Brings the pool's stake in the active set up to date.
pub(super) fn activate(session: &mut Session<'_>, inner: &StakingInnerV1, pool: &StakingPool) -> Outcome<()> {
    let stake = balance_at(session, pool, open_epoch(inner)?)?;
    let mut set = active_set(session, inner)?;
    update_active(&mut set, pool.id, stake);
    let value_type = session.walrus("active_set", "ActiveSet").into();
    set_extended(session, inner.active_set.id, value_type, &set)
}

fn stake(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call)?;
    let coin: Coin = call.arg(1)?;
    let mut pool = pool(call.session, &inner, call.arg(2)?)?;
    ensure(coin.balance > 0, POOL, code::ZERO_STAKE)?;
    ensure(coin.balance >= MIN_STAKE, STAKED, staked_code::STAKE_BELOW_THRESHOLD)?;
    ensure(pool.state == PoolState::Active, POOL, code::POOL_IS_NOT_ACTIVE)?;
    let activation_epoch = open_epoch(&inner)?;
    call.session.delete_id(coin.id);
    let staked = StakedWal {
        id: call.session.new_id(),
        state: StakedWalState::Staked,
        node_id: pool.id,
        principal: coin.balance,
        activation_epoch,
    };
    add_pending(&mut pool.pending_stake, activation_epoch, coin.balance)?;
    call.session.rewrite(pool.id, &pool)?;
    activate(call.session, &inner, &pool)?;
    call.ret(&staked)
}

/// Whether stake can be taken back at once: it counts for no committee, now or next.
fn direct(inner: &StakingInnerV1, staked: &StakedWal) -> bool {
    let in_next = inner.next_committee.as_ref().is_some_and(|next| next.get(&staked.node_id).is_some());
    let in_current = inner.committee.get(&staked.node_id).is_some();
    match staked.activation_epoch.saturating_sub(inner.epoch) {
        0 => !in_current && !in_next,
        1 => !in_next,
        _ => true,
    }
}

/// Takes directly withdrawn stake out of the pool; what it pays beyond the principal.
fn leave(session: &mut Session<'_>, pool: &mut StakingPool, staked: &StakedWal) -> Outcome<u64> {
    if let Some(value) = pool.pending_stake.values.get_mut(&staked.activation_epoch) {
        *value = value.checked_sub(staked.principal).ok_or_else(|| abort("pending_values", 1))?;
        return Ok(0);
    }
    // It was counted before the node left the committee: it leaves at the pool's present rate.
    let shares = to_shares(rate_at(session, pool, staked.activation_epoch)?, staked.principal)?;
    let worth = to_wal(new_rate(pool.wal_balance, pool.num_shares), shares)?;
    pool.wal_balance = pool.wal_balance.checked_sub(worth).ok_or_else(|| abort(POOL, code::CALCULATION_ERROR))?;
    pool.num_shares = pool.num_shares.saturating_sub(shares);
    Ok(worth.saturating_sub(staked.principal))
}

fn request_withdraw(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call)?;
    let mut staked: StakedWal = call.arg(1)?;
    let mut pool = pool(call.session, &inner, staked.node_id)?;
    ensure(!direct(&inner, &staked), POOL, code::WITHDRAW_DIRECTLY)?;
    ensure(staked.state == StakedWalState::Staked, POOL, code::NOT_STAKED)?;
    let withdraw_epoch = if staked.activation_epoch == inner.epoch.saturating_add(1) {
        let at = staked.activation_epoch.checked_add(1).ok_or(Failure::Arithmetic)?;
        add_pending(&mut pool.pre_active_withdrawals, at, staked.principal)?;
        at
    } else {
        ensure(staked.activation_epoch <= inner.epoch, POOL, code::ACTIVATION_EPOCH_NOT_REACHED)?;
        let in_next = inner.next_committee.as_ref().is_some_and(|next| next.get(&pool.id).is_some());
        let in_current = inner.committee.get(&pool.id).is_some();
        ensure(in_next || in_current, POOL, code::WITHDRAW_DIRECTLY)?;
        let at = inner.epoch.checked_add(if in_next { 2 } else { 1 }).ok_or(Failure::Arithmetic)?;
        let rate = rate_at(call.session, &pool, staked.activation_epoch)?;
        let shares = to_shares(rate, staked.principal)?;
        ensure(shares > 0, POOL, code::ZERO_SHARES)?;
        add_pending(&mut pool.pending_shares_withdraw, at, shares)?;
        at
    };
    staked.state = StakedWalState::Withdrawing { withdraw_epoch };
    call.session.rewrite(pool.id, &pool)?;
    activate(call.session, &inner, &pool)?;
    call.set(1, &staked)
}

/// Rewards of a principal that was active from one epoch and left in another.
fn rewards(
    session: &mut Session<'_>,
    pool: &StakingPool,
    principal: u64,
    activation: u32,
    withdraw: u32,
) -> Outcome<u64> {
    let shares = to_shares(rate_at(session, pool, activation)?, principal)?;
    let wal = to_wal(rate_at(session, pool, withdraw)?, shares)?;
    Ok(wal.saturating_sub(principal))
}

fn withdraw(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call)?;
    let staked: StakedWal = call.arg(1)?;
    let mut pool = pool(call.session, &inner, staked.node_id)?;
    let mut amount = staked.principal;
    let due = if direct(&inner, &staked) {
        leave(call.session, &mut pool, &staked)?
    } else {
        let StakedWalState::Withdrawing { withdraw_epoch } = staked.state else {
            return Err(abort(POOL, code::NOT_WITHDRAWING));
        };
        ensure(withdraw_epoch <= inner.epoch, POOL, code::WITHDRAW_EPOCH_NOT_REACHED)?;
        ensure(staked.activation_epoch <= inner.epoch, POOL, code::ACTIVATION_EPOCH_NOT_REACHED)?;
        rewards(call.session, &pool, staked.principal, staked.activation_epoch, withdraw_epoch)?
    };
    let paid = due.min(pool.rewards_pool);
    pool.rewards_pool -= paid;
    amount = add(amount, paid)?;
    call.session.delete_id(staked.id);
    call.session.rewrite(pool.id, &pool)?;
    activate(call.session, &inner, &pool)?;
    let coin = Coin { id: call.session.new_id(), balance: amount };
    call.ret(&coin)
}

fn calculate_rewards(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call)?;
    let pool = pool(call.session, &inner, call.arg(1)?)?;
    let due = rewards(call.session, &pool, call.arg(2)?, call.arg(3)?, call.arg(4)?)?;
    call.ret(&due)
}

fn join(call: &mut Call<'_, '_>) -> Outcome<()> {
    let (mut staked, other): (StakedWal, StakedWal) = (call.arg(0)?, call.arg(1)?);
    let alike = staked.node_id == other.node_id
        && staked.activation_epoch == other.activation_epoch
        && staked.state == other.state;
    ensure(alike, STAKED, staked_code::METADATA_MISMATCH)?;
    staked.principal = add(staked.principal, other.principal)?;
    call.session.delete_id(other.id);
    call.set(0, &staked)
}

fn split(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut staked: StakedWal = call.arg(0)?;
    let amount: u64 = call.arg(1)?;
    let rest = staked.principal.checked_sub(amount);
    let rest = rest.ok_or_else(|| abort(STAKED, staked_code::INVALID_AMOUNT))?;
    let enough = amount >= MIN_STAKE && rest >= MIN_STAKE;
    ensure(enough, STAKED, staked_code::STAKE_BELOW_THRESHOLD)?;
    let part = StakedWal { id: call.session.new_id(), principal: amount, ..staked };
    staked.principal = rest;
    call.set(0, &staked)?;
    call.ret(&part)
}

fn register_candidate(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call)?;
    let (name, network_address): (String, String) = (call.arg(1)?, call.arg(2)?);
    let metadata: NodeMetadata = call.arg(3)?;
    let key = proven_key(call, inner.epoch, 4, 6)?;
    ensure(name.len() <= 100, POOL, code::INVALID_NAME_LENGTH)?;
    ensure(network_address.len() <= 259, POOL, code::INVALID_NETWORK_ADDRESS_LENGTH)?;
    let commission_rate: u16 = call.arg(7)?;
    ensure(commission_rate <= 10_000, POOL, code::INCORRECT_COMMISSION_RATE)?;
    let network_public_key = network_key(call.arg(5)?)?;
    let node_id = call.session.new_id();
    let cap_id = call.session.new_id();
    let metadata_field = ExtendedField { id: call.session.new_id() };
    let value_type = call.session.walrus("node_metadata", "NodeMetadata").into();
    set_extended(call.session, metadata_field.id, value_type, &metadata)?;
    let activation_epoch = open_epoch(&inner)?;
    let pool = StakingPool {
        id: node_id,
        state: PoolState::Active,
        voting_params: VotingParams {
            storage_price: call.arg(8)?,
            write_price: call.arg(9)?,
            node_capacity: call.arg(10)?,
        },
        node_info: StorageNodeInfo {
            name,
            node_id,
            network_address,
            public_key: key.to_uncompressed(),
            next_epoch_public_key: None,
            network_public_key,
            metadata: metadata_field,
        },
        activation_epoch,
        latest_epoch: inner.epoch,
        wal_balance: 0,
        num_shares: 0,
        pending_shares_withdraw: PendingValues::default(),
        pre_active_withdrawals: PendingValues::default(),
        pending_commission_rate: PendingValues::default(),
        commission_rate,
        exchange_rates: Table { id: call.session.new_id(), size: 0 },
        pending_stake: PendingValues::default(),
        rewards_pool: 0,
        commission: 0,
        commission_receiver: Authorized::ObjectId(cap_id),
        governance_authorized: Authorized::Address(call.session.sender),
        extra_fields: Table { id: call.session.new_id(), size: 0 },
    };
    inner.pools.size = add(inner.pools.size, 1)?;
    let (tag, name) = (call.session.walrus(POOL, "StakingPool"), id_type(call.session));
    let contents = to_bytes(&pool)?;
    call.session.add_object_field(inner.pools.id, &name, node_id.as_bytes(), tag, contents)?;
    save(call, &inner)?;
    call.ret(&StorageNodeCap {
        id: cap_id,
        node_id,
        last_epoch_sync_done: 0,
        last_event_blob_attestation: None,
        deny_list_root: U256([0; 32]),
        deny_list_sequence: 0,
        deny_list_size: 0,
    })
}

/// The name of the part of a commission that cannot be collected before the voting of this epoch has ended.
const BLOCKED: &[u8] = b"\x12blocked_commission";

fn blocked(session: &mut Session<'_>, pool: &StakingPool) -> Outcome<u64> {
    let name = TypeTag::Vector(Box::new(TypeTag::U8));
    Ok(session.field(pool.extra_fields.id, &name, BLOCKED)?.unwrap_or(0))
}

/// Sets what is blocked; 0 removes the entry.
pub(super) fn set_blocked(session: &mut Session<'_>, pool: &mut StakingPool, amount: u64) -> Outcome<()> {
    let name = TypeTag::Vector(Box::new(TypeTag::U8));
    if amount == 0 {
        if session.remove_field(pool.extra_fields.id, &name, BLOCKED)? {
            pool.extra_fields.size = 0;
        }
        return Ok(());
    }
    pool.extra_fields.size = 1;
    session.set_field(pool.extra_fields.id, &name, BLOCKED, TypeTag::U64, &amount)
}

fn collect_commission(call: &mut Call<'_, '_>) -> Outcome<()> {
    let inner = inner(call)?;
    let mut pool = pool(call.session, &inner, call.arg(1)?)?;
    let who: Authorized = call.arg(2)?;
    ensure(who == pool.commission_receiver, POOL, code::AUTHORIZATION_FAILURE)?;
    let kept = blocked(call.session, &pool)?.min(pool.commission);
    let balance = pool.commission - kept;
    pool.commission = kept;
    call.session.rewrite(pool.id, &pool)?;
    let coin = Coin { id: call.session.new_id(), balance };
    call.ret(&coin)
}

fn authority(call: &mut Call<'_, '_>, commission: bool) -> Outcome<()> {
    let inner = inner(call)?;
    let mut pool = pool(call.session, &inner, call.arg(1)?)?;
    let who: Authorized = call.arg(2)?;
    let new: Authorized = call.arg(3)?;
    let current = if commission { &mut pool.commission_receiver } else { &mut pool.governance_authorized };
    ensure(who == *current, POOL, code::AUTHORIZATION_FAILURE)?;
    *current = new;
    call.session.rewrite(pool.id, &pool)
}

/// Applies the prices that the current committee votes for; the System object is argument 1.
pub(super) fn update_prices(call: &mut Call<'_, '_>, inner: &StakingInnerV1) -> Outcome<()> {
    let mut system = system::inner(call, 1)?;
    let (mut storage, mut write) = (Vec::new(), Vec::new());
    for (node, shards) in &inner.committee.contents {
        let votes = pool(call.session, inner, *node)?.voting_params;
        let weight = u16::try_from(shards.len()).map_err(|_| Failure::Arithmetic)?;
        storage.push((votes.storage_price, weight));
        write.push((votes.write_price, weight));
    }
    system.storage_price_per_unit_size = agreed(&storage, inner.n_shards, true);
    system.write_price_per_unit_size = agreed(&write, inner.n_shards, true);
    system::save(call, 1, &system)?;
    let event = PricesUpdated {
        epoch: inner.epoch,
        storage_price: system.storage_price_per_unit_size,
        write_price: system.write_price_per_unit_size,
    };
    call.session.walrus_event("PricesUpdated", &event)
}

/// Moves a pool into the epoch of `inner` with its rewards.
pub(super) fn advance_pool(
    session: &mut Session<'_>,
    inner: &StakingInnerV1,
    node: ObjectId,
    rewards: u64,
) -> Outcome<()> {
    let mut pool = pool(session, inner, node)?;
    let epoch = inner.epoch;
    ensure(epoch > pool.latest_epoch, POOL, code::POOL_ALREADY_UPDATED)?;
    ensure(rewards == 0 || pool.wal_balance > 0, POOL, code::INCORRECT_EPOCH_ADVANCE)?;
    if let Some(rate) = pool.pending_commission_rate.values.get(&epoch) {
        pool.commission_rate = u16::try_from(*rate).map_err(|_| Failure::Arithmetic)?;
        flush(&mut pool.pending_commission_rate, epoch)?;
    }
    let commission = scale(rewards, u128::from(pool.commission_rate), 10_000)?;
    pool.commission = add(pool.commission, commission)?;
    if commission > 0 {
        set_blocked(session, &mut pool, commission)?;
    }
    let rest = rewards - commission;
    pool.rewards_pool = add(pool.rewards_pool, rest)?;
    pool.wal_balance = add(pool.wal_balance, rest)?;
    pool.latest_epoch = epoch;
    if let Some(key) = pool.node_info.next_epoch_public_key.take() {
        pool.node_info.public_key = key;
    }
    let early = early_shares(session, &pool, epoch)?;
    flush(&mut pool.pre_active_withdrawals, epoch)?;
    let rate = new_rate(pool.wal_balance, pool.num_shares);
    let rate_type = session.walrus("pool_exchange_rate", "PoolExchangeRate").into();
    session.set_field(pool.exchange_rates.id, &TypeTag::U32, &epoch.to_le_bytes(), rate_type, &rate)?;
    pool.exchange_rates.size = add(pool.exchange_rates.size, 1)?;
    pool.wal_balance = add(pool.wal_balance, flush(&mut pool.pending_stake, epoch)?)?;
    let shares = add(flush(&mut pool.pending_shares_withdraw, epoch)?, early)?;
    let left = pool.wal_balance.checked_sub(to_wal(rate, shares)?);
    pool.wal_balance = left.ok_or_else(|| abort(POOL, code::CALCULATION_ERROR))?;
    pool.num_shares = to_shares(rate, pool.wal_balance)?;
    session.rewrite(pool.id, &pool)?;
    activate(session, inner, &pool)
}
