//! Answers of storage nodes and of the chain: JSON, signed messages, objects in BCS. No panic; what is read in BCS is written back as
//! it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use walrus_client::network::NetworkConfig;
use walrus_client::wire::bls::{BlsPublicKey, BlsSignature};
use walrus_client::wire::chain::{
    Blob, Coin, Field, PooledBlob, SharedBlob, StakedWal, StakingInnerV1, StakingPool, Storage, StorageNodeCap, StoragePool,
    StoragePoolInnerV1, SystemStateInnerV1,
};
use walrus_client::wire::message::{RawMessage, StorageConfirmation};
use walrus_client::wire::node::{BlobStatus, ConfirmationBody, ErrorEnvelope, ServiceHealthInfo, SuccessEnvelope};

fn object<T: DeserializeOwned + Serialize>(data: &[u8]) {
    if let Ok(value) = bcs::from_bytes::<T>(data) {
        assert_eq!(bcs::to_bytes(&value).expect("what was read can be written"), data);
    }
}

fuzz_target!(|data: &[u8]| {
    object::<Field<u64, SystemStateInnerV1>>(data);
    object::<Field<u64, StakingInnerV1>>(data);
    object::<StakingPool>(data);
    object::<Storage>(data);
    object::<Blob>(data);
    object::<SharedBlob>(data);
    object::<StoragePool>(data);
    object::<Field<u64, StoragePoolInnerV1>>(data);
    object::<PooledBlob>(data);
    object::<StorageNodeCap>(data);
    object::<StakedWal>(data);
    object::<Coin>(data);

    if let Some(message) = RawMessage::parse(data)
        && let Some(statement) = StorageConfirmation::parse_body(message.epoch, message.body)
    {
        // What was read is the beginning of the body: the contract ignores what stands behind it.
        let again = statement.to_bytes();
        let read = RawMessage::parse(&again).expect("it has a header");
        assert!(message.body.starts_with(read.body));
    }
    let _ = (BlsPublicKey::from_compressed(data), BlsSignature::from_bytes(data));

    if let Ok(text) = std::str::from_utf8(data) {
        let _ = NetworkConfig::parse(text);
    }
    let _ = serde_json::from_slice::<SuccessEnvelope<BlobStatus>>(data);
    let _ = serde_json::from_slice::<SuccessEnvelope<ServiceHealthInfo>>(data);
    let _ = serde_json::from_slice::<ErrorEnvelope>(data);
    if let Ok(answer) = serde_json::from_slice::<SuccessEnvelope<ConfirmationBody>>(data) {
        let ConfirmationBody::Signed(signed) = answer.success.data;
        let _ = signed.decode();
    }
});
