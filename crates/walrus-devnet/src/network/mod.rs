//! The network as one thing: a chain, its storage nodes and a faucet under one directory.
//!
//! Mechanism: [`Devnet::start`] takes the directory's lock, opens (or makes) chain and nodes, binds their ports and serves.
//! Ports are chosen free at first start and kept in `network.json`; when one is taken at restart a new one is chosen and,
//! for a node, its address on the chain is updated.
//!
//! Promises: everything but faults and counters survives `kill -9`. Assumes: a local filesystem with working `flock`.

mod options;
mod slot;
mod state;
mod status;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sui_sdk_types::Address;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use walrus_client::wire::message::proof_of_possession_message;

use crate::chain::{Chain, ChainError, EpochPhase, GenesisConfig, GenesisNode, NetworkIds};
use crate::fault::Fault;
use crate::node::{Limits, NodeKeys};
use slot::{Shared, Slot, node_name};
use state::NetworkState;

pub use options::Options;
pub use status::{NetworkStatus, NodeStatus};

/// A running local network. Dropping it stops everything; [`Devnet::shutdown`] also waits for it.
pub struct Devnet {
    dir: PathBuf,
    chain: Chain,
    ids: NetworkIds,
    rpc: SocketAddr,
    n_shards: u16,
    slots: Vec<Slot>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Held for the network's life; declared last, so that it is given up last.
    lock: Option<File>,
}

/// Why the network cannot start or do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// Another process runs the network of this directory.
    #[error("{0} is in use by another walrusfs process; `walrusfs devnet down` ends it")]
    Locked(PathBuf),
    /// The options contradict themselves or what was stored at first start.
    #[error("{0}")]
    Options(String),
    /// A file or a socket failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, on which path or address.
        what: String,
        /// What happened.
        source: io::Error,
    },
    /// A file of the network has contents that this program did not write.
    #[error(
        "{what}: {reason}; restore the file, or remove the devnet directory to start a new network (its data is lost)"
    )]
    Damaged {
        /// Which file.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The chain refused or failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// There is no node with this index.
    #[error("there is no node {index}: the nodes are 0 to {}", nodes.saturating_sub(1))]
    NoSuchNode {
        /// The index asked for.
        index: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// The running network did not answer, or answered with an error.
    #[error("{0}")]
    Control(String),
}

impl DevnetError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Everything listens here.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long an epoch change may take once it began.
const EPOCH_PATIENCE: Duration = Duration::from_secs(120);
/// How long the chain may take to close its store.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

impl Devnet {
    /// Starts the network of `dir` (made if missing) and returns when chain and nodes answer. `options` shape a new network;
    /// of an existing one they change nothing.
    ///
    /// # Errors
    /// [`DevnetError::Locked`] when another process runs it; options, files, ports and the chain as their variants say.
    pub async fn start(dir: impl AsRef<Path>, options: Options) -> Result<Self, DevnetError> {
        let dir = dir.as_ref().to_owned();
        options.validate()?;
        let lock = lock(&dir)?;
        let mut state = NetworkState::open(&dir, &options)?;
        let chain_dir = dir.join("chain");
        if state.rpc_port == 0 && Chain::exists(&chain_dir) {
            let reason = "it is missing, but there is a chain".to_owned();
            return Err(DevnetError::Damaged { what: dir.join("network.json").display().to_string(), reason });
        }
        let rpc_listener = listen(state.rpc_port).await?;
        let mut listeners = Vec::with_capacity(state.node_ports.len());
        for port in &state.node_ports {
            listeners.push(listen(*port).await?);
        }
        let local = |listener: &TcpListener| listener.local_addr().map_err(DevnetError::io("a local address"));
        let rpc = local(&rpc_listener)?;
        let addresses = listeners.iter().map(local).collect::<Result<Vec<_>, _>>()?;
        state.rpc_port = rpc.port();
        state.node_ports = addresses.iter().map(SocketAddr::port).collect();
        state.save(&dir)?;

        let opening = {
            let (dir, options, addresses) = (dir.clone(), state.options(), addresses.clone());
            tokio::task::spawn_blocking(move || open(&dir, &options, &addresses))
        };
        let (chain, keys) = opening.await.map_err(|error| DevnetError::Control(error.to_string()))??;
        let ids = chain.ids()?;
        let shared = Shared { chain: Arc::new(chain.clone()), limits: Arc::new(Limits::default()) };
        let mut slots = Vec::with_capacity(keys.len());
        for (index, (keys, address)) in keys.iter().zip(&addresses).enumerate() {
            slots.push(Slot::new(index, &node_dir(&dir, index), keys, *address, shared.clone())?);
        }
        announce_addresses(&chain, &slots, &addresses).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let serving = (chain.clone(), stop.clone());
        tasks.spawn(async move {
            let (chain, stop) = serving;
            if let Err(error) = chain.serve(rpc_listener, stop.cancelled_owned()).await {
                tracing::error!(%error, "the chain stopped serving");
            }
        });
        let n_shards = state.options().shards;
        let network = Self { dir, chain, ids, rpc, n_shards, slots, stop, tasks, lock: Some(lock) };
        for (slot, listener) in network.slots.iter().zip(listeners) {
            slot.start(Some(listener)).await?;
        }
        Ok(network)
    }

    /// The network's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Addresses, ids, epoch and the state of every node.
    ///
    /// # Errors
    /// The chain cannot be read.
    pub fn status(&self) -> Result<NetworkStatus, DevnetError> {
        let committee = self.chain.committee()?;
        let url = format!("http://{}", self.rpc);
        Ok(NetworkStatus {
            rpc_url: url.clone(),
            faucet_url: url,
            chain_id: self.ids.chain_id.to_base58(),
            system_object: self.ids.system_object,
            staking_object: self.ids.staking_object,
            wal_type: self.ids.wal_type.to_string(),
            exchange_object: self.ids.exchange_object,
            walrus_package: self.ids.walrus_package,
            drive_package: self.ids.drive_package,
            epoch: committee.epoch,
            n_shards: self.n_shards,
            pid: std::process::id(),
            nodes: self.slots.iter().map(|slot| slot.status(&committee)).collect(),
        })
    }

    /// The chain, for reading in-process.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    fn slot(&self, index: usize) -> Result<&Slot, DevnetError> {
        self.slots.get(index).ok_or(DevnetError::NoSuchNode { index, nodes: self.slots.len() })
    }

    /// Makes node `index` misbehave, or behave again. Every fault but [`Fault::Stopped`] also starts a stopped node.
    ///
    /// # Errors
    /// No such node; its files or its port.
    pub async fn set_fault(&self, index: usize, fault: Fault) -> Result<(), DevnetError> {
        self.slot(index)?.set_fault(fault).await
    }

    /// Starts node `index` if it is stopped; other faults stay.
    ///
    /// # Errors
    /// No such node; its files or its port.
    pub async fn start_node(&self, index: usize) -> Result<(), DevnetError> {
        let slot = self.slot(index)?;
        if slot.fault() == Fault::Stopped { slot.set_fault(Fault::Honest).await } else { Ok(()) }
    }

    /// Removes everything that node `index` stores except its keys, as if its disk had been replaced. The node is stopped
    /// meanwhile, and started again if it was running.
    ///
    /// # Errors
    /// No such node; its files or its port.
    pub async fn wipe_node(&self, index: usize) -> Result<(), DevnetError> {
        self.slot(index)?.wipe().await
    }

    /// Ends the epoch now and waits until nodes of quorum weight serve the new one. Returns the new epoch.
    ///
    /// # Errors
    /// The chain refuses, or too few nodes run to take over their shards.
    pub async fn advance_epoch(&self) -> Result<u32, DevnetError> {
        let mut events = self.chain.watch_events()?;
        let epoch = self.chain.begin_epoch().await?;
        let deadline = tokio::time::Instant::now() + EPOCH_PATIENCE;
        loop {
            events.borrow_and_update();
            let committee = self.chain.committee()?;
            if committee.epoch > epoch || !matches!(committee.phase, EpochPhase::Sync { .. }) {
                return Ok(epoch);
            }
            if tokio::time::timeout_at(deadline, events.changed()).await.is_err() {
                let stopped = self.slots.iter().filter(|slot| slot.fault() == Fault::Stopped).count();
                return Err(DevnetError::Control(format!(
                    "epoch {epoch} began, but after {} s nodes of quorum weight do not serve it yet ({stopped} nodes are stopped; \
                     start them)",
                    EPOCH_PATIENCE.as_secs()
                )));
            }
        }
    }

    /// The id on chain of node `index`, if it is in the committee.
    pub fn node_id(&self, index: usize) -> Option<Address> {
        let slot = self.slots.get(index)?;
        let committee = self.chain.committee().ok()?;
        committee.members.iter().find(|member| member.bls_public_key == slot.bls_public).map(|member| member.node_id)
    }

    /// Stops serving, waits until the files are closed and the lock is free.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for slot in &self.slots {
            if let Err(error) = slot.stop().await {
                tracing::debug!(%error, "stopping a node");
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
        let lock = self.lock.take();
        let chain = self.dir.join("chain");
        drop(self);
        // The chain's executor ends by itself once nobody uses the chain; whoever takes our lock must find its store closed.
        let deadline = tokio::time::Instant::now() + CLOSE_PATIENCE;
        while store_is_open(&chain) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(lock);
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.stop.cancel();
        for slot in &self.slots {
            slot.cancel();
        }
    }
}

/// Takes the network's lock.
fn lock(dir: &Path) -> Result<File, DevnetError> {
    let path = dir.join("lock");
    let opened = fs::create_dir_all(dir)
        .and_then(|()| File::options().read(true).write(true).create(true).truncate(false).open(&path));
    let file = opened.map_err(DevnetError::io(path.display().to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(DevnetError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(DevnetError::io(path.display().to_string())(error)),
    }
}

/// Whether some file of the chain's store is locked by whoever has it open.
fn store_is_open(dir: &Path) -> bool {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|entry| File::open(entry.path()).ok()).any(|file| file.try_lock_shared().is_err())
}

/// Listens on `port`, or on a free one if it is 0 or taken.
async fn listen(port: u16) -> Result<TcpListener, DevnetError> {
    match TcpListener::bind((HOST, port)).await {
        Err(error) if port != 0 && matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
            tracing::warn!(port, "the port is taken; another one is used");
            TcpListener::bind((HOST, 0)).await
        }
        other => other,
    }
    .map_err(DevnetError::io(format!("listening on {HOST}")))
}

fn node_dir(dir: &Path, index: usize) -> PathBuf {
    dir.join("nodes").join(node_name(index))
}

/// The nodes' keys and the chain; made at first start.
fn open(dir: &Path, options: &Options, addresses: &[SocketAddr]) -> Result<(Chain, Vec<NodeKeys>), DevnetError> {
    let keys =
        (0..addresses.len()).map(|index| NodeKeys::open(&node_dir(dir, index))).collect::<Result<Vec<_>, _>>()?;
    let nodes = keys.iter().zip(addresses).enumerate().map(|(index, (keys, address))| {
        let key = keys.bls().public_key();
        let proof = keys.bls().sign(&proof_of_possession_message(0, &keys.operator(), &key));
        GenesisNode {
            name: node_name(index),
            network_address: address.to_string(),
            operator: keys.operator(),
            bls_public_key: key.to_compressed().0,
            proof_of_possession: proof.to_bytes(),
            network_public_key: keys.network_public_key(),
            weight: options.weight(u16::try_from(index).unwrap_or(u16::MAX)),
            node_capacity: options.node_capacity,
        }
    });
    let genesis = GenesisConfig { epoch_duration: options.epoch_duration, ..GenesisConfig::new(nodes.collect()) };
    Ok((Chain::open(&dir.join("chain"), &genesis)?, keys))
}

/// Tells the chain where nodes listen now.
async fn announce_addresses(chain: &Chain, slots: &[Slot], addresses: &[SocketAddr]) -> Result<(), DevnetError> {
    let committee = chain.committee()?;
    for (slot, address) in slots.iter().zip(addresses) {
        let address = address.to_string();
        let member = committee.members.iter().find(|member| member.bls_public_key == slot.bls_public);
        if let Some(member) = member.filter(|member| member.network_address != address) {
            chain.set_node_address(member.node_id, &address).await?;
        }
    }
    Ok(())
}
