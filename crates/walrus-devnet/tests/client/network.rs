//! Blobs written and read through the nodes' own protocol: pinned TLS, h2 without ALPN, clear text, faults, an epoch change.

use super::local::{Local, data};
use std::time::{Duration, Instant};
use walrus_client::ClientError;
use walrus_client::network::NodeTls;
use walrus_client::read::{BlobRef, Check, Consistency};
use walrus_client::wire::node::BlobStatus;
use walrus_devnet::{Fault, Lie};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_are_stored_once_and_read_by_strangers_over_tls_and_clear_text() {
    let local = Local::start().await;
    for size in [0, 1, 5_000, 300_000] {
        let data = data(1, size);
        let stored = local.store(&data).await.unwrap();
        assert!(!stored.already_certified);
        let again = local.store(&data).await.unwrap();
        assert_eq!((again.object, again.already_certified), (stored.object, true));
        for tls in [NodeTls::Pinned, NodeTls::Plain] {
            let reader = local.stranger(tls);
            assert_eq!(reader.read_blob(&stored.blob_id, Consistency::Strict).await.unwrap(), data);
            let middle = size as u64 / 2;
            assert_eq!(reader.read_range(&stored.blob_id, middle..size as u64).await.unwrap(), data[size / 2..]);
        }
        match local.client.status(&stored.blob_id).await.unwrap() {
            BlobStatus::Deletable { initial_certified_epoch: Some(_), .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let absent = redstuff::BlobId([3; 32]);
    assert_eq!(local.client.status(&absent).await.unwrap(), BlobStatus::Nonexistent);
    let read = local.client.read_blob(&absent, Consistency::Default).await;
    assert!(matches!(read, Err(ClientError::NotFound { .. })), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_faulty_nodes_of_the_real_kind_cost_time_only() {
    let local = Local::start().await;
    let before = data(2, 200_000);
    let old = local.store(&before).await.unwrap();
    let faults = [
        Fault::Stopped,
        Fault::Hang,
        Fault::Slow(Duration::from_secs(60)),
        Fault::Lie(Lie::Everything),
        Fault::Corrupt,
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        local.faults(&[1, 4, 7], fault).await;
        let begun = Instant::now();
        let reader = local.stranger(NodeTls::Pinned);
        assert_eq!(reader.read_blob(&old.blob_id, Consistency::Default).await.unwrap(), before, "{fault:?}");
        let reader = local.stranger(NodeTls::Pinned);
        for row in 0..8 {
            let blob = BlobRef::new(old.blob_id, before.len() as u64);
            let found = reader.systematic_sliver(blob, row, Check::Verify).await.unwrap();
            let start = found.bytes.len() * usize::from(row);
            let end = (start + found.bytes.len()).min(before.len());
            assert_eq!(found.bytes[..end - start], before[start..end], "{fault:?} row {row}");
        }
        let during = data(10 + n as u8, 100_000);
        let stored = local.store(&during).await.unwrap();
        assert_eq!(local.client.read_range(&stored.blob_id, 0..100_000).await.unwrap(), during, "{fault:?}");
        assert!(begun.elapsed() < Duration::from_secs(45), "{fault:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_stay_readable_and_writable_across_an_epoch_change() {
    let local = Local::start().await;
    let before = data(3, 50_000);
    let stored = local.store(&before).await.unwrap();
    let epoch = local.client.state().await.unwrap().epoch();
    local.devnet.advance_epoch().await.unwrap();
    // The client still believes in the old epoch: the nodes sign for the new one.
    let after = data(4, 50_000);
    let second = local.store(&after).await.unwrap();
    assert_eq!(local.client.state().await.unwrap().epoch(), epoch + 1);
    for (blob, expected) in [(stored.blob_id, &before), (second.blob_id, &after)] {
        let read = local.stranger(NodeTls::Pinned).read_blob(&blob, Consistency::Strict).await.unwrap();
        assert_eq!(&read, expected);
    }
}

/// Requests to all nodes so far, and bytes that they sent.
fn traffic(local: &Local) -> (u64, u64) {
    let nodes = local.devnet.status().unwrap().nodes;
    (nodes.iter().map(|node| node.requests).sum(), nodes.iter().map(|node| node.bytes_sent).sum())
}

/// Waits until nodes have nothing left to say to each other.
async fn quiet(local: &Local) {
    let mut before = traffic(local);
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let now = traffic(local);
        if now == before {
            return;
        }
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_costs_one_request_for_each_row_that_it_touches() {
    const MIB: u64 = 1 << 20;
    let local = Local::with_shards(100).await;
    let data = data(5, 64 * MIB as usize);
    let id = local.store(&data).await.unwrap().blob_id;
    quiet(&local).await;
    let reader = local.stranger(NodeTls::Pinned);
    reader.read_range(&id, 0..1).await.unwrap();
    // 34 rows of a little less than 2 MiB.
    let row = redstuff::Params::new(100).unwrap().sliver_length(redstuff::Axis::Primary, 64 * MIB).unwrap() as u64;
    for (start, length, rows) in [
        (5 * row + 1000, 4096, 1),
        (row - 100, 4096, 2),
        (3 * row, MIB, 1),
        (4 * row - MIB / 2, MIB, 2),
        (row, 2 * row, 2),
        (0, 64 * MIB, (64 * MIB).div_ceil(row)),
    ] {
        let (requests, bytes) = traffic(&local);
        let read = reader.read_range(&id, start..start + length).await.unwrap();
        assert!(read == data[start as usize..(start + length) as usize]);
        let (requests, bytes) = (traffic(&local).0 - requests, traffic(&local).1 - bytes);
        assert_eq!(requests, rows, "{length} bytes from {start}");
        assert!(bytes < rows * (row + row / 50), "{bytes} bytes for {rows} rows");
    }
    // A row without its node: symbols of the others, about as much as the row, and not the blob.
    let state = reader.state().await.unwrap();
    let pair = redstuff::SliverIndex::<redstuff::Primary>::new(2).pair(state.committee.params());
    let holder = state.committee.holder(pair, &id).unwrap().id;
    let index = (0..10).find(|index| local.devnet.node_id(*index) == Some(holder)).unwrap();
    local.devnet.set_fault(index, Fault::Stopped).await.unwrap();
    let (_, bytes) = traffic(&local);
    let read = reader.read_range(&id, 2 * row..2 * row + 4096).await.unwrap();
    assert!(read == data[2 * row as usize..2 * row as usize + 4096]);
    let bytes = traffic(&local).1 - bytes;
    assert!(bytes > row / 2 && bytes < 2 * row, "{bytes} bytes for a row of {row}");
}
