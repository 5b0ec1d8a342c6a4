//! The mount process: from its orders to its end.

use super::request::Handover;
use super::serve;
use super::spawn::{Parent, become_daemon};
use crate::cli::exit::Failure;
use crate::cli::home::{Home, private_dir};
use crate::cli::logging;
use std::time::Duration;

/// How long tasks may take to notice that the process ends.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// The hidden command: a process started by `spawn::start`.
///
/// # Errors
/// Why the drive was not mounted, or what its last minutes left undone. The parent has been told.
pub fn run() -> Result<(), Failure> {
    let (handover, mut parent) = become_daemon()?;
    let result = Home::open().and_then(|home| live(&home, handover, &mut parent));
    if let Err(failure) = &result {
        // Heard only when the drive never became ready.
        parent.failed(failure);
    }
    result
}

/// The same in the foreground: this process, its terminal, its stderr.
///
/// # Errors
/// As [`run`].
pub fn run_here(home: &Home, handover: Handover) -> Result<(), Failure> {
    private_dir(&home.mounts())?;
    live(home, handover, &mut Parent::none())
}

/// Keeps freed memory from staying with the process: packs and slivers come and go in pieces of megabytes, and the C
/// library's heap, left alone, learns to keep such pieces (measured: 1.2 GiB after rewriting 256 MiB a few times).
fn bound_heap() {
    const PIECE: libc::c_int = 4 << 20;
    const TOP: libc::c_int = 16 << 20;
    // SAFETY: mallopt only sets parameters of the allocator; nothing else runs in this process yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, PIECE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TOP);
        libc::mallopt(libc::M_ARENA_MAX, 4);
    }
}

/// Keeps the keys in this process's memory out of core dumps, and away from other processes of the same user.
fn keep_memory() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::debug!(%error, "a core dump of this process would hold keys");
    }
}

fn live(home: &Home, handover: Handover, parent: &mut Parent) -> Result<(), Failure> {
    keep_memory();
    bound_heap();
    logging::for_daemon(&handover.request.options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("walrusfs")
        .build()
        .map_err(|error| Failure::from_io("cannot start the runtime", error))?;
    let result = runtime.block_on(serve::serve(home, handover, parent));
    runtime.shutdown_timeout(LAST_TASKS);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_with_keys_is_in_no_core_dump() {
        keep_memory();
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
    }
}
