//! Values without I/O: ids, money, seats, texts, times, states, refusals.
//!
//! Input is parsed by these types alone, whether it comes as JSON, a form, a query string, a path,
//! a header or an option of the command line. Each type bounds its values well within the range of
//! the database.

pub mod csv;
mod currency;
mod effects;
mod error;
mod job_state;
pub mod json;
mod localized;
mod money;
mod network;
mod order;
mod page;
mod payment_state;
mod reference;
mod refusal;
mod seats;
mod text;
mod text_rules;
mod time;
pub mod wall;
pub mod words;

pub use currency::{Currency, MAX_MINOR};
pub use effects::{Effects, UndoFacts};
pub use error::{BoxError, Error};
pub use farebox_jobs::ids::{Id, OrderId, PaymentId, RiderId, TripId};
pub use job_state::JobState;
pub use localized::Localized;
pub use money::{Money, SignedMoney};
pub use network::network;
pub use order::{CloseReason, OrderStatus, RefundRules};
pub use page::Page;
pub use payment_state::PaymentState;
pub use reference::Reference;
pub use refusal::{FieldError, Refusal};
pub use seats::{MAX_SEAT_LABEL, SeatSet, fault_of_label, list_seats, place_of, seat_number};
pub use text::{
    Comment, Email, Label, MAX_REASON, MAX_RIDER_MESSAGE, NewUserName, NickName, Password, PayPassword,
    Phone, Reason, RiderMessage, UserName, WebhookName,
};
pub use text_rules::fault_of_name;
pub use time::{Day, Instant};
