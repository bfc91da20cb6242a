//! Every page of a rider, with long names and amounts, at every width, in both themes and languages: no
//! text leaves its box, and axe-core finds nothing.

use super::{at_390, depart, named, phone, sign_in};
use crate::{
    console::{a11y::Accessibility, every_page::MEASURE},
    harness::World,
};
use serde_json::json;

/// The widths that the pages are made for, CSS pixels: a phone, a tablet, a desk.
const WIDTHS: [u32; 3] = [390, 768, 1_200];
/// The longest user name.
pub const NAME: &str = "wolfeschlegelsteinhausenbergerdorff.2026";
const LARGEST: &str = "1000000000.00";
/// A message without a blank, and one of the longest.
pub const MESSAGE: &str = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft\
    Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft 大雪封山班次取消";

/// A world with a rider who has orders in every state, and the addresses of all pages.
pub async fn everything() -> (World, Vec<String>) {
    let world = World::with(&[
        ("FAREBOX__WALLETS__APPROVAL_ABOVE", LARGEST),
        ("FAREBOX__WALLETS__MAX_BALANCE", LARGEST),
        ("FAREBOX__WALLETS__MAX_CHANGE", LARGEST),
        ("FAREBOX__WALLETS__MAX_DAY_PER_WALLET", LARGEST),
        ("FAREBOX__WALLETS__MAX_DAY_PER_OPERATOR", LARGEST),
    ])
    .await;
    let rider = named(&world, NAME, "999999000.00").await;
    let (trip, gone, left) = (world.trip(40).await, world.trip(4).await, world.trip(4).await);
    let mut orders = vec![rider.booked(&trip, &["3", "4", "5", "6", "7", "8"]).await];
    for (trip, seat) in [(&trip, "9"), (&trip, "11"), (&gone, "1"), (&left, "1")] {
        let order = rider.booked(trip, &[seat]).await;
        rider.pay(&order).await.expect(200);
        orders.push(order);
    }
    rider.refund(&orders[2]).await.expect(200);
    let closed = rider.booked(&trip, &["13"]).await;
    rider.cancel(&closed).await.expect(200);
    let failed = rider.booked(&trip, &["12"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&failed).await.problem(500, "003099");
    orders.extend([closed, failed]);
    let cancelling = json!({ "reason": "snow", "message": MESSAGE });
    world.ops.post(&format!("/v1/ops/trips/{gone}/cancel"), &cancelling).await.expect(202);
    depart(&world, &left).await;
    let next = format!("next=%2Fride%2Ftrips%2F{trip}%3Fseats%3D20%252C21%26hold%3Dk");
    let day = sqlx::query_scalar::<_, String>(
        "select (departs_at at time zone 'Asia/Shanghai')::date::text from trip where id = $1::uuid",
    );
    let day = day.bind(&trip).fetch_one(&world.pool).await.unwrap();
    let mut pages = vec![
        "/ride".to_owned(),
        format!("/ride?date={day}"),
        "/ride?date=0000".to_owned(),
        format!("/ride/trips/{trip}"),
        format!("/ride/trips/{trip}?seats=3,21,22"),
        format!("/ride/trips/{gone}"),
        format!("/ride/trips/{left}"),
        format!("/ride/sign-in?{next}"),
        format!("/ride/register?{next}"),
        "/ride/orders".to_owned(),
        "/ride/orders?list=closed".to_owned(),
        "/ride/wallet".to_owned(),
        "/ride/account".to_owned(),
        "/ride/nowhere".to_owned(),
    ];
    pages.extend(orders.iter().map(|order| format!("/ride/orders/{order}")));
    pages.extend(orders.last().map(|order| format!("/ride/orders/{order}?failed=payment")));
    (world, pages)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_leaves_its_box_and_nothing_bars_the_way() {
    let (world, pages) = everything().await;
    let browser = phone(&world).await;
    sign_in(&browser, NAME).await;
    let mut accessibility = Accessibility::default();
    let mut bad = Vec::new();
    for language in ["en", "zh"] {
        browser.run(&format!("document.cookie = 'farebox_lang={language}; path=/ride'")).await;
        for page in &pages {
            browser.goto(page).await;
            for width in WIDTHS {
                browser.wide(width).await;
                let found = browser.run(MEASURE).await;
                let found = found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
                bad.extend(found.map(|one| format!("{page} in {language} at {width}: {one}")));
            }
            at_390(&browser).await;
            for scheme in ["light", "dark"] {
                browser.prefers(scheme).await;
                accessibility.barriers(&browser, &format!("{page} in {language}, {scheme}")).await;
            }
        }
    }
    assert_eq!(bad, Vec::<String>::new());
    accessibility.found_nothing();
}
