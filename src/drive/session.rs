//! A wallet on a network: where drives are found and unlocked.

use super::failure::chain_error;
use super::keep::{KeysFolder, Seen};
use super::object::DriveObject;
use super::seal;
use crate::crypto::slots::{self, SlotPlace, SlotSecret};
use crate::crypto::{KeyRing, MasterKey};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{DriveUid, Sequence};
use crate::seam::{Clock, Random};
use std::sync::Arc;
use std::time::Duration;
use sui_sdk_types::{Address, StructTag, TypeTag};
use walrus_client::chain::{Chain, ObjectInfo, Owner, WalrusState};
use walrus_client::executor::Executor;
use walrus_client::tx::type_tag;

/// Prices and the epoch are read again when they are older than this: both change only with epochs and votes, and the
/// chain has the last word on either.
const MAX_STATE_AGE: Duration = Duration::from_secs(60);

/// What every drive of one wallet on one network needs. Clones share everything.
#[derive(Clone)]
pub struct Session {
    /// Signs and sends.
    pub executor: Arc<Executor>,
    /// The package with the module `drive`.
    pub package: Address,
    /// Key files and the highest sequences seen.
    pub keys: KeysFolder,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// What may open a drive, beside its key file in the keys folder.
#[derive(Debug, Default)]
pub struct Secrets(pub Vec<SlotSecret>);

/// A drive of the wallet, as `drive list` shows it.
#[derive(Clone, Debug)]
pub struct DriveSummary {
    /// Object id.
    pub id: Address,
    /// The drive's own name.
    pub uid: DriveUid,
    /// Its label; `None` when no secret at hand opens it.
    pub label: Option<String>,
    /// Its sequence.
    pub sequence: Sequence,
}

/// A drive that was decoded, unlocked and verified.
pub(super) struct Unlocked {
    pub(super) object: DriveObject,
    pub(super) keys: KeyRing,
    pub(super) facts: seal::SealFacts,
    pub(super) label: String,
}

impl Session {
    /// A session of the executor's wallet. [`Kind::Internal`] when the network names no Drive package.
    pub fn new(
        executor: Arc<Executor>,
        keys: KeysFolder,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> FsResult<Self> {
        let network = executor.chain().network();
        let package = network.drive_package.ok_or_else(|| {
            FsError::new(
                Kind::Internal,
                format!(
                    "the network {} names no Drive package: set drive_package in its network file, or put the package there \
                     (`walrusfs contract publish`)",
                    network.name
                ),
            )
        })?;
        Ok(Self { executor, package, keys, clock, random })
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        self.executor.chain()
    }

    /// The wallet's address: who owns the drives.
    pub fn owner(&self) -> Address {
        self.executor.wallet().address()
    }

    pub(super) async fn walrus(&self) -> FsResult<Arc<WalrusState>> {
        let state = self.chain().state_within(MAX_STATE_AGE).await;
        state.map_err(|error| chain_error("cannot read the state of Walrus", error))
    }

    fn drive_type(&self) -> FsResult<StructTag> {
        match type_tag(self.package, "drive", "Drive") {
            Ok(TypeTag::Struct(tag)) => Ok(*tag),
            Ok(_) => Err(FsError::new(Kind::Internal, "the type of a Drive is no struct")),
            Err(error) => Err(chain_error("the type of a Drive", error)),
        }
    }

    /// Decodes `info` when it is a Drive of this network's package.
    pub(super) fn decode(&self, info: &ObjectInfo) -> FsResult<DriveObject> {
        if info.object_type.as_ref() != Some(&self.drive_type()?) {
            return Err(FsError::new(
                Kind::Posix(libc::ENOENT),
                format!("object {} is no drive of this network's package {}", info.id, self.package),
            ));
        }
        let object = DriveObject::decode(&info.contents)?;
        if object.id != *info.id.inner() {
            return Err(FsError::new(Kind::Corrupt, format!("object {} has the contents of another", info.id)));
        }
        Ok(object)
    }

    /// The Drives that the wallet owns, sealed as they are.
    pub(super) async fn owned(&self) -> FsResult<Vec<(ObjectInfo, DriveObject)>> {
        let (owner, tag) = (self.owner(), self.drive_type()?);
        let found = self.chain().transport().owned_objects(&owner, &tag).await;
        let found = found.map_err(|error| chain_error("cannot list the drives of the wallet", error))?;
        let mut drives = Vec::new();
        for info in found {
            if info.owner != Owner::Address(owner) {
                continue;
            }
            match self.decode(&info) {
                Ok(object) => drives.push((info, object)),
                Err(error) => tracing::warn!(id = %info.id, %error, "an object of the wallet is no usable drive"),
            }
        }
        drives.sort_by_key(|(info, _)| info.id);
        Ok(drives)
    }

    /// The drives of the wallet, with the labels of those that the key files (and `secrets`) open.
    pub async fn list(&self, secrets: &Secrets) -> FsResult<Vec<DriveSummary>> {
        let mut drives = Vec::new();
        for (info, object) in self.owned().await? {
            let label = match self.unlock(object.clone(), secrets) {
                Ok(unlocked) => Some(unlocked.label),
                Err(error) => {
                    tracing::debug!(id = %info.id, %error, "a drive stays locked");
                    None
                }
            };
            drives.push(DriveSummary { id: info.id, uid: object.uid, label, sequence: object.sequence });
        }
        Ok(drives)
    }

    /// Unlocks `object` through a slot, then believes it only if its seal matches.
    pub(super) fn unlock(&self, object: DriveObject, secrets: &Secrets) -> FsResult<Unlocked> {
        let (epoch_slot, master) = self.unwrap_master(&object, secrets)?;
        let mut keys = KeyRing::new(object.uid, object.keys[epoch_slot].key_epoch, master, self.random.clone());
        keys.unchain(&object.keyring)?;
        self.believe(object, keys)
    }

    /// Checks the seal and opens what it covers.
    pub(super) fn believe(&self, object: DriveObject, keys: KeyRing) -> FsResult<Unlocked> {
        let facts = seal::verify(&object, &keys)?;
        let label = seal::open_label(&keys, &object.label)?;
        Ok(Unlocked { object, keys, facts, label })
    }

    /// Keeps the sequence of a verified drive; refuses an older one than was seen before.
    pub(super) fn witness(&self, object: &DriveObject) -> FsResult<()> {
        let seen = Seen { sequence: object.sequence, seal: seal::hash(&object.seal) };
        self.keys.witness(&object.uid, seen)
    }

    fn unwrap_master(&self, object: &DriveObject, secrets: &Secrets) -> FsResult<(usize, MasterKey)> {
        let kept = self.keys.key_file(&object.uid)?.map(SlotSecret::KeyFile);
        let mut last = None;
        for secret in kept.iter().chain(&secrets.0) {
            for (at, slot) in object.keys.iter().enumerate() {
                if slot.kind != secret.kind() as u8 {
                    continue;
                }
                let place = SlotPlace { uid: object.uid, index: slot.index, key_epoch: slot.key_epoch };
                match slots::unwrap(slot.kind, &slot.body, place, secret) {
                    Ok(master) => return Ok((at, master)),
                    Err(error) => last = Some(error),
                }
            }
        }
        Err(last.unwrap_or_else(|| {
            let kinds: Vec<&str> = object
                .keys
                .iter()
                .filter_map(|slot| slots::SlotKind::from_number(slot.kind))
                .map(slots::SlotKind::name)
                .collect();
            FsError::new(
                Kind::WrongKey,
                format!(
                    "no key for this drive: it opens with {}; put its key file at {} or give its passphrase",
                    kinds.join(" or "),
                    self.keys.key_path(&object.uid).display()
                ),
            )
        }))
    }
}
