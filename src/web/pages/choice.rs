//! The seats that a rider has chosen, in an address, so that they wait while the rider signs in.

use crate::web::api::{Api, Refused};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;
use uuid::Uuid;

/// The path of trips.
const TRIPS: &str = "/ride/trips/";
/// Most seats that are read of an address: more than an order may have.
const MAX_SEATS: usize = 50;

/// Seats of a trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) trip: Uuid,
    pub(super) seats: Vec<String>,
    /// The key of the form that was sent to hold them, if one was.
    pub(super) key: Option<String>,
}

impl Choice {
    /// The seats and the key of a query string.
    pub(super) fn of_query(query: &str) -> Self {
        let mut choice = Self { trip: Uuid::nil(), seats: Vec::new(), key: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "seats" => {
                    let seats = value.split(',').filter(|seat| !seat.is_empty()).take(MAX_SEATS);
                    choice.seats.extend(seats.map(str::to_owned));
                }
                "hold" => choice.key = Some(value.into_owned()),
                _ => {}
            }
        }
        choice
    }

    /// The choice that this address of a trip's page holds, if it is one.
    pub(super) fn of_address(address: &str) -> Option<Self> {
        let (trip, query) = address.strip_prefix(TRIPS)?.split_once('?')?;
        let choice = Self { trip: trip.parse().ok()?, ..Self::of_query(query) };
        Some(choice).filter(|choice| !choice.seats.is_empty())
    }

    /// The address of the trip's page with this choice.
    pub(super) fn address(&self) -> String {
        let mut pairs = vec![("seats", self.seats.join(","))];
        pairs.extend(self.key.clone().map(|key| ("hold", key)));
        format!("{TRIPS}{}?{}", self.trip, serde_urlencoded::to_string(pairs).unwrap_or_default())
    }

    /// The same, not to be held without another tap.
    pub(super) fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    /// Books the seats under the form's key, and leads to the order.
    pub(super) async fn hold(&self, api: &Api) -> Result<Response, Refused> {
        let body = json!({ "trip_id": self.trip, "seats": self.seats });
        let answer = api.post("/v1/orders", self.key.as_deref().unwrap_or_default(), &body).await?;
        let order = answer.body["id"].as_str().unwrap_or_default();
        Ok(answer.acknowledged_by(Redirect::to(&format!("/ride/orders/{order}")).into_response()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_survives_its_address() {
        let choice = Choice {
            trip: Uuid::from_u128(7),
            seats: vec!["1A".to_owned(), "12".to_owned()],
            key: Some("a key & more".to_owned()),
        };
        for choice in [choice.clone(), choice.without_key()] {
            assert_eq!(Choice::of_address(&choice.address()), Some(choice));
        }
        let no_seat = format!("{TRIPS}{}?seats", Uuid::nil());
        for none in ["/ride", "/ride/trips/7?seats=1", "/ride/orders/7", &no_seat] {
            assert_eq!(Choice::of_address(none), None, "{none}");
        }
    }
}
