//! The committed state under a machine's changes, small enough to be kept beside them.

use super::base::Base;
use super::codec::{Fields, put_batch, take_batch};
use super::{Fetch, Tree};
use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::Sequence;
use crate::pack::{PackSource, RootRef};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A committed state: what it takes, with its packs, to open it again when the Drive has gone on. At most as long as the
/// Drive's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// Its sequence.
    pub sequence: Sequence,
    /// Its checkpoint.
    root: Option<RootRef>,
    /// The log entries above it, merged: an encoded batch.
    log: Vec<u8>,
}

impl Ground {
    /// The state of a Drive without checkpoint and log.
    pub fn empty(sequence: Sequence) -> Self {
        Self { sequence, root: None, log: vec![0; 4] }
    }
}

impl Tree {
    /// The committed state that uncommitted changes stand on.
    ///
    /// # Errors
    /// None that can be provoked.
    pub fn ground(&self) -> FsResult<Ground> {
        let base = self.state.read().base.clone();
        if self.remains().is_some() {
            // A gathered tree is no committed state: nobody can open it again, and saying so later is the truth.
            return Ok(Ground { sequence: base.sequence, root: base.root_ref, log: vec![0; 4] });
        }
        let mut log = Vec::new();
        put_batch(&mut log, base.log.iter().map(|(key, record)| (key, record.as_ref())))?;
        Ok(Ground { sequence: base.sequence, root: base.root_ref, log })
    }

    /// Opens an earlier state again, to look at. [`Kind::Unreachable`] when its packs have been deleted since.
    pub async fn on_ground(
        ground: &Ground,
        source: &dyn PackSource,
        keys: &KeyRing,
        cache_bytes: usize,
    ) -> FsResult<Self> {
        let mut base = Base::open(ground.sequence, ground.root, &[], source, keys).await?;
        let mut fields = Fields(&ground.log);
        let log = take_batch(&mut fields)?;
        if !fields.0.is_empty() {
            return Err(FsError::new(Kind::Corrupt, "the state under the journal's changes is damaged"));
        }
        base.log = Arc::new(log.into_iter().collect());
        let tree = Self::on(base, u64::MAX, cache_bytes);
        // Nothing of it may ever be committed; an answer here says that its table can be read.
        if let Fetch::Missing(addr) = tree.get(&super::Key::counters(super::Space::Table))? {
            tree.load(addr, source, keys).await?;
        }
        Ok(tree)
    }
}
