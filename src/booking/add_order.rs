//! Step 4, `order_add_cancle`: the order, unpaid. The last step: it retires the undo that the claim armed.

use super::{Request, STEPS, array_literal, release, unpaid};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{CloseReason, Error, OrderStatus},
    orders::{self, OrderView},
    saga::{JobContext, SagaContext, barrier},
};
use farebox_jobs::{
    MqTag, OrderAdd,
    queue::{Delivery, JobError, Outcome},
};
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// The statement, for any number of bookings.
pub struct Adds;

/// One order to add.
pub struct Ask {
    request: Arc<Request>,
    order: OrderView,
    armed: Uuid,
}

impl BatchStatement for Adds {
    /// While one waits for the disk: bookings became 5 % more at 24 clients, and neither more nor less at 8 and 64.
    const CROWD: usize = 4;

    type BatchContext = BatchContext;
    type Ask = Ask;
    type Answer = ();

    fn shared(ask: &Ask) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(ask.order.id.0)]
    }

    async fn ask_all(ground: &BatchContext, asks: &[Ask]) -> Result<Vec<()>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        add_all(&mut db, asks).await?;
        db.keep();
        Ok(asks.iter().map(|_| ()).collect())
    }
}

/// Adds one order, which is what its client is answered again for the same key, and retires the undo that its claim `armed`.
///
/// # Errors
/// Barred by its own undo; the database's.
pub async fn run(
    saga: &SagaContext,
    request: &Arc<Request>,
    order: &OrderView,
    armed: Uuid,
) -> Result<(), Error> {
    Ok(saga.batchers.ask::<Adds>(Ask { request: Arc::clone(request), order: order.clone(), armed }).await?)
}

async fn add_all(db: &mut PgConnection, asks: &[Ask]) -> Result<(), sqlx::Error> {
    let requests = || asks.iter().map(|ask| &ask.request);
    let orders = || asks.iter().map(|ask| &ask.order);
    sqlx::query!(
        r#"with stepped as (
               insert into barrier (subject, step, done_at) select order_id, $9, now() from unnest($1::uuid[]) as r(order_id)
           ), retired as (
               delete from queue.job where lease_token is null and id = any($10)
           )
           insert into orders (id, rider_id, trip_id, seats, unit_price, amount, status, created_at, expires_at)
           select order_id, rider_id, trip_id, seats::int[], unit_price, amount, 'unpaid', created_at, expires_at
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::numeric[], $6::numeric[],
                       $7::timestamptz[], $8::timestamptz[])
               as r(order_id, rider_id, trip_id, seats, unit_price, amount, created_at, expires_at)"#,
        &requests().map(|r| r.order_id.0).collect::<Vec<_>>(),
        &requests().map(|r| r.rider_id.0).collect::<Vec<_>>(),
        &requests().map(|r| r.trip_id.0).collect::<Vec<_>>(),
        &requests().map(|r| array_literal(r.seats.numbers())).collect::<Vec<_>>(),
        &orders().map(|o| o.unit_price.decimal()).collect::<Vec<_>>(),
        &orders().map(|o| o.amount.decimal()).collect::<Vec<_>>(),
        &orders().map(|o| o.created_at).collect::<Vec<_>>(),
        &orders().map(|o| o.expires_at).collect::<Vec<_>>(),
        MqTag::OrderAdd.wire(),
        &asks.iter().map(|ask| ask.armed).collect::<Vec<_>>(),
    )
    .execute(db)
    .await
    .map(drop)
}

/// The undo: closes the order as cancelled by the system and gives its seats back; refused once it is paid.
///
/// # Errors
/// What may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderAdd = delivery.decode()?;
    if release::at_once(context, delivery, job.booking()).await? {
        return Ok(Outcome::Settled);
    }
    let order_id = job.booking().order_id;
    let mut tx = context.begin().await?;
    barrier::bar(&mut tx, order_id.0, &STEPS).await?;
    let note = match orders::lock_status(&mut tx, order_id).await? {
        None => release::barred_claims(&mut tx, job.booking()).await?,
        Some(OrderStatus::Unpaid) => {
            unpaid::close(&mut tx, order_id, CloseReason::CancelledBySystem).await?;
            barrier::mark_undone(&mut tx, order_id.0, &STEPS).await?;
            "order closed, seats given back"
        }
        Some(OrderStatus::Closed) => "the order was closed already",
        Some(_) => "refused: the order has been paid since",
    };
    context.settle(tx, delivery, note).await
}
