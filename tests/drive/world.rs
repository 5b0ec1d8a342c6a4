//! A local chain, and machines with a wallet each.

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use sui_sdk_types::{Address, Digest, StructTag, Transaction};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use walrus_client::ClientResult;
use walrus_client::chain::grpc::GrpcTransport;
use walrus_client::chain::{Chain, ChainTransport, Effects, GasInfo, ObjectInfo, SendOutcome, TypeOrigin};
use walrus_client::executor::{Executor, ExecutorConfig};
use walrus_client::network::{NetworkConfig, NodeTls};
use walrus_client::retry::RetryPolicy;
use walrus_client::wallet::Wallet;
use walrus_client::wire::bls::BlsSecretKey;
use walrus_client::wire::message::{Certificate, Persistence, StorageConfirmation, proof_of_possession_message};
use walrus_devnet::chain::{GenesisConfig, GenesisNode};
use walrusfs::drive::keep::KeysFolder;
use walrusfs::drive::{BlobToRegister, CertifiedBlob, CreateOptions, DriveClient, DriveName, Holder, Secrets, Session};
use walrusfs::seam::{OsRandom, SystemClock};

/// Members of the committee, five shards each.
const MEMBERS: u8 = 4;
/// Encoded bytes of the drives in these tests: small against the network, large against the blobs.
pub const CAPACITY: u64 = 64 << 20;

/// A running chain.
pub struct World {
    pub chain: walrus_devnet::chain::Chain,
    pub network: NetworkConfig,
    address: std::net::SocketAddr,
    keys: Vec<(Address, BlsSecretKey)>,
    _dir: TempDir,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl World {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secrets: Vec<BlsSecretKey> = (0..MEMBERS).map(|n| BlsSecretKey::from_seed(&[n + 1; 32]).unwrap()).collect();
        let nodes = secrets.iter().zip(0u8..).map(|(secret, n)| {
            let operator = Address::new([n + 1; 32]);
            let key = secret.public_key();
            GenesisNode {
                name: format!("node-{n}"),
                network_address: format!("127.0.0.1:{}", 9000 + u16::from(n)),
                operator,
                bls_public_key: key.to_compressed().0,
                proof_of_possession: secret.sign(&proof_of_possession_message(0, &operator, &key)).to_bytes(),
                network_public_key: [2; 33],
                weight: 5,
                node_capacity: 1 << 40,
            }
        });
        let genesis = GenesisConfig::new(nodes.collect());
        let chain = walrus_devnet::chain::Chain::open(dir.path(), &genesis).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = {
            let chain = chain.clone();
            tokio::spawn(async move {
                chain.serve(listener, pending()).await.unwrap();
            })
        };
        let ids = chain.ids().unwrap();
        let network = NetworkConfig {
            name: "test".to_owned(),
            rpc_urls: vec![format!("http://{address}")],
            faucet_url: None,
            system_object: ids.system_object,
            staking_object: ids.staking_object,
            wal_type: Some(ids.wal_type.to_string()),
            exchange_object: None,
            walrus_package: None,
            drive_package: Some(ids.drive_package),
            node_tls: NodeTls::Plain,
        };
        // Confirmations are signed by key, the committee has its own order.
        let committee = chain.committee().unwrap();
        let keys = committee
            .members
            .iter()
            .map(|member| {
                let secret =
                    secrets.iter().find(|secret| secret.public_key().to_compressed().0 == member.bls_public_key);
                let bytes = secret.expect("the member's key is one of ours").to_bytes();
                (member.node_id, BlsSecretKey::from_bytes(&*bytes).unwrap())
            })
            .collect();
        Self { chain, network, address, keys, _dir: dir, server }
    }

    /// A machine with a new, funded wallet.
    pub async fn machine(&self) -> Machine {
        let machine = Machine::new(self, Wallet::generate().unwrap());
        self.fund(machine.session.owner()).await;
        machine
    }

    /// Gives 1000 SUI and 1000 WAL.
    pub async fn fund(&self, owner: Address) {
        for path in ["/v2/gas", "/v2/wal"] {
            let body = format!("{{\"FixedAmountRequest\":{{\"recipient\":\"{owner}\"}}}}");
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: faucet\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{body}",
                body.len()
            );
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        }
    }

    /// What a quorum of nodes would confirm for a registered blob.
    pub fn certify(&self, blob_id: [u8; 32], object: Address) -> CertifiedBlob {
        let epoch = self.chain.epoch().unwrap();
        let persistence = Persistence::Deletable(object);
        let message =
            StorageConfirmation::new(epoch, walrus_client::wire::chain::U256(blob_id), persistence).to_bytes();
        let parts = self.keys.iter().zip(0u16..).skip(1).map(|((_, key), n)| (n, key.sign(&message))).collect();
        CertifiedBlob { blob_id, certificate: Certificate::aggregate(message, self.keys.len(), parts).unwrap() }
    }
}

/// One home on one machine.
pub struct Machine {
    pub session: Session,
    pub faults: Arc<Faults>,
    pub holder: Holder,
    pub dir: TempDir,
    suiprivkey: String,
}

impl Machine {
    fn new(world: &World, wallet: Wallet) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let suiprivkey = wallet.to_suiprivkey().unwrap().to_string();
        let policy = RetryPolicy { total: Duration::from_secs(2), ..RetryPolicy::default() };
        let real = GrpcTransport::new(&world.network.rpc_urls, policy.clone()).unwrap();
        let faults = Arc::new(Faults { real, lost: AtomicUsize::new(0), replaced: Mutex::default() });
        let chain = Chain::new(faults.clone(), world.network.clone());
        let config = ExecutorConfig { policy, ..ExecutorConfig::default() };
        let executor = Executor::open(&dir.path().join("executor"), Arc::new(wallet), chain, config).unwrap();
        let keys = KeysFolder::open(&dir.path().join("keys")).unwrap();
        let session = Session::new(Arc::new(executor), keys, Arc::new(SystemClock), Arc::new(OsRandom)).unwrap();
        let mut holder = [0; 16];
        getrandom::fill(&mut holder).unwrap();
        Self { session, faults, holder: Holder(holder), dir, suiprivkey }
    }

    /// Another machine with the same wallet, and the key files when `keys` is set.
    pub fn twin(&self, world: &World, keys: bool) -> Self {
        let twin = Self::new(world, Wallet::from_suiprivkey(&self.suiprivkey).unwrap());
        if keys {
            for file in std::fs::read_dir(self.keys()).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "key") {
                    std::fs::copy(&path, twin.keys().join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        twin
    }

    pub fn keys(&self) -> PathBuf {
        self.dir.path().join("keys")
    }

    pub async fn create(&self, label: &str) -> DriveClient {
        let options =
            CreateOptions { label: label.to_owned(), capacity: CAPACITY, epochs: 3, secret: None, key_file: None };
        DriveClient::create(&self.session, options, self.holder).await.unwrap()
    }

    pub async fn open(&self, label: &str) -> walrusfs::error::FsResult<DriveClient> {
        let name = DriveName::Label(label.to_owned());
        DriveClient::open(&self.session, &name, &Secrets::default(), self.holder).await
    }
}

/// A blob that nobody stores: only what the chain needs to know of it.
pub fn blob(seed: u8) -> BlobToRegister {
    let size = 1000u64;
    let root_hash = [seed; 32];
    // The contract derives the id: blake2b-256 over encoding type, size and root hash.
    let mut input = vec![1];
    input.extend_from_slice(&size.to_le_bytes());
    input.extend_from_slice(&root_hash);
    let blob_id = sui_sdk_types::hash::Hasher::digest(&input).into_inner();
    BlobToRegister { blob_id, root_hash, size }
}

/// The way to the chain, with the faults that a network or a server can have.
pub struct Faults {
    real: GrpcTransport,
    /// How many answers to executions get lost on the way back; the question about their effects with them.
    pub lost: AtomicUsize,
    /// Objects that the server answers with instead of the newest.
    pub replaced: Mutex<HashMap<Address, ObjectInfo>>,
}

impl Faults {
    pub async fn object(&self, id: &Address) -> ObjectInfo {
        self.real.objects(&[*id]).await.unwrap().pop().flatten().unwrap()
    }

    fn lie(&self, found: Option<ObjectInfo>) -> Option<ObjectInfo> {
        found.map(|object| self.replaced.lock().get(&object.id).cloned().unwrap_or(object))
    }

    fn lose(&self) -> bool {
        self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

impl ChainTransport for Faults {
    fn objects<'a>(&'a self, ids: &'a [Address]) -> BoxFuture<'a, ClientResult<Vec<Option<ObjectInfo>>>> {
        async move { Ok(self.real.objects(ids).await?.into_iter().map(|object| self.lie(object)).collect()) }.boxed()
    }

    fn object_everywhere<'a>(&'a self, id: &'a Address) -> BoxFuture<'a, Vec<ClientResult<Option<ObjectInfo>>>> {
        async move {
            let answers = self.real.object_everywhere(id).await;
            answers.into_iter().map(|answer| answer.map(|object| self.lie(object))).collect()
        }
        .boxed()
    }

    fn owned_objects<'a>(
        &'a self,
        owner: &'a Address,
        object_type: &'a StructTag,
    ) -> BoxFuture<'a, ClientResult<Vec<ObjectInfo>>> {
        async move {
            let found = self.real.owned_objects(owner, object_type).await?;
            Ok(found.into_iter().filter_map(|object| self.lie(Some(object))).collect())
        }
        .boxed()
    }

    fn fields<'a>(&'a self, parent: &'a Address) -> BoxFuture<'a, ClientResult<Vec<Address>>> {
        self.real.fields(parent)
    }

    fn gas_info(&self) -> BoxFuture<'_, ClientResult<GasInfo>> {
        self.real.gas_info()
    }

    fn type_origins<'a>(&'a self, package: &'a Address) -> BoxFuture<'a, ClientResult<Vec<TypeOrigin>>> {
        self.real.type_origins(package)
    }

    fn parameter_type_argument<'a>(
        &'a self,
        package: &'a Address,
        module: &'a str,
        function: &'a str,
        index: usize,
    ) -> BoxFuture<'a, ClientResult<String>> {
        self.real.parameter_type_argument(package, module, function, index)
    }

    fn simulate<'a>(&'a self, transaction: &'a Transaction) -> BoxFuture<'a, ClientResult<Effects>> {
        self.real.simulate(transaction)
    }

    fn execute<'a>(&'a self, transaction: &'a [u8], signature: &'a [u8]) -> BoxFuture<'a, SendOutcome> {
        async move {
            let outcome = self.real.execute(transaction, signature).await;
            if self.lose() { SendOutcome::Unknown("the answer got lost".to_owned()) } else { outcome }
        }
        .boxed()
    }

    fn effects<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, ClientResult<Option<Effects>>> {
        async move { if self.lose() { Ok(None) } else { self.real.effects(digest).await } }.boxed()
    }
}
