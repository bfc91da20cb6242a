//! What is held of a person: all of it can be exported, and what names the person erased, without a
//! hole in orders, money and the audit log.

use crate::{
    console::ConsoleSession,
    harness::{Client, PASSWORD, PAY_PASSWORD, World, command, count, production},
};
use farebox::ops::people::places::{Holds, PLACES};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::{collections::BTreeSet, process::Output};

/// What a person has entered, and what must be found nowhere afterwards.
const PERSONAL: [&str; 5] = ["mei.lin", "mei.lin@example.org", "13800138000", "Meimei", "a kind driver"];

fn farebox(world: &World, args: &[&str]) -> Output {
    command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &production(&[])).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A rider with an account, a past trip, an evaluation, and one order that is paid.
async fn mei(world: &World) -> (Client, String) {
    let stranger = Client::stranger(&world.api.base()).key("registration");
    let account = json!({ "user_name": PERSONAL[0], "password": PASSWORD, "pay_password": PAY_PASSWORD,
        "email": PERSONAL[1], "phone": PERSONAL[2] });
    stranger.post("/v1/riders", &account).await.expect(201);
    let rider = Client::sign_in(&world.api.base(), PERSONAL[0]).await.key("of hers");
    rider.patch("/v1/riders/me", &json!({ "nick_name": PERSONAL[3] })).await.expect(200);
    world.top_up(rider.id, "20.00", "first").await.expect(201);
    let trip = world.trip(20).await;
    let order = rider.key("booked").booked(&trip, &["1"]).await;
    rider.key("paid").pay(&order).await.expect(200);
    (rider, order)
}

async fn depart(world: &World) {
    let sql =
        "update trip set departs_at = now() - interval '2 hours', arrives_at = now() - interval '1 hour'";
    sqlx::query(sql).execute(&world.pool).await.unwrap();
}

/// The tables that have this text in any row.
async fn holding(world: &World, needle: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'queue')",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let sql = format!("select count(*) from {table} t where strpos(lower(t::text), lower($1)) > 0");
        let rows: i64 =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(needle).fetch_one(&world.pool).await.unwrap();
        if rows > 0 {
            found.push(table);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_has_been_decided_upon() {
    let world = World::new().await;
    let sql =
        "select case when schemaname = 'public' then tablename else schemaname || '.' || tablename end::text
               from pg_tables t where schemaname in ('public', 'queue')
               and not exists(select from pg_inherits i join pg_class c on c.oid = i.inhrelid
                              join pg_namespace n on n.oid = c.relnamespace
                              where c.relname = t.tablename and n.nspname = t.schemaname)";
    let tables: BTreeSet<String> =
        sqlx::query_scalar::<_, String>(sql).fetch_all(&world.pool).await.unwrap().into_iter().collect();
    let decided: BTreeSet<String> = PLACES.iter().map(|place| place.table.to_owned()).collect();
    assert_eq!(decided.len(), PLACES.len(), "a table is in the list twice");
    assert_eq!(
        decided, tables,
        "src/ops/people/places.rs and the schema: say what a new table holds of a person"
    );
    // Secrets are no person's data to hand out.
    let hashed = "select table_name || '.' || column_name from information_schema.columns
                  where table_schema in ('public', 'queue') and column_name ~ 'hash|fingerprint|last_change|secret'
                  and table_name not in ('dead_letter')";
    let columns: Vec<String> = sqlx::query_scalar(hashed).fetch_all(&world.pool).await.unwrap();
    for column in columns {
        let (table, column) = column.split_once('.').unwrap();
        let place = PLACES.iter().find(|place| place.table.trim_start_matches("queue.") == table).unwrap();
        let kept = match place.holds {
            Holds::Rows { hidden, .. } => hidden.contains(&column),
            Holds::Nothing(why) => !why.is_empty(),
        };
        assert!(kept, "{table}.{column} would be exported");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_has_all_that_is_held_and_no_secret() {
    let world = World::with(&production(&[])).await;
    let (rider, order) = mei(&world).await;
    depart(&world).await;
    let kind = json!({ "rating": 5, "comment": PERSONAL[4] });
    rider.post(&format!("/v1/orders/{order}/evaluation"), &kind).await.expect(201);
    let exported = farebox(&world, &["riders", "export", "MEI.LIN", "--reason", "her letter of Monday"]);
    let printed = text(&exported.stdout);
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let held: Value = serde_json::from_str(&printed).unwrap();
    for (table, rows) in [("rider", 1), ("orders", 1), ("ledger_entry", 2), ("evaluation", 1), ("payment", 1)]
    {
        assert_eq!(held["tables"][table].as_array().map(Vec::len), Some(rows), "{table}: {printed}");
    }
    for own in PERSONAL {
        assert!(printed.contains(own), "{own}");
        // Every table that has it is exported.
        for table in holding(&world, own).await {
            let table = table.trim_start_matches("public.");
            assert!(!held["tables"][table].as_array().unwrap().is_empty(), "{own} in {table}");
        }
    }
    assert!(!printed.contains("argon2") && !printed.contains("hash"), "{printed}");
    // For operators only, and audited; the console has the same.
    let ops = ConsoleSession::enter(&world, "ops").await;
    let path = format!("/console/riders/{}/export", rider.id);
    let csrf = ops.hidden(&path, "csrf").await;
    let file = ops.send("POST", &path, Some(format!("csrf={csrf}&reason=her+letter"))).await;
    assert_eq!(file.status().as_u16(), 200);
    let saved = file.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(saved, format!("attachment; filename=\"rider-{}.json\"", rider.id));
    let same: Value = file.json().await.unwrap();
    assert_eq!(same["tables"]["rider"], held["tables"]["rider"]);
    assert_eq!(count(&world.pool, "select count(*) from audit where act = 'rider_export'").await, 2);
    for args in [
        &["riders", "export", "nobody-here", "--reason", "x"][..],
        &["riders", "export", "mei.lin", "--reason", " "],
    ] {
        assert!(!farebox(&world, args).status.success(), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_forgotten_while_a_refund_is_owed() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("4.00").await);
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    // No worker comes to its refunds.
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &json!({ "reason": "snow" })).await.expect(202);
    let forget = ["riders", "forget", &rider.id.to_string(), "--reason", "the rider's letter"];
    let refused = farebox(&world, &forget);
    assert!(text(&refused.stderr).contains("an order is open"), "{}", text(&refused.stderr));
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(rider.balance().await, "4.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_rider_is_nowhere_and_everything_still_adds_up() {
    let world = World::with(&production(&[])).await;
    let (rider, order) = mei(&world).await;
    let forget = ["riders", "forget", "mei.lin", "--reason", "the rider's letter"];
    let refused = |why: &str| {
        let done = farebox(&world, &forget);
        let said = text(&done.stderr);
        assert!(!done.status.success() && said.contains(why), "{why}: {said}");
    };
    refused("there is money in the wallet");
    let entry = rider.get("/v1/wallet/entries").await.expect(200)["items"][0]["id"].clone();
    let out = json!({ "amount": "-16.00", "entry_id": entry, "reference": "paid out", "reason": "paid out" });
    world.ops.post(&format!("/v1/ops/wallets/{}/corrections", rider.id), &out).await.expect(201);
    refused("an order is open");
    depart(&world).await;
    let kind = json!({ "rating": 5, "comment": PERSONAL[4] });
    rider.key("said").post(&format!("/v1/orders/{order}/evaluation"), &kind).await.expect(201);
    let cli = ["riders", "forget", "ops", "--reason", "x"];
    assert!(text(&farebox(&world, &cli).stderr).contains("the operations side"), "an operator stays");

    let done = farebox(&world, &forget);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let again = farebox(&world, &["riders", "forget", &rider.id.to_string(), "--reason", "again"]);
    assert!(again.status.success(), "a repeat changes nothing");
    for own in PERSONAL {
        assert_eq!(holding(&world, own).await, Vec::<String>::new(), "{own}");
    }
    // Signed in nowhere, and nobody gets in.
    crate::harness::until("the session has ended", || async {
        rider.get("/v1/riders/me").await.status == 401
    })
    .await;
    let stranger = Client::stranger(&world.api.base());
    let name: String = sqlx::query_scalar("select user_name from rider where id = $1")
        .bind(rider.id.0)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    for who in [PERSONAL[0], &name] {
        stranger
            .post("/v1/sessions", &json!({ "user_name": who, "password": PASSWORD }))
            .await
            .problem(401, "003001");
    }
    // A request of before puts nothing back, and nobody gives it a role.
    let sql = "update rider set nick_name = 'Lin' where forgotten_at is not null";
    let refused = sqlx::query(sql).execute(&world.pool).await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("rider_forgotten_names_nobody"));
    for act in [&["operators", "role", &name, "admin"][..], &["operators", "disable", &name, "--reason", "x"]]
    {
        let done = farebox(&world, act);
        assert!(text(&done.stderr).contains("nobody's any more"), "{act:?}: {}", text(&done.stderr));
    }
    // Money cannot come back to it, orders and ledger are whole, and the name is free for another.
    world.top_up(rider.id, "1.00", "late").await.problem(404, "003070");
    assert_eq!(count(&world.pool, "select count(*) from ledger_entry").await, 3);
    assert_eq!(world.order(&order).await["status"], "paid");
    assert_eq!(count(&world.pool, "select count(*) from audit where act = 'rider_forget'").await, 1);
    assert_eq!(count(&world.pool, "select count(*) from evaluation where rating = 5").await, 1);
    world.verify().await;
    let account = json!({ "user_name": PERSONAL[0], "password": PASSWORD });
    stranger.post("/v1/riders", &account).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_leaves_no_address_under_its_key() {
    let world = World::with(&production(&[])).await;
    let stranger = Client::stranger(&world.api.base()).key("once");
    let account =
        json!({ "user_name": PERSONAL[0], "password": PASSWORD, "email": PERSONAL[1], "phone": PERSONAL[2] });
    let first = stranger.post("/v1/riders", &account).await;
    first.expect(201);
    for own in [PERSONAL[1], PERSONAL[2]] {
        assert_eq!(holding(&world, own).await, ["public.rider"], "{own}");
    }
    // The account has changed since; the repeat gets the first response, letter for letter.
    let rider = Client::sign_in(&world.api.base(), PERSONAL[0]).await;
    rider.patch("/v1/riders/me", &json!({ "email": null, "nick_name": "Lin" })).await.expect(200);
    let again = stranger.post("/v1/riders", &account).await;
    assert_eq!(again.expect(201), first.expect(201));
    assert_eq!(
        (again.text.as_str(), &again.headers["idempotent-replayed"]),
        (first.text.as_str(), &"true".parse().unwrap())
    );
    // What an older version stored is replayed as it is.
    let old = json!({ "id": rider.id, "user_name": "as stored", "role": "rider", "has_pay_password": false });
    sqlx::query("update idempotency set body = $1 where status = 201")
        .bind(&old)
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(stranger.post("/v1/riders", &account).await.expect(201), &old);
    let other = json!({ "user_name": PERSONAL[0], "password": "another horse" });
    stranger.post("/v1/riders", &other).await.problem(422, "006005");
}

#[tokio::test(flavor = "multi_thread")]
async fn drivers_are_known_to_those_on_the_bus_and_to_operators() {
    let world = World::with(&production(&[])).await;
    let (trip, rider, other) = (world.trip(4).await, world.rider("20.00").await, world.rider("20.00").await);
    let path = format!("/v1/trips/{trip}");
    let drives = async |client: &Client| {
        let map = client.get(&path).await;
        let bus = map.expect(200)["bus"].as_object().unwrap().clone();
        assert!(
            bus.contains_key("driver_name") && bus.contains_key("driver_phone"),
            "the fields stay: {bus:?}"
        );
        assert_eq!(bus["driver_name"].is_null(), bus["driver_phone"].is_null());
        bus["driver_name"].as_str().map(str::to_owned)
    };
    let stranger = Client::stranger(&world.api.base());
    let driver = Some("Zhao Lei".to_owned());
    assert_eq!(drives(&stranger).await, None);
    let order = rider.booked(&trip, &["1"]).await;
    assert_eq!(drives(&rider).await, None, "not yet paid");
    rider.pay(&order).await.expect(200);
    assert_eq!(drives(&rider).await, driver);
    assert_eq!(rider.get(&path).await.expect(200)["seats"][0]["state"], "mine");
    assert_eq!((drives(&other).await, drives(&stranger).await), (None, None));
    assert_eq!(drives(&world.ops).await, driver);
    rider.refund(&order).await.expect(200);
    assert_eq!(drives(&rider).await, None, "given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_verified_for_one_account_and_marked_everywhere() {
    let world = World::with(&production(&[])).await;
    let (thief, owner) = (world.rider("0").await, world.rider("0").await);
    thief.patch("/v1/riders/me", &json!({ "email": "Alice@Example.org" })).await.expect(200);
    owner.patch("/v1/riders/me", &json!({ "email": "alice@example.org" })).await.expect(200);
    let ops = ConsoleSession::enter(&world, "ops").await;
    let verify = async |rider: &Client| {
        let path = format!("/console/riders/{}/verify-email", rider.id);
        let csrf = ops.hidden(&path, "csrf").await;
        ops.status("POST", &path, Some(&format!("csrf={csrf}&reason=called+back"))).await
    };
    let search = "/console/search?q=ALICE%40example.org";
    let before = ops.page(search).await;
    assert_eq!((before.matches("(unverified)").count(), before.matches("(verified)").count()), (2, 0));
    assert_eq!((verify(&owner).await, verify(&owner).await), (303, 303), "a repeat changes nothing");
    assert_eq!(verify(&thief).await, 422, "one account has it");
    let after = ops.page(search).await;
    assert_eq!((after.matches("(unverified)").count(), after.matches("(verified)").count()), (1, 1));
    assert!(after.find(&owner.id.to_string()) < after.find(&thief.id.to_string()), "the verified one first");
    assert!(ops.page(&format!("/console/riders/{}", owner.id)).await.contains("E-mail, verified"));
    assert_eq!(count(&world.pool, "select count(*) from audit where act = 'email_verify'").await, 1);
    let unique = sqlx::query("update rider set email_verified_at = now() where email is not null")
        .execute(&world.pool)
        .await
        .unwrap_err();
    let index = unique.as_database_error().and_then(|error| error.constraint().map(str::to_owned));
    assert_eq!(index.as_deref(), Some("rider_verified_email_is_one_accounts"));
    // The same address again keeps the mark, another one loses it, and then the first is free.
    owner
        .patch("/v1/riders/me", &json!({ "email": "alice@example.org", "nick_name": "Al" }))
        .await
        .expect(200);
    assert_eq!(count(&world.pool, "select count(*) from rider where email_verified_at is not null").await, 1);
    owner.patch("/v1/riders/me", &json!({ "email": "al@example.org" })).await.expect(200);
    assert_eq!(count(&world.pool, "select count(*) from rider where email_verified_at is not null").await, 0);
    assert_eq!(verify(&thief).await, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_wrong_sign_ins_hold_no_digest_that_can_be_tried() {
    use sha2::{Digest, Sha256};
    let world = World::with(&production(&[])).await;
    let stranger = Client::stranger(&world.api.base());
    stranger
        .post("/v1/sessions", &json!({ "user_name": "mei", "password": "wrong horse" }))
        .await
        .problem(401, "003001");
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("select subject from sign_in_tries").fetch_all(&world.pool).await.unwrap();
    assert_eq!(kept.len(), 3, "the name's from one network and from any, and the address's");
    for plain in ["name\n127.0.0.0\nmei", "address\n127.0.0.1\n"] {
        let digest = Sha256::new().chain_update(plain).finalize();
        assert!(!kept.iter().any(|subject| digest.starts_with(subject)), "{plain:?}");
    }
}
