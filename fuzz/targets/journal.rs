//! Journal segments: arbitrary bytes, and frames sealed as the drive's own with arbitrary payloads, positions and one damage.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    walrusfs::journal::fuzz::parse(data);
    walrusfs::journal::fuzz::recover(data);
});
