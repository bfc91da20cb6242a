//! Delays after wrong passwords: for the guesser, and for no other address.

use crate::harness::{PASSWORD, Process, TOKEN_KEY, World};
use farebox::security;
use reqwest::Response;
use serde_json::{Value, json};

const PROXY: (&str, &str) = ("FAREBOX__HTTP__TRUSTED_PROXIES", "1");
const HERE: &str = "203.0.113.7";
const ELSEWHERE: &str = "198.51.100.7";

async fn sign_in(api: &Process, name: &str, password: &str, from: &str) -> Response {
    reqwest::Client::new()
        .post(format!("{}/v1/sessions", api.base()))
        .header("x-forwarded-for", from)
        .body(json!({"user_name": name, "password": password}).to_string())
        .send()
        .await
        .unwrap()
}

/// The seconds to wait, if it was too soon; else the status.
async fn outcome(answer: Response) -> Result<u64, u16> {
    let status = answer.status().as_u16();
    let header = answer.headers().get("retry-after").map(|secs| secs.to_str().unwrap().to_owned());
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    if status != 429 {
        return Err(status);
    }
    assert_eq!(body["code"], "005001");
    assert_eq!(body["retry_after"].to_string(), header.unwrap());
    Ok(body["retry_after"].as_u64().unwrap())
}

/// Lets every delay pass.
async fn pass_delays(world: &World) {
    sqlx::query("update sign_in_tries set locked_until = now() where locked_until is not null")
        .execute(&world.pool)
        .await
        .unwrap();
}

/// Lets no delay pass, however slow the machine.
async fn stretch_delays(world: &World) {
    sqlx::query(
        "update sign_in_tries set locked_until = now() + interval '1 hour' where locked_until is not null",
    )
    .execute(&world.pool)
    .await
    .unwrap();
}

/// The delay that the last try of this name from [`HERE`] left, seconds.
async fn delay(world: &World, name: &str) -> i64 {
    security::set_key(security::digest_key(TOKEN_KEY.as_bytes()));
    let subject = security::digest("name", &format!("203.0.113.0\n{name}"));
    let sql = "select coalesce(extract(epoch from locked_until - seen_at), 0)::bigint from sign_in_tries
               where subject = $1";
    sqlx::query_scalar(sql).bind(&subject[..16]).fetch_one(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_delay_the_guesser_longer_and_longer_and_the_victim_not_at_all() {
    // Only the counts of a name and a network are looked at here.
    let world = World::with(&[
        PROXY,
        ("FAREBOX__LOCKOUT__ADDRESS_TRIES", "1000"),
        ("FAREBOX__LOCKOUT__ACCOUNT_TRIES", "1000"),
    ])
    .await;
    world.rider("0").await;
    let wrong = async |name: &str| outcome(sign_in(&world.api, name, "a wrong one", HERE).await).await;
    let right = async |name: &str, from: &str| outcome(sign_in(&world.api, name, PASSWORD, from).await).await;
    // An unknown name is treated alike.
    for name in ["rider0", "nobody-is-called-so"] {
        for secs in [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
            assert_eq!(wrong(name).await, Err(401));
            assert_eq!(delay(&world, name).await, secs);
            stretch_delays(&world).await;
            // While it lasts, the right one is not even looked at; the next machine of the network
            // is the guesser too.
            if secs > 0 {
                assert_eq!(right(name, HERE).await, Ok(900), "the longest there is");
                assert_eq!(right(&name.to_uppercase(), "203.0.113.250").await, Ok(900));
            }
            if name == "rider0" {
                assert_eq!(right(name, ELSEWHERE).await, Err(201));
                assert_eq!(right(name, "2001:db8::1").await, Err(201));
            }
            pass_delays(&world).await;
        }
    }
    // The right one wipes the slate of its own pair, and of no other.
    assert_eq!(right("rider0", HERE).await, Err(201));
    assert_eq!(wrong("rider0").await, Err(401));
    assert_eq!(delay(&world, "rider0").await, 0);
    assert_eq!(wrong("nobody-is-called-so").await, Err(401));
    assert_eq!(delay(&world, "nobody-is-called-so").await, 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_in_parallel_on_two_replicas_gains_nothing() {
    let world = World::with(&[PROXY]).await;
    let replica = Process::api(&world.db.url, &[PROXY]);
    world.rider("0").await;
    let guesses = (0..40).map(|n| {
        let api = if n % 2 == 0 { &world.api } else { &replica };
        async move { outcome(sign_in(api, "rider0", "a wrong one", HERE).await).await }
    });
    let answers = futures_util::future::join_all(guesses).await;
    let checked = answers.iter().filter(|answer| **answer == Err(401)).count();
    // The delay is a second at first: a slow machine may live to see its end.
    assert!((5..=7).contains(&checked), "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer, Err(401) | Ok(_))), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_guesses_many_names_is_delayed_and_its_neighbour_is_not() {
    let world = World::with(&[PROXY, ("FAREBOX__LOCKOUT__ADDRESS_TRIES", "10")]).await;
    // The second one has never signed in from there.
    for _ in 0..2 {
        world.rider("0").await;
    }
    for n in 0..10 {
        let name = format!("guess{n}");
        assert_eq!(outcome(sign_in(&world.api, &name, "a wrong one", HERE).await).await, Err(401));
        // A right one in between proves nothing about the others.
        if n < 9 {
            assert_eq!(outcome(sign_in(&world.api, "rider0", PASSWORD, HERE).await).await, Err(201));
        }
    }
    sqlx::query("update sign_in_tries set locked_until = locked_until + interval '1 minute'")
        .execute(&world.pool)
        .await
        .unwrap();
    assert!(outcome(sign_in(&world.api, "rider1", PASSWORD, HERE).await).await.is_ok());
    assert_eq!(outcome(sign_in(&world.api, "rider0", PASSWORD, HERE).await).await, Err(201));
    assert_eq!(outcome(sign_in(&world.api, "rider1", PASSWORD, "203.0.113.8").await).await, Err(201));
    // Old rows go, a few with each wrong password.
    sqlx::query("update sign_in_tries set seen_at = now() - interval '2 days', locked_until = null")
        .execute(&world.pool)
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(outcome(sign_in(&world.api, "guess", "a wrong one", ELSEWHERE).await).await, Err(401));
    }
    let left = crate::harness::count(&world.pool, "select count(*) from sign_in_tries").await;
    assert_eq!(left, 3, "the last pair, its name and its address");
}
