//! The network as a background process: find it, start it once, wait for it, end it.
//!
//! Mechanism: whoever wants the network asks its control socket. If nobody answers, the caller takes `start.lock`, asks
//! again, and spawns the program in a session of its own; so of many callers at once one starts it and the others wait.
//! The running process holds `lock` for its life: a pid file without a held lock is stale and ignored.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::network::{DevnetError, NetworkStatus};

/// How to spawn the background process: a program that runs the network in the foreground.
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
        Err(DevnetError::Control(format!("{}: the local network cannot be started yet", dir.display())))
    }
}
