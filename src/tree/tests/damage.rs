//! Damaged and hostile bytes: errors, never panics, never wrong answers.

use super::super::base::{Base, Root};
use super::super::codec::{Fields, put_batch, take_batch};
use super::super::node::Node;
use super::*;
use proptest::prelude::*;

/// A drive with trees, a run, a log and packs with chunks.
fn populated() -> World {
    let mut world = World::new(11, tiny(), 0);
    for round in 0..3u64 {
        for ino in 2..30 {
            world.put_inode(ino, 7 + round as u32, 60);
        }
        world.write(3 + round, 0, round as u8, 9, false);
        world.freeze();
        world.commit(true);
    }
    world.put_inode(5, 99, 900);
    world.freeze();
    world.commit(true);
    world.put_inode(4, 98, 5);
    world.freeze();
    world.commit(true);
    world.check();
    let base = world.base();
    assert!(
        base.tree(Space::Files).is_some() && !base.runs.is_empty() && !world.log.is_empty(),
        "all layers are there"
    );
    world
}

/// Opens the drive and reads everything: what can be seen, or the first error.
fn read_all(world: &World) -> FsResult<Vec<(Key, Record)>> {
    let drive = DriveState { sequence: Sequence(world.sequence), root: world.root, log: &world.log };
    let tree = block_on(Tree::open(drive, &world.source, &world.keys, 0))?;
    loop {
        let mut seen = Vec::new();
        let scanned =
            tree.scan(&Key::first_of(Space::Table), &Key::extents(Ino(u64::MAX), u64::MAX), &mut |key, record| {
                seen.push((key.clone(), record.clone()));
                ControlFlow::Continue(())
            })?;
        match scanned {
            Fetch::Ready(()) => return Ok(seen),
            Fetch::Missing(addr) => block_on(tree.load(addr, &world.source, &world.keys))?,
        }
    }
}

#[test]
fn a_damaged_byte_of_a_pack_is_an_error_or_was_not_read() {
    let world = populated();
    let truth = read_all(&world).unwrap();
    let ids: Vec<[u8; 32]> = truth
        .iter()
        .filter_map(|(_, record)| match record {
            Record::Pack(entry) => Some(entry.blob_id),
            _ => None,
        })
        .collect();
    let mut errors = 0;
    for id in ids {
        let bytes = world.source.bytes(&id).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut bad = bytes.to_vec();
            bad[at] ^= 1 << (at % 8);
            world.source.insert_as(id, bad.into());
            match read_all(&world) {
                Ok(seen) => assert_eq!(seen, truth, "byte {at}"),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Corrupt, "byte {at}: {error}");
                    errors += 1;
                }
            }
        }
        world.source.insert_as(id, bytes);
    }
    assert!(errors > 100, "most damage was in bytes that are read: {errors}");
}

#[test]
fn a_damaged_log_or_root_reference_is_an_error() {
    let mut world = populated();
    let log = world.log.clone();
    for (entry, sealed) in log.iter().enumerate() {
        for at in 0..sealed.len() {
            world.log[entry][at] ^= 4;
            assert!(read_all(&world).is_err(), "byte {at} of entry {entry}");
            world.log[entry][at] ^= 4;
        }
    }
    world.log = [log.clone(), log.clone()].concat();
    assert!(read_all(&world).is_err(), "an entry twice");
    world.log = log;
    let root = world.root.unwrap();
    for wrong in [
        RootRef { offset: root.offset + 1, ..root },
        RootRef { offset: u64::MAX, ..root },
        RootRef { length: root.length - 1, ..root },
        RootRef { length: 3, ..root },
        RootRef { length: u32::MAX, ..root },
        RootRef { salt: [0; 32], ..root },
        RootRef { key_epoch: KeyEpoch(1), ..root },
        RootRef { blob_id: [0; 32], ..root },
    ] {
        world.root = Some(wrong);
        assert!(read_all(&world).is_err(), "{wrong:?}");
    }
    world.root = Some(root);
    world.sequence = 1;
    assert!(read_all(&world).is_err(), "a tree newer than its drive");
}

/// Whoever has the key can seal anything: a root that lies must not make a reader panic or hang.
fn with_root(world: &mut World, bytes: &[u8]) -> FsResult<Vec<(Key, Record)>> {
    let mut writer = PackWriter::new(&world.keys, PackNo(1 << 40), PADDING).unwrap();
    let unit = writer.push(UnitKind::Root, bytes, Origin::default()).unwrap();
    let new = world.seal(writer);
    let pack = new.pack;
    let root = RootRef {
        blob_id: pack.blob_id,
        offset: unit.offset,
        length: unit.stored,
        salt: pack.salt,
        key_epoch: pack.key_epoch,
    };
    let before = world.root.replace(root);
    let seen = read_all(world);
    world.root = before;
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn hostile_plaintext_never_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut world = populated();
        let base: Arc<Base> = world.base();
        let root: &Root = base.root.as_ref().unwrap();
        let mut batch = Vec::new();
        put_batch(&mut batch, base.log.iter().map(|(key, record)| (key, record.as_ref()))).unwrap();
        let reading = Reading { tree: &world.tree, source: &world.source, keys: &world.keys };
        let top = base.tree(Space::Files).unwrap().node.top(false);
        let Node::Index { level, children } = &*block_on(reading.node(top)).unwrap() else { panic!("an index") };
        let mut index = Vec::new();
        Node::encode_index(*level, children, &mut index);
        let leaf: Vec<_> = base.log.iter().map(|(key, record)| (key.clone(), record.clone())).collect();
        let mut block = Vec::new();
        Node::encode_leaf(&leaf, &mut block).unwrap();
        let mut roots = bcs::to_bytes(root).unwrap();
        for bytes in [&mut batch, &mut index, &mut block, &mut roots] {
            for (at, value) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
        }
        let _ = take_batch(&mut Fields(&batch));
        let _ = take_batch(&mut Fields(&batch[..cut.index(batch.len())]));
        let _ = (Node::decode(&index, false), Node::decode(&index[..cut.index(index.len())], true));
        let _ = (Node::decode(&block, true), Node::decode(&block[..cut.index(block.len())], false));
        let _ = with_root(&mut world, &roots);
        let _ = with_root(&mut world, &roots[..cut.index(roots.len())]);
    }
}

#[test]
fn what_may_not_stand_in_a_tree_is_refused() {
    let spool = Place::Spool { at: SpoolRef { segment: 1, offset: 2, len: 3 }, ranges: Vec::new(), base: None };
    let pack =
        |last, lens: &[u32]| Place::Pack { pack: PackNo(1), offset: 48, lens: lens.to_vec(), last, birth: Sequence(1) };
    let extents = |list: &[(u8, u8, &Place)]| {
        let extent =
            |(first, count, place): &(u8, u8, &Place)| Extent { first: *first, count: *count, place: (*place).clone() };
        Record::Extents(list.iter().map(extent).collect())
    };
    let good = pack(7, &[]);
    let key = Key::extents(Ino(5), 0);
    let cases = [
        (key.clone(), extents(&[(0, 1, &good), (1, 63, &good)]), true),
        (key.clone(), extents(&[(0, 1, &spool)]), false),
        (key.clone(), extents(&[(0, 0, &good)]), false),
        (key.clone(), extents(&[(1, 64, &good)]), false),
        (key.clone(), extents(&[(255, 255, &good)]), false),
        (key.clone(), extents(&[(0, 2, &good), (1, 1, &good)]), false),
        (key.clone(), extents(&[(0, 1, &pack(65_537, &[]))]), false),
        (key.clone(), extents(&[(0, 2, &pack(7, &[100]))]), false),
        (key.clone(), extents(&[(0, 1, &pack(7, &[15]))]), false),
        (key, Record::Orphan, false),
        (Key::inode(Ino(5)), Record::Inode(Inode::default()), true),
        (Key::inode(Ino(5)), Record::Dead, false),
    ];
    for (key, record, good) in cases {
        let mut bytes = Vec::new();
        put_batch(&mut bytes, [(&key, Some(&record))].into_iter()).unwrap();
        assert_eq!(take_batch(&mut Fields(&bytes)).is_ok(), good, "{key:?} {record:?}");
    }
}
