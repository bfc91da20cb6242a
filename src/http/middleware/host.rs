//! The host that a request is for, and HSTS.

use crate::http::{App, problem::Problem};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Where probes ask, by any name.
pub(in crate::http) const HEALTH: &str = "/health/";

/// Refuses a request for a host that is not the API's with 421, and adds HSTS to every response if
/// the settings say so. Health is for probes, which may use any name, and shows nothing.
pub(crate) async fn check_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let hosts = &app.settings.http.hosts;
    let mut named = request.headers().get_all(header::HOST).iter();
    let (host, is_repeated) = (named.next(), named.next().is_some());
    let host = host.map(|host| host.to_str().unwrap_or("?."));
    let authority = request.uri().authority().map(Authority::as_str);
    // A repeated header is refused with 400 further on.
    let is_served = is_repeated || host.into_iter().chain(authority).all(|host| hosts.allow(host));
    let mut response = if is_served || request.uri().path().starts_with(HEALTH) {
        next.run(request).await
    } else {
        app.metrics.refused("host");
        Problem::misdirected().into_response()
    };
    let secs = app.settings.http.hsts_secs;
    if secs > 0
        && let Ok(policy) = HeaderValue::from_str(&format!("max-age={secs}"))
    {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, policy);
    }
    response
}
