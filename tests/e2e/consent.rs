//! Nothing is paid that nobody agreed to; what makes no sense is refused before anybody is asked.

use crate::harness::{Machine, noise};
use crate::setup::Terminal;
use std::fs;
use std::process::Output;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A machine with a wallet, a small drive `media`, and a file to store.
fn machine() -> (Machine, String) {
    let machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    machine.ok(&["drive", "create", "media", "--capacity", "2G", "--epochs", "2", "--yes"]);
    machine.ok(&["wallet", "fund"]);
    let file = machine.path("file");
    fs::write(&file, noise(1, 30_000)).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (machine, file)
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_paid() {
    let (machine, file) = machine();
    let owned = || {
        let pool = machine.json(&["drive", "info", "media", "--json"]);
        (
            machine.json(&["wallet", "balance", "--json"]),
            machine.json(&["drive", "list", "--json"]),
            (pool["capacity_bytes"].clone(), pool["end_epoch"].clone()),
        )
    };
    let before = owned();
    let keys = || fs::read_dir(machine.home().join("keys")).unwrap().count();
    let keys_before = keys();
    for (args, words) in [
        (&["drive", "create", "other", "--capacity", "1G"][..], "costs"),
        (&["drive", "create", "other", "--capacity", "1G", "--json"], "costs"),
        (&["drive", "extend", "media", "--epochs", "1"], "costs"),
        (&["-q", "drive", "extend", "media", "--epochs", "1"], "costs"),
        (&["drive", "resize", "media", "--capacity", "3G"], "costs"),
        (&["blob", "put", &file], "costs"),
        (&["blob", "put", &file, "--json"], "costs"),
        (&["contract", "publish", "--again"], "nothing was paid"),
        (&["setup", "--name", "other", "--size", "1G"], "nothing was paid"),
    ] {
        let refused = machine.run(args);
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {said}");
        assert!(refused.stdout.is_empty(), "{args:?}");
        for words in [words, "nothing was paid", "stdin is no terminal", "--yes"] {
            assert!(said.contains(words), "{args:?} does not say `{words}`: {said}");
        }
        assert_eq!(owned(), before, "{args:?}");
    }
    assert_eq!(keys(), keys_before, "no key of a drive that does not exist");
}

#[test]
fn at_a_terminal_it_is_asked_and_only_yes_is_yes() {
    let (machine, file) = machine();
    let balance = || machine.json(&["wallet", "balance", "--json"])["frost"].as_u64().unwrap();
    let before = balance();
    for (answer, loudness) in [("n", &[][..]), ("", &["-q"])] {
        let args = [loudness, &["blob", "put", &file]].concat();
        let mut terminal = Terminal::start(machine.command(&args));
        terminal.answer(" costs ", "");
        let (code, stdout, shown) = terminal.end();
        assert!(code == 2 && stdout.is_empty() && shown.contains("nothing was paid"), "`{answer}`: {code} {shown}");
        assert_eq!(balance(), before);
    }
    let mut terminal = Terminal::start(machine.command(&["blob", "put", &file, "--json"]));
    terminal.answer("pay? [y/N] ", "y");
    let (code, stdout, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    let stored: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let price = stored["frost"].as_u64().unwrap();
    assert!(price > 0 && before - balance() == price, "{stored}: {before} {}", balance());
    // What is there already has no price, and nobody is asked.
    let again = machine.json(&["blob", "put", &file, "--json"]);
    assert_eq!((&again["frost"], &again["blob_id"]), (&0.into(), &stored["blob_id"]));
    assert_eq!(before - balance(), price);
}

#[test]
fn no_epochs_and_no_capacity_are_usage_errors_everywhere() {
    let machine = Machine::new();
    for (args, option) in [
        (&["drive", "create", "x"][..], "--epochs"),
        (&["drive", "create", "x"], "--capacity"),
        (&["drive", "extend", "x"], "--epochs"),
        (&["drive", "resize", "x"], "--capacity"),
        (&["drive", "revive", "x"], "--epochs"),
        (&["drive", "revive", "x"], "--capacity"),
        (&["blob", "put", "x"], "--epochs"),
        (&["setup"], "--epochs"),
        (&["setup"], "--size"),
    ] {
        for value in ["0", "-1", "x"] {
            let refused = machine.run(&[args, &[option, value]].concat());
            let said = stderr(&refused);
            assert_eq!(refused.status.code(), Some(1), "{args:?} {option} {value}: {said}");
            assert!(said.contains("write ") && !said.contains("-- -1"), "{args:?} {option} {value}: {said}");
        }
    }
    assert!(!machine.home().join("devnet").exists(), "no network is started for that");
}

#[test]
fn limits_missing_files_and_sizes_are_named_the_same_way_everywhere() {
    let (machine, file) = machine();
    let said = |args: &[&str], code: i32| {
        let refused = machine.run(args);
        assert_eq!(refused.status.code(), Some(code), "{args:?}: {}", stderr(&refused));
        stderr(&refused)
    };
    for args in [
        &["drive", "create", "x", "--epochs", "9999", "--yes"][..],
        &["drive", "extend", "media", "--epochs", "9999", "--yes"],
        &["blob", "put", &file, "--epochs", "9999", "--yes"],
    ] {
        let said = said(args, 2);
        assert!(said.contains("the network sells storage at most "), "{args:?}: {said}");
    }
    for option in ["--key-file", "--passphrase-file"] {
        let said = said(&["drive", "create", "x", "--capacity", "1G", "--yes", option, "/nope/k"], 11);
        assert!(said.contains("/nope/k"), "{said}");
    }
    let taken = said(&["drive", "create", "x", "--capacity", "1G", "--yes", "--key-file", &file], 2);
    assert!(taken.contains("exists already"), "{taken}");
    let less = said(&["drive", "resize", "media", "--capacity", "1G", "--yes"], 2);
    assert!(less.contains("2.0 GiB") && !less.contains("2147483648"), "{less}");
    let id = machine.ok(&["blob", "id", &file, "--shards", "10"]);
    let unknown = machine.run(&["blob", "get", id.trim()]);
    assert_eq!(stderr(&unknown).matches("the blob cannot be read").count(), 1, "{}", stderr(&unknown));
}
