//! Where a queue is: its schema and its channel of notifications.
//!
//! Statements are written, and checked at compile time, for the schema `queue` and the channel
//! `farebox_jobs`. Through [`QueueConfig::on`] they run with other names; with the default ones
//! they run as they are written.

use futures_util::{
    FutureExt, StreamExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use sqlx::{
    AssertSqlSafe, Either, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction,
    pool::PoolConnection,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use std::sync::{Arc, LazyLock};

/// The schema that statements are written for.
const DEFAULT_SCHEMA: &str = "queue";
/// The channel that statements are written for.
const DEFAULT_CHANNEL: &str = "farebox_jobs";
/// The longest name of an object in PostgreSQL.
const MAX_NAME: usize = 63;

static DEFAULT: LazyLock<QueueConfig> =
    LazyLock::new(|| QueueConfig { schema: DEFAULT_SCHEMA.into(), channel: DEFAULT_CHANNEL.into() });

/// The schema and the channel of a queue. A database can hold several queues, each in a schema of
/// its own and with a channel of its own. Cloning it is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    schema: Arc<str>,
    channel: Arc<str>,
}

/// A schema or a channel must be a letter or an underscore, followed by letters, digits and
/// underscores: lowercase, at most 63 in all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name for a queue: it takes a to z, 0 to 9 and _, and at most 63 of them")]
pub struct InvalidName(String);

impl Default for QueueConfig {
    /// The schema `queue` and the channel `farebox_jobs`.
    fn default() -> Self {
        DEFAULT.clone()
    }
}

impl QueueConfig {
    /// A queue in this schema, with this channel.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn new(schema: &str, channel: &str) -> Result<Self, InvalidName> {
        for name in [schema, channel] {
            let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            let rest = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !first || !rest || name.len() > MAX_NAME {
                return Err(InvalidName(name.to_owned()));
            }
        }
        Ok(Self { schema: schema.into(), channel: channel.into() })
    }

    /// Its schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Its channel of notifications.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// A connection or a pool on which this crate's functions act on this queue.
    pub fn on<X>(&self, executor: X) -> OnQueue<X> {
        OnQueue { executor, queue: self.clone() }
    }

    fn is_default(&self) -> bool {
        *self == *DEFAULT
    }

    /// A statement of this crate, with the names of this queue.
    pub(crate) fn rewrite(&self, sql: &str) -> String {
        let mut text = String::with_capacity(sql.len() + 64);
        let mut rest = sql;
        while let Some(at) = rest.find("queue.") {
            let (before, after) = rest.split_at(at);
            text.push_str(before);
            let within_a_name = text.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
            text.push_str(if within_a_name { DEFAULT_SCHEMA } else { self.schema() });
            rest = &after[DEFAULT_SCHEMA.len()..];
        }
        text.push_str(rest);
        text.replace("'farebox_jobs'", &format!("'{}'", self.channel))
    }
}

/// An executor of statements on one queue ([`QueueConfig::on`]).
#[derive(Debug)]
pub struct OnQueue<X> {
    executor: X,
    queue: QueueConfig,
}

/// A connection on which functions of this crate act on a queue. A connection by itself stands for
/// the default queue.
pub trait QueueConnection: Send {
    /// The connection, with its queue.
    fn on_queue(&mut self) -> OnQueue<&mut PgConnection>;
}

impl QueueConnection for PgConnection {
    fn on_queue(&mut self) -> OnQueue<&mut PgConnection> {
        DEFAULT.on(self)
    }
}

impl QueueConnection for Transaction<'_, Postgres> {
    fn on_queue(&mut self) -> OnQueue<&mut PgConnection> {
        DEFAULT.on(self)
    }
}

impl QueueConnection for PoolConnection<Postgres> {
    fn on_queue(&mut self) -> OnQueue<&mut PgConnection> {
        DEFAULT.on(self)
    }
}

impl QueueConnection for OnQueue<&mut PgConnection> {
    fn on_queue(&mut self) -> OnQueue<&mut PgConnection> {
        self.queue.on(&mut *self.executor)
    }
}

impl<X> OnQueue<X> {
    /// Which queue.
    pub fn queue(&self) -> &QueueConfig {
        &self.queue
    }
}

impl<X: Copy> OnQueue<X> {
    /// The same once more: an executor serves one statement.
    pub fn again(&self) -> Self {
        Self { executor: self.executor, queue: self.queue.clone() }
    }
}

/// The statement with the queue's names.
fn rewritten<'q>(
    queue: &QueueConfig,
    mut query: impl Execute<'q, Postgres>,
) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>, sqlx::Error> {
    let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?.unwrap_or_default();
    let persistent = query.persistent();
    let sql = queue.rewrite(query.sql().as_str());
    Ok(sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(persistent))
}

impl<'c, X: Executor<'c, Database = Postgres>> Executor<'c> for OnQueue<X> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.queue.is_default() {
            return self.executor.fetch_many(query);
        }
        match rewritten(&self.queue, query) {
            Ok(query) => self.executor.fetch_many(query),
            Err(error) => stream::once(future::ready(Err(error))).boxed(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.queue.is_default() {
            return self.executor.fetch_optional(query);
        }
        match rewritten(&self.queue, query) {
            Ok(query) => self.executor.fetch_optional(query),
            Err(error) => future::ready(Err(error)).boxed(),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        let sql = AssertSqlSafe(self.queue.rewrite(sql.as_str()));
        self.executor.prepare_with(sqlx::SqlSafeStr::into_sql_str(sql), parameters)
    }

    #[doc(hidden)]
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        let sql = AssertSqlSafe(self.queue.rewrite(sql.as_str()));
        self.executor.describe(sqlx::SqlSafeStr::into_sql_str(sql))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_gets_the_queues_names_and_nothing_else_changes() {
        let queue = QueueConfig::new("mail", "mail_jobs").expect("names");
        let sql =
            "select pg_notify('farebox_jobs', '') from queue.job where subqueue.x = queue.added(a, 'queue')";
        let expected =
            "select pg_notify('mail_jobs', '') from mail.job where subqueue.x = mail.added(a, 'queue')";
        assert_eq!(queue.rewrite(sql), expected);
        assert_eq!(QueueConfig::default().rewrite(sql), sql);
    }

    #[test]
    fn names_need_no_quotes() {
        for name in ["", "Mail", "1st", "a-b", "a b", "a'b", "é", &"a".repeat(64)] {
            assert!(
                QueueConfig::new(name, "jobs").is_err() && QueueConfig::new("queue", name).is_err(),
                "{name}"
            );
        }
        assert!(QueueConfig::new("_a1", &"a".repeat(63)).is_ok());
    }
}
