//! A machine of a test: a home, its mounts, its network; all of it ended when the test ends.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A machine as far as the program is concerned: one `$WALRUSFS_HOME`.
pub struct Machine {
    dir: tempfile::TempDir,
    /// Set when the machine uses another one's network.
    network: Option<PathBuf>,
    mounts: Vec<PathBuf>,
}

impl Machine {
    /// An empty machine: no configuration, no wallet, no network.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("walrusfs-test-").tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir, network: None, mounts: Vec::new() }
    }

    /// A machine whose local network runs with `args` (`devnet up` options).
    pub fn with_network(args: &[&str]) -> Self {
        let machine = Self::new();
        machine.ok(&[&["devnet", "up"], args].concat());
        machine
    }

    /// Another machine on the same network that holds this one's keys and nothing else.
    pub fn elsewhere(&self) -> Self {
        let mut other = Self::new();
        copy_dir(&self.home().join("keys"), &other.home().join("keys"));
        let file = other.path("network.toml");
        fs::write(&file, self.ok(&["devnet", "status", "--network-file"])).unwrap();
        other.network = Some(file);
        other
    }

    /// `$WALRUSFS_HOME`.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A path in the test's own folder, outside the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with this machine's environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walrusfs"));
        command.env("WALRUSFS_HOME", self.home()).env("HOME", self.home()).env("NO_COLOR", "1");
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end, at most two minutes.
    pub fn run(&self, args: &[&str]) -> Output {
        run(self.command(args), Duration::from_secs(120))
    }

    /// Runs the program, which must succeed; what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "walrusfs {args:?}: {}\n{}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.logs()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which must succeed and print one JSON value.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// Mounts the drive `default` at a new mount point and waits until it is mounted.
    pub fn mount(&mut self) -> PathBuf {
        self.mount_with(&[])
    }

    /// Mounts with more arguments.
    pub fn mount_with(&mut self, args: &[&str]) -> PathBuf {
        let point = self.mount_point();
        self.mount_at(&point, args);
        point
    }

    /// A new folder to mount on; whatever is mounted there is unmounted when the test ends.
    pub fn mount_point(&mut self) -> PathBuf {
        let point = self.path(&format!("mnt-{}", self.mounts.len()));
        fs::create_dir(&point).unwrap();
        self.mounts.push(point.clone());
        point
    }

    /// Mounts at `point` (again).
    pub fn mount_at(&mut self, point: &Path, args: &[&str]) {
        let network = self.network.clone();
        let mut all = vec!["mount"];
        if let Some(network) = &network {
            all.extend(["--network", network.to_str().unwrap()]);
        }
        all.extend(args);
        all.push(point.to_str().unwrap());
        // Known before it happens: a mount that panics half way is cleaned up too.
        if !self.mounts.contains(&point.to_owned()) {
            self.mounts.push(point.to_owned());
        }
        self.ok(&all);
        assert!(is_mounted(point), "{} is not a mount point", point.display());
    }

    /// Unmounts cleanly: everything is certified.
    pub fn umount(&self, point: &Path) {
        self.ok(&["umount", point.to_str().unwrap()]);
        assert!(!is_mounted(point));
    }

    /// `walrusfs sync`.
    pub fn sync(&self, point: &Path) {
        self.ok(&["sync", point.to_str().unwrap()]);
    }

    /// `walrusfs status --json` of one mount.
    pub fn status(&self, point: &Path) -> serde_json::Value {
        self.json(&["status", point.to_str().unwrap(), "--json"])
    }

    /// The pid of the mount process.
    pub fn pid(&self, point: &Path) -> i32 {
        self.status(point)["pid"].as_i64().unwrap().try_into().unwrap()
    }

    /// Kills the mount process with SIGKILL and clears the dead mount point.
    pub fn kill(&self, point: &Path) {
        let pid = nix::unistd::Pid::from_raw(self.pid(point));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_until("the mount process is gone", Duration::from_secs(10), || nix::sys::signal::kill(pid, None).is_err());
        let _ = nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH);
    }

    /// Deletes everything local except the wallet and the keys (and the network, which is not this machine's state).
    pub fn forget_state(&self) {
        // The logs go too; what they said is shown when the test fails later.
        println!("{}", self.logs());
        for folder in ["state", "cache"] {
            let _ = fs::remove_dir_all(self.home().join(folder));
        }
    }

    /// `walrusfs devnet node N ACTION...`.
    pub fn node(&self, n: usize, action: &[&str]) {
        let n = n.to_string();
        self.ok(&[&["devnet", "node", &n], action].concat());
    }

    /// The newest lines of every log, for messages of failed assertions.
    pub fn logs(&self) -> String {
        let mut shown = String::new();
        for folder in [self.home().join("state"), self.home().join("devnet")] {
            for file in files(&folder).into_iter().filter(|file| file.extension().is_some_and(|e| e == "log")) {
                let text = fs::read(&file).unwrap_or_default();
                let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(3000)..]).into_owned();
                shown.push_str(&format!("--- {}\n{tail}\n", file.display()));
            }
        }
        shown
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for point in self.mounts.clone() {
            if is_mounted(&point) {
                if std::thread::panicking() {
                    eprintln!("{}", self.logs());
                }
                let pid = self.run(&["status", point.to_str().unwrap(), "--json"]);
                let pid = serde_json::from_slice::<serde_json::Value>(&pid.stdout).ok().and_then(|s| s["pid"].as_i64());
                let _ = nix::mount::umount2(&point, nix::mount::MntFlags::MNT_DETACH);
                if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
                }
            }
        }
        if self.network.is_none() && self.home().join("devnet").exists() {
            let _ = self.run(&["devnet", "down"]);
        }
    }
}

/// Runs `command` to its end; kills it and fails when it takes longer than `limit`.
pub fn run(mut command: Command, limit: Duration) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let readers = [
        std::thread::spawn({
            let mut pipe = child.stdout.take().unwrap();
            move || read_all(&mut pipe)
        }),
        std::thread::spawn({
            let mut pipe = child.stderr.take().unwrap();
            move || read_all(&mut pipe)
        }),
    ];
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > limit {
            child.kill().unwrap();
            panic!("{command:?} did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let [stdout, stderr] = readers.map(|reader| reader.join().unwrap());
    Output { status, stdout, stderr }
}

fn read_all(pipe: &mut impl std::io::Read) -> Vec<u8> {
    let mut all = Vec::new();
    pipe.read_to_end(&mut all).unwrap();
    all
}

/// Runs another program, which must succeed.
pub fn tool(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args);
    let output = run(command, Duration::from_secs(300));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until `done`, or fails after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether something is mounted at `point` (a dead mount counts).
pub fn is_mounted(point: &Path) -> bool {
    let wanted = point.to_str().unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(wanted))
}

/// Every file below `dir`.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Bytes that `dir` takes on disk.
pub fn disk_usage(dir: &Path) -> u64 {
    files(dir).iter().filter_map(|file| fs::symlink_metadata(file).ok()).map(|m| m.blocks() * 512).sum()
}

/// Copies files and folders, nothing else.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// `len` bytes that no compression shortens, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// Peak resident memory of a process, bytes.
pub fn peak_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
