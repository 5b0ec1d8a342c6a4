//! The parts that are worth vector instructions: eight BLAKE2b hashes at a time, and the butterflies of the Reed-Solomon
//! transforms.
//!
//! What the CPU offers is found at run time, and every level gives the same bytes: the portable one always exists and is what
//! the others are tested against. A level's functions are reached through a token that can only be made where the
//! instructions exist, so that calling them is safe.

pub(crate) mod blake;
mod engine;
mod lanes;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use engine::{Constant, GfEngine, Shards, Span};

use std::fmt;
use std::sync::LazyLock;

/// A level of vector instructions. Which one is used never changes a result, only the time that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Simd {
    /// What the compiler makes of plain Rust for the target's baseline (on AArch64 that includes NEON; the Reed-Solomon
    /// engine has NEON code of its own there).
    Portable,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, VL) and GFNI.
    Avx512,
}

impl Simd {
    /// The best level of this CPU.
    pub fn detect() -> Self {
        [Simd::Avx512, Simd::Avx2].into_iter().find(|level| level.available()).unwrap_or(Simd::Portable)
    }

    /// True if this CPU has the level's instructions.
    pub fn available(self) -> bool {
        match self {
            Simd::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => x86::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => x86::Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// What the functions of this crate compute with.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) simd: Simd,
    pub(crate) engine: GfEngine,
}

impl Backend {
    /// The backend of a level, or of the best one below it that the CPU has.
    pub(crate) fn new(simd: Simd) -> Self {
        let simd = if simd.available() { simd } else { Simd::detect().min(simd) };
        Self { simd, engine: GfEngine::new(simd) }
    }

    /// The best backend of this CPU.
    pub(crate) fn detected() -> &'static Self {
        static DETECTED: LazyLock<Backend> = LazyLock::new(|| Backend::new(Simd::detect()));
        &DETECTED
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.simd.fmt(f)
    }
}
