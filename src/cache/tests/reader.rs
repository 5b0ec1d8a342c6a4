//! The reader over a network of one blob.

use super::*;
use crate::cache::CacheConfig;
use std::time::Duration;

const ROW: u64 = 1000;

/// A network of one blob whose byte `i` is `i as u8`; counts fetches, and can serve wrong bytes to those who do not
/// verify.
#[derive(Default)]
struct Net {
    fetches: AtomicU64,
    ended: AtomicU64,
    lies: bool,
    down: bool,
    slow: bool,
}

impl SliverSource for Arc<Net> {
    fn row_len(&self, _: u64) -> FsResult<u64> {
        Ok(ROW)
    }

    fn size(&self, _: [u8; 32]) -> BoxFuture<'static, FsResult<u64>> {
        async { Ok(10_000) }.boxed()
    }

    fn fetch(&self, _: [u8; 32], _: u64, row: u16, verify: bool) -> BoxFuture<'static, FsResult<Sliver>> {
        let net = Arc::clone(self);
        async move {
            net.fetches.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(if net.slow { 300 } else { 5 })).await;
            net.ended.fetch_add(1, Ordering::SeqCst);
            if net.down {
                return Err(FsError::new(Kind::Unreachable, "nobody answers"));
            }
            let wrong = u64::from(net.lies && !verify);
            let bytes: Vec<u8> = (0..ROW).map(|i| (u64::from(row) * ROW + i + wrong) as u8).collect();
            Ok(Sliver { bytes: bytes.into(), verified: verify })
        }
        .boxed()
    }
}

fn reader(net: Net) -> (PackReader, Arc<Net>) {
    let net = Arc::new(net);
    let cache = SliverCache::open(&CacheConfig { dir: None, ..CacheConfig::default() });
    (PackReader::new(Arc::new(Arc::clone(&net)), cache), net)
}

/// A reader that keeps slivers on disk and none in memory, with the folder that they lie in.
fn reader_on_disk() -> (PackReader, Arc<Net>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config =
        CacheConfig { dir: Some(dir.path().to_owned()), memory_bytes: 0, disk_min_free: 0, ..CacheConfig::default() };
    let net = Arc::new(Net::default());
    (PackReader::new(Arc::new(Arc::clone(&net)), SliverCache::open(&config)), net, dir)
}

fn expected(range: Range<u64>) -> Vec<u8> {
    range.map(|i| i as u8).collect()
}

#[tokio::test]
async fn ranges_across_rows_are_the_blobs_bytes() {
    let (reader, _) = reader(Net::default());
    for range in [0..1, 0..1000, 999..1001, 1500..4500, 9_999..10_000, 5..5] {
        let got = reader.read([1; 32], 10_000, range.clone(), Check::Tag).await.unwrap();
        assert_eq!(got, expected(range));
    }
    let outside = reader.read([1; 32], 10_000, 9_999..10_001, Check::Tag).await.unwrap_err();
    assert_eq!(outside.kind(), Kind::Corrupt);
}

#[tokio::test]
async fn many_readers_of_one_sliver_share_one_fetch() {
    let (reader, net) = reader(Net::default());
    let reads = (0..64).map(|i| reader.read([1; 32], 10_000, i * 10..i * 10 + 10, Check::Tag));
    try_join_all(reads).await.unwrap();
    assert_eq!(net.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_unverified_sliver_never_serves_a_reader_without_a_tag() {
    let (reader, _) = reader(Net { lies: true, ..Net::default() });
    let wrong = reader.read([1; 32], 10_000, 0..10, Check::Tag).await.unwrap();
    assert_ne!(wrong, expected(0..10), "the tag is the reader's to check");
    let right = reader.read([1; 32], 10_000, 0..10, Check::Hash).await.unwrap();
    assert_eq!(right, expected(0..10));
    let cached = reader.read([1; 32], 10_000, 0..10, Check::Tag).await.unwrap();
    assert_eq!(cached, expected(0..10), "the verified one took the other's place");
}

fn pack(size: u64) -> PackRef {
    PackRef { blob_id: [1; 32], size: Some(size), salt: [0; 32], key_epoch: crate::ids::KeyEpoch(0) }
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_any_more_is_broken_off_and_others_go_on() {
    let (reader, net) = reader(Net { slow: true, ..Net::default() });
    let pack = pack(10_000);
    {
        let both = futures::future::join(reader.read_ahead(&pack, 0, 10), reader.read_ahead(&pack, 5000, 10));
        let given_up = tokio::time::timeout(Duration::from_millis(50), both).await;
        assert!(given_up.is_err(), "the network takes longer");
    }
    // Row 7 is wanted by a stream that seeks away and by a program.
    let program = reader.clone();
    let program = tokio::spawn(async move { program.read([1; 32], 10_000, 7000..7010, Check::Tag).await });
    while net.fetches.load(Ordering::SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let given_up = tokio::time::timeout(Duration::from_millis(50), reader.read_ahead(&pack, 7500, 10)).await;
    assert!(given_up.is_err());
    assert_eq!(program.await.unwrap().unwrap(), expected(7000..7010));
    assert_eq!((net.fetches.load(Ordering::SeqCst), net.ended.load(Ordering::SeqCst)), (3, 1));
    let stats = reader.stats();
    assert_eq!((stats.fetched, stats.fetched_ahead, stats.cancelled), (1, 2, 2));
    // What was broken off can be asked for again.
    assert_eq!(reader.read([1; 32], 10_000, 0..10, Check::Tag).await.unwrap(), expected(0..10));
}

#[tokio::test]
async fn bytes_are_counted_by_where_they_came_from() {
    let (reader, _, _dir) = reader_on_disk();
    let pack = pack(10_000);
    assert_eq!(reader.read([1; 32], 10_000, 500..1500, Check::Tag).await.unwrap(), expected(500..1500));
    reader.settle().await;
    assert_eq!(reader.local(&pack, 500, 1000).unwrap(), expected(500..1500));
    assert!(reader.local(&pack, 1999, 2).is_none(), "half of it is not here");
    assert!(reader.local(&pack, 9_999, 2).is_none(), "beyond the end");
    let stats = reader.stats();
    assert_eq!((stats.cache.misses, stats.fetched, stats.fetched_bytes), (2, 2, 2000));
    assert_eq!((stats.cache.memory_hits, stats.cache.memory_read_bytes), (0, 0));
    assert_eq!(stats.cache.disk_hits, 3);
}

#[tokio::test]
async fn a_reader_that_cannot_wait_gets_what_is_in_memory() {
    let (reader, net) = reader(Net::default());
    let pack = pack(10_000);
    assert!(reader.at_hand(&pack, 500, 1000).is_none());
    assert_eq!(net.fetches.load(Ordering::SeqCst), 0);
    reader.read([1; 32], 10_000, 500..1500, Check::Tag).await.unwrap();
    assert_eq!(reader.at_hand(&pack, 500, 1000).unwrap(), expected(500..1500), "the cache's own memory");
    assert!(reader.at_hand(&pack, 1999, 2).is_none(), "half of it is not here");
    assert!(reader.at_hand(&pack, 9_999, 2).is_none(), "beyond the end");
    let nowhere = reader.without_waiting().read(&pack, 5000, 10).now_or_never().unwrap();
    assert_eq!(nowhere.unwrap_err().kind(), Kind::Unreachable);

    let (reader, _, _dir) = reader_on_disk();
    reader.read([1; 32], 10_000, 500..1500, Check::Tag).await.unwrap();
    reader.settle().await;
    assert_eq!(reader.at_hand(&pack, 500, 1000).unwrap(), expected(500..1500), "the kernel's memory");
    assert_eq!(reader.stats().cache.disk_hits, 2);
    reader.cache().clear();
    assert!(reader.at_hand(&pack, 500, 1000).is_none(), "the file is gone");
}

#[tokio::test]
async fn what_the_disk_damaged_is_found_out_by_a_tag_and_fetched_again() {
    let (reader, net, dir) = reader_on_disk();
    let pack = pack(10_000);
    let read = || reader.read([1; 32], 10_000, 500..600, Check::Hash);
    read().await.unwrap();
    reader.settle().await;
    read().await.unwrap();
    assert_eq!(net.fetches.load(Ordering::SeqCst), 1, "verified, from the disk");
    // After the file was opened and its block found right.
    let file = std::fs::read_dir(dir.path().join("01")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 1000 + 550;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_ne!(reader.local(&pack, 500, 100).unwrap(), expected(500..600), "for its reader's tag to find");
    reader.doubt(&pack, 500, 100);
    assert_eq!(read().await.unwrap(), expected(500..600));
    assert_eq!((net.fetches.load(Ordering::SeqCst), reader.stats().cache.corrupt), (2, 1));
}

#[tokio::test]
async fn warming_fetches_what_is_missing_and_nothing_else() {
    let (reader, net) = reader(Net::default());
    reader.read([1; 32], 10_000, 3000..3001, Check::Tag).await.unwrap();
    reader.warm(&pack(10_000), 2500..20_000).await.unwrap();
    assert_eq!(net.fetches.load(Ordering::SeqCst), 8, "rows 2 to 9, row 3 only once");
    assert_eq!(reader.stats().fetched_ahead, 7);
}

#[tokio::test]
async fn a_fetch_that_failed_is_tried_again_by_the_next_reader() {
    let (reader, net) = reader(Net { down: true, ..Net::default() });
    for attempt in 1..=2 {
        let error = reader.read([1; 32], 10_000, 0..10, Check::Tag).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert_eq!(net.fetches.load(Ordering::SeqCst), attempt);
    }
}

#[tokio::test]
async fn a_pack_made_here_is_read_without_the_network() {
    let (reader, net) = reader(Net::default());
    let pack: Bytes = expected(0..2500).into();
    reader.keep_pack([3; 32], pack.clone()).await.unwrap();
    assert_eq!(reader.read([3; 32], 2500, 0..2500, Check::Hash).await.unwrap(), pack);
    assert_eq!(net.fetches.load(Ordering::SeqCst), 0);
}
