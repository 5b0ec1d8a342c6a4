//! A client of the Walrus storage network: storage nodes over HTTP, Sui over gRPC.
//!
//! Why it exists: no Rust crate on the registry talks to Walrus storage nodes or to its contracts; a filesystem whose
//! disk is Walrus needs one that survives dead, slow and lying nodes and an untrusted RPC server.
//!
//! The rooms, lower never importing higher:
//!
//! - [`wire`]: exact byte layouts of everything that crosses a boundary. No I/O.

pub mod wire;
