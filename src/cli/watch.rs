//! `walrusfs status --watch`: the figures again and again, with the rates between two looks.

use super::control::Status;
use super::exit::Failure;
use super::output;
use super::status::describe;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The cursor to the corner, and everything below it gone.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What moved between two looks at a mount, bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Written by programs and certified or not: how fast what waits grows, when it grows.
    pub written: u64,
    /// Packs to the network.
    pub uploaded: u64,
    /// Slivers from the network.
    pub fetched: u64,
}

impl Rates {
    /// Between two looks, `seconds` apart. A mount that was made anew counts from nothing.
    pub fn between(before: &Status, now: &Status, seconds: f64) -> Self {
        let per_second = |before: u64, now: u64| {
            if seconds <= 0.0 { 0 } else { (now.saturating_sub(before) as f64 / seconds) as u64 }
        };
        let waiting = |status: &Status| status.dirty_bytes.saturating_add(status.pending_bytes);
        if before.pid != now.pid {
            return Self::default();
        }
        Self {
            written: per_second(waiting(before), waiting(now)),
            uploaded: per_second(before.uploaded_bytes, now.uploaded_bytes),
            fetched: per_second(before.reads.fetched_bytes, now.reads.fetched_bytes),
        }
    }
}

/// Shows what `look` finds, every `pause`, until somebody stops it: on a terminal in place, otherwise one look after the other.
///
/// # Errors
/// What looking came to.
pub fn watch(
    pause: Duration,
    json: bool,
    mut look: impl FnMut() -> Result<Vec<Status>, Failure>,
) -> Result<(), Failure> {
    let in_place = std::io::stdout().is_terminal() && !json;
    let mut before: Vec<(PathBuf, Status)> = Vec::new();
    let mut seen = Instant::now();
    loop {
        let now = look()?;
        let seconds = seen.elapsed().as_secs_f64();
        seen = Instant::now();
        let mut text = String::new();
        for status in &now {
            let old = before.iter().find(|(point, _)| *point == status.mountpoint).map(|(_, status)| status);
            if json {
                let line = serde_json::to_string(status)
                    .map_err(|error| Failure::new(super::exit::Code::Failed, "no JSON").caused_by(error))?;
                text.push_str(&line);
                text.push('\n');
            } else {
                let rates = old.map(|old| Rates::between(old, status, seconds)).unwrap_or_default();
                text.push_str(&describe(status, Some(rates)));
            }
        }
        if now.is_empty() && !json {
            text.push_str("no drive is mounted\n");
        }
        let head =
            if in_place { format!("{CLEAR}{}  every {} s\n\n", output::now(), pause.as_secs()) } else { String::new() };
        let mut stdout = std::io::stdout();
        if stdout.write_all(format!("{head}{text}").as_bytes()).and_then(|()| stdout.flush()).is_err() {
            // Nobody reads any more.
            return Ok(());
        }
        before = now.into_iter().map(|status| (status.mountpoint.clone(), status)).collect();
        std::thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let look = |pid: u32, pending: u64, uploaded: u64| Status {
            pid,
            pending_bytes: pending,
            uploaded_bytes: uploaded,
            ..Status::default()
        };
        let rates = Rates::between(&look(1, 100, 0), &look(1, 300, 4000), 2.0);
        assert_eq!(rates, Rates { written: 100, uploaded: 2000, fetched: 0 });
        assert_eq!(Rates::between(&look(1, 300, 0), &look(1, 100, 0), 2.0).written, 0, "what shrinks is not written");
        assert_eq!(Rates::between(&look(1, 0, 9), &look(2, 500, 1), 2.0), Rates::default(), "another process");
        assert_eq!(Rates::between(&look(1, 0, 0), &look(1, 5, 5), 0.0), Rates::default());
    }
}
