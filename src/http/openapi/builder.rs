//! How an operation is described: a builder. `describe.rs` has its OpenAPI form.

use super::normal;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

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
    pub(super) query: Vec<(&'static str, &'static str, Value)>,
    /// The media type of the body.
    pub(super) media: &'static str,
    /// The body: schema, example, and whether it is required.
    pub(super) body: Option<(Value, Value, bool)>,
    /// The responses of success.
    pub(super) responses: Vec<Response>,
    /// Codes of the problems that are specific to it.
    pub(super) problems: &'static str,
    /// Another media type of the first response, as text.
    pub(super) also: Option<&'static str>,
    /// Whether it takes an Idempotency-Key.
    pub(super) keyed: bool,
    /// Whether its response has a validator, so that it may be 304.
    pub(super) validated: bool,
    /// Whether names in its response depend on `Accept-Language`.
    pub(super) localized: bool,
    /// The events of a response that is a stream.
    pub(super) events: Option<Value>,
}

/// A response of an operation that succeeds.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) meaning: &'static str,
    /// Media type and schema; none of a response without a body.
    pub(super) content: Option<(&'static str, Value)>,
}

const JSON: &str = "application/json";
const FILE: &str = "application/octet-stream";

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

    /// All of them by name, and the names that a request and a response have for different schemas.
    pub(super) fn all(mut self) -> (Map<String, Value>, Vec<String>) {
        let mut all = self.taken.take_definitions(true);
        let mut given = self.given.take_definitions(true);
        all.values_mut().for_each(normal::taken);
        given.values_mut().for_each(normal::given);
        let differs = |(name, schema): (&String, &Value)| all.get(name).is_some_and(|taken| taken != schema);
        let ambiguous = given.iter().filter(|(name, schema)| differs((name, schema)));
        let ambiguous = ambiguous.map(|(name, _)| name.clone()).collect();
        all.extend(given);
        (all, ambiguous)
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
        validated: false,
        localized: false,
        events: None,
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
            "The `next` of the previous page; the first page if left out",
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

    /// A text.
    pub(super) fn gives_text(mut self, media: &'static str, meaning: &'static str) -> Self {
        self.responses.push(Response { status: 200, meaning, content: Some((media, text())) });
        self
    }

    /// A stream of these events. OpenAPI 3.1 has no schema for one, so the extension `x-events` says what
    /// each event is.
    pub(super) fn gives_events(mut self, meaning: &'static str, events: Value) -> Self {
        self.events = Some(events);
        self.responses.push(Response {
            status: 200,
            meaning,
            content: Some(("text/event-stream", json!({}))),
        });
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

    /// Its response has a validator: a client that has the body gets 304.
    pub(super) fn validated(mut self) -> Self {
        self.validated = true;
        self
    }

    /// Names in its response depend on `Accept-Language`.
    pub(super) fn localized(mut self) -> Self {
        self.localized = true;
        self
    }

    /// Whether it gives a page of a list.
    pub(super) fn is_paged(&self) -> bool {
        self.parameters().any(|name| name == "after")
    }

    /// The names of its query parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.query.iter().map(|(name, _, _)| *name)
    }

    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }
}
