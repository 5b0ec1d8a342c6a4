//! JSON of the storage nodes' REST API: envelopes, errors, statuses, confirmations, health; and the request paths.
//!
//! Mechanism: success is `{"success":{"code","data"}}`, failure `{"error":{"status","code","message","details"}}`.
//! Binary bodies (metadata, slivers, symbols) are BCS of `redstuff` types and do not appear here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The domain of errors that storage nodes raise.
pub const NODE_DOMAIN: &str = "storage.walrus.space";

/// The body of a successful JSON answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessEnvelope<T> {
    /// The answer.
    pub success: Success<T>,
}

/// Inside [`SuccessEnvelope`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success<T> {
    /// The HTTP status again.
    pub code: u16,
    /// The payload.
    pub data: T,
}

impl<T> SuccessEnvelope<T> {
    /// Wraps `data` under HTTP status `code`.
    pub fn new(code: u16, data: T) -> Self {
        Self { success: Success { code, data } }
    }
}

/// The body of a failed answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEnvelope {
    /// What happened.
    pub error: ErrorBody,
}

/// Inside [`ErrorEnvelope`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The class of the failure.
    pub status: StatusCode,
    /// The HTTP status; always [`StatusCode::http`] of `status`.
    pub code: u16,
    /// For people.
    pub message: String,
    /// For programs.
    pub details: Vec<ErrorDetail>,
}

/// One detail of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "@type")]
pub enum ErrorDetail {
    /// The reason, one of [`reason`].
    ErrorInfo {
        /// A constant string.
        reason: String,
        /// Who says so.
        domain: String,
        /// Particulars; present even when empty.
        metadata: BTreeMap<String, String>,
    },
    /// Comes with internal errors.
    DebugInfo {
        /// Empty in practice.
        #[serde(rename = "stackEntries")]
        stack_entries: Vec<String>,
        /// A trace id.
        detail: String,
    },
}

impl ErrorEnvelope {
    /// An error of a storage node.
    pub fn node(status: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        let info = ErrorDetail::ErrorInfo {
            reason: reason.to_owned(),
            domain: NODE_DOMAIN.to_owned(),
            metadata: BTreeMap::new(),
        };
        Self { error: ErrorBody { status, code: status.http(), message: message.into(), details: vec![info] } }
    }

    /// The first reason given.
    pub fn reason(&self) -> Option<&str> {
        self.error.details.iter().find_map(|detail| match detail {
            ErrorDetail::ErrorInfo { reason, .. } => Some(reason.as_str()),
            ErrorDetail::DebugInfo { .. } => None,
        })
    }
}

/// Classes of failure and their HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the protocol's own")]
pub enum StatusCode {
    Ok,
    InvalidArgument,
    FailedPrecondition,
    Unauthenticated,
    PermissionDenied,
    SizeExceeded,
    NotFound,
    RangeNotSatisfiable,
    ResourceExhausted,
    UnavailableForLegalReasons,
    Internal,
    Unavailable,
    DeadlineExceeded,
}

impl StatusCode {
    /// The HTTP status that goes with the class.
    pub fn http(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::InvalidArgument | Self::FailedPrecondition => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied | Self::SizeExceeded => 403,
            Self::NotFound => 404,
            Self::RangeNotSatisfiable => 416,
            Self::ResourceExhausted => 429,
            Self::UnavailableForLegalReasons => 451,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }
}

/// Reasons of node errors.
#[expect(missing_docs, reason = "the names are the protocol's own")]
pub mod reason {
    pub const METADATA_NOT_FOUND: &str = "METADATA_NOT_FOUND";
    pub const SLIVER_NOT_FOUND: &str = "SLIVER_NOT_FOUND";
    pub const FORBIDDEN_BLOB: &str = "FORBIDDEN_BLOB";
    pub const NOT_REGISTERED: &str = "NOT_REGISTERED";
    pub const MISSING_SLIVERS: &str = "MISSING_SLIVERS";
    pub const SHARD_NOT_ASSIGNED: &str = "SHARD_NOT_ASSIGNED";
    pub const INDEX_OUT_OF_RANGE: &str = "INDEX_OUT_OF_RANGE";
    pub const SLIVER_INDEX_MISMATCH: &str = "SLIVER_INDEX_MISMATCH";
    pub const INVALID_SLIVER: &str = "INVALID_SLIVER";
    pub const INVALID_METADATA: &str = "INVALID_METADATA";
    pub const INVALID_BLOB: &str = "INVALID_BLOB";
    pub const UNSUPPORTED_ENCODING_TYPE: &str = "UNSUPPORTED_ENCODING_TYPE";
    pub const CACHE_SATURATED: &str = "CACHE_SATURATED";
    pub const INVALID_CONTENT_TYPE: &str = "INVALID_CONTENT_TYPE";
    pub const SYMBOL_NOT_PRESENT_AT_SHARDS: &str = "SYMBOL_NOT_PRESENT_AT_SHARDS";
    pub const NO_SYMBOLS_SPECIFIED: &str = "NO_SYMBOLS_SPECIFIED";
    pub const NO_TARGET_SLIVERS_SPECIFIED: &str = "NO_TARGET_SLIVERS_SPECIFIED";
    pub const RECOVERY_SYMBOL_OUT_OF_RANGE: &str = "RECOVERY_SYMBOL_OUT_OF_RANGE";
    pub const UNAVAILABLE: &str = "UNAVAILABLE";
    pub const INVALID_PROOF: &str = "INVALID_PROOF";
    pub const REQUEST_UNAUTHORIZED: &str = "REQUEST_UNAUTHORIZED";
    pub const MESSAGE_VERIFICATION_FAILED: &str = "MESSAGE_VERIFICATION_FAILED";
    pub const INVALID_EPOCH: &str = "INVALID_EPOCH";
    pub const SLIVER_COUNT_EXCEEDS_LIMIT: &str = "SLIVER_COUNT_EXCEEDS_LIMIT";
    pub const INTERNAL_ERROR: &str = "INTERNAL_ERROR";
}

/// Whether a node has a metadata or a sliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoredOnNodeStatus {
    /// No.
    Nonexistent,
    /// Accepted, waiting for the registration.
    Buffered,
    /// Yes.
    Stored,
}

/// What a node knows about a blob from the chain's events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum BlobStatus {
    /// No unexpired registration.
    Nonexistent,
    /// Proved to be inconsistently encoded.
    Invalid {
        /// The event that says so.
        event: EventId,
    },
    /// At least one permanent registration.
    Permanent {
        /// The last epoch boundary up to which it is stored.
        end_epoch: u32,
        /// Whether that registration is certified.
        is_certified: bool,
        /// The event behind the statement.
        status_event: EventId,
        /// Deletable objects of the same blob.
        deletable_counts: DeletableCounts,
        /// When the blob id was first certified.
        initial_certified_epoch: Option<u32>,
    },
    /// Only deletable (or pooled) registrations.
    Deletable {
        /// When the blob id was first certified.
        initial_certified_epoch: Option<u32>,
        /// How many objects.
        deletable_counts: DeletableCounts,
    },
}

impl BlobStatus {
    /// When the blob was first certified, if it was.
    pub fn initial_certified_epoch(&self) -> Option<u32> {
        match self {
            Self::Nonexistent | Self::Invalid { .. } => None,
            Self::Permanent { initial_certified_epoch, .. } | Self::Deletable { initial_certified_epoch, .. } => {
                *initial_certified_epoch
            }
        }
    }
}

/// Deletable registrations of a blob. (The field names are snake case on the wire.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletableCounts {
    /// All.
    pub count_deletable_total: u32,
    /// Of these, certified.
    pub count_deletable_certified: u32,
}

/// Names an event on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventId {
    /// Base58 digest of the transaction.
    pub tx_digest: String,
    /// The event's place in it, in decimal.
    pub event_seq: String,
}

/// A message and its signature, both base64 (standard alphabet, padded).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedMessage {
    /// The signed bytes.
    pub serialized_message: String,
    /// The BLS signature, 96 bytes.
    pub signature: String,
}

impl SignedMessage {
    /// Encodes message and signature.
    pub fn new(message: &[u8], signature: &super::bls::BlsSignature) -> Self {
        use base64::{Engine, engine::general_purpose::STANDARD};
        Self { serialized_message: STANDARD.encode(message), signature: STANDARD.encode(signature.to_bytes()) }
    }

    /// Decodes message and signature bytes; `None` when either is not base64.
    pub fn decode(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        Some((STANDARD.decode(&self.serialized_message).ok()?, STANDARD.decode(&self.signature).ok()?))
    }
}

/// The answer of the confirmation endpoints (JSON `StorageConfirmation`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConfirmationBody {
    /// The node's signed statement.
    Signed(SignedMessage),
}

/// The answer of `/v1/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceHealthInfo {
    /// Time since the node started.
    pub uptime: Duration,
    /// The node's epoch.
    pub epoch: u32,
    /// Base64 of the 48-byte BLS key.
    pub public_key: String,
    /// `Active`, `Standby`, `RecoverMetadata`, ...
    pub node_status: String,
    /// How far the node has followed the chain's events.
    pub event_progress: EventProgress,
    /// Shards by state.
    pub shard_summary: ShardSummary,
    /// Every shard; only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_detail: Option<ShardDetail>,
    /// The newest checkpoint seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_checkpoint_sequence_number: Option<u64>,
}

/// Inside [`ServiceHealthInfo`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventProgress {
    /// Events processed.
    pub persisted: u64,
    /// Events seen and not processed.
    pub pending: u64,
    /// The highest processed event.
    pub highest_finished_event_index: Option<u64>,
}

/// Inside [`ServiceHealthInfo`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardSummary {
    /// Shards assigned to the node.
    pub owned: u32,
    /// Of these, by state.
    pub owned_shard_status: OwnedShardStatus,
    /// Shards that moved away and are still served.
    pub read_only: u32,
}

/// Inside [`ShardSummary`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "counts of shards in the state of that name")]
pub struct OwnedShardStatus {
    pub unknown: u32,
    pub ready: u32,
    pub in_transfer: u32,
    pub in_recovery: u32,
}

/// Inside [`ServiceHealthInfo`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardDetail {
    /// Shards assigned to the node.
    pub owned: Vec<ShardHealth>,
    /// Shards that the node still holds.
    pub other: Vec<ShardHealth>,
}

/// One shard's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardHealth {
    /// The shard's index.
    pub shard: u16,
    /// Its state.
    pub status: ShardStatus,
}

/// The state of a shard on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the protocol's own")]
pub enum ShardStatus {
    Unknown,
    Ready,
    InTransfer,
    InRecovery,
    ReadOnly,
}

/// Longest time that a node waits for a registration in a confirmation request.
pub const MAX_CONFIRMATION_WAIT: Duration = Duration::from_millis(5000);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_shapes_are_the_protocols() {
        let event = EventId { tx_digest: "D".into(), event_seq: "0".into() };
        let counts = DeletableCounts { count_deletable_total: 2, count_deletable_certified: 1 };
        let cases = [
            (BlobStatus::Nonexistent, json!("nonexistent")),
            (
                BlobStatus::Invalid { event: event.clone() },
                json!({"invalid": {"event": {"txDigest": "D", "eventSeq": "0"}}}),
            ),
            (
                BlobStatus::Permanent {
                    end_epoch: 9,
                    is_certified: true,
                    status_event: event,
                    deletable_counts: counts,
                    initial_certified_epoch: Some(3),
                },
                json!({"permanent": {"endEpoch": 9, "isCertified": true,
                    "statusEvent": {"txDigest": "D", "eventSeq": "0"},
                    "deletableCounts": {"count_deletable_total": 2, "count_deletable_certified": 1},
                    "initialCertifiedEpoch": 3}}),
            ),
            (
                BlobStatus::Deletable { initial_certified_epoch: None, deletable_counts: counts },
                json!({"deletable": {"initialCertifiedEpoch": null,
                    "deletableCounts": {"count_deletable_total": 2, "count_deletable_certified": 1}}}),
            ),
        ];
        for (status, expected) in cases {
            assert_eq!(serde_json::to_value(&status).unwrap(), expected);
            assert_eq!(serde_json::from_value::<BlobStatus>(expected).unwrap(), status);
        }
        let signed =
            ConfirmationBody::Signed(SignedMessage { serialized_message: "AQ==".into(), signature: "Ag==".into() });
        assert_eq!(
            serde_json::to_value(SuccessEnvelope::new(200, signed)).unwrap(),
            json!({"success": {"code": 200, "data": {"signed": {"serializedMessage": "AQ==", "signature": "Ag=="}}}})
        );
    }

    #[test]
    fn errors_have_the_shape_that_clients_parse() {
        let error = ErrorEnvelope::node(StatusCode::FailedPrecondition, reason::NOT_REGISTERED, "m");
        let expected = json!({"error": {"status": "FAILED_PRECONDITION", "code": 400, "message": "m", "details": [
            {"@type": "ErrorInfo", "reason": "NOT_REGISTERED", "domain": "storage.walrus.space", "metadata": {}}]}});
        assert_eq!(serde_json::to_value(&error).unwrap(), expected);
        let parsed: ErrorEnvelope = serde_json::from_value(expected).unwrap();
        assert_eq!(parsed.reason(), Some("NOT_REGISTERED"));
        assert_eq!(
            serde_json::to_value(StatusCode::UnavailableForLegalReasons).unwrap(),
            json!("UNAVAILABLE_FOR_LEGAL_REASONS")
        );
    }
}
