//! A layer in memory: changes by key, where `None` is a removal that hides the layers below.

use super::record::{Key, Place, Record};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

/// Changes by key; `None` removes.
pub type Layer = BTreeMap<Key, Option<Record>>;

/// The entries of `layer` with `from <= key < to`; nothing when the bounds are crossed.
pub(super) fn range<'a>(layer: &'a Layer, from: &Key, to: &Key) -> impl Iterator<Item = (&'a Key, &'a Option<Record>)> {
    let bounds = (from < to).then_some((Bound::Included(from), Bound::Excluded(to)));
    bounds.into_iter().flat_map(|bounds| layer.range::<Key, _>(bounds))
}

/// Every spool place of a layer, as `(key of its extent group, index of the chunk within the group, place)`: what has to
/// be packed before the layer can be committed. The same place comes once per extent that shares it.
pub fn spool_places(layer: &Layer) -> impl Iterator<Item = (&Key, u8, &Place)> {
    layer
        .iter()
        .filter_map(|(key, record)| match record {
            Some(Record::Extents(extents)) => Some((key, extents)),
            _ => None,
        })
        .flat_map(|(key, extents)| {
            extents.iter().filter_map(move |extent| match extent.place {
                Place::Spool { .. } => Some((key, extent.first, &extent.place)),
                Place::Pack { .. } => None,
            })
        })
}

/// Merges `layers` (newest first) over `from <= key < to` and hands out the newest change of every key, in order.
pub(super) fn merged(
    layers: &[&Layer],
    from: &Key,
    to: &Key,
    mut visit: impl FnMut(&Key, Option<&Record>) -> ControlFlow<()>,
) {
    let mut cursors: Vec<_> = layers.iter().map(|layer| range(layer, from, to).peekable()).collect();
    loop {
        let Some(next) = cursors.iter_mut().filter_map(|cursor| cursor.peek().map(|(key, _)| *key)).min() else {
            return;
        };
        let mut newest = None;
        for cursor in &mut cursors {
            if let Some((_, record)) = cursor.next_if(|(key, _)| *key == next) {
                newest.get_or_insert(record.as_ref());
            }
        }
        if let Some(record) = newest
            && visit(next, record).is_break()
        {
            return;
        }
    }
}
