//! Checking and mending a drive: `walrusfs fsck` (docs/fsck.md).
//!
//! A check reads the whole committed tree, counts everything that stands in it twice, and compares: names with inodes, the
//! pack table with the chunks and nodes that live in packs, the table with the storage pool, and, when it goes deep, every
//! sealed unit and every sliver with what it must be. It changes nothing. [`mend`](mend::mend) then brings what can be
//! brought back in line, as ordinary commits.
//!
//! Assumes that nobody writes to the drive meanwhile: it looks at one commit, or holds the lease.
//!
//! Must never: remove content that something names, or a pack that something may still need; judge by a server that does
//! not answer.

mod books;
mod deep;
mod fault;
pub mod mend;
mod names;
mod restore;
pub mod revive;
mod salvage;
mod scan;
mod storage;
#[cfg(test)]
mod tests;

pub use fault::{Fault, Finding, Report};
pub use storage::{Availability, Certain, Held, Storage, WalrusStorage};

use crate::crypto::KeyRing;
use crate::error::FsResult;
use crate::ids::{DriveUid, Ino, Sequence};
use crate::pack::PackSource;
use crate::tree::Tree;
use crate::tree::record::{Key, Space};
use crate::vfs::Slots;
use books::Books;
use fault::whole_seconds;
use names::Names;
use scan::each;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What a check looks at.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The tree, with nothing uncommitted in it.
    pub tree: &'a Tree,
    /// Reads packs, from verified slivers only, and says [`crate::error::Kind::Corrupt`] of what is gone for good
    /// ([`Certain`]).
    pub source: &'a dyn PackSource,
    /// The drive's keys.
    pub keys: &'a KeyRing,
    /// The drive's pool and the nodes.
    pub storage: &'a dyn Storage,
    /// The drive.
    pub uid: DriveUid,
}

/// How far a check goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Read and unseal every unit, and ask the nodes for every sliver.
    pub deep: bool,
}

/// Hears what a check is doing: what, how much is done, and of how much where that is known.
pub type Progress<'a> = &'a (dyn Fn(&str, u64, Option<u64>) + Sync);

/// Everything that one pass over a drive found: the report, and what mending it needs.
pub(crate) struct Examined {
    pub(crate) report: Report,
    pub(crate) names: Names,
    pub(crate) books: Books,
    /// Ranges of keys in the files' tree, and in runs, whose records are lost.
    pub(crate) lost: Vec<salvage::LostRange>,
    /// Blobs of the pool that the table does not name.
    pub(crate) unknown: Vec<Held>,
}

/// Checks a drive.
///
/// # Errors
/// [`crate::error::Kind::Unreachable`] when network or chain do not answer: then nothing is known.
pub async fn check(subject: Subject<'_>, depth: Depth, progress: Progress<'_>) -> FsResult<Report> {
    Ok(examine(subject, depth, progress).await?.report)
}

pub(crate) async fn examine(subject: Subject<'_>, depth: Depth, progress: Progress<'_>) -> FsResult<Examined> {
    let begun = Instant::now();
    let mut report = Report { sequence: subject.tree.sequence().0, deep: depth.deep, ..Report::default() };
    progress("reading the tree", 0, None);
    let audit = subject.tree.audit(subject.source, subject.keys).await?;
    report.units = audit.units;
    let mut lost = Vec::new();
    for unit in audit.lost {
        report.findings.push(Finding::new(Fault::LostNode {
            pack: unit.addr.pack.0,
            offset: unit.addr.offset,
            level: unit.level,
            table: unit.from.space == Space::Table,
            run: unit.addr.run,
            why: unit.error.to_string(),
        }));
        lost.push(salvage::LostRange {
            from: unit.from,
            to: unit.to,
            since: Sequence(0),
            unit: Some((unit.addr.pack, unit.addr.offset, unit.addr.stored)),
        });
    }
    if let Some(remains) = &audit.gathered {
        let (why, gaps) = (remains.why.clone(), remains.gaps.len() as u64);
        report.findings.push(Finding::new(Fault::LostRoot { known_to: remains.known_to.0, gaps, why }));
        lost.extend(salvage::LostRange::of(remains));
    }
    let mut books = Books::new(audit.stored);
    each(subject, &Key::first_of(Space::Table), Some(&Key::first_of(Space::Files)), |key, record| {
        books.enter(key, record);
    })
    .await?;
    let slots = Slots::new(&subject.uid);
    let mut names = Names::new(slots);
    each(subject, &Key::first_of(Space::Files), None, |key, record| {
        names.enter(key, record);
        books.refer(key, record);
        report.records += 1;
        if report.records.is_multiple_of(65_536) {
            progress("checking names and extents", report.records, None);
        }
    })
    .await?;
    if subject.tree.has_lost_units() {
        // The record that says which numbers were given out may be among what is lost.
        subject.tree.reserve_pack(books.highest());
    }
    names.judge(&mut report);
    books.judge(&mut report);
    progress("looking at the pool", 0, None);
    let unknown = pool(subject, &books, &mut report).await?;
    if depth.deep {
        deep::read_everything(subject, &books, &mut report, progress).await?;
        deep::ask_the_nodes(subject, &books, &mut report, progress).await?;
    }
    name_paths(subject, &names, &mut report).await?;
    report.findings.sort_by_key(|finding| finding.fault.rank());
    report.seconds = whole_seconds(begun.elapsed());
    Ok(Examined { report, names, books, lost, unknown })
}

/// Compares the pack table with the storage pool.
async fn pool(subject: Subject<'_>, books: &Books, report: &mut Report) -> FsResult<Vec<Held>> {
    let table: BTreeMap<[u8; 32], u64> = books.named_blobs().map(|(number, entry)| (entry.blob_id, number.0)).collect();
    let held: BTreeMap<[u8; 32], Held> =
        subject.storage.held().await?.into_iter().map(|held| (held.blob_id, held)).collect();
    report.packs = table.len() as u64;
    for (number, entry) in books.named_blobs() {
        let blob = hex::encode(entry.blob_id);
        match held.get(&entry.blob_id) {
            None if entry.live == 0 => {
                report.findings.push(Finding::new(Fault::DeadPackNotHeld { pack: number.0, blob }));
            }
            None => report.findings.push(Finding::new(Fault::PackNotHeld { pack: number.0, blob })),
            Some(held) if !held.certified => {
                report.findings.push(Finding::new(Fault::PackNotCertified { pack: number.0, blob }));
            }
            Some(held) if held.size != entry.size => report.findings.push(Finding::new(Fault::WrongSize {
                pack: number.0,
                has: entry.size,
                should: held.size,
            })),
            Some(_) => {}
        }
    }
    let unknown: Vec<Held> = held.values().filter(|held| !table.contains_key(&held.blob_id)).copied().collect();
    for held in &unknown {
        let blob = hex::encode(held.blob_id);
        report.findings.push(Finding::new(Fault::UnknownBlob { blob, size: held.size, certified: held.certified }));
    }
    let (encoded, said) = subject.storage.accounts(&held.values().copied().collect::<Vec<_>>()).await?;
    if encoded != said {
        report.findings.push(Finding::new(Fault::PoolAccounts { has: said, should: encoded }));
    }
    Ok(unknown)
}

/// Gives each finding about an inode its path.
async fn name_paths(subject: Subject<'_>, names: &Names, report: &mut Report) -> FsResult<()> {
    let wanted: BTreeSet<Ino> = report.findings.iter().filter_map(|finding| finding.fault.inode()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let paths = names.paths(subject, &wanted).await?;
    for finding in &mut report.findings {
        finding.path = finding.fault.inode().and_then(|ino| paths.get(&ino).cloned());
    }
    Ok(())
}
