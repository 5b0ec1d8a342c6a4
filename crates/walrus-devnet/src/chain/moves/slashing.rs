//! `slashing`: nodes of quorum weight burn the commission of one of them.
//!
//! Votes count in the epoch they were given in; the first vote of another epoch begins anew. Stake is never touched.

use sui_sdk_types::TypeTag;
use walrus_client::wire::abort::slashing as code;
use walrus_client::wire::chain::{Authorized, ObjectId, ProtectedTreasury, SlashingManager, SlashingProposal, VecSet};
use walrus_client::wire::message::Threshold;

use super::Native;
use super::framework::burn;
use super::staking::{id_type, inner_at, pool};
use crate::chain::execute::{Call, Failure, Outcome, abort, broken, ensure};

const MODULE: &str = "slashing";

pub(super) fn native(name: &str) -> Option<Native> {
    Some(match name {
        "vote_for_slashing" => vote,
        "execute_slashing" => execute,
        "cleanup_slashing_proposals" => clean_up,
        _ => return None,
    })
}

fn proposal(
    call: &mut Call<'_, '_>,
    manager: &SlashingManager,
    candidate: ObjectId,
) -> Outcome<Option<SlashingProposal>> {
    let name = id_type(call.session);
    call.session.field(manager.slashing_candidates.id, &name, candidate.as_bytes())
}

fn remove(call: &mut Call<'_, '_>, manager: &mut SlashingManager, candidate: ObjectId) -> Outcome<()> {
    let name = id_type(call.session);
    if call.session.remove_field(manager.slashing_candidates.id, &name, candidate.as_bytes())? {
        manager.slashing_candidates.size = manager.slashing_candidates.size.checked_sub(1).ok_or_else(broken)?;
    }
    Ok(())
}

fn vote(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut manager: SlashingManager = call.arg(0)?;
    let inner = inner_at(call, 1)?;
    let (who, voter, candidate): (Authorized, ObjectId, ObjectId) = (call.arg(2)?, call.arg(3)?, call.arg(4)?);
    let governance = pool(call.session, &inner, voter)?.governance_authorized;
    ensure(who == governance, MODULE, code::NOT_AUTHORIZED)?;
    let known = proposal(call, &manager, candidate)?;
    if known.is_none() {
        manager.slashing_candidates.size += 1;
    }
    let mut proposal = known.filter(|known| known.epoch == inner.epoch).unwrap_or(SlashingProposal {
        epoch: inner.epoch,
        node_id: candidate,
        voting_weight: 0,
        voters: VecSet { contents: Vec::new() },
    });
    ensure(!proposal.voters.contents.contains(&voter), MODULE, code::DUPLICATE_VOTE)?;
    let weight = inner.committee.get(&voter).map_or(0, Vec::len);
    let weight = u16::try_from(weight).map_err(|_| Failure::Arithmetic)?;
    proposal.voters.contents.push(voter);
    proposal.voting_weight = proposal.voting_weight.checked_add(weight).ok_or(Failure::Arithmetic)?;
    let name = id_type(call.session);
    let value_type: TypeTag = call.session.walrus(MODULE, "SlashingProposal").into();
    call.session.set_field(manager.slashing_candidates.id, &name, candidate.as_bytes(), value_type, &proposal)?;
    call.set(0, &manager)
}

fn execute(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut manager: SlashingManager = call.arg(0)?;
    let inner = inner_at(call, 1)?;
    let (treasury, candidate): (ProtectedTreasury, ObjectId) = (call.arg(2)?, call.arg(3)?);
    let found = proposal(call, &manager, candidate)?.ok_or_else(|| abort(MODULE, code::NO_PROPOSAL_FOR_NODE))?;
    remove(call, &mut manager, candidate)?;
    ensure(found.epoch == inner.epoch, MODULE, code::WRONG_EPOCH)?;
    let quorum = Threshold::Quorum.reached(u32::from(found.voting_weight), inner.n_shards);
    ensure(quorum, MODULE, code::NOT_ENOUGH_VOTES)?;
    let mut pool = pool(call.session, &inner, candidate)?;
    let burned = std::mem::take(&mut pool.commission);
    call.session.rewrite(pool.id, &pool)?;
    burn(call.session, treasury.id, burned)?;
    call.set(0, &manager)
}

fn clean_up(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut manager: SlashingManager = call.arg(0)?;
    let epoch = inner_at(call, 1)?.epoch;
    for candidate in call.arg::<Vec<ObjectId>>(2)? {
        if proposal(call, &manager, candidate)?.is_some_and(|found| found.epoch < epoch) {
            remove(call, &mut manager, candidate)?;
        }
    }
    call.set(0, &manager)
}
