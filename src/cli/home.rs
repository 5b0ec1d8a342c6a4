//! Where a user's things lie (docs/cli-abi.md "Folders"): five folders under `$WALRUSFS_HOME`, otherwise at their XDG places.
//!
//! Two `$WALRUSFS_HOME`s are two machines as far as the program is concerned: nothing is shared between them. All five
//! folders have mode 0700: even file names in them say what a user stores. Root without `HOME` (a mount unit, mount(8)
//! at boot) gets the home of the password database, so that the shell and the boot see the same drives.

use super::exit::{Code, Failure};
use crate::ids::DriveUid;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The five folders of one user on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// `config.toml` and network files.
    pub config: PathBuf,
    /// Wallet, drive keys, the highest sequence seen of each drive. With `config` all that another machine needs.
    pub keys: PathBuf,
    /// Journals, spools, sockets, logs, pid files: deleting it loses only what was not yet certified.
    pub state: PathBuf,
    /// Slivers and leaves: may be deleted at any time.
    pub cache: PathBuf,
    /// The local network: nodes, chain, its lock, pid file, control socket, ports and logs.
    pub devnet: PathBuf,
}

/// The environment variable that moves all five folders under one.
pub const HOME_VARIABLE: &str = "WALRUSFS_HOME";

impl Home {
    /// Finds the folders of this process and makes the missing ones, mode 0700.
    pub fn open() -> Result<Self, Failure> {
        let home = Self::locate_here()?;
        home.create()?;
        Ok(home)
    }

    /// Finds the folders of this process and makes nothing.
    ///
    /// # Errors
    /// No variable and no password database names a place.
    pub fn locate_here() -> Result<Self, Failure> {
        Self::locate(|name| std::env::var_os(name), password_home)
    }

    /// The folders that the variables of `env` name; `fallback` gives the home folder when `HOME` is not set.
    fn locate(
        env: impl Fn(&str) -> Option<OsString>,
        fallback: impl FnOnce() -> Option<PathBuf>,
    ) -> Result<Self, Failure> {
        // An empty variable counts as unset, as the XDG base directory specification has it for its own.
        let path = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(base) = path(HOME_VARIABLE) {
            // Made absolute because the daemon's working directory is the root folder.
            let base = std::path::absolute(&base)
                .map_err(|error| Failure::from_io(format!("cannot resolve ${HOME_VARIABLE}"), error))?;
            return Ok(Self::under(&base));
        }
        let user = path("HOME").filter(|home| home.is_absolute()).or_else(fallback).ok_or_else(|| {
            Failure::new(
                Code::Failed,
                format!("cannot find a home folder: set ${HOME_VARIABLE} to a folder of your own, or $HOME"),
            )
        })?;
        let xdg = |name: &str, default: &str| {
            path(name).filter(|dir| dir.is_absolute()).unwrap_or_else(|| user.join(default)).join("walrusfs")
        };
        let data = xdg("XDG_DATA_HOME", ".local/share");
        Ok(Self {
            config: xdg("XDG_CONFIG_HOME", ".config"),
            keys: data.join("keys"),
            state: xdg("XDG_STATE_HOME", ".local/state"),
            cache: xdg("XDG_CACHE_HOME", ".cache"),
            devnet: data.join("devnet"),
        })
    }

    /// The five folders under `base`.
    pub fn under(base: &Path) -> Self {
        Self {
            config: base.join("config"),
            keys: base.join("keys"),
            state: base.join("state"),
            cache: base.join("cache"),
            devnet: base.join("devnet"),
        }
    }

    fn create(&self) -> Result<(), Failure> {
        for dir in [&self.config, &self.keys, &self.state, &self.cache, &self.devnet] {
            private_dir(dir)?;
        }
        Ok(())
    }

    /// The folder of control sockets, pid files and logs of mounts.
    pub fn mounts(&self) -> PathBuf {
        self.state.join("mounts")
    }

    /// The folder of the journals and locks of drives.
    pub fn drives(&self) -> PathBuf {
        self.state.join("drives")
    }

    /// What this machine keeps of one drive: journal, pins, what it has cost.
    pub fn drive(&self, uid: &DriveUid) -> PathBuf {
        self.drives().join(hex::encode(&uid.0[..16]))
    }

    /// The user's settings.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }
}

/// Makes `dir` and its missing parents, and takes group and others' permissions off `dir` itself.
pub fn private_dir(dir: &Path) -> Result<(), Failure> {
    let failed = |error| {
        let what =
            format!("cannot make the folder {} ($WALRUSFS_HOME says where all folders shall lie)", dir.display());
        // Whatever is missing on the way to it, it is no drive or file that was asked for.
        Failure::new(Code::Failed, what).caused_by(error)
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let meta = std::fs::metadata(dir).map_err(failed)?;
    if meta.mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Replaces the file `path` by one of mode 0600 with these bytes, whole or not at all, durably.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn password_home() -> Option<PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??;
    Some(user.dir).filter(|dir| dir.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn locate(vars: &[(&str, &str)], fallback: Option<&str>) -> Result<Home, Failure> {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        Home::locate(|name| vars.get(name).map(OsString::from), || fallback.map(PathBuf::from))
    }

    #[test]
    fn walrusfs_home_wins_over_everything() {
        let home = locate(&[("WALRUSFS_HOME", "/a"), ("HOME", "/b"), ("XDG_STATE_HOME", "/c")], None).unwrap();
        assert_eq!(home, Home::under(Path::new("/a")));
        assert_eq!(home.devnet, Path::new("/a/devnet"));
    }

    #[test]
    fn xdg_places_and_their_defaults() {
        let home = locate(&[("HOME", "/u"), ("XDG_STATE_HOME", "/s"), ("XDG_CACHE_HOME", "relative")], None).unwrap();
        assert_eq!(home.config, Path::new("/u/.config/walrusfs"));
        assert_eq!(home.keys, Path::new("/u/.local/share/walrusfs/keys"));
        assert_eq!(home.state, Path::new("/s/walrusfs"));
        assert_eq!(home.cache, Path::new("/u/.cache/walrusfs"), "a relative XDG path is to be ignored");
    }

    #[test]
    fn without_any_variable_the_password_database_decides() {
        assert_eq!(
            locate(&[("WALRUSFS_HOME", "")], Some("/root")).unwrap().config,
            Path::new("/root/.config/walrusfs")
        );
        assert!(locate(&[], None).is_err());
    }

    #[test]
    fn folders_are_private_even_when_they_were_not() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::under(temp.path());
        std::fs::create_dir(&home.keys).unwrap();
        std::fs::set_permissions(&home.keys, std::fs::Permissions::from_mode(0o755)).unwrap();
        home.create().unwrap();
        for dir in [&home.config, &home.keys, &home.state, &home.cache, &home.devnet] {
            assert_eq!(std::fs::metadata(dir).unwrap().mode() & 0o777, 0o700, "{}", dir.display());
        }
    }
}
