#!/usr/bin/env bash
# The long version of the crash torture: kills the mount process N times (300) at random moments under a writer that logs what was
# acknowledged, and checks every file after every kill. About 4 s a kill. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
WALRUSFS_KILLS=${1:-300} exec cargo nextest run --cargo-profile ci --profile long --locked --workspace --test e2e \
    -E 'test(a_process_that_is_killed_at_any_moment_loses_nothing)'
