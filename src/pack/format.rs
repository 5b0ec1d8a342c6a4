//! Header, index and trailer of a pack. All numbers are little-endian; `docs/format.md` has a worked example.

use super::source::{PackRef, PackSource};
use super::unit::{UnitAddr, UnitKind, open_unit};
use crate::crypto::{KeyRing, PackCipher, TAG};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{Ino, KeyEpoch};

/// First bytes of every pack.
const MAGIC: [u8; 8] = *b"walrusfs";

/// Version of the pack format.
const VERSION: u16 = 1;

/// Length of the header in clear, bytes.
pub(super) const HEADER: usize = 48;

/// Plaintext length of the trailer, bytes.
pub(super) const TRAILER_PLAIN: usize = 32;

/// Sealed length of the trailer, bytes.
pub(super) const TRAILER: usize = TRAILER_PLAIN + TAG;

/// Length of one entry of the index, bytes.
pub(super) const ENTRY: usize = 33;

/// Where the content of a unit came from: enough to find what refers to it without reading the whole tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file of a chunk; for nodes the owner of their first key.
    pub ino: Ino,
    /// Offset of a chunk in its file, bytes; for nodes their level (0 for a leaf).
    pub file_offset: u64,
    /// The place of the last change in the journalled order ([`crate::ids::Lsn`]); 0 where there is none.
    pub operation: u64,
}

/// An entry of a pack's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// What the unit is.
    pub kind: UnitKind,
    /// Where it lies.
    pub addr: UnitAddr,
    /// Where its content came from.
    pub origin: Origin,
}

pub(super) fn header(epoch: KeyEpoch, salt: &[u8; 32]) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(&MAGIC);
    out[8..10].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&epoch.0.to_le_bytes());
    out[16..].copy_from_slice(salt);
    out
}

/// Reads key epoch and salt out of a header.
pub(super) fn parse_header(bytes: &[u8; HEADER]) -> FsResult<(KeyEpoch, [u8; 32])> {
    let (magic, rest) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    if *magic != MAGIC {
        return Err(FsError::new(Kind::Corrupt, "not a pack: wrong magic"));
    }
    let mut reader = Reader(rest);
    let (version, reserved) = (reader.u16()?, reader.u16()?);
    if version != VERSION || reserved != 0 {
        return Err(FsError::new(Kind::Corrupt, format!("pack format {version} is not known to this program")));
    }
    Ok((KeyEpoch(reader.u32()?), reader.array()?))
}

pub(super) fn put_entry(out: &mut Vec<u8>, entry: &IndexEntry) {
    out.push(entry.kind as u8);
    out.extend_from_slice(&entry.addr.plain.to_le_bytes());
    out.extend_from_slice(&entry.addr.stored.to_le_bytes());
    out.extend_from_slice(&entry.origin.ino.0.to_le_bytes());
    out.extend_from_slice(&entry.origin.file_offset.to_le_bytes());
    out.extend_from_slice(&entry.origin.operation.to_le_bytes());
}

/// Parses the plaintext of an index of `count` entries whose units end at `units_end`.
pub(super) fn parse_index(plain: &[u8], count: u64, units_end: u64) -> FsResult<Vec<IndexEntry>> {
    let bad = |why: &str| FsError::new(Kind::Corrupt, format!("pack index: {why}"));
    let used =
        usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY)).filter(|used| *used <= plain.len());
    let (mut reader, padding) = plain.split_at(used.ok_or_else(|| bad("shorter than its entries"))?);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(bad("padding is not zero"));
    }
    let mut entries = Vec::with_capacity(reader.len() / ENTRY);
    let mut offset = HEADER as u64;
    while !reader.is_empty() {
        let mut fields = Reader(reader);
        let kind = fields.array::<1>()?[0];
        let kind = UnitKind::from_number(kind).ok_or_else(|| bad("unknown kind of unit"))?;
        let (plain, stored) = (fields.u32()?, fields.u32()?);
        let origin = Origin { ino: Ino(fields.u64()?), file_offset: fields.u64()?, operation: fields.u64()? };
        entries.push(IndexEntry { kind, addr: UnitAddr { offset, stored, plain }, origin });
        offset =
            offset.checked_add(u64::from(stored)).filter(|end| *end <= units_end).ok_or_else(|| bad("too long"))?;
        reader = fields.0;
    }
    if offset != units_end {
        return Err(bad("units do not fill the pack"));
    }
    Ok(entries)
}

/// What the trailer says: where the index lies.
pub(super) struct Trailer {
    pub(super) index_offset: u64,
    pub(super) index_plain: u64,
    pub(super) count: u64,
}

impl Trailer {
    pub(super) fn bytes(&self) -> [u8; TRAILER_PLAIN] {
        let mut out = [0; TRAILER_PLAIN];
        out[..8].copy_from_slice(&self.index_offset.to_le_bytes());
        out[8..16].copy_from_slice(&self.index_plain.to_le_bytes());
        out[16..24].copy_from_slice(&self.count.to_le_bytes());
        out
    }
}

/// Reads the header of a pack of which only blob id and size are known: its key epoch and salt.
///
/// # Errors
/// [`Kind::Corrupt`] when the blob is no pack.
pub async fn read_header(source: &dyn PackSource, pack: &PackRef) -> FsResult<(KeyEpoch, [u8; 32])> {
    let head = source.read(pack, 0, HEADER as u32).await?;
    let head = head.as_ref().try_into();
    parse_header(head.map_err(|_| FsError::new(Kind::Corrupt, "not a pack: shorter than a header"))?)
}

/// Reads header, trailer and index of a pack: what every unit of it is. For compaction and recovery; the pack's `size`
/// must be known. Checks that the header agrees with `pack`.
pub async fn read_index(source: &dyn PackSource, pack: &PackRef, keys: &KeyRing) -> FsResult<Vec<IndexEntry>> {
    let bad = |why: &str| FsError::new(Kind::Corrupt, format!("pack in blob {}: {why}", hex::encode(pack.blob_id)));
    let size = pack.size.filter(|size| *size >= (HEADER + TAG + TRAILER) as u64).ok_or_else(|| bad("too short"))?;
    let head = source.read(pack, 0, HEADER as u32).await?;
    let head: &[u8; HEADER] = head.as_ref().try_into().map_err(|_| bad("header is short"))?;
    if parse_header(head)? != (pack.key_epoch, pack.salt) {
        return Err(bad("its header names another salt or key epoch than the pack table"));
    }
    let cipher = keys.pack_cipher(pack.key_epoch, &pack.salt)?;
    let at = size - TRAILER as u64;
    let addr = UnitAddr { offset: at, stored: TRAILER as u32, plain: TRAILER_PLAIN as u32 };
    let trailer = read_unit(source, pack, &cipher, UnitKind::Trailer, addr).await?;
    let mut fields = Reader(&trailer);
    let trailer = Trailer { index_offset: fields.u64()?, index_plain: fields.u64()?, count: fields.u64()? };
    let plain = u32::try_from(trailer.index_plain).map_err(|_| bad("index is too long"))?;
    let stored = plain.checked_add(TAG as u32).ok_or_else(|| bad("index is too long"))?;
    if trailer.index_offset.checked_add(u64::from(stored)) != Some(at) {
        return Err(bad("index and trailer do not meet"));
    }
    let addr = UnitAddr { offset: trailer.index_offset, stored, plain };
    let index = read_unit(source, pack, &cipher, UnitKind::Index, addr).await?;
    parse_index(&index, trailer.count, trailer.index_offset)
}

async fn read_unit(
    source: &dyn PackSource,
    pack: &PackRef,
    cipher: &PackCipher,
    kind: UnitKind,
    addr: UnitAddr,
) -> FsResult<Vec<u8>> {
    let sealed = source.read(pack, addr.offset, addr.stored).await?;
    open_unit(cipher, kind, addr, sealed.into())
}

/// Takes fixed-size fields off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> FsResult<[u8; N]> {
        let (field, rest) =
            self.0.split_first_chunk::<N>().ok_or_else(|| FsError::new(Kind::Corrupt, "pack: a field is cut off"))?;
        self.0 = rest;
        Ok(*field)
    }

    fn u16(&mut self) -> FsResult<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> FsResult<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> FsResult<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
