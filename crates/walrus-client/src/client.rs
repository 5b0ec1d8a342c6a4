//! The client: chain, nodes, uploads and reads behind one cheaply cloned handle, and the flows of ordinary blobs.

use crate::chain::grpc::GrpcTransport;
use crate::chain::{Chain, ChainTransport, WalrusState};
use crate::error::{ClientError, ClientResult};
use crate::executor::{Executed, Executor, Request};
use crate::network::NetworkConfig;
use crate::node::http::HttpTransport;
use crate::node::{NodeClient, NodeClientConfig, NodeTransport};
use crate::read::{BlobRef, Check, Consistency, ReadConfig, Reader, RowBytes};
use crate::retry::RetryPolicy;
use crate::store::{self, ProgressHook, UploadConfig};
use crate::tx::BlobParams;
use crate::wire::chain::{Blob, ObjectId};
use crate::wire::message::{Certificate, Persistence};
use crate::wire::node::BlobStatus;
use bytes::Bytes;
use redstuff::quilt::{PatchContent, QuiltIndex, QuiltPatchId};
use redstuff::{BlobId, Encoded, VerifiedMetadata};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use sui_sdk_types::Address;

/// All settings, with defaults for a real network.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// Retries around the chain.
    pub chain: RetryPolicy,
    /// Requests to nodes.
    pub nodes: NodeClientConfig,
    /// Uploads.
    pub upload: UploadConfig,
    /// Reads.
    pub read: ReadConfig,
}

/// A client of one Walrus network.
#[derive(Clone)]
pub struct WalrusClient {
    chain: Chain,
    nodes: Arc<NodeClient>,
    reader: Reader,
    upload: Arc<UploadConfig>,
}

/// An ordinary blob that is stored and certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its id.
    pub blob_id: BlobId,
    /// The `Blob` object that the wallet owns.
    pub object: ObjectId,
    /// The first Walrus epoch in which it is no longer stored.
    pub end_epoch: u32,
    /// Whether it was there before.
    pub already_certified: bool,
}

/// How often a certificate is collected anew because the epoch moved before it was used.
const CERTIFY_ATTEMPTS: usize = 3;

impl WalrusClient {
    /// A client over gRPC and HTTP. Connects lazily; must be called inside a tokio runtime.
    pub fn connect(network: NetworkConfig, config: ClientConfig) -> ClientResult<Self> {
        let chain = Arc::new(GrpcTransport::new(&network.rpc_urls, config.chain.clone())?);
        let nodes = Arc::new(HttpTransport::new(network.node_tls));
        Ok(Self::with_transports(network, config, chain, nodes))
    }

    /// A client over other transports.
    pub fn with_transports(
        network: NetworkConfig,
        config: ClientConfig,
        chain: Arc<dyn ChainTransport>,
        nodes: Arc<dyn NodeTransport>,
    ) -> Self {
        let chain = Chain::new(chain, network);
        let nodes = Arc::new(NodeClient::new(nodes, config.nodes));
        let reader = Reader::new(nodes.clone(), chain.clone(), config.read);
        Self { chain, nodes, reader, upload: Arc::new(config.upload) }
    }

    /// Reading the chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Reading blobs.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Single requests to nodes, and their health.
    pub fn nodes(&self) -> &Arc<NodeClient> {
        &self.nodes
    }

    /// The state of Walrus, cached.
    pub async fn state(&self) -> ClientResult<Arc<WalrusState>> {
        self.chain.state().await
    }

    /// Uploads a registered blob and returns its certificate; see [`store::upload`].
    pub async fn upload<B>(
        &self,
        encoded: Arc<Encoded<B>>,
        persistence: Persistence,
        progress: Option<ProgressHook>,
    ) -> ClientResult<Certificate>
    where
        B: AsRef<[u8]> + Send + Sync + 'static,
    {
        let metadata = Arc::new(encoded.metadata().clone());
        let certificate = store::upload(&self.nodes, &self.chain, &self.upload, encoded, persistence, progress).await?;
        self.reader.remember_metadata(metadata);
        Ok(certificate)
    }

    /// A certificate for a blob that the nodes hold already; see [`store::confirm`].
    pub async fn confirm(&self, blob: BlobId, persistence: Persistence) -> ClientResult<Certificate> {
        store::confirm(&self.nodes, &self.chain, &self.upload, blob, persistence).await
    }

    /// One row of a blob; see [`Reader::systematic_sliver`].
    pub async fn systematic_sliver(&self, blob: BlobRef, row: u16, check: Check) -> ClientResult<RowBytes> {
        self.reader.systematic_sliver(blob, row, check).await
    }

    /// A verified range of a blob; see [`Reader::read_range`].
    pub async fn read_range(&self, id: &BlobId, range: Range<u64>) -> ClientResult<Bytes> {
        self.reader.read_range(id, range).await
    }

    /// A whole blob; see [`Reader::read_blob`].
    pub async fn read_blob(&self, id: &BlobId, consistency: Consistency) -> ClientResult<Bytes> {
        self.reader.read_blob(id, consistency).await
    }

    /// The files of a quilt; see [`Reader::quilt_index`].
    pub async fn quilt_index(&self, id: &BlobId) -> ClientResult<QuiltIndex> {
        self.reader.quilt_index(id).await
    }

    /// One file of a quilt; see [`Reader::read_patch`].
    pub async fn read_patch(&self, patch: &QuiltPatchId) -> ClientResult<PatchContent> {
        self.reader.read_patch(patch).await
    }

    /// Verified metadata; see [`Reader::metadata`].
    pub async fn metadata(&self, id: &BlobId) -> ClientResult<Arc<VerifiedMetadata>> {
        self.reader.metadata(id, None).await
    }

    /// What the network knows about a blob; see [`Reader::status`].
    pub async fn status(&self, id: &BlobId) -> ClientResult<BlobStatus> {
        self.reader.status(id).await
    }

    /// FROST that storing a blob of `size` bytes for `epochs` costs: storage and writing.
    pub async fn blob_cost(&self, size: u64, epochs: u32) -> ClientResult<u64> {
        let state = self.chain.state().await?;
        let storage = state.storage_cost(state.encoded_size(size)?, epochs)?;
        Ok(storage.saturating_add(state.write_cost(size)?))
    }

    /// Stores an ordinary blob: reserve and register in one transaction, upload, certify in a second one. Repeating it
    /// after a crash finds the registered object again and goes on from there.
    pub async fn store_blob<B>(
        &self,
        executor: &Executor,
        encoded: Arc<Encoded<B>>,
        epochs: u32,
        deletable: bool,
        progress: Option<ProgressHook>,
    ) -> ClientResult<StoredBlob>
    where
        B: AsRef<[u8]> + Send + Sync + 'static,
    {
        executor.settle().await?;
        let blob_id = *encoded.blob_id();
        let owner = executor.wallet().address();
        let (object, blob) = match self.usable_blob(&owner, &blob_id, epochs, deletable).await? {
            Some(found) => found,
            None => self.register_blob(executor, encoded.metadata(), epochs, deletable).await?,
        };
        let stored =
            |already_certified| StoredBlob { blob_id, object, end_epoch: blob.storage.end_epoch, already_certified };
        if blob.certified_epoch.is_some() {
            return Ok(stored(true));
        }
        let persistence = if deletable { Persistence::Deletable(object) } else { Persistence::Permanent };
        let mut attempt = 1;
        loop {
            let certificate = self.upload(encoded.clone(), persistence, progress.clone()).await?;
            let request = Request { objects: vec![object], ..Request::default() };
            let result = executor
                .run(request, |tx| {
                    let blob = tx.object(&object, true)?;
                    tx.certify_blob(blob, &certificate)
                })
                .await;
            match result {
                Ok(_) => break,
                Err(ClientError::Abort(abort)) if abort.is_stale_certificate() && attempt < CERTIFY_ATTEMPTS => {
                    tracing::info!(%blob_id, %abort, "the certificate came too late, collecting it anew");
                    self.chain.refresh().await?;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(stored(false))
    }

    async fn register_blob(
        &self,
        executor: &Executor,
        metadata: &VerifiedMetadata,
        epochs: u32,
        deletable: bool,
    ) -> ClientResult<(ObjectId, Blob)> {
        let params = BlobParams::new(metadata, deletable);
        let result = self.try_register_blob(executor, &params, epochs).await;
        let Executed { effects, .. } = match result {
            // The executor has read the new price.
            Err(ClientError::PriceChanged { .. }) => self.try_register_blob(executor, &params, epochs).await?,
            result => result?,
        };
        let id = effects
            .created("blob", "Blob")
            .map(|object| object.id)
            .next()
            .ok_or_else(|| ClientError::bad("registration", "no Blob object was created"))?;
        Ok((id, self.chain.object(&id).await?.decode::<Blob>()?))
    }

    async fn try_register_blob(&self, executor: &Executor, params: &BlobParams, epochs: u32) -> ClientResult<Executed> {
        let state = self.chain.state_within(Duration::from_secs(30)).await?;
        let encoded_size = state.encoded_size(params.size)?;
        let wal = state.storage_cost(encoded_size, epochs)?.saturating_add(state.write_cost(params.size)?);
        let request = Request { wal, ..Request::default() };
        executor
            .run(request, |tx| {
                let storage = tx.reserve_space(encoded_size, epochs)?;
                let blob = tx.register_blob(storage, params)?;
                let owner = tx.sender();
                tx.transfer(vec![blob], owner)
            })
            .await
    }

    /// Whether storing this permanent blob for `epochs` costs `owner` nothing, because one that serves is registered already.
    pub async fn has_paid_for(&self, owner: &Address, blob_id: &BlobId, epochs: u32) -> ClientResult<bool> {
        Ok(self.usable_blob(owner, blob_id, epochs, false).await?.is_some())
    }

    /// A `Blob` object of the wallet that serves: same blob, same kind, long enough; certified ones first.
    async fn usable_blob(
        &self,
        owner: &Address,
        blob_id: &BlobId,
        epochs: u32,
        deletable: bool,
    ) -> ClientResult<Option<(ObjectId, Blob)>> {
        let state = self.chain.state_within(Duration::from_secs(30)).await?;
        let needed_end = state.epoch().saturating_add(epochs);
        let mut found = self.owned_blobs(owner).await?;
        found.retain(|(_, blob)| {
            BlobId::from(blob.blob_id) == *blob_id
                && blob.deletable == deletable
                && blob.storage.start_epoch <= state.epoch()
                && blob.storage.end_epoch >= needed_end
        });
        found.sort_by_key(|(_, blob)| (blob.certified_epoch.is_none(), std::cmp::Reverse(blob.storage.end_epoch)));
        Ok(found.into_iter().next())
    }

    /// All `Blob` objects of an address.
    pub async fn owned_blobs(&self, owner: &Address) -> ClientResult<Vec<(ObjectId, Blob)>> {
        let state = self.chain.state().await?;
        let blob_type = state.packages.type_of("blob", "Blob")?;
        let objects = self.chain.transport().owned_objects(owner, &blob_type).await?;
        objects
            .into_iter()
            .filter(|object| object.object_type.as_ref() == Some(&blob_type))
            .map(|object| Ok((object.id, object.decode::<Blob>()?)))
            .collect()
    }

    /// Turns `mist` of the wallet's SUI into WAL at the network's exchange.
    pub async fn buy_wal(&self, executor: &Executor, mist: u64) -> ClientResult<()> {
        let Some(exchange) = self.chain.network().exchange_object else {
            return Err(ClientError::Invalid(format!(
                "network {} has no exchange: buy WAL elsewhere and send it to {}",
                self.chain.network().name,
                executor.wallet().address()
            )));
        };
        let request = Request { objects: vec![exchange], sui: mist, ..Request::default() };
        executor
            .run(request, |tx| {
                let info = tx.info(&exchange)?;
                let package = match &info.object_type {
                    Some(tag) if info.is_type("wal_exchange", "Exchange") => *tag.address(),
                    _ => return Err(ClientError::Invalid(format!("object {exchange} is no exchange"))),
                };
                let shared = crate::chain::SharedObject::of(info)?;
                let gas = tx.gas();
                let sui = tx.split(gas, &[mist])?;
                let wal = tx.exchange_all_for_wal(shared, package, crate::tx::nth(sui, 0))?;
                let owner = tx.sender();
                tx.transfer(vec![wal], owner)
            })
            .await
            .map(|_| ())
    }

    /// Asks the network's faucet for SUI and returns when the coins are visible.
    pub async fn request_sui(&self, recipient: &Address) -> ClientResult<()> {
        let Some(url) = &self.chain.network().faucet_url else {
            return Err(ClientError::Invalid(format!(
                "network {} has no faucet: send SUI to {recipient}",
                self.chain.network().name
            )));
        };
        crate::faucet::request(url, recipient).await?;
        let sui = sui_sdk_types::TypeTag::Struct(Box::new(sui_sdk_types::StructTag::sui()));
        let mut backoff = crate::retry::Backoff::new(&RetryPolicy::default());
        while self.chain.balance(recipient, &sui).await? == 0 {
            if !backoff.wait().await {
                return Err(ClientError::unreachable(url, "the faucet said yes, but no coin arrived"));
            }
        }
        Ok(())
    }
}
