//! Accounts, sessions, wallets.

mod accounts;
mod sessions;
pub mod wallet;

pub use accounts::{NewRider, Rider, Role, find, register, sign_in};
pub use sessions::{Caller, Session, Sessions};
