//! The OpenAPI form of an operation.

use super::{
    builder::{Access, Operation, Response},
    failures::failures,
    names::{name_of, tag_of},
    normal,
    shared::headers_of,
};
use crate::http::middleware::limited_routes::class_of;
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
        let mut parameters: Vec<Value> =
            self.path_parameters().map(|name| path_parameter(self.path, name)).collect();
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
            let headers = headers_of(&["ETag", "TraceId"]);
            let about = "The client has the present body: `If-None-Match` names it";
            responses.insert("304".to_owned(), json!({ "description": about, "headers": headers }));
        }
        for failure in failures(self) {
            responses.insert(failure.status.to_string(), failure.reference());
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
        let mut response = json!({ "description": meaning, "headers": headers_of(&names) });
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
    pub(super) fn shows_its_limit(&self) -> bool {
        class_of(&self.method.to_uppercase(), self.path).is_some_and(|class| !class.is_read())
    }
}

fn path_parameter(path: &str, name: &str) -> Value {
    // What stands before an id says whose it is.
    let before = path.split(&format!("/{{{name}}}")).next().and_then(|before| before.rsplit('/').next());
    let whose = match before {
        Some("approvals") => "An approval's id",
        Some("bulk") => "A bulk operation's id",
        Some("imports") => "An import's id",
        Some("jobs") => "A job's id",
        Some("orders") => "An order's id",
        Some("riders") => "An account's id",
        Some("sessions") => "A session's id",
        Some("trips") => "A trip's id",
        Some("webhooks") => "A webhook's id",
        _ => "An id",
    };
    let (schema, about) = match name {
        "tag" => {
            let tags = farebox_jobs::MqTag::ALL.map(|tag| tag.wire());
            (json!({ "type": "string", "enum": tags }), "A tag of jobs")
        }
        "rider_id" => (super::builder::uuid(), "An account's id"),
        "event_id" => (json!({ "type": "string", "pattern": "^evt_[0-9a-f]{32}$" }), "An event's id"),
        _ => (super::builder::uuid(), whose),
    };
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
}
