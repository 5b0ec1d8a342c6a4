//! What the client costs: requests, bytes on the wire, throughput, time to first byte, at 100 and 1000 shards, healthy and with f
//! shards gone. Prints the tables of docs/network.md.
//!
//!     cargo run --release -p walrus-devnet --example figures -- [SHARDS...] [--sizes BYTES,...]
//!
//! Ten nodes, the chain and the client run in this one process, so that all of them share its processors; bytes and requests do not
//! depend on that. Bytes are those of the nodes' sockets, TLS and HTTP/2 included.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redstuff::{BlobId, Encoder, Params};
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig};
use walrus_client::read::Consistency;
use walrus_client::wallet::Wallet;
use walrus_devnet::{Devnet, Fault, NodeStatus, Options};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NODES: u16 = 10;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Times that a short read is measured.
const TIMES: usize = 9;

/// A network, a wallet with money, and a client.
struct Bench {
    devnet: Devnet,
    executor: Executor,
    client: WalrusClient,
    encoder: Encoder,
    _dir: TempDir,
}

/// A folder that goes with the process's work.
struct TempDir(std::path::PathBuf);

impl TempDir {
    fn new(shards: u16) -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("walrus-figures-{}-{shards}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What something cost.
struct Cost {
    time: Duration,
    requests: u64,
    /// Bytes in both directions.
    bytes: u64,
}

impl Bench {
    async fn start(shards: u16) -> Outcome<Self> {
        let dir = TempDir::new(shards)?;
        let options = Options { nodes: NODES, shards, ..Options::default() };
        let devnet = Devnet::start(dir.0.join("devnet"), options).await?;
        let client = WalrusClient::connect(devnet.status()?.network_config(), ClientConfig::default())?;
        let wallet = Arc::new(Wallet::generate()?);
        let executor =
            Executor::open(&dir.0.join("wallet"), wallet, client.chain().clone(), ExecutorConfig::default())?;
        client.request_sui(&executor.wallet().address()).await?;
        client.buy_wal(&executor, 500_000_000_000).await?;
        let encoder = Encoder::new(&Params::new(shards)?);
        Ok(Self { devnet, executor, client, encoder, _dir: dir })
    }

    fn stranger(&self) -> Outcome<WalrusClient> {
        Ok(WalrusClient::connect(self.devnet.status()?.network_config(), ClientConfig::default())?)
    }

    fn count(&self) -> Outcome<(u64, u64)> {
        let nodes = self.devnet.status()?.nodes;
        let bytes = |node: &NodeStatus| node.bytes_received + node.bytes_sent;
        Ok((nodes.iter().map(|node| node.requests).sum(), nodes.iter().map(bytes).sum()))
    }

    async fn cost<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Outcome<(T, Cost)>
    where
        Box<dyn Error>: From<E>,
    {
        let (requests, bytes) = self.count()?;
        let begun = Instant::now();
        let done = work.await?;
        let time = begun.elapsed();
        // What is on its way when the client is content is part of the price.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (requests_after, bytes_after) = self.count()?;
        Ok((done, Cost { time, requests: requests_after - requests, bytes: bytes_after - bytes }))
    }

    async fn write(&self, size: u64, seed: u8) -> Outcome<(BlobId, Cost)> {
        let bytes = noise(seed, size);
        let begun = Instant::now();
        let encoded = Arc::new(self.encoder.encode(bytes)?);
        let encoding = begun.elapsed();
        let (stored, mut cost) = self.cost(self.client.store_blob(&self.executor, encoded, 5, true, None)).await?;
        cost.time += encoding;
        Ok((stored.blob_id, cost))
    }
}

/// Bytes that do not repeat.
fn noise(seed: u8, size: u64) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..size.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(usize::try_from(size).unwrap_or(usize::MAX)).collect()
}

fn size_name(size: u64) -> String {
    match size {
        size if size >= MIB => format!("{} MiB", size / MIB),
        size if size >= KIB => format!("{} KiB", size / KIB),
        size => format!("{size} B"),
    }
}

fn ratio(bytes: u64, size: u64) -> String {
    let ratio = bytes as f64 / size.max(1) as f64;
    if ratio < 100.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

fn rate(size: u64, time: Duration) -> String {
    format!("{:.1}", size as f64 / MIB as f64 / time.as_secs_f64())
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

async fn whole_blobs(bench: &Bench, shards: u16, state: &str, sizes: &[u64], seed: u8) -> Outcome<Vec<(u64, BlobId)>> {
    let mut stored = Vec::new();
    for (n, size) in sizes.iter().enumerate() {
        let (id, write) = bench.write(*size, seed + n as u8).await?;
        let client = bench.stranger()?;
        client.state().await?;
        let (read, cost) = bench.cost(client.read_blob(&id, Consistency::Default)).await?;
        if read.len() as u64 != *size {
            return Err("another length than was stored".into());
        }
        println!(
            "| {shards} | {state} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            size_name(*size),
            write.requests,
            ratio(write.bytes, *size),
            ms(write.time),
            rate(*size, write.time),
            cost.requests,
            ratio(cost.bytes, *size),
            ms(cost.time),
            rate(*size, cost.time),
        );
        stored.push((*size, id));
    }
    Ok(stored)
}

async fn ranges(bench: &Bench, shards: u16, state: &str, size: u64, id: &BlobId) -> Outcome<()> {
    for length in [4 * KIB, MIB, 64 * MIB].into_iter().filter(|length| *length <= size) {
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        let (mut requests, mut bytes) = (0, 0);
        let times = if length > MIB { 3 } else { TIMES };
        let client = bench.stranger()?;
        client.read_range(id, 0..1).await?;
        for n in 0..times {
            let start = (size - length) / times as u64 * n as u64;
            // A client that knows neither state nor metadata, with no connection.
            let stranger = bench.stranger()?;
            let begun = Instant::now();
            stranger.read_range(id, start..start + length.min(4 * KIB)).await?;
            cold.push(begun.elapsed());
            let (_, cost) = bench.cost(client.read_range(id, start..start + length)).await?;
            warm.push(cost.time);
            requests += cost.requests;
            bytes += cost.bytes;
        }
        let times = times as u64;
        println!(
            "| {shards} | {state} | {} | {} | {} | {} | {:.1} | {} |",
            size_name(length),
            ms(median(cold)),
            ms(median(warm.clone())),
            rate(length, median(warm)),
            requests as f64 / times as f64,
            ratio(bytes / times, length),
        );
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut shards = Vec::new();
    let mut sizes = vec![4 * KIB, MIB, 64 * MIB];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--sizes" => {
                let list = args.next().ok_or("--sizes wants a list")?;
                sizes = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            number => shards.push(number.parse()?),
        }
    }
    if shards.is_empty() {
        shards = vec![100, 1000];
    }
    let mut benches = Vec::new();
    println!(
        "| shards | network | blob | write: requests | wire bytes per byte | ms | MiB/s | read: requests | wire bytes per byte | ms | MiB/s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for shards in &shards {
        let bench = Bench::start(*shards).await?;
        // The first blob pays for connections; it is not counted.
        bench.write(KIB, 99).await?;
        let stored = whole_blobs(&bench, *shards, "healthy", &sizes, 1).await?;
        // Stragglers and healing are over.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let gone = usize::from((shards - 1) / 3 / (shards / NODES));
        for index in 0..gone {
            bench.devnet.set_fault(index, Fault::Stopped).await?;
        }
        whole_blobs(&bench, *shards, "f gone", &sizes, 51).await?;
        for index in 0..gone {
            bench.devnet.start_node(index).await?;
        }
        benches.push((*shards, gone, bench, stored));
    }
    println!();
    println!(
        "| shards | network | range | first byte, nothing known: ms | range, state known: ms | MiB/s | requests | wire bytes per byte |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (shards, gone, bench, stored) in &benches {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let Some((size, id)) = stored.last() else { continue };
        ranges(bench, *shards, "healthy", *size, id).await?;
        for index in 0..*gone {
            bench.devnet.set_fault(index, Fault::Stopped).await?;
        }
        ranges(bench, *shards, "f gone", *size, id).await?;
    }
    for (.., bench, _) in benches {
        bench.devnet.shutdown().await;
    }
    Ok(())
}
