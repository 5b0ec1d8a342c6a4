//! The chain's server down, slow, forgetful, behind, and lying, over real sockets. After each: paid once, stored once, no two
//! transactions on one version of an object, and nothing sent that was not built here.

use super::local::{Local, data};
use super::server::{Act, Server, assert_no_equivocation, body, message};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::{Address, Input, Transaction, TransactionKind};
use walrus_client::client::{ClientConfig, StoredBlob, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig};
use walrus_client::network::{NetworkConfig, NodeTls};
use walrus_client::read::Consistency;
use walrus_client::retry::RetryPolicy;
use walrus_client::{ClientError, ClientResult};

const EXECUTE: &str = "/ExecuteTransaction";
const SIMULATE: &str = "/SimulateTransaction";
/// gRPC statuses.
const RESOURCE_EXHAUSTED: u16 = 8;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;

struct World {
    local: Local,
    server: Server,
}

/// The wallet behind one or two servers.
struct Through {
    client: WalrusClient,
    executor: Executor,
}

impl World {
    async fn start() -> Self {
        let local = Local::start().await;
        let server = Server::start(&local.network.rpc_urls[0]).await;
        Self { local, server }
    }

    /// A new process, as far as the wallet is concerned. `total` bounds every chain call and settlement.
    fn through(&self, urls: Vec<String>, total: Duration) -> Through {
        let network = NetworkConfig { rpc_urls: urls, ..self.local.network.clone() };
        let policy = RetryPolicy {
            total,
            attempt_timeout: Duration::from_secs(1),
            execute_timeout: Duration::from_secs(2),
            max_pause: Duration::from_millis(500),
            ..RetryPolicy::default()
        };
        let client = WalrusClient::connect(network, ClientConfig { chain: policy.clone(), ..ClientConfig::default() });
        let client = client.unwrap();
        let folder = self.local.folder("executor");
        let config = ExecutorConfig { policy, ..ExecutorConfig::default() };
        let executor = Executor::open(Path::new(&folder), self.local.wallet.clone(), client.chain().clone(), config);
        Through { client, executor: executor.unwrap() }
    }

    /// Only the faulty server is known.
    fn alone(&self) -> Through {
        self.through(vec![self.server.url()], Duration::from_secs(20))
    }

    async fn wal(&self) -> u64 {
        self.local.executor.balances().await.unwrap().1
    }

    /// What was stored is there once, was paid once, and can be read.
    async fn stored_once(&self, what: &str, stored: &StoredBlob, expected: &[u8], paid: u64) {
        let owner = self.local.wallet.address();
        let owned = self.local.client.owned_blobs(&owner).await.unwrap();
        let of_it = owned.iter().filter(|(_, blob)| redstuff::BlobId::from(blob.blob_id) == stored.blob_id);
        assert_eq!(of_it.count(), 1, "{what}");
        assert_eq!(paid, self.local.client.blob_cost(expected.len() as u64, 5).await.unwrap(), "{what}");
        let read = self.local.stranger(NodeTls::Pinned).read_blob(&stored.blob_id, Consistency::Strict).await.unwrap();
        assert!(read == expected, "{what}");
        assert_no_equivocation(&self.server.sent());
    }
}

impl Through {
    async fn store(&self, local: &Local, data: &[u8]) -> ClientResult<StoredBlob> {
        local.store_with(&self.client, &self.executor, data).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_costs_time_while_another_answers() {
    let world = World::start().await;
    type Fault = fn() -> Act;
    let faults: [(&str, Fault); 9] = [
        ("unavailable", || Act::Status(UNAVAILABLE)),
        ("asked too much", || Act::Status(RESOURCE_EXHAUSTED)),
        ("broken", || Act::Status(INTERNAL)),
        ("a black hole", || Act::Hang),
        ("slow", || Act::Late(Duration::from_millis(300))),
        ("too slow", || Act::Late(Duration::from_secs(3))),
        ("loses requests", || Act::LoseRequest),
        ("loses answers", || Act::LoseAnswer),
        ("garbage", || Act::Lie(Box::new(|_| Bytes::from_static(b"\0\0\0\0\x04\xff\xff\xff\xff")))),
    ];
    for (n, (name, fault)) in faults.into_iter().enumerate() {
        for (m, calls) in ["", EXECUTE].into_iter().enumerate() {
            let what = format!("a server that is {name} in {calls:?}");
            world.server.forget_calls();
            world.server.rule(move |method, _| if method.ends_with(calls) { fault() } else { Act::Pass });
            let urls = vec![world.server.url(), world.local.network.rpc_urls[0].clone()];
            let (before, begun) = (world.wal().await, Instant::now());
            let through = world.through(urls, Duration::from_secs(20));
            let new = data(10 + 2 * n as u8 + m as u8, 5_000);
            let stored = through.store(&world.local, &new).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            println!("{what}: {:?}", begun.elapsed());
            assert!(begun.elapsed() < Duration::from_secs(25), "{what}: {:?}", begun.elapsed());
            world.stored_once(&what, &stored, &new, before - world.wal().await).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_down_is_waited_for() {
    let world = World::start().await;
    let (through, before) = (world.alone(), world.wal().await);
    through.client.state().await.unwrap();
    world.server.down();
    let new = data(3, 5_000);
    let returns = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.server.up().await;
    };
    let (stored, ()) = tokio::join!(through.store(&world.local, &new), returns);
    world.stored_once("down for two seconds", &stored.unwrap(), &new, before - world.wal().await).await;

    // Nobody answers: an error that says so, and nothing is changed.
    world.server.down();
    let through = world.through(vec![world.server.url()], Duration::from_secs(2));
    let before = world.wal().await;
    let error = through.store(&world.local, &data(4, 5_000)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert_eq!(world.wal().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_asked_for_again_with_the_same_bytes() {
    let world = World::start().await;
    for (n, lost) in [1usize, 2, 4].into_iter().enumerate() {
        for executed in [true, false] {
            let what = format!("{lost} lost, executed: {executed}");
            world.server.forget_calls();
            // Of the registration and of the certification each.
            let (mut of_one, mut last) = (0, Bytes::new());
            world.server.rule(move |method, request| {
                if !method.ends_with(EXECUTE) {
                    return Act::Pass;
                }
                if last != *request {
                    (of_one, last) = (0, request.clone());
                }
                of_one += 1;
                match (of_one <= lost, executed) {
                    (false, _) => Act::Pass,
                    (true, true) => Act::LoseAnswer,
                    (true, false) => Act::LoseRequest,
                }
            });
            let before = world.wal().await;
            let new = data(30 + 2 * n as u8 + u8::from(executed), 5_000);
            let stored = world.alone().store(&world.local, &new).await;
            let stored = stored.unwrap_or_else(|error| panic!("{what}: {error}"));
            world.stored_once(&what, &stored, &new, before - world.wal().await).await;
            let mut digests: Vec<_> = world.server.sent().iter().map(Transaction::digest).collect();
            digests.dedup();
            assert_eq!(digests.len(), 2, "{what}: one registration and one certification");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_without_an_answer_leaves_nothing_to_pay_twice() {
    let world = World::start().await;
    let before = world.wal().await;
    let new = data(5, 5_000);
    // First the registration's answer never comes, then the certification's, each until the process gives up and ends.
    for lost in 0..2 {
        let mut transactions = Vec::new();
        world.server.rule(move |method, request| {
            if method.ends_with("/GetTransaction") {
                return Act::Status(UNAVAILABLE);
            }
            if !method.ends_with(EXECUTE) {
                return Act::Pass;
            }
            if !transactions.contains(request) {
                transactions.push(request.clone());
            }
            // What an earlier process left is settled first.
            if transactions.len() > lost { Act::LoseAnswer } else { Act::Pass }
        });
        let through = world.through(vec![world.server.url()], Duration::from_secs(3));
        let error = through.store(&world.local, &new).await.unwrap_err();
        assert!(matches!(error, ClientError::OutcomeUnknown { .. }), "{error}");
    }
    world.server.honest();
    let stored = world.alone().store(&world.local, &new).await.unwrap();
    world.stored_once("twice ended", &stored, &new, before - world.wal().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_behind_is_waited_for_and_never_believed() {
    let world = World::start().await;
    let through = world.alone();
    through.store(&world.local, &data(6, 5_000)).await.unwrap();
    // The coins as they were before anything was paid, some times, while the wallet has moved on.
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    world.server.rule(move |method, _| {
        let owned = method.ends_with("/ListOwnedObjects") || method.ends_with("/BatchGetObjects");
        if owned && count.fetch_add(1, Ordering::Relaxed) < 6 { Act::Old } else { Act::Pass }
    });
    let (before, new) = (world.wal().await, data(7, 5_000));
    let stored = through.store(&world.local, &new).await.unwrap();
    assert!(given.load(Ordering::Relaxed) > 6, "the old answers were given");
    world.stored_once("six old answers", &stored, &new, before - world.wal().await).await;

    // For ever: this process says that the server is behind; a new one, which cannot know, is refused by the chain.
    let before = world.wal().await;
    world.server.rule(|method, _| if method.ends_with("/ListOwnedObjects") { Act::Old } else { Act::Pass });
    world.server.forget_calls();
    let new = world.through(vec![world.server.url()], Duration::from_secs(3));
    for through in [&through, &new] {
        let error = through.store(&world.local, &data(8, 5_000)).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. } | ClientError::BadAnswer { .. }), "{error}");
    }
    assert!(world.server.sent().is_empty());
    assert_eq!(world.wal().await, before);
}

const THIEF: Address = Address::new([0x66; 32]);

/// The answer to a simulation with its transaction or effects changed.
fn altered(change: impl FnOnce(&mut proto::ExecutedTransaction) + Send + 'static) -> Act {
    Act::Lie(Box::new(move |bytes| {
        let mut answer: proto::SimulateTransactionResponse = message(&bytes);
        change(answer.transaction.as_mut().unwrap());
        body(&answer)
    }))
}

/// The transaction that the client asked about.
fn asked(request: &Bytes) -> Transaction {
    let request: proto::SimulateTransactionRequest = message(request);
    Transaction::try_from(request.transaction.as_ref().unwrap()).unwrap()
}

/// What a thief would like to have signed: other recipients, other objects, no other commands than his.
fn stolen(transaction: Transaction, how: &str) -> Transaction {
    let mut changed = transaction;
    let TransactionKind::ProgrammableTransaction(program) = &mut changed.kind else { panic!("{changed:?}") };
    match how {
        "recipient" => {
            for input in &mut program.inputs {
                if let Input::Pure(bytes) = input
                    && bytes.len() == 32
                {
                    *bytes = THIEF.as_bytes().to_vec();
                }
            }
        }
        "command" => program.commands.reverse(),
        "no command" => program.commands.clear(),
        "object" => program.inputs.reverse(),
        "coin" => changed.gas_payment.objects.clear(),
        "owner" => changed.gas_payment.owner = THIEF,
        "price" => changed.gas_payment.price = 1_000_000_000,
        other => panic!("{other}"),
    }
    changed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_never_says_what_is_signed() {
    let world = World::start().await;
    let lies = ["recipient", "command", "no command", "object", "coin", "owner", "price"];
    for (n, how) in lies.into_iter().enumerate() {
        world.server.forget_calls();
        world.server.rule(move |method, request| {
            if !method.ends_with(SIMULATE) {
                return Act::Pass;
            }
            let lie = stolen(asked(request), how);
            altered(move |answer| answer.transaction = Some(proto::Transaction::from(lie)))
        });
        let (before, new) = (world.wal().await, data(50 + n as u8, 5_000));
        let stored = world.alone().store(&world.local, &new).await.unwrap_or_else(|error| panic!("{how}: {error}"));
        world.stored_once(how, &stored, &new, before - world.wal().await).await;
        let simulated: Vec<TransactionKind> = world
            .server
            .calls::<proto::SimulateTransactionRequest>(SIMULATE)
            .iter()
            .map(|call| Transaction::try_from(call.transaction.as_ref().unwrap()).unwrap().kind)
            .collect();
        let sent = world.server.sent();
        assert_eq!(sent.len(), 2, "{how}");
        for transaction in sent {
            assert!(simulated.contains(&transaction.kind), "{how}: what was sent was not built here");
            assert_eq!(transaction.gas_payment.owner, world.local.wallet.address(), "{how}");
            assert!(transaction.gas_payment.price <= 1000 && transaction.gas_payment.budget <= 5_000_000_000, "{how}");
        }
    }
    let owned = world.local.client.owned_blobs(&THIEF).await.unwrap();
    assert!(owned.is_empty());
    assert_eq!(world.local.client.chain().balance(&THIEF, &sui()).await.unwrap(), 0);
}

fn sui() -> sui_sdk_types::TypeTag {
    sui_sdk_types::TypeTag::Struct(Box::new(sui_sdk_types::StructTag::sui()))
}

/// A lie about a simulation, and how the error begins that it ends in.
type Refused = (&'static str, fn() -> Act, &'static str);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_that_cannot_be_true_stops_everything() {
    let world = World::start().await;
    let lies: [Refused; 4] = [
        ("another transaction's effects", || altered(|answer| answer.digest = Some(other_digest())), "simulation of"),
        ("no effects", || altered(|answer| answer.effects = None), "simulation of"),
        ("no status", || altered(|answer| answer.effects.as_mut().unwrap().status = None), "simulation of"),
        (
            "an invented abort",
            || altered(|answer| answer.effects.as_mut().unwrap().status = Some(failed())),
            "the transaction failed",
        ),
    ];
    let (sui_before, wal_before) = world.local.executor.balances().await.unwrap();
    for (name, lie, begins) in lies {
        world.server.rule(move |method, _| if method.ends_with(SIMULATE) { lie() } else { Act::Pass });
        let through = world.through(vec![world.server.url()], Duration::from_secs(3));
        let error = through.store(&world.local, &data(60, 5_000)).await.unwrap_err();
        assert!(error.to_string().starts_with(begins), "{name}: {error}");
        assert!(world.server.sent().is_empty(), "{name}: something was sent");
    }
    // Gas that nobody has is not taken as a budget.
    world.server.rule(|method, _| match method.ends_with(SIMULATE) {
        true => altered(|answer| {
            let gas = answer.effects.as_mut().unwrap().gas_used.as_mut().unwrap();
            (gas.computation_cost, gas.storage_cost) = (Some(u64::MAX), Some(u64::MAX));
        }),
        false => Act::Pass,
    });
    world.alone().store(&world.local, &data(61, 5_000)).await.unwrap();
    assert!(world.server.sent().iter().all(|transaction| transaction.gas_payment.budget <= 5_000_000_000));
    let (sui, wal) = world.local.executor.balances().await.unwrap();
    assert_eq!(wal_before - wal, world.local.client.blob_cost(5_000, 5).await.unwrap());
    assert!(sui_before - sui < 100_000_000, "gas of two transactions, not a budget");
}

fn other_digest() -> String {
    sui_sdk_types::Digest::new([9; 32]).to_string()
}

fn failed() -> proto::ExecutionStatus {
    let error = proto::ExecutionError::default().with_description("because I say so");
    proto::ExecutionStatus::default().with_success(false).with_error(error)
}

/// The prices in the System's inner state, multiplied by `up` and divided by `down`, wherever they stand in an answer. They are found
/// by their bytes: both prices of the local network, one after the other.
fn repriced(bytes: Bytes, up: u64, down: u64) -> Bytes {
    let honest = [100_000u64.to_le_bytes(), 20_000u64.to_le_bytes()].concat();
    let mut lie = bytes.to_vec();
    let places: Vec<usize> = lie.windows(16).enumerate().filter(|(_, w)| *w == honest).map(|(at, _)| at).collect();
    for at in places {
        lie[at..at + 8].copy_from_slice(&(100_000 * up / down).to_le_bytes());
        lie[at + 8..at + 16].copy_from_slice(&(20_000 * up / down).to_le_bytes());
    }
    Bytes::from(lie)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invented_price_is_never_paid() {
    let world = World::start().await;
    let before = world.local.executor.balances().await.unwrap();
    let reprice = |up: u64, down: u64| {
        world.server.rule(move |method, _| match method.ends_with("/BatchGetObjects") {
            true => Act::Lie(Box::new(move |bytes| repriced(bytes, up, down))),
            false => Act::Pass,
        });
    };
    // More than the wallet has: said before anything is built.
    reprice(1_000_000, 1);
    match world.alone().store(&world.local, &data(70, 5_000)).await {
        Err(ClientError::Unfunded { coin: "FROST", .. }) => {}
        other => panic!("{other:?}"),
    }
    // A bargain that the chain does not know: the contract may take what was shown, and no more.
    for (up, down) in [(1, 10), (99, 100)] {
        reprice(up, down);
        match world.alone().store(&world.local, &data(70, 5_000)).await {
            Err(ClientError::PriceChanged { .. }) => {}
            other => panic!("{up}/{down} of the price shown: {other:?}"),
        }
    }
    assert!(world.server.sent().is_empty());
    assert_eq!(world.local.executor.balances().await.unwrap(), before);
    // Too much shown, and enough in the wallet: what the chain asks for is paid.
    reprice(2, 1);
    let new = data(71, 5_000);
    let stored = world.alone().store(&world.local, &new).await.unwrap();
    world.stored_once("twice the price shown", &stored, &new, before.1 - world.wal().await).await;

    // A gas price out of this world.
    world.server.forget_calls();
    let before = world.local.executor.balances().await.unwrap();
    world.server.rule(|method, _| match method.ends_with("/GetEpoch") {
        true => Act::Lie(Box::new(|bytes| {
            let mut answer: proto::GetEpochResponse = message(&bytes);
            answer.epoch.as_mut().unwrap().reference_gas_price = Some(1_000_000);
            body(&answer)
        })),
        false => Act::Pass,
    });
    match world.alone().store(&world.local, &data(72, 5_000)).await {
        Err(error @ ClientError::BadAnswer { .. }) => assert!(error.to_string().contains("1000000 MIST"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(world.server.sent().is_empty());
    assert_eq!(world.local.executor.balances().await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_not_the_one_asked_for_is_refused() {
    let world = World::start().await;
    let before = world.local.executor.balances().await.unwrap();
    // Another object in each answer about objects: its id, or its contents under the right id.
    for inside in [false, true] {
        world.server.rule(move |method, _| match method.ends_with("/BatchGetObjects") {
            true => Act::Lie(Box::new(move |bytes| {
                let mut answer: proto::BatchGetObjectsResponse = message(&bytes);
                for result in &mut answer.objects {
                    if let Some(proto::get_object_result::Result::Object(object)) = &mut result.result {
                        match (inside, object.contents.as_mut()) {
                            (true, Some(contents)) => {
                                let mut forged = contents.value.clone().unwrap_or_default().to_vec();
                                forged[..32].copy_from_slice(THIEF.as_bytes());
                                contents.value = Some(forged.into());
                            }
                            _ => object.object_id = Some(THIEF.to_string()),
                        }
                    }
                }
                body(&answer)
            })),
            false => Act::Pass,
        });
        let through = world.through(vec![world.server.url()], Duration::from_secs(3));
        let error = through.store(&world.local, &data(80, 5_000)).await.unwrap_err();
        assert!(matches!(error, ClientError::BadAnswer { .. }), "{error}");
    }
    // A coin of somebody else among the wallet's.
    world.server.rule(|method, _| match method.ends_with("/ListOwnedObjects") {
        true => Act::Lie(Box::new(|bytes| {
            let mut answer: proto::ListOwnedObjectsResponse = message(&bytes);
            for object in &mut answer.objects {
                let owner = object.owner.get_or_insert_default();
                owner.address = Some(THIEF.to_string());
            }
            body(&answer)
        })),
        false => Act::Pass,
    });
    let through = world.through(vec![world.server.url()], Duration::from_secs(3));
    let error = through.store(&world.local, &data(80, 5_000)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unfunded { available: 0, .. }), "{error}");
    assert!(world.server.sent().is_empty());
    assert_eq!(world.local.executor.balances().await.unwrap(), before);
}
