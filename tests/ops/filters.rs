//! The filters of lists, over HTTP: each alone and all together, and what no filter means is refused by
//! name inside the page.

use super::dead_letters::{bury, dead_bookings, many_dead};
use crate::{console::ConsoleSession, harness::World};
use sqlx::AssertSqlSafe;

/// Each page refuses what no filter means by name and rule, with its form and what was typed.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_refused_by_name_inside_the_page() {
    let world = World::new().await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let id = "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511";
    for (list, query, field, rule) in [
        ("jobs", "tag=nonsense&key=kept", "Tag", "one of "),
        ("jobs", "state=odd&key=kept", "State", "one of ready"),
        ("jobs", "since=yesterday&key=kept", "Enqueued since", "a day, or a day and a time"),
        ("jobs", "order=123&key=kept", "Order id", "a whole id"),
        ("jobs", "failures=0&key=kept", "Failed attempts, at least", "from 1 to 1000"),
        ("jobs", "since=2026-11-29&before=2026-11-28&key=kept", "Enqueued before", "later than"),
        ("jobs", "statee=dead&key=kept", "statee", "did you mean `state`"),
        ("audit", "act=dance&actor=kept", "Act", "one of "),
        ("audit", "order=1&actor=kept", "Order id", "a whole id"),
        ("orders", "departs=tomorrow&rider=kept", "Day of departure", "a day, like"),
        ("orders", "from=4,00&trip=kept", "Amount from", "decimal"),
        ("orders", "from=5&to=4&seat=kept", "Amount to", "at least 5.00"),
        ("orders", "owed=much&seat=kept", "Owed", "one of yes"),
        ("orders", "state=lost&seat=kept", "State", "one of unpaid"),
        ("orders", "seat=1%202&trip=kept", "Seat", "the label of a seat"),
        ("riders", "whoo=kept", "whoo", "did you mean `who`"),
    ] {
        let answer = ops.send("GET", &format!("/console/{list}?{query}"), None).await;
        let (status, page) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, 422, "{list}?{query}");
        let refused = page.split("id=\"refused\"").nth(1).and_then(|rest| rest.split("</p>").next());
        let refused = refused.unwrap_or_else(|| panic!("{list}?{query}: {page}"));
        assert!(refused.contains(field) && refused.contains(rule), "{list}?{query}: {refused}");
        assert!(!refused.contains("UUID") && !refused.contains("premature"), "{refused}");
        let form = format!("<form class=\"card search_filters\" action=\"/console/{list}\"");
        assert!(page.contains(&form) && !page.contains("To the home page"), "{list}?{query}: {page}");
        assert!(list == "riders" || page.contains("value=\"kept\""), "{list}?{query}: {page}");
    }
    let chinese = ConsoleSession {
        cookie: format!("{}; farebox_lang=zh", ops.cookie),
        ..ConsoleSession::stranger(&world)
    };
    let page = chinese.send("GET", "/console/orders?departs=x", None).await.text().await.unwrap();
    assert!(page.contains("发车日期") && page.contains("日期，如 2026-01-31"), "{page}");
    for whole in [
        "jobs?since=2026-11-28&before=2026-11-28+07:50",
        "jobs?since=2026-11-28T00:00:00Z",
        "audit?since=2026-11-28",
        "jobs?failures=3",
        "orders?seat=12A",
        "orders?from=4&to=4.00",
    ] {
        drop(ops.page(&format!("/console/{whole}")).await);
    }
    for list in ["orders?rider=", "orders?trip=", "jobs?order=", "audit?order="] {
        drop(ops.page(&format!("/console/{list}{id}")).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_found_by_each_filter_and_by_all_of_them() {
    let world = World::new().await;
    let (trip, other) = (world.trip(8).await, world.trip_in(chrono::Duration::days(5), 8).await);
    let (ann, bob) = (world.rider("100.00").await, world.rider("100.00").await);
    let paid = ann.booked(&trip, &["1", "2"]).await;
    ann.pay(&paid).await.expect(200);
    let unpaid = bob.booked(&trip, &["3"]).await;
    let cancelled = bob.booked(&other, &["1"]).await;
    bob.cancel(&cancelled).await.expect(200);
    let paying = ann.booked(&other, &["4"]).await;
    ann.fault("pay_money_cancle.after=error").pay(&paying).await.problem(500, "003099");
    let ops = ConsoleSession::enter(&world, "ops").await;
    let all = [&paid, &unpaid, &cancelled, &paying];
    let finds = async |query: &str| {
        let page = ops.page(&format!("/console/orders?{query}")).await;
        all.map(|order| page.contains(&format!("/console/orders/{order}\"")))
    };
    let day = |trip: &str| {
        let sql = format!(
            "select (departs_at at time zone 'Asia/Shanghai')::date::text from trip where id = '{trip}'"
        );
        sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch_one(&world.pool)
    };
    let (near, far) = (day(&trip).await.unwrap(), day(&other).await.unwrap());
    let booked: String = sqlx::query_scalar(
        "select (created_at at time zone 'Asia/Shanghai')::date::text from orders where id = $1::uuid",
    )
    .bind(&paid)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(finds("").await, [true; 4]);
    assert_eq!(finds("state=paid").await[0..3], [true, false, false]);
    assert_eq!(finds("state=unpaid").await, [false, true, false, false]);
    assert_eq!(finds("state=closed").await, [false, false, true, false]);
    assert_eq!(finds(&format!("trip={trip}")).await, [true, true, false, false]);
    assert_eq!(finds(&format!("trip={other}")).await, [false, false, true, true], "also without seats");
    assert_eq!(finds(&format!("departs={near}")).await, [true, true, false, false]);
    assert_eq!(finds(&format!("departs={far}&state=closed")).await, [false, false, true, false]);
    assert!(finds(&format!("booked={booked}")).await[0]);
    assert_eq!(finds("booked=2020-02-29").await, [false; 4]);
    assert_eq!(finds("from=8").await, [true, false, false, false]);
    assert_eq!(finds("from=4.00&to=4").await, [false, true, true, true]);
    assert_eq!(finds(&format!("rider={}", ann.id)).await, [true, false, false, true]);
    assert_eq!(finds(&format!("rider={}&trip={trip}", ann.id)).await, [true, false, false, false]);
    assert_eq!(finds("seat=1").await, [true, false, true, false]);
    assert_eq!(
        finds(&format!("seat=1&state=paid&rider={}&departs={near}&from=1&to=9&trip={trip}", ann.id)).await,
        [true, false, false, false]
    );
    assert_eq!(finds(&format!("seat=1&rider={}", bob.id)).await, [false, false, true, false]);
    assert_eq!(finds("state=paying").await, [false, false, false, true]);
    // The money of a payment that failed is owed while its undo is due, and while that is dead.
    assert_eq!(finds("owed=yes").await, [false, false, false, true]);
    bury(&world, "pay_money_cancle").await;
    assert_eq!(finds("owed=yes").await, [false, false, false, true]);
    assert_eq!(finds(&format!("owed=yes&rider={}&from=4", ann.id)).await, [false, false, false, true]);
    assert_eq!(finds(&format!("owed=yes&rider={}", bob.id)).await, [false; 4]);
    assert_eq!(finds("owed=yes&state=unpaid").await, [false; 4]);
    // Nothing fits, and the form is still there.
    let none = ops.page(&format!("/console/orders?trip={trip}&seat=7")).await;
    assert!(none.contains("No order fits") && none.contains("value=\"7\""), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_counted_and_found_by_how_often_they_failed() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("40.00").await);
    let dead = dead_bookings(&world, &rider, &trip, &["1", "2", "3"]).await;
    sqlx::query("update queue.dead_letter set failures = failures || failures || failures, attempt = 3 where key = $1")
        .bind(&dead[0]).execute(&world.pool).await.unwrap();
    let ops = ConsoleSession::enter(&world, "ops").await;
    for (query, found) in
        [("state=dead", 3), ("failures=1", 3), ("failures=3&state=dead", 1), ("failures=4", 0)]
    {
        let page = ops.page(&format!("/console/jobs?{query}")).await;
        let words = if found == 1 { "1 job fits.".to_owned() } else { format!("{found} jobs fit.") };
        assert!(page.contains(&words), "{query}: {page}");
        let api = world.ops.get(&format!("/v1/ops/jobs?{query}")).await;
        assert_eq!(api.expect(200)["items"].as_array().unwrap().len(), found, "{query}");
    }
    world.ops.get("/v1/ops/jobs?failures=0").await.problem(422, "003074");
    many_dead(&world, 1_001).await;
    assert!(ops.page("/console/jobs?state=dead").await.contains("1,000+ jobs fit."));
}
