//! `walrusfs cache`: the slivers kept on this machine. Deleting them loses nothing.

use super::args::CacheCommand;
use super::exit::Failure;
use super::home::Home;
use super::output;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

/// Runs the command.
///
/// # Errors
/// When the cache folder cannot be read or emptied.
pub fn run(command: &CacheCommand) -> Result<(), Failure> {
    let home = Home::open()?;
    match command {
        CacheCommand::Info { json } => info(&home, *json),
        CacheCommand::Clear => clear(&home),
    }
}

#[derive(Serialize)]
struct Info {
    path: PathBuf,
    bytes: u64,
    files: u64,
}

fn info(home: &Home, json: bool) -> Result<(), Failure> {
    let mut info = Info { path: home.cache.clone(), bytes: 0, files: 0 };
    count(&home.cache, &mut info)
        .map_err(|error| Failure::from_io(format!("cannot read {}", home.cache.display()), error))?;
    if json {
        return output::json(&info);
    }
    output::line(format!("{}: {} in {} files", info.path.display(), output::bytes(info.bytes), info.files));
    Ok(())
}

/// A mount may evict files meanwhile: what is gone is not counted.
fn count(dir: &Path, info: &mut Info) -> io::Result<()> {
    for entry in present(std::fs::read_dir(dir))?.into_iter().flatten() {
        let entry = entry?;
        let Some(meta) = present(entry.metadata())? else { continue };
        if meta.is_dir() {
            count(&entry.path(), info)?;
        } else {
            info.bytes = info.bytes.saturating_add(meta.len());
            info.files += 1;
        }
    }
    Ok(())
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes files and keeps folders: a mount that uses the cache finds its folder and misses.
fn clear(home: &Home) -> Result<(), Failure> {
    let mut before = Info { path: home.cache.clone(), bytes: 0, files: 0 };
    let emptied = count(&home.cache, &mut before).and_then(|()| empty(&home.cache));
    emptied.map_err(|error| Failure::from_io(format!("cannot empty {}", home.cache.display()), error))?;
    output::line(format!("{} freed", output::bytes(before.bytes)));
    Ok(())
}

fn empty(dir: &Path) -> io::Result<()> {
    for entry in present(std::fs::read_dir(dir))?.into_iter().flatten() {
        let entry = entry?;
        let Some(kind) = present(entry.file_type())? else { continue };
        if kind.is_dir() {
            empty(&entry.path())?;
        } else {
            present(std::fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_cache_is_empty_and_still_there() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::under(temp.path());
        std::fs::create_dir_all(home.cache.join("slivers/a")).unwrap();
        std::fs::write(home.cache.join("slivers/a/b"), [0; 100]).unwrap();
        let mut info = Info { path: home.cache.clone(), bytes: 0, files: 0 };
        count(&home.cache, &mut info).unwrap();
        assert_eq!((info.bytes, info.files), (100, 1));
        clear(&home).unwrap();
        assert!(home.cache.join("slivers/a").is_dir());
        assert!(!home.cache.join("slivers/a/b").exists());
    }
}
