//! The epoch machine: `voting_end`, `initiate_epoch_change_v2`, `epoch_sync_done`.
//!
//! A transaction of the chain itself (an operator's command) may end an epoch before its time: the clock stays true, the condition on
//! it does not bind.

use std::collections::BTreeSet;

use walrus_client::wire::abort::{staking as outer, staking_inner as code};
use walrus_client::wire::bls::BlsPublicKey;
use walrus_client::wire::chain::{
    BlsCommittee, BlsCommitteeMember, Clock, Committee, EpochChangeDone, EpochChangeStart, EpochParametersSelected,
    EpochParams, EpochState, FutureAccounting, ObjectId, ProtectedTreasury, ShardsReceived, StakingInnerV1,
    StorageNodeCap, SystemStateInnerV1,
};
use walrus_client::wire::message::Threshold;

use super::Native;
use super::committee::{agreed, apportion, initialize, transition};
use super::framework::{add, burn};
use super::staking::{INNER, active_set, advance_pool, inner, pool, save, set_blocked, update_prices};
use super::system::{self, deny_list_sizes, slot};
use crate::chain::execute::{Call, Failure, Outcome, abort, broken, ensure};

pub(super) fn native(name: &str) -> Option<Native> {
    Some(match name {
        "voting_end" => voting_end,
        "initiate_epoch_change" => |_| Err(abort("staking", outer::DEPRECATED_FUNCTION)),
        "initiate_epoch_change_v2" => initiate,
        "epoch_sync_done" => sync_done,
        _ => return None,
    })
}

/// Whether the clock has reached `at`, or need not.
fn due(call: &Call<'_, '_>, clock: usize, inner: &StakingInnerV1, at: u64) -> Outcome<()> {
    let now = call.arg::<Clock>(clock)?.timestamp_ms;
    let at = if inner.epoch == 0 { inner.first_epoch_start } else { at };
    ensure(call.session.privileged || now >= at, INNER, code::WRONG_EPOCH_STATE)
}

fn weight(shards: &[u16]) -> Outcome<u16> {
    u16::try_from(shards.len()).map_err(|_| Failure::Arithmetic)
}

fn voting_end(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call)?;
    let EpochState::EpochChangeDone(since) = inner.epoch_state else {
        return Err(abort(INNER, code::WRONG_EPOCH_STATE));
    };
    due(call, 1, &inner, since.saturating_add(inner.epoch_duration / 2))?;
    for (node, _) in &inner.previous_committee.contents {
        let mut pool = pool(call.session, &inner, *node)?;
        set_blocked(call.session, &mut pool, 0)?;
        call.session.rewrite(pool.id, &pool)?;
    }
    let active = active_set(call.session, &inner)?;
    let stakes: Vec<u64> = active.nodes.iter().map(|entry| entry.staked_amount).collect();
    let counts = apportion(&stakes, inner.n_shards)?;
    let wanted: Vec<(ObjectId, u16)> = active.nodes.iter().map(|entry| entry.node_id).zip(counts).collect();
    let next =
        if inner.committee.contents.is_empty() { initialize(&wanted) } else { transition(&inner.committee, &wanted) };
    let capacity = capacity(call, &inner, &next)?;
    inner.next_committee = Some(next);
    inner.next_epoch_params = Some(EpochParams {
        total_capacity_size: capacity,
        storage_price_per_unit_size: u64::MAX,
        write_price_per_unit_size: u64::MAX,
    });
    inner.epoch_state = EpochState::NextParamsSelected(since);
    save(call, &inner)?;
    let next_epoch = inner.epoch.checked_add(1).ok_or(Failure::Arithmetic)?;
    call.session.walrus_event("EpochParametersSelected", &EpochParametersSelected { next_epoch })
}

/// The capacity that the next committee votes for.
fn capacity(call: &mut Call<'_, '_>, inner: &StakingInnerV1, next: &Committee) -> Outcome<u64> {
    let mut votes = Vec::new();
    for (node, shards) in &next.contents {
        let weight = weight(shards)?;
        let vote = pool(call.session, inner, *node)?.voting_params.node_capacity;
        let all = u128::from(vote) * u128::from(inner.n_shards) / u128::from(weight.max(1));
        votes.push((u64::try_from(all).unwrap_or(u64::MAX), weight));
    }
    Ok(agreed(&votes, inner.n_shards, false))
}

fn initiate(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call)?;
    let treasury: ProtectedTreasury = call.arg(2)?;
    let EpochState::NextParamsSelected(since) = inner.epoch_state else {
        return Err(abort(INNER, code::WRONG_EPOCH_STATE));
    };
    due(call, 3, &inner, since.saturating_add(inner.epoch_duration))?;
    let mut system = system::inner(call, 1)?;
    let next = inner.next_committee.take().ok_or_else(|| abort(INNER, code::NEXT_COMMITTEE_IS_EMPTY))?;
    let params = inner.next_epoch_params.take().ok_or_else(broken)?;

    // 3 % of everything paid for the epoch is burned.
    let current = slot(&mut system, 0)?;
    let burned = u64::try_from(u128::from(current.rewards_to_distribute) * 3 / 100).map_err(|_| Failure::Arithmetic)?;
    current.rewards_to_distribute -= burned;
    burn(call.session, treasury.id, burned)?;

    inner.epoch = inner.epoch.checked_add(1).ok_or(Failure::Arithmetic)?;
    inner.previous_committee = std::mem::replace(&mut inner.committee, next);
    inner.epoch_state = EpochState::EpochChangeSync(0);
    let rewards = advance_system(call, &mut system, params.total_capacity_size)?;
    save(call, &inner)?;

    let both: BTreeSet<ObjectId> =
        inner.previous_committee.contents.iter().chain(&inner.committee.contents).map(|(node, _)| *node).collect();
    for node in both {
        let share = rewards.iter().find(|(id, _)| *id == node).map_or(0, |(_, share)| *share);
        advance_pool(call.session, &inner, node, share)?;
    }
    // Keys rotate with the pools, so the new committee is made of the rotated ones.
    system.committee = bls_committee(call, &inner)?;
    system::save(call, 1, &system)?;
    let event = EpochChangeStart { epoch: inner.epoch };
    call.session.walrus_event("EpochChangeStart", &event)?;
    update_prices(call, &inner)
}

/// Closes the current slot of the accounting and shares its rewards among the old committee.
fn advance_system(
    call: &mut Call<'_, '_>,
    system: &mut SystemStateInnerV1,
    capacity: u64,
) -> Outcome<Vec<(ObjectId, u64)>> {
    let length = system.future_accounting.length;
    let old = slot(system, 0)?;
    let (used, mut rewards) = (old.used_capacity, old.rewards_to_distribute);
    let epoch = old.epoch.checked_add(length).ok_or(Failure::Arithmetic)?;
    *old = FutureAccounting { epoch, used_capacity: 0, rewards_to_distribute: 0 };
    let index = system.future_accounting.current_index;
    system.future_accounting.current_index = (index + 1) % length.max(1);
    let new_used = slot(system, 0)?.used_capacity;
    system.used_capacity_size = new_used;
    system.total_capacity_size = capacity.max(new_used);

    let denied = deny_list_sizes(call.session, system)?;
    let stored = |member: &BlsCommitteeMember| {
        let denied = denied.get(&member.node_id).copied().unwrap_or(0).min(used);
        u128::from(member.weight) * u128::from(used - denied)
    };
    let total = system.committee.members.iter().map(stored).sum::<u128>().max(1);
    let all = u128::from(rewards);
    let mut shares = Vec::new();
    for member in &system.committee.members {
        let share = wide_share(stored(member), all, total)?;
        rewards = rewards.checked_sub(share).ok_or(Failure::Arithmetic)?;
        shares.push((member.node_id, share));
    }
    // What rounding left joins the new epoch.
    let current = slot(system, 0)?;
    current.rewards_to_distribute = add(current.rewards_to_distribute, rewards)?;
    Ok(shares)
}

fn wide_share(stored: u128, rewards: u128, total: u128) -> Outcome<u64> {
    let product = stored.checked_mul(rewards).ok_or(Failure::Arithmetic)?;
    u64::try_from(product / total).map_err(|_| Failure::Arithmetic)
}

fn bls_committee(call: &mut Call<'_, '_>, inner: &StakingInnerV1) -> Outcome<BlsCommittee> {
    let mut members = Vec::new();
    let mut keys = Vec::new();
    for (node, shards) in &inner.committee.contents {
        let public_key = pool(call.session, inner, *node)?.node_info.public_key;
        keys.push(BlsPublicKey::from_uncompressed(&public_key).map_err(|_| broken())?);
        members.push(BlsCommitteeMember { public_key, weight: weight(shards)?, node_id: *node });
    }
    let total = BlsPublicKey::aggregate(&keys).map_err(|_| broken())?;
    Ok(BlsCommittee {
        members,
        n_shards: inner.n_shards,
        epoch: inner.epoch,
        total_aggregated_key: total.to_compressed(),
    })
}

fn sync_done(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut inner = inner(call)?;
    let mut cap: StorageNodeCap = call.arg(1)?;
    let epoch: u32 = call.arg(2)?;
    let now = call.arg::<Clock>(3)?.timestamp_ms;
    ensure(epoch == inner.epoch, INNER, code::INVALID_SYNC_EPOCH)?;
    ensure(cap.last_epoch_sync_done < inner.epoch, INNER, code::DUPLICATE_SYNC_DONE)?;
    cap.last_epoch_sync_done = inner.epoch;
    let shards = inner.committee.get(&cap.node_id).cloned();
    let shards = shards.ok_or_else(|| abort(INNER, code::NOT_IN_COMMITTEE))?;
    if let EpochState::EpochChangeSync(sum) = inner.epoch_state {
        let sum = sum.checked_add(weight(&shards)?).ok_or(Failure::Arithmetic)?;
        inner.epoch_state = if Threshold::Quorum.reached(u32::from(sum), inner.n_shards) {
            call.session.walrus_event("EpochChangeDone", &EpochChangeDone { epoch })?;
            EpochState::EpochChangeDone(now)
        } else {
            EpochState::EpochChangeSync(sum)
        };
        save(call, &inner)?;
    }
    call.set(1, &cap)?;
    call.session.walrus_event("ShardsReceived", &ShardsReceived { epoch, shards })
}
