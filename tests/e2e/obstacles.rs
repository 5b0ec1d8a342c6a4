//! What stands in the way of writing: a full pool, an empty wallet, storage that has ended, a full disk, a network that is gone.
//! Writes stop with the errno of docs/errors.md, reads go on, `status` names the cause and what mends it, and everything goes
//! on by itself when the cause is gone.

use crate::harness::{Machine, noise, run, tool, wait_until};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use sui_sdk_types::Argument;
use walrus_client::executor::Request;
use walrus_client::tx::Tx;
use walrusfs::cli::{home::Home, session};

const MIB: usize = 1 << 20;

/// Writes and fsyncs.
fn store(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Writes into the kernel's cache and closes, without fsync.
fn write_and_close(mut file: File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)?;
    Ok(nix::unistd::close(OwnedFd::from(file))?)
}

fn problem(machine: &Machine, mount: &Path) -> Option<String> {
    machine.status(mount)["problem"].as_str().map(str::to_owned)
}

fn wait_for_problem(machine: &Machine, mount: &Path, words: &[&str]) {
    wait_until(&format!("status names the problem ({words:?})"), Duration::from_secs(60), || {
        problem(machine, mount).is_some_and(|said| words.iter().all(|word| said.contains(word)))
    });
}

fn wait_for_peace(machine: &Machine, mount: &Path) {
    wait_until("the problem is gone", Duration::from_secs(90), || problem(machine, mount).is_none());
}

/// A machine with a small drive `tiny`, and where it is mounted.
fn tiny(capacity: &str, options: &str) -> (Machine, PathBuf) {
    let mut here = Machine::with_network(&[]);
    here.ok(&["wallet", "fund"]);
    here.ok(&["drive", "create", "tiny", "--capacity", capacity, "--yes"]);
    let mount = here.mount_with(&["tiny", "-o", options]);
    (here, mount)
}

/// S-FULL-3, S-FULL-6. Every second file of every pack is removed: without compaction no pack would ever become free.
#[test]
fn a_full_pool_gives_back_what_is_removed_ten_times() {
    let (here, mount) = tiny("384M", "gc_delay=0,pack_size=4M,sync_interval=1");
    let pool = || here.json(&["drive", "info", "tiny", "--json"]);
    let bought = pool()["capacity_bytes"].clone();
    let mut kept: Vec<(PathBuf, u64)> = Vec::new();
    let mut least = u64::MAX;
    let mut early = Some(File::create(mount.join("early")).unwrap());
    for round in 0..10_u64 {
        let (mut written, mut full) = (Vec::new(), None);
        for n in 0..2000_u64 {
            let (path, seed) = (mount.join(format!("r{round}-{n}")), round * 10_000 + n);
            match store(&path, &noise(seed, MIB)) {
                Ok(()) => written.push((path, seed)),
                Err(error) => {
                    let _ = fs::remove_file(&path);
                    full = Some(error);
                    break;
                }
            }
        }
        let full = full.expect("the pool never filled up");
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC), "round {round}: {full}");
        if let Some(early) = early.take() {
            let refused = write_and_close(early, &noise(1, 2 * MIB)).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::ENOSPC), "{refused}");
        }
        println!("round {round}: {} MiB more, {} MiB in all", written.len(), kept.len() + written.len());
        least = least.min(written.len() as u64);
        // What fits twice as large a disk goes on being read.
        for (path, seed) in kept.iter().chain(&written).step_by(5) {
            assert!(fs::read(path).unwrap() == noise(*seed, MIB), "{}", path.display());
        }
        kept.append(&mut written);
        let mut nth = 0;
        kept.retain(|(path, _)| {
            nth += 1;
            let goes = nth % 2 == 0;
            if goes {
                fs::remove_file(path).unwrap();
            }
            !goes
        });
        here.sync(&mount);
        let wanted = (kept.len() as u64 / 2).max(4) * MIB as u64;
        let free = || {
            let status = here.status(&mount);
            status["capacity_bytes"].as_u64().unwrap().saturating_sub(status["used_bytes"].as_u64().unwrap())
        };
        wait_until(&format!("round {round}: space comes back"), Duration::from_secs(120), || free() >= wanted);
    }
    assert!(least >= 8, "a round could write {least} MiB only");
    assert_eq!(pool()["capacity_bytes"], bought, "capacity was added");
    here.umount(&mount);
    let said = here.ok(&["fsck", "tiny"]);
    assert!(said.contains("nothing is wrong"), "{said}");
}

#[test]
fn an_empty_wallet_stops_commits_only() {
    let (mut here, mount) = tiny("2G", "sync_interval=1,gc_delay=0");
    store(&mount.join("before"), &noise(1, MIB)).unwrap();
    here.sync(&mount);
    spend_all_wal(&here);
    // Into the journal it goes on.
    let mut written = 0;
    wait_until("the wallet has too little", Duration::from_secs(100), || {
        store(&mount.join(format!("w{written}")), &noise(written, 8 * MIB)).unwrap();
        written += 1;
        std::thread::sleep(Duration::from_secs(2));
        problem(&here, &mount).is_some()
    });
    wait_for_problem(&here, &mount, &["WAL"]);
    let synced = run(here.command(&["sync", mount.to_str().unwrap()]), Duration::from_secs(60));
    assert_eq!(synced.status.code(), Some(5), "{}", String::from_utf8_lossy(&synced.stderr));
    assert!(fs::read(mount.join("before")).unwrap() == noise(1, MIB));
    for n in 0..written {
        assert!(fs::read(mount.join(format!("w{n}"))).unwrap() == noise(n, 8 * MIB));
    }
    here.ok(&["wallet", "fund"]);
    wait_for_peace(&here, &mount);
    here.umount(&mount);
    // An fsync that waits for the network says EDQUOT.
    spend_all_wal(&here);
    here.mount_at(&mount, &["tiny", "-o", "durability=network"]);
    let refused = (0..40).find_map(|n| store(&mount.join(format!("n{n}")), &noise(n, 8 * MIB)).err());
    assert_eq!(refused.and_then(|error| error.raw_os_error()), Some(libc::EDQUOT));
    here.ok(&["wallet", "fund"]);
    wait_for_peace(&here, &mount);
    store(&mount.join("again"), b"paid").unwrap();
    here.umount(&mount);
}

/// Gives all WAL of the wallet away.
fn spend_all_wal(machine: &Machine) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let frost = || machine.json(&["wallet", "balance", "--json"])["frost"].as_u64().unwrap();
    let all = frost();
    let home = machine.home();
    runtime.block_on(async move {
        let home = Home::under(&home);
        let network = tokio::task::block_in_place(|| session::network(&home, None)).unwrap();
        let account = session::open(&home, network).await.unwrap();
        let request = Request { intent: Vec::new(), objects: Vec::new(), wal: all, sui: 0 };
        let give = |tx: &mut Tx| {
            let coin = tx.wal()?;
            let parts = tx.split(coin, &[all])?;
            let Argument::Result(command) = parts else { panic!("{parts:?}") };
            tx.transfer(vec![Argument::NestedResult(command, 0)], sui_sdk_types::Address::ZERO)
        };
        account.session.executor.run(request, give).await.unwrap();
    });
    assert_eq!(frost(), 0);
}

#[test]
fn storage_that_has_ended_refuses_writes_and_is_revived() {
    let mut here = Machine::with_network(&[]);
    here.ok(&["wallet", "fund"]);
    here.ok(&["drive", "create", "short", "--capacity", "2G", "--epochs", "2", "--yes"]);
    let mount = here.mount_with(&["short", "-o", "sync_interval=1"]);
    store(&mount.join("before"), &noise(1, 100_000)).unwrap();
    here.sync(&mount);
    // One epoch before the end it is extended: everything goes on.
    here.ok(&["devnet", "epoch", "advance"]);
    here.ok(&["drive", "extend", "short", "--epochs", "1", "--yes"]);
    here.ok(&["devnet", "epoch", "advance"]);
    store(&mount.join("extended"), &noise(2, 100_000)).unwrap();
    here.sync(&mount);
    for _ in 0..3 {
        here.ok(&["devnet", "epoch", "advance"]);
    }
    let mut late = 0;
    wait_until("writes are refused", Duration::from_secs(100), || {
        std::thread::sleep(Duration::from_secs(1));
        match store(&mount.join(format!("late-{late}")), &noise(late, 100_000)) {
            Ok(()) => {
                late += 1;
                false
            }
            Err(error) => error.raw_os_error() == Some(libc::ENOSPC),
        }
    });
    wait_for_problem(&here, &mount, &["ended", "drive revive"]);
    assert!(fs::read(mount.join("before")).unwrap() == noise(1, 100_000), "what is cached is still read");
    here.kill(&mount);

    // A new pool: from the cache of this machine, and the journal, everything comes back.
    let revived = here.json(&["drive", "revive", "short", "--epochs", "3", "--yes", "--json"]);
    assert!(revived["packs"].as_u64().unwrap() >= 2, "{revived}");
    assert_eq!(revived["missing"]["packs"], revived["packs"], "{revived}");
    assert_eq!(revived["lost"], serde_json::json!([]), "{revived}");
    let again = run(here.command(&["drive", "revive", "short", "--yes"]), Duration::from_secs(60));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("needs no revival"), "{said}");
    let said = here.ok(&["fsck", "short", "--deep"]);
    assert!(said.contains("nothing is wrong"), "{said}");
    here.forget_state();
    let mount = here.mount_with(&["short", "-o", "sync_interval=1,gc_delay=0"]);
    for (name, seed) in [("before".to_owned(), 1), ("extended".to_owned(), 2)]
        .into_iter()
        .chain((0..late).map(|n| (format!("late-{n}"), n)))
    {
        assert!(fs::read(mount.join(&name)).unwrap() == noise(seed, 100_000), "{name}");
        fs::remove_file(mount.join(&name)).unwrap();
    }
    store(&mount.join("after"), &noise(3, 100_000)).unwrap();
    here.sync(&mount);
    here.umount(&mount);
}

/// S-FULL-4. What neither this machine nor a node has any more is named, and the rest of the drive lives.
#[test]
fn a_drive_is_revived_without_what_nobody_has() {
    let mut here = Machine::with_network(&[]);
    here.ok(&["wallet", "fund"]);
    here.ok(&["drive", "create", "short", "--capacity", "2G", "--epochs", "2", "--yes"]);
    let options = "sync_interval=1,pack_size=4M";
    let mount = here.mount_with(&["short", "-o", options]);
    for n in 0..4 {
        store(&mount.join(format!("f{n}")), &noise(n, 4 * MIB)).unwrap();
        here.sync(&mount);
    }
    here.umount(&mount);
    // One large file leaves the cache: its rows are the longest.
    let dropped = drop_largest_blob(&here);
    for _ in 0..4 {
        here.ok(&["devnet", "epoch", "advance"]);
    }
    wait_until("the nodes drop what has ended", Duration::from_secs(60), || {
        !run(here.command(&["blob", "get", &dropped]), Duration::from_secs(60)).status.success()
    });
    let revived = run(here.command(&["drive", "revive", "short", "--yes", "--json"]), Duration::from_secs(120));
    assert_eq!(revived.status.code(), Some(8), "{}", String::from_utf8_lossy(&revived.stderr));
    let told: serde_json::Value = serde_json::from_slice(&revived.stdout).unwrap();
    assert_eq!(told["lost"].as_array().unwrap().len(), 1, "{told}");
    here.mount_at(&mount, &["short", "-o", options]);
    let read = |n: u64| fs::read(mount.join(format!("f{n}")));
    let lost = (0..4).filter(|n| read(*n).is_err()).count();
    assert!(lost >= 1, "a lost pack was read");
    assert!((0..4).filter(|n| read(*n).is_ok_and(|bytes| bytes == noise(*n, 4 * MIB))).count() + lost == 4);
    store(&mount.join("after"), &noise(9, MIB)).unwrap();
    here.sync(&mount);
    here.umount(&mount);
}

/// Removes the slivers of the blob that takes most of the cache's disk; answers its id.
fn drop_largest_blob(machine: &Machine) -> String {
    let mut blobs: std::collections::HashMap<String, (u64, Vec<PathBuf>)> = std::collections::HashMap::new();
    let mut folders = vec![machine.home().join("cache")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let name = entry.file_name().into_string().unwrap();
            if let Some((blob, _)) = name.split_once('-').filter(|(blob, _)| blob.len() == 64) {
                let found = blobs.entry(blob.to_owned()).or_default();
                found.0 += entry.metadata().unwrap().len();
                found.1.push(entry.path());
            }
        }
    }
    let (blob, (_, files)) = blobs.into_iter().max_by_key(|(_, (bytes, _))| *bytes).expect("the cache is empty");
    files.into_iter().for_each(|file| fs::remove_file(file).unwrap());
    let mut id = [0; 32];
    hex::decode_to_slice(blob, &mut id).unwrap();
    redstuff::BlobId(id).to_string()
}

/// S-FULL-6
#[test]
fn a_full_local_disk_refuses_writes_until_there_is_room() {
    let mut here = Machine::new();
    let disk = here.path("disk");
    fs::create_dir(&disk).unwrap();
    tool("mount", &["-t", "tmpfs", "-o", "size=48m", "tmpfs", disk.to_str().unwrap()]);
    let _disk = Unmount(disk.clone());
    let others = disk.join("others");
    let options = format!("journal_dir={},sync_interval=3600", disk.join("journal").display());
    let mount = here.mount_with(&["-o", &options]);
    store(&mount.join("before"), &noise(1, MIB)).unwrap();
    let early = File::create(mount.join("early")).unwrap();
    fs::write(&others, noise(2, 30 * MIB)).unwrap();
    // Otherwise a commit would make room.
    for n in 0..10 {
        here.node(n, &["stop"]);
    }
    let mut stored = 0;
    let refused = (0..64).find_map(|n| {
        let done = store(&mount.join(format!("f{n}")), &noise(n, MIB)).err();
        stored += u64::from(done.is_none());
        done
    });
    assert_eq!(refused.and_then(|error| error.raw_os_error()), Some(libc::ENOSPC));
    assert!(stored > 2, "{stored} files");
    let refused = write_and_close(early, &noise(1, 2 * MIB)).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENOSPC), "{refused}");
    for n in 0..stored {
        assert!(fs::read(mount.join(format!("f{n}"))).unwrap() == noise(n, MIB), "f{n}");
    }
    fs::remove_file(&others).unwrap();
    for n in 0..10 {
        here.node(n, &["start"]);
    }
    wait_until("writes go on", Duration::from_secs(30), || store(&mount.join("after"), &noise(3, MIB)).is_ok());
    here.sync(&mount);
    // Killed and mounted again: what was acknowledged is there.
    here.kill(&mount);
    here.mount_at(&mount, &["-o", &options]);
    for n in 0..stored {
        assert!(fs::read(mount.join(format!("f{n}"))).unwrap() == noise(n, MIB), "f{n}");
    }
    assert!(fs::read(mount.join("after")).unwrap() == noise(3, MIB));
    here.umount(&mount);
}

/// S-FULL-2. What is larger than the journal is written at the pace of the network, however slow that is.
#[test]
fn a_slow_network_makes_writes_slow_and_refuses_none() {
    let mut here = Machine::new();
    let mount = here.mount_with(&["-o", "journal_size=64M,pack_size=8M,sync_interval=3600"]);
    for n in 0..10 {
        here.node(n, &["slow", "1800"]);
    }
    let begun = Instant::now();
    let waited = (0..70).map(|n| {
        let begun = Instant::now();
        store(&mount.join(format!("f{n}")), &noise(n, MIB)).unwrap();
        begun.elapsed()
    });
    let longest = waited.max().unwrap_or_default();
    let all = begun.elapsed();
    assert!(longest > Duration::from_secs(30), "the longest wait was {longest:?}, so nothing was tried");
    println!("70 MiB through a journal of 64 MiB: {all:?}, the longest wait {longest:?}");
    for n in 0..10 {
        here.node(n, &["honest"]);
    }
    here.sync(&mount);
    here.umount(&mount);
    here.forget_state();
    here.mount_at(&mount, &[]);
    for n in 0..70 {
        assert!(fs::read(mount.join(format!("f{n}"))).unwrap() == noise(n, MIB), "f{n}");
    }
    here.umount(&mount);
}

/// S-FULL-5. A write that waits for room holds up neither `sync --timeout` nor `umount --timeout`, and nothing that was stored is lost.
#[test]
fn who_waits_for_room_holds_up_nobody_with_a_timeout() {
    let mut here = Machine::new();
    let mount = here.mount_with(&["-o", "journal_size=64M,sync_interval=3600"]);
    // In a process of its own: whoever is started with the file open closes it, and to close it is to write its pages.
    let script = "exec 3>\"$0\"; read word; printf %01000000d 7 >&3; read word";
    let mut early =
        Command::new("sh").arg("-c").arg(script).arg(mount.join("early")).stdin(Stdio::piped()).spawn().unwrap();
    wait_until("a file is open before all is full", Duration::from_secs(20), || mount.join("early").exists());
    for n in 0..10 {
        here.node(n, &["stop"]);
    }
    let stored = Arc::new(AtomicU64::new(0));
    let writer = std::thread::spawn({
        let (mount, stored) = (mount.clone(), Arc::clone(&stored));
        move || {
            loop {
                let n = stored.load(Ordering::SeqCst);
                if let Err(error) = store(&mount.join(format!("f{n}")), &noise(n, MIB)) {
                    return error;
                }
                stored.store(n + 1, Ordering::SeqCst);
            }
        }
    });
    wait_until("the journal is full and a write waits", Duration::from_secs(60), || {
        let before = stored.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_secs(3));
        before > 20 && before == stored.load(Ordering::SeqCst)
    });
    // Pages that only the kernel has: to write them is to wait too.
    early.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    wait_until("pages", Duration::from_secs(20), || fs::metadata(mount.join("early")).unwrap().len() == 1_000_000);
    let bounded = |what: &[&str]| {
        let args = [what, &["--timeout", "2", mount.to_str().unwrap()]].concat();
        let begun = Instant::now();
        let output = here.run(&args);
        let took = begun.elapsed();
        assert_eq!(output.status.code(), Some(9), "{what:?} says that something is pending: {output:?}");
        assert!(took < Duration::from_secs(15), "{what:?} took {took:?}");
    };
    bounded(&["sync"]);
    assert!(!writer.is_finished(), "the write waited on, or nothing was tried");
    bounded(&["umount", "--lazy"]);
    let refused = writer.join().unwrap().raw_os_error();
    drop(early.stdin.take());
    early.wait().unwrap();
    assert!(matches!(refused, Some(libc::ENOSPC | libc::ENOTCONN)), "{refused:?}");
    for n in 0..10 {
        here.node(n, &["start"]);
    }
    here.mount_at(&mount, &[]);
    here.sync(&mount);
    here.umount(&mount);
    here.forget_state();
    here.mount_at(&mount, &["--read-only"]);
    for n in 0..stored.load(Ordering::SeqCst) {
        assert!(fs::read(mount.join(format!("f{n}"))).unwrap() == noise(n, MIB), "f{n}");
    }
    here.umount(&mount);
}

/// A mount of the test's own that goes with it.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn without_the_network_work_goes_on_into_the_journal() {
    let mut here = Machine::new();
    let mount = here.mount_with(&["-o", "sync_interval=1,journal_size=64M"]);
    store(&mount.join("cached"), &noise(1, 3 * MIB)).unwrap();
    here.sync(&mount);
    for n in 0..10 {
        here.node(n, &["stop"]);
    }
    let begun = Instant::now();
    store(&mount.join("during"), &noise(2, 3 * MIB)).unwrap();
    fs::rename(mount.join("during"), mount.join("renamed")).unwrap();
    assert!(fs::read(mount.join("cached")).unwrap() == noise(1, 3 * MIB));
    assert!(begun.elapsed() < Duration::from_secs(10), "the journal waited for the network: {:?}", begun.elapsed());
    // An upload goes on for a minute before it is given up and begins anew; what is in the way is said earlier.
    wait_until("status says what is in the way", Duration::from_secs(30), || problem(&here, &mount).is_some());
    // Up to its limit, then writers wait, and are told.
    let refused =
        (0..100).find_map(|n| store(&mount.join(format!("more-{n}")), &noise(n, MIB)).err().map(|error| (n, error)));
    let (stored, error) = refused.expect("a journal of 64 MiB took 100 MiB");
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    assert!(stored > 20, "{stored} MiB fitted");
    fs::remove_file(mount.join("cached")).expect("a removal uses the reserve");
    for n in 0..10 {
        here.node(n, &["start"]);
    }
    wait_for_peace(&here, &mount);
    wait_until("writes go on", Duration::from_secs(90), || store(&mount.join("after"), &noise(3, MIB)).is_ok());
    here.sync(&mount);
    here.umount(&mount);
    here.forget_state();
    here.mount_at(&mount, &["--read-only"]);
    assert!(fs::read(mount.join("renamed")).unwrap() == noise(2, 3 * MIB));
    for n in 0..stored {
        let file = File::open(mount.join(format!("more-{n}"))).unwrap();
        let mut found = vec![0; MIB];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(found == noise(n, MIB), "more-{n}");
    }
    assert!(!mount.join("cached").exists());
    here.umount(&mount);
}
