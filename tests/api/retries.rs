//! One idempotency key, many retries, processes that die in the middle: one effect, one answer.

use crate::harness::{Answer, Client, PASSWORD, Process, World, count, until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Retries at once.
const RETRIES: usize = 50;
/// How long a client goes on asking.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends until there is an answer to store: again at `then` if the first process is gone, again if
/// the first request still runs or something broke.
async fn ask(first: Client, then: Client, path: String, body: Value) -> Answer {
    let (began, mut client) = (Instant::now(), first);
    loop {
        assert!(began.elapsed() < PATIENCE, "no answer from {path}");
        match client.try_post(&path, &body).await {
            Ok(answer) if answer.status.is_success() => return answer,
            Ok(answer) if answer.status.is_server_error() || answer.body["code"] == "006006" => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(answer) => panic!("{}: {}", answer.status, answer.text),
            Err(_) => client = then.clone(),
        }
    }
}

/// Fifty at once on two processes, one of which is killed as soon as the effect is there. Returns
/// the one answer.
async fn fifty(
    world: &World,
    client: &Client,
    path: &str,
    body: &Value,
    effects: &'static str,
    so_far: i64,
) -> String {
    let mut doomed = world.another_api();
    let (there, here) = (client.at(&doomed.base()), client.at(&world.api.base()));
    let asking: Vec<_> = (0..RETRIES)
        .map(|n| {
            let first = if n % 5 == 0 { here.clone() } else { there.clone() };
            tokio::spawn(ask(first, here.clone(), path.to_owned(), body.clone()))
        })
        .collect();
    until("the effect is there", || async { count(&world.pool, effects).await > so_far }).await;
    doomed.kill();
    let mut texts = Vec::new();
    let mut replayed = 0;
    for one in asking {
        let answer = one.await.unwrap();
        replayed += usize::from(answer.headers.contains_key("idempotent-replayed"));
        texts.push(answer.text);
    }
    assert!(replayed >= RETRIES - 1, "{replayed} of {RETRIES} were marked as replays");
    texts.dedup();
    assert_eq!(texts.len(), 1, "answers differ: {texts:?}");
    assert_eq!(count(&world.pool, effects).await, so_far + 1, "{path}");
    texts.swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_retries_of_a_booking_make_one_order_wherever_its_process_died() {
    let world = World::new().await;
    let _worker = world.worker();
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let crashes = [
        ("order_seats_cancel.after", false),
        ("order_add_seats_cancle.after", true),
        ("order_calc_money_cancle.after", true),
        ("order_add_cancle.before", true),
        ("order_add_cancle.after", false), // committed: the answer waits under the key
    ];
    for (n, (point, half_way)) in crashes.into_iter().enumerate() {
        let keyed = rider.key(&format!("try-{n}"));
        let body = json!({"trip_id": trip, "seats": [(2 * n + 1).to_string(), (2 * n + 2).to_string()]});
        let mut dying = world.another_api();
        let first = keyed.at(&dying.base()).fault(&format!("{point}=abort"));
        assert!(first.try_post("/v1/orders", &body).await.is_err(), "{point}");
        dying.wait();
        if half_way {
            keyed.post("/v1/orders", &body).await.problem(409, "006006");
            // Time passes: the undo falls due, and the key's request is taken for dead.
            world.pass_undo_delay().await;
            world.drained().await;
            sqlx::query(
                "update idempotency set started_at = now() - interval '2 minutes' where status is null",
            )
            .execute(&world.pool)
            .await
            .unwrap();
        }
        let orders = "select count(*) from orders";
        let before = i64::try_from(n).unwrap();
        if point == "order_add_cancle.after" {
            let answer = fifty(&world, &keyed, "/v1/orders", &body, orders, before).await;
            assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["status"], "unpaid");
        } else {
            fifty(&world, &keyed, "/v1/orders", &body, orders, before).await;
        }
        let other = json!({"trip_id": trip, "seats": ["20"]});
        keyed.post("/v1/orders", &other).await.problem(422, "006005");
    }
    assert_eq!(world.free_seats(&trip).await, 10);
    world.drained().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_retry_of_a_booking_or_payment_gets_the_first_answer() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("100.00").await);
    let (book, pay) = (rider.key("book"), rider.key("pay"));
    let booked = book.book(&trip, &["1", "2"]).await;
    let order = booked.expect(201)["id"].as_str().unwrap().to_owned();
    let paid = pay.pay(&order).await;
    assert_eq!(paid.expect(200)["status"], "paid");
    let replayed_alike = async || {
        sqlx::query("update idempotency set started_at = now() - interval '2 minutes'")
            .execute(&world.pool)
            .await
            .unwrap();
        for (first, again) in [(&booked, book.book(&trip, &["1", "2"]).await), (&paid, pay.pay(&order).await)]
        {
            assert_eq!((again.status, &again.text), (first.status, &first.text));
            assert_eq!(again.headers["idempotent-replayed"], "true");
        }
    };
    replayed_alike().await;
    rider.refund(&order).await.expect(200);
    // Their seats are free, so the booking could be made once more.
    assert_eq!(world.free_seats(&trip).await, 20);
    replayed_alike().await;
    assert_eq!(count(&world.pool, "select count(*) from orders").await, 1);
    assert_eq!(count(&world.pool, "select count(*) from payment").await, 1);
    assert_eq!(rider.balance().await, "100.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_retries_of_any_other_change_have_one_effect() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
    for round in 0..4 {
        let body = json!({"amount": "1.00", "reference": format!("round {round}")});
        let keyed = world.ops.key(&format!("top-up-{round}"));
        let entries = "select count(*) from ledger_entry where kind = 'top_up'";
        fifty(&world, &keyed, &path, &body, entries, round).await;
        let other = json!({"amount": "2.00", "reference": format!("round {round}")});
        keyed.post(&path, &other).await.problem(422, "006005");
    }
    assert_eq!(rider.balance().await, "4.00");
    // A trip and an account have nothing but the key that would make a repeat one.
    let departs = chrono::Utc::now() + chrono::Duration::days(1);
    for round in 0..2 {
        let trip = json!({"bus_id": 1 + round, "direction": 0, "departs_at": departs,
                          "arrives_at": departs + chrono::Duration::hours(1), "price": "4.00", "capacity": 4});
        let keyed = world.ops.key(&format!("trip {round}"));
        fifty(&world, &keyed, "/v1/ops/trips", &trip, "select count(*) from trip", round).await;
    }
    let nobody = Client::stranger(&world.api.base());
    let body = json!({"user_name": "Lin.Wei", "password": PASSWORD});
    let accounts = "select count(*) from rider where user_name = 'Lin.Wei'";
    fifty(&world, &nobody.key("me"), "/v1/riders", &body, accounts, 0).await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_two_riders_never_collide_and_no_secret_is_stored() {
    let world = World::new().await;
    let nobody = Client::stranger(&world.api.base()).key("1");
    let mine =
        json!({"user_name": "first", "password": "the first's password", "email": "first@example.org"});
    let first = nobody.post("/v1/riders", &mine).await;
    first.expect(201);
    // The same key for another name: another registration, not the first one's answer.
    let theirs = json!({"user_name": "second", "password": "the second's password"});
    let second = nobody.post("/v1/riders", &theirs).await;
    assert_ne!(second.expect(201)["id"], first.body["id"]);
    // The same name and key with a guessed password: no answer of the first's, whose e-mail address is in it.
    let guess = json!({"user_name": "First", "password": "a guessed password"});
    let refused = nobody.post("/v1/riders", &guess).await;
    assert!(!refused.problem(422, "006005").to_string().contains("example.org"), "{}", refused.text);
    assert_eq!(nobody.post("/v1/riders", &mine).await.text, first.text);
    nobody.key("2").post("/v1/riders", &mine).await.problem(409, "003003");
    // Signing in opens a session each time, whatever the key.
    let sign_in = json!({"user_name": "first", "password": "the first's password"});
    let one = nobody.post("/v1/sessions", &sign_in).await;
    let two = nobody.post("/v1/sessions", &sign_in).await;
    assert_ne!(one.expect(201)["token"], two.expect(201)["token"]);
    let kept: String = sqlx::query_scalar("select coalesce(string_agg(i::text, ' '), '') from idempotency i")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    for secret in [&one.body["token"], &two.body["token"], &json!("the first's password"), &json!("argon2")] {
        assert!(!kept.contains(secret.as_str().unwrap()), "{secret} is kept");
    }
    // What is kept of a body is no plain hash that could be tried against: of a known body it is another.
    let plain: i64 = sqlx::query_scalar(
        "select count(*) from idempotency where fingerprint = sha256(convert_to(E'POST /v1/riders\\n' || $1, 'UTF8'))",
    )
    .bind(mine.to_string())
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(plain, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_changes_are_replayed_and_not_done_again() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["2"]).await.problem(500, "003099");
    let timer = world.ops.get(&format!("/v1/ops/jobs?key={order}")).await.body["items"][0]["id"].clone();
    let timer = timer.as_str().unwrap();
    let tag = "/v1/ops/queues/order_add_seats_cancle";
    let acts = [
        (format!("{tag}/pause"), json!({"reason": "looking"}), 200),
        (format!("{tag}/resume"), json!({}), 200),
        (format!("{tag}/drain"), json!({"wait_secs": 0}), 200),
        (format!("{tag}/redrive"), json!({}), 200),
        ("/v1/ops/dead-letters/redrive".to_owned(), json!({"tag": "pay_cancle"}), 200),
        (format!("/v1/ops/jobs/{timer}/retry"), json!({"reason": "now"}), 200),
        (format!("/v1/ops/jobs/{timer}/cancel"), json!({"reason": "by hand"}), 200),
        ("/v1/ops/queues/order_unpaid/cancel".to_owned(), json!({"key": order}), 404),
    ];
    for (n, (path, body, status)) in acts.iter().enumerate() {
        let keyed = world.ops.key(&format!("act-{n}"));
        let first = keyed.post(path, body).await;
        first.expect(*status);
        // What the act did is undone by others meanwhile: a repeat does not do it again.
        sqlx::query("delete from queue.paused").execute(&world.pool).await.unwrap();
        let again = keyed.post(path, body).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text), "{path}");
        assert_eq!(again.headers["idempotent-replayed"], "true", "{path}");
        assert_eq!(again.headers["content-type"], first.headers["content-type"], "{path}");
        // A space says nothing; another reason does.
        let spaced = keyed.post_text(path, &format!("{body} ")).await;
        assert_eq!((spaced.status, &spaced.text), (first.status, &first.text), "{path}");
        let mut other = body.clone();
        other["reason"] = json!("another");
        keyed.post(path, &other).await.problem(422, "006005");
    }
    assert_eq!(count(&world.pool, "select count(*) from queue.paused").await, 0);
    // Another operator's key of the same text is another key.
    let evaluation = format!("/v1/orders/{order}/evaluation");
    rider.key("act-0").post(&evaluation, &json!({"rating": 5})).await.problem(409, "006002");
    let again = rider.key("act-0").post(&evaluation, &json!({"rating": 5})).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_are_deleted_and_replayable_ones_stay() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let keyed = rider.key("kept");
    let paid = keyed.booked(&trip, &["1"]).await;
    rider.pay(&paid).await.expect(200);
    let unpaid = rider.booked(&trip, &["2"]).await;
    rider.fault("order_calc_money_cancle.before=error").book(&trip, &["3"]).await.problem(500, "003099");
    let old = rider.key("old");
    old.book(&trip, &["1"]).await.problem(409, "004000");
    sqlx::query("update idempotency set started_at = now() - interval '49 hours' where key = 'old'")
        .execute(&world.pool)
        .await
        .unwrap();
    // No barrier is old enough: all stay, though all retention is over for those that are.
    let before = count(&world.pool, "select count(*) from barrier").await;
    assert_eq!(before, 7, "two of either order, two of the payment, one of the claim that failed");
    let pruning = [("FAREBOX__RETENTION__EVERY_SECS", "1"), ("FAREBOX__RETENTION__BATCH", "1")];
    // Nobody works for the tag whose undo is queued: it stays in the queue.
    let worker = Process::worker(&world.db.url, &pruning, &["--tags", "order_unpaid"]);
    let answers = "select count(*) from idempotency where key = 'old'";
    until("the old answer is gone", || async { count(&world.pool, answers).await == 0 }).await;
    assert_eq!(count(&world.pool, "select count(*) from idempotency where key = 'kept'").await, 1);
    assert_eq!(count(&world.pool, "select count(*) from barrier").await, before);
    drop(worker);
    let pruning = [pruning[0], pruning[1], ("FAREBOX__RETENTION__BARRIER_DAYS", "0")];
    sqlx::query("update session set expires_at = now() - interval '2 days'")
        .execute(&world.pool)
        .await
        .unwrap();
    let worker = Process::worker(&world.db.url, &pruning, &["--tags", "order_unpaid"]);
    until("what is over is gone", || async { count(&world.pool, "select count(*) from barrier").await == 3 })
        .await;
    until("old sessions are gone", || async {
        count(&world.pool, "select count(*) from session").await == 0
    })
    .await;
    let left: Vec<String> = sqlx::query_scalar(
        "select distinct subject::text from barrier b where exists (select from orders o where o.id = b.subject)",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(
        left,
        [unpaid],
        "of the two orders, the unpaid one's stay; and the claim's that is not undone yet"
    );
    drop(worker);
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.free_seats(&trip).await, 18);
    world.verify().await;
}
