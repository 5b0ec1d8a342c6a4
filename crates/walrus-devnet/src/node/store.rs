//! What a node has on disk: one file for each blob, with its metadata and the slivers of the node's shards.
//!
//! Why one file: a blob has up to hundreds of slivers on a node, and a confirmation is a promise that must survive power loss;
//! one file means one `fdatasync` before signing and one `unlink` when the last registration of the blob ends.
//!
//! Mechanism: the file is a header and records, appended one after the other:
//!
//! ```text
//! file    "WLRSNODE", version u32, zero u32                                                    16 bytes, little-endian
//! record  kind u8, zero u8, pair u16, length u32, BLAKE3 of the payload [16], BLAKE3 of these 24 bytes [16], payload
//! kind    0 metadata, 1 primary sliver, 2 secondary sliver, 3 dropped
//! ```
//!
//! A payload is the BCS that travels, so serving it is one read. The record's header is written after its payload: a process
//! killed between the two leaves bytes that no header covers, which the next opening cuts off. A later record of the same
//! sliver replaces an earlier one; the space of a dropped payload is given back by punching a hole.
//!
//! Promises: what [`BlobFile::sync`] returned for survives power loss, everything else survives `kill -9`. A payload whose
//! checksum is wrong is never returned: it is dropped, and reported as missing.
//!
//! Assumes: one process per directory. Must never keep files open between calls: a hundred nodes share one process's limit.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{FallocateFlags, fallocate};
use parking_lot::Mutex;
use redstuff::{Axis, BlobId, PairIndex};

const MAGIC: &[u8; 8] = b"WLRSNODE";
const VERSION: u32 = 1;
const FILE_HEADER: u64 = 16;
const RECORD_HEADER: usize = 40;
/// How many blobs' record tables are kept in memory before idle ones are forgotten (about 5 KiB each at 200 slivers).
const TABLES: usize = 256;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Metadata,
    Sliver(Axis, u16),
}

impl Key {
    fn kind_and_pair(self) -> (u8, u16) {
        match self {
            Self::Metadata => (0, 0),
            Self::Sliver(Axis::Primary, pair) => (1, pair),
            Self::Sliver(Axis::Secondary, pair) => (2, pair),
        }
    }
}

const DROPPED: u8 = 3;

/// Where a payload lies.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// Of its header.
    offset: u64,
    length: u32,
    sum: [u8; 16],
    /// Whether this process wrote it or compared its checksum.
    checked: bool,
}

/// The blobs of one node.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    files: Mutex<HashMap<BlobId, Arc<BlobFile>>>,
    damaged: Arc<AtomicU64>,
}

impl Store {
    /// Opens the store in `dir`, which is made if it is missing.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned(), files: Mutex::default(), damaged: Arc::default() })
    }

    /// The file of blob `id`, whether it exists or not. All callers share one handle while anyone holds it.
    pub(crate) fn blob(&self, id: &BlobId) -> Arc<BlobFile> {
        let mut files = self.files.lock();
        if let Some(file) = files.get(id) {
            return file.clone();
        }
        if files.len() >= TABLES {
            // A handle that somebody holds must stay: two handles of one file would append over each other.
            files.retain(|_, file| Arc::strong_count(file) > 1);
        }
        let file = Arc::new(BlobFile {
            path: self.dir.join(id.to_string()),
            table: Mutex::default(),
            damaged: self.damaged.clone(),
        });
        files.insert(*id, file.clone());
        file
    }

    /// Every blob that has a file.
    pub(crate) fn ids(&self) -> io::Result<Vec<BlobId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            if let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// Payloads that were found damaged since the store was opened.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }
}

/// The file of one blob.
#[derive(Debug)]
pub(crate) struct BlobFile {
    path: PathBuf,
    table: Mutex<Table>,
    damaged: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Table {
    loaded: bool,
    records: BTreeMap<Key, Record>,
    /// Where the next record goes; 0 while there is no file.
    end: u64,
    /// Up to where the file is known to be on the medium.
    synced: u64,
    /// Whether the file's name is known to be on the medium.
    name_synced: bool,
}

impl BlobFile {
    /// Stores the metadata. False if there was one already.
    pub(crate) fn put_metadata(&self, bcs: &[u8]) -> io::Result<bool> {
        self.put(Key::Metadata, bcs)
    }

    /// Stores a sliver. False if it was there already; [`ErrorKind::NotFound`] if there is no metadata: then the blob was never
    /// registered, or was deleted while the sliver was being verified.
    pub(crate) fn put_sliver(&self, axis: Axis, pair: PairIndex, bcs: &[u8]) -> io::Result<bool> {
        self.put(Key::Sliver(axis, pair.get()), bcs)
    }

    /// The metadata.
    pub(crate) fn metadata(&self) -> io::Result<Option<Vec<u8>>> {
        self.get(Key::Metadata)
    }

    /// A sliver.
    pub(crate) fn sliver(&self, axis: Axis, pair: PairIndex) -> io::Result<Option<Vec<u8>>> {
        self.get(Key::Sliver(axis, pair.get()))
    }

    /// Whether the metadata is recorded.
    pub(crate) fn has_metadata(&self) -> io::Result<bool> {
        self.has(Key::Metadata)
    }

    /// Whether the sliver is recorded.
    pub(crate) fn has_sliver(&self, axis: Axis, pair: PairIndex) -> io::Result<bool> {
        self.has(Key::Sliver(axis, pair.get()))
    }

    /// Which of these slivers are not here. What an earlier process wrote is read and compared with its checksum first: after
    /// a power loss a header may have reached the medium without its payload.
    pub(crate) fn missing(
        &self,
        wanted: impl IntoIterator<Item = (Axis, PairIndex)>,
    ) -> io::Result<Vec<(Axis, PairIndex)>> {
        let mut missing = Vec::new();
        for (axis, pair) in wanted {
            let key = Key::Sliver(axis, pair.get());
            let record = self.loaded()?.records.get(&key).copied();
            let present = match record {
                None => false,
                Some(record) if record.checked => true,
                Some(_) => self.get(key)?.is_some(),
            };
            if !present {
                missing.push((axis, pair));
            }
        }
        Ok(missing)
    }

    /// Makes everything stored before this call survive power loss.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let (end, name_synced) = {
            let table = self.loaded()?;
            if table.synced == table.end {
                return Ok(());
            }
            (table.end, table.name_synced)
        };
        // Outside the lock: others go on reading and appending meanwhile.
        File::open(&self.path)?.sync_data()?;
        if !name_synced {
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        }
        let mut table = self.table.lock();
        table.synced = table.synced.max(end.min(table.end));
        table.name_synced = true;
        Ok(())
    }

    /// Removes the file if `unwanted` still says so once nobody else can change it. False if it was wanted or not there.
    pub(crate) fn remove_if<E: From<io::Error>>(&self, unwanted: impl FnOnce() -> Result<bool, E>) -> Result<bool, E> {
        let mut table = self.table.lock();
        if !unwanted()? {
            return Ok(false);
        }
        *table = Table { loaded: true, ..Table::default() };
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops the slivers of pairs that `keep` refuses; how many.
    pub(crate) fn retain(&self, keep: impl Fn(PairIndex) -> bool) -> io::Result<usize> {
        let mut table = self.loaded()?;
        let gone: Vec<Key> = table
            .records
            .keys()
            .copied()
            .filter(|key| matches!(key, Key::Sliver(_, pair) if !keep(PairIndex::new(*pair))))
            .collect();
        for key in &gone {
            self.drop_record(&mut table, *key)?;
        }
        Ok(gone.len())
    }

    /// Flips bits in the stored payload of every sliver, behind the table's back, as a failing disk would. How many slivers.
    pub(crate) fn damage(&self) -> io::Result<u64> {
        let records: Vec<Record> = {
            let table = self.loaded()?;
            let slivers = table.records.iter().filter(|(key, _)| matches!(key, Key::Sliver(..)));
            slivers.map(|(_, record)| *record).collect()
        };
        if records.is_empty() {
            return Ok(0);
        }
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        for record in &records {
            let middle = record.offset + RECORD_HEADER as u64 + u64::from(record.length / 2);
            let mut byte = [0];
            file.read_exact_at(&mut byte, middle)?;
            file.write_all_at(&[byte[0] ^ 0x55], middle)?;
        }
        Ok(records.len() as u64)
    }

    fn has(&self, key: Key) -> io::Result<bool> {
        Ok(self.loaded()?.records.contains_key(&key))
    }

    fn put(&self, key: Key, payload: &[u8]) -> io::Result<bool> {
        let length = u32::try_from(payload.len()).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
        let sum = checksum(payload);
        let mut table = self.loaded()?;
        if table.records.contains_key(&key) {
            return Ok(false);
        }
        if key != Key::Metadata && !table.records.contains_key(&Key::Metadata) {
            return Err(io::Error::new(ErrorKind::NotFound, "slivers are stored after their metadata"));
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        if table.end == 0 {
            let mut header = [0; FILE_HEADER as usize];
            header[..8].copy_from_slice(MAGIC);
            header[8..12].copy_from_slice(&VERSION.to_le_bytes());
            file.set_len(0)?;
            file.write_all_at(&header, 0)?;
            table.end = FILE_HEADER;
            table.synced = 0;
        }
        let offset = table.end;
        file.write_all_at(payload, offset + RECORD_HEADER as u64)?;
        let (kind, pair) = key.kind_and_pair();
        file.write_all_at(&record_header(kind, pair, length, &sum), offset)?;
        table.end = offset + RECORD_HEADER as u64 + u64::from(length);
        table.records.insert(key, Record { offset, length, sum, checked: true });
        Ok(true)
    }

    fn get(&self, key: Key) -> io::Result<Option<Vec<u8>>> {
        let Some(record) = self.loaded()?.records.get(&key).copied() else { return Ok(None) };
        let mut payload = vec![0; record.length as usize];
        let read = File::open(&self.path)
            .and_then(|file| file.read_exact_at(&mut payload, record.offset + RECORD_HEADER as u64));
        match read {
            Ok(()) if checksum(&payload) == record.sum => {
                if !record.checked
                    && let Some(known) = self.table.lock().records.get_mut(&key).filter(|r| r.offset == record.offset)
                {
                    known.checked = true;
                }
                Ok(Some(payload))
            }
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Err(error),
            _ => {
                let mut table = self.loaded()?;
                // Unless it was replaced or removed meanwhile.
                if table.records.get(&key).is_some_and(|known| known.offset == record.offset) {
                    tracing::warn!(file = %self.path.display(), ?key, "a stored payload is damaged; it is dropped");
                    self.damaged.fetch_add(1, Ordering::Relaxed);
                    self.drop_record(&mut table, key)?;
                }
                Ok(None)
            }
        }
    }

    /// Marks a record as dropped and gives its space back.
    fn drop_record(&self, table: &mut Table, key: Key) -> io::Result<()> {
        let Some(record) = table.records.remove(&key) else { return Ok(()) };
        let file = match OpenOptions::new().write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                *table = Table { loaded: true, ..Table::default() };
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let (_, pair) = key.kind_and_pair();
        file.write_all_at(&record_header(DROPPED, pair, record.length, &record.sum), record.offset)?;
        let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let start = i64::try_from(record.offset + RECORD_HEADER as u64).map_err(io::Error::other)?;
        if record.length > 0
            && let Err(error) = fallocate(&file, punch, start, i64::from(record.length))
            && !matches!(error, nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS)
        {
            return Err(error.into());
        }
        Ok(())
    }

    /// The table, read from the file at first use.
    fn loaded(&self) -> io::Result<parking_lot::MutexGuard<'_, Table>> {
        let mut table = self.table.lock();
        if !table.loaded {
            *table = self.load()?;
        }
        Ok(table)
    }

    fn load(&self) -> io::Result<Table> {
        let mut table = Table { loaded: true, ..Table::default() };
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(table),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let mut header = [0; FILE_HEADER as usize];
        if length < FILE_HEADER {
            return Ok(table);
        }
        file.read_exact_at(&mut header, 0)?;
        if header[..8] != *MAGIC || header[8..12] != VERSION.to_le_bytes() {
            let what = format!("{}: not a blob file of this version", self.path.display());
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        table.end = FILE_HEADER;
        let mut header = [0; RECORD_HEADER];
        while table.end + RECORD_HEADER as u64 <= length {
            file.read_exact_at(&mut header, table.end)?;
            let Some((kind, pair, payload, sum)) = parse_record_header(&header) else { break };
            let next = table.end + RECORD_HEADER as u64 + u64::from(payload);
            if next > length {
                break;
            }
            let key = match kind {
                0 => Some(Key::Metadata),
                1 => Some(Key::Sliver(Axis::Primary, pair)),
                2 => Some(Key::Sliver(Axis::Secondary, pair)),
                _ => None,
            };
            if let Some(key) = key {
                table.records.insert(key, Record { offset: table.end, length: payload, sum, checked: false });
            }
            table.end = next;
        }
        if table.end < length {
            // The tail of a write that was interrupted. It must go: its bytes came from outside and could look like records.
            file.set_len(table.end)?;
        }
        Ok(table)
    }
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    let mut sum = [0; 16];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    sum
}

fn record_header(kind: u8, pair: u16, length: u32, sum: &[u8; 16]) -> [u8; RECORD_HEADER] {
    let mut header = [0; RECORD_HEADER];
    header[0] = kind;
    header[2..4].copy_from_slice(&pair.to_le_bytes());
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..24].copy_from_slice(sum);
    let check = checksum(&header[..24]);
    header[24..].copy_from_slice(&check);
    header
}

fn parse_record_header(header: &[u8; RECORD_HEADER]) -> Option<(u8, u16, u32, [u8; 16])> {
    if header[24..] != checksum(&header[..24]) || header[0] > DROPPED {
        return None;
    }
    let pair = u16::from_le_bytes([header[2], header[3]]);
    let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    let mut sum = [0; 16];
    sum.copy_from_slice(&header[8..24]);
    Some((header[0], pair, length, sum))
}

/// Replaces a small file: written beside it, made durable, then renamed over it.
pub(crate) fn replace_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let file = File::create(&temporary)?;
    file.write_all_at(contents, 0)?;
    file.sync_data()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: BlobId = BlobId([7; 32]);
    const P: Axis = Axis::Primary;
    const S: Axis = Axis::Secondary;

    fn pair(index: u16) -> PairIndex {
        PairIndex::new(index)
    }

    fn filled(dir: &Path) -> Arc<BlobFile> {
        let file = Store::open(dir).unwrap().blob(&ID);
        assert!(file.put_metadata(b"metadata").unwrap());
        assert!(file.put_sliver(P, pair(3), &[1; 5000]).unwrap());
        assert!(file.put_sliver(S, pair(3), &[2; 9000]).unwrap());
        file
    }

    #[test]
    fn what_was_stored_is_found_by_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = filled(dir.path());
        assert!(!file.put_sliver(P, pair(3), &[9; 5000]).unwrap(), "already stored");
        file.sync().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.ids().unwrap(), [ID]);
        let file = store.blob(&ID);
        assert_eq!(file.metadata().unwrap().unwrap(), b"metadata");
        assert_eq!(file.sliver(P, pair(3)).unwrap().unwrap(), [1; 5000]);
        assert_eq!(file.sliver(S, pair(3)).unwrap().unwrap(), [2; 9000]);
        assert_eq!(file.sliver(S, pair(4)).unwrap(), None);
        assert_eq!(file.missing([(P, pair(3)), (S, pair(4))]).unwrap(), [(S, pair(4))]);
    }

    #[test]
    fn a_file_cut_anywhere_keeps_every_whole_record() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let path = dir.path().join(ID.to_string());
        let whole = fs::read(&path).unwrap();
        let ends = [16 + 40 + 8, 16 + 40 + 8 + 40 + 5000, whole.len()];
        for cut in (0..whole.len()).step_by(97).chain(ends) {
            fs::write(&path, &whole[..cut]).unwrap();
            let file = Store::open(dir.path()).unwrap().blob(&ID);
            let held = [
                file.metadata().unwrap().is_some(),
                file.sliver(P, pair(3)).unwrap().is_some(),
                file.sliver(S, pair(3)).unwrap().is_some(),
            ];
            assert_eq!(held, ends.map(|end| cut >= end), "cut at {cut}");
            // And it can be completed.
            file.put_metadata(b"metadata").unwrap();
            file.put_sliver(P, pair(3), &[1; 5000]).unwrap();
            file.put_sliver(S, pair(3), &[2; 9000]).unwrap();
            let file = Store::open(dir.path()).unwrap().blob(&ID);
            assert_eq!(file.sliver(S, pair(3)).unwrap().unwrap(), [2; 9000]);
        }
    }

    #[test]
    fn bytes_of_an_interrupted_write_never_become_records() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let path = dir.path().join(ID.to_string());
        // The payload of a record without a header holds what looks like a record.
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(&[0; RECORD_HEADER]);
        bytes.extend_from_slice(&[0; 24]);
        bytes.extend_from_slice(&record_header(1, 5, 4, &checksum(b"evil")));
        bytes.extend_from_slice(b"evil");
        fs::write(&path, &bytes).unwrap();
        let file = Store::open(dir.path()).unwrap().blob(&ID);
        // Exactly as long as what precedes the forged record.
        file.put_sliver(P, pair(4), &[3; 24]).unwrap();
        let file = Store::open(dir.path()).unwrap().blob(&ID);
        assert_eq!(file.sliver(P, pair(4)).unwrap().unwrap(), [3; 24]);
        assert_eq!(file.sliver(P, pair(5)).unwrap(), None);
    }

    #[test]
    fn damage_is_noticed_and_can_be_repaired() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let store = Store::open(dir.path()).unwrap();
        let file = store.blob(&ID);
        assert_eq!(file.damage().unwrap(), 2);
        assert_eq!(file.missing([(P, pair(3)), (S, pair(3))]).unwrap(), [(P, pair(3)), (S, pair(3))]);
        assert_eq!(store.damaged(), 2);
        assert!(file.put_sliver(P, pair(3), &[1; 5000]).unwrap());
        assert_eq!(file.sliver(P, pair(3)).unwrap().unwrap(), [1; 5000]);
        let file = Store::open(dir.path()).unwrap().blob(&ID);
        assert_eq!(file.sliver(P, pair(3)).unwrap().unwrap(), [1; 5000]);
        assert_eq!(file.sliver(S, pair(3)).unwrap(), None);
    }

    #[test]
    fn removal_asks_once_more_and_frees_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let file = filled(dir.path());
        assert!(!file.remove_if(|| Ok::<_, io::Error>(false)).unwrap());
        assert_eq!(file.retain(|pair| pair.get() != 3).unwrap(), 2);
        assert_eq!(file.sliver(P, pair(3)).unwrap(), None);
        assert!(file.has_metadata().unwrap());
        assert!(file.remove_if(|| Ok::<_, io::Error>(true)).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(file.put_metadata(b"again").unwrap());
        assert_eq!(file.metadata().unwrap().unwrap(), b"again");
    }

    #[test]
    fn a_file_of_another_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(ID.to_string()), [0x41; 64]).unwrap();
        assert!(Store::open(dir.path()).unwrap().blob(&ID).metadata().is_err());
    }
}
