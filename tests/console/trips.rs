//! Trips: found by what operators know of them, and cancelled before their eyes.

use super::{a11y::Accessibility, session::ConsoleSession, short};
use crate::harness::{Browser, World, count};
use chrono::{Duration, NaiveDate, Utc};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Of a page of the list.
const PAGE: usize = 50;

/// The departure is typed; another bus's name cancels nothing, and the reason stays in the form.
async fn is_cancelled_by_its_name(world: &World, browser: &Browser, trip: &str) {
    the_preview_says_what_riders_read(browser).await;
    browser.fill("Reason", "snow on the pass").await;
    browser.fill("Type the departure:", "Bus 9 99:99").await;
    browser.click("Cancel the trip").await;
    browser.sees("type: Bus ").await;
    assert_eq!(browser.complaints().await.len(), 1, "of the refusal's status alone");
    let cancelled = "select count(*) from trip where cancelled_at is not null";
    assert_eq!(count(&world.pool, cancelled).await, 0);
    let named = "return document.querySelector('label[for=departure] strong').innerText";
    let name = browser.run(named).await.as_str().unwrap().to_owned();
    browser.fill("Type the departure:", &name.to_lowercase()).await;
    browser.click("Cancel the trip").await;
    browser.sees("Cancel the trip ✓").await;
    browser.sees("Riders to call").await;
    browser.sees("Riders read: The pass is closed").await;
    nothing_more_can_be_done(browser, trip).await;
}

/// A cancelled trip offers no act, and the address of an act says why.
async fn nothing_more_can_be_done(browser: &Browser, trip: &str) {
    let acts = "return [...document.querySelectorAll('main a.button')].filter(a => \
        /(block|release|cancel|change)$/.test(a.pathname)).length";
    assert_eq!(browser.run(acts).await, 0);
    browser.goto(&format!("/console/trips/{trip}/cancel")).await;
    browser.sees("Nothing can be changed any more").await;
    assert_eq!(browser.run("return document.querySelectorAll('main form').length").await, 0);
    browser.click("To the trip").await;
}

/// The ids of the trips that a page lists.
fn listed(page: &str) -> Vec<String> {
    let links = page.split("href=\"/console/trips/").skip(1).map(|rest| rest.split('"').next().unwrap());
    links.filter(|id| id.parse::<Uuid>().is_ok()).map(str::to_owned).collect()
}

/// The address of the next page, as its link has it.
fn next(page: &str) -> Option<String> {
    let link = page.split("<a ").find(|link| link.contains("rel=\"next\""))?;
    Some(link.split("href=\"").nth(1)?.split('"').next()?.replace("&amp;", "&"))
}

/// Trips without seats at noon of a day in the timetable's zone, two minutes after each other, on
/// both buses and in both directions by turns; their ids in the order of departure.
async fn timetable(world: &World, day: NaiveDate, many: i32) -> Vec<String> {
    let sql = "insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity)
               select gen_random_uuid(), 1 + n % 2, n % 2, at, at + interval '1 minute', 4.00, 20
               from generate_series(0, $2 - 1) as n,
                    lateral (select ($1::date + time '12:00') at time zone 'Asia/Shanghai' + n / 2 * interval '2 minutes' as at) as a";
    sqlx::query(sql).bind(day).bind(many).execute(&world.pool).await.unwrap();
    let sql = "select id::text from trip where departs_at >= $1::date::timestamp at time zone 'Asia/Shanghai'
               and departs_at < ($1::date + 1)::timestamp at time zone 'Asia/Shanghai' order by departs_at, id";
    sqlx::query_scalar(sql).bind(day).fetch_all(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn trips_are_found_by_direction_bus_and_state_page_by_page() {
    let world = World::new().await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let today = (Utc::now() + Duration::hours(8)).date_naive();
    let (ahead, past) = (today + Duration::days(3), today - Duration::days(3));
    let (coming, gone) = (timetable(&world, ahead, 240).await, timetable(&world, past, 4).await);
    for trip in [&coming[7], &gone[1]] {
        let sql = "update trip set cancelled_at = created_at where id = $1::uuid";
        sqlx::query(sql).bind(trip).execute(&world.pool).await.unwrap();
    }
    let found = async |query: &str| {
        let (mut all, mut address) = (Vec::new(), Some(format!("/console/trips?{query}")));
        while let Some(path) = address {
            let page = ops.page(&path).await;
            let some = listed(&page);
            assert!(some.len() <= PAGE, "{path}");
            all.extend(some);
            address = next(&page);
            assert!(address.is_none() || all.len() % PAGE == 0, "only the last page is short: {path}");
        }
        all
    };
    assert_eq!(found(&format!("day={ahead}")).await, coming, "every trip once, in the order of departure");
    let open = found(&format!("day={ahead}&direction=1&state=open&bus=")).await;
    assert!(open.len() > PAGE, "more than a page: the filter is kept from page to page");
    let back = found(&format!("day={ahead}&bus=2")).await;
    assert_eq!(back.len(), 120);
    assert_eq!(found(&format!("day={ahead}&direction=1")).await, back, "bus 2 goes that way alone");
    let (open, cancelled): (BTreeSet<_>, BTreeSet<_>) =
        (open.into_iter().collect(), [coming[7].clone()].into_iter().collect());
    assert_eq!(&open | &cancelled, &back.into_iter().collect() | &cancelled, "all but the cancelled one");
    assert_eq!(found(&format!("day={ahead}&direction=0&bus=2")).await, Vec::<String>::new());
    assert_eq!(found(&format!("day={ahead}&state=cancelled")).await, [coming[7].clone()]);
    assert_eq!(found(&format!("day={ahead}&state=departed")).await, Vec::<String>::new());
    assert_eq!(found(&format!("day={past}&state=cancelled")).await, [gone[1].clone()]);
    assert_eq!(found(&format!("day={past}&state=open")).await, Vec::<String>::new());
    assert_eq!(
        found(&format!("day={past}&state=departed")).await.len(),
        3,
        "a cancelled trip has not departed"
    );

    let page = ops.page(&format!("/console/trips?day={ahead}&direction=1&bus=2&state=open")).await;
    let tomorrow = ahead + Duration::days(1);
    let link = format!("/console/trips?day={tomorrow}&amp;direction=1&amp;bus=2&amp;state=open");
    assert!(page.contains(&link), "another day of the same: {page}");
    assert!(page.contains("<option value=\"open\" selected>"), "the form says what is shown: {page}");
    let listed = ops.page("/console/trips?direction=1&bus=2").await;
    for (ahead, words) in [(-1, "Yesterday"), (0, "Today"), (1, "Tomorrow"), (6, "")] {
        let day = today + Duration::days(ahead);
        let named = if words.is_empty() { day.format("%a %-d %b").to_string() } else { words.to_owned() };
        let link = format!("<a class=\"button\" href=\"/console/trips?day={day}&amp;direction=1&amp;bus=2\"");
        let link = listed.split(&link).nth(1).unwrap_or_else(|| panic!("no {named}: {listed}"));
        assert!(link.split("</a>").next().unwrap().ends_with(&format!(">{named}")), "{named}: {listed}");
    }
    assert!(listed.contains("<option value=\"1\" selected>return</option>"), "a name: {listed}");
    for bad in ["direction=up", "bus=red", "state=late", "after=the+last"] {
        assert_eq!(ops.status("GET", &format!("/console/trips?{bad}"), None).await, 422, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_trips_orders_end_live_on_its_page() {
    let world = World::new().await;
    // More seats than one transaction of the job reads.
    let trip = world.trip(600).await;
    let (near, far) = (world.rider("20.00").await, world.rider("20.00").await);
    let paid = near.booked(&trip, &["1", "2"]).await;
    near.pay(&paid).await.expect(200);
    let unpaid = near.booked(&trip, &["3"]).await;
    let far_paid = far.booked(&trip, &["550"]).await;
    far.pay(&far_paid).await.expect(200);
    let far_unpaid = far.booked(&trip, &["560"]).await;

    let browser = Browser::signed_in(&world, "ops").await;
    let mut accessibility = Accessibility::default();
    browser.click("Trips").await;
    let sql = "select (departs_at at time zone 'Asia/Shanghai')::date from trip where id = $1::uuid";
    let day: NaiveDate = sqlx::query_scalar(sql).bind(&trip).fetch_one(&world.pool).await.unwrap();
    browser.goto(&format!("/console/trips?day={day}&direction=0&state=open")).await;
    accessibility.at(&browser, "trips").await;
    browser.click(&short(&trip)).await;
    browser.sees("595 / 600").await;
    browser.click("Cancel the trip").await;
    browser.sees("4 orders of 2 riders end: 12.00\u{a0}CNY is given back").await;
    the_preview_names_riders(
        &browser,
        &[(&paid, "rider0"), (&unpaid, "rider0"), (&far_paid, "rider1"), (&far_unpaid, "rider1")],
    )
    .await;
    the_preview_names_seats_and_money(
        &browser,
        &[(&paid, "1, 2", "8.00"), (&unpaid, "3", "4.00"), (&far_paid, "550", "4.00")],
    )
    .await;
    accessibility.at(&browser, "cancel the trip").await;
    is_cancelled_by_its_name(&world, &browser, &trip).await;
    browser.sees("0 / 4 orders ended").await;
    browser.sees("snow on the pass").await;
    accessibility.on_every_screen(&browser, "a trip that is being cancelled").await;
    browser.until("the page is live", "document.documentElement.dataset.live === 'on'").await;
    browser.run("window.untouched = true").await;

    // Somebody holds an order of the second window: the first one's orders end meanwhile.
    let mut holder = world.pool.begin().await.unwrap();
    let held = "select from orders where id = $1::uuid for update";
    sqlx::query(held).bind(&far_unpaid).execute(&mut *holder).await.unwrap();
    let _worker = world.worker();
    browser.sees("2 / 4 orders ended").await;
    holder.rollback().await.unwrap();
    browser.sees("4 / 4 orders ended").await;
    browser.until("it is over", "document.querySelector('#trip .verdict').classList.contains('good')").await;
    browser
        .until("no seat is left", "document.querySelectorAll('.bus td.seat.blocked').length === 600")
        .await;
    browser.until("nobody loaded it again", "window.untouched === true").await;
    accessibility.at(&browser, "a cancelled trip").await;

    world.drained().await;
    for (order, status) in
        [(&paid, "refunded"), (&unpaid, "closed"), (&far_paid, "refunded"), (&far_unpaid, "closed")]
    {
        assert_eq!(world.order(order).await["status"], status);
    }
    assert_eq!((near.balance().await.as_str(), far.balance().await.as_str()), ("20.00", "20.00"));
    assert_eq!(world.ledger(&paid).await, ["payment", "refund"]);
    world.verify().await;

    the_log_tells_of_it(&world, &browser, &trip).await;
    browser.check().await;
    accessibility.found_nothing();
}

/// What riders would read; the message that breaks the rule stays in its field.
async fn the_preview_says_what_riders_read(browser: &Browser) {
    browser.sees("Riders read: the trip is cancelled").await;
    browser.fill("Message to riders", "\u{202e}backwards").await;
    browser.click("Preview").await;
    browser.until("the rule is said", "document.querySelector('.fault')?.innerText.length > 0").await;
    browser.fill("Message to riders", " The pass is closed ").await;
    browser.click("Preview").await;
    browser.sees("Riders read: the trip is cancelled: The pass is closed").await;
    browser.sees("4 orders of 2 riders end: 12.00 CNY is given back").await;
}

/// Orders and the riders whose the seats are.
async fn the_preview_names_riders(browser: &Browser, orders: &[(&str, &str)]) {
    for (order, name) in orders {
        let seat = format!(
            "[...document.querySelectorAll('#riders tbody tr')].some(seat => seat.textContent.includes('{}') && seat.textContent.includes('{name}'))",
            short(order)
        );
        browser.until("the preview says whose the seats are", &seat).await;
    }
}

/// Orders, their seats, and what is given back or will not be paid.
async fn the_preview_names_seats_and_money(browser: &Browser, orders: &[(&str, &str, &str)]) {
    for (order, seats, amount) in orders {
        let row = format!(
            "[...document.querySelectorAll('tbody tr')].some(row => [{}, {}, {}].every(said => row.innerText.includes(said)))",
            json!(short(order)),
            json!(seats),
            json!(amount)
        );
        browser.until("the preview says which seats and how much money", &row).await;
    }
}

async fn the_log_tells_of_it(world: &World, browser: &Browser, trip: &str) {
    browser.click("Audit").await;
    browser.fill("Act", "trip_cancel").await;
    browser.click("Filter").await;
    browser.until("the log is filtered", "location.search.includes('act=trip_cancel')").await;
    for said in ["ops · operator · console", "trip_cancel", "snow on the pass", trip] {
        browser.sees(said).await;
    }
    let about = world.ops.get("/v1/ops/audit?act=trip_cancel").await;
    assert_eq!(
        about.expect(200)["items"][0]["detail"],
        json!({"orders": 4, "left": 4, "message": "The pass is closed"})
    );
}
