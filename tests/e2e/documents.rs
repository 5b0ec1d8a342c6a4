//! The documents, tried: every command block of a page runs in a clean home, in order, and the sums of docs/costs.md are computed anew.
//!
//! A block is what stands between ```sh and ```. One that cannot run here has the line `<!-- not run here: REASON -->` before it; the
//! test prints those. Each page gets a machine of its own: namespaces for mounts and processes, its own home, /etc/fstab, /sbin,
//! /usr/local and /srv, so nothing of this machine is touched and nothing is left when the page ends.

use crate::harness::{Machine, run};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use walrus_client::wire::chain::encoded_size;

const MARK: &str = "<!-- not run here: ";

/// A block of a page: its first line's number, why it does not run (if it does not), and its text.
struct Block {
    line: usize,
    skipped: Option<String>,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut mark = None;
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(reason) = line.strip_prefix(MARK) {
            mark = Some(reason.trim_end_matches("-->").trim().to_owned());
        } else if line == "```sh" {
            let text: String = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .map(|line| format!("{line}\n"))
                .collect();
            found.push(Block { line: number + 1, skipped: mark.take(), text });
        } else if !line.is_empty() {
            mark = None;
        }
    }
    found
}

/// What every page's machine begins with.
const SANDBOX: &str = include_str!("sandbox.sh");

fn try_page(name: &str) {
    let path = root().join(name);
    let page = fs::read_to_string(&path).unwrap();
    let blocks = blocks(&page);
    let machine = Machine::new();
    let mut script = String::from(SANDBOX);
    script.push_str("set -euo pipefail\n");
    // The port that the pages name may be taken, by this test for one.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut runs = 0;
    for block in &blocks {
        match &block.skipped {
            Some(reason) => println!("{name}:{}: not run here: {reason}", block.line),
            None => {
                runs += 1;
                script.push_str(&format!("echo '== {name}:{}' >&2\n{}", block.line, block.text.replace("9464", &port)));
            }
        }
    }
    assert!(runs > 0, "{name} has nothing to try");
    script.push_str("echo '== end' >&2\n");
    let output = in_sandbox(&machine, &script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("== end"),
        "{name}: {}\n{}\n{said}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    println!("{name}: {runs} blocks run, {} not", blocks.len() - runs);
}

/// Runs a script as root of a machine of its own.
pub fn in_sandbox(machine: &Machine, script: &str) -> std::process::Output {
    let file = machine.path("script");
    fs::write(&file, script).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "bash"]);
    command.arg(&file).env_clear().current_dir(root()).stdin(Stdio::null());
    command.env("SANDBOX", machine.path("sandbox")).env("PROGRAM", env!("CARGO_BIN_EXE_walrusfs"));
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    run(command, Duration::from_secs(270))
}

#[test]
fn the_readme_works() {
    try_page("README.md");
}

#[test]
fn the_quick_start_works() {
    try_page("docs/quick-start.md");
}

#[test]
fn the_user_guide_works() {
    try_page("docs/user-guide.md");
}

#[test]
fn the_operations_page_works() {
    try_page("docs/operations.md");
}

#[test]
fn the_costs_and_configuration_pages_work() {
    try_page("docs/costs.md");
    try_page("docs/configuration.md");
}

/// The table of docs/costs.md, from the same rules that the contracts charge by.
#[test]
fn the_sums_of_the_costs_page_are_right() {
    const SHARDS: u16 = 1000;
    const PACK: u64 = 64 << 20;
    let units = |bytes: u64| bytes.div_ceil(1 << 20);
    let pack = encoded_size(PACK, SHARDS).unwrap();
    let wal = |frost: u64| format!("{:.2} WAL", frost as f64 / 1e9);
    let mut rows = String::new();
    for gib in [10_u64, 50, 100, 500, 1024] {
        let packs = (gib << 30).div_ceil(PACK);
        let capacity = (packs + 3) * pack;
        let epoch = 100_000 * units(capacity);
        rows.push_str(&format!(
            "| {gib} GiB | {packs} | {:.1} GiB | {} | {} | {} |\n",
            capacity as f64 / f64::from(1 << 30),
            wal(epoch),
            wal(26 * epoch),
            wal(20_000 * units(pack) * packs)
        ));
    }
    let page = fs::read_to_string(root().join("docs/costs.md")).unwrap();
    let (_, rest) = page.split_once("<!-- costs -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- end of costs -->").unwrap();
    let body: String = table.lines().skip(2).map(|line| format!("{line}\n")).collect();
    assert_eq!(body, rows);
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    for figure in [mib(pack), mib(encoded_size(256 << 20, SHARDS).unwrap())] {
        assert!(page.contains(&figure), "{figure}");
    }
    assert_eq!(units(encoded_size(1, SHARDS).unwrap()), 63);
}

/// Every page that the documents link to exists, and so does the part of it.
#[test]
fn links_lead_somewhere() {
    let mut pages = vec![root().join("README.md")];
    pages.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut links = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !part.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(headings(&text).any(|heading| heading == part), "{}: {link}", page.display());
            }
            links += 1;
        }
    }
    assert!(links > 30, "{links}");
}

fn headings(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    })
}

#[test]
fn blocks_are_found_with_their_marks() {
    let page =
        "```sh\na\nb\n```\n\n<!-- not run here: no network -->\n```sh\nc\n```\ntext\n```toml\nd\n```\n```sh\ne\n```\n";
    let found: Vec<_> = blocks(page).into_iter().map(|block| (block.line, block.skipped, block.text)).collect();
    assert_eq!(found[0], (1, None, "a\nb\n".to_owned()));
    assert_eq!(found[1], (7, Some("no network".to_owned()), "c\n".to_owned()));
    assert_eq!(found[2], (14, None, "e\n".to_owned()));
    assert!(Path::new(&root()).join("docs").is_dir());
}
