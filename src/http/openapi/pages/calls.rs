//! An operation as a call: with curl, and with Python's httpx.

use super::{Entry, text};
use maud::{Markup, html};
use serde_json::Value;

/// What a call of an operation has.
struct Call<'a> {
    body: Option<&'a Value>,
    is_file: bool,
    has_key: bool,
    has_token: bool,
}

fn call<'a>(entry: &'a Entry<'a>) -> Call<'a> {
    let content = entry.said["requestBody"]["content"].as_object();
    let (media, body) = content
        .and_then(|all| all.iter().next())
        .map_or(("", None), |(media, said)| (media.as_str(), Some(&said["example"])));
    let parameters = entry.said["parameters"].as_array().into_iter().flatten();
    Call {
        body,
        is_file: media == "application/octet-stream",
        has_key: parameters.into_iter().any(|one| text(&one["$ref"]).ends_with("/IdempotencyKey")),
        has_token: entry.said["security"].as_array().is_some_and(|all| !all.is_empty()),
    }
}

/// What the calls of all operations begin with.
pub(super) fn preamble() -> Markup {
    html! {
        section.guide data-item="" {
            h2 #guide-calls { "Calls on this page" }
            p { "Calls with curl begin with the address and, once signed in, the token:" }
            pre { code { "API=http://127.0.0.1:8087\nTOKEN=…" } }
            p { "Calls with Python use httpx:" }
            pre { code {
                "import httpx\nfrom uuid import uuid4\n\napi = httpx.Client(base_url=\"http://127.0.0.1:8087\")\n"
                "api.headers[\"Authorization\"] = f\"Bearer {token}\""
            } }
        }
    }
}

/// For a shell, with the API's address in `$API` and the token in `$TOKEN`.
pub(super) fn curl(entry: &Entry<'_>) -> String {
    let call = call(entry);
    // The names of parameters of a path become variables of the shell.
    let path = entry.path.split('/').map(|part| match part.strip_prefix('{') {
        Some(name) => format!("${}", name.trim_end_matches('}').to_uppercase()),
        None => part.to_owned(),
    });
    let path = path.collect::<Vec<_>>().join("/");
    let mut lines = vec![format!("curl {}\"$API{path}\"", method_option(entry.method))];
    if call.has_token {
        lines.push("-H \"Authorization: Bearer $TOKEN\"".to_owned());
    }
    if call.has_key {
        lines.push("-H \"Idempotency-Key: $(uuidgen)\"".to_owned());
    }
    if call.is_file {
        lines.push("--data-binary @network.zip".to_owned());
    } else if let Some(body) = call.body {
        lines.push("-H 'Content-Type: application/json'".to_owned());
        lines.push(format!("-d '{}'", body.to_string().replace('\'', "'\\''")));
    }
    if is_stream(entry) {
        lines.push("-N -H 'Accept: text/event-stream'".to_owned());
    }
    lines.join(" \\\n  ")
}

fn method_option(method: &str) -> String {
    if method == "get" { String::new() } else { format!("-X {} ", method.to_uppercase()) }
}

fn is_stream(entry: &Entry<'_>) -> bool {
    entry.said["responses"]["200"]["content"].get("text/event-stream").is_some()
}

/// For Python, with a client of httpx that has the address and the token.
pub(super) fn python(entry: &Entry<'_>) -> String {
    let call = call(entry);
    let f = if entry.path.contains('{') { "f" } else { "" };
    let mut arguments = vec![format!("{f}\"{}\"", entry.path)];
    if call.is_file {
        arguments.push("content=open(\"network.zip\", \"rb\").read()".to_owned());
    } else if let Some(body) = call.body {
        arguments.push(format!("json={}", literal(body)));
    }
    if call.has_key {
        arguments.push("headers={\"Idempotency-Key\": str(uuid4())}".to_owned());
    }
    if is_stream(entry) {
        let address = &arguments[0];
        // httpx gives a read five seconds, and a heartbeat comes after fifteen.
        return format!(
            "with api.stream(\"GET\", {address}, timeout=60) as stream:\n    for line in stream.iter_lines():\n        print(line)"
        );
    }
    let arguments = arguments.join(",\n    ");
    format!("answer = api.{}(\n    {arguments},\n)\nanswer.raise_for_status()", entry.method)
}

/// JSON as Python writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(values) => format!("[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), literal(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn calls_say_what_the_operation_takes() {
        let said = json!({
            "parameters": [{ "$ref": "#/components/parameters/IdempotencyKey" }], "security": [{ "token": [] }],
            "requestBody": { "content": { "application/json": { "example": { "a": "it's", "b": null } } } },
            "responses": {},
        });
        let entry = Entry { method: "post", path: "/v1/orders/{id}/pay", said: &said };
        let curl = curl(&entry);
        for part in ["-X POST \"$API/v1/orders/$ID/pay\"", "$TOKEN", "Idempotency-Key", "it'\\''s"] {
            assert!(curl.contains(part), "{part}: {curl}");
        }
        let python = python(&entry);
        for part in ["api.post(", "f\"/v1/orders/{id}/pay\"", "\"b\": None"] {
            assert!(python.contains(part), "{part}: {python}");
        }
    }
}
