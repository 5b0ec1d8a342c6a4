//! `mount -o remount,ro` and the like. The kernel does it: it refuses changes from one moment to the next, or allows them again; the
//! mount process goes on as it was, and what waits to be certified is certified.

use super::request::{CommandLine, DriveName};
use crate::cli::control::{Status, find};
use crate::cli::exit::{Code, Failure};
use crate::cli::home::Home;
use crate::cli::options::table;
use crate::cli::status;
use crate::cli::umount::from_mount;
use crate::fuse::{self, Remount};
use std::path::Path;

/// Changes what a remount can change of the mount at `mountpoint`; everything else stays as it was mounted. `source` is the drive as
/// mount(8) names it, which repeats every option that holds; without one somebody typed what they want.
///
/// # Errors
/// [`Code::Busy`] when a file is open for writing, [`Code::NotFound`] when no drive of ours is mounted there, [`Code::Usage`] for what
/// needs a new mount, and [`Code::Failed`] when another drive is mounted there or the mount process itself cannot write.
pub(super) fn remount(mountpoint: &Path, said: &CommandLine, source: Option<&DriveName>) -> Result<(), Failure> {
    let wanted = wanted(said, source.is_none())?;
    let (path, client) = find(&Home::open()?, mountpoint)?;
    let status = status::ask(client)?;
    if let Some(source) = source.filter(|source| !is_of(source, &status)) {
        let (mounted, asked) = (&status.drive, source.source());
        return Err(Failure::new(Code::Failed, format!("{} is mounted on {}, not {asked}", mounted, path.display())));
    }
    if wanted.read_only == Some(false) && status.opened_read_only {
        return Err(only_reads(&path));
    }
    fuse::remount(&path, wanted).map_err(from_mount)
}

fn only_reads(path: &Path) -> Failure {
    Failure::new(
        Code::Failed,
        format!(
            "{} was mounted read-only, or another machine writes to the drive: unmount it and mount it again",
            path.display()
        ),
    )
}

/// Whether `source` names the drive of `status`.
fn is_of(source: &DriveName, status: &Status) -> bool {
    match source {
        DriveName::Label(_) => source.source() == status.drive,
        DriveName::Id(id) => Some(id) == status.drive_id.as_ref() || source.source() == status.drive,
    }
}

/// What of `said` a remount changes. What needs a new mount is refused when it was `typed`.
fn wanted(said: &CommandLine, typed: bool) -> Result<Remount, Failure> {
    let mut wanted = Remount { read_only: said.read_only.then_some(true), ..Remount::default() };
    for item in said.lists.iter().flat_map(|list| list.split(',')) {
        match item {
            "ro" => wanted.read_only = Some(true),
            "rw" => wanted.read_only = Some(false),
            "noexec" => wanted.no_exec = Some(true),
            "exec" => wanted.no_exec = Some(false),
            "nosuid" => wanted.no_suid = Some(true),
            "suid" => wanted.no_suid = Some(false),
            "nodev" => wanted.no_dev = Some(true),
            "dev" => wanted.no_dev = Some(false),
            "remount" => {}
            other => {
                let name = other.split('=').next().unwrap_or(other).replace('-', "_");
                if typed && table::find(&name).is_some() {
                    return Err(Failure::usage(format!(
                        "a remount changes ro, exec, suid and dev; for `{other}` unmount and mount again"
                    )));
                }
            }
        }
    }
    if wanted == Remount::default() {
        return Err(Failure::usage("say what the remount shall change: ro or rw, exec, suid, dev or their opposites"));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(list: &str) -> CommandLine {
        CommandLine { lists: vec![list.to_owned()], ..CommandLine::default() }
    }

    #[test]
    fn only_what_is_said_changes() {
        assert_eq!(
            wanted(&said("remount,noexec"), true).unwrap(),
            Remount { no_exec: Some(true), ..Remount::default() }
        );
        let repeated = wanted(&said("rw,nosuid,relatime,user_id=0,cache_size=1G,remount,ro"), false).unwrap();
        assert_eq!(repeated, Remount { read_only: Some(true), no_suid: Some(true), ..Remount::default() });
        let typed = CommandLine { read_only: true, ..said("remount") };
        assert_eq!(wanted(&typed, true).unwrap().read_only, Some(true));
        for list in ["remount", "remount,cache_size=1G,ro", "remount,noatime"] {
            assert_eq!(wanted(&said(list), true).unwrap_err().code(), Code::Usage, "{list}");
        }
    }
}
