//! The engine: when to make a cycle, who waits for it, what to tell.

use super::compaction::{self, Compaction, Plan};
use super::cycle::Cycle;
use super::loader::{Loader, blocking};
use super::network::{Capacity, Network};
use crate::cache::{PackReader, ReaderStats};
use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{PackNo, Sequence};
use crate::journal::{Journal, Usage};
use crate::seam::Clock;
use crate::tree::record::Key;
use crate::tree::{Fetch, Tree};
use crate::vfs::{Needs, Outcome, Scope, Vfs};
use parking_lot::Mutex;
use serde::Serialize;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How the pipeline behaves.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Size of a full pack, bytes; never above the committee's largest blob.
    pub pack_target: u64,
    /// Changes are certified after this long even when they are few.
    pub interval: Duration,
    /// How long a pack outlives the commit that dropped its last reference.
    pub gc_delay: Duration,
    /// Commits are made only while somebody waits for one ([`Engine::sync`]).
    pub on_demand: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pack_target: 64 << 20,
            interval: Duration::from_secs(30),
            gc_delay: Duration::from_secs(24 * 3600),
            on_demand: false,
        }
    }
}

/// What the pipeline works with.
#[derive(Clone)]
pub struct Parts {
    /// The files.
    pub vfs: Arc<Vfs>,
    /// The tree below them.
    pub tree: Arc<Tree>,
    /// The journal below both.
    pub journal: Arc<Journal>,
    /// Seals packs.
    pub keys: Arc<KeyRing>,
    /// Reads packs.
    pub reader: PackReader,
    /// Stores packs and commits.
    pub network: Arc<dyn Network>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What the pipeline is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing to do.
    #[default]
    Idle,
    /// Taking the lease.
    Lease,
    /// Cutting the journalled order.
    Cut,
    /// Packing and uploading chunks.
    Upload,
    /// Writing the tree.
    Tree,
    /// Certifying and committing.
    Commit,
}

impl Stage {
    /// Its name, as `status` and the metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Lease => "lease",
            Self::Cut => "cut",
            Self::Upload => "upload",
            Self::Tree => "tree",
            Self::Commit => "commit",
        }
    }
}

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What failed and what to do.
    pub message: String,
    /// Whether it may go away by itself (a network that is down), or somebody has to act.
    pub transient: bool,
}

/// Figures and state for `walrusfs status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Sequence of the last commit.
    pub sequence: u64,
    /// When it was made or first seen here, milliseconds since the Unix epoch.
    pub certified_at_ms: Option<u64>,
    /// Bytes of content only in memory.
    pub dirty_bytes: u64,
    /// Bytes of content in the journal that no commit holds.
    pub pending_bytes: u64,
    /// Whether there are changes that no commit holds.
    pub dirty: bool,
    /// Bytes of the journal on the local disk.
    pub journal_bytes: u64,
    /// What the pipeline is doing.
    pub stage: Stage,
    /// What is in the way, if anything.
    pub problem: Option<Problem>,
    /// What the pool can hold, bytes of file content at the rate of full packs, reserves taken off.
    pub capacity_bytes: u64,
    /// Taken of it.
    pub used_bytes: u64,
    /// Packs uploaded since the mount.
    pub packs: u64,
    /// Bytes of packs uploaded since the mount.
    pub packed_bytes: u64,
    /// Commits since the mount.
    pub commits: u64,
    /// Reads and cache.
    pub reads: ReaderStats,
}

/// How far the pipeline is, as those who wait for it see it.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Changes up to here are certified.
    certified: u64,
    /// Steps that failed so far; a waiter only believes failures newer than itself.
    failures: u64,
    /// The last failure that will not go away by itself, until a step succeeds.
    stuck: Option<(Kind, String)>,
}

#[derive(Default)]
struct State {
    stage: Stage,
    problem: Option<Problem>,
    certified_at_ms: Option<u64>,
    stopped: bool,
}

/// What the engine's task and its cycles share.
pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) config: Config,
    pub(super) loader: Loader,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    wanted: AtomicU64,
    /// Whether anybody has ever waited for a commit.
    asked: AtomicBool,
    wake: Notify,
    /// When to look at dead packs next, milliseconds since the Unix epoch.
    garbage_at_ms: AtomicU64,
    /// Blobs of an earlier life that were registered and never committed.
    orphans: Mutex<Vec<[u8; 32]>>,
    /// Blobs of the running cycle, (about to be) registered, as long as no commit may certify them.
    pub(super) unfinished: Mutex<Vec<[u8; 32]>>,
    compaction: Mutex<Compaction>,
    pub(super) packs: AtomicU64,
    pub(super) packed_bytes: AtomicU64,
    pub(super) commits: AtomicU64,
    cancel: CancellationToken,
}

/// The pipeline of one mounted drive.
pub struct Engine {
    shared: Arc<Shared>,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Engine {
    /// Starts the pipeline on the current runtime. What recovery put on top of the tree is certified like any change;
    /// `orphans` are the blobs that the journal's pending record names and no commit certified.
    pub fn start(parts: Parts, config: Config, certified_at_ms: Option<u64>, orphans: Vec<[u8; 32]>) -> Self {
        let shared = Self::shared(parts, config, certified_at_ms, orphans);
        let tasks = vec![
            tokio::spawn(cycles(Arc::clone(&shared))),
            tokio::spawn(ticks(Arc::clone(&shared))),
            tokio::spawn(write_backs(Arc::clone(&shared))),
        ];
        Self { shared, tasks: Mutex::new(tasks) }
    }

    fn shared(parts: Parts, config: Config, certified_at_ms: Option<u64>, orphans: Vec<[u8; 32]>) -> Arc<Shared> {
        let loader =
            Loader::new(Arc::clone(&parts.vfs), Arc::clone(&parts.tree), parts.reader.clone(), Arc::clone(&parts.keys));
        let shared = Arc::new(Shared {
            parts,
            config,
            loader,
            state: Mutex::new(State { certified_at_ms, ..State::default() }),
            progress: watch::Sender::new(Progress::default()),
            wanted: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            wake: Notify::new(),
            garbage_at_ms: AtomicU64::new(u64::MAX),
            orphans: Mutex::new(orphans),
            unfinished: Mutex::default(),
            compaction: Mutex::default(),
            packs: AtomicU64::new(0),
            packed_bytes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            cancel: CancellationToken::new(),
        });
        shared.announce_space();
        shared
    }

    /// For a read-only mount: loads and figures, nothing is ever committed.
    pub fn reader(parts: Parts, config: Config, certified_at_ms: Option<u64>) -> Self {
        let shared = Self::shared(parts, config, certified_at_ms, Vec::new());
        Self { shared, tasks: Mutex::default() }
    }

    /// A reader has switched to a commit made at `committed_at_ms`.
    pub fn seen_commit(&self, committed_at_ms: u64) {
        self.shared.state.lock().certified_at_ms = Some(committed_at_ms);
    }

    /// Loads what vfs operations wait for.
    pub fn loader(&self) -> &Loader {
        &self.shared.loader
    }

    /// Returns when everything that was done before the call is certified on the network.
    ///
    /// Dirty pages of the kernel are not known here: the caller pulls them out first (protocol of the fuse room).
    /// An error when a step fails for a reason that does not go away by itself; the pipeline keeps trying all the same.
    pub async fn sync(&self) -> FsResult<Sequence> {
        let shared = &self.shared;
        let wanted = shared.parts.vfs.counts().changes;
        let mut progress = shared.progress.subscribe();
        let failures_before = progress.borrow_and_update().failures;
        shared.wanted.fetch_max(wanted, Ordering::SeqCst);
        shared.asked.store(true, Ordering::SeqCst);
        shared.wake.notify_one();
        loop {
            let now = progress.borrow_and_update().clone();
            if now.certified >= wanted && !shared.behind() {
                return Ok(shared.parts.tree.sequence());
            }
            if shared.state.lock().stopped || now.failures > failures_before {
                if let Some((kind, message)) = now.stuck {
                    return Err(FsError::new(kind, message));
                }
                if shared.state.lock().stopped {
                    return Err(FsError::new(Kind::Internal, "the pipeline has ended; mount again"));
                }
            }
            if progress.changed().await.is_err() {
                return Err(FsError::new(Kind::Internal, "the pipeline has ended"));
            }
        }
    }

    /// Bytes of slivers that came from nodes so far.
    pub fn fetched_bytes(&self) -> u64 {
        self.shared.parts.reader.stats().fetched_bytes
    }

    /// Figures of now.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let (counts, usage) = (shared.parts.vfs.counts(), shared.parts.journal.usage());
        let Usage { bytes: journal_bytes, .. } = usage;
        let (capacity_bytes, used_bytes) = shared.space().unwrap_or_default();
        let state = shared.state.lock();
        Status {
            sequence: shared.parts.tree.sequence().0,
            certified_at_ms: state.certified_at_ms,
            dirty_bytes: counts.dirty_bytes,
            pending_bytes: counts.pending_bytes,
            dirty: shared.parts.tree.is_dirty() || counts.changes > shared.progress.borrow().certified,
            journal_bytes,
            stage: state.stage,
            problem: state.problem.clone(),
            capacity_bytes,
            used_bytes,
            packs: shared.packs.load(Ordering::Relaxed),
            packed_bytes: shared.packed_bytes.load(Ordering::Relaxed),
            commits: shared.commits.load(Ordering::Relaxed),
            reads: shared.parts.reader.stats(),
        }
    }

    /// Makes everything that was done before the call durable on the local disk.
    pub async fn flush(&self) -> FsResult<()> {
        let parts = &self.shared.parts;
        let vfs = Arc::clone(&parts.vfs);
        self.shared.loader.load(Needs { write_back: Some(Scope::All), ..Needs::default() }).await?;
        let tail = parts.journal.tail();
        blocking(move || vfs.sync_journal(tail)).await?
    }

    /// Ends the pipeline where it stands; the journal carries what is not certified. Gives the lease back when nothing
    /// is left to certify. Call [`Engine::sync`] before it to certify everything.
    pub async fn stop(&self) {
        self.shared.cancel.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            // A task that panicked has said so in the log; there is nothing left to wait for.
            let _ = task.await;
        }
        self.shared.state.lock().stopped = true;
        self.shared.progress.send_modify(|_| {});
        self.shared.give_up_unfinished().await;
        let (uncommitted, dirty) = (self.shared.parts.tree.is_dirty(), self.shared.parts.vfs.counts().dirty_bytes);
        if !uncommitted && dirty == 0 {
            match tokio::time::timeout(Duration::from_secs(15), self.shared.parts.network.give_lease()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the lease was not given back; it ends by itself"),
                Err(_) => tracing::warn!("the lease was not given back within 15 s; it ends by itself"),
            }
        } else {
            tracing::info!(uncommitted, dirty, "the lease is kept: there are changes that no commit holds");
        }
    }
}

impl Shared {
    pub(super) fn enter(&self, stage: Stage) {
        self.state.lock().stage = stage;
        self.parts.vfs.gets_on();
    }

    /// Whether the tree holds changes that no commit holds, whatever the counters say (recovery puts some there).
    fn behind(&self) -> bool {
        self.progress.borrow().certified == 0 && self.parts.tree.is_dirty()
    }

    /// Everything up to `changes` is certified.
    pub(super) fn certified(&self, changes: u64) {
        {
            let mut state = self.state.lock();
            state.problem = None;
            state.certified_at_ms = Some(self.parts.clock.now_ms());
        }
        self.progress.send_modify(|progress| {
            progress.certified = progress.certified.max(changes).max(1);
            progress.stuck = None;
        });
        self.announce_space();
    }

    /// Does `step` until it succeeds, telling what is in the way. Ends with an error only when the lease is lost.
    pub(super) async fn insist<T, F, Fut>(&self, what: &str, mut step: F) -> FsResult<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = FsResult<T>>,
    {
        let mut pause = Duration::from_millis(200);
        loop {
            let error = match step().await {
                Ok(value) => {
                    self.goes_on();
                    return Ok(value);
                }
                Err(error) => error,
            };
            self.failed(what, &error);
            if matches!(error.kind(), Kind::LeaseLost | Kind::WrongKey) {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }

    /// What failed works again.
    pub(super) fn goes_on(&self) {
        self.state.lock().problem = None;
    }

    /// Tells `status` and those who wait what is in the way.
    pub(super) fn failed(&self, what: &str, error: &FsError) {
        let transient = matches!(error.kind(), Kind::Unreachable | Kind::Internal);
        let message = format!("{what}: {error}");
        tracing::warn!(transient, "{message}");
        self.state.lock().problem = Some(Problem { message: message.clone(), transient });
        if error.kind() == Kind::PoolFull
            && let Some((_, used)) = self.space()
        {
            // Whatever the figures say (they do not know when the pool ends): nothing more fits until a commit gets through.
            self.parts.vfs.set_space(used, used);
        }
        self.progress.send_modify(|progress| {
            progress.failures += 1;
            progress.stuck = (!transient).then_some((error.kind(), message));
        });
    }

    /// Tells the vfs what the pool can hold.
    fn announce_space(&self) {
        if let Some((capacity, used)) = self.space() {
            self.parts.vfs.set_space(capacity, used);
        }
    }

    /// What the pool can hold and holds: the capacity less what is reserved for going on (two full packs and a
    /// checkpoint), in bytes of file content at the rate of a full pack.
    fn space(&self) -> Option<(u64, u64)> {
        let network = &self.parts.network;
        let Capacity { total, used } = network.capacity();
        let target = self.pack_target();
        let full = network.encoded_len(target).ok()?;
        let small = network.encoded_len(network.padding()).ok()?;
        let reserve = full.saturating_mul(2).saturating_add(small);
        let content = |encoded: u64| {
            u64::try_from(u128::from(encoded) * u128::from(target) / u128::from(full.max(1))).unwrap_or(u64::MAX)
        };
        Some((content(total.saturating_sub(reserve)), content(used)))
    }

    /// The size of a full pack on this network.
    pub(super) fn pack_target(&self) -> u64 {
        let padding = self.parts.network.padding().max(1);
        let most = self.config.pack_target.min(self.parts.network.max_blob());
        (most / padding * padding).max(padding)
    }

    fn due(&self, dirty_since: Option<Instant>) -> bool {
        let counts = self.parts.vfs.counts();
        let certified = self.progress.borrow().certified;
        let asked =
            self.wanted.load(Ordering::SeqCst) > certified || self.asked.load(Ordering::SeqCst) && self.behind();
        if self.config.on_demand {
            return asked;
        }
        // A change that waits for room in the journal gets none without a commit.
        let full =
            counts.short_of_room || counts.pending_bytes.saturating_add(counts.dirty_bytes) >= self.pack_target();
        let old = dirty_since.is_some_and(|since| since.elapsed() >= self.config.interval);
        asked
            || self.behind()
            || (counts.changes > certified && (full || old))
            || self.garbage_due()
            || self.compaction_due()
            || !self.orphans.lock().is_empty()
    }

    /// Gives back the capacity of what a cycle that was stopped had registered; otherwise the next mount here would.
    async fn give_up_unfinished(&self) {
        let blobs = std::mem::take(&mut *self.unfinished.lock());
        if blobs.is_empty() {
            return;
        }
        match tokio::time::timeout(Duration::from_secs(15), self.parts.network.sweep(&blobs)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "unfinished uploads keep their capacity until the next mount"),
            Err(_) => tracing::warn!("unfinished uploads keep their capacity until the next mount: no answer in 15 s"),
        }
    }

    pub(super) fn orphans(&self) -> Vec<[u8; 32]> {
        self.orphans.lock().clone()
    }

    pub(super) fn forget_orphans(&self) {
        self.orphans.lock().clear();
    }

    pub(super) fn garbage_due(&self) -> bool {
        self.garbage_at_ms.load(Ordering::Relaxed) <= self.parts.clock.now_ms()
    }

    /// Packs that the next commit may compact.
    pub(super) fn sparse(&self) -> Vec<PackNo> {
        self.compaction.lock().plan.packs.clone()
    }

    pub(super) fn compaction_due(&self) -> bool {
        self.compaction.lock().plan.pressing
    }

    /// A commit compacted what it could; these packs it is not to be offered again.
    pub(super) fn compacted(&self, unmovable: &[PackNo]) {
        let mut compaction = self.compaction.lock();
        compaction.unmovable.extend(unmovable);
        compaction.plan = Plan::default();
    }

    /// Finds out whether there is something to compact.
    pub(super) async fn look_for_sparse_packs(&self) {
        let except = self.compaction.lock().unmovable.clone();
        let parts = &self.parts;
        let plan = match parts.tree.occupancy(&except, &parts.reader.verified(), &parts.keys).await {
            Ok(found) => compaction::plan(&found, &*parts.network, self.pack_target()),
            Err(error) => Err(error),
        };
        match plan {
            Ok(plan) => self.compaction.lock().plan = plan,
            Err(error) => tracing::debug!(%error, "the pack table cannot be read now"),
        }
    }

    /// Something still reads packs that nothing names any more.
    pub(super) fn look_for_garbage_later(&self) {
        self.garbage_at_ms.store(self.parts.clock.now_ms().saturating_add(60_000), Ordering::Relaxed);
    }

    /// Finds out when the next pack may be deleted.
    pub(super) async fn look_for_garbage(&self) {
        match self.oldest_garbage().await {
            Ok(since) => {
                let due = since.map_or(u64::MAX, |since| since.saturating_add(self.gc_delay_ms()));
                self.garbage_at_ms.store(due, Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(%error, "the list of dead packs cannot be read now"),
        }
    }

    /// When the pack that died first died, milliseconds since the Unix epoch.
    async fn oldest_garbage(&self) -> FsResult<Option<u64>> {
        let (from, to) = (Key::dead(PackNo(0)), Key::dead(PackNo(u64::MAX)));
        let dead = loop {
            let mut dead = Vec::new();
            let scanned = self.parts.tree.scan(&from, &to, &mut |key, _| {
                dead.push(PackNo(key.num));
                if dead.len() < 1000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            match scanned {
                Fetch::Ready(()) => break dead,
                Fetch::Missing(node) => self.loader.node(node).await?,
            }
        };
        let mut oldest = None;
        for pack in dead {
            let entry = loop {
                match self.parts.tree.pack(pack)? {
                    Fetch::Ready(entry) => break entry,
                    Fetch::Missing(node) => self.loader.node(node).await?,
                }
            };
            let since = entry.and_then(|entry| entry.dead_since_ms);
            oldest = [oldest, since].into_iter().flatten().min();
        }
        Ok(oldest)
    }

    pub(super) fn gc_delay_ms(&self) -> u64 {
        u64::try_from(self.config.gc_delay.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The engine's task: waits for a reason, makes a cycle, again.
async fn cycles(shared: Arc<Shared>) {
    let mut dirty_since = None;
    shared.look_for_garbage().await;
    shared.look_for_sparse_packs().await;
    loop {
        let seen = shared.parts.vfs.counts().changes;
        let dirty = seen > shared.progress.borrow().certified;
        dirty_since = dirty.then(|| dirty_since.unwrap_or_else(Instant::now));
        if shared.due(dirty_since) {
            let made = tokio::select! {
                () = shared.cancel.cancelled() => return,
                made = Cycle::new(&shared).run() => made,
            };
            shared.enter(Stage::Idle);
            dirty_since = None;
            if let Err(error) = made {
                tracing::error!(%error, "the pipeline stops; the journal keeps what is not certified");
                shared.parts.vfs.set_read_only(true);
                shared.state.lock().stopped = true;
                shared.progress.send_modify(|progress| {
                    progress.failures += 1;
                    progress.stuck = Some((error.kind(), error.to_string()));
                });
                return;
            }
            continue;
        }
        let rest =
            dirty_since.map_or(shared.config.interval, |since| shared.config.interval.saturating_sub(since.elapsed()));
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(rest.clamp(Duration::from_millis(10), Duration::from_secs(1))) => {}
            () = async {
                shared.parts.vfs.touched(seen).await;
                // Changes come in thousands; one look at them every now and then is enough.
                tokio::time::sleep(Duration::from_millis(100)).await;
            } => {}
        }
    }
}

/// Writes back whenever dirty memory is half full, while programs go on writing into the other half.
async fn write_backs(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            () = shared.parts.vfs.pressed() => {}
        }
        let needs = Needs { write_back: Some(Scope::All), ..Needs::default() };
        if let Err(error) = shared.loader.load(needs).await {
            // Whoever wrote is told at the next flush or fsync; a disk that takes nothing is not asked all the time.
            tracing::warn!(%error, "dirty data could not be written to the journal");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Writes back what is old and reaps inodes without names, about once a second.
async fn ticks(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let vfs = Arc::clone(&shared.parts.vfs);
        let ticked = match blocking(move || vfs.tick()).await {
            Ok(Outcome::Done(done)) => done,
            Ok(Outcome::Wait(needs)) => shared.loader.load(needs).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ticked {
            tracing::warn!(%error, "housekeeping of the mounted files failed; it is tried again in a second");
        }
    }
}
