//! Mounts of ordinary users, through fusermount3, and who else may enter them.
//!
//! /dev/fuse may be root's alone, and /etc/fuse.conf may forbid what is tried here. So the test works in a namespace of its
//! own, where both are as on an ordinary machine; when its shell ends every process and every mount in it is gone.

use crate::script;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const NAMESPACE: &str = r#"
cp "$PROGRAM" "$HERE/walrusfs" && chmod 755 "$HERE/walrusfs"
mkdir "$HERE/dev" "$HERE/home" "$HERE/point"
chown 65534:65534 "$HERE/home" "$HERE/point"
exec unshare --mount --pid --fork --kill-child --mount-proc --propagation private bash -euo pipefail "$HERE/inside"
"#;

const INSIDE: &str = r#"
mount -t tmpfs none "$HERE/dev"
mknod -m 666 "$HERE/dev/fuse" c 10 229
mount --bind "$HERE/dev/fuse" /dev/fuse
echo user_allow_other > "$HERE/fuse.conf"
[ -e /etc/fuse.conf ] && mount --bind "$HERE/fuse.conf" /etc/fuse.conf
cd "$HERE"
as() { local id=$1; shift; setpriv --reuid="$id" --regid="$id" --clear-groups env HOME="$HERE/home" WALRUSFS_HOME="$HERE/home" "$@"; }
owner() { as 65534 "$@"; }
other() { as 1 "$@"; }
refused() { ! "$@" 2> "$HERE/said" && grep -q "Permission denied" "$HERE/said" || { echo "not refused: $*"; cat "$HERE/said"; return 1; }; }
program() { owner "$HERE/walrusfs" "$@"; }

# Alone: not even root comes in.
program mount point
grep -q " $HERE/point .*nosuid,nodev.* fuse.walrusfs walrus:default " /proc/self/mountinfo
owner bash -c 'echo mine > point/file && echo secret > point/secret && chmod 600 point/secret && mkdir -m 700 point/closed'
test "$(owner stat -c %u:%g point/file)" = 65534:65534
refused cat point/file
refused other stat point
owner bash -c 'cp /bin/true point/tool && chmod 4755 point/tool && point/tool && test -u point/tool'
program sync point
program umount point
rm -rf home/state home/cache

# With root, who may do anything; nobody else comes in, not even to what the kernel remembers.
program mount -o allow_root point
test "$(cat point/file point/secret)" = "$(printf 'mine\nsecret')"
owner ls -lR point > /dev/null && ls -lR point > /dev/null
for round in 1 2 3; do
    refused other stat point
    refused other stat point/file
    refused other cat point/file
    refused other ls point
    refused other touch point/new
    owner cat point/file > /dev/null
done
echo root > point/of-root && test "$(stat -c %u point/of-root)" = 0
owner rm -f point/of-root
program umount point

# With everybody, as far as the modes allow.
program mount -o allow_other point
test "$(other cat point/file)" = mine
refused other cat point/secret
refused other ls point/closed
refused other touch point/new
owner chmod 1777 point
other touch point/of-other && refused other rm point/file && other rm point/of-other
program umount point
program devnet down
echo done
"#;

/// S-ACCESS-1, S-ACCESS-2.
#[test]
fn an_ordinary_user_mounts_and_says_who_may_enter() {
    let here = tempfile::Builder::new().prefix("walrusfs-test-").tempdir().unwrap();
    fs::set_permissions(here.path(), Permissions::from_mode(0o755)).unwrap();
    fs::write(here.path().join("inside"), INSIDE).unwrap();
    let environment = [("HERE", here.path().as_os_str()), ("PROGRAM", OsStr::new(env!("CARGO_BIN_EXE_walrusfs")))];
    let said = script(NAMESPACE, &environment, Duration::from_secs(120));
    assert_eq!(said.lines().last(), Some("done"));
}
