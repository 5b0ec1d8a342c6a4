//! Who serves how many shards, and which: apportionment by stake and the hand-over of shards between committees.

use walrus_client::wire::abort::{apportionment_queue, staking_inner};
use walrus_client::wire::chain::{ActiveSet, ActiveSetEntry, Committee, ObjectId};
use walrus_client::wire::message::Threshold;

use crate::chain::execute::{Outcome, abort, ensure};

/// The most shards of one node.
fn most(n_shards: u16, nodes: usize) -> u64 {
    let n = u64::from(n_shards);
    let nodes = u64::try_from(nodes).unwrap_or(u64::MAX).max(1);
    if nodes >= 20 { n / 10 } else { (20 * n).div_ceil(10 * nodes) }
}

/// Shards by node in the order of the active set: a first share below the fair one, then one shard at a time to the highest stake per
/// shard, ties to the earlier entry.
pub(super) fn apportion(stakes: &[u64], n_shards: u16) -> Outcome<Vec<u16>> {
    let total: u128 = stakes.iter().map(|stake| u128::from(*stake)).sum();
    ensure(total > 0, "staking_inner", staking_inner::NO_STAKE)?;
    let most = most(n_shards, stakes.len());
    let price = total / (u128::from(n_shards) + 1) + 1;
    let mut shards: Vec<u64> =
        stakes.iter().map(|stake| u64::try_from(u128::from(*stake) / price).unwrap_or(u64::MAX).min(most)).collect();
    let mut left = u64::from(n_shards).saturating_sub(shards.iter().sum());
    while left > 0 {
        let mut best: Option<(u128, usize)> = None;
        for (index, (stake, have)) in stakes.iter().zip(&shards).enumerate() {
            if *have >= most {
                continue;
            }
            let quotient = (u128::from(*stake) << 64) / u128::from(have + 1);
            if best.is_none_or(|(highest, _)| quotient > highest) {
                best = Some((quotient, index));
            }
        }
        let (_, index) = best.ok_or_else(|| abort("apportionment_queue", apportionment_queue::POP_FROM_EMPTY_HEAP))?;
        shards[index] += 1;
        left -= 1;
    }
    Ok(shards.into_iter().map(|count| u16::try_from(count).unwrap_or(u16::MAX)).collect())
}

/// The next committee: shards stay where they can.
pub(super) fn transition(old: &Committee, wanted: &[(ObjectId, u16)]) -> Committee {
    let count = |node: &ObjectId| wanted.iter().find(|(id, _)| id == node).map_or(0, |(_, count)| usize::from(*count));
    let mut free = Vec::new();
    let mut next = Committee::default();
    for (node, shards) in &old.contents {
        let mut shards = shards.clone();
        while shards.len() > count(node) {
            free.extend(shards.pop());
        }
        if !shards.is_empty() {
            next.contents.push((*node, shards));
        }
    }
    let fill = |shards: &mut Vec<u16>, free: &mut Vec<u16>, count: usize| {
        while shards.len() < count
            && let Some(shard) = free.pop()
        {
            shards.push(shard);
        }
    };
    for (node, _) in wanted {
        if old.get(node).is_none() && count(node) > 0 {
            let mut shards = Vec::new();
            fill(&mut shards, &mut free, count(node));
            next.contents.push((*node, shards));
        }
    }
    next.contents.sort_by_key(|(node, _)| *node);
    for (node, shards) in &mut next.contents {
        let count = count(node);
        fill(shards, &mut free, count);
    }
    next
}

/// The first committee ever: consecutive ranges in ascending node id.
pub(super) fn initialize(wanted: &[(ObjectId, u16)]) -> Committee {
    let mut nodes: Vec<_> = wanted.iter().filter(|(_, count)| *count > 0).copied().collect();
    nodes.sort();
    let mut next = 0u16;
    let mut committee = Committee::default();
    for (node, count) in nodes {
        let end = next.saturating_add(count);
        committee.contents.push((node, (next..end).collect()));
        next = end;
    }
    committee
}

/// Records a node's stake: in place, appended while there is room, or for the smallest that is smaller. No stake, no place.
pub(super) fn update_active(set: &mut ActiveSet, node_id: ObjectId, staked_amount: u64) {
    let known = set.nodes.iter().position(|entry| entry.node_id == node_id);
    match known {
        Some(index) if staked_amount == 0 => {
            set.nodes.swap_remove(index);
        }
        Some(index) => set.nodes[index].staked_amount = staked_amount,
        None if staked_amount == 0 || staked_amount < set.threshold_stake => {}
        None if set.nodes.len() < usize::from(set.max_size) => {
            set.nodes.push(ActiveSetEntry { node_id, staked_amount });
        }
        None => {
            let smallest = set.nodes.iter_mut().min_by_key(|entry| entry.staked_amount);
            if let Some(entry) = smallest.filter(|entry| entry.staked_amount < staked_amount) {
                *entry = ActiveSetEntry { node_id, staked_amount };
            }
        }
    }
    set.total_stake = set.nodes.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.staked_amount));
}

/// The lowest price that a quorum voted at or below, or the highest capacity that a quorum voted at or above.
pub(crate) fn agreed(votes: &[(u64, u16)], n_shards: u16, lowest: bool) -> u64 {
    let mut sorted = votes.to_vec();
    sorted.sort_by_key(|(vote, _)| if lowest { *vote } else { u64::MAX - *vote });
    let mut weight = 0;
    for (vote, shards) in sorted {
        weight += u32::from(shards);
        if Threshold::Quorum.reached(weight, n_shards) {
            return vote;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_follow_stake_within_the_cap() {
        assert_eq!(apportion(&[30, 30, 20, 20], 10).unwrap(), [3, 3, 2, 2]);
        assert_eq!(apportion(&[10, 10, 10], 10).unwrap(), [4, 3, 3], "ties go to the earlier entry");
        assert_eq!(apportion(&[1_000_000, 1, 1, 1], 10).unwrap(), [5, 2, 2, 1], "two fair shares at most");
        let equal = apportion(&[7; 100], 1000).unwrap();
        assert!(equal.iter().all(|count| *count == 10));
        assert!(apportion(&[0, 0], 10).is_err());
    }

    #[test]
    fn shards_stay_where_they_can() {
        let id = |n: u8| ObjectId::new([n; 32]);
        let first = initialize(&[(id(2), 4), (id(1), 3), (id(3), 3), (id(4), 0)]);
        assert_eq!(first.get(&id(1)), Some(&vec![0, 1, 2]));
        assert_eq!(first.get(&id(2)), Some(&vec![3, 4, 5, 6]));
        let next = transition(&first, &[(id(2), 3), (id(1), 4), (id(9), 3)]);
        // Freed in node-id order: 6 from node 2, then 9, 8, 7 from node 3; taken from the end.
        assert_eq!(next.get(&id(9)), Some(&vec![7, 8, 9]));
        assert_eq!(next.get(&id(1)), Some(&vec![0, 1, 2, 6]));
        assert_eq!(next.get(&id(2)), Some(&vec![3, 4, 5]));
        assert_eq!(next.get(&id(3)), None);
        let mut all: Vec<u16> = next.contents.iter().flat_map(|(_, shards)| shards.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn votes_need_a_quorum() {
        let votes = [(100, 3), (300, 3), (200, 2), (50, 2)];
        assert_eq!(agreed(&votes, 10, true), 200);
        assert_eq!(agreed(&votes, 10, false), 100);
    }

    #[test]
    fn the_active_set_keeps_the_largest() {
        let id = |n: u8| ObjectId::new([n; 32]);
        let mut set = ActiveSet { max_size: 2, threshold_stake: 0, nodes: Vec::new(), total_stake: 0 };
        update_active(&mut set, id(1), 10);
        update_active(&mut set, id(2), 20);
        update_active(&mut set, id(3), 10);
        assert_eq!(set.total_stake, 30, "an equal stake displaces nobody");
        update_active(&mut set, id(3), 11);
        assert_eq!(set.total_stake, 31);
        update_active(&mut set, id(2), 0);
        assert_eq!(set.nodes.len(), 1);
    }
}
