//! The exact layouts of everything that crosses a boundary: objects and events of the Walrus contracts (BCS), the
//! JSON of storage nodes, signed messages and their BLS12-381 signatures.
//!
//! Why it exists: client and local network must agree byte for byte with the real network; both use these types, so
//! that they can only be wrong together with the test vectors.
//!
//! Promises: no I/O, no panic on any input, every decoder bounded by the length of its input. A decoded value is
//! *well formed*, never *trusted*: signatures and hashes are checked by whoever uses it.

pub mod abort;
pub mod bls;
pub mod chain;
pub mod message;
pub mod node;
