//! Bytes of keys, records and changes (`docs/format.md`). Everything decoded here is hostile until [`check`] passed it.

use super::record::{Batch, Extent, GROUP, Key, KeyKind, Place, Record, Space};
use crate::crypto::TAG;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{CHUNK, Ino};

/// Length of a key without its name, bytes.
const KEY_FIXED: usize = 18;

fn corrupt(why: impl Into<std::borrow::Cow<'static, str>>) -> FsError {
    FsError::new(Kind::Corrupt, why)
}

impl KeyKind {
    const ALL: [KeyKind; 9] = [
        KeyKind::Counters,
        KeyKind::Pack,
        KeyKind::Dead,
        KeyKind::Shared,
        KeyKind::Orphan,
        KeyKind::Inode,
        KeyKind::Xattr,
        KeyKind::Dirent,
        KeyKind::Extents,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

impl Key {
    /// Appends the encoded key: space u8, owner u64 BE, kind u8, num u64 BE, name. Byte order is key order.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.space as u8);
        out.extend_from_slice(&self.owner.0.to_be_bytes());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.num.to_be_bytes());
        out.extend_from_slice(&self.name);
    }

    /// Length of the encoded key, bytes.
    pub fn encoded_len(&self) -> usize {
        KEY_FIXED + self.name.len()
    }

    /// The key with these bytes.
    pub fn decode(bytes: &[u8]) -> FsResult<Self> {
        let (fixed, name) = bytes.split_first_chunk::<KEY_FIXED>().ok_or_else(|| corrupt("tree: a key is cut off"))?;
        let number = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&fixed[at..at + 8]);
            u64::from_be_bytes(field)
        };
        let space = match fixed[0] {
            0 => Space::Table,
            1 => Space::Files,
            other => return Err(corrupt(format!("tree: unknown space {other}"))),
        };
        let kind = KeyKind::from_number(fixed[9]).ok_or_else(|| corrupt("tree: unknown kind of key"))?;
        Ok(Self { space, owner: Ino(number(1)), kind, num: number(10), name: name.into() })
    }

    /// The first key that `space` can have.
    pub fn first_of(space: Space) -> Self {
        Self { space, owner: Ino(0), kind: KeyKind::Counters, num: 0, name: Box::default() }
    }
}

/// Whether `record` may stand under `key` in what comes from the network. Spool places may not.
pub(super) fn check(key: &Key, record: &Record) -> FsResult<()> {
    let belongs = match (key.kind, record) {
        (KeyKind::Counters, Record::Counters(_)) => true,
        (KeyKind::Pack, Record::Pack(_)) | (KeyKind::Dead, Record::Dead) | (KeyKind::Shared, Record::Shared(_)) => {
            key.space == Space::Table
        }
        (KeyKind::Orphan, Record::Orphan)
        | (KeyKind::Inode, Record::Inode(_))
        | (KeyKind::Xattr, Record::Xattr(_))
        | (KeyKind::Dirent, Record::Dirent(_)) => key.space == Space::Files,
        (KeyKind::Extents, Record::Extents(extents)) => key.space == Space::Files && extents_are_sound(extents),
        _ => false,
    };
    if belongs { Ok(()) } else { Err(corrupt(format!("tree: a record that cannot stand under {key:?}"))) }
}

fn extents_are_sound(extents: &[Extent]) -> bool {
    let mut free = 0;
    extents.iter().all(|extent| {
        let (first, count) = (u64::from(extent.first), u64::from(extent.count));
        let placed = first >= free && count >= 1 && first + count <= GROUP;
        free = first + count;
        placed && place_is_sound(&extent.place, usize::from(extent.count))
    })
}

fn place_is_sound(place: &Place, count: usize) -> bool {
    let Place::Pack { offset, lens, last, .. } = place else { return false };
    let fits = |len: &u32| (TAG..=CHUNK + TAG).contains(&(*len as usize));
    // 64 chunks of at most 64 KiB + 16 after the offset: the end must be an offset too.
    (lens.is_empty() || lens.len() == count)
        && lens.iter().all(fits)
        && *last as usize <= CHUNK
        && offset.checked_add(GROUP * (CHUNK + TAG) as u64).is_some()
}

/// Appends one change: key length u16 LE, key, value length u32 LE (0 removes), the record in BCS.
pub(super) fn put_change(out: &mut Vec<u8>, key: &Key, record: Option<&Record>) -> FsResult<()> {
    let too_long = || FsError::new(Kind::Internal, format!("the record of {key:?} cannot be encoded"));
    let key_len = u16::try_from(key.encoded_len()).map_err(|_| too_long())?;
    out.extend_from_slice(&key_len.to_le_bytes());
    key.encode(out);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    if let Some(record) = record {
        bcs::serialize_into(out, record).map_err(|error| too_long().caused_by(error))?;
        let len = u32::try_from(out.len() - at - 4).map_err(|_| too_long())?;
        out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }
    Ok(())
}

/// Takes fields off the front of decoded bytes.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, len: usize) -> FsResult<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(len).ok_or_else(|| corrupt("tree: a field is cut off"))?;
        self.0 = rest;
        Ok(field)
    }

    pub(super) fn array<const N: usize>(&mut self) -> FsResult<[u8; N]> {
        let mut field = [0; N];
        field.copy_from_slice(self.bytes(N)?);
        Ok(field)
    }

    pub(super) fn u32(&mut self) -> FsResult<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> FsResult<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A key with its length before it.
    pub(super) fn key(&mut self) -> FsResult<Key> {
        let len = u16::from_le_bytes(self.array()?);
        Key::decode(self.bytes(usize::from(len))?)
    }

    /// A change, checked.
    pub(super) fn change(&mut self) -> FsResult<(Key, Option<Record>)> {
        let key = self.key()?;
        let len = self.u32()? as usize;
        if len == 0 {
            return Ok((key, None));
        }
        let record = bcs::from_bytes(self.bytes(len)?)
            .map_err(|error| corrupt(format!("tree: the record of {key:?} does not parse")).caused_by(error))?;
        check(&key, &record)?;
        Ok((key, Some(record)))
    }
}

/// Appends a batch: count u32 LE, then the changes.
pub(super) fn put_batch<'a>(
    out: &mut Vec<u8>,
    changes: impl Iterator<Item = (&'a Key, Option<&'a Record>)>,
) -> FsResult<()> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut count = 0u32;
    for (key, record) in changes {
        put_change(out, key, record)?;
        count = count.checked_add(1).ok_or_else(|| FsError::new(Kind::Internal, "a batch has too many changes"))?;
    }
    out[at..at + 4].copy_from_slice(&count.to_le_bytes());
    Ok(())
}

/// Reads a batch off the front of `fields`.
pub(super) fn take_batch(fields: &mut Fields<'_>) -> FsResult<Batch> {
    let count = fields.u32()?;
    (0..count).map(|_| fields.change()).collect()
}
