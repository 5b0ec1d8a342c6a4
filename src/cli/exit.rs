//! Exit codes (one list, promised by `docs/exit-codes.md`) and the error type of commands.

use crate::error::{FsError, Kind};
use std::error::Error;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// How a command ended. A number, once published, keeps its meaning and is never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// It did what was asked.
    Ok = 0,
    /// The command line makes no sense.
    Usage = 1,
    /// It failed for a reason without a number of its own.
    Failed = 2,
    /// The key file or passphrase does not open the drive.
    WrongKey = 3,
    /// Another writer holds the drive's lease.
    LeaseHeld = 4,
    /// The wallet has too little SUI or WAL.
    Unfunded = 5,
    /// The drive's storage has expired, or its pool is full.
    Storage = 6,
    /// The network, its nodes or its chain did not answer.
    Unreachable = 7,
    /// Something that was read back is not what was written.
    Corrupt = 8,
    /// Data is safe in the local journal but not yet certified on the network.
    Pending = 9,
    /// The mount point is in use.
    Busy = 10,
    /// No such drive, mount, blob, file or folder.
    NotFound = 11,
    /// Only as a mount helper: the mount or umount failed (mount(8), exit status 32).
    MountFailed = 32,
    /// Stopped by a second interrupt.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

impl Code {
    /// The code that a daemon's child sent as a number; [`Code::Failed`] when it is none of ours.
    pub fn from_number(number: u8) -> Self {
        use Code::*;
        [
            Ok,
            Usage,
            Failed,
            WrongKey,
            LeaseHeld,
            Unfunded,
            Storage,
            Unreachable,
            Corrupt,
            Pending,
            Busy,
            NotFound,
            MountFailed,
            Interrupted,
        ]
        .into_iter()
        .find(|code| *code as u8 == number)
        .unwrap_or(Failed)
    }
}

/// Why a command failed: what was tried, on what, why it did not work, what to do next, and the exit code.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    passphrase_wanted: bool,
    silence: bool,
}

impl Failure {
    /// A failure that ends the program with `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None, passphrase_wanted: false, silence: false }
    }

    /// Only a passphrase opens `source`, and none was given: worth asking for one where somebody can type.
    pub fn passphrase_wanted(source: &str) -> Self {
        let message = format!(
            "no key of this home opens {source}; give key_file=FILE or passphrase_file=FILE, or run at a terminal"
        );
        Self { passphrase_wanted: true, ..Self::new(Code::WrongKey, message) }
    }

    /// A process that should have answered did not.
    pub fn silence(message: impl Into<String>) -> Self {
        Self { silence: true, ..Self::new(Code::Failed, message) }
    }

    /// Whether a process that should have answered did not.
    pub fn is_silence(&self) -> bool {
        self.silence
    }

    /// Whether a passphrase would help.
    pub fn is_passphrase_wanted(&self) -> bool {
        self.passphrase_wanted
    }

    /// The command line makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what was being tried when `error` happened; the exit code follows the error's class.
    pub fn from_fs(doing: impl fmt::Display, error: FsError) -> Self {
        let code = match error.kind() {
            Kind::WrongKey => Code::WrongKey,
            Kind::LeaseLost => Code::LeaseHeld,
            Kind::Unfunded => Code::Unfunded,
            Kind::PoolFull => Code::Storage,
            Kind::Unreachable => Code::Unreachable,
            Kind::Corrupt => Code::Corrupt,
            Kind::Posix(libc::ENOENT) => Code::NotFound,
            Kind::Posix(_) | Kind::DiskFull | Kind::ReadOnly | Kind::Stale | Kind::Internal => Code::Failed,
        };
        Self::new(code, format!("{doing}")).caused_by(error)
    }

    /// Says what was being tried when `error` happened.
    pub fn from_io(doing: impl fmt::Display, error: std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Failed,
        };
        Self::new(code, format!("{doing}")).caused_by(error)
    }

    /// The exit code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Writes the failure to stderr in one line.
    pub fn print(&self) {
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(std::io::stderr(), "walrusfs: {self}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut said = self.message.clone();
        let mut next = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many errors repeat their cause in their own text, or begin with what was being done; once is enough.
            if !said.contains(&text) {
                let more = text.strip_prefix(&said).and_then(|more| more.strip_prefix(": ")).unwrap_or(&text);
                write!(f, ": {more}")?;
                said = text;
            }
            next = error.source();
        }
        Ok(())
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_from_its_number() {
        for code in [Code::Ok, Code::Usage, Code::Pending, Code::NotFound, Code::MountFailed, Code::Interrupted] {
            assert_eq!(Code::from_number(code as u8), code);
        }
        assert_eq!(Code::from_number(200), Code::Failed);
    }

    #[test]
    fn a_cause_is_said_once() {
        let inner = FsError::new(Kind::WrongKey, "the key file opens no slot");
        let failure = Failure::from_fs("cannot open drive walrus:a", inner);
        assert_eq!(failure.code(), Code::WrongKey);
        assert_eq!(failure.to_string(), "cannot open drive walrus:a: the key file opens no slot");
        let repeated = Failure::new(Code::Failed, "a: b").caused_by(FsError::new(Kind::Internal, "b"));
        assert_eq!(repeated.to_string(), "a: b");
        let begun = Failure::new(Code::Failed, "a").caused_by(FsError::new(Kind::Internal, "a: b"));
        assert_eq!(begun.to_string(), "a: b");
        let longer = Failure::new(Code::Failed, "a").caused_by(FsError::new(Kind::Internal, "ab: c"));
        assert_eq!(longer.to_string(), "a: ab: c");
    }
}
