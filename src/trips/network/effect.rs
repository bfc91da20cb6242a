//! What becomes of one trip, by an import or by an operator's change of this trip alone.

use super::sold::{Lost, Sold};
use crate::{domain::Money, trips::prices::ClassPrices};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::types::Json;
use uuid::Uuid;

/// What becomes of a trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The departure does not run then any more.
    Ends,
    /// It gets another time, bus, stops or seats.
    Changes,
    /// A network had ended it, and it runs after all.
    Returns,
    /// Only the price of what is not sold yet changes.
    Price,
    /// Nothing that a rider sees changes.
    Adopted,
    /// An extra trip that stays as it is, and whose bus ends or gets other seats.
    Stays,
}

impl Kind {
    /// The word of the kinds that touch riders, as it is stored.
    pub(super) fn stored(self) -> &'static str {
        if self == Self::Ends { "ends" } else { "changes" }
    }
}

/// A trip as it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// `None` for a trip that stays without a route.
    pub(super) route: Option<String>,
    pub(super) direction: i16,
    pub(super) bus: i32,
    /// The code of its model in use; `None` for a trip that stays without one.
    pub(super) model: Option<String>,
    pub(super) seats: i32,
    pub(super) departs_at: DateTime<Utc>,
    pub(super) arrives_at: DateTime<Utc>,
    /// The lowest price of its seats.
    pub(super) price: Decimal,
    /// The price of each class for sale, if they differ.
    pub(super) class_prices: Option<ClassPrices>,
    /// Whether the bus is one that an operator gave it.
    pub(super) own_bus: bool,
    /// Whether the prices are those that an operator gave it.
    pub(super) own_price: bool,
}

/// A trip that changes.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The trip.
    pub trip: Uuid,
    /// Its departure; `None` for an extra trip.
    pub code: Option<String>,
    /// Its service day; `None` for an extra trip.
    pub day: Option<NaiveDate>,
    /// What becomes of it.
    pub kind: Kind,
    /// What changes for riders, each in words.
    pub what: Vec<String>,
    /// The prices of before and after, in words, if they differ. They are for what is not sold yet.
    pub price: Option<String>,
    /// Its seats, their riders and the money that they paid.
    pub sold: Sold,
    /// The orders with a seat that has no place in the new model. They end.
    pub lost: Vec<Lost>,
    /// Whether its seats become those of another model.
    pub changes_seats: bool,
    pub(super) expected: Option<Expected>,
}

impl Effect {
    /// An effect without what changes and its riders.
    pub(super) fn of(trip: &Made, kind: Kind, expected: Option<Expected>) -> Self {
        Self {
            trip: trip.id,
            code: trip.code.clone(),
            day: trip.day,
            kind,
            what: Vec::new(),
            price: None,
            sold: Sold::default(),
            lost: Vec::new(),
            changes_seats: false,
            expected,
        }
    }

    /// Whether it changes what a rider has bought or is about to buy.
    pub fn touches_riders(&self) -> bool {
        matches!(self.kind, Kind::Ends | Kind::Changes) && self.sold.seats + self.sold.held > 0
    }

    /// What becomes of the trip, for its riders to read.
    pub fn in_words(&self) -> String {
        if self.kind == Kind::Ends {
            return "the departure does not run".to_owned();
        }
        self.what.join(", ")
    }

    /// The trip for operators, by its departure and day or as an extra trip.
    pub fn name(&self) -> String {
        named(self.trip, self.code.as_deref(), self.day)
    }

    /// All that changes, each in words, the price at last.
    pub fn changes(&self) -> impl Iterator<Item = &str> {
        self.what.iter().chain(&self.price).map(String::as_str)
    }

    /// Whether riders move to other seats: their trip keeps its model until they have.
    pub fn moves_riders(&self) -> bool {
        self.changes_seats && self.kind == Kind::Changes && self.touches_riders()
    }
}

/// A trip for operators: by its departure and day, or an extra trip by its id.
pub(super) fn named(trip: Uuid, code: Option<&str>, day: Option<NaiveDate>) -> String {
    match (code, day) {
        (Some(code), Some(day)) => format!("{code} on {day}"),
        _ => format!("the extra trip {trip}"),
    }
}

/// A trip that is made, as it is.
pub(super) struct Made {
    pub(super) id: Uuid,
    /// Its departure and service day; `None` for an extra trip.
    pub(super) code: Option<String>,
    pub(super) day: Option<NaiveDate>,
    pub(super) departs_at: DateTime<Utc>,
    pub(super) arrives_at: DateTime<Utc>,
    pub(super) bus: i32,
    pub(super) direction: i16,
    pub(super) price: Decimal,
    pub(super) class_prices: Option<Json<ClassPrices>>,
    pub(super) capacity: i32,
    pub(super) route: Option<String>,
    /// The version of its model.
    pub(super) model: Option<i64>,
    /// Whether this version is the one in use.
    pub(super) is_current: bool,
    pub(super) is_withdrawn: bool,
    pub(super) own_bus: bool,
    pub(super) own_price: bool,
}

impl Made {
    /// What its seats cost by class, if they differ.
    pub(super) fn by_class(&self) -> Option<&ClassPrices> {
        self.class_prices.as_ref().map(|prices| &prices.0)
    }

    /// The prices of the trip and those that it gets, in words, if they differ.
    pub(super) fn other_price(&self, expected: &Expected) -> Option<String> {
        let (before, after) =
            ((self.price, self.by_class()), (expected.price, expected.class_prices.as_ref()));
        let words = |(price, by_class): (Decimal, Option<&ClassPrices>)| {
            by_class.map_or_else(|| Money::from_database(price).to_string(), ToString::to_string)
        };
        (before != after).then(|| format!("price {} to {}", words(before), words(after)))
    }

    /// What a rider would see of the change, but for the price.
    pub(super) fn changes(
        &self,
        expected: &Expected,
        has_other_stops: bool,
        changes_seats: bool,
    ) -> Vec<String> {
        let mut what = Vec::new();
        let times = |from: DateTime<Utc>, to: DateTime<Utc>| {
            format!("{} to {}", from.format("%F %H:%MZ"), to.format("%F %H:%MZ"))
        };
        if self.departs_at != expected.departs_at {
            what.push(format!("departs {}", times(self.departs_at, expected.departs_at)));
        }
        if self.arrives_at != expected.arrives_at {
            what.push(format!("arrives {}", times(self.arrives_at, expected.arrives_at)));
        }
        if self.bus != expected.bus {
            what.push(format!("bus {} to {}", self.bus, expected.bus));
        }
        let is_same_way = !has_other_stops
            && (self.route.is_none() || self.route == expected.route)
            && self.direction == expected.direction;
        if !is_same_way {
            what.push("other stops".to_owned());
        }
        if changes_seats && let Some(model) = &expected.model {
            what.push(format!("other seats, of {model}"));
        }
        what
    }
}
