//! What the disk below the journal still takes, whoever else fills it.

use super::Journal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Not counted on: file systems need some for names and lengths.
const SLACK: u64 = 1 << 20;

/// More room than was thought, by a request at least, is worth telling those who wait for it.
const WORTH: u64 = 1 << 20;

/// Bytes that the disk took when it was last asked, less what was appended since. No bound until it was.
#[derive(Debug)]
pub(super) struct Spare {
    bytes: AtomicU64,
    /// It was what stood in the way, and grew, which nobody has asked about yet.
    grew: AtomicBool,
}

impl Default for Spare {
    fn default() -> Self {
        Self { bytes: AtomicU64::new(u64::MAX), grew: AtomicBool::new(false) }
    }
}

impl Spare {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Frames of `bytes` are going to be written.
    pub(super) fn take(&self, bytes: u64) {
        let less = |spare: u64| Some(if spare == u64::MAX { spare } else { spare.saturating_sub(bytes) });
        // It always has a successor, so this cannot fail.
        let _ = self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }
}

impl Journal {
    /// Asks the disk how much is free, as somebody has to about once a second; it is also done each time that the buffer was written.
    pub fn look_at_disk(&self) {
        let free = match self.dir.free() {
            Ok(free) => free.saturating_sub(SLACK),
            Err(error) => {
                tracing::debug!(%error, "the disk of the journal does not say how much is free");
                u64::MAX
            }
        };
        let inner = self.inner.lock();
        let spare = free.saturating_sub(inner.buffer.len() as u64);
        let before = self.spare.bytes.swap(spare, Ordering::AcqRel);
        if before < self.granted(inner.bytes) && spare >= before.saturating_add(WORTH) {
            self.spare.grew.store(true, Ordering::Release);
        }
    }

    /// Whether the disk was what stood in the way, and has more room now; each time is told once.
    pub fn disk_got_room(&self) -> bool {
        self.spare.grew.swap(false, Ordering::AcqRel)
    }
}
