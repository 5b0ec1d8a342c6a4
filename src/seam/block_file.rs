//! The medium under journal and spool, as a seam: a power-cut simulator stands in for it in tests.
//!
//! What is assumed of a medium: a write is durable only after `sync` of its file returned; a new, renamed or removed
//! name only after `sync` of the directory returned; before that, any subset of the writes may have happened, torn at
//! any byte.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One file of the medium, read and written at offsets.
pub trait BlockFile: Send + Sync {
    /// Reads exactly `out.len()` bytes at `offset`; an error of kind `UnexpectedEof` when the file is shorter.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `offset`.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends the file to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// A directory of block files.
pub trait BlockDir: Send + Sync {
    /// Opens `name`, creating it when `create` is set.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn BlockFile>>;
    /// Removes `name`.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames `from` over `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// The names in the directory, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes names durable.
    fn sync(&self) -> io::Result<()>;
    /// Bytes that files in it can still take, all together.
    fn free(&self) -> io::Result<u64>;
}

/// A directory of the operating system.
#[derive(Debug)]
pub struct OsDir(PathBuf);

impl OsDir {
    /// Opens `path`, creating it (mode 0700) when it does not exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl BlockDir for OsDir {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn BlockFile>> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = File::options().read(true).write(true).create(create).mode(0o600).open(self.0.join(name))?;
        Ok(Arc::new(OsFile(file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.0.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.0.join(from), self.0.join(to))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn free(&self) -> io::Result<u64> {
        let about = nix::sys::statvfs::statvfs(&self.0)?;
        if about.blocks() == 0 {
            // It has no figures: /proc, and what is mounted from elsewhere.
            return Ok(u64::MAX);
        }
        Ok(about.blocks_available().saturating_mul(about.fragment_size()))
    }
}

struct OsFile(File);

impl BlockFile for OsFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_has_no_figures_sets_no_bound() {
        assert_eq!(OsDir::open(Path::new("/proc")).unwrap().free().unwrap(), u64::MAX);
        let dir = tempfile::tempdir().unwrap();
        assert!(OsDir::open(dir.path()).unwrap().free().unwrap() < u64::MAX);
    }
}
