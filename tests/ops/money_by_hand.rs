//! What operators may do with wallets: never with their own, within bounds, with a second person for
//! large amounts, and with one row of the audit log for each change.

use crate::{
    console::ConsoleSession,
    harness::{Answer, Client, World, count, production},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

async fn top_up(ops: &Client, rider: &Client, amount: &str, reference: &str) -> Answer {
    let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
    ops.post(&path, &json!({ "amount": amount, "reference": reference })).await
}

async fn correct(ops: &Client, rider: &Client, amount: &str, entry: &Value, reference: &str) -> Answer {
    let path = format!("/v1/ops/wallets/{}/corrections", rider.id);
    let body = json!({ "amount": amount, "entry_id": entry, "reference": reference, "reason": "a slip" });
    ops.post(&path, &body).await
}

async fn decide(ops: &Client, approval: &Value, act: &str) -> Answer {
    let path = format!("/v1/ops/approvals/{}/{act}", approval.as_str().unwrap());
    ops.post(&path, &json!({ "reason": "the receipt" })).await
}

/// The rule that the amount broke.
#[track_caller]
fn rule(answer: &Answer) -> String {
    let problem = answer.problem(422, "003074");
    assert_eq!(problem["field"], "/amount", "{}", answer.text);
    problem["rule"].as_str().unwrap().to_owned()
}

/// Acts of operators upon money, oldest first, with their actors.
async fn acts(world: &World) -> Vec<(String, String)> {
    let log = world.ops.get("/v1/ops/audit?limit=100&subject_kind=wallet").await;
    let items = log.expect(200)["items"].as_array().unwrap().clone();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    items.iter().rev().map(|entry| (text(entry, "act"), text(entry, "actor"))).collect()
}

/// Each entry by an operator has one row of the audit log, and each row its entry.
async fn log_is_ledger(world: &World) {
    let sql = "select count(*) from (select id::text from ledger_entry where kind in ('top_up', 'correction')) e(id)
               full join (select detail ->> 'entry' from audit where detail ? 'entry') a(id) using (id)
               where e.id is null or a.id is null";
    assert_eq!(count(&world.pool, sql).await, 0);
    let twice = "select count(*) - count(distinct detail ->> 'entry') from audit where detail ? 'entry'";
    assert_eq!(count(&world.pool, twice).await, 0);
    world.verify().await;
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(act, actor)| ((*act).to_owned(), (*actor).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_the_own_wallet() {
    let world = World::with(&production(&[])).await;
    let till = Client::operator(&world, "till").await;
    let first = top_up(&till, &world.ops, "10.00", "by another").await;
    let entry = first.expect(201)["id"].clone();
    top_up(&world.ops, &world.ops, "100000000.00", "mine").await.problem(403, "006061");
    correct(&world.ops, &world.ops, "1.00", &entry, "mine").await.problem(403, "006061");
    let ops = ConsoleSession::enter(&world, "ops").await;
    let form = format!("/console/riders/{}/top-up", world.ops.id);
    let csrf = ops.hidden(&form, "csrf").await;
    let body = format!("csrf={csrf}&reason=x&amount=5.00&reference=mine");
    assert_eq!(ops.status("POST", &form, Some(&body)).await, 403);
    assert_eq!(world.ops.balance().await, "10.00");
    assert_eq!(acts(&world).await, pairs(&[("wallet_top_up", "till")]));
    // The schema holds it, too.
    let sql = "insert into wallet_change (rider_id, seq, operator, amount) select rider_id, seq, rider_id, amount from ledger_entry";
    let refused = sqlx::query(sql).execute(&world.pool).await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("wallet_change_is_not_of_ones_own"));
    log_is_ledger(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_bounded_at_once_and_within_a_day() {
    let bounds = [
        ("FAREBOX__WALLETS__MAX_CHANGE", "100.00"),
        ("FAREBOX__WALLETS__MAX_DAY_PER_WALLET", "150.00"),
        ("FAREBOX__WALLETS__MAX_DAY_PER_OPERATOR", "200.00"),
    ];
    let world = World::with(&production(&bounds)).await;
    let till = Client::operator(&world, "till").await;
    let (one, other) = (world.rider("0").await, world.rider("0").await);
    assert_eq!(rule(&top_up(&world.ops, &one, "100.01", "much").await), "at most 100.00 at once");
    assert_eq!(rule(&top_up(&world.ops, &one, "999999999.99", "much").await), "at most 100.00 at once");
    let first = top_up(&world.ops, &one, "100.00", "a").await;
    let entry = first.expect(201)["id"].clone();
    // Of many at once no two pass the bound together; a correction downwards counts as much.
    let references: Vec<String> = (0..8).map(|n| format!("at once {n}")).collect();
    let tops = join_all(references.iter().map(|reference| top_up(&till, &one, "20.00", reference))).await;
    assert_eq!(tops.iter().filter(|answer| answer.status == 201).count(), 2);
    let wallet = "a wallet is changed by at most 150.00 within 24 hours";
    let refused = tops.iter().find(|answer| answer.status != 201).unwrap();
    assert_eq!(rule(refused), format!("at most 10.00 now: {wallet}"));
    assert_eq!(
        rule(&correct(&world.ops, &one, "-10.01", &entry, "b").await),
        format!("at most 10.00 now: {wallet}")
    );
    correct(&world.ops, &one, "-10.00", &entry, "b").await.expect(201);
    // The operator's own bound, whichever the wallet.
    top_up(&world.ops, &other, "90.00", "c").await.expect(201);
    let operator = "at most 0.00 now: an operator changes wallets by at most 200.00 within 24 hours";
    assert_eq!(rule(&top_up(&world.ops, &other, "0.01", "d").await), operator);
    // A repeat is no change, and others go on. The next day everything is as before.
    assert_eq!(top_up(&world.ops, &one, "100.00", "a").await.expect(201)["id"], entry);
    top_up(&till, &other, "60.00", "e").await.expect(201);
    sqlx::query("update wallet_change set at = at - interval '24 hours'").execute(&world.pool).await.unwrap();
    top_up(&world.ops, &other, "0.01", "d").await.expect(201);
    assert_eq!((one.balance().await, other.balance().await), ("130.00".to_owned(), "150.01".to_owned()));
    log_is_ledger(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_credit_that_is_sent_twenty_times_is_one_row_of_the_log() {
    let world = World::with(&production(&[])).await;
    let rider = world.rider("0").await;
    let tops = join_all((0..20).map(|_| top_up(&world.ops, &rider, "5.00", "PAY-77"))).await;
    for answer in &tops {
        assert_eq!(answer.expect(201)["id"], tops[0].body["id"]);
    }
    assert_eq!(rider.balance().await, "5.00");
    assert_eq!(acts(&world).await, pairs(&[("wallet_top_up", "ops")]));
    log_is_ledger(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_change_waits_for_a_second_operator() {
    let world = World::with(&production(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "50.00")])).await;
    let (till, third) = (Client::operator(&world, "till").await, Client::operator(&world, "third").await);
    let rider = world.rider("50.00").await;
    let waits = top_up(&world.ops, &rider, "50.01", "large").await;
    let waits = waits.expect(202);
    assert_eq!((&waits["state"], &waits["kind"]), (&json!("waiting"), &json!("top_up")));
    assert_eq!(top_up(&world.ops, &rider, "50.01", " LARGE").await.expect(202)["id"], waits["id"]);
    assert_eq!(
        rule_of_reference(&top_up(&till, &rider, "60.00", "large").await),
        "another change with this reference waits for its approval"
    );
    assert_eq!(rider.balance().await, "50.00", "no money has moved");
    let listed = world.ops.get("/v1/ops/approvals?state=waiting").await;
    assert_eq!(listed.expect(200)["items"], json!([waits]));
    // Who asked cannot approve, nor whose wallet it is; and a rider cannot at all.
    decide(&world.ops, &waits["id"], "approve").await.problem(403, "006062");
    decide(&rider, &waits["id"], "approve").await.problem(403, "003091");
    let own = top_up(&world.ops, &till, "60.00", "for the till").await;
    decide(&till, &own.expect(202)["id"], "approve").await.problem(403, "006061");
    // Of two at once one approves, and the money moves once.
    let two = join_all([&till, &third].map(|second| decide(second, &waits["id"], "approve"))).await;
    let approved = two.iter().find(|answer| answer.status == 200).expect("one approves").body.clone();
    two.iter().find(|answer| answer.status != 200).expect("one does not").problem(409, "006063");
    assert_eq!((rider.balance().await, &approved["state"]), ("100.01".to_owned(), &json!("approved")));
    let again = top_up(&world.ops, &rider, "50.01", "large").await;
    assert_eq!(again.expect(201)["id"], approved["entry_id"]);
    decide(&till, &waits["id"], "refuse").await.problem(409, "006063");
    log_is_ledger(&world).await;

    // What is refused moves nothing, and its reference may be used again.
    let second = top_up(&world.ops, &rider, "70.00", "second").await.expect(202)["id"].clone();
    assert_eq!(decide(&world.ops, &second, "refuse").await.expect(200)["state"], "refused");
    let third_try = top_up(&world.ops, &rider, "70.00", "second").await.expect(202)["id"].clone();
    assert_ne!(second, third_try);
    // After its deadline nobody approves it.
    let sql = "update wallet_approval set asked_at = asked_at - interval '2 days', expires_at = now() where outcome is null";
    sqlx::query(sql).execute(&world.pool).await.unwrap();
    let late = decide(&till, &third_try, "approve").await;
    assert_eq!(late.problem(409, "006063")["approval_state"], "expired");
    // Nor what an operator asked for who is none any more.
    let last = top_up(&third, &rider, "70.00", "second").await.expect(202)["id"].clone();
    sqlx::query("update rider set role = 'viewer' where user_name = 'third'")
        .execute(&world.pool)
        .await
        .unwrap();
    decide(&till, &last, "approve").await.problem(409, "006063");
    assert_eq!(rider.balance().await, "100.01");
    let second_person = approved["decided_by"].as_str().unwrap();
    let name = if second_person == till.id.to_string() { "till" } else { "third" };
    let expected = pairs(&[
        ("wallet_top_up", "ops"),
        ("approval_ask", "ops"),
        ("approval_ask", "ops"),
        ("approval_give", name),
        ("approval_ask", "ops"),
        ("approval_refuse", "ops"),
        ("approval_ask", "ops"),
        ("approval_ask", "third"),
    ]);
    assert_eq!(acts(&world).await, expected);
    log_is_ledger(&world).await;
}

#[track_caller]
fn rule_of_reference(answer: &Answer) -> String {
    let problem = answer.problem(422, "003074");
    assert_eq!(problem["field"], "/reference", "{}", answer.text);
    problem["rule"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_names_its_entry_and_leaves_no_debt() {
    let world = World::with(&production(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "500.00")])).await;
    let (rider, other) = (world.rider("0").await, world.rider("20.00").await);
    let wrong = top_up(&world.ops, &rider, "100.00", "slip 4711").await.expect(201)["id"].clone();
    let fixed = correct(&world.ops, &rider, "-90.00", &wrong, "complaint 12").await;
    let fixed = fixed.expect(201);
    assert_eq!((&fixed["kind"], &fixed["amount"]), (&json!("correction"), &json!("-90.00")));
    assert_eq!(correct(&world.ops, &rider, "-90.00", &wrong, "Complaint  12").await.expect(201), fixed);
    assert_eq!(rider.balance().await, "10.00");
    let below = correct(&world.ops, &rider, "-10.01", &wrong, "below").await;
    assert_eq!(rule(&below), "at most 10.00 can be taken back: the wallet holds no more");
    for nothing in ["0", "0.00", "-0.00"] {
        assert_eq!(
            rule(&correct(&world.ops, &rider, nothing, &wrong, "nothing").await),
            "an amount that is not zero"
        );
    }
    // An entry of this wallet, and a reason.
    let foreign = other.get("/v1/wallet/entries").await.expect(200)["items"][0]["id"].clone();
    for unknown in [&foreign, &json!(uuid::Uuid::now_v7())] {
        let refused = correct(&world.ops, &rider, "1.00", unknown, "foreign").await;
        assert_eq!(refused.problem(422, "003074")["field"], "/entry_id", "{}", refused.text);
    }
    let path = format!("/v1/ops/wallets/{}/corrections", rider.id);
    let body = json!({ "amount": "1.00", "entry_id": wrong, "reference": "no reason" });
    assert_eq!(world.ops.post(&path, &body).await.problem(422, "003073")["field"], "/reason");
    // A reference counts once, whatever it is for.
    let used = top_up(&world.ops, &rider, "-90.00", "complaint 12").await;
    used.problem(422, "003074");
    let used = top_up(&world.ops, &rider, "90.00", "complaint 12").await;
    assert_eq!(rule_of_reference(&used), "the reference was used for another kind of entry");
    correct(&world.ops, &other, "1.00", &foreign, "complaint 12").await.problem(409, "006060");
    // Upwards, and large ones by two people.
    correct(&world.ops, &rider, "0.50", &wrong, "half").await.expect(201);
    let waits = correct(&world.ops, &rider, "600.00", &wrong, "a lot").await.expect(202)["id"].clone();
    let till = Client::operator(&world, "till").await;
    decide(&till, &waits, "approve").await.expect(200);
    assert_eq!(rider.balance().await, "610.50");
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from ledger_entry where rider_id = $1 order by seq")
            .bind(rider.id.0)
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(kinds, ["top_up", "correction", "correction", "correction"]);
    log_is_ledger(&world).await;
    the_schema_refuses_corrections_without_a_cause(&world, &rider).await;
}

async fn the_schema_refuses_corrections_without_a_cause(world: &World, rider: &Client) {
    for (corrects, amount, broken) in [
        ("null", "1", "ledger_correction_names_an_entry"),
        ("last_entry + 1", "1", "ledger_correction_names_an_entry"),
        ("0", "1", "ledger_correction_is_of_its_wallet"),
        ("1", "-balance - 1", "ledger_balance_is_never_negative"),
    ] {
        let sql = format!(
            "insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference, corrects)
             select rider_id, last_entry + 1, gen_random_uuid(), 'correction', {amount}, balance + {amount}, 'x', {corrects}
             from wallet where rider_id = $1"
        );
        let refused =
            sqlx::query(AssertSqlSafe(sql)).bind(rider.id.0).execute(&world.pool).await.unwrap_err();
        assert_eq!(
            refused.as_database_error().and_then(|error| error.constraint()),
            Some(broken),
            "{corrects}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_without_an_effect_is_not_logged() {
    let world = World::with(&production(&[])).await;
    let trip = world.trip(4).await;
    let post = async |path: &str, body: Value, status: u16| {
        world.ops.post(path, &body).await.expect(status);
    };
    let (block, release) =
        (format!("/v1/ops/trips/{trip}/seats/block"), format!("/v1/ops/trips/{trip}/seats/release"));
    let cancel = format!("/v1/ops/trips/{trip}/cancel");
    let seats = json!({ "seats": ["1"], "reason": "broken" });
    for _ in 0..2 {
        post("/v1/ops/queues/timetable/pause", json!({ "reason": "quiet" }), 200).await;
        post("/v1/ops/queues/timetable/drain", json!({ "wait_secs": 0 }), 200).await;
    }
    for _ in 0..2 {
        post("/v1/ops/queues/timetable/resume", json!({}), 200).await;
        post("/v1/ops/dead-letters/redrive", json!({}), 200).await;
    }
    for _ in 0..2 {
        post(&block, seats.clone(), 200).await;
    }
    for _ in 0..2 {
        post(&release, seats.clone(), 200).await;
    }
    for _ in 0..2 {
        post(&cancel, json!({ "reason": "snow" }), 202).await;
    }
    let log: Vec<String> =
        sqlx::query_scalar("select act from audit where act <> 'operator_sign_in' order by id")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(
        log,
        ["trip_add", "queue_pause", "queue_resume", "seats_block", "seats_release", "trip_cancel"]
    );
}
