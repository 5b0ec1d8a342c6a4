//! `walrusfs devnet` as scripts use it: real processes, real signals.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A home that is taken down with its network.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        // Longer than a socket's path may be.
        Self(tempfile::Builder::new().prefix(&"walrusfs-devnet-".repeat(8)).tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn devnet(&self) -> PathBuf {
        self.path().join("devnet")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walrusfs"));
        command.env("WALRUSFS_HOME", self.path()).arg("devnet").args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let log = std::fs::read_to_string(self.devnet().join("devnet.log")).unwrap_or_default();
        assert!(output.status.success(), "{args:?}: {output:?}\n{log}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn up(&self) {
        self.ok(&["up", "--nodes", "4", "--shards", "7"]);
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ok(&["status", "--json"])).unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.status()["pid"].as_i64().unwrap().try_into().unwrap())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.run(&["down"]);
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(30), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn status_says_what_scripts_rely_on() {
    let home = Home::new();
    let down = home.run(&["status", "--json"]);
    assert_eq!(down.status.code(), Some(7), "{down:?}");
    home.up();
    let status = home.status();
    for text in [
        "rpc_url",
        "faucet_url",
        "system_object",
        "staking_object",
        "wal_type",
        "exchange_object",
        "walrus_package",
        "drive_package",
    ] {
        assert!(status[text].is_string(), "{text}: {status}");
    }
    assert_eq!((status["n_shards"].as_u64(), status["epoch"].as_u64()), (Some(7), Some(1)));
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(node["index"].as_u64(), Some(index as u64));
        assert_eq!(node["state"], "running");
        assert!(node["name"].is_string() && node["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    }
    assert_eq!(nodes.iter().map(|node| node["shards"].as_u64().unwrap()).sum::<u64>(), 7);
    let file = home.ok(&["status", "--network-file"]);
    let config = walrus_client::network::NetworkConfig::parse(&file).unwrap();
    assert_eq!(config.rpc_urls, [status["rpc_url"].as_str().unwrap()]);
    assert_eq!(config.system_object.to_string(), status["system_object"].as_str().unwrap());

    for (action, state) in [
        (&["stop"][..], "stopped"),
        (&["start"], "running"),
        (&["slow", "5"], "slow"),
        (&["hang"], "hang"),
        (&["corrupt"], "corrupt"),
        (&["lie"], "lie"),
        (&["lie", "epoch"], "lie"),
        (&["garbage"], "garbage"),
        (&["error", "503"], "error"),
        (&["honest"], "running"),
    ] {
        home.ok(&[&["node", "2"], action].concat());
        assert_eq!(home.status()["nodes"][2]["state"], state);
    }
    assert!(!home.run(&["node", "4", "lie"]).status.success());
    assert_eq!(home.run(&["node", "2", "lie", "badly"]).status.code(), Some(1));
    assert_eq!(home.run(&["node", "1", "error", "200"]).status.code(), Some(1));
    assert_eq!(home.ok(&["epoch", "advance"]).trim(), "2");
    assert_eq!(home.status()["epoch"], 2);
    home.ok(&["down"]);
    assert_eq!(home.run(&["status"]).status.code(), Some(7));
    assert!(!home.devnet().join("pid").exists());
    home.ok(&["down"]);
}

#[test]
fn two_starters_get_one_network() {
    let home = Home::new();
    let starters: Vec<_> =
        (0..3).map(|_| home.command(&["up", "--nodes", "4", "--shards", "7"]).spawn().unwrap()).collect();
    for mut starter in starters {
        assert!(starter.wait().unwrap().success());
    }
    let log = std::fs::read_to_string(home.devnet().join("devnet.log")).unwrap();
    assert_eq!(log.matches("the local network runs").count(), 1, "{log}");
    let pid = std::fs::read_to_string(home.devnet().join("pid")).unwrap();
    assert_eq!(pid.trim(), home.pid().to_string());
}

#[test]
fn a_pipeline_with_up_in_it_ends() {
    let home = Home::new();
    let mut pipeline = Command::new("timeout");
    let program = env!("CARGO_BIN_EXE_walrusfs");
    // Descriptor 7 is a pipe of the shell's that the network must not inherit either.
    let script = format!("{{ {program} devnet up --nodes 4 --shards 7 7>&1; }} | cat");
    pipeline.args(["60", "sh", "-c", &script]).env("WALRUSFS_HOME", home.path()).stdin(Stdio::null());
    let output = pipeline.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("4 nodes, 7 shards"), "{output:?}");
    let pid = home.pid();
    let session = nix::unistd::getsid(Some(pid)).unwrap();
    assert_eq!(session, pid, "a session of its own");
    let kept: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("pipe:"))
        .collect();
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn a_killed_network_starts_again_as_it_was() {
    let home = Home::new();
    home.up();
    let before = home.status();
    let pid = home.pid();
    kill(pid, Signal::SIGKILL).unwrap();
    wait_until("the process is gone", || kill(pid, None).is_err() || is_zombie(pid));
    assert!(home.devnet().join("pid").exists(), "a stale pid file");
    assert_eq!(home.run(&["status"]).status.code(), Some(7));
    home.ok(&["up"]);
    let after = home.status();
    for same in ["rpc_url", "system_object", "n_shards", "chain_id"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(before["nodes"][3]["url"], after["nodes"][3]["url"]);
    assert_ne!(before["pid"], after["pid"]);
    // SIGTERM ends it too.
    let pid = home.pid();
    kill(pid, Signal::SIGTERM).unwrap();
    wait_until("the process is gone", || kill(pid, None).is_err() || is_zombie(pid));
}

/// The network is nobody's child here; in a container without an init it stays a zombie.
fn is_zombie(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}
