//! What is owed at this moment: undos that are due and not done, and dead letters of undos, with their seats, their money
//! and whose they are. Home tells the sums, the invariant `debts_are_paid_in_time` the oldest ones.

use super::impact::{self, Words};
use crate::domain::Money;
use chrono::{DateTime, Utc};
use farebox_jobs::MqTag;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;
use uuid::Uuid;

/// How long an undo may be due without being done, unless the settings (`verify.debt_secs`) say otherwise.
pub const DEFAULT_BOUND: Duration = Duration::from_secs(60);
/// Debts of live jobs, and as many dead letters, that the sums look at; there may be more.
pub const MOST: i64 = 1_000;
/// For how long a process keeps what [`owed`] said.
const OWED_KEPT: Duration = Duration::from_secs(1);

/// One undo that is due and not done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OpenDebt {
    /// The job.
    pub job_id: Uuid,
    /// Its tag.
    pub tag: String,
    /// Its key.
    pub key: String,
    /// The order it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider_id: Option<Uuid>,
    /// The rider's user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider: Option<String>,
    /// The trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip_id: Option<Uuid>,
    /// The order's seats.
    pub seats: Vec<i32>,
    /// Those of them that are to be given back.
    pub frees: Vec<i32>,
    /// The money that is to be given back or settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// How long ago it first fell due, seconds.
    pub owed_secs: f64,
    /// How many of its attempts failed.
    pub failures: i32,
    /// When it is tried next; none while it runs.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Its last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Because of what it is not done yet.
    pub why: Words,
}

impl OpenDebt {
    /// One line for whoever reads a terminal.
    pub fn line(&self) -> String {
        let Self { tag, key, owed_secs, .. } = self;
        let rider = self.rider.as_deref().unwrap_or("nobody known");
        let amount = self.amount.map(|amount| format!(", {amount}")).unwrap_or_default();
        let seats: Vec<String> = self.seats.iter().map(ToString::to_string).collect();
        let seats = if seats.is_empty() { String::new() } else { format!(", seats {}", seats.join(" ")) };
        format!("{tag} {key}: owed to {rider}{amount}{seats} for {owed_secs:.0} s; {}", self.why.en)
    }
}

/// All that is owed, in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owed {
    /// Live undos that have fallen due and are not done; [`MOST`] at the most.
    pub debts: i64,
    /// Those of them that are owed for longer than the bound.
    pub overdue: i64,
    /// Those of them that failed and are tried again.
    pub failing: i64,
    /// The most failed attempts of one of them.
    pub failures: i32,
    /// How long until the next of those that failed is tried, seconds.
    pub next_secs: Option<f64>,
    /// How long ago the oldest fell due, seconds.
    pub oldest_secs: Option<f64>,
    /// Undos that gave up; [`MOST`] at the most.
    pub dead: i64,
    /// The money of all of them.
    pub amount: Decimal,
    /// Their riders.
    pub riders: usize,
    /// The seats they hold back.
    pub seats: usize,
    /// Whether there are more than were looked at.
    pub more: bool,
}

impl Owed {
    /// Whether anything is owed.
    pub fn is_something(&self) -> bool {
        self.debts > 0 || self.dead > 0
    }
}

/// A job that owes, as it lies in the queue.
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

/// What [`owed`] said last, for a second (`OWED_KEPT`): home is drawn again each second for everybody who looks at it, and all of them,
/// with all their pages, cost one reading. Who asks while it is read waits for that. Clones keep the same.
#[derive(Clone, Debug)]
pub struct KeptOwed {
    kept_for: Duration,
    last: Arc<Mutex<Option<(Instant, Owed)>>>,
}

impl Default for KeptOwed {
    fn default() -> Self {
        Self::kept_for(OWED_KEPT)
    }
}

impl KeptOwed {
    /// Reads again what is older than this.
    pub fn kept_for(kept_for: Duration) -> Self {
        Self { kept_for, last: Arc::default() }
    }

    /// What is owed now, or was so long ago at the most; `bound` is the same at each call.
    ///
    /// # Errors
    /// The database's; nothing is kept then.
    pub async fn read(&self, pool: &PgPool, bound: Duration) -> Result<Owed, sqlx::Error> {
        let mut last = self.last.lock().await;
        if let Some((_, owed)) = last.as_ref().filter(|(at, _)| at.elapsed() < self.kept_for) {
            return Ok(owed.clone());
        }
        let at = Instant::now();
        let owed = owed(pool, bound).await?;
        *last = Some((at, owed.clone()));
        Ok(owed)
    }
}

/// What one debt moves.
struct Moved {
    rider: Option<Uuid>,
    frees: Vec<(Uuid, i32)>,
    money: Option<(Uuid, Decimal)>,
}

/// Every tag of a debt, as the queue writes it.
pub fn tags() -> Vec<String> {
    MqTag::DEBTS.map(|tag| tag.wire().to_owned()).to_vec()
}

/// The debts that have been owed for longer than the bound, the oldest first, so many at the most.
///
/// # Errors
/// The database's.
pub async fn overdue(
    conn: &mut PgConnection,
    bound: Duration,
    most: i64,
) -> Result<Vec<OpenDebt>, sqlx::Error> {
    let rows = live(&mut *conn, bound, most).await?;
    let payloads: Vec<&Value> = rows.iter().map(|row| &row.payload).collect();
    let facts = impact::facts_of(&mut *conn, &payloads).await?;
    let debts = rows.iter().zip(facts).map(|(row, facts)| {
        let moves = impact::moves(&row.tag, &facts);
        let amount =
            moves.amount.or_else(|| facts.amount.filter(|_| moves.finishes).map(Money::from_database));
        OpenDebt {
            job_id: row.id,
            tag: row.tag.clone(),
            key: row.key.clone(),
            order_id: facts.order_id,
            rider_id: facts.rider_id,
            rider: facts.rider,
            trip_id: facts.trip_id,
            seats: facts.owned,
            frees: moves.seats,
            amount,
            owed_secs: row.owed_secs,
            failures: row.failures,
            next_attempt_at: (!row.running).then_some(row.run_at),
            error: row.error.clone(),
            why: row.why(),
        }
    });
    Ok(debts.collect())
}

/// All that is owed, in numbers; `bound` tells from when on a debt is overdue. Reads up to [`MOST`] debts with their facts:
/// pages ask [`KeptOwed`].
///
/// # Errors
/// The database's.
pub async fn owed(pool: &PgPool, bound: Duration) -> Result<Owed, sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let rows = live(&mut conn, Duration::ZERO, MOST).await?;
    let dead = sqlx::query!(
        "select tag, payload from queue.dead_letter where tag = any($1) order by id limit $2",
        &tags(),
        MOST
    )
    .fetch_all(&mut *conn)
    .await?;
    let failing: Vec<&Row> = rows.iter().filter(|row| row.failures > 0).collect();
    let mut owed = Owed {
        debts: count(rows.len()),
        overdue: count(rows.iter().filter(|row| row.owed_secs > bound.as_secs_f64()).count()),
        failing: count(failing.len()),
        failures: failing.iter().map(|row| row.failures).max().unwrap_or(0),
        next_secs: failing.iter().map(|row| row.next_secs.max(0.0)).min_by(f64::total_cmp),
        oldest_secs: rows.first().map(|row| row.owed_secs),
        dead: count(dead.len()),
        more: count(rows.len()) >= MOST || count(dead.len()) >= MOST,
        ..Owed::default()
    };
    if !owed.is_something() {
        return Ok(owed);
    }
    let all =
        || rows.iter().map(|row| (&row.tag, &row.payload)).chain(dead.iter().map(|d| (&d.tag, &d.payload)));
    let payloads: Vec<&Value> = all().map(|(_, payload)| payload).collect();
    let facts = impact::facts_of(&mut *conn, &payloads).await?;
    let mut moved: Vec<Moved> = Vec::with_capacity(facts.len());
    let mut trips: Vec<Uuid> = Vec::new();
    for ((tag, _), facts) in all().zip(facts) {
        if *tag == MqTag::TripCancel.wire() {
            trips.extend(facts.trip_id);
            continue;
        }
        let moves = impact::moves(tag, &facts);
        let trip = facts.trip_id.unwrap_or_default();
        let money = facts.amount.filter(|_| moves.amount.is_some() || moves.finishes);
        moved.push(Moved {
            rider: facts.rider_id,
            frees: moves.seats.into_iter().map(|seat| (trip, seat)).collect(),
            money: money.zip(facts.order_id).map(|(amount, order)| (order, amount)),
        });
    }
    moved.extend(of_trips(&mut conn, &trips).await?);
    // Two undos of one order owe its seats and its money once. Who is owed neither is not counted.
    let riders: BTreeSet<Uuid> = moved
        .iter()
        .filter(|one| one.money.is_some() || !one.frees.is_empty())
        .filter_map(|one| one.rider)
        .collect();
    let money: BTreeMap<Uuid, Decimal> = moved.iter().filter_map(|one| one.money).collect();
    let seats: BTreeSet<(Uuid, i32)> = moved.iter().flat_map(|one| one.frees.iter().copied()).collect();
    owed.amount = money.values().copied().sum();
    owed.riders = riders.len();
    owed.seats = seats.len();
    Ok(owed)
}

/// The live jobs of debts that have been owed for longer than this, the oldest first.
async fn live(conn: &mut PgConnection, longer: Duration, most: i64) -> Result<Vec<Row>, sqlx::Error> {
    // Undos that are only armed are those of the flows under way: few, so that all of their tags may be looked at.
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
        most
    )
    .fetch_all(conn)
    .await
}

/// What cancelled trips still owe their riders: seats of orders that are not ended yet, and the money of those paid.
async fn of_trips(conn: &mut PgConnection, trips: &[Uuid]) -> Result<Vec<Moved>, sqlx::Error> {
    if trips.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"select o.id, o.rider_id, o.trip_id, o.amount, o.status in ('paid', 'refunding') as "paid!",
                  array_agg(s.seat order by s.seat) as "seats!"
           from seat s join orders o on o.id = s.order_id
           where s.trip_id = any($1) group by o.id order by o.id limit $2"#,
        trips,
        MOST
    )
    .fetch_all(conn)
    .await?;
    let moved = rows.into_iter().map(|row| Moved {
        rider: Some(row.rider_id),
        frees: row.seats.into_iter().map(|seat| (row.trip_id, seat)).collect(),
        money: row.paid.then_some((row.id, row.amount)),
    });
    Ok(moved.collect())
}

impl Row {
    /// Because of what it is not done yet.
    fn why(&self) -> Words {
        let error = self.error.as_deref().unwrap_or_default();
        if self.running {
            return Words::new("an attempt is running", "正在执行");
        }
        if let Some(reason) = &self.paused {
            let who = self.paused_by.as_deref().unwrap_or("somebody");
            return Words::new(
                format!("its tag is paused by {who}: {reason}"),
                format!("其标签已被 {who} 暂停：{reason}"),
            );
        }
        if !self.worked {
            return Words::new("no living worker takes its tag", "没有存活的工作进程处理其标签");
        }
        if self.failures > 0 {
            let secs = self.next_secs.max(0.0).ceil();
            return Words::new(
                format!("failed {} times, tried again in {secs} s: {error}", self.failures),
                format!("已失败 {} 次，{secs} 秒后重试：{error}", self.failures),
            );
        }
        if self.next_secs > 0.0 {
            let at = self.run_at.format("%Y-%m-%d %H:%M:%S");
            return Words::new(format!("put off until {at} UTC"), format!("已推迟至 {at} UTC"));
        }
        Words::new("it waits for a worker that is free", "等待空闲的工作进程")
    }
}

fn count(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}
