//! Step 1, `pay_check_cancle`: the order is the rider's, unpaid and in time; the pay password is right, or the payment was
//! authorized; the balance suffices. Moves no money.
//!
//! The debit judges the same again, under its locks, but for the pay password. So an authorized payment leaves it to the
//! debit, and is looked at only if that says no, to be told why.

use super::{Proof, Request, STEPS};
use crate::accounts::pay_password;
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Error, Money, OrderStatus, Refusal},
    orders::{OrderRow, OrderView},
    saga::{JobContext, SagaContext, barrier},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    PayCheck,
    queue::{Delivery, JobError, Outcome},
};
use rust_decimal::Decimal;
use std::collections::HashMap;
use uuid::Uuid;

/// Looks, if there is a pay password to check, and refuses what the later steps would refuse anyway. The order first, since
/// a wrong state costs no password try; the balance last, since only its owner may learn it.
///
/// # Errors
/// Somebody else's order, a wrong state, the deadline, the pay password, the balance; the database's.
pub async fn run(saga: &SagaContext, request: &Request) -> Result<(), Error> {
    let Proof::PayPassword(password) = &request.proof else { return Ok(()) };
    let seen = fresh(saga, request).await?;
    pay_password::verify(&saga.pool, &saga.passwords, request.rider_id, password).await?;
    Ok(seen.suffices()?)
}

/// Why a payment was refused whose pay password, if it has one, was right: nothing if it could be made now.
///
/// # Errors
/// [`run`]'s; an authorization unknown, used, past its end or for something else.
pub(crate) async fn again(saga: &SagaContext, request: &Request) -> Result<(), Error> {
    let seen = fresh(saga, request).await?;
    if matches!(request.proof, Proof::Authorization(_)) && !seen.authorized {
        return Err(Refusal::NotAuthorized.into());
    }
    Ok(seen.suffices()?)
}

async fn fresh(saga: &SagaContext, request: &Request) -> Result<Seen, Error> {
    let seen = look(saga, request).await?;
    seen.payable()?;
    // A repeat is answered from its key: it must not cost a try.
    if seen.keyed { Err(Error::KeyTaken) } else { Ok(seen) }
}

/// The rider's order, if it can be paid.
///
/// # Errors
/// Somebody else's order, a wrong state, the deadline; the database's.
pub(crate) async fn order(saga: &SagaContext, request: &Request) -> Result<OrderView, Error> {
    let seen = look(saga, request).await?;
    seen.payable()?;
    Ok(seen.order)
}

async fn look(saga: &SagaContext, request: &Request) -> Result<Seen, Error> {
    let ask = Ask {
        payment: request.payment_id.0,
        order: request.order_id.0,
        rider: request.rider_id.0,
        token_hash: request.proof.token_hash().map(<[u8]>::to_vec),
        key: request.key.as_ref().map(|key| key.key.clone()),
    };
    let row = saga.batchers.ask::<Looks>(ask).await?;
    row.ok_or(Refusal::NotFound("order"))?.read().map_err(Error::from)
}

/// The look, for any number of payments.
struct Looks;

struct Ask {
    payment: Uuid,
    order: Uuid,
    rider: Uuid,
    token_hash: Option<Vec<u8>>,
    key: Option<String>,
}

/// The rider's order and what its payment needs, as they are.
struct Seen {
    order: OrderView,
    overdue: bool,
    cancelled: bool,
    balance: Money,
    /// The key was used before, for something else.
    keyed: bool,
    authorized: bool,
}

impl Seen {
    /// Whether the order's state lets it be paid.
    fn payable(&self) -> Result<(), Refusal> {
        match (self.order.status, self.order.closed_reason.as_deref()) {
            (OrderStatus::Unpaid, _) => Ok(()),
            (OrderStatus::Paying, _) => Err(Refusal::AlreadyPaying),
            (OrderStatus::Closed, Some("expired")) => Err(Refusal::OrderExpired),
            (OrderStatus::Closed, Some("cancelled_by_system")) if self.cancelled => {
                Err(Refusal::TripCancelled)
            }
            (status, _) => Err(Refusal::WrongState(status)),
        }
    }
}

impl Seen {
    /// Whether what comes after the proof is in order.
    fn suffices(&self) -> Result<(), Refusal> {
        match () {
            () if self.cancelled => Err(Refusal::TripCancelled),
            () if self.overdue => Err(Refusal::OrderExpired),
            () if self.balance < self.order.amount => Err(Refusal::BalanceTooLow { balance: self.balance }),
            () => Ok(()),
        }
    }
}

impl BatchStatement for Looks {
    type BatchContext = BatchContext;
    type Ask = Ask;
    type Answer = Option<Row>;

    /// Who only looks is in nobody's way.
    fn shared(_: &Ask) -> Vec<ConflictKey> {
        Vec::new()
    }

    async fn ask_all(ground: &BatchContext, asks: &[Ask]) -> Result<Vec<Option<Row>>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        let rows = sqlx::query_as!(
            Row,
            r#"select r.nr as "nr!", o.id as "id!", o.trip_id as "trip_id!", o.seats as "seats!",
                      o.unit_price as "unit_price!", o.amount as "amount!", o.status as "status!",
                      o.created_at as "created_at!", o.expires_at as "expires_at!", o.paid_at, o.closed_reason,
                      o.expires_at <= now() as "overdue!", t.cancelled_at is not null as "cancelled!",
                      w.balance as "balance!",
                      exists(select from idempotency i where i.actor = r.rider_id and i.key = r.key
                                                         and i.subject <> r.payment_id) as "keyed!",
                      exists(select from payment_authorization a
                             where a.order_id = r.order_id and a.rider_id = r.rider_id and a.token_hash = r.token_hash
                               and a.used_by is null and a.expires_at > now()) as "authorized!"
               from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::uuid[]) with ordinality
                        as r (order_id, rider_id, token_hash, key, payment_id, nr)
               join order_shown o on o.id = r.order_id and o.rider_id = r.rider_id
               join wallet w on w.rider_id = r.rider_id
               join trip t on t.id = o.trip_id"#,
            &asks.iter().map(|ask| ask.order).collect::<Vec<_>>(),
            &asks.iter().map(|ask| ask.rider).collect::<Vec<_>>(),
            &asks.iter().map(|ask| ask.token_hash.clone()).collect::<Vec<_>>() as &[Option<Vec<u8>>],
            &asks.iter().map(|ask| ask.key.clone()).collect::<Vec<_>>() as &[Option<String>],
            &asks.iter().map(|ask| ask.payment).collect::<Vec<_>>(),
        )
        .fetch_all(&mut *db)
        .await?;
        db.keep();
        let mut found: HashMap<i64, Row> = rows.into_iter().map(|row| (row.nr, row)).collect();
        Ok((1_i64..).zip(asks).map(|(nr, _)| found.remove(&nr)).collect())
    }
}

struct Row {
    nr: i64,
    id: Uuid,
    trip_id: Uuid,
    seats: Vec<i32>,
    unit_price: Decimal,
    amount: Decimal,
    status: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    closed_reason: Option<String>,
    overdue: bool,
    cancelled: bool,
    balance: Decimal,
    keyed: bool,
    authorized: bool,
}

impl Row {
    fn read(self) -> Result<Seen, sqlx::Error> {
        let Self { id, trip_id, seats, unit_price, amount, status, created_at, expires_at, .. } = self;
        let (paid_at, closed_reason) = (self.paid_at, self.closed_reason);
        let order = OrderRow {
            id,
            trip_id,
            seats,
            unit_price,
            amount,
            status,
            created_at,
            expires_at,
            paid_at,
            closed_reason,
        };
        Ok(Seen {
            order: order.try_into()?,
            overdue: self.overdue,
            cancelled: self.cancelled,
            balance: Money::from_database(self.balance),
            keyed: self.keyed,
            authorized: self.authorized,
        })
    }
}

/// The undo: bars the flow's writing steps and proves that no money moved.
///
/// # Errors
/// Needs an operator if money moved after all; else what may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: PayCheck = delivery.decode()?;
    let payment = job.paying().payment_id;
    let mut tx = context.begin().await?;
    barrier::bar(&mut tx, payment.0, &STEPS).await?;
    let moved = sqlx::query_scalar!(
        r#"select exists(select from ledger_entry where payment_id = $1) as "moved!""#,
        payment.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if moved {
        return Err(JobError::needs_operator(format!(
            "the check of payment {payment} failed, yet money moved"
        )));
    }
    context.settle(tx, delivery, "barred; no money moved").await
}
