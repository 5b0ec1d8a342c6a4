//! What a mount needs of the network: a chain that answers, a clock that agrees with it, nodes, money, and drives that are paid for.

use super::{Finding, State};
use crate::cli::args::SecretArgs;
use crate::cli::config::Config;
use crate::cli::devnet;
use crate::cli::exit::Failure;
use crate::cli::home::Home;
use crate::cli::output;
use crate::cli::secrets;
use crate::cli::session::{self, LOCAL};
use crate::drive::keep::KeysFolder;
use crate::drive::{self, DriveClient, DriveName, HOLDER_BYTES, Holder};
use crate::seam::{Clock, OsRandom, SystemClock};
use futures::StreamExt;
use redstuff::BlobId;
use std::sync::Arc;
use std::time::{Duration, Instant};
use walrus_client::chain::{Node, WalrusState};
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::executor::{Executor, ExecutorConfig};
use walrus_client::network::NetworkConfig;
use walrus_client::wallet::Wallet;
use walrus_client::wire::chain::Clock as ChainClock;

/// How long one question to the chain or to a node may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A clock that is wrong by more than this makes leases of drives unreliable, milliseconds.
const SKEW_MS: u64 = 5_000;

/// The chain's clock moves with its transactions: only a lag above this says something, milliseconds.
const LAG_MS: u64 = 300_000;

/// SUI that a few dozen transactions cost, MIST.
const LITTLE_SUI: u64 = 100_000_000;

/// Warned about from this long before the end, milliseconds.
const MONTH_MS: u64 = 30 * 86_400_000;

/// Nodes asked at once.
const AT_ONCE: usize = 32;

/// Every check of the network called `name`, or of the configured one.
pub(super) fn all(home: &Home, name: Option<&str>) -> Vec<Finding> {
    let network = match find(home, name) {
        Ok(network) => network,
        Err(finding) => return vec![*finding],
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![Finding::failed("network", format!("no threads: {error}"), "see the limits of this user")];
        }
    };
    runtime.block_on(ask(home, network))
}

/// The network, without starting the local one.
fn find(home: &Home, name: Option<&str>) -> Result<NetworkConfig, Box<Finding>> {
    let failed = |failure: Failure| {
        Box::new(Finding::failed("network", failure.to_string(), "give --network, or walrusfs config set network NAME"))
    };
    let name = session::name(home, name).map_err(failed)?;
    if name == LOCAL && !session::network_path(home, LOCAL).is_file() {
        return devnet::running(home).ok_or_else(|| {
            Box::new(Finding::skipped(
                "network",
                "the local network does not run; the first command that needs it starts it",
            ))
        });
    }
    session::network(home, Some(&name)).map_err(failed)
}

async fn ask(home: &Home, network: NetworkConfig) -> Vec<Finding> {
    let name = network.name.clone();
    let package = match network.drive_package {
        Some(id) => Finding::ok("network", format!("{name}, drives are objects of {id}")),
        None => Finding::failed(
            "network",
            format!("{name} names no package for drives"),
            format!("walrusfs contract publish --network {name}, or drive_package in a network file"),
        ),
    };
    let servers = network.rpc_urls.join(", ");
    let can_hold_drives = package.state == State::Ok;
    let mut findings = vec![package];
    let client = match WalrusClient::connect(network, ClientConfig::default()) {
        Ok(client) => Arc::new(client),
        Err(error) => {
            findings.push(Finding::failed("chain", error.to_string(), "mend the network file"));
            return findings;
        }
    };
    let started = Instant::now();
    let state = match in_time(client.state()).await {
        Ok(state) => state,
        Err(why) => {
            let mend = "check the connection, a proxy, the firewall; name another server in a network file (rpc_urls)";
            findings.push(Finding::failed("chain", format!("{servers} does not answer: {why}"), mend));
            return findings;
        }
    };
    let took = started.elapsed().as_millis();
    findings.push(Finding::ok("chain", format!("{servers}: epoch {}, {took} ms", state.epoch())));
    let (clock, nodes) = tokio::join!(clock(&client), nodes(&client, &state));
    findings.extend([clock, nodes]);
    findings.extend(money(home, &client, &state, can_hold_drives).await);
    findings
}

async fn in_time<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, String>
where
    E: std::fmt::Display,
{
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn clock(client: &WalrusClient) -> Finding {
    let read = in_time(client.chain().object(&walrus_client::tx::CLOCK.id)).await;
    match read.and_then(|object| object.decode::<ChainClock>().map_err(|error| error.to_string())) {
        Ok(clock) => judge_clock(SystemClock.now_ms(), clock.timestamp_ms),
        Err(why) => Finding::skipped("clock", format!("the chain does not tell its time: {why}")),
    }
}

/// The chain's time is that of its last transaction: it can be behind, but never ahead.
fn judge_clock(here: u64, chain: u64) -> Finding {
    let mend = "timedatectl set-ntp true, or set the clock: leases of drives go by it";
    match (chain.checked_sub(here), here.checked_sub(chain)) {
        (Some(behind), _) if behind > SKEW_MS => {
            Finding::failed("clock", format!("this machine's clock is {} s behind the chain's", behind / 1000), mend)
        }
        (_, Some(ahead)) if ahead > LAG_MS && !is_synchronized() => Finding::warning(
            "clock",
            format!("{} s ahead of the chain's last transaction, and nothing keeps this clock right", ahead / 1000),
            mend,
        ),
        _ => Finding::ok("clock", output::time(here)),
    }
}

/// Whether the kernel says that something keeps the clock right.
fn is_synchronized() -> bool {
    std::fs::metadata("/run/systemd/timesync/synchronized").is_ok() || kernel_clock_is_disciplined()
}

fn kernel_clock_is_disciplined() -> bool {
    // SAFETY: all zeros is a valid timex and asks for nothing but reading.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: adjtimex writes to the structure that it is given, which lives here.
    let answer = unsafe { libc::adjtimex(&mut state) };
    answer >= 0 && state.status & libc::STA_UNSYNC == 0
}

async fn nodes(client: &WalrusClient, state: &WalrusState) -> Finding {
    let nodes = state.committee.nodes();
    let asked = futures::stream::iter(nodes.iter().map(|node| async move { (node, answers(client, node).await) }));
    let answered: Vec<(&Node, bool)> = asked.buffer_unordered(AT_ONCE).collect().await;
    let total: u32 = nodes.iter().map(Node::weight).sum();
    let up: u32 = answered.iter().filter(|(_, up)| *up).map(|(node, _)| node.weight()).sum();
    let mut down: Vec<&str> = answered.iter().filter(|(_, up)| !up).map(|(node, _)| node.name.as_str()).collect();
    down.sort_unstable();
    judge_nodes(nodes.len(), total, up, state.committee.quorum(), state.committee.validity(), &down)
}

/// Any answer is one: the blob asked for exists nowhere.
async fn answers(client: &WalrusClient, node: &Node) -> bool {
    matches!(tokio::time::timeout(PATIENCE, client.nodes().status(node, &BlobId([0; 32]))).await, Ok(Ok(_)))
}

fn judge_nodes(count: usize, total: u32, up: u32, quorum: u32, validity: u32, down: &[&str]) -> Finding {
    /// Names that are told.
    const TOLD: usize = 5;
    let mut names = down.iter().take(TOLD).copied().collect::<Vec<_>>().join(", ");
    if down.len() > TOLD {
        names.push_str(", ...");
    }
    let found = format!("{} of {count} answer, with {up} of {total} shards", count - down.len());
    match (down.is_empty(), up >= quorum, up >= validity) {
        (true, ..) => Finding::ok("nodes", found),
        (false, true, _) => Finding::warning(
            "nodes",
            format!("{found}; not {names}"),
            "nothing: reads and writes work, a little slower",
        ),
        (false, false, true) => Finding::failed(
            "nodes",
            format!("{found}; writing needs {quorum}; not {names}"),
            "check the connection and the firewall (nodes use ports of their own); what is written waits in the journal",
        ),
        _ => Finding::failed(
            "nodes",
            format!("{found}; reading needs {validity}, writing {quorum}; not {names}"),
            "check the connection and the firewall (nodes use ports of their own)",
        ),
    }
}

/// The wallet, what it has, and its drives. Nothing is signed.
async fn money(home: &Home, client: &Arc<WalrusClient>, state: &WalrusState, can_hold_drives: bool) -> Vec<Finding> {
    let path = session::wallet_path(home);
    if !path.exists() {
        let found = "there is none yet";
        return vec![Finding::warning("wallet", found, "walrusfs setup")];
    }
    let wallet = match Wallet::load(&path) {
        Ok(wallet) => Arc::new(wallet),
        Err(error) => {
            return vec![Finding::failed(
                "wallet",
                error.to_string(),
                "walrusfs setup makes another, once this one is moved away",
            )];
        }
    };
    let address = wallet.address();
    let mut findings = vec![Finding::ok("wallet", address.to_string())];
    // A folder of its own: the executor of a mount may hold the lock of the wallet's.
    let folder = std::env::temp_dir().join(format!("walrusfs-doctor-{}", std::process::id()));
    let executor = Executor::open(&folder, wallet, client.chain().clone(), ExecutorConfig::default());
    match executor {
        Ok(executor) => {
            let executor = Arc::new(executor);
            let free = client.chain().network().faucet_url.is_some();
            findings.push(match in_time(executor.balances()).await {
                Ok((mist, frost)) => judge_balance(mist, frost, &address.to_string(), free),
                Err(why) => Finding::failed("balance", format!("cannot be read: {why}"), "try again"),
            });
            if can_hold_drives {
                findings.extend(drives(home, executor, state).await);
            }
        }
        Err(error) => findings.push(Finding::skipped("balance", error.to_string())),
    }
    // Nothing was signed, so nothing in it matters.
    let _ = std::fs::remove_dir_all(&folder);
    findings
}

fn judge_balance(mist: u64, frost: u64, address: &str, free: bool) -> Finding {
    let found = format!("{} and {}", output::coins(mist, "SUI"), output::coins(frost, "WAL"));
    let mend = match free {
        true => "walrusfs wallet fund".to_owned(),
        false => format!("send some SUI and WAL to {address}"),
    };
    match (mist, frost) {
        (mist, _) if mist < LITTLE_SUI => Finding::failed("balance", format!("{found}: too little SUI for gas"), mend),
        (_, 0) => Finding::warning("balance", format!("{found}: nothing can be written without WAL"), mend),
        _ => Finding::ok("balance", found),
    }
}

async fn drives(home: &Home, executor: Arc<Executor>, state: &WalrusState) -> Vec<Finding> {
    let session = KeysFolder::open(&home.keys)
        .and_then(|keys| drive::Session::new(executor, keys, Arc::new(SystemClock), Arc::new(OsRandom)));
    let session = match session {
        Ok(session) => session,
        Err(error) => return vec![Finding::failed("drives", error.to_string(), "see the keys folder")],
    };
    // A configuration that cannot be read is a finding of its own.
    let options = Config::load(home).and_then(|config| config.options(None)).unwrap_or_default();
    let secrets = match secrets::given(&options, &SecretArgs::default()) {
        Ok(secrets) => secrets,
        Err(why) => return vec![Finding::failed("drives", why.to_string(), "correct key_file= or passphrase_file=")],
    };
    let listed = match in_time(session.list(&secrets)).await {
        Ok(listed) => listed,
        Err(why) => return vec![Finding::failed("drives", format!("cannot be listed: {why}"), "try again")],
    };
    let mut findings = Vec::new();
    for drive in &listed {
        let Some(label) = &drive.label else {
            let found = format!("{}: no key of this home opens it", drive.id);
            findings.push(Finding::warning(
                "drives",
                found,
                "copy its key file into the keys folder, or give key_file= or passphrase_file=",
            ));
            continue;
        };
        // Looking takes no lease: the holder is nobody's.
        let name = DriveName::Id(drive.id);
        let opened = DriveClient::open(&session, &name, &secrets, Holder([0; HOLDER_BYTES]));
        findings.push(match in_time(opened).await {
            Ok(opened) => {
                let opened = opened.state();
                let now = SystemClock.now_ms();
                let left = opened.pool.ends_at_ms(state, now).saturating_sub(now);
                judge_drive(label, left, opened.pool.used, opened.pool.capacity)
            }
            Err(why) => Finding::failed("drives", format!("{label} cannot be read: {why}"), "try again; walrusfs fsck"),
        });
    }
    if listed.is_empty() {
        findings.push(Finding::ok("drives", "none yet; walrusfs setup, or walrusfs drive create, makes one"));
    }
    findings
}

fn judge_drive(label: &str, left_ms: u64, used: u64, capacity: u64) -> Finding {
    let days = left_ms / 86_400_000;
    // For a shell, where the label needs it.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let word = if label.chars().all(plain) { label.to_owned() } else { format!("'{}'", label.replace('\'', "'\\''")) };
    let found =
        format!("{label}: paid for {days} more days, {} of {} used", output::bytes(used), output::bytes(capacity));
    match (left_ms, used.saturating_mul(10) > capacity.saturating_mul(9)) {
        (0, _) => Finding::failed(
            "drives",
            format!("{label}: its storage has ended"),
            "`walrusfs drive revive` makes a new pool and stores in it what this machine still has",
        ),
        (left, _) if left < MONTH_MS => {
            Finding::warning("drives", found, format!("walrusfs drive extend {word} --epochs N; what ends is gone"))
        }
        (_, true) => Finding::warning("drives", found, format!("walrusfs drive resize {word} --capacity SIZE")),
        _ => Finding::ok("drives", found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_the_chain_is_wrong_for_certain() {
        let now = 1_795_228_200_000;
        assert_eq!(judge_clock(now, now + SKEW_MS + 1).state, State::Failed);
        assert_eq!(judge_clock(now, now + SKEW_MS).state, State::Ok);
        assert_eq!(judge_clock(now, now - LAG_MS).state, State::Ok, "a chain where nothing happens");
    }

    #[test]
    fn nodes_are_judged_by_their_shards() {
        assert_eq!(judge_nodes(4, 10, 10, 7, 4, &[]).state, State::Ok);
        let some = judge_nodes(4, 10, 7, 7, 4, &["b"]);
        assert!(some.state == State::Warning && some.found.contains("3 of 4") && some.found.contains("not b"));
        assert!(judge_nodes(4, 10, 6, 7, 4, &["b", "c"]).found.contains("writing needs 7"));
        assert!(judge_nodes(4, 10, 3, 7, 4, &["b", "c", "d"]).found.contains("reading needs 4"));
    }

    #[test]
    fn money_and_time_that_run_out() {
        assert_eq!(judge_balance(LITTLE_SUI, 1, "0x1", true).state, State::Ok);
        let poor = judge_balance(LITTLE_SUI - 1, 1, "0x1", false);
        assert!(poor.state == State::Failed && poor.mend.unwrap().contains("0x1"));
        assert_eq!(judge_balance(LITTLE_SUI, 0, "0x1", true).state, State::Warning);
        assert_eq!(judge_drive("a", MONTH_MS, 90, 100).state, State::Ok);
        assert!(judge_drive("a", MONTH_MS - 1, 0, 100).mend.unwrap().contains("extend a"));
        assert!(judge_drive("a", MONTH_MS, 91, 100).mend.unwrap().contains("resize a"));
        assert_eq!(judge_drive("a", 0, 0, 100).state, State::Failed);
    }
}
