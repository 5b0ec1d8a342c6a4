#!/bin/sh
# Builds target/release/walrusfs so that a commit and a compiler (rustc -vV, cc --version) give the same bytes in whatever folder:
# the paths of this machine, which panics and assertions name, become /cargo, /rust and /walrusfs. Prints the SHA-256.
set -eu

cd "$(dirname -- "$0")/.."
here=$(pwd -P)
mkdir -p "${CARGO_HOME:-$HOME/.cargo}"
cargo=$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd -P)
rust=$(rustc --print sysroot)
# These would add flags of this machine, or build somewhere else.
unset CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_BUILD_TARGET HOST_CFLAGS TARGET_CFLAGS
export CARGO_INCREMENTAL=0
# Of several that fit, the last one counts.
export RUSTFLAGS="--remap-path-prefix=$here=/walrusfs --remap-path-prefix=$rust=/rust --remap-path-prefix=$cargo=/cargo"
export CFLAGS="-ffile-prefix-map=$here=/walrusfs -ffile-prefix-map=$cargo=/cargo"
rm -f target/release/walrusfs
cargo build --release --locked --bin walrusfs --target-dir target
for path in "$cargo/registry/" "$here/target/" "$here/crates/"; do
    if grep -qaF -e "$path" target/release/walrusfs; then
        echo "target/release/walrusfs names $path, which is a folder of this machine" >&2
        exit 1
    fi
done
sha256sum target/release/walrusfs
