//! The roles of the database: what each may do, and that nothing runs with more.

use crate::harness::{Database, Process, World, command, migrate, restricted, until};
use farebox::storage::roles::{self, RoleNames};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use std::process::{Command, Output};

/// What the roles of a running service are.
const SERVING: [&str; 3] = ["farebox_api", "farebox_worker", "farebox_reader"];
/// Records of the past.
const RECORDS: [&str; 5] = ["ledger_entry", "audit", "order_event", "trip_event", "chain_link"];
/// Functions that only the owner calls, from those that run with the owner's rights.
const OWNERS_OWN: [&str; 2] = ["chain_append", "is_idle_rider"];

/// A connection as another role.
async fn connected(db: &Database, role: &str) -> PgConnection {
    let url = db.url.replace("://farebox@", &format!("://{role}@"));
    PgConnection::connect(&url).await.unwrap()
}

/// The SQLSTATE with which a statement is refused, if it is.
async fn refusal(conn: &mut PgConnection, sql: &str) -> Option<String> {
    let refused = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await.err()?;
    Some(refused.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned())
}

async fn texts(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

fn farebox(url: &str, args: &[&str]) -> Output {
    farebox_command(url).args(args).output().unwrap()
}

/// `farebox` with this very address, of any role.
fn farebox_command(url: &str) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_farebox"), "postgres://farebox@localhost/none", &[]);
    command.env("DATABASE_URL", url);
    command
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn failed(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A new table or function without a line in `grants.sql` fails here.
#[tokio::test]
async fn every_table_view_and_function_has_its_line() {
    let db = Database::fresh().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    let lines = RoleNames::default().grants_sql();
    let grants: Vec<&str> = lines.lines().filter(|line| !line.starts_with("--")).collect();
    let grants = grants.join(" ");
    let relations = texts(
        &pool,
        "select c.oid::regclass::text from pg_class c
         where c.relnamespace in ('public'::regnamespace, 'queue'::regnamespace)
           and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition",
    )
    .await;
    assert!(relations.len() > 40, "{}", relations.len());
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let named = |name: &str| grants.split(|c| !word(c)).any(|one| one == name);
    for relation in &relations {
        assert!(named(relation), "src/storage/roles/grants.sql has no line for {relation}");
    }
    let functions = texts(
        &pool,
        "select p.oid::regproc::text from pg_proc p
         where p.pronamespace in ('public'::regnamespace, 'queue'::regnamespace) and p.prorettype <> 'trigger'::regtype",
    )
    .await;
    for function in functions.iter().map(|name| name.split('(').next().unwrap_or_default()) {
        let ours = OWNERS_OWN.contains(&function);
        assert!(ours || named(function), "src/storage/roles/grants.sql has no line for {function}()");
    }
}

#[tokio::test]
async fn the_roles_own_nothing_and_everybody_may_do_nothing() {
    let db = Database::fresh().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    let mighty = "select rolname::text from pg_roles r
         where rolname ~ '^farebox_(api|worker|reader)$'
           and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls
                or exists(select from pg_auth_members m where m.member = r.oid)
                or exists(select from pg_class c where c.relowner = r.oid)
                or exists(select from pg_proc p where p.proowner = r.oid)
                or has_database_privilege(r.oid, current_database(), 'create')
                or has_schema_privilege(r.oid, 'public', 'create') or has_schema_privilege(r.oid, 'queue', 'create'))";
    assert_eq!(texts(&pool, mighty).await, [""; 0]);
    let too_much = "select format('%s %s %s', r.rolname, p.privilege, c.oid::regclass)
         from pg_roles r, pg_class c, unnest(array['truncate', 'references', 'trigger']) p(privilege)
         where r.rolname ~ '^farebox_(api|worker|reader)$'
           and c.relnamespace in ('public'::regnamespace, 'queue'::regnamespace) and c.relkind in ('r', 'p', 'v')
           and has_table_privilege(r.oid, c.oid, p.privilege)";
    assert_eq!(texts(&pool, too_much).await, [""; 0]);
    let of_everybody = "select c.oid::regclass::text from pg_class c, aclexplode(c.relacl) a
         where c.relnamespace in ('public'::regnamespace, 'queue'::regnamespace) and a.grantee = 0
         union all
         select p.oid::regprocedure::text from pg_proc p
         left join lateral aclexplode(p.proacl) a on true
         where p.pronamespace in ('public'::regnamespace, 'queue'::regnamespace)
           and (p.proacl is null or a.grantee = 0)";
    assert_eq!(texts(&pool, of_everybody).await, [""; 0], "everybody may do nothing");
    let reader_writes = "select c.oid::regclass::text from pg_class c
         where c.relnamespace in ('public'::regnamespace, 'queue'::regnamespace) and c.relkind in ('r', 'p', 'v')
           and (has_any_column_privilege('farebox_reader', c.oid, 'insert')
                or has_any_column_privilege('farebox_reader', c.oid, 'update')
                or has_table_privilege('farebox_reader', c.oid, 'delete'))";
    assert_eq!(texts(&pool, reader_writes).await, [""; 0]);
}

#[tokio::test]
async fn records_of_the_past_are_only_added_to() {
    let db = Database::fresh().await;
    for role in SERVING {
        let mut conn = connected(&db, role).await;
        for table in RECORDS {
            for sql in [
                format!("delete from {table}"),
                format!("truncate {table} cascade"),
                format!("alter table {table} disable trigger all"),
                format!("drop table {table}"),
                format!(
                    "create trigger another before insert on {table} execute function audit_is_append_only()"
                ),
            ] {
                assert_eq!(refusal(&mut conn, &sql).await.as_deref(), Some("42501"), "{role}: {sql}");
            }
        }
        for sql in [
            "update audit set reason = 'other'",
            "update ledger_entry set amount = 1",
            "update order_event set reason = 'other'",
            "update trip_event set reason = 'other'",
            "update chain_link set salt = null",
            "insert into chain_link (nr, source, at, record, digest) values (1, 'order_event', now(), '', sha256(''))",
            "drop trigger audit_is_append_only on audit",
            "drop trigger ledger_is_append_only on ledger_entry",
            "drop trigger audit_is_chained on audit",
            "create or replace function audit_is_append_only() returns trigger language plpgsql as 'begin return null; end'",
            "set session_replication_role = replica",
            "create table public.mine ()",
            "create table queue.mine ()",
            "create schema mine",
            "create temporary table mine ()",
            "update _sqlx_migrations set success = true",
            "select chain_append('audit', null, now(), '', null, null)",
            "set role farebox",
        ] {
            assert_eq!(refusal(&mut conn, sql).await.as_deref(), Some("42501"), "{role}: {sql}");
        }
    }
}

#[tokio::test]
async fn hashes_are_the_apis_alone_and_partitions_the_workers() {
    let db = Database::fresh().await;
    for role in ["farebox_worker", "farebox_reader"] {
        let mut conn = connected(&db, role).await;
        for sql in [
            "select password_hash from rider",
            "select hash from pay_password",
            "select token_hash from payment_authorization",
            "select digest from password_reset",
            "select nonce from second_factor",
            "select digest from recovery_code",
            "update rider set role = 'admin'",
            "update rider set state = 'active'",
            "insert into audit (id, actor, role, through, act, subject_kind, subject)
             values (gen_random_uuid(), 'x', 'x', 'cli', 'x', 'x', 'x')",
            "insert into rider (id, user_name, password_hash) values (gen_random_uuid(), 'abc', 'x')",
        ] {
            assert_eq!(refusal(&mut conn, sql).await.as_deref(), Some("42501"), "{role}: {sql}");
        }
    }
    let mut api = connected(&db, "farebox_api").await;
    assert_eq!(refusal(&mut api, "select queue.keep_finished('0', 0)").await.as_deref(), Some("42501"));
}

/// Every test gives its processes the owner's address; the harness changes it. Here it is seen that
/// they use no other, and that everything is done that a day brings.
#[tokio::test(flavor = "multi_thread")]
async fn processes_connect_as_their_roles_and_do_everything() {
    let world = World::new().await;
    let worker = Process::worker(&world.db.url, &[("FAREBOX__TRIPS__HORIZON_DAYS", "2")], &[]);
    let (trip, rider) = (world.trip(20).await, world.rider("100.00").await);
    let paid = rider.booked(&trip, &["1"]).await;
    rider.pay(&paid).await.expect(200);
    let refunded = rider.booked(&trip, &["2"]).await;
    rider.pay(&refunded).await.expect(200);
    rider.refund(&refunded).await.expect(200);
    let cancelled = rider.booked(&trip, &["3"]).await;
    rider.cancel(&cancelled).await.expect(200);
    let overdue = rider.booked(&trip, &["4"]).await;
    world.pass_deadline(&overdue).await;
    until("the order has expired", async || world.order(&overdue).await["status"] == "closed").await;
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &serde_json::json!({"reason": "snow"})).await;
    until("the trip's orders are refunded", async || world.order(&paid).await["status"] == "refunded").await;
    // A partition is missing: the worker makes it, with the owner's rights.
    let newest = "select max(relname)::text from pg_class where relname ~ '^finished_[0-9]{8}$'";
    let newest: String = sqlx::query_scalar(newest).fetch_one(&world.pool).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("drop table queue.{newest}"))).execute(&world.pool).await.unwrap();
    sqlx::query("update queue.maintenance_task set next_at = now()").execute(&world.pool).await.unwrap();
    // By its name: over midnight the worker makes the one of the next day, too.
    until("the partition is there again", async || {
        let there = "select count(*) from pg_class where relname = $1 and relowner = 'farebox'::regrole";
        sqlx::query_scalar::<_, i64>(there).bind(&newest).fetch_one(&world.pool).await.unwrap() == 1
    })
    .await;
    let tasks = "select count(*) from queue.maintenance_task where next_at <= now()";
    until("every task is done", async || crate::harness::count(&world.pool, tasks).await == 0).await;
    let roles = texts(
        &world.pool,
        "select distinct format('%s %s', application_name, usename) from pg_stat_activity
         where datname = current_database() and application_name like 'farebox%' order by 1",
    )
    .await;
    assert!(roles.contains(&"farebox-api farebox_api".to_owned()), "{roles:?}");
    assert!(roles.contains(&"farebox-worker farebox_worker".to_owned()), "{roles:?}");
    assert!(!roles.iter().any(|role| role.ends_with(" farebox")), "{roles:?}");
    for process in [&world.api, &worker] {
        assert!(!process.log().contains("permission denied"), "{}", process.log());
    }
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_may_not_read_the_schema_or_finds_it_old_says_what_to_run() {
    let refuses = |program: &str, url: &str, text: &str| {
        let mut process = Process::start(command(program, url, &[]));
        assert!(!process.wait().success());
        process.wait_for_line(text);
    };
    let (api, worker) = (env!("CARGO_BIN_EXE_farebox-api"), env!("CARGO_BIN_EXE_farebox-worker"));
    let db = Database::empty().await;
    refuses(api, &db.url, "run `farebox migrate` of the same build, as the owner");
    let pool = PgPool::connect(&db.url).await.unwrap();
    farebox::storage::migrate(&pool).await.unwrap();
    for program in [api, worker] {
        refuses(program, &db.url, "run `farebox roles --apply` as the owner");
    }
    crate::harness::grant(&pool).await;
    let last = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    sqlx::query(last).execute(&pool).await.unwrap();
    for program in [api, worker] {
        refuses(program, &db.url, "run `farebox migrate` of the same build, as the owner");
    }
    let as_api = restricted(api, &db.url);
    let refused = failed(&farebox(&as_api, &["migrate"]));
    assert!(refused.contains("permission denied"), "{refused}");
    let refused = failed(&farebox(&as_api, &["roles", "--apply"]));
    assert!(refused.contains("farebox migrate"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_without_further_rights_installs_and_an_older_database_changes_hands() {
    let names = RoleNames::default();
    // As an administrator prepares a database of either kind.
    for migrated_before in [false, true] {
        let db = Database::empty().await;
        let admin = PgPool::connect(&db.url).await.unwrap();
        if migrated_before {
            migrate(&admin).await;
        } else {
            let created = succeeded(&farebox(&db.url, &["roles", "--part", "create"]));
            sqlx::raw_sql(AssertSqlSafe(created)).execute(&admin).await.unwrap();
        }
        let owner = db.url.replace("://farebox@", "://farebox_owner@");
        let owned = succeeded(&farebox(&owner, &["roles", "--part", "owner"]));
        sqlx::raw_sql(AssertSqlSafe(owned)).execute(&admin).await.unwrap();
        succeeded(&farebox(&owner, &["migrate"]));
        let missing = failed(&farebox(&owner, &["roles", "--apply", "--reader", "nobody_of_this_name"]));
        assert!(missing.contains("there is no role nobody_of_this_name"), "{missing}");
        succeeded(&farebox(&owner, &["roles", "--apply"]));
        let others = "select c.oid::regclass::text from pg_class c
             where c.relnamespace in ('public'::regnamespace, 'queue'::regnamespace)
               and c.relowner <> 'farebox_owner'::regrole
             union all
             select p.oid::regprocedure::text from pg_proc p
             where p.pronamespace in ('public'::regnamespace, 'queue'::regnamespace)
               and p.proowner <> 'farebox_owner'::regrole";
        assert_eq!(texts(&admin, others).await, [""; 0]);
        let pool = PgPool::connect(&owner).await.unwrap();
        assert_eq!(roles::excess(&pool).await.unwrap(), Some("owns the tables"));
        assert_eq!(roles::excess(&admin).await.unwrap(), Some("is a superuser"));
        pool.close().await;

        let world = World::on(db, &[]).await;
        let worker = world.worker();
        let (trip, rider) = (world.trip(20).await, world.rider("10.00").await);
        let order = rider.booked(&trip, &["1"]).await;
        rider.pay(&order).await.expect(200);
        let overdue = rider.booked(&trip, &["2"]).await;
        world.pass_deadline(&overdue).await;
        until("the order has expired", async || world.order(&overdue).await["status"] == "closed").await;
        sqlx::query("update queue.maintenance_task set next_at = now()").execute(&world.pool).await.unwrap();
        let due = "select count(*) from queue.maintenance_task where next_at <= now()";
        until("the partitions are looked after", async || crate::harness::count(&world.pool, due).await == 0)
            .await;
        assert!(!worker.log().contains("permission denied"), "{}", worker.log());
        let serving = PgPool::connect(&restricted("farebox-api", &world.db.url)).await.unwrap();
        assert_eq!(roles::excess(&serving).await.unwrap(), None);
        world.verify().await;
    }
    assert!(names.grants_sql().contains("revoke all on schema public, queue"));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_and_copies_are_read_as_the_reader() {
    let world = World::new().await;
    world.trip(20).await;
    let reader = world.db.url.replace("://farebox@", "://farebox_reader@");
    let verified = succeeded(&farebox(&reader, &["verify"]));
    assert!(verified.contains("ok     No job has given up."), "{verified}");
    let links = crate::harness::count(&world.pool, "select count(*) from chain_link").await;
    assert_eq!(succeeded(&farebox(&reader, &["audit", "export"])).lines().count() as i64, links);
    failed(&farebox(&reader, &["queues", "pause", "timetable", "--reason", "none"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_is_printed_without_a_database_and_without_a_password() {
    let nowhere = "postgres://farebox_owner@127.0.0.1:1/none";
    let all = succeeded(&farebox(nowhere, &["roles", "--api", "web"]));
    for part in
        ["create role", "owner to", "grant select, insert on audit to web;", "\\password web", "commit;"]
    {
        assert!(all.contains(part), "{part}");
    }
    let files = succeeded(&farebox(nowhere, &["roles", "--part", "create", "--passwords", "/run/secrets"]));
    assert!(files.contains("\\set password `cat /run/secrets/farebox_worker`"), "{files}");
    for args in [
        ["roles", "--api", "a;b"],
        ["roles", "--api", "farebox_worker"],
        ["roles", "--passwords", "/tmp/`id`"],
        ["roles", "--passwords", "a b"],
        ["roles", "--part", "none"],
    ] {
        failed(&farebox(nowhere, &args));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_production_process_that_owns_the_tables_warns() {
    let world = World::new().await;
    let production = [
        ("FAREBOX_ENV", "production"),
        ("FAREBOX__FAULTS__ENABLED", "false"),
        ("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let worker = |url: &str| {
        let mut command = command(env!("CARGO_BIN_EXE_farebox-worker"), &world.db.url, &production);
        command.env("DATABASE_URL", url);
        Process::start(command)
    };
    let owner = worker(&world.db.url);
    owner.wait_for_line("the database role is a superuser");
    let plain = worker(&restricted("farebox-worker", &world.db.url));
    plain.wait_for_line("metrics");
    assert!(!plain.log().contains("the database role"), "{}", plain.log());
}
