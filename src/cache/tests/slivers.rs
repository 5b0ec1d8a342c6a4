//! Both tiers together: bounds, what stays, what comes back, damage, a disk that runs full.

use super::*;
use std::path::Path;
use std::time::{Duration, Instant};

fn key(n: u16) -> SliverKey {
    SliverKey { blob: [7; 32], row: n }
}

fn sliver(n: u8, len: usize) -> Sliver {
    Sliver {
        bytes: (0..len).map(|i| n.wrapping_add(i as u8)).collect::<Vec<_>>().into(),
        verified: n.is_multiple_of(2),
    }
}

fn config(dir: &Path) -> CacheConfig {
    CacheConfig { dir: Some(dir.to_owned()), disk_bytes: 1 << 20, memory_bytes: 300_000, disk_min_free: 0 }
}

/// Opens the cache and waits until it knows what is there.
fn open(config: &CacheConfig) -> SliverCache {
    let cache = SliverCache::open(config);
    let started = Instant::now();
    while !cache.disk.as_ref().unwrap().is_scanned() {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(1));
    }
    cache
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if ![super::super::order::NAME, super::super::sizes::NAME].iter().any(|name| path.ends_with(name)) {
            found.push(path);
        }
    }
    found
}

fn only_file(dir: &Path) -> PathBuf {
    let found = files(dir);
    assert_eq!(found.len(), 1);
    found[0].clone()
}

#[test]
fn memory_is_bounded() {
    let cache = SliverCache::open(&CacheConfig { dir: None, memory_bytes: 3000, ..CacheConfig::default() });
    for n in 0..9 {
        cache.keep_in_memory(key(n), sliver(n as u8, 1000));
        assert_eq!(cache.in_memory(key(n), &(0..10)).unwrap().bytes[0], n as u8);
    }
    cache.keep_in_memory(key(10), sliver(9, 3001));
    assert!(cache.in_memory(key(10), &(0..10)).is_none(), "larger than the tier");
    let stats = cache.stats();
    assert_eq!((stats.memory_bytes, stats.evictions, stats.memory_hits, stats.memory_read_bytes), (3000, 6, 9, 90));
}

#[test]
fn disk_survives_reopening_and_serves_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let whole = sliver(4, 200_001);
    SliverCache::open(&config(dir.path())).keep_on_disk(key(1), &whole);
    // At once, while nobody has looked yet what is there.
    let cache = SliverCache::open(&config(dir.path()));
    assert!(cache.may_hold(key(1)));
    for range in [0..200_001, 0..1, 65_535..65_537, 131_072..200_001, 200_000..200_001, 70_000..70_000] {
        let got = cache.on_disk(key(1), range.clone()).unwrap();
        assert_eq!(got.bytes, whole.bytes.slice(range));
        assert!(got.verified);
    }
    assert!(cache.on_disk(key(1), 0..200_002).is_none(), "past the end");
    assert!(cache.on_disk(key(2), 0..1).is_none());
    drop(cache);
    let cache = open(&config(dir.path()));
    assert!(cache.holds(key(1)) && !cache.may_hold(key(2)));
    assert!(cache.stats().disk_bytes > 200_001);
}

#[test]
fn a_pass_over_more_than_the_disk_cache_leaves_what_was_used_twice_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let read = |cache: &SliverCache, n: u16| {
        let mut missed = false;
        for start in (0..50_000).step_by(10_000) {
            if cache.on_disk(key(n), start..start + 10_000).is_none() {
                missed = true;
                cache.keep_on_disk(key(n), &sliver(n as u8, 50_000));
            }
        }
        missed
    };
    let cache = open(&config(dir.path()));
    for _ in 0..2 {
        (0..10).for_each(|n| _ = read(&cache, n));
    }
    (100..130).for_each(|n| assert!(read(&cache, n)));
    drop(cache);
    let cache = open(&config(dir.path()));
    (200..260).for_each(|n| assert!(read(&cache, n)));
    let kept = (0..10).filter(|n| cache.holds(key(*n))).count();
    assert_eq!(kept, 10, "twenty slivers fit, ninety were read once, ten twice");
    assert!(cache.stats().disk_bytes <= 1 << 20);
    assert!(cache.stats().evictions >= 50);
}

#[test]
fn an_order_that_is_lost_costs_nothing_but_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(&config(dir.path()));
    (0..5).for_each(|n| cache.keep_on_disk(key(n), &sliver(2, 1000)));
    drop(cache);
    std::fs::write(dir.path().join(super::super::order::NAME), b"nonsense").unwrap();
    let cache = open(&config(dir.path()));
    assert!((0..5).all(|n| cache.on_disk(key(n), 0..1000).is_some()));
    drop(cache);
    // Files that went while nobody looked are not believed in.
    files(dir.path()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let cache = open(&config(dir.path()));
    assert!((0..5).all(|n| !cache.holds(key(n))));
    assert_eq!(cache.stats().disk_bytes, 0);
}

#[test]
fn a_flipped_bit_anywhere_is_detected_and_the_file_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let whole = sliver(6, 70_000);
    let file_len = {
        let cache = SliverCache::open(&config(dir.path()));
        cache.keep_on_disk(key(1), &whole);
        std::fs::metadata(only_file(dir.path())).unwrap().len()
    };
    for position in (0..file_len).step_by(997).chain([0, 9, file_len - 1]) {
        let cache = SliverCache::open(&config(dir.path()));
        cache.keep_on_disk(key(1), &whole);
        let file = only_file(dir.path());
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[position as usize] ^= 0x10;
        std::fs::write(&file, bytes).unwrap();
        assert!(cache.on_disk(key(1), 0..70_000).is_none(), "flip at {position} went unnoticed");
        assert!(!file.exists(), "the wrong file is dropped");
        assert_eq!(cache.stats().corrupt, 1);
    }
}

#[test]
fn many_threads_read_write_and_forget_and_nobody_sees_wrong_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(&config(dir.path()));
    let until = Instant::now() + Duration::from_secs(1);
    std::thread::scope(|scope| {
        for thread in 0..8_u16 {
            let cache = &cache;
            scope.spawn(move || {
                let mut step = thread;
                while Instant::now() < until {
                    step = step.wrapping_mul(31).wrapping_add(7);
                    let n = step % 40;
                    match step % 7 {
                        0 => cache.forget(key(n)),
                        1 | 2 => {
                            cache.keep_on_disk(key(n), &sliver(n as u8, 60_000));
                            cache.keep_in_memory(key(n), sliver(n as u8, 60_000));
                        }
                        _ => {
                            let range = usize::from(step)..usize::from(step) + 300;
                            let range = range.start % 59_000..range.start % 59_000 + 300;
                            let wanted = sliver(n as u8, 60_000).bytes.slice(range.clone());
                            if let Some(found) = cache.on_disk(key(n), range.clone()) {
                                assert_eq!(found.bytes, wanted);
                            }
                            if let Some(found) = cache.in_memory(key(n), &range) {
                                assert_eq!(found.bytes.slice(range), wanted);
                            }
                        }
                    }
                }
            });
        }
    });
    let stats = cache.stats();
    assert_eq!((stats.corrupt, stats.disk_errors), (0, 0));
    assert!(stats.disk_bytes <= 1 << 20 && stats.memory_bytes <= 300_000);
    let on_disk: u64 = files(dir.path()).iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
    assert!(on_disk <= 1 << 20, "{on_disk} bytes of files");
}

#[test]
fn pinned_slivers_stay_and_leave_no_more_room_than_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(&config(dir.path()));
    cache.pin((0..9).map(key).collect());
    (0..9).for_each(|n| cache.keep_on_disk(key(n), &sliver(2, 100_000)));
    (20..60).for_each(|n| cache.keep_on_disk(key(n), &sliver(2, 100_000)));
    assert!((0..9).all(|n| cache.holds(key(n))));
    assert!(cache.holds(key(59)), "what room is left is used");
    assert!(cache.stats().pinned_bytes > 900_000 && cache.stats().disk_bytes <= 1 << 20);
    cache.pin((0..11).map(key).collect());
    (9..11).for_each(|n| cache.keep_on_disk(key(n), &sliver(2, 100_000)));
    assert!(!cache.holds(key(10)), "nothing may be dropped for it");
    cache.pin(HashSet::new());
    (60..90).for_each(|n| cache.keep_on_disk(key(n), &sliver(2, 100_000)));
    assert!((0..9).all(|n| !cache.holds(key(n))));
}

#[test]
fn another_process_of_the_same_drive_reads_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&config(dir.path()));
    first.keep_on_disk(key(1), &sliver(4, 1000));
    let second = open(&config(dir.path()));
    assert_eq!(second.on_disk(key(1), 0..1000).unwrap().bytes, sliver(4, 1000).bytes);
    second.keep_on_disk(key(2), &sliver(4, 1000));
    assert!(second.on_disk(key(2), 0..1000).is_none());
    assert_eq!((first.disk_limit(), second.disk_limit()), (1 << 20, 0));
    first.keep_on_disk(key(3), &sliver(4, 1000));
    assert!(second.may_hold(key(3)) && second.on_disk(key(3), 0..1).is_some(), "what comes later is seen too");
    second.clear();
    assert!(first.on_disk(key(1), 0..1000).is_some(), "the folder is the first one's");
}

/// A filesystem of its own; needs root, as every mounted test does.
struct Small(tempfile::TempDir);

impl Small {
    fn new(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={bytes}");
        let none = None::<&str>;
        nix::mount::mount(none, dir.path(), Some("tmpfs"), nix::mount::MsFlags::empty(), Some(options.as_str()))
            .unwrap();
        Self(dir)
    }

    fn free(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(self.0.path()).unwrap();
        stat.blocks_available() * stat.fragment_size()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_disk_that_runs_full_makes_the_cache_smaller_and_never_fails_anybody() {
    const MIB: u64 = 1 << 20;
    let small = Small::new(32 * MIB);
    let dir = small.0.path().join("cache");
    // A reserve for a large disk: a tenth of a small one, 3.2 MiB.
    let cache = open(&CacheConfig { disk_bytes: 64 * MIB, disk_min_free: 1 << 30, ..config(&dir) });
    (0..40).for_each(|n| cache.keep_on_disk(key(n), &sliver(2, MIB as usize)));
    assert!(cache.holds(key(39)), "the newest found room");
    assert!(small.free() >= 3 * MIB, "the reserve stays free");
    let before = cache.stats().disk_bytes;
    assert!(before >= 25 * MIB, "the rest is used");
    // Somebody else takes the reserve and more: the keeper makes room without any read or write of ours.
    std::fs::write(small.0.path().join("other"), vec![1; small.free() as usize - 4096]).unwrap();
    cache.disk.as_ref().unwrap().look();
    assert!(small.free() >= 3 * MIB, "{} bytes are free", small.free());
    let after = cache.stats().disk_bytes;
    assert!(after + 3 * MIB <= before && after > 10 * MIB, "{before} before, {after} after");
    // And a write into what is left works, within the same bounds.
    cache.keep_on_disk(key(100), &sliver(2, MIB as usize));
    assert!(cache.on_disk(key(100), 0..MIB as usize).is_some());
    assert!(small.free() >= 3 * MIB);
    // Everything taken: nothing is left to drop, nothing is kept, nothing fails.
    std::fs::write(small.0.path().join("rest"), vec![1; small.free() as usize]).unwrap();
    cache.disk.as_ref().unwrap().look();
    std::fs::write(small.0.path().join("more"), vec![1; small.free() as usize]).unwrap();
    for _ in 0..20 {
        cache.disk.as_ref().unwrap().look();
        let taken = small.free() as usize;
        std::fs::write(small.0.path().join(format!("more-{taken}")), vec![1; taken]).unwrap();
    }
    cache.keep_on_disk(key(101), &sliver(2, MIB as usize));
    assert_eq!(cache.stats().disk_errors, 0);
}
