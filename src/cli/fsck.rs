//! `walrusfs fsck`: checks a drive, and mends it.

use super::args::FsckArgs;
use super::drive;
use super::exit::{Code, Failure};
use super::home::Home;
use super::mount::unmounted::{self, Access};
use super::output::{self, Progress};
use super::wallet::block_on;
use crate::check::mend::{Mended, Writer, mend};
use crate::check::{Certain, Depth, Report, Subject, WalrusStorage, check};
use std::sync::Arc;

/// Findings of one kind that are printed one by one.
const PRINTED: usize = 200;

/// Runs the command.
///
/// # Errors
/// [`Code::Corrupt`] when something is wrong and stays so; what the network or the lease refused.
pub fn run(args: &FsckArgs) -> Result<(), Failure> {
    let home = Home::open()?;
    let name = &args.drive.name;
    block_on(async {
        let (account, client) = drive::open(&home, &args.drive).await?;
        let access = Access { read_only: !args.repair, damaged: true };
        let service = unmounted::unmounted(&home, &account, client, access).await?;
        let parts = &service.parts;
        let checking = |error| Failure::from_fs(format!("{name} cannot be checked"), error);
        if args.repair && !parts.tree.has_lost_units() {
            // What the journal holds is part of the drive; a damaged one takes it with the first commit that mends.
            service.engine.sync().await.map_err(checking)?;
        }
        let storage = WalrusStorage::new(Arc::clone(&service.client), Arc::clone(&service.drive));
        let source = Certain::new(parts.reader.clone(), &storage);
        let uid = service.drive.state().uid();
        let subject = Subject { tree: &parts.tree, source: &source, keys: &parts.keys, storage: &storage, uid };
        let depth = Depth { deep: args.deep };
        let shown = Progress::new();
        let progress = |what: &str, done: u64, of: Option<u64>| match of {
            Some(of) => shown.things(what, done, of),
            None => shown.show(format!("{what}: {done}")),
        };
        let outcome = if args.repair {
            let writer = Writer { vfs: &parts.vfs, engine: &service.engine };
            mend(subject, writer, depth, &progress).await
        } else {
            check(subject, depth, &progress).await.map(|after| Mended { after, ..Mended::default() })
        };
        drop(shown);
        service.engine.stop().await;
        let mended = outcome.map_err(checking)?;
        if args.json {
            if args.repair { output::json(&mended)? } else { output::json(&mended.after)? }
        } else {
            print(&mended, args.repair);
        }
        conclude(name, &mended.after, args.repair)
    })
}

fn print(mended: &Mended, repair: bool) {
    if repair {
        findings(&mended.before);
        for done in &mended.done {
            output::line(format!("mended: {done}"));
        }
        if !mended.after.is_clean() {
            output::line("what is left:");
        }
    }
    findings(&mended.after);
    if mended.after.is_clean() {
        output::line("nothing is wrong");
    }
    let Report { sequence, inodes, chunks, packs, units, bytes_read, slivers, seconds, deep, .. } = mended.after;
    output::line(format!(
        "sequence {sequence}: {inodes} inodes, {chunks} chunks in {packs} packs, {units} nodes of the tree, {seconds} s"
    ));
    if deep {
        output::line(format!("read and unsealed {}; {slivers} slivers are on the nodes", output::bytes(bytes_read)));
    }
}

fn findings(report: &Report) {
    for finding in report.findings.iter().take(PRINTED) {
        output::line(finding);
    }
    if let Some(more) = report.findings.len().checked_sub(PRINTED).filter(|more| *more > 0) {
        output::line(format!("and {more} more (--json lists all)"));
    }
}

fn conclude(drive: &str, report: &Report, repaired: bool) -> Result<(), Failure> {
    let count = report.findings.len();
    if count == 0 {
        return Ok(());
    }
    let mendable = report.findings.iter().filter(|finding| finding.fault.is_mendable()).count();
    let next = match (mendable, repaired) {
        (0, _) => "nothing here can be mended from this machine".to_owned(),
        (_, true) => "run it again; report it if nothing changes".to_owned(),
        (_, false) => {
            format!("unmount the drive everywhere and run `walrusfs fsck {drive} --repair` for {mendable} of them")
        }
    };
    Err(Failure::new(Code::Corrupt, format!("{count} thing(s) are wrong with {drive}: {next}")))
}
