//! An operation: what it takes, what it answers, what may go wrong, and how it is called.

use super::{Entry, calls, guide, schema, text};
use maud::{Markup, html};
use serde_json::Value;

pub(super) fn shown(document: &Value, entry: &Entry<'_>) -> Markup {
    let said = entry.said;
    let id = text(&said["operationId"]);
    html! {
        article.operation id=(id) data-item="" {
            h3 { a href={ "#" (id) } { code { (id) } } }
            p.address { b { (entry.method.to_uppercase()) } " " code { (entry.path) } }
            p.summary { (guide::line(text(&said["summary"]))) "." }
            (guide::description(text(&said["description"])))
            (parameters(document, said))
            (body(document, said))
            (answers(document, said))
            (problems(document, said))
            details { summary { "curl" } pre { code { (calls::curl(entry)) } } }
            details { summary { "Python" } pre { code { (calls::python(entry)) } } }
        }
    }
}

/// What a reference names; anything else itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|target| document.pointer(target.trim_start_matches('#')));
    target.unwrap_or(value)
}

fn parameters(document: &Value, said: &Value) -> Markup {
    let parameters = said["parameters"].as_array().filter(|all| !all.is_empty());
    html! {
        @if let Some(parameters) = parameters {
            h4 { "Parameters" }
            dl.fields {
                @for parameter in parameters.iter().map(|one| resolved(document, one)) {
                    dt {
                        code { (text(&parameter["name"])) } " " span.type { (text(&parameter["in"])) ", " (schema::kind(&parameter["schema"])) }
                        @if parameter["required"] != true { " " span.may { "may be left out" } }
                    }
                    dd { (guide::description(text(&parameter["description"]))) (schema::rules(&parameter["schema"])) }
                }
            }
        }
    }
}

fn body(document: &Value, said: &Value) -> Markup {
    let content = said["requestBody"]["content"].as_object().into_iter().flatten();
    html! {
        @for (media, content) in content {
            h4 { "Body" @if said["requestBody"]["required"] != true { ", may be left out" } }
            p { code { (media) } ", " (schema::kind(&content["schema"])) }
            (schema::fields(resolved(document, &content["schema"])))
            @if media == "application/json" { (schema::pretty("Example of a body", &content["example"])) }
        }
    }
}

/// Its answers by status, those that it shares with other operations as well.
fn all<'a>(document: &'a Value, said: &'a Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let answers = said["responses"].as_object().into_iter().flatten();
    answers.map(|(status, answer)| (status, resolved(document, answer)))
}

fn answers(document: &Value, said: &Value) -> Markup {
    let successes = all(document, said).filter(|(_, answer)| answer.get("x-problem-codes").is_none());
    html! {
        h4 { "Answers" }
        dl.answers {
            @for (status, answer) in successes {
                dt { b { (status) } @for (media, content) in answer["content"].as_object().into_iter().flatten() {
                    " " code { (media) } " " (schema::kind(&content["schema"]))
                } }
                dd {
                    p { (guide::line(text(&answer["description"]))) "." }
                    @let headers: Vec<&String> = answer["headers"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
                    @if !headers.is_empty() { p.rules { "Headers: " @for name in headers { code { (name) } " " } } }
                    @for (_, content) in answer["content"].as_object().into_iter().flatten() {
                        (events(&content["x-events"]))
                        @if let Some(example) = resolved(document, &content["schema"])["examples"].get(0) {
                            (schema::pretty("Example of an answer", example))
                        }
                    }
                }
            }
        }
    }
}

/// The events of a stream.
fn events(events: &Value) -> Markup {
    html! {
        @if let Some(events) = events.as_object() {
            dl.fields {
                @for (name, event) in events {
                    dt { code { (name) } " " span.type { (schema::kind(&event["data"])) } }
                    dd { p { (guide::line(text(&event["description"]))) } pre { code { (event["example"].to_string()) } } }
                }
            }
        }
    }
}

fn problems(document: &Value, said: &Value) -> Markup {
    let problems: Vec<(&String, &str, &str)> = all(document, said)
        .flat_map(|(status, answer)| {
            let examples = &answer["content"]["application/problem+json"]["examples"];
            let codes = answer["x-problem-codes"].as_array().into_iter().flatten().map(text);
            codes.map(move |code| (status, code, text(&examples[code]["summary"])))
        })
        .collect();
    html! {
        details {
            summary { (problems.len()) " problems" }
            ul.problems {
                @for (status, code, title) in problems {
                    li { (status) " " a href={ "#problem-" (code) } { (code) } " " (title) }
                }
            }
        }
    }
}

/// Every problem, with what its client does next.
pub(super) fn codes(document: &Value) -> Markup {
    let codes = &document["components"]["schemas"]["ProblemCode"];
    let problems = codes["x-problems"].as_array().map_or(&[][..], Vec::as_slice);
    let is_first = |nr: usize| problems[..nr].iter().all(|one| one["code"] != problems[nr]["code"]);
    html! {
        section {
            h2 #problems { "Problems" }
            p { "The body is a " a href="#schema-Problem" { "Problem" } ". " (guide::line(text(&codes["description"]))) }
            dl.fields {
                @for (nr, one) in problems.iter().enumerate() {
                    dt id=[is_first(nr).then(|| format!("problem-{}", text(&one["code"])))] data-item="" {
                        code { (text(&one["code"])) } " " (one["status"]) " " (text(&one["title"])) " "
                        span lang="zh" { (text(&one["titleZh"])) }
                    }
                    dd { p { "Next: " (guide::line(text(&one["next"]))) " (" code { (text(&one["retry"])) } ")" } }
                }
            }
        }
    }
}
