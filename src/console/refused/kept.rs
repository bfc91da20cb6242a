//! A form that waits in a cookie while its operator signs in, or gives the password again. It is
//! signed for its account: nobody else's session shows it.

use super::{fill::comes_back, sent::SentForm};
use crate::browser::cookies::Cookies;
use crate::console::CONSOLE;
use crate::{
    accounts::token_keys::Use,
    domain::RiderId,
    http::{App, extract::strict::Pairs},
};
use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The cookie that holds the form.
const KEPT: &str = "farebox_form";
/// How long a form waits, seconds.
const LIFETIME_SECS: u32 = 900;
/// The largest form that a cookie holds, bytes: a browser takes 4,096 with the cookie's name.
const MAX_BYTES: usize = 2_800;
/// The account and the end.
const CLAIMS: usize = 16 + 8;
/// Bytes of the signature before the claims.
const MAC_BYTES: usize = 32;

/// A form that waited.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptForm {
    pub(super) action: String,
    pub(super) page: String,
    pub(super) fields: Pairs,
}

/// The header that keeps a form; `None` if it is too large.
pub(super) fn save(app: &App, headers: &HeaderMap, form: &SentForm) -> Option<HeaderValue> {
    let fields = form.fields.iter().filter(|(name, _)| comes_back(name)).cloned().collect();
    let kept = KeptForm { action: form.action.clone(), page: form.page.clone(), fields };
    let body = serde_json::to_vec(&kept).ok().filter(|body| body.len() <= MAX_BYTES)?;
    let mut text = form.owner.0.as_bytes().to_vec();
    text.extend_from_slice(&(Utc::now().timestamp() + i64::from(LIFETIME_SECS)).to_be_bytes());
    text.extend_from_slice(&body);
    let mac = app.sessions.keys().digest(Use::KeptForms, &[&text]);
    let value = URL_SAFE_NO_PAD.encode([mac, text].concat());
    Some(Cookies::of(app, headers, CONSOLE).set(KEPT, &value, LIFETIME_SECS))
}

/// The form that waits for this account, if its time is not over.
pub(super) fn kept(app: &App, headers: &HeaderMap, account: RiderId) -> Option<KeptForm> {
    let bytes = URL_SAFE_NO_PAD.decode(Cookies::of(app, headers, CONSOLE).get(headers, KEPT)?).ok()?;
    let (mac, text) = bytes.split_at_checked(MAC_BYTES)?;
    if !app.sessions.keys().verify(Use::KeptForms, &[text], mac) {
        return None;
    }
    let (claims, body) = text.split_at_checked(CLAIMS)?;
    let owner = Uuid::from_slice(&claims[..16]).ok()?;
    let end = i64::from_be_bytes(claims[16..].try_into().ok()?);
    let is_due = RiderId(owner) == account && Utc::now().timestamp() < end;
    is_due.then(|| serde_json::from_slice(body).ok()).flatten()
}

/// The header that removes a form that came back.
pub(super) fn remove(app: &App, headers: &HeaderMap) -> HeaderValue {
    Cookies::of(app, headers, CONSOLE).remove(KEPT)
}
