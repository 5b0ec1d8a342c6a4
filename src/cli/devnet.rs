//! `walrusfs devnet`: the local Walrus network of this home.
//!
//! One background process runs it (`walrus_devnet::launch`); the commands here start it, ask it and end it. Whatever else
//! needs the network calls [`ensure_running`].

use super::config::Config;
use super::exit::{Code, Failure};
use super::home::Home;
use super::logging;
use super::output;
use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use walrus_client::network::NetworkConfig;
use walrus_devnet::control::{self, ControlError, Request};
use walrus_devnet::launch::{self, Launcher};
use walrus_devnet::{DevnetError, Fault, Lie, NetworkStatus, Options};

/// How long a network may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(90);

/// `walrusfs devnet`
#[derive(Debug, Args)]
#[command(after_help = "\
The network lives in one background process of this home and outlives mounts. Its state is kept by `down`.

Examples:
  walrusfs devnet up --nodes 10 --shards 1000
  walrusfs devnet status
  walrusfs devnet node 3 lie                          wrong bytes of the right length, until `honest`
  walrusfs devnet status --network-file > local.toml  for --network on another home")]
pub struct DevnetArgs {
    #[command(subcommand)]
    command: DevnetCommand,
}

/// Commands of the local network.
#[derive(Debug, Subcommand)]
pub enum DevnetCommand {
    /// Start the network, or wait until it is started; returns when chain and nodes answer
    #[command(after_help = "\
Examples:
  walrusfs devnet up
  walrusfs devnet up --nodes 4 --shards 100 --epoch-duration 10m")]
    Up(UpArgs),
    /// End the network; its state is kept
    #[command(after_help = "\
Examples:
  walrusfs devnet down")]
    Down,
    /// Print addresses, ids, epoch and nodes
    #[command(after_help = "\
Examples:
  walrusfs devnet status
  walrusfs devnet status --json")]
    Status {
        /// One JSON object
        #[arg(long, conflicts_with = "network_file")]
        json: bool,
        /// The TOML file that `--network FILE` takes on another home
        #[arg(long)]
        network_file: bool,
    },
    /// Make a storage node misbehave, or behave again
    Node(NodeArgs),
    /// The network's epochs
    Epoch {
        #[command(subcommand)]
        /// What to do with them.
        command: EpochCommand,
    },
}

/// `walrusfs devnet up`
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Storage nodes of a new network
    #[arg(long, value_name = "N", default_value_t = Options::default().nodes)]
    nodes: u16,
    /// Shards of a new network, spread evenly over the nodes
    #[arg(long, value_name = "N", default_value_t = Options::default().shards)]
    shards: u16,
    /// Length of an epoch of a new network, as 24h, 30m or 10s
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    epoch_duration: Duration,
    /// Run in this process instead of in the background
    #[arg(long)]
    foreground: bool,
    /// Tell the starting process on standard output when the network answers.
    #[arg(long, hide = true, requires = "foreground")]
    announce: bool,
}

/// `walrusfs devnet node`
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node's `index` in `devnet status`, from 0
    #[arg(value_name = "N")]
    index: usize,
    #[command(subcommand)]
    action: NodeAction,
}

/// What a node should do.
#[derive(Debug, Subcommand)]
pub enum NodeAction {
    /// Be down: connections are refused
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 stop")]
    Stop,
    /// Be up again, after `stop`
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 start")]
    Start,
    /// Wait before every request
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 slow 500")]
    Slow {
        /// Milliseconds
        #[arg(value_name = "MS")]
        ms: u64,
    },
    /// Accept connections and never answer
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 hang")]
    Hang,
    /// Damage what is on the node's disk, once
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 corrupt")]
    Corrupt,
    /// Answer with wrong bytes of the right length
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 lie
  walrusfs devnet node 3 lie confirmations")]
    Lie {
        /// What about: everything, bytes, metadata, confirmations or epoch
        #[arg(value_name = "WHAT", default_value_t = Lie::Everything)]
        about: Lie,
    },
    /// Answer every request with bytes that are no answer
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 garbage")]
    Garbage,
    /// Answer every request with this HTTP status
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 error 503")]
    Error {
        /// 400 to 599
        #[arg(value_name = "CODE", value_parser = clap::value_parser!(u16).range(400..600))]
        code: u16,
    },
    /// Behave, and be up
    #[command(after_help = "\
Examples:
  walrusfs devnet node 3 honest")]
    Honest,
}

/// `walrusfs devnet epoch`
#[derive(Debug, Subcommand)]
pub enum EpochCommand {
    /// End the epoch now; prints the new one
    #[command(after_help = "\
Examples:
  walrusfs devnet epoch advance")]
    Advance,
}

/// Runs one `devnet` command.
///
/// # Errors
/// When the local network cannot do what is asked.
pub fn run(args: DevnetArgs, home: &Home) -> Result<(), Failure> {
    let dir = home.devnet.as_path();
    match args.command {
        DevnetCommand::Up(args) => up(&args, dir),
        DevnetCommand::Down => {
            if !launch::down(dir, PATIENCE).map_err(failure)? {
                output::note("walrusfs: the local network was not running");
            }
            Ok(())
        }
        DevnetCommand::Status { json, network_file } => status(dir, json, network_file),
        DevnetCommand::Node(NodeArgs { index: node, action }) => {
            let fault = match action {
                NodeAction::Start => return call(dir, &Request::StartNode { node }).map(drop),
                NodeAction::Stop => Fault::Stopped,
                NodeAction::Slow { ms } => Fault::Slow(Duration::from_millis(ms)),
                NodeAction::Hang => Fault::Hang,
                NodeAction::Corrupt => Fault::Corrupt,
                NodeAction::Lie { about } => Fault::Lie(about),
                NodeAction::Garbage => Fault::Garbage,
                NodeAction::Error { code } => Fault::Error(code),
                NodeAction::Honest => Fault::Honest,
            };
            call(dir, &Request::SetFault { node, fault: fault.to_string() }).map(drop)
        }
        DevnetCommand::Epoch { command: EpochCommand::Advance } => {
            output::line(call(dir, &Request::AdvanceEpoch)?);
            Ok(())
        }
    }
}

/// What a client needs to use the local network of this home, which is started if it does not run. Blocks; to be called before
/// a runtime exists.
///
/// # Errors
/// It cannot be started; the message says why and names the log.
pub fn ensure_running(home: &Home) -> Result<NetworkConfig, Failure> {
    Ok(started(&home.devnet, &Options::default())?.network_config())
}

/// The local network of this home, if it runs.
pub fn running(home: &Home) -> Option<NetworkConfig> {
    control::status(&home.devnet).ok().map(|status| status.network_config())
}

fn started(dir: &Path, options: &Options) -> Result<NetworkStatus, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::from_io("cannot find this program", error))?;
    let ms = options.epoch_duration.as_millis();
    let args = [
        "devnet".to_owned(),
        "up".to_owned(),
        "--foreground".to_owned(),
        "--announce".to_owned(),
        format!("--nodes={}", options.nodes),
        format!("--shards={}", options.shards),
        format!("--epoch-duration={ms}ms"),
    ];
    let args = args.into_iter().map(OsString::from).collect();
    Launcher { program, args, timeout: PATIENCE }.ensure_running(dir).map_err(failure)
}

fn up(args: &UpArgs, dir: &Path) -> Result<(), Failure> {
    let options =
        Options { nodes: args.nodes, shards: args.shards, epoch_duration: args.epoch_duration, ..Options::default() };
    options.validate().map_err(|error| Failure::usage(error.to_string()))?;
    if args.foreground {
        return foreground(dir, options, args.announce);
    }
    let status = started(dir, &options)?;
    output::line(format_args!(
        "The local network runs: epoch {}, {} nodes, {} shards, RPC {}",
        status.epoch,
        status.nodes.len(),
        status.n_shards,
        status.rpc_url
    ));
    if status.nodes.len() != usize::from(options.nodes) || status.n_shards != options.shards {
        output::note("walrusfs: the network already existed in this shape; the options shape only a new one");
    }
    Ok(())
}

fn foreground(dir: &Path, options: Options, announce: bool) -> Result<(), Failure> {
    logging::for_daemon(&Config::load(&Home::open()?)?.options(None)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::from_io("cannot start the local network", error))?;
    runtime.block_on(launch::run(dir, options, announce)).map_err(failure)
}

fn status(dir: &Path, json: bool, network_file: bool) -> Result<(), Failure> {
    let status = control::status(dir).map_err(control_failure)?;
    if json {
        return output::json(&status);
    }
    if network_file {
        let text = status.network_config().to_toml();
        let text = text.map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        output::line(text.trim_end());
        return Ok(());
    }
    let mut table = format!(
        "epoch {}, {} shards, pid {}\nRPC and faucet  {}\nSystem object   {}\nStaking object  {}\nDrive package   {}\n\n\
         node  shards  blobs  state    address\n",
        status.epoch,
        status.n_shards,
        status.pid,
        status.rpc_url,
        status.system_object,
        status.staking_object,
        status.drive_package
    );
    for node in &status.nodes {
        let line =
            format!("{:>4}  {:>6}  {:>5}  {:<7}  {}\n", node.index, node.shards, node.blobs, node.state, node.url);
        table.push_str(&line);
    }
    output::line(table.trim_end());
    Ok(())
}

fn call(dir: &Path, request: &Request) -> Result<serde_json::Value, Failure> {
    control::call(dir, request, Duration::from_secs(150)).map_err(control_failure)
}

fn control_failure(error: ControlError) -> Failure {
    match error {
        ControlError::NotRunning => {
            Failure::new(Code::Unreachable, "the local network is not running; `walrusfs devnet up` starts it")
        }
        error => Failure::new(Code::Failed, error.to_string()),
    }
}

fn failure(error: DevnetError) -> Failure {
    Failure::new(Code::Failed, error.to_string())
}

/// `24h`, `30m`, `10s`, `500ms`, `7d`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let ms_per_unit = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("use a whole number with d, h, m, s or ms".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "use a whole number with d, h, m, s or ms".to_owned())?;
    number.checked_mul(ms_per_unit).map(Duration::from_millis).ok_or_else(|| "the time is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [("24h", 86_400_000), ("30m", 1_800_000), ("10s", 10_000), ("10", 10_000), ("1500ms", 1500)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "h", "1.5h", "-1s", "10 s", "10x", "99999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
