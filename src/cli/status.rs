//! `walrusfs status`: what mounted drives hold and what is still on its way.

use super::args::StatusArgs;
use super::control::{Client, Request, Status, find};
use super::exit::{Code, Failure};
use super::home::Home;
use super::output;
use std::path::Path;
use std::time::Duration;

/// A daemon answers its status at once, also while it recovers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a daemon for its figures.
///
/// # Errors
/// What the daemon said, or that it did not answer.
pub fn ask(client: Client) -> Result<Status, Failure> {
    let status = client.ask(Request::Status, PATIENCE, |_| {})?;
    Ok(*status.ok_or_else(|| Failure::new(Code::Failed, "the mount process answered without figures"))?)
}

/// Runs the command.
///
/// # Errors
/// When the mount cannot be found or asked.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let home = Home::open()?;
    if let Some(mountpoint) = &args.mountpoint {
        let (_, client) = find(&home, mountpoint)?;
        let status = ask(client)?;
        if args.json {
            return output::json(&status);
        }
        show(&status);
        return Ok(());
    }
    let mounts = all(&home)?;
    if args.json {
        return output::json(&mounts);
    }
    if mounts.is_empty() {
        output::line("no drive is mounted");
    }
    mounts.iter().for_each(show);
    Ok(())
}

/// The figures of every mount of this home; a daemon that does not answer is left out with a note.
///
/// # Errors
/// When the folder of sockets cannot be read.
pub fn all(home: &Home) -> Result<Vec<Status>, Failure> {
    let mut found = Vec::new();
    for socket in sockets(&home.mounts())? {
        let asked = Client::connect(&socket)
            .map_err(|error| Failure::from_io(format!("cannot connect to {}", socket.display()), error))
            .and_then(|client| client.map(ask).transpose());
        match asked {
            Ok(status) => found.extend(status),
            Err(failure) => failure.print(),
        }
    }
    found.sort_by(|one, other| one.mountpoint.cmp(&other.mountpoint));
    Ok(found)
}

fn sockets(folder: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::from_io(format!("cannot read {}", folder.display()), error)),
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect())
}

fn show(status: &Status) {
    let changes = if status.read_only { ", read-only" } else { "" };
    output::line(format!("{} on {} ({}{changes})", status.drive, status.mountpoint.display(), status.state));
    output::line(format!("  network      {}", status.network));
    let certified = status.certified_at.as_deref().unwrap_or("nothing yet");
    output::line(format!("  certified    {certified} (sequence {})", status.sequence));
    let waiting = status.dirty_bytes.saturating_add(status.pending_bytes);
    match waiting {
        0 => output::line("  on its way   nothing"),
        _ => output::line(format!("  on its way   {}", output::bytes(waiting))),
    }
    if let Some(problem) = &status.problem {
        output::line(format!("  problem      {problem}"));
    }
    let (used, capacity) = (output::bytes(status.used_bytes), output::bytes(status.capacity_bytes));
    output::line(format!("  space        {used} of {capacity}"));
    if let Some(expires) = &status.expires_at {
        output::line(format!("  paid until   {expires}"));
    }
    output::line(format!("  cache        {}", output::bytes(status.cache_bytes)));
    output::line(format!("  process      {}", status.pid));
}
