//! Databases from before the network.

use crate::harness::{Database, count};
use farebox::storage::MIGRATIONS;
use sqlx::{AssertSqlSafe, PgPool};

/// The first migration of the network.
const NETWORK: i64 = 40;

/// A database that the migrations before the network made, with these rows, brought up to this build.
async fn upgraded(rows: &str) -> (Database, PgPool) {
    let db = Database::empty().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    let run = async |sql: String| sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.map(drop).unwrap();
    for migration in MIGRATIONS.iter().filter(|migration| migration.version < NETWORK) {
        run(migration.sql.as_str().to_owned()).await;
    }
    run(rows.to_owned()).await;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version >= NETWORK) {
        run(migration.sql.as_str().to_owned()).await;
    }
    (db, pool)
}

#[tokio::test]
async fn a_database_with_trips_keeps_its_departures() {
    let trip = "insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, timetable_id, service_date)
                values (gen_random_uuid(), 1, 1, now(), now() + interval '1 hour', 4.00, 20, 1, current_date)";
    let (_db, pool) = upgraded(trip).await;
    let codes =
        "select count(*) from timetable where code = 'departure-' || id and price = 4.00 and route is null";
    assert_eq!(count(&pool, codes).await, 17);
    assert_eq!(count(&pool, "select count(*) from bus").await, 8);
    let kept = "select count(*) from trip where route is null and model_id is null";
    assert_eq!(count(&pool, kept).await, 1);
}

#[tokio::test]
async fn a_database_without_trips_keeps_what_an_operator_wrote() {
    let (_db, pool) = upgraded("").await;
    assert_eq!(count(&pool, "select count(*) from timetable").await, 0);
    let own =
        "update timetable set price = 5.00 where id = 3; update bus set driver_name = 'Ms X' where id = 8;
               delete from timetable where bus_id = 8";
    let (_db, pool) = upgraded(own).await;
    assert_eq!(count(&pool, "select count(*) from timetable where id = 3 and price = 5.00").await, 1);
    assert_eq!(count(&pool, "select count(*) from timetable").await, 1);
    let buses: Vec<i32> =
        sqlx::query_scalar("select id from bus order by id").fetch_all(&pool).await.unwrap();
    assert_eq!(buses, [3, 8], "the bus of that departure, and the one that was changed");
}
