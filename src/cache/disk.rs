//! The disk tier: one file per sliver, checksummed block by block, dropped when wrong.
//!
//! File layout (little-endian, version 1): magic `WFSSLIV\0`, version u16, flags u16 (bit 0: hash verified), row u16,
//! zero u16, length u32, zero u32, blob id 32 bytes, one 16-byte checksum (truncated BLAKE3) per 64 KiB block of the
//! sliver, one 16-byte checksum over everything before it; then the sliver. A file is written under a temporary name
//! and renamed: no fsync, because losing it costs a fetch, and a torn one fails its checksum.

use super::slivers::{Counters, Sliver, SliverKey, count};
use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MAGIC: &[u8; 8] = b"WFSSLIV\0";
const VERSION: u16 = 1;
const FIXED: usize = 24 + 32;
const BLOCK: usize = 64 * 1024;
const SUM: usize = 16;

/// Largest sliver: 16,384 symbols of 65,534 bytes is more than any number of shards needs; bounds a hostile header.
const MAX_LEN: usize = 1 << 30;

struct Index {
    sizes: LruCache<SliverKey, u64>,
    bytes: u64,
}

pub(super) struct DiskTier {
    dir: PathBuf,
    limit: u64,
    min_free: u64,
    index: Arc<Mutex<Index>>,
    counters: Arc<Counters>,
    temporary: AtomicU64,
}

impl DiskTier {
    pub(super) fn open(dir: &Path, limit: u64, min_free: u64, counters: Arc<Counters>) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let index = Arc::new(Mutex::new(Index { sizes: LruCache::unbounded(), bytes: 0 }));
        // The index serves eviction only (a lookup opens the file), so mounting does not wait for the scan.
        let scan = (dir.to_owned(), Arc::clone(&index));
        std::thread::Builder::new().name("cache-scan".into()).spawn(move || scan_into(&scan.0, &scan.1))?;
        Ok(Self { dir: dir.to_owned(), limit, min_free, index, counters, temporary: AtomicU64::new(0) })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.index.lock().bytes
    }

    pub(super) fn holds(&self, key: SliverKey) -> bool {
        self.index.lock().sizes.contains(&key)
    }

    fn path(&self, key: SliverKey) -> PathBuf {
        self.dir.join(format!("{:02x}", key.blob[0])).join(file_name(key))
    }

    pub(super) fn read(&self, key: SliverKey, range: Range<usize>) -> Option<Sliver> {
        match self.try_read(key, range) {
            Ok(found) => {
                self.index.lock().sizes.promote(&key);
                Some(found)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                count(&self.counters.corrupt);
                tracing::warn!(file = %self.path(key).display(), "a cached sliver is damaged; it will be fetched again");
                self.remove(key);
                None
            }
            Err(_) => {
                count(&self.counters.disk_errors);
                None
            }
        }
    }

    fn try_read(&self, key: SliverKey, range: Range<usize>) -> io::Result<Sliver> {
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let cut_off = |error: io::Error| {
            if error.kind() == io::ErrorKind::UnexpectedEof { damaged() } else { error }
        };
        let file = File::open(self.path(key))?;
        let mut fixed = [0; FIXED];
        file.read_exact_at(&mut fixed, 0).map_err(cut_off)?;
        let header = Header::parse(&fixed).filter(|header| header.key == key).ok_or_else(damaged)?;
        let mut sums = vec![0; header.sums_len()];
        file.read_exact_at(&mut sums, FIXED as u64).map_err(cut_off)?;
        let (block_sums, own_sum) = sums.split_at(sums.len() - SUM);
        if header_sum(&fixed, block_sums) != own_sum {
            return Err(damaged());
        }
        if range.start > range.end || range.end > header.len {
            return Err(io::ErrorKind::NotFound.into());
        }
        let first = range.start / BLOCK;
        let start = first * BLOCK;
        let end = range.end.div_ceil(BLOCK).saturating_mul(BLOCK).min(header.len).max(start);
        let mut data = vec![0; end - start];
        file.read_exact_at(&mut data, (FIXED + sums.len() + start) as u64).map_err(cut_off)?;
        for (block, sum) in data.chunks(BLOCK).zip(block_sums.chunks(SUM).skip(first)) {
            if checksum(block) != *sum {
                return Err(damaged());
            }
        }
        let bytes = Bytes::from(data).slice(range.start - start..range.end - start);
        Ok(Sliver { bytes, verified: header.verified })
    }

    pub(super) fn write(&self, key: SliverKey, sliver: &Sliver) {
        if let Err(error) = self.try_write(key, sliver) {
            count(&self.counters.disk_errors);
            tracing::debug!(%error, "a sliver was not cached on disk");
        }
    }

    fn try_write(&self, key: SliverKey, sliver: &Sliver) -> io::Result<()> {
        let header = Header { key, len: sliver.bytes.len(), verified: sliver.verified };
        let size = (FIXED + header.sums_len() + sliver.bytes.len()) as u64;
        if size > self.limit || header.len > MAX_LEN {
            return Ok(());
        }
        self.make_room(size);
        if !self.leaves_free(size) {
            return Ok(());
        }
        let path = self.path(key);
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let fixed = header.bytes();
        let mut sums: Vec<u8> = Vec::with_capacity(header.sums_len());
        for block in sliver.bytes.chunks(BLOCK) {
            sums.extend_from_slice(&checksum(block));
        }
        let own_sum = header_sum(&fixed, &sums);
        sums.extend_from_slice(&own_sum);
        let unique = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(format!("tmp-{}-{unique}", std::process::id()));
        let written = (|| {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&fixed)?;
            file.write_all(&sums)?;
            file.write_all(&sliver.bytes)?;
            fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            // What is half written must not stay; if even that fails the next start's scan removes it.
            let _ = fs::remove_file(&temporary);
            return written;
        }
        let mut index = self.index.lock();
        let old = index.sizes.put(key, size).unwrap_or(0);
        index.bytes = index.bytes.saturating_sub(old).saturating_add(size);
        Ok(())
    }

    /// Removes the least recently used files until `size` more bytes fit below the limit.
    fn make_room(&self, size: u64) {
        loop {
            let victim = {
                let mut index = self.index.lock();
                if index.bytes.saturating_add(size) <= self.limit {
                    return;
                }
                let Some((key, old)) = index.sizes.pop_lru() else { return };
                index.bytes = index.bytes.saturating_sub(old);
                key
            };
            count(&self.counters.evictions);
            let _ = fs::remove_file(self.path(victim));
        }
    }

    /// Whether the filesystem keeps its free reserve after `size` more bytes.
    fn leaves_free(&self, size: u64) -> bool {
        match nix::sys::statvfs::statvfs(&self.dir) {
            Ok(stat) => {
                let free = stat.blocks_available().saturating_mul(stat.fragment_size());
                free >= self.min_free.saturating_add(size)
            }
            Err(_) => false,
        }
    }

    pub(super) fn remove(&self, key: SliverKey) {
        let _ = fs::remove_file(self.path(key));
        let mut index = self.index.lock();
        if let Some(old) = index.sizes.pop(&key) {
            index.bytes = index.bytes.saturating_sub(old);
        }
    }

    pub(super) fn clear(&self) {
        let mut index = self.index.lock();
        index.sizes.clear();
        index.bytes = 0;
        for (path, _, _) in sliver_files(&self.dir) {
            let _ = fs::remove_file(path);
        }
    }
}

struct Header {
    key: SliverKey,
    len: usize,
    verified: bool,
}

impl Header {
    fn sums_len(&self) -> usize {
        (self.len.div_ceil(BLOCK) + 1) * SUM
    }

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

fn checksum(data: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    sum.copy_from_slice(&blake3::hash(data).as_bytes()[..SUM]);
    sum
}

fn header_sum(fixed: &[u8], block_sums: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    let mut hasher = blake3::Hasher::new();
    hasher.update(fixed).update(block_sums);
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..SUM]);
    sum
}

fn file_name(key: SliverKey) -> String {
    format!("{}-{}", hex::encode(key.blob), key.row)
}

fn parse_file_name(name: &str) -> Option<SliverKey> {
    let (blob, row) = name.split_once('-')?;
    let mut key = SliverKey { blob: [0; 32], row: row.parse().ok()? };
    hex::decode_to_slice(blob, &mut key.blob).ok()?;
    Some(key)
}

/// Every sliver file below `dir` with its key, size; in no order.
fn sliver_files(dir: &Path) -> Vec<(PathBuf, SliverKey, fs::Metadata)> {
    let mut found = Vec::new();
    let Ok(folders) = fs::read_dir(dir) else { return found };
    for folder in folders.flatten() {
        let Ok(files) = fs::read_dir(folder.path()) else { continue };
        for file in files.flatten() {
            let key = file.file_name().to_str().and_then(parse_file_name);
            if let (Some(key), Ok(metadata)) = (key, file.metadata()) {
                found.push((file.path(), key, metadata));
            }
        }
    }
    found
}

/// Fills the index with what an earlier run left, oldest first, and removes temporary files of dead runs.
fn scan_into(dir: &Path, index: &Mutex<Index>) {
    let own = format!("tmp-{}-", std::process::id());
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("tmp-") && !name.starts_with(&own)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    let mut files = sliver_files(dir);
    files.sort_by_key(|(_, _, metadata)| metadata.modified().ok());
    for (_, key, metadata) in files.into_iter().rev() {
        let mut index = index.lock();
        if !index.sizes.contains(&key) {
            index.sizes.put(key, metadata.len());
            // Newest first, each put below what is there: the oldest ends up least recently used.
            index.sizes.demote(&key);
            index.bytes = index.bytes.saturating_add(metadata.len());
        }
    }
}
