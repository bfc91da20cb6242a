//! Forms: each one must come from a page of the console; those that change data also carry the
//! CSRF token of an operator's session and a reason.

use super::{
    failure::Failure,
    refused::PAGE,
    session::{PageContext, next, page_context, signed_in},
};
use crate::browser::{
    csrf::{owner, verify_csrf},
    origin::is_own_page,
};
use crate::{
    accounts::{Caller, confirmation},
    domain::{FieldError, Reason},
    http::{
        App,
        extract::{
            bytes, denied,
            strict::{self, Pairs},
        },
        middleware::client_address::Address,
        problem::Problem,
    },
    ops::{
        Attribution,
        audit::{Actor, Through},
    },
    security::{self, Event},
};
use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, de::DeserializeOwned};

/// What a query string or a form may hold several times: the jobs that were chosen.
pub(super) const REPEATED: [&str; 1] = ["ids"];

/// A form that an operator sent, with a reason.
///
/// Its action is one transaction, so the handler may be dropped before the redirect: the change is
/// made whole or not at all, and the next page shows which. A form that moves money names its
/// entry.
pub(crate) struct OperatorForm<T> {
    pub(crate) context: PageContext,
    /// 1 to 500 characters.
    pub(crate) reason: String,
    pub(crate) form: T,
}

/// An operator's form that asks for the password again: without one that was given lately, the sender
/// is led to give it, and from there back to the form.
pub(crate) struct ConfirmedForm<T>(pub(crate) OperatorForm<T>);

/// The fields of a form that has none of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmptyForm {}

/// A form that changes only the sender's own session or preferences.
pub(crate) struct PlainForm<T>(pub(crate) T);

impl<T> OperatorForm<T> {
    /// The context, the operator with the reason, and the fields.
    pub(crate) fn into_parts(self) -> (PageContext, Attribution, T) {
        let by = Attribution::new(Actor::caller(&self.context.caller, Through::Console), Some(self.reason));
        (self.context, by, self.form)
    }
}

impl<T: DeserializeOwned> FromRequest<App> for OperatorForm<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let headers = request.headers().clone();
        let forged = is_forged(&request, app);
        let context = page_context(&headers, "/console".to_owned(), app, true).await?;
        let mut pairs = read_own_form(request, app).await?;
        let mut take = |wanted: &str| {
            let at = pairs.iter().position(|(name, _)| name == wanted);
            at.map(|at| pairs.remove(at).1).unwrap_or_default()
        };
        let (csrf, reason) = (take("csrf"), take("reason"));
        let refuse = |problem: Problem| Failure::from(problem).into_response();
        if !verify_csrf(&csrf, app, context.caller.session_id) {
            let is_own = owner(&csrf, app) == Some(context.caller.rider_id);
            return Err(if is_own { refuse(Problem::ended_form()) } else { forged(&context) });
        }
        if !context.can_write() {
            return Err(refuse(denied(&context.caller)));
        }
        let field = |error: FieldError| refuse(Problem::field(&error));
        let reason = Reason::read("reason", &reason).map_err(field)?.into_string();
        Ok(Self { context, reason, form: strict::read(&pairs).map_err(field)? })
    }
}

impl<T: DeserializeOwned> FromRequest<App> for ConfirmedForm<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (caller, form) = (signed_in(request.headers(), app), request.uri().path().to_owned());
        if let Some(caller) = caller {
            let elsewhere = password_page(app, &caller, &form).await;
            if let Some(elsewhere) = elsewhere.map_err(IntoResponse::into_response)? {
                return Err(elsewhere);
            }
        }
        OperatorForm::from_request(request, app).await.map(Self)
    }
}

/// The way to the page that asks for the password again, if this session needs it.
pub(crate) async fn password_page(
    app: &App,
    caller: &Caller,
    back: &str,
) -> Result<Option<Response>, Failure> {
    let secs = app.settings.accounts.confirm_secs;
    if confirmation::is_fresh(&app.saga.pool, caller.session_id, secs).await? {
        return Ok(None);
    }
    Ok(Some(Redirect::to(&format!("/console/confirm?{}", next(back))).into_response()))
}

impl<T: DeserializeOwned> FromRequest<App> for PlainForm<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let form = strict::read(&read_own_form(request, app).await?);
        form.map(Self).map_err(|error| Failure::from(error).into_response())
    }
}

/// The digest of the client's network.
fn network_of(request: &Request, app: &App) -> String {
    let proxies = app.settings.http.trusted_proxies;
    security::network(Address::of(request.extensions(), request.headers(), proxies).0)
}

/// Reads the fields of a form that a page of the console sent. A browser sends where a form comes
/// from. A client that sends neither header is no browser and has only the cookies that it chose.
async fn read_own_form(request: Request, app: &App) -> Result<Pairs, Response> {
    require_own_page(&request, app)?;
    let bytes = bytes(request, app).await.map_err(|problem| Failure::from(problem).into_response())?;
    let text =
        String::from_utf8(bytes).map_err(|_| FieldError::new("form", "text in UTF-8, percent-encoded"));
    let pairs = text.and_then(|text| strict::pairs(&text));
    let pairs = pairs.and_then(|pairs| strict::once(&pairs, &REPEATED).map(|()| pairs));
    // For the guard, which shows a refused form in its page.
    let pairs = pairs.map(|pairs| pairs.into_iter().filter(|(name, _)| name != PAGE).collect());
    pairs.map_err(|error| Failure::from(error).into_response())
}

/// The answer to a form of this request without the token of its session, which is a security event.
pub(super) fn is_forged(request: &Request, app: &App) -> impl Fn(&PageContext) -> Response + use<> {
    let network = network_of(request, app);
    move |context| {
        let account = security::account(context.caller.rider_id);
        Event::FormForged.record(Some(&account), Some(&network));
        Failure::from(Problem::denied()).into_response()
    }
}

/// Refuses a form that a page of another origin sent.
pub(super) fn require_own_page(request: &Request, app: &App) -> Result<(), Response> {
    if !is_own_page(app, request.headers()) {
        Event::FormForged.record(None, Some(&network_of(request, app)));
        return Err(Failure::from(Problem::denied()).into_response());
    }
    Ok(())
}
