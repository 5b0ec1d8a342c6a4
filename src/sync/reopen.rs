//! Opening the journal on top of the Drive as it is now: what an earlier life of the mount left is settled first.

use super::pending::{Pending, Verdict, judge};
use crate::crypto::KeyRing;
use crate::drive::CommitTag;
use crate::error::{FsError, FsResult, Kind};
use crate::journal::{Journal, Limits, Recovery};
use crate::seam::BlockDir;
use crate::tree::Ground;
use std::collections::HashMap;
use std::sync::Arc;

/// A journal without changes that has more segments, or more bytes, is tidied up when it is opened: that costs two syncs of the disk.
const MOST_SEGMENTS: u64 = 16;
const MOST_BYTES: u64 = 1 << 20;

/// What came of opening a journal.
pub enum Reopened {
    /// It stands on the Drive as it is.
    Ready(Box<Standing>),
    /// Somebody else has committed since its changes were made. It was not touched.
    Conflict {
        /// Batches of changes that have lost their base.
        changes: usize,
    },
}

/// A journal that stands on the Drive as it is.
pub struct Standing {
    /// The journal, ready for new changes.
    pub journal: Journal,
    /// The changes that no commit holds.
    pub recovery: Recovery,
    /// Blobs that were (about to be) registered for a commit that did not happen.
    pub orphans: Vec<[u8; 32]>,
}

/// Opens the journal in the directory that `dir` opens (it is opened twice when a commit in flight turns out to have
/// happened). `drive` and `tag` are the Drive's, as just
/// read. Blocks on the disk.
pub fn reopen(
    dir: impl Fn() -> FsResult<Box<dyn BlockDir>>,
    keys: &Arc<KeyRing>,
    limits: Limits,
    drive: Ground,
    tag: CommitTag,
) -> FsResult<Reopened> {
    let open = || Journal::open(dir()?, Arc::clone(keys), limits);
    let (mut journal, mut recovery) = open()?;
    let pending = recovery.pending.as_deref().map(Pending::decode).transpose()?;
    match judge(pending.as_ref(), drive.sequence, tag) {
        Verdict::Replay => {}
        Verdict::Trim(commit) => {
            journal.trim(commit.cut, &commit.moved.into_iter().collect())?;
            drop(journal);
            (journal, recovery) = open()?;
        }
        Verdict::Conflict if recovery.batches.is_empty() => {}
        Verdict::Conflict => return Ok(Reopened::Conflict { changes: recovery.batches.len() }),
    }
    let orphans = pending.map(|pending| pending.registered).unwrap_or_default();
    let note = Pending::storing(drive, orphans.clone()).encode()?;
    let lsn = journal.put_pending(&note)?;
    journal.sync(lsn)?;
    // Each life has a segment of its own, and what is committed need not be read again by each of them. What is damaged stays
    // for a closer look.
    let usage = journal.usage();
    let nothing = recovery.batches.is_empty() && recovery.lost.damaged.is_empty();
    if nothing && (usage.segments > MOST_SEGMENTS || usage.bytes > MOST_BYTES) {
        journal.trim(recovery.cut, &HashMap::new())?;
    }
    Ok(Reopened::Ready(Box::new(Standing { journal, recovery, orphans })))
}

/// Whether the journal in `dir` has changes that have lost their base: somebody else has committed since. Changes nothing
/// that opening the journal does not change.
///
/// # Errors
/// When the disk cannot be read, or the journal's record of its base is damaged.
pub fn has_lost_base(
    dir: Box<dyn BlockDir>,
    keys: &Arc<KeyRing>,
    sequence: crate::ids::Sequence,
    tag: CommitTag,
) -> FsResult<bool> {
    let (_, recovery) = Journal::open(dir, Arc::clone(keys), Limits::default())?;
    let pending = recovery.pending.as_deref().map(Pending::decode).transpose()?;
    Ok(judge(pending.as_ref(), sequence, tag) == Verdict::Conflict && !recovery.batches.is_empty())
}

/// The committed state that a journal's changes stand on.
///
/// # Errors
/// When its record of that is missing or damaged.
pub fn ground_of(recovery: &Recovery) -> FsResult<Ground> {
    let missing = || FsError::new(Kind::Corrupt, "the journal does not say what its changes stand on");
    Ok(Pending::decode(recovery.pending.as_deref().ok_or_else(missing)?)?.ground)
}
