//! Where sealed bytes of packs come from: the network through the cache, or memory in tests.

use crate::error::{FsError, FsResult, Kind};
use crate::ids::KeyEpoch;
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What is needed to read and unseal units of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackRef {
    /// The blob that holds the pack.
    pub blob_id: [u8; 32],
    /// The blob's length, bytes; `None` where only the root's place is known yet (opening a drive).
    pub size: Option<u64>,
    /// The pack's salt.
    pub salt: [u8; 32],
    /// The key epoch it is sealed under.
    pub key_epoch: KeyEpoch,
}

/// The checkpoint that the Drive object names (docs/format.md "Root"): where the root unit lies and how it is unsealed. The root
/// is never compressed, so its plaintext is `length` - 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RootRef {
    /// The blob that holds the pack with the root.
    pub blob_id: [u8; 32],
    /// Offset of the sealed root in the pack, bytes.
    pub offset: u64,
    /// Sealed length, bytes.
    pub length: u32,
    /// The pack's salt.
    pub salt: [u8; 32],
    /// The key epoch of the pack.
    pub key_epoch: KeyEpoch,
}

impl RootRef {
    /// The pack that holds the root.
    pub fn pack(&self) -> PackRef {
        PackRef { blob_id: self.blob_id, size: None, salt: self.salt, key_epoch: self.key_epoch }
    }
}

/// Reads sealed bytes of packs.
pub trait PackSource: Send + Sync {
    /// Exactly `len` bytes of the pack's blob, starting at `offset`. Not authenticated: the caller unseals them.
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>>;

    /// The same packs for reads that may fail, where this source goes on trying until it works.
    fn impatient(&self) -> Option<&dyn PackSource> {
        None
    }
}

/// Packs in memory, by blob id.
#[derive(Debug, Default)]
pub struct MemorySource(Mutex<HashMap<[u8; 32], Bytes>>);

impl MemorySource {
    /// Adds a pack; its blob id is the BLAKE3 hash of its bytes, which is returned.
    pub fn insert(&self, bytes: Bytes) -> [u8; 32] {
        let id = *blake3::hash(&bytes).as_bytes();
        self.insert_as(id, bytes);
        id
    }

    /// Adds or replaces the bytes of blob `id`.
    pub fn insert_as(&self, id: [u8; 32], bytes: Bytes) {
        self.0.lock().insert(id, bytes);
    }

    /// Removes a pack and returns its bytes, if it was there.
    pub fn remove(&self, id: &[u8; 32]) -> Option<Bytes> {
        self.0.lock().remove(id)
    }

    /// The bytes of blob `id`.
    pub fn bytes(&self, id: &[u8; 32]) -> Option<Bytes> {
        self.0.lock().get(id).cloned()
    }
}

impl PackSource for MemorySource {
    fn read<'a>(&'a self, pack: &'a PackRef, offset: u64, len: u32) -> BoxFuture<'a, FsResult<Bytes>> {
        Box::pin(async move {
            let packs = self.0.lock();
            let id = hex::encode(pack.blob_id);
            let bytes =
                packs.get(&pack.blob_id).ok_or_else(|| FsError::new(Kind::Stale, format!("blob {id} is gone")))?;
            let start = usize::try_from(offset).ok();
            let range = start.and_then(|start| Some(start..start.checked_add(len as usize)?));
            range
                .filter(|range| range.end <= bytes.len())
                .map(|range| bytes.slice(range))
                .ok_or_else(|| FsError::new(Kind::Corrupt, format!("blob {id} ends before byte {offset} + {len}")))
        })
    }
}
