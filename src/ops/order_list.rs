//! Finding orders by what is known of them, in any combination.
//!
//! An order is added for every booking, so its table has few indexes. The most selective condition
//! chooses the candidates: what is owed, a trip, a rider. Without one, orders are walked from the
//! newest on, [`WALKED`] at a time, and the page says how far it came.

use super::undos;
use crate::{
    domain::{Error, Money, OrderId, OrderStatus, RiderId, TripId},
    orders::search::{Found, of_ids},
    storage,
    trips::times::Departing,
};
use chrono::{DateTime, Utc};
use farebox_jobs::queue::admin::first_id;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

/// Orders that one page walks at most.
pub const WALKED: i64 = 50_000;
/// Most orders of the trips that choose the candidates.
const MAX_CANDIDATES: i32 = 20_000;
/// Most trips whose orders are looked up by trip; of more trips, orders are walked.
const MAX_TRIPS: usize = 20;

/// Which orders; every given condition must hold.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// In this state.
    pub state: Option<OrderStatus>,
    /// Whose trip departs on a day.
    pub departs: Option<Departing>,
    /// Booked from then on, and before then.
    pub booked: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Of this amount at least.
    pub from: Option<Money>,
    /// Of this amount at most.
    pub to: Option<Money>,
    /// To which something is owed: an undo that is due, failed or dead.
    pub owed: bool,
    /// Of this rider.
    pub rider: Option<RiderId>,
    /// Of this trip.
    pub trip: Option<TripId>,
    /// With the seat of this label.
    pub seat: Option<String>,
    /// Older than this one.
    pub after: Option<OrderId>,
}

/// A page of orders, newest first.
#[derive(Clone, Debug)]
pub struct OrderPage {
    /// The orders.
    pub items: Vec<Found>,
    /// The `after` of the next page, if there is one.
    pub next: Option<OrderId>,
    /// Whether the page ended because [`WALKED`] orders were looked at.
    pub is_cut: bool,
}

/// Where the candidates come from.
enum Source {
    /// These orders.
    Ids(Vec<Uuid>),
    /// All of a rider.
    Rider(Uuid),
    /// All, from the newest on.
    All,
}

/// A page of the orders that fit.
///
/// # Errors
/// The database's.
pub async fn list(pool: &PgPool, filter: &OrderFilter, limit: u16) -> Result<OrderPage, Error> {
    let mut tx = storage::begin_search(pool).await?;
    let conn = &mut *tx;
    let source = filter.source(conn).await?;
    let mut sql = filter.select(&source, i64::from(limit) + 1);
    let mut ids: Vec<Uuid> = sql.build_query_scalar().persistent(false).fetch_all(&mut *conn).await?;
    let is_full = ids.len() > usize::from(limit);
    ids.truncate(limit.into());
    let reached = match (is_full, &source) {
        (true, _) => ids.last().copied(),
        (false, Source::Ids(_)) => None,
        (false, _) => filter.walked_to(conn, &source).await?,
    };
    let items = of_ids(&mut *conn, &ids).await?;
    Ok(OrderPage { items, next: reached.map(OrderId), is_cut: !is_full && reached.is_some() })
}

impl OrderFilter {
    async fn source(&self, conn: &mut PgConnection) -> Result<Source, sqlx::Error> {
        if self.owed {
            return Ok(Source::Ids(undos::orders_owed(conn).await?));
        }
        let mut trips = self.departs.as_ref().map(|day| day.trips.clone());
        if let Some(TripId(trip)) = self.trip {
            let departs = trips.is_none_or(|trips| trips.contains(&trip));
            trips = Some(if departs { vec![trip] } else { Vec::new() });
        }
        Ok(match (self.rider, trips) {
            (Some(RiderId(rider)), _) => Source::Rider(rider),
            (None, Some(trips)) if trips.len() <= MAX_TRIPS => {
                let ids = sqlx::query_scalar!(
                    r#"select id as "id!" from orders_of_trips($1, $2) as found (id)"#,
                    &trips,
                    MAX_CANDIDATES
                )
                .fetch_all(&mut *conn)
                .await?;
                Source::Ids(ids)
            }
            (None, _) => Source::All,
        })
    }

    /// The ids of a page. Candidates are chosen before the other conditions are looked at.
    fn select(&self, source: &Source, most: i64) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new("select o.id from (");
        self.candidates(&mut sql, source, "*");
        sql.push(") as o where true");
        self.conditions(&mut sql);
        sql.push(" order by o.id desc limit ").push(most);
        sql
    }

    fn candidates(&self, sql: &mut QueryBuilder<Postgres>, source: &Source, columns: &str) {
        sql.push("select ").push(columns).push(" from orders where ");
        match source {
            Source::Ids(ids) => sql.push("id = any(").push_bind(ids.clone()).push(")"),
            Source::Rider(rider) => sql.push("rider_id = ").push_bind(*rider),
            Source::All => sql.push("true"),
        };
        for (compared, id) in [
            (" and id >= ", self.booked.map(|(from, _)| first_id(from))),
            (" and id < ", self.booked.map(|(_, to)| first_id(to))),
            // Nobody books a trip that has departed.
            (" and id < ", self.departs.as_ref().map(|day| first_id(day.before))),
            (" and id < ", self.after.map(|order| order.0)),
        ] {
            if let Some(id) = id {
                sql.push(compared).push_bind(id);
            }
        }
        sql.push(" order by id desc");
        if !matches!(source, Source::Ids(_)) {
            sql.push(" limit ").push(WALKED);
        }
    }

    fn conditions(&self, sql: &mut QueryBuilder<Postgres>) {
        const DEBITED: &str =
            "exists (select from payment p where p.order_id = o.id and p.state = 'debited')";
        match self.state {
            Some(OrderStatus::Paying) => {
                sql.push(" and o.status = 'unpaid' and ").push(DEBITED);
            }
            Some(OrderStatus::Unpaid) => {
                sql.push(" and o.status = 'unpaid' and not ").push(DEBITED);
            }
            Some(state) => {
                sql.push(" and o.status = ").push_bind(state.as_str());
            }
            None => {}
        }
        for (compared, amount) in [(" and o.amount >= ", self.from), (" and o.amount <= ", self.to)] {
            if let Some(amount) = amount {
                sql.push(compared).push_bind(amount.decimal());
            }
        }
        if let Some(RiderId(rider)) = self.rider {
            sql.push(" and o.rider_id = ").push_bind(rider);
        }
        if let Some(TripId(trip)) = self.trip {
            sql.push(" and o.trip_id = ").push_bind(trip);
        }
        if let Some(day) = &self.departs {
            sql.push(" and o.trip_id = any(").push_bind(day.trips.clone()).push(")");
        }
        if let Some(seat) = &self.seat {
            sql.push(" and ").push_bind(seat.clone()).push(" = any(coalesce(o.labels, o.seats::text[]))");
        }
    }

    /// The last order that a page walked to, if there are more behind it.
    async fn walked_to(&self, conn: &mut PgConnection, source: &Source) -> Result<Option<Uuid>, sqlx::Error> {
        let mut sql = QueryBuilder::new("select id from (");
        self.candidates(&mut sql, source, "id");
        sql.push(") as walked offset ").push(WALKED - 1);
        sql.build_query_scalar().persistent(false).fetch_optional(conn).await
    }
}
