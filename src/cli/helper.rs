//! The forms in which mount(8), umount(8) and mount.fuse3 call us.
//!
//! | called as | by | arguments |
//! |---|---|---|
//! | `mount.walrusfs`, `mount.fuse.walrusfs` | mount(8) | `SRC MNT [-s] [-f] [-n] [-v] [-N ns] [-t type] -o OPTS` |
//! | `umount.walrusfs`, `umount.fuse.walrusfs` | umount(8) | `MNT [-f] [-l] [-n] [-r] [-v] [-N ns] [-t type]` |
//! | `walrusfs` | mount.fuse3 | `SRC MNT -o OPTS`, where SRC contains `:` or starts with `0x` |
//!
//! Here `-f` of a mount means *fake*: everything but the mount itself. Exit codes are mount(8)'s: 0, 1 usage or
//! permission, 2 system error, 32 mount failure.

use super::exit::{Code, Failure};
use super::{mount, output, umount};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// How the program was called.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    /// As a mount helper, with these arguments.
    Mount(Vec<OsString>),
    /// By mount.fuse3, with these arguments.
    Fuse3(Vec<OsString>),
    /// As an umount helper, with these arguments.
    Umount(Vec<OsString>),
    /// By its own name.
    Command,
}

/// Tells the forms apart by the name in `argv[0]` and by the first argument.
pub fn form(argv: &[OsString]) -> Form {
    let name = argv.first().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or_default();
    let rest = || argv.iter().skip(1).cloned().collect();
    if name == "mount.walrusfs" || name == "mount.fuse.walrusfs" {
        return Form::Mount(rest());
    }
    if name == "umount.walrusfs" || name == "umount.fuse.walrusfs" {
        return Form::Umount(rest());
    }
    match argv.get(1).and_then(|first| first.to_str()) {
        Some(first) if names_a_drive(first) => Form::Fuse3(rest()),
        _ => Form::Command,
    }
}

/// Whether `source` can only be a drive: mount(8) turns a bare word into a path, so a drive is `walrus:LABEL` or `0x...`.
fn names_a_drive(source: &str) -> bool {
    !source.starts_with('-') && (source.contains(':') || source.starts_with("0x"))
}

/// A mount as mount(8) asks for it.
#[derive(Debug, PartialEq, Eq)]
pub struct MountCall {
    /// What to mount.
    pub source: String,
    /// Where.
    pub mountpoint: PathBuf,
    /// Every `-o`.
    pub lists: Vec<String>,
    /// `-s`: options that nobody knows are skipped.
    pub sloppy: bool,
    /// `-f`: check, but do not mount.
    pub fake: bool,
    /// `-v`
    pub verbose: bool,
    /// mount.fuse3 called, which adds options of its own.
    pub by_fuse3: bool,
}

/// An umount as umount(8) asks for it.
#[derive(Debug, PartialEq, Eq)]
pub struct UmountCall {
    /// What to unmount.
    pub mountpoint: PathBuf,
    /// `-l`
    pub lazy: bool,
    /// `-f`
    pub force: bool,
    /// `-v`
    pub verbose: bool,
}

/// Helper arguments, sorted by what they are.
#[derive(Default)]
struct Split {
    letters: Vec<char>,
    lists: Vec<String>,
    positionals: Vec<OsString>,
}

/// Splits helper arguments into flag letters (those of `flags`), `-o` lists and positionals.
fn split(arguments: Vec<OsString>, flags: &str) -> Result<Split, Failure> {
    let Split { mut letters, mut lists, mut positionals } = Split::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let Some(letter_list) = argument.to_str().and_then(|text| text.strip_prefix('-')).filter(|t| !t.is_empty())
        else {
            positionals.push(argument);
            continue;
        };
        if letter_list.starts_with('-') {
            return Err(Failure::usage(format!(
                "unknown option `-{letter_list}`; options of the mount stand after -o"
            )));
        }
        let mut rest = letter_list.chars();
        while let Some(letter) = rest.next() {
            if flags.contains(letter) {
                letters.push(letter);
                continue;
            }
            if !"otN".contains(letter) {
                return Err(Failure::usage(format!("unknown flag `-{letter}`")));
            }
            let inline: String = rest.by_ref().collect();
            let value = match inline.is_empty() {
                false => inline,
                true => arguments
                    .next()
                    .and_then(|value| value.into_string().ok())
                    .ok_or_else(|| Failure::usage(format!("flag `-{letter}` needs a value")))?,
            };
            // `-t` repeats our own type and `-N` names a namespace that mount(8) has already entered.
            if letter == 'o' {
                lists.push(value);
            }
        }
    }
    Ok(Split { letters, lists, positionals })
}

/// Parses the arguments of a mount helper.
///
/// # Errors
/// A usage error.
pub fn parse_mount(arguments: Vec<OsString>) -> Result<MountCall, Failure> {
    let Split { letters, lists, positionals } = split(arguments, "sfnv")?;
    let [source, mountpoint] = <[OsString; 2]>::try_from(positionals).map_err(|_| {
        Failure::usage("a mount helper takes a drive and a mount point: mount -t walrusfs walrus:LABEL DIR")
    })?;
    let source = source.into_string().ok().filter(|source| names_a_drive(source)).ok_or_else(|| {
        Failure::usage("write the drive as walrus:LABEL or 0x...: mount(8) makes a path of a bare word")
    })?;
    Ok(MountCall {
        source,
        mountpoint: mountpoint.into(),
        lists,
        sloppy: letters.contains(&'s'),
        fake: letters.contains(&'f'),
        verbose: letters.contains(&'v'),
        by_fuse3: false,
    })
}

/// Parses the arguments of an umount helper.
///
/// # Errors
/// A usage error.
pub fn parse_umount(arguments: Vec<OsString>) -> Result<UmountCall, Failure> {
    let Split { letters, positionals, .. } = split(arguments, "flnrv")?;
    let [mountpoint] = <[OsString; 1]>::try_from(positionals)
        .map_err(|_| Failure::usage("an umount helper takes one mount point: umount DIR"))?;
    let said = |letter: char| letters.contains(&letter);
    Ok(UmountCall { mountpoint: mountpoint.into(), lazy: said('l'), force: said('f'), verbose: said('v') })
}

/// What mount(8) understands of an exit code.
pub fn helper_code(code: Code) -> Code {
    match code {
        Code::Ok | Code::Usage | Code::MountFailed => code,
        // It is unmounted; what the network has not got yet is in the journal.
        Code::Pending => Code::Failed,
        _ => Code::MountFailed,
    }
}

/// Runs as a mount helper; `by_fuse3` when mount.fuse3 called.
pub fn run_mount(arguments: Vec<OsString>, by_fuse3: bool) -> Code {
    if !by_fuse3 && explained(&arguments, MOUNT_HELP) {
        return Code::Ok;
    }
    finish(parse_mount(arguments).and_then(|mut call| {
        call.by_fuse3 = by_fuse3;
        mount::run_helper(call)
    }))
}

const MOUNT_HELP: &str = "\
Mounts a walrusfs drive for mount(8): mount -t walrusfs walrus:LABEL DIR [-o OPTION,...]

  mount.walrusfs walrus:LABEL|0xID DIR [-s] [-f] [-n] [-v] [-o OPTION,...]

-s skips unknown options, -f checks everything and does not mount, -v says more.
`walrusfs mount --help` lists the options; mount.walrusfs(8) is the manual page.";

const UMOUNT_HELP: &str = "\
Unmounts a walrusfs drive for umount(8), and waits until everything is certified, ten minutes at most.

  umount.walrusfs DIR [-l] [-f] [-n] [-r] [-v]

-l detaches it although it is in use, -f ends requests of a mount process that does not answer.";

/// Answers `--help` and `--version`.
fn explained(arguments: &[OsString], help: &str) -> bool {
    match arguments.first().and_then(|first| first.to_str()) {
        Some("--help" | "-h") => output::line(help),
        Some("--version" | "-V") => output::line(format_args!("walrusfs {}", env!("CARGO_PKG_VERSION"))),
        _ => return false,
    }
    true
}

/// Runs as an umount helper.
pub fn run_umount(arguments: Vec<OsString>) -> Code {
    if explained(&arguments, UMOUNT_HELP) {
        return Code::Ok;
    }
    finish(parse_umount(arguments).and_then(umount::run_helper))
}

fn finish(result: Result<(), Failure>) -> Code {
    match result {
        Ok(()) => Code::Ok,
        Err(failure) => {
            failure.print();
            helper_code(failure.code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_form_follows_the_name_and_the_first_argument() {
        for (line, expected) in [
            ("/sbin/mount.walrusfs walrus:a /m -o rw", Some(true)),
            ("mount.fuse.walrusfs walrus:a /m -o rw", Some(true)),
            ("/sbin/umount.fuse.walrusfs /m", Some(false)),
            ("walrusfs mount walrus:a /m", None),
            ("walrusfs --help", None),
            ("walrusfs", None),
        ] {
            let expected = match expected {
                Some(true) => Form::Mount(argv(line).split_off(1)),
                Some(false) => Form::Umount(argv(line).split_off(1)),
                None => Form::Command,
            };
            assert_eq!(form(&argv(line)), expected, "{line}");
        }
        for line in ["/usr/bin/walrusfs walrus:a /m -o rw,dev,suid", "walrusfs 0xabc /m -o rw"] {
            assert_eq!(form(&argv(line)), Form::Fuse3(argv(line).split_off(1)), "{line}");
        }
    }

    #[test]
    fn flags_come_before_the_options_and_f_means_fake() {
        let call = parse_mount(argv("walrus:media /srv/media -s -f -n -v -o rw,noatime,nonsense=1")).unwrap();
        assert_eq!((call.source.as_str(), call.mountpoint.as_path()), ("walrus:media", Path::new("/srv/media")));
        assert!(call.fake && call.verbose && call.sloppy);
        let call = parse_mount(argv("walrus:media /m -sv -N /proc/1/ns/mnt -t fuse.walrusfs -oro")).unwrap();
        assert!(call.lists == ["ro"] && !call.fake);
    }

    #[test]
    fn usage_errors() {
        for line in ["media /m -o rw", "walrus:a", "walrus:a /m /n", "walrus:a /m -o", "walrus:a /m -x"] {
            assert_eq!(parse_mount(argv(line)).unwrap_err().code(), Code::Usage, "{line}");
        }
        assert!(parse_umount(argv("/a /b")).is_err());
    }

    #[test]
    fn an_umount_call() {
        let call = parse_umount(argv("/m -l -f -n -r -v -N 1 -t fuse.walrusfs")).unwrap();
        assert_eq!(call, UmountCall { mountpoint: "/m".into(), lazy: true, force: true, verbose: true });
    }
}
