//! The bytes of `docs/format.md`: whoever changes one of these changes the format and must raise its version.

use super::super::base::{Pointer, Root, RunRef, TreeRef, seal_log_entry};
use super::super::codec::put_change;
use super::super::node::Node;
use super::super::record::Time;
use super::*;
use crate::crypto::Domain;

fn change(key: &Key, record: Option<&Record>) -> String {
    let mut out = Vec::new();
    put_change(&mut out, key, record).unwrap();
    hex::encode(out)
}

#[test]
fn keys_sort_as_their_bytes() {
    let keys = [
        Key::counters(Space::Table),
        Key::pack(PackNo(1)),
        Key::pack(PackNo(256)),
        Key::dead(PackNo(1)),
        Key::shared(PackNo(1), 48),
        Key::shared(PackNo(1), 1 << 40),
        Key::counters(Space::Files),
        Key::orphan(Ino(9)),
        Key::inode(Ino(1)),
        Key::xattr(Ino(1), b"user.a"),
        Key::xattr(Ino(1), b"user.ab"),
        Key::xattr(Ino(1), b"user.b"),
        Key::dirent(Ino(1), 1 << 60),
        Key::extents(Ino(1), 0),
        Key::inode(Ino(2)),
    ];
    let encoded: Vec<Vec<u8>> = keys
        .iter()
        .map(|key| {
            let mut out = Vec::new();
            key.encode(&mut out);
            assert_eq!((&Key::decode(&out).unwrap(), out.len()), (key, key.encoded_len()));
            out
        })
        .collect();
    assert!(keys.is_sorted() && encoded.is_sorted());
    assert!(Key::decode(&encoded[0][..17]).is_err());
}

#[test]
fn changes_of_every_kind() {
    let pack = PackEntry {
        blob_id: [0xb1; 32],
        size: 0x1000,
        salt: [0x5a; 32],
        key_epoch: KeyEpoch(2),
        live: 0x0102,
        birth: Sequence(3),
        dead_since_ms: Some(4),
        forwards: Vec::new(),
    };
    let inode = Inode {
        mode: 0o100_644,
        nlink: 1,
        uid: 2,
        gid: 3,
        rdev: 0,
        size: 5,
        atime: Time { secs: -1, nanos: 7 },
        mtime: Time { secs: 8, nanos: 9 },
        ctime: Time { secs: 10, nanos: 11 },
        btime: Time { secs: 12, nanos: 13 },
        parent: Ino(0),
        chunks: 6,
        body: Body::Inline(b"hello".to_vec()),
    };
    let extent = Extent {
        first: 1,
        count: 2,
        place: Place::Pack { pack: PackNo(7), offset: 48, lens: vec![300, 200], last: 1000, birth: Sequence(3) },
    };
    let counters = Record::Counters(Counters { next: 2, inodes: 1, bytes: 0 });
    let dirent = Dirent { name: b"a".to_vec(), ino: Ino(2), kind: 8 };
    let cases = [
        (Key::counters(Space::Files), Some(counters), GOLDEN[0]),
        (Key::pack(PackNo(7)), Some(Record::Pack(pack)), GOLDEN[1]),
        (Key::dead(PackNo(7)), Some(Record::Dead), GOLDEN[2]),
        (Key::shared(PackNo(7), 48), Some(Record::Shared(2)), GOLDEN[3]),
        (Key::orphan(Ino(2)), Some(Record::Orphan), GOLDEN[4]),
        (Key::inode(Ino(2)), Some(Record::Inode(inode)), GOLDEN[5]),
        (Key::xattr(Ino(2), b"user.k"), Some(Record::Xattr(b"v".to_vec())), GOLDEN[6]),
        (Key::dirent(Ino(1), 0x10), Some(Record::Dirent(dirent)), GOLDEN[7]),
        (Key::extents(Ino(2), 0), Some(Record::Extents(vec![extent])), GOLDEN[8]),
        (Key::inode(Ino(2)), None, GOLDEN[9]),
    ];
    let document = include_str!("../../../docs/format.md");
    for (key, record, golden) in cases {
        let bytes = change(&key, record.as_ref());
        assert_eq!(bytes, golden, "{key:?}");
        assert!(document.contains(golden), "docs/format.md shows {key:?}");
    }
}

const GOLDEN: [&str; 10] = [
    "12000100000000000000000100000000000000001900000000020000000000000001000000000000000000000000000000",
    "12000000000000000000001000000000000000076700000001b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b100100000000000005a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a020000000201000000000000030000000000000001040000000000000000",
    "12000000000000000000001400000000000000070100000008",
    "1a000000000000000000001800000000000000070000000000000030050000000202000000",
    "12000100000000000000002000000000000000020100000003",
    "12000100000000000000023000000000000000006400000004a48100000100000002000000030000000000000005000000000000000600000000000000ffffffffffffffff070000000800000000000000090000000a000000000000000b0000000c000000000000000d0000000000000000000000010568656c6c6f",
    "1800010000000000000002400000000000000000757365722e6b03000000050176",
    "12000100000000000000015000000000000000100c000000060161020000000000000008",
    "12000100000000000000026000000000000000002a000000070101020007000000000000003000000000000000022c010000c8000000e80300000300000000000000",
    "120001000000000000000230000000000000000000000000",
];

#[test]
fn nodes() {
    let addr = NodeAddr { pack: PackNo(7), offset: 48, stored: 100, plain: 200, run: false };
    let mut index = Vec::new();
    Node::encode_index(1, &[(Key::inode(Ino(1)), addr)], &mut index);
    assert_eq!(hex::encode(&index), INDEX);
    assert_eq!(
        Node::decode(&index, false).unwrap(),
        Node::Index { level: 1, children: vec![(Key::inode(Ino(1)), addr)] }
    );
    let mut leaf = Vec::new();
    Node::encode_leaf(&[(Key::orphan(Ino(2)), Some(Record::Orphan))], &mut leaf).unwrap();
    assert_eq!(hex::encode(&leaf), LEAF);
    let document = include_str!("../../../docs/format.md");
    assert!(document.contains(INDEX) && document.contains(LEAF));
}

const INDEX: &str =
    "010100000012000100000000000000013000000000000000000700000000000000300000000000000064000000c8000000";
const LEAF: &str = "000100000012000100000000000000002000000000000000020100000003";

#[test]
fn root() {
    let node = Pointer { pack: PackNo(7), offset: 48, stored: 100, plain: 200, level: 1 };
    let mut key = Vec::new();
    Key::inode(Ino(2)).encode(&mut key);
    let root = Root {
        version: 1,
        sequence: Sequence(9),
        pack: PackNo(7),
        size: 0x1000,
        live: 0x200,
        table: None,
        files: Some(TreeRef { node, bytes: 200 }),
        runs: vec![RunRef { node, bytes: 200, first: key.clone(), last: key }],
        bootstrap: Vec::new(),
        small: vec![PackNo(7)],
        snapshots: Vec::new(),
    };
    let bytes = hex::encode(bcs::to_bytes(&root).unwrap());
    assert_eq!(bytes, ROOT);
    assert!(include_str!("../../../docs/format.md").contains(ROOT));
}

const ROOT: &str = "0100090000000000000007000000000000000010000000000000000200000000000000010700000000000000300000000000000064000000c800000001c800000000000000010700000000000000300000000000000064000000c800000001c80000000000000012010000000000000002300000000000000000120100000000000000023000000000000000000001070000000000000000";

#[test]
fn log_entry() {
    let world = World::new(31, tiny(), 0);
    let layer: Layer = [(Key::orphan(Ino(2)), Some(Record::Orphan))].into();
    let sealed = seal_log_entry(&world.keys, Sequence(9), &layer).unwrap().unwrap();
    assert_eq!(sealed.len(), 256);
    let plain = world.keys.open(Domain::Log, b"log entry v1", &sealed).unwrap();
    let used = LOG.len() / 2;
    assert_eq!(hex::encode(&plain[..used]), LOG);
    assert!(plain[used..].iter().all(|byte| *byte == 0) && plain.len() == 256 - 44);
    assert!(include_str!("../../../docs/format.md").contains(LOG));
    for (bytes, class) in [(100, 256), (900, 1024), (4000, 4096), (15_200, 15_360)] {
        let layer: Layer = [(Key::xattr(Ino(2), b"x"), Some(Record::Xattr(vec![0; bytes])))].into();
        assert_eq!(seal_log_entry(&world.keys, Sequence(9), &layer).unwrap().unwrap().len(), class);
    }
    let layer: Layer = [(Key::xattr(Ino(2), b"x"), Some(Record::Xattr(vec![0; 15_400])))].into();
    assert!(seal_log_entry(&world.keys, Sequence(9), &layer).unwrap().is_none());
}

const LOG: &str = "010009000000000000000100000012000100000000000000002000000000000000020100000003";
