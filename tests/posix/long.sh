#!/usr/bin/env bash
# The long version of the conformance tests: every suite in full, and servers and databases at work. About an hour.
# Needs root, apt and a Rust toolchain. Drops the machine's page cache again and again. Arguments go to `cargo nextest run`.
set -euo pipefail
cd "$(dirname "$0")/../.."
missing=()
for need in fio:fio nginx:nginx-light ffmpeg:ffmpeg curl:curl setfacl:acl setfattr:attr rsync:rsync; do
    command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
[ -n "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
tests/posix/tools.sh
exec cargo nextest run --cargo-profile ci --profile long --locked -p walrusfs --test posix --run-ignored all "$@"
