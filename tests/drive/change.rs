//! Leases and commits between machines.

use super::world::{World, blob};
use std::sync::atomic::Ordering;
use walrusfs::drive::{BlobToRegister, CommitPlan, DriveClient, DriveName, MAX_APPEND, Secrets};
use walrusfs::error::Kind;
use walrusfs::ids::{KeyEpoch, Sequence};
use walrusfs::pack::RootRef;

fn plan(base: u64, tag: u8, entry: &[u8]) -> CommitPlan {
    CommitPlan { tag: [tag; 16], base: Sequence(base), log_append: vec![entry.to_vec()], ..CommitPlan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_is_created_opened_and_committed_to_from_two_machines() {
    let world = World::start().await;
    let one = world.machine().await;
    assert_eq!(one.open("media").await.err().unwrap().kind(), Kind::Posix(libc::ENOENT));
    let drive = one.create("media").await;
    assert_eq!((drive.state().sequence(), drive.state().label.as_str()), (Sequence(0), "media"));
    let listed = one.session.list(&Secrets::default()).await.unwrap();
    assert_eq!((listed.len(), listed[0].label.as_deref(), listed[0].id), (1, Some("media"), drive.id()));

    // The first change takes the lease in the same transaction.
    assert_eq!(drive.commit(&plan(0, 1, b"first")).await.unwrap(), Sequence(1));
    assert!(drive.state().is_writer(&one.holder));
    let root = RootRef { blob_id: [7; 32], offset: 48, length: 500, salt: [8; 32], key_epoch: KeyEpoch(0) };
    let second = CommitPlan { new_root: Some(root), log_drop: 1, ..plan(1, 2, &[2; 4000]) };
    assert_eq!(drive.commit(&second).await.unwrap(), Sequence(2));

    // Another machine with the same wallet and key sees it all, by label and by id.
    let two = one.twin(&world, true);
    let other = two.open("media").await.unwrap();
    let state = other.state();
    assert_eq!((state.sequence(), state.root(), state.facts.tag), (Sequence(2), Some(root), [2; 16]));
    assert_eq!(state.object.log, [vec![2; 4000]]);
    let by_id = DriveClient::open(&two.session, &DriveName::Id(drive.id()), &Secrets::default(), two.holder).await;
    assert_eq!(by_id.unwrap().state().sequence(), Sequence(2));

    // It cannot write while the first holds the lease, and what it refuses it refuses whole.
    let error = other.commit(&plan(2, 3, b"third")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::LeaseLost, "{error}");
    assert!(error.to_string().contains("lease=steal"), "{error}");
    assert_eq!(other.refresh().await.unwrap().sequence(), Sequence(2));

    // A released lease is free; then the first machine is refused, whatever it still believes.
    drive.release_lease().await.unwrap();
    assert_eq!(other.commit(&plan(2, 3, b"third")).await.unwrap(), Sequence(3));
    let error = drive.commit(&plan(2, 4, b"late")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Stale, "{error}");
    assert_eq!(drive.refresh().await.unwrap().sequence(), Sequence(3));
    assert_eq!(drive.commit(&plan(3, 5, b"late")).await.unwrap_err().kind(), Kind::LeaseLost);
    // Stealing takes it at once.
    drive.acquire_lease(true).await.unwrap();
    assert_eq!(drive.commit(&plan(3, 5, b"late")).await.unwrap(), Sequence(4));
    assert_eq!(other.renew_lease().await.unwrap_err().kind(), Kind::Stale);
    other.refresh().await.unwrap();
    assert_eq!(other.renew_lease().await.unwrap_err().kind(), Kind::LeaseLost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_got_lost_is_made_once() {
    let world = World::start().await;
    let machine = world.machine().await;
    let drive = machine.create("d").await;
    machine.faults.lost.store(usize::MAX, Ordering::SeqCst);
    let error = drive.commit(&plan(0, 1, b"once")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    // Nothing else is done while the outcome is open.
    assert_eq!(drive.commit(&plan(0, 1, b"once")).await.unwrap_err().kind(), Kind::Unreachable);
    machine.faults.lost.store(0, Ordering::SeqCst);
    // The same plan is recognised, another one is not mistaken for it.
    assert_eq!(drive.commit(&plan(0, 2, b"other")).await.unwrap_err().kind(), Kind::Stale);
    assert_eq!(drive.commit(&plan(0, 1, b"once")).await.unwrap(), Sequence(1));
    let state = drive.refresh().await.unwrap();
    assert_eq!((state.sequence(), state.object.log.len()), (Sequence(1), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packs_are_registered_once_certified_with_the_commit_and_swept_only_as_orphans() {
    let world = World::start().await;
    let machine = world.machine().await;
    let drive = machine.create("d").await;
    let blobs = [blob(1), blob(2), blob(3)];
    let registered = drive.register(&blobs).await.unwrap();
    assert_eq!(registered.iter().map(|b| b.blob_id).collect::<Vec<_>>(), blobs.map(|b| b.blob_id));
    let pool = drive.state().pool;
    assert_eq!(pool.blobs, 3);
    // Again: the same objects, nothing paid.
    let before = machine.session.executor.balances().await.unwrap();
    assert_eq!(drive.register(&blobs).await.unwrap(), registered);
    assert_eq!(machine.session.executor.balances().await.unwrap(), before);

    // The commit certifies two; a bad certificate would have stopped it whole.
    let mut certify: Vec<_> = registered[..2].iter().map(|blob| world.certify(blob.blob_id, blob.object_id)).collect();
    let mut forged = CommitPlan { certify: certify.clone(), ..plan(0, 1, b"with packs") };
    forged.certify[1].certificate.signature = forged.certify[0].certificate.signature;
    assert!(drive.commit(&forged).await.is_err());
    assert_eq!(drive.refresh().await.unwrap().sequence(), Sequence(0));
    let good = CommitPlan { certify: std::mem::take(&mut certify), ..plan(0, 1, b"with packs") };
    assert_eq!(drive.commit(&good).await.unwrap(), Sequence(1));
    let ids = blobs.map(|b| b.blob_id);
    let known: Vec<bool> = drive.pooled(&ids).await.unwrap().into_iter().map(|b| b.unwrap().certified).collect();
    assert_eq!(known, [true, true, false]);

    // Only the third is an orphan.
    assert_eq!(drive.sweep_orphans(&ids).await.unwrap(), 1);
    assert_eq!(drive.sweep_orphans(&ids).await.unwrap(), 0);
    assert_eq!(drive.state().pool.blobs, 2);
    // A commit deletes, and the capacity comes back.
    let used = drive.state().pool.used;
    let plan = CommitPlan { delete: vec![ids[0]], ..plan(1, 2, b"less") };
    assert_eq!(drive.commit(&plan).await.unwrap(), Sequence(2));
    assert_eq!(drive.pooled(&ids).await.unwrap().iter().flatten().count(), 1);
    assert_eq!(drive.state().pool.used, used / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_before_it_is_sent() {
    let world = World::start().await;
    let machine = world.machine().await;
    let drive = machine.create("d").await;
    let balances = machine.session.executor.balances().await.unwrap();
    let long = CommitPlan { log_append: vec![vec![0; MAX_APPEND + 1]], ..plan(0, 1, b"") };
    let much = CommitPlan { log_append: vec![vec![0; 4000]; 4], ..plan(0, 1, b"") };
    let drop = CommitPlan { log_drop: 1, ..plan(0, 1, b"") };
    for plan in [long, much, drop] {
        assert_eq!(drive.commit(&plan).await.unwrap_err().kind(), Kind::Internal);
    }
    let large = |seed| BlobToRegister { size: 7_000_000, ..blob(seed) };
    assert_eq!(drive.register(&[large(1), large(2), large(3)]).await.unwrap_err().kind(), Kind::PoolFull);
    assert_eq!(machine.session.executor.balances().await.unwrap(), balances);
    // The log's largest entry fits, and the next one only when something is dropped.
    let full = CommitPlan { log_append: vec![vec![1; MAX_APPEND]], ..plan(0, 1, b"") };
    assert_eq!(drive.commit(&full).await.unwrap(), Sequence(1));
    let more = CommitPlan { base: Sequence(1), tag: [2; 16], ..full.clone() };
    assert_eq!(drive.commit(&more).await.unwrap_err().kind(), Kind::Internal);
    assert_eq!(drive.commit(&CommitPlan { log_drop: 1, ..more }).await.unwrap(), Sequence(2));
}
