//! The composition root: from a mount request to an open drive.

use super::request::{DriveName, Handover, MountRequest};
use super::serve::{OpenDrive, Pipeline, ask_to_leave};
use super::spawn::Parent;
use crate::cache::{CacheConfig, PackReader, SliverCache};
use crate::check::{Certain, Storage, WalrusStorage};
use crate::cli::args::SecretArgs;
use crate::cli::control::Status;
use crate::cli::cost::{CostBook, clamped};
use crate::cli::exit::{Code, Failure};
use crate::cli::home::{Home, private_dir, write_private};
use crate::cli::options::{Lease, MountOptions};
use crate::cli::output;
use crate::cli::secrets;
use crate::cli::session::{self, Account};
use crate::cli::status::sockets;
use crate::drive::{self, CreateOptions, DriveClient, Holder, Secrets};
use crate::error::{FsResult, Kind};
use crate::fuse::Loader;
use crate::ids::DriveUid;
use crate::journal::{Damage, Journal, Limits, Recovery};
use crate::seam::{BlockDir, Clock, OsDir, OsRandom, Random, SystemClock};
use crate::sync::{self, Engine, Parts, Pins, Reopened, WalrusNetwork, WalrusSlivers};
use crate::tree::{DriveState as TreeState, Ground, Tree};
use crate::vfs::{self, Ahead, Needs, Vfs};
use futures::FutureExt;
use futures::future::BoxFuture;
use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use redstuff::Params;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use walrus_client::chain::{Committee, Node, WalrusState};
use walrus_client::client::WalrusClient;

/// Encoded capacity of the drive that is made unasked, bytes (design.md 10).
const DEFAULT_CAPACITY: u64 = 256 << 30;

/// Memory that all buffers of a mount take when nothing else is said, bytes (design.md 6).
pub(crate) const DEFAULT_MEMORY: u64 = 512 << 20;

/// How often a reader looks for new commits, and a writer at the pool.
const FOLLOW: Duration = Duration::from_secs(5);

/// How long a process of the same drive that is ending is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Opens the drive of `handover`, making what is missing when the request allows it.
///
/// # Errors
/// Why it cannot be opened.
pub(crate) async fn open(home: &Home, handover: &Handover, parent: &mut Parent) -> Result<OpenDrive, Failure> {
    let request = &handover.request;
    let found = {
        let (home, name) = (home.clone(), request.network.clone());
        tokio::task::spawn_blocking(move || session::network(&home, name.as_deref()))
            .await
            .map_err(|error| Failure::new(Code::Failed, "starting the network was interrupted").caused_by(error))??
    };
    let mut account = session::open(home, found).await?;
    for line in std::mem::take(&mut account.made) {
        parent.say(line);
    }
    let holder = holder(home)?;
    // A mount works offline, on the state that was seen last; what it then does goes to the chain only.
    account.remembered.serve(true);
    let drive = Arc::new(open_drive(handover, &mut account, holder, parent).await?);
    account.pays_for(home, &drive);
    let state = account.client.state().await;
    let state =
        state.map_err(|error| Failure::from_fs("opening the drive", drive::chain_error("the network", error)))?;
    let read_only = decide_read_only(&request.options, &drive, parent)?;
    let lock = lock_drive(home, &drive, read_only).await?;
    let options = &request.options;
    let assembly = Assembly { home, options, account: &account, drive, state, read_only, lock, damaged: false };
    let opened = assembly.open(parent).await;
    if account.remembered.is_offline() {
        parent.say("the network does not answer: this is the drive as it was seen last; what you change is kept in the journal until it does");
    }
    account.remembered.serve(false);
    opened
}

/// This machine's lease id, kept in state/: whoever loses state/ waits for the old lease.
pub(crate) fn holder(home: &Home) -> Result<Holder, Failure> {
    let path = home.state.join("holder");
    let failed = |error| Failure::from_io(format!("cannot keep the lease id in {}", path.display()), error);
    match std::fs::read(&path) {
        Ok(bytes) => {
            if let Ok(id) = <[u8; drive::HOLDER_BYTES]>::try_from(bytes.as_slice()) {
                return Ok(Holder(id));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let id = OsRandom.bytes();
    write_private(&path, &id).map_err(failed)?;
    Ok(Holder(id))
}

/// The drive as the drive room names it.
pub(crate) fn drive_name(name: &DriveName) -> Result<drive::DriveName, Failure> {
    Ok(match name {
        DriveName::Label(label) => drive::DriveName::Label(label.clone()),
        DriveName::Id(id) => drive::DriveName::Id(
            id.parse().map_err(|error| Failure::usage(format!("`{id}` is not an object id: {error}")))?,
        ),
    })
}

async fn open_drive(
    handover: &Handover,
    account: &mut Account,
    holder: Holder,
    parent: &mut Parent,
) -> Result<DriveClient, Failure> {
    let request = &handover.request;
    let name = drive_name(&request.drive)?;
    let mut secrets = secrets::given(&request.options, &SecretArgs::default())?;
    if let Some(typed) = &handover.secrets.passphrase {
        secrets.0.push(secrets::passphrase(typed)?);
    }
    match DriveClient::open(&account.session, &name, &secrets, holder).await {
        Ok(drive) => Ok(drive),
        Err(error) if error.kind() == Kind::Posix(libc::ENOENT) && request.create => {
            may_create(request, account).await?;
            create_default(account, holder, parent).await
        }
        Err(error) if error.kind() == Kind::WrongKey && secrets.0.is_empty() => {
            Err(Failure::passphrase_wanted(&request.drive.source()).caused_by(error))
        }
        Err(error) => Err(Failure::from_fs(format!("{} cannot be opened", request.drive.source()), error)),
    }
}

/// Refuses to make a drive where one should have been found: an empty one in its place would look like a loss.
async fn may_create(request: &MountRequest, account: &Account) -> Result<(), Failure> {
    let network = &account.client.chain().network().name;
    if request.options.read_only {
        return Err(Failure::new(
            Code::NotFound,
            format!("the wallet has no drive `default` on the network {network}, and a read-only mount makes none"),
        ));
    }
    let keys = account.session.keys.has_drive_keys();
    let keys = keys.map_err(|error| Failure::from_fs("the keys folder cannot be looked at", error))?;
    let drives = account.session.list(&Secrets::default()).await;
    let drives = drives.map_err(|error| Failure::from_fs("the drives cannot be listed", error))?;
    if keys && drives.is_empty() {
        return Err(Failure::new(
            Code::NotFound,
            format!(
                "the keys folder holds keys of drives, but the wallet has no drive on the network {network}: is it the right network                  (`walrusfs config show`, --network)? `walrusfs drive create default` makes a new drive"
            ),
        ));
    }
    Ok(())
}

/// Makes the drive `default` on a network where nothing has a price.
async fn create_default(account: &mut Account, holder: Holder, parent: &mut Parent) -> Result<DriveClient, Failure> {
    if account.client.chain().network().faucet_url.is_none() {
        return Err(Failure::new(
            Code::NotFound,
            "the wallet has no drive `default`; `walrusfs drive create` makes one and shows the price first",
        ));
    }
    let making = |error| Failure::from_fs("the drive `default` cannot be made", error);
    let state = account.client.state().await;
    let state = state.map_err(|error| making(drive::chain_error("the network", error)))?;
    let epochs = state.max_epochs_ahead;
    let quote = account.session.quote_create(DEFAULT_CAPACITY, epochs).await.map_err(making)?;
    account.fund(quote.frost.saturating_add(quote.frost / 10)).await?;
    let options = CreateOptions {
        label: super::request::DEFAULT_LABEL.to_owned(),
        capacity: DEFAULT_CAPACITY,
        epochs,
        secret: None,
        key_file: None,
    };
    let drive = DriveClient::create(&account.session, options, holder).await.map_err(making)?;
    parent.say(format!(
        "made the drive `default`: {} of encoded capacity for {epochs} epochs, {}",
        output::bytes(DEFAULT_CAPACITY),
        output::coins(quote.frost, "WAL")
    ));
    let key = account.session.keys.key_path(&drive.state().uid());
    parent.say(format!("its key is in {}: keep a copy, without it nothing can be read", key.display()));
    Ok(drive)
}

/// Whether the mount is read-only, given who holds the lease.
pub(super) fn decide_read_only(
    options: &MountOptions,
    drive: &DriveClient,
    parent: &mut Parent,
) -> Result<bool, Failure> {
    /// Another machine takes over only this long after the lease's end (design.md 8), milliseconds.
    const GRACE_MS: u64 = 120_000;
    if options.read_only {
        return Ok(true);
    }
    let state = drive.state();
    let Some(lease) = state.lease().filter(|_| !state.is_writer(&drive.holder())) else { return Ok(false) };
    let free_at = lease.expires_at_ms.saturating_add(GRACE_MS);
    if free_at <= SystemClock.now_ms() || options.lease == Lease::Steal {
        return Ok(false);
    }
    let until = output::time(lease.expires_at_ms);
    if options.lease == Lease::ReadOnly {
        parent.say(format!("another machine writes to this drive until {until}: mounting read-only"));
        return Ok(true);
    }
    Err(Failure::new(
        Code::LeaseHeld,
        format!(
            "another machine (lease {}) writes to this drive until {until}; unmount it there, wait until {}, mount with \
             --read-only, or take over with -o lease=steal if that machine is lost",
            hex::encode(&lease.holder.0[..4]),
            output::time(free_at)
        ),
    ))
}

/// Where this machine's changes of a drive wait to be certified.
pub(super) fn journal_dir(home: &Home, options: &MountOptions, uid: &DriveUid) -> PathBuf {
    match &options.journal_dir {
        Some(dir) => dir.join(hex::encode(&uid.0[..16])),
        None => home.drive(uid).join("journal"),
    }
}

/// The lock that makes this the only process that writes to the drive on this machine.
///
/// # Errors
/// [`Code::Busy`] when another one does.
pub(super) async fn lock_drive(
    home: &Home,
    drive: &DriveClient,
    read_only: bool,
) -> Result<Option<Flock<File>>, Failure> {
    if read_only {
        return Ok(None);
    }
    let id = drive.id().to_string();
    let dir = home.drive(&drive.state().uid());
    private_dir(&dir)?;
    let path = dir.join("lock");
    let failed = |error| Failure::from_io(format!("cannot lock {}", path.display()), error);
    let mut file = File::options().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
    let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
    let mut asked = false;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((again, nix::errno::Errno::EWOULDBLOCK)) if tokio::time::Instant::now() < deadline => file = again,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                return Err(Failure::new(
                    Code::Busy,
                    "the drive is mounted on this machine already (see `walrusfs status`)",
                ));
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        }
        if !std::mem::replace(&mut asked, true) {
            // One that was unmounted, and certifies or is still in use, hands the drive over.
            ask_to_leave(sockets(&home.mounts())?, Some(id.clone())).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Everything that the rooms of an open drive are made from.
pub(super) struct Assembly<'a> {
    pub(super) home: &'a Home,
    pub(super) options: &'a MountOptions,
    pub(super) account: &'a Account,
    pub(super) drive: Arc<DriveClient>,
    pub(super) state: Arc<WalrusState>,
    pub(super) read_only: bool,
    pub(super) lock: Option<Flock<File>>,
    /// Whether a drive is opened too whose tree is damaged: for looking at it and mending, never for a mount.
    pub(super) damaged: bool,
}

impl Assembly<'_> {
    async fn open(self, parent: &mut Parent) -> Result<OpenDrive, Failure> {
        let home = self.home;
        let service = self.service(parent).await?;
        let file = home.drive(&service.drive.state().uid()).join("pins");
        let pins = Pins::open(service.engine.loader().clone(), &file)
            .map_err(|error| Failure::from_fs("the pinned folders are not known", error))?;
        // Nobody else sets it.
        let _ = service.pins.set(pins);
        let follow = tokio::spawn(follow(Arc::downgrade(&service)));
        drop(follow);
        let (vfs, read_only) = (Arc::clone(&service.parts.vfs), service.read_only);
        let source = format!("walrus:{}", service.drive.state().label);
        let (loader, pipeline) = (Arc::clone(&service), service);
        Ok(OpenDrive { vfs, loader, pipeline, source, read_only })
    }

    pub(super) async fn service(self, parent: &mut Parent) -> Result<Arc<Service>, Failure> {
        let opening = |error| Failure::from_fs("the drive cannot be opened", error);
        let options = self.options;
        let params = Params::new(self.state.n_shards())
            .map_err(|error| Failure::new(Code::Failed, "the network's shards make no code").caused_by(error))?;
        let memory = options.memory.unwrap_or(DEFAULT_MEMORY);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let uid = self.drive.state().uid();
        let keys = self.drive.keys();
        let cache_dir = options.cache_dir.clone().unwrap_or_else(|| self.home.cache.clone());
        let slivers = SliverCache::open(&CacheConfig {
            dir: Some(cache_dir.join("slivers").join(hex::encode(&uid.0[..16]))),
            disk_bytes: options.cache_size.unwrap_or(CacheConfig::default().disk_bytes),
            memory_bytes: memory / 8,
            ..CacheConfig::default()
        });
        let reader = PackReader::new(Arc::new(WalrusSlivers::new(Arc::clone(&self.account.client), params)), slivers);
        let tree = if self.damaged {
            open_damaged(&self.account.client, &self.drive, &reader, memory).await
        } else {
            open_tree(&self.drive, &reader, memory).await
        };
        let tree = tree.map_err(opening)?;
        let (journal, recovery, orphans) = self.journal(&uid, tree.ground().map_err(opening)?).await?;
        for line in losses(&recovery) {
            parent.say(line);
        }
        let config = vfs::Config {
            dirty_bytes: memory / 16,
            cache_bytes: memory / 8,
            ahead_bytes: memory / 20,
            read_only: self.read_only,
            root_owner: (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw()),
            ..vfs::Config::default()
        };
        let (tree, journal) = (Arc::new(tree), Arc::new(journal));
        let vfs = Vfs::start(config, uid, Arc::clone(&tree), Arc::clone(&journal), recovery, None, Arc::clone(&clock));
        let vfs = Arc::new(vfs.map_err(opening)?);
        let network = WalrusNetwork::new(
            Arc::clone(&self.account.client),
            Arc::clone(&self.drive),
            params,
            options.lease == Lease::Steal,
        )
        .behind(self.account.remembered.is_offline());
        let parts = Parts { vfs: Arc::clone(&vfs), tree, journal, keys, reader, network: Arc::new(network), clock };
        let mut config = sync::Config::default();
        config.interval = options.sync_interval.unwrap_or(config.interval);
        config.gc_delay = options.gc_delay.unwrap_or(config.gc_delay);
        // What mends says when to commit.
        config.on_demand = self.damaged;
        config.pack_target = options.pack_size.unwrap_or(config.pack_target);
        let seen = self.drive.state().facts.committed_at_ms;
        let engine = if self.read_only {
            Engine::reader(parts.clone(), config, Some(seen))
        } else {
            Engine::start(parts.clone(), config, Some(seen), orphans)
        };
        let expires = AtomicU64::new(self.drive.state().pool.ends_at_ms(&self.state, SystemClock.now_ms()));
        Ok(Arc::new(Service {
            engine,
            parts,
            cost: self.account.pays_for(self.home, &self.drive),
            drive: self.drive,
            client: Arc::clone(&self.account.client),
            read_only: self.read_only,
            expires_at_ms: expires,
            runtime: tokio::runtime::Handle::current(),
            pins: OnceLock::new(),
            committee: Mutex::new(Arc::clone(&self.state.committee)),
            _lock: self.lock,
        }))
    }

    /// Opens the journal and settles what an earlier life left: a commit that happened is trimmed off, and changes that
    /// somebody else's commits have overtaken are refused.
    async fn journal(&self, uid: &DriveUid, ground: Ground) -> Result<(Journal, Recovery, Vec<[u8; 32]>), Failure> {
        let dir = match self.read_only {
            true => self.home.drive(uid).join(format!("reader-{}", std::process::id())),
            false => journal_dir(self.home, self.options, uid),
        };
        let keys = self.drive.keys();
        let state = self.drive.state();
        let limits = Limits::of(self.options.journal_size.unwrap_or(DEFAULT_JOURNAL));
        let label = state.label.clone();
        let (tag, read_only) = (state.facts.tag, self.read_only);
        tokio::task::spawn_blocking(move || {
            let failed = |error| Failure::from_fs(format!("the journal in {} cannot be used", dir.display()), error);
            let open = || -> FsResult<Box<dyn BlockDir>> { Ok(Box::new(OsDir::open(&dir)?)) };
            if read_only {
                // A reader journals nothing; the folder only gives the journal a place and goes at once.
                let opened = open().and_then(|open| Journal::open(open, keys, limits)).map_err(failed)?;
                let _ = std::fs::remove_dir_all(&dir);
                return Ok((opened.0, opened.1, Vec::new()));
            }
            match sync::reopen(open, &keys, limits, ground, tag).map_err(failed)? {
                Reopened::Ready(standing) => Ok((standing.journal, standing.recovery, standing.orphans)),
                Reopened::Conflict { changes } => Err(Failure::new(
                    Code::LeaseHeld,
                    format!(
                        "the journal in {} holds {changes} changes that were made on an older state: another machine has \
                         committed to this drive since. Nothing was changed. `walrusfs recover {label}` keeps both; mount \
                         with --read-only to see the drive without them",
                        dir.display(),
                    ),
                )),
            }
        })
        .await
        .map_err(|error| Failure::new(Code::Failed, "opening the journal was interrupted").caused_by(error))?
    }
}

/// Bytes that the journal may take: with packs of 64 MiB a full one is still one commit of at most 60 packs.
pub(crate) const DEFAULT_JOURNAL: u64 = 3 << 30;

/// What the disk lost of the journal, for the user; also logged.
pub(super) fn losses(recovery: &Recovery) -> Vec<String> {
    let lost = &recovery.lost;
    if lost.torn_bytes > 0 {
        tracing::info!(bytes = lost.torn_bytes, "the journal ended in an unfinished write that nobody was promised");
    }
    let describe = |damage: &Damage| {
        let line = format!(
            "the journal is damaged: the disk lost {} bytes at {} of segment {}, changes {} to {} with them; everything \
             before and after was kept; `walrusfs fsck` names what lost content or its name",
            damage.bytes,
            damage.offset,
            damage.segment,
            damage.lsns.start,
            damage.lsns.end.saturating_sub(1)
        );
        tracing::error!("{line}");
        line
    };
    lost.damaged.iter().map(describe).collect()
}

async fn open_tree(drive: &DriveClient, reader: &PackReader, memory: u64) -> FsResult<Tree> {
    let state = drive.state();
    let (keys, cache) = (drive.keys(), usize::try_from(memory / 16).unwrap_or(usize::MAX));
    let seen = TreeState { sequence: state.sequence(), root: state.root(), log: &state.object.log };
    match Tree::open(seen, reader, &keys, cache).await {
        Err(error) if error.kind() == Kind::Corrupt => Tree::open(seen, &reader.verified(), &keys, cache).await,
        opened => opened,
    }
}

/// The tree of a drive, as far as there is one.
async fn open_damaged(
    client: &Arc<WalrusClient>,
    drive: &Arc<DriveClient>,
    reader: &PackReader,
    memory: u64,
) -> FsResult<Tree> {
    let storage = WalrusStorage::new(Arc::clone(client), Arc::clone(drive));
    let blobs: Vec<([u8; 32], u64)> = storage.held().await?.into_iter().map(|held| (held.blob_id, held.size)).collect();
    let source = Certain::new(reader.clone(), &storage);
    let state = drive.state();
    let (keys, cache) = (drive.keys(), usize::try_from(memory / 16).unwrap_or(usize::MAX));
    let seen = TreeState { sequence: state.sequence(), root: state.root(), log: &state.object.log };
    Tree::open_damaged(seen, &blobs, &source, &keys, cache).await
}

/// What the loop of the mount and the kernel's requests use of an open drive.
pub(crate) struct Service {
    pub(crate) engine: Engine,
    pub(crate) parts: Parts,
    pub(crate) drive: Arc<DriveClient>,
    pub(crate) client: Arc<WalrusClient>,
    read_only: bool,
    expires_at_ms: AtomicU64,
    runtime: tokio::runtime::Handle,
    pins: OnceLock<Pins>,
    /// The nodes of the epoch, for `status`.
    committee: Mutex<Arc<Committee>>,
    /// What the drive has cost.
    cost: Arc<CostBook>,
    /// Held as long as the drive is open.
    _lock: Option<Flock<File>>,
}

impl Service {
    /// One look at the chain: a reader switches to the newest commit, a writer sees its pool.
    async fn look(&self) -> FsResult<()> {
        let state = self.drive.refresh().await?;
        if self.read_only && state.sequence() > self.parts.tree.sequence() {
            self.turn_to(&state).await?;
        }
        let walrus = self.client.state().await.map_err(|error| drive::chain_error("the network", error))?;
        let ends = state.pool.ends_at_ms(&walrus, SystemClock.now_ms());
        self.expires_at_ms.store(ends, Ordering::Relaxed);
        *self.committee.lock() = Arc::clone(&walrus.committee);
        Ok(())
    }
}

impl Service {
    /// Shows a newer commit. The kernel answers from what it remembers of the older one until its trust has run out: first
    /// that is waited for, so that nobody who saw the newer one sees the older one again.
    async fn turn_to(&self, state: &drive::DriveState) -> FsResult<()> {
        let parts = &self.parts;
        parts.vfs.set_turning(true);
        tokio::time::sleep(crate::fuse::Limits::reader().cached + Duration::from_millis(100)).await;
        let seen = TreeState { sequence: state.sequence(), root: state.root(), log: &state.object.log };
        let followed = parts.tree.follow(seen, &parts.reader, &parts.keys).await;
        parts.vfs.set_turning(false);
        followed?;
        self.engine.seen_commit(state.facts.committed_at_ms);
        Ok(())
    }
}

async fn follow(service: std::sync::Weak<Service>) {
    let mut pause = FOLLOW;
    loop {
        tokio::time::sleep(pause).await;
        let Some(service) = service.upgrade() else { return };
        match service.look().await {
            Ok(()) if service.read_only => pause = FOLLOW,
            // A writer learns of its own commits at once; the pool's end moves rarely.
            Ok(()) => pause = FOLLOW * 12,
            Err(error) => {
                tracing::debug!(%error, "the drive cannot be looked at now");
                pause = (pause * 2).min(FOLLOW * 12);
            }
        }
    }
}

impl Loader for Service {
    fn load(&self, needs: Needs) -> BoxFuture<'_, FsResult<()>> {
        self.engine.loader().load(needs).boxed()
    }

    fn at_once(&self, needs: &Needs) -> bool {
        self.engine.loader().at_once(needs)
    }

    fn read_ahead(&self, ahead: Ahead) {
        self.engine.loader().read_ahead(ahead, &self.runtime);
    }

    fn certify(&self) -> BoxFuture<'_, FsResult<()>> {
        async { self.engine.sync().await.map(drop) }.boxed()
    }

    fn ends_at_ms(&self) -> Option<u64> {
        Some(self.expires_at_ms.load(Ordering::Relaxed))
    }
}

impl Pipeline for Service {
    fn sync(&self) -> BoxFuture<'_, FsResult<()>> {
        self.certify()
    }

    fn let_go(&self) -> BoxFuture<'_, FsResult<()>> {
        async {
            let vfs = &self.parts.vfs;
            while self.engine.loader().finish(|| vfs.let_go()).await? {}
            Ok(())
        }
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, FsResult<()>> {
        self.engine.flush().boxed()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        async {
            self.engine.stop().await;
            let cost = Arc::clone(&self.cost);
            // Ends only with the program.
            let _ = tokio::task::spawn_blocking(move || cost.book_or_warn()).await;
        }
        .boxed()
    }

    fn drive_id(&self) -> String {
        self.drive.id().to_string()
    }

    fn pins(&self) -> Option<&Pins> {
        self.pins.get()
    }

    fn moved(&self) -> (u64, u64) {
        (self.client.nodes().sent_bytes(), self.engine.fetched_bytes())
    }

    fn describe(&self, status: &mut Status) {
        let now = self.engine.status();
        status.drive_id = Some(self.drive.id().to_string());
        status.network.clone_from(&self.client.chain().network().name);
        status.sequence = now.sequence;
        status.dirty_bytes = now.dirty_bytes;
        (status.pending_bytes, status.uncommitted) = (now.pending_bytes, now.dirty);
        status.certified_at = now.certified_at_ms.filter(|ms| *ms > 0).map(output::time);
        status.capacity_bytes = now.capacity_bytes;
        status.used_bytes = now.used_bytes;
        status.expires_at = Some(output::time(self.expires_at_ms.load(Ordering::Relaxed)));
        status.cache_bytes = now.reads.cache.disk_bytes;
        status.reads = now.reads;
        status.problem = now.problem.map(|problem| problem.message);
        status.certified_at_ms = now.certified_at_ms.filter(|ms| *ms > 0);
        status.expires_at_ms = Some(self.expires_at_ms.load(Ordering::Relaxed));
        status.stage = now.stage.name().to_owned();
        status.journal_bytes = now.journal_bytes;
        (status.commits, status.uploaded_packs, status.uploaded_bytes) = (now.commits, now.packs, now.packed_bytes);
        let seen = self.drive.state();
        (status.pool_capacity_bytes, status.pool_used_bytes) = (seen.pool.capacity, seen.pool.used);
        let paid = self.cost.paid();
        status.transactions = paid.transactions;
        (status.paid_mist, status.paid_frost) = (clamped(paid.mist), clamped(paid.frost));
        status.cost = self.cost.known();
        let committee = Arc::clone(&self.committee.lock());
        let health = self.client.nodes().health();
        status.nodes = committee.nodes().len() as u64;
        status.nodes_avoided = committee.nodes().iter().filter(|node| health.is_avoided(&node.id)).count() as u64;
        // An upload tries for a minute before it is a failed one; its reason is known earlier.
        if status.problem.is_none() && status.pending_bytes > 0 {
            let silent = committee.nodes().iter().filter(|node| health.is_silent(&node.id)).map(Node::weight).sum();
            let all: u32 = committee.nodes().iter().map(Node::weight).sum();
            status.problem = (all.saturating_sub(silent) < committee.quorum()).then(|| {
                format!(
                    "storage nodes with {silent} of {all} shards do not answer: changes wait in the journal, and are uploaded when \
                     enough of them do (`walrusfs doctor` looks at the connection)"
                )
            });
        }
    }
}
