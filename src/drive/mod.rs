//! The Drive object.
