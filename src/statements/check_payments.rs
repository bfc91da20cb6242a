//! Reads what a payment needs to know, in one statement for any number of payments. Writes nothing.

use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::Money,
    orders::{OrderView, order_row, query_orders},
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use std::collections::HashMap;
use uuid::Uuid;

/// The statement.
pub struct CheckPayments;

/// One payment to check.
pub struct Request {
    /// Its id.
    pub payment: Uuid,
    /// The order.
    pub order: Uuid,
    /// Who pays.
    pub rider: Uuid,
    /// The hash of the authorization's token, if there is one.
    pub token_hash: Option<Vec<u8>>,
    /// The client's idempotency key.
    pub key: Option<String>,
}

/// The rider's order and what its payment needs, as they are.
pub struct Output {
    /// The order.
    pub order: OrderView,
    /// Its deadline has passed, or its trip has departed: an import may have moved it.
    pub overdue: bool,
    /// Its trip is cancelled.
    pub cancelled: bool,
    /// What the wallet holds.
    pub balance: Money,
    /// The key was used before, for another payment.
    pub is_key_used: bool,
    /// The authorization is the order's, unused and not expired.
    pub authorized: bool,
}

impl BatchStatement for CheckPayments {
    const NAME: &'static str = "check_payments";
    type Context = BatchContext;
    type Request = Request;
    /// `None` if the rider has no such order.
    type Output = Option<Output>;

    /// Reads do not conflict.
    fn conflict_keys(_: &Request) -> Vec<ConflictKey> {
        Vec::new()
    }

    async fn execute(context: &BatchContext, batch: &[Request]) -> Result<Vec<Option<Output>>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let rows = query_orders!(
            Row: r#", r.nr as "nr!",
                      least(o.expires_at, t.departs_at) <= now() as "overdue!", t.cancelled_at is not null as "cancelled!",
                      w.balance as "balance!",
                      exists(select from idempotency i where i.actor = r.rider_id and i.key = r.key
                                                         and i.subject <> r.payment_id) as "is_key_used!",
                      exists(select from payment_authorization a
                             where a.order_id = r.order_id and a.rider_id = r.rider_id
                                 and a.token_hash = r.token_hash
                               and a.used_by is null and a.expires_at > now()) as "authorized!" "#,
            " from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::uuid[]) with ordinality
                        as r (order_id, rider_id, token_hash, key, payment_id, nr)
               join order_shown o on o.id = r.order_id and o.rider_id = r.rider_id
               join wallet w on w.rider_id = r.rider_id
               join trip t on t.id = o.trip_id",
            &batch.iter().map(|r| r.order).collect::<Vec<_>>(),
            &batch.iter().map(|r| r.rider).collect::<Vec<_>>(),
            &batch.iter().map(|r| r.token_hash.clone()).collect::<Vec<_>>() as &[Option<Vec<u8>>],
            &batch.iter().map(|r| r.key.clone()).collect::<Vec<_>>() as &[Option<String>],
            &batch.iter().map(|r| r.payment).collect::<Vec<_>>(),
        )
        .fetch_all(&mut *conn)
        .await?;
        conn.release();
        let mut found: HashMap<i64, Row> = rows.into_iter().map(|row| (row.nr, row)).collect();
        (1_i64..).zip(batch).map(|(nr, _)| found.remove(&nr).map(Row::decode).transpose()).collect()
    }
}

struct Row {
    nr: i64,
    id: Uuid,
    trip_id: Uuid,
    seats: Vec<i32>,
    labels: Option<Vec<String>>,
    unit_price: Option<Decimal>,
    prices: Option<Vec<Decimal>>,
    amount: Decimal,
    status: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    closed_reason: Option<String>,
    overdue: bool,
    cancelled: bool,
    balance: Decimal,
    is_key_used: bool,
    authorized: bool,
}

impl Row {
    fn decode(self) -> Result<Output, sqlx::Error> {
        Ok(Output {
            order: order_row!(self).try_into()?,
            overdue: self.overdue,
            cancelled: self.cancelled,
            balance: Money::from_database(self.balance),
            is_key_used: self.is_key_used,
            authorized: self.authorized,
        })
    }
}
