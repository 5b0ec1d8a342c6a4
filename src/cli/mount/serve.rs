//! The life of a mount: open, mounted, unmounted, drained.
//!
//! One loop decides ([`serve`]): it hears the kernel's end of the session, orders from the control socket, and signals.
//! Status and sync are answered by tasks of their own, so they work in every phase, also while the drive is being opened.

use super::request::{Handover, MountRequest};
use super::signals::{self, Ending, Origin};
use super::spawn::{Parent, log_of};
use super::{assemble, local, metrics, notify};
use crate::cli::control::{self, Answer, Envelope, Request, Status, VERSION};
use crate::cli::exit::{Code, Failure};
use crate::cli::home::Home;
use crate::cli::options::Durability;
use crate::cli::output;
use crate::cli::rates::{self, Meter, Rates};
use crate::cli::umount::from_mount;
use crate::error::FsResult;
use crate::fuse::{self, Limits, Loader, MountError, MountSpec, Mounted, Mountpoint};
use crate::sync::Pins;
use crate::vfs::Vfs;
use futures::future::BoxFuture;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long SIGTERM waits for the network.
const TERM_DRAIN: Duration = Duration::from_secs(60);

/// How long the last steps of the drive may take: they make the journal durable and give the lease back.
const LAST_STEPS: Duration = Duration::from_secs(4);

/// How long a process that is ending is waited for, and how often it is looked at.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_SLICE: Duration = Duration::from_millis(50);

/// How often somebody who waits is told how much is left.
const PROGRESS: Duration = Duration::from_secs(1);

/// A request of the control socket is one short line, and it comes at once.
const MAX_REQUEST: u64 = 64 << 10;
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);

/// How long the kernel may take to end its session after an unmount that succeeded.
const LET_GO: Duration = Duration::from_secs(2);

/// What the pipeline to the network does for a mount.
pub(crate) trait Pipeline: Send + Sync {
    /// Returns when everything done before the call is certified on the network.
    fn sync(&self) -> BoxFuture<'_, FsResult<()>>;
    /// Removes what only the kernel still referred to, so that nothing is left to do after the last commit. For when the
    /// kernel has let go of the mount.
    fn let_go(&self) -> BoxFuture<'_, FsResult<()>>;
    /// Stops the background work, makes the journal durable, and gives the lease back when nothing is pending.
    fn close(&self) -> BoxFuture<'_, FsResult<()>>;
    /// What is kept on this machine on purpose, once the drive is open.
    fn pins(&self) -> Option<&Pins>;
    /// Bytes of slivers that went to nodes and came from them, so far.
    fn moved(&self) -> (u64, u64);
    /// Fills in what `status` shows of the drive and the network.
    fn describe(&self, status: &mut Status);
}

/// A drive that this process serves.
pub(crate) struct OpenDrive {
    pub(crate) vfs: Arc<Vfs>,
    pub(crate) loader: Arc<dyn Loader>,
    pub(crate) pipeline: Arc<dyn Pipeline>,
    /// The drive as the mount table shows it.
    pub(crate) source: String,
    pub(crate) read_only: bool,
}

/// What the loop and the tasks of the control socket share.
struct Mount {
    request: MountRequest,
    drive: OnceLock<OpenDrive>,
    mounted: OnceLock<Mounted>,
    /// Where the figures are served.
    metrics: OnceLock<String>,
    /// What moved in the last seconds.
    meter: Mutex<Meter>,
    orders: mpsc::Sender<Order>,
}

/// What the loop is told to do.
struct Order {
    /// Unmount first, unless the mount is already gone.
    lazy: bool,
    timeout: Duration,
    peer: Peer,
}

/// Somebody at the control socket.
pub(super) struct Peer(UnixStream);

impl Peer {
    /// Says `answer`; whether somebody is still there to hear it.
    pub(super) async fn say(&mut self, answer: &Answer) -> bool {
        let Ok(mut line) = serde_json::to_vec(answer) else { return false };
        line.push(b'\n');
        matches!(tokio::time::timeout(REQUEST_PATIENCE, self.0.write_all(&line)).await, Ok(Ok(())))
    }

    async fn finish(&mut self, result: Result<(), Failure>) {
        let answer = match result {
            Ok(()) => Answer::Done { status: None, held: Vec::new() },
            Err(failure) => Answer::Failed { code: failure.code() as u8, message: failure.to_string() },
        };
        let _ = self.say(&answer).await;
    }
}

/// Opens the drive, mounts it, serves it, and ends when it is unmounted.
///
/// # Errors
/// Why it was not mounted, or [`Code::Pending`] when it ended before everything was certified.
pub(crate) async fn serve(home: &Home, handover: Handover, parent: &mut Parent) -> Result<(), Failure> {
    let failed = |error| Failure::from_io("cannot make the control socket", error);
    let socket = control::socket_of(home, &handover.request.mountpoint);
    let deaf = |error| Failure::from_io("cannot listen to signals", error);
    let mut signals = Ending::new().map_err(deaf)?;
    let _only = only_process_of(&socket.with_extension("lock")).await?;
    let listener = control::bind(&socket).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = UnixListener::from_std(listener).map_err(failed)?;
    let _gone = RemoveOnDrop(socket.clone());
    let (orders, mut order) = mpsc::channel(1);
    let mount = Arc::new(Mount {
        request: handover.request.clone(),
        drive: OnceLock::new(),
        mounted: OnceLock::new(),
        metrics: OnceLock::new(),
        meter: Mutex::default(),
        orders,
    });
    let log = parent.is_some().then(|| log_of(home, &handover));
    let origin = Origin { home: home.clone(), request: handover.request.clone(), log };
    let asked = Arc::clone(&mount);
    signals::heed(origin, move || asked.status()).map_err(deaf)?;
    tokio::spawn(measure(Arc::downgrade(&mount)));
    tokio::spawn(listen(listener, Arc::clone(&mount)));

    let metrics = match mount.request.options.metrics {
        Some(address) => Some(metrics::bind(address).await?),
        None => None,
    };
    if let Some(listener) = metrics {
        let _ = mount.metrics.set(listener.local_addr().map_err(failed)?.to_string());
        let asked = Arc::clone(&mount);
        tokio::spawn(metrics::serve(listener, Arc::new(move || asked.status())));
    }
    let drive = tokio::select! {
        drive = assemble::open(home, &handover, parent) => drive?,
        () = signals.any() => return Err(Failure::new(Code::Interrupted, "stopped before the drive was open")),
    };
    drop(handover);
    let drive = mount.drive.get_or_init(|| drive);
    let mounted = match attach(&mount.request, drive, socket) {
        Ok(mounted) => mount.mounted.get_or_init(|| mounted),
        Err(error) => {
            if let Err(failure) = close(drive).await {
                tracing::warn!("{failure}");
            }
            return Err(from_mount(error));
        }
    };
    let shown = format!("{} is mounted on {}", drive.source, mounted.path().display());
    parent.say(&shown);
    parent.ready();
    notify::ready(&shown);
    tracing::info!("{shown}");
    tokio::spawn(guard(Arc::clone(&mount)));

    let (result, mut peer) = loop {
        tokio::select! {
            () = mounted.ended() => {
                tracing::warn!("the mount was taken away without `walrusfs umount`; the journal keeps what is pending");
                break (close(drive).await, None);
            }
            () = signals.any() => {
                break (terminate(mounted, drive, &mut signals).await, None);
            }
            Some(mut asked) = order.recv() => {
                let _hurry = Hurry::after(drive, asked.timeout);
                pull(mounted).await;
                if let Err(failure) = unmount(mounted, asked.lazy).await {
                    asked.peer.finish(Err(failure)).await;
                    continue;
                }
                break (drain(mounted, drive, asked.timeout, Some(&mut asked.peer), &mut signals).await, Some(asked.peer));
            }
        }
    };
    if let Some(peer) = &mut peer {
        let said = result.as_ref().copied().map_err(|failure| Failure::new(failure.code(), failure.to_string()));
        peer.finish(said).await;
    }
    // Who asked for the end waits for it: the connection closes with the process.
    std::mem::forget(peer);
    match &result {
        Ok(()) => tracing::info!("ended"),
        Err(failure) => tracing::warn!("{failure}"),
    }
    result
}

/// Looks at what moves, for as long as there is a mount.
async fn measure(mount: Weak<Mount>) {
    while let Some(mount) = mount.upgrade() {
        if let Some(moved) = mount.moved() {
            mount.meter.lock().note(std::time::Instant::now(), moved);
        }
        drop(mount);
        tokio::time::sleep(rates::PAUSE).await;
    }
}

/// Tells the service manager twice in each of its periods that this process lives: while it is mounted, because it answers a
/// question of its own mount that the kernel cannot answer alone; afterwards, because this task runs.
async fn guard(mount: Arc<Mount>) {
    let Some(period) = notify::watchdog() else { return };
    loop {
        tokio::time::sleep(period / 2).await;
        let path = mount.mounted.get().filter(|mounted| !mounted.is_over()).map(|mounted| mounted.path().to_owned());
        let Some(path) = path else {
            notify::alive();
            continue;
        };
        // On a thread of its own: a mount that does not answer must not hold up the runtime. It waits for its turn again then.
        let asked = tokio::task::spawn_blocking(move || control::control_xattr(&path));
        match asked.await {
            Ok(_) => notify::alive(),
            Err(error) => tracing::warn!(%error, "the mount could not be asked whether it lives"),
        }
    }
}

/// The lock that makes this the only process of its mount point. One that has just lost its mount is given time to end.
async fn only_process_of(path: &Path) -> Result<Flock<File>, Failure> {
    let failed = |error| Failure::from_io(format!("cannot lock {}", path.display()), error);
    let mut file = File::options().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((again, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = again,
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(Failure::new(Code::Busy, "another walrusfs is busy with this mount point"));
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        }
        tokio::time::sleep(LOCK_SLICE).await;
    }
}

/// A socket's name in the file system, gone with its daemon.
struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        // A socket that stays is refused by the kernel and replaced by the next daemon.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Mounts the open drive.
fn attach(request: &MountRequest, drive: &OpenDrive, control: PathBuf) -> Result<Mounted, MountError> {
    let options = &request.options;
    let mut limits = if drive.read_only { Limits::reader() } else { Limits::writer() };
    limits.timeout = options.timeout.unwrap_or(limits.timeout);
    limits.certify_fsync = options.durability == Durability::Network;
    limits.control = control;
    limits.features = options.features;
    let spec = MountSpec {
        source: drive.source.clone(),
        read_only: drive.read_only,
        dev: options.dev,
        suid: options.suid,
        no_exec: options.no_exec,
        access: options.access,
    };
    // Looked at again: opening the drive took time.
    let mountpoint = Mountpoint::prepare(&request.mountpoint)?;
    let (vfs, loader) = (Arc::clone(&drive.vfs), Arc::clone(&drive.loader));
    fuse::mount(&mountpoint, &spec, limits, vfs, loader, tokio::runtime::Handle::current())
}

/// What writes may wait for room in the journal while the mount is taken away: afterwards they are refused. Dropped, they wait again
/// (it was in use, and stays).
struct Hurry {
    vfs: Arc<Vfs>,
    task: tokio::task::JoinHandle<()>,
}

impl Hurry {
    fn after(drive: &OpenDrive, time: Duration) -> Self {
        let vfs = Arc::clone(&drive.vfs);
        let task = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            vfs.hurry(true);
        });
        Self { vfs: Arc::clone(&drive.vfs), task }
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        self.task.abort();
        self.vfs.hurry(false);
    }
}

/// Pulls dirty pages out of the kernel; what does not come is the kernel's to write before the mount ends.
async fn pull(mounted: &Mounted) {
    if let Err(error) = mounted.pull_dirty_pages().await {
        tracing::warn!(%error, "not all dirty pages were pulled from the kernel");
    }
}

async fn unmount(mounted: &Mounted, lazy: bool) -> Result<(), Failure> {
    // umount2 writes dirty pages, which the workers answer; it must not hold up a thread of the runtime.
    tokio::task::block_in_place(|| mounted.unmount(lazy)).map_err(from_mount)
}

/// SIGTERM, or Ctrl-C in the foreground: nobody can be asked to close files, so a busy mount is detached.
async fn terminate(mounted: &Mounted, drive: &OpenDrive, signals: &mut Ending) -> Result<(), Failure> {
    notify::stopping("unmounting", TERM_DRAIN + LAST_STEPS);
    let _hurry = Hurry::after(drive, TERM_DRAIN / 2);
    tokio::select! {
        () = pull(mounted) => {}
        () = signals.any() => drive.vfs.hurry(true),
    }
    if unmount(mounted, false).await.is_err() {
        unmount(mounted, true).await?;
    }
    drain(mounted, drive, TERM_DRAIN, None, signals).await
}

/// Certifies what is pending, for at most `timeout`, then closes the drive.
async fn drain(
    mounted: &Mounted,
    drive: &OpenDrive,
    timeout: Duration,
    peer: Option<&mut Peer>,
    signals: &mut Ending,
) -> Result<(), Failure> {
    if timeout.is_zero() {
        return close(drive).await;
    }
    // After a lazy unmount, or with the mount in another namespace, programs may use it on.
    if tokio::time::timeout(LET_GO, mounted.ended()).await.is_ok()
        && let Err(error) = drive.pipeline.let_go().await
    {
        tracing::warn!(%error, "files without names could not be removed; the next mount does it");
    }
    let synced = tokio::select! {
        synced = certify(drive, Some(timeout), peer) => synced,
        () = keep_waiting(drive) => Ok(()),
        () = signals.any() => {
            close(drive).await?;
            return Err(Failure::new(Code::Interrupted, format!("stopped; {}", left(drive))));
        }
    };
    close(drive).await?;
    synced
}

/// Returns when everything done so far is certified; tells `peer` how much is left on the way.
async fn certify(drive: &OpenDrive, timeout: Option<Duration>, mut peer: Option<&mut Peer>) -> Result<(), Failure> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut synced = drive.pipeline.sync();
    let mut progress = tokio::time::interval(PROGRESS);
    loop {
        tokio::select! {
            synced = &mut synced => {
                return synced.map_err(|error| {
                    let failure = Failure::from_fs("not everything could be certified", error);
                    let code = if failure.code() == Code::Failed { Code::Pending } else { failure.code() };
                    Failure::new(code, format!("{failure}; {}", left(drive)))
                });
            }
            () = until(deadline) => {
                return Err(Failure::new(Code::Pending, format!("time is over; {}", left(drive))));
            }
            _ = progress.tick() => {
                if let Some(peer) = &mut peer {
                    peer.say(&Answer::Progress { pending_bytes: pending(drive) }).await;
                }
            }
        }
    }
}

/// Tells the service manager that the end is still on its way; never returns.
async fn keep_waiting(drive: &OpenDrive) {
    loop {
        notify::stopping(&format!("{} to go", output::bytes(pending(drive))), LAST_STEPS + PROGRESS * 10);
        tokio::time::sleep(PROGRESS).await;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn pending(drive: &OpenDrive) -> u64 {
    let counts = drive.vfs.counts();
    counts.dirty_bytes.saturating_add(counts.pending_bytes)
}

fn left(drive: &OpenDrive) -> String {
    format!("{} are safe in the journal and go on at the next mount", output::bytes(pending(drive)))
}

async fn close(drive: &OpenDrive) -> Result<(), Failure> {
    match tokio::time::timeout(LAST_STEPS, drive.pipeline.close()).await {
        Ok(result) => result.map_err(|error| Failure::from_fs("the drive did not close cleanly", error)),
        Err(_) => {
            let seconds = LAST_STEPS.as_secs();
            Err(Failure::new(Code::Failed, format!("the drive did not close within {seconds} s")))
        }
    }
}

/// Answers the control socket until the process ends.
async fn listen(listener: UnixListener, mount: Arc<Mount>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(answer(Peer(stream), Arc::clone(&mount)));
            }
            Err(error) => {
                // Out of descriptors, perhaps; others may be closed soon.
                tracing::warn!(%error, "the control socket cannot accept");
                tokio::time::sleep(PROGRESS).await;
            }
        }
    }
}

async fn answer(mut peer: Peer, mount: Arc<Mount>) {
    let request = match read_request(&mut peer).await {
        Ok(request) => request,
        Err(failure) => return peer.finish(Err(failure)).await,
    };
    match request {
        Request::Status => {
            peer.say(&Answer::Done { status: Some(Box::new(mount.status())), held: Vec::new() }).await;
        }
        Request::Prefetch { .. } | Request::Pin { .. } | Request::Unpin { .. } | Request::Pins => {
            local::answer(mount.drive.get(), request, &mut peer).await;
        }
        Request::Sync { timeout } => {
            let result = mount.sync(timeout.map(Duration::from_secs), &mut peer).await;
            peer.finish(result).await;
        }
        Request::Umount { lazy, timeout } => {
            if mount.mounted.get().is_none() {
                let failure = Failure::new(Code::Busy, "the drive is still being opened; try again in a moment");
                return peer.finish(Err(failure)).await;
            }
            // The loop takes it from here. When the loop has ended, so has the process, and the peer sees that.
            let _ = mount.orders.send(Order { lazy, timeout: Duration::from_secs(timeout), peer }).await;
        }
        Request::Leave => {
            let gone = mount.mounted.get().is_some_and(Mounted::is_over);
            let result = match gone {
                true => Ok(()),
                false => Err(Failure::new(Code::Busy, "the drive is mounted by this process")),
            };
            // A process without a mount is closing already; the caller waits for its lock.
            peer.finish(result).await;
        }
    }
}

async fn read_request(peer: &mut Peer) -> Result<Request, Failure> {
    let mut line = Vec::new();
    let mut reader = BufReader::new((&mut peer.0).take(MAX_REQUEST));
    let read = tokio::time::timeout(REQUEST_PATIENCE, reader.read_until(b'\n', &mut line)).await;
    match read {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(Failure::from_io("cannot read the request", error)),
        Err(_) => return Err(Failure::usage("no request came")),
    }
    let version = serde_json::from_slice::<serde_json::Value>(&line).ok().and_then(|value| value["version"].as_u64());
    if version != Some(u64::from(VERSION)) {
        return Err(Failure::usage(format!(
            "this mount was made by another version of walrusfs (control protocol {VERSION}); unmount and mount again"
        )));
    }
    serde_json::from_slice::<Envelope>(&line)
        .map(|envelope| envelope.request)
        .map_err(|error| Failure::usage("the request is not understood").caused_by(error))
}

impl Mount {
    /// Bytes that were moved so far; `None` until the drive is open.
    fn moved(&self) -> Option<Rates> {
        let drive = self.drive.get()?;
        let (sent, fetched) = drive.pipeline.moved();
        Some(Rates { written: drive.vfs.counts().written_bytes, sent, fetched })
    }

    fn status(&self) -> Status {
        let mut status = Status {
            pid: std::process::id(),
            mountpoint: self.request.mountpoint.clone(),
            drive: self.request.drive.source(),
            network: self.request.network.clone().unwrap_or_else(|| "local".to_owned()),
            state: "starting".to_owned(),
            read_only: self.request.options.read_only,
            metrics: self.metrics.get().cloned(),
            ..Status::default()
        };
        if let Some(drive) = self.drive.get() {
            let counts = drive.vfs.counts();
            status.drive.clone_from(&drive.source);
            status.read_only = drive.read_only;
            status.dirty_bytes = counts.dirty_bytes;
            status.pending_bytes = counts.pending_bytes;
            status.written_bytes = counts.written_bytes;
            drive.pipeline.describe(&mut status);
        }
        if let Some(moved) = self.moved() {
            status.sent_bytes = moved.sent;
            status.rates = self.meter.lock().rates(std::time::Instant::now(), moved);
        }
        if let Some(mounted) = self.mounted.get() {
            status.state = if mounted.is_over() { "draining" } else { "mounted" }.to_owned();
        }
        status
    }

    async fn sync(&self, timeout: Option<Duration>, peer: &mut Peer) -> Result<(), Failure> {
        let (Some(drive), Some(mounted)) = (self.drive.get(), self.mounted.get()) else {
            return Err(Failure::new(Code::Busy, "the drive is still being opened; try again in a moment"));
        };
        if !mounted.is_over() {
            let pulled = async {
                tokio::select! {
                    pulled = mounted.pull_dirty_pages() => Some(pulled),
                    () = until(timeout.map(|timeout| Instant::now() + timeout)) => None,
                }
            };
            pulled
                .await
                .ok_or_else(|| Failure::new(Code::Pending, "time is over; written data waits for room in the journal"))?
                .map_err(|error| Failure::from_fs("cannot pull dirty pages from the kernel", error))?;
        }
        certify(drive, timeout, Some(peer)).await
    }
}
