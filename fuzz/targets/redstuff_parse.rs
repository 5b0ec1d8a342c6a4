//! Every parser of redstuff on arbitrary bytes: no panic, and what parses is written back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstuff::quilt::QuiltPatchId;
use redstuff::{
    BlobId, GeneralRecoverySymbol, InconsistencyProof, Metadata, Params, Primary, RecoverySymbol, Secondary, Sliver, SymbolId,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(metadata) = Metadata::from_bcs(data) {
        assert_eq!(metadata.to_bcs(), data);
        if let Ok(params) = Params::new(u16::try_from(metadata.hashes().len()).unwrap_or(0)) {
            let id = metadata.blob_id();
            let _ = metadata.verify(&id, &params);
        }
    }
    if let Ok((id, metadata)) = Metadata::from_bcs_with_id(data) {
        assert_eq!(metadata.to_bcs_with_id(&id), data);
    }
    if let Ok(sliver) = Sliver::<Primary>::from_bcs(data) {
        assert_eq!(sliver.to_bcs(), data);
        for n in [4, 7, 10] {
            if let Ok(expanded) = sliver.expand(&Params::new(n).unwrap()) {
                let _ = expanded.recovery_symbol(redstuff::SliverIndex::new(u16::from(data[0])));
            }
        }
    }
    if let Ok(symbol) = RecoverySymbol::<Secondary>::from_bcs(data) {
        assert_eq!(symbol.to_bcs(), data);
    }
    if let Ok(symbols) = GeneralRecoverySymbol::vec_from_bcs(data) {
        assert_eq!(GeneralRecoverySymbol::vec_to_bcs(&symbols), data);
    }
    if let Ok(proof) = InconsistencyProof::<Primary>::from_bcs(data) {
        assert_eq!(proof.to_bcs(), data);
    }
    let _ = QuiltPatchId::from_bytes(data);
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(id) = text.parse::<BlobId>() {
            assert_eq!(id.to_string(), text);
        }
        if let Ok(id) = text.parse::<QuiltPatchId>() {
            assert_eq!(id.to_string(), text);
        }
        let _ = text.parse::<SymbolId>();
        if let Some(id) = BlobId::from_u256_decimal(text) {
            assert_eq!(BlobId::from_u256_decimal(&id.to_u256_decimal()), Some(id));
        }
    }
});
