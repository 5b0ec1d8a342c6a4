//! Blobs written and read through the nodes' own protocol: pinned TLS, h2 without ALPN, clear text, faults, an epoch change.

use std::sync::Arc;
use std::time::{Duration, Instant};
use walrus_client::ClientError;
use walrus_client::client::{ClientConfig, StoredBlob, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig};
use walrus_client::network::{NetworkConfig, NodeTls};
use walrus_client::read::{BlobRef, Check, Consistency};
use walrus_client::wallet::Wallet;
use walrus_client::wire::node::BlobStatus;
use walrus_devnet::{Devnet, Fault, Options};

struct Local {
    _dir: tempfile::TempDir,
    devnet: Devnet,
    network: NetworkConfig,
    client: WalrusClient,
    executor: Executor,
}

impl Local {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { nodes: 10, shards: 20, ..Options::default() };
        let devnet = Devnet::start(dir.path().join("devnet"), options).await.unwrap();
        let network = devnet.status().unwrap().network_config();
        assert_eq!(network.node_tls, NodeTls::Pinned);
        let client = WalrusClient::connect(network.clone(), ClientConfig::default()).unwrap();
        let wallet = Arc::new(Wallet::from_seed(&[7; 32]));
        let dir_of_executor = dir.path().join("executor");
        let chain = client.chain().clone();
        let executor = Executor::open(&dir_of_executor, wallet, chain, ExecutorConfig::default()).unwrap();
        client.request_sui(&executor.wallet().address()).await.unwrap();
        client.buy_wal(&executor, 10_000_000_000).await.unwrap();
        Self { _dir: dir, devnet, network, client, executor }
    }

    async fn store(&self, data: &[u8]) -> Result<StoredBlob, ClientError> {
        let state = self.client.state().await.unwrap();
        let encoded = redstuff::encode(state.committee.params(), data.to_vec()).unwrap();
        self.client.store_blob(&self.executor, Arc::new(encoded), 2, true, None).await
    }

    /// A client that has cached nothing.
    fn stranger(&self, tls: NodeTls) -> WalrusClient {
        let network = NetworkConfig { node_tls: tls, ..self.network.clone() };
        WalrusClient::connect(network, ClientConfig::default()).unwrap()
    }

    async fn faults(&self, nodes: &[usize], fault: Fault) {
        for index in 0..10 {
            let fault = if nodes.contains(&index) { fault } else { Fault::Honest };
            self.devnet.set_fault(index, fault).await.unwrap();
        }
    }
}

fn data(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ seed).collect()
}

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
    let faults = [Fault::Stopped, Fault::Hang, Fault::Slow(Duration::from_secs(60)), Fault::Lie, Fault::Corrupt];
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
