//! Every case of `data/encoding.json`, which was written by the reference encoder.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like the tests themselves")]

mod common;

use common::{input, number, params, text, vectors};
use redstuff::{
    Axis, BlobId, Consistency, Error, GeneralRecoverySymbol, Metadata, Node, PairIndex, Params, Primary,
    RecoverySymbol, Secondary, ShardIndex, Sliver, SliverAxis, SliverIndex, decode, encode,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

const FILE: &str = include_str!("data/encoding.json");

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn digest_hex(node: &Node) -> String {
    hex::encode(node.as_bytes())
}

#[test]
fn upstream_fixtures() {
    for case in vectors(FILE)["upstreamFixtures"].as_array().unwrap() {
        let blob = hex::decode(text(case, "inputHex")).unwrap();
        let id = redstuff::blob_id(&params(case), &blob).unwrap();
        assert_eq!(hex::encode(id.0), text(case, "blobIdHex"));
    }
}

#[test]
fn sizes() {
    for case in vectors(FILE)["sizes"].as_array().unwrap() {
        let (params, length) = (params(case), number(case, "len"));
        assert_eq!(u64::from(params.symbol_size(length).unwrap().get()), number(case, "symbolSize"), "{case}");
        let encoded = params.encoded_length(length).unwrap();
        assert_eq!(encoded, number(case, "encodedLength"), "{case}");
        assert_eq!(encoded.div_ceil(1 << 20), number(case, "storageUnits"), "{case}");
    }
}

#[test]
fn too_large() {
    for case in vectors(FILE)["tooLarge"].as_array().unwrap() {
        let params = params(case);
        let max = number(case, "maxBlobSize");
        assert_eq!(params.max_blob_size(), max);
        params.symbol_size(max).unwrap();
        for length in [number(case, "len"), max + 1, u64::MAX] {
            assert!(matches!(params.symbol_size(length), Err(Error::BlobTooLarge { .. })), "{length}");
        }
        let blob = vec![0; usize::try_from(number(case, "len")).unwrap()];
        assert!(matches!(encode(&params, blob), Err(Error::BlobTooLarge { .. })));
    }
}

#[test]
fn cases() {
    let file = vectors(FILE);
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 97);
    for case in cases {
        check_case(case);
    }
}

fn check_case(case: &Value) {
    let name = format!("n = {}, {}", number(case, "nShards"), case["input"]);
    let params = params(case);
    let blob = input(&case["input"]);
    assert_eq!(sha256(&blob), text(&case["input"], "sha256"), "{name}: the input is not the vector's");
    let encoded = encode(&params, &blob).unwrap();
    let length = blob.len() as u64;

    assert_eq!(u64::from(encoded.metadata().symbol_size().get()), number(case, "symbolSize"), "{name}");
    assert_eq!(
        params.sliver_length(Axis::Primary, length).unwrap() as u64,
        number(case, "primarySliverBytes"),
        "{name}"
    );
    assert_eq!(
        params.sliver_length(Axis::Secondary, length).unwrap() as u64,
        number(case, "secondarySliverBytes"),
        "{name}"
    );
    assert_eq!(params.encoded_length(length).unwrap(), number(case, "encodedLength"), "{name}");

    check_ids(case, &name, &params, encoded.blob_id());
    assert_eq!(digest_hex(&encoded.metadata().root_hash()), text(case, "rootHash"), "{name}");
    for (pair, hashes) in case["pairHashes"].as_object().unwrap() {
        let ours = &encoded.metadata().hashes()[pair.parse::<usize>().unwrap()];
        assert_eq!(digest_hex(&ours.primary), hashes[0].as_str().unwrap(), "{name}: pair {pair}");
        assert_eq!(digest_hex(&ours.secondary), hashes[1].as_str().unwrap(), "{name}: pair {pair}");
    }

    let bcs = encoded.metadata().to_bcs();
    assert_eq!(bcs.len() as u64, number(case, "metadataBcsLength"), "{name}");
    assert_eq!(sha256(&bcs), text(case, "metadataBcsSha256"), "{name}");
    let metadata = Metadata::from_bcs(&bcs).unwrap().verify(encoded.blob_id(), &params).unwrap();
    assert_eq!(&metadata, encoded.metadata(), "{name}");

    let (mut primaries, mut secondaries) = (Sha256::new(), Sha256::new());
    for pair in params.pairs() {
        let (primary, secondary) = encoded.pair(pair).unwrap();
        let (primary, secondary) = (primary.to_bcs(), secondary.to_bcs());
        if let Some(expected) = case["sliverBcsSha256"].get(pair.to_string()) {
            assert_eq!(sha256(&primary), expected[0].as_str().unwrap(), "{name}: pair {pair}");
            assert_eq!(sha256(&secondary), expected[1].as_str().unwrap(), "{name}: pair {pair}");
        }
        primaries.update(&primary);
        secondaries.update(&secondary);
    }
    assert_eq!(hex::encode(primaries.finalize()), text(case, "allPrimarySliverBcsSha256"), "{name}");
    assert_eq!(hex::encode(secondaries.finalize()), text(case, "allSecondarySliverBcsSha256"), "{name}");

    if case.get("inputHex").is_some() {
        check_full_case(case, &name, &blob);
    }
}

fn check_ids(case: &Value, name: &str, params: &Params, id: &BlobId) {
    assert_eq!(hex::encode(id.0), text(case, "blobIdHex"), "{name}");
    assert_eq!(id.to_string(), text(case, "blobId"), "{name}");
    assert_eq!(text(case, "blobId").parse::<BlobId>().unwrap(), *id, "{name}");
    assert_eq!(id.to_u256_decimal(), text(case, "blobIdU256"), "{name}");
    assert_eq!(BlobId::from_u256_decimal(text(case, "blobIdU256")), Some(*id), "{name}");
    assert_eq!(u64::from(id.rotation(params)), number(case, "rotationOffset"), "{name}");
    let (pair, shard) = (PairIndex::new(0).shard(id, params), ShardIndex::new(0).pair(id, params));
    assert_eq!(u64::from(pair.get()), number(case, "shardOfPair0"), "{name}");
    assert_eq!(u64::from(shard.get()), number(case, "pairOfShard0"), "{name}");
    for pair in params.pairs() {
        assert_eq!(pair.shard(id, params).pair(id, params), pair, "{name}");
    }
}

/// Cases whose bytes are all in the file: everything starts from the file's slivers, not from our own.
fn check_full_case(case: &Value, name: &str, blob: &[u8]) {
    let params = params(case);
    assert_eq!(hex::decode(text(case, "inputHex")).unwrap(), blob, "{name}");
    let id: BlobId = text(case, "blobId").parse().unwrap();
    let metadata =
        Metadata::from_bcs(&hex::decode(text(case, "metadataBcsHex")).unwrap()).unwrap().verify(&id, &params).unwrap();
    let bytes = |key: &str| -> Vec<Vec<u8>> {
        case[key].as_array().unwrap().iter().map(|sliver| hex::decode(sliver.as_str().unwrap()).unwrap()).collect()
    };
    let (primaries, secondaries) = (bytes("primarySliverBcsHex"), bytes("secondarySliverBcsHex"));
    let primaries: Vec<Sliver<'_, Primary>> = primaries.iter().map(|bcs| Sliver::from_bcs(bcs).unwrap()).collect();
    let secondaries: Vec<Sliver<'_, Secondary>> =
        secondaries.iter().map(|bcs| Sliver::from_bcs(bcs).unwrap()).collect();
    for (pair, (primary, secondary)) in params.pairs().zip(primaries.iter().zip(&secondaries)) {
        assert_eq!((primary.index().pair(&params), secondary.index().pair(&params)), (pair, pair), "{name}");
        primary.verify(&metadata).unwrap();
        secondary.verify(&metadata).unwrap();
    }
    for consistency in [Consistency::Skip, Consistency::Default, Consistency::Strict] {
        assert_eq!(decode(&metadata, &primaries, consistency).unwrap(), blob, "{name}");
        assert_eq!(decode(&metadata, &secondaries, consistency).unwrap(), blob, "{name}");
        let reversed: Vec<_> = primaries.iter().rev().cloned().collect();
        assert_eq!(decode(&metadata, &reversed, consistency).unwrap(), blob, "{name}");
    }

    for vector in case["recoverySymbols"].as_array().unwrap() {
        let (row, column) = text(vector, "id").split_once('-').unwrap();
        let target = u16::try_from(number(vector, "targetSliver")).unwrap();
        let general = hex::decode(text(vector, "generalRecoverySymbolBcsHex")).unwrap();
        let parsed = GeneralRecoverySymbol::from_bcs(&general).unwrap();
        assert_eq!(parsed.to_bcs(), general, "{name}");
        assert_eq!(parsed.id().to_string(), text(vector, "id"), "{name}");
        assert_eq!(parsed.proof_axis().as_str(), text(vector, "proofAxis"), "{name}");
        parsed.verify(&metadata).unwrap();
        let symbol = hex::decode(text(vector, "recoverySymbolBcsHex")).unwrap();
        match text(vector, "targetType") {
            "secondary" => check_symbol::<Secondary>(&primaries, row, target, &symbol, &metadata),
            "primary" => check_symbol::<Primary>(&secondaries, column, target, &symbol, &metadata),
            other => panic!("{other}"),
        }
    }
}

fn check_symbol<T: SliverAxis>(
    sources: &[Sliver<'_, T::Orthogonal>],
    source: &str,
    target: u16,
    bcs: &[u8],
    metadata: &redstuff::VerifiedMetadata,
) {
    let symbol = RecoverySymbol::<T>::from_bcs(bcs).unwrap();
    symbol.verify(SliverIndex::new(target), metadata).unwrap();
    let source = sources.iter().find(|sliver| sliver.index().to_string() == source).unwrap();
    let ours = source.expand(metadata.params()).unwrap().recovery_symbol(SliverIndex::new(target)).unwrap();
    assert_eq!(ours.to_bcs(), bcs);
}

#[test]
fn blob_id_text_is_strict() {
    let good = "rUbODN7fr7gy5snG6ZksDykbIy1aQ9C7DmaAl59hofk";
    assert_eq!(good.parse::<BlobId>().unwrap().to_string(), good);
    let padded = format!("{good}=");
    let stray_bits = format!("{}l", &good[..42]);
    for bad in ["", &good[..42], &padded, &good.replace('D', "+"), &good.replace('D', " "), &stray_bits] {
        assert!(bad.parse::<BlobId>().is_err(), "{bad:?}");
    }
}

#[test]
fn blob_id_serde() {
    let id = BlobId([7; 32]);
    assert_eq!(serde_json::to_value(id).unwrap(), Value::String(id.to_string()));
    assert_eq!(serde_json::from_value::<BlobId>(Value::String(id.to_string())).unwrap(), id);
    assert!(serde_json::from_str::<BlobId>("\"short\"").is_err());
    assert_eq!(bcs::to_bytes(&id).unwrap(), [7; 32]);
    assert_eq!(bcs::from_bytes::<BlobId>(&[7; 32]).unwrap(), id);
    assert_eq!(serde_json::to_string(&SliverIndex::<Primary>::new(5)).unwrap(), "5");
    assert_eq!(bcs::to_bytes(&PairIndex::new(258)).unwrap(), [2, 1]);
}

#[test]
fn u256_decimal_edges() {
    assert_eq!(BlobId([0; 32]).to_u256_decimal(), "0");
    let max = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert_eq!(BlobId([0xff; 32]).to_u256_decimal(), max);
    assert_eq!(BlobId::from_u256_decimal(max), Some(BlobId([0xff; 32])));
    let above = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    for bad in ["", "-1", "1 ", "0x1", above, &"9".repeat(78), &"0".repeat(79)] {
        assert_eq!(BlobId::from_u256_decimal(bad), None, "{bad}");
    }
}
