//! Files of the sliver cache: arbitrary ones, and written ones that were damaged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

static SCRATCH: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("walrusfs-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&path).expect("a folder for scratch files");
    path
});

fuzz_target!(|data: &[u8]| {
    walrusfs::cache::fuzz::parse(&SCRATCH, data);
    walrusfs::cache::fuzz::damage(&SCRATCH, data);
});
