//! Accounts, sessions, wallets.

use crate::http::{
    App,
    extract::{Body, Change, KeyedRegistration, Paging, Params, SignedIn},
    handlers::account::{check_code, confirm_session, note_barred},
    idempotent::{IdempotentChange, Reply, StoredForm, not_answered_as, not_answered_yet},
    middleware::{admission::Permit, client_address::Address, context::with_current_context},
    paged::Paged,
    problem::Problem,
};
use crate::{
    accounts::{
        self, Authenticated, Caller, NewRider, ProfileChange, Registration, Rider, Role, Session,
        confirmation, lockout,
        pay_password::{self, ChangeCheck},
        user_name,
    },
    domain::{Currency, Email, Error, Money, Phone, Refusal, RiderId},
    ops::{audit::Through, reads},
    payment::wallet,
    saga::run_undropped,
    security::{self, Event},
    storage::again,
};
use axum::{Extension, Json, extract::State, http::StatusCode, response::Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

pub(crate) async fn register(State(app): State<App>, new: KeyedRegistration) -> Result<Response, Reply> {
    let (pool, key) = (&app.saga.pool, new.key.as_ref());
    let form = stored_form(&new.body);
    not_answered_as(pool, key, &form).await?;
    let registration = Registration::prepare(&app.saga.passwords, &new.body, Role::Rider).await?;
    let mut act = IdempotentChange::begin_as(pool, key, form).await?;
    let done = registration.add(act.conn()).await;
    act.end(StatusCode::CREATED, done).await
}

/// Of a registration only the account's id is stored under its key. The rest of the response is
/// what its request says, and a repeat has the same request: its fingerprint is compared.
fn stored_form(new: &NewRider) -> StoredForm {
    let said = Rider {
        id: RiderId(Uuid::nil()),
        user_name: new.user_name.clone(),
        role: Role::Rider,
        nick_name: None,
        sex: None,
        email: new.email.clone().map(Email::into_string),
        phone: new.phone.clone().map(Phone::into_string),
        has_pay_password: new.pay_password.is_some(),
    };
    StoredForm::new(
        |whole| json!({ "id": whole["id"] }),
        move |stored| {
            // Responses from before an upgrade are whole.
            if stored.get("user_name").is_some() {
                return stored;
            }
            let mut whole = json!(said);
            whole["id"] = stored["id"].clone();
            whole
        },
    )
}

/// Who signs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// The account's name, without regard to case.
    user_name: String,
    /// The sign-in password.
    password: String,
    /// Of the second factor, or a recovery code: for accounts of the operations side that have one.
    code: Option<String>,
}

/// Ignores an idempotency key. A replay would need the token in the table of stored responses, and
/// anyone who reads that table, or a backup of it, could then act as the rider. A client that did
/// not get the response signs in again, which opens another session; the unused one expires.
pub(crate) async fn sign_in(
    State(app): State<App>,
    address: Address,
    permit: Option<Extension<Permit>>,
    Body(credentials): Body<Credentials>,
) -> Result<(StatusCode, Json<Session>), Problem> {
    let Credentials { user_name, password, code } = credentials;
    let account = account_of(&app, address, permit, (user_name, password)).await?;
    let (id, role) = (account.rider.id, account.rider.role);
    let by_code = check_code(&app, id, role, code.as_deref()).await?;
    let account = if by_code { account.with_second_factor() } else { account };
    let session = open_session(&app, address, account, Through::Api).await?;
    Ok((StatusCode::CREATED, Json(session)))
}

/// Opens a session. That of an operator is in the audit log before its token is handed out.
pub(crate) async fn open_session(
    app: &App,
    address: Address,
    account: Authenticated,
    through: Through,
) -> Result<Session, Problem> {
    let pool = &app.saga.pool;
    let session = app.sessions.open(pool, account, app.settings.accounts.most_sessions()).await?;
    if session.rider.role.may_view() {
        reads::signed_in(pool, &session.rider, address.0, through).await?;
    } else {
        // By the name, as the wrong sign-ins before it are.
        let name = security::name(&user_name::folded(&session.rider.user_name));
        Event::SignedIn.record(Some(&name), Some(&security::network(address.0)));
    }
    Ok(session)
}

/// The account of these credentials; counts the attempt. It runs to its end, with its permit, also
/// when the client disconnects. Otherwise a right password would leave its attempt counted, and a
/// wrong one would cost its address nothing.
pub(crate) async fn account_of(
    app: &App,
    address: Address,
    permit: Option<Extension<Permit>>,
    (user_name, password): (String, String),
) -> Result<Authenticated, Problem> {
    let app = app.clone();
    let checking = async move {
        let _until_checked = permit;
        check_credentials(&app, address, &user_name, &password).await
    };
    Ok(run_undropped(checking).await.map_err(Error::Broken)??)
}

async fn check_credentials(
    app: &App,
    address: Address,
    user_name: &str,
    password: &str,
) -> Result<Authenticated, Error> {
    let (pool, rules) = (&app.saga.pool, &app.settings.lockout);
    let (name, network) = (security::name(&user_name::folded(user_name)), security::network(address.0));
    let reading = app.admission.sign_in_read().await;
    let queue = again(|| accounts::hash_queue_of(pool, user_name)).await?;
    drop(reading);
    let passwords = app.saga.passwords.in_queue(queue);
    // Before the attempt is counted, so that what is refused here costs no more than a read.
    let _place = passwords.enter().map_err(|busy| {
        app.metrics.refused("hashing");
        Error::Broken(Box::new(busy))
    })?;
    let note_barred = |error: &Error| note_barred(app, error, &name, &network);
    let attempt =
        lockout::begin(pool, &passwords, rules, user_name, address.0).await.inspect_err(note_barred)?;
    let signed_in = again(|| accounts::sign_in(pool, &passwords, user_name, password)).await;
    match &signed_in {
        Ok(_) => attempt.succeeded(pool).await?,
        Err(Error::Refused(_)) => {
            Event::SignInFailed.record(Some(&name), Some(&network));
            attempt.failed(pool, rules).await.inspect_err(note_barred)?;
        }
        Err(_) => attempt.withdraw(pool).await?,
    }
    signed_in
}

pub(crate) async fn sign_out(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
) -> Result<StatusCode, Problem> {
    end_session(&app, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the caller's session because the caller wants it.
///
/// # Errors
/// The database's.
pub(crate) async fn end_session(app: &App, caller: &Caller) -> Result<(), sqlx::Error> {
    app.sessions.revoke(&app.saga.pool, caller.session_id).await?;
    Event::SignedOut.record(Some(&security::account(caller.rider_id)), None);
    Ok(())
}

pub(crate) async fn me(State(app): State<App>, SignedIn(caller): SignedIn) -> Result<Json<Rider>, Problem> {
    let rider = accounts::find(&app.saga.pool, caller.rider_id).await?;
    rider.map(Json).ok_or_else(|| Refusal::NotFound("rider").into())
}

pub(crate) async fn change_me(change: Change<ProfileChange>) -> Result<Json<Rider>, Problem> {
    let mut conn = change.saga.pool.acquire().await?;
    Ok(Json(accounts::change(&mut conn, change.caller.rider_id, &change.body).await?))
}

/// A new pay password, with what permits it.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayPassword {
    /// The pay password of before; left out for the first one.
    current: Option<String>,
    /// Six digits, and not easy to guess.
    #[schemars(with = "crate::domain::PayPassword")]
    new: String,
    /// The sign-in password: for the first pay password, unless it was given to this session lately.
    password: Option<String>,
}

/// A repeat gets the first response, with the first request's key and, for an hour, also without
/// it. It runs to its end, so that a client that disconnects leaves no unfinished attempt.
pub(crate) async fn set_pay_password(
    State(app): State<App>,
    address: Address,
    change: Change<PayPassword>,
) -> Result<Response, Reply> {
    let changing = async move {
        confirm_first_pay_password(&app, address, &change).await?;
        change_pay_password(change).await
    };
    run_undropped(with_current_context(changing)).await.map_err(Error::Broken)?
}

/// A first pay password is for the account's owner, not for every client that holds a token: the sign-in
/// password must have been given lately, or come with it. The refusal is not stored under the
/// request's key.
async fn confirm_first_pay_password(
    app: &App,
    address: Address,
    change: &Change<PayPassword>,
) -> Result<(), Problem> {
    let (caller, PayPassword { password, .. }) = (change.caller, &change.body);
    if let Some(password) = password {
        return confirm_session(app, caller, address, None, (password.clone(), None)).await;
    }
    let pool = &app.saga.pool;
    let secs = app.settings.accounts.confirm_secs;
    if confirmation::is_fresh(pool, caller.session_id, secs).await? {
        return Ok(());
    }
    match accounts::find(pool, caller.rider_id).await? {
        Some(rider) if !rider.has_pay_password => Err(Refusal::NotConfirmed.into()),
        _ => Ok(()),
    }
}

async fn change_pay_password(change: Change<PayPassword>) -> Result<Response, Reply> {
    let Change { caller, saga, key, body: PayPassword { current, new, .. } } = change;
    let key = key.as_ref();
    not_answered_yet(&saga.pool, key).await?;
    for _ in 0..pay_password::MAX_ROUNDS {
        // Hashing stays outside of the transaction. After a concurrent change, the request is
        // judged again.
        let judged = pay_password::check_change(
            &saga.pool,
            &saga.passwords,
            caller.rider_id,
            current.as_deref(),
            &new,
        )
        .await;
        let mut act = IdempotentChange::begin(&saga.pool, key).await?;
        let done = match judged {
            Ok(ChangeCheck::Change(change)) => match change.make(act.conn()).await {
                Ok(true) => {
                    Event::PayPasswordChanged.record(Some(&security::account(caller.rider_id)), None);
                    Ok(json!({}))
                }
                Ok(false) => {
                    act.roll_back().await?;
                    continue;
                }
                Err(error) => Err(error.into()),
            },
            Ok(ChangeCheck::Repeat) => Ok(json!({})),
            Err(error) => Err(error),
        };
        return act.end(StatusCode::NO_CONTENT, done).await;
    }
    Err(Problem::overloaded().into())
}

/// What a rider has.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Wallet {
    /// The balance.
    balance: Money,
    /// Its currency.
    currency: Currency,
}

pub(crate) async fn balance(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
) -> Result<Json<Wallet>, Problem> {
    let balance: Option<Money> = wallet::balance(&app.saga.pool, caller.rider_id).await?;
    let balance = balance.ok_or(Refusal::NotFound("wallet"))?;
    Ok(Json(Wallet { balance, currency: Currency::installed() }))
}

pub(crate) async fn entries(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Params(paging): Params<Paging>,
) -> Result<Paged<wallet::Entry>, Problem> {
    let after = paging.cursor()?;
    Ok(Paged(wallet::entries(&app.saga.pool, caller.rider_id, after, paging.limit()?).await?))
}
