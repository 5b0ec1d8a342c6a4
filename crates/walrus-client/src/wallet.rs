//! The wallet: one ed25519 key in a file, and its address.
//!
//! Promises: a key file is created with mode 0600 and never overwritten; a file that others can read is refused; the key
//! is wiped from memory when dropped and never printed.
//!
//! Assumes that the address is used by walrusfs alone: coins of a wallet that is shared with other programs may be
//! spent under the executor's feet.

use crate::error::{ClientError, ClientResult};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use sui_crypto::SuiSigner;
use sui_crypto::ed25519::Ed25519PrivateKey;
use sui_sdk_types::{Address, Transaction, UserSignature};
use zeroize::Zeroizing;

/// No key file is longer than this.
const MAX_KEY_FILE: u64 = 4096;

/// An ed25519 key and its address.
pub struct Wallet {
    key: Ed25519PrivateKey,
    address: Address,
}

impl Wallet {
    /// A wallet with a new random key, in memory only.
    pub fn generate() -> ClientResult<Self> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|error| ClientError::Invalid(format!("no randomness for a new key: {error}")))?;
        Ok(Self::from_seed(&seed))
    }

    /// From the 32 secret bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = Ed25519PrivateKey::new(*seed);
        let address = key.public_key().derive_address();
        Self { key, address }
    }

    /// From a `suiprivkey1...` string.
    pub fn from_suiprivkey(text: &str) -> ClientResult<Self> {
        let key = Ed25519PrivateKey::from_suiprivkey(text.trim())
            .map_err(|_| ClientError::Invalid("not an ed25519 key in the form suiprivkey1...".to_owned()))?;
        let address = key.public_key().derive_address();
        Ok(Self { key, address })
    }

    /// Makes a new key in `path`, which must not exist, with mode 0600, durable before this returns.
    pub fn create(path: &Path) -> ClientResult<Self> {
        let wallet = Self::generate()?;
        wallet.save(path)?;
        Ok(wallet)
    }

    /// Writes the key to `path`, which must not exist, with mode 0600, durable before this returns.
    pub fn save(&self, path: &Path) -> ClientResult<()> {
        let text = self.to_suiprivkey()?;
        let local = |error| ClientError::local(path, error);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(local)?;
        file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(local)?;
        file.sync_all().map_err(local)?;
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(local)?;
        }
        Ok(())
    }

    /// Reads a key file: one line `suiprivkey1...`, not readable by others.
    pub fn load(path: &Path) -> ClientResult<Self> {
        let local = |error| ClientError::local(path, error);
        let file = File::open(path).map_err(local)?;
        let mode = file.metadata().map_err(local)?.mode();
        if mode & 0o077 != 0 {
            return Err(ClientError::Invalid(format!(
                "{} can be read by others (mode {:03o}) and may be known to them: chmod 600 it, or make a new wallet",
                path.display(),
                mode & 0o777
            )));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(local)?;
        Self::from_suiprivkey(&text).map_err(|error| ClientError::Invalid(format!("{}: {error}", path.display())))
    }

    /// The address that owns coins, blobs and drives.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The secret as `suiprivkey1...`, for export.
    pub fn to_suiprivkey(&self) -> ClientResult<Zeroizing<String>> {
        self.key
            .to_suiprivkey()
            .map(Zeroizing::new)
            .map_err(|_| ClientError::Invalid("the key cannot be written as suiprivkey".to_owned()))
    }

    /// Signs a transaction.
    pub fn sign(&self, transaction: &Transaction) -> ClientResult<UserSignature> {
        self.key
            .sign_transaction(transaction)
            .map_err(|error| ClientError::Invalid(format!("the transaction cannot be signed: {error}")))
    }

    /// Signs a message for a person to see (`signPersonalMessage`); ed25519 signatures of the same message are equal.
    pub fn sign_message(&self, message: &[u8]) -> ClientResult<UserSignature> {
        self.key
            .sign_personal_message(&sui_sdk_types::PersonalMessage(message.into()))
            .map_err(|error| ClientError::Invalid(format!("the message cannot be signed: {error}")))
    }
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wallet({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wallet.key");
        let wallet = Wallet::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Wallet::load(&path).unwrap().address(), wallet.address());
        assert!(matches!(Wallet::create(&path), Err(ClientError::Local { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Wallet::load(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "suiprivkey1nonsense").unwrap();
        let error = Wallet::load(&path).unwrap_err().to_string();
        assert!(error.contains("not an ed25519 key") && !error.contains("nonsense"), "{error}");
    }

    #[test]
    fn secrets_do_not_appear_in_debug_output() {
        let wallet = Wallet::from_seed(&[7; 32]);
        assert_eq!(format!("{wallet:?}"), format!("Wallet({})", wallet.address()));
    }
}
