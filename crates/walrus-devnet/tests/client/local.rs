//! A local network with a wallet that has money on it.

use std::path::PathBuf;
use std::sync::Arc;
use walrus_client::ClientError;
use walrus_client::client::{ClientConfig, StoredBlob, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig, Request};
use walrus_client::network::{NetworkConfig, NodeTls};
use walrus_client::tx::nth;
use walrus_client::wallet::Wallet;
use walrus_devnet::{Devnet, Fault, Options};

/// 10 nodes with two of 20 shards each: any three may fail.
pub(crate) const NODES: usize = 10;

pub(crate) struct Local {
    dir: tempfile::TempDir,
    pub(crate) devnet: Devnet,
    pub(crate) network: NetworkConfig,
    pub(crate) client: WalrusClient,
    pub(crate) wallet: Arc<Wallet>,
    pub(crate) executor: Executor,
}

impl Local {
    pub(crate) async fn start() -> Self {
        Self::with_shards(20).await
    }

    /// As many shards as that, shared evenly.
    pub(crate) async fn with_shards(shards: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { nodes: NODES as u16, shards, ..Options::default() };
        let devnet = Devnet::start(dir.path().join("devnet"), options).await.unwrap();
        let network = devnet.status().unwrap().network_config();
        assert_eq!(network.node_tls, NodeTls::Pinned);
        let client = WalrusClient::connect(network.clone(), ClientConfig::default()).unwrap();
        let wallet = Arc::new(Wallet::from_seed(&[7; 32]));
        let (folder, chain) = (dir.path().join("executor"), client.chain().clone());
        let executor = Executor::open(&folder, wallet.clone(), chain, ExecutorConfig::default()).unwrap();
        client.request_sui(&wallet.address()).await.unwrap();
        client.buy_wal(&executor, 10_000_000_000).await.unwrap();
        Self { dir, devnet, network, client, wallet, executor }
    }

    /// A folder of this test.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) async fn store(&self, data: &[u8]) -> Result<StoredBlob, ClientError> {
        self.store_with(&self.client, &self.executor, data).await
    }

    /// Stores through another client of the same wallet.
    pub(crate) async fn store_with(
        &self,
        client: &WalrusClient,
        executor: &Executor,
        data: &[u8],
    ) -> Result<StoredBlob, ClientError> {
        let state = self.client.state().await.unwrap();
        let encoded = redstuff::encode(state.committee.params(), data.to_vec()).unwrap();
        client.store_blob(executor, Arc::new(encoded), 5, true, None).await
    }

    /// A client that has cached nothing.
    pub(crate) fn stranger(&self, tls: NodeTls) -> WalrusClient {
        let network = NetworkConfig { node_tls: tls, ..self.network.clone() };
        WalrusClient::connect(network, ClientConfig::default()).unwrap()
    }

    /// These nodes, and no others, misbehave.
    pub(crate) async fn faults(&self, nodes: &[usize], fault: Fault) {
        for index in 0..NODES {
            let fault = if nodes.contains(&index) { fault } else { Fault::Honest };
            self.devnet.set_fault(index, fault).await.unwrap();
        }
    }

    /// Stakes with node `index`.
    pub(crate) async fn stake(&self, index: usize, frost: u64) {
        let node = self.devnet.node_id(index).unwrap();
        self.client.buy_wal(&self.executor, frost).await.unwrap();
        let run = self.executor.run(Request { wal: frost, ..Request::default() }, |tx| {
            let (staking, package, owner) = (tx.state().staking, tx.state().packages.call, tx.sender());
            let staking = tx.shared(staking, true)?;
            let wal = tx.wal()?;
            let coin = nth(tx.split(wal, &[frost])?, 0);
            let node = tx.pure(&node)?;
            let staked = tx.call(package, "staking", "stake_with_pool", Vec::new(), vec![staking, coin, node])?;
            tx.transfer(vec![staked], owner)
        });
        run.await.unwrap();
    }
}

pub(crate) fn data(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ seed).collect()
}
