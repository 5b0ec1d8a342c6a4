//! Uploading: slivers to every node, a quorum of confirmations, a certificate.
//!
//! Mechanism: one task for each node puts the metadata, then both slivers of each of its pairs, then asks for the
//! confirmation, and repeats what failed. The upload is done when nodes with quorum weight have confirmed; the rest gets
//! a bounded time more, none at all if they are known to be ill. A dead, slow or lying node costs at most that time.
//!
//! Confirmations name the epoch. When it moves during the upload, everything is asked again of the new committee; what
//! nodes have already is not sent twice.
//!
//! Promises: every confirmation in a certificate was verified by itself. Dropping the future stops all of it.

use crate::chain::{Chain, Committee, Node};
use crate::error::{ClientError, ClientResult};
use crate::node::{NodeClient, NodeError};
use crate::retry::{Backoff, RetryPolicy};
use crate::wire::bls::BlsSignature;
use crate::wire::message::{Certificate, Persistence, StorageConfirmation};
use crate::wire::node::{StoredOnNodeStatus, reason};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use redstuff::{Axis, BlobId, Encoded, PairIndex};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The reason of a confirmation that is right in everything but its epoch.
pub(crate) const OTHER_EPOCH: &str = "OTHER_EPOCH";

/// Bounds of an upload.
#[derive(Clone, Debug)]
pub struct UploadConfig {
    /// How long nodes are tried again while there is no quorum.
    pub policy: RetryPolicy,
    /// Slivers under way to one node.
    pub per_node: usize,
    /// Bytes of slivers in memory for sending, all nodes together (one sliver at least).
    pub in_flight_bytes: usize,
    /// Time for stragglers after the quorum: this, plus half of what the quorum took ...
    pub min_tail: Duration,
    /// ... and at most this. Stragglers that take slivers all the while get this again and again, up to a quarter of what the quorum took.
    pub max_tail: Duration,
    /// How often the chain is asked for a new epoch while there is no quorum.
    pub epoch_check: Duration,
}

impl Default for UploadConfig {
    fn default() -> Self {
        Self {
            policy: RetryPolicy {
                total: Duration::from_secs(60),
                max_pause: Duration::from_secs(2),
                ..RetryPolicy::default()
            },
            per_node: 10,
            in_flight_bytes: 48 << 20,
            min_tail: Duration::from_millis(500),
            max_tail: Duration::from_secs(5),
            epoch_check: Duration::from_secs(5),
        }
    }
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadProgress {
    /// Bytes of slivers that nodes have.
    pub sent_bytes: u64,
    /// Bytes of slivers that a node took in this upload and did not have; from 0 again when the epoch changes.
    pub new_bytes: u64,
    /// Bytes of slivers in all.
    pub total_bytes: u64,
    /// Shards whose nodes have confirmed.
    pub confirmed: u32,
    /// Shards that must confirm.
    pub needed: u32,
}

/// Called on every step of an upload, from any thread.
pub type ProgressHook = Arc<dyn Fn(UploadProgress) + Send + Sync>;

/// An epoch that changes more often than this during one upload ends it.
const MAX_RESTARTS: usize = 5;
/// Slivers from this size on are not sent to a node that may have them already.
const STATUS_FIRST: usize = 5560;
/// Slivers up to this size are copied by the task that sends them: that takes less than two hand-overs to another thread.
const COPIED_HERE: usize = 256 << 10;
/// How long a node may wait for the registration when asked for a confirmation.
const REGISTRATION_WAIT: Duration = Duration::from_millis(1000);
/// The chain is asked for a new epoch on a node's word at most this often.
const HINT_INTERVAL: Duration = Duration::from_millis(500);
/// How often a node must have failed without taking a sliver before it is given up, whatever the time.
const LEAST_ATTEMPTS: u32 = 3;
/// How often a node is asked for a confirmation when nothing is uploaded.
const CONFIRM_ATTEMPTS: usize = 4;
/// The unit of the semaphore that bounds bytes in flight.
const KIB: usize = 1024;

/// What travels of one sliver: gathered and copied, nothing is computed.
fn body<B: AsRef<[u8]>>(encoded: &Encoded<B>, pair: PairIndex, axis: Axis) -> Result<Vec<u8>, redstuff::Error> {
    let params = encoded.params();
    match axis {
        Axis::Primary => encoded.primary(pair.sliver(params)).map(|sliver| sliver.to_bcs()),
        Axis::Secondary => encoded.secondary(pair.sliver(params)).map(|sliver| sliver.to_bcs()),
    }
}

/// Uploads an encoded blob that is registered as `persistence` says, and returns the certificate.
///
/// # Errors
/// [`ClientError::Confirmations`] if too few nodes confirm within the policy's time; the blob can be uploaded again.
pub async fn upload<B>(
    nodes: &Arc<NodeClient>,
    chain: &Chain,
    config: &UploadConfig,
    encoded: Arc<Encoded<B>>,
    persistence: Persistence,
    progress: Option<ProgressHook>,
) -> ClientResult<Certificate>
where
    B: AsRef<[u8]> + Send + Sync + 'static,
{
    for _ in 0..MAX_RESTARTS {
        let state = chain.state_within(config.epoch_check).await?;
        if encoded.params() != state.committee.params() {
            return Err(ClientError::Invalid(format!(
                "the blob is encoded for {} shards, the network has {}",
                encoded.params().n_shards(),
                state.n_shards()
            )));
        }
        let committee = state.committee.clone();
        let job = Arc::new(Job::new(nodes.clone(), config, encoded.clone(), persistence, committee, progress.clone()));
        match run(job, chain, config).await? {
            Some(certificate) => return Ok(certificate),
            None => tracing::info!(blob = %encoded.blob_id(), "the epoch changed: confirmations are collected anew"),
        }
    }
    Err(ClientError::unreachable(format!("upload of blob {}", encoded.blob_id()), "the epoch keeps changing"))
}

/// Collects a certificate for a blob that the nodes hold already, as [`upload`] left it: after an epoch change, or for
/// another registration of the same blob. Sends no slivers.
///
/// # Errors
/// [`ClientError::Confirmations`] if nodes with too little weight hold it completely: upload it again.
pub async fn confirm(
    nodes: &Arc<NodeClient>,
    chain: &Chain,
    config: &UploadConfig,
    blob: BlobId,
    persistence: Persistence,
) -> ClientResult<Certificate> {
    let mut state = chain.state_within(config.epoch_check).await?;
    for _ in 0..MAX_RESTARTS {
        let committee = state.committee.clone();
        let expected = StorageConfirmation::new(committee.epoch, blob, persistence);
        let asked = committee.nodes().iter().map(|node| {
            let expected = &expected;
            async move { (node, confirm_one(nodes, config, node, expected).await) }
        });
        let mut under_way: FuturesUnordered<_> = asked.collect();
        let (mut signatures, mut failures, mut weight) = (Vec::new(), Vec::new(), 0);
        let (mut epoch_checked, mut epoch_moved) = (false, false);
        while weight < committee.quorum()
            && let Some((node, result)) = under_way.next().await
        {
            match result {
                Ok(signature) => {
                    signatures.push((node.index, signature));
                    weight += node.weight();
                }
                Err(error) => {
                    if error.reason() == Some(OTHER_EPOCH) && !epoch_checked {
                        epoch_checked = true;
                        let fresh = chain.refresh().await?;
                        epoch_moved = fresh.epoch() != committee.epoch;
                        state = fresh;
                        if epoch_moved {
                            break;
                        }
                    }
                    failures.push(format!("{}: {error}", node.name));
                }
            }
        }
        drop(under_way);
        if epoch_moved {
            continue;
        }
        if weight >= committee.quorum() {
            return Certificate::aggregate(expected.to_bytes(), committee.nodes().len(), signatures)
                .map_err(|error| ClientError::bad("confirmations", error));
        }
        failures.truncate(8);
        return Err(ClientError::Confirmations {
            blob: blob.to_string(),
            weight,
            needed: committee.quorum(),
            n_shards: committee.params().n_shards(),
            detail: failures.join("; "),
        });
    }
    Err(ClientError::unreachable(format!("confirmation of blob {blob}"), "the epoch keeps changing"))
}

/// One node's confirmation, asked for a few times: a node may still be moving shards.
async fn confirm_one(
    nodes: &NodeClient,
    config: &UploadConfig,
    node: &Node,
    expected: &StorageConfirmation,
) -> Result<BlsSignature, NodeError> {
    let mut backoff = Backoff::new(&config.policy);
    for _ in 1..CONFIRM_ATTEMPTS {
        match nodes.confirmation(node, expected, REGISTRATION_WAIT).await {
            Ok(signature) => return Ok(signature),
            Err(error) if error.reason() == Some(OTHER_EPOCH) => return Err(error),
            Err(error) => tracing::debug!(node = %node.name, %error, "no confirmation yet"),
        }
        if !backoff.wait().await {
            break;
        }
    }
    nodes.confirmation(node, expected, REGISTRATION_WAIT).await
}

/// What the tasks of one upload to one committee share.
struct Job<B> {
    nodes: Arc<NodeClient>,
    encoded: Arc<Encoded<B>>,
    metadata: Bytes,
    expected: StorageConfirmation,
    committee: Arc<Committee>,
    policy: RetryPolicy,
    per_node: usize,
    in_flight: Semaphore,
    in_flight_limit: usize,
    epoch_hint: Notify,
    sent: AtomicU64,
    new: AtomicU64,
    total: u64,
    confirmed: AtomicU64,
    progress: Option<ProgressHook>,
}

/// Slivers of one node.
#[derive(Default)]
struct Stored {
    /// As far as we know it has these.
    held: HashSet<(PairIndex, Axis)>,
    /// It took these as new; that it did so twice is not counted.
    taken: HashSet<(PairIndex, Axis)>,
}

/// What became of a sliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    /// The node had it.
    Had,
    /// The node took it.
    Taken,
}

/// The time for stragglers after the quorum. A node that was left without slivers costs readers a rebuild for each of its rows, several
/// times their bytes, until it has recovered them: worth a wait if the node gets on, and a short one if it hangs.
struct Tail {
    ends: Instant,
    last: Instant,
    moved: u64,
}

impl Tail {
    /// After a quorum that `took` so long, when nodes had taken `moved` bytes.
    fn begin(config: &UploadConfig, took: Duration, moved: u64) -> Self {
        let now = Instant::now();
        let first = (config.min_tail + took / 2).min(config.max_tail);
        Self { ends: now + first, last: now + first.max(took / 4), moved }
    }

    /// At its end: whether it is longer because stragglers have taken slivers since, `moved` bytes in all now.
    fn goes_on(&mut self, config: &UploadConfig, moved: u64) -> bool {
        let now = Instant::now();
        if moved <= self.moved || now >= self.last {
            return false;
        }
        self.moved = moved;
        self.ends = (now + config.max_tail).min(self.last);
        true
    }
}

/// Collects confirmations; `None` when the epoch has moved.
async fn run<B>(job: Arc<Job<B>>, chain: &Chain, config: &UploadConfig) -> ClientResult<Option<Certificate>>
where
    B: AsRef<[u8]> + Send + Sync + 'static,
{
    let begun = Instant::now();
    let members = job.committee.nodes().len();
    let mut tasks = JoinSet::new();
    for index in 0..members {
        let job = job.clone();
        tasks.spawn(async move { (index, job.serve(index).await) });
    }
    let mut pending: HashSet<usize> = (0..members).collect();
    let mut signatures: Vec<(u16, BlsSignature)> = Vec::new();
    let mut failures: Vec<String> = Vec::new();
    let mut weight = 0u32;
    let mut tail: Option<Tail> = None;
    let mut next_check = begun + config.epoch_check;
    loop {
        let has_quorum = weight >= job.committee.quorum();
        if has_quorum && tail.is_none() {
            tail = Some(Tail::begin(config, begun.elapsed(), job.new.load(Ordering::Relaxed)));
        }
        if has_quorum && pending.iter().all(|index| job.is_ill(*index)) {
            break;
        }
        tokio::select! {
            finished = tasks.join_next() => match finished {
                None => break,
                Some(Err(error)) => failures.push(format!("a task ended: {error}")),
                Some(Ok((index, result))) => {
                    pending.remove(&index);
                    let Some(node) = job.committee.nodes().get(index) else { continue };
                    match result {
                        Ok(signature) => {
                            signatures.push((node.index, signature));
                            weight += node.weight();
                            job.confirmed.store(weight.into(), Ordering::Relaxed);
                            job.report();
                        }
                        Err(error) => failures.push(format!("{}: {error}", node.name)),
                    }
                }
            },
            () = job.epoch_hint.notified(), if !has_quorum => next_check = Instant::now(),
            () = tokio::time::sleep_until(tail.as_ref().map_or(next_check, |tail| tail.ends)) => {
                if let Some(tail) = &mut tail {
                    if tail.goes_on(config, job.new.load(Ordering::Relaxed)) {
                        continue;
                    }
                    // Who missed the tail is not waited for next time, until it has had time to recover.
                    pending.iter().filter_map(|index| job.committee.nodes().get(*index)).for_each(|node| {
                        job.nodes.health().was_late(&node.id);
                    });
                    break;
                }
                next_check = Instant::now() + config.epoch_check;
                // A node that says "another epoch" again and again must not make the chain be asked each time.
                if chain.state_within(HINT_INTERVAL).await.is_ok_and(|state| state.epoch() != job.committee.epoch) {
                    return Ok(None);
                }
            }
        }
    }
    drop(tasks);
    if weight >= job.committee.quorum() {
        let certificate = Certificate::aggregate(job.expected.to_bytes(), members, signatures)
            .map_err(|error| ClientError::bad("confirmations", error))?;
        return Ok(Some(certificate));
    }
    if chain.refresh().await.is_ok_and(|state| state.epoch() != job.committee.epoch) {
        return Ok(None);
    }
    failures.truncate(8);
    Err(ClientError::Confirmations {
        blob: job.encoded.blob_id().to_string(),
        weight,
        needed: job.committee.quorum(),
        n_shards: job.committee.params().n_shards(),
        detail: failures.join("; "),
    })
}

impl<B: AsRef<[u8]> + Send + Sync + 'static> Job<B> {
    fn new(
        nodes: Arc<NodeClient>,
        config: &UploadConfig,
        encoded: Arc<Encoded<B>>,
        persistence: Persistence,
        committee: Arc<Committee>,
        progress: Option<ProgressHook>,
    ) -> Self {
        let metadata = encoded.metadata();
        let pair = metadata.sliver_length(Axis::Primary) + metadata.sliver_length(Axis::Secondary);
        let in_flight_limit = (config.in_flight_bytes / KIB).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            metadata: Bytes::from(metadata.to_bcs()),
            expected: StorageConfirmation::new(committee.epoch, *encoded.blob_id(), persistence),
            total: pair as u64 * u64::from(encoded.params().n_shards()),
            in_flight: Semaphore::new(in_flight_limit),
            in_flight_limit,
            epoch_hint: Notify::new(),
            sent: AtomicU64::new(0),
            new: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            policy: config.policy.clone(),
            per_node: config.per_node.max(1),
            nodes,
            encoded,
            committee,
            progress,
        }
    }

    fn report(&self) {
        if let Some(progress) = &self.progress {
            progress(UploadProgress {
                sent_bytes: self.sent.load(Ordering::Relaxed),
                new_bytes: self.new.load(Ordering::Relaxed),
                total_bytes: self.total,
                confirmed: u32::try_from(self.confirmed.load(Ordering::Relaxed)).unwrap_or(u32::MAX),
                needed: self.committee.quorum(),
            });
        }
    }

    fn is_ill(&self, index: usize) -> bool {
        self.committee.nodes().get(index).is_none_or(|node| self.nodes.health().is_avoided(&node.id))
    }

    /// Brings one node to confirm, trying again until the policy's time has passed since it last took a sliver.
    async fn serve(&self, index: usize) -> Result<BlsSignature, NodeError> {
        let Some(node) = self.committee.nodes().get(index) else {
            return Err(NodeError::Unreachable("no such node".to_owned()));
        };
        let mut stored = Stored::default();
        let mut failures = 0;
        let mut backoff = Backoff::new(&self.policy);
        loop {
            let before = stored.taken.len();
            let error = match self.attempt(node, &mut stored).await {
                Ok(signature) => return Ok(signature),
                Err(error) => error,
            };
            failures = if stored.taken.len() > before { 0 } else { failures + 1 };
            if failures == 0 {
                backoff = Backoff::new(&self.policy);
            }
            match error.reason() {
                Some(OTHER_EPOCH | reason::SHARD_NOT_ASSIGNED) => self.epoch_hint.notify_one(),
                Some(reason::MISSING_SLIVERS | reason::METADATA_NOT_FOUND) => stored.held.clear(),
                _ => {}
            }
            tracing::debug!(node = %node.name, blob = %self.encoded.blob_id(), %error, "upload to a node failed");
            if !backoff.wait().await {
                // On a slow line one attempt may take longer than all the time there is.
                if failures >= LEAST_ATTEMPTS {
                    return Err(error);
                }
                tokio::time::sleep(self.policy.max_pause).await;
            }
        }
    }

    /// Everything that the node lacks, then its confirmation.
    async fn attempt(&self, node: &Node, stored: &mut Stored) -> Result<BlsSignature, NodeError> {
        let blob = *self.encoded.blob_id();
        let known = self.nodes.put_metadata(node, &blob, self.metadata.clone()).await? == 200;
        let mut wanted = self
            .committee
            .pairs_of(node, &blob)
            .flat_map(|pair| [(pair, Axis::Primary), (pair, Axis::Secondary)])
            .filter(|part| !stored.held.contains(part))
            .collect::<Vec<_>>()
            .into_iter();
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < self.per_node
                && let Some((pair, axis)) = wanted.next()
            {
                under_way.push(async move { (pair, axis, self.put_sliver(node, pair, axis, known).await) });
            }
            let Some((pair, axis, result)) = under_way.next().await else { break };
            let put = result?;
            let length = self.encoded.metadata().sliver_length(axis) as u64;
            stored.held.insert((pair, axis));
            if put == Put::Taken && stored.taken.insert((pair, axis)) {
                self.new.fetch_add(length, Ordering::Relaxed);
            }
            self.sent.fetch_add(length, Ordering::Relaxed);
            self.report();
        }
        drop(under_way);
        self.nodes.confirmation(node, &self.expected, REGISTRATION_WAIT).await
    }

    /// Puts one sliver, unless the node says that it has it.
    async fn put_sliver(&self, node: &Node, pair: PairIndex, axis: Axis, known: bool) -> Result<Put, NodeError> {
        let blob = *self.encoded.blob_id();
        let length = self.encoded.metadata().sliver_length(axis);
        if known
            && length >= STATUS_FIRST
            && self.nodes.sliver_status(node, &blob, pair, axis).await? != StoredOnNodeStatus::Nonexistent
        {
            return Ok(Put::Had);
        }
        let cost = u32::try_from(length.div_ceil(KIB).clamp(1, self.in_flight_limit)).unwrap_or(u32::MAX);
        let _bytes = self
            .in_flight
            .acquire_many(cost)
            .await
            .map_err(|_| NodeError::Unreachable("the upload is over".to_owned()))?;
        let body = if length <= COPIED_HERE {
            body(&self.encoded, pair, axis)
        } else {
            let encoded = self.encoded.clone();
            let copied = tokio::task::spawn_blocking(move || body(&encoded, pair, axis)).await;
            copied.map_err(|error| NodeError::Unreachable(format!("encoding ended: {error}")))?
        };
        let body = body.map_err(|error| NodeError::Unreachable(format!("encoding failed: {error}")))?;
        let status = self.nodes.put_sliver(node, &blob, pair, axis, Bytes::from(body)).await?;
        Ok(if status == 200 { Put::Had } else { Put::Taken })
    }
}
