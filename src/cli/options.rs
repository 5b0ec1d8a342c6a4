//! Mount options: one table for `-o`, /etc/fstab and the mount helpers.
//!
//! `-` and `_` are the same in option names; `_` is the documented form. An option of mount(8) that means nothing to us is
//! ignored; one that we do not know is an error, unless the caller is sloppy (`mount -s`): a misspelt `key_file` must not
//! pass in silence. Values contain no commas, because mount(8) cannot escape them.

use super::exit::Failure;
use crate::fuse::{Access, Features};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// When reading a file updates its access time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Atime {
    /// When it is not newer than the last change, or a day old.
    #[default]
    Relative,
    /// Never.
    Never,
    /// At every read.
    Strict,
}

/// What `fsync` waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// The local disk.
    #[default]
    Local,
    /// The network's certificate.
    Network,
}

/// What to do when another writer holds the drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lease {
    /// Refuse to mount read-write.
    #[default]
    Wait,
    /// Take it over even before it expires.
    Steal,
    /// Mount read-only.
    ReadOnly,
}

/// Everything that `-o` can say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountOptions {
    /// `remount`: change a mount that is there; only `ro` and `rw` can be changed.
    pub remount: bool,
    /// `ro`
    pub read_only: bool,
    /// `dev`: device nodes work; without it they do not, as on every FUSE mount.
    pub dev: bool,
    /// `suid`: set-user-id bits work; without it they do not.
    pub suid: bool,
    /// `noexec`
    pub no_exec: bool,
    /// `noatime`, `relatime`, `strictatime`
    pub atime: Atime,
    /// `allow_other`, `allow_root`: who else may enter.
    pub access: Access,
    /// `cache_dir=`
    pub cache_dir: Option<PathBuf>,
    /// `cache_size=`, bytes on disk
    pub cache_size: Option<u64>,
    /// `memory=`, bytes that all buffers together may take
    pub memory: Option<u64>,
    /// `journal_dir=`
    pub journal_dir: Option<PathBuf>,
    /// `journal_size=`, bytes
    pub journal_size: Option<u64>,
    /// `durability=`
    pub durability: Durability,
    /// `sync_interval=`, how long a change waits for company before it is uploaded
    pub sync_interval: Option<Duration>,
    /// `gc_delay=`, how long a pack outlives its last reference
    pub gc_delay: Option<Duration>,
    /// `pack_size=`, bytes that a full pack holds
    pub pack_size: Option<u64>,
    /// `network=`
    pub network: Option<String>,
    /// `key_file=`
    pub key_file: Option<PathBuf>,
    /// `passphrase_file=`
    pub passphrase_file: Option<PathBuf>,
    /// `lease=`
    pub lease: Lease,
    /// `log=`
    pub log: Option<PathBuf>,
    /// `log_level=`
    pub log_level: Option<String>,
    /// `timeout=`, the longest that a request of the kernel may stay unanswered
    pub timeout: Option<Duration>,
    /// `without=`, what of the kernel's FUSE is left out
    pub features: Features,
}

/// Options of mount(8) and of /etc/fstab that are not ours to act on.
const IGNORED: &[&str] = &[
    "rw",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "_netdev",
    "nofail",
    "async",
    "nodiratime",
    "default_permissions",
    "loud",
    "silent",
    // What the mount table says of a mount of ours: mount(8) repeats it when it remounts.
    "user_id",
    "group_id",
    "uhelper",
];

impl MountOptions {
    /// Adds the options of one `-o` argument. `sloppy` skips what it does not know.
    ///
    /// # Errors
    /// A usage error for an unknown option, a missing or a malformed value.
    pub fn add(&mut self, list: &str, sloppy: bool) -> Result<(), Failure> {
        for item in list.split(',').filter(|item| !item.is_empty()) {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (item, None),
            };
            // `_netdev` begins with its underscore; every other name is the same with `-` and `_`.
            self.set(&name.replace('-', "_"), value, sloppy)?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: Option<&str>, sloppy: bool) -> Result<(), Failure> {
        let text = || {
            value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| Failure::usage(format!("mount option `{name}` needs a value: {name}=...")))
        };
        let seconds = || -> Result<Option<Duration>, Failure> {
            text()?.parse().map(|seconds| Some(Duration::from_secs(seconds))).map_err(|_| {
                Failure::usage(format!("mount option `{name}` takes seconds, not `{}`", value.unwrap_or_default()))
            })
        };
        let size = || -> Result<Option<u64>, Failure> {
            parse_size(text()?).map(Some).map_err(|why| Failure::usage(format!("mount option `{name}`: {why}")))
        };
        let path = || -> Result<Option<PathBuf>, Failure> {
            // The daemon's working directory is the root folder.
            std::path::absolute(text()?)
                .map(Some)
                .map_err(|error| Failure::usage(format!("mount option `{name}`: {error}")))
        };
        match name {
            "remount" => self.remount = true,
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "dev" => self.dev = true,
            "nodev" => self.dev = false,
            "suid" => self.suid = true,
            "nosuid" => self.suid = false,
            "noexec" => self.no_exec = true,
            "exec" => self.no_exec = false,
            "noatime" => self.atime = Atime::Never,
            "atime" | "relatime" => self.atime = Atime::Relative,
            "strictatime" => self.atime = Atime::Strict,
            "allow_other" => self.access = Access::All,
            "allow_root" => self.access = Access::OwnerAndRoot,
            "cache_dir" => self.cache_dir = path()?,
            "cache_size" => self.cache_size = size()?,
            "memory" => self.memory = size()?,
            "journal_dir" => self.journal_dir = path()?,
            "journal_size" => self.journal_size = size()?,
            "durability" => {
                self.durability = match text()? {
                    "local" => Durability::Local,
                    "network" => Durability::Network,
                    other => return Err(Failure::usage(format!("durability is local or network, not `{other}`"))),
                }
            }
            "sync_interval" => self.sync_interval = seconds()?,
            "gc_delay" => self.gc_delay = seconds()?,
            "pack_size" => self.pack_size = size()?,
            "network" => self.network = Some(text()?.to_owned()),
            "key_file" => self.key_file = path()?,
            "passphrase_file" => self.passphrase_file = path()?,
            "lease" => {
                self.lease = match text()? {
                    "wait" => Lease::Wait,
                    "steal" | "steal-expired" | "steal_expired" => Lease::Steal,
                    "ro" => Lease::ReadOnly,
                    other => return Err(Failure::usage(format!("lease is wait, steal or ro, not `{other}`"))),
                }
            }
            "log" => self.log = path()?,
            "log_level" => self.log_level = Some(text()?.to_owned()),
            "timeout" => {
                self.timeout = seconds()?;
                if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
                    return Err(Failure::usage("mount option `timeout` must be at least 1 second"));
                }
            }
            "without" => {
                for feature in text()?.split('+') {
                    if !self.features.leave_out(feature) {
                        let names = Features::NAMES;
                        return Err(Failure::usage(format!("`without={feature}`: the features are {names}")));
                    }
                }
            }
            _ if IGNORED.contains(&name) || name == "comment" || name.starts_with("x_") => {}
            _ if sloppy => {}
            "sync" | "uid" | "gid" | "umask" | "snapshot" | "metrics" | "cache_min_free" | "read_ahead"
            | "upload_limit" | "download_limit" | "wallet" | "config" => {
                return Err(Failure::usage(format!("mount option `{name}` is not supported by this version")));
            }
            _ => {
                return Err(Failure::usage(format!(
                    "unknown mount option `{name}`; `walrusfs mount --help` lists them"
                )));
            }
        }
        Ok(())
    }
}

/// Parses a number of bytes: digits, then optionally K, M, G or T (powers of 1024), `B` and `iB` allowed after it.
///
/// # Errors
/// A sentence that says what was wrong.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write 512M, 10G or a number of bytes");
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("`{text}` is more than a 64-bit size can hold"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(list: &str) -> Result<MountOptions, Failure> {
        let mut options = MountOptions::default();
        options.add(list, false)?;
        Ok(options)
    }

    #[test]
    fn what_mount_passes_along_is_accepted() {
        let options = parse("rw,_netdev,nofail,noatime,allow_other,x-systemd.mount-timeout=2min,comment=a").unwrap();
        assert_eq!(options, MountOptions { atime: Atime::Never, access: Access::All, ..Default::default() });
        assert_eq!(parse("allow_other,allow_root").unwrap().access, Access::OwnerAndRoot, "the last word counts");
        assert!(!parse("dev,suid,nosuid").unwrap().suid, "the last word counts");
        assert!(!parse("rw").unwrap().dev, "no device nodes unless asked");
        let again = parse("rw,relatime,user_id=0,group_id=0,default_permissions,allow_other,remount,ro").unwrap();
        assert!(again.remount && again.read_only);
        let features = parse("without=writeback+keep_cache").unwrap().features;
        assert_eq!(features, Features { writeback: false, keep_cache: false, ..Default::default() });
    }

    #[test]
    fn dashes_and_underscores_are_the_same() {
        assert_eq!(parse("cache-size=10G").unwrap(), parse("cache_size=10G").unwrap());
        assert_eq!(parse("cache_size=10G").unwrap().cache_size, Some(10 << 30));
    }

    #[test]
    fn mistakes_are_named() {
        for (list, word) in [
            ("key_fil=/k", "key_fil"),
            ("key_file=", "needs a value"),
            ("cache_size=ten", "ten"),
            ("timeout=0", "at least 1"),
            ("durability=never", "never"),
            ("sync", "not supported"),
            ("without=writeback+splice", "splice"),
        ] {
            let failure = parse(list).unwrap_err().to_string();
            assert!(failure.contains(word), "{list}: {failure}");
        }
        let mut sloppy = MountOptions::default();
        sloppy.add("key_fil=/k,ro", true).unwrap();
        assert!(sloppy.read_only);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("1", 1), ("4k", 4096), ("512M", 512 << 20), ("10GiB", 10 << 30), ("1TB", 1 << 40)]
        {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "G", "1.5G", "-1", "1X", "99999999999999T", "1 G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(list in "\\PC*") {
            let _ = parse(&list);
        }
    }
}
