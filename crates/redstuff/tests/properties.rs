//! What must hold for every committee, length and choice of slivers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like the tests themselves")]

mod common;

use common::lcg;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use redstuff::{
    Axis, Consistency, Decoder, Encoded, Encoder, Error, GeneralRecoverySymbol, InconsistencyProof, Metadata, Params,
    Primary, Recovered, RecoverySymbol, Rejection, Secondary, Simd, Sliver, SliverAxis, SliverIndex, VerifiedMetadata,
    decode, encode, recover_sliver,
};

/// Shard counts around every change of shape: each f, powers of two, and the networks' 1000.
fn shards() -> impl Strategy<Value = u16> {
    prop_oneof![6 => 4u16..40, 2 => select(vec![63u16, 64, 65, 96, 100, 128, 129, 191, 193, 256, 257]), 1 => select(vec![334u16, 512, 1000])]
}

/// Lengths at and around symbol boundaries, short enough for the time that a test may take.
fn blob() -> impl Strategy<Value = (Params, Vec<u8>)> {
    let length = (shards(), 0u64..40, -1i64..=1, any::<bool>());
    length.prop_flat_map(|(n, symbol, off, boundary)| {
        let params = Params::new(n).unwrap();
        let matrix = u64::from(params.rows()) * u64::from(params.columns());
        let symbol = if matrix > 20_000 { symbol % 4 } else { symbol };
        let at = (symbol * matrix).saturating_add_signed(off);
        let length = if boundary { Just(at).boxed() } else { (0..=at).boxed() };
        (Just(params), length, any::<u32>())
            .prop_map(|(params, length, seed)| (params, lcg(seed, usize::try_from(length).unwrap())))
    })
}

/// A random choice of `count` of the slivers of axis `A`, in random order.
fn choose<'a, A: SliverAxis, B: AsRef<[u8]>>(encoded: &'a Encoded<B>, count: u16, seed: u32) -> Vec<Sliver<'a, A>> {
    let mut order: Vec<(u32, SliverIndex<A>)> = encoded
        .params()
        .slivers::<A>()
        .map(|index| (u32::from(index.get() + 1).wrapping_mul(seed | 1).wrapping_mul(2_654_435_761) >> 7, index))
        .collect();
    order.sort();
    order.into_iter().take(count.into()).map(|(_, index)| encoded.sliver(index).unwrap()).collect()
}

fn check_decode<A: SliverAxis>(encoded: &Encoded<Vec<u8>>, seed: u32) -> Result<(), TestCaseError> {
    let params = encoded.params();
    let need = params.slivers_to_decode(A::AXIS);
    for (seed, consistency) in
        [(seed, Consistency::Skip), (!seed, Consistency::Default), (seed ^ 5, Consistency::Strict)]
    {
        let mut slivers = choose::<A, _>(encoded, need, seed);
        prop_assert_eq!(&decode(encoded.metadata(), &slivers, consistency).unwrap(), encoded.blob());
        // One too few, even with one given twice and one of wrong shape.
        let last = slivers.pop().unwrap();
        let twice = slivers[0].clone();
        slivers.push(twice);
        slivers.push(Sliver::new(last.index(), last.symbol_size(), vec![0; last.data().len() + 2]));
        let too_few = decode(encoded.metadata(), &slivers, consistency);
        prop_assert!(matches!(too_few, Err(Error::NotEnough { have, need, .. }) if have + 1 == need), "{:?}", too_few);
    }
    Ok(())
}

fn check_sliver<A: SliverAxis>(encoded: &Encoded<Vec<u8>>, at: Index, bit: u8) -> Result<(), TestCaseError> {
    let (params, metadata) = (encoded.params(), encoded.metadata());
    let index = SliverIndex::<A>::new(u16::try_from(at.index(params.n_shards().into())).unwrap());
    let sliver = encoded.sliver(index).unwrap();
    sliver.verify(metadata).unwrap();
    let bcs = sliver.to_bcs();
    prop_assert_eq!(&[&sliver.bcs_prefix(), sliver.data(), &sliver.bcs_suffix()].concat(), &bcs);
    prop_assert_eq!(&Sliver::from_bcs(&bcs).unwrap(), &sliver);

    let mut data = sliver.data().to_vec();
    let position = at.index(data.len());
    data[position] ^= 1 << bit;
    let changed = Sliver::new(index, sliver.symbol_size(), data).verify(metadata);
    prop_assert!(matches!(changed, Err(Error::Rejected(Rejection::RootMismatch { .. }))), "{:?}", changed);
    let moved = SliverIndex::<A>::new((index.get() + 1) % params.n_shards());
    if encoded.sliver(moved).unwrap().data() != sliver.data() {
        prop_assert!(Sliver::new(moved, sliver.symbol_size(), sliver.data()).verify(metadata).is_err());
    }
    let outside = SliverIndex::<A>::new(params.n_shards());
    let outside = Sliver::new(outside, sliver.symbol_size(), sliver.data()).verify(metadata);
    prop_assert!(matches!(outside, Err(Error::Rejected(Rejection::IndexTooLarge { .. }))), "index n");
    prop_assert!(encoded.sliver(SliverIndex::<A>::new(params.n_shards())).is_err());
    prop_assert!(encoded.sliver(SliverIndex::<A>::new(u16::MAX)).is_err());
    Ok(())
}

fn symbols_for<T: SliverAxis>(
    encoded: &Encoded<Vec<u8>>,
    target: SliverIndex<T>,
    count: u16,
    seed: u32,
) -> Vec<RecoverySymbol<T>> {
    let sources = choose::<T::Orthogonal, _>(encoded, count, seed);
    sources.iter().map(|source| source.expand(encoded.params()).unwrap().recovery_symbol(target).unwrap()).collect()
}

fn check_recovery<T: SliverAxis>(encoded: &Encoded<Vec<u8>>, at: Index, seed: u32) -> Result<(), TestCaseError> {
    let (params, metadata) = (encoded.params(), encoded.metadata());
    let target = SliverIndex::<T>::new(u16::try_from(at.index(params.n_shards().into())).unwrap());
    let need = params.symbols_per_sliver(T::AXIS);
    let mut symbols = symbols_for(encoded, target, need, seed);
    let recovered = recover_sliver(target, symbols.clone(), metadata).unwrap();
    prop_assert_eq!(recovered, Recovered::Sliver(encoded.sliver(target).unwrap().into_owned()));

    // A consistent blob has no inconsistency proof, and a changed symbol is not accepted.
    let no_proof = InconsistencyProof::new(target, symbols.clone());
    prop_assert!(matches!(no_proof.verify(metadata), Err(Error::NotInconsistent)));
    let bcs = symbols[0].to_bcs();
    let mut changed = bcs.clone();
    let position = at.index(changed.len());
    changed[position] ^= 0x10;
    if let Ok(symbol) = RecoverySymbol::<T>::from_bcs(&changed) {
        prop_assert!(symbol.verify(target, metadata).is_err(), "byte {}", position);
        symbols[0] = symbol;
        let too_few = recover_sliver(target, symbols, metadata);
        prop_assert!(matches!(too_few, Err(Error::NotEnough { .. })), "{:?}", too_few);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_sufficient_set_decodes((params, blob) in blob(), seed in any::<u32>()) {
        let encoded = encode(&params, blob).unwrap();
        check_decode::<Primary>(&encoded, seed)?;
        check_decode::<Secondary>(&encoded, seed)?;
    }

    #[test]
    fn slivers_verify_and_changes_are_detected((params, blob) in blob(), at in any::<Index>(), bit in 0u8..8) {
        let encoded = encode(&params, blob).unwrap();
        check_sliver::<Primary>(&encoded, at, bit)?;
        check_sliver::<Secondary>(&encoded, at, bit)?;
        let metadata = Metadata::from_bcs(&encoded.metadata().to_bcs()).unwrap();
        let mut bytes = metadata.to_bcs();
        let position = at.index(bytes.len());
        bytes[position] ^= 1 << bit;
        if let Ok(changed) = Metadata::from_bcs(&bytes) {
            prop_assert!(changed.verify(encoded.blob_id(), &params).is_err(), "byte {}", position);
        }
    }

    #[test]
    fn any_sliver_is_recovered((params, blob) in blob(), at in any::<Index>(), seed in any::<u32>()) {
        prop_assume!(params.n_shards() <= 130);
        let encoded = encode(&params, blob).unwrap();
        check_recovery::<Primary>(&encoded, at, seed)?;
        check_recovery::<Secondary>(&encoded, at, seed)?;
    }

    #[test]
    fn row_spans_are_the_blob((params, blob) in blob(), a in any::<Index>(), b in any::<Index>()) {
        let length = blob.len() as u64;
        let (a, b) = (a.index(blob.len() + 1), b.index(blob.len() + 1));
        let range = a.min(b)..a.max(b);
        let size = params.symbol_size(length).unwrap();
        let row = params.sliver_length(Axis::Primary, length).unwrap();
        let mut padded = blob.clone();
        padded.resize(row * usize::from(params.rows()), 0);
        let mut read = Vec::new();
        for span in params.row_spans(length, range.start as u64..range.end as u64).unwrap() {
            prop_assert!(span.sliver.get() < params.rows() && !span.in_sliver.is_empty());
            prop_assert_eq!(span.in_blob.start, (range.start + read.len()) as u64);
            let sliver = Sliver::new(span.sliver, size, &padded[span.sliver.as_usize() * row..][..row]);
            read.extend_from_slice(&sliver.data()[span.in_sliver]);
        }
        prop_assert_eq!(&read, &blob[range]);
        prop_assert!(params.row_spans(length, 0..length + 1).is_err());
    }

    #[test]
    fn parsers_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Metadata::from_bcs(&bytes);
        let _ = Metadata::from_bcs_with_id(&bytes);
        let _ = Sliver::<Primary>::from_bcs(&bytes).map(|sliver| sliver.expand(&Params::new(7).unwrap()));
        let _ = RecoverySymbol::<Secondary>::from_bcs(&bytes);
        let _ = GeneralRecoverySymbol::from_bcs(&bytes);
        let _ = GeneralRecoverySymbol::vec_from_bcs(&bytes);
        let _ = InconsistencyProof::<Primary>::from_bcs(&bytes);
        let _ = redstuff::quilt::QuiltPatchId::from_bytes(&bytes);
    }
}

/// Commits to `wrong` instead of the encoded sliver `index`: what a faulty or malicious writer does.
fn commit_to_wrong_sliver<T: SliverAxis>(
    encoded: &Encoded<Vec<u8>>,
    index: SliverIndex<T>,
) -> (VerifiedMetadata, Sliver<'static, T>) {
    let params = encoded.params();
    let mut data = encoded.sliver(index).unwrap().data().to_vec();
    data[0] ^= 0xff;
    let wrong = Sliver::new(index, encoded.metadata().symbol_size(), data);
    let mut hashes = encoded.metadata().hashes().to_vec();
    let hash = wrong.expand(params).unwrap().hash();
    let pair = &mut hashes[index.pair(params).as_usize()];
    match T::AXIS {
        Axis::Primary => pair.primary = hash,
        Axis::Secondary => pair.secondary = hash,
    }
    let metadata = Metadata::new(encoded.metadata().unencoded_length(), hashes);
    let id = metadata.blob_id();
    let metadata = metadata.verify(&id, params).unwrap();
    wrong.verify(&metadata).unwrap();
    (metadata, wrong)
}

fn check_inconsistency<T: SliverAxis>(encoded: &Encoded<Vec<u8>>, target: SliverIndex<T>) {
    let params = encoded.params();
    let (metadata, _) = commit_to_wrong_sliver(encoded, target);
    let symbols = symbols_for(encoded, target, params.symbols_per_sliver(T::AXIS), 77);
    let Recovered::Inconsistent(proof) = recover_sliver(target, symbols, &metadata).unwrap() else {
        panic!("{target:?} was not found to be inconsistent");
    };
    proof.verify(&metadata).unwrap();
    let parsed = InconsistencyProof::<T>::from_bcs(&proof.to_bcs()).unwrap();
    assert_eq!(parsed, proof);
    // The proof is bound to the target, to the number of symbols and to distinct sources.
    let other = SliverIndex::<T>::new((target.get() + 1) % params.n_shards());
    assert!(InconsistencyProof::new(other, proof.symbols().to_vec()).verify(&metadata).is_err());
    let mut symbols = proof.symbols().to_vec();
    symbols.pop();
    let short = InconsistencyProof::new(target, symbols.clone()).verify(&metadata);
    assert!(matches!(short, Err(Error::Rejected(Rejection::SymbolCount { .. }))));
    symbols.push(symbols[0].clone());
    let repeated = InconsistencyProof::new(target, symbols).verify(&metadata);
    assert!(matches!(repeated, Err(Error::NotEnough { .. })), "{repeated:?}");
}

#[test]
fn inconsistent_blobs_are_proved() {
    for (n, length) in [(4, 100), (7, 0), (10, 5000), (31, 4000), (100, 10_000)] {
        let encoded = encode(&Params::new(n).unwrap(), lcg(u32::from(n), length)).unwrap();
        for index in [0, n / 2, n - 1] {
            check_inconsistency::<Primary>(&encoded, SliverIndex::new(index));
            check_inconsistency::<Secondary>(&encoded, SliverIndex::new(index));
        }
    }
}

#[test]
fn consistency_checks_notice_what_they_promise() {
    let params = Params::new(10).unwrap();
    let encoded = encode(&params, lcg(3, 5000)).unwrap();
    let inconsistent = |result: Result<Vec<u8>, Error>| matches!(result, Err(Error::Inconsistent { .. }));

    // A wrong secondary sliver: the primaries agree with each other, so only Strict notices when they are decoded.
    let (metadata, wrong) = commit_to_wrong_sliver(&encoded, SliverIndex::<Secondary>::new(2));
    let primaries = choose::<Primary, _>(&encoded, params.rows(), 9);
    assert_eq!(&decode(&metadata, &primaries, Consistency::Default).unwrap(), encoded.blob());
    assert!(inconsistent(decode(&metadata, &primaries, Consistency::Strict)));
    let mut secondaries = vec![wrong];
    secondaries.extend((3..).take(6).map(|i| encoded.secondary(SliverIndex::new(i)).unwrap().into_owned()));
    assert_ne!(&decode(&metadata, &secondaries, Consistency::Skip).unwrap(), encoded.blob());
    assert!(inconsistent(decode(&metadata, &secondaries, Consistency::Default)));
    assert!(inconsistent(decode(&metadata, &secondaries, Consistency::Strict)));

    // A wrong systematic primary sliver that is not among those decoded: Default and Strict notice.
    let (metadata, _) = commit_to_wrong_sliver(&encoded, SliverIndex::<Primary>::new(1));
    let others: Vec<_> = [0, 2, 3, 4].map(|i| encoded.primary(SliverIndex::new(i)).unwrap()).into();
    assert_eq!(&decode(&metadata, &others, Consistency::Skip).unwrap(), encoded.blob());
    assert!(inconsistent(decode(&metadata, &others, Consistency::Default)));
    assert!(inconsistent(decode(&metadata, &others, Consistency::Strict)));

    // Padding that is not zero: committed by a blob of full length whose metadata claims less.
    let full = lcg(1, usize::from(28 * encoded.metadata().symbol_size().get()));
    let full = encode(&params, full).unwrap();
    let short = Metadata::new(4999, full.metadata().hashes().to_vec());
    let id = short.blob_id();
    let short = short.verify(&id, &params).unwrap();
    let primaries: Vec<_> = params.slivers().take(4).map(|i| full.primary(i).unwrap()).collect();
    decode(&short, &primaries, Consistency::Default).unwrap();
    assert!(inconsistent(decode(&short, &primaries, Consistency::Strict)));
    let primaries: Vec<_> = params.slivers().skip(1).take(4).map(|i| full.primary(i).unwrap()).collect();
    assert!(decode(&short, &primaries, Consistency::Default).is_ok(), "the padded sliver itself was given");
    let primaries: Vec<_> = params.slivers().skip(4).take(4).map(|i| full.primary(i).unwrap()).collect();
    assert!(inconsistent(decode(&short, &primaries, Consistency::Default)));
}

#[test]
fn metadata_of_other_committees_is_refused() {
    let encoded = encode(&Params::new(10).unwrap(), lcg(3, 50)).unwrap();
    let metadata = || Metadata::from_bcs(&encoded.metadata().to_bcs()).unwrap();
    let other = Params::new(13).unwrap();
    let refused = metadata().verify(encoded.blob_id(), &other);
    assert!(matches!(refused, Err(Error::Rejected(Rejection::HashCount { have: 10, need: 13 }))));
    let too_long = Metadata::new(u64::MAX, metadata().hashes().to_vec());
    let id = too_long.blob_id();
    let refused = too_long.verify(&id, encoded.params());
    assert!(matches!(refused, Err(Error::Rejected(Rejection::UnencodedLength { .. }))));
    let (id, parsed) = Metadata::from_bcs_with_id(&encoded.metadata().to_bcs_with_id()).unwrap();
    assert_eq!((&id, parsed), (encoded.blob_id(), metadata()));
}

/// Every way to encode gives the same bytes: each level of instructions, any number of threads, all at once or in windows, with or
/// without keeping the blob.
fn check_every_way(params: &Params, blob: &[u8], levels: &[Simd]) {
    let expected = Encoder::new(params).threads(1).simd(levels[0]).encode(blob).unwrap();
    let length = blob.len() as u64;
    for level in levels.iter().filter(|level| level.available()) {
        for threads in [1, 3] {
            let what = format!("{params:?}, {length} bytes, {level:?}, {threads} threads");
            let encoder = Encoder::new(params).threads(threads).simd(*level);
            let encoded = encoder.encode(blob).unwrap();
            assert_eq!(encoded.metadata(), expected.metadata(), "{what}");
            assert_eq!(&encoder.metadata(blob).unwrap(), expected.metadata(), "{what}");
            assert_eq!(&encoder.metadata_in_place(blob.to_vec()).unwrap(), expected.metadata(), "{what}");
            assert_eq!(&encoder.metadata_from_reader(length, &mut &*blob).unwrap(), expected.metadata(), "{what}");
            let read = encoder.prepare(encoder.read(length, &mut &*blob).unwrap()).unwrap();
            assert_eq!(read.metadata(), expected.metadata(), "{what}");
            let mut next = 0;
            let row = expected.primary(SliverIndex::new(0)).unwrap().data().len();
            for range in read.windows(row * 7) {
                assert_eq!(range.start, next);
                next = range.end;
                let window = read.window(range.clone()).unwrap();
                for pair in window.pairs() {
                    assert!(window.pair(pair).unwrap() == expected.pair(pair).unwrap(), "{what}, pair {pair}");
                    assert!(encoded.pair(pair).unwrap() == expected.pair(pair).unwrap(), "{what}, pair {pair}");
                }
                assert!(window.pair(redstuff::PairIndex::new(range.end)).is_err());
            }
            assert_eq!(next, params.n_shards());
            check_stream(read, &expected, row * 3, &what);
            let decoder = Decoder::new().threads(threads).simd(*level);
            check_decoder::<Primary>(&decoder, &expected, &what);
            check_decoder::<Secondary>(&decoder, &expected, &what);
        }
    }
}

/// A stream hands out every pair once, in order, in windows of the size that it may have.
fn check_stream<B: AsRef<[u8]>>(prepared: redstuff::Prepared<B>, expected: &Encoded<&[u8]>, extra: usize, what: &str) {
    let params = *expected.params();
    let row = expected.primary(SliverIndex::new(0)).unwrap().data().len();
    let column = expected.secondary(SliverIndex::new(0)).unwrap().data().len();
    let secondaries = usize::from(params.n_shards() - params.columns()) * column;
    let mut stream = prepared.stream(extra);
    assert_eq!((stream.metadata(), stream.blob_id()), (expected.metadata(), expected.blob_id()), "{what}");
    let mut next = 0;
    while let Some(window) = stream.next_window() {
        assert!(next == 0 || window.pairs().len() * row <= (secondaries + extra).max(row), "{what}: too large");
        for pair in window.pairs() {
            assert_eq!(pair.get(), next, "{what}");
            assert!(window.pair(pair).unwrap() == expected.pair(pair).unwrap(), "{what}, pair {pair}");
            next += 1;
        }
        assert!(window.pair(redstuff::PairIndex::new(next)).is_err(), "{what}");
    }
    assert_eq!(next, params.n_shards(), "{what}");
    assert!(stream.next_window().is_none(), "{what}");
    assert_eq!(&stream.into_blob().as_ref(), expected.blob(), "{what}");
}

fn check_decoder<A: SliverAxis>(decoder: &Decoder, encoded: &Encoded<&[u8]>, what: &str) {
    let slivers = choose::<A, _>(encoded, encoded.params().slivers_to_decode(A::AXIS), 12_345);
    for consistency in [Consistency::Skip, Consistency::Default, Consistency::Strict] {
        let decoded = decoder.decode(encoded.metadata(), &slivers, consistency).unwrap();
        assert!(&decoded == encoded.blob(), "{what}, {consistency:?}");
    }
}

#[test]
fn every_way_gives_the_same() {
    for (n, length) in [(4, 0), (4, 30), (5, 1000), (10, 70_000), (13, 5), (33, 40_000), (100, 2000), (129, 300_000)] {
        check_every_way(
            &Params::new(n).unwrap(),
            &lcg(length, length as usize),
            &[Simd::Portable, Simd::Avx2, Simd::Avx512],
        );
    }
    // Symbols so long that they are taken in pieces.
    let params = Params::new(100).unwrap();
    let blob = lcg(1, 2278 * 5400 - 77);
    check_every_way(&params, &blob, &[Simd::detect()]);
    let encoded = encode(&params, &blob).unwrap();
    let primaries = choose::<Primary, _>(&encoded, params.rows(), 5);
    assert!(decode(encoded.metadata(), &primaries, Consistency::Skip).unwrap() == blob);
    let secondaries = choose::<Secondary, _>(&encoded, params.columns(), 5);
    assert!(decode(encoded.metadata(), &secondaries, Consistency::Skip).unwrap() == blob);
    primaries[0].verify(encoded.metadata()).unwrap();
}

#[test]
fn readers_give_the_same_metadata() {
    let encoder = Encoder::new(&Params::new(31).unwrap());
    let blob = lcg(8, 70_000);
    let expected = encoder.metadata(&blob).unwrap();
    assert_eq!(encoder.metadata_from_reader(70_000, &mut blob.as_slice()).unwrap(), expected);
    let short = encoder.metadata_from_reader(70_001, &mut blob.as_slice());
    assert!(matches!(short, Err(Error::Io(_))));
}

#[test]
fn unsupported_committees() {
    for n in [0, 1, 2, 3, 16_385, u16::MAX] {
        assert!(matches!(Params::new(n), Err(Error::UnsupportedShards { .. })), "{n}");
    }
    for n in [4, 1000, 16_384] {
        let params = Params::new(n).unwrap();
        assert_eq!(usize::from(params.rows()) + usize::from(params.max_faulty()), usize::from(params.columns()));
    }
}
