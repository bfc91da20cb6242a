//! A connection that is lost at the very moment of a commit: the API cannot know whether it
//! happened. It is resolved either way. Between the API and the database stands a proxy that cuts
//! the line at the statement it waits for.

use crate::harness::{Cut, Process, Proxy, World, count};

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_whose_commit_is_in_doubt_is_undone_either_way() {
    // The trip's id is a parameter of the claim and of the adding, in this order; no request
    // contests the seats, so nothing is checked.
    for (step, skip) in [("order_add_seats_cancle", 0), ("order_add_cancle", 1)] {
        for cut in [Cut::Request, Cut::Answer] {
            let world = World::new().await;
            let proxy = Proxy::before(&world.db.url);
            let api = Process::api(&proxy.url, &[]);
            let trip = world.trip(4).await;
            let rider = world.rider("0").await.at(&api.base());
            proxy.arm(cut, &trip, skip);
            let answer = rider.book(&trip, &["1", "2"]).await;
            answer.problem(503, "003097");
            assert!(proxy.has_cut(), "{step} {cut:?}: the line was never cut");
            assert_eq!(
                (&answer.body["tag"], &answer.body["rollback"]),
                (&step.into(), &"queued".into()),
                "{cut:?}"
            );
            let committed =
                count(&world.pool, "select count(*) from barrier where done_at is not null").await;
            assert_eq!(
                committed,
                i64::try_from(skip).unwrap() + i64::from(cut == Cut::Answer),
                "{step} {cut:?}"
            );
            let _worker = world.worker();
            world.drained().await;
            assert_eq!(world.free_seats(&trip).await, 4, "{step} {cut:?}");
            assert_eq!(count(&world.pool, "select count(*) from orders where status <> 'closed'").await, 0);
            let stands = "select count(*) from barrier where done_at is not null and undone_at is null";
            assert_eq!(count(&world.pool, stands).await, 0, "{step} {cut:?}");
            world.verify().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_commit_is_in_doubt_comes_out_right_either_way() {
    // The order's id is a parameter of the check's read, of the debit, and of marking it paid.
    let cases: [(_, _, _, &[&str], _); 4] = [
        (1, Cut::Request, "unpaid", &[], "100.00"),
        (1, Cut::Answer, "unpaid", &["payment", "payment_reversed"], "100.00"),
        // The rollback of the last step finishes what can be finished.
        (2, Cut::Request, "paid", &["payment"], "96.00"),
        (2, Cut::Answer, "paid", &["payment"], "96.00"),
    ];
    for (skip, cut, status, ledger, balance) in cases {
        let world = World::new().await;
        let proxy = Proxy::before(&world.db.url);
        let api = Process::api(&proxy.url, &[]);
        let trip = world.trip(4).await;
        let rider = world.rider("100.00").await;
        let order = rider.booked(&trip, &["1"]).await;
        proxy.arm(cut, &order, skip);
        rider.at(&api.base()).pay(&order).await.problem(503, "003097");
        assert!(proxy.has_cut());
        let _worker = world.worker();
        world.drained().await;
        assert_eq!(world.order(&order).await["status"], status, "{skip} {cut:?}");
        assert_eq!(world.ledger(&order).await, ledger, "{skip} {cut:?}");
        assert_eq!(rider.balance().await, balance, "{skip} {cut:?}");
        world.verify().await;
    }
}
