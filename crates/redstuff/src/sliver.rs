//! Slivers: what a shard stores, how they travel, and how they are checked against the metadata.

use crate::buffer::Buffer;
use crate::code::Code;
use crate::merkle::{self, MerkleTree, Node};
use crate::simd::Backend;
use crate::symbol::{DecodingSymbol, RecoverySymbol};
use crate::wire::{Reader, put_bytes};
use crate::{Axis, Error, Params, Rejection, SliverAxis, SliverIndex, VerifiedMetadata};
use std::borrow::Cow;
use std::num::NonZeroU16;

/// One sliver of axis `A`, borrowed or owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sliver<'a, A: SliverAxis> {
    index: SliverIndex<A>,
    symbol_size: NonZeroU16,
    data: Cow<'a, [u8]>,
}

impl<'a, A: SliverAxis> Sliver<'a, A> {
    /// A sliver with symbols of `symbol_size` bytes. Nothing is checked here: see [`verify`](Self::verify).
    pub fn new(index: SliverIndex<A>, symbol_size: NonZeroU16, data: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { index, symbol_size, data: data.into() }
    }

    /// Its number on its axis.
    pub fn index(&self) -> SliverIndex<A> {
        self.index
    }

    /// Bytes of one of its symbols.
    pub fn symbol_size(&self) -> NonZeroU16 {
        self.symbol_size
    }

    /// Its symbols, one after the other.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Its symbols, one after the other.
    pub fn into_data(self) -> Cow<'a, [u8]> {
        self.data
    }

    /// The same sliver, borrowing from this one.
    pub fn borrowed(&self) -> Sliver<'_, A> {
        Sliver { index: self.index, symbol_size: self.symbol_size, data: Cow::Borrowed(&self.data) }
    }

    /// The same sliver, owning its bytes.
    pub fn into_owned(self) -> Sliver<'static, A> {
        Sliver { index: self.index, symbol_size: self.symbol_size, data: Cow::Owned(self.data.into_owned()) }
    }

    /// Parses the BCS of `SliverData`, the form that nodes are sent and answer with; borrows the symbols from `bytes`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_bcs(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("sliver", bytes);
        let data = reader.bytes()?;
        let symbol_size = NonZeroU16::new(reader.u16()?).ok_or_else(|| reader.malformed("the symbol size is zero"))?;
        let index = SliverIndex::new(reader.u16()?);
        reader.finish()?;
        Ok(Self { index, symbol_size, data: Cow::Borrowed(data) })
    }

    /// The BCS of `SliverData`.
    pub fn to_bcs(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + 9);
        put_bytes(&mut out, &self.data);
        out.extend_from_slice(&self.bcs_suffix());
        out
    }

    /// What precedes the symbols in [`to_bcs`](Self::to_bcs), for sending without copying them.
    pub fn bcs_prefix(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5);
        crate::wire::put_uleb(&mut out, self.data.len());
        out
    }

    /// What follows the symbols in [`to_bcs`](Self::to_bcs).
    pub fn bcs_suffix(&self) -> [u8; 4] {
        let [s0, s1] = self.symbol_size.get().to_le_bytes();
        let [i0, i1] = self.index.get().to_le_bytes();
        [s0, s1, i0, i1]
    }

    /// Checks that this is the sliver that `metadata` commits to.
    ///
    /// # Errors
    /// [`Error::Rejected`] if index, length, symbol size or hash is wrong, in this order of checks: the sender is faulty.
    pub fn verify(&self, metadata: &VerifiedMetadata) -> Result<(), Error> {
        self.check_shape(metadata)?;
        let root = hash_of(metadata.params(), A::AXIS, &self.data, metadata.symbol_size());
        if metadata.sliver_hash(self.index) != Some(&root) {
            return Err(Rejection::RootMismatch { axis: A::AXIS, index: self.index.get() }.into());
        }
        Ok(())
    }

    /// The checks that need no hashing: index, length and symbol size.
    pub(crate) fn check_shape(&self, metadata: &VerifiedMetadata) -> Result<(), Rejection> {
        check_index(self.index, metadata.params())?;
        let need = metadata.sliver_length(A::AXIS);
        if self.data.len() != need {
            return Err(Rejection::SliverLength { axis: A::AXIS, have: self.data.len(), need });
        }
        if self.symbol_size != metadata.symbol_size() {
            return Err(Rejection::SymbolSize {
                have: self.symbol_size.get().into(),
                need: metadata.symbol_size().get().into(),
            });
        }
        Ok(())
    }

    /// Expands the sliver to all `n` symbols with their Merkle tree, from which recovery symbols are taken.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the sliver's shape does not fit `params`.
    pub fn expand(&self, params: &Params) -> Result<ExpandedSliver<A>, Error> {
        check_index(self.index, params)?;
        let need = usize::from(params.symbols_per_sliver(A::AXIS)) * usize::from(self.symbol_size.get());
        if self.data.len() != need || !self.symbol_size.get().is_multiple_of(2) {
            return Err(Rejection::SliverLength { axis: A::AXIS, have: self.data.len(), need }.into());
        }
        let symbols = expanded(params, A::AXIS, &self.data, self.symbol_size);
        let tree = MerkleTree::new(symbols.chunks_exact(self.symbol_size.get().into()));
        Ok(ExpandedSliver { index: self.index, symbol_size: self.symbol_size, symbols, tree })
    }
}

/// [`Sliver::verify`] as a function.
///
/// # Errors
/// [`Error::Rejected`].
pub fn verify_sliver<A: SliverAxis>(sliver: &Sliver<'_, A>, metadata: &VerifiedMetadata) -> Result<(), Error> {
    sliver.verify(metadata)
}

pub(crate) fn check_index<A: SliverAxis>(index: SliverIndex<A>, params: &Params) -> Result<(), Rejection> {
    if index.get() >= params.n_shards() {
        return Err(Rejection::IndexTooLarge { axis: A::AXIS, index: index.get(), n_shards: params.n_shards() });
    }
    Ok(())
}

/// All `n` symbols of a sliver whose shape has been checked.
fn expanded(params: &Params, axis: Axis, data: &[u8], symbol_size: NonZeroU16) -> Buffer {
    Code::along(params, axis).expand(&Backend::detected().engine, data, usize::from(symbol_size.get()))
}

/// The hash of a sliver whose shape has been checked.
fn hash_of(params: &Params, axis: Axis, data: &[u8], symbol_size: NonZeroU16) -> Node {
    let size = usize::from(symbol_size.get());
    let symbols = expanded(params, axis, data, symbol_size);
    merkle::root(Backend::detected().simd, params.n_shards().into(), |i| &symbols[i * size..][..size])
}

/// A sliver expanded along its own axis to all `n` symbols: every one of them lies on a sliver of the other axis too.
#[derive(Debug)]
pub struct ExpandedSliver<A: SliverAxis> {
    index: SliverIndex<A>,
    symbol_size: NonZeroU16,
    symbols: Buffer,
    tree: MerkleTree,
}

impl<A: SliverAxis> ExpandedSliver<A> {
    /// Its number on its axis.
    pub fn index(&self) -> SliverIndex<A> {
        self.index
    }

    /// The sliver's hash, as metadata holds it.
    pub fn hash(&self) -> Node {
        self.tree.root()
    }

    /// The symbol that helps to recover sliver `target` of the other axis, with the proof that it is this sliver's.
    ///
    /// # Errors
    /// [`Error::Rejected`] if `target` is not below `n`.
    pub fn recovery_symbol(&self, target: SliverIndex<A::Orthogonal>) -> Result<RecoverySymbol<A::Orthogonal>, Error> {
        let size = usize::from(self.symbol_size.get());
        let index = target.as_usize();
        let too_large = || Rejection::IndexTooLarge {
            axis: target_axis::<A>(),
            index: target.get(),
            n_shards: u16::try_from(self.symbols.len() / size).unwrap_or(u16::MAX),
        };
        let proof = self.tree.proof(index).ok_or_else(too_large)?;
        let data = self.symbols.chunks_exact(size).nth(index).ok_or_else(too_large)?;
        Ok(RecoverySymbol::new(DecodingSymbol::new(self.index, data.to_vec()), proof))
    }
}

fn target_axis<A: SliverAxis>() -> Axis {
    A::AXIS.orthogonal()
}
