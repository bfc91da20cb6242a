//! The importer, on tables that `apalis-sql` 0.7 and `apalis-postgres` 1.0 themselves have made and
//! filled. `BENCH_URL` names a database whose role may create databases.

#[path = "support/database.rs"]
mod database;

use apalis_core_07::storage::Storage;
use apalis_postgres::PostgresStorage;
use farebox_queue::{
    begin,
    import::{ApalisImport, Imported, from_apalis},
};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgPool};
use std::{collections::BTreeSet, time::Duration};

const JOBS: i64 = 1_200;

#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    n: i64,
}

async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Every letter is in one of the two tables, once. One statement reads both: an interrupted batch may
/// be committing.
async fn none_is_lost_or_doubled(pool: &PgPool, foreign: &'static str) {
    let sql = format!("select (payload ->> 'n')::bigint from queue.job union all {foreign}");
    let all: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
    assert_eq!(all.len() as i64, JOBS);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), (0..JOBS).collect());
}

/// Stops the import again and again, each time a little later, until it comes to its end.
async fn import_with_interruptions(pool: &PgPool, import: &ApalisImport, foreign: &'static str) -> Imported {
    for patience in 1.. {
        let limit = Duration::from_millis(5 * patience);
        let done = tokio::time::timeout(limit, from_apalis(pool, import)).await;
        none_is_lost_or_doubled(pool, foreign).await;
        if let Ok(imported) = done {
            assert!(patience > 1, "it was interrupted at least once");
            return imported.unwrap();
        }
    }
    unreachable!("it ends")
}

#[tokio::test]
async fn jobs_of_apalis_sql_0_7_move_once_whatever_interrupts_it() {
    const LEFT: &str = "select (job ->> 'n')::bigint from apalis.jobs";
    let (url, pool) = database::fresh("import_07").await;
    let their_pool = sqlx_08::PgPool::connect(&url).await.unwrap();
    apalis_sql_07::postgres::PostgresStorage::setup(&their_pool).await.unwrap();
    let config = apalis_sql_07::Config::new("letters");
    let mut storage = apalis_sql_07::postgres::PostgresStorage::<Letter>::new_with_config(their_pool, config);
    let far = i64::from(u32::MAX);
    for n in 0..JOBS {
        match n % 3 {
            0 => storage.schedule(Letter { n }, far).await.unwrap(),
            _ => storage.push(Letter { n }).await.unwrap(),
        };
    }
    let failed = "update apalis.jobs set status = 'Failed', attempts = max_attempts - 1
                  where (job ->> 'n')::bigint in (1, 2)";
    sqlx::query(failed).execute(&pool).await.unwrap();

    let import = ApalisImport { batch: 10, ..ApalisImport::new("letters", "letter") };
    import_with_interruptions(&pool, &import, LEFT).await;
    assert_eq!(number(&pool, "select count(*) from queue.job").await, JOBS);
    assert_eq!(number(&pool, "select count(*) from queue.job where run_at > now()").await, JOBS / 3);
    assert_eq!(number(&pool, "select count(*) from queue.job where max_attempts = 1").await, 2);
    assert_eq!(from_apalis(&pool, &import).await.unwrap(), Imported::default());
}

#[tokio::test]
async fn jobs_of_apalis_postgres_1_0_move_once_whatever_interrupts_it() {
    const LEFT: &str = "select (convert_from(job, 'UTF8')::jsonb ->> 'n')::bigint from apalis.jobs";
    let (_, pool) = database::fresh("import_10").await;
    PostgresStorage::setup(&pool).await.unwrap();
    let tasks = (0..JOBS).map(|n| {
        let payload = serde_json::to_vec(&Letter { n }).unwrap();
        let task = apalis::prelude::TaskBuilder::new(payload);
        if n < 10 { task.idempotency_key(format!("letter {n}")) } else { task }.build()
    });
    let tasks: Vec<_> = tasks.collect();
    let mut tx = begin(&pool).await.unwrap();
    apalis_postgres::queries::push_tasks(&mut *tx, "letters", tasks).await.unwrap();
    tx.commit().await.unwrap();

    let import = ApalisImport { batch: 10, ..ApalisImport::new("letters", "letter") };
    import_with_interruptions(&pool, &import, LEFT).await;
    assert_eq!(number(&pool, "select count(*) from queue.job where tag = 'letter'").await, JOBS);
    assert_eq!(number(&pool, "select count(*) from queue.job where key like 'letter _'").await, 10);
}

/// The batch of an import that was stopped is still open: its jobs are locked, and nobody knows yet
/// whether they move.
#[tokio::test]
async fn the_jobs_of_an_open_batch_are_waited_for() {
    const WAITS: &str = "select count(*) from pg_stat_activity
                         where datname = current_database() and wait_event_type = 'Lock'";
    let (_, pool) = database::fresh("import_open").await;
    PostgresStorage::setup(&pool).await.unwrap();
    let tasks = (0..25).map(|n| {
        let payload = serde_json::to_vec(&Letter { n }).unwrap();
        apalis::prelude::TaskBuilder::new(payload).build()
    });
    let tasks: Vec<_> = tasks.collect();
    let mut tx = begin(&pool).await.unwrap();
    apalis_postgres::queries::push_tasks(&mut *tx, "letters", tasks).await.unwrap();
    tx.commit().await.unwrap();

    let mut open = begin(&pool).await.unwrap();
    let lock = "select id from apalis.jobs order by id limit 10 for update";
    let locked: Vec<(String,)> = sqlx::query_as(lock).fetch_all(&mut *open).await.unwrap();
    assert_eq!(locked.len(), 10);
    let import = ApalisImport { batch: 10, ..ApalisImport::new("letters", "letter") };
    let importer = pool.clone();
    let running = tokio::spawn(async move { from_apalis(&importer, &import).await });
    while number(&pool, WAITS).await == 0 {
        assert!(!running.is_finished(), "it waits for the open batch");
        tokio::task::yield_now().await;
    }
    open.rollback().await.unwrap();
    assert_eq!(running.await.unwrap().unwrap().moved, 25);
}

#[tokio::test]
async fn what_cannot_move_stays_and_is_named() {
    let (_, pool) = database::fresh("import_rest").await;
    PostgresStorage::setup(&pool).await.unwrap();
    let payloads: [&[u8]; 3] = [b"{\"n\": 1}", b"\x01\x02", b"{\"n\": 2}"];
    let tasks = payloads.into_iter().zip(["free", "binary", "taken"]).map(|(payload, key)| {
        apalis::prelude::TaskBuilder::new(payload.to_vec()).idempotency_key(key).build()
    });
    let tasks: Vec<_> = tasks.collect();
    let mut tx = begin(&pool).await.unwrap();
    apalis_postgres::queries::push_tasks(&mut *tx, "letters", tasks).await.unwrap();
    tx.commit().await.unwrap();
    sqlx::query(
        "insert into queue.job (id, tag, key, payload, max_attempts)
         values (gen_random_uuid(), 'letter', 'taken', '{}', 1)",
    )
    .execute(&pool)
    .await
    .unwrap();

    let imported = from_apalis(&pool, &ApalisImport::new("letters", "letter")).await.unwrap();
    assert_eq!((imported.moved, imported.unreadable.len(), imported.taken.len()), (1, 1, 1));
    assert_eq!(number(&pool, "select count(*) from apalis.jobs").await, 2);
}
