//! What is left of lost parts of the tree, from the indexes of packs: entries of the pack table, and content by inode.

use super::deep::{Piece, pieces};
use super::scan::{each, get};
use super::{Examined, Held, Subject};
use crate::error::{FsResult, Kind};
use crate::ids::{CHUNK, Ino, KeyEpoch, PackNo, Sequence};
use crate::pack::{IndexEntry, PackRef, UnitKind, read_header, read_index};
use crate::tree::record::{Batch, ChunkAddr, Extent, GROUP, Key, PackEntry, Place, Record, Space};
use crate::tree::{Remains, coalesce};
use std::collections::{BTreeMap, BTreeSet};

/// Keys whose records are lost.
#[derive(Clone, Debug)]
pub(crate) struct LostRange {
    /// The first.
    pub(crate) from: Key,
    /// The first after them; `None`: to the end.
    pub(crate) to: Option<Key>,
    /// Only what was written by commits after this one is lost.
    pub(crate) since: Sequence,
    /// The unit, where it is known: its pack, its offset and its sealed length.
    pub(crate) unit: Option<(PackNo, u64, u32)>,
}

impl LostRange {
    /// What a tree lacks that was gathered from packs: all that no node answers for, and whatever came after the last commit
    /// whose nodes are there.
    pub(super) fn of(remains: &Remains) -> Vec<Self> {
        let gap = |(from, to): &(Key, Option<Key>)| Self {
            from: from.clone(),
            to: to.clone(),
            since: Sequence(0),
            unit: None,
        };
        let later = Self { from: Key::first_of(Space::Files), to: None, since: remains.known_to, unit: None };
        remains.gaps.iter().map(gap).chain([later]).collect()
    }

    fn holds(&self, key: &Key) -> bool {
        *key >= self.from && self.to.as_ref().is_none_or(|to| key < to)
    }
}

/// A unit that somewhere is said to lie in a pack: its offset and sealed length.
type Claim = (u64, u32);

/// What is said of a pack that the table does not know.
#[derive(Default)]
struct Claims {
    /// For a chunk, also the file and the chunk's place in it that refer to it.
    units: BTreeMap<Claim, BTreeSet<(Ino, u64)>>,
    birth: Sequence,
}

/// A blob that may be such a pack.
struct Candidate {
    pack: PackRef,
    has_content: bool,
    units: BTreeMap<Claim, (Ino, u64)>,
}

impl Claims {
    /// How many chunks of the candidate lie where they were first written, by the file that still refers to them; `None` when
    /// it cannot be the pack. Lengths alone prove little: files of equal size make packs of equal layout.
    fn score(&self, candidate: &Candidate) -> Option<usize> {
        let mut score = 0;
        for (unit, referrers) in &self.units {
            let origin = candidate.units.get(unit)?;
            score += usize::from(referrers.contains(origin));
        }
        Some(score)
    }
}

/// Finds out which blobs of the pool are the packs that the table has lost: the index of a pack tells where its units lie and
/// for which file and place each was made, and whoever refers to the pack tells the same. Entries of packs that no blob fits,
/// or more than one equally well, are [`PackEntry::lost`].
pub(super) async fn lost_packs(subject: Subject<'_>, examined: &Examined) -> FsResult<BTreeMap<PackNo, PackEntry>> {
    let claims = claims(subject, examined).await?;
    let mut candidates = Vec::new();
    if !claims.is_empty() {
        for held in &examined.unknown {
            match identify(subject, held).await {
                Ok(found) => candidates.push(found),
                Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                Err(error) => {
                    tracing::warn!(blob = %hex::encode(held.blob_id), %error, "a blob of the pool is no pack")
                }
            }
        }
    }
    Ok(claims
        .into_iter()
        .map(|(number, claims)| {
            let entry = fitting(&claims, &candidates).map_or_else(PackEntry::lost, |pack| PackEntry {
                blob_id: pack.blob_id,
                size: pack.size.unwrap_or_default(),
                salt: pack.salt,
                key_epoch: pack.key_epoch,
                birth: claims.birth,
                ..PackEntry::lost()
            });
            (number, entry)
        })
        .collect())
}

/// The one candidate that fits best.
fn fitting(claims: &Claims, candidates: &[Candidate]) -> Option<PackRef> {
    let mut scores: Vec<(usize, &Candidate)> =
        candidates.iter().filter_map(|candidate| Some((claims.score(candidate)?, candidate))).collect();
    scores.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    match scores[..] {
        [(_, only)] => Some(only.pack),
        [(best, found), (next, _), ..] if best > next => Some(found.pack),
        _ => None,
    }
}

/// What is said of packs that the table does not know.
async fn claims(subject: Subject<'_>, examined: &Examined) -> FsResult<BTreeMap<PackNo, Claims>> {
    let mut claims: BTreeMap<PackNo, Claims> = BTreeMap::new();
    for (pack, offset, stored) in examined.lost.iter().filter_map(|range| range.unit) {
        if !examined.books.knows(pack) {
            claims.entry(pack).or_default().units.entry((offset, stored)).or_default();
        }
    }
    let unknown = examined.books.unknown_packs();
    if unknown.is_empty() {
        return Ok(claims);
    }
    each(subject, &Key::first_of(Space::Files), None, |key, record| {
        for Piece { ino, index, at } in pieces(key, record) {
            if unknown.contains(&at.pack) {
                let known = claims.entry(at.pack).or_default();
                known.birth = known.birth.max(at.birth);
                let place = (ino, index.saturating_mul(CHUNK as u64));
                known.units.entry((at.offset, at.stored)).or_default().insert(place);
            }
        }
    })
    .await?;
    Ok(claims)
}

/// The header of a blob, and where its units lie.
async fn identify(subject: Subject<'_>, held: &Held) -> FsResult<Candidate> {
    let unopened = PackRef { blob_id: held.blob_id, size: Some(held.size), salt: [0; 32], key_epoch: KeyEpoch(0) };
    let (key_epoch, salt) = read_header(subject.source, &unopened).await?;
    let pack = PackRef { salt, key_epoch, ..unopened };
    let index = read_index(subject.source, &pack, subject.keys).await?;
    let unit =
        |entry: &IndexEntry| ((entry.addr.offset, entry.addr.stored), (entry.origin.ino, entry.origin.file_offset));
    let has_content = index.iter().any(|entry| entry.kind == UnitKind::Chunk);
    Ok(Candidate { pack, has_content, units: index.iter().map(unit).collect() })
}

/// Packs with content that nothing names any more, because what named them is lost: numbers and entries for them. They count
/// as written last.
pub(super) async fn adopted(subject: Subject<'_>, examined: &Examined) -> FsResult<BTreeMap<PackNo, PackEntry>> {
    let mut adopted = BTreeMap::new();
    // A lost unit of the files alone does not make the table forget packs.
    if examined.lost.iter().all(|range| range.unit.is_some() && range.from.space == Space::Files) {
        return Ok(adopted);
    }
    for held in &examined.unknown {
        match identify(subject, held).await {
            Ok(found) if found.has_content => {
                let PackRef { blob_id, salt, key_epoch, .. } = found.pack;
                let birth = subject.tree.sequence();
                let entry = PackEntry { blob_id, size: held.size, salt, key_epoch, birth, ..PackEntry::lost() };
                adopted.insert(subject.tree.allocate_pack()?, entry);
            }
            Ok(_) => {}
            Err(error) if error.kind() == Kind::Unreachable => return Err(error),
            Err(error) => tracing::warn!(blob = %hex::encode(held.blob_id), %error, "a blob of the pool is no pack"),
        }
    }
    Ok(adopted)
}

/// Chunks that packs hold for lost records of extents, newest first choice: records to put in their place. What was
/// truncated or removed before the loss can come back this way; nothing tells it apart.
pub(super) async fn content(subject: Subject<'_>, examined: &Examined) -> FsResult<Batch> {
    let is_lost = |key: &Key, birth: Sequence| {
        examined.lost.iter().any(|range| (birth > range.since || range.since == Sequence(0)) && range.holds(key))
    };
    let mut groups: BTreeMap<Key, BTreeMap<u8, ChunkAddr>> = BTreeMap::new();
    for (number, entry) in examined.books.named_blobs() {
        let index = match read_index(subject.source, &entry.as_ref(), subject.keys).await {
            Ok(index) => index,
            Err(error) if error.kind() == Kind::Unreachable => return Err(error),
            Err(error) => {
                tracing::warn!(pack = number.0, %error, "the index of a pack cannot be read");
                continue;
            }
        };
        for IndexEntry { addr, origin, .. } in index.iter().filter(|entry| entry.kind == UnitKind::Chunk) {
            let chunk = origin.file_offset / CHUNK as u64;
            let key = Key::extents(origin.ino, chunk / GROUP);
            if !is_lost(&key, entry.birth) {
                continue;
            }
            let (offset, stored, plain) = (addr.offset, addr.stored, addr.plain);
            let found = ChunkAddr { pack: number, offset, stored, plain, birth: entry.birth };
            newest(groups.entry(key).or_default(), chunk % GROUP, found);
        }
    }
    let mut records = Batch::new();
    for (key, mut chunks) in groups {
        if let Some(record) = get(subject, &key).await? {
            if is_in_spool(&record) {
                // The journal is newer than every pack.
                continue;
            }
            for piece in pieces(&key, &record) {
                newest(&mut chunks, piece.index % GROUP, piece.at);
            }
        }
        let extents = chunks.into_iter().map(|(first, ChunkAddr { pack, offset, stored, plain, birth })| {
            let place = Place::Pack { pack, offset, lens: vec![stored], last: plain, birth };
            Extent { first, count: 1, place }
        });
        records.push((key, Some(Record::Extents(coalesce(extents.collect())))));
    }
    Ok(records)
}

/// Keeps the newer one of two chunks of one place.
fn newest(chunks: &mut BTreeMap<u8, ChunkAddr>, nth: u64, found: ChunkAddr) {
    let age = |at: &ChunkAddr| (at.birth, at.pack, at.offset);
    let known = chunks.entry(u8::try_from(nth).unwrap_or_default()).or_insert(found);
    if age(known) < age(&found) {
        *known = found;
    }
}

fn is_in_spool(record: &Record) -> bool {
    let Record::Extents(extents) = record else { return false };
    extents.iter().any(|extent| matches!(extent.place, Place::Spool { .. }))
}
