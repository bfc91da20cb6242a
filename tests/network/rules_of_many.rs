//! The rules of a route with more trips than one statement writes.

use super::{
    Files,
    import::{import, network, texts, world},
    written,
};
use crate::harness::count;

/// Trips ahead; one statement writes 5,000 at most.
const AHEAD: i64 = 11_000;
/// Writes down how many trips each statement writes.
const RECORDER: &str = "
    create table written (trips bigint);
    create function record_written() returns trigger language plpgsql security definer as $$ begin
        insert into written select count(*) from changed;
        return null;
    end $$;
    create trigger record_written after update on trip referencing new table as changed
        for each statement execute function record_written();";

/// One route of this name, which holds seats for so long.
fn holding(name: &str, secs: u16) -> Files {
    let mut files = network("d,r,0,1,k,8:00,10 5\n");
    files.insert("routes.csv", format!("code,name,hold_secs\nr,{name},{secs}\n").into_bytes());
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_reaches_every_trip_ahead_in_statements_of_bounded_size() {
    let world = world().await;
    import(&world.db, &written("many", &holding("R", 120)));
    // Trips of the route on bus 2, one a minute, and one that has departed.
    let trips = "insert into trip (id, bus_id, direction, route, departs_at, arrives_at, price, capacity, hold_secs)
                 select gen_random_uuid(), 2, 0, 'r', now() + n * interval '1 minute',
                        now() + n * interval '1 minute' + interval '30 seconds', 1.50, 2, 120
                 from generate_series(1, $1) n
                 union all
                 select gen_random_uuid(), 2, 0, 'r', now() - interval '2 hours', now() - interval '1 hour', 1.50, 2, 120";
    sqlx::query(trips).bind(AHEAD).execute(&world.pool).await.unwrap();
    sqlx::raw_sql(RECORDER).execute(&world.pool).await.unwrap();
    import(&world.db, &written("many-longer", &holding("R", 240)));
    let statements = "select trips::text from written order by trips";
    assert_eq!(texts(&world.pool, statements).await, ["1000", "5000", "5000"]);
    let of_now = "select count(*) from trip where hold_secs = 240";
    assert_eq!(count(&world.pool, of_now).await, AHEAD);
    // Another name is no other rule: no trip is written.
    import(&world.db, &written("many-name", &holding("Ring", 240)));
    assert_eq!(texts(&world.pool, statements).await.len(), 3);
    assert_eq!(count(&world.pool, of_now).await, AHEAD);
}
