//! Stake, rewards and commission as users and operators meet them, to the last unit; epochs that end by the clock.

use std::time::Duration;

use sui_crypto::ed25519::Ed25519PrivateKey;
use sui_sdk_types::{Address, Owner, TypeTag};
use walrus_client::wire::chain::{StakedWal, StakingPool};
use walrus_client::wire::message::proof_of_possession_message;

use super::rules::{A, Step, Table, call, keep, pure, reserve};
use super::support::{SUI, TestChain, WAL, Wallet, bls_key, config, created};
use crate::chain::api::EpochPhase;
use crate::chain::genesis::GenesisConfig;

const MIB: u64 = 1 << 20;

fn stake(amount: u64, node: Address) -> Vec<Step> {
    vec![keep("staking::stake_with_pool", [A::Staking, A::Coin(amount), pure(node)])]
}

fn request(staked: Address) -> Vec<Step> {
    vec![call("staking::request_withdraw_stake", [A::Staking, A::Own(staked)])]
}

fn withdraw(staked: Address) -> Vec<Step> {
    vec![keep("staking::withdraw_stake", [A::Staking, A::Own(staked)])]
}

fn split(staked: Address, amount: u64) -> Vec<Step> {
    vec![keep("staked_wal::split", [A::Own(staked), pure(amount)])]
}

fn join(staked: Address, other: Address) -> Vec<Step> {
    vec![call("staked_wal::join", [A::Own(staked), A::Own(other)])]
}

/// `amount * times / by`, rounded down.
fn scaled(amount: u64, times: u64, by: u64) -> u64 {
    u64::try_from(u128::from(amount) * u128::from(times) / u128::from(by)).unwrap()
}

#[tokio::test]
async fn stake_is_split_joined_rewarded_and_withdrawn() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let members = chain.chain.committee().unwrap().members;
    let (node, other) = (members[3].node_id, members[0].node_id);
    let pool = || chain.contents::<StakingPool>(node);
    table
        .check(vec![
            ("staking_pool:7", stake(0, node)),
            ("staked_wal:7", stake(WAL - 1, node)),
            ("staking_inner:8", stake(WAL, Address::TWO)),
            ("ok", stake(WAL, node)),
        ])
        .await;
    let staked = table.make(&stake(10 * WAL, node), "StakedWal").await;
    let elsewhere = table.make(&stake(WAL, other), "StakedWal").await;
    let part = table.make(&split(staked, 3 * WAL), "StakedWal").await;
    assert_eq!(chain.contents::<StakedWal>(part).principal, 3 * WAL);
    table
        .check(vec![
            ("staked_wal:2", split(staked, 7 * WAL + 1)),
            ("staked_wal:2", split(staked, u64::MAX)),
            ("staked_wal:7", split(staked, 0)),
            ("staked_wal:7", split(staked, WAL - 1)),
            ("staked_wal:7", split(staked, 6 * WAL + 1)),
            ("staked_wal:1", join(staked, elsewhere)),
            ("ok", join(staked, part)),
            ("staking_pool:13", request(staked)),
        ])
        .await;
    // Stake that no committee counts yet goes back at once, as much as it was.
    let coin = table.make(&withdraw(elsewhere), "Coin").await;
    assert_eq!(chain.balance(coin), WAL);
    assert_eq!(chain.contents::<StakingPool>(other).pending_stake.values.get(&2), Some(&0));

    // 100 units in each of three epochs; 97 % of it for 10 shards, of which this node has 2.
    table.ok(&[reserve(100 * MIB, 3).kept()]).await;
    let first = pool();
    chain.chain.advance_epoch().await.unwrap();
    let second = pool();
    let reward = 10_000_000 * 97 / 100 * 2 / 10;
    assert_eq!(second.rewards_pool - first.rewards_pool, reward);
    assert_eq!(second.wal_balance, first.wal_balance + reward + 11 * WAL);
    // The stake bought shares at the rate with the reward and before itself.
    let shares = scaled(10 * WAL, first.num_shares, first.wal_balance + reward);
    let late = table.make(&stake(WAL, node), "StakedWal").await;
    table.check(vec![("staked_wal:1", join(staked, late)), ("staking_pool:10", withdraw(staked))]).await;
    chain.chain.advance_epoch().await.unwrap();
    table
        .check(vec![
            ("ok", request(staked)),
            ("staking_pool:8", request(staked)),
            ("staking_pool:11", withdraw(staked)),
            ("staked_wal:1", join(late, staked)),
        ])
        .await;
    let third = pool();
    chain.chain.advance_epoch().await.unwrap();
    let fourth = pool();
    let earned = fourth.rewards_pool - third.rewards_pool;
    assert!(earned >= reward, "what rounding left joins the next epoch");
    let worth = scaled(shares, third.wal_balance + earned, third.num_shares);
    assert!(worth > 10 * WAL);
    let coin = table.make(&withdraw(staked), "Coin").await;
    assert_eq!(chain.balance(coin), worth);
    assert_eq!(fourth.rewards_pool - pool().rewards_pool, worth - 10 * WAL);
    assert_eq!(fourth.wal_balance, third.wal_balance + earned + pool_growth(&third) - worth);
}

/// Stake that begins with the next epoch.
fn pool_growth(pool: &StakingPool) -> u64 {
    pool.pending_stake.values.get(&(pool.latest_epoch + 1)).copied().unwrap_or(0)
}

/// A network whose last node is run by the holder of `key`.
fn run_by(key: &Ed25519PrivateKey) -> GenesisConfig {
    let mut config = config(&[3, 3, 2, 2]);
    let operator = key.public_key().derive_address();
    let bls = bls_key(3);
    config.nodes[3].operator = operator;
    config.nodes[3].proof_of_possession =
        bls.sign(&proof_of_possession_message(0, &operator, &bls.public_key())).to_bytes();
    config
}

/// The operator's wallet, its capability and its node.
async fn operator(chain: &TestChain, key: Ed25519PrivateKey) -> (Wallet, Address, Address) {
    let address = key.public_key().derive_address();
    let gas = chain.chain.give(address, 1000 * SUI, false).await.unwrap().coin;
    let wal = chain.chain.give(address, 100 * WAL, true).await.unwrap().coin;
    let snapshot = chain.chain.snapshot().unwrap();
    let owned: Vec<_> = snapshot.owned(&Owner::Address(address), None).unwrap().map(Result::unwrap).collect();
    let (cap, _) = owned.iter().find(|(_, tag)| tag.name().as_str() == "StorageNodeCap").unwrap();
    let node = chain.contents::<walrus_client::wire::chain::StorageNodeCap>(*cap).node_id;
    (Wallet { key, address, gas, wal }, *cap, node)
}

#[tokio::test]
async fn commission_is_set_ahead_blocked_and_collected() {
    let key = Ed25519PrivateKey::new([250; 32]);
    let chain = TestChain::with(run_by(&key));
    let (wallet, cap, node) = operator(&chain, key).await;
    let user = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let anybody = Table { chain: &chain, wallet: &user };
    let pool = || chain.contents::<StakingPool>(node);
    let next = |rate: u16| vec![call("staking::set_next_commission", [A::Staking, A::Own(cap), pure(rate)])];
    let vote = |path: &'static str, price: u64| vec![call(path, [A::Staking, A::Own(cap), pure(price)])];
    let update = vec![call("staking::update_prices", [A::Staking, A::System])];
    table
        .check(vec![
            ("staking_pool:14", next(10_001)),
            ("staking_pool:14", next(u16::MAX)),
            ("ok", next(1_000)),
            // Two of ten shards are no quorum: the price stays.
            ("ok", vote("staking::set_storage_price_vote", 1)),
            ("ok", vote("staking::set_write_price_vote", u64::MAX)),
            ("ok PricesUpdated", update),
        ])
        .await;
    let before = chain.balance(wallet.wal);
    table.ok(&[reserve(100 * MIB, 4).kept()]).await;
    assert_eq!(before - chain.balance(wallet.wal), 4 * 100 * 100_000);

    let reward = 10_000_000 * 97 / 100 * 2 / 10;
    chain.chain.advance_epoch().await.unwrap();
    assert_eq!((pool().commission, pool().commission_rate), (0, 0), "the old rate");
    chain.chain.advance_epoch().await.unwrap();
    let third = pool();
    assert_eq!((third.commission_rate, third.commission), (1_000, reward / 10));

    let package = chain.chain.ids().unwrap().walrus_package;
    let cap_type: TypeTag = format!("{package}::storage_node::StorageNodeCap").parse().unwrap();
    let collect = || {
        let who = call("auth::authenticate_with_object", [A::Own(cap)]).of(cap_type.clone());
        vec![who, keep("staking::collect_commission", [A::Staking, pure(node), A::Step(0)])]
    };
    let as_sender = vec![
        call("auth::authenticate_sender", []),
        keep("staking::collect_commission", [A::Staking, pure(node), A::Step(0)]),
    ];
    table.check(vec![("staking_pool:15", as_sender.clone())]).await;
    anybody.check(vec![("staking_pool:15", as_sender)]).await;
    let nothing = table.make(&collect(), "Coin").await;
    assert_eq!(chain.balance(nothing), 0, "blocked until the voting of this epoch has ended");
    chain.chain.advance_epoch().await.unwrap();
    let fourth = pool();
    let paid = table.make(&collect(), "Coin").await;
    assert_eq!(chain.balance(paid), third.commission);
    assert_eq!(pool().commission, fourth.commission - third.commission, "this epoch's part stays blocked");
}

#[tokio::test]
async fn users_end_an_epoch_by_the_clock() {
    let key = Ed25519PrivateKey::new([251; 32]);
    let mut config = run_by(&key);
    let epoch = Duration::from_secs(10);
    config.epoch_duration = epoch;
    let chain = TestChain::with(config);
    let (wallet, cap, node) = operator(&chain, key).await;
    let table = Table { chain: &chain, wallet: &wallet };
    let treasury = A::Shared(chain.chain.rules().ids.treasury);
    let voting_end = vec![call("staking::voting_end", [A::Staking, A::Clock])];
    let initiate = |path: &'static str| vec![call(path, [A::Staking, A::System, treasury.clone(), A::Clock])];
    let change = || initiate("staking::initiate_epoch_change_v2");
    let old = vec![call("staking::initiate_epoch_change", [A::Staking, A::System, A::Clock])];
    let done = |epoch: u32| vec![call("staking::epoch_sync_done", [A::Staking, A::Own(cap), pure(epoch), A::Clock])];
    let early = table.make(&stake(2 * WAL, node), "StakedWal").await;
    table.check(vec![("staking_inner:0", change()), ("staking:2", old), ("staking_inner:1", done(2))]).await;
    tokio::time::sleep(epoch / 2).await;
    table
        .check(vec![
            ("ok EpochParametersSelected", voting_end.clone()),
            ("staking_inner:0", voting_end.clone()),
            ("staking_inner:0", change()),
            // The next committee counts this stake: it can be asked back early, and is paid one epoch later.
            ("ok", request(early)),
            ("staking_pool:11", withdraw(early)),
        ])
        .await;
    let staked = table.make(&stake(WAL, node), "StakedWal").await;
    assert_eq!(chain.contents::<StakedWal>(staked).activation_epoch, 3, "the next committee is chosen already");
    tokio::time::sleep(epoch / 2).await;
    table
        .check(vec![
            ("ok EpochChangeStart PricesUpdated", change()),
            ("staking_inner:0", change()),
            ("staking_inner:0", voting_end),
            ("staking_inner:1", done(1)),
            ("staking_inner:1", done(u32::MAX)),
            ("ok ShardsReceived", done(2)),
            ("staking_inner:2", done(2)),
        ])
        .await;
    assert_eq!(chain.chain.committee().unwrap().phase, EpochPhase::Sync { weight: 2 });
    // Stake for an epoch that is not there yet goes back at once.
    let coin = created(&table.ok(&withdraw(staked)).await, "Coin");
    assert_eq!(chain.balance(coin), WAL);
}
