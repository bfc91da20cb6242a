//! Lists: each has its next page and an order that its reader needs; a seat is in every list what a
//! booking finds it to be.

use crate::{
    console::session::ConsoleSession,
    harness::{Client, Process, RedisServer, World, count},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One more than the first page of a day holds.
const TRIPS: i64 = 501;

/// A day with this number of trips, of which several leave at the same minute.
async fn day_with_trips(world: &World) -> &'static str {
    sqlx::query(
        "with made as (
             insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, shares_bus)
             select gen_random_uuid(), 1, n % 2, at, at + interval '1 hour', 4.00, 1, true
             from generate_series(1, $1) n,
                  lateral (select timestamptz '2031-05-01 01:00:00+00' + n / 3 * interval '1 minute' as at) as t
             returning id)
         insert into seat (trip_id, seat) select id, 1 from made",
    )
    .bind(TRIPS)
    .execute(&world.pool)
    .await
    .unwrap();
    "2031-05-01"
}

fn field<'a>(page: &'a Value, name: &str) -> Vec<&'a str> {
    page["items"].as_array().unwrap().iter().map(|item| item[name].as_str().unwrap()).collect()
}

/// The pages of a list one after the other, as they come.
async fn walk(client: &Client, path: &str, limit: u16) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}limit={limit}{after}")).await;
        let items = page.expect(200)["items"].as_array().unwrap().clone();
        assert!(items.len() <= usize::from(limit));
        all.extend(items);
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_501st_trip_of_a_day_is_on_the_next_page() {
    let world = World::new().await;
    let day = day_with_trips(&world).await;
    let redis = RedisServer::start();
    // Long enough that no page is read twice: a page that was taken for another would be seen.
    let env = [("FAREBOX__REDIS__URL", redis.url()), ("FAREBOX__REDIS__TRIPS_MS", "60000".to_owned())];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let cached = Process::api(&world.db.url, &env);
    for base in [world.api.base(), cached.base()] {
        let anybody = Client::stranger(&base);
        let first = anybody.get(&format!("/v1/trips?date={day}")).await;
        let (ids, next) = (field(first.expect(200), "id"), first.body["next"].as_str().unwrap());
        assert_eq!((ids.len(), ids[499]), (500, next));
        let second = anybody.get(&format!("/v1/trips?date={day}&after={next}")).await;
        let last = field(second.expect(200), "id");
        assert_eq!((last.len(), &second.body["next"]), (1, &Value::Null));
        assert!(!ids.contains(&last[0]));

        let all = walk(&anybody, &format!("/v1/trips?date={day}&"), 70).await;
        let each: BTreeSet<&str> = all.iter().map(|trip| trip["id"].as_str().unwrap()).collect();
        assert_eq!((all.len(), each.len()), (501, 501), "each trip once");
        assert!(all.iter().map(|trip| trip["departs_at"].as_str().unwrap()).is_sorted());
        let one_way = walk(&anybody, &format!("/v1/trips?date={day}&direction=1&"), 100).await;
        assert_eq!(one_way.len(), 251);
        assert!(one_way.iter().all(|trip| trip["direction"] == 1));

        let nowhere = uuid::Uuid::now_v7().to_string();
        for (asked, at_fault) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("after=zzz", "after"),
            (&format!("after={nowhere}"), "after"),
        ] {
            let refused = anybody.get(&format!("/v1/trips?date={day}&{asked}")).await;
            assert_eq!(refused.problem(422, "003074")["field"], at_fault, "{asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_description_has_the_pages_of_each_list() {
    /// One item a tag, and so all of them on one page.
    const WHOLE: [&str; 1] = ["/v1/ops/queues"];
    let world = World::new().await;
    let document = Client::stranger(&world.api.base()).get("/openapi.json").await;
    let (mut paged, mut lists) = (BTreeSet::new(), BTreeSet::new());
    for (path, methods) in document.expect(200)["paths"].as_object().unwrap() {
        let names: Vec<&str> = methods["get"]["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        if names.contains(&"after") && names.contains(&"limit") {
            paged.insert(path.as_str());
        }
        let schema = &methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let fields = &document.body["components"]["schemas"][schema]["properties"];
        if schema.starts_with("PageOf") || (fields.get("items").is_some() && fields.get("next").is_some()) {
            lists.insert(path.as_str());
        }
    }
    assert!(lists.len() >= 12, "{lists:?}");
    lists.retain(|path| !WHOLE.contains(path));
    assert_eq!(lists, paged, "each list has its next page, and nothing else");
    let whole = &document.body["paths"][WHOLE[0]]["get"]["responses"]["200"]["description"];
    assert!(whole.as_str().unwrap().contains("`next` is always null"), "{whole}");
    for path in lists {
        let path = path.replace("{id}", &uuid::Uuid::now_v7().to_string());
        for (asked, at_fault) in [
            ("limit=0", "limit"),
            ("limit=10001", "limit"),
            ("limit=x", "limit"),
            ("after=zzz", "after"),
            ("after=", "after"),
        ] {
            let refused = world.ops.get(&format!("{path}?{asked}")).await;
            assert_eq!(refused.problem(422, "003074")["field"], at_fault, "{path}?{asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_workers_have_their_next_page() {
    const KINDS: i32 = 130;
    let world = World::new().await;
    // Kinds of errors that differ by letters alone, as digits do not count: the first has three
    // dead letters, the next two of the same moment two, all others one.
    sqlx::query(
        "insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at,
                                        died_at)
         select gen_random_uuid(), case when n % 2 = 0 then 'order_unpaid' else 'order_add_seats_cancle' end, 'k',
                '{}', 25, 25, 'exhausted',
                jsonb_build_array(jsonb_build_object('attempt', 25, 'error', 'kind ' || translate(n::text, '0123456789', 'ghijklmnop'))),
                now(), now(), '2026-01-01 00:00Z'::timestamptz + n / 3 * interval '1 us'
         from generate_series(1, $1) n, generate_series(1, case n when 100 then 3 when 51 then 2 when 52 then 2 else 1 end)",
    )
    .bind(KINDS)
    .execute(&world.pool)
    .await
    .unwrap();
    let first = world.ops.get("/v1/ops/errors").await;
    assert_eq!(first.expect(200)["items"].as_array().unwrap().len(), 100);
    let after = first.body["next"].as_str().unwrap();
    let second = world.ops.get(&format!("/v1/ops/errors?after={after}")).await;
    let whole = [&first, &second].map(|page| page.expect(200)["items"].as_array().unwrap().clone()).concat();
    assert_eq!((whole.len(), &second.body["next"]), (130, &Value::Null));
    let kinds: BTreeSet<&str> = whole.iter().map(|group| group["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 130, "each once");
    let dead: Vec<i64> = whole.iter().map(|group| group["dead"].as_i64().unwrap()).collect();
    assert_eq!(dead[..4], [3, 2, 2, 1], "most of it first");
    for limit in [1, 7, 100] {
        assert_eq!(walk(&world.ops, "/v1/ops/errors?", limit).await, whole, "{limit} a page");
    }
    let of_tag = walk(&world.ops, "/v1/ops/errors?tag=order_unpaid&", 9).await;
    assert_eq!(of_tag.len(), 65);
    // A cursor holds though its group is gone.
    let first = world.ops.get("/v1/ops/errors?limit=2").await;
    let after = first.expect(200)["next"].as_str().unwrap();
    let gone = first.body["items"][1]["fingerprint"].as_str().unwrap();
    sqlx::query("delete from queue.dead_letter where fingerprint = $1")
        .bind(gone)
        .execute(&world.pool)
        .await
        .unwrap();
    let second = world.ops.get(&format!("/v1/ops/errors?limit=1&after={after}")).await;
    assert_eq!(second.expect(200)["items"][0], whole[2]);
    for wrong in [gone, "1.2", "1.x.abc", "x.1.abc", "1.2.", "1.2.a%27b", "99999999999999999999.1.abc"] {
        let refused = world.ops.get(&format!("/v1/ops/errors?after={wrong}")).await;
        assert_eq!(refused.problem(422, "003074")["field"], "after", "{wrong}");
    }

    sqlx::query(
        "insert into queue.worker (id, name, host, pid, build, tags, slots, held, state, lease_secs, started_at)
         select 'w.' || n, 'w', 'h', 1, 'b', '{order_unpaid}', 1, 0, 'working', 30, now() - n / 3 * interval '1 s'
         from generate_series(1, 1001) n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let first = world.ops.get("/v1/ops/workers").await;
    let after = first.expect(200)["next"].as_str().unwrap();
    let second = world.ops.get(&format!("/v1/ops/workers?after={after}")).await;
    let ids = [field(&first.body, "id"), field(second.expect(200), "id")];
    assert_eq!((ids[0].len(), ids[1].len(), &second.body["next"]), (1_000, 1, &Value::Null));
    let all = walk(&world.ops, "/v1/ops/workers?", 400).await;
    let all: Vec<&str> = all.iter().map(|worker| worker["id"].as_str().unwrap()).collect();
    assert_eq!(all, ids.concat());
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 1_001, "each once");
    // A cursor holds though its worker is gone.
    let after =
        world.ops.get("/v1/ops/workers?limit=5").await.expect(200)["next"].as_str().unwrap().to_owned();
    sqlx::query("delete from queue.worker where id = $1").bind(all[4]).execute(&world.pool).await.unwrap();
    let second = world.ops.get(&format!("/v1/ops/workers?limit=1&after={after}")).await;
    assert_eq!(field(second.expect(200), "id"), all[5..6]);
    for wrong in ["w.1", "12", "12.", ".w"] {
        let refused = world.ops.get(&format!("/v1/ops/workers?after={wrong}")).await;
        assert_eq!(refused.problem(422, "003074")["field"], "after", "{wrong}");
    }
    let queues = world.ops.get("/v1/ops/queues").await;
    let tags: BTreeSet<&str> = field(queues.expect(200), "tag").into_iter().collect();
    assert_eq!(
        (tags.len(), &queues.body["next"]),
        (farebox_jobs::MqTag::ALL.len(), &Value::Null),
        "all tags on the page"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn departures_that_could_not_be_made_are_a_list() {
    let world = World::new().await;
    sqlx::query(
        "insert into departure_not_made (timetable_id, service_date, error)
         select n % 17 + 1, current_date + n / 17, 'no driver ' || n from generate_series(0, 109) n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let path = "/v1/ops/departures-not-made";
    let first = world.ops.get(path).await;
    assert_eq!(first.expect(200)["items"].as_array().unwrap().len(), 20);
    let one = &first.body["items"][3];
    let line: (i32, i16) = sqlx::query_as("select bus_id, direction from timetable where id = 4")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let fields = (&one["timetable_id"], &one["bus_id"], &one["direction"], &one["error"]);
    assert_eq!(fields, (&json!(4), &json!(line.0), &json!(line.1), &json!("no driver 3")), "{one}");
    assert!(one["at"].as_str().unwrap().ends_with('Z') && one["service_date"].is_string(), "{one}");
    for limit in [1, 20, 100] {
        let all = walk(&world.ops, &format!("{path}?"), limit).await;
        let order: Vec<String> = all.iter().map(|one| one["error"].as_str().unwrap().to_owned()).collect();
        let expected: Vec<String> = (0..110).map(|n| format!("no driver {n}")).collect();
        assert_eq!(order, expected, "the next ones first, each once");
    }
    // A cursor holds though its departure is made meanwhile.
    let after = first.body["next"].as_str().unwrap();
    sqlx::query("delete from departure_not_made where error = 'no driver 19'")
        .execute(&world.pool)
        .await
        .unwrap();
    let second = world.ops.get(&format!("{path}?limit=1&after={after}")).await;
    assert_eq!(field(second.expect(200), "error"), ["no driver 20"]);
    for wrong in ["2026-01-01", "2026-01-01.x", "2026-1-1.3", "10000-01-01.3", "3"] {
        let refused = world.ops.get(&format!("{path}?after={wrong}")).await;
        assert_eq!(refused.problem(422, "003074")["field"], "after", "{wrong}");
    }
    // The console shows the first 100 of them, and says that there are more.
    let page = ConsoleSession::enter(&world, "ops").await.page("/console/trips").await;
    assert!(page.contains("no driver 100") && !page.contains("no driver 101"), "{page}");
    assert!(page.contains("There are more"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_caches_first_pages_only() {
    let world = World::new().await;
    let day = day_with_trips(&world).await;
    let redis = RedisServer::start();
    let env = [("FAREBOX__REDIS__URL", redis.url()), ("FAREBOX__REDIS__TRIPS_MS", "600000".to_owned())];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let cached = Process::api(&world.db.url, &env);
    let anybody = Client::stranger(&cached.base());
    let path = format!("/v1/trips?date={day}");
    let first = anybody.get(&path).await;
    let after = first.expect(200)["next"].as_str().unwrap();
    assert_eq!(redis.say("DBSIZE"), ":1");
    for limit in 1..=50 {
        anybody.get(&format!("{path}&limit={limit}")).await.expect(200);
        anybody.get(&format!("{path}&limit={limit}&after={after}")).await.expect(200);
    }
    anybody.get(&format!("{path}&after={after}")).await.expect(200);
    assert_eq!(redis.say("DBSIZE"), ":1", "what clients choose is not kept");
    // It is the first page that is kept, named limit or not.
    let soonest = field(&first.body, "id")[0];
    sqlx::query("update trip set bus_id = 2 where id = $1::uuid")
        .bind(soonest)
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(anybody.get(&format!("{path}&limit=500")).await.text, first.text);
    let read = anybody.get(&format!("{path}&limit=499")).await;
    assert_eq!((field(read.expect(200), "id")[0], &read.body["items"][0]["bus_id"]), (soonest, &json!(2)));
    anybody.get(&format!("{path}&direction=1")).await.expect(200);
    assert_eq!(redis.say("DBSIZE"), ":2");
}

/// Moves a trip so that it leaves in this number of minutes.
async fn leaves_in(world: &World, trip: &str, minutes: i32) {
    sqlx::query(
        "update trip set departs_at = date_trunc('minute', now()) + make_interval(mins => $2),
                         arrives_at = date_trunc('minute', now()) + make_interval(mins => $2 + 30) where id = $1::uuid",
    )
    .bind(trip)
    .bind(minutes)
    .execute(&world.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_riders_orders_are_sorted_by_what_the_rider_needs() {
    let world = World::new().await;
    let rider = world.rider("500.00").await;
    let mut trips = Vec::new();
    for _ in 0..6 {
        trips.push(world.trip(4).await);
    }
    let mut orders = Vec::new();
    for trip in &trips {
        let order = rider.booked(trip, &["1"]).await;
        rider.pay(&order).await.expect(200);
        orders.push(order);
    }
    // Booked in one order, leaving in another; two leave at the same minute.
    let minutes = [600, 120, 480, 120, 360, 240];
    for (trip, minutes) in trips.iter().zip(minutes) {
        leaves_in(&world, trip, minutes).await;
    }
    let upcoming = [1, 3, 5, 4, 2, 0].map(|at: usize| orders[at].as_str());
    for limit in [1, 2, 5, 100] {
        let seen = walk(&rider, "/v1/orders?list=upcoming&", limit).await;
        let ids: Vec<&str> = seen.iter().map(|order| order["id"].as_str().unwrap()).collect();
        assert_eq!(ids, upcoming, "{limit} a page");
    }
    let page = rider.get("/v1/orders?list=upcoming").await;
    let next_ride = &page.expect(200)["items"][0];
    let trip = rider.get(&format!("/v1/trips/{}", trips[1])).await;
    for name in ["departs_at", "arrives_at", "bus_id", "direction"] {
        assert_eq!(next_ride[name], trip.expect(200)[name], "{name}");
        let alone = rider.get(&format!("/v1/orders/{}", orders[1])).await;
        assert_eq!(alone.expect(200)[name], trip.body[name], "{name}");
    }

    // A cursor holds though its order has left the list meanwhile.
    let first = rider.get("/v1/orders?list=upcoming&limit=2").await;
    let next = first.expect(200)["next"].as_str().unwrap().to_owned();
    assert_eq!(next, upcoming[1]);
    rider.refund(&next).await.expect(200);
    let second = rider.get(&format!("/v1/orders?list=upcoming&limit=2&after={next}")).await;
    assert_eq!(field(second.expect(200), "id"), upcoming[2..4]);
    let strange = rider.get(&format!("/v1/orders?list=upcoming&after={}", uuid::Uuid::now_v7())).await;
    assert_eq!(strange.problem(422, "003074")["field"], "after");

    // The last ride first.
    for (trip, minutes) in trips.iter().zip([-600, -120, -480, -120, -360, -240]) {
        leaves_in(&world, trip, minutes).await;
    }
    for limit in [1, 100] {
        let seen = walk(&rider, "/v1/orders?list=to_evaluate&", limit).await;
        let ids: Vec<&str> = seen.iter().map(|order| order["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [1, 5, 4, 2, 0].map(|at: usize| orders[at].as_str()));
    }
    for order in [4, 1, 0] {
        let path = format!("/v1/orders/{}/evaluation", orders[order]);
        rider.post(&path, &json!({"rating": 5})).await.expect(201);
    }
    let evaluated = rider.get("/v1/orders?list=evaluated").await;
    assert_eq!(field(evaluated.expect(200), "id"), [1, 4, 0].map(|at: usize| orders[at].as_str()));

    // What must be paid soonest first: a trip that leaves soon is to be paid sooner than one that
    // was booked before.
    let (late, soon) = (world.trip(4).await, world.trip_in(chrono::Duration::minutes(14), 4).await);
    let unpaid = [rider.booked(&late, &["1"]).await, rider.booked(&soon, &["1"]).await];
    let deadline =
        "update orders set expires_at = created_at + make_interval(mins => $2) where id = $1::uuid";
    for (order, minutes) in unpaid.iter().zip([9, 4]) {
        sqlx::query(deadline).bind(order).bind(minutes).execute(&world.pool).await.unwrap();
    }
    let listed = rider.get("/v1/orders?list=unpaid").await;
    assert_eq!(field(listed.expect(200), "id"), [&unpaid[1], &unpaid[0]]);
}

fn seat<'a>(trip: &'a Value, label: &str) -> &'a str {
    let seats = trip["seats"].as_array().unwrap();
    seats.iter().find(|seat| seat["seat"] == label).unwrap()["state"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_hold_is_as_free_as_a_booking_finds_it() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let (holder, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let path = format!("/v1/trips/{trip}");
    let day = chrono::Utc::now() + chrono::Duration::days(1);
    let free_of_day = async || {
        // The day as its zone has it: the list of either date holds the trip.
        let mut found = Vec::new();
        for date in [day - chrono::Duration::days(1), day, day + chrono::Duration::days(1)] {
            let list = other.get(&format!("/v1/trips?date={}", date.format("%F"))).await;
            let trips = list.expect(200)["items"].as_array().unwrap().clone();
            found
                .extend(trips.into_iter().find(|one| one["id"] == trip).map(|one| one["free_seats"].clone()));
        }
        assert_eq!(found.len(), 1, "on one day");
        found.remove(0)
    };
    let overdue = holder.booked(&trip, &["1", "2"]).await;
    let sold = holder.booked(&trip, &["3"]).await;
    holder.pay(&sold).await.expect(200);
    assert_eq!(free_of_day().await, 1);
    let seen = holder.get(&path).await;
    assert_eq!((seat(seen.expect(200), "1"), seat(&seen.body, "3")), ("mine", "mine"));
    assert_eq!(seat(other.get(&path).await.expect(200), "1"), "held");

    // No worker runs: nothing but time has passed.
    world.pass_deadline(&overdue).await;
    for (viewer, third) in
        [(&holder, "mine"), (&other, "sold"), (&Client::stranger(&world.api.base()), "sold")]
    {
        let seen = viewer.get(&path).await;
        let states = ["1", "2", "3", "4"].map(|label| seat(seen.expect(200), label).to_owned());
        assert_eq!(states, ["free", "free", third, "free"]);
        assert_eq!(seen.body["free_seats"], 3);
    }
    assert_eq!(free_of_day().await, 3);
    holder.pay(&overdue).await.problem(409, "006001");
    other.booked(&trip, &["1"]).await;
    assert_eq!(world.order(&overdue).await["status"], "closed");
    assert_eq!(free_of_day().await, 2);

    // An operator finds it free, too.
    let again = other.booked(&trip, &["2"]).await;
    world.pass_deadline(&again).await;
    let block = json!({"seats": ["2"], "reason": "a broken belt"});
    let blocked = world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &block).await;
    assert_eq!(blocked.expect(200)["blocked"], json!(["2"]));
    assert_eq!(world.order(&again).await["status"], "closed");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_timeline_has_its_next_page() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let path = format!("/v1/ops/orders/{order}/timeline");
    let whole = world.ops.get(&path).await;
    assert_eq!(whole.expect(200)["next"], Value::Null);
    assert_eq!(json!(walk(&world.ops, &format!("{path}?"), 2).await), whole.body["items"]);
    for (asked, at_fault) in [("limit=1001", "limit"), ("after=x", "after"), ("after=4294967295", "after")] {
        let refused = world.ops.get(&format!("{path}?{asked}")).await;
        assert_eq!(refused.problem(422, "003074")["field"], at_fault);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_queries_may_run_in_parallel() {
    let world = World::new().await;
    let sql = "select p.proname::text from pg_proc p join pg_language l on l.oid = p.prolang
               where p.pronamespace in ('public'::regnamespace, 'queue'::regnamespace) and l.lanname = 'sql'
                 and p.proparallel <> 's'";
    let unsafe_ones: Vec<String> = sqlx::query_scalar(sql).fetch_all(&world.pool).await.unwrap();
    assert_eq!(unsafe_ones, Vec::<String>::new());
    let seat_state = "select count(*) from pg_proc where proname = 'seat_state' and proparallel = 's'";
    assert_eq!(count(&world.pool, seat_state).await, 1);
}
