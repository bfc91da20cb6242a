//! The seats that labels name.

use crate::domain::{Error, FieldError, Refusal, SeatSet};
use sqlx::PgConnection;

/// A seat that an operator named.
pub(super) struct NamedSeat {
    pub(super) number: i32,
    pub(super) label: String,
    /// Whether its model sells it.
    pub(super) is_for_sale: bool,
}

/// The seats with these labels, of this model or of a trip without one, ascending by number. A trip
/// without a model may lack one of them.
///
/// # Errors
/// A label that the model does not have; the database's.
pub(super) async fn named(
    conn: &mut PgConnection,
    model: Option<i64>,
    seats: &SeatSet,
) -> Result<Vec<NamedSeat>, Error> {
    let mut named: Vec<NamedSeat> = match model {
        Some(model) => {
            sqlx::query_as!(
                NamedSeat,
                "select number, label, for_sale as is_for_sale from model_seat
                 where model_id = $1 and label = any($2)",
                model,
                seats.labels()
            )
            .fetch_all(conn)
            .await?
        }
        None => {
            let numbers = seats.labels().iter().zip(seats.numbers());
            let seat = |(label, number): (&String, Option<i32>)| {
                Some(NamedSeat { number: number?, label: label.clone(), is_for_sale: true })
            };
            numbers.filter_map(seat).collect()
        }
    };
    let labels: Vec<String> = named.iter().map(|seat| seat.label.clone()).collect();
    if let Some(label) = seats.without(&labels).first() {
        return Err(unknown(label));
    }
    named.sort_unstable_by_key(|seat| seat.number);
    Ok(named)
}

/// The refusal of a label that a trip does not have.
pub(super) fn unknown(label: &str) -> Error {
    Refusal::Invalid(FieldError::new("/seats", format!("the trip has no seat {label}"))).into()
}
