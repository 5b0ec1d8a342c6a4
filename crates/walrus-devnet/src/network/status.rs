//! What the network says about itself: `devnet status --json`, and the file that joins another home to it.

use serde::{Deserialize, Serialize};
use sui_sdk_types::Address;

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
    /// Slivers that it rebuilt from its peers since the network started.
    pub slivers_healed: u64,
    /// What its faults did.
    #[serde(flatten)]
    pub faults: FaultCounts,
}

impl NetworkStatus {
    /// The TOML file that `--network FILE` takes on another home.
    pub fn network_file(&self) -> String {
        format!(
            "# A local Walrus network; reachable while it runs.\n\
             rpc_url = \"{}\"\n\
             faucet_url = \"{}\"\n\
             system_object = \"{}\"\n\
             staking_object = \"{}\"\n\
             wal_type = \"{}\"\n\
             exchange_object = \"{}\"\n\
             walrus_package = \"{}\"\n\
             drive_package = \"{}\"\n\
             n_shards = {}\n",
            self.rpc_url,
            self.faucet_url,
            self.system_object,
            self.staking_object,
            self.wal_type,
            self.exchange_object,
            self.walrus_package,
            self.drive_package,
            self.n_shards,
        )
    }
}
