#!/bin/sh
# Installs walrusfs so that `mount -t walrusfs`, /etc/fstab and plain `umount` work; `install.sh uninstall` undoes it.
#
#   install.sh [install|uninstall] [PROGRAM]
#
# PROGRAM is the built binary; without it target/release/walrusfs of this source tree. PREFIX (default /usr/local) is where
# program, manual pages and completions go; DESTDIR is put before every path (for packages). mount(8) and umount(8) look for
# helpers in /sbin only, systemd for units in /etc/systemd.
set -eu

action=${1:-install}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=${2:-$here/../target/release/walrusfs}
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}
helpers="mount.walrusfs mount.fuse.walrusfs umount.walrusfs umount.fuse.walrusfs"
installed=$prefix/bin/walrusfs
manual=$root$prefix/share/man
bash=$root$prefix/share/bash-completion/completions/walrusfs
zsh=$root$prefix/share/zsh/site-functions/_walrusfs
fish=$root$prefix/share/fish/vendor_completions.d/walrusfs.fish
system_unit=$root/etc/systemd/system/walrusfs@.service
user_unit=$root/etc/systemd/user/walrusfs@.service

reload() {
    if [ -z "$root" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
        systemctl daemon-reload
    fi
}

# A unit with the place of the program in it.
unit() {
    mkdir -p "$(dirname -- "$2")"
    sed "s|/usr/local/bin/walrusfs|$installed|g" "$1" >"$2"
    chmod 0644 "$2"
}

# Removes empty folders of ours only: `rmdir` leaves the others.
prune() {
    for folder in "$@"; do
        rmdir -p --ignore-fail-on-non-empty "$folder" 2>/dev/null || true
    done
}

case $action in
install)
    if [ ! -x "$program" ]; then
        echo "install.sh: $program does not exist; build it first: cargo build --release" >&2
        exit 1
    fi
    [ "$program" -ef "$root$installed" ] || install -D -m 0755 "$program" "$root$installed"
    mkdir -p "$root/sbin"
    for helper in $helpers; do
        ln -sfn "$installed" "$root/sbin/$helper"
    done
    generated=$(mktemp -d)
    trap 'rm -rf "$generated"' EXIT
    "$program" generate man "$generated"
    "$program" generate completions "$generated"
    for page in "$generated"/*.1 "$generated"/*.8; do
        install -D -m 0644 "$page" "$manual/man${page##*.}/${page##*/}"
    done
    install -D -m 0644 "$generated/walrusfs.bash" "$bash"
    install -D -m 0644 "$generated/_walrusfs" "$zsh"
    install -D -m 0644 "$generated/walrusfs.fish" "$fish"
    if [ -n "$root" ] || [ -d /etc/systemd ]; then
        unit "$here/walrusfs@.service" "$system_unit"
        unit "$here/user/walrusfs@.service" "$user_unit"
        reload
    fi
    ;;
uninstall)
    for helper in $helpers; do
        # Only what install made: a link to our program.
        if [ "$(readlink "$root/sbin/$helper" 2>/dev/null)" = "$installed" ]; then
            rm -f "$root/sbin/$helper"
        fi
    done
    rm -f "$root$installed" "$bash" "$zsh" "$fish"
    rm -f "$manual"/man1/walrusfs.1 "$manual"/man1/walrusfs-*.1 "$manual"/man8/mount.walrusfs.8
    prune "$manual/man1" "$manual/man8" "$(dirname -- "$bash")" "$(dirname -- "$zsh")" "$(dirname -- "$fish")"
    if [ -e "$system_unit" ] || [ -e "$user_unit" ]; then
        rm -f "$system_unit" "$user_unit"
        reload
    fi
    ;;
*)
    echo "usage: install.sh [install|uninstall] [PROGRAM]" >&2
    exit 1
    ;;
esac
