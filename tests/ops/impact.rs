//! What the preview of a job says, against what a run of the job then changes: for each tag, the states
//! in which its undo can meet an order.

use crate::harness::{Client, Process, World, until};
use farebox_jobs::MqTag;
use serde_json::json;
use sqlx::Row;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How an order comes to have the job.
#[derive(Clone, Copy, Debug)]
enum Setup {
    /// The step fails before its effect.
    Before,
    /// The step fails after its effect.
    After,
    /// The step fails before its effect, and then the order's deadline passes.
    BeforeLate,
    /// The step fails before or after its effect, and then the rider pays for the order.
    BeforePaid,
    AfterPaid,
    /// An unpaid order, before and after its deadline.
    Unpaid,
    Overdue,
    /// A claim whose order was not added, before and after its hold has lapsed.
    Held,
    Lapsed,
    /// A paid order on a cancelled trip, whose refund has begun.
    Refunding,
    /// A cancelled trip with an unpaid and a paid order.
    TripCancelled,
}

/// What the job changes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Effect {
    Nothing,
    Frees,
    PaysBack,
    FreesAndPaysBack,
    MarksPaid,
    /// This number of orders, each by what its state asks for.
    Ends(usize),
}

/// The states to try. A new tag does not compile until it has a row.
fn cases(tag: MqTag) -> &'static [(Setup, Effect)] {
    use Effect::{Ends, Frees, FreesAndPaysBack, MarksPaid, Nothing, PaysBack};
    use Setup::{
        After, AfterPaid, Before, BeforeLate, BeforePaid, Held, Lapsed, Overdue, Refunding, TripCancelled,
        Unpaid,
    };
    match tag {
        MqTag::OrderSeats | MqTag::PayCheck => &[(Before, Nothing), (After, Nothing)],
        MqTag::OrderAddSeats => &[(Before, Nothing), (After, Frees)],
        MqTag::OrderCalcMoney => &[(Before, Frees), (After, Frees)],
        MqTag::OrderAdd => &[(Before, Frees), (After, Frees), (AfterPaid, Nothing)],
        MqTag::OrderCancel => &[(Before, Frees), (BeforePaid, Nothing), (After, Nothing)],
        MqTag::PayMoney => &[(Before, Nothing), (After, PaysBack)],
        MqTag::Pay => &[(Before, MarksPaid), (BeforeLate, PaysBack), (After, Nothing)],
        MqTag::PayBack => &[(Before, Nothing), (After, Nothing), (Refunding, FreesAndPaysBack)],
        MqTag::OrderUnpaid => &[(Unpaid, Nothing), (Overdue, Frees), (Held, Nothing), (Lapsed, Frees)],
        MqTag::TripCancel => &[(TripCancelled, Ends(2))],
        // They undo nothing, and are about no order.
        MqTag::Timetable
        | MqTag::Bulk
        | MqTag::NetworkImport
        | MqTag::WebhookEvent
        | MqTag::WebhookDelivery => &[],
    }
}

/// What a preview announces, or what a run has changed.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    /// Trip and seat.
    freed: BTreeSet<(Uuid, i32)>,
    /// Rider and cents.
    paid_back: BTreeMap<Uuid, i64>,
    marked_paid: BTreeSet<Uuid>,
}

/// The rows that undos change.
struct State {
    owned: BTreeSet<(Uuid, i32)>,
    cents: BTreeMap<Uuid, i64>,
    orders: BTreeMap<Uuid, String>,
}

impl State {
    async fn read(world: &World) -> Self {
        let rows = async |sql: &'static str| sqlx::query(sql).fetch_all(&world.pool).await.unwrap();
        let owned = rows("select trip_id, seat from seat where order_id is not null").await;
        let cents = rows("select rider_id, (balance * 100)::bigint from wallet").await;
        let orders = rows("select id, status from orders").await;
        Self {
            owned: owned.iter().map(|row| (row.get(0), row.get(1))).collect(),
            cents: cents.iter().map(|row| (row.get(0), row.get(1))).collect(),
            orders: orders.iter().map(|row| (row.get(0), row.get(1))).collect(),
        }
    }

    /// What is different in `self`, which is later.
    fn since(&self, before: &Self) -> Changes {
        assert_eq!(self.owned.difference(&before.owned).next(), None, "an undo takes no seat");
        let moved = self.cents.iter().map(|(rider, cents)| (*rider, cents - before.cents[rider]));
        let paid = |order: &&Uuid| self.orders[*order] == "paid" && before.orders[*order] != "paid";
        Changes {
            freed: before.owned.difference(&self.owned).copied().collect(),
            paid_back: moved.filter(|(_, cents)| *cents != 0).collect(),
            marked_paid: self.orders.keys().filter(paid).copied().collect(),
        }
    }

    /// The orders that have been closed since, or whose refund has begun.
    fn ended_since(&self, before: &Self) -> usize {
        let open = |status: &str| matches!(status, "unpaid" | "paid");
        self.orders.iter().filter(|(order, status)| open(&before.orders[*order]) && !open(status)).count()
    }
}

/// A job, and what it is about.
struct Prepared {
    job: String,
    order: Uuid,
    trip: Uuid,
    rider: Uuid,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_undo_changes_what_its_preview_says() {
    let world = World::new().await;
    for tag in MqTag::ALL {
        let (mut announced, mut ended, mut jobs) = (Changes::default(), 0, Vec::new());
        for (setup, effect) in cases(tag) {
            let prepared = prepare(&world, tag, *setup).await;
            preview(&world, tag, *setup, *effect, &prepared, &mut announced).await;
            ended += if let Effect::Ends(orders) = effect { *orders } else { 0 };
            jobs.push(prepared.job);
        }
        let before = State::read(&world).await;
        {
            let _worker = work(&world, &[tag]);
            for job in &jobs {
                run(&world, job).await;
            }
        }
        let after = State::read(&world).await;
        if ended == 0 {
            assert_eq!(after.since(&before), announced, "{tag}");
        } else {
            assert_eq!(after.ended_since(&before), ended, "{tag}");
        }
        // Nothing that is due is left for the worker of the next tag.
        let _worker = world.worker();
        world.drained().await;
    }
    world.verify().await;
}

/// Checks that the preview says `effect`, and adds it to what is announced.
async fn preview(
    world: &World,
    tag: MqTag,
    setup: Setup,
    effect: Effect,
    prepared: &Prepared,
    announced: &mut Changes,
) {
    let answer = world.ops.get(&format!("/v1/ops/jobs/{}/impact", prepared.job)).await;
    let said = answer.expect(200);
    let seats: Vec<i32> = serde_json::from_value(said["seats"].clone()).unwrap();
    let cents = said["amount"].as_str().map(|amount| amount.replace('.', "").parse::<i64>().unwrap());
    let run = said["run"]["en"].as_str().unwrap();
    let marks_paid = run.starts_with("marks the order paid");
    let shown = match (seats.is_empty(), cents, marks_paid, run.strip_prefix("ends the ")) {
        (true, None, false, None) => Effect::Nothing,
        (false, None, false, None) => Effect::Frees,
        (true, Some(_), false, None) => Effect::PaysBack,
        (false, Some(_), false, None) => Effect::FreesAndPaysBack,
        (true, None, true, None) => Effect::MarksPaid,
        (true, None, false, Some(orders)) => Effect::Ends(orders.split(' ').next().unwrap().parse().unwrap()),
        _ => panic!("{tag} {setup:?}: {}", answer.text),
    };
    assert_eq!(shown, effect, "{tag} {setup:?}: {}", answer.text);
    announced.freed.extend(seats.into_iter().map(|seat| (prepared.trip, seat)));
    announced.paid_back.extend(cents.map(|cents| (prepared.rider, cents)));
    announced.marked_paid.extend(marks_paid.then_some(prepared.order));
}

/// A worker of these tags alone.
fn work(world: &World, tags: &[MqTag]) -> Process {
    let tags = tags.iter().map(|tag| tag.wire()).collect::<Vec<_>>().join(",");
    Process::worker(&world.db.url, &[], &["--tags", &tags])
}

/// Has an operator run the job now, and waits until it has run. It may wait for a later time again.
async fn run(world: &World, job: &str) {
    let ended = "select not exists(select from queue.job where id = $1::uuid
                     and (lease_token is not null or run_at <= now()))";
    let ended =
        || async { sqlx::query_scalar::<_, bool>(ended).bind(job).fetch_one(&world.pool).await.unwrap() };
    if ended().await {
        // One that is not due yet. One that is due has its worker.
        world.ops.post(&format!("/v1/ops/jobs/{job}/retry"), &json!({"reason": "now"})).await;
    }
    until("the job has run", ended).await;
}

/// A rider's order, on a trip of its own, in the state that the case asks for.
async fn prepare(world: &World, tag: MqTag, setup: Setup) -> Prepared {
    let trip = world.trip(6).await;
    let rider = world.rider("100.00").await;
    let order = match setup {
        Setup::Before | Setup::BeforeLate | Setup::BeforePaid => fail(&rider, tag, "before", &trip).await,
        Setup::After | Setup::AfterPaid => fail(&rider, tag, "after", &trip).await,
        Setup::Held | Setup::Lapsed => fail(&rider, MqTag::OrderAddSeats, "after", &trip).await,
        Setup::Unpaid | Setup::Overdue => rider.booked(&trip, &["1", "2"]).await,
        Setup::Refunding | Setup::TripCancelled => {
            let order = rider.booked(&trip, &["1", "2"]).await;
            rider.pay(&order).await.expect(200);
            rider.booked(&trip, &["3"]).await;
            world
                .ops
                .post(&format!("/v1/ops/trips/{trip}/cancel"), &json!({"reason": "snow"}))
                .await
                .expect(202);
            order
        }
    };
    match setup {
        Setup::BeforeLate | Setup::Overdue | Setup::Lapsed => world.pass_deadline(&order).await,
        Setup::BeforePaid | Setup::AfterPaid => {
            rider.pay(&order).await.expect(200);
        }
        Setup::Refunding => {
            let _worker = work(world, &[MqTag::TripCancel]);
            until("the refund has begun", || async { world.order(&order).await["status"] == "refunding" })
                .await;
        }
        _ => {}
    }
    let about = if tag == MqTag::TripCancel { &trip } else { &order };
    let job = sqlx::query_scalar(
        "select id::text from queue.job where tag = $1 and payload::text like '%' || $2 || '%'",
    )
    .bind(tag.wire())
    .bind(about)
    .fetch_one(&world.pool);
    let job = job.await.unwrap_or_else(|error| panic!("{tag} {setup:?}: {error}"));
    let id = |text: &str| text.parse().unwrap();
    Prepared { job, order: id(&order), trip: id(&trip), rider: rider.id.0 }
}

/// Makes the request whose step fails; the order's id.
async fn fail(rider: &Client, tag: MqTag, point: &str, trip: &str) -> String {
    let failing = rider.fault(&format!("{tag}.{point}=error"));
    if MqTag::BOOKING.contains(&tag) {
        let failed = failing.book(trip, &["1", "2"]).await;
        return failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned();
    }
    let order = rider.booked(trip, &["1", "2"]).await;
    let failed = match tag {
        MqTag::OrderCancel => failing.cancel(&order).await,
        MqTag::PayBack => {
            rider.pay(&order).await.expect(200);
            failing.refund(&order).await
        }
        _ => failing.pay(&order).await,
    };
    failed.problem(500, "003099");
    order
}
