//! Every endpoint of storage-node.md section 3: bodies, statuses, reasons, messages.

use bytes::Bytes;
use hyper::{Method, StatusCode};
use redstuff::{Axis, GeneralRecoverySymbol, Primary, Secondary};
use serde_json::json;
use walrus_client::wire::bls::{BlsPublicKey, BlsSignature};
use walrus_client::wire::message::{Persistence, StorageConfirmation};
use walrus_client::wire::node::ConfirmationBody;

use super::support::{Answer, Net, SHARDS, User, blob, http, network, params};

/// A pair of the blob that node `index` does not store.
fn foreign_pair(net: &Net, index: usize, id: &redstuff::BlobId) -> u16 {
    let own = net.pairs(index, id);
    (0..SHARDS).find(|pair| own.iter().all(|own| own.get() != *pair)).unwrap()
}

/// The message that a confirmation answer signs; its signature is checked with the key that the chain names.
fn signed_message(net: &Net, index: usize, answer: &Answer) -> Vec<u8> {
    let body: ConfirmationBody = serde_json::from_value(answer.data()).unwrap();
    let ConfirmationBody::Signed(signed) = body;
    let (message, signature) = signed.decode().unwrap();
    let id = net.devnet.node_id(index).unwrap();
    let committee = net.devnet.chain().committee().unwrap();
    let member = committee.members.iter().find(|member| member.node_id == id).unwrap();
    let key = BlsPublicKey::from_compressed(&member.bls_public_key).unwrap();
    key.verify(&message, &BlsSignature::from_bytes(&signature).unwrap()).unwrap();
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_blob_is_served_by_the_book() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(1, 20_000);
    let stored = user.store(&encoded, 2).await;
    let id = *encoded.blob_id();
    let base = format!("/v1/blobs/{id}");
    let pair = net.pairs(0, &id)[0];
    let (primary, secondary) = encoded.pair(pair).unwrap();

    let answer = net.get(0, &format!("{base}/metadata")).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &encoded.metadata().to_bcs_with_id()[..]));
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(net.get(0, &format!("{base}/metadata/status")).await.data(), "stored");
    let answer = net.get(0, &format!("{base}/slivers/{pair}/primary")).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &primary.to_bcs()[..]));
    let answer = net.get(0, &format!("{base}/slivers/{pair}/secondary")).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &secondary.to_bcs()[..]));
    assert_eq!(net.get(0, &format!("{base}/slivers/{pair}/primary/status")).await.data(), "stored");
    let epoch = net.devnet.chain().epoch().unwrap();
    assert_eq!(
        net.get(0, &format!("{base}/status")).await.data(),
        json!({"deletable": {"initialCertifiedEpoch": epoch,
            "deletableCounts": {"count_deletable_total": 1, "count_deletable_certified": 1}}})
    );

    // Again.
    let answer = net.http(0, Method::PUT, &format!("{base}/metadata"), encoded.metadata().to_bcs()).await;
    assert_eq!((answer.status, answer.data()), (StatusCode::OK, json!("metadata already stored")));
    let answer = net.http(0, Method::PUT, &format!("{base}/slivers/{pair}/primary"), primary.to_bcs()).await;
    assert_eq!((answer.status, answer.data()), (StatusCode::OK, json!("sliver already stored")));

    // The confirmation of the object, and of nothing else.
    let answer = net.get(0, &format!("{base}/confirmation/deletable/{}", stored.object)).await;
    let expected = StorageConfirmation::new(epoch, id.0, Persistence::Deletable(stored.object)).to_bytes();
    assert_eq!(signed_message(&net, 0, &answer), expected);
    let other = format!("{base}/confirmation/deletable/0x{}", "7".repeat(64));
    assert_eq!(net.get(0, &other).await.error(), (400, "NOT_REGISTERED".into()));
    let answer =
        net.get(0, &format!("{base}/confirmation/permanent?wait_for_registration=true&wait_millis=5&x=1")).await;
    let expected = StorageConfirmation::new(epoch, id.0, Persistence::Permanent).to_bytes();
    assert_eq!(signed_message(&net, 0, &answer), expected);

    // Slivers that cannot be here.
    let foreign = foreign_pair(&net, 0, &id);
    for (path, reason) in [
        (format!("slivers/{foreign}/primary"), "SHARD_NOT_ASSIGNED"),
        (format!("slivers/{foreign}/primary/status"), "SHARD_NOT_ASSIGNED"),
        (format!("slivers/{SHARDS}/primary"), "INDEX_OUT_OF_RANGE"),
    ] {
        assert_eq!(net.get(0, &format!("{base}/{path}")).await.error(), (400, reason.into()), "{path}");
    }
    let swapped = net.http(0, Method::PUT, &format!("{base}/slivers/{foreign}/primary"), primary.to_bcs()).await;
    assert_eq!(swapped.error(), (400, "SLIVER_INDEX_MISMATCH".into()));
    let foreign_sliver = encoded.pair(redstuff::PairIndex::new(foreign)).unwrap().0.to_bcs();
    let misplaced = net.http(0, Method::PUT, &format!("{base}/slivers/{foreign}/primary"), foreign_sliver).await;
    assert_eq!(misplaced.error(), (400, "SHARD_NOT_ASSIGNED".into()));

    let health = net.get(0, "/v1/health?detailed=true").await.data();
    assert_eq!(health["nodeStatus"], "Active");
    assert_eq!(health["shardSummary"]["owned"], net.shards(0).len());
    assert_eq!(health["shardDetail"]["owned"][0]["status"], "ready");
    assert_eq!(health["epoch"], epoch);
    assert!(net.get(0, "/v1/health").await.data().get("shardDetail").is_none());
    assert_eq!(net.get(0, "/v1/api").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn symbols_prove_themselves() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(2, 9_000);
    user.store(&encoded, 2).await;
    let id = *encoded.blob_id();
    let base = format!("/v1/blobs/{id}");
    let own = net.pairs(0, &id);

    // Everything for one target: one symbol of each own sliver of the other axis.
    for (axis, target) in
        [(Axis::Primary, 0), (Axis::Primary, SHARDS - 1), (Axis::Secondary, 1), (Axis::Secondary, SHARDS - 2)]
    {
        if own.iter().any(|pair| match axis {
            Axis::Primary => pair.sliver::<Primary>(&params()).get() == target,
            Axis::Secondary => pair.sliver::<Secondary>(&params()).get() == target,
        }) {
            continue;
        }
        let query = format!("{base}/recoverySymbols?targetSliver={target}&targetType={axis}");
        let symbols = GeneralRecoverySymbol::vec_from_bcs(&net.get(0, &query).await.body).unwrap();
        assert_eq!(symbols.len(), own.len());
        for symbol in &symbols {
            symbol.verify(encoded.metadata()).unwrap();
            assert_eq!(symbol.proof_axis(), axis.orthogonal());
            let at = symbol.id();
            let place = if axis == Axis::Primary { at.primary.get() } else { at.secondary.get() };
            assert_eq!(place, target);
        }
        if target < params().slivers_to_decode(axis) {
            let query = format!("{base}/decodingSymbols?targetSlivers={target}&targetType={axis}");
            let map = net.get(0, &query).await;
            assert_eq!((map.status, map.body[0], &map.body[1..3]), (StatusCode::OK, 1, &target.to_le_bytes()[..]));
            assert_eq!(usize::from(map.body[3]), own.len());
            let symbol = &map.body[4..];
            assert_eq!(symbol[0], if axis == Axis::Primary { 0 } else { 1 });
            let size = usize::from(encoded.metadata().symbol_size().get());
            let length_bytes = if size < 128 { 1 } else { 2 };
            let first = symbols.iter().find(|known| {
                let source = if axis == Axis::Primary { known.id().secondary.get() } else { known.id().primary.get() };
                source.to_le_bytes() == symbol[1..3]
            });
            assert_eq!(&symbol[3 + length_bytes..][..size], first.unwrap().data());
        }
    }

    // By id, sorted and without repetition; the primary sliver is the source unless the query says otherwise.
    let row = own[0].get();
    let query = format!("{base}/recoverySymbols?id={row}-5&id={row}-2&id={row}-5");
    let symbols = GeneralRecoverySymbol::vec_from_bcs(&net.get(0, &query).await.body).unwrap();
    let ids: Vec<String> = symbols.iter().map(|symbol| symbol.id().to_string()).collect();
    assert_eq!(ids, [format!("{row}-2"), format!("{row}-5")]);
    assert!(
        symbols.iter().all(|symbol| symbol.proof_axis() == Axis::Primary && symbol.verify(encoded.metadata()).is_ok())
    );

    for (query, expected) in [
        ("recoverySymbols".to_owned(), (400, "NO_SYMBOLS_SPECIFIED")),
        (format!("recoverySymbols?id={SHARDS}-0"), (400, "INDEX_OUT_OF_RANGE")),
        ("decodingSymbols?targetType=primary".to_owned(), (400, "NO_TARGET_SLIVERS_SPECIFIED")),
        (
            format!("decodingSymbols?targetType=primary&targetSlivers={}", params().rows()),
            (400, "RECOVERY_SYMBOL_OUT_OF_RANGE"),
        ),
    ] {
        let answer = net.get(0, &format!("{base}/{query}")).await;
        assert_eq!(answer.error(), (expected.0, expected.1.to_owned()), "{query}");
    }
    let elsewhere = foreign_pair(&net, 0, &id);
    let column = redstuff::PairIndex::new(elsewhere).sliver::<Secondary>(&params());
    let answer = net.get(0, &format!("{base}/recoverySymbols?id={elsewhere}-{column}")).await;
    assert_eq!(answer.error(), (400, "SYMBOL_NOT_PRESENT_AT_SHARDS".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_needs_registration_metadata_and_every_sliver() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(3, 5_000);
    let id = *encoded.blob_id();
    let base = format!("/v1/blobs/{id}");
    let bcs = encoded.metadata().to_bcs();
    let own = net.pairs(0, &id);
    let put = async |path: String, body: Vec<u8>| net.http(0, Method::PUT, &format!("{base}/{path}"), body).await;

    // Nothing is registered.
    assert_eq!(net.get(0, &format!("{base}/status")).await.data(), "nonexistent");
    assert_eq!(net.get(0, &format!("{base}/metadata")).await.error(), (404, "METADATA_NOT_FOUND".into()));
    assert_eq!(put("metadata".into(), bcs.clone()).await.error(), (400, "NOT_REGISTERED".into()));
    assert_eq!(put("metadata?pending=true".into(), bcs.clone()).await.error(), (400, "CACHE_SATURATED".into()));
    let sliver = encoded.pair(own[0]).unwrap().0.to_bcs();
    let path = format!("slivers/{}/primary", own[0]);
    assert_eq!(put(path.clone(), sliver.clone()).await.error(), (400, "NOT_REGISTERED".into()));
    assert_eq!(net.get(0, &format!("{base}/{path}")).await.error(), (404, "SLIVER_NOT_FOUND".into()));
    assert_eq!(net.get(0, &format!("{base}/confirmation/permanent")).await.error(), (400, "NOT_REGISTERED".into()));

    let object = user.register(&encoded).await;
    let confirmation = format!("{base}/confirmation/deletable/{object}");
    assert_eq!(net.get(0, &confirmation).await.error(), (400, "MISSING_SLIVERS".into()));
    assert_eq!(put(path.clone(), sliver.clone()).await.error(), (400, "METADATA_NOT_FOUND".into()));
    assert_eq!(put("metadata".into(), vec![1, 2, 3]).await.error(), (400, "INVALID_CONTENT_TYPE".into()));
    let other = blob(4, 5_000);
    assert_eq!(put("metadata".into(), other.metadata().to_bcs()).await.error(), (400, "INVALID_METADATA".into()));
    let url = format!("{}{base}/metadata", net.node(0).url);
    let text = http(&url, Method::PUT, &[("content-type", "text/plain")], Bytes::from(bcs.clone())).await;
    assert_eq!(text.error(), (400, "INVALID_CONTENT_TYPE".into()));
    let answer = put("metadata".into(), bcs).await;
    assert_eq!((answer.status, answer.data()), (StatusCode::CREATED, json!("metadata successfully stored")));

    // Every way in which a sliver can be wrong.
    let mut wrong = sliver.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    assert_eq!(put(path.clone(), wrong).await.error(), (400, "INVALID_SLIVER".into()));
    let shorter =
        redstuff::Sliver::<Primary>::new(own[0].sliver(&params()), encoded.metadata().symbol_size(), vec![0; 8]);
    assert_eq!(put(path.clone(), shorter.to_bcs()).await.error(), (400, "INVALID_SLIVER".into()));
    assert_eq!(put(path.clone(), vec![9]).await.error(), (400, "INVALID_CONTENT_TYPE".into()));
    assert_eq!(net.get(0, &format!("{base}/{path}/status")).await.data(), "nonexistent");

    // One by one; the confirmation comes with the last.
    let mut slivers = Vec::new();
    for pair in &own {
        let (primary, secondary) = encoded.pair(*pair).unwrap();
        slivers.push((format!("slivers/{pair}/primary"), primary.to_bcs()));
        slivers.push((format!("slivers/{pair}/secondary?pending=true"), secondary.to_bcs()));
    }
    for (path, bcs) in slivers {
        assert_eq!(net.get(0, &confirmation).await.error(), (400, "MISSING_SLIVERS".into()));
        let answer = put(path.clone(), bcs).await;
        let expected = if path.ends_with("pending=true") {
            (StatusCode::ACCEPTED, json!("sliver buffered pending registration"))
        } else {
            (StatusCode::CREATED, json!("sliver stored successfully"))
        };
        assert_eq!((answer.status, answer.data()), expected);
    }
    let epoch = net.devnet.chain().epoch().unwrap();
    let expected = StorageConfirmation::new(epoch, id.0, Persistence::Deletable(object)).to_bytes();
    assert_eq!(signed_message(&net, 0, &net.get(0, &confirmation).await), expected);
    let message = "the blob has not been registered or has already expired";
    user.delete(object).await;
    assert_eq!(net.get(0, &confirmation).await.json()["error"]["message"], message);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frameworks_errors_are_plain_text() {
    let net = network().await;
    let id = *blob(5, 10).blob_id();
    for (method, path, status) in [
        (Method::GET, "/v1/blobs/short/metadata".to_owned(), 400),
        (Method::GET, format!("/v1/blobs/{id}/slivers/70000/primary"), 400),
        (Method::GET, format!("/v1/blobs/{id}/slivers/0/tertiary"), 400),
        (Method::PUT, format!("/v1/blobs/{id}/metadata?unknown=1"), 400),
        (Method::GET, format!("/v1/blobs/{id}/recoverySymbols?targetSliver=1"), 400),
        (Method::GET, "/v1/nothing".to_owned(), 404),
        (Method::DELETE, format!("/v1/blobs/{id}/metadata"), 405),
        (Method::POST, "/v1/migrate/sync_shard".to_owned(), 401),
    ] {
        let answer = net.http(1, method.clone(), &path, Bytes::new()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert!(!answer.body.starts_with(b"{"), "{method} {path}: {:?}", answer.body);
    }
    let large = net.http(1, Method::PUT, &format!("/v1/blobs/{id}/metadata"), vec![0; 2_097_153]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_last_object_frees_the_disk() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(6, 200_000);
    let stored = user.store(&encoded, 2).await;
    net.wait_for(3, "the blob is stored", |node| node.blobs == 1).await;
    user.delete(stored.object).await;
    for index in 0..usize::from(super::support::NODES) {
        net.wait_for(index, "the blob's file is gone", |node| node.blobs == 0).await;
    }
    let answer = net.get(0, &format!("/v1/blobs/{}/metadata", encoded.blob_id())).await;
    assert_eq!(answer.error(), (404, "METADATA_NOT_FOUND".into()));
}
