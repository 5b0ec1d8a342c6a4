//! What signals tell a mount process.
//!
//! SIGTERM and SIGINT end it ([`Ending`]). SIGHUP reads the configuration again and opens the log anew, SIGUSR1 writes the state into
//! the log ([`heed`]), both in every phase of a mount.

use super::request::MountRequest;
use super::spawn::open_log;
use crate::cli::config::Config;
use crate::cli::control::Status;
use crate::cli::exit::Failure;
use crate::cli::home::Home;
use crate::cli::logging;
use crate::cli::options::MountOptions;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a mount.
pub(super) struct Ending {
    term: Signal,
    int: Signal,
    /// The terminal that a mount in the foreground belongs to is gone.
    hangup: Option<Signal>,
}

impl Ending {
    /// Listens from now on.
    pub(super) fn new() -> std::io::Result<Self> {
        let hangup = on_a_terminal().then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())?, hangup })
    }

    /// Returns when one came.
    pub(super) async fn any(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
            () = came(&mut self.hangup) => {}
        }
    }
}

/// Returns when `signal` came; never when it is not listened to.
async fn came(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// A process with a terminal is told by SIGHUP that it is gone; one without is told to look at its configuration.
fn on_a_terminal() -> bool {
    std::io::stdin().is_terminal() || std::io::stderr().is_terminal()
}

/// What a mount process was started with: what SIGHUP compares with and what it writes to.
pub(super) struct Origin {
    pub(super) home: Home,
    pub(super) request: MountRequest,
    /// The file behind its stderr, unless somebody else keeps it.
    pub(super) log: Option<PathBuf>,
}

/// Heeds SIGHUP and SIGUSR1 until the process ends; `status` gives the figures of now.
///
/// # Errors
/// When signals cannot be listened to.
pub(super) fn heed(origin: Origin, status: impl Fn() -> Status + Send + 'static) -> std::io::Result<()> {
    let mut hangup = (!on_a_terminal()).then(|| signal(SignalKind::hangup())).transpose()?;
    let mut dump = signal(SignalKind::user_defined1())?;
    let origin = Arc::new(origin);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = came(&mut hangup) => {
                    let origin = Arc::clone(&origin);
                    // Files are read and opened.
                    let _ = tokio::task::spawn_blocking(move || origin.reload()).await;
                }
                _ = dump.recv() => write_state(&status()),
            }
        }
    });
    Ok(())
}

/// The state as one line, at a level that the log has unless it was told otherwise.
fn write_state(status: &Status) {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    match serde_json::to_string(status) {
        Ok(status) => tracing::warn!(tasks, "the state, as SIGUSR1 asked: {status}"),
        Err(error) => tracing::warn!(%error, "the state cannot be written"),
    }
}

impl Origin {
    fn reload(&self) {
        let reopened = match &self.log {
            Some(path) => open_log(path).and_then(|log| {
                let failed = |errno: nix::errno::Errno| Failure::from_io("cannot write to the new log", errno.into());
                nix::unistd::dup2_stdout(&log).map_err(failed)?;
                nix::unistd::dup2_stderr(&log).map_err(failed)
            }),
            None => Ok(()),
        };
        if let Err(failure) = reopened {
            tracing::warn!("the log goes on where it was: {failure}");
        }
        match self.options().and_then(|options| logging::refilter(&options).map(|()| options)) {
            Ok(options) => {
                let later = differing(&self.request.options, &options);
                tracing::info!("the configuration was read again");
                if !later.is_empty() {
                    tracing::warn!(
                        "changed in the configuration, and in force from the next mount on: {}",
                        later.join(", ")
                    );
                }
            }
            Err(failure) => tracing::warn!("the configuration cannot be read again, nothing has changed: {failure}"),
        }
    }

    /// The options that a mount would have now.
    fn options(&self) -> Result<MountOptions, Failure> {
        self.request.said.over(&Config::load(&self.home)?, &self.request.drive)
    }
}

/// The names of the options that differ, the log's filter excepted.
fn differing(had: &MountOptions, has: &MountOptions) -> Vec<String> {
    let fields = |options| match serde_json::to_value(options) {
        Ok(serde_json::Value::Object(fields)) => fields,
        // Options are an object, and all of it has a JSON form: they came through a pipe as such.
        _ => serde_json::Map::new(),
    };
    let (had, has) = (fields(had), fields(has));
    let changed = has.into_iter().filter(|(name, value)| name != "log_level" && had.get(name) != Some(value));
    changed.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_differ_are_named() {
        let mut had = MountOptions::default();
        had.add("cache_size=1G,log_level=warn", false).unwrap();
        let mut has = had.clone();
        assert!(differing(&had, &has).is_empty());
        has.add("cache_size=2G,timeout=7,log_level=debug", false).unwrap();
        assert_eq!(differing(&had, &has), ["cache_size", "timeout"]);
    }
}
