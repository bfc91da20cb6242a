//! The page of the invariants names the queries of the verifier and the guards of the schema.

use crate::harness::Database;
use farebox::verify::{Scope, verify};
use sqlx::PgPool;
use std::{collections::BTreeSet, fs, path::Path};

/// The names in backticks in the columns `wanted` of the tables that have `columns` columns.
fn names(page: &str, columns: usize, wanted: &[usize]) -> BTreeSet<String> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split('|').collect::<Vec<_>>());
    let cells = cells.filter(|cells| cells.len() == columns);
    let cells: Vec<String> =
        cells.flat_map(|cells| wanted.iter().map(|at| cells[*at].to_owned()).collect::<Vec<_>>()).collect();
    cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_table_of_invariants_names_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/contributors/invariants.md");
    let page = fs::read_to_string(path).unwrap();
    let db = Database::fresh().await;
    let pool = PgPool::connect(&db.url).await.unwrap();

    let verdicts = verify(&pool, Scope::Whole).await.unwrap();
    let queries: BTreeSet<String> = verdicts.iter().map(|verdict| verdict.name.to_owned()).collect();
    assert_eq!(names(&page, 3, &[0]), queries, "the queries of the page and of src/verify");
    let used = names(&page, 4, &[2]);
    assert_eq!(used, queries, "the queries that a promise names and those of src/verify");

    let guards = names(&page, 4, &[1]);
    assert!(!guards.is_empty());
    let sql = "select name from unnest($1::text[]) name
               where not exists (select from pg_constraint where conname = name)
                 and not exists (select from pg_class where relname = name)
                 and not exists (select from pg_trigger where tgname = name)";
    let guards: Vec<String> = guards.into_iter().collect();
    let unknown: Vec<String> = sqlx::query_scalar(sql).bind(&guards).fetch_all(&pool).await.unwrap();
    assert!(unknown.is_empty(), "the schema has no {unknown:?}");
}
