//! What is kept on this machine on purpose: fetched once (`prefetch`), or for as long as it is pinned.
//!
//! Mechanism: a walk over the tree finds the chunks below an inode and the slivers that they lie in. Bringing them is
//! reading them as a program would, tag and all, so that nothing a node got wrong is found out only when the network is
//! gone. Pinned slivers are named to the cache, which then never drops them. A task looks every few seconds whether the
//! drive has changed; then it walks again, so new content of a pinned folder comes and old content may go.
//!
//! Promises: pins are inodes, so renaming keeps them; they outlive the mount (sealed, in the drive's local state); more is
//! never pinned than the cache may hold. A pinned inode that is removed stays on the list until it is unpinned.

use super::loader::{Loader, blocking};
use crate::cache::{PackReader, SliverKey};
use crate::crypto::{Domain, KeyRing};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{Ino, PackNo};
use crate::pack::PackRef;
use crate::tree::Tree;
use crate::tree::record::ChunkAddr;
use crate::vfs::{Packed, Vfs};
use futures::future::try_join_all;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::task::AbortOnDropHandle;

/// How often the drive is looked at for changes below pinned folders. A walk that took long makes the next one wait for ten
/// times as long.
const LOOK: Duration = Duration::from_secs(2);

/// Of the cache's bytes this part may be pinned, in percent: the rest is for everything else that is read.
const MOST_PERCENT: u64 = 90;

/// Associated data of the sealed list.
const SEALED_AS: &[u8] = b"pins";

/// A pinned file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its inode number.
    pub ino: u64,
    /// Its path when it was pinned, for people.
    pub path: String,
}

/// How much of something is on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The pin or path asked about.
    pub path: String,
    /// Files below it.
    pub files: u64,
    /// Bytes of slivers that hold their content.
    pub bytes: u64,
    /// Of these, bytes on this machine's disk.
    pub local_bytes: u64,
    /// Why not everything is here, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How far a fetch is: bytes done, bytes in all.
pub type Progress = watch::Sender<(u64, u64)>;

/// What lies below an inode.
#[derive(Clone, Debug, Default)]
struct Survey {
    files: u64,
    /// The slivers, with their bytes.
    slivers: HashMap<SliverKey, u64>,
    /// Sealed bytes of the chunks.
    stored: u64,
}

impl Survey {
    fn bytes(&self) -> u64 {
        self.slivers.values().sum()
    }
}

/// Fetches and pins for one mounted drive.
pub struct Pins {
    loader: Loader,
    state: Arc<State>,
    _refresh: AbortOnDropHandle<()>,
}

struct State {
    vfs: Arc<Vfs>,
    tree: Arc<Tree>,
    reader: PackReader,
    keys: Arc<KeyRing>,
    file: PathBuf,
    list: Mutex<Vec<Pin>>,
    /// What kept the last refresh from bringing everything, by inode.
    problems: Mutex<HashMap<u64, String>>,
    /// One change of the list at a time, with what follows from it.
    changing: AsyncMutex<()>,
}

impl Pins {
    /// Takes up the pins in `file`, and keeps them fresh for as long as this lives. Called within a runtime.
    ///
    /// # Errors
    /// When the file is there and cannot be read; one that this drive's keys do not open is an error too.
    pub fn open(loader: Loader, file: &Path) -> FsResult<Self> {
        let (vfs, tree) = (Arc::clone(&loader.vfs), Arc::clone(&loader.tree));
        let (reader, keys) = (loader.reader.clone(), Arc::clone(&loader.keys));
        let list = read_list(file, &keys)?;
        let state = Arc::new(State {
            vfs,
            tree,
            reader,
            keys,
            file: file.to_owned(),
            list: Mutex::new(list),
            problems: Mutex::default(),
            changing: AsyncMutex::default(),
        });
        let task = tokio::spawn(keep_fresh(loader.clone(), Arc::clone(&state)));
        Ok(Self { loader, state, _refresh: AbortOnDropHandle::new(task) })
    }

    /// Brings everything below `ino` into the cache.
    ///
    /// # Errors
    /// [`Kind::DiskFull`] when the cache cannot hold it; [`Kind::Unreachable`], [`Kind::Corrupt`] when it cannot be read.
    pub async fn prefetch(&self, ino: Ino, path: String, progress: &Progress) -> FsResult<Held> {
        let survey = self.survey(ino).await?;
        let (bytes, limit) = (survey.bytes(), self.state.reader.cache().disk_limit());
        if bytes > limit {
            return Err(too_large(&path, bytes, limit));
        }
        bring(&self.loader, &self.state, ino, &survey, false, progress).await?;
        let held = self.state.held(path, &survey);
        if held.local_bytes < held.bytes {
            return Err(FsError::new(
                Kind::DiskFull,
                format!(
                    "{} of the {} bytes of {} were fetched but not kept: the cache's disk is full, or pinned folders take its place",
                    held.bytes - held.local_bytes,
                    held.bytes,
                    held.path
                ),
            ));
        }
        Ok(held)
    }

    /// Pins `ino` and brings everything below it.
    ///
    /// # Errors
    /// As [`Pins::prefetch`]; when the cache cannot hold it besides the other pins nothing is pinned. A fetch that fails
    /// later leaves the pin, and the rest comes when it can.
    pub async fn pin(&self, ino: Ino, path: String, progress: &Progress) -> FsResult<Held> {
        let changing = self.state.changing.lock().await;
        let survey = self.survey(ino).await?;
        let mut others = self.state.list.lock().clone();
        others.retain(|pin| pin.ino != ino.0);
        let mut all = survey.slivers.clone();
        for pin in &others {
            // What is gone needs no room.
            all.extend(self.survey(Ino(pin.ino)).await.map(|survey| survey.slivers).unwrap_or_default());
        }
        let (bytes, limit) = (all.values().sum::<u64>(), self.state.reader.cache().disk_limit() / 100 * MOST_PERCENT);
        if bytes > limit {
            return Err(too_large(&path, bytes, limit));
        }
        others.push(Pin { ino: ino.0, path: path.clone() });
        self.state.save(others).await?;
        self.state.reader.cache().pin(all.into_keys().collect());
        drop(changing);
        bring(&self.loader, &self.state, ino, &survey, false, progress).await?;
        Ok(self.state.held(path, &survey))
    }

    /// Unpins `ino`: its content may be dropped when room is needed. Whether it was pinned.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub async fn unpin(&self, ino: Ino) -> FsResult<bool> {
        let _changing = self.state.changing.lock().await;
        let mut list = self.state.list.lock().clone();
        let before = list.len();
        list.retain(|pin| pin.ino != ino.0);
        if list.len() == before {
            return Ok(false);
        }
        let mut kept = HashSet::new();
        for pin in &list {
            kept.extend(self.survey(Ino(pin.ino)).await.map(|survey| survey.slivers).unwrap_or_default().into_keys());
        }
        self.state.save(list).await?;
        self.state.problems.lock().remove(&ino.0);
        self.state.reader.cache().pin(kept);
        Ok(true)
    }

    /// Every pin and how much of it is here.
    pub async fn list(&self) -> Vec<Held> {
        let list = self.state.list.lock().clone();
        let mut all = Vec::with_capacity(list.len());
        for pin in list {
            all.push(match self.survey(Ino(pin.ino)).await {
                Ok(survey) => {
                    let held = self.state.held(pin.path, &survey);
                    let problem = self.state.problems.lock().get(&pin.ino).cloned();
                    Held { problem: problem.filter(|_| held.local_bytes < held.bytes), ..held }
                }
                Err(error) => Held { path: pin.path, problem: Some(error.to_string()), ..Held::default() },
            });
        }
        all
    }

    async fn survey(&self, ino: Ino) -> FsResult<Survey> {
        survey(&self.loader, &self.state, ino).await
    }
}

impl State {
    fn held(&self, path: String, survey: &Survey) -> Held {
        let cache = self.reader.cache();
        let local = survey.slivers.iter().filter(|(key, _)| cache.is_kept(**key)).map(|(_, bytes)| bytes).sum();
        Held { path, files: survey.files, bytes: survey.bytes(), local_bytes: local, problem: None }
    }

    fn slivers(&self, pack: &PackRef, addr: ChunkAddr) -> FsResult<Vec<SliverKey>> {
        self.reader.slivers(pack, addr.offset..addr.offset.saturating_add(u64::from(addr.stored)))
    }

    async fn save(&self, list: Vec<Pin>) -> FsResult<()> {
        let (file, keys, sealed) = (self.file.clone(), Arc::clone(&self.keys), list.clone());
        blocking(move || write_list(&file, &keys, &sealed)).await??;
        *self.list.lock() = list;
        Ok(())
    }

    /// Changes whenever something may have changed below a pin.
    fn version(&self) -> (u64, u64) {
        (self.vfs.counts().changes, self.tree.sequence().0)
    }
}

fn too_large(path: &str, bytes: u64, limit: u64) -> FsError {
    let why = match limit {
        0 => "this mount keeps no cache on disk, or another process keeps it".to_owned(),
        _ => format!("the cache has room for {limit}: mount with a larger cache_size, or unpin something"),
    };
    FsError::new(
        Kind::DiskFull,
        format!("{path} cannot be kept here: with what is pinned it needs {bytes} bytes; {why}"),
    )
}

/// Looks for changes and follows them, for ever.
async fn keep_fresh(loader: Loader, state: Arc<State>) {
    let mut seen = None;
    let mut pause = LOOK;
    loop {
        let now = state.version();
        if seen != Some(now) && !state.list.lock().is_empty() {
            let begun = Instant::now();
            match refresh(&loader, &state).await {
                Ok(()) => seen = Some(now),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "pinned folders are not fresh"),
            }
            pause = LOOK.max(begun.elapsed() * 10);
        } else {
            seen = Some(now);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Walks every pin, names its slivers to the cache, and brings what is missing.
async fn refresh(loader: &Loader, state: &Arc<State>) -> FsResult<()> {
    let mut surveys = Vec::new();
    {
        let _changing = state.changing.lock().await;
        let list = state.list.lock().clone();
        let mut all = HashSet::new();
        for pin in list {
            match survey(loader, state, Ino(pin.ino)).await {
                Ok(survey) => {
                    all.extend(survey.slivers.keys().copied());
                    surveys.push((pin, survey));
                }
                Err(error) if error.kind() == Kind::Posix(libc::ESTALE) => {}
                Err(error) => return Err(error),
            }
        }
        state.reader.cache().pin(all);
    }
    let (silent, _) = watch::channel((0, 0));
    let mut failed = None;
    for (pin, survey) in surveys {
        let brought = bring(loader, state, Ino(pin.ino), &survey, true, &silent).await;
        let held = state.held(pin.path, &survey);
        let problem = match &brought {
            Err(error) => Some(error.to_string()),
            Ok(()) if held.local_bytes < held.bytes => Some("the cache has no room for all of it".to_owned()),
            Ok(()) => None,
        };
        let mut problems = state.problems.lock();
        match problem {
            Some(problem) => drop(problems.insert(pin.ino, problem)),
            None => drop(problems.remove(&pin.ino)),
        }
        failed = failed.or(brought.err());
    }
    failed.map_or(Ok(()), Err)
}

/// A walk over everything below an inode: the chunks of its files, some at a time.
struct Walk {
    root: Ino,
    folders: Vec<Ino>,
    files: Vec<Ino>,
    /// Where to go on in the last file.
    from: u64,
}

impl Walk {
    async fn new(loader: &Loader, vfs: &Vfs, root: Ino) -> FsResult<Self> {
        let mut walk = Self { root, folders: Vec::new(), files: Vec::new(), from: 0 };
        walk.add(root, loader.finish(|| vfs.getattr(root)).await?.mode >> 12);
        Ok(walk)
    }

    /// `kind` is the `DT_*` number of the type.
    fn add(&mut self, ino: Ino, kind: u32) {
        match u8::try_from(kind) {
            Ok(libc::DT_DIR) => self.folders.push(ino),
            Ok(libc::DT_REG) => self.files.push(ino),
            _ => {}
        }
    }

    /// Chunks of the next file or of more of it, and whether they begin a file; `None` at the end.
    async fn next(&mut self, loader: &Loader, vfs: &Vfs) -> FsResult<Option<(bool, Vec<ChunkAddr>)>> {
        loop {
            if let Some(file) = self.files.last().copied() {
                let from = std::mem::take(&mut self.from);
                let packed = match loader.finish(|| vfs.packed(file, from)).await {
                    // It was removed meanwhile.
                    Err(error) if error.kind() == Kind::Posix(libc::ESTALE) && file != self.root => Packed::default(),
                    packed => packed?,
                };
                match packed.next {
                    Some(next) => self.from = next,
                    None => drop(self.files.pop()),
                }
                return Ok(Some((from == 0, packed.chunks)));
            }
            let Some(folder) = self.folders.pop() else { return Ok(None) };
            match list_folder(loader, vfs, folder).await {
                Err(error) if error.kind() == Kind::Posix(libc::ESTALE) && folder != self.root => {}
                entries => entries?.into_iter().for_each(|(ino, kind)| self.add(ino, u32::from(kind))),
            }
        }
    }
}

async fn list_folder(loader: &Loader, vfs: &Vfs, folder: Ino) -> FsResult<Vec<(Ino, u8)>> {
    let mut all = Vec::new();
    let mut cookie = 0;
    loop {
        let mut some: Vec<(Ino, u8, u64)> = Vec::new();
        loader
            .finish(|| {
                // What was seen before a tree node was missing is seen again.
                some.clear();
                vfs.readdir(folder, cookie, &mut |entry| {
                    if some.len() == 1000 {
                        return false;
                    }
                    let own = entry.name == b"." || entry.name == b"..";
                    some.push((entry.ino, if own { libc::DT_UNKNOWN } else { entry.kind }, entry.cookie));
                    true
                })
            })
            .await?;
        let Some(last) = some.last() else { return Ok(all) };
        cookie = last.2;
        all.extend(some.into_iter().map(|(ino, kind, _)| (ino, kind)));
    }
}

async fn survey(loader: &Loader, state: &State, root: Ino) -> FsResult<Survey> {
    let mut found = Survey::default();
    let mut packs: HashMap<PackNo, PackRef> = HashMap::new();
    let mut walk = Walk::new(loader, &state.vfs, root).await?;
    while let Some((is_new, chunks)) = walk.next(loader, &state.vfs).await? {
        found.files += u64::from(is_new);
        for addr in chunks {
            let known = packs.get(&addr.pack).copied();
            let pack = match known {
                Some(pack) => pack,
                None => loader.pack_ref(addr.pack).await?,
            };
            packs.insert(addr.pack, pack);
            let row = state.reader.row_len(&pack).unwrap_or(0);
            found.slivers.extend(state.slivers(&pack, addr)?.into_iter().map(|key| (key, row)));
            found.stored = found.stored.saturating_add(u64::from(addr.stored));
        }
    }
    Ok(found)
}

/// Reads every chunk below `root`; with `only_missing` those whose slivers are not all on disk.
async fn bring(
    loader: &Loader,
    state: &State,
    root: Ino,
    survey: &Survey,
    only_missing: bool,
    progress: &Progress,
) -> FsResult<()> {
    let (mut done, total) = (0_u64, survey.stored);
    progress.send_replace((0, total));
    let mut walk = Walk::new(loader, &state.vfs, root).await?;
    while let Some((_, chunks)) = walk.next(loader, &state.vfs).await? {
        // The disk sets the pace: what it has not taken yet is not dropped for what comes behind.
        state.reader.settle().await;
        let pieces = try_join_all(chunks.iter().map(|addr| bring_one(loader, state, *addr, only_missing))).await?;
        done = done.saturating_add(pieces.iter().sum());
        progress.send_replace((done.min(total), total));
    }
    state.reader.settle().await;
    progress.send_replace((total, total));
    Ok(())
}

/// Brings one chunk, checked as any reader would; its sealed bytes.
async fn bring_one(loader: &Loader, state: &State, addr: ChunkAddr, only_missing: bool) -> FsResult<u64> {
    let pack = loader.pack_ref(addr.pack).await?;
    let slivers = state.slivers(&pack, addr)?;
    if !only_missing || !slivers.iter().all(|key| state.reader.cache().is_kept(*key)) {
        loader.chunk(addr).await?;
        state.reader.persist(slivers).await?;
    }
    Ok(u64::from(addr.stored))
}

fn read_list(file: &Path, keys: &KeyRing) -> FsResult<Vec<Pin>> {
    let sealed = match std::fs::read(file) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let wrong =
        || FsError::new(Kind::Corrupt, format!("the list of pins in {} cannot be read; remove it", file.display()));
    let plain = keys.open(Domain::Cache, SEALED_AS, &sealed).map_err(|error| wrong().caused_by(error))?;
    serde_json::from_slice(&plain).map_err(|error| wrong().caused_by(error))
}

fn write_list(file: &Path, keys: &KeyRing, list: &[Pin]) -> FsResult<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let plain = serde_json::to_vec(list)
        .map_err(|error| FsError::new(Kind::Internal, "the list of pins has no form").caused_by(error))?;
    let sealed = keys.seal(Domain::Cache, SEALED_AS, &plain)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let temporary = file.with_extension("new");
    let mut out = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    out.write_all(&sealed)?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}
