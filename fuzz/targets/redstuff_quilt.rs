//! Reading indexes and patches from columns that hold anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstuff::quilt::{Quilt, QuiltBlob, QuiltIndex, index_columns, read_patch};
use redstuff::{Params, Secondary, Sliver, SliverIndex};
use std::num::NonZeroU16;

fuzz_target!(|data: &[u8]| {
    let [n, size, rest @ ..] = data else { return };
    let params = Params::new(4 + u16::from(*n) % 28).unwrap();
    let Some(size) = NonZeroU16::new(u16::from(*size) * 2) else { return };
    let column = usize::from(params.rows()) * usize::from(size.get());
    let slivers: Vec<Sliver<'_, Secondary>> =
        (0..).zip(rest.chunks_exact(column)).map(|(i, data)| Sliver::new(SliverIndex::new(i), size, data)).collect();
    if let Some(first) = slivers.first() {
        let _ = index_columns(&params, first);
    }
    if let Ok(index) = QuiltIndex::read(&params, &slivers) {
        for patch in index.patches() {
            if let Some(slivers) = slivers.get(usize::from(patch.columns.start)..usize::from(patch.columns.end)) {
                let _ = read_patch(patch.columns.clone(), slivers);
            }
        }
    }
    for start in 0..slivers.len().min(4) {
        let columns = u16::try_from(start).unwrap()..u16::try_from(slivers.len()).unwrap();
        let _ = read_patch(columns, &slivers[start..]);
    }
    // The same bytes as content: whatever can be laid out reads back.
    let blobs: Vec<QuiltBlob<'_>> =
        rest.chunks(40).take(5).enumerate().filter_map(|(i, data)| QuiltBlob::new(format!("{i}"), data).ok()).collect();
    if let Ok(quilt) = Quilt::build(&params, blobs) {
        assert!(quilt.data().len() as u64 <= params.max_blob_size());
    }
});
