//! Symbols for peers and clients that lack a sliver: with proofs (recovery symbols) or without (decoding symbols).

use redstuff::{
    Axis, BlobId, ExpandedSliver, GeneralRecoverySymbol, PairIndex, Params, Primary, Secondary, Sliver, SliverAxis,
    SliverIndex, SymbolId,
};

use super::error::ApiError;
use super::placement::Placement;
use super::service::StorageNode;
use super::store::BlobFile;

/// Which recovery symbols are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// These places of the matrix.
    Symbols(Vec<SymbolId>),
    /// Everything that this node has for the recovery of one sliver.
    Target(Axis, u16),
}

/// The source slivers used last: ids come sorted, so neighbours share them.
#[derive(Default)]
struct Sources {
    primary: Option<ExpandedSliver<Primary>>,
    secondary: Option<ExpandedSliver<Secondary>>,
}

impl StorageNode {
    /// GET recoverySymbols: BCS of a vector of `GeneralRecoverySymbol`.
    pub(crate) async fn recovery_symbols(
        &self,
        id: BlobId,
        wanted: Wanted,
        proof_axis: Option<Axis>,
    ) -> Result<Vec<u8>, ApiError> {
        let placement = self.placement();
        if self.invalid_event(&id).is_some() || self.live(&id, placement.epoch)?.is_empty() {
            return Err(ApiError::sliver_not_found());
        }
        let node = self.clone();
        let work = move || {
            let file = node.inner.store.blob(&id);
            let ids = symbol_ids(wanted, &placement, &id)?;
            let mut sources = Sources::default();
            let mut symbols = Vec::new();
            let mut last_error = ApiError::symbol_not_here();
            for symbol in ids {
                match recovery_symbol(&file, &placement, &id, symbol, proof_axis, &mut sources) {
                    Ok(symbol) => symbols.push(symbol),
                    Err(error) => last_error = error,
                }
            }
            if symbols.is_empty() { Err(last_error) } else { Ok(GeneralRecoverySymbol::vec_to_bcs(&symbols)) }
        };
        self.inner.limits.compute(work).await?
    }

    /// GET decodingSymbols: BCS of a map from systematic target slivers to symbols without proofs.
    pub(crate) async fn decoding_symbols(
        &self,
        id: BlobId,
        axis: Axis,
        mut targets: Vec<u16>,
    ) -> Result<Vec<u8>, ApiError> {
        if targets.is_empty() {
            return Err(ApiError::no_targets());
        }
        let placement = self.placement();
        if targets.iter().any(|target| *target >= placement.params.slivers_to_decode(axis)) {
            return Err(ApiError::not_systematic());
        }
        if self.invalid_event(&id).is_some() || self.live(&id, placement.epoch)?.is_empty() {
            return Err(ApiError::sliver_not_found());
        }
        // BCS orders a map by its serialised keys, here two little-endian bytes.
        targets.sort_unstable_by_key(|target| target.to_le_bytes());
        targets.dedup();
        let node = self.clone();
        let work = move || {
            let file = node.inner.store.blob(&id);
            let mut slices: Vec<(u16, Vec<u8>)> = targets.iter().map(|target| (*target, Vec::new())).collect();
            let mut sources = 0;
            for shard in &placement.shards {
                let pair = shard.pair(&id, &placement.params);
                let found = match axis {
                    Axis::Primary => cut::<Secondary>(&file, pair, &placement.params, &mut slices)?,
                    Axis::Secondary => cut::<Primary>(&file, pair, &placement.params, &mut slices)?,
                };
                sources += usize::from(found);
            }
            let mut answer = Vec::new();
            put_uleb(&mut answer, if sources == 0 { 0 } else { slices.len() });
            for (target, symbols) in slices.into_iter().filter(|_| sources > 0) {
                answer.extend_from_slice(&target.to_le_bytes());
                put_uleb(&mut answer, sources);
                answer.extend_from_slice(&symbols);
            }
            Ok(answer)
        };
        self.inner.limits.compute(work).await?
    }
}

/// The places asked for, sorted and without repetition.
fn symbol_ids(wanted: Wanted, placement: &Placement, id: &BlobId) -> Result<Vec<SymbolId>, ApiError> {
    let params = &placement.params;
    let n = params.n_shards();
    let mut ids = match wanted {
        Wanted::Symbols(ids) => ids,
        Wanted::Target(axis, index) => {
            if index >= n {
                return Err(ApiError::index_out_of_range("the target sliver index is out of range: ", index, n));
            }
            let pairs = placement.shards.iter().map(|shard| shard.pair(id, params));
            pairs
                .map(|pair| match axis {
                    Axis::Primary => SymbolId { primary: SliverIndex::new(index), secondary: pair.sliver(params) },
                    Axis::Secondary => SymbolId { primary: pair.sliver(params), secondary: SliverIndex::new(index) },
                })
                .collect()
        }
    };
    if ids.is_empty() {
        return Err(ApiError::no_symbols());
    }
    if let Some(bad) = ids.iter().flat_map(|id| [id.primary.get(), id.secondary.get()]).find(|index| *index >= n) {
        return Err(ApiError::index_out_of_range("the symbol index is out of range: ", bad, n));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// One symbol: from the primary sliver of its row if that is here, else from the secondary sliver of its column.
fn recovery_symbol(
    file: &BlobFile,
    placement: &Placement,
    id: &BlobId,
    symbol: SymbolId,
    proof_axis: Option<Axis>,
    sources: &mut Sources,
) -> Result<GeneralRecoverySymbol, ApiError> {
    let params = &placement.params;
    let mut error = ApiError::symbol_not_here();
    if proof_axis != Some(Axis::Secondary) && placement.writable(symbol.primary.pair(params).shard(id, params)) {
        match expanded(file, symbol.primary, params, &mut sources.primary) {
            Ok(source) => {
                let target = symbol.secondary;
                let symbol = source.recovery_symbol(target).map_err(ApiError::internal)?;
                return Ok(GeneralRecoverySymbol::Secondary { target, symbol });
            }
            Err(failed) => error = failed,
        }
    }
    if proof_axis != Some(Axis::Primary) && placement.writable(symbol.secondary.pair(params).shard(id, params)) {
        match expanded(file, symbol.secondary, params, &mut sources.secondary) {
            Ok(source) => {
                let target = symbol.primary;
                let symbol = source.recovery_symbol(target).map_err(ApiError::internal)?;
                return Ok(GeneralRecoverySymbol::Primary { target, symbol });
            }
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

/// The stored sliver `index`, expanded; kept in `last` for the next symbol.
fn expanded<'a, A: SliverAxis>(
    file: &BlobFile,
    index: SliverIndex<A>,
    params: &Params,
    last: &'a mut Option<ExpandedSliver<A>>,
) -> Result<&'a ExpandedSliver<A>, ApiError> {
    if last.as_ref().is_none_or(|known| known.index() != index) {
        let bcs = file.sliver(A::AXIS, index.pair(params))?.ok_or_else(ApiError::sliver_not_found)?;
        let sliver = Sliver::<A>::from_bcs(&bcs).map_err(ApiError::internal)?;
        *last = Some(sliver.expand(params).map_err(ApiError::internal)?);
    }
    last.as_ref().ok_or_else(ApiError::sliver_not_found)
}

/// Appends the symbols of one stored source sliver (axis `A`) to every target's list; false if the sliver is not here.
fn cut<A: SliverAxis>(
    file: &BlobFile,
    pair: PairIndex,
    params: &Params,
    targets: &mut [(u16, Vec<u8>)],
) -> Result<bool, ApiError> {
    let Some(bcs) = file.sliver(A::AXIS, pair)? else { return Ok(false) };
    let sliver = Sliver::<A>::from_bcs(&bcs).map_err(ApiError::internal)?;
    let size = usize::from(sliver.symbol_size().get());
    for (target, symbols) in targets {
        let at = usize::from(*target) * size;
        let symbol =
            sliver.data().get(at..at + size).ok_or_else(|| ApiError::internal("a stored sliver is too short"))?;
        // The tag names the axis of the target.
        symbols.push(match A::AXIS.orthogonal() {
            Axis::Primary => 0,
            Axis::Secondary => 1,
        });
        symbols.extend_from_slice(&pair.sliver::<A>(params).get().to_le_bytes());
        put_uleb(symbols, size);
        symbols.extend_from_slice(symbol);
    }
    Ok(true)
}

/// Appends a length as BCS writes it.
pub(super) fn put_uleb(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}
