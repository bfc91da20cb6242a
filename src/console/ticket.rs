//! What stands between a right password and a session: a signed text in the form of the next step of
//! signing in. It opens nothing by itself and lasts some minutes. It ends with the account's password, and
//! when the account's sessions are ended.

use crate::{
    accounts::{self, Authenticated, second_factor::Nonce, token_keys::Use},
    domain::{Refusal, RiderId},
    http::{App, problem::Problem},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use uuid::Uuid;

/// How long the next step may take, seconds.
const LIFETIME_SECS: i64 = 600;
/// The step, the account, the end, the nonce.
const CLAIMS: usize = 1 + 16 + 8 + 16;

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    /// A code of the second factor.
    Code = 1,
    /// Setting up a second factor.
    Enrol = 2,
}

/// The text for a form.
pub(super) fn issue(app: &App, account: &Authenticated, step: Step, nonce: &Nonce) -> String {
    let mut text = Vec::with_capacity(CLAIMS + 32);
    text.push(step as u8);
    text.extend_from_slice(account.rider.id.0.as_bytes());
    text.extend_from_slice(&(Utc::now().timestamp() + LIFETIME_SECS).to_be_bytes());
    text.extend_from_slice(nonce);
    let [password, sessions] = account.standing();
    let mac = app.sessions.keys().digest(Use::Tickets, &[&text, &password, &sessions]);
    text.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(text)
}

/// The account and the nonce of a text for this step.
///
/// # Errors
/// [`Refusal::WrongCredentials`] if it is forged, past its end, for another step, or of an account that
/// has changed.
pub(super) async fn redeem(app: &App, text: &str, step: Step) -> Result<(Authenticated, Nonce), Problem> {
    let refused = || Problem::from(Refusal::WrongCredentials);
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
    let (claims, mac) = bytes.split_at_checked(CLAIMS).ok_or_else(refused)?;
    let (rider, expires, nonce) = read(claims, step).ok_or_else(refused)?;
    let account = accounts::active(&app.saga.pool, rider).await?.ok_or_else(refused)?;
    let [password, sessions] = account.standing();
    let is_own = app.sessions.keys().verify(Use::Tickets, &[claims, &password, &sessions], mac);
    if !is_own || Utc::now().timestamp() >= expires || !account.rider.role.may_view() {
        return Err(refused());
    }
    Ok((account, nonce))
}

fn read(claims: &[u8], step: Step) -> Option<(RiderId, i64, Nonce)> {
    let rider = Uuid::from_slice(claims.get(1..17)?).ok()?;
    let expires = i64::from_be_bytes(claims.get(17..25)?.try_into().ok()?);
    let nonce = claims.get(25..)?.try_into().ok()?;
    (*claims.first()? == step as u8).then_some((RiderId(rider), expires, nonce))
}
