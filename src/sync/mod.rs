//! The pipeline: cut -> pack -> encode, register, upload, confirm -> certify and commit -> trim.
//!
//! Why it exists: `fsync` makes changes durable on this machine; this room carries them to the network, in the order in
//! which they were made. Mechanism: one task per mounted drive makes *cycles*. A cycle freezes the tree's top layer (a cut
//! of the journalled order), packs the cut's chunks, stores the packs, lets the tree write the cut as a log entry, a delta
//! run or a checkpoint, and commits all of it in one transaction. Every step is tried again until it succeeds; what is
//! in the way meanwhile is in [`Status::problem`].
//!
//! Promises: a commit is a cut of the journalled order; nothing is committed twice (the journal's pending record and the
//! executor's signed bytes outlive a crash); at most one pack is being built while one is on its way, so memory is
//! bounded by the pack size. Assumes that the vfs stops writers before the journal is full.
//! Must never: let a name point to data that is not certified, or drop journal segments before the commit is final.

mod ahead;
mod compaction;
mod conflict;
mod cycle;
mod engine;
mod loader;
mod network;
mod packing;
mod pending;
mod pins;
mod reopen;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod walrus;

pub use conflict::{Kept, Side, keep_both};
pub use engine::{Config, Engine, Parts, Problem, Stage, Status};
pub use loader::Loader;
pub use network::{Capacity, CommitRequest, Committed, Moved, Network, StoredBlob};
pub use pending::{InFlight, Pending, Verdict, judge};
pub use pins::{Held, Pin, Pins, Progress};
pub use reopen::{Reopened, Standing, ground_of, has_lost_base, reopen};
pub use walrus::{WalrusNetwork, WalrusSlivers};
