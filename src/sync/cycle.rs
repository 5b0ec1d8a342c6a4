//! One cycle: from a cut to a commit.

use super::engine::{Parts, Shared, Stage};
use super::loader::{blocking, in_background};
use super::network::{CommitRequest, Committed, Moved, StoredBlob};
use super::packing::{Packed, Packer};
use super::pending::Pending;
use super::source::Insisting;
use crate::drive::CommitTag;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{PackNo, Sequence};
use crate::pack::{PackRef, PackWriter, SealedPack};
use crate::seam::stage;
use crate::tree::record::PackEntry;
use crate::tree::{CommitInput, NewPack};
use crate::vfs::{Cut, Outcome};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What one cycle works on.
pub(super) struct Cycle<'a> {
    shared: &'a Arc<Shared>,
    /// Blobs that the commit certifies.
    certify: Vec<StoredBlob>,
    /// The same packs as the tree names them.
    packs: Vec<NewPack>,
}

/// Certificates in one commit at most; a cut is bounded by the journal, so more is a configuration error.
const MAX_CERTIFY: usize = 64;

impl<'a> Cycle<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> Self {
        Self { shared, certify: Vec::new(), packs: Vec::new() }
    }

    /// Makes the cycle. An error means that this mount must not write any more; everything else is tried until it works.
    /// Dropping the future at any point leaves the cut frozen and loses nothing.
    pub(super) async fn run(mut self) -> FsResult<()> {
        let shared = self.shared;
        let parts = &shared.parts;
        shared.enter(Stage::Lease);
        shared.insist("taking the drive's lease", || parts.network.take_lease()).await?;
        let orphans = shared.orphans();
        if !orphans.is_empty() {
            shared.insist("giving back the capacity of unfinished uploads", || parts.network.sweep(&orphans)).await?;
            shared.forget_orphans();
        }
        shared.enter(Stage::Cut);
        let cut = shared.insist("cutting the journal", || self.cut()).await?;
        stage("cut");
        let frozen = parts.tree.frozen().is_some_and(|frozen| !frozen.is_empty()) || parts.tree.needs_mending();
        let sparse = shared.sparse();
        if !frozen && !shared.garbage_due() && !shared.compaction_due() {
            parts.vfs.abort_cut();
            shared.certified(cut.changes);
            return Ok(());
        }
        let sequence = parts
            .tree
            .sequence()
            .next()
            .ok_or_else(|| FsError::new(Kind::Internal, "the drive's sequence numbers are used up"))?;
        shared.enter(Stage::Upload);
        let (open, moved) = self.pack_chunks(sequence, cut).await?;
        shared.enter(Stage::Tree);
        let input = CommitInput {
            sequence,
            now_ms: parts.clock.now_ms(),
            gc_delay_ms: shared.gc_delay_ms(),
            moved: moved.clone(),
            packs: self.packs.clone(),
            open: open.as_ref().map(PackWriter::number),
            small_pack: shared.pack_target() / 4,
            sparse: sparse.clone(),
        };
        let source = Insisting::new(shared);
        let draft =
            shared.insist("accounting for the cut", || parts.tree.draft(input.clone(), &source, &parts.keys)).await?;
        if !frozen && draft.delete().is_empty() && sparse.is_empty() {
            // Something still needs the old packs; look again later.
            parts.vfs.abort_cut();
            shared.look_for_garbage_later();
            shared.certified(cut.changes);
            return Ok(());
        }
        let (commit, root) = if draft.needs_pack() {
            let mut writer = match open {
                Some(writer) => writer,
                None => self.writer()?,
            };
            let commit = parts.tree.commit_root(draft, &mut writer, &source, &parts.keys).await?;
            shared.compacted(&commit.refused);
            if !frozen && commit.delete.is_empty() && commit.absorbed.is_empty() {
                // Nothing could be compacted, and nothing else was to be done.
                parts.vfs.abort_cut();
                shared.compacted(&sparse);
                shared.look_for_garbage_later();
                shared.look_for_sparse_packs().await;
                shared.certified(cut.changes);
                return Ok(());
            }
            let stored = self.store_last(writer).await?;
            let root = commit.root_ref(&stored);
            (commit, root)
        } else {
            let open = match open {
                Some(writer) => {
                    let number = writer.number();
                    let pack = self.store_last(writer).await?;
                    Some(NewPack { number, pack })
                }
                None => None,
            };
            (parts.tree.commit_log(draft, open, &parts.keys)?, None)
        };
        shared.enter(Stage::Commit);
        if self.certify.len() > MAX_CERTIFY {
            return Err(FsError::new(
                Kind::Internal,
                format!(
                    "a commit of {} packs is too large; lower journal_size or raise the pack size",
                    self.certify.len()
                ),
            ));
        }
        let request = CommitRequest {
            sequence,
            tag: tag(parts),
            certify: std::mem::take(&mut self.certify),
            delete: blobs_of(&commit.delete),
            root,
            log_drop: commit.log_drop,
            log_append: commit.log_append.clone().map(Into::into),
        };
        self.promise(&request, cut, &moved).await?;
        stage("promised");
        self.commit(request).await?;
        stage("committed");
        parts.tree.finish_commit(commit, root)?;
        let moved = Arc::new(moved);
        let trim = || {
            let (vfs, moved) = (Arc::clone(&parts.vfs), Arc::clone(&moved));
            async move { blocking(move || vfs.finish_cut(cut, &moved)).await? }
        };
        shared.insist("trimming the journal after a commit", trim).await?;
        stage("finished");
        self.settle().await?;
        shared.commits.fetch_add(1, Ordering::Relaxed);
        shared.certified(cut.changes);
        shared.look_for_garbage().await;
        shared.look_for_sparse_packs().await;
        Ok(())
    }

    async fn cut(&self) -> FsResult<Cut> {
        loop {
            let vfs = Arc::clone(&self.shared.parts.vfs);
            match blocking(move || vfs.cut()).await? {
                Outcome::Done(cut) => return cut,
                Outcome::Wait(needs) => self.shared.loader.load(needs).await?,
            }
        }
    }

    fn writer(&self) -> FsResult<PackWriter> {
        let parts = &self.shared.parts;
        PackWriter::new(&parts.keys, parts.tree.allocate_pack()?, parts.network.padding())
    }

    /// Packs every chunk of the cut. Full packs are stored, one being built while the one before is on its way; the last
    /// is left open for the tree when it is small, so that a small commit is one blob.
    async fn pack_chunks(&mut self, birth: Sequence, cut: Cut) -> FsResult<(Option<PackWriter>, crate::tree::Moved)> {
        let shared = self.shared;
        let mut packer = Packer::new(shared, birth, cut.lsn.0);
        let mut on_its_way = None;
        let open = loop {
            let (next, stored) = futures::join!(packer.next(), async {
                match on_its_way.take() {
                    Some(pack) => Some(self.store(pack).await),
                    None => None,
                }
            });
            if let Some(stored) = stored {
                self.keep(stored?);
            }
            match next? {
                Packed::Full(pack) => on_its_way = Some(pack),
                Packed::Rest(writer) if writer.len() >= shared.pack_target() / 4 => {
                    // Nodes in a large pack would keep its chunks' space taken after the chunks are gone.
                    on_its_way = Some(finish(writer).await?);
                }
                Packed::Rest(writer) => break Some(writer),
                Packed::Nothing if on_its_way.is_none() => break None,
                Packed::Nothing => {}
            }
        };
        if let Some(pack) = on_its_way {
            let stored = self.store(pack).await?;
            self.keep(stored);
        }
        if let Some(lost) = packer.lost {
            let pack = PackEntry::lost().as_ref();
            self.packs.push(NewPack { number: lost.number, pack });
        }
        Ok((open, packer.moved))
    }

    /// Stores the pack of `writer`; the tree is told of it by its writer's own means.
    async fn store_last(&mut self, writer: PackWriter) -> FsResult<PackRef> {
        let (named, stored) = self.store(finish(writer).await?).await?;
        self.certify.push(stored);
        Ok(named.pack)
    }

    /// Stores a pack on the network and in the cache.
    async fn store(&self, pack: SealedPack) -> FsResult<(NewPack, StoredBlob)> {
        stage("sealed");
        let (shared, parts) = (self.shared, &self.shared.parts);
        let encoded = shared.insist("encoding a pack", || parts.network.encode(pack.bytes.clone())).await?;
        parts.vfs.gets_on();
        let registered = {
            let mut registered = shared.unfinished.lock();
            registered.push(encoded.blob_id().0);
            registered.clone()
        };
        self.write_pending(Pending::storing(parts.tree.ground()?, registered)).await?;
        let moved = self.moved();
        let store = || parts.network.store(Arc::clone(&encoded), Arc::clone(&moved));
        let stored = shared.insist("uploading a pack", store).await?;
        drop(encoded);
        shared.packs.fetch_add(1, Ordering::Relaxed);
        shared.packed_bytes.fetch_add(pack.size(), Ordering::Relaxed);
        let named = NewPack { number: pack.number, pack: pack.as_ref(stored.blob_id) };
        if let Err(error) = parts.reader.keep_pack(stored.blob_id, pack.bytes).await {
            tracing::debug!(%error, "a new pack did not enter the cache");
        }
        Ok((named, stored))
    }

    /// Tells who waits for room in the journal that an upload gets on.
    fn moved(&self) -> Moved {
        let vfs = Arc::clone(&self.shared.parts.vfs);
        Arc::new(move || vfs.gets_on())
    }

    fn keep(&mut self, (pack, stored): (NewPack, StoredBlob)) {
        self.packs.push(pack);
        self.certify.push(stored);
    }

    /// Writes down, durably, what the commit is about to do: after a crash it tells which part of the journal the commit
    /// holds.
    async fn promise(&self, request: &CommitRequest, cut: Cut, moved: &crate::tree::Moved) -> FsResult<()> {
        let registered = self.shared.unfinished.lock().clone();
        let ground = self.shared.parts.tree.ground()?;
        let pending = Pending::commit(ground, request.sequence, request.tag, cut.lsn, moved, registered);
        self.write_pending(pending).await?;
        // From here on the journal's record says what becomes of them: the commit may happen.
        self.shared.unfinished.lock().clear();
        Ok(())
    }

    async fn settle(&self) -> FsResult<()> {
        self.write_pending(Pending::settled(self.shared.parts.tree.ground()?)).await
    }

    async fn write_pending(&self, pending: Pending) -> FsResult<()> {
        let bytes = pending.encode()?;
        let journal = &self.shared.parts.journal;
        let mut written = None;
        let write = || {
            // Once only: what a full disk did not take waits in the journal's buffer.
            let put = written.map_or_else(|| journal.put_pending(&bytes), Ok);
            written = put.as_ref().ok().copied();
            let journal = Arc::clone(journal);
            async move {
                let lsn = put?;
                blocking(move || journal.sync(lsn)).await?
            }
        };
        self.shared.insist("writing to the journal", write).await
    }

    async fn commit(&self, mut request: CommitRequest) -> FsResult<()> {
        let network = &self.shared.parts.network;
        loop {
            match self.shared.insist("committing", || network.commit(&request)).await? {
                Committed::Done => return Ok(()),
                Committed::EpochMoved => {
                    tracing::info!("the epoch moved before the commit: collecting confirmations anew");
                    for blob in &mut request.certify {
                        *blob =
                            self.shared.insist("confirming again", || network.store_again(blob, self.moved())).await?;
                    }
                }
            }
        }
    }
}

/// The blobs of packs to delete; a lost pack has none.
fn blobs_of(packs: &[(PackNo, PackEntry)]) -> Vec<[u8; 32]> {
    packs.iter().filter(|(_, entry)| !entry.is_lost()).map(|(_, entry)| entry.blob_id).collect()
}

/// A new commit's name.
fn tag(parts: &Parts) -> CommitTag {
    let mut tag = CommitTag::default();
    parts.keys.random().fill(&mut tag);
    tag
}

async fn finish(writer: PackWriter) -> FsResult<SealedPack> {
    in_background(move || writer.finish()).await?
}
