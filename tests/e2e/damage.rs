//! What lies on the nodes, and what happens when the files of the cache and the journal are not what was written.

use crate::harness::{Machine, files, noise, run};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use walrusfs::cli::{home::Home, session};
use walrusfs::crypto::KeyRing;
use walrusfs::drive::{DriveClient, DriveName, Holder, Secrets};
use walrusfs::pack::{MemorySource, PackRef, UnitKind, open_unit, read_index};

/// The keys of the drive `default`, opened by the wallet and the key file of `machine`.
async fn keys(machine: &Machine) -> std::sync::Arc<KeyRing> {
    let home = Home::under(&machine.home());
    let network = tokio::task::block_in_place(|| session::network(&home, None)).unwrap();
    let account = session::open(&home, network).await.unwrap();
    let name = DriveName::Label("default".to_owned());
    DriveClient::open(&account.session, &name, &Secrets(Vec::new()), Holder([7; 16])).await.unwrap().keys()
}

/// Every blob that a node holds something of.
fn blobs(machine: &Machine) -> Vec<String> {
    let node = fs::read_dir(machine.home().join("devnet/nodes")).unwrap().next().unwrap().unwrap();
    let mut ids: Vec<String> = fs::read_dir(node.path().join("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_fetched_from_the_nodes_decodes_to_what_was_sealed() {
    let mut here = Machine::new();
    let mount = here.mount();
    // Text that shrinks and noise that does not; both ends of the last chunk.
    let noise = noise(3, (1 << 20) + 77);
    let text = "the walrus and the carpenter were walking close at hand\n".repeat(5_000).into_bytes();
    fs::write(mount.join("noise"), &noise).unwrap();
    fs::write(mount.join("text"), &text).unwrap();
    here.umount(&mount);
    let keys = keys(&here).await;

    let mut found: Vec<(u64, u64, Vec<u8>)> = Vec::new();
    for id in blobs(&here) {
        let file = here.path("pack");
        here.ok(&["blob", "get", &id, "-o", file.to_str().unwrap()]);
        let bytes = fs::read(&file).unwrap();
        assert_eq!(here.ok(&["blob", "id", file.to_str().unwrap(), "--shards", "100"]).trim(), id);
        assert_eq!(&bytes[..8], b"walrusfs", "{id} is a pack");
        let source = MemorySource::default();
        let pack = PackRef {
            blob_id: source.insert(bytes.clone().into()),
            size: Some(bytes.len() as u64),
            salt: bytes[16..48].try_into().unwrap(),
            key_epoch: keys.current(),
        };
        let cipher = keys.pack_cipher(pack.key_epoch, &pack.salt).unwrap();
        for entry in read_index(&source, &pack, &keys).await.unwrap() {
            let at = usize::try_from(entry.addr.offset).unwrap();
            let sealed = bytes[at..at + entry.addr.stored as usize].to_vec();
            let plain = open_unit(&cipher, entry.kind, entry.addr, sealed).unwrap();
            if entry.kind == UnitKind::Chunk {
                found.push((entry.origin.ino.0, entry.origin.file_offset, plain));
            }
        }
    }
    found.sort();
    let mut whole: Vec<Vec<u8>> = Vec::new();
    for chunks in found.chunk_by(|one, next| one.0 == next.0) {
        let mut content = Vec::new();
        for (_, offset, plain) in chunks {
            assert_eq!(*offset, content.len() as u64, "a chunk is missing or there twice");
            content.extend_from_slice(plain);
        }
        whole.push(content);
    }
    assert!(whole.contains(&noise) && whole.contains(&text), "{} files in the packs", whole.len());
}

/// Changes one byte in every 4 KiB of `path`.
fn spoil(path: &Path) {
    let length = fs::metadata(path).unwrap().len();
    let file = File::options().read(true).write(true).open(path).unwrap();
    for at in (0..length).step_by(4096) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
    }
}

#[test]
fn damaged_cache_files_are_fetched_again() {
    let mut here = Machine::new();
    let mount = here.mount();
    let content = noise(4, 3 << 20);
    fs::write(mount.join("file"), &content).unwrap();
    here.umount(&mount);
    // The cache fills by reading, too.
    here.mount_at(&mount, &[]);
    assert!(fs::read(mount.join("file")).unwrap() == content);
    here.umount(&mount);
    let cached = files(&here.home().join("cache"));
    let bytes: u64 = cached.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes > 1 << 20, "the cache holds {bytes} bytes: the test proves nothing");
    for (n, file) in cached.iter().enumerate() {
        match n % 3 {
            0 => spoil(file),
            1 => File::options().write(true).open(file).unwrap().set_len(10).unwrap(),
            _ => fs::write(file, b"").unwrap(),
        }
    }
    here.mount_at(&mount, &[]);
    assert!(fs::read(mount.join("file")).unwrap() == content);
    fs::write(mount.join("more"), b"work goes on").unwrap();
    here.umount(&mount);
    assert!(here.logs().contains("a cached sliver is damaged"), "the damage was never met\n{}", here.logs());
}

/// The segments of the journal of the only drive, oldest first.
fn segments(machine: &Machine) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = files(&machine.home().join("state/drives"))
        .into_iter()
        .filter(|file| file.parent().unwrap().ends_with("journal"))
        .collect();
    found.sort();
    found
}

/// Mounts without the network pipeline taking anything away, writes and fsyncs `count` files, and kills the mount.
fn journalled(machine: &mut Machine, mount: &Path, count: u64) {
    machine.mount_at(mount, &["-o", "sync_interval=3600"]);
    for n in 0..count {
        let mut file = File::create(mount.join(format!("f{n}"))).unwrap();
        file.write_all(&noise(n, 10_000)).unwrap();
        file.sync_all().unwrap();
    }
    machine.kill(mount);
}

#[test]
fn an_unfinished_write_behind_the_journal_is_no_loss() {
    let mut here = Machine::new();
    let mount = here.mount_point();
    journalled(&mut here, &mount, 20);
    let last = segments(&here).pop().unwrap();
    // What a power cut leaves behind the last sync: part of a frame, then anything.
    let mut segment = File::options().append(true).open(&last).unwrap();
    segment.write_all(&noise(9, 9_999)).unwrap();
    here.mount_at(&mount, &[]);
    for n in 0..20 {
        assert!(fs::read(mount.join(format!("f{n}"))).unwrap() == noise(n, 10_000), "file {n}");
    }
    here.umount(&mount);
    here.forget_state();
    here.mount_at(&mount, &[]);
    for n in 0..20 {
        assert!(fs::read(mount.join(format!("f{n}"))).unwrap() == noise(n, 10_000), "file {n} after certification");
    }
}

/// Overwrites 30,000 bytes of the journal, `before_end` bytes before its end, and mounts again; what the mount said, and
/// which of 20 files are whole.
fn damaged_journal(before_end: u64) -> (Machine, String, Vec<u64>) {
    let mut here = Machine::new();
    let mount = here.mount_point();
    journalled(&mut here, &mount, 20);
    let last = segments(&here).pop().unwrap();
    let length = fs::metadata(&last).unwrap().len();
    let segment = File::options().write(true).open(&last).unwrap();
    segment.write_all_at(&noise(9, 30_000), length - before_end).unwrap();
    let mount_command = here.command(&["mount", mount.to_str().unwrap()]);
    let output = run(mount_command, Duration::from_secs(60));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let whole = (0..20).filter(|n| fs::read(mount.join(format!("f{n}"))).is_ok_and(|found| found == noise(*n, 10_000)));
    let whole: Vec<u64> = whole.collect();
    fs::write(mount.join("more"), b"work goes on").unwrap();
    here.umount(&mount);
    (here, said, whole)
}

/// S-LOST-1
#[test]
fn a_damaged_journal_is_said_and_costs_only_itself() {
    let (here, said, whole) = damaged_journal(90_000);
    assert!(said.contains("journal is damaged"), "the user is not told: {said}");
    assert!((14..20).contains(&whole.len()), "whole: {whole:?}");
    assert!([0, 1, 2, 17, 18, 19].iter().all(|n| whole.contains(n)), "before and after is kept: {whole:?}");
    // What is lost is named, and mending leaves the rest as it is.
    let output = here.run(&["fsck", "default", "--json"]);
    assert_eq!(output.status.code(), Some(8));
    let mended = here.run(&["fsck", "default", "--repair"]);
    let said = String::from_utf8_lossy(&mended.stdout).into_owned();
    let again = here.run(&["fsck", "default"]);
    let left = String::from_utf8_lossy(&again.stdout).into_owned();
    let lost = left.lines().filter(|line| line.contains("cannot be read")).count();
    assert!(left.lines().count() == lost + 1, "only lost content is left: {left}\nafter: {said}");
}

/// Damage behind which nothing follows cannot be told from a write that a power cut left unfinished.
#[test]
fn a_damaged_journal_tail_costs_only_the_newest_files() {
    let (_here, _, whole) = damaged_journal(30_000);
    assert!((15..20).contains(&whole.len()), "whole: {whole:?}");
    assert_eq!(whole, (0..whole.len() as u64).collect::<Vec<_>>(), "only the newest are gone");
}
