# What a page's script and the helpers' test begin with: a machine of their own, inside namespaces that the test has made.
# Wants SANDBOX (a folder that does not exist) and PROGRAM. Nothing outside SANDBOX changes, and everything ends with the script.
set -eu
# Mounts of other tests came along with the namespace and would be kept alive by it.
for point in $(grep ' - fuse.walrusfs ' /proc/self/mountinfo | cut -d' ' -f5); do umount -i -l "$point" || true; done
mkdir -p "$SANDBOX"/home "$SANDBOX"/sbin "$SANDBOX"/local/bin "$SANDBOX"/systemd
cp -a /usr/sbin/. "$SANDBOX/sbin/"
mount --bind "$SANDBOX/sbin" /usr/sbin
cp /etc/fstab "$SANDBOX/fstab" 2>/dev/null || : >"$SANDBOX/fstab"
: >"$SANDBOX/fstab"
[ -e /etc/fstab ] && mount --bind "$SANDBOX/fstab" /etc/fstab
[ -d /etc/systemd ] && mount --bind "$SANDBOX/systemd" /etc/systemd
cp "$PROGRAM" "$SANDBOX/local/bin/walrusfs"
cp "$PROGRAM" "$SANDBOX/program"
export PROGRAM="$SANDBOX/program"
mount --bind "$SANDBOX/local" /usr/local
mount -t tmpfs -o mode=0755 walrusfs-test /srv
# mount(8) gives its helpers no HOME: they take root's from the password database.
mount --bind "$SANDBOX/home" "$(getent passwd 0 | cut -d: -f6)"
export HOME="$SANDBOX/home" NO_COLOR=1 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
unset WALRUSFS_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME
finish() {
    # Mounts of the script go with the namespace; the processes that serve them too.
    for point in $(grep ' - fuse.walrusfs ' /proc/self/mountinfo | cut -d' ' -f5); do umount -i -l "$point" || true; done
}
trap finish EXIT
