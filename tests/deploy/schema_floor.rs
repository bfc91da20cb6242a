//! On which schemas a build starts, and how it migrates beside processes.

use crate::harness::{Database, Process, World, command, count, until};
use farebox::storage::{self, MIGRATIONS, SchemaError, Steps};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use std::process::Output;

/// A migration of a build of after.
const NEWER: &str = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                     values (9001, 'of after', true, '', 0)";
const API: &str = env!("CARGO_BIN_EXE_farebox-api");
const WORKER: &str = env!("CARGO_BIN_EXE_farebox-worker");

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

fn farebox(url: &str, arguments: &[&str]) -> Output {
    let mut farebox = command(env!("CARGO_BIN_EXE_farebox"), url, &[]);
    farebox.env("DATABASE_URL", url).args(arguments).output().unwrap()
}

/// What it prints, if it succeeds, else what it complains about.
fn said(done: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

fn refuses(url: &str, text: &str) {
    for program in [API, WORKER] {
        let mut process = Process::start(command(program, url, &[]));
        assert!(!process.wait().success(), "{program}");
        process.wait_for_line(text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_starts_on_a_newer_schema_until_its_floor_rises() {
    let world = World::new().await;
    let (url, pool) = (&world.db.url, &world.pool);
    let granted = "select count(*) from information_schema.role_table_grants where grantee = 'farebox_api'";
    run(pool, NEWER).await;
    run(pool, "create table of_after (id bigint); grant select on of_after to farebox_api").await;
    let before = count(pool, granted).await;
    // It starts, sells, and does not touch what the newer build made.
    let other = world.another_api();
    let worker = Process::start(command(WORKER, url, &[]));
    worker.wait_for_line("a newer build has migrated");
    let rider = world.rider("10.00").await.at(&other.base());
    let trip = world.trip(4).await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let moved = said(&farebox(url, &["migrate"])).unwrap();
    assert!(moved.contains("at migration 9001"), "{moved}");
    let kept = said(&farebox(url, &["roles", "--apply"])).unwrap();
    assert!(kept.contains("its grants stay as they are"), "{kept}");
    assert_eq!(count(pool, granted).await, before);
    run(pool, "update schema_floor set lowest = 9001").await;
    refuses(url, "runs builds that know 9001 or a later one; this build knows");
    for arguments in [&["migrate"][..], &["roles", "--apply"], &["verify"]] {
        let refused = said(&farebox(url, arguments)).unwrap_err();
        assert!(refused.contains("start a newer build"), "{arguments:?}: {refused}");
    }
    for lower in ["update schema_floor set lowest = 52", "delete from schema_floor"] {
        let refused = sqlx::raw_sql(lower).execute(pool).await.unwrap_err();
        let name = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert_eq!(name.as_deref(), Some("schema_floor_only_rises"), "{lower}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_build_is_refused_whatever_its_number() {
    let db = Database::fresh().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    let (drop, unknown) = ("delete from _sqlx_migrations where version = 9001", NEWER);
    run(&pool, unknown).await;
    run(&pool, "update _sqlx_migrations set version = 47 where version = 9001").await;
    refuses(&db.url, "migration 47 of the database is of another build");
    assert!(said(&farebox(&db.url, &["migrate"])).unwrap_err().contains("migration 47"));
    run(&pool, "delete from _sqlx_migrations where version = 47").await;
    run(&pool, drop).await;
    run(&pool, "update _sqlx_migrations set checksum = 'another' where version = 51").await;
    refuses(&db.url, "migration 51 was applied with another text");
    assert!(said(&farebox(&db.url, &["migrate"])).unwrap_err().contains("migration 51"));
}

/// A database at migration 30.
async fn of_before() -> (Database, PgPool) {
    let db = Database::empty().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    MIGRATIONS.run_to(30, &pool).await.unwrap();
    (db, pool)
}

/// A report reads accounts for a minute. Requests that come after the migration do not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_lets_others_pass_while_it_waits_for_a_lock() {
    let (db, pool) = of_before().await;
    let mut report = PgConnection::connect(&db.url).await.unwrap();
    sqlx::raw_sql("begin; select count(*) from rider").execute(&mut report).await.unwrap();
    let mut farebox = command(env!("CARGO_BIN_EXE_farebox"), &db.url, &[]);
    farebox.env("DATABASE_URL", &db.url).arg("migrate");
    let mut migrating = Process::start(farebox);
    let waiting = "select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'
                   and database = (select oid from pg_database where datname = current_database())";
    until("the migration waits", || async { count(&pool, waiting).await > 0 }).await;
    // As an API waits at most.
    let mut api = PgConnection::connect(&db.url).await.unwrap();
    sqlx::raw_sql("set lock_timeout = '5s'; select count(*) from rider").execute(&mut api).await.unwrap();
    migrating.wait_for_line("the migration waited for a lock; trying again");
    assert!(migrating.is_alive());
    sqlx::raw_sql("commit").execute(&mut report).await.unwrap();
    assert!(migrating.wait().success(), "{}", migrating.log());
    assert_eq!(count(&pool, "select max(version) from _sqlx_migrations").await, storage::newest());
}

/// The migration of version 44 locks trips, then orders. A transaction that has read orders reads trips
/// meanwhile: each waits for the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_gives_way_before_a_deadlock_ends_a_statement() {
    let (db, pool) = of_before().await;
    let mut reader = PgConnection::connect(&db.url).await.unwrap();
    // Its session looks for deadlocks sooner than a server does, and later than a migration waits.
    sqlx::raw_sql("set deadlock_timeout = '750ms'; begin; lock table orders in access share mode")
        .execute(&mut reader)
        .await
        .unwrap();
    let migrating = {
        let pool = pool.clone();
        tokio::spawn(async move { storage::migrate(&pool).await })
    };
    let has_trips = "select count(*) from pg_locks held join pg_locks wanted using (pid)
                     where held.relation = 'trip'::regclass and held.mode = 'AccessExclusiveLock' and held.granted
                       and wanted.relation = 'orders'::regclass and not wanted.granted";
    until("the migration has trips and waits for orders", || async { count(&pool, has_trips).await == 1 })
        .await;
    let read: i64 = sqlx::query_scalar("select count(*) from trip").fetch_one(&mut reader).await.unwrap();
    assert_eq!(read, 0, "the statement is not ended");
    sqlx::raw_sql("commit").execute(&mut reader).await.unwrap();
    migrating.await.unwrap().unwrap();
    assert_eq!(count(&pool, "select max(version) from _sqlx_migrations").await, storage::newest());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_holds_locks_too_long_is_taken_back() {
    let (_db, pool) = of_before().await;
    // Each table that a migration changes takes a minute.
    run(
        &pool,
        "create function public.slow() returns event_trigger language plpgsql as $$ begin perform pg_sleep(60); end $$;
         create event trigger slow on ddl_command_end when tag in ('ALTER TABLE') execute function public.slow()",
    )
    .await;
    let refused = storage::migrate_steps(&pool, Steps::Beside).await.unwrap_err();
    assert!(matches!(refused, SchemaError::TooLong { version: 31, secs: 4 }), "{refused}");
    assert_eq!(count(&pool, "select max(version) from _sqlx_migrations").await, 30);
    assert_eq!(
        count(
            &pool,
            "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted
                             and database = (select oid from pg_database where datname = current_database())"
        )
        .await,
        0
    );
    run(&pool, "drop event trigger slow; drop function public.slow").await;
    assert_eq!(storage::migrate_steps(&pool, Steps::Beside).await.unwrap(), storage::newest());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_migrate_at_once_and_each_succeeds() {
    let (_db, pool) = of_before().await;
    let (one, other, third) =
        tokio::join!(storage::migrate(&pool), storage::migrate(&pool), storage::migrate(&pool));
    for done in [one, other, third] {
        done.unwrap();
    }
}

/// Releases of before 0.2.0 need a stop, and say so before anything has changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_contract_migration_is_not_applied_beside_the_release_that_it_ends() {
    let db = Database::empty().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    MIGRATIONS.run_to(25, &pool).await.unwrap();
    let refused = said(&farebox(&db.url, &["migrate"])).unwrap_err();
    assert!(refused.contains("migration 26 ends builds that do not know migration 26"), "{refused}");
    assert!(refused.contains("`farebox migrate --stopped`"), "{refused}");
    let version = "select max(version) from _sqlx_migrations";
    assert_eq!(count(&pool, version).await, 25);
    assert!(said(&farebox(&db.url, &["migrate", "--expand"])).unwrap().contains("at migration 25"));
    assert_eq!(count(&pool, version).await, 25);
    said(&farebox(&db.url, &["migrate", "--stopped"])).unwrap();
    let newest = AssertSqlSafe(version.to_owned());
    assert_eq!(sqlx::query_scalar::<_, i64>(newest).fetch_one(&pool).await.unwrap(), storage::newest());
}
