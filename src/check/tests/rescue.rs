//! Drives whose root, or the way to their pack table, is lost.

use super::tree::{is_somewhere, leaves, spoil, units};
use super::*;
use crate::pack::UnitKind;
use crate::vfs::SetAttr;

/// Makes the drive's root unreadable; says in which blob it lies.
fn spoil_root(patient: &Patient) -> [u8; 32] {
    let root = patient.world.outside.lock().drive.root.unwrap();
    spoil(patient, root.blob_id, root.offset);
    root.blob_id
}

fn assert_mended(patient: &mut Patient, mended: &Mended) {
    let left = |report: &Report| {
        report.findings.iter().filter(|finding| finding.fault.is_mendable()).cloned().collect::<Vec<_>>()
    };
    assert_eq!(left(&mended.after), Vec::new());
    patient.world.opener = World::new().opener;
    patient.world.config.on_demand = false;
    patient.again();
    assert_eq!(left(&patient.check(true)), Vec::new());
    // The drive is used on.
    patient.file(ROOT, "", "after", b"work goes on");
    patient.machine().sync();
    patient.again();
    assert_eq!(patient.read("after").unwrap(), b"work goes on");
}

/// Changes after the last checkpoint, small enough for the Drive's log: a new file, one removed, one shortened.
fn change_a_little(patient: &mut Patient) {
    let before = patient.world.outside.lock().drive.root.unwrap();
    patient.file(ROOT, "", "late", b"in the log");
    let machine = patient.machine();
    let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
    machine.run(async {
        call(engine, || vfs.unlink(ROOT, b"f3")).await.unwrap();
        let long = call(engine, || vfs.lookup(ROOT, b"f2")).await.unwrap().ino;
        let shorter = SetAttr { size: Some(1000), ..SetAttr::default() };
        call(engine, || vfs.setattr(&SUPER, long, &shorter)).await.unwrap();
        vfs.forget(long, 1);
    });
    machine.sync();
    patient.files.remove("f3");
    patient.files.get_mut("f2").unwrap().truncate(1000);
    let drive = patient.world.outside.lock().drive.clone();
    assert!(drive.root.unwrap() == before && !drive.log.is_empty(), "a checkpoint where a log entry was wanted");
}

#[test]
fn a_drive_without_its_root_loses_nothing_when_the_nodes_are_there() {
    for many in [10, 2500] {
        let mut patient = Patient::new(many);
        spoil_root(&patient);
        patient.again_damaged();
        let faults = patient.faults(false);
        assert!(matches!(faults[0], Fault::LostRoot { gaps: 0, .. }), "{faults:?}");
        let mended = patient.mend(false);
        assert_mended(&mut patient, &mended);
        assert_eq!(patient.damaged(), Vec::<String>::new(), "{mended:#?}");
        assert!(patient.read("lost+found").is_none() && patient.ino("lost+found").is_none());
    }
}

#[test]
fn what_the_log_says_stands_above_a_lost_root() {
    let mut patient = Patient::new(200);
    change_a_little(&mut patient);
    spoil_root(&patient);
    patient.again_damaged();
    let mended = patient.mend(false);
    assert_mended(&mut patient, &mended);
    assert_eq!(patient.damaged(), Vec::<String>::new(), "{mended:#?}");
    assert_eq!(patient.ino("f3"), None, "what was removed stays removed");
    assert_eq!(patient.ino("lost+found"), None);
}

#[test]
fn without_the_newest_nodes_all_content_is_still_found() {
    let mut patient = Patient::new(200);
    // A checkpoint of its own, so that an older one remains.
    let dir = patient.mkdir(ROOT, "newer");
    let before = patient.world.outside.lock().drive.root.unwrap();
    for nth in 0..6 {
        patient.file(dir, "newer/", &format!("n{nth}"), &noise(nth + 500, 90_000));
    }
    for nth in 0..200 {
        patient.file(dir, "newer/", &format!("small-{nth}"), &noise(nth + 700, 200));
    }
    patient.machine().sync();
    let root = patient.world.outside.lock().drive.root.unwrap();
    assert!(root.blob_id != before.blob_id, "a log entry where a checkpoint was wanted");
    let nodes: Vec<u64> = [UnitKind::Root, UnitKind::Node, UnitKind::Run]
        .into_iter()
        .flat_map(|kind| units(&patient, kind))
        .filter(|(blob, _, _)| *blob == root.blob_id)
        .map(|(_, offset, _)| offset)
        .collect();
    assert!(nodes.len() >= 2);
    for offset in nodes {
        spoil(&patient, root.blob_id, offset);
    }
    patient.again_damaged();
    let mended = patient.mend(false);
    assert_mended(&mut patient, &mended);
    let lost = patient.damaged();
    // The copy stood in the Drive's log until the newest checkpoint took it in.
    assert!(
        lost.iter().all(|path| path.starts_with("newer/") || path == "copy"),
        "older commits are whole: {lost:?} {mended:#?}"
    );
    for path in lost {
        let content = patient.files[&path].clone();
        if content.len() <= 2048 {
            // It lay in its inode, and is gone with the node.
            continue;
        }
        assert!(is_somewhere(&patient, &content), "{path} is gone: {mended:#?}");
    }
}

#[test]
fn without_the_pack_of_the_root_the_rest_is_found() {
    let mut patient = Patient::new(200);
    let root = patient.world.outside.lock().drive.root.unwrap();
    let inside: Vec<([u8; 32], u64, u32)> =
        units(&patient, UnitKind::Chunk).into_iter().filter(|(blob, _, _)| *blob == root.blob_id).collect();
    {
        let mut outside = patient.world.outside.lock();
        outside.pool.remove(&root.blob_id);
        outside.archive.remove(&root.blob_id);
    }
    patient.again_damaged();
    let mended = patient.mend(false);
    assert_mended(&mut patient, &mended);
    let gone = patient.damaged().into_iter().filter(|path| patient.files[path].len() > 2048);
    let gone = gone.filter(|path| !is_somewhere(&patient, &patient.files[path])).count();
    assert!(gone <= inside.len(), "{gone} files are gone, {} chunks lay in the pack: {mended:#?}", inside.len());
}

#[test]
fn a_drive_opens_without_any_one_node() {
    let whole = Patient::new(2500);
    let nodes = leaves(&whole).len();
    let mut unopenable = 0;
    for nth in 0..nodes {
        let mut patient = Patient::new(2500);
        let (blob, offset) = leaves(&patient)[nth];
        spoil(&patient, blob, offset);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| patient.again())).is_err();
        if !failed {
            continue;
        }
        unopenable += 1;
        patient.again_damaged();
        let mended = patient.mend(false);
        assert!(mended.before.findings.iter().any(|found| matches!(found.fault, Fault::LostNode { table: true, .. })));
        assert_mended(&mut patient, &mended);
        assert_eq!(patient.damaged(), Vec::<String>::new(), "only the table is lost: {mended:#?}");
    }
    assert!(unopenable > 0, "no node was needed to open the drive");
}

#[test]
fn what_is_in_the_journal_stands_above_a_lost_root() {
    let mut patient = Patient::new(10);
    patient.file(ROOT, "", "journalled", &noise(7, 200_000));
    patient.file(ROOT, "", "small", b"inline");
    {
        let machine = patient.machine();
        let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
        machine.run(async {
            let f4 = call(engine, || vfs.lookup(ROOT, b"f4")).await.unwrap().ino;
            call(engine, || vfs.write(f4, 70_000, &noise(8, 1000), WriteFlags::default())).await.unwrap();
            vfs.forget(f4, 1);
            engine.flush().await.unwrap();
        });
    }
    patient.files.get_mut("f4").unwrap()[70_000..71_000].copy_from_slice(&noise(8, 1000));
    patient.files.get_mut("dir/hard").unwrap()[70_000..71_000].copy_from_slice(&noise(8, 1000));
    let disk = patient.machine().disk.kill();
    patient.machine = None;
    spoil_root(&patient);
    patient.open_damaged();
    patient.machine = Some(patient.world.boot_with(disk, no_fault(), KEPT));
    let mended = patient.mend(false);
    assert_mended(&mut patient, &mended);
    assert_eq!(patient.damaged(), Vec::<String>::new(), "{mended:#?}");
}
