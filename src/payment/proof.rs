//! What permits a payment.

use sha2::{Digest, Sha256};

/// What permits a payment.
#[derive(Clone)]
pub enum Proof {
    /// The rider's pay password, in plain text for as long as the check takes.
    PayPassword(String),
    /// The hash of an authorization's token.
    Authorization(Vec<u8>),
}

impl Proof {
    /// Of a token as the client sends it.
    pub fn of_token(token: &str) -> Self {
        Self::Authorization(Sha256::digest(token).to_vec())
    }

    /// The hash to find and to use up; `None` for a pay password.
    pub(crate) fn token_hash(&self) -> Option<&[u8]> {
        match self {
            Self::PayPassword(_) => None,
            Self::Authorization(hash) => Some(hash),
        }
    }
}
