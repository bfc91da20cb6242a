//! What API and workers may do between a migration and the grants of its release.
//!
//! A constraint calls functions with the rights of the role that writes. A role that may not execute
//! a function of a new constraint fails until the grants are applied.

use sqlx::PgConnection;

/// Lets every role that executes a function of ours execute those that this session makes next.
///
/// # Errors
/// The database's.
pub(crate) async fn allow(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    for_each_role(conn, "grant", "to").await
}

/// Takes that back for functions that are made later. Those that were made keep it until the grants
/// are applied, which takes all away first.
///
/// # Errors
/// The database's.
pub(crate) async fn end(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    for_each_role(conn, "revoke", "from").await
}

async fn for_each_role(conn: &mut PgConnection, verb: &str, preposition: &str) -> Result<(), sqlx::Error> {
    // The names come from the catalogue, and `regrole` quotes them.
    let roles: Vec<String> = sqlx::query_scalar(
        "select distinct a.grantee::regrole::text from pg_proc p cross join aclexplode(p.proacl) a
         where p.pronamespace::regnamespace::text in ('public', 'queue') and pg_has_role(p.proowner, 'usage')
           and a.grantee not in (0, p.proowner) and a.privilege_type = 'EXECUTE'",
    )
    .fetch_all(&mut *conn)
    .await?;
    for role in roles {
        let sql = format!("alter default privileges {verb} execute on functions {preposition} {role}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    Ok(())
}
