//! Changes of a drive: registering packs, committing, sweeping orphans.
//!
//! Every transaction here names the sequence that this machine has verified and the lease of this machine; the chain
//! refuses it whole when either is no longer so. Walrus calls run between `take_pool` and `put_pool`, so the pool is
//! fenced by the same two.

use super::client::DriveClient;
use super::failure::{chain_error, is_wrong_sequence};
use super::object::{DriveObject, MAX_APPEND, MAX_LOG};
use super::seal::{self, CommitTag, SealFacts};
use super::state::DriveState;
use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::Sequence;
use crate::pack::RootRef;
use std::sync::Arc;
use sui_sdk_types::{Address, Argument};
use walrus_client::chain::ObjectInfo;
use walrus_client::tx::{BlobParams, Tx, nth};
use walrus_client::wire::chain::{Field, PooledBlob, U256, pooled_blob_field_id};
use walrus_client::wire::message::Certificate;
use walrus_client::{ClientError, ClientResult};

/// Most blobs that one commit certifies.
pub const MAX_CERTIFICATES: usize = 64;
/// Most blobs that one transaction deletes.
pub const MAX_DELETIONS: usize = 64;
/// Most blobs that one transaction registers.
const MAX_REGISTRATIONS: usize = 64;

/// A blob to take capacity for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobToRegister {
    /// Its blob id.
    pub blob_id: [u8; 32],
    /// The root of its sliver hashes.
    pub root_hash: [u8; 32],
    /// Its unencoded length, bytes.
    pub size: u64,
}

/// A blob that the drive's pool holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredBlob {
    /// Its blob id.
    pub blob_id: [u8; 32],
    /// The `PooledBlob` object: storage confirmations of deletable blobs name it.
    pub object_id: Address,
    /// The Walrus epoch of its registration.
    pub registered_epoch: u32,
    /// Whether a commit has certified it.
    pub certified: bool,
    /// Its unencoded length, bytes.
    pub size: u64,
}

/// A blob whose storage a quorum of nodes confirmed.
#[derive(Clone, Debug)]
pub struct CertifiedBlob {
    /// Its blob id.
    pub blob_id: [u8; 32],
    /// The confirmations.
    pub certificate: Certificate,
}

/// The next state of the tree, and what must be true with it.
#[derive(Clone, Debug, Default)]
pub struct CommitPlan {
    /// A random name for this commit. The same plan keeps it when it is tried again.
    pub tag: CommitTag,
    /// The state that the plan was made from. A commit on any other is refused.
    pub base: Sequence,
    /// Blobs that are certified in the same transaction; at most [`MAX_CERTIFICATES`].
    pub certify: Vec<CertifiedBlob>,
    /// Blobs that are deleted in the same transaction, where the pool holds them; at most [`MAX_DELETIONS`].
    pub delete: Vec<[u8; 32]>,
    /// A new checkpoint.
    pub new_root: Option<RootRef>,
    /// How many entries at the beginning of the log the new checkpoint (or a delta run in it) contains.
    pub log_drop: usize,
    /// New entries, sealed and padded by the tree, whose they are.
    pub log_append: Vec<Vec<u8>>,
}

impl DriveClient {
    /// Registers blobs in the drive's pool as deletable, those that are not registered yet; takes the lease if nobody has
    /// it. The answer is in the order of `blobs`. Calling it again is harmless and free.
    ///
    /// # Errors
    /// [`Kind::PoolFull`] before anything is paid when the pool cannot hold them; [`Kind::Unfunded`]; [`Kind::LeaseLost`];
    /// [`Kind::Stale`]; [`Kind::Unreachable`], also when the outcome is not known yet.
    pub async fn register(&self, blobs: &[BlobToRegister]) -> FsResult<Vec<RegisteredBlob>> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let ids: Vec<[u8; 32]> = blobs.iter().map(|blob| blob.blob_id).collect();
        let known = self.pooled(&ids).await?;
        let missing: Vec<&BlobToRegister> =
            blobs.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(blob, _)| blob).collect();
        if missing.is_empty() {
            return self.all_registered(&ids, known);
        }
        let walrus = self.session.walrus().await?;
        let pool = self.live_pool(&walrus).await?;
        let priced = |error| chain_error("cannot compute what the blobs take", error);
        let mut encoded = 0u64;
        for blob in &missing {
            encoded = encoded.saturating_add(walrus.encoded_size(blob.size).map_err(priced)?);
        }
        if encoded > pool.free() {
            return Err(FsError::new(
                Kind::PoolFull,
                format!(
                    "the drive's storage pool has room for {} encoded bytes, {encoded} are needed: delete files or buy \
                     capacity (`walrusfs drive resize`)",
                    pool.free()
                ),
            ));
        }
        for batch in missing.chunks(MAX_REGISTRATIONS) {
            let mut wal = 0u64;
            for blob in batch {
                wal = wal.saturating_add(walrus.write_cost(blob.size).map_err(priced)?);
            }
            let lent = |tx: &mut Tx, pool: Argument| {
                batch.iter().try_for_each(|blob| {
                    let params = BlobParams {
                        blob_id: U256(blob.blob_id),
                        root_hash: U256(blob.root_hash),
                        size: blob.size,
                        deletable: true,
                    };
                    tx.register_pooled_blob(pool, &params)
                })
            };
            if let Err(error) = self.with_pool(wal, "packs could not be registered", lent).await {
                // The epoch may have moved since the pool was looked at, and the pool have ended with it.
                if let Ok(walrus) = self.session.chain().refresh().await {
                    self.live_pool(&walrus).await?;
                }
                return Err(error);
            }
        }
        self.update_pool().await;
        let known = self.pooled(&ids).await?;
        self.all_registered(&ids, known)
    }

    /// Commits: certifies and deletes blobs, and makes the next state of the tree, all or nothing. Answers with the new
    /// sequence, which is also the state from then on. The same plan given again after an unknown outcome is recognised by
    /// its tag and not made twice.
    ///
    /// # Errors
    /// [`Kind::Stale`] when the Drive is not at `plan.base`; [`Kind::LeaseLost`]; [`Kind::Unreachable`], also when the outcome is
    /// not known yet; [`Kind::Internal`] for a plan beyond the limits.
    pub async fn commit(&self, plan: &CommitPlan) -> FsResult<Sequence> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let mut state = self.state();
        if state.object.sequence != plan.base {
            state = self.refresh().await?;
        }
        if let Some(done) = committed_already(&state, plan) {
            return Ok(done);
        }
        if state.object.sequence != plan.base {
            return Err(stale(plan.base, state.object.sequence));
        }
        let next = self.next_object(&state, plan)?;
        // A pool that took the place of one that ended does not hold what had died before.
        let held = if plan.delete.is_empty() { Vec::new() } else { self.pooled(&plan.delete).await? };
        let delete: Vec<[u8; 32]> = held.into_iter().flatten().map(|blob| blob.blob_id).collect();
        match self.send_commit(&state, plan, &delete, &next).await {
            Ok(()) => {}
            Err(error) if is_wrong_sequence(&error) => {
                // An earlier attempt of this very plan may have been executed after all.
                let state = self.refresh().await?;
                return committed_already(&state, plan).ok_or_else(|| stale(plan.base, state.object.sequence));
            }
            Err(error) => return Err(self.lease_error(error)),
        }
        let facts = SealFacts {
            committed_at_ms: next.facts.committed_at_ms,
            previous: next.facts.previous,
            tag: next.facts.tag,
        };
        self.session.witness(&next.object)?;
        let committed = DriveState { object: next.object, facts, ..(*state).clone() };
        let sequence = committed.object.sequence;
        self.install(self.leased(&committed));
        if !plan.delete.is_empty() {
            self.update_pool().await;
        }
        Ok(sequence)
    }

    /// Certifies blobs that are registered in the pool; those that are certified already are passed over. A commit does this
    /// for its own packs; alone it is for packs that the tree names already.
    ///
    /// # Errors
    /// [`Kind::LeaseLost`]; [`Kind::Unreachable`]; what the chain says of a certificate, also when its epoch has passed.
    pub async fn certify(&self, blobs: &[CertifiedBlob]) -> FsResult<()> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let ids: Vec<[u8; 32]> = blobs.iter().map(|blob| blob.blob_id).collect();
        let known = self.pooled(&ids).await?;
        let open = blobs.iter().zip(known).filter(|(_, known)| known.is_none_or(|known| !known.certified));
        let open: Vec<&CertifiedBlob> = open.map(|(blob, _)| blob).collect();
        for batch in open.chunks(MAX_CERTIFICATES) {
            let lent = |tx: &mut Tx, pool: Argument| {
                batch.iter().try_for_each(|blob| tx.certify_pooled_blob(pool, U256(blob.blob_id), &blob.certificate))
            };
            self.with_pool(0, "packs could not be certified", lent).await?;
        }
        Ok(())
    }

    /// Deletes those of `blobs` that are registered in the pool and were never certified; answers how many there were. For
    /// blobs of attempts that were given up: nothing can refer to them.
    pub async fn sweep_orphans(&self, blobs: &[[u8; 32]]) -> FsResult<usize> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let known = self.pooled(blobs).await?;
        let orphans: Vec<[u8; 32]> =
            known.into_iter().flatten().filter(|blob| !blob.certified).map(|blob| blob.blob_id).collect();
        self.delete_registered(&orphans).await?;
        Ok(orphans.len())
    }

    /// Deletes blobs of the pool, certified or not: only for those that no pack of the committed tree is, and that no commit
    /// in flight names. Blobs that the pool does not hold are passed over; answers how many there were.
    pub async fn delete_unnamed(&self, blobs: &[[u8; 32]]) -> FsResult<usize> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let known = self.pooled(blobs).await?;
        let held: Vec<[u8; 32]> = known.into_iter().flatten().map(|blob| blob.blob_id).collect();
        self.delete_registered(&held).await?;
        Ok(held.len())
    }

    async fn delete_registered(&self, blobs: &[[u8; 32]]) -> FsResult<()> {
        for batch in blobs.chunks(MAX_DELETIONS) {
            let lent = |tx: &mut Tx, pool: Argument| {
                batch.iter().try_for_each(|blob| tx.delete_pooled_blob(pool, U256(*blob)))
            };
            self.with_pool(0, "packs that nothing names could not be deleted", lent).await?;
        }
        if !blobs.is_empty() {
            self.update_pool().await;
        }
        Ok(())
    }

    /// Every blob that the pool holds. One request per 500 blobs and two per 50.
    pub async fn all_pooled(&self) -> FsResult<Vec<RegisteredBlob>> {
        let table = self.state().pool.table;
        let read = async {
            let transport = self.session.chain().transport();
            let fields = transport.fields(&table).await?;
            let found = self.blobs_of(&fields).await?;
            Ok(found.into_iter().flatten().collect())
        };
        let found: ClientResult<Vec<RegisteredBlob>> = read.await;
        found.map_err(|error| chain_error("cannot list the storage pool", error))
    }

    /// The blobs behind fields of the pool's table, in order.
    async fn blobs_of(&self, fields: &[Address]) -> ClientResult<Vec<Option<RegisteredBlob>>> {
        let transport = self.session.chain().transport();
        let found = transport.objects(fields).await?;
        let mut ids = Vec::with_capacity(found.len());
        for field in found {
            ids.push(field.map(|field| field.decode::<Field<U256, Address>>()).transpose()?.map(|f| f.value));
        }
        let present: Vec<Address> = ids.iter().flatten().copied().collect();
        let mut objects = transport.objects(&present).await?.into_iter();
        // Only what has a field was asked for: an absent blob takes no answer.
        ids.into_iter().map(|id| id.and_then(|_| objects.next().flatten()).map(registered).transpose()).collect()
    }

    /// What the pool knows of `blobs`, in order; `None` where it does not hold one.
    pub async fn pooled(&self, blobs: &[[u8; 32]]) -> FsResult<Vec<Option<RegisteredBlob>>> {
        let table = self.state().pool.table;
        let fields: Vec<Address> = blobs.iter().map(|blob| pooled_blob_field_id(&table, &U256(*blob))).collect();
        let found = self.blobs_of(&fields).await;
        found.map_err(|error| chain_error("cannot read which packs are registered", error))
    }

    // ----- pieces -----

    /// Waits until it is known what became of an earlier transaction of the wallet.
    pub(super) async fn settle(&self) -> FsResult<()> {
        let settled = self.session.executor.settle().await;
        settled.map_err(|error| chain_error("an earlier transaction of the wallet is not settled", error))
    }

    /// Runs Walrus calls on the lent pool. Takes the lease in the same transaction when this machine does not have it.
    pub(super) async fn with_pool<F>(&self, wal: u64, doing: &str, lent: F) -> FsResult<()>
    where
        F: Fn(&mut Tx, Argument) -> ClientResult<()> + Send + Sync,
    {
        let state = self.state();
        let run = self.run(wal, |tx, drive| {
            self.add_lease(tx, drive, &state)?;
            self.add_loan(tx, drive, &state, &lent)
        });
        match run.await {
            Ok(_) => {
                self.install(self.leased(&state));
                Ok(())
            }
            Err(error) if is_wrong_sequence(&error) => Err(chain_error(doing, error)),
            Err(error) if error.abort().is_some_and(|abort| abort.module == "drive") => Err(self.lease_error(error)),
            Err(error) => Err(chain_error(doing, error)),
        }
    }

    /// The lease first, when this machine does not have it: free, or ended long enough ago.
    fn add_lease(&self, tx: &mut Tx, drive: Argument, state: &DriveState) -> ClientResult<()> {
        if state.is_writer(&self.holder) {
            return Ok(());
        }
        self.add_acquire(tx, drive, state.object.sequence.0, false)
    }

    fn add_loan<F>(&self, tx: &mut Tx, drive: Argument, state: &DriveState, lent: &F) -> ClientResult<()>
    where
        F: Fn(&mut Tx, Argument) -> ClientResult<()>,
    {
        let pool_type = tx.pool_type()?;
        let package = self.session.package;
        let arguments = vec![drive, tx.pure(&state.object.sequence.0)?, self.holder_argument(tx)?, tx.clock()?];
        let loan = tx.call(package, "drive", "take_pool", vec![pool_type.clone()], arguments)?;
        let (pool, receipt) = (nth(loan, 0), nth(loan, 1));
        lent(tx, pool)?;
        tx.call(package, "drive", "put_pool", vec![pool_type], vec![drive, pool, receipt]).map(drop)
    }

    fn next_object(&self, state: &DriveState, plan: &CommitPlan) -> FsResult<Next> {
        if plan.certify.len() > MAX_CERTIFICATES || plan.delete.len() > MAX_DELETIONS {
            return Err(FsError::new(
                Kind::Internal,
                format!(
                    "a commit certifies at most {MAX_CERTIFICATES} packs and deletes at most {MAX_DELETIONS}, not {} and {}",
                    plan.certify.len(),
                    plan.delete.len()
                ),
            ));
        }
        let mut object = state.object.clone();
        if plan.log_drop > object.log.len() {
            return Err(FsError::new(
                Kind::Internal,
                format!("a commit drops {} of {} log entries", plan.log_drop, object.log.len()),
            ));
        }
        object.log.drain(..plan.log_drop);
        let appended: usize = plan.log_append.iter().map(Vec::len).sum();
        if appended > MAX_APPEND || object.log_bytes() + appended > MAX_LOG {
            return Err(FsError::new(
                Kind::Internal,
                format!(
                    "a commit appends {appended} bytes to {} bytes of log: at most {MAX_APPEND} and {MAX_LOG} in all fit",
                    object.log_bytes()
                ),
            ));
        }
        object.log.extend(plan.log_append.iter().cloned());
        if plan.new_root.is_some() {
            object.root = plan.new_root;
        }
        self.seal_next(state, object, &self.keys(), plan.tag)
    }

    /// The state after `state` with the fields of `object`, sealed.
    pub(super) fn seal_next(
        &self,
        state: &DriveState,
        mut object: DriveObject,
        keys: &KeyRing,
        tag: CommitTag,
    ) -> FsResult<Next> {
        object.sequence = next_sequence(state)?;
        let facts =
            SealFacts { committed_at_ms: self.session.clock.now_ms(), previous: seal::hash(&state.object.seal), tag };
        object.seal = seal::make(&object, keys, facts)?;
        Ok(Next { object, facts })
    }

    async fn send_commit(
        &self,
        state: &DriveState,
        plan: &CommitPlan,
        delete: &[[u8; 32]],
        next: &Next,
    ) -> ClientResult<()> {
        let appended = &next.object.log[next.object.log.len() - plan.log_append.len()..];
        let drop = plan.log_drop as u64;
        let run = self.run(0, |tx, drive| {
            self.add_lease(tx, drive, state)?;
            if !(plan.certify.is_empty() && delete.is_empty()) {
                self.add_loan(tx, drive, state, &|tx: &mut Tx, pool| {
                    for blob in &plan.certify {
                        tx.certify_pooled_blob(pool, U256(blob.blob_id), &blob.certificate)?;
                    }
                    delete.iter().try_for_each(|blob| tx.delete_pooled_blob(pool, U256(*blob)))
                })?;
            }
            let root = self.add_root(tx, plan.new_root.as_ref())?;
            let arguments = vec![
                drive,
                tx.pure(&state.object.sequence.0)?,
                self.holder_argument(tx)?,
                root,
                tx.pure(&drop)?,
                tx.pure(appended)?,
                tx.pure(next.object.seal.as_slice())?,
                tx.clock()?,
            ];
            self.call(tx, "commit", arguments).map(std::mem::drop)
        });
        run.await.map(std::mem::drop)
    }

    fn add_root(&self, tx: &mut Tx, root: Option<&RootRef>) -> ClientResult<Argument> {
        let Some(root) = root else { return self.call(tx, "same_root", Vec::new()) };
        let arguments = vec![
            tx.pure(&U256(root.blob_id))?,
            tx.pure(&root.offset)?,
            tx.pure(&root.length)?,
            tx.pure(root.salt.as_slice())?,
            tx.pure(&root.key_epoch.0)?,
        ];
        self.call(tx, "root", arguments)
    }

    /// Runs a change that makes the sealed state `next`, and installs it.
    pub(super) async fn run_sealed<F>(&self, doing: &str, state: &DriveState, next: &Next, change: F) -> FsResult<()>
    where
        F: Fn(&mut Tx, Argument) -> ClientResult<()> + Send + Sync,
    {
        let run = self.run(0, |tx, drive| {
            self.add_lease(tx, drive, state)?;
            change(tx, drive)
        });
        if let Err(error) = run.await {
            return Err(if is_wrong_sequence(&error) { chain_error(doing, error) } else { self.lease_error(error) });
        }
        self.session.witness(&next.object)?;
        let state = DriveState { object: next.object.clone(), facts: next.facts, ..state.clone() };
        self.install(self.leased(&state));
        Ok(())
    }

    /// Reads the pool's figures again; the old ones stay when nobody answers, because they are figures for people and
    /// for a check that the chain makes again.
    pub(super) async fn update_pool(&self) {
        match self.session.read_pool(&self.id).await {
            Ok(pool) => {
                let state = self.state();
                self.install(DriveState { pool, ..(*state).clone() });
            }
            Err(error) => tracing::debug!(%error, "the pool's figures stay as they were"),
        }
    }

    fn all_registered(&self, ids: &[[u8; 32]], known: Vec<Option<RegisteredBlob>>) -> FsResult<Vec<RegisteredBlob>> {
        known
            .into_iter()
            .zip(ids)
            .map(|(blob, id)| {
                blob.ok_or_else(|| {
                    FsError::new(
                        Kind::Unreachable,
                        format!(
                            "pack {} was registered, but the server does not show it yet: try again",
                            hex::encode(id)
                        ),
                    )
                })
            })
            .collect()
    }

    pub(super) fn random_tag(&self) -> CommitTag {
        let mut tag = CommitTag::default();
        self.session.random.fill(&mut tag);
        tag
    }
}

/// A state that was sealed and not yet sent.
pub(super) struct Next {
    pub(super) object: DriveObject,
    facts: SealFacts,
}

fn next_sequence(state: &DriveState) -> FsResult<Sequence> {
    state.object.sequence.next().ok_or_else(|| FsError::new(Kind::Internal, "the drive's sequences are used up"))
}

/// The sequence of `plan`'s commit when `state` is the one that it made.
fn committed_already(state: &Arc<DriveState>, plan: &CommitPlan) -> Option<Sequence> {
    let is_next = plan.base.next() == Some(state.object.sequence);
    (is_next && state.facts.tag == plan.tag).then_some(state.object.sequence)
}

fn stale(base: Sequence, found: Sequence) -> FsError {
    FsError::new(
        Kind::Stale,
        format!("the drive is at sequence {found}, the commit was made for {base}: somebody else committed in between"),
    )
}

fn registered(object: ObjectInfo) -> ClientResult<RegisteredBlob> {
    if !object.is_type("storage_pool", "PooledBlob") {
        return Err(ClientError::Invalid(format!("object {} is no pooled blob", object.id)));
    }
    let blob: PooledBlob = object.decode()?;
    Ok(RegisteredBlob {
        blob_id: blob.blob_id.0,
        object_id: object.id,
        registered_epoch: blob.registered_epoch,
        certified: blob.certified_epoch.is_some(),
        size: blob.unencoded_size,
    })
}
