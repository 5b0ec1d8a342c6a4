//! Signing and sending: one executor for each wallet on a machine.
//!
//! Why it exists: a transaction whose answer was lost may or may not have happened, and a *different* transaction on the
//! same owned objects may lock them until the chain's epoch ends. So all transactions of a wallet go through one place,
//! one after the other.
//!
//! Mechanism: the signed bytes and the caller's *intent* are made durable in the executor's folder before they are sent.
//! Whatever happens, the same bytes are sent again until their effects are final, an owned input has moved on, or their
//! expiration has passed; only then is another transaction built. After a restart [`Executor::open`] does the same, and
//! [`Executor::recovered`] tells what became of each intent. The coins of the wallet are kept as one SUI coin (all are
//! given as gas, which merges them) and one WAL coin (merged inside the transaction). The folder's lock is held for one
//! operation at a time, not for the executor's life: several processes of a machine (a mount, a command) take turns.
//!
//! Promises: no transaction is paid twice; no intent is lost; nothing is signed that was not built here; no transaction
//! can spend more WAL than its request allows, nor more gas than the configuration.
//! Assumes that nobody else uses the wallet; if somebody does, transactions fail, and nothing else.
//! Must never: believe "not found". It proves nothing.

mod record;

use crate::chain::{Chain, Effects, Failure, ObjectInfo, SendOutcome, WalrusState};
use crate::error::{ClientError, ClientResult};
use crate::retry::{Backoff, RetryPolicy};
use crate::tx::Tx;
use crate::wallet::Wallet;
use crate::wire::abort::balance::NOT_ENOUGH;
use crate::wire::chain::ObjectId;
use parking_lot::Mutex;
use record::{Record, Settled, Store};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use sui_sdk_types::{Digest, GasPayment, Input, Transaction, TransactionExpiration, TransactionKind, TypeTag};

/// Names a transaction in the executor's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// How much the executor may spend on gas, and how patient it is.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// MIST that one transaction may burn at most.
    pub max_budget: u64,
    /// MIST per unit of gas that are paid at most; a server that says more is not believed.
    pub max_gas_price: u64,
    /// Retries around sending.
    pub policy: RetryPolicy,
    /// Called when a server has answered and before anything is made of the answer: where tests let a machine die.
    pub answered: fn(),
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self { max_budget: 5_000_000_000, max_gas_price: 20_000, policy: RetryPolicy::default(), answered: || {} }
    }
}

/// What a transaction needs.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Opaque to the executor; comes back from [`Executor::recovered`] after a crash. Empty: nobody will ask.
    pub intent: Vec<u8>,
    /// Objects that the builder wants to name: they are read fresh.
    pub objects: Vec<ObjectId>,
    /// FROST that the transaction can spend at most, whatever the chain says things cost; 0: it does not touch WAL.
    pub wal: u64,
    /// MIST that the transaction takes from the gas coin beside gas.
    pub sui: u64,
}

/// A transaction that was executed and succeeded.
#[derive(Clone, Debug)]
pub struct Executed {
    /// For [`Executor::forget`], once what it did is durable elsewhere.
    pub ticket: Ticket,
    /// What it did.
    pub effects: Effects,
}

/// What the wallet has paid through an [`Executor`] since it was opened, as the servers tell it. Below zero when more came back (for
/// deleted objects, or pool capacity) than was paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// Transactions.
    pub transactions: u64,
    /// MIST, gas included.
    pub mist: i128,
    /// FROST.
    pub frost: i128,
}

impl Paid {
    /// What was paid since it was `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            transactions: self.transactions.saturating_sub(earlier.transactions),
            mist: self.mist.saturating_sub(earlier.mist),
            frost: self.frost.saturating_sub(earlier.frost),
        }
    }

    /// Both together.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            transactions: self.transactions.saturating_add(other.transactions),
            mist: self.mist.saturating_add(other.mist),
            frost: self.frost.saturating_add(other.frost),
        }
    }
}

/// What became of an intent whose caller has not said that it knows.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// For [`Executor::forget`].
    pub ticket: Ticket,
    /// As given in the request.
    pub intent: Vec<u8>,
    /// What happened.
    pub outcome: RecoveredOutcome,
}

/// See [`Recovered`].
#[derive(Clone, Debug)]
pub enum RecoveredOutcome {
    /// Executed; [`Effects::check`] tells whether it succeeded.
    Final(Effects),
    /// It never will be executed.
    Dropped(String),
    /// Not known yet: it is sent again before anything else.
    Pending,
}

/// See the module.
pub struct Executor {
    wallet: Arc<Wallet>,
    chain: Chain,
    config: ExecutorConfig,
    dir: PathBuf,
    known: tokio::sync::Mutex<Known>,
    paid: Mutex<Paid>,
}

/// The newest version of objects that effects told of, against servers that lag; `None`: the object is gone.
type Known = HashMap<ObjectId, Option<u64>>;

/// What one operation works with: the folder, locked against other processes, and what this process has seen.
struct Inner<'a> {
    store: Store,
    known: tokio::sync::MutexGuard<'a, Known>,
}

/// The largest number of gas coins and of WAL coins that one transaction takes.
const MAX_COINS: usize = 200;
/// Bound on remembered versions; old entries only protect against servers that lag by very much.
const MAX_KNOWN: usize = 4096;
/// How long another process of this machine may take for its transaction, and how often it is looked whether it has ended.
const TURN_PATIENCE: Duration = Duration::from_secs(90);
const TURN_PAUSE: Duration = Duration::from_millis(20);
/// How often a transaction is rebuilt because a server was behind.
const REBUILDS: usize = 4;

impl Executor {
    /// Opens the folder (made if missing, 0700) and checks the transactions of an earlier life. It does not wait for
    /// them: [`Executor::settle`] or the next transaction does.
    pub fn open(dir: &Path, wallet: Arc<Wallet>, chain: Chain, config: ExecutorConfig) -> ClientResult<Self> {
        match Store::open(dir) {
            // Another process is at work with it right now, so it is usable.
            Ok(_) | Err(ClientError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            wallet,
            chain,
            config,
            dir: dir.to_owned(),
            known: tokio::sync::Mutex::default(),
            paid: Mutex::default(),
        })
    }

    /// This process's turn, then this machine's: reads the folder anew, because others may have used it meanwhile.
    async fn enter(&self) -> ClientResult<Inner<'_>> {
        let known = self.known.lock().await;
        let deadline = tokio::time::Instant::now() + TURN_PATIENCE;
        loop {
            match Store::open(&self.dir) {
                Err(ClientError::Locked { .. }) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(TURN_PAUSE).await;
                }
                store => return Ok(Inner { store: store?, known }),
            }
        }
    }

    /// What was paid since it was opened.
    pub fn paid(&self) -> Paid {
        *self.paid.lock()
    }

    async fn account(&self, effects: &Effects) {
        let wal = self.chain.state().await.ok().map(|state| state.wal_type.clone());
        let (owner, sui) = (self.wallet.address(), sui_type());
        let mut paid = self.paid.lock();
        paid.transactions = paid.transactions.saturating_add(1);
        for change in effects.balances.iter().filter(|change| change.owner == owner) {
            if change.coin == sui {
                paid.mist = paid.mist.saturating_sub(change.amount);
            } else if Some(&change.coin) == wal.as_ref() {
                paid.frost = paid.frost.saturating_sub(change.amount);
            }
        }
    }

    /// The wallet.
    pub fn wallet(&self) -> &Arc<Wallet> {
        &self.wallet
    }

    /// The chain that it sends to.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What became of transactions with an intent that was not forgotten, oldest first.
    pub async fn recovered(&self) -> ClientResult<Vec<Recovered>> {
        let inner = self.enter().await?;
        let report = |record: &Record| Recovered {
            ticket: Ticket(record.ticket),
            intent: record.intent.clone(),
            outcome: match &record.settled {
                None => RecoveredOutcome::Pending,
                Some(Settled::Final(effects)) => RecoveredOutcome::Final(effects.clone()),
                Some(Settled::Dropped(reason)) => RecoveredOutcome::Dropped(reason.clone()),
            },
        };
        Ok(inner.store.records().filter(|record| !record.intent.is_empty()).map(report).collect())
    }

    /// Settles what is pending, by sending the same bytes again.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] if it is still not known what became of it.
    pub async fn settle(&self) -> ClientResult<()> {
        let mut inner = self.enter().await?;
        self.settle_pending(&mut inner).await
    }

    /// Drops a settled record: the caller has made durable what it needs of it.
    pub async fn forget(&self, ticket: Ticket) -> ClientResult<()> {
        self.enter().await?.store.forget(ticket.0)
    }

    /// Builds, signs and executes one transaction. `build` may be called more than once, each time with an empty
    /// transaction: it must do the same thing each time, for the state that it is given.
    ///
    /// When the future is dropped after sending began, the transaction stays pending and is settled before the next one.
    ///
    /// # Errors
    /// Before anything is signed: [`ClientError::Abort`], [`ClientError::Execution`] (as simulated),
    /// [`ClientError::Unfunded`], [`ClientError::PriceChanged`], [`ClientError::Unreachable`]. After: `Abort` or `Execution` (executed and failed, gas is
    /// spent), [`ClientError::Dropped`], [`ClientError::OutcomeUnknown`].
    pub async fn run<F>(&self, request: Request, build: F) -> ClientResult<Executed>
    where
        F: Fn(&mut Tx) -> ClientResult<()> + Send + Sync,
    {
        let mut inner = self.enter().await?;
        self.settle_pending(&mut inner).await?;
        let transaction = self.prepare(&inner, &request, &build).await?;
        let ticket = self.sign_and_store(&mut inner, &request, &transaction)?;
        let result = self.settle_pending(&mut inner).await.and_then(|()| match inner.store.get(ticket) {
            Some(Record { settled: Some(Settled::Final(effects)), .. }) => {
                effects.check().map(|()| Executed { ticket: Ticket(ticket), effects: effects.clone() })
            }
            Some(Record { settled: Some(Settled::Dropped(reason)), .. }) => {
                Err(ClientError::Dropped { digest: transaction.digest().to_string(), reason: reason.clone() })
            }
            _ => Err(ClientError::OutcomeUnknown {
                digest: transaction.digest().to_string(),
                reason: "its record is missing".to_owned(),
            }),
        });
        let done = !matches!(result, Err(ClientError::OutcomeUnknown { .. }));
        if done && (request.intent.is_empty() || result.is_err()) {
            inner.store.forget(ticket)?;
        }
        result
    }

    /// A complete transaction that is neither simulated, signed nor sent: for somebody who signs elsewhere. Its coins are those of
    /// now: it is no good any more once this wallet has done something else.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`], [`ClientError::Unfunded`], [`ClientError::Unreachable`].
    pub async fn unsigned<F>(&self, request: Request, budget: u64, build: F) -> ClientResult<Transaction>
    where
        F: Fn(&mut Tx) -> ClientResult<()> + Send + Sync,
    {
        let mut inner = self.enter().await?;
        self.settle_pending(&mut inner).await?;
        let mut transaction = self.assemble(&inner, &request, &build, self.chain.state().await?).await?;
        transaction.gas_payment.budget = transaction.gas_payment.budget.min(budget);
        Ok(transaction)
    }

    /// MIST that a transaction may burn, as [`Executor::run`] would build it now: simulated, neither signed nor sent.
    ///
    /// # Errors
    /// As [`Executor::run`] before anything is signed.
    pub async fn price<F>(&self, request: Request, build: F) -> ClientResult<u64>
    where
        F: Fn(&mut Tx) -> ClientResult<()> + Send + Sync,
    {
        let mut inner = self.enter().await?;
        self.settle_pending(&mut inner).await?;
        Ok(self.prepare(&inner, &request, &build).await?.gas_payment.budget)
    }

    /// MIST and FROST of the wallet.
    pub async fn balances(&self) -> ClientResult<(u64, u64)> {
        let state = self.chain.state().await?;
        let owner = self.wallet.address();
        let sui = sui_type();
        futures::try_join!(self.chain.balance(&owner, &sui), self.chain.balance(&owner, &state.wal_type))
    }

    /// A complete transaction, with a budget from a simulation, for objects as fresh as can be had.
    async fn prepare<F>(&self, inner: &Inner<'_>, request: &Request, build: &F) -> ClientResult<Transaction>
    where
        F: Fn(&mut Tx) -> ClientResult<()> + Send + Sync,
    {
        let mut state = self.chain.state().await?;
        let mut upgraded = false;
        let mut backoff = Backoff::new(&self.config.policy);
        for attempt in 0..REBUILDS {
            let mut transaction = self.assemble(inner, request, build, state.clone()).await?;
            let verdict = self.chain.transport().simulate(&transaction).await;
            let effects = match verdict {
                Ok(effects) => effects,
                // A server that lags refuses versions that it has not seen; one that is ahead refuses old ones.
                Err(ClientError::BadAnswer { what, reason }) if attempt + 1 < REBUILDS => {
                    tracing::debug!(what, reason, "the simulation was refused; reading the objects again");
                    if backoff.wait().await {
                        continue;
                    }
                    return Err(ClientError::bad(what, reason));
                }
                Err(error) => return Err(error),
            };
            match &effects.failure {
                Some(Failure::Abort(abort)) if abort.is_wrong_version() && !upgraded => {
                    upgraded = true;
                    state = self.chain.refresh().await?;
                    continue;
                }
                // The wallet has what was asked for, so more was wanted than that.
                Some(Failure::Abort(abort)) if request.wal > 0 && abort.is("balance", NOT_ENOUGH) => {
                    self.chain.refresh().await?;
                    return Err(ClientError::PriceChanged { allowed: request.wal });
                }
                _ => effects.check()?,
            }
            let gas = &mut transaction.gas_payment;
            let wanted = effects.gas.before_rebate();
            let margin = (wanted / 5).saturating_add(gas.price.saturating_mul(5000));
            gas.budget = gas.budget.min(wanted.saturating_add(margin));
            return Ok(transaction);
        }
        Err(ClientError::unreachable("simulation of a transaction", "the servers disagree about the wallet's objects"))
    }

    async fn assemble<F>(
        &self,
        inner: &Inner<'_>,
        request: &Request,
        build: &F,
        state: Arc<WalrusState>,
    ) -> ClientResult<Transaction>
    where
        F: Fn(&mut Tx) -> ClientResult<()> + Send + Sync,
    {
        let sender = self.wallet.address();
        let (objects, sui, wal, gas_info) = futures::try_join!(
            self.fresh_objects(inner, &request.objects),
            self.fresh_coins(inner, sui_type()),
            async {
                if request.wal == 0 { Ok(Vec::new()) } else { self.fresh_coins(inner, state.wal_type.clone()).await }
            },
            self.chain.transport().gas_info(),
        )?;
        if gas_info.reference_price > self.config.max_gas_price {
            return Err(ClientError::bad(
                "gas price",
                format!(
                    "the server asks for {} MIST per unit, more than the {} that may be paid",
                    gas_info.reference_price, self.config.max_gas_price
                ),
            ));
        }
        let available = sum(&wal);
        if available < request.wal {
            let needed = request.wal;
            return Err(ClientError::Unfunded { coin: "FROST", needed, available, address: sender });
        }
        let mut tx = Tx::new(state, sender, objects);
        let wal: Vec<_> = wal.iter().take(MAX_COINS).map(|(coin, _)| coin.reference()).collect();
        tx.use_wal(&wal, request.wal)?;
        build(&mut tx)?;

        let gas: Vec<_> = sui.iter().take(MAX_COINS).collect();
        let available = gas.iter().fold(0u64, |sum, (_, balance)| sum.saturating_add(*balance));
        let least = gas_info.reference_price.saturating_mul(2000);
        let needed = request.sui.saturating_add(least);
        if available < needed {
            return Err(ClientError::Unfunded { coin: "MIST", needed, available, address: sender });
        }
        let payment = GasPayment {
            objects: gas.iter().map(|(coin, _)| coin.reference()).collect(),
            owner: sender,
            price: gas_info.reference_price,
            budget: self.config.max_budget.min(available - request.sui),
        };
        tx.finish(payment, TransactionExpiration::Epoch(gas_info.epoch.saturating_add(1)))
    }

    /// Objects at versions not older than what this executor has seen.
    async fn fresh_objects(&self, inner: &Inner<'_>, ids: &[ObjectId]) -> ClientResult<Vec<ObjectInfo>> {
        let mut backoff = Backoff::new(&self.config.policy);
        loop {
            let mut found = Vec::with_capacity(ids.len());
            for (id, object) in ids.iter().zip(self.chain.transport().objects(ids).await?) {
                found.push(object.ok_or_else(|| ClientError::NotFound { what: format!("object {id}") })?);
            }
            if found.iter().all(|object| inner.is_fresh(object)) {
                return Ok(found);
            }
            if !backoff.wait().await {
                return Err(ClientError::unreachable("objects of the wallet", "the server is behind"));
            }
        }
    }

    /// The wallet's coins of one type, largest first, none older than what this executor has seen.
    async fn fresh_coins(&self, inner: &Inner<'_>, coin_type: TypeTag) -> ClientResult<Vec<(ObjectInfo, u64)>> {
        let mut backoff = Backoff::new(&self.config.policy);
        loop {
            let coins = self.chain.coins(&self.wallet.address(), &coin_type).await?;
            if coins.iter().all(|(coin, _)| inner.is_fresh(coin)) {
                return Ok(coins.into_iter().filter(|(_, balance)| *balance > 0).collect());
            }
            if !backoff.wait().await {
                return Err(ClientError::unreachable("coins of the wallet", "the server is behind"));
            }
        }
    }

    fn sign_and_store(&self, inner: &mut Inner<'_>, request: &Request, transaction: &Transaction) -> ClientResult<u64> {
        let signature = self.wallet.sign(transaction)?.to_bytes();
        let bytes = bcs::to_bytes(transaction)
            .map_err(|error| ClientError::Invalid(format!("the transaction cannot be serialized: {error}")))?;
        inner.store.append(request.intent.clone(), bytes, signature)
    }

    async fn settle_pending(&self, inner: &mut Inner<'_>) -> ClientResult<()> {
        while let Some(record) = inner.store.pending() {
            let transaction: Transaction = bcs::from_bytes(&record.transaction)
                .map_err(|error| ClientError::Invalid(format!("a stored transaction cannot be read: {error}")))?;
            let (ticket, bytes, signature) = (record.ticket, record.transaction.clone(), record.signature.clone());
            let settled = self.settle_one(&transaction, &bytes, &signature).await?;
            if let Settled::Final(effects) = &settled {
                inner.learn(effects);
                self.account(effects).await;
            }
            inner.store.settle(ticket, settled)?;
            inner.store.forget_without_intent(ticket)?;
        }
        Ok(())
    }

    /// Sends the same bytes until it is known what became of them.
    async fn settle_one(&self, transaction: &Transaction, bytes: &[u8], signature: &[u8]) -> ClientResult<Settled> {
        let digest = transaction.digest();
        let mut backoff = Backoff::new(&self.config.policy);
        loop {
            let outcome = self.chain.transport().execute(bytes, signature).await;
            (self.config.answered)();
            let reason = match outcome {
                SendOutcome::Final(effects) => return Ok(Settled::Final(effects)),
                SendOutcome::Refused(reason) => {
                    tracing::warn!(%digest, reason, "a server refused the transaction");
                    reason
                }
                SendOutcome::Unknown(reason) => {
                    tracing::warn!(%digest, reason, "no answer to the transaction");
                    reason
                }
            };
            match self.fate(transaction, &digest).await {
                Ok(Some(settled)) => return Ok(settled),
                Ok(None) => {}
                Err(error) => tracing::debug!(%digest, %error, "its fate cannot be asked for"),
            }
            if !backoff.wait().await {
                return Err(ClientError::OutcomeUnknown { digest: digest.to_string(), reason });
            }
        }
    }

    /// Whether it is settled: effects, or an input that moved on, or the expiration has passed.
    async fn fate(&self, transaction: &Transaction, digest: &Digest) -> ClientResult<Option<Settled>> {
        let transport = self.chain.transport();
        if let Some(effects) = transport.effects(digest).await? {
            return Ok(Some(Settled::Final(effects)));
        }
        let inputs = owned_inputs(transaction);
        let ids: Vec<ObjectId> = inputs.iter().map(|(id, _)| *id).collect();
        let current = transport.objects(&ids).await?;
        for ((id, version), object) in inputs.iter().zip(current) {
            // A missing object may be a server's lag as well: only a newer version is proof.
            let Some(object) = object.filter(|object| object.version > *version) else { continue };
            if object.previous_transaction.as_ref() == Some(digest) {
                // Executed: its effects will be served soon.
                return Ok(None);
            }
            // The version is used up, so the bytes are harmless now; whether *they* used it is asked once more.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Ok(Some(match transport.effects(digest).await? {
                Some(effects) => Settled::Final(effects),
                None => Settled::Dropped(format!("object {id} moved on to version {}", object.version)),
            }));
        }
        if let TransactionExpiration::Epoch(last) = transaction.expiration {
            let epoch = transport.gas_info().await?.epoch;
            if epoch > last {
                return Ok(Some(match transport.effects(digest).await? {
                    Some(effects) => Settled::Final(effects),
                    None => Settled::Dropped(format!("it expired with epoch {last} of the chain")),
                }));
            }
        }
        Ok(None)
    }
}

impl Inner<'_> {
    fn is_fresh(&self, object: &ObjectInfo) -> bool {
        match self.known.get(&object.id) {
            None => true,
            Some(None) => false,
            Some(Some(version)) => object.version >= *version,
        }
    }

    fn learn(&mut self, effects: &Effects) {
        if self.known.len() > MAX_KNOWN {
            self.known.clear();
        }
        for object in &effects.changed {
            // Shared objects move on without us and are never named by version.
            if !matches!(object.owner, Some(crate::chain::Owner::Shared { .. })) {
                self.known.insert(object.id, object.output.map(|(version, _)| version));
            }
        }
    }
}

fn sui_type() -> TypeTag {
    TypeTag::Struct(Box::new(sui_sdk_types::StructTag::sui()))
}

fn sum(coins: &[(ObjectInfo, u64)]) -> u64 {
    coins.iter().take(MAX_COINS).fold(0, |sum, (_, balance)| sum.saturating_add(*balance))
}

/// Owned objects that the transaction names, gas included, with their versions.
fn owned_inputs(transaction: &Transaction) -> Vec<(ObjectId, u64)> {
    let mut owned: Vec<(ObjectId, u64)> =
        transaction.gas_payment.objects.iter().map(|coin| (*coin.object_id(), coin.version())).collect();
    if let TransactionKind::ProgrammableTransaction(program) = &transaction.kind {
        for input in &program.inputs {
            if let Input::ImmutableOrOwned(reference) = input {
                owned.push((*reference.object_id(), reference.version()));
            }
        }
    }
    owned
}
