//! Currencies of none, two and three decimals: all that shows or takes an amount.

use super::{Files, Ran, small, written};
use crate::{
    console::session::ConsoleSession,
    harness::{Answer, Browser, Client, Database, Process, World, command, count, folder, until},
};
use chrono::{Days, Utc};
use serde_json::json;
use std::{fs, path::Path};

/// A currency with amounts in it.
struct Case {
    code: &'static str,
    /// The fare of a seat, and what the database has of it.
    fare: &'static str,
    stored: &'static str,
    /// Two seats.
    two: &'static str,
    /// What goes into the wallet, and what is left after two seats.
    top_up: &'static str,
    rest: &'static str,
    nothing: &'static str,
    /// Finer than a minor unit.
    fine: &'static str,
    rule: &'static str,
    most: &'static str,
}

const CASES: [Case; 3] = [
    Case {
        code: "JPY",
        fare: "500",
        stored: "5.00",
        two: "1000",
        top_up: "2500",
        rest: "1500",
        nothing: "0",
        fine: "2500.5",
        rule: "an amount of JPY is a decimal string without decimal places, like \"400\"",
        most: "100000000000",
    },
    Case {
        code: "EUR",
        fare: "5.00",
        stored: "5.00",
        two: "10.00",
        top_up: "25.00",
        rest: "15.00",
        nothing: "0.00",
        fine: "25.005",
        rule: "an amount of EUR is a decimal string with at most 2 decimal places, like \"4.00\"",
        most: "1000000000.00",
    },
    Case {
        code: "KWD",
        fare: "0.405",
        stored: "4.05",
        two: "0.810",
        top_up: "2.500",
        rest: "1.690",
        nothing: "0.000",
        fine: "2.5005",
        rule: "an amount of KWD is a decimal string with at most 3 decimal places, like \"0.400\"",
        most: "100000000.000",
    },
];

/// Runs `farebox …` on this database.
fn farebox(db: &Database, env: &[(&str, &str)], args: &[&str]) -> Ran {
    let ran = command(env!("CARGO_BIN_EXE_farebox"), &db.url, env).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { is_ok: ran.status.success(), out: text(&ran.stdout), err: text(&ran.stderr) }
}

/// A small network of this currency that runs every day.
pub fn network(code: &str, fare: &str) -> Files {
    let mut files = small();
    let head = String::from_utf8(files["network.toml"].clone()).unwrap().replace("EUR", code);
    files.insert("network.toml", head.into_bytes());
    let today = Utc::now().date_naive();
    let (from, until) = (today - Days::new(1), today + Days::new(90));
    files.insert("calendars.csv", format!("code,days,from,until\nk,daily,{from},{until}\n").into_bytes());
    files.insert("fares.csv", format!("route,class,amount\nr,standard,{fare}\n").into_bytes());
    files
}

fn try_import(db: &Database, env: &[(&str, &str)], path: &Path) -> Ran {
    let path = path.to_str().unwrap();
    let shown = farebox(db, env, &["network", "import", path]);
    let Some((_, digest)) = shown.out.split_once("--preview ") else { return shown };
    farebox(db, env, &["network", "import", path, "--preview", digest.trim()])
}

/// A world without departures.
async fn world() -> World {
    let world = World::new().await;
    sqlx::raw_sql("delete from timetable; delete from bus").execute(&world.pool).await.unwrap();
    world
}

/// A world whose network is of this currency. Its API, which ran before the import, knows it.
async fn selling(case: &Case) -> (World, Client) {
    let world = world().await;
    let name = format!("currency-{}", case.code);
    try_import(&world.db, &[], &written(&name, &network(case.code, case.fare))).succeeded();
    farebox(&world.db, &[], &["trips", "--days", "4"]).succeeded();
    let rider = world.rider("0").await;
    until("the API knows the currency", async || {
        rider.get("/v1/wallet").await.expect(200)["currency"] == case.code
    })
    .await;
    (world, rider)
}

/// The network's last trip.
async fn trip(world: &World) -> String {
    let sql = "select id::text from trip order by departs_at desc limit 1";
    sqlx::query_scalar(sql).fetch_one(&world.pool).await.unwrap()
}

#[track_caller]
fn has(answer: &serde_json::Value, fields: &[(&str, &str)]) {
    for (field, value) in fields {
        assert_eq!(answer[*field], *value, "{field} of {answer}");
    }
}

#[track_caller]
fn says(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "no {word:?} in {page}");
    }
}

async fn texts(world: &World, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(&world.pool).await.unwrap()
}

/// The rule that an amount broke.
#[track_caller]
fn rule(answer: &Answer) -> &str {
    answer.problem(422, "003074")["rule"].as_str().unwrap()
}

/// Books two seats and pays them; everything on the way has the currency's decimals.
async fn buys(case: &Case, world: &World, rider: &Client, trip: &str) -> String {
    let Case { code, fare, two, top_up, rest, nothing, fine, most, .. } = case;
    has(rider.get("/v1/wallet").await.expect(200), &[("balance", nothing), ("currency", code)]);
    let shown = rider.get(&format!("/v1/trips/{trip}")).await;
    has(shown.expect(200), &[("price", fare), ("currency", code)]);

    assert_eq!(rule(&world.top_up(rider.id, fine, "fine").await), case.rule);
    let beyond = world.top_up(rider.id, "100000000001", "much").await;
    assert_eq!(rule(&beyond), format!("an amount is at most {most}"));
    let entered = world.top_up(rider.id, top_up, "first").await;
    has(entered.expect(201), &[("amount", top_up), ("balance_after", top_up), ("currency", code)]);

    let client = rider.key("one booking");
    let booked = client.book(trip, &["1", "2"]).await;
    let of_order = [("unit_price", *fare), ("amount", two), ("currency", code)];
    has(booked.expect(201), &of_order);
    assert_eq!(client.book(trip, &["1", "2"]).await.expect(201), &booked.body, "the replay is the answer");
    let order = booked.body["id"].as_str().unwrap().to_owned();
    has(rider.pay(&order).await.expect(200), &of_order);
    has(rider.get("/v1/wallet").await.expect(200), &[("balance", rest), ("currency", code)]);
    has(rider.get(&format!("/v1/orders/{order}")).await.expect(200), &of_order);
    has(&rider.get("/v1/orders").await.expect(200)["items"][0], &of_order);
    let entries = rider.get("/v1/wallet/entries").await;
    let paid = format!("-{two}");
    has(&entries.expect(200)["items"][0], &[("amount", &paid), ("balance_after", rest), ("currency", code)]);
    order
}

/// As pages write it. No amount of these cases has more than four digits before the point.
fn apart(amount: &str) -> String {
    let digits = amount.trim_start_matches('-').chars().take_while(char::is_ascii_digit).count();
    let mut text = amount.to_owned();
    if digits == 4 {
        text.insert(amount.len() - amount.trim_start_matches('-').len() + 1, ',');
    }
    text
}

/// Pages, commands and tables while the seats are paid.
async fn is_shown(case: &Case, world: &World, rider: &Client, (trip, order): (&str, &str)) {
    let Case { code, fare, two, top_up, rest, nothing, .. } = case;
    let ops = ConsoleSession::enter(world, "ops").await;
    let money = |amount: &str| format!("<span class=\"money\">{}</span>", apart(amount));
    let with_code = |amount: &str| money(&format!("{amount}\u{a0}{code}"));
    let head = format!("Amount, {code}</th>");
    says(
        &ops.page(&format!("/console/orders/{order}")).await,
        &[&with_code(two), &with_code(&format!("-{two}"))],
    );
    says(&ops.page("/console/orders").await, &[&head, &money(two)]);
    let wallet = ops.page(&format!("/console/riders/{}", rider.id)).await;
    says(&wallet, &[&with_code(rest), &head, &format!("Balance after, {code}</th>"), &money(top_up)]);
    says(&ops.page(&format!("/console/trips/{trip}")).await, &[&with_code(fare)]);
    says(&ops.page(&format!("/console/trips/{trip}/cancel")).await, &[&with_code(two)]);

    let timeline = world.ops.get(&format!("/v1/ops/orders/{order}/timeline")).await;
    let events = timeline.expect(200)["items"].as_array().unwrap().clone();
    let entry = &events.iter().find(|event| event["kind"] == "ledger").unwrap()["detail"];
    has(entry, &[("amount", &format!("-{two}")), ("balance_after", rest), ("currency", code)]);

    // A rider without money.
    let poor = world.rider("0").await;
    let wanted = poor.booked(trip_before(world).await.as_str(), &["1"]).await;
    let refused = poor.pay(&wanted).await;
    has(refused.problem(402, "004002"), &[("balance", nothing), ("currency", code)]);
    poor.cancel(&wanted).await.expect(200);

    let mut changed = network(code, fare);
    let departures = "code,route,direction,bus,calendar,departs,legs\nd,r,0,1,k,8:30,10 5\n";
    changed.insert("departures.csv", departures.as_bytes().to_vec());
    let changed = written(&format!("currency-{code}-changed"), &changed);
    let preview = farebox(&world.db, &[], &["network", "import", changed.to_str().unwrap()]).succeeded();
    says(&preview.out, &[&format!("fares in {code}"), &format!("1 riders, {two} paid")]);
    let id = rider.id.to_string();
    let exported = farebox(&world.db, &[], &["riders", "export", &id, "--reason", "a letter"]).succeeded();
    let exported: serde_json::Value = serde_json::from_str(&exported.out).unwrap();
    assert_eq!(exported["currency"], *code);
    has(&exported["tables"]["wallet"][0], &[("balance", rest)]);
    has(&exported["tables"]["orders"][0], &[("unit_price", fare), ("amount", two)]);
    farebox(&world.db, &[], &["verify"]).succeeded();
}

/// Another trip than the last.
async fn trip_before(world: &World) -> String {
    let sql = "select id::text from trip order by departs_at desc offset 1 limit 1";
    sqlx::query_scalar(sql).fetch_one(&world.pool).await.unwrap()
}

async fn of_case(case: &Case) {
    let (world, rider) = selling(case).await;
    let _worker = world.worker();
    let trip = trip(&world).await;
    let order = buys(case, &world, &rider, &trip).await;
    world.drained().await;
    is_shown(case, &world, &rider, (&trip, &order)).await;
    assert_eq!(texts(&world, "select distinct price::text from trip").await, [case.stored]);
    let amounts = "select distinct unit_price::text from orders union select amount::text from fare_period";
    assert_eq!(texts(&world, amounts).await, [case.stored], "hundreds of minor units");

    let refunded = rider.refund(&order).await;
    has(refunded.expect(200), &[("amount", case.two), ("currency", case.code), ("status", "refunded")]);
    assert_eq!(rider.balance().await, case.top_up);
    let to = folder(&format!("network-currency-{}-exported", case.code));
    let _ = fs::remove_dir_all(&to);
    farebox(&world.db, &[], &["network", "export", "--to", to.to_str().unwrap()]).succeeded();
    says(&fs::read_to_string(to.join("fares.csv")).unwrap(), &[&format!(",{}", case.fare)]);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yen_have_no_decimals() {
    of_case(&CASES[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn euros_have_two_decimals() {
    of_case(&CASES[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dinars_have_three_decimals() {
    of_case(&CASES[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_and_give_amounts_in_the_currency_in_a_browser() {
    for case in [&CASES[0], &CASES[2]] {
        let (world, rider) = selling(case).await;
        let browser = Browser::signed_in(&world, "ops").await;
        let form = format!("/console/riders/{}/top-up", rider.id);
        browser.goto(&form).await;
        browser.sees(&format!("Amount, {}", case.code)).await;
        browser.fill("Amount", case.fine).await;
        browser.fill("Reason", "at the till").await;
        browser.click("Top up").await;
        browser.sees(case.rule).await;
        browser.goto(&form).await;
        browser.fill("Amount", case.top_up).await;
        browser.fill("Reason", "at the till").await;
        browser.click("Top up").await;
        browser.sees(&format!("Topped up {}\u{a0}{}", apart(case.top_up), case.code)).await;
        assert_eq!(rider.balance().await, case.top_up);
        world.verify().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_currency_changes_only_while_there_is_no_money() {
    let files = |code: &str, fare| written(&format!("currency-change-{code}"), &network(code, fare));
    let [yen, dinars] = [files("JPY", "500"), files("KWD", "0.400")];
    let one = world().await;
    for path in [&yen, &dinars, &yen] {
        try_import(&one.db, &[], path).succeeded();
    }
    assert_eq!(texts(&one, "select currency || ' ' || decimals from network").await, ["JPY 0"]);
    assert_eq!(texts(&one, "select amount::text from fare_period").await, ["5.00"]);
    let stays = "the currency stays JPY: trips, orders or wallets have amounts in it, and the files say KWD";
    farebox(&one.db, &[], &["trips", "--days", "2"]).succeeded();
    try_import(&one.db, &[], &dinars).refused(stays);
    assert_eq!(texts(&one, "select currency from network").await, ["JPY"]);

    // Each alone: a ledger entry, a change of a wallet that waits, an extra trip.
    let stays = "the currency stays CNY";
    let two = world().await;
    two.rider("5.00").await;
    try_import(&two.db, &[], &yen).refused(stays);
    // Amounts of before networks have two decimals, and the first network names their currency.
    try_import(&two.db, &[], &files("EUR", "5.00")).succeeded();
    let stays_now = "the currency stays EUR";
    try_import(&two.db, &[], &files("CNY", "5.00")).refused(stays_now);
    let three = World::with(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "1.00")]).await;
    let rider = three.rider("0").await;
    three.top_up(rider.id, "5.00", "much").await.expect(202);
    try_import(&three.db, &[], &yen).refused(stays);
    let four = World::new().await;
    four.trip(4).await;
    try_import(&four.db, &[], &yen).refused(stays);
    assert_eq!(count(&four.pool, "select count(*) from network").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_read_before_an_import_is_not_written_after_it() {
    let world = world().await;
    let rider = world.rider("0").await;
    // What an import does with another currency.
    let mut import = world.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(('x63757272656e6379')::bit(64)::bigint)")
        .execute(&mut *import)
        .await
        .unwrap();
    sqlx::query(
        "insert into network (name, zone, currency, decimals, languages, digest)
         values ('N', 'Asia/Tokyo', 'JPY', 0, '{ja}', '')",
    )
    .execute(&mut *import)
    .await
    .unwrap();
    let asked = world.top_up(rider.id, "5.00", "first");
    let (answer, ()) = tokio::join!(asked, async {
        until("the top-up waits", async || world.waiting_for_locks().await == 1).await;
        import.commit().await.unwrap();
    });
    assert_eq!(rule(&answer), "the currency has become JPY: give the amount in it");
    assert_eq!(count(&world.pool, "select count(*) from ledger_entry").await, 0);
    world.top_up(rider.id, "500", "second").await.expect(201);
    assert_eq!(rider.balance().await, "500");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_finer_than_the_currency_is_named() {
    let fine = [("FAREBOX__WALLETS__APPROVAL_ABOVE", "100.5")];
    let named = "wallets.approval_above: 100.5 is finer than JPY allows, which has 0 decimals";
    let world = world().await;
    let yen = written("currency-setting", &network("JPY", "500"));
    try_import(&world.db, &fine, &yen).refused(named);
    assert_eq!(count(&world.pool, "select count(*) from network").await, 0);
    try_import(&world.db, &[], &yen).succeeded();
    for program in [env!("CARGO_BIN_EXE_farebox-api"), env!("CARGO_BIN_EXE_farebox-worker")] {
        let mut refused = Process::start(command(program, &world.db.url, &fine));
        assert!(!refused.wait().success());
        refused.wait_for_line(named);
    }
    // Two decimals that are zero are no finer: the defaults are written so.
    let body = json!({ "amount": "100001", "reference": "r" });
    let path = format!("/v1/ops/wallets/{}/top-ups", world.rider("0").await.id);
    until("the API knows the currency", async || {
        world.ops.get("/v1/wallet").await.expect(200)["currency"] == "JPY"
    })
    .await;
    let refused = world.ops.post(&path, &body).await;
    assert_eq!(rule(&refused), "at most 100000 now: a wallet may be topped up to 100000");
}
