//! Seats that have no place on the other bus: neither sold nor moved between the import and the move.

use super::{
    import::{preview, trip_of, world},
    over_http::{IMPORTS, import_of, previewed},
    sold::{apply_only, finished, other_bus, selling, sold_network},
};
use crate::harness::{Process, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_free_seat_without_a_place_is_not_sold_once_the_import_is_applied() {
    let world = selling("guards-free", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    rider.booked(&trip, &["1A"]).await;
    let preview = previewed(&world, &sold_network("d,r,0,3,k,8:30,10 5\n")).await;
    world.ops.post(IMPORTS, &import_of(&preview)).await.expect(202);
    // No worker runs, so the trip has its old seats. The other bus does not sell 12C, and has no 12D.
    for lost in ["12C", "12D"] {
        assert_eq!(rider.book(&trip, &["12B", lost]).await.problem(409, "004000")["seats"], json!([lost]));
    }
    rider.booked(&trip, &["12B"]).await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_is_booked_before_the_move_and_has_no_place_is_not_moved() {
    let world = selling("guards-released", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let stays = rider.booked(&trip, &["1A"]).await;
    let path = other_bus("guards-released-other");
    let (_, digest) = preview(&world.db, &path);
    apply_only(&world, &path, &digest).succeeded();
    // The job stands still after it has ended the orders without a place, and before it moves the others.
    let mut holder = world.pool.begin().await.unwrap();
    let shared = "select from trip where id = $1::uuid for share";
    sqlx::query(shared).bind(&trip).execute(&mut *holder).await.unwrap();
    let _worker = Process::worker(&world.db.url, &[], &["--tags", "network_import"]);
    until("the job waits for the trip", || async { world.waiting_for_locks().await == 1 }).await;
    let release = json!({"seats": ["12C"], "reason": "dry again"});
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/release"), &release).await.expect(200);
    let lost = rider.booked(&trip, &["12C"]).await;
    holder.rollback().await.unwrap();
    finished(&world).await;
    assert_eq!(world.order(&lost).await["status"], "closed");
    let order = world.order(&stays).await;
    assert_eq!((&order["status"], &order["seats"]), (&json!("unpaid"), &json!([44])));
    world.verify().await;
}
