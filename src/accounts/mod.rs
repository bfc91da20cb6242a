//! Accounts and sessions.

mod account_state;
mod caller;
pub mod confirmation;
mod hash_queue;
mod idle;
pub mod lockout;
pub mod own_sessions;
pub mod password_change;
pub mod password_reset;
pub mod passwords;
pub mod pay_password;
mod peppers;
mod phc;
mod profile;
pub mod second_factor;
pub mod secret_check;
pub mod sessions;
mod sign_up;
pub mod strength;
pub(crate) mod token_keys;
pub mod user_name;

pub use account_state::AccountState;
pub use caller::Caller;
pub use peppers::Peppers;
pub use profile::{ProfileChange, change};
pub use sessions::{Session, Sessions};
pub use sign_up::{
    Authenticated, NewRider, Registration, Rider, Role, active, find, hash_queue_of, register, sign_in,
};
pub use token_keys::TokenKeys;
