//! The faucet: SUI for test networks, over HTTP.

use crate::error::{ClientError, ClientResult};
use serde_json::{Value, json};
use std::time::Duration;
use sui_sdk_types::Address;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Asks the faucet at `url` to send its fixed amount to `recipient`.
pub(crate) async fn request(url: &str, recipient: &Address) -> ClientResult<()> {
    // Only the first installation in a process counts; whichever it is, TLS works.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| ClientError::Invalid(format!("no HTTP client can be set up: {error}")))?;
    let body = json!({ "FixedAmountRequest": { "recipient": recipient.to_string() } }).to_string();
    let answer = client
        .post(format!("{}/v2/gas", url.trim_end_matches('/')))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .map_err(|error| ClientError::unreachable(format!("faucet {url}"), error))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| ClientError::unreachable(format!("faucet {url}"), error))?;
    judge(url, status.as_u16(), &text)
}

fn judge(url: &str, status: u16, text: &str) -> ClientResult<()> {
    let excerpt: String = text.chars().take(200).collect();
    if status == 429 || status >= 500 {
        return Err(ClientError::unreachable(format!("faucet {url}"), format!("status {status}: {excerpt}")));
    }
    let answer: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    match answer.get("status").and_then(Value::as_str) {
        Some("Success") if (200..300).contains(&status) => Ok(()),
        _ => Err(ClientError::bad(format!("faucet {url}"), format!("status {status}: {excerpt}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged() {
        let success = r#"{"status":"Success","coins_sent":[]}"#;
        let failure = r#"{"status":{"Failure":{"Internal":"empty"}}}"#;
        assert!(judge("u", 201, success).is_ok());
        assert!(matches!(judge("u", 429, "slow down"), Err(ClientError::Unreachable { .. })));
        assert!(matches!(judge("u", 200, failure), Err(ClientError::BadAnswer { .. })));
        assert!(matches!(judge("u", 400, success), Err(ClientError::BadAnswer { .. })));
        assert!(judge("u", 200, "<html>").is_err());
    }
}
