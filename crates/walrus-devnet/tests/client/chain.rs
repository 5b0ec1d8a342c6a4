//! The client's chain side against the local chain, over a real socket: discovery, coins, ordinary blobs, storage pools,
//! certificates, aborts. Confirmations are signed here with the nodes' keys; nodes are not running.

use std::sync::Arc;
use sui_sdk_types::Address;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig, Request};
use walrus_client::network::{NetworkConfig, NodeTls};
use walrus_client::tx::BlobParams;
use walrus_client::wallet::Wallet;
use walrus_client::wire::bls::{BlsSecretKey, BlsSignature};
use walrus_client::wire::chain::{
    Blob, Field, ObjectId, PooledBlob, StoragePool, StoragePoolInnerV1, U256, pooled_blob_field_id, versioned_field_id,
};
use walrus_client::wire::message::{Certificate, Persistence, StorageConfirmation, proof_of_possession_message};
use walrus_client::{ClientError, ClientResult};
use walrus_devnet::chain::{Chain, GenesisConfig, GenesisNode};

const NODES: usize = 4;
const WEIGHT: u16 = 5;

struct Local {
    _dir: tempfile::TempDir,
    chain: Chain,
    client: WalrusClient,
    executor: Executor,
    keys: Vec<BlsSecretKey>,
    stop: Option<oneshot::Sender<()>>,
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Local {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<BlsSecretKey> =
            (0..NODES).map(|i| BlsSecretKey::from_seed(&[i as u8 + 1; 32]).unwrap()).collect();
        let nodes = keys.iter().enumerate().map(|(i, key)| {
            let operator = Address::new([i as u8 + 10; 32]);
            let message = proof_of_possession_message(0, &operator, &key.public_key());
            let mut network_public_key = [7; 33];
            network_public_key[0] = 2;
            GenesisNode {
                name: format!("node-{i}"),
                network_address: format!("127.0.0.1:{}", 1000 + i),
                operator,
                bls_public_key: key.public_key().to_compressed().0,
                proof_of_possession: key.sign(&message).to_bytes(),
                network_public_key,
                weight: WEIGHT,
                node_capacity: 1 << 40,
            }
        });
        let chain = Chain::open(&dir.path().join("chain"), &GenesisConfig::new(nodes.collect())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = chain.clone();
        tokio::spawn(async move {
            serving
                .serve(listener, async {
                    let _ = stopped.await;
                })
                .await
        });
        let ids = chain.ids().unwrap();
        let network = NetworkConfig {
            name: "local".into(),
            rpc_urls: vec![url.clone()],
            faucet_url: Some(url),
            system_object: ids.system_object,
            staking_object: ids.staking_object,
            wal_type: None,
            exchange_object: Some(ids.exchange_object),
            walrus_package: None,
            drive_package: None,
            node_tls: NodeTls::Plain,
        };
        let client = WalrusClient::connect(network, ClientConfig::default()).unwrap();
        let wallet = Arc::new(Wallet::from_seed(&[42; 32]));
        let executor = Executor::open(
            &dir.path().join("executor"),
            wallet.clone(),
            client.chain().clone(),
            ExecutorConfig::default(),
        )
        .unwrap();
        client.request_sui(&wallet.address()).await.unwrap();
        client.buy_wal(&executor, 100_000_000_000).await.unwrap();
        Self { _dir: dir, chain, client, executor, keys, stop: Some(stop) }
    }

    /// Signs with the first `signers` nodes in committee order.
    async fn certificate(&self, blob: &U256, persistence: Persistence, signers: usize) -> Certificate {
        let state = self.client.chain().refresh().await.unwrap();
        let message = StorageConfirmation::new(state.epoch(), *blob, persistence).to_bytes();
        let parts: Vec<(u16, BlsSignature)> = state
            .committee
            .nodes()
            .iter()
            .take(signers)
            .map(|node| {
                let key = self.keys.iter().find(|key| Some(key.public_key()) == node.public_key).unwrap();
                (node.index, key.sign(&message))
            })
            .collect();
        Certificate::aggregate(message, NODES, parts).unwrap()
    }

    async fn pool_inner(&self, pool: &ObjectId) -> StoragePoolInnerV1 {
        let field: Field<u64, StoragePoolInnerV1> =
            self.client.chain().dynamic_field(&versioned_field_id(pool, 1)).await.unwrap();
        field.value
    }
}

fn params(n: u8, size: u64) -> (BlobParams, U256) {
    let redstuff_params = redstuff::Params::new(NODES as u16 * WEIGHT).unwrap();
    let data = vec![n; size as usize];
    let encoded = redstuff::encode(&redstuff_params, data).unwrap();
    let params = BlobParams::new(encoded.metadata(), true);
    (params, params.blob_id)
}

fn wants(objects: &[ObjectId], wal: u64) -> Request {
    Request { objects: objects.to_vec(), wal, ..Request::default() }
}

fn aborted(result: ClientResult<walrus_client::executor::Executed>, module: &str, code: u64) {
    match result {
        Err(ClientError::Abort(abort)) => assert!(abort.is(module, code), "{abort}"),
        other => panic!("{module}:{code} expected, found {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_and_coins() {
    let local = Local::start().await;
    let state = local.client.state().await.unwrap();
    assert_eq!(state.epoch(), local.chain.epoch().unwrap());
    assert_eq!(state.n_shards(), NODES as u16 * WEIGHT);
    assert_eq!((state.storage_price, state.write_price, state.max_epochs_ahead), (100_000, 20_000, 53));
    assert!(state.previous.is_none());
    assert!(state.committee.nodes().iter().all(|node| node.shards.len() == usize::from(WEIGHT)));
    let (sui, wal) = local.executor.balances().await.unwrap();
    assert_eq!(wal, 100_000_000_000);
    assert!(sui > 100_000_000_000, "{sui}");
    let absent = local.client.chain().object(&ObjectId::new([0xab; 32])).await;
    assert!(matches!(absent, Err(ClientError::NotFound { .. })));
    local.client.buy_wal(&local.executor, 5).await.unwrap();
    assert_eq!(local.executor.balances().await.unwrap().1, 100_000_000_005, "two WAL coins count together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_pooled_blob() {
    let local = Local::start().await;
    let (executor, client) = (&local.executor, &local.client);
    let capacity = 3u64 << 30;
    let state = client.state().await.unwrap();
    let cost = state.storage_cost(capacity, 2).unwrap();
    let before = executor.balances().await.unwrap().1;
    let made = executor
        .run(wants(&[], cost), |tx| {
            let pool = tx.create_storage_pool(capacity, 2)?;
            let owner = tx.sender();
            tx.transfer(vec![pool], owner)
        })
        .await
        .unwrap();
    let pool = made.effects.created("storage_pool", "StoragePool").next().unwrap().id;
    assert_eq!(before - executor.balances().await.unwrap().1, cost, "the quote is what is paid");
    assert_eq!(client.chain().object(&pool).await.unwrap().decode::<StoragePool>().unwrap().version, 1);

    let (first, id) = params(1, 70_000);
    let wal = state.write_cost(first.size).unwrap();
    let register = |blob: BlobParams| {
        executor.run(wants(&[pool], wal), move |tx| {
            let pool = tx.object(&pool, true)?;
            tx.register_pooled_blob(pool, &blob)
        })
    };
    register(first).await.unwrap();
    let inner = local.pool_inner(&pool).await;
    assert_eq!((inner.blob_count, inner.used_encoded_bytes), (1, state.encoded_size(first.size).unwrap()));
    let field: Field<U256, ObjectId> =
        client.chain().dynamic_field(&pooled_blob_field_id(&inner.blobs.id, &id)).await.unwrap();
    let object = field.value;
    let registered: PooledBlob = client.chain().object(&object).await.unwrap().decode().unwrap();
    assert_eq!((registered.blob_id, registered.certified_epoch, registered.deletable), (id, None, true));

    let certify = |certificate: Certificate| {
        executor.run(wants(&[pool], 0), move |tx| {
            let pool = tx.object(&pool, true)?;
            tx.certify_pooled_blob(pool, id, &certificate)
        })
    };
    let deletable = Persistence::Deletable(object);
    aborted(certify(local.certificate(&id, deletable, 2).await).await, "bls_aggregate", 2);
    let mut forged = local.certificate(&id, deletable, 3).await;
    forged.signers = vec![0, 1, 3];
    aborted(certify(forged).await, "bls_aggregate", 1);
    aborted(certify(local.certificate(&U256([9; 32]), deletable, 3).await).await, "storage_pool", 3);
    let another = Persistence::Deletable(ObjectId::new([1; 32]));
    aborted(certify(local.certificate(&id, another, 3).await).await, "storage_pool", 5);
    certify(local.certificate(&id, deletable, 3).await).await.unwrap();
    let certified: PooledBlob = client.chain().object(&object).await.unwrap().decode().unwrap();
    assert_eq!(certified.certified_epoch, Some(state.epoch()));
    aborted(certify(local.certificate(&id, deletable, 4).await).await, "storage_pool", 2);

    executor
        .run(wants(&[pool], state.storage_cost(capacity * 4, 3).unwrap()), |tx| {
            let pool = tx.object(&pool, true)?;
            tx.extend_storage_pool(pool, 1)?;
            tx.increase_storage_pool(pool, 1 << 20)
        })
        .await
        .unwrap();
    let grown = local.pool_inner(&pool).await;
    assert_eq!(grown.storage.end_epoch, inner.storage.end_epoch + 1);
    assert_eq!(grown.storage.storage_size, capacity + (1 << 20));
    executor
        .run(wants(&[pool], 0), |tx| {
            let pool = tx.object(&pool, true)?;
            let storage = tx.decrease_storage_pool(pool, 1 << 20)?;
            let owner = tx.sender();
            tx.transfer(vec![storage], owner)
        })
        .await
        .unwrap();
    assert_eq!(local.pool_inner(&pool).await.storage.storage_size, capacity);
    executor
        .run(wants(&[pool], 0), |tx| {
            let pool = tx.object(&pool, true)?;
            tx.delete_pooled_blob(pool, id)
        })
        .await
        .unwrap();
    let emptied = local.pool_inner(&pool).await;
    assert_eq!((emptied.blob_count, emptied.used_encoded_bytes), (0, 0));
    assert!(executor.recovered().await.unwrap().is_empty(), "nothing was left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_an_ordinary_blob_across_an_epoch() {
    let local = Local::start().await;
    let (executor, client) = (&local.executor, &local.client);
    let (blob, id) = params(7, 5_000);
    let state = client.state().await.unwrap();
    let encoded = state.encoded_size(blob.size).unwrap();
    let wal = client.blob_cost(blob.size, 3).await.unwrap();
    let before = executor.balances().await.unwrap().1;
    let made = executor
        .run(wants(&[], wal), |tx| {
            let storage = tx.reserve_space(encoded, 3)?;
            let object = tx.register_blob(storage, &blob)?;
            let owner = tx.sender();
            tx.transfer(vec![object], owner)
        })
        .await
        .unwrap();
    assert_eq!(before - executor.balances().await.unwrap().1, wal);
    let object = made.effects.created("blob", "Blob").next().unwrap().id;
    let owned = client.owned_blobs(&executor.wallet().address()).await.unwrap();
    assert_eq!((owned.len(), owned[0].0, owned[0].1.blob_id), (1, object, id));

    let certify = |certificate: Certificate| {
        executor.run(wants(&[object], 0), move |tx| {
            let blob = tx.object(&object, true)?;
            tx.certify_blob(blob, &certificate)
        })
    };
    let old = local.certificate(&id, Persistence::Deletable(object), 4).await;
    local.chain.advance_epoch().await.unwrap();
    match certify(old).await {
        Err(ClientError::Abort(abort)) => assert!(abort.is_stale_certificate(), "{abort}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.chain().refresh().await.unwrap().epoch(), state.epoch() + 1);
    certify(local.certificate(&id, Persistence::Deletable(object), 3).await).await.unwrap();
    executor
        .run(wants(&[object], wal), |tx| {
            let blob = tx.object(&object, true)?;
            tx.extend_blob(blob, 2)
        })
        .await
        .unwrap();
    let extended: Blob = client.chain().object(&object).await.unwrap().decode().unwrap();
    assert_eq!(extended.storage.end_epoch, state.epoch() + 5);
    assert_eq!(extended.certified_epoch, Some(state.epoch() + 1));
    executor
        .run(wants(&[object], 0), |tx| {
            let blob = tx.object(&object, true)?;
            let storage = tx.delete_blob(blob)?;
            let owner = tx.sender();
            tx.transfer(vec![storage], owner)
        })
        .await
        .unwrap();
    assert!(client.owned_blobs(&executor.wallet().address()).await.unwrap().is_empty());
}
