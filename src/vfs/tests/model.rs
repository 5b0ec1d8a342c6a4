//! Random histories against a model that is too simple to be wrong: a map of paths and byte vectors, with the list of its
//! states for what a power cut may leave.

use super::world::{ROOT, SUPER, World};
use crate::ids::{CHUNK, Ino};
use crate::journal::Limits;
use crate::vfs::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

type Path = Vec<&'static str>;
/// Paths, and whether each is a file.
type Nodes = Vec<(Path, bool)>;
type Contents = BTreeMap<Path, Vec<u8>>;

/// Two directory levels of four names, and files in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    /// Content by path; `None` is a directory.
    nodes: BTreeMap<Vec<&'static str>, Option<u64>>,
    files: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct At {
    dir: Option<usize>,
    name: usize,
}

impl At {
    fn path(self) -> Vec<&'static str> {
        self.dir.iter().chain([&self.name]).map(|name| NAMES[*name]).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Mkdir(At),
    Create(At),
    Unlink(At),
    Rmdir(At),
    Link(At, At),
    Rename(At, At, RenameMode),
    Write(At, u64, usize, u8),
    Truncate(At, u64),
    Punch(At, u64, u64),
    Copy(At, u64, At, u64, u64),
    WriteBack,
    Tick,
    Fsync(At),
    Cut,
    Commit,
    PowerCut(u64),
    Kill,
    Elsewhere,
}

impl Model {
    fn is_dir(&self, path: &[&'static str]) -> bool {
        path.is_empty() || self.nodes.get(path) == Some(&None)
    }

    fn has_children(&self, path: &[&'static str]) -> bool {
        self.nodes.keys().any(|other| other.len() > path.len() && other.starts_with(path))
    }

    fn file(&self, at: At) -> Option<u64> {
        self.nodes.get(&at.path()).copied().flatten()
    }

    fn parent_ok(&self, at: At) -> Result<(), i32> {
        let path = at.path();
        match path.len() {
            1 => Ok(()),
            _ if !self.nodes.contains_key(&path[..1]) => Err(libc::ENOENT),
            _ if !self.is_dir(&path[..1]) => Err(libc::ENOTDIR),
            _ => Ok(()),
        }
    }

    fn make(&mut self, at: At, dir: bool) -> Result<(), i32> {
        self.parent_ok(at)?;
        if self.nodes.contains_key(&at.path()) {
            return Err(libc::EEXIST);
        }
        let number = (!dir).then_some(self.next);
        if let Some(number) = number {
            self.files.insert(number, Vec::new());
            self.next += 1;
        }
        self.nodes.insert(at.path(), number);
        Ok(())
    }

    fn remove(&mut self, at: At, dir: bool) -> Result<(), i32> {
        self.parent_ok(at)?;
        let path = at.path();
        match (self.nodes.get(&path), dir) {
            (None, _) => Err(libc::ENOENT),
            (Some(None), false) => Err(libc::EISDIR),
            (Some(Some(_)), true) => Err(libc::ENOTDIR),
            (Some(None), true) if self.has_children(&path) => Err(libc::ENOTEMPTY),
            _ => {
                self.nodes.remove(&path);
                Ok(())
            }
        }
    }

    fn rename(&mut self, from: At, to: At, mode: RenameMode) -> Result<(), i32> {
        self.parent_ok(from)?;
        self.parent_ok(to)?;
        let (old, new) = (from.path(), to.path());
        let source = *self.nodes.get(&old).ok_or(libc::ENOENT)?;
        let target = self.nodes.get(&new).copied();
        if source.is_none() && new.len() > old.len() && new.starts_with(&old) {
            return Err(libc::EINVAL);
        }
        match (mode, target) {
            (RenameMode::NoReplace, Some(_)) => return Err(libc::EEXIST),
            (RenameMode::Exchange, None) => return Err(libc::ENOENT),
            _ => {}
        }
        if old == new || (source.is_some() && target == Some(source)) {
            return Ok(());
        }
        if mode == RenameMode::Exchange {
            if target == Some(None) && old.len() > new.len() && old.starts_with(&new) {
                return Err(libc::EINVAL);
            }
            let a = self.take(&old);
            let b = self.take(&new);
            self.put(&new, a);
            self.put(&old, b);
            return Ok(());
        }
        match (source, target) {
            (None, Some(Some(_))) => return Err(libc::ENOTDIR),
            (Some(_), Some(None)) => return Err(libc::EISDIR),
            (None, Some(None)) if self.has_children(&new) => return Err(libc::ENOTEMPTY),
            _ => {}
        }
        self.take(&new);
        let moved = self.take(&old);
        self.put(&new, moved);
        Ok(())
    }

    /// The node at `path` and all below it, by what follows `path`.
    fn take(&mut self, path: &[&'static str]) -> Vec<(Vec<&'static str>, Option<u64>)> {
        let keys: Vec<_> = self.nodes.keys().filter(|other| other.starts_with(path)).cloned().collect();
        keys.into_iter().filter_map(|key| Some((key[path.len()..].to_vec(), self.nodes.remove(&key)?))).collect()
    }

    fn put(&mut self, path: &[&'static str], nodes: Vec<(Vec<&'static str>, Option<u64>)>) {
        for (rest, node) in nodes {
            self.nodes.insert([path, &rest].concat(), node);
        }
    }

    fn write(&mut self, number: u64, at: u64, data: &[u8]) {
        let Some(content) = self.files.get_mut(&number).filter(|_| !data.is_empty()) else { return };
        let end = at as usize + data.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[at as usize..end].copy_from_slice(data);
    }
}

fn at() -> impl Strategy<Value = At> {
    (proptest::option::weighted(0.4, 0..2usize), 0..4usize).prop_map(|(dir, name)| At { dir, name })
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![0..3000u64, 0..3 * CHUNK as u64, Just(CHUNK as u64), Just(2 * CHUNK as u64 - 1)]
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![0..3000usize, Just(CHUNK), 0..2 * CHUNK]
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop_oneof![
        3 => Just(RenameMode::Replace),
        1 => Just(RenameMode::NoReplace),
        1 => Just(RenameMode::Exchange),
    ];
    prop_oneof![
        2 => at().prop_map(Step::Mkdir),
        4 => at().prop_map(Step::Create),
        2 => at().prop_map(Step::Unlink),
        1 => at().prop_map(Step::Rmdir),
        1 => (at(), at()).prop_map(|(a, b)| Step::Link(a, b)),
        3 => (at(), at(), mode).prop_map(|(a, b, mode)| Step::Rename(a, b, mode)),
        9 => (at(), offset(), length(), 1..250u8).prop_map(|(a, o, l, b)| Step::Write(a, o, l, b)),
        3 => (at(), offset()).prop_map(|(a, o)| Step::Truncate(a, o)),
        2 => (at(), offset(), 1..2 * CHUNK as u64).prop_map(|(a, o, l)| Step::Punch(a, o, l)),
        2 => (at(), offset(), at(), offset(), offset()).prop_map(|(a, o, b, p, l)| Step::Copy(a, o, b, p, l)),
        // From chunk to chunk: what is shared instead of copied.
        2 => (at(), 0..3u64, at(), 0..3u64, 1..4u64).prop_map(|(a, o, b, p, l)| {
            let chunk = CHUNK as u64;
            Step::Copy(a, o * chunk, b, p * chunk, l * chunk)
        }),
        3 => Just(Step::WriteBack),
        1 => Just(Step::Tick),
        2 => at().prop_map(Step::Fsync),
        2 => Just(Step::Cut),
        3 => Just(Step::Commit),
        1 => any::<u64>().prop_map(Step::PowerCut),
        1 => Just(Step::Kill),
        1 => Just(Step::Elsewhere),
    ]
}

struct Pair {
    world: World,
    now: Model,
    /// Every state since what is surely durable, that first.
    history: Vec<Model>,
    cut: Option<(Cut, Model)>,
    committed: Model,
}

impl Pair {
    fn new() -> Self {
        let config = Config { dirty_bytes: 6 * CHUNK as u64, cache_bytes: 0, ..Config::default() };
        let limits = Limits { segment: 300_000, ..Limits::default() };
        Self {
            world: World::with(config, limits),
            now: Model::default(),
            history: vec![Model::default()],
            cut: None,
            committed: Model::default(),
        }
    }

    fn dir(&self, at: At) -> Result<Ino, i32> {
        match at.dir {
            None => Ok(ROOT),
            Some(dir) => self.call(|vfs| vfs.lookup(ROOT, NAMES[dir].as_bytes())).map(|attr| attr.ino),
        }
    }

    fn call<T>(&self, operation: impl FnMut(&Vfs) -> Outcome<T>) -> Result<T, i32> {
        self.world.call(operation).map_err(|error| error.errno())
    }

    fn ino(&self, at: At) -> Ino {
        let dir = self.dir(at).unwrap();
        self.world.lookup(dir, NAMES[at.name])
    }

    fn names(&mut self, at: At, run: impl Fn(&Vfs, Ino, &[u8]) -> Outcome<()>, model: Result<(), i32>) {
        let name = NAMES[at.name].as_bytes();
        let result = self.dir(at).and_then(|dir| self.call(|vfs| run(vfs, dir, name)));
        assert_eq!(result, model);
        self.remember();
    }

    fn remember(&mut self) {
        if self.history.last() != Some(&self.now) {
            self.history.push(self.now.clone());
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Mkdir(at) => {
                let model = self.now.make(at, true);
                self.names(at, |vfs, dir, name| unit(vfs.mkdir(&SUPER, dir, name, 0o755)), model);
            }
            Step::Create(at) => {
                let model = self.now.make(at, false);
                self.names(at, |vfs, dir, name| unit(vfs.create(&SUPER, dir, name, 0o644, libc::O_RDWR)), model);
            }
            Step::Unlink(at) => {
                let model = self.now.remove(at, false);
                self.names(at, Vfs::unlink, model);
            }
            Step::Rmdir(at) => {
                let model = self.now.remove(at, true);
                self.names(at, Vfs::rmdir, model);
            }
            Step::Link(from, to) => {
                let Some(number) = self.now.file(from) else { return };
                let ino = self.ino(from);
                let model = self.now.make(to, true).map(|()| {
                    self.now.nodes.insert(to.path(), Some(number));
                });
                self.names(to, move |vfs, dir, name| unit(vfs.link(ino, dir, name)), model);
            }
            Step::Rename(from, to, mode) => self.rename(from, to, mode),
            Step::Write(at, offset, len, byte) => {
                let Some(number) = self.now.file(at) else { return };
                let data = vec![byte; len];
                self.world.write(self.ino(at), offset, &data);
                self.now.write(number, offset, &data);
            }
            Step::Truncate(at, size) => {
                let Some(number) = self.now.file(at) else { return };
                self.world.truncate(self.ino(at), size);
                self.now.files.entry(number).or_default().resize(size as usize, 0);
            }
            Step::Punch(at, offset, len) => {
                let Some(number) = self.now.file(at) else { return };
                let ino = self.ino(at);
                self.world.ok(|vfs| vfs.fallocate(&SUPER, ino, offset, len, Fallocate::Punch));
                let content = self.now.files.entry(number).or_default();
                let end = (offset + len).min(content.len() as u64);
                if offset < end {
                    content[offset as usize..end as usize].fill(0);
                }
            }
            Step::Copy(from, at, to, to_at, len) => self.copy((from, at), (to, to_at), len),
            Step::WriteBack => self.world.write_back(),
            Step::Tick => {
                self.world.tick_ms(6000);
                self.world.ok(Vfs::tick);
            }
            Step::Fsync(at) => {
                if self.now.file(at).is_some() {
                    self.world.write_back();
                    self.world.fsync(self.ino(at));
                    self.history = vec![self.now.clone()];
                }
            }
            Step::Cut => {
                if self.cut.is_none() {
                    self.cut = Some((self.world.cut(), self.now.clone()));
                }
            }
            Step::Commit => {
                if let Some((cut, model)) = self.cut.take() {
                    self.world.commit(cut);
                    self.committed = model;
                    let journal = &self.world.journal;
                    journal.sync(journal.tail()).unwrap();
                }
            }
            Step::PowerCut(seed) => {
                self.world.write_back();
                self.world.power_cut(seed);
                self.recovered();
            }
            Step::Kill => {
                self.world.write_back();
                self.world.journal.flush().unwrap();
                self.history = vec![self.now.clone()];
                self.world.kill();
                self.recovered();
            }
            Step::Elsewhere => {
                self.world.elsewhere();
                self.now = self.committed.clone();
                self.history = vec![self.now.clone()];
                self.cut = None;
            }
        }
        self.remember();
    }

    fn rename(&mut self, from: At, to: At, mode: RenameMode) {
        let model = self.now.rename(from, to, mode);
        let names = (NAMES[from.name].as_bytes(), NAMES[to.name].as_bytes());
        let dirs = self.dir_before(from).and_then(|dir| Ok((dir, self.dir_before(to)?)));
        let result = dirs.and_then(|(dir, new)| self.call(|vfs| vfs.rename(dir, names.0, new, names.1, mode)));
        assert_eq!(result, model);
    }

    /// As the kernel resolves the parents: one that is no directory is `ENOTDIR` when the operation comes.
    fn dir_before(&self, at: At) -> Result<Ino, i32> {
        let dir = self.dir(at)?;
        let attr = self.world.attr(dir);
        if attr.mode & libc::S_IFMT == libc::S_IFDIR { Ok(dir) } else { Err(libc::ENOTDIR) }
    }

    fn copy(&mut self, (from, at): (At, u64), (to, to_at): (At, u64), len: u64) {
        let (Some(source), Some(target)) = (self.now.file(from), self.now.file(to)) else { return };
        let (a, b) = (self.ino(from), self.ino(to));
        let content = &self.now.files[&source];
        let end = (at + len).min(content.len() as u64);
        let data = content.get(at as usize..end as usize).unwrap_or(&[]).to_vec();
        let mut barrier = Barrier::default();
        match self.call(|vfs| vfs.copy_file_range((a, at), (b, to_at), len, &mut barrier)) {
            Ok(done) => {
                assert!(done as usize <= data.len() && (done > 0 || data.is_empty()));
                self.now.write(target, to_at, &data[..done as usize]);
            }
            Err(errno) => assert_eq!((errno, source), (libc::EINVAL, target)),
        }
    }

    /// Every state of names since the last sync is a possible one; contents are those of one of the states too.
    fn recovered(&mut self) {
        self.cut = None;
        let seen = self.see();
        let names = |model: &Model| model.nodes.iter().map(|(k, v)| (k.clone(), v.is_some())).collect::<Vec<_>>();
        let candidates: Vec<_> = self.history.iter().filter(|model| names(model) == seen.0).collect();
        assert!(!candidates.is_empty(), "S-FSYNC-3: {:?} was never there since the last sync", seen.0);
        if self.history.len() == 1 {
            assert_eq!(contents(candidates[0]), seen.1, "S-FSYNC-1");
        }
        // The model goes on from what is there; files that no name shows are gone.
        let mut model = candidates[candidates.len() - 1].clone();
        for (path, content) in &seen.1 {
            let number = model.nodes[path].unwrap();
            model.files.insert(number, content.clone());
        }
        // Which files are links of one another is only kept when the contents say so everywhere.
        self.now = model;
        self.history = vec![self.now.clone()];
    }

    fn see(&self) -> (Nodes, Contents) {
        let mut nodes = Vec::new();
        let mut contents = BTreeMap::new();
        self.walk(ROOT, &mut Vec::new(), &mut nodes, &mut contents);
        nodes.sort();
        (nodes, contents)
    }

    fn walk(&self, dir: Ino, path: &mut Path, nodes: &mut Nodes, contents: &mut Contents) {
        let found = self.world.names(dir);
        assert_eq!(self.world.attr(dir).size, found.len() as u64, "entries of {path:?}");
        let mut subdirs = 0;
        for name in found {
            path.push(NAMES.into_iter().find(|known| *known == name).unwrap());
            let attr = self.world.ok(|vfs| vfs.lookup(dir, name.as_bytes()));
            let is_file = attr.mode & libc::S_IFMT == libc::S_IFREG;
            nodes.push((path.clone(), is_file));
            if is_file {
                let content = self.world.read(attr.ino, 0, 1 << 20);
                assert_eq!(attr.size, content.len() as u64);
                contents.insert(path.clone(), content);
            } else {
                subdirs += 1;
                assert_eq!(self.world.lookup(attr.ino, ".."), dir);
                self.walk(attr.ino, path, nodes, contents);
            }
            path.pop();
        }
        assert_eq!(self.world.attr(dir).nlink, 2 + subdirs, "links of {path:?}");
    }

    fn check(&self) {
        let (nodes, found) = self.see();
        let expected: Vec<_> = self.now.nodes.iter().map(|(path, node)| (path.clone(), node.is_some())).collect();
        assert_eq!(nodes, expected);
        let wanted = contents(&self.now);
        for (path, content) in &found {
            let wanted = &wanted[path];
            let differs = content.iter().zip(wanted).position(|(a, b)| a != b);
            assert!(content == wanted, "{path:?}: {} bytes for {}, first at {differs:?}", content.len(), wanted.len());
        }
    }
}

fn contents(model: &Model) -> Contents {
    let file = |node: &Option<u64>| node.map(|number| model.files[&number].clone());
    model.nodes.iter().filter_map(|(path, node)| Some((path.clone(), file(node)?))).collect()
}

fn unit<T>(outcome: Outcome<T>) -> Outcome<()> {
    match outcome {
        Outcome::Done(result) => Outcome::Done(result.map(drop)),
        Outcome::Wait(needs) => Outcome::Wait(needs),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// S-FSYNC-3, and everything else at once.
    #[test]
    fn random_histories(steps in proptest::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
            pair.check();
        }
    }
}
