//! How mounts end, and what signals tell a mount process.

use crate::documents::in_sandbox;
use crate::harness::{Machine, is_mounted, noise, run, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn small() -> Machine {
    Machine::with_network(&["--nodes", "4", "--shards", "10"])
}

fn stop_nodes(machine: &Machine) {
    (0..4).for_each(|n| machine.node(n, &["stop"]));
}

fn start_nodes(machine: &Machine) {
    (0..4).for_each(|n| machine.node(n, &["start"]));
}

fn tell(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

/// `walrusfs mount --foreground`, once it is mounted.
fn foreground(machine: &Machine, point: &Path) -> Child {
    let mut command = machine.command(&["mount", point.to_str().unwrap(), "--foreground"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("it is mounted", Duration::from_secs(60), || is_mounted(point));
    child
}

fn code_of(mut child: Child) -> Option<i32> {
    wait_until("the process has ended", Duration::from_secs(90), || child.try_wait().unwrap().is_some());
    child.wait().unwrap().code()
}

/// Everything that this machine knows is forgotten; what the network has is compared.
fn certified(machine: &mut Machine, point: &Path, name: &str, content: &[u8]) {
    machine.forget_state();
    machine.mount_at(point, &["--read-only"]);
    assert!(fs::read(point.join(name)).unwrap() == content, "{name}");
    machine.umount(point);
}

#[test]
fn hangup_reads_the_configuration_again_and_opens_the_log_anew() {
    let mut machine = small();
    let log = machine.path("mount.log");
    let point = machine.mount_with(&["-o", &format!("log={},cache_size=2G", log.display())]);
    let pid = machine.pid(&point);
    let text = || fs::read_to_string(&log).unwrap_or_default();
    let hang_up = |what: &str| {
        tell(pid, Signal::SIGHUP);
        wait_until(what, Duration::from_secs(20), || text().contains(what));
        assert!(is_mounted(&point) && machine.pid(&point) == pid, "it serves on");
    };
    fs::write(point.join("before"), "1").unwrap();
    assert!(!text().contains("DEBUG"), "{}", text());
    machine.ok(&["config", "set", "log_level", "debug"]);
    // As logrotate does it.
    fs::rename(&log, machine.path("mount.log.1")).unwrap();
    hang_up("the configuration was read again");
    fs::write(point.join("after"), "2").unwrap();
    machine.sync(&point);
    wait_until("more is said than before", Duration::from_secs(20), || text().contains("DEBUG"));

    machine.ok(&["config", "set", "cache_size", "3G"]);
    machine.ok(&["config", "set", "timeout", "17"]);
    hang_up("in force from the next mount on: timeout");
    fs::write(machine.home().join("config/config.toml"), "cache_sise = \"1G\"\n").unwrap();
    hang_up("cannot be read again, nothing has changed");
    assert!(text().contains("did you mean `cache_size`"), "{}", text());

    tell(pid, Signal::SIGUSR1);
    let marker = "as SIGUSR1 asked: ";
    wait_until("the state is in the log", Duration::from_secs(20), || text().contains(marker));
    let said = text();
    let state = said.split_once(marker).unwrap().1.lines().next().unwrap();
    let state: serde_json::Value = serde_json::from_str(&state[..=state.rfind('}').unwrap()]).unwrap();
    assert_eq!((&state["pid"], &state["state"]), (&pid.into(), &"mounted".into()));
    fs::remove_file(machine.home().join("config/config.toml")).unwrap();
    machine.umount(&point);
}

/// A terminal that goes away takes its mount with it as SIGTERM does: unmounted, certified, nothing dead left.
#[test]
fn a_mount_in_the_foreground_ends_with_its_terminal() {
    let mut machine = small();
    let point = machine.mount_point();
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = machine.command(&["mount", point.to_str().unwrap(), "--foreground"]);
    let child = command.stdin(pty.slave).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    wait_until("it is mounted", Duration::from_secs(60), || is_mounted(&point));
    fs::write(point.join("file"), noise(1, 300_000)).unwrap();
    tell(pid_of(&child), Signal::SIGHUP);
    assert_eq!(code_of(child), Some(0));
    assert!(!is_mounted(&point) && fs::read_dir(&point).unwrap().next().is_none(), "nothing dead is left");
    certified(&mut machine, &point, "file", &noise(1, 300_000));
}

/// S-END-3. Without the network an unmount still says what became of the data, in the words and numbers that are promised.
#[test]
fn an_unmount_without_the_network_says_that_the_data_is_safe() {
    let mut machine = small();
    let point = machine.mount();
    let path = point.to_str().unwrap().to_owned();
    machine.ok(&["devnet", "down"]);
    fs::write(point.join("one"), noise(1, 3 << 20)).unwrap();
    let output = machine.run(&["umount", &path, "--timeout", "2"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(9), "{said}");
    assert!(said.contains("3.0 MiB are safe in the journal") && !is_mounted(&point), "{said}");

    // To mount is to start the local network.
    machine.mount_at(&point, &[]);
    machine.ok(&["devnet", "down"]);
    fs::write(point.join("two"), noise(2, 2 << 20)).unwrap();
    machine.ok(&["umount", &path, "--no-wait"]);
    assert!(!is_mounted(&point));

    let child = foreground(&machine, &point);
    machine.ok(&["devnet", "down"]);
    fs::write(point.join("three"), noise(3, 1 << 20)).unwrap();
    let pid = pid_of(&child);
    tell(pid, Signal::SIGINT);
    wait_until("the first takes the mount away", Duration::from_secs(30), || !is_mounted(&point));
    std::thread::sleep(Duration::from_secs(3));
    tell(pid, Signal::SIGINT);
    assert_eq!(code_of(child), Some(130), "the second one ends it");

    machine.ok(&["devnet", "up"]);
    machine.mount_at(&point, &[]);
    machine.umount(&point);
    certified(&mut machine, &point, "one", &noise(1, 3 << 20));
    certified(&mut machine, &point, "two", &noise(2, 2 << 20));
    certified(&mut machine, &point, "three", &noise(3, 1 << 20));
}

/// S-END-2. Who asks for the end while it is under way waits with the first and hears the same; one signal in between does not cut it short.
#[test]
fn those_who_unmount_at_once_hear_the_same() {
    let mut machine = small();
    let point = machine.mount();
    stop_nodes(&machine);
    fs::write(point.join("file"), noise(1, 2 << 20)).unwrap();
    let pid = machine.pid(&point);
    let path = point.to_str().unwrap();
    let umount = |timeout: &str| {
        machine.command(&["umount", path, "--timeout", timeout]).stderr(Stdio::piped()).spawn().unwrap()
    };
    let first = umount("100");
    wait_until("the mount is gone", Duration::from_secs(30), || !is_mounted(&point));
    let (second, impatient) = (umount("100"), umount("2"));
    assert_eq!(code_of(impatient), Some(9), "everybody waits for as long as they said");
    assert_eq!(machine.json(&["status", "--json"])[0]["state"], "draining");
    tell(pid, Signal::SIGTERM);
    std::thread::sleep(Duration::from_secs(3));
    assert!(kill(Pid::from_raw(pid), None).is_ok(), "the first signal shortens the wait, and no more");
    start_nodes(&machine);
    assert_eq!((code_of(first), code_of(second)), (Some(0), Some(0)));
    certified(&mut machine, &point, "file", &noise(1, 2 << 20));
}

/// S-END-1. umount(8): "detach the filesystem now, and clean up all references as soon as it is not busy anymore".
#[test]
fn what_is_detached_lazily_is_served_until_nobody_uses_it() {
    let mut machine = small();
    let point = machine.mount();
    let path = point.to_str().unwrap().to_owned();
    let mut file = fs::File::create(point.join("file")).unwrap();
    file.write_all(&noise(1, 100_000)).unwrap();
    machine.ok(&["umount", &path, "--lazy"]);
    assert!(!is_mounted(&point));
    std::thread::sleep(Duration::from_secs(4));
    file.write_all(&noise(2, 100_000)).expect("who has it open works on");
    file.sync_all().unwrap();
    let pid = machine.json(&["status", "--json"])[0]["pid"].as_i64().unwrap();
    drop(file);
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    wait_until("the process has ended", Duration::from_secs(60), || kill(pid, None).is_err());
    let both = [noise(1, 100_000), noise(2, 100_000)].concat();
    certified(&mut machine, &point, "file", &both);

    // Whoever mounts the drive again gets it; programs on the old mount lose it.
    machine.mount_at(&point, &[]);
    let mut old = fs::File::create(point.join("other")).unwrap();
    old.write_all(b"before").unwrap();
    old.sync_all().unwrap();
    machine.ok(&["umount", &path, "--lazy"]);
    let begun = Instant::now();
    machine.mount_at(&point, &[]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(fs::read(point.join("other")).unwrap(), b"before");
    let refused = old.write_all(b"after").and_then(|()| old.sync_all()).unwrap_err();
    assert!(matches!(refused.raw_os_error(), Some(libc::ENOTCONN | libc::EIO | libc::ECONNABORTED)), "{refused}");
    machine.umount(&point);
}

/// S-END-4. A mount process that does not answer keeps nobody from taking its mount away.
#[test]
fn a_mount_whose_process_hangs_can_be_taken_away() {
    let mut machine = small();
    for how in [&["umount", "--lazy", "--no-wait"][..], &["umount.walrusfs", "-f", "-l"]] {
        let point = machine.mount();
        fs::write(point.join("file"), "content").unwrap();
        machine.sync(&point);
        let pid = machine.pid(&point);
        tell(pid, Signal::SIGSTOP);
        let begun = Instant::now();
        let command = match how {
            ["umount.walrusfs", flags @ ..] => {
                let link = machine.path("umount.walrusfs");
                let _ = fs::remove_file(&link);
                std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_walrusfs"), &link).unwrap();
                let mut command = std::process::Command::new(link);
                command.env("WALRUSFS_HOME", machine.home()).arg(&point).args(flags);
                command
            }
            _ => machine.command(&[how, &[point.to_str().unwrap()]].concat()),
        };
        let output = run(command, Duration::from_secs(50));
        assert!(output.status.success() && !is_mounted(&point), "{how:?}: {output:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{how:?} took {:?}", begun.elapsed());
        tell(pid, Signal::SIGKILL);
    }
}

/// An automount point is what systemd makes of `x-systemd.automount`: the kernel holds up whoever looks until the mount is there, and lets
/// only the group through that mounts it.
#[test]
fn an_automount_point_is_mounted_when_somebody_looks_and_unmounted_later() {
    let machine = Machine::new();
    let script = include_str!("automount.py");
    fs::write(machine.path("automount.py"), script).unwrap();
    let sandbox = include_str!("sandbox.sh");
    let script = machine.path("automount.py");
    let output = in_sandbox(
        &machine,
        &format!(
            "{sandbox}\nmkdir -p /srv/media\nmount-helpers/install.sh install \"$PROGRAM\"\nwalrusfs mount ~/walrus\nwalrusfs umount ~/walrus\n\
             python3 {} /srv/media walrus:default\nwalrusfs mount ~/walrus\ncat ~/walrus/file\nls ~/walrus\n",
            script.display()
        ),
    );
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.ends_with("looked: ['file']\nexpired\nfile\n"), "{stdout}\n{stderr}");
}
