//! What an id, a user name or an e-mail address belongs to.

use crate::domain::RiderId;
use sqlx::PgPool;
use uuid::Uuid;

/// Where something is to be seen: the console's room and the id there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `orders`, `trips`, `riders`, `jobs` or `bulk`.
    pub room: String,
    /// The id.
    pub id: Uuid,
}

/// The thing of this id. A payment is seen on its order's page, and so is an order that never came to be.
///
/// # Errors
/// The database's.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Place>, sqlx::Error> {
    sqlx::query_as!(
        Place,
        r#"select room as "room!", id as "id!" from (
               select 1 as nr, 'orders' as room, id from orders where id = $1
               union all select 2, 'orders', order_id from payment where id = $1
               union all select 3, 'trips', id from trip where id = $1
               union all select 4, 'riders', id from rider where id = $1
               union all select 5, 'jobs', id from queue.any_job where id = $1
               union all select 6, 'bulk', id from bulk where id = $1
               union all select 7, 'orders', subject from barrier where subject = $1
           ) found order by nr limit 1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// The rider of this user name, or whose e-mail address this is.
///
/// # Errors
/// The database's.
pub async fn rider(pool: &PgPool, text: &str) -> Result<Option<RiderId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        r#"select id as "id!" from (
               select id from rider where lower(user_name) = lower($1)
               union all select id from rider where lower(email) = lower($1)
           ) found limit 1"#,
        text
    )
    .fetch_optional(pool)
    .await?;
    Ok(id.map(RiderId))
}
