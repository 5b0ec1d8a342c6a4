//! Which packs are worth compacting, and when: what lives in sparse packs moves into a new one, and the old ones are deleted
//! when `gc_delay` has passed.
//!
//! The budget: as long as there is space, only packs less than half of which lives are moved, so a byte that moves frees at
//! least one; when space is short, packs of which an eighth is dead too, the emptiest first. A commit moves at most a full pack,
//! and compaction never takes the space that is reserved for going on when the pool is full.

use super::network::Network;
use crate::error::FsResult;
use crate::ids::PackNo;
use crate::tree::Occupancy;
use std::collections::BTreeSet;

/// What the next commit may compact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The emptiest first.
    pub(super) packs: Vec<PackNo>,
    /// Whether that is reason enough for a commit of its own: the pool is short of space.
    pub(super) pressing: bool,
}

/// What is known about compaction between commits.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    pub(super) plan: Plan,
    /// Packs that were tried and cannot be taken over as a whole: copies refer to chunks in them.
    pub(super) unmovable: BTreeSet<PackNo>,
}

/// Decides. `target`: the size of a full pack, bytes.
pub(super) fn plan(found: &Occupancy, network: &dyn Network, target: u64) -> FsResult<Plan> {
    let full = network.encoded_len(target)?;
    let small = network.encoded_len(network.padding())?;
    let capacity = network.capacity();
    let free = capacity.total.saturating_sub(capacity.used);
    // A checkpoint and one more full pack must fit afterwards: without them even a removal could not be committed.
    if free < full.saturating_mul(2).saturating_add(small) {
        return Ok(Plan::default());
    }
    let mut soon = free;
    for size in &found.dead {
        soon = soon.saturating_add(network.encoded_len(*size)?);
    }
    let locked = u128::from(found.size.saturating_sub(found.live)) * u128::from(full) / u128::from(target.max(1));
    let locked = u64::try_from(locked).unwrap_or(u64::MAX);
    let pressing = soon < capacity.total / 4 || soon < capacity.total / 2 && locked > soon / 2;
    let wasteful = found.size >= target.saturating_mul(4) && found.live < found.size / 2;
    if !pressing && !wasteful {
        return Ok(Plan::default());
    }
    let (mut moved, mut gained) = (0u64, 0u64);
    let mut packs = Vec::new();
    for (number, size, live) in &found.sparse {
        if !pressing && *live > size / 2 || moved.saturating_add(*live) > target / 8 * 7 {
            break;
        }
        moved += live;
        gained = gained.saturating_add(size - live);
        packs.push(*number);
    }
    let worth = if pressing { target / 8 } else { target / 2 };
    if gained < worth { Ok(Plan::default()) } else { Ok(Plan { packs, pressing }) }
}
