//! The control socket of a mount: how other commands talk to its daemon.
//!
//! One request a connection: a JSON object on one line, answered by JSON objects on lines of their own, the last of which is
//! [`Answer::Done`] or [`Answer::Failed`]. Both sides name [`VERSION`]; a program of another version is told so instead of
//! being misunderstood. The socket lies in a folder of mode 0700, so only its user and root can connect; it is reached
//! through the folder's descriptor because a socket's path holds at most 107 bytes.

use super::cost::Cost;
use super::exit::{Code, Failure};
use super::home::Home;
use super::rates::Rates;
use crate::cache::ReaderStats;
use crate::sync::Held;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The protocol's version.
pub const VERSION: u32 = 1;

/// No line is longer than this, bytes.
const MAX_LINE: u64 = 1 << 20;

/// A request and the version it is made in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
}

/// What a daemon can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Its figures.
    Status,
    /// To certify everything written so far.
    Sync {
        /// Seconds to wait; without it, as long as it takes.
        timeout: Option<u64>,
    },
    /// To unmount, certify, and end.
    Umount {
        /// Even while programs use it.
        lazy: bool,
        /// Seconds to wait for the network after unmounting; zero leaves as soon as the journal is durable.
        timeout: u64,
    },
    /// To bring a file or everything below a folder into the cache.
    Prefetch {
        /// Inode number.
        ino: u64,
        /// Its path below the mount point, for messages.
        path: String,
    },
    /// The same, and to keep it there and fresh.
    Pin {
        /// Inode number.
        ino: u64,
        /// Its path below the mount point, for messages.
        path: String,
    },
    /// To keep it no longer.
    Unpin {
        /// Inode number.
        ino: u64,
    },
    /// What is pinned, and how much of it is here.
    Pins,
    /// To make the journal durable and end, if it has no mount any more: another process wants the drive.
    Leave {
        /// Id of its Drive object; none when it is the mount point that is wanted, whatever was there.
        drive_id: Option<String>,
    },
}

/// What a daemon says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It goes on; this much is left.
    Progress {
        /// Bytes not certified yet.
        pending_bytes: u64,
    },
    /// It fetches; so much is here.
    Fetched {
        /// Bytes that are here.
        done_bytes: u64,
        /// Bytes in all; 0 while that is being found out.
        total_bytes: u64,
    },
    /// It is done.
    Done {
        /// The status, when that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<Box<Status>>,
        /// What was fetched or is pinned, when that was asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        held: Vec<Held>,
    },
    /// It did not work.
    Failed {
        /// The exit code for the caller.
        code: u8,
        /// Why, and what to do.
        message: String,
    },
}

/// The figures of a mount; field names are promised to scripts (design.md 13).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Process id of the mount.
    pub pid: u32,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// `walrus:LABEL`.
    pub drive: String,
    /// Id of the Drive object.
    pub drive_id: Option<String>,
    /// Name of the network.
    pub network: String,
    /// `starting`, `mounted`, `draining` (unmounted, uploading the rest).
    pub state: String,
    /// Whether changes are refused.
    pub read_only: bool,
    /// Whether the drive was opened for reading only: no remount changes that.
    #[serde(default)]
    pub opened_read_only: bool,
    /// The Drive's sequence that is being served.
    pub sequence: u64,
    /// Bytes of file content that are only in memory.
    pub dirty_bytes: u64,
    /// Bytes of file content that are durable here but not certified yet.
    pub pending_bytes: u64,
    /// Whether there are changes that no commit holds; they may be of names and attributes only.
    #[serde(default)]
    pub uncommitted: bool,
    /// Time of the commit being served, RFC 3339 (UTC); absent before the first.
    pub certified_at: Option<String>,
    /// Bytes that files can hold in all.
    pub capacity_bytes: u64,
    /// Bytes that files hold.
    pub used_bytes: u64,
    /// When the drive's storage ends, RFC 3339 (UTC).
    pub expires_at: Option<String>,
    /// Bytes in the sliver cache.
    pub cache_bytes: u64,
    /// What reads found in memory, on disk and on the network, and what the cache did.
    #[serde(default)]
    pub reads: ReaderStats,
    /// Why the last attempt to certify failed, while it has not succeeded since.
    pub problem: Option<String>,
    /// Time of the commit being served, milliseconds since the Unix epoch.
    #[serde(default)]
    pub certified_at_ms: Option<u64>,
    /// When the drive's storage ends, milliseconds since the Unix epoch.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
    /// What the pipeline is doing: `idle`, `lease`, `cut`, `upload`, `tree`, `commit`.
    #[serde(default)]
    pub stage: String,
    /// Bytes of the journal on the local disk.
    #[serde(default)]
    pub journal_bytes: u64,
    /// Commits since the mount.
    #[serde(default)]
    pub commits: u64,
    /// Packs uploaded since the mount.
    #[serde(default)]
    pub uploaded_packs: u64,
    /// Bytes of packs uploaded since the mount.
    #[serde(default)]
    pub uploaded_bytes: u64,
    /// Bytes that programs have written since the mount.
    #[serde(default)]
    pub written_bytes: u64,
    /// Bytes of slivers that nodes were sent since the mount.
    #[serde(default)]
    pub sent_bytes: u64,
    /// What moved in the last seconds.
    #[serde(default)]
    pub rates: Rates,
    /// Encoded bytes of the storage pool that were bought.
    #[serde(default)]
    pub pool_capacity_bytes: u64,
    /// Encoded bytes that blobs take of it.
    #[serde(default)]
    pub pool_used_bytes: u64,
    /// Storage nodes of this epoch.
    #[serde(default)]
    pub nodes: u64,
    /// Of them, those that failed or lied lately and are asked last.
    #[serde(default)]
    pub nodes_avoided: u64,
    /// Transactions of this mount.
    #[serde(default)]
    pub transactions: u64,
    /// MIST (a billionth of a SUI) that they cost; below zero when more was given back.
    #[serde(default)]
    pub paid_mist: i64,
    /// FROST (a billionth of a WAL) that they cost; below zero when more was given back.
    #[serde(default)]
    pub paid_frost: i64,
    /// What this machine has paid for the drive, since it first did.
    #[serde(default)]
    pub cost: Option<Cost>,
    /// Where the figures are served to Prometheus.
    #[serde(default)]
    pub metrics: Option<String>,
}

/// The name under which a mount point's socket and log lie in the mounts folder.
pub fn name_of(mountpoint: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    hex::encode(&blake3::hash(mountpoint.as_os_str().as_bytes()).as_bytes()[..8])
}

/// The socket of the mount at `mountpoint` (a resolved path).
pub fn socket_of(home: &Home, mountpoint: &Path) -> PathBuf {
    home.mounts().join(format!("{}.sock", name_of(mountpoint)))
}

/// A path to `socket` of fixed length, valid while the returned folder is open.
fn short(socket: &Path) -> io::Result<(File, PathBuf)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let folder = File::open(socket.parent().ok_or_else(invalid)?)?;
    let name = socket.file_name().ok_or_else(invalid)?;
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((folder, path))
}

/// Binds `socket`. The caller holds the lock that makes it the only daemon of the mount point, so what lies there is stale.
pub fn bind(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_folder, path) = short(socket)?;
    UnixListener::bind(path)
}

/// A connection to a daemon.
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connects to `socket`; `Ok(None)` when no daemon listens there.
    pub fn connect(socket: &Path) -> io::Result<Option<Self>> {
        let connected = short(socket).and_then(|(_folder, path)| UnixStream::connect(path));
        match connected {
            Ok(stream) => Ok(Some(Self(BufReader::new(stream)))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends `request` and returns the last answer's status; `progress` sees the pending bytes on the way. `patience` bounds
    /// the silence between two answers.
    ///
    /// # Errors
    /// What the daemon said, or that it stopped saying anything.
    pub fn ask(
        mut self,
        request: Request,
        patience: Duration,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<Box<Status>>, Failure> {
        let last = self.last(request, patience, |answer| {
            if let Answer::Progress { pending_bytes } = answer {
                progress(*pending_bytes);
            }
        })?;
        Ok(last.0)
    }

    /// Sends `request` and returns what the last answer says is held here; `progress` sees the answers on the way.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn converse(
        mut self,
        request: Request,
        patience: Duration,
        progress: impl FnMut(&Answer),
    ) -> Result<Vec<Held>, Failure> {
        self.last(request, patience, progress).map(|(_, held)| held)
    }

    /// As [`Client::ask`] for a request that the process ends with; returns when it has ended, and whatever it held is free, but
    /// waits no longer than `patience` for that.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask_to_end(
        mut self,
        request: Request,
        patience: Duration,
        mut progress: impl FnMut(u64),
    ) -> Result<(), Failure> {
        let asked = self.last(request, patience, |answer| {
            if let Answer::Progress { pending_bytes } = answer {
                progress(*pending_bytes);
            }
        });
        if asked.as_ref().err().is_none_or(|failure| failure.code() == Code::Pending) {
            // The process keeps the connection for as long as it lives. Whatever else this reads or misses changes nothing.
            let _ = self.0.read(&mut [0; 1]);
        }
        asked.map(drop)
    }

    fn last(
        &mut self,
        request: Request,
        patience: Duration,
        mut progress: impl FnMut(&Answer),
    ) -> Result<(Option<Box<Status>>, Vec<Held>), Failure> {
        let silent = |error: io::Error| {
            let silent = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            let why = if silent { "it did not answer in time".to_owned() } else { error.to_string() };
            let message = format!("the mount process cannot be asked: {why}; its log may say more");
            if silent { Failure::silence(message) } else { Failure::new(Code::Failed, message) }
        };
        let stream = self.0.get_ref();
        stream.set_read_timeout(Some(patience)).map_err(silent)?;
        stream.set_write_timeout(Some(patience)).map_err(silent)?;
        let mut line = serde_json::to_vec(&Envelope { version: VERSION, request })
            .map_err(|error| silent(io::Error::other(error)))?;
        line.push(b'\n');
        self.0.get_mut().write_all(&line).map_err(silent)?;
        loop {
            let mut line = Vec::new();
            if (&mut self.0).take(MAX_LINE).read_until(b'\n', &mut line).map_err(silent)? == 0 {
                return Err(Failure::new(
                    Code::Failed,
                    "the mount process ended before it answered; its log may say why",
                ));
            }
            match serde_json::from_slice(&line).map_err(|error| silent(io::Error::other(error)))? {
                Answer::Done { status, held } => return Ok((status, held)),
                Answer::Failed { code, message } => return Err(Failure::new(Code::from_number(code), message)),
                answer => progress(&answer),
            }
        }
    }
}

/// Finds the daemon of the mount at `path`: by its place in this home, else by what the mount says about itself (it may
/// belong to another home).
///
/// # Errors
/// When nothing of ours is mounted there, or its daemon does not listen.
pub fn find(home: &Home, path: &Path) -> Result<(PathBuf, Client), Failure> {
    let by_place = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let connect = |socket: &Path| {
        Client::connect(socket)
            .map_err(|error| Failure::from_io(format!("cannot reach the mount process of {}", path.display()), error))
    };
    if let Some(client) = connect(&socket_of(home, &by_place))? {
        return Ok((by_place, client));
    }
    let (mountpoint, _) = crate::fuse::mount_of(path)
        .map_err(|error| Failure::new(Code::NotFound, error.to_string()).caused_by(error))?;
    let missing = || {
        Failure::new(
            Code::Failed,
            format!("the mount process of {} is gone; `umount -l` clears the mount point", mountpoint.display()),
        )
    };
    let socket = control_xattr(&mountpoint).ok_or_else(missing)?;
    let client = connect(&socket)?.ok_or_else(missing)?;
    Ok((mountpoint, client))
}

/// The socket that the mount itself names.
pub(crate) fn control_xattr(mountpoint: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let path = std::ffi::CString::new(mountpoint.as_os_str().as_bytes()).ok()?;
    let name = std::ffi::CString::new(crate::fuse::CONTROL_XATTR).ok()?;
    let mut value = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: both strings end with NUL and the buffer is as long as said.
    let len = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(len).ok()?);
    Some(PathBuf::from(std::ffi::OsString::from_vec(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_may_lie_deeper_than_a_socket_path_is_long() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("s.sock");
        assert!(Client::connect(&socket).unwrap().is_none());
        let listener = bind(&socket).unwrap();
        let answering = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let envelope: Envelope = serde_json::from_str(&line).unwrap();
            stream.get_mut().write_all(b"{\"answer\":\"progress\",\"pending_bytes\":7}\n").unwrap();
            stream.get_mut().write_all(b"{\"answer\":\"failed\",\"code\":9,\"message\":\"later\"}\n").unwrap();
            envelope.request
        });
        let client = Client::connect(&socket).unwrap().unwrap();
        let mut seen = Vec::new();
        let request = Request::Umount { lazy: false, timeout: 3 };
        let failure = client.ask(request.clone(), Duration::from_secs(5), |bytes| seen.push(bytes)).unwrap_err();
        assert_eq!((failure.code(), failure.to_string().as_str()), (Code::Pending, "later"));
        assert_eq!(seen, [7]);
        assert_eq!(answering.join().unwrap(), request);
        assert!(Client::connect(&socket).unwrap().is_none(), "a socket nobody listens on is nobody");
    }
}
