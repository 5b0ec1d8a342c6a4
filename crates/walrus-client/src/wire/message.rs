//! Messages that storage nodes sign, and the certificates made of them.
//!
//! Mechanism: every message starts with 7 bytes (`type`, version 0, application 3, epoch as u32 little-endian) and is
//! signed as raw bytes. A certificate is one message, the aggregate of the signatures over it, and the indices of the
//! signers in the committee's `members`.
//!
//! Must never: accept a message because it *parses*. A confirmation counts only if its bytes equal the expected
//! message ([`StorageConfirmation::to_bytes`]) and its signature verifies.

use super::abort;
use super::bls::{BlsError, BlsPublicKey, BlsSignature};
use super::chain::{BlsCommittee, ObjectId, U256};
use std::fmt;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageType {
    /// The signer owns the secret key.
    ProofOfPossession = 0,
    /// The signer stores its part of a blob.
    BlobCertificate = 1,
    /// A blob id belongs to inconsistently encoded data.
    InvalidBlobId = 2,
    /// A node asks another for a shard.
    SyncShard = 3,
    /// A node announces its deny list.
    DenyListUpdate = 4,
    /// A deny-listed blob was deleted.
    DenyListBlobDeleted = 5,
    /// A new protocol version.
    ProtocolVersion = 6,
}

/// The version in every message header.
pub const MESSAGE_VERSION: u8 = 0;
/// The application in every message header: Walrus storage.
pub const MESSAGE_APP: u8 = 3;
/// Bytes of a message header.
pub const HEADER_LEN: usize = 7;

/// The 7 bytes in front of every message.
pub fn header(message_type: MessageType, epoch: u32) -> [u8; HEADER_LEN] {
    let e = epoch.to_le_bytes();
    [message_type as u8, MESSAGE_VERSION, MESSAGE_APP, e[0], e[1], e[2], e[3]]
}

/// A header as found, nothing judged yet, and the body behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawMessage<'a> {
    /// The message type byte.
    pub message_type: u8,
    /// The version byte.
    pub version: u8,
    /// The application byte.
    pub app: u8,
    /// The signer's epoch.
    pub epoch: u32,
    /// Everything behind the header.
    pub body: &'a [u8],
}

impl<'a> RawMessage<'a> {
    /// Splits header and body; `None` when there are fewer than 7 bytes.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, body) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let [message_type, version, app, e0, e1, e2, e3] = *header;
        Some(Self { message_type, version, app, epoch: u32::from_le_bytes([e0, e1, e2, e3]), body })
    }
}

/// Whether a blob may be deleted before its end epoch, and if so through which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// Stays until its end epoch.
    Permanent,
    /// Can be deleted by the owner of this object.
    Deletable(ObjectId),
}

/// A node's statement that it stores its slivers of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageConfirmation {
    /// The epoch of the signer's committee.
    pub epoch: u32,
    /// The blob.
    pub blob_id: U256,
    /// The kind of registration that was confirmed.
    pub persistence: Persistence,
}

impl StorageConfirmation {
    /// The statement about `blob_id` in `epoch`.
    pub fn new(epoch: u32, blob_id: impl Into<U256>, persistence: Persistence) -> Self {
        Self { epoch, blob_id: blob_id.into(), persistence }
    }

    /// The bytes that are signed: 40 (permanent) or 72 (deletable).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(72);
        bytes.extend_from_slice(&header(MessageType::BlobCertificate, self.epoch));
        bytes.extend_from_slice(&self.blob_id.0);
        match &self.persistence {
            Persistence::Permanent => bytes.push(0),
            Persistence::Deletable(object) => {
                bytes.push(1);
                bytes.extend_from_slice(object.as_bytes());
            }
        }
        bytes
    }

    /// Reads the body of a blob certificate as the contract does: bytes behind it are ignored. `None` when it is too
    /// short or names an unknown kind of persistence.
    pub fn parse_body(epoch: u32, body: &[u8]) -> Option<Self> {
        let (blob_id, rest) = body.split_first_chunk::<32>()?;
        let persistence = match rest.split_first()? {
            (0, _) => Persistence::Permanent,
            (1, rest) => Persistence::Deletable(ObjectId::new(*rest.first_chunk::<32>()?)),
            _ => return None,
        };
        Some(Self { epoch, blob_id: U256(*blob_id), persistence })
    }
}

/// The bytes that say that a blob id is invalid.
pub fn invalid_blob_id_message(epoch: u32, blob_id: impl Into<U256>) -> Vec<u8> {
    let mut bytes = header(MessageType::InvalidBlobId, epoch).to_vec();
    bytes.extend_from_slice(&blob_id.into().0);
    bytes
}

/// The bytes by which a node proves to the staking contract that it owns its BLS key.
pub fn proof_of_possession_message(epoch: u32, sender: &ObjectId, key: &BlsPublicKey) -> Vec<u8> {
    let mut bytes = header(MessageType::ProofOfPossession, epoch).to_vec();
    bytes.extend_from_slice(sender.as_bytes());
    bytes.extend_from_slice(&key.to_compressed().0);
    bytes
}

/// Why a certificate is refused. [`CertificateError::abort`] is the contract's own code for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bitmap is too long or names a member that does not exist.
    #[error("the signer bitmap names members that the committee does not have")]
    Bitmap,
    /// The signers hold too few shards.
    #[error("the signers hold {weight} of {n_shards} shards, which is too few")]
    Weight {
        /// Shards of the signers.
        weight: u16,
        /// Shards of the committee.
        n_shards: u16,
    },
    /// The aggregate does not verify.
    #[error("the aggregate signature does not verify: {0}")]
    Signature(#[from] BlsError),
}

impl CertificateError {
    /// Module and code with which the contract aborts.
    pub fn abort(&self) -> (&'static str, u64) {
        let code = match self {
            Self::Bitmap => abort::bls_aggregate::INVALID_BITMAP,
            Self::Weight { .. } => abort::bls_aggregate::NOT_ENOUGH_STAKE,
            Self::Signature(_) => abort::bls_aggregate::SIG_VERIFICATION,
        };
        ("bls_aggregate", code)
    }
}

/// How much weight must have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// 3w >= 2n + 1: enough honest nodes to serve the blob for ever.
    Quorum,
    /// 3w >= n + 1: at least one honest node.
    OneCorrect,
}

impl Threshold {
    /// Whether `weight` of `n_shards` shards is enough.
    pub fn reached(self, weight: u32, n_shards: u16) -> bool {
        let n = u64::from(n_shards);
        let needed = match self {
            Self::Quorum => 2 * n + 1,
            Self::OneCorrect => n + 1,
        };
        3 * u64::from(weight) >= needed
    }
}

/// The bitmap of signer indices for the contract: bit i mod 8 (least significant first) of byte i / 8. Indices at or
/// beyond `members` do not fit and are left out.
pub fn signers_bitmap(signers: &[u16], members: usize) -> Vec<u8> {
    let mut bitmap = vec![0; members.div_ceil(8)];
    for &signer in signers {
        let index = usize::from(signer);
        if index < members {
            bitmap[index / 8] |= 1 << (index % 8);
        }
    }
    bitmap
}

/// The signer indices in a bitmap, ascending. A bitmap may be shorter than the committee, never longer.
pub fn bitmap_signers(bitmap: &[u8], members: usize) -> Result<Vec<u16>, CertificateError> {
    if bitmap.len() > members.div_ceil(8) {
        return Err(CertificateError::Bitmap);
    }
    let mut signers = Vec::new();
    for (index, byte) in bitmap.iter().enumerate() {
        for bit in 0..8 {
            if byte >> bit & 1 == 1 {
                let member = index * 8 + bit;
                let signer = u16::try_from(member).ok().filter(|_| member < members);
                signers.push(signer.ok_or(CertificateError::Bitmap)?);
            }
        }
    }
    Ok(signers)
}

/// A message with enough signatures: what `certify_blob` and `certify_pooled_blob` take.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Indices into the committee's members, ascending, without repetition.
    pub signers: Vec<u16>,
    /// The signed bytes.
    pub message: Vec<u8>,
    /// The aggregate signature, 96 bytes.
    pub signature: [u8; 96],
    /// Members of the committee that signed, which fixes the length of the bitmap.
    pub members: usize,
}

impl Certificate {
    /// Adds up signatures over one message. They must have been verified one by one: an aggregate with a forged part
    /// is worthless as a whole.
    pub fn aggregate(
        message: Vec<u8>,
        members: usize,
        mut parts: Vec<(u16, BlsSignature)>,
    ) -> Result<Self, CertificateError> {
        parts.sort_by_key(|(signer, _)| *signer);
        parts.dedup_by_key(|(signer, _)| *signer);
        if parts.iter().any(|(signer, _)| usize::from(*signer) >= members) {
            return Err(CertificateError::Bitmap);
        }
        let signatures: Vec<BlsSignature> = parts.iter().map(|(_, signature)| *signature).collect();
        let signature = BlsSignature::aggregate(&signatures)?.to_bytes();
        Ok(Self { signers: parts.iter().map(|(signer, _)| *signer).collect(), message, signature, members })
    }

    /// The bitmap that goes into the call.
    pub fn bitmap(&self) -> Vec<u8> {
        signers_bitmap(&self.signers, self.members)
    }

    /// The epoch of the committee that signed.
    pub fn epoch(&self) -> Option<u32> {
        RawMessage::parse(&self.message).map(|message| message.epoch)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("signers", &self.signers)
            .field("message", &hex::encode(&self.message))
            .finish_non_exhaustive()
    }
}

impl BlsCommittee {
    /// Checks an aggregate signature over `message` as the contract does: bitmap, then weight, then signature. Returns
    /// the weight of the signers. The message itself (header, body) is judged by the caller.
    pub fn verify_certificate(
        &self,
        signature: &[u8],
        bitmap: &[u8],
        message: &[u8],
        threshold: Threshold,
    ) -> Result<u16, CertificateError> {
        let signers = bitmap_signers(bitmap, self.members.len())?;
        let members = signers.iter().filter_map(|&signer| self.members.get(usize::from(signer)));
        let weight: u32 = members.clone().map(|member| u32::from(member.weight)).sum();
        let counted = u16::try_from(weight).unwrap_or(u16::MAX);
        if !threshold.reached(weight, self.n_shards) {
            return Err(CertificateError::Weight { weight: counted, n_shards: self.n_shards });
        }
        let keys: Vec<BlsPublicKey> =
            members.map(|member| BlsPublicKey::from_uncompressed(&member.public_key)).collect::<Result<_, _>>()?;
        BlsSignature::from_bytes(signature)?.verify_aggregate(message, &keys)?;
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_refuse_what_the_contract_refuses() {
        assert_eq!(bitmap_signers(&[0b1001, 0b11], 10), Ok(vec![0, 3, 8, 9]));
        assert_eq!(bitmap_signers(&[0b1001], 10), Ok(vec![0, 3]), "a shorter bitmap is fine");
        assert_eq!(bitmap_signers(&[0, 0b100], 10), Err(CertificateError::Bitmap));
        assert_eq!(bitmap_signers(&[0, 0, 0], 10), Err(CertificateError::Bitmap));
        assert_eq!(bitmap_signers(&[], 0), Ok(vec![]));
    }

    #[test]
    fn thresholds_are_the_contracts() {
        for (n, quorum, one) in [(10, 7, 4), (100, 67, 34), (1000, 667, 334), (4, 3, 2)] {
            assert!(Threshold::Quorum.reached(quorum, n) && !Threshold::Quorum.reached(quorum - 1, n));
            assert!(Threshold::OneCorrect.reached(one, n) && !Threshold::OneCorrect.reached(one - 1, n));
        }
    }

    #[test]
    fn bodies_parse_with_trailing_bytes_and_not_when_short() {
        let object = ObjectId::new([9; 32]);
        for persistence in [Persistence::Permanent, Persistence::Deletable(object)] {
            let confirmation = StorageConfirmation::new(5, [1; 32], persistence);
            let mut bytes = confirmation.to_bytes();
            let raw = RawMessage::parse(&bytes).unwrap();
            assert_eq!((raw.message_type, raw.version, raw.app, raw.epoch), (1, 0, 3, 5));
            assert_eq!(StorageConfirmation::parse_body(raw.epoch, raw.body), Some(confirmation));
            assert_eq!(StorageConfirmation::parse_body(5, &raw.body[..raw.body.len() - 1]), None);
            bytes.push(77);
            let raw = RawMessage::parse(&bytes).unwrap();
            assert_eq!(StorageConfirmation::parse_body(raw.epoch, raw.body), Some(confirmation));
        }
        assert_eq!(RawMessage::parse(&[0; 6]), None);
    }
}
