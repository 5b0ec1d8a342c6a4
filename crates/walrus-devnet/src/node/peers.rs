//! What nodes ask of each other: metadata, slivers, recovery symbols. Every answer is hostile until verified.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use redstuff::{Axis, BlobId, PairIndex};

use crate::chain::CommitteeMember;

/// How long a peer may take for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks other nodes, in clear text: the network is this machine.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Default for Peers {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30)).pool_max_idle_per_host(4);
        Self { client: builder.build(connector) }
    }
}

impl Peers {
    /// The body of a 200 answer of at most `limit` bytes; `None` for anything else.
    async fn get(&self, peer: &CommitteeMember, path: &str, limit: usize) -> Option<Bytes> {
        let request = Request::get(format!("http://{}{path}", peer.network_address)).body(Empty::new()).ok()?;
        let answer = async {
            let response = self.client.request(request).await.ok()?;
            if response.status() != StatusCode::OK {
                return None;
            }
            Some(Limited::new(response.into_body(), limit).collect().await.ok()?.to_bytes())
        };
        tokio::time::timeout(PATIENCE, answer).await.ok().flatten()
    }

    /// BCS of `BlobMetadataWithId`.
    pub(super) async fn metadata(&self, peer: &CommitteeMember, id: &BlobId, n_shards: u16) -> Option<Bytes> {
        self.get(peer, &format!("/v1/blobs/{id}/metadata"), 64 + 66 * usize::from(n_shards)).await
    }

    /// BCS of `SliverData` with at most `length` bytes of symbols.
    pub(super) async fn sliver(
        &self,
        peer: &CommitteeMember,
        id: &BlobId,
        pair: PairIndex,
        axis: Axis,
        length: usize,
    ) -> Option<Bytes> {
        self.get(peer, &format!("/v1/blobs/{id}/slivers/{pair}/{axis}"), length + 16).await
    }

    /// BCS of all recovery symbols that a peer has for sliver `target`.
    pub(super) async fn recovery_symbols(
        &self,
        peer: &CommitteeMember,
        id: &BlobId,
        axis: Axis,
        target: u16,
        symbol_size: usize,
    ) -> Option<Bytes> {
        let path = format!("/v1/blobs/{id}/recoverySymbols?targetSliver={target}&targetType={axis}");
        // Each symbol with its indices, lengths and a proof of at most 14 nodes.
        let limit = 16 + peer.shards.len() * (symbol_size + 16 + 14 * 33);
        self.get(peer, &path, limit).await
    }
}
