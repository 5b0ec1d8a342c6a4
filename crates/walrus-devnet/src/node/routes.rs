//! The HTTP around the rules: paths, queries, bodies, envelopes.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use redstuff::{Axis, BlobId, PairIndex, Params};
use serde::Deserialize;
use sui_sdk_types::Address;
use tokio::sync::OwnedSemaphorePermit;
use walrus_client::wire::node::SuccessEnvelope;

use super::error::ApiError;
use super::service::{StorageNode, Stored};
use super::symbols::Wanted;

/// The largest body of everything that is not a sliver.
const BODY_LIMIT: usize = 2_097_152;
/// Answers travel in frames of this size, so that memory is given back as they are sent.
const FRAME: usize = 64 << 10;

impl StorageNode {
    /// The REST API.
    pub fn routes(&self) -> Router {
        let blob = Router::new()
            .route("/metadata", get(get_metadata).put(put_metadata))
            .route("/metadata/status", get(metadata_status))
            .route("/slivers/{pair}/{axis}", get(get_sliver).put(put_sliver))
            .route("/slivers/{pair}/{axis}/status", get(sliver_status))
            .route("/confirmation/permanent", get(confirm_permanent))
            .route("/confirmation/deletable/{object_id}", get(confirm_deletable))
            .route("/recoverySymbols", get(recovery_symbols))
            .route("/decodingSymbols", get(decoding_symbols))
            .route("/inconsistencyProof/{axis}", post(inconsistency_proof))
            .route("/status", get(blob_status));
        Router::new()
            .nest("/v1/blobs/{blob_id}", blob)
            .route("/v1/health", get(health))
            .route("/v1/migrate/sync_shard", post(sync_shard))
            .route("/v1/api", get(api))
            .layer(DefaultBodyLimit::disable())
            .layer(from_fn(cors))
            .with_state(self.clone())
    }
}

/// Any origin, method and header may use the API.
async fn cors(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight { StatusCode::OK.into_response() } else { next.run(request).await };
    let any = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    if preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, any.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, any);
    }
    response
}

type NodeState = State<StorageNode>;

fn success<T: serde::Serialize>(status: StatusCode, data: T) -> Response {
    (status, Json(SuccessEnvelope::new(status.as_u16(), data))).into_response()
}

/// Bytes on their way to a client, with the memory that they borrow.
struct Lent {
    rest: Bytes,
    _room: OwnedSemaphorePermit,
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let frame = self.rest.len().min(FRAME);
        let frame = self.rest.split_to(frame);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// A BCS answer of about `expected` bytes: room for it is borrowed before it is made.
async fn binary<F: Future<Output = Result<Vec<u8>, ApiError>>>(
    node: &StorageNode,
    expected: usize,
    answer: F,
) -> Result<Response, ApiError> {
    let room = node.inner.limits.download(expected).await.ok_or_else(ApiError::unavailable)?;
    let body = Body::new(Lent { rest: answer.await?.into(), _room: room });
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))], body).into_response())
}

/// A request body in memory, with the memory that it borrows.
struct Upload {
    bytes: Bytes,
    room: OwnedSemaphorePermit,
}

/// Reads a body of at most `limit` bytes once there is room for it. The errors are plain text, as those of the HTTP framework.
async fn upload(node: &StorageNode, request: Request, limit: usize) -> Result<Upload, Response> {
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, "length limit exceeded").into_response();
    let hint = hyper::body::Body::size_hint(request.body());
    let announced = hint.exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let room = node.inner.limits.upload(announced.unwrap_or(limit)).await;
    let room = room.ok_or_else(|| ApiError::unavailable().into_response())?;
    let mut body = request.into_body();
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            (StatusCode::BAD_REQUEST, format!("Failed to buffer the request body: {error}")).into_response()
        })?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Upload { bytes: bytes.into(), room })
}

/// The content type of a BCS body must be absent or `application/octet-stream`.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/octet-stream") { Ok(()) } else { Err(ApiError::wrong_content_type()) }
}

fn stored(outcome: Stored, pending: bool, new: &str, buffered: &str, already: &str) -> Response {
    match (outcome, pending) {
        (Stored::New, false) => success(StatusCode::CREATED, new),
        (Stored::New, true) => success(StatusCode::ACCEPTED, buffered),
        (Stored::Already, _) => success(StatusCode::OK, already),
    }
}

/// The query of PUT requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutQuery {
    #[serde(default)]
    pending: bool,
}

async fn get_metadata(State(node): NodeState, Path(id): Path<BlobId>) -> Result<Response, ApiError> {
    let expected = 64 + 66 * usize::from(node.placement().params.n_shards());
    binary(&node, expected, node.get_metadata(id)).await
}

async fn put_metadata(
    State(node): NodeState,
    Path(id): Path<BlobId>,
    Query(query): Query<PutQuery>,
    request: Request,
) -> Result<Response, Response> {
    check_content_type(request.headers()).map_err(IntoResponse::into_response)?;
    let body = upload(&node, request, BODY_LIMIT).await?;
    let outcome = node.put_metadata(id, body.bytes, query.pending).await.map_err(IntoResponse::into_response)?;
    drop(body.room);
    let buffered = "metadata buffered pending registration";
    Ok(stored(outcome, query.pending, "metadata successfully stored", buffered, "metadata already stored"))
}

async fn metadata_status(State(node): NodeState, Path(id): Path<BlobId>) -> Result<Response, ApiError> {
    Ok(success(StatusCode::OK, node.metadata_status(id).await?))
}

type SliverPath = Path<(BlobId, u16, Axis)>;

/// Bytes of the largest sliver of the committee.
fn sliver_limit(params: &Params) -> usize {
    usize::from(params.columns()) * usize::from(Params::MAX_SYMBOL_SIZE) + 128
}

async fn get_sliver(State(node): NodeState, Path((id, pair, axis)): SliverPath) -> Result<Response, ApiError> {
    // What the blob's slivers measure is known from its metadata, which the last requests of the blob left in the cache.
    let known = node.inner.limits.cached_metadata(&id).map(|metadata| metadata.sliver_length(axis));
    let expected = known.unwrap_or_else(|| node.largest_registered_sliver(&id, axis));
    binary(&node, expected, node.get_sliver(id, PairIndex::new(pair), axis)).await
}

async fn put_sliver(
    State(node): NodeState,
    Path((id, pair, axis)): SliverPath,
    Query(query): Query<PutQuery>,
    request: Request,
) -> Result<Response, Response> {
    let body = upload(&node, request, sliver_limit(&node.placement().params)).await?;
    let outcome = node.put_sliver(id, PairIndex::new(pair), axis, body.bytes, query.pending).await;
    drop(body.room);
    let outcome = outcome.map_err(IntoResponse::into_response)?;
    let buffered = "sliver buffered pending registration";
    Ok(stored(outcome, query.pending, "sliver stored successfully", buffered, "sliver already stored"))
}

async fn sliver_status(State(node): NodeState, Path((id, pair, axis)): SliverPath) -> Result<Response, ApiError> {
    Ok(success(StatusCode::OK, node.sliver_status(id, PairIndex::new(pair), axis).await?))
}

/// The query of confirmations. Waiting for a registration only concerns blobs in the cache of pending uploads, which is disabled;
/// so the answer is immediate, but values that make no sense are still refused.
#[derive(Debug, Deserialize)]
struct ConfirmationQuery {
    #[serde(default)]
    #[expect(dead_code, reason = "checked by being parsed")]
    wait_for_registration: bool,
    #[expect(dead_code, reason = "checked by being parsed")]
    wait_millis: Option<u64>,
}

async fn confirm_permanent(
    State(node): NodeState,
    Path(id): Path<BlobId>,
    Query(_): Query<ConfirmationQuery>,
) -> Result<Response, ApiError> {
    Ok(success(StatusCode::OK, node.confirm(id, None).await?))
}

async fn confirm_deletable(
    State(node): NodeState,
    Path((id, object)): Path<(BlobId, Address)>,
    Query(_): Query<ConfirmationQuery>,
) -> Result<Response, ApiError> {
    Ok(success(StatusCode::OK, node.confirm(id, Some(object)).await?))
}

/// Keys may repeat, which a struct cannot say.
type Pairs = Query<Vec<(String, String)>>;

/// What is wrong with a query, answered as the HTTP framework does: 400 and plain text.
struct BadQuery(String);

impl From<BadQuery> for Response {
    fn from(BadQuery(why): BadQuery) -> Self {
        (StatusCode::BAD_REQUEST, format!("Failed to deserialize query string: {why}")).into_response()
    }
}

fn axis(key: &str, value: &str) -> Result<Axis, BadQuery> {
    value.parse().map_err(|error| BadQuery(format!("{key}: {error}")))
}

fn number(key: &str, value: &str) -> Result<u16, BadQuery> {
    value.parse().map_err(|_| BadQuery(format!("{key}: {value:?} is not a sliver index")))
}

async fn recovery_symbols(
    State(node): NodeState,
    Path(id): Path<BlobId>,
    Query(pairs): Pairs,
) -> Result<Response, Response> {
    let (mut ids, mut target, mut target_axis, mut proof_axis) = (Vec::new(), None, None, None);
    for (key, value) in &pairs {
        match key.as_str() {
            "id" => ids.push(value.parse().map_err(|error| BadQuery(format!("id: {error}")))?),
            "targetSliver" => target = Some(number(key, value)?),
            "targetType" => target_axis = Some(axis(key, value)?),
            "proofAxis" => proof_axis = Some(axis(key, value)?),
            _ => {}
        }
    }
    let wanted = match (target, target_axis) {
        (Some(index), Some(axis)) if ids.is_empty() => Wanted::Target(axis, index),
        (None, None) => Wanted::Symbols(ids),
        _ => {
            return Err(BadQuery("use `id`, or `targetSliver` with `targetType`".to_owned()).into());
        }
    };
    let answer = node.recovery_symbols(id, wanted, proof_axis);
    binary(&node, BODY_LIMIT, answer).await.map_err(IntoResponse::into_response)
}

async fn decoding_symbols(
    State(node): NodeState,
    Path(id): Path<BlobId>,
    Query(pairs): Pairs,
) -> Result<Response, Response> {
    let (mut targets, mut target_axis) = (Vec::new(), None);
    for (key, value) in &pairs {
        match key.as_str() {
            "targetSlivers" => targets.push(number(key, value)?),
            "targetType" => target_axis = Some(axis(key, value)?),
            _ => {}
        }
    }
    let axis = target_axis.ok_or_else(|| BadQuery("missing field `targetType`".to_owned()))?;
    binary(&node, BODY_LIMIT, node.decoding_symbols(id, axis, targets)).await.map_err(IntoResponse::into_response)
}

async fn inconsistency_proof(
    State(node): NodeState,
    Path((id, axis)): Path<(BlobId, Axis)>,
    request: Request,
) -> Result<Response, Response> {
    let body = upload(&node, request, BODY_LIMIT).await?;
    let signed = node.attest_invalid(id, axis, body.bytes).await.map_err(IntoResponse::into_response)?;
    drop(body.room);
    Ok(success(StatusCode::OK, signed))
}

async fn blob_status(State(node): NodeState, Path(id): Path<BlobId>) -> Result<Response, ApiError> {
    Ok(success(StatusCode::OK, node.blob_status(&id)?))
}

#[derive(Debug, Deserialize)]
struct HealthQuery {
    #[serde(default)]
    detailed: bool,
}

async fn health(State(node): NodeState, Query(query): Query<HealthQuery>) -> Response {
    success(StatusCode::OK, node.health(query.detailed))
}

async fn sync_shard(State(node): NodeState, request: Request) -> Result<Response, Response> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let Some(authorization) = request.headers().get(header::AUTHORIZATION) else {
        return Err((StatusCode::UNAUTHORIZED, "Missing Authorization header").into_response());
    };
    let caller: Option<[u8; 48]> = STANDARD.decode(authorization.as_bytes()).ok().and_then(|key| key.try_into().ok());
    let caller = caller.ok_or_else(|| (StatusCode::BAD_REQUEST, "Invalid Authorization header").into_response())?;
    check_content_type(request.headers()).map_err(IntoResponse::into_response)?;
    let body = upload(&node, request, BODY_LIMIT).await?;
    binary(&node, BODY_LIMIT, node.sync_shard(caller, body.bytes)).await.map_err(IntoResponse::into_response)
}

async fn api() -> Html<&'static str> {
    Html(
        "<!doctype html><title>Walrus storage node</title><h1>Walrus storage node</h1>\
         <p>Routes under <code>/v1</code>: <code>blobs/{blob_id}/</code> with <code>metadata</code>, <code>metadata/status</code>, \
         <code>slivers/{pair}/{primary|secondary}</code>, <code>.../status</code>, <code>confirmation/permanent</code>, \
         <code>confirmation/deletable/{object_id}</code>, <code>recoverySymbols</code>, <code>decodingSymbols</code>, \
         <code>inconsistencyProof/{primary|secondary}</code>, <code>status</code>; <code>health</code>; \
         <code>migrate/sync_shard</code>.</p>",
    )
}
