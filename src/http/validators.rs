//! Validators of responses: a client that has the present body gets 304 in its place (RFC 9110, 8.8 and
//! 13.1.2). The body is made all the same, so a validator costs no statement, and saves the transfer.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::hash::{DefaultHasher, Hasher};

/// Who may keep a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Any cache, which asks each time whether it is still current.
    Revalidated,
    /// No cache: the response is about one account. An app that keeps the body itself may ask with its
    /// validator.
    Nobody,
}

/// A JSON body with its validator, or 304 to a client that has it. `vary` names the headers of the request
/// that the body depends on.
pub(super) fn respond(request: &HeaderMap, keep: Keep, vary: &'static str, body: Bytes) -> Response {
    let validator = validator_of(&body);
    let cache = match keep {
        Keep::Revalidated => "no-cache",
        Keep::Nobody => "private, no-store",
    };
    let is_known = is_known(request, &validator);
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::ETAG, HeaderValue::from_str(&validator).unwrap_or(HeaderValue::from_static("W/\"\""))),
        (header::VARY, HeaderValue::from_static(vary)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Weak, since a proxy may compress the body. Of one build the same on every process; after an upgrade a
/// client gets the body once more.
fn validator_of(body: &[u8]) -> String {
    let mut hash = DefaultHasher::new();
    hash.write(body);
    format!("W/\"{:016x}\"", hash.finish())
}

/// Whether `If-None-Match` names the validator, or any.
fn is_known(request: &HeaderMap, validator: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let lines = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut named = lines.flat_map(|line| line.split(','));
    named.any(|tag| tag.trim() == "*" || opaque(tag) == opaque(validator))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(if_none_match: &[&str], body: &'static str) -> u16 {
        let mut request = HeaderMap::new();
        for line in if_none_match {
            request.append(header::IF_NONE_MATCH, HeaderValue::from_str(line).expect("a header"));
        }
        respond(&request, Keep::Revalidated, "accept-language", Bytes::from_static(body.as_bytes()))
            .status()
            .as_u16()
    }

    #[test]
    fn a_known_body_is_not_sent_again() {
        let known = validator_of(b"{}");
        assert_ne!(known, validator_of(b"{ }"));
        let strong = known.trim_start_matches("W/");
        for named in
            [&known[..], strong, "*", &format!("\"a\", {known}"), &format!("W/\"b\",{strong} , \"c\"")]
        {
            assert_eq!(status(&[named], "{}"), 304, "{named}");
        }
        assert_eq!(status(&["\"a\"", &known], "{}"), 304);
        for named in ["", "\"a\"", "W/\"a\", \"b\"", &known.replace('"', "")] {
            assert_eq!(status(&[named], "{}"), 200, "{named}");
        }
        assert_eq!(status(&[], "{}"), 200);
        assert_eq!(status(&[&known], "{ }"), 200);
    }
}
