//! What an import writes down of the trips with riders that it touches, for its job to go through.

use super::effect::{Effect, Expected, Kind};
use crate::{
    domain::{Error, Money, RiderId, TripId},
    trips::{cancel, prices::ClassPrices},
};
use farebox_jobs::{
    NetworkImport,
    queue::{self, Due, NewJob},
};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

impl Effect {
    /// How many orders end: all of a trip that ends, else those with a seat that has no place.
    pub fn orders_ended(&self) -> i64 {
        if self.kind == Kind::Ends {
            return self.sold.orders;
        }
        // A booking under way is no order yet.
        i64::try_from(self.lost.iter().filter(|lost| lost.rider.is_some()).count()).unwrap_or(i64::MAX)
    }

    /// How many orders stay.
    pub fn orders_moved(&self) -> i64 {
        self.sold.orders - self.orders_ended()
    }

    /// What is given back for the orders that end.
    pub fn refunded(&self) -> Money {
        let ends = self.kind == Kind::Ends;
        let lost = || self.lost.iter().map(|lost| lost.money).sum();
        Money::from_database(if ends { self.sold.money } else { lost() })
    }
}

/// Who imports, and why.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The account; none at the command line.
    pub operator: Option<RiderId>,
    /// The user of the operating system, if there is no account.
    pub actor: Option<&'a str>,
    /// Why, 1 to 500 characters.
    pub reason: &'a str,
}

/// What was previewed of a trip, as it is stored. Amounts are as answers have them.
fn previewed(effect: &Effect) -> Value {
    let lost = effect.lost.iter().map(|lost| {
        json!({ "order": lost.order, "seats": lost.seats, "is_paid": lost.is_paid, "money": Money::from_database(lost.money) })
    });
    json!({
        "trip": effect.trip,
        "departure": effect.code,
        "day": effect.day,
        "what": effect.in_words(),
        "sold": effect.sold.seats,
        "held": effect.sold.held,
        "riders": effect.sold.riders,
        "orders": effect.sold.orders,
        "money": Money::from_database(effect.sold.money),
        "without_place": lost.collect::<Vec<_>>(),
    })
}

/// Writes the import down, cancels the trips with riders that end, and enqueues the job that does the
/// rest. An import that touches no riders is finished at once. `only` is the trip that an operator
/// changed alone. Returns its id.
///
/// # Errors
/// The database's.
pub(super) async fn record(
    conn: &mut PgConnection,
    author: &Author<'_>,
    digest: &str,
    effects: &[Effect],
    only: Option<TripId>,
) -> Result<Uuid, sqlx::Error> {
    let touched: Vec<&Effect> = effects.iter().filter(|effect| effect.touches_riders()).collect();
    let import = Uuid::now_v7();
    sqlx::query!(
        "insert into network_import (id, digest, reason, operator, actor, preview, finished_at, trip_id)
         values ($1, $2, $3, $4, $5, $6, case when $7 then now() end, $8)",
        import,
        digest,
        author.reason,
        author.operator.map(|operator| operator.0),
        author.actor,
        touched.iter().map(|effect| previewed(effect)).collect::<Value>(),
        touched.is_empty(),
        only.map(|trip| trip.0)
    )
    .execute(&mut *conn)
    .await?;
    if touched.is_empty() {
        return Ok(import);
    }
    write_trips(&mut *conn, import, &touched).await?;
    let operator = author.operator.unwrap_or(RiderId(Uuid::nil()));
    for effect in touched.iter().filter(|effect| effect.kind == Kind::Ends) {
        let cancelled = cancel::cancel(&mut *conn, TripId(effect.trip), author.reason, None, operator).await;
        cancelled.map_err(of_database)?;
    }
    queue::enqueue(conn, &[NewJob::of(&NetworkImport::new(import))], Due::Now).await?;
    Ok(import)
}

async fn write_trips(conn: &mut PgConnection, import: Uuid, touched: &[&Effect]) -> Result<(), sqlx::Error> {
    let number = |part: fn(&Effect) -> i64| -> Vec<i32> {
        touched.iter().map(|effect| i32::try_from(part(effect)).unwrap_or(i32::MAX)).collect()
    };
    let moves: Vec<Option<&Expected>> =
        touched.iter().map(|effect| effect.expected.as_ref().filter(|_| effect.moves_riders())).collect();
    let models = moves.iter().map(|moves| moves.and_then(|expected| expected.model.clone()));
    let prices = moves.iter().map(|moves| moves.map(|expected| expected.price));
    let class_prices = moves
        .iter()
        .map(|moves| moves.and_then(|expected| expected.class_prices.as_ref()).map(ClassPrices::to_json));
    sqlx::query!(
        "insert into network_import_trip (import_id, trip_id, kind, what, model_id, sold, held, riders, money,
                                          price, class_prices)
         select $1, n.trip_id, n.kind, n.what, m.id, n.sold, n.held, n.riders, n.money,
                n.price, n.class_prices
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $9::numeric[],
                     $10::numeric[], $11::jsonb[])
             as n (trip_id, kind, what, model, sold, held, riders, money, price, class_prices)
         left join bus_model m on m.code = n.model and m.ended_at is null",
        import,
        &touched.iter().map(|effect| effect.trip).collect::<Vec<_>>(),
        &touched.iter().map(|effect| effect.kind.stored().to_owned()).collect::<Vec<_>>(),
        &touched.iter().map(|effect| effect.in_words()).collect::<Vec<_>>(),
        &models.collect::<Vec<_>>() as &[Option<String>],
        &number(|effect| effect.sold.seats),
        &number(|effect| effect.sold.held),
        &number(|effect| effect.sold.riders),
        &touched.iter().map(|effect| effect.sold.money).collect::<Vec<_>>(),
        &prices.collect::<Vec<_>>() as &[Option<Decimal>],
        &class_prices.collect::<Vec<_>>() as &[Option<Value>],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A trip that ends has not departed, and is known: no rule refuses to cancel it.
fn of_database(error: Error) -> sqlx::Error {
    match error {
        Error::Broken(error) => match error.downcast::<sqlx::Error>() {
            Ok(error) => *error,
            Err(other) => sqlx::Error::Protocol(other.to_string()),
        },
        other => sqlx::Error::Protocol(format!("a trip that ends is not cancelled: {other:?}")),
    }
}
