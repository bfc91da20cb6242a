//! What identifies accounts, payments and requests is compared in one way everywhere; pay passwords
//! and what they authorize.

use crate::harness::{
    Answer, Client, Database, PASSWORD, PAY_PASSWORD, PEPPER, World, command, count, until,
};
use farebox::storage;
use futures_util::future::join_all;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{io::Write, process::Stdio};

const PATH: &str = "/v1/riders/me/pay-password";
const ME: &str = "/v1/riders/me";

async fn sign_in(world: &World, name: &str, password: &str) -> Answer {
    let body = json!({ "user_name": name, "password": password });
    Client::stranger(&world.api.base()).post("/v1/sessions", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn user_names_are_folded_in_one_way_on_a_database_that_folds_more() {
    let world = World::on(Database::that_folds().await, &[]).await;
    let folds: String = sqlx::query_scalar("select lower('RİDER')").fetch_one(&world.pool).await.unwrap();
    assert!(!folds.contains('İ'), "{folds}");
    let rider = world.rider("0").await;
    for same in ["rider0", "RIDER0", "rIdEr0"] {
        assert_eq!(sign_in(&world, same, PASSWORD).await.expect(201)["rider"]["id"], json!(rider.id));
    }
    // Texts that are no user names are nobody's, however they fold; their tries are counted as one name's.
    for round in 0..5 {
        let none = if round % 2 == 0 { "rİder0" } else { "RİDER0" };
        sign_in(&world, none, PASSWORD).await.problem(401, "003001");
    }
    sign_in(&world, "rİder0", PASSWORD).await.problem(429, "005001");
    for none in
        ["r\u{131}der0", "ｒider0", "rider0\u{200b}", "rider0 ", "ri\u{307}der0", "rider\u{660}", "r", ""]
    {
        let answer = sign_in(&world, none, PASSWORD).await;
        assert!([401, 422].contains(&answer.status.as_u16()), "{none:?}: {}", answer.text);
    }
    assert_eq!(sign_in(&world, "rider0", PASSWORD).await.status, 201, "nobody delayed its owner");
    // The Kelvin sign folds to k.
    let anybody = Client::stranger(&world.api.base());
    let new = |name: &str| json!({ "user_name": name, "password": PASSWORD });
    anybody.post("/v1/riders", &new("kim")).await.expect(201);
    sign_in(&world, "\u{212a}im", PASSWORD).await.problem(401, "003001");
    anybody.post("/v1/riders", &new("KIM")).await.problem(409, "003003");
    for none in ["rİder0", "\u{212a}im", "rider\u{660}"] {
        assert_eq!(
            anybody.post("/v1/riders", &new(none)).await.problem(422, "003074")["field"],
            "/user_name"
        );
        let write = "update rider set user_name = $1 where user_name = 'kim'";
        let refused = sqlx::query(write).bind(none).execute(&world.pool).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("rider_user_name_is_plain"));
    }
    let write = "update rider set user_name = 'Rider0' where user_name = 'kim'";
    let refused = sqlx::query(write).execute(&world.pool).await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("rider_user_name_is_taken_once"));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_the_same_however_its_letters_are_put_together() {
    let world = World::new().await;
    let anybody = Client::stranger(&world.api.base());
    let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301}\u{3000}au\u{a0}lait");
    for (name, registered, typed) in [("anna", composed, decomposed), ("bert", decomposed, composed)] {
        let new = json!({ "user_name": name, "password": registered });
        anybody.post("/v1/riders", &new).await.expect(201);
        sign_in(&world, name, typed).await.expect(201);
        sign_in(&world, name, registered).await.expect(201);
        // Only that: neither case nor accents nor blanks are dropped.
        for other in ["cafe au lait", "Caf\u{e9} au lait", "caf\u{e9} aulait"] {
            sign_in(&world, name, other).await.problem(401, "003001");
        }
    }
    for password in ["a\tpassword", "a\u{0}password", "a password\u{85}"] {
        let new = json!({ "user_name": "carl", "password": password });
        assert_eq!(anybody.post("/v1/riders", &new).await.problem(422, "003074")["field"], "/password");
    }
    let mut adding = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]);
    let piped = adding.args(["operators", "add", "boss"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut adding = piped.stdout(Stdio::null()).spawn().unwrap();
    adding.stdin.take().unwrap().write_all(format!("{decomposed}\n").as_bytes()).unwrap();
    assert!(adding.wait().unwrap().success());
    sign_in(&world, "boss", composed).await.expect(201);
}

async fn top_up(world: &World, ops: &Client, rider: &Client, amount: &str, reference: &str) -> Answer {
    assert!(!world.db.url.is_empty());
    let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
    ops.post(&path, &json!({ "amount": amount, "reference": reference })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_one_payment_however_it_is_written() {
    let world = World::new().await;
    let (rider, other) = (world.rider("0").await, world.rider("0").await);
    let first = top_up(&world, &world.ops, &rider, "5.00", "PAY-77 a").await.expect(201).clone();
    for same in ["PAY-77 a", "PAY-77 a ", " pay-77  A", "ＰＡＹ-77\u{3000}a", "Pay-７７\u{a0}a"] {
        assert_eq!(top_up(&world, &world.ops, &rider, "5.00", same).await.expect(201), &first, "{same:?}");
        let changed = top_up(&world, &world.ops, &rider, "6.00", same).await;
        assert_eq!(changed.problem(422, "003074")["field"], "/reference");
        let taken = top_up(&world, &world.ops, &other, "5.00", same).await;
        let problem = taken.problem(409, "006060");
        assert_eq!((&problem["rider_id"], &problem["entry_id"]), (&json!(rider.id), &first["id"]));
        assert!(problem["detail"].as_str().unwrap().contains(&rider.id.to_string()), "{}", taken.text);
    }
    let unseen = ["PAY-77\u{200b} a", "\u{feff}PAY-78", "PAY\u{ad}-78", "\u{202e}PAY-78", "PAY-78\u{e0041}"];
    let empty = ["", " ", "\u{3000}\u{a0}", "\u{200b}", "\u{2800}", "a\u{7}b", "\u{3164}"];
    for none in unseen.iter().chain(&empty) {
        let refused = top_up(&world, &world.ops, &rider, "5.00", none).await;
        assert_eq!(refused.problem(422, "003074")["field"], "/reference", "{none:?}");
    }
    let long = top_up(&world, &world.ops, &rider, "1.00", &"王".repeat(100)).await;
    long.expect(201);
    top_up(&world, &world.ops, &rider, "1.00", &"王".repeat(101)).await.problem(422, "003074");
    assert_eq!((rider.balance().await, other.balance().await), ("6.00".to_owned(), "0.00".to_owned()));
    // A repeat tops nothing up, and is no second row.
    assert_eq!(count(&world.pool, "select count(*) from audit where act = 'wallet_top_up'").await, 2);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_riders_at_once_one_gets_the_payment() {
    let world = World::new().await;
    let replica = world.another_api();
    let riders = [world.rider("0").await, world.rider("0").await];
    let ops = [world.ops.clone(), world.ops.at(&replica.base())];
    for round in 0..10 {
        let reference = format!("slip {round}");
        let asked = (0..8).map(|n| top_up(&world, &ops[n / 2 % 2], &riders[n % 2], "1.00", &reference));
        let answers = join_all(asked).await;
        let of = |n: usize| {
            answers.iter().skip(n).step_by(2).map(|answer| answer.status.as_u16()).collect::<Vec<_>>()
        };
        let mut both = [of(0), of(1)];
        both.sort();
        assert_eq!(both, [vec![201; 4], vec![409; 4]], "round {round}");
    }
    let held = "select count(*) from ledger_entry where kind = 'top_up'";
    assert_eq!(count(&world.pool, held).await, 10);
    assert_eq!(count(&world.pool, "select sum(balance)::bigint from wallet").await, 10);
    world.verify().await;
}

/// References from before they were compared: some of several top-ups, each of which keeps its answer.
#[tokio::test(flavor = "multi_thread")]
async fn top_ups_from_before_an_upgrade_are_not_made_again() {
    const SINCE: i64 = 22;
    let db = Database::empty().await;
    let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
    let before =
        storage::MIGRATIONS.iter().map(|m| m.version).filter(|version| *version < SINCE).max().unwrap();
    storage::MIGRATIONS.run_to(before, &pool).await.unwrap();
    let riders = [uuid::Uuid::now_v7(), uuid::Uuid::now_v7(), uuid::Uuid::now_v7()];
    let [first, second, third] = riders;
    for (n, id) in riders.iter().enumerate() {
        sqlx::query("insert into rider (id, user_name, password_hash) values ($1, 'old' || $2, 'x')")
            .bind(id)
            .bind(n.to_string())
            .execute(&pool)
            .await
            .unwrap();
        sqlx::query("insert into wallet (rider_id) values ($1)").bind(id).execute(&pool).await.unwrap();
    }
    let kept = [
        (first, 1_i64, 5_i64, 5_i64, "PAY-77"),
        (first, 2, 1, 6, "pay-77 "),
        (second, 1, 2, 2, "PAY-77"),
        (second, 2, 1, 3, "ＰＡＹ-78"),
        (second, 3, 1, 4, " "),
    ];
    for (rider, seq, amount, balance, reference) in kept {
        sqlx::query(
            "with entered as (
                 insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference)
                 values ($1, $2, gen_random_uuid(), 'top_up', $3, $4, $5))
             update wallet set balance = $4, last_entry = $2 where rider_id = $1",
        )
        .bind(rider)
        .bind(seq)
        .bind(amount)
        .bind(balance)
        .bind(reference)
        .execute(&pool)
        .await
        .unwrap();
    }
    storage::migrate(&pool).await.unwrap();
    let world = World::on(db, &[]).await;
    let top_up = async |rider: uuid::Uuid, amount: i64, reference: &str| {
        let body = json!({ "amount": amount.to_string(), "reference": reference });
        world.ops.post(&format!("/v1/ops/wallets/{rider}/top-ups"), &body).await
    };
    for (rider, seq, amount, _, reference) in &kept[..4] {
        let id: uuid::Uuid =
            sqlx::query_scalar("select id from ledger_entry where rider_id = $1 and seq = $2")
                .bind(rider)
                .bind(seq)
                .fetch_one(&pool)
                .await
                .unwrap();
        assert_eq!(top_up(*rider, *amount, reference).await.expect(201)["id"], json!(id), "{reference:?}");
    }
    // The answer now names its owner: the first top-up's rider.
    let taken = top_up(third, 5, " Pay-77").await;
    assert_eq!(taken.problem(409, "006060")["rider_id"], json!(first));
    top_up(third, 5, "PAY-79").await.expect(201);
    let held: i64 =
        sqlx::query_scalar("select sum(balance)::bigint from wallet").fetch_one(&pool).await.unwrap();
    assert_eq!(held, 6 + 4 + 5);
    world.verify().await;
}

async fn authorize(rider: &Client, order: &str, pay_password: &str) -> Answer {
    let body = json!({ "order_id": order, "pay_password": pay_password });
    rider.post("/v1/payment-authorizations", &body).await
}

async fn pay_by(rider: &Client, order: &str, authorization: &Value) -> Answer {
    rider.post(&format!("/v1/orders/{order}/pay"), &json!({ "authorization": authorization })).await
}

fn change(current: &str, new: &str) -> Value {
    json!({ "current": current, "new": new })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_ends_with_the_pay_password_it_was_issued_for() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let orders = [rider.booked(&trip, &["1"]).await, rider.booked(&trip, &["2"]).await];
    let theirs = other.booked(&trip, &["3"]).await;
    let mut tokens = Vec::new();
    for order in &orders {
        tokens.push(authorize(&rider, order, PAY_PASSWORD).await.expect(201)["authorization"].clone());
    }
    let untouched = authorize(&other, &theirs, PAY_PASSWORD).await.expect(201)["authorization"].clone();
    // A refused change ends nothing.
    rider.put(PATH, &change("000000", "654321")).await.problem(403, "004001");
    pay_by(&rider, &orders[0], &tokens[0]).await.expect(200);
    rider.put(PATH, &change(PAY_PASSWORD, "654321")).await.expect(204);
    pay_by(&rider, &orders[1], &tokens[1]).await.problem(403, "006043");
    pay_by(&other, &theirs, &untouched).await.expect(200);
    let fresh = authorize(&rider, &orders[1], "654321").await.expect(201)["authorization"].clone();
    // The repeat of the change changes nothing, and ends nothing.
    rider.put(PATH, &change(PAY_PASSWORD, "654321")).await.expect(204);
    pay_by(&rider, &orders[1], &fresh).await.expect(200);
    world.verify().await;
}

/// The old pay password is found right, and while the authorization is still to be written it is changed.
#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_a_change_overtook_is_not_given() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let mut held = world.pool.begin().await.unwrap();
    sqlx::query("lock table payment_authorization in exclusive mode").execute(&mut *held).await.unwrap();
    let (asking, at) = (rider.clone(), order.clone());
    let issuing = tokio::spawn(async move { authorize(&asking, &at, PAY_PASSWORD).await });
    until("it waits to be written", || async { world.waiting_for_locks().await == 1 }).await;
    let asking = rider.clone();
    let changing = tokio::spawn(async move { asking.put(PATH, &change(PAY_PASSWORD, "654321")).await });
    // Without an end of authorizations the change does not wait at all.
    until("the change waits as well, or is made", || async {
        world.waiting_for_locks().await == 2 || changing.is_finished()
    })
    .await;
    held.commit().await.unwrap();
    changing.await.unwrap().expect(204);
    let issued = issuing.await.unwrap();
    if issued.status == 201 {
        pay_by(&rider, &order, &issued.body["authorization"]).await.problem(403, "006043");
    } else {
        issued.problem(403, "004001");
    }
    assert_eq!(count(&world.pool, "select count(*) from payment_authorization").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_authorization_by_the_old_pay_password_outlives_a_change_at_the_same_moment() {
    let world = World::new().await;
    let replica = world.another_api();
    let trip = world.trip(40).await;
    let rider = world.rider("1000.00").await;
    let there = rider.at(&replica.base());
    let mut present = PAY_PASSWORD.to_owned();
    for round in 0..12 {
        let next = format!("{:06}", 700_000 + round);
        let order = rider.booked(&trip, &[&(round + 1).to_string()]).await;
        let body = change(&present, &next);
        let (issued, changed) = tokio::join!(authorize(&there, &order, &present), rider.put(PATH, &body));
        changed.expect(204);
        if issued.status == 201 {
            pay_by(&rider, &order, &issued.body["authorization"]).await.problem(403, "006043");
        } else {
            issued.problem(403, "004001");
        }
        rider.pay_with(&order, &next).await.expect(200);
        present = next;
    }
    world.verify().await;
}

async fn tries(world: &World, rider: &Client) -> (i32, i32) {
    sqlx::query_as("select wrong, checking from pay_password where rider_id = $1")
        .bind(rider.id.0)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_pay_password_may_be_repeated() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    rider.put(PATH, &change("000000", "654321")).await.problem(403, "004001");
    for _ in 0..3 {
        rider.put(PATH, &change(PAY_PASSWORD, "654321")).await.expect(204);
        assert_eq!(tries(&world, &rider).await, (0, 0));
    }
    // It is no way to guess: each of the two may be known, and a wrong guess of the other is a wrong try.
    for (wrong, body) in
        [change(PAY_PASSWORD, "654322"), change(PAY_PASSWORD, "654323"), change("123457", "654321")]
            .iter()
            .enumerate()
    {
        let refused = rider.put(PATH, body).await;
        assert_eq!(refused.problem(403, "004001")["tries_left"], 4 - wrong);
    }
    // A rider who is locked out gets no hint either.
    for guess in ["111111", "222222"] {
        rider.put(PATH, &change(guess, "654321")).await.problem(403, "004001");
    }
    rider.put(PATH, &change(PAY_PASSWORD, "654321")).await.problem(423, "006007");
    sqlx::query("update pay_password set locked_until = now(), changed_at = changed_at - interval '2 hours'")
        .execute(&world.pool)
        .await
        .unwrap();
    // Long after it, a repeat is any request.
    rider.put(PATH, &change(PAY_PASSWORD, "654321")).await.problem(403, "004001");
    rider.put(PATH, &change("654321", PAY_PASSWORD)).await.expect(204);
    rider.put(PATH, &json!({ "new": "654321" })).await.problem(422, "003074");
    let stored: String =
        sqlx::query_scalar("select p::text from pay_password p").fetch_one(&world.pool).await.unwrap();
    assert!(!stored.contains("654321"), "{stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pay_password_may_be_repeated_and_is_no_oracle() {
    let world = World::new().await;
    let anybody = Client::stranger(&world.api.base());
    let new = json!({ "user_name": "mei", "password": PASSWORD });
    anybody.post("/v1/riders", &new).await.expect(201);
    let rider = Client::sign_in(&world.api.base(), "mei").await;
    let asked: Vec<_> = (0..6).map(|_| json!({ "new": "654321" })).collect();
    for answer in join_all(asked.iter().map(|body| rider.put(PATH, body))).await {
        answer.expect(204);
    }
    assert_eq!(tries(&world, &rider).await, (0, 0));
    // Without a current one nobody may guess for nothing.
    for left in [4, 3, 2, 1, 0] {
        let guess = json!({ "new": format!("{:06}", left) });
        assert_eq!(rider.put(PATH, &guess).await.problem(403, "004001")["tries_left"], left);
    }
    rider.put(PATH, &json!({ "new": "654321" })).await.problem(423, "006007");
    rider.put(PATH, &change("654321", "111111")).await.problem(423, "006007");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_replays_a_change_of_the_pay_password_and_its_refusal() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    for replayed in [false, true, true] {
        let refused = rider.key("wrong").put(PATH, &change("000000", "654321")).await;
        assert_eq!(refused.problem(403, "004001")["tries_left"], 4);
        assert_eq!(refused.headers.contains_key("idempotent-replayed"), replayed);
    }
    assert_eq!(tries(&world, &rider).await, (1, 0));
    let keyed = rider.key("change");
    for replayed in [false, true] {
        let done = keyed.put(PATH, &change(PAY_PASSWORD, "654321")).await;
        done.expect(204);
        assert_eq!((done.headers.contains_key("idempotent-replayed"), done.text.as_str()), (replayed, ""));
    }
    keyed.put(PATH, &change(PAY_PASSWORD, "654322")).await.problem(422, "006005");
    // However long ago, and whatever the pay password is by now.
    rider.put(PATH, &change("654321", "111111")).await.expect(204);
    keyed.put(PATH, &change(PAY_PASSWORD, "654321")).await.expect(204);
    assert_eq!(tries(&world, &rider).await, (0, 0));
    rider.put(PATH, &change("111111", "222222")).await.expect(204);
    // At once: one change, and one answer for all of them.
    let both = rider.key("at once");
    let body = change("222222", "333333");
    for answer in join_all((0..6).map(|_| both.put(PATH, &body))).await {
        assert!([204, 409].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    both.put(PATH, &body).await.expect(204);
    assert_eq!(tries(&world, &rider).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_six_changes_from_one_pay_password_one_is_made() {
    let world = World::new().await;
    let replica = world.another_api();
    for round in 0..4 {
        let rider = world.rider("0").await;
        let there = rider.at(&replica.base());
        let wanted: Vec<_> = (0..6).map(|n| format!("{:06}", 900_000 + 10 * round + n)).collect();
        let bodies: Vec<_> = wanted.iter().map(|new| change(PAY_PASSWORD, new)).collect();
        let asked = bodies
            .iter()
            .enumerate()
            .map(|(n, body)| if n % 2 == 0 { &rider } else { &there }.put(PATH, body));
        let answers = join_all(asked).await;
        let made: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.status == 204).collect();
        let [(winner, _)] = made[..] else { panic!("{} changes were made", made.len()) };
        let mut left = Vec::new();
        for answer in answers.iter().filter(|answer| answer.status != 204) {
            left.push(answer.problem(403, "004001")["tries_left"].as_i64().unwrap());
        }
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 3, 4], "each response has its own count");
        assert_eq!(tries(&world, &rider).await, (5, 0));
        sqlx::query("update pay_password set locked_until = now()").execute(&world.pool).await.unwrap();
        rider.put(PATH, &change(&wanted[winner], PAY_PASSWORD)).await.expect(204);
        // The same request six times is one change as well, and no response says otherwise.
        let body = change(PAY_PASSWORD, "654321");
        for answer in join_all((0..6).map(|_| rider.put(PATH, &body))).await {
            answer.expect(204);
        }
        assert_eq!(tries(&world, &rider).await, (0, 0));
    }
}

/// The first answer again, word for word, and marked as a replay.
#[track_caller]
fn replays(answer: &Answer, first: &Answer) {
    assert_eq!((answer.status, &answer.text), (first.status, &first.text));
    assert!(answer.headers.contains_key("idempotent-replayed"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_known_by_what_it_says_and_not_by_its_bytes() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let keyed = rider.key("book");
    let body = format!(r#"{{"trip_id":"{trip}","seats":["3","4"]}}"#);
    let first = keyed.post_text("/v1/orders", &body).await;
    first.expect(201);
    for same in [
        format!(r#"{{"seats":["3","4"],"trip_id":"{trip}"}}"#),
        format!(
            "\n {{ \"seats\" : [ \"3\" , \"\\u0034\" ] ,\t\"trip\\u005fid\" : \"{}\" }} ",
            trip.to_uppercase()
        ),
        format!(r#"{{"trip_id":"{trip}","seats":["4","3"]}}"#),
    ] {
        replays(&keyed.post_text("/v1/orders", &same).await, &first);
    }
    let other = format!(r#"{{"trip_id":"{trip}","seats":["3","5"]}}"#);
    keyed.post_text("/v1/orders", &other).await.problem(422, "006005");
    let twice = format!(r#"{{"trip_id":"{trip}","seats":["3","4"],"seats":["3","4"]}}"#);
    assert_eq!(keyed.post_text("/v1/orders", &twice).await.problem(422, "003074")["field"], "/seats");
    // In paying and in paths.
    let order = first.body["id"].as_str().unwrap();
    let keyed = rider.key("pay");
    let path = format!("/v1/orders/{order}/pay");
    let paid = keyed.post_text(&path, &json!({ "pay_password": PAY_PASSWORD }).to_string()).await;
    paid.expect(200);
    let same = format!(r#"{{"authorization":null,"pay_password":"{PAY_PASSWORD}"}}"#);
    replays(&keyed.post_text(&path, &same).await, &paid);
    let shouted = format!("/v1/orders/{}/pay", order.to_uppercase());
    replays(&keyed.post_text(&shouted, &same).await, &paid);
    // No body and an empty one.
    let unpaid = rider.booked(&trip, &["7"]).await;
    let (keyed, path) = (rider.key("cancel"), format!("/v1/orders/{unpaid}/cancel"));
    let cancelled = keyed.call("POST", &path, None).await;
    cancelled.expect(200);
    for same in ["{}", " { } "] {
        replays(&keyed.post_text(&path, same).await, &cancelled);
    }
    // Amounts, references, times.
    let (ops, path) = (world.ops.key("top up"), format!("/v1/ops/wallets/{}/top-ups", rider.id));
    let topped = ops.post_text(&path, r#"{"amount":"4.00","reference":"slip 1"}"#).await;
    topped.expect(201);
    for same in
        [r#"{"reference":"SLIP 1","amount":"4.0"}"#, r#"{"amount":"4","reason":null,"reference":"slip  1"}"#]
    {
        replays(&ops.post_text(&path, same).await, &topped);
    }
    ops.post_text(&path, r#"{"amount":"4.01","reference":"slip 1"}"#).await.problem(422, "006005");
    let ops = world.ops.key("trip");
    let at = |departs: &str, arrives: &str| {
        json!({"bus_id": 2, "direction": 1, "departs_at": departs, "arrives_at": arrives, "price": "4.00"})
            .to_string()
    };
    let day = (chrono::Utc::now() + chrono::Duration::days(30)).format("%Y-%m-%d").to_string();
    let departs = format!("{day}T08:00:00Z");
    let added = ops.post_text("/v1/ops/trips", &at(&departs, &format!("{day}T09:00:00Z"))).await;
    added.expect(201);
    let same = at(&format!("{day}T16:00:00.000+08:00"), &format!("{day}T09:00:00+00:00"));
    replays(&ops.post_text("/v1/ops/trips", &same).await, &added);
    // Registering, where nobody is known.
    let anybody = Client::stranger(&world.api.base()).key("register");
    let new = format!(r#"{{"user_name":"Mei","password":"{PASSWORD}"}}"#);
    let registered = anybody.post_text("/v1/riders", &new).await;
    registered.expect(201);
    let same = format!(r#"{{ "email": null, "password": "{PASSWORD}", "user_name": "Mei" }}"#);
    replays(&anybody.post_text("/v1/riders", &same).await, &registered);
    let other = format!(r#"{{"user_name":"Mei","password":"another {PASSWORD}"}}"#);
    anybody.post_text("/v1/riders", &other).await.problem(422, "006005");
    world.verify().await;
}

/// What the version before kept is a digest over bytes: who asks again after an upgrade is still answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_before_an_upgrade_is_still_known() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let keyed = rider.key("book");
    let body = format!(r#"{{ "seats": ["3"], "trip_id": "{trip}" }}"#);
    let first = keyed.post_text("/v1/orders", &body).await;
    first.expect(201);
    let mut mac = Hmac::<Sha256>::new_from_slice(PEPPER.as_bytes()).unwrap();
    mac.update(b"POST /v1/orders\n");
    mac.update(body.as_bytes());
    sqlx::query("update idempotency set fingerprint = $1 where key = 'book'")
        .bind(mac.finalize().into_bytes().to_vec())
        .execute(&world.pool)
        .await
        .unwrap();
    replays(&keyed.post_text("/v1/orders", &body).await, &first);
    let other = format!(r#"{{ "seats": ["4"], "trip_id": "{trip}" }}"#);
    keyed.post_text("/v1/orders", &other).await.problem(422, "006005");
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_a_profile_again_says_the_same() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let body = json!({ "nick_name": "Mei", "phone": null });
    let first = rider.patch(ME, &body).await;
    assert_eq!(rider.patch(ME, &body).await.expect(200), first.expect(200));
}
