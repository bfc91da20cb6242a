//! Accepts connections, with bounds on what a client may send and delay before there is a request.

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

/// Most headers of a request; beyond it hyper answers 431.
const MAX_HEADERS: usize = 64;
/// The smallest read buffer that hyper allows, bytes.
const MIN_BUFFER_BYTES: usize = 8192;

/// Serves connections until `stop`, then accepts no more and waits for the open ones.
pub(super) async fn serve(
    router: Router,
    mut listener: TcpListener,
    settings: &settings::Http,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.head_timeout_ms))
        .max_headers(MAX_HEADERS)
        .max_header_size(settings.head_limit_bytes)
        .max_buf_size(settings.head_limit_bytes.max(MIN_BUFFER_BYTES));
    let permits = Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS)));
    let (graceful, mut stop) = (GracefulShutdown::new(), pin!(stop));
    loop {
        // The permit comes first: beyond the bound, connections stay in the kernel's queue.
        let accepting = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, Listener::accept(&mut listener).await)
        };
        let (permit, (stream, peer)) = tokio::select! {
            accepted = accepting => accepted,
            () = &mut stop => break,
        };
        let connection = http.serve_connection(TokioIo::new(stream), service(router.clone(), peer));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // An error is the client's: it disconnected, or sent no HTTP.
            let _ = connection.await;
            drop(permit);
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
