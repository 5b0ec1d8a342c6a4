//! The pack's parsers on bytes of an attacker's choice: for `fuzz/targets` only.

use super::format::{ENTRY, HEADER, Trailer, header, parse_header, parse_index, put_entry, read_index};
use super::{MemorySource, PackRef, UnitAddr, UnitKind, open_unit};
use crate::crypto::{KeyRing, MasterKey, TAG};
use crate::ids::{DriveUid, KeyEpoch};
use crate::seam::SeededRandom;
use futures::FutureExt;
use std::sync::Arc;

const SALT: [u8; 32] = [7; 32];

/// `bytes` as the header and the index of a pack.
///
/// # Panics
/// When an index that was read is not written back as it was.
pub fn parse(bytes: &[u8]) {
    if let Some(head) = bytes.first_chunk::<HEADER>()
        && let Ok((epoch, salt)) = parse_header(head)
    {
        assert_eq!(header(epoch, &salt)[..12], head[..12]);
    }
    let Some((end, plain)) = bytes.split_first_chunk::<4>() else { return };
    let end = u64::from(u32::from_le_bytes(*end));
    let count = (plain.len() / ENTRY) as u64;
    if let Ok(entries) = parse_index(plain, count, end) {
        let mut again = Vec::new();
        entries.iter().for_each(|entry| put_entry(&mut again, entry));
        assert_eq!(again, plain[..again.len()]);
        assert!(entries.iter().all(|entry| entry.addr.offset + u64::from(entry.addr.stored) <= end));
    }
}

/// A pack whose units, index and trailer are sealed as the drive's own and say what `script` says; then each entry of its index is
/// opened as a unit.
pub fn open(script: &[u8]) {
    let keys =
        KeyRing::new(DriveUid([1; 32]), KeyEpoch(0), MasterKey::from_bytes(&[1; 32]), Arc::new(SeededRandom::new(1)));
    let Ok(cipher) = keys.pack_cipher(KeyEpoch(0), &SALT) else { return };
    let mut pack = header(KeyEpoch(0), &SALT).to_vec();
    let mut put = |kind: UnitKind, plain: u32, bytes: &[u8]| {
        let (offset, mut unit) = (pack.len() as u64, bytes.to_vec());
        if let Some(tag) = cipher.seal_in_place(kind as u8, offset, plain, &mut unit) {
            pack.extend_from_slice(&unit);
            pack.extend_from_slice(&tag);
        }
        offset
    };
    let [kind, plain, index_len, odd, rest @ ..] = script else { return };
    let (index, body) = rest.split_at(usize::from(*index_len).min(rest.len()));
    // The body as a unit: compressed when its plaintext is said to be longer.
    let kind = UnitKind::from_number(kind % 8).unwrap_or(UnitKind::Chunk);
    put(kind, u32::from(*plain) * 64, body);
    let index_offset = put(UnitKind::Index, index.len() as u32, index);
    let trailer = Trailer {
        index_offset: index_offset.wrapping_add(u64::from(odd & 1)),
        index_plain: (index.len() as u64).wrapping_shl(u32::from(odd >> 1)),
        count: (index.len() / ENTRY) as u64,
    };
    put(UnitKind::Trailer, trailer.bytes().len() as u32, &trailer.bytes());
    let source = MemorySource::default();
    let size = Some(pack.len() as u64);
    let blob_id = source.insert(pack.clone().into());
    let pack_ref = PackRef { blob_id, size, salt: SALT, key_epoch: KeyEpoch(0) };
    let stored = body.len() + TAG;
    let addr = UnitAddr { offset: HEADER as u64, stored: stored as u32, plain: u32::from(*plain) * 64 };
    if let Ok(unit) = open_unit(&cipher, kind, addr, pack[HEADER..][..stored].to_vec()) {
        assert!(unit.len() == addr.plain as usize && addr.plain <= kind.max_plain());
    }
    // The source is in memory: it never waits.
    if let Some(Ok(entries)) = read_index(&source, &pack_ref, &keys).now_or_never() {
        for entry in entries {
            let end = entry.addr.offset as usize + entry.addr.stored as usize;
            let _ = open_unit(&cipher, entry.kind, entry.addr, pack[entry.addr.offset as usize..end].to_vec());
        }
    }
}
