//! The mount helpers, the install script and the units, on a machine of their own.

use crate::documents::in_sandbox;
use crate::harness::{Machine, run, wait_until};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SANDBOX: &str = include_str!("sandbox.sh");

fn sandboxed(script: &str) -> String {
    let machine = Machine::new();
    let output = in_sandbox(&machine, &format!("{SANDBOX}{script}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

/// `mount -a` with a line of /etc/fstab, as at boot; umount(8) waits for the network; the drive is there on the next mount.
#[test]
fn a_line_of_fstab_mounts_and_umount_waits() {
    let said = sandboxed(
        r#"
mkdir -p /srv/media
mount-helpers/install.sh install "$PROGRAM"
echo 'walrus:default /srv/media walrusfs _netdev,nofail,noatime,allow_other,comment=x,x-systemd.automount 0 0' > /etc/fstab
mount -a
findmnt -n -o FSTYPE,SOURCE /srv/media
mount -a    # what is mounted stays
[ "$(grep -c ' /srv/media ' /proc/self/mountinfo)" = 1 ]
head -c 3000000 /dev/urandom > /srv/media/file
sum=$(sha256sum < /srv/media/file)
before=$(walrusfs status /srv/media --json | grep '"sequence"')
umount /srv/media
if grep -q ' /srv/media ' /proc/self/mountinfo; then exit 1; fi
# Certified: all that this machine had is forgotten, and the file is read from the network.
rm -rf ~/.local/state/walrusfs ~/.cache/walrusfs
mount /srv/media
[ "$(sha256sum < /srv/media/file)" = "$sum" ]
[ "$(walrusfs status /srv/media --json | grep '"sequence"')" != "$before" ]
mount -o remount,ro /srv/media
if touch /srv/media/other 2>/dev/null; then exit 1; fi
walrusfs status /srv/media --json | grep -q '"read_only": true'
# A flag of the kernel's is set and the others stay, but for what the line in fstab says (rw); what a remount cannot change is refused,
# and so is another drive.
mount -o remount,noexec /srv/media
findmnt -n -o OPTIONS /srv/media | grep -q '^rw,nosuid,nodev,noexec'
mount -o remount,ro /srv/media
findmnt -n -o OPTIONS /srv/media | grep -q '^ro,nosuid,nodev'
if walrusfs mount default /srv/media -o remount,cache_size=1G 2>/srv/message; then exit 1; fi
grep -q 'unmount and mount again' /srv/message
if mount.walrusfs walrus:other /srv/media -o remount,rw 2>/srv/message; then exit 1; fi
grep -q 'walrus:default is mounted on' /srv/message
mount -o remount,rw /srv/media
touch /srv/media/other
umount /srv/media
# By its object id it is mounted once, too.
id=$(walrusfs drive info default --json | sed -n 's/.*"id": "\(0x[0-9a-f]*\)".*/\1/p')
echo "$id /srv/media walrusfs nofail 0 0" > /etc/fstab
mount -a
mount -a
findmnt -n -o SOURCE /srv/media | grep -q "^$id$"
umount /srv/media
# Misspelt options are told, not skipped.
if mount -t walrusfs walrus:default /srv/media -o cache_sise=1G 2>/srv/message; then exit 1; fi
grep -q 'did you mean `cache_size`' /srv/message
echo done
"#,
    );
    assert!(said.starts_with("fuse.walrusfs walrus:default"), "{said}");
    assert!(said.ends_with("done\n"), "{said}");
}

#[test]
fn what_the_install_script_installs_it_uninstalls() {
    let said = sandboxed(
        r#"
cp "$PROGRAM" /srv/walrusfs
rm /usr/local/bin/walrusfs
listing() { (find /usr/local /usr/sbin /etc/systemd | sort); }
listing > /srv/before
mount-helpers/install.sh install /srv/walrusfs
walrusfs --version
man --path >/dev/null 2>&1 || true
for file in /usr/local/share/man/man1/walrusfs-mount.1 /usr/local/share/man/man8/mount.walrusfs.8 /etc/systemd/user/walrusfs@.service \
            /usr/local/share/bash-completion/completions/walrusfs /sbin/umount.fuse.walrusfs; do
    [ -e "$file" ] || { echo "no $file"; exit 1; }
done
# Units that systemd takes; it looks for the programs that they start.
cp mount-helpers/examples/* /etc/systemd/system/
systemd-analyze verify --man=no /etc/systemd/system/walrusfs@media.service /etc/systemd/system/srv-media.mount \
    /etc/systemd/system/srv-media.automount 2>&1
XDG_RUNTIME_DIR=/srv systemd-analyze verify --user --man=no /etc/systemd/user/walrusfs@media.service 2>&1
rm /etc/systemd/system/srv-media.*
# Twice is as once. What somebody else made or changed is neither overwritten nor removed.
mount-helpers/install.sh install /srv/walrusfs
echo 'Nice=5' >> /etc/systemd/system/walrusfs@.service
echo mine > /usr/local/share/man/man1/walrusfs-mine.1
mount-helpers/install.sh install /srv/walrusfs 2>&1 | grep -q 'walrusfs@.service was not made by this script'
if mount-helpers/install.sh uninstall 2>/dev/null; then exit 1; fi
grep -q 'Nice=5' /etc/systemd/system/walrusfs@.service
grep -q mine /usr/local/share/man/man1/walrusfs-mine.1
rm /etc/systemd/system/walrusfs@.service /usr/local/share/man/man1/walrusfs-mine.1
rmdir -p /usr/local/share/man/man1 /etc/systemd/system 2>/dev/null || true
mount-helpers/install.sh install /srv/walrusfs
mount-helpers/install.sh uninstall
mount-helpers/install.sh uninstall 2>/dev/null
listing > /srv/after
diff /srv/before /srv/after
# For packages: everything below DESTDIR.
DESTDIR=/srv/package PREFIX=/usr mount-helpers/install.sh install /srv/walrusfs
listing > /srv/after
diff /srv/before /srv/after
grep -q 'ExecStart=/usr/bin/walrusfs ' /srv/package/etc/systemd/system/walrusfs@.service
readlink /srv/package/sbin/mount.walrusfs
"#,
    );
    assert!(said.ends_with("/usr/bin/walrusfs\n"), "{said}");
    assert!(said.starts_with("walrusfs "), "{said}");
    assert_eq!(said.lines().count(), 2, "systemd had nothing to say: {said}");
}

/// What a service manager sees: ready when the drive can be used, alive while it answers, stopping, and the watchdog's silence when the
/// mount process does not answer its own mount.
#[test]
fn a_service_says_that_it_is_ready_and_that_it_lives() {
    let mut machine = Machine::with_network(&["--nodes", "4", "--shards", "10"]);
    let point = machine.mount_point();
    let path = machine.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = machine.command(&["mount", point.to_str().unwrap(), "--foreground", "-o", ""]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000").stdout(Stdio::null()).stderr(Stdio::null());
    let mut service = command.spawn().unwrap();
    let hear = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(hear().starts_with("READY=1\nSTATUS=walrus:default is mounted"), "ready first");
    fs::write(point.join("file"), "content").unwrap();
    let started = Instant::now();
    for _ in 0..4 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    assert!(started.elapsed() < Duration::from_secs(4), "twice in each period: {:?}", started.elapsed());

    let pid = nix::unistd::Pid::from_raw(i32::try_from(service.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let mut stopping = hear();
    while stopping == "WATCHDOG=1" {
        stopping = hear();
    }
    assert!(stopping.starts_with("STOPPING=1") && stopping.contains("EXTEND_TIMEOUT_USEC="), "{stopping}");
    wait_until("the service has ended", Duration::from_secs(60), || service.try_wait().unwrap().is_some());
    assert_eq!(service.wait().unwrap().code(), Some(0), "a stop that was asked for is no failure");

    // Without the variable nothing is sent but what Type=notify needs.
    let mut command = machine.command(&["mount", point.to_str().unwrap(), "--foreground"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000").env("WATCHDOG_PID", "1");
    let mut service = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !hear().starts_with("READY=1") {}
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut buffer = [0; 64];
    assert!(socket.recv(&mut buffer).is_err(), "the watchdog is another process's");
    let umounted = run(machine.command(&["umount", point.to_str().unwrap()]), Duration::from_secs(60));
    assert!(umounted.status.success());
    assert_eq!(service.wait().unwrap().code(), Some(0));
}

/// Everything that the Debian package names is made by its script.
#[test]
fn the_package_has_all_that_it_names() {
    let machine = Machine::new();
    let folder = machine.path("package");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stage = std::process::Command::new(root.join("packaging/stage.sh"));
    stage.arg(env!("CARGO_BIN_EXE_walrusfs")).arg(&folder).env("WALRUSFS_HOME", machine.home());
    let output = run(stage, Duration::from_secs(60));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    assert!(assets.len() >= 12);
    for asset in assets {
        let source = asset[0].as_str().unwrap();
        if source == "target/release/walrusfs" {
            continue;
        }
        let path = match source.strip_prefix("target/package/") {
            Some(rest) => folder.join(rest),
            None => root.join(source),
        };
        let found = match source.ends_with("/*") {
            true => fs::read_dir(path.parent().unwrap()).unwrap().count(),
            false => usize::from(path.exists()),
        };
        assert!(found > 0, "nothing for {source}");
    }
    let unit = fs::read_to_string(folder.join("system/walrusfs@.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/walrusfs mount"));
    assert_eq!(fs::read_link(folder.join("sbin/mount.walrusfs")).unwrap(), std::path::Path::new("../bin/walrusfs"));
}
