//! What a new chain starts from: the nodes of its first committee, its prices and its epochs.

use std::time::Duration;

use sui_sdk_types::Address;

/// Everything that a new local network is made of. Used once, when the chain's directory is empty.
#[derive(Clone, Debug)]
pub struct GenesisConfig {
    /// The members of the first committee, at least one. Order is the caller's; on chain they are sorted by node id, and shard
    /// indices are consecutive ranges in that order.
    pub nodes: Vec<GenesisNode>,
    /// Shards of the network, 1 to 1000; the nodes' weights add up to it.
    pub n_shards: u16,
    /// Length of a Walrus epoch by the clock.
    pub epoch_duration: Duration,
    /// How many epochs ahead storage may be bought (53 on the real networks).
    pub max_epochs_ahead: u32,
    /// Every node's vote for the price of storage, FROST per MiB of encoded size and epoch.
    pub storage_price: u64,
    /// Every node's vote for the price of writing, FROST per MiB of encoded size.
    pub write_price: u64,
    /// What the WAL exchange holds at the start, in FROST; it changes SUI 1:1.
    pub exchange_frost: u64,
}

impl GenesisConfig {
    /// A network of these nodes with the defaults of the local network: epochs of 24 hours, 53 epochs ahead, the real nodes'
    /// default price votes, an exchange with 10^9 WAL. The number of shards is the sum of the weights.
    pub fn new(nodes: Vec<GenesisNode>) -> Self {
        let n_shards = nodes.iter().fold(0u16, |sum, node| sum.saturating_add(node.weight));
        Self {
            nodes,
            n_shards,
            epoch_duration: Duration::from_secs(24 * 3600),
            max_epochs_ahead: 53,
            storage_price: 100_000,
            write_price: 20_000,
            exchange_frost: 1_000_000_000_000_000_000,
        }
    }
}

/// One storage node of the first committee.
#[derive(Clone, Debug)]
pub struct GenesisNode {
    /// Its name, at most 100 bytes.
    pub name: String,
    /// `host:port` without scheme, at most 259 bytes.
    pub network_address: String,
    /// The Sui address of its operator, who gets the node's capability object.
    pub operator: Address,
    /// BLS12-381 public key in G1, compressed.
    pub bls_public_key: [u8; 48],
    /// The node's BLS signature over the proof-of-possession message of epoch 0 with `operator` as sender.
    pub proof_of_possession: [u8; 96],
    /// TLS key: a compressed P-256 point.
    pub network_public_key: [u8; 33],
    /// How many shards it serves.
    pub weight: u16,
    /// Its vote for capacity, bytes of encoded data on this node.
    pub node_capacity: u64,
}
