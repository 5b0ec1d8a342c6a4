//! `walrusfs status --watch`: the figures again and again.

use super::control::Status;
use super::exit::Failure;
use super::output;
use super::status::describe;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// The cursor to the corner, and everything below it gone.
const CLEAR: &str = "\x1b[H\x1b[2J";

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
    loop {
        let now = look()?;
        let mut text = String::new();
        for status in &now {
            if json {
                let line = serde_json::to_string(status)
                    .map_err(|error| Failure::new(super::exit::Code::Failed, "no JSON").caused_by(error))?;
                text.push_str(&line);
                text.push('\n');
            } else {
                text.push_str(&describe(status));
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
        std::thread::sleep(pause);
    }
}
