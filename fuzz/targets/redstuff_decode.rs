//! Encode, damage, verify, decode: what verifies decodes to the blob, what was damaged does not verify, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstuff::{
    Consistency, Encoder, Params, Primary, Recovered, Secondary, Simd, Sliver, SliverAxis, SliverIndex, VerifiedMetadata, decode,
    recover_sliver,
};

fn check<A: SliverAxis>(metadata: &VerifiedMetadata, slivers: Vec<Sliver<'static, A>>, blob: &[u8], control: &[u8]) {
    let n = slivers.len();
    let mut kept: Vec<Sliver<'static, A>> = Vec::new();
    for (i, sliver) in slivers.into_iter().enumerate() {
        match control.get(i % control.len().max(1)).copied().unwrap_or(0) % 4 {
            0 => {
                let mut data = sliver.data().to_vec();
                let at = i * 31 % data.len();
                data[at] ^= 1 + control[i % control.len()];
                let damaged = Sliver::new(sliver.index(), sliver.symbol_size(), data.clone());
                assert_eq!(damaged.verify(metadata).is_ok(), data == sliver.data());
            }
            1 => {}
            _ => kept.push(sliver),
        }
    }
    let turn = control.len() % kept.len().max(1);
    kept.rotate_left(turn);
    let enough = kept.len() >= usize::from(metadata.params().slivers_to_decode(A::AXIS));
    for consistency in [Consistency::Skip, Consistency::Default, Consistency::Strict] {
        match decode(metadata, &kept, consistency) {
            Ok(decoded) => assert!(enough && decoded == blob),
            Err(_) => assert!(!enough),
        }
    }
    let target = SliverIndex::<A::Orthogonal>::new(u16::try_from(control.len() % n).unwrap());
    let symbols = kept
        .iter()
        .map(|sliver| sliver.expand(metadata.params()).unwrap().recovery_symbol(target).unwrap())
        .collect();
    if let Ok(Recovered::Inconsistent(_)) = recover_sliver(target, symbols, metadata) {
        panic!("a consistent blob was found inconsistent");
    }
}

fuzz_target!(|data: &[u8]| {
    let [n, control_length, level, rest @ ..] = data else { return };
    let params = Params::new(4 + u16::from(*n) % 37).unwrap();
    let (control, blob) = rest.split_at(usize::from(*control_length).min(rest.len()));
    if control.is_empty() {
        return;
    }
    let simd = [Simd::Portable, Simd::Avx2, Simd::Avx512][usize::from(*level) % 3];
    let encoded = Encoder::new(&params).threads(1).simd(simd).encode(blob).unwrap();
    assert_eq!(Encoder::new(&params).metadata_in_place(blob.to_vec()).unwrap(), *encoded.metadata());
    let primaries = params.slivers::<Primary>().map(|i| encoded.primary(i).unwrap().into_owned()).collect();
    let secondaries = params.slivers::<Secondary>().map(|i| encoded.secondary(i).unwrap().into_owned()).collect();
    check(encoded.metadata(), primaries, blob, control);
    check(encoded.metadata(), secondaries, blob, control);
});
