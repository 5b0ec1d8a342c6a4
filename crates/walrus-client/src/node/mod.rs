//! Storage nodes: a small transport trait, its HTTP implementation, and typed single requests with health and limits.
//!
//! Mechanism: [`NodeTransport`] is the seam (tests put faults under it); [`http::HttpTransport`] is the real one.
//! [`NodeClient`] adds what every request needs: a bound on concurrent requests per node and in total, a time limit that
//! grows with the answer's size, a bound on the bytes under way that follows the link's rate, and the node's health, which decays.
//!
//! One call is one request: whoever knows what a failure means (upload, reads) decides about retries.

mod client;
pub mod health;
pub mod http;
mod pace;

pub use client::{NodeClient, NodeClientConfig, RawSliver};

use crate::chain::Node;
use crate::wire::node::reason;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::time::Duration;

/// HTTP methods that nodes know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Store.
    Put,
}

/// One request.
#[derive(Clone, Debug)]
pub struct NodeRequest {
    /// How.
    pub method: Method,
    /// Path and query, beginning with `/v1/`.
    pub path: String,
    /// The body; empty for reads.
    pub body: Bytes,
    /// Bytes of the answer that are read at most.
    pub max_answer: usize,
    /// Time for the whole request.
    pub timeout: Duration,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct NodeAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// How to ask a node.
pub trait NodeTransport: Send + Sync + 'static {
    /// Sends one request and reads the answer. The error is a text for people: nothing usable came back. Dropping the
    /// future cancels the request.
    fn send<'a>(&'a self, node: &'a Node, request: NodeRequest) -> BoxFuture<'a, Result<NodeAnswer, String>>;
}

/// Why a request to one node did not give what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// No answer, or none in time.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The node said no.
    #[error("status {status}{}: {message}", .reason.as_ref().map(|r| format!(" {r}")).unwrap_or_default())]
    Refused {
        /// HTTP status.
        status: u16,
        /// The protocol's reason, if the body had one.
        reason: Option<String>,
        /// For people.
        message: String,
    },
    /// The answer is not what the protocol or the blob's commitments allow.
    #[error("false answer: {0}")]
    False(String),
}

impl NodeError {
    /// The node says that it does not have the thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// The node may not serve the blob.
    pub fn is_blocked(&self) -> bool {
        self.reason() == Some(reason::FORBIDDEN_BLOB)
    }

    /// The node has not seen the registration yet, or it is over.
    pub fn is_not_registered(&self) -> bool {
        self.reason() == Some(reason::NOT_REGISTERED)
    }

    /// The node does not hold the shard (any more, or yet).
    pub fn is_shard_not_assigned(&self) -> bool {
        self.reason() == Some(reason::SHARD_NOT_ASSIGNED)
    }

    /// The protocol's reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused { reason, .. } => reason.as_deref(),
            _ => None,
        }
    }

    /// Whether this says something about the node's health; an honest "I do not have it" does not.
    pub fn is_illness(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::False(_) => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
        }
    }
}
