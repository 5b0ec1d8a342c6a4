//! Every entry of the protocol's test vectors that concerns this crate.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helper functions are not marked as tests"
)]

use serde_json::Value;
use sui_sdk_types::{Address, Identifier, StructTag, TypeTag};
use walrus_client::wire::bls::{BlsPublicKey, BlsSecretKey, BlsSignature};
use walrus_client::wire::chain::*;
use walrus_client::wire::message::*;

fn load(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn messages() -> Value {
    load(include_str!("data/messages.json"))
}

fn sui() -> Value {
    load(include_str!("data/sui.json"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value).trim_start_matches("0x")).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn address(value: &Value) -> Address {
    text(value).parse().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| text(value).parse().unwrap())
}

/// Decodes, compares, encodes again: the layout is right in both directions.
fn round_trip<T>(bcs_hex: &Value) -> T
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let raw = bytes(bcs_hex);
    let value: T = bcs::from_bytes(&raw).unwrap();
    assert_eq!(bcs::to_bytes(&value).unwrap(), raw);
    value
}

#[test]
fn signed_messages() {
    let all = messages();
    let epoch = number(&all["epoch"]) as u32;
    let blob_id: [u8; 32] = array(&all["blobIdHex"]);
    let object = address(&all["objectIdHex"]);
    let keys: Vec<BlsSecretKey> =
        all["secretKeysHex"].as_array().unwrap().iter().map(|k| BlsSecretKey::from_bytes(&bytes(k)).unwrap()).collect();
    let public: Vec<BlsPublicKey> = keys.iter().map(BlsSecretKey::public_key).collect();
    for (key, expected) in public.iter().zip(all["publicKeysHex"].as_array().unwrap()) {
        assert_eq!(key.to_compressed().0.to_vec(), bytes(expected));
    }
    let cases = [
        ("permanent", StorageConfirmation::new(epoch, blob_id, Persistence::Permanent).to_bytes()),
        ("deletable", StorageConfirmation::new(epoch, blob_id, Persistence::Deletable(object)).to_bytes()),
        ("invalidBlobId", invalid_blob_id_message(epoch, blob_id)),
    ];
    for (name, message) in cases {
        let case = &all[name];
        assert_eq!(message, bytes(&case["messageHex"]), "{name}");
        let mut signatures = Vec::new();
        for (i, expected) in case["signaturesHex"].as_array().unwrap().iter().enumerate() {
            let signature = keys[i].sign(&message);
            assert_eq!(signature.to_bytes().to_vec(), bytes(expected), "{name} {i}");
            public[i].verify(&message, &BlsSignature::from_bytes(&bytes(expected)).unwrap()).unwrap();
            signatures.push((i as u16, signature));
        }
        let json = walrus_client::wire::node::SignedMessage::new(&message, &signatures[0].1);
        assert_eq!(json.serialized_message, text(&case["messageBase64"]), "{name}");
        assert_eq!(json.signature, text(&case["signature0Base64"]), "{name}");
        assert_eq!(json.decode().unwrap().0, message);
        let certificate = Certificate::aggregate(message.clone(), 3, signatures).unwrap();
        assert_eq!(certificate.signature.to_vec(), bytes(&case["aggregateOfAllHex"]), "{name}");
        BlsSignature::from_bytes(&certificate.signature).unwrap().verify_aggregate(&message, &public).unwrap();
    }
}

#[test]
fn bitmaps() {
    for case in messages()["bitmaps"].as_array().unwrap() {
        let members = number(&case["committeeSize"]) as usize;
        let signers: Vec<u16> = case["signers"].as_array().unwrap().iter().map(|s| number(s) as u16).collect();
        assert_eq!(signers_bitmap(&signers, members), bytes(&case["bitmapHex"]));
        assert_eq!(bitmap_signers(&bytes(&case["bitmapHex"]), members).unwrap(), signers);
    }
}

#[test]
fn certificate() {
    let all = sui();
    let case = &all["certificate"];
    let mut keys = Vec::new();
    let mut members = Vec::new();
    for member in case["members"].as_array().unwrap() {
        let key = BlsSecretKey::from_bytes(&bytes(&member["secret_scalar_be"])).unwrap();
        let public = key.public_key();
        assert_eq!(public.to_compressed().0.to_vec(), bytes(&member["public_key_compressed"]));
        assert_eq!(public.to_uncompressed().0.to_vec(), bytes(&member["public_key_uncompressed"]));
        let uncompressed = Element(array(&member["public_key_uncompressed"]));
        assert_eq!(BlsPublicKey::from_uncompressed(&uncompressed).unwrap(), public);
        members.push(BlsCommitteeMember {
            public_key: uncompressed,
            weight: number(&member["weight"]) as u16,
            node_id: address(&member["node_id"]),
        });
        keys.push(key);
    }
    let public: Vec<BlsPublicKey> = keys.iter().map(BlsSecretKey::public_key).collect();
    let total = BlsPublicKey::aggregate(&public).unwrap().to_compressed();
    assert_eq!(total.0.to_vec(), bytes(&case["total_aggregated_key"]));
    let committee =
        BlsCommittee { members, n_shards: number(&case["n_shards"]) as u16, epoch: 7, total_aggregated_key: total };
    assert_eq!(bcs::from_bytes::<BlsCommittee>(&bcs::to_bytes(&committee).unwrap()).unwrap(), committee);

    let message = bytes(&case["message_deletable"]);
    let raw = RawMessage::parse(&message).unwrap();
    assert_eq!((raw.message_type, raw.epoch), (MessageType::BlobCertificate as u8, 7));
    assert_eq!(StorageConfirmation::parse_body(7, raw.body).unwrap().to_bytes(), message);
    let permanent = bytes(&case["message_permanent"]);
    let raw_permanent = RawMessage::parse(&permanent).unwrap();
    assert_eq!(StorageConfirmation::parse_body(7, raw_permanent.body).unwrap().to_bytes(), permanent);

    let signed = [&message, &permanent]
        .into_iter()
        .find(|m| keys[0].sign(m).to_bytes().to_vec() == bytes(&case["individual_signatures"][0]))
        .expect("one of the two messages was signed");
    let mut parts = Vec::new();
    for signer in case["signers"].as_array().unwrap() {
        let index = number(signer) as usize;
        let signature = keys[index].sign(signed);
        assert_eq!(signature.to_bytes().to_vec(), bytes(&case["individual_signatures"][index]));
        parts.push((index as u16, signature));
    }
    let made = Certificate::aggregate(signed.clone(), committee.members.len(), parts).unwrap();
    assert_eq!(made.bitmap(), bytes(&case["signers_bitmap"]));
    assert_eq!(made.signature.to_vec(), bytes(&case["aggregate_signature"]));
    assert_eq!(made.epoch(), Some(7));
    let weight = committee.verify_certificate(&made.signature, &made.bitmap(), signed, Threshold::Quorum).unwrap();
    assert_eq!(u64::from(weight), number(&case["weight"]));
    for (threshold, needed) in
        [(Threshold::Quorum, &case["quorum_needed"]), (Threshold::OneCorrect, &case["one_correct_needed"])]
    {
        let needed = number(needed) as u32;
        assert!(threshold.reached(needed, 10) && !threshold.reached(needed - 1, 10));
    }
    let below = committee.verify_certificate(&made.signature, &[0b0011], signed, Threshold::Quorum);
    assert_eq!(below, Err(CertificateError::Weight { weight: 6, n_shards: 10 }));
    let forged = committee.verify_certificate(&made.signature, &[0b1111], signed, Threshold::Quorum);
    assert_eq!(forged.unwrap_err().abort(), ("bls_aggregate", 1));
}

#[test]
fn proof_of_possession() {
    let all = sui();
    let case = &all["proof_of_possession"];
    let key = BlsSecretKey::from_bytes(&bytes(&all["certificate"]["members"][0]["secret_scalar_be"])).unwrap();
    let public = BlsPublicKey::from_compressed(&bytes(&case["public_key"])).unwrap();
    let message = proof_of_possession_message(number(&case["epoch"]) as u32, &address(&case["sui_address"]), &public);
    assert_eq!(message, bytes(&case["message"]));
    assert_eq!(key.sign(&message).to_bytes().to_vec(), bytes(&case["signature"]));
}

#[test]
fn object_layouts() {
    let all = sui();
    let objects = &all["walrus_objects"];
    let storage: Storage = round_trip(&objects["storage"]["bcs"]);
    assert_eq!((storage.start_epoch, storage.end_epoch, storage.storage_size), (7, 10, 66_034_000));
    let blob: Blob = round_trip(&objects["blob_uncertified"]["bcs"]);
    assert_eq!((blob.registered_epoch, blob.size, blob.encoding_type, blob.certified_epoch), (7, 1000, 1, None));
    assert_eq!(blob.storage, storage);
    assert!(blob.deletable);
    let certified: Blob = round_trip(&objects["blob_certified_epoch_7"]["bcs"]);
    assert_eq!(certified, Blob { certified_epoch: Some(7), ..blob });
    let system: System = round_trip(&objects["system"]["bcs"]);
    assert_eq!(system.version, 3);
    assert_eq!(system.package_id, address(&objects["system"]["value"]["package_id"]));
    let metadata: Metadata = round_trip(&objects["metadata_k_v"]["bcs"]);
    assert_eq!(metadata.metadata.get(&"_walrusBlobType".to_owned()).map(String::as_str), Some("quilt"));
}

#[test]
fn event_layouts() {
    let all = sui();
    let registered: BlobRegistered = round_trip(&all["events"]["BlobRegistered"]["bcs"]);
    assert_eq!((registered.epoch, registered.size, registered.end_epoch, registered.deletable), (7, 1000, 10, true));
    let certified: BlobCertified = round_trip(&all["events"]["BlobCertified"]["bcs"]);
    assert!(!certified.is_extension && certified.blob_id == registered.blob_id);
    let deleted: BlobDeleted = round_trip(&all["events"]["BlobDeleted"]["bcs"]);
    assert!(deleted.was_certified && deleted.epoch == 8 && deleted.object_id == registered.object_id);
}

#[test]
fn dynamic_field_ids() {
    let all = sui();
    for case in all["dynamic_field_ids"].as_array().unwrap() {
        let parent = address(&case["parent"]);
        let name_type: TypeTag = text(&case["name_type"]).parse().unwrap();
        let expected = address(&case["field_id"]);
        let name = bytes(&case["name_bcs"]);
        assert_eq!(dynamic_field_id(&parent, &name_type, &name), expected, "{case}");
        match &name_type {
            TypeTag::U64 => {
                let version = u64::from_le_bytes(name.try_into().unwrap());
                assert_eq!(versioned_field_id(&parent, version), expected);
            }
            TypeTag::Vector(_) => assert_eq!(attributes_field_id(&parent), expected),
            TypeTag::Struct(tag) if tag.module().as_str() == "extended_field" => {
                assert_eq!(extended_field_id(&parent, *tag.address()), expected);
            }
            TypeTag::Struct(_) => {
                let id = StructTag::new(
                    Address::TWO,
                    Identifier::from_static("object"),
                    Identifier::from_static("ID"),
                    Vec::new(),
                );
                assert_eq!(dynamic_object_field_id(&parent, &id.into(), &name), expected);
            }
            other => panic!("a name type without a rule: {other}"),
        }
    }
}

#[test]
fn sizes() {
    for case in sui()["sizes"].as_array().unwrap() {
        let encoded = encoded_size(number(&case["size"]), number(&case["n_shards"]) as u16).unwrap();
        assert_eq!(encoded, number(&case["encoded"]), "{case}");
        assert_eq!(units(encoded), number(&case["units"]), "{case}");
    }
    assert_eq!(encoded_size(u64::MAX, 1000), None);
    assert_eq!(encoded_size(1, 0), None);
}

#[test]
fn ed25519_and_transactions() {
    use sui_sdk_types::{Transaction, UserSignature};
    let all = sui();
    let case = &all["ed25519"];
    let wallet = walrus_client::wallet::Wallet::from_seed(&array(&case["seed"]));
    assert_eq!(wallet.address(), address(&case["address"]));
    assert_eq!(wallet.to_suiprivkey().unwrap().as_str(), text(&case["suiprivkey"]));
    let again = walrus_client::wallet::Wallet::from_suiprivkey(text(&case["suiprivkey"])).unwrap();
    assert_eq!(again.address(), wallet.address());

    let case = &all["transaction_split_transfer"];
    let transaction: Transaction = round_trip(&case["bcs"]);
    assert_eq!(transaction.digest().to_string(), text(&case["digest"]));
    assert_eq!(hex::encode(transaction.signing_digest()), text(&case["signing_digest"]));
    let signature: UserSignature = wallet.sign(&transaction).unwrap();
    assert_eq!(hex::encode(signature.to_bytes()), text(&case["signature_hex"]));
    assert_eq!(signature.to_base64(), text(&case["signature_base64"]));

    let case = &all["transaction_register_blob"];
    let transaction: Transaction = round_trip(&case["bcs"]);
    assert_eq!(transaction.digest().to_string(), text(&case["digest"]));
}

#[test]
fn objects_ids_and_effects() {
    let all = sui();
    let case = &all["coin_object"];
    let object: sui_sdk_types::Object = round_trip(&case["object_bcs"]);
    assert_eq!(object.digest().to_string(), text(&case["digest"]));
    let coin: Coin = round_trip(&case["contents"]);
    assert_eq!((coin.id, coin.balance), (address(&case["id"]), number(&case["balance"])));
    for case in all["created_object_ids"].as_array().unwrap() {
        let digest = text(&case["tx_digest"]).parse().unwrap();
        assert_eq!(Address::derive_id(digest, number(&case["index"])), address(&case["id"]));
    }
    let effects: sui_sdk_types::TransactionEffects = round_trip(&all["effects_v2"]["bcs"]);
    assert_eq!(effects.digest().to_string(), text(&all["effects_v2"]["digest"]));
    let events: sui_sdk_types::TransactionEvents = round_trip(&all["transaction_events"]["bcs"]);
    assert_eq!(events.digest().to_string(), text(&all["transaction_events"]["digest"]));
}
