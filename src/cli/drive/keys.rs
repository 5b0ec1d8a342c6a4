//! `walrusfs drive key`: the ways to open a drive.
//!
//! A change of the slots is a new state of the drive, as a commit is. What waits in this machine's journal stands on the
//! state before, so it is committed first, and no mount of this machine writes meanwhile (its lock is held).

use super::open_keeping_secrets;
use crate::cli::args::{DriveArgs, KeyCommand};
use crate::cli::consent;
use crate::cli::exit::{Code, Failure};
use crate::cli::home::Home;
use crate::cli::mount::assemble::Service;
use crate::cli::mount::unmounted::{Access, unmounted};
use crate::cli::{output, secrets};
use crate::crypto::slots::{Argon2Cost, KeyFile, SlotKind, SlotSecret};
use crate::drive::{DriveClient, SlotFacts, keep};
use crate::error::{FsError, Kind};
use crate::seam::OsRandom;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs the command.
///
/// # Errors
/// [`Code::WrongKey`] when the drive does not open; [`Code::Busy`] or [`Code::LeaseHeld`] when it is mounted for writing;
/// what the chain refused.
pub(super) async fn run(home: &Home, command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::List { drive, json } => list(home, drive, *json).await,
        KeyCommand::Add { drive, new_passphrase_file, new_key_file, json } => {
            let new = New::parse(drive, new_passphrase_file.as_deref(), new_key_file.as_deref())?;
            add(home, drive, new, *json).await
        }
        KeyCommand::Remove { drive, index, yes } => remove(home, drive, *index, *yes).await,
        KeyCommand::Rotate { drive, drop_others, json } => rotate(home, drive, *drop_others, *json).await,
    }
}

/// A slot, for scripts.
#[derive(Serialize)]
struct Shown {
    index: u32,
    kind: &'static str,
    key_epoch: u32,
    /// Whether a secret at hand opens it.
    opens_here: bool,
    /// What one guess at a passphrase costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    argon2: Option<Cost>,
}

#[derive(Serialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl From<Argon2Cost> for Cost {
    fn from(cost: Argon2Cost) -> Self {
        let Argon2Cost { memory_kib, passes, lanes } = cost;
        Self { memory_kib, passes, lanes }
    }
}

fn kind_name(slot: &SlotFacts) -> &'static str {
    slot.kind.map_or("unknown", SlotKind::name)
}

/// An open drive and every secret at hand: the key file of the keys folder, and what was given.
struct Opened {
    account: crate::cli::session::Account,
    drive: DriveClient,
    at_hand: Vec<SlotSecret>,
}

impl Opened {
    async fn open(home: &Home, target: &DriveArgs) -> Result<Self, Failure> {
        let (account, drive, given) = open_keeping_secrets(home, target).await?;
        let kept = account.session.keys.key_file(&drive.state().uid());
        let kept = kept.map_err(|error| Failure::from_fs("the keys folder cannot be used", error))?;
        let at_hand = kept.map(SlotSecret::KeyFile).into_iter().chain(given.0).collect();
        Ok(Self { account, drive, at_hand })
    }
}

/// Which of `at_hand` opens the slot `index`. Computes for about a second for each passphrase.
fn opener(drive: &DriveClient, index: u32, at_hand: &[SlotSecret]) -> Option<usize> {
    tokio::task::block_in_place(|| at_hand.iter().position(|secret| drive.opens(index, secret)))
}

async fn list(home: &Home, target: &DriveArgs, json: bool) -> Result<(), Failure> {
    let Opened { drive, at_hand, .. } = Opened::open(home, target).await?;
    let shown = |slot: SlotFacts| Shown {
        index: slot.index,
        kind: kind_name(&slot),
        key_epoch: slot.key_epoch.0,
        opens_here: opener(&drive, slot.index, &at_hand).is_some(),
        argon2: slot.cost.map(Cost::from),
    };
    let slots: Vec<Shown> = drive.slots().into_iter().map(shown).collect();
    if json {
        return output::json(&slots);
    }
    for Shown { index, kind, key_epoch, opens_here, argon2 } in slots {
        let here = if opens_here { "  opens here" } else { "" };
        let cost = argon2.map(|Cost { memory_kib, passes, .. }| {
            format!("  Argon2id with {} and {passes} passes", output::bytes(u64::from(memory_kib) << 10))
        });
        output::line(format!("{index}  {kind:<10}  key epoch {key_epoch}{}{here}", cost.unwrap_or_default()));
    }
    Ok(())
}

/// The drive without a mount, all that this machine has of it committed, and its lock held until this is dropped.
async fn alone(home: &Home, opened: Opened, doing: &str) -> Result<(Arc<Service>, Vec<SlotSecret>), Failure> {
    let Opened { account, drive, at_hand } = opened;
    let service = unmounted(home, &account, drive, Access::default()).await?;
    let synced = service.engine.sync().await;
    service.engine.stop().await;
    synced.map_err(|error| Failure::from_fs(doing, error))?;
    Ok((service, at_hand))
}

/// Gives the lease back that the change has taken; it ends by itself when that fails.
async fn give_lease(drive: &DriveClient) {
    if let Err(error) = drive.release_lease().await {
        tracing::warn!(%error, "the right to write is not given back; it ends by itself");
    }
}

/// What a new slot opens with.
enum New {
    Passphrase(SlotSecret),
    /// A key file; the second value tells whether it is still to be written.
    KeyFile(PathBuf, KeyFile, bool),
}

impl New {
    fn parse(target: &DriveArgs, passphrase: Option<&Path>, key: Option<&Path>) -> Result<Self, Failure> {
        match (passphrase, key) {
            (Some(path), _) => Ok(Self::Passphrase(secrets::passphrase_of(path)?)),
            (None, Some(path)) => Self::key_file(path),
            (None, None) => match consent::nobody() {
                Some(why) => Err(Failure::usage(format!(
                    "nothing was changed: {why} to ask for a passphrase at; give --new-passphrase-file FILE or --new-key-file FILE"
                ))),
                None => Ok(Self::Passphrase(secrets::typed_twice(&target.name)?)),
            },
        }
    }

    fn key_file(path: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::from_fs(format!("the key file {} cannot be used", path.display()), error);
        let path = std::path::absolute(path).map_err(|error| Failure::from_io("the key file's path", error))?;
        match keep::read_key_file(&path).map_err(failed)? {
            Some(key) => Ok(Self::KeyFile(path, key, false)),
            None => super::check_new_key_file(&path).map(|()| Self::KeyFile(path, KeyFile::generate(&OsRandom), true)),
        }
    }
}

/// What was added, for scripts.
#[derive(Serialize)]
struct Added {
    index: u32,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
}

async fn add(home: &Home, target: &DriveArgs, new: New, json: bool) -> Result<(), Failure> {
    let name = &target.name;
    let doing = format!("{name} gets no key slot");
    let opened = Opened::open(home, target).await?;
    let (service, _) = alone(home, opened, &doing).await?;
    let failed = |error| Failure::from_fs(&doing, error);
    let (secret, file, fresh) = match new {
        New::Passphrase(secret) => (secret, None, false),
        New::KeyFile(path, key, fresh) => {
            if fresh {
                // Durable before the chain knows it, as for a new drive.
                keep::write_key_file(&path, &key).map_err(failed)?;
            }
            (SlotSecret::KeyFile(key), Some(path), fresh)
        }
    };
    let kind = secret.kind();
    let added = service.drive.add_slot(&secret).await;
    if let (Err(error), Some(path), true) = (&added, &file, fresh) {
        // A slot that surely was not made leaves no file; one whose making is not known yet may need it.
        if error.kind() != Kind::Unreachable {
            let _ = std::fs::remove_file(path);
        }
    }
    give_lease(&service.drive).await;
    let index = added.map_err(failed)?;
    if json {
        return output::json(&Added { index, kind: kind.name(), key_file: file });
    }
    output::line(format!("slot {index} ({}) opens {name}", kind.name()));
    match file {
        Some(path) => output::note(format!("its key is in {}", path.display())),
        None => output::note("the slot stands on a public chain for ever, where anyone can guess at the passphrase"),
    }
    Ok(())
}

async fn remove(home: &Home, target: &DriveArgs, index: u32, yes: bool) -> Result<(), Failure> {
    let name = &target.name;
    let doing = format!("slot {index} of {name} stays");
    let opened = Opened::open(home, target).await?;
    let slots = opened.drive.slots();
    let slot = slots.iter().find(|slot| slot.index == index).copied();
    let slot = slot.ok_or_else(|| Failure::new(Code::NotFound, format!("{name} has no key slot {index}")))?;
    let mut others = slots.iter().filter(|slot| slot.index != index).peekable();
    if others.peek().is_none() {
        let next = format!("add another first (`walrusfs drive key add {name}`)");
        return Err(Failure::new(Code::Failed, format!("{doing}: nothing else opens the drive; {next}")));
    }
    if !others.any(|slot| opener(&opened.drive, slot.index, &opened.at_hand).is_some()) {
        output::note(format!("nothing at hand opens {name} without slot {index}: make sure that you have what does"));
    }
    consent::ask_to_change(&format!("remove slot {index} ({}) of {name}?", kind_name(&slot)), yes)?;
    let (service, _) = alone(home, opened, &doing).await?;
    let removed = service.drive.remove_slot(index).await;
    give_lease(&service.drive).await;
    removed.map_err(|error| Failure::from_fs(&doing, error))?;
    output::line(format!("slot {index} ({}) does not open {name} any more", kind_name(&slot)));
    output::note(format!(
        "the chain's past still shows it: `walrusfs drive key rotate {name}` keeps what is written from now on from whoever has its \
         secret"
    ));
    Ok(())
}

/// The keys after a rotation, for scripts.
#[derive(Serialize)]
struct Rotated {
    key_epoch: u32,
    slots: Vec<Added>,
    /// The slots of before that were left out.
    dropped: Vec<u32>,
}

async fn rotate(home: &Home, target: &DriveArgs, drop_others: bool, json: bool) -> Result<(), Failure> {
    let name = &target.name;
    let doing = format!("the keys of {name} stay as they are");
    let mut opened = Opened::open(home, target).await?;
    let (mut used, mut dropped) = (Vec::new(), Vec::new());
    for slot in opened.drive.slots() {
        let found = opener(&opened.drive, slot.index, &opened.at_hand);
        match found.map_or_else(|| typed(&mut opened, &slot, name, drop_others), |found| Ok(Some(found)))? {
            // One secret may open several slots; one of them is enough.
            Some(at) if used.contains(&at) => {}
            Some(at) => used.push(at),
            None if drop_others => dropped.push(slot.index),
            None => {
                let what = format!("nothing at hand opens its slot {} ({})", slot.index, kind_name(&slot));
                let next = "give --key-file or --passphrase-file for it too, or --drop-others to leave it out";
                return Err(Failure::new(Code::WrongKey, format!("{doing}: {what}; {next}")));
            }
        }
    }
    let (service, at_hand) = alone(home, opened, &doing).await?;
    let kept = at_hand.into_iter().enumerate().filter(|(at, _)| used.contains(at));
    let kept: Vec<SlotSecret> = kept.map(|(_, secret)| secret).collect();
    let rotated = service.drive.rotate_keys(&kept).await;
    give_lease(&service.drive).await;
    rotated.map_err(|error: FsError| Failure::from_fs(&doing, error))?;
    let key_epoch = service.drive.keys().current().0;
    let slots = service.drive.slots();
    if json {
        let added = |slot: &SlotFacts| Added { index: slot.index, kind: kind_name(slot), key_file: None };
        return output::json(&Rotated { key_epoch, slots: slots.iter().map(added).collect(), dropped });
    }
    output::line(format!("{name} has a new key (epoch {key_epoch}) for what is written from now on"));
    for slot in &slots {
        output::line(format!("  slot {} ({}) opens it", slot.index, kind_name(slot)));
    }
    output::note(
        "what was written before stays readable to whoever had the old key; machines that read the drive mount it again",
    );
    Ok(())
}

/// Asks for the passphrase of a slot that nothing at hand opens, where somebody can type it and the slot shall be kept.
fn typed(opened: &mut Opened, slot: &SlotFacts, name: &str, drop_others: bool) -> Result<Option<usize>, Failure> {
    if drop_others || slot.kind != Some(SlotKind::Passphrase) || consent::nobody().is_some() {
        return Ok(None);
    }
    opened.at_hand.push(secrets::typed(&format!("slot {} of {name}", slot.index))?);
    let last = opened.at_hand.len() - 1;
    let opens = tokio::task::block_in_place(|| opened.drive.opens(slot.index, &opened.at_hand[last]));
    match opens {
        true => Ok(Some(last)),
        false => {
            Err(Failure::new(Code::WrongKey, format!("the passphrase does not open slot {} of {name}", slot.index)))
        }
    }
}
