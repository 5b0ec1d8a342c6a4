//! Recovery symbols: how a lost sliver is rebuilt from pieces of slivers of the other axis, and how a wrongly encoded
//! blob is proved to be one.
//!
//! The symbol in row `i` and column `j` lies on primary sliver `i` and on secondary sliver `j`, so either can serve it for
//! the recovery of the other. Types here are named for the axis of the *target*, the sliver being recovered.

use crate::code::Code;
use crate::merkle::{MerkleProof, Node};
use crate::simd::Backend;
use crate::sliver::check_index;
use crate::wire::{Reader, put_bytes, put_uleb};
use crate::{Axis, Error, Primary, Rejection, Secondary, Sliver, SliverAxis, SliverIndex, VerifiedMetadata};
use std::fmt::{self, Display};
use std::str::FromStr;

/// The place of a symbol in the expanded matrix; text form `<row>-<column>`, BCS two `u16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct SymbolId {
    /// The row.
    pub primary: SliverIndex<Primary>,
    /// The column.
    pub secondary: SliverIndex<Secondary>,
}

impl Display for SymbolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.primary, self.secondary)
    }
}

impl FromStr for SymbolId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed { what: "symbol id", reason: "not `<primary index>-<secondary index>`" };
        let (primary, secondary) = text.split_once('-').ok_or_else(malformed)?;
        let index = |text: &str| match text.as_bytes() {
            [b'0'..=b'9', ..] => text.parse().map_err(|_| malformed()),
            _ => Err(malformed()),
        };
        Ok(Self { primary: SliverIndex::new(index(primary)?), secondary: SliverIndex::new(index(secondary)?) })
    }
}

/// A symbol for the recovery of a sliver of axis `T`, labelled with the sliver of the other axis that it was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodingSymbol<T: SliverAxis> {
    source: SliverIndex<T::Orthogonal>,
    data: Vec<u8>,
}

impl<T: SliverAxis> DecodingSymbol<T> {
    /// A symbol taken from sliver `source`.
    pub fn new(source: SliverIndex<T::Orthogonal>, data: Vec<u8>) -> Self {
        Self { source, data }
    }

    /// The sliver that it was taken from.
    pub fn source(&self) -> SliverIndex<T::Orthogonal> {
        self.source
    }

    /// Its bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let source = SliverIndex::new(reader.u16()?);
        Ok(Self { source, data: reader.bytes()?.to_vec() })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.source.get().to_le_bytes());
        put_bytes(out, &self.data);
    }
}

/// A decoding symbol with the Merkle proof that it belongs to its source sliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySymbol<T: SliverAxis> {
    symbol: DecodingSymbol<T>,
    proof: MerkleProof,
}

impl<T: SliverAxis> RecoverySymbol<T> {
    /// A symbol with its proof.
    pub fn new(symbol: DecodingSymbol<T>, proof: MerkleProof) -> Self {
        Self { symbol, proof }
    }

    /// The symbol without its proof.
    pub fn symbol(&self) -> &DecodingSymbol<T> {
        &self.symbol
    }

    /// Checks that this is the symbol of sliver `target` that the committed source sliver holds.
    ///
    /// # Errors
    /// [`Error::Rejected`]: the sender is faulty.
    pub fn verify(&self, target: SliverIndex<T>, metadata: &VerifiedMetadata) -> Result<(), Error> {
        let params = metadata.params();
        check_index(self.symbol.source, params)?;
        check_index(target, params)?;
        let need = usize::from(metadata.symbol_size().get());
        if self.symbol.data.len() != need {
            return Err(Rejection::SymbolSize { have: self.symbol.data.len(), need }.into());
        }
        let proven = metadata.sliver_hash(self.symbol.source).is_some_and(|root| {
            self.proof.verify(root, &self.symbol.data, target.as_usize(), params.n_shards().into())
        });
        if !proven {
            let source_axis = T::AXIS.orthogonal();
            return Err(Rejection::ProofInvalid { source_axis, index: self.symbol.source.get() }.into());
        }
        Ok(())
    }

    /// Parses the BCS of `RecoverySymbol`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_bcs(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("recovery symbol", bytes);
        let symbol = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(symbol)
    }

    /// The BCS of `RecoverySymbol`.
    pub fn to_bcs(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.symbol.data.len() + 400);
        self.write(&mut out);
        out
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { symbol: DecodingSymbol::read(reader)?, proof: MerkleProof::read(reader)? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.symbol.write(out);
        self.proof.write(out);
    }
}

/// A recovery symbol of either axis together with its target, as nodes serve it (`GeneralRecoverySymbol`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeneralRecoverySymbol {
    /// Proved against a secondary sliver; recovers primary sliver `target`.
    Primary {
        /// The sliver that it helps to recover.
        target: SliverIndex<Primary>,
        /// The symbol, from a secondary sliver.
        symbol: RecoverySymbol<Primary>,
    },
    /// Proved against a primary sliver; recovers secondary sliver `target`.
    Secondary {
        /// The sliver that it helps to recover.
        target: SliverIndex<Secondary>,
        /// The symbol, from a primary sliver.
        symbol: RecoverySymbol<Secondary>,
    },
}

impl GeneralRecoverySymbol {
    /// The symbol's place in the matrix.
    pub fn id(&self) -> SymbolId {
        match self {
            Self::Primary { target, symbol } => SymbolId { primary: *target, secondary: symbol.symbol.source },
            Self::Secondary { target, symbol } => SymbolId { primary: symbol.symbol.source, secondary: *target },
        }
    }

    /// Axis of the sliver whose Merkle tree proves the symbol: the opposite of the variant.
    pub fn proof_axis(&self) -> Axis {
        match self {
            Self::Primary { .. } => Axis::Secondary,
            Self::Secondary { .. } => Axis::Primary,
        }
    }

    /// The symbol's bytes.
    pub fn data(&self) -> &[u8] {
        match self {
            Self::Primary { symbol, .. } => symbol.symbol.data(),
            Self::Secondary { symbol, .. } => symbol.symbol.data(),
        }
    }

    /// Checks the proof against the committed hash of the symbol's source sliver.
    ///
    /// # Errors
    /// [`Error::Rejected`]: the sender is faulty.
    pub fn verify(&self, metadata: &VerifiedMetadata) -> Result<(), Error> {
        match self {
            Self::Primary { target, symbol } => symbol.verify(*target, metadata),
            Self::Secondary { target, symbol } => symbol.verify(*target, metadata),
        }
    }

    /// Parses the BCS of `GeneralRecoverySymbol`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_bcs(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("recovery symbol", bytes);
        let symbol = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(symbol)
    }

    /// Parses the BCS of a vector of `GeneralRecoverySymbol`, the answer to a request for many.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn vec_from_bcs(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        let mut reader = Reader::new("list of recovery symbols", bytes);
        let count = reader.count(7)?;
        let symbols = (0..count).map(|_| Self::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(symbols)
    }

    /// The BCS of `GeneralRecoverySymbol`.
    pub fn to_bcs(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data().len() + 400);
        self.write(&mut out);
        out
    }

    /// The BCS of a vector of `GeneralRecoverySymbol`.
    pub fn vec_to_bcs(symbols: &[Self]) -> Vec<u8> {
        let mut out = Vec::new();
        put_uleb(&mut out, symbols.len());
        for symbol in symbols {
            symbol.write(&mut out);
        }
        out
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.uleb()? {
            0 => {
                let symbol = DecodingSymbol::read(reader)?;
                let target = SliverIndex::new(reader.u16()?);
                Ok(Self::Primary { target, symbol: RecoverySymbol { symbol, proof: MerkleProof::read(reader)? } })
            }
            1 => {
                let symbol = DecodingSymbol::read(reader)?;
                let target = SliverIndex::new(reader.u16()?);
                Ok(Self::Secondary { target, symbol: RecoverySymbol { symbol, proof: MerkleProof::read(reader)? } })
            }
            _ => Err(reader.malformed("unknown axis")),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        fn parts<T: SliverAxis>(tag: u8, target: SliverIndex<T>, symbol: &RecoverySymbol<T>, out: &mut Vec<u8>) {
            out.push(tag);
            symbol.symbol.write(out);
            out.extend_from_slice(&target.get().to_le_bytes());
            symbol.proof.write(out);
        }
        match self {
            Self::Primary { target, symbol } => parts(0, *target, symbol, out),
            Self::Secondary { target, symbol } => parts(1, *target, symbol, out),
        }
    }
}

/// What a recovery gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered<T: SliverAxis> {
    /// The sliver, verified against the metadata.
    Sliver(Sliver<'static, T>),
    /// All symbols are proven and still give a sliver with another hash: the blob was encoded wrongly, and this proves it.
    Inconsistent(InconsistencyProof<T>),
}

/// Rebuilds sliver `target` from recovery symbols. Symbols whose proof fails and repeated sources are skipped; of the rest
/// the first [`symbols_per_sliver`](crate::Params::symbols_per_sliver) are used.
///
/// # Errors
/// [`Error::NotEnough`] if too few valid symbols remain; [`Error::Rejected`] if `target` is not below `n`.
pub fn recover_sliver<T: SliverAxis>(
    target: SliverIndex<T>,
    symbols: Vec<RecoverySymbol<T>>,
    metadata: &VerifiedMetadata,
) -> Result<Recovered<T>, Error> {
    check_index(target, metadata.params())?;
    let need = usize::from(metadata.params().symbols_per_sliver(T::AXIS));
    let mut taken = vec![false; metadata.params().n_shards().into()];
    let mut valid = Vec::with_capacity(need);
    let mut rest = symbols.into_iter();
    while valid.len() < need {
        // Proofs are verified eight at a time; the last ones may be fewer.
        let batch: Vec<RecoverySymbol<T>> = rest.by_ref().take(8.min(need - valid.len())).collect();
        if batch.is_empty() {
            break;
        }
        let proven = verify_batch(&batch, target, metadata);
        for (symbol, _) in batch.into_iter().zip(proven).filter(|(_, proven)| *proven) {
            if !std::mem::replace(&mut taken[symbol.symbol.source.as_usize()], true) {
                valid.push(symbol);
            }
        }
    }
    if valid.len() < need {
        return Err(Error::NotEnough { what: "recovery symbols", axis: T::AXIS, have: valid.len(), need });
    }
    let sliver = decode_sliver(target, &valid, metadata);
    match sliver.verify(metadata) {
        Ok(()) => Ok(Recovered::Sliver(sliver)),
        Err(Error::Rejected(Rejection::RootMismatch { .. })) => {
            Ok(Recovered::Inconsistent(InconsistencyProof { target, symbols: valid }))
        }
        Err(error) => Err(error),
    }
}

/// Which symbols of a batch are proven.
fn verify_batch<T: SliverAxis>(
    batch: &[RecoverySymbol<T>],
    target: SliverIndex<T>,
    metadata: &VerifiedMetadata,
) -> Vec<bool> {
    let size = usize::from(metadata.symbol_size().get());
    let in_lanes = <&[RecoverySymbol<T>; 8]>::try_from(batch).ok().and_then(|batch| {
        let mut roots = [&Node::Empty; 8];
        for (root, symbol) in roots.iter_mut().zip(batch) {
            // What does not even have the right shape is left to the verification one by one.
            *root = metadata.sliver_hash(symbol.symbol.source).filter(|_| symbol.symbol.data.len() == size)?;
        }
        let (proofs, leaves) = (batch.each_ref().map(|s| &s.proof), batch.each_ref().map(|s| s.symbol.data()));
        let (simd, n) = (Backend::detected().simd, metadata.params().n_shards().into());
        Some(MerkleProof::verify_eight(simd, proofs, roots, &leaves, target.as_usize(), n).to_vec())
    });
    in_lanes.unwrap_or_else(|| batch.iter().map(|symbol| symbol.verify(target, metadata).is_ok()).collect())
}

/// Decodes a sliver from exactly enough symbols of distinct sources and right size.
fn decode_sliver<T: SliverAxis>(
    target: SliverIndex<T>,
    symbols: &[RecoverySymbol<T>],
    metadata: &VerifiedMetadata,
) -> Sliver<'static, T> {
    let symbol_size = usize::from(metadata.symbol_size().get());
    let symbols = symbols.iter().map(|symbol| (symbol.symbol.source.as_usize(), symbol.symbol.data()));
    let engine = &Backend::detected().engine;
    let decoder = Code::along(metadata.params(), T::AXIS).decoder(engine, symbols.clone().map(|(index, _)| index));
    let data = decoder.recover(engine, symbols, symbol_size);
    Sliver::new(target, metadata.symbol_size(), data)
}

/// Proof that a blob is inconsistently encoded: proven symbols of the other axis that decode to a sliver with another hash
/// than the committed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InconsistencyProof<T: SliverAxis> {
    target: SliverIndex<T>,
    symbols: Vec<RecoverySymbol<T>>,
}

impl<T: SliverAxis> InconsistencyProof<T> {
    /// A proof from its parts; [`verify`](Self::verify) decides whether it is one.
    pub fn new(target: SliverIndex<T>, symbols: Vec<RecoverySymbol<T>>) -> Self {
        Self { target, symbols }
    }

    /// The sliver whose commitment is contradicted.
    pub fn target(&self) -> SliverIndex<T> {
        self.target
    }

    /// The symbols that contradict it.
    pub fn symbols(&self) -> &[RecoverySymbol<T>] {
        &self.symbols
    }

    /// Succeeds if the blob is proved to be inconsistently encoded.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the number of symbols or a symbol's proof is wrong, [`Error::NotEnough`] if sources repeat,
    /// [`Error::NotInconsistent`] if the recovered sliver matches the metadata.
    pub fn verify(&self, metadata: &VerifiedMetadata) -> Result<(), Error> {
        let need = usize::from(metadata.params().symbols_per_sliver(T::AXIS));
        if self.symbols.len() != need {
            return Err(Rejection::SymbolCount { have: self.symbols.len(), need }.into());
        }
        let mut taken = vec![false; metadata.params().n_shards().into()];
        for symbol in &self.symbols {
            symbol.verify(self.target, metadata)?;
            taken[symbol.symbol.source.as_usize()] = true;
        }
        let have = taken.iter().filter(|taken| **taken).count();
        if have < need {
            return Err(Error::NotEnough { what: "recovery symbols", axis: T::AXIS, have, need });
        }
        match decode_sliver(self.target, &self.symbols, metadata).verify(metadata) {
            Ok(()) => Err(Error::NotInconsistent),
            Err(Error::Rejected(Rejection::RootMismatch { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Parses the BCS of `InconsistencyProof`; the axis is in the URL.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_bcs(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("inconsistency proof", bytes);
        let target = SliverIndex::new(reader.u16()?);
        let count = reader.count(4)?;
        let symbols = (0..count).map(|_| RecoverySymbol::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { target, symbols })
    }

    /// The BCS of `InconsistencyProof`.
    pub fn to_bcs(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.target.get().to_le_bytes());
        put_uleb(&mut out, self.symbols.len());
        for symbol in &self.symbols {
            symbol.write(&mut out);
        }
        out
    }
}
