//! `walrusfs prefetch`, `pin` and `unpin`: what is to be kept on this machine. The daemon does the work, these name it.

use super::args::{PinArgs, PrefetchArgs, UnpinArgs};
use super::control::{Answer, Client, Request, find};
use super::exit::{Code, Failure};
use super::home::Home;
use super::output::{self, Progress};
use super::status;
use crate::sync::Held;
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The daemon reports progress every second; silent for longer than this, it is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Walking a large folder before the first byte is fetched says nothing meanwhile.
const SURVEY_PATIENCE: Duration = Duration::from_secs(600);

/// A file or folder of a mounted drive.
struct Target {
    mountpoint: PathBuf,
    /// Below the mount point; empty for the root.
    relative: PathBuf,
    ino: u64,
    client: Client,
}

impl Target {
    fn find(path: &Path) -> Result<Self, Failure> {
        let home = Home::open()?;
        let failed = |error| Failure::from_io(format!("cannot look at {}", path.display()), error);
        let whole = std::fs::canonicalize(path).map_err(failed)?;
        let meta = std::fs::metadata(&whole).map_err(failed)?;
        // The mount point is the highest folder on the same device.
        let same = |folder: &&Path| std::fs::metadata(folder).is_ok_and(|above| above.dev() == meta.dev());
        let mountpoint = whole.ancestors().take_while(same).last().unwrap_or(&whole).to_owned();
        let (mountpoint, client) = find(&home, &mountpoint).map_err(|failure| match failure.code() {
            Code::NotFound => Failure::new(Code::NotFound, format!("{} is on no walrusfs drive", whole.display())),
            _ => failure,
        })?;
        let relative = whole.strip_prefix(&mountpoint).unwrap_or(&whole).to_owned();
        Ok(Self { mountpoint, relative, ino: meta.ino(), client })
    }

    fn path(&self) -> String {
        self.relative.display().to_string()
    }
}

/// A pin or a fetch, for scripts.
#[derive(Serialize)]
struct Shown {
    mountpoint: PathBuf,
    #[serde(flatten)]
    held: Held,
}

impl Shown {
    fn text(&self) -> String {
        let (path, held) = (self.mountpoint.join(&self.held.path), &self.held);
        let size = output::bytes(held.bytes);
        let here = match held.local_bytes == held.bytes {
            true => format!("{size}, all of it here"),
            false => format!("{} of {size} here", output::bytes(held.local_bytes)),
        };
        let problem = held.problem.as_ref().map(|problem| format!("; {problem}")).unwrap_or_default();
        format!("{}  {} files, {here}{problem}", path.display(), held.files)
    }
}

/// `walrusfs prefetch`
///
/// # Errors
/// When the path lies in no mounted drive, does not fit the cache, or cannot be fetched.
pub fn prefetch(args: &PrefetchArgs) -> Result<(), Failure> {
    let target = Target::find(&args.path)?;
    let request = Request::Prefetch { ino: target.ino, path: target.path() };
    bring(target, request, args.json)
}

/// `walrusfs pin`
///
/// # Errors
/// As [`prefetch`].
pub fn pin(args: &PinArgs) -> Result<(), Failure> {
    if args.list {
        return list(args);
    }
    let path = args.path.as_deref().ok_or_else(|| Failure::usage("which file or folder? (or --list)"))?;
    let target = Target::find(path)?;
    let request = Request::Pin { ino: target.ino, path: target.path() };
    bring(target, request, args.json)
}

/// `walrusfs unpin`
///
/// # Errors
/// [`Code::NotFound`] when it is not pinned.
pub fn unpin(args: &UnpinArgs) -> Result<(), Failure> {
    let target = Target::find(&args.path)?;
    target.client.converse(Request::Unpin { ino: target.ino }, SURVEY_PATIENCE, |_| {}).map(drop)
}

fn bring(target: Target, request: Request, json: bool) -> Result<(), Failure> {
    let progress = Progress::new();
    progress.show("looking what there is");
    let mut held = target.client.converse(request, SURVEY_PATIENCE.max(PATIENCE), |answer| {
        if let Answer::Fetched { done_bytes, total_bytes } = answer
            && *total_bytes > 0
        {
            progress.show("fetching");
            progress.bytes(*done_bytes, *total_bytes);
        }
    })?;
    drop(progress);
    let held = held.pop().ok_or_else(|| Failure::new(Code::Failed, "the mount process answered without figures"))?;
    let shown = Shown { mountpoint: target.mountpoint, held };
    if json {
        return output::json(&shown);
    }
    output::line(shown.text());
    Ok(())
}

fn list(args: &PinArgs) -> Result<(), Failure> {
    let home = Home::open()?;
    let mounts = match &args.path {
        Some(path) => vec![Target::find(path)?.mountpoint],
        None => status::all(&home)?.into_iter().map(|mount| mount.mountpoint).collect(),
    };
    let mut all = Vec::new();
    for mountpoint in mounts {
        let (mountpoint, client) = find(&home, &mountpoint)?;
        let held = client.converse(Request::Pins, SURVEY_PATIENCE, |_| {})?;
        all.extend(held.into_iter().map(|held| Shown { mountpoint: mountpoint.clone(), held }));
    }
    if args.json {
        return output::json(&all);
    }
    if all.is_empty() {
        output::line("nothing is pinned");
    }
    all.iter().for_each(|shown| output::line(shown.text()));
    Ok(())
}
