//! The Drive: the one object on the chain that a filesystem hangs off, seen from the client (docs/drive.md).
//!
//! Why it exists: everything that must be agreed between machines (the root, the log, who writes, the storage, the
//! keys) stands on the Drive, and every change of it is a transaction. This room reads the Drive, believes it only when
//! its seal opens and matches, and builds the transactions.
//!
//! Mechanism. [`Session`] is a wallet on a network. [`DriveClient::open`] finds a Drive, unlocks its keys through a slot, and
//! keeps the newest verified [`DriveState`]. Changes ([`DriveClient::register`], [`DriveClient::commit`] and the
//! others) go through walrus-client's executor, which makes the signed bytes durable before it sends them, so an
//! outcome that is not known yet is settled before anything else happens.
//!
//! Promises: a state is never replaced by an older one, nor by another of the same sequence, also across restarts
//! ([`keep`]); a commit is all or nothing; after a lost answer the same call made again does not do its work twice
//! (`register` looks at what the pool holds, `commit` recognises its own [`CommitTag`]).
//!
//! Assumes that the chain enforces the contract (`contracts/`), and that one process of a machine uses a wallet at a
//! time (the executor's lock). Must never trust a server with anything but availability.

mod change;
mod client;
mod failure;
pub mod keep;
mod object;
pub mod package;
mod pool;
pub mod seal;
mod session;
mod slots;
mod state;

pub use change::{BlobToRegister, CertifiedBlob, CommitPlan, MAX_CERTIFICATES, MAX_DELETIONS, RegisteredBlob};
pub use client::{CreateOptions, DriveClient, DriveName, gas_of_create};
pub use failure::chain_error;
pub use object::{
    DriveObject, HOLDER_BYTES, Holder, KeySlot, Lease, MAX_APPEND, MAX_KEYRING, MAX_LABEL, MAX_LOG, MAX_SEAL, MAX_SLOT,
    MAX_SLOTS,
};
pub use pool::{Quote, check_epochs};
pub use seal::CommitTag;
pub use session::{DriveSummary, Secrets, Session};
pub use slots::SlotFacts;
pub use state::{DriveState, PoolState};
