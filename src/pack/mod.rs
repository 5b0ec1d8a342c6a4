//! Packs: one blob on the network, holding sealed units (`docs/format.md` to the byte).
//!
//! ```text
//! header 48 B in clear | unit | unit | .. | index (sealed, padded inside) | trailer 48 B (sealed)
//! ```
//! A unit is one chunk of a file, one node of a tree or a run, or a root; each is compressed by itself where that pays
//! and sealed under the pack's own key with its place as nonce. A pack is built in one go ([`PackWriter`]) with a fresh
//! salt, and never changed. The index says what every unit is, so that a pack can be understood without the tree
//! ([`read_index`]); ordinary reads need neither header nor index, because salt and key epoch stand in the pack table.
//!
//! Promises: bytes that were not sealed for exactly this drive, pack, place, kind and length do not open; decompression
//! never yields more than the length that was asked for; no input makes a parser panic or allocate beyond its bound.
//! Padding lies inside the sealed index, so an observer sees only the padded size.
//!
//! Must never: hand out bytes of an unfinished pack for upload, or seal two things with one salt and offset.

mod format;
#[cfg(fuzzing)]
pub mod fuzz;
mod source;
mod unit;
mod writer;

pub use format::{IndexEntry, Origin, read_header, read_index};
pub use source::{MemorySource, PackRef, PackSource, RootRef};
pub use unit::{UnitAddr, UnitKind, open_unit, unseal_unit};
pub use writer::{PackWriter, SealedPack};
