#!/bin/sh
# Installs walrusfs so that `mount -t walrusfs`, /etc/fstab and plain `umount` work; `install.sh uninstall` undoes it.
#
#   install.sh [install|uninstall] [PROGRAM]
#
# PROGRAM is the built binary; without it target/release/walrusfs of this source tree. PREFIX (default /usr/local) is where
# the program goes; DESTDIR is put before every path (for packages). mount(8) and umount(8) look for helpers in /sbin only.
set -eu

action=${1:-install}
source_tree=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
program=${2:-$source_tree/target/release/walrusfs}
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}
helpers="mount.walrusfs mount.fuse.walrusfs umount.walrusfs umount.fuse.walrusfs"

case $action in
install)
    if [ ! -x "$program" ]; then
        echo "install.sh: $program does not exist; build it first: cargo build --release" >&2
        exit 1
    fi
    install -D -m 0755 "$program" "$root$prefix/bin/walrusfs"
    mkdir -p "$root/sbin"
    for helper in $helpers; do
        ln -sfn "$prefix/bin/walrusfs" "$root/sbin/$helper"
    done
    if [ -n "$root" ] || [ -d /run/systemd/system ]; then
        install -d -m 0755 "$root/etc/systemd/system"
        sed "s|/usr/local/bin/walrusfs|$prefix/bin/walrusfs|g" "$source_tree/mount-helpers/walrusfs@.service" \
            >"$root/etc/systemd/system/walrusfs@.service"
        [ -n "$root" ] || systemctl daemon-reload
    fi
    ;;
uninstall)
    for helper in $helpers; do
        # Only what install made: a link to our program.
        if [ "$(readlink "$root/sbin/$helper" 2>/dev/null)" = "$prefix/bin/walrusfs" ]; then
            rm -f "$root/sbin/$helper"
        fi
    done
    rm -f "$root$prefix/bin/walrusfs"
    if [ -e "$root/etc/systemd/system/walrusfs@.service" ]; then
        rm -f "$root/etc/systemd/system/walrusfs@.service"
        [ -n "$root" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
    fi
    ;;
*)
    echo "usage: install.sh [install|uninstall] [PROGRAM]" >&2
    exit 1
    ;;
esac
