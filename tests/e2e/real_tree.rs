//! A real tree to copy (the toolchain's and the registry's own files, with every kind of oddity added) and a
//! comparison of two trees that misses nothing a backup must keep.

use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What a made tree holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    pub files: u64,
    pub bytes: u64,
}

/// Fills `to` with at least `files` files and `bytes` bytes of this machine's own software, then adds oddities.
pub fn make(to: &Path, files: u64, bytes: u64) -> Size {
    fs::create_dir_all(to).unwrap();
    let mut size = Size::default();
    for (n, source) in sources().into_iter().enumerate() {
        if source.is_dir() && (size.files < files || size.bytes < bytes) {
            copy_some(&source, &to.join(format!("part-{n}")), files, bytes, &mut size);
        }
    }
    assert!(size.files >= files && size.bytes >= bytes, "this machine has too little to copy: {size:?}");
    add_oddities(&to.join("oddities"));
    size
}

fn sources() -> Vec<PathBuf> {
    let sysroot = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).unwrap().trim());
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registry = home.unwrap_or_default().join("registry/src");
    // Many small files first, then a few large ones for the rest of the bytes.
    vec![sysroot.join("share/doc/rust/html/std"), registry, sysroot.join("lib/rustlib")]
}

fn copy_some(from: &Path, to: &Path, files: u64, bytes: u64, size: &mut Size) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if size.files >= files && size.bytes >= bytes {
            return;
        }
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        let len = entry.metadata().unwrap().len();
        if kind.is_dir() {
            copy_some(&entry.path(), &target, files, bytes, size);
        } else if kind.is_file() && (len < 1 << 20 || size.files >= files / 2) && len < 64 << 20 {
            fs::copy(entry.path(), &target).unwrap();
            size.files += 1;
            size.bytes += len;
        }
    }
}

/// Symbolic and hard links, modes, owners, times, attributes, names, sparse and empty files, device nodes.
fn add_oddities(dir: &Path) {
    fs::create_dir_all(dir.join("empty dir")).unwrap();
    fs::create_dir_all(dir.join("deep").join(["d"; 60].join("/"))).unwrap();
    fs::write(dir.join("empty"), b"").unwrap();
    for len in [1, 2047, 2048, 2049, 65_535, 65_536, 65_537, 200_000] {
        fs::write(dir.join(format!("len-{len}")), vec![b'x'; len]).unwrap();
    }
    symlink("len-1", dir.join("link")).unwrap();
    symlink("/does/not/exist", dir.join("dangling")).unwrap();
    symlink(OsStr::from_bytes(&[b'y'; 1000]), dir.join("long target")).unwrap();
    for n in 0..5 {
        fs::hard_link(dir.join("len-2049"), dir.join(format!("hard-{n}"))).unwrap();
    }
    for mode in [0o000, 0o400, 0o777, 0o1777, 0o2755, 0o4755, 0o6711] {
        let path = dir.join(format!("mode-{mode:o}"));
        fs::write(&path, b"mode").unwrap();
        std::os::unix::fs::chown(&path, Some(mode), Some(mode + 1)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::lchown(dir.join("link"), Some(1234), Some(4321)).unwrap();
    fs::write(dir.join(OsStr::from_bytes(&[b'n'; 255])), b"longest name").unwrap();
    let every_byte: Vec<u8> = (1..=255).filter(|&b| b != b'/').take(200).collect();
    fs::write(dir.join(OsStr::from_bytes(&every_byte)), b"every byte").unwrap();
    let mut sparse = fs::File::create(dir.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(50 << 20)).unwrap();
    sparse.write_all(b"far out").unwrap();
    sparse.set_len(100 << 20).unwrap();
    mknod(&dir.join("fifo"), SFlag::S_IFIFO, Mode::from_bits_truncate(0o640), 0).unwrap();
    mknod(&dir.join("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), nix::sys::stat::makedev(1, 3)).unwrap();
    for (name, value) in [("user.comment", &b"hello"[..]), ("user.empty", b""), ("user.large", &[7; 3000])] {
        set_xattr(&dir.join("len-65537"), name, value);
        set_xattr(&dir.join("empty dir"), name, value);
    }
    for (name, secs, nanos) in [("len-1", -1, 5), ("len-2047", 4_000_000_000, 999_999_999), ("empty", 0, 1)] {
        let time = TimeSpec::new(secs, nanos);
        utimensat(nix::fcntl::AT_FDCWD, &dir.join(name), &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    let (path, name) = (c_path(path), CString::new(name).unwrap());
    // SAFETY: both strings end with NUL and the value's pointer and length are one slice's.
    let done = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    assert_eq!(done, 0, "setxattr: {}", std::io::Error::last_os_error());
}

/// Every extended attribute of `path` itself.
pub fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let path = c_path(path);
    let mut names = vec![0_u8; 64 * 1024];
    // SAFETY: the buffer's pointer and length are one slice's; the path ends with NUL.
    let len = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    names.truncate(usize::try_from(len).unwrap_or(0));
    let mut found = BTreeMap::new();
    for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let c_name = CString::new(name).unwrap();
        let mut value = vec![0_u8; 64 * 1024];
        // SAFETY: as above.
        let len = unsafe { libc::lgetxattr(path.as_ptr(), c_name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        value.truncate(usize::try_from(len).unwrap());
        found.insert(name.to_vec(), value);
    }
    found
}

/// Asserts that `diff -r --no-dereference` finds nothing and that modes, owners, times, links and attributes agree.
pub fn assert_same(left: &Path, right: &Path) {
    let differences = compare(left, right);
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences[..differences.len().min(20)].join("\n")
    );
}

/// The differences of two trees, in words.
pub fn compare(left: &Path, right: &Path) -> Vec<String> {
    let mut differences = Vec::new();
    let mut links: HashMap<u64, (u64, PathBuf)> = HashMap::new();
    compare_entry(left, right, &mut links, &mut differences);
    differences
}

fn compare_entry(left: &Path, right: &Path, links: &mut HashMap<u64, (u64, PathBuf)>, differences: &mut Vec<String>) {
    let mut differ = |what: String| differences.push(format!("{}: {what}", left.display()));
    let l = fs::symlink_metadata(left).unwrap();
    let r = match fs::symlink_metadata(right) {
        Ok(r) => r,
        Err(error) => return differ(format!("missing on the right: {error}")),
    };
    let shown = |m: &fs::Metadata| {
        let nlink = if m.is_dir() { 0 } else { m.nlink() };
        let size = if m.is_dir() { 0 } else { m.size() };
        (m.mode(), m.uid(), m.gid(), m.rdev(), nlink, size, m.mtime(), m.mtime_nsec())
    };
    if shown(&l) != shown(&r) {
        differ(format!("attributes {:?} against {:?}", shown(&l), shown(&r)));
    }
    if xattrs(left) != xattrs(right) {
        differ(format!("extended attributes {:?} against {:?}", xattrs(left), xattrs(right)));
    }
    // Names of one file on the left are names of one file on the right.
    if l.nlink() > 1 && !l.is_dir() {
        let first = links.entry(l.ino()).or_insert_with(|| (r.ino(), left.to_owned()));
        if first.0 != r.ino() {
            differ(format!("no longer a link of {}", first.1.display()));
        }
    }
    if l.is_dir() {
        let names = |dir: &Path| -> Vec<_> {
            let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let (l_names, r_names) = (names(left), names(right));
        if l_names != r_names {
            differ(format!("{} names against {}", l_names.len(), r_names.len()));
        }
        for name in l_names {
            compare_entry(&left.join(&name), &right.join(&name), links, differences);
        }
    } else if l.is_symlink() {
        if fs::read_link(left).unwrap() != fs::read_link(right).ok().unwrap_or_default() {
            differ("symbolic link target".into());
        }
    } else if l.is_file() && !l.file_type().is_fifo() {
        match fs::read(right) {
            Ok(content) if content == fs::read(left).unwrap() => {}
            Ok(_) => differ("content".into()),
            Err(error) => differ(format!("content cannot be read: {error}")),
        }
    }
}

/// The comparison itself: equal trees are equal, and every kind of difference is seen.
#[test]
fn the_comparison_sees_every_kind_of_difference() {
    let dir = tempfile::tempdir().unwrap();
    let (left, right) = (dir.path().join("left"), dir.path().join("right"));
    add_oddities(&left);
    let copy = || {
        let _ = fs::remove_dir_all(&right);
        super::harness::tool("cp", &["-a", left.to_str().unwrap(), right.to_str().unwrap()]);
    };
    copy();
    assert_eq!(compare(&left, &right), Vec::<String>::new());
    let time = TimeSpec::new(4_000_000_000, 999_999_998);
    let spoilers: [(&str, &dyn Fn()); 9] = [
        ("content", &|| fs::write(right.join("len-2049"), vec![b'y'; 2049]).unwrap()),
        ("mode", &|| fs::set_permissions(right.join("len-1"), fs::Permissions::from_mode(0o640)).unwrap()),
        ("owner", &|| std::os::unix::fs::lchown(right.join("link"), Some(1), None).unwrap()),
        ("nanoseconds", &|| {
            utimensat(nix::fcntl::AT_FDCWD, &right.join("len-2047"), &time, &time, UtimensatFlags::NoFollowSymlink)
                .unwrap();
        }),
        ("attribute", &|| set_xattr(&right.join("empty dir"), "user.empty", b"x")),
        ("hard link", &|| {
            let bytes = fs::read(right.join("hard-1")).unwrap();
            fs::remove_file(right.join("hard-1")).unwrap();
            fs::write(right.join("hard-1"), bytes).unwrap();
        }),
        ("missing", &|| fs::remove_file(right.join("fifo")).unwrap()),
        ("more", &|| fs::write(right.join("deep/extra"), b"").unwrap()),
        ("target", &|| {
            fs::remove_file(right.join("dangling")).unwrap();
            symlink("/elsewhere/entirely", right.join("dangling")).unwrap();
        }),
    ];
    for (what, spoil) in spoilers {
        copy();
        spoil();
        assert!(!compare(&left, &right).is_empty(), "{what} went unnoticed");
    }
}
