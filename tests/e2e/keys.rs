//! What opens a drive: the same secrets for every command, and their slots.

use crate::harness::{Machine, is_mounted, noise, run};
use crate::setup::Terminal;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

const WORDS: &str = "orbit velvet canoe thimble static ugly";

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(machine: &Machine, name: &str, text: &str) -> String {
    let path = machine.path(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs `command`, which must end with `code`; what it printed.
fn ends(command: Command, code: i32) -> (String, String) {
    let shown = format!("{command:?}");
    let output = run(command, Duration::from_secs(120));
    assert_eq!(output.status.code(), Some(code), "{shown}: {}", stderr(&output));
    (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output))
}

#[test]
fn a_passphrase_drive_opens_for_every_command_as_for_a_mount() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let (right, wrong) = (file(&machine, "right", WORDS), file(&machine, "wrong", "orbit velvet canoe thimble static"));
    let create = ["drive", "create", "secret", "--capacity", "2G", "--epochs", "2", "--yes", "--passphrase-file"];
    machine.ok(&[&create[..], &[&right]].concat());
    let point = machine.mount_with(&["secret", "-o", &format!("passphrase_file={right}")]);
    fs::write(point.join("file"), noise(1, 100_000)).unwrap();
    machine.umount(&point);

    let commands: [&[&str]; 5] = [
        &["drive", "info", "secret"],
        &["drive", "extend", "secret", "--epochs", "1", "--yes"],
        &["drive", "key", "list", "secret"],
        &["fsck", "secret"],
        &["recover", "secret"],
    ];
    for args in commands {
        let (_, said) = ends(machine.command(args), 3);
        assert!(said.contains("--passphrase-file") && said.contains("--key-file"), "{args:?}: {said}");
        ends(machine.command(&[args, &["--passphrase-file", &wrong]].concat()), 3);
        ends(machine.command(&[args, &["--passphrase-file", "/nope/p"]].concat()), 11);
        ends(machine.command(&[args, &["--passphrase-file", &right]].concat()), 0);
        let mut with_variable = machine.command(args);
        with_variable.env("WALRUSFS_PASSPHRASE_FILE", &right);
        ends(with_variable, 0);
    }
    // Each `extend` that opened the drive bought an epoch; none of the others did.
    let info = machine.json(&["drive", "info", "secret", "--passphrase-file", &right, "--json"]);
    let epoch = machine.json(&["devnet", "status", "--json"])["epoch"].as_u64().unwrap();
    assert_eq!(info["end_epoch"].as_u64(), Some(epoch + 4), "{info}");

    // The list stays a list: what does not open is shown as locked.
    assert!(machine.ok(&["drive", "list"]).contains("locked"));
    assert!(machine.ok(&["drive", "list", "--passphrase-file", &wrong]).contains("locked"));
    assert!(machine.ok(&["drive", "list", "--passphrase-file", &right]).contains("secret"));

    // What systemd gives, the table of this drive in the configuration, and somebody at a terminal.
    let credentials = machine.path("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("walrusfs.passphrase"), WORDS).unwrap();
    let mut service = machine.command(&["drive", "info", "secret"]);
    service.env("CREDENTIALS_DIRECTORY", &credentials);
    ends(service, 0);
    let mut terminal = Terminal::start(machine.command(&["drive", "info", "secret"]));
    terminal.answer("passphrase of walrus:secret: ", WORDS);
    let (code, stdout, shown) = terminal.end();
    assert!(code == 0 && stdout.contains("paid until") && !shown.contains(WORDS), "{shown}");
    let mut terminal = Terminal::start(machine.command(&["drive", "info", "secret"]));
    terminal.answer("passphrase of walrus:secret: ", "something else");
    assert_eq!(terminal.end().0, 3);
    let config = machine.home().join("config/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, format!("[drive.secret]\npassphrase_file = \"{right}\"\n")).unwrap();
    ends(machine.command(&["drive", "info", "secret"]), 0);
    ends(machine.command(&["drive", "info", "secret", "--passphrase-file", &wrong]), 3);
    let mut wrong_variable = machine.command(&["fsck", "secret"]);
    wrong_variable.env("WALRUSFS_PASSPHRASE_FILE", &wrong);
    ends(wrong_variable, 3);
    let again = machine.json(&["setup", "--name", "secret", "--yes", "--json"]);
    assert_eq!(again["made"], false, "a drive of this name is not made twice");
    let mut doctor = machine.command(&["doctor", "--json"]);
    doctor.env("WALRUSFS_PASSPHRASE_FILE", &right);
    let found = String::from_utf8(run(doctor, Duration::from_secs(60)).stdout).unwrap();
    assert!(found.contains("secret: paid for"), "{found}");
    assert!(!machine.logs().contains(WORDS), "a passphrase in a log");
}

/// The kinds of a drive's slots, by index.
fn slots(machine: &Machine, args: &[&str]) -> Vec<(u64, String, bool)> {
    let list = machine.json(&[&["drive", "key", "list", "media", "--json"], args].concat());
    let row = |slot: &Value| {
        (
            slot["index"].as_u64().unwrap(),
            slot["kind"].as_str().unwrap().to_owned(),
            slot["opens_here"].as_bool().unwrap(),
        )
    };
    list.as_array().unwrap().iter().map(row).collect()
}

fn row(index: u64, kind: &str, opens: bool) -> (u64, String, bool) {
    (index, kind.to_owned(), opens)
}

#[test]
fn slots_come_and_go_and_keys_rotate() {
    let mut here = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let made = here.json(&["drive", "create", "media", "--capacity", "2G", "--yes", "--json"]);
    let key = PathBuf::from(made["key_file"].as_str().unwrap());
    let (words, contents) = (file(&here, "words", WORDS), [noise(1, 300_000), noise(2, 200_000), noise(3, 100_000)]);
    let with_words = format!("passphrase_file={words}");
    let point = here.mount_with(&["media"]);
    fs::write(point.join("first"), &contents[0]).unwrap();

    // Not beside a mount that writes: its next commit would stand on a state that is gone.
    let busy = here.run(&["drive", "key", "add", "media", "--new-passphrase-file", &words]);
    assert_eq!(busy.status.code(), Some(10), "{}", stderr(&busy));
    // What only the journal holds is committed before the slots change.
    fs::write(point.join("journaled"), &contents[1]).unwrap();
    here.ok(&["umount", point.to_str().unwrap(), "--no-wait"]);
    let weak = file(&here, "weak", "hello");
    ends(here.command(&["drive", "key", "add", "media", "--new-passphrase-file", &weak]), 3);
    let nobody = ends(here.command(&["drive", "key", "add", "media"]), 1).1;
    assert!(nobody.contains("--new-passphrase-file"), "{nobody}");
    let added = here.json(&["drive", "key", "add", "media", "--new-passphrase-file", &words, "--json"]);
    assert_eq!((&added["index"], &added["kind"]), (&1.into(), &"passphrase".into()));
    assert_eq!(slots(&here, &[]), [row(0, "key file", true), row(1, "passphrase", false)]);

    // Another machine with the wallet and without the key file mounts it with the passphrase.
    let mut there = here.elsewhere();
    let hidden = here.path("media.key");
    fs::rename(&key, &hidden).unwrap();
    fs::remove_file(there.home().join("keys").join(key.file_name().unwrap())).unwrap();
    let hidden = hidden.to_str().unwrap().to_owned();
    let network = there.path("network.toml").to_str().unwrap().to_owned();
    let elsewhere = there.mount_with(&["media", "-o", &with_words]);
    assert!(fs::read(elsewhere.join("first")).unwrap() == contents[0]);
    assert!(fs::read(elsewhere.join("journaled")).unwrap() == contents[1], "the journal went along");
    there.umount(&elsewhere);

    // The key file's slot goes, after a question; the last one stays.
    let remove = ["drive", "key", "remove", "media", "0", "--passphrase-file", &words];
    let refused = ends(here.command(&remove), 1).1;
    assert!(refused.contains("nothing was changed") && refused.contains("--yes"), "{refused}");
    ends(here.command(&["drive", "key", "remove", "media", "7", "--yes", "--passphrase-file", &words]), 11);
    let mut terminal = Terminal::start(here.command(&remove));
    terminal.answer("remove slot 0 (key file) of media? [y/N] ", "y");
    let (code, _, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(slots(&here, &["--passphrase-file", &words]), [row(1, "passphrase", true)]);
    ends(here.command(&["drive", "info", "media", "--key-file", &hidden]), 3);
    let last = here.run(&["drive", "key", "remove", "media", "1", "--yes", "--passphrase-file", &words]);
    assert!(last.status.code() == Some(2) && stderr(&last).contains("key add"), "{}", stderr(&last));

    // A new key file beside it. A rotation needs the secrets of all slots, or is told to leave the others out.
    let new = here.path("new.key").to_str().unwrap().to_owned();
    let network_args = ["--network", &network];
    let add = ["drive", "key", "add", "media", "--new-key-file", &new, "--passphrase-file", &words];
    here.ok(&add);
    assert!(fs::read_to_string(&new).unwrap().starts_with("walrusfs-key-1 "));
    let short = ends(here.command(&["drive", "key", "rotate", "media", "--passphrase-file", &words]), 3).1;
    assert!(short.contains("slot 2 (key file)") && short.contains("--drop-others"), "{short}");
    let both = ["--passphrase-file", &words, "--key-file", &new];
    let rotated = here.json(&[&["drive", "key", "rotate", "media", "--json"], &both[..]].concat());
    assert_eq!((&rotated["key_epoch"], &rotated["dropped"]), (&1.into(), &serde_json::json!([])), "{rotated}");
    assert_eq!(slots(&here, &both), [row(3, "key file", true), row(4, "passphrase", true)]);

    // Old and new content, on a machine that wrote before the rotation and on one that comes after it.
    here.mount_at(&point, &["media", "-o", &format!("key_file={new}")]);
    assert!(fs::read(point.join("first")).unwrap() == contents[0]);
    fs::write(point.join("third"), &contents[2]).unwrap();
    here.umount(&point);
    here.mount_at(&point, &["media", "-o", &with_words]);
    for (name, content) in ["first", "journaled", "third"].into_iter().zip(&contents) {
        assert!(fs::read(point.join(name)).unwrap() == *content, "{name}");
    }
    here.umount(&point);
    there.forget_state();
    there.mount_at(&elsewhere, &["media", "-o", &with_words]);
    for (name, content) in ["first", "journaled", "third"].into_iter().zip(&contents) {
        assert!(fs::read(elsewhere.join(name)).unwrap() == *content, "{name} elsewhere");
    }
    there.umount(&elsewhere);
    here.ok(&["fsck", "media", "--deep", "--key-file", &new]);

    // The removed key file still opens nothing, and a rotation that leaves a slot out leaves it out.
    ends(there.command(&[&["drive", "info", "media", "--key-file", &hidden], &network_args[..]].concat()), 3);
    let alone = ["drive", "key", "rotate", "media", "--key-file", &new, "--drop-others", "--json"];
    let rotated = here.json(&alone);
    assert_eq!(rotated["dropped"], serde_json::json!([4]), "{rotated}");
    ends(here.command(&["drive", "info", "media", "--passphrase-file", &words]), 3);
    ends(here.command(&["drive", "info", "media", "--key-file", &new]), 0);
    assert!(!is_mounted(&point) && !is_mounted(&elsewhere));
}

#[test]
fn at_a_terminal_passphrases_are_asked_for() {
    let here = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    here.ok(&["drive", "create", "media", "--capacity", "2G", "--yes"]);
    for (second, code) in [("something else", 2), (WORDS, 0)] {
        let mut terminal = Terminal::start(here.command(&["drive", "key", "add", "media"]));
        terminal.answer("new passphrase of media: ", WORDS);
        terminal.answer("the same again: ", second);
        let (ended, _, shown) = terminal.end();
        assert!(ended == code && !shown.contains(WORDS), "{ended}: {shown}");
    }
    for (words, code) in [("something else", 3), (WORDS, 0)] {
        let mut terminal = Terminal::start(here.command(&["drive", "key", "rotate", "media"]));
        terminal.answer("passphrase of slot 1 of media: ", words);
        let (ended, _, shown) = terminal.end();
        assert_eq!(ended, code, "{shown}");
    }
    assert_eq!(slots(&here, &[]), [row(2, "key file", true), row(3, "passphrase", false)]);
}
