//! Who stores what: the nodes of one epoch, in signer order, and which of them holds which shard.

use crate::error::{ClientError, ClientResult};
use crate::wire::bls::BlsPublicKey;
use crate::wire::chain::{BlsCommittee, Committee as ShardAssignment, Element, ObjectId, StakingPool};
use redstuff::{BlobId, PairIndex, Params, ShardIndex};
use std::collections::HashMap;

/// A storage node as the chain describes it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id, which is also the id of its staking pool.
    pub id: ObjectId,
    /// Its place among the committee's members: the signer index in certificates.
    pub index: u16,
    /// For messages.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// Signs confirmations. `None` in a previous committee, which confirms nothing.
    pub public_key: Option<BlsPublicKey>,
    /// The compressed P-256 key of its TLS certificate.
    pub network_key: Element<33>,
    /// The shards that it holds.
    pub shards: Vec<ShardIndex>,
}

impl Node {
    /// The node's weight: its number of shards.
    pub fn weight(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }
}

/// The nodes of one epoch.
#[derive(Clone, Debug)]
pub struct Committee {
    /// The Walrus epoch.
    pub epoch: u32,
    params: Params,
    nodes: Vec<Node>,
    owners: Vec<u16>,
}

impl Committee {
    /// Puts together what staking and system say. With `keys`, members must agree one by one with the assignment.
    pub(super) fn assemble(
        epoch: u32,
        n_shards: u16,
        assignment: &ShardAssignment,
        keys: Option<&BlsCommittee>,
        pools: &HashMap<ObjectId, StakingPool>,
    ) -> ClientResult<Self> {
        let what = || format!("committee of epoch {epoch}");
        let params = Params::new(n_shards).map_err(|error| ClientError::bad(what(), error))?;
        if let Some(keys) = keys
            && keys.members.len() != assignment.contents.len()
        {
            return Err(ClientError::bad(what(), "system and staking name different numbers of nodes"));
        }
        let mut nodes = Vec::new();
        for (position, (id, shards)) in assignment.contents.iter().enumerate() {
            let pool =
                pools.get(id).ok_or_else(|| ClientError::bad(what(), format!("node {id} has no staking pool")))?;
            let public_key = match keys.and_then(|keys| keys.members.get(position)) {
                None => None,
                Some(member) if member.node_id == *id && usize::from(member.weight) == shards.len() => Some(
                    BlsPublicKey::from_uncompressed(&member.public_key)
                        .map_err(|error| ClientError::bad(what(), format!("node {id}: {error}")))?,
                ),
                Some(_) => return Err(ClientError::bad(what(), format!("system and staking disagree on node {id}"))),
            };
            nodes.push(Node {
                id: *id,
                index: u16::try_from(position).map_err(|_| ClientError::bad(what(), "too many nodes"))?,
                name: pool.node_info.name.clone(),
                address: pool.node_info.network_address.clone(),
                public_key,
                network_key: pool.node_info.network_public_key,
                shards: shards.iter().map(|shard| ShardIndex::new(*shard)).collect(),
            });
        }
        Self::new(epoch, params, nodes)
    }

    /// A committee of these nodes, whose `index` is their position; every shard must have exactly one owner.
    pub fn new(epoch: u32, params: Params, nodes: Vec<Node>) -> ClientResult<Self> {
        let what = || format!("committee of epoch {epoch}");
        let mut owners = vec![u16::MAX; usize::from(params.n_shards())];
        for (position, node) in nodes.iter().enumerate() {
            if usize::from(node.index) != position {
                return Err(ClientError::bad(what(), "nodes are out of order"));
            }
            for shard in &node.shards {
                match owners.get_mut(shard.as_usize()) {
                    Some(owner) if *owner == u16::MAX => *owner = node.index,
                    _ => {
                        return Err(ClientError::bad(what(), format!("shard {} has two owners or none", shard.get())));
                    }
                }
            }
        }
        if let Some(orphan) = owners.iter().position(|owner| *owner == u16::MAX) {
            return Err(ClientError::bad(what(), format!("shard {orphan} has no owner")));
        }
        Ok(Self { epoch, params, nodes, owners })
    }

    /// The encoding parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The nodes in signer order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node that holds a shard. Shards at or beyond n belong to nobody.
    pub fn owner(&self, shard: ShardIndex) -> Option<&Node> {
        self.nodes.get(usize::from(*self.owners.get(shard.as_usize())?))
    }

    /// The node that holds a sliver pair of a blob.
    pub fn holder(&self, pair: PairIndex, blob: &BlobId) -> Option<&Node> {
        self.owner(pair.shard(blob, &self.params))
    }

    /// The sliver pairs of a blob that a node holds.
    pub fn pairs_of<'a>(&'a self, node: &'a Node, blob: &'a BlobId) -> impl Iterator<Item = PairIndex> + 'a {
        node.shards.iter().map(move |shard| shard.pair(blob, &self.params))
    }

    /// Shards whose nodes must confirm for a certificate: the least w with 3w >= 2n + 1.
    pub fn quorum(&self) -> u32 {
        (2 * u32::from(self.params.n_shards()) + 1).div_ceil(3)
    }

    /// Shards of which at least one is honest: f + 1.
    pub fn validity(&self) -> u32 {
        u32::from(self.params.max_faulty()) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: u16, shards: std::ops::Range<u16>) -> Node {
        Node {
            id: ObjectId::new([index as u8; 32]),
            index,
            name: format!("n{index}"),
            address: "127.0.0.1:1".into(),
            public_key: None,
            network_key: Element([2; 33]),
            shards: shards.map(ShardIndex::new).collect(),
        }
    }

    #[test]
    fn every_shard_has_exactly_one_owner() {
        let params = Params::new(10).unwrap();
        let good = Committee::new(1, params, vec![node(0, 0..4), node(1, 4..10)]).unwrap();
        assert_eq!(good.owner(ShardIndex::new(4)).unwrap().index, 1);
        assert!(good.owner(ShardIndex::new(10)).is_none());
        assert_eq!((good.quorum(), good.validity()), (7, 4));
        for nodes in
            [vec![node(0, 0..4)], vec![node(0, 0..5), node(1, 4..10)], vec![node(0, 0..11)], vec![node(1, 0..10)]]
        {
            assert!(Committee::new(1, params, nodes).is_err());
        }
    }
}
