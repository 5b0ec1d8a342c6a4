//! A node gets from its peers what it missed.

use redstuff::BlobId;
use walrus_devnet::{Fault, Lie};

use super::support::{Net, User, blob, network, wait_until};

/// Whether node `index` holds every sliver of the blob that it should.
async fn holds_all(net: &Net, index: usize, id: &BlobId) -> bool {
    for pair in net.pairs(index, id) {
        for axis in ["primary", "secondary"] {
            let status = net.get(index, &format!("/v1/blobs/{id}/slivers/{pair}/{axis}/status")).await;
            if status.data() != "stored" {
                return false;
            }
        }
    }
    true
}

/// Waits until node `index` holds everything of the blob.
pub(crate) async fn wait_for_all(net: &Net, index: usize, id: &BlobId) {
    let started = std::time::Instant::now();
    while !holds_all(net, index, id).await {
        assert!(started.elapsed().as_secs() < 60, "node {index} is not complete in time");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_down_catches_up() {
    let net = network().await;
    let user = User::of(&net).await;
    net.devnet.set_fault(6, Fault::Stopped).await.unwrap();
    let encoded = blob(11, 40_000);
    user.store(&encoded, 2).await;
    assert_eq!(net.node(6).blobs, 0);
    net.devnet.start_node(6).await.unwrap();
    wait_for_all(&net, 6, encoded.blob_id()).await;
    let pair = net.pairs(6, encoded.blob_id())[0];
    let (primary, secondary) = encoded.pair(pair).unwrap();
    let base = format!("/v1/blobs/{}/slivers/{pair}", encoded.blob_id());
    assert_eq!(net.get(6, &format!("{base}/primary")).await.body, primary.to_bcs());
    assert_eq!(net.get(6, &format!("{base}/secondary")).await.body, secondary.to_bcs());
    net.wait_for(6, "it counts what it healed", |node| node.slivers_healed > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_was_wiped_rebuilds_everything_although_peers_lie_or_are_gone() {
    let net = network().await;
    let user = User::of(&net).await;
    let blobs = [blob(12, 25_000), blob(13, 1), blob(14, 60_000)];
    for encoded in &blobs {
        user.store(encoded, 2).await;
        for index in 0..usize::from(super::support::NODES) {
            wait_for_all(&net, index, encoded.blob_id()).await;
        }
    }
    net.devnet.set_fault(1, Fault::Lie(Lie::Everything)).await.unwrap();
    net.devnet.wipe_node(0).await.unwrap();
    for encoded in &blobs {
        wait_for_all(&net, 0, encoded.blob_id()).await;
        for pair in net.pairs(0, encoded.blob_id()) {
            let path = format!("/v1/blobs/{}/slivers/{pair}/secondary", encoded.blob_id());
            assert_eq!(net.get(0, &path).await.body, encoded.pair(pair).unwrap().1.to_bcs());
        }
    }
    wait_until("the node counts", || net.node(0).slivers_healed > 0).await;
}
