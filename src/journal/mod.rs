//! What is promised to the user but not yet certified, durable on the local disk (docs/architecture.md "Data model").
//!
//! # Mechanism
//!
//! One ordered log of sealed frames in segment files. Four kinds of frames matter: `Batch` (changes of the tree), `Data`
//! (plaintext of a dirty chunk, named by a later batch through its [`SpoolRef`]), `Remap` (a commit is final: up to where,
//! and where its chunks lie now) and `Pending` (the state of the commit in flight). Appends only fill a buffer;
//! [`Journal::flush`] hands the buffer to the disk and [`Journal::sync`] makes it durable, one sync for every caller that
//! waits. Frames are never overwritten; space returns when whole segments lie below the last committed cut and nothing
//! later names a frame in them.
//!
//! # Promises
//!
//! After `sync(lsn)` returned, every frame up to `lsn` is read back by the next [`Journal::open`], in order. A frame that
//! had been durable and cannot be read is reported, never passed over in silence, and what follows it is kept. Reading a
//! data frame never blocks an append for longer than copying it.
//!
//! # Assumptions
//!
//! Those of [`crate::seam::BlockDir`]: nothing is durable before a sync, and until then any part of it may be. After a
//! failed sync nothing is known about what was written: the journal refuses everything until it is opened again.
//!
//! # Never
//!
//! A frame is never rewritten, so no nonce is used for two plaintexts; plaintext never reaches the disk.

mod buffer;
mod disk;
mod frame;
#[cfg(fuzzing)]
pub mod fuzz;
mod recover;
#[cfg(test)]
pub(crate) mod tests;

pub use recover::remap_extents;

use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::Lsn;
use crate::seam::{BlockDir, BlockFile};
use crate::tree::record::{Batch, ChunkAddr, Place, Record, SpoolRef};
use buffer::{Buffer, Piece};
use disk::Spare;
use frame::{FrameKind, Frames, REMAP_PART, Remap};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

impl Limits {
    /// The defaults in proportion to a journal of `bytes` in all.
    pub fn of(bytes: u64) -> Self {
        let usual = Self::default();
        Self { bytes, reserve: usual.reserve.min(bytes / 4), segment: usual.segment.min(bytes / 16).max(1 << 20) }
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
    /// Bytes that an append with [`Urgency::Normal`] may still take.
    pub room: u64,
    /// Plaintext bytes in data frames that batches name and no commit holds.
    pub spooled: u64,
    /// Segments, the one being filled included.
    pub segments: u64,
}

/// A stretch of the journal that could not be read back although it had been durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Segment number.
    pub segment: u64,
    /// First byte that is wrong.
    pub offset: u64,
    /// Bytes that were skipped; zero when whole segments are gone.
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
    /// Batches after the last committed cut, in order; chunks that a commit holds already point to packs.
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
    dir: Box<dyn BlockDir>,
    spare: Spare,
    frames: Frames,
    limits: Limits,
    inner: Mutex<Inner>,
    /// Held while buffered bytes go to the disk, so that they go in order.
    writing: Mutex<()>,
    sync: Mutex<SyncState>,
    synced: Condvar,
    /// Everything up to here is on the disk for sure.
    durable: AtomicU64,
    /// A sync failed.
    poisoned: AtomicBool,
}

struct Segment {
    /// `None` until the first flush creates it.
    file: Option<Arc<dyn BlockFile>>,
    /// Bytes, buffered ones included.
    len: u64,
    /// Position of the last frame that matters; marks do not.
    last_lsn: u64,
    /// Data frames in it, by offset: plaintext length, and the position of the last batch that names the frame
    /// (`u64::MAX` until one does).
    refs: BTreeMap<u64, (u32, u64)>,
}

struct Inner {
    segments: BTreeMap<u64, Segment>,
    current: u64,
    buffer: Buffer,
    /// Position of the last frame.
    last: u64,
    /// Position of the last frame that is not a mark.
    tail: u64,
    /// Position of the last batch or data frame: what a commit can hold.
    content: u64,
    pending: Vec<u8>,
    pending_in: Option<u64>,
    /// Bytes of all segments, buffered ones included.
    bytes: u64,
    /// Segments written to since the last sync.
    unsynced: BTreeSet<u64>,
    /// Whether a name was made since the directory's last sync.
    names_unsynced: bool,
    /// A trim that is written down and not yet durable.
    trimming: Option<Trim>,
}

/// See [`Journal::trim`].
#[derive(Clone, Copy)]
struct Trim {
    /// As it was asked for.
    cut: Lsn,
    /// Up to here nothing is needed any more.
    upto: u64,
    /// Position of its last frame.
    last: Lsn,
}

#[derive(Default)]
struct SyncState {
    running: bool,
}

/// Buffered bytes above which an append that is not under the vfs lock hands them to the disk.
const FLUSH_AT: usize = 1 << 20;
/// Buffered bytes above which appends are refused: the disk takes nothing more.
const BUFFER_MAX: usize = 64 << 20;

fn segment_name(segment: u64) -> String {
    format!("journal-{segment:016x}")
}

fn segment_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix("journal-").filter(|hex| hex.len() == 16)?, 16).ok()
}

impl Journal {
    /// Opens (or starts) the journal in `dir`, whose frames `keys` seals.
    ///
    /// # Errors
    /// When the disk cannot be read, or a segment is of a format version that this program does not know. Damage is no
    /// error: it is in [`Recovery::lost`].
    pub fn open(dir: Box<dyn BlockDir>, keys: Arc<KeyRing>, limits: Limits) -> FsResult<(Journal, Recovery)> {
        let frames = Frames::new(keys);
        let mut numbers: Vec<u64> = dir.list()?.iter().filter_map(|name| segment_of(name)).collect();
        numbers.sort_unstable();
        let mut scan = recover::Scan::default();
        let mut files = BTreeMap::new();
        for &number in &numbers {
            let file = dir.open(&segment_name(number), false)?;
            let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
            file.read_at(0, &mut bytes)?;
            scan.segment(&frames, number, &bytes)?;
            files.insert(number, file);
        }
        let resume = scan.resume()?;
        let mut segments = BTreeMap::new();
        for (number, file) in files {
            let Some(&(len, last_lsn)) = resume.keep.get(&number) else { continue };
            if file.len()? > len {
                file.set_len(len)?;
            }
            // What was read back may never have been synced; it counts from now on, so it must be durable from now on.
            file.sync()?;
            segments.insert(number, Segment { file: Some(file), len, last_lsn, refs: BTreeMap::new() });
        }
        for &number in &resume.drop {
            dir.remove(&segment_name(number))?;
        }
        dir.sync()?;
        let current = numbers.last().map_or(1, |last| last.saturating_add(1));
        let mut inner = Inner {
            segments,
            current,
            buffer: Buffer::default(),
            last: resume.last,
            tail: resume.last,
            content: if resume.recovery.batches.is_empty() { resume.recovery.cut.0 } else { resume.last },
            pending: resume.recovery.pending.clone().unwrap_or_default(),
            pending_in: resume.pending_in,
            bytes: 0,
            unsynced: BTreeSet::new(),
            names_unsynced: false,
            trimming: None,
        };
        inner.bytes = inner.segments.values().map(|segment| segment.len).sum();
        inner.start_segment(current);
        for (lsn, batch) in &resume.recovery.batches {
            inner.note_refs(batch, lsn.0);
        }
        let journal = Journal {
            dir,
            frames,
            limits,
            spare: Spare::default(),
            inner: Mutex::new(inner),
            writing: Mutex::default(),
            sync: Mutex::default(),
            synced: Condvar::new(),
            durable: AtomicU64::new(resume.last),
            poisoned: AtomicBool::new(false),
        };
        journal.look_at_disk();
        Ok((journal, resume.recovery))
    }

    /// Appends `batch` to the buffer; never touches the disk.
    ///
    /// # Errors
    /// `DiskFull` beyond the limit (nothing was appended), `Internal` after a failed sync.
    pub fn append(&self, batch: &Batch, urgency: Urgency) -> FsResult<Lsn> {
        let payload = frame::encode_batch(batch)?;
        let mut inner = self.inner.lock();
        let (lsn, _) = self.push(&mut inner, FrameKind::Batch, &payload, urgency)?;
        inner.note_refs(batch, lsn);
        Ok(Lsn(lsn))
    }

    /// Appends the plaintext of (part of) a chunk; a batch must name it soon, or [`Journal::abandon`]. Hands the buffer to
    /// the disk when it has grown large, so it may block on the disk, but not on a sync.
    pub fn append_data(&self, plaintext: &[u8], urgency: Urgency) -> FsResult<SpoolRef> {
        let (at, full) = self.append_data_buffered(plaintext, urgency)?;
        if full {
            // The bytes stay in the buffer when the disk refuses them; the next sync reports it.
            self.flush().unwrap_or_else(|error| tracing::warn!(%error, "journal: buffered data stays in memory"));
        }
        Ok(at)
    }

    /// As [`Journal::append_data`], but never touches the disk; also whether the buffer has grown large.
    pub fn append_data_buffered(&self, plaintext: &[u8], urgency: Urgency) -> FsResult<(SpoolRef, bool)> {
        let len = u32::try_from(plaintext.len())
            .map_err(|error| FsError::new(Kind::Internal, "journal: a data frame above 4 GiB").caused_by(error))?;
        let mut inner = self.inner.lock();
        let (_, offset) = self.push(&mut inner, FrameKind::Data, plaintext, urgency)?;
        let current = inner.current;
        if let Some(segment) = inner.segments.get_mut(&current) {
            segment.refs.insert(offset, (len, u64::MAX));
        }
        Ok((SpoolRef { segment: current, offset, len }, inner.buffer.len() >= FLUSH_AT))
    }

    /// No batch will name `at`: its space need not be kept.
    pub fn abandon(&self, at: SpoolRef) {
        if let Some(segment) = self.inner.lock().segments.get_mut(&at.segment) {
            segment.refs.remove(&at.offset);
        }
    }

    /// The plaintext of a data frame.
    ///
    /// # Errors
    /// `Stale` when its segment has been dropped (a commit holds the chunk: look the place up again), `Corrupt` when it
    /// does not open.
    pub fn read(&self, at: SpoolRef) -> FsResult<Vec<u8>> {
        let total = self.frames.total(at.len as usize);
        let (buffered, file) = {
            let inner = self.inner.lock();
            let gone = || FsError::new(Kind::Stale, "journal: the segment of a chunk has been dropped");
            let segment = inner.segments.get(&at.segment).ok_or_else(gone)?;
            (inner.buffer.copy(at.segment, at.offset, total), segment.file.clone())
        };
        let bytes = match (buffered, file) {
            (Some(bytes), _) => bytes,
            (None, Some(file)) => {
                let mut bytes = vec![0; total];
                file.read_at(at.offset, &mut bytes).map_err(|error| {
                    let message = format!("journal segment {:x}: reading at byte {}", at.segment, at.offset);
                    FsError::new(Kind::Corrupt, message).caused_by(error)
                })?;
                bytes
            }
            (None, None) => return Err(FsError::new(Kind::Corrupt, "journal: no such data frame")),
        };
        let (header, plain) = self.frames.decode(at.segment, at.offset, &bytes)?;
        if header.kind != FrameKind::Data || plain.len() != at.len as usize {
            return Err(FsError::new(Kind::Corrupt, "journal: a chunk's place names another frame"));
        }
        Ok(plain)
    }

    /// The position of the last frame: what [`Journal::sync`] must be given to make everything so far durable.
    pub fn tail(&self) -> Lsn {
        Lsn(self.inner.lock().tail)
    }

    /// Whether everything up to `lsn` is durable.
    pub fn is_durable(&self, lsn: Lsn) -> bool {
        self.durable.load(Ordering::Acquire) >= lsn.0
    }

    /// Hands the buffer to the disk without a sync. Blocks on the disk.
    pub fn flush(&self) -> FsResult<()> {
        let _order = self.writing.lock();
        let written = self.write_buffer();
        self.look_at_disk();
        written
    }

    fn write_buffer(&self) -> FsResult<()> {
        loop {
            let (piece, file) = {
                let mut inner = self.inner.lock();
                let Some(piece) = inner.buffer.outgoing() else { return Ok(()) };
                let file = inner.segments.get(&piece.segment).and_then(|segment| segment.file.clone());
                (piece, file)
            };
            let file = match file {
                Some(file) => file,
                None => self.create_segment(&piece)?,
            };
            file.write_at(piece.offset, &piece.bytes)?;
            let mut inner = self.inner.lock();
            inner.unsynced.insert(piece.segment);
            inner.buffer.written(piece);
        }
    }

    fn create_segment(&self, piece: &Piece) -> FsResult<Arc<dyn BlockFile>> {
        let file = self.dir.open(&segment_name(piece.segment), true)?;
        let mut inner = self.inner.lock();
        inner.names_unsynced = true;
        if let Some(segment) = inner.segments.get_mut(&piece.segment) {
            segment.file = Some(file.clone());
        }
        Ok(file)
    }

    /// Makes everything up to `lsn` durable; one sync of the disk serves every caller that waits. Blocks.
    ///
    /// # Errors
    /// `DiskFull` when the disk does not take the buffer (it is kept; a later call may succeed); `Internal` when the sync
    /// itself fails, and from then on for every call: what is on the disk is unknown until the journal is opened again.
    pub fn sync(&self, lsn: Lsn) -> FsResult<()> {
        let mut state = self.sync.lock();
        loop {
            if self.is_durable(lsn) {
                return Ok(());
            }
            if self.poisoned.load(Ordering::Acquire) {
                return Err(poisoned());
            }
            if !state.running {
                break;
            }
            self.synced.wait(&mut state);
        }
        state.running = true;
        drop(state);
        let result = self.sync_as_leader();
        let result = match result {
            Ok(()) => Ok(()),
            Err(SyncFailure::Write(error)) => Err(error),
            Err(SyncFailure::Sync(error)) => {
                self.poisoned.store(true, Ordering::Release);
                Err(poisoned().caused_by(error))
            }
        };
        self.sync.lock().running = false;
        self.synced.notify_all();
        result
    }

    fn sync_as_leader(&self) -> Result<(), SyncFailure> {
        let upto = self.inner.lock().tail;
        self.flush().map_err(SyncFailure::Write)?;
        let (files, names) = {
            let mut inner = self.inner.lock();
            let files: Vec<_> = std::mem::take(&mut inner.unsynced)
                .into_iter()
                .filter_map(|number| inner.segments.get(&number).and_then(|segment| segment.file.clone()))
                .collect();
            (files, std::mem::take(&mut inner.names_unsynced))
        };
        for file in files {
            file.sync().map_err(SyncFailure::Sync)?;
        }
        if names {
            self.dir.sync().map_err(SyncFailure::Sync)?;
        }
        self.durable.fetch_max(upto, Ordering::AcqRel);
        self.mark();
        Ok(())
    }

    /// Notes in the journal how far it is durable, so that recovery can tell a lost promise from a torn tail. Not synced:
    /// later frames say the same.
    fn mark(&self) {
        let written = {
            let mut inner = self.inner.lock();
            if inner.buffer.len() > 0 {
                return;
            }
            self.push(&mut inner, FrameKind::Mark, &[], Urgency::Reserve).map(|_| ())
        };
        if let Err(error) = written.and_then(|()| self.flush()) {
            tracing::debug!(%error, "journal: no mark after a sync");
        }
    }

    /// Keeps `bytes` (empty: nothing) as the pending record, the state of the commit in flight. Durable after `sync`.
    pub fn put_pending(&self, bytes: &[u8]) -> FsResult<Lsn> {
        let mut inner = self.inner.lock();
        let (lsn, _) = self.push(&mut inner, FrameKind::Pending, bytes, Urgency::Reserve)?;
        inner.pending = bytes.to_vec();
        inner.pending_in = (!bytes.is_empty()).then_some(inner.current);
        Ok(Lsn(lsn))
    }

    /// Records, durably, that everything up to `cut` is committed and where its chunks lie now; then drops the segments
    /// that neither hold anything later nor are named by anything later. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Journal::sync`]; the call can be made again.
    pub fn trim(&self, cut: Lsn, remap: &HashMap<SpoolRef, ChunkAddr>) -> FsResult<()> {
        let moves: Vec<(SpoolRef, ChunkAddr)> = remap.iter().map(|(at, addr)| (*at, *addr)).collect();
        let trim = {
            let mut inner = self.inner.lock();
            match inner.trimming {
                // An earlier call found the disk full.
                Some(trim) if trim.cut == cut => trim,
                _ => self.push_trim(&mut inner, cut, &moves)?,
            }
        };
        self.sync(trim.last)?;
        let dropped = {
            let mut inner = self.inner.lock();
            inner.trimming = None;
            inner.release(trim.upto, &moves)
        };
        for number in &dropped {
            self.dir.remove(&segment_name(*number))?;
        }
        if !dropped.is_empty() {
            self.dir.sync()?;
        }
        Ok(())
    }

    /// Appends what [`Journal::trim`] records.
    fn push_trim(&self, inner: &mut Inner, cut: Lsn, moves: &[(SpoolRef, ChunkAddr)]) -> FsResult<Trim> {
        // Marks and records of the commit stand behind its cut. When nothing else does, they must not keep a segment of
        // committed changes, which every later opening would read.
        let upto = if inner.content <= cut.0 { inner.last.max(cut.0) } else { cut.0 };
        if inner.segments.get(&inner.current).is_some_and(|segment| segment.len > frame::SEGMENT_HEADER as u64) {
            inner.next_segment();
        }
        let mut parts: Vec<Remap> =
            moves.chunks(REMAP_PART).map(|part| Remap { cut: 0, moves: part.to_vec() }).collect();
        match parts.last_mut() {
            Some(part) => part.cut = upto,
            None => parts.push(Remap { cut: upto, moves: Vec::new() }),
        }
        for part in parts {
            let payload = bcs::to_bytes(&part)
                .map_err(|error| FsError::new(Kind::Internal, "journal: encoding a remap").caused_by(error))?;
            self.push(inner, FrameKind::Remap, &payload, Urgency::Reserve)?;
        }
        if inner.pending_in.is_some() {
            let pending = inner.pending.clone();
            self.push(inner, FrameKind::Pending, &pending, Urgency::Reserve)?;
            inner.pending_in = Some(inner.current);
        }
        let trim = Trim { cut, upto, last: Lsn(inner.tail) };
        inner.trimming = Some(trim);
        Ok(trim)
    }

    /// Bytes that an append with [`Urgency::Normal`] may still take, and the disk too.
    pub fn room(&self) -> u64 {
        self.room_beside(self.inner.lock().bytes)
    }

    fn room_beside(&self, bytes: u64) -> u64 {
        self.granted(bytes).min(self.spare.bytes())
    }

    /// What is left of the limit when segments have `bytes`.
    fn granted(&self, bytes: u64) -> u64 {
        self.limits.bytes.saturating_sub(self.limits.reserve).saturating_sub(bytes)
    }

    /// Figures of now.
    pub fn usage(&self) -> Usage {
        let inner = self.inner.lock();
        let bytes = inner.bytes;
        let refs = inner.segments.values().flat_map(|segment| segment.refs.values());
        Usage {
            bytes,
            limit: self.limits.bytes,
            room: self.room_beside(bytes),
            spooled: refs.filter(|(_, named)| *named != u64::MAX).map(|(len, _)| u64::from(*len)).sum(),
            segments: inner.segments.len() as u64,
        }
    }

    /// Appends a frame to the buffer; returns its position and its offset in the current segment.
    fn push(&self, inner: &mut Inner, kind: FrameKind, payload: &[u8], urgency: Urgency) -> FsResult<(u64, u64)> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(poisoned());
        }
        let total = self.frames.total(payload.len()) as u64;
        let limit = match urgency {
            Urgency::Normal => self.limits.bytes.saturating_sub(self.limits.reserve),
            Urgency::Reserve => self.limits.bytes,
        };
        if inner.bytes.saturating_add(total) > limit || inner.buffer.len() > BUFFER_MAX {
            return Err(FsError::new(
                Kind::DiskFull,
                "the journal is full: wait for a commit (`walrusfs sync`), or give it more room on the local disk",
            ));
        }
        if inner.segments.get(&inner.current).is_some_and(|segment| {
            segment.len > frame::SEGMENT_HEADER as u64 && segment.len.saturating_add(total) > self.limits.segment
        }) {
            inner.next_segment();
        }
        let (number, lsn) = (inner.current, inner.last.saturating_add(1));
        let durable = self.durable.load(Ordering::Acquire);
        let segment = inner
            .segments
            .get_mut(&number)
            .ok_or_else(|| FsError::new(Kind::Internal, "journal: the current segment is missing"))?;
        let offset = segment.len;
        let out = inner.buffer.tail(number, offset);
        self.frames.encode(out, number, offset, (kind, lsn, durable), payload)?;
        segment.len = offset.saturating_add(total);
        // A mark counts here: a segment that went while the cut is below its mark would look like a lost frame.
        segment.last_lsn = lsn;
        if kind != FrameKind::Mark {
            inner.tail = lsn;
        }
        if matches!(kind, FrameKind::Batch | FrameKind::Data) {
            inner.content = lsn;
        }
        inner.last = lsn;
        inner.bytes = inner.bytes.saturating_add(total);
        self.spare.take(total);
        Ok((lsn, offset))
    }
}

enum SyncFailure {
    Write(FsError),
    Sync(std::io::Error),
}

fn poisoned() -> FsError {
    FsError::new(
        Kind::Internal,
        "the local disk failed while the journal was made durable; nothing later can be promised: \
         check the disk, then unmount and mount again",
    )
}

impl Inner {
    fn start_segment(&mut self, number: u64) {
        let header = frame::segment_header(number, self.last.saturating_add(1));
        self.buffer.tail(number, 0).extend_from_slice(&header);
        let len = header.len() as u64;
        self.bytes = self.bytes.saturating_add(len);
        self.segments.insert(number, Segment { file: None, len, last_lsn: 0, refs: BTreeMap::new() });
        self.current = number;
    }

    fn next_segment(&mut self) {
        self.start_segment(self.current.saturating_add(1));
    }

    /// Remembers which data frames the batch at `lsn` names.
    fn note_refs(&mut self, batch: &Batch, lsn: u64) {
        for (_, record) in batch {
            let Some(Record::Extents(extents)) = record else { continue };
            for extent in extents {
                if let Place::Spool { at, .. } = &extent.place
                    && let Some(segment) = self.segments.get_mut(&at.segment)
                {
                    segment.refs.insert(at.offset, (at.len, lsn));
                }
            }
        }
    }

    /// Forgets the references that a commit up to `cut` has taken over, and the segments that nothing needs any more.
    fn release(&mut self, cut: u64, moves: &[(SpoolRef, ChunkAddr)]) -> Vec<u64> {
        for (at, _) in moves {
            if let Some(segment) = self.segments.get_mut(&at.segment) {
                segment.refs.remove(&at.offset);
            }
        }
        let mut dropped = Vec::new();
        for (&number, segment) in &mut self.segments {
            segment.refs.retain(|_, (_, named)| *named > cut);
            if number != self.current && segment.last_lsn <= cut && segment.refs.is_empty() {
                dropped.push(number);
            }
        }
        for number in &dropped {
            let gone = self.segments.remove(number).map_or(0, |segment| segment.len);
            self.bytes = self.bytes.saturating_sub(gone);
            self.unsynced.remove(number);
        }
        dropped
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A journal that nobody wrote to may have lost its folder: a reader's has.
        if self.inner.lock().last <= self.durable.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "journal: unsynced changes were not written at the end");
        }
    }
}
