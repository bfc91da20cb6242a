//! The pure part: ids, money, seats, texts, moments, order states, refusals. No I/O.
//!
//! What comes in is parsed by these types and by nothing else, whichever way it comes: as JSON, a form, a query string, a
//! path, a header or an option of the command line. Each bounds its values far within what the database holds.

pub mod csv;
mod error;
pub mod json;
mod money;
mod order;
mod page;
mod payment;
mod reference;
mod refusal;
mod seats;
mod text;
mod time;

pub use error::{BoxError, Error};
pub use farebox_jobs::ids::{Id, OrderId, PaymentId, RiderId, TripId};
pub use money::Money;
pub use order::{CloseReason, OrderStatus};
pub use page::Page;
pub use payment::PaymentState;
pub use reference::Reference;
pub use refusal::{FieldError, Refusal};
pub use seats::{SeatSet, place_of};
pub use text::{Comment, Email, Label, NickName, Password, PayPassword, Phone, Reason, UserName};
pub use time::{Day, Instant};
