//! `walrusfs blob`: plain Walrus blobs, without a filesystem.

use super::args::{BlobCommand, NetworkArgs};
use super::exit::{Code, Failure};
use super::home::Home;
use super::wallet::{account, block_on, client_failure};
use super::{output, session};
use redstuff::{BlobId, Consistency, Encoder, Params};
use serde::Serialize;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use walrus_client::client::{ClientConfig, WalrusClient};

/// Bytes of a long read that are asked for at once.
const STEP: u64 = 64 << 20;

/// Runs the command.
///
/// # Errors
/// What the file, the network or the wallet refused.
pub fn run(command: &BlobCommand) -> Result<(), Failure> {
    match command {
        BlobCommand::Id { file, shards } => id(file, *shards),
        BlobCommand::Put { file, epochs, network } => put(file, *epochs, network),
        BlobCommand::Get { id, output, range, network } => get(id, output.as_deref(), range.as_deref(), network),
        BlobCommand::Stat { id, network, json } => stat(id, network, *json),
    }
}

fn encoder(shards: u16) -> Result<Encoder, Failure> {
    let params = Params::new(shards)
        .map_err(|error| Failure::usage(format!("{shards} shards make no code")).caused_by(error))?;
    Ok(Encoder::new(&params))
}

fn id(path: &Path, shards: u16) -> Result<(), Failure> {
    let reading = |error| Failure::from_io(format!("cannot read {}", path.display()), error);
    let mut file = File::open(path).map_err(reading)?;
    let length = file.metadata().map_err(reading)?.len();
    let metadata = encoder(shards)?.metadata_from_reader(length, &mut file).map_err(|error| {
        Failure::new(Code::Failed, format!("{} cannot be encoded", path.display())).caused_by(error)
    })?;
    output::line(metadata.blob_id());
    Ok(())
}

fn put(path: &Path, epochs: u32, network: &NetworkArgs) -> Result<(), Failure> {
    if epochs == 0 {
        return Err(Failure::usage("a blob is stored for at least one epoch"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| Failure::from_io(format!("cannot read {}", path.display()), error))?;
    let home = Home::open()?;
    block_on(async {
        let mut account = account(&home, network).await?;
        let storing = || client_failure("the blob cannot be stored");
        let state = account.client.state().await.map_err(storing())?;
        let size = bytes.len() as u64;
        let cost = account.client.blob_cost(size, epochs).await.map_err(storing())?;
        account.fund(cost).await?;
        let encoder = encoder(state.n_shards())?;
        let encoded = tokio::task::block_in_place(|| encoder.encode(bytes)).map_err(|error| {
            Failure::new(Code::Failed, format!("{} cannot be encoded", path.display())).caused_by(error)
        })?;
        let stored = account
            .client
            .store_blob(&account.session.executor, Arc::new(encoded), epochs, false, None)
            .await
            .map_err(storing())?;
        output::line(stored.blob_id);
        Ok(())
    })
}

fn blob_id(text: &str) -> Result<BlobId, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("`{text}` is not a blob id")).caused_by(error))
}

/// Parses `START-END`, END excluded and optional.
fn parse_range(text: &str) -> Result<(u64, Option<u64>), Failure> {
    let wrong = || Failure::usage(format!("`{text}` is not a range: write START-END, or START- for the rest"));
    let (start, end) = text.split_once('-').ok_or_else(wrong)?;
    let start = start.parse().map_err(|_| wrong())?;
    let end = if end.is_empty() { None } else { Some(end.parse().map_err(|_| wrong())?) };
    match end {
        Some(end) if end < start => Err(wrong()),
        _ => Ok((start, end)),
    }
}

async fn connect(network: &NetworkArgs) -> Result<WalrusClient, Failure> {
    let home = Home::open()?;
    let config = tokio::task::block_in_place(|| session::network(&home, network.network.as_deref()))?;
    WalrusClient::connect(config, ClientConfig::default()).map_err(client_failure("the network cannot be used"))
}

fn get(id: &str, target: Option<&Path>, range: Option<&str>, network: &NetworkArgs) -> Result<(), Failure> {
    let id = blob_id(id)?;
    let range = range.map(parse_range).transpose()?;
    block_on(async {
        let client = connect(network).await?;
        let writing = |error| match target {
            Some(path) => Failure::from_io(format!("cannot write {}", path.display()), error),
            None => Failure::from_io("cannot write to stdout", error),
        };
        let reading = || client_failure("the blob cannot be read");
        let Some((start, end)) = range else {
            let blob = client.read_blob(&id, Consistency::Default).await.map_err(reading())?;
            return open(target).and_then(|mut out| out.write_all(&blob).and_then(|()| out.flush())).map_err(writing);
        };
        let length = client.metadata(&id).await.map_err(reading())?.unencoded_length();
        let end = end.unwrap_or(length);
        if end > length {
            return Err(Failure::usage(format!("the blob has {length} bytes; the range ends at {end}")));
        }
        let mut out = open(target).map_err(writing)?;
        for part in parts(start..end) {
            let bytes = client.read_range(&id, part).await.map_err(reading())?;
            out.write_all(&bytes).map_err(writing)?;
        }
        out.flush().map_err(writing)
    })
}

/// `range` in pieces of at most [`STEP`] bytes.
fn parts(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let next = range.end.min(at.saturating_add(STEP));
        let part = at..next;
        at = next;
        (!part.is_empty()).then_some(part)
    })
}

fn open(target: Option<&Path>) -> std::io::Result<Box<dyn Write>> {
    Ok(match target {
        Some(path) => Box::new(File::create(path)?),
        None => Box::new(std::io::stdout().lock()),
    })
}

#[derive(Serialize)]
struct Stat {
    blob_id: String,
    size: Option<u64>,
    encoded_size: Option<u64>,
    status: walrus_client::wire::node::BlobStatus,
}

fn stat(id: &str, network: &NetworkArgs, json: bool) -> Result<(), Failure> {
    let id = blob_id(id)?;
    block_on(async {
        let client = connect(network).await?;
        let asking = || client_failure("the blob cannot be looked up");
        let status = client.status(&id).await.map_err(asking())?;
        let known = status.initial_certified_epoch().is_some();
        let (size, encoded_size) = match known {
            true => {
                let size = client.metadata(&id).await.map_err(asking())?.unencoded_length();
                let encoded = client.state().await.and_then(|state| state.encoded_size(size)).map_err(asking())?;
                (Some(size), Some(encoded))
            }
            false => (None, None),
        };
        let stat = Stat { blob_id: id.to_string(), size, encoded_size, status };
        if json {
            output::json(&stat)?;
        } else {
            output::line(&stat.blob_id);
            let size = stat.size.map_or_else(|| "unknown".to_owned(), |size| format!("{size} bytes"));
            output::line(format!("  size         {size}"));
            output::line(format!("  registered   {}", registered(&stat.status)));
        }
        match stat.status {
            walrus_client::wire::node::BlobStatus::Nonexistent => {
                Err(Failure::new(Code::NotFound, format!("the network has no blob {id}")))
            }
            _ => Ok(()),
        }
    })
}

fn registered(status: &walrus_client::wire::node::BlobStatus) -> String {
    use walrus_client::wire::node::BlobStatus;
    match status {
        BlobStatus::Nonexistent => "no".to_owned(),
        BlobStatus::Invalid { .. } => "proved to be wrongly encoded; it cannot be read".to_owned(),
        BlobStatus::Permanent { end_epoch, is_certified, .. } => {
            let certified = if *is_certified { "certified" } else { "not certified yet" };
            format!("until epoch {end_epoch}, {certified}")
        }
        BlobStatus::Deletable { deletable_counts, .. } => format!(
            "{} times as deletable, {} of them certified",
            deletable_counts.count_deletable_total, deletable_counts.count_deletable_certified
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(parse_range("0-10").unwrap(), (0, Some(10)));
        assert_eq!(parse_range("5-").unwrap(), (5, None));
        for text in ["", "5", "-5", "10-5", "a-b", "1-2-3"] {
            assert_eq!(parse_range(text).unwrap_err().code(), Code::Usage, "{text}");
        }
        assert_eq!(parts(0..0).count(), 0);
        assert_eq!(parts(1..STEP + 2).collect::<Vec<_>>(), [1..STEP + 1, STEP + 1..STEP + 2]);
    }
}
