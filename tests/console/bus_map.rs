//! The bus drawn as its layout is: on the page of a trip and on the forms of its acts.

use super::{
    a11y::Accessibility,
    every_page::{MEASURE, WIDTHS},
};
use crate::{
    harness::{Browser, World},
    network::{
        Files,
        import::{farebox, import, network, trip_of, world},
        written,
    },
};
use serde_json::{Value, json};

/// A bus of two classes with an aisle, a gap and an upper deck, and the widest that may be imported.
fn buses() -> Files {
    let mut files = network("d,r,0,1,k,8:00,10 5\nw,r,0,2,k,9:00,10 5\n");
    let widest: String = (1..=18).map(|row| format!("    \"{}\",\n", widest_row(row))).collect();
    let models = format!(
        "[[model]]\ncode = \"m\"\nname = \"M\"\n[[model.deck]]\nrows = [\n    \"1A 1B _ 1C .\",\n    \"2A 2B _ 2C 2D\",\n    \"3A 3B _ 3C 3D\",\n]\n\
         [[model.deck]]\nrows = [\n    \"U1 _ U2\",\n]\n[model.classes]\nbusiness = [\"1A\", \"1B\", \"1C\"]\n\n\
         [[model]]\ncode = \"w\"\nname = \"W\"\n[[model.deck]]\nrows = [\n{widest}]\n"
    );
    files.insert("models.toml", models.into_bytes());
    files.insert("buses.csv", b"number,model\n1,m\n2,w\n".to_vec());
    files.insert("fares.csv", b"route,class,amount\nr,standard,1.50\nr,business,4.00\n".to_vec());
    files
}

/// Twenty places with the widest labels, an aisle among them.
fn widest_row(row: u8) -> String {
    let label = |column: u8| format!("WWWWWW{}{}", char::from(b'A' + row), char::from(b'A' + column));
    let place = |column| if column == 9 { "_".to_owned() } else { label(column) };
    (0..20).map(place).collect::<Vec<_>>().join(" ")
}

async fn selling() -> World {
    let world = world().await;
    import(&world.db, &written("bus-map", &buses()));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    world
}

/// What a screen reader reads of each deck: caption, rows with their heads.
async fn read(browser: &Browser) -> Value {
    let script = "const text = e => e.textContent.replace(/\\s+/g, ' ').trim(), plain = td => { const copy = td.cloneNode(true); \
         copy.querySelectorAll('[aria-hidden]').forEach(e => e.remove()); return text(copy).replace(' ,', ',') }; \
         return [...document.querySelectorAll('table.bus')].map(bus => [plain(bus.caption), \
             ...[...bus.rows].map(row => [...row.cells].map(plain).join('|'))])";
    browser.run(script).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_is_drawn_and_read_row_by_row() {
    let world = selling().await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let paid = rider.booked(&trip, &["1B"]).await;
    rider.pay(&paid).await.expect(200);
    let held = rider.booked(&trip, &["2C"]).await;
    let broken = json!({ "seats": ["3D"], "reason": "a belt is worn" });
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &broken).await.expect(200);

    let browser = Browser::signed_in(&world, "ops").await;
    let mut accessibility = Accessibility::default();
    let bus = json!([
        [
            "Deck 1 · Front of the bus",
            "Row 1|1A, free, business|1B, sold, business, rider0||1C, free, business|",
            "Row 2|2A, free, standard|2B, free, standard||2C, held, standard, rider0|2D, free, standard",
            "Row 3|3A, free, standard|3B, free, standard||3C, free, standard|3D, blocked, standard"
        ],
        ["Deck 2 · Front of the bus", "Row 1|U1, free, standard||U2, free, standard"],
    ]);
    for page in ["", "/block", "/release", "/cancel"] {
        browser.goto(&format!("/console/trips/{trip}{page}")).await;
        assert_eq!(read(&browser).await, bus, "{page}");
        let legend = browser.text().await;
        for said in ["○ free 10", "◔ held 1", "● sold 1", "✕ blocked 1", "① business 4.00", "② standard 1.50"]
        {
            assert!(legend.contains(said), "{page}: no {said:?} in {legend}");
        }
        let linked = "return [...document.querySelectorAll('.bus td a')].map(a => a.pathname)";
        let orders = [&paid, &held].map(|order| format!("/console/orders/{order}"));
        assert_eq!(browser.run(linked).await, json!(orders), "{page}");
        accessibility.on_every_screen(&browser, &format!("the bus{page}")).await;
    }
    browser.click("中文").await;
    browser.goto(&format!("/console/trips/{trip}")).await;
    browser.sees("车头").await;
    accessibility.found_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_widest_bus_fits_every_screen() {
    let world = selling().await;
    let trip = trip_of(&world.pool, "w").await;
    let rider = world.rider("100.00").await;
    rider.booked(&trip, &["WWWWWWBA", "WWWWWWST"]).await;
    let browser = Browser::signed_in(&world, "ops").await;
    for page in ["", "/block"] {
        browser.goto(&format!("/console/trips/{trip}{page}")).await;
        browser.click("Seats, riders and orders (2)").await;
        assert_eq!(browser.run("return document.querySelectorAll('.bus td.seat').length").await, 342);
        for width in WIDTHS {
            browser.wide(width).await;
            assert_eq!(browser.run(MEASURE).await, json!([]), "{page}, {width} px");
        }
    }
    browser.check().await;
}
