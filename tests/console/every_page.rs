//! Every page of the console, found by its links: with the longest names and amounts, at every width
//! and in both languages, no text leaves its box; axe-core finds nothing.

use super::session::ConsoleSession;
use crate::{
    harness::{Browser, Client, World, new_rider},
    ops::dead_letters::dead_bookings,
};
use farebox::accounts::{self, Role};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Pages of one kind that are looked at: orders in several states are one kind.
const OF_A_KIND: usize = 3;
/// Pages in all, at most.
const MAX_PAGES: usize = 160;
/// The widths of screens that the console is made for, CSS pixels; the last two are a screen of 1,280
/// at a zoom of 200 % and of 400 %.
pub(super) const WIDTHS: [u32; 6] = [390, 768, 1_200, 1_920, 640, 320];
/// The longest that may be written of each kind.
const NAME: &str = "Wolfeschlegelsteinhausenbergerdorff.2026";
pub(super) const NICK_NAME: &str = "Adolph Blaine Charles David Earl Frederick Gerald Hubert Irvin John Kenneth Lloyd \
    Martin Nero Oliver Paul Quincy Randolph Sherman Thomas Uncas Victor William Xerxes Yancy \
    Wolfeschlegelsteinhausen";
const PHONE: &str = "+86 (0)28 5550-0101/5550-0102/5550-0103";
const LARGEST: &str = "1000000000.00";
const MAILBOX: &str = "wolfeschlegelsteinhausenbergerdorff.wolfeschlegelsteinhausenber";
pub const REASON: &str = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft\
    Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft 因为大雪封山所以全部班次取消";

/// The routes that are no pages to open: forms before a session, files, and what only redirects.
const NO_PAGES: [&str; 14] = [
    "/",
    "/console/sign-in",
    "/console/sign-in/beat",
    "/console/sign-in/code",
    "/console/sign-in/enrol",
    "/console/sign-in/reset",
    "/console/sign-out",
    "/console/preferences",
    "/console/assets/{name}",
    "/console/beat",
    "/console/network.zip",
    "/console/trips/{id}/manifest.csv",
    "/console/account/password",
    "/console/account/sessions",
];

/// What is measured on a page: text that leaves a box it stands in, whatever is drawn as one, and
/// anything that scrolls sideways.
pub const MEASURE: &str = r"
const bad = new Set(), root = document.documentElement;
if (root.scrollWidth > root.clientWidth) bad.add(`the page scrolls sideways: ${root.scrollWidth} in ${root.clientWidth}`);
const name = e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + [...e.classList].map(c => '.' + c).join('');
for (const e of document.querySelectorAll('body *')) {
  if (e.scrollWidth > e.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(e).overflowX) && e.clientWidth > 0
      && !e.matches('input, select, textarea, pre, .hidden')) bad.add(`${name(e)} scrolls sideways: ${e.scrollWidth} in ${e.clientWidth}`);
}
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const text = walk.currentNode, parent = text.parentElement;
  if (!text.data.trim() || parent.closest('.hidden, .skip, script, svg, select, option, datalist')
      || !parent.checkVisibility({visibilityProperty: true})) continue;
  if (parent.closest('thead') && getComputedStyle(parent.closest('thead')).clipPath !== 'none') continue;
  const range = document.createRange(); range.selectNodeContents(text);
  for (const rect of range.getClientRects()) {
    if (rect.width < 1) continue;
    for (let box = parent; box && box !== document.body; box = box.parentElement) {
      const style = getComputedStyle(box);
      if (style.display === 'inline' || style.display === 'contents') continue;
      const drawn = parseFloat(style.borderRightWidth) > 0 || parseFloat(style.borderBottomWidth) > 0
        || style.backgroundColor !== 'rgba(0, 0, 0, 0)' || style.overflowX !== 'visible';
      const at = box.getBoundingClientRect();
      if (drawn && at.width > 0 && (rect.right > at.right + 1.5 || rect.left < at.left - 1.5 || rect.bottom > at.bottom + 1.5))
        bad.add(`${JSON.stringify(text.data.trim().slice(0, 40))} of ${name(parent)} leaves ${name(box)}`);
      if (/auto|scroll/.test(style.overflowX)) break;
    }
  }
}
return [...bad].slice(0, 8);
";

/// A world with things in every state, under names and amounts as long as they may be; and where to
/// begin: home, and what no link leads to.
pub(super) async fn crowded() -> (World, VecDeque<String>) {
    let world = World::with(&[
        ("FAREBOX__WALLETS__APPROVAL_ABOVE", "50.00"),
        ("FAREBOX__WALLETS__MAX_BALANCE", LARGEST),
        ("FAREBOX__WALLETS__MAX_CHANGE", LARGEST),
        ("FAREBOX__WALLETS__MAX_DAY_PER_WALLET", LARGEST),
        ("FAREBOX__WALLETS__MAX_DAY_PER_OPERATOR", LARGEST),
    ])
    .await;
    let account = farebox::accounts::NewRider {
        email: Some(format!("{MAILBOX}@{MAILBOX}.example").parse().unwrap()),
        phone: Some(PHONE.parse().unwrap()),
        ..new_rider(NAME)
    };
    let rider = accounts::register(&world.pool, &world.saga.passwords, &account, Role::Rider).await.unwrap();
    assert_eq!(rider.user_name.as_str(), NAME);
    let rider = Client::sign_in(&world.api.base(), NAME).await;
    rider.patch("/v1/riders/me", &json!({ "nick_name": NICK_NAME })).await.expect(200);
    world.top_up(rider.id, "50.00", &"r".repeat(60)).await.expect(201);
    let trip = world.trip(40).await;
    dead_bookings(&world, &rider, &trip, &["1", "2"]).await;
    rider.booked(&trip, &["3", "4", "5", "6", "7", "8"]).await;
    let paid = rider.booked(&trip, &["9", "10"]).await;
    rider.pay(&paid).await.expect(200);
    let given_back = rider.booked(&trip, &["11"]).await;
    rider.pay(&given_back).await.expect(200);
    rider.refund(&given_back).await.expect(200);
    let failed = rider.booked(&trip, &["12"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&failed).await.problem(500, "003099");
    let broken = json!({ "seats": ["39", "40"], "reason": REASON });
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &broken).await.expect(200);
    let gone = world.trip(4).await;
    rider.booked(&gone, &["1"]).await;
    world.ops.post(&format!("/v1/ops/trips/{gone}/cancel"), &json!({ "reason": REASON })).await.expect(202);
    world.ops.post("/v1/ops/queues/pay_back_cancle/pause", &json!({ "reason": REASON })).await.expect(200);
    let dead: Vec<String> =
        sqlx::query_scalar("select id::text from queue.dead_letter").fetch_all(&world.pool).await.unwrap();
    let some = json!({ "act": "redrive", "ids": [dead[0]], "reason": REASON });
    world.ops.post("/v1/ops/bulk", &some).await.expect(202);
    let till = Client::operator(&world, "till").await;
    let large = json!({ "amount": "999999000.00", "reference": "large", "reason": REASON });
    till.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &large).await.expect(202);
    let preview = super::viewer_role::uploaded(&world).await;
    super::viewer_role::webhook(&world).await;
    accounts::register(&world.pool, &world.saga.passwords, &new_rider("owner"), Role::Admin).await.unwrap();
    let unlinked = [
        "/console".to_owned(),
        "/console/search?q=nobody".to_owned(),
        format!("/console/network/previews/{preview}"),
        "/console/confirm?next=%2Fconsole".to_owned(),
        "/console/styleguide".to_owned(),
        format!("/console/trips/{trip}/change?price=5.00"),
        "/console/bulk/new?act=redrive&tag=order_add_seats_cancle".to_owned(),
    ];
    (world, unlinked.into())
}

/// A page's kind: its path without ids, with filters or without.
pub(super) fn kind(address: &str) -> (String, bool) {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let plain = |part: &str| {
        let is_id = part.parse::<uuid::Uuid>().is_ok() || part.parse::<u64>().is_ok();
        if is_id { "{id}".to_owned() } else { part.to_owned() }
    };
    (path.split('/').map(plain).collect::<Vec<_>>().join("/"), !query.is_empty())
}

/// The addresses of the console that a page leads to.
fn links(page: &str) -> Vec<String> {
    let all = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let inside =
        all.filter(|to| *to == "/console" || to.starts_with("/console/") || to.starts_with("/console?"));
    inside
        .filter(|to| !to.starts_with("/console/assets/") && !to.contains(".csv") && !to.contains(".zip"))
        .map(|to| to.replace("&amp;", "&").split('#').next().unwrap().to_owned())
        .collect()
}

/// Every page that links lead to from these, a few of each kind.
pub(super) async fn found(world: &World, mut waiting: VecDeque<String>) -> Vec<String> {
    let ops = ConsoleSession::enter(world, "owner").await;
    let (mut known, mut kinds) = (BTreeSet::new(), BTreeMap::<(String, bool), usize>::new());
    let (mut pages, mut refused) = (Vec::new(), Vec::new());
    while let Some(address) = waiting.pop_front() {
        let of_its_kind = kinds.entry(kind(&address)).or_default();
        if !known.insert(address.clone()) || *of_its_kind >= OF_A_KIND || pages.len() >= MAX_PAGES {
            continue;
        }
        let answer = ops.send("GET", &address, None).await;
        let is_page = answer
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if !is_page {
            continue;
        }
        *of_its_kind += 1;
        if answer.status().as_u16() != 200 {
            refused.push(format!("{}: {address}", answer.status()));
            continue;
        }
        waiting.extend(links(&answer.text().await.unwrap()));
        pages.push(address);
    }
    assert_eq!(refused, Vec::<String>::new(), "links that lead to a refusal");
    assert!(pages.len() < MAX_PAGES, "there are more pages: {kinds:?}");
    every_route_is_among(&pages);
    pages
}

/// No page of the route table is missed for want of a link.
fn every_route_is_among(pages: &[String]) {
    let source = include_str!("../../src/console/mod.rs");
    let routes = source
        .split(".route(\"")
        .skip(1)
        .filter(|text| text.split(".route(").next().unwrap().contains("get("));
    let fits = |route: &str, address: &str| {
        let path = address.split('?').next().unwrap();
        let (mut parts, mut wanted) = (path.split('/'), route.split('/'));
        loop {
            match (parts.next(), wanted.next()) {
                (None, None) => return true,
                (Some(part), Some(wanted)) if wanted.starts_with('{') || part == wanted => {}
                _ => return false,
            }
        }
    };
    let missed: Vec<&str> = routes
        .map(|text| text.split('"').next().unwrap())
        .filter(|route| !NO_PAGES.contains(route))
        .filter(|route| !pages.iter().any(|page| fits(route, page)))
        .collect();
    assert_eq!(missed, Vec::<&str>::new(), "no link leads there");
}

pub(super) async fn speaks(browser: &Browser, language: &str) {
    browser.goto("/console").await;
    browser.click(language).await;
    let code = if language == "English" { "en" } else { "zh" };
    browser.until("it is chosen", &format!("document.documentElement.lang === '{code}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_leaves_its_box_on_any_page_at_any_width() {
    let (world, from) = crowded().await;
    let pages = found(&world, from).await;
    let browser = Browser::signed_in(&world, "owner").await;
    let mut wrong = Vec::new();
    for language in ["中文", "English"] {
        speaks(&browser, language).await;
        for page in &pages {
            browser.goto(page).await;
            for width in WIDTHS {
                browser.wide(width).await;
                for one in browser.run(MEASURE).await.as_array().unwrap() {
                    wrong.push(format!("{page}, {language}, {width} px: {}", one.as_str().unwrap()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_any_page() {
    let (world, from) = crowded().await;
    let pages = found(&world, from).await;
    let browser = Browser::signed_in(&world, "owner").await;
    let mut wrong = Vec::new();
    for language in ["中文", "English"] {
        speaks(&browser, language).await;
        for page in &pages {
            browser.goto(page).await;
            for scheme in ["light", "dark"] {
                browser.prefers(scheme).await;
                wrong.extend(
                    browser.barriers().await.iter().map(|one| format!("{page}, {language}, {scheme}: {one}")),
                );
            }
        }
    }
    browser.check().await;
    assert!(wrong.is_empty(), "{} barriers:\n{}", wrong.len(), wrong.join("\n"));
}
