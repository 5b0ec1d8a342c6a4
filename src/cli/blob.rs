//! `walrusfs blob`: plain Walrus blobs, without a filesystem.

use super::args::{BlobCommand, NetworkArgs};
use super::exit::{Code, Failure};
use super::home::Home;
use super::output::Progress;
use super::session::Purse;
use super::wallet::{block_on, client_failure, purse};
use super::{consent, output, session};
use crate::drive::{Quote, check_epochs};
use redstuff::quilt::QuiltPatchId;
use redstuff::{BlobId, Consistency, Encoder, Params};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use walrus_client::client::{ClientConfig, WalrusClient};
use walrus_client::store::UploadProgress;

/// Bytes of a long read that are asked for at once.
const STEP: u64 = 64 << 20;

/// Runs the command.
///
/// # Errors
/// What the file, the network or the wallet refused.
pub fn run(command: &BlobCommand) -> Result<(), Failure> {
    match command {
        BlobCommand::Id { file, shards, json } => id(file, *shards, *json),
        BlobCommand::Put { file, epochs, yes, network, json } => put(file, *epochs, *yes, network, *json),
        BlobCommand::Get { id, patch, output, range, network } => {
            let range = range.as_deref().map(parse_range).transpose()?;
            let source = Source::parse(id, patch.as_deref())?;
            block_on(get(source, output.as_deref(), range, network))
        }
        BlobCommand::Patches { id, network, json } => block_on(patches(blob_id(id)?, network, *json)),
        BlobCommand::Stat { id, network, json } => stat(id, network, *json),
    }
}

fn encoder(shards: u16) -> Result<Encoder, Failure> {
    let params = Params::new(shards)
        .map_err(|error| Failure::usage(format!("{shards} shards make no code")).caused_by(error))?;
    Ok(Encoder::new(&params))
}

fn id(path: &Path, shards: u16, json: bool) -> Result<(), Failure> {
    let reading = |error| Failure::from_io(format!("cannot read {}", path.display()), error);
    let mut file = File::open(path).map_err(reading)?;
    let length = file.metadata().map_err(reading)?.len();
    let metadata = encoder(shards)?.metadata_from_reader(length, &mut file).map_err(|error| {
        Failure::new(Code::Failed, format!("{} cannot be encoded", path.display())).caused_by(error)
    })?;
    if json {
        return output::json(
            &serde_json::json!({ "blob_id": metadata.blob_id().to_string(), "size": length, "shards": shards }),
        );
    }
    output::line(metadata.blob_id());
    Ok(())
}

fn put(path: &Path, epochs: u32, yes: bool, network: &NetworkArgs, json: bool) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| Failure::from_io(format!("cannot read {}", path.display()), error))?;
    let home = Home::open()?;
    block_on(async {
        let purse = purse(&home, network).await?;
        let storing = || client_failure("the blob cannot be stored");
        let state = purse.client.state().await.map_err(storing())?;
        let size = bytes.len() as u64;
        check_epochs(&state, state.epoch().saturating_add(epochs))
            .map_err(|error| Failure::from_fs("the blob cannot be stored", error))?;
        let encoder = encoder(state.n_shards())?;
        let encoded = tokio::task::block_in_place(|| encoder.encode(bytes)).map_err(|error| {
            Failure::new(Code::Failed, format!("{} cannot be encoded", path.display())).caused_by(error)
        })?;
        let frost = agree_on_blob(&purse, encoded.blob_id(), size, epochs, yes).await?;
        let progress = Arc::new(Progress::new());
        progress.show("storing");
        let hook = {
            let progress = Arc::clone(&progress);
            Arc::new(move |now: UploadProgress| progress.bytes(now.sent_bytes, now.total_bytes))
        };
        let encoded = Arc::new(encoded);
        let stored = purse.client.store_blob(&purse.executor, encoded, epochs, false, Some(hook)).await;
        drop(progress);
        let stored = stored.map_err(storing())?;
        if json {
            return output::json(&Stored {
                blob_id: stored.blob_id.to_string(),
                object_id: stored.object.to_string(),
                size,
                end_epoch: stored.end_epoch,
                already_certified: stored.already_certified,
                frost,
            });
        }
        output::line(stored.blob_id);
        Ok(())
    })
}

#[derive(Serialize)]
struct Stored {
    blob_id: String,
    object_id: String,
    size: u64,
    end_epoch: u32,
    already_certified: bool,
    /// What was paid for it, beside gas.
    frost: u64,
}

/// Shows what storing a blob costs, asks, and gets the money where it is free; answers the price. What the wallet has
/// stored (or paid for, in a run that was stopped) costs nothing again.
async fn agree_on_blob(purse: &Purse, id: &BlobId, size: u64, epochs: u32, yes: bool) -> Result<u64, Failure> {
    let storing = || client_failure("the blob cannot be stored");
    purse.executor.settle().await.map_err(storing())?;
    let owner = purse.executor.wallet().address();
    if purse.client.has_paid_for(&owner, id, epochs).await.map_err(storing())? {
        output::note("this wallet has paid for this blob already; nothing is to be paid");
        return Ok(0);
    }
    let state = purse.client.state().await.map_err(storing())?;
    let seen = purse.client.blob_cost(size, epochs).await.map_err(storing())?;
    let term = output::count(u64::from(epochs), "epoch");
    let quote = Quote { frost: seen, bytes: size, epochs, end_epoch: state.epoch().saturating_add(epochs) };
    consent::agree(&format!("storing {} for {term}", output::bytes(size)), &quote, yes)?;
    // An answer may take as long as it likes, and a price may change meanwhile.
    purse.client.chain().refresh().await.map_err(storing())?;
    let now = purse.client.blob_cost(size, epochs).await.map_err(storing())?;
    if now > seen {
        let now = output::coins(now, "WAL");
        return Err(Failure::new(Code::Failed, format!("nothing was paid: the price went up to {now}; ask again")));
    }
    purse.fund(now).await?;
    Ok(now)
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

/// What `blob get` reads.
enum Source {
    Blob(BlobId),
    /// A file of a quilt, by its columns.
    Patch(QuiltPatchId),
    /// A file of a quilt, by its identifier.
    File(BlobId, String),
}

impl Source {
    fn parse(id: &str, file: Option<&str>) -> Result<Self, Failure> {
        match (id.parse(), file) {
            (Ok(blob), None) => Ok(Self::Blob(blob)),
            (Ok(blob), Some(file)) => Ok(Self::File(blob, file.to_owned())),
            (Err(_), file) => match (id.parse(), file) {
                (Ok(patch), None) => Ok(Self::Patch(patch)),
                (Ok(_), Some(_)) => Err(Failure::usage(format!("`{id}` is a patch id already: leave out --patch"))),
                (Err(error), _) => {
                    Err(Failure::usage(format!("`{id}` is neither a blob id nor a patch id")).caused_by(error))
                }
            },
        }
    }
}

/// Where the bytes go.
struct Target<'a>(Option<&'a Path>);

impl Target<'_> {
    fn open(&self) -> Result<Box<dyn Write>, Failure> {
        Ok(match self.0 {
            Some(path) => Box::new(File::create(path).map_err(|error| self.failure(error))?),
            None => Box::new(std::io::stdout().lock()),
        })
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = self.open()?;
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| self.failure(error))
    }

    fn failure(&self, error: std::io::Error) -> Failure {
        match self.0 {
            Some(path) => Failure::from_io(format!("cannot write {}", path.display()), error),
            None => Failure::from_io("cannot write to stdout", error),
        }
    }
}

/// A range as the command line gives it, END excluded and optional, cut out of `length` bytes.
fn within((start, end): (u64, Option<u64>), length: u64, what: &str) -> Result<Range<u64>, Failure> {
    let end = end.unwrap_or(length);
    if start > end || end > length {
        return Err(Failure::usage(format!("the {what} has {length} bytes; the range is {start} to {end}")));
    }
    Ok(start..end)
}

async fn get(
    source: Source,
    target: Option<&Path>,
    range: Option<(u64, Option<u64>)>,
    network: &NetworkArgs,
) -> Result<(), Failure> {
    let client = connect(network).await?;
    let target = Target(target);
    let reading = || client_failure("the blob cannot be read");
    let patch = match source {
        Source::Blob(id) => return get_blob(&client, &id, &target, range).await,
        Source::Patch(patch) => patch,
        Source::File(quilt, name) => {
            let index = client.quilt_index(&quilt).await.map_err(reading())?;
            let missing = || Failure::new(Code::NotFound, format!("quilt {quilt} has no file `{name}`"));
            index.find(&name).ok_or_else(missing)?.id(&quilt)
        }
    };
    let content = client.read_patch(&patch).await.map_err(reading())?;
    let length = content.data.len();
    let part = within(range.unwrap_or((0, None)), length as u64, "file")?;
    // Both ends are at most the length, which is a usize.
    let [start, end] = [part.start, part.end].map(|at| usize::try_from(at).unwrap_or(length));
    target.write(&content.data[start..end])
}

async fn get_blob(
    client: &WalrusClient,
    id: &BlobId,
    target: &Target<'_>,
    range: Option<(u64, Option<u64>)>,
) -> Result<(), Failure> {
    let reading = || client_failure("the blob cannot be read");
    let progress = Progress::new();
    progress.show("reading");
    let Some(range) = range else {
        let blob = client.read_blob(id, Consistency::Default).await.map_err(reading())?;
        drop(progress);
        return target.write(&blob);
    };
    let length = client.metadata(id).await.map_err(reading())?.unencoded_length();
    let range = within(range, length, "blob")?;
    let (start, total) = (range.start, range.end - range.start);
    let mut out = target.open()?;
    for part in parts(range) {
        let end = part.end;
        let bytes = client.read_range(id, part).await.map_err(reading())?;
        out.write_all(&bytes).map_err(|error| target.failure(error))?;
        progress.bytes(end - start, total);
    }
    out.flush().map_err(|error| target.failure(error))
}

#[derive(Serialize)]
struct Patch<'a> {
    identifier: &'a str,
    patch_id: String,
    tags: &'a BTreeMap<String, String>,
}

async fn patches(quilt: BlobId, network: &NetworkArgs, json: bool) -> Result<(), Failure> {
    let client = connect(network).await?;
    let index = client.quilt_index(&quilt).await.map_err(client_failure("the quilt cannot be read"))?;
    let patches: Vec<Patch<'_>> = index
        .patches()
        .iter()
        .map(|patch| Patch { identifier: &patch.identifier, patch_id: patch.id(&quilt).to_string(), tags: &patch.tags })
        .collect();
    if json {
        return output::json(&patches);
    }
    for Patch { identifier, patch_id, tags } in patches {
        let tags: String = tags.iter().map(|(name, value)| format!("  {name}={value}")).collect();
        output::line(format!("{patch_id}  {identifier}{tags}"));
    }
    Ok(())
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
    fn sources() {
        let blob = BlobId([7; 32]);
        let patch = QuiltPatchId { quilt_id: blob, columns: 3..5 };
        assert!(matches!(Source::parse(&blob.to_string(), None), Ok(Source::Blob(id)) if id == blob));
        assert!(matches!(Source::parse(&patch.to_string(), None), Ok(Source::Patch(id)) if id == patch));
        let file = Source::parse(&blob.to_string(), Some("a/b"));
        assert!(matches!(file, Ok(Source::File(id, name)) if id == blob && name == "a/b"));
        for (id, file) in [("", None), ("abc", Some("a")), (&*patch.to_string(), Some("a"))] {
            assert_eq!(Source::parse(id, file).err().map(|error| error.code()), Some(Code::Usage), "{id} {file:?}");
        }
    }

    #[test]
    fn ranges() {
        for (range, length, expected) in [
            ((0, None), 0, Some(0..0)),
            ((3, None), 10, Some(3..10)),
            ((3, Some(10)), 10, Some(3..10)),
            ((10, None), 10, Some(10..10)),
            ((11, None), 10, None),
            ((0, Some(11)), 10, None),
        ] {
            assert_eq!(within(range, length, "blob").ok(), expected, "{range:?} of {length}");
        }
        assert_eq!(parse_range("0-10").unwrap(), (0, Some(10)));
        assert_eq!(parse_range("5-").unwrap(), (5, None));
        for text in ["", "5", "-5", "10-5", "a-b", "1-2-3"] {
            assert_eq!(parse_range(text).unwrap_err().code(), Code::Usage, "{text}");
        }
        assert_eq!(parts(0..0).count(), 0);
        assert_eq!(parts(1..STEP + 2).collect::<Vec<_>>(), [1..STEP + 1, STEP + 1..STEP + 2]);
    }
}
