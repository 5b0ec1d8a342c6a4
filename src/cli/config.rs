//! The configuration file, the environment, and `walrusfs config`.
//!
//! Three layers set the options of [`table::OPTIONS`], later ones over earlier ones: `config.toml`, the environment, the
//! command line. In the file an option stands at the top for everything, or in a table `[drive.LABEL]` for mounts of that
//! drive. The file is read as a whole before anything is done with it: an unknown key or a wrong value anywhere is refused
//! with its line.

use super::args::ConfigCommand;
use super::exit::{Code, Failure};
use super::home::{HOME_VARIABLE, Home, write_private};
use super::mount::request::DriveName;
use super::options::MountOptions;
use super::options::table::{self, OPTIONS, Places, Spec, Value};
use super::output;
use serde::Serialize;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::de::{DeTable, DeValue};

/// The table of the file that holds tables of drives.
const DRIVES: &str = "drive";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has said anything.
    Default,
    /// The configuration file, this line (from 1).
    File(usize),
    /// This variable.
    Environment(String),
}

/// One value that somebody has set.
#[derive(Clone, Debug)]
struct Entry {
    spec: &'static Spec,
    value: String,
    origin: Origin,
    /// For mounts of this drive only.
    drive: Option<DriveName>,
    /// Where the value stands in the file's text.
    place: Range<usize>,
}

/// What file and environment say.
#[derive(Debug, Default)]
pub struct Config {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Config {
    /// Reads the file of `home`, if there is one, and this process's environment.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, has an unknown key or a wrong value; a variable has a wrong value.
    pub fn load(home: &Home) -> Result<Self, Failure> {
        let path = home.config_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(Failure::usage(format!("{} is no text: it is not UTF-8", path.display())));
            }
            Err(error) => return Err(Failure::from_io(format!("cannot read {}", path.display()), error)),
        };
        refuse_misspelt(std::env::vars_os().map(|(name, _)| name))?;
        Self::parse(path, &text, |name| std::env::var_os(name))
    }

    fn parse(path: PathBuf, text: &str, env: impl Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let mut config = Self { entries: entries(&path, text)?, path };
        for spec in OPTIONS {
            let Some(variable) = spec.variable() else { continue };
            // An empty variable counts as unset.
            let Some(value) = env(&variable).filter(|value| !value.is_empty()) else { continue };
            let value = value
                .into_string()
                .map_err(|_| Failure::usage(format!("the environment's {variable} is not UTF-8")))?;
            let origin = Origin::Environment(variable);
            config.entries.push(Entry { spec, value, origin, drive: None, place: 0..0 });
        }
        // Every value is tried, also those of drives that are not mounted now.
        let mut scratch = MountOptions::default();
        config.entries.iter().try_for_each(|entry| config.apply(entry, &mut scratch))?;
        Ok(config)
    }

    fn apply(&self, entry: &Entry, options: &mut MountOptions) -> Result<(), Failure> {
        let folder = self.path.parent().filter(|_| matches!(entry.origin, Origin::File(_)));
        let value = Value::new(Some(&entry.value), folder);
        entry.spec.apply(options, &value).map_err(|why| {
            Failure::usage(match &entry.origin {
                Origin::Environment(variable) => format!("the environment's {variable} {why}"),
                Origin::File(line) => format!("{}, line {line}: `{}` {why}", self.path.display(), entry.spec.name),
                Origin::Default => format!("`{}` {why}", entry.spec.name),
            })
        })
    }

    /// The entries that hold for mounts of `drive`, weakest first.
    fn layers<'a>(&'a self, drive: Option<&'a DriveName>) -> impl Iterator<Item = &'a Entry> {
        let file = self.entries.iter().filter(|entry| matches!(entry.origin, Origin::File(_)));
        let general = file.clone().filter(|entry| entry.drive.is_none());
        let own = file.filter(move |entry| entry.drive.is_some() && entry.drive.as_ref() == drive);
        let environment = self.entries.iter().filter(|entry| matches!(entry.origin, Origin::Environment(_)));
        general.chain(own).chain(environment)
    }

    /// The options of a mount of `drive`, or of a command that mounts nothing, before its command line is looked at.
    ///
    /// # Errors
    /// None that [`Config::load`] has not found already.
    pub fn options(&self, drive: Option<&DriveName>) -> Result<MountOptions, Failure> {
        let mut options = MountOptions::default();
        self.layers(drive).try_for_each(|entry| self.apply(entry, &mut options))?;
        Ok(options)
    }
}

/// The variables of `names` that look like ours and are none, each with what was probably meant, if anything.
pub(super) fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<(String, String)> {
    const PREFIX: &str = "WALRUSFS_";
    let known: Vec<String> = OPTIONS
        .iter()
        .filter_map(Spec::variable)
        .chain([HOME_VARIABLE.to_owned(), "WALRUSFS_DIE_AT".to_owned()])
        .collect();
    let ours = names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with(PREFIX));
    let unknown = ours.filter(|name| !known.contains(name));
    unknown
        .map(|name| {
            // What they all begin with says nothing.
            let ends = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
            let suggestion = table::suggestion(&name[PREFIX.len()..], ends).replace(" `", &format!(" `{PREFIX}"));
            (name, suggestion)
        })
        .collect()
}

/// Refuses a variable whose name is nearly one of ours: a setting that has no effect is worse than none. Other programs may have
/// variables that begin like ours.
fn refuse_misspelt(names: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    match unknown_variables(names).into_iter().find(|(_, suggestion)| !suggestion.is_empty()) {
        Some((name, suggestion)) => Err(Failure::usage(format!("the environment's {name} is no option{suggestion}"))),
        None => Ok(()),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at.min(text.len())].matches('\n').count() + 1
}

/// Everything that the file sets.
fn entries(path: &Path, text: &str) -> Result<Vec<Entry>, Failure> {
    let parsed = DeTable::parse(text)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {}", path.display(), error.to_string().trim())))?;
    let mut found = Vec::new();
    collect(path, text, parsed.get_ref(), None, &mut found)?;
    Ok(found)
}

fn collect(
    path: &Path,
    text: &str,
    table: &DeTable<'_>,
    drive: Option<&DriveName>,
    found: &mut Vec<Entry>,
) -> Result<(), Failure> {
    for (key, value) in table {
        let (name, line) = (key.get_ref().as_ref(), line_of(text, key.span().start));
        let refuse = |why: String| Err(Failure::usage(format!("{}, line {line}: {why}", path.display())));
        if name == DRIVES && drive.is_none() {
            let DeValue::Table(drives) = value.get_ref() else {
                return refuse("`drive` is a table for each drive: [drive.LABEL]".to_owned());
            };
            for (label, options) in drives {
                let label = match DriveName::parse(label.get_ref()) {
                    Ok(label) => label,
                    Err(failure) => return refuse(format!("[drive.LABEL]: {failure}")),
                };
                let DeValue::Table(options) = options.get_ref() else {
                    return refuse("`drive` is a table for each drive: [drive.LABEL]".to_owned());
                };
                collect(path, text, options, Some(&label), found)?;
            }
            continue;
        }
        let spec = match table::find(&name.replace('-', "_")) {
            Some((spec, false)) if spec.places == Places::Everywhere => spec,
            Some((spec, false)) => return refuse(format!("`{}` can stand in `-o` only", spec.name)),
            Some((spec, true)) => return refuse(format!("write `{} = false` instead of `{name}`", spec.name)),
            None => {
                let known = OPTIONS.iter().filter(|spec| spec.places == Places::Everywhere).map(|spec| spec.name);
                return refuse(format!("unknown option `{name}`{}", table::suggestion(name, known)));
            }
        };
        let Some(said) = scalar(value.get_ref()) else {
            return refuse(format!("`{}` takes one value", spec.name));
        };
        if spec.is_switch() && !matches!(value.get_ref(), DeValue::Boolean(_)) {
            return refuse(format!("`{}` is true or false", spec.name));
        }
        if found.iter().any(|entry: &Entry| entry.spec.name == spec.name && entry.drive.as_ref() == drive) {
            return refuse(format!("`{}` stands there twice (`-` and `_` are the same)", spec.name));
        }
        let (origin, place) = (Origin::File(line), value.span());
        found.push(Entry { spec, value: said, origin, drive: drive.cloned(), place });
    }
    Ok(())
}

/// A value as it would stand in `-o`.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(on) => Some(on.to_string()),
        _ => None,
    }
}

/// `walrusfs config`
///
/// # Errors
/// What is wrong with the file, the environment, or what was to be written.
pub fn run(command: &ConfigCommand) -> Result<(), Failure> {
    let home = match command {
        // What only looks makes no folders.
        ConfigCommand::Path | ConfigCommand::Show { .. } => Home::locate_here()?,
        _ => Home::open()?,
    };
    match command {
        ConfigCommand::Path => {
            output::line(home.config_file().display());
            Ok(())
        }
        ConfigCommand::Show { drive, json } => {
            let drive = drive.as_deref().map(DriveName::parse).transpose()?;
            show(&Config::load(&home)?, drive.as_ref(), *json)
        }
        ConfigCommand::Edit => edit(&home.config_file()),
        ConfigCommand::Set { name, value } => set(&home, name, Some(value)),
        ConfigCommand::Unset { name } => set(&home, name, None),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    value: Option<String>,
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

fn show(config: &Config, drive: Option<&DriveName>, json: bool) -> Result<(), Failure> {
    let entries: Vec<&Entry> = config.layers(drive).collect();
    let rows: Vec<(&Spec, Option<&Entry>)> = OPTIONS
        .iter()
        .filter(|spec| spec.places == Places::Everywhere)
        .map(|spec| (spec, entries.iter().rev().find(|entry| entry.spec.name == spec.name).copied()))
        .collect();
    if json {
        let shown = rows.iter().map(|(spec, entry)| {
            let (origin, variable, line) = match entry.map(|entry| &entry.origin) {
                None | Some(Origin::Default) => ("default", None, None),
                Some(Origin::File(line)) => ("file", None, Some(*line)),
                Some(Origin::Environment(variable)) => ("environment", Some(variable.as_str()), None),
            };
            Shown { name: spec.name, value: entry.map(|entry| entry.value.clone()), origin, variable, line }
        });
        return output::json(&shown.collect::<Vec<_>>());
    }
    for (spec, entry) in rows {
        let default = spec.default.replace('`', "");
        let (value, origin) = match entry {
            None if default.is_empty() => ("-".to_owned(), "not set".to_owned()),
            None => (default, "default".to_owned()),
            Some(Entry { value, origin: Origin::Environment(variable), .. }) => (value.clone(), format!("${variable}")),
            Some(Entry { value, origin: Origin::File(line), .. }) => {
                (value.clone(), format!("{}, line {line}", config.path.display()))
            }
            Some(Entry { value, origin: Origin::Default, .. }) => (value.clone(), "default".to_owned()),
        };
        output::line(format!("{:<16} {value:<32} {origin}", spec.name));
    }
    Ok(())
}

/// The file as it is, or what a new one begins with.
fn text_to_change(path: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(table::template()),
        Err(error) => Err(Failure::from_io(format!("cannot read {}", path.display()), error)),
    }
}

/// Lets the user's editor work on a copy, and takes it only when it can be read. A copy that was not taken is what the next edit goes on
/// with.
fn edit(path: &Path) -> Result<(), Failure> {
    let draft = path.with_extension("edit.toml");
    let written = |path: &Path, text: &str| {
        write_private(path, text.as_bytes())
            .map_err(|error| Failure::from_io(format!("cannot write {}", path.display()), error))
    };
    if draft.exists() {
        output::note(format!("going on with what you wrote last time ({})", draft.display()));
    } else {
        written(&draft, &text_to_change(path)?)?;
    }
    let kept = |failure: Failure| {
        let kept = format!("{} is unchanged; what you wrote is in {}", path.display(), draft.display());
        Failure::new(failure.code(), format!("{failure}; {kept}, and `walrusfs config edit` goes on with it"))
    };
    let edited = loop {
        let edited = run_editor(&draft).map_err(kept)?;
        match Config::parse(draft.clone(), &edited, |_| None) {
            Ok(_) => break edited,
            Err(failure) if std::io::stdin().is_terminal() => {
                failure.print();
                if super::consent::ask_to_change("edit it again?", false).is_err() {
                    return Err(kept(failure));
                }
            }
            Err(failure) => return Err(kept(failure)),
        }
    };
    written(path, &edited)?;
    let _ = std::fs::remove_file(&draft);
    Ok(())
}

fn run_editor(draft: &Path) -> Result<String, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    // An editor may have arguments of its own (`code --wait`): the shell splits them as it does for git.
    let status = Command::new("/bin/sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(draft).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(Failure::new(Code::Failed, format!("the editor `{editor}` ended with {status}"))),
        Err(error) => return Err(Failure::from_io(format!("cannot run the editor `{editor}`"), error)),
    }
    std::fs::read_to_string(draft).map_err(|error| Failure::from_io(format!("cannot read {}", draft.display()), error))
}

/// Sets an option for everything, or takes it out; the rest of the file, comments too, stays as it is.
///
/// # Errors
/// The option is unknown, the value wrong, or the file cannot be read or written.
pub fn set(home: &Home, name: &str, value: Option<&str>) -> Result<(), Failure> {
    let path = home.config_file();
    let text = text_to_change(&path)?;
    let name = name.replace('-', "_");
    if table::find(&name).is_none() {
        let suggestion = table::suggestion(&name, OPTIONS.iter().map(|spec| spec.name));
        return Err(Failure::usage(format!("unknown option `{name}`{suggestion}")));
    }
    if let (Some((spec, false)), Some(value)) = (table::find(&name), value) {
        let tried = spec.apply(&mut MountOptions::default(), &Value::new(Some(value), path.parent()));
        tried.map_err(|why| Failure::usage(format!("`{name}` {why}")))?;
    }
    let changed = changed(&path, &text, &name, value)?;
    // What is written can be read again: the value is looked at here, before anything is written.
    Config::parse(path.clone(), &changed, |_| None)?;
    write_private(&path, changed.as_bytes())
        .map_err(|error| Failure::from_io(format!("cannot write {}", path.display()), error))
}

fn changed(path: &Path, text: &str, name: &str, value: Option<&str>) -> Result<String, Failure> {
    let present = entries(path, text)?.into_iter().find(|entry| entry.spec.name == name && entry.drive.is_none());
    let value = value.map(|value| match value {
        "true" | "false" => value.to_owned(),
        digits if (1..19).contains(&digits.len()) && is_number(digits) => digits.to_owned(),
        text => toml::Value::String(text.to_owned()).to_string(),
    });
    let mut changed = text.to_owned();
    match (present, value) {
        (Some(entry), Some(value)) => changed.replace_range(entry.place, &value),
        (Some(entry), None) => {
            let start = text[..entry.place.start].rfind('\n').map_or(0, |at| at + 1);
            let end = text[entry.place.end..].find('\n').map_or(text.len(), |at| entry.place.end + at + 1);
            changed.replace_range(start..end, "");
        }
        // A key before the first table belongs to no table. It goes below its commented line, or to the end of the comments
        // that the file begins with.
        (None, Some(value)) => {
            let line = format!("{name} = {value}\n");
            let tables = text.find("\n[").map_or(text.len(), |at| at + 1);
            let commented = format!("\n#{name} = ");
            let at = match text[..tables].find(&commented) {
                Some(at) => text[at + 1..].find('\n').map_or(text.len(), |end| at + 1 + end + 1),
                None => text.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum(),
            };
            let gap = if at > 0 && !text[..at].ends_with('\n') { "\n" } else { "" };
            changed.insert_str(at, &format!("{gap}{line}"));
        }
        (None, None) => {}
    }
    Ok(changed)
}

/// A number that TOML takes as it is.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::Durability;
    use std::time::Duration;

    fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, Failure> {
        Config::parse("/c/config.toml".into(), text, |name| {
            env.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        })
    }

    const FILE: &str = "\
# mine
cache_size = \"20G\"
timeout = 9
allow-other = true
key_file = \"media.key\"

[drive.media]
cache_size = \"30G\"
durability = \"network\"
";

    #[test]
    fn drive_over_general_and_environment_over_file() {
        let media = DriveName::Label("media".into());
        let config = parse(FILE, &[]).unwrap();
        let options = config.options(None).unwrap();
        assert_eq!((options.cache_size, options.timeout), (Some(20 << 30), Some(Duration::from_secs(9))));
        assert_eq!(options.access, crate::fuse::Access::All);
        assert_eq!(options.key_file.as_deref(), Some(Path::new("/c/media.key")), "relative to the file's folder");
        assert_eq!(options.durability, Durability::Local);
        let options = config.options(Some(&media)).unwrap();
        assert_eq!((options.cache_size, options.durability), (Some(30 << 30), Durability::Network));
        let config =
            parse(FILE, &[("WALRUSFS_CACHE_SIZE", "1G"), ("WALRUSFS_TIMEOUT", ""), ("WALRUSFS_RO", "1")]).unwrap();
        let mut options = config.options(Some(&media)).unwrap();
        assert_eq!(options.cache_size, Some(1 << 30), "the environment comes before both parts of the file");
        assert_eq!(options.timeout, Some(Duration::from_secs(9)), "an empty variable is unset");
        assert!(options.read_only);
        options.add("cache_size=2G,rw", false).unwrap();
        assert!(options.cache_size == Some(2 << 30) && !options.read_only, "the command line comes first");
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_a_suggestion() {
        for (text, words) in [
            ("\ncache_sise = \"1G\"", &["line 2", "cache_sise", "did you mean `cache_size`"][..]),
            ("timeout = \"soon\"", &["line 1", "timeout", "soon"]),
            ("[drive.a]\nx = 1", &["line 2", "`x`"]),
            ("drive = 3", &["[drive.LABEL]"]),
            ("suid = true", &["-o"]),
            ("rw = true", &["ro = false"]),
            ("log = [1]", &["one value"]),
            ("network = ", &["line 1"]),
            ("[drive.\"a:b\"]\nro = true", &["a:b"]),
        ] {
            let failure = parse(text, &[]).unwrap_err();
            assert_eq!(failure.code(), Code::Usage);
            let failure = failure.to_string();
            assert!(words.iter().all(|word| failure.contains(word)), "{text}: {failure}");
        }
        for text in ["ro = 1", "cache_size = 1\ncache-size = 2", "[drive.\"a@b\"]\nro = true"] {
            let failure = parse(text, &[]).unwrap_err().to_string();
            assert!(failure.contains(", line "), "{text}: {failure}");
        }
        let failure = parse("", &[("WALRUSFS_MEMORY", "lots")]).unwrap_err().to_string();
        assert!(failure.contains("WALRUSFS_MEMORY") && failure.contains("lots"), "{failure}");
    }

    #[test]
    fn variables_that_mean_nothing() {
        let names = ["WALRUSFS_HOME", "WALRUSFS_CACHE_SIZE", "WALRUSFS_CACHE_SIEZ", "WALRUSFS_NICENESS", "HOME"];
        let found = unknown_variables(names.into_iter().map(OsString::from));
        let meant = "; did you mean `WALRUSFS_CACHE_SIZE`?".to_owned();
        assert_eq!(found, [("WALRUSFS_CACHE_SIEZ".into(), meant), ("WALRUSFS_NICENESS".into(), String::new())]);
        assert!(refuse_misspelt(["WALRUSFS_NICENESS".into()].into_iter()).is_ok());
        assert_eq!(refuse_misspelt(["WALRUSFS_CACHE_SIEZ".into()].into_iter()).unwrap_err().code(), Code::Usage);
    }

    #[test]
    fn what_is_set_stands_where_it_belongs_and_the_rest_stays() {
        let path = Path::new("/c/config.toml");
        let change = |text: &str, name: &str, value: Option<&str>| changed(path, text, name, value).unwrap();
        assert_eq!(change(FILE, "cache_size", Some("1G")), FILE.replace("\"20G\"", "\"1G\""));
        assert_eq!(change(FILE, "timeout", None), FILE.replace("timeout = 9\n", ""));
        let added = change(FILE, "network", Some("testnet"));
        assert_eq!(added, FILE.replace("# mine\n", "# mine\nnetwork = \"testnet\"\n"));
        assert_eq!(parse(&added, &[]).unwrap().options(None).unwrap().network.as_deref(), Some("testnet"));
        assert_eq!(change("[drive.a]\nro = true\n", "memory", Some("1G")), "memory = \"1G\"\n[drive.a]\nro = true\n");
        assert_eq!(change("# no newline", "ro", Some("true")), "# no newline\nro = true\n");
        let fresh = change(&table::template(), "network", Some("a\"b\\c"));
        assert_eq!(parse(&fresh, &[]).unwrap().options(None).unwrap().network.as_deref(), Some("a\"b\\c"));
        assert!(fresh.contains("#network = \"NAME|FILE\"\nnetwork = "), "below its commented line");
        assert_eq!(change(FILE, "memory", None), FILE);
    }
}
