//! Who may use what, and when: every call on an object of a user, by somebody else, at an old version, after its time, and on
//! contracts of another version.

use sui_sdk_types::{Address, Input, Object, ObjectData, TypeTag};
use walrus_client::wire::chain::{System, encoded_size};

use super::rules::{A, Row, Step, Table, call, certify, certify_pooled, keep, pooled, pure, registered, reserve};
use super::support::{FakeBlob, SUI, TestChain, WAL, Wallet};
use crate::chain::execute::Refused;

const MIB: u64 = 1 << 20;

/// One object of each kind, and every call that takes one.
struct Owned {
    rows: Vec<(&'static str, Step)>,
}

async fn everything(chain: &TestChain, wallet: &Wallet) -> Owned {
    let table = Table { chain, wallet };
    let node = chain.chain.committee().unwrap().members[0].node_id;
    let blobs: Vec<FakeBlob> = (1..4).map(|seed| FakeBlob::new(seed, 5000)).collect();
    let encoded = encoded_size(5000, 10).unwrap();
    let storage = table.make(&[reserve(2 * encoded, 3).kept()], "Storage").await;
    let other = table.make(&[reserve(2 * encoded, 3).kept()], "Storage").await;
    let bare = table.make(&registered(&blobs[0], 3, true), "Blob").await;
    let blob = table.make(&registered(&blobs[1], 3, true), "Blob").await;
    table.ok(&[certify(chain, blob, &blobs[1], true)]).await;
    let create = keep("system::create_storage_pool", [A::System, pure(4 * encoded), pure(3u32), A::Wal]);
    let pool = table.make(&[create], "StoragePool").await;
    table.ok(&[pooled(pool, &blobs[2], true)]).await;
    let object = chain.chain.registrations(&blobs[2].id.0).unwrap()[0].object_id;
    let staked =
        table.make(&[keep("staking::stake_with_pool", [A::Staking, A::Coin(4 * WAL), pure(node)])], "StakedWal").await;
    let second =
        table.make(&[keep("staking::stake_with_pool", [A::Staking, A::Coin(WAL), pure(node)])], "StakedWal").await;
    let register = |storage: Address| {
        let numbers = [pure(blobs[0].id), pure(blobs[0].root), pure(blobs[0].size), pure(1u8), pure(true), A::Wal];
        keep("system::register_blob", [&[A::System, A::Own(storage)], &numbers[..]].concat())
    };
    let text = |text: &str| pure(text);
    let in_pool = |path: &'static str, rest: &[A]| call(path, [&[A::System, A::Own(pool)], rest].concat());
    let of_pool = |path: &'static str, rest: &[A]| call(path, [&[A::Own(pool), pure(blobs[2].id)], rest].concat());
    let rows = vec![
        ("storage", call("storage_resource::split_by_epoch", [A::Own(storage), pure(2u32)]).kept()),
        ("storage", call("storage_resource::split_by_size", [A::Own(storage), pure(MIB)]).kept()),
        ("storage", call("storage_resource::fuse_amount", [A::Own(storage), A::Own(other)])),
        ("storage", call("storage_resource::fuse_periods", [A::Own(storage), A::Own(other)])),
        ("storage", call("storage_resource::fuse", [A::Own(storage), A::Own(other)])),
        ("storage", call("storage_resource::destroy", [A::Own(storage)])),
        ("system", register(storage)),
        ("system", keep("system::create_storage_pool_with_storage", [A::System, A::Own(storage)])),
        ("system", certify(chain, bare, &blobs[0], true)),
        ("system", call("system::extend_blob", [A::System, A::Own(blob), pure(1u32), A::Wal])),
        ("system", call("system::extend_blob_with_resource", [A::System, A::Own(blob), A::Own(storage)])),
        ("system", keep("system::delete_blob", [A::System, A::Own(blob)])),
        ("blob", call("blob::burn", [A::Own(blob)])),
        ("blob", call("blob::insert_or_update_metadata_pair", [A::Own(blob), text("a"), text("b")])),
        ("blob", call("blob::remove_metadata_pair_if_exists", [A::Own(blob), text("a")])),
        ("blob", call("shared_blob::new", [A::Own(blob)])),
        ("blob", call("shared_blob::new_funded", [A::Own(blob), A::Coin(1)])),
        ("system", pooled(pool, &blobs[0], true)),
        ("system", certify_pooled(chain, pool, object, &blobs[2])),
        ("system", in_pool("system::delete_pooled_blob", &[pure(blobs[2].id)])),
        ("system", in_pool("system::burn_expired_pooled_blob", &[pure(blobs[2].id)])),
        ("system", in_pool("system::extend_storage_pool", &[pure(1u32), A::Wal])),
        ("system", in_pool("system::increase_storage_pool_capacity", &[pure(MIB), A::Wal])),
        ("system", in_pool("system::increase_storage_pool_capacity_with_storage", &[A::Own(storage)])),
        ("system", in_pool("system::decrease_storage_pool_capacity_by_size", &[pure(MIB)]).kept()),
        ("system", in_pool("system::decrease_storage_pool_unused_capacity_by_percent", &[pure(10u8)]).kept()),
        ("pool", of_pool("storage_pool::insert_or_update_blob_metadata_pair", &[text("a"), text("b")])),
        ("pool", of_pool("storage_pool::take_blob_metadata", &[])),
        ("pool", keep("storage_pool::destroy", [A::Own(pool)])),
        ("staking", call("staking::request_withdraw_stake", [A::Staking, A::Own(staked)])),
        ("staking", keep("staking::withdraw_stake", [A::Staking, A::Own(staked)])),
        ("stake", keep("staked_wal::split", [A::Own(staked), pure(WAL)])),
        ("stake", call("staked_wal::join", [A::Own(staked), A::Own(second)])),
        ("coin", keep("staking::stake_with_pool", [A::Staking, A::Own(wallet.wal), pure(node)])),
    ];
    Owned { rows }
}

fn refusal<T>(result: Result<T, Refused>) -> String {
    match result {
        Err(Refused::Invalid(reason)) => reason,
        Err(other) => format!("{other:?}"),
        Ok(_) => "not refused".to_owned(),
    }
}

#[tokio::test]
async fn nobody_uses_what_is_somebody_elses() {
    let chain = TestChain::new();
    let (owner, stranger) = (chain.wallet().await, chain.wallet().await);
    let Owned { rows } = everything(&chain, &owner).await;
    let theirs = Table { chain: &chain, wallet: &stranger };
    let before = chain.balance(stranger.gas);
    for (_, step) in &rows {
        let refused = refusal(chain.run(&stranger, theirs.transaction(std::slice::from_ref(step))).await);
        assert!(refused.contains("owned by account address"), "{}: {refused}", step.path());
    }
    assert_eq!(chain.balance(stranger.gas), before, "a refusal costs nothing");
}

#[tokio::test]
async fn objects_are_used_at_their_version_and_transactions_in_their_time() {
    let chain = TestChain::new();
    let owner = chain.wallet().await;
    let Owned { rows } = everything(&chain, &owner).await;
    let table = Table { chain: &chain, wallet: &owner };
    let before = chain.balance(owner.gas);
    for (_, step) in &rows {
        for by in [-1i64, 1] {
            let mut tx = table.transaction(std::slice::from_ref(step));
            let Some(reference) = tx.inputs.iter_mut().find_map(|input| match input {
                Input::ImmutableOrOwned(reference) => Some(reference),
                _ => None,
            }) else {
                panic!("{} names no object", step.path())
            };
            let version = reference.version().checked_add_signed(by).unwrap();
            *reference = sui_sdk_types::ObjectReference::new(*reference.object_id(), version, *reference.digest());
            let refused = refusal(chain.run(&owner, tx).await);
            assert!(refused.contains("not available for consumption"), "{} {by}: {refused}", step.path());
        }
        let mut late = chain.build(&owner, table.transaction(std::slice::from_ref(step)));
        late.expiration = chain.long_expired();
        let refused = refusal(chain.send(&owner, late).await);
        assert!(refused.contains("Expired"), "{}: {refused}", step.path());
    }
    assert_eq!(chain.balance(owner.gas), before, "a refusal costs nothing");
}

/// Sets the version that an object says its contracts have.
fn upgrade(chain: &TestChain, id: Address) {
    let object = chain.object(id).unwrap();
    let shape = object.as_struct().unwrap();
    let mut contents = shape.contents().to_vec();
    contents[32..40].copy_from_slice(&4u64.to_le_bytes());
    let data = sui_sdk_types::MoveStruct::new(
        shape.object_type().clone(),
        shape.has_public_transfer(),
        shape.version(),
        contents,
    );
    let changed = Object::new(
        ObjectData::Struct(data.unwrap()),
        *object.owner(),
        object.previous_transaction(),
        object.storage_rebate(),
    );
    chain.chain.replace_object(&changed);
}

#[tokio::test]
async fn contracts_of_another_version_refuse_every_call() {
    let chain = TestChain::new();
    let owner = chain.wallet().await;
    let Owned { rows } = everything(&chain, &owner).await;
    let ids = chain.chain.ids().unwrap();
    let table = Table { chain: &chain, wallet: &owner };
    let blob = FakeBlob::new(9, 100);
    let mut free = vec![
        ("system", reserve(MIB, 1).kept()),
        ("system", keep("system::reserve_space_for_epochs", [A::System, pure(MIB), pure(1u32), pure(2u32), A::Wal])),
        ("system", keep("system::create_storage_pool", [A::System, pure(MIB), pure(1u32), A::Wal])),
        ("staking", keep("staking::stake_with_pool", [A::Staking, A::Coin(WAL), pure(Address::TWO)])),
        ("staking", call("staking::update_prices", [A::Staking, A::System])),
        ("staking", call("staking::voting_end", [A::Staking, A::Clock])),
    ];
    free.extend(rows);
    upgrade(&chain, ids.system_object);
    assert_eq!(chain.contents::<System>(ids.system_object).version, 4);
    let of = |kind: &str| -> Vec<Step> {
        free.iter().filter(|(found, _)| *found == kind).map(|(_, step)| step.clone()).collect()
    };
    let rows: Vec<Row> = of("system").into_iter().map(|step| ("system:1", vec![step])).collect();
    assert!(rows.len() > 15);
    table.check(rows).await;
    table.check(vec![("system:1", registered(&blob, 1, true))]).await;
    upgrade(&chain, ids.staking_object);
    let rows: Vec<Row> = of("staking").into_iter().map(|step| ("staking:1", vec![step])).collect();
    assert!(rows.len() >= 5);
    table.check(rows).await;
    // What is the wallet's own stays usable.
    let wal: TypeTag = ids.wal_type.into();
    table.check(vec![("ok", vec![call("coin::destroy_zero", [A::Coin(0)]).of(wal)])]).await;
    assert!(chain.balance(owner.gas) > 900 * SUI);
}
