//! Every call that users make: results, events, money, and each abort that can be reached.

use sui_sdk_types::{Address, Argument, ObjectReference, Owner, TypeTag};
use walrus_client::wire::chain::{Blob, Metadata, Storage, attributes_field_id, encoded_size, units};
use walrus_client::wire::message::{Certificate, Persistence, invalid_blob_id_message};

use super::support::{FakeBlob, SUI, TestChain, Tx, WAL, Wallet, certificate, created, events, failure, sign};
use crate::chain::api::EpochPhase;
use crate::chain::execute::Refused;

const MIB: u64 = 1 << 20;

fn reserve(chain: &TestChain, wallet: &Wallet, tx: &mut Tx, size: u64, epochs: u32) -> Argument {
    let system = tx.system(chain);
    let wal = tx.owned(chain, wallet.wal);
    let (size, epochs) = (tx.pure(&size), tx.pure(&epochs));
    tx.walrus(chain, "system::reserve_space", &[system, size, epochs, wal])
}

/// `register_blob` with the blob's own numbers unless a test changes them.
fn register(chain: &TestChain, wallet: &Wallet, tx: &mut Tx, storage: Argument, blob: &FakeBlob, kind: u8) -> Argument {
    let system = tx.system(chain);
    let wal = tx.owned(chain, wallet.wal);
    let args = [
        system,
        storage,
        tx.pure(&blob.id),
        tx.pure(&blob.root),
        tx.pure(&blob.size),
        tx.pure(&kind),
        tx.pure(&true),
        wal,
    ];
    tx.walrus(chain, "system::register_blob", &args)
}

/// A deletable blob for `epochs` epochs.
async fn stored_blob(chain: &TestChain, wallet: &Wallet, blob: &FakeBlob, epochs: u32) -> Address {
    let mut tx = Tx::new();
    let size = encoded_size(blob.size, 10).unwrap();
    let storage = reserve(chain, wallet, &mut tx, size, epochs);
    let object = register(chain, wallet, &mut tx, storage, blob, 1);
    tx.transfer(&[object], wallet.address);
    let stored = chain.ok(wallet, tx).await;
    assert_eq!(events(&stored), ["BlobRegistered"]);
    created(&stored, "Blob")
}

fn certify(chain: &TestChain, object: Address, certificate: &Certificate) -> Tx {
    let mut tx = Tx::new();
    let system = tx.shared(chain, chain.chain.ids().unwrap().system_object, false);
    let object = tx.owned(chain, object);
    let args = [
        system,
        object,
        tx.pure(&certificate.signature.to_vec()),
        tx.pure(&certificate.bitmap()),
        tx.pure(&certificate.message),
    ];
    tx.walrus(chain, "system::certify_blob", &args);
    tx
}

#[tokio::test]
async fn storage_and_blobs_abort_as_the_contract_does() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let blob = FakeBlob::new(1, 1000);
    let encoded = encoded_size(1000, 10).unwrap();
    type Case<'c> = (&'c str, Box<dyn Fn(&mut Tx) -> Argument + 'c>);
    let reserving = |size: u64, epochs: u32| {
        let (chain, wallet) = (&chain, &wallet);
        Box::new(move |tx: &mut Tx| reserve(chain, wallet, tx, size, epochs)) as Box<dyn Fn(&mut Tx) -> Argument>
    };
    let registering = |blob: FakeBlob, size: u64, kind: u8| {
        let (chain, wallet) = (&chain, &wallet);
        Box::new(move |tx: &mut Tx| {
            let storage = reserve(chain, wallet, tx, size, 1);
            register(chain, wallet, tx, storage, &blob, kind)
        }) as Box<dyn Fn(&mut Tx) -> Argument>
    };
    let capacity = 4 * (1u64 << 40);
    let cases: Vec<Case<'_>> = vec![
        ("success", reserving(MIB, 53)),
        ("system_state_inner:2", reserving(MIB, 0)),
        ("system_state_inner:2", reserving(MIB, 54)),
        ("system_state_inner:11", reserving(0, 1)),
        ("balance:2", reserving(capacity, 53)),
        ("success", registering(blob, encoded, 1)),
        ("blob:3", registering(blob, encoded - 1, 1)),
        ("encoding:0", registering(blob, encoded, 0)),
        ("blob:6", registering(FakeBlob { size: 999, ..blob }, encoded, 1)),
    ];
    for (index, (expected, build)) in cases.iter().enumerate() {
        let mut tx = Tx::new();
        let result = build(&mut tx);
        tx.transfer(&[result], wallet.address);
        let before = chain.balance(wallet.wal);
        let found = failure(&chain.run(&wallet, tx).await.unwrap());
        assert_eq!(found, *expected, "case {index}");
        let spent = before - chain.balance(wallet.wal);
        assert_eq!(*expected == "success", spent > 0, "case {index} spent {spent}");
    }
}

#[tokio::test]
async fn capacity_runs_out_with_its_own_abort() {
    let mut config = super::support::config(&[3, 3, 2, 2]);
    config.nodes.iter_mut().for_each(|node| node.node_capacity = MIB);
    let chain = TestChain::with(config);
    let wallet = chain.wallet().await;
    // Nodes of 2 shards vote for 5 MiB in all, those of 3 for 3.33 MiB: a quorum is at the lower one.
    let capacity = MIB * 10 / 3;
    let mut tx = Tx::new();
    let storage = reserve(&chain, &wallet, &mut tx, capacity, 2);
    tx.transfer(&[storage], wallet.address);
    chain.ok(&wallet, tx).await;
    let mut tx = Tx::new();
    let storage = reserve(&chain, &wallet, &mut tx, 1, 1);
    tx.transfer(&[storage], wallet.address);
    assert_eq!(chain.fails(&wallet, tx).await, "system_state_inner:1");
}

#[tokio::test]
async fn a_blob_is_certified_extended_described_and_deleted() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let blob = FakeBlob::new(2, 5000);
    let object = stored_blob(&chain, &wallet, &blob, 2).await;
    let deletable = Persistence::Deletable(object);

    let good = certificate(&chain, 1, blob.id, deletable, &[0, 1, 3]);
    let mut forged = good.clone();
    forged.message[20] ^= 1;
    let mut no_such_member = good.clone();
    no_such_member.signers.push(7);
    no_such_member.members = 8;
    // Three signatures of which one is over other bytes.
    let one_wrong = {
        let parts = certificate(&chain, 1, blob.id, deletable, &[0, 1]);
        let other = certificate(&chain, 1, FakeBlob::new(9, 9).id, deletable, &[3]);
        let parse = |bytes: &[u8]| walrus_client::wire::bls::BlsSignature::from_bytes(bytes).unwrap();
        let sum =
            walrus_client::wire::bls::BlsSignature::aggregate(&[parse(&parts.signature), parse(&other.signature)]);
        Certificate { signature: sum.unwrap().to_bytes(), ..good.clone() }
    };
    let cases = [
        ("bls_aggregate:2", certificate(&chain, 1, blob.id, deletable, &[0, 1])),
        ("bls_aggregate:1", forged),
        ("bls_aggregate:1", one_wrong),
        ("bls_aggregate:0", no_such_member),
        ("messages:1", certificate(&chain, 2, blob.id, deletable, &[0, 1, 3])),
        ("messages:2", sign(&chain, invalid_blob_id_message(1, blob.id), &[0, 1, 3])),
        ("blob:6", certificate(&chain, 1, FakeBlob::new(3, 5000).id, deletable, &[0, 1, 3])),
        ("blob:9", certificate(&chain, 1, blob.id, Persistence::Permanent, &[0, 1, 3])),
        ("blob:10", certificate(&chain, 1, blob.id, Persistence::Deletable(Address::TWO), &[0, 1, 3])),
        ("success", good.clone()),
        ("blob:5", good),
    ];
    for (expected, certificate) in &cases {
        let found = failure(&chain.run(&wallet, certify(&chain, object, certificate)).await.unwrap());
        assert_eq!(found, *expected);
    }
    assert_eq!(chain.contents::<Blob>(object).certified_epoch, Some(1));

    // Extend: too far, then by two epochs, paid exactly.
    let extend = |epochs: u32| {
        let mut tx = Tx::new();
        let system = tx.system(&chain);
        let (blob, epochs) = (tx.owned(&chain, object), tx.pure(&epochs));
        let wal = tx.owned(&chain, wallet.wal);
        tx.walrus(&chain, "system::extend_blob", &[system, blob, epochs, wal]);
        tx
    };
    assert_eq!(chain.fails(&wallet, extend(52)).await, "system_state_inner:2");
    assert_eq!(chain.fails(&wallet, extend(0)).await, "system_state_inner:2");
    let before = chain.balance(wallet.wal);
    let stored = chain.ok(&wallet, extend(2)).await;
    assert_eq!(events(&stored), ["BlobCertified"]);
    let encoded = encoded_size(5000, 10).unwrap();
    assert_eq!(before - chain.balance(wallet.wal), 2 * 100_000 * units(encoded));
    assert_eq!(chain.contents::<Blob>(object).storage.end_epoch, 5);

    // Attributes.
    let pair = |path: &str, args: &[&str]| {
        let mut tx = Tx::new();
        let mut all = vec![tx.owned(&chain, object)];
        all.extend(args.iter().map(|arg| tx.pure(&arg.to_string())));
        tx.walrus(&chain, path, &all);
        tx
    };
    assert_eq!(chain.fails(&wallet, pair("blob::remove_metadata_pair", &["a"])).await, "blob:8");
    chain.ok(&wallet, pair("blob::insert_or_update_metadata_pair", &["a", "1"])).await;
    chain.ok(&wallet, pair("blob::insert_or_update_metadata_pair", &["b", "2"])).await;
    chain.ok(&wallet, pair("blob::insert_or_update_metadata_pair", &["a", "3"])).await;
    let field = attributes_field_id(&object);
    let raw = chain.object(field).unwrap();
    let contents = raw.as_struct().unwrap().contents().to_vec();
    let metadata: Metadata = bcs::from_bytes(&contents[32 + 9..]).unwrap();
    let pairs: Vec<_> = metadata.metadata.contents;
    assert_eq!(pairs, [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "3".to_owned())]);
    assert_eq!(chain.fails(&wallet, pair("blob::remove_metadata_pair", &["z"])).await, "vec_map:1");

    // Delete: the storage comes back, the attributes go.
    let mut tx = Tx::new();
    let system = tx.shared(&chain, chain.chain.ids().unwrap().system_object, false);
    let blob_arg = tx.owned(&chain, object);
    let storage = tx.walrus(&chain, "system::delete_blob", &[system, blob_arg]);
    tx.transfer(&[storage], wallet.address);
    let stored = chain.ok(&wallet, tx).await;
    assert_eq!(events(&stored), ["BlobDeleted"]);
    assert!(chain.object(object).is_none() && chain.object(field).is_none());
    assert!(chain.chain.registrations(&blob.id.0).unwrap().is_empty());
}

#[tokio::test]
async fn storage_splits_and_fuses() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let mut tx = Tx::new();
    let storage = reserve(&chain, &wallet, &mut tx, 10 * MIB, 4);
    let at = tx.pure(&3u32);
    let upper = tx.walrus(&chain, "storage_resource::split_by_epoch", &[storage, at]);
    let size = tx.pure(&(4 * MIB));
    let rest = tx.walrus(&chain, "storage_resource::split_by_size", &[storage, size]);
    tx.walrus(&chain, "storage_resource::fuse", &[storage, rest]);
    tx.walrus(&chain, "storage_resource::fuse", &[storage, upper]);
    tx.transfer(&[storage], wallet.address);
    let stored = chain.ok(&wallet, tx).await;
    let storage = chain.contents::<Storage>(created(&stored, "Storage"));
    assert_eq!((storage.start_epoch, storage.end_epoch, storage.storage_size), (1, 5, 10 * MIB));
    for (call, value, expected) in [
        ("storage_resource::split_by_epoch", 1u64, "storage_resource:0"),
        ("storage_resource::split_by_epoch", 5, "storage_resource:0"),
        ("storage_resource::split_by_size", 11 * MIB, "storage_resource:2"),
    ] {
        let mut tx = Tx::new();
        let storage = tx.owned(&chain, storage.id);
        let value = if call.ends_with("epoch") { tx.pure(&u32::try_from(value).unwrap()) } else { tx.pure(&value) };
        let part = tx.walrus(&chain, call, &[storage, value]);
        tx.transfer(&[part], wallet.address);
        assert_eq!(chain.fails(&wallet, tx).await, expected);
    }
}

#[tokio::test]
async fn pools_grow_shrink_and_expire() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let mut tx = Tx::new();
    let system = tx.system(&chain);
    let wal = tx.owned(&chain, wallet.wal);
    let encoded = encoded_size(1000, 10).unwrap();
    let (bytes, epochs) = (tx.pure(&encoded), tx.pure(&1u32));
    let pool = tx.walrus(&chain, "system::create_storage_pool", &[system, bytes, epochs, wal]);
    tx.transfer(&[pool], wallet.address);
    let pool = created(&chain.ok(&wallet, tx).await, "StoragePool");

    let with_pool = |path: &'static str, rest: &dyn Fn(&mut Tx) -> Vec<Argument>| {
        let mut tx = Tx::new();
        let mut args = vec![tx.system(&chain), tx.owned(&chain, pool)];
        args.extend(rest(&mut tx));
        let result = tx.walrus(&chain, path, &args);
        if path.contains("decrease") {
            tx.transfer(&[result], wallet.address);
        }
        tx
    };
    let registering = |blob: FakeBlob| {
        let (chain, wallet) = (&chain, &wallet);
        move |tx: &mut Tx| {
            vec![
                tx.pure(&blob.id),
                tx.pure(&blob.root),
                tx.pure(&blob.size),
                tx.pure(&1u8),
                tx.pure(&true),
                tx.owned(chain, wallet.wal),
            ]
        }
    };
    let paying = |amount: u64| {
        let (chain, wallet) = (&chain, &wallet);
        move |tx: &mut Tx| vec![tx.pure(&amount), tx.owned(chain, wallet.wal)]
    };
    let paying_epochs = |epochs: u32| {
        let (chain, wallet) = (&chain, &wallet);
        move |tx: &mut Tx| vec![tx.pure(&epochs), tx.owned(chain, wallet.wal)]
    };
    let (one, two) = (FakeBlob::new(1, 1000), FakeBlob::new(2, 1000));
    let register = "system::register_pooled_blob";
    chain.ok(&wallet, with_pool(register, &registering(one))).await;
    assert_eq!(chain.fails(&wallet, with_pool(register, &registering(two))).await, "storage_pool:6");
    let grow = "system::increase_storage_pool_capacity";
    assert_eq!(chain.fails(&wallet, with_pool(grow, &paying(0))).await, "system_state_inner:11");
    chain.ok(&wallet, with_pool(grow, &paying(2 * encoded))).await;
    assert_eq!(chain.fails(&wallet, with_pool(register, &registering(one))).await, "dynamic_field:0");
    let wrong = FakeBlob { size: 999, ..two };
    assert_eq!(chain.fails(&wallet, with_pool(register, &registering(wrong))).await, "storage_pool:3");
    chain.ok(&wallet, with_pool(register, &registering(two))).await;
    let shrink = "system::decrease_storage_pool_capacity_by_size";
    let by = |size: u64| move |tx: &mut Tx| vec![tx.pure(&size)];
    assert_eq!(chain.fails(&wallet, with_pool(shrink, &by(0))).await, "system:2");
    assert_eq!(chain.fails(&wallet, with_pool(shrink, &by(encoded + 1))).await, "storage_pool:6");
    chain.ok(&wallet, with_pool(shrink, &by(encoded))).await;
    let view = chain.chain.pool(pool).unwrap().unwrap();
    assert_eq!((view.capacity, view.used, view.blob_count, view.end_epoch), (2 * encoded, 2 * encoded, 2, 2));
    let delete = "system::delete_pooled_blob";
    let of = |blob: FakeBlob| move |tx: &mut Tx| vec![tx.pure(&blob.id)];
    let stored = chain.ok(&wallet, with_pool(delete, &of(one))).await;
    assert_eq!(events(&stored), ["PooledBlobDeleted"]);
    assert_eq!(chain.fails(&wallet, with_pool(delete, &of(one))).await, "dynamic_field:1");

    // Epoch 2: the pool has expired.
    assert_eq!(chain.chain.advance_epoch().await.unwrap(), 2);
    assert_eq!(chain.fails(&wallet, with_pool(register, &registering(one))).await, "system_state_inner:2");
    assert_eq!(chain.fails(&wallet, with_pool(delete, &of(two))).await, "system_state_inner:2");
    let extend = "system::extend_storage_pool";
    assert_eq!(chain.fails(&wallet, with_pool(extend, &paying_epochs(1))).await, "system_state_inner:2");
    chain.ok(&wallet, with_pool("system::burn_expired_pooled_blob", &of(two))).await;
    let mut tx = Tx::new();
    let pool = tx.owned(&chain, pool);
    let storage = tx.walrus(&chain, "storage_pool::destroy", &[pool]);
    tx.walrus(&chain, "storage_resource::destroy", &[storage]);
    chain.ok(&wallet, tx).await;
}

#[tokio::test]
async fn what_a_validator_refuses_changes_nothing() {
    let chain = TestChain::new();
    let (a, b) = (chain.wallet().await, chain.wallet().await);
    let simple = |wallet: &Wallet| {
        let mut tx = Tx::new();
        let split = tx.split(Argument::Gas, &[SUI]);
        tx.transfer(&[Argument::NestedResult(split, 0)], wallet.address);
        tx
    };
    let refused = |result: Result<_, Refused>, word: &str| match result {
        Err(Refused::Invalid(reason)) => assert!(reason.contains(word), "{reason}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{word} was not refused"),
    };
    let good = chain.build(&a, simple(&a));
    // The same bytes twice are one transaction.
    let first = chain.send(&a, good.clone()).await.unwrap();
    let again = chain.send(&a, good.clone()).await.unwrap();
    assert_eq!(first.effects, again.effects);
    assert_eq!(first.checkpoint, again.checkpoint);
    let balance = chain.balance(a.gas);

    // Other bytes on the same version of the coin are stale.
    let mut stale = good.clone();
    stale.gas_payment.budget += 1;
    refused(chain.send(&a, stale).await, "not available for consumption");
    let fresh = chain.build(&a, simple(&a));
    let signature = sui_crypto::SuiSigner::sign_transaction(&b.key, &fresh).unwrap();
    refused(chain.chain.execute(fresh.clone(), vec![signature]).await, "signature");
    let mut cheap = fresh.clone();
    cheap.gas_payment.price = 999;
    refused(chain.send(&a, cheap).await, "Gas price");
    let mut poor = fresh.clone();
    poor.gas_payment.budget = 60 * SUI;
    refused(chain.send(&a, poor).await, "budget");
    let mut lying = fresh.clone();
    let reference = &lying.gas_payment.objects[0];
    let other = chain.reference(b.gas);
    lying.gas_payment.objects[0] = ObjectReference::new(*reference.object_id(), reference.version(), *other.digest());
    refused(chain.send(&a, lying).await, "digest");
    let mut expired = fresh.clone();
    expired.expiration = chain.long_expired();
    refused(chain.send(&a, expired).await, "Expired");
    // Somebody else's coin as an input.
    let mut tx = Tx::new();
    let theirs = tx.owned(&chain, b.wal);
    tx.transfer(&[theirs], a.address);
    refused(chain.run(&a, tx).await, "owned by account address");
    assert_eq!(chain.balance(a.gas), balance, "a refusal costs nothing");

    // A failure inside costs gas and keeps everything else.
    let mut tx = Tx::new();
    let split = tx.split(Argument::Gas, &[5000 * SUI]);
    tx.transfer(&[Argument::NestedResult(split, 0)], b.address);
    assert_eq!(chain.fails(&a, tx).await, "InsufficientCoinBalance");
    assert!(chain.balance(a.gas) < balance);
    let mut tx = Tx::new();
    let wal = tx.owned(&chain, a.wal);
    let split = tx.split(wal, &[1]);
    let targ: TypeTag = chain.chain.ids().unwrap().wal_type.into();
    tx.framework("coin::destroy_zero", &[targ], &[Argument::NestedResult(split, 0)]);
    assert_eq!(chain.fails(&a, tx).await, "balance:0");
    assert_eq!(chain.balance(a.wal), 100 * WAL);
    assert_eq!(*chain.object(a.wal).unwrap().owner(), Owner::Address(a.address));
    let mut tx = Tx::new();
    let split = tx.split(Argument::Gas, &[1]);
    let list = tx.vector(None, vec![Argument::NestedResult(split, 0)]);
    let _ = list;
    let left = chain.fails(&a, tx).await;
    assert!(left.starts_with("UnusedValueWithoutDrop"), "{left}");
}

#[tokio::test]
async fn stake_earns_rewards_and_moves_shards() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let before = chain.chain.committee().unwrap();
    let node = before.members[3].node_id;

    let mut tx = Tx::new();
    let staking = tx.staking(&chain);
    let wal = tx.owned(&chain, wallet.wal);
    let split = tx.split(wal, &[10 * WAL]);
    let node_arg = tx.pure(&node);
    let args = [staking, Argument::NestedResult(split, 0), node_arg];
    let staked = tx.walrus(&chain, "staking::stake_with_pool", &args);
    tx.transfer(&[staked], wallet.address);
    let staked = created(&chain.ok(&wallet, tx).await, "StakedWal");
    for (amount, target, expected) in
        [(0, node, "staking_pool:7"), (WAL - 1, node, "staked_wal:7"), (WAL, Address::TWO, "staking_inner:8")]
    {
        let mut tx = Tx::new();
        let staking = tx.staking(&chain);
        let wal = tx.owned(&chain, wallet.wal);
        let split = tx.split(wal, &[amount]);
        let target = tx.pure(&target);
        let args = [staking, Argument::NestedResult(split, 0), target];
        let result = tx.walrus(&chain, "staking::stake_with_pool", &args);
        tx.transfer(&[result], wallet.address);
        assert_eq!(chain.fails(&wallet, tx).await, expected);
    }

    // Money for the nodes of this epoch.
    let mut tx = Tx::new();
    let storage = reserve(&chain, &wallet, &mut tx, 100 * MIB, 1);
    tx.transfer(&[storage], wallet.address);
    chain.ok(&wallet, tx).await;
    assert_eq!(chain.chain.begin_epoch().await.unwrap(), 2);
    let changed = chain.chain.committee().unwrap();
    assert_eq!(changed.phase, EpochPhase::Sync { weight: 0 });
    assert_eq!(changed.members, before.members, "ten WAL move no shard");
    chain.chain.epoch_sync_done(node, 2).await.unwrap();
    assert!(chain.chain.epoch_sync_done(node, 2).await.is_err(), "twice");
    for member in &changed.members[..3] {
        chain.chain.epoch_sync_done(member.node_id, 2).await.unwrap();
    }
    assert!(matches!(chain.chain.committee().unwrap().phase, EpochPhase::Done { .. }));

    // 97 % of 100 units at 100,000 FROST were shared by weight: 2 of 10 shards for this node, none for the new stake.
    let pool: walrus_client::wire::chain::StakingPool = chain.contents(node);
    assert_eq!(pool.rewards_pool, 10_000_000 * 97 / 100 * 2 / 10);
    let request = || {
        let mut tx = Tx::new();
        let (staking, staked) = (tx.staking(&chain), tx.owned(&chain, staked));
        tx.walrus(&chain, "staking::request_withdraw_stake", &[staking, staked]);
        tx
    };
    let withdraw = || {
        let mut tx = Tx::new();
        let (staking, staked) = (tx.staking(&chain), tx.owned(&chain, staked));
        let coin = tx.walrus(&chain, "staking::withdraw_stake", &[staking, staked]);
        tx.transfer(&[coin], wallet.address);
        tx
    };
    assert_eq!(chain.fails(&wallet, withdraw()).await, "staking_pool:10");
    chain.ok(&wallet, request()).await;
    assert_eq!(chain.fails(&wallet, request()).await, "staking_pool:8");
    assert_eq!(chain.fails(&wallet, withdraw()).await, "staking_pool:11");
    chain.chain.advance_epoch().await.unwrap();
    let coin = created(&chain.ok(&wallet, withdraw()).await, "Coin");
    assert!(chain.balance(coin) >= 10 * WAL - 1, "principal, to the last rounding");

    // Users cannot end an epoch before its time.
    let mut tx = Tx::new();
    let (staking, clock) = (tx.staking(&chain), tx.clock(&chain));
    tx.walrus(&chain, "staking::voting_end", &[staking, clock]);
    assert_eq!(chain.fails(&wallet, tx).await, "staking_inner:0");
    chain.chain.set_node_address(node, "127.0.0.1:9999").await.unwrap();
    let members = chain.chain.committee().unwrap().members;
    assert_eq!(members[3].network_address, "127.0.0.1:9999");
}
