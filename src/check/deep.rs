//! The deep part of a check: every chunk unsealed, every sliver asked for.

use super::books::Books;
use super::fault::{Fault, Finding, Report};
use super::scan::each;
use super::{Progress, Subject};
use crate::error::{FsResult, Kind};
use crate::ids::{CHUNK, Ino, PackNo};
use crate::pack::{PackRef, UnitAddr, UnitKind, open_unit};
use crate::tree::chunks;
use crate::tree::record::{ChunkAddr, GROUP, Key, Record, Space};
use futures::stream::{self, StreamExt};
use std::collections::{BTreeMap, HashMap};

/// Chunks that are read at once.
const READING: usize = 16;

/// Chunks that are collected before they are read: enough to keep all readers busy, few enough to forget.
const BATCH: usize = 4096;

/// One chunk of one file.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) ino: Ino,
    /// Index of the chunk in the file.
    pub(super) index: u64,
    pub(super) at: ChunkAddr,
}

/// The chunks of one record of extents.
pub(super) fn pieces(key: &Key, record: &Record) -> Vec<Piece> {
    let Record::Extents(extents) = record else { return Vec::new() };
    let indices = extents.iter().flat_map(|extent| extent.first..extent.first.saturating_add(extent.count));
    let numbered = indices.zip(chunks(record));
    numbered
        .map(|(nth, at)| Piece {
            ino: key.owner,
            index: key.num.saturating_mul(GROUP).saturating_add(u64::from(nth)),
            at,
        })
        .collect()
}

/// Reads and unseals every chunk that a file refers to.
pub(super) async fn read_everything(
    subject: Subject<'_>,
    books: &Books,
    report: &mut Report,
    progress: Progress<'_>,
) -> FsResult<()> {
    let packs: HashMap<PackNo, PackRef> = books.named_blobs().map(|(number, entry)| (number, entry.as_ref())).collect();
    let mut all = Vec::new();
    each(subject, &Key::first_of(Space::Files), None, |key, record| all.extend(pieces(key, record))).await?;
    // In the order of the packs every sliver is read once.
    all.sort_unstable_by_key(|piece: &Piece| (piece.at.pack, piece.at.offset));
    let mut lost: BTreeMap<Ino, (u64, u64, String)> = BTreeMap::new();
    let total = all.len() as u64;
    let mut done = 0;
    for batch in all.chunks(BATCH) {
        let mut reads = stream::iter(batch)
            .map(|piece| {
                let pack = packs.get(&piece.at.pack);
                async move { (piece, read_piece(subject, pack, piece).await) }
            })
            .buffer_unordered(READING);
        while let Some((piece, result)) = reads.next().await {
            match result {
                Ok(()) => report.bytes_read += u64::from(piece.at.stored),
                Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                Err(error) => {
                    let first = piece.index.saturating_mul(CHUNK as u64);
                    let known = lost.entry(piece.ino).or_insert_with(|| (0, first, error.to_string()));
                    *known = (known.0 + 1, known.1.min(first), std::mem::take(&mut known.2));
                }
            }
        }
        done += batch.len() as u64;
        progress("reading content", done, Some(total));
    }
    let found =
        lost.into_iter().map(|(ino, (chunks, first, why))| Fault::LostContent { ino: ino.0, chunks, first, why });
    report.findings.extend(found.map(Finding::new));
    Ok(())
}

async fn read_piece(subject: Subject<'_>, pack: Option<&PackRef>, piece: &Piece) -> FsResult<()> {
    // What lies in a pack that is unknown or lost is a finding already.
    let Some(pack) = pack else { return Ok(()) };
    let ChunkAddr { offset, stored, plain, .. } = piece.at;
    let cipher = subject.keys.pack_cipher(pack.key_epoch, &pack.salt)?;
    let sealed = subject.source.read(pack, offset, stored).await?;
    open_unit(&cipher, UnitKind::Chunk, UnitAddr { offset, stored, plain }, sealed.into()).map(drop)
}

/// Asks every node for every sliver of every pack that is needed.
pub(super) async fn ask_the_nodes(
    subject: Subject<'_>,
    books: &Books,
    report: &mut Report,
    progress: Progress<'_>,
) -> FsResult<()> {
    let packs: Vec<_> = books.named_blobs().filter(|(_, entry)| entry.live > 0).collect();
    for (nth, (number, entry)) in packs.iter().enumerate() {
        let found = subject.storage.availability(entry.blob_id).await?;
        report.slivers += found.slivers;
        let (pack, blob) = (number.0, hex::encode(entry.blob_id));
        let (shards, of) = (found.missing.saturating_add(found.silent), found.shards);
        if shards > 0 {
            let reads = found.reads();
            let fault = if reads {
                Fault::MissingSlivers { pack, blob, shards, of }
            } else {
                Fault::LostBlob { pack, blob, shards, of }
            };
            report.findings.push(Finding::new(fault));
        }
        progress("asking the nodes for slivers", nth as u64 + 1, Some(packs.len() as u64));
    }
    Ok(())
}
