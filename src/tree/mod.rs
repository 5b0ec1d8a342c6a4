//! The directory tree.

pub mod record;
