//! What a mount is asked to be, in a form that a daemon reads from a pipe.

use crate::cli::args::MountArgs;
use crate::cli::config::Config;
use crate::cli::exit::Failure;
use crate::cli::helper::MountCall;
use crate::cli::options::MountOptions;
use crate::cli::output;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroize;

/// The label of the drive that needs no name.
pub const DEFAULT_LABEL: &str = "default";

/// Which drive is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriveName {
    /// The drive of the wallet with this label.
    Label(String),
    /// The Drive object with this id (`0x` and 64 hex digits).
    Id(String),
}

impl DriveName {
    /// Parses `LABEL`, `walrus:LABEL`, `walrus://LABEL`, `walrus:0x...` or `0x...`.
    ///
    /// # Errors
    /// A usage error.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let name = match text.strip_prefix("walrus:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => text,
        };
        if let Some(digits) = name.strip_prefix("0x") {
            if digits.is_empty() || digits.len() > 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Failure::usage(format!("`{name}` is not an object id: 0x and up to 64 hex digits")));
            }
            return Ok(Self::Id(format!("0x{:0>64}", digits.to_ascii_lowercase())));
        }
        if name.contains(['@', '/']) {
            return Err(Failure::usage(format!(
                "`{name}`: snapshots (LABEL@NAME) and folders of a drive (LABEL/DIR) cannot be mounted by this version"
            )));
        }
        if name.is_empty() || name.len() > 64 || name.contains([':', ',']) || name.chars().any(char::is_control) {
            return Err(Failure::usage(format!(
                "`{text}` is not a drive: write a label of 1 to 64 bytes without `:` and `,`, walrus:LABEL, or 0x..."
            )));
        }
        Ok(Self::Label(name.to_owned()))
    }

    /// As the mount table shows it.
    pub fn source(&self) -> String {
        match self {
            Self::Label(label) => format!("walrus:{label}"),
            Self::Id(id) => format!("walrus:{id}"),
        }
    }
}

/// What the command line said of the options. It is kept, so that a changed configuration can be laid under it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// The arguments of `-o`, in their order. No secret can stand there.
    pub lists: Vec<String>,
    /// Unknown options pass (`mount -s`).
    pub sloppy: bool,
    /// `--read-only`
    pub read_only: bool,
    /// Called by mount.fuse3, which adds `dev,suid` whatever /etc/fstab says.
    pub by_fuse3: bool,
    /// `-v`, as a filter.
    pub log_level: Option<String>,
}

impl CommandLine {
    /// The options of a mount of `drive`: what `config` says, and this over it.
    ///
    /// # Errors
    /// A usage error.
    pub fn over(&self, config: &Config, drive: &DriveName) -> Result<MountOptions, Failure> {
        let mut options = config.options(Some(drive))?;
        self.lists.iter().try_for_each(|list| options.add(list, self.sloppy))?;
        options.read_only |= self.read_only;
        if self.by_fuse3 {
            (options.dev, options.suid) = (false, false);
        }
        if self.log_level.is_some() {
            options.log_level.clone_from(&self.log_level);
        }
        Ok(options)
    }
}

/// Everything that a mount process needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountRequest {
    /// The drive.
    pub drive: DriveName,
    /// Nothing was named, so the drive is made when it does not exist.
    pub create: bool,
    /// The drive as mount(8) was given it, which compares it with the mount table.
    pub source: Option<String>,
    /// An automount point waits there for the mount.
    pub automount: bool,
    /// Where, a resolved path.
    pub mountpoint: PathBuf,
    /// The network; the local one when absent.
    pub network: Option<String>,
    /// The options that hold.
    pub options: MountOptions,
    /// What the command line said of them.
    pub said: CommandLine,
    /// How long the drive may take to become usable.
    pub wait: Duration,
}

/// What opens the drive and must never be seen: goes through the pipe, nowhere else.
#[derive(Default, Serialize, Deserialize)]
pub struct Secrets {
    /// A passphrase typed by the user.
    pub passphrase: Option<String>,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.passphrase.zeroize();
    }
}

/// What goes through the pipe to the daemon.
#[derive(Serialize, Deserialize)]
pub struct Handover {
    /// The mount.
    pub request: MountRequest,
    /// What opens it.
    pub secrets: Secrets,
}

impl MountRequest {
    /// From `walrusfs mount`.
    ///
    /// # Errors
    /// A usage error.
    pub fn from_args(args: &MountArgs, config: &Config) -> Result<Self, Failure> {
        let (drive, mountpoint) = match &args.targets[..] {
            [mountpoint] => (None, mountpoint),
            [drive, mountpoint] => (Some(drive), mountpoint),
            _ => return Err(Failure::usage("give a mount point, or a drive and a mount point")),
        };
        let drive = match drive {
            None => DriveName::Label(DEFAULT_LABEL.to_owned()),
            Some(name) => {
                let name = name.to_str().ok_or_else(|| Failure::usage("a drive's name is UTF-8"))?;
                DriveName::parse(name)?
            }
        };
        let utf8 = |list: &OsString| list.to_str().map(str::to_owned);
        let lists: Option<Vec<String>> = args.options.iter().map(utf8).collect();
        let lists = lists.ok_or_else(|| Failure::usage("mount options are UTF-8"))?;
        // The mount process in the background has a log and no `-v`.
        let log_level = match output::loudness() {
            _ if args.foreground => None,
            0 | output::NORMAL => None,
            2 => Some("debug".to_owned()),
            _ => Some("trace".to_owned()),
        };
        let said = CommandLine { lists, read_only: args.read_only, log_level, ..CommandLine::default() };
        let options = said.over(config, &drive)?;
        let network = args.network.network.clone().or_else(|| options.network.clone());
        Ok(Self {
            create: drive == DriveName::Label(DEFAULT_LABEL.to_owned()),
            drive,
            source: None,
            automount: false,
            mountpoint: PathBuf::from(mountpoint),
            network: network.map(absolute_network),
            options,
            said,
            wait: Duration::from_secs(args.wait),
        })
    }

    /// From mount(8).
    ///
    /// # Errors
    /// A usage error.
    pub fn from_call(call: MountCall, config: &Config) -> Result<Self, Failure> {
        let drive = DriveName::parse(&call.source)?;
        let (lists, sloppy, by_fuse3) = (call.lists, call.sloppy, call.by_fuse3);
        let said = CommandLine { lists, sloppy, by_fuse3, ..CommandLine::default() };
        let options = said.over(config, &drive)?;
        Ok(Self {
            create: drive == DriveName::Label(DEFAULT_LABEL.to_owned()),
            drive,
            source: Some(call.source),
            automount: false,
            mountpoint: call.mountpoint,
            network: options.network.clone().map(absolute_network),
            options,
            said,
            wait: Duration::from_secs(60),
        })
    }
}

/// A network file's path made absolute, because the daemon's working directory is the root folder; a name stays.
pub(crate) fn absolute_network(network: String) -> String {
    match std::fs::canonicalize(&network) {
        Ok(path) if path.is_file() => path.into_os_string().into_string().unwrap_or(network),
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Code;

    #[test]
    fn names_of_drives() {
        let label = |text: &str| DriveName::Label(text.to_owned());
        for (text, expected) in [
            ("media", label("media")),
            ("walrus:media", label("media")),
            ("walrus://media", label("media")),
            ("walrus:0xAb", DriveName::Id(format!("0x{:0>64}", "ab"))),
            ("0x1", DriveName::Id(format!("0x{:0>64}", "1"))),
        ] {
            assert_eq!(DriveName::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["", "walrus:", "a:b", "a,b", "a@b", "a/b", "0x", "0xg", "walrus:a\nb", &"x".repeat(65)] {
            assert_eq!(DriveName::parse(text).unwrap_err().code(), Code::Usage, "{text}");
        }
    }

    #[test]
    fn only_the_default_drive_is_made_unasked_and_fuse3_adds_nothing() {
        let request = |source: &str, by_fuse3: bool| {
            let call = MountCall {
                source: source.to_owned(),
                mountpoint: "/m".into(),
                lists: vec!["rw,dev,suid,cache_size=1G".to_owned()],
                sloppy: false,
                fake: false,
                verbose: false,
                by_fuse3,
            };
            MountRequest::from_call(call, &Config::default()).unwrap()
        };
        assert!(request("walrus:default", false).create);
        let media = request("walrus:media", false);
        assert!(!media.create && media.options.dev && media.options.suid);
        let options = request("walrus:media", true).options;
        assert!(!options.dev && !options.suid && options.cache_size == Some(1 << 30));
    }
}
