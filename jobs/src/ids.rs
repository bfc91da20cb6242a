//! Typed ids. All are UUIDv7, so they sort by the time they were made.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id, later than every one made before it by this process.
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
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
    /// An order; the subject of the booking flow's barrier rows.
    OrderId
);
id!(
    /// One try at paying an order; the subject of the paying flow's barrier rows.
    PaymentId
);
