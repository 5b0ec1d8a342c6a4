//! Drives that are opened without a mount: to be checked, mended, or read beside another state of themselves.

use super::assemble::{Assembly, Service, decide_read_only, journal_dir, lock_drive, losses};
use super::request::DriveName;
use super::spawn::Parent;
use crate::cli::config::Config;
use crate::cli::exit::{Code, Failure};
use crate::cli::home::Home;
use crate::cli::options::MountOptions;
use crate::cli::session::Account;
use crate::drive::{self, DriveClient};
use crate::error::{FsError, FsResult};
use crate::journal::{Journal, Limits};
use crate::seam::{Clock, OsDir, SystemClock};
use crate::sync;
use crate::tree::Tree;
use crate::tree::record::Batch;
use crate::vfs::{self, Vfs};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Puts a journal aside that has lost its base, and names all that were put aside: nothing else touches them. The drive
/// must not be mounted here.
///
/// # Errors
/// [`Code::Busy`] when it is; what the disk says.
pub(crate) async fn set_aside(home: &Home, drive: &DriveClient) -> Result<Vec<PathBuf>, Failure> {
    let state = drive.state();
    let uid = state.uid();
    let lock = lock_drive(home, drive, false).await?;
    let options = Config::load(home)?.options(Some(&DriveName::Label(state.label.clone())))?;
    let journal = journal_dir(home, &options, &uid);
    let keys = drive.keys();
    let found = tokio::task::spawn_blocking(move || -> FsResult<Vec<PathBuf>> {
        // Beside the journal, so that renaming is enough. Drives share a folder that the user chose, not the state folder.
        let (Some(dir), Some(name)) = (journal.parent(), journal.file_name()) else { return Ok(Vec::new()) };
        let aside = format!("{}-conflict-", name.to_string_lossy());
        if journal.is_dir()
            && sync::has_lost_base(Box::new(OsDir::open(&journal)?), &keys, state.sequence(), state.facts.tag)?
        {
            std::fs::rename(&journal, dir.join(format!("{aside}{}", SystemClock.now_ms())))?;
            File::open(dir)?.sync_all()?;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&aside)) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    });
    let found = found
        .await
        .map_err(|error| Failure::new(Code::Failed, "looking at the journal was interrupted").caused_by(error))?
        .map_err(|error| Failure::from_fs("the journal cannot be put aside", error))?;
    drop(lock);
    Ok(found)
}

/// The drive as this machine saw it: a journal that was put aside, on the state that it stands on. Also the journal's
/// changes, and what the disk lost of it.
///
/// # Errors
/// When that state is gone: its packs are kept for `gc_delay` only.
pub(crate) async fn own_side(service: &Service, dir: &Path) -> Result<(sync::Side, Vec<Batch>, Vec<String>), Failure> {
    let failed = |error: FsError| Failure::from_fs(format!("the journal in {} cannot be read", dir.display()), error);
    let (keys, reader) = (Arc::clone(&service.parts.keys), service.parts.reader.clone());
    let block_dir = Box::new(OsDir::open(dir).map_err(|error| failed(error.into()))?);
    let (journal, recovery) = Journal::open(block_dir, Arc::clone(&keys), Limits::default()).map_err(failed)?;
    let ground = sync::ground_of(&recovery).map_err(failed)?;
    let tree = Arc::new(Tree::on_ground(&ground, &reader, &keys, OWN_SIDE_CACHE).await.map_err(failed)?);
    let lost = losses(&recovery);
    let batches = recovery.batches.iter().map(|(_, batch)| batch.clone()).collect();
    let config = vfs::Config { read_only: true, ..vfs::Config::default() };
    let uid = service.drive.state().uid();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let vfs = Vfs::start(config, uid, Arc::clone(&tree), Arc::new(journal), recovery, None, clock).map_err(failed)?;
    let vfs = Arc::new(vfs);
    let loader = sync::Loader::new(Arc::clone(&vfs), Arc::clone(&tree), reader, keys);
    Ok((sync::Side { vfs, tree, loader }, batches, lost))
}

/// Memory for nodes of the state that a journal stands on, bytes.
const OWN_SIDE_CACHE: usize = 16 << 20;

/// What a drive is opened for without a mount.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Access {
    /// To look at the newest commit. Otherwise the lease and the journal of this machine are taken.
    pub(crate) read_only: bool,
    /// Even when its tree is damaged.
    pub(crate) damaged: bool,
}

/// Opens a drive without mounting it: everything of a mount but the kernel. A writer takes the journal of this
/// machine and deletes no packs.
///
/// # Errors
/// As [`open`]; [`Code::Busy`] when a writer is wanted and the drive is mounted on this machine.
pub(crate) async fn unmounted(
    home: &Home,
    account: &Account,
    drive: DriveClient,
    access: Access,
) -> Result<Arc<Service>, Failure> {
    let label = DriveName::Label(drive.state().label.clone());
    let configured = Config::load(home)?.options(Some(&label))?;
    let options = MountOptions { read_only: access.read_only, gc_delay: Some(Duration::MAX), ..configured };
    let drive = Arc::new(drive);
    let state = account.client.state().await;
    let state =
        state.map_err(|error| Failure::from_fs("opening the drive", drive::chain_error("the network", error)))?;
    let mut parent = Parent::none();
    let read_only = decide_read_only(&options, &drive, &mut parent)?;
    let lock = lock_drive(home, &drive, read_only).await?;
    let damaged = access.damaged;
    Assembly { home, options: &options, account, drive, state, read_only, lock, damaged }.service(&mut parent).await
}
