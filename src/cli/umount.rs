//! `walrusfs umount` and `walrusfs sync`, and the umount helper: the daemon does the work, these wait for it.

use super::args::{SyncArgs, UmountArgs};
use super::control::{Request, find};
use super::exit::{Code, Failure};
use super::helper::UmountCall;
use super::home::Home;
use super::output::{self, Progress};
use crate::fuse::{self, MountError};
use std::path::Path;
use std::time::Duration;

/// How long `umount` waits for the network unless told otherwise.
const DRAIN: Duration = Duration::from_secs(600);

/// The daemon reports progress every second; silent for longer than this, it is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same when the mount shall go in any case: then the kernel takes it away.
const SHORT_PATIENCE: Duration = Duration::from_secs(10);

/// How a mount is taken away.
#[derive(Clone, Copy, Debug, Default)]
struct How {
    /// Even while programs use it.
    lazy: bool,
    /// Even when its process does not answer; requests that wait for it fail.
    force: bool,
}

/// `walrusfs umount`
///
/// # Errors
/// [`Code::Busy`] when programs use the mount, [`Code::Pending`] when the time was over before the network had everything.
pub fn run(args: &UmountArgs) -> Result<(), Failure> {
    let timeout = if args.no_wait { Duration::ZERO } else { Duration::from_secs(args.timeout) };
    umount(&args.mountpoint, How { lazy: args.lazy, force: false }, timeout)
}

/// The umount helper.
///
/// # Errors
/// As [`run`].
pub fn run_helper(call: UmountCall) -> Result<(), Failure> {
    umount(&call.mountpoint, How { lazy: call.lazy, force: call.force }, DRAIN)?;
    if call.verbose {
        output::note(format!("{} unmounted; everything is certified", call.mountpoint.display()));
    }
    Ok(())
}

fn umount(mountpoint: &Path, how: How, timeout: Duration) -> Result<(), Failure> {
    let home = Home::open()?;
    // The journal carries what a process that is gone, or hangs, has not certified.
    let by_kernel = |failure: Failure, lazy: bool| match fuse::mount_of(mountpoint) {
        Ok((path, _)) => fuse::unmount(&path, lazy, how.force).map_err(from_mount),
        Err(_) => Err(failure),
    };
    match find(&home, mountpoint) {
        Ok((_, client)) => {
            let progress = Progress::new();
            progress.show("certifying");
            let request = Request::Umount { lazy: how.lazy, timeout: timeout.as_secs() };
            let anyway = how.lazy || how.force;
            let patience = if anyway { SHORT_PATIENCE } else { PATIENCE };
            let asked = client.ask_to_end(request, patience, |pending| progress.left(pending));
            drop(progress);
            match asked {
                Err(failure) if anyway && failure.is_silence() => {
                    output::note(format!("walrusfs: {failure}; the kernel takes the mount away"));
                    by_kernel(failure, how.lazy)
                }
                asked => asked,
            }
        }
        Err(failure) if failure.code() != Code::NotFound => by_kernel(failure, true),
        Err(failure) => Err(failure),
    }
}

/// `walrusfs sync`
///
/// # Errors
/// [`Code::Pending`] when the time was over before the network had everything.
pub fn sync(args: &SyncArgs) -> Result<(), Failure> {
    let (_, client) = find(&Home::open()?, &args.mountpoint)?;
    let progress = Progress::new();
    progress.show("certifying");
    client.ask(Request::Sync { timeout: args.timeout }, PATIENCE, |pending| progress.left(pending)).map(drop)
}

/// A failure of the kernel adapter, with its exit code.
pub fn from_mount(error: MountError) -> Failure {
    let code = match &error {
        MountError::NotFound(_) | MountError::NoMountpoint(_) | MountError::NotMounted(_) => Code::NotFound,
        MountError::Busy(_) | MountError::Mounted { .. } => Code::Busy,
        _ => Code::Failed,
    };
    Failure::new(code, error.to_string()).caused_by(error)
}
