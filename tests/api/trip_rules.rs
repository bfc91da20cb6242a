//! The trips that may be: by the timetable across changes of the clock, and by operators.

use crate::{
    console::session::ConsoleSession,
    harness::{Database, Process, World, count, until},
};
use chrono::{DateTime, Duration, SubsecRound, Utc};
use chrono_tz::{
    America::Havana,
    Asia::{Beirut, Shanghai},
    Europe::Berlin,
    Tz,
};
use farebox::{storage::MIGRATIONS, trips::horizon};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

/// Adds a departure of bus 8's at this local minute, which takes this number of minutes.
async fn departure(pool: &PgPool, id: i32, minute: i32, takes: i32) {
    let sql = "insert into timetable (id, bus_id, direction, departs_minute, arrives_minute, price)
               values ($1, 8, 0, $2, $2 + $3, 4.00)";
    sqlx::query(sql).bind(id).bind(minute).bind(takes).execute(pool).await.unwrap();
}

/// When the trips of this departure leave and arrive, in order.
async fn times(pool: &PgPool, id: i32) -> Vec<(String, String)> {
    let sql = "select to_char(departs_at at time zone 'UTC', 'MM-DD HH24:MI'), to_char(arrives_at at time zone 'UTC', 'MM-DD HH24:MI')
               from trip where timetable_id = $1 order by departs_at";
    sqlx::query_as(sql).bind(id).fetch_all(pool).await.unwrap()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

async fn fill(world: &World, zone: Tz, now: &str, days: u16) -> u64 {
    let made = horizon::fill(&world.pool, zone, now.parse::<DateTime<Utc>>().unwrap(), days).await.unwrap();
    assert_eq!(made.skipped, []);
    made.trips
}

#[tokio::test(flavor = "multi_thread")]
async fn no_departure_is_lost_or_doubled_when_the_clocks_change() {
    let world = World::new().await;
    departure(&world.pool, 18, 150, 45).await; // 02:30 to 03:15
    // From noon of the 26th of March: the clocks go forward on the 28th, when 02:30 is 03:30.
    assert_eq!(fill(&world, Berlin, "2027-03-26T11:00:00Z", 4).await, 9 + 3 * 18);
    let spring =
        [("03-27 01:30", "03-27 02:15"), ("03-28 01:30", "03-28 02:15"), ("03-29 00:30", "03-29 01:15")];
    assert_eq!(times(&world.pool, 18).await, pairs(&spring));
    // 24:00 is the next day's midnight, before the clocks change and after.
    let midnights = [
        ("03-26 23:00", "03-26 23:30"),
        ("03-27 23:00", "03-27 23:30"),
        ("03-28 22:00", "03-28 22:30"),
        ("03-29 22:00", "03-29 22:30"),
    ];
    assert_eq!(times(&world.pool, 17).await, pairs(&midnights));
    // The clocks go back on the 31st of October, when 02:30 comes twice: the first is meant.
    fill(&world, Berlin, "2027-10-30T10:00:00Z", 3).await;
    let autumn = [("10-31 00:30", "10-31 01:15"), ("11-01 01:30", "11-01 02:15")];
    assert_eq!(times(&world.pool, 18).await[3..], pairs(&autumn));
    assert_eq!(fill(&world, Berlin, "2027-10-30T10:00:00Z", 3).await, 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_midnight_that_does_not_exist_or_comes_twice_has_its_departures_once() {
    let env = [("FAREBOX__TRIPS__ZONE", "America/Havana")];
    let world = World::with(&env).await;
    departure(&world.pool, 18, 0, 20).await; // 00:00 to 00:20
    sqlx::query("update timetable set bus_id = 7 where id = 18").execute(&world.pool).await.unwrap();
    departure(&world.pool, 19, 45, 10).await; // 00:45
    let of_day = async |day: &str| {
        let list = world.ops.get(&format!("/v1/trips?date={day}")).await.expect(200)["items"].clone();
        list.as_array()
            .unwrap()
            .iter()
            .map(|trip| trip["departs_at"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // On the 14th of March midnight is one o'clock.
    assert_eq!(fill(&world, Havana, "2027-03-13T17:00:00Z", 3).await, 9 + 2 * 19);
    let at_midnight = [("03-14 05:00", "03-14 05:20"), ("03-15 04:00", "03-15 04:20")];
    assert_eq!(times(&world.pool, 18).await, pairs(&at_midnight));
    let late =
        [("03-14 05:00", "03-14 05:30"), ("03-15 04:00", "03-15 04:30"), ("03-16 04:00", "03-16 04:30")];
    assert_eq!(times(&world.pool, 17).await, pairs(&late));
    assert_eq!(times(&world.pool, 19).await[0].0, "03-14 05:45");
    let day = of_day("2027-03-14").await;
    assert_eq!((day.len(), day[0].as_str()), (19, "2027-03-14T05:00:00.000000Z"), "{day:?}");
    // On the 7th of November the hour after midnight comes twice, and the day begins with the first.
    fill(&world, Havana, "2027-11-06T17:00:00Z", 3).await;
    assert_eq!(times(&world.pool, 18).await[2].0, "11-07 04:00");
    let day = of_day("2027-11-07").await;
    assert_eq!((day.len(), day[0].as_str()), (19, "2027-11-07T04:00:00.000000Z"), "{day:?}");
    let doubled =
        "select count(*) from (select from trip group by timetable_id, service_date having count(*) > 1) d";
    assert_eq!(count(&world.pool, doubled).await, 0);
    world.verify().await;

    // In Beirut midnight of the 28th of March is one o'clock.
    let world = World::new().await;
    departure(&world.pool, 18, 30, 20).await;
    assert_eq!(fill(&world, Beirut, "2027-03-27T10:00:00Z", 3).await, 9 + 2 * 18);
    assert_eq!(times(&world.pool, 17).await[0], ("03-27 22:00".to_owned(), "03-27 22:30".to_owned()));
    assert_eq!(times(&world.pool, 18).await[0], ("03-27 22:30".to_owned(), "03-27 22:50".to_owned()));
    world.verify().await;
}

/// Lets every connection made from now on believe that it is this time: the database's clock decides.
async fn set_clock(world: &World, now: &str) {
    let database: String =
        sqlx::query_scalar("select current_database()").fetch_one(&world.pool).await.unwrap();
    let sql = format!(
        "create or replace function public.now() returns timestamptz language sql stable as
             $$ select pg_catalog.now() + ({} * interval '1 second') $$;
         grant execute on function public.now() to public;
         alter database {database} set search_path = public, pg_catalog",
        (now.parse::<DateTime<Utc>>().unwrap() - Utc::now()).num_seconds()
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_makes_the_nights_on_which_clocks_change() {
    let world = World::new().await;
    departure(&world.pool, 18, 150, 45).await;
    set_clock(&world, "2027-03-23T12:00:00Z").await;
    let env = [("FAREBOX__TRIPS__HORIZON_DAYS", "7"), ("FAREBOX__TRIPS__ZONE", "Europe/Berlin")];
    let _worker = Process::worker(&world.db.url, &env, &[]);
    let waits = "select count(*) from queue.job where tag = 'timetable' and run_at = '2027-03-23T23:00:00Z'";
    until("the days are made, and the job waits for midnight", || async {
        count(&world.pool, waits).await == 1
    })
    .await;
    let made = times(&world.pool, 18).await;
    assert_eq!(made.len(), 6, "{made:?}");
    assert_eq!(made[4], ("03-28 01:30".to_owned(), "03-28 02:15".to_owned()), "{made:?}");
    let days = "select count(distinct service_date) from trip";
    assert_eq!(count(&world.pool, days).await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departure_that_cannot_be_made_stops_no_other_and_is_listed() {
    let world = World::new().await;
    // Both days stay within the horizon, and ahead, if it becomes midnight meanwhile.
    let day = Utc::now().with_timezone(&Shanghai).date_naive() + chrono::Days::new(2);
    // Bus 8 is away when departure 14 (17:00) of that day is to leave; departure 3 of the day after
    // breaks a rule.
    let departs = day.and_hms_opt(8, 30, 0).unwrap().and_utc();
    let body = json!({"bus_id": 8, "direction": 0, "departs_at": departs, "arrives_at": departs + Duration::hours(1), "price": "4.00"});
    let other = world.ops.post("/v1/ops/trips", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let after = day + chrono::Days::new(1);
    sqlx::raw_sql(AssertSqlSafe(format!(
        "create function bad() returns trigger language plpgsql as $$
         begin
             if new.timetable_id = 3 and new.service_date = '{after}' then raise exception 'no driver'; end if;
             return new;
         end $$;
         create trigger bad before insert on trip for each row execute function bad()"
    )))
    .execute(&world.pool)
    .await
    .unwrap();
    let worker = Process::worker(&world.db.url, &[("FAREBOX__TRIPS__HORIZON_DAYS", "5")], &[]);
    let waits = "select count(*) from queue.job where tag = 'timetable' and run_at > now()";
    until("the job has run and waits for midnight", || async { count(&world.pool, waits).await == 1 }).await;
    let made = async |date: chrono::NaiveDate| -> i64 {
        let sql = "select count(*) from trip where service_date = $1";
        sqlx::query_scalar(sql).bind(date).fetch_one(&world.pool).await.unwrap()
    };
    assert_eq!((made(day).await, made(after).await), (16, 16));
    let note: String = sqlx::query_scalar(
        "select note from queue.finished where tag = 'timetable' order by ended_at desc limit 1",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    let busy = format!("14 on {day} (bus 8 is on trip {other} at that time)");
    assert!(note.contains("2 departures not made: ") && note.contains(&busy), "{note}");
    assert!(note.contains(&format!("3 on {after}")) && note.contains("no driver"), "{note}");
    assert!(world.ops.get("/metrics").await.text.contains("farebox_departures_not_made 2\n"));
    worker.wait_for_line("a departure of the timetable could not be made");
    let listed = world.ops.get("/v1/ops/departures-not-made").await;
    let items = listed.expect(200)["items"].as_array().unwrap();
    let fields: Vec<_> = items.iter().map(|one| (&one["timetable_id"], &one["service_date"])).collect();
    assert_eq!(fields, [(&json!(14), &json!(day)), (&json!(3), &json!(after))], "{}", listed.text);
    assert_eq!(
        (&items[0]["bus_id"], &items[0]["error"]),
        (&json!(8), &json!(format!("bus 8 is on trip {other} at that time")))
    );
    let page = ConsoleSession::enter(&world, "ops").await.page("/console/trips").await;
    assert!(page.contains("Departures that could not be made") && page.contains(&other), "{page}");
    world.verify().await;

    // Once their causes are fixed they are made.
    sqlx::query("drop trigger bad on trip").execute(&world.pool).await.unwrap();
    world
        .ops
        .post(&format!("/v1/ops/trips/{other}/cancel"), &json!({"reason": "not needed"}))
        .await
        .expect(202);
    let id: String = sqlx::query_scalar("select id::text from queue.job where tag = 'timetable'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    world.ops.post(&format!("/v1/ops/jobs/{id}/retry"), &json!({})).await.expect(200);
    until("they are made", || async { made(day).await == 17 && made(after).await == 17 }).await;
    until("nothing is listed any more", || async {
        count(&world.pool, "select count(*) from departure_not_made").await == 0
    })
    .await;
}

fn trip(bus: i32, departs: DateTime<Utc>, takes: Duration) -> Value {
    json!({"bus_id": bus, "direction": 0, "departs_at": departs, "arrives_at": departs + takes, "price": "4.00"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_ahead_and_takes_a_minute_to_a_day() {
    let world = World::new().await;
    // A whole second: what is cut off it and what is added to it can be distinguished.
    let (hour, second) = (Duration::hours(1), Utc::now().trunc_subsecs(0) + Duration::days(1));
    let priced = |price: &str| {
        let mut body = trip(1, second, hour);
        body["price"] = json!(price);
        body
    };
    for (body, field) in [
        (trip(1, Utc::now() - hour, hour * 2), "/departs_at"),
        (trip(1, Utc::now() - Duration::days(36_500), hour), "/departs_at"),
        (trip(1, Utc::now() + Duration::days(367), hour), "/departs_at"),
        (trip(1, second, Duration::nanoseconds(1)), "/arrives_at"),
        (trip(1, second, Duration::microseconds(1)), "/arrives_at"),
        (trip(1, second, Duration::seconds(59)), "/arrives_at"),
        (trip(1, second, Duration::hours(24) + Duration::microseconds(1)), "/arrives_at"),
        (trip(1, second, Duration::days(36_500)), "/arrives_at"),
        (trip(1, second, -hour), "/arrives_at"),
        (priced("0.00"), "/price"),
        (priced("10000000000.00"), "/price"),
        (priced("999999999999"), "/price"),
        (trip(99, second, hour), "/bus_id"),
        (trip(i32::MAX, second, hour), "/bus_id"),
    ] {
        let answer = world.ops.post("/v1/ops/trips", &body).await;
        assert_eq!(answer.problem(422, "003074")["field"], field, "{body}: {}", answer.text);
    }
    assert_eq!(count(&world.pool, "select count(*) from trip").await, 0);
    let now = world.ops.post("/v1/ops/trips", &trip(1, Utc::now(), Duration::minutes(1))).await;
    now.expect(201);
    world
        .ops
        .post("/v1/ops/trips", &trip(2, Utc::now() + Duration::days(365), Duration::hours(24)))
        .await
        .expect(201);
    // Cut to the database's precision before anything is compared.
    let cut = world.ops.post("/v1/ops/trips", &trip(3, second, hour + Duration::nanoseconds(999))).await;
    let cut = cut.expect(201);
    let at = |field: &str| cut[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(at("arrives_at") - at("departs_at"), hour);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_is_on_one_trip_at_a_time() {
    let world = World::new().await;
    let (hour, noon) = (Duration::hours(1), Utc::now() + Duration::days(2));
    // At once, under different keys: one of them has the bus.
    let bodies: Vec<Value> = (0..10).map(|n| trip(1, noon + Duration::minutes(n * 5), hour)).collect();
    let answers = join_all(bodies.iter().map(|body| world.ops.post("/v1/ops/trips", body))).await;
    let taken: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(taken.len(), 1);
    let id = taken[0].body["id"].clone();
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let problem = answer.problem(409, "006022");
        assert_eq!((&problem["trip_id"], &problem["field"]), (&id, &json!("/bus_id")), "{}", answer.text);
    }
    let departs: DateTime<Utc> = taken[0].body["departs_at"].as_str().unwrap().parse().unwrap();
    for (from, takes) in [
        (departs, hour),
        (departs - hour, hour + Duration::microseconds(1)),
        (departs + Duration::minutes(20), Duration::minutes(1)),
        (departs - hour, hour * 3),
    ] {
        world.ops.post("/v1/ops/trips", &trip(1, from, takes)).await.problem(409, "006022");
    }
    // Another bus, and the same one before and after.
    world.ops.post("/v1/ops/trips", &trip(2, departs, hour)).await.expect(201);
    world.ops.post("/v1/ops/trips", &trip(1, departs - hour, hour)).await.expect(201);
    world.ops.post("/v1/ops/trips", &trip(1, departs + hour, hour)).await.expect(201);
    // Once its trip is cancelled, the bus is free.
    let cancel = format!("/v1/ops/trips/{}/cancel", id.as_str().unwrap());
    world.ops.post(&cancel, &json!({"reason": "snow"})).await.expect(202);
    world.ops.post("/v1/ops/trips", &trip(1, departs, hour)).await.expect(201);
    let overlapping = "select count(*) from trip a join trip b on a.bus_id = b.bus_id and a.id < b.id
        and a.departs_at < b.arrives_at and b.departs_at < a.arrives_at and a.cancelled_at is null and b.cancelled_at is null";
    assert_eq!(count(&world.pool, overlapping).await, 0);
}

/// The rule is for what is new: a database in which trips share a bus, and departures take longer
/// than a day, is migrated.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_before_the_rules_is_migrated() {
    let db = Database::fresh().await;
    let mut conn = PgConnection::connect(&db.url).await.unwrap();
    let run = async |conn: &mut PgConnection, sql: &str| {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await.map(drop)
    };
    let empty = "drop schema queue cascade; drop schema public cascade; create schema public";
    run(&mut conn, empty).await.unwrap();
    let rules = |version: i64| version >= 20;
    for migration in MIGRATIONS.iter().filter(|migration| !rules(migration.version)) {
        run(&mut conn, migration.sql.as_str()).await.unwrap();
    }
    let trips = |bus: i32, ids: &str| {
        format!(
            "insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity)
             select ('00000000-0000-7000-8000-00000000000' || n)::uuid, {bus}, 0,
                    '2030-01-01 08:00Z'::timestamptz + (n - 1) * interval '40 min',
                    '2030-01-01 09:00Z'::timestamptz + (n - 1) * interval '40 min', 4.00, 1
             from unnest(array[{ids}]) n"
        )
    };
    run(&mut conn, &trips(1, "1, 2, 3, 6")).await.unwrap();
    run(&mut conn, &trips(2, "4")).await.unwrap();
    let before = "update timetable set arrives_minute = departs_minute + 2000 where id = 4;
        insert into rider (id, user_name, password_hash) values ('00000000-0000-7000-8000-000000000000', 'old', 'x');
        insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference)
        values ('00000000-0000-7000-8000-000000000000', 1, gen_random_uuid(), 'top_up', 999999999999.99, 999999999999.99, 'r');
        insert into wallet (rider_id, balance, last_entry) values ('00000000-0000-7000-8000-000000000000', 999999999999.99, 1)";
    run(&mut conn, before).await.unwrap();
    for migration in MIGRATIONS.iter().filter(|migration| rules(migration.version)) {
        run(&mut conn, migration.sql.as_str()).await.unwrap();
    }
    let sql = "select right(id::text, 1) from trip where shares_bus order by id";
    let sharing: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap();
    assert_eq!(sharing, ["2", "3"], "the first one keeps the bus to itself");
    let refused = run(&mut conn, &trips(1, "1").replace("0000000' || n", "0000001' || n")).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().constraint(), Some("trip_has_its_bus_to_itself"));
}
