//! What nodes say to the System together: event blobs, deny lists, the protocol's version; and subsidies, which anybody may pay.
//! Tables as in [`super::rules`].

use sui_sdk_types::Address;
use walrus_client::wire::chain::{EventBlob, StakingPool, StorageNodeCap, U256, encoded_size};
use walrus_client::wire::message::{MessageType, header};

use super::operators::{Candidate, Operator, operators};
use super::rules::{A, Row, Step, Table, call, pure, reserve};
use super::support::{FakeBlob, TestChain, WAL, bls_key, sign};

const MIB: u64 = 1 << 20;

/// What is put aside for the nodes in this epoch and those after it.
fn rewards(table: &Table<'_>) -> Vec<u64> {
    let future = table.state().future_accounting;
    let slot = |offset: u32| &future.ring_buffer[((future.current_index + offset) % future.length) as usize];
    (0..future.length).map(|offset| slot(offset).rewards_to_distribute).collect()
}

#[tokio::test]
async fn anybody_pays_a_subsidy_and_it_is_spread_over_epochs() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let subsidy =
        |amount: u64, epochs: u32| vec![call("system::add_subsidy", [A::System, A::Coin(amount), pure(epochs)])];
    table
        .check(vec![
            ("system_state_inner:2", subsidy(WAL, 0)),
            ("system_state_inner:2", subsidy(WAL, 54)),
            ("system_state_inner:2", subsidy(WAL, u32::MAX)),
            ("InsufficientCoinBalance", subsidy(101 * WAL, 1)),
            ("ok", subsidy(0, 1)),
        ])
        .await;
    let before = rewards(&table);
    table.check(vec![("ok", subsidy(11, 3)), ("ok", subsidy(53, 53))]).await;
    let after = rewards(&table);
    // Eleven over three epochs: three each, and what does not divide goes to the present one.
    let paid: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    assert_eq!(paid[..4], [5 + 1, 3 + 1, 3 + 1, 1]);
    assert_eq!((paid.len(), paid.iter().sum::<u64>()), (53, 11 + 53));
    assert_eq!(chain.balance(wallet.wal), 100 * WAL - 64);

    // Nodes are paid out of it: 97 % of it by their shards.
    let node = chain.chain.committee().unwrap().members[0].clone();
    let earned = || chain.contents::<StakingPool>(node.node_id).rewards_pool;
    let before = earned();
    table.ok(&subsidy(10 * WAL, 1)).await;
    // Without storage in use no node has a part, and it waits for the next epoch.
    chain.chain.advance_epoch().await.unwrap();
    assert_eq!(earned(), before);
    let waiting = rewards(&table)[0];
    assert!(waiting >= 10 * WAL * 97 / 100);
    table.ok(&[reserve(MIB, 1).kept()]).await;
    let rewards = rewards(&table)[0];
    chain.chain.advance_epoch().await.unwrap();
    let shares = node.shards.len() as u64;
    assert_eq!(earned() - before, (rewards - rewards * 3 / 100) * shares / 10);
}

/// An operator's word that a blob holds the events up to a checkpoint.
fn attest(operator: &Operator, blob: &FakeBlob, checkpoint: u64, epoch: u32) -> Vec<Step> {
    let args = [
        A::System,
        A::Own(operator.cap),
        pure(blob.id),
        pure(blob.root),
        pure(blob.size),
        pure(1u8),
        pure(checkpoint),
        pure(epoch),
    ];
    vec![call("system::certify_event_blob", args)]
}

async fn check(chain: &TestChain, operators: &[Operator], rows: Vec<(usize, Row)>) {
    for (who, row) in rows {
        Table { chain, wallet: &operators[who].wallet }.check(vec![row]).await;
    }
}

#[tokio::test]
async fn a_quorum_certifies_an_event_blob_that_nobody_pays() {
    let (chain, operators) = operators(220).await;
    let table = Table { chain: &chain, wallet: &operators[0].wallet };
    let (blob, rival) = (FakeBlob::new(1, 5000), FakeBlob::new(2, 5000));
    let nonsense = FakeBlob { id: U256([9; 32]), ..blob };
    let by = |who: usize, blob: &FakeBlob, checkpoint: u64| attest(&operators[who], blob, checkpoint, 1);

    let stranger = chain.wallet().await;
    let outside = Table { chain: &chain, wallet: &stranger };
    let candidate = Candidate::new(1, stranger.address, &bls_key(12));
    let cap = outside.make(&candidate.register(), "StorageNodeCap").await;
    let node = chain.contents::<StorageNodeCap>(cap).node_id;
    let stranger = Operator { wallet: stranger, cap, node };
    Table { chain: &chain, wallet: &stranger.wallet }
        .check(vec![("system_state_inner:8", attest(&stranger, &blob, 10, 1))])
        .await;

    let (used, money) = (table.state().used_capacity_size, rewards(&table));
    check(
        &chain,
        &operators,
        vec![
            (0, ("system_state_inner:3", attest(&operators[0], &blob, 10, 0))),
            (0, ("system_state_inner:3", attest(&operators[0], &blob, 10, 2))),
            (0, ("ok", by(0, &blob, 10))),
            (0, ("system_state_inner:7", by(0, &blob, 10))),
            (0, ("system_state_inner:7", by(0, &blob, 9))),
            // Its last word is not settled yet.
            (0, ("system_state_inner:6", by(0, &blob, 11))),
            // Another blob for the same checkpoint is counted apart.
            (1, ("ok", by(1, &rival, 10))),
            (2, ("ok", by(2, &blob, 10))),
            (3, ("ok BlobRegistered BlobCertified", by(3, &blob, 10))),
        ],
    )
    .await;
    let state = table.state();
    let latest = EventBlob { blob_id: blob.id, ending_checkpoint_sequence_number: 10 };
    assert_eq!(state.event_blob_certification_state.latest_certified_blob, Some(latest));
    assert!(state.event_blob_certification_state.aggregate_weight_per_blob.contents.is_empty());
    assert_eq!(state.used_capacity_size - used, encoded_size(blob.size, 10).unwrap());
    assert_eq!(rewards(&table), money, "an event blob is free of charge");

    check(
        &chain,
        &operators,
        vec![
            // Settled now, also for who said otherwise.
            (1, ("ok", by(1, &nonsense, 11))),
            (0, ("ok", by(0, &nonsense, 11))),
            // An id that is not of this root is found out when there is a quorum.
            (2, ("blob:6", by(2, &nonsense, 11))),
            (2, ("ok", by(2, &rival, 11))),
        ],
    )
    .await;
    chain.chain.advance_epoch().await.unwrap();
    // A new epoch forgets what nodes said in the old one; what is certified already is not counted again.
    check(&chain, &operators, vec![(0, ("ok", attest(&operators[0], &rival, 10, 2)))]).await;
    let state = table.state().event_blob_certification_state;
    assert_eq!(state.latest_certified_blob.unwrap().blob_id, blob.id);
}

/// A message of the nodes at these places, as the last arguments of a call.
fn certified(chain: &TestChain, kind: MessageType, epoch: u32, body: &[u8], signers: &[u16]) -> [A; 3] {
    let made = sign(chain, [&header(kind, epoch)[..], body].concat(), signers);
    [pure(made.signature.to_vec()), pure(made.bitmap()), pure(&made.message)]
}

#[tokio::test]
async fn a_deny_list_is_announced_certified_and_costs_its_node() {
    let (chain, operators) = operators(230).await;
    let (one, two) = (&operators[0], &operators[1]);
    let table = Table { chain: &chain, wallet: &one.wallet };
    let root = U256([5; 32]);
    let quorum: &[u16] = &[0, 1, 3];
    let announce = |sequence: u64| {
        let args = [A::System, A::Own(one.cap), pure(root), pure(sequence)];
        vec![call("system::register_deny_list_update", args)]
    };
    let body = |node: Address, sequence: u64, size: u64| bcs::to_bytes(&(node, sequence, size, root)).unwrap();
    let update = |kind: MessageType, epoch: u32, body: &[u8], signers: &[u16]| {
        let made = certified(&chain, kind, epoch, body, signers);
        vec![call("system::update_deny_list", [&[A::System, A::Own(one.cap)], &made[..]].concat())]
    };
    let kind = MessageType::DenyListUpdate;
    let mine = body(one.node, 1, 100 * MIB);
    table
        .check(vec![
            ("system_state_inner:9", announce(0)),
            ("ok RegisterDenyListUpdate", announce(1)),
            ("bls_aggregate:2", update(kind, 1, &mine, &[0, 1])),
            ("messages:1", update(kind, 0, &mine, quorum)),
            ("messages:2", update(MessageType::DenyListBlobDeleted, 1, &mine, quorum)),
            ("system_state_inner:10", update(kind, 1, &body(two.node, 1, 1), quorum)),
            ("system_state_inner:9", update(kind, 1, &body(one.node, 0, 1), quorum)),
            ("ok DenyListUpdate", update(kind, 1, &body(one.node, 2, 1), quorum)),
            ("system_state_inner:9", update(kind, 1, &mine, quorum)),
            ("system_state_inner:9", announce(2)),
        ])
        .await;
    let stored = table.ok(&announce(3)).await;
    let fields = bcs::to_bytes(&(1u32, root, 3u64, one.node)).unwrap();
    table.emitted(&stored, "RegisterDenyListUpdate", &fields);
    let stored = table.ok(&update(kind, 1, &body(one.node, 3, 100 * MIB), quorum)).await;
    table.emitted(&stored, "DenyListUpdate", &fields);
    let cap: StorageNodeCap = chain.contents(one.cap);
    assert_eq!((cap.deny_list_root, cap.deny_list_sequence, cap.deny_list_size), (root, 3, 100 * MIB));

    // A node that denies all that is stored earns nothing; the others share it: 97 units of 10^5 by 7 shards.
    let theirs = Table { chain: &chain, wallet: &two.wallet };
    theirs.ok(&[reserve(100 * MIB, 1).kept()]).await;
    let earned = || operators.iter().map(|by| chain.contents::<StakingPool>(by.node).rewards_pool).collect::<Vec<_>>();
    let before = earned();
    chain.chain.advance_epoch().await.unwrap();
    let paid: Vec<u64> = earned().iter().zip(&before).map(|(after, before)| after - before).collect();
    assert_eq!(paid, [0, 9_700_000 * 3 / 7, 9_700_000 * 2 / 7, 9_700_000 * 2 / 7]);
}

#[tokio::test]
async fn nodes_tell_of_deleted_blobs_and_of_new_versions() {
    let (chain, operators) = operators(240).await;
    let table = Table { chain: &chain, wallet: &operators[0].wallet };
    let blob = U256([7; 32]);
    let deleted = |epoch: u32, body: &[u8], signers: &[u16]| {
        let made = certified(&chain, MessageType::DenyListBlobDeleted, epoch, body, signers);
        vec![call("system::delete_deny_listed_blob", [&[A::System], &made[..]].concat())]
    };
    let version = |start: u32, signers: &[u16]| {
        let body = bcs::to_bytes(&(start, 2u64)).unwrap();
        let made = certified(&chain, MessageType::ProtocolVersion, 1, &body, signers);
        let args = [&[A::System, A::Own(operators[0].cap)], &made[..]].concat();
        vec![call("system::update_protocol_version", args)]
    };
    let quorum: &[u16] = &[0, 1, 3];
    table
        .check(vec![
            // Three of ten shards could all be faulty; six are one correct node but no quorum.
            ("bls_aggregate:2", deleted(1, &blob.0, &[0])),
            ("messages:1", deleted(2, &blob.0, &[0, 1])),
            ("ok DenyListBlobDeleted", deleted(1, &blob.0, &[0, 1])),
            ("bls_aggregate:2", version(1, &[0, 1])),
            ("system_state_inner:12", version(0, quorum)),
            ("ok ProtocolVersionUpdated", version(1, quorum)),
        ])
        .await;
    let stored = table.ok(&deleted(1, &blob.0, quorum)).await;
    table.emitted(&stored, "DenyListBlobDeleted", &bcs::to_bytes(&(1u32, blob)).unwrap());
    let stored = table.ok(&version(5, quorum)).await;
    table.emitted(&stored, "ProtocolVersionUpdated", &bcs::to_bytes(&(1u32, 5u32, 2u64)).unwrap());
}
