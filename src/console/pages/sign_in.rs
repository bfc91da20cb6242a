//! Signing in and out. The session is one of the API: it also ends when it is revoked there.

use super::{
    entry::{noted_sign_in_page, sign_in_page},
    second_factor::second_step,
};
use crate::browser::cookies::Cookies;
use crate::console::{
    CONSOLE,
    failure::{Failure, PageResult},
    form::{EmptyForm, PlainForm},
    notice::Notices,
    preferences::Preferences,
    session::{PageContext, SESSION, inside},
};
use crate::{
    domain::Refusal,
    http::{
        App,
        extract::Params,
        handlers::riders::{account_of, end_session},
        middleware::{admission::Permit, client_address::Address},
        problem::Problem,
    },
    security::{self, Event},
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

/// Signing out removes what the browser stored for this host. Cookies are not among it: that would
/// remove those of all hosts of the domain.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const CLEARED: HeaderValue = HeaderValue::from_static("\"cache\", \"storage\"");

#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    user_name: String,
    password: String,
    #[serde(default)]
    next: String,
}

pub(crate) async fn form(
    State(app): State<App>,
    preferences: Preferences,
    headers: HeaderMap,
    Params(Next { next }): Params<Next>,
) -> Response {
    let notices = Notices::without_session(&app, &headers);
    let Some(notice) = notices.read(&headers) else {
        return sign_in_page(&preferences, inside(&next), None);
    };
    let page = noted_sign_in_page(&preferences, inside(&next), "", None, Some(&notice));
    ([(header::SET_COOKIE, notices.remove())], page).into_response()
}

/// An account without the role gets the same response as one that does not exist.
pub(crate) async fn enter(
    State(app): State<App>,
    preferences: Preferences,
    address: Address,
    permit: Option<Extension<Permit>>,
    headers: HeaderMap,
    PlainForm(credentials): PlainForm<Credentials>,
) -> PageResult {
    let (name, next) = (credentials.user_name.clone(), inside(&credentials.next));
    let refused = |problem: &Problem| noted_sign_in_page(&preferences, next, &name, Some(problem), None);
    let name_and_password = (credentials.user_name, credentials.password);
    let account = match account_of(&app, address, permit, name_and_password).await {
        Ok(account) if account.rider.role.may_view() => account,
        Ok(account) => {
            let (who, network) = (security::account(account.rider.id), security::network(address.0));
            Event::AccessDenied.record(Some(&who), Some(&network));
            return Ok(refused(&Refusal::WrongCredentials.into()));
        }
        Err(problem) if problem.stale => return Err(problem.into()),
        Err(problem) => return Ok(refused(&problem)),
    };
    second_step(&app, &preferences, (&headers, address), account, next).await
}

pub(crate) async fn leave(
    State(app): State<App>,
    context: PageContext,
    headers: HeaderMap,
    PlainForm(EmptyForm {}): PlainForm<EmptyForm>,
) -> PageResult {
    end_session(&app, &context.caller).await.map_err(Failure::from)?;
    let gone = Cookies::of(&app, &headers, CONSOLE).remove(SESSION);
    let leaving = [(header::SET_COOKIE, gone), (CLEAR_SITE_DATA, CLEARED)];
    Ok((leaving, Redirect::to("/console/sign-in")).into_response())
}
