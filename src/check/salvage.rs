//! What is left of lost parts of the tree, from the indexes of packs: entries of the pack table, and content by inode.

use super::deep::{Piece, pieces};
use super::scan::each;
use super::{Examined, Held, Subject};
use crate::error::{FsResult, Kind};
use crate::ids::{CHUNK, Ino, KeyEpoch, PackNo, Sequence};
use crate::pack::{IndexEntry, PackRef, UnitKind, read_header, read_index};
use crate::tree::coalesce;
use crate::tree::record::{Batch, ChunkAddr, Extent, GROUP, Key, PackEntry, Place, Record, Space};
use std::collections::{BTreeMap, BTreeSet};

/// Keys whose records are lost.
#[derive(Clone, Debug)]
pub(crate) struct LostRange {
    /// The first.
    pub(crate) from: Key,
    /// The first after them; `None`: to the end.
    pub(crate) to: Option<Key>,
    /// Whether it was in a delta run: then the trees below may still show older records.
    pub(crate) run: bool,
    /// The pack that the unit lay in.
    pub(crate) pack: PackNo,
    /// Where it lay.
    pub(crate) offset: u64,
    /// Its sealed length.
    pub(crate) stored: u32,
}

impl LostRange {
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
    for range in examined.lost.iter().filter(|range| !examined.books.knows(range.pack)) {
        claims.entry(range.pack).or_default().units.entry((range.offset, range.stored)).or_default();
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
    Ok(Candidate { pack, units: index.iter().map(unit).collect() })
}

/// Chunks that packs hold for lost records of extents, newest first choice: records to put in their place. What was
/// truncated or removed before the loss can come back this way; nothing tells it apart.
pub(super) async fn content(subject: Subject<'_>, examined: &Examined) -> FsResult<Batch> {
    let lost = &examined.lost;
    let is_lost = |key: &Key| lost.iter().any(|range| range.holds(key));
    let mut best: BTreeMap<(Ino, u64), ChunkAddr> = BTreeMap::new();
    // In a lost run newer records hid what the trees show.
    for range in lost.iter().filter(|range| range.run) {
        each(subject, &range.from, range.to.as_ref(), |key, record| {
            for piece in pieces(key, record) {
                best.insert((piece.ino, piece.index), piece.at);
            }
        })
        .await?;
    }
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
            if !is_lost(&Key::extents(origin.ino, chunk / GROUP)) {
                continue;
            }
            let (offset, stored, plain) = (addr.offset, addr.stored, addr.plain);
            let found = ChunkAddr { pack: number, offset, stored, plain, birth: entry.birth };
            let age = |at: &ChunkAddr| (at.birth, at.pack, at.offset);
            let known = best.entry((origin.ino, chunk)).or_insert(found);
            if age(known) < age(&found) {
                *known = found;
            }
        }
    }
    let mut groups: BTreeMap<Key, Vec<Extent>> = BTreeMap::new();
    for ((ino, chunk), at) in best {
        let ChunkAddr { pack, offset, stored, plain, birth } = at;
        let place = Place::Pack { pack, offset, lens: vec![stored], last: plain, birth };
        let first = u8::try_from(chunk % GROUP).unwrap_or_default();
        groups.entry(Key::extents(ino, chunk / GROUP)).or_default().push(Extent { first, count: 1, place });
    }
    Ok(groups.into_iter().map(|(key, extents)| (key, Some(Record::Extents(coalesce(extents))))).collect())
}
