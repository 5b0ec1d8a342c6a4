//! The Move package `walrusfs`, as it was built from `contracts/`: what `walrusfs contract publish` puts on a network.

use crate::error::{FsError, FsResult, Kind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sui_sdk_types::Address;

/// Written by `contracts/test.sh update`, which also checks that it belongs to the sources.
const SHIPPED: &str = include_str!("../../contracts/bytecode.json");

/// Modules and the packages that they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Bytecode, one item for each module.
    pub modules: Vec<Vec<u8>>,
    /// Packages that are on the network already.
    pub dependencies: Vec<Address>,
    /// What Sui calls the package's digest.
    pub digest: String,
}

#[derive(Deserialize)]
struct File {
    digest: String,
    modules: Vec<String>,
    dependencies: Vec<Address>,
}

impl Package {
    /// The package that this program ships.
    ///
    /// # Errors
    /// [`Kind::Corrupt`]: the program itself is damaged.
    pub fn shipped() -> FsResult<Self> {
        let damaged = |error: &dyn std::fmt::Display| {
            FsError::new(Kind::Corrupt, format!("the package that this program ships cannot be read: {error}"))
        };
        let file: File = serde_json::from_str(SHIPPED).map_err(|error| damaged(&error))?;
        let decode = |module: &String| STANDARD.decode(module).map_err(|error| damaged(&error));
        let modules = file.modules.iter().map(decode).collect::<FsResult<Vec<_>>>()?;
        Ok(Self { modules, dependencies: file.dependencies, digest: file.digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sui_sdk_types::hash::Hasher;

    /// BLAKE2b-256 of the sorted hashes of modules and ids of dependencies: what an upgrade would have to name.
    #[test]
    fn what_is_shipped_has_the_digest_that_the_compiler_gave_it() {
        let package = Package::shipped().unwrap();
        let mut parts: Vec<[u8; 32]> =
            package.modules.iter().map(|module| Hasher::digest(module).into_inner()).collect();
        parts.extend(package.dependencies.iter().map(|id| id.into_inner()));
        parts.sort_unstable();
        assert_eq!(hex::encode(Hasher::digest(parts.concat()).into_inner()), package.digest);
        assert!(
            !package.modules.is_empty()
                && package.modules.iter().all(|module| module.starts_with(&[0xa1, 0x1c, 0xeb, 0x0b]))
        );
    }
}
