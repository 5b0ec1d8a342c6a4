//! BLS12-381 signatures as Walrus uses them: "min-pk" (public keys in G1, signatures in G2), raw messages.
//!
//! Mechanism: thin newtypes over `blst`. Public keys are checked (on the curve, in the subgroup, not the identity) when
//! they are made from bytes, so that a [`BlsPublicKey`] can always be used. Signatures are checked when they are parsed.

use super::chain::{Element, G1, UncompressedG1};
use blst::BLST_ERROR;
use blst::min_pk::{AggregatePublicKey, AggregateSignature, PublicKey, SecretKey, Signature};
use std::fmt;

/// The domain separation tag of every signature.
pub const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_";

/// Why bytes are not a key or a signature, or why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlsError {
    /// Not a usable public key: wrong length, not on the curve, not in the group, or the identity.
    #[error("not a BLS12-381 public key")]
    PublicKey,
    /// Not a usable secret key: wrong length, zero, or not below the group order.
    #[error("not a BLS12-381 secret key")]
    SecretKey,
    /// Not a signature: wrong length, not on the curve, or not in the group.
    #[error("not a BLS12-381 signature")]
    Signature,
    /// The signature is well formed but does not belong to this message and key.
    #[error("the signature does not verify")]
    Mismatch,
    /// There is nothing to aggregate.
    #[error("an aggregate of no keys or signatures does not exist")]
    Empty,
}

/// A secret key; wiped from memory when dropped, never printed.
pub struct BlsSecretKey(SecretKey);

impl BlsSecretKey {
    /// Derives a key from at least 32 random bytes (the IETF KeyGen).
    pub fn from_seed(seed: &[u8]) -> Result<Self, BlsError> {
        SecretKey::key_gen(seed, &[]).map(Self).map_err(|_| BlsError::SecretKey)
    }

    /// From the 32 big-endian bytes of the scalar.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BlsError> {
        SecretKey::from_bytes(bytes).map(Self).map_err(|_| BlsError::SecretKey)
    }

    /// The 32 big-endian bytes of the scalar. Secret: wipe them.
    pub fn to_bytes(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    pub fn public_key(&self) -> BlsPublicKey {
        BlsPublicKey(self.0.sk_to_pk())
    }

    /// Signs the raw bytes of a message.
    pub fn sign(&self, message: &[u8]) -> BlsSignature {
        BlsSignature(self.0.sign(message, DST, &[]))
    }
}

impl fmt::Debug for BlsSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlsSecretKey(..)")
    }
}

/// A valid public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlsPublicKey(PublicKey);

impl BlsPublicKey {
    /// From 48 compressed bytes.
    pub fn from_compressed(bytes: &[u8]) -> Result<Self, BlsError> {
        if bytes.len() != 48 {
            return Err(BlsError::PublicKey);
        }
        PublicKey::key_validate(bytes).map(Self).map_err(|_| BlsError::PublicKey)
    }

    /// From 96 bytes, x then y, the form in which the contracts keep keys.
    pub fn from_uncompressed(element: &UncompressedG1) -> Result<Self, BlsError> {
        let key = PublicKey::deserialize(&element.0).map_err(|_| BlsError::PublicKey)?;
        key.validate().map_err(|_| BlsError::PublicKey)?;
        Ok(Self(key))
    }

    /// The 48 compressed bytes.
    pub fn to_compressed(&self) -> G1 {
        Element(self.0.compress())
    }

    /// The 96 uncompressed bytes.
    pub fn to_uncompressed(&self) -> UncompressedG1 {
        Element(self.0.serialize())
    }

    /// Checks a signature of this key alone.
    pub fn verify(&self, message: &[u8], signature: &BlsSignature) -> Result<(), BlsError> {
        verdict(signature.0.verify(true, message, DST, &[], &self.0, false))
    }

    /// The sum of public keys: the key under which an aggregate of their signatures verifies. The same key may occur
    /// more than once; a sum that is the identity is refused.
    pub fn aggregate(keys: &[BlsPublicKey]) -> Result<Self, BlsError> {
        let refs: Vec<&PublicKey> = keys.iter().map(|key| &key.0).collect();
        if refs.is_empty() {
            return Err(BlsError::Empty);
        }
        let sum = AggregatePublicKey::aggregate(&refs, false).map_err(|_| BlsError::PublicKey)?.to_public_key();
        sum.validate().map_err(|_| BlsError::PublicKey)?;
        Ok(Self(sum))
    }
}

impl fmt::Debug for BlsPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlsPublicKey({})", hex::encode(&self.0.compress()[..4]))
    }
}

/// A well-formed signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlsSignature(Signature);

impl BlsSignature {
    /// From 96 compressed bytes; checks curve and group.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BlsError> {
        if bytes.len() != 96 {
            return Err(BlsError::Signature);
        }
        Signature::sig_validate(bytes, true).map(Self).map_err(|_| BlsError::Signature)
    }

    /// The 96 compressed bytes.
    pub fn to_bytes(&self) -> [u8; 96] {
        self.0.compress()
    }

    /// The sum of signatures over the same message.
    pub fn aggregate(signatures: &[BlsSignature]) -> Result<Self, BlsError> {
        let refs: Vec<&Signature> = signatures.iter().map(|signature| &signature.0).collect();
        if refs.is_empty() {
            return Err(BlsError::Empty);
        }
        let sum = AggregateSignature::aggregate(&refs, false).map_err(|_| BlsError::Signature)?;
        Ok(Self(sum.to_signature()))
    }

    /// Checks an aggregate over one message against the keys of all its signers.
    pub fn verify_aggregate(&self, message: &[u8], keys: &[BlsPublicKey]) -> Result<(), BlsError> {
        BlsPublicKey::aggregate(keys)?.verify(message, self)
    }
}

impl fmt::Debug for BlsSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlsSignature({})", hex::encode(&self.0.compress()[..4]))
    }
}

fn verdict(result: BLST_ERROR) -> Result<(), BlsError> {
    match result {
        BLST_ERROR::BLST_SUCCESS => Ok(()),
        _ => Err(BlsError::Mismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_and_key_only() {
        let key = BlsSecretKey::from_seed(&[7; 32]).unwrap();
        let other = BlsSecretKey::from_seed(&[8; 32]).unwrap();
        let signature = key.sign(b"message");
        assert_eq!(key.public_key().verify(b"message", &signature), Ok(()));
        assert_eq!(key.public_key().verify(b"massage", &signature), Err(BlsError::Mismatch));
        assert_eq!(other.public_key().verify(b"message", &signature), Err(BlsError::Mismatch));
    }

    #[test]
    fn keys_survive_both_encodings_and_bad_ones_are_refused() {
        let key = BlsSecretKey::from_seed(&[7; 32]).unwrap().public_key();
        assert_eq!(BlsPublicKey::from_compressed(&key.to_compressed().0), Ok(key));
        assert_eq!(BlsPublicKey::from_uncompressed(&key.to_uncompressed()), Ok(key));
        let mut identity = [0; 48];
        identity[0] = 0xc0;
        assert_eq!(BlsPublicKey::from_compressed(&identity), Err(BlsError::PublicKey));
        assert_eq!(BlsPublicKey::from_compressed(&[1; 48]), Err(BlsError::PublicKey));
        assert_eq!(BlsPublicKey::from_compressed(&key.to_uncompressed().0), Err(BlsError::PublicKey));
        assert_eq!(BlsSignature::from_bytes(&[1; 96]), Err(BlsError::Signature));
        assert_eq!(BlsPublicKey::aggregate(&[]).unwrap_err(), BlsError::Empty);
        assert_eq!(BlsSignature::aggregate(&[]).unwrap_err(), BlsError::Empty);
    }
}
