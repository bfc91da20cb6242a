//! Two cells behind one nginx: installations that share nothing but the proxy.

use super::nginx::{Nginx, api, example, filled};
use crate::harness::{Client, Process, World, free_port};
use std::net::Ipv4Addr;

/// The names of the cells here. Both lead to this machine.
const NORTH: &str = "localhost";
const SOUTH: &str = "127.0.0.1";

/// An installation and the API of it that nginx leads to.
struct Cell {
    world: World,
    _worker: Process,
    api: Process,
    port: u16,
    key: String,
}

impl Cell {
    /// With a token key of its own. Its host is the only one that its API answers to, beside local ones.
    async fn start(name: &str) -> Self {
        let key = format!("token key of {name}, with more than 32 characters");
        let (world, port) =
            (World::with(&[("FAREBOX__SECRETS__TOKEN_KEY", key.as_str())]).await, free_port());
        let (api, worker) = (api_of(name, &world, port, &key), world.worker());
        Self { world, _worker: worker, api, port, key }
    }
}

fn api_of(name: &str, world: &World, port: u16, key: &str) -> Process {
    let hosts = format!("{name}.example");
    api(world, port, &[("FAREBOX__SECRETS__TOKEN_KEY", key), ("FAREBOX__HTTP__HOSTS", &hosts)])
}

/// The status of a request to the list of trips that names this host.
async fn asked_as(base: &str, host: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("{base}/v1/trips")).header("host", host);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cells_behind_one_proxy_share_nothing() {
    let (north, mut south) = (Cell::start("north").await, Cell::start("south").await);
    let text = filled(
        example("nginx/cells.conf"),
        &[
            ("127.0.0.1:8087", format!("127.0.0.1:{}", north.port)),
            ("127.0.0.1:8088", format!("127.0.0.1:{}", south.port)),
            ("north.example", NORTH.to_owned()),
            ("south.example", SOUTH.to_owned()),
        ],
    );
    let nginx = Nginx::with(text).await;
    let proxy = nginx.from(Ipv4Addr::LOCALHOST).await;
    let base_of = |host: &str| proxy.replace("127.0.0.1", host);
    let (in_north, in_south) = (base_of(NORTH), base_of(SOUTH));

    // Each books and pays in the own cell.
    let mut riders = Vec::new();
    for (cell, base) in [(&north, &in_north), (&south, &in_south)] {
        let rider = cell.world.rider("50.00").await.at(base);
        let trip = cell.world.trip(8).await;
        let order = rider.key("book").booked(&trip, &["1"]).await;
        rider.pay(&order).await.expect(200);
        riders.push((rider, trip, order));
    }
    let [(northerner, northern_trip, northern_order), (southerner, southern_trip, _)] =
        <[_; 2]>::try_from(riders).ok().unwrap();

    // What is of one cell is nothing in the other: tokens, orders, trips.
    northerner.at(&in_south).get("/v1/wallet").await.problem(401, "003002");
    southerner.get(&format!("/v1/orders/{northern_order}")).await.expect(404);
    southerner.get(&format!("/v1/trips/{northern_trip}")).await.expect(404);

    // A name without a cell reaches none, and a cell that the proxy mistakes for another refuses.
    assert_eq!(asked_as(&proxy, "west.example").await, 421);
    assert_eq!(asked_as(&format!("http://127.0.0.1:{}", south.port), "north.example").await, 421);

    // One that is down takes nobody with it, and comes back as it was.
    south.api.kill();
    assert_eq!(southerner.get("/v1/wallet").await.status, 502);
    northerner.key("again").booked(&northern_trip, &["2"]).await;
    let anybody = Client::stranger(&in_north);
    anybody.get(&format!("/v1/trips/{northern_trip}")).await.expect(200);
    let again = api_of("south", &south.world, south.port, &south.key);
    Client::stranger(&in_south).get(&format!("/v1/trips/{southern_trip}")).await.expect(200);
    drop(again);
    north.world.verify().await;
    south.world.verify().await;
}
