//! The one table of options: `-o`, /etc/fstab, the configuration file, the environment and the documents are all read off it.
//!
//! An option is added by adding its row; a test compares `docs/configuration.md` with the table, and `walrusfs generate
//! options` prints what belongs there.

use super::{Atime, Durability, Lease, MountOptions, parse_size};
use crate::cli::logging::Format;
use crate::fuse::{Access, Features};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a row's function gets: the text after `=`, if there is any.
pub struct Value<'a> {
    text: Option<&'a str>,
    /// What a relative path is relative to, where that is not the working directory.
    folder: Option<&'a Path>,
}

/// What a row answers: nothing, or what is wrong with the value.
type Set = Result<(), String>;

impl<'a> Value<'a> {
    /// A value as written.
    pub fn new(text: Option<&'a str>, folder: Option<&'a Path>) -> Self {
        Self { text, folder }
    }

    fn text(&self) -> Result<&'a str, String> {
        self.text.filter(|text| !text.is_empty()).ok_or_else(|| "needs a value".to_owned())
    }

    fn switch(&self) -> Result<bool, String> {
        match self.text {
            None | Some("true" | "yes" | "on" | "1") => Ok(true),
            Some("false" | "no" | "off" | "0") => Ok(false),
            Some(other) => Err(format!("is true or false, not `{other}`")),
        }
    }

    fn seconds(&self) -> Result<Option<Duration>, String> {
        let text = self.text()?;
        let seconds = text.parse().map_err(|_| format!("takes seconds, not `{text}`"))?;
        Ok(Some(Duration::from_secs(seconds)))
    }

    fn size(&self) -> Result<Option<u64>, String> {
        parse_size(self.text()?).map(Some)
    }

    /// A path made absolute: the mount process's working directory is the root folder.
    fn path(&self) -> Result<Option<PathBuf>, String> {
        let text = self.text()?;
        if let Some(rest) = text.strip_prefix("~/")
            && let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty())
        {
            return Ok(Some(Path::new(&home).join(rest)));
        }
        match self.folder {
            Some(folder) => Ok(Some(folder.join(text))),
            None => std::path::absolute(text).map(Some).map_err(|error| error.to_string()),
        }
    }

    fn one_of<T>(&self, choices: &[(&str, T)]) -> Result<T, String>
    where
        T: Copy,
    {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            format!("is {}, not `{text}`", names.join(" or "))
        })
    }
}

/// Where an option may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Configuration file, environment, `-o`.
    Everywhere,
    /// `-o` and /etc/fstab only.
    MountOnly,
}

/// One option.
pub struct Spec {
    /// Its name, with `_`.
    pub name: &'static str,
    /// What says the opposite in `-o`, if anything does.
    pub negative: &'static str,
    /// What stands after `=`; nothing for a switch.
    pub value: &'static str,
    /// What holds when nobody says anything, for people.
    pub default: &'static str,
    /// Where it may stand.
    pub places: Places,
    /// What it does, for people: part of a sentence, Markdown without `|`.
    pub meaning: &'static str,
    set: fn(&mut MountOptions, &Value<'_>) -> Set,
}

impl Spec {
    /// The environment variable that sets it.
    pub fn variable(&self) -> Option<String> {
        match (self.places, self.name) {
            (Places::MountOnly, _) => None,
            // The name that the filter has always had.
            (_, "log_level") => Some("WALRUSFS_LOG".to_owned()),
            (_, "log") => Some("WALRUSFS_LOG_FILE".to_owned()),
            (_, name) => Some(format!("WALRUSFS_{}", name.to_ascii_uppercase())),
        }
    }

    /// Whether it is on or off and needs no value.
    pub fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// As it is written in `-o`: `cache_size=SIZE`.
    pub fn form(&self) -> String {
        if self.is_switch() { self.name.to_owned() } else { format!("{}={}", self.name, self.value) }
    }

    /// Applies a value.
    ///
    /// # Errors
    /// What is wrong with it, to follow the option's name.
    pub fn apply(&self, options: &mut MountOptions, value: &Value<'_>) -> Result<(), String> {
        (self.set)(options, value)
    }

    /// Applies what its negative name says.
    ///
    /// # Errors
    /// As [`Spec::apply`].
    pub fn apply_negative(&self, options: &mut MountOptions, value: &Value<'_>) -> Result<(), String> {
        let opposite = if value.switch()? { "false" } else { "true" };
        (self.set)(options, &Value::new(Some(opposite), None))
    }
}

/// A row in fewer lines.
const fn row(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    meaning: &'static str,
    set: fn(&mut MountOptions, &Value<'_>) -> Set,
) -> Spec {
    Spec { name, negative: "", value, default, places: Places::Everywhere, meaning, set }
}

impl Spec {
    const fn or(mut self, negative: &'static str) -> Self {
        self.negative = negative;
        self
    }

    const fn mount_only(mut self) -> Self {
        self.places = Places::MountOnly;
        self
    }
}

/// The smallest journal that a drive can work with, bytes.
const JOURNAL_LEAST: u64 = 16 << 20;

/// Every option, in the order of the documents.
pub const OPTIONS: &[Spec] = &[
    row(
        "network",
        "NAME|FILE",
        "`local`",
        "the network: `local`, `testnet`, `mainnet` or a file, as `--network`",
        |o, v| {
            let text = v.text()?;
            let beside = v.folder.map(|folder| folder.join(text)).filter(|path| path.is_file());
            o.network =
                Some(beside.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or(text.to_owned()));
            Ok(())
        },
    ),
    row("key_file", "FILE", "in the keys folder", "the key file that opens the drive", |o, v| {
        o.key_file = v.path()?;
        Ok(())
    }),
    row("passphrase_file", "FILE", "", "a file whose first line is the passphrase that opens the drive", |o, v| {
        o.passphrase_file = v.path()?;
        Ok(())
    }),
    row("ro", "", "off", "refuse every change", |o, v| {
        o.read_only = v.switch()?;
        Ok(())
    })
    .or("rw"),
    row(
        "allow_other",
        "",
        "off",
        "everybody may enter; permissions are checked in any case. Users other than root need `user_allow_other` in \
         /etc/fuse.conf",
        |o, v| {
            o.access = if v.switch()? { Access::All } else { Access::Owner };
            Ok(())
        },
    ),
    row("allow_root", "", "off", "root may enter besides who mounted the drive", |o, v| {
        o.access = if v.switch()? { Access::OwnerAndRoot } else { Access::Owner };
        Ok(())
    }),
    row("noexec", "", "off", "programs on the drive cannot be run", |o, v| {
        o.no_exec = v.switch()?;
        Ok(())
    })
    .or("exec"),
    row("dev", "", "off", "device nodes work. A drive mounted through mount.fuse3 never has them", |o, v| {
        o.dev = v.switch()?;
        Ok(())
    })
    .or("nodev")
    .mount_only(),
    row("suid", "", "off", "set-user-id bits work. A drive mounted through mount.fuse3 never has them", |o, v| {
        o.suid = v.switch()?;
        Ok(())
    })
    .or("nosuid")
    .mount_only(),
    row("noatime", "", "off", "accepted; reading never changes times", |o, v| {
        o.atime = if v.switch()? { Atime::Never } else { Atime::Relative };
        Ok(())
    })
    .or("atime"),
    row("relatime", "", "on", "accepted; reading never changes times", |o, v| {
        o.atime = if v.switch()? { Atime::Relative } else { Atime::Never };
        Ok(())
    }),
    row("strictatime", "", "off", "accepted; reading never changes times", |o, v| {
        o.atime = if v.switch()? { Atime::Strict } else { Atime::Relative };
        Ok(())
    }),
    row(
        "durability",
        "local|network",
        "`local`",
        "what `fsync` waits for: the local disk, or the network's certificate",
        |o, v| {
            o.durability = v.one_of(&[("local", Durability::Local), ("network", Durability::Network)])?;
            Ok(())
        },
    ),
    row(
        "lease",
        "wait|steal|ro",
        "`wait`",
        "what to do when another machine writes to the drive: refuse, take over, or mount read-only",
        |o, v| {
            let choices = [
                ("wait", Lease::Wait),
                ("steal", Lease::Steal),
                ("ro", Lease::ReadOnly),
                ("steal-expired", Lease::Steal),
                ("steal_expired", Lease::Steal),
            ];
            o.lease = v.one_of(&choices).or_else(|_| v.one_of(&choices[..3]))?;
            Ok(())
        },
    ),
    row("cache_dir", "DIR", "the cache folder", "where the sliver cache lies", |o, v| {
        o.cache_dir = v.path()?;
        Ok(())
    }),
    row("cache_size", "SIZE", "10G", "bytes of the sliver cache on disk", |o, v| {
        o.cache_size = v.size()?;
        Ok(())
    }),
    row("memory", "SIZE", "512M", "bytes that all buffers of a mount take together", |o, v| {
        o.memory = v.size()?;
        Ok(())
    }),
    row("journal_dir", "DIR", "the state folder", "where changes wait to be certified", |o, v| {
        o.journal_dir = v.path()?;
        Ok(())
    }),
    row("journal_size", "SIZE", "3G", "bytes of changes that may wait, at least 16M", |o, v| {
        let size = v.size()?;
        if size.is_some_and(|size| size < JOURNAL_LEAST) {
            return Err("is at least 16M".to_owned());
        }
        o.journal_size = size;
        Ok(())
    }),
    row("sync_interval", "SECONDS", "30", "how long a change waits for company before it is uploaded", |o, v| {
        o.sync_interval = v.seconds()?;
        Ok(())
    }),
    row(
        "pack_size",
        "SIZE",
        "64M",
        "how large packs grow; each costs about 64 MiB of capacity beside its content",
        |o, v| {
            o.pack_size = v.size()?;
            Ok(())
        },
    ),
    row("gc_delay", "SECONDS", "86400", "how long a pack outlives its last reference", |o, v| {
        o.gc_delay = v.seconds()?;
        Ok(())
    }),
    row(
        "timeout",
        "SECONDS",
        "30",
        "the longest that a request of a program may stay unanswered, unless it waits for room in the journal",
        |o, v| {
            o.timeout = v.seconds()?;
            match o.timeout {
                Some(Duration::ZERO) => Err("must be at least 1 second".to_owned()),
                _ => Ok(()),
            }
        },
    ),
    row(
        "without",
        "FEATURE+...",
        "",
        "leaves features of the kernel's FUSE out, to measure them or because a kernel gets one wrong: `writeback`, \
         `readdirplus`, `parallel`, `large`, `read-ahead`, `keep-cache`, `remember`, `no-flush`, `clone-fd`, `workers` (one thread only)",
        |o, v| {
            let mut features = Features::default();
            for feature in v.text()?.split('+') {
                if !features.leave_out(feature) {
                    return Err(format!("knows no feature `{feature}`: the features are {}", Features::NAMES));
                }
            }
            o.features = features;
            Ok(())
        },
    ),
    row("log", "FILE", "in the state folder", "the log of the mount process", |o, v| {
        if let level @ ("off" | "error" | "warn" | "info" | "debug" | "trace") = v.text()? {
            return Err(format!(
                "is a file, and `{level}` a level: write `log_level={level}`, or `log=./{level}` for such a file"
            ));
        }
        o.log = v.path()?;
        Ok(())
    }),
    row(
        "log_level",
        "FILTER",
        "`info` for mounts, `warn` otherwise",
        "what is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter like `warn,walrusfs::sync=debug`; in `-o`, \
         which has no commas, `warn+walrusfs::sync=debug`",
        |o, v| {
            // `-o` cannot carry commas.
            o.log_level = Some(v.text()?.replace('+', ","));
            Ok(())
        },
    ),
    row(
        "log_format",
        "text|json|journald",
        "`text`",
        "how it is logged; `journald` goes to the system's journal with fields",
        |o, v| {
            let choices = [("text", Format::Text), ("json", Format::Json), ("journald", Format::Journald)];
            o.log_format = v.one_of(&choices)?;
            Ok(())
        },
    ),
    row(
        "metrics",
        "ADDRESS",
        "off",
        "serves the mount's figures to Prometheus, on `/metrics` of this address (`127.0.0.1:9464`; a port alone is on this machine \
         only)",
        |o, v| {
            let text = v.text()?;
            let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
            let address = text.parse().ok().or_else(|| text.trim_start_matches(':').parse().ok().map(local));
            o.metrics = Some(address.ok_or_else(|| format!("takes an address like 127.0.0.1:9464, not `{text}`"))?);
            Ok(())
        },
    ),
    row("remount", "", "", "with `ro` or `rw`, as root: makes a mounted drive read-only or writable again", |o, v| {
        o.remount = v.switch()?;
        Ok(())
    })
    .mount_only(),
];

/// The row of this name, or of its opposite (the second value).
pub fn find(name: &str) -> Option<(&'static Spec, bool)> {
    OPTIONS.iter().find_map(|spec| match name {
        name if spec.name == name => Some((spec, false)),
        name if spec.negative == name && !name.is_empty() => Some((spec, true)),
        _ => None,
    })
}

/// A known name that `name` may be a misspelling of, as the end of a sentence.
pub fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let closest = known.map(|other| (strsim::damerau_levenshtein(name, other), other)).min();
    match closest {
        // Every third letter may be wrong; of short names that would be another name.
        Some((wrong, other)) if wrong <= name.len().min(other.len()).div_ceil(3) && (name.len() > 3 || wrong < 1) => {
            format!("; did you mean `{other}`?")
        }
        _ => String::new(),
    }
}

/// The table as Markdown, for the documents.
pub fn markdown() -> String {
    let mut text = String::from("| `-o`, file | Environment | Default | Meaning |\n|---|---|---|---|\n");
    for spec in OPTIONS {
        let mut form = format!("`{}`", spec.form().replace('|', "\\|"));
        if !spec.negative.is_empty() {
            form.push_str(&format!(", `{}`", spec.negative));
        }
        if spec.places == Places::MountOnly {
            form.push_str(" (`-o` only)");
        }
        let variable = spec.variable().map(|name| format!("`{name}`")).unwrap_or_default();
        text.push_str(&format!("| {form} | {variable} | {} | {} |\n", spec.default, spec.meaning));
    }
    text
}

/// The table for a terminal, for `walrusfs mount --help` and the manual pages.
pub fn plain() -> String {
    let mut text = String::new();
    for spec in OPTIONS {
        let form = spec.form();
        let meaning = spec.meaning.replace('`', "");
        let gap = if form.len() < 24 { " ".repeat(24 - form.len()) } else { format!("\n{}", " ".repeat(26)) };
        text.push_str(&format!("  {form}{gap}{}\n", fold(&meaning, 26, 98)));
    }
    text
}

/// `text` in lines of at most `width`, the second and later ones indented.
fn fold(text: &str, indent: usize, width: usize) -> String {
    let mut out = String::new();
    let mut at = indent;
    for word in text.split_whitespace() {
        if at > indent && at + word.len() + 1 > width {
            out.push_str(&format!("\n{}", " ".repeat(indent)));
            at = indent;
        } else if at > indent {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += word.len();
    }
    out
}

/// A configuration file to begin with: every option, commented out.
pub fn template() -> String {
    let mut text = String::from(
        "# Configuration of walrusfs. Environment variables (WALRUSFS_...) come before this file, and what stands on the\n\
         # command line comes before both. `walrusfs config show` prints what holds and where it comes from.\n\
         # A table like [drive.media] holds options for mounts of that drive only.\n",
    );
    for spec in OPTIONS.iter().filter(|spec| spec.places == Places::Everywhere) {
        let meaning = spec.meaning.replace('`', "");
        let value = if spec.is_switch() { "true".to_owned() } else { format!("\"{}\"", spec.value) };
        let meaning = fold(&meaning, 2, 100).replace("\n  ", "\n# ");
        text.push_str(&format!("\n# {meaning}\n#{} = {value}\n", spec.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_written_with_underscores() {
        let mut seen = std::collections::BTreeSet::new();
        for spec in OPTIONS {
            assert!(seen.insert(spec.name), "{} twice", spec.name);
            assert!(spec.negative.is_empty() || seen.insert(spec.negative), "{} twice", spec.negative);
            assert!(!spec.name.contains('-') && !spec.meaning.contains('|'), "{}", spec.name);
        }
        let variables: Vec<_> = OPTIONS.iter().filter_map(Spec::variable).collect();
        let unique: std::collections::BTreeSet<_> = variables.iter().collect();
        assert_eq!(unique.len(), variables.len(), "one variable, one option");
    }

    #[test]
    fn suggestions_are_close() {
        let names = || OPTIONS.iter().map(|spec| spec.name);
        for (wrong, right) in
            [("cache_sise", "cache_size"), ("keyfile", "key_file"), ("netwrok", "network"), ("log_lvl", "log_level")]
        {
            assert_eq!(suggestion(wrong, names()), format!("; did you mean `{right}`?"));
        }
        assert_eq!(suggestion("frobnicate", names()), "");
    }

    #[test]
    fn the_documents_list_every_option() {
        let page = include_str!("../../../docs/configuration.md");
        let (_, rest) = page.split_once("<!-- options -->\n").unwrap();
        let (table, _) = rest.split_once("<!-- end of options -->").unwrap();
        assert_eq!(table, markdown(), "docs/configuration.md: put the output of `walrusfs generate options` there");
    }

    #[test]
    fn defaults_in_the_table_are_those_of_the_code() {
        let default = |name: &str| find(name).unwrap().0.default;
        assert_eq!(parse_size(default("cache_size")).unwrap(), crate::cache::CacheConfig::default().disk_bytes);
        let sync = crate::sync::Config::default();
        assert_eq!(default("sync_interval"), sync.interval.as_secs().to_string());
        assert_eq!(default("gc_delay"), sync.gc_delay.as_secs().to_string());
        assert_eq!(parse_size(default("pack_size")).unwrap(), sync.pack_target);
        assert_eq!(default("timeout"), crate::fuse::Limits::writer().timeout.as_secs().to_string());
        assert_eq!(parse_size(default("memory")).unwrap(), crate::cli::mount::assemble::DEFAULT_MEMORY);
        assert_eq!(parse_size(default("journal_size")).unwrap(), crate::cli::mount::assemble::DEFAULT_JOURNAL);
    }

    #[test]
    fn the_template_is_a_configuration_without_any_option() {
        let text = template();
        assert_eq!(text.parse::<toml::Table>().unwrap().len(), 0);
        for line in text.lines().filter(|line| line.starts_with('#') && line.contains(" = ")) {
            line[1..].parse::<toml::Table>().unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        assert!(text.lines().all(|line| line.len() <= 120));
    }
}
