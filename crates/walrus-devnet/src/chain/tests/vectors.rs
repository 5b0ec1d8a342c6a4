//! The reference vectors: digests, ids, signatures, effects, events, made by other programs.

use serde_json::Value;
use sui_crypto::SuiSigner;
use sui_crypto::ed25519::Ed25519PrivateKey;
use sui_sdk_types::{
    Address, Digest, Object, Transaction, TransactionEffects, TransactionEvents, TypeTag, UserSignature,
};

use crate::chain::execute::check_signatures;

fn vectors() -> Value {
    serde_json::from_str(include_str!("sui.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn transactions_objects_effects_and_events_have_the_reference_digests() {
    let v = vectors();
    let object: Object = bcs::from_bytes(&bytes(&v["coin_object"]["object_bcs"])).unwrap();
    assert_eq!(object.digest().to_string(), v["coin_object"]["digest"].as_str().unwrap());
    for name in ["transaction_split_transfer", "transaction_register_blob"] {
        let raw = bytes(&v[name]["bcs"]);
        let transaction: Transaction = bcs::from_bytes(&raw).unwrap();
        assert_eq!(transaction.digest().to_string(), v[name]["digest"].as_str().unwrap());
        assert_eq!(bcs::to_bytes(&transaction).unwrap(), raw);
    }
    let effects: TransactionEffects = bcs::from_bytes(&bytes(&v["effects_v2"]["bcs"])).unwrap();
    assert_eq!(effects.digest().to_string(), v["effects_v2"]["digest"].as_str().unwrap());
    let events: TransactionEvents = bcs::from_bytes(&bytes(&v["transaction_events"]["bcs"])).unwrap();
    assert_eq!(events.digest().to_string(), v["transaction_events"]["digest"].as_str().unwrap());
}

#[test]
fn ids_are_derived_as_the_reference_derives_them() {
    let v = vectors();
    for case in v["created_object_ids"].as_array().unwrap() {
        let digest: Digest = case["tx_digest"].as_str().unwrap().parse().unwrap();
        let id = Address::derive_id(digest, case["index"].as_u64().unwrap());
        assert_eq!(id.to_string(), case["id"].as_str().unwrap());
    }
    for case in v["dynamic_field_ids"].as_array().unwrap() {
        let parent: Address = case["parent"].as_str().unwrap().parse().unwrap();
        let name: TypeTag = case["name_type"].as_str().unwrap().parse().unwrap();
        let id = parent.derive_dynamic_child_id(&name, &bytes(&case["name_bcs"]));
        assert_eq!(id.to_string(), case["field_id"].as_str().unwrap());
    }
}

#[test]
fn signatures_are_checked_as_the_reference_makes_them() {
    let v = vectors();
    let seed: [u8; 32] = bytes(&v["ed25519"]["seed"]).try_into().unwrap();
    let key = Ed25519PrivateKey::new(seed);
    let address = key.public_key().derive_address();
    assert_eq!(address.to_string(), v["ed25519"]["address"].as_str().unwrap());
    let split = &v["transaction_split_transfer"];
    let transaction: Transaction = bcs::from_bytes(&bytes(&split["bcs"])).unwrap();
    let signature = UserSignature::from_bytes(&bytes(&split["signature_hex"])).unwrap();
    assert_eq!(key.sign_transaction(&transaction).unwrap(), signature);
    check_signatures(&transaction, std::slice::from_ref(&signature)).unwrap();

    let mut other = transaction.clone();
    other.gas_payment.budget += 1;
    assert!(check_signatures(&other, std::slice::from_ref(&signature)).is_err(), "other bytes");
    let mut forged = bytes(&split["signature_hex"]);
    forged[10] ^= 1;
    let forged = UserSignature::from_bytes(&forged).unwrap();
    assert!(check_signatures(&transaction, &[forged]).is_err(), "forged");
    assert!(check_signatures(&transaction, &[]).is_err(), "none");
    assert!(check_signatures(&transaction, &[signature.clone(), signature]).is_err(), "two");
    let stranger = Ed25519PrivateKey::new([9; 32]).sign_transaction(&transaction).unwrap();
    assert!(check_signatures(&transaction, &[stranger]).is_err(), "another signer");
}
