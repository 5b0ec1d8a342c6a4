//! One port: TLS with the pinned key, h2 without ALPN, clear text.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use walrus_client::client::{ClientConfig as WalrusConfig, WalrusClient};
use walrus_client::network::NodeTls;
use walrus_client::node::http::HttpTransport;
use walrus_client::node::{Method, NodeRequest, NodeTransport};

use super::support::{User, blob, network};

/// Takes any certificate: the test looks at it afterwards.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn connector(alpn: &[&[u8]]) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn health_over_h2(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static) -> u16 {
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::get("http://node/v1/health").body(Empty::<Bytes>::new()).unwrap();
    let response = send.send_request(request).await.unwrap();
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    driver.abort();
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_speaks_everything() {
    let net = network().await;
    let address = net.node(2).url.trim_start_matches("http://").to_owned();
    let name = ServerName::try_from("127.0.0.1").unwrap();

    // h2 after a handshake without ALPN, as the Rust client of the real network does it.
    let tls = connector(&[]).connect(name.clone(), TcpStream::connect(&address).await.unwrap()).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), None);
    let certificate = tls.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(health_over_h2(tls).await, 200);
    // h2 by ALPN, and h2 in clear text by its preface.
    let tls = connector(&[b"h2"]).connect(name.clone(), TcpStream::connect(&address).await.unwrap()).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(health_over_h2(tls).await, 200);
    assert_eq!(health_over_h2(TcpStream::connect(&address).await.unwrap()).await, 200);
    // HTTP/1.1 over TLS.
    let tls = connector(&[b"http/1.1"]).connect(name, TcpStream::connect(&address).await.unwrap()).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/v1/health").header("host", "node").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(send.send_request(request).await.unwrap().status(), 200);

    // The certificate holds the network key of the chain, and names it.
    let id = net.devnet.node_id(2).unwrap();
    let committee = net.devnet.chain().committee().unwrap();
    let key = committee.members.iter().find(|member| member.node_id == id).unwrap().network_public_key;
    let der = certificate.as_ref();
    let holds = |needle: &[u8]| der.windows(needle.len()).any(|window| window == needle);
    assert!(holds(&key[1..]), "the x coordinate of the key");
    let common_name = format!("{:x}{:x}{:x}{:x}.network.walrus.alt", key[0], key[1], key[2], key[3]);
    assert!(holds(common_name.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_works_with_pinned_keys_and_in_clear_text() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(7, 3_000);
    user.store(&encoded, 1).await;
    for node_tls in [NodeTls::Pinned, NodeTls::Plain] {
        let mut config = net.devnet.status().unwrap().network_config();
        config.node_tls = node_tls;
        let client = WalrusClient::connect(config, WalrusConfig::default()).unwrap();
        let read = client.read_range(encoded.blob_id(), 100..2_000).await.unwrap();
        assert_eq!(&read[..], &encoded.blob()[100..2_000], "{node_tls:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_own_the_pinned_key_is_not_talked_to() {
    let net = network().await;
    let state = User::fresh(&net).state().await.unwrap();
    let nodes = state.committee.nodes();
    let request = || NodeRequest {
        method: Method::Get,
        path: "/v1/health".to_owned(),
        body: Bytes::new(),
        max_answer: 64 << 10,
        timeout: std::time::Duration::from_secs(5),
    };
    let transport = HttpTransport::new(NodeTls::Pinned);
    assert_eq!(transport.send(&nodes[0], request()).await.unwrap().status, 200);
    // Another node's address under this node's key: a valid certificate, of the wrong key.
    let mut moved = nodes[0].clone();
    moved.address = nodes[1].address.clone();
    let error = transport.send(&moved, request()).await.unwrap_err();
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    // The same point with the other sign is another key.
    let mut twin = nodes[0].clone();
    twin.network_key.0[0] ^= 1;
    assert!(transport.send(&twin, request()).await.is_err());
}
