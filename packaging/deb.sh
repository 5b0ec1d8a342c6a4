#!/bin/sh
# Builds the Debian package into target/debian. Wants cargo-deb: cargo install --locked cargo-deb.
set -eu

cd "$(dirname -- "$0")/.."
packaging/build.sh
packaging/stage.sh target/release/walrusfs
cargo deb --no-build --no-strip
