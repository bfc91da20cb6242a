//! Departures by the clocks of their first stops, and directions by their names.

use super::ConsoleSession;
use crate::network::{
    import::{farebox, import, network, trip_of, world},
    written,
};

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_trips_go_by_the_first_stops_clock_and_the_directions_name() {
    let world = world().await;
    let mut files = network("d,r,0,1,k,8:00,10 5\n");
    // The first stop is a day behind the network.
    files.insert(
        "stops.csv",
        "code,name,latitude,longitude,zone,name.ja\na,Alpha,1,2,Pacific/Honolulu,あ\nb,Beta,1,2,,\nc,Gamma,0,0,,\n".into(),
    );
    import(&world.db, &written("departures", &files));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let day = async |zone: &str| {
        let sql = "select (t.departs_at at time zone coalesce(nullif($2, ''), n.zone))::date::text
                   from trip t, network n where t.id = $1::uuid";
        sqlx::query_scalar::<_, String>(sql).bind(&trip).bind(zone).fetch_one(&world.pool).await.unwrap()
    };
    let (at_stop, of_network) = (day("Pacific/Honolulu").await, day("").await);
    assert_ne!(at_stop, of_network);
    let ops = ConsoleSession::enter(&world, "ops").await;
    let orders = async |query: &str| ops.page(&format!("/console/orders?{query}")).await;
    let link = format!("/console/orders/{order}\"");
    for others in ["", "&state=unpaid", &format!("&rider={}", rider.id), &format!("&trip={trip}")] {
        let found = orders(&format!("departs={at_stop}{others}")).await;
        assert!(found.contains(&link) && found.contains("(Pacific/Honolulu)"), "{others}: {found}");
        let none = orders(&format!("departs={of_network}{others}")).await;
        assert!(!none.contains(&link), "{others}: {none}");
    }
    let shown = ops.page(&format!("/console/orders/{order}")).await;
    assert!(shown.contains("(Pacific/Honolulu)"), "{shown}");
    let listed = ops.page(&format!("/console/trips?day={of_network}&direction=r+0")).await;
    assert!(listed.contains("<option value=\"r 0\" selected>R → Out</option>"), "{listed}");
    assert!(listed.contains(&format!("/console/trips/{trip}\"")), "{listed}");
    for other in ["q+0", "r+1"] {
        let none = ops.page(&format!("/console/trips?day={of_network}&direction={other}")).await;
        assert!(none.contains("No trip of this day fits"), "{other}: {none}");
    }
    assert_eq!(ops.status("GET", "/console/trips?direction=r+x", None).await, 422);
}
