//! What a wallet may hold: top-ups are capped, so that what is given back always has room.

use crate::{
    console::session::ConsoleSession,
    harness::{Client, World, count},
};
use farebox::domain::Currency;
use futures_util::future::join_all;

const LOW: (&str, &str) = ("FAREBOX__WALLETS__MAX_BALANCE", "100.00");

/// The rule that a top-up broke.
async fn refused(world: &World, rider: &Client, amount: &str, reference: &str) -> String {
    let answer = world.top_up(rider.id, amount, reference).await;
    let problem = answer.problem(422, "003074");
    assert_eq!(problem["field"], "/amount", "{}", answer.text);
    problem["rule"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_top_up_beyond_the_cap_is_refused_with_the_room_left() {
    let world = World::new().await;
    let rider = world.rider("1000.00").await;
    for amount in ["999999999.99", "99000.01"] {
        let rule = refused(&world, &rider, amount, "much").await;
        assert_eq!(rule, "at most 99000.00 now: a wallet may be topped up to 100000.00");
    }
    let rule = refused(&world, &rider, "999999999999", "much").await;
    assert_eq!(rule, "an amount is at most 1000000000.00");
    world.top_up(rider.id, "99000.00", "the rest").await.expect(201);
    let rule = refused(&world, &rider, "0.01", "a cent").await;
    assert_eq!(rule, "nothing now: the wallet holds 100000.00, and may be topped up to 100000.00");
    // What counted once is answered alike, however full the wallet is.
    world.top_up(rider.id, "99000.00", "the rest").await.expect(201);
    assert_eq!(rider.balance().await, "100000.00");
    assert_eq!(count(&world.pool, "select count(*) from ledger_entry").await, 2);

    // The console goes by the same rule.
    let ops = ConsoleSession::enter(&world, "ops").await;
    let path = format!("/console/riders/{}/top-up", rider.id);
    let (csrf, reference) = (ops.hidden(&path, "csrf").await, ops.hidden(&path, "reference").await);
    for amount in ["999999999.99", "0.01"] {
        let form = format!("csrf={csrf}&reference={reference}&amount={amount}&reason=much");
        let answer = ops.send("POST", &path, Some(form)).await;
        assert_eq!(answer.status().as_u16(), 422);
        assert!(answer.text().await.unwrap().contains("may be topped up to 100000.00"));
    }
    assert_eq!(rider.balance().await, "100000.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn top_ups_at_once_do_not_pass_the_cap_together() {
    let world = World::with(&[LOW]).await;
    let rider = world.rider("0").await;
    let references: Vec<String> = (0..20).map(|n| format!("r-{n}")).collect();
    let tops = join_all(references.iter().map(|reference| world.top_up(rider.id, "30.00", reference))).await;
    let taken = tops.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(taken, 3);
    for answer in tops.iter().filter(|answer| answer.status != 201) {
        answer.problem(422, "003074");
    }
    assert_eq!(rider.balance().await, "90.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_asks_for_no_cap() {
    let world = World::with(&[LOW]).await;
    let trip = world.trip(8).await;
    let rider = world.rider("100.00").await;
    let refunded = rider.booked(&trip, &["1"]).await;
    rider.pay(&refunded).await.expect(200);
    let reversed = rider.booked(&trip, &["2"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&reversed).await.problem(500, "003099");
    world.top_up(rider.id, "8.00", "to the brim").await.expect(201);
    assert_eq!(rider.balance().await, "100.00");
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(rider.balance().await, "104.00", "the payment that failed is reversed beyond the cap");
    assert_eq!(rider.refund(&refunded).await.expect(200)["status"], "refunded");
    assert_eq!(rider.balance().await, "108.00");
    let rule = refused(&world, &rider, "1.00", "more").await;
    assert!(rule.starts_with("nothing now"), "{rule}");
    world.verify().await;
}

/// A wallet from before there was a cap, as full as the column was then.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_filled_before_there_was_a_cap_still_gets_refunds() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let rider = world.rider("10.00").await;
    let order = rider.booked(&trip, &["1", "2"]).await;
    rider.pay(&order).await.expect(200);
    sqlx::query(
        "with entered as (
             insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference)
             select rider_id, last_entry + 1, gen_random_uuid(), 'top_up', 999999999999.99 - balance, 999999999999.99, 'old'
             from wallet where rider_id = $1
             returning rider_id, seq, balance_after)
         update wallet w set balance = e.balance_after, last_entry = e.seq from entered e where w.rider_id = e.rider_id",
    )
    .bind(rider.id.0)
    .execute(&world.pool)
    .await
    .unwrap();
    assert_eq!(rider.refund(&order).await.expect(200)["status"], "refunded");
    assert_eq!(rider.balance().await, "1000000000007.99");
    world.top_up(rider.id, "1.00", "more").await.problem(422, "003074");
    world.verify().await;
}

#[test]
fn a_cap_that_leaves_no_room_is_no_setting() {
    let load = |cap: &str| {
        farebox::settings::Settings::load("development", &[("wallets.max_balance", cap.to_owned())])
            .and_then(|settings| settings.wallets.check(Currency::OF_NO_NETWORK).map(|()| settings))
            .map(|settings| settings.wallets.max_balance.to_string())
    };
    assert_eq!(load("1000000000.00").unwrap(), "1000000000.00");
    for bad in ["0.00", "-1.00", "1000000000.01", "much", "1.001"] {
        assert!(load(bad).is_err(), "{bad}");
    }
}
