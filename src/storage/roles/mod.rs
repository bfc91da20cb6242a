//! The roles that Farebox runs under: who owns the tables, who serves, who works, who reads.
//!
//! The owner applies migrations and grants, and runs nothing. API and workers connect as roles of
//! their own, which may do what `grants.sql` says and no more. The file is the one place where a
//! privilege stands; a test compares it with the schema.

mod lacking;
pub(crate) mod meanwhile;

pub use lacking::lacking;

use super::begin;
use sqlx::{AssertSqlSafe, PgPool};
use std::fmt::Write as _;

const CREATE: &str = include_str!("create.sql");
const OWNER: &str = include_str!("owner.sql");
const GRANTS: &str = include_str!("grants.sql");

/// The key of the advisory lock under which grants are applied: "roles" in ASCII.
const LOCK: i64 = 0x72_6F_6C_65_73;
/// The longest name of a role in PostgreSQL.
const MAX_NAME: usize = 63;

/// The names of the four roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleNames {
    /// Owns the tables, applies migrations and grants.
    pub owner: String,
    /// What `farebox-api` and the commands of operators connect as.
    pub api: String,
    /// What `farebox-worker` connects as.
    pub worker: String,
    /// For reports and `farebox verify`.
    pub reader: String,
}

impl Default for RoleNames {
    fn default() -> Self {
        let name = |role: &str| format!("farebox_{role}");
        Self { owner: name("owner"), api: name("api"), worker: name("worker"), reader: name("reader") }
    }
}

/// Why grants cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// Roles do not exist, and this one may not make them.
    #[error(
        "there is no role {0}; an administrator makes the roles with what `farebox roles --part create` prints"
    )]
    Missing(String),
    /// The session is not the owner of the tables.
    #[error("{0} does not own the tables: grants are applied by the role that `farebox migrate` runs as")]
    NotOwner(String),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Reads the name of a role: lowercase letters, digits and underscores, so that it needs no quotes.
///
/// # Errors
/// Another name.
pub fn role_name(text: &str) -> Result<String, String> {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    // The server reserves its own, and `public` is everybody.
    let free = text != "public" && !text.starts_with("pg_");
    if first && rest && free && text.len() <= MAX_NAME {
        Ok(text.to_owned())
    } else {
        Err(format!("a role's name takes a to z, 0 to 9 and _, and at most {MAX_NAME} of them"))
    }
}

impl RoleNames {
    /// SQL for an administrator: makes the roles that are missing.
    pub fn create_sql(&self) -> String {
        self.fill(CREATE)
    }

    /// SQL for a superuser: makes the owner's role the owner of the database and the tables.
    pub fn owner_sql(&self) -> String {
        self.fill(OWNER)
    }

    /// SQL for the owner of the tables: what the other roles may do.
    pub fn grants_sql(&self) -> String {
        self.fill(GRANTS)
    }

    /// Lines for `psql` that set each role's password to what the file of its name in `folder`
    /// holds. `psql` reads the files; no password is printed here.
    pub fn passwords_sql(&self, folder: &str) -> String {
        let mut text = String::new();
        for role in [&self.owner, &self.api, &self.worker, &self.reader] {
            let _ = writeln!(text, "\\set password `cat {folder}/{role}`");
            let _ = writeln!(text, "alter role {role} password :'password';");
        }
        text + "\\unset password\n"
    }

    /// The text with the names in place of `{owner}`, `{api}`, `{worker}` and `{reader}`.
    fn fill(&self, template: &str) -> String {
        let names = [
            ("{owner}", &self.owner),
            ("{api}", &self.api),
            ("{worker}", &self.worker),
            ("{reader}", &self.reader),
        ];
        // A name holds no brace, so what was put in is never replaced again.
        names.iter().fold(template.to_owned(), |text, (place, name)| text.replace(place, name))
    }
}

/// Makes the roles that are missing, and applies the grants: for a superuser, as the embedded
/// server's only user is.
///
/// # Errors
/// As [`apply`].
pub async fn establish(pool: &PgPool, names: &RoleNames) -> Result<(), RolesError> {
    sqlx::raw_sql(AssertSqlSafe(names.create_sql())).execute(pool).await?;
    apply(pool, names).await
}

/// Applies the grants in one transaction: nobody sees them taken away. If the future is dropped,
/// nothing has changed.
///
/// # Errors
/// Roles that do not exist, a session that does not own the tables.
pub async fn apply(pool: &PgPool, names: &RoleNames) -> Result<(), RolesError> {
    let mut tx = begin(pool).await?;
    lock(&mut tx).await?;
    let missing = missing(&mut tx, names).await?;
    if !missing.is_empty() {
        return Err(RolesError::Missing(missing.join(", ")));
    }
    let owner: Option<String> = sqlx::query_scalar(
        "select current_user::text from pg_class
         where oid = to_regclass('ledger_entry') and not pg_has_role(relowner, 'usage')",
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(user) = owner {
        return Err(RolesError::NotOwner(user));
    }
    sqlx::raw_sql(AssertSqlSafe(names.grants_sql())).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Why the role of this session may do more than a process of Farebox needs, if it may.
///
/// # Errors
/// The database's.
pub async fn excess(pool: &PgPool) -> Result<Option<&'static str>, sqlx::Error> {
    let (superuser, owner): (bool, bool) = sqlx::query_as(
        "select (select rolsuper from pg_roles where rolname = current_user),
                exists(select from pg_class where oid in (to_regclass('ledger_entry'), to_regclass('queue.job'))
                       and pg_has_role(relowner, 'usage'))",
    )
    .fetch_one(pool)
    .await?;
    Ok(match (superuser, owner) {
        (true, _) => Some("is a superuser"),
        (false, true) => Some("owns the tables"),
        (false, false) => None,
    })
}

async fn lock(conn: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(conn).await.map(drop)
}

/// Those of the roles of API, worker and reader that do not exist.
async fn missing(conn: &mut sqlx::PgConnection, names: &RoleNames) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select name from unnest($1::text[]) name where name not in (select rolname from pg_roles)",
    )
    .bind([&names.api, &names.worker, &names.reader].map(String::as_str))
    .fetch_all(conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quotes_and_are_not_the_servers() {
        for name in
            ["", "public", "pg_monitor", "Owner", "a-b", "a b", "a\"b", "a;b", "1a", "é", &"a".repeat(64)]
        {
            assert!(role_name(name).is_err(), "{name}");
        }
        for name in ["farebox_api", "_x", "a1", &"a".repeat(63)] {
            assert_eq!(role_name(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn the_names_stand_in_the_sql() {
        let names = RoleNames {
            owner: "boss".into(),
            api: "web".into(),
            worker: "hand".into(),
            reader: "eye".into(),
        };
        let sql = [names.create_sql(), names.owner_sql(), names.grants_sql()].concat();
        for place in ["{owner}", "{api}", "{worker}", "{reader}", "farebox_api"] {
            assert!(!sql.contains(place), "{place}");
        }
        assert!(sql.contains("grant select, insert on audit to web;"));
        assert!(names.passwords_sql("/run/secrets").contains("\\set password `cat /run/secrets/hand`\n"));
    }
}
