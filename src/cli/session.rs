//! From a home and the name of a network to a wallet that can act on it.
//!
//! On a network with a faucet (the local one) a missing wallet is made and funded without asking: nothing there has a
//! price. On a real network a wallet must be there.

use super::config::Config;
use super::cost::CostBook;
use super::devnet;
use super::exit::{Code, Failure};
use super::home::Home;
use crate::drive::{self, DriveClient, chain_error};
use crate::seam::{OsRandom, SystemClock, stage};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use walrus_client::ClientError;
use walrus_client::chain::Remembering;
use walrus_client::chain::grpc::GrpcTransport;
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig, Paid};
use walrus_client::foreign;
use walrus_client::network::NetworkConfig;
use walrus_client::node::http::HttpTransport;
use walrus_client::wallet::Wallet;

/// The network that is meant when none is named.
pub const LOCAL: &str = "local";

/// SUI that a wallet on a test network keeps for gas, MIST.
const GAS: u64 = 20_000_000_000;

/// A wallet on a network, which need not be one that can hold drives.
pub struct Purse {
    /// Nodes and chain.
    pub client: Arc<WalrusClient>,
    /// Signs and sends.
    pub executor: Arc<Executor>,
    /// What the user should know about what was made on the way.
    pub made: Vec<String>,
    /// What the chain said last.
    pub remembered: Arc<Remembering>,
}

/// A wallet on a network with drives.
pub struct Account {
    /// Nodes and chain.
    pub client: Arc<WalrusClient>,
    /// The wallet's drives.
    pub session: drive::Session,
    /// What the user should know about what was made on the way.
    pub made: Vec<String>,
    /// What the chain said last.
    pub remembered: Arc<Remembering>,
    /// What was paid for no drive: WAL that was bought.
    exempt: Paid,
    cost: OnceLock<Arc<CostBook>>,
}

fn failed(doing: &str) -> impl FnOnce(ClientError) -> Failure {
    let doing = doing.to_owned();
    move |error| Failure::from_fs(doing, chain_error("the network", error))
}

/// Finds the network `name`, or the configured one when none is named: `local` (started when it does not run), a file `networks/NAME.toml` in the configuration folder,
/// `mainnet`, `testnet`, a network file, or a YAML file of Sui or Walrus (`FILE#CONTEXT` for one of its contexts). Blocks.
///
/// # Errors
/// When there is no such network, or the local one cannot be started.
pub fn network(home: &Home, name: Option<&str>) -> Result<NetworkConfig, Failure> {
    let name = &*self::name(home, name)?;
    if name == LOCAL {
        return devnet::ensure_running(home);
    }
    let own = network_path(home, name);
    if own.is_file() {
        return network_file(&own);
    }
    if let Some(known) = NetworkConfig::by_name(name) {
        return Ok(known);
    }
    let (path, context) = match name.rsplit_once('#') {
        Some((path, context)) if !Path::new(name).exists() => (Path::new(path), Some(context)),
        _ => (Path::new(name), None),
    };
    match path.is_file() {
        true if foreign::is_yaml(path) => foreign::network(path, context).map_err(|error| {
            Failure::new(Code::Failed, format!("{} names no network", path.display())).caused_by(error)
        }),
        true => network_file(path),
        false => Err(Failure::new(
            Code::NotFound,
            format!(
                "there is no network `{name}`: give local, mainnet, testnet, or the path of a network file or of a Walrus client \
                 configuration"
            ),
        )),
    }
}

/// The name of the network that is meant: the one given, the configured one, or the local one.
///
/// # Errors
/// The configuration cannot be read.
pub fn name(home: &Home, given: Option<&str>) -> Result<String, Failure> {
    let configured = match given {
        Some(name) => Some(name.to_owned()),
        None => Config::load(home)?.options(None)?.network,
    };
    Ok(configured.unwrap_or_else(|| LOCAL.to_owned()))
}

/// Where a network of this name is kept in the configuration folder.
pub fn network_path(home: &Home, name: &str) -> PathBuf {
    home.config.join("networks").join(format!("{name}.toml"))
}

fn network_file(file: &Path) -> Result<NetworkConfig, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::from_io(format!("cannot read the network file {}", file.display()), error))?;
    NetworkConfig::parse(&text).map_err(|error| {
        Failure::new(Code::Failed, format!("{} is not a network file", file.display())).caused_by(error)
    })
}

/// Where the wallet's key lies.
pub fn wallet_path(home: &Home) -> PathBuf {
    home.keys.join("wallet.key")
}

/// The wallet, made when it is missing and the network has a faucet. The second value tells whether it was made.
fn wallet(home: &Home, network: &NetworkConfig) -> Result<(Wallet, bool), Failure> {
    let path = wallet_path(home);
    if path.exists() {
        return Ok((Wallet::load(&path).map_err(failed("the wallet cannot be read"))?, false));
    }
    if network.faucet_url.is_none() {
        return Err(Failure::new(
            Code::NotFound,
            format!(
                "there is no wallet at {}: `walrusfs wallet import` takes a key from Sui's keystore",
                path.display()
            ),
        ));
    }
    Ok((Wallet::create(&path).map_err(failed("a wallet cannot be made"))?, true))
}

/// Opens the wallet of `home` on `network`.
///
/// # Errors
/// When there is no wallet, or it is in use by another process.
pub async fn purse(home: &Home, network: NetworkConfig) -> Result<Purse, Failure> {
    let (wallet, new) = wallet(home, &network)?;
    let address = wallet.address();
    let config = ClientConfig::default();
    let chain =
        GrpcTransport::new(&network.rpc_urls, config.chain.clone()).map_err(failed("the network cannot be used"))?;
    // One folder for each network: a wallet may be known on several.
    let folder = home.state.join("chain").join(hex::encode(&network.system_object.as_bytes()[..16]));
    let remembered = Arc::new(Remembering::new(Arc::new(chain), &folder));
    let nodes = Arc::new(HttpTransport::new(network.node_tls));
    let client = WalrusClient::with_transports(network, config, remembered.clone(), nodes);
    let executing = ExecutorConfig { answered: || stage("sent"), ..ExecutorConfig::default() };
    let executor = Executor::open(&home.state.join("wallet"), Arc::new(wallet), client.chain().clone(), executing)
        .map_err(failed("the wallet cannot be used"))?;
    let mut purse = Purse { client: Arc::new(client), executor: Arc::new(executor), made: Vec::new(), remembered };
    if new {
        purse.made.push(format!("made the wallet {address}"));
        fund(&purse.client, &purse.executor, 0).await?;
    }
    Ok(purse)
}

/// Opens the wallet of `home` on `network`, for drives.
///
/// # Errors
/// As [`purse`], and when the network names no Drive package.
pub async fn open(home: &Home, network: NetworkConfig) -> Result<Account, Failure> {
    let Purse { client, executor, made, remembered } = purse(home, network).await?;
    let keys = drive::keep::KeysFolder::open(&home.keys)
        .map_err(|error| Failure::from_fs("the keys folder cannot be used", error))?;
    let session = drive::Session::new(executor, keys, Arc::new(SystemClock), Arc::new(OsRandom))
        .map_err(|error| Failure::from_fs("the network cannot hold drives", error))?;
    let exempt = session.executor.paid();
    Ok(Account { client, session, made, remembered, exempt, cost: OnceLock::new() })
}

impl Account {
    /// Makes sure, on a network with a faucet, that the wallet has gas and at least `frost` FROST. Elsewhere it does
    /// nothing: what is missing is said by whatever needs it.
    ///
    /// # Errors
    /// When faucet or exchange do not answer.
    pub async fn fund(&mut self, frost: u64) -> Result<(), Failure> {
        let executor = &self.session.executor;
        let before = executor.paid();
        let funded = fund(&self.client, executor, frost).await;
        let bought = executor.paid().since(&before);
        match self.cost.get() {
            Some(book) => book.exempt(bought),
            None => self.exempt = self.exempt.plus(&bought),
        }
        funded
    }

    /// From now on, and for what was paid already: all that this process pays is for `drive`. The drive's book is the same every time.
    pub fn pays_for(&self, home: &Home, drive: &DriveClient) -> Arc<CostBook> {
        let open = || {
            let folder = home.drive(&drive.state().uid());
            let book = Arc::new(CostBook::new(folder, Arc::clone(&self.session.executor), self.exempt));
            drop(tokio::spawn(CostBook::keep(Arc::downgrade(&book))));
            book
        };
        Arc::clone(self.cost.get_or_init(open))
    }
}

impl Purse {
    /// As [`Account::fund`].
    ///
    /// # Errors
    /// When faucet or exchange do not answer.
    pub async fn fund(&self, frost: u64) -> Result<(), Failure> {
        fund(&self.client, &self.executor, frost).await
    }
}

async fn fund(client: &WalrusClient, executor: &Executor, frost: u64) -> Result<(), Failure> {
    let network = client.chain().network();
    if network.faucet_url.is_none() || network.exchange_object.is_none() {
        return Ok(());
    }
    let address = executor.wallet().address();
    for _ in 0..64 {
        let (sui, wal) = executor.balances().await.map_err(failed("the balance cannot be read"))?;
        let missing = frost.saturating_sub(wal);
        if missing == 0 && sui >= GAS {
            return Ok(());
        }
        // The exchange gives one FROST for one MIST.
        let change = missing.min(sui.saturating_sub(GAS));
        if change > 0 {
            client.buy_wal(executor, change).await.map_err(failed("WAL cannot be bought"))?;
        } else {
            client.request_sui(&address).await.map_err(failed("the faucet gave nothing"))?;
        }
    }
    Err(Failure::new(Code::Unfunded, format!("the faucet does not give enough for {address}")))
}
