//! `cargo bench -p redstuff [-- FILTER]`: this crate against the straightforward way, in one run, as a table.
//!
//! What is compared takes turns: baseline, ours on one thread, ours on two, and again. `CPU ms` is the whole process's time in user and
//! kernel mode, the median of the rounds; `ratio` is the median of the rounds' ratios baseline / ours, one thread each. Wall times are the
//! best of the rounds (other work on the machine only makes them longer), and so is their ratio, ours on two threads. `peak` is the growth
//! of resident memory while the call runs, with nothing kept from earlier calls, plus the blob itself. `ratio to the reference` is
//! the published CPU time of the reference encoder, scaled by this machine's speed at single BLAKE2b hashes in the same rounds.
//!
//! FILTER is a substring of `n/size` such as `1000/64`. With `--smoke` (or run by `cargo test`) only the smallest case runs.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails has no figures")]
#![allow(missing_docs, reason = "a program")]

mod baseline;

use redstuff::{
    BlobId, Consistency, Decoder, Encoded, Encoder, Node, Params, Primary, RecoverySymbol, Simd, Sliver, SliverIndex,
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

/// What one round cost.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
}

/// The costs of all rounds of one operation.
struct Costs(Vec<Cost>);

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Costs {
    fn cpu_ms(&self) -> f64 {
        median(self.0.iter().map(|cost| cost.cpu.as_secs_f64() * 1e3).collect())
    }

    fn wall_ms(&self) -> f64 {
        self.0.iter().map(|cost| cost.wall.as_secs_f64() * 1e3).fold(f64::INFINITY, f64::min)
    }

    /// How many times the CPU time of `other` was this one's, in the median round.
    fn cpu_ratio(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(a, b)| a.cpu.as_secs_f64() / b.cpu.as_secs_f64()).collect())
    }

    /// The cost of one of `count` repetitions.
    fn each(mut self, count: u32) -> Self {
        for cost in &mut self.0 {
            *cost = Cost { cpu: cost.cpu / count, wall: cost.wall / count };
        }
        self
    }
}

/// Anything that is kept until the clock has been read.
trait Keep {}
impl<T> Keep for T {}

type Run<'r, 'a> = &'r mut dyn FnMut() -> Box<dyn Keep + 'a>;

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

/// Runs all of `operations` once, uncounted, and then `rounds` times in turn.
fn take_turns<'a, const N: usize>(rounds: usize, mut operations: [Run<'_, 'a>; N]) -> [Costs; N] {
    let mut costs = [const { Costs(Vec::new()) }; N];
    for round in 0..=rounds {
        for (operation, costs) in operations.iter_mut().zip(&mut costs) {
            let (cpu, wall) = (cpu_time(), Instant::now());
            let result = black_box(operation());
            let cost = Cost { cpu: cpu_time() - cpu, wall: wall.elapsed() };
            drop(result);
            if round > 0 {
                costs.0.push(cost);
            }
        }
    }
    costs
}

/// Growth of resident memory while `run` runs, in bytes.
fn peak<T>(run: impl FnOnce() -> T) -> usize {
    // SAFETY: gives free memory of the heap back to the system, so that using it again counts; no memory in use is touched.
    unsafe { libc::malloc_trim(0) };
    let before = reset_peak();
    let result = black_box(run());
    let peak = status("VmHWM").saturating_sub(before);
    drop(result);
    peak
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
    rounds: usize,
}

/// What a row shows beside the costs.
#[derive(Default)]
struct Notes<'a> {
    /// Bytes; 0 is not of interest.
    peak: usize,
    must: &'a str,
}

impl Table {
    fn head() {
        println!(
            "{:>5} {:>4} {:<26} {:>10} {:>10} {:>8} {:>7} {:>10} {:>10} {:>7} {:>9}  must",
            "n", "MiB", "operation", "base ms", "CPU ms", "MiB/s", "ratio", "wall ms", "2 thr ms", "ratio", "peak MiB",
        );
    }

    /// `costs` are those of the baseline (if there is one), of ours on one thread, and on two.
    fn row(&self, what: &str, bytes: usize, costs: (Option<&Costs>, &Costs, Option<&Costs>), notes: &Notes<'_>) {
        let (base, one, two) = costs;
        let optional =
            |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
        println!(
            "{:>5} {:>4} {:<26} {:>10} {:>10.3} {:>8.0} {:>7} {:>10.3} {:>10} {:>7} {:>9}  {}",
            self.n,
            self.mib,
            what,
            optional(base.map(Costs::cpu_ms), 3),
            one.cpu_ms(),
            bytes as f64 / MIB as f64 / one.cpu_ms() * 1e3,
            optional(base.map(|base| base.cpu_ratio(one)), 2),
            one.wall_ms(),
            optional(two.map(Costs::wall_ms), 3),
            optional(base.zip(two).map(|(base, two)| base.wall_ms() / two.wall_ms()), 2),
            if notes.peak == 0 { "-".to_owned() } else { format!("{:.1}", notes.peak as f64 / MIB as f64) },
            notes.must
        );
    }
}

/// The baseline's hash of 65 bytes, many times over: nanoseconds of one are milliseconds of this times five.
fn single_hashes<'a>() -> Box<dyn Keep + 'a> {
    let message = [7u8; 64];
    for _ in 0..HASHES {
        black_box(baseline::hash(1, [black_box(&message[..32]), &message[32..]]));
    }
    Box::new(())
}

const HASHES: u32 = 200_000;

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn case(n: u16, mib: usize) {
    let params = Params::new(n).unwrap();
    let length = mib * MIB;
    let blob = blob(length);
    println!("{:>11}load of the last minute {}", "", load());
    let table = Table { n, mib, rounds: if mib >= 256 { 3 } else { 5 } };
    let reference = REFERENCES.iter().find(|reference| reference.n == n && reference.mib == mib);
    let must = |i: usize| reference.map_or(String::new(), |reference| format!("{}x", reference.must[i]));
    let encoder = |threads: usize| Encoder::new(&params).threads(threads);
    let encoded = encoder(2).encode(&blob).unwrap();
    {
        let (root, primaries, _) = baseline::encode(&params, &blob);
        let id = BlobId::compute(length as u64, &Node::Digest(root));
        assert_eq!(*encoded.blob_id(), id, "the baseline is not the same code");
        for (index, primary) in params.slivers::<Primary>().zip(&primaries) {
            assert!(encoded.primary(index).unwrap().data() == primary, "primary sliver {index} differs");
        }
    }
    encode(&table, &blob, reference, &encoder);
    slivers(&table, &encoded, &blob, &must(2));
}

fn encode(table: &Table, blob: &[u8], reference: Option<&Reference>, encoder: &dyn Fn(usize) -> Encoder) {
    let encoders = [encoder(1), encoder(2), encoder(1).simd(Simd::Avx2), encoder(2).simd(Simd::Avx2)];
    let [hashes, base, one, two, id, avx2, avx2_two] = take_turns(
        table.rounds,
        [
            &mut || single_hashes(),
            &mut || Box::new(baseline::encode(encoders[0].params(), blob)),
            &mut || Box::new(encoders[0].encode(blob).unwrap()),
            &mut || Box::new(encoders[1].encode(blob).unwrap()),
            &mut || Box::new(encoders[0].metadata(blob).unwrap()),
            &mut || Box::new(if Simd::detect() > Simd::Avx2 { Some(encoders[2].encode(blob).unwrap()) } else { None }),
            &mut || Box::new(if Simd::detect() > Simd::Avx2 { Some(encoders[3].encode(blob).unwrap()) } else { None }),
        ],
    );
    for encoder in &encoders {
        encoder.release_idle();
    }
    let must = |i: usize| reference.map_or(String::new(), |reference| format!("{}x", reference.must[i]));
    let cold = encoder(1).retain(0);
    let all = peak(|| cold.encode(blob).unwrap()) + blob.len();
    let what = format!("{} {} peak 3.5B", must(0), must(1));
    table.row("encode", blob.len(), (Some(&base), &one, Some(&two)), &Notes { peak: all, must: &what });
    if let Some(reference) = reference {
        let hash_ns = hashes.each(HASHES).cpu_ms() * 1e6;
        let scaled = reference.encode_ms * hash_ns / 165.0;
        println!(
            "{:>11}one BLAKE2b {hash_ns:.0} ns; baseline {:.0} ms, reference scaled {scaled:.0} ms: {:+.0} %; \
             ratio to the reference {:.2}",
            "",
            base.cpu_ms(),
            (base.cpu_ms() / scaled - 1.0) * 100.0,
            scaled / one.cpu_ms()
        );
    }
    if Simd::detect() > Simd::Avx2 {
        let notes = Notes { peak: 0, must: "2x" };
        table.row("encode, AVX2", blob.len(), (Some(&base), &avx2, Some(&avx2_two)), &notes);
    }
    let length = blob.len() as u64;
    table.row("blob id", blob.len(), (Some(&base), &id, None), &Notes::default());
    let [one, two] = take_turns(
        table.rounds.min(3),
        [&mut || Box::new(cold.metadata_from_reader(length, &mut &*blob).unwrap()), &mut || {
            Box::new(encoder(2).retain(0).metadata_from_reader(length, &mut &*blob).unwrap())
        }],
    );
    let held = peak(|| cold.metadata_from_reader(length, &mut &*blob).unwrap());
    let notes = Notes { peak: held, must: "peak B+8" };
    table.row("blob id, reader, cold", blob.len(), (None, &one, Some(&two)), &notes);
    let [one, two] = take_turns(
        table.rounds.min(3),
        [&mut || Box::new(stream(&cold, blob)), &mut || Box::new(stream(&encoder(2).retain(0), blob))],
    );
    let held = peak(|| stream(&cold, blob)) + blob.len();
    let notes = Notes { peak: held, must: "peak 1.5B+48" };
    table.row("stream, cold", blob.len(), (None, &one, Some(&two)), &notes);
}

/// The streaming interface in 1.5 times the blob and 48 MiB: every sliver is looked at once. Returns the number of windows.
fn stream(encoder: &Encoder, blob: &[u8]) -> usize {
    let mut stream = encoder.prepare(blob).unwrap().stream(44 * MIB);
    let (mut bytes, mut windows) = (0, 0);
    while let Some(window) = stream.next_window() {
        windows += 1;
        for pair in window.pairs() {
            let (primary, secondary) = window.pair(pair).unwrap();
            bytes += black_box(primary.data()).len() + black_box(secondary.data()).len();
        }
    }
    assert!(bytes > blob.len());
    windows
}

fn slivers(table: &Table, encoded: &Encoded<&Vec<u8>>, blob: &[u8], must: &str) {
    let params = encoded.params();
    let metadata = encoded.metadata();
    let size = usize::from(metadata.symbol_size().get());

    let sliver = encoded.primary(SliverIndex::new(params.n_shards() / 2)).unwrap();
    let repeat = u32::try_from((4 * MIB / sliver.data().len()).clamp(8, 200)).unwrap();
    let [base, ours] = take_turns(
        table.rounds,
        [
            &mut || {
                Box::new((0..repeat).map(|_| baseline::sliver_hash(params, sliver.data(), size)).collect::<Vec<_>>())
            },
            &mut || {
                (0..repeat).for_each(|_| sliver.verify(metadata).unwrap());
                Box::new(())
            },
        ],
    );
    let (base, ours) = (base.each(repeat), ours.each(repeat));
    table.row(
        "verify a primary sliver",
        sliver.data().len(),
        (Some(&base), &ours, None),
        &Notes { peak: 0, must: "3x" },
    );

    let (alone, both) = (Decoder::new().threads(1), Decoder::new().threads(2));
    let systematic: Vec<_> = params.slivers().take(params.rows().into()).map(|i| encoded.primary(i).unwrap()).collect();
    let random = some(params.n_shards(), params.rows());
    let random: Vec<Sliver<'_, Primary>> =
        random.iter().map(|i| encoded.primary(SliverIndex::new(*i)).unwrap()).collect();
    assert!(both.decode(metadata, &random, Consistency::Skip).unwrap() == blob);
    let pieces: Vec<_> = random.iter().map(|sliver| (sliver.index().as_usize(), sliver.data())).collect();
    let [base, skip, skip_two, default, default_two, easy, easy_two] = take_turns(
        table.rounds.min(3),
        [
            &mut || Box::new(baseline::decode(params, &pieces, blob.len())),
            &mut || Box::new(alone.decode(metadata, &random, Consistency::Skip).unwrap()),
            &mut || Box::new(both.decode(metadata, &random, Consistency::Skip).unwrap()),
            &mut || Box::new(alone.decode(metadata, &random, Consistency::Default).unwrap()),
            &mut || Box::new(both.decode(metadata, &random, Consistency::Default).unwrap()),
            &mut || Box::new(alone.decode(metadata, &systematic, Consistency::Default).unwrap()),
            &mut || Box::new(both.decode(metadata, &systematic, Consistency::Default).unwrap()),
        ],
    );
    let held = peak(|| alone.decode(metadata, &random, Consistency::Skip).unwrap());
    let notes = Notes { peak: held, must };
    table.row("decode, random, Skip", blob.len(), (Some(&base), &skip, Some(&skip_two)), &notes);
    table.row("decode, random, Default", blob.len(), (None, &default, Some(&default_two)), &Notes::default());
    table.row("decode, systematic, Default", blob.len(), (None, &easy, Some(&easy_two)), &Notes::default());

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
    let [base, ours] = take_turns(
        table.rounds,
        [
            &mut || Box::new((0..repeat).map(|_| baseline::recover(params, &pieces, size)).collect::<Vec<_>>()),
            &mut || {
                let recover = |_| recover_sliver(target, symbols.clone(), metadata).unwrap();
                Box::new((0..repeat).map(recover).collect::<Vec<_>>())
            },
        ],
    );
    let bytes = encoded.primary(target).unwrap().data().len();
    let (base, ours) = (base.each(repeat), ours.each(repeat));
    table.row("recover, with proofs", bytes, (Some(&base), &ours, None), &Notes::default());
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` passes --bench; `cargo test` does not and only wants to know that this runs.
    let smoke = arguments.iter().any(|argument| argument == "--smoke") || !arguments.iter().any(|a| a == "--bench");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    println!("{:?}", Simd::detect());
    Table::head();
    for (n, mib) in CASES {
        let wanted = filter.is_none_or(|filter| format!("{n}/{mib}").contains(filter.as_str()));
        if wanted && (!smoke || (n, mib) == CASES[0]) {
            case(n, mib);
        }
    }
}
