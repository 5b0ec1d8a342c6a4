//! walrusfs: a Linux filesystem whose disk is the Walrus decentralized storage network.
//!
//! The crate is a house of rooms, one job each; a lower room never imports a higher one
//! (`docs/architecture.md` draws the map, `tests/` checks it):
//!
//! ```text
//! cli -> fuse -> sync -> drive -> vfs -> tree -> journal -> cache -> pack -> crypto -> seam -> {ids, error}
//! ```

pub mod error;
pub mod ids;
pub mod seam;

pub mod cache;
pub mod check;
pub mod cli;
pub mod crypto;
pub mod drive;
pub mod fuse;
pub mod journal;
pub mod pack;
pub mod sync;
pub mod tree;
pub mod vfs;
