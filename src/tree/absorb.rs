//! Small packs are absorbed: a pack that gets a root and is itself small takes over what lives in the newest small packs,
//! so that few blobs stay behind, however small the commits (docs/format.md "Commits").
//!
//! A pack's own index says what every unit is: a chunk names its file and offset, a node is decoded for its first key.
//! With that, every live unit is found without walking the tree. Chunks move as they are (compressed, re-sealed under the
//! new pack) and their extents change in the same commit; nodes are written anew by touching their keys; runs are merged.
//! A pack is taken over wholly or not at all: where its books say that something lives in it that was not found (a chunk
//! that only a clone refers to), or where it cannot be read now, it stays.
//!
//! Sparse packs are compacted the same way: where less than half of a full pack still lives and the pool needs the space
//! ([`CommitInput::sparse`](super::CommitInput::sparse)).
//!
//! The absorbed pack is dead, not gone: changes of the vfs that are not committed yet may still name its old chunks, and
//! bring it back to life with the next commit (`ledger`).

use super::base::RunRef;
use super::cursor::{Merge, Top, node_at};
use super::extents::{chunks, relocate};
use super::layer::Layer;
use super::ledger::Ledger;
use super::node::Node;
use super::record::{ChunkAddr, GROUP, Key, PackEntry, Record, Space};
use super::rewrite::{Reading, all_nodes};
use super::{Base, NodeAddr, Tree};
use crate::crypto::KeyRing;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{CHUNK, PackNo};
use crate::pack::{
    IndexEntry, Origin, PackRef, PackSource, PackWriter, UnitAddr, UnitKind, open_unit, read_index, unseal_unit,
};
use std::collections::{BTreeMap, BTreeSet};

/// What absorbing asks of the rest of the commit.
#[derive(Debug, Default)]
pub(super) struct Absorbed {
    /// The packs that were taken over.
    pub(super) packs: Vec<PackNo>,
    /// Packs that were tried and stay as they are.
    pub(super) refused: Vec<PackNo>,
    /// Keys whose nodes must be written anew.
    pub(super) touches: Vec<Key>,
    /// Runs from this number on must be merged; `None` for as many as there are.
    pub(super) runs_from: Option<usize>,
}

/// A live chunk, read: its extent group, where it lies, where it came from, and its body as it was before sealing.
struct Moving {
    key: Key,
    old: ChunkAddr,
    origin: Origin,
    body: Vec<u8>,
}

/// Everything that lives in one pack.
struct Contents {
    chunks: Vec<Moving>,
    touches: Vec<Key>,
    first_run: Option<usize>,
}

/// Where the commit stands.
pub(super) struct Absorber<'a> {
    pub(super) reading: Reading<'a>,
    pub(super) base: &'a Base,
    pub(super) files: &'a mut Layer,
    pub(super) table: &'a Layer,
    pub(super) ledger: &'a mut Ledger,
    pub(super) writer: &'a mut PackWriter,
    /// A pack of at least this length is not small, bytes.
    pub(super) small_pack: u64,
    /// Small packs that may exist, the new one included.
    pub(super) small_max: usize,
}

impl Absorber<'_> {
    /// Takes over the newest of `small` (oldest first). `new` is the length of what else the commit writes, bytes.
    pub(super) async fn run(mut self, small: &[PackNo], mut new: u64) -> FsResult<Absorbed> {
        let mut done = Absorbed::default();
        let mut left = small.len();
        for number in small.iter().rev() {
            let room = self.writer.len().saturating_add(new) < self.small_pack;
            let entry = self.ledger.entry(*number, self.base, &self.reading).await?.clone();
            // Taking over only what is not much longer than the rest moves a byte a logarithmic number of times.
            let cheap = entry.live <= self.writer.len().saturating_add(new).saturating_mul(2);
            if !room || !(cheap || left >= self.small_max) {
                break;
            }
            if entry.live == 0 {
                continue;
            }
            if self.absorb(*number, &entry, &mut done).await? {
                new = new.saturating_add(entry.live);
                left -= 1;
            }
        }
        Ok(done)
    }

    /// Takes over those of `sparse` for which the pack has room up to `full` bytes; `new` is the length of what else the commit
    /// writes.
    pub(super) async fn compact(
        mut self,
        sparse: &[PackNo],
        mut new: u64,
        full: u64,
        done: &mut Absorbed,
    ) -> FsResult<()> {
        for number in sparse {
            let entry = self.ledger.entry(*number, self.base, &self.reading).await?.clone();
            let room = full.saturating_sub(self.writer.len().saturating_add(new));
            if entry.live == 0 || entry.live > room || entry.is_lost() || done.packs.contains(number) {
                continue;
            }
            if self.absorb(*number, &entry, done).await? {
                // Chunks are in the writer now; nodes will be.
                new = new.saturating_add(entry.live / 8);
            }
        }
        Ok(())
    }

    /// Takes over one pack; `false` when that cannot be done (now).
    async fn absorb(&mut self, number: PackNo, entry: &PackEntry, done: &mut Absorbed) -> FsResult<bool> {
        let contents = match self.contents(number, &entry.as_ref(), entry.live).await {
            Ok(contents) => contents,
            // Nothing was touched yet, and no commit needs this.
            Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::Corrupt) => {
                tracing::warn!(pack = %number, %error, "a pack cannot be read now; it stays as it is");
                None
            }
            Err(error) => return Err(error),
        };
        let Some(contents) = contents else {
            done.refused.push(number);
            return Ok(false);
        };
        self.take_over(number, contents, done).await?;
        Ok(true)
    }

    /// What lives in a pack, read, or `None` when that does not add up to `live`.
    async fn contents(&mut self, number: PackNo, pack: &PackRef, live: u64) -> FsResult<Option<Contents>> {
        let Self { reading, base, .. } = self;
        let (reading, base) = (*reading, *base);
        let source = reading.source.impatient().unwrap_or(reading.source);
        let cipher = reading.keys.pack_cipher(pack.key_epoch, &pack.salt)?;
        let mut found = Contents { chunks: Vec::new(), touches: Vec::new(), first_run: None };
        let mut counted = 0u64;
        let index = read_index(source, pack, reading.keys).await?;
        for IndexEntry { kind, addr, origin } in index {
            let lives = match kind {
                UnitKind::Chunk => match self.live_chunk(number, addr, origin).await? {
                    Some((key, old)) => {
                        let sealed = source.read(pack, addr.offset, addr.stored).await?;
                        let body = unseal_unit(&cipher, UnitKind::Chunk, addr, sealed.into())?;
                        found.chunks.push(Moving { key, old, origin, body });
                        true
                    }
                    None => false,
                },
                UnitKind::Node => match live_node(&Reading { source, ..reading }, base, number, pack, addr).await? {
                    Some(key) => {
                        found.touches.push(key);
                        true
                    }
                    None => false,
                },
                _ => false,
            };
            counted += if lives { u64::from(addr.stored) } else { 0 };
        }
        let runs: &[RunRef] = base.root.as_ref().map_or(&[], |root| &root.runs);
        for (nth, run) in runs.iter().enumerate().filter(|(_, run)| run.node.pack == number) {
            found.first_run.get_or_insert(nth);
            counted +=
                all_nodes(reading, run.node.top(true)).await?.iter().map(|addr| u64::from(addr.stored)).sum::<u64>();
        }
        if let (Some(root), Some(at)) = (&base.root, base.root_ref)
            && root.pack == number
        {
            counted += u64::from(at.length);
        }
        Ok((counted == live).then_some(found))
    }

    /// The extent group that refers to a chunk, if the file it was written for still does and nothing else does.
    async fn live_chunk(
        &mut self,
        number: PackNo,
        addr: UnitAddr,
        origin: Origin,
    ) -> FsResult<Option<(Key, ChunkAddr)>> {
        let shared = Key::shared(number, addr.offset);
        let count = match self.table.get(&shared) {
            Some(changed) => changed.clone(),
            None => self.base.fetch(&self.reading, &shared).await?,
        };
        if count.is_some() {
            return Ok(None);
        }
        let key = Key::extents(origin.ino, origin.file_offset / (CHUNK as u64 * GROUP));
        let record = self.current(&key).await?;
        let mut held = record.iter().flat_map(chunks);
        let chunk = held.find(|chunk| (chunk.pack, chunk.offset, chunk.stored) == (number, addr.offset, addr.stored));
        Ok(chunk.map(|chunk| (key, chunk)))
    }

    /// The record of an extent group as the commit leaves it.
    async fn current(&self, key: &Key) -> FsResult<Option<Record>> {
        match self.files.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.base.fetch(&self.reading, key).await,
        }
    }

    async fn take_over(&mut self, number: PackNo, contents: Contents, done: &mut Absorbed) -> FsResult<()> {
        let mut moves: BTreeMap<Key, Vec<(ChunkAddr, ChunkAddr)>> = BTreeMap::new();
        for Moving { key, old, origin, body } in contents.chunks {
            let unit = self.writer.push_stored(UnitKind::Chunk, old.plain, &body, origin)?;
            let new = ChunkAddr { pack: self.writer.number(), offset: unit.offset, ..old };
            self.ledger.relocate(&old, &new, self.base, &self.reading).await?;
            moves.entry(key).or_default().push((old, new));
        }
        for (key, moves) in moves {
            let record = self.current(&key).await?;
            let record =
                record.ok_or_else(|| FsError::new(Kind::Internal, format!("{key:?} vanished from pack {number}")))?;
            self.files.insert(key, Some(relocate(&record, &moves)));
        }
        done.packs.push(number);
        done.touches.extend(contents.touches);
        done.runs_from = [done.runs_from, contents.first_run].into_iter().flatten().min();
        Ok(())
    }
}

/// What the packs of a drive hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Packs of which at least an eighth is dead, the emptiest first: number, size and live bytes.
    pub sparse: Vec<(PackNo, u64, u64)>,
    /// Sizes of the packs in which nothing lives: they are deleted when their time has come.
    pub dead: Vec<u64>,
    /// Bytes of all packs in which something lives.
    pub size: u64,
    /// Live bytes.
    pub live: u64,
}

impl Tree {
    /// Looks through the pack table. `except`: packs that are not to be compacted.
    ///
    /// # Errors
    /// What reading the table says.
    pub async fn occupancy(
        &self,
        except: &BTreeSet<PackNo>,
        source: &dyn PackSource,
        keys: &KeyRing,
    ) -> FsResult<Occupancy> {
        let reading = Reading { tree: self, source, keys };
        let base = self.state.read().base.clone();
        let (from, to) = (Key::pack(PackNo(0)), Key::pack(PackNo(u64::MAX)));
        let mut merge = Merge::new();
        base.merge_into(&mut merge, &from, Some(&to));
        let mut found = Occupancy::default();
        while let Some((key, record)) = reading.step(&mut merge).await? {
            let Some(Record::Pack(entry)) = record else { continue };
            if entry.is_lost() {
                continue;
            }
            if entry.live == 0 {
                found.dead.push(entry.size);
                continue;
            }
            found.size = found.size.saturating_add(entry.size);
            found.live = found.live.saturating_add(entry.live);
            let number = PackNo(key.num);
            if entry.live < entry.size / 8 * 7 && !except.contains(&number) {
                found.sparse.push((number, entry.size, entry.live));
            }
        }
        found.sparse.sort_by(|a, b| (u128::from(a.2) * u128::from(b.1)).cmp(&(u128::from(b.2) * u128::from(a.1))));
        Ok(found)
    }
}

/// The first key of the node at `addr`, if a tree of the base still has it.
async fn live_node(
    reading: &Reading<'_>,
    base: &Base,
    number: PackNo,
    pack: &PackRef,
    addr: UnitAddr,
) -> FsResult<Option<Key>> {
    let UnitAddr { offset, stored, plain } = addr;
    let cipher = reading.keys.pack_cipher(pack.key_epoch, &pack.salt)?;
    let sealed = reading.source.read(pack, offset, stored).await?;
    let node = Node::decode(&open_unit(&cipher, UnitKind::Node, addr, sealed.into())?, false)?;
    let at = Top { addr: NodeAddr { pack: number, offset, stored, plain, run: false }, level: node.level() };
    let Some(key) = node.first_key().cloned() else { return Ok(None) };
    let lives = match base.tree(key.space) {
        Some(tree) => reaches(reading, tree.node.top(false), &key, at).await?,
        None => false,
    };
    Ok(lives.then_some(key))
}

/// Whether the way to `key` under `top` leads through the node `at`.
async fn reaches(reading: &Reading<'_>, top: Top, key: &Key, at: Top) -> FsResult<bool> {
    let mut here = top;
    while here.level > at.level {
        let node = match node_at(&reading.tree.nodes, &here.addr, here.level)? {
            Some(node) => node,
            None => reading.node(here).await?,
        };
        let Some(child) = node.child_towards(key) else { return Ok(false) };
        here = Top { addr: child, level: here.level - 1 };
    }
    Ok(here == at)
}

/// The space of a touch, so that each tree gets its own.
pub(super) fn touches_of(touches: &[Key], space: Space) -> Vec<Key> {
    touches.iter().filter(|key| key.space == space).cloned().collect()
}
