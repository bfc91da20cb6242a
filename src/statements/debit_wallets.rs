//! Debits wallets, in one statement for any number of payments of different orders.
//!
//! The statement locks the wallets in one order everywhere and judges each payment by the order and the
//! balance it then sees. For those that can pay it reserves the client's key, uses up the authorization if
//! there is one, writes payment, entry, balance and barrier row, and arms the undo. Amounts are relative,
//! never absolute. A refused payment has written nothing but its key, and that only if another payment of
//! the order is under way.

use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Currency, Money, OrderId, OrderStatus, PaymentId, RiderId, TripId},
    idempotency::{self, IdempotencyKey},
    orders::{OrderView, labels_of, prices_of},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag, PayMoney,
    queue::{Job, NewJob},
};
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use std::sync::Arc;
use uuid::Uuid;

/// The statement.
pub struct DebitWallets;

/// One payment, and the undo that its debit arms.
pub struct Request {
    /// The id of this attempt to pay.
    pub payment_id: PaymentId,
    /// Which order.
    pub order_id: OrderId,
    /// Whose wallet pays.
    pub rider_id: RiderId,
    /// The hash of the authorization's token, if no pay password was checked.
    pub token_hash: Option<Vec<u8>>,
    /// The client's idempotency key.
    pub key: Option<IdempotencyKey>,
    /// The undo to arm.
    pub undo: NewJob,
}

/// What became of one payment.
pub enum Output {
    /// The wallet is debited. The order, still unpaid.
    Debited(OrderView),
    /// The order is not the rider's, not unpaid, or overdue.
    NotPayable,
    /// The wallet holds too little.
    BalanceTooLow {
        /// What it holds.
        balance: Money,
    },
    /// The authorization is unknown, used or expired.
    NotAuthorized,
    /// Another request has the client's key.
    KeyTaken,
    /// Another payment of the order is under way.
    AlreadyPaying,
}

impl BatchStatement for DebitWallets {
    const NAME: &'static str = "debit_wallets";
    type Context = BatchContext;
    type Request = Arc<Request>;
    type Output = Output;

    fn conflict_keys(request: &Arc<Request>) -> Vec<ConflictKey> {
        let order = ConflictKey::Order(request.order_id.0);
        request.key.iter().map(IdempotencyKey::conflict_key).chain([order]).collect()
    }

    async fn execute(context: &BatchContext, batch: &[Arc<Request>]) -> Result<Vec<Output>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let rows = debit(&mut conn, context, batch).await?;
        conn.release();
        rows.into_iter().zip(batch).map(|(row, request)| row.decode(request)).collect()
    }
}

/// One payment's row of the result.
struct Row {
    verdict: String,
    balance: Option<Decimal>,
    /// The order's columns, if it can be paid.
    trip_id: Option<Uuid>,
    seats: Option<Vec<i32>>,
    labels: Option<Vec<String>>,
    unit_price: Option<Decimal>,
    prices: Option<Vec<Decimal>>,
    amount: Option<Decimal>,
    created_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

impl Row {
    fn decode(self, request: &Request) -> Result<Output, sqlx::Error> {
        Ok(match self.verdict.as_str() {
            "debited" => {
                let order = self.order(request.order_id);
                Output::Debited(
                    order.ok_or_else(|| super::unknown_word("debit", "debited without an order"))?,
                )
            }
            "not_payable" => Output::NotPayable,
            "balance_too_low" => {
                Output::BalanceTooLow { balance: Money::from_database(self.balance.unwrap_or_default()) }
            }
            "not_authorized" => Output::NotAuthorized,
            "key_taken" => Output::KeyTaken,
            "already_paying" => Output::AlreadyPaying,
            word => return Err(super::unknown_word("debit", word)),
        })
    }

    fn order(self, id: OrderId) -> Option<OrderView> {
        Some(OrderView {
            id,
            trip_id: TripId(self.trip_id?),
            seats: labels_of(self.labels, &self.seats?),
            unit_price: self.unit_price.map(Money::from_database),
            prices: self.prices.map(prices_of),
            amount: Money::from_database(self.amount?),
            status: OrderStatus::Unpaid,
            created_at: self.created_at?,
            currency: Currency::installed(),
            expires_at: self.expires_at?,
            paid_at: None,
            closed_reason: None,
        })
    }
}

async fn debit(
    conn: &mut PgConnection,
    context: &BatchContext,
    batch: &[Arc<Request>],
) -> Result<Vec<Row>, sqlx::Error> {
    let keys = || batch.iter().map(|request| request.key.as_ref());
    sqlx::query_file_as!(
        Row,
        "src/statements/debit_wallets.sql",
        &batch.iter().map(|r| r.payment_id.0).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.order_id.0).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.rider_id.0).collect::<Vec<_>>(),
        &keys().map(|key| key.map(|key| key.key.clone())).collect::<Vec<_>>() as &[Option<String>],
        &keys().map(|key| key.map(|key| key.fingerprint.clone())).collect::<Vec<_>>() as &[Option<Vec<u8>>],
        &batch.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.undo.id).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.undo.json()).collect::<Vec<_>>() as &[Json<&RawValue>],
        &batch.iter().map(|r| r.token_hash.clone()).collect::<Vec<_>>() as &[Option<Vec<u8>>],
        idempotency::stale_secs(),
        MqTag::PayMoney.wire(),
        PayMoney::RETRY.max_attempts,
        context.rules.undo_after().as_seconds_f64(),
    )
    .fetch_all(conn)
    .await
}
