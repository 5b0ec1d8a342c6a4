//! Reading ahead: what an open file's reader will ask for next.
//!
//! Mechanism: each open file has a [`Stream`]. A reader that goes on where it stopped gets a window in front of it, twice as
//! long as what it has read in order so far: a reader of 64 KiB costs next to nothing, one of a film soon has as much on the
//! way as its share of the budget allows. One that jumps by the same distance each time gets the next places of that kind.
//! Any other jump ends the stream: what was asked for is of no use any more, and the first byte at the new place waits for
//! nothing but itself.
//!
//! The budget is shared by the streams that were read from lately. Bytes count from where the reader is to where its window
//! ends, so what was fetched and is not used holds the budget until the reader comes, goes elsewhere, or sleeps.
//!
//! Small files have no order of their own; what is read together was written together, so they are neighbours in their pack.
//! Whoever reads small files of a pack whole gets the surroundings of the last one, twice as much as was used of the pack.
//!
//! Nothing here fetches: [`Vfs::ahead`] names chunks and places in packs, on which nobody waits.

use super::chunk_cache::ChunkKey;
use super::content::{Below, CHUNK_U64};
use super::state::{Ctx, Vfs};
use super::types::*;
use crate::ids::{Ino, PackNo};
use crate::tree::NodeAddr;
use crate::tree::record::{ChunkAddr, GROUP};
use lru::LruCache;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Duration;

/// How far a request may lie beyond the end of the last one and still be in order: the kernel reads ahead itself, in requests
/// of up to 1 MiB, and they reach the workers in any order.
const SLACK: u64 = 4 << 20;

/// How far a request may lie behind what has been read in order: one that was overtaken (measured: by up to nine others, each
/// of 1 MiB), or a reader that looks again at what it has just read.
const OVERTAKEN: u64 = 32 << 20;

/// A share is never smaller: less than a few chunks is no window.
const LEAST_SHARE: u64 = 256 << 10;

/// What is asked for ahead, in units of what the link carries in a few seconds: it is kept full, and who asks for something else
/// waits no longer than this behind it.
const LINK_FULL: u64 = 4;

/// A stream that was not read from for this long gives its share back.
const ASLEEP: Duration = Duration::from_secs(10);

/// Even jumps in a row that make a strided reader.
const STRIDES: u32 = 2;

/// Places that a strided reader gets at most.
const MOST_STRIDES: u32 = 32;

/// Packs whose small files are being read that are remembered.
const SWEEPS: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Small files of a pack read whole that make its surroundings worth fetching, and the most that is fetched at once.
const SWEEP_FILES: u32 = 3;
const SWEEP_BYTES: u64 = 16 << 20;

/// Surroundings that are fetched for each byte that was used of a pack.
const SWEEP_RATIO: u64 = 8;

/// A reader that came this far is likely to read the file behind in the pack next, and this much of it is fetched.
const NEXT_FILE_AFTER: u64 = 1 << 20;
const NEXT_FILE: u64 = 4 << 20;

/// What to fetch before it is asked for. Nobody waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Whose reading this runs ahead of.
    pub stream: Handle,
    /// What was asked for this stream until now is of no use any more.
    pub stale: bool,
    /// Tree nodes that must be there to tell where the content lies.
    pub nodes: Vec<NodeAddr>,
    /// Chunks, in the order in which they will be wanted; their plaintext goes to [`Vfs::insert_chunk`].
    pub chunks: Vec<ChunkAddr>,
    /// A part of a pack, not known to hold anything wanted.
    pub pack: Option<(PackNo, Range<u64>)>,
}

/// One open file's reader.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    /// Where the reading in order began.
    from: u64,
    /// Where the furthest read that was in order ended.
    next: u64,
    /// Bytes read in order.
    consumed: u64,
    /// Where the window ends that was asked for.
    asked: u64,
    /// Where the last read began, and how far it lay from the one before.
    last: u64,
    stride: i128,
    strides: u32,
    /// Places of a strided reader that were asked for and not yet read.
    places: u32,
    /// When it was last read from.
    used: Duration,
    started: bool,
    /// Something was asked for it.
    asked_ever: bool,
}

impl Stream {
    /// Whether a read at `offset` goes on with what was read in order.
    fn goes_on(&self, offset: u64) -> bool {
        match offset.checked_sub(self.next) {
            Some(beyond) => beyond <= SLACK,
            None => offset >= self.from && self.next - offset <= OVERTAKEN,
        }
    }

    /// Bytes that are on the way or here and not read yet.
    fn outstanding(&self) -> u64 {
        self.asked.saturating_sub(self.next)
    }
}

/// What a read calls for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    stale: bool,
    ranges: Vec<Range<u64>>,
    /// Bytes read in order so far.
    consumed: u64,
    first: bool,
}

/// Small files of one pack that were read.
#[derive(Debug, Default)]
struct Sweep {
    files: u32,
    used: u64,
    /// Bytes of surroundings asked for.
    asked: u64,
    /// Length of the surroundings that are asked for now, and which of that length were.
    len: u64,
    blocks: HashSet<u64>,
}

/// All streams.
#[derive(Debug)]
pub(super) struct Streams {
    /// What may be asked for, and as much as was given at first.
    budget: u64,
    most: u64,
    streams: HashMap<Handle, Stream>,
    sweeps: LruCache<PackNo, Sweep>,
}

impl Streams {
    pub(super) fn new(budget: u64) -> Self {
        Self { budget, most: budget, streams: HashMap::new(), sweeps: LruCache::new(SWEEPS) }
    }

    /// The link is known to carry no more than this in a few seconds, or not known to be slow.
    fn within(&mut self, carries: Option<u64>) {
        self.budget =
            carries.map_or(self.most, |bytes| bytes.saturating_mul(LINK_FULL).max(LEAST_SHARE).min(self.most));
    }

    /// A file was opened.
    pub(super) fn open(&mut self, handle: Handle) {
        self.streams.insert(handle, Stream::default());
    }

    /// A file was closed; whether anything was ever asked for it.
    pub(super) fn close(&mut self, handle: Handle) -> bool {
        self.streams.remove(&handle).is_some_and(|stream| stream.asked_ever)
    }

    pub(super) fn clear(&mut self) {
        self.streams.clear();
    }

    /// `len` bytes were read at `offset`; `None` when that calls for nothing.
    fn read(&mut self, handle: Handle, offset: u64, len: u64, now: Duration) -> Option<Plan> {
        let mut stream = *self.streams.get(&handle)?;
        let first = !std::mem::replace(&mut stream.started, true);
        let end = offset.saturating_add(len);
        let stride = i128::from(offset) - i128::from(stream.last);
        let even = !first && stride != 0 && stride == stream.stride && stride.unsigned_abs() > u128::from(len);
        stream.strides = if even { stream.strides.saturating_add(1) } else { 0 };
        (stream.stride, stream.last, stream.used) = (stride, offset, now);
        let near = stream.goes_on(offset);
        let mut plan = Plan { first, ..Plan::default() };
        if stream.strides >= STRIDES && offset != stream.next {
            plan.ranges = self.places(handle, &mut stream, offset, len);
            (stream.from, stream.next) = (offset, end);
        } else if (first && offset == 0) || (!first && near) {
            stream.next = stream.next.max(end);
            stream.consumed = stream.consumed.saturating_add(len);
            // The first read alone is no order: a scan that looks at the head of every file wants nothing else.
            if !first {
                plan.ranges.extend(self.window(handle, &mut stream, now));
            }
        } else {
            // Even jumps begin as jumps: what they asked for stays.
            plan.stale = stream.strides == 0 && (stream.outstanding() > 0 || stream.places > 0);
            tracing::trace!(
                handle = handle.0,
                offset,
                next = stream.next,
                stale = plan.stale,
                "a reader went elsewhere"
            );
            stream = Stream { from: offset, next: end, asked: end, consumed: len, places: 0, ..stream };
        }
        plan.consumed = stream.consumed;
        self.streams.insert(handle, stream);
        (plan.stale || first || !plan.ranges.is_empty()).then_some(plan)
    }

    /// What is left of the budget for one stream.
    fn share(&self, handle: Handle, now: Duration) -> u64 {
        let awake = |stream: &Stream| stream.outstanding() > 0 && now.saturating_sub(stream.used) < ASLEEP;
        let others = self.streams.iter().filter(|(other, stream)| **other != handle && awake(stream));
        let (count, taken) =
            others.fold((0_u64, 0_u64), |(count, taken), (_, stream)| (count + 1, taken + stream.outstanding()));
        // A new stream gets what is free at once, and its fair part when the others have read on.
        (self.budget / (count + 1)).min(self.budget.saturating_sub(taken)).max(LEAST_SHARE)
    }

    fn window(&self, handle: Handle, stream: &mut Stream, now: Duration) -> Option<Range<u64>> {
        let wanted = stream.consumed.saturating_mul(2);
        // Most reads lie within what was asked for: only who has used up a quarter asks again.
        if stream.outstanding() > wanted.min(self.budget) / 4 * 3 {
            return None;
        }
        let window = wanted.min(self.share(handle, now));
        let (from, to) = (stream.asked.max(stream.next), stream.next.saturating_add(window));
        if to.saturating_sub(from) < window / 4 || from >= to {
            return None;
        }
        stream.asked = to;
        stream.asked_ever = true;
        Some(from..to)
    }

    fn places(&self, handle: Handle, stream: &mut Stream, offset: u64, len: u64) -> Vec<Range<u64>> {
        stream.places = stream.places.saturating_sub(1);
        stream.asked = 0;
        stream.asked_ever = true;
        let room = self.share(handle, stream.used) / len.max(CHUNK_U64);
        let wanted = stream.strides.saturating_mul(2).min(MOST_STRIDES).min(u32::try_from(room).unwrap_or(u32::MAX));
        let place = |nth: u32| {
            let start = i128::from(offset) + stream.stride * i128::from(nth);
            u64::try_from(start).ok().map(|start| start..start.saturating_add(len))
        };
        let ranges = (stream.places + 1..=wanted).map_while(place).collect();
        stream.places = stream.places.max(wanted);
        ranges
    }

    /// The window ends earlier: the place of what follows is not known yet.
    fn stopped(&mut self, handle: Handle, at: u64) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.asked = stream.asked.min(at);
        }
    }

    /// A small file at `offset` of a pack was read whole, `stored` bytes of it.
    fn sweep(&mut self, pack: PackNo, offset: u64, stored: u64) -> Option<Range<u64>> {
        let most = SWEEP_BYTES.min(self.budget);
        let sweep = self.sweeps.get_or_insert_mut(pack, Sweep::default);
        sweep.files = sweep.files.saturating_add(1);
        sweep.used = sweep.used.saturating_add(stored);
        let len = sweep.used.saturating_mul(2).min(most).next_power_of_two();
        if sweep.len != len {
            sweep.len = len;
            sweep.blocks.clear();
        }
        let block = offset / len;
        let asked = sweep.asked.saturating_add(len);
        if sweep.files < SWEEP_FILES || asked > sweep.used.saturating_mul(SWEEP_RATIO) || !sweep.blocks.insert(block) {
            return None;
        }
        sweep.asked = asked;
        Some(block * len..(block + 1) * len)
    }
}

/// Where the content of a range lies.
#[derive(Default)]
struct Places {
    chunks: Vec<ChunkAddr>,
    /// The first and the last chunk in a pack, here or not.
    first: Option<ChunkAddr>,
    last: Option<ChunkAddr>,
    /// Where a tree node is missing, and which.
    stopped: Option<(u64, Vec<NodeAddr>)>,
}

impl Vfs {
    /// Bounds what is read ahead by what the link is known to carry in a few seconds; `None`: it is not known to be slow.
    pub fn read_ahead_within(&self, carries: Option<u64>) {
        self.streams.lock().within(carries);
    }

    /// What to fetch after `size` bytes were read at `offset` through `handle`, whether or not the answer still waits.
    pub fn ahead(&self, handle: Handle, ino: Ino, offset: u64, size: u32) -> Option<Ahead> {
        let now = self.clock.now();
        let plan = self.streams.lock().read(handle, offset, u64::from(size), now)?;
        let mut ahead = Ahead { stream: handle, stale: plan.stale, ..Ahead::default() };
        let looked = self.run(|ctx| {
            let inode = ctx.file(ino)?;
            let length = ctx.size(ino, &inode);
            if plan.first {
                let small = offset == 0 && u64::from(size) >= length && inode.chunks > 0;
                return Ok((length, if small { ctx.places(ino, &inode, 0..length)? } else { Places::default() }));
            }
            let mut places = Places::default();
            for range in &plan.ranges {
                let found = ctx.places(ino, &inode, range.start.min(length)..range.end.min(length))?;
                places.chunks.extend(found.chunks);
                places.first = places.first.or(found.first);
                places.last = found.last.or(places.last);
                places.stopped = places.stopped.or(found.stopped);
            }
            Ok((length, places))
        });
        // Whatever is wrong with the file, its reader will be told.
        let Outcome::Done(Ok((length, places))) = looked else { return plan.stale.then_some(ahead) };
        if plan.first {
            let at = places.first?;
            let stored = places.last.map_or(0, |last| end_of(last).saturating_sub(at.offset));
            let range = self.streams.lock().sweep(at.pack, at.offset, stored)?;
            return Some(Ahead { stream: Handle::default(), pack: Some((at.pack, range)), ..Ahead::default() });
        }
        if let Some((at, nodes)) = places.stopped {
            self.streams.lock().stopped(handle, at);
            ahead.nodes = nodes;
        }
        let target = plan.ranges.last().map_or(0, |range| range.end);
        if let Some(last) = places.last.filter(|_| target > length && plan.consumed >= NEXT_FILE_AFTER) {
            let from = end_of(last);
            ahead.pack = Some((last.pack, from..from.saturating_add(NEXT_FILE.min(target - length))));
        }
        ahead.chunks = places.chunks;
        let empty = !ahead.stale && ahead.nodes.is_empty() && ahead.chunks.is_empty() && ahead.pack.is_none();
        (!empty).then_some(ahead)
    }
}

fn end_of(addr: ChunkAddr) -> u64 {
    addr.offset.saturating_add(u64::from(addr.stored))
}

impl Ctx<'_> {
    /// The chunks of `range` that lie in packs and are not in memory, up to where a tree node is missing.
    fn places(&self, ino: Ino, inode: &crate::tree::record::Inode, range: Range<u64>) -> Step<Places> {
        let mut places = Places::default();
        let mut group = None;
        let dirty = self.st.dirty.get(&ino);
        for index in range.start / CHUNK_U64..range.end.div_ceil(CHUNK_U64) {
            if dirty.is_some_and(|dirty| dirty.chunks.contains_key(&index)) {
                continue;
            }
            if group.as_ref().is_none_or(|(number, _)| *number != index / GROUP) {
                let extents = match self.group(ino, index / GROUP) {
                    Err(Stop::Wait(needs)) => {
                        places.stopped = Some((index * CHUNK_U64, needs.nodes));
                        break;
                    }
                    extents => extents?,
                };
                group = Some((index / GROUP, extents));
            }
            let extents = group.as_ref().map_or(&[][..], |(_, extents)| extents);
            let (Below::Pack(addr) | Below::Spool { base: Some(addr), .. }) = Self::below(inode, extents, index) else {
                continue;
            };
            places.first = places.first.or(Some(addr));
            places.last = Some(addr);
            if !self.vfs.chunks.lock().contains(&ChunkKey::Pack(addr)) {
                places.chunks.push(addr);
            }
        }
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const NOW: Duration = Duration::from_secs(100);
    const ONE: Handle = Handle(1);

    fn streams(budget: u64, handles: u64) -> Streams {
        let mut streams = Streams::new(budget);
        (1..=handles).for_each(|handle| streams.open(Handle(handle)));
        streams
    }

    /// Reads on from `from` in requests of 128 KiB; the ranges asked for.
    fn read_on(streams: &mut Streams, handle: Handle, from: u64, to: u64) -> Vec<Range<u64>> {
        let step = 128 << 10;
        let reads = (from..to).step_by(step as usize);
        reads.filter_map(|at| streams.read(handle, at, step, NOW)).flat_map(|plan| plan.ranges).collect()
    }

    #[test]
    fn the_window_grows_with_what_was_read_up_to_the_budget_and_covers_every_byte_once() {
        let mut streams = streams(32 * MIB, 1);
        let mut ranges = read_on(&mut streams, ONE, 0, 4 * MIB);
        assert!((6 * MIB..=8 * MIB).contains(&streams.streams[&ONE].outstanding()), "twice what was read");
        ranges.extend(read_on(&mut streams, ONE, 4 * MIB, 200 * MIB));
        assert!(ranges[0].end <= MIB, "after 256 KiB: {:?}", ranges[0]);
        for pair in ranges.windows(2) {
            assert!(pair[0].end == pair[1].start, "asked twice or left out: {pair:?}");
        }
        assert!(ranges.iter().all(|range| range.end - range.start <= 32 * MIB));
        let end = ranges.last().unwrap().end;
        assert!((224 * MIB..=232 * MIB).contains(&end), "{end}");
        assert!(ranges.len() < 60, "it asks seldom: {} times", ranges.len());
    }

    #[test]
    fn the_head_of_a_file_and_random_places_cost_nothing() {
        let mut streams = streams(32 * MIB, 2);
        let head = streams.read(ONE, 0, 64 << 10, NOW).unwrap();
        assert_eq!(head, Plan { first: true, consumed: 64 << 10, ..Plan::default() });
        let two = Handle(2);
        for (n, place) in [900, 17, 400, 30, 777, 2, 555, 120_u64].into_iter().enumerate() {
            let plan = streams.read(two, place * MIB * 5, 4096, NOW);
            assert!(plan.is_none_or(|plan| plan.ranges.is_empty() && !plan.stale), "jump {n}");
        }
        assert!(!streams.close(two));
    }

    #[test]
    fn a_seek_makes_what_was_asked_for_stale_and_starts_over() {
        let mut streams = streams(32 * MIB, 1);
        read_on(&mut streams, ONE, 0, 20 * MIB);
        let seek = streams.read(ONE, 500 * MIB, 128 << 10, NOW).unwrap();
        assert!(seek.stale && seek.ranges.is_empty(), "{seek:?}");
        let ranges = read_on(&mut streams, ONE, 500 * MIB + (128 << 10), 501 * MIB);
        assert!(ranges[0].start > 500 * MIB && ranges[0].end < 502 * MIB, "{ranges:?}");
        let again = streams.read(ONE, 0, 4096, NOW).unwrap();
        assert!(again.stale);
        assert_eq!(streams.streams[&ONE].outstanding(), 0);
        assert!(streams.close(ONE));
    }

    #[test]
    fn requests_that_overtake_each_other_are_still_in_order() {
        let mut streams = streams(32 * MIB, 1);
        let mut stale = 0;
        let mut asked = 0;
        for pair in 0..40 {
            for at in [2 * pair + 1, 2 * pair] {
                let plan = streams.read(ONE, at * MIB, MIB, NOW).unwrap_or_default();
                stale += u32::from(plan.stale);
                asked += plan.ranges.iter().map(|range| range.end - range.start).sum::<u64>();
            }
        }
        assert_eq!(stale, 0);
        assert!(asked >= 100 * MIB, "{asked}");
    }

    #[test]
    fn a_request_that_many_have_overtaken_is_no_seek_and_one_before_the_beginning_is() {
        let mut streams = streams(32 * MIB, 1);
        read_on(&mut streams, ONE, 500 * MIB, 510 * MIB);
        for block in 0..10 {
            // The first of nine comes last.
            for at in (0..9).map(|n| 510 + block * 9 + (n + 1) % 9) {
                let plan = streams.read(ONE, at * MIB, MIB, NOW).unwrap_or_default();
                assert!(!plan.stale, "the request at {at} MiB");
            }
        }
        assert!(streams.streams[&ONE].outstanding() >= 20 * MIB, "it is read ahead of as before");
        assert!(streams.read(ONE, 499 * MIB, 4096, NOW).unwrap().stale, "nobody has read there yet");
    }

    #[test]
    fn an_even_stride_is_followed_forwards_and_backwards() {
        for (start, stride) in [(0_i64, 10 << 20), (900 << 20, -(7_i64 << 20))] {
            let mut streams = streams(32 * MIB, 1);
            let mut asked = Vec::new();
            for n in 0..30 {
                let at = u64::try_from(start + n * stride).unwrap();
                if n > 4 {
                    assert!(asked.contains(&at), "place {n} of stride {stride} was not foreseen");
                }
                let plan = streams.read(ONE, at, 64 << 10, NOW).unwrap_or_default();
                assert!(!plan.stale, "place {n}");
                asked.extend(plan.ranges.iter().map(|range| range.start));
            }
            let once: std::collections::HashSet<_> = asked.iter().collect();
            assert_eq!(once.len(), asked.len(), "nothing is asked for twice");
            assert!(asked.len() <= 30 + MOST_STRIDES as usize);
            assert!(streams.read(ONE, 3_000 * MIB, 4096, NOW).unwrap().stale, "a jump elsewhere ends it");
        }
    }

    #[test]
    fn streams_share_the_budget_and_sleepers_give_theirs_back() {
        let mut streams = streams(32 * MIB, 4);
        let outstanding = |streams: &Streams| streams.streams.values().map(Stream::outstanding).sum::<u64>();
        read_on(&mut streams, ONE, 0, 64 * MIB);
        assert!(outstanding(&streams) > 24 * MIB, "one stream may have it all");
        for round in 0..64 {
            for handle in 1..=4 {
                let start = if handle == 1 { 64 * MIB } else { 0 };
                read_on(&mut streams, Handle(handle), start + round * MIB, start + (round + 1) * MIB);
                assert!(outstanding(&streams) <= 33 * MIB, "{} in all", outstanding(&streams));
            }
        }
        for (handle, stream) in &streams.streams {
            let share = stream.outstanding();
            assert!((4 * MIB..=9 * MIB).contains(&share), "{handle:?} has {share}");
        }
        let later = NOW + ASLEEP;
        for n in 0..64 {
            streams.read(Handle(2), 64 * MIB + n * MIB, MIB, later);
        }
        assert!(streams.streams[&Handle(2)].outstanding() > 20 * MIB, "the others sleep");
    }

    #[test]
    fn a_slow_link_gets_what_it_carries_in_a_few_seconds_and_a_quick_one_all() {
        let mut streams = streams(32 * MIB, 1);
        streams.within(Some(MIB));
        read_on(&mut streams, ONE, 0, 64 * MIB);
        assert!((3 * MIB..=4 * MIB).contains(&streams.streams[&ONE].outstanding()));
        streams.within(Some(1));
        assert_eq!(streams.budget, LEAST_SHARE);
        streams.within(None);
        read_on(&mut streams, ONE, 64 * MIB, 128 * MIB);
        assert!(streams.streams[&ONE].outstanding() > 24 * MIB);
        streams.within(Some(u64::MAX));
        assert_eq!(streams.budget, 32 * MIB);
    }

    #[test]
    fn small_files_bring_their_surroundings_in_proportion() {
        let mut streams = streams(32 * MIB, 0);
        let pack = PackNo(3);
        let mut fetched = std::collections::BTreeSet::new();
        // In no order, as a listing has them.
        for n in 0..1000_u64 {
            let at = n * 389 % 1000 * 15_000;
            if let Some(range) = streams.sweep(pack, at, 15_000) {
                assert!(range.contains(&at));
                fetched.extend((range.start >> 16)..(range.end >> 16));
            }
            let used = (n + 1) * 15_000;
            assert!(
                ((fetched.len() as u64) << 16) <= SWEEP_RATIO * used + (1 << 16),
                "{} chunks after {n}",
                fetched.len()
            );
        }
        assert!(fetched.len() as u64 >= 15_000_000 >> 16, "all of it in the end");
        assert!(streams.sweep(PackNo(4), 0, 100).is_none() && streams.sweep(PackNo(4), 100, 100).is_none());
    }
}
