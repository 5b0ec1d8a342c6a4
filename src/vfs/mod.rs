//! POSIX semantics over inodes.
