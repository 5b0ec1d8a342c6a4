//! A network in memory under the client's two seams: honest nodes and an honest chain, and faults as wrappers around
//! them. Bytes are the real ones (BCS objects, REST bodies, BLS signatures); only the wires are missing.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by several test binaries; a test fails by panicking"
)]

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use redstuff::{
    Axis, BlobId, Encoded, GeneralRecoverySymbol, Metadata, PairIndex, Params, Primary, Secondary, Sliver, SliverIndex,
};
use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sui_sdk_types::{Address, Digest, Input, StructTag, Transaction, TransactionExpiration, TransactionKind};
use walrus_client::chain::{
    ChainTransport, ChangedObject, Effects, Failure, GasCost, GasInfo, Node, ObjectInfo, Owner, SendOutcome, TypeOrigin,
};
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::network::{NetworkConfig, NodeTls};
use walrus_client::node::{Method, NodeAnswer, NodeRequest, NodeTransport};
use walrus_client::retry::RetryPolicy;
use walrus_client::wire::bls::{BlsPublicKey, BlsSecretKey};
use walrus_client::wire::chain::*;
use walrus_client::wire::message::{Persistence, StorageConfirmation};
use walrus_client::wire::node::{
    BlobStatus, ConfirmationBody, DeletableCounts, ErrorEnvelope, SignedMessage, StatusCode, StoredOnNodeStatus,
    SuccessEnvelope, reason,
};
use walrus_client::{ClientError, ClientResult, MoveAbort};

pub const ORIGINAL: &str = "0xa1";
pub const CALL: &str = "0xa3";
pub const WAL: &str = "0xaa02::wal::WAL";

pub fn id(text: &str) -> ObjectId {
    ObjectId::from_str(text).unwrap()
}

pub fn node_id(index: usize) -> ObjectId {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes[31] = index as u8;
    ObjectId::new(bytes)
}

pub fn key(index: usize) -> BlsSecretKey {
    BlsSecretKey::from_seed(&[index as u8 + 1; 32]).unwrap()
}

// ----- nodes -----

/// What a node does instead of being honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Dead,
    BlackHole,
    Slow(Duration),
    Status(u16),
    Garbage,
    /// Wrong bytes of the right length in slivers, symbols and metadata; confirmations of something else.
    Lying,
    /// Forged signatures under right messages.
    Forging,
    /// Signs for the epoch before.
    OldEpoch,
}

#[derive(Default)]
struct NodeStore {
    metadata: HashMap<BlobId, Vec<u8>>,
    slivers: HashMap<(BlobId, u16, &'static str), Vec<u8>>,
}

/// All nodes of a network.
pub struct MemoryNodes {
    pub params: Params,
    pub epoch: AtomicU64,
    stores: Mutex<HashMap<ObjectId, NodeStore>>,
    pub faults: Mutex<HashMap<ObjectId, Fault>>,
    pub registered: Mutex<HashSet<BlobId>>,
    pub requests: Mutex<Vec<(ObjectId, Method, String)>>,
    pub lies_told: AtomicUsize,
    /// Requests under way now, and the most at once, of each node; all nodes together are under the zero address.
    pub under_way: Mutex<HashMap<ObjectId, (usize, usize)>>,
}

/// A request under way, counted until it is answered or dropped.
struct UnderWay<'a>(&'a MemoryNodes, ObjectId);

impl<'a> UnderWay<'a> {
    fn new(nodes: &'a MemoryNodes, node: ObjectId) -> Self {
        let mut counts = nodes.under_way.lock().unwrap();
        for id in [node, ObjectId::ZERO] {
            let (now, most) = counts.entry(id).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
        Self(nodes, node)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.under_way.lock().unwrap();
        for id in [self.1, ObjectId::ZERO] {
            counts.entry(id).or_default().0 -= 1;
        }
    }
}

impl MemoryNodes {
    pub fn new(n_shards: u16) -> Self {
        Self {
            params: Params::new(n_shards).unwrap(),
            epoch: AtomicU64::new(5),
            stores: Mutex::default(),
            faults: Mutex::default(),
            registered: Mutex::default(),
            requests: Mutex::default(),
            lies_told: AtomicUsize::new(0),
            under_way: Mutex::default(),
        }
    }

    pub fn set_faults(&self, nodes: impl IntoIterator<Item = usize>, fault: Fault) {
        let mut faults = self.faults.lock().unwrap();
        faults.clear();
        faults.extend(nodes.into_iter().map(|index| (node_id(index), fault)));
    }

    pub fn forget_requests(&self) {
        self.requests.lock().unwrap().clear();
    }

    pub fn count(&self, contains: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|(_, _, path)| path.contains(contains)).count()
    }

    /// Puts a blob on the nodes as an upload would.
    pub fn plant<B: AsRef<[u8]>>(&self, encoded: &Encoded<B>, nodes: &[(ObjectId, Vec<u16>)]) {
        let blob = *encoded.blob_id();
        self.registered.lock().unwrap().insert(blob);
        let mut stores = self.stores.lock().unwrap();
        for (node, shards) in nodes {
            let store = stores.entry(*node).or_default();
            store.metadata.insert(blob, encoded.metadata().to_bcs());
            for shard in shards {
                let pair = redstuff::ShardIndex::new(*shard).pair(&blob, &self.params);
                let (primary, secondary) = encoded.pair(pair).unwrap();
                store.slivers.insert((blob, pair.get(), "primary"), primary.to_bcs());
                store.slivers.insert((blob, pair.get(), "secondary"), secondary.to_bcs());
            }
        }
    }

    /// Removes everything that a node holds.
    pub fn wipe(&self, index: usize) {
        self.stores.lock().unwrap().remove(&node_id(index));
    }

    fn honest(&self, node: &Node, request: &NodeRequest, epoch: u32) -> NodeAnswer {
        let (path, _query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.trim_start_matches("/v1/blobs/").split('/').collect();
        let blob = BlobId::from_str(parts[0]).unwrap();
        let registered = self.registered.lock().unwrap().contains(&blob);
        let mut stores = self.stores.lock().unwrap();
        let store = stores.entry(node.id).or_default();
        let not_registered = || refuse(StatusCode::FailedPrecondition, reason::NOT_REGISTERED);
        match (request.method, &parts[1..]) {
            (Method::Put, ["metadata"]) => {
                if !registered {
                    return not_registered();
                }
                let known = store.metadata.insert(blob, request.body.to_vec()).is_some();
                ok(if known { 200 } else { 201 }, &"stored")
            }
            (Method::Get, ["metadata"]) => match store.metadata.get(&blob).filter(|_| registered) {
                Some(metadata) => binary(Metadata::from_bcs(metadata).unwrap().to_bcs_with_id(&blob)),
                None => refuse(StatusCode::NotFound, reason::METADATA_NOT_FOUND),
            },
            (Method::Put, ["slivers", pair, axis]) => {
                if !store.metadata.contains_key(&blob) {
                    return refuse(StatusCode::FailedPrecondition, reason::METADATA_NOT_FOUND);
                }
                let pair: u16 = pair.parse().unwrap();
                let shard = PairIndex::new(pair).shard(&blob, &self.params);
                if !node.shards.contains(&shard) {
                    return refuse(StatusCode::FailedPrecondition, reason::SHARD_NOT_ASSIGNED);
                }
                let known = store.slivers.insert((blob, pair, interned(axis)), request.body.to_vec()).is_some();
                ok(if known { 200 } else { 201 }, &"stored")
            }
            (Method::Get, ["slivers", pair, axis, "status"]) => {
                let known = store.slivers.contains_key(&(blob, pair.parse().unwrap(), interned(axis)));
                ok(200, &if known { StoredOnNodeStatus::Stored } else { StoredOnNodeStatus::Nonexistent })
            }
            (Method::Get, ["slivers", pair, axis]) => {
                match store.slivers.get(&(blob, pair.parse().unwrap(), interned(axis))).filter(|_| registered) {
                    Some(sliver) => binary(sliver.clone()),
                    None => refuse(StatusCode::NotFound, reason::SLIVER_NOT_FOUND),
                }
            }
            (Method::Get, ["status"]) => ok(
                200,
                &match registered {
                    false => BlobStatus::Nonexistent,
                    true => BlobStatus::Deletable {
                        initial_certified_epoch: None,
                        deletable_counts: DeletableCounts { count_deletable_total: 1, count_deletable_certified: 0 },
                    },
                },
            ),
            (Method::Get, ["confirmation", kind @ ..]) => {
                if !registered {
                    return not_registered();
                }
                let complete = node.shards.iter().all(|shard| {
                    let pair = shard.pair(&blob, &self.params).get();
                    ["primary", "secondary"].iter().all(|axis| store.slivers.contains_key(&(blob, pair, *axis)))
                });
                if !complete {
                    return refuse(StatusCode::FailedPrecondition, reason::MISSING_SLIVERS);
                }
                let persistence = match kind {
                    ["permanent"] => Persistence::Permanent,
                    ["deletable", object] => Persistence::Deletable(id(object)),
                    other => panic!("{other:?}"),
                };
                let message = StorageConfirmation::new(epoch, blob, persistence).to_bytes();
                let signature = key(usize::from(node.index)).sign(&message);
                ok(200, &ConfirmationBody::Signed(SignedMessage::new(&message, &signature)))
            }
            (Method::Get, ["recoverySymbols"]) => {
                let target: u16 = request
                    .path
                    .split("targetSliver=")
                    .nth(1)
                    .and_then(|rest| rest.split('&').next())
                    .and_then(|text| text.parse().ok())
                    .unwrap();
                assert!(request.path.contains("targetType=primary") && request.path.contains("proofAxis=secondary"));
                let target = SliverIndex::<Primary>::new(target);
                let symbols: Vec<GeneralRecoverySymbol> = store
                    .slivers
                    .iter()
                    .filter(|((b, _, axis), _)| *b == blob && *axis == "secondary")
                    .map(|(_, bytes)| {
                        let sliver: Sliver<'_, Secondary> = Sliver::from_bcs(bytes).unwrap();
                        let symbol = sliver.expand(&self.params).unwrap().recovery_symbol(target).unwrap();
                        GeneralRecoverySymbol::Primary { target, symbol }
                    })
                    .collect();
                match symbols.is_empty() {
                    true => refuse(StatusCode::NotFound, reason::SLIVER_NOT_FOUND),
                    false => binary(GeneralRecoverySymbol::vec_to_bcs(&symbols)),
                }
            }
            other => panic!("a request that no node knows: {other:?}"),
        }
    }

    fn lie(&self, node: &Node, request: &NodeRequest, epoch: u32) -> NodeAnswer {
        let answer = self.honest(node, request, epoch);
        if request.method == Method::Put || answer.status != 200 {
            return answer;
        }
        self.lies_told.fetch_add(1, Ordering::Relaxed);
        if request.path.contains("/confirmation/") {
            let message = StorageConfirmation::new(epoch, [0x77; 32], Persistence::Permanent).to_bytes();
            let signature = key(usize::from(node.index)).sign(&message);
            return ok(200, &ConfirmationBody::Signed(SignedMessage::new(&message, &signature)));
        }
        if request.path.ends_with("/status") {
            return answer;
        }
        let mut body = answer.body.to_vec();
        let at = body.len() / 2;
        body[at] ^= 0x55;
        binary(body)
    }
}

fn interned(axis: &str) -> &'static str {
    match axis {
        "primary" => Axis::Primary.as_str(),
        "secondary" => Axis::Secondary.as_str(),
        other => panic!("axis {other}"),
    }
}

fn ok<T: serde::Serialize>(code: u16, data: &T) -> NodeAnswer {
    NodeAnswer { status: code, body: serde_json::to_vec(&SuccessEnvelope::new(code, data)).unwrap().into() }
}

fn binary(body: Vec<u8>) -> NodeAnswer {
    NodeAnswer { status: 200, body: body.into() }
}

fn refuse(status: StatusCode, reason: &str) -> NodeAnswer {
    let body = serde_json::to_vec(&ErrorEnvelope::node(status, reason, reason.to_lowercase())).unwrap();
    NodeAnswer { status: status.http(), body: body.into() }
}

impl NodeTransport for MemoryNodes {
    fn send<'a>(&'a self, node: &'a Node, request: NodeRequest) -> BoxFuture<'a, Result<NodeAnswer, String>> {
        async move {
            let _under_way = UnderWay::new(self, node.id);
            self.requests.lock().unwrap().push((node.id, request.method, request.path.clone()));
            let fault = self.faults.lock().unwrap().get(&node.id).copied();
            let epoch = self.epoch.load(Ordering::Relaxed) as u32;
            match fault {
                None => Ok(self.honest(node, &request, epoch)),
                Some(Fault::Dead) => Err("connection refused".to_owned()),
                Some(Fault::BlackHole) => {
                    tokio::time::sleep(request.timeout).await;
                    Err("no answer in time".to_owned())
                }
                Some(Fault::Slow(pause)) => {
                    tokio::time::sleep(pause).await;
                    Ok(self.honest(node, &request, epoch))
                }
                Some(Fault::Status(status)) => Ok(NodeAnswer { status, body: Bytes::from_static(b"go away") }),
                Some(Fault::Garbage) => Ok(NodeAnswer { status: 200, body: Bytes::from_static(b"\xff\xfe<html>") }),
                Some(Fault::Lying) => Ok(self.lie(node, &request, epoch)),
                Some(Fault::Forging) => {
                    let mut answer = self.honest(node, &request, epoch);
                    if request.path.contains("/confirmation/") && answer.status == 200 {
                        let envelope: SuccessEnvelope<ConfirmationBody> = serde_json::from_slice(&answer.body).unwrap();
                        let ConfirmationBody::Signed(signed) = envelope.success.data;
                        let (message, _) = signed.decode().unwrap();
                        answer =
                            ok(200, &ConfirmationBody::Signed(SignedMessage::new(&message, &key(99).sign(&message))));
                    }
                    Ok(answer)
                }
                Some(Fault::OldEpoch) => Ok(self.honest(node, &request, epoch - 1)),
            }
        }
        .boxed()
    }
}

// ----- chain -----

/// What the chain does to the next executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFault {
    /// Executes, and the answer is lost.
    LoseAnswer,
    /// Does not execute, and the answer is lost.
    LoseRequest,
    /// Refuses.
    Refuse,
}

#[derive(Default)]
pub struct ChainState {
    pub objects: HashMap<ObjectId, ObjectInfo>,
    pub executed: HashMap<Digest, Effects>,
    pub sent: Vec<Digest>,
    pub send_faults: Vec<SendFault>,
    pub hide_effects: bool,
    pub simulated_failure: Option<Failure>,
    pub simulated_gas: u64,
    pub epoch: u64,
    pub gas_price: u64,
    pub budgets: Vec<u64>,
    /// How long an answer about objects is under way.
    pub objects_late: Duration,
}

pub struct MemoryChain {
    pub state: Mutex<ChainState>,
}

impl MemoryChain {
    pub fn new() -> Self {
        Self {
            state: Mutex::new(ChainState {
                epoch: 100,
                gas_price: 1000,
                simulated_gas: 2_000_000,
                ..ChainState::default()
            }),
        }
    }

    pub fn put<T: serde::Serialize>(&self, id: ObjectId, object_type: &str, owner: Owner, version: u64, value: &T) {
        let info = ObjectInfo {
            id,
            version,
            digest: Digest::new([version as u8; 32]),
            owner,
            object_type: Some(StructTag::from_str(object_type).unwrap()),
            contents: bcs::to_bytes(value).unwrap().into(),
            previous_transaction: None,
        };
        self.state.lock().unwrap().objects.insert(id, info);
    }

    pub fn add_coin(&self, name: &str, coin_type: &str, owner: Address, balance: u64) -> ObjectId {
        let coin = id(name);
        let object_type = format!("0x2::coin::Coin<{coin_type}>");
        self.put(coin, &object_type, Owner::Address(owner), 10, &Coin { id: coin, balance });
        coin
    }

    /// Writes System and Staking as they are in `epoch` with these nodes.
    pub fn write_walrus(
        &self,
        epoch: u32,
        assignment: &[(ObjectId, Vec<u16>)],
        previous: &[(ObjectId, Vec<u16>)],
        epoch_state: EpochState,
    ) {
        let (system, staking) = (id("0x51"), id("0x52"));
        let n_shards = assignment.iter().map(|(_, shards)| shards.len()).sum::<usize>() as u16;
        let index = |node: &ObjectId| usize::from(node.as_bytes()[31]);
        let members: Vec<BlsCommitteeMember> = assignment
            .iter()
            .map(|(node, shards)| BlsCommitteeMember {
                public_key: key(index(node)).public_key().to_uncompressed(),
                weight: shards.len() as u16,
                node_id: *node,
            })
            .collect();
        let keys: Vec<BlsPublicKey> = assignment.iter().map(|(node, _)| key(index(node)).public_key()).collect();
        let field = ExtendedField { id: id("0xee") };
        let table = Table { id: id("0xef"), size: 0 };
        let inner = SystemStateInnerV1 {
            committee: BlsCommittee {
                members,
                n_shards,
                epoch,
                total_aggregated_key: BlsPublicKey::aggregate(&keys).unwrap().to_compressed(),
            },
            total_capacity_size: 1 << 40,
            used_capacity_size: 0,
            storage_price_per_unit_size: 100_000,
            write_price_per_unit_size: 20_000,
            future_accounting: FutureAccountingRingBuffer { current_index: 0, length: 53, ring_buffer: vec![] },
            event_blob_certification_state: EventBlobCertificationState::default(),
            deny_list_sizes: field,
        };
        let staked = StakingInnerV1 {
            n_shards,
            epoch_duration: 86_400_000,
            first_epoch_start: 0,
            pools: table,
            epoch,
            active_set: field,
            next_committee: None,
            committee: Committee { contents: assignment.to_vec() },
            previous_committee: Committee { contents: previous.to_vec() },
            next_epoch_params: None,
            epoch_state,
            next_epoch_public_keys: field,
        };
        let shared = Owner::Shared { initial_version: 4 };
        let object = |id| System { id, version: 3, package_id: self::id(CALL), new_package_id: None };
        self.put(system, &format!("{ORIGINAL}::system::System"), shared, 4, &object(system));
        self.put(staking, &format!("{ORIGINAL}::staking::Staking"), shared, 4, &object(staking));
        let (field_a, field_b) = (versioned_field_id(&system, 3), versioned_field_id(&staking, 3));
        self.put(
            field_a,
            &format!("0x2::dynamic_field::Field<u64, {ORIGINAL}::system_state_inner::SystemStateInnerV1>"),
            Owner::Object(system),
            4,
            &Field { id: field_a, name: 3u64, value: inner },
        );
        self.put(
            field_b,
            &format!("0x2::dynamic_field::Field<u64, {ORIGINAL}::staking_inner::StakingInnerV1>"),
            Owner::Object(staking),
            4,
            &Field { id: field_b, name: 3u64, value: staked },
        );
        for (node, _) in assignment.iter().chain(previous) {
            let none = PendingValues::default();
            let pool = StakingPool {
                id: *node,
                state: PoolState::Active,
                voting_params: VotingParams { storage_price: 1, write_price: 1, node_capacity: 1 },
                node_info: StorageNodeInfo {
                    name: format!("node-{}", index(node)),
                    node_id: *node,
                    network_address: format!("127.0.0.1:{}", 9000 + index(node)),
                    public_key: key(index(node)).public_key().to_uncompressed(),
                    next_epoch_public_key: None,
                    network_public_key: Element([2; 33]),
                    metadata: field,
                },
                activation_epoch: 1,
                latest_epoch: epoch,
                wal_balance: 1,
                num_shares: 1,
                pending_shares_withdraw: none.clone(),
                pre_active_withdrawals: none.clone(),
                pending_commission_rate: none.clone(),
                commission_rate: 0,
                exchange_rates: table,
                pending_stake: none,
                rewards_pool: 0,
                commission: 0,
                commission_receiver: Authorized::Address(Address::ZERO),
                governance_authorized: Authorized::Address(Address::ZERO),
                extra_fields: table,
            };
            self.put(*node, &format!("{ORIGINAL}::staking_pool::StakingPool"), Owner::Object(id("0xef")), 4, &pool);
        }
    }

    /// Moves the version of an owned object on, as another transaction would.
    pub fn touch(&self, object: &ObjectId) {
        let mut state = self.state.lock().unwrap();
        let info = state.objects.get_mut(object).unwrap();
        info.version += 100;
        info.previous_transaction = Some(Digest::new([0xdd; 32]));
    }
}

impl ChainState {
    fn owned(transaction: &Transaction) -> Vec<(ObjectId, u64)> {
        let mut owned: Vec<_> = transaction.gas_payment.objects.iter().map(|o| (*o.object_id(), o.version())).collect();
        if let TransactionKind::ProgrammableTransaction(program) = &transaction.kind {
            owned.extend(program.inputs.iter().filter_map(|input| match input {
                Input::ImmutableOrOwned(o) => Some((*o.object_id(), o.version())),
                _ => None,
            }));
        }
        owned
    }

    fn check(&self, transaction: &Transaction) -> Result<(), String> {
        for (id, version) in Self::owned(transaction) {
            match self.objects.get(&id) {
                Some(object) if object.version == version => {}
                Some(object) => return Err(format!("object {id} is at version {}, not {version}", object.version)),
                None => return Err(format!("object {id} not found")),
            }
        }
        match transaction.expiration {
            TransactionExpiration::Epoch(last) if self.epoch > last => Err("expired".to_owned()),
            _ => Ok(()),
        }
    }

    /// Moves the versions of owned inputs on; the commands do nothing.
    fn apply(&mut self, transaction: &Transaction) -> Effects {
        let digest = transaction.digest();
        let owned = Self::owned(transaction);
        let lamport = owned.iter().map(|(_, version)| version + 1).max().unwrap_or(1);
        let mut changed = Vec::new();
        for (id, _) in owned {
            let object = self.objects.get_mut(&id).unwrap();
            object.version = lamport;
            object.digest = Digest::new([lamport as u8; 32]);
            object.previous_transaction = Some(digest);
            changed.push(ChangedObject {
                id,
                created: false,
                output: Some((lamport, object.digest)),
                owner: Some(object.owner),
                object_type: None,
            });
        }
        let gas = GasCost { computation: 1_000_000, storage: 1_000_000, rebate: 990_000 };
        let effects = Effects { digest, failure: None, gas, changed, balances: Vec::new() };
        self.executed.insert(digest, effects.clone());
        effects
    }
}

impl ChainTransport for MemoryChain {
    fn objects<'a>(&'a self, ids: &'a [ObjectId]) -> BoxFuture<'a, ClientResult<Vec<Option<ObjectInfo>>>> {
        let state = self.state.lock().unwrap();
        let found = ids.iter().map(|id| state.objects.get(id).cloned()).collect();
        let late = state.objects_late;
        async move {
            tokio::time::sleep(late).await;
            Ok(found)
        }
        .boxed()
    }

    fn object_everywhere<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Vec<ClientResult<Option<ObjectInfo>>>> {
        let found = self.state.lock().unwrap().objects.get(id).cloned();
        async move { vec![Ok(found)] }.boxed()
    }

    fn owned_objects<'a>(
        &'a self,
        owner: &'a Address,
        object_type: &'a StructTag,
    ) -> BoxFuture<'a, ClientResult<Vec<ObjectInfo>>> {
        let state = self.state.lock().unwrap();
        let found = state
            .objects
            .values()
            .filter(|o| o.owner == Owner::Address(*owner) && o.object_type.as_ref() == Some(object_type))
            .cloned()
            .collect();
        async move { Ok(found) }.boxed()
    }

    fn fields<'a>(&'a self, parent: &'a ObjectId) -> BoxFuture<'a, ClientResult<Vec<ObjectId>>> {
        let state = self.state.lock().unwrap();
        let found = state.objects.values().filter(|o| o.owner == Owner::Object(*parent)).map(|o| o.id).collect();
        async move { Ok(found) }.boxed()
    }

    fn gas_info(&self) -> BoxFuture<'_, ClientResult<GasInfo>> {
        let state = self.state.lock().unwrap();
        let info = GasInfo { epoch: state.epoch, reference_price: state.gas_price };
        async move { Ok(info) }.boxed()
    }

    fn type_origins<'a>(&'a self, _package: &'a ObjectId) -> BoxFuture<'a, ClientResult<Vec<TypeOrigin>>> {
        let origin =
            |module: &str, name: &str, package| TypeOrigin { module: module.into(), name: name.into(), package };
        async move { Ok(vec![origin("blob", "Blob", id(ORIGINAL)), origin("storage_pool", "StoragePool", id("0xa2"))]) }
            .boxed()
    }

    fn parameter_type_argument<'a>(
        &'a self,
        package: &'a ObjectId,
        module: &'a str,
        function: &'a str,
        index: usize,
    ) -> BoxFuture<'a, ClientResult<String>> {
        assert_eq!((*package, module, function, index), (id(CALL), "staking", "stake_with_pool", 1));
        async move { Ok(WAL.to_owned()) }.boxed()
    }

    fn simulate<'a>(&'a self, transaction: &'a Transaction) -> BoxFuture<'a, ClientResult<Effects>> {
        let state = self.state.lock().unwrap();
        let result = match state.check(transaction) {
            Err(reason) => Err(ClientError::BadAnswer { what: "simulation".into(), reason }),
            Ok(()) => Ok(Effects {
                digest: transaction.digest(),
                failure: state.simulated_failure.clone(),
                gas: GasCost { computation: state.simulated_gas, storage: 0, rebate: 0 },
                changed: Vec::new(),
                balances: Vec::new(),
            }),
        };
        async move { result }.boxed()
    }

    fn execute<'a>(&'a self, transaction: &'a [u8], signature: &'a [u8]) -> BoxFuture<'a, SendOutcome> {
        let decoded: Transaction = bcs::from_bytes(transaction).unwrap();
        let signature = sui_sdk_types::UserSignature::from_bytes(signature).unwrap();
        use sui_crypto::SuiVerifier;
        sui_crypto::UserSignatureVerifier::new().verify_transaction(&decoded, &signature).unwrap();
        let mut state = self.state.lock().unwrap();
        let digest = decoded.digest();
        state.sent.push(digest);
        let fault = if state.send_faults.is_empty() { None } else { Some(state.send_faults.remove(0)) };
        let outcome = match fault {
            Some(SendFault::LoseRequest) => SendOutcome::Unknown("connection reset".into()),
            Some(SendFault::Refuse) => SendOutcome::Refused("no".into()),
            _ => {
                let result = match state.executed.get(&digest).cloned() {
                    Some(effects) => Ok(effects),
                    None => state.check(&decoded).map(|()| {
                        state.budgets.push(decoded.gas_payment.budget);
                        state.apply(&decoded)
                    }),
                };
                match (result, fault) {
                    (_, Some(_)) => SendOutcome::Unknown("timeout".into()),
                    (Ok(effects), None) => SendOutcome::Final(effects),
                    (Err(reason), None) => SendOutcome::Refused(reason),
                }
            }
        };
        async move { outcome }.boxed()
    }

    fn effects<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, ClientResult<Option<Effects>>> {
        let state = self.state.lock().unwrap();
        let found = if state.hide_effects { None } else { state.executed.get(digest).cloned() };
        async move { Ok(found) }.boxed()
    }
}

pub fn abort(module: &str, code: u64) -> Failure {
    Failure::Abort(MoveAbort {
        package: CALL.into(),
        module: module.into(),
        function: "f".into(),
        code,
        command: Some(0),
    })
}

// ----- both -----

/// A network with `nodes` nodes that share `n_shards` shards evenly.
pub struct Net {
    pub nodes: Arc<MemoryNodes>,
    pub chain: Arc<MemoryChain>,
    pub client: WalrusClient,
    pub assignment: Vec<(ObjectId, Vec<u16>)>,
}

pub fn evenly(nodes: usize, n_shards: u16) -> Vec<(ObjectId, Vec<u16>)> {
    let shards: Vec<u16> = (0..n_shards).collect();
    let per_node = usize::from(n_shards).div_ceil(nodes);
    shards.chunks(per_node).enumerate().map(|(index, part)| (node_id(index), part.to_vec())).collect()
}

pub fn network() -> NetworkConfig {
    NetworkConfig {
        name: "memory".into(),
        rpc_urls: vec!["http://127.0.0.1:1".into()],
        faucet_url: None,
        system_object: id("0x51"),
        staking_object: id("0x52"),
        wal_type: None,
        exchange_object: None,
        walrus_package: None,
        drive_package: None,
        node_tls: NodeTls::Plain,
    }
}

/// A node's time limit is so long that whoever waits for a black hole misses every bound of the tests.
pub fn quick() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.nodes.timeout = Duration::from_secs(60);
    config.upload.policy = RetryPolicy {
        total: Duration::from_secs(20),
        first_pause: Duration::from_millis(20),
        max_pause: Duration::from_millis(200),
        ..RetryPolicy::default()
    };
    config.upload.min_tail = Duration::from_millis(100);
    config.upload.max_tail = Duration::from_secs(1);
    config.upload.epoch_check = Duration::from_millis(300);
    config.read.stale_committee = Duration::from_millis(50);
    config
}

impl Net {
    pub fn new(nodes: usize, n_shards: u16) -> Self {
        Self::with(nodes, n_shards, quick())
    }

    pub fn with(nodes: usize, n_shards: u16, config: ClientConfig) -> Self {
        let chain = Arc::new(MemoryChain::new());
        let assignment = evenly(nodes, n_shards);
        chain.write_walrus(5, &assignment, &[], EpochState::EpochChangeDone(1));
        let nodes = Arc::new(MemoryNodes::new(n_shards));
        let client = WalrusClient::with_transports(network(), config, chain.clone(), nodes.clone());
        Self { nodes, chain, client, assignment }
    }

    /// A client of the same network that knows nothing yet.
    pub fn stranger(&self) -> WalrusClient {
        WalrusClient::with_transports(network(), quick(), self.chain.clone(), self.nodes.clone())
    }

    /// A blob of `size` bytes that all nodes hold.
    pub fn planted(&self, size: usize) -> (BlobId, Vec<u8>) {
        let data = pattern(size);
        let encoded = redstuff::encode(&self.nodes.params, data.clone()).unwrap();
        self.nodes.plant(&encoded, &self.assignment);
        (*encoded.blob_id(), data)
    }
}

pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 31 + i / 251) as u8).collect()
}
