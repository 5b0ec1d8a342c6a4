//! The faucet: `POST /v2/gas` as Sui's faucets answer it, and `POST /v2/wal` of the same form for WAL.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sui_sdk_types::Address;

use super::api::Chain;

/// What one request gives: 1000 SUI in MIST, or 1000 WAL in FROST.
const GIFT: u64 = 1_000_000_000_000;

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "FixedAmountRequest")]
    fixed: Fixed,
}

#[derive(Deserialize)]
struct Fixed {
    recipient: String,
}

/// The faucet's routes.
pub(crate) fn routes(chain: Chain) -> Router {
    Router::new()
        .route("/v2/gas", post(|state, body| give(state, body, false)))
        .route("/v2/wal", post(|state, body| give(state, body, true)))
        .with_state(chain)
}

async fn give(State(chain): State<Chain>, Json(request): Json<Request>, wal: bool) -> (StatusCode, Json<Value>) {
    let failure = |status, reason: String| {
        // The TypeScript client looks for the lower-case name, the Rust client for the other.
        (status, Json(json!({ "status": { "Failure": { "Internal": reason, "internal": reason } } })))
    };
    let Ok(recipient) = request.fixed.recipient.parse::<Address>() else {
        return failure(StatusCode::BAD_REQUEST, format!("{:?} is no address", request.fixed.recipient));
    };
    match chain.give(recipient, GIFT, wal).await {
        Ok(gift) => {
            let coin = json!({
                "amount": gift.amount,
                "id": gift.coin.to_string(),
                "transferTxDigest": gift.transaction.to_string(),
            });
            (StatusCode::CREATED, Json(json!({ "status": "Success", "coins_sent": [coin] })))
        }
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
