//! Hot slivers, in memory and on disk, and the reader of packs on top of them.
//!
//! Why it exists: a range of a pack lies in one or a few systematic primary slivers; whoever reads one 64 KiB chunk
//! will read its neighbours, so whole slivers are kept. Mechanism: [`SliverCache`] is a memory tier over a disk tier, both
//! bounded by bytes and S3-FIFO ([`hot`]), so that a pass over everything evicts nothing that was used twice;
//! [`PackReader`] asks it first, then the network, and lets many readers of one sliver share one fetch, which ends when
//! nobody waits for it any more.
//!
//! It promises: only bytes that the network holds (sealed) lie here, so the whole folder may be deleted at any time;
//! a file whose checksum fails is dropped and fetched again; a faulty or full cache disk is bypassed, never an error.
//! It must never hold dirty data, and never hand out bytes of a sliver whose hash was not checked to a reader who
//! cannot check a tag.

mod disk;
#[cfg(fuzzing)]
pub mod fuzz;
mod hot;
mod order;
mod reader;
mod sizes;
mod sliver_file;
mod slivers;

pub use reader::{AtHand, Check, PackReader, Purpose, ReaderStats, SliverSource, VerifiedReader};
pub use slivers::{CacheConfig, CacheStats, Sliver, SliverCache, SliverKey};
