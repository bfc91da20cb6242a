//! The lists of orders a rider sees, newest first, in pages.

use super::{OrderRow, OrderView};
use crate::domain::{OrderId, RiderId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// Which of a rider's orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// Every one.
    #[default]
    All,
    /// Unpaid, in time.
    Unpaid,
    /// Paid, not departed.
    Upcoming,
    /// Paid, departed, not evaluated.
    ToEvaluate,
    /// Closed or refunded.
    Closed,
}

/// A page; `next` is the `after` of the page that follows.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

/// A page of the rider's orders: at most `limit`, older than order `after`.
///
/// # Errors
/// The database's.
pub async fn list(
    pool: &PgPool,
    rider: RiderId,
    list: List,
    after: Option<OrderId>,
    limit: u16,
) -> Result<Page<OrderView>, sqlx::Error> {
    let statuses: &[&str] = match list {
        List::All => &["unpaid", "paying", "paid", "refunding", "refunded", "closed"],
        List::Unpaid => &["unpaid", "paying"],
        List::Upcoming | List::ToEvaluate => &["paid"],
        List::Closed => &["refunding", "refunded", "closed"],
    };
    let departed = match list {
        List::Upcoming => Some(false),
        List::ToEvaluate => Some(true),
        List::All | List::Unpaid | List::Closed => None,
    };
    let rows = sqlx::query_as!(
        OrderRow,
        r#"select o.id as "id!", trip_id as "trip_id!", seats as "seats!", unit_price as "unit_price!",
                  amount as "amount!", o.status as "status!", o.created_at as "created_at!",
                  expires_at as "expires_at!", paid_at, closed_reason
           from order_shown o join trip t on t.id = o.trip_id
           where o.rider_id = $1 and o.status = any($2) and ($3::uuid is null or o.id < $3)
             and ($4::bool is null or (t.departs_at <= now()) = $4)
           order by o.id desc limit $5"#,
        rider.0,
        statuses as &[&str],
        after.map(|o| o.0),
        departed,
        i64::from(limit) + 1
    )
    .fetch_all(pool)
    .await?;
    let more = rows.len() > usize::from(limit);
    let items =
        rows.into_iter().take(limit.into()).map(OrderView::try_from).collect::<Result<Vec<_>, _>>()?;
    let next = items.last().filter(|_| more).map(|order| order.id.to_string());
    Ok(Page { items, next })
}
