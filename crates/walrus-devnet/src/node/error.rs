//! Errors of the REST API: the JSON envelope, its statuses, reasons and messages.

use std::collections::BTreeMap;
use std::fmt::Display;

use axum::Json;
use axum::response::{IntoResponse, Response};
use redstuff::{Error as CodeError, Rejection};
use walrus_client::wire::node::{ErrorDetail, ErrorEnvelope, StatusCode, reason};

use crate::chain::ChainError;

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    reason: &'static str,
    message: String,
    metadata: BTreeMap<String, String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into(), metadata: BTreeMap::new() }
    }

    pub(crate) fn with(mut self, key: &str, value: impl Display) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }

    fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FailedPrecondition, reason, message)
    }

    fn argument(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::InvalidArgument, reason, message)
    }

    pub(crate) fn metadata_not_found() -> Self {
        Self::new(StatusCode::NotFound, reason::METADATA_NOT_FOUND, "the requested metadata is unavailable")
    }

    pub(crate) fn metadata_required() -> Self {
        Self::precondition(reason::METADATA_NOT_FOUND, "blob metadata is required but missing")
    }

    pub(crate) fn sliver_not_found() -> Self {
        Self::new(StatusCode::NotFound, reason::SLIVER_NOT_FOUND, "the requested sliver is unavailable")
    }

    pub(crate) fn not_registered() -> Self {
        Self::precondition(reason::NOT_REGISTERED, "the blob has not been registered or has already expired")
    }

    pub(crate) fn missing_slivers() -> Self {
        Self::precondition(reason::MISSING_SLIVERS, "the required slivers are not all stored")
    }

    pub(crate) fn shard_not_assigned(shard: u16, epoch: u32) -> Self {
        let message = format!("shard {shard} is not assigned to this node in epoch {epoch}");
        Self::precondition(reason::SHARD_NOT_ASSIGNED, message)
    }

    pub(crate) fn index_out_of_range(context: &str, index: u16, n_shards: u16) -> Self {
        let message = format!("{context}requires 0 <= index ({index}) < {n_shards}");
        Self::argument(reason::INDEX_OUT_OF_RANGE, message)
    }

    pub(crate) fn sliver_index_mismatch(sliver: u16, pair: u16) -> Self {
        let message = format!("sliver index {sliver} is inconsistent with sliver pair index {pair}");
        Self::argument(reason::SLIVER_INDEX_MISMATCH, message)
    }

    pub(crate) fn invalid_sliver(error: &CodeError) -> Self {
        let why = match error {
            CodeError::Rejected(Rejection::IndexTooLarge { .. }) => {
                "the sliver index is too large for the number of shards in the metadata".to_owned()
            }
            CodeError::Rejected(Rejection::SliverLength { .. }) => {
                "the length of the provided sliver does not match the metadata".to_owned()
            }
            CodeError::Rejected(Rejection::SymbolSize { .. }) => {
                "the symbol size of the provided sliver does not match the metadata".to_owned()
            }
            CodeError::Rejected(Rejection::RootMismatch { .. }) => {
                "the recomputed Merkle root of the provided sliver does not match the metadata".to_owned()
            }
            other => other.to_string(),
        };
        Self::argument(reason::INVALID_SLIVER, format!("the provided sliver is invalid: {why}"))
    }

    pub(crate) fn invalid_metadata(error: &CodeError) -> Self {
        let why = match error {
            CodeError::Rejected(Rejection::HashCount { have, need }) => {
                format!("the metadata contained an invalid number of hashes (expected {need}): {have}")
            }
            CodeError::Rejected(Rejection::UnencodedLength { .. }) => {
                "the unencoded blob length is too large for the given config".to_owned()
            }
            CodeError::Rejected(Rejection::BlobIdMismatch { .. }) => {
                "the blob ID does not match the provided metadata".to_owned()
            }
            other => other.to_string(),
        };
        Self::argument(reason::INVALID_METADATA, format!("the provided metadata failed to verify: {why}"))
    }

    pub(crate) fn invalid_blob(event: &str) -> Self {
        Self::precondition(reason::INVALID_BLOB, format!("the blob for this metadata is invalid: {event}"))
    }

    pub(crate) fn cache_saturated() -> Self {
        let message = "pending upload cache is saturated; retry once the node catches up";
        Self::precondition(reason::CACHE_SATURATED, message)
    }

    pub(crate) fn wrong_content_type() -> Self {
        let message = "Expected request with `Content-Type: application/octet-stream`";
        Self::argument(reason::INVALID_CONTENT_TYPE, message)
    }

    pub(crate) fn undecodable() -> Self {
        Self::argument(reason::INVALID_CONTENT_TYPE, "unable to decode request body as BCS")
    }

    pub(crate) fn symbol_not_here() -> Self {
        let message = "none of the requested symbols' slivers are on this node";
        Self::precondition(reason::SYMBOL_NOT_PRESENT_AT_SHARDS, message)
    }

    pub(crate) fn no_symbols() -> Self {
        Self::precondition(reason::NO_SYMBOLS_SPECIFIED, "at least one symbol ID must be specified")
    }

    pub(crate) fn no_targets() -> Self {
        Self::precondition(reason::NO_TARGET_SLIVERS_SPECIFIED, "at least one target sliver must be specified")
    }

    pub(crate) fn not_systematic() -> Self {
        Self::argument(reason::RECOVERY_SYMBOL_OUT_OF_RANGE, "target is not a systematic sliver")
    }

    pub(crate) fn invalid_proof(why: impl Display) -> Self {
        Self::argument(reason::INVALID_PROOF, why.to_string())
    }

    pub(crate) fn unauthorized(why: &str) -> Self {
        Self::new(StatusCode::PermissionDenied, reason::REQUEST_UNAUTHORIZED, why)
    }

    pub(crate) fn message_verification(why: impl Display) -> Self {
        Self::argument(reason::MESSAGE_VERIFICATION_FAILED, why.to_string())
    }

    pub(crate) fn invalid_epoch(request: u32, server: u32) -> Self {
        Self::argument(
            reason::INVALID_EPOCH,
            format!("the request is for epoch {request}, this node is in epoch {server}"),
        )
        .with("request_epoch", request)
        .with("server_epoch", server)
    }

    pub(crate) fn too_many_slivers(limit: u64) -> Self {
        Self::argument(reason::SLIVER_COUNT_EXCEEDS_LIMIT, format!("at most {limit} slivers can be requested at once"))
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(StatusCode::Unavailable, reason::UNAVAILABLE, "the service is currently unavailable")
    }

    pub(crate) fn internal(error: impl Display) -> Self {
        Self::new(StatusCode::Internal, reason::INTERNAL_ERROR, error.to_string())
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

impl From<ChainError> for ApiError {
    fn from(error: ChainError) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut envelope = ErrorEnvelope::node(status, self.reason, self.message);
        if let Some(ErrorDetail::ErrorInfo { metadata, .. }) = envelope.error.details.first_mut() {
            *metadata = self.metadata;
        }
        if status == StatusCode::Internal {
            let mut trace = [0; 16];
            // A trace id that repeats is a nuisance, not a failure.
            let _ = getrandom::fill(&mut trace);
            let detail = format!("TraceID: {}", hex::encode(trace));
            tracing::error!(message = %envelope.error.message, %detail, "a request failed");
            envelope.error.details.push(ErrorDetail::DebugInfo { stack_entries: Vec::new(), detail });
        }
        let status =
            axum::http::StatusCode::from_u16(status.http()).unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(envelope)).into_response()
    }
}
