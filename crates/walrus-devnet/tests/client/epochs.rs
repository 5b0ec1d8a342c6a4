//! An epoch that ends while a blob is being stored: during the upload, between quorum and certification, between the certification's
//! simulation and its execution. Shards move each time, so that some slivers have to be sent to other nodes.

use super::local::{Local, data};
use super::server::{Act, Server, assert_no_equivocation};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig};
use walrus_client::network::{NetworkConfig, NodeTls};
use walrus_client::read::Consistency;
use walrus_client::wire::chain::Blob;
use walrus_devnet::Fault;

const WAL: u64 = 1_000_000_000;
/// What moves two shards of 20 to a node with two.
const STAKE: u64 = 400 * WAL;

/// A client whose call number `n` of `method` is held back until the epoch has ended.
async fn epoch_ends_at(method: &'static str, n: usize) {
    let local = Local::start().await;
    local.stake(0, STAKE).await;
    let server = Server::start(&local.network.rpc_urls[0]).await;
    let (reached, mut calls) = (Arc::new(Notify::new()), 0);
    let tell = reached.clone();
    server.rule(move |called, _| {
        calls += usize::from(called.ends_with(method));
        if called.ends_with(method) && calls == n {
            tell.notify_one();
            return Act::Late(Duration::from_secs(5));
        }
        Act::Pass
    });
    let network = NetworkConfig { rpc_urls: vec![server.url()], ..local.network.clone() };
    let client = WalrusClient::connect(network, ClientConfig::default()).unwrap();
    let (folder, chain) = (local.folder("executor"), client.chain().clone());
    let executor = Executor::open(&folder, local.wallet.clone(), chain, ExecutorConfig::default()).unwrap();
    let epoch = client.state().await.unwrap().epoch();
    let (before, new) = (executor.balances().await.unwrap().1, data(1, 100_000));
    let change = async {
        reached.notified().await;
        local.devnet.advance_epoch().await.unwrap()
    };
    let (stored, ended) = tokio::join!(local.store_with(&client, &executor, &new), change);
    let stored = stored.unwrap();
    assert_eq!(ended, epoch + 1);
    assert_eq!(local.devnet.status().unwrap().nodes[0].shards, 4, "shards moved");
    let object: Blob = client.chain().object(&stored.object).await.unwrap().decode().unwrap();
    assert_eq!((object.registered_epoch, object.certified_epoch), (epoch, Some(epoch + 1)));
    let paid = before - executor.balances().await.unwrap().1;
    assert_eq!(paid, client.blob_cost(100_000, 5).await.unwrap(), "paid once");
    assert_no_equivocation(&server.sent());
    let read = local.stranger(NodeTls::Pinned).read_blob(&stored.blob_id, Consistency::Strict).await.unwrap();
    assert!(read == new);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_epoch_ends_between_quorum_and_certification() {
    // The second simulation is that of the certification, whose certificate is complete.
    epoch_ends_at("/SimulateTransaction", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_epoch_ends_between_simulation_and_execution() {
    epoch_ends_at("/ExecuteTransaction", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_epoch_ends_during_an_upload() {
    let local = Local::start().await;
    local.stake(0, STAKE).await;
    let epoch = local.client.state().await.unwrap().epoch();
    // Three requests in sequence to every node: the upload takes three seconds at least.
    let all: Vec<usize> = (0..10).collect();
    local.faults(&all, Fault::Slow(Duration::from_secs(1))).await;
    let new = data(2, 100_000);
    let change = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        local.devnet.advance_epoch().await.unwrap()
    };
    let (stored, ended) = tokio::join!(local.store(&new), change);
    let stored = stored.unwrap();
    assert_eq!(ended, epoch + 1);
    let object: Blob = local.client.chain().object(&stored.object).await.unwrap().decode().unwrap();
    assert_eq!((object.registered_epoch, object.certified_epoch), (epoch, Some(epoch + 1)));
    local.faults(&[], Fault::Honest).await;
    let read = local.stranger(NodeTls::Pinned).read_blob(&stored.blob_id, Consistency::Strict).await.unwrap();
    assert!(read == new);
}
