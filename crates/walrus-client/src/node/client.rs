//! Typed requests to one node. Every answer is parsed with bounds; what can be checked against commitments is checked
//! by the caller, who reports a liar through [`NodeClient::lied`].

use super::health::Health;
use super::pace::Pace;
use super::{Method, NodeAnswer, NodeError, NodeRequest, NodeTransport};
use crate::chain::Node;
use crate::wire::bls::BlsSignature;
use crate::wire::chain::ObjectId;
use crate::wire::message::{Persistence, StorageConfirmation};
use crate::wire::node::{BlobStatus, ConfirmationBody, ErrorEnvelope, StoredOnNodeStatus, SuccessEnvelope};
use bytes::Bytes;
use parking_lot::Mutex;
use redstuff::{
    Axis, BlobId, GeneralRecoverySymbol, Metadata, PairIndex, Params, Sliver, SliverAxis, SliverIndex, VerifiedMetadata,
};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bounds of the requests to nodes.
#[derive(Clone, Debug)]
pub struct NodeClientConfig {
    /// Requests under way to one node.
    pub per_node: usize,
    /// Requests under way in all.
    pub total: usize,
    /// Time for a request, beside the time for its bytes.
    pub timeout: Duration,
    /// Bytes per second below which a transfer counts as failed.
    pub slowest_rate: u64,
    /// Bytes of slivers under way at once at most, in each direction; on a slow link they are fewer.
    pub in_flight_bytes: u64,
}

impl Default for NodeClientConfig {
    fn default() -> Self {
        Self {
            per_node: 24,
            total: 1024,
            timeout: Duration::from_secs(5),
            slowest_rate: 64 * 1024,
            in_flight_bytes: 64 << 20,
        }
    }
}

/// Largest JSON answer that is read.
const MAX_JSON: usize = 64 * 1024;

/// See the module.
pub struct NodeClient {
    transport: Arc<dyn NodeTransport>,
    config: NodeClientConfig,
    health: Health,
    total: Arc<Semaphore>,
    per_node: Mutex<HashMap<ObjectId, Arc<Semaphore>>>,
    up: Arc<Pace>,
    down: Arc<Pace>,
    sent: AtomicU64,
}

/// A sliver as a node sent it: well formed, nothing checked. The data shares the answer's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawSliver {
    /// The index that it claims.
    pub index: u16,
    /// The symbol size that it claims.
    pub symbol_size: NonZeroU16,
    /// Its symbols.
    pub data: Bytes,
}

impl RawSliver {
    /// As a sliver of axis `A`, borrowing the data.
    pub fn as_sliver<A: SliverAxis>(&self) -> Sliver<'_, A> {
        Sliver::new(SliverIndex::new(self.index), self.symbol_size, Cow::Borrowed(self.data.as_ref()))
    }
}

impl NodeClient {
    /// A client over `transport`.
    pub fn new(transport: Arc<dyn NodeTransport>, config: NodeClientConfig) -> Self {
        let total = Arc::new(Semaphore::new(config.total.max(1)));
        let (up, down) = (Pace::new(config.in_flight_bytes), Pace::new(config.in_flight_bytes));
        Self {
            transport,
            config,
            health: Health::default(),
            total,
            per_node: Mutex::default(),
            up,
            down,
            sent: AtomicU64::new(0),
        }
    }

    /// What is known about the nodes.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Bytes that the link brings in a few seconds, once that was found out because something took long. Who reads ahead of
    /// somebody's asking should not have much more under way: what is asked for comes behind it.
    pub fn link_carries(&self) -> Option<u64> {
        self.down.limit()
    }

    /// Records a provably false answer.
    pub fn lied(&self, node: &Node, what: &str) {
        tracing::warn!(node = %node.name, id = %node.id, what, "a storage node gave a false answer");
        self.health.lied(&node.id);
    }

    fn limit(&self, node: &Node) -> Arc<Semaphore> {
        let mut limits = self.per_node.lock();
        limits.entry(node.id).or_insert_with(|| Arc::new(Semaphore::new(self.config.per_node.max(1)))).clone()
    }

    async fn permits(&self, node: &Node) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), NodeError> {
        let closed = |_| NodeError::Unreachable("the client is shutting down".to_owned());
        let of_node = self.limit(node).acquire_owned().await.map_err(closed)?;
        let of_all = self.total.clone().acquire_owned().await.map_err(closed)?;
        Ok((of_node, of_all))
    }

    /// Waits until an answer of `bytes` that has been asked for just now is late.
    pub async fn late(&self, bytes: usize) {
        self.down.late(self.health.hedge_after_bytes(bytes)).await;
    }

    fn timeout_for(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.config.timeout + Duration::from_secs_f64(f64::from(bytes) / self.config.slowest_rate.max(1) as f64)
    }

    /// One request: permits, time limit, health, and the error envelope. Bytes that are `paced` wait for their turn; `begun` is told
    /// when the waiting is over.
    async fn send(
        &self,
        node: &Node,
        mut request: NodeRequest,
        expected: usize,
        pace: Option<&Arc<Pace>>,
        begun: Option<&Notify>,
    ) -> Result<NodeAnswer, NodeError> {
        let _permits = self.permits(node).await?;
        let bytes = expected.max(request.body.len());
        request.timeout = self.timeout_for(bytes);
        if pace.is_some_and(|pace| pace.limit().is_some()) {
            // The line is known to be slow, and what is before this one in its buffers takes its time too.
            request.timeout *= 2;
        }
        let turn = match pace {
            Some(pace) => Some(pace.turn(bytes as u64).await),
            None => None,
        };
        if let Some(begun) = begun {
            begun.notify_one();
        }
        let started = Instant::now();
        tracing::trace!(node = %node.name, bytes, path = request.path, "asked");
        let answer = self.transport.send(node, request);
        let useful = async {
            match answer.await {
                Ok(answer) if (200..300).contains(&answer.status) => Ok(answer),
                Ok(answer) => Err(refusal(&answer)),
                Err(reason) => Err(NodeError::Unreachable(reason)),
            }
        };
        // A refusal says nothing about the line.
        let result = match turn {
            Some(turn) => turn.carry(useful).await,
            None => useful.await,
        };
        match &result {
            Ok(_) => self.health.succeeded(&node.id, started.elapsed()),
            Err(error) if error.is_illness() => self.health.failed(&node.id),
            Err(_) => {}
        }
        result
    }

    async fn get(&self, node: &Node, path: String, expected: usize, max_answer: usize) -> Result<Bytes, NodeError> {
        Ok(self.send(node, read_of(path, max_answer), expected, None, None).await?.body)
    }

    /// As `get`, for what is large.
    async fn get_paced(
        &self,
        node: &Node,
        path: String,
        expected: usize,
        max_answer: usize,
        begun: Option<&Notify>,
    ) -> Result<Bytes, NodeError> {
        Ok(self.send(node, read_of(path, max_answer), expected, Some(&self.down), begun).await?.body)
    }

    async fn get_json<T: DeserializeOwned>(&self, node: &Node, path: String) -> Result<T, NodeError> {
        let body = self.get(node, path, 0, MAX_JSON).await?;
        serde_json::from_slice::<SuccessEnvelope<T>>(&body)
            .map(|envelope| envelope.success.data)
            .map_err(|error| self.nonsense(node, &error))
    }

    async fn put(&self, node: &Node, path: String, body: Bytes) -> Result<u16, NodeError> {
        let request = NodeRequest { method: Method::Put, path, body, max_answer: MAX_JSON, timeout: Duration::ZERO };
        Ok(self.send(node, request, 0, Some(&self.up), None).await?.status)
    }

    fn nonsense(&self, node: &Node, error: &dyn std::fmt::Display) -> NodeError {
        self.health.failed(&node.id);
        NodeError::False(error.to_string())
    }

    /// The metadata of a blob, verified against its id.
    pub async fn metadata(&self, node: &Node, blob: &BlobId, params: &Params) -> Result<VerifiedMetadata, NodeError> {
        let size = 64 + 70 * usize::from(params.n_shards());
        let body = self.get(node, format!("/v1/blobs/{blob}/metadata"), size, size).await?;
        let (_, metadata) = Metadata::from_bcs_with_id(&body).map_err(|error| self.nonsense(node, &error))?;
        metadata.verify(blob, params).map_err(|error| {
            self.lied(node, "metadata");
            NodeError::False(error.to_string())
        })
    }

    /// Stores metadata (BCS without id). The status is 201 when it was new, 200 when the node had it.
    pub async fn put_metadata(&self, node: &Node, blob: &BlobId, metadata: Bytes) -> Result<u16, NodeError> {
        self.put(node, format!("/v1/blobs/{blob}/metadata"), metadata).await
    }

    /// A sliver of the pair that the node holds, unchecked, of `length` bytes at most. `begun` is told when the request goes out: before
    /// that it waits for others.
    pub async fn sliver(
        &self,
        node: &Node,
        blob: &BlobId,
        pair: PairIndex,
        axis: Axis,
        length: usize,
        begun: Option<&Notify>,
    ) -> Result<RawSliver, NodeError> {
        let path = format!("/v1/blobs/{blob}/slivers/{}/{}", pair.get(), axis.as_str());
        let body = self.get_paced(node, path, length, length + 16, begun).await?;
        // The axis does not matter for the layout.
        let (index, symbol_size, data) = {
            let sliver: Sliver<'_, redstuff::Primary> =
                Sliver::from_bcs(&body).map_err(|error| self.nonsense(node, &error))?;
            let (index, symbol_size) = (sliver.index().get(), sliver.symbol_size());
            let data = match sliver.into_data() {
                Cow::Borrowed(data) => body.slice_ref(data),
                Cow::Owned(data) => Bytes::from(data),
            };
            (index, symbol_size, data)
        };
        Ok(RawSliver { index, symbol_size, data })
    }

    /// Stores a sliver (BCS) of a pair.
    pub async fn put_sliver(
        &self,
        node: &Node,
        blob: &BlobId,
        pair: PairIndex,
        axis: Axis,
        sliver: Bytes,
    ) -> Result<u16, NodeError> {
        let length = sliver.len() as u64;
        let path = format!("/v1/blobs/{blob}/slivers/{}/{}", pair.get(), axis.as_str());
        let status = self.put(node, path, sliver).await?;
        self.sent.fetch_add(length, Ordering::Relaxed);
        Ok(status)
    }

    /// Bytes of slivers that nodes were sent and have accepted, since the client was made.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether the node has a sliver.
    pub async fn sliver_status(
        &self,
        node: &Node,
        blob: &BlobId,
        pair: PairIndex,
        axis: Axis,
    ) -> Result<StoredOnNodeStatus, NodeError> {
        self.get_json(node, format!("/v1/blobs/{blob}/slivers/{}/{}/status", pair.get(), axis.as_str())).await
    }

    /// What the node knows about a blob from the chain.
    pub async fn status(&self, node: &Node, blob: &BlobId) -> Result<BlobStatus, NodeError> {
        self.get_json(node, format!("/v1/blobs/{blob}/status")).await
    }

    /// All symbols that the node can give to recover one primary sliver, unchecked.
    pub async fn recovery_symbols(
        &self,
        node: &Node,
        blob: &BlobId,
        target: SliverIndex<redstuff::Primary>,
        symbol_size: usize,
    ) -> Result<Vec<GeneralRecoverySymbol>, NodeError> {
        let path = format!(
            "/v1/blobs/{blob}/recoverySymbols?targetSliver={}&targetType=primary&proofAxis=secondary",
            target.get()
        );
        // A proof has at most 16 nodes of 33 bytes; indices, tags and lengths are small.
        let size = (node.shards.len() + 1) * (symbol_size + 600);
        let body = self.get_paced(node, path, size, size, None).await?;
        GeneralRecoverySymbol::vec_from_bcs(&body).map_err(|error| self.nonsense(node, &error))
    }

    /// The node's signed statement that it stores a blob: checked to be exactly `expected` and signed with the node's key.
    /// A statement about another epoch is [`NodeError::Refused`] with the reason [`OTHER_EPOCH`](super::super::store::OTHER_EPOCH).
    pub async fn confirmation(
        &self,
        node: &Node,
        expected: &StorageConfirmation,
        wait: Duration,
    ) -> Result<BlsSignature, NodeError> {
        let blob: BlobId = expected.blob_id.into();
        let kind = match expected.persistence {
            Persistence::Permanent => "permanent".to_owned(),
            Persistence::Deletable(object) => format!("deletable/{object}"),
        };
        let mut path = format!("/v1/blobs/{blob}/confirmation/{kind}");
        if !wait.is_zero() {
            path.push_str(&format!("?wait_for_registration=true&wait_millis={}", wait.as_millis()));
        }
        let ConfirmationBody::Signed(signed) = self.get_json(node, path).await?;
        let (message, signature) =
            signed.decode().ok_or_else(|| self.nonsense(node, &"a confirmation that is not base64"))?;
        let wanted = expected.to_bytes();
        let Some(key) = &node.public_key else {
            return Err(NodeError::False("the node has no key in this committee".to_owned()));
        };
        let verified = BlsSignature::from_bytes(&signature)
            .and_then(|signature| key.verify(&message, &signature).map(|()| signature));
        match verified {
            Ok(signature) if message == wanted => Ok(signature),
            Ok(_) if same_but_epoch(&message, &wanted) => Err(NodeError::Refused {
                status: 200,
                reason: Some(super::super::store::OTHER_EPOCH.to_owned()),
                message: "the node signed for another epoch".to_owned(),
            }),
            Ok(_) => {
                self.lied(node, "confirmation of something else");
                Err(NodeError::False("it confirms something else".to_owned()))
            }
            Err(error) => {
                self.lied(node, "confirmation");
                Err(NodeError::False(error.to_string()))
            }
        }
    }
}

/// Whether two messages differ in nothing but the four bytes of the epoch.
fn same_but_epoch(message: &[u8], wanted: &[u8]) -> bool {
    message.len() == wanted.len() && message.get(..3) == wanted.get(..3) && message.get(7..) == wanted.get(7..)
}

fn read_of(path: String, max_answer: usize) -> NodeRequest {
    NodeRequest { method: Method::Get, path, body: Bytes::new(), max_answer, timeout: Duration::ZERO }
}

fn refusal(answer: &NodeAnswer) -> NodeError {
    match serde_json::from_slice::<ErrorEnvelope>(&answer.body) {
        Ok(envelope) => NodeError::Refused {
            status: answer.status,
            reason: envelope.reason().map(str::to_owned),
            message: envelope.error.message.chars().take(200).collect(),
        },
        Err(_) => NodeError::Refused {
            status: answer.status,
            reason: None,
            message: String::from_utf8_lossy(&answer.body).chars().take(200).collect(),
        },
    }
}
