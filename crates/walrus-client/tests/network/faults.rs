//! The client against every kind of faulty node, up to f shards' worth of them, and beyond.

use crate::support::*;
use redstuff::{Axis, Consistency};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use walrus_client::ClientError;
use walrus_client::read::{BlobRef, Check};
use walrus_client::store::UploadProgress;
use walrus_client::wire::chain::EpochState;
use walrus_client::wire::message::{Persistence, Threshold};
use walrus_client::wire::node::BlobStatus;

/// Well below the 40 and 60 s that a slow node or a black hole would cost, well above what a busy machine needs.
const BOUND: Duration = Duration::from_secs(20);

const FAULTS: [Fault; 10] = [
    Fault::Dead,
    Fault::BlackHole,
    Fault::Slow(Duration::from_secs(40)),
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(503),
    Fault::Garbage,
    Fault::Lying,
    Fault::Forging,
    Fault::OldEpoch,
];

/// Checks the certificate as the contract does.
fn accepted(net: &Net, certificate: &walrus_client::wire::message::Certificate) -> u16 {
    let state = net.chain.state.lock().unwrap();
    let field = walrus_client::wire::chain::versioned_field_id(&id("0x51"), 3);
    let inner: walrus_client::wire::chain::Field<u64, walrus_client::wire::chain::SystemStateInnerV1> =
        state.objects[&field].decode().unwrap();
    inner
        .value
        .committee
        .verify_certificate(&certificate.signature, &certificate.bitmap(), &certificate.message, Threshold::Quorum)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_survive_f_faulty_nodes_of_every_kind() {
    for fault in FAULTS {
        let net = Net::new(10, 20);
        net.nodes.set_faults([1, 4, 8], fault);
        let encoded = Arc::new(redstuff::encode(&net.nodes.params, pattern(40_000)).unwrap());
        net.nodes.registered.lock().unwrap().insert(*encoded.blob_id());
        let begun = Instant::now();
        let certificate = net.client.upload(encoded.clone(), Persistence::Deletable(id("0xb10b")), None).await.unwrap();
        let took = begun.elapsed();
        assert!(took < BOUND, "{fault:?}: {took:?}");
        assert!(accepted(&net, &certificate) >= 14, "{fault:?}");
        if !matches!(fault, Fault::Slow(_)) {
            assert!(certificate.signers.iter().all(|signer| ![1, 4, 8].contains(signer)), "{fault:?}");
        }
        let read = net.client.read_blob(encoded.blob_id(), Consistency::Strict).await.unwrap();
        assert_eq!(read, pattern(40_000), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_survive_f_faulty_nodes_of_every_kind() {
    for fault in FAULTS {
        let net = Net::new(10, 20);
        let (blob, data) = net.planted(100_000);
        net.nodes.set_faults([0, 3, 7], fault);
        let begun = Instant::now();
        let whole = net.client.read_blob(&blob, Consistency::Default).await.unwrap();
        assert_eq!(whole, data, "{fault:?}: whole");
        for range in [0..1, 99_999..100_000, 20_000..60_000, 500..500, 0..100_000] {
            let read = net.client.read_range(&blob, range.clone()).await.unwrap();
            assert_eq!(read, data[range.start as usize..range.end as usize], "{fault:?} {range:?}");
        }
        let params = &net.nodes.params;
        let length = params.sliver_length(Axis::Primary, 100_000).unwrap();
        for row in 0..params.rows() {
            let found = net.client.systematic_sliver(BlobRef::new(blob, 100_000), row, Check::Verify).await.unwrap();
            let start = usize::from(row) * length;
            let mut expected = data[start.min(data.len())..(start + length).min(data.len())].to_vec();
            expected.resize(length, 0);
            assert!(found.verified, "{fault:?} row {row}");
            assert_eq!(found.bytes, expected, "{fault:?} row {row}");
        }
        let took = begun.elapsed();
        assert!(took < BOUND, "{fault:?}: {took:?}");
        if fault == Fault::Lying {
            assert!(net.nodes.lies_told.load(Ordering::Relaxed) > 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_read_costs_one_request_for_each_row() {
    let net = Net::new(10, 20);
    let (blob, _) = net.planted(100_000);
    let found = net.client.systematic_sliver(BlobRef::new(blob, 100_000), 2, Check::Trust).await.unwrap();
    assert!(!found.verified);
    let requests = net.nodes.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].2.ends_with("/slivers/2/primary"), "{requests:?}");
    net.nodes.forget_requests();
    net.client.read_range(&blob, 100..200).await.unwrap();
    assert_eq!(net.nodes.count("/slivers/"), 1);
    net.client.read_range(&blob, 100..200).await.unwrap();
    assert!(net.nodes.count("/metadata") <= 2, "metadata is fetched once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_trusted_may_be_wrong_and_verification_finds_the_liar() {
    let net = Net::new(10, 20);
    let (blob, data) = net.planted(100_000);
    let blob_ref = BlobRef::new(blob, 100_000);
    let state = net.client.state().await.unwrap();
    let pair = redstuff::PairIndex::new(1);
    let holder = state.committee.holder(pair, &blob).unwrap().index;
    net.nodes.set_faults([usize::from(holder)], Fault::Lying);
    let length = net.nodes.params.sliver_length(Axis::Primary, 100_000).unwrap();
    let right = &data[length..2 * length];
    let trusted = net.client.systematic_sliver(blob_ref, 1, Check::Trust).await.unwrap();
    assert!(!trusted.verified && trusted.bytes != right);
    let verified = net.client.systematic_sliver(blob_ref, 1, Check::Verify).await.unwrap();
    assert!(verified.verified && verified.bytes == right);
    // The liar is known now and not asked again, not even for bytes that would be trusted.
    net.nodes.forget_requests();
    let again = net.client.systematic_sliver(blob_ref, 1, Check::Trust).await.unwrap();
    assert!(again.verified && again.bytes == right);
    assert_eq!(net.nodes.count("/slivers/1/primary"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_sliver_is_recovered_from_symbols_not_by_fetching_the_blob() {
    let net = Net::new(10, 20);
    let (blob, data) = net.planted(100_000);
    let state = net.client.state().await.unwrap();
    let holder = state.committee.holder(redstuff::PairIndex::new(0), &blob).unwrap().index;
    net.nodes.wipe(usize::from(holder));
    let read = net.client.read_range(&blob, 0..1000).await.unwrap();
    assert_eq!(read, data[..1000]);
    assert!(net.nodes.count("recoverySymbols") > 0);
    assert_eq!(net.nodes.count("/primary"), 1, "only the missing sliver itself was asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_misses_many_rows_decodes_the_blob_once() {
    let net = Net::new(10, 100);
    let (blob, data) = net.planted(100_000);
    let rows = usize::from(net.nodes.params.rows());
    net.nodes.set_faults([0, 1, 2], Fault::Dead);
    assert_eq!(net.client.read_range(&blob, 100..99_900).await.unwrap(), data[100..99_900]);
    assert_eq!(net.nodes.count("recoverySymbols"), 0);
    // Every row, and one more sliver for each that its node did not give.
    let asked = net.nodes.count("/primary");
    assert!((rows..=rows + 30 + 4).contains(&asked), "{asked} slivers were asked for");
    // Who is known to be dead is not asked again.
    net.nodes.forget_requests();
    assert_eq!(net.client.read_range(&blob, 0..100_000).await.unwrap(), data);
    assert_eq!(net.nodes.count("/primary"), rows);
    // One missing row is not worth the blob.
    net.nodes.set_faults([], Fault::Dead);
    let state = net.client.state().await.unwrap();
    let holder = state.committee.holder(redstuff::PairIndex::new(7), &blob).unwrap().index;
    let stranger = Net { client: net.stranger(), ..net };
    stranger.nodes.wipe(usize::from(holder));
    stranger.nodes.forget_requests();
    let length = stranger.nodes.params.sliver_length(Axis::Primary, 100_000).unwrap() as u64;
    let few = 5 * length..12 * length;
    let read = stranger.client.read_range(&blob, few.clone()).await.unwrap();
    assert_eq!(read, data[few.start as usize..few.end as usize]);
    assert!(stranger.nodes.count("recoverySymbols") > 0);
    let asked = stranger.nodes.count("/primary");
    assert!((8..=14).contains(&asked), "seven rows, and the missing ones asked for twice: {asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_f_the_error_says_how_much_is_missing_and_the_blob_comes_back() {
    let mut config = quick();
    config.upload.policy.total = Duration::from_secs(2);
    let net = Net::with(10, 10, config);
    let (blob, data) = net.planted(10_000);
    // Recovery needs 7 of 10, decoding 4 of 10.
    net.nodes.set_faults([0, 1, 2, 3, 4, 5], Fault::Dead);
    assert_eq!(net.client.read_range(&blob, 0..10_000).await.unwrap(), data);
    net.nodes.set_faults(0..7, Fault::Dead);
    match net.client.read_blob(&blob, Consistency::Default).await {
        Err(ClientError::Slivers { found: 3, needed: 4, missing: 7, n_shards: 10, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(net.client.read_range(&blob, 0..10_000).await.is_err());
    net.nodes.set_faults([], Fault::Dead);
    assert_eq!(net.client.read_blob(&blob, Consistency::Default).await.unwrap(), data);

    let encoded = Arc::new(redstuff::encode(&net.nodes.params, pattern(5_000)).unwrap());
    net.nodes.registered.lock().unwrap().insert(*encoded.blob_id());
    net.nodes.set_faults(0..4, Fault::Dead);
    match net.client.upload(encoded.clone(), Persistence::Permanent, None).await {
        Err(ClientError::Confirmations { weight: 6, needed: 7, n_shards: 10, detail, .. }) => {
            assert!(detail.contains("connection refused"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    net.nodes.set_faults(0..3, Fault::Dead);
    let certificate = net.client.upload(encoded, Persistence::Permanent, None).await.unwrap();
    assert_eq!(accepted(&net, &certificate), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_nobody_has_does_not_exist() {
    let net = Net::new(10, 10);
    let blob = redstuff::BlobId([9; 32]);
    net.nodes.set_faults([0, 1, 2], Fault::Dead);
    assert!(matches!(net.client.read_range(&blob, 0..1).await, Err(ClientError::NotFound { .. })));
    assert_eq!(net.client.status(&blob).await.unwrap(), BlobStatus::Nonexistent);
    let (known, _) = net.planted(10);
    assert!(matches!(net.client.status(&known).await.unwrap(), BlobStatus::Deletable { .. }));
    net.nodes.set_faults(0..4, Fault::Dead);
    assert!(matches!(net.client.status(&known).await, Err(ClientError::Unreachable { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_waits_for_the_registration_and_reports_progress() {
    let net = Net::new(10, 20);
    let encoded = Arc::new(redstuff::encode(&net.nodes.params, pattern(60_000)).unwrap());
    let seen = Arc::new(std::sync::Mutex::new(Vec::<UploadProgress>::new()));
    let hook = {
        let seen = seen.clone();
        Arc::new(move |progress| seen.lock().unwrap().push(progress))
    };
    let registering = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        net.nodes.registered.lock().unwrap().insert(*encoded.blob_id());
    };
    let uploading = net.client.upload(encoded.clone(), Persistence::Permanent, Some(hook));
    let ((), certificate) = tokio::join!(registering, uploading);
    assert_eq!(accepted(&net, &certificate.unwrap()), 20);
    let last = seen.lock().unwrap().iter().map(|p| p.sent_bytes).max().unwrap();
    assert_eq!(last, seen.lock().unwrap()[0].total_bytes);
    // A second upload of the same blob sends no large sliver again.
    net.nodes.forget_requests();
    net.client.upload(encoded, Persistence::Permanent, None).await.unwrap();
    let puts = net
        .nodes
        .requests
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, method, path)| {
            *method == walrus_client::node::Method::Put && path.contains("/slivers/") && path.ends_with("primary")
        })
        .count();
    let large = net.nodes.params.sliver_length(Axis::Primary, 60_000).unwrap() >= 5560;
    assert!(large || puts > 0);
    assert!(!large || puts == 0, "{puts} primary slivers were sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_epoch_moves_during_an_upload_confirmations_are_collected_anew() {
    let net = Net::new(10, 10);
    net.client.state().await.unwrap();
    // Node 9 leaves, node 10 comes; the nodes know before the client does.
    let mut next = net.assignment.clone();
    next[9].0 = node_id(10);
    net.chain.write_walrus(6, &next, &net.assignment, EpochState::EpochChangeSync(0));
    net.nodes.epoch.store(6, Ordering::Relaxed);
    net.nodes.set_faults([0, 1, 9], Fault::Dead);
    let encoded = Arc::new(redstuff::encode(&net.nodes.params, pattern(5_000)).unwrap());
    net.nodes.registered.lock().unwrap().insert(*encoded.blob_id());
    // Signatures are made with the key of the signer index, which node 10 shares with its place.
    let certificate = net.client.upload(encoded, Persistence::Permanent, None).await.unwrap();
    assert_eq!(certificate.epoch(), Some(6));
    assert!(certificate.signers.len() >= 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmations_alone_make_a_new_certificate_when_the_nodes_hold_the_blob() {
    let net = Net::new(10, 10);
    let (blob, _) = net.planted(5_000);
    net.client.state().await.unwrap();
    net.chain.write_walrus(6, &net.assignment, &net.assignment, EpochState::EpochChangeDone(1));
    net.nodes.epoch.store(6, Ordering::Relaxed);
    net.nodes.set_faults([0, 1, 2], Fault::Forging);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let certificate = net.client.confirm(blob, Persistence::Permanent).await.unwrap();
    assert_eq!((certificate.epoch(), certificate.signers.len()), (Some(6), 7));
    assert_eq!(accepted(&net, &certificate), 7);
    assert_eq!(net.nodes.count("/slivers/"), 0);
    net.nodes.wipe(5);
    match net.client.confirm(blob, Persistence::Permanent).await {
        Err(ClientError::Confirmations { weight: 6, needed: 7, detail, .. }) => {
            assert!(detail.contains("MISSING_SLIVERS"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_an_epoch_change_old_blobs_are_read_from_the_previous_committee() {
    let net = Net::new(10, 10);
    let (blob, data) = net.planted(10_000);
    // All shards move to other nodes that hold nothing yet.
    let next: Vec<_> = (0..10).map(|i| (node_id(20 + i), vec![i as u16])).collect();
    net.chain.write_walrus(6, &next, &net.assignment, EpochState::EpochChangeSync(0));
    let read = net.client.read_range(&blob, 0..10_000).await.unwrap();
    assert_eq!(read, data);
    let blob_ref = BlobRef { certified_epoch: Some(5), ..BlobRef::new(blob, 10_000) };
    net.nodes.forget_requests();
    net.client.systematic_sliver(blob_ref, 0, Check::Trust).await.unwrap();
    assert_eq!(net.nodes.requests.lock().unwrap().len(), 1, "the right committee was asked first");
    // A client that learned the committee before the nodes moved finds the new ones by itself.
    net.nodes.plant(&redstuff::encode(&net.nodes.params, data.clone()).unwrap(), &next);
    for (node, _) in &net.assignment {
        net.nodes.wipe(usize::from(node.as_bytes()[31]));
    }
    net.chain.write_walrus(6, &next, &net.assignment, EpochState::EpochChangeDone(1));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(net.client.read_range(&blob, 0..10_000).await.unwrap(), data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reads_against_black_holes_all_end() {
    let net = Net::new(10, 100);
    let (blob, data) = net.planted(50_000);
    net.nodes.set_faults([2, 5, 6], Fault::BlackHole);
    let begun = Instant::now();
    let reads = (0..64u64).map(|i| {
        let client = net.client.clone();
        async move { (i, client.read_range(&blob, i * 700..i * 700 + 700).await) }
    });
    for (i, result) in futures::future::join_all(reads).await {
        let start = i as usize * 700;
        assert_eq!(result.unwrap(), data[start..start + 700], "{i}");
    }
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_nodes_are_slow_rows_are_waited_for_and_not_rebuilt() {
    let net = Net::new(10, 100);
    let (blob, data) = net.planted(100_000);
    let params = net.nodes.params;
    // What is known about the network is known from better times.
    net.client.read_range(&blob, 0..100_000).await.unwrap();
    net.nodes.set_faults(0..10, Fault::Slow(Duration::from_millis(900)));
    net.nodes.forget_requests();
    let length = params.sliver_length(Axis::Primary, 100_000).unwrap();
    let read = |row: u16| {
        let (client, data) = (net.client.clone(), &data);
        async move {
            let found = client.systematic_sliver(BlobRef::new(blob, 100_000), row, Check::Trust).await.unwrap();
            let start = usize::from(row) * length;
            let right = &data[start.min(data.len())..(start + length).min(data.len())];
            assert_eq!(found.bytes[..right.len()], *right, "row {row}");
        }
    };
    for _ in 0..3 {
        futures::future::join_all((0..params.rows()).map(read)).await;
    }
    let (rows, symbols) = (net.nodes.count("/primary"), net.nodes.count("recoverySymbols"));
    assert_eq!(rows, 3 * usize::from(params.rows()), "every row is asked for once");
    // Ten nodes for each of the first eight, and then for one at a time.
    assert!(symbols <= 10 * (8 + 8), "{symbols} requests for symbols");
}

#[tokio::test(start_paused = true)]
async fn stragglers_that_get_on_are_waited_for_and_hung_ones_only_briefly() {
    let millis = Duration::from_millis;
    let mut config = quick();
    config.upload.per_node = 1;
    let tail = config.upload.max_tail;
    let mut took = Vec::new();
    for (fault, signers) in [(Fault::BlackHole, 7), (Fault::Slow(millis(600)), 10), (Fault::Slow(millis(900)), 7)] {
        let net = Net::with(10, 100, config.clone());
        net.nodes.set_faults(0..10, Fault::Slow(millis(500)));
        net.nodes.faults.lock().unwrap().extend([1, 4, 8].map(|n| (node_id(n), fault)));
        let encoded = Arc::new(redstuff::encode(&net.nodes.params, pattern(40_000)).unwrap());
        net.nodes.registered.lock().unwrap().insert(*encoded.blob_id());
        let begun = tokio::time::Instant::now();
        let certificate = net.client.upload(encoded, Persistence::Permanent, None).await.unwrap();
        took.push(begun.elapsed());
        assert_eq!(certificate.signers.len(), signers, "{fault:?}: {:?} signed", certificate.signers);
    }
    // Twenty slivers one after the other are ten seconds for most, twelve for the stragglers, eighteen for the slow ones.
    let quorum = took[0] - tail;
    assert!(quorum >= millis(10_000) && quorum < millis(13_000), "{took:?}");
    assert!(took[1] > took[0] + millis(500) && took[1] < quorum + quorum / 4, "{took:?}");
    assert!(took[2] > quorum + quorum / 4 - millis(200) && took[2] < quorum + quorum / 4 + millis(200), "{took:?}");
}
