//! Named points in the life of a commit at which tests end the process.

/// Ends the process as `kill -9` does when the environment says `WALRUSFS_DIE_AT=NAME`, or `NAME:N` for the N-th time that it
/// comes here. Compiled in only with debug assertions: in a release build this is nothing.
///
/// | Name | Where |
/// |---|---|
/// | `cut` | the journalled order was cut |
/// | `sealed` | a pack is sealed, the network knows nothing of it |
/// | `registered` | it takes capacity, no node has it |
/// | `uploading` | some nodes have some slivers |
/// | `confirmed` | a quorum has confirmed it |
/// | `promised` | the journal says what the commit is about to do |
/// | `sent` | a transaction was executed, its answer was not read |
/// | `committed` | the commit is final, the tree and the journal do not know |
/// | `finished` | the journal is trimmed, its record of the commit is not |
pub fn stage(name: &str) {
    #[cfg(debug_assertions)]
    imp::reached(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod imp {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Name and how many times it is still passed by.
    static END: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

    pub(super) fn reached(name: &str) {
        let end = END.get_or_init(|| {
            let text = std::env::var("WALRUSFS_DIE_AT").ok()?;
            let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
            Some((name.to_owned(), AtomicU64::new(times.parse().unwrap_or(1))))
        });
        let Some((wanted, left)) = end else { return };
        if wanted == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // A process can always signal itself; should it not die, the test sees that.
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
    }
}
