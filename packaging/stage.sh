#!/bin/sh
# Makes what a package holds beside the program, in FOLDER (default target/package): manual pages, completions, units, helpers.
#
#   packaging/stage.sh PROGRAM [FOLDER]
set -eu

cd "$(dirname -- "$0")/.."
program=$1
folder=${2:-target/package}
rm -rf "$folder"
mkdir -p "$folder/man1" "$folder/man8" "$folder/bash" "$folder/zsh" "$folder/fish" "$folder/system" "$folder/user" "$folder/sbin"
"$program" generate man "$folder/man1"
mv "$folder/man1"/*.8 "$folder/man8/"
gzip -9n "$folder"/man1/* "$folder"/man8/*
"$program" completions bash >"$folder/bash/walrusfs"
"$program" completions zsh >"$folder/zsh/_walrusfs"
"$program" completions fish >"$folder/fish/walrusfs.fish"
for kind in system user; do
    [ $kind = system ] && from=mount-helpers || from=mount-helpers/user
    sed 's|/usr/local/bin/walrusfs|/usr/bin/walrusfs|g' "$from/walrusfs@.service" >"$folder/$kind/walrusfs@.service"
done
for helper in mount.walrusfs mount.fuse.walrusfs umount.walrusfs umount.fuse.walrusfs; do
    ln -s ../bin/walrusfs "$folder/sbin/$helper"
done
