//! The Staking object, its inner state, and the pools of the storage nodes.

#![expect(missing_docs, reason = "field names are the Move structs' own; units stand at the type")]

use super::framework::{Element, ObjectId, Table, U256, UncompressedG1, VecMap};
use super::system::{EpochParams, EventBlobAttestation, ExtendedField};
use serde::{Deserialize, Serialize};

/// `staking::Staking`, shared. The inner state is the dynamic field `version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staking {
    pub id: ObjectId,
    pub version: u64,
    pub package_id: ObjectId,
    pub new_package_id: Option<ObjectId>,
}

/// `committee::Committee`: node id to the indices of its shards, sorted by node id.
pub type Committee = VecMap<ObjectId, Vec<u16>>;

/// `staking_inner::StakingInnerV1`. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakingInnerV1 {
    pub n_shards: u16,
    pub epoch_duration: u64,
    pub first_epoch_start: u64,
    /// `ObjectTable<ID, StakingPool>`; a pool's id is its node's id.
    pub pools: Table,
    pub epoch: u32,
    /// `ExtendedField<ActiveSet>`.
    pub active_set: ExtendedField,
    pub next_committee: Option<Committee>,
    pub committee: Committee,
    pub previous_committee: Committee,
    pub next_epoch_params: Option<EpochParams>,
    pub epoch_state: EpochState,
    /// `ExtendedField<VecMap<ID, Element<UncompressedG1>>>`.
    pub next_epoch_public_keys: ExtendedField,
}

/// `staking_inner::EpochState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EpochState {
    /// Shards are being moved; the weight of the nodes that have finished.
    EpochChangeSync(u16),
    /// The time at which the epoch change was done.
    EpochChangeDone(u64),
    /// The next committee is chosen; the time at which the last change was done.
    NextParamsSelected(u64),
}

/// `active_set::ActiveSet`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveSet {
    pub max_size: u16,
    pub threshold_stake: u64,
    pub nodes: Vec<ActiveSetEntry>,
    pub total_stake: u64,
}

/// `active_set::ActiveSetEntry`; stake in FROST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveSetEntry {
    pub node_id: ObjectId,
    pub staked_amount: u64,
}

/// `staking_pool::StakingPool`. Balances in FROST, the commission rate in basis points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakingPool {
    pub id: ObjectId,
    pub state: PoolState,
    pub voting_params: VotingParams,
    pub node_info: StorageNodeInfo,
    pub activation_epoch: u32,
    pub latest_epoch: u32,
    pub wal_balance: u64,
    pub num_shares: u64,
    pub pending_shares_withdraw: PendingValues,
    pub pre_active_withdrawals: PendingValues,
    pub pending_commission_rate: PendingValues,
    pub commission_rate: u16,
    /// `Table<u32, PoolExchangeRate>`.
    pub exchange_rates: Table,
    pub pending_stake: PendingValues,
    pub rewards_pool: u64,
    pub commission: u64,
    pub commission_receiver: Authorized,
    pub governance_authorized: Authorized,
    /// A `Bag`.
    pub extra_fields: Table,
}

/// `staking_pool::PoolState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolState {
    Active,
    Withdrawing(u32),
    Withdrawn,
}

/// `staking_pool::VotingParams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VotingParams {
    pub storage_price: u64,
    pub write_price: u64,
    pub node_capacity: u64,
}

/// `storage_node::StorageNodeInfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageNodeInfo {
    pub name: String,
    pub node_id: ObjectId,
    /// `host:port`, no scheme.
    pub network_address: String,
    pub public_key: UncompressedG1,
    pub next_epoch_public_key: Option<UncompressedG1>,
    /// The compressed P-256 key that the node's TLS certificate must carry.
    pub network_public_key: Element<33>,
    /// `ExtendedField<NodeMetadata>`.
    pub metadata: ExtendedField,
}

/// `node_metadata::NodeMetadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMetadata {
    pub image_url: String,
    pub project_url: String,
    pub description: String,
    pub extra_fields: VecMap<String, String>,
}

/// `pending_values::PendingValues`: epoch to amount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingValues {
    pub values: VecMap<u32, u64>,
}

/// `pool_exchange_rate::PoolExchangeRate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolExchangeRate {
    /// One share is one FROST.
    Flat,
    Variable {
        wal_amount: u128,
        share_amount: u128,
    },
}

/// `auth::Authorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authorized {
    Address(ObjectId),
    ObjectId(ObjectId),
}

/// `storage_node::StorageNodeCap`, owned by the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageNodeCap {
    pub id: ObjectId,
    pub node_id: ObjectId,
    pub last_epoch_sync_done: u32,
    pub last_event_blob_attestation: Option<EventBlobAttestation>,
    pub deny_list_root: U256,
    pub deny_list_sequence: u64,
    pub deny_list_size: u64,
}

/// `staked_wal::StakedWal`, owned by the staker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakedWal {
    pub id: ObjectId,
    pub state: StakedWalState,
    pub node_id: ObjectId,
    pub principal: u64,
    pub activation_epoch: u32,
}

/// `staked_wal::StakedWalState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StakedWalState {
    Staked,
    Withdrawing { withdraw_epoch: u32 },
}
