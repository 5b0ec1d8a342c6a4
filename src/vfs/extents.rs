//! The chunks of an extent group: which are there, and how one is put or taken away.

use crate::ids::CHUNK;
use crate::tree::record::{Extent, GROUP, Place};

/// Plaintext bytes in a full chunk.
const FULL: u32 = CHUNK as u32;

/// Where chunk `index` (within the group) lies, and nothing else of the run that it is part of.
pub(super) fn place_of(extents: &[Extent], index: u8) -> Option<Place> {
    let extent = extents.iter().find(|extent| {
        index.checked_sub(extent.first).is_some_and(|nth| nth < extent.count) && u64::from(index) < GROUP
    })?;
    match &extent.place {
        place @ Place::Spool { .. } => Some(place.clone()),
        Place::Pack { .. } => part(extent, index, 1).map(|one| one.place),
    }
}

/// The chunks `first .. first + count` of a run in a pack, as a run of their own.
fn part(run: &Extent, first: u8, count: u8) -> Option<Extent> {
    let Place::Pack { pack, ref lens, last, birth, .. } = run.place else { return None };
    let skip = usize::from(first.checked_sub(run.first)?);
    let end = skip.checked_add(usize::from(count))?;
    let start = run.chunk(first)?;
    let last = if end == usize::from(run.count) { last } else { FULL };
    let lens = if lens.is_empty() { Vec::new() } else { lens.get(skip..end)?.to_vec() };
    Some(Extent { first, count, place: Place::Pack { pack, offset: start.offset, lens, last, birth } })
}

/// Takes the chunks `from..to` out of the group; runs in packs are split around them.
pub(super) fn remove(extents: &mut Vec<Extent>, from: u8, to: u8) {
    let mut kept = Vec::with_capacity(extents.len() + 1);
    for extent in extents.drain(..) {
        let end = extent.first.saturating_add(extent.count);
        if end <= from || extent.first >= to {
            kept.push(extent);
            continue;
        }
        if extent.first < from {
            kept.extend(part(&extent, extent.first, from - extent.first));
        }
        if end > to {
            kept.extend(part(&extent, to, end - to));
        }
    }
    *extents = kept;
}

/// Puts chunk `index` at `place`.
pub(super) fn put(extents: &mut Vec<Extent>, index: u8, place: Place) {
    remove(extents, index, index + 1);
    let at = extents.partition_point(|extent| extent.first < index);
    extents.insert(at, Extent { first: index, count: 1, place });
}

/// One bit for each chunk that is there.
pub(super) fn mask(extents: &[Extent]) -> u64 {
    extents
        .iter()
        .flat_map(|extent| extent.first..extent.first.saturating_add(extent.count))
        .filter(|index| u64::from(*index) < GROUP)
        .fold(0, |mask, index| mask | 1 << index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PackNo, Sequence};
    use proptest::prelude::*;

    fn run(first: u8, count: u8, compressed: bool) -> Extent {
        let lens = if compressed { (0..count).map(|nth| 100 + u32::from(nth)).collect() } else { Vec::new() };
        let place = Place::Pack { pack: PackNo(u64::from(first)), offset: 7, lens, last: 50, birth: Sequence(1) };
        Extent { first, count, place }
    }

    proptest! {
        /// Whatever is removed or put, every other chunk keeps its address.
        #[test]
        fn other_chunks_keep_their_addresses(
            steps in proptest::collection::vec((0u8..64, 1u8..30, 0u8..3), 1..20),
        ) {
            let mut extents = vec![run(0, 20, true), run(20, 30, false), run(55, 9, true)];
            let mut model: Vec<_> = (0..64).map(|i| extents.iter().find_map(|extent| extent.chunk(i))).collect();
            for (from, len, what) in steps {
                let to = (from + len).min(64);
                if what == 0 {
                    remove(&mut extents, from, to);
                    model[usize::from(from)..usize::from(to)].fill(None);
                } else {
                    let one = run(from, 1, what == 1);
                    model[usize::from(from)] = one.chunk(from);
                    put(&mut extents, from, one.place);
                }
                prop_assert!(extents.is_sorted_by_key(|extent| extent.first));
                for index in 0..64u8 {
                    let found: Vec<_> = extents.iter().filter_map(|extent| extent.chunk(index)).collect();
                    prop_assert!(found.len() <= 1);
                    prop_assert_eq!(found.first().copied(), model[usize::from(index)]);
                    prop_assert_eq!(mask(&extents) >> index & 1 == 1, model[usize::from(index)].is_some());
                    let alone = place_of(&extents, index).map(|place| Extent { first: index, count: 1, place });
                    prop_assert_eq!(alone.and_then(|one| one.chunk(index)), model[usize::from(index)]);
                }
            }
        }
    }
}
