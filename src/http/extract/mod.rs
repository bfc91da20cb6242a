//! Extractors: the caller, the parsed body, the idempotency key and the injected faults of a
//! request as one argument of its handler.

mod body;
mod caller;
mod params;
pub(crate) mod reason;
pub(crate) mod strict;
mod upload;

pub(crate) use body::{Body, EmptyBody, as_a_set, bytes, bytes_up_to};
pub(crate) use caller::{MaybeSignedIn, SignedIn, Viewer, denied, remember_caller};
pub(crate) use params::{Paging, Params, Path, id, job_id, order_id, rider_id, trip_id};
pub(crate) use upload::Upload;

use super::{
    App,
    keyed_hash::{other_request_digests, request_digest},
    middleware::admission::Permit,
    problem::Problem,
};
use crate::{
    accounts::{Caller, NewRider, confirmation, user_name},
    domain::{FieldError, RiderId},
    idempotency::IdempotencyKey,
    saga::{Faults, SagaContext},
};
use axum::{
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use body::parse;
use caller::{identified, in_use};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use uuid::Uuid;

/// Longest idempotency key, bytes.
const MAX_KEY_BYTES: usize = 200;

/// A change by a signed-in caller.
pub(crate) struct Change<T> {
    pub(crate) caller: Caller,
    pub(crate) saga: SagaContext,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) body: T,
}

/// A change by an operator.
pub(crate) struct OpsChange<T>(pub(crate) Change<T>);

/// A change by an operator who gave the password lately: it moves money, or hands an account over.
pub(crate) struct ConfirmedChange<T>(pub(crate) Change<T>);

/// A registration with its idempotency key; the caller has no account yet.
pub(crate) struct KeyedRegistration {
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) body: NewRider,
}

impl<T: DeserializeOwned + Serialize> FromRequest<App> for Change<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let caller = in_use(identified(request.headers(), request.extensions(), app)?, app).await?;
        if !caller.role.may_change() {
            return Err(denied(&caller));
        }
        let faults = faults(request.headers(), app)?;
        let key = idempotency_key(&request)?;
        let permit = request.extensions().get::<Permit>().map(|place| Arc::clone(&place.0));
        let (sent, scope) = scopes(&request);
        let bounded_by = (!caller.role.may_operate()).then(|| app.limits.clone());
        let bytes = bytes(request, app).await?;
        let body = parse(&bytes)?;
        let key = key
            .map(|key| {
                let body = canonical(&body)?;
                let understood: [&[u8]; 2] = [scope.as_bytes(), &body];
                Ok::<_, Problem>(IdempotencyKey {
                    actor: caller.rider_id,
                    key,
                    fingerprint: request_digest(app, &understood),
                    others: other_request_digests(app, &understood, &[sent.as_bytes(), &bytes]),
                    bounded_by,
                })
            })
            .transpose()?;
        Ok(Self { caller, saga: SagaContext { faults, permit, ..app.saga.clone() }, key, body })
    }
}

impl<T: DeserializeOwned + Serialize> FromRequest<App> for OpsChange<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let caller = identified(request.headers(), request.extensions(), app)?;
        if !caller.role.may_operate() {
            return Err(denied(&caller));
        }
        Change::from_request(request, app).await.map(Self)
    }
}

impl<T: DeserializeOwned + Serialize> FromRequest<App> for ConfirmedChange<T> {
    type Rejection = Problem;

    /// The refusal comes before the body is read, so it is not stored under the request's key.
    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let caller = identified(request.headers(), request.extensions(), app)?;
        if !caller.role.may_operate() {
            return Err(denied(&caller));
        }
        let secs = app.settings.accounts.confirm_secs;
        confirmation::require(&app.saga.pool, caller.session_id, secs).await?;
        OpsChange::from_request(request, app).await.map(|OpsChange(change)| Self(change))
    }
}

impl FromRequest<App> for KeyedRegistration {
    type Rejection = Problem;

    /// The key of a registration belongs to the requested user name, as there is no caller yet.
    /// Clients that request different names never share a key. A client that sends the same name
    /// and key gets the first response only with the first body, which holds the password. With
    /// another body it learns that the name is taken, as without a key.
    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let key = idempotency_key(&request)?;
        let bytes = bytes(request, app).await?;
        let body: NewRider = parse(&bytes)?;
        let Some(key) = key else { return Ok(Self { key: None, body }) };
        // Without a key, so that it stays the same when keys change: the name is no secret.
        let name = Sha256::new()
            .chain_update(b"the one who registers as\n")
            .chain_update(user_name::folded(&body.user_name))
            .finalize();
        let name = name.first_chunk::<16>().ok_or_else(Problem::broken)?;
        // The layout of a random UUID: no account's id has it, as those are UUIDv7.
        let actor = RiderId(uuid::Builder::from_random_bytes(*name).into_uuid());
        let canonical = canonical(&body)?;
        let understood: [&[u8]; 2] = [b"POST /v1/riders\n", &canonical];
        let key = IdempotencyKey {
            actor,
            key,
            fingerprint: request_digest(app, &understood),
            others: other_request_digests(app, &understood, &[b"POST /v1/riders\n", &bytes]),
            bounded_by: Some(app.limits.clone()),
        };
        Ok(Self { key: Some(key), body })
    }
}

/// Method and path, as sent and in canonical form: the letters of an id may be of any case.
fn scopes(request: &Request) -> (String, String) {
    let (method, path) = (request.method(), request.uri().path());
    let same =
        |segment: &str| Uuid::parse_str(segment).map_or_else(|_| segment.to_owned(), |id| id.to_string());
    let plain = path.split('/').map(same).collect::<Vec<_>>().join("/");
    (format!("{method} {path}\n"), format!("{method} {plain}\n"))
}

/// A body in canonical form. Two bodies with the same meaning are equal: they may differ in the
/// order of members, in blanks, escapes and the forms of numbers or times. A missing member equals
/// `null`, unless the type distinguishes them.
fn canonical(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body).map_err(|_| Problem::broken())
}

fn faults(headers: &HeaderMap, app: &App) -> Result<Faults, Problem> {
    let Some(value) = headers.get("farebox-fault") else { return Ok(app.saga.faults.clone()) };
    let error = |rule: String| Problem::field(&FieldError::new("Farebox-Fault", rule));
    if !app.settings.faults.enabled {
        return Err(error("faults are switched off here".to_owned()));
    }
    let text = value.to_str().map_err(|e| error(e.to_string()))?;
    let more: Faults = text.parse().map_err(|e: crate::saga::FaultSyntax| error(e.to_string()))?;
    Ok(app.saga.faults.and(&more))
}

fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let printable = |text: &&str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let text = value.to_str().ok().filter(|text| (1..=MAX_KEY_BYTES).contains(&text.len())).filter(printable);
    let rule = format!("1 to {MAX_KEY_BYTES} printable ASCII characters (0x20 to 0x7E)");
    let refused = || Problem::field(&FieldError::new("Idempotency-Key", rule));
    text.map(|text| Some(text.to_owned())).ok_or_else(refused)
}
