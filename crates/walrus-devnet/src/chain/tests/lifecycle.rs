//! Genesis, coins, refusals, pools, the Drive, restarts.

use sui_sdk_types::{Argument, ExecutionStatus, TypeTag};
use walrus_client::wire::chain::{StoragePool, encoded_size, units};
use walrus_client::wire::message::Persistence;

use super::support::{FakeBlob, SUI, TestChain, Tx, WAL, certificate, created, effects, events};
use crate::chain::api::{Chain, EpochPhase, RegistrationHolder};

#[tokio::test]
async fn a_new_chain_has_its_committee_money_and_ids() {
    let chain = TestChain::new();
    let committee = chain.chain.committee().unwrap();
    assert_eq!((committee.epoch, committee.n_shards, committee.members.len()), (1, 10, 4));
    assert!(matches!(committee.phase, EpochPhase::Done { .. }));
    let shards: Vec<u16> = committee.members.iter().flat_map(|member| member.shards.clone()).collect();
    assert_eq!(shards, (0..10).collect::<Vec<_>>());
    assert!(committee.members.is_sorted_by_key(|member| member.node_id));
    let wallet = chain.wallet().await;
    assert_eq!(chain.balance(wallet.gas), 1000 * SUI);
    assert_eq!(chain.balance(wallet.wal), 100 * WAL);
}

#[tokio::test]
async fn coins_split_merge_and_pay_for_gas() {
    let chain = TestChain::new();
    let (a, b) = (chain.wallet().await, chain.wallet().await);
    let mut tx = Tx::new();
    let split = tx.split(Argument::Gas, &[5 * SUI, 7 * SUI]);
    tx.merge(Argument::NestedResult(split, 0), vec![Argument::NestedResult(split, 1)]);
    tx.transfer(&[Argument::NestedResult(split, 0)], b.address);
    let stored = chain.ok(&a, tx).await;
    let coin = created(&stored, "Coin");
    assert_eq!(chain.balance(coin), 12 * SUI);
    let gas = effects(&stored).gas_used.clone();
    assert_eq!(gas.computation_cost, 1_000_000);
    assert_eq!(gas.storage_cost, 2 * 988_000, "two coins of 130 metered bytes");
    let paid = gas.computation_cost + gas.storage_cost - gas.storage_rebate;
    assert_eq!(chain.balance(a.gas), 988 * SUI - paid);
    assert_eq!(stored.balance_changes.len(), 2);
}

#[tokio::test]
async fn a_pool_lends_from_a_drive_and_its_blobs_are_certified_and_deleted() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let ids = chain.chain.ids().unwrap();
    let pool_type: TypeTag = format!("{}::storage_pool::StoragePool", ids.walrus_package).parse().unwrap();
    let capacity = 100 << 20;

    // A drive with a pool.
    let mut tx = Tx::new();
    let system = tx.system(&chain);
    let wal = tx.owned(&chain, wallet.wal);
    let (bytes, epochs) = (tx.pure(&(capacity as u64)), tx.pure(&5u32));
    let pool = tx.walrus(&chain, "system::create_storage_pool", &[system, bytes, epochs, wal]);
    let args = [
        tx.pure(&1u16),
        tx.pure(&vec![7u8; 32]),
        tx.pure(&vec![1u8; 40]),
        tx.pure(&1u8),
        tx.pure(&0u32),
        tx.pure(&vec![2u8; 60]),
        tx.pure(&vec![3u8; 80]),
        pool,
    ];
    let drive = tx.call(ids.drive_package, "drive::create", std::slice::from_ref(&pool_type), &args);
    tx.transfer(&[Argument::Result(drive)], wallet.address);
    let stored = chain.ok(&wallet, tx).await;
    assert_eq!(events(&stored), ["StoragePoolCreated", "Created"]);
    let drive = created(&stored, "Drive");
    let pool_id = created(&stored, "StoragePool");
    let cost = 5 * 100_000 * 100;
    assert_eq!(chain.balance(wallet.wal), 100 * WAL - cost);
    assert_eq!(chain.contents::<StoragePool>(pool_id).version, 1);

    // The lease, then a register through the lent pool.
    let holder = vec![9u8; 16];
    let mut tx = Tx::new();
    let drive_arg = tx.owned(&chain, drive);
    let (sequence, who, steal) = (tx.pure(&0u64), tx.pure(&holder), tx.pure(&false));
    let clock = tx.clock(&chain);
    tx.call(ids.drive_package, "drive::acquire_lease", &[], &[drive_arg, sequence, who, steal, clock]);
    chain.ok(&wallet, tx).await;

    let blob = FakeBlob::new(1, 1000);
    let lend = |tx: &mut Tx| {
        let drive_arg = tx.owned(&chain, drive);
        let (sequence, who) = (tx.pure(&0u64), tx.pure(&holder));
        let clock = tx.clock(&chain);
        let taken = tx.call(
            ids.drive_package,
            "drive::take_pool",
            std::slice::from_ref(&pool_type),
            &[drive_arg, sequence, who, clock],
        );
        (drive_arg, taken)
    };
    let put_back = |tx: &mut Tx, drive_arg, taken| {
        let args = [drive_arg, Argument::NestedResult(taken, 0), Argument::NestedResult(taken, 1)];
        tx.call(ids.drive_package, "drive::put_pool", std::slice::from_ref(&pool_type), &args);
    };
    let mut tx = Tx::new();
    let system = tx.system(&chain);
    let wal = tx.owned(&chain, wallet.wal);
    let (drive_arg, taken) = lend(&mut tx);
    let args = [
        system,
        Argument::NestedResult(taken, 0),
        tx.pure(&blob.id),
        tx.pure(&blob.root),
        tx.pure(&blob.size),
        tx.pure(&1u8),
        tx.pure(&true),
        wal,
    ];
    tx.walrus(&chain, "system::register_pooled_blob", &args);
    put_back(&mut tx, drive_arg, taken);
    let stored = chain.ok(&wallet, tx).await;
    let encoded = encoded_size(1000, 10).unwrap();
    assert_eq!(chain.balance(wallet.wal), 100 * WAL - cost - 20_000 * units(encoded));
    assert_eq!(chain.chain.pool(pool_id).unwrap().unwrap().used, encoded);
    let object = created(&stored, "PooledBlob");
    let registered = chain.chain.registrations(&blob.id.0).unwrap();
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0].object_id, object);
    assert_eq!(registered[0].holder, RegistrationHolder::Pool(pool_id));
    assert_eq!((registered[0].end_epoch, registered[0].certified_epoch), (6, None));

    // A pool that is not given back fails the whole transaction.
    let mut tx = Tx::new();
    lend(&mut tx);
    let left = chain.fails(&wallet, tx).await;
    assert!(left.starts_with("UnusedValueWithoutDrop"), "{left}");

    // Certify and commit in one transaction.
    let certificate = certificate(&chain, 1, blob.id, Persistence::Deletable(object), &[0, 1, 3]);
    let mut tx = Tx::new();
    let system = tx.shared(&chain, ids.system_object, false);
    let (drive_arg, taken) = lend(&mut tx);
    let args = [
        system,
        Argument::NestedResult(taken, 0),
        tx.pure(&blob.id),
        tx.pure(&certificate.signature.to_vec()),
        tx.pure(&certificate.bitmap()),
        tx.pure(&certificate.message),
    ];
    tx.walrus(&chain, "system::certify_pooled_blob", &args);
    put_back(&mut tx, drive_arg, taken);
    let root = tx.call(ids.drive_package, "drive::same_root", &[], &[]);
    let (sequence, who, drop_) = (tx.pure(&0u64), tx.pure(&holder), tx.pure(&0u64));
    let (append, seal) = (tx.pure(&vec![vec![1u8; 100]]), tx.pure(&vec![4u8; 80]));
    let clock = tx.clock(&chain);
    let args = [drive_arg, sequence, who, Argument::Result(root), drop_, append, seal, clock];
    tx.call(ids.drive_package, "drive::commit", &[], &args);
    let commit = tx.clone();
    let stored = chain.ok(&wallet, tx).await;
    assert_eq!(events(&stored), ["PooledBlobCertified", "Committed"]);
    assert_eq!(chain.chain.registrations(&blob.id.0).unwrap()[0].certified_epoch, Some(1));
    // The same commit again has a stale sequence.
    let mut again = Tx { inputs: Vec::new(), ..commit };
    for input in commit.inputs {
        let fresh = match &input {
            sui_sdk_types::Input::ImmutableOrOwned(reference) => {
                sui_sdk_types::Input::ImmutableOrOwned(chain.reference(*reference.object_id()))
            }
            _ => input,
        };
        again.inputs.push(fresh);
    }
    assert_eq!(chain.fails(&wallet, again).await, "drive:0");
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let mut tx = Tx::new();
    let split = tx.split(Argument::Gas, &[3 * SUI]);
    tx.transfer(&[Argument::NestedResult(split, 0)], wallet.address);
    let stored = chain.ok(&wallet, tx).await;
    let coin = created(&stored, "Coin");
    let TestChain { dir, chain: open, config } = chain;
    let (ids, events) = (open.ids().unwrap(), open.events_after(0, 1000).unwrap().len());
    drop(open);
    // The executor lets go of the file when the last handle is gone.
    let reopened = loop {
        match Chain::open(dir.path(), &config) {
            Ok(chain) => break chain,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    };
    let chain = TestChain { dir, chain: reopened, config };
    assert_eq!(chain.chain.ids().unwrap(), ids);
    assert_eq!(chain.chain.events_after(0, 1000).unwrap().len(), events);
    assert_eq!(chain.balance(coin), 3 * SUI);
    let found = chain.chain.snapshot().unwrap().transaction(&stored.transaction.digest()).unwrap().unwrap();
    assert_eq!(found.effects, stored.effects);
    assert_eq!(*found.effects.status(), ExecutionStatus::Success);
    // And work goes on with the versions from before.
    let mut tx = Tx::new();
    let coin_arg = tx.owned(&chain, coin);
    tx.merge(Argument::Gas, vec![coin_arg]);
    chain.ok(&wallet, tx).await;
    assert!(chain.object(coin).is_none());
}
