//! An open connection, and what it means if it fails.

use crate::domain::BoxError;
use axum::{
    body::Bytes,
    http::{Request, Response},
};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// An open connection. Its task ends when it is dropped.
pub struct Connection {
    requests: SendRequest<Full<Bytes>>,
    _io: JoinSet<()>,
}

impl Connection {
    /// Speaks HTTP over a stream; with `tls`, to a server that has a certificate for `host`.
    ///
    /// # Errors
    /// The server has no such certificate, or speaks no TLS.
    pub async fn open(stream: TcpStream, host: &str, tls: Option<&TlsConnector>) -> Result<Self, BoxError> {
        match tls {
            Some(tls) => handshake(tls.connect(ServerName::try_from(host.to_owned())?, stream).await?).await,
            None => handshake(stream).await,
        }
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Sends a request. The connection takes another one when the body of the response was read. Safe to
    /// drop: the connection is then not to be used again.
    ///
    /// # Errors
    /// The connection is closed, or the other side does not speak HTTP.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, BoxError> {
        self.requests.ready().await?;
        Ok(self.requests.send_request(request).await?)
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Connection, BoxError> {
    let (requests, io) = http1::handshake(TokioIo::new(stream)).await?;
    let mut running = JoinSet::new();
    // An error of the connection is also that of the request on it.
    running.spawn(async move { drop(io.await) });
    Ok(Connection { requests, _io: running })
}

/// Whether a reused connection was closed before it took the request.
pub fn was_not_taken(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<hyper::Error>();
    error.is_some_and(|error| error.is_canceled() || error.is_closed() || error.is_incomplete_message())
}
