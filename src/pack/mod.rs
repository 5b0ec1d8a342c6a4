//! Packs: one blob on the network, holding sealed units (design.md 4; docs/format.md to the byte).

mod source;

pub use source::{MemorySource, PackRef, PackSource, RootRef};
