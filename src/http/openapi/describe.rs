//! The OpenAPI form of an operation.

use super::{
    builder::{Access, Operation, Response},
    names::{name_of, tag_of},
    normal,
    problems::{kinds_of, says_when},
};
use crate::http::{middleware::limited_routes::class_of, problem::catalogue::Kind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const PROBLEM: &str = "application/problem+json";

impl Access {
    /// The word for it in the description.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::SignedIn => "signed_in",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Anyone => "Anyone may call it.",
            Self::SignedIn => "Any signed-in account may call it.",
            Self::Viewer => "Viewers, operators and admins may call it.",
            Self::Operator => "Operators and admins may call it.",
        }
    }
}

impl Operation {
    /// What generated clients call it.
    pub(super) fn id(&self) -> String {
        let words = || {
            let address = format!("{} {}", self.method, self.path);
            let words = address.split(|c: char| !c.is_ascii_alphanumeric());
            let words = words.filter(|word| !word.is_empty() && *word != "v1");
            words.collect::<Vec<_>>().join("_")
        };
        name_of(self.method, self.path).map_or_else(words, |name| name.id.to_owned())
    }

    /// Its resource.
    pub(crate) fn tag(&self) -> &'static str {
        tag_of(self.path)
    }

    /// Its OpenAPI form.
    pub(super) fn describe(&self) -> Value {
        let about = name_of(self.method, self.path).map_or("", |name| name.about);
        let mut described = json!({
            "operationId": self.id(),
            "summary": self.summary,
            "description": format!("{about} {}", self.access.sentence()).trim(),
            "tags": [self.tag()],
            "parameters": self.describe_parameters(),
            "responses": self.describe_responses(),
            "security": if self.access == Access::Anyone { json!([]) } else { json!([{ "token": [] }]) },
            "x-role": self.access.as_str(),
        });
        if let Some((schema, example, required)) = &self.body {
            described["requestBody"] = json!({
                "required": required,
                "content": { self.media: { "schema": schema, "example": example } },
            });
        }
        described
    }

    fn describe_parameters(&self) -> Vec<Value> {
        let shared = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
        let mut parameters: Vec<Value> = self.path_parameters().map(path_parameter).collect();
        parameters.extend(self.query.iter().map(|(name, meaning, schema)| {
            let mut schema = schema.clone();
            normal::taken(&mut schema);
            json!({ "name": name, "in": "query", "description": meaning, "schema": schema })
        }));
        let headers = [
            (self.keyed, "IdempotencyKey"),
            (self.localized, "AcceptLanguage"),
            (self.validated, "IfNoneMatch"),
            (self.events.is_some(), "LastEventId"),
        ];
        parameters.extend(headers.into_iter().filter(|(has, _)| *has).map(|(_, name)| shared(name)));
        parameters
    }

    fn describe_responses(&self) -> Value {
        let mut responses: BTreeMap<String, Value> = BTreeMap::new();
        for response in &self.responses {
            responses.insert(response.status.to_string(), self.describe_success(response));
        }
        if self.validated {
            let headers = headers(&["ETag", "TraceId"]);
            let about = "The client has the present body: `If-None-Match` names it";
            responses.insert("304".to_owned(), json!({ "description": about, "headers": headers }));
        }
        let mut by_status: BTreeMap<u16, Vec<&'static Kind>> = BTreeMap::new();
        for kind in kinds_of(self) {
            by_status.entry(kind.status.as_u16()).or_default().push(kind);
        }
        for (status, kinds) in by_status {
            responses.insert(status.to_string(), self.describe_problems(status, &kinds));
        }
        json!(responses)
    }

    fn describe_success(&self, Response { meaning, content, .. }: &Response) -> Value {
        let mut names = vec!["TraceId"];
        let by_kind = [
            (self.keyed, "IdempotentReplayed"),
            (self.validated, "ETag"),
            (self.is_paged(), "Link"),
            (self.shows_its_limit(), "RateLimit"),
            (self.shows_its_limit(), "RateLimitPolicy"),
        ];
        names.extend(by_kind.into_iter().filter(|(has, _)| *has).map(|(_, name)| name));
        let mut response = json!({ "description": meaning, "headers": headers(&names) });
        if let Some((media, schema)) = content {
            let mut schema = schema.clone();
            normal::given(&mut schema);
            response["content"] = json!({ *media: { "schema": schema } });
            if let Some(also) = self.also {
                response["content"][also] = json!({ "schema": { "type": "string" } });
            }
            if let Some(events) = &self.events {
                response["content"][media]["x-events"] = events.clone();
            }
        }
        response
    }

    /// Whether each answer says how much of its quota is left: those of changes do.
    fn shows_its_limit(&self) -> bool {
        class_of(&self.method.to_uppercase(), self.path).is_some_and(|class| !class.is_read())
    }

    fn describe_problems(&self, status: u16, kinds: &[&'static Kind]) -> Value {
        let is_kept = self.keyed && (400..500).contains(&status);
        let by_kind = [
            (is_kept, "IdempotentReplayed"),
            (kinds.iter().any(|kind| says_when(kind)), "RetryAfter"),
            (status == 401, "Authenticate"),
            (status == 429 || self.shows_its_limit(), "RateLimit"),
            (status == 429 || self.shows_its_limit(), "RateLimitPolicy"),
        ];
        let mut names = vec!["ContentLanguage", "TraceId"];
        names.extend(by_kind.into_iter().filter(|(has, _)| *has).map(|(_, name)| name));
        let titles: Vec<String> =
            kinds.iter().map(|kind| format!("{} {}", kind.code, kind.english)).collect();
        let codes: Vec<&str> = kinds.iter().map(|kind| kind.code).collect();
        let example = |kind: &&Kind| {
            let example = json!({ "summary": kind.english, "value": kind.example() });
            (kind.code.to_owned(), example)
        };
        let examples: Map<String, Value> = kinds.iter().map(example).collect();
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        json!({
            "description": titles.join(" · "),
            "headers": headers(&names),
            "content": { PROBLEM: { "schema": schema, "examples": examples } },
            "x-problem-codes": codes,
        })
    }
}

/// References to the headers of these names. Each component knows its header's name.
fn headers(names: &[&str]) -> Map<String, Value> {
    let reference = |name: &&str| {
        let header = super::shared::header_of(name);
        (header.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
    };
    names.iter().map(reference).collect()
}

fn path_parameter(name: &str) -> Value {
    let (schema, about) = match name {
        "tag" => {
            let tags = farebox_jobs::MqTag::ALL.map(|tag| tag.wire());
            (json!({ "type": "string", "enum": tags }), "A tag of jobs")
        }
        "rider_id" => (super::builder::uuid(), "An account's id"),
        "event_id" => (json!({ "type": "string", "pattern": "^evt_[0-9a-f]{32}$" }), "An event's id"),
        _ => (super::builder::uuid(), "An id, as answers have it"),
    };
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
}
