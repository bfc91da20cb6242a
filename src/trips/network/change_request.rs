//! What an operator changes of one trip, and why that is refused.

use super::ImportError;
use crate::{
    domain::{Error, FieldError, Money, Refusal, TripId},
    trips::given_prices::GivenPrices,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an operator changes of a trip.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TripChange {
    /// Another bus. Seats move by label.
    pub bus_id: Option<i32>,
    /// The price of one seat, of the classes that `prices` does not name. Without it they keep theirs.
    pub price: Option<Money>,
    /// The prices of other classes, by class; for a bus with a model.
    pub prices: Option<BTreeMap<String, Money>>,
    /// Whether the trip takes the bus and the fares of its departure again; then the only field.
    pub follow: Option<bool>,
}

/// Why a change of a trip is refused.
#[derive(Debug)]
pub enum ChangeError {
    /// As an import: a stale preview, an import that is not finished.
    Import(ImportError),
    /// The bus is on another trip at that time.
    BusTaken {
        /// The bus.
        bus: i32,
        /// The other trip.
        trip: TripId,
        /// A sentence that names both trips.
        words: String,
    },
    /// Anything else: a field that breaks a rule, a trip that cannot be changed; the database's.
    Other(Error),
}

impl From<ImportError> for ChangeError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Database(error) => error.into(),
            refused => Self::Import(refused),
        }
    }
}

impl From<Error> for ChangeError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<Refusal> for ChangeError {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal.into())
    }
}

impl From<FieldError> for ChangeError {
    fn from(error: FieldError) -> Self {
        Refusal::Invalid(error).into()
    }
}

impl TripChange {
    pub(super) fn given_prices(&self) -> GivenPrices<'_> {
        GivenPrices { price: self.price, by_class: self.prices.as_ref() }
    }

    /// The field of a price, if there is one.
    pub(super) fn priced_by(&self) -> Option<&'static str> {
        if self.price.is_some() {
            return Some("/price");
        }
        self.prices.as_ref().filter(|prices| !prices.is_empty()).map(|_| "/prices")
    }

    /// Checks what needs no trip.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        let changes = self.bus_id.is_some() || self.priced_by().is_some();
        match self.follow {
            Some(true) if changes => Err(FieldError::new("/follow", "no other field beside it")),
            Some(true) => Ok(()),
            _ if changes => self.given_prices().check(),
            _ => Err(FieldError::new("", "one of bus_id, price, prices, follow")),
        }
    }

    /// The error of a change that changes nothing.
    pub(super) fn nothing(&self) -> FieldError {
        if self.follow == Some(true) {
            return FieldError::new(
                "/follow",
                "the trip follows its departure already: nothing would change",
            );
        }
        let field = self.bus_id.map(|_| "/bus_id").or(self.priced_by()).unwrap_or_default();
        FieldError::new(field, "the trip has this bus and these prices already: nothing would change")
    }
}
