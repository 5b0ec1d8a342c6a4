//! The cases in Python beside this file.

use crate::harness::{Machine, run};
use crate::mounted;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What a file of cases said, by case: `pass`, `skip` or `fail` with the reason.
fn outcomes(machine: &Machine, file: &str, folder: &Path) -> BTreeMap<String, String> {
    let mut command = Command::new("python3");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/posix").join(file);
    // The repository's folder stays as it is.
    command.arg(program).arg(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = run(command, Duration::from_secs(240));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    let cases: BTreeMap<String, String> = said
        .lines()
        .filter_map(|line| {
            let (outcome, rest) = line.split_once(' ')?;
            let name = rest.split([':', ' ']).next()?;
            Some((name.to_owned(), format!("{outcome}{}", rest.strip_prefix(name)?)))
        })
        .collect();
    let failed: Vec<_> = cases.iter().filter(|(_, outcome)| outcome.starts_with("fail")).collect();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}\n{complained}\n{}", machine.logs());
    cases
}

fn count(cases: &BTreeMap<String, String>, outcome: &str) -> usize {
    cases.values().filter(|said| said.starts_with(outcome)).count()
}

#[test]
fn locks() {
    let (machine, point) = mounted();
    let cases = outcomes(&machine, "locks.py", &point);
    assert_eq!((count(&cases, "pass"), cases.len()), (48, 48));
    machine.umount(&point);
}

/// S-ATTR-1: any 64-bit number of seconds; S-CREATE-2, S-ATTR-2, S-ATTR-3, S-ACL-1, S-ACL-2: as the kernel asks for them.
#[test]
fn semantics() {
    let (machine, point) = mounted();
    let cases = outcomes(&machine, "semantics.py", &point);
    let skipped: Vec<_> =
        cases.iter().filter(|(_, said)| said.starts_with("skip")).map(|(name, _)| name.as_str()).collect();
    // Both are operations that fuser 0.18.0 does not carry (docs/posix.md).
    assert_eq!(skipped, ["a_tmpfile_gets_a_name", "birth_times"]);
    assert_eq!((count(&cases, "pass"), cases.len()), (PASSED, PASSED + 2));
    machine.umount(&point);
}

/// Cases of semantics.py that must pass: a file that was cut short must not look like success.
const PASSED: usize = 54;
