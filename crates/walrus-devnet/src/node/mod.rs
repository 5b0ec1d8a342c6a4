//! An honest storage node: the real REST API over slivers and metadata on disk, registrations read from the chain.
//!
//! Why: the client has one code path, so a local node must do what real ones do: accept slivers only with metadata that hashes
//! to the blob id and only if they hash to that metadata, sign a confirmation only for a registered blob of which it holds every
//! assigned sliver, serve recovery symbols with proofs, forget a blob when its last registration ends, and fetch from
//! its peers what it should have and has not.
//!
//! Mechanism: [`service`] has the rules, [`routes`] the HTTP around them, [`store`] the disk, [`follow`] reacts to the
//! chain's events behind a durable cursor, [`heal`] fetches and rebuilds, [`serve`](self::serve) accepts connections. Registrations are
//! read from the chain at the moment they matter; events only say when to look.
//!
//! Promises: a signed confirmation means that all its slivers are verified and on the medium. State survives `kill -9`.
//!
//! Must never: misbehave on purpose. Faults are layers outside of it ([`crate::fault`]).

mod chain_view;
mod error;
mod follow;
mod heal;
mod keys;
mod limits;
mod peers;
mod placement;
mod routes;
mod serve;
mod service;
mod store;
mod symbols;
mod sync_shard;

pub use chain_view::ChainView;
pub use keys::NodeKeys;
pub use limits::Limits;
pub use service::StorageNode;

pub(crate) use serve::{Valve, serve};
pub(crate) use store::replace_file;
