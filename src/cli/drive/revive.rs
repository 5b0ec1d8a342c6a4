//! `walrusfs drive revive`: a new storage pool for a drive whose storage has ended, and everything back into it that is left.

use super::{Wanted, agree_on_pool, open};
use crate::check::revive::{Kept, Revived, bring_back, kept, missing};
use crate::check::{Certain, Subject, WalrusStorage};
use crate::cli::args::DriveArgs;
use crate::cli::exit::{Code, Failure};
use crate::cli::home::Home;
use crate::cli::mount::assemble::Service;
use crate::cli::mount::unmounted::{Access, unmounted};
use crate::cli::output::{self, Progress};
use crate::cli::session::Account;
use crate::cli::wallet::client_failure;
use crate::error::FsError;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;

#[derive(Serialize)]
struct Outcome {
    id: String,
    /// What the new pool cost; 0 when there was one already.
    frost: u64,
    capacity_bytes: u64,
    end_epoch: u32,
    /// What was missing, and what of it this machine had.
    missing: Kept,
    #[serde(flatten)]
    revived: Revived,
}

/// Runs the command; `(yes, json)` are the options of these names.
pub(super) async fn run(
    home: &Home,
    target: &DriveArgs,
    wanted: Wanted,
    (yes, json): (bool, bool),
) -> Result<(), Failure> {
    let name = &target.name;
    let (mut account, drive) = open(home, target).await?;
    let service = unmounted(home, &account, drive, Access { read_only: false, damaged: false }).await?;
    let revived = revive(&mut account, &service, name, wanted, yes).await;
    // Also after a refusal: the lease goes back.
    service.engine.stop().await;
    let outcome = revived?;
    show(&outcome, json)?;
    match outcome.revived.lost.len() {
        0 => Ok(()),
        lost => Err(Failure::new(
            Code::Corrupt,
            format!(
                "{lost} packs of {name} are lost: what lies in them reads as an error; `walrusfs fsck {name} --repair` says which files, and \
                 mends the rest"
            ),
        )),
    }
}

async fn revive(
    account: &mut Account,
    service: &Service,
    name: &str,
    wanted: Wanted,
    yes: bool,
) -> Result<Outcome, Failure> {
    let reviving = |error: FsError| Failure::from_fs(format!("drive {name} cannot be revived"), error);
    let (parts, drive) = (&service.parts, &service.drive);
    let storage = WalrusStorage::new(Arc::clone(&service.client), Arc::clone(drive));
    let source = Certain::new(parts.reader.clone(), &storage);
    let uid = drive.state().uid();
    let subject = Subject { tree: &parts.tree, source: &source, keys: &parts.keys, storage: &storage, uid };

    let walrus = account.client.state().await.map_err(client_failure("the network cannot be read"))?;
    let pool = drive.refresh().await.map_err(reviving)?.pool;
    let ended = pool.end_epoch <= walrus.epoch();
    let held: HashSet<[u8; 32]> = match ended {
        true => HashSet::new(),
        false => {
            let held = drive.all_pooled().await.map_err(reviving)?;
            held.into_iter().filter(|blob| blob.certified).map(|blob| blob.blob_id).collect()
        }
    };
    let packs = missing(subject, &held).await.map_err(reviving)?;
    let here = kept(&parts.reader, &packs).map_err(reviving)?;
    if !ended && packs.is_empty() {
        let paid = format!("its storage is paid until epoch {} and holds all of it", pool.end_epoch);
        return Err(Failure::new(Code::Failed, format!("drive {name} needs no revival: {paid}")));
    }
    output::note(format!(
        "of {} packs ({}) this machine has {} whole ({}); of the others only what a node still serves comes back",
        here.packs,
        output::bytes(here.bytes),
        here.whole_packs,
        output::bytes(here.whole_bytes)
    ));
    let mut frost = 0;
    if ended {
        let quote = agree_on_pool(account, wanted, pool.capacity, yes).await?.map_err(reviving)?;
        drive.replace_pool(&quote).await.map_err(reviving)?;
        frost = quote.frost;
    }
    let shown = Progress::new();
    let progress = |done, of| shown.things("storing packs", done, of);
    let revived = bring_back(&parts.reader, &*parts.network, drive, &packs, &progress).await.map_err(reviving)?;
    drop(shown);
    // What waited in the journal for storage goes too.
    service.engine.sync().await.map_err(reviving)?;
    let pool = drive.refresh().await.map_err(reviving)?.pool;
    let id = drive.id().to_string();
    Ok(Outcome { id, frost, capacity_bytes: pool.capacity, end_epoch: pool.end_epoch, missing: here, revived })
}

fn show(outcome: &Outcome, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(outcome);
    }
    let Revived { packs, bytes, lost } = &outcome.revived;
    output::line(format!(
        "{packs} packs ({}) are stored again, paid until epoch {}",
        output::bytes(*bytes),
        outcome.end_epoch
    ));
    for pack in lost {
        output::line(format!("lost: pack {} ({} in use): {}", pack.pack, output::bytes(pack.live_bytes), pack.why));
    }
    Ok(())
}
