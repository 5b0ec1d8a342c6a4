//! What mount(8), fstab and users write: helper command lines, names of drives, sizes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use walrusfs::cli::helper::{parse_mount, parse_umount};
use walrusfs::cli::mount::request::DriveName;
use walrusfs::cli::options::parse_size;

fuzz_target!(|data: &[u8]| {
    let words: Vec<OsString> = data.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    let _ = (parse_mount(words.clone()), parse_umount(words));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = parse_size(text);
        if let Ok(name) = DriveName::parse(text) {
            assert_eq!(DriveName::parse(&name.source()).expect("the mount table's form is understood"), name);
        }
    }
});
