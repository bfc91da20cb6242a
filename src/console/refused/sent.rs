//! A form as it was sent.

use super::fill::PAGE;
use crate::browser::csrf::owner;
use crate::{
    console::session::{inside, is_inside, signed_in},
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
    /// Its fields, without secrets; none of a form with a file.
    pub(super) fields: Pairs,
    /// Whether a file came with it.
    pub(super) has_file: bool,
}

/// Reads the body of a form, and returns the request with it; forms of signing in are not looked at.
/// Neither is the body of a form with a file: its page refuses those who may not send it before it
/// reads any, and has no fields beside the file. The request's own time limit begins after it.
///
/// # Errors
/// A body that is too large, or too slow.
pub(super) async fn read(request: Request, app: &App) -> Result<(Request, Option<SentForm>), Problem> {
    let path = request.uri().path();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if request.method() == Method::POST && kind.is_some_and(|kind| kind.starts_with("multipart/form-data")) {
        let form = with_file(&request, app);
        return Ok((request, form));
    }
    if request.method() != Method::POST || !is_form || path.starts_with("/console/sign-in") {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let body = bytes(Request::from_parts(parts.clone(), body), app).await?;
    let form = form_of(&body, &parts.uri, &parts.headers, app);
    Ok((Request::from_parts(parts, Body::from(body)), form))
}

/// A form with a file, of the session's own account: without its body its token is not known.
fn with_file(request: &Request, app: &App) -> Option<SentForm> {
    let owner = signed_in(request.headers(), app)?.rider_id;
    let action = request.uri().path().to_owned();
    let page = referer(request.headers()).filter(is_page).unwrap_or_else(|| action.clone());
    Some(SentForm { owner, action, page, fields: Pairs::new(), has_file: true })
}

fn form_of(body: &[u8], uri: &Uri, headers: &HeaderMap, app: &App) -> Option<SentForm> {
    let mut fields: Pairs = form_urlencoded::parse(body).into_owned().collect();
    let value = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let owner = owner(value("csrf")?, app)?;
    let action = uri.path().to_owned();
    let named = value(PAGE).map(str::to_owned).or_else(|| referer(headers));
    let page = named.filter(is_page).unwrap_or_else(|| action.clone());
    fields.retain(|(name, _)| name != PAGE && !SECRET.contains(&name.as_str()));
    Some(SentForm { owner, action, page, fields, has_file: false })
}

/// The path and query of the page that a browser names.
fn referer(headers: &HeaderMap) -> Option<String> {
    let uri: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    is_inside(uri.path()).then(|| uri.path_and_query().map(ToString::to_string)).flatten()
}

/// Whether a form can be shown there.
fn is_page(page: &String) -> bool {
    let is_sign_in = ["/console/sign-in", "/console/confirm"].iter().any(|path| page.starts_with(path));
    inside(page) == page && !page.contains("live=") && !is_sign_in
}
