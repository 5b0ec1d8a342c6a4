//! `walrusfs wallet`: the address that owns drives and pays for storage.

use super::args::{NetworkArgs, WalletCommand};
use super::config::Config;
use super::exit::{Code, Failure};
use super::home::Home;
use super::logging;
use super::output;
use super::session::{self, Account, Purse};
use crate::drive::chain_error;
use serde::Serialize;
use std::path::Path;
use sui_sdk_types::Address;
use walrus_client::wallet::Wallet;
use walrus_client::{ClientError, foreign};

/// Runs the command.
///
/// # Errors
/// When wallet, network or faucet cannot be used.
pub fn run(command: &WalletCommand) -> Result<(), Failure> {
    let home = Home::open()?;
    match command {
        WalletCommand::Address { network, json } => address(&home, network, *json),
        WalletCommand::Balance { network, json } => balance(&home, network, *json),
        WalletCommand::Fund { network, json } => fund(&home, network, *json),
        WalletCommand::Import { file, address } => import(&home, file.as_deref(), *address),
    }
}

/// Opens the wallet on the network that was named, and says what was made for it.
///
/// # Errors
/// As [`session::open`].
pub(crate) async fn account(home: &Home, network: &NetworkArgs) -> Result<Account, Failure> {
    let config = tokio::task::block_in_place(|| session::network(home, network.network.as_deref()))?;
    let mut account = session::open(home, config).await?;
    for line in std::mem::take(&mut account.made) {
        output::note(line);
    }
    Ok(account)
}

/// The same, on a network that need not hold drives.
///
/// # Errors
/// As [`session::purse`].
pub(crate) async fn purse(home: &Home, network: &NetworkArgs) -> Result<Purse, Failure> {
    let config = tokio::task::block_in_place(|| session::network(home, network.network.as_deref()))?;
    let mut purse = session::purse(home, config).await?;
    for line in std::mem::take(&mut purse.made) {
        output::note(line);
    }
    Ok(purse)
}

/// Runs `work` on a runtime of its own, with warnings on stderr.
///
/// # Errors
/// What `work` came to.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    logging::for_command(&Config::load(&Home::open()?)?.options(None)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from_io("cannot start the runtime", error))?;
    runtime.block_on(work)
}

/// Says what was being done when the client failed.
pub(crate) fn client_failure(doing: &str) -> impl FnOnce(ClientError) -> Failure {
    let doing = doing.to_owned();
    move |error| Failure::from_fs(&doing, chain_error(&doing, error))
}

fn show_address(address: &Address, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&serde_json::json!({ "address": address.to_string() }));
    }
    output::line(address);
    Ok(())
}

fn address(home: &Home, network: &NetworkArgs, json: bool) -> Result<(), Failure> {
    let path = session::wallet_path(home);
    if path.exists() {
        let wallet = Wallet::load(&path).map_err(client_failure("the wallet cannot be read"))?;
        return show_address(&wallet.address(), json);
    }
    block_on(async {
        let purse = purse(home, network).await?;
        show_address(&purse.executor.wallet().address(), json)
    })
}

#[derive(Serialize)]
struct Balance {
    address: String,
    network: String,
    mist: u64,
    frost: u64,
}

fn balance(home: &Home, network: &NetworkArgs, json: bool) -> Result<(), Failure> {
    block_on(async {
        let purse = purse(home, network).await?;
        show_balance(&purse, json).await
    })
}

async fn show_balance(purse: &Purse, json: bool) -> Result<(), Failure> {
    let balances = purse.executor.balances().await;
    let (mist, frost) = balances.map_err(client_failure("the balance cannot be read"))?;
    if json {
        return output::json(&Balance {
            address: purse.executor.wallet().address().to_string(),
            network: purse.client.chain().network().name.clone(),
            mist,
            frost,
        });
    }
    output::line(output::coins(mist, "SUI"));
    output::line(output::coins(frost, "WAL"));
    Ok(())
}

/// Part of what the faucet gives that is changed for WAL.
const FOR_WAL: u64 = 2;

fn fund(home: &Home, network: &NetworkArgs, json: bool) -> Result<(), Failure> {
    block_on(async {
        let purse = purse(home, network).await?;
        let executor = &purse.executor;
        let failed = client_failure("the wallet cannot be funded");
        let funded = async {
            let (before, _) = executor.balances().await?;
            purse.client.request_sui(&purse.executor.wallet().address()).await?;
            let (after, _) = executor.balances().await?;
            if purse.client.chain().network().exchange_object.is_some() {
                let mist = after.saturating_sub(before) / FOR_WAL;
                if mist > 0 {
                    purse.client.buy_wal(executor, mist).await?;
                }
            }
            Ok(())
        };
        funded.await.map_err(failed)?;
        show_balance(&purse, json).await
    })
}

/// Takes a key from the files of Sui's or Walrus's own command line.
fn import(home: &Home, file: Option<&Path>, address: Option<Address>) -> Result<(), Failure> {
    let target = session::wallet_path(home);
    if target.exists() {
        return Err(Failure::new(
            Code::Failed,
            format!(
                "there is a wallet at {}: move it away first (it owns whatever was made with it)",
                target.display()
            ),
        ));
    }
    let default = || {
        let user = std::env::var_os("HOME").filter(|home| !home.is_empty());
        foreign::default_sui_config(Path::new(&user.unwrap_or_default()))
    };
    let file = file.map_or_else(default, Path::to_owned);
    let failed = |error| client_failure("the key cannot be imported")(error);
    let wallet = foreign::wallet(&file, address).map_err(failed)?;
    wallet.save(&target).map_err(failed)?;
    output::line(wallet.address());
    output::note(
        "walrusfs: leave this address to walrusfs alone: when another program spends its coins at the same time, transactions of both \
         fail",
    );
    Ok(())
}
