//! The API's description, OpenAPI 3.1: the schemas from the types that handlers take and give, the errors from the one
//! table of problems, and here, one line or two an operation, who may call it and what it answers.

pub(crate) mod examples;
pub(crate) mod pages;

use super::{
    extract::Nothing,
    handlers::{
        ops::{self as http_ops, bulk, jobs, trips as ops_trips},
        orders as http_orders, riders as http_riders,
    },
    middleware::rate_limit::act_of,
    problem::catalogue::{self, Listed},
};
use crate::{
    accounts::{NewRider, ProfileChange, Rider, Session},
    domain::Page,
    ops::{
        audit,
        bulk::{Bulk, Item, Preview},
        impact::Stakes,
        search::{ErrorGroup, MAX_GROUPS, STATES},
    },
    orders::{Evaluation, ListedOrder, MOST_EVENTS, NewEvaluation, OrderDetail, OrderView},
    payment::{authorization::Authorization, wallet::Entry},
    trips::{
        self, NewTrip, NotMade, Trip, TripDetail, cancel::Progress, manifest::Manifest, seats::BlockedSeats,
    },
    verify,
};
use axum::{Json, http::header, response::IntoResponse};
use examples::examples;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

/// Who may call an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody.
    Anybody,
    /// Whoever is signed in.
    SignedIn,
    /// Viewers, operators and admins.
    Viewer,
    /// Operators and admins.
    Operator,
}

/// One operation, as it is described.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) access: Access,
    /// Name, meaning, schema.
    query: Vec<(&'static str, &'static str, Value)>,
    /// Schema and example; required unless everything in it may be left out.
    body: Option<(Value, Value, bool)>,
    /// What it answers when all is well.
    answers: Vec<Answer>,
    /// Codes of the problems of its own.
    problems: &'static str,
    /// Another form of the first answer, which is text.
    also: Option<&'static str>,
    /// Whether it heeds an Idempotency-Key.
    keyed: bool,
}

/// Status, meaning, media type and schema.
type Answer = (u16, &'static str, Option<(&'static str, Value)>);

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// The schemas that operations refer to.
struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
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

    fn takes<T: JsonSchema>(&mut self) -> Value {
        self.taken.subschema_for::<T>().to_value()
    }

    fn gives<T: JsonSchema>(&mut self) -> Value {
        self.given.subschema_for::<T>().to_value()
    }

    fn all(mut self) -> Map<String, Value> {
        let mut all = self.taken.take_definitions(true);
        all.extend(self.given.take_definitions(true));
        all
    }
}

fn operation(method: &'static str, path: &'static str, access: Access, summary: &'static str) -> Operation {
    let (query, answers) = (Vec::new(), Vec::new());
    Operation {
        method,
        path,
        summary,
        access,
        query,
        body: None,
        answers,
        problems: "",
        also: None,
        keyed: false,
    }
}

impl Operation {
    fn query(mut self, name: &'static str, meaning: &'static str, schema: Value) -> Self {
        self.query.push((name, meaning, schema));
        self
    }

    fn paged(self) -> Self {
        self.paged_by(20, 100)
    }

    /// With so many items on a page if the client names no limit, and at the most.
    fn paged_by(self, default: u16, most: u16) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": default });
        self.query("limit", "Items of the page at the most", limit).query(
            "after",
            "The `next` of the page before",
            json!({ "type": "string" }),
        )
    }

    fn takes(mut self, schema: Value, example: Value) -> Self {
        self.body = Some((schema, example, true));
        self
    }

    /// Of a body that may be left out.
    fn may_take(mut self, schema: Value, example: Value) -> Self {
        self.body = Some((schema, example, false));
        self
    }

    fn gives(mut self, status: u16, meaning: &'static str, schema: Value) -> Self {
        self.answers.push((status, meaning, Some((JSON, schema))));
        self
    }

    fn gives_text(mut self, media: &'static str, meaning: &'static str) -> Self {
        self.answers.push((200, meaning, Some((media, json!({ "type": "string" })))));
        self
    }

    /// The answer before, in this form as well.
    fn or_text(mut self, media: &'static str) -> Self {
        self.also = Some(media);
        self
    }

    fn gives_nothing(mut self, meaning: &'static str) -> Self {
        self.answers.push((204, meaning, None));
        self
    }

    /// Problems of its own, by code. What any operation of its kind may answer is added by itself.
    fn refuses(mut self, codes: &'static str) -> Self {
        self.problems = codes;
        self
    }

    fn keyed(mut self) -> Self {
        self.keyed = true;
        self
    }

    /// The names that its query string may hold.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.query.iter().map(|(name, _, _)| *name)
    }

    fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }

    /// Every kind of problem that it may answer.
    fn kinds(&self) -> Vec<Listed> {
        let has_path = self.path_parameters().next().is_some();
        let may = |kind: &Listed| {
            let code = kind.code();
            match (kind.status().as_u16(), code) {
                (500, _) | (503, _) => true,
                (401, "003002") => self.access != Access::Anybody,
                (403, "003091") => matches!(self.access, Access::Viewer | Access::Operator),
                (404, _) => has_path,
                (400 | 408 | 413, _) | (422, "003073") => self.body.is_some(),
                (422, "003074") => self.body.is_some() || self.keyed || !self.query.is_empty(),
                (422, "006005") | (409, "006006") => self.keyed,
                (429, _) => act_of(&self.method.to_uppercase(), self.path).is_some(),
                _ => false,
            }
        };
        catalogue::all()
            .filter(|kind| may(kind) || self.problems.split(' ').any(|code| code == kind.code()))
            .collect()
    }

    fn describe(&self) -> Value {
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
            "security": if self.access == Access::Anybody { json!([]) } else { json!([{ "token": [] }]) },
        });
        if let Some((schema, example, required)) = &self.body {
            described["requestBody"] = json!({
                "required": required,
                "content": { JSON: { "schema": schema, "example": example } },
            });
        }
        described
    }

    /// What the page shows of it: titles, each with its text.
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
        for (status, meaning, content) in &self.answers {
            let content = content.as_ref().map(|(media, schema)| format!("{media} {}", name_of(schema)));
            parts.push((format!("{status}: {meaning}"), content.unwrap_or_default()));
        }
        let kinds = self.kinds();
        let problems = kinds.iter().map(|k| format!("{} {} {}", k.status().as_u16(), k.code(), k.english()));
        parts.push(("Problems".to_owned(), problems.collect::<Vec<_>>().join("\n")));
        parts
    }

    pub(crate) fn tag(&self) -> &'static str {
        match self.access {
            Access::Viewer | Access::Operator => "operations",
            Access::Anybody | Access::SignedIn => {
                let tags = ["riders", "sessions", "wallet", "trips", "orders"];
                let part = self.path.split('/').nth(2).unwrap_or_default();
                tags.into_iter().find(|tag| *tag == part).unwrap_or("service")
            }
        }
    }

    fn responses(&self) -> Value {
        let mut responses: BTreeMap<String, Value> = BTreeMap::new();
        for (status, meaning, content) in &self.answers {
            let headers = json!({ "X-Trace-Id": { "$ref": "#/components/headers/TraceId" } });
            let mut answer = json!({ "description": meaning, "headers": headers });
            if let Some((media, schema)) = content {
                answer["content"] = json!({ *media: { "schema": schema } });
                if let Some(also) = self.also {
                    answer["content"][also] = json!({ "schema": { "type": "string" } });
                }
            }
            responses.insert(status.to_string(), answer);
        }
        let mut by_status: BTreeMap<u16, Vec<Listed>> = BTreeMap::new();
        for kind in self.kinds() {
            by_status.entry(kind.status().as_u16()).or_default().push(kind);
        }
        for (status, kinds) in by_status {
            let names: Vec<String> = kinds.iter().map(|k| format!("{} {}", k.code(), k.english())).collect();
            let examples: Map<String, Value> = kinds
                .iter()
                .map(|kind| (kind.code().to_owned(), json!({ "value": kind.example() })))
                .collect();
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

/// A schema by its name in the document.
fn name_of(schema: &Value) -> String {
    schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn path_parameter(name: &str) -> Value {
    let schema = if name == "tag" {
        json!({ "type": "string", "enum": farebox_jobs::MqTag::ALL.map(|tag| tag.wire()) })
    } else {
        json!({ "type": "string", "format": "uuid" })
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// Every operation of the router (a test compares them).
fn operations(s: &mut Schemas) -> Vec<Operation> {
    use Access::{Anybody, Operator, SignedIn, Viewer};
    let text = || json!({ "type": "string" });
    let bounded = || json!({ "type": "string", "minLength": 1, "maxLength": 200 });
    let uuid = || json!({ "type": "string", "format": "uuid" });
    let time = || json!({ "type": "string", "format": "date-time" });
    let why = || json!({ "reason": "the wallet is unlocked again" });
    vec![
        operation("get", "/health/live", Anybody, "Whether the process lives").gives(200, "It does", json!({})),
        operation("get", "/health/ready", Anybody, "Whether it can serve").gives(200, "It can", json!({})),
        operation("get", "/metrics", Anybody, "Metrics for a scraper")
            .gives_text("application/openmetrics-text", "OpenMetrics"),
        operation("get", "/openapi.json", Anybody, "This description").gives(200, "OpenAPI 3.1", json!({})),
        operation("get", "/docs", Anybody, "This description as a page").gives_text("text/html", "A page"),
        operation("post", "/v1/riders", Anybody, "Register")
            .takes(s.takes::<NewRider>(), json!({ "user_name": "mei", "password": "correct horse", "pay_password": "123456" }))
            .gives(201, "The account", s.gives::<Rider>())
            .refuses("003003").keyed(),
        operation("post", "/v1/sessions", Anybody, "Sign in")
            .takes(s.takes::<http_riders::Credentials>(), json!({ "user_name": "mei", "password": "correct horse" }))
            .gives(201, "A token", s.gives::<Session>())
            .refuses("003001"),
        operation("delete", "/v1/sessions/current", SignedIn, "Sign out, on every replica within a second")
            .gives_nothing("Signed out"),
        operation("get", "/v1/riders/me", SignedIn, "One's own profile").gives(200, "The profile", s.gives::<Rider>()),
        operation("patch", "/v1/riders/me", SignedIn, "Change one's own profile; null clears a field")
            .may_take(s.takes::<ProfileChange>(), json!({ "nick_name": "Mei", "phone": null }))
            .gives(200, "The profile", s.gives::<Rider>()),
        operation("put", "/v1/riders/me/pay-password", SignedIn, "Set or change the pay password")
            .takes(s.takes::<http_riders::PayPassword>(), json!({ "current": "123456", "new": "654321" }))
            .gives_nothing("It is set")
            .refuses("004001 006007")
            .keyed(),
        operation("get", "/v1/wallet", SignedIn, "The wallet's balance").gives(
            200,
            "The balance",
            json!({ "type": "object", "required": ["balance"], "properties": { "balance": s.gives::<crate::domain::Money>() } }),
        ).refuses("003070"),
        operation("get", "/v1/wallet/entries", SignedIn, "The wallet's ledger, newest first")
            .paged()
            .gives(200, "A page", s.gives::<Page<Entry>>()),
        operation("get", "/v1/trips", Anybody, "The trips of a day, with free seats")
            .query("date", "A local date; today if left out", json!({ "type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }))
            .query("direction", "0 or 1; both if left out", json!({ "type": "integer", "enum": [0, 1] }))
            .paged_by(trips::PAGE, trips::PAGE)
            .gives(200, "A page, soonest first", s.gives::<Page<Trip>>()),
        operation("get", "/v1/trips/{id}", Anybody, "A trip with its bus and each seat")
            .gives(200, "The trip", s.gives::<TripDetail>()),
        operation("get", "/v1/trips/{id}/seats/events", Anybody, "Seat changes as they commit, as server-sent events")
            .gives_text("text/event-stream", "First a `snapshot` of every seat, then `seats` that changed. Who asks for `text/event-stream` and finds no room (of \
                the server, or of one address) or no database gets one event `busy` with `retry_after`, seconds, and the end of the stream: its `retry:` \
                line makes an EventSource ask again; any other client gets the problem")
            .refuses("006021"),
        operation("get", "/v1/orders", SignedIn, "One's own orders: unpaid by deadline, upcoming by departure, those that departed the last one first, others newest first")
            .query("list", "Which of them", s.takes::<crate::orders::List>())
            .paged()
            .gives(200, "A page", s.gives::<Page<ListedOrder>>()),
        operation("post", "/v1/orders", SignedIn, "Book seats")
            .takes(s.takes::<http_orders::NewOrder>(), json!({ "trip_id": "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511", "seats": ["3", "4"] }))
            .gives(201, "The order, unpaid, with its deadline", s.gives::<OrderView>())
            .refuses("004000 006003 006004 006040 003070")
            .keyed(),
        operation("get", "/v1/orders/{id}", SignedIn, "One of one's own orders").gives(200, "The order with its history", s.gives::<OrderDetail>()),
        operation("post", "/v1/orders/{id}/pay", SignedIn, "Pay an order from the wallet")
            .takes(s.takes::<http_orders::PayWith>(), json!({ "pay_password": "123456" }))
            .gives(200, "The order, paid", s.gives::<OrderView>())
            .refuses("004001 004002 006001 006002 006004 006007 006008 006010 006043")
            .keyed(),
        operation("post", "/v1/payment-authorizations", SignedIn, "Check the pay password beforehand, for one payment")
            .takes(s.takes::<http_orders::Authorize>(), json!({ "order_id": "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511", "pay_password": "123456" }))
            .gives(201, "Leave to pay this order once", s.gives::<Authorization>())
            .refuses("003070 004001 006001 006002 006004 006007 006008"),
        operation("post", "/v1/orders/{id}/cancel", SignedIn, "Cancel an unpaid order")
            .may_take(s.takes::<Nothing>(), json!({}))
            .gives(200, "The order, closed", s.gives::<OrderView>())
            .refuses("006001 006002")
            .keyed(),
        operation("post", "/v1/orders/{id}/refund", SignedIn, "Give a paid order back, before the cut-off")
            .may_take(s.takes::<Nothing>(), json!({}))
            .gives(200, "The order, refunded", s.gives::<OrderView>())
            .refuses("006002 006009")
            .keyed(),
        operation("post", "/v1/orders/{id}/evaluation", SignedIn, "Say how the trip was, once, after departure")
            .takes(s.takes::<NewEvaluation>(), json!({ "rating": 5, "comment": "on time" }))
            .gives(201, "The evaluation", s.gives::<Evaluation>())
            .refuses("006002 006004 006041 006042")
            .keyed(),
        operation("post", "/v1/ops/trips", Operator, "Add an extra trip")
            .takes(
                s.takes::<NewTrip>(),
                a_trip(),
            )
            .gives(201, "The trip", s.gives::<TripDetail>())
            .refuses("006022")
            .keyed(),
        operation("post", "/v1/ops/trips/{id}/seats/block", Operator, "Keep seats from being sold")
            .takes(s.takes::<ops_trips::SomeSeats>(), json!({ "seats": ["1"], "reason": "broken" }))
            .gives(200, "The seats that are blocked", s.gives::<BlockedSeats>())
            .refuses("004000 006004 006020").keyed(),
        operation("post", "/v1/ops/trips/{id}/seats/release", Operator, "Let blocked seats be sold again")
            .takes(s.takes::<ops_trips::SomeSeats>(), json!({ "seats": ["1"], "reason": "mended" }))
            .gives(200, "The seats that are blocked", s.gives::<BlockedSeats>())
            .refuses("006004 006020").keyed(),
        operation("get", "/v1/ops/trips/{id}/manifest", Viewer, "Who rides, or would have ridden if the trip was not cancelled; phone and e-mail for operators and admins")
            .query("format", "`csv` or `json`; by Accept if left out", json!({ "type": "string", "enum": ["json", "csv"] }))
            .gives(200, MANIFEST, s.gives::<Manifest>())
            .or_text("text/csv"),
        operation("post", "/v1/ops/trips/{id}/cancel", Operator, "Cancel a trip: its orders are closed or refunded")
            .takes(s.takes::<ops_trips::Why>(), json!({ "reason": "snow" }))
            .gives(202, "How far it is", s.gives::<Progress>())
            .refuses("006020").keyed(),
        operation("get", "/v1/ops/trips/{id}/cancellation", Viewer, "How far a cancelling is")
            .gives(200, "How far it is", s.gives::<Progress>()),
        operation("get", "/v1/ops/departures-not-made", Viewer, "Departures of the timetable that could not be made, the next ones first")
            .paged()
            .gives(200, "A page", s.gives::<Page<NotMade>>()),
        operation("post", "/v1/ops/wallets/{rider_id}/top-ups", Operator, "Top a wallet up, once a reference")
            .takes(s.takes::<http_ops::TopUp>(), json!({ "amount": "100.00", "reference": "till 7, slip 4711" }))
            .gives(201, "The ledger entry", s.gives::<Entry>()).refuses("003070 006060").keyed(),
        operation("get", "/v1/ops/orders/{id}/timeline", Viewer, "All that happened to an order")
            .paged_by(MOST_EVENTS, MOST_EVENTS)
            .gives(200, "Events in order", s.gives::<http_ops::Timeline>()),
        operation("get", "/v1/ops/jobs", Viewer, "Jobs, newest first")
            .query("tag", "Of this tag", text())
            .query("state", "In this state", json!({ "type": "string", "enum": STATES }))
            .query("key", "With this key", bounded())
            .query("serial", "With this serial key", bounded())
            .query("error", "Whose last error has this fingerprint; live and dead jobs", bounded())
            .query("order", "About this order", uuid())
            .query("rider", "About this rider's newest 100 orders", uuid())
            .query("trip", "About this trip's newest 100 orders, and its own jobs", uuid())
            .query("since", "Enqueued since then", time())
            .query("before", "Enqueued before then", time())
            .paged()
            .gives(200, "A page", s.gives::<Page<jobs::Job>>())
            .refuses("003070"),
        operation("get", "/v1/ops/jobs/{id}", Viewer, "A job with its attempts").gives(200, "The job", s.gives::<jobs::Job>()),
        operation("get", "/v1/ops/jobs/{id}/stakes", Viewer, "What would move if the job ran, or stay if it is called off")
            .gives(200, "Seats, money, and whose", s.gives::<Stakes>()),
        operation("post", "/v1/ops/jobs/{id}/snooze", Operator, "Put a waiting job off")
            .takes(s.takes::<jobs::Snooze>(), json!({ "until": "2030-01-01T12:00:00Z", "reason": "the bank is closed until noon" }))
            .gives(200, "The job", s.gives::<jobs::Job>())
            .refuses("006011").keyed(),
        operation("get", "/v1/ops/errors", Viewer, "What is failing, by fingerprint, most of it first: among the newest 500 dead letters and as many live jobs")
            .query("tag", "Of this tag", text())
            .paged_by(MAX_GROUPS, MAX_GROUPS)
            .gives(200, "A page", s.gives::<Page<ErrorGroup>>())
            .refuses("003070"),
        operation("get", "/v1/ops/bulk", Viewer, "Operations upon many jobs, newest first")
            .paged()
            .gives(200, "A page", s.gives::<Page<Bulk>>()),
        operation("post", "/v1/ops/bulk", Operator, "Act upon many jobs, or see what that would do")
            .takes(
                s.takes::<bulk::NewBulk>(),
                json!({ "act": "redrive", "filter": { "tag": "pay_money_cancle" }, "expected": 3, "reason": "the bank is back" }),
            )
            .gives(200, "What it would do", s.gives::<Preview>())
            .gives(202, "The operation, which has begun", s.gives::<Bulk>())
            .refuses("006045").keyed(),
        operation("get", "/v1/ops/bulk/{id}", Viewer, "An operation upon many jobs, and how far it is")
            .gives(200, "The operation", s.gives::<Bulk>()),
        operation("get", "/v1/ops/bulk/{id}/items", Viewer, "The jobs it covers, and what became of them")
            .query("outcome", "Of this outcome", json!({ "type": "string", "enum": ["open", "done", "asked", "busy", "gone"] }))
            .paged()
            .gives(200, "A page", s.gives::<Page<Item>>()),
        operation("post", "/v1/ops/bulk/{id}/stop", Operator, "Stop an operation where it is")
            .may_take(s.takes::<bulk::Why>(), why())
            .gives(200, "The operation, stopped", s.gives::<Bulk>())
            .refuses("006044").keyed(),
        operation("get", "/v1/ops/audit", Viewer, "What operators did, newest first")
            .query("actor", "By whom, by name", bounded())
            .query("act", "Of this kind", json!({ "type": "string", "enum": audit::Action::ALL.map(audit::Action::as_str) }))
            .query("subject_kind", "Upon this kind of thing", bounded())
            .query("subject", "Upon the thing of this id or name", bounded())
            .query("order", "About this order", uuid())
            .query("since", "Since then", time())
            .query("before", "Before then", time())
            .paged()
            .gives(200, "A page", s.gives::<Page<audit::Entry>>()),
        operation("post", "/v1/ops/jobs/{id}/retry", Operator, "Run a waiting or dead job now")
            .may_take(s.takes::<jobs::Why>(), why())
            .gives(200, "The job", s.gives::<jobs::Job>())
            .refuses("006011").keyed(),
        operation("post", "/v1/ops/jobs/{id}/cancel", Operator, "Call a job off")
            .may_take(s.takes::<jobs::Why>(), why())
            .gives(200, "The job, called off", s.gives::<jobs::Job>())
            .gives(202, "The job, which runs and has been asked to end", s.gives::<jobs::Job>())
            .refuses("006011").keyed(),
        operation("get", "/v1/ops/queues", Viewer, "Every tag with its numbers").gives(200, "The tags, all of them: `next` is always null", s.gives::<Page<jobs::Queue>>()),
        operation("post", "/v1/ops/queues/{tag}/pause", Operator, "Claim no more of a tag")
            .may_take(s.takes::<jobs::Why>(), why())
            .gives(200, "The tag", s.gives::<jobs::Queue>()).keyed(),
        operation("post", "/v1/ops/queues/{tag}/resume", Operator, "Claim a tag again")
            .may_take(s.takes::<jobs::Why>(), why())
            .gives(200, "The tag", s.gives::<jobs::Queue>()).keyed(),
        operation("post", "/v1/ops/queues/{tag}/drain", Operator, "Pause a tag and wait for its running attempts")
            .may_take(s.takes::<jobs::Drain>(), json!({ "reason": "a new build", "wait_secs": 5 }))
            .gives(200, "The tag", s.gives::<jobs::Queue>()).keyed(),
        operation("post", "/v1/ops/queues/{tag}/cancel", Operator, "Call a live job off by its key")
            .takes(s.takes::<jobs::ByKey>(), json!({ "key": "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511", "reason": "asked by its rider" }))
            .gives(200, "The job, called off", s.gives::<jobs::Job>())
            .gives(202, "The job, which runs and has been asked to end", s.gives::<jobs::Job>())
            .refuses("006011").keyed(),
        operation("post", "/v1/ops/queues/{tag}/redrive", Operator, "Bring a tag's dead letters back to life")
            .may_take(s.takes::<jobs::Redrive>(), json!({ "error": "timed out" }))
            .gives(200, "How many", s.gives::<jobs::Redriven>()).keyed(),
        operation("get", "/v1/ops/queues/{tag}/minutes", Viewer, "What ended in each minute")
            .query("minutes", "How far back", json!({ "type": "integer", "minimum": 1, "maximum": 1440, "default": 60 }))
            .gives(200, "The roll-ups", s.gives::<jobs::Minutes>()),
        operation("post", "/v1/ops/dead-letters/redrive", Operator, "Bring dead letters back to life")
            .may_take(s.takes::<jobs::Redrive>(), json!({ "tag": "pay_money_cancle", "error": "timed out" }))
            .gives(200, "How many", s.gives::<jobs::Redriven>())
            .refuses("003070").keyed(),
        operation("get", "/v1/ops/workers", Viewer, "The workers, those that went missing included; the newest first")
            .paged_by(jobs::MOST_WORKERS, jobs::MOST_WORKERS)
            .gives(200, "A page", s.gives::<Page<jobs::Worker>>()),
        operation("get", "/v1/ops/verify", Viewer, "Every invariant with its verdict")
            .query("recent_secs", "Only of the orders and payments made within so many seconds", json!({ "type": "integer", "minimum": 1, "maximum": verify::MAX_RECENT_SECS }))
            .gives(200, "The verdicts", s.gives::<http_ops::Report>()),
    ]
}

fn build() -> (Vec<Operation>, Value) {
    let mut schemas = Schemas::new();
    let operations = operations(&mut schemas);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in &operations {
        paths.entry(operation.path).or_default().insert(operation.method.to_owned(), operation.describe());
    }
    let mut schemas = schemas.all();
    for (name, example) in examples() {
        if let Some(schema) = schemas.get_mut(name) {
            schema["examples"] = json!([example]);
        }
    }
    schemas.insert("Problem".to_owned(), problem());
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Farebox",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Seat booking and wallet payment",
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": { "IdempotencyKey": {
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "The same key and body give the first answer again, marked `Idempotent-Replayed: true`.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x20-\\x7e]+$" },
            } },
            "headers": {
                "TraceId": {
                    "description": "Names this request in the logs and in what it left behind.",
                    "schema": { "type": "string" },
                },
                "ContentLanguage": {
                    "description": "The language of the title: what Accept-Language weighs more.",
                    "schema": { "type": "string", "enum": ["en", "zh"] },
                },
            },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    });
    (operations, document)
}

const MANIFEST: &str = "The manifest. The CSV follows RFC 4180, in UTF-8 without a byte order mark. Texts that people chose \
    begin with an apostrophe where a spreadsheet would read a formula, a number, a date or a truth value; a program takes one \
    leading apostrophe off";

const INTRODUCTION: &str = "Money is a decimal string with two places, times are RFC 3339 UTC, ids are UUIDv7, seats \
    are labels. Errors are RFC 9457 problems with a six-digit `code`; their titles are English, or Chinese by \
    `Accept-Language`. Lengths count characters. Fields and parameters that are not known, or there twice, are refused. A step that fails answers 500 with the order's id and `rollback`: what was done is undone.";

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457. Further members help with this very problem: the seats lost, the balance, when to retry.",
        "required": ["type", "title", "status", "detail", "code", "trace_id"],
        "properties": {
            "type": { "type": "string", "description": "A URN that ends in the code." },
            "title": { "type": "string", "description": "English, or Chinese by Accept-Language." },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "For the client's developer." },
            "code": { "type": "string", "pattern": "^[0-9]{6}$" },
            "trace_id": { "type": "string" },
            "field": { "type": "string", "description": "The field at fault, as a JSON pointer, or a parameter's name." },
            "rule": { "type": "string", "description": "The rule it breaks." },
            "seats": { "type": "array", "items": { "type": "string" }, "description": "The seats lost." },
            "balance": { "type": "string", "description": "What the wallet holds." },
            "retry_after": { "type": "integer", "description": "Seconds." },
            "order_id": { "type": "string", "description": "The order whose flow failed." },
            "rollback": { "type": "string", "description": "Where its undo stands." },
            "trip_id": { "type": "string", "description": "The trip that is in the way." },
        },
    })
}

/// An extra trip that may be added: some months after this process began.
fn a_trip() -> Value {
    let day = (chrono::Utc::now() + chrono::TimeDelta::days(180)).date_naive();
    json!({
        "bus_id": 1, "direction": 0, "departs_at": format!("{day}T08:00:00Z"), "arrives_at": format!("{day}T09:00:00Z"),
        "price": "4.00",
    })
}

static BUILT: LazyLock<(Vec<Operation>, Value)> = LazyLock::new(build);

/// Every operation.
pub(crate) fn described() -> &'static [Operation] {
    &BUILT.0
}

pub(crate) async fn document() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(&BUILT.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The routes as the router has them, read from the one screen they are on.
    fn routed() -> BTreeSet<(String, String)> {
        // The pages for people are no part of the API: all of them are under /console.
        let pages = include_str!("../../console/mod.rs");
        assert!(
            pages.split(".route(").skip(1).all(|route| route.starts_with("\"/console")),
            "a page elsewhere"
        );
        let source = include_str!("../mod.rs").replacen(".merge(pages.routes)", "", 1);
        for other in [".merge(", ".nest(", ".route_service("] {
            assert!(!source.contains(other), "{other}..) brings routes that this test cannot see");
        }
        let table = source.split(".fallback(").next().expect("the table");
        let mut routes = BTreeSet::new();
        for route in table.split(".route(").skip(1) {
            let path = route.split('"').nth(1).expect("a path");
            let handlers = route.split('"').nth(2).expect("handlers");
            let before = routes.len();
            for method in ["get", "post", "put", "patch", "delete"] {
                let call = format!("{method}(");
                let names = |at: usize| handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if handlers.match_indices(&call).any(|(at, _)| !names(at)) {
                    routes.insert((method.to_owned(), path.to_owned()));
                }
            }
            assert!(routes.len() > before, "no method found of {path}");
        }
        routes
    }

    #[test]
    fn every_route_is_described_and_no_other() {
        let described: BTreeSet<_> =
            described().iter().map(|op| (op.method.to_owned(), op.path.to_owned())).collect();
        assert_eq!(routed(), described);
    }

    #[test]
    fn every_example_fits_its_schema() {
        let schemas = &BUILT.1["components"]["schemas"];
        for (name, example) in examples() {
            let schema = &schemas[name];
            let known = schema["properties"].as_object().unwrap_or_else(|| panic!("no schema {name}"));
            let fields = example.as_object().expect("an object");
            for field in fields.keys() {
                assert!(known.contains_key(field), "{name} has no {field}");
            }
            for field in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(field.as_str().expect("a name")), "{name} lacks {field}");
            }
        }
    }

    #[test]
    fn every_problem_is_some_operations_and_every_code_is_known() {
        let of_operations: BTreeSet<&str> =
            described().iter().flat_map(|op| op.kinds()).map(Listed::code).collect();
        let all: BTreeSet<&str> = catalogue::all().map(Listed::code).collect();
        assert_eq!(of_operations, all);
        for op in described() {
            for code in op.problems.split(' ').filter(|code| !code.is_empty()) {
                assert!(all.contains(code), "{code} of {}", op.path);
            }
        }
    }
}
