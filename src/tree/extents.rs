//! Extents: from spool places to places in packs, and the chunks that they refer to.

use super::layer::{Layer, spool_places};
use super::record::{ChunkAddr, Extent, Place, Record, SpoolRef};
use crate::crypto::TAG;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{CHUNK, PackNo};
use std::collections::{BTreeSet, HashMap};

/// Where spool frames went, as [`super::CommitInput::moved`].
pub type Moved = HashMap<SpoolRef, ChunkAddr>;

/// Every chunk in a pack that `record` refers to.
pub fn chunks(record: &Record) -> impl Iterator<Item = ChunkAddr> {
    let extents: &[Extent] = if let Record::Extents(extents) = record { extents } else { &[] };
    extents.iter().flat_map(|extent| {
        let end = extent.first.saturating_add(extent.count);
        (extent.first..end).filter_map(|index| extent.chunk(index))
    })
}

/// The packs that the extents of `layer` name, as places or below places in the spool.
fn named_packs(layer: &Layer) -> impl Iterator<Item = PackNo> {
    let extents = layer.values().filter_map(|record| match record {
        Some(Record::Extents(extents)) => Some(extents),
        _ => None,
    });
    extents.flatten().filter_map(|extent| match &extent.place {
        Place::Pack { pack, .. } => Some(*pack),
        Place::Spool { base, .. } => base.map(|base| base.pack),
    })
}

fn place_of(chunk: &ChunkAddr) -> Place {
    let ChunkAddr { pack, offset, stored, plain, birth } = *chunk;
    let lens = if u64::from(stored) == u64::from(plain) + TAG as u64 { Vec::new() } else { vec![stored] };
    Place::Pack { pack, offset, lens, last: plain, birth }
}

/// `layer` with every spool place replaced by where it went. An error when one went nowhere: it must not leave the
/// machine.
pub(super) fn placed(layer: &Layer, moved: &Moved) -> FsResult<Layer> {
    let mut seen: HashMap<SpoolRef, &Place> = HashMap::new();
    for (key, index, place) in spool_places(layer) {
        let Place::Spool { at, .. } = place else { continue };
        let unlike = seen.insert(*at, place).is_some_and(|other| other != place);
        if unlike || !moved.contains_key(at) {
            return Err(FsError::new(
                Kind::Internal,
                format!("the cut's chunk {index} of {key:?} was not packed; commit again after packing it"),
            ));
        }
    }
    Ok(layer
        .iter()
        .map(|(key, record)| (key.clone(), record.as_ref().map(|record| move_record(record, moved, |_| true))))
        .collect())
}

/// Replaces in `top` the places that it still shares with the cut.
pub(super) fn substitute(top: &mut Layer, cut: &Layer, moved: &Moved) {
    let shared: HashMap<SpoolRef, &Place> = spool_places(cut)
        .filter_map(|(_, _, place)| match place {
            Place::Spool { at, .. } => Some((*at, place)),
            Place::Pack { .. } => None,
        })
        .collect();
    let same = |place: &Place| match place {
        Place::Spool { at, .. } => shared.get(at) == Some(&place),
        Place::Pack { .. } => false,
    };
    for record in top.values_mut().flatten() {
        if matches!(record, Record::Extents(extents) if extents.iter().any(|extent| same(&extent.place))) {
            *record = move_record(record, moved, same);
        }
    }
}

fn move_record(record: &Record, moved: &Moved, wanted: impl Fn(&Place) -> bool) -> Record {
    let Record::Extents(extents) = record else { return record.clone() };
    let place = |extent: &Extent| match &extent.place {
        Place::Spool { at, .. } if wanted(&extent.place) => moved.get(at).map_or(extent.place.clone(), place_of),
        other => other.clone(),
    };
    Record::Extents(coalesce(extents.iter().map(|extent| Extent { place: place(extent), ..*extent }).collect()))
}

/// `record` with chunks at their new places.
pub(super) fn relocate(record: &Record, moves: &[(ChunkAddr, ChunkAddr)]) -> Record {
    let Record::Extents(extents) = record else { return record.clone() };
    let mut out = Vec::with_capacity(extents.len());
    for extent in extents {
        for index in extent.first..extent.first.saturating_add(extent.count) {
            let place = match extent.chunk(index) {
                Some(chunk) => {
                    let new = moves.iter().find(|(old, _)| (old.pack, old.offset) == (chunk.pack, chunk.offset));
                    place_of(new.map_or(&chunk, |(_, new)| new))
                }
                None => extent.place.clone(),
            };
            out.push(Extent { first: index, count: 1, place });
        }
    }
    Record::Extents(coalesce(out))
}

/// Joins neighbours that lie back to back in one pack: 64 chunks in a row are one extent, not 64.
pub fn coalesce(extents: Vec<Extent>) -> Vec<Extent> {
    let mut out: Vec<Extent> = Vec::with_capacity(extents.len());
    for extent in extents {
        match out.last_mut().and_then(|before| joined(before, &extent)) {
            Some(both) => {
                out.pop();
                out.push(both);
            }
            None => out.push(extent),
        }
    }
    out
}

fn joined(a: &Extent, b: &Extent) -> Option<Extent> {
    let Place::Pack { pack, offset, lens, last, birth } = &a.place else { return None };
    let Place::Pack { pack: b_pack, offset: b_offset, lens: b_lens, last: b_last, birth: b_birth } = &b.place else {
        return None;
    };
    let follows = a.first.checked_add(a.count)? == b.first && *last as usize == CHUNK;
    if !follows || pack != b_pack || birth != b_birth {
        return None;
    }
    let end = a.chunk(b.first - 1)?;
    if end.offset.checked_add(u64::from(end.stored))? != *b_offset {
        return None;
    }
    let lens = if lens.is_empty() && b_lens.is_empty() {
        Vec::new()
    } else {
        let stored = |extent: &Extent| -> Option<Vec<u32>> {
            (extent.first..extent.first + extent.count).map(|index| Some(extent.chunk(index)?.stored)).collect()
        };
        [stored(a)?, stored(b)?].concat()
    };
    let place = Place::Pack { pack: *pack, offset: *offset, lens, last: *b_last, birth: *birth };
    Some(Extent { first: a.first, count: a.count.checked_add(b.count)?, place })
}

/// The packs that must stay readable for `layers` although nothing committed refers to them any more.
pub(super) fn pinned<'a>(layers: impl Iterator<Item = &'a Layer>) -> BTreeSet<PackNo> {
    layers.flat_map(named_packs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Sequence;

    fn pack(first: u8, count: u8, offset: u64, lens: &[u32], last: u32) -> Extent {
        let place = Place::Pack { pack: PackNo(1), offset, lens: lens.to_vec(), last, birth: Sequence(1) };
        Extent { first, count, place }
    }

    #[test]
    fn neighbours_join_exactly_when_they_lie_back_to_back() {
        const FULL: u32 = CHUNK as u32;
        let cases = [
            (vec![pack(0, 1, 48, &[], FULL), pack(1, 1, 48 + 65_552, &[], 7)], vec![pack(0, 2, 48, &[], 7)]),
            (
                vec![pack(0, 1, 48, &[100], FULL), pack(1, 1, 148, &[], FULL)],
                vec![pack(0, 2, 48, &[100, 65_552], FULL)],
            ),
            (vec![pack(0, 1, 48, &[], FULL), pack(1, 1, 49, &[], 7)], vec![]),
            (vec![pack(0, 1, 48, &[], 7), pack(1, 1, 71, &[], 7)], vec![]),
            (vec![pack(0, 1, 48, &[], FULL), pack(2, 1, 48 + 65_552, &[], 7)], vec![]),
        ];
        for (before, after) in cases {
            let after = if after.is_empty() { before.clone() } else { after };
            let chunks_of = |extents: &[Extent]| chunks(&Record::Extents(extents.to_vec())).collect::<Vec<_>>();
            assert_eq!(chunks_of(&before), chunks_of(&after));
            assert_eq!(coalesce(before), after);
        }
    }
}
