//! Posting an event to a receiver.

use super::address::{Addresses, Target};
use crate::{
    domain::BoxError,
    outbound::{Connection, was_not_taken},
};
use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::time::Duration;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

/// Most bytes of an answer that are read. Only its status counts; it is read so that the connection can be
/// used again.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// What a body is.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Who sends it.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Farebox/", env!("CARGO_PKG_VERSION")));

/// What a receiver answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// For how long it asks to be left alone, seconds; a date is ignored.
    pub(super) retry_after: Option<Duration>,
}

/// Posts to receivers. It follows no redirect: the answer would choose the address.
#[derive(Clone)]
pub(super) struct Sender {
    addresses: Addresses,
    tls: Option<TlsConnector>,
    limit: Duration,
}

impl Sender {
    pub(super) fn new(addresses: Addresses, tls: Option<TlsConnector>, limit: Duration) -> Self {
        Self { addresses, tls, limit }
    }

    /// Reads a receiver's address by the rules of today: they may have changed since it was stored.
    pub(super) fn read(&self, url: &str) -> Result<Target, String> {
        self.addresses.read(url)
    }

    /// Posts a body within the limit of time. `idle` is a connection of before, if there is one, and then
    /// the one that the next body can be posted on.
    ///
    /// Safe to drop: the connection is closed, and the receiver may or may not have the body.
    ///
    /// # Errors
    /// Why there is no answer, for the log.
    pub(super) async fn post(
        &self,
        target: &Target,
        idle: &mut Option<Connection>,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Answer, String> {
        let reused = idle.take().filter(|connection| !connection.is_closed());
        let deadline = Instant::now() + self.limit;
        match timeout_at(deadline, self.exchange(target, reused, headers, body)).await {
            Ok(Ok((answer, connection, rest))) => {
                // A receiver that has the event is not sent it again for a body that does not end.
                let read = timeout_at(deadline, Limited::new(rest, MAX_ANSWER_BYTES).collect()).await;
                *idle = read.is_ok_and(|read| read.is_ok()).then_some(connection);
                Ok(answer)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} ms", self.limit.as_millis())),
        }
    }

    /// A receiver may have closed a connection that was idle: what it did not take there is posted once
    /// more, on a fresh one.
    async fn exchange(
        &self,
        target: &Target,
        reused: Option<Connection>,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(Answer, Connection, Incoming), BoxError> {
        if let Some(connection) = reused {
            match send(connection, target, headers, body).await {
                Err(error) if was_not_taken(&*error) => {}
                done => return done,
            }
        }
        send(self.connect(target).await?, target, headers, body).await
    }

    async fn connect(&self, target: &Target) -> Result<Connection, BoxError> {
        let addresses = self.addresses.resolve(target).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        let tls = match (target.is_encrypted, &self.tls) {
            (true, None) => return Err("this machine has no root certificates".into()),
            (true, Some(tls)) => Some(tls),
            (false, _) => None,
        };
        Connection::open(stream, &target.host, tls).await
    }
}

async fn send(
    mut connection: Connection,
    target: &Target,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(Answer, Connection, Incoming), BoxError> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.path.clone();
    let into = request.headers_mut();
    into.extend(headers.clone());
    into.insert(header::HOST, target.authority.clone());
    into.insert(header::CONTENT_TYPE, JSON);
    into.insert(header::USER_AGENT, AGENT);
    let (head, rest) = connection.send(request).await?.into_parts();
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| seconds(value.to_str().ok()?));
    let answer = Answer { status: head.status, retry_after };
    Ok((answer, connection, rest))
}

/// A number of seconds; one too large to count is a very long time.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse::<u32>().unwrap_or(u32::MAX).into()))
}

#[cfg(test)]
mod tests {
    use super::{Duration, seconds};

    #[test]
    fn a_wait_that_is_too_long_to_count_is_long() {
        assert_eq!(seconds("600"), Some(Duration::from_secs(600)));
        assert_eq!(seconds("18446744073709551616"), Some(Duration::from_secs(u32::MAX.into())));
        for none in ["", "-1", "+1", "1.5", "Tue, 01 Dec 2026 00:00:00 GMT"] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }
}
