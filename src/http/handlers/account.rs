//! One's own account: its password, its sessions, and giving the password again.

use crate::http::{
    App,
    extract::{Body, Path, SignedIn},
    middleware::{admission::Permit, client_address::Address},
    problem::Problem,
};
use crate::{
    accounts::{
        self, Caller, Role, confirmation, lockout,
        own_sessions::{self, OpenSessions},
        password_change::Account,
        password_reset,
        passwords::HashQueue,
        second_factor, user_name,
    },
    domain::{Error, FieldError, Id, Refusal, RiderId},
    saga::run_undropped,
    security::{self, Event},
    settings::SecondFactorRule,
    storage::again,
};
use axum::{Extension, Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

/// The password of before and the new one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    /// The password of before.
    current: String,
    /// At least 8 characters, and not easy to guess.
    #[schemars(with = "crate::domain::Password")]
    new: String,
    /// Of the second factor, if the account has one.
    code: Option<String>,
}

/// Ignores an idempotency key: a client that got no response signs in with the new password.
pub(crate) async fn change_password(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    address: Address,
    permit: Option<Extension<Permit>>,
    Body(PasswordChange { current, new, code }): Body<PasswordChange>,
) -> Result<StatusCode, Problem> {
    set_own_password(&app, caller, address, permit, (current, new, code)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the caller's password; its other sessions end. It runs to its end, with its permit, so
/// that every try is counted.
pub(crate) async fn set_own_password(
    app: &App,
    caller: Caller,
    address: Address,
    permit: Option<Extension<Permit>>,
    (current, new, code): (String, String, Option<String>),
) -> Result<(), Problem> {
    let app = app.clone();
    let changing = async move {
        let _until_changed = permit;
        let account = Account::find(&app.saga.pool, caller.rider_id).await?;
        // A weak new password costs no try.
        account.check_new("/new", &new)?;
        if new == current {
            let rule = "another one than the present one";
            return Err(Refusal::Invalid(FieldError::new("/new", rule)).into());
        }
        check_own_password(&app, caller, &account, address, &current).await?;
        check_code(&app, caller.rider_id, caller.role, code.as_deref()).await?;
        let passwords = app.saga.passwords.in_queue(queue_of(caller.role));
        account.set_password(&app.saga.pool, &passwords, &new, caller.session_id).await?;
        Event::PasswordChanged.record(Some(&security::account(caller.rider_id)), None);
        Ok::<_, Error>(())
    };
    Ok(run_undropped(changing).await.map_err(Error::Broken)??)
}

/// Checks the password of an account that has a session, and counts the try as that of a sign-in. It
/// must run to its end.
async fn check_own_password(
    app: &App,
    caller: Caller,
    account: &Account,
    address: Address,
    password: &str,
) -> Result<(), Error> {
    let (pool, rules) = (&app.saga.pool, &app.settings.lockout);
    let passwords = app.saga.passwords.in_queue(queue_of(caller.role));
    // Before the attempt is counted, as for a sign-in.
    let _place = passwords.enter().map_err(|busy| {
        app.metrics.refused("hashing");
        Error::Broken(Box::new(busy))
    })?;
    let (who, network) = (security::account(caller.rider_id), security::network(address.0));
    let note_barred = |error: &Error| note_barred(app, error, &who, &network);
    let attempt = lockout::begin(pool, &passwords, rules, &account.user_name, address.0).await;
    let attempt = attempt.inspect_err(note_barred)?;
    match account.has_password(&passwords, password).await {
        Ok(true) => Ok(attempt.succeeded(pool).await?),
        Ok(false) => {
            Event::SignInFailed.record(Some(&who), Some(&network));
            attempt.failed(pool, rules).await.inspect_err(note_barred)?;
            Err(Refusal::WrongPassword.into())
        }
        Err(error) => {
            attempt.withdraw(pool).await?;
            Err(error)
        }
    }
}

/// Where the hashes of an account wait.
fn queue_of(role: Role) -> HashQueue {
    if role.may_view() { HashQueue::Operators } else { HashQueue::Riders }
}

/// Counts an attempt that was refused because of the wrong ones before.
pub(super) fn note_barred(app: &App, error: &Error, who: &str, network: &str) {
    if matches!(error, Error::Refused(_)) {
        app.metrics.refused("guessing");
        Event::SignInBarred.record(Some(who), Some(network));
    }
}

/// A one-time code and the new password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordReset {
    /// Whose password.
    user_name: String,
    /// The code, as the operator hands it over.
    code: String,
    /// At least 8 characters, and not easy to guess.
    #[schemars(with = "crate::domain::Password")]
    new_password: String,
}

/// Ignores an idempotency key, as a sign-in does.
pub(crate) async fn reset_password(
    State(app): State<App>,
    address: Address,
    permit: Option<Extension<Permit>>,
    Body(PasswordReset { user_name, code, new_password }): Body<PasswordReset>,
) -> Result<StatusCode, Problem> {
    redeem_code(&app, address, permit, (user_name, code, new_password)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a new password with a one-time code. Tries are counted as those of a sign-in are. It runs to
/// its end, with its permit.
pub(crate) async fn redeem_code(
    app: &App,
    address: Address,
    permit: Option<Extension<Permit>>,
    (name, code, new): (String, String, String),
) -> Result<(), Problem> {
    let app = app.clone();
    let redeeming = async move {
        let _until_redeemed = permit;
        let (pool, rules) = (&app.saga.pool, &app.settings.lockout);
        let (who, network) = (security::name(&user_name::folded(&name)), security::network(address.0));
        let note_barred = |error: &Error| note_barred(&app, error, &who, &network);
        let reading = app.admission.sign_in_read().await;
        let queue = again(|| accounts::hash_queue_of(pool, &name)).await?;
        drop(reading);
        let passwords = app.saga.passwords.in_queue(queue);
        let attempt = lockout::begin(pool, &passwords, rules, &name, address.0).await;
        let attempt = attempt.inspect_err(note_barred)?;
        let done = password_reset::redeem(pool, &passwords, &name, &code, &new).await;
        match &done {
            Ok(()) => {
                Event::PasswordChanged.record(Some(&who), Some(&network));
                attempt.succeeded(pool).await?;
            }
            Err(Error::Refused(Refusal::WrongResetCode)) => {
                Event::ResetCodeWrong.record(Some(&who), Some(&network));
                attempt.failed(pool, rules).await.inspect_err(note_barred)?;
            }
            Err(_) => attempt.withdraw(pool).await?,
        }
        done
    };
    Ok(run_undropped(redeeming).await.map_err(Error::Broken)??)
}

pub(crate) async fn sessions(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
) -> Result<Json<OpenSessions>, Problem> {
    Ok(Json(own_sessions::list(&app.saga.pool, caller.rider_id, caller.session_id).await?))
}

pub(crate) async fn end_sessions(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
) -> Result<StatusCode, Problem> {
    own_sessions::end(&app.saga.pool, caller.rider_id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn end_session(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(Id(id)): Path<Id>,
) -> Result<StatusCode, Problem> {
    match own_sessions::end(&app.saga.pool, caller.rider_id, Some(id)).await? {
        0 => Err(Refusal::NotFound("session").into()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// The password, given again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// The sign-in password.
    password: String,
    /// Of the second factor, if the account has one.
    code: Option<String>,
}

/// Ignores an idempotency key: confirming twice is confirming once.
pub(crate) async fn confirm(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    address: Address,
    permit: Option<Extension<Permit>>,
    Body(Confirmation { password, code }): Body<Confirmation>,
) -> Result<StatusCode, Problem> {
    confirm_session(&app, caller, address, permit, (password, code)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks the caller's password, and the code of its second factor, and notes that it gave them now.
/// It runs to its end, with its permit.
pub(crate) async fn confirm_session(
    app: &App,
    caller: Caller,
    address: Address,
    permit: Option<Extension<Permit>>,
    (password, code): (String, Option<String>),
) -> Result<(), Problem> {
    let app = app.clone();
    let confirming = async move {
        let _until_checked = permit;
        let account = Account::find(&app.saga.pool, caller.rider_id).await?;
        check_own_password(&app, caller, &account, address, &password).await?;
        let by_code = check_code(&app, caller.rider_id, caller.role, code.as_deref()).await?;
        Ok::<_, Error>(confirmation::note(&app.saga.pool, caller.session_id, by_code).await?)
    };
    Ok(run_undropped(confirming).await.map_err(Error::Broken)??)
}

/// Checks the code of an account whose password was right; returns whether it has a second factor that
/// counts. Without one, an account of the operations side is refused where it is required.
pub(super) async fn check_code(
    app: &App,
    rider: RiderId,
    role: Role,
    code: Option<&str>,
) -> Result<bool, Error> {
    let pool = &app.saga.pool;
    let rule = app.settings.accounts.operators_second_factor;
    if !role.may_view() || rule == SecondFactorRule::Off {
        return Ok(false);
    }
    if !second_factor::is_enrolled(pool, rider).await? {
        return match rule {
            SecondFactorRule::Required => Err(Refusal::SecondFactorMissing.into()),
            _ => Ok(false),
        };
    }
    let code = code.filter(|code| !code.trim().is_empty()).ok_or(Refusal::CodeNeeded)?;
    second_factor::verify(pool, &app.saga.passwords, rider, code).await?;
    Ok(true)
}
