//! Refunding a paid order by its rules: once, whatever comes between.

use super::{act, because, farebox, history, logged, possible, row};
use crate::harness::{Client, Process, World, command, count, until};
use futures_util::future::join_all;
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// A paid order of two seats, 8.00, of which its rules give this many percent back.
pub async fn paid(world: &World, rider: &Client, trip: &str, seats: &[&str], percent: i16) -> String {
    let order = rider.booked(trip, seats).await;
    rider.pay(&order).await.expect(200);
    let sql = "update orders set refund_percent = $2 where id = $1::uuid";
    sqlx::query(sql).bind(&order).bind(percent).execute(&world.pool).await.unwrap();
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_is_refunded_by_its_rules_and_its_worker_ends_it() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = paid(&world, &rider, &trip, &["1", "2"], 80).await;
    let unpaid = rider.booked(&trip, &["3"]).await;
    let acts = possible(&world.ops, &order).await;
    let terms = &acts["refund"];
    assert_eq!((&terms["amount"], &terms["fee"]), (&json!("8.00"), &json!("1.60")));
    assert_eq!((&terms["is_late"], &terms["is_large"]), (&json!(false), &json!(false)));
    assert!(possible(&world.ops, &unpaid).await.get("refund").is_none());

    act(&world.ops, &order, "refund", &json!({})).await.problem(422, "003073");
    act(&world.ops, &order, "refund", &because(" ")).await.problem(422, "003074");
    act(&world.ops, &Uuid::now_v7().to_string(), "refund", &because("none")).await.problem(404, "003070");
    act(&world.ops, &unpaid, "refund", &because("unpaid")).await.problem(409, "006002");
    let stale = json!({ "reason": "no heating", "digest": "00" });
    act(&world.ops, &order, "refund", &stale).await.problem(409, "006071");
    assert_eq!(world.order(&order).await["status"], "paid", "what is refused changes nothing");

    // An exception that is not needed is none.
    let keyed = world.ops.key("give it back");
    let body = json!({ "reason": "no heating", "late": true, "digest": acts["digest"] });
    let begun = act(&keyed, &order, "refund", &body).await;
    assert_eq!((&begun.expect(202)["status"], begun.body.get("approval")), (&json!("refunding"), None));
    assert_eq!(act(&keyed, &order, "refund", &body).await.text, begun.text, "a repeat is answered the same");
    act(&world.ops, &order, "refund", &because("again")).await.problem(409, "006002");
    rider.refund(&order).await.problem(409, "006002");

    let _worker = world.worker();
    until("the order is refunded", || async { world.order(&order).await["status"] == "refunded" }).await;
    assert_eq!(rider.balance().await, "18.40");
    assert_eq!(world.ledger(&order).await, ["payment", "refund", "refund_fee"]);
    assert_eq!(history(&world, &order).await, ["refunded by an operator", "money back, seats free"]);
    assert_eq!(logged(&world, &order).await, [row("order_refund", "api", "no heating")]);
    assert_eq!(world.free_seats(&trip).await, 3);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_refunds_an_own_order() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let till = Client::operator(&world, "till").await;
    let top_up = json!({ "amount": "10.00", "reference": "salary" });
    till.post(&format!("/v1/ops/wallets/{}/top-ups", world.ops.id), &top_up).await.expect(201);
    let order = paid(&world, &world.ops, &trip, &["1"], 100).await;
    act(&world.ops, &order, "refund", &because("mine")).await.problem(403, "006061");
    assert_eq!(world.order(&order).await["status"], "paid");
    act(&till, &order, "refund", &because("a colleague's")).await.expect(202);
    let _worker = world.worker();
    until("the money is back", || async { world.ops.balance().await == "10.00" }).await;
    world.drained().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_refunds_at_once_one_begins() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("80.00").await;
    let till = Client::operator(&world, "till").await;
    let seats: Vec<String> = (1..=6).map(|seat| seat.to_string()).collect();
    let reason = because("the bus broke down");
    for seat in &seats {
        let order = paid(&world, &rider, &trip, &[seat], 100).await;
        let (first, second, own) = tokio::join!(
            join_all((0..2).map(|_| act(&world.ops, &order, "refund", &reason))),
            act(&till, &order, "refund", &reason),
            rider.refund(&order)
        );
        let answers = first.into_iter().chain([second, own]);
        let all: Vec<_> = answers.map(|answer| (answer.status.as_u16(), answer.text)).collect();
        let won = all.iter().filter(|(status, _)| *status < 300).count();
        assert_eq!(won, 1, "{all:?}");
        assert!(all.iter().all(|(status, _)| *status < 300 || *status == 409), "{all:?}");
    }
    let _worker = world.worker();
    world.pass_undo_delay().await;
    world.drained().await;
    assert_eq!(rider.balance().await, "80.00");
    let once = "select count(*) from ledger_entry where kind = 'refund'";
    assert_eq!(count(&world.pool, once).await, 6, "one entry each");
    assert_eq!(world.free_seats(&trip).await, 20);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_between_two_steps_is_followed_by_another() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    // Before the money is back, and after it, before the seats are free.
    for (seat, held, waiting) in [
        (
            "1",
            "select from wallet where rider_id = (select rider_id from orders where id = $1::uuid) for update",
            "settled",
        ),
        ("2", "select from orders where id = $1::uuid for update", "refunded"),
    ] {
        let order = paid(&world, &rider, &trip, &[seat], 80).await;
        act(&world.ops, &order, "refund", &because("a test of patience")).await.expect(202);
        let mut holder = world.pool.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(held)).bind(&order).execute(&mut *holder).await.unwrap();
        let mut dying = Process::worker(&world.db.url, &[("FAREBOX__WORKER__LEASE_MS", "300")], &[]);
        until("the worker waits for the lock", || async { world.waiting_for_locks().await > 0 }).await;
        dying.kill();
        let state =
            "select p.state from payment p join orders o on o.payment_id = p.id where o.id = $1::uuid";
        let state: String = sqlx::query_scalar(state).bind(&order).fetch_one(&world.pool).await.unwrap();
        assert_eq!(state, waiting);
        assert_eq!(world.order(&order).await["status"], "refunding");
        holder.rollback().await.unwrap();
        let mut next = world.worker();
        until("the order is refunded", || async { world.order(&order).await["status"] == "refunded" }).await;
        world.drained().await;
        next.kill();
        assert_eq!(world.ledger(&order).await, ["payment", "refund", "refund_fee"]);
    }
    assert_eq!(rider.balance().await, "18.40");
    assert_eq!(world.free_seats(&trip).await, 4);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_refunds_up_to_the_amount_that_needs_two() {
    let world = World::new().await;
    let trip = world.trip_in(chrono::Duration::minutes(8), 8).await;
    let rider = world.rider("20.00").await;
    let order = paid(&world, &rider, &trip, &["1", "2"], 80).await;
    let (done, said) = farebox(&world, &["orders", "show", &order]);
    assert!(done && said.contains("fee 1.60") && said.contains("--late"), "{said}");
    let refund = ["orders", "refund", &order, "--reason", "by phone"];
    let (done, said) = farebox(&world, &refund);
    assert!(!done && said.contains("--late makes an exception"), "{said}");
    let (done, said) = farebox(&world, &[&refund[..], &["--late", "--without-fee"]].concat());
    assert!(done && said.contains("the refund has begun"), "{said}");
    assert_eq!(logged(&world, &order).await, [row("order_refund", "cli", "by phone")]);
    let large = paid(&world, &rider, &trip, &["3"], 100).await;
    let bound = [("FAREBOX__WALLETS__APPROVAL_ABOVE", "3.00")];
    let program = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &bound)
        .args(["orders", "refund", &large, "--reason", "by phone", "--late"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&program.stderr).into_owned();
    assert!(
        !program.status.success() && said.contains("a second operator approves in the console"),
        "{said}"
    );
    assert_eq!(world.order(&large).await["status"], "paid");
    let _worker = world.worker();
    until("the money is back", || async { rider.balance().await == "16.00" }).await;
    world.drained().await;
    assert_eq!(world.ledger(&order).await, ["payment", "refund"]);
    world.verify().await;
}
