//! One port for everything: TLS and clear text, HTTP/1.1 and h2.
//!
//! Mechanism: the first byte of a connection decides: 0x16 is a TLS handshake record, anything else is HTTP. Above that, the
//! HTTP version is told by the connection preface, so h2 works with prior knowledge and without ALPN, as real clients use it.
//!
//! Flow control: a request may wait for memory before its body is read. So that waiting requests never starve one that was
//! admitted, a connection's window is as large as all its streams' windows together; that product is also the bound on
//! unread bytes of a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// Concurrent requests on one h2 connection. (Real nodes allow 1000; this bounds unread bytes to 32 MiB a connection.)
const MAX_STREAMS: u32 = 64;
const STREAM_WINDOW: u32 = 512 << 10;
/// Bytes of a frame that a client may send, where the protocol's 16 KiB would cut a sliver into a hundred.
const FRAME: u32 = 256 << 10;
/// How long a connection may take to send its first byte, and its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// A valve in every connection of a node: shut, nothing is read or written, and the kernel goes on accepting.
#[derive(Debug, Default)]
pub(crate) struct Valve {
    shut: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
    /// Connections that met the shut valve.
    pub(crate) held: AtomicU64,
    /// Bytes that came and went through it, as TCP carries them: TLS included.
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

impl Valve {
    pub(crate) fn set(&self, shut: bool) {
        self.shut.store(shut, Ordering::SeqCst);
        if !shut {
            self.waiting.lock().drain(..).for_each(Waker::wake);
        }
    }

    fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.shut.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        // Opened between the check and the push: `set` takes the lock after it stored.
        if self.shut.load(Ordering::SeqCst) { Poll::Pending } else { Poll::Ready(()) }
    }

    async fn open(&self) {
        std::future::poll_fn(|cx| self.poll_open(cx)).await;
    }
}

/// A connection with a valve in it.
struct Valved {
    stream: TcpStream,
    valve: Arc<Valve>,
    /// Whether this connection was counted by the shut valve.
    counted: bool,
}

impl Valved {
    fn poll_open(&mut self, cx: &Context<'_>) -> Poll<()> {
        let open = self.valve.poll_open(cx);
        match open {
            Poll::Pending if !self.counted => {
                self.counted = true;
                self.valve.held.fetch_add(1, Ordering::Relaxed);
            }
            Poll::Ready(()) => self.counted = false,
            Poll::Pending => {}
        }
        open
    }

    fn sent(&self, written: &Poll<std::io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.valve.sent.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Valved {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        std::task::ready!(self.poll_open(cx));
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let bytes = buf.filled().len() - before;
        self.valve.received.fetch_add(bytes as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Valved {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        std::task::ready!(self.poll_open(cx));
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.sent(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        std::task::ready!(self.poll_open(cx));
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// Serves `routes` on `listener` until `stop`; then every connection is cut, as a killed process would.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    routes: Router,
    valve: Arc<Valve>,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let tls = TlsAcceptor::from(tls);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (tls, routes, valve, stop) = (tls.clone(), routes.clone(), valve.clone(), stop.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = connection(stream, tls, routes, valve) => {}
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, or a connection that died in the queue: both pass.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, routes: Router, valve: Arc<Valve>) {
    let _ = stream.set_nodelay(true);
    if valve.shut.load(Ordering::SeqCst) {
        valve.held.fetch_add(1, Ordering::Relaxed);
        valve.open().await;
    }
    let mut first = [0];
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        _ => return,
    }
    let stream = Valved { stream, valve, counted: false };
    if first[0] == TLS_HANDSHAKE {
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, routes).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
            Err(_) => {}
        }
    } else {
        http(stream, routes).await;
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, routes: Router) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(None);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(MAX_STREAMS * STREAM_WINDOW)
        .max_frame_size(FRAME);
    let service = TowerToHyperService::new(routes);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection");
    }
}
