//! `walrusfs drive`: making drives and managing their storage. What costs something shows its price first.

mod keys;
mod revive;

use super::args::{DriveArgs, DriveCommand, DriveCreateArgs, NetworkArgs, SecretArgs};
use super::config::Config;
use super::consent::{agree, nobody};
use super::cost::Cost;
use super::exit::{Code, Failure};
use super::home::Home;
use super::mount::assemble;
use super::mount::request::DriveName;
use super::output;
use super::secrets;
use super::session::Account;
use super::wallet::{account, block_on, client_failure};
use crate::drive::{CreateOptions, DriveClient, Quote, Secrets};
use crate::error::{FsResult, Kind};
use crate::seam::{Clock, SystemClock};
use serde::Serialize;
use std::path::Path;

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
            DriveCommand::List { network, secrets, json } => list(&home, network, secrets, *json).await,
            DriveCommand::Info { drive, json } => info(&home, drive, *json).await,
            DriveCommand::Extend { drive, epochs, yes, json } => {
                let paid = extend(&home, drive, *epochs, *yes).await?;
                paid.show(*json, || format!("paid until epoch {}", paid.end_epoch))
            }
            DriveCommand::Revive { drive, capacity, epochs, yes, json } => {
                let wanted = Wanted { capacity: *capacity, epochs: *epochs };
                revive::run(&home, drive, wanted, (*yes, *json)).await
            }
            DriveCommand::Resize { drive, capacity, yes, json } => {
                let paid = resize(&home, drive, *capacity, *yes).await?;
                paid.show(*json, || format!("{} of encoded capacity", output::bytes(paid.capacity_bytes)))
            }
            DriveCommand::Key(command) => keys::run(&home, command).await,
        }
    })
}

async fn create(home: &Home, args: &DriveCreateArgs) -> Result<(), Failure> {
    let DriveName::Label(label) = DriveName::parse(&args.label)? else {
        return Err(Failure::usage("a new drive needs a label, not an object id"));
    };
    if args.passphrase_file.is_some() && args.key_file.is_some() {
        return Err(Failure::usage("a new drive opens with a passphrase or with a key file; give one of them"));
    }
    let secret = match &args.passphrase_file {
        Some(path) => Some(secrets::passphrase_of(path)?),
        None => None,
    };
    let key_file = args
        .key_file
        .as_ref()
        .map(|path| std::path::absolute(path).map_err(|error| Failure::from_io("the key file's path", error)))
        .transpose()?;
    if let Some(path) = &key_file {
        check_new_key_file(path)?;
    }
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

/// Whether a new key file can be written there, looked at before anything is paid.
fn check_new_key_file(path: &Path) -> Result<(), Failure> {
    let failed = |code, why: &str| Err(Failure::new(code, format!("the key file {} {why}", path.display())));
    match path.parent() {
        Some(folder) if !folder.is_dir() => failed(Code::NotFound, "cannot be written: its folder does not exist"),
        _ if path.exists() => failed(Code::Failed, "exists already: a new drive's key goes to a new file"),
        _ => Ok(()),
    }
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
    let (size, term) = (output::bytes(capacity), output::count(u64::from(epochs), "epoch"));
    agree(&format!("{size} of encoded capacity for {term}"), &quote, yes)?;
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

async fn list(home: &Home, network: &NetworkArgs, named: &SecretArgs, json: bool) -> Result<(), Failure> {
    let secrets = secrets::given(&Config::load(home)?.options(None)?, named)?;
    let account = account(home, network).await?;
    let drives =
        account.session.list(&secrets).await.map_err(|error| Failure::from_fs("the drives cannot be listed", error))?;
    let listed: Vec<Listed> = drives
        .into_iter()
        .map(|drive| Listed { id: drive.id.to_string(), label: drive.label, sequence: drive.sequence.0 })
        .collect();
    if json {
        return output::json(&listed);
    }
    for Listed { id, label, sequence } in listed {
        let label = label.unwrap_or_else(|| "(locked: nothing at hand opens it)".to_owned());
        output::line(format!("{id}  sequence {sequence}  {label}"));
    }
    Ok(())
}

/// Opens a drive with all that opens it for a mount, and with what the command line gives beside.
///
/// # Errors
/// As [`open_keeping_secrets`].
pub(super) async fn open(home: &Home, target: &DriveArgs) -> Result<(Account, DriveClient), Failure> {
    let (account, drive, _) = open_keeping_secrets(home, target).await?;
    Ok((account, drive))
}

/// The same; also answers what was given to open it.
///
/// # Errors
/// [`Code::WrongKey`] when nothing opens it; [`Code::NotFound`]; what network, wallet or configuration refused.
async fn open_keeping_secrets(home: &Home, target: &DriveArgs) -> Result<(Account, DriveClient, Secrets), Failure> {
    let parsed = DriveName::parse(&target.name)?;
    let name = assemble::drive_name(&parsed)?;
    let options = Config::load(home)?.options(Some(&parsed))?;
    let mut secrets = secrets::given(&options, &target.secrets)?;
    let network = NetworkArgs { network: target.network.network.clone().or(options.network) };
    let account = account(home, &network).await?;
    let holder = assemble::holder(home)?;
    let mut opened = DriveClient::open(&account.session, &name, &secrets, holder).await;
    if opened.as_ref().is_err_and(|error| error.kind() == Kind::WrongKey) && secrets.0.is_empty() && nobody().is_none()
    {
        secrets.0.push(secrets::typed(&parsed.source())?);
        opened = DriveClient::open(&account.session, &name, &secrets, holder).await;
    }
    let drive = opened.map_err(|error| {
        let advice = match error.kind() {
            Kind::WrongKey if secrets.0.is_empty() => {
                " with what this home has; give --key-file FILE or --passphrase-file FILE, or run at a terminal"
            }
            _ => "",
        };
        Failure::from_fs(format!("drive {name} cannot be opened{advice}"), error)
    })?;
    account.pays_for(home, &drive);
    Ok((account, drive, secrets))
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

async fn info(home: &Home, target: &DriveArgs, json: bool) -> Result<(), Failure> {
    let (account, drive) = open(home, target).await?;
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

async fn extend(home: &Home, target: &DriveArgs, epochs: u32, yes: bool) -> Result<Paid, Failure> {
    let name = &target.name;
    let (mut account, drive) = open(home, target).await?;
    let extending = |error| Failure::from_fs(format!("drive {name} cannot be extended"), error);
    let quote = drive.quote_extend(epochs).await.map_err(extending)?;
    agree(&format!("{} more", output::count(u64::from(epochs), "epoch")), &quote, yes)?;
    account.fund(with_margin(quote.frost)).await?;
    let pool = drive.extend(&quote).await.map_err(extending)?;
    let id = drive.id().to_string();
    Ok(Paid { id, frost: quote.frost, capacity_bytes: pool.capacity, end_epoch: pool.end_epoch, key_file: None })
}

async fn resize(home: &Home, target: &DriveArgs, capacity: u64, yes: bool) -> Result<Paid, Failure> {
    let name = &target.name;
    let (mut account, drive) = open(home, target).await?;
    let growing = |error| Failure::from_fs(format!("drive {name} cannot be resized"), error);
    let has = drive.state().pool.capacity;
    if capacity <= has {
        let (has, wanted) = (output::bytes(has), output::bytes(capacity));
        let why =
            format!("it has {has} of encoded capacity, and {wanted} is not more: capacity is bought, never given back");
        return Err(Failure::new(Code::Failed, format!("drive {name} cannot be resized: {why}")));
    }
    let quote = drive.quote_resize(capacity).await.map_err(growing)?;
    agree(&format!("{} more of encoded capacity", output::bytes(quote.bytes)), &quote, yes)?;
    account.fund(with_margin(quote.frost)).await?;
    let pool = drive.resize(&quote).await.map_err(growing)?;
    let id = drive.id().to_string();
    Ok(Paid { id, frost: quote.frost, capacity_bytes: pool.capacity, end_epoch: pool.end_epoch, key_file: None })
}
