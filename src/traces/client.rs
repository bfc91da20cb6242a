//! One connection to a collector, over HTTP/1, in clear or with TLS.

use super::endpoint::Endpoint;
use crate::{
    domain::BoxError,
    outbound::{self, Connection, was_not_taken},
};
use axum::{
    body::Bytes,
    http::{HeaderValue, Method, Request, StatusCode, header},
};
use http_body_util::{BodyExt, Full, Limited};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest answer that is read, bytes: a collector says which spans it rejects, and why.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// What OTLP's bodies are.
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// A connection to a collector, which is made when it is needed.
pub(super) struct Client {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    open: Option<Connection>,
}

impl Client {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// With TLS: the machine has no root certificates.
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, String> {
        let tls = if endpoint.is_encrypted {
            Some(outbound::connector().map_err(|error| format!("otel.endpoint: {error}"))?)
        } else {
            None
        };
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
        if let Some(connection) = self.open.take().filter(|connection| !connection.is_closed()) {
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
        let (head, answer) = connection.send(request).await?.into_parts();
        let answer = Limited::new(answer, MAX_ANSWER_BYTES).collect().await?.to_bytes();
        self.open = Some(connection);
        Ok((head.status, answer))
    }

    async fn connect(&self) -> Result<Connection, BoxError> {
        let stream = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port)).await?;
        Connection::open(stream, &self.endpoint.host, self.tls.as_ref()).await
    }
}
