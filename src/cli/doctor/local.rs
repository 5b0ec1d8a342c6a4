//! What a mount needs of this machine.

use super::Finding;
use crate::cli::config::{Config, unknown_variables};
use crate::cli::control::{Client, socket_of};
use crate::cli::home::Home;
use crate::cli::options::MountOptions;
use crate::cli::output;
use crate::fuse::Access;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::geteuid;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Free bytes below which a folder's disk is worth a look: what the cache leaves alone.
const LITTLE: u64 = 1 << 30;

/// A disk that takes longer than this for one sync makes every `fsync` wait.
const SLOW_SYNC: Duration = Duration::from_millis(100);

/// How long a mount may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The oldest kernel with everything that is used (FUSE 7.31 and mount through file descriptors), major and minor.
const KERNEL: (u32, u32) = (5, 4);

/// Every check of this machine.
pub(super) fn all(home: &Home) -> Vec<Finding> {
    let (mut findings, options) = settings(home);
    findings.extend([device(Path::new("/dev/fuse")), kernel(), fusermount(), others(&options), helpers()]);
    findings.extend(folders(home));
    findings.push(disk("state disk", options.journal_dir.as_deref().unwrap_or(&home.state), true));
    findings.push(disk("cache disk", options.cache_dir.as_deref().unwrap_or(&home.cache), false));
    findings.push(memory(&options));
    findings.extend(mounts(home));
    findings
}

/// The configuration, and what it says (or nothing, when it says nonsense).
fn settings(home: &Home) -> (Vec<Finding>, MountOptions) {
    let mut findings = Vec::new();
    let read = Config::load(home).and_then(|config| config.options(None));
    let options = match read {
        Ok(options) => {
            findings.push(Finding::ok("configuration", home.config_file().display().to_string()));
            options
        }
        Err(failure) => {
            findings.push(Finding::failed("configuration", failure.to_string(), "walrusfs config edit"));
            MountOptions::default()
        }
    };
    let unknown = unknown_variables(std::env::vars_os().map(|(name, _)| name));
    findings.extend(unknown.into_iter().map(|(name, suggestion)| {
        Finding::warning("environment", format!("${name} means nothing{suggestion}"), format!("unset {name}"))
    }));
    (findings, options)
}

fn device(path: &Path) -> Finding {
    match File::options().read(true).write(true).open(path) {
        Ok(_) if is_fuse(path) => Finding::ok("fuse device", path.display().to_string()),
        Ok(_) => Finding::failed(
            "fuse device",
            format!("{} is something else", path.display()),
            "give the container the device: --device /dev/fuse --cap-add SYS_ADMIN",
        ),
        Err(error) => Finding::failed(
            "fuse device",
            format!("{} cannot be opened: {error}", path.display()),
            "modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN",
        ),
    }
}

/// Character device 10:229, for ever.
fn is_fuse(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| {
        let rdev = meta.rdev();
        (nix::sys::stat::major(rdev), nix::sys::stat::minor(rdev)) == (10, 229)
    })
}

fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    judge_kernel(release.trim())
}

fn judge_kernel(release: &str) -> Finding {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version >= KERNEL {
        true => Finding::ok("kernel", format!("Linux {release}")),
        false => Finding::warning(
            "kernel",
            format!("Linux {release}"),
            format!("{}.{} or newer has all that is used", KERNEL.0, KERNEL.1),
        ),
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn fusermount() -> Finding {
    let root = geteuid().is_root();
    let install = "apt install fuse3 (or the package of your distribution that has fusermount3)";
    match in_path("fusermount3") {
        None if root => Finding::ok("fusermount3", "not installed; root needs none"),
        None => Finding::failed("fusermount3", "not in the PATH; mounting without root needs it", install),
        Some(path) => {
            let setuid = std::fs::metadata(&path).is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o4000 != 0);
            match setuid || root {
                true => Finding::ok("fusermount3", path.display().to_string()),
                false => Finding::failed(
                    "fusermount3",
                    format!("{} is not set-user-id root", path.display()),
                    format!("as root: chown root {0} && chmod 4755 {0}", path.display()),
                ),
            }
        }
    }
}

/// `allow_other` of ordinary users.
fn others(options: &MountOptions) -> Finding {
    let allowed = std::fs::read_to_string("/etc/fuse.conf")
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "user_allow_other"));
    let wanted = options.access != Access::Owner;
    match (geteuid().is_root() || allowed, wanted) {
        (true, _) => Finding::ok("allow_other", "may be used"),
        (false, false) => Finding::ok("allow_other", "not allowed to ordinary users, and not asked for"),
        (false, true) => Finding::failed(
            "allow_other",
            "the configuration asks for it, and ordinary users may not use it",
            "as root: add the line user_allow_other to /etc/fuse.conf",
        ),
    }
}

fn helpers() -> Finding {
    let missing: Vec<&str> = ["mount.walrusfs", "umount.fuse.walrusfs"]
        .into_iter()
        .filter(|name| !["/sbin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join(name).exists()))
        .collect();
    match missing.is_empty() {
        true => Finding::ok("mount helpers", "mount -t walrusfs, /etc/fstab and umount work"),
        false => Finding::warning(
            "mount helpers",
            format!(
                "{} missing: /etc/fstab does not work, and umount does not wait for the network",
                missing.join(", ")
            ),
            "as root: mount-helpers/install.sh, or install the package",
        ),
    }
}

fn folders(home: &Home) -> Vec<Finding> {
    let folders = [
        ("configuration folder", &home.config),
        ("keys folder", &home.keys),
        ("state folder", &home.state),
        ("cache folder", &home.cache),
    ];
    folders.into_iter().map(|(check, path)| folder(check, path)).collect()
}

fn folder(check: &'static str, path: &Path) -> Finding {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok(check, format!("{} (not made yet)", path.display()));
        }
        Err(error) => {
            let found = format!("{} cannot be looked at: {error}", path.display());
            return Finding::failed(check, found, "see who owns it and its parents");
        }
    };
    let shown = path.display();
    if meta.uid() != geteuid().as_raw() {
        let found = format!("{shown} belongs to user {}", meta.uid());
        return Finding::failed(check, found, format!("as root: chown -R {} {shown}", geteuid()));
    }
    if meta.mode() & 0o077 != 0 {
        let found = format!("others can look into {shown} (mode {:03o})", meta.mode() & 0o777);
        return Finding::warning(check, found, format!("chmod 700 {shown}"));
    }
    match nix::unistd::access(path, nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK) {
        Ok(()) => readable_keys(check, path),
        Err(errno) => {
            Finding::failed(check, format!("{shown} cannot be written to: {errno}"), format!("chmod u+rwx {shown}"))
        }
    }
}

/// No file of the keys folder may be read by others; the program refuses those that can be.
fn readable_keys(check: &'static str, path: &Path) -> Finding {
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    let open = files
        .filter(|_| check == "keys folder")
        .find(|file| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o077 != 0));
    match open {
        None => Finding::ok(check, path.display().to_string()),
        Some(file) => {
            let file = file.path();
            let found = format!("{} can be read by others and is refused", file.display());
            Finding::failed(check, found, format!("chmod 600 {}", file.display()))
        }
    }
}

/// The nearest folder that exists: what is not made yet will lie on the same disk.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}

fn disk(check: &'static str, path: &Path, keeps_promises: bool) -> Finding {
    let path = existing(path);
    let shown = path.display();
    let free = match nix::sys::statvfs::statvfs(path) {
        Ok(stat) => stat.blocks_available().saturating_mul(stat.fragment_size()),
        Err(errno) => {
            return Finding::failed(check, format!("{shown} cannot be looked at: {errno}"), "look at the disk");
        }
    };
    let took = match sync_once(path) {
        Ok(took) => took,
        Err(error) => {
            let found = format!("{shown} cannot be written durably: {error}");
            return Finding::failed(
                check,
                found,
                "look at the disk, or choose another with cache_dir= or journal_dir=",
            );
        }
    };
    let found = format!("{} free at {shown}, one sync takes {} ms", output::bytes(free), took.as_millis());
    if free < LITTLE {
        return Finding::warning(check, found, "make room, or choose another disk with cache_dir= or journal_dir=");
    }
    if keeps_promises && is_memory(path) {
        return Finding::warning(
            check,
            format!("{found}; it is in memory"),
            "choose a disk with journal_dir=: fsync promises one",
        );
    }
    if keeps_promises && took > SLOW_SYNC {
        return Finding::warning(check, found, "every fsync waits that long; a faster disk with journal_dir= helps");
    }
    Finding::ok(check, found)
}

fn is_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC)
}

fn sync_once(folder: &Path) -> std::io::Result<Duration> {
    let path = folder.join(format!(".walrusfs-doctor-{}", std::process::id()));
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).open(&path)?;
        file.write_all(&[0; 4096])?;
        let started = Instant::now();
        file.sync_all()?;
        Ok(started.elapsed())
    })();
    // A file that was not made cannot be removed.
    let _ = std::fs::remove_file(&path);
    written
}

fn memory(options: &MountOptions) -> Finding {
    let wanted = options.memory.unwrap_or(crate::cli::mount::assemble::DEFAULT_MEMORY);
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib.saturating_mul(1024));
    let found = |available: u64| {
        format!("{} available, a mount uses up to {}", output::bytes(available), output::bytes(wanted))
    };
    match available {
        None => Finding::skipped("memory", "/proc/meminfo does not say"),
        Some(available) if available < wanted => {
            Finding::warning("memory", found(available), "close something, or give mounts less with memory=")
        }
        Some(available) => Finding::ok("memory", found(available)),
    }
}

/// What the process behind a mount answers to the one question that the kernel never answers from memory; a mount that hangs
/// must not hang this program too.
fn answers(point: &Path) -> Option<nix::Result<()>> {
    let (answer, answered) = std::sync::mpsc::channel();
    let point = point.to_owned();
    // Left behind when nothing comes: it ends with the program.
    std::thread::spawn(move || answer.send(nix::sys::statvfs::statvfs(&point).map(drop)));
    answered.recv_timeout(PATIENCE).ok()
}

/// Mounts of drives whose process is gone answer nothing but ENOTCONN.
fn mounts(home: &Home) -> Vec<Finding> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut findings = Vec::new();
    let mut alive = 0;
    for line in table.lines().filter(|line| line.contains(" - fuse.walrusfs ")) {
        let Some(point) = line.split(' ').nth(4).map(unescape) else { continue };
        match answers(&point) {
            Some(Err(nix::errno::Errno::ENOTCONN)) => {
                let found = format!("{} is dead: its process was killed", point.display());
                let mend = format!(
                    "walrusfs umount {} (the journal keeps what was not certified), then mount again",
                    point.display()
                );
                // Another home's is another's to mend.
                let ours = socket_of(home, &point).with_extension("lock").exists();
                findings.push(if ours {
                    Finding::failed("mounts", found, mend)
                } else {
                    Finding::warning("mounts", found, mend)
                });
            }
            None => findings.push(Finding::warning(
                "mounts",
                format!("{} does not answer within {} s", point.display(), PATIENCE.as_secs()),
                "see its log; walrusfs umount --lazy takes it away",
            )),
            Some(_) => alive += 1,
        }
    }
    if findings.is_empty() {
        // The sockets of processes that were killed are still there.
        let of_home = crate::cli::status::sockets(&home.mounts()).unwrap_or_default();
        let live = of_home.iter().filter(|socket| matches!(Client::connect(socket), Ok(Some(_)))).count();
        findings.push(Finding::ok("mounts", format!("{alive} on this machine, {live} of this home")));
    }
    findings
}

/// A path of mountinfo, where space, tab, newline and backslash are written in octal.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(code) => {
                out.push(code);
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_device_that_is_missing_or_another_is_found() {
        assert_eq!(device(Path::new("/dev/null")).state, State::Failed);
        let gone = device(Path::new("/dev/no-such-device"));
        assert!(gone.state == State::Failed && gone.mend.unwrap().contains("modprobe"));
    }

    #[test]
    fn kernels() {
        for (release, state) in
            [("6.1.0-18-amd64", State::Ok), ("5.4.0", State::Ok), ("4.19.0-26", State::Warning), ("", State::Warning)]
        {
            assert_eq!(judge_kernel(release).state, state, "{release}");
        }
    }

    #[test]
    fn folders_that_others_can_read_and_keys_too() {
        let temp = tempfile::tempdir().unwrap();
        let keys = temp.path().join("keys");
        assert_eq!(folder("keys folder", &keys).state, State::Ok, "not made yet");
        std::fs::create_dir(&keys).unwrap();
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = folder("keys folder", &keys);
        assert!(found.state == State::Warning && found.mend.unwrap().contains("chmod 700"));
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(folder("keys folder", &keys).state, State::Ok);
        std::fs::write(keys.join("wallet.key"), "x").unwrap();
        std::fs::set_permissions(keys.join("wallet.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let found = folder("keys folder", &keys);
        assert!(found.state == State::Failed && found.mend.unwrap().contains("chmod 600"));
        assert_eq!(folder("cache folder", &keys).state, State::Ok, "only keys are secret");
    }

    #[test]
    fn a_disk_is_tried() {
        let temp = tempfile::tempdir().unwrap();
        let found = disk("cache disk", &temp.path().join("not/made/yet"), false);
        assert!(matches!(found.state, State::Ok | State::Warning), "{found:?}");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "nothing is left behind");
        assert_eq!(disk("state disk", Path::new("/proc"), true).state, State::Failed);
        assert!(is_memory(Path::new("/dev/shm")));
    }

    #[test]
    fn paths_of_mountinfo() {
        assert_eq!(unescape("/a\\040b\\134c"), Path::new("/a b\\c"));
        assert_eq!(unescape("/a\\04"), Path::new("/a\\04"));
    }
}
