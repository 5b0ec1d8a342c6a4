//! What scripts, mount(8) and /etc/fstab rely on: forms, exit codes and messages (docs/cli-abi.md, docs/exit-codes.md).

use crate::harness::{Machine, is_mounted, run};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the program as if it had been called `name`.
fn called(machine: &Machine, name: &str, args: &[&str]) -> Output {
    let mut command = machine.command(args);
    command.arg0(name);
    run(command, Duration::from_secs(60))
}

#[test]
fn usage_errors_are_1_and_help_is_0() {
    let machine = Machine::new();
    for args in [
        &[][..],
        &["mount"],
        &["mount", "a", "b", "c"],
        &["frobnicate"],
        &["mount", "media", "/nonexistent", "-o", "key_fil=/k"],
        &["mount", "a@snapshot", "/nonexistent"],
        &["umount", "/tmp", "--no-wait", "--timeout", "3"],
        &["drive", "resize", "x", "--capacity", "ten"],
    ] {
        let output = machine.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", stderr(&output));
        assert!(!output.stderr.is_empty(), "{args:?} says why");
    }
    for args in [&["--help"][..], &["mount", "--help"], &["--version"]] {
        let output = machine.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("walrusfs"), "{args:?}");
    }
}

#[test]
fn a_mount_point_must_exist_and_be_a_free_folder() {
    let machine = Machine::new();
    let file = machine.path("file");
    fs::write(&file, "").unwrap();
    for (point, code, word) in [
        (machine.path("missing"), 11, "does not exist"),
        (file, 2, "not a folder"),
        ("/proc".into(), 10, "already a mount point"),
    ] {
        let output = machine.run(&["mount", point.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(code), "{}: {}", point.display(), stderr(&output));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
    assert!(!machine.home().join("devnet/chain").exists(), "no network is started for a mount that cannot be");
}

#[test]
fn the_folder_that_the_readme_mounts_on_is_made() {
    let mut machine = Machine::new();
    let point = machine.home().join("walrus");
    machine.mount_at(&point, &[]);
    machine.umount(&point);
    assert!(point.is_dir(), "the mount point stays");
}

#[test]
fn what_is_not_mounted_cannot_be_asked_or_unmounted() {
    let machine = Machine::new();
    let folder = machine.path("folder");
    fs::create_dir(&folder).unwrap();
    for command in ["umount", "sync", "status"] {
        let output = machine.run(&[command, folder.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(11), "{command}: {}", stderr(&output));
        assert!(stderr(&output).contains("no walrusfs drive is mounted"), "{command}: {}", stderr(&output));
    }
    assert_eq!(machine.json(&["status", "--json"]), serde_json::json!([]));
}

#[test]
fn helpers_speak_the_codes_of_mount_8() {
    let machine = Machine::new();
    let folder = machine.path("folder");
    fs::create_dir(&folder).unwrap();
    let point = folder.to_str().unwrap();
    let missing = machine.path("missing");
    let missing = missing.to_str().unwrap();
    for (name, args, code) in [
        ("mount.walrusfs", &["media", point, "-o", "rw"][..], 1),
        ("mount.walrusfs", &["walrus:a", point, "-o", "bogus"], 1),
        ("mount.walrusfs", &["walrus:a", missing, "-o", "rw"], 32),
        ("mount.fuse.walrusfs", &["walrus:a", missing, "-n", "-v", "-o", "rw,_netdev,nofail"], 32),
        ("umount.walrusfs", &[point], 32),
        ("umount.fuse.walrusfs", &[point, "-t", "fuse.walrusfs"], 32),
        ("umount.walrusfs", &[], 1),
        // -f is fake: everything but the mount.
        ("mount.walrusfs", &["walrus:a", point, "-s", "-f", "-n", "-v", "-o", "rw,bogus"], 0),
        ("walrusfs", &["walrus:a", missing, "-o", "rw,dev,suid"], 32),
    ] {
        let output = called(&machine, name, args);
        assert_eq!(output.status.code(), Some(code), "{name} {args:?}: {}", stderr(&output));
    }
    assert!(!is_mounted(&folder));
}

#[test]
fn a_network_that_is_down_is_named() {
    let machine = Machine::new();
    let point = machine.path("point");
    fs::create_dir(&point).unwrap();
    // A port that was free a moment ago: nobody answers there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = machine.path("down.toml");
    let id = |digit: &str| format!("0x{}", digit.repeat(64));
    fs::write(
        &file,
        format!(
            "name = \"down\"\nrpc_urls = [\"http://127.0.0.1:{port}\"]\nfaucet_url = \"http://127.0.0.1:{port}\"\nsystem_object = \"{}\"\nstaking_object = \"{}\"\n\
             drive_package = \"{}\"\n",
            id("1"),
            id("2"),
            id("3")
        ),
    )
    .unwrap();
    let output = machine.run(&["mount", "--network", file.to_str().unwrap(), point.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(!is_mounted(&point));
    let output = machine.run(&["mount", "--network", "moonnet", point.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(11), "{}", stderr(&output));
    assert!(stderr(&output).contains("moonnet"));
}

#[test]
fn a_mount_in_a_pipe_ends_and_the_mount_stays() {
    let mut machine = Machine::new();
    let point = machine.mount_point();
    let mut shell = Command::new("timeout");
    shell
        .args(["60", "sh", "-c", "\"$0\" mount \"$1\" | cat", env!("CARGO_BIN_EXE_walrusfs")])
        .arg(&point)
        .env("WALRUSFS_HOME", machine.home())
        .stdin(Stdio::null());
    let output = run(shell, Duration::from_secs(70));
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stderr(&output), machine.logs());
    assert!(is_mounted(&point), "{}", machine.logs());
    fs::write(point.join("file"), "content").unwrap();

    let status = machine.status(&point);
    let pid = status["pid"].as_i64().unwrap();
    for number in 0..3 {
        let target = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        assert!(!target.to_string_lossy().starts_with("pipe:"), "descriptor {number} is {}", target.display());
    }
    for field in [
        "pid",
        "drive",
        "network",
        "sequence",
        "dirty_bytes",
        "pending_bytes",
        "certified_at",
        "capacity_bytes",
        "used_bytes",
        "expires_at",
        "cache_bytes",
    ] {
        assert!(status.get(field).is_some(), "status has no {field}: {status}");
    }
    assert_eq!(status["drive"], "walrus:default");
    let all = machine.json(&["status", "--json"]);
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");

    // In use: nothing happens, and the code says so.
    let busy = fs::File::open(point.join("file")).unwrap();
    let output = machine.run(&["umount", point.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    assert!(is_mounted(&point));
    drop(busy);
    let again = machine.run(&["mount", point.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(10), "mounted twice: {}", stderr(&again));
    machine.umount(&point);
    crate::harness::wait_until("the process ends", Duration::from_secs(5), || {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), None).is_err()
    });
}

#[test]
fn drives_that_do_not_exist_or_do_not_open() {
    let mut machine = Machine::with_network(&[]);
    let point = machine.mount_point();
    let output = machine.run(&["mount", "nosuch", point.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(11), "{}", stderr(&output));
    assert!(stderr(&output).contains("nosuch"));

    let passphrase = machine.path("passphrase");
    fs::write(&passphrase, "correct horse battery staple walrus 42\n").unwrap();
    machine.ok(&[
        "drive",
        "create",
        "locked",
        "--capacity",
        "8G",
        "--yes",
        "--passphrase-file",
        passphrase.to_str().unwrap(),
    ]);
    let wrong = machine.path("wrong");
    fs::write(&wrong, "incorrect horse battery staple walrus 42\n").unwrap();
    let option = format!("passphrase_file={}", wrong.display());
    let output = machine.run(&["mount", "locked", point.to_str().unwrap(), "-o", &option]);
    assert!(matches!(output.status.code(), Some(3 | 11)), "{}: {}", output.status, stderr(&output));
    let text = fs::read_to_string(&wrong).unwrap();
    assert!(!machine.logs().contains(text.trim()), "a passphrase in a log");
    assert!(!is_mounted(&point));

    let option = format!("passphrase_file={}", passphrase.display());
    machine.mount_at(&point, &["locked", "-o", &option]);
    fs::write(point.join("a"), "a").unwrap();
    machine.umount(&point);
}

#[test]
fn a_signal_unmounts_and_a_killed_mount_is_cleared() {
    let mut machine = Machine::new();
    let point = machine.mount();
    fs::write(point.join("a"), "a").unwrap();
    let pid = nix::unistd::Pid::from_raw(machine.pid(&point));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    crate::harness::wait_until("SIGTERM unmounts", Duration::from_secs(70), || {
        !is_mounted(&point) && nix::sys::signal::kill(pid, None).is_err()
    });

    machine.mount_at(&point, &[]);
    assert_eq!(fs::read(point.join("a")).unwrap(), b"a");
    let pid = nix::unistd::Pid::from_raw(machine.pid(&point));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    crate::harness::wait_until("the connection is dead", Duration::from_secs(10), || {
        nix::sys::statvfs::statvfs(&point) == Err(nix::errno::Errno::ENOTCONN)
    });
    machine.mount_at(&point, &[]);
    assert_eq!(fs::read(point.join("a")).unwrap(), b"a");

    // Taken away behind the program's back: the process notices and ends within five seconds.
    let pid = nix::unistd::Pid::from_raw(machine.pid(&point));
    nix::mount::umount2(&point, nix::mount::MntFlags::empty()).unwrap();
    crate::harness::wait_until("the process ends", Duration::from_secs(6), || {
        nix::sys::signal::kill(pid, None).is_err()
    });
}

/// Whoever removes or moves the cache or the state after `umount` does it to files that nobody uses.
#[test]
fn umount_returns_when_the_process_has_ended() {
    let mut machine = Machine::new();
    let mount = machine.mount();
    fs::write(mount.join("file"), vec![7; 3 << 20]).unwrap();
    for _ in 0..4 {
        machine.umount(&mount);
        fs::remove_dir_all(machine.home().join("cache")).unwrap();
        machine.mount_at(&mount, &[]);
        // What was fetched is on its way to the cache's disk.
        assert!(fs::read(mount.join("file")).unwrap() == vec![7; 3 << 20]);
        let pid = machine.pid(&mount);
        machine.umount(&mount);
        let open = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        assert_eq!(open, 0, "the process still has files open");
        machine.mount_at(&mount, &[]);
    }
    machine.umount(&mount);
}

/// A script must not take a part for the whole: what did not get to stdout is a failure, unless its reader wanted no more.
#[test]
fn what_cannot_be_written_to_stdout_is_a_failure() {
    let machine = Machine::new();
    for args in [&["config", "show", "--json"][..], &["status"], &["completions", "bash"], &["--help"], &["--version"]]
    {
        let mut command = machine.command(args);
        command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
        let output = run_with_stdout(command);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("cannot write to stdout"), "{args:?}: {}", stderr(&output));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = machine.command(args);
        command.stdout(writer);
        assert_eq!(run_with_stdout(command).status.code(), Some(0), "{args:?} with a reader that is gone");
    }
}

/// With the stdout that it has.
fn run_with_stdout(mut command: Command) -> Output {
    command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn a_misspelt_variable_is_refused_and_what_only_looks_makes_nothing() {
    let machine = Machine::new();
    let mut command = machine.command(&["config", "show"]);
    command.env("WALRUSFS_CACHE_SIEZ", "3G");
    let output = run(command, Duration::from_secs(20));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("did you mean `WALRUSFS_CACHE_SIZE`"), "{}", stderr(&output));
    for args in [&["config", "path"][..], &["config", "show"], &["status"]] {
        machine.ok(args);
    }
    assert!(fs::read_dir(machine.home()).unwrap().next().is_none(), "nothing was made");
}

/// An empty drive in the place of the one that was meant would look like a loss.
#[test]
fn no_drive_is_made_where_one_should_be() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let point = machine.mount_point();
    let path = point.to_str().unwrap().to_owned();
    let refused = |machine: &Machine, args: &[&str], words: &str| {
        let output = machine.run(&[&["mount"], args, &[path.as_str()]].concat());
        assert_eq!(output.status.code(), Some(11), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    };
    refused(&machine, &["--read-only"], "a read-only mount makes none");
    machine.mount_at(&point, &[]);
    machine.umount(&point);
    // The keys of another network, or of a local one that is lost.
    let mut other = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    fs::create_dir_all(other.home().join("keys")).unwrap();
    for key in crate::harness::files(&machine.home().join("keys")) {
        fs::copy(&key, other.home().join("keys").join(key.file_name().unwrap())).unwrap();
    }
    refused(&other, &[], "is it the right network");
    other.ok(&["drive", "create", "default", "--capacity", "4G", "--yes"]);
    other.mount_at(&point, &[]);
    other.umount(&point);
}
