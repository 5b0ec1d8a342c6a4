//! `mount -o remount,ro` and back. The kernel does it: it refuses changes from one moment to the next, or allows them again;
//! the mount process goes on as it was, and what waits to be certified is certified.

use crate::cli::control::find;
use crate::cli::exit::{Code, Failure};
use crate::cli::home::Home;
use crate::cli::options::MountOptions;
use crate::cli::status;
use crate::cli::umount::from_mount;
use crate::fuse;
use std::path::Path;

/// Makes the mount at `mountpoint` read-only or writable; everything else stays as it was mounted.
///
/// # Errors
/// [`Code::Busy`] when a file is open for writing, [`Code::NotFound`] when no drive of ours is mounted there, and
/// [`Code::Failed`] when the mount process itself cannot write.
pub(super) fn remount(mountpoint: &Path, options: &MountOptions) -> Result<(), Failure> {
    let (path, client) = find(&Home::open()?, mountpoint)?;
    if !options.read_only && status::ask(client)?.read_only {
        return Err(Failure::new(
            Code::Failed,
            format!(
                "{} was mounted read-only, or another machine writes to the drive: unmount it and mount it again",
                path.display()
            ),
        ));
    }
    fuse::remount(&path, options.read_only).map_err(from_mount)
}
