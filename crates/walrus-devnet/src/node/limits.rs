//! What the nodes of one process share: CPU, disk and memory are the machine's, however many nodes there are.
//!
//! Mechanism: semaphores. A request whose body is buffered borrows its size from a byte budget until the body is stored or sent;
//! hashing and coding run on blocking threads, as many at once as there are cores. Metadata that a node verified is kept parsed;
//! it is named by its hash, so all nodes can share it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redstuff::{BlobId, VerifiedMetadata};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of request bodies in memory, and of answers: enough for the largest sliver of 1000 shards (44 MB) several times.
const BUDGET: usize = 160 << 20;
/// A permit is this many bytes.
const GRAIN: usize = 1 << 10;
/// Parsed metadata kept: 66 KB each at 1000 shards.
const METADATA: usize = 48;
/// How long a request waits for memory before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shared by all nodes of a process.
#[derive(Debug)]
pub struct Limits {
    cpu: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    /// At most one node rebuilds from a whole decoded blob at a time.
    pub(crate) rebuild: Semaphore,
    metadata: Mutex<VecDeque<(BlobId, Arc<VerifiedMetadata>)>>,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            cpu: semaphore(cores),
            disk: semaphore(2 * cores + 2),
            uploads: semaphore(BUDGET / GRAIN),
            downloads: semaphore(BUDGET / GRAIN),
            rebuild: Semaphore::new(1),
            metadata: Mutex::default(),
        }
    }
}

impl Limits {
    /// Borrows room for a request body; `None` if there was none for a long time.
    pub(crate) async fn upload(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        borrow(&self.uploads, bytes).await
    }

    /// Borrows room for an answer.
    pub(crate) async fn download(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        borrow(&self.downloads, bytes).await
    }

    /// Runs hashing or coding (and the file access around it) on a blocking thread.
    pub(crate) async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        blocking(&self.cpu, work).await
    }

    /// Runs file access on a blocking thread.
    pub(crate) async fn disk<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        blocking(&self.disk, work).await
    }

    /// Parsed metadata, if it was used lately.
    pub(crate) fn cached_metadata(&self, id: &BlobId) -> Option<Arc<VerifiedMetadata>> {
        let mut cache = self.metadata.lock();
        let at = cache.iter().position(|(known, _)| known == id)?;
        let entry = cache.remove(at)?;
        let metadata = entry.1.clone();
        cache.push_front(entry);
        Some(metadata)
    }

    /// Keeps parsed metadata.
    pub(crate) fn cache_metadata(&self, metadata: Arc<VerifiedMetadata>) {
        let mut cache = self.metadata.lock();
        if cache.iter().any(|(known, _)| known == metadata.blob_id()) {
            return;
        }
        cache.truncate(METADATA - 1);
        cache.push_front((*metadata.blob_id(), metadata));
    }
}

async fn borrow(budget: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let permits = u32::try_from((bytes.min(BUDGET) / GRAIN).max(1)).ok()?;
    tokio::time::timeout(PATIENCE, budget.clone().acquire_many_owned(permits)).await.ok()?.ok()
}

async fn blocking<T: Send + 'static>(
    slots: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let task = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(slot);
        result
    });
    task.await.map_err(io::Error::other)
}
