//! A layer in memory: changes by key, where `None` is a removal that hides the layers below.

use super::record::{Key, Place, Record};
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

/// Changes by key; `None` removes.
pub type Layer = BTreeMap<Key, Option<Record>>;

/// The entries of a layer within a range of keys.
pub(super) type LayerRange<'a> = std::iter::Flatten<std::option::IntoIter<btree_map::Range<'a, Key, Option<Record>>>>;

/// The entries of `layer` with `from <= key < to`; nothing when the bounds are crossed.
pub(super) fn range<'a>(layer: &'a Layer, from: &Key, to: Option<&Key>) -> LayerRange<'a> {
    let end = to.map_or(Bound::Unbounded, Bound::Excluded);
    let sound = to.is_none_or(|to| from < to);
    sound.then(|| layer.range::<Key, _>((Bound::Included(from), end))).into_iter().flatten()
}

/// Every spool place of a layer, as `(key of its extent group, index of the chunk within the group, place)`: what has to
/// be packed before the layer can be committed. The same place comes once per extent that shares it.
pub fn spool_places(layer: &Layer) -> impl Iterator<Item = (&Key, u8, &Place)> {
    let groups = layer.iter().filter_map(|(key, record)| match record {
        Some(Record::Extents(extents)) => Some((key, extents)),
        _ => None,
    });
    groups.flat_map(|(key, extents)| {
        extents.iter().filter_map(move |extent| match extent.place {
            Place::Spool { .. } => Some((key, extent.first, &extent.place)),
            Place::Pack { .. } => None,
        })
    })
}
