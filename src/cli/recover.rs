//! `walrusfs recover`: the changes that this machine made while another one committed.

use super::args::RecoverArgs;
use super::drive;
use super::exit::{Code, Failure};
use super::home::Home;
use super::mount::unmounted::{self, Access};
use super::output;
use super::wallet::block_on;
use crate::sync::{Kept, Side, keep_both};
use std::sync::Arc;

/// Runs the command.
///
/// # Errors
/// [`Code::Corrupt`] when some of it cannot be read; what network, lease or disk refused.
pub fn run(args: &RecoverArgs) -> Result<(), Failure> {
    let home = Home::open()?;
    let name = &args.drive.name;
    block_on(async {
        let (account, client) = drive::open(&home, &args.drive).await?;
        let aside = unmounted::set_aside(&home, &client).await?;
        if aside.is_empty() {
            output::note(format!("there is nothing to recover: this machine has no changes that {name} lacks"));
            return if args.json { output::json(&Vec::<Kept>::new()) } else { Ok(()) };
        }
        let service = unmounted::unmounted(&home, &account, client, Access::default()).await?;
        let parts = &service.parts;
        let loader = service.engine.loader().clone();
        let theirs = Side { vfs: Arc::clone(&parts.vfs), tree: Arc::clone(&parts.tree), loader };
        let failed = |error| Failure::from_fs(format!("the changes cannot be added to {name}"), error);
        let mut all = Vec::new();
        let mut left = Vec::new();
        for dir in aside {
            let (ours, batches, lost) = unmounted::own_side(&service, &dir).await?;
            lost.iter().for_each(output::note);
            // The same journal makes the same names, however often this is tried.
            let folder = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let mark = folder.find("conflict-").map_or(&*folder, |at| &folder[at..]);
            let kept = keep_both(&ours, &theirs, &batches, mark).await.map_err(failed)?;
            service.engine.sync().await.map_err(failed)?;
            if kept.iter().any(|kept| matches!(kept, Kept::Lost { .. })) {
                left.push(dir);
            } else {
                // Everything in it is certified; should this fail, the next run finds nothing to add.
                let _ = std::fs::remove_dir_all(&dir);
            }
            all.extend(kept);
        }
        service.engine.stop().await;
        if args.json {
            output::json(&all)?
        } else {
            all.iter().for_each(print)
        }
        match left.first() {
            None => Ok(()),
            Some(dir) => Err(Failure::new(
                Code::Corrupt,
                format!("not everything could be read; the journal stays in {}", dir.display()),
            )),
        }
    })
}

fn print(kept: &Kept) {
    match kept {
        Kept::Same { path } => output::line(format!("{path}: the same on both sides")),
        Kept::Added { path } => output::line(format!("{path}: added")),
        Kept::Copied { path, copy } => output::line(format!("{path}: changed on both sides, this machine's is {copy}")),
        Kept::Lost { path, why } => output::line(format!("{path}: cannot be read: {why}")),
    }
}
