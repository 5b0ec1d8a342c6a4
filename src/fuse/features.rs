//! What of the kernel's FUSE a mount uses.

use serde::{Deserialize, Serialize};

/// Threads that read requests. Two give 3 times the random reads and 4 times the creates of one on a two-core machine;
/// more give nothing there. A notification waits for a write that a worker must answer, but never on a worker.
const WORKERS: usize = 2;

/// What of the kernel's FUSE a mount uses: everything, unless something is left out to measure what it is worth
/// (docs/performance.md), or because a kernel gets it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// The kernel collects writes and sends them in large requests.
    pub writeback: bool,
    /// Listing a directory brings the attributes along.
    pub readdirplus: bool,
    /// Lookups and listings of one directory go on side by side.
    pub parallel: bool,
    /// Requests of up to 1 MiB, else of 128 KiB.
    pub large: bool,
    /// The kernel reads ahead as much as one large request carries.
    pub read_ahead: bool,
    /// Pages stay in the kernel's cache when a file is opened again.
    pub keep_cache: bool,
    /// Names and attributes stay in the kernel's cache.
    pub remember: bool,
    /// Closing a file asks nothing: written pages have gone out before, and their errors are the kernel's to tell.
    pub no_flush: bool,
    /// Each worker has a device of its own.
    pub clone_fd: bool,
    /// Threads that read requests, at least one.
    pub workers: usize,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            writeback: true,
            readdirplus: true,
            parallel: true,
            large: true,
            read_ahead: true,
            keep_cache: true,
            remember: true,
            no_flush: true,
            clone_fd: true,
            workers: WORKERS,
        }
    }
}

impl Features {
    /// The names that [`Features::leave_out`] knows.
    pub const NAMES: &str =
        "writeback, readdirplus, parallel, large, read-ahead, keep-cache, remember, no-flush, clone-fd, workers";

    /// Goes without the feature of this name (`-` and `_` are the same; `workers`: a single thread); `false` when there is
    /// none.
    #[must_use]
    pub fn leave_out(&mut self, name: &str) -> bool {
        let feature = match name.replace('_', "-").as_str() {
            "writeback" => &mut self.writeback,
            "readdirplus" => &mut self.readdirplus,
            "parallel" => &mut self.parallel,
            "large" => &mut self.large,
            "read-ahead" => &mut self.read_ahead,
            "keep-cache" => &mut self.keep_cache,
            "remember" => &mut self.remember,
            "no-flush" => &mut self.no_flush,
            "clone-fd" => &mut self.clone_fd,
            "workers" => {
                self.workers = 1;
                return true;
            }
            _ => return false,
        };
        *feature = false;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leaves_something_else_out() {
        let mut seen = vec![Features::default()];
        for name in Features::NAMES.split(", ") {
            let mut features = Features::default();
            assert!(features.leave_out(name), "{name}");
            assert!(!seen.contains(&features), "{name} changes nothing, or what another name changes");
            seen.push(features);
        }
        assert!(!Features::default().leave_out("splice"));
    }
}
