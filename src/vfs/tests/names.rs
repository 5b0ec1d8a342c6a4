//! Names, directories and attributes, sentence by sentence.

use super::super::acl;
use super::world::{ROOT, SUPER, USER, World};
use crate::ids::Ino;
use crate::tree::record::Time;
use crate::vfs::*;
use libc::*;

type Operation<'a> = dyn Fn(&Vfs) -> Outcome<()> + 'a;

const LONG: [u8; 256] = [b'n'; 256];

/// S-NAME-1, S-NAME-2, S-NAME-3
#[test]
fn names() {
    let world = World::new();
    let file = world.file(ROOT, "file");
    for (name, errno) in [(&LONG[..], ENAMETOOLONG), (b"", ENOENT), (b"a/b", EINVAL), (b"a\0b", EINVAL)] {
        assert_eq!(world.errno(|vfs| vfs.mkdir(&SUPER, ROOT, name, 0)), errno, "{name:?}");
        assert_eq!(world.errno(|vfs| vfs.lookup(ROOT, name)), errno, "{name:?}");
        assert_eq!(world.errno(|vfs| vfs.unlink(ROOT, name)), errno, "{name:?}");
        assert_eq!(world.errno(|vfs| vfs.rename(ROOT, b"file", ROOT, name, RenameMode::Replace)), errno, "{name:?}");
        assert_eq!(world.errno(|vfs| vfs.link(file, ROOT, name)), errno, "{name:?}");
    }
    world.ok(|vfs| vfs.mkdir(&SUPER, ROOT, &LONG[..255], 0o755));
    for byte in (1..=255u8).filter(|byte| *byte != b'/' && *byte != b'.') {
        let made = world.ok(|vfs| vfs.mknod(&SUPER, ROOT, &[byte], S_IFREG, 0)).ino;
        assert_eq!(world.ok(|vfs| vfs.lookup(ROOT, &[byte])).ino, made);
    }
    for name in [&b"file"[..], b".", b".."] {
        assert_eq!(world.errno(|vfs| vfs.mkdir(&SUPER, ROOT, name, 0)), EEXIST);
        assert_eq!(world.errno(|vfs| vfs.symlink(&SUPER, ROOT, name, b"x")), EEXIST);
        assert_eq!(world.errno(|vfs| vfs.link(file, ROOT, name)), EEXIST);
        assert_eq!(world.errno(|vfs| vfs.create(&SUPER, ROOT, name, 0, O_RDWR)), EEXIST);
    }
    let dir = world.mkdir(ROOT, "dir");
    assert_eq!(world.lookup(dir, "."), dir);
    assert_eq!(world.lookup(dir, ".."), ROOT);
    assert_eq!(world.lookup(ROOT, ".."), ROOT);
    assert_eq!(world.errno(|vfs| vfs.lookup(file, b"x")), ENOTDIR);
    assert_eq!(world.errno(|vfs| vfs.mkdir(&SUPER, file, b"x", 0)), ENOTDIR);
    assert_eq!(world.errno(|vfs| vfs.readdir(file, 0, &mut |_| true)), ENOTDIR);
    assert_eq!(world.errno(|vfs| vfs.opendir(file)), ENOTDIR);
    for missing in [&b"nobody"[..], b"x"] {
        assert_eq!(world.errno(|vfs| vfs.lookup(dir, missing)), ENOENT);
        assert_eq!(world.errno(|vfs| vfs.unlink(dir, missing)), ENOENT);
        assert_eq!(world.errno(|vfs| vfs.rmdir(dir, missing)), ENOENT);
    }
}

/// S-NAME-4
#[test]
fn nothing_goes_into_a_removed_directory() {
    let world = World::new();
    let (file, dir) = (world.file(ROOT, "file"), world.mkdir(ROOT, "dir"));
    world.ok(|vfs| vfs.rmdir(ROOT, b"dir"));
    assert_eq!(world.errno(|vfs| vfs.mkdir(&SUPER, dir, b"x", 0)), ENOENT);
    assert_eq!(world.errno(|vfs| vfs.link(file, dir, b"x")), ENOENT);
    assert_eq!(world.errno(|vfs| vfs.rename(ROOT, b"file", dir, b"x", RenameMode::Replace)), ENOENT);
    assert_eq!(world.attr(dir).nlink, 0);
    world.vfs.forget(dir, 1);
    assert_eq!(world.errno(|vfs| vfs.getattr(dir)), ESTALE);
}

/// S-CREATE-1, S-CREATE-2
#[test]
fn owner_group_and_mode_of_new_nodes() {
    let world = World::new();
    let made = world.ok(|vfs| vfs.mknod(&USER, ROOT, b"a", S_IFREG | 0o6777, 0));
    assert_eq!((made.uid, made.gid, made.mode), (1000, 1000, S_IFREG | 0o6755));
    let shared = world.ok(|vfs| vfs.mkdir(&SUPER, ROOT, b"shared", 0o2775)).ino;
    world.set(shared, SetAttr { gid: Some(50), ..SetAttr::default() });
    let file = world.ok(|vfs| vfs.create(&USER, shared, b"f", 0o666, O_WRONLY)).0;
    assert_eq!((file.gid, file.mode), (50, S_IFREG | 0o644));
    let dir = world.ok(|vfs| vfs.mkdir(&USER, shared, b"d", 0o777));
    assert_eq!((dir.gid, dir.mode), (50, S_IFDIR | 0o2755));
    assert_eq!(world.ok(|vfs| vfs.symlink(&USER, ROOT, b"l", b"t")).mode, S_IFLNK | 0o777);
}

/// S-CREATE-3
#[test]
fn changes_of_entries_set_the_directory_times() {
    let world = World::new();
    let (a, b) = (world.mkdir(ROOT, "a"), world.mkdir(ROOT, "b"));
    let file = world.file(a, "f");
    let steps: [(&str, &[Ino], &Operation<'_>); 6] = [
        ("link", &[b], &|vfs| done(vfs.link(file, b, b"g"))),
        ("rename", &[a, b], &|vfs| vfs.rename(a, b"f", b, b"h", RenameMode::Replace)),
        ("exchange", &[b], &|vfs| vfs.rename(b, b"g", b, b"h", RenameMode::Exchange)),
        ("mkdir", &[a], &|vfs| done(vfs.mkdir(&SUPER, a, b"d", 0))),
        ("rmdir", &[a], &|vfs| vfs.rmdir(a, b"d")),
        ("unlink", &[b], &|vfs| vfs.unlink(b, b"g")),
    ];
    for (what, dirs, step) in steps {
        let before: Vec<_> = [a, b].iter().map(|dir| world.attr(*dir)).collect();
        world.tick_ms(10);
        world.ok(step);
        for (dir, before) in [a, b].iter().zip(before) {
            let after = world.attr(*dir);
            // Swapping two names of one inode does nothing.
            let changed = dirs.contains(dir) && what != "exchange";
            assert_eq!(after.mtime > before.mtime, changed, "{what} {dir}");
            assert_eq!(after.ctime > before.ctime, changed, "{what} {dir}");
        }
    }
}

fn done<T>(outcome: Outcome<T>) -> Outcome<()> {
    match outcome {
        Outcome::Done(result) => Outcome::Done(result.map(drop)),
        Outcome::Wait(needs) => Outcome::Wait(needs),
    }
}

/// S-MKDIR-1
#[test]
fn link_counts_of_directories() {
    let world = World::new();
    let (a, b) = (world.mkdir(ROOT, "a"), world.mkdir(ROOT, "b"));
    world.mkdir(a, "x");
    world.mkdir(b, "y");
    world.file(a, "f");
    let counts = |world: &World| [ROOT, a, b].map(|dir| world.attr(dir).nlink);
    assert_eq!(counts(&world), [4, 3, 3]);
    let rename = |from, name: &str, to, new: &str, mode| {
        world.ok(|vfs| vfs.rename(from, name.as_bytes(), to, new.as_bytes(), mode));
    };
    rename(a, "x", b, "x", RenameMode::Replace);
    assert_eq!(counts(&world), [4, 2, 4]);
    assert_eq!(world.lookup(world.lookup(b, "x"), ".."), b);
    rename(b, "x", b, "y", RenameMode::Replace);
    assert_eq!(counts(&world), [4, 2, 3]);
    rename(a, "f", b, "y", RenameMode::Exchange);
    assert_eq!(counts(&world), [4, 3, 2]);
    world.ok(|vfs| vfs.rmdir(a, b"f"));
    assert_eq!(counts(&world), [4, 2, 2]);
    assert_eq!(world.attr(a).size, 0);
    assert_eq!(world.attr(b).size, 1);
}

/// S-LINK-1, S-SYMLINK-1, S-MKNOD-1
#[test]
fn links_and_nodes() {
    let world = World::new();
    let (file, dir) = (world.file(ROOT, "f"), world.mkdir(ROOT, "d"));
    let before = world.attr(file);
    world.tick_ms(5);
    let linked = world.ok(|vfs| vfs.link(file, dir, b"g"));
    assert_eq!((linked.ino, linked.nlink), (file, 2));
    assert!(linked.ctime > before.ctime && linked.mtime == before.mtime);
    assert_eq!(world.errno(|vfs| vfs.link(dir, ROOT, b"e")), EPERM);

    let target = [b't'; 4096];
    let link = world.ok(|vfs| vfs.symlink(&USER, ROOT, b"l", &target[..4095]));
    assert_eq!(link.size, 4095);
    assert_eq!(world.ok(|vfs| vfs.readlink(link.ino)), target[..4095]);
    assert_eq!(world.errno(|vfs| vfs.symlink(&USER, ROOT, b"m", &target)), ENAMETOOLONG);
    assert_eq!(world.errno(|vfs| vfs.symlink(&USER, ROOT, b"m", b"")), ENOENT);
    assert_eq!(world.errno(|vfs| vfs.readlink(file)), EINVAL);
    assert_eq!(world.errno(|vfs| vfs.read(link.ino, 0, 1)), EINVAL);

    for (kind, rdev) in [(S_IFCHR, 0x501), (S_IFBLK, 0x801), (S_IFIFO, 0), (S_IFSOCK, 0), (S_IFREG, 0)] {
        let name = format!("{kind:o}");
        let made = world.ok(|vfs| vfs.mknod(&SUPER, ROOT, name.as_bytes(), kind | 0o600, rdev));
        assert_eq!((made.mode, made.rdev), (kind | 0o600, rdev));
    }
    for kind in [S_IFDIR, S_IFLNK, 0o030000] {
        assert_eq!(world.errno(|vfs| vfs.mknod(&SUPER, ROOT, b"z", kind, 0)), EINVAL);
    }
}

/// S-UNLINK-1
#[test]
fn removing_the_wrong_kind() {
    let world = World::new();
    let dir = world.mkdir(ROOT, "d");
    world.file(dir, "f");
    assert_eq!(world.errno(|vfs| vfs.unlink(ROOT, b"d")), EISDIR);
    assert_eq!(world.errno(|vfs| vfs.rmdir(dir, b"f")), ENOTDIR);
    assert_eq!(world.errno(|vfs| vfs.rmdir(ROOT, b"d")), ENOTEMPTY);
    assert_eq!(world.errno(|vfs| vfs.rmdir(dir, b".")), EINVAL);
    assert_eq!(world.errno(|vfs| vfs.rmdir(dir, b"..")), ENOTEMPTY);
    world.ok(|vfs| vfs.unlink(dir, b"f"));
    world.ok(|vfs| vfs.rmdir(ROOT, b"d"));
}

/// S-UNLINK-2
#[test]
fn an_unlinked_file_lives_as_long_as_it_is_used() {
    let world = World::new();
    let before = world.ok(Vfs::statfs);
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[7; 200_000]);
    world.write_back();
    let open = world.ok(|vfs| vfs.open(file, O_RDWR)).handle;
    world.ok(|vfs| vfs.unlink(ROOT, b"f"));
    world.vfs.forget(file, 1);
    assert_eq!(world.attr(file).nlink, 0);
    world.write(file, 200_000, b"more");
    assert_eq!(world.read(file, 199_999, 10), b"\x07more");
    let again = world.ok(|vfs| vfs.open(file, O_RDONLY)).handle;
    world.vfs.release(open);
    assert_eq!(world.read(file, 0, 1), [7]);
    world.vfs.release(again);
    assert_eq!(world.errno(|vfs| vfs.getattr(file)), ESTALE);
    assert_eq!(world.ok(Vfs::statfs).inodes, before.inodes);
    assert_eq!(world.vfs.counts().dirty_bytes, 0);

    // A lookup alone keeps it openable: somebody else's rename over it must not fail an open that is on its way.
    let file = world.file(ROOT, "g");
    world.ok(|vfs| vfs.unlink(ROOT, b"g"));
    world.ok(|vfs| vfs.open(file, O_RDONLY));
}

/// S-UNLINK-3
#[test]
fn an_orphan_is_gone_after_a_crash() {
    let mut world = World::new();
    let file = world.file(ROOT, "f");
    world.write(file, 0, &[7; 200_000]);
    world.ok(|vfs| vfs.open(file, O_RDWR));
    world.ok(|vfs| vfs.unlink(ROOT, b"f"));
    world.fsync(file);
    world.power_cut(1);
    assert_eq!(world.attr(file).nlink, 0);
    world.ok(Vfs::tick);
    assert_eq!(world.errno(|vfs| vfs.getattr(file)), ESTALE);
    assert_eq!(world.ok(Vfs::statfs).inodes, 1);
    let cut = world.cut();
    world.commit(cut);
    world.elsewhere();
    world.ok(Vfs::tick);
    assert_eq!(world.errno(|vfs| vfs.getattr(file)), ESTALE);
}

/// S-RENAME-1, S-RENAME-2, S-RENAME-6
#[test]
fn rename_replaces() {
    let world = World::new();
    let (a, b) = (world.file(ROOT, "a"), world.file(ROOT, "b"));
    world.ok(|vfs| vfs.link(b, ROOT, b"b2"));
    let before = world.attr(a);
    world.tick_ms(5);
    world.ok(|vfs| vfs.rename(ROOT, b"a", ROOT, b"b", RenameMode::Replace));
    assert_eq!((world.lookup(ROOT, "b"), world.has(ROOT, "a")), (a, false));
    assert_eq!(world.attr(b).nlink, 1);
    assert!(world.attr(a).ctime > before.ctime && world.attr(a).mtime == before.mtime);
    world.ok(|vfs| vfs.link(a, ROOT, b"a2"));
    world.ok(|vfs| vfs.rename(ROOT, b"a2", ROOT, b"b", RenameMode::Replace));
    assert_eq!(world.names(ROOT), ["a2", "b", "b2"]);
    assert_eq!(world.attr(a).nlink, 2);
}

/// S-RENAME-3, S-RENAME-4, S-RENAME-5
#[test]
fn rename_refuses() {
    let world = World::new();
    let (d, e) = (world.mkdir(ROOT, "d"), world.mkdir(ROOT, "e"));
    let below = world.mkdir(d, "below");
    world.file(ROOT, "f");
    let rename = |from: Ino, name: &str, to: Ino, new: &str, mode| {
        world.call(|vfs| vfs.rename(from, name.as_bytes(), to, new.as_bytes(), mode)).err().map_or(0, |e| e.errno())
    };
    use RenameMode::{Exchange, NoReplace, Replace};
    assert_eq!(rename(ROOT, "e", ROOT, "d", Replace), ENOTEMPTY);
    assert_eq!(rename(ROOT, "e", ROOT, "f", Replace), ENOTDIR);
    assert_eq!(rename(ROOT, "f", ROOT, "e", Replace), EISDIR);
    assert_eq!(rename(ROOT, "d", d, "x", Replace), EINVAL);
    assert_eq!(rename(ROOT, "d", below, "x", Replace), EINVAL);
    assert_eq!(rename(ROOT, "d", below, "x", Exchange), EINVAL);
    assert_eq!(rename(d, "below", ROOT, "d", Exchange), EINVAL);
    assert_eq!(rename(ROOT, "f", ROOT, "e", NoReplace), EEXIST);
    assert_eq!(rename(ROOT, "f", ROOT, "none", Exchange), ENOENT);
    assert_eq!(rename(ROOT, "none", ROOT, "f", Replace), ENOENT);
    assert_eq!(rename(ROOT, "f", ROOT, "g", NoReplace), 0);
    assert_eq!(rename(ROOT, "g", d, "below", Exchange), 0);
    assert_eq!((world.lookup(ROOT, "g"), world.attr(world.lookup(d, "below")).mode & S_IFMT), (below, S_IFREG));
    assert_eq!(rename(ROOT, "g", ROOT, "e", Replace), 0);
    assert_eq!(world.attr(e).nlink, 0);
    assert_eq!(world.names(ROOT), ["d", "e"]);
}

/// S-READDIR-1, S-READDIR-2
#[test]
fn listings_are_stable_while_entries_come_and_go() {
    let world = World::new();
    let dir = world.mkdir(ROOT, "d");
    let keep: Vec<String> = (0..300).map(|n| format!("keep{n}")).collect();
    for name in &keep {
        world.file(dir, name);
        world.file(dir, &format!("gone-{name}"));
    }
    let before = world.list(dir, 0, usize::MAX);
    assert_eq!(before.len(), 602);
    assert_eq!((before[0].0.as_str(), before[1].0.as_str()), (".", ".."));
    let mut seen = Vec::new();
    let (mut cookie, mut round) = (0, 0);
    loop {
        let part = world.list(dir, cookie, 37);
        let Some(last) = part.last() else { break };
        cookie = last.1;
        seen.extend(part.into_iter().map(|(name, _)| name).filter(|name| name.starts_with("keep")));
        for n in round * 20..(round * 20 + 20).min(300) {
            world.ok(|vfs| vfs.unlink(dir, format!("gone-keep{n}").as_bytes()));
            world.file(dir, &format!("new{n}"));
        }
        round += 1;
    }
    seen.sort();
    let mut expected = keep.clone();
    expected.sort();
    assert_eq!(seen, expected);
    for (name, cookie) in world.list(dir, 0, usize::MAX) {
        if let Some((_, before)) = before.iter().find(|(other, _)| *other == name) {
            assert_eq!(*before, cookie, "{name}");
        }
        assert!(i64::try_from(cookie).is_ok());
    }
}

/// S-READDIR-3
#[test]
fn readdirplus_counts_what_was_taken() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    world.file(ROOT, "g");
    let mut taken = Vec::new();
    world.ok(|vfs| {
        vfs.readdirplus(ROOT, 0, &mut |entry, attr| {
            assert_eq!(entry.ino, attr.ino);
            taken.push(entry.name.clone());
            entry.name != b"g"
        })
    });
    let counted = taken.contains(&b"f".to_vec());
    world.ok(|vfs| vfs.unlink(ROOT, b"f"));
    world.vfs.forget(file, 1);
    assert_eq!(world.call(|vfs| vfs.getattr(file)).is_ok(), counted);
    world.vfs.forget(file, 1);
    assert!(world.call(|vfs| vfs.getattr(file)).is_err());
}

/// S-ATTR-1, S-ATTR-2
#[test]
fn times_and_owners() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    for secs in [-1, 0, i64::from(i32::MAX) + 1, 253_402_300_799] {
        let time = Time { secs, nanos: 999_999_999 };
        let set = SetAttr { atime: Some(SetTime::At(time)), mtime: Some(SetTime::At(time)), ..SetAttr::default() };
        let attr = world.set(file, set);
        assert_eq!((attr.atime, attr.mtime), (time, time));
    }
    let set_id = SetAttr { mode: Some(0o6755), ..SetAttr::default() };
    let owners = [
        SetAttr { uid: Some(0), ..SetAttr::default() },
        SetAttr { gid: Some(5), ..SetAttr::default() },
        SetAttr::default(),
    ];
    for owner in owners {
        assert_eq!(world.set(file, set_id).mode & 0o7777, 0o6755);
        let before = world.attr(file);
        world.tick_ms(1);
        let after = world.set(file, owner);
        assert_eq!(after.mode & 0o7777, 0o755);
        assert!(after.ctime > before.ctime);
    }
    let locking = SetAttr { mode: Some(0o2644), ..SetAttr::default() };
    world.set(file, locking);
    assert_eq!(world.set(file, owners[0]).mode & 0o7777, 0o2644);
    let dir = world.mkdir(ROOT, "d");
    world.set(dir, set_id);
    assert_eq!(world.set(dir, owners[1]).mode & 0o7777, 0o6755);
    let before = world.attr(file);
    world.tick_ms(1);
    world.truncate(file, 10);
    assert!(world.attr(file).ctime > before.ctime);
}

/// S-ATTR-3
#[test]
fn writes_of_others_clear_privileges() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    let capability = b"security.capability";
    let arm = || {
        world.set(file, SetAttr { mode: Some(0o6755), ..SetAttr::default() });
        world.ok(|vfs| vfs.setxattr(&SUPER, file, capability, b"x", XattrMode::Set));
    };
    let armed = || (world.attr(file).mode & 0o6000 != 0, world.call(|vfs| vfs.getxattr(file, capability)).is_ok());
    arm();
    world.write(file, 0, b"root keeps them");
    world.truncate(file, 5);
    assert_eq!(armed(), (true, true));
    world.ok(|vfs| vfs.write(file, 0, b"x", WriteFlags { kill_suidgid: true, cached: false }));
    assert_eq!(armed(), (false, false));
    arm();
    world.ok(|vfs| vfs.setattr(&USER, file, &SetAttr { size: Some(1), ..SetAttr::default() }));
    assert_eq!(armed(), (false, false));
}

/// S-XATTR-1, S-XATTR-2
#[test]
fn extended_attributes() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    let set = |name: &[u8], value: &[u8], mode| {
        world.call(|vfs| vfs.setxattr(&USER, file, name, value, mode)).err().map_or(0, |error| error.errno())
    };
    assert_eq!(set(b"user.a", b"1", XattrMode::Replace), ENODATA);
    assert_eq!(set(b"user.a", b"1", XattrMode::Create), 0);
    assert_eq!(set(b"user.a", b"2", XattrMode::Create), EEXIST);
    assert_eq!(set(b"user.a", b"3", XattrMode::Replace), 0);
    assert_eq!(set(b"user.big", &[1; 65536], XattrMode::Set), 0);
    assert_eq!(set(b"user.big", &[1; 65537], XattrMode::Set), E2BIG);
    for other in [&b"system.other"[..], b"os2.x", b"plain"] {
        assert_eq!(set(other, b"", XattrMode::Set), EOPNOTSUPP);
    }
    assert_eq!(set(b"trusted.t", b"", XattrMode::Set), 0);
    assert_eq!(set(b"security.s", b"", XattrMode::Set), 0);
    assert_eq!(world.ok(|vfs| vfs.getxattr(file, b"user.a")), b"3");
    assert_eq!(world.errno(|vfs| vfs.getxattr(file, b"user.none")), ENODATA);
    assert_eq!(world.ok(|vfs| vfs.listxattr(&USER, file)), b"security.s\0user.a\0user.big\0");
    assert_eq!(world.ok(|vfs| vfs.listxattr(&SUPER, file)), b"security.s\0trusted.t\0user.a\0user.big\0");
    world.ok(|vfs| vfs.removexattr(&USER, file, b"user.a"));
    assert_eq!(world.errno(|vfs| vfs.removexattr(&USER, file, b"user.a")), ENODATA);
}

/// S-XATTR-3
#[test]
fn there_are_never_more_attributes_than_can_be_listed() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    let set = |number: usize| {
        let name = format!("user.{number:0>250}");
        world.call(|vfs| vfs.setxattr(&USER, file, name.as_bytes(), b"1", XattrMode::Set)).map_err(|e| e.errno())
    };
    // 256 bytes each with its NUL: 256 fill the list to the last byte.
    for number in 0..256 {
        assert_eq!(set(number), Ok(()), "attribute {number}");
    }
    assert_eq!(set(256), Err(ENOSPC));
    assert_eq!(set(0), Ok(()), "one that is there can be set again");
    assert_eq!(world.ok(|vfs| vfs.listxattr(&USER, file)).len(), XATTR_LIST_MAX);
}

const NO_ID: u32 = u32::MAX;

/// S-ACL-1, S-ACL-3
#[test]
fn access_acls_and_modes_say_the_same() {
    let world = World::new();
    let file = world.file(ROOT, "f");
    let set = |value: &[u8]| {
        world.call(|vfs| vfs.setxattr(&SUPER, file, acl::ACCESS, value, XattrMode::Set)).map_err(|e| e.errno())
    };
    let rich = acl::sample(&[(1, 7, NO_ID), (2, 6, 5), (4, 5, NO_ID), (16, 6, NO_ID), (32, 1, NO_ID)]);
    set(&rich).unwrap();
    assert_eq!(world.attr(file).mode & 0o777, 0o761);
    world.set(file, SetAttr { mode: Some(0o640), ..SetAttr::default() });
    let expected = acl::sample(&[(1, 6, NO_ID), (2, 6, 5), (4, 5, NO_ID), (16, 4, NO_ID), (32, 0, NO_ID)]);
    assert_eq!(world.ok(|vfs| vfs.getxattr(file, acl::ACCESS)), expected);
    set(&acl::sample(&[(1, 6, NO_ID), (4, 4, NO_ID), (32, 4, NO_ID)])).unwrap();
    assert_eq!(world.attr(file).mode & 0o777, 0o644);
    assert_eq!(world.errno(|vfs| vfs.getxattr(file, acl::ACCESS)), ENODATA);
    assert_eq!(set(b"\x02\0\0\0nonsense"), Err(EINVAL));
    assert_eq!(set(&acl::sample(&[(1, 6, NO_ID)])), Err(EINVAL));
    world.ok(|vfs| vfs.removexattr(&SUPER, file, acl::ACCESS));
}

/// S-ACL-2, S-CREATE-2
#[test]
fn default_acls_are_inherited() {
    let world = World::new();
    let (file, dir) = (world.file(ROOT, "f"), world.mkdir(ROOT, "d"));
    let default = acl::sample(&[(1, 7, NO_ID), (2, 7, 5), (4, 5, NO_ID), (16, 7, NO_ID), (32, 0, NO_ID)]);
    let set = |ino| world.call(|vfs| vfs.setxattr(&SUPER, ino, acl::DEFAULT, &default, XattrMode::Set));
    assert_eq!(set(file).unwrap_err().errno(), EACCES);
    set(dir).unwrap();
    let caller = Caller { umask: 0o077, ..USER };
    let made = world.ok(|vfs| vfs.mknod(&caller, dir, b"f", S_IFREG | 0o666, 0));
    assert_eq!(made.mode & 0o777, 0o660, "the umask does not count");
    let own = acl::sample(&[(1, 6, NO_ID), (2, 7, 5), (4, 5, NO_ID), (16, 6, NO_ID), (32, 0, NO_ID)]);
    assert_eq!(world.ok(|vfs| vfs.getxattr(made.ino, acl::ACCESS)), own);
    let sub = world.ok(|vfs| vfs.mkdir(&caller, dir, b"s", 0o777)).ino;
    assert_eq!(world.ok(|vfs| vfs.getxattr(sub, acl::DEFAULT)), default);
    assert_eq!(world.errno(|vfs| vfs.getxattr(made.ino, acl::DEFAULT)), ENODATA);
}

/// S-RO-1
#[test]
fn a_read_only_mount_refuses_every_change() {
    let world = World::new();
    let (file, dir) = (world.file(ROOT, "f"), world.mkdir(ROOT, "d"));
    world.vfs.set_read_only(true);
    let size = SetAttr { size: Some(1), ..SetAttr::default() };
    let changes: [&Operation<'_>; 14] = [
        &|vfs| done(vfs.mkdir(&SUPER, ROOT, b"x", 0)),
        &|vfs| done(vfs.mknod(&SUPER, ROOT, b"x", S_IFREG, 0)),
        &|vfs| done(vfs.create(&SUPER, ROOT, b"x", 0, O_RDWR)),
        &|vfs| done(vfs.symlink(&SUPER, ROOT, b"x", b"y")),
        &|vfs| done(vfs.link(file, ROOT, b"x")),
        &|vfs| vfs.unlink(ROOT, b"f"),
        &|vfs| vfs.rmdir(ROOT, b"d"),
        &|vfs| vfs.rename(ROOT, b"f", dir, b"g", RenameMode::Replace),
        &|vfs| done(vfs.setattr(&SUPER, file, &size)),
        &|vfs| done(vfs.write(file, 0, b"x", WriteFlags::default())),
        &|vfs| vfs.setxattr(&SUPER, file, b"user.a", b"", XattrMode::Set),
        &|vfs| vfs.removexattr(&SUPER, file, b"user.a"),
        &|vfs| vfs.fallocate(&SUPER, file, 0, 1, Fallocate::Punch),
        &|vfs| done(vfs.open(file, O_RDWR)),
    ];
    for (number, change) in changes.iter().enumerate() {
        assert_eq!(world.errno(change), EROFS, "change {number}");
    }
    world.ok(|vfs| vfs.open(file, O_RDONLY));
    world.ok(|vfs| vfs.readdir(ROOT, 0, &mut |_| true));
}
