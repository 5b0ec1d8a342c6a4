//! Which shards a node serves in the present epoch, and who its peers are.

use redstuff::{Params, ShardIndex};
use sui_sdk_types::Address;

use crate::chain::{ChainError, CommitteeMember, CommitteeView, EpochPhase};

/// The committee as one node sees it.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub(crate) epoch: u32,
    pub(crate) params: Params,
    /// Shards are still moving to their new nodes.
    pub(crate) syncing: bool,
    /// This node's id, if it is a member now.
    pub(crate) node_id: Option<Address>,
    /// This node's shards in this epoch.
    pub(crate) shards: Vec<ShardIndex>,
    /// Its shards of the epoch before, which it still serves for reading while shards move.
    pub(crate) earlier: Vec<ShardIndex>,
    pub(crate) members: Vec<CommitteeMember>,
    pub(crate) previous: Vec<CommitteeMember>,
}

impl Placement {
    /// The place of the node with this BLS key.
    pub(crate) fn of(key: &[u8; 48], committee: CommitteeView) -> Result<Self, ChainError> {
        let params = Params::new(committee.n_shards).map_err(|error| ChainError::Genesis(error.to_string()))?;
        let me = |members: &[CommitteeMember]| members.iter().find(|member| member.bls_public_key == *key).cloned();
        let shards = |member: &Option<CommitteeMember>| -> Vec<ShardIndex> {
            let mut shards: Vec<ShardIndex> =
                member.iter().flat_map(|member| &member.shards).map(|shard| ShardIndex::new(*shard)).collect();
            shards.sort_unstable();
            shards
        };
        let now = me(&committee.members);
        let before = me(&committee.previous);
        Ok(Self {
            epoch: committee.epoch,
            params,
            syncing: matches!(committee.phase, EpochPhase::Sync { .. }),
            node_id: now.as_ref().or(before.as_ref()).map(|member| member.node_id),
            shards: shards(&now),
            earlier: shards(&before),
            members: committee.members,
            previous: committee.previous,
        })
    }

    /// Whether the node accepts and confirms slivers of this shard.
    pub(crate) fn writable(&self, shard: ShardIndex) -> bool {
        self.shards.binary_search(&shard).is_ok()
    }

    /// Whether the node serves slivers of this shard.
    pub(crate) fn readable(&self, shard: ShardIndex) -> bool {
        self.writable(shard) || (self.syncing && self.earlier.binary_search(&shard).is_ok())
    }

    /// Whether this epoch gave the node shards that it did not have before.
    pub(crate) fn gained(&self) -> bool {
        self.shards.iter().any(|shard| self.earlier.binary_search(shard).is_err())
    }

    /// Whether the node is a member of the present committee.
    pub(crate) fn is_member(&self) -> bool {
        !self.shards.is_empty()
    }
}
