//! How many rows are rebuilt at once, and how many only because their node is late.
//!
//! A rebuild asks every node, costs three times the row, and makes the nodes compute. That is well spent on a node that does not
//! answer, and makes everything worse when nodes are late because the link, this machine, or all of them have too much to do: more
//! rows are late then, and rebuilt. So rebuilds for lateness have few places, and the places follow what came of them: one that was
//! done before its row came makes room for another, one that was not takes its own place away. One is always left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Rows that are rebuilt at once, for whatever reason.
const REBUILDS: usize = 16;
/// Blobs that are decoded at once: each is in memory as a whole.
const DECODINGS: usize = 1;
const FIRST: usize = 8;
const MOST: usize = REBUILDS;

/// Places of one reader.
#[derive(Debug)]
pub(super) struct Hedges {
    pub(super) rebuilds: Semaphore,
    pub(super) decodings: Semaphore,
    places: Arc<Semaphore>,
    count: AtomicUsize,
}

/// A place for a rebuild that is done because a node is late.
#[derive(Debug)]
pub(super) struct Hedge<'a> {
    of: &'a Hedges,
    place: OwnedSemaphorePermit,
}

impl Default for Hedges {
    fn default() -> Self {
        Self {
            rebuilds: Semaphore::new(REBUILDS),
            decodings: Semaphore::new(DECODINGS),
            places: Arc::new(Semaphore::new(FIRST)),
            count: AtomicUsize::new(FIRST),
        }
    }
}

impl Hedges {
    /// Waits for a place; `None` never, unless the reader is going away.
    pub(super) async fn place(&self) -> Option<Hedge<'_>> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Hedge { of: self, place })
    }
}

impl Hedge<'_> {
    /// The rebuild was done first.
    pub(super) fn won(self) {
        let grown = self.of.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < MOST).then_some(n + 1));
        if grown.is_ok() {
            self.of.places.add_permits(1);
        }
    }

    /// The row came first.
    pub(super) fn lost(self) {
        let shrunk = self.of.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n > 1).then(|| n - 1));
        if shrunk.is_ok() {
            self.place.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_follow_what_came_of_them_and_one_is_left() {
        let hedges = Hedges::default();
        for _ in 0..3 * FIRST {
            hedges.place().await.unwrap().lost();
        }
        assert_eq!(hedges.places.available_permits(), 1);
        for _ in 0..3 * MOST {
            hedges.place().await.unwrap().won();
        }
        assert_eq!(hedges.places.available_permits(), MOST);
        drop(hedges.place().await);
        assert_eq!(hedges.places.available_permits(), MOST, "one that came to nothing says nothing");
    }
}
