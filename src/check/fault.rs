//! What a check can find.

use crate::ids::Ino;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// The root of the tree, or an entry of the log above it, cannot be read: the drive does not open. What is compared was
    /// gathered from the packs.
    LostRoot {
        /// The newest commit that is known whole, but for the gaps.
        known_to: u64,
        /// Ranges of keys that nothing tells of.
        gaps: u64,
        /// Why.
        why: String,
    },
    /// A unit of the tree cannot be read.
    LostNode {
        /// Where it lies.
        pack: u64,
        /// Where in the pack, bytes.
        offset: u64,
        /// 0 for a leaf; everything below is lost too.
        level: u8,
        /// Whether it held the pack table (else files).
        table: bool,
        /// Whether it belongs to a delta run.
        run: bool,
        /// Why.
        why: String,
    },
    /// Names of an inode that does not exist.
    DanglingNames {
        /// The inode.
        ino: u64,
        /// How many.
        names: u32,
    },
    /// An entry does not lie where a lookup of its name would find it.
    WrongSlot {
        /// The directory.
        ino: u64,
        /// The entry's slot.
        slot: u64,
    },
    /// A directory holds one name twice.
    DuplicateName {
        /// The directory.
        ino: u64,
        /// The slot of the second entry.
        slot: u64,
    },
    /// An entry says another type than its inode.
    WrongType {
        /// The inode.
        ino: u64,
    },
    /// A number of links is wrong.
    WrongLinks {
        /// The inode.
        ino: u64,
        /// What it says.
        has: u32,
        /// What was counted.
        should: u32,
    },
    /// An inode without names that is not marked as unlinked.
    NoName {
        /// The inode.
        ino: u64,
    },
    /// A directory that cannot be reached from the root.
    Unreachable {
        /// The directory.
        ino: u64,
    },
    /// A directory with several names.
    SecondName {
        /// The directory.
        ino: u64,
    },
    /// A directory does not know where it lies.
    WrongParent {
        /// The directory.
        ino: u64,
        /// What it says.
        has: u64,
        /// Where its name is.
        should: u64,
    },
    /// A directory's number of entries is wrong.
    WrongEntries {
        /// The directory.
        ino: u64,
        /// What it says.
        has: u64,
        /// What was counted.
        should: u64,
    },
    /// A file's number of chunks is wrong.
    WrongChunks {
        /// The file.
        ino: u64,
        /// What it says.
        has: u64,
        /// What was counted.
        should: u64,
    },
    /// Content, attributes or entries of an inode that does not exist.
    StrayRecords {
        /// The inode.
        ino: u64,
        /// How many records.
        records: u64,
        /// Chunks of content among them.
        chunks: u64,
    },
    /// A mark of an unlinked inode that has names, or does not exist.
    WrongOrphan {
        /// The inode.
        ino: u64,
    },
    /// The root directory is missing.
    NoRoot,
    /// A counter of the files is wrong.
    WrongCounter {
        /// `next`, `inodes` or `bytes`.
        counter: &'static str,
        /// What it says.
        has: u64,
        /// What was counted.
        should: u64,
    },
    /// Extents name a pack that the table does not know: what lay there is lost.
    UnknownPack {
        /// The file.
        ino: u64,
        /// The pack.
        pack: u64,
        /// Chunks that lay there.
        chunks: u64,
    },
    /// A pack's live bytes are wrong.
    WrongLive {
        /// The pack.
        pack: u64,
        /// What the table says.
        has: u64,
        /// What was counted.
        should: u64,
    },
    /// A chunk's number of references is wrong.
    WrongShare {
        /// The pack.
        pack: u64,
        /// The chunk's offset, bytes.
        offset: u64,
        /// What the table says (1 when it says nothing).
        has: u32,
        /// What was counted.
        should: u32,
    },
    /// A pack's mark of having no live bytes is missing or too many.
    WrongDeadMark {
        /// The pack.
        pack: u64,
    },
    /// The pool does not hold a pack that is still needed.
    PackNotHeld {
        /// The pack.
        pack: u64,
        /// Its blob.
        blob: String,
    },
    /// The pool does not hold a pack that waits to be deleted.
    DeadPackNotHeld {
        /// The pack.
        pack: u64,
        /// Its blob.
        blob: String,
    },
    /// A pack of the table was registered and never certified.
    PackNotCertified {
        /// The pack.
        pack: u64,
        /// Its blob.
        blob: String,
    },
    /// The table and the chain disagree about a pack's size.
    WrongSize {
        /// The pack.
        pack: u64,
        /// What the table says, bytes.
        has: u64,
        /// What the chain says, bytes.
        should: u64,
    },
    /// The pool holds a blob that no pack of the table is: it takes capacity for nothing.
    UnknownBlob {
        /// The blob.
        blob: String,
        /// Its size, bytes.
        size: u64,
        /// Whether it was certified.
        certified: bool,
    },
    /// The pool's figure of used capacity is not the sum of its blobs. The chain keeps it; nothing here can mend it.
    PoolAccounts {
        /// What the chain says, encoded bytes.
        has: u64,
        /// The sum, encoded bytes.
        should: u64,
    },
    /// Chunks of a file cannot be read.
    LostContent {
        /// The file.
        ino: u64,
        /// How many chunks.
        chunks: u64,
        /// Where the first begins in the file, bytes.
        first: u64,
        /// Why.
        why: String,
    },
    /// Nodes do not have slivers that they must have. The blob still reads.
    MissingSlivers {
        /// The pack.
        pack: u64,
        /// Its blob.
        blob: String,
        /// Shards that lack one or both of their slivers, or do not answer.
        shards: u32,
        /// Of how many.
        of: u32,
    },
    /// So few slivers are left that the blob cannot be read.
    LostBlob {
        /// The pack.
        pack: u64,
        /// Its blob.
        blob: String,
        /// Shards that lack one or both of their slivers, or do not answer.
        shards: u32,
        /// Of how many.
        of: u32,
    },
}

impl Fault {
    /// The inode that it is about.
    pub fn inode(&self) -> Option<Ino> {
        use Fault::*;
        match self {
            DanglingNames { ino, .. }
            | WrongSlot { ino, .. }
            | DuplicateName { ino, .. }
            | WrongType { ino }
            | WrongLinks { ino, .. }
            | NoName { ino }
            | Unreachable { ino }
            | SecondName { ino }
            | WrongParent { ino, .. }
            | WrongEntries { ino, .. }
            | WrongChunks { ino, .. }
            | StrayRecords { ino, .. }
            | WrongOrphan { ino }
            | UnknownPack { ino, .. }
            | LostContent { ino, .. } => Some(Ino(*ino)),
            _ => None,
        }
    }

    /// Whether `--repair` can bring it in line. What it cannot is either lost for good, or heals by itself.
    pub fn is_mendable(&self) -> bool {
        use Fault::*;
        !matches!(
            self,
            PackNotHeld { .. }
                | PackNotCertified { .. }
                | PoolAccounts { .. }
                | LostContent { .. }
                | MissingSlivers { .. }
                | LostBlob { .. }
        )
    }

    /// Whether user data is affected, not only books.
    pub fn is_loss(&self) -> bool {
        use Fault::*;
        match self {
            LostNode { table, .. } => !table,
            LostRoot { .. } => true,
            DanglingNames { .. } | UnknownPack { .. } | PackNotHeld { .. } | LostContent { .. } | LostBlob { .. } => {
                true
            }
            StrayRecords { chunks, .. } => *chunks > 0,
            _ => false,
        }
    }

    /// Losses first, then what needs mending, then the rest.
    pub(super) fn rank(&self) -> u8 {
        match (self.is_loss(), self.is_mendable()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Fault::*;
        match self {
            LostRoot { known_to, gaps, why } => {
                let from = "the tree was gathered from the packs, whole up to";
                write!(f, "the root cannot be read ({why}); {from} sequence {known_to} but for {gaps} gap(s)")
            }
            LostNode { pack, offset, level, table, run, why } => {
                let what = if *run { "a delta run" } else { "the tree" };
                let held = if *table { "the pack table" } else { "files" };
                write!(f, "a node of {what} (level {level}, {held}) at {offset} of pack {pack} cannot be read: {why}")
            }
            DanglingNames { ino, names } => write!(f, "{names} name(s) of inode {ino}, which does not exist"),
            WrongSlot { ino, slot } => write!(f, "directory {ino}: the entry in slot {slot} cannot be looked up"),
            DuplicateName { ino, slot } => write!(f, "directory {ino}: the entry in slot {slot} repeats a name"),
            WrongType { ino } => write!(f, "an entry says another type than its inode {ino}"),
            WrongLinks { ino, has, should } => write!(f, "inode {ino} says {has} links, there are {should}"),
            NoName { ino } => write!(f, "inode {ino} has no name"),
            Unreachable { ino } => write!(f, "directory {ino} cannot be reached from the root"),
            SecondName { ino } => write!(f, "directory {ino} has more than one name"),
            WrongParent { ino, has, should } => {
                write!(f, "directory {ino} says it lies in {has}, its name is in {should}")
            }
            WrongEntries { ino, has, should } => write!(f, "directory {ino} says {has} entries, there are {should}"),
            WrongChunks { ino, has, should } => write!(f, "file {ino} says {has} chunks, there are {should}"),
            StrayRecords { ino, records, chunks } => {
                write!(f, "{records} record(s) with {chunks} chunk(s) of inode {ino}, which does not exist")
            }
            WrongOrphan { ino } => write!(f, "inode {ino} is marked as unlinked and is not"),
            NoRoot => write!(f, "the root directory is missing"),
            WrongCounter { counter, has, should } => write!(f, "the counter `{counter}` is {has}, should be {should}"),
            UnknownPack { ino, pack, chunks } => {
                write!(f, "{chunks} chunk(s) of inode {ino} lie in pack {pack}, which the pack table does not know")
            }
            WrongLive { pack, has, should } => write!(f, "pack {pack} says {has} live bytes, there are {should}"),
            WrongShare { pack, offset, has, should } => {
                write!(f, "the chunk at {offset} of pack {pack} says {has} references, there are {should}")
            }
            WrongDeadMark { pack } => write!(f, "the mark that pack {pack} has no live bytes is wrong"),
            PackNotHeld { pack, blob } => {
                write!(f, "the storage pool does not hold pack {pack} (blob {blob}), which is still needed")
            }
            DeadPackNotHeld { pack, blob } => {
                write!(f, "pack {pack} (blob {blob}) waits to be deleted, but the storage pool does not hold it")
            }
            PackNotCertified { pack, blob } => write!(f, "pack {pack} (blob {blob}) was never certified"),
            WrongSize { pack, has, should } => {
                write!(f, "pack {pack} has {has} bytes by the pack table, {should} by the chain")
            }
            UnknownBlob { blob, size, certified } => {
                let how = if *certified { "certified" } else { "never certified" };
                write!(f, "the storage pool holds blob {blob} ({size} bytes, {how}), which no pack is")
            }
            PoolAccounts { has, should } => {
                write!(f, "the storage pool says {has} encoded bytes are used, its blobs take {should}")
            }
            LostContent { ino, chunks, first, why } => {
                write!(f, "{chunks} chunk(s) of inode {ino} cannot be read, the first at byte {first}: {why}")
            }
            MissingSlivers { pack, blob, shards, of } => {
                write!(f, "{shards} of {of} shards lack slivers of pack {pack} (blob {blob}); it still reads")
            }
            LostBlob { pack, blob, shards, of } => {
                write!(f, "{shards} of {of} shards lack slivers of pack {pack} (blob {blob}): it does not read")
            }
        }
    }
}

/// A fault and where it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// A path of the inode that it is about, from the root of the drive; bytes that are no UTF-8 are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Finding {
    /// A finding without a path.
    pub fn new(fault: Fault) -> Self {
        Self { fault, path: None }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: {}", path.escape_debug(), self.fault),
            None => self.fault.fmt(f),
        }
    }
}

/// What a check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The commit that was looked at.
    pub sequence: u64,
    /// Whether every unit and sliver was looked at.
    pub deep: bool,
    /// Losses first.
    pub findings: Vec<Finding>,
    /// Inodes.
    pub inodes: u64,
    /// Records of the files' tree.
    pub records: u64,
    /// Chunks that files refer to, each reference counted.
    pub chunks: u64,
    /// Packs.
    pub packs: u64,
    /// Units of the tree that were read.
    pub units: u64,
    /// Sealed bytes that were read and unsealed (deep).
    pub bytes_read: u64,
    /// Slivers that nodes say they have (deep).
    pub slivers: u64,
    /// Seconds that it took.
    pub seconds: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

pub(super) fn whole_seconds(took: Duration) -> u64 {
    took.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
