//! Edges that need more than one mount: crashes, cold caches, very wide directories.

use crate::harness::{Machine, noise, run, tool, wait_until};
use crate::{LIKE_A_DISK, mounted};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn inodes(point: &Path) -> u64 {
    let found = nix::sys::statvfs::statvfs(point).unwrap();
    found.files() - found.files_free()
}

/// S-UNLINK-2, S-UNLINK-3: what is open lives, what was open at a crash goes.
#[test]
fn a_file_without_names_is_gone_after_a_crash() {
    let (mut machine, point) = mounted();
    fs::write(point.join("stays"), "stays").unwrap();
    File::open(point.join("stays")).unwrap().sync_all().unwrap();
    let before = inodes(&point);
    let open: Vec<File> = (0..20)
        .map(|number| {
            let path = point.join(format!("goes-{number}"));
            let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
            file.write_all_at(&noise(number, 300_000), 0).unwrap();
            if number % 2 == 0 {
                file.sync_all().unwrap();
            }
            fs::remove_file(&path).unwrap();
            file.write_all_at(b"without a name", 1_000_000).unwrap();
            file.sync_all().unwrap();
            file
        })
        .collect();
    assert_eq!(inodes(&point), before + 20);
    for (number, file) in open.iter().enumerate() {
        let mut back = vec![0; 300_000];
        file.read_exact_at(&mut back, 0).unwrap();
        assert!(back == noise(number as u64, 300_000) && file.metadata().unwrap().nlink() == 0);
    }
    machine.kill(&point);
    drop(open);
    machine.mount_at(&point, &LIKE_A_DISK);
    assert_eq!(fs::read_dir(&point).unwrap().count(), 1);
    wait_until("the crash's files are removed", Duration::from_secs(20), || inodes(&point) == before);
    assert_eq!(fs::read(point.join("stays")).unwrap(), b"stays");
    machine.umount(&point);
}

/// S-COPY-2: a copy within the drive moves no data, also of what is not on this machine.
#[test]
fn a_copy_of_a_cold_file_fetches_and_stores_nothing() {
    const LENGTH: usize = (24 << 20) + 4321;
    let (mut machine, point) = mounted();
    let content = noise(9, LENGTH);
    fs::write(point.join("source"), &content).unwrap();
    machine.umount(&point);
    machine.forget_state();
    machine.mount_at(&point, &LIKE_A_DISK);
    let cached = machine.status(&point)["cache_bytes"].as_u64().unwrap();
    let source = point.join("source");
    tool("cp", &["--reflink=auto", source.to_str().unwrap(), point.join("copy").to_str().unwrap()]);
    let status = machine.status(&point);
    assert_eq!(status["dirty_bytes"].as_u64().unwrap() + status["pending_bytes"].as_u64().unwrap(), 0, "{status}");
    let fetched = status["cache_bytes"].as_u64().unwrap() - cached;
    assert!(fetched < 1 << 20, "the copy fetched {fetched} bytes");
    machine.sync(&point);
    // The copies change apart, and the packs stay while one of them refers to them.
    File::options().write(true).open(&source).unwrap().write_all_at(b"changed", 5_000_000).unwrap();
    let mut changed = content.clone();
    changed[5_000_000..][..7].copy_from_slice(b"changed");
    assert!(fs::read(&source).unwrap() == changed && fs::read(point.join("copy")).unwrap() == content);
    fs::remove_file(&source).unwrap();
    machine.umount(&point);
    machine.forget_state();
    machine.mount_at(&point, &LIKE_A_DISK);
    assert!(fs::read(point.join("copy")).unwrap() == content, "after the source is gone");
    machine.umount(&point);
}

/// Who lists a directory and looks at each file afterwards, as find, ls, du and rsync do, asks for many files at a time.
#[test]
fn attributes_come_with_the_names() {
    const FILES: usize = 2000;
    let (mut machine, point) = mounted();
    for number in 0..FILES {
        fs::write(point.join(format!("f{number}")), number.to_string()).unwrap();
    }
    machine.umount(&point);
    let point = machine.mount_with(&LIKE_A_DISK);
    let pid = machine.status(&point)["pid"].as_u64().unwrap();
    // Each request of the kernel is one system call that reads; a few more fetch and read slivers.
    let reads = || -> usize {
        let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("syscr: "));
        line.unwrap().parse().unwrap()
    };
    let before = reads();
    let names: Vec<_> = fs::read_dir(&point).unwrap().map(|entry| entry.unwrap().path()).collect();
    let bytes: u64 = names.iter().map(|path| fs::symlink_metadata(path).unwrap().len()).sum();
    let asked = reads() - before;
    assert_eq!((names.len(), bytes), (FILES, (0..FILES).map(|number| number.to_string().len() as u64).sum()));
    assert!(asked < FILES / 4, "{asked} requests for {FILES} files");
    machine.umount(&point);
}

/// S-READDIR-1, S-READDIR-2: makes `entries` files, lists them while others come and go, and again after a remount.
fn wide(entries: usize) {
    let (mut machine, point) = mounted();
    let folder = point.join("wide");
    fs::create_dir(&folder).unwrap();
    for number in 0..entries {
        File::create(folder.join(format!("stays-{number:06}"))).unwrap();
    }
    let stays = |folder: &Path| -> (usize, usize) {
        let names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let kept = names.iter().filter(|name| name.as_encoded_bytes().starts_with(b"stays")).count();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "an entry was listed twice");
        (kept, names.len())
    };
    let over = AtomicBool::new(false);
    let turns = std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            let mut turns = 0_u32;
            while !over.load(Ordering::SeqCst) {
                let path = folder.join(format!("comes-{turns}"));
                File::create(&path).unwrap();
                if turns.is_multiple_of(3) {
                    fs::rename(&path, folder.join(format!("moved-{turns}"))).unwrap();
                } else {
                    fs::remove_file(&path).unwrap();
                }
                turns += 1;
            }
            turns
        });
        let listed: Vec<_> = (0..5).map(|_| stays(&folder).0).collect();
        over.store(true, Ordering::SeqCst);
        assert_eq!(listed, [entries; 5], "an entry that was there all the time was missed");
        churn.join().unwrap()
    });
    assert!(turns > 5, "nothing came and went");
    let before = stays(&folder);
    machine.umount(&point);
    machine.forget_state();
    machine.mount_at(&point, &LIKE_A_DISK);
    assert_eq!(stays(&folder), before, "after a remount without local state");
    tool("rm", &["-r", folder.to_str().unwrap()]);
    machine.umount(&point);
}

#[test]
fn a_wide_directory() {
    wide(8_000);
}

#[test]
#[ignore = "long: tests/posix/long.sh"]
fn a_directory_of_100_000() {
    wide(100_000);
}

/// Several mounts of one drive's process come and go while a file is written: what was acknowledged is there.
#[test]
#[ignore = "long: tests/posix/long.sh"]
fn remounts_between_writes() {
    let (mut machine, point) = mounted();
    let mut expected = Vec::new();
    for round in 0..20_u64 {
        let mut file = File::options().create(true).append(true).open(point.join("grows")).unwrap();
        let part = noise(round, 70_000 + round as usize * 1_001);
        file.write_all(&part).unwrap();
        expected.extend_from_slice(&part);
        file.sync_all().unwrap();
        drop(file);
        if round % 2 == 0 {
            machine.kill(&point);
        } else {
            machine.umount(&point);
        }
        machine.mount_at(&point, &LIKE_A_DISK);
        assert!(fs::read(point.join("grows")).unwrap() == expected, "round {round}");
    }
    machine.umount(&point);
}

/// A drive is made read-only under the programs that use it, and writable again; `mount.walrusfs` is what mount(8) calls.
#[test]
fn a_mount_is_made_read_only_and_back() {
    let (mut machine, point) = mounted();
    let remount = |machine: &Machine, options: &str| {
        let mut command = machine.command(&["walrus:default", point.to_str().unwrap(), "-o", options]);
        std::os::unix::process::CommandExt::arg0(&mut command, "mount.walrusfs");
        let output = run(command, Duration::from_secs(60));
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let held = File::create(point.join("file")).unwrap();
    held.write_all_at(b"content", 0).unwrap();
    assert_eq!(remount(&machine, "rw,remount,ro").0, 32, "a file is open for writing");
    drop(held);
    assert_eq!(
        remount(&machine, "rw,user_id=0,group_id=0,default_permissions,allow_other,remount,ro"),
        (0, String::new())
    );
    assert_eq!(File::create(point.join("more")).unwrap_err().raw_os_error(), Some(libc::EROFS));
    assert_eq!(fs::read(point.join("file")).unwrap(), b"content");
    let flags = nix::sys::statvfs::statvfs(&point).unwrap().flags();
    assert!(!flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID), "what else it was mounted with stays");
    machine.sync(&point);
    assert_eq!(remount(&machine, "remount,rw"), (0, String::new()));
    File::create(point.join("more")).unwrap();
    machine.umount(&point);

    machine.mount_at(&point, &["-o", "ro"]);
    let (code, said) = remount(&machine, "remount,rw");
    assert!(code == 32 && said.contains("unmount it and mount it again"), "{code}: {said}");
    assert_eq!(File::create(point.join("even more")).unwrap_err().raw_os_error(), Some(libc::EROFS));
    machine.umount(&point);
    let (code, said) = remount(&machine, "remount,ro");
    assert!(code == 32 && said.contains("no walrusfs drive is mounted"), "{code}: {said}");
}
