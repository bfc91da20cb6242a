//! Cancels unpaid orders, and stores what their riders are answered, in one statement for any number of
//! orders.

use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::CloseReason,
    idempotency::IdempotencyKey,
    orders::Command,
};
use farebox_jobs::{OrderUnpaid, queue::Job};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// The statement.
pub struct CancelOrders;

/// One order to cancel.
pub struct Request {
    /// Which, and whose.
    pub command: Command,
    /// What is stored under the client's key.
    pub response: Option<Value>,
}

/// What became of one order.
#[derive(Clone, Copy)]
pub enum Output {
    /// It is closed, and its seats are free.
    Cancelled,
    /// Another request has the client's key.
    KeyTaken,
    /// It is not the rider's, or no longer unpaid.
    NotUnpaid,
}

impl BatchStatement for CancelOrders {
    const NAME: &'static str = "cancel_orders";
    type Context = BatchContext;
    type Request = Request;
    type Output = Output;

    fn conflict_keys(request: &Request) -> Vec<ConflictKey> {
        let order = ConflictKey::Order(request.command.order_id.0);
        request.command.key.iter().map(IdempotencyKey::conflict_key).chain([order]).collect()
    }

    async fn execute(context: &BatchContext, batch: &[Request]) -> Result<Vec<Output>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let rows = cancel(&mut conn, batch).await?;
        conn.release();
        let decoded = rows.into_iter().map(|row| Ok((row.attempt, decode(&row.verdict)?)));
        let outputs = decoded.collect::<Result<HashMap<Uuid, Output>, sqlx::Error>>()?;
        let of = |request: &Request| outputs.get(&request.command.attempt).copied();
        Ok(batch.iter().map(|request| of(request).unwrap_or(Output::NotUnpaid)).collect())
    }
}

/// The row of an order that was unpaid.
struct Row {
    attempt: Uuid,
    verdict: String,
}

fn decode(verdict: &str) -> Result<Output, sqlx::Error> {
    match verdict {
        "cancelled" => Ok(Output::Cancelled),
        "key_taken" => Ok(Output::KeyTaken),
        word => Err(super::unknown_word("cancel", word)),
    }
}

async fn cancel(conn: &mut PgConnection, batch: &[Request]) -> Result<Vec<Row>, sqlx::Error> {
    let commands = || batch.iter().map(|request| &request.command);
    let keys = || commands().map(|command| command.key.as_ref());
    sqlx::query_as!(
        Row,
        r#"with due as materialized (
               select r.*
               from (select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[],
                   $6::jsonb[])
                         as r (order_id, rider_id, attempt, key, fingerprint, response)
                     order by order_id) as r
               cross join lateral (
                   select from orders where id = r.order_id and rider_id = r.rider_id
                       and status = 'unpaid' for update
               ) as o
           ), keyed as (
               insert into idempotency (actor, key, fingerprint, subject, status, body)
               select rider_id, key, fingerprint, attempt, 200, response from due where key is not null
               order by rider_id, key
               on conflict (actor, key) do nothing
               returning subject
           ), able as materialized (
               select * from due where key is null or attempt in (select subject from keyed)
           ), closed as materialized (
               select close_orders(array_agg(order_id), $7, $7) as id from able
           ), retired as materialized (
               -- The timers. The queue's function has a snapshot of its own, later than this
               -- statement's; the locks on the orders keep other statements from their timers.
               select queue.retire($8, array_agg(id::text)) from closed
           )
           select attempt as "attempt!",
                  case when (attempt in (select attempt from able)) is true then 'cancelled'
                       else 'key_taken' end as "verdict!"
           -- The functions are called because their results are read here: a part that writes nothing
           -- by itself is left out if no other reads it.
           from due cross join (select count(*) from retired) as r"#,
        &commands().map(|command| command.order_id.0).collect::<Vec<_>>(),
        &commands().map(|command| command.rider_id.0).collect::<Vec<_>>(),
        &commands().map(|command| command.attempt).collect::<Vec<_>>(),
        &keys().map(|key| key.map(|key| key.key.clone())).collect::<Vec<_>>() as &[Option<String>],
        &keys().map(|key| key.map(|key| key.fingerprint.clone())).collect::<Vec<_>>() as &[Option<Vec<u8>>],
        &batch.iter().map(|request| request.response.clone()).collect::<Vec<_>>() as &[Option<Value>],
        CloseReason::CancelledByRider.as_str(),
        OrderUnpaid::TAG,
    )
    .fetch_all(conn)
    .await
}
