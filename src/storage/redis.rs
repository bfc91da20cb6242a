//! The line to Redis, which may be absent, slow or lost at any time. A request never waits for it longer than
//! `redis.timeout_ms`, and goes on without it then; connecting is the keeper's work and no request's.

use crate::settings;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// How long connecting may take; no request waits for it.
const CONNECT: Duration = Duration::from_secs(2);

/// The line to Redis. Cloning shares it.
#[derive(Clone)]
pub struct RedisLink(Arc<Inner>);

struct Inner {
    client: Client,
    /// How long a request waits.
    patience: Duration,
    /// How long Redis is left alone after it failed one.
    rest: Duration,
    line: RwLock<Line>,
    lost: Notify,
}

/// The connection there is, if any, and the how manieth it is: only who used this very one may give it up.
#[derive(Default)]
struct Line {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl RedisLink {
    /// As the settings say; nothing if they name no Redis. Connects later, in [`Self::keep`].
    ///
    /// # Errors
    /// A URL that does not parse.
    pub fn new(settings: &settings::Redis) -> Result<Option<Self>, RedisError> {
        if settings.url.is_empty() {
            return Ok(None);
        }
        let client = Client::open(settings.url.as_str())?;
        let patience = Duration::from_millis(settings.timeout_ms);
        let rest = Duration::from_millis(settings.retry_ms);
        let inner = Inner { client, patience, rest, line: RwLock::default(), lost: Notify::new() };
        Ok(Some(Self(Arc::new(inner))))
    }

    /// What Redis says; nothing if it is away or too slow, and then nobody asks again for `redis.retry_ms`.
    pub async fn ask<T, F>(&self, question: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (number, connection) = {
            let line = self.0.line.read().unwrap_or_else(PoisonError::into_inner);
            (line.number, line.connection.clone()?)
        };
        match timeout(self.0.patience, question(connection)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => self.give_up(number, &error.to_string()),
            Err(_) => self.give_up(number, "too slow"),
        }
        None
    }

    fn give_up(&self, number: u64, why: &str) {
        let mut line = self.0.line.write().unwrap_or_else(PoisonError::into_inner);
        if line.number == number && line.connection.take().is_some() {
            tracing::warn!(why, "going on without Redis");
            self.0.lost.notify_one();
        }
    }

    /// Keeps a connection for as long as the process lives.
    pub async fn keep(self) {
        let mut told = false;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    tracing::info!("Redis is there");
                    told = false;
                    self.take_up(connection);
                    self.0.lost.notified().await;
                }
                // Once for each outage, not once a second.
                Err(why) if !told => {
                    tracing::warn!(why, "Redis cannot be reached");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(self.0.rest).await;
        }
    }

    fn take_up(&self, connection: MultiplexedConnection) {
        let mut line = self.0.line.write().unwrap_or_else(PoisonError::into_inner);
        *line = Line { number: line.number + 1, connection: Some(connection) };
    }

    /// A connection over which Redis has answered as fast as requests want it.
    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(self.0.patience));
        let connecting = async {
            let mut connection = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok::<_, RedisError>(connection)
        };
        let connected = timeout(CONNECT, connecting).await.map_err(|_| "too slow".to_owned())?;
        connected.map_err(|error| error.to_string())
    }
}
