//! A disk that can lose power: it keeps what was written and what was synced, and makes the directories that a power cut
//! could leave: any subset of the writes since the last sync of their file, torn at any byte; names likewise.

use crate::seam::{BlockDir, BlockFile};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

#[derive(Clone, Default)]
struct Content {
    synced: Vec<u8>,
    changes: Vec<Change>,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::SetLen(len) => bytes.resize(*len as usize, 0),
        Change::Write(offset, data) => {
            let end = *offset as usize + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset as usize..end].copy_from_slice(data);
        }
    }
}

impl Content {
    fn now(&self) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        self.changes.iter().for_each(|change| apply(&mut bytes, change));
        bytes
    }

    /// What may be there after the power went.
    fn torn(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for change in &self.changes {
            match (dice.roll(4), change) {
                (0, _) => {}
                (1, Change::Write(offset, data)) => {
                    let part = dice.roll(data.len() as u64 + 1) as usize;
                    apply(&mut bytes, &Change::Write(*offset, data[..part].to_vec()));
                }
                (_, change) => apply(&mut bytes, change),
            }
        }
        bytes
    }
}

/// Reproducible dice.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }
}

#[derive(Clone, Default)]
struct State {
    contents: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    synced_names: BTreeMap<String, u64>,
    next: u64,
    syncs: u64,
    fail_writes: bool,
    fail_syncs: bool,
    /// Bytes that others have taken of a disk that has room for `u64::MAX` otherwise.
    taken: u64,
    /// The state just before each sync, when recording.
    images: Option<Vec<State>>,
}

/// The simulated disk; clones share it.
#[derive(Clone, Default)]
pub(crate) struct PowerCut(Arc<Mutex<State>>);

impl PowerCut {
    /// Keeps the state just before every sync from now on.
    pub(crate) fn record(&self) {
        self.0.lock().images = Some(Vec::new());
    }

    /// The disks as they stood just before each recorded sync.
    pub(crate) fn images(&self) -> Vec<PowerCut> {
        let images = self.0.lock().images.take().unwrap_or_default();
        images.into_iter().map(|state| PowerCut(Arc::new(Mutex::new(state)))).collect()
    }

    /// A disk as a power cut now could leave it.
    pub(crate) fn crash(&self, dice: &mut Dice) -> PowerCut {
        let state = self.0.lock();
        let mut names = BTreeMap::new();
        for (name, id) in state.synced_names.iter().chain(&state.names) {
            let sure = state.synced_names.get(name) == Some(id) && state.names.get(name) == Some(id);
            if sure || dice.roll(2) == 0 {
                names.insert(name.clone(), *id);
            }
        }
        let contents = names
            .values()
            .filter_map(|id| Some((*id, Content { synced: state.contents.get(id)?.torn(dice), changes: Vec::new() })))
            .collect();
        let after = State { contents, synced_names: names.clone(), names, next: state.next, ..State::default() };
        PowerCut(Arc::new(Mutex::new(after)))
    }

    /// A disk as killing the process now leaves it: everything written is there.
    pub(crate) fn kill(&self) -> PowerCut {
        let state = self.0.lock();
        let mut after = State { next: state.next, synced_names: state.names.clone(), ..State::default() };
        for (name, id) in &state.names {
            after.names.insert(name.clone(), *id);
            let synced = state.contents.get(id).map(Content::now).unwrap_or_default();
            after.contents.insert(*id, Content { synced, changes: Vec::new() });
        }
        PowerCut(Arc::new(Mutex::new(after)))
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    pub(crate) fn fail(&self, writes: bool, syncs: bool) {
        let mut state = self.0.lock();
        state.fail_writes = writes;
        state.fail_syncs = syncs;
    }

    /// Says that so much is free, whatever is written.
    pub(crate) fn leave(&self, free: u64) {
        self.0.lock().taken = u64::MAX - free;
    }

    /// Changes the bytes of `name` in place.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let id = state.names[name];
        let content = state.contents.get_mut(&id).unwrap();
        let mut bytes = content.now();
        change(&mut bytes);
        *content = Content { synced: bytes, changes: Vec::new() };
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.contents[&state.names[name]].now()
    }
}

struct PowerCutFile(PowerCut, u64);

impl BlockFile for PowerCutFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.0.lock();
        let bytes = state.contents.get(&self.1).map(Content::now).unwrap_or_default();
        let start = offset as usize;
        let part = bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.0.lock();
        if state.fail_writes {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        state.contents.entry(self.1).or_default().changes.push(Change::Write(offset, data.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.0.lock();
        if state.fail_syncs {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        remember(&mut state);
        let content = state.contents.entry(self.1).or_default();
        content.synced = content.now();
        content.changes.clear();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.0.lock().contents.get(&self.1).map(Content::now).unwrap_or_default().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.0.lock().contents.entry(self.1).or_default().changes.push(Change::SetLen(len));
        Ok(())
    }
}

fn remember(state: &mut State) {
    state.syncs += 1;
    if let Some(mut images) = state.images.take() {
        images.push(state.clone());
        state.images = Some(images);
    }
}

impl BlockDir for PowerCut {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn BlockFile>> {
        let mut state = self.0.lock();
        let id = match state.names.get(name) {
            Some(id) => *id,
            None if create => {
                let id = state.next;
                state.next += 1;
                state.names.insert(name.to_owned(), id);
                state.contents.insert(id, Content::default());
                id
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(PowerCutFile(self.clone(), id)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().names.remove(name).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        remember(&mut state);
        state.synced_names = state.names.clone();
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(u64::MAX - self.0.lock().taken)
    }
}
