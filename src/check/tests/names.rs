//! Names and inodes that do not agree.

use super::*;
use crate::tree::record::{Counters, DIRENT_PROBE, Dirent, Inode};

/// One way to break a drive: what is written, what must be found, and what must be gone or changed afterwards.
struct Case {
    what: &'static str,
    breaks: fn(&Patient) -> Batch,
    /// Names of the faults, as JSON has them.
    found: &'static [&'static str],
    /// Paths that may not be what they were.
    lost: &'static [&'static str],
    /// Paths that must be there afterwards.
    there: &'static [&'static str],
}

fn inode(patient: &Patient, path: &str, change: impl FnOnce(&mut Inode)) -> Batch {
    let key = Key::inode(patient.ino(path).unwrap());
    let Some(Record::Inode(mut inode)) = patient.record(&key) else { panic!("{path}") };
    change(&mut inode);
    vec![(key, Some(Record::Inode(inode)))]
}

fn counters(patient: &Patient, change: impl FnOnce(&mut Counters)) -> Batch {
    let key = Key::counters(Space::Files);
    let Some(Record::Counters(mut counters)) = patient.record(&key) else { panic!("counters") };
    change(&mut counters);
    vec![(key, Some(Record::Counters(counters)))]
}

const CASES: &[Case] = &[
    Case {
        what: "an inode disappears, with it what lay inside",
        breaks: |patient| vec![(Key::inode(patient.ino("f1").unwrap()), None)],
        found: &["dangling-names", "wrong-counter", "wrong-counter"],
        lost: &["f1"],
        there: &[],
    },
    Case {
        what: "an inode with content disappears: it is made anew under its name",
        breaks: |patient| vec![(Key::inode(patient.ino("dir/f4").unwrap()), None)],
        found: &["dangling-names", "stray-records", "wrong-counter", "wrong-counter"],
        lost: &[],
        there: &["dir/f4"],
    },
    Case {
        what: "a directory's inode disappears: its entries hold it up",
        breaks: |patient| vec![(Key::inode(patient.ino("dir/deep").unwrap()), None)],
        found: &["dangling-names", "stray-records", "wrong-counter"],
        lost: &[],
        there: &["dir/deep/f3"],
    },
    Case {
        what: "a name disappears",
        breaks: |patient| vec![(patient.entry(ROOT, "f3").0, None)],
        found: &["no-name", "wrong-entries"],
        lost: &["f3"],
        there: &["lost+found/#13"],
    },
    Case {
        what: "both disappear: the content is found by its inode",
        breaks: |patient| {
            vec![
                (patient.entry(ROOT, "f4").0, None),
                (patient.entry(patient.ino("dir").unwrap(), "hard").0, None),
                (Key::inode(patient.ino("f4").unwrap()), None),
            ]
        },
        found: &["stray-records", "wrong-entries", "wrong-entries", "wrong-counter", "wrong-counter"],
        lost: &["f4", "dir/hard"],
        there: &[],
    },
    Case {
        what: "a directory names itself in a circle",
        breaks: |patient| {
            let (dir, deep) = (patient.ino("dir").unwrap(), patient.ino("dir/deep").unwrap());
            let (name, entry) = patient.entry(ROOT, "dir");
            let slot = crate::vfs::Slots::new(&patient.world.keys.uid()).first(b"dir");
            vec![(name, None), (Key::dirent(deep, slot), Some(Record::Dirent(Dirent { ino: dir, ..entry })))]
        },
        found: &["unreachable", "wrong-links", "wrong-links", "wrong-parent", "wrong-entries", "wrong-entries"],
        lost: &["dir/"],
        there: &[],
    },
    Case {
        what: "a directory has two names",
        breaks: |patient| {
            let (_, entry) = patient.entry(ROOT, "dir");
            let slot = crate::vfs::Slots::new(&patient.world.keys.uid()).first(b"twin");
            vec![(Key::dirent(ROOT, slot), Some(Record::Dirent(Dirent { name: b"twin".to_vec(), ..entry })))]
        },
        found: &["second-name", "wrong-links", "wrong-entries"],
        lost: &[],
        there: &[],
    },
    Case {
        what: "an entry lies where no lookup finds it",
        breaks: |patient| {
            let (key, entry) = patient.entry(ROOT, "f2");
            vec![(Key::dirent(ROOT, key.num ^ DIRENT_PROBE << 20), Some(Record::Dirent(entry))), (key, None)]
        },
        found: &["wrong-slot"],
        lost: &[],
        there: &["f2"],
    },
    Case {
        what: "a name is there twice",
        breaks: |patient| {
            let (key, _) = patient.entry(ROOT, "f2");
            let (other, entry) = patient.entry(ROOT, "f3");
            let entry = Dirent { name: b"f2".to_vec(), ..entry };
            vec![(Key::dirent(ROOT, key.num + 1), Some(Record::Dirent(entry))), (other, None)]
        },
        found: &["duplicate-name"],
        lost: &["f3"],
        there: &["f2", "f2.#13-1"],
    },
    Case {
        what: "an entry says another type",
        breaks: |patient| {
            let (key, entry) = patient.entry(ROOT, "f2");
            vec![(key, Some(Record::Dirent(Dirent { kind: 4, ..entry })))]
        },
        found: &["wrong-type", "wrong-links"],
        lost: &[],
        there: &["f2"],
    },
    Case {
        what: "links are miscounted",
        breaks: |patient| {
            [inode(patient, "f4", |inode| inode.nlink = 7), inode(patient, "dir", |inode| inode.nlink = 2)].concat()
        },
        found: &["wrong-links", "wrong-links"],
        lost: &[],
        there: &[],
    },
    Case {
        what: "a directory does not know its parent or its size",
        breaks: |patient| {
            inode(patient, "dir/deep", |inode| {
                inode.parent = ROOT;
                inode.size = 1;
            })
        },
        found: &["wrong-parent", "wrong-entries"],
        lost: &[],
        there: &[],
    },
    Case {
        what: "chunks are miscounted",
        breaks: |patient| inode(patient, "f3", |inode| inode.chunks = 9),
        found: &["wrong-chunks"],
        lost: &[],
        there: &[],
    },
    Case {
        what: "counters are wrong, and the next inode would be an old one",
        breaks: |patient| counters(patient, |counters| *counters = Counters { next: 5, inodes: 1, bytes: 2 }),
        found: &["wrong-counter", "wrong-counter", "wrong-counter"],
        lost: &[],
        there: &[],
    },
    Case {
        what: "an inode that has a name is marked as unlinked, and one that does not exist",
        breaks: |patient| {
            let marks = [patient.ino("f2").unwrap(), Ino(1 << 40)].map(|ino| (Key::orphan(ino), Some(Record::Orphan)));
            let next = counters(patient, |counters| counters.next = (1 << 40) + 1);
            [marks.to_vec(), next].concat()
        },
        found: &["wrong-orphan", "wrong-orphan"],
        lost: &[],
        there: &["f2"],
    },
    Case {
        what: "the root directory disappears",
        breaks: |_| vec![(Key::inode(ROOT), None)],
        found: &["stray-records", "no-root"],
        lost: &[],
        there: &["f2"],
    },
];

fn name(fault: &Fault) -> String {
    let json = serde_json::to_value(fault).unwrap();
    json["fault"].as_str().unwrap().to_owned()
}

#[test]
fn every_fault_of_names_is_found_and_mended() {
    for case in CASES {
        let patient = Patient::new(5);
        patient.break_names((case.breaks)(&patient));
        let faults = patient.faults(false);
        let mut found: Vec<String> = faults.iter().map(name).collect();
        let mut wanted: Vec<String> = case.found.iter().map(|name| (*name).to_owned()).collect();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{}: {faults:#?}", case.what);
        let mut patient = patient;
        let mended = patient.mend(false);
        assert!(mended.after.is_clean(), "{}: {mended:#?}", case.what);
        assert!(!mended.done.is_empty());
        // As another machine sees it.
        patient.again();
        assert!(patient.check(true).is_clean(), "{}", case.what);
        for path in patient.damaged() {
            let expected = case.lost.iter().any(|lost| path == *lost || lost.ends_with('/') && path.starts_with(lost));
            assert!(expected, "{}: {path} is damaged", case.what);
        }
        for path in case.there {
            assert!(patient.ino(path).is_some(), "{}: {path} is missing", case.what);
        }
        // All content is somewhere: what lost its name lies in lost+found.
        let home = patient.ino("lost+found");
        if case.lost.iter().any(|lost| *lost != "f1" && *lost != "f3") {
            assert!(home.is_some(), "{}", case.what);
        }
    }
}

#[test]
fn findings_have_paths() {
    let patient = Patient::new(5);
    patient.break_names(inode(&patient, "dir/deep/f3", |inode| inode.nlink = 4));
    let report = patient.check(false);
    assert_eq!(report.findings[0].path.as_deref(), Some("/dir/deep/f3"));
    assert!(report.findings[0].to_string().contains("says 4 links, there are 1"), "{}", report.findings[0]);
}

#[test]
fn content_without_name_and_inode_is_kept_whole() {
    let mut patient = Patient::new(5);
    let (ino, dir) = (patient.ino("f4").unwrap(), patient.ino("dir").unwrap());
    patient.break_names(vec![
        (patient.entry(ROOT, "f4").0, None),
        (patient.entry(dir, "hard").0, None),
        (Key::inode(ino), None),
    ]);
    patient.mend(false);
    patient.again();
    let found = patient.read(&format!("lost+found/#{ino}")).unwrap();
    assert!(found == noise(4, 200_000), "{} bytes", found.len());
}
