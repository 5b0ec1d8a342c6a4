//! The command line's manners: configuration in layers, `-q`, completions and manual pages.

use crate::harness::{Machine, run, tool};
use std::fs;
use std::time::Duration;

fn said(output: &std::process::Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The file, then the drive's own table, then the environment, then `-o`: seen by where the log lies.
#[test]
fn each_layer_comes_over_the_one_before_it() {
    let mut machine = Machine::new();
    let file = machine.home().join("config/config.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "log = \"general.log\"\nlog_format = \"json\"\n").unwrap();
    let logs = |names: &[&str]| names.iter().map(|name| machine_log(&file, name)).collect::<Vec<_>>();
    let names = ["general.log", "drive.log", "env.log", "option.log"];
    let point = machine.mount_point();
    let mount = |env: Option<&str>, args: &[&str]| {
        let mut command = machine.command(&[&["mount"], args, &[point.to_str().unwrap()]].concat());
        if let Some(value) = env {
            command.env("WALRUSFS_LOG_FILE", value);
        }
        let (code, _, stderr) = said(&run(command, Duration::from_secs(120)));
        assert_eq!(code, 0, "{stderr}");
        machine.umount(&point);
    };
    mount(None, &[]);
    assert_eq!(logs(&names), [true, false, false, false]);
    let line = fs::read_to_string(file.with_file_name("general.log")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert!(line["target"].as_str().unwrap().starts_with("walrus"), "{line}");
    fs::write(
        &file,
        "log = \"general.log\"\n[drive.default]\nlog = \"drive.log\"\n[drive.other]\nlog = \"other.log\"\n",
    )
    .unwrap();
    fs::remove_file(file.with_file_name("general.log")).unwrap();
    mount(None, &[]);
    assert_eq!(logs(&names), [false, true, false, false]);
    let env = file.with_file_name("env.log");
    mount(Some(env.to_str().unwrap()), &[]);
    assert_eq!(logs(&names), [false, true, true, false]);
    let option = format!("log={}", file.with_file_name("option.log").display());
    mount(Some("/nowhere/at/all"), &["-o", &option]);
    assert_eq!(logs(&names), [false, true, true, true]);
}

fn machine_log(config: &std::path::Path, name: &str) -> bool {
    config.with_file_name(name).exists()
}

#[test]
fn a_mistake_in_the_file_stops_everything_and_says_where() {
    let machine = Machine::new();
    let file = machine.home().join("config/config.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "# mine\n\ncache_sise = \"1G\"\n").unwrap();
    for args in [&["mount", "/nowhere"][..], &["config", "show"], &["wallet", "balance"]] {
        let (code, stdout, stderr) = said(&machine.run(args));
        assert_eq!((code, stdout.as_str()), (1, ""), "{args:?}");
        assert!(stderr.contains("line 3") && stderr.contains("did you mean `cache_size`?"), "{stderr}");
    }
    assert!(!machine.home().join("devnet/pid").exists(), "nothing was started");
}

#[test]
fn the_file_is_shown_set_and_edited() {
    let machine = Machine::new();
    let path = machine.ok(&["config", "path"]);
    let path = std::path::Path::new(path.trim());
    machine.ok(&["config", "set", "cache-size", "50G"]);
    machine.ok(&["config", "set", "network", "testnet"]);
    let shown = |args: &[&str]| machine.json(&[&["config", "show", "--json"], args].concat());
    let find = |shown: &serde_json::Value, name: &str| {
        shown.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
    };
    let all = shown(&[]);
    assert_eq!(find(&all, "cache_size")["value"], "50G");
    assert_eq!(find(&all, "cache_size")["origin"], "file");
    assert_eq!(find(&all, "memory"), serde_json::json!({"name": "memory", "value": null, "origin": "default"}));
    let mut with_env = machine.command(&["config", "show"]);
    with_env.env("WALRUSFS_NETWORK", "mainnet");
    let (_, text, _) = said(&run(with_env, Duration::from_secs(20)));
    let line = text.lines().find(|line| line.starts_with("network ")).unwrap();
    assert!(line.contains("mainnet") && line.contains("$WALRUSFS_NETWORK"), "{line}");
    // Refused values change nothing.
    let before = fs::read_to_string(path).unwrap();
    for args in [["config", "set", "memory", "lots"], ["config", "set", "memmory", "1G"]] {
        let (code, _, stderr) = said(&machine.run(&args));
        assert!(code == 1 && stderr.contains("memory"), "{stderr}");
    }
    assert_eq!(fs::read_to_string(path).unwrap(), before);

    let edit = |script: &str| {
        let mut command = machine.command(&["config", "edit"]);
        command.env("EDITOR", format!("sed -i {script}")).env_remove("VISUAL");
        said(&run(command, Duration::from_secs(20)))
    };
    assert_eq!(edit("'s/50G/60G/'").0, 0);
    assert_eq!(find(&shown(&[]), "cache_size")["value"], "60G");
    let (code, _, stderr) = edit("'s/^cache_size = .*/cache_size = \"big\"/'");
    assert!(code == 1 && stderr.contains("big"), "{stderr}");
    assert_eq!(find(&shown(&[]), "cache_size")["value"], "60G", "what cannot be read is not taken");
    machine.ok(&["config", "unset", "cache_size"]);
    assert_eq!(find(&shown(&[]), "cache_size")["origin"], "default");
}

#[test]
fn quiet_says_nothing_and_verbose_says_more() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let point = machine.mount_point();
    let mount = |flags: &[&str]| {
        let (code, stdout, stderr) = said(&machine.run(&[flags, &["mount", point.to_str().unwrap()]].concat()));
        assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
        stderr
    };
    assert_eq!(mount(&["-q"]), "", "made a wallet and a drive, in silence");
    machine.umount(&point);
    let plain = mount(&[]);
    assert!(plain.contains("walrus:default is mounted on"), "{plain}");
    let (code, stdout, stderr) = said(&machine.run(&["sync", point.to_str().unwrap()]));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""), "no bars where there is no terminal");
    let (_, _, loud) = said(&machine.run(&["-vv", "drive", "list"]));
    assert!(loud.contains("DEBUG"), "{loud}");
    let blob = machine.path("blob");
    fs::write(&blob, "content").unwrap();
    let stored = machine.json(&["blob", "put", blob.to_str().unwrap(), "--yes", "--json"]);
    let id = machine.json(&["blob", "id", blob.to_str().unwrap(), "--shards", "10", "--json"]);
    assert_eq!(stored["blob_id"], id["blob_id"]);
    assert_eq!((&stored["size"], &id["size"]), (&7.into(), &7.into()));
    let made = machine.json(&["drive", "create", "second", "--capacity", "1G", "--yes", "--json"]);
    assert!(made["id"].as_str().unwrap().starts_with("0x") && made["key_file"].is_string(), "{made}");
    let longer = machine.json(&["drive", "resize", "second", "--capacity", "2G", "--yes", "--json"]);
    assert_eq!((&longer["id"], &longer["capacity_bytes"]), (&made["id"], &(2_u64 << 30).into()));
    machine.umount(&point);
}

#[test]
fn completions_complete_and_manual_pages_are_well_formed() {
    let machine = Machine::new();
    let dir = machine.path("generated");
    machine.ok(&["generate", "completions", dir.to_str().unwrap()]);
    machine.ok(&["generate", "man", dir.to_str().unwrap()]);
    let script = dir.join("walrusfs.bash");
    let ask = format!(
        "source {}; COMP_WORDS=(walrusfs drive cr); COMP_CWORD=2; _walrusfs walrusfs cr drive; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    assert_eq!(tool("bash", &["-c", &ask]).trim(), "create");
    assert_eq!(machine.ok(&["completions", "bash"]), fs::read_to_string(&script).unwrap());
    let mut pages = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.extension().is_some_and(|extension| extension == "1" || extension == "8") {
            continue;
        }
        pages += 1;
        let mut groff = std::process::Command::new("groff");
        groff.args(["-man", "-ww", "-Tutf8", "-rLL=100n", path.to_str().unwrap()]);
        let (code, text, warnings) = said(&run(groff, Duration::from_secs(20)));
        assert_eq!((code, warnings.as_str()), (0, ""), "{}", path.display());
        assert!(text.lines().count() > 30, "{}", path.display());
    }
    assert!(pages > 30, "{pages} pages");
}
