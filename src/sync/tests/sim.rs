//! A chain and a network in memory that outlive the machines using them, and the places where a machine may die.

use crate::cache::{Sliver, SliverSource};
use crate::drive::CommitTag;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::Sequence;
use crate::pack::RootRef;
use crate::sync::{Capacity, CommitRequest, Committed, Moved, Network, StoredBlob};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use redstuff::{Axis, BlobId, Encoded, Encoder, Params};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use sui_sdk_types::Address;
use walrus_client::wire::message::Certificate;

/// The Drive object after one commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct DriveObject {
    pub(crate) sequence: Sequence,
    pub(crate) tag: CommitTag,
    pub(crate) root: Option<RootRef>,
    pub(crate) log: Vec<Vec<u8>>,
}

/// A blob that the pool holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registered {
    pub(crate) encoded: u64,
    pub(crate) certified: bool,
    /// The epoch of its newest confirmations; `None` before it was uploaded.
    pub(crate) confirmed: Option<u32>,
}

/// Everything outside the machines.
#[derive(Default)]
pub(crate) struct Outside {
    pub(crate) drive: DriveObject,
    /// Every state that the Drive ever had.
    pub(crate) history: Vec<DriveObject>,
    pub(crate) pool: HashMap<[u8; 32], Registered>,
    /// Bytes of every blob ever stored; deleted ones stay for looking at old states.
    pub(crate) archive: HashMap<[u8; 32], Bytes>,
    pub(crate) capacity: u64,
    /// Shards of the network.
    pub(crate) shards: u16,
    epoch: u32,
    pub(crate) times_certified: HashMap<[u8; 32], u32>,
    /// Slivers asked for so far, and which of these requests nobody answers.
    pub(crate) reads: u64,
    pub(crate) unanswered: Range<u64>,
}

impl Outside {
    /// Blobs that take capacity and that no commit certified.
    pub(crate) fn unfinished(&self) -> usize {
        self.pool.values().filter(|blob| !blob.certified).count()
    }

    pub(crate) fn used(&self) -> u64 {
        self.pool.values().map(|blob| blob.encoded).sum()
    }

    /// Another machine commits something.
    pub(crate) fn commit_elsewhere(&mut self) {
        self.drive.sequence = self.drive.sequence.next().unwrap();
        self.drive.tag = [0xee; 16];
    }
}

/// A step at which something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    Lease,
    Sweep,
    Encode,
    /// Before a pack is registered, between that and its upload, and after it was confirmed.
    Register,
    Upload,
    Confirmed,
    /// Before the chain takes a commit, and after, before its answer.
    Commit,
    Committed,
    Again,
}

/// What happens at a point.
pub(crate) enum Fate {
    Go,
    /// The network does not answer.
    Fail,
    /// The machine is dead: nothing of it ever goes on.
    Die,
}

/// Decides at every point; called with its number in the machine's life.
pub(crate) type Fates = Box<dyn FnMut(u64, Point) -> Fate + Send>;

/// The network as one machine sees it.
pub(crate) struct Sim {
    pub(crate) outside: Arc<Mutex<Outside>>,
    params: Params,
    fates: Mutex<(u64, Fates)>,
}

impl Sim {
    pub(crate) fn new(outside: &Arc<Mutex<Outside>>, fates: Fates) -> Self {
        let params = Params::new(outside.lock().shards).unwrap();
        Self { outside: Arc::clone(outside), params, fates: Mutex::new((0, fates)) }
    }

    async fn at(&self, point: Point) -> FsResult<()> {
        let fate = {
            let mut fates = self.fates.lock();
            fates.0 += 1;
            let number = fates.0;
            (fates.1)(number, point)
        };
        match fate {
            Fate::Go => Ok(()),
            Fate::Fail => Err(FsError::new(Kind::Unreachable, format!("nobody answers ({point:?})"))),
            Fate::Die => std::future::pending().await,
        }
    }

    fn confirm(&self, blob_id: [u8; 32], size: u64) -> FsResult<StoredBlob> {
        let mut outside = self.outside.lock();
        let epoch = outside.epoch;
        let blob = outside.pool.get_mut(&blob_id);
        let blob = blob.ok_or_else(|| FsError::new(Kind::Internal, "a blob is confirmed that is not registered"))?;
        blob.confirmed = Some(epoch);
        let certificate = Certificate { signers: Vec::new(), message: Vec::new(), signature: [0; 96], members: 0 };
        Ok(StoredBlob { blob_id, size, object_id: Address::new(blob_id), certificate })
    }
}

impl Network for Sim {
    fn encoded_len(&self, size: u64) -> FsResult<u64> {
        Ok(self.params.encoded_length(size).unwrap())
    }

    fn max_blob(&self) -> u64 {
        self.params.max_blob_size()
    }

    fn padding(&self) -> u64 {
        u64::from(self.params.rows()) * u64::from(self.params.columns()) * 2
    }

    fn take_lease(&self) -> BoxFuture<'_, FsResult<()>> {
        self.at(Point::Lease).boxed()
    }

    fn give_lease(&self) -> BoxFuture<'_, FsResult<()>> {
        async { Ok(()) }.boxed()
    }

    fn encode(&self, blob: Bytes) -> BoxFuture<'_, FsResult<Arc<Encoded<Bytes>>>> {
        async move {
            self.at(Point::Encode).await?;
            Ok(Arc::new(Encoder::new(&self.params).encode(blob).unwrap()))
        }
        .boxed()
    }

    fn store(&self, blob: Arc<Encoded<Bytes>>, moved: Moved) -> BoxFuture<'_, FsResult<StoredBlob>> {
        async move {
            let (id, size) = (blob.blob_id().0, blob.blob().len() as u64);
            self.at(Point::Register).await?;
            let encoded = self.encoded_len(size)?;
            {
                let mut outside = self.outside.lock();
                if !outside.pool.contains_key(&id) {
                    if outside.used() + encoded > outside.capacity {
                        return Err(FsError::new(Kind::PoolFull, "the pool cannot hold another pack"));
                    }
                    outside.pool.insert(id, Registered { encoded, certified: false, confirmed: None });
                }
            }
            self.at(Point::Upload).await?;
            self.outside.lock().archive.insert(id, blob.blob().clone());
            moved();
            let stored = self.confirm(id, size)?;
            self.at(Point::Confirmed).await?;
            Ok(stored)
        }
        .boxed()
    }

    fn sweep<'a>(&'a self, blobs: &'a [[u8; 32]]) -> BoxFuture<'a, FsResult<()>> {
        async move {
            self.at(Point::Sweep).await?;
            let mut outside = self.outside.lock();
            for id in blobs {
                if outside.pool.get(id).is_some_and(|blob| !blob.certified) {
                    outside.pool.remove(id);
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn store_again<'a>(&'a self, blob: &'a StoredBlob, _moved: Moved) -> BoxFuture<'a, FsResult<StoredBlob>> {
        async move {
            self.at(Point::Again).await?;
            self.confirm(blob.blob_id, blob.size)
        }
        .boxed()
    }

    fn commit<'a>(&'a self, request: &'a CommitRequest) -> BoxFuture<'a, FsResult<Committed>> {
        async move {
            self.at(Point::Commit).await?;
            {
                let mut outside = self.outside.lock();
                let outside = &mut *outside;
                if (outside.drive.sequence, outside.drive.tag) == (request.sequence, request.tag) {
                    return Ok(Committed::Done);
                }
                if outside.drive.sequence.next() != Some(request.sequence) {
                    return Err(FsError::new(Kind::LeaseLost, "another machine committed to this drive"));
                }
                for blob in &request.certify {
                    let held = outside.pool.get(&blob.blob_id).expect("a certified blob is registered");
                    match held.confirmed {
                        Some(epoch) if epoch == outside.epoch => {}
                        Some(_) => return Ok(Committed::EpochMoved),
                        None => panic!("a blob is certified that was never uploaded"),
                    }
                }
                for blob in &request.certify {
                    outside.pool.get_mut(&blob.blob_id).unwrap().certified = true;
                    *outside.times_certified.entry(blob.blob_id).or_default() += 1;
                }
                for id in &request.delete {
                    let gone = outside.pool.remove(id).expect("a deleted pack was in the pool");
                    assert!(gone.certified, "an unfinished pack was deleted by a commit");
                }
                outside.drive.log.drain(..request.log_drop as usize);
                outside.drive.log.extend(request.log_append.iter().map(|entry| entry.to_vec()));
                outside.drive.root = request.root.or(outside.drive.root);
                outside.drive.sequence = request.sequence;
                outside.drive.tag = request.tag;
                outside.history.push(outside.drive.clone());
            }
            self.at(Point::Committed).await?;
            Ok(Committed::Done)
        }
        .boxed()
    }

    fn capacity(&self) -> Capacity {
        let outside = self.outside.lock();
        Capacity { total: outside.capacity, used: outside.used() }
    }
}

/// Slivers of the blobs that were ever stored.
pub(crate) struct Archive {
    pub(crate) outside: Arc<Mutex<Outside>>,
    /// Whether deleted blobs are served too.
    pub(crate) deleted: bool,
}

impl SliverSource for Archive {
    fn row_len(&self, size: u64) -> FsResult<u64> {
        let shards = self.outside.lock().shards;
        Ok(Params::new(shards).unwrap().sliver_length(Axis::Primary, size).unwrap() as u64)
    }

    fn size(&self, blob: [u8; 32]) -> BoxFuture<'static, FsResult<u64>> {
        let size = self.outside.lock().archive.get(&blob).map(|bytes| bytes.len() as u64);
        async move { size.ok_or_else(|| FsError::new(Kind::Unreachable, "no such blob")) }.boxed()
    }

    fn fetch(&self, blob: [u8; 32], size: u64, row: u16, _verify: bool) -> BoxFuture<'static, FsResult<Sliver>> {
        let len = self.row_len(size).unwrap() as usize;
        let mut outside = self.outside.lock();
        outside.reads += 1;
        if outside.unanswered.contains(&outside.reads) {
            return async { Err(FsError::new(Kind::Unreachable, "nobody answers (a read)")) }.boxed();
        }
        let there = self.deleted || outside.pool.contains_key(&blob);
        let bytes = outside.archive.get(&blob).filter(|_| there).cloned();
        async move {
            let bytes = bytes
                .ok_or_else(|| FsError::new(Kind::Unreachable, format!("the network has no blob {}", BlobId(blob))))?;
            let mut sliver = vec![0; len];
            let from = (usize::from(row) * len).min(bytes.len());
            let to = (from + len).min(bytes.len());
            sliver[..to - from].copy_from_slice(&bytes[from..to]);
            Ok(Sliver { bytes: sliver.into(), verified: true })
        }
        .boxed()
    }
}

/// A BLAKE3 hash of a key, and a nonce.
type Nonce = ([u8; 32], Vec<u8>);

/// Every key and nonce that sealed anything, with a hash of what came out.
#[derive(Default)]
pub(crate) struct Sealed {
    all: Mutex<BTreeMap<Nonce, [u8; 32]>>,
    twice: Mutex<BTreeSet<Nonce>>,
}

impl crate::crypto::SealObserver for Sealed {
    fn sealed(&self, key: [u8; 32], nonce: &[u8], ciphertext: [u8; 32]) {
        let before = self.all.lock().insert((key, nonce.to_vec()), ciphertext);
        if before.is_some_and(|before| before != ciphertext) {
            self.twice.lock().insert((key, nonce.to_vec()));
        }
    }
}

impl Sealed {
    /// Number of sealings, and of nonces that sealed two different things under one key.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.all.lock().len(), self.twice.lock().len())
    }
}

/// The epoch ends.
pub(crate) fn next_epoch(outside: &Mutex<Outside>) {
    outside.lock().epoch += 1;
}
