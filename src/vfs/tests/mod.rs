//! The vfs on a real tree, a real journal and a disk that can lose power; only the network is memory.

mod commits;
mod content;
mod durability;
mod model;
mod names;
mod one_chunk;
mod semantics;
mod world;
