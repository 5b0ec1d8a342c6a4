//! Mount points: mount(2), fusermount3, and what /proc/self/mountinfo says about them.
//!
//! As root we call mount(2) ourselves, because fuser registers the plain type `fuse`; the type `fuse.walrusfs` is what makes
//! `umount` find its helper. Without root the setuid program `fusermount3` mounts and hands the device back.

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use thiserror::Error;

/// The kernel's name of our file system type.
const TYPE: &str = "fuse.walrusfs";

/// Why a mount point cannot be mounted or unmounted.
#[derive(Debug, Error)]
pub enum MountError {
    /// The path does not exist.
    #[error("{0} does not exist")]
    NotFound(PathBuf),
    /// The folder to mount on does not exist.
    #[error("the mount point {0} does not exist; make the folder first")]
    NoMountpoint(PathBuf),
    /// The path is not a directory.
    #[error("the mount point {0} is not a folder")]
    NotDirectory(PathBuf),
    /// Something is mounted there already.
    #[error("{path} is already a mount point ({source_name}, type {kind}); unmount it first or choose another folder")]
    Mounted {
        /// The mount point.
        path: PathBuf,
        /// What is mounted there.
        source_name: String,
        /// Its type.
        kind: String,
    },
    /// Programs use the mount.
    #[error("{0} is in use; close what uses it (`fuser -vm` shows it) or unmount lazily")]
    Busy(PathBuf),
    /// Nothing of ours is mounted there.
    #[error("no walrusfs drive is mounted at {0}")]
    NotMounted(PathBuf),
    /// A path cannot be looked at.
    #[error("cannot look at {path}")]
    Look {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel's FUSE device cannot be opened.
    #[error("cannot open /dev/fuse; is the fuse module loaded, and the device passed into this container?")]
    Device(#[source] io::Error),
    /// mount(2) or umount(2) failed.
    #[error("the kernel refused to {action} {path}")]
    Kernel {
        /// `mount`, `remount` or `unmount`.
        action: &'static str,
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// fusermount3 cannot be used or failed.
    #[error("fusermount3 could not {action} {path}: {message}")]
    Helper {
        /// `mount` or `unmount`.
        action: &'static str,
        /// The mount point.
        path: PathBuf,
        /// What it said, and what to do.
        message: String,
    },
    /// The first exchange with the kernel failed.
    #[error("the kernel and walrusfs did not agree on a protocol for {path}")]
    Handshake {
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How to mount.
#[derive(Clone, Debug, Default)]
pub struct MountSpec {
    /// What mountinfo and `df` show: `walrus:LABEL`.
    pub source: String,
    /// Refuse every change in the kernel already.
    pub read_only: bool,
    /// Device nodes work.
    pub dev: bool,
    /// Set-user-id bits work.
    pub suid: bool,
    /// Programs cannot be run.
    pub no_exec: bool,
    /// Who may enter.
    pub access: Access,
}

/// Who may enter a mount; permissions are checked in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Access {
    /// Who mounted it. That is not even root, when somebody else did: the kernel keeps others out.
    #[default]
    Owner,
    /// Who mounted it, and root (`allow_root`). The kernel knows no such thing: it lets everybody in, and the session
    /// refuses the others.
    OwnerAndRoot,
    /// Everybody (`allow_other`).
    All,
}

/// A folder that can be mounted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mountpoint {
    path: PathBuf,
    automount: bool,
}

/// A line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) device: String,
    pub(crate) path: PathBuf,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) read_only: bool,
}

impl Mount {
    /// Its device number, as `st_dev` has it.
    fn number(&self) -> Option<u64> {
        let (major, minor) = self.device.split_once(':')?;
        Some(nix::sys::stat::makedev(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// Parses mountinfo (proc_pid_mountinfo(5)): `id parent major:minor root path options fields... - type source options`.
fn parse_mountinfo(text: &[u8]) -> Vec<Mount> {
    let field = |bytes: &[u8]| PathBuf::from(OsString::from_vec(unescape(bytes)));
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(&unescape(bytes)).into_owned();
    text.split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let mut words = line.split(|&byte| byte == b' ');
            let device = text_of(words.nth(2)?);
            let path = field(words.nth(1)?);
            let read_only = words.next()?.split(|&byte| byte == b',').any(|flag| flag == b"ro");
            let mut after = words.skip_while(|word| *word != b"-").skip(1);
            Some(Mount { device, path, kind: text_of(after.next()?), source: text_of(after.next()?), read_only })
        })
        .collect()
}

/// Undoes the kernel's `\ooo` for space, tab, newline and backslash.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| {
            digits.iter().try_fold(0_u32, |code, digit| Some(code * 8 + char::from(*digit).to_digit(8)?))
        });
        match code.and_then(|code| u8::try_from(code).ok()) {
            Some(code) => {
                out.push(code);
                rest = &after[3..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

/// The topmost mount at `path`.
fn mount_at(path: &Path) -> Result<Option<Mount>, MountError> {
    let table = Path::new("/proc/self/mountinfo");
    let text = std::fs::read(table).map_err(|source| MountError::Look { path: table.to_owned(), source })?;
    Ok(parse_mountinfo(&text).into_iter().rfind(|mount| mount.path == path))
}

/// The attributes of a mount of ours, from whoever serves it: the kernel goes on telling attributes that it remembers when
/// the daemon is gone, but not the space.
fn ask(path: &Path) -> io::Result<std::fs::Metadata> {
    nix::sys::statvfs::statvfs(path)?;
    std::fs::metadata(path)
}

/// `path` without links and dots, without touching a possibly dead file system at its end.
fn resolve(path: &Path) -> Result<PathBuf, MountError> {
    let look = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MountError::NotFound(path.to_owned()),
        _ => MountError::Look { path: path.to_owned(), source },
    };
    match std::fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => {
            let absolute = std::path::absolute(path).map_err(look)?;
            let parent = absolute.parent().unwrap_or(Path::new("/"));
            let name = absolute.file_name().unwrap_or_default();
            Ok(std::fs::canonicalize(parent).map_err(look)?.join(name))
        }
        Err(error) => Err(look(error)),
    }
}

/// The source (`walrus:LABEL`) of the walrusfs mount at `path`, and its real path.
///
/// # Errors
/// [`MountError::NotMounted`] when nothing of ours is mounted there.
pub fn mount_of(path: &Path) -> Result<(PathBuf, String), MountError> {
    let path = resolve(path)?;
    match mount_at(&path)? {
        Some(mount) if mount.kind == TYPE => Ok((path, mount.source)),
        _ => Err(MountError::NotMounted(path)),
    }
}

impl Mountpoint {
    /// Looks whether `path` can be mounted on. A mount of ours whose daemon is gone (`ENOTCONN`) is cleared away.
    ///
    /// # Errors
    /// When it does not exist, is no directory, or something is mounted there.
    pub fn prepare(path: &Path) -> Result<Self, MountError> {
        let path = resolve(path).map_err(|error| match error {
            MountError::NotFound(path) => MountError::NoMountpoint(path),
            other => other,
        })?;
        loop {
            let mount = mount_at(&path)?;
            let ours = mount.as_ref().is_some_and(|mount| mount.kind == TYPE);
            match if ours { ask(&path) } else { std::fs::metadata(&path) } {
                // An automount point is there to be mounted on.
                Ok(meta) => match mount {
                    Some(mount) if mount.kind != "autofs" => {
                        return Err(MountError::Mounted { path, source_name: mount.source, kind: mount.kind });
                    }
                    mount if meta.is_dir() => return Ok(Self { path, automount: mount.is_some() }),
                    _ => return Err(MountError::NotDirectory(path)),
                },
                Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => match mount {
                    Some(mount) if mount.kind == TYPE => unmount(&path, true, false)?,
                    _ => return Err(MountError::Look { path, source: error }),
                },
                Err(source) => return Err(MountError::Look { path, source }),
            }
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether autofs(5) waits there for the mount. Until it is made, and whenever it shall go, only processes of the group that waits
    /// may look at the path.
    pub fn is_automount(&self) -> bool {
        self.automount
    }

    /// Mounts and returns the kernel's end. The caller must start the session at once: until then whoever looks at the
    /// mount point waits.
    pub(crate) fn attach(&self, spec: &MountSpec) -> Result<OwnedFd, MountError> {
        if nix::unistd::geteuid().is_root() { self.attach_as_root(spec) } else { self.attach_by_helper(spec) }
    }

    fn attach_as_root(&self, spec: &MountSpec) -> Result<OwnedFd, MountError> {
        let device = File::options().read(true).write(true).open("/dev/fuse").map_err(MountError::Device)?;
        let root =
            std::fs::metadata(&self.path).map_err(|source| MountError::Look { path: self.path.clone(), source })?;
        let mut data = format!(
            "fd={},rootmode={:o},user_id={},group_id={},default_permissions",
            device.as_raw_fd(),
            root.mode() & libc::S_IFMT,
            nix::unistd::geteuid(),
            nix::unistd::getegid(),
        );
        if spec.access != Access::Owner {
            data.push_str(",allow_other");
        }
        let mut flags = MsFlags::empty();
        flags.set(MsFlags::MS_RDONLY, spec.read_only);
        flags.set(MsFlags::MS_NODEV, !spec.dev);
        flags.set(MsFlags::MS_NOSUID, !spec.suid);
        flags.set(MsFlags::MS_NOEXEC, spec.no_exec);
        nix::mount::mount(Some(spec.source.as_str()), &self.path, Some(TYPE), flags, Some(data.as_str()))
            .map_err(|errno| MountError::Kernel { action: "mount", path: self.path.clone(), source: errno.into() })?;
        Ok(device.into())
    }

    fn attach_by_helper(&self, spec: &MountSpec) -> Result<OwnedFd, MountError> {
        let failed = |message: String| MountError::Helper { action: "mount", path: self.path.clone(), message };
        let (ours, theirs) = nix::sys::socket::socketpair(
            nix::sys::socket::AddressFamily::Unix,
            nix::sys::socket::SockType::Stream,
            None,
            nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|errno| failed(format!("socketpair: {errno}")))?;
        let mut options = format!(
            "fsname={},subtype=walrusfs,default_permissions,{},nodev,nosuid",
            // fusermount3 splits at commas that are not escaped.
            spec.source.replace('\\', "\\\\").replace(',', "\\,"),
            if spec.read_only { "ro" } else { "rw" },
        );
        if spec.no_exec {
            options.push_str(",noexec");
        }
        if spec.access != Access::Owner {
            options.push_str(",allow_other");
        }
        // Only fusermount3 may inherit its end: cleared in a duplicate, made just before and closed just after.
        let inherited = nix::unistd::dup(&theirs).map_err(|errno| failed(format!("dup: {errno}")))?;
        drop(theirs);
        let child = Command::new("fusermount3")
            .arg("-o")
            .arg(options)
            .arg("--")
            .arg(&self.path)
            .env("_FUSE_COMMFD", inherited.as_raw_fd().to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("{error}; install the package fuse3")))?;
        drop(inherited);
        let device = receive_descriptor(ours.as_raw_fd());
        let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
        device.map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            failed(if said.is_empty() { error.to_string() } else { said })
        })
    }
}

/// The descriptor that fusermount3 sends over its socket.
fn receive_descriptor(socket: RawFd) -> io::Result<OwnedFd> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    let mut byte = [0_u8; 1];
    let mut vectors = [io::IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let message = recvmsg::<()>(socket, &mut vectors, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control
            && let [descriptor, ..] = descriptors[..]
        {
            // SAFETY: the kernel has just made this descriptor for us and nobody else knows it.
            return Ok(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without handing over the device"))
}

/// What a remount changes; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remount {
    /// Refuse every change.
    pub read_only: Option<bool>,
    /// Programs cannot be run.
    pub no_exec: Option<bool>,
    /// Set-user-id bits do not work.
    pub no_suid: Option<bool>,
    /// Device nodes do not work.
    pub no_dev: Option<bool>,
}

/// Changes flags of the mount at `path`; the others stay as they are. Only root may.
///
/// # Errors
/// [`MountError::Busy`] when a file is open for writing, [`MountError::NotMounted`] when nothing of ours is mounted there.
pub fn remount(path: &Path, wanted: Remount) -> Result<(), MountError> {
    use nix::sys::statvfs::FsFlags;
    let (path, _) = mount_of(path)?;
    let refused = |errno: Errno| match errno {
        Errno::EBUSY => MountError::Busy(path.clone()),
        other => MountError::Kernel { action: "remount", path: path.clone(), source: other.into() },
    };
    let now = nix::sys::statvfs::statvfs(&path).map_err(refused)?.flags();
    let mut flags = MsFlags::MS_REMOUNT;
    for (is, stays, wanted) in [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY, wanted.read_only),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID, wanted.no_suid),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV, wanted.no_dev),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC, wanted.no_exec),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME, None),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME, None),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME, None),
    ] {
        flags.set(stays, wanted.unwrap_or(now.contains(is)));
    }
    nix::mount::mount(None::<&str>, &path, None::<&str>, flags, None::<&str>).map_err(refused)
}

/// Whether the kernel refuses changes of the mount of device `device` at `path`.
pub(crate) fn is_read_only(path: &Path, device: Option<u64>) -> bool {
    let mount = mount_at(path).ok().flatten();
    mount.is_some_and(|mount| mount.read_only && mount.number() == device)
}

/// Unmounts `path`; `lazy` takes it away even while programs use it, `force` ends requests that nobody answers.
///
/// # Errors
/// [`MountError::Busy`] when programs use it, [`MountError::NotMounted`] when nothing is mounted there.
pub fn unmount(path: &Path, lazy: bool, force: bool) -> Result<(), MountError> {
    let refused = |source: io::Error| MountError::Kernel { action: "unmount", path: path.to_owned(), source };
    if nix::unistd::geteuid().is_root() {
        let mut flags = MntFlags::UMOUNT_NOFOLLOW;
        flags.set(MntFlags::MNT_DETACH, lazy);
        flags.set(MntFlags::MNT_FORCE, force);
        return nix::mount::umount2(path, flags).map_err(|errno| match errno {
            Errno::EBUSY => MountError::Busy(path.to_owned()),
            Errno::EINVAL => MountError::NotMounted(path.to_owned()),
            other => refused(other.into()),
        });
    }
    let mut command = Command::new("fusermount3");
    command.arg("-u").arg("-q");
    if lazy {
        command.arg("-z");
    }
    let failed = |message: String| MountError::Helper { action: "unmount", path: path.to_owned(), message };
    let output = command
        .arg("--")
        .arg(path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("{error}; install the package fuse3")))?;
    if output.status.success() {
        return Ok(());
    }
    // With -q it says nothing about a busy mount, so the mount itself tells: still there means busy.
    match mount_at(path)? {
        None => Err(MountError::NotMounted(path.to_owned())),
        Some(_) if output.stderr.is_empty() => Err(MountError::Busy(path.to_owned())),
        Some(_) => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Lets the kernel read ahead as much as one request carries. Only root may; without it reads arrive in 128 KiB.
pub(crate) fn raise_read_ahead(path: &Path, kib: u32) {
    if let Ok(Some(mount)) = mount_at(path) {
        let knob = format!("/sys/class/bdi/{}/read_ahead_kb", mount.device);
        if let Err(error) = std::fs::write(&knob, kib.to_string()) {
            tracing::debug!(%error, knob, "reads stay at the kernel's default size");
        }
    }
}

/// The device number of the file system mounted at `path`, as `st_dev` has it.
pub(crate) fn device_of(path: &Path) -> Option<u64> {
    mount_at(path).ok()??.number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &[u8] = b"22 1 0:21 / /proc rw,nosuid shared:12 - proc proc rw\n\
        90 22 0:50 / /srv/my\\040media rw,relatime shared:3 master:4 - fuse.walrusfs walrus:a\\134b rw,user_id=0\n\
        91 90 0:51 / /srv/my\\040media rw - tmpfs none rw\n";

    #[test]
    fn mountinfo_is_understood() {
        let mounts = parse_mountinfo(TABLE);
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[1].path, Path::new("/srv/my media"));
        assert_eq!((mounts[1].device.as_str(), mounts[1].kind.as_str()), ("0:50", TYPE));
        assert_eq!(mounts[1].source, "walrus:a\\b");
        assert!(!mounts[1].read_only && parse_mountinfo(b"9 1 0:1 / / nosuid,ro - a b ro")[0].read_only);
        assert_eq!(mounts.iter().rfind(|mount| mount.path == Path::new("/srv/my media")).unwrap().kind, "tmpfs");
    }

    #[test]
    fn what_cannot_be_mounted_on() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(Mountpoint::prepare(&temp.path().join("no")), Err(MountError::NoMountpoint(_))));
        assert!(matches!(Mountpoint::prepare(&file), Err(MountError::NotDirectory(_))));
        assert!(matches!(Mountpoint::prepare(Path::new("/proc")), Err(MountError::Mounted { .. })));
        assert!(matches!(mount_of(temp.path()), Err(MountError::NotMounted(_))));
        let dotted = temp.path().join(".").join("..").join(temp.path().file_name().unwrap());
        assert_eq!(Mountpoint::prepare(&dotted).unwrap().path(), temp.path().canonicalize().unwrap());
    }

    proptest! {
        #[test]
        fn no_table_panics(text: Vec<u8>) {
            let _ = parse_mountinfo(&text);
            let _ = unescape(&text);
        }
    }
}
