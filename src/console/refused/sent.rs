//! A form as it was sent.

use super::fill::PAGE;
use crate::browser::csrf::owner;
use crate::{
    console::session::{inside, is_inside},
    domain::RiderId,
    http::{
        App,
        extract::{bytes, strict::Pairs},
        problem::Problem,
    },
};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Method, Uri, header},
};

/// Fields that no page shows again.
const SECRET: [&str; 6] = ["password", "code", "current", "new", "ticket", "secret"];

/// A form that a page of the console sent, with the token of one of its account's sessions.
#[derive(Clone, Debug)]
pub(super) struct SentForm {
    /// The account of the page that sent it.
    pub(super) owner: RiderId,
    /// The path that it was sent to.
    pub(super) action: String,
    /// The path and query of the page that holds it.
    pub(super) page: String,
    /// Its fields, without secrets.
    pub(super) fields: Pairs,
}

/// Reads the body of a form, and returns the request with it; forms of signing in and files are not
/// looked at. The request's own time limit begins after it.
///
/// # Errors
/// A body that is too large, or too slow.
pub(super) async fn read(request: Request, app: &App) -> Result<(Request, Option<SentForm>), Problem> {
    let path = request.uri().path();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if request.method() != Method::POST || !is_form || path.starts_with("/console/sign-in") {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let body = bytes(Request::from_parts(parts.clone(), body), app).await?;
    let form = form_of(&body, &parts.uri, &parts.headers, app);
    Ok((Request::from_parts(parts, Body::from(body)), form))
}

fn form_of(body: &[u8], uri: &Uri, headers: &HeaderMap, app: &App) -> Option<SentForm> {
    let mut fields: Pairs = form_urlencoded::parse(body).into_owned().collect();
    let value = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let owner = owner(value("csrf")?, app)?;
    let action = uri.path().to_owned();
    let named = value(PAGE).map(str::to_owned).or_else(|| referer(headers));
    let is_page = |page: &String| inside(page) == page && !page.contains("live=") && !is_sign_in(page);
    let page = named.filter(is_page).unwrap_or_else(|| action.clone());
    fields.retain(|(name, _)| name != PAGE && !SECRET.contains(&name.as_str()));
    Some(SentForm { owner, action, page, fields })
}

/// The path and query of the page that a browser names.
fn referer(headers: &HeaderMap) -> Option<String> {
    let uri: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    is_inside(uri.path()).then(|| uri.path_and_query().map(ToString::to_string)).flatten()
}

fn is_sign_in(page: &str) -> bool {
    ["/console/sign-in", "/console/confirm"].iter().any(|path| page.starts_with(path))
}
