//! The search box and the filters of lists, over HTTP: what people have of a thing leads to it, and
//! what no filter means is refused by name inside the page.

use super::dead_letters::dead_bookings;
use crate::{
    console::ConsoleSession,
    harness::{Client, World, count, until},
};
use farebox::ops::find;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Ways to write one phone number, which is stored as `+86 138 1234-5678`.
const ONE_PHONE: [&str; 6] = [
    "+86 138 1234 5678",
    "+8613812345678",
    "008613812345678",
    "8613812345678",
    "138-1234-5678",
    "(138)12345678",
];
/// Texts that a search must take as they are.
const HOSTILE: [&str; 12] = [
    "%",
    "%%%",
    "___",
    "a_b",
    "\\\\\\",
    "'; drop table rider; --",
    "\"'\"",
    "\u{202e}txt",
    "王'",
    "$1",
    "(((",
    "[[:<:]]",
];

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

struct Search<'a>(&'a ConsoleSession);

impl Search<'_> {
    /// Where a search leads; empty if it lists.
    async fn leads(&self, text: &str) -> String {
        let answer = self.0.send("GET", &format!("/console/search?q={}", encoded(text)), None).await;
        answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// The page that lists the hits.
    async fn lists(&self, text: &str) -> String {
        self.0.page(&format!("/console/search?q={}", encoded(text))).await
    }
}

async fn named(rider: &Client, nick: &str, email: &str, phone: &str) {
    let change = json!({ "nick_name": nick, "email": email, "phone": phone });
    rider.patch("/v1/riders/me", &change).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rider_is_found_by_phone_and_by_parts_of_names() {
    let world = World::new().await;
    let (mei, wang, lee) = (world.rider("0").await, world.rider("0").await, world.rider("0").await);
    named(&mei, "Mei Lin", "Mei.Lin@Example.org", "+86 138 1234-5678").await;
    named(&wang, "王小明", "wang@qq.example", "028-5550-0101").await;
    named(&lee, "Ann Lee", "ann@example.org", "13900005678").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let search = Search(&ops);
    let page_of = |rider: &Client| format!("/console/riders/{}", rider.id);
    for text in ONE_PHONE {
        assert_eq!(search.leads(text).await, page_of(&mei), "{text}");
    }
    for text in ["028 5550 0101", "+86 28 5550 0101", "02855500101"] {
        assert_eq!(search.leads(text).await, page_of(&wang), "{text}");
    }
    let ends = search.lists("5678").await;
    assert!(ends.contains(&page_of(&mei)) && ends.contains(&page_of(&lee)), "{ends}");
    assert!(!ends.contains(&page_of(&wang)) && ends.contains("+86 138 1234-5678"), "{ends}");
    for (text, rider) in [
        ("mei", &mei),
        ("EI.LI", &mei),
        ("ei lin", &mei),
        ("小明", &wang),
        ("王小", &wang),
        ("qq.ex", &wang),
        ("ＡＮＮ", &lee),
        ("n le", &lee),
    ] {
        let found = search.lists(text).await;
        assert!(found.contains(&page_of(rider)), "{text}: {found}");
        for other in [&mei, &wang, &lee].iter().filter(|other| other.id != rider.id) {
            assert!(!found.contains(&page_of(other)), "{text}: {found}");
        }
    }
    for short in ["me", "王", "678"] {
        let found = search.lists(short).await;
        assert!(!found.contains("/console/riders/0"), "{short}: {found}");
    }
    // Two accounts may give one number: neither is opened.
    named(&lee, "Ann Lee", "ann@example.org", "138 1234 5678").await;
    let both = search.lists("13812345678").await;
    assert!(both.contains(&page_of(&mei)) && both.contains(&page_of(&lee)), "{both}");
    assert!(both.contains("not verified"), "{both}");
    // A read is recorded with a digest of its text and the accounts that it showed.
    let reads = "select count(*) from audit where act = 'riders_search' and detail -> 'found' <> '[]'
                 and subject not like '%1234%'";
    assert!(count(&world.pool, reads).await > 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_have_of_a_thing_leads_to_it() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("40.00").await);
    let order = rider.key("book-77/a").booked(&trip, &["1"]).await;
    rider.key("pay-77").pay(&order).await.expect(200);
    let failed = rider.fault("order_add_seats_cancle.after=error").book(&trip, &["2"]).await;
    let trace = failed.problem(500, "003099")["trace_id"].as_str().unwrap().to_owned();
    let unborn = failed.body["order_id"].as_str().unwrap().to_owned();
    let ops = ConsoleSession::enter(&world, "ops").await;
    let search = Search(&ops);
    let end = |id: &str| id[id.len() - 12..].to_owned();
    for (list, id) in [("orders", &order), ("trips", &trip), ("riders", &rider.id.to_string())] {
        for text in [format!("…{}", end(id)), end(id), end(id).to_uppercase(), format!("...{}", end(id))] {
            assert_eq!(search.leads(&text).await, format!("/console/{list}/{id}"), "{text}");
        }
    }
    let job: String = sqlx::query_scalar("select id::text from queue.job where key = $1 limit 1")
        .bind(&unborn)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(search.leads(&end(&job)).await, format!("/console/jobs/{job}"));
    for text in [trace.clone(), trace.to_uppercase(), format!("00-{trace}-00f067aa0ba902b7-01")] {
        let leads = search.leads(&text).await;
        let found = if leads.is_empty() { search.lists(&text).await } else { leads };
        assert!(found.contains(&format!("/console/jobs/{job}")), "{text}: {found}");
    }
    for key in ["book-77/a", "pay-77"] {
        assert_eq!(search.leads(key).await, format!("/console/orders/{order}"), "{key}");
    }
    assert!(search.lists("book-77").await.contains("Nothing has this"), "a key is whole");
    assert!(search.lists(&format!("top-up-of-nobody-{trip}")).await.contains("Nothing has this"));
    let reference = "SLIP 2026/7";
    world.top_up(rider.id, "5.00", reference).await.expect(201);
    let entry = search.lists(&format!("slip 2026/7 {}", rider.id)).await;
    assert!(entry.contains("Wallet entries") && entry.contains(&rider.id.to_string()), "{entry}");
    sqlx::query("update queue.job set key = 'a-key-of-its-own' where id = $1::uuid")
        .bind(&job)
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(search.leads("a-key-of-its-own").await, format!("/console/jobs/{job}"));
    drop(dead_bookings(&world, &rider, &trip, &["3", "4"]).await);
    let errors = search.lists("TIMED out after").await;
    assert!(errors.contains("Failed jobs by error") && errors.contains("/console/jobs?error="), "{errors}");
    let whole = format!("order {order} timed out after 3 s");
    assert!(search.lists(&whole).await.contains("/console/jobs?error="), "another order's error");
}

/// Its trace leads to the order and to the job of a request that failed, before its payment was written
/// down or after.
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_leads_to_the_order_and_an_entry_to_its_wallet() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("40.00").await);
    let ops = ConsoleSession::enter(&world, "ops").await;
    let search = Search(&ops);
    for fault in ["pay_money_cancle.before=error", "pay_money_cancle.after=error"] {
        let seat = if fault.contains("before") { "1" } else { "2" };
        let order = rider.booked(&trip, &[seat]).await;
        let failed = rider.fault(fault).pay(&order).await;
        let trace = failed.problem(500, "003099")["trace_id"].as_str().unwrap().to_owned();
        let sql = "select id::text from queue.any_job where payload ->> 'trace' = $1";
        let job: String = sqlx::query_scalar(sql).bind(&trace).fetch_one(&world.pool).await.unwrap();
        let found = search.lists(&trace).await;
        for part in [format!("/console/orders/{order}"), format!("/console/jobs/{job}")] {
            assert!(found.contains(&part), "{fault}: {part} in {found}");
        }
        // The story of the order has the payment, its error and its trace: before its undo and after.
        for undone in [false, true] {
            if undone {
                let _worker = world.worker();
                world.pass_undo_delay().await;
                world.drained().await;
            }
            let page = ops.page(&format!("/console/orders/{order}")).await;
            assert!(page.contains("simulated system exception") && page.contains(&trace), "{fault}: {page}");
            let found = search.lists(&trace).await;
            assert!(found.contains(&format!("/console/orders/{order}")), "{fault}, {undone}: {found}");
        }
    }
    let paid = rider.booked(&trip, &["3"]).await;
    rider.pay(&paid).await.expect(200);
    let entries = rider.get("/v1/wallet/entries").await;
    let entries = entries.expect(200)["items"].as_array().unwrap();
    assert!(entries.len() >= 4, "a top-up, a debit that was given back, and a payment: {entries:?}");
    for entry in entries {
        let found = search.lists(entry["id"].as_str().unwrap()).await;
        assert!(found.contains(&format!("/console/riders/{}", rider.id)), "{entry}: {found}");
        let order = entry["order_id"].as_str().map(|order| format!("/console/orders/{order}"));
        assert!(order.is_none_or(|order| found.contains(&order)), "{entry}: {found}");
    }
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn departures_are_found_in_peoples_words_by_the_timetables_clock() {
    let world = World::new().await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let search = Search(&ops);
    // Two days ahead, so that the test may run beside midnight; the words for other days have unit tests.
    let day = (chrono::Utc::now() + chrono::Duration::hours(8)).date_naive() + chrono::Duration::days(2);
    let sql = "insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity)
               select gen_random_uuid(), bus, 0, at, at + interval '20 minutes', 4.00, 20
               from unnest(array[3, 4]) as bus, unnest(array['08:00', '09:30']::time[]) as clock,
                    lateral (select ($1 + clock) at time zone 'Asia/Shanghai' as at) as a";
    sqlx::query(sql).bind(day).execute(&world.pool).await.unwrap();
    let trip: String = sqlx::query_scalar(
        "select id::text from trip where bus_id = 3 and (departs_at at time zone 'Asia/Shanghai') = $1 + time '08:00'",
    )
    .bind(day)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    for text in [
        format!("bus 3 {day} 8:00"),
        format!("3 {day} 08:00"),
        format!("{day} 08:00 Bus3"),
        format!("3路 {day} 8:00"),
        format!("{day} 3号车 8点"),
    ] {
        assert_eq!(search.leads(&text).await, format!("/console/trips/{trip}"), "{text}");
    }
    let all = search.lists(&format!("{day} bus 3")).await;
    assert_eq!(all.matches("/console/trips/").count(), 2, "{all}");
    assert!(all.contains(&format!("{day} 08:00")) && all.contains("Asia/Shanghai"), "{all}");
    assert!(search.lists(&format!("bus 3 {day} 8:01")).await.contains("Nothing has this"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_breaks_a_search_and_each_list_has_a_bound() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    named(&rider, "a_b 100% \\o/ 'x'", "a_b@example.org", "110").await;
    let sql = "insert into rider (id, user_name, password_hash, phone)
               select gen_random_uuid(), 'crowd' || n, 'x', '+1 555 000-7777' from generate_series(1, 25) as n";
    sqlx::query(sql).execute(&world.pool).await.unwrap();
    let ops = ConsoleSession::enter(&world, "ops").await;
    let search = Search(&ops);
    for text in HOSTILE.iter().map(|text| (*text).to_owned()).chain(["x".repeat(1_000), "王".repeat(900)]) {
        let answer = ops.send("GET", &format!("/console/search?q={}", encoded(&text)), None).await;
        assert!([200, 303].contains(&answer.status().as_u16()), "{text}: {}", answer.status());
    }
    for text in ["a_b", "00% \\o", "'x'"] {
        assert!(search.lists(text).await.contains(&rider.id.to_string()), "{text}");
    }
    assert!(!search.lists("acb").await.contains(&rider.id.to_string()), "_ is no wildcard");
    for text in ["crowd", "7777"] {
        let many = search.lists(text).await;
        assert!(many.contains("first 20 of more"), "{text}: {many}");
        assert_eq!(many.matches("href=\"/console/riders/").count(), 20, "{text}");
    }
    let cookie = format!("{}; farebox_lang=zh", ops.cookie);
    let chinese = ConsoleSession { cookie, ..ConsoleSession::stranger(&world) };
    let many = Search(&chinese).lists("crowd").await;
    assert!(many.contains("乘客") && many.contains("前 20 条，还有更多"), "{many}");
    assert!(Search(&chinese).lists("没有的").await.contains("没有与此"), "nothing, in Chinese");
    for (query, rule) in [
        (format!("q={}", "x".repeat(10_000)), "at most 1000 characters, this has 10000"),
        ("q=a%00b".to_owned(), "no control characters"),
        ("q=%ff".to_owned(), "text in UTF-8"),
        ("q=a&q=b".to_owned(), "it is there twice"),
        ("w=a".to_owned(), "only q"),
    ] {
        let answer = ops.send("GET", &format!("/console/search?{query}"), None).await;
        let (status, page) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!(status == 422 && page.contains(rule) && page.contains("id=\"find\""), "{status}: {page}");
    }
    assert!(!world.log().await.contains("database error"));
}

/// Rows in which a search that has no index would be seen.
const MANY: i32 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn each_search_is_by_an_index() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let fill = format!(
        "insert into rider (id, user_name, password_hash, nick_name, email, phone, created_at)
         select gen_random_uuid(), 'user' || md5(n::text), 'x', '李' || md5(n::text), md5((-n)::text) || '@example.org',
                '+86 13' || lpad(n::text, 9, '0'), now() from generate_series(1, {MANY}) as n;
         insert into orders (id, rider_id, trip_id, seats, unit_price, amount, status, created_at, expires_at, closed_at, closed_reason)
         select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), array[n], 4, 4, 'closed', now(), now() + interval '1 hour',
                now(), 'expired' from generate_series(1, {MANY}) as n;
         insert into idempotency (actor, key, fingerprint, subject)
         select rider_id, id::text, '\\x00', id from orders;
         insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference)
         select gen_random_uuid(), 1, lpad(to_hex(n), 32, '0')::uuid, 'top_up', 1, 1, 'first ' || n
         from generate_series(1, {MANY}) as n;
         analyze rider; analyze orders; analyze idempotency; analyze ledger_entry;"
    );
    // Connections without the bound of the application's statements. What the first one read is counted
    // when it ends.
    let mut filling = PgConnection::connect(&world.db.url).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut filling).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut filling).await.unwrap();
    for vacuum in ["vacuum orders", "vacuum ledger_entry"] {
        sqlx::raw_sql(vacuum).execute(&mut filling).await.unwrap();
    }
    filling.close().await.unwrap();
    let is_open = "select count(*) from pg_stat_activity where pid = $1";
    until("it has ended", async || {
        sqlx::query_scalar::<_, i64>(is_open).bind(pid).fetch_one(&world.pool).await.unwrap() == 0
    })
    .await;
    let mut db = PgConnection::connect(&world.db.url).await.unwrap();
    let ops = ConsoleSession::enter(&world, "ops").await;
    let search = Search(&ops);
    let order: String =
        sqlx::query_scalar("select id::text from orders limit 1").fetch_one(&world.pool).await.unwrap();
    sqlx::query("select pg_stat_reset()").execute(&mut db).await.unwrap();
    assert_eq!(search.leads(&order[24..]).await, format!("/console/orders/{order}"));
    assert_eq!(search.leads(&order).await, format!("/console/orders/{order}"));
    for text in ["c4ca4238a0b9", "李c4ca", "3000012345", "no-such-key"] {
        drop(ops.send("GET", &format!("/console/search?q={}", encoded(text)), None).await);
    }
    drop(ops.page(&format!("/console/orders?trip={trip}&state=paid")).await);
    let entry = search.lists("00000000-0000-0000-0000-000000000007").await;
    assert!(entry.contains("Wallet entries"), "{entry}");
    // Connections report what they read when they end.
    let hang_up = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid() and application_name like 'farebox%'";
    sqlx::query(hang_up).execute(&mut db).await.unwrap();
    let used = "select count(*) from pg_stat_user_indexes where idx_scan > 0
                and indexrelname in ('rider_by_terms', 'orders_by_filters', 'idempotency_by_key', 'ledger_by_blocks')";
    until("the indexes were used", async || count(&world.pool, used).await == 4).await;
    let whole = "select coalesce(sum(seq_tup_read), 0)::bigint from pg_stat_user_tables
                 where relname in ('rider', 'orders', 'idempotency', 'ledger_entry')";
    assert_eq!(count(&world.pool, whole).await, 0, "read from end to end");
    let walked = "select idx_tup_fetch from pg_stat_user_indexes where indexrelname = 'orders_pkey'";
    assert!(count(&world.pool, walked).await < 1_000, "no walk over all orders");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_orders_are_summarized_unless_a_vacuum_works_on_them() {
    let world = World::new().await;
    let rider = world.rider("100.00").await;
    let trip = world.trip(2).await;
    rider.booked(&trip, &["1"]).await;
    let mut vacuum = world.pool.begin().await.unwrap();
    sqlx::query("lock table orders in share update exclusive mode").execute(&mut *vacuum).await.unwrap();
    assert_eq!(find::summarize_orders(&world.pool).await.unwrap(), 0);
    vacuum.rollback().await.unwrap();
    find::summarize_orders(&world.pool).await.unwrap();
    let left = "select brin_summarize_new_values('orders_by_filters')::bigint";
    assert_eq!(count(&world.pool, left).await, 0);
}
