//! A node's keys: BLS12-381 signs confirmations, P-256 is the TLS key, Ed25519 the operator's wallet; and the certificate on the
//! TLS key.
//!
//! They lie in the node's folder, mode 0600. They are made once: on the chain they *are* the node.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sui_crypto::ed25519::Ed25519PrivateKey;
use sui_sdk_types::Address;
use walrus_client::wire::bls::BlsSecretKey;

use crate::network::DevnetError;

/// The keys of one node.
pub struct NodeKeys {
    bls: Arc<BlsSecretKey>,
    network: KeyPair,
    operator: Address,
}

impl NodeKeys {
    /// Reads the keys in `dir`, making them (and `dir`) if they are missing.
    ///
    /// # Errors
    /// A file that cannot be read, written or understood. A damaged key is never replaced: the chain knows the old one.
    pub fn open(dir: &Path) -> Result<Self, DevnetError> {
        fs::create_dir_all(dir).map_err(DevnetError::io(dir.display().to_string()))?;
        let bls = secret_file(&dir.join("bls.key"), || {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(io::Error::other)?;
            let key = BlsSecretKey::from_seed(&seed).map_err(io::Error::other)?;
            Ok(key.to_bytes().to_vec())
        })?;
        let network = secret_file(&dir.join("network.key"), || {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
            Ok(key.serialize_der())
        })?;
        let operator = secret_file(&dir.join("operator.key"), || {
            let mut seed = vec![0; 32];
            getrandom::fill(&mut seed).map_err(io::Error::other)?;
            Ok(seed)
        })?;
        let damaged =
            |name: &str, reason: String| DevnetError::Damaged { what: dir.join(name).display().to_string(), reason };
        let operator: [u8; 32] =
            operator.try_into().map_err(|_| damaged("operator.key", "it is not 32 bytes long".to_owned()))?;
        Ok(Self {
            operator: Ed25519PrivateKey::new(operator).public_key().derive_address(),
            bls: Arc::new(BlsSecretKey::from_bytes(&bls).map_err(|error| damaged("bls.key", error.to_string()))?),
            network: KeyPair::from_pkcs8_der_and_sign_algo(&network.into(), &PKCS_ECDSA_P256_SHA256)
                .map_err(|error| damaged("network.key", error.to_string()))?,
        })
    }

    /// The key that signs confirmations.
    pub fn bls(&self) -> &BlsSecretKey {
        &self.bls
    }

    /// Signs with that key: for the layer that lets a node sign what is not so.
    pub(crate) fn signer(&self) -> crate::fault::Signer {
        let key = self.bls.clone();
        Arc::new(move |message| key.sign(message).to_bytes())
    }

    /// The address of the operator's wallet, whose Ed25519 seed is `operator.key`.
    pub fn operator(&self) -> Address {
        self.operator
    }

    /// The TLS key as the chain knows it: a compressed P-256 point.
    pub fn network_public_key(&self) -> [u8; 33] {
        // Uncompressed: 0x04, x, y. Compressed: 0x02 or 0x03 after the parity of y, then x.
        let point = self.network.public_key_raw();
        let mut compressed = [0; 33];
        compressed[0] = 2 + (point.last().copied().unwrap_or_default() & 1);
        compressed[1..].copy_from_slice(&point[1..33]);
        compressed
    }

    /// The name in the certificate: the first four bytes of the public key in hex, each without leading zero.
    pub fn tls_name(&self) -> String {
        let key = self.network_public_key();
        let digits: String = key[..4].iter().map(|byte| format!("{byte:x}")).collect();
        format!("{digits}.network.walrus.alt")
    }

    /// What the node serves TLS with: a self-signed certificate for the generated name and `host`; h2 and HTTP/1.1 by ALPN,
    /// and no objection to clients without ALPN.
    ///
    /// # Errors
    /// [`DevnetError::Options`] if the TLS library refuses the key or the name.
    pub fn tls_config(&self, host: IpAddr) -> Result<Arc<ServerConfig>, DevnetError> {
        let refused = |error: &dyn std::fmt::Display| DevnetError::Options(format!("TLS certificate: {error}"));
        let name = self.tls_name();
        let mut params = CertificateParams::new(vec![name.clone()]).map_err(|error| refused(&error))?;
        params.subject_alt_names.push(SanType::IpAddress(host));
        let localhost = "localhost".try_into().map_err(|error| refused(&error))?;
        params.subject_alt_names.push(SanType::DnsName(localhost));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(name));
        let certificate = params.self_signed(&self.network).map_err(|error| refused(&error))?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::Pkcs8(self.network.serialize_der().into());
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| refused(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl std::fmt::Debug for NodeKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKeys({})", self.tls_name())
    }
}

/// Reads a secret, making it first if there is none: written beside it, made durable, then given its name.
fn secret_file(path: &Path, make: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<Vec<u8>, DevnetError> {
    let io = || DevnetError::io(path.display().to_string());
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other.map_err(io()),
    }
    let secret = make().map_err(io())?;
    let temporary = path.with_extension("new");
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).and_then(|mut file| {
            file.write_all(&secret)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
        });
    written.map_err(io())?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = NodeKeys::open(dir.path()).unwrap();
        let second = NodeKeys::open(dir.path()).unwrap();
        assert_eq!(first.network_public_key(), second.network_public_key());
        assert_eq!(first.bls().public_key(), second.bls().public_key());
        assert!(matches!(first.network_public_key()[0], 2 | 3));
        fs::write(dir.path().join("bls.key"), b"short").unwrap();
        assert!(matches!(NodeKeys::open(dir.path()), Err(DevnetError::Damaged { .. })));
    }

    #[test]
    fn certificates_carry_the_generated_name_without_zero_padding() {
        let dir = tempfile::tempdir().unwrap();
        let keys = NodeKeys::open(dir.path()).unwrap();
        let key = keys.network_public_key();
        let expected = format!("{:x}{:x}{:x}{:x}.network.walrus.alt", key[0], key[1], key[2], key[3]);
        assert_eq!(keys.tls_name(), expected);
        keys.tls_config("127.0.0.1".parse().unwrap()).unwrap();
    }
}
