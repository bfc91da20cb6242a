//! The seats of versions of bus models.

use crate::network::{STANDARD, Seat};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};

/// What riders have of a seat: its number, label and class, and whether it is for sale.
pub(super) type SeatKey = (i32, String, String, bool);

/// What riders have of this seat.
pub(super) fn key(seat: &Seat<'_>) -> SeatKey {
    (seat.number.into(), seat.label.to_owned(), seat.class.to_owned(), seat.is_for_sale)
}

/// The seats of the models that trips have, by the version.
pub(super) struct Versions(HashMap<i64, Vec<SeatKey>>);

impl Versions {
    /// Reads these versions.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn read(
        conn: &mut PgConnection,
        ids: impl Iterator<Item = i64>,
    ) -> Result<Self, sqlx::Error> {
        let ids: BTreeSet<i64> = ids.collect();
        let rows = sqlx::query!(
            "select model_id, number, label, class, for_sale from model_seat where model_id = any($1)
             order by model_id, number",
            &ids.into_iter().collect::<Vec<_>>()
        )
        .fetch_all(conn)
        .await?;
        let mut versions: HashMap<i64, Vec<SeatKey>> = HashMap::new();
        for row in rows {
            versions.entry(row.model_id).or_default().push((row.number, row.label, row.class, row.for_sale));
        }
        Ok(Self(versions))
    }

    /// The seats of a version.
    pub(super) fn seats(&self, version: i64) -> &[SeatKey] {
        self.0.get(&version).map(Vec::as_slice).unwrap_or_default()
    }

    /// The classes that a version sells; a trip without a model sells seats of one.
    pub(super) fn classes(&self, version: Option<i64>) -> BTreeSet<&str> {
        let Some(version) = version else { return BTreeSet::from([STANDARD]) };
        let sold = self.seats(version).iter().filter(|(.., is_for_sale)| *is_for_sale);
        sold.map(|(_, _, class, _)| class.as_str()).collect()
    }
}

/// Whether the seats of a trip are these. One without a model has seats 1 to its capacity, labelled so.
pub(super) fn are_kept(trip: Result<&[SeatKey], i32>, seats: &[SeatKey]) -> bool {
    let is_plain = |(number, label, _, is_for_sale): &SeatKey| *is_for_sale && *label == number.to_string();
    match trip {
        Ok(before) => before == seats,
        Err(capacity) => i32::try_from(seats.len()) == Ok(capacity) && seats.iter().all(is_plain),
    }
}
