//! Paying and refunding: money is neither made nor lost.

use crate::harness::{Answer, World, count};
use std::collections::HashMap;

fn tally(answers: &[Answer]) -> HashMap<u16, usize> {
    answers.iter().fold(HashMap::new(), |mut tally, answer| {
        *tally.entry(answer.status.as_u16()).or_default() += 1;
        tally
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_pay_once() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    for seat in 1..=10 {
        let order = rider.booked(&trip, &[&seat.to_string()]).await;
        let (one, two) = tokio::join!(rider.pay(&order), rider.pay(&order));
        let mut codes = [one.status.as_u16(), two.status.as_u16()];
        codes.sort_unstable();
        assert_eq!(codes, [200, 409], "{} {}", one.text, two.text);
        assert_eq!(world.ledger(&order).await, ["payment"]);
    }
    assert_eq!(rider.balance().await, "60.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_orders_beyond_the_balance_pay_one() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("10.00").await;
    let (a, b) = (rider.booked(&trip, &["1", "2"]).await, rider.booked(&trip, &["3", "4"]).await);
    let (one, two) = tokio::join!(rider.pay(&a), rider.pay(&b));
    assert_eq!(tally(&[one, two]), HashMap::from([(200, 1), (402, 1)]));
    assert_eq!(rider.balance().await, "2.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_pays_once_and_is_answered_alike() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let keyed = rider.key("pay-1");
    let first = keyed.pay(&order).await;
    assert_eq!(first.expect(200)["status"], "paid");
    let again = keyed.pay(&order).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    rider.pay(&order).await.problem(409, "006002");
    assert_eq!(rider.balance().await, "96.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pay_password_is_counted_exactly_in_parallel_and_on_every_replica() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let replica = world.another_api();
    let there = rider.at(&replica.base());
    let tries = (0..40).map(|n| {
        let (client, order) = (if n % 2 == 0 { rider.clone() } else { there.clone() }, order.clone());
        tokio::spawn(async move { client.pay_with(&order, "000000").await })
    });
    let answers: Vec<_> =
        futures_util::future::join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(tally(&answers), HashMap::from([(403, 5), (423, 35)]));
    there.pay(&order).await.problem(423, "006007");
    assert!(answers.iter().filter(|a| a.status == 423).all(|a| a.headers.contains_key("retry-after")));
    // Time passes: the right one works, and clears the count.
    sqlx::query("update pay_password set locked_until = now()").execute(&world.pool).await.unwrap();
    rider.pay(&order).await.expect(200);
    assert_eq!(count(&world.pool, "select coalesce(sum(wrong + checking), 0) from pay_password").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_is_reversed_and_reported() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    // Between debit and mark paid the deadline passes and the order is closed.
    let slow = rider.fault("pay_money_cancle.after=sleep:1500");
    let paying = {
        let order = order.clone();
        tokio::spawn(async move { slow.pay(&order).await })
    };
    crate::harness::until("the wallet is debited", || async { rider.balance().await == "96.00" }).await;
    assert_eq!(rider.get(&format!("/v1/orders/{order}")).await.expect(200)["status"], "paying");
    world.pass_deadline(&order).await;
    paying.await.unwrap().problem(409, "006001");
    assert_eq!(rider.balance().await, "100.00");
    assert_eq!(world.ledger(&order).await, ["payment", "payment_reversed"]);
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.order(&order).await["closed_reason"], "expired");
    world.verify().await;
}

/// 500 trials, many at once: every rider pays at about the instant at which the order expires.
#[tokio::test(flavor = "multi_thread")]
async fn pay_against_expiry_five_hundred_times() {
    const TRIALS: usize = 500;
    const AT_ONCE: usize = 10;
    let world = World::new().await;
    let _workers = [world.worker(), world.worker()];
    let trip = world.trip(600).await;
    let rider = world.rider("5000.00").await;
    let (mut paid, mut refused) = (0, 0);
    let mut seat = 0;
    for round in 0..TRIALS / AT_ONCE {
        let mut orders = Vec::new();
        for _ in 0..AT_ONCE {
            seat += 1;
            orders.push(rider.booked(&trip, &[&seat.to_string()]).await);
        }
        // The deadline is moved to the next milliseconds, the timer with it.
        let spread = f64::from(u32::try_from(round % 10).unwrap()) * 0.012;
        for order in &orders {
            let id: uuid::Uuid = order.parse().unwrap();
            sqlx::query("with o as (update orders set expires_at = now() + make_interval(secs => $2) where id = $1 returning id, expires_at),
                         s as (update seat set held_until = o.expires_at from o where order_id = o.id and held_until is not null)
                         update queue.job set run_at = o.expires_at from o where tag = 'order_unpaid' and key = o.id::text")
                .bind(id).bind(spread).execute(&world.pool).await.unwrap();
        }
        let pays = futures_util::future::join_all(orders.iter().map(|order| rider.pay(order))).await;
        for (order, answer) in orders.iter().zip(&pays) {
            match answer.status.as_u16() {
                200 => paid += 1,
                409 => refused += 1,
                _ => panic!("{order}: {}", answer.text),
            }
        }
    }
    world.drained().await;
    world.verify().await;
    let stored = count(&world.pool, "select count(*) from orders where status = 'paid'").await;
    assert_eq!((paid + refused, stored), (TRIALS, i64::try_from(paid).unwrap()));
    assert!(paid > 0 && refused > 0, "each side must win sometimes: {paid} paid, {refused} expired");
    let cents = 500_000 - 400 * stored;
    assert_eq!(rider.balance().await, format!("{}.{:02}", cents / 100, cents % 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_moves_money_and_seats_once() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1", "2"]).await;
    rider.refund(&order).await.problem(409, "006002");
    rider.pay(&order).await.expect(200);
    let clicks = futures_util::future::join_all((0..8).map(|_| rider.refund(&order))).await;
    assert_eq!(tally(&clicks)[&200], 1, "{clicks:?}");
    assert_eq!(rider.balance().await, "100.00");
    assert_eq!(world.ledger(&order).await, ["payment", "refund"]);
    assert_eq!(world.free_seats(&trip).await, 20);
    rider.refund(&order).await.problem(409, "006002");
    rider.cancel(&order).await.problem(409, "006002");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refund_after_the_cut_off() {
    let world = World::new().await;
    let trip = world.trip_in(chrono::Duration::minutes(5), 20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    rider.refund(&order).await.problem(409, "006009");
    assert_eq!(rider.balance().await, "96.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_exact_whatever_the_balance_became() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let (a, b) = (rider.booked(&trip, &["1"]).await, rider.booked(&trip, &["2"]).await);
    rider.fault("pay_money_cancle.after=error").pay(&a).await.problem(500, "003099");
    world.top_up(rider.id, "7.50", "meanwhile").await.expect(201);
    rider.pay(&b).await.expect(200);
    // The second failed payment of the same rider is rolled back too.
    let c = rider.booked(&trip, &["3"]).await;
    rider.fault("pay_money_cancle.after=panic").pay(&c).await.problem(500, "003099");
    assert_eq!(rider.balance().await, "95.50");
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(rider.balance().await, "103.50", "100 + 7.50 - 4.00");
    assert_eq!(world.ledger(&a).await, ["payment", "payment_reversed"]);
    rider.pay(&a).await.expect(200);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rollback_of_an_order_paid_since_is_refused() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let failed = rider.fault("order_add_cancle.after=error").book(&trip, &["1"]).await;
    let order = failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned();
    assert_eq!(failed.body["rollback"], "queued");
    rider.pay(&order).await.expect(200);
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.order(&order).await["status"], "paid");
    let note: String = sqlx::query_scalar("select note from queue.finished where tag = 'order_add_cancle'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert!(note.starts_with("refused"), "{note}");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_tops_up_once() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let tops = futures_util::future::join_all((0..10).map(|_| world.top_up(rider.id, "5.00", "r-1"))).await;
    let ids: std::collections::HashSet<_> = tops.iter().map(|t| t.expect(201)["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(rider.balance().await, "5.00");
    world.top_up(rider.id, "6.00", "r-1").await.problem(422, "003074");
    world.top_up(rider.id, "-1.00", "r-2").await.problem(422, "003074");
    let page = rider.get("/v1/wallet/entries").await;
    assert_eq!(page.expect(200)["items"][0]["kind"], "top_up");
    let own = serde_json::json!({"amount": "1.00", "reference": "x"});
    rider.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &own).await.problem(403, "003091");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_refuses_to_be_rewritten_or_to_lie() {
    let world = World::new().await;
    let rider = world.rider("10.00").await;
    for (constraint, sql) in [
        ("ledger_is_append_only", "update ledger_entry set amount = 1"),
        ("ledger_is_append_only", "delete from ledger_entry"),
        ("wallet_balance_is_what_its_entries_say", "update wallet set balance = 11 where balance = 10"),
        (
            "ledger_entry_continues_the_last",
            "insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference)
          select rider_id, 2, gen_random_uuid(), 'top_up', 1, 50, 'lie' from wallet where balance = 10",
        ),
    ] {
        let error = sqlx::query(sql).execute(&world.pool).await.expect_err(sql);
        let named = error.as_database_error().and_then(|e| e.constraint().map(str::to_owned));
        assert_eq!(named.as_deref(), Some(constraint), "{error}");
    }
    assert_eq!(rider.balance().await, "10.00");
}
