//! What the network says about itself: `devnet status --json`, and the file that joins another home to it.

use serde::{Deserialize, Serialize};
use sui_sdk_types::Address;
use walrus_client::network::{NetworkConfig, NodeTls};

use crate::fault::FaultCounts;

/// The running network, as `devnet status --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Where the chain serves gRPC.
    pub rpc_url: String,
    /// Where the faucet is; `POST /v2/gas` and `POST /v2/wal` under it.
    pub faucet_url: String,
    /// Base58 digest of the genesis checkpoint.
    pub chain_id: String,
    /// The shared `system::System` object.
    pub system_object: Address,
    /// The shared `staking::Staking` object.
    pub staking_object: Address,
    /// `0x..::wal::WAL`.
    pub wal_type: String,
    /// The shared WAL exchange.
    pub exchange_object: Address,
    /// The Walrus package.
    pub walrus_package: Address,
    /// The Drive package.
    pub drive_package: Address,
    /// The Walrus epoch.
    pub epoch: u32,
    /// Shards of the network.
    pub n_shards: u16,
    /// The process that runs the network.
    pub pid: u32,
    /// The storage nodes, by index.
    pub nodes: Vec<NodeStatus>,
}

/// One storage node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its number in commands, from 0.
    pub index: usize,
    /// Its name on the chain.
    pub name: String,
    /// Its clear-text address, `http://host:port`; TLS is on the same port.
    pub url: String,
    /// How many shards it has in this epoch.
    pub shards: usize,
    /// `running`, or the fault's word: `stopped`, `hang`, `slow`, `corrupt`, `lie`, `error`.
    pub state: String,
    /// Blobs of which it stores something.
    pub blobs: u64,
    /// Slivers that it fetched or rebuilt from its peers since it was started.
    pub slivers_healed: u64,
    /// Stored slivers that it found damaged, and did not serve, since it was started.
    pub payloads_damaged: u64,
    /// Requests that it was sent since the network started, those of its peers included.
    pub requests: u64,
    /// Bytes that it received for them, as TCP carries them: TLS included.
    pub bytes_received: u64,
    /// Bytes that it sent.
    pub bytes_sent: u64,
    /// What its faults did.
    #[serde(flatten)]
    pub faults: FaultCounts,
}

impl NetworkStatus {
    /// What a client needs to use this network.
    pub fn network_config(&self) -> NetworkConfig {
        NetworkConfig {
            name: "local".to_owned(),
            rpc_urls: vec![self.rpc_url.clone()],
            faucet_url: Some(self.faucet_url.clone()),
            system_object: self.system_object,
            staking_object: self.staking_object,
            wal_type: Some(self.wal_type.clone()),
            exchange_object: Some(self.exchange_object),
            walrus_package: Some(self.walrus_package),
            drive_package: Some(self.drive_package),
            node_tls: NodeTls::Pinned,
        }
    }
}
