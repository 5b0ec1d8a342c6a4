//! Ways to open a drive.

use super::world::{CAPACITY, World};
use walrusfs::crypto::slots::{Argon2Cost, KeyFile, Passphrase, SlotSecret};
use walrusfs::drive::{CommitPlan, CreateOptions, DriveClient, DriveName, Secrets};
use walrusfs::error::Kind;
use walrusfs::ids::{KeyEpoch, Sequence};
use walrusfs::seam::OsRandom;

fn passphrase(text: &str) -> SlotSecret {
    SlotSecret::Passphrase(Passphrase::new(text).unwrap(), Argon2Cost::FLOOR)
}

fn named(label: &str) -> DriveName {
    DriveName::Label(label.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_added_and_removed_and_keys_rotate() {
    let world = World::start().await;
    let one = world.machine().await;
    let drive = one.create("d").await;
    let words = "orbit velvet canoe thimble static ugly";
    assert_eq!(drive.add_slot(&passphrase(words)).await.unwrap(), 1);
    assert_eq!(drive.state().sequence(), Sequence(1));

    // A machine with the wallet alone opens it with the passphrase, and not with a wrong one.
    let two = one.twin(&world, false);
    let wrong = Secrets(vec![passphrase("orbit velvet canoe thimble static")]);
    let id = DriveName::Id(drive.id());
    let refused = DriveClient::open(&two.session, &id, &wrong, two.holder).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::WrongKey, "{refused}");
    let nothing = DriveClient::open(&two.session, &named("d"), &Secrets::default(), two.holder).await.err().unwrap();
    assert_eq!(nothing.kind(), Kind::WrongKey, "{nothing}");
    let opened =
        DriveClient::open(&two.session, &named("d"), &Secrets(vec![passphrase(words)]), two.holder).await.unwrap();
    assert_eq!(opened.state().label, "d");

    // The key file's slot goes; the passphrase still opens, the key file no more; the last slot stays.
    drive.remove_slot(0).await.unwrap();
    assert_eq!(drive.remove_slot(1).await.unwrap_err().kind(), Kind::Posix(libc::EPERM));
    assert_eq!(drive.remove_slot(7).await.unwrap_err().kind(), Kind::Posix(libc::ENOENT));
    let three = one.twin(&world, true);
    assert_eq!(three.open("d").await.err().unwrap().kind(), Kind::WrongKey);
    opened.refresh().await.unwrap();

    // After a rotation a client with the old keys must open again; what was sealed before stays readable.
    let entry = CommitPlan { base: Sequence(2), log_append: vec![b"old epoch".to_vec()], ..CommitPlan::default() };
    drive.commit(&entry).await.unwrap();
    let file = KeyFile::generate(&OsRandom);
    let secrets = [SlotSecret::KeyFile(file.clone()), passphrase(words)];
    drive.rotate_keys(&secrets).await.unwrap();
    assert_eq!(drive.keys().current(), KeyEpoch(1));
    let entry = CommitPlan { base: Sequence(4), log_append: vec![b"new epoch".to_vec()], ..CommitPlan::default() };
    drive.commit(&entry).await.unwrap();
    assert_eq!(opened.refresh().await.unwrap_err().kind(), Kind::WrongKey);
    for secret in secrets {
        let four = one.twin(&world, false);
        let again = DriveClient::open(&four.session, &named("d"), &Secrets(vec![secret]), four.holder).await.unwrap();
        assert_eq!(again.state().object.log, [b"old epoch".to_vec(), b"new epoch".to_vec()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_is_taken_once_and_a_failed_creation_leaves_no_key() {
    let world = World::start().await;
    let one = world.machine().await;
    one.create("d").await;
    let options = |capacity| CreateOptions { label: "d".to_owned(), capacity, epochs: 3, secret: None, key_file: None };
    let again = DriveClient::create(&one.session, options(CAPACITY), one.holder).await.err().unwrap();
    assert_eq!(again.kind(), Kind::Posix(libc::EEXIST), "{again}");

    let poor = world.machine().await;
    let unpayable = DriveClient::create(&poor.session, options(1 << 60), poor.holder).await.err().unwrap();
    assert_eq!(unpayable.kind(), Kind::Unfunded, "{unpayable}");
    let left = std::fs::read_dir(poor.keys())
        .unwrap()
        .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "key"));
    assert_eq!(left.count(), 0);
    assert!(poor.session.list(&Secrets::default()).await.unwrap().is_empty());
}
