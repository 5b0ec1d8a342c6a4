//! What is promised to the user but not yet certified, durable on the local disk.

use crate::error::FsResult;
use crate::ids::Lsn;
use crate::tree::record::{Batch, ChunkAddr, SpoolRef};

/// Seals and opens the frames: XChaCha20-Poly1305 with a fresh random nonce per call.
pub trait Sealer: Send + Sync {
    /// Seals `plaintext`, binding `aad`.
    fn seal(&self, aad: &[u8], plaintext: &[u8]) -> FsResult<Vec<u8>>;
    /// Opens what `seal` made with the same `aad`.
    fn open(&self, aad: &[u8], sealed: &[u8]) -> FsResult<Vec<u8>>;
}

/// Bounds of a journal.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all segments together; an append beyond it fails with `DiskFull`.
    pub bytes: u64,
    /// Part of `bytes` that only appends with [`Urgency::Reserve`] may use.
    pub reserve: u64,
    /// Bytes after which a new segment begins.
    pub segment: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 8 << 30, reserve: 256 << 20, segment: 64 << 20 }
    }
}

/// Whether an append may use the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It may not: it takes space that the user asked for.
    Normal,
    /// It may: it frees space, or carries data that was acknowledged to the kernel.
    Reserve,
}

/// Figures of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all segments, buffered ones included.
    pub bytes: u64,
    /// The configured bound.
    pub limit: u64,
    /// Plaintext bytes in data frames that batches name and no commit holds.
    pub spooled: u64,
    /// Segment files.
    pub segments: u64,
}

/// A stretch of the journal that could not be read back although it had been durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Segment number.
    pub segment: u64,
    /// First byte that is wrong.
    pub offset: u64,
    /// Bytes that were skipped.
    pub bytes: u64,
    /// Positions in the journalled order that are gone.
    pub lsns: std::ops::Range<u64>,
}

/// What recovery could not bring back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Bytes after the last whole frame of the journal: writes that were never acknowledged as durable.
    pub torn_bytes: u64,
    /// Frames that had been durable and are damaged: acknowledged changes are missing. What follows them was kept.
    pub damaged: Vec<Damage>,
}

/// What [`Journal::open`] found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Batches after the last committed cut, in order; remapped chunks already point to packs.
    pub batches: Vec<(Lsn, Batch)>,
    /// The newest pending record, if it is not empty.
    pub pending: Option<Vec<u8>>,
    /// The last committed cut that the journal knows of.
    pub cut: Lsn,
    /// What could not be brought back.
    pub lost: Lost,
}

/// The journal of a drive.
pub struct Journal {
    _limits: Limits,
}

impl Journal {
    /// Opens (or starts) the journal in `dir`.
    pub fn open(
        dir: Box<dyn crate::seam::BlockDir>,
        sealer: Box<dyn Sealer>,
        limits: Limits,
    ) -> FsResult<(Journal, Recovery)> {
        let _ = (dir, sealer);
        Ok((Journal { _limits: limits }, Recovery::default()))
    }

    /// Appends a batch to the buffer.
    pub fn append(&self, batch: &Batch, urgency: Urgency) -> FsResult<Lsn> {
        let _ = (batch, urgency);
        Ok(Lsn(0))
    }

    /// Makes everything up to `lsn` durable; one sync of the disk serves every caller that waits. Blocks.
    pub fn sync(&self, lsn: Lsn) -> FsResult<()> {
        let _ = lsn;
        Ok(())
    }

    /// Keeps `bytes` (empty: nothing) as the pending record: the state of the commit in flight. Durable after `sync`.
    pub fn put_pending(&self, bytes: &[u8]) -> FsResult<Lsn> {
        let _ = bytes;
        Ok(Lsn(0))
    }

    /// Records that everything up to `cut` is committed and where its chunks lie now, then drops segments. Blocks.
    pub fn trim(&self, cut: Lsn, remap: Vec<(SpoolRef, ChunkAddr)>) -> FsResult<()> {
        let _ = (cut, remap);
        Ok(())
    }

    /// Figures of now.
    pub fn usage(&self) -> Usage {
        Usage::default()
    }
}
