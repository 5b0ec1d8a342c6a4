//! Plaintext of chunks for reading, bounded by bytes, least recently used first out.

use crate::ids::CHUNK;
use crate::tree::record::{ChunkAddr, SpoolRef};
use bytes::Bytes;
use lru::LruCache;

/// What a cached plaintext is the plaintext of. Neither is ever rewritten, so an entry is never wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ChunkKey {
    Pack(ChunkAddr),
    Spool(SpoolRef),
}

#[derive(Debug)]
pub(super) struct ChunkCache {
    entries: LruCache<ChunkKey, Bytes>,
    bytes: u64,
    limit: u64,
}

impl ChunkCache {
    /// At least a few requests' worth is kept, whatever `limit` says: an operation that asked for chunks must find them.
    pub(super) fn new(limit: u64) -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0, limit: limit.max(128 * CHUNK as u64) }
    }

    pub(super) fn get(&mut self, key: &ChunkKey) -> Option<Bytes> {
        self.entries.get(key).cloned()
    }

    /// Whether it is there; no use of it.
    pub(super) fn contains(&self, key: &ChunkKey) -> bool {
        self.entries.contains(key)
    }

    pub(super) fn insert(&mut self, key: ChunkKey, plain: Bytes) {
        self.bytes = self.bytes.saturating_add(plain.len() as u64);
        if let Some(old) = self.entries.put(key, plain) {
            self.bytes = self.bytes.saturating_sub(old.len() as u64);
        }
        while self.bytes > self.limit {
            let Some((_, old)) = self.entries.pop_lru() else { break };
            self.bytes = self.bytes.saturating_sub(old.len() as u64);
        }
    }

    /// The chunk at `from` lies at `to` now.
    pub(super) fn moved(&mut self, from: ChunkKey, to: ChunkKey) {
        if let Some(plain) = self.entries.pop(&from) {
            self.bytes = self.bytes.saturating_sub(plain.len() as u64);
            self.insert(to, plain);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_bytes_and_keeps_what_was_used_last() {
        let key = |segment| ChunkKey::Spool(SpoolRef { segment, offset: 0, len: 0 });
        let mut cache = ChunkCache::new(0);
        for number in 0..200 {
            cache.insert(key(number), Bytes::from(vec![0; CHUNK]));
            assert!(cache.get(&key(0)).is_some(), "used each time");
        }
        assert_eq!(cache.bytes(), 128 * CHUNK as u64);
        assert!(cache.get(&key(1)).is_none());
        cache.moved(key(0), key(1000));
        assert!(cache.get(&key(0)).is_none() && cache.get(&key(1000)).is_some());
        assert_eq!(cache.bytes(), 128 * CHUNK as u64);
    }
}
