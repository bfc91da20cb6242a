//! Finding orders on the operations side.

use super::{OrderView, order_row, query_orders};
use crate::domain::{OrderId, Page, TripId, seat_number};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// An order and whose it is.
#[derive(Clone, Debug)]
pub struct Found {
    /// The order.
    pub order: OrderView,
    /// Its rider.
    pub rider_id: Uuid,
}

/// The newest orders, of every rider or one, before `after`.
///
/// # Errors
/// The database's.
pub async fn newest(
    pool: &PgPool,
    rider: Option<Uuid>,
    after: Option<OrderId>,
    limit: u16,
) -> Result<Page<Found>, sqlx::Error> {
    // Two statements: one plan cannot serve both.
    let (after, most) = (after.map_or(Uuid::max(), |order| order.0), i64::from(limit) + 1);
    let ids = match rider {
        Some(rider) => {
            sqlx::query_scalar!(
                "select id from orders where rider_id = $1 and id < $2 order by id desc limit $3",
                rider,
                after,
                most
            )
            .fetch_all(pool)
            .await?
        }
        None => {
            sqlx::query_scalar!("select id from orders where id < $1 order by id desc limit $2", after, most)
                .fetch_all(pool)
                .await?
        }
    };
    let more = ids.len() > usize::from(limit);
    let shown: Vec<Uuid> = ids.into_iter().take(limit.into()).collect();
    let items = of_ids(pool, &shown).await?;
    let next = items.last().filter(|_| more).map(|found| found.order.id.to_string());
    Ok(Page { items, next })
}

/// The orders that have seats of a trip now, newest first, at most `most`.
///
/// # Errors
/// The database's.
pub async fn of_trip(pool: &PgPool, trip: TripId, most: u16) -> Result<Vec<Found>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"select distinct order_id as "id!" from seat where trip_id = $1 and order_id is not null
           order by 1 desc limit $2"#,
        trip.0,
        i64::from(most)
    )
    .fetch_all(pool)
    .await?;
    of_ids(pool, &ids).await
}

/// These orders, newest first.
///
/// # Errors
/// The database's.
pub async fn of_ids(db: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<Found>, sqlx::Error> {
    let rows = query_orders!(
        r#", o.rider_id as "rider_id!""#,
        " from order_shown o where o.id = any($1) order by o.id desc",
        ids
    )
    .fetch_all(db)
    .await?;
    let items = rows.into_iter().map(|row| {
        let rider_id = row.rider_id;
        Ok(Found { order: order_row!(row).try_into()?, rider_id })
    });
    items.collect()
}

/// The order that has the seat of this label on a trip now.
///
/// # Errors
/// The database's.
pub async fn of_seat(pool: &PgPool, trip: TripId, label: &str) -> Result<Option<OrderId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "select s.order_id from trip t
         left join model_seat m on m.model_id = t.model_id and m.label = $2
         join seat s on s.trip_id = t.id and s.seat = case when t.model_id is null then $3 else m.number end
         where t.id = $1",
        trip.0,
        label,
        seat_number(label)
    )
    .fetch_optional(pool)
    .await?;
    Ok(id.flatten().map(OrderId))
}

/// What cancelling a trip would end.
#[derive(Clone, Copy, Debug)]
pub struct AtStake {
    /// Orders that have seats of it.
    pub orders: i64,
    /// Their riders.
    pub riders: i64,
    /// What they have paid.
    pub paid: rust_decimal::Decimal,
}

/// What cancelling a trip would end: through its seats, which every live order has.
///
/// # Errors
/// The database's.
pub async fn at_stake(pool: &PgPool, trip: TripId) -> Result<AtStake, sqlx::Error> {
    sqlx::query_as!(
        AtStake,
        r#"select count(*) as "orders!", count(distinct o.rider_id) as "riders!",
                  coalesce(sum(o.amount) filter (where o.status = 'paid'), 0) as "paid!"
           from (select distinct order_id from seat where trip_id = $1 and order_id is not null) s
           join orders o on o.id = s.order_id"#,
        trip.0
    )
    .fetch_one(pool)
    .await
}
