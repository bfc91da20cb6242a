//! One connection to a collector, over HTTP/1, in clear or with TLS.

use super::endpoint::Endpoint;
use axum::{
    body::Bytes,
    http::{HeaderValue, Method, Request, StatusCode, header},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// Longest answer that is read, bytes: a collector says which spans it rejects, and why.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// What OTLP's bodies are.
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Any error.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection to a collector, which is made when it is needed.
pub(super) struct Client {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    open: Option<Connection>,
}

/// An open connection. Its task ends when it is dropped.
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    _io: JoinSet<()>,
}

impl Client {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// With TLS: the machine has no root certificates.
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, String> {
        let tls = if endpoint.is_encrypted { Some(tls()?) } else { None };
        Ok(Self { endpoint, tls, open: None })
    }

    /// Posts a body and returns the answer. A collector may have closed a connection that was idle: a
    /// request that such a connection did not take is made once more, on a fresh one.
    ///
    /// Safe to drop: the connection is closed, and the next request opens another.
    ///
    /// # Errors
    /// The collector cannot be reached or does not speak HTTP; its answer is too long.
    pub(super) async fn post(&mut self, body: &Bytes) -> Result<(StatusCode, Bytes), BoxError> {
        if let Some(connection) = self.open.take().filter(|connection| !connection.requests.is_closed()) {
            match self.send(connection, body.clone()).await {
                Err(error) if was_not_taken(&*error) => {}
                done => return done,
            }
        }
        let connection = self.connect().await?;
        self.send(connection, body.clone()).await
    }

    /// Keeps the connection only if the whole answer was read.
    async fn send(
        &mut self,
        mut connection: Connection,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), BoxError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.path.clone();
        let headers = request.headers_mut();
        headers.extend(self.endpoint.headers.clone());
        headers.insert(header::HOST, self.endpoint.authority.clone());
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        connection.requests.ready().await?;
        let (head, answer) = connection.requests.send_request(request).await?.into_parts();
        let answer = Limited::new(answer, MAX_ANSWER_BYTES).collect().await?.to_bytes();
        self.open = Some(connection);
        Ok((head.status, answer))
    }

    async fn connect(&self) -> Result<Connection, BoxError> {
        let stream = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port)).await?;
        match &self.tls {
            Some(tls) => {
                let name = ServerName::try_from(self.endpoint.host.clone())?;
                handshake(tls.connect(name, stream).await?).await
            }
            None => handshake(stream).await,
        }
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
fn was_not_taken(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<hyper::Error>();
    error.is_some_and(|error| error.is_canceled() || error.is_closed() || error.is_incomplete_message())
}

/// The root certificates of the machine, or those of `SSL_CERT_FILE`.
fn tls() -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "otel.endpoint: this machine has no root certificates to check the collector by".to_owned()
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| io::Error::other(error).to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
