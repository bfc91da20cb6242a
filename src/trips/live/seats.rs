//! What a stream of live seats knows and sends: a trip's seats at a moment, and the events between two.

use crate::trips::{layouts::ModelLayout, seat_map};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The states of a trip's seats: a letter for each, from seat 1 on.
#[derive(Debug)]
pub(super) struct Seats {
    letters: String,
    pub(super) id: String,
    /// The version of the bus's model, which has the labels.
    pub(super) model: Option<(i64, Arc<ModelLayout>)>,
    /// That the trip is cancelled, if it is.
    pub(super) cancelled: Option<TripCancelled>,
    /// How a stream gets here that knows the state before.
    pub(super) step: Option<Step>,
}

/// From one published state of a trip to the next.
#[derive(Debug)]
pub(super) struct Step {
    /// The id of the state before.
    pub(super) from: String,
    /// None if no seat has changed.
    pub(super) event: Option<SeatEvent>,
}

/// The content of the event `cancelled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TripCancelled {
    /// When it was cancelled.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub cancelled_at: DateTime<Utc>,
    /// What its operator says to riders; null if nothing.
    pub message: Option<String>,
}

/// A seat's public state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "LiveSeat")]
pub struct SeatState {
    /// Its label.
    pub seat: String,
    /// What it is.
    #[schemars(with = "crate::domain::words::PublicSeatState")]
    pub state: &'static str,
}

/// One event of a stream, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatEvent {
    /// Names the state after the event. None of an event after which seats may follow that belong to it.
    pub id: Option<String>,
    /// What kind of event it is.
    pub name: &'static str,
    /// JSON in one line.
    pub data: Arc<str>,
}

/// The content of an event.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Delta {
    /// Every seat.
    Seats(Vec<SeatState>),
    /// The seats that have changed.
    Changed(Vec<SeatState>),
    /// The trip is cancelled. Its seats go on changing: they are blocked.
    #[serde(untagged)]
    Cancelled(TripCancelled),
}

impl SeatEvent {
    pub(super) fn new(id: Option<&str>, delta: &Delta) -> serde_json::Result<Self> {
        let name = match delta {
            Delta::Seats(_) => "snapshot",
            Delta::Changed(_) => "seats",
            Delta::Cancelled(_) => "cancelled",
        };
        Ok(Self { id: id.map(str::to_owned), name, data: serde_json::to_string(delta)?.into() })
    }
}

impl Seats {
    pub(super) fn new(
        letters: String,
        model: Option<(i64, Arc<ModelLayout>)>,
        cancelled: Option<TripCancelled>,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(&letters);
        if let Some((model, _)) = &model {
            hash.update(model.to_be_bytes());
        }
        if cancelled.is_some() {
            hash.update("cancelled");
        }
        let id = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { letters, id, model, cancelled, step: None }
    }

    /// Whether both are of one model: an import may give a trip another.
    pub(super) fn has_seats_of(&self, other: &Self) -> bool {
        let model = |seats: &Self| seats.model.as_ref().map(|(model, _)| *model);
        model(self) == model(other)
    }

    /// None if their seats are of different models: then streams get a snapshot.
    pub(super) fn step_from(&self, before: &Self) -> Option<Step> {
        let event = self.has_seats_of(before).then(|| self.event_since(before))?;
        Some(Step { from: before.id.clone(), event: event.ok()? })
    }

    /// None if no seat has changed.
    pub(super) fn event_since(&self, before: &Self) -> serde_json::Result<Option<SeatEvent>> {
        let changed = self.changed_since(before);
        if changed.is_empty() {
            return Ok(None);
        }
        SeatEvent::new(Some(&self.id), &Delta::Changed(changed)).map(Some)
    }

    pub(super) fn all(&self) -> Vec<SeatState> {
        (1_usize..).zip(self.letters.bytes()).map(|(seat, letter)| self.state(seat, letter)).collect()
    }

    fn changed_since(&self, before: &Self) -> Vec<SeatState> {
        let both = self.letters.bytes().zip(before.letters.bytes());
        let changed = (1_usize..).zip(both).filter(|(_, (now, then))| now != then);
        changed.map(|(seat, (now, _))| self.state(seat, now)).collect()
    }

    fn state(&self, seat: usize, letter: u8) -> SeatState {
        let painted = self.model.as_ref().and_then(|(_, model)| model.seats.get(seat - 1));
        let label = painted.map_or_else(|| seat.to_string(), |seat| seat.label.to_string());
        SeatState { seat: label, state: seat_map::state(letter) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_a_state_and_a_change_names_its_seats() {
        let (then, now) =
            (Seats::new("ffhs".to_owned(), None, None), Seats::new("fhfb".to_owned(), None, None));
        assert_ne!(then.id, now.id);
        assert_eq!(now.id, Seats::new("fhfb".to_owned(), None, None).id, "the same on every replica");
        let cancelled = TripCancelled { cancelled_at: DateTime::UNIX_EPOCH, message: None };
        assert_ne!(now.id, Seats::new("fhfb".to_owned(), None, Some(cancelled)).id);
        let changed: Vec<_> = now.changed_since(&then).into_iter().map(|s| (s.seat, s.state)).collect();
        let expected = [("2", "held"), ("3", "free"), ("4", "blocked")];
        assert_eq!(changed, expected.map(|(seat, state)| (seat.to_owned(), state)));
        assert_eq!(then.all().last().map(|s| s.state), Some("sold"));
    }
}
