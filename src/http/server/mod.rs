//! Accepts connections, with bounds on what a client may send, delay and hold.
//!
//! A connection ends when its client delays a head or a body, when it takes none of a response for a
//! while, and when it is old. One address holds a part of all connections. Beyond it, a connection
//! is refused; beyond all, connections wait in the kernel's queue for one that ends.

mod client_io;
mod file_limit;
mod head_lines;
mod refusals;

pub use file_limit::require_files;

use super::middleware::client_address::Peer;
use crate::{limits::OpenByNetwork, settings::Settings, telemetry::metrics::Metrics};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
    serve::Listener,
};
use client_io::ClientIo;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use refusals::Refusals;
use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Most headers of a request; beyond it hyper answers 431.
const MAX_HEADERS: usize = 64;
/// The smallest read buffer that hyper allows, bytes.
const MIN_BUFFER_BYTES: usize = 8192;
/// The longest response that a page of the console streams.
const MAX_STREAM: Duration = Duration::from_secs(900);
/// What the client of a refused connection reads, if it reads at all.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\n\
    connection: close\r\n\r\n";

/// The bounds of one listener.
#[derive(Clone)]
pub(super) struct Bounds {
    /// Open connections; more wait in the kernel's queue.
    pub(super) connections: usize,
    /// How many of them an address has.
    pub(super) by_network: OpenByNetwork,
    /// Longest head of a request, bytes.
    pub(super) head_bytes: usize,
    /// How long a head may take, and a connection be idle.
    pub(super) head_time: Duration,
    /// How long a client may take none of a response.
    pub(super) write_time: Duration,
    /// How much of a response the kernel holds, bytes.
    pub(super) send_buffer_bytes: usize,
    /// How long a connection is kept.
    pub(super) lifetime: Duration,
    /// How long its last response may take after that.
    pub(super) last_response: Duration,
    /// Once it is cancelled, each response is the last one of its connection.
    pub(super) closing: CancellationToken,
}

impl Bounds {
    /// Those of the API.
    pub(super) fn of_api(settings: &Settings) -> Self {
        let http = &settings.http;
        // Behind a proxy every client has the proxy's address.
        let bounded = settings.limits.enabled && http.trusted_proxies == 0;
        let streams = Duration::from_secs(settings.trips.live_stream_secs).max(MAX_STREAM);
        Self {
            connections: http.max_connections,
            by_network: OpenByNetwork::new(if bounded { http.connections_per_address } else { usize::MAX }),
            head_bytes: http.head_limit_bytes,
            head_time: Duration::from_millis(http.head_timeout_ms),
            write_time: Duration::from_millis(http.write_timeout_ms),
            send_buffer_bytes: http.send_buffer_bytes,
            lifetime: Duration::from_secs(http.connection_secs),
            last_response: streams + Duration::from_millis(http.timeout_ms),
            closing: CancellationToken::new(),
        }
    }
}

/// Serves connections until `stop`, then accepts no more and waits for the open ones.
pub(super) async fn serve(
    router: Router,
    mut listener: TcpListener,
    bounds: Bounds,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) {
    let permits = u32::try_from(bounds.connections).unwrap_or(u32::MAX).max(1);
    let all = Arc::new(Semaphore::new((permits as usize).min(Semaphore::MAX_PERMITS)));
    let http = Arc::new(builder(&bounds));
    let (stopping, mut stop) = (CancellationToken::new(), pin!(stop));
    let refusals = Refusals::new(metrics);
    loop {
        // The permit comes first: beyond the bound, connections stay in the kernel's queue.
        let accepting = async {
            let permit = match Arc::clone(&all).try_acquire_owned() {
                Ok(permit) => Ok(permit),
                Err(_) => {
                    refusals.note("connections_full");
                    Arc::clone(&all).acquire_owned().await
                }
            };
            (permit, Listener::accept(&mut listener).await)
        };
        let (permit, (stream, peer)) = tokio::select! {
            accepted = accepting => accepted,
            () = &mut stop => break,
        };
        let Some(slot) = bounds.by_network.enter(peer.ip()) else {
            refusals.note("connections");
            // The kernel takes it or not; nobody waits for a client that has too much.
            let _ = stream.try_write(REFUSAL);
            continue;
        };
        let open = refusals.opened();
        let serving =
            connection(Arc::clone(&http), router.clone(), stream, peer, bounds.clone(), stopping.clone());
        tokio::spawn(async move {
            serving.await;
            drop((permit, slot, open));
        });
    }
    drop(listener);
    stopping.cancel();
    // Every connection has returned its permit, and none is accepted.
    let _ = all.acquire_many(permits).await;
}

fn builder(bounds: &Bounds) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time)
        .max_headers(MAX_HEADERS)
        .max_header_size(bounds.head_bytes)
        .max_buf_size(bounds.head_bytes.max(MIN_BUFFER_BYTES));
    http
}

/// Serves one connection to its end. An error is the client's: it disconnected, sent no HTTP, or
/// took no response. Safe to drop: the connection is closed.
async fn connection(
    http: Arc<http1::Builder>,
    router: Router,
    stream: TcpStream,
    peer: SocketAddr,
    bounds: Bounds,
    stopping: CancellationToken,
) {
    let io = TokioIo::new(ClientIo::new(stream, bounds.write_time, bounds.send_buffer_bytes));
    let mut serving = pin!(http.serve_connection(io, service(router, peer, bounds.closing.clone())));
    let ends = tokio::select! {
        _ = &mut serving => return,
        () = stopping.cancelled() => None,
        () = sleep(bounds.lifetime) => Some(bounds.last_response),
    };
    // An idle connection is closed now, another one after its response.
    serving.as_mut().graceful_shutdown();
    match ends {
        Some(time) => drop(timeout(time, serving).await),
        // The stop has a time limit of its own.
        None => drop(serving.await),
    }
}

fn service(
    router: Router,
    peer: SocketAddr,
    closing: CancellationToken,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> {
    service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let (answering, closing) = (router.clone().oneshot(request), closing.clone());
        async move {
            let mut response = answering.await?;
            if closing.is_cancelled() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}
