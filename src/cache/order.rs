//! The order of the disk tier across restarts: which slivers were worth keeping.
//!
//! One file beside the slivers (little-endian, version 1): magic `WFSORDR\0`, version u16, zero u16, count u32; for each
//! entry blob id 32 bytes, row u16, queue u8, uses u8, file size u64; a 32-byte BLAKE3 over everything before it. It is
//! written aside and renamed; one that is missing, torn or wrong costs the order, nothing else.

use super::hot::Queue;
use super::slivers::SliverKey;
use std::fs;
use std::io;
use std::path::Path;

const MAGIC: &[u8; 8] = b"WFSORDR\0";
const VERSION: u16 = 1;
const HEAD: usize = 16;
const ROW: usize = 44;
const SUM: usize = 32;

/// The file's name in the cache folder; no sliver's folder is called so.
pub(super) const NAME: &str = "order";

/// A line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: SliverKey,
    pub(super) queue: Queue,
    pub(super) uses: u8,
    pub(super) size: u64,
}

pub(super) fn save(dir: &Path, rows: &[Row]) -> io::Result<()> {
    let mut out = Vec::with_capacity(HEAD + rows.len() * ROW + SUM);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&u32::try_from(rows.len()).map_err(io::Error::other)?.to_le_bytes());
    for row in rows {
        out.extend_from_slice(&row.key.blob);
        out.extend_from_slice(&row.key.row.to_le_bytes());
        out.extend_from_slice(&[row.queue as u8, row.uses]);
        out.extend_from_slice(&row.size.to_le_bytes());
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    let temporary = dir.join(format!("tmp-{}-{NAME}", std::process::id()));
    fs::write(&temporary, out)?;
    fs::rename(&temporary, dir.join(NAME))
}

/// The rows, or none when there is no such file or it is not whole.
pub(super) fn load(dir: &Path) -> Vec<Row> {
    fs::read(dir.join(NAME)).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default()
}

pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Row>> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    let (head, rows) = body.split_at_checked(HEAD)?;
    let version = u16::from_le_bytes(head[8..10].try_into().ok()?);
    if &head[..8] != MAGIC || version != VERSION || blake3::hash(body).as_bytes() != sum {
        return None;
    }
    rows.chunks_exact(ROW).map(row).collect()
}

fn row(bytes: &[u8]) -> Option<Row> {
    let queue = match bytes[34] {
        0 => Queue::Young,
        1 => Queue::Main,
        _ => return None,
    };
    let key = SliverKey { blob: bytes[..32].try_into().ok()?, row: u16::from_le_bytes(bytes[32..34].try_into().ok()?) };
    Some(Row { key, queue, uses: bytes[35], size: u64::from_le_bytes(bytes[36..44].try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let rows: Vec<_> = (0..5_u8)
            .map(|n| Row {
                key: SliverKey { blob: [n; 32], row: u16::from(n) * 300 },
                queue: if n < 2 { Queue::Young } else { Queue::Main },
                uses: n % 4,
                size: u64::from(n) << 33,
            })
            .collect();
        assert!(load(dir.path()).is_empty());
        save(dir.path(), &rows).unwrap();
        assert_eq!(load(dir.path()), rows);
        let whole = fs::read(dir.path().join(NAME)).unwrap();
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            assert!(parse(&wrong).is_none(), "a flip at {at}");
            assert!(parse(&whole[..at]).is_none(), "cut at {at}");
        }
    }
}
