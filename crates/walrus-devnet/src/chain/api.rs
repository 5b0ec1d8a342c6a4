//! The chain as the rest of the local network sees it: open, serve, read, advance.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use sui_sdk_types::{
    Address, Argument, Command, Digest, Event, ExecutionStatus, Identifier, Input, MoveCall, Mutability,
    ObjectReference, Owner, ProgrammableTransaction, SharedInput, SplitCoins, StructTag, Transaction,
    TransactionEffects, TransferObjects, TypeTag, UserSignature,
};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use walrus_client::wire::bls::BlsPublicKey;
use walrus_client::wire::chain::{
    Committee, EpochState, StakingInnerV1, StakingPool, StoragePoolInnerV1, dynamic_object_field_id, versioned_field_id,
};

use super::execute::{CLOCK, Refused};
use super::executor::{
    Answer, Build, Entrance, Executor, Head, Job, Rules, field_value, now_ms, seal_checkpoint, staking_inner,
};
use super::founding::{FoundingIds, found};
use super::genesis::GenesisConfig;
use super::moves;
use super::packages::PackageIds;
use super::store::{ObjectSource, Snapshot, Store, StoreError, StoredTransaction};

const STORE_FILE: &str = "chain.redb";
const RULES_KEY: &str = "rules";
const SLASHING_KEY: &str = "slashing";

/// A running chain. Cheap to clone; the executor ends when the last clone is dropped.
#[derive(Clone)]
pub struct Chain {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    rules: Arc<Rules>,
    jobs: Sender<Job>,
    head: watch::Receiver<Head>,
    events: watch::Receiver<u64>,
}

/// What can go wrong with the chain itself (not with a transaction).
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The store cannot be opened, read or written: disk full, permissions, another process, damage.
    #[error("chain store: {0}")]
    Store(String),
    /// The genesis configuration contradicts itself.
    #[error("genesis: {0}")]
    Genesis(String),
    /// An in-process call on the chain was refused by its rules.
    #[error("chain call {call}: {reason}")]
    Refused {
        /// The Move function.
        call: &'static str,
        /// Abort location and code, or the input that was wrong.
        reason: String,
    },
    /// The listener or the server failed.
    #[error("chain server: {0}")]
    Serve(#[from] std::io::Error),
}

/// The ids that a network file, `devnet status` and a client's configuration need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkIds {
    /// Digest of the genesis checkpoint: the chain id.
    pub chain_id: Digest,
    /// The shared `system::System` object.
    pub system_object: Address,
    /// The shared `staking::Staking` object.
    pub staking_object: Address,
    /// The Walrus package (original and called are the same here; clients must not rely on it).
    pub walrus_package: Address,
    /// The package of the WAL coin.
    pub wal_package: Address,
    /// `0x..::wal::WAL`.
    pub wal_type: StructTag,
    /// The package of the exchange.
    pub exchange_package: Address,
    /// The shared `wal_exchange::Exchange<..>` object.
    pub exchange_object: Address,
    /// The Drive package `walrusfs`.
    pub drive_package: Address,
}

/// Where the epoch machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochPhase {
    /// Nodes are still taking over shards; the number is the weight that reported done.
    Sync {
        /// Shards of the nodes that reported.
        weight: u16,
    },
    /// The epoch runs since this time (milliseconds since the Unix epoch).
    Done {
        /// When a quorum had reported.
        since_ms: u64,
    },
    /// As `Done`, and the next epoch's committee is chosen.
    NextSelected {
        /// When a quorum had reported.
        since_ms: u64,
    },
}

/// One member of a committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitteeMember {
    /// Node id, which is also the id of its staking pool object.
    pub node_id: Address,
    /// The id of its `StorageNodeCap` object.
    pub cap_id: Address,
    /// Its name.
    pub name: String,
    /// `host:port`.
    pub network_address: String,
    /// BLS12-381 public key, G1 compressed.
    pub bls_public_key: [u8; 48],
    /// TLS key, compressed P-256.
    pub network_public_key: [u8; 33],
    /// The shards it serves in this epoch.
    pub shards: Vec<u16>,
}

/// The committee and the state of the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitteeView {
    /// The Walrus epoch.
    pub epoch: u32,
    /// Shards of the network.
    pub n_shards: u16,
    /// State of the epoch machine.
    pub phase: EpochPhase,
    /// Members in the order of the signers bitmap (by node id).
    pub members: Vec<CommitteeMember>,
    /// The committee before this one; reads go there during `EpochPhase::Sync`.
    pub previous: Vec<CommitteeMember>,
}

/// An event of the chain's log.
#[derive(Clone, Debug)]
pub struct ChainEvent {
    /// Position in the log, from 1, without gaps.
    pub sequence: u64,
    /// The checkpoint that holds its transaction.
    pub checkpoint: u64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The transaction that emitted it.
    pub transaction: Digest,
    /// Its index in the transaction's events.
    pub index: u64,
    /// Type and BCS contents; `walrus_client::wire` has the layouts.
    pub event: Event,
}

/// What holds a registration of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationHolder {
    /// A `blob::Blob` object with storage of its own.
    Blob,
    /// A pooled blob; its end epoch is the pool's.
    Pool(Address),
}

/// One registration of a blob id that is not deleted. It may have expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRegistration {
    /// The `Blob` or `PooledBlob` object.
    pub object_id: Address,
    /// What it belongs to.
    pub holder: RegistrationHolder,
    /// Unencoded size in bytes.
    pub unencoded_size: u64,
    /// The encoding; 1 is RS2.
    pub encoding_type: u8,
    /// Whether its certificate must name the object.
    pub deletable: bool,
    /// Epoch of registration.
    pub registered_epoch: u32,
    /// Epoch of the first certification.
    pub certified_epoch: Option<u32>,
    /// First epoch in which it is no longer stored.
    pub end_epoch: u32,
    /// Log position of the event that brought it into its present state.
    pub event: u64,
    /// That event's transaction.
    pub event_transaction: Digest,
    /// That event's index in the transaction.
    pub event_index: u64,
}

/// A storage pool, as far as nodes care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// Encoded bytes reserved.
    pub capacity: u64,
    /// Encoded bytes in use.
    pub used: u64,
    /// First epoch that is included.
    pub start_epoch: u32,
    /// First epoch that is not included.
    pub end_epoch: u32,
    /// Blobs in the pool.
    pub blob_count: u64,
}

impl From<StoreError> for ChainError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// What the faucet gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gift {
    pub(crate) coin: Address,
    pub(crate) amount: u64,
    pub(crate) transaction: Digest,
}

impl Chain {
    /// Opens the chain in `dir` (made if missing); an empty store is filled from `genesis`, otherwise `genesis` is ignored.
    ///
    /// # Errors
    /// A store that cannot be opened, or a genesis configuration that contradicts itself.
    pub fn open(dir: &Path, genesis: &GenesisConfig) -> Result<Self, ChainError> {
        std::fs::create_dir_all(dir)?;
        let store = Arc::new(Store::open(&dir.join(STORE_FILE))?);
        let known: Option<(PackageIds, FoundingIds)> = store.snapshot()?.meta(RULES_KEY)?;
        let (package_ids, ids) = match known {
            Some(known) => known,
            None => Self::create(&store, genesis)?,
        };
        let packages = moves::packages(package_ids).map_err(ChainError::Genesis)?;
        let rules = Arc::new(Rules { packages, ids });
        let Entrance { jobs, head, events } = Executor::start(Arc::clone(&store), Arc::clone(&rules))?;
        Ok(Self { inner: Arc::new(Inner { store, rules, jobs, head, events }) })
    }

    fn create(store: &Store, genesis: &GenesisConfig) -> Result<(PackageIds, FoundingIds), ChainError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| ChainError::Genesis(error.to_string()))?;
        let now = now_ms();
        let mut founding = found(genesis, seed, now)?;
        let checkpoint = seal_checkpoint(0, 0, 0, None, now, Some((founding.digest, founding.digest)));
        founding.ids.chain_id = checkpoint.digest;
        let batch = store.batch()?;
        for object in &founding.objects {
            batch.put_object(object)?;
        }
        batch.put_checkpoint(&checkpoint)?;
        batch.set_meta(RULES_KEY, &(founding.package_ids, founding.ids.clone()))?;
        batch.set_meta(SLASHING_KEY, &founding.slashing)?;
        batch.commit()?;
        Ok((founding.package_ids, founding.ids))
    }

    /// The shared `slashing::SlashingManager`; chains that were founded without one have none.
    ///
    /// # Errors
    /// The store failed.
    pub fn slashing_manager(&self) -> Result<Option<Address>, ChainError> {
        Ok(self.snapshot()?.meta(SLASHING_KEY)?)
    }

    /// Puts an object into the store behind the contracts' back.
    #[cfg(test)]
    pub(super) fn replace_object(&self, object: &sui_sdk_types::Object) {
        let batch = self.inner.store.batch().unwrap();
        batch.put_object(object).unwrap();
        batch.commit().unwrap();
    }

    /// Whether `dir` holds a chain already.
    pub fn exists(dir: &Path) -> bool {
        dir.join(STORE_FILE).is_file()
    }

    /// Serves gRPC (native and gRPC-web, HTTP/1.1 and h2 in clear text) and the faucet (`POST /v2/gas`, and
    /// `POST /v2/wal` for WAL) on one port until `shutdown` resolves. Also lets epochs advance by the clock.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ChainError> {
        super::grpc::serve(self.clone(), listener, shutdown).await
    }

    /// The ids of this network.
    ///
    /// # Errors
    /// None today; reserved for chains whose ids change.
    pub fn ids(&self) -> Result<NetworkIds, ChainError> {
        Ok(self.inner.rules.ids.network(&self.inner.rules.packages.ids))
    }

    /// The current Walrus epoch.
    ///
    /// # Errors
    /// The store failed.
    pub fn epoch(&self) -> Result<u32, ChainError> {
        Ok(self.staking(&self.snapshot()?)?.epoch)
    }

    /// The committee and the phase of the epoch.
    ///
    /// # Errors
    /// The store failed.
    pub fn committee(&self) -> Result<CommitteeView, ChainError> {
        let snapshot = self.snapshot()?;
        let staking = self.staking(&snapshot)?;
        Ok(CommitteeView {
            epoch: staking.epoch,
            n_shards: staking.n_shards,
            phase: match staking.epoch_state {
                EpochState::EpochChangeSync(weight) => EpochPhase::Sync { weight },
                EpochState::EpochChangeDone(since_ms) => EpochPhase::Done { since_ms },
                EpochState::NextParamsSelected(since_ms) => EpochPhase::NextSelected { since_ms },
            },
            members: self.members(&snapshot, &staking, &staking.committee)?,
            previous: self.members(&snapshot, &staking, &staking.previous_committee)?,
        })
    }

    fn members(
        &self,
        snapshot: &Snapshot,
        staking: &StakingInnerV1,
        committee: &Committee,
    ) -> Result<Vec<CommitteeMember>, ChainError> {
        let member = |(node_id, shards): &(Address, Vec<u16>)| {
            let pool = pool_of(snapshot, staking, *node_id)?;
            let info = pool.node_info;
            let key = BlsPublicKey::from_uncompressed(&info.public_key)
                .map_err(|error| ChainError::Store(format!("key of node {node_id}: {error}")))?;
            let registered = |(node, _): &&(Address, Address)| node == node_id;
            let genesis_cap = self.inner.rules.ids.caps.iter().find(registered).map(|(_, cap)| *cap);
            let cap_id = match (genesis_cap, pool.commission_receiver) {
                (Some(cap), _) => cap,
                (None, walrus_client::wire::chain::Authorized::ObjectId(cap)) => cap,
                (None, walrus_client::wire::chain::Authorized::Address(_)) => Address::ZERO,
            };
            Ok(CommitteeMember {
                node_id: *node_id,
                cap_id,
                name: info.name,
                network_address: info.network_address,
                bls_public_key: key.to_compressed().0,
                network_public_key: info.network_public_key.0,
                shards: shards.clone(),
            })
        };
        committee.contents.iter().map(member).collect()
    }

    /// Position of the newest event, 0 when there is none; changes wake the receiver. Resume with
    /// [`Chain::events_after`].
    ///
    /// # Errors
    /// None today.
    pub fn watch_events(&self) -> Result<watch::Receiver<u64>, ChainError> {
        Ok(self.inner.events.clone())
    }

    /// At most `limit` events after position `after`, in order.
    ///
    /// # Errors
    /// The store failed.
    pub fn events_after(&self, after: u64, limit: usize) -> Result<Vec<ChainEvent>, ChainError> {
        let events = self.snapshot()?.events(after, limit)?;
        let public = |(sequence, stored): (u64, super::store::StoredEvent)| ChainEvent {
            sequence,
            checkpoint: stored.checkpoint,
            timestamp_ms: stored.timestamp_ms,
            transaction: stored.transaction,
            index: stored.index,
            event: stored.event,
        };
        Ok(events.into_iter().map(public).collect())
    }

    /// Every registration of a blob id that was not deleted, expired ones included. (Burning a blob tells nobody, here as on the
    /// real chain: such a registration stays until its end epoch.)
    ///
    /// # Errors
    /// The store failed.
    pub fn registrations(&self, blob_id: &[u8; 32]) -> Result<Vec<BlobRegistration>, ChainError> {
        let snapshot = self.snapshot()?;
        let mut registrations = Vec::new();
        for (object_id, record) in snapshot.blobs(blob_id)? {
            let (holder, end_epoch) = match record.pool {
                None => (RegistrationHolder::Blob, record.end_epoch),
                Some(pool) => {
                    // A pool that was destroyed holds nothing.
                    let end = pool_inner(&snapshot, pool)?.map_or(0, |inner| inner.storage.end_epoch);
                    (RegistrationHolder::Pool(pool), end)
                }
            };
            registrations.push(BlobRegistration {
                object_id,
                holder,
                unencoded_size: record.unencoded_size,
                encoding_type: record.encoding_type,
                deletable: record.deletable,
                registered_epoch: record.registered_epoch,
                certified_epoch: record.certified_epoch,
                end_epoch,
                event: record.event,
                event_transaction: record.event_transaction,
                event_index: record.event_index,
            });
        }
        Ok(registrations)
    }

    /// A storage pool by the id of its object.
    ///
    /// # Errors
    /// The store failed.
    pub fn pool(&self, pool: Address) -> Result<Option<PoolView>, ChainError> {
        Ok(pool_inner(&self.snapshot()?, pool)?.map(|inner| PoolView {
            capacity: inner.storage.storage_size,
            used: inner.used_encoded_bytes,
            start_epoch: inner.storage.start_epoch,
            end_epoch: inner.storage.end_epoch,
            blob_count: inner.blob_count,
        }))
    }

    /// Records a node's new `host:port` (`staking::set_network_address`).
    ///
    /// # Errors
    /// No such node, an address of more than 259 bytes, or the store failed.
    pub async fn set_node_address(&self, node_id: Address, address: &str) -> Result<(), ChainError> {
        let cap = self.cap(node_id)?;
        let address = address.to_owned();
        self.staking_call("set_network_address", move |program, source| {
            let cap = program.owned(source, cap)?;
            let address = program.pure(&address)?;
            Ok(vec![cap, address])
        })
        .await
        .map(|_| ())
    }

    /// Ends the epoch now, whatever the clock says: `voting_end` if it was not called, then `initiate_epoch_change`.
    /// Returns the new epoch, which is in [`EpochPhase::Sync`] until nodes of quorum weight reported.
    ///
    /// # Errors
    /// The last epoch change is not done yet, or the store failed.
    pub async fn begin_epoch(&self) -> Result<u32, ChainError> {
        let state = self.staking(&self.snapshot()?)?.epoch_state;
        if matches!(state, EpochState::EpochChangeDone(_)) {
            self.staking_call("voting_end", |program, source| Ok(vec![program.shared(source, CLOCK, false)?])).await?;
        }
        let (system, treasury) = (self.inner.rules.ids.system, self.inner.rules.ids.treasury);
        self.staking_call("initiate_epoch_change_v2", move |program, source| {
            Ok(vec![
                program.shared(source, system, true)?,
                program.shared(source, treasury, true)?,
                program.shared(source, CLOCK, false)?,
            ])
        })
        .await?;
        self.epoch()
    }

    /// A node reports that it holds its shards of `epoch` (`staking::epoch_sync_done`).
    ///
    /// # Errors
    /// Not a member, another epoch, reported before, or the store failed.
    pub async fn epoch_sync_done(&self, node_id: Address, epoch: u32) -> Result<(), ChainError> {
        let cap = self.cap(node_id)?;
        self.staking_call("epoch_sync_done", move |program, source| {
            let cap = program.owned(source, cap)?;
            let epoch = program.pure(&epoch)?;
            let clock = program.shared(source, CLOCK, false)?;
            Ok(vec![cap, epoch, clock])
        })
        .await
        .map(|_| ())
    }

    /// [`Chain::begin_epoch`], then reports sync for every member that did not report: for committees that do not change.
    ///
    /// # Errors
    /// As [`Chain::begin_epoch`].
    pub async fn advance_epoch(&self) -> Result<u32, ChainError> {
        let epoch = self.begin_epoch().await?;
        for member in self.committee()?.members {
            match self.epoch_sync_done(member.node_id, epoch).await {
                // The node was faster, or a quorum is complete and the phase is over.
                Ok(()) | Err(ChainError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(epoch)
    }

    /// Lets the epoch end when the clock says so; called once a second while the chain is served.
    pub(crate) async fn tick(&self) -> Result<(), ChainError> {
        let staking = self.staking(&self.snapshot()?)?;
        let (since, due) = match staking.epoch_state {
            EpochState::EpochChangeSync(_) => return Ok(()),
            EpochState::EpochChangeDone(since) => (since, staking.epoch_duration / 2),
            EpochState::NextParamsSelected(since) => (since, staking.epoch_duration),
        };
        if now_ms() < since.saturating_add(due) {
            return Ok(());
        }
        if matches!(staking.epoch_state, EpochState::EpochChangeDone(_)) {
            let clock =
                |program: &mut Program, source: &dyn ObjectSource| Ok(vec![program.shared(source, CLOCK, false)?]);
            return self.staking_call("voting_end", clock).await.map(|_| ());
        }
        if staking.next_committee.as_ref() == Some(&staking.committee) {
            self.advance_epoch().await?;
        } else {
            self.begin_epoch().await?;
        }
        Ok(())
    }

    fn cap(&self, node_id: Address) -> Result<Address, ChainError> {
        let refused = || ChainError::Refused { call: "staking", reason: format!("no node {node_id}") };
        let snapshot = self.snapshot()?;
        if let Some((_, cap)) = self.inner.rules.ids.caps.iter().find(|(node, _)| *node == node_id) {
            return Ok(*cap);
        }
        let staking = self.staking(&snapshot)?;
        match pool_of(&snapshot, &staking, node_id).map(|pool| pool.commission_receiver) {
            Ok(walrus_client::wire::chain::Authorized::ObjectId(cap)) => Ok(cap),
            _ => Err(refused()),
        }
    }

    /// A call of module `staking` by the chain itself; the Staking object is the first argument.
    async fn staking_call(
        &self,
        function: &'static str,
        arguments: impl FnOnce(&mut Program, &dyn ObjectSource) -> Result<Vec<Argument>, Refused> + Send + 'static,
    ) -> Result<StoredTransaction, ChainError> {
        let staking = self.inner.rules.ids.staking;
        let package = self.inner.rules.packages.ids.walrus;
        let build: Build = Box::new(move |source| {
            let mut program = Program::default();
            let mut all = vec![program.shared(source, staking, true)?];
            all.extend(arguments(&mut program, source)?);
            program.call(package, "staking", function, Vec::new(), all)?;
            Ok(program.finish())
        });
        self.system(function, build).await
    }

    /// Executes a transaction of the chain itself; an abort is an error here.
    async fn system(&self, call: &'static str, build: Build) -> Result<StoredTransaction, ChainError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Job::System { build, reply })?;
        let stored = answered(answer.await).map_err(|refused| match refused {
            Refused::Store(error) => ChainError::from(error),
            Refused::Invalid(reason) | Refused::NotFound(reason) => ChainError::Refused { call, reason },
        })?;
        match stored.effects.status() {
            ExecutionStatus::Success => Ok(stored),
            ExecutionStatus::Failure { error, .. } => Err(ChainError::Refused { call, reason: format!("{error:?}") }),
        }
    }

    fn submit(&self, job: Job) -> Result<(), ChainError> {
        self.inner.jobs.send(job).map_err(|_| ChainError::Store("the executor has ended".into()))
    }

    /// Executes a signed transaction.
    pub(crate) async fn execute(&self, transaction: Transaction, signatures: Vec<UserSignature>) -> Answer {
        let (reply, answer) = oneshot::channel();
        let job = Job::User { transaction: Box::new(transaction), signatures, reply };
        if self.submit(job).is_err() {
            return Err(Refused::Store(StoreError::Io(std::io::Error::other("the executor has ended"))));
        }
        answered(answer.await)
    }

    /// Asks for an empty checkpoint.
    pub(crate) fn heartbeat(&self) {
        // When the executor has ended there is nobody to keep awake.
        let _ = self.submit(Job::Heartbeat);
    }

    /// Gives SUI (or WAL from the exchange, 1:1) to an address.
    pub(crate) async fn give(&self, recipient: Address, amount: u64, wal: bool) -> Result<Gift, ChainError> {
        let ids = self.inner.rules.ids.clone();
        let packages = self.inner.rules.packages.ids;
        let build: Build = Box::new(move |source| {
            let mut program = Program::default();
            let faucet = program.owned(source, ids.faucet)?;
            let amount = program.pure(&amount)?;
            let recipient = program.pure(&recipient)?;
            program.commands.push(Command::SplitCoins(SplitCoins { coin: faucet, amounts: vec![amount] }));
            let mut coin = Argument::NestedResult(0, 0);
            if wal {
                let exchange = program.shared(source, ids.exchange, true)?;
                let call = "exchange_all_for_wal";
                program.call(packages.exchange, "wal_exchange", call, Vec::new(), vec![exchange, coin])?;
                coin = Argument::NestedResult(1, 0);
            }
            let transfer = TransferObjects { objects: vec![coin], address: recipient };
            program.commands.push(Command::TransferObjects(transfer));
            Ok(program.finish())
        });
        let stored = self.system("faucet", build).await?;
        let TransactionEffects::V2(effects) = &stored.effects else {
            return Err(ChainError::Store("effects of an unknown version".into()));
        };
        let new = effects.changed_objects.iter().find(|change| {
            change.id_operation == sui_sdk_types::IdOperation::Created
                && matches!(change.output_state, sui_sdk_types::ObjectOut::ObjectWrite { owner, .. }
                    if owner == Owner::Address(recipient))
        });
        let coin = new.map(|change| change.object_id).unwrap_or(Address::ZERO);
        Ok(Gift { coin, amount, transaction: effects.transaction_digest })
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.inner.store.snapshot()
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    pub(crate) fn head(&self) -> watch::Receiver<Head> {
        self.inner.head.clone()
    }

    fn staking(&self, snapshot: &Snapshot) -> Result<StakingInnerV1, ChainError> {
        staking_inner(snapshot, self.inner.rules.ids.staking)?
            .ok_or_else(|| ChainError::Store("the Staking object has no inner state".into()))
    }
}

fn answered(answer: Result<Answer, oneshot::error::RecvError>) -> Answer {
    answer.unwrap_or_else(|_| {
        Err(Refused::Store(StoreError::Io(std::io::Error::other("the executor ended before it answered"))))
    })
}

/// The staking pool of a node: a child object of the table of pools.
fn pool_of(snapshot: &Snapshot, staking: &StakingInnerV1, node_id: Address) -> Result<StakingPool, ChainError> {
    let missing = || ChainError::Store(format!("node {node_id} has no staking pool"));
    debug_assert!(
        snapshot
            .object(&dynamic_object_field_id(
                &staking.pools.id,
                &TypeTag::Struct(Box::new(StructTag::new(
                    Address::TWO,
                    Identifier::from_static("object"),
                    Identifier::from_static("ID"),
                    Vec::new(),
                ))),
                node_id.as_bytes(),
            ))
            .is_ok_and(|field| field.is_some())
    );
    let object = snapshot.object(&node_id)?.ok_or_else(missing)?;
    let contents = object.as_struct().map(|data| data.contents()).ok_or_else(missing)?;
    bcs::from_bytes(contents).map_err(|error| ChainError::Store(format!("pool of node {node_id}: {error}")))
}

/// The inner state of a storage pool, wherever the pool itself is.
fn pool_inner(snapshot: &Snapshot, pool: Address) -> Result<Option<StoragePoolInnerV1>, StoreError> {
    field_value(snapshot, versioned_field_id(&pool, 1), 8)
}

/// A programmable transaction of the chain itself, being put together.
#[derive(Default)]
struct Program {
    inputs: Vec<Input>,
    commands: Vec<Command>,
}

impl Program {
    fn input(&mut self, input: Input) -> Argument {
        let index = u16::try_from(self.inputs.len()).unwrap_or(u16::MAX);
        self.inputs.push(input);
        Argument::Input(index)
    }

    fn pure<T: serde::Serialize>(&mut self, value: &T) -> Result<Argument, Refused> {
        let bytes = bcs::to_bytes(value).map_err(|error| Refused::Invalid(error.to_string()))?;
        Ok(self.input(Input::Pure(bytes)))
    }

    fn owned(&mut self, source: &dyn ObjectSource, id: Address) -> Result<Argument, Refused> {
        let object = source.object(&id)?.ok_or_else(|| Refused::NotFound(format!("Object {id} not found")))?;
        let reference = ObjectReference::new(id, object.version(), object.digest());
        Ok(self.input(Input::ImmutableOrOwned(reference)))
    }

    fn shared(&mut self, source: &dyn ObjectSource, id: Address, mutable: bool) -> Result<Argument, Refused> {
        let object = source.object(&id)?.ok_or_else(|| Refused::NotFound(format!("Object {id} not found")))?;
        match object.owner() {
            Owner::Shared(initial) => {
                let shared = SharedInput::new(id, *initial, Mutability::from(mutable));
                Ok(self.input(Input::Shared(shared)))
            }
            _ => Err(Refused::Invalid(format!("object {id} is not shared"))),
        }
    }

    fn call(
        &mut self,
        package: Address,
        module: &str,
        function: &str,
        type_arguments: Vec<TypeTag>,
        arguments: Vec<Argument>,
    ) -> Result<(), Refused> {
        let name = |name: &str| Identifier::new(name).map_err(|error| Refused::Invalid(error.to_string()));
        let call = MoveCall { package, module: name(module)?, function: name(function)?, type_arguments, arguments };
        self.commands.push(Command::MoveCall(call));
        Ok(())
    }

    fn finish(self) -> ProgrammableTransaction {
        ProgrammableTransaction { inputs: self.inputs, commands: self.commands }
    }
}
