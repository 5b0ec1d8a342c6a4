//! The blob id: the hash that names a blob, commits to every sliver of it, and decides where they lie.

use crate::{Error, Node, Params};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt::{self, Debug, Display};
use std::str::FromStr;

/// The encoding type of Red Stuff with Reed-Solomon codes ("RS2"), as stored on chain and hashed into every blob id.
pub const ENCODING_TYPE_RS2: u8 = 1;

/// The 32 bytes that name a blob: `BLAKE2b-256(0x01 || length as u64 LE || root hash)`.
///
/// Text form: base64url without padding, exactly 43 characters. On chain: a `u256` whose BCS bytes are these 32 bytes.
/// Serde: the text in human-readable formats, 32 raw bytes (no length) in BCS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl BlobId {
    /// Characters of the text form.
    pub const TEXT_LENGTH: usize = 43;

    /// The id of a blob of `unencoded_length` bytes whose sliver pairs hash to `root`.
    pub fn compute(unencoded_length: u64, root: &Node) -> Self {
        let mut input = [0; 41];
        input[0] = ENCODING_TYPE_RS2;
        input[1..9].copy_from_slice(&unencoded_length.to_le_bytes());
        input[9..].copy_from_slice(root.as_bytes());
        Self(crate::hash::blake2b256(&[&input]))
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// By how much pairs are rotated over the shards: the bytes as one *big-endian* integer, mod `n`.
    pub fn rotation(&self, params: &Params) -> u16 {
        let n = u32::from(params.n_shards());
        let rotation = self.0.iter().fold(0u32, |rest, byte| (rest * 256 + u32::from(*byte)) % n);
        u16::try_from(rotation).unwrap_or(u16::MAX)
    }

    /// The decimal form of the on-chain `u256`: the bytes as one *little-endian* integer.
    pub fn to_u256_decimal(&self) -> String {
        // Long division by 10^9 over 32-bit limbs, most significant first: nine digits a round.
        let mut limbs: Vec<u32> = self
            .0
            .rchunks_exact(4)
            .map(|chunk| chunk.iter().rev().fold(0u32, |limb, byte| (limb << 8) | u32::from(*byte)))
            .collect();
        let mut groups = Vec::new();
        while limbs.iter().any(|limb| *limb != 0) {
            let mut rest = 0u64;
            for limb in &mut limbs {
                let value = (rest << 32) | u64::from(*limb);
                *limb = u32::try_from(value / 1_000_000_000).unwrap_or(u32::MAX);
                rest = value % 1_000_000_000;
            }
            groups.push(rest);
        }
        let mut groups = groups.into_iter().rev();
        let mut text = groups.next().unwrap_or(0).to_string();
        for group in groups {
            text.push_str(&format!("{group:09}"));
        }
        text
    }

    /// The id whose on-chain `u256` has this decimal form; `None` if the text is no `u256`.
    pub fn from_u256_decimal(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 78 {
            return None;
        }
        let mut bytes = [0u8; 32];
        for digit in text.bytes() {
            if !digit.is_ascii_digit() {
                return None;
            }
            let mut carry = u32::from(digit - b'0');
            for byte in &mut bytes {
                carry += u32::from(*byte) * 10;
                *byte = (carry & 0xff) as u8;
                carry >>= 8;
            }
            if carry != 0 {
                return None;
            }
        }
        Some(Self(bytes))
    }
}

impl Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

impl FromStr for BlobId {
    type Err = Error;

    /// Strict: 43 characters of the URL-safe alphabet, no padding, no stray bits in the last character.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || Error::Malformed { what: "blob id", reason: "not 43 characters of unpadded base64url" };
        if text.len() != Self::TEXT_LENGTH {
            return Err(malformed());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
        bytes.try_into().map(Self).map_err(|_| malformed())
    }
}

impl From<[u8; 32]> for BlobId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for BlobId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for BlobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}
