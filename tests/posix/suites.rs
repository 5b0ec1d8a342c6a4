//! The crates pjdfstest and fsx, and fio.

use crate::harness::{Machine, files, run, tool};
use crate::{LIKE_A_DISK, installed, mounted, script};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Cases of pjdfstest 0.2.2, passed and skipped: one needs a limit on links, which FUSE has no way to name, and 13 remount.
const PJDFSTEST: (usize, usize) = (384, 14);
/// Those that remount the filesystem read-only. They are run by themselves, because other cases leave files open in the
/// process of the suite, and the kernel then refuses to remount.
const REMOUNTING: (usize, usize) = (13, 0);

/// Runs the whole suite; none may fail.
fn pjdfstest(machine: &Machine, point: &Path) {
    assert_eq!(pjdfstest_run(machine, point, None), PJDFSTEST);
    assert_eq!(pjdfstest_run(machine, point, Some("erofs")), REMOUNTING);
    assert_eq!(fs::read_dir(point).unwrap().count(), 0, "it leaves nothing behind");
}

/// Runs the cases whose name holds `remounting`, which may remount, or all others; (passed, skipped).
fn pjdfstest_run(machine: &Machine, point: &Path, remounting: Option<&str>) -> (usize, usize) {
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let group = tool("id", &["-gn", "nobody"]);
    let settings = machine.path("pjdfstest.toml");
    let features = ["posix_fallocate", "rename_ctime", "stat_st_birthtime", "utime_now", "utimensat"];
    let features: String = features.iter().map(|feature| format!("{feature} = {{}}\n")).collect();
    fs::write(
        &settings,
        format!(
            "[features]\n{features}[settings]\nnaptime = 0.02\nallow_remount = {}\nexpected_failures = []\n\
             [dummy_auth]\nentries = [[\"nobody\", \"{}\"], [\"daemon\", \"daemon\"]]\n",
            remounting.is_some(),
            group.trim()
        ),
    )
    .unwrap();
    let mut command = Command::new(installed("pjdfstest"));
    command.arg("-c").arg(&settings).arg("-p").arg(point).arg("-s").arg(other.path()).args(remounting);
    command.env("PATH", path_to_the_helper(machine)).env("WALRUSFS_HOME", machine.home());
    let output = run(command, Duration::from_secs(240));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary = said.lines().rfind(|line| line.starts_with("Summary:"));
    let summary = summary.unwrap_or_else(|| panic!("pjdfstest did not end: {said}\n{}", machine.logs()));
    let count = |what: &str| -> usize {
        let before = summary.split(what).next().unwrap();
        before.trim_end().rsplit([' ', ',']).next().unwrap().parse().unwrap()
    };
    let failed: Vec<_> = said.lines().filter(|line| line.contains("FAILED")).collect();
    assert_eq!(count("failed"), 0, "{failed:#?}");
    (count("passed"), count("skipped"))
}

/// The suite remounts with `mount -o remount,ro DIR`. mount(8) calls our helper when it is installed; here one named `mount`
/// lies first on the path, and turns those arguments into the ones that mount(8) passes on.
fn path_to_the_helper(machine: &Machine) -> std::ffi::OsString {
    let bin = machine.path("bin");
    fs::create_dir_all(&bin).unwrap();
    let helper = bin.join("mount");
    let program = env!("CARGO_BIN_EXE_walrusfs");
    let text = format!(
        "#!/bin/bash\ncase \"$2\" in\n\
         remount,*) exec -a mount.walrusfs '{program}' walrus:default \"$3\" -o \"allow_other,uhelper=walrusfs,$2\";;\n\
         *) PATH=${{PATH#*:}} exec mount \"$@\";;\nesac\n"
    );
    fs::write(&helper, text).unwrap();
    crate::open_to_all(&helper);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap()
}

#[test]
fn posix_by_pjdfstest() {
    let (machine, point) = mounted();
    pjdfstest(&machine, &point);
    machine.umount(&point);
}

#[test]
#[ignore = "long: tests/posix/long.sh"]
fn posix_by_pjdfstest_in_rounds() {
    // Some cases draw modes by chance. Between the rounds everything is certified and mounted again.
    let (mut machine, point) = mounted();
    for _ in 0..3 {
        pjdfstest(&machine, &point);
        machine.umount(&point);
        machine.mount_at(&point, &LIKE_A_DISK);
    }
}

/// One way of mistreating a file.
struct Profile {
    name: &'static str,
    /// Longest file, bytes.
    length: u64,
    /// Longest operation, bytes.
    operation: u64,
    /// One in so many of the operations that a run is asked for: those on large files take longer.
    fewer: u32,
    weights: &'static str,
}

/// Reads, writes and truncates with everything that a program may do in between.
const USUAL: &str =
    "close_open = 2\nread = 10\nwrite = 10\ntruncate = 5\nfsync = 1\nfdatasync = 1\nsendfile = 2\nposix_fadvise = 2\n";
const MAPPED: &str = "mapread = 10\nmapwrite = 10\ninvalidate = 1\n";

const PROFILES: [Profile; 6] = [
    Profile {
        name: "holes",
        length: 1 << 18,
        operation: 1 << 16,
        fewer: 1,
        weights: "posix_fallocate = 5\npunch_hole = 8\n",
    },
    Profile {
        name: "copies",
        length: 1 << 20,
        operation: 1 << 18,
        fewer: 2,
        weights: "copy_file_range = 12\npunch_hole = 2\n",
    },
    Profile {
        name: "mappings",
        length: 1 << 20,
        operation: 1 << 16,
        fewer: 1,
        weights: "mapread = 20\nmapwrite = 20\ninvalidate = 4\n",
    },
    Profile {
        name: "large",
        length: 64 << 20,
        operation: 2 << 20,
        fewer: 40,
        weights: "copy_file_range = 3\npunch_hole = 3\n",
    },
    Profile {
        name: "small",
        length: 5000,
        operation: 3000,
        fewer: 1,
        weights: "punch_hole = 3\ncopy_file_range = 3\n",
    },
    Profile {
        name: "synced",
        length: 1 << 17,
        operation: 1 << 14,
        fewer: 10,
        weights: "fsync = 15\nfdatasync = 10\nclose_open = 10\n",
    },
];

/// Runs fsx on `file`, which it leaves behind.
fn fsx(machine: &Machine, profile: &Profile, seed: u32, operations: u32, file: &Path) {
    let folder = machine.path(&format!("fsx-{}-{seed}", profile.name));
    fs::create_dir_all(&folder).unwrap();
    let settings = folder.join("fsx.toml");
    // A weight that the profile gives stands; the usual ones fill up.
    let named = |line: &str| profile.weights.lines().any(|own| own.split('=').next() == line.split('=').next());
    let usual = [USUAL, MAPPED].concat();
    let usual: Vec<&str> = usual.lines().filter(|line| !named(line)).collect();
    fs::write(
        &settings,
        format!(
            "flen = {}\n[opsize]\nmin = 0\nmax = {}\n[weights]\n{}\n{}",
            profile.length,
            profile.operation,
            usual.join("\n"),
            profile.weights
        ),
    )
    .unwrap();
    let mut command = Command::new(installed("fsx"));
    let operations = (operations / profile.fewer).max(10).to_string();
    command
        .arg("-f")
        .arg(&settings)
        .args(["-N", &operations, "-S", &seed.to_string()])
        .arg("-P")
        .arg(&folder)
        .arg(file);
    let output = run(command, Duration::from_secs(3600));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said[said.len().saturating_sub(3000)..]).into_owned();
    assert!(
        output.status.success(),
        "fsx {} with seed {seed}: {}\n{said}\n{}",
        profile.name,
        output.status,
        machine.logs()
    );
}

/// Every profile with every seed, while caches are dropped and the drive is synced; then all files are read again after a
/// remount without caches.
fn exercise(seeds: &[u32], operations: u32, drop_caches: bool) {
    let (mut machine, point) = mounted();
    for seed in seeds {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (machine, point, over) = (&machine, &point, &over);
            let disturber = scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    machine.sync(point);
                    if drop_caches {
                        fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            let runs: Vec<_> = PROFILES
                .iter()
                .map(|profile| {
                    let file = point.join(format!("{}-{seed}", profile.name));
                    scope.spawn(move || fsx(machine, profile, *seed, operations, &file))
                })
                .collect();
            let failed = runs.into_iter().filter_map(|run| run.join().err()).next();
            over.store(true, Ordering::SeqCst);
            disturber.join().unwrap();
            if let Some(failed) = failed {
                std::panic::resume_unwind(failed);
            }
        });
        let content = |point: &Path| -> Vec<(PathBuf, blake3::Hash)> {
            let mut found = files(point);
            found.sort();
            found.into_iter().map(|file| (file.clone(), blake3::hash(&fs::read(file).unwrap()))).collect()
        };
        let before = content(&point);
        assert!(before.len() >= PROFILES.len(), "fsx left nothing behind: {before:?}");
        machine.umount(&point);
        machine.forget_state();
        machine.mount_at(&point, &LIKE_A_DISK);
        assert_eq!(content(&point), before, "after a remount without local state");
    }
}

#[test]
fn data_by_fsx() {
    exercise(&[1], 2500, false);
}

#[test]
#[ignore = "long: tests/posix/long.sh"]
fn data_by_fsx_a_million_times() {
    let operations: u32 = PROFILES.iter().map(|profile| 100_000 / profile.fewer).sum();
    assert!(operations * 3 > 1_000_000, "{operations}");
    let drawn = std::process::id();
    println!("the drawn seed is {drawn}");
    exercise(&[7, 1_234_567, drawn], 100_000, true);
}

/// Sequential and random, buffered, direct and mapped, several jobs each; everything written is read back and verified,
/// and once more after a remount.
fn fio(size: &str, point: &Path, verify_only: bool) {
    let jobs = format!(
        "[global]\ndirectory=$FOLDER\nsize={size}\nverify=crc32c\nverify_fatal=1\nnumjobs=3\ngroup_reporting\nstonewall\n\
         [sequential-buffered]\nrw=write\nbs=128k\n[sequential-direct]\nrw=write\nbs=256k\ndirect=1\n\
         [random-buffered]\nrw=randwrite\nbsrange=512-64k\nfsync=64\n\
         [random-direct]\nrw=randwrite\nbs=4k\ndirect=1\nioengine=libaio\niodepth=8\n\
         [mapped]\nrw=randwrite\nbs=4k\nioengine=mmap\n"
    );
    let folder = point.join("fio");
    fs::create_dir_all(&folder).unwrap();
    let only = if verify_only { "--verify_only" } else { "" };
    let state = tempfile::tempdir().unwrap();
    script(
        &format!("cd \"$STATE\"; fio {only} --output-format=terse - <<JOBS\n{jobs}\nJOBS"),
        &[("FOLDER", folder.as_os_str()), ("STATE", state.path().as_os_str())],
        Duration::from_secs(900),
    );
}

#[test]
#[ignore = "long: tests/posix/long.sh"]
fn data_by_fio() {
    let (mut machine, point) = mounted();
    fio("64m", &point, false);
    machine.umount(&point);
    machine.forget_state();
    machine.mount_at(&point, &LIKE_A_DISK);
    fio("64m", &point, true);
    machine.umount(&point);
}
