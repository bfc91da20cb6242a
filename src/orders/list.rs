//! The lists of orders a rider sees, newest first, in pages.

use super::{OrderRow, OrderView};
use crate::domain::{OrderId, RiderId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// Which of a rider's orders. But for `All`, each order is on exactly one list at a time: the view `order_listed` says on
/// which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// Every one.
    #[default]
    All,
    /// Neither paid nor closed.
    Unpaid,
    /// Paid, not departed.
    Upcoming,
    /// Paid, departed, not evaluated.
    ToEvaluate,
    /// Paid, departed, evaluated.
    Evaluated,
    /// Closed, refunded, or about to be: refunding, and paid for a trip that was cancelled.
    Closed,
}

impl List {
    /// Its name in `order_listed`; `None` for all.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Unpaid => Some("unpaid"),
            Self::Upcoming => Some("upcoming"),
            Self::ToEvaluate => Some("to_evaluate"),
            Self::Evaluated => Some("evaluated"),
            Self::Closed => Some("closed"),
        }
    }
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
    let rows = sqlx::query_as!(
        OrderRow,
        r#"select id as "id!", trip_id as "trip_id!", seats as "seats!", unit_price as "unit_price!",
                  amount as "amount!", status as "status!", created_at as "created_at!",
                  expires_at as "expires_at!", paid_at, closed_reason
           from order_listed
           where rider_id = $1 and ($2::text is null or list = $2) and ($3::uuid is null or id < $3)
           order by id desc limit $4"#,
        rider.0,
        list.name(),
        after.map(|o| o.0),
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
