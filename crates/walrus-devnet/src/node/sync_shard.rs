//! `POST /v1/migrate/sync_shard`: slivers of a shard for the node that takes it over.
//!
//! The body is signed with the caller's BLS key; the message is
//! `03 00 03, epoch u32, 00, shard u16, axis u8, starting blob id, sliver count u64, epoch u32`.

use bytes::Bytes;
use redstuff::{Axis, BlobId, ShardIndex};
use walrus_client::wire::bls::{BlsPublicKey, BlsSignature};

use super::error::ApiError;
use super::service::StorageNode;
use super::symbols::put_uleb;

/// Slivers that one request may ask for.
const MAX_SLIVERS: u64 = 100_000;
/// An answer stops growing here, whatever was asked for: it is built in memory.
const MAX_ANSWER: usize = 64 << 20;
const MESSAGE: usize = 3 + 4 + 1 + 2 + 1 + 32 + 8 + 4;

/// The signed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SyncShard {
    epoch: u32,
    shard: ShardIndex,
    axis: Axis,
    start: BlobId,
    count: u64,
}

impl SyncShard {
    fn parse(message: &[u8]) -> Option<Self> {
        let message: &[u8; MESSAGE] = message.try_into().ok()?;
        if message[..3] != [3, 0, 3] || message[7] != 0 {
            return None;
        }
        let epoch = u32::from_le_bytes(message[3..7].try_into().ok()?);
        let inner_epoch = u32::from_le_bytes(message[51..55].try_into().ok()?);
        let axis = match message[10] {
            0 => Axis::Primary,
            1 => Axis::Secondary,
            _ => return None,
        };
        (epoch == inner_epoch).then_some(Self {
            epoch,
            shard: ShardIndex::new(u16::from_le_bytes(message[8..10].try_into().ok()?)),
            axis,
            start: BlobId(message[11..43].try_into().ok()?),
            count: u64::from_le_bytes(message[43..51].try_into().ok()?),
        })
    }
}

/// Splits BCS `SignedMessage`: `ULEB length, message, signature [96]`. The message is 55 bytes, so its length is one byte.
fn split_signed(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first()?;
    let (message, signature) = rest.split_at_checked(usize::from(*length))?;
    (*length < 0x80 && signature.len() == 96).then_some((message, signature))
}

impl StorageNode {
    /// The endpoint, for the holder of BLS key `caller`.
    pub(crate) async fn sync_shard(&self, caller: [u8; 48], body: Bytes) -> Result<Vec<u8>, ApiError> {
        let placement = self.placement();
        let (message, signature) = split_signed(&body).ok_or_else(ApiError::undecodable)?;
        let member = placement
            .members
            .iter()
            .find(|member| member.bls_public_key == caller)
            .ok_or_else(|| ApiError::unauthorized("the caller is not a node of the committee"))?;
        let key = BlsPublicKey::from_compressed(&caller).map_err(ApiError::message_verification)?;
        let signature = BlsSignature::from_bytes(signature).map_err(ApiError::message_verification)?;
        key.verify(message, &signature).map_err(ApiError::message_verification)?;
        let request = SyncShard::parse(message)
            .ok_or_else(|| ApiError::message_verification("the message is not a sync shard request"))?;
        if request.epoch != placement.epoch {
            return Err(ApiError::invalid_epoch(request.epoch, placement.epoch));
        }
        if !member.shards.contains(&request.shard.get()) {
            return Err(ApiError::unauthorized("the shard does not belong to the caller"));
        }
        if request.count > MAX_SLIVERS {
            return Err(ApiError::too_many_slivers(MAX_SLIVERS));
        }
        if !placement.readable(request.shard) {
            return Err(ApiError::shard_not_assigned(request.shard.get(), placement.epoch));
        }
        let node = self.clone();
        self.inner.limits.disk(move || node.slivers_of(request)).await?
    }

    fn slivers_of(&self, request: SyncShard) -> Result<Vec<u8>, ApiError> {
        let placement = self.placement();
        let mut ids = self.inner.store.ids()?;
        ids.sort_unstable();
        let mut slivers = Vec::new();
        let mut count = 0usize;
        for id in ids.into_iter().filter(|id| *id >= request.start) {
            if count as u64 >= request.count || slivers.len() >= MAX_ANSWER {
                break;
            }
            let certified = self.live(&id, placement.epoch)?.iter().any(|held| held.certified_epoch.is_some());
            if !certified || self.invalid_event(&id).is_some() {
                continue;
            }
            let pair = request.shard.pair(&id, &placement.params);
            if let Some(bcs) = self.inner.store.blob(&id).sliver(request.axis, pair)? {
                slivers.extend_from_slice(id.as_bytes());
                slivers.push(match request.axis {
                    Axis::Primary => 0,
                    Axis::Secondary => 1,
                });
                slivers.extend_from_slice(&bcs);
                count += 1;
            }
        }
        let mut answer = vec![0];
        put_uleb(&mut answer, count);
        answer.extend_from_slice(&slivers);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_message_parses() {
        let mut message = vec![3, 0, 3];
        message.extend_from_slice(&7u32.to_le_bytes());
        message.push(0);
        message.extend_from_slice(&12u16.to_le_bytes());
        message.push(1);
        message.extend_from_slice(&[9; 32]);
        message.extend_from_slice(&100u64.to_le_bytes());
        message.extend_from_slice(&7u32.to_le_bytes());
        let parsed = SyncShard::parse(&message).unwrap();
        let shard = ShardIndex::new(12);
        assert_eq!(parsed, SyncShard { epoch: 7, shard, axis: Axis::Secondary, start: BlobId([9; 32]), count: 100 });
        for at in [0, 1, 2, 7, 10, 54] {
            let mut wrong = message.clone();
            wrong[at] ^= 0x40;
            assert_eq!(SyncShard::parse(&wrong), None, "byte {at}");
        }
        assert_eq!(SyncShard::parse(&message[..54]), None);
        let mut body = vec![55];
        body.extend_from_slice(&message);
        assert_eq!(split_signed(&body), None);
        body.extend_from_slice(&[0; 96]);
        assert_eq!(split_signed(&body).unwrap().0, message);
    }
}
