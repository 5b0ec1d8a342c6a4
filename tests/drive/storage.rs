//! The drive's storage pool: prices, more of it, for longer, a new one.

use super::world::{CAPACITY, World, blob};
use walrusfs::drive::Quote;
use walrusfs::error::Kind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_costs_what_was_shown_and_nothing_else() {
    let world = World::start().await;
    let machine = world.machine().await;
    let shown = machine.session.quote_create(CAPACITY, 3).await.unwrap();
    // 64 units of 1 MiB, three epochs, at the local network's price.
    assert_eq!((shown.frost, shown.end_epoch), (64 * 3 * 100_000, 4));
    let (_, before) = machine.session.executor.balances().await.unwrap();
    let drive = machine.create("d").await;
    let (_, after) = machine.session.executor.balances().await.unwrap();
    assert_eq!(before - after, shown.frost);
    assert_eq!((drive.state().pool.capacity, drive.state().pool.end_epoch), (CAPACITY, 4));

    let shown = drive.quote_extend(2).await.unwrap();
    assert_eq!((shown.frost, shown.end_epoch), (64 * 2 * 100_000, 6));
    assert_eq!(drive.extend(&shown).await.unwrap().end_epoch, 6);
    // The same quote again is not what would be paid now.
    assert_eq!(drive.extend(&shown).await.unwrap_err().kind(), Kind::Posix(libc::EAGAIN));

    let shown = drive.quote_resize(CAPACITY + (10 << 20)).await.unwrap();
    assert_eq!(shown.frost, 10 * 5 * 100_000);
    assert_eq!(drive.resize(&shown).await.unwrap().capacity, CAPACITY + (10 << 20));
    let (_, paid) = machine.session.executor.balances().await.unwrap();
    assert_eq!(after - paid, (64 * 2 + 10 * 5) * 100_000);

    assert_eq!(drive.quote_resize(CAPACITY).await.unwrap_err().kind(), Kind::Posix(libc::EINVAL));
    assert_eq!(drive.quote_extend(0).await.unwrap_err().kind(), Kind::Posix(libc::EINVAL));
    assert_eq!(drive.quote_extend(1000).await.unwrap_err().kind(), Kind::Posix(libc::EINVAL));
    let cheaper = Quote { frost: shown.frost - 1, ..shown };
    assert_eq!(drive.resize(&cheaper).await.unwrap_err().kind(), Kind::Posix(libc::EAGAIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_pool_takes_the_place_of_the_old_one() {
    let world = World::start().await;
    let machine = world.machine().await;
    let drive = machine.create("d").await;
    drive.register(&[blob(1)]).await.unwrap();
    let old = drive.state().pool;
    let shown = machine.session.quote_create(2 * CAPACITY, 5).await.unwrap();
    let new = drive.replace_pool(&shown).await.unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!((new.used, new.capacity, new.end_epoch), (0, 2 * CAPACITY, shown.end_epoch));
    // The new pool knows nothing of what the old one held.
    assert_eq!(drive.pooled(&[blob(1).blob_id]).await.unwrap(), [None]);
    drive.register(&[blob(1), blob(2)]).await.unwrap();
    assert_eq!(drive.state().pool.blobs, 2);
    assert_eq!(drive.refresh().await.unwrap().pool.id, new.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_pool_takes_nothing_and_a_new_one_takes_its_place() {
    let world = World::start().await;
    let machine = world.machine().await;
    let drive = machine.create("d").await;
    drive.register(&[blob(1)]).await.unwrap();
    for _ in 0..3 {
        world.chain.advance_epoch().await.unwrap();
    }
    machine.session.chain().refresh().await.unwrap();
    assert_eq!(drive.quote_extend(1).await.unwrap_err().kind(), Kind::PoolFull);
    let full = drive.register(&[blob(2)]).await.unwrap_err();
    assert_eq!(full.kind(), Kind::PoolFull, "{full}");

    let shown = machine.session.quote_create(CAPACITY, 5).await.unwrap();
    let old = drive.state().pool;
    let new = drive.replace_pool(&shown).await.unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!((new.used, new.end_epoch), (0, shown.end_epoch));
    drive.register(&[blob(1), blob(2)]).await.unwrap();
    assert_eq!(drive.state().pool.blobs, 2);
}
