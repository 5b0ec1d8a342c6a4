//! File content, sentence by sentence.

use super::world::{ROOT, SUPER, World};
use crate::ids::{CHUNK, Ino};
use crate::journal::Limits;
use crate::tree::record::Time;
use crate::vfs::*;
use libc::*;
use std::sync::atomic::Ordering::Relaxed;

const CHUNK_U64: u64 = CHUNK as u64;

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at / 251) as u8 ^ at as u8 ^ seed).collect()
}

/// S-READ-1
#[test]
fn reads_see_the_newest_bytes_at_every_stage() {
    let world = World::new();
    for (number, len) in [1usize, 100, 2048, 2049, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7].into_iter().enumerate() {
        let file = world.file(ROOT, &format!("f{number}"));
        let mut expected = pattern(len, 1);
        world.write(file, 0, &expected);
        for stage in 0..3u8 {
            assert_eq!(world.read(file, 0, 1 << 20), expected, "{len} bytes, stage {stage}");
            assert_eq!(world.read(file, len as u64 / 2, 10), expected[len / 2..(len / 2 + 10).min(len)]);
            assert!(world.read(file, len as u64, 10).is_empty());
            assert_eq!(world.attr(file).size, len as u64);
            world.write_back();
            assert_eq!(world.vfs.counts().dirty_bytes, 0);
            assert_eq!(world.read(file, 0, 1 << 20), expected, "{len} bytes, stage {stage}");
            let at = len / 3;
            let part = pattern(len / 4, 9 + stage);
            expected[at..at + part.len()].copy_from_slice(&part);
            world.write(file, at as u64, &part);
        }
    }
    assert_eq!(world.errno(|vfs| vfs.read(ROOT, 0, 1)), EISDIR);
    assert_eq!(world.errno(|vfs| vfs.write(ROOT, 0, b"x", WriteFlags::default())), EISDIR);
}

/// S-WRITE-1, S-BLOCKS-1
#[test]
fn files_may_be_sparse_and_large() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    let last = MAX_FILE - 3;
    world.write(file, last, b"end");
    world.write(file, 10 << 30, b"middle");
    for _ in 0..2 {
        assert_eq!(world.attr(file).size, MAX_FILE);
        assert_eq!(world.attr(file).blocks, 2 * CHUNK_U64 / 512);
        assert_eq!(world.read(file, last - 2, 100), b"\0\0end");
        assert_eq!(world.read(file, (10 << 30) - 1, 8), b"\0middle\0");
        assert_eq!(world.read(file, 1 << 40, 4), [0; 4]);
        world.write_back();
    }
    assert_eq!(world.errno(|vfs| vfs.write(file, MAX_FILE, b"x", WriteFlags::default())), EFBIG);
    assert_eq!(world.ok(|vfs| vfs.write(file, MAX_FILE - 1, b"xyz", WriteFlags::default())), 1);
    let big = SetAttr { size: Some(MAX_FILE + 1), ..SetAttr::default() };
    assert_eq!(world.errno(|vfs| vfs.setattr(&SUPER, file, &big)), EFBIG);
    world.truncate(file, 3);
    assert_eq!((world.attr(file).blocks, world.read(file, 0, 9)), (0, vec![0; 3]));
    let small = world.file(ROOT, "small");
    world.write(small, 0, &[1; 600]);
    assert_eq!(world.attr(small).blocks, 2);
    world.write_back();
    assert_eq!(world.attr(small).blocks, 2);
}

/// S-WRITE-2
#[test]
fn a_partial_write_does_not_need_the_chunk() {
    let mut world = World::new();
    let file = world.file(ROOT, "f");
    let mut expected = pattern(3 * CHUNK, 3);
    world.write(file, 0, &expected);
    let cut = world.cut();
    world.commit(cut);
    world.elsewhere();
    let file = world.lookup(ROOT, "f");
    world.fetched.store(0, Relaxed);
    for (at, text) in [(100usize, "one"), (CHUNK - 2, "across"), (2 * CHUNK + 5, "three")] {
        world.write(file, at as u64, text.as_bytes());
        expected[at..at + text.len()].copy_from_slice(text.as_bytes());
        world.fsync(file);
    }
    world.truncate(file, 2 * CHUNK_U64 + 7);
    expected.truncate(2 * CHUNK + 7);
    assert_eq!(world.fetched.load(Relaxed), 0);
    assert_eq!(world.read(file, 0, 1 << 20), expected);
    assert_eq!(world.fetched.load(Relaxed), 3);
}

/// S-WRITE-3
#[test]
fn memory_is_bounded_and_a_full_pool_is_enospc() {
    let config = Config { dirty_bytes: 4 * CHUNK_U64, ..Config::default() };
    let world = World::with(config, Limits::default());
    let file = world.file(ROOT, "f");
    let mut waited = 0;
    for number in 0..20u64 {
        let data = pattern(CHUNK, number as u8);
        if let Outcome::Wait(needs) = world.vfs.write(file, number * CHUNK_U64, &data, WriteFlags::default()) {
            assert_eq!(needs, Needs { write_back: Some(Scope::All), ..Needs::default() });
            waited += 1;
            world.write(file, number * CHUNK_U64, &data);
        }
        assert!(world.vfs.counts().dirty_bytes <= 5 * CHUNK_U64);
    }
    assert!(waited > 2);
    for number in 0..20 {
        assert_eq!(world.read(file, number * CHUNK_U64, CHUNK as u32), pattern(CHUNK, number as u8));
    }
    world.vfs.set_space(1 << 20, 0);
    assert_eq!(world.errno(|vfs| vfs.write(file, 0, b"x", WriteFlags::default())), ENOSPC);
}

/// S-FULL-1, S-STATFS-1
#[test]
fn a_full_pool_refuses_growth_and_takes_removals() {
    let world = World::new();
    let (file, dir) = (world.file(ROOT, "f"), world.mkdir(ROOT, "d"));
    world.vfs.set_space(1 << 20, 500 << 10);
    world.write(file, 0, &[1; 100 << 10]);
    let stat = world.ok(Vfs::statfs);
    assert_eq!((stat.capacity, stat.inodes), (1 << 20, 3));
    assert!(stat.free <= 424 << 10 && stat.free > 300 << 10, "{stat:?}");
    world.write_back();
    let after = world.ok(Vfs::statfs).free;
    assert!(after.abs_diff(stat.free) < 1024, "the same in the journal as in memory: {after}");
    world.vfs.set_space(1 << 20, 1 << 20);
    assert_eq!(world.ok(Vfs::statfs).free, 0);
    assert_eq!(world.errno(|vfs| vfs.write(file, 0, b"x", WriteFlags::default())), ENOSPC);
    assert_eq!(world.errno(|vfs| vfs.create(&SUPER, ROOT, b"x", 0, O_RDWR)), ENOSPC);
    assert_eq!(world.errno(|vfs| vfs.mkdir(&SUPER, dir, b"x", 0)), ENOSPC);
    let allocate = Fallocate::Allocate { keep_size: true };
    assert_eq!(world.errno(|vfs| vfs.fallocate(&SUPER, file, 0, 1 << 20, allocate)), ENOSPC);
    world.truncate(file, 10);
    world.ok(|vfs| vfs.rmdir(ROOT, b"d"));
    world.ok(|vfs| vfs.unlink(ROOT, b"f"));
}

/// S-FULL-2
#[test]
fn a_full_journal_makes_writes_wait_and_takes_removals() {
    let limits = Limits { bytes: 4 << 20, reserve: 1 << 20, segment: 1 << 20 };
    let mut world = World::with(Config::default(), limits);
    let file = world.file(ROOT, "f");
    let mut at = 0;
    let space = Needs { space: Some(world.vfs.times_freed()), ..Needs::default() };
    assert!(!world.vfs.counts().short_of_room);
    loop {
        match world.vfs.write(file, at, &[7; CHUNK], WriteFlags::default()) {
            Outcome::Done(done) => at += u64::from(done.unwrap()),
            Outcome::Wait(needs) => {
                assert_eq!(needs, space);
                break;
            }
        }
        world.write_back();
    }
    assert!((2 << 20..3 << 20).contains(&at), "{at}");
    assert!(world.vfs.counts().short_of_room, "the pipeline is told to commit");
    while let Outcome::Done(made) = world.vfs.mkdir(&SUPER, ROOT, format!("d{at}").as_bytes(), 0) {
        made.unwrap();
        at += 1;
    }
    assert!(world.ok(|vfs| vfs.open(file, O_RDWR)).direct_io);
    world.truncate(file, 100);
    world.ok(|vfs| vfs.unlink(ROOT, b"f"));
    let cut = world.cut();
    world.commit(cut);
    assert!(space.space < Some(world.vfs.times_freed()) && !world.vfs.counts().short_of_room);
    assert!(!world.ok(|vfs| vfs.open(file, O_RDWR)).direct_io);
    world.mkdir(ROOT, "there is room again");
}

/// S-FULL-6
#[test]
fn what_the_disk_cannot_hold_is_not_taken_into_memory() {
    let limits = Limits { bytes: 64 << 20, reserve: 1 << 20, segment: 1 << 20 };
    let world = World::with(Config::default(), limits);
    let file = world.file(ROOT, "f");
    world.disk.leave(4 << 20);
    world.ok(|vfs| vfs.tick());
    let fits = (0..).take_while(|at| {
        matches!(world.vfs.write(file, at * CHUNK as u64, &[7; CHUNK], WriteFlags::default()), Outcome::Done(Ok(_)))
    });
    let bytes = fits.count() * CHUNK;
    assert!((2 << 20..=3 << 20).contains(&bytes), "{bytes} bytes were taken, none of them written yet");
    assert!(world.vfs.counts().short_of_room && world.ok(|vfs| vfs.open(file, O_RDWR)).direct_io);
    let seen = world.vfs.times_freed();
    world.ok(|vfs| vfs.tick());
    assert_eq!(world.vfs.times_freed(), seen, "the disk is as full as before");
    world.disk.leave(32 << 20);
    world.ok(|vfs| vfs.tick());
    assert!(world.vfs.times_freed() > seen && !world.vfs.counts().short_of_room, "who waits is told");
    assert!(matches!(world.vfs.write(file, 0, &[7; CHUNK], WriteFlags::default()), Outcome::Done(Ok(_))));
}

/// S-TRUNC-1
#[test]
fn what_a_truncate_cut_off_never_comes_back() {
    for len in [100u64, 3000, CHUNK_U64 + 100, 3 * CHUNK_U64] {
        for to in [0, 1, 50, 2500, CHUNK_U64 - 1, CHUNK_U64, CHUNK_U64 + 50].into_iter().filter(|to| *to < len) {
            for stage in 0..4 {
                let mut world = World::new();
                let file = world.file(ROOT, "f");
                let data = pattern(len as usize, 0x55);
                world.write(file, 0, &data);
                match stage {
                    0 => {}
                    1 => world.write_back(),
                    2 => {
                        let cut = world.cut();
                        world.commit(cut);
                        world.write(file, to.saturating_sub(1), b"??");
                        world.write(file, 0, &data);
                    }
                    _ => {
                        let cut = world.cut();
                        world.commit(cut);
                    }
                }
                world.truncate(file, to);
                if stage % 2 == 1 {
                    world.fsync(file);
                    world.power_cut(stage);
                }
                world.truncate(file, len);
                let mut expected = data[..to as usize].to_vec();
                expected.resize(len as usize, 0);
                for _ in 0..2 {
                    assert!(world.read(file, 0, 1 << 20) == expected, "{len} -> {to}, stage {stage}");
                    world.write_back();
                }
                world.write(file, len + CHUNK_U64, b"x");
                expected.resize((len + CHUNK_U64) as usize, 0);
                expected.push(b'x');
                assert!(world.read(file, 0, 1 << 20) == expected, "{len} -> {to}, stage {stage}");
            }
        }
    }
}

/// S-TRUNC-2
#[test]
fn truncate_sets_times_and_frees() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[1; 10 * CHUNK]);
    world.write_back();
    let before = world.attr(file);
    world.tick_ms(1);
    world.truncate(file, CHUNK_U64);
    let after = world.attr(file);
    assert!(after.mtime > before.mtime && after.ctime > before.ctime);
    assert_eq!((before.blocks, after.blocks), (1280, 128));
}

/// S-FALLOC-1
#[test]
fn fallocate_in_all_its_forms() {
    let len = 4 * CHUNK;
    let zero = |keep_size| Fallocate::Zero { keep_size };
    let cases = [
        (Fallocate::Punch, 5000, 100_000, false),
        (Fallocate::Punch, 0, len, false),
        (Fallocate::Punch, CHUNK, CHUNK, false),
        (Fallocate::Punch, 3 * CHUNK + 5, 10 * CHUNK, false),
        (zero(true), 10, 20, false),
        (zero(true), len - 10, 100, false),
        (zero(false), len - 10, 100, true),
        (zero(false), 2 * CHUNK - 1, 2, true),
        (Fallocate::Allocate { keep_size: true }, 0, 10 * len, false),
        (Fallocate::Allocate { keep_size: false }, len, 100, true),
    ];
    for written in [false, true] {
        for (what, offset, size, grows) in cases {
            let world = World::new();
            let file = world.file(ROOT, "f");
            let mut expected = pattern(len, 0x33);
            world.write(file, 0, &expected);
            if written {
                world.write_back();
            }
            world.ok(|vfs| vfs.fallocate(&SUPER, file, offset as u64, size as u64, what));
            if grows && offset + size > len {
                expected.resize(offset + size, 0);
            }
            let end = (offset + size).min(expected.len());
            if !matches!(what, Fallocate::Allocate { .. }) && offset < end {
                expected[offset..end].fill(0);
            }
            for _ in 0..2 {
                assert!(world.read(file, 0, 1 << 20) == expected, "{what:?} {offset} {size}");
                world.write_back();
            }
        }
    }
    let world = World::new();
    let file = world.file(ROOT, "f");
    assert_eq!(world.errno(|vfs| vfs.fallocate(&SUPER, file, 0, 0, Fallocate::Punch)), EINVAL);
    assert_eq!(world.errno(|vfs| vfs.fallocate(&SUPER, file, MAX_FILE, 1, Fallocate::Punch)), EFBIG);
    assert_eq!(Fallocate::from_mode(FALLOC_FL_PUNCH_HOLE), None);
    assert_eq!(Fallocate::from_mode(FALLOC_FL_COLLAPSE_RANGE), None);
    assert_eq!(Fallocate::from_mode(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), Some(Fallocate::Punch));
    // A punched inline file, dirty and not.
    world.write(file, 0, &[1; 100]);
    world.write_back();
    world.ok(|vfs| vfs.fallocate(&SUPER, file, 10, 80, Fallocate::Punch));
    assert_eq!(world.read(file, 8, 4), [1, 1, 0, 0]);
    world.ok(|vfs| vfs.fallocate(&SUPER, file, 0, 100, Fallocate::Punch));
    world.write_back();
    assert_eq!(world.read(file, 0, 200), [0; 100]);
}

/// S-SEEK-1
#[test]
fn data_and_holes() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 1 << 20, &[1; CHUNK]);
    world.truncate(file, 40 << 20);
    world.write(file, (20 << 20) + 5, b"x");
    let seek = |offset, what| world.call(|vfs| vfs.lseek(file, offset, what)).map_err(|error| error.errno());
    for _ in 0..2 {
        assert_eq!(seek(0, Seek::Data), Ok(1 << 20));
        assert_eq!(seek((1 << 20) + 9, Seek::Data), Ok((1 << 20) + 9));
        assert_eq!(seek(1 << 20, Seek::Hole), Ok((1 << 20) + CHUNK_U64));
        assert_eq!(seek(0, Seek::Hole), Ok(0));
        assert_eq!(seek((1 << 20) + CHUNK_U64, Seek::Data), Ok(20 << 20));
        assert_eq!(seek(21 << 20, Seek::Data), Err(ENXIO));
        assert_eq!(seek(40 << 20, Seek::Hole), Err(ENXIO));
        assert_eq!(seek(39 << 20, Seek::Hole), Ok(39 << 20));
        world.write_back();
    }
    let small = world.file(ROOT, "small");
    world.write(small, 0, b"inline");
    for _ in 0..2 {
        assert_eq!(world.ok(|vfs| vfs.lseek(small, 2, Seek::Data)), 2);
        assert_eq!(world.ok(|vfs| vfs.lseek(small, 2, Seek::Hole)), 6);
        world.write_back();
    }
}

/// S-COPY-1
#[test]
fn ranges_are_copied() {
    let mut world = World::new();
    let (a, b) = (world.file(ROOT, "a"), world.file(ROOT, "b"));
    let data = pattern(6 * CHUNK + 100, 0x77);
    let copy = |world: &World, from: Ino, at: usize, to: Ino, to_at: usize, len: usize| {
        let mut done = 0;
        while done < len {
            let (at, to_at, rest) = ((at + done) as u64, (to_at + done) as u64, (len - done) as u64);
            let mut barrier = Barrier::default();
            match world.ok(|vfs| vfs.copy_file_range((from, at), (to, to_at), rest, &mut barrier)) {
                0 => break,
                more => done += more as usize,
            }
        }
        done
    };
    world.write(a, 0, &data);
    assert_eq!(copy(&world, a, 10, b, 3, 1000), 1000);
    let mut expected = vec![0; 3];
    expected.extend_from_slice(&data[10..1010]);
    assert_eq!(world.read(b, 0, 1 << 20), expected);
    for stage in 0..3 {
        let c = world.file(ROOT, &format!("c{stage}"));
        world.write(c, 0, &[9; CHUNK]);
        assert_eq!(copy(&world, a, CHUNK, c, 2 * CHUNK, 10 * CHUNK), data.len() - CHUNK);
        assert_eq!(copy(&world, a, 5, c, 100, CHUNK), CHUNK);
        let mut expected = vec![9; CHUNK];
        expected.resize(2 * CHUNK, 0);
        expected.extend_from_slice(&data[CHUNK..]);
        expected[100..100 + CHUNK].copy_from_slice(&data[5..5 + CHUNK]);
        assert!(world.read(c, 0, 1 << 20) == expected, "stage {stage}");
        world.write(a, 0, &data[..1]);
        if stage == 0 {
            world.write_back();
        } else {
            let cut = world.cut();
            world.commit(cut);
        }
        assert!(world.read(c, 0, 1 << 20) == expected, "stage {stage}");
        world.write(a, 2 * CHUNK_U64, b"the source changes, the copy does not");
        world.write(a, 2 * CHUNK_U64, &data[2 * CHUNK..2 * CHUNK + 100]);
        assert!(world.read(c, 0, 1 << 20) == expected, "stage {stage}");
    }
    assert_eq!(copy(&world, a, data.len() + 5, b, 0, 10), 0);
    let mut barrier = Barrier::default();
    assert_eq!(world.errno(|vfs| vfs.copy_file_range((a, 0), (a, 50), 100, &mut barrier)), EINVAL);
    assert_eq!(copy(&world, a, 0, a, 7 * CHUNK, 100), 100);
    assert_eq!(world.errno(|vfs| vfs.copy_file_range((ROOT, 0), (a, 50), 100, &mut barrier)), EISDIR);
}

/// S-COPY-2
#[test]
fn chunks_are_shared_and_change_apart() {
    const LEN: usize = 20 * CHUNK + 77;
    let mut world = World::new();
    let data = pattern(LEN, 0x31);
    let copy = |world: &World, from: Ino, to: Ino, at: u64| {
        let mut barrier = Barrier::default();
        world.ok(|vfs| vfs.copy_file_range((from, 0), (to, at), 1 << 31, &mut barrier))
    };
    let source = world.file(ROOT, "source");
    world.write(source, 0, &data);
    let (mut clones, mut on_its_way) = (Vec::new(), None);
    // From the spool, from a cut on its way, from packs; the last one is shared a second time.
    for stage in 0..4 {
        let clone = world.file(ROOT, &format!("clone {stage}"));
        let pending = world.vfs.counts().pending_bytes;
        assert_eq!(copy(&world, if stage == 3 { clones[2] } else { source }, clone, 0), LEN as u64, "stage {stage}");
        assert_eq!(world.attr(clone).size, LEN as u64);
        assert_eq!(world.attr(clone).blocks, world.attr(source).blocks);
        if stage > 0 {
            assert_eq!(world.vfs.counts().pending_bytes, pending, "stage {stage}: nothing is stored again");
        }
        clones.push(clone);
        match stage {
            0 => on_its_way = Some(world.cut()),
            1 => {
                world.commit(on_its_way.take().unwrap());
                let cut = world.cut();
                world.commit(cut);
                world.elsewhere();
            }
            _ => {}
        }
    }
    assert_eq!(world.fetched.load(Relaxed), 0, "sharing fetches nothing");
    world.write(source, 5 * CHUNK_U64 + 1, b"the source");
    world.write(clones[0], 7 * CHUNK_U64, &[1; CHUNK]);
    world.truncate(clones[1], CHUNK_U64 + 5);
    world.ok(|vfs| vfs.unlink(ROOT, b"clone 2"));
    for round in 0..3 {
        let mut expected = data.clone();
        expected[5 * CHUNK + 1..][..10].copy_from_slice(b"the source");
        assert!(world.read(source, 0, LEN as u32) == expected, "round {round}");
        expected.copy_from_slice(&data);
        expected[7 * CHUNK..8 * CHUNK].fill(1);
        assert!(world.read(clones[0], 0, LEN as u32) == expected, "round {round}");
        assert!(world.read(clones[1], 0, LEN as u32) == data[..CHUNK + 5], "round {round}");
        assert!(world.read(clones[3], 0, LEN as u32) == data, "round {round}");
        let cut = world.cut();
        world.commit(cut);
    }
    // Behind what the target has; over what it has, a hole included; and not over what lies behind the source's end.
    let (holes, target) = (world.file(ROOT, "holes"), world.file(ROOT, "target"));
    world.write(holes, 3 * CHUNK_U64, &[3; CHUNK + 9]);
    world.write(target, 0, &[4; 6 * CHUNK]);
    world.write_back();
    assert_eq!(copy(&world, holes, target, 0), 4 * CHUNK_U64, "whole chunks only: the target goes on");
    let mut expected = vec![0; 3 * CHUNK];
    expected.extend_from_slice(&[3; CHUNK]);
    expected.extend_from_slice(&[4; 2 * CHUNK]);
    assert!(world.read(target, 0, LEN as u32) == expected);
    assert_eq!(world.attr(target).blocks, 3 * CHUNK_U64 / 512);
    assert_eq!(copy(&world, holes, target, 6 * CHUNK_U64), 4 * CHUNK_U64 + 9);
    expected.resize(9 * CHUNK, 0);
    expected.extend_from_slice(&[3; CHUNK + 9]);
    assert!(world.read(target, 0, LEN as u32) == expected);
}

/// S-ATTR-4, S-ATTR-5
#[test]
fn writes_set_times_but_do_not_win_over_later_ones() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    let fresh = world.attr(file);
    world.tick_ms(1);
    let cached = WriteFlags { cached: true, kill_suidgid: false };
    world.ok(|vfs| vfs.write(file, 0, b"cached", cached));
    world.read(file, 0, 6);
    world.write_back();
    assert_eq!((world.attr(file).mtime, world.attr(file).atime), (fresh.mtime, fresh.atime));
    world.write(file, 0, b"direct");
    let written = world.attr(file);
    assert!(written.mtime > fresh.mtime && written.ctime > fresh.ctime && written.atime == fresh.atime);
    let time = Time { secs: 5, nanos: 6 };
    world.set(file, SetAttr { mtime: Some(SetTime::At(time)), ..SetAttr::default() });
    assert_eq!(world.attr(file).mtime, time);
    world.tick_ms(1);
    world.set(file, SetAttr { mode: Some(0o600), ..SetAttr::default() });
    let changed = world.attr(file).ctime;
    world.write_back();
    assert_eq!((world.attr(file).mtime, world.attr(file).ctime), (time, changed));
    assert_eq!(world.read(file, 0, 9), b"direct");
}
