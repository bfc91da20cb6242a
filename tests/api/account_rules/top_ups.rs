//! The reference of a top-up is one payment, however it is written, and belongs to one rider.

use crate::harness::{Answer, Client, Database, World, count};
use farebox::storage;
use futures_util::future::join_all;
use serde_json::json;

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
    crate::harness::migrate(&pool).await;
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
