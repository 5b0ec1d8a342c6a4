//! Starting the mount process: this program once more, in a session of its own.
//!
//! No fork without exec: the parent may have threads, and only the child starts a runtime. The child gets what to mount, with
//! its secrets, on its stdin and reports on its stdout, one JSON object a line; its stderr is a log file in state/. It then
//! puts /dev/null and the log in their places, so that nothing of the caller's stays open: `walrusfs mount M | cat` ends.

use super::request::Handover;
use crate::cli::control::name_of;
use crate::cli::exit::{Code, Failure};
use crate::cli::home::{Home, private_dir};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The hidden command that the child runs.
pub const COMMAND: &str = "mount-process";

/// A log longer than this is started anew at the next mount (one older one is kept), bytes.
const MAX_LOG: u64 = 16 << 20;

/// What the child reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// Something for the user to read.
    Say {
        /// The text.
        text: String,
    },
    /// The drive can be used.
    Ready,
    /// It cannot.
    Failed {
        /// Exit code.
        code: u8,
        /// Why, and what to do.
        message: String,
        /// Only a passphrase opens the drive, and none was given.
        needs_passphrase: bool,
    },
}

/// Why there is no mount.
#[derive(Debug)]
pub enum Refused {
    /// Only a passphrase opens the drive, and none was given.
    NeedsPassphrase(Failure),
    /// Anything else.
    Other(Failure),
}

impl Refused {
    /// For the user.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::NeedsPassphrase(failure) | Self::Other(failure) => failure,
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// The log file of the mount at the request's mount point.
pub fn log_of(home: &Home, handover: &Handover) -> PathBuf {
    let request = &handover.request;
    match &request.options.log {
        Some(path) => path.clone(),
        None => home.mounts().join(format!("{}.log", name_of(&request.mountpoint))),
    }
}

/// Opens the log, for adding to it; one that has become too long is put aside first.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn open_log(path: &Path) -> Result<File, Failure> {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > MAX_LOG) {
        // Losing an old log is better than not mounting.
        let _ = std::fs::rename(path, path.with_extension("log.old"));
    }
    File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::from_io(format!("cannot open the log {}", path.display()), error))
}

/// Starts the mount process and returns when the drive can be used. `say` gets what it reports on the way.
///
/// # Errors
/// What the process reported, or that it was not ready in time; it is ended then.
pub fn start(home: &Home, handover: &Handover, say: &mut dyn FnMut(&str)) -> Result<(), Refused> {
    private_dir(&home.mounts())?;
    let log_path = log_of(home, handover);
    let log = open_log(&log_path)?;
    let message = zeroize::Zeroizing::new(
        serde_json::to_vec(handover)
            .map_err(|error| Failure::new(Code::Failed, "the mount cannot be described").caused_by(error))?,
    );
    let failed = |error| Failure::from_io("cannot start the mount process", error);
    // By its path, so that ps(1) shows its name; by what runs now when the file has been replaced since.
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let mut child = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()))
        .arg0("walrusfs")
        .arg(COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that is gone already says why on its other pipe.
        let _ = stdin.write_all(&message);
    }
    let reports = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
    let lines = read_lines(BufReader::new(reports));
    let deadline = Instant::now() + handover.request.wait;
    let refused = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left).map(|line| serde_json::from_str(&line)) {
            Ok(Ok(Report::Say { text })) => say(&text),
            Ok(Ok(Report::Ready)) => return Ok(()),
            Ok(Ok(Report::Failed { code, message, needs_passphrase })) => {
                let failure = Failure::new(Code::from_number(code), message);
                break if needs_passphrase { Refused::NeedsPassphrase(failure) } else { Refused::Other(failure) };
            }
            Ok(Err(_)) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                break Refused::Other(Failure::new(
                    Code::Failed,
                    format!("the mount process ended before the drive could be used; see {}", log_path.display()),
                ));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let seconds = handover.request.wait.as_secs();
                let failure = Failure::new(
                    Code::Unreachable,
                    format!("the drive could not be used within {seconds} s (--wait); see {}", log_path.display()),
                );
                end(&mut child);
                break Refused::Other(failure);
            }
        }
    };
    // It has said its last word and ends by itself.
    reap(&mut child, Duration::from_secs(10));
    Err(refused)
}

/// Lines of the child, read by a thread so that waiting for them can end.
fn read_lines(mut reports: impl BufRead + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while matches!(reports.read_line(&mut line), Ok(1..)) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Ends the child: politely, so that it takes its mount away, then not.
fn end(child: &mut std::process::Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
    }
    if !reap(child, Duration::from_secs(5)) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn reap(child: &mut std::process::Child, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

/// The child's end of the pipes.
pub struct Parent(Option<File>);

impl Parent {
    /// In the foreground there is no parent; reports go to stderr.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether there is one: whoever starts a mount in the background.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Tells the user something.
    pub fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        match &self.0 {
            None => crate::cli::output::note(&text),
            Some(_) => self.send(&Report::Say { text }),
        }
    }

    /// The drive can be used: the parent ends.
    pub fn ready(&mut self) {
        self.send(&Report::Ready);
        self.0 = None;
    }

    /// The drive cannot be used.
    pub fn failed(&mut self, failure: &Failure) {
        let code = failure.code() as u8;
        self.send(&Report::Failed {
            code,
            message: failure.to_string(),
            needs_passphrase: failure.is_passphrase_wanted(),
        });
        self.0 = None;
    }

    fn send(&mut self, report: &Report) {
        let Some(pipe) = &mut self.0 else { return };
        if let Ok(mut line) = serde_json::to_vec(report) {
            line.push(b'\n');
            // A parent that is gone (killed, or tired of waiting) needs no report.
            let _ = pipe.write_all(&line);
        }
    }
}

/// Makes this process a daemon that was started by [`start`]: reads its orders, then lets go of everything that it
/// inherited. Called before anything else was opened or any thread started.
///
/// # Errors
/// When stdin does not carry an order.
pub fn become_daemon() -> Result<(Handover, Parent), Failure> {
    let failed = |error: io::Error| Failure::from_io("cannot become a mount process", error);
    // SAFETY: nothing in this process has opened a descriptor above stderr yet; what lies there was left open by callers.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    let handover: Handover = serde_json::from_reader(io::stdin().lock())
        .map_err(|error| Failure::usage("this command is started by `walrusfs mount` only").caused_by(error))?;
    // autofs(5) holds up everybody but the group that it waits for: out of it, this process would wait for its own mount. No terminal can
    // send such a group signals.
    if !(handover.request.automount && File::open("/dev/tty").is_err()) {
        // The leader of a group cannot start a session, but a child that has just been spawned leads none.
        nix::unistd::setsid().map_err(|errno| failed(errno.into()))?;
    }
    let report: OwnedFd = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
    let nothing = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
    nix::unistd::dup2_stdin(&nothing).map_err(|errno| failed(errno.into()))?;
    nix::unistd::dup2_stdout(io::stderr()).map_err(|errno| failed(errno.into()))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    std::env::set_current_dir("/").map_err(failed)?;
    Ok((handover, Parent(Some(report.into()))))
}
