//! Nodes of the tree that cannot be read.

use super::*;
use crate::ids::PackNo;
use crate::pack::{PackRef, UnitKind, read_header, read_index};
use crate::tree::record::PackEntry;
use bytes::Bytes;
use std::panic::AssertUnwindSafe;

/// Every unit of `kind` in the packs of the pool: blob, offset and sealed length.
pub(super) fn units(patient: &Patient, kind: UnitKind) -> Vec<([u8; 32], u64, u32)> {
    let blobs: Vec<([u8; 32], u64)> = {
        let outside = patient.world.outside.lock();
        outside.pool.keys().filter_map(|id| Some((*id, outside.archive.get(id)?.len() as u64))).collect()
    };
    patient.with(|subject| {
        async move {
            let mut found = Vec::new();
            for (blob_id, size) in blobs {
                let unopened = PackRef { blob_id, size: Some(size), salt: [0; 32], key_epoch: crate::ids::KeyEpoch(0) };
                let (key_epoch, salt) = read_header(subject.source, &unopened).await.unwrap();
                let pack = PackRef { salt, key_epoch, ..unopened };
                for entry in read_index(subject.source, &pack, subject.keys).await.unwrap() {
                    if entry.kind == kind {
                        found.push((blob_id, entry.addr.offset, entry.addr.stored));
                    }
                }
            }
            found
        }
        .boxed_local()
    })
}

/// Changes a byte of a blob on the nodes.
pub(super) fn spoil(patient: &Patient, blob: [u8; 32], offset: u64) {
    let mut outside = patient.world.outside.lock();
    let bytes = outside.archive.get_mut(&blob).unwrap();
    let mut spoiled = bytes.to_vec();
    spoiled[offset as usize + 3] ^= 1;
    *bytes = Bytes::from(spoiled);
}

/// The units of the tree that the newest root reaches, leaves of `table` or of files.
pub(super) fn leaves(patient: &Patient) -> Vec<([u8; 32], u64)> {
    let packs: BTreeMap<u64, PackEntry> = patient
        .keys(Space::Table)
        .into_iter()
        .filter_map(|(key, record)| match record {
            Record::Pack(entry) => Some((key.num, entry)),
            _ => None,
        })
        .collect();
    let all = [units(patient, UnitKind::Node), units(patient, UnitKind::Run)].concat();
    let named =
        all.into_iter().filter(|(blob, _, _)| packs.values().any(|entry| entry.blob_id == *blob && entry.live > 0));
    named.map(|(blob, offset, _)| (blob, offset)).collect()
}

#[test]
fn a_lost_node_is_found_and_content_comes_back_from_the_packs() {
    let whole = Patient::new(2500);
    let nodes = leaves(&whole);
    assert!(nodes.len() > 8, "{} nodes: too few to prove anything", nodes.len());
    let (mut mended_with_loss, mut in_use, mut unopenable) = (0, 0, 0);
    for nth in 0..nodes.len() {
        let mut patient = Patient::new(2500);
        let (blob, offset) = leaves(&patient)[nth];
        spoil(&patient, blob, offset);
        // Without the node that holds the next pack's number only a check opens the drive (see `rescue`).
        if std::panic::catch_unwind(AssertUnwindSafe(|| patient.again())).is_err() {
            unopenable += 1;
            continue;
        }
        let faults = patient.faults(false);
        if faults.is_empty() {
            // A node that no root reaches any more.
            continue;
        }
        in_use += 1;
        assert!(
            matches!(faults[0], Fault::LostNode { .. }) || faults.iter().any(|f| matches!(f, Fault::LostNode { .. })),
            "{faults:?}"
        );
        let mended = patient.mend(false);
        assert!(
            mended.after.findings.iter().all(|finding| !finding.fault.is_mendable()),
            "{:#?}",
            mended.after.findings
        );
        patient.again();
        let after = patient.check(true);
        assert!(after.findings.iter().all(|finding| !finding.fault.is_mendable()), "{:#?}", after.findings);
        // What has chunks is not lost: it is under its name or, by its inode, in lost+found.
        let contents: Vec<Vec<u8>> =
            patient.damaged().iter().filter_map(|path| patient.files.get(path).cloned()).collect();
        let large: Vec<&Vec<u8>> = contents.iter().filter(|content| content.len() > 2048).collect();
        mended_with_loss += usize::from(!contents.is_empty());
        for content in large {
            let found = is_somewhere(&patient, content);
            assert!(found, "node {nth}: a file of {} bytes is gone: {mended:#?}", content.len());
        }
        // The drive is used on.
        patient.file(ROOT, "", "after", b"work goes on");
        patient.machine().sync();
        patient.again();
        assert_eq!(patient.read("after").unwrap(), b"work goes on");
    }
    assert!(unopenable <= 2, "{unopenable} nodes without which the drive does not open");
    assert!(in_use > 5 && mended_with_loss > 0, "{in_use} nodes in use, {mended_with_loss} with losses");
}

/// Whether some file has this content: under its name, in `lost+found` or in a directory that is there. A copy shares the chunks
/// of another file, and packs know them by the other's inode.
pub(super) fn is_somewhere(patient: &Patient, content: &[u8]) -> bool {
    let machine = patient.machine();
    let files = patient.keys(Space::Files).into_iter().filter_map(|(key, record)| match record {
        Record::Inode(inode) if inode.size == content.len() as u64 && inode.nlink > 0 => Some(key.owner),
        _ => None,
    });
    // The check was clean, so every inode has a name that leads to it. Without its inode a file ends where its last chunk does.
    files.into_iter().any(|ino| {
        let read = machine.run(call(&machine.engine, || machine.parts.vfs.read(ino, 0, 1 << 20)));
        read.is_ok_and(|found| found == content)
    })
}

#[test]
fn entries_of_the_pack_table_are_found_again_from_the_packs() {
    let mut patient = Patient::new(5);
    let lost: Vec<PackNo> = patient
        .keys(Space::Table)
        .into_iter()
        .filter_map(|(key, record)| match record {
            Record::Pack(entry) if entry.live > 60_000 => Some(PackNo(key.num)),
            _ => None,
        })
        .collect();
    assert!(lost.len() >= 3);
    patient.break_books(lost.iter().map(|pack| (Key::pack(*pack), None)).collect());
    patient.again();
    let faults = patient.faults(false);
    assert!(faults.iter().any(|fault| matches!(fault, Fault::UnknownPack { .. })), "{faults:#?}");
    assert!(!patient.damaged().is_empty());
    let mended = patient.mend(true);
    assert!(mended.after.is_clean(), "{mended:#?}");
    patient.again();
    assert!(patient.check(true).is_clean());
    assert_eq!(patient.damaged(), Vec::<String>::new());
}

#[test]
fn a_pack_that_nothing_brings_back_can_be_removed_file_by_file() {
    let mut patient = Patient::new(5);
    let (key, entry) = patient
        .keys(Space::Table)
        .into_iter()
        .find_map(|(key, record)| match record {
            Record::Pack(entry) if entry.live > 60_000 => Some((key, entry)),
            _ => None,
        })
        .unwrap();
    patient.break_books(vec![(key, None)]);
    patient.world.outside.lock().pool.remove(&entry.blob_id);
    patient.world.outside.lock().archive.remove(&entry.blob_id);
    patient.again();
    let mended = patient.mend(false);
    assert!(
        mended.after.findings.iter().all(|finding| matches!(finding.fault, Fault::LostContent { .. })),
        "{mended:#?}"
    );
    let damaged: Vec<String> = mended.after.findings.iter().map(|finding| finding.path.clone().unwrap()).collect();
    assert!(!damaged.is_empty());
    let machine = patient.machine();
    let (engine, vfs) = (&machine.engine, &machine.parts.vfs);
    for path in patient.damaged() {
        let (dir, name) =
            path.rsplit_once('/').map_or((ROOT, path.as_str()), |(dir, name)| (patient.ino(dir).unwrap(), name));
        machine.run(call(engine, || vfs.unlink(dir, name.as_bytes()))).unwrap();
    }
    machine.sync();
    patient.again();
    let left = patient.check(true);
    assert!(left.is_clean(), "{:#?}", left.findings);
}

#[test]
fn a_small_pack_that_cannot_be_read_stops_no_commit() {
    let mut patient = Patient::new(5);
    patient.file(ROOT, "", "victim", &noise(77, 3_000));
    patient.machine().sync();
    for nth in 0..3 {
        patient.file(ROOT, "", &format!("later-{nth}"), &noise(80 + nth, 200));
        patient.machine().sync();
    }
    let victim = patient.ino("victim").unwrap();
    let Some(Record::Extents(extents)) = patient.record(&Key::extents(victim, 0)) else { panic!("no extents") };
    let pack = extents[0].chunk(0).unwrap().pack;
    let Some(Record::Pack(entry)) = patient.record(&Key::pack(pack)) else { panic!("no pack") };
    assert!(entry.size < 25_000, "the pack is not small: {entry:?}");
    assert_eq!(entry.live, u64::from(extents[0].chunk(0).unwrap().stored), "something else lives in it");
    patient.again();
    patient.world.outside.lock().archive.remove(&entry.blob_id);
    for nth in 0..12 {
        patient.file(ROOT, "", &format!("after-{nth}"), &noise(90 + nth, 70_000));
        patient.machine().sync();
    }
    patient.again();
    patient.files.remove("victim");
    assert_eq!(patient.damaged(), Vec::<String>::new());
}
