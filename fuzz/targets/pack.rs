//! Headers and indexes of arbitrary bytes; packs whose units, index and trailer are sealed as the drive's own and say anything.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    walrusfs::pack::fuzz::parse(data);
    walrusfs::pack::fuzz::open(data);
});
