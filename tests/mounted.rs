//! The kernel adapter under a real kernel: a mounted tree without a network, worked on by real programs.
//!
//! Everything lies in the journal here, so what these tests find wrong is in `fuse`, `vfs` or `journal`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed assumption fails the test")]

use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use walrusfs::crypto::{KeyRing, MasterKey};
use walrusfs::error::{FsError, FsResult, Kind};
use walrusfs::fuse::{self, Access, CONTROL_XATTR, Limits, Loader, MountError, MountSpec, Mounted, Mountpoint};
use walrusfs::ids::{DriveUid, KeyEpoch};
use walrusfs::journal::{self, Journal};
use walrusfs::seam::{OsDir, OsRandom, SystemClock};
use walrusfs::tree::Tree;
use walrusfs::vfs::{self, Needs, Outcome, Vfs};

/// Meets what needs no network. `stuck` makes it meet nothing, like a network that does not answer.
struct LocalLoader {
    vfs: Arc<Vfs>,
    stuck: AtomicBool,
}

impl Loader for LocalLoader {
    fn load(&self, needs: Needs) -> BoxFuture<'_, FsResult<()>> {
        Box::pin(async move {
            if self.stuck.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            assert!(needs.nodes.is_empty() && needs.chunks.is_empty(), "nothing was ever committed");
            let vfs = Arc::clone(&self.vfs);
            tokio::task::spawn_blocking(move || {
                if let Some(scope) = needs.write_back {
                    match vfs.write_back(scope) {
                        Outcome::Done(done) => done?,
                        Outcome::Wait(more) => panic!("writing back waits for {more:?}"),
                    }
                }
                needs.durable.map_or(Ok(()), |lsn| vfs.sync_journal(lsn))
            })
            .await
            .unwrap()?;
            match needs.space {
                Some(_) => Err(FsError::new(Kind::DiskFull, "nobody frees space here")),
                None => Ok(()),
            }
        })
    }

    fn certify(&self) -> BoxFuture<'_, FsResult<()>> {
        Box::pin(async { Err(FsError::new(Kind::Unreachable, "there is no network")) })
    }
}

/// In this order they go: the mount before its folder.
struct Rig {
    mounted: Option<Mounted>,
    loader: Arc<LocalLoader>,
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

fn spec() -> MountSpec {
    MountSpec { source: "walrus:test".into(), dev: true, suid: true, access: Access::All, ..MountSpec::default() }
}

impl Rig {
    fn new() -> Self {
        Self::with(Limits::writer())
    }

    fn with(limits: Limits) -> Self {
        let dir = tempfile::Builder::new().prefix("walrusfs-mounted-").tempdir().unwrap();
        let uid = DriveUid([7; 32]);
        let random = Arc::new(OsRandom);
        let keys = Arc::new(KeyRing::new(uid, KeyEpoch(0), MasterKey::generate(&*random), random));
        let medium = Box::new(OsDir::open(&dir.path().join("journal")).unwrap());
        let (journal, recovery) = Journal::open(medium, keys, journal::Limits::default()).unwrap();
        let tree = Arc::new(Tree::new(64 << 20));
        let clock = Arc::new(SystemClock);
        let vfs = Vfs::start(vfs::Config::default(), uid, tree, Arc::new(journal), recovery, None, clock).unwrap();
        let vfs = Arc::new(vfs);
        let loader = Arc::new(LocalLoader { vfs: Arc::clone(&vfs), stuck: AtomicBool::new(false) });
        let point = dir.path().join("mnt");
        fs::create_dir(&point).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let at = Mountpoint::prepare(&point).unwrap();
        let mounted =
            fuse::mount(&at, &spec(), limits, vfs, Arc::clone(&loader) as _, runtime.handle().clone()).unwrap();
        Self { mounted: Some(mounted), loader, runtime, dir }
    }

    fn mnt(&self) -> PathBuf {
        self.dir.path().join("mnt").canonicalize().unwrap()
    }

    fn mounted(&self) -> &Mounted {
        self.mounted.as_ref().unwrap()
    }
}

fn tool(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// A tree with everything a tree can hold.
fn build_tree(root: &Path) {
    for folder in 0..12 {
        let dir = root.join(format!("dir {folder}"));
        fs::create_dir(&dir).unwrap();
        for number in 0..40_u64 {
            let length = usize::try_from(number * number * 97 % 150_000).unwrap();
            let file = dir.join(format!("file-{number}"));
            fs::write(&file, noise(folder * 1000 + number, length)).unwrap();
            let mode = [0o644, 0o600, 0o755, 0o4755, 0o2750, 0o000][usize::try_from(number % 6).unwrap()];
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::hard_link(dir.join("file-3"), dir.join("another name of 3")).unwrap();
        symlink("file-4", dir.join("link")).unwrap();
        symlink("/nowhere/at/all", dir.join("dangling")).unwrap();
    }
    fs::write(root.join("name with \u{fc}mlaut and \n newline"), "x").unwrap();
    fs::create_dir(root.join("sticky")).unwrap();
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o1777)).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.write_all_at(b"end", 40 << 20).unwrap();
    tool("mkfifo", &[root.join("fifo").to_str().unwrap()]);
    tool("mknod", &[root.join("null").to_str().unwrap(), "c", "1", "3"]);
    tool("setfattr", &["-n", "user.colour", "-v", "blue", root.join("sparse").to_str().unwrap()]);
    tool("touch", &["-d", "1965-03-01 12:00:00.123456789 UTC", root.join("sparse").to_str().unwrap()]);
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    links: u64,
    rdev: u64,
    content: Vec<u8>,
}

fn look(root: &Path, below: &Path, found: &mut BTreeMap<OsString, Seen>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        let meta = fs::symlink_metadata(root.join(&path)).unwrap();
        let content = match () {
            () if meta.is_file() => fs::read(root.join(&path)).unwrap(),
            () if meta.is_symlink() => fs::read_link(root.join(&path)).unwrap().into_os_string().into_encoded_bytes(),
            () => Vec::new(),
        };
        let links = if meta.is_dir() { 0 } else { meta.nlink() };
        let seen = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            links,
            rdev: meta.rdev(),
            content,
        };
        found.insert(path.clone().into_os_string(), seen);
        if meta.is_dir() {
            look(root, &path, found);
        }
    }
}

fn assert_same(one: &Path, other: &Path) {
    let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
    look(one, Path::new(""), &mut first);
    look(other, Path::new(""), &mut second);
    assert!(first.len() > 500, "the tree is a tree: {}", first.len());
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (path, seen) in &first {
        let other = &second[path];
        let told = |seen: &Seen| (seen.mode, seen.owner, seen.mtime, seen.links, seen.rdev);
        assert_eq!(told(seen), told(other), "{path:?}");
        assert!(seen.content == other.content, "the content of {path:?} differs");
    }
}

#[test]
fn real_programs_copy_a_tree_in_and_out() {
    let rig = Rig::new();
    let (source, mnt) = (rig.dir.path().join("source"), rig.mnt());
    fs::create_dir(&source).unwrap();
    build_tree(&source);
    let (from, copy) = (format!("{}/.", source.display()), mnt.join("cp"));
    tool("cp", &["-a", &from, copy.to_str().unwrap()]);
    assert_same(&source, &copy);
    let value = tool("getfattr", &["-n", "user.colour", "--only-values", copy.join("sparse").to_str().unwrap()]);
    assert_eq!(value, "blue");

    let synced = format!("{}/rsync/", mnt.display());
    fs::create_dir(mnt.join("rsync")).unwrap();
    tool("rsync", &["-aHAX", &format!("{}/", source.display()), &synced]);
    let again =
        tool("rsync", &["-aHAX", "--checksum", "--itemize-changes", &format!("{}/", source.display()), &synced]);
    assert_eq!(again, "", "a second rsync changes nothing");

    let archive = rig.dir.path().join("out.tar");
    tool("tar", &["--format=posix", "-C", copy.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]);
    fs::create_dir(mnt.join("tar")).unwrap();
    tool("tar", &["-C", mnt.join("tar").to_str().unwrap(), "-xpf", archive.to_str().unwrap()]);
    assert_same(&source, &mnt.join("tar"));
    let count = |root: &Path| tool("find", &[root.to_str().unwrap()]).lines().count();
    assert_eq!(count(&mnt.join("tar")), count(&source));

    for name in ["cp", "rsync", "tar"] {
        tool("rm", &["-rf", mnt.join(name).to_str().unwrap()]);
    }
    assert_eq!(fs::read_dir(&mnt).unwrap().count(), 0);
}

#[test]
fn the_mount_says_what_it_is() {
    let control = PathBuf::from("/some/where.sock");
    let rig = Rig::with(Limits { control: control.clone(), ..Limits::writer() });
    let mnt = rig.mnt();
    let (path, source) = fuse::mount_of(&mnt).unwrap();
    assert_eq!((path.as_path(), source.as_str()), (mnt.as_path(), "walrus:test"));
    let kind = tool("findmnt", &["-n", "-o", "FSTYPE", mnt.to_str().unwrap()]);
    assert_eq!(kind.trim(), "fuse.walrusfs");
    let value = tool("getfattr", &["-n", CONTROL_XATTR, "--only-values", mnt.to_str().unwrap()]);
    assert_eq!(Path::new(&value), control);
    assert_eq!(tool("getfattr", &["-d", mnt.to_str().unwrap()]), "", "listed nowhere");
    assert!(matches!(Mountpoint::prepare(&mnt), Err(MountError::Mounted { .. })), "mounted twice");
}

/// protocol: SEEK_DATA arrives before the dirty pages do.
#[test]
fn dirty_data_is_no_hole_and_blocks_count_it() {
    let rig = Rig::new();
    let path = rig.mnt().join("file");
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    let data = noise(1, 300_000);
    file.write_all_at(&data, 8 << 20).unwrap();
    // SAFETY: lseek takes a descriptor, which is open.
    let at = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_DATA) };
    assert_eq!(at, 8 << 20, "data that was just written is data");
    // SAFETY: as above.
    let hole = unsafe { libc::lseek(file.as_raw_fd(), at, libc::SEEK_HOLE) };
    assert!(hole >= (8 << 20) + 300_000, "hole at {hole}");
    let copied = rig.dir.path().join("copy");
    tool("cp", &["--sparse=always", path.to_str().unwrap(), copied.to_str().unwrap()]);
    assert_eq!(fs::read(&copied).unwrap()[8 << 20..], data[..]);
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 300_000);
    let mut back = vec![1; 100];
    file.seek(SeekFrom::Start((8 << 20) - 50)).unwrap();
    file.read_exact(&mut back).unwrap();
    assert_eq!(back[..50], [0; 50], "a hole reads as zeros");
    assert_eq!(back[50..], data[..50]);
}

#[test]
fn dirty_pages_of_open_and_mapped_files_are_pulled() {
    let rig = Rig::new();
    let file = File::create(rig.mnt().join("written")).unwrap();
    file.write_all_at(&noise(2, 8 << 20), 0).unwrap();
    let mapped =
        File::options().create(true).truncate(true).read(true).write(true).open(rig.mnt().join("mapped")).unwrap();
    mapped.set_len(8 << 20).unwrap();
    // SAFETY: a fresh shared mapping of a file that is long enough; nobody else has the address.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            8 << 20,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            mapped.as_raw_fd(),
            0,
        )
    };
    assert_ne!(address, libc::MAP_FAILED);
    // SAFETY: the mapping is that long and lives until munmap below.
    let memory = unsafe { std::slice::from_raw_parts_mut(address.cast::<u8>(), 8 << 20) };
    memory.copy_from_slice(&noise(3, 8 << 20));
    let started = Instant::now();
    rig.runtime.block_on(rig.mounted().pull_dirty_pages()).unwrap();
    let counts = rig.loader.vfs.counts();
    let arrived = counts.dirty_bytes + counts.pending_bytes;
    assert!(arrived >= 16 << 20, "only {arrived} bytes arrived");
    println!("16 MiB of dirty pages pulled in {:?}", started.elapsed());
    // SAFETY: the mapping made above, and its slice is not used any more.
    unsafe { libc::munmap(address, 8 << 20) };
}

#[test]
fn a_request_that_nothing_answers_ends_in_time_and_holds_up_nobody() {
    let rig = Rig::with(Limits { timeout: Duration::from_secs(2), ..Limits::writer() });
    let mnt = rig.mnt();
    fs::write(mnt.join("cached"), "content").unwrap();
    rig.loader.stuck.store(true, Ordering::SeqCst);
    let waiting: Vec<_> = (0..8)
        .map(|number| {
            let file = File::create(mnt.join(format!("stuck-{number}"))).unwrap();
            std::thread::spawn(move || {
                let started = Instant::now();
                (file.sync_all(), started.elapsed())
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    for number in 0..20 {
        let started = Instant::now();
        fs::metadata(&mnt).unwrap();
        assert_eq!(fs::read(mnt.join("cached")).unwrap(), b"content");
        File::create(mnt.join(format!("made-{number}"))).unwrap();
        assert!(started.elapsed() < Duration::from_millis(500), "held up for {:?}", started.elapsed());
    }
    for waiter in waiting {
        let (result, took) = waiter.join().unwrap();
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EIO));
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(6), "answered after {took:?}");
    }
    rig.loader.stuck.store(false, Ordering::SeqCst);
    File::create(mnt.join("after")).unwrap().sync_all().unwrap();
}

#[test]
fn an_fsync_that_must_be_certified_fails_without_a_network() {
    let rig = Rig::with(Limits { certify_fsync: true, ..Limits::writer() });
    let mut file = File::create(rig.mnt().join("file")).unwrap();
    file.write_all(b"x").unwrap();
    assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(libc::EIO));
}

#[test]
fn unmounting_waits_for_nobody_and_refuses_when_in_use() {
    let mut rig = Rig::new();
    let mnt = rig.mnt();
    let held = File::create(mnt.join("held")).unwrap();
    assert!(matches!(rig.mounted().unmount(false), Err(MountError::Busy(_))));
    assert!(fs::metadata(mnt.join("held")).is_ok(), "a refused unmount changes nothing");
    drop(held);
    rig.mounted().unmount(false).unwrap();
    let ended = async { tokio::time::timeout(Duration::from_secs(5), rig.mounted().ended()).await };
    rig.runtime.block_on(ended).expect("the session ends with its mount");
    assert!(rig.mounted().is_over());
    assert!(matches!(fuse::mount_of(&mnt), Err(MountError::NotMounted(_))));
    rig.mounted = None;

    // Dropped without a word: the mount goes away all the same, in use or not.
    let mut rig = Rig::new();
    let mnt = rig.mnt();
    let held = File::create(mnt.join("held")).unwrap();
    rig.mounted = None;
    assert!(matches!(fuse::mount_of(&mnt), Err(MountError::NotMounted(_))));
    drop(held);
}

#[test]
fn two_names_swap_and_none_is_overwritten_unasked() {
    let rig = Rig::new();
    let mnt = rig.mnt();
    fs::write(mnt.join("a"), "1").unwrap();
    fs::write(mnt.join("b"), "2").unwrap();
    let rename = |from: &str, to: &str, flags: u32| {
        let name = |name: &str| std::ffi::CString::new(mnt.join(name).into_os_string().into_encoded_bytes()).unwrap();
        let (from, to) = (name(from), name(to));
        // SAFETY: both strings end with NUL and outlive the call.
        let done = unsafe { libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags) };
        if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) }
    };
    assert_eq!(rename("a", "b", libc::RENAME_NOREPLACE), Err(libc::EEXIST));
    assert_eq!(rename("a", "b", libc::RENAME_EXCHANGE), Ok(()));
    assert_eq!(fs::read(mnt.join("a")).unwrap(), b"2");
    assert_eq!(rename("a", "b", 0), Ok(()));
    assert_eq!(fs::read(mnt.join("b")).unwrap(), b"2");
    assert!(!mnt.join("a").exists());
    // A name that was looked up in vain is found once it is made.
    fs::write(mnt.join("a"), "3").unwrap();
    assert!(mnt.join("a").exists());
}
