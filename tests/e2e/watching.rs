//! What can be seen of a mount: status with its figures, `--watch`, metrics, and the attributes of files.

use crate::harness::{Machine, noise, run, tool, wait_until};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn figure(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(&format!("walrusfs_{name}{{")));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn figures_move_with_what_is_done() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let point = machine.mount_with(&["-o", "metrics=127.0.0.1:0,sync_interval=3600"]);
    let balance = |machine: &Machine| -> serde_json::Value {
        serde_json::from_str(&machine.ok(&["wallet", "balance", "--json"])).unwrap()
    };
    let (had, status) = (balance(&machine), machine.status(&point));
    let address = status["metrics"].as_str().unwrap().to_owned();
    assert!(get(&address, "/").starts_with("HTTP/1.1 404"));
    let before = get(&address, "/metrics");
    assert!(before.starts_with("HTTP/1.1 200") && before.contains("text/plain; version=0.0.4"), "{before}");
    fs::write(point.join("A-file-with-a-name"), noise(1, 3 << 20)).unwrap();
    fs::File::open(point.join("A-file-with-a-name")).unwrap().sync_all().unwrap();
    let waiting = get(&address, "/metrics");
    assert!(figure(&waiting, "pending_bytes") >= f64::from(3 << 20), "{waiting}");
    machine.sync(&point);
    let after = get(&address, "/metrics");
    assert_eq!(figure(&after, "pending_bytes"), 0.0);
    assert!(figure(&after, "commits_total") > figure(&before, "commits_total"));
    assert!(figure(&after, "uploaded_bytes_total") >= f64::from(3 << 20));
    assert!(figure(&after, "sequence") > figure(&before, "sequence"));
    assert!(figure(&after, "pool_used_bytes") > 0.0 && figure(&after, "nodes") == 4.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(figure(&after, "expires_seconds") > now && (figure(&after, "certified_seconds") - now).abs() < 120.0);
    assert!(!after.contains("A-file"), "no names of files");
    let (paid, has) = (status, balance(&machine));
    let status = machine.status(&point);
    for (coin, field) in [("mist", "paid_mist"), ("frost", "paid_frost")] {
        let gone = had[coin].as_i64().unwrap() - has[coin].as_i64().unwrap();
        let said = status[field].as_i64().unwrap() - paid[field].as_i64().unwrap();
        assert!(said != 0 && said == gone, "{said} {coin} were paid as status has it, {gone} as the wallet has it");
        assert_eq!(status[field].as_f64().unwrap(), figure(&after, field));
    }
    // Nobody else has paid for the drive; what the wallet bought WAL with is no cost of it.
    let (cost, free) = (&status["cost"], had["mist"].as_i64().unwrap() - has["mist"].as_i64().unwrap());
    assert!(cost["mist"].as_i64().unwrap() > free && cost["transactions"].as_u64().unwrap() > 2, "{cost}");
    assert!(cost["frost"].as_i64().unwrap() > 0 && cost["since_ms"].as_u64().unwrap() > 0, "{cost}");
    for field in ["mist", "frost"] {
        assert_eq!(cost[field].as_f64().unwrap(), figure(&get(&address, "/metrics"), &format!("cost_{field}")));
    }
    assert_eq!(status["stage"], "idle");
    assert_eq!(status["commits"].as_f64().unwrap(), figure(&after, "commits_total"));
    assert_eq!((&status["nodes"], &status["nodes_avoided"]), (&4.into(), &0.into()));
    let text = machine.ok(&["status", point.to_str().unwrap()]);
    for words in [
        "local, 4 nodes",
        "on its way   nothing",
        &format!("http://{address}/metrics"),
        "since mount",
        "transactions since the mount",
        "transactions of this machine since 20",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }

    // An address that is taken is an error of the mount, not of its log.
    let other = machine.mount_point();
    let taken = machine.run(&["mount", other.to_str().unwrap(), "--read-only", "-o", &format!("metrics={address}")]);
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(taken.status.code() == Some(2) && said.contains("metrics="), "{said}");
    machine.umount(&point);
    assert!(TcpStream::connect(&address).is_err(), "gone with the mount");

    // What other programs and later mounts pay comes to it.
    let info = || -> serde_json::Value {
        let text = machine.ok(&["drive", "info", "default", "--json"]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["cost"].take()
    };
    let (had, unmounted) = (balance(&machine), info());
    assert!(unmounted["transactions"].as_u64() >= cost["transactions"].as_u64(), "{unmounted} after {cost}");
    machine.ok(&["drive", "resize", "default", "--capacity", "260G", "--yes"]);
    let (has, resized) = (balance(&machine), info());
    for field in ["mist", "frost"] {
        let (gone, said) = (&had[field], resized[field].as_i64().unwrap() - unmounted[field].as_i64().unwrap());
        let gone = gone.as_i64().unwrap() - has[field].as_i64().unwrap();
        assert!(said != 0 && said == gone, "{said} {field} more were paid for the drive, {gone} by the wallet");
    }
    let point = machine.mount();
    assert_eq!(machine.status(&point)["cost"]["since_ms"], cost["since_ms"]);
    assert!(machine.status(&point)["cost"]["transactions"].as_u64() >= resized["transactions"].as_u64());
    machine.umount(&point);
}

#[test]
fn watching_looks_again_and_again() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let point = machine.mount();
    let mut command = machine.command(&["status", "--watch", "--interval", "1", "--json"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    fs::write(point.join("file"), noise(2, 1 << 20)).unwrap();
    machine.sync(&point);
    let mut last = first.clone();
    for _ in 0..10 {
        last = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if last["sequence"] != first["sequence"] {
            break;
        }
    }
    assert!(last["sequence"].as_u64() > first["sequence"].as_u64(), "{last}");
    watching.kill().unwrap();
    watching.wait().unwrap();
    let mut command = machine.command(&["status", point.to_str().unwrap(), "-w"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    let mut stdout = BufReader::new(watching.stdout.take().unwrap());
    while text.matches("walrus:default on").count() < 2 {
        assert!(stdout.read_line(&mut text).unwrap() > 0);
    }
    assert!(!text.contains('\x1b'), "plain where there is no terminal: {text}");
    // It ends when nobody reads any more.
    drop(stdout);
    wait_until("watching has ended", Duration::from_secs(20), || watching.try_wait().unwrap().is_some());
    machine.umount(&point);
}

/// S-XATTR-4: a file says what became of it, to those who ask by name; copies do not carry it along.
#[test]
fn files_say_what_became_of_them() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let point = machine.mount_with(&["-o", "sync_interval=3600"]);
    let ask = |name: &str, file: &str| {
        let path = point.join(file);
        let mut command = std::process::Command::new("getfattr");
        command.args(["-n", &format!("user.walrusfs.{name}"), "--only-values", path.to_str().unwrap()]);
        let output = run(command, Duration::from_secs(60));
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    fs::write(point.join("small"), "a few bytes").unwrap();
    let large = fs::File::create(point.join("large")).unwrap();
    (&large).write_all(&noise(3, 1 << 20)).unwrap();
    assert_eq!(ask("state", "large").as_deref(), Some("dirty"), "open for writing: nobody knows what the kernel holds");
    large.sync_all().unwrap();
    drop(large);
    wait_until("the file is closed", Duration::from_secs(10), || ask("state", "large").as_deref() == Some("pending"));
    assert_eq!(ask("blob", "large"), None, "in no blob yet");
    machine.sync(&point);
    for file in ["small", "large", "."] {
        assert_eq!(ask("state", file).as_deref(), Some("certified"), "{file}");
    }
    let blob = ask("blob", "large").unwrap();
    assert_eq!(ask("blob", "small"), None, "it lies in the tree");
    let stat = machine.json(&["blob", "stat", &blob, "--json"]);
    assert!(stat["size"].as_u64().unwrap() > 1 << 20, "the network knows the blob: {stat}");
    let expires: u64 = ask("expires", "small").unwrap().parse().unwrap();
    let shown = machine.status(&point)["expires_at_ms"].as_u64().unwrap() / 1000;
    assert!(expires.abs_diff(shown) < 120, "{expires} is not {shown}");

    // A change is a change, of attributes too.
    tool("chmod", &["600", point.join("large").to_str().unwrap()]);
    assert_eq!(ask("state", "large").as_deref(), Some("pending"));
    assert_eq!(ask("state", "small").as_deref(), Some("certified"), "its neighbour is what it was");
    assert_eq!(ask("blob", "large").as_deref(), Some(&*blob));

    // Listed nowhere, copied nowhere.
    assert_eq!(tool("getfattr", &["-d", "-m", "-", point.join("large").to_str().unwrap()]), "");
    let copy = machine.path("copy");
    tool("rsync", &["-aX", &format!("{}/", point.display()), copy.to_str().unwrap()]);
    assert_eq!(tool("getfattr", &["-d", "-m", "-", copy.join("large").to_str().unwrap()]), "");
    assert_eq!(ask("unknown", "large"), None);
    machine.umount(&point);
}
