//! Lengths of the blobs that hold roots, across restarts.
//!
//! The Drive object names the root's blob without its length, and the network says it from the blob's metadata. Remembered
//! here it is known without the network. One file (little-endian): for each blob, newest last, its id 32 bytes and its length
//! u64; then a 32-byte BLAKE3 over all of it. One that is missing or wrong costs a question to the network.

use parking_lot::Mutex;
use std::fs;
use std::path::{Path, PathBuf};

/// Blobs that are remembered: a root is among the last few packs.
const MOST: usize = 64;

const ROW: usize = 40;
const SUM: usize = 32;

/// The file's name in the cache folder.
pub(super) const NAME: &str = "sizes";

pub(super) struct Sizes {
    file: PathBuf,
    rows: Mutex<Vec<([u8; 32], u64)>>,
}

impl Sizes {
    pub(super) fn open(dir: &Path) -> Self {
        let file = dir.join(NAME);
        let rows = fs::read(&file).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Self { file, rows: Mutex::new(rows) }
    }

    pub(super) fn get(&self, blob: [u8; 32]) -> Option<u64> {
        self.rows.lock().iter().find(|(known, _)| *known == blob).map(|(_, size)| *size)
    }

    /// Remembers `size`. Blocking; a file that cannot be written is left.
    pub(super) fn put(&self, blob: [u8; 32], size: u64) {
        let mut rows = self.rows.lock();
        if rows.contains(&(blob, size)) {
            return;
        }
        rows.retain(|(known, _)| *known != blob);
        rows.push((blob, size));
        let surplus = rows.len().saturating_sub(MOST);
        rows.drain(..surplus);
        let mut out: Vec<u8> = rows.iter().flat_map(|(blob, size)| [&blob[..], &size.to_le_bytes()].concat()).collect();
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        let temporary = self.file.with_file_name(format!("tmp-{}-{NAME}", std::process::id()));
        if let Err(error) = fs::write(&temporary, out).and_then(|()| fs::rename(&temporary, &self.file)) {
            tracing::debug!(%error, "the length of a blob was not remembered");
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Option<Vec<([u8; 32], u64)>> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    let row = |row: &[u8]| Some((row[..32].try_into().ok()?, u64::from_le_bytes(row[32..].try_into().ok()?)));
    body.chunks_exact(ROW).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lengths_come_back_and_damage_is_no_length() {
        let dir = tempfile::tempdir().unwrap();
        let sizes = Sizes::open(dir.path());
        (0..100).for_each(|n| sizes.put([n; 32], u64::from(n) * 1000));
        sizes.put([60; 32], 7);
        let again = Sizes::open(dir.path());
        assert_eq!((again.get([99; 32]), again.get([60; 32]), again.get([30; 32])), (Some(99_000), Some(7), None));
        let mut bytes = fs::read(dir.path().join(NAME)).unwrap();
        bytes[40] ^= 1;
        fs::write(dir.path().join(NAME), bytes).unwrap();
        assert_eq!(Sizes::open(dir.path()).get([99; 32]), None);
    }
}
