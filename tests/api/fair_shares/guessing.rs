//! Guessing passwords: over many addresses, in parallel, from networks of IPv6; and what it leaves
//! to those who know theirs.

use super::{post, register, sign_in, world};
use crate::harness::{PASSWORD, World};
use serde_json::json;

/// Attempts that the delays of a second and more may let through while a test runs.
const SLACK: usize = 8;

/// Lets no delay pass, however slow the machine.
async fn stretch_delays(world: &World) {
    let sql = "update sign_in_tries set locked_until = now() + interval '10 minutes' where locked_until is not null";
    sqlx::query(sql).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_names_at_once_are_no_more_attempts_than_one_after_the_other() {
    let world = world(&[]).await;
    let guesses = (0..240).map(|nr| {
        let api = &world.api;
        async move { sign_in(api, &format!("guess{nr}"), "a wrong one", "203.0.113.7").await }
    });
    let answers = futures_util::future::join_all(guesses).await;
    let checked = answers.iter().filter(|status| **status == 401).count();
    assert!(checked <= 50 + SLACK, "{checked} were checked");
    assert!(answers.iter().all(|status| [401, 429, 503].contains(status)), "{answers:?}");
    assert_eq!(sign_in(&world.api, "somebody", "a wrong one", "203.0.113.8").await, 401, "a neighbour");
}

#[tokio::test(flavor = "multi_thread")]
async fn right_passwords_at_once_from_one_address_cost_it_nothing() {
    let world = world(&[("FAREBOX__LOCKOUT__ADDRESS_TRIES", "4")]).await;
    world.rider("0").await;
    for _ in 0..12 {
        assert_eq!(sign_in(&world.api, "rider0", PASSWORD, "203.0.113.7").await, 201);
    }
    let left = "select count(*) from sign_in_tries";
    assert_eq!(crate::harness::count(&world.pool, left).await, 0, "nothing is counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_one_account_is_bounded_over_all_addresses_and_its_owner_signs_in() {
    let world = world(&[]).await;
    world.rider("0").await;
    let home = "192.0.2.55";
    assert_eq!(sign_in(&world.api, "rider0", PASSWORD, home).await, 201);
    for name in ["rider0", "nobody-is-called-so"] {
        let mut checked = 0;
        for network in 0..80 {
            for try_nr in 1..=5 {
                let from = format!("198.{}.{network}.{try_nr}", if name == "rider0" { 18 } else { 19 });
                let status = sign_in(&world.api, name, "a wrong one", &from).await;
                assert!([401, 429].contains(&status), "{status}");
                checked += usize::from(status == 401);
            }
        }
        assert!((50..=50 + SLACK).contains(&checked), "{name}: {checked} of 400 were checked");
    }
    stretch_delays(&world).await;
    // From elsewhere even the right one waits; from home, and from the next address, it does not.
    assert_eq!(sign_in(&world.api, "rider0", PASSWORD, "203.0.113.9").await, 429);
    assert_eq!(sign_in(&world.api, "rider0", PASSWORD, home).await, 201);
    assert_eq!(sign_in(&world.api, "rider0", "a wrong one", "192.0.2.200").await, 401);
    assert_eq!(sign_in(&world.api, "rider0", PASSWORD, "192.0.2.200").await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_networks_of_an_account_are_bounded_together_as_well() {
    let world = world(&[]).await;
    world.rider("0").await;
    let networks: Vec<String> = (0..12).map(|nr| format!("198.18.{nr}.1")).collect();
    for from in &networks {
        assert_eq!(sign_in(&world.api, "rider0", PASSWORD, from).await, 201);
    }
    let mut checked = 0;
    for _ in 0..4 {
        for from in &networks {
            checked += usize::from(sign_in(&world.api, "rider0", "a wrong one", from).await == 401);
        }
    }
    assert!((20..=20 + SLACK).contains(&checked), "{checked} of 48 were checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_ipv6_is_counted_beyond_its_networks() {
    let more =
        [("FAREBOX__LOCKOUT__ADDRESS_TRIES", "10"), ("FAREBOX__LIMITS__REGISTERING_PER_ADDRESS", "5/6000")];
    let world = world(&more).await;
    let mut checked = 0;
    for nr in 0..100 {
        let from = format!("2001:db8:7:{:x}::1", nr * 256);
        let status = sign_in(&world.api, &format!("guess{nr}"), "a wrong one", &from).await;
        checked += usize::from(status == 401);
    }
    assert!((40..=40 + SLACK).contains(&checked), "{checked} of 100 names were checked");
    let mut registered = 0;
    for nr in 0..40 {
        let from = format!("2001:db8:8:{:x}::1", nr * 256);
        registered += usize::from(register(&world.api, &format!("new{nr}"), &from).await == 201);
    }
    assert_eq!(registered, 20, "four times as many as an address");
    // The next site, and an address of IPv4, have counts of their own.
    assert_eq!(sign_in(&world.api, "guess", "a wrong one", "2001:db8:9::1").await, 401);
    assert_eq!(register(&world.api, "elsewhere", "192.0.2.1").await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_an_address_with_a_guesser_signs_in_and_the_guesser_learns_nothing() {
    let world = world(&[("FAREBOX__LOCKOUT__ADDRESS_TRIES", "10")]).await;
    let (api, here) = (&world.api, "203.0.113.7");
    for _ in 0..2 {
        world.rider("0").await;
    }
    assert_eq!(sign_in(api, "rider0", PASSWORD, here).await, 201);
    for nr in 0..10 {
        assert_eq!(sign_in(api, &format!("guess{nr}"), "a wrong one", here).await, 401);
    }
    stretch_delays(&world).await;
    // Nobody has signed in as rider1 here: it might be one of the guesser's names.
    assert_eq!(sign_in(api, "rider1", PASSWORD, here).await, 429);
    assert_eq!(sign_in(api, "rider0", PASSWORD, here).await, 201);
    // A wrong one gets the answer of a name that is not even looked at.
    let answer = async |name: &str| {
        let body = json!({ "user_name": name, "password": "a wrong one" });
        let answer = post(api, "/v1/sessions", &body, here).await;
        let status = answer.status().as_u16();
        let problem: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        (status, problem["code"].clone(), problem["title"].clone())
    };
    assert_eq!(answer("rider0").await, answer("rider1").await);
    assert_eq!(answer("rider0").await.0, 429);
    // Its own count goes on: after five wrong ones the right one is not looked at either.
    for _ in 0..4 {
        answer("rider0").await;
    }
    assert_eq!(sign_in(api, "rider0", PASSWORD, here).await, 429);
}
