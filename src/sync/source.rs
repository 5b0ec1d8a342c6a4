//! How the pipeline reads what is committed: verified, and until the network answers.

use super::engine::Shared;
use crate::cache::VerifiedReader;
use crate::error::{FsResult, Kind};
use crate::pack::{PackRef, PackSource};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Reads packs for a commit. A node that lies costs latency, a network that does not answer costs time; neither may end a
/// commit half way, because that would end the pipeline. Only what is damaged at its source is an error.
pub(super) struct Insisting {
    shared: Arc<Shared>,
    reader: VerifiedReader,
}

/// Pauses between attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

impl Insisting {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), reader: shared.parts.reader.verified() }
    }
}

impl PackSource for Insisting {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        async move {
            let mut pause = PAUSE.0;
            loop {
                match self.reader.read(pack, offset, len).await {
                    Err(error) if error.kind() == Kind::Unreachable => self.shared.failed("reading the tree", &error),
                    read => {
                        if pause > PAUSE.0 {
                            self.shared.goes_on();
                        }
                        if read.is_ok() {
                            self.shared.parts.vfs.gets_on();
                        }
                        return read;
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
        .boxed()
    }

    fn impatient(&self) -> Option<&dyn PackSource> {
        Some(&self.reader)
    }
}
