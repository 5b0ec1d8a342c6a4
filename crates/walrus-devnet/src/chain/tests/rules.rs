//! The rules of user calls as tables: a row is a transaction and what becomes of it. After a row that fails, everything but gas
//! is as it was.

use sui_sdk_types::{Address, Argument, Owner, StructTag, TypeTag};
use walrus_client::wire::chain::{
    Blob, Exchange, Field, Metadata, SharedBlob, Storage, SystemStateInnerV1, U256, VecMap, encoded_size, units,
};
use walrus_client::wire::message::{Persistence, StorageConfirmation, invalid_blob_id_message};

use super::support::{FakeBlob, SUI, TestChain, Tx, WAL, Wallet, certificate, created, events, failure, sign};
use crate::chain::store::StoredTransaction;

const MIB: u64 = 1 << 20;
/// FROST for a unit of storage in one epoch, and for writing a unit.
const STORAGE_PRICE: u64 = 100_000;
const WRITE_PRICE: u64 = 20_000;

/// One argument.
#[derive(Clone)]
pub(super) enum A {
    System,
    Staking,
    Clock,
    /// The wallet's WAL, borrowed.
    Wal,
    /// A new coin out of the wallet's WAL.
    Coin(u64),
    /// A new coin out of the wallet's SUI.
    Sui(u64),
    /// The gas coin, borrowed.
    Gas,
    /// An object of the wallet.
    Own(Address),
    Shared(Address),
    /// The result of an earlier step of the row.
    Step(usize),
    Pure(Vec<u8>),
}

pub(super) fn pure<T: serde::Serialize>(value: T) -> A {
    A::Pure(bcs::to_bytes(&value).unwrap())
}

/// One Move call of a row.
#[derive(Clone)]
pub(super) struct Step {
    path: &'static str,
    types: Vec<TypeTag>,
    args: Vec<A>,
    /// The sender keeps what it returns.
    keep: bool,
}

impl Step {
    /// The same, and the sender keeps what it returns.
    pub(super) fn kept(self) -> Self {
        Self { keep: true, ..self }
    }

    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    /// The same with a type argument.
    pub(super) fn of(self, tag: TypeTag) -> Self {
        Self { types: vec![tag], ..self }
    }
}

pub(super) fn call(path: &'static str, args: impl Into<Vec<A>>) -> Step {
    Step { path, types: Vec::new(), args: args.into(), keep: false }
}

pub(super) fn keep(path: &'static str, args: impl Into<Vec<A>>) -> Step {
    call(path, args).kept()
}

pub(super) type Row = (&'static str, Vec<Step>);

pub(super) struct Table<'c> {
    pub(super) chain: &'c TestChain,
    pub(super) wallet: &'c Wallet,
}

impl Table<'_> {
    pub(super) fn transaction(&self, steps: &[Step]) -> Tx {
        let (chain, ids) = (self.chain, self.chain.chain.ids().unwrap());
        let mut tx = Tx::new();
        let mut results = Vec::new();
        for step in steps {
            let args: Vec<Argument> = step.args.iter().map(|arg| self.argument(&mut tx, &results, arg)).collect();
            let package = match step.path.split_once("::").unwrap().0 {
                "wal_exchange" => {
                    *chain.object(ids.exchange_object).unwrap().as_struct().unwrap().object_type().address()
                }
                "coin" => Address::TWO,
                "wal" => ids.wal_package,
                _ => ids.walrus_package,
            };
            let result = Argument::Result(tx.call(package, step.path, &step.types, &args));
            results.push(result);
            if step.keep {
                tx.transfer(&[result], self.wallet.address);
            }
        }
        tx
    }

    fn argument(&self, tx: &mut Tx, results: &[Argument], arg: &A) -> Argument {
        let chain = self.chain;
        match arg {
            A::System => tx.system(chain),
            A::Staking => tx.staking(chain),
            A::Clock => tx.clock(chain),
            A::Wal => tx.owned(chain, self.wallet.wal),
            A::Coin(amount) => {
                let wal = tx.owned(chain, self.wallet.wal);
                Argument::NestedResult(tx.split(wal, &[*amount]), 0)
            }
            A::Sui(amount) => Argument::NestedResult(tx.split(Argument::Gas, &[*amount]), 0),
            A::Gas => Argument::Gas,
            A::Own(id) => tx.owned(chain, *id),
            A::Shared(id) => tx.shared(chain, *id, true),
            A::Step(index) => results[*index],
            A::Pure(bytes) => {
                tx.inputs.push(sui_sdk_types::Input::Pure(bytes.clone()));
                Argument::Input(tx.inputs.len() as u16 - 1)
            }
        }
    }

    /// The one event of a transaction: its type, who emitted it, its fields. Tuples have the BCS of structs with the same
    /// fields, so what a test writes down is the layout itself.
    pub(super) fn emitted(&self, stored: &StoredTransaction, name: &str, fields: &[u8]) {
        let package = self.chain.chain.ids().unwrap().walrus_package;
        let [event] = stored.events.as_slice() else { panic!("{name}: {:?}", events(stored)) };
        assert_eq!(
            event.type_.to_string().parse::<StructTag>().unwrap(),
            format!("{package}::events::{name}").parse().unwrap()
        );
        assert_eq!((event.package_id, event.sender), (package, self.wallet.address), "{name}");
        assert_eq!(event.contents, fields, "{name}");
    }

    /// What the System holds now.
    pub(super) fn state(&self) -> SystemStateInnerV1 {
        bcs::from_bytes::<Field<u64, SystemStateInnerV1>>(&self.system()).unwrap().value
    }

    async fn run(&self, steps: &[Step]) -> StoredTransaction {
        self.chain.run(self.wallet, self.transaction(steps)).await.unwrap()
    }

    /// Runs a row that must succeed.
    pub(super) async fn ok(&self, steps: &[Step]) -> StoredTransaction {
        self.chain.ok(self.wallet, self.transaction(steps)).await
    }

    /// Runs rows in order. `ok` and the names of the events in order is a success, anything else how an error begins.
    pub(super) async fn check(&self, rows: Vec<Row>) {
        for (index, (expected, steps)) in rows.into_iter().enumerate() {
            let what = format!("row {index}, {}", steps.last().unwrap().path);
            let before = (self.chain.balance(self.wallet.wal), self.system());
            let stored = self.run(&steps).await;
            match expected.strip_prefix("ok") {
                Some(names) => {
                    assert_eq!(failure(&stored), "success", "{what}");
                    assert_eq!(events(&stored), names.split_whitespace().collect::<Vec<_>>(), "{what}");
                }
                None => {
                    let found = failure(&stored);
                    assert!(found.starts_with(expected), "{what}: {found}, not {expected}");
                    assert!(stored.events.is_empty(), "{what}: events of a failure");
                    assert_eq!(
                        (self.chain.balance(self.wallet.wal), self.system()),
                        before,
                        "{what}: a failure changed it"
                    );
                }
            }
        }
    }

    /// The System's inner state, as bytes.
    fn system(&self) -> Vec<u8> {
        let system = self.chain.chain.ids().unwrap().system_object;
        let field = walrus_client::wire::chain::versioned_field_id(&system, 3);
        self.chain.object(field).unwrap().as_struct().unwrap().contents().to_vec()
    }

    /// Keeps one object that the steps make.
    pub(super) async fn make(&self, steps: &[Step], name: &str) -> Address {
        created(&self.ok(steps).await, name)
    }

    async fn storage(&self, size: u64, epochs: u32) -> Address {
        self.make(&[reserve(size, epochs).kept()], "Storage").await
    }

    async fn blob(&self, blob: &FakeBlob, epochs: u32, deletable: bool) -> Address {
        self.make(&registered(blob, epochs, deletable), "Blob").await
    }

    async fn certified(&self, blob: &FakeBlob, epochs: u32, deletable: bool) -> Address {
        let object = self.blob(blob, epochs, deletable).await;
        self.ok(&[certify(self.chain, object, blob, deletable)]).await;
        object
    }
}

pub(super) fn reserve(size: u64, epochs: u32) -> Step {
    call("system::reserve_space", [A::System, pure(size), pure(epochs), A::Wal])
}

/// `register_blob` on storage; the sender keeps the blob.
fn register(storage: A, blob: &FakeBlob, deletable: bool) -> Step {
    let args =
        [A::System, storage, pure(blob.id), pure(blob.root), pure(blob.size), pure(1u8), pure(deletable), A::Wal];
    keep("system::register_blob", args)
}

pub(super) fn registered(blob: &FakeBlob, epochs: u32, deletable: bool) -> Vec<Step> {
    vec![reserve(encoded_size(blob.size, 10).unwrap(), epochs), register(A::Step(0), blob, deletable)]
}

fn signed(chain: &TestChain, blob: U256, persistence: Persistence) -> [A; 3] {
    let epoch = chain.chain.epoch().unwrap();
    let made = certificate(chain, epoch, blob, persistence, &[0, 1, 3]);
    [pure(made.signature.to_vec()), pure(made.bitmap()), pure(&made.message)]
}

pub(super) fn certify(chain: &TestChain, object: Address, blob: &FakeBlob, deletable: bool) -> Step {
    let persistence = if deletable { Persistence::Deletable(object) } else { Persistence::Permanent };
    call("system::certify_blob", [&[A::System, A::Own(object)], &signed(chain, blob.id, persistence)[..]].concat())
}

#[tokio::test]
async fn reservations() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let reserve = |size: u64, epochs: u32| vec![reserve(size, epochs).kept()];
    let between = |size: u64, from: u32, to: u32| {
        let args = [A::System, pure(size), pure(from), pure(to), A::Wal];
        vec![keep("system::reserve_space_for_epochs", args)]
    };
    table
        .check(vec![
            ("ok", reserve(1, 1)),
            ("ok", reserve(MIB + 1, 53)),
            ("system_state_inner:2", reserve(MIB, 0)),
            ("system_state_inner:2", reserve(MIB, 54)),
            ("system_state_inner:2", reserve(MIB, u32::MAX)),
            ("system_state_inner:11", reserve(0, 1)),
            ("balance:2", reserve(u64::MAX, 1)),
            ("balance:2", reserve(u64::MAX, 53)),
            ("ok", between(MIB, 0, 2)),
            ("ok", between(MIB, 3, 54)),
            ("system_state_inner:2", between(MIB, 3, 55)),
            ("system_state_inner:2", between(MIB, 3, u32::MAX)),
            ("system_state_inner:2", between(MIB, 3, 3)),
            ("system_state_inner:2", between(MIB, 5, 3)),
            ("system_state_inner:2", between(MIB, 0, 1)),
            ("system_state_inner:2", between(MIB, u32::MAX, u32::MAX)),
            ("system_state_inner:11", between(0, 1, 2)),
            ("balance:2", between(u64::MAX, 1, 2)),
        ])
        .await;
    // What was bought costs units times epochs, and begins no earlier than now.
    for (steps, cost, interval) in [
        (reserve(1, 1), STORAGE_PRICE, (1, 2)),
        (reserve(MIB, 3), 3 * STORAGE_PRICE, (1, 4)),
        (reserve(MIB + 1, 3), 6 * STORAGE_PRICE, (1, 4)),
        (between(MIB, 0, 3), 2 * STORAGE_PRICE, (1, 3)),
        (between(MIB, 10, 14), 4 * STORAGE_PRICE, (10, 14)),
    ] {
        let before = chain.balance(wallet.wal);
        let storage: Storage = chain.contents(table.make(&steps, "Storage").await);
        assert_eq!(before - chain.balance(wallet.wal), cost);
        assert_eq!((storage.start_epoch, storage.end_epoch), interval);
    }

    let (a, b) = (table.storage(4 * MIB, 4).await, table.storage(4 * MIB, 4).await);
    let (short, small) = (table.storage(4 * MIB, 2).await, table.storage(MIB, 4).await);
    let later = table.make(&between(4 * MIB, 5, 9), "Storage").await;
    let far = table.make(&between(4 * MIB, 7, 9), "Storage").await;
    let join = |how: &'static str, into: Address, other: Address| vec![call(how, [A::Own(into), A::Own(other)])];
    let (periods, amount) = ("storage_resource::fuse_periods", "storage_resource::fuse_amount");
    let fuse = "storage_resource::fuse";
    let by_epoch = |at: u32| vec![keep("storage_resource::split_by_epoch", [A::Own(a), pure(at)])];
    let by_size = |size: u64| vec![keep("storage_resource::split_by_size", [A::Own(a), pure(size)])];
    table
        .check(vec![
            ("storage_resource:1", join(amount, a, short)),
            ("storage_resource:1", join(fuse, a, short)),
            ("storage_resource:2", join(periods, a, small)),
            ("storage_resource:1", join(periods, a, far)),
            ("storage_resource:1", join(periods, a, b)),
            ("storage_resource:1", join(fuse, a, far)),
            ("storage_resource:0", by_epoch(0)),
            ("storage_resource:0", by_epoch(1)),
            ("storage_resource:0", by_epoch(5)),
            ("storage_resource:0", by_epoch(u32::MAX)),
            ("storage_resource:2", by_size(4 * MIB + 1)),
            ("storage_resource:2", by_size(u64::MAX)),
            ("ok", by_size(4 * MIB)),
            ("ok", by_size(0)),
            ("ok", join(amount, b, small)),
            ("ok", vec![call("storage_resource::destroy", [A::Own(b)])]),
        ])
        .await;
    assert_eq!(chain.contents::<Storage>(a).storage_size, 0, "a part of size zero is allowed");
    let whole = table.storage(4 * MIB, 4).await;
    // Adjacent periods join from either side.
    table.check(vec![("ok", join(fuse, later, whole))]).await;
    let joined: Storage = chain.contents(later);
    assert_eq!((joined.start_epoch, joined.end_epoch, joined.storage_size), (1, 9, 4 * MIB));
    assert!(chain.object(whole).is_none());
}

#[tokio::test]
async fn blobs_and_their_storage() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let blob = FakeBlob::new(1, 5000);
    let encoded = encoded_size(blob.size, 10).unwrap();
    let later = {
        let args = [A::System, pure(encoded), pure(2u32), pure(4u32), A::Wal];
        table.make(&[keep("system::reserve_space_for_epochs", args)], "Storage").await
    };
    let small = table.storage(encoded - 1, 2).await;
    let good = table.storage(encoded, 2).await;
    let short = table.storage(encoded, 1).await;
    let huge = FakeBlob::new(9, u64::MAX);
    table
        .check(vec![
            ("blob:2", vec![register(A::Own(later), &blob, true)]),
            ("blob:3", vec![register(A::Own(small), &blob, true)]),
            ("blob:6", vec![register(A::Own(good), &FakeBlob { size: 4999, ..blob }, true)]),
            ("blob:6", vec![register(A::Own(good), &FakeBlob { root: U256([8; 32]), ..blob }, true)]),
            ("MovePrimitiveRuntimeError", vec![register(A::Own(good), &huge, true)]),
            ("ok BlobRegistered", vec![register(A::Own(good), &blob, true)]),
        ])
        .await;
    let unpaid = vec![
        call("system::reserve_space", [A::System, pure(encoded), pure(1u32), A::Wal]),
        keep(
            "system::register_blob",
            [A::System, A::Step(0), pure(blob.id), pure(blob.root), pure(blob.size), pure(1u8), pure(true), A::Coin(0)],
        ),
    ];
    table.check(vec![("balance:2", unpaid)]).await;

    let bare = table.blob(&blob, 2, true).await;
    let object = table.certified(&blob, 2, true).await;
    let permanent = table.certified(&blob, 2, false).await;
    let extend = |object: Address, epochs: u32| {
        vec![call("system::extend_blob", [A::System, A::Own(object), pure(epochs), A::Wal])]
    };
    let with = |object: Address, storage: A| {
        vec![call("system::extend_blob_with_resource", [A::System, A::Own(object), storage])]
    };
    let after = |size: u64, from: u32, to: u32, object: Address| {
        let args = [A::System, pure(size), pure(from), pure(to), A::Wal];
        let mut steps = vec![call("system::reserve_space_for_epochs", args)];
        steps.extend(with(object, A::Step(0)));
        steps
    };
    let delete = |object: Address| vec![keep("system::delete_blob", [A::System, A::Own(object)])];
    table
        .check(vec![
            ("blob:0", extend(bare, 1)),
            ("system_state_inner:2", extend(object, 0)),
            ("system_state_inner:2", extend(object, 52)),
            ("MovePrimitiveRuntimeError", extend(object, u32::MAX)),
            ("ok BlobCertified", extend(object, 51)),
            ("system_state_inner:2", extend(object, 1)),
            ("blob:0", after(encoded, 3, 5, bare)),
            ("blob:2", with(permanent, A::Own(short))),
            ("storage_resource:2", after(encoded - 1, 3, 5, permanent)),
            ("storage_resource:1", after(encoded, 4, 5, permanent)),
            ("ok BlobCertified", after(encoded, 3, 5, permanent)),
            ("blob:1", delete(permanent)),
            ("ok BlobDeleted", delete(bare)),
        ])
        .await;
    assert_eq!(chain.contents::<Blob>(permanent).storage.end_epoch, 5);

    // After the end: nothing but burning is left.
    let ended = table.certified(&blob, 1, true).await;
    let never = table.blob(&blob, 1, true).await;
    chain.chain.advance_epoch().await.unwrap();
    table
        .check(vec![
            ("blob:2", extend(ended, 1)),
            ("blob:2", after(encoded, 2, 5, ended)),
            ("blob:2", delete(ended)),
            ("blob:2", vec![certify(&chain, never, &blob, true)]),
            ("blob:2", vec![register(A::Own(short), &blob, true)]),
            ("ok", vec![call("blob::burn", [A::Own(ended)])]),
            ("ok", vec![call("blob::burn", [A::Own(permanent)])]),
        ])
        .await;
    // The storage that began later is good now.
    table.check(vec![("ok BlobRegistered", vec![register(A::Own(later), &blob, true)])]).await;
}

#[tokio::test]
async fn events_have_the_layouts_of_the_contracts() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let blob = FakeBlob::new(3, 5000);
    let encoded = encoded_size(blob.size, 10).unwrap();
    let emitted = |stored: &StoredTransaction, name: &str, fields: Vec<u8>| table.emitted(stored, name, &fields);
    let stored = table.ok(&registered(&blob, 2, true)).await;
    let id = created(&stored, "Blob");
    emitted(&stored, "BlobRegistered", bcs::to_bytes(&(1u32, blob.id, blob.size, 1u8, 3u32, true, id)).unwrap());
    let stored = table.ok(&[certify(&chain, id, &blob, true)]).await;
    emitted(&stored, "BlobCertified", bcs::to_bytes(&(1u32, blob.id, 3u32, true, id, false)).unwrap());
    chain.chain.advance_epoch().await.unwrap();
    let extend = call("system::extend_blob", [A::System, A::Own(id), pure(2u32), A::Wal]);
    let stored = table.ok(&[extend]).await;
    // The epoch is that of the first certification.
    emitted(&stored, "BlobCertified", bcs::to_bytes(&(1u32, blob.id, 5u32, true, id, true)).unwrap());
    let stored = table.ok(&[keep("system::delete_blob", [A::System, A::Own(id)])]).await;
    emitted(&stored, "BlobDeleted", bcs::to_bytes(&(2u32, blob.id, 5u32, id, true)).unwrap());

    let create = keep("system::create_storage_pool", [A::System, pure(2 * encoded), pure(3u32), A::Wal]);
    let stored = table.ok(&[create]).await;
    let pool = created(&stored, "StoragePool");
    emitted(&stored, "StoragePoolCreated", bcs::to_bytes(&(2u32, pool, 2 * encoded, 2u32, 5u32)).unwrap());
    let stored = table.ok(&[pooled(pool, &blob, true)]).await;
    let id = created(&stored, "PooledBlob");
    let fields = (2u32, blob.id, blob.size, 1u8, true, id, pool);
    emitted(&stored, "PooledBlobRegistered", bcs::to_bytes(&fields).unwrap());
    let stored = table.ok(&[certify_pooled(&chain, pool, id, &blob)]).await;
    emitted(&stored, "PooledBlobCertified", bcs::to_bytes(&(2u32, blob.id, true, id, pool)).unwrap());
    let delete = call("system::delete_pooled_blob", [A::System, A::Own(pool), pure(blob.id)]);
    let stored = table.ok(&[delete]).await;
    emitted(&stored, "PooledBlobDeleted", bcs::to_bytes(&(2u32, blob.id, id, true, pool)).unwrap());
    let extend = call("system::extend_storage_pool", [A::System, A::Own(pool), pure(4u32), A::Wal]);
    let stored = table.ok(&[extend]).await;
    emitted(&stored, "StoragePoolExtended", bcs::to_bytes(&(2u32, pool, 9u32)).unwrap());
    let stored = table.ok(&[call("staking::update_prices", [A::Staking, A::System])]).await;
    emitted(&stored, "PricesUpdated", bcs::to_bytes(&(2u32, STORAGE_PRICE, WRITE_PRICE)).unwrap());
}

pub(super) fn pooled(pool: Address, blob: &FakeBlob, deletable: bool) -> Step {
    let numbers = [pure(blob.id), pure(blob.root), pure(blob.size), pure(1u8), pure(deletable), A::Wal];
    call("system::register_pooled_blob", [&[A::System, A::Own(pool)], &numbers[..]].concat())
}

pub(super) fn certify_pooled(chain: &TestChain, pool: Address, object: Address, blob: &FakeBlob) -> Step {
    let signed = signed(chain, blob.id, Persistence::Deletable(object));
    call("system::certify_pooled_blob", [&[A::System, A::Own(pool), pure(blob.id)], &signed[..]].concat())
}

#[tokio::test]
async fn pools() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let (blob, other) = (FakeBlob::new(1, 5000), FakeBlob::new(2, 5000));
    let encoded = encoded_size(blob.size, 10).unwrap();
    let create = |size: u64, epochs: u32| {
        vec![keep("system::create_storage_pool", [A::System, pure(size), pure(epochs), A::Wal])]
    };
    let from = |storage: Address| vec![keep("system::create_storage_pool_with_storage", [A::System, A::Own(storage)])];
    let later = {
        let args = [A::System, pure(encoded), pure(2u32), pure(4u32), A::Wal];
        table.make(&[keep("system::reserve_space_for_epochs", args)], "Storage").await
    };
    let (good, spare, long) =
        (table.storage(4 * encoded, 2).await, table.storage(encoded, 2).await, table.storage(encoded, 3).await);
    table
        .check(vec![
            ("system_state_inner:2", create(MIB, 0)),
            ("system_state_inner:2", create(MIB, 54)),
            ("system_state_inner:11", create(0, 1)),
            ("balance:2", create(u64::MAX, 1)),
            ("system_state_inner:2", from(later)),
        ])
        .await;
    let pool = table.make(&from(good), "StoragePool").await;
    let own = A::Own(pool);
    let with = |path: &'static str, rest: Vec<A>| vec![call(path, [&[A::System, A::Own(pool)], &rest[..]].concat())];
    let kept = |path: &'static str, rest: Vec<A>| vec![keep(path, [&[A::System, A::Own(pool)], &rest[..]].concat())];
    let add = |storage: Address| with("system::increase_storage_pool_capacity_with_storage", vec![A::Own(storage)]);
    let percent = |percent: u8| kept("system::decrease_storage_pool_unused_capacity_by_percent", vec![pure(percent)]);
    let extend = |epochs: u32| with("system::extend_storage_pool", vec![pure(epochs), A::Wal]);
    let grow = |bytes: u64| with("system::increase_storage_pool_capacity", vec![pure(bytes), A::Wal]);
    let delete = |blob: &FakeBlob| with("system::delete_pooled_blob", vec![pure(blob.id)]);
    let burn = |blob: &FakeBlob| with("system::burn_expired_pooled_blob", vec![pure(blob.id)]);
    let destroy = vec![keep("storage_pool::destroy", [own.clone()])];
    let huge = FakeBlob::new(9, u64::MAX);
    table
        .check(vec![
            ("ok PooledBlobRegistered", vec![pooled(pool, &blob, true)]),
            ("ok PooledBlobRegistered", vec![pooled(pool, &other, false)]),
            ("MovePrimitiveRuntimeError", vec![pooled(pool, &huge, true)]),
            ("storage_pool:11", add(long)),
            ("storage_pool:1", add(later)),
            ("ok", add(spare)),
            ("balance:2", grow(u64::MAX)),
            ("system_state_inner:2", extend(0)),
            ("system_state_inner:2", extend(52)),
            ("MovePrimitiveRuntimeError", extend(u32::MAX)),
            ("storage_pool:14", percent(101)),
            ("system:2", percent(0)),
            ("ok", percent(50)),
            ("storage_pool:0", delete(&other)),
            ("dynamic_field:1", delete(&FakeBlob::new(3, 5000))),
            ("system_state_inner:2", burn(&blob)),
            ("storage_pool:7", destroy.clone()),
        ])
        .await;
    // Five parts, two used, half of the rest taken out.
    let view = chain.chain.pool(pool).unwrap().unwrap();
    assert_eq!((view.capacity, view.used, view.blob_count), (5 * encoded - 3 * encoded / 2, 2 * encoded, 2));

    let object = chain.chain.registrations(&blob.id.0).unwrap()[0].object_id;
    let certifying = |persistence: Persistence, of: &FakeBlob| {
        let signed = signed(&chain, blob.id, persistence);
        vec![call("system::certify_pooled_blob", [&[A::System, A::Own(pool), pure(of.id)], &signed[..]].concat())]
    };
    let (right, wrong) = (Persistence::Deletable(object), Persistence::Deletable(Address::TWO));
    table
        .check(vec![
            ("dynamic_field:1", certifying(right, &FakeBlob::new(3, 5000))),
            ("storage_pool:3", certifying(right, &other)),
            ("storage_pool:4", certifying(Persistence::Permanent, &blob)),
            ("storage_pool:5", certifying(wrong, &blob)),
            ("ok PooledBlobCertified", certifying(right, &blob)),
            ("storage_pool:2", certifying(right, &blob)),
        ])
        .await;

    // Attributes of a blob in a pool have codes of their own.
    let pair = |path: &'static str, texts: &[&str]| {
        let mut args = vec![A::Own(pool), pure(blob.id)];
        args.extend(texts.iter().map(pure));
        vec![call(path, args)]
    };
    let map =
        |path: &'static str| vec![call("metadata::new", []), call(path, [A::Own(pool), pure(blob.id), A::Step(0)])];
    table
        .check(vec![
            ("storage_pool:13", pair("storage_pool::remove_blob_metadata_pair", &["a"])),
            ("ok", pair("storage_pool::insert_or_update_blob_metadata_pair", &["a", "1"])),
            ("vec_map:1", pair("storage_pool::remove_blob_metadata_pair", &["b"])),
            ("ok", pair("storage_pool::remove_blob_metadata_pair_if_exists", &["b"])),
            ("ok", pair("storage_pool::take_blob_metadata", &[])),
            ("storage_pool:13", pair("storage_pool::take_blob_metadata", &[])),
            ("ok", map("storage_pool::add_blob_metadata")),
            ("storage_pool:12", map("storage_pool::add_blob_metadata")),
            ("ok", map("storage_pool::add_or_replace_blob_metadata")),
        ])
        .await;
    chain.chain.advance_epoch().await.unwrap();
    chain.chain.advance_epoch().await.unwrap();
    table
        .check(vec![
            ("system_state_inner:2", vec![pooled(pool, &FakeBlob::new(4, 100), true)]),
            ("system_state_inner:2", grow(MIB)),
            ("system_state_inner:2", add(long)),
            ("system_state_inner:2", percent(50)),
            ("system_state_inner:2", delete(&blob)),
            ("ok", burn(&blob)),
            ("ok", burn(&other)),
            ("ok", destroy),
        ])
        .await;
}

#[tokio::test]
async fn attributes_and_shared_blobs() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let blob = FakeBlob::new(1, 5000);
    let object = table.certified(&blob, 2, true).await;
    let set = |path: &'static str, pairs: &[(&str, &str)]| {
        let mut steps = vec![call("metadata::new", [])];
        let insert =
            |(key, value): &(&str, &str)| call("metadata::insert_or_update", [A::Step(0), pure(key), pure(value)]);
        steps.extend(pairs.iter().map(insert));
        steps.push(call(path, [A::Own(object), A::Step(0)]));
        steps
    };
    let pair = |path: &'static str, texts: &[&str]| {
        let mut args = vec![A::Own(object)];
        args.extend(texts.iter().map(pure));
        vec![call(path, args)]
    };
    table
        .check(vec![
            ("blob:8", pair("blob::take_metadata", &[])),
            ("ok", pair("blob::remove_metadata_pair_if_exists", &["a"])),
            ("ok", set("blob::add_metadata", &[("a", "1"), ("b", "2"), ("a", "3")])),
            ("blob:7", set("blob::add_metadata", &[])),
            ("ok", set("blob::add_or_replace_metadata", &[("c", "4")])),
            ("vec_map:1", pair("blob::remove_metadata_pair", &["a"])),
            ("ok", pair("blob::insert_or_update_metadata_pair", &["", "empty"])),
            ("ok", pair("blob::remove_metadata_pair", &["c"])),
        ])
        .await;
    let field = walrus_client::wire::chain::attributes_field_id(&object);
    let raw = chain.object(field).unwrap().as_struct().unwrap().contents().to_vec();
    let expected = Metadata { metadata: VecMap { contents: vec![(String::new(), "empty".to_owned())] } };
    assert_eq!(bcs::from_bytes::<Metadata>(&raw[32 + 9..]).unwrap(), expected);
    let not_text =
        vec![call("blob::insert_or_update_metadata_pair", [A::Own(object), A::Pure(vec![1, 0xff]), pure("x")])];
    table.check(vec![("CommandArgumentError", not_text)]).await;

    // Shared, a blob is extended from its funds by anybody.
    let funded = vec![call("shared_blob::new_funded", [A::Own(object), A::Coin(WAL)])];
    let shared = table.make(&funded, "SharedBlob").await;
    assert!(matches!(chain.object(shared).unwrap().owner(), Owner::Shared(_)));
    let stranger = chain.wallet().await;
    let anybody = Table { chain: &chain, wallet: &stranger };
    let extend = |epochs: u32| vec![call("shared_blob::extend", [A::Shared(shared), A::System, pure(epochs)])];
    anybody
        .check(vec![
            ("system_state_inner:2", extend(0)),
            ("system_state_inner:2", extend(52)),
            ("ok BlobCertified", extend(2)),
            ("ok", vec![call("shared_blob::fund", [A::Shared(shared), A::Coin(7)])]),
        ])
        .await;
    let cost = 2 * STORAGE_PRICE * units(encoded_size(blob.size, 10).unwrap());
    let state: SharedBlob = chain.contents(shared);
    assert_eq!((state.funds, state.blob.storage.end_epoch, state.blob.id), (WAL + 7 - cost, 5, object));
    let poor = table.certified(&FakeBlob::new(2, 5000), 2, true).await;
    let poor = table.make(&[call("shared_blob::new", [A::Own(poor)])], "SharedBlob").await;
    let extend = vec![call("shared_blob::extend", [A::Shared(poor), A::System, pure(1u32)])];
    anybody.check(vec![("balance:2", extend)]).await;
}

#[tokio::test]
async fn the_exchange() {
    let chain = TestChain::with({
        let mut config = super::support::config(&[3, 3, 2, 2]);
        // The wallet's 100 WAL come out of it, and leave 100 SUI there.
        config.exchange_frost = 105 * WAL;
        config
    });
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let exchange = A::Shared(chain.chain.ids().unwrap().exchange_object);
    let all = |path: &'static str, coin: A| vec![keep(path, [exchange.clone(), coin])];
    let some = |path: &'static str, coin: A, amount: u64| vec![keep(path, [exchange.clone(), coin, pure(amount)])];
    table
        .check(vec![
            ("ok", all("wal_exchange::exchange_all_for_wal", A::Sui(2 * SUI))),
            ("wal_exchange:0", all("wal_exchange::exchange_all_for_wal", A::Sui(4 * SUI))),
            ("ok", all("wal_exchange::exchange_all_for_sui", A::Coin(2 * WAL))),
            ("ok", all("wal_exchange::exchange_all_for_wal", A::Sui(0))),
            ("wal_exchange:1", some("wal_exchange::exchange_for_sui", A::Wal, 200 * WAL)),
            ("ok", all("wal_exchange::exchange_all_for_wal", A::Sui(5 * SUI))),
            ("ok", some("wal_exchange::exchange_for_sui", A::Wal, 5 * WAL)),
            ("wal_exchange:0", some("wal_exchange::exchange_for_wal", A::Gas, 6 * SUI)),
            ("ok", some("wal_exchange::exchange_for_wal", A::Gas, 5 * SUI)),
            ("ok", some("wal_exchange::exchange_for_wal", A::Gas, 0)),
        ])
        .await;
    assert_eq!(chain.balance(wallet.wal), 93 * WAL);
    // Anybody may give to it.
    let held = || {
        let exchange: Exchange = chain.contents(chain.chain.ids().unwrap().exchange_object);
        (exchange.wal, exchange.sui)
    };
    let (frost, mist) = held();
    let give = |path: &'static str, args: &[A]| vec![call(path, [std::slice::from_ref(&exchange), args].concat())];
    table
        .check(vec![
            ("ok", give("wal_exchange::add_all_wal", &[A::Coin(WAL)])),
            ("ok", give("wal_exchange::add_wal", &[A::Wal, pure(WAL)])),
            ("balance:2", give("wal_exchange::add_wal", &[A::Wal, pure(u64::MAX)])),
            ("ok", give("wal_exchange::add_all_sui", &[A::Sui(SUI)])),
            ("ok", give("wal_exchange::add_sui", &[A::Gas, pure(SUI)])),
            ("balance:2", give("wal_exchange::add_sui", &[A::Gas, pure(u64::MAX)])),
        ])
        .await;
    assert_eq!(held(), (frost + 2 * WAL, mist + 2 * SUI));
    assert_eq!(chain.balance(wallet.wal), 91 * WAL);
    let wal: TypeTag = chain.chain.ids().unwrap().wal_type.into();
    table
        .check(vec![
            ("ok", vec![call("coin::destroy_zero", [A::Coin(0)]).of(wal.clone())]),
            ("balance:0", vec![call("coin::destroy_zero", [A::Coin(1)]).of(wal)]),
        ])
        .await;
}

#[tokio::test]
async fn one_correct_node_declares_a_blob_invalid() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let table = Table { chain: &chain, wallet: &wallet };
    let blob = FakeBlob::new(1, 5000);
    let invalid = |message: Vec<u8>, signers: &[u16]| {
        let made = sign(&chain, message, signers);
        let args = [A::System, pure(made.signature.to_vec()), pure(made.bitmap()), pure(&made.message)];
        vec![call("system::invalidate_blob_id", args)]
    };
    let forged = {
        let mut made = sign(&chain, invalid_blob_id_message(1, blob.id), &[0, 1]);
        made.signers = vec![0, 2];
        let args = [A::System, pure(made.signature.to_vec()), pure(made.bitmap()), pure(&made.message)];
        vec![call("system::invalidate_blob_id", args)]
    };
    let confirmation = StorageConfirmation::new(1, blob.id, Persistence::Permanent).to_bytes();
    table
        .check(vec![
            // Three of ten shards could all be faulty.
            ("bls_aggregate:2", invalid(invalid_blob_id_message(1, blob.id), &[0])),
            ("bls_aggregate:1", forged),
            ("messages:1", invalid(invalid_blob_id_message(0, blob.id), &[0, 1])),
            ("messages:1", invalid(invalid_blob_id_message(2, blob.id), &[0, 1])),
            ("messages:2", invalid(confirmation, &[0, 1])),
            ("ok InvalidBlobID", invalid(invalid_blob_id_message(1, blob.id), &[0, 1])),
        ])
        .await;
}
