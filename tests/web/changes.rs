//! What an import changed for a rider's order, in words and in both languages.

use super::{
    chinese::{in_chinese, sentences},
    named,
};
use crate::{
    harness::World,
    network::{
        import::{import, trip_of},
        sold::{finished, other_bus, selling, sold_network},
        written,
    },
};

/// Refunding ends a month before departure, unless a change lets it.
const LONG: [(&str, &str); 1] = [("FAREBOX__BOOKING__REFUND_CUT_OFF_SECS", "2592000")];

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_trip_is_told_in_the_riders_language() {
    let world = World::with(&LONG).await;
    sqlx::raw_sql("delete from timetable; delete from bus").execute(&world.pool).await.unwrap();
    let world = selling("web-changes", world).await;
    let rider = named(&world, "rider", "100.00").await;
    let (trip, ends) = (trip_of(&world.pool, "d").await, trip_of(&world.pool, "e").await);
    let mut orders = Vec::new();
    for (trip, seats) in [(&trip, &["1A", "12B"]), (&trip, &["1B", "12C"]), (&ends, &["2A", "2B"])] {
        let order = rider.booked(trip, seats).await;
        rider.pay(&order).await.expect(200);
        orders.push(order);
    }
    let chinese = in_chinese(&world, "rider").await;
    let pages: Vec<_> = orders.iter().map(|order| format!("/ride/orders/{order}")).collect();
    assert!(!chinese.page(&pages[0]).await.contains("/refund\""), "it is too late to refund");

    let worker = world.worker();
    import(&world.db, &other_bus("web-changes-bus"));
    finished(&world).await;
    let mut stops = sold_network("d,r,0,3,k,8:30,10 5\n");
    stops.insert(
        "direction_stops.csv",
        b"route,direction,position,stop\nr,0,1,a\nr,0,2,c\nr,0,3,b\n".to_vec(),
    );
    import(&world.db, &written("web-changes-stops", &stops));
    finished(&world).await;
    world.drained().await;
    drop(worker);

    let said = [
        &[
            "发车时间由 08:00 改为 08:30；到达时间由 08:15 改为 08:45；由 1 号车改为 3 号车；车内座位布局不同",
            "停靠站点有变",
        ][..],
        &["车内座位布局不同；该车没有座位 12C", "已退款"],
        &["该班次不再运行", "该班车已取消。"],
    ];
    let mut wrong = Vec::new();
    for (page, said) in pages.iter().zip(said) {
        let text = chinese.page(page).await;
        for said in said {
            assert!(text.contains(said), "{said}: {text}");
        }
        // The button that chooses the language has it.
        assert_eq!(text.matches("lang=\"en\"").count(), 1, "nothing is in English: {text}");
        wrong.extend(sentences(page, &text));
    }
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
    assert!(chinese.page(&pages[0]).await.contains("/refund\""), "what was changed can be refunded");

    let english = super::chinese::in_english(&world, "rider").await;
    for (page, said) in [
        (&pages[0], "departs 08:30 instead of 08:00; arrives 08:45 instead of 08:15; bus 3 instead of bus 1"),
        (&pages[0], "other stops on the way"),
        (&pages[1], "the bus has no seat 12C"),
        (&pages[2], "it does not run any more"),
    ] {
        let text = english.page(page).await;
        assert!(text.contains(said), "{said}: {text}");
    }
    rider.refund(&orders[0]).await.expect(200);
    assert_eq!(rider.balance().await, "100.00");
    let order = rider.get(&pages[0].replace("/ride", "/v1")).await.expect(200).clone();
    assert_eq!(order["refundable_until"], order["departs_at"]);
    world.verify().await;
}
