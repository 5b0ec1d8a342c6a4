//! Who waits for room in the journal, and how long.

use super::ahead::Reading;
use super::*;
use crate::vfs::Needs;
use tokio::time::{Instant, sleep};

fn room(seen: u64) -> Needs {
    Needs { space: Some(seen), ..Needs::default() }
}

/// S-FULL-2
#[test]
fn a_write_waits_as_long_as_slivers_arrive_and_no_longer() {
    let reading = Reading::new(1 << 20);
    let (vfs, loader) = (&reading.parts.vfs, &reading.loader);
    reading.rt.block_on(async {
        let seen = vfs.times_freed();
        // A sliver every 25 seconds, for ten minutes.
        let arrives = async {
            for _ in 0..24 {
                sleep(Duration::from_secs(25)).await;
                vfs.gets_on();
            }
            vfs.room_came();
            Instant::now()
        };
        let (waited, freed) = tokio::join!(loader.load(room(seen)), arrives);
        waited.unwrap();
        assert!(freed.elapsed() < Duration::from_millis(1));

        let begun = Instant::now();
        let (waited, ()) = tokio::join!(loader.load(room(vfs.times_freed())), async {
            sleep(Duration::from_secs(10)).await;
            vfs.gets_on();
        });
        assert_eq!(waited.unwrap_err().kind(), Kind::DiskFull);
        let patience = begun.elapsed();
        assert!((30..=60).contains(&patience.as_secs()), "{patience:?} though nothing arrived after 10 s");
    });
}

/// S-FULL-2. The commit ended between the failed append and the waiting.
#[test]
fn room_that_came_before_the_waiting_is_not_missed() {
    let reading = Reading::new(1 << 20);
    let vfs = &reading.parts.vfs;
    reading.rt.block_on(async {
        let seen = vfs.times_freed();
        vfs.room_came();
        let begun = Instant::now();
        reading.loader.load(room(seen)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(1));
    });
}

/// S-FULL-2. Whoever takes the mount away does not wait for a slow network.
#[test]
fn nobody_waits_for_room_when_the_mount_has_to_go() {
    let reading = Reading::new(1 << 20);
    let vfs = &reading.parts.vfs;
    reading.rt.block_on(async {
        let begun = Instant::now();
        let (waited, ()) = tokio::join!(reading.loader.load(room(vfs.times_freed())), async {
            sleep(Duration::from_secs(10)).await;
            vfs.hurry(true);
        });
        assert_eq!(waited.unwrap_err().kind(), Kind::DiskFull);
        assert_eq!(begun.elapsed().as_secs(), 10);
        assert!(reading.loader.load(room(vfs.times_freed())).await.is_err());
        vfs.hurry(false);
        let (waited, ()) = tokio::join!(reading.loader.load(room(vfs.times_freed())), async { vfs.room_came() });
        waited.unwrap();
    });
}

/// S-FULL-2. No pack is full and the time is not over: a commit comes because a write waits for it.
#[test]
fn a_full_journal_is_committed_at_once() {
    let mut world = World::new();
    world.limits = Limits { bytes: 1 << 20, reserve: 1 << 18, segment: 1 << 16 };
    (world.config.pack_target, world.config.interval) = (1 << 30, Duration::from_secs(1 << 20));
    let machine = world.boot(PowerCut::default(), no_fault());
    machine.run(async {
        // Commits take time of this machine's, and who waits for room does not wait for ever.
        tokio::time::resume();
        for number in 0..40 {
            replace(&machine.engine, &machine.parts.vfs, number).await.unwrap();
        }
    });
    assert!(world.outside.lock().history.len() > 2, "all of it fitted");
}
