//! The pure part: ids, money, seats, order states, refusals. No I/O.

mod money;
mod order;
mod reference;
mod refusal;
mod seats;

pub use farebox_jobs::ids::{OrderId, PaymentId, RiderId, TripId};
pub use money::Money;
pub use order::{CloseReason, OrderStatus};
pub use reference::Reference;
pub use refusal::{FieldError, Refusal};
pub use seats::{SeatSet, place_of};
