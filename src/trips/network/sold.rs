//! The seats that riders have of the trips which a network changes, and those of them that have no place in
//! the trip's new model.

use super::versions::SeatKey;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Seats of a trip that riders have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sold {
    /// Seats that are paid.
    pub seats: i64,
    /// Seats that are held.
    pub held: i64,
    /// Riders who have one.
    pub riders: i64,
    /// Orders that are unpaid or paid.
    pub orders: i64,
    /// What was paid for the seats.
    pub money: Decimal,
}

/// An order, or a booking under way, with a seat that has no place in the new model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The order.
    pub order: Uuid,
    /// Its rider's user name; none if the order is not added yet.
    pub rider: Option<String>,
    /// The labels of its seats that have no place.
    pub seats: Vec<String>,
    /// Whether it is paid, and so refunded; an unpaid order is closed.
    pub is_paid: bool,
    /// What was paid.
    pub money: Decimal,
}

/// To which seats a trip moves.
pub(super) struct Moving {
    /// The code of the new model.
    pub(super) model: String,
    /// The labels that it sells.
    pub(super) labels: Vec<String>,
}

impl Moving {
    /// To the seats of this model.
    pub(super) fn to(model: &str, seats: &[SeatKey]) -> Self {
        let sold = seats.iter().filter(|(.., is_for_sale)| *is_for_sale);
        Self { model: model.to_owned(), labels: sold.map(|(_, label, ..)| label.clone()).collect() }
    }
}

/// The seats that riders have of these trips. With `lock`, nobody takes or frees one until the
/// transaction ends.
///
/// # Errors
/// The database's.
pub(super) async fn of(
    conn: &mut PgConnection,
    trips: &[Uuid],
    lock: bool,
) -> Result<HashMap<Uuid, Sold>, sqlx::Error> {
    if lock {
        // By (trip, seat) as everywhere, so that two statements never deadlock.
        sqlx::query!("select from seat where trip_id = any($1) order by trip_id, seat for update", trips)
            .execute(&mut *conn)
            .await?;
    }
    let rows = sqlx::query!(
        r#"select s.trip_id, count(*) filter (where s.held_until is null) as "seats!",
                  count(s.held_until) as "held!", count(distinct o.rider_id) as "riders!",
                  count(distinct o.id) filter (where o.status in ('unpaid', 'paid')) as "orders!",
                  coalesce(sum(coalesce(o.unit_price, o.prices[array_position(o.seats, s.seat)]))
                           filter (where s.held_until is null), 0) as "money!"
           from seat s left join orders o on o.id = s.order_id
           where s.trip_id = any($1) and s.order_id is not null
           group by s.trip_id"#,
        trips
    )
    .fetch_all(conn)
    .await?;
    let sold = rows.into_iter().map(|row| {
        let (seats, held, riders, orders) = (row.seats, row.held, row.riders, row.orders);
        (row.trip_id, Sold { seats, held, riders, orders, money: row.money })
    });
    Ok(sold.collect())
}

/// The orders that lose a seat when these trips get the seats of other models.
///
/// # Errors
/// The database's.
pub(super) async fn lost(
    conn: &mut PgConnection,
    trips: &[(Uuid, Moving)],
) -> Result<HashMap<Uuid, Vec<Lost>>, sqlx::Error> {
    let models: BTreeMap<&str, &[String]> =
        trips.iter().map(|(_, moving)| (moving.model.as_str(), moving.labels.as_slice())).collect();
    let labels: Vec<(String, String)> = models
        .iter()
        .flat_map(|(model, labels)| labels.iter().map(|label| ((*model).to_owned(), label.clone())))
        .collect();
    let (with_labels, labels): (Vec<String>, Vec<String>) = labels.into_iter().unzip();
    let rows = sqlx::query!(
        r#"select s.trip_id, s.order_id as "order_id!", r.user_name as "rider?",
                  array_agg(coalesce(was.label, s.seat::text) order by s.seat) as "seats!",
                  coalesce(o.status = 'paid', false) as "is_paid!",
                  case when o.status = 'paid' then o.amount else 0 end as "money!"
           from unnest($1::uuid[], $2::text[]) as n (trip_id, model)
           join trip t on t.id = n.trip_id
           join seat s on s.trip_id = n.trip_id and s.order_id is not null
           left join model_seat was on was.model_id = t.model_id and was.number = s.seat
           left join orders o on o.id = s.order_id
           left join rider r on r.id = o.rider_id
           where not exists (select from unnest($3::text[], $4::text[]) as l (model, label)
                             where l.model = n.model and l.label = coalesce(was.label, s.seat::text))
             -- Its refund has begun: it ends by itself.
             and o.status is distinct from 'refunding'
           group by s.trip_id, s.order_id, r.user_name, o.status, o.amount
           order by s.trip_id, s.order_id"#,
        &trips.iter().map(|(trip, _)| *trip).collect::<Vec<_>>(),
        &trips.iter().map(|(_, moving)| moving.model.clone()).collect::<Vec<_>>(),
        &with_labels,
        &labels,
    )
    .fetch_all(conn)
    .await?;
    let mut lost: HashMap<Uuid, Vec<Lost>> = HashMap::new();
    for row in rows {
        let one = Lost {
            order: row.order_id,
            rider: row.rider,
            seats: row.seats,
            is_paid: row.is_paid,
            money: row.money,
        };
        lost.entry(row.trip_id).or_default().push(one);
    }
    Ok(lost)
}
