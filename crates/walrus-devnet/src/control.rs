//! The control socket of the running network: one JSON request in a line, one JSON reply in a line.
//!
//! The socket is `control.sock` in the network's directory, mode 0600: who may open it may do everything. It is reached through
//! the directory's descriptor, because a socket's path may have at most 107 bytes and a directory's may be longer.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::fault::Fault;
use crate::network::{Devnet, DevnetError, NetworkStatus};

const SOCKET: &str = "control.sock";
/// Requests are short; a longer line is no request.
const LONGEST: u64 = 4096;

/// What the running network can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// Its [`NetworkStatus`].
    Status,
    /// Let a node misbehave, or behave.
    SetFault {
        /// The node's index.
        node: usize,
        /// As [`Fault`] prints it.
        fault: String,
    },
    /// Start a stopped node.
    StartNode {
        /// The node's index.
        node: usize,
    },
    /// Remove what a node stores, except its keys.
    WipeNode {
        /// The node's index.
        node: usize,
    },
    /// End the epoch; the reply is the new one.
    AdvanceEpoch,
    /// End the process.
    Down,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Ok(Value),
    Error(String),
}

/// Why a request was not answered with success.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No process serves the socket.
    #[error("the local network is not running")]
    NotRunning,
    /// The socket failed, or the reply is none.
    #[error("control socket: {0}")]
    Socket(#[from] io::Error),
    /// The network answered with an error.
    #[error("{0}")]
    Refused(String),
}

impl From<ControlError> for DevnetError {
    fn from(error: ControlError) -> Self {
        Self::Control(error.to_string())
    }
}

/// Asks the network of `dir`. Blocks, at most for `timeout`.
///
/// # Errors
/// [`ControlError`] by what happened.
pub fn call(dir: &Path, request: &Request, timeout: Duration) -> Result<Value, ControlError> {
    let not_running = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NotRunning,
        // The process died while it was asked.
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ControlError::NotRunning,
        _ => ControlError::Socket(error),
    };
    let folder = File::open(dir).map_err(not_running)?;
    let mut stream = UnixStream::connect(through(&folder)).map_err(not_running)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let mut line = serde_json::to_string(request).map_err(io::Error::other)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(not_running)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).map_err(not_running)?;
    if reply.is_empty() {
        return Err(ControlError::NotRunning);
    }
    match serde_json::from_str(&reply).map_err(io::Error::other)? {
        Reply::Ok(value) => Ok(value),
        Reply::Error(message) => Err(ControlError::Refused(message)),
    }
}

/// The status of the network of `dir`.
///
/// # Errors
/// [`ControlError`] by what happened.
pub fn status(dir: &Path) -> Result<NetworkStatus, ControlError> {
    let value = call(dir, &Request::Status, Duration::from_secs(10))?;
    serde_json::from_value(value).map_err(|error| ControlError::Socket(io::Error::other(error)))
}

/// The socket as seen through the directory's descriptor.
fn through(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
}

/// The serving side.
pub struct ControlServer {
    listener: UnixListener,
}

impl ControlServer {
    /// Binds the socket in `dir`, whose lock the caller holds: a socket that is there already is a dead process's.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn bind(dir: &Path) -> io::Result<Self> {
        match fs::remove_file(dir.join(SOCKET)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let folder = File::open(dir)?;
        let listener = UnixListener::bind(through(&folder))?;
        fs::set_permissions(dir.join(SOCKET), fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// Serves until `stop`, which a [`Request::Down`] also sets.
    pub async fn serve(self, network: Arc<Devnet>, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (network, stop) = (network.clone(), stop.clone());
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &network, &stop).await {
                    tracing::debug!(%error, "control connection");
                }
            });
        }
    }
}

async fn answer(stream: tokio::net::UnixStream, network: &Devnet, stop: &CancellationToken) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(LONGEST)).read_line(&mut line).await?;
    let request = serde_json::from_str::<Request>(&line);
    let down = matches!(request, Ok(Request::Down));
    let reply = match request {
        Ok(request) => act(network, request).await.map_or_else(|error| Reply::Error(error.to_string()), Reply::Ok),
        Err(error) => Reply::Error(format!("no request: {error}")),
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.shutdown().await?;
    if down {
        stop.cancel();
    }
    Ok(())
}

async fn act(network: &Devnet, request: Request) -> Result<Value, DevnetError> {
    match request {
        Request::Status => {
            serde_json::to_value(network.status()?).map_err(|error| DevnetError::Control(error.to_string()))
        }
        Request::SetFault { node, fault } => {
            let fault: Fault = fault
                .parse()
                .map_err(|error: crate::fault::ParseFaultError| DevnetError::Options(error.to_string()))?;
            network.set_fault(node, fault).await?;
            Ok(Value::Null)
        }
        Request::StartNode { node } => network.start_node(node).await.map(|()| Value::Null),
        Request::WipeNode { node } => network.wipe_node(node).await.map(|()| Value::Null),
        Request::AdvanceEpoch => network.advance_epoch().await.map(Value::from),
        Request::Down => Ok(Value::Null),
    }
}
