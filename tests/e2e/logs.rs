//! What logs hold: enough to find a fault, no secret at any level, no name or content of a file above `debug`.

use crate::harness::{Machine, files, noise};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that was logged on a machine, the local network's processes too.
fn logged(machine: &Machine, extra: &[PathBuf]) -> Vec<u8> {
    let mut all = Vec::new();
    for file in files(&machine.home()).into_iter().filter(|file| file.extension().is_some_and(|e| e == "log")) {
        all.extend(fs::read(file).unwrap());
    }
    for file in extra {
        all.extend(fs::read(file).unwrap());
    }
    all
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Works with files as people do, on a drive that opens with a passphrase, with everything logged.
fn session(machine: &mut Machine, log: &Path, level: &str, passphrase: &Path) {
    let option = format!("log={},log_level={level},passphrase_file={}", log.display(), passphrase.display());
    let point = machine.mount_with(&["secret", "-o", &option]);
    let folder = point.join("Folder-Zyxwvut");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("Document-Qponmlk.txt"), b"Content-Jihgfed").unwrap();
    fs::write(folder.join("large"), noise(7, 300_000)).unwrap();
    fs::rename(folder.join("Document-Qponmlk.txt"), folder.join("Renamed-Qponmlk.txt")).unwrap();
    std::os::unix::fs::symlink("Target-Srqponm", folder.join("link")).unwrap();
    assert!(fs::read(folder.join("Missing-Qponmlk")).is_err());
    let name = std::ffi::CString::new(folder.join("Renamed-Qponmlk.txt").to_str().unwrap()).unwrap();
    // SAFETY: the strings end with NUL and the value is as long as said.
    let set = unsafe { libc::setxattr(name.as_ptr(), c"user.Attribute-Cbazyxw".as_ptr(), b"v".as_ptr().cast(), 1, 0) };
    assert_eq!(set, 0);
    machine.sync(&point);
    fs::remove_dir_all(&folder).unwrap();
    machine.umount(&point);
}

#[test]
fn no_log_holds_a_secret_and_names_appear_at_debug_only() {
    const NAMES: [&str; 6] = ["Zyxwvut", "Qponmlk", "Jihgfed", "Srqponm", "Cbazyxw", "Missing-"];
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let passphrase = machine.path("passphrase");
    let words = "correct horse battery staple, and then some more 4711";
    fs::write(&passphrase, format!("{words}\n")).unwrap();
    machine.ok(&[
        "-vvv",
        "drive",
        "create",
        "secret",
        "--capacity",
        "4G",
        "--passphrase-file",
        passphrase.to_str().unwrap(),
        "--yes",
    ]);
    machine.ok(&["-vvv", "drive", "create", "keyed", "--capacity", "1G", "--yes"]);
    let (usual, trace) = (machine.path("usual.log"), machine.path("trace.log"));
    session(&mut machine, &usual, "info", &passphrase);
    session(&mut machine, &trace, "trace", &passphrase);

    let wallet = fs::read_to_string(machine.home().join("keys/wallet.key")).unwrap();
    let mut secrets = vec![words.as_bytes().to_vec(), wallet.trim().as_bytes().to_vec()];
    for key in
        files(&machine.home().join("keys")).into_iter().filter(|file| file.extension().is_some_and(|e| e == "key"))
    {
        let bytes = fs::read(&key).unwrap();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.len() >= 32) {
            secrets.push(line.to_vec());
            if let Ok(text) = std::str::from_utf8(line)
                && let Some(value) = text.rsplit(['=', ' ', ':']).next().filter(|value| value.len() >= 40)
            {
                secrets.push(value.trim_matches('"').as_bytes().to_vec());
            }
        }
    }
    assert!(secrets.len() >= 3, "a passphrase, a wallet and a key file");
    let all = logged(&machine, &[usual.clone(), trace.clone()]);
    let traced = fs::read_to_string(&trace).unwrap();
    assert!(traced.lines().count() > 200 && traced.contains("TRACE"), "{} lines at trace", traced.lines().count());
    for secret in &secrets {
        assert!(!contains(&all, secret), "a secret of {} bytes was logged", secret.len());
    }
    let usual = fs::read_to_string(&usual).unwrap();
    assert!(usual.contains("is mounted on") && usual.contains("walrusfs::"), "the log says something: {usual}");
    for name in NAMES {
        assert!(!usual.contains(name), "{name} at info: {usual}");
        for line in traced.lines().filter(|line| line.contains(name)) {
            assert!(line.contains(" DEBUG ") || line.contains(" TRACE "), "{line}");
        }
    }
}
