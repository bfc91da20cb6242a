//! Dead letters that tests of operators need, and a count of what is redriven.

use crate::harness::{Client, World};
use sqlx::{Postgres, Transaction};

/// Makes the undos of failed bookings dead letters; returns the orders.
pub async fn dead_bookings(world: &World, rider: &Client, trip: &str, seats: &[&str]) -> Vec<String> {
    let mut orders = Vec::new();
    for seat in seats {
        let failed = rider.fault("order_add_seats_cancle.after=error").book(trip, &[seat]).await;
        orders.push(failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned());
    }
    bury(world, "order_add_seats_cancle").await;
    orders
}

/// Makes the live jobs of a tag dead letters.
pub async fn bury(world: &World, tag: &str) {
    sqlx::query(
        "with gone as (delete from queue.job where tag = $1 returning *)
         insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select id, tag, key, payload, max_attempts, 1, 'exhausted',
                jsonb_build_array(jsonb_build_object('attempt', 1, 'error',
                    'order ' || key || ' timed out after ' || (random() * 9)::int || ' s')), run_at, created_at from gone",
    )
    .bind(tag)
    .execute(&world.pool)
    .await
    .unwrap();
}

/// Has a live job take the key of a dead letter, which then cannot be redriven.
pub async fn take_key(world: &World, key: &str) {
    sqlx::query(
        "insert into queue.job (id, tag, key, payload, max_attempts, run_at)
         select gen_random_uuid(), tag, key, payload, 5, now() + interval '1 hour' from queue.dead_letter where key = $1",
    )
    .bind(key)
    .execute(&world.pool)
    .await
    .unwrap();
}

/// A thousand dead letters of bookings that hold no seat: their undos do nothing, once each.
pub async fn many_dead(world: &World, many: i32) {
    sqlx::query(
        "insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select o.id, 'order_add_seats_cancle', o.id::text,
                jsonb_build_object('v', 1, 'booking', jsonb_build_object('order_id', o.id, 'rider_id', o.id, 'trip_id', o.id,
                                                                         'seats', jsonb_build_array(1))),
                25, 25, 'exhausted', '[{\"attempt\": 25, \"error\": \"the bank did not answer within 30 s\"}]', now(), now()
         from (select gen_random_uuid() as id from generate_series(1, $1)) as o",
    )
    .bind(many)
    .execute(&world.pool)
    .await
    .unwrap();
}

/// Has every redriven job counted, in a table that refuses one that comes twice.
pub async fn count_redriven(world: &World) {
    sqlx::raw_sql(
        "create table redriven (id uuid primary key);
         create function count_redriven() returns trigger language plpgsql security definer as $$
         begin insert into redriven values (new.id); return new; end $$;
         create trigger count_redriven after insert on queue.job for each row
             when (new.tag = 'order_add_seats_cancle') execute function count_redriven();",
    )
    .execute(&world.pool)
    .await
    .unwrap();
}

/// The redrive of the operation's job of this number waits until this is rolled back.
pub async fn hold_redriving(world: &World, nr: i32) -> Transaction<'static, Postgres> {
    let mut holder = world.pool.begin().await.unwrap();
    let one = "insert into redriven select job_id from bulk_item where nr = $1";
    sqlx::query(one).bind(nr).execute(&mut *holder).await.unwrap();
    holder
}
