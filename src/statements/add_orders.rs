//! Adds orders, unpaid, and removes the undos that their claims armed, in one statement for any number of
//! bookings.

use super::{array_literal, text_array_literal};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Money, RefundRules, RiderId},
    orders::OrderView,
};
use farebox_jobs::MqTag;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

/// The statement.
pub struct AddOrders;

/// One order to add.
pub struct Request {
    /// Whose it is.
    pub rider_id: RiderId,
    /// The numbers of its seats, ascending.
    pub seats: Vec<i32>,
    /// Whether the order's seats have labels other than these numbers.
    pub has_labels: bool,
    /// The order.
    pub order: OrderView,
    /// The rules of refunds that it is sold by.
    pub refund: RefundRules,
    /// The undo that its claim armed: a job's id.
    pub armed: Uuid,
}

impl BatchStatement for AddOrders {
    const NAME: &'static str = "add_orders";
    /// The second batch is worked out while the first waits for the disk. Less fills the batches worse.
    const SECOND_FLUSH_AT: usize = 4;

    type Context = BatchContext;
    type Request = Request;
    type Output = ();

    fn conflict_keys(request: &Request) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(request.order.id.0)]
    }

    async fn execute(context: &BatchContext, batch: &[Request]) -> Result<Vec<()>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        add(&mut conn, batch).await?;
        conn.release();
        Ok(vec![(); batch.len()])
    }
}

impl Request {
    /// The labels of its seats, as the text of an array.
    fn labels(&self) -> Option<String> {
        self.has_labels.then(|| text_array_literal(&self.order.seats))
    }
}

/// `{4.00,5.00}`.
fn prices_literal(prices: &[Money]) -> String {
    let prices: Vec<String> = prices.iter().map(|price| price.decimal().to_string()).collect();
    format!("{{{}}}", prices.join(","))
}

async fn add(conn: &mut PgConnection, batch: &[Request]) -> Result<(), sqlx::Error> {
    let orders = || batch.iter().map(|request| &request.order);
    sqlx::query!(
        r#"with stepped as (
               insert into barrier (subject, step, done_at)
               select order_id, $9, now() from unnest($1::uuid[]) as r (order_id)
           )
           insert into orders (id, rider_id, trip_id, seats, unit_price, amount, status, created_at,
               expires_at, labels, prices, refund_secs, refund_percent)
           select order_id, rider_id, trip_id, seats::int[], unit_price, amount, 'unpaid', created_at,
               expires_at, labels::text[], prices::numeric[], refund_secs, refund_percent
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::numeric[], $6::numeric[],
                       $7::timestamptz[], $8::timestamptz[], $11::text[], $12::text[], $13::int[],
                       $14::smallint[])
               as r (order_id, rider_id, trip_id, seats, unit_price, amount, created_at, expires_at,
                     labels, prices, refund_secs, refund_percent)
           -- The queue's function has a snapshot of its own, later than this statement's. It needs
           -- nothing that the other parts write: the claim that armed these jobs has committed.
           cross join (select count(*) from queue.retire($10)) as retired"#,
        &orders().map(|order| order.id.0).collect::<Vec<_>>(),
        &batch.iter().map(|request| request.rider_id.0).collect::<Vec<_>>(),
        &orders().map(|order| order.trip_id.0).collect::<Vec<_>>(),
        &batch.iter().map(|request| array_literal(&request.seats)).collect::<Vec<_>>(),
        &orders().map(|order| order.unit_price.map(Money::decimal)).collect::<Vec<_>>()
            as &[Option<Decimal>],
        &orders().map(|order| order.amount.decimal()).collect::<Vec<_>>(),
        &orders().map(|order| order.created_at).collect::<Vec<_>>(),
        &orders().map(|order| order.expires_at).collect::<Vec<_>>(),
        MqTag::OrderAdd.wire(),
        &batch.iter().map(|request| request.armed).collect::<Vec<_>>(),
        &batch.iter().map(Request::labels).collect::<Vec<_>>() as &[Option<String>],
        &orders().map(|order| order.prices.as_deref().map(prices_literal)).collect::<Vec<_>>()
            as &[Option<String>],
        &batch.iter().map(|request| request.refund.secs).collect::<Vec<_>>() as &[Option<i32>],
        &batch.iter().map(|request| request.refund.percent).collect::<Vec<_>>() as &[Option<i16>],
    )
    .execute(conn)
    .await
    .map(drop)
}
