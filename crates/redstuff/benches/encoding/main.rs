//! `cargo bench -p redstuff [-- FILTER]`: this crate against the straightforward way, in one run, as a table.
//!
//! CPU is the whole process's time in user and kernel mode; wall is elapsed time. Each figure is the median of a few runs after one
//! that is not counted. `ratio` is baseline / ours: CPU with one thread, wall with two threads (the baseline has one). `peak` is the
//! growth of resident memory while the call runs, plus the blob itself.
//!
//! FILTER is a substring of `n/size` such as `1000/64`. With `--smoke` (or run by `cargo test`) only the smallest cases run.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails has no figures")]
#![allow(missing_docs, reason = "a program")]

mod baseline;

use redstuff::{
    BlobId, Consistency, Encoded, Encoder, Node, Params, Primary, RecoverySymbol, Simd, Sliver, SliverIndex, decode,
    recover_sliver,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// Reference encoder (one thread, CPU ms, machine with 165 ns a hash) where it was measured, and the ratios that are required.
struct Reference {
    n: u16,
    mib: usize,
    encode_ms: f64,
    must: [f64; 3],
}

/// Issue figures for n = 1000: per core, two threads wall, decode from random primaries.
const REFERENCES: [Reference; 4] = [
    Reference { n: 1000, mib: 1, encode_ms: 652.0, must: [6.0, 10.0, 50.0] },
    Reference { n: 1000, mib: 16, encode_ms: 700.0, must: [4.5, 8.5, 5.0] },
    Reference { n: 1000, mib: 64, encode_ms: 1127.0, must: [3.5, 6.5, 2.0] },
    Reference { n: 1000, mib: 256, encode_ms: 3042.0, must: [3.0, 6.0, 1.8] },
];

const CASES: [(u16, usize); 8] =
    [(10, 1), (100, 1), (100, 16), (100, 64), (1000, 1), (1000, 16), (1000, 64), (1000, 256)];

#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
    peak: usize,
}

impl Cost {
    fn cpu_ms(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3
    }

    fn wall_ms(&self) -> f64 {
        self.wall.as_secs_f64() * 1e3
    }
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// A line of /proc/self/status in bytes.
fn status(key: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.trim_start_matches(':').split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0)
        * 1024
}

fn reset_peak() -> usize {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    status("VmRSS")
}

/// Median cost of `run`; what it returns lives until the peak has been read.
fn measure<T>(runs: usize, mut run: impl FnMut() -> T) -> Cost {
    black_box(run());
    let mut costs: Vec<Cost> = (0..runs)
        .map(|_| {
            let before = reset_peak();
            let (cpu, wall) = (cpu_time(), Instant::now());
            let result = black_box(run());
            let cost =
                Cost { cpu: cpu_time() - cpu, wall: wall.elapsed(), peak: status("VmHWM").saturating_sub(before) };
            drop(result);
            cost
        })
        .collect();
    costs.sort_by_key(|cost| cost.cpu);
    let mut median = costs[costs.len() / 2];
    median.peak = costs.iter().map(|cost| cost.peak).max().unwrap_or(0);
    median
}

fn blob(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut blob = Vec::with_capacity(length + 8);
    while blob.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        blob.extend_from_slice(&state.to_le_bytes());
    }
    blob.truncate(length);
    blob
}

/// `count` of `n` indices, spread and mixed.
fn some(n: u16, count: u16) -> Vec<u16> {
    let mut order: Vec<u16> = (0..n).collect();
    order.sort_by_key(|i| (u32::from(*i) + 1).wrapping_mul(2_654_435_761) >> 8);
    order.truncate(count.into());
    order
}

struct Table {
    n: u16,
    mib: usize,
}

impl Table {
    fn head() {
        println!(
            "{:>5} {:>4} {:<26} {:>10} {:>10} {:>8} {:>7} {:>10} {:>10} {:>7} {:>9} {:>6}",
            "n",
            "MiB",
            "operation",
            "base ms",
            "CPU ms",
            "MiB/s",
            "ratio",
            "wall ms",
            "2 thr ms",
            "ratio",
            "peak MiB",
            "must"
        );
    }

    /// `notes` are the peak in bytes (0: not of interest) and what is required.
    fn row(
        &self,
        what: &str,
        bytes: usize,
        baseline: Option<&Cost>,
        one: &Cost,
        two: Option<&Cost>,
        notes: (usize, &str),
    ) {
        let (peak, must) = notes;
        let optional =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        println!(
            "{:>5} {:>4} {:<26} {:>10} {:>10.3} {:>8.0} {:>7} {:>10.3} {:>10} {:>7} {:>9} {:>6}",
            self.n,
            self.mib,
            what,
            optional(baseline.map(Cost::cpu_ms), 3),
            one.cpu_ms(),
            bytes as f64 / MIB as f64 / one.cpu.as_secs_f64(),
            optional(baseline.map(|base| base.cpu_ms() / one.cpu_ms()), 2),
            one.wall_ms(),
            optional(two.map(Cost::wall_ms), 3),
            optional(baseline.zip(two).map(|(base, two)| base.wall_ms() / two.wall_ms()), 2),
            if peak == 0 { "-".to_owned() } else { format!("{:.1}", peak as f64 / MIB as f64) },
            must
        );
    }
}

fn single_hash_ns() -> f64 {
    let message = [7u8; 64];
    let start = cpu_time();
    let rounds = 200_000;
    for _ in 0..rounds {
        black_box(baseline::hash(1, [black_box(&message[..32]), &message[32..]]));
    }
    (cpu_time() - start).as_nanos() as f64 / f64::from(rounds)
}

fn case(n: u16, mib: usize, hash_ns: f64) {
    let params = Params::new(n).unwrap();
    let length = mib * MIB;
    let blob = blob(length);
    let table = Table { n, mib };
    let runs = if mib >= 64 { 3 } else { 5 };
    let reference = REFERENCES.iter().find(|reference| reference.n == n && reference.mib == mib);
    let must = |i: usize| reference.map_or(String::new(), |reference| format!("{}x", reference.must[i]));
    let encoder = |threads: usize| Encoder::new(&params).threads(threads);

    let (root, primaries, _) = baseline::encode(&params, &blob);
    let base = measure(if mib >= 256 { 1 } else { 3 }, || baseline::encode(&params, &blob).0);
    let encoder1 = encoder(1);
    let one = measure(runs, || encoder1.encode(&blob).unwrap());
    drop(encoder1);
    let encoder2 = encoder(2);
    let two = measure(runs, || encoder2.encode(&blob).unwrap());
    drop(encoder2);
    let encoded = encoder(2).encode(&blob).unwrap();
    assert_eq!(
        *encoded.blob_id(),
        BlobId::compute(length as u64, &Node::Digest(root)),
        "the baseline is not the same code"
    );
    for (index, primary) in params.slivers::<Primary>().zip(&primaries) {
        assert!(encoded.primary(index).unwrap().data() == primary, "primary sliver {index} differs");
    }
    drop(primaries);
    let fresh = Encoder::new(&params).threads(1).retain(0);
    let cold = measure(1, || fresh.encode(&blob).unwrap());
    table.row(
        "encode",
        length,
        Some(&base),
        &one,
        Some(&two),
        (cold.peak + length, &format!("{} {}", must(0), must(1))),
    );
    if let Some(reference) = reference {
        let scaled = reference.encode_ms * hash_ns / 165.0;
        println!(
            "{:>11}baseline {:.0} ms; reference scaled {scaled:.0} ms: {:+.0} %",
            "",
            base.cpu_ms(),
            (base.cpu_ms() / scaled - 1.0) * 100.0
        );
    }
    if Simd::detect() > Simd::Avx2 {
        let [avx2, avx2_two] = [1, 2].map(|threads| {
            let encoder = encoder(threads).simd(Simd::Avx2);
            measure(runs, || encoder.encode(&blob).unwrap())
        });
        table.row("encode, AVX2", length, Some(&base), &avx2, Some(&avx2_two), (0, "2x"));
    }
    id_only(&table, &blob, &base, runs, &encoder);
    window(&table, &blob, &base, &encoder);
    slivers(&table, &encoded, &blob, must(2));
}

fn id_only(table: &Table, blob: &[u8], base: &Cost, runs: usize, encoder: &dyn Fn(usize) -> Encoder) {
    let [one, two] = [1, 2].map(|threads| {
        let encoder = encoder(threads);
        measure(runs, || encoder.metadata(blob).unwrap())
    });
    table.row("blob id", blob.len(), Some(base), &one, Some(&two), (0, ""));
    let [one, two] = [1, 2].map(|threads| {
        let encoder = encoder(threads).retain(0);
        measure(runs, || encoder.metadata_from_reader(blob.len() as u64, &mut &*blob).unwrap())
    });
    table.row("blob id, reader, cold", blob.len(), Some(base), &one, Some(&two), (one.peak, "B+8"));
}

/// The streaming interface: 1.5 times the blob and a window of 32 MiB.
fn window(table: &Table, blob: &[u8], base: &Cost, encoder: &dyn Fn(usize) -> Encoder) {
    let [one, two] = [1, 2].map(|threads| {
        let encoder = encoder(threads).retain(40 * MIB);
        measure(1, || {
            let prepared = encoder.prepare(blob).unwrap();
            let mut bytes = 0;
            for window in prepared.windows(32 * MIB) {
                let window = prepared.window(window).unwrap();
                for pair in window.pairs() {
                    let (primary, secondary) = window.pair(pair).unwrap();
                    bytes += black_box(primary.data()).len() + black_box(secondary.data()).len();
                }
            }
            assert!(bytes > blob.len());
        })
    });
    table.row("stream, 32 MiB windows", blob.len(), Some(base), &one, Some(&two), (one.peak + blob.len(), "1.5B+48"));
}

fn slivers(table: &Table, encoded: &Encoded<&Vec<u8>>, blob: &[u8], must: String) {
    let params = encoded.params();
    let metadata = encoded.metadata();
    let size = usize::from(metadata.symbol_size().get());
    let runs = 5;

    let sliver = encoded.primary(SliverIndex::new(params.n_shards() / 2)).unwrap();
    let repeat = (4 * MIB / sliver.data().len()).clamp(8, 200);
    let each = |cost: Cost| Cost { cpu: cost.cpu / repeat as u32, wall: cost.wall / repeat as u32, peak: cost.peak };
    let base =
        measure(3, || (0..repeat).map(|_| baseline::sliver_hash(params, sliver.data(), size)).collect::<Vec<_>>());
    let ours = measure(runs, || (0..repeat).for_each(|_| sliver.verify(metadata).unwrap()));
    table.row("verify a primary sliver", sliver.data().len(), Some(&each(base)), &each(ours), None, (0, "3x"));

    let systematic: Vec<_> = params.slivers().take(params.rows().into()).map(|i| encoded.primary(i).unwrap()).collect();
    let ours = measure(runs, || decode(metadata, &systematic, Consistency::Default).unwrap());
    table.row("decode, systematic", blob.len(), None, &ours, None, (ours.peak, ""));
    let random = some(params.n_shards(), params.rows());
    let random: Vec<Sliver<'_, Primary>> =
        random.iter().map(|i| encoded.primary(SliverIndex::new(*i)).unwrap()).collect();
    let pieces: Vec<_> = random.iter().map(|sliver| (sliver.index().as_usize(), sliver.data())).collect();
    let base = measure(1, || baseline::decode(params, &pieces, blob.len()));
    let ours = measure(runs, || decode(metadata, &random, Consistency::Skip).unwrap());
    assert!(decode(metadata, &random, Consistency::Skip).unwrap() == blob);
    table.row("decode, random, skip", blob.len(), Some(&base), &ours, Some(&ours), (ours.peak, &must));
    let ours = measure(1, || decode(metadata, &random, Consistency::Default).unwrap());
    table.row("decode, random, default", blob.len(), None, &ours, None, (0, ""));

    let target = SliverIndex::<Primary>::new(params.n_shards() - 1);
    let sources = some(params.n_shards(), params.columns());
    let symbols: Vec<RecoverySymbol<Primary>> = sources
        .iter()
        .map(|i| {
            encoded.secondary(SliverIndex::new(*i)).unwrap().expand(params).unwrap().recovery_symbol(target).unwrap()
        })
        .collect();
    let pieces: Vec<_> = symbols.iter().map(|s| (s.symbol().source().as_usize(), s.symbol().data())).collect();
    let repeat = 8;
    let each = |cost: Cost| Cost { cpu: cost.cpu / repeat, wall: cost.wall / repeat, peak: cost.peak };
    let base = measure(3, || (0..repeat).map(|_| baseline::recover(params, &pieces, size)).collect::<Vec<_>>());
    let ours = measure(runs, || {
        (0..repeat).map(|_| recover_sliver(target, symbols.clone(), metadata).unwrap()).collect::<Vec<_>>()
    });
    let bytes = encoded.primary(target).unwrap().data().len();
    table.row("recover, with proofs", bytes, Some(&each(base)), &each(ours), None, (0, ""));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` passes --bench; `cargo test` does not and only wants to know that this runs.
    let smoke = arguments.iter().any(|argument| argument == "--smoke") || !arguments.iter().any(|a| a == "--bench");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let hash_ns = single_hash_ns();
    println!(
        "{:?}; single-lane BLAKE2b of 65 bytes: {hash_ns:.0} ns (165 ns on the machine of the reference figures)",
        Simd::detect()
    );
    Table::head();
    for (n, mib) in CASES {
        let wanted = filter.is_none_or(|filter| format!("{n}/{mib}").contains(filter.as_str()));
        if wanted && (!smoke || (n, mib) == CASES[0]) {
            case(n, mib, hash_ns);
        }
    }
}
