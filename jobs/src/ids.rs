//! Typed ids. All are UUIDv7, so they sort by the time they were made.

use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Length of an id's text: groups of 8, 4, 4, 4 and 12 digits with hyphens between.
const LENGTH: usize = 36;

/// The text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hexadecimal digits in groups, like 0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511")]
pub struct NotAnId;

/// One id has one text, but for the case of its letters: no braces, no `urn:uuid:`, no digits without
/// hyphens.
fn parse(text: &str) -> Result<Uuid, NotAnId> {
    if text.len() == LENGTH { Uuid::try_parse(text).map_err(|_| NotAnId) } else { Err(NotAnId) }
}

/// Reads an id's text without a copy of it.
struct Text;

impl serde::de::Visitor<'_> for Text {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Uuid, E> {
        parse(text).map_err(E::custom)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id, later than every one made before it by this process.
            #[allow(clippy::new_without_default, reason = "a default id would be another one each time")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse(text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A rider (or operator) account; also the owner of a wallet.
    RiderId
);
id!(
    /// One departure of one bus.
    TripId
);
id!(
    /// An order; the subject of the booking's barrier rows.
    OrderId
);
id!(
    /// One attempt to pay an order; the subject of the payment's barrier rows.
    PaymentId
);
id!(
    /// An id that comes in, of whatever it is.
    Id
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form() {
        let text = "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511";
        assert_eq!(text.parse::<OrderId>().map(|id| id.to_string()), Ok(text.to_owned()));
        assert_eq!(text.to_uppercase().parse::<Id>(), text.parse());
        let simple = text.replace('-', "");
        for other in
            [simple, format!("{{{text}}}"), format!("urn:uuid:{text}"), format!("{text} "), String::new()]
        {
            assert_eq!(other.parse::<Id>(), Err(NotAnId), "{other}");
            assert!(serde_json::from_value::<Id>(other.into()).is_err());
        }
    }
}
