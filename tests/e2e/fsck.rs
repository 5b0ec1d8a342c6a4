//! `walrusfs fsck` on real drives: what it says of a whole one, of one whose nodes lost data, and of a pool with leftovers.

use crate::harness::{Machine, noise, run};
use redstuff::{Encoder, Params};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use walrusfs::cli::{home::Home, session};
use walrusfs::drive::{BlobToRegister, DriveClient, DriveName, Holder, Secrets};

fn fsck(machine: &Machine, arguments: &[&str]) -> (i32, String, String) {
    let command = machine.command(&[&["fsck", "default"], arguments].concat());
    let Output { status, stdout, stderr } = run(command, Duration::from_secs(120));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn json(machine: &Machine, arguments: &[&str]) -> serde_json::Value {
    let (_, stdout, stderr) = fsck(machine, &[&["--json"], arguments].concat());
    let end = stdout.rfind('}').unwrap_or_else(|| panic!("no JSON: {stdout}{stderr}"));
    serde_json::from_str(&stdout[..=end]).unwrap()
}

/// A drive with a few packs, unmounted.
fn filled() -> Machine {
    let mut here = Machine::new();
    let mount = here.mount();
    fs::create_dir(mount.join("dir")).unwrap();
    for n in 0..20 {
        fs::write(mount.join(format!("dir/f{n}")), noise(n, 50_000)).unwrap();
    }
    fs::write(mount.join("large"), noise(99, 5 << 20)).unwrap();
    here.ok(&["sync", mount.to_str().unwrap()]);
    fs::write(mount.join("later"), noise(100, 1 << 20)).unwrap();
    here.umount(&mount);
    here
}

#[test]
fn a_whole_drive_is_clean_mounted_or_not() {
    let mut here = filled();
    let (code, said, stderr) = fsck(&here, &[]);
    assert_eq!((code, said.contains("nothing is wrong")), (0, true), "{said}{stderr}");
    let report = json(&here, &["--deep"]);
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(report["inodes"], 1 + 1 + 20 + 2);
    assert_eq!(report["chunks"], 20 + 80 + 16);
    assert_eq!(report["slivers"].as_u64(), report["packs"].as_u64().map(|packs| packs * 200), "{report}");
    assert!(report["bytes_read"].as_u64().unwrap() > 7_000_000, "{report}");
    let (code, said, stderr) = fsck(&here, &["--repair"]);
    assert_eq!((code, said.contains("mended")), (0, false), "{said}{stderr}");
    // Mounted: looking is allowed, mending is not.
    let mount = here.mount();
    let (code, said, stderr) = fsck(&here, &[]);
    assert_eq!((code, said.contains("nothing is wrong")), (0, true), "{said}{stderr}");
    let (code, _, stderr) = fsck(&here, &["--repair"]);
    assert_eq!((code, stderr.contains("mounted on this machine")), (10, true), "{stderr}");
    here.umount(&mount);
}

#[test]
fn shards_that_do_not_answer_are_counted() {
    let here = filled();
    for n in 0..3 {
        here.node(n, &["stop"]);
    }
    let (code, said, stderr) = fsck(&here, &["--deep"]);
    assert_eq!(code, 8, "{said}{stderr}");
    assert!(said.contains("30 of 100 shards lack slivers") && said.contains("it still reads"), "{said}");
    assert!(stderr.contains("nothing here can be mended"), "{stderr}");
}

/// The drive `default` as another machine with its key opens it.
async fn opened(machine: &Machine) -> DriveClient {
    let home = Home::under(&machine.home());
    let network = tokio::task::block_in_place(|| session::network(&home, None)).unwrap();
    let account = session::open(&home, network).await.unwrap();
    let name = DriveName::Label("default".to_owned());
    DriveClient::open(&account.session, &name, &Secrets(Vec::new()), Holder([9; 16])).await.unwrap()
}

/// Removes every file called `name` below `folder`; answers how many there were.
fn remove_all(folder: &Path, name: &str) -> usize {
    let mut removed = 0;
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            removed += remove_all(&entry.path(), name);
        } else if entry.file_name() == name {
            fs::remove_file(entry.path()).unwrap();
            removed += 1;
        }
    }
    removed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_no_node_has_any_more_is_rebuilt_from_the_packs() {
    let mut here = filled();
    // A commit of names alone: its pack holds the new root, and nothing of what was written before.
    let mount = here.mount();
    fs::create_dir(mount.join("names")).unwrap();
    for n in 0..2000 {
        fs::write(mount.join(format!("names/{n:0>100}")), b"").unwrap();
    }
    here.umount(&mount);
    let root = opened(&here).await.state().object.root.unwrap();
    for n in 0..10 {
        here.node(n, &["stop"]);
    }
    here.forget_state();
    assert_eq!(remove_all(&here.home(), &redstuff::BlobId(root.blob_id).to_string()), 10);
    for n in 0..10 {
        here.node(n, &["start"]);
    }
    let refused = run(here.command(&["mount", mount.to_str().unwrap()]), Duration::from_secs(120));
    assert!(!refused.status.success(), "a drive without a root was mounted");
    let report = json(&here, &[]);
    assert_eq!(report["findings"][0]["fault"], "lost-root", "{report}");
    let (_, said, stderr) = fsck(&here, &["--repair"]);
    let (code, after, _) = fsck(&here, &[]);
    assert!(code == 0 && after.contains("nothing is wrong"), "{said}{stderr}{after}");
    here.mount_at(&mount, &[]);
    for n in 0..20 {
        assert!(fs::read(mount.join(format!("dir/f{n}"))).unwrap() == noise(n, 50_000), "dir/f{n}");
    }
    assert!(fs::read(mount.join("large")).unwrap() == noise(99, 5 << 20));
    // Its commit was small: whether its name got into a pack, or only into the log on the Drive, which the lost root has replaced,
    // depends on how many commits were made of it. Its content is there in any case.
    let found = fs::read_dir(mount.join("lost+found")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let may_be: Vec<_> = found.chain([mount.join("later")]).collect();
    assert!(may_be.iter().any(|path| fs::read(path).is_ok_and(|content| content == noise(100, 1 << 20))), "{said}");
    here.umount(&mount);
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_in_the_pool_give_their_capacity_back() {
    let here = filled();
    let used = {
        let drive = opened(&here).await;
        let used = drive.state().pool.used;
        let encoder = Encoder::new(&Params::new(100).unwrap());
        let blobs = [1, 2, 3].map(|n| {
            let encoded = encoder.encode(noise(n, 100_000)).unwrap();
            let metadata = encoded.metadata();
            let root_hash = *metadata.root_hash().as_bytes();
            BlobToRegister { blob_id: metadata.blob_id().0, root_hash, size: metadata.unencoded_length() }
        });
        drive.register(&blobs).await.unwrap();
        assert!(drive.state().pool.used > used);
        drive.release_lease().await.unwrap();
        used
    };
    let report = json(&here, &[]);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3, "{report}");
    assert!(findings.iter().all(|found| found["fault"] == "unknown-blob" && found["certified"] == false), "{report}");
    let (code, said, stderr) = fsck(&here, &["--repair"]);
    assert_eq!(code, 0, "{said}{stderr}");
    assert!(said.contains("deleted 3 blobs"), "{said}");
    let info: serde_json::Value = serde_json::from_str(&here.ok(&["drive", "info", "default", "--json"])).unwrap();
    assert_eq!(info["used_bytes"], used);
}
