//! Every recorded query may be run by the API or by a worker. Planning one checks its privileges,
//! table by table and column by column, so a grant that is missing shows without a test of its own.

use crate::harness::{Database, restricted};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{collections::BTreeMap, fs, path::Path};

/// The SQLSTATE of a missing privilege.
const NO_PRIVILEGE: &str = "42501";

/// The queries of `.sqlx` by their names, with how many parameters they have.
fn recorded() -> BTreeMap<String, (String, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let query: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let parameters = query["describe"]["parameters"]["Left"].as_array().map_or(0, Vec::len);
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, (query["query"].as_str().unwrap().to_owned(), parameters))
        })
        .collect()
}

/// Why this connection's role may not run the query, if it may not.
async fn refusal(conn: &mut PgConnection, name: &str, sql: &str, parameters: usize) -> Option<String> {
    let nulls = vec!["null"; parameters].join(", ");
    let arguments = if parameters == 0 { String::new() } else { format!("({nulls})") };
    for step in [format!("prepare \"{name}\" as {sql}"), format!("explain execute \"{name}\" {arguments}")] {
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut *conn).await {
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
            assert_eq!(code, NO_PRIVILEGE, "{sql}: {error}");
            return Some(error.to_string());
        }
    }
    None
}

#[tokio::test]
async fn the_api_or_a_worker_may_run_every_recorded_query() {
    let db = Database::fresh().await;
    let mut api = PgConnection::connect(&restricted("farebox-api", &db.url)).await.unwrap();
    let mut worker = PgConnection::connect(&restricted("farebox-worker", &db.url)).await.unwrap();
    let queries = recorded();
    assert!(queries.len() > 100, "{}", queries.len());
    let mut only = [0, 0];
    for (name, (sql, parameters)) in &queries {
        let of_api = refusal(&mut api, name, sql, *parameters).await;
        let of_worker = refusal(&mut worker, name, sql, *parameters).await;
        only[0] += usize::from(of_worker.is_some());
        only[1] += usize::from(of_api.is_some());
        if let (Some(api), Some(worker)) = (of_api, of_worker) {
            panic!("src/storage/roles/grants.sql lacks a privilege\napi: {api}\nworker: {worker}\n{sql}");
        }
    }
    assert!(only.iter().all(|count| *count > 10), "each role lacks what only the other needs: {only:?}");
}
