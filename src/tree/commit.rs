//! From a cut to a commit: a log entry, a delta run, or a checkpoint (docs/format.md "Commits").
//!
//! [`Tree::draft`] accounts for the cut and says whether it fits the Drive's log. Then either [`Tree::commit_log`] makes
//! the log entry, or [`Tree::commit_root`] writes into a pack: the cut, the log and the newest runs merged into one new
//! run, or everything merged into the trees' leaves, and in both cases a new root. [`Tree::finish_commit`] makes the
//! result the base once the transaction is certain.
//!
//! When which: a run that is at most half as long as the new one is merged into it, so the runs' lengths grow
//! geometrically and a record is rewritten a logarithmic number of times; the leaves are rewritten when the runs together
//! would be more than twice as long as the trees (counted before merging, which drops what is overwritten), or when there
//! would be more than eight. So `chmod -R` writes one run, and doing it again writes one run again.
//!
//! The pack that holds a root cannot know its own blob id. Its entry is implied by the Drive's [`RootRef`] and the root's
//! `size` and `live`; it stands among the bootstrap entries from then on, and the next commit that changes it, or the
//! next root, writes it into the table. Writing the table changes the table (its own old nodes are freed): those last
//! changes stand in the new root's bootstrap entries, above runs and trees.

use super::absorb::{Absorbed, Absorber, touches_of};
use super::base::{MAX_RUNS, Pointer, Root, RunRef, TreeRef, VERSION, log_class, seal_log_entry};
use super::codec::put_batch;
use super::cursor::{Merge, Top};
use super::extents::{Moved, pinned, placed, substitute};
use super::layer::Layer;
use super::ledger::Ledger;
use super::record::{Counters, Key, KeyKind, PackEntry, Record, Space};
use super::rewrite::{Output, Reading, Rewrite, Rewritten, all_nodes, build_run};
use super::{Base, NodeAddr, Tree};
use crate::crypto::{KeyRing, SEAL_OVERHEAD, TAG};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{PackNo, Sequence};
use crate::pack::{Origin, PackRef, PackSource, PackWriter, RootRef, UnitKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Packs below a quarter of the target size that may exist.
const SMALL_MAX: usize = 8;

/// Packs that a root remembers as small, at most.
const SMALL_LISTED: usize = 64;

/// A finished pack that the commit certifies, with its blob id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPack {
    /// Its number in the tree.
    pub number: PackNo,
    /// How it is read; `size` must be known.
    pub pack: PackRef,
}

/// What a commit is made of, besides the frozen layer.
#[derive(Clone, Debug)]
pub struct CommitInput {
    /// The Drive's sequence after the commit.
    pub sequence: Sequence,
    /// The committer's clock, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// How long a pack is kept after its last reference was dropped, milliseconds.
    pub gc_delay_ms: u64,
    /// Where every spool frame of the cut went.
    pub moved: Moved,
    /// Finished packs of this commit.
    pub packs: Vec<NewPack>,
    /// A pack that holds chunks of this commit and is not finished yet: the root can go into it.
    pub open: Option<PackNo>,
    /// A pack shorter than this is small, bytes: a quarter of the target size.
    pub small_pack: u64,
    /// Packs to compact, the emptiest first ([`Tree::sparse_packs`]): the commit takes over what lives in them, as far as
    /// one pack has room.
    pub sparse: Vec<PackNo>,
}

/// A cut, accounted for, before it is known how it is committed.
#[derive(Debug)]
pub struct Draft {
    input: CommitInput,
    base: Arc<Base>,
    cut: Arc<Layer>,
    /// The cut with places in packs.
    files: Layer,
    /// Reference counts, marks and counters of the table; entries are in the ledger.
    table: Layer,
    ledger: Ledger,
    delete: Vec<(PackNo, PackEntry)>,
    /// What the log may be filled to, sealed bytes.
    log_total: usize,
    /// Parts of the old tree are lost: everything that is left is written anew.
    rebuild: bool,
    fits_log: bool,
}

impl Draft {
    /// Whether the commit needs a pack for its root ([`Tree::commit_root`]); otherwise [`Tree::commit_log`] does.
    pub fn needs_pack(&self) -> bool {
        !self.fits_log
    }

    /// Packs to delete in the commit's transaction: nothing has lived in them for longer than the delay.
    pub fn delete(&self) -> &[(PackNo, PackEntry)] {
        &self.delete
    }
}

struct CommitInputs {
    base: Arc<Base>,
    cut: Arc<Layer>,
    next_pack: u64,
    corrections: Layer,
}

/// A commit, ready for its transaction.
#[derive(Debug)]
pub struct Commit {
    /// The Drive's sequence after it.
    pub sequence: Sequence,
    /// The sealed log entry to append, if there is one.
    pub log_append: Option<Vec<u8>>,
    /// Log entries to drop, counted from the oldest.
    pub log_drop: u64,
    /// Offset and sealed length of the new root in its pack, if there is one.
    pub root: Option<(u64, u32)>,
    /// Packs to delete in the same transaction.
    pub delete: Vec<(PackNo, PackEntry)>,
    /// Packs whose live units it moved elsewhere.
    pub absorbed: Vec<PackNo>,
    /// Packs whose live units it could not move.
    pub refused: Vec<PackNo>,
    next: Next,
    cut: Arc<Layer>,
    moved: Moved,
    rebuilt: bool,
}

#[derive(Debug)]
enum Next {
    Log(Base),
    Root(Root),
}

impl Commit {
    /// What the Drive will name as root, once the blob id of the pack is known.
    pub fn root_ref(&self, pack: &PackRef) -> Option<RootRef> {
        let (offset, length) = self.root?;
        Some(RootRef { blob_id: pack.blob_id, offset, length, salt: pack.salt, key_epoch: pack.key_epoch })
    }
}

fn entry_of(pack: &PackRef, birth: Sequence) -> PackEntry {
    PackEntry {
        blob_id: pack.blob_id,
        size: pack.size.unwrap_or_default(),
        salt: pack.salt,
        key_epoch: pack.key_epoch,
        live: 0,
        birth,
        dead_since_ms: None,
        forwards: Vec::new(),
    }
}

impl Tree {
    /// Accounts for the frozen layer on top of the base. Reads what the difference needs and nothing else; changes
    /// nothing, so it may be thrown away and made again.
    pub async fn draft(&self, input: CommitInput, source: &dyn PackSource, keys: &KeyRing) -> FsResult<Draft> {
        let reading = Reading { tree: self, source, keys };
        let CommitInputs { base, cut, next_pack, corrections } = self.commit_inputs()?;
        let rebuild = self.has_lost_units();
        if input.sequence <= base.sequence {
            return Err(FsError::new(
                Kind::Internal,
                format!("a commit cannot have sequence {}: the drive is at {}", input.sequence, base.sequence),
            ));
        }
        let files = placed(&cut, &input.moved)?;
        let mut ledger = Ledger::new(rebuild);
        let mut fresh = BTreeSet::new();
        for new in &input.packs {
            ledger.open_account(new.number, entry_of(&new.pack, input.sequence))?;
            fresh.insert(new.number);
        }
        if let Some(number) = input.open {
            let unknown = PackRef { blob_id: [0; 32], size: None, salt: [0; 32], key_epoch: keys.current() };
            ledger.open_account(number, entry_of(&unknown, input.sequence))?;
            fresh.insert(number);
        }
        let mut table = corrections;
        table.extend(ledger.refer(&files, &fresh, &base, &reading).await?);
        let delete = self.due(&input, &base, &cut, &mut ledger, &reading).await?;
        table.extend(next_pack_record(&base, next_pack, &reading).await?);
        ledger.stamp(input.now_ms);
        let mut draft = Draft {
            input,
            base,
            cut,
            files,
            table,
            ledger,
            delete,
            log_total: self.shape.log_total,
            rebuild,
            fits_log: false,
        };
        draft.fits_log = !rebuild && draft.input.sparse.is_empty() && draft.fits_log()?;
        Ok(draft)
    }

    fn commit_inputs(&self) -> FsResult<CommitInputs> {
        let state = self.state.read();
        let cut = state.frozen.clone();
        let cut = cut.ok_or_else(|| FsError::new(Kind::Internal, "nothing is frozen: freeze before committing"))?;
        let (base, next_pack, corrections) = (state.base.clone(), state.next_pack, state.corrections.clone());
        Ok(CommitInputs { base, cut, next_pack, corrections })
    }

    /// The packs that may be deleted, taken out of the ledger.
    async fn due(
        &self,
        input: &CommitInput,
        base: &Base,
        cut: &Layer,
        ledger: &mut Ledger,
        reading: &Reading<'_>,
    ) -> FsResult<Vec<(PackNo, PackEntry)>> {
        let mut candidates = BTreeSet::new();
        let (from, to) = (Key::dead(PackNo(0)), Key::dead(PackNo(u64::MAX)));
        let mut merge = Merge::new();
        base.merge_into(&mut merge, &from, Some(&to));
        while let Some((key, record)) = reading.step(&mut merge).await? {
            if record.is_some() {
                candidates.insert(PackNo(key.num));
            }
        }
        candidates.extend(base.bootstrap.iter().filter_map(|(key, record)| match record {
            Some(Record::Pack(entry)) if entry.dead_since_ms.is_some() => Some(PackNo(key.num)),
            _ => None,
        }));
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        // A partly overwritten chunk that no commit has yet still reads its base.
        let pinned = pinned(std::iter::once(cut).chain(std::iter::once(&self.state.read().top)));
        let mut due = Vec::new();
        for number in candidates.difference(&pinned) {
            if !matches!(base.fetch(reading, &Key::pack(*number)).await?, Some(Record::Pack(_))) {
                continue;
            }
            let entry = ledger.entry(*number, base, reading).await?.clone();
            let passed = |since: u64| since.saturating_add(input.gc_delay_ms) <= input.now_ms;
            if entry.live == 0 && entry.dead_since_ms.is_some_and(passed) {
                ledger.remove(*number);
                due.push((*number, entry));
            }
        }
        Ok(due)
    }

    /// Makes the log entry. `open` is the pack of [`CommitInput::open`], finished.
    pub fn commit_log(&self, draft: Draft, open: Option<NewPack>, keys: &KeyRing) -> FsResult<Commit> {
        if open.map(|pack| pack.number) != draft.input.open {
            return Err(FsError::new(Kind::Internal, "the open pack of the draft must be finished for a log entry"));
        }
        let mut changes = draft.log_changes();
        if let Some(open) = open
            && let Some(Some(Record::Pack(entry))) = changes.get_mut(&Key::pack(open.number))
        {
            let live = entry.live;
            let dead_since_ms = entry.dead_since_ms;
            *entry = PackEntry { live, dead_since_ms, ..entry_of(&open.pack, draft.input.sequence) };
        }
        let sealed = seal_log_entry(keys, draft.input.sequence, &changes)?
            .ok_or_else(|| FsError::new(Kind::Internal, "the cut does not fit a log entry; it needs a root"))?;
        let next = draft.base.with_log(draft.input.sequence, changes, sealed.len())?;
        Ok(Commit {
            sequence: draft.input.sequence,
            log_append: Some(sealed),
            log_drop: 0,
            root: None,
            delete: draft.delete,
            absorbed: Vec::new(),
            refused: Vec::new(),
            next: Next::Log(next),
            cut: draft.cut,
            moved: draft.input.moved,
            rebuilt: false,
        })
    }

    /// Writes the commit and a new root into `writer`, which may hold chunks already; nothing may be pushed to it
    /// afterwards: finish it.
    pub async fn commit_root(
        &self,
        draft: Draft,
        writer: &mut PackWriter,
        source: &dyn PackSource,
        keys: &KeyRing,
    ) -> FsResult<Commit> {
        if draft.input.open.is_some_and(|open| open != writer.number()) {
            return Err(FsError::new(Kind::Internal, "the root must go into the open pack of the draft"));
        }
        let reading = Reading { tree: self, source, keys };
        let log_drop = draft.base.log_entries;
        let output = Output { writer, nodes: &self.nodes, shape: self.shape, stored: 0 };
        RootWriter { reading, draft, output }.write(log_drop).await
    }

    /// Makes the commit the base: call it when the transaction is certain, with the Drive's new root if it has one.
    /// Places that the top layer shares with the cut now point into packs.
    pub fn finish_commit(&self, commit: Commit, root: Option<RootRef>) -> FsResult<()> {
        let base = match (commit.next, root) {
            (Next::Log(base), None) => base,
            (Next::Root(root), Some(at)) => Base::of_root(root, at)?,
            _ => return Err(FsError::new(Kind::Internal, "a commit with a root needs its place, and only that one")),
        };
        let mut state = self.state.write();
        if !state.frozen.as_ref().is_some_and(|frozen| Arc::ptr_eq(frozen, &commit.cut)) {
            return Err(FsError::new(Kind::Internal, "the commit is not of the cut that is frozen"));
        }
        state.base = Arc::new(base);
        state.frozen = None;
        state.corrections.clear();
        if commit.rebuilt {
            self.nodes.forget_lost();
            state.remains = None;
        }
        substitute(&mut state.top, &commit.cut, &commit.moved);
        Ok(())
    }
}

/// The table's counters, if pack numbers were handed out since the base.
async fn next_pack_record(base: &Base, next: u64, reading: &Reading<'_>) -> FsResult<Option<(Key, Option<Record>)>> {
    let key = Key::counters(Space::Table);
    let before = match base.fetch(reading, &key).await? {
        Some(Record::Counters(counters)) => counters,
        _ => Counters { next: 1, ..Counters::default() },
    };
    let after = Counters { next, ..before };
    Ok((after != before).then_some((key, Some(Record::Counters(after)))))
}

impl Draft {
    fn log_changes(&self) -> Layer {
        let mut changes = self.files.clone();
        changes.extend(self.table.clone());
        changes.extend(self.ledger.records(None));
        changes
    }

    /// Packs below the size at which they are worth keeping, oldest first, as far as they are known.
    fn small_packs(&self) -> Vec<PackNo> {
        let small = |entry: &PackEntry| entry.size > 0 && entry.size < self.input.small_pack && entry.live > 0;
        let mut packs: BTreeSet<PackNo> = self.base.root.iter().flat_map(|root| root.small.iter().copied()).collect();
        for (key, record) in self.base.log.iter().filter(|(key, _)| key.kind == KeyKind::Pack) {
            let stays = matches!(record, Some(Record::Pack(entry)) if small(entry));
            if stays {
                packs.insert(PackNo(key.num))
            } else {
                packs.remove(&PackNo(key.num))
            };
        }
        for (number, entry) in self.ledger.changed() {
            if small(entry) {
                packs.insert(number)
            } else {
                packs.remove(&number)
            };
        }
        for (number, _) in &self.delete {
            packs.remove(number);
        }
        packs.into_iter().collect()
    }

    fn fits_log(&self) -> FsResult<bool> {
        let mut plain = vec![0; 10];
        let changes = self.log_changes();
        // The cheapest change is longer than its key; a cut that cannot fit is not encoded to find out.
        if changes.len() > self.log_total / 24 {
            return Ok(false);
        }
        put_batch(&mut plain, changes.iter().map(|(key, record)| (key, record.as_ref())))?;
        let Some(class) = log_class(plain.len()) else { return Ok(false) };
        let total = self.base.log_bytes + class;
        // A pack goes up anyway: then it may as well carry a log that is more than half full.
        let packed = self.input.open.is_some() && total > self.log_total / 2;
        let crowded =
            (self.input.open.is_some() || !self.input.packs.is_empty()) && self.small_packs().len() >= SMALL_MAX;
        Ok(total <= self.log_total && !packed && !crowded && class > SEAL_OVERHEAD)
    }
}

/// What the new root does with runs and trees.
struct Plan {
    /// Whether runs and changes are merged into the leaves.
    leaves: bool,
    /// The first run that is merged into the new one.
    runs_from: usize,
}

struct RootWriter<'a> {
    reading: Reading<'a>,
    draft: Draft,
    output: Output<'a>,
}

impl RootWriter<'_> {
    /// Encoded length of what is new in this root: cut, log and bootstrap entries.
    fn new_bytes(&self) -> FsResult<u64> {
        let base = &self.draft.base;
        let mut sum = 0;
        for layer in [&self.draft.files, &self.draft.table, &base.log, &base.bootstrap] {
            let mut bytes = Vec::new();
            put_batch(&mut bytes, layer.iter().map(|(key, record)| (key, record.as_ref())))?;
            sum += bytes.len() as u64;
        }
        Ok(sum)
    }

    fn plan(&self, absorbed: &Absorbed) -> FsResult<Plan> {
        let root = self.draft.base.root.as_ref();
        let runs = root.map_or(&[][..], |root| &root.runs);
        let mut new = self.new_bytes()?;
        let mut runs_from = runs.len();
        while runs_from > 0 {
            let next = &runs[runs_from - 1];
            let wanted = absorbed.runs_from.is_some_and(|from| from < runs_from);
            if !wanted && next.bytes > new.saturating_mul(2) {
                break;
            }
            runs_from -= 1;
            new = new.saturating_add(next.bytes);
        }
        let total = runs[..runs_from].iter().fold(new, |sum, run| sum.saturating_add(run.bytes));
        let trees: u64 = root.iter().flat_map(|root| root.table.iter().chain(&root.files)).map(|tree| tree.bytes).sum();
        Ok(Plan {
            leaves: self.draft.rebuild
                || total > trees.saturating_mul(2).max(self.output.shape.runs_floor)
                || runs_from >= MAX_RUNS,
            runs_from,
        })
    }

    /// Takes over small packs, if the new pack is small itself.
    async fn absorb(&mut self) -> FsResult<Absorbed> {
        if self.draft.rebuild {
            return Ok(Absorbed::default());
        }
        let small = self.draft.small_packs();
        let new = self.new_bytes()?;
        let mut absorbed = self.absorber().run(&small, new).await?;
        let sparse = std::mem::take(&mut self.draft.input.sparse);
        let full = self.draft.input.small_pack.saturating_mul(4);
        self.absorber().compact(&sparse, new, full, &mut absorbed).await?;
        Ok(absorbed)
    }

    fn absorber(&mut self) -> Absorber<'_> {
        let Draft { base, files, table, ledger, input, .. } = &mut self.draft;
        Absorber {
            reading: self.reading,
            base,
            files,
            table,
            ledger,
            writer: self.output.writer,
            small_pack: input.small_pack,
            small_max: SMALL_MAX,
        }
    }

    async fn write(mut self, log_drop: u64) -> FsResult<Commit> {
        let base = self.draft.base.clone();
        let own = self.output.writer.number();
        if self.draft.input.open.is_none() {
            let unknown =
                PackRef { blob_id: [0; 32], size: None, salt: [0; 32], key_epoch: self.reading.keys.current() };
            self.draft.ledger.open_account(own, entry_of(&unknown, self.draft.input.sequence))?;
        }
        let absorbed = self.absorb().await?;
        let plan = self.plan(&absorbed)?;
        let runs_from = if plan.leaves { 0 } else { plan.runs_from };
        self.free_old_root(&base).await?;
        for run in &base.runs[runs_from..] {
            for addr in all_nodes(self.reading, run.top).await? {
                self.draft.ledger.free(addr, &base, &self.reading).await?;
            }
        }
        let touches = touches_of(&absorbed.touches, Space::Files);
        let (files, _) = self.rewrite(&base, Space::Files, plan.leaves, touches).await?;
        // From here on only the table's own nodes are freed; what that changes stands in the bootstrap entries.
        for key in base.bootstrap.keys() {
            let number = PackNo(key.num);
            let deleted = self.draft.delete.iter().any(|(deleted, _)| *deleted == number);
            if !deleted && !matches!(base.log.get(key), Some(None)) {
                self.draft.ledger.touch(number, &base, &self.reading).await?;
            }
        }
        self.draft.ledger.stamp(self.draft.input.now_ms);
        self.draft.table.extend(self.draft.ledger.records(Some(own)));
        let touches = touches_of(&absorbed.touches, Space::Table);
        let (table, kept) = self.rewrite(&base, Space::Table, plan.leaves, touches).await?;
        let mut runs = Vec::new();
        if !plan.leaves {
            runs.extend(base.root.iter().flat_map(|root| root.runs[..runs_from].iter().cloned()));
            runs.extend(self.new_run(&base, runs_from).await?);
        }
        self.draft.ledger.stamp(self.draft.input.now_ms);
        let bootstrap = self.bootstrap(&base, &kept, &runs).await?;
        let root = Root { table, files, runs, bootstrap, ..Root::default() };
        self.root(&base, root, log_drop, absorbed).await
    }

    async fn free_old_root(&mut self, base: &Base) -> FsResult<()> {
        if let (Some(root), Some(at)) = (&base.root, base.root_ref) {
            let plain = at.length.saturating_sub(16);
            let addr = NodeAddr { pack: root.pack, offset: at.offset, stored: at.length, plain, run: false };
            self.draft.ledger.free(addr, base, &self.reading).await?;
        }
        Ok(())
    }

    /// Writes one tree anew where it must be: with cut, log and runs merged in when they become leaves, and where nodes
    /// are touched. Says also which old subtrees it keeps.
    async fn rewrite(
        &mut self,
        base: &Base,
        space: Space,
        leaves: bool,
        touches: Vec<Key>,
    ) -> FsResult<(Option<TreeRef>, Vec<Top>)> {
        let from = Key::first_of(space);
        let to = (space == Space::Table).then(|| Key::first_of(Space::Files));
        let old = base.tree(space);
        let crowded = space == Space::Table && base.bootstrap.len() > self.output.shape.bootstrap_max;
        let whole = leaves && (crowded || self.draft.rebuild);
        let Rewritten { built, freed, freed_leaf_bytes } = {
            let mut merge = Merge::new();
            if leaves {
                merge.layer(&self.draft.table, &from, to.as_ref());
                merge.layer(&self.draft.files, &from, to.as_ref());
                base.merge_changes(&mut merge, &from, to.as_ref(), 0);
            }
            let rewrite = Rewrite::new(self.reading, &mut self.output, merge, touches, whole);
            rewrite.run(old.map(|tree| tree.node.top(false))).await?
        };
        for addr in freed {
            self.draft.ledger.free(addr, base, &self.reading).await?;
        }
        let kept = if whole { 0 } else { old.map_or(0, |tree| tree.bytes).saturating_sub(freed_leaf_bytes) };
        let tree =
            built.top.map(|top| TreeRef { node: Pointer::of(top), bytes: kept.saturating_add(built.leaf_bytes) });
        Ok((tree, built.kept))
    }

    /// Merges cut, log and the newest runs into one new run.
    async fn new_run(&mut self, base: &Base, runs_from: usize) -> FsResult<Option<RunRef>> {
        let from = Key::first_of(Space::Table);
        let mut merge = Merge::new();
        merge.layer(&self.draft.table, &from, None);
        merge.layer(&self.draft.files, &from, None);
        base.merge_changes(&mut merge, &from, None, runs_from);
        let built = build_run(self.reading, &mut self.output, merge).await?;
        let (Some(top), Some((first, last))) = (built.top, built.bounds) else { return Ok(None) };
        let encoded = |key: &Key| {
            let mut out = Vec::new();
            key.encode(&mut out);
            out
        };
        let (first, last) = (encoded(&first), encoded(&last));
        Ok(Some(RunRef { node: Pointer::of(top), bytes: built.leaf_bytes, first, last }))
    }

    /// The entries that stand above runs and trees: of the packs without which the pack table could not be read (runs,
    /// and what the table keeps of its old nodes), and those that changed after the table was written.
    async fn bootstrap(&mut self, base: &Base, kept: &[Top], runs: &[RunRef]) -> FsResult<Vec<(PackNo, PackEntry)>> {
        let own = self.output.writer.number();
        let mut packs: BTreeSet<PackNo> = runs.iter().map(|run| run.node.pack).collect();
        for top in kept {
            packs.extend(all_nodes(self.reading, *top).await?.into_iter().map(|addr| addr.pack));
        }
        let late = self.draft.ledger.records(Some(own));
        let unwritten = late.iter().filter(|(key, record)| self.draft.table.get(key) != Some(record));
        packs.extend(unwritten.map(|(key, _)| PackNo(key.num)));
        packs.remove(&own);
        let mut bootstrap = Vec::with_capacity(packs.len());
        for number in packs {
            bootstrap.push((number, self.draft.ledger.entry(number, base, &self.reading).await?.clone()));
        }
        Ok(bootstrap)
    }

    /// Completes and writes the root.
    async fn root(mut self, base: &Base, mut root: Root, log_drop: u64, absorbed: Absorbed) -> FsResult<Commit> {
        let own = self.output.writer.number();
        let chunks_live = self.draft.ledger.entry(own, base, &self.reading).await?.live;
        (root.version, root.sequence, root.pack) = (VERSION, self.draft.input.sequence, own);
        root.small = self.draft.small_packs();
        root.small.push(own);
        root.small.drain(..root.small.len().saturating_sub(SMALL_LISTED));
        // Numbers are of fixed length, so the length of the record is known before they are.
        let sealed_len = |root: &Root| Ok::<_, FsError>(encode_root(root)?.len() as u64 + TAG as u64);
        if self.output.writer.size_with(sealed_len(&root)?)? >= self.draft.input.small_pack {
            root.small.retain(|number| *number != own);
        }
        let stored = sealed_len(&root)?;
        root.size = self.output.writer.size_with(stored)?;
        root.live = chunks_live + self.output.stored + stored;
        let unit = self.output.writer.push(UnitKind::Root, &encode_root(&root)?, Origin::default())?;
        let Draft { input, cut, delete, rebuild, .. } = self.draft;
        Ok(Commit {
            sequence: input.sequence,
            log_append: None,
            log_drop,
            root: Some((unit.offset, unit.stored)),
            delete,
            absorbed: absorbed.packs,
            refused: absorbed.refused,
            next: Next::Root(root),
            cut,
            moved: input.moved,
            rebuilt: rebuild,
        })
    }
}

fn encode_root(root: &Root) -> FsResult<Vec<u8>> {
    bcs::to_bytes(root).map_err(|error| FsError::new(Kind::Internal, "the root cannot be encoded").caused_by(error))
}
