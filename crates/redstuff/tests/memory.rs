//! What the memory table of the documentation promises, measured: one test, because what it measures is the process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like the tests themselves")]

mod common;

use common::lcg;
use redstuff::{Encoder, Params};

const MIB: usize = 1 << 20;

/// A line of /proc/self/status in bytes.
fn status(key: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

/// Growth of resident memory, in bytes, while `run` runs.
fn peak<T>(run: impl FnOnce() -> T) -> usize {
    // SAFETY: gives free memory of the heap back to the system, so that using it again counts; no memory in use is touched.
    unsafe { libc::malloc_trim(0) };
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    let result = run();
    let peak = status("VmHWM");
    drop(result);
    peak.saturating_sub(before)
}

#[test]
fn memory_stays_within_what_is_documented() {
    for (n, mib) in [(334, 16), (100, 16), (10, 1)] {
        let params = Params::new(n).unwrap();
        let blob = lcg(n.into(), mib * MIB);
        let symbol = usize::from(params.symbol_size(blob.len() as u64).unwrap().get());
        let symbols = |rows: u16, columns: u16| usize::from(rows) * usize::from(columns) * symbol;
        let (rows, columns) = (params.rows(), params.columns());
        let secondaries = symbols(rows, n - columns);
        let primaries = symbols(n - rows, columns);
        let padded = symbols(rows, columns);
        let encoder = Encoder::new(&params).threads(1).retain(0);
        // Work memory, one piece of it as long as a few symbols, and the rows in which the blob ends.
        let work = 2 * MIB + 3 * symbols(1, columns);
        // Tables are built by the first call, and stay.
        encoder.metadata(&blob[..1000]).unwrap();

        let check = |what: &str, have: usize, large: usize| {
            assert!(have <= large + work, "{what} with {n} shards, {mib} MiB: {have} bytes, {large} + {work} allowed");
            assert!(have + work >= large, "{what} with {n} shards, {mib} MiB: {have} bytes are too few to be true");
        };
        check("encode", peak(|| encoder.encode(&blob).unwrap()), primaries + secondaries);
        check("prepare", peak(|| encoder.prepare(&blob).unwrap()), secondaries);
        check("metadata", peak(|| encoder.metadata(&blob).unwrap()), secondaries);
        check("reader", peak(|| encoder.metadata_from_reader(blob.len() as u64, &mut &*blob).unwrap()), padded);
        let extra = 16 * MIB;
        let streamed = || {
            // With a pool: what a stream gives up must not lie there.
            let mut stream = Encoder::new(&params).threads(1).prepare(&blob).unwrap().stream(extra);
            while let Some(window) = stream.next_window() {
                window.pairs().for_each(|pair| drop(window.pair(pair).unwrap()));
            }
        };
        let have = peak(streamed);
        assert!(have <= secondaries + extra + work, "stream with {n} shards, {mib} MiB: {have} bytes");
    }
}
