//! What of a change of the API's description breaks clients that were made from the old one.
//!
//! Of a request: what was sent is refused now. Of an answer: what comes now was not foreseen. Fields and
//! problem codes of answers are only added, so a new one of these breaks nothing.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Deepest nesting of schemas that is compared: a schema may refer to itself.
const MAX_DEPTH: usize = 24;

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Sent,
    Answered,
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    breaks: Vec<String>,
}

/// Each break in words; none if old clients go on.
pub fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { old, new, breaks: Vec::new() };
    for (path, methods) in fields(&old["paths"]) {
        for (method, operation) in fields(methods) {
            let at = format!("{method} {path}");
            match new["paths"][path].get(method) {
                Some(now) => comparison.operation(&at, operation, now),
                None => comparison.breaks.push(format!("{at} is gone")),
            }
        }
    }
    let of_problem = |document: &Value| document["components"]["schemas"]["Problem"].clone();
    comparison.schema("a problem", &of_problem(old), &of_problem(new), Way::Answered, 0);
    comparison.breaks
}

/// The description without what breaks nobody: texts for people, and answers to what failed, which are all
/// of one schema.
pub fn bones(document: &Value) -> Value {
    const TEXTS: [&str; 7] =
        ["description", "summary", "example", "examples", "x-enum-descriptions", "x-problems", "x-retry"];
    match document {
        Value::Object(object) => {
            // A field of an object may have the name of one of these.
            let is_text = |name: &str, value: &Value| {
                TEXTS.contains(&name) && !value.get("type").is_some_and(Value::is_string)
            };
            // By its status in an operation, and by its name where it is shared.
            let is_failure = |name: &str| {
                let status = name.strip_prefix("Problem").unwrap_or(name).get(..3);
                let is_named = name.len() == 3 || (name.starts_with("Problem") && name.contains('_'));
                is_named && status.is_some_and(|status| matches!(status.parse::<u16>(), Ok(400..=599)))
            };
            let kept = object.iter().filter(|(name, value)| !is_text(name, value) && !is_failure(name));
            kept.map(|(name, value)| (name.clone(), bones(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(values) => values.iter().map(bones).collect(),
        other => other.clone(),
    }
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn words(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(values) => values.iter().map(ToString::to_string).collect(),
        Value::Null => BTreeSet::new(),
        one => BTreeSet::from([one.to_string()]),
    }
}

impl Comparison<'_> {
    fn say(&mut self, at: &str, what: &str) {
        self.breaks.push(format!("{at}: {what}"));
    }

    fn operation(&mut self, at: &str, old: &Value, new: &Value) {
        if old["operationId"] != new["operationId"] {
            self.say(at, &format!("{} is called {} now", old["operationId"], new["operationId"]));
        }
        if old["security"] != new["security"] && new["security"] != serde_json::json!([]) {
            self.say(at, "a token is needed now");
        }
        self.parameters(at, &old["parameters"], &new["parameters"]);
        let (before, now) =
            (resolved(self.old, &old["requestBody"]), resolved(self.new, &new["requestBody"]));
        self.body(&format!("{at} body"), &before, &now);
        let is_success = |status: &str| status.starts_with('2') || status.starts_with('3');
        for (status, response) in fields(&old["responses"]).filter(|(status, _)| is_success(status)) {
            let at = format!("{at} {status}");
            match new["responses"].get(status) {
                Some(now) => self.response(&at, &resolved(self.old, response), &resolved(self.new, now)),
                None => self.say(&at, "is gone"),
            }
        }
        for (status, _) in fields(&new["responses"]).filter(|(status, _)| status.starts_with('2')) {
            if old["responses"].get(status).is_none() {
                self.say(&format!("{at} {status}"), "is new: old clients take it for a failure");
            }
        }
    }

    fn parameters(&mut self, at: &str, old: &Value, new: &Value) {
        let resolve = |document: &Value, all: &Value| -> Vec<Value> {
            all.as_array().into_iter().flatten().map(|one| resolved(document, one)).collect()
        };
        let (before, now) = (resolve(self.old, old), resolve(self.new, new));
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        for one in &before {
            let at = format!("{at} parameter {}", one["name"]);
            match now.iter().find(|other| same(one, other)) {
                Some(other) => {
                    if other["required"] == true && one["required"] != true {
                        self.say(&at, "is required now");
                    }
                    self.schema(&at, &one["schema"], &other["schema"], Way::Sent, 0);
                }
                None => self.say(&at, "is gone"),
            }
        }
        let is_new = |other: &&Value| !before.iter().any(|one| same(one, other));
        for other in now.iter().filter(is_new).filter(|other| other["required"] == true) {
            self.say(&format!("{at} parameter {}", other["name"]), "is new and required");
        }
    }

    fn body(&mut self, at: &str, old: &Value, new: &Value) {
        if new["required"] == true && old["required"] != true {
            self.say(at, "is required now");
        }
        self.content(at, &old["content"], &new["content"], Way::Sent);
    }

    fn response(&mut self, at: &str, old: &Value, new: &Value) {
        for (name, _) in fields(&old["headers"]) {
            if new["headers"].get(name).is_none() {
                self.say(at, &format!("the header {name} is gone"));
            }
        }
        self.content(at, &old["content"], &new["content"], Way::Answered);
    }

    fn content(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        for (media, content) in fields(old) {
            let Some(now) = new.get(media) else {
                self.say(at, &format!("{media} is gone"));
                continue;
            };
            self.schema(at, &content["schema"], &now["schema"], way, 0);
            for (event, data) in fields(&content["x-events"]) {
                let at = format!("{at} event {event}");
                match now["x-events"].get(event) {
                    Some(now) => self.schema(&at, &data["data"], &now["data"], Way::Answered, 0),
                    None => self.say(&at, "is gone"),
                }
            }
        }
    }

    fn schema(&mut self, at: &str, old: &Value, new: &Value, way: Way, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let (old, new) = (&resolved(self.old, old), &resolved(self.new, new));
        self.types(at, old, new, way);
        self.values(at, old, new, way);
        if way == Way::Sent {
            self.bounds(at, old, new);
        }
        self.properties(at, old, new, way, depth);
        self.alternatives(at, old, new, way, depth);
        for name in ["items", "additionalProperties"] {
            if old[name].is_object() && new[name].is_object() {
                self.schema(&format!("{at}[]"), &old[name], &new[name], way, depth + 1);
            }
        }
    }

    fn types(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        let (was, is) = (words(&old["type"]), words(&new["type"]));
        // No type is any type. Every integer is a number.
        let (narrow, wide) = if way == Way::Sent { (was, is) } else { (is, was) };
        let is_within =
            |kind: &String| wide.contains(kind) || (kind == "\"integer\"" && wide.contains("\"number\""));
        let fits = wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(is_within));
        if !fits {
            self.say(at, &format!("the type {} is {} now", old["type"], new["type"]));
        }
        if old["format"] != new["format"] {
            self.say(at, &format!("the format {} is {} now", old["format"], new["format"]));
        }
    }

    fn values(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        let (narrow, wide) = if way == Way::Sent { (old, new) } else { (new, old) };
        let (narrow, wide) = (&narrow["enum"], &wide["enum"]);
        if wide.is_null() {
            return;
        }
        let unknown: Vec<String> = words(narrow).difference(&words(wide)).cloned().collect();
        if narrow.is_null() {
            self.say(at, "has other values than the enumerated ones");
        } else if !unknown.is_empty() {
            let what = if way == Way::Sent { "not taken any more" } else { "not foreseen" };
            self.say(at, &format!("{} {what}", unknown.join(", ")));
        }
    }

    /// Whether a value that was allowed in a request is refused now.
    fn bounds(&mut self, at: &str, old: &Value, new: &Value) {
        for name in ["minimum", "minLength", "minItems"] {
            let is_tighter = new[name].as_f64() > old[name].as_f64();
            if is_tighter {
                self.say(at, &format!("{name} is {} now", new[name]));
            }
        }
        for name in ["maximum", "maxLength", "maxItems"] {
            let bound = |schema: &Value| schema[name].as_f64().unwrap_or(f64::INFINITY);
            if bound(new) < bound(old) {
                self.say(at, &format!("{name} is {} now", new[name]));
            }
        }
        if old["pattern"] != new["pattern"] && !new["pattern"].is_null() {
            self.say(at, &format!("the pattern is {} now", new["pattern"]));
        }
    }

    fn properties(&mut self, at: &str, old: &Value, new: &Value, way: Way, depth: usize) {
        let (required_then, required_now) = (words(&old["required"]), words(&new["required"]));
        for (name, field) in fields(&old["properties"]) {
            let at = format!("{at}/{name}");
            match new["properties"].get(name) {
                Some(now) => self.schema(&at, field, now, way, depth + 1),
                None => self.say(&at, "is gone"),
            }
        }
        let (before, now) = match way {
            Way::Sent => (&required_then, &required_now),
            Way::Answered => (&required_now, &required_then),
        };
        for name in now.difference(before) {
            let what = if way == Way::Sent { "is required now" } else { "may be absent now" };
            let is_there = way == Way::Sent || new["properties"].get(name.trim_matches('"')).is_some();
            if is_there {
                self.say(&format!("{at}/{}", name.trim_matches('"')), what);
            }
        }
    }

    /// Each alternative that was sent must fit one that is taken; each that is answered, one that was
    /// foreseen.
    fn alternatives(&mut self, at: &str, old: &Value, new: &Value, way: Way, depth: usize) {
        let of = |schema: &Value| {
            let all = ["anyOf", "oneOf"].into_iter().find_map(|name| schema[name].as_array().cloned());
            all.unwrap_or_default()
        };
        let (was, is) = (of(old), of(new));
        if was.is_empty() || is.is_empty() {
            if was.len() != is.len() {
                self.say(at, "has other alternatives");
            }
            return;
        }
        let fits = |one: &Value, other: &Value| {
            let mut inner = Comparison { old: self.old, new: self.new, breaks: Vec::new() };
            inner.schema(at, one, other, way, depth + 1);
            inner.breaks.is_empty()
        };
        let all_fit = match way {
            Way::Sent => was.iter().all(|one| is.iter().any(|other| fits(one, other))),
            Way::Answered => is.iter().all(|other| was.iter().any(|one| fits(one, other))),
        };
        if !all_fit {
            self.say(at, "has other alternatives");
        }
    }
}

/// What a reference names; anything else itself.
fn resolved(document: &Value, value: &Value) -> Value {
    let Some(target) = value["$ref"].as_str() else { return value.clone() };
    document.pointer(target.trim_start_matches('#')).cloned().unwrap_or_default()
}
