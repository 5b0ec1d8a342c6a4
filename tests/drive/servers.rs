//! Servers that lie, and the chain's own rules about who may do what.

use super::world::World;
use bytes::Bytes;
use walrus_client::ClientError;
use walrus_client::executor::Request;
use walrus_client::tx::nth;
use walrusfs::drive::{CommitPlan, DriveClient, DriveName, Secrets};
use walrusfs::error::Kind;
use walrusfs::ids::Sequence;

fn plan(base: u64) -> CommitPlan {
    let payload = format!("entry {base}").into_bytes();
    CommitPlan { base: Sequence(base), log_append: vec![payload], ..CommitPlan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_state_is_never_believed() {
    let world = World::start().await;
    let one = world.machine().await;
    let drive = one.create("d").await;
    drive.commit(&plan(0)).await.unwrap();
    let old = one.faults.object(&drive.id()).await;
    drive.commit(&plan(1)).await.unwrap();

    // An open drive keeps what it has; a restarted machine refuses; the keys folder remembers, not the process.
    one.faults.replaced.lock().insert(drive.id(), old.clone());
    assert_eq!(drive.refresh().await.unwrap().sequence(), Sequence(2));
    for name in [DriveName::Label("d".to_owned()), DriveName::Id(drive.id())] {
        let error = DriveClient::open(&one.session, &name, &Secrets::default(), one.holder).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Stale, "{error}");
    }
    one.faults.replaced.lock().clear();
    assert_eq!(one.open("d").await.unwrap().state().sequence(), Sequence(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_object_is_never_believed() {
    let world = World::start().await;
    let one = world.machine().await;
    let drive = one.create("d").await;
    drive.commit(&plan(0)).await.unwrap();
    let good = one.faults.object(&drive.id()).await;
    drive.release_lease().await.unwrap();
    let fields = one.faults.object(&drive.id()).await.contents.len();
    assert!(fields < good.contents.len());
    let two = one.twin(&world, true);
    let watcher = two.open("d").await.unwrap();
    // Every byte before the lease, in a few places of each: id, format, uid, sequence, root, log, seal, slots.
    for at in (0..good.contents.len()).step_by(7) {
        let mut bytes = good.contents.to_vec();
        bytes[at] ^= 1;
        let mut lie = good.clone();
        lie.contents = Bytes::from(bytes);
        two.faults.replaced.lock().insert(drive.id(), lie);
        // A lie about the lease alone is believed (it can only delay); everything else is refused.
        match watcher.refresh().await {
            Err(error) => assert!(
                matches!(error.kind(), Kind::Corrupt | Kind::Stale | Kind::WrongKey | Kind::Posix(_)),
                "{error}"
            ),
            Ok(state) => {
                let honest = drive.state();
                assert_eq!(state.object.seal, honest.object.seal, "byte {at}");
                assert_eq!(state.object.log, honest.object.log, "byte {at}");
                assert_eq!(state.object.keys, honest.object.keys, "byte {at}");
                assert_eq!(state.object.label, honest.object.label, "byte {at}");
                assert_eq!((state.object.root, state.object.uid), (honest.object.root, honest.object.uid), "byte {at}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_is_lent_only_within_one_transaction() {
    let world = World::start().await;
    let one = world.machine().await;
    let drive = one.create("d").await;
    drive.acquire_lease(false).await.unwrap();
    let id = drive.id();
    let (package, owner, holder) = (one.session.package, one.session.owner(), one.holder.0);
    for keep_receipt in [true, false] {
        let request = Request { objects: vec![id], ..Request::default() };
        let result = one
            .session
            .executor
            .run(request, |tx| {
                let object = tx.object(&id, true)?;
                let pool_type = tx.pool_type()?;
                let arguments = vec![object, tx.pure(&0u64)?, tx.pure(holder.as_slice())?, tx.clock()?];
                let loan = tx.call(package, "drive", "take_pool", vec![pool_type], arguments)?;
                // Keeping the pool for oneself, with the receipt left over or handed along.
                let kept = if keep_receipt { vec![nth(loan, 0)] } else { vec![nth(loan, 0), nth(loan, 1)] };
                tx.transfer(kept, owner)
            })
            .await;
        let error = result.err().unwrap();
        assert!(matches!(error, ClientError::Execution { .. } | ClientError::BadAnswer { .. }), "{error}");
    }
    assert_eq!(drive.refresh().await.unwrap().pool.id, drive.state().pool.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transferred_drive_obeys_its_new_owner_and_nobody_else() {
    let world = World::start().await;
    let (alice, bob) = (world.machine().await, world.machine().await);
    let drive = alice.create("d").await;
    drive.commit(&plan(0)).await.unwrap();
    let (id, to) = (drive.id(), bob.session.owner());
    let request = Request { objects: vec![id], ..Request::default() };
    let transfer = alice.session.executor.run(request, |tx| {
        let object = tx.object(&id, true)?;
        tx.transfer(vec![object], to)
    });
    transfer.await.unwrap();

    // Bob has the object; the key file reaches him some other way.
    for file in std::fs::read_dir(alice.keys()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "key") {
            std::fs::copy(&path, bob.keys().join(path.file_name().unwrap())).unwrap();
        }
    }
    let his = bob.open("d").await.unwrap();
    his.acquire_lease(true).await.unwrap();
    assert_eq!(his.commit(&plan(1)).await.unwrap(), Sequence(2));
    let quote = his.quote_extend(2).await.unwrap();
    assert_eq!(his.extend(&quote).await.unwrap().end_epoch, quote.end_epoch);

    // Alice still reads, and changes nothing any more.
    assert_eq!(drive.refresh().await.unwrap().sequence(), Sequence(2));
    assert!(drive.commit(&plan(2)).await.is_err());
    assert!(drive.acquire_lease(true).await.is_err());
    let quote = drive.quote_extend(2).await.unwrap();
    assert!(drive.extend(&quote).await.is_err());
    assert_eq!(his.refresh().await.unwrap().sequence(), Sequence(2));
    assert!(alice.open("d").await.is_err());
}
