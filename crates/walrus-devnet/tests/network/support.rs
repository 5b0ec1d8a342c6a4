//! A network in a temporary folder, a user with money, and raw HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use redstuff::{BlobId, Encoded, PairIndex, Params, ShardIndex, encode};
use serde_json::Value;
use sui_sdk_types::Address;
use walrus_client::client::{ClientConfig, StoredBlob, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig, Request as Work};
use walrus_client::read::Consistency;
use walrus_client::tx::{BlobParams, nth};
use walrus_client::wallet::Wallet;
use walrus_devnet::{Devnet, NodeStatus, Options};

/// 7 nodes and 13 shards: six nodes with two shards, one with one; any two nodes may fail.
pub(crate) const NODES: u16 = 7;
pub(crate) const SHARDS: u16 = 13;

/// A network that goes away with its folder.
pub(crate) struct Net {
    pub(crate) devnet: Devnet,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) async fn network() -> Net {
    network_of(Options::default()).await
}

/// The network of these tests with other options.
pub(crate) async fn network_of(options: Options) -> Net {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { nodes: NODES, shards: SHARDS, ..options };
    Net { devnet: Devnet::start(dir.path().join("devnet"), options).await.unwrap(), dir }
}

impl Net {
    /// Ends the network and starts it again on the same folder.
    pub(crate) async fn restart(self, between: impl AsyncFnOnce(&std::path::Path)) -> Self {
        let Self { devnet, dir } = self;
        devnet.shutdown().await;
        between(&dir.path().join("devnet")).await;
        let devnet = Devnet::start(dir.path().join("devnet"), Options::default()).await.unwrap();
        Self { devnet, dir }
    }

    pub(crate) fn node(&self, index: usize) -> NodeStatus {
        self.devnet.status().unwrap().nodes[index].clone()
    }

    /// The shards of node `index`.
    pub(crate) fn shards(&self, index: usize) -> Vec<ShardIndex> {
        let id = self.devnet.node_id(index).unwrap();
        let committee = self.devnet.chain().committee().unwrap();
        let member = committee.members.into_iter().find(|member| member.node_id == id).unwrap();
        member.shards.into_iter().map(ShardIndex::new).collect()
    }

    /// The pairs of a blob that node `index` stores.
    pub(crate) fn pairs(&self, index: usize, blob: &BlobId) -> Vec<PairIndex> {
        self.shards(index).into_iter().map(|shard| shard.pair(blob, &params())).collect()
    }

    pub(crate) async fn http(&self, index: usize, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        http(&format!("{}{path}", self.node(index).url), method, &[], body.into()).await
    }

    pub(crate) async fn get(&self, index: usize, path: &str) -> Answer {
        self.http(index, Method::GET, path, Bytes::new()).await
    }

    /// Waits until `done` of the status of node `index`.
    pub(crate) async fn wait_for(&self, index: usize, what: &str, done: impl Fn(&NodeStatus) -> bool) {
        wait_until(what, || done(&self.node(index))).await;
    }
}

pub(crate) async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(40), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn params() -> Params {
    Params::new(SHARDS).unwrap()
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The payload of a success.
    pub(crate) fn data(&self) -> Value {
        let json = self.json();
        assert_eq!(json["success"]["code"], self.status.as_u16(), "{json}");
        json["success"]["data"].clone()
    }

    /// HTTP status and reason of an error in the envelope, whose shape is checked.
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        let error = &json["error"];
        assert_eq!(error["code"], self.status.as_u16(), "{json}");
        let info = &error["details"][0];
        assert_eq!(info["@type"], "ErrorInfo", "{json}");
        assert_eq!(info["domain"], "storage.walrus.space", "{json}");
        assert!(info["metadata"].is_object() && error["message"].is_string() && error["status"].is_string(), "{json}");
        (self.status.as_u16(), info["reason"].as_str().unwrap().to_owned())
    }
}

pub(crate) async fn http(url: &str, method: Method, headers: &[(&str, &str)], body: Bytes) -> Answer {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = || {
        let mut request = Request::builder().method(method.clone()).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body.clone())).unwrap()
    };
    let mut response = client.request(request()).await;
    // A node that refuses before it has read everything hangs up: sending may fail before its answer is read.
    for _ in 0..20 {
        if response.is_ok() {
            break;
        }
        response = client.request(request()).await;
    }
    let (parts, body) = response.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A wallet with SUI and WAL, and the client.
pub(crate) struct User {
    pub(crate) client: WalrusClient,
    pub(crate) executor: Executor,
    _dir: tempfile::TempDir,
}

impl User {
    pub(crate) async fn of(net: &Net) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let network = net.devnet.status().unwrap().network_config();
        let client = WalrusClient::connect(network, ClientConfig::default()).unwrap();
        let wallet = Arc::new(Wallet::generate().unwrap());
        let config = ExecutorConfig::default();
        let executor = Executor::open(dir.path(), wallet, client.chain().clone(), config).unwrap();
        client.request_sui(&executor.wallet().address()).await.unwrap();
        client.buy_wal(&executor, 100_000_000_000).await.unwrap();
        Self { client, executor, _dir: dir }
    }

    /// A client without what the other one has learned.
    pub(crate) fn fresh(net: &Net) -> WalrusClient {
        WalrusClient::connect(net.devnet.status().unwrap().network_config(), ClientConfig::default()).unwrap()
    }

    pub(crate) async fn store(&self, encoded: &Arc<Encoded<Vec<u8>>>, epochs: u32) -> StoredBlob {
        self.client.store_blob(&self.executor, encoded.clone(), epochs, true, None).await.unwrap()
    }

    /// Stakes with a node, and holds the receipt.
    pub(crate) async fn stake(&self, node: Address, frost: u64) {
        self.client.request_sui(&self.executor.wallet().address()).await.unwrap();
        self.client.buy_wal(&self.executor, frost).await.unwrap();
        let work = Work { wal: frost, ..Work::default() };
        let run = self.executor.run(work, |tx| {
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

    /// Registers a deletable blob and uploads nothing.
    pub(crate) async fn register(&self, encoded: &Encoded<Vec<u8>>) -> Address {
        let state = self.client.state().await.unwrap();
        let blob = BlobParams::new(encoded.metadata(), true);
        let size = state.encoded_size(blob.size).unwrap();
        let wal = state.storage_cost(size, 3).unwrap() + state.write_cost(blob.size).unwrap();
        let work = Work { wal, ..Work::default() };
        let executed = self
            .executor
            .run(work, |tx| {
                let storage = tx.reserve_space(size, 3)?;
                let blob = tx.register_blob(storage, &blob)?;
                let owner = tx.sender();
                tx.transfer(vec![blob], owner)
            })
            .await
            .unwrap();
        executed.effects.created("blob", "Blob").next().unwrap().id
    }

    pub(crate) async fn delete(&self, object: Address) {
        let work = Work { objects: vec![object], ..Work::default() };
        let run = self.executor.run(work, |tx| {
            let blob = tx.object(&object, false)?;
            let storage = tx.delete_blob(blob)?;
            let owner = tx.sender();
            tx.transfer(vec![storage], owner)
        });
        run.await.unwrap();
    }
}

/// `length` bytes that differ by `seed`, encoded.
pub(crate) fn blob(seed: u8, length: usize) -> Arc<Encoded<Vec<u8>>> {
    let bytes: Vec<u8> = (0..length).map(|i| (i as u8).wrapping_mul(31) ^ seed ^ (i >> 8) as u8).collect();
    Arc::new(encode(&params(), bytes).unwrap())
}

/// Reads the whole blob with a client that knows nothing yet.
pub(crate) async fn read_back(net: &Net, encoded: &Encoded<Vec<u8>>) {
    let read = User::fresh(net).read_blob(encoded.blob_id(), Consistency::Strict).await.unwrap();
    assert!(read == encoded.blob().as_slice(), "other bytes than were stored");
}
