//! The network as a background process: find it, start it once, wait for it, end it.
//!
//! Mechanism: whoever wants the network asks its control socket. If nobody answers, the caller takes `start.lock`, asks
//! again, and spawns the program in a session of its own; so of many callers at once one starts it and the others wait. The
//! new process says on its standard output, a pipe to the starter, when chain and nodes answer, or why not. It holds `lock`
//! for its life: a pid file without a held lock is stale, and nothing depends on it.
//!
//! Promises: the background process keeps no descriptor of its starter, so that a pipeline that the starter stands in ends.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::control::{self, ControlError, ControlServer, Request};
use crate::network::{Devnet, DevnetError, NetworkStatus, Options};

/// The log of the background process, in the network's directory.
pub const LOG: &str = "devnet.log";
/// A longer log is put aside at the next start.
const LONG_LOG: u64 = 16 << 20;
const PID: &str = "pid";
const READY: &str = "ready";
const POLL: Duration = Duration::from_millis(20);

/// How to spawn the background process: a program that calls [`run`] with `announce`.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program, usually this one.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// How long to wait until chain and nodes answer.
    pub timeout: Duration,
}

impl Launcher {
    /// Returns the status of the network of `dir`, starting it if it does not run. Blocks.
    ///
    /// # Errors
    /// What the new process said when it failed, or that it did not answer in time; the log is named.
    pub fn ensure_running(&self, dir: &Path) -> Result<NetworkStatus, DevnetError> {
        let deadline = Instant::now() + self.timeout;
        if let Ok(status) = control::status(dir) {
            return Ok(status);
        }
        fs::create_dir_all(dir).map_err(DevnetError::io(dir.display().to_string()))?;
        let path = dir.join("start.lock");
        let io = || DevnetError::io(path.display().to_string());
        let lock = File::options().write(true).create(true).truncate(false).open(&path).map_err(io())?;
        while let Err(error) = lock.try_lock() {
            match error {
                fs::TryLockError::WouldBlock if Instant::now() < deadline => std::thread::sleep(POLL),
                fs::TryLockError::WouldBlock => return Err(self.too_slow(dir)),
                fs::TryLockError::Error(error) => return Err(io()(error)),
            }
        }
        match control::status(dir) {
            Ok(status) => return Ok(status),
            Err(ControlError::NotRunning) => {}
            Err(error) => tracing::debug!(%error, "asking the local network"),
        }
        let (mut child, said) = self.spawn(dir)?;
        match first_line(said, deadline) {
            Some(line) if line == READY => Ok(control::status(dir)?),
            Some(line) if !line.is_empty() => Err(DevnetError::Control(line)),
            Some(_) => Err(DevnetError::Control(format!(
                "the local network ended while starting ({}); see {}",
                child.wait().map_or_else(|error| error.to_string(), |status| status.to_string()),
                dir.join(LOG).display()
            ))),
            None => {
                // It may hang anywhere; a half-started network must not keep the lock.
                let _ = child.kill();
                let _ = child.wait();
                Err(self.too_slow(dir))
            }
        }
    }

    fn too_slow(&self, dir: &Path) -> DevnetError {
        let log = dir.join(LOG);
        DevnetError::Control(format!(
            "the local network did not start within {} s; see {}",
            self.timeout.as_secs(),
            log.display()
        ))
    }

    fn spawn(&self, dir: &Path) -> Result<(Child, ChildStdout), DevnetError> {
        let path = dir.join(LOG);
        if fs::metadata(&path).is_ok_and(|log| log.len() > LONG_LOG) {
            let _ = fs::rename(&path, path.with_extension("log.old"));
        }
        let log = File::options().append(true).create(true).open(&path);
        let log = log.map_err(DevnetError::io(path.display().to_string()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // SAFETY: between fork and exec the closure makes two system calls and touches no memory that another thread could have
        // locked.
        unsafe {
            command.pre_exec(detach);
        }
        let spawned = command.spawn().and_then(|mut child| {
            let said = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
            Ok((child, said))
        });
        spawned.map_err(DevnetError::io(self.program.display().to_string()))
    }
}

/// In the child, before it becomes the program: a session of its own, and no inherited descriptor above standard error.
fn detach() -> io::Result<()> {
    nix::unistd::setsid()?;
    // SAFETY: the call takes no pointers. Marking instead of closing leaves alone the pipe by which `spawn` reports errors.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

/// The first line that the child says; empty if it ended without one, none at the deadline.
fn first_line(said: ChildStdout, deadline: Instant) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(said).read_line(&mut line);
        let _ = sender.send(line.trim_end().to_owned());
    });
    receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
}

/// Runs the network of `dir` until it is told to end, by `devnet down`, SIGTERM or SIGINT. With `announce` the caller is a
/// [`Launcher`] that reads standard output.
///
/// # Errors
/// It cannot start.
pub async fn run(dir: &Path, options: Options, announce: bool) -> Result<(), DevnetError> {
    raise_descriptor_limit();
    let started = start(dir, options).await;
    let (network, server) = match started {
        Ok(started) => started,
        Err(error) => {
            if announce {
                say(&error.to_string());
            }
            return Err(error);
        }
    };
    let stop = CancellationToken::new();
    let control = tokio::spawn(server.serve(network.clone(), stop.clone()));
    let pid = dir.join(PID);
    let written = fs::write(&pid, format!("{}\n", std::process::id()));
    written.map_err(DevnetError::io(pid.display().to_string()))?;
    tracing::info!(pid = std::process::id(), dir = %dir.display(), "the local network runs");
    if announce {
        say(READY);
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(DevnetError::io("SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DevnetError::io("SIGINT"))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stop.cancelled() => {}
    }
    tracing::info!("the local network ends");
    stop.cancel();
    let _ = control.await;
    let _ = fs::remove_file(&pid);
    // Control connections may still hold the network for a moment.
    let mut network = network;
    for _ in 0..500 {
        match Arc::try_unwrap(network) {
            Ok(network) => {
                network.shutdown().await;
                break;
            }
            Err(shared) => network = shared,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A hundred nodes with their connections need more descriptors than the usual soft limit of 1024.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn start(dir: &Path, options: Options) -> Result<(Arc<Devnet>, ControlServer), DevnetError> {
    // A network that is just ending holds the lock a little longer than its control socket.
    let deadline = Instant::now() + Duration::from_secs(15);
    let network = loop {
        match Devnet::start(dir, options.clone()).await {
            Err(DevnetError::Locked(_)) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
            other => break other?,
        }
    };
    let server = ControlServer::bind(dir).map_err(DevnetError::io(dir.join("control.sock").display().to_string()))?;
    Ok((Arc::new(network), server))
}

/// Says one line to the starter and lets go of the pipe: standard output becomes the log.
fn say(line: &str) {
    let mut out = io::stdout();
    // A starter that is gone has nothing to be told.
    let _ = writeln!(out, "{}", line.replace('\n', " "));
    let _ = out.flush();
    let _ = nix::unistd::dup2_stdout(io::stderr().as_fd());
}

/// Ends the network of `dir` and waits until it is gone. False if none runs.
///
/// # Errors
/// It does not answer, or does not end within `timeout`.
pub fn down(dir: &Path, timeout: Duration) -> Result<bool, DevnetError> {
    let deadline = Instant::now() + timeout;
    match control::call(dir, &Request::Down, timeout) {
        Ok(_) => {}
        Err(ControlError::NotRunning) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let path = dir.join("lock");
    let lock = File::options().write(true).open(&path).map_err(DevnetError::io(path.display().to_string()))?;
    while lock.try_lock().is_err() {
        if Instant::now() >= deadline {
            return Err(DevnetError::Control(format!("the local network did not end within {} s", timeout.as_secs())));
        }
        std::thread::sleep(POLL);
    }
    Ok(true)
}
