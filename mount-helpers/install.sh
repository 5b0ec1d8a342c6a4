#!/bin/sh
# Installs walrusfs so that `mount -t walrusfs`, /etc/fstab and plain `umount` work; `install.sh uninstall` undoes it.
#
#   install.sh [install|uninstall] [PROGRAM]
#
# PROGRAM is the built binary; without it target/release/walrusfs of this source tree. PREFIX (default /usr/local) is where
# program, manual pages and completions go; DESTDIR is put before every path (for packages). mount(8) and umount(8) look for
# helpers in /sbin only, systemd for units in /etc/systemd.
#
# What was installed is listed with its checksums in PREFIX/share/walrusfs/installed. A file that somebody else made, or changed
# since, is never overwritten and never removed.
set -eu

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

action=${1:-install}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=${2:-$here/../target/release/walrusfs}
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}
case $prefix in
/*) ;;
*) fail "PREFIX is an absolute path, not $prefix" ;;
esac
case $prefix$root in
*[!A-Za-z0-9/._+-]*) fail "PREFIX and DESTDIR hold letters, digits and / . _ + - only: units and links name them" ;;
esac
helpers="mount.walrusfs mount.fuse.walrusfs umount.walrusfs umount.fuse.walrusfs"
installed=$prefix/bin/walrusfs
list=$root$prefix/share/walrusfs/installed

reload() {
    if [ -z "$root" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
        systemctl daemon-reload
    fi
}

# What a path holds: `link TARGET`, the checksum of a file, or nothing when there is nothing.
held() {
    if [ -L "$1" ]; then
        echo "link $(readlink "$1")"
    elif [ -f "$1" ]; then
        sha256sum <"$1" | cut -d' ' -f1
    elif [ -e "$1" ]; then
        echo other
    fi
}

# What the list says that install put at a path.
put() {
    [ ! -f "$list" ] || awk -v path="$1" 'substr($0, index($0, "\t") + 1) == path { sub(/\t.*/, ""); print }' "$list"
}

# Puts a file of the stage in its place. $1: its path, below the stage and below DESTDIR.
place() {
    to=$root$1
    new=$(held "$stage$1")
    old=$(held "$to")
    if [ -n "$old" ] && [ "$old" != "$new" ] && [ "$old" != "$(put "$1")" ]; then
        echo "install.sh: $to was not made by this script, or was changed since: it stays as it is" >&2
        return 0
    fi
    folder=$(dirname -- "$to")
    made=$folder
    while [ ! -d "$made" ]; do
        printf 'folder\t%s\n' "${made#"$root"}" >>"$stage.list"
        made=$(dirname -- "$made")
    done
    mkdir -p "$folder"
    # A running program cannot be written to, but replaced.
    rm -f "$to"
    cp -P -p "$stage$1" "$to"
    printf '%s\t%s\n' "$new" "$1" >>"$stage.list"
}

# Everything that is installed, below the folder $stage as it will lie below DESTDIR.
make_stage() {
    umask 022
    mkdir -p "$stage$prefix/bin" "$stage/sbin" "$stage/generated"
    install -m 0755 "$program" "$stage$installed"
    for helper in $helpers; do
        ln -s "$installed" "$stage/sbin/$helper"
    done
    "$program" generate man "$stage/generated"
    "$program" generate completions "$stage/generated"
    for page in "$stage/generated"/*.1 "$stage/generated"/*.8; do
        install -D -m 0644 "$page" "$stage$prefix/share/man/man${page##*.}/${page##*/}"
    done
    install -D -m 0644 "$stage/generated/walrusfs.bash" "$stage$prefix/share/bash-completion/completions/walrusfs"
    install -D -m 0644 "$stage/generated/_walrusfs" "$stage$prefix/share/zsh/site-functions/_walrusfs"
    install -D -m 0644 "$stage/generated/walrusfs.fish" "$stage$prefix/share/fish/vendor_completions.d/walrusfs.fish"
    rm -rf "$stage/generated"
    if [ -n "$root" ] || [ -d /etc/systemd ]; then
        for kind in system user; do
            [ $kind = system ] && from=$here || from=$here/user
            mkdir -p "$stage/etc/systemd/$kind"
            sed "s|/usr/local/bin/walrusfs|$installed|g" "$from/walrusfs@.service" >"$stage/etc/systemd/$kind/walrusfs@.service"
            chmod 0644 "$stage/etc/systemd/$kind/walrusfs@.service"
        done
    fi
}

case $action in
install)
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then
        fail "$program does not exist; build it first: cargo build --release"
    fi
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    stage=$temporary/stage
    mkdir "$stage"
    : >"$stage.list"
    make_stage
    (cd "$stage" && find . ! -type d | sed 's|^\.||' | LC_ALL=C sort) >"$temporary/paths"
    while read -r path; do
        place "$path"
    done <"$temporary/paths"
    # What an earlier version installed and this one does not stays listed, and so do the folders that it made.
    if [ -f "$list" ]; then
        while IFS="$(printf '\t')" read -r what path; do
            cut -f2 "$stage.list" | grep -qxF -- "$path" || printf '%s\t%s\n' "$what" "$path" >>"$stage.list"
        done <"$list"
    fi
    [ -d "$(dirname -- "$list")" ] || printf 'folder\t%s\n' "$prefix/share/walrusfs" >>"$stage.list"
    install -D -m 0644 "$stage.list" "$list"
    reload
    ;;
uninstall)
    if [ ! -f "$list" ]; then
        echo "install.sh: nothing is installed below $root$prefix: $list does not exist" >&2
        exit 0
    fi
    left=0
    folders=
    while IFS="$(printf '\t')" read -r what path; do
        now=$(held "$root$path")
        if [ "$what" = folder ]; then
            folders="$folders $root$path"
        elif [ "$now" = "$what" ]; then
            rm -f "$root$path"
        elif [ -n "$now" ]; then
            echo "install.sh: $root$path was changed since it was installed: it stays" >&2
            left=1
        fi
    done <"$list"
    rm -f "$list"
    # Only the folders that install made, the inner ones first, and only when they are empty.
    for folder in $(printf '%s\n' $folders | LC_ALL=C sort -r); do
        rmdir "$folder" 2>/dev/null || true
    done
    reload
    exit $left
    ;;
*)
    fail "usage: install.sh [install|uninstall] [PROGRAM]"
    ;;
esac
