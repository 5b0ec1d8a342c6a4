#!/usr/bin/env bash
# The one command that passes the tests: installs what it needs, builds, checks and runs everything.
# Prints how long each stage took. Needs root (real mounts), apt, and a Rust toolchain.
set -euo pipefail
cd "$(dirname "$0")"

stage() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    "$@"
    echo "== $name: $((SECONDS - start)) s"
}

install_tools() {
    local missing=()
    command -v setfattr >/dev/null || missing+=(attr)
    command -v fusermount3 >/dev/null || missing+=(fuse3)
    command -v rsync >/dev/null || missing+=(rsync)
    command -v setfacl >/dev/null || missing+=(acl)
    command -v python3 >/dev/null || missing+=(python3)
    command -v groff >/dev/null || missing+=(groff-base)
    command -v curl >/dev/null || missing+=(curl)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    command -v git >/dev/null || missing+=(git)
    command -v node >/dev/null || missing+=(nodejs npm)
    if [ ${#missing[@]} -gt 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest --version 0.9.143
    tests/posix/tools.sh
}

# The TypeScript SDK that tests/e2e/sdk.rs runs, and the Node that it needs, as tests/sdk/package-lock.json pins them.
install_sdk() {
    npm ci --prefix tests/sdk --ignore-scripts --no-audit --no-fund --silent
}

stage "tools" install_tools
# All platforms: tests/supply.rs reads every manifest of the lock file, without the network.
stage "fetch" cargo fetch --locked
stage "format" cargo fmt --all --check
stage "lint" cargo clippy --profile ci --workspace --all-targets --locked -- -D warnings
# What only the fuzz targets call (fuzz/run) keeps step with the rest.
stage "lint for fuzzing" cargo clippy --profile ci -p walrusfs --lib --locked -- -D warnings --cfg fuzzing
stage "build" cargo build --profile ci --workspace --all-targets --locked
if [ -d contracts/walrusfs ] && [ -x contracts/test.sh ]; then
    stage "contracts" contracts/test.sh
fi
stage "sdk" install_sdk
stage "tests" cargo nextest run --cargo-profile ci --workspace --locked
# The examples of the documentation, which nextest does not run.
stage "examples" cargo test --doc --profile ci -p redstuff --locked
