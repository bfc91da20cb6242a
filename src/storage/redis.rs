//! The connection to Redis, which may be absent, slow or lost at any time. A request never waits
//! for Redis longer than `redis.timeout_ms` and then goes on without it. Connecting is the work of
//! a background task, never of a request.

use super::tls::check_redis_url;
use crate::settings::{self, Environment};
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// How long connecting may take; no request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The connection to Redis. Clones share it.
#[derive(Clone)]
pub struct RedisLink(Arc<Inner>);

struct Inner {
    client: Client,
    /// How long a request waits.
    request_timeout: Duration,
    /// How long Redis is not used after a failure.
    retry_after: Duration,
    current: RwLock<Current>,
    disconnected: Notify,
}

/// The present connection, if any, and its number: only a request that used this very connection
/// may drop it.
#[derive(Default)]
struct Current {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl RedisLink {
    /// As the settings say; `None` if they name no Redis. [`Self::run_connection_loop`] connects.
    ///
    /// # Errors
    /// A URL that does not parse, or, in production, one without TLS.
    pub fn new(settings: &settings::Redis, environment: Environment) -> Result<Option<Self>, String> {
        if !settings.is_named() {
            return Ok(None);
        }
        let url = settings.url.expose_secret();
        check_redis_url(url, environment, settings)?;
        let client = Client::open(url).map_err(|error| error.to_string())?;
        let inner = Inner {
            client,
            request_timeout: Duration::from_millis(settings.timeout_ms),
            retry_after: Duration::from_millis(settings.retry_ms),
            current: RwLock::default(),
            disconnected: Notify::new(),
        };
        Ok(Some(Self(Arc::new(inner))))
    }

    /// Sends a command. `None` if Redis is away, fails or is too slow; no request then uses it for
    /// `redis.retry_ms`.
    pub async fn request<T, F>(&self, command: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (number, connection) = {
            let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
            (current.number, current.connection.clone()?)
        };
        match timeout(self.0.request_timeout, command(connection)).await {
            Ok(Ok(reply)) => return Some(reply),
            Ok(Err(error)) => self.disconnect(number, &error.to_string()),
            Err(_) => self.disconnect(number, "timed out"),
        }
        None
    }

    fn disconnect(&self, number: u64, reason: &str) {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number == number && current.connection.take().is_some() {
            tracing::warn!(reason, "Redis request failed; continuing without Redis");
            self.0.disconnected.notify_one();
        }
    }

    /// Connects, and reconnects after each failure, for as long as the process lives.
    pub async fn run_connection_loop(self) {
        let mut warned = false;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    tracing::info!("connected to Redis");
                    warned = false;
                    self.reconnect(connection);
                    self.0.disconnected.notified().await;
                }
                // Once for each outage, not once a second.
                Err(reason) if !warned => {
                    tracing::warn!(reason, "cannot connect to Redis; retrying");
                    warned = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(self.0.retry_after).await;
        }
    }

    fn reconnect(&self, connection: MultiplexedConnection) {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Current { number: current.number + 1, connection: Some(connection) };
    }

    /// Whether Redis can be reached now, by a connection of its own.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<(), String> {
        self.connect().await.map(drop)
    }

    /// A connection on which Redis has answered within the time that requests wait.
    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.0.request_timeout));
        let connecting = async {
            let mut connection = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok::<_, RedisError>(connection)
        };
        let connected = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| "timed out".to_owned())?;
        connected.map_err(|error| error.to_string())
    }
}
