//! State survives the process; epochs end blobs.

use std::net::TcpListener;

use walrus_devnet::{Devnet, DevnetError, Options};

use super::support::{NODES, User, blob, network, read_back};

#[tokio::test(flavor = "multi_thread")]
async fn everything_survives_a_restart_and_a_taken_port() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(15, 50_000);
    user.store(&encoded, 2).await;
    let before = net.devnet.status().unwrap();
    let port = |url: &str| url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let taken_port = port(&before.nodes[3].url);
    let mut taken = None;
    let net = net.restart(async |_| taken = Some(TcpListener::bind(("127.0.0.1", taken_port)).unwrap())).await;
    let after = net.devnet.status().unwrap();
    assert_eq!(after.rpc_url, before.rpc_url);
    assert_eq!((after.chain_id, after.system_object), (before.chain_id, before.system_object));
    for (index, (old, new)) in before.nodes.iter().zip(&after.nodes).enumerate() {
        assert_eq!(old.url == new.url, index != 3, "{} {}", old.url, new.url);
        assert_eq!((&old.name, old.shards), (&new.name, new.shards));
    }
    let id = net.devnet.node_id(3).unwrap();
    let committee = net.devnet.chain().committee().unwrap();
    let member = committee.members.iter().find(|member| member.node_id == id).unwrap();
    assert_eq!(format!("http://{}", member.network_address), after.nodes[3].url);
    read_back(&net, &encoded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_network() {
    let net = network().await;
    let second = Devnet::start(net.dir.path().join("devnet"), Options::default()).await;
    assert!(matches!(second, Err(DevnetError::Locked(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_ends_and_expired_blobs_go() {
    let net = network().await;
    let user = User::of(&net).await;
    let (short, long) = (blob(16, 8_000), blob(17, 8_000));
    user.store(&short, 1).await;
    user.store(&long, 5).await;
    for index in 0..usize::from(NODES) {
        net.wait_for(index, "both are stored", |node| node.blobs == 2).await;
    }
    let epoch = net.devnet.status().unwrap().epoch;
    assert_eq!(net.devnet.advance_epoch().await.unwrap(), epoch + 1);
    for index in 0..usize::from(NODES) {
        net.wait_for(index, "the expired blob's file is gone", |node| node.blobs == 1).await;
    }
    read_back(&net, &long).await;
    let gone = net.get(0, &format!("/v1/blobs/{}/status", short.blob_id())).await;
    assert_eq!(gone.data(), "nonexistent");
}
