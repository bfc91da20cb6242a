//! Pages of lists in responses, with the address of the next one in `Link` (RFC 8288).

use crate::domain::Page;
use axum::{
    Json,
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A page as a response.
pub(crate) struct Paged<T>(pub(crate) Page<T>);

impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let Self(page) = self;
        let next = page.next.clone();
        before(next, Json(page))
    }
}

/// The cursor of the page that follows, until it is a `Link`.
#[derive(Clone)]
struct Next(String);

/// The response, whose next page begins after this cursor.
pub(super) fn before(next: Option<String>, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    next.map(|next| response.extensions_mut().insert(Next(next)));
    response
}

/// The cursor in the JSON of a page, whose last member is `next`.
pub(super) fn next_in(page: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"next\":";
    let at = page.windows(NAME.len()).rposition(|window| window == NAME)?;
    serde_json::from_slice(page[at + NAME.len()..].strip_suffix(b"}")?).ok()?
}

/// Sets the `Link` of a page: the query of its request with another `after`. It is relative to the
/// request's address, which a proxy may have changed.
pub(super) fn link(asked: &Uri, response: &mut Response) {
    let Some(Next(next)) = response.extensions_mut().remove::<Next>() else { return };
    let asked = form_urlencoded::parse(asked.query().unwrap_or_default().as_bytes());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked.filter(|(name, _)| name != "after")).append_pair("after", &next);
    if let Ok(link) = HeaderValue::from_str(&format!("<?{}>; rel=\"next\"", query.finish())) {
        response.headers_mut().insert(header::LINK, link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_the_query_but_its_cursor() {
        let of = |uri: &'static str, next: Option<&str>| {
            let mut response = before(next.map(str::to_owned), "");
            link(&Uri::from_static(uri), &mut response);
            response.headers().get(header::LINK).map(|link| link.to_str().expect("ASCII").to_owned())
        };
        let next = "<?list=paid&limit=2&after=b%2F%3E>; rel=\"next\"";
        assert_eq!(of("/v1/orders?list=paid&after=a&limit=2", Some("b/>")).as_deref(), Some(next));
        assert_eq!(of("/v1/orders", Some("b")).as_deref(), Some("<?after=b>; rel=\"next\""));
        assert_eq!(of("/v1/orders", None), None);
    }

    #[test]
    fn the_cursor_is_read_from_the_end() {
        assert_eq!(next_in(br#"{"items":[{"next":"a"}],"next":"b"}"#).as_deref(), Some("b"));
        assert_eq!(next_in(br#"{"items":[],"next":null}"#), None);
        assert_eq!(next_in(b""), None);
    }
}
