//! From a home and the name of a network to a wallet that can act on it.
//!
//! On a network with a faucet (the local one) a missing wallet is made and funded without asking: nothing there has a
//! price. On a real network a wallet must be there.

use super::devnet;
use super::exit::{Code, Failure};
use super::home::Home;
use crate::drive::{self, chain_error};
use crate::seam::{OsRandom, SystemClock};
use std::path::PathBuf;
use std::sync::Arc;
use walrus_client::ClientError;
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig};
use walrus_client::network::NetworkConfig;
use walrus_client::wallet::Wallet;

/// The network that is meant when none is named.
pub const LOCAL: &str = "local";

/// SUI that a wallet on a test network keeps for gas, MIST.
const GAS: u64 = 20_000_000_000;

/// A wallet on a network.
pub struct Account {
    /// Nodes and chain.
    pub client: Arc<WalrusClient>,
    /// The wallet's drives.
    pub session: drive::Session,
    /// What the user should know about what was made on the way.
    pub made: Vec<String>,
}

fn failed(doing: &str) -> impl FnOnce(ClientError) -> Failure {
    let doing = doing.to_owned();
    move |error| Failure::from_fs(doing, chain_error("the network", error))
}

/// Finds the network `name`: `local` (started when it does not run), `mainnet`, `testnet`, a file, or a file
/// `networks/NAME.toml` in the configuration folder. Blocks.
///
/// # Errors
/// When there is no such network, or the local one cannot be started.
pub fn network(home: &Home, name: Option<&str>) -> Result<NetworkConfig, Failure> {
    let name = name.unwrap_or(LOCAL);
    if name == LOCAL {
        return devnet::ensure_running(home);
    }
    if let Some(known) = NetworkConfig::by_name(name) {
        return Ok(known);
    }
    let candidates = [PathBuf::from(name), home.config.join("networks").join(format!("{name}.toml"))];
    let file = candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failure::new(
            Code::NotFound,
            format!("there is no network `{name}`: give local, mainnet, testnet, or the path of a network file"),
        )
    })?;
    let text = std::fs::read_to_string(&file)
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
            format!("there is no wallet at {}: put one there (`walrusfs wallet --help`)", path.display()),
        ));
    }
    Ok((Wallet::create(&path).map_err(failed("a wallet cannot be made"))?, true))
}

/// Opens the wallet of `home` on `network`.
///
/// # Errors
/// When there is no wallet, or it is in use by another process, or the network names no Drive package.
pub async fn open(home: &Home, network: NetworkConfig) -> Result<Account, Failure> {
    let (wallet, new) = wallet(home, &network)?;
    let address = wallet.address();
    let config = ClientConfig::default();
    let client = WalrusClient::connect(network, config).map_err(failed("the network cannot be used"))?;
    let executor =
        Executor::open(&home.state.join("wallet"), Arc::new(wallet), client.chain().clone(), ExecutorConfig::default())
            .map_err(failed("the wallet cannot be used"))?;
    let keys = drive::keep::KeysFolder::open(&home.keys)
        .map_err(|error| Failure::from_fs("the keys folder cannot be used", error))?;
    let session = drive::Session::new(Arc::new(executor), keys, Arc::new(SystemClock), Arc::new(OsRandom))
        .map_err(|error| Failure::from_fs("the network cannot hold drives", error))?;
    let mut account = Account { client: Arc::new(client), session, made: Vec::new() };
    if new {
        account.made.push(format!("made the wallet {address}"));
        account.fund(0).await?;
    }
    Ok(account)
}

impl Account {
    /// Makes sure, on a network with a faucet, that the wallet has gas and at least `frost` FROST. Elsewhere it does
    /// nothing: what is missing is said by whatever needs it.
    ///
    /// # Errors
    /// When faucet or exchange do not answer.
    pub async fn fund(&mut self, frost: u64) -> Result<(), Failure> {
        let network = self.client.chain().network();
        if network.faucet_url.is_none() || network.exchange_object.is_none() {
            return Ok(());
        }
        let executor = &self.session.executor;
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
                self.client.buy_wal(executor, change).await.map_err(failed("WAL cannot be bought"))?;
            } else {
                self.client.request_sui(&address).await.map_err(failed("the faucet gave nothing"))?;
            }
        }
        Err(Failure::new(Code::Unfunded, format!("the faucet does not give enough for {address}")))
    }
}
