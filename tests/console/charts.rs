//! Charts with axes, titles, tables, marks and links to the jobs behind their bars; and pauses on every
//! page.

use super::{a11y::Accessibility, session::ConsoleSession};
use crate::harness::{Browser, World, count, until};
use serde_json::json;

const TAG: &str = "order_add_seats_cancle";

/// Roll-ups of a busy hour: many done of one tag, few failed of another.
async fn busy(world: &World) {
    sqlx::query(
        "insert into queue.tally (tag, minute, done, failed)
         select tag, date_trunc('minute', now()) - make_interval(mins => back), done, failed
         from generate_series(2, 20) back,
              (values ('order_add_seats_cancle', 4245, 0), ('pay_money_cancle', 0, 78)) as t (tag, done, failed)
         on conflict do nothing",
    )
    .execute(&world.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn few_failures_beside_many_successes_are_seen_in_red() {
    let world = World::new().await;
    busy(&world).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let home = ops.page("/console").await;
    for part in ["<text class=\"tick\"", "class=\"failed\"", "4,245", "pay_money_cancle ✗ 78", "UTC"] {
        assert!(home.contains(part), "{part} in {home}");
    }
    // The bars of failures are as high as their own scale lets them be.
    let heights = home
        .split("class=\"failed\" x=")
        .skip(1)
        .filter_map(|rest| rest.split("height=\"").nth(1)?.split('"').next()?.parse::<f64>().ok());
    let high = heights.fold(0.0, f64::max);
    assert!(high > 20.0, "{high}");
    // The same colour for a tag on both pages.
    let class = |page: &str| page.split("class=\"tag").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let queues = ops.page("/console/queues").await;
    assert!(queues.contains(&format!("class=\"tag{}\"", class(&home))), "{queues}");
    for range in ["1h", "24h", "7d"] {
        let page = ops.page(&format!("/console?range={range}")).await;
        assert!(page.contains("aria-current=\"true\"") && page.contains("class=\"failed\""), "{range}");
    }
    assert_eq!(ops.status("GET", "/console?range=2h", None).await, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bar_leads_to_its_jobs() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    rider.fault(&format!("{TAG}.after=error")).book(&trip, &["1"]).await.problem(500, "003099");
    let _worker = world.worker();
    world.drained().await;
    let counted = "select count(*) from queue.tally where tag = 'order_add_seats_cancle' and done = 1";
    until("it is counted", || async { count(&world.pool, counted).await == 1 }).await;
    // The worker's end of the attempt and the database's are milliseconds apart: no minute shall part them.
    let within =
        "with counted as (select minute from queue.tally where tag = 'order_add_seats_cancle' and done = 1)
                  update queue.finished set ended_at = minute + interval '30 seconds' from counted
                  where tag = 'order_add_seats_cancle'
                  returning to_char(minute at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let from: String = sqlx::query_scalar(within).fetch_one(&world.pool).await.unwrap();
    let ops = ConsoleSession::enter(&world, "ops").await;
    let link = format!("/console/jobs?tag={TAG}&amp;state=done&amp;ended_from={from}");
    until("the chart has its bar", || async { ops.page("/console/queues").await.contains(&link) }).await;
    let page = ops.page("/console/queues").await;
    let address = page.split("href=\"").find(|rest| rest.starts_with(&link)).unwrap();
    let address = address.split('"').next().unwrap().replace("&amp;", "&");
    let jobs = ops.page(&address).await;
    assert!(jobs.contains("Jobs that ended from") && jobs.contains("name=\"ids\""), "{jobs}");
    // In another minute there is none, and half a time is refused.
    let empty =
        format!("/console/jobs?tag={TAG}&ended_from=2020-01-01T00:00:00Z&ended_to=2020-01-01T00:01:00Z");
    assert!(ops.page(&empty).await.contains("No job fits."));
    assert_eq!(ops.status("GET", "/console/jobs?ended_from=2020-01-01T00:00:00Z", None).await, 422);
    assert_eq!(ops.status("GET", "/console/jobs?ended_from=x&ended_to=y", None).await, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_on_every_page_with_who_why_and_since() {
    let world = World::new().await;
    busy(&world).await;
    let pause = json!({ "reason": "the bank is down" });
    let ops = ConsoleSession::enter(&world, "ops").await;
    world.ops.post("/v1/ops/queues/order_unpaid/pause", &pause).await.expect(200);
    sqlx::query(
        "insert into queue.job (id, tag, key, payload, max_attempts, run_at)
         values (gen_random_uuid(), 'order_unpaid', 'late', '{}', 5, now() - interval '1 minute')",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    until("the pages know", || async { ops.page("/console").await.contains("class=\"pauses\"") }).await;
    for page in ["/console", "/console/jobs", "/console/orders", "/console/bulk", "/console/audit"] {
        let text = ops.page(page).await;
        for part in ["order_unpaid", "is paused by", "<strong>ops</strong>", "the bank is down"] {
            assert!(text.contains(part), "{page}: {part} in {text}");
        }
    }
    until("late jobs say why, and charts have the mark", || async {
        let home = ops.page("/console").await;
        home.contains("because paused by ops") && home.contains("class=\"mark paused\"")
    })
    .await;
    let queues = ops.page("/console/queues").await;
    assert!(
        !queues.contains("/console/queues/order_unpaid/pause\"") && !queues.contains("/drain\""),
        "{queues}"
    );
    world.ops.post("/v1/ops/queues/order_unpaid/resume", &pause).await.expect(200);
    until("the banner is gone", || async { !ops.page("/console/jobs").await.contains("class=\"pauses\"") })
        .await;

    let browser = Browser::signed_in(&world, "ops").await;
    let mut accessibility = Accessibility::default();
    for range in ["1h", "24h", "7d"] {
        browser.goto(&format!("/console?range={range}")).await;
        browser.sees("What happened").await;
        accessibility.on_every_screen(&browser, &format!("charts of {range}")).await;
    }
    accessibility.found_nothing();
}
