//! Every quilt of `data/quilt.json`, which was written by the TypeScript SDK; and quilts that lie.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like the tests themselves")]

mod common;

use common::{input, number, params, text, vectors};
use proptest::prelude::*;
use redstuff::quilt::{Quilt, QuiltBlob, QuiltError, QuiltIndex, QuiltPatchId, index_columns, read_patch};
use redstuff::{Error, Params, Secondary, Sliver, SliverIndex, encode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::num::NonZeroU16;

const FILE: &str = include_str!("data/quilt.json");

fn blob_spec(spec: &Value) -> (String, Vec<(String, String)>, Vec<u8>) {
    let tags = spec["tags"].as_object().unwrap().iter();
    let tags = tags.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    (text(spec, "identifier").to_owned(), tags, input(&spec["input"]))
}

#[test]
fn quilts() {
    let file = vectors(FILE);
    let quilts = file["quilts"].as_array().unwrap();
    assert_eq!(quilts.len(), 5);
    for case in quilts {
        let name = text(case, "name");
        let params = params(case);
        let specs: Vec<_> = case["blobs"].as_array().unwrap().iter().map(blob_spec).collect();
        let blobs = specs.iter().map(|(identifier, tags, data)| {
            let blob = QuiltBlob::new(identifier, data).unwrap();
            tags.iter().fold(blob, |blob, (name, value)| blob.with_tag(name, value).unwrap())
        });
        let quilt = Quilt::build(&params, blobs.collect()).unwrap();
        assert_eq!(quilt.data().len() as u64, number(case, "quiltLength"), "{name}");
        assert_eq!(hex::encode(Sha256::digest(quilt.data())), text(case, "quiltSha256"), "{name}");
        if let Some(bytes) = case.get("quiltHex") {
            assert_eq!(hex::encode(quilt.data()), bytes.as_str().unwrap(), "{name}");
        }
        assert_eq!(hex::encode(quilt.index().to_bcs()), text(case, "indexBcsHex"), "{name}");

        let encoded = encode(&params, quilt.data()).unwrap();
        assert_eq!(u64::from(encoded.metadata().symbol_size().get()), number(case, "symbolSize"), "{name}");
        assert_eq!(encoded.blob_id().to_string(), text(case, "quiltBlobId"), "{name}");

        let first = encoded.secondary(SliverIndex::new(0)).unwrap();
        let columns = (0..index_columns(&params, &first).unwrap()).map(SliverIndex::new);
        let slivers: Vec<_> = columns.map(|index| encoded.secondary(index).unwrap()).collect();
        let index = QuiltIndex::read(&params, &slivers).unwrap();
        assert_eq!(&index, quilt.index(), "{name}");

        let patches = case["patches"].as_array().unwrap();
        assert_eq!(index.patches().len(), patches.len(), "{name}");
        for (patch, vector) in index.patches().iter().zip(patches) {
            assert_eq!(patch.identifier, text(vector, "identifier"), "{name}");
            assert_eq!(u64::from(patch.columns.start), number(vector, "startIndex"), "{name}");
            assert_eq!(u64::from(patch.columns.end), number(vector, "endIndex"), "{name}");
            let id = patch.id(encoded.blob_id());
            assert_eq!(id.to_string(), text(vector, "patchId"), "{name}");
            assert_eq!(text(vector, "patchId").parse::<QuiltPatchId>().unwrap(), id, "{name}");
            // Only the patch's own slivers, found by its id alone.
            let slivers: Vec<_> = id.slivers().map(|index| encoded.secondary(index).unwrap()).collect();
            let content = read_patch(id.columns, &slivers).unwrap();
            let (identifier, tags, data) = specs.iter().find(|spec| spec.0 == patch.identifier).unwrap();
            assert_eq!((&content.identifier, &content.data), (identifier, data), "{name}");
            assert_eq!(content.tags, tags.iter().cloned().collect(), "{name}");
            assert_eq!(index.find(identifier).unwrap(), patch, "{name}");
        }
    }
}

#[test]
fn identifiers_are_validated() {
    for bad in ["", "a ", "a\u{2003}", "a\nb", "\u{7f}", "\u{85}x", &"x".repeat(65_535)] {
        assert!(matches!(QuiltBlob::new(bad, b""), Err(QuiltError::InvalidIdentifier(_))), "{bad:?}");
    }
    for good in [" a", "é", "a/b c", &"x".repeat(65_531)] {
        QuiltBlob::new(good, b"").unwrap();
    }
    let twice = vec![QuiltBlob::new("a", b"1").unwrap(), QuiltBlob::new("a", b"2").unwrap()];
    let params = Params::new(7).unwrap();
    assert_eq!(Quilt::build(&params, twice), Err(QuiltError::DuplicateIdentifier("a".into())));
    let many: Vec<String> = (0..5).map(|i| i.to_string()).collect();
    let build =
        |count: usize| Quilt::build(&params, many[..count].iter().map(|i| QuiltBlob::new(i, b"").unwrap()).collect());
    build(4).unwrap();
    assert_eq!(build(5), Err(QuiltError::TooManyPatches { patches: 5, max: 4 }));
    let tag = QuiltBlob::new("a", b"").unwrap().with_tag("k", "v".repeat(65_536));
    assert_eq!(tag, Err(QuiltError::TagsTooLarge("a".into())));
    assert_eq!(
        Quilt::build(&params, vec![QuiltBlob::new("big", &vec![1; 983_010]).unwrap()]),
        Err(QuiltError::TooLarge)
    );
}

fn slivers(size: u16, columns: &[Vec<u8>]) -> Vec<Sliver<'_, Secondary>> {
    let size = NonZeroU16::new(size).unwrap();
    let numbered = (0..).zip(columns);
    numbered.map(|(index, data)| Sliver::new(SliverIndex::new(index), size, data.as_slice())).collect()
}

#[test]
fn lying_indexes_are_refused() {
    let params = Params::new(7).unwrap();
    let good = {
        let quilt = Quilt::build(&params, vec![QuiltBlob::new("a", b"hello").unwrap()]).unwrap();
        let encoded = encode(&params, quilt.into_data()).unwrap();
        [0, 1].map(|i| encoded.secondary(SliverIndex::new(i)).unwrap().into_data().into_owned())
    };
    QuiltIndex::read(&params, &slivers(2, &good)).unwrap();
    let flat = good.concat();
    let read = |bytes: &[u8]| QuiltIndex::read(&params, &slivers(2, &[bytes[..6].to_vec(), bytes[6..].to_vec()]));
    // Index stream: version, length (4), then count, end (2), identifier, tags.
    for (position, value) in [(0, 2), (1, 0xff), (4, 0xff), (5, 0xff), (6, 2), (6, 1), (6, 6), (7, 1), (8, 9), (10, 1)]
    {
        let mut bytes = flat.clone();
        bytes[position] = value;
        assert!(matches!(read(&bytes), Err(Error::Malformed { .. })), "byte {position} = {value}");
    }
    assert!(matches!(
        QuiltIndex::read(&params, &slivers(2, &good[..1])),
        Err(Error::NotEnough { have: 1, need: 2, .. })
    ));
    assert!(matches!(QuiltIndex::read(&params, &[]), Err(Error::NotEnough { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the slivers hold, reading ends with a result and never with a panic.
    #[test]
    fn hostile_slivers_do_not_panic(columns in prop::collection::vec(prop::collection::vec(any::<u8>(), 6), 0..4), length in 0u8..16) {
        let params = Params::new(7).unwrap();
        let mut columns = columns;
        if let Some(first) = columns.first_mut() {
            first[..5].copy_from_slice(&[1, length, 0, 0, 0]);
        }
        let slivers = slivers(2, &columns);
        let _ = QuiltIndex::read(&params, &slivers);
        let _ = read_patch(0..u16::try_from(columns.len()).unwrap(), &slivers);
    }

    /// Any set of blobs comes back, each from its own columns.
    #[test]
    fn round_trip(n in prop::sample::select(vec![4u16, 7, 10, 31]), blobs in prop::collection::btree_map("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..200), 0..3)) {
        let params = Params::new(n).unwrap();
        let quilt = Quilt::build(&params, blobs.iter().map(|(name, data)| QuiltBlob::new(name, data).unwrap()).collect());
        let quilt = match quilt {
            Err(QuiltError::TooManyPatches { .. }) if blobs.len() >= usize::from(params.columns()) => return Ok(()),
            other => other.unwrap(),
        };
        let encoded = encode(&params, quilt.data()).unwrap();
        for patch in quilt.index().patches() {
            let slivers: Vec<_> = patch.slivers().map(|index| encoded.secondary(index).unwrap()).collect();
            let content = read_patch(patch.columns.clone(), &slivers).unwrap();
            prop_assert_eq!(&content.data, &blobs[&content.identifier]);
        }
    }
}
