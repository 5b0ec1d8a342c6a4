//! The kernel adapter: requests of the kernel in, calls of the vfs, replies out. No policy.
//!
//! # Mechanism
//!
//! [`mount`] registers the file system with the kernel itself (mount(2) as root, fusermount3 otherwise) and runs fuser's
//! session on two worker threads. A worker calls the vfs and answers at once when the vfs is done, which is the case for
//! nearly everything: a round trip costs wake-ups, not work. When the vfs answers [`Wait`](crate::vfs::Outcome::Wait), the
//! reply moves to a task of the runtime, which meets the needs and calls again (`wait`).
//!
//! # Promises
//!
//! - A worker never blocks on network, upload, disk sync, another request or back-pressure: two blocked reads would
//!   freeze the whole mount, the root's `getattr` included.
//! - Every request is answered within [`Limits::timeout`], because a caller that waits cannot be killed (fuser refuses
//!   `FUSE_INTERRUPT`); but a change that waits for room in the journal waits as long as the pipeline gets on. A panic below answers `EIO` and the worker lives on.
//! - The mount goes away with the program: [`Mounted`] detaches it when dropped, also when the handshake failed.
//!
//! # Assumptions
//!
//! The kernel checks permissions (`default_permissions`), keeps locks, and owns size and mtime of files with dirty pages
//! (writeback cache). Nobody but this daemon changes the drive while it is mounted read-write, so names and attributes stay
//! valid in the kernel until the kernel itself changes them.
//!
//! # Must never
//!
//! Call `inval_inode` from a worker (it returns only after the kernel's dirty pages were written, by a worker), or log a
//! file name above debug level.

mod answer;
mod convert;
mod features;
mod mount;
mod requests;
mod session;
mod utab;
mod virtual_xattr;

pub use answer::Loader;
pub use features::Features;
pub use mount::{Access, MountError, MountSpec, Mountpoint, Remount, mount_of, remount, unmount};
pub use requests::CONTROL_XATTR;
pub use session::{Limits, Mounted, mount};
