//! `walrusfs drive`: making drives and managing their storage. What costs something shows its price first.

mod revive;

use super::args::{DriveCommand, DriveCreateArgs, NetworkArgs};
use super::cost::Cost;
use super::exit::{Code, Failure};
use super::home::Home;
use super::mount::assemble;
use super::mount::request::DriveName;
use super::output;
use super::session::Account;
use super::wallet::{account, block_on, client_failure};
use crate::drive::{CreateOptions, DriveClient, Quote, Secrets};
use crate::error::FsResult;
use crate::seam::{Clock, SystemClock};
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Write};

/// Encoded capacity of a new drive unless told otherwise, bytes.
const CAPACITY: u64 = 256 << 30;

/// Runs the command.
///
/// # Errors
/// What the network or the user refused.
pub fn run(command: &DriveCommand) -> Result<(), Failure> {
    let home = Home::open()?;
    block_on(async {
        match command {
            DriveCommand::Create(args) => create(&home, args).await,
            DriveCommand::List { network, json } => list(&home, network, *json).await,
            DriveCommand::Info { drive, network, json } => info(&home, drive, network, *json).await,
            DriveCommand::Extend { drive, epochs, yes, json, network } => {
                let paid = extend(&home, drive, *epochs, *yes, network).await?;
                paid.show(*json, || format!("paid until epoch {}", paid.end_epoch))
            }
            DriveCommand::Revive { drive, capacity, epochs, yes, json, network } => {
                let wanted = Wanted { capacity: *capacity, epochs: *epochs };
                revive::run(&home, drive, wanted, (*yes, *json), network).await
            }
            DriveCommand::Resize { drive, capacity, yes, json, network } => {
                let paid = resize(&home, drive, *capacity, *yes, network).await?;
                paid.show(*json, || format!("{} of encoded capacity", output::bytes(paid.capacity_bytes)))
            }
        }
    })
}

/// Shows a price; asks when somebody is there to answer and did not answer in advance.
fn agree(what: &str, quote: &Quote, yes: bool) -> Result<(), Failure> {
    output::note(format!("{what} costs {} (paid until epoch {})", output::coins(quote.frost, "WAL"), quote.end_epoch));
    ask("pay?", yes)
}

/// Asks, when somebody is there to answer and did not answer in advance.
///
/// # Errors
/// The answer is not yes.
pub(super) fn ask(question: &str, yes: bool) -> Result<(), Failure> {
    if yes || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::from_io("cannot read the answer", error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Failed, "nothing was paid")),
    }
}

async fn create(home: &Home, args: &DriveCreateArgs) -> Result<(), Failure> {
    let DriveName::Label(label) = DriveName::parse(&args.label)? else {
        return Err(Failure::usage("a new drive needs a label, not an object id"));
    };
    if args.passphrase_file.is_some() && args.key_file.is_some() {
        return Err(Failure::usage("a new drive opens with a passphrase or with a key file; give one of them"));
    }
    let secret = match &args.passphrase_file {
        Some(path) => Some(assemble::passphrase_of(path)?),
        None => None,
    };
    let key_file = args
        .key_file
        .as_ref()
        .map(|path| std::path::absolute(path).map_err(|error| Failure::from_io("the key file's path", error)))
        .transpose()?;
    let mut account = account(home, &args.network).await?;
    let making = |error| Failure::from_fs(format!("the drive `{label}` cannot be made"), error);
    let wanted = Wanted { capacity: args.capacity, epochs: args.epochs };
    let quote = agree_on_pool(&mut account, wanted, CAPACITY, args.yes).await?.map_err(making)?;
    let Quote { bytes: capacity, epochs, .. } = quote;
    let opens_with_key = secret.is_none();
    let options = CreateOptions { label: label.clone(), capacity, epochs, secret, key_file: key_file.clone() };
    let drive = DriveClient::create(&account.session, options, assemble::holder(home)?).await.map_err(making)?;
    account.pays_for(home, &drive);
    let key_file =
        opens_with_key.then(|| key_file.unwrap_or_else(|| account.session.keys.key_path(&drive.state().uid())));
    let (id, end_epoch) = (drive.id().to_string(), quote.end_epoch);
    let paid = Paid { id, frost: quote.frost, capacity_bytes: capacity, end_epoch, key_file };
    paid.show(args.json, || paid.id.clone())?;
    if let Some(path) = &paid.key_file {
        output::note(format!("its key is in {}: keep a copy, without it nothing can be read", path.display()));
    }
    Ok(())
}

/// What a new pool shall be, where the user said it.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    capacity: Option<u64>,
    epochs: Option<u32>,
}

/// Shows what a new pool costs (`capacity` unless the user wants another), asks, and gets the money where it is free.
async fn agree_on_pool(
    account: &mut Account,
    wanted: Wanted,
    capacity: u64,
    yes: bool,
) -> Result<FsResult<Quote>, Failure> {
    let walrus = account.client.state().await.map_err(client_failure("the network cannot be read"))?;
    let free_of_charge = account.client.chain().network().faucet_url.is_some();
    let epochs = wanted.epochs.unwrap_or(if free_of_charge { walrus.max_epochs_ahead } else { 1 });
    let capacity = wanted.capacity.unwrap_or(capacity);
    let quote = match account.session.quote_create(capacity, epochs).await {
        Ok(quote) => quote,
        refused => return Ok(refused),
    };
    agree(&format!("{} of encoded capacity for {epochs} epochs", output::bytes(capacity)), &quote, yes)?;
    account.fund(with_margin(quote.frost)).await?;
    Ok(Ok(quote))
}

/// A little more than a price, so that the fees of the first writes are there too.
fn with_margin(frost: u64) -> u64 {
    frost.saturating_add(frost / 10)
}

#[derive(Serialize)]
struct Listed {
    id: String,
    label: Option<String>,
    sequence: u64,
}

async fn list(home: &Home, network: &NetworkArgs, json: bool) -> Result<(), Failure> {
    let account = account(home, network).await?;
    let drives = account
        .session
        .list(&Secrets::default())
        .await
        .map_err(|error| Failure::from_fs("the drives cannot be listed", error))?;
    let listed: Vec<Listed> = drives
        .into_iter()
        .map(|drive| Listed { id: drive.id.to_string(), label: drive.label, sequence: drive.sequence.0 })
        .collect();
    if json {
        return output::json(&listed);
    }
    for Listed { id, label, sequence } in listed {
        let label = label.unwrap_or_else(|| "(locked: no key of this home opens it)".to_owned());
        output::line(format!("{id}  sequence {sequence}  {label}"));
    }
    Ok(())
}

/// Opens the drive that `name` names with what this home has.
pub(crate) async fn open(home: &Home, name: &str, network: &NetworkArgs) -> Result<(Account, DriveClient), Failure> {
    let name = assemble::drive_name(&DriveName::parse(name)?)?;
    let account = account(home, network).await?;
    let drive = DriveClient::open(&account.session, &name, &Secrets::default(), assemble::holder(home)?)
        .await
        .map_err(|error| Failure::from_fs(format!("drive {name} cannot be opened"), error))?;
    account.pays_for(home, &drive);
    Ok((account, drive))
}

#[derive(Serialize)]
struct Info {
    id: String,
    label: String,
    network: String,
    owner: String,
    sequence: u64,
    committed_at: String,
    capacity_bytes: u64,
    used_bytes: u64,
    blobs: u64,
    end_epoch: u32,
    expires_at: String,
    writer_until: Option<String>,
    key_slots: usize,
    cost: Option<Cost>,
}

async fn info(home: &Home, name: &str, network: &NetworkArgs, json: bool) -> Result<(), Failure> {
    let (account, drive) = open(home, name, network).await?;
    let walrus = account.client.state().await.map_err(client_failure("the network cannot be read"))?;
    let state = drive.state();
    let info = Info {
        id: drive.id().to_string(),
        label: state.label.clone(),
        network: account.client.chain().network().name.clone(),
        owner: account.session.owner().to_string(),
        sequence: state.sequence().0,
        committed_at: output::time(state.facts.committed_at_ms),
        capacity_bytes: state.pool.capacity,
        used_bytes: state.pool.used,
        blobs: state.pool.blobs,
        end_epoch: state.pool.end_epoch,
        expires_at: output::time(state.pool.ends_at_ms(&walrus, SystemClock.now_ms())),
        writer_until: state.lease().map(|lease| output::time(lease.expires_at_ms)),
        key_slots: state.object.keys.len(),
        cost: account.pays_for(home, &drive).book_or_warn(),
    };
    if json {
        return output::json(&info);
    }
    output::line(format!("{} ({})", info.label, info.id));
    output::line(format!("  owner       {}", info.owner));
    output::line(format!("  committed   {} (sequence {})", info.committed_at, info.sequence));
    let (used, capacity) = (output::bytes(info.used_bytes), output::bytes(info.capacity_bytes));
    output::line(format!("  capacity    {used} of {capacity} encoded, {} blobs", info.blobs));
    output::line(format!("  paid until  {} (epoch {})", info.expires_at, info.end_epoch));
    if let Some(until) = &info.writer_until {
        output::line(format!("  a machine may write until {until}"));
    }
    if let Some(cost) = &info.cost {
        output::line(format!("  cost        {cost}"));
    }
    Ok(())
}

/// What was bought, for scripts.
#[derive(Serialize)]
struct Paid {
    id: String,
    frost: u64,
    capacity_bytes: u64,
    end_epoch: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<std::path::PathBuf>,
}

impl Paid {
    fn show(&self, json: bool, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if json {
            return output::json(self);
        }
        output::line(text());
        Ok(())
    }
}

async fn extend(home: &Home, name: &str, epochs: u32, yes: bool, network: &NetworkArgs) -> Result<Paid, Failure> {
    let (mut account, drive) = open(home, name, network).await?;
    let extending = |error| Failure::from_fs(format!("drive {name} cannot be extended"), error);
    let quote = drive.quote_extend(epochs).await.map_err(extending)?;
    agree(&format!("{epochs} more epochs"), &quote, yes)?;
    account.fund(with_margin(quote.frost)).await?;
    let pool = drive.extend(&quote).await.map_err(extending)?;
    let id = drive.id().to_string();
    Ok(Paid { id, frost: quote.frost, capacity_bytes: pool.capacity, end_epoch: pool.end_epoch, key_file: None })
}

async fn resize(home: &Home, name: &str, capacity: u64, yes: bool, network: &NetworkArgs) -> Result<Paid, Failure> {
    let (mut account, drive) = open(home, name, network).await?;
    let growing = |error| Failure::from_fs(format!("drive {name} cannot be resized"), error);
    let quote = drive.quote_resize(capacity).await.map_err(growing)?;
    agree(&format!("{} more of encoded capacity", output::bytes(quote.bytes)), &quote, yes)?;
    account.fund(with_margin(quote.frost)).await?;
    let pool = drive.resize(&quote).await.map_err(growing)?;
    let id = drive.id().to_string();
    Ok(Paid { id, frost: quote.frost, capacity_bytes: pool.capacity, end_epoch: pool.end_epoch, key_file: None })
}
