//! What a machine keeps of its drives beside the wallet: key files, and the highest sequence seen.
//!
//! Both lie in the keys folder, not in the state folder: they are what another machine needs, and forgetting the state
//! must not make a machine believe an old Drive. A server that is not trusted can serve an old state of a Drive, seal
//! and all; the sequence kept here is what tells (docs/security.md).
//!
//! Promises: a key file is durable before this returns; the kept sequence never goes down, also when several
//! processes write. Files have mode 0600, the folder 0700.

use crate::crypto::slots::KeyFile;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{DriveUid, Sequence};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The highest state of a drive that this machine has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its sequence.
    pub sequence: Sequence,
    /// BLAKE3 of its seal: two different states of one sequence cannot both be the chain's.
    pub seal: [u8; 32],
}

const SEEN_MARK: &str = "walrusfs-seen-1";

/// No file here is longer, bytes.
const MAX_FILE: u64 = 4096;

/// The keys folder.
#[derive(Clone, Debug)]
pub struct KeysFolder(PathBuf);

impl KeysFolder {
    /// The folder at `path`, made (mode 0700) when it does not exist.
    pub fn open(path: &Path) -> FsResult<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| local(path, error))?;
        Ok(Self(path.to_owned()))
    }

    /// Where the key file of drive `uid` lies.
    pub fn key_path(&self, uid: &DriveUid) -> PathBuf {
        self.0.join(format!("{uid}.key"))
    }

    /// Whether there is a key file of any drive.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn has_drive_keys(&self) -> FsResult<bool> {
        let entries = std::fs::read_dir(&self.0).map_err(|error| local(&self.0, error))?;
        // `UID.key`, beside `wallet.key`.
        let of_a_drive = |name: &str| name.strip_suffix(".key").is_some_and(|uid| hex::decode(uid).is_ok());
        Ok(entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(of_a_drive)))
    }

    /// The key file of drive `uid`, if there is one.
    pub fn key_file(&self, uid: &DriveUid) -> FsResult<Option<KeyFile>> {
        read_key_file(&self.key_path(uid))
    }

    /// Stores the key file of a new drive; fails if there is one.
    pub fn store_key_file(&self, uid: &DriveUid, key: &KeyFile) -> FsResult<PathBuf> {
        let path = self.key_path(uid);
        write_key_file(&path, key)?;
        Ok(path)
    }

    /// The highest state of drive `uid` that was seen here.
    pub fn seen(&self, uid: &DriveUid) -> FsResult<Option<Seen>> {
        let path = self.seen_path(uid);
        let Some(text) = read(&path)? else { return Ok(None) };
        let seen = parse_seen(&text).ok_or_else(|| {
            FsError::new(
                Kind::Corrupt,
                format!(
                    "{}: damaged, so that an old state of the drive could not be told from the newest; remove the file if \
                     you trust the servers to give you the newest",
                    path.display()
                ),
            )
        })?;
        Ok(Some(seen))
    }

    /// Refuses `found` when it is older than what was seen here, or another state of the same sequence; otherwise keeps
    /// it. [`Kind::Stale`] when it is refused.
    pub fn witness(&self, uid: &DriveUid, found: Seen) -> FsResult<()> {
        let lock_path = self.0.join("seen.lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| local(&lock_path, error))?;
        lock.lock().map_err(|error| local(&lock_path, error))?;
        match self.seen(uid)? {
            Some(seen) if found.sequence < seen.sequence => Err(FsError::new(
                Kind::Stale,
                format!(
                    "the server answers with sequence {} of the drive, but {} was seen already: it serves an old state; \
                     ask another server",
                    found.sequence, seen.sequence
                ),
            )),
            Some(seen) if found.sequence == seen.sequence && found.seal != seen.seal => Err(FsError::new(
                Kind::Stale,
                format!(
                    "the server answers with another state of sequence {} than was seen before: only one can be the chain's; \
                     ask another server",
                    found.sequence
                ),
            )),
            Some(seen) if found == seen => Ok(()),
            _ => {
                let text = format!("{SEEN_MARK} {} {}\n", found.sequence, hex::encode(found.seal));
                replace(&self.seen_path(uid), text.as_bytes())
            }
        }
    }

    fn seen_path(&self, uid: &DriveUid) -> PathBuf {
        self.0.join(format!("{uid}.seen"))
    }
}

/// Reads the key file at `path`, if there is one.
pub fn read_key_file(path: &Path) -> FsResult<Option<KeyFile>> {
    let Some(text) = read(path)? else { return Ok(None) };
    match KeyFile::parse(&text) {
        Ok(key) => Ok(Some(key)),
        Err(error) => Err(FsError::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// Writes a new key file, mode 0600, durable when this returns; fails if `path` exists.
pub fn write_key_file(path: &Path, key: &KeyFile) -> FsResult<()> {
    let write = || {
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(key.to_text().as_bytes())?;
        file.sync_all()?;
        sync_folder(path)
    };
    write().map_err(|error| local(path, error))
}

fn parse_seen(text: &str) -> Option<Seen> {
    let mut words = text.split_ascii_whitespace();
    if words.next()? != SEEN_MARK {
        return None;
    }
    let sequence = Sequence(words.next()?.parse().ok()?);
    let mut seal = [0; 32];
    hex::decode_to_slice(words.next()?, &mut seal).ok()?;
    words.next().is_none().then_some(Seen { sequence, seal })
}

fn read(path: &Path) -> FsResult<Option<Zeroizing<String>>> {
    use io::Read;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(local(path, error)),
    };
    let mut text = Zeroizing::new(String::with_capacity(256));
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| local(path, error))?;
    Ok(Some(text))
}

fn replace(path: &Path, bytes: &[u8]) -> FsResult<()> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        sync_folder(path)
    };
    write().map_err(|error| local(path, error))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn local(path: &Path, error: io::Error) -> FsError {
    let kind = FsError::from(io::Error::from(error.kind())).kind();
    let kind = if error.raw_os_error() == Some(libc::ENOSPC) { Kind::DiskFull } else { kind };
    FsError::new(kind, format!("{}: {error}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::SeededRandom;
    use std::os::unix::fs::PermissionsExt;

    const UID: DriveUid = DriveUid([1; 32]);

    fn seen(sequence: u64, seal: u8) -> Seen {
        Seen { sequence: Sequence(sequence), seal: [seal; 32] }
    }

    #[test]
    fn the_highest_sequence_never_goes_down() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeysFolder::open(dir.path()).unwrap();
        assert_eq!(folder.seen(&UID).unwrap(), None);
        folder.witness(&UID, seen(5, 1)).unwrap();
        folder.witness(&UID, seen(5, 1)).unwrap();
        assert_eq!(folder.witness(&UID, seen(4, 1)).unwrap_err().kind(), Kind::Stale);
        assert_eq!(folder.witness(&UID, seen(5, 2)).unwrap_err().kind(), Kind::Stale);
        folder.witness(&UID, seen(9, 2)).unwrap();
        let again = KeysFolder::open(dir.path()).unwrap();
        assert_eq!(again.seen(&UID).unwrap(), Some(seen(9, 2)));
        assert_eq!(again.witness(&UID, seen(8, 2)).unwrap_err().kind(), Kind::Stale);
        again.witness(&DriveUid([2; 32]), seen(1, 1)).unwrap();
    }

    #[test]
    fn a_damaged_record_is_an_error_and_not_a_fresh_start() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeysFolder::open(dir.path()).unwrap();
        folder.witness(&UID, seen(5, 1)).unwrap();
        for damage in ["", "walrusfs-seen-1 5", "walrusfs-seen-1 x 00", "walrusfs-seen-2 5 00"] {
            std::fs::write(folder.seen_path(&UID), damage).unwrap();
            assert_eq!(folder.witness(&UID, seen(6, 1)).unwrap_err().kind(), Kind::Corrupt, "{damage}");
        }
    }

    #[test]
    fn key_files_are_private_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeysFolder::open(&dir.path().join("keys")).unwrap();
        assert!(folder.key_file(&UID).unwrap().is_none());
        let key = KeyFile::generate(&SeededRandom::new(1));
        let path = folder.store_key_file(&UID, &key).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(*folder.key_file(&UID).unwrap().unwrap().to_text(), *key.to_text());
        assert!(folder.store_key_file(&UID, &key).is_err());
        std::fs::write(&path, "nonsense").unwrap();
        assert!(folder.key_file(&UID).is_err());
    }
}
