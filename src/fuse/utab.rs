//! libmount's own table of mounts (`/run/mount/utab`): what makes plain `umount MNT` call our helper.
//!
//! umount(8) asks statfs(2) first, which says "fuse" for every FUSE file system, and so looks for `umount.fuse`. Only a
//! mount that has a line here is looked up in mountinfo, where its real type is. mount(8) writes that line for mounts with
//! options such as `_netdev`; for all others we do, as libmount does: a new table renamed into place under a lock.
//! (Measured with util-linux 2.38.) A missing table is no failure: then `umount` goes past the helper and the journal carries.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folder of the table.
const FOLDER: &str = "/run/mount";

/// Whoever holds the lock, holds it for a rename; this is never waited out.
const TRIES: usize = 50;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Adds the mount of `source` at `target`, in place of an older line for the same target.
pub(crate) fn add(source: &str, target: &Path) -> io::Result<()> {
    let mut line = b"SRC=".to_vec();
    mangle(source.as_bytes(), &mut line);
    line.extend_from_slice(b" TARGET=");
    mangle(target.as_os_str().as_bytes(), &mut line);
    line.extend_from_slice(b" ROOT=/ OPTS=uhelper=walrusfs\n");
    change(Path::new(FOLDER), target, Some(&line))
}

/// Takes away the lines of `target`.
pub(crate) fn remove(target: &Path) -> io::Result<()> {
    match change(Path::new(FOLDER), target, None) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn change(folder: &Path, target: &Path, line: Option<&[u8]>) -> io::Result<()> {
    if line.is_some() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let _lock = lock(&folder.join("utab.lock"))?;
    let table = folder.join("utab");
    let old = match std::fs::read(&table) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let new = edit(&old, target, line);
    if new == old {
        return Ok(());
    }
    let temporary: PathBuf = folder.join(format!("utab.walrusfs-{}", std::process::id()));
    let written = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&temporary)
        .and_then(|mut file| file.write_all(&new))
        .and_then(|()| std::fs::set_permissions(&temporary, Permissions::from_mode(0o644)))
        .and_then(|()| std::fs::rename(&temporary, &table));
    if written.is_err() {
        // The error is what matters; what is left of the try has no reader.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn lock(path: &Path) -> io::Result<Flock<File>> {
    let mut file = File::options().create(true).append(true).mode(0o644).open(path)?;
    for _ in 0..TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((again, nix::errno::Errno::EWOULDBLOCK)) => file = again,
            Err((_, errno)) => return Err(errno.into()),
        }
        std::thread::sleep(PAUSE);
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// The table without the lines of `target`, and with `line` at its end.
fn edit(table: &[u8], target: &Path, line: Option<&[u8]>) -> Vec<u8> {
    let mut wanted = b"TARGET=".to_vec();
    mangle(target.as_os_str().as_bytes(), &mut wanted);
    let others = table
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| !line.split(|byte| byte.is_ascii_whitespace()).any(|word| word == wanted));
    let mut new: Vec<u8> = others.flatten().copied().collect();
    new.extend_from_slice(line.unwrap_or_default());
    new
}

/// Writes `text` with space, tab, newline, backslash and `#` as `\ooo`, as libmount does.
fn mangle(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_stay() {
        let other = b"SRC=/dev/sdb1 TARGET=/mnt/a ROOT=/ OPTS=_netdev\n";
        let table = [&other[..], b"SRC=walrus:a TARGET=/mnt/a\\040b ROOT=/ OPTS=uhelper=walrusfs\n"].concat();
        assert_eq!(edit(&table, Path::new("/mnt/a b"), None), other);
        assert_eq!(edit(&table, Path::new("/mnt"), None), table);
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("utab"), other).unwrap();
        for _ in 0..2 {
            change(temp.path(), Path::new("/m"), Some(b"SRC=walrus:a TARGET=/m ROOT=/ OPTS=uhelper=walrusfs\n"))
                .unwrap();
        }
        let table = std::fs::read(temp.path().join("utab")).unwrap();
        assert_eq!(table, [&other[..], b"SRC=walrus:a TARGET=/m ROOT=/ OPTS=uhelper=walrusfs\n"].concat());
        change(temp.path(), Path::new("/m"), None).unwrap();
        assert_eq!(std::fs::read(temp.path().join("utab")).unwrap(), other);
    }
}
