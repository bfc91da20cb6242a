//! Extra trips whose bus ends or gets other seats by an import. They stay as they are, and an operator
//! who previews the import reads of them.

use super::{
    effect::{Effect, Kind, Made},
    versions::key,
};
use crate::{network::Network, trips::prices::ClassPrices};
use sqlx::{PgConnection, types::Json};

/// The extra trips ahead whose bus `new` changes.
///
/// # Errors
/// The database's.
pub(super) async fn staying(
    conn: &mut PgConnection,
    old: Option<&Network>,
    new: &Network,
) -> Result<Vec<Effect>, sqlx::Error> {
    let trips = sqlx::query_as!(
        Made,
        r#"select t.id, null as code, t.service_date as day, t.departs_at, t.arrives_at, t.bus_id as bus,
                  t.direction, t.price, t.class_prices as "class_prices: Json<ClassPrices>", t.capacity, t.route,
                  t.model_id as model, coalesce(m.ended_at is null, false) as "is_current!",
                  false as "is_withdrawn!", t.own_bus, t.own_price
           from trip t left join bus_model m on m.id = t.model_id
           where t.departs_at > now() and t.timetable_id is null and t.cancelled_at is null
           order by t.departs_at, t.id"#
    )
    .fetch_all(conn)
    .await?;
    let effect = |trip: &Made| {
        let what = vec![change_of_bus(old, new, trip.bus)?];
        Some(Effect { what, ..Effect::of(trip, Kind::Stays, None) })
    };
    Ok(trips.iter().filter_map(effect).collect())
}

/// What becomes of a bus, if it ends or gets other seats.
fn change_of_bus(old: Option<&Network>, new: &Network, bus: i32) -> Option<String> {
    let number = u32::try_from(bus).ok()?;
    let model = |network: &'_ Network| network.buses.get(&number).map(|bus| bus.model.clone());
    let before = old.map(model);
    if before == Some(None) {
        return None; // It had ended before.
    }
    let Some(after) = model(new) else {
        return Some(format!("stays as it is, and its bus {bus} ends"));
    };
    let seats = |network: &Network, model| {
        let seats = network.models.get(&model).map(|model| model.seats().iter().map(key).collect::<Vec<_>>());
        seats.unwrap_or_default()
    };
    let is_kept =
        old.zip(before.flatten()).is_none_or(|(old, model)| seats(old, model) == seats(new, after.clone()));
    (!is_kept).then(|| format!("keeps its seats, and its bus {bus} gets those of {after}"))
}
