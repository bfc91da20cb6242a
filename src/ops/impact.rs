//! What running or cancelling a job would change, before an operator acts: which seats, how much
//! money, and whose. The rules stand beside the undos (`booking::impact`, `payment::impact`). The
//! preview is true for the moment in which it is read; the undo itself checks again.

mod comes_back;
mod subject;
mod webhooks;

pub(super) use comes_back::comes_back;
pub use subject::{UndoSubject, undo_subject};

use crate::{
    booking,
    domain::{Currency, Effects, Localized, Money, TripId, UndoFacts, list_seats},
    orders::{flows::describe_undo, jobs::order_of},
    payment,
    saga::recurring::PUT_BACK_WITHIN_MINUTES,
    storage,
    trips::cancel,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{MqTag, queue::admin::JobView};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// What running or cancelling a job would change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Impact {
    /// The job.
    pub job_id: Uuid,
    /// Its tag.
    pub tag: String,
    /// What it does.
    pub undoes: Localized,
    /// What a run now would change.
    pub run: Localized,
    /// What stays undone if it is cancelled.
    pub cancel: Localized,
    /// The order it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// The order's state; none if it was never added.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::domain::OrderStatus>")]
    pub order_status: Option<String>,
    /// The order's rider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider_id: Option<Uuid>,
    /// The rider's user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider: Option<String>,
    /// The trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip_id: Option<Uuid>,
    /// When it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub departs_at: Option<DateTime<Utc>>,
    /// The numbers of the seats a run would free.
    pub seats: Vec<i32>,
    /// Their labels; absent where the numbers are the labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The money a run would give back to the rider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The currency of the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// What a job is about, and what the tables have on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) order_id: Option<Uuid>,
    pub(super) rider_id: Option<Uuid>,
    pub(super) rider: Option<String>,
    pub(super) trip_id: Option<Uuid>,
    departs_at: Option<DateTime<Utc>>,
    /// What decides the undo's effects.
    pub(super) undo: UndoFacts,
}

/// What a run of this job, or cancelling it, would change.
///
/// # Errors
/// The database's.
pub async fn impact(pool: &PgPool, job: &JobView) -> Result<Impact, sqlx::Error> {
    let mut facts = facts(pool, std::slice::from_ref(job)).await?.pop().unwrap_or_default();
    let effects = effects(&job.tag, &facts.undo);
    let tag = job.tag.parse();
    let (run, cancel) = match (tag, facts.trip_id) {
        (Ok(MqTag::TripCancel), Some(trip)) => describe_trip_cancel(pool, TripId(trip)).await?,
        _ => (describe_run(&job.tag, &effects), describe_cancel(&job.tag, &effects)),
    };
    Ok(Impact {
        job_id: job.id,
        tag: job.tag.clone(),
        undoes: describe_job(&job.tag),
        run,
        cancel,
        order_id: facts.order_id,
        order_status: facts.undo.order_status.map(|status| status.as_str().to_owned()),
        rider_id: facts.rider_id,
        rider: facts.rider.take(),
        trip_id: facts.trip_id,
        departs_at: facts.departs_at,
        seats: effects.seats,
        labels: effects.labels,
        amount: effects.amount,
        currency: effects.amount.map(|_| Currency::installed()),
    })
}

/// A run of the job that ends a cancelled trip's orders, and cancelling it.
async fn describe_trip_cancel(pool: &PgPool, trip: TripId) -> Result<(Localized, Localized), sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let left = cancel::progress(&mut conn, trip).await?.map_or(0, |progress| progress.left);
    let run = Localized::new(
        format!("ends the {left} orders that still own seats: unpaid ones are closed, paid ones refunded"),
        format!("结束仍占座位的 {left} 个订单：未支付的关闭，已支付的退款"),
    );
    let cancel = Localized::new(
        format!(
            "{left} orders of the cancelled trip keep their seats and their money is not given back until a worker \
             puts the job back, within {PUT_BACK_WITHIN_MINUTES} min"
        ),
        format!(
            "已取消场次的 {left} 个订单仍占座位，款项不退，直到工作进程在 {PUT_BACK_WITHIN_MINUTES} 分钟内重新放回任务"
        ),
    );
    Ok((run, cancel))
}

/// Whether names of riders, labels of seats and departures are read: for what is shown, not for what is
/// counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Read,
    LeftOut,
}

/// The facts of these jobs, in their order, in one statement.
pub(super) async fn facts(db: impl PgExecutor<'_>, jobs: &[JobView]) -> Result<Vec<Facts>, sqlx::Error> {
    facts_of(db, &jobs.iter().map(|job| &job.payload).collect::<Vec<_>>(), Names::Read).await
}

/// The facts of the jobs with these payloads, in their order, in one statement.
pub(super) async fn facts_of(
    db: impl PgExecutor<'_>,
    payloads: &[&Value],
    names: Names,
) -> Result<Vec<Facts>, sqlx::Error> {
    let id = |payload: &Value, paths: &[&str]| -> Option<Uuid> {
        paths.iter().find_map(|path| payload.pointer(path)?.as_str()?.parse().ok())
    };
    let all = || payloads.iter().copied();
    let orders: Vec<Option<Uuid>> = all().map(|job| order_of(job).map(|order| order.0)).collect();
    let riders: Vec<_> = all().map(|job| id(job, &["/booking/rider_id", "/paying/rider_id"])).collect();
    let trips: Vec<_> = all().map(|job| id(job, &["/booking/trip_id", "/trip_id"])).collect();
    let payments: Vec<_> = all().map(|job| id(job, &["/paying/payment_id"])).collect();
    let seats: Vec<String> = all().map(seats_of).collect();
    let rows = sqlx::query!(
        r#"select j.nr as "nr!", o.status as "status?", a.rider_id as "rider_id?",
                  -- A claim whose order was not added lapses with the hold on its seats.
                  coalesce(o.expires_at, (select max(s.held_until) from seat s
                                          where s.trip_id = a.trip_id and s.seat = any(j.seats::int[])
                                            and s.order_id = j.order_id)) <= now() as overdue,
                  r.user_name as "rider?", a.trip_id as "trip_id?", t.departs_at as "departs_at?",
                  w.owned as "owned!",
                  case when t.model_id is not null then seat_labels(t.id, w.owned) end as labels,
                  p.state as "payment?", p.amount as "amount?"
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) with ordinality
                    as j (order_id, rider_id, trip_id, payment_id, seats, nr)
           left join orders o on o.id = j.order_id
           cross join lateral (select coalesce(o.rider_id, j.rider_id) as rider_id,
                                      coalesce(o.trip_id, j.trip_id) as trip_id) a
           left join rider r on r.id = case when $6 then a.rider_id end
           left join trip t on t.id = case when $6 then a.trip_id end
           cross join lateral (
               select array(select s.seat from seat s
                            where s.trip_id = a.trip_id and s.seat = any(coalesce(o.seats, j.seats::int[]))
                              and s.order_id = j.order_id order by s.seat) as owned
           ) w
           left join payment p on p.id = coalesce(j.payment_id, o.payment_id)
           order by j.nr"#,
        &orders as &[Option<Uuid>],
        &riders as &[Option<Uuid>],
        &trips as &[Option<Uuid>],
        &payments as &[Option<Uuid>],
        &seats,
        names == Names::Read,
    )
    .fetch_all(db)
    .await?;
    let facts = rows.into_iter().zip(orders).map(|(row, order_id)| {
        Ok(Facts {
            order_id,
            rider_id: row.rider_id,
            rider: row.rider,
            trip_id: row.trip_id,
            departs_at: row.departs_at,
            undo: UndoFacts {
                order_status: row.status.as_deref().map(storage::decode).transpose()?,
                overdue: row.overdue.unwrap_or(false),
                owned_seats: row.owned,
                owned_labels: row.labels.unwrap_or_default(),
                payment: row.payment.as_deref().map(storage::decode).transpose()?,
                amount: row.amount.map(Money::from_database),
            },
        })
    });
    facts.collect()
}

/// The payload's seats as a PostgreSQL array literal.
fn seats_of(payload: &Value) -> String {
    let seats = payload.pointer("/booking/seats").and_then(Value::as_array);
    let numbers = seats.into_iter().flatten().filter_map(|seat| i32::try_from(seat.as_i64()?).ok());
    format!("{{{}}}", numbers.map(|seat| seat.to_string()).collect::<Vec<_>>().join(","))
}

/// What a run of this tag's job would change. Each undo has its rule beside it.
pub(super) fn effects(tag: &str, facts: &UndoFacts) -> Effects {
    match tag.parse() {
        Ok(MqTag::OrderAddSeats | MqTag::OrderCalcMoney) => booking::impact::of_claim(facts),
        Ok(MqTag::OrderAdd) => booking::impact::of_add_order(facts),
        Ok(MqTag::OrderCancel) => booking::impact::of_cancel(facts),
        Ok(MqTag::OrderUnpaid) => booking::impact::of_expiry(facts),
        Ok(MqTag::PayMoney) => payment::impact::of_debit(facts),
        Ok(MqTag::Pay) => payment::impact::of_mark_paid(facts),
        Ok(MqTag::PayBack) => payment::impact::of_refund(facts),
        Ok(
            MqTag::OrderSeats
            | MqTag::PayCheck
            | MqTag::Timetable
            | MqTag::TripCancel
            | MqTag::Bulk
            | MqTag::NetworkImport
            | MqTag::WebhookEvent
            | MqTag::WebhookDelivery,
        )
        | Err(_) => Effects::default(),
    }
}

/// What the job of this tag does.
pub fn describe_job(tag: &str) -> Localized {
    match tag.parse() {
        Ok(tag) => describe_undo(tag),
        Err(_) => Localized::new("a tag this build does not know", "未知的标签"),
    }
}

fn describe_run(tag: &str, effects: &Effects) -> Localized {
    if let Some((run, _)) = webhooks::run_and_cancel(tag) {
        return run;
    }
    if tag == MqTag::Timetable.wire() {
        return Localized::new(
            "makes the trips of the coming days that are missing",
            "生成未来数日缺少的场次",
        );
    }
    if tag == MqTag::NetworkImport.wire() {
        return Localized::new(
            "goes through the import's trips that are left: moves seats, and ends orders without a place",
            "处理导入中剩余的场次：移动座位，结束没有座位的订单",
        );
    }
    let (seats, currency) = (list_seats(&effects.seats, &effects.labels), Currency::installed());
    match (&effects.amount, effects.seats.is_empty(), effects.marks_paid) {
        (_, _, true) => Localized::new(
            "marks the order paid: its money is debited already, and it is still in time",
            "标记订单已支付：款项已扣，且仍在时限内",
        ),
        (Some(amount), true, _) => Localized::new(
            format!("gives {amount} {currency} back to the rider"),
            format!("向乘客退回 {amount} {currency}"),
        ),
        (Some(amount), false, _) => Localized::new(
            format!("gives {amount} {currency} back to the rider and frees seats {seats}"),
            format!("向乘客退回 {amount} {currency}，并释放座位 {seats}"),
        ),
        (None, false, _) => Localized::new(format!("frees seats {seats}"), format!("释放座位 {seats}")),
        (None, true, _) => Localized::new("moves no seat and no money", "不涉及座位和款项"),
    }
}

fn describe_cancel(tag: &str, effects: &Effects) -> Localized {
    if let Some((_, cancel)) = webhooks::run_and_cancel(tag) {
        return cancel;
    }
    let (seats, currency) = (list_seats(&effects.seats, &effects.labels), Currency::installed());
    let timer = tag == MqTag::OrderUnpaid.wire();
    if tag == MqTag::Timetable.wire() {
        return Localized::new(
            format!(
                "trips of the coming days are made no more until a worker puts the job back, within \
                 {PUT_BACK_WITHIN_MINUTES} min; to stop it for longer, pause its tag"
            ),
            format!(
                "不再生成未来数日的场次，直到工作进程在 {PUT_BACK_WITHIN_MINUTES} 分钟内重新放回任务；如需长时间停止，请暂停其标签"
            ),
        );
    }
    if tag == MqTag::Bulk.wire() {
        return Localized::new(
            "the operation is stopped where it is; what it has done stays done",
            "批量操作就此停止；已完成的部分保留",
        );
    }
    if tag == MqTag::NetworkImport.wire() {
        return Localized::new(
            format!(
                "riders of the import's trips that are left keep their old seats until a worker puts the job back, \
                 within {PUT_BACK_WITHIN_MINUTES} min"
            ),
            format!(
                "导入中剩余场次的乘客保留原座位，直到工作进程在 {PUT_BACK_WITHIN_MINUTES} 分钟内重新放回任务"
            ),
        );
    }
    match (&effects.amount, effects.seats.is_empty(), effects.marks_paid) {
        (_, _, true) => Localized::new(
            "the rider's money stays debited and the order stays unpaid",
            "款项已扣，订单仍为未支付",
        ),
        (Some(amount), true, _) => Localized::new(
            format!("the rider does not get {amount} {currency} back"),
            format!("乘客的 {amount} {currency} 不会退回"),
        ),
        (Some(amount), false, _) => Localized::new(
            format!("the rider does not get {amount} {currency} back, and seats {seats} stay taken"),
            format!("乘客的 {amount} {currency} 不会退回，座位 {seats} 仍被占用"),
        ),
        (None, _, _) if timer => Localized::new(
            "nothing closes the order at its deadline; its seats stay held until somebody wants them",
            "订单到期不会自动关闭；座位保留到有人预订为止",
        ),
        (None, false, _) => Localized::new(
            format!("seats {seats} stay taken though nobody has an order for them"),
            format!("座位 {seats} 仍被占用，但没有对应的有效订单"),
        ),
        (None, true, _) => Localized::new("no seat and no money stays behind", "不会遗留座位或款项"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OrderStatus, PaymentState};

    fn facts(order_status: Option<OrderStatus>, payment: Option<PaymentState>, overdue: bool) -> UndoFacts {
        let amount = "8.00".parse().ok();
        UndoFacts {
            order_status,
            payment,
            overdue,
            owned_seats: vec![3, 4],
            owned_labels: Vec::new(),
            amount,
        }
    }

    #[test]
    fn effects_follow_the_rules_of_the_undos() {
        let of = |tag: MqTag, facts: &UndoFacts| {
            let effects = effects(tag.wire(), facts);
            (!effects.seats.is_empty(), effects.amount.is_some(), effects.marks_paid)
        };
        let never_added = facts(None, None, false);
        let unpaid = facts(Some(OrderStatus::Unpaid), None, false);
        let overdue = facts(Some(OrderStatus::Unpaid), None, true);
        let paying = facts(Some(OrderStatus::Unpaid), Some(PaymentState::Debited), false);
        let too_late = facts(Some(OrderStatus::Closed), Some(PaymentState::Debited), true);
        let paid = facts(Some(OrderStatus::Paid), Some(PaymentState::Settled), false);
        let refunding = facts(Some(OrderStatus::Refunding), Some(PaymentState::Settled), false);
        assert_eq!(of(MqTag::OrderAddSeats, &never_added), (true, false, false));
        assert_eq!(of(MqTag::OrderAddSeats, &unpaid), (false, false, false), "the order was added");
        assert_eq!(of(MqTag::OrderAdd, &unpaid), (true, false, false));
        assert_eq!(of(MqTag::OrderAdd, &paid), (false, false, false), "refused");
        assert_eq!(of(MqTag::OrderUnpaid, &unpaid), (false, false, false), "early");
        assert_eq!(of(MqTag::OrderUnpaid, &overdue), (true, false, false));
        assert_eq!(of(MqTag::PayMoney, &paying), (false, true, false));
        assert_eq!(of(MqTag::PayMoney, &paid), (false, false, false), "it counts");
        assert_eq!(of(MqTag::Pay, &paying), (false, false, true));
        assert_eq!(of(MqTag::Pay, &too_late), (false, true, false));
        assert_eq!(of(MqTag::PayBack, &refunding), (true, true, false));
        assert_eq!(of(MqTag::PayBack, &paid), (false, false, false));
    }
}
