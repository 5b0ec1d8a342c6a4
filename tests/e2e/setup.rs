//! `walrusfs setup` and `walrusfs doctor`, with and without somebody at a terminal.

use crate::harness::{Machine, run};
use nix::pty::openpty;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A program with a terminal of its own, and what it showed there.
pub struct Terminal {
    child: std::process::Child,
    keyboard: File,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    pub fn start(wanted: Command) -> Self {
        let pty = openpty(None, None).unwrap();
        let side = |fd: &OwnedFd| Stdio::from(fd.as_fd().try_clone_to_owned().unwrap());
        // setsid(1) makes it the controlling terminal: what is typed without echo is read from there.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(wanted.get_program()).args(wanted.get_args());
        command.envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        command.stdin(side(&pty.slave)).stderr(side(&pty.slave)).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        drop((command, pty.slave));
        let keyboard = File::from(pty.master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut screen, kept) = (keyboard.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The read fails when the last program has closed its side.
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { child, keyboard, shown }
    }

    pub fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until the screen has shown `words` once more than at the last answer, then types `answer`.
    pub fn answer(&mut self, words: &str, answer: &str) {
        let started = Instant::now();
        loop {
            let shown = self.shown();
            if shown.contains(words) {
                break;
            }
            if started.elapsed() > Duration::from_secs(60) {
                let _ = self.child.kill();
                panic!("never asked `{words}`:\n{shown}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
        // What was asked before is not asked again.
        let mut shown = self.shown.lock().unwrap();
        let end = shown.find(words).unwrap() + words.len();
        let seen = shown.split_off(end);
        *shown = seen;
    }

    pub fn end(mut self) -> (i32, String, String) {
        let mut stdout = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        (code, text(&stdout), self.shown())
    }
}

#[test]
fn a_person_is_walked_through() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let mut terminal = Terminal::start(machine.command(&["setup"]));
    terminal.answer("Network [local]: ", "nonsense");
    terminal.answer("there is no network `nonsense`", "");
    terminal.answer("Wallet [1]: ", "9");
    terminal.answer("1 to 3, please", "1");
    // The words are on the screen; the last one is asked for.
    let started = Instant::now();
    let words = loop {
        let shown = terminal.shown();
        if shown.contains("Word 12: ") {
            let words: Vec<String> = shown
                .lines()
                .filter_map(|line| line.trim().split_once(". "))
                .filter(|(number, _)| number.parse::<u8>().is_ok())
                .map(|(_, word)| word.trim().to_owned())
                .collect();
            break words;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{shown}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(words.len(), 12, "{words:?}");
    assert!(terminal.shown().contains("\x1b[?1049h"), "on a screen that leaves no history");
    assert!(!machine.home().join("keys/wallet.key").exists(), "no wallet before the words were written down");
    terminal.answer("Word 12: ", "wrong");
    terminal.answer("Word 12: ", &words[11]);
    terminal.answer("Drive [default]: ", "films");
    terminal.answer("Size [50G]: ", "a lot");
    terminal.answer("is not a size", "2G");
    terminal.answer("Epochs [", "3");
    terminal.answer("Pay ", "yes");
    let (code, stdout, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    let id = stdout.trim();
    assert!(id.starts_with("0x") && id.len() == 66, "stdout is the drive's id and nothing else: {stdout}");
    assert!(shown.contains("walrusfs mount films ~/walrus"), "{shown}");
    let info = machine.json(&["drive", "info", "films", "--json"]);
    assert_eq!(info["id"], id);
    let status = machine.json(&["devnet", "status", "--json"]);
    assert_eq!(info["end_epoch"].as_u64().unwrap(), status["epoch"].as_u64().unwrap() + 3);

    // The same words make the same wallet on another machine.
    let other = Machine::new();
    let network = other.path("network.toml");
    fs::write(&network, machine.ok(&["devnet", "status", "--network-file"])).unwrap();
    let mut terminal = Terminal::start(other.command(&["setup", "--network", network.to_str().unwrap()]));
    terminal.answer("Wallet [1]: ", "2");
    terminal.answer("Recovery phrase (not shown): ", &words.join(" "));
    terminal.answer("This wallet has drives already", "nothing");
    terminal.answer("Size [50G]: ", "1G");
    terminal.answer("Epochs [", "1");
    terminal.answer("Pay ", "no");
    let (code, _, shown) = terminal.end();
    assert!(code == 2 && shown.contains("nothing was paid"), "{shown}");
    assert_eq!(other.ok(&["wallet", "address"]), machine.ok(&["wallet", "address"]));
    assert_eq!(machine.json(&["drive", "list", "--json"]).as_array().unwrap().len(), 1);

    // What was set up can be mounted.
    let point = machine.mount_with(&["films"]);
    fs::write(point.join("file"), "content").unwrap();
    machine.umount(&point);
}

#[test]
fn a_script_takes_the_usual_answers_and_running_it_again_changes_nothing() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let refused = machine.run(&["setup"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("--yes"));
    let phrase = machine.path("phrase");
    let args = ["setup", "--yes", "--json", "--size", "1G", "--epochs", "2", "--wallet", "new", "--phrase-file"];
    let done = machine.json(&[&args[..], &[phrase.to_str().unwrap()]].concat());
    assert_eq!((&done["label"], &done["made"]), (&"default".into(), &true.into()), "{done}");
    assert!(std::path::Path::new(done["key_file"].as_str().unwrap()).exists());
    // A gigabyte of content in full packs, and the reserve.
    let capacity = done["capacity_bytes"].as_u64().unwrap();
    assert!((4_200_000_000..4_300_000_000).contains(&capacity), "{capacity}");
    assert_eq!(fs::metadata(&phrase).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&phrase).unwrap().split(' ').count(), 12);
    let before = machine.json(&["wallet", "balance", "--json"]);
    let again = machine.json(&["setup", "--yes", "--json"]);
    assert_eq!((&again["drive"], &again["made"]), (&done["drive"], &false.into()));
    assert_eq!(machine.json(&["wallet", "balance", "--json"]), before, "nothing was paid twice");
    assert_eq!(machine.json(&["drive", "list", "--json"]).as_array().unwrap().len(), 1);
    // What was asked for fits.
    let point = machine.mount();
    let fits = machine.status(&point)["capacity_bytes"].as_u64().unwrap();
    assert!((1 << 30..(1 << 30) + (256 << 20)).contains(&fits), "{fits}");
    machine.umount(&point);
}

/// On a network where nothing is free, the price is shown and nothing is made while the wallet is empty; afterwards setup goes on.
#[test]
fn an_empty_wallet_is_told_what_to_send_and_setup_goes_on_afterwards() {
    let machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let file = machine.path("priced.toml");
    let text_of = machine.ok(&["devnet", "status", "--network-file"]);
    let priced: String =
        text_of.lines().filter(|line| !line.starts_with("faucet_url")).map(|line| format!("{line}\n")).collect();
    fs::write(&file, priced).unwrap();
    let phrase = machine.path("phrase");
    let args =
        ["setup", "--yes", "--network", file.to_str().unwrap(), "--size", "1G", "--epochs", "2", "--wallet", "new"];
    let careless = machine.run(&args);
    assert!(careless.status.code() == Some(1) && text(&careless.stderr).contains("--phrase-file"));
    let args = [&args[..], &["--phrase-file", phrase.to_str().unwrap()]].concat();
    let poor = machine.run(&args);
    let said = text(&poor.stderr);
    assert_eq!(poor.status.code(), Some(5), "{said}");
    let address = machine.ok(&["wallet", "address"]);
    for words in [" WAL for ", " SUI; most of it is for keeping", "paid until", "send ", address.trim()] {
        assert!(said.contains(words), "no `{words}` in: {said}");
    }
    assert_eq!(
        machine.json(&["drive", "list", "--json", "--network", file.to_str().unwrap()]).as_array().unwrap().len(),
        0
    );
    machine.ok(&["wallet", "fund"]);
    assert!(machine.ok(&args).starts_with("0x"));
    let configured = machine.json(&["config", "show", "--json"]);
    let network = configured.as_array().unwrap().iter().find(|row| row["name"] == "network").unwrap();
    assert_eq!(network["value"].as_str().unwrap(), file.to_str().unwrap(), "no command needs --network now");
}

fn findings(machine: &Machine, args: &[&str]) -> (i32, Vec<serde_json::Value>) {
    let output = machine.run(&[&["doctor", "--json"], args].concat());
    let code = output.status.code().unwrap();
    let found: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (code, found.as_array().unwrap().clone())
}

fn found<'a>(findings: &'a [serde_json::Value], check: &str) -> &'a serde_json::Value {
    findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no `{check}`: {findings:#?}"))
}

#[test]
fn the_doctor_finds_what_is_broken_and_says_how_to_mend_it() {
    let mut machine = Machine::new();
    let (_, before) = findings(&machine, &[]);
    assert_eq!(found(&before, "network")["state"], "skipped", "nothing is started by looking");
    assert!(!machine.home().join("devnet").exists() && !machine.home().join("keys").exists());

    machine.ok(&["devnet", "up", "--nodes", "4", "--shards", "10"]);
    let point = machine.mount();
    let (code, healthy) = findings(&machine, &[]);
    let bad: Vec<_> = healthy.iter().filter(|finding| finding["state"] == "failed").collect();
    assert!(code == 0 && bad.is_empty(), "{bad:#?}");
    for check in
        ["configuration", "fuse device", "kernel", "keys folder", "cache disk", "chain", "clock", "nodes", "balance"]
    {
        assert_eq!(found(&healthy, check)["state"], "ok", "{check}");
    }
    assert!(found(&healthy, "drives")["found"].as_str().unwrap().starts_with("default: paid for"));

    // Broken one by one, each seen.
    let expect = |machine: &Machine, check: &str, state: &str, words: &str| {
        let (code, all) = findings(machine, &[]);
        let finding = all.iter().find(|finding| finding["check"] == check && finding["state"] == state);
        let finding = finding.unwrap_or_else(|| panic!("{check} is not {state}: {all:#?}"));
        assert!(finding["mend"].as_str().unwrap().contains(words), "{finding}");
        assert_eq!(code, if state == "failed" { 2 } else { 0 }, "{check}");
    };
    machine.node(0, &["stop"]);
    expect(&machine, "nodes", "warning", "nothing");
    machine.node(1, &["stop"]);
    machine.node(2, &["stop"]);
    expect(&machine, "nodes", "failed", "firewall");
    (0..3).for_each(|node| machine.node(node, &["start"]));

    let config = machine.home().join("config/config.toml");
    fs::write(&config, "cache_sise = 1\n").unwrap();
    expect(&machine, "configuration", "failed", "config edit");
    fs::remove_file(&config).unwrap();

    let key = machine.home().join("keys/wallet.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    expect(&machine, "keys folder", "failed", "chmod 600");
    expect(&machine, "wallet", "failed", "setup");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(machine.home().join("keys"), fs::Permissions::from_mode(0o755)).unwrap();
    expect(&machine, "keys folder", "warning", "chmod 700");
    fs::set_permissions(machine.home().join("keys"), fs::Permissions::from_mode(0o700)).unwrap();

    let mut lost = machine.command(&["doctor", "--json"]);
    lost.env("WALRUSFS_CACHE_SIE", "1G");
    let all: serde_json::Value = serde_json::from_slice(&run(lost, Duration::from_secs(60)).stdout).unwrap();
    assert_eq!(found(all.as_array().unwrap(), "environment")["state"], "warning");

    let pid = nix::unistd::Pid::from_raw(machine.pid(&point));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    crate::harness::wait_until("the mount process is gone", Duration::from_secs(10), || {
        nix::sys::signal::kill(pid, None).is_err()
    });
    expect(&machine, "mounts", "failed", "walrusfs umount");
    machine.ok(&["umount", point.to_str().unwrap()]);

    let network = machine.path("network.toml");
    fs::write(&network, machine.ok(&["devnet", "status", "--network-file"])).unwrap();
    machine.ok(&["devnet", "down"]);
    let (code, all) = findings(&machine, &["--network", network.to_str().unwrap()]);
    assert_eq!((code, &found(&all, "chain")["state"]), (2, &"failed".into()));
    assert!(found(&all, "chain")["mend"].as_str().unwrap().contains("firewall"));
}

/// A machine without the device, as a container often is: everything else is still looked at.
#[test]
fn the_doctor_works_where_fuse_does_not() {
    let machine = Machine::new();
    let program = env!("CARGO_BIN_EXE_walrusfs");
    // Mounts of other tests came along with the namespace and would be kept alive by it.
    let let_go = "for p in $(grep ' - fuse.walrusfs ' /proc/self/mountinfo | cut -d' ' -f5); do umount -i -l $p; done";
    let script = format!("{let_go}; mount --bind /dev/null /dev/fuse && exec '{program}' doctor");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.env("WALRUSFS_HOME", machine.home()).stdin(Stdio::null());
    let output = run(command, Duration::from_secs(60));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{stdout}{stderr}");
    assert!(stdout.contains("FAIL  fuse device") && stdout.contains("--device /dev/fuse"), "{stdout}");
    assert!(!stdout.contains('\x1b'), "no colours without a terminal");
    assert!(stderr.contains("1 of "), "{stderr}");
}
