//! Prices in a request: one for all classes of a trip, or some by class.

use super::prices::ClassPrices;
use crate::{
    domain::{FieldError, Money},
    network::bounds::SEATS_OF_MODEL,
};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// The highest price of a seat, minor units: what the column holds.
const MAX_PRICE_MINOR: i64 = 999_999_999_999;
/// Most classes that a request prices: as many as a model has seats.
const MAX_CLASSES: usize = *SEATS_OF_MODEL.end();

/// What a request says of prices.
#[derive(Clone, Copy)]
pub(super) struct GivenPrices<'a> {
    /// Of the classes that `by_class` does not name.
    pub(super) price: Option<Money>,
    pub(super) by_class: Option<&'a BTreeMap<String, Money>>,
}

impl GivenPrices<'_> {
    /// Checks what needs no trip.
    ///
    /// # Errors
    /// The price at fault with the rule that it breaks.
    pub(super) fn check(self) -> Result<(), FieldError> {
        if self.by_class.is_some_and(|prices| prices.len() > MAX_CLASSES) {
            return Err(FieldError::new("/prices", format!("at most {MAX_CLASSES} classes")));
        }
        let others = self.by_class.into_iter().flatten();
        let others = others.map(|(class, price)| (pointer(class), *price));
        for (pointer, price) in self.price.map(|price| ("/price".to_owned(), price)).into_iter().chain(others)
        {
            if !price.is_positive() {
                return Err(FieldError::new(pointer, "an amount above zero"));
            }
            let max_price = Money::of_minor(MAX_PRICE_MINOR);
            if price > max_price {
                return Err(FieldError::new(pointer, format!("at most {max_price}")));
            }
        }
        Ok(())
    }

    /// The prices of all classes that a model sells; of one that the request leaves out it is `kept`.
    ///
    /// # Errors
    /// A class that the model does not sell; one without any price.
    pub(super) fn of_classes(
        self,
        classes: &BTreeSet<&str>,
        kept: impl Fn(&str) -> Option<Decimal>,
    ) -> Result<ClassPrices, FieldError> {
        let mut given = self.by_class.into_iter().flat_map(BTreeMap::keys);
        if let Some(class) = given.find(|class| !classes.contains(class.as_str())) {
            let sold: Vec<&str> = classes.iter().copied().collect();
            let rule = format!("classes that the bus's model sells: {}", sold.join(", "));
            return Err(FieldError::new(pointer(class), rule));
        }
        let price = |class: &str| {
            let given = self.by_class.and_then(|prices| prices.get(class)).copied().or(self.price);
            given.map(Money::decimal).or_else(|| kept(class))
        };
        let missing: Vec<&str> = classes.iter().copied().filter(|class| price(class).is_none()).collect();
        if !missing.is_empty() {
            let rule = format!("the trip has no price yet of these classes: {}", missing.join(", "));
            return Err(FieldError::new("/prices", rule));
        }
        Ok(classes.iter().filter_map(|class| Some(((*class).to_owned(), price(class)?))).collect())
    }
}

/// The JSON pointer (RFC 6901) of a class's price.
fn pointer(class: &str) -> String {
    format!("/prices/{}", class.replace('~', "~0").replace('/', "~1"))
}
