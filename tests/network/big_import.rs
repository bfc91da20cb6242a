//! A network of real size in the database: 500 routes, 20,000 trips a day.

use super::{
    big_feed::{MAPPING, feed},
    feed_out::mapping_of,
    from_gtfs,
    import::{today, world},
    limited, written,
};
use crate::harness::{Database, count, folder};
use farebox::trips::horizon::fill;
use std::{fs, path::Path, time::Instant};

/// MiB of addresses of the process, all that it reserves included.
const MEMORY: u64 = 1_024;
const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;

/// Previews this and applies it, each in a process with [`MEMORY`]; returns the preview.
fn import(db: &Database, path: &Path) -> String {
    let args = ["network", "import", path.to_str().unwrap()];
    let shown = limited(MEMORY, &args, Some(&db.url)).succeeded().out;
    let digest = shown.split("--preview ").nth(1).unwrap_or_else(|| panic!("no digest: {shown}")).trim();
    let began = Instant::now();
    limited(MEMORY, &[args.as_slice(), &["--preview", digest]].concat(), Some(&db.url)).succeeded();
    eprintln!("imported in {:?}", began.elapsed());
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_of_real_size_is_imported_and_changed() {
    let world = world().await;
    let to = folder("network-big-import");
    let mapping = mapping_of("big-import", MAPPING);
    from_gtfs(MEMORY, &written("big-import-feed", &feed()), &mapping, &to, false).succeeded();
    // The feed's days are of one year, whenever the test runs.
    let year = format!("{}-", chrono::Datelike::year(&today()) + 1);
    for file in ["calendars.csv", "calendar_dates.csv"] {
        let text = fs::read_to_string(to.join(file)).unwrap();
        fs::write(to.join(file), text.replace("2026-", &year)).unwrap();
    }
    let shown = import(&world.db, &to);
    assert!(shown.contains("500 routes") && shown.contains("departures added: "), "{shown}");

    // The trips of a Monday, with those that depart after midnight.
    let monday: chrono::NaiveDate = format!("{year}06-01").parse().unwrap();
    let now = monday.and_hms_opt(0, 0, 0).unwrap().and_utc();
    let made = fill(&world.pool, ZONE, now, 1).await.unwrap();
    assert!(made.skipped.is_empty() && made.trips >= 20_000, "{}", made.summary());
    let seats = "select count(*) from seat s join trip t on t.id = s.trip_id where t.route is not null";
    assert_eq!(count(&world.pool, seats).await, i64::try_from(made.trips).unwrap() * 8);

    // Another fare for all of them.
    let fares = fs::read_to_string(to.join("fares.csv")).unwrap();
    fs::write(to.join("fares.csv"), fares.replace(",2.50", ",3.00")).unwrap();
    let shown = import(&world.db, &to);
    let expected = format!("trips that have another price for what is not sold yet: {}", made.trips);
    assert!(shown.contains(&expected), "{expected}: {shown}");
    assert_eq!(count(&world.pool, "select count(*) from trip where price <> 3").await, 0);
}
