//! How an operation is described: a builder, and its OpenAPI form.

use crate::http::{
    middleware::{host::HEALTH, limited_routes::class_of},
    problem::catalogue::{self, Kind},
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Who may call an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Any client.
    Anyone,
    /// Any signed-in account.
    SignedIn,
    /// Viewers, operators and admins.
    Viewer,
    /// Operators and admins.
    Operator,
}

/// The description of one operation.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) access: Access,
    /// Query parameters: name, meaning, schema.
    query: Vec<(&'static str, &'static str, Value)>,
    /// The media type of the body.
    media: &'static str,
    /// The body: schema, example, and whether it is required.
    body: Option<(Value, Value, bool)>,
    /// The responses of success.
    responses: Vec<Response>,
    /// Codes of the problems that are specific to it.
    pub(super) problems: &'static str,
    /// Another media type of the first response, as text.
    also: Option<&'static str>,
    /// Whether it takes an Idempotency-Key.
    keyed: bool,
}

/// A response of an operation that succeeds.
struct Response {
    status: u16,
    meaning: &'static str,
    /// Media type and schema; none of a response without a body.
    content: Option<(&'static str, Value)>,
}

const JSON: &str = "application/json";
const FILE: &str = "application/octet-stream";
const PROBLEM: &str = "application/problem+json";

/// The schema of a text.
pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// The schema of a text of 1 to 200 characters.
pub(super) fn bounded_text() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 200 })
}

/// The schema of an id.
pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// The schema of a time.
pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// The schemas that operations refer to.
pub(super) struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            taken: settings().for_deserialize().into_generator(),
            given: settings().for_serialize().into_generator(),
        }
    }

    pub(super) fn takes<T: JsonSchema>(&mut self) -> Value {
        self.taken.subschema_for::<T>().to_value()
    }

    pub(super) fn gives<T: JsonSchema>(&mut self) -> Value {
        self.given.subschema_for::<T>().to_value()
    }

    pub(super) fn all(mut self) -> Map<String, Value> {
        let mut all = self.taken.take_definitions(true);
        all.extend(self.given.take_definitions(true));
        all
    }
}

/// An operation without parameters and responses.
pub(super) fn operation(
    method: &'static str,
    path: &'static str,
    access: Access,
    summary: &'static str,
) -> Operation {
    let (query, responses) = (Vec::new(), Vec::new());
    Operation {
        method,
        path,
        summary,
        access,
        query,
        media: JSON,
        body: None,
        responses,
        problems: "",
        also: None,
        keyed: false,
    }
}

impl Operation {
    pub(super) fn query(mut self, name: &'static str, meaning: &'static str, schema: Value) -> Self {
        self.query.push((name, meaning, schema));
        self
    }

    pub(super) fn paged(self) -> Self {
        self.paged_by(20, 100)
    }

    /// A page of `default` items if the client names no limit, at most `max`.
    pub(super) fn paged_by(self, default: u16, max: u16) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default });
        self.query("limit", "Most items of the page", limit).query(
            "after",
            "The `next` of the previous page",
            json!({ "type": "string" }),
        )
    }

    pub(super) fn takes(mut self, schema: Value, example: Value) -> Self {
        self.body = Some((schema, example, true));
        self
    }

    /// Takes a file.
    pub(super) fn takes_file(mut self, meaning: &'static str) -> Self {
        self.media = FILE;
        let schema = json!({ "type": "string", "format": "binary", "description": meaning });
        self.body = Some((schema, json!("the bytes of the file"), true));
        self
    }

    /// Takes a body that may be left out.
    pub(super) fn may_take(mut self, schema: Value, example: Value) -> Self {
        self.body = Some((schema, example, false));
        self
    }

    pub(super) fn gives(mut self, status: u16, meaning: &'static str, schema: Value) -> Self {
        self.responses.push(Response { status, meaning, content: Some((JSON, schema)) });
        self
    }

    /// A text, or a stream of events: of one, a schema would say what each event is, which the meaning says.
    pub(super) fn gives_text(mut self, media: &'static str, meaning: &'static str) -> Self {
        let is_stream = media == "text/event-stream";
        let content = Some((media, if is_stream { json!({}) } else { json!({ "type": "string" }) }));
        self.responses.push(Response { status: 200, meaning, content });
        self
    }

    /// The previous response also has this media type.
    pub(super) fn or_text(mut self, media: &'static str) -> Self {
        self.also = Some(media);
        self
    }

    pub(super) fn gives_nothing(mut self, meaning: &'static str) -> Self {
        self.responses.push(Response { status: 204, meaning, content: None });
        self
    }

    /// Its specific problems, by code. Those of all similar operations are added automatically.
    pub(super) fn refuses(mut self, codes: &'static str) -> Self {
        self.problems = codes;
        self
    }

    pub(super) fn keyed(mut self) -> Self {
        self.keyed = true;
        self
    }

    /// The names of its query parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.query.iter().map(|(name, _, _)| *name)
    }

    fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }

    /// Every kind of problem that it may respond with.
    pub(super) fn kinds(&self) -> Vec<&'static Kind> {
        let has_path = self.path_parameters().next().is_some();
        let may = |kind: &Kind| match (kind.status.as_u16(), kind.code) {
            (500, _) | (503, _) => true,
            (421, _) => !self.path.starts_with(HEALTH),
            (401, "003002") => self.access != Access::Anyone,
            (403, "003091") => matches!(self.access, Access::Viewer | Access::Operator),
            (404, _) => has_path,
            (400 | 408 | 413, _) | (422, "003073") => self.body.is_some(),
            (422, "003074") => self.body.is_some() || self.keyed || !self.query.is_empty(),
            (422, "006005") | (409, "006006") => self.keyed,
            (429, _) => class_of(&self.method.to_uppercase(), self.path).is_some(),
            _ => false,
        };
        catalogue::all()
            .filter(|kind| may(kind) || self.problems.split(' ').any(|code| code == kind.code))
            .collect()
    }

    pub(super) fn describe(&self) -> Value {
        let mut parameters: Vec<Value> = self.path_parameters().map(path_parameter).collect();
        parameters.extend(self.query.iter().map(|(name, meaning, schema)| {
            json!({ "name": name, "in": "query", "description": meaning, "schema": schema })
        }));
        if self.keyed {
            parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        }
        let id = format!("{} {}", self.method, self.path)
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty() && *word != "v1")
            .collect::<Vec<_>>()
            .join("_");
        let mut described = json!({
            "operationId": id,
            "summary": self.summary,
            "tags": [self.tag()],
            "parameters": parameters,
            "responses": self.responses(),
            "security": if self.access == Access::Anyone { json!([]) } else { json!([{ "token": [] }]) },
        });
        if let Some((schema, example, required)) = &self.body {
            described["requestBody"] = json!({
                "required": required,
                "content": { self.media: { "schema": schema, "example": example } },
            });
        }
        described
    }

    /// The parts of it that the page shows: titles, each with its text.
    pub(crate) fn parts(&self) -> Vec<(String, String)> {
        let pretty = |json: &Value| serde_json::to_string_pretty(json).unwrap_or_default();
        let mut parts = Vec::new();
        if self.keyed {
            parts.push((
                "Header".to_owned(),
                "Idempotency-Key: 1 to 200 printable ASCII characters".to_owned(),
            ));
        }
        for (name, meaning, schema) in &self.query {
            parts.push((format!("?{name}= {meaning}"), schema.to_string()));
        }
        if let Some((schema, example, required)) = &self.body {
            let title = if *required { "Body" } else { "Body, may be left out" };
            parts.push((title.to_owned(), format!("{}\n\n{}", pretty(example), name_of(schema))));
        }
        for Response { status, meaning, content } in &self.responses {
            let content = content.as_ref().map(|(media, schema)| format!("{media} {}", name_of(schema)));
            parts.push((format!("{status}: {meaning}"), content.unwrap_or_default()));
        }
        let kinds = self.kinds();
        let problems = kinds.iter().map(|k| format!("{} {} {}", k.status.as_u16(), k.code, k.english));
        parts.push(("Problems".to_owned(), problems.collect::<Vec<_>>().join("\n")));
        parts
    }

    pub(crate) fn tag(&self) -> &'static str {
        match self.access {
            Access::Viewer | Access::Operator => "operations",
            Access::Anyone | Access::SignedIn => {
                let tags = ["riders", "sessions", "wallet", "trips", "orders"];
                let part = self.path.split('/').nth(2).unwrap_or_default();
                tags.into_iter().find(|tag| *tag == part).unwrap_or("service")
            }
        }
    }

    fn responses(&self) -> Value {
        let mut responses: BTreeMap<String, Value> = BTreeMap::new();
        for Response { status, meaning, content } in &self.responses {
            let headers = json!({ "X-Trace-Id": { "$ref": "#/components/headers/TraceId" } });
            let mut response = json!({ "description": meaning, "headers": headers });
            if let Some((media, schema)) = content {
                response["content"] = json!({ *media: { "schema": schema } });
                if let Some(also) = self.also {
                    response["content"][also] = json!({ "schema": { "type": "string" } });
                }
            }
            responses.insert(status.to_string(), response);
        }
        let mut by_status: BTreeMap<u16, Vec<&'static Kind>> = BTreeMap::new();
        for kind in self.kinds() {
            by_status.entry(kind.status.as_u16()).or_default().push(kind);
        }
        for (status, kinds) in by_status {
            let names: Vec<String> = kinds.iter().map(|k| format!("{} {}", k.code, k.english)).collect();
            let examples: Map<String, Value> =
                kinds.iter().map(|kind| (kind.code.to_owned(), json!({ "value": kind.example() }))).collect();
            let schema = json!({ "$ref": "#/components/schemas/Problem" });
            responses.insert(
                status.to_string(),
                json!({
                    "description": names.join(" · "),
                    "headers": { "Content-Language": { "$ref": "#/components/headers/ContentLanguage" } },
                    "content": { PROBLEM: { "schema": schema, "examples": examples } },
                }),
            );
        }
        json!(responses)
    }
}

/// The name of a schema in the document.
fn name_of(schema: &Value) -> String {
    schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn path_parameter(name: &str) -> Value {
    let schema = if name == "tag" {
        json!({ "type": "string", "enum": farebox_jobs::MqTag::ALL.map(|tag| tag.wire()) })
    } else if name == "event_id" {
        json!({ "type": "string", "pattern": "^evt_[0-9a-f]{32}$" })
    } else {
        json!({ "type": "string", "format": "uuid" })
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}
