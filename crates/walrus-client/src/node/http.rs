//! Nodes over HTTP/2, with the TLS key pinned from the chain.
//!
//! Mechanism: one connection pool for each node, HTTP/2 with prior knowledge and without ALPN (as the network's own
//! client speaks it, so a node that only answers that is enough). With [`NodeTls::Pinned`] the certificate is looked at
//! for one thing: its public key must be the P-256 key that the chain names for the node, and the handshake must prove
//! that the server owns it. Names, dates and issuers say nothing more and are ignored.

use super::{Method, NodeAnswer, NodeRequest, NodeTransport};
use crate::chain::Node;
use crate::error::{ClientError, ClientResult};
use crate::network::NodeTls;
use crate::wire::chain::Element;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// An answer's buffer is not made larger than this before its bytes arrive. Most slivers fit; memory that is not written to costs
/// nothing.
const MAX_PREALLOCATED: usize = 8 << 20;
/// Bytes of a frame that a node may send, where the protocol's 16 KiB would cut a sliver into a hundred.
const FRAME: u32 = 256 << 10;

/// See the module.
pub struct HttpTransport {
    tls: NodeTls,
    clients: Mutex<HashMap<(String, Element<33>), reqwest::Client>>,
}

impl HttpTransport {
    /// A transport that connects as `tls` says.
    pub fn new(tls: NodeTls) -> Self {
        Self { tls, clients: Mutex::default() }
    }

    fn client(&self, node: &Node) -> ClientResult<reqwest::Client> {
        let key = (node.address.clone(), node.network_key);
        if let Some(client) = self.clients.lock().get(&key) {
            return Ok(client.clone());
        }
        let client = self.connect(node)?;
        Ok(self.clients.lock().entry(key).or_insert(client).clone())
    }

    fn connect(&self, node: &Node) -> ClientResult<reqwest::Client> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let invalid = |error: &dyn std::fmt::Display| {
            ClientError::Invalid(format!("no connection to node {} can be set up: {error}", node.name))
        };
        let tls = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PinnedKey { key: node.network_key, provider }))
            .with_no_client_auth();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(self.tls == NodeTls::Pinned)
            .http2_prior_knowledge()
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_frame_size(FRAME)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()
            .map_err(|error| invalid(&error))
    }

    async fn exchange(&self, node: &Node, request: NodeRequest) -> Result<NodeAnswer, String> {
        let client = self.client(node).map_err(|error| error.to_string())?;
        let scheme = match self.tls {
            NodeTls::Pinned => "https",
            NodeTls::Plain => "http",
        };
        let url = format!("{scheme}://{}{}", node.address, request.path);
        let builder = match request.method {
            Method::Get => client.get(url),
            Method::Put => client.put(url).header("content-type", "application/octet-stream").body(request.body),
        };
        let mut answer = builder.send().await.map_err(|error| describe(&error))?;
        let status = answer.status().as_u16();
        let announced = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        if announced > request.max_answer {
            return Err(format!("an answer of {announced} bytes where at most {} belong", request.max_answer));
        }
        let mut body = BytesMut::with_capacity(announced.min(MAX_PREALLOCATED));
        while let Some(chunk) = answer.chunk().await.map_err(|error| describe(&error))? {
            if body.len() + chunk.len() > request.max_answer {
                return Err(format!("an answer of more than {} bytes", request.max_answer));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(NodeAnswer { status, body: Bytes::from(body) })
    }
}

impl NodeTransport for HttpTransport {
    fn send<'a>(&'a self, node: &'a Node, request: NodeRequest) -> BoxFuture<'a, Result<NodeAnswer, String>> {
        let timeout = request.timeout;
        async move {
            match tokio::time::timeout(timeout, self.exchange(node, request)).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
            }
        }
        .boxed()
    }
}

/// The innermost cause says what happened; the outer ones repeat the URL.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Accepts exactly one public key.
#[derive(Debug)]
struct PinnedKey {
    key: Element<33>,
    provider: Arc<CryptoProvider>,
}

/// DER of a P-256 SubjectPublicKeyInfo up to the point, which follows uncompressed (65 bytes).
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Whether a SubjectPublicKeyInfo is the P-256 key with this compressed point. That the point lies on the curve is
/// checked by the signature verification of the handshake.
fn is_key(spki: &[u8], key: &Element<33>) -> bool {
    let Some(point) = spki.strip_prefix(&P256_SPKI_PREFIX) else { return false };
    let [0x04, coordinates @ ..] = point else { return false };
    let Some((x, y)) = coordinates.split_at_checked(32) else { return false };
    let [sign, expected_x @ ..] = &key.0;
    y.len() == 32 && x == expected_x && *sign == 0x02 | (y[31] & 1)
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        if is_key(spki.as_ref(), &self.key) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_key_is_the_key() {
        let mut spki = P256_SPKI_PREFIX.to_vec();
        spki.push(4);
        spki.extend_from_slice(&[7; 32]);
        spki.extend_from_slice(&[9; 32]);
        let mut key = Element([7; 33]);
        key.0[0] = 3;
        assert!(is_key(&spki, &key));
        for (at, name) in [(0, "sign"), (1, "x"), (32, "x")] {
            let mut other = key;
            other.0[at] ^= 1;
            assert!(!is_key(&spki, &other), "{name}");
        }
        for at in [0, 25, 26, 27, 90] {
            let mut other = spki.clone();
            other[at] ^= 1;
            assert!(!is_key(&other, &key), "byte {at}");
        }
        assert!(!is_key(&spki[..90], &key));
        spki.push(0);
        assert!(!is_key(&spki, &key));
    }
}
