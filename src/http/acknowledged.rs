//! What a response acknowledges, for the line of its request in the log. After a restore, these lines show
//! which changes the database has lost ([`ops::restore`](crate::ops::restore)).

use crate::idempotency::{ChangeId, IdempotencyKey};
use axum::{http::Extensions, response::Response};

/// The change that a response acknowledges.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    /// Its name.
    pub(crate) change: ChangeId,
    /// The client's key.
    pub(crate) key: Option<String>,
}

/// Marks a response of success with the change that was made, now or by an earlier request.
pub(crate) fn acknowledge(response: &mut Response, change: ChangeId, key: Option<&IdempotencyKey>) {
    if response.status().is_success() {
        let key = key.map(|key| key.key.clone());
        response.extensions_mut().insert(Acknowledged { change, key });
    }
}

/// Marks a response of success to a request with a key.
pub(crate) fn acknowledge_key(response: &mut Response, key: Option<&IdempotencyKey>) {
    if let Some(key) = key {
        acknowledge(response, key.into(), Some(key));
    }
}

/// What the response acknowledges.
pub(crate) fn acknowledged(extensions: &Extensions) -> Option<&Acknowledged> {
    extensions.get()
}
