//! What stays on this machine: cached, fetched and pinned content, with the network there and without it.

use crate::harness::{Machine, noise, wait_until};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// Buffers so small that what was read is soon in no memory any more: the disk must have it.
const SMALL: &str = "memory=64M,cache_size=48M";

fn fill(dir: &Path, seed: u64, files: u64, len: usize) {
    fs::create_dir(dir).unwrap();
    (0..files).for_each(|n| fs::write(dir.join(format!("f{n}")), noise(seed + n, len)).unwrap());
}

/// Reads a file past the kernel's page cache.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    let mut all = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut all, 0)?;
    Ok(all)
}

fn whole(dir: &Path, seed: u64, files: u64, len: usize) -> bool {
    (0..files).all(|n| read(&dir.join(format!("f{n}"))).is_ok_and(|found| found == noise(seed + n, len)))
}

/// Deletes the cache of a mount that is ending.
fn forget_cache(machine: &Machine) {
    let dir = machine.home().join("cache");
    wait_until("the cache is gone", Duration::from_secs(10), || fs::remove_dir_all(&dir).is_ok() || !dir.exists());
}

fn pins(machine: &Machine, mount: &Path) -> Vec<Value> {
    machine.json(&["pin", "--list", "--json", mount.to_str().unwrap()]).as_array().unwrap().clone()
}

/// S-OFFLINE-1, S-OFFLINE-2, S-PIN-1
#[test]
fn pinned_and_prefetched_folders_are_read_without_the_network_and_the_rest_fails_in_time() {
    // Several more than the cache has room for, whichever parts of their pack it keeps.
    const FILMS: u64 = 14;
    let mut here = Machine::new();
    let mount = here.mount_with(&["-o", SMALL]);
    let path = |name: &str| mount.join(name).to_str().unwrap().to_owned();
    fill(&mount.join("music"), 100, 8, MIB);
    fill(&mount.join("films"), 200, FILMS, 4 * MIB);
    here.umount(&mount);
    forget_cache(&here);
    here.mount_at(&mount, &["-o", &format!("{SMALL},timeout=5")]);

    let pinned = here.json(&["pin", &path("music"), "--json"]);
    assert_eq!((pinned["files"].as_u64(), &pinned["bytes"]), (Some(8), &pinned["local_bytes"]), "{pinned}");
    assert!(pinned["bytes"].as_u64().unwrap() >= 8 * MIB as u64);
    let refused = here.run(&["pin", &path("films")]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("films") && said.contains("cache_size"), "{said}");
    assert_eq!(pins(&here, &mount).len(), 1, "what is refused is not pinned");
    let one = here.json(&["prefetch", &path("films/f3"), "--json"]);
    assert_eq!(one["bytes"], one["local_bytes"], "{one}");
    // More than the cache holds passes by.
    assert!(whole(&mount.join("films"), 200, FILMS, 4 * MIB));
    let status = here.status(&mount);
    let reads = &status["reads"];
    assert!(status["cache_bytes"].as_u64().unwrap() <= 48 * MIB as u64, "{status}");
    assert!(
        reads["fetched_ahead"].as_u64().unwrap() > 0 && reads["cache"]["evictions"].as_u64().unwrap() > 0,
        "{reads}"
    );
    assert!(reads["cache"]["pinned_bytes"].as_u64().unwrap() >= 8 * MIB as u64, "{reads}");

    // The list outlives the mount.
    here.umount(&mount);
    here.mount_at(&mount, &["-o", &format!("{SMALL},timeout=5")]);
    wait_until("the pins are known again", Duration::from_secs(20), || {
        let list = pins(&here, &mount);
        list.len() == 1 && list[0]["path"] == "music" && list[0]["bytes"] == list[0]["local_bytes"]
    });
    let names = |dir: &str| fs::read_dir(mount.join(dir)).unwrap().count() as u64;
    assert_eq!((names("music"), names("films")), (8, FILMS));

    here.ok(&["devnet", "down"]);
    let started = Instant::now();
    assert!(whole(&mount.join("music"), 100, 8, MIB), "pinned: read without the network");
    assert_eq!((names("music"), names("films")), (8, FILMS));
    assert!(started.elapsed() < Duration::from_secs(5), "at once, not after {:?}", started.elapsed());
    let mut failed = 0;
    for n in 0..FILMS {
        let started = Instant::now();
        if let Err(error) = read(&mount.join(format!("films/f{n}"))) {
            assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
            failed += 1;
        }
        assert!(started.elapsed() < Duration::from_secs(7), "file {n}: {:?}", started.elapsed());
    }
    assert!(failed > 0, "more was cached than fits the cache");

    // By itself, when the network is back.
    here.ok(&["devnet", "up"]);
    wait_until("films are read again", Duration::from_secs(90), || whole(&mount.join("films"), 200, FILMS, 4 * MIB));
    // What comes into the folder is pinned too, and what is unpinned may go.
    fill(&mount.join("music/more"), 300, 2, MIB);
    here.sync(&mount);
    wait_until("new content is pinned", Duration::from_secs(60), || {
        let list = pins(&here, &mount);
        list[0]["files"] == 10 && list[0]["bytes"] == list[0]["local_bytes"]
    });
    here.ok(&["unpin", &path("music")]);
    assert!(pins(&here, &mount).is_empty());
    assert_eq!(here.run(&["unpin", &path("music")]).status.code(), Some(11));
}

/// S-OFFLINE-2
#[test]
fn a_network_that_swallows_everything_costs_no_more_than_the_timeout() {
    let mut here = Machine::with_network(&["--nodes", "4", "--shards", "7"]);
    let mount = here.mount();
    fill(&mount.join("films"), 200, 2, 4 * MIB);
    here.umount(&mount);
    forget_cache(&here);
    here.mount_at(&mount, &["-o", "timeout=4"]);
    assert_eq!(fs::read_dir(mount.join("films")).unwrap().count(), 2);
    let length = fs::metadata(mount.join("films/f1")).unwrap().len();
    assert_eq!(length, 4 * MIB as u64);
    (0..4).for_each(|node| here.node(node, &["hang"]));
    let started = Instant::now();
    let error = read(&mount.join("films/f1")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    // The kernel asks once more for the page that it read ahead and did not get.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(fs::read_dir(mount.join("films")).unwrap().count(), 2, "names do not wait");
    (0..4).for_each(|node| here.node(node, &["honest"]));
    wait_until("it is read again", Duration::from_secs(90), || {
        read(&mount.join("films/f1")).is_ok_and(|found| found == noise(201, 4 * MIB))
    });
}

/// S-OFFLINE-3
#[test]
fn a_drive_that_was_mounted_before_mounts_offline_and_catches_up() {
    let mut here = Machine::with_network(&["--nodes", "4", "--shards", "7"]);
    let mount = here.mount();
    fill(&mount.join("films"), 200, 3, MIB);
    here.umount(&mount);
    let mut there = here.elsewhere();
    let point = there.mount();
    assert!(whole(&point.join("films"), 200, 3, MIB));
    fs::write(point.join("note"), noise(1, 5000)).unwrap();
    there.umount(&point);

    here.ok(&["devnet", "down"]);
    let started = Instant::now();
    there.mount_at(&point, &[]);
    assert!(started.elapsed() < Duration::from_secs(20), "mounted after {:?}", started.elapsed());
    assert!(whole(&point.join("films"), 200, 3, MIB), "cached content");
    assert_eq!(fs::read(point.join("note")).unwrap(), noise(1, 5000), "what was written here last");
    fs::write(point.join("films/written offline"), noise(2, 100_000)).unwrap();
    File::open(point.join("films/written offline")).unwrap().sync_all().unwrap();

    here.ok(&["devnet", "up"]);
    there.ok(&["sync", point.to_str().unwrap(), "--timeout", "100"]);
    there.umount(&point);
    here.mount_at(&mount, &["--read-only"]);
    assert_eq!(fs::read(mount.join("films/written offline")).unwrap(), noise(2, 100_000));
}
