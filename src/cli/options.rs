//! Mount options: what `-o`, /etc/fstab, the configuration file and the environment can say ([`table`]).
//!
//! `-` and `_` are the same in option names; `_` is the documented form. An option of mount(8) that means nothing to us is
//! ignored; one that we do not know is an error, unless the caller is sloppy (`mount -s`): a misspelt `key_file` must not
//! pass in silence. Values contain no commas, because mount(8) cannot escape them.

pub mod table;

use super::exit::Failure;
use super::logging::Format;
use crate::fuse::{Access, Features};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use table::Value;

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
    /// `log_format=`
    pub log_format: Format,
    /// `metrics=`, where figures are served
    pub metrics: Option<std::net::SocketAddr>,
    /// `timeout=`, the longest that a request of the kernel may stay unanswered
    pub timeout: Option<Duration>,
    /// `without=`, what of the kernel's FUSE is left out
    pub features: Features,
}

/// Options of mount(8) and of /etc/fstab that are not ours to act on.
const IGNORED: &[&str] = &[
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
    "diratime",
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
        let value = Value::new(value, None);
        let set = match table::find(name) {
            Some((spec, false)) => spec.apply(self, &value),
            Some((spec, true)) => spec.apply_negative(self, &value),
            None if IGNORED.contains(&name) || name == "comment" || name.starts_with("x_") => Ok(()),
            None if sloppy => Ok(()),
            None => {
                let known = table::OPTIONS.iter().map(|spec| spec.name);
                let suggestion = table::suggestion(name, known);
                return Err(Failure::usage(match suggestion.as_str() {
                    "" => format!("unknown mount option `{name}`; `walrusfs mount --help` lists them"),
                    _ => format!("unknown mount option `{name}`{suggestion}"),
                }));
            }
        };
        set.map_err(|why| Failure::usage(format!("mount option `{name}` {why}")))
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
        assert!(!parse("ro,rw").unwrap().read_only && parse("rw,noexec").unwrap().no_exec);
        assert_eq!(parse("allow_other,allow_other=false").unwrap().access, Access::Owner);
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
            ("key_fil=/k", "did you mean `key_file`"),
            ("frobnicate", "--help"),
            ("allow_other=maybe", "maybe"),
            ("key_file=", "needs a value"),
            ("cache_size=ten", "ten"),
            ("timeout=0", "at least 1"),
            ("durability=never", "never"),
            ("sync", "unknown"),
            ("without=writeback+splice", "splice"),
            ("log=debug", "`log_level=debug`, or `log=./debug`"),
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
