//! Who rides: the manifest of a trip, as JSON and as CSV.

use crate::domain::{OrderId, RiderId, TripId};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

/// The manifest of a trip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Manifest {
    /// The trip.
    pub trip_id: TripId,
    /// Each seat that an order holds, ascending.
    pub seats: Vec<Line>,
}

/// Who has a seat.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Line {
    /// Its label.
    pub seat: String,
    /// The order that holds it.
    pub order_id: OrderId,
    /// Whose order.
    pub rider_id: RiderId,
    /// His name.
    pub user_name: String,
    /// Where the order stands.
    pub status: String,
    /// Whether its rider has paid and not been given the money back.
    pub paid: bool,
}

/// The manifest, if there is such a trip. A seat whose booking is still under way is not in it yet.
///
/// # Errors
/// The database's.
pub async fn of(pool: &PgPool, trip: TripId) -> Result<Option<Manifest>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select s.seat as "seat?", s.order_id, o.rider_id as "rider_id?", r.user_name as "user_name?", o.status as "status?"
           from trip t
           left join (seat s join orders o on o.id = s.order_id join rider r on r.id = o.rider_id) on s.trip_id = t.id
           where t.id = $1 order by s.seat"#,
        trip.0
    )
    .fetch_all(pool)
    .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let line = |(seat, order, rider, user_name, status): (i32, Uuid, Uuid, String, String)| Line {
        seat: seat.to_string(),
        order_id: OrderId(order),
        rider_id: RiderId(rider),
        user_name,
        paid: status == "paid",
        status,
    };
    // A trip nobody rides with is one row without a seat.
    let whole =
        rows.into_iter().filter_map(|r| Some((r.seat?, r.order_id?, r.rider_id?, r.user_name?, r.status?)));
    Ok(Some(Manifest { trip_id: trip, seats: whole.map(line).collect() }))
}

impl Manifest {
    /// The lines as CSV (RFC 4180) with a header, even if there are none.
    ///
    /// # Errors
    /// None that memory allows.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::WriterBuilder::new()
            .has_headers(false)
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        writer.write_record(["seat", "order_id", "rider_id", "user_name", "status", "paid"])?;
        for line in &self.seats {
            writer.serialize(line)?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_would_break_it() {
        let nil = Uuid::nil();
        let line = Line {
            seat: "1".to_owned(),
            order_id: OrderId(nil),
            rider_id: RiderId(nil),
            user_name: "a, \"b\"\nc".to_owned(),
            status: "paid".to_owned(),
            paid: true,
        };
        let text = Manifest { trip_id: TripId(nil), seats: vec![line] }.csv().expect("memory");
        let expected = format!(
            "seat,order_id,rider_id,user_name,status,paid\r\n1,{nil},{nil},\"a, \"\"b\"\"\nc\",paid,true\r\n"
        );
        assert_eq!(String::from_utf8(text).expect("text"), expected);
    }
}
