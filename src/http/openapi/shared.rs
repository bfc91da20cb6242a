//! What operations share in the description: parameters and headers.

use serde_json::{Map, Value, json};

/// The parameters, by the name of their component.
pub(super) fn parameters() -> Value {
    json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Makes the request safe to repeat: the same key, path and body are carried out once. A repeat \
                gets the first answer, marked `Idempotent-Replayed: true`; while the first runs, 409 `006006`; with another \
                body, 422 `006005`. Kept for 48 hours (`idempotency.retention_hours`): answers of success, and 4xx that a \
                rule gave once the change had begun; of those with `retry_after` only a payment's 423. Never kept: 5xx, \
                429, a rider's 404, and what is refused before the change begins (body, token, role). The key belongs to \
                the account, of a registration to the user name; make a random one for each thing that the user wants.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x20-\\x7e]+$" },
        },
        "AcceptLanguage": {
            "name": "Accept-Language", "in": "header", "required": false,
            "description": "The language of names, if the network has it.",
            "schema": { "type": "string" }, "example": "zh, en;q=0.5",
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header", "required": false,
            "description": "The `ETag` of a body that the client has: 304 without a body if it is still the present one.",
            "schema": { "type": "string" }, "example": "W/\"5d41402abc4b2a76\"",
        },
        "LastEventId": {
            "name": "Last-Event-ID", "in": "header", "required": false,
            "description": "The id of the last event that the client has seen. If it names the present state, the stream \
                begins with the next change, else with a `snapshot`. `EventSource` sends it by itself.",
            "schema": { "type": "string" }, "example": "9f86d081884c7d65",
        },
    })
}

/// The headers: the component's name, the header's, its meaning, and an example.
const HEADERS: [(&str, &str, &str, &str); 9] = [
    (
        "TraceId",
        "X-Trace-Id",
        "Names this request in the logs and in what it left behind.",
        "0193fa1c2e7b7c3d9a41b6f0c8d2e511",
    ),
    ("ContentLanguage", "Content-Language", "The language of the title: `en` or `zh`.", "en"),
    (
        "IdempotentReplayed",
        "Idempotent-Replayed",
        "`true` if this is the answer to an earlier request with the same key; else absent.",
        "true",
    ),
    (
        "RateLimit",
        "RateLimit",
        "What is left of each quota (draft-ietf-httpapi-ratelimit-headers-10): `r` requests, and `t` seconds until \
         there is one more. A read has it only when it is refused.",
        "\"booking\";r=59;t=1, \"booking-address\";r=1199;t=1",
    ),
    (
        "RateLimitPolicy",
        "RateLimit-Policy",
        "The quotas: `q` requests in a window of `w` seconds.",
        "\"booking\";q=60;w=60, \"booking-address\";q=1200;w=60",
    ),
    ("RetryAfter", "Retry-After", "Seconds to wait before a repeat; as `retry_after` in the body.", "2"),
    ("Authenticate", "WWW-Authenticate", "`Bearer`: the token goes into `Authorization`.", "Bearer"),
    (
        "ETag",
        "ETag",
        "A weak validator of the body, for `If-None-Match`. The names of a trip depend on `Accept-Language`, and its \
         own seats on `Authorization`, so each has its own.",
        "W/\"5d41402abc4b2a76\"",
    ),
    (
        "Link",
        "Link",
        "The next page (RFC 8288), relative to the address of this one; absent on the last page.",
        "<?limit=20&after=0193fa1d-77c0-7b1e-8a55-0c9d1e2f3a4b>; rel=\"next\"",
    ),
];

/// The headers, by the name of their component.
pub(super) fn headers() -> Map<String, Value> {
    let component = |(name, _, about, example): &(&str, &str, &str, &str)| {
        let schema = match *name {
            "RetryAfter" => json!({ "type": "integer", "minimum": 0 }),
            "ContentLanguage" => json!({ "type": "string", "enum": ["en", "zh"] }),
            _ => json!({ "type": "string" }),
        };
        let example = if *name == "RetryAfter" { json!(2) } else { json!(example) };
        ((*name).to_owned(), json!({ "description": about, "schema": schema, "example": example }))
    };
    HEADERS.iter().map(component).collect()
}

/// References to the headers of these names. Each component knows its header's name.
pub(super) fn headers_of(names: &[&str]) -> Map<String, Value> {
    let reference =
        |name: &&str| (header_of(name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    names.iter().map(reference).collect()
}

/// The name of the header that a component describes.
fn header_of(component: &str) -> &'static str {
    let known = HEADERS.iter().find(|(name, ..)| *name == component);
    known.map_or("X-Trace-Id", |(_, header, ..)| header)
}
