//! More connections are wanted than the server has.

use super::{broken, riders_with_trips};
use crate::harness::{OwnServer, Process, count, until};
use sqlx::{Connection, PgConnection};

/// More than the server's, which are 50.
const POOL: &str = "200";
/// Clients of each rider, at once.
const CLIENTS: usize = 20;
const RIDERS: usize = 10;

/// Takes every connection that the server has left.
async fn hoard(url: &str) -> Vec<PgConnection> {
    let mut hoard = Vec::new();
    while let Ok(connection) = PgConnection::connect(url).await {
        hoard.push(connection);
    }
    hoard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_connections_is_waited_out_or_refused_and_passes() {
    let env =
        [("FAREBOX__DATABASE__MAX_CONNECTIONS", POOL), ("FAREBOX__DATABASE__ACQUIRE_TIMEOUT_MS", "1000")];
    let own = OwnServer::start("storm", &env).await;
    let _worker = Process::worker(&own.url, &[], &[]);
    let (riders, pool) = (riders_with_trips(&own, RIDERS).await, own.pool());
    assert_eq!(count(&pool, "select 1::bigint").await, 1);
    let hoarded = hoard(&own.url).await;
    assert!(!hoarded.is_empty());

    let (mut served, mut refused) = (0, 0);
    for round in 0..2 {
        let storm = riders.iter().flat_map(|(rider, trip)| {
            (1..=CLIENTS).map(move |seat| async move {
                let seat = seat.to_string();
                let seats = [seat.as_str()];
                let (booked, read) = tokio::join!(rider.book(trip, &seats), rider.get("/v1/orders?limit=5"));
                [booked.status.as_u16(), read.status.as_u16()]
            })
        });
        for status in futures_util::future::join_all(storm).await.into_iter().flatten() {
            match status {
                200 | 201 => served += 1,
                503 => refused += 1,
                409 if round > 0 => {}
                _ => panic!("{status} in a storm"),
            }
        }
    }
    println!("{served} served, {refused} refused with 503, {} connections hoarded", hoarded.len());
    assert!(served > 0, "those who had a connection go on");

    drop(hoarded);
    let (rider, trip) = &riders[0];
    for seat in 21..=40 {
        rider.booked(trip, &[&seat.to_string()]).await;
    }
    until("nothing is pending", async || {
        count(&pool, "select count(*) from queue.job where tag <> 'order_unpaid'").await == 0
    })
    .await;
    assert_eq!(broken(&pool).await, [""; 0]);
}
