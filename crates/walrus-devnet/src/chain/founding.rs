//! The objects of a new chain: packages, clock, Walrus system and staking with one pool per node, WAL, exchange, faucet money.
//!
//! The chain starts in Walrus epoch 1 with the epoch change done and the committee of the configuration, as a real network is after
//! its epoch 0. Every node's stake is proportional to its weight, so that the committee stays as it is until stake moves.

use std::collections::BTreeMap;

use sui_sdk_types::hash::Hasher;
use sui_sdk_types::{
    Address, Digest, MovePackage, MoveStruct, Object, ObjectData, Owner, StructTag, TypeOrigin, TypeTag,
};
use walrus_client::wire::bls::{BlsPublicKey, BlsSignature};
use walrus_client::wire::chain::{
    ActiveSet, ActiveSetEntry, Authorized, BlsCommittee, BlsCommitteeMember, Clock, Coin, Committee, Element,
    EpochState, EventBlobCertificationState, Exchange, ExchangeRate, ExtendedField, FutureAccounting,
    FutureAccountingRingBuffer, NodeMetadata, ObjectId, PendingValues, PoolExchangeRate, PoolState, ProtectedTreasury,
    SlashingManager, StakedWal, StakedWalState, Staking, StakingInnerV1, StakingPool, StorageNodeCap, StorageNodeInfo,
    System, SystemStateInnerV1, Table, TreasuryCap, U256, VecMap, VotingParams,
};
use walrus_client::wire::message::proof_of_possession_message;

use super::api::{ChainError, NetworkIds};
use super::execute::{CLOCK, Failure, Session, to_bytes};
use super::genesis::{GenesisConfig, GenesisNode};
use super::moves::{self, VERSION};
use super::packages::{PackageIds, Packages, Pkg};
use super::store::{ObjectSource, StoreError};

/// All WAL that there is, FROST.
const TOTAL_WAL: u64 = 5_000_000_000_000_000_000;
/// What each shard's weight is staked with, FROST: so little that what the faucet gives moves shards.
const STAKE_PER_SHARD: u64 = 100_000_000_000;
/// What the faucet starts with, MIST.
const FAUCET_MIST: u64 = 10_000_000_000_000_000_000;

/// A new chain's objects and the ids that name it.
pub(crate) struct Founding {
    pub(crate) digest: Digest,
    pub(crate) package_ids: PackageIds,
    pub(crate) ids: FoundingIds,
    /// The shared `slashing::SlashingManager`.
    pub(crate) slashing: Address,
    pub(crate) objects: Vec<Object>,
}

/// Ids of the objects that the chain itself needs later.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct FoundingIds {
    pub(crate) chain_id: Digest,
    pub(crate) system: Address,
    pub(crate) staking: Address,
    pub(crate) treasury: Address,
    pub(crate) exchange: Address,
    pub(crate) faucet: Address,
    /// Node id to the id of its capability object.
    pub(crate) caps: Vec<(Address, Address)>,
    pub(crate) genesis_ms: u64,
    /// Length of an epoch of this chain, milliseconds: as long as a Walrus epoch.
    pub(crate) epoch_ms: u64,
}

impl FoundingIds {
    /// The public form.
    pub(crate) fn network(&self, packages: &PackageIds) -> NetworkIds {
        NetworkIds {
            chain_id: self.chain_id,
            system_object: self.system,
            staking_object: self.staking,
            walrus_package: packages.walrus,
            wal_package: packages.wal,
            wal_type: StructTag::new(
                packages.wal,
                sui_sdk_types::Identifier::from_static("wal"),
                sui_sdk_types::Identifier::from_static("WAL"),
                Vec::new(),
            ),
            exchange_package: packages.exchange,
            exchange_object: self.exchange,
            drive_package: packages.drive,
        }
    }
}

struct Nothing;

impl ObjectSource for Nothing {
    fn object(&self, _: &Address) -> Result<Option<Object>, StoreError> {
        Ok(None)
    }
}

fn failed(failure: Failure) -> ChainError {
    ChainError::Genesis(format!("{failure:?}"))
}

fn wrong<T>(reason: impl Into<String>) -> Result<T, ChainError> {
    Err(ChainError::Genesis(reason.into()))
}

fn check(config: &GenesisConfig) -> Result<(), ChainError> {
    let weight: u32 = config.nodes.iter().map(|node| u32::from(node.weight)).sum();
    if config.nodes.is_empty() || weight != u32::from(config.n_shards) {
        return wrong(format!("the nodes' weights add up to {weight}, not to {} shards", config.n_shards));
    }
    if config.nodes.iter().any(|node| node.weight == 0) || config.n_shards > 1000 {
        return wrong("every node needs a shard, and there are at most 1000 shards");
    }
    if config.max_epochs_ahead == 0 || config.epoch_duration.is_zero() {
        return wrong("epochs need a length, and storage at least one epoch ahead");
    }
    for node in &config.nodes {
        if node.name.len() > 100 || node.network_address.len() > 259 {
            return wrong(format!("name or address of node {} is too long", node.name));
        }
        let key = BlsPublicKey::from_compressed(&node.bls_public_key);
        let proof = BlsSignature::from_bytes(&node.proof_of_possession);
        let holds = match (key, proof) {
            (Ok(key), Ok(proof)) => key.verify(&proof_of_possession_message(0, &node.operator, &key), &proof).is_ok(),
            _ => false,
        };
        if !holds {
            return wrong(format!("node {} does not prove possession of its BLS key", node.name));
        }
    }
    Ok(())
}

/// Makes the objects of a new chain. `seed` makes its ids its own.
pub(crate) fn found(config: &GenesisConfig, seed: [u8; 32], now_ms: u64) -> Result<Founding, ChainError> {
    check(config)?;
    let mut hasher = Hasher::new();
    hasher.update("walrusfs local network genesis");
    hasher.update(seed);
    let digest = hasher.finalize();
    let package = |index: u64| Address::derive_id(digest, u64::MAX - index);
    let package_ids = PackageIds { walrus: package(0), wal: package(1), exchange: package(2), drive: package(3) };
    let packages = moves::packages(package_ids).map_err(ChainError::Genesis)?;
    let mut session = Session::new(&Nothing, &packages, digest, Address::ZERO, true);
    let ids = Founder { config, session: &mut session, now_ms }.found(digest).map_err(failed)?;
    let slashing = Founder { config, session: &mut session, now_ms }.slashing().map_err(failed)?;
    let mut objects = package_objects(&packages, digest);
    for slot in session.finish().slots.into_values() {
        let Some(live) = slot.now else { continue };
        let owner = match live.owner {
            Owner::Shared(_) => Owner::Shared(1),
            owner => owner,
        };
        let public = packages.struct_abilities(&live.tag).unwrap_or_default().store;
        let data = MoveStruct::new(live.tag, public, 1, live.contents)
            .ok_or_else(|| ChainError::Genesis("object without id".into()))?;
        objects.push(Object::new(ObjectData::Struct(data), owner, digest, 0));
    }
    Ok(Founding { digest, package_ids, ids, slashing, objects })
}

/// Package objects, with type origins and without bytecode: the functions are native.
fn package_objects(packages: &Packages, digest: Digest) -> Vec<Object> {
    let object = |pkg| {
        let package = packages.package(&packages.ids.of(pkg))?;
        let origins = package.datatypes.iter().map(|datatype| TypeOrigin {
            module_name: datatype.module.clone(),
            struct_name: datatype.name.clone(),
            package: package.id,
        });
        let data = MovePackage {
            id: package.id,
            version: 1,
            modules: package.modules.iter().map(|module| (module.clone(), Vec::new())).collect(),
            type_origin_table: origins.collect(),
            linkage_table: BTreeMap::new(),
        };
        Some(Object::new(ObjectData::Package(data), Owner::Immutable, digest, 0))
    };
    Pkg::ALL.into_iter().filter_map(object).collect()
}

struct Founder<'f, 's> {
    config: &'f GenesisConfig,
    session: &'f mut Session<'s>,
    now_ms: u64,
}

impl Founder<'_, '_> {
    fn share<T: serde::Serialize>(&mut self, tag: StructTag, value: &T) -> Result<Address, Failure> {
        let contents = to_bytes(value)?;
        self.session.place(Owner::Shared(0), tag, contents)
    }

    fn give<T: serde::Serialize>(&mut self, owner: Address, tag: StructTag, value: &T) -> Result<Address, Failure> {
        let contents = to_bytes(value)?;
        self.session.place(Owner::Address(owner), tag, contents)
    }

    fn id_type(&self) -> TypeTag {
        self.session.tag(Pkg::Sui, "object", "ID", Vec::new()).into()
    }

    fn table(&mut self, size: usize) -> Table {
        Table { id: self.session.new_id(), size: size as u64 }
    }

    fn extended<T: serde::Serialize>(&mut self, value_type: TypeTag, value: &T) -> Result<ExtendedField, Failure> {
        let id = self.session.new_id();
        let key: TypeTag = self.session.walrus("extended_field", "Key").into();
        self.session.set_field(id, &key, &[0], value_type, value)?;
        Ok(ExtendedField { id })
    }

    fn vec_map(&self, value: TypeTag) -> TypeTag {
        self.session.tag(Pkg::Sui, "vec_map", "VecMap", vec![self.id_type(), value]).into()
    }

    fn found(mut self, digest: Digest) -> Result<FoundingIds, Failure> {
        let clock = Clock { id: CLOCK, timestamp_ms: self.now_ms };
        let tag = self.session.tag(Pkg::Sui, "clock", "Clock", Vec::new());
        self.share(tag, &clock)?;

        let mut node_ids: Vec<ObjectId> = self.config.nodes.iter().map(|_| self.session.new_id()).collect();
        node_ids.sort();
        let config = self.config;
        let nodes: Vec<(ObjectId, &GenesisNode)> = node_ids.into_iter().zip(&config.nodes).collect();
        let treasury = self.treasury(nodes.len())?;
        let exchange = self.exchange()?;
        let coin = Coin { id: self.session.new_id(), balance: FAUCET_MIST };
        let faucet = self.give(Address::ZERO, StructTag::gas_coin(), &coin)?;
        let system = self.system(&nodes)?;
        let (staking, caps) = self.staking(&nodes)?;
        let epoch_ms = u64::try_from(config.epoch_duration.as_millis()).unwrap_or(u64::MAX);
        Ok(FoundingIds {
            chain_id: digest,
            system,
            staking,
            treasury,
            exchange,
            faucet,
            caps,
            genesis_ms: self.now_ms,
            epoch_ms,
        })
    }

    fn treasury(&mut self, nodes: usize) -> Result<Address, Failure> {
        let treasury = ProtectedTreasury { id: self.session.new_id() };
        let tag = self.session.tag(Pkg::Wal, "wal", "ProtectedTreasury", Vec::new());
        self.share(tag, &treasury)?;
        let wal = self.session.wal();
        let cap = TreasuryCap { id: self.session.new_id(), total_supply: TOTAL_WAL };
        let cap_tag = self.session.tag(Pkg::Sui, "coin", "TreasuryCap", vec![wal.clone()]);
        let (name, key) = moves::treasury_key(self.session);
        let contents = to_bytes(&cap)?;
        self.session.add_object_field(treasury.id, &name, key, cap_tag, contents)?;
        // What is neither staked nor in the exchange belongs to the chain itself.
        let staked = STAKE_PER_SHARD.saturating_mul(u64::from(self.config.n_shards));
        let rest = TOTAL_WAL.saturating_sub(self.config.exchange_frost).saturating_sub(staked);
        debug_assert!(nodes > 0);
        let coin = Coin { id: self.session.new_id(), balance: rest };
        self.give(Address::ZERO, StructTag::coin(wal), &coin)?;
        Ok(treasury.id)
    }

    fn slashing(&mut self) -> Result<Address, Failure> {
        let manager = SlashingManager { id: self.session.new_id(), slashing_candidates: self.table(0) };
        let tag = self.session.walrus("slashing", "SlashingManager");
        self.share(tag, &manager)
    }

    fn exchange(&mut self) -> Result<Address, Failure> {
        let admin = self.session.new_id();
        let tag = self.session.tag(Pkg::Exchange, "wal_exchange", "AdminCap", Vec::new());
        self.give(Address::ZERO, tag, &admin)?;
        let exchange = Exchange {
            id: self.session.new_id(),
            wal: self.config.exchange_frost,
            sui: 0,
            rate: ExchangeRate { wal: 1, sui: 1 },
            admin,
        };
        let tag = self.session.tag(Pkg::Exchange, "wal_exchange", "Exchange", Vec::new());
        self.share(tag, &exchange)
    }

    fn system(&mut self, nodes: &[(ObjectId, &GenesisNode)]) -> Result<Address, Failure> {
        let n_shards = self.config.n_shards;
        let mut keys = Vec::new();
        let mut members = Vec::new();
        for (node_id, node) in nodes {
            let key = BlsPublicKey::from_compressed(&node.bls_public_key).map_err(|_| super::execute::broken())?;
            keys.push(key);
            members.push(BlsCommitteeMember {
                public_key: key.to_uncompressed(),
                weight: node.weight,
                node_id: *node_id,
            });
        }
        let total = BlsPublicKey::aggregate(&keys).map_err(|_| super::execute::broken())?;
        let capacity_votes: Vec<_> = nodes
            .iter()
            .map(|(_, node)| {
                let all = u128::from(node.node_capacity) * u128::from(n_shards) / u128::from(node.weight.max(1));
                (u64::try_from(all).unwrap_or(u64::MAX), node.weight)
            })
            .collect();
        let length = self.config.max_epochs_ahead;
        let ring = |offset| FutureAccounting { epoch: 1 + offset, used_capacity: 0, rewards_to_distribute: 0 };
        let deny_list = self.vec_map(TypeTag::U64);
        let inner = SystemStateInnerV1 {
            committee: BlsCommittee { members, n_shards, epoch: 1, total_aggregated_key: total.to_compressed() },
            total_capacity_size: moves::agreed(&capacity_votes, n_shards, false),
            used_capacity_size: 0,
            storage_price_per_unit_size: self.config.storage_price,
            write_price_per_unit_size: self.config.write_price,
            future_accounting: FutureAccountingRingBuffer {
                current_index: 0,
                length,
                ring_buffer: (0..length).map(ring).collect(),
            },
            event_blob_certification_state: EventBlobCertificationState::default(),
            deny_list_sizes: self.extended(deny_list, &VecMap::<ObjectId, u64>::default())?,
        };
        let system = System {
            id: self.session.new_id(),
            version: VERSION,
            package_id: self.session.packages.ids.walrus,
            new_package_id: None,
        };
        let tag = self.session.walrus("system", "System");
        self.share(tag, &system)?;
        let value_type = moves::system_inner_type(self.session);
        self.session.set_field(system.id, &TypeTag::U64, &VERSION.to_le_bytes(), value_type, &inner)?;
        Ok(system.id)
    }

    /// One node: its pool, its capability, its first stake.
    fn node(&mut self, pools: Table, node_id: ObjectId, node: &GenesisNode) -> Result<Address, Failure> {
        let stake = STAKE_PER_SHARD.saturating_mul(u64::from(node.weight));
        let key = BlsPublicKey::from_compressed(&node.bls_public_key)
            .map_err(|_| super::execute::broken())?
            .to_uncompressed();
        let metadata_type: TypeTag = self.session.walrus("node_metadata", "NodeMetadata").into();
        let metadata = self.extended(metadata_type, &NodeMetadata::default())?;
        let cap_id = self.session.new_id();
        let rates = self.table(1);
        let rate_type: TypeTag = self.session.walrus("pool_exchange_rate", "PoolExchangeRate").into();
        self.session.set_field(rates.id, &TypeTag::U32, &1u32.to_le_bytes(), rate_type, &PoolExchangeRate::Flat)?;
        let pool = StakingPool {
            id: node_id,
            state: PoolState::Active,
            voting_params: VotingParams {
                storage_price: self.config.storage_price,
                write_price: self.config.write_price,
                node_capacity: node.node_capacity,
            },
            node_info: StorageNodeInfo {
                name: node.name.clone(),
                node_id,
                network_address: node.network_address.clone(),
                public_key: key,
                next_epoch_public_key: None,
                network_public_key: Element(node.network_public_key),
                metadata,
            },
            activation_epoch: 1,
            latest_epoch: 1,
            wal_balance: stake,
            num_shares: stake,
            pending_shares_withdraw: PendingValues::default(),
            pre_active_withdrawals: PendingValues::default(),
            pending_commission_rate: PendingValues::default(),
            commission_rate: 0,
            exchange_rates: rates,
            pending_stake: PendingValues::default(),
            rewards_pool: 0,
            commission: 0,
            commission_receiver: Authorized::ObjectId(cap_id),
            governance_authorized: Authorized::Address(node.operator),
            extra_fields: self.table(0),
        };
        let tag = self.session.walrus("staking_pool", "StakingPool");
        let id_type = self.id_type();
        let contents = to_bytes(&pool)?;
        self.session.add_object_field(pools.id, &id_type, node_id.as_bytes(), tag, contents)?;
        let cap = StorageNodeCap {
            id: cap_id,
            node_id,
            last_epoch_sync_done: 1,
            last_event_blob_attestation: None,
            deny_list_root: U256([0; 32]),
            deny_list_sequence: 0,
            deny_list_size: 0,
        };
        let tag = self.session.walrus("storage_node", "StorageNodeCap");
        self.give(node.operator, tag, &cap)?;
        let staked = StakedWal {
            id: self.session.new_id(),
            state: StakedWalState::Staked,
            node_id,
            principal: stake,
            activation_epoch: 1,
        };
        let tag = self.session.walrus("staked_wal", "StakedWal");
        self.give(node.operator, tag, &staked)?;
        Ok(cap_id)
    }

    fn staking(&mut self, nodes: &[(ObjectId, &GenesisNode)]) -> Result<(Address, Vec<(Address, Address)>), Failure> {
        let pools = self.table(nodes.len());
        let mut caps = Vec::new();
        let mut committee = Committee::default();
        let mut active = ActiveSet { max_size: 111, threshold_stake: 0, nodes: Vec::new(), total_stake: 0 };
        let mut next_shard = 0u16;
        for (node_id, node) in nodes {
            caps.push((*node_id, self.node(pools, *node_id, node)?));
            let end = next_shard.saturating_add(node.weight);
            committee.contents.push((*node_id, (next_shard..end).collect()));
            next_shard = end;
            let staked_amount = STAKE_PER_SHARD.saturating_mul(u64::from(node.weight));
            active.nodes.push(ActiveSetEntry { node_id: *node_id, staked_amount });
            active.total_stake = active.total_stake.saturating_add(staked_amount);
        }
        let active_type: TypeTag = self.session.walrus("active_set", "ActiveSet").into();
        let g1 = self.session.tag(Pkg::Sui, "bls12381", "UncompressedG1", Vec::new()).into();
        let element = self.session.tag(Pkg::Sui, "group_ops", "Element", vec![g1]).into();
        let keys_type = self.vec_map(element);
        let mut next_keys: VecMap<ObjectId, Element<96>> = VecMap::default();
        for (node_id, node) in nodes {
            let key = BlsPublicKey::from_compressed(&node.bls_public_key).map_err(|_| super::execute::broken())?;
            next_keys.contents.push((*node_id, key.to_uncompressed()));
        }
        let inner = StakingInnerV1 {
            n_shards: self.config.n_shards,
            epoch_duration: u64::try_from(self.config.epoch_duration.as_millis()).unwrap_or(u64::MAX),
            first_epoch_start: self.now_ms,
            pools,
            epoch: 1,
            active_set: self.extended(active_type, &active)?,
            next_committee: None,
            committee: committee.clone(),
            previous_committee: committee,
            next_epoch_params: None,
            epoch_state: EpochState::EpochChangeDone(self.now_ms),
            next_epoch_public_keys: self.extended(keys_type, &next_keys)?,
        };
        let staking = Staking {
            id: self.session.new_id(),
            version: VERSION,
            package_id: self.session.packages.ids.walrus,
            new_package_id: None,
        };
        let tag = self.session.walrus("staking", "Staking");
        self.share(tag, &staking)?;
        let value_type: TypeTag = self.session.walrus("staking_inner", "StakingInnerV1").into();
        self.session.set_field(staking.id, &TypeTag::U64, &VERSION.to_le_bytes(), value_type, &inner)?;
        Ok((staking.id, caps))
    }
}
