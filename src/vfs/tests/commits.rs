//! Cuts and commits through the real tree, packs in memory.

use super::world::{ROOT, World};
use crate::ids::CHUNK;
use crate::tree::record::{ChunkAddr, Extent, Key, Place, Record};
use crate::vfs::*;
use std::sync::atomic::Ordering::Relaxed;

/// S-CUT-1
#[test]
fn a_commit_holds_what_was_before_its_cut_and_nothing_later() {
    let mut world = World::new();
    let file = world.file(ROOT, "before");
    world.write(file, 0, &[1; 3 * CHUNK]);
    let seen = world.vfs.counts().changes;
    let cut = world.cut();
    assert_eq!((cut.changes, world.vfs.counts().changes), (seen, seen), "a write-back is no change");
    world.write(file, 5, b"later");
    world.file(ROOT, "after");
    world.write_back();
    assert!(world.vfs.counts().changes > cut.changes);
    world.commit(cut);
    let mut expected = vec![1; 3 * CHUNK];
    expected[5..10].copy_from_slice(b"later");
    assert!(world.read(file, 0, 1 << 20) == expected);
    assert_eq!(world.names(ROOT), ["after", "before"]);
    // Killed now: the commit and the journal together have everything.
    world.kill();
    assert!(world.read(file, 0, 1 << 20) == expected);
    assert_eq!(world.names(ROOT), ["after", "before"]);
    let cut = world.cut();
    world.commit(cut);
    assert_eq!(world.vfs.counts().pending_bytes, 0);
    world.elsewhere();
    assert!(world.read(file, 0, 1 << 20) == expected);
    assert_eq!(world.names(ROOT), ["after", "before"]);
}

/// Seen from elsewhere after the first commit only: the old state, whole.
#[test]
fn a_second_machine_sees_whole_commits() {
    let mut world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[1; 2 * CHUNK]);
    let cut = world.cut();
    world.write(file, 0, &[2; 10]);
    world.ok(|vfs| vfs.rename(ROOT, b"f", ROOT, b"g", RenameMode::Replace));
    world.write_back();
    world.commit(cut);
    world.elsewhere();
    assert_eq!(world.names(ROOT), ["f"]);
    assert!(world.read(file, 0, 1 << 20) == vec![1; 2 * CHUNK]);
}

fn place(world: &World, file: crate::ids::Ino) -> Place {
    match world.tree.get(&Key::extents(file, 0)).unwrap() {
        crate::tree::Fetch::Ready(Some(Record::Extents(extents))) => extents[0].place.clone(),
        other => panic!("{other:?}"),
    }
}

/// A chunk written partly before and partly after a cut: what lies on top must not go on needing a base that the commit
/// has replaced and whose pack may be deleted.
#[test]
fn a_later_part_lies_over_the_chunk_that_the_commit_made() {
    let mut world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[1; CHUNK]);
    let cut = world.cut();
    world.commit(cut);
    world.write(file, 100, &[2; 100]);
    let cut = world.cut();
    world.write(file, 150, &[3; 100]);
    world.write_back();
    let Place::Spool { base: Some(old), .. } = place(&world, file) else { panic!("partly dirty") };
    let moved: Vec<ChunkAddr> = world.commit_to_chain(cut, true).into_values().collect();
    let Place::Spool { base: Some(base), .. } = place(&world, file) else { panic!("partly dirty") };
    assert!(base != old && moved.contains(&base));
    let mut expected = vec![1; CHUNK];
    expected[100..150].fill(2);
    expected[150..250].fill(3);
    for round in 0..3 {
        assert!(world.read(file, 0, 1 << 20) == expected, "round {round}");
        if round == 0 {
            world.kill();
            let Place::Spool { base: Some(again), .. } = place(&world, file) else { panic!("partly dirty") };
            assert_eq!(again, base, "the new base is in the journal");
        } else {
            let cut = world.cut();
            world.commit(cut);
        }
    }
}

/// Killed after the chain took the commit and before anybody noticed.
#[test]
fn a_commit_that_was_not_noticed_is_found_by_its_cut() {
    let mut world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[1; 3 * CHUNK]);
    let cut = world.cut();
    world.write(file, 10, b"later");
    world.fsync(file);
    let moved = world.commit_to_chain(cut, false);
    world.disk = world.disk.kill();
    world.start_again(Some((cut.lsn, moved)));
    let mut expected = vec![1; 3 * CHUNK];
    expected[10..15].copy_from_slice(b"later");
    assert!(world.read(file, 0, 1 << 20) == expected);
    let extents = world.tree.get(&Key::extents(file, 0)).unwrap();
    let crate::tree::Fetch::Ready(Some(Record::Extents(extents))) = extents else { panic!("extents") };
    let packed: u32 =
        extents.iter().filter(|e| matches!(e.place, Place::Pack { .. })).map(|e: &Extent| u32::from(e.count)).sum();
    assert_eq!(packed, 2, "{extents:?}");
}

#[test]
fn a_cut_that_failed_goes_back() {
    let mut world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[1; 2 * CHUNK]);
    world.cut();
    assert!(world.call(Vfs::cut).is_err(), "one cut at a time");
    world.write(file, CHUNK as u64, &[2; 10]);
    world.vfs.abort_cut();
    let cut = world.cut();
    world.commit(cut);
    world.elsewhere();
    let mut expected = vec![1; 2 * CHUNK];
    expected[CHUNK..CHUNK + 10].fill(2);
    assert!(world.read(file, 0, 1 << 20) == expected);
}

/// Files without names are not flushed for a commit.
#[test]
fn a_cut_leaves_orphans_in_memory() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[1; 2 * CHUNK]);
    world.ok(|vfs| vfs.unlink(ROOT, b"f"));
    let before = world.vfs.counts().dirty_bytes;
    world.cut();
    assert_eq!(world.vfs.counts().dirty_bytes, before);
    assert!(world.ok(|vfs| vfs.frozen_places(None, 10)).is_empty());
}

/// After a commit the chunks just written are still in memory: reading them fetches nothing.
#[test]
fn chunks_just_written_stay_readable_without_the_network() {
    let mut world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[1; 4 * CHUNK]);
    let cut = world.cut();
    world.commit(cut);
    assert!(matches!(place(&world, file), Place::Pack { .. }));
    world.fetched.store(0, Relaxed);
    assert_eq!(world.read(file, 0, 1 << 20).len(), 4 * CHUNK);
    assert_eq!(world.fetched.load(Relaxed), 0);
}

/// S-XATTR-4
#[test]
fn a_file_says_how_far_it_has_come_and_where_it_is() {
    let mut world = World::new();
    let (file, other) = (world.file(ROOT, "f"), world.file(ROOT, "g"));
    let at = |world: &World, ino| world.ok(|vfs| vfs.placement(ino));
    assert_eq!(at(&world, file).reached, Reached::Journal, "a name without content");
    world.write(file, 0, &[1; 2 * CHUNK]);
    assert_eq!(at(&world, file).reached, Reached::Memory);
    world.write_back();
    assert_eq!(at(&world, file), Placement { reached: Reached::Journal, blobs: Vec::new() });
    let cut = world.cut();
    assert_eq!(at(&world, file).reached, Reached::Journal, "a cut is no commit");
    world.commit(cut);
    let Placement { reached, blobs } = at(&world, file);
    assert_eq!((reached, blobs.len()), (Reached::Network, 1));
    assert_eq!(at(&world, other), Placement { reached: Reached::Network, blobs: Vec::new() });
    assert_eq!(at(&world, ROOT).reached, Reached::Network);
    world.write(file, 0, b"x");
    assert_eq!(at(&world, other).reached, Reached::Network, "its neighbour is what it was");
    world.write_back();
    let after = at(&world, file);
    assert_eq!(after.reached, Reached::Journal);
    let opened = world.ok(|vfs| vfs.open(other, libc::O_WRONLY));
    assert_eq!(at(&world, other).reached, Reached::Memory, "the kernel may hold pages of it");
    world.vfs.release(opened.handle);
    assert_eq!(at(&world, other).reached, Reached::Network);
    let cut = world.cut();
    world.commit(cut);
    world.elsewhere();
    assert_eq!(at(&world, file).reached, Reached::Network);
    assert_eq!(world.errno(|vfs| vfs.placement(crate::ids::Ino(999))), libc::ESTALE);
}
