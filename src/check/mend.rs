//! Bringing a drive back in line, in rounds: each looks at the whole drive, takes what can be mended next, commits, and the
//! next looks again. So every step starts from books that are known, and stopping anywhere leaves a drive that a later
//! `fsck --repair` goes on with.

use super::fault::{Fault, Report};
use super::restore::Restorer;
use super::{Depth, Examined, Progress, Subject, examine, salvage};
use crate::error::FsResult;
use crate::sync::Engine;
use crate::tree::record::{Batch, Key, PackEntry, Record};
use crate::vfs::Vfs;
use serde::Serialize;

/// Rounds after which mending gives up: the steps depend on each other in a chain of five.
const ROUNDS: usize = 10;

/// Records that go into one batch of the journal.
const BATCH: usize = 512;

/// What mending did, and how the drive is afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// The first look.
    pub before: Report,
    /// What was done, a sentence each.
    pub done: Vec<String>,
    /// The last look.
    pub after: Report,
}

/// What mending writes through: the pipeline of a drive that nobody else uses. Packs without live bytes must not be deleted
/// meanwhile ([`crate::sync::Config::gc_delay`] beyond any wait).
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// The files.
    pub vfs: &'a Vfs,
    /// Commits.
    pub engine: &'a Engine,
}

impl Writer<'_> {
    async fn commit(&self, records: Batch) -> FsResult<()> {
        for part in records.chunks(BATCH) {
            self.vfs.mend(part.to_vec())?;
        }
        self.vfs.mend(Batch::new())?;
        self.engine.sync().await.map(drop)
    }
}

/// Mends what can be mended.
///
/// # Errors
/// As [`super::check`]; and when a commit cannot be made.
pub async fn mend(subject: Subject<'_>, writer: Writer<'_>, depth: Depth, progress: Progress<'_>) -> FsResult<Mended> {
    let mut mended = Mended::default();
    for round in 0..ROUNDS {
        let mut examined = examine(subject, if round == 0 { depth } else { Depth::default() }, progress).await?;
        if round == 0 {
            mended.before = examined.report.clone();
        }
        let done = step(subject, writer, &mut examined).await?;
        if done.is_empty() {
            break;
        }
        progress("mending", round as u64 + 1, None);
        mended.done.extend(done);
    }
    mended.after = super::check(subject, depth, progress).await?;
    Ok(mended)
}

/// Takes the next step; says what it did, nothing when there is nothing left to do.
async fn step(subject: Subject<'_>, writer: Writer<'_>, examined: &mut Examined) -> FsResult<Vec<String>> {
    let found = |wanted: fn(&Fault) -> bool| examined.report.findings.iter().any(|finding| wanted(&finding.fault));
    // Without its entry in the table no pack can be read, so the table comes first.
    let packs = salvage::lost_packs(subject, examined).await?;
    if !packs.is_empty() {
        return restore_packs(subject, packs);
    }
    if subject.tree.has_lost_units() {
        let packs = salvage::adopted(subject, examined).await?;
        if !packs.is_empty() {
            return restore_packs(subject, packs);
        }
        let content = salvage::content(subject, examined).await?;
        let groups = content.len();
        writer.commit(content).await?;
        return Ok(vec![format!(
            "wrote the tree anew without what is lost, with {groups} groups of content from packs"
        )]);
    }
    for finding in &examined.report.findings {
        match &finding.fault {
            Fault::DeadPackNotHeld { pack, .. } => examined.books.strike(crate::ids::PackNo(*pack)),
            Fault::WrongSize { pack, should, .. } => examined.books.resize(crate::ids::PackNo(*pack), *should),
            _ => {}
        }
    }
    let corrections = examined.books.corrections();
    if !corrections.is_empty() {
        let count = corrections.len();
        subject.tree.correct(corrections)?;
        writer.commit(Batch::new()).await?;
        return Ok(vec![format!("corrected {count} records of the pack table")]);
    }
    let mut restorer = Restorer::new(subject, examined).await?;
    restorer.run().await?;
    let (records, done) = restorer.finish();
    if !records.is_empty() {
        writer.commit(records).await?;
        return Ok(done);
    }
    if found(|fault| matches!(fault, Fault::UnknownBlob { .. })) {
        let blobs: Vec<[u8; 32]> = examined.unknown.iter().map(|held| held.blob_id).collect();
        subject.storage.delete(&blobs).await?;
        return Ok(vec![format!("deleted {} blobs of the pool that no pack is", blobs.len())]);
    }
    Ok(Vec::new())
}

/// Puts entries into the table; they become durable with the commit of a later step.
fn restore_packs(
    subject: Subject<'_>,
    packs: std::collections::BTreeMap<crate::ids::PackNo, PackEntry>,
) -> FsResult<Vec<String>> {
    let (lost, known): (Vec<_>, Vec<_>) = packs.iter().partition(|(_, entry)| entry.is_lost());
    let done = [
        (known.len(), "entries of the pack table were found again from the packs themselves"),
        (lost.len(), "packs are lost: what lies in them reads as an error until it is removed"),
    ];
    let done = done.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let records = packs.into_iter().map(|(number, entry)| (Key::pack(number), Some(Record::Pack(entry))));
    subject.tree.correct(records.collect())?;
    subject.tree.look_again();
    Ok(done)
}
