//! The durable state of the chain: one redb file.
//!
//! Mechanism: objects by id (newest version only), an index of owned and child objects, transactions with their effects and
//! events, checkpoints, the event log, and an index of blob registrations. The executor holds the only [`Batch`]; a batch becomes
//! visible and durable in one step ([`Batch::commit`] returns after fsync). Readers take a [`Snapshot`].
//!
//! Promises: a snapshot never changes and never sees half a batch. Assumes: keys and values were written by this module; a value that
//! does not decode is reported as damage, never a panic.

use std::ops::RangeInclusive;
use std::path::Path;

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sui_sdk_types::{
    Address, BalanceChange, CheckpointContents, CheckpointSummary, Digest, Event, Object, ObjectType, Owner, StructTag,
    Transaction, TransactionEffects,
};

const OBJECTS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("objects");
const OWNED: TableDefinition<&[u8], &[u8]> = TableDefinition::new("owned");
const TRANSACTIONS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("transactions");
const CHECKPOINTS: TableDefinition<u64, &[u8]> = TableDefinition::new("checkpoints");
const CHECKPOINT_DIGESTS: TableDefinition<&[u8; 32], u64> = TableDefinition::new("checkpoint_digests");
const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
const BLOBS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("blobs");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// The store's version; a file of another version is refused.
const FORMAT: u32 = 1;
const FORMAT_KEY: &str = "format";

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("database: {0}")]
    Database(Box<redb::Error>),
    #[error("damaged record in {0}: {1}")]
    Damaged(&'static str, bcs::Error),
    #[error("store has format {0}, this program writes {FORMAT}")]
    Format(u32),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

fn db<E: Into<redb::Error>>(error: E) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}

fn decode<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    bcs::from_bytes(bytes).map_err(|error| StoreError::Damaged(table, error))
}

fn encode<T: Serialize>(table: &'static str, value: &T) -> Result<Vec<u8>, StoreError> {
    bcs::to_bytes(value).map_err(|error| StoreError::Damaged(table, error))
}

/// An executed transaction as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredTransaction {
    pub(crate) transaction: Transaction,
    /// Flag, signature, public key; empty for transactions of the chain itself.
    pub(crate) signatures: Vec<Vec<u8>>,
    pub(crate) effects: TransactionEffects,
    pub(crate) events: Vec<Event>,
    pub(crate) checkpoint: u64,
    pub(crate) timestamp_ms: u64,
    pub(crate) balance_changes: Vec<BalanceChange>,
    /// Types of the changed objects, in the order of the effects.
    pub(crate) object_types: Vec<(Address, String)>,
}

/// A checkpoint as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredCheckpoint {
    pub(crate) summary: CheckpointSummary,
    pub(crate) contents: CheckpointContents,
    pub(crate) digest: Digest,
}

/// One entry of the event log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredEvent {
    pub(crate) checkpoint: u64,
    pub(crate) timestamp_ms: u64,
    pub(crate) transaction: Digest,
    pub(crate) index: u64,
    pub(crate) event: Event,
}

/// One registration of a blob, as the events tell it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BlobRecord {
    pub(crate) pool: Option<Address>,
    pub(crate) unencoded_size: u64,
    pub(crate) encoding_type: u8,
    pub(crate) deletable: bool,
    pub(crate) registered_epoch: u32,
    pub(crate) certified_epoch: Option<u32>,
    /// Of the blob's own storage; 0 for pooled blobs, whose pool knows.
    pub(crate) end_epoch: u32,
    pub(crate) event: u64,
    pub(crate) event_transaction: Digest,
    pub(crate) event_index: u64,
}

/// Anything that objects can be read from.
pub(crate) trait ObjectSource {
    /// The newest version of an object.
    fn object(&self, id: &Address) -> Result<Option<Object>, StoreError>;
}

/// The open file.
pub(crate) struct Store {
    db: Database,
}

impl Store {
    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Database::builder().set_cache_size(32 << 20).create(path).map_err(db)?;
        let store = Self { db };
        let batch = store.batch()?;
        batch.create_tables()?;
        match batch.meta::<u32>(FORMAT_KEY)? {
            None => batch.set_meta(FORMAT_KEY, &FORMAT)?,
            Some(FORMAT) => {}
            Some(other) => return Err(StoreError::Format(other)),
        }
        batch.commit()?;
        Ok(store)
    }

    /// Begins to write. There is one writer at a time: a second caller waits.
    pub(crate) fn batch(&self) -> Result<Batch, StoreError> {
        Ok(Batch { txn: self.db.begin_write().map_err(db)? })
    }

    /// The present state, to read from.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let txn = self.db.begin_read().map_err(db)?;
        Ok(Snapshot {
            objects: txn.open_table(OBJECTS).map_err(db)?,
            owned: txn.open_table(OWNED).map_err(db)?,
            transactions: txn.open_table(TRANSACTIONS).map_err(db)?,
            checkpoints: txn.open_table(CHECKPOINTS).map_err(db)?,
            checkpoint_digests: txn.open_table(CHECKPOINT_DIGESTS).map_err(db)?,
            events: txn.open_table(EVENTS).map_err(db)?,
            blobs: txn.open_table(BLOBS).map_err(db)?,
            meta: txn.open_table(META).map_err(db)?,
        })
    }
}

/// Key of the index of owned objects: kind of owner, owner, object.
fn owned_key(owner: &Owner, id: &Address) -> Option<[u8; 65]> {
    let (kind, owner) = match owner {
        Owner::Address(address) => (0, address),
        Owner::Object(parent) => (1, parent),
        _ => return None,
    };
    let mut key = [0; 65];
    key[0] = kind;
    key[1..33].copy_from_slice(owner.as_bytes());
    key[33..].copy_from_slice(id.as_bytes());
    Some(key)
}

fn owned_range(owner: &Owner, after: Option<Address>) -> Option<RangeInclusive<Vec<u8>>> {
    let first = owned_key(owner, &after.unwrap_or(Address::ZERO))?;
    let last = owned_key(owner, &Address::new([0xff; 32]))?;
    Some(first.to_vec()..=last.to_vec())
}

fn blob_key(blob_id: &[u8; 32], object: &Address) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(blob_id);
    key[32..].copy_from_slice(object.as_bytes());
    key
}

fn address_of(key: &[u8]) -> Address {
    let mut id = [0; 32];
    let from = key.len().saturating_sub(32);
    if let Some(tail) = key.get(from..)
        && tail.len() == 32
    {
        id.copy_from_slice(tail);
    }
    Address::new(id)
}

/// A write transaction. Dropped without [`Batch::commit`] it changes nothing.
pub(crate) struct Batch {
    txn: WriteTransaction,
}

impl ObjectSource for Batch {
    fn object(&self, id: &Address) -> Result<Option<Object>, StoreError> {
        let table = self.txn.open_table(OBJECTS).map_err(db)?;
        let found = table.get(&id.into_inner()).map_err(db)?;
        found.map(|bytes| decode("objects", bytes.value())).transpose()
    }
}

impl Batch {
    fn create_tables(&self) -> Result<(), StoreError> {
        self.txn.open_table(OBJECTS).map_err(db)?;
        self.txn.open_table(OWNED).map_err(db)?;
        self.txn.open_table(TRANSACTIONS).map_err(db)?;
        self.txn.open_table(CHECKPOINTS).map_err(db)?;
        self.txn.open_table(CHECKPOINT_DIGESTS).map_err(db)?;
        self.txn.open_table(EVENTS).map_err(db)?;
        self.txn.open_table(BLOBS).map_err(db)?;
        self.txn.open_table(META).map_err(db)?;
        Ok(())
    }

    /// Makes everything in the batch durable and visible.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        self.txn.commit().map_err(db)
    }

    /// Writes an object over its old version.
    pub(crate) fn put_object(&self, object: &Object) -> Result<(), StoreError> {
        let id = object.object_id();
        self.unindex(&id)?;
        let bytes = encode("objects", object)?;
        self.txn.open_table(OBJECTS).map_err(db)?.insert(&id.into_inner(), bytes.as_slice()).map_err(db)?;
        if let (Some(key), ObjectType::Struct(tag)) = (owned_key(object.owner(), &id), object.object_type()) {
            let tag = encode("owned", &tag)?;
            self.txn.open_table(OWNED).map_err(db)?.insert(key.as_slice(), tag.as_slice()).map_err(db)?;
        }
        Ok(())
    }

    /// Removes an object that was deleted or wrapped.
    pub(crate) fn remove_object(&self, id: &Address) -> Result<(), StoreError> {
        self.unindex(id)?;
        self.txn.open_table(OBJECTS).map_err(db)?.remove(&id.into_inner()).map_err(db)?;
        Ok(())
    }

    fn unindex(&self, id: &Address) -> Result<(), StoreError> {
        if let Some(old) = self.object(id)?
            && let Some(key) = owned_key(old.owner(), id)
        {
            self.txn.open_table(OWNED).map_err(db)?.remove(key.as_slice()).map_err(db)?;
        }
        Ok(())
    }

    /// A transaction that was executed before, this batch included.
    pub(crate) fn transaction(&self, digest: &Digest) -> Result<Option<StoredTransaction>, StoreError> {
        let table = self.txn.open_table(TRANSACTIONS).map_err(db)?;
        let found = table.get(&digest.into_inner()).map_err(db)?;
        found.map(|bytes| decode("transactions", bytes.value())).transpose()
    }

    pub(crate) fn put_transaction(&self, digest: &Digest, stored: &StoredTransaction) -> Result<(), StoreError> {
        let bytes = encode("transactions", stored)?;
        let mut table = self.txn.open_table(TRANSACTIONS).map_err(db)?;
        table.insert(&digest.into_inner(), bytes.as_slice()).map_err(db)?;
        Ok(())
    }

    pub(crate) fn put_checkpoint(&self, checkpoint: &StoredCheckpoint) -> Result<(), StoreError> {
        let bytes = encode("checkpoints", checkpoint)?;
        let sequence = checkpoint.summary.sequence_number;
        self.txn.open_table(CHECKPOINTS).map_err(db)?.insert(sequence, bytes.as_slice()).map_err(db)?;
        let mut digests = self.txn.open_table(CHECKPOINT_DIGESTS).map_err(db)?;
        digests.insert(&checkpoint.digest.into_inner(), sequence).map_err(db)?;
        Ok(())
    }

    pub(crate) fn put_event(&self, sequence: u64, event: &StoredEvent) -> Result<(), StoreError> {
        let bytes = encode("events", event)?;
        self.txn.open_table(EVENTS).map_err(db)?.insert(sequence, bytes.as_slice()).map_err(db)?;
        Ok(())
    }

    pub(crate) fn blob(&self, blob_id: &[u8; 32], object: &Address) -> Result<Option<BlobRecord>, StoreError> {
        let table = self.txn.open_table(BLOBS).map_err(db)?;
        let found = table.get(blob_key(blob_id, object).as_slice()).map_err(db)?;
        found.map(|bytes| decode("blobs", bytes.value())).transpose()
    }

    pub(crate) fn put_blob(&self, blob_id: &[u8; 32], object: &Address, record: &BlobRecord) -> Result<(), StoreError> {
        let bytes = encode("blobs", record)?;
        let mut table = self.txn.open_table(BLOBS).map_err(db)?;
        table.insert(blob_key(blob_id, object).as_slice(), bytes.as_slice()).map_err(db)?;
        Ok(())
    }

    pub(crate) fn remove_blob(&self, blob_id: &[u8; 32], object: &Address) -> Result<(), StoreError> {
        self.txn.open_table(BLOBS).map_err(db)?.remove(blob_key(blob_id, object).as_slice()).map_err(db)?;
        Ok(())
    }

    pub(crate) fn meta<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, StoreError> {
        let table = self.txn.open_table(META).map_err(db)?;
        let found = table.get(key).map_err(db)?;
        found.map(|bytes| decode("meta", bytes.value())).transpose()
    }

    pub(crate) fn set_meta<T: Serialize>(&self, key: &'static str, value: &T) -> Result<(), StoreError> {
        let bytes = encode("meta", value)?;
        self.txn.open_table(META).map_err(db)?.insert(key, bytes.as_slice()).map_err(db)?;
        Ok(())
    }
}

/// A read transaction.
pub(crate) struct Snapshot {
    objects: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    owned: ReadOnlyTable<&'static [u8], &'static [u8]>,
    transactions: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    checkpoints: ReadOnlyTable<u64, &'static [u8]>,
    checkpoint_digests: ReadOnlyTable<&'static [u8; 32], u64>,
    events: ReadOnlyTable<u64, &'static [u8]>,
    blobs: ReadOnlyTable<&'static [u8], &'static [u8]>,
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl ObjectSource for Snapshot {
    fn object(&self, id: &Address) -> Result<Option<Object>, StoreError> {
        let found = self.objects.get(&id.into_inner()).map_err(db)?;
        found.map(|bytes| decode("objects", bytes.value())).transpose()
    }
}

impl Snapshot {
    pub(crate) fn transaction(&self, digest: &Digest) -> Result<Option<StoredTransaction>, StoreError> {
        let found = self.transactions.get(&digest.into_inner()).map_err(db)?;
        found.map(|bytes| decode("transactions", bytes.value())).transpose()
    }

    pub(crate) fn checkpoint(&self, sequence: u64) -> Result<Option<StoredCheckpoint>, StoreError> {
        let found = self.checkpoints.get(sequence).map_err(db)?;
        found.map(|bytes| decode("checkpoints", bytes.value())).transpose()
    }

    pub(crate) fn checkpoint_by_digest(&self, digest: &Digest) -> Result<Option<StoredCheckpoint>, StoreError> {
        match self.checkpoint_digests.get(&digest.into_inner()).map_err(db)? {
            Some(sequence) => self.checkpoint(sequence.value()),
            None => Ok(None),
        }
    }

    /// The ids and types of an owner's objects in the order of their ids, after the id `after`.
    pub(crate) fn owned<'s>(
        &'s self,
        owner: &Owner,
        after: Option<Address>,
    ) -> Result<impl Iterator<Item = Result<(Address, StructTag), StoreError>> + use<'s>, StoreError> {
        let range = match owned_range(owner, after) {
            Some(range) => {
                Some(self.owned.range::<&[u8]>(range.start().as_slice()..=range.end().as_slice()).map_err(db)?)
            }
            None => None,
        };
        Ok(range
            .into_iter()
            .flatten()
            .map(|entry| {
                let (key, value) = entry.map_err(db)?;
                Ok((address_of(key.value()), decode("owned", value.value())?))
            })
            .filter(move |entry| !matches!((entry, after), (Ok((id, _)), Some(after)) if *id == after)))
    }

    /// At most `limit` events after position `after`.
    pub(crate) fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, StoredEvent)>, StoreError> {
        let mut events = Vec::new();
        for entry in self.events.range(after.saturating_add(1)..).map_err(db)?.take(limit) {
            let (sequence, event) = entry.map_err(db)?;
            events.push((sequence.value(), decode("events", event.value())?));
        }
        Ok(events)
    }

    /// Position of the newest event.
    pub(crate) fn last_event(&self) -> Result<u64, StoreError> {
        Ok(self.events.last().map_err(db)?.map_or(0, |(sequence, _)| sequence.value()))
    }

    /// The newest checkpoint.
    pub(crate) fn last_checkpoint(&self) -> Result<Option<StoredCheckpoint>, StoreError> {
        let found = self.checkpoints.last().map_err(db)?;
        found.map(|(_, bytes)| decode("checkpoints", bytes.value())).transpose()
    }

    /// Every registration of a blob id.
    pub(crate) fn blobs(&self, blob_id: &[u8; 32]) -> Result<Vec<(Address, BlobRecord)>, StoreError> {
        let first = blob_key(blob_id, &Address::ZERO);
        let last = blob_key(blob_id, &Address::new([0xff; 32]));
        let mut records = Vec::new();
        for entry in self.blobs.range::<&[u8]>(first.as_slice()..=last.as_slice()).map_err(db)? {
            let (key, value) = entry.map_err(db)?;
            records.push((address_of(key.value()), decode("blobs", value.value())?));
        }
        Ok(records)
    }

    pub(crate) fn meta<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, StoreError> {
        let found = self.meta.get(key).map_err(db)?;
        found.map(|bytes| decode("meta", bytes.value())).transpose()
    }
}
