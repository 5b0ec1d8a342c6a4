//! The kernel's words and the vfs's.

use crate::ids::Ino;
use crate::tree::record::Time;
use crate::vfs::{Attr, BLOCK_SIZE, Caller, RenameMode, SetTime, XattrMode};
use fuser::{FileAttr, FileType, INodeNo, RenameFlags, Request, TimeOrNow};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The type in `mode`; `None` when it holds none of the seven.
pub(crate) fn file_type(mode: u32) -> Option<FileType> {
    Some(match mode & libc::S_IFMT {
        libc::S_IFREG => FileType::RegularFile,
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => return None,
    })
}

/// The type of a directory entry (`DT_*`, which are the type bits of a mode shifted right by 12).
pub(crate) fn entry_type(kind: u8) -> Option<FileType> {
    file_type(u32::from(kind) << 12)
}

/// The attributes as fuser wants them; `None` when the mode holds no file type (a damaged record).
pub(crate) fn file_attr(attr: &Attr) -> Option<FileAttr> {
    Some(FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: system_time(attr.atime),
        mtime: system_time(attr.mtime),
        ctime: system_time(attr.ctime),
        crtime: system_time(attr.btime),
        kind: file_type(attr.mode)?,
        // The mask leaves 12 bits.
        perm: (attr.mode & 0o7777) as u16,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        blksize: BLOCK_SIZE,
        flags: 0,
    })
}

/// What the kernel is told about a name that does not exist: inode 0 makes it a negative entry, the rest is not read.
pub(crate) fn no_file() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

/// A time before or after 1970; what no `SystemTime` can hold becomes the epoch.
pub(crate) fn system_time(time: Time) -> SystemTime {
    let seconds = Duration::from_secs(time.secs.unsigned_abs());
    let whole = if time.secs < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    whole.and_then(|whole| whole.checked_add(Duration::from_nanos(u64::from(time.nanos)))).unwrap_or(UNIX_EPOCH)
}

/// The time that the kernel sent, from what fuser 0.18.0 makes of it: for seconds before 1970 it *subtracts* the
/// nanoseconds too (the answer's way, [`system_time`], is right), so -1 s and 5 ns arrive as 1 s and 5 ns before the epoch.
pub(crate) fn time(sent: SystemTime) -> Time {
    match sent.duration_since(UNIX_EPOCH) {
        Ok(after) => Time { secs: i64::try_from(after.as_secs()).unwrap_or(i64::MAX), nanos: after.subsec_nanos() },
        Err(before) => {
            let before = before.duration();
            let secs = i64::try_from(before.as_secs()).map_or(i64::MIN, |secs| -secs);
            Time { secs, nanos: before.subsec_nanos() }
        }
    }
}

pub(crate) fn set_time(at: TimeOrNow) -> SetTime {
    match at {
        TimeOrNow::SpecificTime(at) => SetTime::At(time(at)),
        TimeOrNow::Now => SetTime::Now,
    }
}

pub(crate) fn ino(number: INodeNo) -> Ino {
    Ino(number.0)
}

pub(crate) fn caller(request: &Request, umask: u32) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), pid: request.pid(), umask }
}

/// The mode of a rename; `None` for flags that are not supported (`EINVAL`).
pub(crate) fn rename_mode(flags: RenameFlags) -> Option<RenameMode> {
    Some(match flags {
        _ if flags.is_empty() => RenameMode::Replace,
        RenameFlags::RENAME_NOREPLACE => RenameMode::NoReplace,
        RenameFlags::RENAME_EXCHANGE => RenameMode::Exchange,
        _ => return None,
    })
}

/// The mode of a setxattr; `None` for flags that are not supported (`EINVAL`).
pub(crate) fn xattr_mode(flags: i32) -> Option<XattrMode> {
    Some(match flags {
        0 => XattrMode::Set,
        libc::XATTR_CREATE => XattrMode::Create,
        libc::XATTR_REPLACE => XattrMode::Replace,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_come_back(secs in -100_000_000_000_i64..100_000_000_000, nanos in 0_u32..1_000_000_000) {
            // As fuser 0.18.0 hands over what the kernel sends.
            let sent = if secs >= 0 {
                UNIX_EPOCH + Duration::new(secs.unsigned_abs(), nanos)
            } else {
                UNIX_EPOCH - Duration::new(secs.unsigned_abs(), nanos)
            };
            prop_assert_eq!(time(sent), Time { secs, nanos });
        }

        #[test]
        fn no_time_panics(secs: i64, nanos: u32) {
            let _ = time(system_time(Time { secs, nanos }));
        }
    }

    #[test]
    fn half_a_second_before_the_epoch() {
        assert_eq!(system_time(Time { secs: -1, nanos: 500_000_000 }), UNIX_EPOCH - Duration::from_millis(500));
    }

    #[test]
    fn every_type_of_file_and_nothing_else() {
        for (bits, kind) in [
            (libc::S_IFREG, FileType::RegularFile),
            (libc::S_IFDIR, FileType::Directory),
            (libc::S_IFLNK, FileType::Symlink),
            (libc::S_IFIFO, FileType::NamedPipe),
            (libc::S_IFSOCK, FileType::Socket),
            (libc::S_IFCHR, FileType::CharDevice),
            (libc::S_IFBLK, FileType::BlockDevice),
        ] {
            assert_eq!(file_type(bits | 0o644), Some(kind));
            assert_eq!(entry_type(u8::try_from(bits >> 12).unwrap()), Some(kind));
        }
        assert_eq!(file_type(0o644), None);
        assert!(file_attr(&Attr::default()).is_none(), "a damaged record is not a file");
    }

    #[test]
    fn flags_that_nobody_knows_are_refused() {
        assert_eq!(rename_mode(RenameFlags::RENAME_WHITEOUT), None);
        assert_eq!(rename_mode(RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE), None);
        assert_eq!(xattr_mode(libc::XATTR_CREATE | libc::XATTR_REPLACE), None);
    }
}
