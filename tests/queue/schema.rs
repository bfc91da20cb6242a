//! The queue's schema: the same however it was made, and its SQL functions.

use crate::harness::{Database, count};
use farebox_jobs::queue;
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

/// Every column, constraint, index, function, view, domain and comment of the queue's schema, a
/// line each. Partitions of a day are left out, and so are the indexes that call functions of the
/// application's.
const CATALOG: &str = r"
    select format('column %s %s %s %s %s %s %s', c.relname, row_number() over (partition by c.oid order by a.attnum), a.attname,
                  format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), array_to_string(c.reloptions, ','))
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = 'queue'::regnamespace and c.relkind in ('r', 'p', 'v') and c.relname !~ '^finished_\d{8}$'
    union all
    select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
    where connamespace = 'queue'::regnamespace and contype <> 'n' and conrelid::regclass::text !~ 'finished_\d{8}$'
    union all
    select 'index ' || indexdef from pg_indexes
    where schemaname = 'queue' and tablename !~ '^finished_\d{8}$' and tablename <> 'finished_stray'
      and indexdef !~ '(order|rider|trip)_of'
    union all
    select 'function ' || pg_get_functiondef(oid) from pg_proc where pronamespace = 'queue'::regnamespace
    union all
    select format('view %s %s', viewname, definition) from pg_views where schemaname = 'queue'
    union all
    select format('domain %s %s', typname, typbasetype::regtype) from pg_type
    where typnamespace = 'queue'::regnamespace and typtype = 'd'
    union all
    select format('comment %s %s %s', objoid::regclass, objsubid, description) from pg_description
    where classoid = 'pg_class'::regclass and objoid in (select oid from pg_class where relnamespace = 'queue'::regnamespace)
    union all
    select format('version %s', version) from queue.schema_version
    order by 1";

async fn catalog(url: &str) -> Vec<String> {
    let mut conn = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(CATALOG).fetch_all(&mut conn).await.unwrap()
}

#[tokio::test]
async fn the_queue_has_one_schema_however_it_was_made() {
    let (application, own) = (Database::fresh().await, Database::empty().await);
    let mut conn = PgConnection::connect(&own.url).await.unwrap();
    queue::migrate(&mut conn).await.unwrap();
    let (of_application, of_queue) = (catalog(&application.url).await, catalog(&own.url).await);
    assert!(of_queue.len() > 150, "{}", of_queue.len());
    let only = of_application.iter().find(|line| !of_queue.contains(line));
    assert_eq!(only, None, "only of the application's");
    assert_eq!(of_queue, of_application);
}

#[tokio::test]
async fn migrating_again_and_at_once_changes_nothing() {
    let own = Database::empty().await;
    let pool = PgPool::connect(&own.url).await.unwrap();
    let refused = queue::require_current(&mut pool.acquire().await.unwrap()).await;
    assert!(matches!(refused, Err(queue::MigrateError::Older { found: 0, .. })), "{refused:?}");
    let one = async { queue::migrate(&mut pool.acquire().await.unwrap()).await };
    let two = async { queue::migrate(&mut pool.acquire().await.unwrap()).await };
    let (one, two) = tokio::join!(one, two);
    one.unwrap();
    two.unwrap();
    queue::require_current(&mut pool.acquire().await.unwrap()).await.unwrap();
    let before = catalog(&own.url).await;
    queue::migrate(&mut pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(before, catalog(&own.url).await);

    sqlx::query("insert into queue.schema_version (version) values (1000)").execute(&pool).await.unwrap();
    let newer = queue::migrate(&mut pool.acquire().await.unwrap()).await;
    assert!(matches!(newer, Err(queue::MigrateError::Newer { found: 1000, .. })), "{newer:?}");
}

/// The queue alone knows no word of the application's.
#[test]
fn the_queues_migrations_name_no_domain() {
    let text = concat!(
        include_str!("../../jobs/queue/migrations/0001_queue.sql"),
        include_str!("../../jobs/queue/migrations/0002_partitions_by_the_owner.sql"),
        include_str!("../../jobs/queue/migrations/0003_dead_letters_by_failures_and_end.sql")
    )
    .to_lowercase();
    for word in ["seat", "rider", "trip", "wallet", "payment", "booking", "farebox", "_cancle", "order_"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[tokio::test]
async fn statements_of_the_caller_arm_expedite_and_retire_jobs() {
    let own = Database::empty().await;
    let pool = PgPool::connect(&own.url).await.unwrap();
    queue::migrate(&mut pool.acquire().await.unwrap()).await.unwrap();
    let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
    let armed: i64 = sqlx::query_scalar(
        "select queue.arm($1, array['note', 'note', 'other'], array['a', 'b', 'a'],
                          array['{}', '{}', '{}']::jsonb[], array[3, 3, 3],
                          array_fill(now() + interval '1 hour', array[3]))",
    )
    .bind(&ids)
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(armed, 3);
    let due = "select count(*) from queue.job where run_at <= now()";
    assert_eq!(count(&pool, due).await, 0);

    let expedite =
        "select queue.enqueue_or_expedite(array[gen_random_uuid(), gen_random_uuid()], array['note', 'note'],
                        array['a', 'c'], array['{}', '{}']::jsonb[], array[3, 3])";
    assert_eq!(sqlx::query_scalar::<_, i64>(expedite).fetch_one(&pool).await.unwrap(), 2);
    assert_eq!(count(&pool, due).await, 2);
    assert_eq!(
        sqlx::query_scalar::<_, i64>(expedite).fetch_one(&pool).await.unwrap(),
        0,
        "both are due already"
    );

    let running = "update queue.job set lease_token = id, lease_until = now(), leased_at = now(), worker = 'w' where key = 'b'";
    sqlx::query(running).execute(&pool).await.unwrap();
    let gone: Vec<Uuid> = sqlx::query_scalar("select queue.retire('note', array['a', 'b', 'missing'])")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(gone, [ids[0]], "what runs stays");
    let gone: Vec<Uuid> =
        sqlx::query_scalar("select queue.retire($1)").bind(&ids).fetch_all(&pool).await.unwrap();
    assert_eq!(gone, [ids[2]]);
    assert_eq!(count(&pool, "select count(*) from queue.job").await, 2);
}
