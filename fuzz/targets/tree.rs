//! Keys, nodes of trees and runs, roots and log entries of arbitrary bytes: what is read is written back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| walrusfs::tree::fuzz::parse(data));
