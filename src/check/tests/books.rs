//! The pack table and the pool.

use super::*;
use crate::ids::PackNo;
use crate::sync::tests::sim::Registered;
use crate::tree::record::PackEntry;

/// The table's entries of packs with chunks.
fn packs(patient: &Patient) -> Vec<(PackNo, PackEntry)> {
    let all = patient.keys(Space::Table).into_iter();
    all.filter_map(|(key, record)| match record {
        Record::Pack(entry) if entry.live > 60_000 => Some((PackNo(key.num), entry)),
        _ => None,
    })
    .collect()
}

fn assert_mends(mut patient: Patient, found: &[Fault]) {
    let faults = patient.faults(false);
    for fault in found {
        assert!(faults.contains(fault), "{fault:?} is not among {faults:#?}");
    }
    let mended = patient.mend(false);
    assert!(mended.after.is_clean(), "{mended:#?}");
    patient.again();
    assert!(patient.check(true).is_clean());
    assert_eq!(patient.damaged(), Vec::<String>::new());
}

#[test]
fn miscounted_live_bytes() {
    let patient = Patient::new(5);
    let (pack, entry) = packs(&patient)[0].clone();
    let wrong = PackEntry { live: entry.live - 100, ..entry.clone() };
    patient.break_books(vec![(Key::pack(pack), Some(Record::Pack(wrong)))]);
    assert_mends(patient, &[Fault::WrongLive { pack: pack.0, has: entry.live - 100, should: entry.live }]);
}

#[test]
fn a_living_pack_that_is_said_to_be_dead() {
    let patient = Patient::new(5);
    let (pack, entry) = packs(&patient)[0].clone();
    let wrong = PackEntry { live: 0, dead_since_ms: Some(1_699_999_999_000), ..entry.clone() };
    patient.break_books(vec![(Key::pack(pack), Some(Record::Pack(wrong))), (Key::dead(pack), Some(Record::Dead))]);
    let found = [Fault::WrongLive { pack: pack.0, has: 0, should: entry.live }, Fault::WrongDeadMark { pack: pack.0 }];
    assert_mends(patient, &found);
}

#[test]
fn miscounted_references() {
    for wrong in [None, Some(3)] {
        let patient = Patient::new(5);
        let shared = patient.keys(Space::Table).into_iter().find(|(key, _)| key.kind == KeyKind::Shared).unwrap().0;
        let offset = u64::from_be_bytes(shared.name[..].try_into().unwrap());
        patient.break_books(vec![(shared.clone(), wrong.map(Record::Shared))]);
        let has = wrong.unwrap_or(1);
        assert_mends(patient, &[Fault::WrongShare { pack: shared.num, offset, has, should: 2 }]);
    }
    let patient = Patient::new(5);
    let (pack, _) = packs(&patient)[0];
    patient.break_books(vec![(Key::shared(pack, 1), Some(Record::Shared(2)))]);
    assert_mends(patient, &[Fault::WrongShare { pack: pack.0, offset: 1, has: 2, should: 1 }]);
}

#[test]
fn a_mark_of_a_pack_that_does_not_exist() {
    let patient = Patient::new(5);
    patient.break_books(vec![(Key::dead(PackNo(7777)), Some(Record::Dead))]);
    assert_mends(patient, &[Fault::WrongDeadMark { pack: 7777 }]);
}

#[test]
fn blobs_that_nothing_names_give_their_capacity_back() {
    let patient = Patient::new(5);
    let used = patient.world.outside.lock().used();
    for (id, certified) in [([1; 32], true), ([2; 32], false)] {
        let mut outside = patient.world.outside.lock();
        let encoded = Params::new(10).unwrap().encoded_length(1000).unwrap();
        outside.pool.insert(id, Registered { encoded, certified, confirmed: None });
        outside.archive.insert(id, vec![7; 1000].into());
    }
    let unknown = |blob: [u8; 32], certified| Fault::UnknownBlob { blob: hex::encode(blob), size: 1000, certified };
    let outside = Arc::clone(&patient.world.outside);
    assert_mends(patient, &[unknown([1; 32], true), unknown([2; 32], false)]);
    assert!(outside.lock().used() <= used + 100_000, "what mending wrote is all there is more");
}

#[test]
fn a_pack_that_the_pool_has_lost_is_a_loss_and_stays_one() {
    let mut patient = Patient::new(5);
    let (pack, entry) = packs(&patient)[0].clone();
    patient.world.outside.lock().pool.remove(&entry.blob_id);
    let blob = hex::encode(entry.blob_id);
    patient.world.outside.lock().archive.remove(&entry.blob_id);
    patient.again();
    assert!(patient.faults(false).contains(&Fault::PackNotHeld { pack: pack.0, blob }));
    let report = patient.check(true);
    let lost: Vec<_> =
        report.findings.iter().filter(|finding| matches!(finding.fault, Fault::LostContent { .. })).collect();
    assert!(!lost.is_empty() && lost.iter().all(|finding| finding.path.is_some()), "{:#?}", report.findings);
    let damaged = patient.damaged();
    assert!(!damaged.is_empty());
    // Mending changes nothing about it, and takes nothing else away.
    let mended = patient.mend(true);
    assert!(!mended.after.is_clean());
    assert_eq!(patient.damaged(), damaged);
}
