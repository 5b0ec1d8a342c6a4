//! The life of a mount: open, mounted, unmounted, drained.
//!
//! One loop decides ([`serve`]): it hears the kernel's end of the session, orders from the control socket, and signals.
//! Status and sync are answered by tasks of their own, so they work in every phase, also while the drive is being opened.

use super::end::{Life, Order, PROGRESS, Waiter, close, uncertified};
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

/// How long a process that is ending is waited for, and how often it is looked at.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_SLICE: Duration = Duration::from_millis(50);

/// A request of the control socket is one short line, and it comes at once.
const MAX_REQUEST: u64 = 64 << 10;
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);

/// What the pipeline to the network does for a mount.
pub(crate) trait Pipeline: Send + Sync {
    /// Returns when everything done before the call is certified on the network.
    fn sync(&self) -> BoxFuture<'_, FsResult<()>>;
    /// Removes what only the kernel still referred to, so that nothing is left to do after the last commit. For when the
    /// kernel has let go of the mount.
    fn let_go(&self) -> BoxFuture<'_, FsResult<()>>;
    /// Makes the journal durable.
    fn flush(&self) -> BoxFuture<'_, FsResult<()>>;
    /// Stops the background work, and gives the lease back when nothing is pending.
    fn stop(&self) -> BoxFuture<'_, ()>;
    /// Id of the Drive object.
    fn drive_id(&self) -> String;
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

/// Somebody at the control socket.
pub(super) struct Peer(UnixStream);

impl Peer {
    /// Says `answer`; whether somebody is still there to hear it.
    pub(super) async fn say(&mut self, answer: &Answer) -> bool {
        let Ok(mut line) = serde_json::to_vec(answer) else { return false };
        line.push(b'\n');
        matches!(tokio::time::timeout(REQUEST_PATIENCE, self.0.write_all(&line)).await, Ok(Ok(())))
    }

    pub(super) async fn finish(&mut self, result: Result<(), Failure>) {
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
    let (orders, order) = mpsc::channel(16);
    let mount = Arc::new(Mount {
        request: handover.request.clone(),
        drive: OnceLock::new(),
        mounted: OnceLock::new(),
        metrics: OnceLock::new(),
        meter: Mutex::new(Meter::new(std::time::Instant::now())),
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

    let (result, told) = Life { mounted, drive, signals: &mut signals, orders: order }.live().await;
    // Who asked for the end waits for it: the connections close with the process.
    std::mem::forget(told);
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
        let path =
            mount.mounted.get().filter(|mounted| !mounted.is_detached()).map(|mounted| mounted.path().to_owned());
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

/// Asks the processes behind `sockets` to end if they have no mount any more. Who has one stays.
pub(super) async fn ask_to_leave(sockets: Vec<PathBuf>, drive_id: Option<String>) {
    let asking = tokio::task::spawn_blocking(move || {
        for socket in sockets {
            let Ok(Some(client)) = control::Client::connect(&socket) else { continue };
            let request = Request::Leave { drive_id: drive_id.clone() };
            if let Err(failure) = client.ask(request, LOCK_PATIENCE, |_| {}) {
                tracing::debug!(socket = %socket.display(), "{failure}");
            }
        }
    });
    // Ends only with the program.
    let _ = asking.await;
}

/// The lock that makes this the only process of its mount point. One that has just lost its mount is given time to end.
async fn only_process_of(path: &Path) -> Result<Flock<File>, Failure> {
    let failed = |error| Failure::from_io(format!("cannot lock {}", path.display()), error);
    let mut file = File::options().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    let mut asked = false;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((again, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = again,
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(Failure::new(Code::Busy, "another walrusfs is busy with this mount point"));
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        }
        if !std::mem::replace(&mut asked, true) {
            ask_to_leave(vec![path.with_extension("sock")], None).await;
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
        source: request.source.clone().unwrap_or_else(|| drive.source.clone()),
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

/// Returns when everything done so far is certified; tells `peer` how much is left on the way.
async fn certify(drive: &OpenDrive, timeout: Option<Duration>, peer: &mut Peer) -> Result<(), Failure> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let goes_on = || match pending(drive) {
        0 => "what was changed is safe in the journal, and certified later".to_owned(),
        bytes => format!("{} are safe in the journal, and certified later", output::bytes(bytes)),
    };
    let mut synced = drive.pipeline.sync();
    let mut progress = tokio::time::interval(PROGRESS);
    loop {
        tokio::select! {
            synced = &mut synced => return synced.map_err(|error| uncertified(error, &goes_on())),
            () = until(deadline) => {
                return Err(Failure::new(Code::Pending, format!("time is over; {}", goes_on())));
            }
            _ = progress.tick() => {
                peer.say(&Answer::Progress { pending_bytes: pending(drive) }).await;
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Bytes that are not certified yet.
pub(super) fn pending(drive: &OpenDrive) -> u64 {
    let counts = drive.vfs.counts();
    counts.dirty_bytes.saturating_add(counts.pending_bytes)
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
            let waiter = Waiter::new(peer, Duration::from_secs(timeout));
            let _ = mount.orders.send(Order::Umount { lazy, waiter }).await;
        }
        Request::Leave { drive_id } => {
            let wanted = |drive: &OpenDrive| drive_id.is_none_or(|id| drive.pipeline.drive_id() == id);
            if mount.mounted.get().is_none() || !mount.drive.get().is_some_and(wanted) {
                return peer.finish(Err(Failure::new(Code::Busy, "this process has not what is wanted"))).await;
            }
            let _ = mount.orders.send(Order::Leave(peer)).await;
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
            (status.read_only, status.opened_read_only) = (drive.read_only, drive.read_only);
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
            status.read_only |= mounted.is_read_only();
            status.state = if mounted.is_detached() { "draining" } else { "mounted" }.to_owned();
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
        certify(drive, timeout, peer).await
    }
}
