//! Mount processes that die at every stage of a commit, and at any moment: what was acknowledged is there afterwards, on this
//! machine and on any other.

use crate::harness::{Machine, is_mounted, noise, run, wait_until};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// What a writer was promised: file number and version, in order.
#[derive(Clone, Default)]
struct Promised(Arc<AtomicU64>);

const FILES: u64 = 12;

/// Lengths on both sides of every boundary: inline, one chunk, several, several packs.
fn length(version: u64) -> usize {
    [100, 2_049, 65_536, 70_000, 300_000, 1_500_000][(version % 6) as usize]
}

/// Replaces files one after the other the way editors do, from `version` on, until the mount dies or `stop` is set: writes
/// beside, fsyncs, renames over, fsyncs the directory. Counts a version when everything has returned.
fn replace_files(dir: &Path, from: u64, promised: &Promised, stop: &AtomicBool) {
    for version in from.. {
        if stop.load(SeqCst) {
            return;
        }
        let target = dir.join(format!("f{}", version % FILES));
        let temporary = dir.join(format!(".f{}.new", version % FILES));
        let replaced = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(&version.to_le_bytes())?;
            file.write_all(&noise(version, length(version)))?;
            file.sync_data()?;
            drop(file);
            fs::rename(&temporary, &target)?;
            File::open(dir)?.sync_all()
        })();
        if replaced.is_err() {
            return;
        }
        promised.0.store(version, SeqCst);
    }
}

/// Checks that every file is whole and at least as new as promised; the newest version that is there.
fn assert_whole(dir: &Path, promised: u64, when: &str) -> u64 {
    let mut newest = 0;
    for n in 0..FILES {
        // The last version of file n that was promised.
        let least = (1..=promised).rev().find(|version| version % FILES == n);
        let found = match fs::read(dir.join(format!("f{n}"))) {
            Ok(found) => found,
            Err(error) => {
                assert!(least.is_none(), "{when}: f{n} of version {least:?} is gone: {error}");
                continue;
            }
        };
        assert!(found.len() >= 8, "{when}: f{n} has {} bytes: it was never that short", found.len());
        let version = u64::from_le_bytes(found[..8].try_into().unwrap());
        assert!(Some(version) >= least, "{when}: f{n} is of version {version}, {least:?} was promised");
        assert!(found[8..] == noise(version, length(version)), "{when}: f{n} of version {version} is not whole");
        newest = newest.max(version);
    }
    newest
}

/// Mounts a process that dies at `stage`, works until it is dead, and looks at what is left, here and elsewhere; the number
/// of versions that were promised so far.
fn die_at(here: &mut Machine, mount: &Path, stage: &str, from: u64) -> u64 {
    let mut command = here.command(&["mount", mount.to_str().unwrap(), "-o", "sync_interval=1"]);
    command.env("WALRUSFS_DIE_AT", stage);
    assert!(run(command, Duration::from_secs(60)).status.success(), "{stage}");
    let pid = nix::unistd::Pid::from_raw(here.pid(mount));
    let (promised, stop) = (Promised(Arc::new(AtomicU64::new(from))), AtomicBool::new(false));
    let dir = mount.join("dir");
    std::thread::scope(|scope| {
        scope.spawn(|| replace_files(&dir, from + 1, &promised, &stop));
        wait_until(&format!("the process dies at {stage}"), Duration::from_secs(120), || {
            nix::sys::signal::kill(pid, None).is_err()
        });
        let _ = nix::mount::umount2(mount, nix::mount::MntFlags::MNT_DETACH);
        stop.store(true, SeqCst);
    });
    let promised = promised.0.load(SeqCst);
    here.mount_at(mount, &[]);
    let found = assert_whole(&dir, promised, &format!("after {stage}"));
    here.umount(mount);
    // Elsewhere, by the network alone.
    here.forget_state();
    here.mount_at(mount, &["--read-only"]);
    let certified = assert_whole(&dir, promised, &format!("after {stage}, certified"));
    assert_eq!(certified, found, "{stage}");
    here.umount(mount);
    found
}

fn drive() -> (Machine, PathBuf) {
    let mut here = Machine::new();
    let mount = here.mount();
    fs::create_dir(mount.join("dir")).unwrap();
    here.umount(&mount);
    (here, mount)
}

/// What has capacity and is no pack: nothing may be left of commits that were given up.
fn assert_no_leftovers(here: &Machine) {
    let report: serde_json::Value = {
        let said = here.ok(&["fsck", "default", "--json"]);
        let end = said.rfind('}').unwrap();
        serde_json::from_str(&said[..=end]).unwrap()
    };
    assert_eq!(report["findings"], serde_json::json!([]), "{report}");
}

#[test]
fn a_process_that_dies_at_any_stage_of_a_commit_loses_nothing() {
    let (mut here, mount) = drive();
    let stages = [
        "cut",
        "sealed",
        "registered",
        "uploading",
        "uploading:40",
        "confirmed",
        "promised",
        "sent:1",
        "sent:2",
        "sent:3",
        "committed",
        "finished",
    ];
    let mut version = 0;
    for stage in stages {
        let before = version;
        version = die_at(&mut here, &mount, stage, version);
        println!("{stage}: {} versions", version - before);
        assert!(version > before, "{stage}: nothing was done before it");
    }
    // The next mount sweeps what earlier lives registered; then the pool holds packs and nothing else.
    here.mount_at(&mount, &[]);
    fs::write(mount.join("end"), b"of the story").unwrap();
    here.umount(&mount);
    assert_no_leftovers(&here);
}

/// Kills at random moments. `WALRUSFS_KILLS` says how many; the long run does hundreds (tests/e2e/torture.sh).
#[test]
fn a_process_that_is_killed_at_any_moment_loses_nothing() {
    let kills = std::env::var("WALRUSFS_KILLS").map_or(12, |text| text.parse().unwrap());
    let (mut here, mount) = drive();
    let dir = mount.join("dir");
    let mut promised = Promised::default();
    let mut checked = 0;
    for life in 0..kills {
        here.mount_at(&mount, &["-o", "sync_interval=1"]);
        let found = assert_whole(&dir, promised.0.load(SeqCst), &format!("life {life}"));
        checked += found.min(FILES);
        promised = Promised(Arc::new(AtomicU64::new(found)));
        let stop = AtomicBool::new(false);
        // From nothing done yet to well inside the second commit.
        let after =
            Duration::from_millis(20 + noise(life, 2).iter().fold(0, |sum, byte| sum * 256 + u64::from(*byte)) % 3000);
        std::thread::scope(|scope| {
            scope.spawn(|| replace_files(&dir, found + 1, &promised, &stop));
            std::thread::sleep(after);
            here.kill(&mount);
            stop.store(true, SeqCst);
        });
    }
    here.mount_at(&mount, &[]);
    let last = assert_whole(&dir, promised.0.load(SeqCst), "at the end");
    here.umount(&mount);
    here.forget_state();
    here.mount_at(&mount, &[]);
    assert_eq!(assert_whole(&dir, promised.0.load(SeqCst), "elsewhere"), last);
    here.umount(&mount);
    assert!(!is_mounted(&mount));
    assert_no_leftovers(&here);
    println!("{kills} kills, {last} versions, {checked} files checked after kills");
}

/// A version of the large file: its number, then noise that belongs to it, in parts of 4 MiB.
fn large_parts(version: u64, bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.div_ceil(PART)).map(move |part| large_part(version, part, bytes))
}

/// Bytes of a part of the large file; the last may be shorter.
const PART: usize = 4 << 20;

fn large_part(version: u64, part: usize, bytes: usize) -> Vec<u8> {
    let mut content = noise(version * 1_000_000 + part as u64, PART.min(bytes - part * PART));
    content[..8].copy_from_slice(&version.to_le_bytes());
    content
}

/// The version of the large file, which must be whole.
fn large_version(path: &Path, bytes: usize, when: &str) -> u64 {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_eq!(file.metadata().unwrap().len(), bytes as u64, "{when}");
    let mut version = None;
    for part in 0..bytes.div_ceil(PART) {
        let mut found = vec![0; PART.min(bytes - part * PART)];
        file.read_exact(&mut found).unwrap_or_else(|error| panic!("{when}: part {part}: {error}"));
        let version = *version.get_or_insert(u64::from_le_bytes(found[..8].try_into().unwrap()));
        assert!(found == large_part(version, part, bytes), "{when}: part {part} is not of version {version}");
    }
    version.unwrap()
}

/// The promise of order: whoever replaces a file by writing beside it and renaming never leaves anybody with a part of it, even
/// when the machine is gone with all its local state. `WALRUSFS_LARGE` is the file's length in MiB (the long run: 1024).
#[test]
fn a_large_file_is_replaced_as_a_whole_or_not_at_all() {
    let bytes = std::env::var("WALRUSFS_LARGE").map_or(40, |text| text.parse().unwrap()) << 20;
    let (mut here, mount) = drive();
    let replace = |mount: &Path, version: u64| -> std::io::Result<()> {
        let mut file = File::create(mount.join("dir/.large.new"))?;
        for part in large_parts(version, bytes) {
            file.write_all(&part)?;
        }
        file.sync_all()?;
        fs::rename(mount.join("dir/.large.new"), mount.join("dir/large"))?;
        File::open(mount.join("dir"))?.sync_all()
    };
    let options = ["-o", "lease=steal,gc_delay=0,sync_interval=3600"];
    here.mount_at(&mount, &options);
    replace(&mount, 0).unwrap();
    here.umount(&mount);
    let mut seen = 0;
    let stages =
        ["cut", "sealed", "registered", "uploading:100", "confirmed", "promised", "sent:1", "committed", "finished"];
    for (version, stage) in (1..).zip(stages) {
        let mut command = here.command(&["mount", mount.to_str().unwrap(), options[0], options[1]]);
        command.env("WALRUSFS_DIE_AT", stage);
        assert!(run(command, Duration::from_secs(60)).status.success(), "{stage}");
        let pid = nix::unistd::Pid::from_raw(here.pid(&mount));
        // A file that is larger than a pack is committed in parts, and the process may die before the last byte was taken.
        let replaced = replace(&mount, version).is_ok();
        if replaced {
            let _ = here.run(&["sync", mount.to_str().unwrap()]);
        }
        wait_until(&format!("the process dies at {stage}"), Duration::from_secs(200), || {
            nix::sys::signal::kill(pid, None).is_err()
        });
        let _ = nix::mount::umount2(&mount, nix::mount::MntFlags::MNT_DETACH);
        here.forget_state();
        here.mount_at(&mount, &["--read-only"]);
        let found = large_version(&mount.join("dir/large"), bytes, stage);
        assert!(found == seen || found == version, "{stage}: version {found} after {seen} was replaced by {version}");
        println!("{stage}: {}", if found == version { "new" } else { "old" });
        // The commit that it died after may have been one of a part: then the part is there, under the name that it had.
        let begun = found == version || mount.join("dir/.large.new").exists();
        assert!(!(replaced && stage == "finished") || begun, "what was committed is there");
        seen = found;
        here.umount(&mount);
    }
}

/// Whoever unmounts leaves a drive that another machine can write to at once, without files that have no name.
#[test]
fn an_unmounted_drive_is_free_and_holds_nothing_without_a_name() {
    let (mut here, mount) = drive();
    here.mount_at(&mount, &["-o", "sync_interval=3600"]);
    let open: Vec<File> = (0..100)
        .map(|n| {
            let path = mount.join(format!("dir/goes-{n}"));
            let file = File::create(&path).unwrap();
            fs::remove_file(&path).unwrap();
            (&file).write_all(&noise(n, 100_000)).unwrap();
            file.sync_all().unwrap();
            file
        })
        .collect();
    // A commit with these files in it, then a process that never hears that they were closed.
    here.sync(&mount);
    here.kill(&mount);
    drop(open);
    for _ in 0..3 {
        here.mount_at(&mount, &[]);
        here.umount(&mount);
        let info = here.json(&["drive", "info", "default", "--json"]);
        assert_eq!(info["writer_until"], serde_json::Value::Null, "the lease was kept: {}", here.logs());
        let said = here.ok(&["fsck", "default", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&said[..=said.rfind('}').unwrap()]).unwrap();
        assert_eq!(report["inodes"], 2, "{report}");
    }
    let mut there = here.elsewhere();
    let other = there.mount();
    fs::write(other.join("from elsewhere"), b"at once").unwrap();
    there.umount(&other);
}
