//! Lies that are hard to see: every falsified answer still parses and has the right length, only its contents are wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use walrus_client::wire::node::{ConfirmationBody, SignedMessage, SuccessEnvelope};

use super::Lie;

/// An answer that can be falsified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Metadata,
    Sliver,
    RecoverySymbols,
    DecodingSymbols,
    Confirmation,
}

impl Answer {
    /// What a GET of `path` asks for.
    pub(super) fn to(path: &str) -> Option<Self> {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        match words.as_slice() {
            ["v1", "blobs", _, "metadata"] => Some(Self::Metadata),
            ["v1", "blobs", _, "slivers", _, _] => Some(Self::Sliver),
            ["v1", "blobs", _, "recoverySymbols"] => Some(Self::RecoverySymbols),
            ["v1", "blobs", _, "decodingSymbols"] => Some(Self::DecodingSymbols),
            ["v1", "blobs", _, "confirmation", ..] => Some(Self::Confirmation),
            _ => None,
        }
    }

    /// Whether a node with this habit falsifies it.
    pub(super) fn is_about(self, lie: Lie) -> bool {
        match lie {
            Lie::Everything => true,
            Lie::Bytes => matches!(self, Self::Sliver | Self::RecoverySymbols | Self::DecodingSymbols),
            Lie::Metadata => self == Self::Metadata,
            Lie::Confirmations | Lie::Epoch => self == Self::Confirmation,
        }
    }

    /// Makes the answer wrong in place; false if there was nothing to falsify.
    pub(super) fn falsify(self, bytes: &mut Vec<u8>) -> bool {
        match self {
            Self::Metadata => metadata(bytes),
            Self::Sliver => sliver(bytes),
            Self::RecoverySymbols => symbols(bytes, false),
            Self::DecodingSymbols => symbols(bytes, true),
            Self::Confirmation => confirmation(bytes),
        }
        .unwrap_or(false)
    }
}

/// `id [32], tag, encoding, length u64, ULEB n, n times (tag, digest, tag, digest)`: one byte of every digest.
fn metadata(bytes: &mut [u8]) -> Option<bool> {
    let mut walk = Walk { bytes, at: 32 + 1 + 1 + 8 };
    let pairs = walk.uleb()?;
    for _ in 0..2 * pairs {
        walk.at += 1;
        walk.flip(32)?;
    }
    Some(pairs > 0)
}

/// `ULEB length, data, symbol size u16, index u16`.
fn sliver(bytes: &mut [u8]) -> Option<bool> {
    let mut walk = Walk { bytes, at: 0 };
    let length = walk.uleb()?;
    walk.flip(length)?;
    Some(length > 0)
}

/// Recovery symbols: `ULEB count, count times (tag, source u16, ULEB length, data, target u16, ULEB k, k nodes)`.
/// Decoding symbols: `ULEB keys, for each (key u16, ULEB count, count times (tag, source u16, ULEB length, data))`.
fn symbols(bytes: &mut [u8], keyed: bool) -> Option<bool> {
    let mut walk = Walk { bytes, at: 0 };
    let lists = if keyed { walk.uleb()? } else { 1 };
    let mut flipped = false;
    for _ in 0..lists {
        if keyed {
            walk.at += 2;
        }
        for _ in 0..walk.uleb()? {
            walk.at += 3;
            let length = walk.uleb()?;
            walk.flip(length)?;
            flipped = true;
            if !keyed {
                walk.at += 2;
                for _ in 0..walk.uleb()? {
                    // A node is a tag, and a digest unless the tag is 0.
                    let tag = *walk.bytes.get(walk.at)?;
                    walk.at += if tag == 0 { 1 } else { 33 };
                }
            }
        }
    }
    Some(flipped)
}

/// Another signature, and by turns another message under the true signature.
fn confirmation(bytes: &mut Vec<u8>) -> Option<bool> {
    let mut envelope: SuccessEnvelope<ConfirmationBody> = serde_json::from_slice(bytes).ok()?;
    let ConfirmationBody::Signed(signed) = &mut envelope.success.data;
    let (mut message, mut signature) = signed.decode()?;
    if signature.last()? % 2 == 0 {
        // The blob id: a confirmation of something else.
        *message.get_mut(12)? ^= 0x55;
    } else {
        let middle = signature.len() / 2;
        *signature.get_mut(middle)? ^= 0x55;
    }
    *signed = SignedMessage { serialized_message: STANDARD.encode(message), signature: STANDARD.encode(signature) };
    *bytes = serde_json::to_vec(&envelope).ok()?;
    Some(true)
}

/// The same confirmation for the epoch before (the one after, where there is none), with a signature that holds.
pub(super) fn backdate(bytes: &mut Vec<u8>, signer: &dyn Fn(&[u8]) -> [u8; 96]) -> bool {
    let signed_anew = || {
        let mut envelope: SuccessEnvelope<ConfirmationBody> = serde_json::from_slice(bytes).ok()?;
        let ConfirmationBody::Signed(signed) = &mut envelope.success.data;
        let (mut message, _) = signed.decode()?;
        let epoch: &mut [u8] = message.get_mut(3..7)?;
        let before = u32::from_le_bytes((&*epoch).try_into().ok()?).checked_sub(1).unwrap_or(1);
        epoch.copy_from_slice(&before.to_le_bytes());
        let signature = STANDARD.encode(signer(&message));
        *signed = SignedMessage { serialized_message: STANDARD.encode(message), signature };
        serde_json::to_vec(&envelope).ok()
    };
    match signed_anew() {
        Some(falsified) => {
            *bytes = falsified;
            true
        }
        None => false,
    }
}

/// A place in an answer.
struct Walk<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Walk<'_> {
    fn uleb(&mut self) -> Option<usize> {
        let mut value = 0usize;
        for shift in (0..28).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Changes the next `length` bytes here and there, and passes them.
    fn flip(&mut self, length: usize) -> Option<()> {
        let end = self.at.checked_add(length)?;
        let bytes = self.bytes.get_mut(self.at..end)?;
        bytes.iter_mut().skip(length / 3 % 61).step_by(61).for_each(|byte| *byte ^= 0x5a);
        self.at = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redstuff::{Axis, GeneralRecoverySymbol, Metadata, Params, Primary, Secondary, Sliver, SliverIndex, encode};

    #[test]
    fn paths_are_recognised() {
        assert_eq!(Answer::to("/v1/blobs/x/metadata"), Some(Answer::Metadata));
        assert_eq!(Answer::to("/v1/blobs/x/metadata/status"), None);
        assert_eq!(Answer::to("/v1/blobs/x/slivers/3/primary"), Some(Answer::Sliver));
        assert_eq!(Answer::to("/v1/blobs/x/slivers/3/primary/status"), None);
        assert_eq!(Answer::to("/v1/blobs/x/confirmation/deletable/0x1"), Some(Answer::Confirmation));
        assert_eq!(Answer::to("/v1/health"), None);
    }

    #[test]
    fn lies_parse_and_do_not_verify() {
        let params = Params::new(7).unwrap();
        for length in [0usize, 1, 500] {
            let encoded = encode(&params, vec![3; length]).unwrap();
            let truth = encoded.metadata();

            let mut lie = truth.to_bcs_with_id();
            let honest = lie.len();
            assert!(Answer::Metadata.falsify(&mut lie));
            let (id, parsed) = Metadata::from_bcs_with_id(&lie).unwrap();
            assert_eq!((lie.len(), id), (honest, *truth.blob_id()));
            assert!(parsed.verify(&id, &params).is_err());

            let sliver = encoded.primary(SliverIndex::new(6)).unwrap();
            let mut lie = sliver.to_bcs();
            assert!(Answer::Sliver.falsify(&mut lie));
            let parsed = Sliver::<Primary>::from_bcs(&lie).unwrap();
            assert_eq!((parsed.index(), parsed.data().len()), (sliver.index(), sliver.data().len()));
            assert!(parsed.verify(truth).is_err());

            let target = SliverIndex::<Secondary>::new(2);
            let expanded = sliver.expand(&params).unwrap();
            let symbol = GeneralRecoverySymbol::Secondary { target, symbol: expanded.recovery_symbol(target).unwrap() };
            assert_eq!(symbol.proof_axis(), Axis::Primary);
            symbol.verify(truth).unwrap();
            let mut lie = GeneralRecoverySymbol::vec_to_bcs(&[symbol.clone(), symbol]);
            assert!(Answer::RecoverySymbols.falsify(&mut lie));
            for symbol in GeneralRecoverySymbol::vec_from_bcs(&lie).unwrap() {
                assert!(symbol.verify(truth).is_err());
            }
        }
        // One key, two symbols of two bytes.
        let mut map = vec![1, 9, 0, 2, 0, 1, 0, 2, 7, 7, 0, 2, 0, 2, 7, 7];
        let honest = map.clone();
        assert!(Answer::DecodingSymbols.falsify(&mut map));
        assert_eq!(map.iter().zip(&honest).filter(|(lie, truth)| lie != truth).count(), 2);
        assert!(!Answer::RecoverySymbols.falsify(&mut vec![0xff; 4]), "garbage is passed on, not walked past its end");
    }

    #[test]
    fn false_confirmations_keep_their_shape() {
        for last in [0, 1] {
            let mut signature = vec![9; 96];
            signature[95] = last;
            let (message, true_signature) = (vec![1; 40], signature.clone());
            let signed =
                SignedMessage { serialized_message: STANDARD.encode(&message), signature: STANDARD.encode(&signature) };
            let mut json = serde_json::to_vec(&SuccessEnvelope::new(200, ConfirmationBody::Signed(signed))).unwrap();
            let length = json.len();
            assert!(Answer::Confirmation.falsify(&mut json));
            assert_eq!(json.len(), length);
            let lie: SuccessEnvelope<ConfirmationBody> = serde_json::from_slice(&json).unwrap();
            let ConfirmationBody::Signed(signed) = lie.success.data;
            assert_ne!(signed.decode().unwrap(), (message, true_signature));
        }
    }

    #[test]
    fn a_backdated_confirmation_is_signed_for_the_epoch_before() {
        use walrus_client::wire::bls::{BlsSecretKey, BlsSignature};
        use walrus_client::wire::message::{Persistence, StorageConfirmation};
        let key = BlsSecretKey::from_seed(&[5; 32]).unwrap();
        let signer = |message: &[u8]| key.sign(message).to_bytes();
        for (epoch, before) in [(7, 6), (1, 0), (0, 1)] {
            let message = |epoch| StorageConfirmation::new(epoch, [9; 32], Persistence::Permanent).to_bytes();
            let signed = SignedMessage::new(&message(epoch), &key.sign(&message(epoch)));
            let mut json = serde_json::to_vec(&SuccessEnvelope::new(200, ConfirmationBody::Signed(signed))).unwrap();
            assert!(backdate(&mut json, &signer));
            let lie: SuccessEnvelope<ConfirmationBody> = serde_json::from_slice(&json).unwrap();
            let ConfirmationBody::Signed(signed) = lie.success.data;
            let (found, signature) = signed.decode().unwrap();
            assert_eq!(found, message(before));
            key.public_key().verify(&found, &BlsSignature::from_bytes(&signature).unwrap()).unwrap();
        }
        assert!(!backdate(&mut b"{}".to_vec(), &signer));
    }
}
