//! The journal's promises, on a disk that loses power.

pub(crate) mod power_cut;

use super::*;
use crate::crypto::MasterKey;
use crate::ids::{DriveUid, Ino, KeyEpoch, PackNo, Sequence};
use crate::seam::SeededRandom;
use crate::tree::record::{Extent, Inode, Key};
use power_cut::{Dice, PowerCut};

pub(crate) fn test_keys(drive: u8) -> Arc<KeyRing> {
    let master = MasterKey::from_bytes(&[drive; 32]);
    Arc::new(KeyRing::new(DriveUid([drive; 32]), KeyEpoch(0), master, Arc::new(SeededRandom::new(u64::from(drive)))))
}

fn open_with(disk: &PowerCut, limits: Limits) -> (Journal, Recovery) {
    Journal::open(Box::new(disk.clone()), test_keys(1), limits).unwrap()
}

fn open(disk: &PowerCut) -> (Journal, Recovery) {
    open_with(disk, Limits { bytes: 1 << 20, reserve: 1 << 16, segment: 2048 })
}

fn batch(number: u64) -> Batch {
    vec![(Key::inode(Ino(number)), Some(Record::Inode(Inode { size: number, ..Inode::default() })))]
}

fn naming(at: SpoolRef) -> Batch {
    let extent = Extent { first: 0, count: 1, place: Place::Spool { at, ranges: Vec::new(), base: None } };
    vec![(Key::extents(Ino(9), 0), Some(Record::Extents(vec![extent])))]
}

fn numbers(recovery: &Recovery) -> Vec<u64> {
    recovery.batches.iter().map(|(_, batch)| batch[0].0.owner.0).collect()
}

fn addr(offset: u64) -> ChunkAddr {
    ChunkAddr { pack: PackNo(1), offset, stored: 23, plain: 7, birth: Sequence(1) }
}

#[test]
fn batches_and_chunks_come_back_in_order_over_many_segments() {
    let disk = PowerCut::default();
    let (journal, recovery) = open(&disk);
    assert!(recovery.batches.is_empty() && recovery.lost == Lost::default());
    let mut spooled = Vec::new();
    for number in 0..100 {
        journal.append(&batch(number), Urgency::Normal).unwrap();
        let at = journal.append_data(&[number as u8; 7], Urgency::Normal).unwrap();
        spooled.push((at, number as u8));
    }
    assert!(journal.usage().segments > 5);
    for (at, byte) in &spooled {
        assert_eq!(journal.read(*at).unwrap(), [*byte; 7], "from the buffer");
    }
    journal.sync(journal.tail()).unwrap();
    for (at, byte) in &spooled {
        assert_eq!(journal.read(*at).unwrap(), [*byte; 7], "from the disk");
    }
    drop(journal);
    let (journal, recovery) = open(&disk.crash(&mut Dice::new(1)));
    assert_eq!(numbers(&recovery), (0..100).collect::<Vec<_>>());
    assert_eq!(recovery.lost, Lost::default());
    assert_eq!(journal.read(spooled[42].0).unwrap(), [42; 7]);
    assert!(recovery.batches.is_sorted_by_key(|(lsn, _)| *lsn));
}

/// Every power cut: acknowledged batches are there, unacknowledged ones only as a prefix, nothing is called damage.
#[test]
fn a_power_cut_at_every_sync_loses_nothing_acknowledged() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut disk = PowerCut::default();
        let (mut written, mut acknowledged) = (0u64, 0u64);
        for _round in 0..4 {
            let (journal, recovery) = open(&disk);
            let found = numbers(&recovery);
            assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>(), "seed {seed}");
            assert!(found.len() as u64 >= acknowledged, "seed {seed}: lost {acknowledged} > {}", found.len());
            assert!(recovery.lost.damaged.is_empty(), "seed {seed}: {:?}", recovery.lost);
            written = found.len() as u64;
            let steps = dice.roll(40);
            disk.record();
            let mut acknowledged_at = Vec::new();
            for _ in 0..steps {
                journal.append(&batch(written), Urgency::Normal).unwrap();
                written += 1;
                match dice.roll(4) {
                    0 => {
                        let before = disk.syncs();
                        journal.sync(journal.tail()).unwrap();
                        acknowledged_at.extend((before..disk.syncs()).map(|_| acknowledged));
                        acknowledged = written;
                    }
                    1 => journal.flush().unwrap(),
                    2 => drop(journal.append_data(&[7; 300], Urgency::Normal).unwrap()),
                    _ => {}
                }
            }
            for (image, acknowledged) in disk.images().into_iter().zip(acknowledged_at) {
                let (_, recovery) = open(&image.crash(&mut dice));
                let found = numbers(&recovery);
                assert!(found.len() as u64 >= acknowledged && recovery.lost.damaged.is_empty(), "seed {seed}");
                assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>(), "seed {seed}");
            }
            let crashed = disk.crash(&mut dice);
            std::mem::forget(journal);
            disk = crashed;
        }
        assert!(written >= acknowledged);
    }
}

#[test]
fn a_torn_tail_is_cut_off_and_the_journal_goes_on() {
    let disk = PowerCut::default();
    let (journal, _) = open_with(&disk, Limits::default());
    journal.append(&batch(1), Urgency::Normal).unwrap();
    journal.sync(journal.tail()).unwrap();
    journal.append(&batch(2), Urgency::Normal).unwrap();
    journal.append(&batch(3), Urgency::Normal).unwrap();
    journal.flush().unwrap();
    std::mem::forget(journal);
    let disk = disk.kill();
    let whole = disk.bytes("journal-0000000000000001").len();
    disk.tamper("journal-0000000000000001", |bytes| bytes.truncate(whole - 3));
    let (journal, recovery) = open_with(&disk, Limits::default());
    assert_eq!(numbers(&recovery), [1, 2]);
    assert!(recovery.lost.torn_bytes > 0 && recovery.lost.damaged.is_empty());
    journal.append(&batch(4), Urgency::Normal).unwrap();
    drop(journal);
    let (_, recovery) = open_with(&disk, Limits::default());
    assert_eq!(numbers(&recovery), [1, 2, 4]);
    assert_eq!(recovery.lost, Lost::default());
}

#[test]
fn a_damaged_frame_that_was_promised_is_reported_and_the_rest_kept() {
    let disk = PowerCut::default();
    let (journal, _) = open_with(&disk, Limits::default());
    let mut ends = Vec::new();
    for number in 1..=5 {
        journal.append(&batch(number), Urgency::Normal).unwrap();
        ends.push(journal.usage().bytes);
    }
    journal.sync(journal.tail()).unwrap();
    drop(journal);
    let name = "journal-0000000000000001";
    for (what, at) in [("payload", ends[1] + 60), ("header", ends[1] + 9)] {
        let disk = disk.kill();
        disk.tamper(name, |bytes| bytes[at as usize] ^= 4);
        let (_, recovery) = open_with(&disk, Limits::default());
        assert_eq!(numbers(&recovery), [1, 2, 4, 5], "{what}");
        let damage = Damage { segment: 1, offset: ends[1], bytes: ends[2] - ends[1], lsns: 3..4 };
        assert_eq!(recovery.lost, Lost { torn_bytes: 0, damaged: vec![damage] }, "{what}");
    }
    // The last frames had been promised too, and the mark after them is gone with them: it reads as a torn tail unless
    // something later says otherwise. With the mark still there it is damage.
    let at = (ends[3] + 60) as usize;
    let disk = disk.kill();
    disk.tamper(name, |bytes| bytes[at] ^= 4);
    let (_, recovery) = open_with(&disk, Limits::default());
    assert_eq!(numbers(&recovery), [1, 2, 3, 4]);
    assert_eq!(recovery.lost.damaged.len(), 1);
}

#[test]
fn any_bit_flipped_anywhere_is_noticed_or_harmless() {
    let disk = PowerCut::default();
    let (journal, _) = open_with(&disk, Limits::default());
    for number in 1..=3 {
        journal.append(&batch(number), Urgency::Normal).unwrap();
        journal.sync(journal.tail()).unwrap();
    }
    drop(journal);
    let name = "journal-0000000000000001";
    let len = disk.bytes(name).len();
    for at in 0..len {
        let disk = disk.kill();
        disk.tamper(name, |bytes| bytes[at] ^= 1 << (at % 8));
        let (_, recovery) = open_with(&disk, Limits::default());
        let whole = numbers(&recovery) == [1, 2, 3];
        assert!(whole || recovery.lost != Lost::default(), "byte {at}: {recovery:?}");
    }
}

#[test]
fn trim_drops_what_the_commit_holds_and_keeps_what_is_named_later() {
    let disk = PowerCut::default();
    let (journal, _) = open(&disk);
    let committed = journal.append_data(b"commits", Urgency::Normal).unwrap();
    let cut = journal.append(&naming(committed), Urgency::Normal).unwrap();
    let early = journal.append_data(b"a later batch names it", Urgency::Normal).unwrap();
    for number in 0..100 {
        journal.append(&batch(number), Urgency::Normal).unwrap();
    }
    let cut = Lsn(cut.0.max(journal.append(&batch(100), Urgency::Normal).unwrap().0));
    journal.append(&naming(early), Urgency::Normal).unwrap();
    let mut shared = naming(committed);
    shared[0].0.num = 1;
    journal.append(&shared, Urgency::Normal).unwrap();
    journal.put_pending(b"in flight").unwrap();
    let before = journal.usage();
    journal.trim(cut, &HashMap::from([(committed, addr(64))])).unwrap();
    assert!(journal.usage().segments < before.segments / 2, "{:?} {before:?}", journal.usage());
    assert_eq!(journal.read(early).unwrap(), b"a later batch names it");
    std::mem::forget(journal);

    let (journal, recovery) = open(&disk.crash(&mut Dice::new(3)));
    assert_eq!((recovery.cut, recovery.pending.as_deref()), (cut, Some(&b"in flight"[..])));
    assert_eq!(recovery.lost, Lost::default());
    assert_eq!(recovery.batches.len(), 2);
    let Some(Record::Extents(extents)) = &recovery.batches[1].1[0].1 else { panic!("extents") };
    assert_eq!(extents[0].chunk(0), Some(addr(64)));
    assert_eq!(journal.read(early).unwrap(), b"a later batch names it");

    journal.put_pending(b"").unwrap();
    journal.trim(journal.tail(), &HashMap::new()).unwrap();
    assert_eq!(journal.read(early).unwrap_err().kind(), Kind::Stale);
    assert!(journal.usage().segments <= 2 && journal.usage().spooled == 0, "{:?}", journal.usage());
}

#[test]
fn what_a_commit_writes_down_behind_its_cut_keeps_no_segment() {
    let disk = PowerCut::default();
    let (journal, _) = open(&disk);
    for number in 0..100 {
        journal.append(&batch(number), Urgency::Normal).unwrap();
    }
    let cut = journal.tail();
    // A commit on its way: its record, and a mark behind each sync.
    journal.sync(journal.put_pending(b"in flight").unwrap()).unwrap();
    journal.sync(journal.put_pending(b"promised").unwrap()).unwrap();
    journal.trim(cut, &HashMap::new()).unwrap();
    assert_eq!(journal.usage().segments, 1, "{:?}", journal.usage());
    drop(journal);
    let disk = disk.crash(&mut Dice::new(3));
    let (journal, recovery) = open(&disk);
    assert_eq!((recovery.batches.len(), recovery.pending.as_deref()), (0, Some(&b"promised"[..])));
    assert_eq!(recovery.lost, Lost::default());
    assert!(recovery.cut >= cut);

    // A change that came meanwhile is kept, with the segment that it lies in.
    let cut = journal.append(&batch(200), Urgency::Normal).unwrap();
    journal.append(&batch(201), Urgency::Normal).unwrap();
    journal.sync(journal.tail()).unwrap();
    journal.trim(cut, &HashMap::new()).unwrap();
    drop(journal);
    let (_, recovery) = open(&disk.crash(&mut Dice::new(4)));
    assert_eq!((numbers(&recovery), recovery.lost), (vec![201], Lost::default()));
}

#[test]
fn the_limit_is_disk_full_and_the_reserve_stays_for_removals() {
    let disk = PowerCut::default();
    let (journal, _) = open_with(&disk, Limits { bytes: 8192, reserve: 2048, segment: 4096 });
    let error = (0..).find_map(|number| journal.append(&batch(number), Urgency::Normal).err()).unwrap();
    assert_eq!(error.errno(), libc::ENOSPC);
    assert!(journal.usage().room < 256);
    journal.append(&batch(1), Urgency::Reserve).unwrap();
    journal.trim(journal.tail(), &HashMap::new()).unwrap();
    journal.append(&batch(2), Urgency::Normal).unwrap();
}

#[test]
fn what_others_leave_of_the_disk_bounds_the_room() {
    let disk = PowerCut::default();
    let (journal, _) = open_with(&disk, Limits { bytes: 64 << 20, reserve: 1 << 20, segment: 1 << 20 });
    journal.flush().unwrap();
    let all = journal.room();
    disk.leave(5 << 20);
    assert_eq!(journal.room(), all, "it has not been looked at since");
    journal.look_at_disk();
    assert_eq!(journal.room(), 4 << 20);
    journal.append_data_buffered(&[7; 100_000], Urgency::Normal).unwrap();
    let after = (4 << 20) - journal.room();
    assert!((100_000..101_000).contains(&after), "{after} bytes more are taken");
    journal.look_at_disk();
    assert_eq!((4 << 20) - journal.room(), after, "what is in the buffer is not on the disk yet");
    assert!(!journal.disk_got_room());
    disk.leave(7 << 20);
    journal.flush().unwrap();
    assert_eq!(journal.usage().room, 6 << 20);
    assert!(journal.disk_got_room() && !journal.disk_got_room(), "it is told once");
    disk.leave(u64::MAX);
    journal.look_at_disk();
    assert!(journal.disk_got_room() && journal.room() < all);
    disk.leave(all);
    journal.look_at_disk();
    assert!(!journal.disk_got_room(), "the limit was what stood in the way");
}

#[test]
fn a_full_disk_keeps_the_buffer_and_a_failed_sync_ends_all_promises() {
    let disk = PowerCut::default();
    let (journal, _) = open(&disk);
    disk.fail(true, false);
    let lsn = journal.append(&batch(1), Urgency::Normal).unwrap();
    assert_eq!(journal.sync(lsn).unwrap_err().errno(), libc::ENOSPC);
    journal.append(&batch(2), Urgency::Normal).unwrap();
    disk.fail(false, false);
    journal.sync(journal.tail()).unwrap();
    let (_, recovery) = open(&disk.crash(&mut Dice::new(1)));
    assert_eq!(numbers(&recovery), [1, 2]);

    disk.fail(false, true);
    let lsn = journal.append(&batch(3), Urgency::Normal).unwrap();
    assert_eq!(journal.sync(lsn).unwrap_err().errno(), libc::EIO);
    disk.fail(false, false);
    assert_eq!(journal.append(&batch(4), Urgency::Normal).unwrap_err().errno(), libc::EIO);
    assert_eq!(journal.sync(lsn).unwrap_err().errno(), libc::EIO);
}

#[test]
fn one_disk_sync_serves_many_callers() {
    struct Slow(PowerCut);
    impl BlockDir for Slow {
        fn open(&self, name: &str, create: bool) -> std::io::Result<Arc<dyn BlockFile>> {
            struct SlowFile(Arc<dyn BlockFile>);
            impl BlockFile for SlowFile {
                fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
                    self.0.read_at(offset, out)
                }
                fn write_at(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
                    self.0.write_at(offset, data)
                }
                fn sync(&self) -> std::io::Result<()> {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    self.0.sync()
                }
                fn len(&self) -> std::io::Result<u64> {
                    self.0.len()
                }
                fn set_len(&self, len: u64) -> std::io::Result<()> {
                    self.0.set_len(len)
                }
            }
            Ok(Arc::new(SlowFile(self.0.open(name, create)?)))
        }
        fn remove(&self, name: &str) -> std::io::Result<()> {
            self.0.remove(name)
        }
        fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
            self.0.rename(from, to)
        }
        fn list(&self) -> std::io::Result<Vec<String>> {
            self.0.list()
        }
        fn sync(&self) -> std::io::Result<()> {
            BlockDir::sync(&self.0)
        }
        fn free(&self) -> std::io::Result<u64> {
            self.0.free()
        }
    }
    let disk = PowerCut::default();
    let (journal, _) = Journal::open(Box::new(Slow(disk.clone())), test_keys(1), Limits::default()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..32 {
            let journal = &journal;
            scope.spawn(move || {
                let lsn = journal.append(&batch(number), Urgency::Normal).unwrap();
                journal.sync(lsn).unwrap();
                assert!(journal.is_durable(lsn));
            });
        }
    });
    assert!(disk.syncs() < 16, "{} disk syncs for 32 callers", disk.syncs());
}

#[test]
fn plaintext_never_reaches_the_disk() {
    let disk = PowerCut::default();
    let (journal, _) = open_with(&disk, Limits::default());
    journal.append_data(b"a marker that nobody may see", Urgency::Normal).unwrap();
    journal.sync(journal.tail()).unwrap();
    let bytes = disk.bytes("journal-0000000000000001");
    assert!(!bytes.windows(8).any(|window| b"a marker that nobody may see".windows(8).any(|part| part == window)));
}

#[test]
fn a_segment_of_a_newer_version_is_left_alone() {
    let disk = PowerCut::default();
    let (journal, _) = open_with(&disk, Limits::default());
    journal.append(&batch(1), Urgency::Normal).unwrap();
    drop(journal);
    let name = "journal-0000000000000001";
    disk.tamper(name, |bytes| {
        bytes[8] = 9;
        let check = blake3::hash(&bytes[..32]);
        bytes[32..48].copy_from_slice(&check.as_bytes()[..16]);
    });
    let before = disk.bytes(name);
    let refused = Journal::open(Box::new(disk.clone()), test_keys(1), Limits::default());
    assert!(refused.err().unwrap().to_string().contains("version 9"));
    assert_eq!(disk.bytes(name), before);
}
