//! Epochs: shards follow stake, data follows shards, blobs stay readable meanwhile, and what ended is forgotten.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use redstuff::{BlobId, Encoded, PairIndex, ShardIndex};
use tokio_util::sync::CancellationToken;
use walrus_client::client::WalrusClient;
use walrus_client::executor::Request as Work;
use walrus_client::read::Consistency;
use walrus_client::tx::BlobParams;
use walrus_client::wire::chain::ObjectId;
use walrus_client::wire::message::Persistence;
use walrus_devnet::{Fault, Options};

use super::healing::wait_for_all;
use super::support::{NODES, Net, User, blob, network, network_of, params, read_back, wait_until};

const WAL: u64 = 1_000_000_000;

/// Reads a blob over and over, whole and in part, with one client that lives through everything and with new ones, until the
/// token is cancelled. How often; every failure fails the test.
async fn read_always(
    old: WalrusClient,
    fresh: impl Fn() -> WalrusClient,
    encoded: Arc<Encoded<Vec<u8>>>,
    stop: CancellationToken,
) -> usize {
    let (id, bytes) = (*encoded.blob_id(), encoded.blob());
    let middle = bytes.len() as u64 / 2;
    let mut times = 0;
    while !stop.is_cancelled() {
        for client in [old.clone(), fresh()] {
            let whole = client.read_blob(&id, Consistency::Default).await;
            assert!(whole.unwrap_or_else(|error| panic!("read {times}: {error}")) == bytes.as_slice());
            let part = client.read_range(&id, middle..middle + 4096).await;
            let part = part.unwrap_or_else(|error| panic!("range {times}: {error}"));
            assert!(part == bytes[middle as usize..middle as usize + 4096]);
        }
        times += 1;
    }
    times
}

fn all_shards(net: &Net) -> Vec<BTreeSet<ShardIndex>> {
    (0..usize::from(NODES)).map(|index| net.shards(index).into_iter().collect()).collect()
}

/// The pair of a blob that lies in a shard.
fn pair_in(shard: ShardIndex, id: &BlobId) -> PairIndex {
    shard.pair(id, &params())
}

/// Disk space that node `index` uses for a blob, 512-byte blocks.
fn blocks(net: &Net, index: usize, id: &BlobId) -> u64 {
    let dir = net.dir.path().join(format!("devnet/nodes/node-{index}/blobs"));
    std::fs::metadata(dir.join(id.to_string())).map_or(0, |file| file.blocks())
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_follow_stake_and_every_blob_stays_readable() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(40, 300_000);
    let id = *encoded.blob_id();
    user.store(&encoded, 5).await;
    for index in 0..usize::from(NODES) {
        wait_for_all(&net, index, &id).await;
    }
    let before = all_shards(&net);
    let space: Vec<u64> = (0..usize::from(NODES)).map(|index| blocks(&net, index, &id)).collect();
    assert_eq!(before[6].len(), 1);

    let stop = CancellationToken::new();
    let config = net.devnet.status().unwrap().network_config();
    let fresh = move || WalrusClient::connect(config.clone(), Default::default()).unwrap();
    let reader = tokio::spawn(read_always(User::fresh(&net), fresh, encoded.clone(), stop.clone()));
    user.stake(net.devnet.node_id(6).unwrap(), 500 * WAL).await;
    net.devnet.advance_epoch().await.unwrap();
    let after = all_shards(&net);
    assert_eq!(after[6].len(), 4, "two fair shares are the most that stake buys");
    // A blob that is written while some nodes are still fetching.
    let second = blob(41, 50_000);
    user.store(&second, 3).await;
    wait_for_all(&net, 6, &id).await;

    for (index, (had, has)) in before.iter().zip(&after).enumerate() {
        for shard in had.difference(has) {
            let path = format!("/v1/blobs/{id}/slivers/{}/primary", pair_in(*shard, &id));
            assert_eq!(net.get(index, &path).await.error(), (400, "SHARD_NOT_ASSIGNED".into()), "node {index}");
            wait_until("the space of the shard is free", || blocks(&net, index, &id) < space[index]).await;
        }
        for shard in has.difference(had) {
            let pair = pair_in(*shard, &id);
            let path = format!("/v1/blobs/{id}/slivers/{pair}/secondary");
            assert_eq!(net.get(index, &path).await.body, encoded.pair(pair).unwrap().1.to_bcs(), "node {index}");
        }
    }
    assert!(net.node(6).slivers_healed >= 6, "three shards with two slivers each");
    // A second change, with nothing that moves.
    net.devnet.advance_epoch().await.unwrap();
    stop.cancel();
    assert!(reader.await.unwrap() > 0);
    read_back(&net, &encoded).await;
    read_back(&net, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_down_while_shards_move_hinders_nobody_and_finds_its_place() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(42, 300_000);
    let id = *encoded.blob_id();
    user.store(&encoded, 9).await;
    for index in 0..usize::from(NODES) {
        wait_for_all(&net, index, &id).await;
    }
    let before = all_shards(&net);
    let space = blocks(&net, 5, &id);
    // Node 5 will lose a shard; whoever gets it must do without node 5.
    net.devnet.set_fault(5, Fault::Stopped).await.unwrap();
    user.stake(net.devnet.node_id(6).unwrap(), 500 * WAL).await;
    net.devnet.advance_epoch().await.unwrap();
    let after = all_shards(&net);
    let moved: Vec<ShardIndex> = before[5].difference(&after[5]).copied().collect();
    assert!(moved.len() == 1 && after[6].contains(&moved[0]), "{moved:?}");
    wait_for_all(&net, 6, &id).await;
    let pair = pair_in(moved[0], &id);
    let path = format!("/v1/blobs/{id}/slivers/{pair}/primary");
    assert_eq!(net.get(6, &path).await.body, encoded.pair(pair).unwrap().0.to_bcs());
    // It misses another epoch, and a blob.
    net.devnet.advance_epoch().await.unwrap();
    let missed = blob(43, 20_000);
    user.store(&missed, 3).await;
    net.devnet.start_node(5).await.unwrap();
    wait_for_all(&net, 5, missed.blob_id()).await;
    wait_until("it gives back what it lost two epochs ago", || blocks(&net, 5, &id) < space).await;
    assert_eq!(net.get(5, &path).await.error(), (400, "SHARD_NOT_ASSIGNED".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_gets_shards_while_it_is_down_fetches_them_when_it_is_back() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(44, 100_000);
    let id = *encoded.blob_id();
    user.store(&encoded, 9).await;
    wait_for_all(&net, 6, &id).await;
    net.devnet.set_fault(6, Fault::Stopped).await.unwrap();
    user.stake(net.devnet.node_id(6).unwrap(), 500 * WAL).await;
    for _ in 0..2 {
        net.devnet.advance_epoch().await.unwrap();
    }
    assert_eq!(net.shards(6).len(), 4);
    read_back(&net, &encoded).await;
    net.devnet.start_node(6).await.unwrap();
    wait_for_all(&net, 6, &id).await;
    for pair in net.pairs(6, &id) {
        let path = format!("/v1/blobs/{id}/slivers/{pair}/primary");
        assert_eq!(net.get(6, &path).await.body, encoded.pair(pair).unwrap().0.to_bcs());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_end_by_the_clock_and_blobs_with_them() {
    let net = network_of(Options { epoch_duration: Duration::from_secs(6), ..Options::default() }).await;
    let user = User::of(&net).await;
    let (short, long) = (blob(45, 8_000), blob(46, 30_000));
    let stored = user.store(&short, 1).await;
    user.store(&long, 40).await;
    user.stake(net.devnet.node_id(6).unwrap(), 500 * WAL).await;
    let stop = CancellationToken::new();
    let config = net.devnet.status().unwrap().network_config();
    let fresh = move || WalrusClient::connect(config.clone(), Default::default()).unwrap();
    let reader = tokio::spawn(read_always(User::fresh(&net), fresh, long.clone(), stop.clone()));
    let epoch = || net.devnet.status().unwrap().epoch;
    let begun = epoch();
    wait_until("three epochs end", || epoch() >= (begun + 3).max(stored.end_epoch + 1)).await;
    assert_eq!(net.shards(6).len(), 4, "stake counts without a command");
    for index in 0..usize::from(NODES) {
        net.wait_for(index, "the expired blob is gone", |node| node.blobs == 1).await;
    }
    stop.cancel();
    assert!(reader.await.unwrap() > 0);
    let gone = net.get(0, &format!("/v1/blobs/{}/metadata", short.blob_id())).await;
    assert_eq!(gone.error(), (404, "METADATA_NOT_FOUND".into()));
}

/// Makes a pool for some epochs with a certified blob in it.
async fn pool_with(user: &User, encoded: &Arc<Encoded<Vec<u8>>>, epochs: u32) -> ObjectId {
    let state = user.client.state().await.unwrap();
    let params = BlobParams::new(encoded.metadata(), true);
    let size = state.encoded_size(params.size).unwrap();
    let wal = state.storage_cost(size, epochs).unwrap() + state.write_cost(params.size).unwrap();
    let made = user.executor.run(Work { wal, ..Work::default() }, |tx| {
        let pool = tx.create_storage_pool(size, epochs)?;
        let owner = tx.sender();
        tx.register_pooled_blob(pool, &params)?;
        tx.transfer(vec![pool], owner)
    });
    let made = made.await.unwrap();
    let pool = made.effects.created("storage_pool", "StoragePool").next().unwrap().id;
    let object = made.effects.created("storage_pool", "PooledBlob").next().unwrap().id;
    let certificate = user.client.upload(encoded.clone(), Persistence::Deletable(object), None).await.unwrap();
    let id = *encoded.blob_id();
    let certified = user.executor.run(Work { objects: vec![pool], ..Work::default() }, |tx| {
        let pool = tx.object(&pool, true)?;
        tx.certify_pooled_blob(pool, id.0, &certificate)
    });
    certified.await.unwrap();
    pool
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_ended_is_not_served_and_one_that_was_extended_is() {
    let net = network().await;
    let user = User::of(&net).await;
    let (ending, extended) = (blob(47, 60_000), blob(48, 60_000));
    pool_with(&user, &ending, 1).await;
    let pool = pool_with(&user, &extended, 1).await;
    let state = user.client.state().await.unwrap();
    let wal = state.storage_cost(state.encoded_size(60_000).unwrap(), 2).unwrap();
    let extend = user.executor.run(Work { objects: vec![pool], wal, ..Work::default() }, |tx| {
        let pool = tx.object(&pool, true)?;
        tx.extend_storage_pool(pool, 2)
    });
    extend.await.unwrap();
    for index in 0..usize::from(NODES) {
        net.wait_for(index, "both are stored", |node| node.blobs == 2).await;
    }
    read_back(&net, &ending).await;
    net.devnet.advance_epoch().await.unwrap();
    for index in 0..usize::from(NODES) {
        net.wait_for(index, "the pool's space is free", |node| node.blobs == 1).await;
        let path = format!("/v1/blobs/{}/metadata", ending.blob_id());
        assert_eq!(net.get(index, &path).await.error(), (404, "METADATA_NOT_FOUND".into()));
    }
    assert!(User::fresh(&net).read_blob(ending.blob_id(), Consistency::Default).await.is_err());
    read_back(&net, &extended).await;
}
