//! Hostile values, thrown at every address, page, form and command: texts of every script, control
//! characters, numbers, moments, ids, names and headers that are none. Nothing answers 5xx or
//! panics, and each refusal names what it refuses and changes nothing.
//!
//! The ordinary suite throws the same values each time; the whole run draws others. `HOSTILE_SEED`
//! throws those of another run again, `HOSTILE_VALUES` says how many.

mod addresses;
mod range;
mod requests;
mod values;

use crate::harness::{PASSWORD, World, command};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use range::Range;
use serde_json::Value;
use values::text;

/// Values of a run in the ordinary suite.
const SOME: usize = 2_000;
/// Values of the whole run.
const ALL: usize = 20_000;
/// The seed of the ordinary suite.
const SEED: u64 = 20_261_130;
/// One value of this number goes to the command line: a process takes long.
const PROCESS: usize = 100;
/// After one request of this number the state is compared: what it changed.
const LOOKED_AT: usize = 20;
const NOBODY: &str = "0190b5a0-0000-7000-8000-000000000000";

/// A refusal names its subject, in JSON and on a page.
fn names_its_field(head: &str, body: &str) -> bool {
    if head.contains("content-type: text/html") {
        return body.contains(": ") || body.contains("role=\"alert\"");
    }
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["field"].is_string() && body["detail"].as_str().is_some_and(|detail| !detail.is_empty())
}

async fn throw(values: usize, seed: u64) {
    let given = std::env::var("HOSTILE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(seed);
    println!("HOSTILE_SEED={seed} HOSTILE_VALUES={values}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut range = Range::new().await;
    range.ask_for_parameters(&mut rng).await;
    let mut by_status = std::collections::BTreeMap::<u16, usize>::new();
    for nr in 0..values {
        if nr % PROCESS == 0 {
            run_command(&range.world, &mut rng);
            continue;
        }
        let shot = range.shot(&mut rng);
        let describe = || {
            let body: String = shot.body.chars().take(400).collect();
            format!(
                "HOSTILE_SEED={seed}, value {nr}: {} {} {:?} {body:?}",
                shot.method, shot.target, shot.headers
            )
        };
        let before = if nr % LOOKED_AT == 0 { Some(range.state().await) } else { None };
        let Some((status, head, body)) = range.fire(&shot).await else {
            panic!("no answer to {}", describe())
        };
        assert!(status < 500, "{status} {body}\nto {}", describe());
        if status == 422 {
            assert!(names_its_field(&head, &body), "{body}\nto {}", describe());
        }
        if let Some(before) = before.filter(|_| (400..500).contains(&status)) {
            assert_eq!(range.state().await, before, "{status} {body}\nto {}", describe());
        }
        *by_status.entry(status).or_default() += 1;
    }
    println!("answers by status: {by_status:?}");
    assert!(range.world.api.is_alive());
    range.world.ops.get("/health/ready").await.expect(200);
    let log = range.world.log().await;
    let bad: Vec<&str> =
        log.lines().filter(|line| line.contains("panicked") || line.contains(" ERROR ")).collect();
    assert!(bad.is_empty(), "HOSTILE_SEED={seed}: {}", bad.join("\n"));
}

/// A command with an option that makes no sense, most often.
fn run_command(world: &World, rng: &mut StdRng) {
    let value: String = text(rng).chars().filter(|c| *c != '\0').take(5_000).collect();
    let option = |name: &str| format!("{name}={value}");
    let args: Vec<String> = match rng.random_range(0..9) {
        0 => vec![
            "jobs".into(),
            "list".into(),
            option(["--tag", "--state", "--key", "--serial", "--error"].choose(rng).unwrap()),
        ],
        1 => vec![
            "jobs".into(),
            "list".into(),
            option(["--order", "--rider", "--trip", "--after"].choose(rng).unwrap()),
        ],
        2 => vec![
            "jobs".into(),
            "list".into(),
            option(["--since", "--before", "--limit"].choose(rng).unwrap()),
        ],
        3 => vec!["jobs".into(), "show".into(), "--".into(), value],
        4 => vec![
            "jobs".into(),
            "snooze".into(),
            NOBODY.into(),
            option(["--for", "--until"].choose(rng).unwrap()),
            "--reason=x".into(),
        ],
        5 => vec!["jobs".into(), "retry".into(), NOBODY.into(), option("--reason")],
        6 => vec!["trips".into(), option("--days")],
        7 => {
            vec!["queues".into(), "drain".into(), "pay_cancle".into(), "--reason=x".into(), option("--wait")]
        }
        _ => vec!["operators".into(), "add".into(), option("--user-name"), option("--role")],
    };
    let env = [("FAREBOX_OPERATOR_PASSWORD", PASSWORD)];
    let done = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &env).args(&args).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        !said.contains("panicked") && done.status.code().is_some_and(|code| code <= 2),
        "{args:?}: {said}"
    );
    assert!(!said.contains("error returned from database"), "{args:?}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_break_nothing_and_are_refused_by_name() {
    let values = std::env::var("HOSTILE_VALUES").ok().and_then(|values| values.parse().ok());
    throw(values.unwrap_or(SOME), SEED).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; the suite throws a tenth of it"]
async fn twenty_thousand_hostile_values_break_nothing_and_are_refused_by_name() {
    throw(ALL, rand::random()).await;
}
