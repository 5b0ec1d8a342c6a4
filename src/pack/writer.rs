//! Building a pack, in memory, in one go.

use super::format::{ENTRY, IndexEntry, Origin, TRAILER, TRAILER_PLAIN, Trailer, header, put_entry};
use super::source::PackRef;
use super::unit::{UnitAddr, UnitKind};
use crate::crypto::{KeyRing, PackCipher, TAG};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{KeyEpoch, PackNo};
use bytes::Bytes;

/// zstd level of every unit: chunks are small, so higher levels gain little and cost the writer's CPU.
const LEVEL: i32 = 3;

/// Units shorter than this are not worth the attempt to compress.
const COMPRESS_FROM: usize = 128;

/// Longest plaintext of an index, and with it of padding.
const INDEX_MAX: u64 = 1 << 30;

/// A pack under construction. Dropping it throws the attempt away; its salt is never used again.
pub struct PackWriter {
    number: PackNo,
    epoch: KeyEpoch,
    salt: [u8; 32],
    cipher: PackCipher,
    padding: u64,
    bytes: Vec<u8>,
    index: Vec<u8>,
    units: u64,
    zstd: zstd::bulk::Compressor<'static>,
    scratch: Vec<u8>,
}

/// A finished pack, ready to be encoded and uploaded.
#[derive(Clone, Debug)]
pub struct SealedPack {
    /// The pack's number in the tree.
    pub number: PackNo,
    /// Its salt.
    pub salt: [u8; 32],
    /// Its key epoch.
    pub key_epoch: KeyEpoch,
    /// The blob: header, units, index, trailer.
    pub bytes: Bytes,
}

impl SealedPack {
    /// Length of the blob, bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How the pack is read once its blob id is known.
    pub fn as_ref(&self, blob_id: [u8; 32]) -> PackRef {
        PackRef { blob_id, size: Some(self.size()), salt: self.salt, key_epoch: self.key_epoch }
    }
}

impl PackWriter {
    /// Starts pack `number` with a fresh salt under the current key epoch. The finished size will be a multiple of
    /// `padding` bytes (primary x secondary x 2 of the committee; at least 1).
    pub fn new(keys: &KeyRing, number: PackNo, padding: u64) -> FsResult<Self> {
        let (epoch, salt) = (keys.current(), keys.fresh_salt());
        let cipher = keys.pack_cipher(epoch, &salt)?;
        let zstd = zstd::bulk::Compressor::new(LEVEL)?;
        let bytes = header(epoch, &salt).to_vec();
        let padding = padding.clamp(1, INDEX_MAX / 2);
        let (index, scratch) = (Vec::new(), Vec::new());
        Ok(Self { number, epoch, salt, cipher, padding, bytes, index, units: 0, zstd, scratch })
    }

    /// The pack's number.
    pub fn number(&self) -> PackNo {
        self.number
    }

    /// Number of units so far.
    pub fn units(&self) -> u64 {
        self.units
    }

    /// Bytes of header and units so far: what to compare with the target size.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether no unit was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// The size of the blob if one more unit with `stored` sealed bytes were pushed and the pack finished.
    pub fn size_with(&self, stored: u64) -> FsResult<u64> {
        let index = (self.index.len() + ENTRY + TAG) as u64;
        let unpadded = self.len().checked_add(stored).and_then(|len| len.checked_add(index + TRAILER as u64));
        unpadded.and_then(|len| len.checked_next_multiple_of(self.padding)).ok_or_else(|| too_long(self.number))
    }

    /// Compresses (where that pays), seals and appends a unit.
    pub fn push(&mut self, kind: UnitKind, plain: &[u8], origin: Origin) -> FsResult<UnitAddr> {
        let plain_len = u32::try_from(plain.len()).ok().filter(|len| *len <= kind.max_plain());
        let plain_len = plain_len
            .ok_or_else(|| FsError::new(Kind::Internal, format!("{} bytes do not fit a {kind:?} unit", plain.len())))?;
        if kind == UnitKind::Root || plain.len() < COMPRESS_FROM {
            return self.push_stored(kind, plain_len, plain, origin);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.zstd.compress_to_buffer(plain, &mut scratch)?;
        // Below a saving of one part in 32, decompressing costs more than the bytes.
        let pays = scratch.len() + plain.len() / 32 < plain.len();
        let addr = self.push_stored(kind, plain_len, if pays { &scratch } else { plain }, origin);
        self.scratch = scratch;
        addr
    }

    /// Seals and appends a unit whose body is compressed already (or not, when it is `plain_len` long): how live units
    /// move from one pack to another.
    pub fn push_stored(&mut self, kind: UnitKind, plain_len: u32, body: &[u8], origin: Origin) -> FsResult<UnitAddr> {
        if self.index.len() as u64 + ENTRY as u64 + self.padding > INDEX_MAX || body.len() > plain_len as usize {
            return Err(too_long(self.number));
        }
        let stored = u32::try_from(body.len() + TAG).map_err(|_| too_long(self.number))?;
        let addr = UnitAddr { offset: self.len(), stored, plain: plain_len };
        self.seal(kind, plain_len, body)?;
        put_entry(&mut self.index, &IndexEntry { kind, addr, origin });
        self.units += 1;
        Ok(addr)
    }

    /// Appends padded index and trailer and gives the finished pack.
    pub fn finish(mut self) -> FsResult<SealedPack> {
        let index_offset = self.len();
        let unpadded = index_offset + (self.index.len() + TAG + TRAILER) as u64;
        let size = unpadded.checked_next_multiple_of(self.padding).ok_or_else(|| too_long(self.number))?;
        let mut index = std::mem::take(&mut self.index);
        let padded = usize::try_from(size - unpadded).ok().and_then(|padding| index.len().checked_add(padding));
        index.resize(padded.ok_or_else(|| too_long(self.number))?, 0);
        let index_plain = u32::try_from(index.len()).map_err(|_| too_long(self.number))?;
        self.seal(UnitKind::Index, index_plain, &index)?;
        let trailer = Trailer { index_offset, index_plain: u64::from(index_plain), count: self.units };
        self.seal(UnitKind::Trailer, TRAILER_PLAIN as u32, &trailer.bytes())?;
        debug_assert_eq!(self.len(), size);
        Ok(SealedPack { number: self.number, salt: self.salt, key_epoch: self.epoch, bytes: self.bytes.into() })
    }

    fn seal(&mut self, kind: UnitKind, plain_len: u32, body: &[u8]) -> FsResult<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body);
        let tag = self.cipher.seal_in_place(kind as u8, start as u64, plain_len, &mut self.bytes[start..]);
        self.bytes.extend_from_slice(&tag.ok_or_else(|| too_long(self.number))?);
        Ok(())
    }
}

impl std::fmt::Debug for PackWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackWriter")
            .field("number", &self.number)
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

fn too_long(number: PackNo) -> FsError {
    FsError::new(Kind::Internal, format!("pack {number} would become too long; finish it earlier"))
}

#[cfg(test)]
mod tests {
    use super::super::format::HEADER;
    use super::super::{MemorySource, PackSource, open_unit, read_index};
    use super::*;
    use crate::crypto::MasterKey;
    use crate::ids::{DriveUid, Ino};
    use crate::seam::SeededRandom;
    use futures::executor::block_on;
    use proptest::prelude::*;
    use std::sync::Arc;

    const KINDS: [UnitKind; 4] = [UnitKind::Chunk, UnitKind::Node, UnitKind::Run, UnitKind::Root];

    fn keys(seed: u64) -> KeyRing {
        KeyRing::new(DriveUid([5; 32]), KeyEpoch(1), MasterKey::from_bytes(&[6; 32]), Arc::new(SeededRandom::new(seed)))
    }

    fn unit() -> impl Strategy<Value = (UnitKind, Vec<u8>)> {
        let content = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..3000),
            (any::<u8>(), 0..70_000usize).prop_map(|(byte, len)| vec![byte; len.min(65_536)]),
        ];
        (prop::sample::select(&KINDS[..]), content)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn what_was_pushed_comes_back(units in prop::collection::vec(unit(), 0..12), padding in 1..5000u64) {
            let keys = keys(1);
            let mut writer = PackWriter::new(&keys, PackNo(9), padding).unwrap();
            let mut pushed = Vec::new();
            for (nth, (kind, content)) in units.iter().enumerate() {
                let origin = Origin { ino: Ino(nth as u64), file_offset: 7, operation: 1 << 40 };
                let addr = writer.push(*kind, content, origin).unwrap();
                prop_assert!(*kind != UnitKind::Root || addr.stored as usize == content.len() + 16);
                pushed.push(IndexEntry { kind: *kind, addr, origin });
            }
            let root = vec![1; 200];
            let predicted = writer.size_with(216).unwrap();
            let addr = writer.push(UnitKind::Root, &root, Origin::default()).unwrap();
            pushed.push(IndexEntry { kind: UnitKind::Root, addr, origin: Origin::default() });
            let sealed = writer.finish().unwrap();
            prop_assert_eq!((sealed.size(), sealed.size() % padding), (predicted, 0));
            let source = MemorySource::default();
            let pack = sealed.as_ref(source.insert(sealed.bytes.clone()));
            prop_assert_eq!(&block_on(read_index(&source, &pack, &keys)).unwrap(), &pushed);
            let cipher = keys.pack_cipher(pack.key_epoch, &pack.salt).unwrap();
            for (entry, (kind, content)) in pushed.iter().zip(units.iter().chain([&(UnitKind::Root, root)])) {
                let bytes = block_on(source.read(&pack, entry.addr.offset, entry.addr.stored)).unwrap();
                prop_assert_eq!(&open_unit(&cipher, *kind, entry.addr, bytes.to_vec()).unwrap(), content);
            }
        }
    }

    fn sample(seed: u64) -> (KeyRing, SealedPack, UnitAddr) {
        let keys = keys(seed);
        let mut writer = PackWriter::new(&keys, PackNo(1), 256).unwrap();
        let addr = writer.push(UnitKind::Chunk, &[b'a'; 1000], Origin::default()).unwrap();
        writer.push(UnitKind::Node, b"node", Origin { ino: Ino(3), file_offset: 1, operation: 2 }).unwrap();
        (keys, writer.finish().unwrap(), addr)
    }

    #[test]
    fn any_damaged_byte_is_an_error_where_it_is_read() {
        let (keys, sealed, addr) = sample(2);
        let cipher = keys.pack_cipher(sealed.key_epoch, &sealed.salt).unwrap();
        let pack = sealed.as_ref([0; 32]);
        for at in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.to_vec();
            bytes[at] ^= 0x40;
            let source = MemorySource::default();
            source.insert_as([0; 32], bytes.into());
            let unit = block_on(source.read(&pack, addr.offset, addr.stored)).unwrap();
            let chunk = open_unit(&cipher, UnitKind::Chunk, addr, unit.to_vec());
            let index = block_on(read_index(&source, &pack, &keys));
            let (start, end) = (addr.offset as usize, addr.offset as usize + addr.stored as usize);
            assert_eq!(chunk.is_err(), (start..end).contains(&at), "byte {at}");
            let in_units = (HEADER..end + 20).contains(&at);
            assert_eq!(index.is_err(), !in_units, "byte {at}");
        }
        for len in 0..sealed.bytes.len() {
            let source = MemorySource::default();
            source.insert_as([0; 32], sealed.bytes.slice(..len));
            let short = PackRef { size: Some(len as u64), ..pack };
            assert!(block_on(read_index(&source, &short, &keys)).is_err(), "length {len}");
        }
    }

    #[test]
    fn a_unit_is_bound_to_kind_place_length_and_pack() {
        let (keys, sealed, addr) = sample(3);
        let cipher = keys.pack_cipher(sealed.key_epoch, &sealed.salt).unwrap();
        let unit = sealed.bytes[addr.offset as usize..][..addr.stored as usize].to_vec();
        assert_eq!(open_unit(&cipher, UnitKind::Chunk, addr, unit.clone()).unwrap(), [b'a'; 1000]);
        assert!(open_unit(&cipher, UnitKind::Node, addr, unit.clone()).is_err());
        let moved = UnitAddr { offset: addr.offset + 1, ..addr };
        assert!(open_unit(&cipher, UnitKind::Chunk, moved, unit.clone()).is_err());
        for plain in [0, 999, 1001, 65_536, 65_537, u32::MAX] {
            assert!(open_unit(&cipher, UnitKind::Chunk, UnitAddr { plain, ..addr }, unit.clone()).is_err(), "{plain}");
        }
        let other = keys.pack_cipher(sealed.key_epoch, &[1; 32]).unwrap();
        assert!(open_unit(&other, UnitKind::Chunk, addr, unit).is_err());
    }

    #[test]
    fn every_attempt_has_its_own_salt() {
        let keys = keys(4);
        let salts: Vec<_> = (0..8)
            .map(|_| PackWriter::new(&keys, PackNo(1), 1).unwrap().finish().unwrap().salt)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        assert_eq!(salts.len(), 8);
    }

    #[test]
    fn units_have_bounds() {
        let keys = keys(5);
        let mut writer = PackWriter::new(&keys, PackNo(1), 1).unwrap();
        assert!(writer.push(UnitKind::Chunk, &vec![0; 65_537], Origin::default()).is_err());
        assert!(writer.push(UnitKind::Chunk, &vec![0; 65_536], Origin::default()).is_ok());
    }

    /// A decompression bomb: an address that promises little, over a frame that holds much.
    #[test]
    fn decompression_stops_at_the_promised_length() {
        let keys = keys(6);
        let mut writer = PackWriter::new(&keys, PackNo(1), 1).unwrap();
        let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
        let addr = writer.push_stored(UnitKind::Chunk, 60_000, &bomb, Origin::default()).unwrap();
        let (epoch, salt) = (writer.epoch, writer.salt);
        let sealed = writer.finish().unwrap();
        let unit = sealed.bytes[addr.offset as usize..][..addr.stored as usize].to_vec();
        let cipher = keys.pack_cipher(epoch, &salt).unwrap();
        let error = open_unit(&cipher, UnitKind::Chunk, addr, unit).unwrap_err();
        assert!(error.to_string().contains("does not decompress"), "{error}");
    }

    #[test]
    fn golden_pack() {
        let (_, sealed, addr) = sample(7);
        assert_eq!(sealed.bytes.len(), 256);
        assert_eq!(&sealed.bytes[..16], b"walrusfs\x01\0\0\0\x01\0\0\0");
        assert_eq!(&sealed.bytes[16..48], &sealed.salt);
        assert_eq!((addr.offset, addr.plain), (48, 1000));
        assert_eq!(
            blake3::hash(&sealed.bytes).to_hex().as_str(),
            "a55e806e2e3a14886b000420d817aefffea762bc62d5f48dccc7db60956aebc1"
        );
    }
}
