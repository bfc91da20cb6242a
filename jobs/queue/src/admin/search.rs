//! Finding jobs. Each filter is a statement of its own with no more conditions than it needs, so
//! that each is served by its index however large the tables are.

use super::{
    key_filter::KeyFilter,
    table::{JobTable, Order, columns, table_name},
    views::{COUNT_MAX, JobView},
};
use crate::Priority;
use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, Postgres, QueryBuilder};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Dead letters, and as many live jobs that failed, that [`errors`] looks at: the newest.
const GROUPED_MAX: i64 = 500;

/// Which jobs; all that is given must fit.
#[derive(Clone, Debug)]
pub struct JobFilter {
    /// In these tables.
    pub tables: &'static [JobTable],
    /// Of these tags, all if there are none. A page of live jobs is then one of those among the
    /// [`COUNT_MAX`] that fall due first, of each tag and priority. By its key a live job is found
    /// only along with its tag.
    pub tags: Vec<String>,
    /// In this state.
    pub state: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// With this concurrency key: not kept of what ended.
    pub concurrency_key: Option<String>,
    /// Whose last error has this fingerprint: of live and dead jobs.
    pub fingerprint: Option<String>,
    /// With at least this number of failed attempts: of live and dead jobs.
    pub min_failures: Option<i32>,
    /// One of these.
    pub key_filter: Option<KeyFilter>,
    /// Enqueued since then: ids tell the time.
    pub since: Option<DateTime<Utc>>,
    /// Enqueued before then.
    pub before: Option<DateTime<Utc>>,
    /// Older than this one.
    pub after: Option<Uuid>,
    /// Without their attempts, which can be long.
    pub brief: bool,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self {
            tables: JobTable::ALL,
            tags: Vec::new(),
            state: None,
            key: None,
            concurrency_key: None,
            fingerprint: None,
            min_failures: None,
            key_filter: None,
            since: None,
            before: None,
            after: None,
            brief: false,
        }
    }
}

/// Errors of one fingerprint, live and dead.
#[derive(Clone, Debug)]
pub struct ErrorGroup {
    /// What [`JobFilter::fingerprint`] finds them by.
    pub fingerprint: String,
    /// The newest of them.
    pub sample: String,
    /// Dead letters.
    pub dead: i64,
    /// Live jobs that failed with it last.
    pub live: i64,
    /// The oldest.
    pub first_at: DateTime<Utc>,
    /// The newest.
    pub last_at: DateTime<Utc>,
    /// Their tags.
    pub tags: Vec<String>,
}

/// The position of a group in the list, by its numbers when it was shown. As a text
/// `jobs.micros.fingerprint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCursor {
    jobs: i64,
    last_micros: i64,
    fingerprint: String,
}

impl From<&ErrorGroup> for ErrorCursor {
    fn from(group: &ErrorGroup) -> Self {
        Self {
            jobs: group.dead + group.live,
            last_micros: group.last_at.timestamp_micros(),
            fingerprint: group.fingerprint.clone(),
        }
    }
}

impl fmt::Display for ErrorCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.jobs, self.last_micros, self.fingerprint)
    }
}

impl FromStr for ErrorCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(());
        let (jobs, last_micros, fingerprint) = (part()?, part()?, part()?);
        if fingerprint.is_empty() || !fingerprint.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(());
        }
        Ok(Self {
            jobs: jobs.parse().map_err(drop)?,
            last_micros: last_micros.parse().map_err(drop)?,
            fingerprint: fingerprint.to_owned(),
        })
    }
}

/// A page of jobs, newest first.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: &JobFilter,
    limit: i64,
) -> Result<Vec<JobView>, sqlx::Error> {
    let mut sql = QueryBuilder::new(
        "select * from (select null::uuid as id, null as tag, null as key, null as state, \
         null::smallint as priority, null as concurrency_key, null::int as attempt, \
         null::int as max_attempts, null::timestamptz as run_at, null::timestamptz as created_at, \
         null::timestamptz as started_at, null::timestamptz as lease_until, \
         null::timestamptz as first_due_at, null::timestamptz as ended_at, \
         null::jsonb as payload, null::jsonb as attempts, \
         null as note, null as worker, null as fingerprint where false",
    );
    for table in filter.searched() {
        let columns = columns(table);
        let columns = if filter.brief {
            columns.replace("payload, failures,", "payload, '[]'::jsonb,")
        } else {
            columns.to_owned()
        };
        sql.push(" union all (select ").push(columns);
        filter.from(&mut sql, table, COUNT_MAX);
        // The limit is written out: the planner is to know that few rows are wanted.
        sql.push(filter.order_by(table, Order::NewestFirst)).push(" limit ").push(limit).push(")");
    }
    sql.push(") as job order by id desc limit ").push(limit);
    sql.build_query_as().fetch_all(db).await
}

/// The ids of what fits, oldest first.
pub async fn ids(db: impl PgExecutor<'_>, filter: &JobFilter, limit: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    ids_by(db, filter, limit, Order::OldestFirst).await
}

/// The ids of what fits, newest first.
pub async fn newest_ids(
    db: impl PgExecutor<'_>,
    filter: &JobFilter,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    ids_by(db, filter, limit, Order::NewestFirst).await
}

async fn ids_by(
    db: impl PgExecutor<'_>,
    filter: &JobFilter,
    limit: i64,
    order: Order,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut sql = QueryBuilder::new("select id from (select null::uuid as id where false");
    for table in filter.searched() {
        sql.push(" union all (select id");
        filter.from(&mut sql, table, limit);
        sql.push(filter.order_by(table, order)).push(" limit ").push(limit).push(")");
    }
    sql.push(") as job").push(order.by_id()).push(" limit ").push(limit);
    sql.build_query_scalar().fetch_all(db).await
}

impl JobFilter {
    fn searched(&self) -> impl Iterator<Item = JobTable> {
        let ended_too =
            self.concurrency_key.is_none() && self.fingerprint.is_none() && self.min_failures.is_none();
        let state = self.state.clone();
        self.tables
            .iter()
            .copied()
            .filter(move |table| state.as_deref().is_none_or(|state| table.has(state)))
            .filter(move |table| ended_too || *table != JobTable::Finished)
    }

    /// planner fence: dead letters of one error are in the order of their ids. Said so, the planner leaves
    /// their index; with the order of ids alone it reads all dead letters for an error that has few.
    fn order_by(&self, table: JobTable, order: Order) -> &'static str {
        match order {
            _ if table != JobTable::Dead || self.fingerprint.is_none() => order.by_id(),
            Order::NewestFirst => " order by fingerprint desc, id desc",
            Order::OldestFirst => " order by fingerprint, id",
        }
    }

    /// `from … where …` of this table; of live jobs of a tag and priority, the first `most` to fall
    /// due.
    fn from(&self, sql: &mut QueryBuilder<Postgres>, table: JobTable, most: i64) {
        if let Some(filter) = &self.key_filter {
            filter.found(sql, table, &self.tags);
            sql.push(self.in_state());
        } else {
            self.all_in(sql, table, most);
        }
        self.conditions(sql, table);
    }

    fn all_in(&self, sql: &mut QueryBuilder<Postgres>, table: JobTable, most: i64) {
        let due = match self.state.as_deref() {
            Some("ready" | "running") => " and run_at <= now()",
            Some("delayed") => " and run_at > now()",
            _ => "",
        };
        // Those that failed have an index of their own, in no order of time.
        let failed = self.state.as_deref() == Some("retrying") || self.min_failures.is_some();
        if table != JobTable::Live || self.tags.is_empty() || self.key.is_some() || failed {
            sql.push(" from ").push(table_name(table)).push(" where ").push(self.in_state());
            return;
        }
        // Live jobs are found by tag in the order in which they fall due, however many there are of
        // others.
        sql.push(" from unnest(").push_bind(self.tags.clone()).push("::text[]) of (of_tag), unnest(");
        sql.push_bind(Priority::ALL.map(Priority::rank).to_vec()).push("::smallint[]) by (rank)");
        sql.push(" cross join lateral (select * from queue.job where tag = of_tag and priority = rank")
            .push(due);
        sql.push(" order by run_at limit ").push(most).push(") due where ").push(self.in_state());
    }

    /// What the state says of a row; places without it are not looked at.
    fn in_state(&self) -> &'static str {
        match self.state.as_deref() {
            Some("running") => "lease_token is not null",
            Some("retrying") => {
                "first_due_at is not null and lease_token is null and attempt > snoozed_attempt
                    and failures <> '[]'"
            }
            Some("ready") => {
                "lease_token is null and run_at <= now() and (attempt <= snoozed_attempt or failures = '[]')"
            }
            Some("delayed") => {
                "lease_token is null and run_at > now() and (attempt <= snoozed_attempt or failures = '[]')"
            }
            Some("cancelled") => "outcome = 'cancelled'",
            Some("done") => "outcome = 'done'",
            _ => "true",
        }
    }

    fn conditions(&self, sql: &mut QueryBuilder<Postgres>, table: JobTable) {
        match &self.tags[..] {
            [] => {}
            // Written out: some tags have all jobs, some none, and the plan is to be the
            // tag's own.
            [tag] => {
                sql.push(" and tag = '").push(tag.replace('\'', "''")).push("'");
            }
            tags => {
                sql.push(" and tag = any(").push_bind(tags.to_vec()).push(")");
            }
        }
        if let Some(key) = &self.key {
            sql.push(" and key = ").push_bind(key.clone());
        }
        if let Some(concurrency_key) = &self.concurrency_key {
            sql.push(" and concurrency_key = ").push_bind(concurrency_key.clone());
        }
        if let Some(fingerprint) = &self.fingerprint {
            if table == JobTable::Dead {
                sql.push(" and fingerprint >= ").push_bind(fingerprint.clone());
            }
            sql.push(match table {
                JobTable::Dead => " and fingerprint <= ",
                JobTable::Live => {
                    " and first_due_at is not null and failures <> '[]' \
                     and queue.fingerprint(failures -> -1 ->> 'error') = "
                }
                JobTable::Finished => {
                    " and failures <> '[]' and queue.fingerprint(failures -> -1 ->> 'error') = "
                }
            });
            sql.push_bind(fingerprint.clone());
        }
        if let Some(least) = self.min_failures {
            if table == JobTable::Live {
                sql.push(" and first_due_at is not null");
            }
            sql.push(" and failures <> '[]' and jsonb_array_length(failures) >= ").push(least);
        }
        for (compared, id) in [
            (" and id >= ", self.since.map(first_id)),
            (" and id < ", self.before.map(first_id)),
            (" and id < ", self.after),
        ] {
            if let Some(id) = id {
                sql.push(compared).push_bind(id);
            }
        }
    }
}

/// The least UUIDv7 of this moment: ids from it on were made since then.
pub fn first_id(at: DateTime<Utc>) -> Uuid {
    let millis = u128::from(at.timestamp_millis().max(0).unsigned_abs());
    Uuid::from_u128((millis << 80) | (0x7 << 76) | (0b10 << 62))
}

/// What is failing, most of it first, among the 500 newest dead letters and as many live jobs that
/// failed: at most `limit` groups, those after this position. A group that grows or shrinks
/// meanwhile moves, and a reader who turns pages may see it twice or not at all.
pub async fn errors(
    db: impl PgExecutor<'_>,
    tag: Option<&str>,
    after: Option<&ErrorCursor>,
    limit: i64,
) -> Result<Vec<ErrorGroup>, sqlx::Error> {
    sqlx::query_as!(
        ErrorGroup,
        // planner fence: `between` and the order by tag leave the index by tag, so that dead letters of
        // other tags are not read, however many there are.
        r#"with dead as (
               (select fingerprint, failures -> -1 ->> 'error' as error, tag, died_at as at
                from queue.dead_letter
                where $1::text is null and fingerprint is not null order by id desc limit $2)
               union all
               (select fingerprint, failures -> -1 ->> 'error', tag, died_at
                from queue.dead_letter
                where tag between $1 and $1 and fingerprint is not null
                order by tag desc, id desc limit $2)
           ), live as (
               select queue.fingerprint(failures -> -1 ->> 'error') as fingerprint,
                   failures -> -1 ->> 'error' as error, tag,
                      coalesce((failures -> -1 ->> 'ended_at')::timestamptz, created_at) as at
               from queue.job
               where first_due_at is not null and failures <> '[]'
                 and queue.fingerprint(failures -> -1 ->> 'error') is not null
                 and ($1::text is null or tag = $1) limit $2
           )
           select fingerprint as "fingerprint!", (array_agg(error order by at desc))[1] as "sample!",
                  count(*) filter (where is_dead) as "dead!", count(*) filter (where not is_dead) as "live!",
                  min(at) as "first_at!", max(at) as "last_at!", array_agg(distinct tag) as "tags!"
           from (select *, true as is_dead from dead union all select *, false from live) as failing
           group by fingerprint
           having $4::bigint is null
               or (count(*), (extract(epoch from max(at)) * 1000000)::bigint, fingerprint)
                   < ($4, $5::bigint, $6::text)
           order by count(*) desc, max(at) desc, fingerprint desc limit $3"#,
        tag,
        GROUPED_MAX,
        limit,
        after.map(|after| after.jobs),
        after.map(|after| after.last_micros),
        after.map(|after| after.fingerprint.as_str()),
    )
    .fetch_all(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_moment_is_before_every_id_made_then_and_after_those_before() {
        let id = Uuid::now_v7();
        let (secs, nanos) = id.get_timestamp().expect("a version 7").to_unix();
        let at = DateTime::from_timestamp(secs.cast_signed(), nanos).expect("a time");
        assert!(first_id(at) <= id && first_id(at + chrono::TimeDelta::milliseconds(1)) > id);
    }
}
