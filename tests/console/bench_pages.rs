//! The addresses that the benchmark of the console opens: every page, with each filter and each kind of
//! search.

use sqlx::PgPool;

/// Searches, filters and charts whose addresses hold no ids.
const WITHOUT_IDS: [&str; 48] = [
    "/console",
    "/console?range=24h",
    "/console?range=7d",
    "/console/queues",
    "/console/queues?range=7d",
    "/console/queues/order_cancel/pause",
    "/console/bulk",
    "/console/orders",
    "/console/trips",
    "/console/riders",
    "/console/audit",
    "/console/approvals",
    "/console/account",
    "/console/network",
    "/console/jobs",
    "/console/orders?state=paid",
    "/console/orders?state=refunding",
    "/console/orders?owed=yes",
    "/console/orders?from=4&to=4",
    "/console/orders?from=999",
    "/console/trips?direction=1&state=cancelled",
    // Acts on many jobs: 100,000 dead letters, half of them, 20,000 live jobs.
    "/console/bulk/new?act=redrive&state=dead",
    "/console/bulk/new?act=redrive&state=dead&tag=order_cancel",
    "/console/bulk/new?act=redrive&state=dead&one=1",
    "/console/bulk/new?act=discard&state=dead",
    "/console/bulk/new?act=retry&state=delayed",
    "/console/bulk/new?act=cancel&tag=order_unpaid",
    "/console/jobs?state=dead&tag=order_cancel",
    "/console/jobs?state=done&tag=pay_cancle",
    "/console/jobs?failures=20",
    "/console/jobs?failures=1000",
    "/console/jobs?serial=nothing",
    "/console/jobs?error=nothing",
    "/console/audit?act=job_redrive",
    "/console/audit?actor=ops",
    "/console/audit?actor=nobody",
    "/console/audit?actor=nobody&act=order_read",
    // The search, by each kind of text: names, parts that few, many and all have, phones, errors, departures.
    "/console/search?q=load77",
    "/console/search?q=user4711@example.org",
    "/console/search?q=oad7",
    "/console/search?q=%E7%8E%8B%E5%B0%8F%E6%98%8E",
    "/console/search?q=example.com",
    "/console/search?q=user",
    "/console/search?q=9003",
    "/console/search?q=lock+timeout",
    "/console/search?q=bus+3+tomorrow+8:00",
    "/console/search?q=0f4b8d2e7c31",
    "/console/riders?who=example.org",
];

/// The part of the addresses that are looked at, if not all are.
pub fn some_pages() -> Option<String> {
    std::env::var("BENCH_PAGES").ok()
}

/// The addresses of every page, with ids that are in the middle of the data.
pub async fn pages(pool: &PgPool) -> Vec<String> {
    let one = async |sql: &'static str| -> String { sqlx::query_scalar(sql).fetch_one(pool).await.unwrap() };
    let paid = one("select o.id::text from trip t join orders o on o.trip_id = t.id
                    where t.departs_at > now() and o.status = 'paid' limit 1")
    .await;
    let unpaid = one("select key from queue.job where tag = 'order_unpaid' limit 1").await;
    let refunded = one("select order_id::text from ledger_entry where kind = 'refund' limit 1").await;
    let rider = one("select rider_id::text from wallet limit 1").await;
    let trip = one("select trip_id::text from seat where order_id is not null limit 1").await;
    let dead = one("select id::text from queue.dead_letter limit 1").await;
    let finished = one("select id::text from queue.finished where outcome = 'done' limit 1").await;
    let live = one("select id::text from queue.job where tag = 'order_unpaid' limit 1").await;
    let error = one("select fingerprint from queue.dead_letter where fingerprint is not null limit 1").await;
    let mistake = one("select order_id::text from payment where state = 'reversed' limit 1").await;
    let long_ago = (chrono::Utc::now() - chrono::Duration::days(10)).date_naive();
    let bulk = one("select id::text from bulk order by covers desc limit 1").await;
    let trace =
        one("select failures -> -1 ->> 'trace_id' from queue.finished where failures <> '[]' limit 1").await;
    let request = one("select key from idempotency limit 1").await.replace(' ', "+");
    let mut pages = vec![
        format!("/console/jobs/{dead}"),
        format!("/console/jobs/{finished}"),
        format!("/console/jobs/{live}"),
        format!("/console/orders/{paid}"),
        format!("/console/orders/{unpaid}"),
        format!("/console/orders/{refunded}"),
        format!("/console/trips/{trip}"),
        format!("/console/trips/{trip}/manifest"),
        format!("/console/trips/{trip}/change"),
        format!("/console/riders/{rider}"),
        format!("/console/search?q={paid}"),
        format!("/console/search?q={dead}"),
        format!("/console/jobs?key={paid}"),
        format!("/console/jobs?order={paid}"),
        format!("/console/jobs?rider={rider}"),
        format!("/console/jobs?trip={trip}"),
        format!("/console/jobs?after={finished}"),
        format!("/console/jobs?error={error}"),
        format!("/console/jobs?rider={rider}&trip={trip}"),
        format!("/console/orders/{mistake}"),
        format!("/console/orders?trip={trip}&seat=1"),
        format!("/console/jobs/{dead}/redrive"),
        format!("/console/jobs/{live}/cancel"),
        format!("/console/orders/{paid}/refund"),
        format!("/console/orders/{unpaid}/close"),
        format!("/console/orders/{unpaid}/note"),
        format!("/console/trips/{trip}/cancel"),
        format!("/console/trips?day={long_ago}&bus=3&state=departed"),
        format!("/console/riders/{rider}/top-up"),
        format!("/console/audit?subject={paid}"),
        format!("/console/audit?order={paid}"),
        format!("/console/bulk/new?act=redrive&error={error}"),
        format!("/console/search?q={trace}"),
        format!("/console/search?q={request}"),
        format!("/console/search?q={}", &dead[dead.len() - 12..]),
        format!("/console/search?q={}", &trip[trip.len() - 12..]),
        format!("/console/search?q={}", &rider[rider.len() - 12..]),
    ];
    pages.extend(of_operation(&bulk));
    pages.extend([
        format!("/console/search?q={}", &paid[paid.len() - 12..]),
        format!("/console/search?q={error}"),
    ]);
    pages.extend(lists_of_orders(&trip, &rider, long_ago));
    pages.extend(lists_of_jobs());
    pages.extend(WITHOUT_IDS.map(str::to_owned));
    pages.retain(|page| some_pages().is_none_or(|some| page.contains(&some)));
    pages
}

/// The lists of orders with their filters.
fn lists_of_orders(trip: &str, rider: &str, day: chrono::NaiveDate) -> [String; 4] {
    [
        format!("/console/orders?trip={trip}"),
        format!("/console/orders?rider={rider}"),
        format!("/console/orders?departs={day}"),
        format!("/console/orders?rider={rider}&state=refunded"),
    ]
}

/// The lists of jobs by state, by tag, and by an hour of ten days ago.
fn lists_of_jobs() -> Vec<String> {
    let mut pages: Vec<String> = ["ready", "delayed", "running", "done", "dead", "cancelled"]
        .map(|state| format!("/console/jobs?state={state}"))
        .to_vec();
    pages.extend(farebox_jobs::MqTag::ALL.map(|tag| format!("/console/jobs?tag={tag}")));
    let since = chrono::Utc::now() - chrono::Duration::days(10);
    let before = since + chrono::Duration::hours(1);
    let time = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (since, before) = (time(since), time(before));
    pages.extend([
        format!("/console/jobs?since={since}&before={before}"),
        format!("/console/jobs?ended_from={since}&ended_to={before}"),
        format!("/console/jobs?ended_from={since}&ended_to={before}&state=cancelled"),
    ]);
    pages
}

/// The pages of an operation on many jobs.
fn of_operation(bulk: &str) -> Vec<String> {
    let mut pages = vec![
        format!("/console/bulk/{bulk}"),
        format!("/console/bulk/{bulk}/stop"),
        format!("/console/bulk/{bulk}?after=90000"),
    ];
    pages.extend(
        ["healed", "failed", "trying", "cancelled", "left", "open"]
            .map(|verdict| format!("/console/bulk/{bulk}?outcome={verdict}")),
    );
    pages
}
