//! The one writer: takes transactions from a queue, executes them, commits, answers.
//!
//! Mechanism: a thread of its own. Whatever waits in the queue (up to [`GROUP`]) is executed in order against one batch, which is
//! committed once; answers go out after the commit. A refused transaction writes nothing. If the store fails, the whole group
//! gets the error and nothing of it happened.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use sui_sdk_types::{
    Address, CheckpointContents, CheckpointSummary, CheckpointTransactionInfo, Digest, GasCostSummary, GasPayment,
    MoveStruct, Object, ObjectData, ProgrammableTransaction, Transaction, TransactionEffects, TransactionExpiration,
    TransactionKind, UserSignature,
};
use tokio::sync::{oneshot, watch};
use walrus_client::wire::chain::{
    BlobCertified, BlobDeleted, BlobRegistered, Clock, PooledBlobCertified, PooledBlobDeleted, PooledBlobRegistered,
    StakingInnerV1, versioned_field_id,
};

use super::execute::{CLOCK, Context, Executed, Mode, Refused, check_signatures, execute};
use super::founding::FoundingIds;
use super::moves::VERSION;
use super::packages::Packages;
use super::store::{
    Batch, BlobRecord, ObjectSource, Snapshot, Store, StoreError, StoredCheckpoint, StoredEvent, StoredTransaction,
};

/// The most transactions in one commit.
const GROUP: usize = 64;

/// Builds the commands of a transaction of the chain itself from the state that it will run on.
pub(crate) type Build = Box<dyn FnOnce(&dyn ObjectSource) -> Result<ProgrammableTransaction, Refused> + Send>;

/// The answer to a transaction.
pub(crate) type Answer = Result<StoredTransaction, Refused>;

pub(crate) enum Job {
    User {
        transaction: Box<Transaction>,
        signatures: Vec<UserSignature>,
        reply: oneshot::Sender<Answer>,
    },
    System {
        build: Build,
        reply: oneshot::Sender<Answer>,
    },
    /// An empty checkpoint, for subscribers who would otherwise hear nothing.
    Heartbeat,
}

/// How far the chain is; what readers wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) checkpoint: u64,
    pub(crate) timestamp_ms: u64,
    pub(crate) epoch: u64,
}

/// What is needed to execute or to simulate.
pub(crate) struct Rules {
    pub(crate) packages: Packages,
    pub(crate) ids: FoundingIds,
}

impl Rules {
    /// This chain's epoch (Sui's, not Walrus's) at a time.
    pub(crate) fn epoch(&self, timestamp_ms: u64) -> u64 {
        timestamp_ms.saturating_sub(self.ids.genesis_ms) / self.ids.epoch_ms.max(1)
    }

    /// The context of an execution now.
    pub(crate) fn context<'a>(&'a self, source: &'a dyn ObjectSource, timestamp_ms: u64) -> Context<'a> {
        Context {
            source,
            packages: &self.packages,
            chain_id: self.ids.chain_id,
            epoch: self.epoch(timestamp_ms),
            timestamp_ms,
        }
    }
}

/// Milliseconds since the Unix epoch by the machine's clock.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// The writing side: what the thread owns.
pub(crate) struct Executor {
    store: Arc<Store>,
    rules: Arc<Rules>,
    last: StoredCheckpoint,
    total_transactions: u64,
    events: u64,
    head: watch::Sender<Head>,
    event_head: watch::Sender<u64>,
}

/// Ways into the executor.
pub(crate) struct Entrance {
    pub(crate) jobs: Sender<Job>,
    pub(crate) head: watch::Receiver<Head>,
    pub(crate) events: watch::Receiver<u64>,
}

impl Executor {
    /// Starts the thread. It ends when every sender of jobs is gone.
    pub(crate) fn start(store: Arc<Store>, rules: Arc<Rules>) -> Result<Entrance, StoreError> {
        let snapshot = store.snapshot()?;
        let last = snapshot.last_checkpoint()?.ok_or(StoreError::Format(0))?;
        let events = snapshot.last_event()?;
        drop(snapshot);
        let (jobs, queue) = channel();
        let (head, head_watch) = watch::channel(Head {
            checkpoint: last.summary.sequence_number,
            timestamp_ms: last.summary.timestamp_ms,
            epoch: last.summary.epoch,
        });
        let (event_head, event_watch) = watch::channel(events);
        let total_transactions = last.summary.network_total_transactions;
        let mut executor = Self { store, rules, last, total_transactions, events, head, event_head };
        std::thread::Builder::new().name("chain-executor".into()).spawn(move || executor.work(&queue))?;
        Ok(Entrance { jobs, head: head_watch, events: event_watch })
    }

    fn work(&mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            self.group(group);
        }
    }

    /// Executes and commits a group, then answers.
    fn group(&mut self, group: Vec<Job>) {
        let before = (self.last.clone(), self.total_transactions, self.events);
        let mut answers = Vec::new();
        match self.execute_group(group, &mut answers) {
            Ok(()) => {
                self.head.send_replace(Head {
                    checkpoint: self.last.summary.sequence_number,
                    timestamp_ms: self.last.summary.timestamp_ms,
                    epoch: self.last.summary.epoch,
                });
                self.event_head.send_if_modified(|head| std::mem::replace(head, self.events) != self.events);
                for (reply, answer) in answers {
                    // A caller that went away does not want its answer.
                    let _ = reply.send(answer);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the chain store failed; the transactions were not executed");
                (self.last, self.total_transactions, self.events) = before;
                let text = error.to_string();
                for (reply, _) in answers {
                    let error = StoreError::Io(std::io::Error::other(text.clone()));
                    let _ = reply.send(Err(Refused::Store(error)));
                }
            }
        }
    }

    fn execute_group(
        &mut self,
        group: Vec<Job>,
        answers: &mut Vec<(oneshot::Sender<Answer>, Answer)>,
    ) -> Result<(), StoreError> {
        // Every reply is registered before anything can fail, so that each caller hears about it.
        let mut work = Vec::with_capacity(group.len());
        let lost = || Err(Refused::Store(StoreError::Io(std::io::Error::other("not executed"))));
        for job in group {
            match job {
                Job::User { transaction, signatures, reply } => {
                    answers.push((reply, lost()));
                    work.push((Some(answers.len() - 1), Task::User(transaction, signatures)));
                }
                Job::System { build, reply } => {
                    answers.push((reply, lost()));
                    work.push((Some(answers.len() - 1), Task::System(build)));
                }
                Job::Heartbeat => work.push((None, Task::Heartbeat)),
            }
        }
        let batch = self.store.batch()?;
        for (index, task) in work {
            let answer = match task {
                Task::User(transaction, signatures) => self.user(&batch, *transaction, &signatures),
                Task::System(build) => self.system(&batch, build),
                Task::Heartbeat => {
                    self.checkpoint(&batch, None, self.timestamp())?;
                    continue;
                }
            };
            if let Err(Refused::Store(error)) = answer {
                return Err(error);
            }
            if let Some((_, slot)) = index.and_then(|index| answers.get_mut(index)) {
                *slot = answer;
            }
        }
        batch.commit()
    }

    /// The time of the next checkpoint: the machine's, but never backwards.
    fn timestamp(&self) -> u64 {
        now_ms().max(self.last.summary.timestamp_ms)
    }

    fn user(&mut self, batch: &Batch, transaction: Transaction, signatures: &[UserSignature]) -> Answer {
        if !matches!(transaction.kind, TransactionKind::ProgrammableTransaction(_)) {
            return Err(Refused::Invalid("only programmable transactions can be executed".into()));
        }
        check_signatures(&transaction, signatures)?;
        if let Some(stored) = batch.transaction(&transaction.digest())? {
            return Ok(stored);
        }
        let timestamp = self.timestamp();
        self.touch_clock(batch, &transaction, timestamp)?;
        let executed = execute(&self.rules.context(batch, timestamp), &transaction, Mode::User)?;
        let signatures = signatures.iter().map(UserSignature::to_bytes).collect();
        Ok(self.record(batch, transaction, signatures, executed, timestamp)?)
    }

    fn system(&mut self, batch: &Batch, build: Build) -> Answer {
        let program = build(batch)?;
        let timestamp = self.timestamp();
        let transaction = Transaction {
            kind: TransactionKind::ProgrammableSystemTransaction(program),
            sender: Address::ZERO,
            gas_payment: GasPayment { objects: Vec::new(), owner: Address::ZERO, price: 0, budget: 0 },
            // Makes each one's digest its own.
            expiration: TransactionExpiration::ValidDuring {
                min_epoch: None,
                max_epoch: None,
                min_timestamp: None,
                max_timestamp: None,
                chain: self.rules.ids.chain_id,
                nonce: (self.last.summary.sequence_number & u64::from(u32::MAX)) as u32,
            },
        };
        self.touch_clock(batch, &transaction, timestamp)?;
        let executed = execute(&self.rules.context(batch, timestamp), &transaction, Mode::System)?;
        Ok(self.record(batch, transaction, Vec::new(), executed, timestamp)?)
    }

    /// Sets the clock object to the transaction's time if the transaction reads it.
    fn touch_clock(&self, batch: &Batch, transaction: &Transaction, timestamp_ms: u64) -> Result<(), StoreError> {
        let reads = super::execute::program(transaction).is_some_and(|program| {
            program
                .inputs
                .iter()
                .any(|input| matches!(input, sui_sdk_types::Input::Shared(shared) if shared.object_id() == CLOCK))
        });
        let Some(object) = batch.object(&CLOCK)?.filter(|_| reads) else { return Ok(()) };
        let contents = Clock { id: CLOCK, timestamp_ms };
        let data = object.as_struct().and_then(|data| {
            let bytes = bcs::to_bytes(&contents).ok()?;
            MoveStruct::new(data.object_type().clone(), false, object.version() + 1, bytes)
        });
        match data {
            Some(data) => batch.put_object(&Object::new(
                ObjectData::Struct(data),
                *object.owner(),
                object.previous_transaction(),
                object.storage_rebate(),
            )),
            None => Ok(()),
        }
    }

    /// Stores an executed transaction with its checkpoint and events.
    fn record(
        &mut self,
        batch: &Batch,
        transaction: Transaction,
        signatures: Vec<Vec<u8>>,
        executed: Executed,
        timestamp_ms: u64,
    ) -> Result<StoredTransaction, StoreError> {
        for object in &executed.written {
            batch.put_object(object)?;
        }
        for id in &executed.removed {
            batch.remove_object(id)?;
        }
        let effects = TransactionEffects::V2(Box::new(executed.effects));
        self.total_transactions += 1;
        let info = (executed.digest, effects.digest());
        let checkpoint = self.checkpoint(batch, Some(info), timestamp_ms)?;
        for (index, event) in executed.events.iter().enumerate() {
            self.events += 1;
            let stored = StoredEvent {
                checkpoint,
                timestamp_ms,
                transaction: executed.digest,
                index: index as u64,
                event: event.clone(),
            };
            batch.put_event(self.events, &stored)?;
            self.index_blob(batch, &stored)?;
        }
        let stored = StoredTransaction {
            transaction,
            signatures,
            effects,
            events: executed.events,
            checkpoint,
            timestamp_ms,
            balance_changes: executed.balance_changes,
            object_types: executed.object_types,
        };
        batch.put_transaction(&executed.digest, &stored)?;
        Ok(stored)
    }

    fn checkpoint(
        &mut self,
        batch: &Batch,
        transaction: Option<(Digest, Digest)>,
        timestamp_ms: u64,
    ) -> Result<u64, StoreError> {
        let sequence_number = self.last.summary.sequence_number + 1;
        let stored = seal_checkpoint(
            sequence_number,
            self.rules.epoch(timestamp_ms),
            self.total_transactions,
            Some(self.last.digest),
            timestamp_ms,
            transaction,
        );
        batch.put_checkpoint(&stored)?;
        self.last = stored;
        Ok(sequence_number)
    }

    /// Keeps the index of registrations in step with the events.
    fn index_blob(&self, batch: &Batch, stored: &StoredEvent) -> Result<(), StoreError> {
        let event = &stored.event;
        if *event.type_.address() != self.rules.packages.ids.walrus || &**event.type_.module() != "events" {
            return Ok(());
        }
        let decode_error = |error| StoreError::Damaged("event", error);
        let place = |record: BlobRecord| BlobRecord {
            event: self.events,
            event_transaction: stored.transaction,
            event_index: stored.index,
            ..record
        };
        let contents = event.contents.as_slice();
        match event.type_.name().as_str() {
            "BlobRegistered" => {
                let event: BlobRegistered = bcs::from_bytes(contents).map_err(decode_error)?;
                let record = place(BlobRecord {
                    pool: None,
                    unencoded_size: event.size,
                    encoding_type: event.encoding_type,
                    deletable: event.deletable,
                    registered_epoch: event.epoch,
                    certified_epoch: None,
                    end_epoch: event.end_epoch,
                    event: 0,
                    event_transaction: stored.transaction,
                    event_index: 0,
                });
                batch.put_blob(&event.blob_id.0, &event.object_id, &record)
            }
            "PooledBlobRegistered" => {
                let event: PooledBlobRegistered = bcs::from_bytes(contents).map_err(decode_error)?;
                let record = place(BlobRecord {
                    pool: Some(event.storage_pool_id),
                    unencoded_size: event.unencoded_size,
                    encoding_type: event.encoding_type,
                    deletable: event.deletable,
                    registered_epoch: event.epoch,
                    certified_epoch: None,
                    end_epoch: 0,
                    event: 0,
                    event_transaction: stored.transaction,
                    event_index: 0,
                });
                batch.put_blob(&event.blob_id.0, &event.object_id, &record)
            }
            "BlobCertified" => {
                let event: BlobCertified = bcs::from_bytes(contents).map_err(decode_error)?;
                let Some(mut record) = batch.blob(&event.blob_id.0, &event.object_id)? else { return Ok(()) };
                record.certified_epoch = Some(event.epoch);
                record.end_epoch = event.end_epoch;
                batch.put_blob(&event.blob_id.0, &event.object_id, &place(record))
            }
            "PooledBlobCertified" => {
                let event: PooledBlobCertified = bcs::from_bytes(contents).map_err(decode_error)?;
                let Some(mut record) = batch.blob(&event.blob_id.0, &event.object_id)? else { return Ok(()) };
                record.certified_epoch = Some(event.epoch);
                batch.put_blob(&event.blob_id.0, &event.object_id, &place(record))
            }
            "BlobDeleted" => {
                let event: BlobDeleted = bcs::from_bytes(contents).map_err(decode_error)?;
                batch.remove_blob(&event.blob_id.0, &event.object_id)
            }
            "PooledBlobDeleted" => {
                let event: PooledBlobDeleted = bcs::from_bytes(contents).map_err(decode_error)?;
                batch.remove_blob(&event.blob_id.0, &event.object_id)
            }
            _ => Ok(()),
        }
    }
}

enum Task {
    User(Box<Transaction>, Vec<UserSignature>),
    System(Build),
    Heartbeat,
}

/// A checkpoint of at most one transaction.
pub(crate) fn seal_checkpoint(
    sequence_number: u64,
    epoch: u64,
    total: u64,
    previous_digest: Option<Digest>,
    timestamp_ms: u64,
    transaction: Option<(Digest, Digest)>,
) -> StoredCheckpoint {
    let infos = transaction
        .into_iter()
        .map(|(transaction, effects)| CheckpointTransactionInfo::new(transaction, effects, Vec::new()));
    let contents = CheckpointContents::new_v1(infos.collect());
    let summary = CheckpointSummary {
        epoch,
        sequence_number,
        network_total_transactions: total,
        content_digest: contents.digest(),
        previous_digest,
        epoch_rolling_gas_cost_summary: GasCostSummary::default(),
        timestamp_ms,
        checkpoint_commitments: Vec::new(),
        end_of_epoch_data: None,
        version_specific_data: Vec::new(),
    };
    let digest = summary.digest();
    StoredCheckpoint { summary, contents, digest }
}

/// The value of a dynamic field object.
pub(crate) fn field_value<T: serde::de::DeserializeOwned>(
    source: &dyn ObjectSource,
    field: Address,
    name_length: usize,
) -> Result<Option<T>, StoreError> {
    let Some(object) = source.object(&field)? else { return Ok(None) };
    let Some(value) = object.as_struct().and_then(|data| data.contents().get(32 + name_length..)) else {
        return Ok(None);
    };
    bcs::from_bytes(value).map(Some).map_err(|error| StoreError::Damaged("objects", error))
}

/// The inner state of the Staking object.
pub(crate) fn staking_inner(source: &Snapshot, staking: Address) -> Result<Option<StakingInnerV1>, StoreError> {
    field_value(source, versioned_field_id(&staking, VERSION), 8)
}
