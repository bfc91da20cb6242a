//! A database with the queue's schema, for one test.

use farebox_queue::migrate;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};

/// A database of the test's own, and its URL.
pub async fn fresh(name: &str) -> (String, PgPool) {
    let url = std::env::var("BENCH_URL").expect("BENCH_URL names a database");
    let mut conn = PgConnection::connect(&url).await.unwrap();
    for statement in
        [format!("drop database if exists {name} with (force)"), format!("create database {name}")]
    {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut conn).await.unwrap();
    }
    let path =
        url.find("://").and_then(|start| url[start + 3..].find('/').map(|end| start + 3 + end)).unwrap();
    let query = url.find('?').map_or("", |at| &url[at..]);
    let own = format!("{}/{name}{query}", &url[..path]);
    let pool = PgPoolOptions::new().max_connections(8).connect(&own).await.unwrap();
    migrate(&mut *pool.acquire().await.unwrap()).await.unwrap();
    (own, pool)
}
