//! The x86-64 levels: tokens that prove what the CPU has, and for each of them eight lanes and the Reed-Solomon butterflies.
//!
//! Every `unsafe` here is one of two kinds: an instruction that the token proves to exist, or a load or store whose bounds are
//! proved beside it.

mod avx2;
mod avx512;

pub(super) use avx2::Nibbles;
pub(super) use avx512::Matrix;

use super::blake::{self, Octet};

/// Proof that the CPU has AVX2: only [`Avx2::detect`] makes one.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Proof that the CPU has AVX-512 F, BW and VL, and GFNI: only [`Avx512::detect`] makes one.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("gfni");
        found.then_some(Self(()))
    }
}

/// Compiles the generic bodies with a level's instructions and makes them callable by its token.
macro_rules! hashing {
    ($token:ident, $features:literal) => {
        impl $token {
            pub(super) fn leaves(self, data: &[&[u8]; 8], out: &mut Octet) {
                #[target_feature(enable = $features)]
                fn inner(token: $token, data: &[&[u8]; 8], out: &mut Octet) {
                    blake::leaves_in(token, data, out);
                }
                // SAFETY: `self` proves that the CPU has the features.
                unsafe { inner(self, data, out) }
            }

            pub(super) fn parents(self, left: &[Octet], right: &[Octet], out: &mut [Octet]) {
                #[target_feature(enable = $features)]
                fn inner(token: $token, left: &[Octet], right: &[Octet], out: &mut [Octet]) {
                    blake::parents_in(token, left, right, out);
                }
                // SAFETY: `self` proves that the CPU has the features.
                unsafe { inner(self, left, right, out) }
            }

            pub(super) fn halve(self, nodes: &mut [Octet], count: usize) {
                #[target_feature(enable = $features)]
                fn inner(token: $token, nodes: &mut [Octet], count: usize) {
                    blake::halve_in(token, nodes, count);
                }
                // SAFETY: `self` proves that the CPU has the features.
                unsafe { inner(self, nodes, count) }
            }
        }
    };
}

hashing!(Avx2, "avx2");
hashing!(Avx512, "avx512f,avx512bw,avx512vl,gfni");
