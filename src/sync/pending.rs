//! What the journal remembers of commits: the sequence that this machine's changes build on, and the commit in flight.

use crate::drive::CommitTag;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{Lsn, Sequence};
use crate::tree::record::{ChunkAddr, SpoolRef};
use crate::tree::{Ground, Moved};
use serde::{Deserialize, Serialize};

/// The journal's pending record, version 1 (BCS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Layout version.
    version: u16,
    /// The state of the Drive that the journal's changes build on.
    pub ground: Ground,
    /// The commit that was about to be sent.
    pub commit: Option<InFlight>,
    /// Blobs that were about to be registered for a commit that has not happened: if it never does, they only take
    /// capacity.
    pub registered: Vec<[u8; 32]>,
}

/// A commit of which it is not known whether it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The sequence that it makes.
    pub sequence: Sequence,
    /// Its name in the Drive's seal.
    pub tag: CommitTag,
    /// It holds every batch up to here.
    pub cut: Lsn,
    /// Where it put the chunks of the spool.
    pub moved: Vec<(SpoolRef, ChunkAddr)>,
}

const VERSION: u16 = 1;

impl Pending {
    /// A commit of `sequence`, on the state before it, is about to be sent.
    pub(super) fn commit(
        ground: Ground,
        sequence: Sequence,
        tag: CommitTag,
        cut: Lsn,
        moved: &Moved,
        registered: Vec<[u8; 32]>,
    ) -> Self {
        let mut moved: Vec<_> = moved.iter().map(|(at, addr)| (*at, *addr)).collect();
        moved.sort_unstable();
        Self { version: VERSION, ground, commit: Some(InFlight { sequence, tag, cut, moved }), registered }
    }

    pub(super) fn settled(ground: Ground) -> Self {
        Self { version: VERSION, ground, commit: None, registered: Vec::new() }
    }

    /// Nothing is in flight; `registered` may take capacity for nothing.
    pub fn storing(ground: Ground, registered: Vec<[u8; 32]>) -> Self {
        Self { version: VERSION, ground, commit: None, registered }
    }

    /// The record's bytes.
    ///
    /// # Errors
    /// None that can be provoked.
    pub fn encode(&self) -> FsResult<Vec<u8>> {
        bcs::to_bytes(self)
            .map_err(|error| FsError::new(Kind::Internal, "the pending record cannot be written").caused_by(error))
    }

    /// Reads a pending record. [`Kind::Corrupt`] when it is none, or of a later version of the program.
    pub fn decode(bytes: &[u8]) -> FsResult<Self> {
        let pending: Self = bcs::from_bytes(bytes)
            .map_err(|error| FsError::new(Kind::Corrupt, "the journal's pending record is damaged").caused_by(error))?;
        if pending.version != VERSION {
            return Err(FsError::new(
                Kind::Corrupt,
                format!("the journal was written by a newer walrusfs (pending record version {})", pending.version),
            ));
        }
        Ok(pending)
    }
}

/// What to do with a journal at mount, once the Drive was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its changes go on top of the Drive as it is.
    Replay,
    /// The commit in flight happened: trim the journal at its cut, then replay the rest.
    Trim(InFlight),
    /// Somebody else committed since: the changes have lost their base.
    Conflict,
}

/// Judges a journal: `pending` is its record (`None` when it never had one), `drive` and `tag` are the Drive's sequence
/// and the name of the commit that made it.
pub fn judge(pending: Option<&Pending>, drive: Sequence, tag: CommitTag) -> Verdict {
    match pending {
        None => Verdict::Replay,
        Some(Pending { ground, .. }) if ground.sequence == drive => Verdict::Replay,
        Some(Pending { commit: Some(commit), .. }) if commit.sequence == drive && commit.tag == tag => {
            Verdict::Trim(commit.clone())
        }
        Some(_) => Verdict::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_judged_by_the_sequence_it_builds_on() {
        let flight =
            Pending::commit(Ground::empty(Sequence(7)), Sequence(8), [1; 16], Lsn(50), &Moved::new(), vec![[5; 32]]);
        let commit = flight.commit.clone().unwrap();
        let settled = Pending::settled(Ground::empty(Sequence(8)));
        let cases = [
            (None, 3, 0, Verdict::Replay),
            (Some(&settled), 8, 0, Verdict::Replay),
            (Some(&settled), 9, 1, Verdict::Conflict),
            (Some(&settled), 7, 0, Verdict::Conflict),
            (Some(&flight), 7, 0, Verdict::Replay),
            (Some(&flight), 8, 1, Verdict::Trim(commit)),
            (Some(&flight), 8, 0, Verdict::Conflict),
            (Some(&flight), 9, 1, Verdict::Conflict),
        ];
        for (pending, drive, tag, expected) in cases {
            assert_eq!(judge(pending, Sequence(drive), [tag; 16]), expected, "{pending:?} with the drive at {drive}");
        }
    }

    #[test]
    fn damaged_and_later_records_are_refused() {
        let bytes = Pending::settled(Ground::empty(Sequence(3))).encode().unwrap();
        assert_eq!(Pending::decode(&bytes).unwrap(), Pending::settled(Ground::empty(Sequence(3))));
        for cut in 0..bytes.len() {
            assert!(Pending::decode(&bytes[..cut]).is_err());
        }
        let mut later = bytes;
        later[0] = 2;
        assert!(Pending::decode(&later).is_err());
    }
}
