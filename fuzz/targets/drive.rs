//! What stands on the chain under a drive (the object, key slots, seal, label) and what a machine keeps of it (key file, pending
//! record): arbitrary bytes, in clear and sealed as the drive's own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use walrusfs::crypto::slots::{self, KeyFile, SlotPlace, SlotSecret};
use walrusfs::crypto::{Domain, KeyRing, MasterKey};
use walrusfs::drive::{DriveObject, seal};
use walrusfs::ids::{DriveUid, KeyEpoch};
use walrusfs::seam::SeededRandom;
use walrusfs::sync::Pending;

const UID: DriveUid = DriveUid([1; 32]);

fuzz_target!(|data: &[u8]| {
    let random = Arc::new(SeededRandom::new(1));
    let keys = KeyRing::new(UID, KeyEpoch(0), MasterKey::from_bytes(&[1; 32]), random.clone());

    if let Ok(mut drive) = DriveObject::decode(data) {
        assert!(seal::verify(&drive, &keys).is_err());
        // Sealed by the holder of the key, but not the sum of this drive.
        drive.uid = UID;
        drive.seal = keys.seal(Domain::Seal, &drive.sequence.0.to_le_bytes(), data).expect("a short text can be sealed");
        assert!(seal::verify(&drive, &keys).is_err());
    }

    let secret = SlotSecret::KeyFile(KeyFile::generate(&*random));
    let place = SlotPlace { uid: UID, index: 0, key_epoch: KeyEpoch(0) };
    for kind in 0..4 {
        assert!(slots::unwrap(kind, data, place, &secret).is_err());
        let _ = slots::cost(kind, data);
    }

    assert!(seal::open_label(&keys, data).is_err());
    let sealed = keys.seal(Domain::Label, &[], data).expect("a short text can be sealed");
    if let Ok(label) = seal::open_label(&keys, &sealed) {
        assert_eq!(label.as_bytes(), &data[1..][..usize::from(data[0])]);
    }

    if let Ok(pending) = Pending::decode(data) {
        assert_eq!(pending.encode().expect("what was read can be written"), data);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = KeyFile::parse(text)
    {
        assert!(KeyFile::parse(&key.to_text()).is_ok());
    }
});
