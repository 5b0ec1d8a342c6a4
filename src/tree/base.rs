//! What is committed: the root with its runs and trees, and the Drive's log above it.

use super::codec::{Fields, check, put_batch, take_batch};
use super::cursor::{Merge, Top, lookup};
use super::layer::Layer;
use super::node::{MAX_LEVEL, NodeCache};
use super::record::{Key, PackEntry, Record, Space};
use super::{Fetch, NodeAddr};
use crate::crypto::{Domain, KeyRing, SEAL_OVERHEAD};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{PackNo, Sequence};
use crate::pack::{PackSource, RootRef, UnitAddr, UnitKind, open_unit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Version of the root, and of the log entries above it.
pub(super) const VERSION: u16 = 1;

/// Delta runs that a root may name.
pub(super) const MAX_RUNS: usize = 8;

/// Sealed lengths of a log entry, bytes (docs/format.md "Log entries"): what an observer can tell of its size.
pub(super) const LOG_CLASSES: [usize; 4] = [256, 1024, 4096, 15 * 1024];

/// Sealed bytes that the Drive's log may hold in all.
pub(super) const LOG_TOTAL: usize = 16 * 1024;

/// Associated data of a log entry.
const LOG_AAD: &[u8] = b"log entry v1";

/// The place of a node in the root record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pointer {
    pub(super) pack: PackNo,
    pub(super) offset: u64,
    pub(super) stored: u32,
    pub(super) plain: u32,
    /// Level of the node, 0 for a leaf.
    pub(super) level: u8,
}

impl Pointer {
    pub(super) fn of(top: Top) -> Self {
        let NodeAddr { pack, offset, stored, plain, .. } = top.addr;
        Self { pack, offset, stored, plain, level: top.level }
    }

    pub(super) fn top(self, run: bool) -> Top {
        let Self { pack, offset, stored, plain, level } = self;
        Top { addr: NodeAddr { pack, offset, stored, plain, run }, level }
    }
}

/// A tree, as the root names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeRef {
    pub(super) node: Pointer,
    /// Plaintext bytes of its leaves.
    pub(super) bytes: u64,
}

/// A delta run, as the root names it. All its units lie in one pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunRef {
    pub(super) node: Pointer,
    /// Plaintext bytes of its blocks.
    pub(super) bytes: u64,
    /// Its first and its last key, encoded.
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
}

/// The root record: all that is needed, with its [`RootRef`] and the log, to open a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Root {
    pub(super) version: u16,
    /// The commit that wrote it.
    pub(super) sequence: Sequence,
    /// The pack that it lies in, that pack's size, and its live bytes (this record included). The rest of the pack's
    /// entry is in the [`RootRef`]: a pack cannot contain its own blob id.
    pub(super) pack: PackNo,
    pub(super) size: u64,
    pub(super) live: u64,
    pub(super) table: Option<TreeRef>,
    pub(super) files: Option<TreeRef>,
    /// Oldest first.
    pub(super) runs: Vec<RunRef>,
    /// Entries of the pack table that stand above runs and trees: of every pack that holds a run or a node of the table
    /// itself (without them it could not be read), and of every pack whose live bytes changed by writing the table.
    pub(super) bootstrap: Vec<(PackNo, PackEntry)>,
    /// Packs below a quarter of the target size, oldest first: what the next checkpoints absorb.
    pub(super) small: Vec<PackNo>,
    /// Reserved for snapshots; empty.
    pub(super) snapshots: Vec<u8>,
}

/// A run with its keys decoded.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) top: Top,
    pub(super) first: Key,
    pub(super) last: Key,
}

/// The committed state under `top` and `frozen`.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    pub(super) sequence: Sequence,
    pub(super) root: Option<Arc<Root>>,
    /// Where the root lies; `None` for a drive without a checkpoint.
    pub(super) root_ref: Option<RootRef>,
    pub(super) runs: Arc<Vec<Run>>,
    /// The Drive's log entries, merged.
    pub(super) log: Arc<Layer>,
    /// Number of entries and sealed bytes of the log.
    pub(super) log_entries: u64,
    pub(super) log_bytes: usize,
    /// [`Root::bootstrap`] and the entry of the root's own pack, as a layer.
    pub(super) bootstrap: Arc<Layer>,
}

impl Base {
    /// The base that `root` describes, without log.
    pub(super) fn of_root(root: Root, at: RootRef) -> FsResult<Self> {
        let bad = |why: &'static str| FsError::new(Kind::Corrupt, why);
        if root.version != VERSION {
            return Err(FsError::new(
                Kind::Corrupt,
                format!(
                    "the drive's format is {}, this program knows {VERSION}; a newer walrusfs may open it",
                    root.version
                ),
            ));
        }
        if root.runs.len() > MAX_RUNS {
            return Err(bad("root: too many runs"));
        }
        let levels =
            root.table.iter().chain(&root.files).map(|tree| tree.node).chain(root.runs.iter().map(|run| run.node));
        if levels.into_iter().any(|node| node.level > MAX_LEVEL) {
            return Err(bad("root: a tree claims to be too high"));
        }
        let runs = root.runs.iter().map(|run| {
            let (first, last) = (Key::decode(&run.first)?, Key::decode(&run.last)?);
            Ok(Run { top: run.node.top(true), first, last })
        });
        let runs = Arc::new(runs.collect::<FsResult<Vec<_>>>()?);
        let own = PackEntry {
            blob_id: at.blob_id,
            size: root.size,
            salt: at.salt,
            key_epoch: at.key_epoch,
            live: root.live,
            birth: root.sequence,
            dead_since_ms: None,
            forwards: Vec::new(),
        };
        let bootstrap: Layer = root
            .bootstrap
            .iter()
            .map(|(number, entry)| (*number, entry.clone()))
            .chain([(root.pack, own)])
            .map(|(number, entry)| (Key::pack(number), Some(Record::Pack(entry))))
            .collect();
        let sequence = root.sequence;
        let root = Some(Arc::new(root));
        Ok(Self { sequence, root, root_ref: Some(at), runs, bootstrap: Arc::new(bootstrap), ..Self::default() })
    }

    /// Reads the root at `at` and puts the Drive's `log` (sealed entries, oldest first) above it. `sequence` is the
    /// Drive's.
    pub(super) async fn open(
        sequence: Sequence,
        at: Option<RootRef>,
        log: &[Vec<u8>],
        source: &dyn PackSource,
        keys: &KeyRing,
    ) -> FsResult<Self> {
        let mut base = match at {
            Some(at) => Self::of_root(read_root(&at, source, keys).await?, at)?,
            None => Self::default(),
        };
        for sealed in log {
            let (written, changes) = open_log_entry(keys, sealed)?;
            base = base.with_log(written, changes, sealed.len())?;
        }
        if base.sequence > sequence {
            return Err(FsError::new(
                Kind::Corrupt,
                format!("the drive is at sequence {sequence}, but its tree is of sequence {}", base.sequence),
            ));
        }
        base.sequence = sequence;
        Ok(base)
    }

    /// This base with one more log entry above.
    pub(super) fn with_log(&self, written: Sequence, changes: Layer, sealed_len: usize) -> FsResult<Self> {
        if written <= self.sequence && (self.root.is_some() || self.log_entries > 0) {
            return Err(FsError::new(
                Kind::Corrupt,
                format!("log: entry of sequence {written} after {}", self.sequence),
            ));
        }
        let mut next = self.clone();
        let mut log = Arc::unwrap_or_clone(std::mem::take(&mut next.log));
        log.extend(changes);
        next.log = Arc::new(log);
        next.sequence = written;
        next.log_entries += 1;
        next.log_bytes += sealed_len;
        Ok(next)
    }

    pub(super) fn tree(&self, space: Space) -> Option<TreeRef> {
        let root = self.root.as_ref()?;
        match space {
            Space::Table => root.table,
            Space::Files => root.files,
        }
    }

    /// The committed record of `key`.
    pub(super) fn get(&self, nodes: &NodeCache, key: &Key) -> FsResult<Fetch<Option<Record>>> {
        if let Some(found) = self.log.get(key).or_else(|| self.bootstrap.get(key)) {
            return Ok(Fetch::Ready(found.clone()));
        }
        let runs = self.runs.iter().rev().filter(|run| run.first <= *key && *key <= run.last).map(|run| run.top);
        for top in runs.chain(self.tree(key.space).map(|tree| tree.node.top(false))) {
            match lookup(nodes, top, key)? {
                Fetch::Missing(addr) => return Ok(Fetch::Missing(addr)),
                Fetch::Ready(Some(found)) => return Ok(Fetch::Ready(found)),
                Fetch::Ready(None) => {}
            }
        }
        Ok(Fetch::Ready(None))
    }

    /// Adds all committed layers below what `merge` has.
    pub(super) fn merge_into<'a>(&'a self, merge: &mut Merge<'a>, from: &Key, to: Option<&Key>) {
        self.merge_changes(merge, from, to, 0);
        for space in [Space::Table, Space::Files] {
            let end = (space == Space::Table).then(|| Key::first_of(Space::Files));
            let beyond = end.is_some_and(|end| *from >= end) || to.is_some_and(|to| *to <= Key::first_of(space));
            if let Some(tree) = self.tree(space).filter(|_| !beyond) {
                merge.nodes(tree.node.top(false), from, to);
            }
        }
    }

    /// Adds log, bootstrap entries and the runs from number `runs_from` on below what `merge` has.
    pub(super) fn merge_changes<'a>(&'a self, merge: &mut Merge<'a>, from: &Key, to: Option<&Key>, runs_from: usize) {
        merge.layer(&self.log, from, to);
        merge.layer(&self.bootstrap, from, to);
        for run in self.runs.iter().skip(runs_from).rev() {
            if *from <= run.last && to.is_none_or(|to| run.first < *to) {
                merge.nodes(run.top, from, to);
            }
        }
    }
}

async fn read_root(at: &RootRef, source: &dyn PackSource, keys: &KeyRing) -> FsResult<Root> {
    let bad = |why: &'static str| FsError::new(Kind::Corrupt, why);
    let plain = at.length.checked_sub(16).ok_or_else(|| bad("root: impossible length"))?;
    if plain > UnitKind::Root.max_plain() {
        return Err(bad("root: impossible length"));
    }
    let cipher = keys.pack_cipher(at.key_epoch, &at.salt)?;
    let sealed = source.read(&at.pack(), at.offset, at.length).await?;
    let addr = UnitAddr { offset: at.offset, stored: at.length, plain };
    let bytes = open_unit(&cipher, UnitKind::Root, addr, sealed.into())?;
    bcs::from_bytes(&bytes).map_err(|error| bad("root: does not parse").caused_by(error))
}

/// Seals a log entry, padded to the smallest class that holds it; `None` when it is too long for any.
/// Plaintext: version u16 LE, sequence u64 LE, the batch, zeros.
pub(super) fn seal_log_entry(keys: &KeyRing, sequence: Sequence, changes: &Layer) -> FsResult<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    plain.extend_from_slice(&VERSION.to_le_bytes());
    plain.extend_from_slice(&sequence.0.to_le_bytes());
    put_batch(&mut plain, changes.iter().map(|(key, record)| (key, record.as_ref())))?;
    let Some(class) = log_class(plain.len()) else { return Ok(None) };
    plain.resize(class - SEAL_OVERHEAD, 0);
    keys.seal(Domain::Log, LOG_AAD, &plain).map(Some)
}

/// The sealed length of a log entry with `plain` bytes.
pub(super) fn log_class(plain: usize) -> Option<usize> {
    LOG_CLASSES.into_iter().find(|class| plain + SEAL_OVERHEAD <= *class)
}

pub(super) fn open_log_entry(keys: &KeyRing, sealed: &[u8]) -> FsResult<(Sequence, Layer)> {
    parse_log_entry(&keys.open(Domain::Log, LOG_AAD, sealed)?)
}

/// Reads the plaintext of a log entry.
pub(super) fn parse_log_entry(plain: &[u8]) -> FsResult<(Sequence, Layer)> {
    let bad = |why: String| FsError::new(Kind::Corrupt, why);
    let mut fields = Fields(plain);
    let version = u16::from_le_bytes(fields.array()?);
    if version != VERSION {
        return Err(bad(format!("log: entry of format {version}, this program knows {VERSION}")));
    }
    let sequence = Sequence(fields.u64()?);
    let batch = take_batch(&mut fields)?;
    if fields.0.iter().any(|byte| *byte != 0) {
        return Err(bad("log: padding is not zero".into()));
    }
    for (key, record) in &batch {
        record.as_ref().map_or(Ok(()), |record| check(key, record))?;
    }
    Ok((sequence, batch.into_iter().collect()))
}
