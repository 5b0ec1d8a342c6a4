//! Bringing a drive's packs back into its storage pool: when the storage has ended, and a new pool took its place.
//!
//! A blob id is a hash of the blob's content, so a pack that is stored again is the pack that the tree names, and nothing in the
//! tree changes. What this machine still has is read from its cache, the rest from nodes that still serve it. Before anything is
//! registered the encoded bytes must have the id that the pack table names, so neither cache nor nodes need be trusted.
//!
//! Stopping anywhere is harmless: what the pool holds by then is not stored again.

use super::Subject;
use super::scan::each;
use crate::cache::{Check, PackReader};
use crate::drive::{CertifiedBlob, DriveClient};
use crate::error::{FsError, FsResult, Kind};
use crate::pack::PackRef;
use crate::sync::{Network, StoredBlob};
use crate::tree::record::{Key, PackEntry, Record, Space};
use bytes::Bytes;
use redstuff::Encoded;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;

/// What this machine has of some packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Packs.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of the packs, those that this machine's cache has whole.
    pub whole_packs: u64,
    /// Their bytes.
    pub whole_bytes: u64,
}

/// A pack that could not be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostPack {
    /// Its number in the pack table.
    pub pack: u64,
    /// Its blob id, hexadecimal.
    pub blob: String,
    /// Sealed bytes in it that the drive still refers to.
    pub live_bytes: u64,
    /// Why.
    pub why: String,
}

/// What was brought back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Revived {
    /// Packs stored again.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that nobody has any more.
    pub lost: Vec<LostPack>,
}

/// The packs with content that the drive refers to, whose blobs are not in `held`.
///
/// # Errors
/// When the pack table cannot be read.
pub async fn missing(subject: Subject<'_>, held: &HashSet<[u8; 32]>) -> FsResult<Vec<(u64, PackEntry)>> {
    let mut found = Vec::new();
    let (from, to) = (Key::first_of(Space::Table), Key::first_of(Space::Files));
    each(subject, &from, Some(&to), |key, record| {
        if let Record::Pack(entry) = record
            && entry.live > 0
            && !entry.is_lost()
            && !held.contains(&entry.blob_id)
        {
            found.push((key.num, entry.clone()));
        }
    })
    .await?;
    Ok(found)
}

/// What this machine's cache has of `packs`. Never asks the network.
///
/// # Errors
/// When the table names an impossible pack.
pub fn kept(reader: &PackReader, packs: &[(u64, PackEntry)]) -> FsResult<Kept> {
    let mut sum = Kept::default();
    for (_, entry) in packs {
        sum.packs += 1;
        sum.bytes = sum.bytes.saturating_add(entry.size);
        let slivers = reader.slivers(&entry.as_ref(), 0..entry.size)?;
        if slivers.iter().all(|key| reader.cache().may_hold(*key)) {
            sum.whole_packs += 1;
            sum.whole_bytes = sum.whole_bytes.saturating_add(entry.size);
        }
    }
    Ok(sum)
}

/// Stores `packs` in the drive's pool and certifies them; `progress` is told how many are done.
///
/// # Errors
/// What the chain, the wallet or the pool refused; [`Kind::Unreachable`] when the nodes do not take a pack. A pack that cannot be
/// read is no error: it is in [`Revived::lost`].
pub async fn bring_back(
    reader: &PackReader,
    network: &dyn Network,
    drive: &DriveClient,
    packs: &[(u64, PackEntry)],
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> FsResult<Revived> {
    let mut revived = Revived::default();
    for (nth, (number, entry)) in packs.iter().enumerate() {
        progress(nth as u64, packs.len() as u64);
        match encoded(reader, network, entry).await {
            Ok(encoded) => {
                let stored = network.store(encoded, Arc::new(|| {})).await?;
                if let Err(error) = certify(drive, &stored).await {
                    // An epoch may have begun since the nodes confirmed it.
                    tracing::info!(%error, "a pack is confirmed anew");
                    certify(drive, &network.store_again(&stored, Arc::new(|| {})).await?).await?;
                }
                revived.packs += 1;
                revived.bytes = revived.bytes.saturating_add(entry.size);
            }
            Err(error) => revived.lost.push(LostPack {
                pack: *number,
                blob: hex::encode(entry.blob_id),
                live_bytes: entry.live,
                why: error.to_string(),
            }),
        }
    }
    Ok(revived)
}

async fn certify(drive: &DriveClient, blob: &StoredBlob) -> FsResult<()> {
    drive.certify(&[CertifiedBlob { blob_id: blob.blob_id, certificate: blob.certificate.clone() }]).await
}

/// The pack, encoded, if it is the one that the table names.
async fn encoded(reader: &PackReader, network: &dyn Network, entry: &PackEntry) -> FsResult<Arc<Encoded<Bytes>>> {
    let pack: PackRef = entry.as_ref();
    let bytes = reader.read(pack.blob_id, entry.size, 0..entry.size, Check::Tag).await?;
    let encoded = network.encode(bytes).await?;
    if encoded.blob_id().0 == pack.blob_id {
        return Ok(encoded);
    }
    // Something in the cache was not checked when it was read, and is wrong: only what verifies counts now.
    let bytes = reader.read(pack.blob_id, entry.size, 0..entry.size, Check::Hash).await?;
    let encoded = network.encode(bytes).await?;
    if encoded.blob_id().0 == pack.blob_id {
        return Ok(encoded);
    }
    let blob = hex::encode(pack.blob_id);
    Err(FsError::new(Kind::Corrupt, format!("what could be read of blob {blob} is not the blob")))
}
