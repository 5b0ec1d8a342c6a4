//! The real network: packs over the Walrus client, commits over the Drive, slivers for the cache.

use super::loader::in_background;
use super::network::{Capacity, CommitRequest, Committed, Moved, Network, StoredBlob};
use crate::cache::{Sliver, SliverSource};
use crate::drive::{BlobToRegister, CertifiedBlob, CommitPlan, DriveClient, chain_error};
use crate::error::{FsError, FsResult, Kind};
use crate::seam::stage;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use redstuff::{Axis, BlobId, Encoded, Encoder, Params};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use walrus_client::ClientError;
use walrus_client::client::WalrusClient;
use walrus_client::read::{BlobRef, Check};
use walrus_client::store::ProgressHook;
use walrus_client::wire::message::Persistence;

/// Packs and commits of one drive.
pub struct WalrusNetwork {
    client: Arc<WalrusClient>,
    drive: Arc<DriveClient>,
    params: Params,
    /// Take the lease even while another holder's runs (`lease=steal`).
    steal: bool,
    /// The drive was opened on what the chain said last: it must be read before anything is changed.
    behind: AtomicBool,
}

impl WalrusNetwork {
    /// The network of `drive`; `params` are the committee's, which never change in the life of a network.
    pub fn new(client: Arc<WalrusClient>, drive: Arc<DriveClient>, params: Params, steal: bool) -> Self {
        Self { client, drive, params, steal, behind: AtomicBool::new(false) }
    }

    /// The same for a drive that was opened while the chain did not answer.
    #[must_use]
    pub fn behind(self, behind: bool) -> Self {
        Self { behind: AtomicBool::new(behind), ..self }
    }

    async fn upload(
        &self,
        blob: Arc<Encoded<Bytes>>,
        object_id: sui_sdk_types::Address,
        moved: Moved,
    ) -> FsResult<StoredBlob> {
        let (blob_id, size) = (blob.blob_id().0, blob.blob().len() as u64);
        let persistence = Persistence::Deletable(object_id);
        let seen = AtomicU64::new(0);
        let hook: ProgressHook = Arc::new(move |progress| {
            if progress.sent_bytes > 0 {
                stage("uploading");
            }
            // When the epoch changes it begins at 0 again.
            if seen.swap(progress.new_bytes, Ordering::Relaxed) != progress.new_bytes {
                moved();
            }
        });
        let certificate = self.client.upload(blob, persistence, Some(hook)).await;
        let certificate = certificate.map_err(|error| chain_error("a pack could not be uploaded", error))?;
        stage("confirmed");
        Ok(StoredBlob { blob_id, size, object_id, certificate })
    }
}

fn too_large(error: redstuff::Error) -> FsError {
    FsError::new(Kind::Internal, "a pack does not fit this network").caused_by(error)
}

/// Whether a commit failed only because its confirmations are of an earlier epoch.
fn is_stale_certificate(error: &FsError) -> bool {
    let client = error.source().and_then(|source| source.downcast_ref::<ClientError>());
    client.and_then(ClientError::abort).is_some_and(|abort| abort.is_stale_certificate())
}

impl Network for WalrusNetwork {
    fn encoded_len(&self, size: u64) -> FsResult<u64> {
        self.params.encoded_length(size).map_err(too_large)
    }

    fn max_blob(&self) -> u64 {
        self.params.max_blob_size()
    }

    fn padding(&self) -> u64 {
        u64::from(self.params.rows()) * u64::from(self.params.columns()) * 2
    }

    fn take_lease(&self) -> BoxFuture<'_, FsResult<()>> {
        async {
            if self.behind.load(Ordering::Acquire) {
                self.drive.refresh().await?;
                self.behind.store(false, Ordering::Release);
            }
            let state = self.drive.state();
            // Nobody's lease comes with the first registration or commit, in the same transaction.
            if state.lease().is_some() && !state.is_writer(&self.drive.holder()) {
                self.drive.acquire_lease(self.steal).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn give_lease(&self) -> BoxFuture<'_, FsResult<()>> {
        self.drive.release_lease().boxed()
    }

    fn encode(&self, blob: Bytes) -> BoxFuture<'_, FsResult<Arc<Encoded<Bytes>>>> {
        let encoder = Encoder::new(&self.params).threads(std::thread::available_parallelism().map_or(1, usize::from));
        async move {
            let encoded = in_background(move || encoder.encode(blob)).await?.map_err(too_large)?;
            Ok(Arc::new(encoded))
        }
        .boxed()
    }

    fn store(&self, blob: Arc<Encoded<Bytes>>, moved: Moved) -> BoxFuture<'_, FsResult<StoredBlob>> {
        async move {
            let metadata = blob.metadata();
            let wanted = BlobToRegister {
                blob_id: metadata.blob_id().0,
                root_hash: *metadata.root_hash().as_bytes(),
                size: metadata.unencoded_length(),
            };
            let registered = self.drive.register(&[wanted]).await?;
            let object_id = registered
                .first()
                .map(|registered| registered.object_id)
                .ok_or_else(|| FsError::new(Kind::Internal, "the chain answered a registration without an object"))?;
            stage("registered");
            self.upload(blob, object_id, moved).await
        }
        .boxed()
    }

    fn store_again<'a>(&'a self, blob: &'a StoredBlob, moved: Moved) -> BoxFuture<'a, FsResult<StoredBlob>> {
        async move {
            // What the nodes hold completely need not be sent again.
            let persistence = Persistence::Deletable(blob.object_id);
            match self.client.confirm(BlobId(blob.blob_id), persistence).await {
                Ok(certificate) => return Ok(StoredBlob { certificate, ..blob.clone() }),
                Err(error) => tracing::info!(%error, "a pack is uploaded again to be confirmed"),
            }
            let read = self.client.read_blob(&BlobId(blob.blob_id), walrus_client::read::Consistency::Strict).await;
            let bytes = read.map_err(|error| chain_error("a pack cannot be read back to confirm it anew", error))?;
            moved();
            let encoded = self.encode(bytes).await?;
            self.upload(encoded, blob.object_id, moved).await
        }
        .boxed()
    }

    fn sweep<'a>(&'a self, blobs: &'a [[u8; 32]]) -> BoxFuture<'a, FsResult<()>> {
        async move {
            let swept = self.drive.sweep_orphans(blobs).await?;
            if swept > 0 {
                tracing::info!(swept, "capacity of unfinished uploads was given back");
            }
            Ok(())
        }
        .boxed()
    }

    fn commit<'a>(&'a self, request: &'a CommitRequest) -> BoxFuture<'a, FsResult<Committed>> {
        async move {
            let certify = request.certify.iter();
            let plan = CommitPlan {
                tag: request.tag,
                base: crate::ids::Sequence(request.sequence.0.saturating_sub(1)),
                certify: certify
                    .map(|blob| CertifiedBlob { blob_id: blob.blob_id, certificate: blob.certificate.clone() })
                    .collect(),
                delete: request.delete.clone(),
                new_root: request.root,
                log_drop: usize::try_from(request.log_drop).unwrap_or(usize::MAX),
                log_append: request.log_append.iter().map(|entry| entry.to_vec()).collect(),
            };
            match self.drive.commit(&plan).await {
                Ok(_) => Ok(Committed::Done),
                Err(error) if is_stale_certificate(&error) => Ok(Committed::EpochMoved),
                Err(error) if error.kind() == Kind::Stale => Err(FsError::new(
                    Kind::LeaseLost,
                    "another machine committed to this drive: what is in the journal has lost its base; unmount, then `walrusfs \
                     recover` adds it beside the newer files",
                )
                .caused_by(error)),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn capacity(&self) -> Capacity {
        let state = self.drive.state();
        Capacity { total: state.pool.capacity, used: state.pool.used }
    }
}

/// Slivers of the Walrus network.
pub struct WalrusSlivers {
    client: Arc<WalrusClient>,
    params: Params,
}

impl WalrusSlivers {
    /// Slivers as `client` reads them.
    pub fn new(client: Arc<WalrusClient>, params: Params) -> Self {
        Self { client, params }
    }
}

fn unreadable(error: ClientError) -> FsError {
    FsError::new(Kind::Unreachable, format!("the network cannot give a sliver: {error}")).caused_by(error)
}

impl SliverSource for WalrusSlivers {
    fn row_len(&self, size: u64) -> FsResult<u64> {
        self.params.sliver_length(Axis::Primary, size).map(|len| len as u64).map_err(|error| {
            FsError::new(Kind::Corrupt, format!("no blob of this network has {size} bytes")).caused_by(error)
        })
    }

    fn link_carries(&self) -> Option<u64> {
        self.client.nodes().link_carries()
    }

    fn size(&self, blob: [u8; 32]) -> BoxFuture<'static, FsResult<u64>> {
        let client = Arc::clone(&self.client);
        async move { client.metadata(&BlobId(blob)).await.map(|m| m.unencoded_length()).map_err(unreadable) }.boxed()
    }

    fn fetch(&self, blob: [u8; 32], size: u64, row: u16, verify: bool) -> BoxFuture<'static, FsResult<Sliver>> {
        let client = Arc::clone(&self.client);
        async move {
            let check = if verify { Check::Verify } else { Check::Trust };
            let row =
                client.systematic_sliver(BlobRef::new(BlobId(blob), size), row, check).await.map_err(unreadable)?;
            Ok(Sliver { bytes: row.bytes, verified: row.verified })
        }
        .boxed()
    }
}
