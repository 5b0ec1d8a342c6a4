//! A drive that two machines have written to, and one that another machine follows.

use crate::harness::{Machine, noise};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

fn write_durably(path: &Path, content: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(content).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn both_machines_keep_what_they_wrote() {
    let mut here = Machine::new();
    let mount = here.mount();
    fs::create_dir(mount.join("dir")).unwrap();
    for name in ["both", "mine", "theirs", "same", "dir/deep"] {
        fs::write(mount.join(name), noise(1, 100_000)).unwrap();
    }
    here.umount(&mount);

    // This machine changes things and is cut off before any of it is certified.
    here.mount_at(&mount, &["-o", "sync_interval=3600"]);
    write_durably(&mount.join("both"), &noise(2, 150_000));
    write_durably(&mount.join("mine"), &noise(3, 10));
    write_durably(&mount.join("same"), b"the same change");
    write_durably(&mount.join("dir/new.txt"), &noise(4, 70_000));
    fs::create_dir(mount.join("dir/made")).unwrap();
    write_durably(&mount.join("dir/made/file"), b"in a new folder");
    std::os::unix::fs::symlink("../both", mount.join("dir/link")).unwrap();
    fs::hard_link(mount.join("dir/new.txt"), mount.join("dir/second")).unwrap();
    fs::remove_file(mount.join("dir/deep")).unwrap();
    File::open(mount.join("dir")).unwrap().sync_all().unwrap();
    here.kill(&mount);

    // Another one takes over.
    let mut there = here.elsewhere();
    let other = there.mount_point();
    there.mount_at(&other, &["-o", "lease=steal"]);
    write_durably(&other.join("both"), &noise(5, 120_000));
    write_durably(&other.join("theirs"), &noise(6, 90_000));
    write_durably(&other.join("same"), b"the same change");
    write_durably(&other.join("dir/new.txt"), &noise(7, 5));
    there.umount(&other);

    // Here a mount refuses to go on, and says what to do.
    let refused = here.run(&["mount", mount.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("walrusfs recover default"), "{said}");

    let kept: serde_json::Value = serde_json::from_str(&here.ok(&["recover", "default", "--json"])).unwrap();
    let outcome = |path: &str| -> Vec<&str> {
        let all = kept.as_array().unwrap().iter();
        all.filter(|kept| kept["path"] == path).map(|kept| kept["outcome"].as_str().unwrap()).collect()
    };
    assert_eq!(outcome("/both"), ["copied"], "{kept}");
    assert_eq!(outcome("/mine"), ["copied"], "{kept}");
    assert_eq!(outcome("/same"), ["same"], "{kept}");
    assert_eq!(outcome("/dir/new.txt"), ["copied"], "{kept}");
    assert_eq!(outcome("/dir/made"), ["added"], "{kept}");
    assert_eq!(outcome("/dir/made/file"), ["added"], "{kept}");
    assert_eq!(outcome("/dir/link"), ["added"], "{kept}");
    assert_eq!(outcome("/dir/second"), ["added"], "{kept}");

    // Both see everything, and nothing that the other had is gone.
    let copy = |name: &str| {
        let all = kept.as_array().unwrap().iter();
        let found = all.filter(|kept| kept["path"] == name).map(|kept| kept["copy"].as_str().unwrap()).next();
        found.unwrap().trim_start_matches('/').to_owned()
    };
    let look = |at: &Path| {
        assert!(fs::read(at.join("both")).unwrap() == noise(5, 120_000));
        assert!(fs::read(at.join(copy("/both"))).unwrap() == noise(2, 150_000));
        assert!(fs::read(at.join("mine")).unwrap() == noise(1, 100_000), "the other machine still had this");
        assert!(fs::read(at.join(copy("/mine"))).unwrap() == noise(3, 10));
        assert!(fs::read(at.join("theirs")).unwrap() == noise(6, 90_000));
        assert!(fs::read(at.join("dir/new.txt")).unwrap() == noise(7, 5));
        assert!(copy("/dir/new.txt").ends_with(".txt"));
        assert!(fs::read(at.join(copy("/dir/new.txt"))).unwrap() == noise(4, 70_000));
        assert!(fs::read(at.join("dir/second")).unwrap() == noise(4, 70_000));
        assert_eq!(fs::read(at.join("dir/made/file")).unwrap(), b"in a new folder");
        assert_eq!(fs::read_link(at.join("dir/link")).unwrap(), Path::new("../both"));
        assert!(fs::read(at.join("dir/deep")).is_ok(), "removing is no change that is applied");
    };
    there.mount_at(&other, &[]);
    look(&other);
    there.umount(&other);
    here.mount_at(&mount, &[]);
    look(&mount);
    fs::write(mount.join("more"), b"work goes on").unwrap();
    here.umount(&mount);
    // There is nothing left to recover.
    assert_eq!(here.ok(&["recover", "default", "--json"]).trim(), "[]");
    here.ok(&["fsck", "default", "--deep"]);
}

/// The content of version `n` of any file.
fn version(n: u64) -> Vec<u8> {
    [&n.to_le_bytes()[..], &noise(n, 70_000)].concat()
}

/// Reads a file; again when a newer commit took away the one that was opened (docs/errors.md).
fn read_newest(path: &Path) -> Vec<u8> {
    let stale = |error: &std::io::Error| error.raw_os_error() == Some(libc::ESTALE);
    match fs::read(path) {
        Err(error) if stale(&error) => fs::read(path).unwrap(),
        read => read.unwrap(),
    }
}

/// S-FOLLOW-1. Every commit changes all files. A reader that sees one of them in version n sees the others in that version or a later one,
/// in whatever order it looks: commits are whole, and none older than one that was seen comes back.
#[test]
fn a_reader_follows_whole_commits_and_never_goes_back() {
    const NAMES: [&str; 5] = ["a", "dir/b", "c", "dir/d", "e"];
    const VERSIONS: u64 = 10;
    let mut here = Machine::new();
    let mount = here.mount_with(&["-o", "sync_interval=3600"]);
    fs::create_dir(mount.join("dir")).unwrap();
    NAMES.iter().for_each(|name| write_durably(&mount.join(name), &version(0)));
    here.sync(&mount);
    let mut there = here.elsewhere();
    let other = there.mount_with(&["--read-only"]);
    // When each version was committed, from 1 on.
    let committed: Mutex<Vec<Instant>> = Mutex::default();
    let (mut last, mut looks, mut slowest) = (0, 0_u64, Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=VERSIONS {
                for (nth, name) in NAMES.iter().enumerate() {
                    if (nth as u64 + n).is_multiple_of(2) {
                        write_durably(&mount.join(name), &version(n));
                    } else {
                        write_durably(&mount.join("beside"), &version(n));
                        fs::rename(mount.join("beside"), mount.join(name)).unwrap();
                    }
                }
                here.sync(&mount);
                committed.lock().unwrap().push(Instant::now());
                // Sometimes the reader misses a commit.
                std::thread::sleep(Duration::from_secs(n % 4 * 2));
            }
        });
        while last < VERSIONS {
            looks += 1;
            let mut order = NAMES.to_vec();
            order.rotate_left((looks % 5) as usize);
            if looks.is_multiple_of(2) {
                order.reverse();
            }
            for name in order {
                let mut content = read_newest(&other.join(name));
                let mut n = u64::from_le_bytes(content[..8].try_into().unwrap());
                if content != version(n) {
                    // A file that was open goes on in the newer commit.
                    content = read_newest(&other.join(name));
                    n = u64::from_le_bytes(content[..8].try_into().unwrap());
                }
                assert!(content == version(n), "{name} of version {n} is not whole: {} bytes", content.len());
                assert!(n >= last, "{name} is of version {n} after {last} was seen");
                last = n;
            }
            let waiting = committed.lock().unwrap().get(last as usize).map(Instant::elapsed);
            slowest = slowest.max(waiting.unwrap_or_default());
            assert!(slowest < Duration::from_secs(10), "version {last} is shown, a later one is {slowest:?} old");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    println!("{looks} looks at {VERSIONS} commits, never more than {slowest:?} behind");
    assert_eq!(fs::write(other.join("new"), b"").unwrap_err().raw_os_error(), Some(libc::EROFS));
    assert!(!other.join("beside").exists());
    there.umount(&other);
    here.umount(&mount);
}
