//! Accounts, sessions, wallets.

mod accounts;
pub mod lockout;
mod profile;
pub mod sessions;
pub mod user_name;
pub mod wallet;

pub use accounts::{NewRider, Registration, Rider, Role, find, register, sign_in};
pub use profile::{ProfileChange, change};
pub use sessions::{Caller, Session, Sessions};
