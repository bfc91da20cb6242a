//! A change of what riders have, and workers that are killed while they apply it.

use super::{
    import::{farebox, preview, texts, trip_of, world},
    sold::{apply_only, finished, label, labels, other_bus, selling},
};
use crate::harness::{Client, Process, World, count, until};
use sqlx::{PgPool, Postgres, Transaction};

/// A lease that another worker need not wait for long.
const SHORT_LEASE: (&str, &str) = ("FAREBOX__WORKER__LEASE_MS", "300");

/// A transaction that holds the row which the statement finds.
async fn hold(pool: &PgPool, sql: &'static str, id: &str) -> Transaction<'static, Postgres> {
    let mut tx = pool.begin().await.unwrap();
    let held = sqlx::query(sql).bind(id).execute(&mut *tx).await.unwrap();
    assert_eq!(held.rows_affected(), 1, "{sql}");
    tx
}

/// How many statements with this text wait for a lock.
async fn stuck(pool: &PgPool, text: &str) -> bool {
    let sql = "select count(*) from pg_stat_activity where datname = current_database()
               and wait_event_type = 'Lock' and query like '%' || $1 || '%'";
    sqlx::query_scalar::<_, i64>(sql).bind(text).fetch_one(pool).await.unwrap() > 0
}

/// The orders of the test.
struct Orders {
    /// Of `d`, paid, with a place.
    paid: Vec<String>,
    /// Of `d`, unpaid, with a place.
    held: String,
    /// Of `d`, paid, with 12C.
    paid_lost: String,
    /// Of `d`, unpaid, with 12D.
    held_lost: String,
    /// Of `e`, paid.
    ended: Vec<String>,
    /// Of `e`, unpaid.
    ended_held: String,
}

/// Sells 40 seats of `d` and holds 3, and sells 12 of `e` and holds 1.
async fn sell(world: &World, riders: &[Client]) -> Orders {
    let (d, e) = (trip_of(&world.pool, "d").await, trip_of(&world.pool, "e").await);
    let mut paid = Vec::new();
    let mut ended = Vec::new();
    for n in 0..12_u16 {
        let first = (n % 9) * 4 + 1;
        let (trip, orders) = if n < 9 { (&d, &mut paid) } else { (&e, &mut ended) };
        let seats: Vec<String> = (first..first + 4).map(label).collect();
        let rider = &riders[usize::from(n % 2)];
        let order = rider.booked(trip, &seats.iter().map(String::as_str).collect::<Vec<_>>()).await;
        rider.pay(&order).await.expect(200);
        orders.push(order);
    }
    let single = riders[0].booked(&d, &["11C"]).await;
    riders[0].pay(&single).await.expect(200);
    paid.push(single);
    let paid_lost = riders[1].booked(&d, &["11A", "11B", "12C"]).await;
    riders[1].pay(&paid_lost).await.expect(200);
    let held = riders[2].booked(&d, &["11D"]).await;
    let held_lost = riders[2].booked(&d, &["12A", "12D"]).await;
    let ended_held = riders[2].booked(&e, &["5D"]).await;
    Orders { paid, held, paid_lost, held_lost, ended, ended_held }
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_seats_move_and_twelve_are_refunded_as_previewed_though_workers_are_killed() {
    let world = selling("kills", world().await).await;
    let riders = [world.rider("100.00").await, world.rider("100.00").await, world.rider("100.00").await];
    let orders = sell(&world, &riders).await;
    let before = labels(&world.pool).await;
    let money = [riders[0].balance().await, riders[1].balance().await];
    assert_eq!(money, ["62.50", "59.50"]);

    let change = other_bus("kills-other");
    let (shown, digest) = preview(&world.db, &change);
    for text in [
        "other seats, of n; 40 seats sold, 3 held, 3 riders, 60.00 paid".to_owned(),
        "ends; 12 seats sold, 1 held, 3 riders, 18.00 paid".to_owned(),
        format!("no place for 12C: order {} of rider1, 4.50 refunded", orders.paid_lost),
        format!("no place for 12D: order {} of rider2, closed", orders.held_lost),
        "in all 52 seats sold, 4 held, 78.00 paid".to_owned(),
        "11 orders move, 6 end; 22.50 is refunded".to_owned(),
    ] {
        assert!(shown.contains(&text), "no {text:?} in {shown}");
    }
    // Somebody has an order of the trip that ends, and the row of the other trip.
    let order =
        hold(&world.pool, "select from orders where id = $1::uuid for update", &orders.ended[1]).await;
    apply_only(&world, &change, &digest).succeeded();
    let d = trip_of(&world.pool, "d").await;
    let row = "select from network_import_trip where trip_id = $1::uuid for update";
    let row = hold(&world.pool, row, &d).await;
    kill_three_times(&world, &orders, &before, row).await;
    order.rollback().await.unwrap();

    let listed = farebox(&world.db, &["network", "imports"]).succeeded().out;
    let running = "running, 1 of 2 trips with riders done: 11 orders moved, 1 refunded, 1 closed";
    assert!(listed.contains(running), "{listed}");
    let _workers = [world.worker(), world.worker()];
    finished(&world).await;
    world.drained().await;
    as_previewed(&world, &orders, &before).await;
    // 1.50 a seat: the first rider has four seats of `e` back, the second eight, and three of `d`.
    assert_eq!(riders[0].balance().await, "68.50");
    assert_eq!(riders[1].balance().await, "76.00");
    assert_eq!(riders[2].balance().await, "100.00");
    world.verify().await;
}

/// Kills a worker between the end of the orders without a place and the move, one in the transaction of the
/// move, and one when one trip is done.
async fn kill_three_times(
    world: &World,
    orders: &Orders,
    before: &[String],
    row: Transaction<'static, Postgres>,
) {
    let has_ended = async |order: &str, status: &str| world.order(order).await["status"] == status;
    let mut first = Process::worker(&world.db.url, &[SHORT_LEASE], &[]);
    // A refund that is quick has ended before the move, which then waits within its transaction.
    until("the orders without a place have ended, and the job waits", || async {
        has_ended(&orders.paid_lost, "refunded").await
            && has_ended(&orders.held_lost, "closed").await
            && (stuck(&world.pool, "tries = tries + 1").await || stuck(&world.pool, "free_refund").await)
    })
    .await;
    first.kill();
    let mut second = Process::worker(&world.db.url, &[SHORT_LEASE], &[]);
    until("the seats are moved, in a transaction", || async { stuck(&world.pool, "free_refund").await })
        .await;
    second.kill();
    let stay = |line: &&String| {
        let lost = [&orders.paid_lost, &orders.held_lost];
        !lost.iter().any(|order| line.starts_with(order.as_str()))
    };
    let left: Vec<String> = before.iter().filter(stay).cloned().collect();
    assert_eq!(labels(&world.pool).await, left);
    let numbers = "select count(*) from orders where id = $1::uuid and seats = array[44]";
    let old: i64 = sqlx::query_scalar(numbers).bind(&orders.held).fetch_one(&world.pool).await.unwrap();
    assert_eq!(old, 1, "nothing is moved yet");
    row.rollback().await.unwrap();
    let mut third = Process::worker(&world.db.url, &[SHORT_LEASE], &[]);
    let done = "select count(*) from network_import_trip where done_at is not null";
    until("a trip is done, and the other's orders wait", || async {
        count(&world.pool, done).await == 1 && stuck(&world.pool, "trip_cancellation_order x").await
    })
    .await;
    third.kill();
}

/// Every order, seat and cent is as previewed.
async fn as_previewed(world: &World, orders: &Orders, before: &[String]) {
    let stays = |line: &&String| {
        orders.paid.iter().chain([&orders.held]).any(|order| line.starts_with(order.as_str()))
    };
    let stay: Vec<String> = before.iter().filter(stays).cloned().collect();
    assert_eq!(stay.len(), 11);
    assert_eq!(labels(&world.pool).await, stay, "labels are kept");
    assert_eq!(world.order(&orders.held).await["seats"], serde_json::json!([7]));
    for order in &orders.paid {
        assert_eq!(world.order(order).await["status"], "paid");
        assert_eq!(world.ledger(order).await, ["payment"]);
    }
    for order in orders.ended.iter().chain([&orders.paid_lost]) {
        assert_eq!(world.order(order).await["status"], "refunded");
        assert_eq!(world.ledger(order).await, ["payment", "refund"]);
    }
    for order in [&orders.held_lost, &orders.ended_held] {
        assert_eq!(world.order(order).await["status"], "closed");
    }
    assert_eq!(world.order(&orders.held).await["status"], "unpaid");
    let rows = "select count(*) from order_change";
    assert_eq!(count(&world.pool, rows).await, 17, "each order has one row");
    let free = "select count(*) from orders where free_refund";
    assert_eq!(count(&world.pool, free).await, 11);
    let items = "select concat_ws(' ', kind, sold, held, riders, money, moved, refunded, closed)
                 from network_import_trip order by kind";
    assert_eq!(texts(&world.pool, items).await, ["changes 40 3 3 60.00 11 1 1", "ends 12 1 3 18.00 0 3 1"]);
    let back = "select sum(amount)::text from ledger_entry where kind = 'refund'";
    assert_eq!(texts(&world.pool, back).await, ["22.50"]);
}
