//! The executor against lost answers, crashes, refusals and lying servers.

use crate::support::*;
use std::sync::Arc;
use std::time::Duration;
use walrus_client::ClientError;
use walrus_client::executor::{Executor, ExecutorConfig, RecoveredOutcome, Request};
use walrus_client::retry::RetryPolicy;
use walrus_client::tx::{BlobParams, Tx};
use walrus_client::wallet::Wallet;
use walrus_client::wire::chain::{ObjectId, U256};

const SUI: &str = "0x2::sui::SUI";

struct Bench {
    net: Net,
    dir: tempfile::TempDir,
    wallet: Arc<Wallet>,
    coin: ObjectId,
}

fn config() -> ExecutorConfig {
    let policy = RetryPolicy {
        total: Duration::from_millis(400),
        first_pause: Duration::from_millis(10),
        max_pause: Duration::from_millis(100),
        ..RetryPolicy::default()
    };
    ExecutorConfig { policy, max_budget: 1_000_000_000, max_gas_price: 5_000, ..ExecutorConfig::default() }
}

impl Bench {
    fn new() -> Self {
        let net = Net::new(10, 10);
        let wallet = Arc::new(Wallet::from_seed(&[3; 32]));
        let coin = net.chain.add_coin("0xc001", SUI, wallet.address(), 10_000_000_000);
        net.chain.add_coin("0xc002", WAL, wallet.address(), 700);
        net.chain.add_coin("0xc003", WAL, wallet.address(), 500);
        Self { net, dir: tempfile::tempdir().unwrap(), wallet, coin }
    }

    fn open(&self) -> Executor {
        Executor::open(self.dir.path(), self.wallet.clone(), self.net.client.chain().clone(), config()).unwrap()
    }

    fn sent(&self) -> Vec<sui_sdk_types::Digest> {
        self.net.chain.state.lock().unwrap().sent.clone()
    }

    fn faults(&self, faults: &[SendFault]) {
        self.net.chain.state.lock().unwrap().send_faults = faults.to_vec();
    }

    fn files(&self) -> usize {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        entries.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "tx")).count()
    }
}

fn request(intent: &[u8]) -> Request {
    Request { intent: intent.to_vec(), ..Request::default() }
}

fn nothing(tx: &mut Tx) -> Result<(), ClientError> {
    let gas = tx.gas();
    let coin = tx.split(gas, &[1])?;
    let owner = tx.sender();
    tx.transfer(vec![walrus_client::tx::nth(coin, 0)], owner)
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_with_the_same_bytes() {
    for faults in [
        vec![SendFault::LoseAnswer],
        vec![SendFault::LoseRequest, SendFault::LoseRequest],
        vec![SendFault::LoseRequest, SendFault::LoseAnswer, SendFault::Refuse],
    ] {
        let bench = Bench::new();
        let executor = bench.open();
        bench.faults(&faults);
        let done = executor.run(request(b"i"), nothing).await.unwrap();
        let sent = bench.sent();
        assert!(sent.iter().all(|digest| *digest == sent[0]), "{faults:?}: other bytes were sent");
        assert_eq!(bench.net.chain.state.lock().unwrap().executed.len(), 1, "{faults:?}");
        assert_eq!(bench.files(), 1);
        executor.forget(done.ticket).await.unwrap();
        assert_eq!(bench.files(), 0);
    }
}

#[tokio::test]
async fn after_a_crash_the_intent_is_settled_once() {
    for (answer_lost, name) in [(SendFault::LoseAnswer, "executed"), (SendFault::LoseRequest, "not executed")] {
        let bench = Bench::new();
        bench.net.chain.state.lock().unwrap().hide_effects = true;
        let executor = bench.open();
        bench.faults(&[answer_lost; 100]);
        match executor.run(request(b"commit 7"), nothing).await {
            Err(ClientError::OutcomeUnknown { .. }) => {}
            other => panic!("{name}: {other:?}"),
        }
        // Nothing else is built while it is open: the next run sends the same bytes.
        assert!(matches!(executor.run(request(b"other"), nothing).await, Err(ClientError::OutcomeUnknown { .. })));
        let sent = bench.sent();
        assert!(sent.iter().all(|digest| *digest == sent[0]), "{name}");
        drop(executor);

        let executor = bench.open();
        let recovered = executor.recovered().await.unwrap();
        assert_eq!(recovered.len(), 1);
        assert_eq!(recovered[0].intent, b"commit 7");
        assert!(matches!(recovered[0].outcome, RecoveredOutcome::Pending));
        assert!(executor.forget(recovered[0].ticket).await.is_err());
        {
            let mut state = bench.net.chain.state.lock().unwrap();
            state.hide_effects = false;
            state.send_faults.clear();
        }
        executor.settle().await.unwrap();
        let recovered = executor.recovered().await.unwrap();
        match &recovered[0].outcome {
            RecoveredOutcome::Final(effects) => effects.check().unwrap(),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(bench.net.chain.state.lock().unwrap().executed.len(), 1, "{name}");
        drop(executor);
        let executor = bench.open();
        let recovered = executor.recovered().await.unwrap();
        assert!(matches!(&recovered[0].outcome, RecoveredOutcome::Final(_)), "the outcome survives a restart");
        executor.forget(recovered[0].ticket).await.unwrap();
        executor.run(request(b""), nothing).await.unwrap();
        assert_eq!(bench.files(), 0, "nobody will ask for a transaction without intent");
    }
}

#[tokio::test]
async fn a_transaction_is_given_up_only_with_proof() {
    // An input moved on through somebody else.
    let bench = Bench::new();
    let executor = bench.open();
    bench.faults(&[SendFault::LoseRequest; 100]);
    assert!(matches!(executor.run(request(b"a"), nothing).await, Err(ClientError::OutcomeUnknown { .. })));
    bench.net.chain.touch(&bench.coin);
    bench.faults(&[]);
    executor.settle().await.unwrap();
    match &executor.recovered().await.unwrap()[0].outcome {
        RecoveredOutcome::Dropped(reason) => assert!(reason.contains("moved on"), "{reason}"),
        other => panic!("{other:?}"),
    }
    executor.run(request(b""), nothing).await.unwrap();

    // The expiration passed.
    let bench = Bench::new();
    let executor = bench.open();
    bench.faults(&[SendFault::LoseRequest; 100]);
    assert!(matches!(executor.run(request(b"a"), nothing).await, Err(ClientError::OutcomeUnknown { .. })));
    bench.net.chain.state.lock().unwrap().epoch += 1;
    assert!(matches!(executor.settle().await, Err(ClientError::OutcomeUnknown { .. })), "the last valid epoch");
    bench.net.chain.state.lock().unwrap().epoch += 1;
    executor.settle().await.unwrap();
    assert!(matches!(&executor.recovered().await.unwrap()[0].outcome, RecoveredOutcome::Dropped(_)));
}

#[tokio::test]
async fn processes_with_one_wallet_take_turns() {
    let bench = Bench::new();
    let (first, second) = (bench.open(), bench.open());
    let (one, other) = tokio::join!(first.run(request(b"one"), nothing), second.run(request(b"other"), nothing));
    one.unwrap();
    other.unwrap();
    assert_eq!(bench.net.chain.state.lock().unwrap().executed.len(), 2);
    let seen = first.recovered().await.unwrap();
    assert_eq!(seen.len(), 2, "each sees what the other left");
    assert_ne!(seen[0].ticket, seen[1].ticket);
}

#[tokio::test]
async fn nothing_is_signed_on_the_word_of_a_lying_server() {
    let bench = Bench::new();
    let executor = bench.open();
    let set = |change: fn(&mut ChainState)| change(&mut bench.net.chain.state.lock().unwrap());

    set(|state| state.gas_price = 1_000_000_000);
    assert!(matches!(executor.run(request(b"x"), nothing).await, Err(ClientError::BadAnswer { .. })));
    set(|state| {
        state.gas_price = 1000;
        state.simulated_failure = Some(abort("storage_pool", 6));
    });
    let error = executor.run(request(b"x"), nothing).await.unwrap_err();
    assert!(error.abort().is_some_and(|abort| abort.is("storage_pool", 6)), "{error}");
    assert!(bench.sent().is_empty() && bench.files() == 0, "something was signed");

    set(|state| {
        state.simulated_failure = None;
        state.simulated_gas = u64::MAX;
    });
    executor.run(request(b""), nothing).await.unwrap();
    set(|state| state.simulated_gas = 0);
    executor.run(request(b""), nothing).await.unwrap();
    let budgets = bench.net.chain.state.lock().unwrap().budgets.clone();
    assert_eq!(budgets, [1_000_000_000, 5_000_000], "the budget is capped, and never zero");
}

#[tokio::test]
async fn want_of_coins_is_an_error_that_names_coin_and_amount() {
    let bench = Bench::new();
    let executor = bench.open();
    match executor.run(Request { wal: 1201, ..Request::default() }, nothing).await {
        Err(ClientError::Unfunded { coin: "FROST", needed: 1201, available: 1200, .. }) => {}
        other => panic!("{other:?}"),
    }
    match executor.run(Request { sui: 10_000_000_000, ..Request::default() }, nothing).await {
        Err(ClientError::Unfunded { coin: "MIST", available: 10_000_000_000, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(executor.balances().await.unwrap(), (10_000_000_000, 1200));
}

#[tokio::test]
async fn walrus_calls_name_shared_objects_with_the_mutability_of_the_contract() {
    use sui_sdk_types::{Command, Input, TransactionKind};
    let bench = Bench::new();
    let state = bench.net.client.state().await.unwrap();
    let blob = BlobParams { blob_id: U256([1; 32]), root_hash: U256([2; 32]), size: 5, deletable: true };
    let mutability = |build: &dyn Fn(&mut Tx)| {
        let mut tx = Tx::new(state.clone(), bench.wallet.address(), Vec::new());
        let coin = bench.net.chain.state.lock().unwrap().objects[&id("0xc002")].reference();
        tx.use_wal(&[coin], 100).unwrap();
        build(&mut tx);
        let gas = sui_sdk_types::GasPayment { objects: vec![], owner: bench.wallet.address(), price: 1, budget: 1 };
        let done = tx.finish(gas, sui_sdk_types::TransactionExpiration::None).unwrap();
        let TransactionKind::ProgrammableTransaction(program) = done.kind else { panic!() };
        let package = program.commands.iter().find_map(|command| match command {
            Command::MoveCall(call) => Some(call.package),
            _ => None,
        });
        assert_eq!(package, Some(id(CALL)), "calls go to the package to call, not to the original one");
        let shared: Vec<bool> = program
            .inputs
            .iter()
            .filter_map(|input| match input {
                Input::Shared(shared) if shared.object_id() == id("0x51") => Some(shared.mutability().is_mutable()),
                _ => None,
            })
            .collect();
        assert_eq!(shared.len(), 1, "one input for each shared object");
        shared[0]
    };
    let pool = |tx: &mut Tx| tx.pure(&1u8).unwrap();
    assert!(mutability(&|tx| {
        let pool = pool(tx);
        tx.register_pooled_blob(pool, &blob).unwrap();
    }));
    assert!(!mutability(&|tx| {
        let pool = pool(tx);
        tx.delete_pooled_blob(pool, U256([1; 32])).unwrap();
    }));
    assert!(mutability(&|tx| {
        let pool = pool(tx);
        tx.delete_pooled_blob(pool, U256([1; 32])).unwrap();
        tx.extend_storage_pool(pool, 3).unwrap();
    }));
    assert_eq!(state.packages.type_of("storage_pool", "StoragePool").unwrap().address(), &id("0xa2"));
    assert_eq!(state.packages.type_of("blob", "Blob").unwrap().address(), &id(ORIGINAL));
}

#[tokio::test]
async fn the_budget_of_a_transaction_never_takes_what_it_spends_from_the_gas_coin() {
    let bench = Bench::new();
    let executor = bench.open();
    executor.run(Request { sui: 9_900_000_000, ..Request::default() }, nothing).await.unwrap();
    let budget = bench.net.chain.state.lock().unwrap().budgets[0];
    assert!(budget <= 100_000_000, "{budget}");
}
