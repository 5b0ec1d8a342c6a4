//! The place of one storage node in the network: its folder, its port, its fault, and the node itself while it runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DevnetError, NodeStatus};
use crate::chain::CommitteeView;
use crate::fault::{self, Fault, FaultState};
use crate::node::{ChainView, Limits, NodeKeys, StorageNode, serve};

/// One node of the network.
pub(super) struct Slot {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) bls_public: [u8; 48],
    dir: PathBuf,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    chain: Arc<dyn ChainView>,
    limits: Arc<Limits>,
    faults: Arc<FaultState>,
    /// Held while the node starts or stops.
    running: tokio::sync::Mutex<Option<Running>>,
    /// The same node for readers that do not wait.
    node: Mutex<Option<StorageNode>>,
    /// The port of a stopped node: bound, so that nobody else gets it, and not listening, so that connections are refused.
    held: Mutex<Option<TcpSocket>>,
}

struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What all slots share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) chain: Arc<dyn ChainView>,
    pub(super) limits: Arc<Limits>,
}

impl Slot {
    pub(super) fn new(
        index: usize,
        dir: &Path,
        keys: &NodeKeys,
        address: SocketAddr,
        shared: Shared,
    ) -> Result<Self, DevnetError> {
        Ok(Self {
            index,
            name: node_name(index),
            bls_public: keys.bls().public_key().to_compressed().0,
            dir: dir.to_owned(),
            address,
            tls: keys.tls_config(address.ip())?,
            chain: shared.chain,
            limits: shared.limits,
            faults: Arc::new(FaultState::new(keys.signer())),
            running: tokio::sync::Mutex::new(None),
            node: Mutex::new(None),
            held: Mutex::new(None),
        })
    }

    /// Starts the node on its listener, or on its own port again.
    pub(super) async fn start(&self, listener: Option<TcpListener>) -> Result<(), DevnetError> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Ok(());
        }
        let listener = match listener {
            Some(listener) => listener,
            None => self.listen()?,
        };
        let (dir, chain, limits) = (self.dir.clone(), self.chain.clone(), self.limits.clone());
        let node = tokio::task::spawn_blocking(move || StorageNode::open(&dir, chain, limits))
            .await
            .map_err(|error| DevnetError::Control(error.to_string()))??;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let routes = fault::wrap(node.routes(), self.faults.clone());
        tasks.spawn(serve(listener, self.tls.clone(), routes, self.faults.valve.clone(), stop.clone()));
        for task in [Task::Follow, Task::Heal] {
            let (node, stop) = (node.clone(), stop.clone());
            tasks.spawn(async move {
                match task {
                    Task::Follow => node.follow(stop).await,
                    Task::Heal => node.heal(stop).await,
                }
            });
        }
        tasks.close();
        *self.node.lock() = Some(node);
        *running = Some(Running { stop, tasks });
        Ok(())
    }

    /// Stops the node and keeps its port.
    pub(super) async fn stop(&self) -> Result<(), DevnetError> {
        let mut running = self.running.lock().await;
        let Some(Running { stop, tasks }) = running.take() else { return Ok(()) };
        self.node.lock().take();
        stop.cancel();
        tasks.wait().await;
        *self.held.lock() = Some(self.bind()?);
        Ok(())
    }

    /// Stops the node without waiting.
    pub(super) fn cancel(&self) {
        if let Ok(running) = self.running.try_lock()
            && let Some(running) = running.as_ref()
        {
            running.stop.cancel();
        }
    }

    fn bind(&self) -> Result<TcpSocket, DevnetError> {
        let bound = TcpSocket::new_v4().and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(self.address)?;
            Ok(socket)
        });
        bound.map_err(DevnetError::io(format!("port of {}, {}", self.name, self.address)))
    }

    fn listen(&self) -> Result<TcpListener, DevnetError> {
        let held = self.held.lock().take();
        let socket = match held {
            Some(socket) => socket,
            None => self.bind()?,
        };
        socket.listen(1024).map_err(DevnetError::io(format!("port of {}, {}", self.name, self.address)))
    }

    pub(super) async fn set_fault(&self, fault: Fault) -> Result<(), DevnetError> {
        if fault == Fault::Stopped {
            self.stop().await?;
        } else {
            self.start(None).await?;
        }
        let node = self.node.lock().clone();
        if let (Fault::Corrupt, Some(node)) = (fault, node) {
            let damaged = tokio::task::spawn_blocking(move || node.damage())
                .await
                .map_err(|error| DevnetError::Control(error.to_string()))?;
            self.faults.corrupted(damaged.map_err(DevnetError::io(self.dir.display().to_string()))?);
        }
        self.faults.set(fault);
        Ok(())
    }

    pub(super) fn fault(&self) -> Fault {
        self.faults.fault()
    }

    /// Removes everything but the keys.
    pub(super) async fn wipe(&self) -> Result<(), DevnetError> {
        let was_running = self.running.lock().await.is_some();
        self.stop().await?;
        for entry in std::fs::read_dir(&self.dir).map_err(DevnetError::io(self.dir.display().to_string()))? {
            let entry = entry.map_err(DevnetError::io(self.dir.display().to_string()))?;
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "key") {
                continue;
            }
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.map_err(DevnetError::io(path.display().to_string()))?;
        }
        if was_running { self.start(None).await } else { Ok(()) }
    }

    pub(super) fn status(&self, committee: &CommitteeView) -> NodeStatus {
        let member = committee.members.iter().find(|member| member.bls_public_key == self.bls_public);
        let node = self.node.lock().clone();
        let stored = std::fs::read_dir(self.dir.join("blobs")).map(|entries| entries.count() as u64);
        NodeStatus {
            index: self.index,
            name: self.name.clone(),
            url: format!("http://{}", self.address),
            shards: member.map_or(0, |member| member.shards.len()),
            state: self.fault().state().to_owned(),
            blobs: stored.unwrap_or_default(),
            slivers_healed: node.as_ref().map_or(0, StorageNode::slivers_healed),
            payloads_damaged: node.as_ref().map_or(0, StorageNode::payloads_damaged),
            requests: self.faults.requests.load(Ordering::Relaxed),
            bytes_received: self.faults.valve.received.load(Ordering::Relaxed),
            bytes_sent: self.faults.valve.sent.load(Ordering::Relaxed),
            faults: self.faults.counts(),
        }
    }
}

enum Task {
    Follow,
    Heal,
}

/// A node's name on the chain and of its folder.
pub(super) fn node_name(index: usize) -> String {
    format!("node-{index}")
}
