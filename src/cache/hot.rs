//! What stays: a map bounded by bytes that reading everything once does not empty.
//!
//! Mechanism: S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023). What is
//! new waits in a short queue, *young*, a tenth of the bytes; only what was used again by the time it reaches the end moves
//! to the *main* queue; the names of the others are remembered for as many bytes as the main queue holds, and whoever comes
//! back while remembered goes to the main queue at once. The main queue gives a second chance for each use, at most three.
//!
//! A sliver is read in parts: whoever reads a file once from start to end touches each of its slivers several times. Counted
//! as uses, a backup pass over a drive would move every sliver to the main queue. So a use is counted only when a part is
//! read that was read before: each entry remembers in 128 bits which of its parts were.
//!
//! Pinned keys are in no queue and are never chosen for eviction.

use super::slivers::SliverKey;
use lru::LruCache;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The young queue's share of the bytes: one in so many.
const YOUNG_SHARE: u64 = 10;

/// Uses that are counted; the main queue takes one for each second chance.
const MOST_USES: u8 = 3;

/// Parts of an entry whose reading is remembered.
const PARTS: usize = 128;

/// Where an entry stands, for keeping the order across restarts. The numbers are those of the order file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Queue {
    Young = 0,
    Main = 1,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    size: u64,
    uses: u8,
    read: u128,
}

impl<V> Entry<V> {
    /// Notes that `range` of the entry's `len` bytes was read.
    fn note(&mut self, range: &Range<usize>, len: usize) {
        let part = len.div_ceil(PARTS).max(1);
        // The parts that begin in the range: ranges that only touch each other share none.
        let (first, end) = (range.start.div_ceil(part), range.end.div_ceil(part).min(PARTS));
        if first >= end {
            return;
        }
        let mask = (u128::MAX >> (PARTS - (end - first))) << first;
        if self.read & mask == 0 {
            self.read |= mask;
        } else {
            self.uses = (self.uses + 1).min(MOST_USES);
            self.read = mask;
        }
    }
}

/// A queue: first in, first out, with its bytes. [`LruCache`] is used as a linked map; nothing is ever promoted.
struct Fifo<V> {
    entries: LruCache<SliverKey, Entry<V>>,
    bytes: u64,
}

impl<V> Fifo<V> {
    fn new() -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0 }
    }

    fn push(&mut self, key: SliverKey, entry: Entry<V>) {
        self.bytes += entry.size;
        if let Some(old) = self.entries.put(key, entry) {
            self.bytes -= old.size;
        }
    }

    fn pop(&mut self) -> Option<(SliverKey, Entry<V>)> {
        let (key, entry) = self.entries.pop_lru()?;
        self.bytes -= entry.size;
        Some((key, entry))
    }

    fn remove(&mut self, key: &SliverKey) -> Option<Entry<V>> {
        let entry = self.entries.pop(key)?;
        self.bytes -= entry.size;
        Some(entry)
    }
}

/// See the module.
pub(super) struct HotMap<V> {
    limit: u64,
    young: Fifo<V>,
    main: Fifo<V>,
    ghosts: LruCache<SliverKey, u64>,
    ghost_bytes: u64,
    pins: HashSet<SliverKey>,
    pinned: HashMap<SliverKey, Entry<V>>,
    pinned_bytes: u64,
}

impl<V> HotMap<V> {
    /// A map for `limit` bytes. It does not drop anything by itself: whoever inserts calls [`HotMap::evict`] while
    /// [`HotMap::bytes`] is too much.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            young: Fifo::new(),
            main: Fifo::new(),
            ghosts: LruCache::unbounded(),
            ghost_bytes: 0,
            pins: HashSet::new(),
            pinned: HashMap::new(),
            pinned_bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.young.bytes + self.main.bytes + self.pinned_bytes
    }

    pub(super) fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes
    }

    pub(super) fn contains(&self, key: &SliverKey) -> bool {
        self.young.entries.contains(key) || self.main.entries.contains(key) || self.pinned.contains_key(key)
    }

    /// The value of `key`, of which `range` of `len` bytes is read.
    pub(super) fn read(&mut self, key: &SliverKey, range: &Range<usize>, len: impl FnOnce(&V) -> usize) -> Option<&V> {
        let entry = match self.young.entries.peek_mut(key) {
            Some(entry) => entry,
            None => match self.main.entries.peek_mut(key) {
                Some(entry) => entry,
                None => self.pinned.get_mut(key)?,
            },
        };
        let len = len(&entry.value);
        entry.note(range, len);
        Some(&entry.value)
    }

    /// Puts `value` of `size` bytes, in place of what `key` had, which is returned.
    pub(super) fn insert(&mut self, key: SliverKey, value: V, size: u64) -> Option<V> {
        if let Some(old) = self.young.entries.peek_mut(&key) {
            self.young.bytes = self.young.bytes - old.size + size;
            old.size = size;
            return Some(std::mem::replace(&mut old.value, value));
        }
        if let Some(old) = self.main.entries.peek_mut(&key) {
            self.main.bytes = self.main.bytes - old.size + size;
            old.size = size;
            return Some(std::mem::replace(&mut old.value, value));
        }
        let old = self.pinned.remove(&key).map(|old| {
            self.pinned_bytes -= old.size;
            old.value
        });
        let entry = Entry { value, size, uses: 0, read: 0 };
        let remembered = self.forget_ghost(&key);
        if self.pins.contains(&key) {
            self.hold(key, entry);
        } else if remembered {
            self.main.push(key, entry);
        } else {
            self.young.push(key, entry);
        }
        old
    }

    /// Puts back what an earlier life had, in the order of [`HotMap::order`], unless the key came anew meanwhile.
    pub(super) fn restore(&mut self, key: SliverKey, value: V, size: u64, queue: Queue, uses: u8) {
        if self.contains(&key) {
            return;
        }
        let entry = Entry { value, size, uses: uses.min(MOST_USES), read: 0 };
        if self.pins.contains(&key) {
            return self.hold(key, entry);
        }
        match queue {
            Queue::Young => self.young.push(key, entry),
            Queue::Main => self.main.push(key, entry),
        }
    }

    /// Every entry with its place, the next to be evicted first within each queue.
    pub(super) fn order(&self) -> impl Iterator<Item = (&SliverKey, &V, u64, Queue, u8)> {
        let row = |queue| move |(key, entry): (_, _)| Self::row(key, entry, queue);
        let young = self.young.entries.iter().rev().map(row(Queue::Young));
        let main = self.main.entries.iter().rev().map(row(Queue::Main));
        young.chain(main).chain(self.pinned.iter().map(row(Queue::Main)))
    }

    fn row<'a>(key: &'a SliverKey, entry: &'a Entry<V>, queue: Queue) -> (&'a SliverKey, &'a V, u64, Queue, u8) {
        (key, &entry.value, entry.size, queue, entry.uses)
    }

    /// Takes out the entry that is worth least; `None` when there is nothing but pinned ones.
    pub(super) fn evict(&mut self) -> Option<(SliverKey, V)> {
        loop {
            let from_young = self.young.bytes > self.limit / YOUNG_SHARE || self.main.entries.is_empty();
            let (key, mut entry) = if from_young { self.young.pop()? } else { self.main.pop()? };
            if self.pins.contains(&key) {
                self.hold(key, entry);
            } else if entry.uses == 0 {
                if from_young {
                    self.remember(key, entry.size);
                }
                return Some((key, entry.value));
            } else {
                // Each round takes a use away or moves an entry out of the young queue for good: the loop ends.
                entry.uses -= u8::from(!from_young);
                self.main.push(key, entry);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &SliverKey) -> Option<V> {
        self.forget_ghost(key);
        let queued = self.young.remove(key).or_else(|| self.main.remove(key));
        let entry = queued.or_else(|| {
            let entry = self.pinned.remove(key)?;
            self.pinned_bytes -= entry.size;
            Some(entry)
        })?;
        Some(entry.value)
    }

    /// Forgets everything but which keys are pinned.
    pub(super) fn clear(&mut self) {
        let pins = std::mem::take(&mut self.pins);
        *self = Self { pins, ..Self::new(self.limit) };
    }

    /// Pins exactly `keys`, whether they are here or come later.
    pub(super) fn pin(&mut self, keys: HashSet<SliverKey>) {
        let free: Vec<_> = self.pinned.keys().filter(|key| !keys.contains(key)).copied().collect();
        self.pins = keys;
        for key in free {
            if let Some(entry) = self.pinned.remove(&key) {
                self.pinned_bytes -= entry.size;
                // Whether it is worth its place shows on its way out of the young queue.
                self.young.push(key, entry);
            }
        }
        let here: Vec<_> = self.pins.iter().filter(|key| !self.pinned.contains_key(key)).copied().collect();
        for key in here {
            if let Some(entry) = self.young.remove(&key).or_else(|| self.main.remove(&key)) {
                self.hold(key, entry);
            }
        }
    }

    fn hold(&mut self, key: SliverKey, entry: Entry<V>) {
        self.pinned_bytes += entry.size;
        if let Some(old) = self.pinned.insert(key, entry) {
            self.pinned_bytes -= old.size;
        }
    }

    fn remember(&mut self, key: SliverKey, size: u64) {
        self.ghost_bytes += size;
        if let Some(old) = self.ghosts.put(key, size) {
            self.ghost_bytes -= old;
        }
        while self.ghost_bytes > self.limit - self.limit / YOUNG_SHARE {
            let Some((_, size)) = self.ghosts.pop_lru() else { break };
            self.ghost_bytes -= size;
        }
    }

    fn forget_ghost(&mut self, key: &SliverKey) -> bool {
        let Some(size) = self.ghosts.pop(key) else { return false };
        self.ghost_bytes -= size;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEN: usize = 1 << 20;
    const CHUNK: usize = 64 << 10;

    fn key(n: u16) -> SliverKey {
        SliverKey { blob: [1; 32], row: n }
    }

    fn put(map: &mut HotMap<u16>, n: u16) {
        map.insert(key(n), n, LEN as u64);
        while map.bytes() > map.limit {
            map.evict().unwrap();
        }
    }

    /// Reads sliver `n` in chunks from start to end, as a program reads a file; fetches it when it is not there.
    fn pass(map: &mut HotMap<u16>, n: u16) -> bool {
        let was_there = map.contains(&key(n));
        for start in (0..LEN).step_by(CHUNK) {
            if map.read(&key(n), &(start..start + CHUNK), |_| LEN).is_none() {
                put(map, n);
                map.read(&key(n), &(start..start + CHUNK), |_| LEN);
            }
        }
        was_there
    }

    #[test]
    fn a_pass_over_more_than_the_cache_leaves_the_hot_set() {
        let mut map = HotMap::new(100 * LEN as u64);
        let hot = 0..60;
        hot.clone().for_each(|n| _ = pass(&mut map, n));
        hot.clone().for_each(|n| assert!(pass(&mut map, n), "read twice: hot"));
        (1000..1500).for_each(|n| assert!(!pass(&mut map, n)));
        let left = hot.filter(|n| map.contains(&key(*n))).count();
        assert_eq!(left, 60, "what was read twice outlives what was read once");
        // The least-recently-used order that S3-FIFO replaced, on the same reads, keeps nothing.
        let mut lru = LruCache::unbounded();
        for n in (0..60).chain(0..60).chain(1000..1500) {
            lru.put(n, ());
            if lru.len() > 100 {
                lru.pop_lru();
            }
        }
        assert_eq!((0..60).filter(|n| lru.contains(n)).count(), 0);
    }

    #[test]
    fn the_parts_of_one_reading_are_no_uses_however_they_are_cut() {
        for (len, chunk) in [(LEN, CHUNK), (LEN, 65_552), (70_011, 65_552), (16 << 20, CHUNK), (5000, 4096), (1, 1)] {
            let mut entry = Entry { value: (), size: 0, uses: 0, read: 0 };
            (0..len).step_by(chunk).for_each(|start| entry.note(&(start..(start + chunk).min(len)), len));
            assert_eq!(entry.uses, 0, "{len} bytes in pieces of {chunk}");
            (0..len).step_by(chunk).for_each(|start| entry.note(&(start..(start + chunk).min(len)), len));
            assert!(entry.uses > 0, "{len} bytes in pieces of {chunk}, twice");
        }
    }

    #[test]
    fn what_comes_back_while_remembered_is_hot() {
        let mut map = HotMap::new(20 * LEN as u64);
        (0..30).for_each(|n| put(&mut map, n));
        assert!(!map.contains(&key(9)));
        put(&mut map, 9);
        (100..150).for_each(|n| put(&mut map, n));
        assert!(map.contains(&key(9)), "it was asked for twice within the memory of the cache");
        assert!(!map.contains(&key(29)));
    }

    #[test]
    fn a_hot_set_that_is_no_longer_used_goes_in_the_end() {
        let mut map = HotMap::new(20 * LEN as u64);
        for _ in 0..4 {
            (0..15).for_each(|n| _ = pass(&mut map, n));
        }
        for _ in 0..4 {
            (100..118).for_each(|n| _ = pass(&mut map, n));
        }
        assert!((100..118).filter(|n| map.contains(&key(*n))).count() >= 16);
    }

    #[test]
    fn pinned_keys_stay_whatever_comes_and_count() {
        let mut map = HotMap::new(10 * LEN as u64);
        put(&mut map, 1);
        map.pin([key(1), key(2)].into());
        put(&mut map, 2);
        (10..200).for_each(|n| put(&mut map, n));
        assert!(map.contains(&key(1)) && map.contains(&key(2)));
        assert_eq!(map.pinned_bytes(), 2 * LEN as u64);
        assert!(map.bytes() <= 10 * LEN as u64);
        map.pin([key(2)].into());
        (200..400).for_each(|n| put(&mut map, n));
        assert!(!map.contains(&key(1)) && map.contains(&key(2)));
        while map.evict().is_some() {}
        assert_eq!(map.bytes(), LEN as u64, "only the pinned one is left");
    }

    #[derive(Clone, Debug)]
    enum Act {
        Put(u16, u64),
        Read(u16, usize),
        Remove(u16),
        Evict,
        Pin(Vec<u16>),
        Restore(u16, u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        let n = || 0_u16..12;
        prop_oneof![
            (n(), 1_u64..50).prop_map(|(n, size)| Act::Put(n, size)),
            (n(), 0_usize..99).prop_map(|(n, at)| Act::Read(n, at)),
            n().prop_map(Act::Remove),
            Just(Act::Evict),
            prop::collection::vec(n(), 0..4).prop_map(Act::Pin),
            (n(), 1_u64..50).prop_map(|(n, size)| Act::Restore(n, size)),
        ]
    }

    proptest! {
        /// Whatever happens, the bytes are those of what is there, each key is there once, and pinned keys stay.
        #[test]
        fn the_books_are_right(acts in prop::collection::vec(act(), 0..300)) {
            let mut map = HotMap::new(200);
            let mut model: HashMap<u16, u64> = HashMap::new();
            let mut pins = HashSet::new();
            for act in acts {
                match act {
                    Act::Put(n, size) => {
                        let old = map.insert(key(n), n, size);
                        prop_assert_eq!(old.is_some(), model.insert(n, size).is_some());
                    }
                    Act::Read(n, at) => {
                        let found = map.read(&key(n), &(at..at + 1), |_| 100).copied();
                        prop_assert_eq!(found, model.get(&n).map(|_| n));
                    }
                    Act::Remove(n) => prop_assert_eq!(map.remove(&key(n)).is_some(), model.remove(&n).is_some()),
                    Act::Evict => match map.evict() {
                        Some((gone, n)) => {
                            prop_assert_eq!(gone, key(n));
                            prop_assert!(!pins.contains(&n) && model.remove(&n).is_some());
                        }
                        None => prop_assert!(model.keys().all(|n| pins.contains(n))),
                    },
                    Act::Pin(wanted) => {
                        pins = wanted.into_iter().collect();
                        map.pin(pins.iter().map(|n| key(*n)).collect());
                    }
                    Act::Restore(n, size) => {
                        map.restore(key(n), n, size, Queue::Main, 9);
                        model.entry(n).or_insert(size);
                    }
                }
                prop_assert_eq!(map.bytes(), model.values().sum::<u64>());
                prop_assert_eq!(map.order().count(), model.len());
                let pinned: u64 = model.iter().filter(|(n, _)| pins.contains(n)).map(|(_, size)| size).sum();
                prop_assert_eq!(map.pinned_bytes(), pinned);
            }
        }
    }
}
