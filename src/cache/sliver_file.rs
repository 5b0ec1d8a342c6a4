//! One sliver in one file, checksummed block by block.
//!
//! Layout (little-endian, version 1): magic `WFSSLIV\0`, version u16, flags u16 (bit 0: hash verified), row u16, zero u16,
//! length u32, zero u32, blob id 32 bytes, one 16-byte checksum (truncated BLAKE3) per 64 KiB block of the sliver, one
//! 16-byte checksum over everything before it; then the sliver. A sliver whose hash was not verified is read only by those who
//! check a tag, which is more than a checksum says: the sums of its blocks are zeros and mean nothing.
//!
//! An open file keeps its header and sums in memory and remembers which blocks were right: each block is hashed once for
//! each opening, not once for each read, and a read of blocks that were checked reads nothing but its own bytes. Who checks a tag
//! needs no sums: a tag that fails makes it read again, with them, and then the file is found out.
//!
//! What the kernel still has of a file can be read without waiting for the disk ([`Patience::None`]): openat2(2) with
//! `RESOLVE_CACHED`, preadv2(2) with `RWF_NOWAIT`. Where a kernel or a filesystem knows neither, everything waits.

use super::slivers::{Sliver, SliverKey};
use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::ReadWriteFlags;
use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const MAGIC: &[u8; 8] = b"WFSSLIV\0";
const VERSION: u16 = 1;
const FIXED: usize = 24 + 32;
const BLOCK: usize = 64 * 1024;
const SUM: usize = 16;

/// Longest sliver, bytes: more than any number of shards needs; bounds a hostile header.
const MAX_LEN: usize = 1 << 30;

/// Bytes of the file of a sliver of `len` bytes; `None` when it is longer than any sliver is.
pub(super) fn size_of(len: usize) -> Option<u64> {
    (len <= MAX_LEN).then(|| (FIXED + sums_len(len) + len) as u64)
}

/// Bytes of the sliver in a file of `size` bytes, about: what a place in the sliver is a part of.
pub(super) fn about_len(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(FIXED)
}

fn sums_len(len: usize) -> usize {
    (len.div_ceil(BLOCK) + 1) * SUM
}

pub(super) fn name(key: SliverKey) -> String {
    format!("{}-{}", hex::encode(key.blob), key.row)
}

pub(super) fn parse_name(name: &str) -> Option<SliverKey> {
    let (blob, row) = name.split_once('-')?;
    let mut key = SliverKey { blob: [0; 32], row: row.parse().ok()? };
    hex::decode_to_slice(blob, &mut key.blob).ok()?;
    Some(key)
}

/// Writes the sliver to `path`, which must not exist.
pub(super) fn write(path: &Path, key: SliverKey, sliver: &Sliver) -> io::Result<()> {
    let header = Header { key, len: sliver.bytes.len(), verified: sliver.verified };
    let mut head = Vec::with_capacity(FIXED + sums_len(header.len));
    head.extend_from_slice(&header.bytes());
    for block in sliver.bytes.chunks(BLOCK) {
        head.extend_from_slice(&if sliver.verified { checksum(block) } else { [0; SUM] });
    }
    let own = checksum(&head);
    head.extend_from_slice(&own);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&head)?;
    file.write_all(&sliver.bytes)
}

/// Whether a reader may be kept waiting by the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as it takes.
    Any,
    /// What is not in the kernel's memory is [`io::ErrorKind::WouldBlock`].
    None,
}

impl Patience {
    fn open(self, path: &Path) -> io::Result<File> {
        match self {
            Self::Any => File::open(path),
            Self::None => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                // Whatever is wrong is told to who may wait.
                let opened = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED);
                Ok(opened.map_err(|_| io::ErrorKind::WouldBlock)?.into())
            }
        }
    }

    /// Fills `data` from the file's bytes at `at`.
    fn read(self, file: &File, data: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::Any => file.read_exact_at(data, at).map_err(cut_off),
            Self::None => {
                let whole = data.len();
                let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(data)], at, ReadWriteFlags::NOWAIT);
                if read == Ok(whole) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            }
        }
    }
}

/// A sliver's file, open and with a right header.
#[derive(Debug)]
pub(super) struct SliverFile {
    file: File,
    len: usize,
    verified: bool,
    block_sums: Vec<u8>,
    /// One bit for each block: it was read once since the file was opened, and its sum was right.
    checked: Vec<AtomicU64>,
}

impl SliverFile {
    /// Opens the file of `key` at `path`. [`io::ErrorKind::InvalidData`] when it is not what was written.
    pub(super) fn open(path: &Path, key: SliverKey, patience: Patience) -> io::Result<Self> {
        let file = patience.open(path)?;
        let mut fixed = [0; FIXED];
        patience.read(&file, &mut fixed, 0)?;
        let header = Header::parse(&fixed).filter(|header| header.key == key).ok_or_else(damaged)?;
        // A header that claims more than there is must not make anybody allocate.
        if size_of(header.len) != Some(file.metadata()?.len()) {
            return Err(damaged());
        }
        let mut head = vec![0; FIXED + sums_len(header.len)];
        patience.read(&file, &mut head, 0)?;
        let (before, own) = head.split_at(head.len() - SUM);
        if checksum(before) != own || before[..FIXED] != fixed {
            return Err(damaged());
        }
        let block_sums = before[FIXED..].to_vec();
        let words = header.len.div_ceil(BLOCK).div_ceil(64);
        let checked = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { file, len: header.len, verified: header.verified, block_sums, checked })
    }

    /// Whether the sliver's hash was verified.
    pub(super) fn verified(&self) -> bool {
        self.verified
    }

    /// Bytes `range` of the sliver; `None` when it is shorter. Unless the reader is `trusting` or must check a tag anyway, the
    /// blocks are compared with their sums.
    pub(super) fn read(&self, range: Range<usize>, trusting: bool, patience: Patience) -> io::Result<Option<Bytes>> {
        if range.start > range.end || range.end > self.len {
            return Ok(None);
        }
        if range.is_empty() {
            return Ok(Some(Bytes::new()));
        }
        let (first, last) = (range.start / BLOCK, (range.end - 1) / BLOCK);
        let known = |block| trusting || !self.verified || self.is_checked(block);
        let start = if known(first) { range.start } else { first * BLOCK };
        let end = if known(last) { range.end } else { ((last + 1) * BLOCK).min(self.len) };
        let mut data = vec![0; end - start];
        let data_at = FIXED + sums_len(self.len);
        patience.read(&self.file, &mut data, (data_at + start) as u64)?;
        for block in (first..=last).filter(|block| !known(*block)) {
            let from = block * BLOCK;
            let bytes = &data[from - start..(from + BLOCK).min(self.len) - start];
            if checksum(bytes) != self.block_sums[block * SUM..(block + 1) * SUM] {
                return Err(damaged());
            }
            self.checked[block / 64].fetch_or(1 << (block % 64), Ordering::Relaxed);
        }
        Ok(Some(Bytes::from(data).slice(range.start - start..range.end - start)))
    }

    fn is_checked(&self, block: usize) -> bool {
        self.checked[block / 64].load(Ordering::Relaxed) >> (block % 64) & 1 == 1
    }
}

struct Header {
    key: SliverKey,
    len: usize,
    verified: bool,
}

impl Header {
    fn bytes(&self) -> [u8; FIXED] {
        let mut out = [0; FIXED];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&u16::from(self.verified).to_le_bytes());
        out[12..14].copy_from_slice(&self.key.row.to_le_bytes());
        out[16..20].copy_from_slice(&(self.len as u32).to_le_bytes());
        out[24..].copy_from_slice(&self.key.blob);
        out
    }

    fn parse(fixed: &[u8; FIXED]) -> Option<Self> {
        let u16_at = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let len = u32::from_le_bytes([fixed[16], fixed[17], fixed[18], fixed[19]]) as usize;
        let mut blob = [0; 32];
        blob.copy_from_slice(&fixed[24..]);
        let plausible = &fixed[..8] == MAGIC && u16_at(8) == VERSION && len <= MAX_LEN;
        plausible.then_some(Self { key: SliverKey { blob, row: u16_at(12) }, len, verified: u16_at(10) & 1 == 1 })
    }
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn cut_off(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { damaged() } else { error }
}

fn checksum(data: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    sum.copy_from_slice(&blake3::hash(data).as_bytes()[..SUM]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_in_any_order_is_the_slivers_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sliver");
        let key = SliverKey { blob: [3; 32], row: 9 };
        let bytes: Bytes = (0..300_001_u32).map(|i| (i / 7) as u8).collect::<Vec<_>>().into();
        write(&path, key, &Sliver { bytes: bytes.clone(), verified: true }).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), size_of(bytes.len()).unwrap());
        let file = SliverFile::open(&path, key, Patience::Any).unwrap();
        assert!(file.verified());
        for range in [65_536..131_072, 0..1, 100_000..250_000, 0..300_001, 299_999..300_001, 131_071..131_073, 7..7] {
            assert_eq!(file.read(range.clone(), false, Patience::Any).unwrap().unwrap(), bytes.slice(range));
        }
        assert!(file.read(1..300_002, false, Patience::Any).unwrap().is_none(), "past the end");
        assert!(SliverFile::open(&path, SliverKey { blob: [3; 32], row: 8 }, Patience::Any).is_err(), "another sliver");
    }

    #[test]
    fn a_block_is_checked_once_for_each_opening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sliver");
        let key = SliverKey { blob: [3; 32], row: 9 };
        let bytes = Bytes::from(vec![5; 200_000]);
        write(&path, key, &Sliver { bytes, verified: true }).unwrap();
        let file = SliverFile::open(&path, key, Patience::Any).unwrap();
        file.read(0..10, false, Patience::Any).unwrap();
        let at = size_of(200_000).unwrap() - 200_000;
        let flip = |place: u64| {
            File::options().write(true).open(&path).unwrap().write_all_at(&[9], at + place).unwrap();
        };
        flip(5);
        flip(70_000);
        assert_eq!(
            file.read(65_536..70_001, true, Patience::Any).unwrap().unwrap()[4_464],
            9,
            "the reader's own check finds it"
        );
        assert_eq!(
            file.read(0..10, false, Patience::Any).unwrap().unwrap()[5],
            9,
            "checked before: the reader's own check finds it"
        );
        assert!(
            file.read(0..65_537, false, Patience::Any).is_err(),
            "the second block is checked when it is first read"
        );
        assert!(SliverFile::open(&path, key, Patience::Any).unwrap().read(0..10, false, Patience::Any).is_err());
    }
    #[test]
    fn what_the_kernel_has_is_read_without_waiting_and_the_rest_is_not() {
        let dir = tempfile::tempdir().unwrap();
        // ext4, XFS, btrfs: filesystems that know how to read without waiting.
        let kind = rustix::fs::statfs(dir.path()).unwrap().f_type;
        if ![0xef53, 0x5846_5342, 0x9123_683e].contains(&kind) {
            return eprintln!("temporary files lie on a filesystem of type {kind:#x}, which always waits");
        }
        let path = dir.path().join("sliver");
        let key = SliverKey { blob: [3; 32], row: 9 };
        let bytes = Bytes::from(vec![5; 2 << 20]);
        write(&path, key, &Sliver { bytes: bytes.clone(), verified: true }).unwrap();
        let file = SliverFile::open(&path, key, Patience::None).unwrap();
        assert_eq!(file.read(70_000..90_000, true, Patience::None).unwrap().unwrap(), bytes.slice(70_000..90_000));
        // Written down and dropped by the kernel.
        file.file.sync_all().unwrap();
        rustix::fs::fadvise(&file.file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let waits = |result: io::Result<Option<Bytes>>| result.unwrap_err().kind() == io::ErrorKind::WouldBlock;
        assert!(waits(file.read(1_000_000..1_100_000, true, Patience::None)));
        assert!(file.read(1_000_000..1_100_000, true, Patience::Any).unwrap().is_some());
        assert!(file.read(1_000_000..1_100_000, true, Patience::None).unwrap().is_some());
        let nowhere = SliverFile::open(&dir.path().join("none"), key, Patience::None).unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::WouldBlock);
    }
}
