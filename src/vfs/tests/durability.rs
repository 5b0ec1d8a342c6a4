//! fsync, power cuts, and what write-backs may not do.

use super::world::{ROOT, SUPER, World};
use crate::ids::CHUNK;
use crate::vfs::*;
use std::sync::atomic::Ordering::Relaxed;

/// S-FSYNC-1
#[test]
fn what_was_fsynced_is_there() {
    for seed in 0..20 {
        let mut world = World::new();
        let dir = world.mkdir(ROOT, "dir");
        for number in 0..5u8 {
            let temp = world.file(dir, "temp");
            let data = vec![number; 1000 * (1 + usize::from(number) * 40)];
            world.write(temp, 0, &data);
            world.fsync(temp);
            world.ok(|vfs| vfs.rename(dir, b"temp", dir, format!("file{number}").as_bytes(), RenameMode::Replace));
        }
        let mut barrier = Barrier::default();
        world.ok(|vfs| vfs.fsyncdir(dir, &mut barrier));
        world.file(dir, "not synced");
        world.power_cut(seed);
        let dir = world.lookup(ROOT, "dir");
        for number in 0..5u8 {
            let file = world.lookup(dir, &format!("file{number}"));
            let data = vec![number; 1000 * (1 + usize::from(number) * 40)];
            assert!(world.read(file, 0, 1 << 20) == data, "seed {seed}, file {number}");
        }
    }
}

/// S-FSYNC-2
#[test]
fn fsync_ends_while_others_write() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[1; CHUNK]);
    let mut barrier = Barrier::default();
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds < 10, "fsync never ends");
        match world.vfs.fsync(file, &mut barrier) {
            Outcome::Done(done) => break done.unwrap(),
            Outcome::Wait(needs) => {
                if let Some(scope) = needs.write_back {
                    world.ok(|vfs| vfs.write_back(scope));
                }
                if let Some(lsn) = needs.durable {
                    world.vfs.sync_journal(lsn).unwrap();
                }
                world.write(file, 0, &[2; CHUNK]);
            }
        }
    }
    assert!(world.vfs.counts().dirty_bytes > 0);
}

/// A write-back works without the lock: what happens to the file meanwhile wins.
#[test]
fn a_write_back_at_work_brings_nothing_back() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    let stop = std::sync::atomic::AtomicBool::new(false);
    struct Stop<'a>(&'a std::sync::atomic::AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    std::thread::scope(|scope| {
        // Also when an assertion below fails: the scope waits for its threads.
        let _stop = Stop(&stop);
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                world.write_back();
            }
        });
        for round in 0..300u64 {
            let byte = (round % 250 + 1) as u8;
            world.write(file, 0, &vec![byte; 3 * CHUNK]);
            std::thread::yield_now();
            let at = round * 613 % (3 * CHUNK as u64);
            match round % 3 {
                0 => world.truncate(file, at),
                1 => world.ok(|vfs| vfs.fallocate(&SUPER, file, at, CHUNK as u64 * 2, Fallocate::Punch)),
                _ => world.write(file, at, &[0; 1000]),
            }
            let mut expected = vec![byte; 3 * CHUNK];
            let at = at as usize;
            let end = [3 * CHUNK, (at + 2 * CHUNK).min(3 * CHUNK), at + 1000][round as usize % 3];
            expected.resize(expected.len().max(if round % 3 == 2 { end } else { 0 }), 0);
            expected[at..end].fill(0);
            world.truncate(file, expected.len() as u64);
            assert!(world.read(file, 0, 1 << 20) == expected, "round {round}");
        }
    });
    world.write_back();
    assert_eq!(world.vfs.counts().dirty_bytes, 0);
}

/// Old dirty data reaches the journal by itself.
#[test]
fn dirty_data_is_written_back_with_age() {
    let mut world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, b"young");
    world.ok(Vfs::tick);
    assert!(world.vfs.counts().dirty_bytes > 0);
    world.tick_ms(6000);
    world.ok(Vfs::tick);
    assert_eq!(world.vfs.counts().dirty_bytes, 0);
    world.kill();
    assert_eq!(world.read(world.lookup(ROOT, "f"), 0, 9), b"young");
}

/// The sync loop is woken by changes and only by them.
#[test]
fn changes_wake_the_sync_loop() {
    let world = World::new();
    let seen = world.vfs.counts().changes;
    let mut waiting = std::pin::pin!(world.vfs.touched(seen));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    world.read(world.file(ROOT, "f"), 0, 1);
    assert!(waiting.as_mut().poll(&mut context).is_ready());
    let seen = world.vfs.counts().changes;
    world.write(world.lookup(ROOT, "f"), 0, b"x");
    assert!(world.vfs.counts().changes > seen);
}

use std::future::Future;
