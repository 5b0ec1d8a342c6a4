//! The layer around a node's HTTP service: delays, errors and lies.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use walrus_client::wire::node::{self, ErrorEnvelope};

use super::lies::{Answer, backdate};
use super::{Fault, FaultState, Lie};

/// Larger answers pass unfalsified: none that a node gives is.
const LARGEST: usize = 128 << 20;

/// Neither JSON nor BCS of anything that a node answers.
const GARBAGE: &[u8] = b"\xff\xfe\x00<html><body>It works!</body></html>\xff\xff\xff\xff";

/// Puts the layer around `routes`.
pub(crate) fn wrap(routes: Router, state: Arc<FaultState>) -> Router {
    routes.layer(from_fn_with_state(state, misbehave))
}

async fn misbehave(State(state): State<Arc<FaultState>>, request: Request, next: Next) -> Response {
    state.requests.fetch_add(1, Ordering::Relaxed);
    match state.fault() {
        Fault::Slow(delay) => {
            state.requests_delayed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Fault::Error(code) => {
            state.errors_served.fetch_add(1, Ordering::Relaxed);
            failure(code)
        }
        Fault::Lie(lie) => {
            let answer = (request.method() == Method::GET).then(|| Answer::to(request.uri().path())).flatten();
            let response = next.run(request).await;
            match answer.filter(|answer| answer.is_about(lie)) {
                Some(answer) if response.status() == StatusCode::OK => falsify(&state, lie, answer, response).await,
                _ => response,
            }
        }
        Fault::Garbage => {
            state.lies_served.fetch_add(1, Ordering::Relaxed);
            (StatusCode::OK, GARBAGE).into_response()
        }
        // These are around connections and files, not around requests.
        Fault::Honest | Fault::Stopped | Fault::Hang | Fault::Corrupt => next.run(request).await,
    }
}

async fn falsify(state: &FaultState, lie: Lie, answer: Answer, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(honest) = axum::body::to_bytes(body, LARGEST).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut bytes = honest.to_vec();
    let falsified = match lie {
        Lie::Epoch => backdate(&mut bytes, &*state.signer),
        _ => answer.falsify(&mut bytes),
    };
    if falsified {
        state.lies_served.fetch_add(1, Ordering::Relaxed);
    }
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(bytes))
}

/// The error that a real node would give with this status, plain text where the protocol has none.
fn failure(code: u16) -> Response {
    let http = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (status, reason) = match code {
        429 => (node::StatusCode::ResourceExhausted, node::reason::UNAVAILABLE),
        500 => (node::StatusCode::Internal, node::reason::INTERNAL_ERROR),
        503 => (node::StatusCode::Unavailable, node::reason::UNAVAILABLE),
        _ => return (http, "an error on request\n").into_response(),
    };
    (http, Json(ErrorEnvelope::node(status, reason, "an error on request"))).into_response()
}
