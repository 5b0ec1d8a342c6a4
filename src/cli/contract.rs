//! `walrusfs contract`: the Move package that drives are objects of, put on a network.

use super::args::{ContractCommand, NetworkArgs};
use super::exit::{Code, Failure};
use super::home::Home;
use super::session::{self, Purse};
use super::wallet::{block_on, client_failure, purse};
use super::{consent, home, output};
use crate::drive::package::Package;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use walrus_client::ClientResult;
use walrus_client::executor::Request;
use walrus_client::network::NetworkConfig;
use walrus_client::tx::Tx;
use walrus_client::wire::chain::ObjectId;

/// MIST that an unsigned transaction may burn: several times what storing the package costs.
const BUDGET: u64 = 500_000_000;

/// Runs the command.
///
/// # Errors
/// When wallet or network cannot be used, or the chain refuses the package.
pub fn run(command: &ContractCommand) -> Result<(), Failure> {
    let home = Home::open()?;
    let ContractCommand::Publish { unsigned, again, yes, network } = command;
    block_on(async {
        let package = Package::shipped().map_err(|error| Failure::from_fs("the package is damaged", error))?;
        let purse = purse(&home, network).await?;
        if *unsigned {
            return print_unsigned(&purse, &package).await;
        }
        let known = purse.client.chain().network();
        if let Some(id) = known.drive_package.filter(|_| !again) {
            let name = &known.name;
            return Err(Failure::new(
                Code::Failed,
                format!("the network {name} has the package: {id} (--again for another)"),
            ));
        }
        consent::ask(&format!("publishing the package on {} burns up to 1 SUI; go on?", known.name), *yes)?;
        output::line(publish(&home, network, &purse, &package).await?);
        Ok(())
    })
}

/// The commands: publish, and keep what allows upgrades.
fn build(tx: &mut Tx, package: &Package) -> ClientResult<()> {
    let capability = tx.publish(package.modules.clone(), package.dependencies.clone())?;
    let owner = tx.sender();
    tx.transfer(vec![capability], owner)
}

/// Publishes the package for somebody who has agreed already.
///
/// # Errors
/// As [`run`].
pub(crate) async fn publish_agreed(home: &Home, network: &NetworkArgs) -> Result<(), Failure> {
    let package = Package::shipped().map_err(|error| Failure::from_fs("the package is damaged", error))?;
    let purse = purse(home, network).await?;
    let id = publish(home, network, &purse, &package).await?;
    output::note(format!("published: {id}"));
    Ok(())
}

async fn print_unsigned(purse: &Purse, package: &Package) -> Result<(), Failure> {
    let built = purse.executor.unsigned(Request::default(), BUDGET, |tx| build(tx, package)).await;
    let built = built.map_err(client_failure("the transaction cannot be built"))?;
    let bytes = bcs::to_bytes(&built).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    output::line(STANDARD.encode(bytes));
    output::note(format!("walrusfs: to be signed by {}; nothing was sent", built.sender));
    Ok(())
}

async fn publish(home: &Home, network: &NetworkArgs, purse: &Purse, package: &Package) -> Result<ObjectId, Failure> {
    let done = purse.executor.run(Request::default(), |tx| build(tx, package)).await;
    let done = done.map_err(client_failure("the package cannot be published"))?;
    let id = done.effects.published().ok_or_else(|| Failure::new(Code::Failed, "the chain names no new package"))?;
    let config = NetworkConfig { drive_package: Some(id), ..purse.client.chain().network().clone() };
    let text = config.to_toml().map_err(client_failure("the network file cannot be written"))?;
    // A file or a YAML context is the user's own: what to add to it is said, not done.
    let name = network.network.as_deref().unwrap_or(session::LOCAL);
    if NetworkConfig::by_name(name).is_none() {
        output::note(format!("walrusfs: add to the network file: drive_package = \"{id}\""));
        return Ok(id);
    }
    let path = session::network_path(home, name);
    if let Some(folder) = path.parent() {
        home::private_dir(folder)?;
    }
    std::fs::write(&path, text)
        .map_err(|error| Failure::from_io(format!("cannot write the network file {}", path.display()), error))?;
    output::note(format!("walrusfs: `--network {name}` now means {}", path.display()));
    Ok(id)
}
