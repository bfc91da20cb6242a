//! The console in a browser that runs no script: every page has its content, nothing is offered that
//! needs a script, and the acts are done.

use super::{every_page, short};
use crate::{
    harness::{Browser, PASSWORD, World},
    ops::dead_letters::dead_bookings,
};

/// What is wrong with a page without a script.
const FAULTS: &str = r"
const bad = [], seen = (e) => e.checkVisibility({visibilityProperty: true});
const name = (e) => `${e.tagName.toLowerCase()} ${JSON.stringify((e.innerText || e.getAttribute('aria-label') || e.name || '').trim().slice(0, 40))}`;
const say = (what, e) => bad.push(`${name(e)} ${what}`);
if (document.documentElement.dataset.scripted !== undefined) bad.push('a script ran');
const main = document.querySelector('main');
if (!main.querySelector('h1')?.innerText.trim()) bad.push('no heading');
if (main.innerText.trim().length < 20) bad.push('no content');
for (const e of document.querySelectorAll('button')) {
  if (seen(e) && !e.disabled && (e.type !== 'submit' || !e.form)) say('does nothing', e);
}
for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
  if (seen(e) && !e.form) say('is of no form', e);
  if (seen(e) && !e.name) say('is sent with no form', e);
}
for (const e of document.querySelectorAll('a')) {
  if (seen(e) && !/^(https?:|\/|\?|#.)/.test(e.getAttribute('href') || '')) say('leads nowhere', e);
}
for (const e of document.querySelectorAll('kbd, [role=button], [onclick]')) if (seen(e)) say('needs a script', e);
for (const e of document.querySelectorAll('form')) {
  if (!seen(e)) continue;
  const fields = [...e.elements].filter((one) => seen(one) && one.matches('input:not([type=checkbox]), select, textarea'));
  const sends = [...e.elements].some((one) => one.type === 'submit') || (fields.length === 1 && fields[0].type === 'search');
  if (!sends) say('cannot be sent', e);
  if (e.method === 'post' && !e.getAttribute('action')) say('has no address', e);
}
return bad";

async fn plain(world: &World, name: &str) -> Browser {
    let browser = Browser::at(&world.api.base()).await;
    browser.without_scripts().await;
    browser.sign_in(name).await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_its_content_and_offers_nothing_that_needs_a_script() {
    let (world, from) = every_page::crowded().await;
    let mut pages = every_page::found(&world, from).await;
    // Its samples are for looking at.
    pages.retain(|page| page != "/console/styleguide");
    let browser = plain(&world, "owner").await;
    let mut wrong = Vec::new();
    for language in ["中文", "English"] {
        every_page::speaks(&browser, language).await;
        for page in pages.iter().map(String::as_str).chain(["/console/sign-in", "/console/sign-in/reset"]) {
            browser.goto(page).await;
            for fault in browser.run(FAULTS).await.as_array().unwrap() {
                wrong.push(format!("{page}, {language}: {}", fault.as_str().unwrap()));
            }
        }
    }
    browser.check().await;
    assert!(wrong.is_empty(), "{} faults on {} pages:\n{}", wrong.len(), pages.len(), wrong.join("\n"));
}

/// What the page says after an act.
async fn done(browser: &Browser, words: &str) {
    browser.sees(words).await;
    assert_eq!(
        browser.run("return document.documentElement.dataset.scripted ?? null").await,
        serde_json::Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_queues_are_acted_upon() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("20.00").await);
    let orders = dead_bookings(&world, &rider, &trip, &["1", "2", "3"]).await;
    let browser = plain(&world, "ops").await;
    done(&browser, "3 jobs have given up.").await;
    // A filter, and a page of its list.
    browser.click("Jobs").await;
    browser.fill("State", "dead").await;
    browser.click("Filter").await;
    browser.until("the list is filtered", "location.search.includes('state=dead')").await;
    let dead = "select id::text from queue.dead_letter order by id";
    let jobs: Vec<String> = sqlx::query_scalar(dead).fetch_all(&world.pool).await.unwrap();
    browser.click(&short(&jobs[0])).await;
    browser.click("Redrive").await;
    browser.fill("Reason", "the disk has room").await;
    browser.click("Redrive").await;
    done(&browser, "Redrive ✓").await;
    // Some of a list.
    browser.goto("/console/jobs?state=dead").await;
    let boxes = "return [...document.querySelectorAll('main input[type=checkbox]')].filter(e => e.checkVisibility()).length";
    assert_eq!(browser.run(boxes).await, 2, "one for each job, and none for all");
    browser.run("document.querySelector('main input[name=ids]').click()").await;
    browser.click("Redrive the chosen").await;
    browser.fill("Reason", "the disk has room").await;
    browser.click("Redrive").await;
    done(&browser, "The operation has begun.").await;

    browser.goto("/console/queues").await;
    browser.click("Pause…").await;
    browser.fill("Reason", "the bank is away").await;
    browser.press("\u{e007}").await;
    done(&browser, "Pause: ").await;
    browser.sees("the bank is away").await;
    browser.click("Resume").await;
    browser.fill("Reason", "the bank is back").await;
    browser.click("Resume").await;
    done(&browser, "Resume: ").await;
    browser.goto(&format!("/console/orders/{}", orders[2])).await;
    browser.click("Redrive its jobs").await;
    browser.fill("Reason", "the disk has room").await;
    browser.click("Redrive its jobs").await;
    done(&browser, "Its jobs are redriven ✓").await;
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_riders_and_trips_are_acted_upon() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("20.00").await);
    rider.patch("/v1/riders/me", &serde_json::json!({ "phone": "+86 139 0000 4321" })).await.expect(200);
    let (open, paid) = (rider.booked(&trip, &["1"]).await, rider.booked(&trip, &["2"]).await);
    rider.pay(&paid).await.expect(200);
    let browser = plain(&world, "ops").await;
    browser.fill("Search", "139 0000 4321").await;
    browser.press("\u{e007}").await;
    browser
        .until("the rider is found", &format!("location.pathname === '/console/riders/{}'", rider.id))
        .await;
    browser.click("Top up").await;
    browser.fill("Amount", "5.00").await;
    browser.fill("Reason", "paid at the till").await;
    browser.click("Top up").await;
    done(&browser, "Topped up").await;
    browser.goto("/console/orders").await;
    browser.fill("State", "unpaid").await;
    browser.click("Find").await;
    browser.click(&short(&open)).await;
    browser.click("Close the order").await;
    browser.sees("No money moves.").await;
    browser.fill("Reason", "booked twice").await;
    browser.click("Close the order").await;
    done(&browser, "The order is closed ✓").await;
    browser.goto(&format!("/console/orders/{paid}")).await;
    browser.click("Write a note").await;
    browser.fill("Note", "the rider called").await;
    browser.click("Write a note").await;
    done(&browser, "the rider called").await;
    browser.click("Refund").await;
    browser.sees("4.00\u{a0}CNY").await;
    browser.fill("Reason", "no heating").await;
    browser.click("Refund").await;
    done(&browser, "The refund has begun ✓").await;
    browser.goto(&format!("/console/trips/{trip}/cancel")).await;
    let named = "return document.querySelector('label[for=departure] strong').innerText";
    let departure = browser.run(named).await.as_str().unwrap().to_owned();
    browser.fill("Reason", "snow on the pass").await;
    browser.fill("Type the departure:", &departure).await;
    browser.click("Cancel the trip").await;
    done(&browser, "Cancel the trip ✓").await;
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_chosen_a_refused_form_keeps_its_fields_and_one_signs_out() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let browser = plain(&world, "ops").await;
    for (button, holds) in [
        ("中文", "document.documentElement.lang === 'zh'"),
        ("English", "document.documentElement.lang === 'en'"),
        ("Dark", "document.documentElement.dataset.theme === 'dark'"),
        (
            "UTC",
            "[...document.querySelectorAll('button[name=zone]')].some(e => e.value === 'UTC' && e.ariaPressed === 'true')",
        ),
        (
            "Local time",
            "[...document.querySelectorAll('button[name=zone]')].every(e => e.value !== 'UTC' || e.ariaPressed === 'false')",
        ),
    ] {
        browser.click(button).await;
        browser.until(&format!("{button} is chosen"), holds).await;
        assert_eq!(browser.path().await, "/console", "the page is the same one");
    }
    browser.check().await;
    browser.goto(&format!("/console/riders/{}/top-up", rider.id)).await;
    browser.fill("Amount", "12,5").await;
    browser.fill("Reason", "at the desk").await;
    browser.click("Top up").await;
    browser.sees("Nothing was done. Your entries are still here.").await;
    assert_eq!(browser.complaints().await.len(), 1, "of the refusal's status alone");
    browser.fill("Amount", "12.50").await;
    browser.click("Top up").await;
    done(&browser, "Topped up").await;
    browser.click("Sign out").await;
    browser.until("nobody is signed in", "location.pathname === '/console/sign-in'").await;
    browser.goto("/console/jobs").await;
    browser.fill("User name", "ops").await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Sign in").await;
    browser.until("the page that was asked for is there", "location.pathname === '/console/jobs'").await;
    browser.check().await;
}
