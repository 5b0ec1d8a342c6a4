#!/usr/bin/env bash
# The long version of the crash torture: kills the mount process N times (300) at random moments under a writer that logs what was
# acknowledged, and checks every file after every kill (about 4 s a kill); and replaces a file of 1 GiB, at every stage of a commit
# losing the machine with everything on it. Needs root and 20 GiB of disk.
set -euo pipefail
cd "$(dirname "$0")/../.."
WALRUSFS_KILLS=${1:-300} WALRUSFS_LARGE=1024 exec cargo nextest run --cargo-profile ci --profile long --locked --workspace --test e2e \
    -E 'test(a_process_that_is_killed_at_any_moment) | test(a_large_file_is_replaced)'
