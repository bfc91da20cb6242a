//! What an undo is about: the order, its seats and the money, as traces show it.

use crate::{
    domain::{Money, OrderId},
    orders::jobs::order_of,
};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// What an undo is about. In contrast to an [`Impact`](super::Impact) it stays the same while attempts
/// fail and succeed.
#[derive(Clone, Debug)]
pub struct UndoSubject {
    /// The order.
    pub order_id: OrderId,
    /// The labels of its seats.
    pub seats: Vec<String>,
    /// The amount of the payment that is undone, else of the order, else the price of the seats.
    pub amount: Option<Money>,
}

/// What the job with this payload is about; `None` if it is about no order.
///
/// # Errors
/// The database's.
pub async fn undo_subject(pool: &PgPool, payload: &str) -> Result<Option<UndoSubject>, sqlx::Error> {
    let payload: Value = serde_json::from_str(payload).unwrap_or_default();
    let Some(order_id) = order_of(&payload) else { return Ok(None) };
    let id = |path: &str| payload.pointer(path).and_then(Value::as_str)?.parse::<Uuid>().ok();
    let seats = payload.pointer("/booking/seats").and_then(Value::as_array);
    let seats = seats.into_iter().flatten().filter_map(|seat| i32::try_from(seat.as_i64()?).ok());
    let row = sqlx::query!(
        r#"select seat_labels(s.trip_id, s.seats) as "seats!",
                  coalesce((select amount from payment where id = $4), o.amount, p.price) as amount
           from (select $1::uuid as id) as j
           left join orders o on o.id = j.id
           cross join lateral (select coalesce(o.trip_id, $2) as trip_id,
                                      coalesce(o.seats, $3::int[]) as seats) as s
           left join lateral (
               select sum(coalesce((t.class_prices ->> m.class)::numeric, t.price)) as price
               from trip t cross join unnest(s.seats) as n (number)
               left join model_seat m on m.model_id = t.model_id and m.number = n.number
               where t.id = s.trip_id
           ) as p on true"#,
        order_id.0,
        id("/booking/trip_id"),
        &seats.collect::<Vec<_>>(),
        id("/paying/payment_id"),
    )
    .fetch_one(pool)
    .await?;
    let amount = row.amount.map(Money::from_database);
    Ok(Some(UndoSubject { order_id, seats: row.seats, amount }))
}
