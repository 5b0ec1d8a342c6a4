//! `walrusfs mount`: from a command line to a folder that works.
//!
//! The command looks at what it was given ([`request`]), starts a process of its own for the mount ([`spawn`]) and tells the
//! user what that process reports. The process ([`daemon`]) opens the drive ([`assemble`]), mounts it and serves it until it is
//! unmounted. In the foreground the command is that process itself. Checking and mending open a drive without a mount ([`unmounted`]).

pub(crate) mod assemble;
pub mod daemon;
mod end;
mod local;
mod metrics;
mod notify;
mod remount;
pub mod request;
pub mod serve;
mod signals;
pub mod spawn;
pub(crate) mod unmounted;

use super::args::MountArgs;
use super::config::Config;
use super::exit::Failure;
use super::helper::MountCall;
use super::home::Home;
use super::umount::from_mount;
use super::{output, secrets};
use crate::fuse::Mountpoint;
use request::{Handover, MountRequest, Secrets};
use std::io::IsTerminal;

/// `walrusfs mount`
///
/// # Errors
/// Why the drive is not mounted.
pub fn run(args: &MountArgs) -> Result<(), Failure> {
    let home = Home::open()?;
    let mut request = MountRequest::from_args(args, &Config::load(&home)?)?;
    if request.options.remount {
        return remount::remount(&request.mountpoint, &request.said, None);
    }
    make_default_folder(&request)?;
    check(&mut request)?;
    if args.foreground {
        return match daemon::run_here(&home, Handover { request: request.clone(), secrets: Secrets::default() }) {
            Err(failure) if failure.is_passphrase_wanted() && std::io::stdin().is_terminal() => {
                let secrets = typed(&request)?;
                daemon::run_here(&home, Handover { request, secrets })
            }
            ended => ended,
        };
    }
    start(&home, request, |text| output::note(text))
}

/// The mount helper.
///
/// # Errors
/// Why the drive is not mounted.
pub fn run_helper(call: MountCall) -> Result<(), Failure> {
    let (fake, verbose) = (call.fake, call.verbose);
    let home = Home::open()?;
    let mut request = MountRequest::from_call(call, &Config::load(&home)?)?;
    if request.options.remount {
        return match fake {
            true => Ok(()),
            false => remount::remount(&request.mountpoint, &request.said, Some(&request.drive)),
        };
    }
    check(&mut request)?;
    if fake {
        return Ok(());
    }
    start(&home, request, |text| {
        if verbose {
            output::note(text);
        }
    })
}

/// Makes `~/walrus`, the folder that the README mounts on, so that the first mount needs no preparation. Any other mount
/// point must exist: a misspelt one is an error, not a new folder.
fn make_default_folder(request: &MountRequest) -> Result<(), Failure> {
    let default = std::env::var_os("HOME").map(|home| std::path::Path::new(&home).join("walrus"));
    if !request.create || default.as_deref() != Some(request.mountpoint.as_path()) {
        return Ok(());
    }
    match std::fs::create_dir(&request.mountpoint) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Failure::from_io(format!("cannot make the folder {}", request.mountpoint.display()), error))
        }
        // A dead mount that lies there exists too; what it is is looked at next.
        _ => Ok(()),
    }
}

/// Looks at the mount point before anything is started for it.
fn check(request: &mut MountRequest) -> Result<(), Failure> {
    let mountpoint = Mountpoint::prepare(&request.mountpoint).map_err(from_mount)?;
    request.automount = mountpoint.is_automount();
    request.mountpoint = mountpoint.path().to_owned();
    Ok(())
}

/// The passphrase of the drive, as somebody types it.
fn typed(request: &MountRequest) -> Result<Secrets, Failure> {
    let mut typed = secrets::prompt(&format!("passphrase of {}: ", request.drive.source()))?;
    Ok(Secrets { passphrase: Some(std::mem::take(&mut *typed)) })
}

/// Starts the mount process; asks for a passphrase when the drive needs one and somebody is there to type it.
fn start(home: &Home, request: MountRequest, mut say: impl FnMut(&str)) -> Result<(), Failure> {
    let first = Handover { request, secrets: Secrets::default() };
    match spawn::start(home, &first, &mut say) {
        Err(spawn::Refused::NeedsPassphrase(_)) if std::io::stdin().is_terminal() => {
            let secrets = typed(&first.request)?;
            let second = Handover { request: first.request, secrets };
            spawn::start(home, &second, &mut say).map_err(spawn::Refused::into_failure)
        }
        Err(refused) => Err(refused.into_failure()),
        Ok(()) => Ok(()),
    }
}
