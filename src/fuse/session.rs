//! A mount from its first request to its last.

use super::answer::{Loader, PULLS, Service};
use super::features::Features;
use super::mount::{Access, MountError, MountSpec, Mountpoint, device_of, is_read_only, raise_read_ahead, unmount};
use super::requests::Requests;
use super::utab;
use crate::error::FsResult;
use crate::vfs::Vfs;
use fuser::{Config, Session, SessionACL};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Kernel read-ahead: as much as one request can carry.
const READ_AHEAD_KIB: u32 = 1024;

/// How requests are answered.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest that a request may stay unanswered.
    pub timeout: Duration,
    /// How long the kernel may trust names and attributes without asking.
    pub cached: Duration,
    /// No change is possible, and another machine may change the drive.
    pub read_only: bool,
    /// `fsync` returns only when the network has certified (`durability=network`).
    pub certify_fsync: bool,
    /// The daemon's control socket, as programs on the mount can ask for it.
    pub control: PathBuf,
    /// What of the kernel's is used.
    pub features: Features,
}

impl Limits {
    /// The defaults of a read-write mount: this daemon is the only writer, so the kernel need not ask twice.
    pub fn writer() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            cached: Duration::from_secs(3600),
            read_only: false,
            certify_fsync: false,
            control: PathBuf::new(),
            features: Features::default(),
        }
    }

    /// The defaults of a read-only mount, which follows another machine's commits within a second.
    pub fn reader() -> Self {
        Self { cached: Duration::from_secs(1), read_only: true, ..Self::writer() }
    }
}

/// A drive that the kernel serves from this process. Dropping it takes the mount away.
pub struct Mounted {
    service: Arc<Service>,
    path: PathBuf,
    device: Option<u64>,
    detached: AtomicBool,
    ended: watch::Receiver<bool>,
}

/// Mounts `vfs` at `at` and serves it on threads of its own until the mount goes away.
///
/// `runtime` runs what requests wait for; it must live as long as the mount.
///
/// # Errors
/// When the kernel refuses the mount; nothing stays mounted then.
pub fn mount(
    at: &Mountpoint,
    spec: &MountSpec,
    limits: Limits,
    vfs: Arc<Vfs>,
    loader: Arc<dyn Loader>,
    runtime: tokio::runtime::Handle,
) -> Result<Mounted, MountError> {
    let features = limits.features;
    let device = at.attach(spec)?;
    let service = Arc::new(Service {
        vfs,
        loader,
        runtime,
        limits,
        pulls: Arc::new(Semaphore::new(PULLS)),
        notifier: OnceLock::new(),
    });
    let (end, ended) = watch::channel(false);
    // From here on the mount exists and dropping this takes it away, whatever fails.
    let mut mounted = Mounted {
        service: Arc::clone(&service),
        path: at.path().to_owned(),
        device: None,
        detached: AtomicBool::new(false),
        ended,
    };
    let handshake = |source| MountError::Handshake { path: at.path().to_owned(), source };
    let mut config = Config::default();
    config.n_threads = Some(features.workers.max(1));
    // A device of a mount that an ordinary user made cannot always be opened again.
    config.clone_fd = features.clone_fd && nix::unistd::geteuid().is_root();
    let guarded = spec.access == Access::OwnerAndRoot;
    // Otherwise access is the kernel's to decide: with fuser's default its own check would refuse the kernel's writeback
    // threads, which are root's.
    let acl = if guarded { SessionACL::RootAndOwner } else { SessionACL::All };
    let requests = Requests { service: Arc::clone(&service), guarded };
    let session = Session::from_fd(requests, device, acl, config).map_err(handshake)?;
    // Set once, here, before the first request is read.
    let _ = service.notifier.set(session.notifier());
    std::thread::Builder::new()
        .name("fuse-session".into())
        .spawn(move || {
            if let Err(error) = session.run() {
                tracing::error!(%error, "the session with the kernel ended badly");
            }
            // Nobody may be left to listen.
            let _ = end.send(true);
        })
        .map_err(handshake)?;
    mounted.device = device_of(at.path());
    if nix::unistd::geteuid().is_root()
        && let Err(error) = utab::add(&spec.source, at.path())
    {
        tracing::info!(%error, "plain `umount` will not wait until everything is certified; `walrusfs umount` does");
    }
    if features.read_ahead {
        raise_read_ahead(at.path(), READ_AHEAD_KIB);
    }
    Ok(mounted)
}

impl Mounted {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns when the kernel has ended the session: unmounted, by whomever.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // The sender is dropped only together with the session.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Whether the session is over.
    pub fn is_over(&self) -> bool {
        *self.ended.borrow() || self.ended.has_changed().is_err()
    }

    /// Whether it was taken away; programs may use it on when that was done lazily.
    pub fn is_detached(&self) -> bool {
        self.detached.load(Ordering::SeqCst) || self.is_over()
    }

    /// Whether the kernel refuses changes now (`mount -o remount,ro`).
    pub fn is_read_only(&self) -> bool {
        is_read_only(&self.path, self.device)
    }

    /// Brings the dirty pages of files that are still open or mapped from the kernel into the vfs.
    ///
    /// syncfs(2) starts the writes in large requests but does not wait for them; `inval_inode` waits, but by itself would
    /// write page by page.
    ///
    /// # Errors
    /// When the kernel did not give up the pages of an inode; all others were tried.
    pub async fn pull_dirty_pages(&self) -> FsResult<()> {
        let (path, device) = (self.path.clone(), self.device);
        let started = self.service.runtime.spawn_blocking(move || start_writeback(&path, device)).await;
        if let Ok(Err(error)) = started {
            tracing::debug!(%error, "writeback was not started ahead");
        }
        let mut result = Ok(());
        for ino in self.service.vfs.open_for_write() {
            if let Err(error) = self.service.pull(ino).await {
                // A mount that has just gone has no pages to give.
                if !self.is_over() {
                    result = Err(error);
                }
            }
        }
        result
    }

    /// Takes the mount away; `lazy` even while programs use it.
    ///
    /// # Errors
    /// [`MountError::Busy`] when programs use it.
    pub fn unmount(&self, lazy: bool) -> Result<(), MountError> {
        match unmount(&self.path, lazy, false) {
            Ok(()) => {
                self.detached.store(true, Ordering::SeqCst);
                Ok(())
            }
            // Somebody else was faster.
            Err(MountError::NotMounted(_)) if self.is_over() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let ours = self.device.is_none() || self.device == device_of(&self.path);
        if !self.detached.load(Ordering::SeqCst)
            && !self.is_over()
            && ours
            && let Err(error) = unmount(&self.path, true, false)
        {
            tracing::error!(%error, "the mount could not be taken away");
        }
        if nix::unistd::geteuid().is_root()
            && device_of(&self.path).is_none()
            && let Err(error) = utab::remove(&self.path)
        {
            tracing::debug!(%error, "libmount's table keeps a line of a mount that is gone");
        }
    }
}

/// Makes the kernel start writing everything dirty of the file system at `path`, if that is still ours.
fn start_writeback(path: &Path, device: Option<u64>) -> io::Result<()> {
    let root = File::open(path)?;
    if Some(root.metadata()?.dev()) != device {
        return Err(io::Error::other("something else is mounted there"));
    }
    // SAFETY: syncfs takes a descriptor, which is open.
    match unsafe { libc::syncfs(root.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
