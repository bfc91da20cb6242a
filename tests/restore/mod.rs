//! A restore ends in a proof: load, base backup, more load, kill -9; then a restore to each of three
//! moments of the load, `farebox restore-check`, and going on.

mod check;
mod cluster;
mod load;

use crate::harness::{Client, PASSWORD, Process, command, count, until};
use cluster::{Cluster, Keeper, Restored};
use farebox::verify::{self, Scope};
use load::{LOGGED, RIDERS, Shop, What};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

const FAREBOX: &str = env!("CARGO_BIN_EXE_farebox");
/// The token key of after a restore.
const NEXT_KEY: (&str, &str) = ("FAREBOX__SECRETS__TOKEN_KEY", "another test key 5c21a7e09b3d of 36 chars");

fn farebox(url: &str, env: &[(&str, &str)], args: &[&str]) -> Output {
    command(FAREBOX, url, env).args(args).output().unwrap()
}

/// The report, and the exit code.
fn restore_check(url: &str, env: &[(&str, &str)], args: &[&str]) -> (Value, i32) {
    let output = farebox(url, env, &[&["restore-check", "--json"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.code().unwrap())
}

/// What happened until the kill: the moments, the logs, what clients saw.
struct Past {
    cluster: Cluster,
    shop: Shop,
    moments: Vec<String>,
    logs: Vec<PathBuf>,
    /// The trace id of a change without a key, after the last moment.
    renamed: String,
    /// A token that was ended after the last moment.
    ended: String,
}

impl Past {
    fn log_arguments(&self) -> Vec<&str> {
        let logs = self.logs.iter().map(|path| path.to_str().unwrap());
        std::iter::once("--log").chain(logs).collect()
    }
}

/// What riders are acknowledged.
const KINDS: [What; 5] = [What::Booked, What::Paid, What::Cancelled, What::Refunded, What::ToppedUp];

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_to_each_of_three_moments_ends_in_a_proof() {
    let past = live_and_die("restore", Keeper::Folder).await;
    let mut lost_before = usize::MAX;
    for (nr, moment) in past.moments.iter().enumerate() {
        let restored = past.cluster.restore(nr, moment).await;
        let lost = check(&past, &restored, nr).await;
        assert!(lost < lost_before, "a later moment loses less: {lost} of {lost_before}");
        lost_before = lost;
        void(&past, &restored.url, lost).await;
        reopen(&past, &restored).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_by_pgbackrest_ends_in_the_same_proof() {
    let past = live_and_die("pgbackrest", Keeper::PgBackRest).await;
    // By its name: pgBackRest takes only a backup that had ended a second before a time.
    let restored = past.cluster.restore(0, &past.moments[0]).await;
    let lost = check(&past, &restored, 0).await;
    void(&past, &restored.url, lost).await;
    reopen(&past, &restored).await;
}

/// Five phases of load, with the base backup in the second, a moment in each of the next ones, and the end
/// of the database in the last.
async fn live_and_die(name: &str, keeper: Keeper) -> Past {
    let cluster = Cluster::start(name, keeper).await;
    let shop = Shop::open(&cluster).await;
    shop.phase(0).join_all().await;
    let nick = json!({"nick_name": "before"});
    shop.riders[0].0.patch("/v1/riders/me", &nick).await.expect(200);
    let load = shop.phase(1);
    cluster.base_backup().await;
    some_of(&shop, 1).await;
    let mut moments = vec![cluster.restore_point("moment").await];
    load.join_all().await;
    let load = shop.phase(2);
    some_of(&shop, 2).await;
    moments.push(cluster.place().await);
    load.join_all().await;
    let load = shop.phase(3);
    some_of(&shop, 3).await;
    moments.push(cluster.time().await);
    load.join_all().await;
    let renamed = shop.riders[0].0.patch("/v1/riders/me", &json!({"nick_name": "after"})).await;
    let renamed = renamed.headers["x-trace-id"].to_str().unwrap().to_owned();
    let leaving = Client::sign_in(&shop.apis[0].base(), "rider1").await;
    leaving.delete("/v1/sessions/current").await.expect(204);
    let forget = ["riders", "forget", "quiet", "--reason", "asked for it"];
    let forgotten = farebox(&cluster.url, &LOGGED, &forget);
    assert!(forgotten.status.success(), "{forgotten:?}");
    cluster.archived().await;
    let answered = shop.book.all().len();
    let load = shop.phase(4);
    some_of(&shop, 4).await;
    // Each moment is to lose some of every kind, the last one too: how fast the load goes decides nothing.
    until("all kinds were answered", || async {
        let since: HashSet<What> = shop.book.all().into_iter().skip(answered).map(|one| one.what).collect();
        KINDS.iter().all(|what| since.contains(what))
    })
    .await;
    cluster.kill();
    load.join_all().await;
    let logs = logs(&shop, &forgotten, cluster.folder()).await;
    Past { cluster, shop, moments, logs, renamed, ended: leaving.token().to_owned() }
}

/// Waits for some answers of a phase: a fifth of what the riders of the phases before and this one do.
async fn some_of(shop: &Shop, phase: usize) {
    let (of_a_turn, before) = (10, phase * RIDERS * 10);
    until("the load is under way", || async { shop.book.all().len() >= before + of_a_turn }).await;
}

/// The logs of the processes, which are killed, as files. What clients saw is in them: a line is written
/// before its answer.
async fn logs(shop: &Shop, forgotten: &Output, folder: &Path) -> Vec<PathBuf> {
    for process in shop.apis.iter().chain([&shop.worker]) {
        process.signal(libc::SIGKILL);
    }
    let seen = shop.book.all();
    until("the logs are read to their ends", || async {
        let texts = shop.apis.each_ref().map(Process::log);
        seen.iter().all(|one| texts.iter().any(|text| text.contains(&one.trace_id)))
    })
    .await;
    let [first, second] = shop.apis.each_ref().map(Process::log);
    let forgotten = String::from_utf8_lossy(&forgotten.stderr).into_owned();
    let texts = [first, second, shop.worker.log(), forgotten];
    let file = |(nr, text): (usize, String)| {
        let path = folder.join(format!("{nr}.log"));
        fs::write(&path, text).unwrap();
        path
    };
    texts.into_iter().enumerate().map(file).collect()
}

/// The list is what clients saw and the database does not have, no more and no less; returns its length.
async fn check(past: &Past, restored: &Restored, nr: usize) -> usize {
    let mut expected = HashSet::new();
    let mut kinds = HashSet::new();
    let mut kept = 0;
    for one in past.shop.book.all() {
        if one.is_in(&restored.pool).await {
            kept += 1;
        } else {
            kinds.insert(one.what);
            expected.insert(one.trace_id);
        }
    }
    assert!(kept > 0, "nothing of before moment {nr} is there");
    assert!(KINDS.iter().all(|what| kinds.contains(what)), "moment {nr} loses {kinds:?} alone");

    let (report, code) = restore_check(&restored.url, &[], &past.log_arguments());
    assert_eq!((&report["holds"], code), (&json!(true), 4), "moment {nr}: {report:#}");
    let lost = report["lost"].as_array().unwrap();
    let of = |certain: bool| -> HashSet<String> {
        let some = lost.iter().filter(|one| one["certain"] == certain);
        some.map(|one| one["trace_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of(true), expected, "moment {nr}");
    assert_eq!(of(false), HashSet::from([past.renamed.clone()]), "moment {nr}");
    for one in lost.iter().filter(|one| one["idempotency_key"].is_string() && one["route"] == "/v1/orders") {
        let phase = one["idempotency_key"].as_str().unwrap().split_once(".rider-").unwrap();
        let rider: usize = phase.1.split_once('.').unwrap().0.parse().unwrap();
        assert_eq!(one["rider_id"], json!(past.shop.riders[rider].0.id), "the account is known: {one}");
    }
    let again = report["again"].as_array().unwrap();
    assert_eq!(again.iter().map(|one| one["todo"].as_str().unwrap()).collect::<Vec<_>>(), ["forget"]);
    assert_eq!(report["rights"]["later_tokens"], true, "{report:#}");
    assert!(report["rights"]["sessions"].as_i64().unwrap() > 0, "{report:#}");
    expected.len()
}

/// Ends what may have ended, which changes nothing of the list, until nothing is left to do.
async fn void(past: &Past, url: &str, lost: usize) {
    let (report, code) = restore_check(url, &[], &[&["--void"], past.log_arguments().as_slice()].concat());
    let named = report["lost"].as_array().unwrap().iter().filter(|one| one["certain"] == true);
    assert_eq!((named.count(), report["lost"].as_array().unwrap().len()), (lost, lost + 1), "{report:#}");
    assert_eq!((&report["rights"]["sessions"], code), (&json!(0), 4), "the token key is left: {report:#}");
    assert!(report["voided"]["sessions"].as_i64().unwrap() > 0, "{report:#}");
    let accepted = farebox(url, &[NEXT_KEY], &["secrets", "accept"]);
    assert!(accepted.status.success(), "{accepted:?}");
    let (report, code) = restore_check(url, &[NEXT_KEY], &[]);
    assert_eq!(code, 0, "{report:#}");
}

/// API and worker start, old tokens are void, what was begun is undone, and riders book and pay.
async fn reopen(past: &Past, restored: &Restored) {
    let env = [LOGGED[0], NEXT_KEY];
    let api = Process::api(&restored.url, &env);
    let _worker = Process::worker(&restored.url, &env, &[]);
    let (old, trip) = &past.shop.riders[1];
    let old = old.toward(&api.base());
    old.get("/v1/wallet").await.expect(401);
    old.with_token(&past.ended).get("/v1/wallet").await.expect(401);
    let rider = Client::with_password(&api.base(), "rider1", PASSWORD).await;
    let order = rider.key("after the restore").booked(trip, &["40"]).await;
    rider.pay(&order).await.expect(200);
    // No saga of before runs any more: what it armed may fall due.
    let due = "update queue.job set run_at = now() where tag <> 'order_unpaid'";
    sqlx::query(due).execute(&restored.pool).await.unwrap();
    let left = "select count(*) from queue.job where tag <> 'order_unpaid' or run_at <= now()";
    until("the undos are done", || async { count(&restored.pool, left).await == 0 }).await;
    for verdict in verify::verify(&restored.pool, Scope::Whole).await.unwrap() {
        assert!(verdict.holds, "{}: {:?}", verdict.sentence, verdict.samples);
    }
}
