//! How much is under way at once, and that nothing stays under way for nobody.

use crate::support::*;
use redstuff::Consistency;
use std::sync::Arc;
use std::time::Duration;
use walrus_client::wire::chain::ObjectId;
use walrus_client::wire::message::Persistence;

/// The most requests at once of the busiest node and of all together.
fn most(net: &Net) -> (usize, usize) {
    let counts = net.nodes.under_way.lock().unwrap();
    let of_node = counts.iter().filter(|(id, _)| **id != ObjectId::ZERO).map(|(_, (_, most))| *most).max();
    (of_node.unwrap_or_default(), counts[&ObjectId::ZERO].1)
}

fn now(net: &Net) -> usize {
    net.nodes.under_way.lock().unwrap().get(&ObjectId::ZERO).map_or(0, |(now, _)| *now)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_are_bounded_for_each_node_and_in_all() {
    let mut config = quick();
    (config.nodes.per_node, config.nodes.total) = (2, 7);
    let net = Net::with(10, 100, config);
    let (blob, data) = net.planted(100_000);
    net.nodes.set_faults(0..10, Fault::Slow(Duration::from_millis(5)));
    let reads = (0..40u64).map(|i| {
        let client = net.client.clone();
        async move { client.read_range(&blob, i * 2000..i * 2000 + 2000).await.unwrap() }
    });
    for (i, read) in futures::future::join_all(reads).await.into_iter().enumerate() {
        assert_eq!(read, data[i * 2000..i * 2000 + 2000]);
    }
    assert_eq!(net.client.read_blob(&blob, Consistency::Default).await.unwrap(), data);
    let encoded = Arc::new(redstuff::encode(&net.nodes.params, pattern(30_000)).unwrap());
    net.nodes.registered.lock().unwrap().insert(*encoded.blob_id());
    net.client.upload(encoded, Persistence::Permanent, None).await.unwrap();
    let (of_node, of_all) = most(&net);
    assert!(of_node <= 2 && of_all <= 7, "{of_node} to one node, {of_all} in all");
    assert_eq!(of_all, 7, "what may be used is used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_takes_its_requests_along() {
    let mut config = quick();
    (config.nodes.per_node, config.nodes.total) = (1, 8);
    let net = Net::with(10, 20, config);
    let (blob, data) = net.planted(100_000);
    let encoded = Arc::new(redstuff::encode(&net.nodes.params, pattern(5_000)).unwrap());
    net.nodes.registered.lock().unwrap().insert(*encoded.blob_id());
    net.client.read_range(&blob, 0..1).await.unwrap();
    net.nodes.set_faults(0..10, Fault::BlackHole);
    let patience = Duration::from_millis(300);
    let read = tokio::time::timeout(patience, net.client.read_range(&blob, 0..100_000));
    let whole = tokio::time::timeout(patience, net.client.read_blob(&blob, Consistency::Default));
    let written = tokio::time::timeout(patience, net.client.upload(encoded, Persistence::Permanent, None));
    let status = tokio::time::timeout(patience, net.client.status(&blob));
    let (read, whole, written, status) = tokio::join!(read, whole, written, status);
    assert!(read.is_err() && whole.is_err() && written.is_err() && status.is_err(), "nobody answers");
    // The tasks of an upload end when they are next looked at.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(now(&net), 0, "requests of nobody");
    net.nodes.forget_requests();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(net.nodes.requests.lock().unwrap().len(), 0, "somebody still asks");
    // Nobody holds a place in the queue either.
    net.nodes.set_faults([], Fault::Dead);
    assert_eq!(net.client.read_range(&blob, 0..100_000).await.unwrap(), data);
}
