//! Undos that are due and not done, and dead letters of undos, with their seats, money and riders.
//! The home page shows the sums; the invariant `debts_are_paid_in_time` lists the oldest ones.

use super::impact::{self, Names};
use crate::{
    domain::{Currency, Localized},
    verify::OverdueUndo,
};
use chrono::{DateTime, Utc};
use farebox_jobs::MqTag;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Most live undos, and most dead letters, that [`UndoBacklog`] counts.
pub const MAX_COUNTED: i64 = 1_000;
/// How long a process caches the [`UndoBacklog`].
const CACHE_AGE: Duration = Duration::from_secs(1);

/// All undos that are due and not done, in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UndoBacklog {
    /// Live undos that are due and not done; at most [`MAX_COUNTED`].
    pub due: i64,
    /// Those of them that have been due for longer than the bound.
    pub overdue: i64,
    /// Those of them that failed and will be retried.
    pub failing: i64,
    /// The most failed attempts of one of them.
    pub failures: i32,
    /// How long until the next of the failed ones is retried, seconds.
    pub next_secs: Option<f64>,
    /// How long ago the oldest fell due, seconds.
    pub oldest_secs: Option<f64>,
    /// Undos that have given up; at most [`MAX_COUNTED`].
    pub dead: i64,
    /// The money of all of them.
    pub amount: Decimal,
    /// Their riders.
    pub riders: usize,
    /// The seats that they will free.
    pub seats: usize,
    /// Whether there are more than were counted.
    pub more: bool,
}

impl UndoBacklog {
    /// Whether no undo is due and none has given up.
    pub fn is_empty(&self) -> bool {
        self.due == 0 && self.dead == 0
    }
}

/// An undo's job, as the queue has it.
struct Row {
    id: Uuid,
    tag: String,
    key: String,
    payload: Value,
    failures: i32,
    running: bool,
    run_at: DateTime<Utc>,
    next_secs: f64,
    owed_secs: f64,
    error: Option<String>,
    paused: Option<String>,
    paused_by: Option<String>,
    worked: bool,
}

/// The [`UndoBacklog`], read at most once a second: the home page is rendered each second for every
/// operator who has it open. Concurrent callers wait for one reading. Clones share the cache.
#[derive(Clone, Debug)]
pub struct CachedUndoBacklog {
    max_age: Duration,
    last: Arc<Mutex<Option<(Instant, UndoBacklog)>>>,
}

impl Default for CachedUndoBacklog {
    fn default() -> Self {
        Self::with_max_age(CACHE_AGE)
    }
}

impl CachedUndoBacklog {
    /// Reads again what is older than `max_age`.
    pub fn with_max_age(max_age: Duration) -> Self {
        Self { max_age, last: Arc::default() }
    }

    /// The backlog, at most as old as the cache allows. `bound` must be the same in each call.
    ///
    /// # Errors
    /// The database's; nothing is cached then.
    pub async fn read(&self, pool: &PgPool, bound: Duration) -> Result<UndoBacklog, sqlx::Error> {
        let mut last = self.last.lock().await;
        if let Some((_, backlog)) = last.as_ref().filter(|(at, _)| at.elapsed() < self.max_age) {
            return Ok(backlog.clone());
        }
        let at = Instant::now();
        let backlog = backlog(pool, bound).await?;
        *last = Some((at, backlog.clone()));
        Ok(backlog)
    }
}

/// What one undo changes.
struct Change {
    order: Option<Uuid>,
    rider: Option<Uuid>,
    frees: Vec<(Uuid, i32)>,
    money: Option<(Uuid, Decimal)>,
}

/// The tags of undos, as the queue writes them.
fn tags() -> Vec<String> {
    MqTag::DEBTS.map(|tag| tag.wire().to_owned()).to_vec()
}

/// The undos that have been due for longer than the bound, the oldest first, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn overdue(
    conn: &mut PgConnection,
    bound: Duration,
    limit: i64,
) -> Result<Vec<OverdueUndo>, sqlx::Error> {
    let rows = due(&mut *conn, bound, limit).await?;
    let payloads: Vec<&Value> = rows.iter().map(|row| &row.payload).collect();
    let facts = impact::facts_of(&mut *conn, &payloads, Names::Read).await?;
    let undos = rows.iter().zip(facts).map(|(row, facts)| {
        let effects = impact::effects(&row.tag, &facts.undo);
        let amount = effects.amount.or_else(|| facts.undo.amount.filter(|_| effects.marks_paid));
        OverdueUndo {
            job_id: row.id,
            tag: row.tag.clone(),
            key: row.key.clone(),
            order_id: facts.order_id,
            rider_id: facts.rider_id,
            rider: facts.rider,
            trip_id: facts.trip_id,
            amount,
            currency: amount.map(|_| Currency::installed()),
            seats: facts.undo.owned_seats,
            labels: facts.undo.owned_labels,
            frees: effects.seats,
            owed_secs: row.owed_secs,
            failures: row.failures,
            next_attempt_at: (!row.running).then_some(row.run_at),
            error: row.error.clone(),
            why: row.why(),
        }
    });
    Ok(undos.collect())
}

/// All undos that are due, in numbers; those due for longer than `bound` are overdue. It reads up
/// to [`MAX_COUNTED`] undos with their facts: pages use [`CachedUndoBacklog`].
///
/// # Errors
/// The database's.
pub async fn backlog(pool: &PgPool, bound: Duration) -> Result<UndoBacklog, sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let rows = due(&mut conn, Duration::ZERO, MAX_COUNTED).await?;
    let dead = sqlx::query!(
        "select tag, payload from queue.dead_letter where tag = any($1) order by id limit $2",
        &tags(),
        MAX_COUNTED
    )
    .fetch_all(&mut *conn)
    .await?;
    let failing: Vec<&Row> = rows.iter().filter(|row| row.failures > 0).collect();
    let backlog = UndoBacklog {
        due: count(rows.len()),
        overdue: count(rows.iter().filter(|row| row.owed_secs > bound.as_secs_f64()).count()),
        failing: count(failing.len()),
        failures: failing.iter().map(|row| row.failures).max().unwrap_or(0),
        next_secs: failing.iter().map(|row| row.next_secs.max(0.0)).min_by(f64::total_cmp),
        oldest_secs: rows.first().map(|row| row.owed_secs),
        dead: count(dead.len()),
        more: count(rows.len()) >= MAX_COUNTED || count(dead.len()) >= MAX_COUNTED,
        ..UndoBacklog::default()
    };
    if backlog.is_empty() {
        return Ok(backlog);
    }
    let live = rows.iter().map(|row| (row.tag.as_str(), &row.payload));
    let jobs: Vec<(&str, &Value)> =
        live.chain(dead.iter().map(|row| (row.tag.as_str(), &row.payload))).collect();
    let changes = changes(&mut conn, &jobs).await?;
    // Two undos of one order free its seats and give its money back once. An undo that does neither
    // has no rider.
    let riders: BTreeSet<Uuid> = changes
        .iter()
        .filter(|change| change.money.is_some() || !change.frees.is_empty())
        .filter_map(|change| change.rider)
        .collect();
    let money: BTreeMap<Uuid, Decimal> = changes.iter().filter_map(|change| change.money).collect();
    let seats: BTreeSet<(Uuid, i32)> =
        changes.iter().flat_map(|change| change.frees.iter().copied()).collect();
    Ok(UndoBacklog {
        amount: money.values().copied().sum(),
        riders: riders.len(),
        seats: seats.len(),
        ..backlog
    })
}

/// The orders to which something is owed: of the first [`MAX_COUNTED`] undos that are due and not
/// done, and of as many dead letters of undos. An order that was never added has an id too.
///
/// # Errors
/// The database's.
pub async fn orders_owed(conn: &mut PgConnection) -> Result<Vec<Uuid>, sqlx::Error> {
    let due = due(&mut *conn, Duration::ZERO, MAX_COUNTED).await?;
    let dead = sqlx::query_scalar!(
        "select payload from queue.dead_letter where tag = any($1) order by id desc limit $2",
        &tags(),
        MAX_COUNTED
    )
    .fetch_all(&mut *conn)
    .await?;
    let payloads: Vec<&Value> = due.iter().map(|row| &row.payload).chain(&dead).collect();
    let facts = impact::facts_of(&mut *conn, &payloads, Names::LeftOut).await?;
    let mut orders: BTreeSet<Uuid> = facts.iter().filter_map(|facts| facts.order_id).collect();
    // The job of a cancelled trip speaks of no order.
    let whole = facts.iter().filter(|facts| facts.order_id.is_none());
    let trips: Vec<Uuid> = whole.filter_map(|facts| facts.trip_id).collect();
    orders.extend(of_trips(&mut *conn, &trips).await?.into_iter().filter_map(|change| change.order));
    Ok(orders.into_iter().collect())
}

/// What these jobs, each with tag and payload, would change.
async fn changes(conn: &mut PgConnection, jobs: &[(&str, &Value)]) -> Result<Vec<Change>, sqlx::Error> {
    let payloads: Vec<&Value> = jobs.iter().map(|(_, payload)| *payload).collect();
    let facts = impact::facts_of(&mut *conn, &payloads, Names::LeftOut).await?;
    let mut changes: Vec<Change> = Vec::with_capacity(facts.len());
    let mut trips: Vec<Uuid> = Vec::new();
    for ((tag, _), facts) in jobs.iter().zip(facts) {
        if *tag == MqTag::TripCancel.wire() {
            trips.extend(facts.trip_id);
            continue;
        }
        let effects = impact::effects(tag, &facts.undo);
        let trip = facts.trip_id.unwrap_or_default();
        let money = facts.undo.amount.filter(|_| effects.amount.is_some() || effects.marks_paid);
        changes.push(Change {
            order: facts.order_id,
            rider: facts.rider_id,
            frees: effects.seats.into_iter().map(|seat| (trip, seat)).collect(),
            money: money.zip(facts.order_id).map(|(amount, order)| (order, amount.decimal())),
        });
    }
    changes.extend(of_trips(conn, &trips).await?);
    Ok(changes)
}

/// The live undos that have been due for longer than `longer`, the oldest first.
async fn due(conn: &mut PgConnection, longer: Duration, limit: i64) -> Result<Vec<Row>, sqlx::Error> {
    // Undos that are armed but not due belong to running sagas: few, so the statement may read all
    // jobs of their tags.
    sqlx::query_as!(
        Row,
        r#"select j.id, j.tag, j.key::text as "key!", j.payload,
                  case when j.attempt - f.running > j.snoozed_attempt then j.attempt - f.running else 0 end as "failures!",
                  j.lease_token is not null as "running!", j.run_at,
                  extract(epoch from j.run_at - now())::float8 as "next_secs!",
                  extract(epoch from now() - coalesce(j.first_due_at, j.run_at))::float8 as "owed_secs!",
                  j.failures -> -1 ->> 'error' as error, p.reason as "paused?",
                  case when p.paused_by ~ '^[0-9a-f-]{36}$'
                       then (select r.user_name from rider r where r.id = p.paused_by::uuid)
                       else p.paused_by end as paused_by,
                  exists(select from queue.worker w where j.tag = any(w.tags)
                         and w.last_seen_at >= now() - make_interval(secs => w.lease_secs)) as "worked!"
           from queue.job j left join queue.paused p on p.tag = j.tag
           cross join lateral (select case when j.lease_token is null then 0 else 1 end as running) f
           where j.tag = any($1) and coalesce(j.first_due_at, j.run_at) <= now() - make_interval(secs => $2)
           order by coalesce(j.first_due_at, j.run_at), j.id limit $3"#,
        &tags(),
        longer.as_secs_f64(),
        limit
    )
    .fetch_all(conn)
    .await
}

/// What the jobs of cancelled trips would change: the seats of orders that have not ended, and the
/// money of paid ones.
async fn of_trips(conn: &mut PgConnection, trips: &[Uuid]) -> Result<Vec<Change>, sqlx::Error> {
    if trips.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"select o.id, o.rider_id, o.trip_id, o.amount, o.status in ('paid', 'refunding') as "paid!",
                  array_agg(s.seat order by s.seat) as "seats!"
           from seat s join orders o on o.id = s.order_id
           where s.trip_id = any($1) group by o.id order by o.id limit $2"#,
        trips,
        MAX_COUNTED
    )
    .fetch_all(conn)
    .await?;
    let changes = rows.into_iter().map(|row| Change {
        order: Some(row.id),
        rider: Some(row.rider_id),
        frees: row.seats.into_iter().map(|seat| (row.trip_id, seat)).collect(),
        money: row.paid.then_some((row.id, row.amount)),
    });
    Ok(changes.collect())
}

impl Row {
    /// Why it is not done yet.
    fn why(&self) -> Localized {
        let error = self.error.as_deref().unwrap_or_default();
        if self.running {
            return Localized::new("an attempt is running", "正在执行");
        }
        if let Some(reason) = &self.paused {
            let who = self.paused_by.as_deref().unwrap_or("an unknown operator");
            return Localized::new(
                format!("its tag is paused by {who}: {reason}"),
                format!("其标签已被 {who} 暂停：{reason}"),
            );
        }
        if !self.worked {
            return Localized::new("no living worker takes its tag", "没有存活的工作进程处理其标签");
        }
        if self.failures > 0 {
            let secs = self.next_secs.max(0.0).ceil();
            return Localized::new(
                format!("failed {} times, tried again in {secs} s: {error}", self.failures),
                format!("已失败 {} 次，{secs} 秒后重试：{error}", self.failures),
            );
        }
        if self.next_secs > 0.0 {
            let at = self.run_at.format("%Y-%m-%d %H:%M:%S");
            return Localized::new(format!("put off until {at} UTC"), format!("已推迟至 {at} UTC"));
        }
        Localized::new("it waits for a free worker", "等待空闲的工作进程")
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
