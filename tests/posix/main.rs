//! Conformance: foreign suites, our own cases and real programs on a mounted drive (docs/posix.md has the results).
//!
//! Every test has a machine with a network of its own. The short ones run with all other tests; those that are ignored
//! are the long version, which `tests/posix/long.sh` runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed assumption fails the test")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

mod cases;
mod edges;
#[path = "../e2e/harness.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod harness;
mod programs;
mod suites;
mod users;

use harness::Machine;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A mount as a local disk is mounted: for every user, with set-user-id bits and devices.
const LIKE_A_DISK: [&str; 2] = ["-o", "allow_other,suid,dev"];

/// A machine with a drive mounted that way; its folders can be entered by every user.
fn mounted() -> (Machine, PathBuf) {
    let mut machine = Machine::new();
    open_to_all(&machine.path(""));
    let point = machine.mount_with(&LIKE_A_DISK);
    open_to_all(&point);
    (machine, point)
}

fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A program that the tests stage of test.sh installs.
fn installed(name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([cargo, home].into_iter().flatten().map(|root| root.join("bin")));
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: ./test.sh installs the version that is meant"))
}

/// Runs a script, which must succeed within `limit`; what it printed.
fn script(text: &str, environment: &[(&str, &std::ffi::OsStr)], limit: Duration) -> String {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", text]).envs(environment.iter().copied());
    let output = harness::run(command, limit);
    let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4000)..]).into_owned();
    let (said, complained) = (shown(&output.stdout), shown(&output.stderr));
    assert!(output.status.success(), "{}\n{text}\n{said}\n{complained}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
