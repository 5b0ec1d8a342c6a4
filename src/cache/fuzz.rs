//! The cache's parsers on bytes of an attacker's choice: for `fuzz/targets` only.

use super::sliver_file::{Patience, SliverFile};
use super::{Sliver, SliverKey, order, sizes, sliver_file};
use std::path::Path;

/// `bytes` as a sliver's file, as the file of the order and as that of the lengths, in the folder `scratch`; the first byte says
/// whether they get the checksum that they should have.
pub fn parse(scratch: &Path, bytes: &[u8]) {
    let [sound, bytes @ ..] = bytes else { return };
    let mut file = bytes.to_vec();
    let summed = |bytes: &[u8]| [bytes, blake3::hash(bytes).as_bytes()].concat();
    if sound & 1 == 1 {
        file = summed(bytes);
    }
    let _ = (order::parse(&file), sizes::parse(&file));
    if let Ok(name) = std::str::from_utf8(bytes)
        && let Some(key) = sliver_file::parse_name(name)
    {
        assert!(sliver_file::parse_name(&sliver_file::name(key)) == Some(key));
    }
    let path = scratch.join("sliver");
    let key = SliverKey { blob: [7; 32], row: 3 };
    if std::fs::write(&path, &file).is_ok()
        && let Ok(open) = SliverFile::open(&path, key, Patience::Any)
    {
        let _ = (
            open.verified(),
            open.read(0..bytes.len(), false, Patience::Any),
            open.read(0..bytes.len(), true, Patience::None),
        );
    }
}

/// A sliver's file that was written, damaged at one place or cut: what it gives is what was written, or an error.
///
/// # Panics
/// When it gives other bytes.
pub fn damage(scratch: &Path, script: &[u8]) {
    let [place, bit, bytes @ ..] = script else { return };
    let (path, key) = (scratch.join("written"), SliverKey { blob: [7; 32], row: 3 });
    let sliver = Sliver { bytes: bytes.to_vec().into(), verified: true };
    let _ = std::fs::remove_file(&path);
    if sliver_file::write(&path, key, &sliver).is_err() {
        return;
    }
    let Ok(mut file) = std::fs::read(&path) else { return };
    let at = usize::from(*place) * file.len() / 256;
    match bit {
        0 => file.truncate(at),
        _ => file[at] ^= bit,
    }
    if std::fs::write(&path, file).is_ok()
        && let Ok(open) = SliverFile::open(&path, key, Patience::Any)
        && let Ok(Some(read)) = open.read(0..bytes.len(), false, Patience::Any)
    {
        assert_eq!(read, bytes);
    }
}
