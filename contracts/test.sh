#!/usr/bin/env bash
# Builds and tests the Move package offline and checks that everything generated from it is current.
# `test.sh update` rewrites the generated files and the bytecode that the program ships.
set -euo pipefail
cd "$(dirname "$0")"
npm ci --ignore-scripts --no-audit --no-fund --silent
cargo fetch --quiet --locked --manifest-path framework/Cargo.toml
exec node walrusfs.mjs "${1:-check}"
