//! The two axes of the code, and the three ways to number a sliver.
//!
//! A blob is a matrix of symbols; a *primary* sliver is a row of it, a *secondary* sliver a column. Slivers travel in
//! *pairs* (primary `i` with secondary `n - 1 - i`), and a rotation that depends on the blob id maps pairs to *shards*.
//! Mixing these numbers up reads like working code and stores data that nobody finds, so each has its own type and
//! the axis is part of a sliver index's type. Conversions are total: an index outside `0..n` stays outside `0..n`,
//! and is rejected where it is used.
//!
//! The number of one kind is not taken for another:
//!
//! ```compile_fail,E0308
//! # use redstuff::*;
//! fn sliver(encoded: &Encoded<Vec<u8>>, pair: PairIndex) {
//!     let _ = encoded.primary(pair);
//! }
//! ```
//! ```compile_fail,E0308
//! # use redstuff::*;
//! fn sliver(encoded: &Encoded<Vec<u8>>, index: SliverIndex<Secondary>) {
//!     let _ = encoded.primary(index);
//! }
//! ```
//! ```compile_fail,E0308
//! # use redstuff::*;
//! fn pair(encoded: &Encoded<Vec<u8>>, shard: ShardIndex) {
//!     let _ = encoded.pair(shard);
//! }
//! ```
//!
//! Nor are slivers of two axes decoded together, nor a sliver recovered from symbols of its own axis:
//!
//! ```compile_fail,E0308
//! # use redstuff::*;
//! fn slivers(a: Sliver<'_, Primary>, b: Sliver<'_, Secondary>, metadata: &VerifiedMetadata) {
//!     let _ = decode(metadata, &[a, b], Consistency::Default);
//! }
//! ```
//! ```compile_fail,E0308
//! # use redstuff::*;
//! fn recover(target: SliverIndex<Primary>, symbols: Vec<RecoverySymbol<Secondary>>, metadata: &VerifiedMetadata) {
//!     let _ = recover_sliver(target, symbols, metadata);
//! }
//! ```
//!
//! Nor is metadata trusted that nobody verified:
//!
//! ```compile_fail,E0308
//! # use redstuff::*;
//! fn check(sliver: Sliver<'_, Primary>, metadata: Metadata) {
//!     let _ = sliver.verify(&metadata);
//! }
//! ```

use crate::{BlobId, Params};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Debug, Display};
use std::hash::Hash;
use std::marker::PhantomData;
use std::str::FromStr;

/// Which way a sliver runs through the symbol matrix, as a run-time value (in URLs: `primary`, `secondary`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// A row of the matrix: `n - f` symbols.
    Primary,
    /// A column of the matrix: `n - 2f` symbols.
    Secondary,
}

impl Axis {
    /// The other axis.
    pub const fn orthogonal(self) -> Self {
        match self {
            Axis::Primary => Axis::Secondary,
            Axis::Secondary => Axis::Primary,
        }
    }

    /// The name used in the storage nodes' URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Axis::Primary => "primary",
            Axis::Secondary => "secondary",
        }
    }
}

impl Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is neither `primary` nor `secondary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sliver type is `primary` or `secondary`")]
pub struct ParseAxisError;

impl FromStr for Axis {
    type Err = ParseAxisError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "primary" => Ok(Axis::Primary),
            "secondary" => Ok(Axis::Secondary),
            _ => Err(ParseAxisError),
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Primary {}
    impl Sealed for super::Secondary {}
}

/// An axis as a type: [`Primary`] or [`Secondary`], nothing else.
pub trait SliverAxis: sealed::Sealed + Copy + Debug + Ord + Hash + Send + Sync + 'static {
    /// The same axis as a value.
    const AXIS: Axis;
    /// The other axis.
    type Orthogonal: SliverAxis<Orthogonal = Self>;
}

/// Rows: a primary sliver has `n - f` symbols, and `n - 2f` of them decode the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Primary;

/// Columns: a secondary sliver has `n - 2f` symbols, and `n - f` of them decode the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secondary;

impl SliverAxis for Primary {
    const AXIS: Axis = Axis::Primary;
    type Orthogonal = Secondary;
}

impl SliverAxis for Secondary {
    const AXIS: Axis = Axis::Secondary;
    type Orthogonal = Primary;
}

/// The row (for [`Primary`]) or column (for [`Secondary`]) number of a sliver.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliverIndex<A: SliverAxis>(u16, PhantomData<A>);

impl<A: SliverAxis> SliverIndex<A> {
    /// The index `value`; whether it is below `n` is checked where it is used.
    pub const fn new(value: u16) -> Self {
        Self(value, PhantomData)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number, for indexing.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// The pair that this sliver belongs to: primary `i` to pair `i`, secondary `j` to pair `n - 1 - j`.
    pub fn pair(self, params: &Params) -> PairIndex {
        PairIndex(reverse_if_secondary(A::AXIS, self.0, params))
    }
}

impl<A: SliverAxis> Debug for SliverIndex<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", A::AXIS, self.0)
    }
}

impl<A: SliverAxis> Display for SliverIndex<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl<A: SliverAxis> Serialize for SliverIndex<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, A: SliverAxis> Deserialize<'de> for SliverIndex<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u16::deserialize(deserializer).map(Self::new)
    }
}

/// The number of a sliver pair: the unit that a shard stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PairIndex(u16);

impl PairIndex {
    /// The index `value`; whether it is below `n` is checked where it is used.
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number, for indexing.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// The sliver of axis `A` in this pair.
    pub fn sliver<A: SliverAxis>(self, params: &Params) -> SliverIndex<A> {
        SliverIndex::new(reverse_if_secondary(A::AXIS, self.0, params))
    }

    /// The shard that stores this pair of blob `id`: rotated by the blob id read as a big-endian integer, mod `n`.
    pub fn shard(self, id: &BlobId, params: &Params) -> ShardIndex {
        let n = u32::from(params.n_shards());
        if u32::from(self.0) >= n {
            return ShardIndex(self.0);
        }
        let shard = (u32::from(self.0) + u32::from(id.rotation(params))) % n;
        ShardIndex(u16::try_from(shard).unwrap_or(u16::MAX))
    }
}

impl Display for PairIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// The number of a shard, as the committee assigns shards to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardIndex(u16);

impl ShardIndex {
    /// The index `value`; whether it is below `n` is checked where it is used.
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number, for indexing.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// The pair of blob `id` that this shard stores: the inverse of [`PairIndex::shard`].
    pub fn pair(self, id: &BlobId, params: &Params) -> PairIndex {
        let n = u32::from(params.n_shards());
        if u32::from(self.0) >= n {
            return PairIndex(self.0);
        }
        let pair = (n + u32::from(self.0) - u32::from(id.rotation(params))) % n;
        PairIndex(u16::try_from(pair).unwrap_or(u16::MAX))
    }
}

impl Display for ShardIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// `i -> n - 1 - i` on the secondary axis. Wrapping keeps it a bijection of `u16` that maps `0..n` to itself, so an
/// index out of range stays out of range.
fn reverse_if_secondary(axis: Axis, index: u16, params: &Params) -> u16 {
    match axis {
        Axis::Primary => index,
        Axis::Secondary => (params.n_shards() - 1).wrapping_sub(index),
    }
}
