//! One disposable server for all test processes, one database for each test, cloned from a migrated template.
//! The database of a test that passes is dropped soon after; that of a test that fails stays for an hour.

use super::lasting_folder;
use farebox::{
    embedded,
    settings::Settings,
    storage::{
        self,
        roles::{self, RoleNames},
    },
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use std::{
    path::Path,
    process::Command,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::OnceCell;

/// A database that a failed test has left is dropped by a later run once it is this old, seconds.
const KEEP: u64 = 3600;
/// Databases one run drops, at most: a DROP takes a tenth of a second.
const DROPS: usize = 100;
/// Databases of ended tests that one new database drops, at most: more than it makes, so that they end.
const FOLLOWED: usize = 2;
/// Key of the advisory lock under which the template is made.
const LOCK: i64 = 0x0FA2_EB0C;

/// Eight buses and seventeen daily departures that are of no network.
const TIMETABLE: &str = include_str!("timetable.sql");

static SERVER: OnceCell<(embedded::Server, String)> = OnceCell::const_new();

/// Names of databases whose tests have passed. A database takes 13 MB, and the suite makes 800.
static PASSED: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub struct Database {
    pub url: String,
    /// None if another value owns it.
    name: Option<String>,
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(name) = self.name.take().filter(|_| !std::thread::panicking()) {
            PASSED.lock().unwrap().push(name);
        }
    }
}

impl Database {
    pub async fn fresh() -> Self {
        let (server, template) = SERVER.get_or_init(start).await;
        let name = format!("t_{}_{}", now(), uuid::Uuid::new_v4().simple());
        let mut db = PgConnection::connect(&server.url("postgres")).await.unwrap();
        let create = format!("create database {name} template {template} strategy file_copy");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut db).await.unwrap();
        // What a database grants by itself is not copied.
        let RoleNames { api, worker, reader, .. } = RoleNames::default();
        let connect = format!(
            "revoke all on database {name} from public; grant connect on database {name} to {api}, {worker}, {reader}"
        );
        sqlx::raw_sql(AssertSqlSafe(connect)).execute(&mut db).await.unwrap();
        let url = server.url(&name);
        put_under_trial(&url).await;
        drop_passed(&mut db).await;
        Self { url, name: Some(name) }
    }

    /// A database that something else owns.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), name: None }
    }

    /// One with nothing in it.
    pub async fn empty() -> Self {
        Self::created("").await
    }

    /// A migrated one whose `lower` and `upper` know letters beyond ASCII, as in most deployments;
    /// the others are in the locale `C`.
    pub async fn that_folds() -> Self {
        let (server, _) = SERVER.get_or_init(start).await;
        let mut db = PgConnection::connect(&server.url("postgres")).await.unwrap();
        let known = "select collctype::text from pg_collation where collprovider = 'c' and collctype ~* '^(C|en_US)[.]utf-?8$'
                     order by collctype limit 1";
        let locale: String =
            sqlx::query_scalar(known).fetch_one(&mut db).await.expect("a UTF-8 locale on this machine");
        let made = Self::created(&format!("encoding 'UTF8' lc_collate 'C' lc_ctype '{locale}'")).await;
        let settings = Settings::load("development", &[]).unwrap();
        let pool = storage::pool(&made.url, &settings.database, "migration").unwrap();
        migrate(&pool).await;
        pool.close().await;
        made
    }

    async fn created(how: &str) -> Self {
        let (server, _) = SERVER.get_or_init(start).await;
        let name = format!("t_{}_{}", now(), uuid::Uuid::new_v4().simple());
        let mut db = PgConnection::connect(&server.url("postgres")).await.unwrap();
        let create = format!("create database {name} template template0 {how}");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut db).await.unwrap();
        Self { url: server.url(&name), name: Some(name) }
    }
}

/// The server outlives this process for a moment only: it stops when no process holds it.
async fn start() -> (embedded::Server, String) {
    let data = lasting_folder(&server_name());
    let options = embedded::Options { data, durable: false, max_connections: 500, settings: &[] };
    let server = embedded::start(&options).await.expect("a PostgreSQL server for the tests");
    let template = template(&server).await;
    (server, template)
}

/// A cluster is of one major version, so each has a folder of its own.
fn server_name() -> String {
    let Some(bin) = std::env::var_os("PG_BIN").filter(|bin| !bin.is_empty()) else {
        return "test-server".to_owned();
    };
    let version = Command::new(Path::new(&bin).join("postgres")).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let major = version.split_whitespace().nth(2).and_then(|version| version.split('.').next()).unwrap();
    format!("test-server-{major}")
}

async fn template(server: &embedded::Server) -> String {
    let sums = storage::MIGRATIONS.iter().flat_map(|m| m.checksum.iter());
    // What the roles may do is in the template too.
    let grants = RoleNames::default().grants_sql();
    let sum = sums
        .chain(grants.as_bytes())
        .chain(TIMETABLE.as_bytes())
        .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let name = format!("template_{sum:016x}");
    let mut db = PgConnection::connect(&server.url("postgres")).await.unwrap();
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut db).await.unwrap();
    let sql = "select exists(select from pg_database where datname = $1 and datistemplate)";
    if !sqlx::query_scalar::<_, bool>(sql).bind(&name).fetch_one(&mut db).await.unwrap() {
        embedded::drop_database(server, &name).await.unwrap();
        embedded::ensure_database(server, &name).await.unwrap();
        let settings = Settings::load("development", &[]).unwrap();
        let pool = storage::pool(&server.url(&name), &settings.database, "template").unwrap();
        migrate(&pool).await;
        pool.close().await;
        let finish = format!("alter database {name} is_template true");
        sqlx::raw_sql(AssertSqlSafe(finish)).execute(&mut db).await.unwrap();
    }
    drop_old(&mut db).await;
    db.close().await.unwrap();
    name
}

/// Brings a database of the tests up to this build, with the roles that API and workers connect as,
/// and the departures of before the network that many tests are about.
pub async fn migrate(pool: &PgPool) {
    storage::migrate(pool).await.unwrap();
    sqlx::raw_sql(TIMETABLE).execute(pool).await.unwrap();
    grant(pool).await;
}

/// Replaces functions by those of a migration under trial (`FAREBOX_MIGRATION`, a file): databases of the
/// tests are migrated by the tests' own build. All else of the migration is there already.
pub async fn put_under_trial(url: &str) {
    let Ok(file) = std::env::var("FAREBOX_MIGRATION") else { return };
    let sql = std::fs::read_to_string(file).unwrap().replace("create function", "create or replace function");
    let mut db = PgConnection::connect(url).await.unwrap();
    for (start, _) in sql.match_indices("create or replace function") {
        let (function, _) = sql[start..].split_once("$$;").expect("a body in dollar quotes");
        sqlx::raw_sql(AssertSqlSafe(format!("{function}$$"))).execute(&mut db).await.unwrap();
    }
    db.close().await.unwrap();
}

/// Makes the roles that are missing, and gives them what this build needs.
pub async fn grant(pool: &PgPool) {
    let owner = sqlx::query_scalar("select current_user::text").fetch_one(pool).await.unwrap();
    roles::establish(pool, &RoleNames { owner, ..RoleNames::default() }).await.unwrap();
}

/// Processes of a test that has passed may be about to be killed: their sessions are ended.
async fn drop_passed(db: &mut PgConnection) {
    let names: Vec<String> = {
        let mut passed = PASSED.lock().unwrap();
        let rest = passed.len().saturating_sub(FOLLOWED);
        passed.split_off(rest)
    };
    for name in names {
        // What is left is dropped by a later run, once it is old.
        if let Err(error) = drop_one(db, &name).await {
            println!("{name} stays: {error}");
        }
    }
}

async fn drop_old(db: &mut PgConnection) {
    let names: Vec<String> =
        sqlx::query_scalar("select datname::text from pg_database where datname like 't\\_%'")
            .fetch_all(&mut *db)
            .await
            .unwrap();
    let old = |name: &&String| {
        let made = name.split('_').nth(1).and_then(|secs| secs.parse::<u64>().ok());
        made.is_some_and(|made| made + KEEP < now())
    };
    for name in names.iter().filter(old).take(DROPS) {
        drop_one(db, name).await.unwrap();
    }
}

async fn drop_one(db: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let drop = format!("drop database if exists {name} with (force)");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(db).await.map(|_| ())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
