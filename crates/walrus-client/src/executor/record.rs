//! The executor's folder: one file for each transaction that is not forgotten, and a lock.
//!
//! Mechanism: a record is written to a temporary file, fsynced, renamed, and the folder fsynced, so it is there whole or
//! not at all. A file is magic, version, blake2b-256 of the rest, and BCS.
//!
//! A record that cannot be read is an error, not a record to skip: it may be a transaction that is still under way.

use crate::chain::Effects;
use crate::error::{ClientError, ClientResult};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use sui_sdk_types::hash::Hasher;

const MAGIC: &[u8; 4] = b"wftx";
const VERSION: u8 = 1;
const HEADER: usize = 4 + 1 + 32;
/// No record is longer: a transaction is at most 128 KiB, its effects and intent likewise.
const MAX_RECORD: u64 = 4 << 20;

/// One signed transaction and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) ticket: u64,
    pub(super) intent: Vec<u8>,
    pub(super) transaction: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) settled: Option<Settled>,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Settled {
    /// Executed, with or without success.
    Final(Effects),
    /// It can never be executed.
    Dropped(String),
}

/// See the module.
pub(super) struct Store {
    dir: PathBuf,
    records: BTreeMap<u64, Record>,
    next: u64,
    _lock: File,
}

impl Store {
    pub(super) fn open(dir: &Path) -> ClientResult<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| ClientError::local(dir, error))?;
        let lock_path = dir.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| ClientError::local(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ClientError::Locked { path: lock_path }),
            Err(TryLockError::Error(error)) => return Err(ClientError::local(lock_path, error)),
        }
        let mut records = BTreeMap::new();
        for entry in fs::read_dir(dir).map_err(|error| ClientError::local(dir, error))? {
            let path = entry.map_err(|error| ClientError::local(dir, error))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("tx") => {
                    let record = read(&path)?;
                    records.insert(record.ticket, record);
                }
                // What a crash left before its rename was never sent.
                Some("tmp") => fs::remove_file(&path).map_err(|error| ClientError::local(&path, error))?,
                _ => {}
            }
        }
        let next = records.last_key_value().map_or(1, |(last, _)| last + 1);
        Ok(Self { dir: dir.to_owned(), records, next, _lock: lock })
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    pub(super) fn get(&self, ticket: u64) -> Option<&Record> {
        self.records.get(&ticket)
    }

    /// The oldest record that is not settled.
    pub(super) fn pending(&self) -> Option<&Record> {
        self.records.values().find(|record| record.settled.is_none())
    }

    /// Makes a signed transaction durable.
    pub(super) fn append(&mut self, intent: Vec<u8>, transaction: Vec<u8>, signature: Vec<u8>) -> ClientResult<u64> {
        let ticket = self.next;
        let record = Record { ticket, intent, transaction, signature, settled: None };
        self.write(&record)?;
        self.next += 1;
        self.records.insert(ticket, record);
        Ok(ticket)
    }

    /// Makes the end of a transaction durable.
    pub(super) fn settle(&mut self, ticket: u64, settled: Settled) -> ClientResult<()> {
        let Some(mut record) = self.records.get(&ticket).cloned() else { return Ok(()) };
        record.settled = Some(settled);
        // A record that nobody will ask for need not be durable: the file goes next.
        if !record.intent.is_empty() {
            self.write(&record)?;
        }
        self.records.insert(ticket, record);
        Ok(())
    }

    /// Removes the file of a settled record without intent, keeping what it says in memory for the running call.
    pub(super) fn forget_without_intent(&mut self, ticket: u64) -> ClientResult<()> {
        match self.records.get(&ticket) {
            Some(record) if record.settled.is_some() && record.intent.is_empty() => self.remove_file(ticket),
            _ => Ok(()),
        }
    }

    /// Removes a settled record; a pending one stays.
    pub(super) fn forget(&mut self, ticket: u64) -> ClientResult<()> {
        match self.records.get(&ticket) {
            Some(record) if record.settled.is_none() => {
                Err(ClientError::Invalid(format!("transaction {ticket} is still under way and cannot be forgotten")))
            }
            Some(_) => {
                self.remove_file(ticket)?;
                self.records.remove(&ticket);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn path(&self, ticket: u64) -> PathBuf {
        self.dir.join(format!("{ticket:016x}.tx"))
    }

    fn remove_file(&self, ticket: u64) -> ClientResult<()> {
        let path = self.path(ticket);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ClientError::local(path, error)),
            _ => Ok(()),
        }
    }

    fn write(&self, record: &Record) -> ClientResult<()> {
        let payload = bcs::to_bytes(record)
            .map_err(|error| ClientError::Invalid(format!("a transaction record cannot be serialized: {error}")))?;
        let path = self.path(record.ticket);
        let temporary = path.with_extension("tmp");
        let local = |error| ClientError::local(&path, error);
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary).map_err(local)?;
        file.write_all(MAGIC).map_err(local)?;
        file.write_all(&[VERSION]).map_err(local)?;
        file.write_all(Hasher::digest(&payload).as_ref()).map_err(local)?;
        file.write_all(&payload).map_err(local)?;
        file.sync_all().map_err(local)?;
        fs::rename(&temporary, &path).map_err(local)?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(local)
    }
}

fn read(path: &Path) -> ClientResult<Record> {
    let local = |error| ClientError::local(path, error);
    let damaged = |why: &str| {
        ClientError::Invalid(format!(
            "{} is damaged ({why}): it may hold a transaction that is under way. Restore it, or remove it when the \
             wallet's last transaction is known to be final",
            path.display()
        ))
    };
    if fs::metadata(path).map_err(local)?.len() > MAX_RECORD {
        return Err(damaged("too long"));
    }
    let bytes = fs::read(path).map_err(local)?;
    let Some((header, payload)) = bytes.split_at_checked(HEADER) else { return Err(damaged("too short")) };
    if &header[..4] != MAGIC {
        return Err(damaged("not a transaction record"));
    }
    if header[4] != VERSION {
        return Err(damaged("written by another version of the program"));
    }
    let digest: &[u8] = &header[5..];
    if Hasher::digest(payload).as_ref() as &[u8] != digest {
        return Err(damaged("its checksum is wrong"));
    }
    bcs::from_bytes(payload).map_err(|error| damaged(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_reopening_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(ClientError::Locked { .. })));
        let first = store.append(b"intent".to_vec(), vec![1; 10], vec![2; 97]).unwrap();
        let second = store.append(b"other".to_vec(), vec![3; 10], vec![4; 97]).unwrap();
        assert!(store.forget(first).is_err(), "a pending record must not be forgotten");
        store.settle(first, Settled::Dropped("gone".into())).unwrap();
        drop(store);
        fs::write(dir.path().join("0000.tmp"), b"half").unwrap();

        let mut store = Store::open(dir.path()).unwrap();
        assert_eq!(store.records().map(|r| r.ticket).collect::<Vec<_>>(), [first, second]);
        assert_eq!(store.get(first).unwrap().settled, Some(Settled::Dropped("gone".into())));
        assert_eq!(store.pending().unwrap().intent, b"other");
        assert!(store.append(Vec::new(), Vec::new(), Vec::new()).unwrap() > second);
        store.forget(first).unwrap();
        drop(store);

        let path = dir.path().join(format!("{second:016x}.tx"));
        let good = fs::read(&path).unwrap();
        for at in [0, 4, 7, HEADER + 3, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(Store::open(dir.path()).err().unwrap().to_string().contains("damaged"), "byte {at}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(Store::open(dir.path()).is_err());
    }
}
