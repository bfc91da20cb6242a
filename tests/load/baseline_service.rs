//! The service that Farebox is compared with: a booking is one transaction of six round trips on the
//! baseline's tables, the first version that one would write.
//! No sign-in, no keys, no barriers, no undo.

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};

/// Serves until it is dropped.
pub struct BaselineService {
    pub base: String,
    serving: JoinHandle<()>,
}

#[derive(Deserialize)]
struct Wanted {
    trip: i32,
    rider: i64,
    seats: Vec<i16>,
}

impl BaselineService {
    pub async fn start(pool: PgPool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/orders", post(book)).with_state(pool);
        Self { base, serving: tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }) }
    }
}

impl Drop for BaselineService {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn book(
    State(pool): State<PgPool>,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let broken = |_: sqlx::Error| StatusCode::INTERNAL_SERVER_ERROR;
    let mut tx = pool.begin().await.map_err(broken)?;
    let (order, price): (i64, rust_decimal::Decimal) = sqlx::query_as(
        "select nextval('baseline.oid'), price from baseline.trip where id = $1 and departs_at > now()",
    )
    .bind(wanted.trip)
    .fetch_one(&mut *tx)
    .await
    .map_err(broken)?;
    let taken = sqlx::query(
        "update baseline.seat set order_id = $1 where trip_id = $2 and seat = any($3) and order_id is null",
    )
    .bind(order)
    .bind(wanted.trip)
    .bind(&wanted.seats)
    .execute(&mut *tx)
    .await
    .map_err(broken)?;
    if usize::try_from(taken.rows_affected()) != Ok(wanted.seats.len()) {
        tx.rollback().await.map_err(broken)?;
        return Err(StatusCode::CONFLICT);
    }
    let amount = price * rust_decimal::Decimal::from(wanted.seats.len());
    sqlx::query(
        "insert into baseline.orders values ($1, $2, $3, $4, $5, 'unpaid', now() + interval '15 min')",
    )
    .bind(order)
    .bind(wanted.trip)
    .bind(wanted.rider)
    .bind(&wanted.seats)
    .bind(amount)
    .execute(&mut *tx)
    .await
    .map_err(broken)?;
    sqlx::query("insert into baseline.job (queue, key, args, run_at) values ('expire', $1, $2, now() + interval '15 min')")
        .bind(format!("expire:{order}"))
        .bind(json!({"order": order}))
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
    tx.commit().await.map_err(broken)?;
    let order_view = json!({"id": order, "trip": wanted.trip, "seats": wanted.seats, "amount": amount.to_string(), "status": "unpaid"});
    Ok((StatusCode::CREATED, Json(order_view)))
}
