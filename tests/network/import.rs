//! Importing a network into a database, by the real binary under the role of the API.

use super::{Files, Ran, demo::demo, small, written};
use crate::harness::{Database, Process, World, command, count, folder, grant, until};
use chrono::{Datelike, Days, NaiveDate, Utc};
use sqlx::PgPool;
use std::{collections::BTreeSet, fs, path::Path};

const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;
/// Rows of every table that an import writes.
const ROWS: &str = "select jsonb_build_array(
    (select jsonb_agg(n) from network n), (select jsonb_agg(s order by s.code) from stop s),
    (select jsonb_agg(m order by m.id) from bus_model m), (select jsonb_agg(b order by b.id) from bus b),
    (select jsonb_agg(t order by t.id) from timetable t), (select jsonb_agg(f order by f.id) from fare f),
    (select jsonb_agg(c order by c.code) from calendar c), (select jsonb_agg(t order by t.id) from trip t),
    (select jsonb_agg(s order by s.trip_id, s.seat) from seat s), (select jsonb_agg(a order by a.id) from audit a))::text";

/// Runs `farebox …` on this database.
pub fn farebox(db: &Database, args: &[&str]) -> Ran {
    let ran = command(env!("CARGO_BIN_EXE_farebox"), &db.url, &[]).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { is_ok: ran.status.success(), out: text(&ran.stdout), err: text(&ran.stderr) }
}

/// Previews an import, and returns what was printed and the digest.
pub fn preview(db: &Database, path: &Path) -> (String, String) {
    let ran = farebox(db, &["network", "import", path.to_str().unwrap()]).succeeded();
    let digest = ran.out.split("--preview ").nth(1).unwrap_or_else(|| panic!("no digest: {}", ran.out));
    (ran.out.clone(), digest.trim().to_owned())
}

pub(super) fn apply(db: &Database, path: &Path, digest: &str) -> Ran {
    farebox(db, &["network", "import", path.to_str().unwrap(), "--preview", digest])
}

/// Previews an import and applies it.
pub fn import(db: &Database, path: &Path) -> String {
    let (_, digest) = preview(db, path);
    apply(db, path, &digest).succeeded().out
}

pub fn today() -> NaiveDate {
    Utc::now().with_timezone(&ZONE).date_naive()
}

/// A small network that runs every day from yesterday on, with more departures on bus 2.
pub fn network(departures: &str) -> Files {
    let mut files = small();
    let (from, until) = (today() - Days::new(1), today() + Days::new(90));
    let head =
        String::from_utf8(files["network.toml"].clone()).unwrap().replace("Europe/Berlin", ZONE.name());
    files.insert("network.toml", head.into_bytes());
    files.insert("calendars.csv", format!("code,days,from,until\nk,daily,{from},{until}\n").into_bytes());
    let head = "code,route,direction,bus,calendar,departs,legs\n";
    files.insert("departures.csv", format!("{head}{departures}").into_bytes());
    files
}

/// A world without departures.
pub async fn world() -> World {
    let world = World::new().await;
    sqlx::raw_sql("delete from timetable; delete from bus").execute(&world.pool).await.unwrap();
    world
}

pub async fn texts(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

/// The trip of a departure that departs last.
pub async fn trip_of(pool: &PgPool, code: &str) -> String {
    let sql = "select t.id::text from trip t join timetable d on d.id = t.timetable_id
               where d.code = $1 order by t.departs_at desc limit 1";
    sqlx::query_scalar(sql).bind(code).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_imported_into_an_empty_database_and_a_seat_is_booked() {
    let db = Database::empty().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    farebox::storage::migrate(&pool).await.unwrap();
    grant(&pool).await;
    for table in
        ["select count(*) from bus", "select count(*) from timetable", "select count(*) from network"]
    {
        assert_eq!(count(&pool, table).await, 0, "{table}");
    }
    let world = World::on(db, &[]).await;
    let (shown, digest) = preview(&world.db, demo());
    assert!(shown.contains("departures added: 17: d01, d02"), "{shown}");
    assert_eq!(count(&world.pool, "select count(*) from timetable").await, 0, "a preview changes nothing");
    assert!(apply(&world.db, demo(), &digest).succeeded().out.contains("imported"));

    let _worker = Process::worker(&world.db.url, &[("FAREBOX__TRIPS__HORIZON_DAYS", "3")], &[]);
    until("trips are made", || async {
        count(&world.pool, "select count(*) from queue.finished where tag = 'timetable'").await > 0
    })
    .await;
    let trip = trip_of(&world.pool, "d07").await;
    let rider = world.rider("100.00").await;
    let booked = rider.book(&trip, &["20"]).await;
    assert_eq!(booked.expect(201)["amount"], "4.00");
    world.verify().await;

    let again = apply(&world.db, demo(), "whatever");
    again.refused("the preview is stale");
    let same = farebox(&world.db, &["network", "import", demo().to_str().unwrap()]).succeeded();
    assert!(same.out.contains("nothing to change"), "{}", same.out);
    let audited = "select count(*) from audit where act = 'network_import' and subject like '%network%'";
    assert_eq!(count(&world.pool, audited).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_what_was_imported() {
    let mut files = network("d,r,0,1,k,25:30,10 5\ne,r,0,2,k,8:00,10 5\n");
    let models = "[[model]]\ncode = \"m\"\nname = \"M\"\nnot_for_sale = [\"2B\"]\n\n[[model.deck]]\nrows = [\n    \
                  \"1A _ 1B\",\n    \"2A . 2B\",\n]\n\n[[model.deck]]\nrows = [\n    \"U\",\n]\n\n[model.classes]\n\
                  upper = [\"U\"]\n\n[model.names]\nja = \"大\"\n";
    files.insert("models.toml", models.as_bytes().to_vec());
    files.insert("fares.csv", b"route,class,amount,direction,from,until\nr,standard,1.50,,,2026-03-31\nr,standard,1.75,,2026-04-01,\nr,standard,2.25,0,2026-01-01,\nr,upper,1.50,,,2026-03-31\nr,upper,1.75,,2026-04-01,\nr,upper,2.25,0,2026-01-01,\n".to_vec());
    files.insert("calendar_dates.csv", b"calendar,date,runs\nk,2028-02-29,yes\n".to_vec());
    files.insert("drivers.csv", "code,name,phone\nx,\"Ä, \"\"B\"\"\",1\n".as_bytes().to_vec());
    files.insert("buses.csv", b"number,model,plate,driver\n1,m,P 1,x\n2,m,,\n".to_vec());
    let given = written("import-export", &files);
    let world = world().await;
    import(&world.db, &given);
    let to = folder("network-import-exported");
    let _ = fs::remove_dir_all(&to);
    farebox(&world.db, &["network", "export", "--to", to.to_str().unwrap()]).succeeded();
    let network = farebox::network::read(&given).unwrap().network;
    assert_eq!(farebox::network::read(&to).unwrap().network, network);
    for (name, bytes) in farebox::network::write::files(&network) {
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), String::from_utf8(bytes).unwrap(), "{name}");
    }
    let same = farebox(&world.db, &["network", "import", to.to_str().unwrap()]).succeeded();
    assert!(same.out.contains("nothing to change"), "{}", same.out);
    // Seats that are not for sale are blocked.
    farebox(&world.db, &["trips", "--days", "1"]).succeeded();
    let seats = "select distinct concat_ws(' ', s.seat, m.label, m.class, s.blocked, t.price, t.capacity) from seat s
                 join trip t on t.id = s.trip_id join model_seat m on m.model_id = t.model_id and m.number = s.seat order by 1";
    assert_eq!(
        texts(&world.pool, seats).await,
        [
            "1 1A standard f 2.25 5",
            "2 1B standard f 2.25 5",
            "3 2A standard f 2.25 5",
            "4 2B standard t 2.25 5",
            "5 U upper f 2.25 5"
        ]
    );
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_direction_is_sold_and_found() {
    let mut files = network("d,r,7,1,k,8:00,10\n");
    files.insert("directions.csv", b"route,direction,name\nr,7,Round\n".to_vec());
    files.insert("direction_stops.csv", b"route,direction,position,stop\nr,7,1,a\nr,7,2,a\n".to_vec());
    let world = world().await;
    import(&world.db, &written("import-third", &files));
    farebox(&world.db, &["trips", "--days", "2"]).succeeded();
    let day = today() + Days::new(1);
    let rider = world.rider("0").await;
    let found = rider.get(&format!("/v1/trips?date={day}&direction=7")).await;
    let trips = &found.expect(200)["items"];
    assert_eq!((trips.as_array().unwrap().len(), &trips[0]["direction"]), (1, &serde_json::json!(7)));
    rider.book(trips[0]["id"].as_str().unwrap(), &["1"]).await.expect(201);
    for bad in ["-1", "1000"] {
        let refused = rider.get(&format!("/v1/trips?date={day}&direction={bad}")).await;
        refused.problem(422, "003074");
    }
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trips_are_made_on_the_days_of_their_calendars() {
    let day = |n| today() + Days::new(n);
    let mut files = network("d,r,0,1,k,8:00,10 5\ne,r,0,2,x,24:00,10 5\n");
    let weekday = day(3).weekday().to_string().to_lowercase();
    let calendars = format!("code,days,from,until\nk,{weekday},{},{}\nx,,,\n", day(0), day(40));
    files.insert("calendars.csv", calendars.into_bytes());
    let dates = format!(
        "calendar,date,runs\nk,{},no\nk,{},yes\nx,{},yes\nx,{},yes\n",
        day(10),
        day(5),
        day(2),
        day(17)
    );
    files.insert("calendar_dates.csv", dates.into_bytes());
    let world = world().await;
    import(&world.db, &written("import-days", &files));
    farebox(&world.db, &["trips", "--days", "20"]).succeeded();
    let trips = "select d.code || ' ' || t.service_date || ' ' || (t.departs_at at time zone 'Asia/Shanghai')
                 from trip t join timetable d on d.id = t.timetable_id order by 1";
    let mut expected: Vec<String> = [3, 5, 17].map(|n| format!("d {0} {0} 08:00:00", day(n))).to_vec();
    expected.extend([2, 17].map(|n| format!("e {} {} 00:00:00", day(n), day(n + 1))));
    assert_eq!(texts(&world.pool, trips).await, expected);
    assert_eq!(count(&world.pool, "select count(*) from departure_not_made").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsold_trips_follow_a_change_and_return_with_their_departure() {
    let world = world().await;
    let first = written("import-first", &network("d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n"));
    import(&world.db, &first);
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    let ids = "select id::text from trip where departs_at > now() order by id";
    let before = texts(&world.pool, ids).await;

    // The buses change places, so that each trip wants a bus that another still has.
    let mut files = network("d,r,0,2,k,8:10,10 5\ne,r,0,1,k,8:20,30 5\n");
    files.insert(
        "models.toml",
        b"[[model]]\ncode = \"m\"\nname = \"M\"\ndeck = [{ rows = [\"1 2 3\"] }]\n".to_vec(),
    );
    files.insert("fares.csv", b"route,class,amount\nr,standard,2.00\n".to_vec());
    let second = written("import-second", &files);
    let (shown, digest) = preview(&world.db, &second);
    assert!(
        shown.contains("departures changed: 2: d (bus, seats, time), e (bus, seats, time, legs)"),
        "{shown}"
    );
    assert!(shown.contains(&format!("trips that change: {}", before.len())), "{shown}");
    apply(&world.db, &second, &digest).succeeded();
    assert_eq!(texts(&world.pool, ids).await, before, "trips keep their ids");
    let trips = "select distinct concat_ws(' ', d.code, t.bus_id, (t.departs_at at time zone 'Asia/Shanghai')::time, t.price,
                     t.capacity, (select count(*) from seat s where s.trip_id = t.id))
                 from trip t join timetable d on d.id = t.timetable_id where t.departs_at > now() order by 1";
    assert_eq!(texts(&world.pool, trips).await, ["d 2 08:10:00 2.00 3 3", "e 1 08:20:00 2.00 3 3"]);
    assert_eq!(count(&world.pool, "select count(*) from bus_model").await, 2, "a version for each layout");
    world.verify().await;

    // One departure ends, and comes back.
    let mut files = network("d,r,0,2,k,8:10,10 5\n");
    for name in ["models.toml", "fares.csv"] {
        files.insert(name, fs::read(second.join(name)).unwrap());
    }
    let third = written("import-ended", &files);
    assert!(preview(&world.db, &third).0.contains("departures ended: 1: e"));
    import(&world.db, &third);
    let sold = "select count(*) from trip t join timetable d on d.id = t.timetable_id
                where d.code = 'e' and t.departs_at > now() and t.cancelled_at is null";
    assert_eq!(count(&world.pool, sold).await, 0);
    world.verify().await;
    let (shown, digest) = preview(&world.db, &second);
    assert!(shown.contains("run after all"), "{shown}");
    apply(&world.db, &second, &digest).succeeded();
    assert_eq!(texts(&world.pool, trips).await, ["d 2 08:10:00 2.00 3 3", "e 1 08:20:00 2.00 3 3"]);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_riders_have_is_named_and_a_stale_preview_refused() {
    let world = world().await;
    import(&world.db, &written("import-sold", &network("d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n")));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    let (paid, held) = (trip_of(&world.pool, "d").await, trip_of(&world.pool, "e").await);
    let rider = world.rider("100.00").await;
    let order = rider.book(&paid, &["1", "2"]).await.expect(201)["id"].as_str().unwrap().to_owned();
    rider.pay(&order).await.expect(200);
    let _worker = world.worker();
    world.drained().await;

    // What was previewed before a seat was held is stale.
    let changed = written("import-sold-changed", &network("d,r,0,1,k,8:05,10 5\n"));
    let (_, stale) = preview(&world.db, &changed);
    rider.book(&held, &["1"]).await.expect(201);
    apply(&world.db, &changed, &stale).refused("the preview is stale");

    let (shown, digest) = preview(&world.db, &changed);
    for trip in [
        format!("{paid}, d on {}: departs ", today() + Days::new(3)),
        "2 seats sold, 0 held, 1 riders, 3.00 paid".to_owned(),
        format!("{held}, e on {}: ends; 0 seats sold, 1 held, 1 riders, 0.00 paid", today() + Days::new(3)),
        "in all 2 seats sold, 1 held, 3.00 paid".to_owned(),
    ] {
        assert!(shown.contains(&trip), "no {trip:?} in {shown}");
    }
    let before = texts(&world.pool, ROWS).await;
    apply(&world.db, &changed, &stale).refused("the preview is stale");
    assert_eq!(texts(&world.pool, ROWS).await, before, "nothing was changed");
    let applied = apply(&world.db, &changed, &digest).succeeded();
    assert!(applied.out.contains("2 of 2 trips with riders done: 1 orders moved, 0 refunded, 1 closed"));
    assert_eq!(world.order(&order).await["status"], "paid");

    // A price is for what is not sold yet.
    let touched = "select count(*) from order_change";
    assert_eq!(count(&world.pool, touched).await, 2);
    let mut files = network("d,r,0,1,k,8:05,10 5\n");
    files.insert("fares.csv", b"route,class,amount\nr,standard,2.00\n".to_vec());
    import(&world.db, &written("import-sold-price", &files));
    let prices = "select distinct price::text from trip where departs_at > now() and cancelled_at is null";
    assert_eq!(texts(&world.pool, prices).await, ["2.00"]);
    assert_eq!(count(&world.pool, touched).await, 2, "a price touches no order");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn departures_of_before_are_taken_over_or_end() {
    // The tests' departures are of no network. A line of the same code, time, bus and price takes one over.
    let world = World::new().await;
    farebox(&world.db, &["trips", "--days", "3"]).succeeded();
    // A line that takes longer than a day is older than the rule.
    let old = "alter table timetable drop constraint timetable_takes_a_minute_to_a_day;
        insert into timetable (id, code, bus_id, direction, departs_minute, arrives_minute, price)
        values (99, 'departure-99', 1, 0, 0, 2000, 4.00);
        alter table timetable add constraint timetable_takes_a_minute_to_a_day
            check (ended_at is not null or arrives_minute - departs_minute between 1 and 1440) not valid";
    sqlx::raw_sql(old).execute(&world.pool).await.unwrap();
    let code = "departure-7";
    let trip = trip_of(&world.pool, code).await;
    let rider = world.rider("100.00").await;
    rider.book(&trip, &["20"]).await.expect(201);
    let folder = folder("network-import-before");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for file in fs::read_dir(demo()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let departures = fs::read_to_string(demo().join("departures.csv")).unwrap();
    fs::write(folder.join("departures.csv"), departures.replace("d07,", "departure-7,")).unwrap();
    let (shown, digest) = preview(&world.db, &folder);
    assert!(shown.contains("departures changed: 1: departure-7 (route)"), "{shown}");
    assert!(shown.contains("departures ended: 17: departure-1"), "{shown}");
    apply(&world.db, &folder, &digest).succeeded();
    let sold = "select count(*) from seat s join trip t on t.id = s.trip_id
                where s.order_id is not null and t.route = 'shahe-qingshuihe' and t.cancelled_at is null";
    assert_eq!(count(&world.pool, sold).await, 1);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sold_is_refused_and_changes_nothing() {
    let world = world().await;
    import(&world.db, &written("import-right", &network("d,r,0,1,k,8:00,10 5\n")));
    farebox(&world.db, &["trips", "--days", "2"]).succeeded();
    let before = texts(&world.pool, ROWS).await;
    let refused = |name: &str, change: &dyn Fn(&mut Files), rule: &str| {
        let mut files = network("d,r,0,1,k,8:00,10 5\n");
        change(&mut files);
        farebox(&world.db, &["network", "import", written(name, &files).to_str().unwrap()]).refused(rule);
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let line =
        |files: &mut Files| drop(files.insert("fares.csv", text("route,class,amount\nr,standard,1.505\n")));
    refused("import-line", &line, "fares.csv");
    let busy = |files: &mut Files| {
        let more = "d,r,0,1,k,8:00,10 5\ne,r,0,1,k,8:05,10 5\n";
        files.insert(
            "departures.csv",
            text(&format!("code,route,direction,bus,calendar,departs,legs\n{more}")),
        );
    };
    refused("import-busy", &busy, "bus 1 is on d at that time");
    let other = |files: &mut Files| {
        let head = String::from_utf8(files["network.toml"].clone()).unwrap();
        files.insert("network.toml", text(&head.replace("EUR", "USD")));
    };
    refused("import-currency", &other, "the currency stays EUR");
    assert_eq!(texts(&world.pool, ROWS).await, before);
    let numbers: BTreeSet<_> =
        texts(&world.pool, "select code from timetable where ended_at is null").await.into_iter().collect();
    assert_eq!(numbers, BTreeSet::from(["d".to_owned()]));
}
