//! One filesystem error type carrying an errno, and the one table that makes errnos.

use std::borrow::Cow;
use std::fmt;

/// What went wrong, as a class that a caller can act on. [`Kind::errno`] is the only place where errnos are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A POSIX rule of the filesystem said no: the errno *is* the answer.
    Posix(i32),
    /// Bytes that were read back are not the bytes that were written.
    Corrupt,
    /// The network, a node or the chain did not answer in time or at all.
    Unreachable,
    /// The local disk cannot hold more.
    DiskFull,
    /// The drive's storage pool cannot hold more.
    PoolFull,
    /// WAL or SUI is used up.
    Unfunded,
    /// Another writer holds the drive's lease.
    LeaseLost,
    /// The drive, or this mount, is read-only.
    ReadOnly,
    /// The reader lags: what it asks for has been removed by later commits.
    Stale,
    /// The key does not open this drive.
    WrongKey,
    /// A bug or an unexpected answer; the message says more.
    Internal,
}

impl Kind {
    /// The errno that the kernel is told.
    pub fn errno(self) -> i32 {
        match self {
            Kind::Posix(errno) => errno,
            Kind::Corrupt | Kind::Unreachable | Kind::Internal => libc::EIO,
            Kind::DiskFull | Kind::PoolFull => libc::ENOSPC,
            Kind::Unfunded => libc::EDQUOT,
            Kind::LeaseLost | Kind::ReadOnly => libc::EROFS,
            Kind::Stale => libc::ESTALE,
            Kind::WrongKey => libc::EACCES,
        }
    }
}

/// An error of the filesystem: what failed, on what, why, and what to do next.
#[derive(Debug)]
pub struct FsError {
    kind: Kind,
    message: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
}

/// The result of every fallible operation of the filesystem.
pub type FsResult<T> = Result<T, FsError>;

impl FsError {
    /// An error of class `kind`; the message says what failed, on what and what to do next.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The plain answer of a POSIX rule; costs no allocation.
    pub const fn posix(errno: i32) -> Self {
        Self { kind: Kind::Posix(errno), message: Cow::Borrowed(""), source: None }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The errno that the kernel is told.
    pub fn errno(&self) -> i32 {
        self.kind.errno()
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            std::io::Error::from_raw_os_error(self.errno()).fmt(f)
        } else {
            f.write_str(&self.message)
        }
    }
}

impl std::error::Error for FsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<std::io::Error> for FsError {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Kind::DiskFull,
            _ => Kind::Internal,
        };
        FsError::new(kind, format!("local disk: {error}")).caused_by(error)
    }
}
