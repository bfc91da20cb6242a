//! Records of the past: the owner of the tables cannot change them by mistake.

use crate::harness::Database;
use sqlx::{AssertSqlSafe, PgPool};

#[tokio::test]
async fn records_refuse_to_be_changed_deleted_or_emptied() {
    let db = Database::fresh().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    for (table, column, guard) in [
        ("audit", "reason", "audit_is_append_only"),
        ("ledger_entry", "kind", "ledger_is_append_only"),
        ("order_event", "reason", "order_event_is_append_only"),
        ("order_change", "what", "order_change_is_append_only"),
        ("trip_event", "reason", "trip_event_is_append_only"),
        ("chain_link", "record", "chain_is_append_only"),
    ] {
        for sql in [
            format!("update {table} set {column} = 'other'"),
            format!("delete from {table}"),
            format!("truncate {table} cascade"),
        ] {
            let refused = sqlx::query(AssertSqlSafe(sql.clone())).execute(&pool).await.unwrap_err();
            let constraint = refused.as_database_error().and_then(|error| error.constraint());
            assert_eq!(constraint, Some(guard), "{sql}: {refused}");
        }
    }
}
