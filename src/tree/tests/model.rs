//! Random operations on a [`World`], compared with its model after every commit.

use super::super::record::{Dirent, Key, Record};
use super::{World, tiny};
use crate::ids::Ino;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Inode(u64, u32, usize),
    Remove(u64),
    Dirent(u64, u64, u64),
    Unlink(u64, u64),
    Xattr(u64, usize),
    Write(u64, u64, u8, u8, bool),
    Clone(u64, u64, u64),
    Sequential(u64, u8),
    Freeze,
    Finish,
    Abort,
    Discard,
    Commit,
    Wait(u64),
    Reopen,
    Check,
}

fn op() -> impl Strategy<Value = Op> {
    let ino = 2..24u64;
    prop_oneof![
        6 => (ino.clone(), 1..999u32, prop_oneof![Just(0), 1..200usize, Just(2000)]).prop_map(|(a, b, c)| Op::Inode(a, b, c)),
        2 => ino.clone().prop_map(Op::Remove),
        6 => (ino.clone(), 0..60u64, ino.clone()).prop_map(|(a, b, c)| Op::Dirent(a, b << 4, c)),
        3 => (ino.clone(), 0..60u64).prop_map(|(a, b)| Op::Unlink(a, b << 4)),
        1 => (ino.clone(), prop_oneof![4 => 1..300usize, 1 => Just(65_536)]).prop_map(|(a, b)| Op::Xattr(a, b)),
        8 => (ino.clone(), 0..2u64, 0..6u8, any::<u8>(), any::<bool>()).prop_map(|(a, b, c, d, e)| Op::Write(a, b, c, d, e)),
        2 => (ino.clone(), ino.clone(), 0..2u64).prop_map(|(a, b, c)| Op::Clone(a, b, c)),
        1 => (ino, 1..12u8).prop_map(|(a, b)| Op::Sequential(a, b)),
        2 => Just(Op::Freeze),
        2 => Just(Op::Finish),
        1 => Just(Op::Abort),
        1 => Just(Op::Discard),
        4 => Just(Op::Commit),
        1 => (0..2000u64).prop_map(Op::Wait),
        1 => Just(Op::Reopen),
        1 => Just(Op::Check),
    ]
}

fn play(world: &mut World, ops: &[Op]) {
    for op in ops {
        match op.clone() {
            Op::Inode(ino, mode, inline) => world.put_inode(ino, mode, inline),
            Op::Remove(ino) => world.remove(ino),
            Op::Dirent(dir, slot, ino) => {
                let dirent = Dirent { name: format!("name {slot}").into(), ino: Ino(ino), kind: 8 };
                world.apply(vec![(Key::dirent(Ino(dir), slot), Some(Record::Dirent(dirent)))]);
            }
            Op::Unlink(dir, slot) => world.apply(vec![(Key::dirent(Ino(dir), slot), None)]),
            Op::Xattr(ino, len) => {
                world.apply(vec![(Key::xattr(Ino(ino), b"user.x"), Some(Record::Xattr(vec![len as u8; len])))]);
            }
            Op::Write(ino, group, index, seed, partly) => world.write(ino, group, index, seed, partly),
            Op::Clone(from, to, group) => world.clone_group(from, to, group),
            Op::Sequential(ino, count) => (0..count).for_each(|index| world.write(ino, 0, index, index, false)),
            Op::Freeze => drop(world.freeze()),
            Op::Finish => world.commit(true),
            Op::Abort => world.abort(),
            Op::Discard => world.commit(false),
            Op::Commit => {
                world.commit(true);
                world.freeze();
                world.commit(true);
                world.check();
            }
            Op::Wait(ms) => world.now_ms += ms,
            Op::Reopen => world.reopen(),
            Op::Check => world.check(),
        }
    }
    world.commit(true);
    world.freeze();
    world.commit(true);
    world.check();
    world.reopen();
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_is_a_map(seed in any::<u64>(), delay in prop_oneof![Just(0u64), Just(1500)], ops in prop::collection::vec(op(), 1..160)) {
        let mut world = World::new(seed, tiny(), delay);
        play(&mut world, &ops);
    }
}
