//! `walrusfs setup`: from nothing to a drive that can be mounted, with every price shown before anything is paid.
//!
//! Four questions: network, wallet, the drive's name, its size and term. Each has an answer that Return takes, and an option for
//! scripts. What exists already is found and kept, so running it again goes on where it stopped: after money has been sent to the
//! wallet, for instance.

mod dialogue;
mod wallet;

use super::args::{NetworkArgs, SecretArgs, SetupArgs};
use super::config;
use super::contract;
use super::exit::{Code, Failure};
use super::home::Home;
use super::logging;
use super::mount::assemble;
use super::mount::request::{DEFAULT_LABEL, DriveName};
use super::session::{self, Account};
use super::wallet::client_failure;
use super::{output, secrets, wallet as wallet_command};
use crate::drive::{self, CreateOptions, DriveClient, DriveSummary};
use crate::seam::{Clock, SystemClock};
use dialogue::Dialogue;
use serde::Serialize;
use std::path::PathBuf;
use walrus_client::chain::WalrusState;
use walrus_client::network::NetworkConfig;

/// What files of a new drive hold unless somebody says otherwise, bytes.
const SIZE: u64 = 50 << 30;

/// Content of a full pack where the network takes blobs of that size, the unit in which capacity is used, bytes.
const PACK: u64 = 64 << 20;

/// Full packs of capacity that a drive keeps for itself: two packs and a checkpoint.
const RESERVE: u64 = 3;

/// MIST for the first commits of a new drive, beside what making it burns.
const FIRST_COMMITS: u64 = 100_000_000;

/// MIST that making a drive certainly does not burn, for wallets too empty to ask the chain.
const CREATION: u64 = 100_000_000;

/// A year, milliseconds.
const YEAR_MS: u64 = 365 * 86_400_000;

/// What was set up, for scripts.
#[derive(Serialize)]
struct Done {
    network: String,
    address: String,
    drive: String,
    label: String,
    made: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_epoch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frost: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// What was refused; nothing has been paid then, and the next run goes on from there.
pub fn run(args: &SetupArgs) -> Result<(), Failure> {
    let home = Home::open()?;
    logging::for_command(&config::Config::load(&home)?.options(None)?)?;
    let mut dialogue = Dialogue::new(args.yes)?;
    let (name, network) = choose_network(&home, args, &mut dialogue)?;
    wallet::choose(&home, args, &network, &mut dialogue)?;
    let done = wallet_command::block_on(async {
        let network = with_package(&home, &name, network, &mut dialogue).await?;
        let mut account = session::open(&home, network).await?;
        make_drive(&home, args, &mut account, &mut dialogue).await
    })?;
    if name != session::LOCAL {
        config::set(&home, "network", Some(&name))?;
    }
    finish(args, &name, &done)
}

fn finish(args: &SetupArgs, name: &str, done: &Done) -> Result<(), Failure> {
    if args.json {
        return output::json(done);
    }
    output::line(&done.drive);
    if let Some(path) = &done.key_file {
        output::note(format!("\nThe drive's key is in {}.", path.display()));
        output::note("Keep a copy of the keys folder somewhere else: without it nothing can be read, by anybody.");
    }
    if name != session::LOCAL {
        output::note(format!("`network = \"{name}\"` is in the configuration now: no command needs --network."));
    }
    let drive = if done.label == DEFAULT_LABEL { String::new() } else { format!("{} ", done.label) };
    output::note(format!("\nMount it:  mkdir -p ~/walrus && walrusfs mount {drive}~/walrus"));
    Ok(())
}

/// The network's name and the network.
fn choose_network(home: &Home, args: &SetupArgs, dialogue: &mut Dialogue) -> Result<(String, NetworkConfig), Failure> {
    let configured = config::Config::load(home)?.options(None)?.network;
    let usual = configured.unwrap_or_else(|| session::LOCAL.to_owned());
    let mut name = args.network.network.clone();
    loop {
        let answer = match name.take() {
            Some(name) => name,
            None => {
                dialogue.say(
                    "Where should the files be? `mainnet` is the real network, `testnet` is for trying things out (it forgets),\n\
                     `local` is a network on this machine that costs nothing. A network file or client_config.yaml works too.",
                );
                dialogue.ask("Network", &usual)?
            }
        };
        let answer = super::mount::request::absolute_network(answer);
        match session::network(home, Some(&answer)) {
            Ok(network) => return Ok((answer, network)),
            Err(failure) if dialogue.can_ask() && args.network.network.is_none() => dialogue.say(failure),
            Err(failure) => return Err(failure),
        }
    }
}

/// The same network with the package that drives are objects of; publishing it when it has none is offered.
async fn with_package(
    home: &Home,
    name: &str,
    network: NetworkConfig,
    dialogue: &mut Dialogue,
) -> Result<NetworkConfig, Failure> {
    if network.drive_package.is_some() {
        return Ok(network);
    }
    let missing = || {
        Failure::new(
            Code::Failed,
            format!(
                "the network {name} has no package for drives; `walrusfs contract publish --network {name}` puts it there"
            ),
        )
    };
    dialogue.say(format!(
        "\nNobody has told this machine of a package for drives on {name}. If you know its id, put it into a network file \
         (drive_package). Otherwise it can be published now, once, for up to 1 SUI of gas."
    ));
    if !dialogue.agree("Publish it?")? {
        return Err(missing());
    }
    let args = NetworkArgs { network: Some(name.to_owned()) };
    contract::publish_agreed(home, &args).await?;
    let network = session::network(home, Some(name))?;
    if network.drive_package.is_some() { Ok(network) } else { Err(missing()) }
}

/// Content of a full pack on this network: one with few shards takes no large blobs.
fn full_pack(walrus: &WalrusState) -> u64 {
    walrus.committee.params().max_blob_size().clamp(1, PACK)
}

/// Encoded bytes that hold `size` bytes of files: full packs, and what the drive keeps for itself.
fn capacity_for(walrus: &WalrusState, size: u64) -> Result<u64, Failure> {
    let pack = full_pack(walrus);
    let encoded = walrus.encoded_size(pack).map_err(client_failure("the capacity cannot be computed"))?;
    size.div_ceil(pack)
        .checked_add(RESERVE)
        .and_then(|packs| packs.checked_mul(encoded))
        .ok_or_else(|| Failure::usage(format!("{} are more than any drive can hold", output::bytes(size))))
}

/// Days that an epoch lasts, for people.
fn days(ms: u64) -> String {
    let hours = ms / 3_600_000;
    match (hours / 24, hours) {
        (0, 0) => format!("{} minutes", ms / 60_000),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

/// The drive that is wanted: its size and its term.
struct Wish {
    label: String,
    size: u64,
    epochs: u32,
}

async fn wish(
    args: &SetupArgs,
    account: &Account,
    walrus: &WalrusState,
    label: String,
    dialogue: &mut Dialogue,
) -> Result<Wish, Failure> {
    let size = match args.size {
        Some(size) => size,
        None => {
            dialogue.say("\nHow much should fit? The drive can grow later.");
            dialogue.ask_parsed("Size", &output::size(SIZE), super::options::parse_size)?
        }
    };
    let most = walrus.max_epochs_ahead;
    let free = account.client.chain().network().faucet_url.is_some();
    let year = u32::try_from(YEAR_MS.div_ceil(walrus.epoch_duration_ms.max(1))).unwrap_or(most);
    let usual = if free { most } else { year.min(most) };
    let epochs = match args.epochs {
        Some(epochs) => epochs,
        None => {
            let length = days(walrus.epoch_duration_ms);
            dialogue.say(format!(
                "\nStorage is paid for in epochs of {length}, at most {most} ahead, and can be extended before it ends. What is \
                 not extended is gone."
            ));
            dialogue.ask_parsed("Epochs", &usual.to_string(), |text| {
                text.parse()
                    .ok()
                    .filter(|epochs| (1..=most).contains(epochs))
                    .ok_or_else(|| format!("1 to {most}, please"))
            })?
        }
    };
    Ok(Wish { label, size, epochs })
}

async fn make_drive(
    home: &Home,
    args: &SetupArgs,
    account: &mut Account,
    dialogue: &mut Dialogue,
) -> Result<Done, Failure> {
    for line in std::mem::take(&mut account.made) {
        dialogue.say(line);
    }
    let drive = args.name.as_deref().map(DriveName::parse).transpose()?;
    let options = config::Config::load(home)?.options(drive.as_ref())?;
    let opening = secrets::given(&options, &SecretArgs::default())?;
    let listed = account.session.list(&opening).await;
    let drives = listed.map_err(|error| Failure::from_fs("the drives cannot be listed", error))?;
    let label = match &args.name {
        Some(name) => name.clone(),
        None => {
            if !drives.is_empty() {
                let names: Vec<&str> =
                    drives.iter().map(|drive| drive.label.as_deref().unwrap_or("(locked)")).collect();
                dialogue.say(format!("\nThis wallet has drives already: {}.", names.join(", ")));
            }
            dialogue.say("\nA drive has a name, which only those see who hold its key.");
            dialogue.ask("Drive", DEFAULT_LABEL)?
        }
    };
    DriveName::parse(&label)?;
    if let Some(drive) = drives.into_iter().find(|drive| drive.label.as_ref() == Some(&label)) {
        dialogue.say(format!("The drive `{label}` exists; nothing is to be paid."));
        if args.size.is_some() || args.epochs.is_some() {
            dialogue
                .say("--size and --epochs are of a new drive: `walrusfs drive resize` and `drive extend` change one.");
        }
        return Ok(existing(account, drive, label));
    }
    let walrus = account.client.state().await.map_err(client_failure("the network cannot be read"))?;
    let wish = wish(args, account, &walrus, label, dialogue).await?;
    pay(home, account, &walrus, wish, dialogue).await
}

fn existing(account: &Account, drive: DriveSummary, label: String) -> Done {
    let key = account.session.keys.key_path(&drive.uid);
    Done {
        network: account.client.chain().network().name.clone(),
        address: account.session.owner().to_string(),
        drive: drive.id.to_string(),
        label,
        made: false,
        key_file: Some(key).filter(|path| path.exists()),
        capacity_bytes: None,
        end_epoch: None,
        frost: None,
    }
}

async fn pay(
    home: &Home,
    account: &mut Account,
    walrus: &WalrusState,
    wish: Wish,
    dialogue: &mut Dialogue,
) -> Result<Done, Failure> {
    let Wish { label, size, epochs } = wish;
    let making = |error| Failure::from_fs(format!("the drive `{label}` cannot be made"), error);
    let capacity = capacity_for(walrus, size)?;
    let quote = account.session.quote_create(capacity, epochs).await.map_err(making)?;
    let pack = full_pack(walrus);
    let write = walrus.write_cost(pack).map_err(client_failure("the price of writing cannot be computed"))?;
    let gibibyte = write.saturating_mul((1_u64 << 30).div_ceil(pack));
    // What the first gigabyte of writing costs is wanted too, and on a network with a faucet all of it can be had.
    let wal = quote.frost.saturating_add(gibibyte);
    let free = account.client.chain().network().faucet_url.is_some();
    if free {
        account.fund(wal).await?;
    }
    let gas = loop {
        let balances = account.session.executor.balances().await;
        let (mist, frost) = balances.map_err(client_failure("the balance cannot be read"))?;
        let gas = match drive::gas_of_create(&account.session, &label, capacity, epochs).await {
            Ok(gas) => gas,
            Err(error) if error.kind() == crate::error::Kind::Unfunded => CREATION,
            Err(error) => return Err(making(error)),
        };
        let ends = SystemClock.now_ms().saturating_add(u64::from(epochs).saturating_mul(walrus.epoch_duration_ms));
        dialogue.say(format!(
            "\nDrive `{label}` for {} of files, paid until {} ({epochs} epochs):\n\
             \x20 storage    {} for {} of encoded capacity\n\
             \x20 gas        at most {}; most of it is for keeping the drive's object on the chain\n\
             \x20 writing    {} for each GiB, when you write it, and some gas for each commit\n\
             \x20 wallet     {} and {} at {}",
            output::bytes(size),
            &output::time(ends)[..10],
            output::coins(quote.frost, "WAL"),
            output::bytes(capacity),
            output::coins(gas, "SUI"),
            output::coins(gibibyte, "WAL"),
            output::coins(frost, "WAL"),
            output::coins(mist, "SUI"),
            account.session.owner(),
        ));
        let sui = gas.saturating_add(FIRST_COMMITS);
        if mist >= sui && frost >= quote.frost {
            break gas;
        }
        let missing = format!(
            "send {} and {} to {}",
            output::coins(wal.saturating_sub(frost), "WAL"),
            output::coins(sui.saturating_sub(mist), "SUI"),
            account.session.owner()
        );
        if !dialogue.can_ask() {
            return Err(Failure::new(Code::Unfunded, format!("{missing}, then run `walrusfs setup` again")));
        }
        dialogue.say(format!("\nThe wallet has too little: {missing}."));
        dialogue.wait("Return looks again, Ctrl-C stops (setup goes on from here the next time)")?;
    };
    if !dialogue.agree(&format!(
        "\nPay {} and up to {}?",
        output::coins(quote.frost, "WAL"),
        output::coins(gas, "SUI")
    ))? {
        return Err(Failure::new(Code::Failed, "nothing was paid"));
    }
    let options = CreateOptions { label: label.clone(), capacity, epochs, secret: None, key_file: None };
    let made = DriveClient::create(&account.session, options, assemble::holder(home)?).await.map_err(making)?;
    account.pays_for(home, &made);
    Ok(Done {
        network: account.client.chain().network().name.clone(),
        address: account.session.owner().to_string(),
        drive: made.id().to_string(),
        label,
        made: true,
        key_file: Some(account.session.keys.key_path(&made.state().uid())),
        capacity_bytes: Some(capacity),
        end_epoch: Some(quote.end_epoch),
        frost: Some(quote.frost),
    })
}
