//! What operators of storage nodes call: candidates, settings, keys, votes of governance. Tables as in [`super::rules`].

use sui_crypto::ed25519::Ed25519PrivateKey;
use sui_sdk_types::{Address, Owner, TypeTag};
use walrus_client::wire::bls::BlsSecretKey;
use walrus_client::wire::chain::{
    Field, SlashingManager, StakingPool, StorageNodeCap, SystemStateInnerV1, versioned_field_id,
};
use walrus_client::wire::message::proof_of_possession_message;

use super::rules::{A, Row, Step, Table, call, keep, pure, reserve};
use super::support::{SUI, TestChain, WAL, Wallet, bls_key, config};
use crate::chain::genesis::GenesisConfig;

const MIB: u64 = 1 << 20;
const WEIGHTS: [u16; 4] = [3, 3, 2, 2];

/// A network whose nodes are run by the holders of these keys.
fn run_by(keys: &[Ed25519PrivateKey; 4]) -> GenesisConfig {
    let mut config = config(&WEIGHTS);
    for (index, key) in keys.iter().enumerate() {
        let operator = key.public_key().derive_address();
        let bls = bls_key(index as u8);
        config.nodes[index].operator = operator;
        config.nodes[index].proof_of_possession =
            bls.sign(&proof_of_possession_message(0, &operator, &bls.public_key())).to_bytes();
    }
    config
}

pub(super) struct Operator {
    pub(super) wallet: Wallet,
    pub(super) cap: Address,
    pub(super) node: Address,
}

/// The operators in the order of their nodes' weights in [`WEIGHTS`].
pub(super) async fn operators(seed: u8) -> (TestChain, Vec<Operator>) {
    let keys = [0, 1, 2, 3].map(|n| Ed25519PrivateKey::new([seed + n; 32]));
    let chain = TestChain::with(run_by(&keys));
    let mut operators = Vec::new();
    for key in keys {
        let address = key.public_key().derive_address();
        let gas = chain.chain.give(address, 1000 * SUI, false).await.unwrap().coin;
        let wal = chain.chain.give(address, 100 * WAL, true).await.unwrap().coin;
        let cap = owned(&chain, address, "StorageNodeCap");
        let node = chain.contents::<StorageNodeCap>(cap).node_id;
        operators.push(Operator { wallet: Wallet { key, address, gas, wal }, cap, node });
    }
    (chain, operators)
}

fn owned(chain: &TestChain, owner: Address, name: &str) -> Address {
    let snapshot = chain.chain.snapshot().unwrap();
    let mut all = snapshot.owned(&Owner::Address(owner), None).unwrap().map(Result::unwrap);
    all.find(|(_, tag)| tag.name().as_str() == name).unwrap().0
}

fn cap_type(chain: &TestChain) -> TypeTag {
    let package = chain.chain.ids().unwrap().walrus_package;
    format!("{package}::storage_node::StorageNodeCap").parse().unwrap()
}

/// What a candidate says of itself.
#[derive(Clone)]
pub(super) struct Candidate {
    name: String,
    address: String,
    key: Vec<u8>,
    network_key: Vec<u8>,
    proof: Vec<u8>,
    commission: u16,
}

impl Candidate {
    pub(super) fn new(epoch: u32, sender: Address, key: &BlsSecretKey) -> Self {
        Self {
            name: "new".into(),
            address: "127.0.0.1:1".into(),
            key: key.public_key().to_compressed().0.to_vec(),
            network_key: vec![2; 33],
            proof: key.sign(&proof_of_possession_message(epoch, &sender, &key.public_key())).to_bytes().to_vec(),
            commission: 100,
        }
    }

    pub(super) fn register(self) -> Vec<Step> {
        let Self { name, address, key, network_key, proof, commission } = self;
        let args = [
            A::Staking,
            pure(name),
            pure(address),
            A::Step(0),
            pure(key),
            pure(network_key),
            pure(proof),
            pure(commission),
            pure(100_000u64),
            pure(20_000u64),
            pure(1u64 << 40),
        ];
        vec![call("node_metadata::default", []), keep("staking::register_candidate", args)]
    }
}

#[tokio::test]
async fn candidates_become_nodes_with_stake() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let (key, other) = (bls_key(10), bls_key(11));
    let good = Candidate::new(1, wallet.address, &key);
    let with = |change: &dyn Fn(&mut Candidate)| {
        let mut candidate = good.clone();
        change(&mut candidate);
        candidate.register()
    };
    let forged = Candidate::new(1, wallet.address, &other).proof;
    let foreign = Candidate::new(1, Address::TWO, &key).proof;
    let old = Candidate::new(0, wallet.address, &key).proof;
    table
        .check(vec![
            ("staking_pool:4", with(&|candidate| candidate.proof = forged.clone())),
            ("staking_pool:4", with(&|candidate| candidate.proof = foreign.clone())),
            ("staking_pool:4", with(&|candidate| candidate.proof = old.clone())),
            ("staking_pool:4", with(&|candidate| candidate.key = vec![7; 48])),
            ("staking_pool:17", with(&|candidate| candidate.name = "n".repeat(101))),
            ("staking_pool:16", with(&|candidate| candidate.address = "a".repeat(260))),
            ("staking_pool:14", with(&|candidate| candidate.commission = 10_001)),
            ("storage_node:0", with(&|candidate| candidate.network_key = vec![2; 32])),
        ])
        .await;
    let cap = table.make(&good.clone().register(), "StorageNodeCap").await;
    let node = chain.contents::<StorageNodeCap>(cap).node_id;
    let members = || chain.chain.committee().unwrap().members;
    chain.chain.advance_epoch().await.unwrap();
    assert!(members().iter().all(|member| member.node_id != node), "no stake, no shard");

    // With stake it gets shards in the next epoch, and serves them under its key.
    let coin = chain.chain.give(wallet.address, 250 * WAL, true).await.unwrap().coin;
    table
        .check(vec![
            ("ok", vec![keep("staking::stake_with_pool", [A::Staking, A::Own(coin), pure(node)])]),
            ("ok", vec![call("staking::try_join_active_set", [A::Staking, A::Own(cap)])]),
        ])
        .await;
    chain.chain.begin_epoch().await.unwrap();
    let found = members().into_iter().find(|member| member.node_id == node).unwrap();
    assert!(!found.shards.is_empty());
    assert_eq!(found.bls_public_key, key.public_key().to_compressed().0);
    assert_eq!(found.network_address, "127.0.0.1:1");
}

#[tokio::test]
async fn settings_belong_to_the_holder_of_the_capability() {
    let (chain, operators) = operators(200).await;
    let (one, two) = (&operators[0], &operators[1]);
    let table = Table { chain: &chain, wallet: &one.wallet };
    let set = |name: &'static str, value: A| vec![call(name, [A::Staking, A::Own(one.cap), value])];
    let next_key = |key: &BlsSecretKey, epoch: u32| {
        let proof = key.sign(&proof_of_possession_message(epoch, &one.wallet.address, &key.public_key()));
        let args = [
            A::Staking,
            A::Own(one.cap),
            pure(key.public_key().to_compressed().0.to_vec()),
            pure(proof.to_bytes().to_vec()),
        ];
        vec![call("staking::set_next_public_key", args)]
    };
    let new_key = bls_key(15);
    table
        .check(vec![
            ("ok", set("staking::set_name", pure("a".repeat(100)))),
            ("staking_pool:17", set("staking::set_name", pure("a".repeat(101)))),
            ("ok", set("staking::set_network_address", pure("h".repeat(259)))),
            ("staking_pool:16", set("staking::set_network_address", pure("h".repeat(260)))),
            ("ok", set("staking::set_network_public_key", pure(vec![3u8; 33]))),
            ("storage_node:0", set("staking::set_network_public_key", pure(vec![3u8; 34]))),
            ("storage_node:0", set("staking::set_network_public_key", pure(Vec::<u8>::new()))),
            ("ok", set("staking::set_storage_price_vote", pure(0u64))),
            ("ok", set("staking::set_write_price_vote", pure(u64::MAX))),
            ("ok", set("staking::set_node_capacity_vote", pure(0u64))),
            ("ok", set("staking::set_next_commission", pure(10_000u16))),
            ("staking_pool:14", set("staking::set_next_commission", pure(10_001u16))),
            ("staking_pool:4", next_key(&new_key, 0)),
            ("staking_pool:4", next_key(&new_key, 2)),
            ("ok", next_key(&new_key, 1)),
        ])
        .await;
    let pool: StakingPool = chain.contents(one.node);
    assert_eq!((pool.node_info.name.len(), pool.node_info.network_address.len()), (100, 259));
    assert_eq!((pool.voting_params.storage_price, pool.voting_params.write_price), (0, u64::MAX));
    assert_eq!(pool.voting_params.node_capacity, 0);
    assert_eq!(pool.node_info.network_public_key.0, [3; 33]);

    // The new key counts from the next epoch on.
    let key_of = |node| chain.chain.committee().unwrap().members.into_iter().find(|m| m.node_id == node).unwrap();
    assert_eq!(key_of(one.node).bls_public_key, bls_key(0).public_key().to_compressed().0);
    chain.chain.advance_epoch().await.unwrap();
    assert_eq!(key_of(one.node).bls_public_key, new_key.public_key().to_compressed().0);
    // Three of ten shards want a price of nothing and no capacity: seven decide otherwise.
    let system = chain.chain.ids().unwrap().system_object;
    let system: Field<u64, SystemStateInnerV1> = chain.contents(versioned_field_id(&system, 3));
    let system = system.value;
    assert_eq!((system.storage_price_per_unit_size, system.write_price_per_unit_size), (100_000, 20_000));
    assert!(system.total_capacity_size > 0);

    // Who may collect, and who speaks for the node, is handed on by whoever may now.
    let as_object = || call("auth::authenticate_with_object", [A::Own(one.cap)]).of(cap_type(&chain));
    let as_sender = || call("auth::authenticate_sender", []);
    let hand_on = |who: Step, path: &'static str, to: Address| -> Vec<Step> {
        vec![
            who,
            call("auth::authorized_address", [pure(to)]),
            call(path, [A::Staking, pure(one.node), A::Step(0), A::Step(1)]),
        ]
    };
    let (receiver, governance) = ("staking::set_commission_receiver", "staking::set_governance_authorized");
    let theirs = Table { chain: &chain, wallet: &two.wallet };
    theirs
        .check(vec![
            ("staking_pool:15", hand_on(as_sender(), receiver, two.wallet.address)),
            ("staking_pool:15", hand_on(as_sender(), governance, two.wallet.address)),
        ])
        .await;
    table
        .check(vec![
            ("staking_pool:15", hand_on(as_sender(), receiver, two.wallet.address)),
            ("staking_pool:15", hand_on(as_object(), governance, two.wallet.address)),
            ("ok", hand_on(as_object(), receiver, two.wallet.address)),
            ("staking_pool:15", hand_on(as_object(), receiver, one.wallet.address)),
            ("ok", hand_on(as_sender(), governance, two.wallet.address)),
            ("staking_pool:15", hand_on(as_sender(), governance, one.wallet.address)),
        ])
        .await;
    theirs
        .check(vec![
            ("ok", hand_on(as_sender(), receiver, two.wallet.address)),
            ("ok", hand_on(as_sender(), governance, one.wallet.address)),
            (
                "staking_inner:8",
                vec![as_sender(), keep("staking::collect_commission", [A::Staking, pure(Address::TWO), A::Step(0)])],
            ),
        ])
        .await;
}

#[tokio::test]
async fn a_quorum_of_nodes_burns_a_commission_and_nothing_else() {
    let (chain, operators) = operators(210).await;
    let treasury = A::Shared(chain.chain.rules().ids.treasury);
    let manager_id = chain.chain.slashing_manager().unwrap().unwrap();
    let manager = A::Shared(manager_id);
    let accused = operators[3].node;
    let table = |index: usize| Table { chain: &chain, wallet: &operators[index].wallet };
    let vote = |voter: usize| -> Vec<Step> {
        let args = [manager.clone(), A::Staking, A::Step(0), pure(operators[voter].node), pure(accused)];
        vec![call("auth::authenticate_sender", []), call("slashing::vote_for_slashing", args)]
    };
    let execute =
        || vec![call("slashing::execute_slashing", [manager.clone(), A::Staking, treasury.clone(), pure(accused)])];
    let clean_up = || {
        vec![call(
            "slashing::cleanup_slashing_proposals",
            [manager.clone(), A::Staking, pure(vec![accused, Address::TWO])],
        )]
    };
    let open = || chain.contents::<SlashingManager>(manager_id).slashing_candidates.size;

    // A commission to lose: 10 % of what 100 units earn two of ten shards.
    let rate = call("staking::set_next_commission", [A::Staking, A::Own(operators[3].cap), pure(1_000u16)]);
    table(3).ok(&[rate]).await;
    table(3).ok(&[reserve(100 * MIB, 6).kept()]).await;
    for _ in 0..2 {
        chain.chain.advance_epoch().await.unwrap();
    }
    let pool = || chain.contents::<StakingPool>(accused);
    assert!(pool().commission > 0);

    let rows: Vec<(usize, Row)> = vec![
        (0, ("slashing:2", execute())),
        (1, ("slashing:0", vote(0))),
        (0, ("ok", vote(0))),
        (0, ("slashing:1", vote(0))),
        (0, ("slashing:4", execute())),
        (1, ("ok", vote(1))),
        (0, ("slashing:4", execute())),
        (3, ("ok", vote(3))),
        (0, ("ok", clean_up())),
    ];
    for (who, row) in rows {
        table(who).check(vec![row]).await;
    }
    assert_eq!(open(), 1, "a vote of this epoch is not cleaned up");
    chain.chain.advance_epoch().await.unwrap();
    table(0).check(vec![("slashing:3", execute()), ("ok", clean_up()), ("slashing:2", execute())]).await;
    assert_eq!(open(), 0);
    for voter in [0, 1, 2] {
        table(voter).check(vec![("ok", vote(voter))]).await;
    }
    let before = pool();
    let supply = || {
        let (name, key) = (chain.chain.rules().ids.treasury, [0u8]);
        let wrapper: TypeTag = {
            let wal = chain.chain.ids().unwrap().wal_package;
            format!("0x2::dynamic_object_field::Wrapper<{wal}::wal::TreasuryCapKey>").parse().unwrap()
        };
        let field = name.derive_dynamic_child_id(&wrapper, &key);
        let contents = chain.object(field).unwrap().as_struct().unwrap().contents().to_vec();
        let cap: Address = bcs::from_bytes(&contents[33..65]).unwrap();
        chain.contents::<walrus_client::wire::chain::TreasuryCap>(cap).total_supply
    };
    let minted = supply();
    table(0).check(vec![("ok", execute()), ("slashing:2", execute())]).await;
    let after = pool();
    assert_eq!(after, StakingPool { commission: 0, ..before.clone() }, "stake and rewards stay");
    assert_eq!(minted - supply(), before.commission);
}

#[tokio::test]
async fn wal_is_burned_and_counted() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let treasury = A::Shared(chain.chain.rules().ids.treasury);
    table
        .check(vec![
            ("ok", vec![call("wal::burn", [treasury.clone(), A::Coin(WAL)])]),
            ("ok", vec![call("wal::burn", [treasury.clone(), A::Coin(0)])]),
            ("InsufficientCoinBalance", vec![call("wal::burn", [treasury.clone(), A::Coin(u64::MAX)])]),
            ("ok", vec![call("wal::total_supply", [treasury])]),
        ])
        .await;
    assert_eq!(chain.balance(wallet.wal), 99 * WAL);
    let node = chain.chain.committee().unwrap().members[0].node_id;
    let stake = keep("staking::stake_with_pool", [A::Staking, A::Coin(WAL), pure(node)]);
    let staked = table.make(&[stake], "StakedWal").await;
    // Rewards of an epoch that is not over are nothing; of a range that runs backwards as well.
    let rewards = |from: u32, to: u32| {
        vec![call("staking::calculate_rewards", [A::Staking, pure(node), pure(WAL), pure(from), pure(to)])]
    };
    table
        .check(vec![
            ("ok", rewards(1, 1)),
            ("ok", vec![call("staked_wal::value", [A::Own(staked)])]),
            ("ok", vec![call("staking::epoch", [A::Staking])]),
        ])
        .await;
}
