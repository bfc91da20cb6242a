//! What `farebox migrate --plan` says of each migration is what a server shows while it runs.

use crate::harness::{Database, command};
use farebox::storage::{self, LockMode, MIGRATIONS, PlannedLock};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, migrate::Migration};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The committed file.
const FILE: &str = include_str!("../../migrations/locks.csv");

/// The strongest lock of each relation that was there before, whether it was written anew, and
/// whether it was read as a whole.
type Taken = BTreeMap<String, (LockMode, bool, bool)>;

/// Tables and views of ours by their ids, with the files that hold them. Partitions have names of the day.
async fn relations(conn: &mut PgConnection) -> BTreeMap<i64, (String, i64)> {
    let sql =
        "select oid::bigint, format('%I.%I', relnamespace::regnamespace::text, relname), relfilenode::bigint
               from pg_class where relnamespace::regnamespace::text in ('public', 'queue')
                 and relkind in ('r', 'p', 'v') and not relispartition";
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(sql).fetch_all(conn).await.unwrap();
    rows.into_iter().map(|(oid, name, file)| (oid, (name, file))).collect()
}

/// Applies a migration, and looks before it commits.
async fn taken(conn: &mut PgConnection, migration: &Migration) -> Taken {
    if migration.no_tx {
        return taken_concurrently(conn, migration).await;
    }
    let before = relations(conn).await;
    let mut taken = Taken::new();
    // Counts of the transaction before would be taken for its own.
    sqlx::raw_sql("select pg_stat_force_next_flush()").execute(&mut *conn).await.unwrap();
    sqlx::raw_sql("begin").execute(&mut *conn).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(migration.sql.as_str().to_owned())).execute(&mut *conn).await.unwrap();
    let sql = "select relation::bigint, mode from pg_locks
               where pid = pg_backend_pid() and locktype = 'relation' and granted";
    let locks: Vec<(i64, String)> = sqlx::query_as(sql).fetch_all(&mut *conn).await.unwrap();
    let sql = "select relid::bigint from pg_stat_xact_user_tables where seq_scan > 0";
    let scanned: BTreeSet<i64> =
        sqlx::query_scalar(sql).fetch_all(&mut *conn).await.unwrap().into_iter().collect();
    let after = relations(conn).await;
    sqlx::raw_sql("commit").execute(&mut *conn).await.unwrap();
    for (oid, mode) in locks {
        let (Some((name, file)), Some(mode)) = (before.get(&oid), LockMode::read(&mode)) else { continue };
        let rewritten = after.get(&oid).is_some_and(|(_, now)| now != file);
        let row = taken.entry(name.clone()).or_insert((mode, rewritten, scanned.contains(&oid)));
        row.0 = row.0.max(mode);
    }
    taken
}

/// Builds an index beside writers, or drops one. It commits in between, so its lock is that of PostgreSQL's
/// documentation; building reads the table.
async fn taken_concurrently(conn: &mut PgConnection, migration: &Migration) -> Taken {
    let sql = migration.sql.as_str();
    let dropped =
        sql.split_once("drop index concurrently ").map(|(_, rest)| rest.trim().trim_end_matches(';'));
    let of_dropped = "select format('%s.%s', schemaname, tablename) from pg_indexes where indexname = $1";
    let of_dropped: Option<String> =
        sqlx::query_scalar(of_dropped).bind(dropped).fetch_optional(&mut *conn).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *conn).await.unwrap();
    if let Some(table) = of_dropped {
        return Taken::from([(table, (LockMode::ShareUpdateExclusive, false, false))]);
    }
    let statement = sql.split_once("create index concurrently ").expect("the other kind").1;
    let table = statement.split_once(" on ").unwrap().1.split_whitespace().next().unwrap();
    let table = if table.contains('.') { table.to_owned() } else { format!("public.{table}") };
    Taken::from([(table, (LockMode::ShareUpdateExclusive, false, true))])
}

/// As `pg_locks` names it.
fn name(mode: LockMode) -> String {
    let words = mode.name().split(' ').map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase()));
    format!("{}Lock", words.collect::<String>())
}

#[tokio::test]
async fn the_file_of_locks_is_what_a_server_shows() {
    let db = Database::empty().await;
    let mut conn = PgConnection::connect(&db.url).await.unwrap();
    let mut text = "migration,relation,lock,rewrites,reads_all\n".to_owned();
    for migration in MIGRATIONS.iter() {
        for (relation, (mode, rewrites, reads_all)) in taken(&mut conn, migration).await {
            text += &format!("{},{relation},{},{rewrites},{reads_all}\n", migration.version, name(mode));
        }
    }
    if text != FILE {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("locks.csv");
        std::fs::write(&made, &text).unwrap();
        panic!("migrations/locks.csv is out of date; the new text is {}", made.display());
    }
}

/// Rows of what riders use, as 0.2.0 left them.
const ROWS: &str = "
insert into rider (id, user_name, password_hash)
    select gen_random_uuid(), 'rider' || n, 'hash' from generate_series(1, 500) n;
insert into wallet (rider_id, balance) select id, 0 from rider;
insert into bus (id, driver_name, driver_phone) values (900, 'Zhao Lei', '028-5550-0101') on conflict do nothing;
insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity)
    select gen_random_uuid(), 900, 0, now() + n * interval '2 hours', now() + n * interval '2 hours' + interval '1 hour',
           4.00, 10
    from generate_series(1, 50) n;
insert into seat (trip_id, seat) select id, n from trip cross join generate_series(1, 10) n on conflict do nothing;
analyze";

/// A database at this migration, with rows.
async fn of_before(version: i64) -> (Database, PgPool) {
    let db = Database::empty().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    MIGRATIONS.run_to(version, &pool).await.unwrap();
    sqlx::raw_sql(ROWS).execute(&pool).await.unwrap();
    (db, pool)
}

#[tokio::test]
async fn the_plan_of_a_database_of_before_names_every_lock_that_is_taken() {
    let (db, pool) = of_before(30).await;
    let plan = storage::plan(&pool).await.unwrap();
    assert_eq!(plan.found, 30);
    let pending: Vec<i64> = plan.pending.iter().map(|pending| pending.version).collect();
    let later: Vec<i64> = MIGRATIONS.iter().map(|m| m.version).filter(|version| *version > 30).collect();
    assert_eq!(pending, later);
    let size = |version: i64, relation: &str| {
        let pending = plan.pending.iter().find(|pending| pending.version == version).unwrap();
        let is_it = |planned: &&PlannedLock| planned.lock.relation == relation;
        pending.locks.iter().find(is_it).unwrap_or_else(|| panic!("{version} {relation}")).size
    };
    let riders = size(31, "public.rider").expect("it is there");
    assert_eq!(riders.rows, Some(500));
    assert!(riders.bytes > 30_000, "{riders:?}");
    assert_eq!(size(51, "public.network_import"), None, "0046 makes it");
    let mut conn = PgConnection::connect(&db.url).await.unwrap();
    for planned in &plan.pending {
        let migration = MIGRATIONS.iter().find(|migration| migration.version == planned.version).unwrap();
        let shown = taken(&mut conn, migration).await;
        // Rows that are there may be written where an empty table has none, and never the other way round.
        let strong = |mode: &LockMode| *mode > LockMode::RowExclusive;
        let shown: BTreeMap<&str, (LockMode, bool)> = shown
            .iter()
            .filter(|(_, (mode, ..))| strong(mode))
            .map(|(relation, (mode, rewrites, _))| (&**relation, (*mode, *rewrites)))
            .collect();
        let said: BTreeMap<&str, (LockMode, bool)> = planned
            .locks
            .iter()
            .filter(|planned| strong(&planned.lock.mode))
            .map(|planned| (planned.lock.relation, (planned.lock.mode, planned.lock.rewrites)))
            .collect();
        assert_eq!(said, shown, "migration {}", planned.version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_is_printed_and_changes_nothing() {
    let (db, pool) = of_before(30).await;
    // A lock that every migration of a rider waits for: the plan does not.
    let mut holder = PgConnection::connect(&db.url).await.unwrap();
    sqlx::raw_sql("begin; lock table rider in access exclusive mode").execute(&mut holder).await.unwrap();
    let mut farebox = command(env!("CARGO_BIN_EXE_farebox"), &db.url, &[]);
    let done = farebox.env("DATABASE_URL", &db.url).args(["migrate", "--plan"]).output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for line in [
        "The database is at migration 30.",
        "0031 account state: expand",
        "    public.rider ACCESS EXCLUSIVE: readers and writers wait (about 500 rows, ",
        "waits 500 ms for a lock, at most 120 times; holds locks for at most 4 s",
        "0049 rules of routes checked: expand",
        "SHARE UPDATE EXCLUSIVE: nothing waits; reads all rows",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
    let newest = sqlx::query_scalar::<_, i64>("select max(version) from _sqlx_migrations");
    assert_eq!(newest.fetch_one(&pool).await.unwrap(), 30);
}
