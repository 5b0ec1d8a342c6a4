//! The fault matrix: every fault of a storage node, on f shards' worth of them, in writes, whole reads, range reads and an epoch
//! change in which shards move; and beyond f.
//!
//! Stated times: the network without faults is measured first, on the same machine in the same minute. With faults a read takes at
//! most 1.9 s more than twice that, less than one request to a slow node; a write 4 s more, less than the three requests in
//! sequence that a slow node needs. A write that an epoch change falls into takes 10 s more.

use super::local::{Local, NODES, data};
use std::future::Future;
use std::time::{Duration, Instant};
use walrus_client::ClientError;
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig};
use walrus_client::network::NodeTls;
use walrus_client::read::Consistency;
use walrus_devnet::{Fault, Lie};

/// Six of 20 shards: f.
const FAULTY: [usize; 3] = [1, 4, 7];
const READ: Duration = Duration::from_millis(1900);
const WRITE: Duration = Duration::from_secs(4);
const EPOCH: Duration = Duration::from_secs(10);
const SIZE: usize = 200_000;

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    (work.await, begun.elapsed())
}

/// One cell: the work succeeds in time.
async fn cell<T>(
    what: &str,
    healthy: Duration,
    more: Duration,
    work: impl Future<Output = Result<T, ClientError>>,
) -> T {
    let bound = healthy * 2 + more;
    let (result, took) = timed(work).await;
    println!("{what}: {took:?} (healthy {healthy:?}, bound {bound:?})");
    let result = result.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(took <= bound, "{what}: {took:?} is more than {bound:?}");
    result
}

/// Reads of one blob by clients that know nothing yet.
async fn read_whole(local: &Local, id: &redstuff::BlobId, expected: &[u8]) -> Result<(), ClientError> {
    let read = local.stranger(NodeTls::Pinned).read_blob(id, Consistency::Default).await?;
    assert!(read == expected, "wrong bytes");
    Ok(())
}

async fn read_ranges(local: &Local, id: &redstuff::BlobId, expected: &[u8]) -> Result<(), ClientError> {
    let client = local.stranger(NodeTls::Pinned);
    let starts = (0..SIZE as u64 - 4096).step_by(SIZE / 8);
    let reads = starts.map(|start| {
        let client = client.clone();
        async move { client.read_range(id, start..start + 4096).await.map(|read| (start as usize, read)) }
    });
    for read in futures::future::join_all(reads).await {
        let (start, read) = read?;
        assert!(read == expected[start..start + 4096], "wrong bytes at {start}");
    }
    Ok(())
}

/// What the faults of the nodes did so far.
fn harm(local: &Local) -> u64 {
    let of = |node: &walrus_devnet::NodeStatus| {
        let faults = node.faults;
        faults.stops
            + faults.connections_hung
            + faults.requests_delayed
            + faults.lies_served
            + faults.errors_served
            + faults.slivers_corrupted
    };
    local.devnet.status().unwrap().nodes.iter().map(of).sum()
}

async fn survive(fault: Fault) {
    let local = Local::start().await;
    let old = data(1, SIZE);
    let (stored, healthy_write) = timed(local.store(&old)).await;
    let id = stored.unwrap().blob_id;
    let (read, healthy_read) = timed(read_whole(&local, &id, &old)).await;
    read.unwrap();
    let (read, healthy_ranges) = timed(read_ranges(&local, &id, &old)).await;
    read.unwrap();

    local.faults(&FAULTY, fault).await;
    let before = harm(&local);
    cell(&format!("{fault}: whole read"), healthy_read, READ, read_whole(&local, &id, &old)).await;
    cell(&format!("{fault}: range reads"), healthy_ranges, READ, read_ranges(&local, &id, &old)).await;
    let new = data(2, SIZE);
    let written = cell(&format!("{fault}: write"), healthy_write, WRITE, local.store(&new)).await;
    cell(&format!("{fault}: read of what was written"), healthy_read, READ, read_whole(&local, &written.blob_id, &new))
        .await;
    // Metadata is asked of one node, which chance picks: until it was a faulty one.
    for _ in 0..40 {
        if harm(&local) > before {
            break;
        }
        read_whole(&local, &id, &old).await.unwrap();
    }
    let harmed = harm(&local) > before || matches!(fault, Fault::Stopped | Fault::Corrupt);
    assert!(harmed, "{fault}: the fault did nothing");

    // Stake moves shards to node 0, from faulty nodes too; the client is not told that the epoch ended.
    local.stake(0, 400_000_000_000).await;
    let epoch = local.client.state().await.unwrap().epoch();
    let during = data(3, SIZE);
    let change = async {
        let (ended, took) = timed(local.devnet.advance_epoch()).await;
        println!("{fault}: the epoch change took {took:?}");
        ended.unwrap()
    };
    let reads = async {
        for _ in 0..3 {
            let what = format!("{fault}: reads in an epoch change");
            cell(&what, healthy_read, EPOCH, read_whole(&local, &id, &old)).await;
            cell(&what, healthy_ranges, EPOCH, read_ranges(&local, &written.blob_id, &new)).await;
        }
    };
    let what = format!("{fault}: write in an epoch change");
    let write = cell(&what, healthy_write, EPOCH, local.store(&during));
    let (ended, (), third) = tokio::join!(change, reads, write);
    assert_eq!(ended, epoch + 1);
    let nodes = local.devnet.status().unwrap().nodes;
    assert_eq!(nodes[0].shards, 4, "shards moved");
    let after = data(4, SIZE);
    let fourth = cell(&format!("{fault}: write after it"), healthy_write, EPOCH, local.store(&after)).await;
    for (id, expected) in [(id, &old), (written.blob_id, &new), (third.blob_id, &during), (fourth.blob_id, &after)] {
        cell(&format!("{fault}: whole read after it"), healthy_read, EPOCH, read_whole(&local, &id, expected)).await;
    }
}

macro_rules! cells {
    ($($name:ident: $fault:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            survive($fault).await;
        }
    )*};
}

cells! {
    f_dead_nodes: Fault::Stopped;
    f_black_holes: Fault::Hang;
    f_slow_nodes: Fault::Slow(Duration::from_secs(2));
    f_nodes_with_wrong_bytes: Fault::Lie(Lie::Bytes);
    f_nodes_with_wrong_metadata: Fault::Lie(Lie::Metadata);
    f_nodes_with_wrong_confirmations: Fault::Lie(Lie::Confirmations);
    f_nodes_of_an_old_epoch: Fault::Lie(Lie::Epoch);
    f_nodes_that_lie_in_everything: Fault::Lie(Lie::Everything);
    f_nodes_with_garbage: Fault::Garbage;
    f_nodes_that_are_asked_too_much: Fault::Error(429);
    f_broken_nodes: Fault::Error(500);
    f_nodes_that_are_unavailable: Fault::Error(503);
    f_nodes_with_damaged_disks: Fault::Corrupt;
}

/// A client that gives up after a few seconds, on the same wallet.
fn impatient(local: &Local) -> (WalrusClient, Executor) {
    let mut config = ClientConfig::default();
    config.upload.policy.total = Duration::from_secs(3);
    let client = WalrusClient::connect(local.network.clone(), config).unwrap();
    let (folder, chain) = (local.folder("executor"), client.chain().clone());
    let executor = Executor::open(&folder, local.wallet.clone(), chain, ExecutorConfig::default()).unwrap();
    (client, executor)
}

async fn fail_clearly(fault: Fault) {
    let local = Local::start().await;
    let old = data(1, SIZE);
    let id = local.store(&old).await.unwrap().blob_id;
    let knowing = local.stranger(NodeTls::Pinned);
    knowing.read_range(&id, 0..100).await.unwrap();

    // 14 of 20 shards: 8 are needed to decode, 6 are left.
    local.faults(&[0, 1, 2, 3, 4, 5, 6], fault).await;
    let (result, took) = timed(knowing.read_blob(&id, Consistency::Default)).await;
    match result {
        Err(error @ ClientError::Slivers { found: 6, needed: 8, missing: 14, n_shards: 20, .. }) => {
            assert!(error.to_string().contains("14 of 20 shards"), "{error}");
        }
        other => panic!("{fault}: {other:?}"),
    }
    println!("{fault}: a read that cannot be ended after {took:?}");
    assert!(took < Duration::from_secs(25), "{fault}: {took:?}");
    assert!(knowing.read_range(&id, 0..SIZE as u64).await.is_err(), "{fault}");

    // 8 of 20 shards: 14 must confirm, 12 can. What was paid for stays there.
    local.faults(&[0, 1, 2, 3], fault).await;
    let (client, executor) = impatient(&local);
    let new = data(2, SIZE);
    let (_, before) = executor.balances().await.unwrap();
    match local.store_with(&client, &executor, &new).await {
        Err(error @ ClientError::Confirmations { weight: 12, needed: 14, n_shards: 20, .. }) => {
            assert!(error.to_string().contains("12 of 20 shards"), "{error}");
        }
        other => panic!("{fault}: {other:?}"),
    }
    let (_, paid) = executor.balances().await.unwrap();

    // When they return, both go on, and nothing is paid again.
    local.faults(&[], Fault::Honest).await;
    read_whole(&local, &id, &old).await.unwrap();
    assert!(knowing.read_blob(&id, Consistency::Default).await.unwrap() == old, "{fault}");
    let stored = local.store_with(&client, &executor, &new).await.unwrap();
    assert_eq!(executor.balances().await.unwrap().1, paid);
    assert_eq!(before - paid, client.blob_cost(SIZE as u64, 5).await.unwrap());
    read_whole(&local, &stored.blob_id, &new).await.unwrap();
}

macro_rules! beyond {
    ($($name:ident: $fault:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            fail_clearly($fault).await;
        }
    )*};
}

beyond! {
    too_many_dead_nodes: Fault::Stopped;
    too_many_black_holes: Fault::Hang;
    too_many_liars: Fault::Lie(Lie::Everything);
    too_many_nodes_with_garbage: Fault::Garbage;
    too_many_unavailable_nodes: Fault::Error(503);
}

/// Different faults at once, one of each on three nodes, then on three others while the client is at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_wander() {
    let local = Local::start().await;
    let old = data(1, SIZE);
    let id = local.store(&old).await.unwrap().blob_id;
    let faults = [Fault::Hang, Fault::Lie(Lie::Bytes), Fault::Error(503)];
    let (knowing, begun) = (local.stranger(NodeTls::Pinned), Instant::now());
    for round in 0..NODES {
        for (n, fault) in faults.iter().enumerate() {
            local.devnet.set_fault((round + n) % NODES, *fault).await.unwrap();
        }
        let reader = knowing.clone();
        assert!(reader.read_blob(&id, Consistency::Default).await.unwrap() == old, "round {round}");
        let new = data(100 + round as u8, 20_000);
        let stored = local.store(&new).await.unwrap();
        assert!(reader.read_range(&stored.blob_id, 0..20_000).await.unwrap() == new, "round {round}");
        local.devnet.set_fault(round, Fault::Honest).await.unwrap();
    }
    println!("{NODES} rounds in {:?}", begun.elapsed());
}
