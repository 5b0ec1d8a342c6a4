//! Objects, dynamic fields and events of the Walrus contracts, in the field order of their Move structs.
//!
//! Mechanism: BCS of a Move struct is its fields in order without framing, so a Rust struct with the same fields in the
//! same order is the layout. `UID`, `ID` and `address` are [`ObjectId`]; `Balance<T>` is `u64`; `u256` is [`U256`].
//! Amounts of WAL are FROST (10^-9 WAL), sizes are bytes, epochs are Walrus epochs (`u32`) unless a field says more.
//!
//! Assumes package version 3 (mainnet and testnet); version 4 changes no layout.

mod events;
mod framework;
mod staking;
mod storage;
mod system;

pub use events::*;
pub use framework::*;
pub use staking::*;
pub use storage::*;
pub use system::*;
