//! A form that is refused comes back with its fields, and with the reason beside the field at
//! fault. It holds for every form that carries a session's token: pages need to do nothing.
//!
//! - A form at fault, or out of date, is shown in its own page, made anew ([`fill`]).
//! - A form that meets a fault of the system is shown without its page ([`page::alone`]).
//! - A form of an ended session, or one that needs the password again, waits in a cookie
//!   ([`kept`]) until its operator comes back to its page.
//!
//! Passwords and codes are never shown again, and no account sees another one's fields.

mod fill;
mod kept;
mod page;
mod sent;

pub(super) use fill::PAGE;

use super::session::{PageContext, error_page_context, next, signed_in};
use crate::{
    domain::FieldError,
    http::{App, middleware::client_address::Peer, problem::Problem},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use fill::{Refill, fill};
use maud::{Markup, PreEscaped};
use sent::SentForm;
use serde_json::{Map, Value};
use std::sync::Arc;
use tower::ServiceExt;

/// The largest page that a form is written into, bytes.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// What makes the page of a form anew: all routes, behind their limits.
#[derive(Clone)]
pub(super) struct Console {
    pub(super) app: Arc<App>,
    pub(super) routes: Router,
}

/// What a request brings that its response may bring back.
pub(super) struct Brought {
    headers: HeaderMap,
    extensions: Extensions,
    form: Option<SentForm>,
    /// The path and query, if a page is asked for.
    page: Option<String>,
}

impl Brought {
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Looks at a request before it is served.
///
/// # Errors
/// The problem of a form's body, as a response.
pub(super) async fn read(
    console: &Console,
    request: Request,
) -> Result<(Request, Brought), Box<(Brought, Response)>> {
    let (headers, mut extensions) = (request.headers().clone(), Extensions::new());
    if let Some(peer) = request.extensions().get::<Peer>() {
        extensions.insert(*peer);
    }
    let uri = request.uri();
    let page = uri.path_and_query().filter(|_| request.method() == Method::GET).map(ToString::to_string);
    let mut brought = Brought { headers, extensions, form: None, page };
    match sent::read(request, &console.app).await {
        Ok((request, form)) => {
            brought.form = form;
            Ok((request, brought))
        }
        Err(problem) => Err(Box::new((brought, problem.into_response()))),
    }
}

/// The page of a refused form, if the request brought one of the session's own account; `body` is the
/// problem.
pub(super) async fn refused(
    console: &Console,
    brought: &Brought,
    status: StatusCode,
    body: &Map<String, Value>,
) -> Option<Response> {
    let form = brought.form.as_ref()?;
    let context = error_page_context(&brought.headers, form.page.clone(), &console.app).await?;
    if context.caller.rider_id != form.owner {
        return None;
    }
    let reason = page::Reason::of(context.lang, body);
    // A fault of the system would meet the page, too.
    if !status.is_server_error() {
        let refill = Refill {
            action: &form.action,
            page: &form.page,
            fields: &form.fields,
            fault: reason.fault(),
            notice: reason.notice(&form.page),
            choose_again: page::choose_again(context.lang),
        };
        if let Some(response) = with_fields(console, brought, &form.page, &refill).await {
            return Some(response);
        }
    }
    // Without its page it has no field for a file.
    (!form.has_file).then(|| page::alone(&context, form, &reason))
}

/// The first form of this address as it is shown after a refusal of its amount.
pub(super) fn sample_refusal(
    context: &PageContext,
    shown: &Markup,
    action: &str,
    fields: &[(&str, &str)],
) -> Markup {
    let problem = Problem::field(&FieldError::new("amount", "an amount above zero"));
    let reason = page::Reason::of(context.lang, &problem.body);
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let refill = Refill {
        action,
        page: &context.path,
        fields: &fields,
        fault: reason.fault(),
        notice: reason.notice(&context.path),
        choose_again: page::choose_again(context.lang),
    };
    // A sample does not take the focus.
    PreEscaped(fill(&shown.0, &refill).unwrap_or_default().replace(" autofocus=\"\"", ""))
}

/// Sends a form of an ended session on its way, and brings back one that waited.
pub(super) async fn returned(console: &Console, brought: &Brought, mut response: Response) -> Response {
    if let Some(form) = &brought.form {
        return detour(console, brought, form, response);
    }
    let (Some(address), StatusCode::OK) = (&brought.page, response.status()) else { return response };
    let Some(caller) = signed_in(&brought.headers, &console.app) else { return response };
    let Some(kept) = kept::kept(&console.app, &brought.headers, caller.rider_id) else { return response };
    if kept.page != *address || !is_html(&response) {
        return response;
    }
    let lang = super::preferences::Preferences::of(&brought.headers, address).lang;
    let refill = Refill {
        action: &kept.action,
        page: &kept.page,
        fields: &kept.fields,
        fault: None,
        notice: page::waited(lang),
        choose_again: page::choose_again(lang),
    };
    let gone = kept::remove(&console.app, &brought.headers);
    response = filled_response(response, &refill).await;
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

/// Keeps a form whose sender is led to sign in, or to give the password; the way back is the form's
/// page.
fn detour(console: &Console, brought: &Brought, form: &SentForm, mut response: Response) -> Response {
    let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
    let path = to.and_then(|to| to.split('?').next()).unwrap_or_default().to_owned();
    if !matches!(path.as_str(), "/console/sign-in" | "/console/confirm") || path == form.action {
        return response;
    }
    let Some(cookie) = kept::save(&console.app, &brought.headers, form) else {
        return page::too_large_to_wait(&brought.headers, form, &path);
    };
    response.headers_mut().append(header::SET_COOKIE, cookie);
    if let Ok(to) = HeaderValue::from_str(&format!("{path}?{}", next(&form.page))) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// The page at this address with the fields of the form; `None` if there is no such page, or form.
async fn with_fields(
    console: &Console,
    brought: &Brought,
    address: &str,
    refill: &Refill<'_>,
) -> Option<Response> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = address.parse().ok()?;
    *request.extensions_mut() = brought.extensions.clone();
    for (name, value) in &brought.headers {
        if !matches!(*name, header::CONTENT_LENGTH | header::CONTENT_TYPE | header::TRANSFER_ENCODING) {
            request.headers_mut().append(name, value.clone());
        }
    }
    let Ok(response) = console.routes.clone().oneshot(request).await;
    if response.status() != StatusCode::OK || !is_html(&response) {
        return None;
    }
    let (parts, body) = response.into_parts();
    let html = String::from_utf8(to_bytes(body, MAX_PAGE_BYTES).await.ok()?.to_vec()).ok()?;
    let filled = fill(&html, refill)?;
    let mut response = Response::from_parts(parts, Body::from(filled));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    Some(response)
}

/// A page with the fields of a form that waited; unchanged if it has no such form.
async fn filled_response(response: Response, refill: &Refill<'_>) -> Response {
    let (mut parts, body) = response.into_parts();
    let html = to_bytes(body, MAX_PAGE_BYTES).await.unwrap_or_default();
    let html = String::from_utf8_lossy(&html);
    let filled = fill(&html, refill).unwrap_or_else(|| html.into_owned());
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(filled))
}

fn is_html(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}
