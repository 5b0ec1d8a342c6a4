//! One open drive: found, unlocked, followed, and leased for writing.

use super::failure::chain_error;
use super::object::{DriveObject, Holder, KeySlot};
use super::seal::{self, FORMAT, SealFacts};
use super::session::{Secrets, Session, Unlocked};
use super::state::DriveState;
use crate::crypto::slots::{self, KeyFile, SlotPlace, SlotSecret};
use crate::crypto::{KeyRing, MasterKey};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{DriveUid, KeyEpoch, Sequence};
use parking_lot::RwLock;
use std::path::PathBuf;
use std::sync::Arc;
use sui_sdk_types::{Address, Argument};
use walrus_client::chain::ObjectInfo;
use walrus_client::executor::{Executed, Paid, Request};
use walrus_client::tx::Tx;
use walrus_client::{ClientError, ClientResult};

/// How many servers a machine that has never seen a drive asks for it, where the network has them.
const FIRST_ANSWERS: usize = 2;

/// How a user names a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriveName {
    /// By its label, among the drives of the wallet.
    Label(String),
    /// By its object id.
    Id(Address),
}

impl std::fmt::Display for DriveName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => f.write_str(label),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// What a new drive is made of.
pub struct CreateOptions {
    /// Its label.
    pub label: String,
    /// Encoded bytes of capacity to buy.
    pub capacity: u64,
    /// Walrus epochs to pay for.
    pub epochs: u32,
    /// The first key slot; `None`: a new key file, in the keys folder or at `key_file`.
    pub secret: Option<SlotSecret>,
    /// Where a new key file goes instead of the keys folder.
    pub key_file: Option<PathBuf>,
}

/// An open drive. All methods take `&self`; changes happen one after the other.
pub struct DriveClient {
    pub(super) session: Session,
    pub(super) id: Address,
    pub(super) holder: Holder,
    keys: RwLock<Arc<KeyRing>>,
    state: RwLock<Arc<DriveState>>,
    /// Held through every change.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl DriveClient {
    /// Makes a new drive: its storage pool, its object and its first key slot, in one transaction. The key file is
    /// durable before anything is paid. The price is [`Session::quote_create`].
    ///
    /// # Errors
    /// [`Kind::Posix`] (`EEXIST`) when the wallet has a drive with this label; [`Kind::Unfunded`].
    pub async fn create(session: &Session, options: CreateOptions, holder: Holder) -> FsResult<Self> {
        let settled = session.executor.settle().await;
        settled.map_err(|error| chain_error("an earlier transaction of the wallet is not settled", error))?;
        let secrets = Secrets(options.secret.into_iter().collect());
        if session.list(&secrets).await?.iter().any(|drive| drive.label.as_ref() == Some(&options.label)) {
            return Err(FsError::new(
                Kind::Posix(libc::EEXIST),
                format!("the wallet has a drive {} already: choose another label", options.label),
            ));
        }
        let uid = DriveUid(random_bytes(session));
        let master = MasterKey::generate(&*session.random);
        let keys = KeyRing::new(uid, KeyEpoch(0), master, session.random.clone());
        let mut written = None;
        let fresh;
        let secret = match secrets.0.first() {
            Some(secret) => secret,
            None => {
                let key = KeyFile::generate(&*session.random);
                written = Some(match &options.key_file {
                    Some(path) => super::keep::write_key_file(path, &key).map(|()| path.clone())?,
                    None => session.keys.store_key_file(&uid, &key)?,
                });
                fresh = SlotSecret::KeyFile(key);
                &fresh
            }
        };
        let object = first_object(session, &keys, &options.label, secret)?;
        match submit_creation(session, &object, options.capacity, options.epochs).await {
            Ok(id) => {
                let info = first_reading(session, &id).await?;
                let unlocked = session.believe(session.decode(&info)?, keys)?;
                Self::start(session.clone(), id, holder, unlocked).await
            }
            Err(error) => {
                // The key of a drive that surely does not exist is of no use; of one that may exist it is everything.
                if let (Some(path), false) = (written, matches!(error, ClientError::OutcomeUnknown { .. })) {
                    let _ = std::fs::remove_file(path);
                }
                Err(chain_error("the drive could not be created", error))
            }
        }
    }

    /// Opens a drive. On a machine that has never seen it, several servers are asked and the newest answer is taken.
    ///
    /// # Errors
    /// [`Kind::Posix`] (`ENOENT`) when there is none of that name; [`Kind::WrongKey`] when no secret opens it;
    /// [`Kind::Stale`] when the server's answer is older than what this machine has seen; [`Kind::Corrupt`] when the seal
    /// does not match.
    pub async fn open(session: &Session, name: &DriveName, secrets: &Secrets, holder: Holder) -> FsResult<Self> {
        let settled = session.executor.settle().await;
        if let Err(error) = settled {
            tracing::warn!(%error, "an earlier transaction of the wallet is not settled yet");
        }
        let (id, found) = match name {
            DriveName::Id(id) => (*id, None),
            DriveName::Label(label) => {
                let (id, unlocked) = find(session, label, secrets).await?;
                (id, Some(unlocked))
            }
        };
        let seen = match &found {
            Some(found) => session.keys.seen(&found.object.uid)?.is_some(),
            None => false,
        };
        let unlocked = match found {
            Some(found) if seen => found,
            found => {
                let object = session.decode(&first_reading(session, &id).await?)?;
                match found {
                    // A passphrase takes a second: what it has opened is not opened again.
                    Some(found) if found.object == object => found,
                    _ => session.unlock(object, secrets)?,
                }
            }
        };
        Self::start(session.clone(), id, holder, unlocked).await
    }

    async fn start(session: Session, id: Address, holder: Holder, unlocked: Unlocked) -> FsResult<Self> {
        session.witness(&unlocked.object)?;
        let pool = session.read_pool(&id).await?;
        let Unlocked { object, keys, facts, label } = unlocked;
        let state = DriveState { object, facts, label, pool };
        Ok(Self {
            session,
            id,
            holder,
            keys: RwLock::new(Arc::new(keys)),
            state: RwLock::new(Arc::new(state)),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// What the wallet has paid since the session began.
    pub fn paid(&self) -> Paid {
        self.session.executor.paid()
    }

    /// The object's id.
    pub fn id(&self) -> Address {
        self.id
    }

    /// This machine's lease id.
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// The wallet and network.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The drive's keys; a new ring after a rotation.
    pub fn keys(&self) -> Arc<KeyRing> {
        self.keys.read().clone()
    }

    /// The newest verified state; no network.
    pub fn state(&self) -> Arc<DriveState> {
        self.state.read().clone()
    }

    /// Reads the Drive and its pool now. A server that lags changes nothing: the state never goes back.
    ///
    /// # Errors
    /// [`Kind::Unreachable`]; [`Kind::Corrupt`] and [`Kind::Stale`] when the server answers with something that cannot be
    /// the drive's next state; [`Kind::WrongKey`] when the keys were rotated by another machine (open it again).
    pub async fn refresh(&self) -> FsResult<Arc<DriveState>> {
        let info = self.read_object().await?;
        let object = self.session.decode(&info)?;
        let pool = self.session.read_pool(&self.id).await?;
        let known = self.state();
        if object.sequence < known.object.sequence {
            tracing::debug!(served = %object.sequence, known = %known.object.sequence, "the server is behind");
            return Ok(known);
        }
        if object.sequence == known.object.sequence {
            if object.seal != known.object.seal {
                self.session.witness(&object)?;
            }
            // Same sealed state; only the lease and the pool can differ.
            session_fields_equal(&object, &known.object)?;
            let state = DriveState { object, pool, ..(*known).clone() };
            return Ok(self.install(state));
        }
        let Unlocked { object, facts, label, .. } = self.session.believe(object, KeyRing::clone(&self.keys()))?;
        let follows = known.object.sequence.next() == Some(object.sequence);
        if follows && facts.previous != seal::hash(&known.object.seal) {
            return Err(FsError::new(
                Kind::Corrupt,
                format!(
                    "sequence {} of the drive does not follow the one before it: a server mixes histories",
                    object.sequence
                ),
            ));
        }
        self.session.witness(&object)?;
        Ok(self.install(DriveState { object, facts, label, pool }))
    }

    /// Makes `state` the newest, unless a newer one came in the meantime.
    pub(super) fn install(&self, state: DriveState) -> Arc<DriveState> {
        let mut newest = self.state.write();
        if state.object.sequence >= newest.object.sequence {
            *newest = Arc::new(state);
        }
        newest.clone()
    }

    pub(super) fn install_keys(&self, keys: KeyRing) {
        *self.keys.write() = Arc::new(keys);
    }

    async fn read_object(&self) -> FsResult<ObjectInfo> {
        let read = self.session.chain().object(&self.id).await;
        read.map_err(|error| chain_error("cannot read the drive", error))
    }

    /// Runs one transaction that names the Drive. `wal` is what it may spend, FROST.
    pub(super) async fn run<F>(&self, wal: u64, build: F) -> ClientResult<Executed>
    where
        F: Fn(&mut Tx, Argument) -> ClientResult<()> + Send + Sync,
    {
        let request = Request { intent: Vec::new(), objects: vec![self.id], wal, sui: 0 };
        let id = self.id;
        self.session
            .executor
            .run(request, move |tx| {
                let drive = tx.object(&id, true)?;
                build(tx, drive)
            })
            .await
    }

    // ----- lease -----

    /// Takes the lease, or takes it again after a crash. With `steal` also from a holder whose lease runs.
    ///
    /// # Errors
    /// [`Kind::LeaseLost`] when another holder has it: the message says until when.
    pub async fn acquire_lease(&self, steal: bool) -> FsResult<Arc<DriveState>> {
        let _one = self.changing.lock().await;
        let state = self.refresh().await?;
        let sequence = state.object.sequence.0;
        let result = self.run(0, |tx, drive| self.add_acquire(tx, drive, sequence, steal)).await;
        result.map_err(|error| self.lease_error(error))?;
        self.refresh_lease().await
    }

    /// Moves the lease's end to ten minutes from now. A commit does that too.
    pub async fn renew_lease(&self) -> FsResult<Arc<DriveState>> {
        let _one = self.changing.lock().await;
        let sequence = self.state().object.sequence.0;
        let result = self
            .run(0, |tx, drive| {
                let (sequence, holder, clock) = (tx.pure(&sequence)?, self.holder_argument(tx)?, tx.clock()?);
                self.call(tx, "renew_lease", vec![drive, sequence, holder, clock]).map(drop)
            })
            .await;
        result.map_err(|error| self.lease_error(error))?;
        self.refresh_lease().await
    }

    /// Gives the lease back, if this machine has it.
    pub async fn release_lease(&self) -> FsResult<()> {
        let _one = self.changing.lock().await;
        let state = self.refresh().await?;
        if !state.is_writer(&self.holder) {
            return Ok(());
        }
        let sequence = state.object.sequence.0;
        let result = self
            .run(0, |tx, drive| {
                let (sequence, holder) = (tx.pure(&sequence)?, self.holder_argument(tx)?);
                self.call(tx, "release_lease", vec![drive, sequence, holder]).map(drop)
            })
            .await;
        result.map_err(|error| self.lease_error(error))?;
        let state = self.state();
        let mut object = state.object.clone();
        object.writer = None;
        self.install(DriveState { object, ..(*state).clone() });
        Ok(())
    }

    /// After a call that surely took or renewed the lease: the chain's own figure, or a lower bound of it when the server
    /// lags.
    async fn refresh_lease(&self) -> FsResult<Arc<DriveState>> {
        let state = self.refresh().await?;
        Ok(if state.is_writer(&self.holder) { state } else { self.install(self.leased(&state)) })
    }

    /// `state` with this machine's lease, renewed now.
    pub(super) fn leased(&self, state: &DriveState) -> DriveState {
        let mut object = state.object.clone();
        object.writer = Some(super::object::Lease {
            holder: self.holder,
            expires_at_ms: self.session.clock.now_ms().saturating_add(LEASE_MS),
        });
        DriveState { object, ..state.clone() }
    }

    pub(super) fn lease_error(&self, error: ClientError) -> FsError {
        let error = chain_error("the right to write this drive", error);
        match self.state().lease().filter(|lease| lease.holder != self.holder) {
            Some(lease) if error.kind() == Kind::LeaseLost => {
                let seconds = lease.expires_at_ms.saturating_sub(self.session.clock.now_ms()) / 1000;
                FsError::new(
                    Kind::LeaseLost,
                    format!(
                        "another machine (lease {}) writes this drive; its lease ends in {seconds} s and can be taken over 2 \
                         minutes later; mount read-only, wait, or use `-o lease=steal`",
                        hex::encode(&lease.holder.0[..4])
                    ),
                )
                .caused_by(error)
            }
            _ => error,
        }
    }

    // ----- pieces of transactions -----

    pub(super) fn call(&self, tx: &mut Tx, function: &str, arguments: Vec<Argument>) -> ClientResult<Argument> {
        tx.call(self.session.package, "drive", function, Vec::new(), arguments)
    }

    pub(super) fn holder_argument(&self, tx: &mut Tx) -> ClientResult<Argument> {
        tx.pure(self.holder.0.as_slice())
    }

    pub(super) fn add_acquire(&self, tx: &mut Tx, drive: Argument, sequence: u64, steal: bool) -> ClientResult<()> {
        let arguments = vec![drive, tx.pure(&sequence)?, self.holder_argument(tx)?, tx.pure(&steal)?, tx.clock()?];
        self.call(tx, "acquire_lease", arguments).map(drop)
    }
}

/// How long a lease lasts on the chain, milliseconds.
const LEASE_MS: u64 = 10 * 60 * 1000;

fn random_bytes<const N: usize>(session: &Session) -> [u8; N] {
    let mut bytes = [0; N];
    session.random.fill(&mut bytes);
    bytes
}

/// Two readings of one sequence with the same seal must agree in everything that the seal covers; what cannot differ
/// is compared instead of opened again.
fn session_fields_equal(found: &DriveObject, known: &DriveObject) -> FsResult<()> {
    let found = DriveObject { writer: known.writer, ..found.clone() };
    if found == *known {
        Ok(())
    } else {
        Err(FsError::new(
            Kind::Corrupt,
            format!("the server answers with fields of sequence {} that its seal does not cover", known.sequence),
        ))
    }
}

/// A Drive that is read for the first time: from several servers, the newest answer.
async fn first_reading(session: &Session, id: &Address) -> FsResult<ObjectInfo> {
    let read = session.chain().object_from_many(id, FIRST_ANSWERS).await;
    read.map_err(|error| match error {
        ClientError::NotFound { .. } => {
            FsError::new(Kind::Posix(libc::ENOENT), format!("there is no drive {id} on this network"))
        }
        error => chain_error("cannot read the drive", error),
    })
}

/// The drive of the wallet with this label.
async fn find(session: &Session, label: &str, secrets: &Secrets) -> FsResult<(Address, Unlocked)> {
    let (mut locked, mut found) = (0, Vec::new());
    for (info, object) in session.owned().await? {
        match session.unlock(object, secrets) {
            Ok(unlocked) if unlocked.label == label => found.push((info.id, unlocked)),
            Ok(_) => {}
            Err(error) => {
                locked += 1;
                tracing::debug!(id = %info.id, %error, "a drive stays locked");
            }
        }
    }
    let several = found.len() > 1;
    match found.pop() {
        Some(_) if several => Err(FsError::new(
            Kind::Posix(libc::ENOTUNIQ),
            format!(
                "several drives of the wallet are called {label}: name one by its object id (`walrusfs drive list`)"
            ),
        )),
        Some(found) => Ok(found),
        None if locked > 0 => Err(FsError::new(
            Kind::WrongKey,
            format!("no drive that the keys at hand open is called {label}; of the wallet's, {locked} stay locked"),
        )),
        None => Err(FsError::new(
            Kind::Posix(libc::ENOENT),
            format!("the wallet {} has no drive {label}: `walrusfs drive create {label}` makes one", session.owner()),
        )),
    }
}

fn first_object(session: &Session, keys: &KeyRing, label: &str, secret: &SlotSecret) -> FsResult<DriveObject> {
    let place = SlotPlace { uid: keys.uid(), index: 0, key_epoch: keys.current() };
    let body = slots::wrap(keys.master(), place, secret, &*session.random)?;
    let mut object = DriveObject {
        id: [0; 32],
        format: FORMAT,
        uid: keys.uid(),
        sequence: Sequence(0),
        root: None,
        log: Vec::new(),
        seal: Vec::new(),
        keys: vec![KeySlot { kind: secret.kind() as u8, index: 0, key_epoch: keys.current(), body }],
        keyring: Vec::new(),
        writer: None,
        label: seal::seal_label(keys, label)?,
    };
    let facts = SealFacts { committed_at_ms: session.clock.now_ms(), previous: [0; 32], tag: random_bytes(session) };
    object.seal = seal::make(&object, keys, facts)?;
    Ok(object)
}

/// MIST that making a drive may burn, from a simulation with a drive of the same shape; the wallet must hold the price.
///
/// # Errors
/// [`Kind::Unfunded`] when it does not.
pub async fn gas_of_create(session: &Session, label: &str, capacity: u64, epochs: u32) -> FsResult<u64> {
    let keys = KeyRing::new(
        DriveUid(random_bytes(session)),
        KeyEpoch(0),
        MasterKey::generate(&*session.random),
        session.random.clone(),
    );
    let secret = SlotSecret::KeyFile(KeyFile::generate(&*session.random));
    let object = first_object(session, &keys, label, &secret)?;
    let priced = async {
        let wal = session.chain().state().await?.storage_cost(capacity, epochs)?;
        let request = Request { wal, ..Request::default() };
        session.executor.price(request, creation(session, &object, capacity, epochs)?).await
    };
    priced.await.map_err(|error| chain_error("the gas of a new drive cannot be computed", error))
}

/// The commands that make a drive: its pool, its object, to the wallet.
fn creation<'a>(
    session: &'a Session,
    object: &'a DriveObject,
    capacity: u64,
    epochs: u32,
) -> ClientResult<impl Fn(&mut Tx) -> ClientResult<()> + Send + Sync + 'a> {
    let slot = object.keys.first().ok_or_else(|| ClientError::Invalid("a drive needs a key slot".to_owned()))?;
    Ok(move |tx: &mut Tx| {
        let pool = tx.create_storage_pool(capacity, epochs)?;
        let pool_type = tx.pool_type()?;
        let arguments = vec![
            tx.pure(&object.format)?,
            tx.pure(object.uid.0.as_slice())?,
            tx.pure(object.label.as_slice())?,
            tx.pure(&slot.kind)?,
            tx.pure(&slot.key_epoch.0)?,
            tx.pure(slot.body.as_slice())?,
            tx.pure(object.seal.as_slice())?,
            pool,
        ];
        let drive = tx.call(session.package, "drive", "create", vec![pool_type], arguments)?;
        let owner = tx.sender();
        tx.transfer(vec![drive], owner)
    })
}

async fn submit_creation(session: &Session, object: &DriveObject, capacity: u64, epochs: u32) -> ClientResult<Address> {
    let wal = session.chain().state().await?.storage_cost(capacity, epochs)?;
    let request = Request { wal, ..Request::default() };
    let executed = session.executor.run(request, creation(session, object, capacity, epochs)?).await?;
    let created = executed.effects.created("drive", "Drive").next().map(|object| object.id);
    created.ok_or_else(|| ClientError::Execution { reason: "the transaction made no Drive".to_owned() })
}
