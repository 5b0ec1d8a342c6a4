//! `walrusfs status`: what mounted drives hold and what is still on its way.

use super::args::StatusArgs;
use super::control::{Client, Request, Status, find};
use super::exit::{Code, Failure};
use super::home::Home;
use super::output;
use super::rates::Rates;
use super::watch::watch;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// A daemon answers its status at once, also while it recovers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a daemon for its figures.
///
/// # Errors
/// What the daemon said, or that it did not answer.
pub fn ask(client: Client) -> Result<Status, Failure> {
    let status = client.ask(Request::Status, PATIENCE, |_| {})?;
    Ok(*status.ok_or_else(|| Failure::new(Code::Failed, "the mount process answered without figures"))?)
}

/// Runs the command.
///
/// # Errors
/// When the mount cannot be found or asked.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let home = Home::locate_here()?;
    if let Some(mountpoint) = &args.mountpoint {
        if args.watch {
            return watch(Duration::from_secs(args.interval), args.json, || {
                let (_, client) = find(&home, mountpoint)?;
                Ok(vec![ask(client)?])
            });
        }
        let (_, client) = find(&home, mountpoint)?;
        let status = ask(client)?;
        if args.json {
            return output::json(&status);
        }
        show(&status);
        return Ok(());
    }
    if args.watch {
        return watch(Duration::from_secs(args.interval), args.json, || all(&home));
    }
    let mounts = all(&home)?;
    if args.json {
        return output::json(&mounts);
    }
    if mounts.is_empty() {
        output::line("no drive is mounted");
    }
    mounts.iter().for_each(show);
    Ok(())
}

/// The figures of every mount of this home; a daemon that does not answer is left out with a note.
///
/// # Errors
/// When the folder of sockets cannot be read.
pub fn all(home: &Home) -> Result<Vec<Status>, Failure> {
    let mut found = Vec::new();
    for socket in sockets(&home.mounts())? {
        let asked = Client::connect(&socket)
            .map_err(|error| Failure::from_io(format!("cannot connect to {}", socket.display()), error))
            .and_then(|client| client.map(ask).transpose());
        match asked {
            Ok(status) => found.extend(status),
            Err(failure) => failure.print(),
        }
    }
    found.sort_by(|one, other| one.mountpoint.cmp(&other.mountpoint));
    Ok(found)
}

/// The control sockets in the folder of mounts, those of dead processes too.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn sockets(folder: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::from_io(format!("cannot read {}", folder.display()), error)),
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect())
}

fn show(status: &Status) {
    output::line(describe(status).trim_end());
}

/// A mount for people: what it is, how far it has come, what is in the way.
pub(super) fn describe(status: &Status) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<12} {value}");
    };
    let waiting = status.dirty_bytes.saturating_add(status.pending_bytes);
    row("network", nodes(status));
    let certified = status.certified_at.as_deref().unwrap_or("nothing yet");
    row("certified", format!("{certified} (sequence {})", status.sequence));
    let stage = match status.stage.as_str() {
        "" | "idle" => String::new(),
        stage => format!(" ({stage})"),
    };
    row(
        "on its way",
        match waiting {
            0 if status.uncommitted => format!("names and attributes{stage}"),
            0 => format!("nothing{stage}"),
            bytes => format!("{}{stage}", output::bytes(bytes)),
        },
    );
    let Rates { written, sent, fetched } = status.rates;
    if status.rates != Rates::default() {
        let [written, sent, fetched] = [written, sent, fetched].map(output::bytes);
        row("now", format!("{written}/s written, {sent}/s of slivers sent, {fetched}/s fetched"));
    }
    if let Some(problem) = &status.problem {
        row("problem", output::coloured(problem, output::Colour::Red, output::colours()));
    }
    row("space", format!("{} of {}", output::bytes(status.used_bytes), output::bytes(status.capacity_bytes)));
    if status.pool_capacity_bytes > 0 {
        let (used, capacity) = (output::bytes(status.pool_used_bytes), output::bytes(status.pool_capacity_bytes));
        row("pool", format!("{used} of {capacity} encoded"));
    }
    if let Some(expires) = &status.expires_at {
        row("paid until", expires.clone());
    }
    let answered = status.reads.cache.hits();
    let lookups = answered.saturating_add(status.reads.cache.misses);
    let hits = match lookups {
        0 => String::new(),
        // Both are counts of this mount: far from overflowing.
        _ => format!(", {} % hits", answered.saturating_mul(100) / lookups),
    };
    row("cache", format!("{}{hits}", output::bytes(status.cache_bytes)));
    if status.commits > 0 {
        let packs =
            format!("{} in {}", output::bytes(status.uploaded_bytes), output::count(status.uploaded_packs, "pack"));
        row("since mount", format!("{}, {packs}", output::count(status.commits, "commit")));
    }
    if status.transactions > 0 {
        let (sui, wal) =
            (output::signed_coins(status.paid_mist, "SUI"), output::signed_coins(status.paid_frost, "WAL"));
        row(
            "paid",
            format!("{sui} and {wal} in {} since the mount", output::count(status.transactions, "transaction")),
        );
    }
    if let Some(cost) = &status.cost {
        row("cost", cost.to_string());
    }
    if let Some(address) = &status.metrics {
        row("metrics", format!("http://{address}/metrics"));
    }
    row("process", status.pid.to_string());
    let changes = if status.read_only { ", read-only" } else { "" };
    format!("{} on {} ({}{changes})\n{text}", status.drive, status.mountpoint.display(), status.state)
}

fn nodes(status: &Status) -> String {
    match (status.nodes, status.nodes_avoided) {
        (0, _) => status.network.clone(),
        (nodes, 0) => format!("{}, {nodes} nodes", status.network),
        (nodes, avoided) => format!("{}, {nodes} nodes, {avoided} of them ill", status.network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cost::Cost;

    #[test]
    fn a_mount_for_people() {
        let mut status = Status {
            drive: "walrus:media".to_owned(),
            mountpoint: "/srv/media".into(),
            state: "mounted".to_owned(),
            network: "testnet".to_owned(),
            stage: "idle".to_owned(),
            nodes: 10,
            ..Status::default()
        };
        let text = describe(&status);
        assert!(text.starts_with("walrus:media on /srv/media (mounted)\n"), "{text}");
        assert!(text.contains("on its way   nothing\n") && text.contains("testnet, 10 nodes\n"), "{text}");
        assert!(!text.contains("hits") && !text.contains("problem") && !text.contains("now "), "{text}");
        (status.pending_bytes, status.stage) = (3 << 20, "upload".to_owned());
        (status.reads.cache.disk_hits, status.reads.cache.misses, status.nodes_avoided) = (3, 1, 2);
        (status.transactions, status.paid_mist, status.paid_frost) = (7, -2_000_000, 1_500_000_000);
        status.cost = Some(Cost { since_ms: 0, transactions: 9, mist: 0, frost: 2_500_000_000 });
        status.problem = Some("no WAL".to_owned());
        status.rates = Rates { written: 0, sent: 1 << 20, fetched: 0 };
        let text = describe(&status);
        for words in [
            "3.0 MiB (upload)",
            "75 % hits",
            "2 of them ill",
            "0 B/s written, 1.0 MiB/s of slivers sent, 0 B/s fetched",
            "problem      no WAL",
            "-0.002 SUI and 1.5 WAL in 7",
            "cost         0 SUI and 2.5 WAL in 9 transactions of this machine since 1970-01-01T00:00:00Z\n",
        ] {
            assert!(text.contains(words), "no `{words}` in {text}");
        }
    }
}
