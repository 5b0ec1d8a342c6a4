//! The Move packages of the chain, natively: declarations (`*.decl`) and one Rust function for each declared Move function.
//!
//! A native gets its arguments as BCS, keeps the order of the contract's checks, and reports the contract's abort codes. Names of
//! types and fields are those of the Move sources, since clients see them.

mod blob;
mod committee;
mod drive;
mod epochs;
mod exchange;
mod framework;
mod pool;
mod slashing;
mod staking;
mod system;

use super::execute::{Call, Outcome};
use super::packages::{PackageIds, Packages, Pkg};

pub(crate) use committee::agreed;
pub(crate) use framework::treasury_key;
pub(crate) use system::{VERSION, inner_type as system_inner_type};

/// A Move function.
pub(crate) type Native = fn(&mut Call<'_, '_>) -> Outcome<()>;

const DECLARATIONS: &[(Pkg, &str)] = &[
    (Pkg::Std, include_str!("framework.decl")),
    (Pkg::Sui, include_str!("sui.decl")),
    (Pkg::Walrus, include_str!("walrus.decl")),
    (Pkg::Wal, include_str!("wal.decl")),
    (Pkg::Exchange, include_str!("exchange.decl")),
    (Pkg::Drive, include_str!("drive.decl")),
];

/// The packages at these addresses.
pub(crate) fn packages(ids: PackageIds) -> Result<Packages, String> {
    Packages::new(ids, DECLARATIONS, native)
}

fn native(pkg: Pkg, module: &str, name: &str) -> Option<Native> {
    match (pkg, module) {
        (Pkg::Sui | Pkg::Wal, _) => framework::native(module, name),
        (Pkg::Exchange, "wal_exchange") => exchange::native(name),
        (Pkg::Drive, "drive") => drive::native(name),
        (Pkg::Walrus, "slashing") => slashing::native(name),
        (Pkg::Walrus, "system") => system::native(name).or_else(|| pool::system_native(name)),
        (Pkg::Walrus, "storage_pool") => pool::native(name),
        (Pkg::Walrus, "storage_resource" | "metadata" | "blob" | "shared_blob") => blob::native(module, name),
        (Pkg::Walrus, "auth" | "node_metadata" | "staked_wal" | "staking") => staking::native(module, name),
        _ => None,
    }
}
