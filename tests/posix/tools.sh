#!/usr/bin/env bash
# Installs the foreign suites that tests/posix runs, in the versions that docs/posix.md has the results of.
set -euo pipefail
install() {
    local name=$1 version=$2
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin" "$name" --version 2>/dev/null | grep -qx "$name $version" ||
        cargo install --locked --quiet "$name" --version "$version"
}
install pjdfstest 0.2.2
install fsx 0.3.2
