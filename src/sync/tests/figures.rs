//! What small changes cost at 1000 shards: bytes uploaded, and capacity taken. `cargo nextest run --cargo-profile ci --workspace --lib
//! --run-ignored only --no-capture -E 'test(sync::tests::figures)'`.

use super::*;
use crate::vfs::{SetAttr, SetTime};

/// A drive of 20,000 small files at 1000 shards, and its machine.
fn large_drive() -> (World, Machine) {
    let mut world = World::new();
    world.config.pack_target = 64 << 20;
    {
        let mut outside = world.outside.lock();
        (outside.shards, outside.capacity) = (1000, 1 << 44);
    }
    let machine = world.boot_with(PowerCut::default(), no_fault(), Duration::from_secs(86_400));
    machine.run(async {
        for n in 0..20_000 {
            put(&machine.engine, &machine.parts.vfs, &format!("f{n}"), &noise(n, 300)).await;
        }
        put(&machine.engine, &machine.parts.vfs, "large", &noise(1, 4 << 20)).await;
    });
    machine.sync();
    (world, machine)
}

/// Commits, bytes of blobs stored, and encoded bytes of the pool.
fn spent(world: &World) -> (u64, u64, u64) {
    let outside = world.outside.lock();
    let stored = outside.archive.values().map(|bytes| bytes.len() as u64).sum();
    (outside.history.len() as u64, stored, outside.used())
}

fn report(what: &str, world: &World, before: (u64, u64, u64), changed: u64) {
    let (commits, stored, used) = spent(world);
    let (commits, stored, used) = (commits - before.0, stored - before.1, used.saturating_sub(before.2));
    println!(
        "{what}: {changed} bytes changed, {commits} commits, {stored} bytes of packs ({:.1} a byte), {used} encoded bytes more in \
         the pool ({:.0} a byte)",
        stored as f64 / changed as f64,
        used as f64 / changed as f64
    );
}

#[test]
#[ignore = "prints figures and checks no promise; the head of this file has its command"]
fn a_thousand_utimens() {
    let (world, machine) = large_drive();
    let before = spent(&world);
    let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
    machine.run(async {
        let mut dice = Dice::new(1);
        for n in 0..1000 {
            let name = format!("f{}", dice.roll(20_000));
            let ino = call(engine, || vfs.lookup(ROOT, name.as_bytes())).await.unwrap().ino;
            let mtime = Some(SetTime::At(crate::tree::record::Time { secs: n, nanos: 0 }));
            call(engine, || vfs.setattr(&SUPER, ino, &SetAttr { mtime, ..SetAttr::default() })).await.unwrap();
            vfs.forget(ino, 1);
        }
    });
    machine.sync();
    // An inode with 300 bytes of content is one record of about 430 bytes.
    report("1000 random utimens", &world, before, 1000 * 430);
}

#[test]
#[ignore = "prints figures and checks no promise; the head of this file has its command"]
fn an_edit_a_minute_for_a_day() {
    let (world, machine) = large_drive();
    let before = spent(&world);
    let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
    machine.run(async {
        let mut dice = Dice::new(2);
        let ino = call(engine, || vfs.lookup(ROOT, b"large")).await.unwrap().ino;
        for n in 0..1440 {
            let at = dice.roll((4 << 20) - 1024);
            call(engine, || vfs.write(ino, at, &noise(n, 1024), WriteFlags::default())).await.unwrap();
            // The pipeline waits for company by the clock of the machine, not by the paused one: a commit a minute is asked for.
            engine.sync().await.unwrap();
        }
    });
    machine.sync();
    report("an edit of 1 KiB a minute for a day", &world, before, 1440 * 1024);
    assert_eq!(machine.engine.status().problem, None);
}
