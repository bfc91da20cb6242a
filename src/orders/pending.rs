//! The pending work of one order, and the job that will do it. The page of an order shows it as
//! sentences.

use super::snapshot::{OrderFacts, OrderSnapshot, TripCancellation};
use crate::domain::{Currency, JobState, Localized, Money, OrderStatus, PaymentState, list_seats};
use chrono::{DateTime, Utc};
use farebox_jobs::{MqTag, queue::admin::JobView};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What is pending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum PendingKind {
    /// Seats that were claimed for an order that was not added will be freed.
    Seats {
        /// The numbers of the seats.
        seats: Vec<i32>,
        /// Their labels; absent where the numbers are the labels.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        labels: Vec<String>,
    },
    /// The order will be closed: adding or cancelling it failed.
    Close,
    /// Its trip was cancelled: the order will be closed or refunded.
    TripCancelled,
    /// A debit that is not settled: it will be given back, or the order becomes paid.
    Debit {
        /// The amount.
        amount: Money,
        /// Its currency.
        currency: Currency,
        /// Whether the order can still become paid.
        may_settle: bool,
    },
    /// A refund that has begun.
    Refund {
        /// The amount.
        amount: Money,
        /// Its currency.
        currency: Currency,
    },
    /// Seats are held until the deadline; then the order is closed.
    Hold {
        /// The deadline.
        #[serde(serialize_with = "crate::domain::json::micros")]
        until: DateTime<Utc>,
        /// The numbers of the seats.
        seats: Vec<i32>,
        /// Their labels; absent where the numbers are the labels.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        labels: Vec<String>,
        /// Whether the deadline has passed.
        overdue: bool,
    },
    /// Only a dead letter is left, for an operator.
    DeadLetter,
}

/// One thing that is pending, and the job that will do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PendingWork {
    /// What is pending.
    #[serde(flatten)]
    pub what: PendingKind,
    /// The job; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
    /// Its state: a `dead` or `cancelled` job will not do it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::domain::words::JobStateWord>")]
    pub job_state: Option<JobState>,
    /// How many of its attempts failed.
    pub failures: i32,
    /// Its last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the job runs, or ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub at: Option<DateTime<Utc>>,
}

impl PendingWork {
    fn of(what: PendingKind, job: Option<&JobView>) -> Self {
        Self {
            what,
            job_id: job.map(|job| job.id),
            job_state: job.and_then(state_of),
            failures: job.map_or(0, JobView::failures),
            error: job.and_then(JobView::last_error).map(str::to_owned),
            at: job.map(|job| job.ended_at.unwrap_or(job.run_at)),
        }
    }

    /// Whether a live job will do it, without an operator.
    pub fn has_live_job(&self) -> bool {
        self.job_state.is_some_and(JobState::is_live)
    }

    /// What is pending, as the beginning of a sentence.
    fn describe_kind(&self) -> Localized {
        let (en, zh) = match &self.what {
            PendingKind::Seats { seats, labels } => (
                format!("Seats {} that were claimed are to be given back", list_seats(seats, labels)),
                format!("已占座位 {} 待释放", list_seats(seats, labels)),
            ),
            PendingKind::Close => (
                "The order is to be closed and its seats given back".to_owned(),
                "订单待关闭，座位待释放".to_owned(),
            ),
            PendingKind::TripCancelled => (
                "Its trip was cancelled: the order is to be closed or refunded".to_owned(),
                "班次已取消：订单待关闭或退款".to_owned(),
            ),
            PendingKind::Debit { amount, currency, may_settle: true } => (
                format!("A debit of {amount} {currency} is to be given back or settled"),
                format!("一笔 {amount} {currency} 的扣款待退回或结清"),
            ),
            PendingKind::Debit { amount, currency, may_settle: false } => (
                format!("A debit of {amount} {currency} is to be given back"),
                format!("一笔 {amount} {currency} 的扣款待退回"),
            ),
            PendingKind::Refund { amount, currency } => (
                format!("A refund of {amount} {currency} is under way"),
                format!("{amount} {currency} 的退款正在进行"),
            ),
            PendingKind::Hold { until, seats, labels, overdue: false } => {
                let until = until.format("%H:%M:%S");
                let seats = list_seats(seats, labels);
                (
                    format!("Seats {seats} are held until {until} UTC, then the order is closed"),
                    format!("座位 {seats} 保留至 {until} UTC，届时订单关闭"),
                )
            }
            PendingKind::Hold { overdue: true, .. } => (
                "The deadline is over and the order is to be closed".to_owned(),
                "已过期限，订单待关闭".to_owned(),
            ),
            PendingKind::DeadLetter => {
                ("A dead letter is left to be looked at".to_owned(), "有一封死信待处理".to_owned())
            }
        };
        Localized { en, zh }
    }

    /// A sentence with the state of the job.
    pub fn sentence(&self) -> Localized {
        let Localized { en, zh } = self.describe_kind();
        let at = self.at.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default();
        let error = self.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        let (en, zh) = match self.job_state {
            Some(JobState::Dead) => (
                format!("{en}: its job is dead since {at}{error}."),
                format!("{zh}：其任务自 {at} 起为死信{error}。"),
            ),
            Some(JobState::Cancelled) | None => {
                (format!("{en}: no job will do it."), format!("{zh}：无任务负责。"))
            }
            Some(JobState::Retrying) => {
                let (failed, next) = (failed(self.failures), self.next_attempt());
                (
                    format!("{en}: its job {}, tried again {}{error}.", failed.en, next.en),
                    format!("{zh}：任务{}，{}重试{error}。", failed.zh, next.zh),
                )
            }
            Some(JobState::Running) if self.failures > 0 => {
                let failed = failed(self.failures);
                (
                    format!("{en}: its job {}, and is running again{error}.", failed.en),
                    format!("{zh}：任务{}，正在重新执行{error}。", failed.zh),
                )
            }
            Some(JobState::Running) => {
                (format!("{en}: its job is running."), format!("{zh}：任务正在执行。"))
            }
            Some(JobState::Ready) => {
                (format!("{en}: its job is due{error}."), format!("{zh}：任务已到期{error}。"))
            }
            Some(JobState::Delayed | JobState::Done) => {
                (format!("{en}: its job runs at {at}{error}."), format!("{zh}：任务将于 {at} 执行{error}。"))
            }
        };
        Localized { en, zh }
    }

    /// When the job is retried, by this process's clock.
    fn next_attempt(&self) -> Localized {
        let millis = self.at.map_or(0, |at| (at - Utc::now()).num_milliseconds());
        if millis <= 0 {
            return Localized::new("now", "立即");
        }
        let secs = millis.unsigned_abs().div_ceil(1_000);
        Localized::new(format!("in {secs} s"), format!("{secs} 秒后"))
    }
}

/// How often a job failed.
fn failed(times: i32) -> Localized {
    let en = if times == 1 { "failed once".to_owned() } else { format!("failed {times} times") };
    Localized::new(en, format!("已失败 {times} 次"))
}

impl OrderSnapshot {
    /// What is pending; empty if nothing is.
    pub fn pending_work(&self) -> Vec<PendingWork> {
        let mut pending = Vec::new();
        for payment in self.payments.iter().filter(|payment| payment.state == PaymentState::Debited) {
            let key = payment.id.to_string();
            let (amount, currency) = (Money::from_database(payment.amount), Currency::installed());
            let may_settle = self.facts.as_ref().is_some_and(|facts| {
                matches!(facts.status, OrderStatus::Unpaid | OrderStatus::Paying) && !facts.overdue
            });
            pending.push(PendingWork::of(
                PendingKind::Debit { amount, currency, may_settle },
                self.job_for(|job| job.key == key),
            ));
        }
        let of = |tags: &[MqTag]| self.job_for(|job| tags.iter().any(|tag| tag.wire() == job.tag));
        match &self.facts {
            None if self.claimed() => {
                // The undo of whichever step failed frees the seats.
                let undo = of(&[MqTag::OrderAddSeats, MqTag::OrderCalcMoney, MqTag::OrderAdd]);
                let (seats, labels) = (self.claimed_seats(), self.claimed_labels.clone());
                pending.push(PendingWork::of(PendingKind::Seats { seats, labels }, undo));
            }
            Some(facts) if facts.status == OrderStatus::Refunding => {
                let (amount, currency) = (Money::from_database(facts.amount), Currency::installed());
                pending
                    .push(PendingWork::of(PendingKind::Refund { amount, currency }, of(&[MqTag::PayBack])));
            }
            Some(facts) if matches!(facts.status, OrderStatus::Unpaid | OrderStatus::Paying) => {
                let closing = of(&[MqTag::OrderAdd, MqTag::OrderCancel])
                    .filter(|job| state_of(job) != Some(JobState::Cancelled));
                pending.extend(closing.map(|job| PendingWork::of(PendingKind::Close, Some(job))));
                let (seats, labels) = (facts.owns.clone(), facts.owned_labels.clone());
                let what =
                    PendingKind::Hold { until: facts.expires_at, seats, labels, overdue: facts.overdue };
                pending.push(PendingWork::of(what, of(&[MqTag::OrderUnpaid])));
            }
            _ => {}
        }
        let has_ended =
            |facts: &OrderFacts| matches!(facts.status, OrderStatus::Closed | OrderStatus::Refunded);
        let is_open = self.facts.as_ref().is_some_and(|facts| !has_ended(facts));
        match &self.trip_cancellation {
            TripCancellation::Job(job) if is_open => {
                pending.push(PendingWork::of(PendingKind::TripCancelled, Some(job)));
            }
            TripCancellation::WithoutJob if is_open => {
                pending.push(PendingWork::of(PendingKind::TripCancelled, None));
            }
            _ => {}
        }
        let named: Vec<Option<Uuid>> = pending.iter().map(|work| work.job_id).collect();
        let is_dead = |job: &&JobView| state_of(job) == Some(JobState::Dead);
        for job in self.jobs.iter().filter(is_dead).filter(|job| !named.contains(&Some(job.id))) {
            pending.push(PendingWork::of(PendingKind::DeadLetter, Some(job)));
        }
        pending
    }

    /// Whether seats were claimed and not freed.
    fn claimed(&self) -> bool {
        let claim = MqTag::OrderAddSeats.wire();
        self.barriers.iter().any(|b| b.step == claim && b.done_at.is_some() && b.undone_at.is_none())
    }

    /// The seats of a booking that has no order, from the payloads of its jobs.
    pub(super) fn claimed_seats(&self) -> Vec<i32> {
        let seats =
            |job: &JobView| serde_json::from_value(job.payload.pointer("/booking/seats")?.clone()).ok();
        self.jobs.iter().find_map(seats).unwrap_or_default()
    }

    /// The job that will do it: a live one, else a dead letter, else a cancelled one.
    fn job_for(&self, fits: impl Fn(&JobView) -> bool) -> Option<&JobView> {
        let rank = |job: &JobView| match state_of(job)? {
            JobState::Running => Some(0),
            JobState::Ready => Some(1),
            JobState::Retrying => Some(2),
            JobState::Delayed => Some(3),
            JobState::Dead => Some(4),
            JobState::Cancelled => Some(5),
            JobState::Done => None,
        };
        let ranked = self.jobs.iter().filter(|job| fits(job)).filter_map(|job| Some((rank(job)?, job)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, job)| job)
    }
}

/// The job's state; `None` for one that only another build knows.
fn state_of(job: &JobView) -> Option<JobState> {
    job.state.parse().ok()
}
