//! Logs of this process: where they go, what is in them and how they look.
//!
//! Every module logs under its own path (`walrusfs::sync::engine`, `walrus_client::store`), and the filter is that of
//! `tracing` (`warn,walrusfs::sync=debug`). What the log of a user holds is a promise: no secret at any level, and no name or
//! content of a file above `debug`. `tests/e2e/logs.rs` looks.

use super::exit::{Code, Failure};
use super::options::MountOptions;
use super::output;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// To the system's journal, with its fields.
    Journald,
}

/// Starts the log of a command that does one thing: to stderr, warnings unless told otherwise.
///
/// # Errors
/// As [`start`].
pub(crate) fn for_command(options: &MountOptions) -> Result<(), Failure> {
    start(options, ["error", "warn", "info", "debug", "trace"][usize::from(output::loudness())])
}

/// Starts the log of a process that stays: to stderr, which is the log file of a daemon.
///
/// # Errors
/// As [`start`].
pub(crate) fn for_daemon(options: &MountOptions) -> Result<(), Failure> {
    start(options, ["warn", "info", "debug", "trace", "trace"][usize::from(output::loudness())])
}

/// The filter of this process, which can be replaced, and what it is when nobody says anything.
static FILTER: OnceLock<(reload::Handle<EnvFilter, Registry>, &str)> = OnceLock::new();

/// Takes the filter of `options` from now on.
///
/// # Errors
/// When it is none; the old one holds then.
pub(crate) fn refilter(options: &MountOptions) -> Result<(), Failure> {
    let Some((handle, usual)) = FILTER.get() else { return Ok(()) };
    let new = filter(options, usual)?;
    // It fails only when the subscriber is gone, with which nothing is logged any more.
    let _ = handle.reload(new);
    Ok(())
}

/// `-q` and `-v` come before the option, which comes before `usual`.
fn filter(options: &MountOptions, usual: &str) -> Result<EnvFilter, Failure> {
    let said = options.log_level.as_deref().filter(|_| output::loudness() == output::NORMAL);
    let directives = said.unwrap_or(usual);
    EnvFilter::builder()
        .parse(directives)
        .map_err(|error| Failure::new(Code::Usage, format!("log_level `{directives}` is no filter")).caused_by(error))
}

fn start(options: &MountOptions, usual: &'static str) -> Result<(), Failure> {
    let (filter, handle) = reload::Layer::new(filter(options, usual)?);
    // The first of a process is the one that counts.
    let _ = FILTER.set((handle, usual));
    let lines = || tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // A second subscriber in one process (a test) is none.
    let _ = match options.log_format {
        Format::Text => tracing_subscriber::registry().with(filter).with(lines()).try_init(),
        Format::Json => tracing_subscriber::registry().with(filter).with(lines().json()).try_init(),
        Format::Journald => {
            let journal = tracing_journald::layer().map_err(|error| {
                let doing =
                    "log_format=journald: the system's journal does not answer (is this machine run by systemd?)";
                Failure::from_io(doing, error)
            })?;
            tracing_subscriber::registry()
                .with(filter)
                .with(journal.with_syslog_identifier("walrusfs".to_owned()))
                .try_init()
        }
    };
    Ok(())
}
