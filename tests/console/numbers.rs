//! The numbers on pages: how much there is beyond what is shown, how fast queues go, when a lease ends.

use super::session::ConsoleSession;
use crate::{
    harness::{World, settings, until},
    ops::dead_letters::many_dead,
};

/// Jobs that have been due for a minute.
async fn many_late(world: &World, many: i32) {
    sqlx::query(
        "insert into queue.job (id, tag, key, payload, max_attempts, run_at)
         select gen_random_uuid(), 'order_cancel', gen_random_uuid()::text, '{}', 5, now() - interval '1 minute'
         from generate_series(1, $1)",
    )
    .bind(many)
    .execute(&world.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn home_counts_what_is_beyond_the_ten_it_shows() {
    let world = World::new().await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let home = async || ops.page("/console").await;
    many_dead(&world, 10).await;
    many_late(&world, 10).await;
    assert!(!home().await.contains("are shown"), "nothing is left out");
    many_dead(&world, 5).await;
    many_late(&world, 2).await;
    let page = home().await;
    for said in ["10 of 15 dead letters are shown", "10 of 12 late jobs are shown"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    for filtered in ["/console/jobs?state=dead", "/console/jobs?state=ready"] {
        assert!(page.contains(&format!("href=\"{filtered}\"")), "{filtered}");
        ops.page(filtered).await;
    }
    // It counts to a thousand, and the page says so.
    many_dead(&world, 1_000).await;
    many_late(&world, 1_000).await;
    let page = home().await;
    for said in ["10 of 1,000+ dead letters are shown", "10 of 1,000+ late jobs are shown"] {
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_show_their_rate_per_minute_beside_their_slots() {
    let world = World::new().await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    assert!(ops.page("/console/queues").await.contains("No job has ended."));
    // This minute too: it is the last whole one if the next begins before the page is read.
    sqlx::query(
        "insert into queue.tally (tag, minute, done, failed, dead)
         select 'order_cancel', date_trunc('minute', now()) - n * interval '1 minute', 6, 2, 1
         from generate_series(0, 30) as n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let caption = "<figcaption>order_cancel</figcaption>";
    until("it has its chart", || async { ops.page("/console/queues").await.contains(caption) }).await;
    let page = ops.page("/console/queues").await;
    assert!(!page.contains("<figcaption>pay_cancle"), "what did nothing has none");
    let row = |page: &str| {
        let rows = page.split("<tr>").find(|row| row.contains("tag=order_cancel\"")).unwrap();
        let cells = rows.split("class=\"number\">").skip(1).map(|cell| cell.split('<').next().unwrap());
        cells.map(str::to_owned).collect::<Vec<_>>()
    };
    // Ready, delayed, running, slots, dead; done and failed a minute.
    assert_eq!(row(&page), ["0", "0", "0", "0", "0", "6", "3"]);
    let _worker = world.worker();
    let slots = settings().worker.concurrency.to_string();
    until("the worker's slots are shown", || async { row(&ops.page("/console/queues").await)[3] == slots })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_jobs_page_shows_when_its_lease_ends() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("0").await);
    let ops = ConsoleSession::enter(&world, "ops").await;
    rider.booked(&trip, &["1"]).await;
    let jobs = world.ops.get("/v1/ops/jobs?tag=order_unpaid").await;
    let waiting = &jobs.expect(200)["items"][0];
    assert!(waiting.get("lease_until").is_none(), "{waiting}");
    let id = waiting["id"].as_str().unwrap();
    let page = format!("/console/jobs/{id}");
    assert!(!ops.page(&page).await.contains("Lease ends"));
    let leased = async |until: &'static str| {
        let sql = "update queue.job set lease_token = gen_random_uuid(), leased_at = now(), worker = 'somebody',
                          run_at = now() - interval '1 hour', lease_until = $2::timestamptz where id = $1::uuid";
        sqlx::query(sql).bind(id).bind(until).execute(&world.pool).await.unwrap();
        ops.page(&page).await
    };
    let text = leased("2099-01-02T03:04:05Z").await;
    assert!(text.contains("Lease ends") && text.contains("2099-01-02 11:04:05 +08:00"), "{text}");
    assert!(text.contains("unless its worker renews it"), "{text}");
    let running = world.ops.get("/v1/ops/jobs?state=running").await;
    assert_eq!(running.expect(200)["items"][0]["lease_until"], "2099-01-02T03:04:05Z");
    let text = leased("2020-01-02T03:04:05Z").await;
    assert!(text.contains("it ran out: any worker may take the job"), "{text}");
}
