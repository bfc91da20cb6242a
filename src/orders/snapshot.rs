//! Everything about one order, read in one snapshot.

use super::{jobs, labels_of};
use crate::{
    domain::{OrderId, OrderStatus, PaymentState},
    storage,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, JobFilter, JobView},
};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Most jobs of one order that are read.
const MAX_JOBS: i64 = 200;

/// A step of a saga as its barrier shows it.
#[derive(Clone, Debug)]
pub struct Barrier {
    /// The order's id, or the payment's.
    pub subject: Uuid,
    /// The step's tag.
    pub step: String,
    /// When it was done.
    pub done_at: Option<DateTime<Utc>>,
    /// When it was undone or barred.
    pub undone_at: Option<DateTime<Utc>>,
}

/// A payment of the order.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Its id.
    pub id: Uuid,
    /// Its amount.
    pub amount: Decimal,
    /// Where its money is.
    pub state: PaymentState,
}

/// A state that the order came into.
#[derive(Clone, Debug)]
pub struct StatusEvent {
    /// The state.
    pub status: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A ledger entry of one of the order's payments.
#[derive(Clone, Debug)]
pub struct PaymentEntry {
    /// The payment.
    pub payment: Uuid,
    /// Its kind.
    pub kind: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The order's row.
#[derive(Clone, Debug)]
pub struct OrderFacts {
    /// Its rider.
    pub rider_id: Uuid,
    /// The rider's user name.
    pub rider: String,
    /// The trip.
    pub trip_id: Uuid,
    /// When the trip departs.
    pub departs_at: DateTime<Utc>,
    /// The labels of its seats.
    pub seats: Vec<String>,
    /// The numbers of those that it owns now.
    pub owns: Vec<i32>,
    /// Their labels; empty where the numbers are the labels.
    pub owned_labels: Vec<String>,
    /// Its amount.
    pub amount: Decimal,
    /// Its state.
    pub status: OrderStatus,
    /// When it was booked.
    pub created_at: DateTime<Utc>,
    /// Its deadline.
    pub expires_at: DateTime<Utc>,
    /// Whether the deadline has passed.
    pub overdue: bool,
}

/// Everything about an order, in one snapshot.
#[derive(Clone, Debug)]
pub struct OrderSnapshot {
    /// Its row; `None` if it was never added.
    pub facts: Option<OrderFacts>,
    /// Its steps.
    pub barriers: Vec<Barrier>,
    /// Its payments.
    pub payments: Vec<Payment>,
    /// Its states, the oldest first.
    pub events: Vec<StatusEvent>,
    /// The ledger entries of its payments, the oldest first.
    pub entries: Vec<PaymentEntry>,
    /// Its jobs.
    pub jobs: Vec<JobView>,
    /// The labels of the seats that a booking without an order claimed; empty where their numbers are
    /// the labels.
    pub claimed_labels: Vec<String>,
    /// Whether the cancellation of its trip still has to reach it.
    pub trip_cancellation: TripCancellation,
}

impl OrderSnapshot {
    /// The barrier row of a step.
    pub fn barrier(&self, subject: Uuid, step: MqTag) -> Option<&Barrier> {
        self.barriers.iter().find(|b| b.subject == subject && b.step == step.wire())
    }

    /// When the order first came into the state.
    pub fn event(&self, status: &str) -> Option<DateTime<Utc>> {
        self.events.iter().find(|event| event.status == status).map(|event| event.at)
    }
}

/// The unfinished cancellation of an order's trip.
#[derive(Clone, Debug)]
pub enum TripCancellation {
    /// The trip is not cancelled, or its cancellation has ended.
    None,
    /// This job carries it out.
    Job(Box<JobView>),
    /// The job that carries it out is missing.
    WithoutJob,
}

/// Everything about an order; `None` if no request ever began it.
///
/// # Errors
/// The database's.
pub async fn snapshot(pool: &PgPool, order: OrderId) -> Result<Option<OrderSnapshot>, sqlx::Error> {
    let mut tx = storage::begin(pool).await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    read(&mut tx, order).await
}

/// The same in the caller's transaction: one snapshot if its isolation level says so.
///
/// # Errors
/// The database's.
pub async fn read(conn: &mut PgConnection, order: OrderId) -> Result<Option<OrderSnapshot>, sqlx::Error> {
    let snapshot = read_all(conn, order).await?;
    let begun = snapshot.facts.is_some() || !snapshot.barriers.is_empty() || !snapshot.jobs.is_empty();
    Ok(begun.then_some(snapshot))
}

async fn read_all(conn: &mut PgConnection, order: OrderId) -> Result<OrderSnapshot, sqlx::Error> {
    let facts = read_facts(&mut *conn, order).await?;
    let payments = read_payments(&mut *conn, order).await?;
    let mut subjects = vec![order.0];
    subjects.extend(payments.iter().map(|payment| payment.id));
    let barriers = sqlx::query_as!(
        Barrier,
        "select subject, step, done_at, undone_at from barrier where subject = any($1) order by subject, done_at, undone_at",
        &subjects
    )
    .fetch_all(&mut *conn)
    .await?;
    let events = sqlx::query_as!(
        StatusEvent,
        r#"select status as "status!", reason as "reason!", at as "at!" from order_history where order_id = $1 order by at"#,
        order.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let entries = sqlx::query_as!(
        PaymentEntry,
        r#"select payment_id as "payment!", kind, at from ledger_entry where payment_id = any($1) order by at"#,
        &subjects
    )
    .fetch_all(&mut *conn)
    .await?;
    let of_order = JobFilter {
        tags: MqTag::ALL.map(|tag| tag.wire().to_owned()).to_vec(),
        key_filter: Some(jobs::of(&mut *conn, order).await?),
        ..JobFilter::default()
    };
    let mut jobs = admin::list(&mut *conn, &of_order, MAX_JOBS).await?;
    jobs.reverse();
    let ends = sqlx::query_scalar!(
        r#"select (select j.id from queue.any_job j where j.tag = $2 and j.key = o.trip_id::text order by j.rank limit 1)
           from orders o join trip_cancellation c on c.trip_id = o.trip_id
           where o.id = $1 and c.finished_at is null"#,
        order.0,
        MqTag::TripCancel.wire()
    )
    .fetch_optional(&mut *conn)
    .await?;
    let trip_cancellation = match ends {
        None => TripCancellation::None,
        Some(None) => TripCancellation::WithoutJob,
        Some(Some(job)) => admin::find(&mut *conn, job)
            .await?
            .map_or(TripCancellation::WithoutJob, |job| TripCancellation::Job(Box::new(job))),
    };
    let mut snapshot = OrderSnapshot {
        facts,
        barriers,
        payments,
        events,
        entries,
        jobs,
        claimed_labels: Vec::new(),
        trip_cancellation,
    };
    if snapshot.facts.is_none() {
        snapshot.claimed_labels = claimed_labels(conn, &snapshot).await?;
    }
    Ok(snapshot)
}

/// The labels of the seats that the jobs of a booking without an order name, on a trip of a model.
async fn claimed_labels(
    conn: &mut PgConnection,
    snapshot: &OrderSnapshot,
) -> Result<Vec<String>, sqlx::Error> {
    let trip = |job: &JobView| job.payload.pointer("/booking/trip_id")?.as_str()?.parse::<Uuid>().ok();
    let Some(trip) = snapshot.jobs.iter().find_map(trip) else { return Ok(Vec::new()) };
    let labels = sqlx::query_scalar!(
        r#"select seat_labels(id, $2) as "labels!" from trip where id = $1 and model_id is not null"#,
        trip,
        &snapshot.claimed_seats()
    )
    .fetch_optional(conn)
    .await?;
    Ok(labels.unwrap_or_default())
}

async fn read_facts(conn: &mut PgConnection, order: OrderId) -> Result<Option<OrderFacts>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select o.rider_id as "rider_id!", r.user_name as "rider!", o.trip_id as "trip_id!", t.departs_at as "departs_at!",
                  o.seats as "seats!", o.labels, o.amount as "amount!", o.status as "status!", o.created_at as "created_at!",
                  o.expires_at as "expires_at!", o.expires_at < now() as "overdue!",
                  w.owns as "owns!", case when t.model_id is not null then seat_labels(t.id, w.owns) end as owned_labels
           from order_shown o join rider r on r.id = o.rider_id join trip t on t.id = o.trip_id
           cross join lateral (
               select array(select s.seat from seat s where s.trip_id = o.trip_id and s.seat = any(o.seats)
                                                        and s.order_id = o.id order by s.seat) as owns
           ) w
           where o.id = $1"#,
        order.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(OrderFacts {
            rider_id: row.rider_id,
            rider: row.rider,
            trip_id: row.trip_id,
            departs_at: row.departs_at,
            seats: labels_of(row.labels, &row.seats),
            owns: row.owns,
            owned_labels: row.owned_labels.unwrap_or_default(),
            amount: row.amount,
            status: storage::decode(&row.status)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            overdue: row.overdue,
        })
    })
    .transpose()
}

async fn read_payments(conn: &mut PgConnection, order: OrderId) -> Result<Vec<Payment>, sqlx::Error> {
    let rows = sqlx::query!("select id, amount, state from payment where order_id = $1 order by id", order.0)
        .fetch_all(conn)
        .await?;
    let payments = rows
        .into_iter()
        .map(|row| Ok(Payment { id: row.id, amount: row.amount, state: storage::decode(&row.state)? }));
    payments.collect()
}
