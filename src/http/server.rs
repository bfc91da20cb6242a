//! Accepting connections, with a bound on all that a client may take its time for before there is a request.

use super::middleware::client_address::Peer;
use crate::settings;
use axum::{Router, body::Body, extract::Request, serve::Listener};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::ServiceExt;

/// Headers of a request at the most; hyper answers 431 beyond.
const MOST_HEADERS: usize = 64;
/// What hyper reads ahead at the least, bytes.
const SMALLEST_BUFFER: usize = 8192;

/// Serves connections until `stop`, then accepts no more and waits until those there are have been answered.
pub(super) async fn serve(
    router: Router,
    mut listener: TcpListener,
    settings: &settings::Http,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.head_timeout_ms))
        .max_headers(MOST_HEADERS)
        .max_header_size(settings.head_limit_bytes)
        .max_buf_size(settings.head_limit_bytes.max(SMALLEST_BUFFER));
    let places = Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS)));
    let (graceful, mut stop) = (GracefulShutdown::new(), pin!(stop));
    loop {
        // The place comes first: beyond the bound, connections stay in the kernel's queue.
        let accepting = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, Listener::accept(&mut listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            accepted = accepting => accepted,
            () = &mut stop => break,
        };
        let connection = http.serve_connection(TokioIo::new(stream), service(router.clone(), peer));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off, or sends no HTTP, is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

fn service(
    router: Router,
    peer: SocketAddr,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> {
    service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    })
}
