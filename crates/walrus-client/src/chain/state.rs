//! The state of Walrus on the chain as one consistent reading, and its cache.
//!
//! Mechanism: from the configured System id everything else is found as the contracts' own clients find it: the type of
//! the System object names the *original* package (types), its field names the package to *call*, its version is the
//! key of the dynamic field with the inner state; types that later versions added are looked up in the type origins of
//! the package to call. System and Staking are two objects: a reading counts only if their epochs agree.

use super::{ChainTransport, Committee, ObjectInfo, Owner, TypeOrigin};
use crate::error::{ClientError, ClientResult};
use crate::network::NetworkConfig;
use crate::wire::chain::{
    Coin, Committee as ShardAssignment, EpochState, Field, ObjectId, Staking, StakingInnerV1, StakingPool, System,
    SystemStateInnerV1, encoded_size, units, versioned_field_id,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use sui_sdk_types::{Address, Identifier, StructTag, TypeTag};
use tokio::time::Instant;

/// How often a reading is repeated when an epoch change falls into it.
const CONSISTENCY_ATTEMPTS: usize = 5;
/// A cached state that is older is read again in the background.
const REFRESH_AFTER: Duration = Duration::from_secs(30);

/// The packages of the Walrus contracts.
#[derive(Clone, Debug)]
pub struct Packages {
    /// The first version: the id in the types that existed then.
    pub original: ObjectId,
    /// The version to call.
    pub call: ObjectId,
    origins: HashMap<(String, String), ObjectId>,
}

impl Packages {
    /// From what the chain says about the package to call.
    pub fn new(original: ObjectId, call: ObjectId, origins: Vec<TypeOrigin>) -> Self {
        let origins = origins.into_iter().map(|origin| ((origin.module, origin.name), origin.package)).collect();
        Self { original, call, origins }
    }

    /// The type `module::name`, under the package that first defined it.
    pub fn type_of(&self, module: &str, name: &str) -> ClientResult<StructTag> {
        let origin = self.origins.get(&(module.to_owned(), name.to_owned())).copied().unwrap_or(self.original);
        struct_tag(origin, module, name, Vec::new())
    }
}

/// A type from its parts.
pub(crate) fn struct_tag(
    package: Address,
    module: &str,
    name: &str,
    parameters: Vec<TypeTag>,
) -> ClientResult<StructTag> {
    let identifier =
        |text: &str| Identifier::new(text).map_err(|_| ClientError::Invalid(format!("{text:?} is no Move identifier")));
    Ok(StructTag::new(package, identifier(module)?, identifier(name)?, parameters))
}

/// An object that everybody may use, as transactions refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedObject {
    /// Its id.
    pub id: ObjectId,
    /// The version at which it was shared.
    pub initial_version: u64,
}

impl SharedObject {
    /// From an object whose owner says that it is shared.
    pub fn of(object: &ObjectInfo) -> ClientResult<Self> {
        match object.owner {
            Owner::Shared { initial_version } => Ok(Self { id: object.id, initial_version }),
            _ => Err(ClientError::bad(format!("object {}", object.id), "it is not shared")),
        }
    }
}

/// One consistent reading of Walrus.
#[derive(Clone, Debug)]
pub struct WalrusState {
    /// The System object.
    pub system: SharedObject,
    /// The Staking object.
    pub staking: SharedObject,
    /// Packages and types.
    pub packages: Packages,
    /// The coin type of WAL.
    pub wal_type: TypeTag,
    /// Where the epoch machine stands.
    pub epoch_state: EpochState,
    /// Milliseconds of one epoch.
    pub epoch_duration_ms: u64,
    /// The nodes of this epoch.
    pub committee: Arc<Committee>,
    /// The nodes of the previous epoch; present while shards are moving.
    pub previous: Option<Arc<Committee>>,
    /// FROST per unit of encoded size and epoch.
    pub storage_price: u64,
    /// FROST per unit of encoded size.
    pub write_price: u64,
    /// How many epochs can be bought ahead.
    pub max_epochs_ahead: u32,
    /// Encoded bytes that the network offers and has sold, in this epoch.
    pub capacity: (u64, u64),
    read_at: Instant,
}

impl WalrusState {
    /// The Walrus epoch.
    pub fn epoch(&self) -> u32 {
        self.committee.epoch
    }

    /// The number of shards.
    pub fn n_shards(&self) -> u16 {
        self.committee.params().n_shards()
    }

    /// The encoded size in bytes of a blob of `size` bytes: what it takes from a pool or reservation.
    pub fn encoded_size(&self, size: u64) -> ClientResult<u64> {
        encoded_size(size, self.n_shards())
            .ok_or_else(|| ClientError::Invalid(format!("a blob of {size} bytes is larger than this network takes")))
    }

    /// FROST for storing `encoded` bytes for `epochs` epochs, rounded as the contract rounds.
    pub fn storage_cost(&self, encoded: u64, epochs: u32) -> ClientResult<u64> {
        self.storage_price
            .checked_mul(units(encoded))
            .and_then(|cost| cost.checked_mul(u64::from(epochs)))
            .ok_or_else(|| ClientError::Invalid(format!("{encoded} bytes for {epochs} epochs cost too much to count")))
    }

    /// FROST for registering a blob of `size` bytes.
    pub fn write_cost(&self, size: u64) -> ClientResult<u64> {
        self.write_price
            .checked_mul(units(self.encoded_size(size)?))
            .ok_or_else(|| ClientError::Invalid(format!("writing {size} bytes costs too much to count")))
    }

    /// The committee to read a blob from that was certified in `certified_epoch` (unknown: any).
    pub fn read_committee(&self, certified_epoch: Option<u32>) -> &Arc<Committee> {
        match (&self.previous, certified_epoch) {
            (Some(previous), Some(epoch)) if epoch < self.epoch() => previous,
            _ => &self.committee,
        }
    }

    /// The coin type of one WAL coin object.
    pub fn wal_coin(&self) -> StructTag {
        StructTag::coin(self.wal_type.clone())
    }

    /// When this was read.
    pub fn age(&self) -> Duration {
        self.read_at.elapsed()
    }
}

/// Reads the chain; clones share transport and cache.
#[derive(Clone)]
pub struct Chain {
    transport: Arc<dyn ChainTransport>,
    network: Arc<NetworkConfig>,
    cached: Arc<Mutex<Option<Arc<WalrusState>>>>,
    refreshing: Arc<tokio::sync::Mutex<()>>,
    changes: Arc<tokio::sync::watch::Sender<u32>>,
}

impl Chain {
    /// A reader of `network` over `transport`.
    pub fn new(transport: Arc<dyn ChainTransport>, network: NetworkConfig) -> Self {
        Self {
            transport,
            network: Arc::new(network),
            cached: Arc::default(),
            refreshing: Arc::default(),
            changes: Arc::new(tokio::sync::watch::Sender::new(0)),
        }
    }

    /// The transport below.
    pub fn transport(&self) -> &Arc<dyn ChainTransport> {
        &self.transport
    }

    /// The network's configuration.
    pub fn network(&self) -> &NetworkConfig {
        &self.network
    }

    /// The cached state, read now if there is none. One that has grown old is still returned, and read again beside.
    pub async fn state(&self) -> ClientResult<Arc<WalrusState>> {
        let Some(state) = self.cached.lock().clone() else { return self.refresh().await };
        if state.age() > REFRESH_AFTER && self.refreshing.try_lock().is_ok() {
            let chain = self.clone();
            tokio::spawn(async move {
                if let Err(error) = chain.refresh().await {
                    tracing::debug!(%error, "the state of Walrus could not be read again");
                }
            });
        }
        Ok(state)
    }

    /// The state, read again if the cached one is older than `age`.
    pub async fn state_within(&self, age: Duration) -> ClientResult<Arc<WalrusState>> {
        match self.cached.lock().clone() {
            Some(state) if state.age() <= age => return Ok(state),
            _ => {}
        }
        self.refresh().await
    }

    /// Reads the state now: what comes back was read after the call. Callers that wait for each other share a reading.
    pub async fn refresh(&self) -> ClientResult<Arc<WalrusState>> {
        let asked = Instant::now();
        let _one_at_a_time = self.refreshing.lock().await;
        if let Some(state) = self.cached.lock().clone()
            && state.read_at > asked
        {
            return Ok(state);
        }
        let state = Arc::new(self.read().await?);
        *self.cached.lock() = Some(state.clone());
        self.changes.send_if_modified(|epoch| std::mem::replace(epoch, state.epoch()) != state.epoch());
        Ok(state)
    }

    /// Tells when the epoch that this client knows changes.
    pub fn epoch_changes(&self) -> tokio::sync::watch::Receiver<u32> {
        self.changes.subscribe()
    }

    /// One object; an error if it does not exist.
    pub async fn object(&self, id: &ObjectId) -> ClientResult<ObjectInfo> {
        let ids = [*id];
        self.transport
            .objects(&ids)
            .await?
            .pop()
            .flatten()
            .ok_or_else(|| ClientError::NotFound { what: format!("object {id}") })
    }

    /// The newest version of an object that at least `min_answers` servers' answers contain (or all servers, where fewer
    /// are configured): for a reader that has never seen the object.
    pub async fn object_from_many(&self, id: &ObjectId, min_answers: usize) -> ClientResult<ObjectInfo> {
        let answers = self.transport.object_everywhere(id).await;
        let needed = min_answers.min(answers.len());
        let (mut good, mut newest, mut last_error) = (0, None::<ObjectInfo>, None);
        for answer in answers {
            match answer {
                Ok(found) => {
                    good += 1;
                    if let Some(found) = found
                        && newest.as_ref().is_none_or(|known| known.version < found.version)
                    {
                        newest = Some(found);
                    }
                }
                Err(error) => last_error = Some(error),
            }
        }
        match (newest, last_error) {
            (_, Some(error)) if good < needed => Err(error),
            (Some(found), _) => Ok(found),
            (None, _) => Err(ClientError::NotFound { what: format!("object {id}") }),
        }
    }

    /// The value of the dynamic field at `field_id` (see `wire::chain::*_field_id`).
    pub async fn dynamic_field<K, V>(&self, field_id: &ObjectId) -> ClientResult<Field<K, V>>
    where
        K: serde::de::DeserializeOwned,
        V: serde::de::DeserializeOwned,
    {
        self.object(field_id).await?.decode()
    }

    /// All coins of `owner` of one type, largest first.
    pub async fn coins(&self, owner: &Address, coin_type: &TypeTag) -> ClientResult<Vec<(ObjectInfo, u64)>> {
        let tag = StructTag::coin(coin_type.clone());
        let mut coins = Vec::new();
        for object in self.transport.owned_objects(owner, &tag).await? {
            // The filter is the server's; the type in the answer is what counts.
            if object.object_type.as_ref() == Some(&tag) && object.owner == Owner::Address(*owner) {
                let balance = object.decode::<Coin>()?.balance;
                coins.push((object, balance));
            }
        }
        coins.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.id.cmp(&b.0.id)));
        Ok(coins)
    }

    /// The sum of the coins of `owner` of one type.
    pub async fn balance(&self, owner: &Address, coin_type: &TypeTag) -> ClientResult<u64> {
        let coins = self.coins(owner, coin_type).await?;
        Ok(coins.iter().fold(0u64, |sum, (_, balance)| sum.saturating_add(*balance)))
    }

    async fn read(&self) -> ClientResult<WalrusState> {
        let mut last = None;
        for _ in 0..CONSISTENCY_ATTEMPTS {
            match self.read_once().await? {
                Ok(state) => return Ok(state),
                Err(disagreement) => last = Some(disagreement),
            }
            tokio::time::sleep(crate::retry::jittered(Duration::from_millis(200))).await;
        }
        Err(ClientError::bad("state of Walrus", last.unwrap_or_default()))
    }

    /// One reading; the inner error says that an epoch change fell into it.
    async fn read_once(&self) -> ClientResult<Result<WalrusState, String>> {
        let read_at = Instant::now();
        let ids = [self.network.system_object, self.network.staking_object];
        let [system_object, staking_object] = self.exactly(&ids).await?;
        if !system_object.is_type("system", "System") || !staking_object.is_type("staking", "Staking") {
            return Err(ClientError::Invalid(format!(
                "{} is no Walrus System object or {} no Staking object: check system_object and staking_object",
                ids[0], ids[1]
            )));
        }
        let original = match &system_object.object_type {
            Some(tag) => *tag.address(),
            None => return Err(ClientError::bad("the System object", "it has no type")),
        };
        let system: System = system_object.decode()?;
        let staking: Staking = staking_object.decode()?;
        let fields = [versioned_field_id(&ids[0], system.version), versioned_field_id(&ids[1], staking.version)];
        let [system_field, staking_field] = match self.exactly(&fields).await {
            Ok(found) => found,
            Err(ClientError::NotFound { what }) => {
                return Ok(Err(format!("{what} does not exist: an upgrade is under way")));
            }
            Err(error) => return Err(error),
        };
        let inner: SystemStateInnerV1 = system_field.decode::<Field<u64, SystemStateInnerV1>>()?.value;
        let staked: StakingInnerV1 = staking_field.decode::<Field<u64, StakingInnerV1>>()?.value;
        if inner.committee.epoch != staked.epoch || inner.committee.n_shards != staked.n_shards {
            return Ok(Err(format!("system is in epoch {}, staking in {}", inner.committee.epoch, staked.epoch)));
        }
        let moving = matches!(staked.epoch_state, EpochState::EpochChangeSync(_)) && staked.epoch > 1;
        let previous = moving.then_some(&staked.previous_committee).filter(|c| !c.contents.is_empty());
        let pools = self.pools(&staked.committee, previous).await?;
        let committee =
            Committee::assemble(staked.epoch, staked.n_shards, &staked.committee, Some(&inner.committee), &pools)?;
        let previous = previous
            .map(|assignment| Committee::assemble(staked.epoch - 1, staked.n_shards, assignment, None, &pools))
            .transpose()?;
        let packages = self.packages(original, system.package_id).await?;
        Ok(Ok(WalrusState {
            system: SharedObject::of(&system_object)?,
            staking: SharedObject::of(&staking_object)?,
            wal_type: self.wal_type(&packages).await?,
            packages,
            epoch_state: staked.epoch_state,
            epoch_duration_ms: staked.epoch_duration,
            committee: Arc::new(committee),
            previous: previous.map(Arc::new),
            storage_price: inner.storage_price_per_unit_size,
            write_price: inner.write_price_per_unit_size,
            max_epochs_ahead: inner.future_accounting.length,
            capacity: (inner.total_capacity_size, inner.used_capacity_size),
            read_at,
        }))
    }

    /// Objects that must all exist.
    async fn exactly<const N: usize>(&self, ids: &[ObjectId; N]) -> ClientResult<[ObjectInfo; N]> {
        let found = self.transport.objects(ids).await?;
        let mut present = Vec::with_capacity(N);
        for (id, object) in ids.iter().zip(found) {
            present.push(object.ok_or_else(|| ClientError::NotFound { what: format!("object {id}") })?);
        }
        present.try_into().map_err(|_| ClientError::bad("objects", "another number than was asked for"))
    }

    async fn pools(
        &self,
        current: &ShardAssignment,
        previous: Option<&ShardAssignment>,
    ) -> ClientResult<HashMap<ObjectId, StakingPool>> {
        let members = current.contents.iter().chain(previous.into_iter().flat_map(|c| &c.contents));
        let mut ids: Vec<ObjectId> = members.map(|(id, _)| *id).collect();
        ids.sort();
        ids.dedup();
        let mut pools = HashMap::new();
        for (id, object) in ids.iter().zip(self.transport.objects(&ids).await?) {
            let object = object.ok_or_else(|| ClientError::NotFound { what: format!("staking pool {id}") })?;
            pools.insert(*id, object.decode::<StakingPool>()?);
        }
        Ok(pools)
    }

    /// Packages never change: type origins are asked for once for each package to call.
    async fn packages(&self, original: ObjectId, call: ObjectId) -> ClientResult<Packages> {
        if let Some(known) = self.cached.lock().as_ref()
            && known.packages.call == call
            && known.packages.original == original
        {
            return Ok(known.packages.clone());
        }
        Ok(Packages::new(original, call, self.transport.type_origins(&call).await?))
    }

    async fn wal_type(&self, packages: &Packages) -> ClientResult<TypeTag> {
        if let Some(configured) = self.network.parsed_wal_type()? {
            return Ok(configured);
        }
        if let Some(known) = self.cached.lock().as_ref() {
            return Ok(known.wal_type.clone());
        }
        let text = self.transport.parameter_type_argument(&packages.call, "staking", "stake_with_pool", 1).await?;
        text.parse().map_err(|_| ClientError::bad("the type of WAL", format!("{text:?} is no type")))
    }
}
