//! The System object and its inner state (`system`, `system_state_inner` and the modules below them).

#![expect(missing_docs, reason = "field names are the Move structs' own; units stand at the type")]

use super::framework::{G1, ObjectId, U256, UncompressedG1, VecMap};
use serde::{Deserialize, Serialize};

/// `system::System`, shared. The inner state is the dynamic field `version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    pub id: ObjectId,
    pub version: u64,
    /// The package to call.
    pub package_id: ObjectId,
    pub new_package_id: Option<ObjectId>,
}

/// `system_state_inner::SystemStateInnerV1`. Capacities in encoded bytes, prices in FROST per MiB of encoded size (and,
/// for storage, per epoch).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemStateInnerV1 {
    pub committee: BlsCommittee,
    pub total_capacity_size: u64,
    pub used_capacity_size: u64,
    pub storage_price_per_unit_size: u64,
    pub write_price_per_unit_size: u64,
    /// Its length is the largest number of epochs that can be bought ahead.
    pub future_accounting: FutureAccountingRingBuffer,
    pub event_blob_certification_state: EventBlobCertificationState,
    /// `ExtendedField<VecMap<ID, u64>>`.
    pub deny_list_sizes: ExtendedField,
}

/// `bls_aggregate::BlsCommittee`. A member's place in `members` is its signer index; `members` is sorted by node id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlsCommittee {
    pub members: Vec<BlsCommitteeMember>,
    pub n_shards: u16,
    pub epoch: u32,
    pub total_aggregated_key: G1,
}

/// `bls_aggregate::BlsCommitteeMember`; its weight is its number of shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlsCommitteeMember {
    pub public_key: UncompressedG1,
    pub weight: u16,
    pub node_id: ObjectId,
}

/// `storage_accounting::FutureAccountingRingBuffer`: slot i from now is `ring_buffer[(current_index + i) mod length]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FutureAccountingRingBuffer {
    pub current_index: u32,
    pub length: u32,
    pub ring_buffer: Vec<FutureAccounting>,
}

/// `storage_accounting::FutureAccounting`: one epoch's used capacity (encoded bytes) and rewards (FROST).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FutureAccounting {
    pub epoch: u32,
    pub used_capacity: u64,
    pub rewards_to_distribute: u64,
}

/// `event_blob::EventBlobCertificationState`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBlobCertificationState {
    pub latest_certified_blob: Option<EventBlob>,
    pub aggregate_weight_per_blob: VecMap<EventBlob, u16>,
}

/// `event_blob::EventBlob`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBlob {
    pub blob_id: U256,
    pub ending_checkpoint_sequence_number: u64,
}

/// `event_blob::EventBlobAttestation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBlobAttestation {
    pub checkpoint_sequence_num: u64,
    pub epoch: u32,
}

/// `extended_field::ExtendedField<T>`: the value is the dynamic field [`extended_field_id`](super::extended_field_id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendedField {
    pub id: ObjectId,
}

/// `epoch_parameters::EpochParams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochParams {
    pub total_capacity_size: u64,
    pub storage_price_per_unit_size: u64,
    pub write_price_per_unit_size: u64,
}

/// `upgrade::UpgradeManager`, shared; proposals are `Table<PackageDigest, UpgradeProposal>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeManager {
    pub id: ObjectId,
    pub cap: super::framework::UpgradeCap,
    pub upgrade_proposals: super::framework::Table,
}

/// `slashing::SlashingManager`, shared; candidates are `Table<ID, SlashingProposal>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlashingManager {
    pub id: ObjectId,
    pub slashing_candidates: super::framework::Table,
}

/// `slashing::SlashingProposal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlashingProposal {
    pub epoch: u32,
    pub node_id: ObjectId,
    pub voting_weight: u16,
    pub voters: super::framework::VecSet<ObjectId>,
}

/// `wal::ProtectedTreasury`, shared; the treasury cap is its dynamic object field under `TreasuryCapKey` (one zero byte).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedTreasury {
    pub id: ObjectId,
}

/// `wal_exchange::Exchange`, shared: out = in * rate.wal / rate.sui, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    pub id: ObjectId,
    /// FROST.
    pub wal: u64,
    /// MIST.
    pub sui: u64,
    pub rate: ExchangeRate,
    pub admin: ObjectId,
}

/// `wal_exchange::ExchangeRate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRate {
    pub wal: u64,
    pub sui: u64,
}
