//! What the seats of a trip cost: all the same, or by class.

use crate::{domain::Money, network::STANDARD};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// The price of each class for sale, as `trip.class_prices` has them: amounts are texts there, so
/// that no reader rounds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub(super) struct ClassPrices(BTreeMap<String, Decimal>);

/// What a seat of a class costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClassPrice {
    /// The class; `standard` on a trip of one price.
    pub class: String,
    /// The price of one seat.
    pub price: Money,
}

impl ClassPrices {
    /// The lowest of these prices, and all of them if they differ; `None` of none.
    pub(super) fn lowest(self) -> Option<(Decimal, Option<Self>)> {
        let lowest = self.0.values().copied().min()?;
        let differ = self.0.values().any(|price| *price != lowest);
        Some((lowest, differ.then_some(self)))
    }

    /// What the database holds.
    pub(super) fn to_json(&self) -> Value {
        self.0.iter().map(|(class, price)| (class.clone(), Value::from(format!("{price:.2}")))).collect()
    }

    /// The price of a class.
    pub(super) fn of(&self, class: &str) -> Option<Money> {
        self.0.get(class).copied().map(Money::from_database)
    }
}

impl FromIterator<(String, Decimal)> for ClassPrices {
    fn from_iter<T: IntoIterator<Item = (String, Decimal)>>(prices: T) -> Self {
        Self(prices.into_iter().collect())
    }
}

impl TryFrom<BTreeMap<String, String>> for ClassPrices {
    type Error = rust_decimal::Error;

    fn try_from(texts: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        let price = |(class, text): (String, String)| Ok((class, Decimal::from_str_exact(&text)?));
        texts.into_iter().map(price).collect()
    }
}

impl fmt::Display for ClassPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prices: Vec<String> =
            self.0.iter().map(|(class, price)| format!("{class} {}", Money::from_database(*price))).collect();
        f.write_str(&prices.join(", "))
    }
}

/// The prices of a trip, as answers list them, by class.
pub(super) fn listed(price: Decimal, by_class: Option<&ClassPrices>) -> Vec<ClassPrice> {
    let of = |class: &str, price: Decimal| ClassPrice {
        class: class.to_owned(),
        price: Money::from_database(price),
    };
    match by_class {
        Some(prices) => prices.0.iter().map(|(class, price)| of(class, *price)).collect(),
        None => vec![of(STANDARD, price)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_prices_are_one_price() {
        let of = |standard: &str, business: &str| -> ClassPrices {
            let price = |text: &str| Decimal::from_str_exact(text).expect("a price");
            let prices = [("standard", standard), ("business", business)];
            prices.map(|(class, text)| (class.to_owned(), price(text))).into_iter().collect()
        };
        assert_eq!(of("4.00", "4").lowest(), Some((Decimal::new(4, 0), None)));
        let prices = of("4.00", "9.50");
        assert_eq!(prices.clone().lowest(), Some((Decimal::new(4, 0), Some(prices.clone()))));
        let json = prices.to_json();
        assert_eq!(json.to_string(), r#"{"business":"9.50","standard":"4.00"}"#);
        assert_eq!(serde_json::from_value::<ClassPrices>(json).expect("prices"), prices);
        assert_eq!(prices.to_string(), "business 9.50, standard 4.00");
        assert_eq!(listed(Decimal::new(4, 0), None)[0].class, "standard");
        assert_eq!(ClassPrices::default().lowest(), None);
    }
}
