//! What one order still has coming, and who is to see to it: the page of an order says it in a sentence.

use super::jobs;
use crate::{
    domain::{Money, OrderId},
    storage,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, JobFilter, JobView},
};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Jobs of one order that are read at the most.
const MOST_JOBS: i64 = 200;

/// A step of a flow as its barrier shows it.
#[derive(Clone, Debug)]
pub struct Barrier {
    /// The order's id, or the payment's.
    pub subject: Uuid,
    /// The step's tag.
    pub step: String,
    /// When it was done.
    pub done_at: Option<DateTime<Utc>>,
    /// When it was undone, or barred before it was done.
    pub undone_at: Option<DateTime<Utc>>,
}

/// A payment of the order.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Its id.
    pub id: Uuid,
    /// Its amount.
    pub amount: Decimal,
    /// `debited`, `settled`, `reversed` or `refunded`.
    pub state: String,
}

/// The order's row.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose it is.
    pub rider_id: Uuid,
    /// The rider's user name.
    pub rider: String,
    /// The trip.
    pub trip_id: Uuid,
    /// When the trip leaves.
    pub departs_at: DateTime<Utc>,
    /// Its seats.
    pub seats: Vec<i32>,
    /// Those of them that are its own now.
    pub owns: Vec<i32>,
    /// Its amount.
    pub amount: Decimal,
    /// Its state.
    pub status: String,
    /// When it was booked.
    pub created_at: DateTime<Utc>,
    /// Its deadline.
    pub expires_at: DateTime<Utc>,
    /// Whether that is over.
    pub overdue: bool,
}

/// Everything about an order, in one snapshot.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its row; none if it was never added.
    pub facts: Option<Facts>,
    /// Its steps.
    pub barriers: Vec<Barrier>,
    /// Its payments.
    pub payments: Vec<Payment>,
    /// Its jobs.
    pub jobs: Vec<JobView>,
    /// Whether its trip was cancelled and that is being carried out, with the job that does it.
    pub trip_ends: Option<Option<JobView>>,
}

/// What is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// Seats were claimed for an order that was not added: they are to be given back.
    Seats {
        /// Which.
        seats: Vec<i32>,
    },
    /// The order is to be closed: adding it or cancelling it failed half way.
    Close,
    /// Its trip was cancelled: the order is to be closed or refunded.
    TripCancelled,
    /// A debit that is not settled: it is to be given back, or the order to become paid.
    Debit {
        /// How much.
        amount: Money,
    },
    /// A refund that has begun.
    Refund {
        /// How much.
        amount: Money,
    },
    /// Seats are held until the deadline; then the order is closed.
    Hold {
        /// The deadline.
        #[serde(serialize_with = "crate::domain::json::micros")]
        until: DateTime<Utc>,
        /// Which.
        seats: Vec<i32>,
        /// Whether it is over.
        overdue: bool,
    },
    /// Only a dead letter is left: somebody has to look at it.
    DeadLetter,
}

/// One thing that is owed, and the job that is to see to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Debt {
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// The job; none if nobody sees to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
    /// Its state: `dead` and `cancelled` see to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_state: Option<String>,
    /// How many of its attempts failed.
    pub failures: i32,
    /// Its last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it runs, or ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub at: Option<DateTime<Utc>>,
}

impl Debt {
    fn of(what: What, job: Option<&JobView>) -> Self {
        Self {
            what,
            job_id: job.map(|job| job.id),
            job_state: job.map(|job| job.state.clone()),
            failures: job.map_or(0, JobView::failures),
            error: job.and_then(JobView::last_error).map(str::to_owned),
            at: job.map(|job| job.ended_at.unwrap_or(job.run_at)),
        }
    }

    /// Whether somebody will see to it without being told.
    pub fn is_seen_to(&self) -> bool {
        let seeing = ["ready", "delayed", "retrying", "running"];
        self.job_state.as_ref().is_some_and(|state| seeing.contains(&state.as_str()))
    }

    /// A plain sentence, English and Chinese.
    pub fn sentence(&self) -> (String, String) {
        let list = |seats: &[i32]| seats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (en, zh) = match &self.what {
            What::Seats { seats } => (
                format!("Seats {} that were claimed are to be given back", list(seats)),
                format!("已占座位 {} 待释放", list(seats)),
            ),
            What::Close => (
                "The order is to be closed and its seats given back".to_owned(),
                "订单待关闭，座位待释放".to_owned(),
            ),
            What::TripCancelled => (
                "Its trip was cancelled: the order is to be closed or refunded".to_owned(),
                "班次已取消：订单待关闭或退款".to_owned(),
            ),
            What::Debit { amount } => (
                format!("A debit of {amount} is to be given back or settled"),
                format!("一笔 {amount} 的扣款待退回或结清"),
            ),
            What::Refund { amount } => {
                (format!("A refund of {amount} is under way"), format!("{amount} 的退款正在进行"))
            }
            What::Hold { until, seats, overdue: false } => {
                let until = until.format("%H:%M:%S");
                let seats = list(seats);
                (
                    format!("Seats {seats} are held until {until} UTC, then the order is closed"),
                    format!("座位 {seats} 保留至 {until} UTC，届时订单关闭"),
                )
            }
            What::Hold { overdue: true, .. } => (
                "The deadline is over and the order is to be closed".to_owned(),
                "已过期限，订单待关闭".to_owned(),
            ),
            What::DeadLetter => {
                ("A dead letter is left to be looked at".to_owned(), "有一封死信待处理".to_owned())
            }
        };
        let at = self.at.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default();
        let error = self.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        match self.job_state.as_deref() {
            Some("dead") => (
                format!("{en}: its job is dead since {at}{error}."),
                format!("{zh}：其任务自 {at} 起为死信{error}。"),
            ),
            Some("cancelled") | None => (format!("{en}: nobody sees to it."), format!("{zh}：无任务负责。")),
            Some("retrying") => {
                let (failed, next) = (failed(self.failures), self.next());
                (
                    format!("{en}: its job {}, tried again {}{error}.", failed.0, next.0),
                    format!("{zh}：任务{}，{}重试{error}。", failed.1, next.1),
                )
            }
            Some("running") if self.failures > 0 => {
                let failed = failed(self.failures);
                (
                    format!("{en}: its job {}, and is running again{error}.", failed.0),
                    format!("{zh}：任务{}，正在重新执行{error}。", failed.1),
                )
            }
            Some("running") => (format!("{en}: its job is running."), format!("{zh}：任务正在执行。")),
            Some("ready") => (format!("{en}: its job is due{error}."), format!("{zh}：任务已到期{error}。")),
            Some(_) => {
                (format!("{en}: its job runs at {at}{error}."), format!("{zh}：任务将于 {at} 执行{error}。"))
            }
        }
    }

    /// When its job is tried again, by this process's clock, English and Chinese.
    fn next(&self) -> (String, String) {
        let millis = self.at.map_or(0, |at| (at - Utc::now()).num_milliseconds());
        if millis <= 0 {
            return ("now".to_owned(), "立即".to_owned());
        }
        let secs = millis.unsigned_abs().div_ceil(1_000);
        (format!("in {secs} s"), format!("{secs} 秒后"))
    }
}

/// How often something failed, English and Chinese.
fn failed(times: i32) -> (String, String) {
    let en = if times == 1 { "failed once".to_owned() } else { format!("failed {times} times") };
    (en, format!("已失败 {times} 次"))
}

impl Whole {
    /// What is owed; empty if nothing is.
    pub fn owed(&self) -> Vec<Debt> {
        let mut debts = Vec::new();
        for payment in self.payments.iter().filter(|payment| payment.state == "debited") {
            let key = payment.id.to_string();
            let amount = Money::from_database(payment.amount);
            debts.push(Debt::of(What::Debit { amount }, self.cover(|job| job.key == key)));
        }
        let of = |tags: &[MqTag]| self.cover(|job| tags.iter().any(|tag| tag.wire() == job.tag));
        match &self.facts {
            None if self.claimed() => {
                // Whichever step failed, its undo gives the seats back.
                let undo = of(&[MqTag::OrderAddSeats, MqTag::OrderCalcMoney, MqTag::OrderAdd]);
                debts.push(Debt::of(What::Seats { seats: self.claimed_seats() }, undo));
            }
            Some(facts) if facts.status == "refunding" => {
                let amount = Money::from_database(facts.amount);
                debts.push(Debt::of(What::Refund { amount }, of(&[MqTag::PayBack])));
            }
            Some(facts) if facts.status == "unpaid" || facts.status == "paying" => {
                let closing =
                    of(&[MqTag::OrderAdd, MqTag::OrderCancel]).filter(|job| job.state != "cancelled");
                debts.extend(closing.map(|job| Debt::of(What::Close, Some(job))));
                let seats = facts.owns.clone();
                let what = What::Hold { until: facts.expires_at, seats, overdue: facts.overdue };
                debts.push(Debt::of(what, of(&[MqTag::OrderUnpaid])));
            }
            _ => {}
        }
        let lives =
            self.facts.as_ref().is_some_and(|facts| !["closed", "refunded"].contains(&facts.status.as_str()));
        if let Some(job) = self.trip_ends.as_ref().filter(|_| lives) {
            debts.push(Debt::of(What::TripCancelled, job.as_ref()));
        }
        let named: Vec<Option<Uuid>> = debts.iter().map(|debt| debt.job_id).collect();
        for job in self.jobs.iter().filter(|job| job.state == "dead" && !named.contains(&Some(job.id))) {
            debts.push(Debt::of(What::DeadLetter, Some(job)));
        }
        debts
    }

    /// Seats claimed and not given back, of an order without a row.
    fn claimed(&self) -> bool {
        let claim = MqTag::OrderAddSeats.wire();
        self.barriers.iter().any(|b| b.step == claim && b.done_at.is_some() && b.undone_at.is_none())
    }

    /// The seats of a booking that left no order: its jobs tell.
    fn claimed_seats(&self) -> Vec<i32> {
        let seats =
            |job: &JobView| serde_json::from_value(job.payload.pointer("/booking/seats")?.clone()).ok();
        self.jobs.iter().find_map(seats).unwrap_or_default()
    }

    /// The job that sees to it: a live one, or else a dead letter, or else the one that was called off.
    fn cover(&self, fits: impl Fn(&JobView) -> bool) -> Option<&JobView> {
        let rank = |job: &&JobView| match job.state.as_str() {
            "running" => 0,
            "ready" => 1,
            "retrying" => 2,
            "delayed" => 3,
            "dead" => 4,
            "cancelled" => 5,
            _ => 9,
        };
        self.jobs.iter().filter(|job| fits(job) && rank(job) < 9).min_by_key(rank)
    }
}

/// Everything about an order; none if nobody ever began it.
///
/// # Errors
/// The database's.
pub async fn whole(pool: &PgPool, order: OrderId) -> Result<Option<Whole>, sqlx::Error> {
    let mut tx = storage::begin(pool).await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    let whole = read(&mut tx, order).await?;
    let begun = whole.facts.is_some() || !whole.barriers.is_empty() || !whole.jobs.is_empty();
    Ok(begun.then_some(whole))
}

async fn read(conn: &mut PgConnection, order: OrderId) -> Result<Whole, sqlx::Error> {
    let facts = sqlx::query_as!(
        Facts,
        r#"select o.rider_id as "rider_id!", r.user_name as "rider!", o.trip_id as "trip_id!", t.departs_at as "departs_at!",
                  o.seats as "seats!", o.amount as "amount!", o.status as "status!", o.created_at as "created_at!",
                  o.expires_at as "expires_at!", o.expires_at < now() as "overdue!",
                  array(select s.seat from seat s where s.trip_id = o.trip_id and s.seat = any(o.seats)
                                                   and s.order_id = o.id order by s.seat) as "owns!"
           from order_shown o join rider r on r.id = o.rider_id join trip t on t.id = o.trip_id where o.id = $1"#,
        order.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let payments = sqlx::query_as!(
        Payment,
        "select id, amount, state from payment where order_id = $1 order by id",
        order.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut subjects = vec![order.0];
    subjects.extend(payments.iter().map(|payment| payment.id));
    let barriers = sqlx::query_as!(
        Barrier,
        "select subject, step, done_at, undone_at from barrier where subject = any($1) order by subject, done_at, undone_at",
        &subjects
    )
    .fetch_all(&mut *conn)
    .await?;
    let of_order = JobFilter {
        tags: MqTag::ALL.map(|tag| tag.wire().to_owned()).to_vec(),
        among: Some(jobs::of(&mut *conn, order).await?),
        ..JobFilter::default()
    };
    let mut jobs = admin::list(&mut *conn, &of_order, MOST_JOBS).await?;
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
    let trip_ends = match ends {
        Some(Some(job)) => Some(admin::find(&mut *conn, job).await?),
        Some(None) => Some(None),
        None => None,
    };
    Ok(Whole { facts, barriers, payments, jobs, trip_ends })
}
