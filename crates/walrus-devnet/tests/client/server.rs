//! A gRPC server between client and chain: it passes on, fails, loses what it is told or what it should say, repeats what it said
//! before, and lies. What it is asked to send is kept.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use prost::Message;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::{Address, Digest, Input, Transaction, TransactionKind};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the server does with one call.
pub(crate) enum Act {
    Pass,
    /// Fails with this gRPC status, and tells the chain nothing.
    Status(u16),
    /// Never answers.
    Hang,
    /// Answers late.
    Late(Duration),
    /// The connection's stream breaks before the chain hears of it.
    LoseRequest,
    /// The chain hears of it and answers, and the answer is lost.
    LoseAnswer,
    /// What it answered to the same call the first time.
    Old,
    /// Something else than the chain's answer.
    Lie(Box<dyn FnOnce(Bytes) -> Bytes + Send>),
}

type Rule = Box<dyn FnMut(&str, &Bytes) -> Act + Send>;
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Headers, body and trailers.
type Answer = (HeaderMap, Bytes, Option<HeaderMap>);

struct Inner {
    chain: String,
    client: Client<HttpConnector, Full<Bytes>>,
    rule: Mutex<Rule>,
    calls: Mutex<Vec<(String, Bytes)>>,
    first: Mutex<HashMap<(String, Bytes), Answer>>,
}

/// See the module.
pub(crate) struct Server {
    inner: Arc<Inner>,
    address: SocketAddr,
    stop: Mutex<CancellationToken>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.lock().cancel();
    }
}

impl Server {
    /// In front of the chain at `chain`, an `http://` URL.
    pub(crate) async fn start(chain: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
        let inner = Arc::new(Inner {
            chain: chain.to_owned(),
            client,
            rule: Mutex::new(Box::new(|_, _| Act::Pass)),
            calls: Mutex::default(),
            first: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { inner, address, stop: Mutex::default() };
        server.serve(listener);
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn serve(&self, listener: TcpListener) {
        let stop = CancellationToken::new();
        *self.stop.lock() = stop.clone();
        let inner = self.inner.clone();
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { return };
                let (inner, stop) = (inner.clone(), stop.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(|request| answer(inner.clone(), request));
                    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ = connection => {}
                    }
                });
            }
        });
    }

    /// Ends all connections and refuses new ones.
    pub(crate) fn down(&self) {
        self.stop.lock().cancel();
    }

    /// Is there again.
    pub(crate) async fn up(&self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.serve(listener);
    }

    /// From now on `rule` decides, by the call's method (`LedgerService/GetObject`) and message.
    pub(crate) fn rule(&self, rule: impl FnMut(&str, &Bytes) -> Act + Send + 'static) {
        *self.inner.rule.lock() = Box::new(rule);
    }

    pub(crate) fn honest(&self) {
        self.rule(|_, _| Act::Pass);
    }

    /// The messages of all calls of one method.
    pub(crate) fn calls<T: Message + Default>(&self, method: &str) -> Vec<T> {
        let calls = self.inner.calls.lock();
        let of_method = calls.iter().filter(|(path, _)| path.ends_with(method));
        of_method.map(|(_, body)| message(body)).collect()
    }

    pub(crate) fn forget_calls(&self) {
        self.inner.calls.lock().clear();
    }

    /// The transactions that it was asked to execute, in order.
    pub(crate) fn sent(&self) -> Vec<Transaction> {
        let calls = self.calls::<proto::ExecuteTransactionRequest>("/ExecuteTransaction");
        calls.iter().map(|call| Transaction::try_from(call.transaction.as_ref().unwrap()).unwrap()).collect()
    }
}

/// No two transactions among these name the same version of an owned object: nothing can be locked or paid twice.
pub(crate) fn assert_no_equivocation(sent: &[Transaction]) {
    let mut used: HashMap<(Address, u64), Digest> = HashMap::new();
    for transaction in sent {
        let digest = transaction.digest();
        let TransactionKind::ProgrammableTransaction(program) = &transaction.kind else { panic!("{transaction:?}") };
        let owned = program.inputs.iter().filter_map(|input| match input {
            Input::ImmutableOrOwned(reference) => Some(reference),
            _ => None,
        });
        for object in owned.chain(&transaction.gas_payment.objects) {
            let known = *used.entry((*object.object_id(), object.version())).or_insert(digest);
            assert_eq!(known, digest, "two transactions on version {} of {}", object.version(), object.object_id());
        }
    }
}

/// The message of a gRPC body.
pub(crate) fn message<T: Message + Default>(body: &Bytes) -> T {
    assert_eq!(body[0], 0, "a compressed message");
    T::decode(&body[5..]).unwrap()
}

/// The gRPC body of a message.
pub(crate) fn body(message: &impl Message) -> Bytes {
    let bytes = message.encode_to_vec();
    let mut framed = BytesMut::with_capacity(5 + bytes.len());
    framed.put_u8(0);
    framed.put_u32(bytes.len() as u32);
    framed.put_slice(&bytes);
    framed.freeze()
}

#[derive(Debug, thiserror::Error)]
#[error("the stream breaks")]
struct Broken;

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (parts, incoming) = request.into_parts();
    let bytes = incoming.collect().await.map_err(|_| Broken)?.to_bytes();
    let method = parts.uri.path().to_owned();
    inner.calls.lock().push((method.clone(), bytes.clone()));
    let act = {
        let mut rule = inner.rule.lock();
        rule(&method, &bytes)
    };
    match act {
        Act::Status(code) => return Ok(failure(code)),
        Act::Hang => std::future::pending().await,
        Act::Late(time) => tokio::time::sleep(time).await,
        Act::LoseRequest => return Err(Broken),
        _ => {}
    }
    let key = (method.clone(), bytes.clone());
    if matches!(act, Act::Old)
        && let Some((headers, bytes, trailers)) = inner.first.lock().get(&key).cloned()
    {
        return Ok(response(headers, bytes, trailers));
    }
    let mut upstream = Request::post(format!("{}{method}", inner.chain));
    if let Some(headers) = upstream.headers_mut() {
        headers.extend(parts.headers);
        headers.remove("host");
    }
    let upstream = upstream.body(Full::new(bytes)).unwrap();
    let (parts, incoming) = inner.client.request(upstream).await.map_err(|_| Broken)?.into_parts();
    let collected = incoming.collect().await.map_err(|_| Broken)?;
    let trailers = collected.trailers().cloned();
    let bytes = collected.to_bytes();
    inner.first.lock().entry(key).or_insert_with(|| (parts.headers.clone(), bytes.clone(), trailers.clone()));
    match act {
        Act::LoseAnswer => Err(Broken),
        Act::Lie(lie) if !bytes.is_empty() => Ok(response(parts.headers, lie(bytes), trailers)),
        _ => Ok(response(parts.headers, bytes, trailers)),
    }
}

fn response(headers: HeaderMap, bytes: Bytes, trailers: Option<HeaderMap>) -> Response<Body> {
    let body = Full::new(bytes).with_trailers(async move { trailers.map(Ok) });
    let mut response = Response::new(body.boxed_unsync());
    *response.headers_mut() = headers;
    response.headers_mut().remove("content-length");
    response
}

/// A gRPC error without a message.
fn failure(code: u16) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("grpc-status", HeaderValue::from(code));
    response
}
