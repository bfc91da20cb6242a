//! Accounts and sessions.

mod hash_queue;
pub mod lockout;
pub mod passwords;
pub mod pay_password;
mod peppers;
mod phc;
mod profile;
pub mod secret_check;
pub mod sessions;
mod sign_up;
pub(crate) mod token_keys;
pub mod user_name;

pub use peppers::Peppers;
pub use profile::{ProfileChange, change};
pub use sessions::{Caller, Session, Sessions};
pub use sign_up::{NewRider, Registration, Rider, Role, find, hash_queue_of, register, sign_in};
pub use token_keys::TokenKeys;
