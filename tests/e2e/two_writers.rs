//! A drive that two machines have written to.

use crate::harness::{Machine, noise};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

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
